/*-------------------------------------------------------------------------
 *
 * load_rows.c
 *	  load_table: labels and chunks of a dump file become part of a table.
 *
 * The second half of functions_load.c, which tells what it is about.  Rows are
 * decoded and encoded anew only if need be: because retention cuts into the
 * chunk, it crosses an edge between windows, or the table has its columns in
 * another order.  Columns that do not take NULL are decoded to be checked, and
 * so are floats, as the codec counts on doubles that are widened floats.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "am/write.h"
#include "core/valuecodec.h"
#include "load.h"

/* See load.h. */
void
ms_load_labels(MsLoad *load)
{
	MemoryContext old;

	MemoryContextReset(load->series_context);
	old = MemoryContextSwitchTo(load->series_context);
	load->labels = palloc0(sizeof(MsLabelValue) * Max(load->desc->nlabels, 1));
	for (int i = 0; i < load->desc->nlabels; i++)
		load->labels[i].isnull = true;

	for (int i = 0; i < load->nlabels; i++)
	{
		MsLoadLabel *col = &load->label_cols[i];
		MsSnapLabel *text = &load->texts[i];
		MsLabelValue *label = &load->labels[col->ordinal];
		char	   *string = NULL;
		Datum		datum;

		if (text->data != NULL)
			string = ms_load_text(load, text->data, text->len);
		else if (col->att->attnotnull)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
							NameStr(col->att->attname), RelationGetRelationName(load->rel)),
					 errtablecol(load->rel, col->att->attnum)));

		/* Domains want to see NULL, too. */
		datum = InputFunctionCall(&col->input, string, col->ioparam, col->att->atttypmod);
		ms_label_from_datum(col->att, datum, string == NULL, label);
		if (label->len > MS_MAX_LABEL_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("label value in column \"%s\" is too long", NameStr(col->att->attname)),
					 errdetail("It has %u bytes; at most %d are possible.",
							   label->len, MS_MAX_LABEL_BYTES)));
	}
	MemoryContextSwitchTo(old);
}

/*
 * Are there rows outside what retention accepts?  If so, and the table says so,
 * counts and leaves them out by narrowing [*first, *end).
 */
static void
keep_range(MsLoad *load, const MsRows *rows, int *first, int *end)
{
	int			lo = 0;
	int			hi = rows->nrows;

	while (lo < hi && rows->times[lo] < load->lower)
		lo++;
	while (hi > lo && rows->times[hi - 1] >= load->upper)
		hi--;
	*first = lo;
	*end = hi;
	if (hi - lo == rows->nrows)
		return;

	if (load->config.on_out_of_range == MS_RANGE_ERROR)
	{
		TimestampTz culprit = lo > 0 ? rows->times[0] : rows->times[rows->nrows - 1];
		char	   *shown = pstrdup(timestamptz_to_str(culprit));
		char	   *upper = pstrdup(timestamptz_to_str(load->upper));

		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("time %s is out of range for memseries table \"%s\"",
						shown, RelationGetRelationName(load->rel)),
				 load->lower == PG_INT64_MIN ?
				 errdetail("Times before %s are accepted now.", upper) :
				 errdetail("Times from %s up to %s are accepted now.",
						   timestamptz_to_str(load->lower), upper),
				 errhint("Use memseries.configure to keep more windows (retain), to keep all (retain => NULL), or to leave such rows out (on_out_of_range => 'skip').")));
	}
	load->nskipped += rows->nrows - (hi - lo);
}

/* ERROR if a NOT NULL value column has nulls. */
static void
check_not_null(MsLoad *load, const MsRows *rows)
{
	for (int v = 0; v < load->nvalues; v++)
	{
		const bool *nulls = rows->nulls != NULL ? rows->nulls[v] : NULL;

		if (nulls == NULL || !load->value_cols[v].att->attnotnull)
			continue;
		for (int i = 0; i < rows->nrows; i++)
		{
			if (nulls[i])
				ereport(ERROR,
						(errcode(ERRCODE_NOT_NULL_VIOLATION),
						 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
								NameStr(load->value_cols[v].att->attname),
								RelationGetRelationName(load->rel)),
						 errtablecol(load->rel, load->value_cols[v].att->attnum)));
		}
	}
}

/* Room for decoded rows, in CurrentMemoryContext. */
static void
alloc_rows(MsRows *rows, int nrows, int ncols)
{
	rows->nrows = nrows;
	rows->ncols = ncols;
	rows->times = palloc_extended(sizeof(int64) * nrows, MCXT_ALLOC_HUGE);
	rows->values = palloc(sizeof(double *) * Max(ncols, 1));
	rows->nulls = palloc(sizeof(bool *) * Max(ncols, 1));
	for (int c = 0; c < ncols; c++)
	{
		rows->values[c] = palloc_extended(sizeof(double) * nrows, MCXT_ALLOC_HUGE);
		rows->nulls[c] = palloc_extended(sizeof(bool) * nrows, MCXT_ALLOC_HUGE);
	}
}

/* The rows with their columns where the table has them; what the file lacks is null. */
static void
arrange(MsLoad *load, const MsRows *rows, MsRows *out)
{
	double	   *no_values = NULL;
	bool	   *all_null = NULL;

	*out = *rows;
	out->ncols = load->desc->nvalues;
	out->values = palloc0(sizeof(double *) * Max(out->ncols, 1));
	out->nulls = palloc0(sizeof(bool *) * Max(out->ncols, 1));
	for (int v = 0; v < load->nvalues; v++)
	{
		int			ordinal = load->value_cols[v].ordinal;

		out->values[ordinal] = rows->values[v];
		out->nulls[ordinal] = rows->nulls != NULL ? rows->nulls[v] : NULL;
		if (load->value_cols[v].kind == MS_FLOAT4)
		{
			/*
			 * What reads as a float again is a float; anybody may have
			 * written the file.
			 */
			for (int i = 0; i < rows->nrows; i++)
				rows->values[v][i] = ms_float4_widen(ms_float4_narrow(rows->values[v][i]));
		}
	}
	for (int c = 0; c < out->ncols; c++)
	{
		if (out->values[c] != NULL)
			continue;
		if (no_values == NULL)
		{
			no_values = palloc_extended(sizeof(double) * rows->nrows, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
			all_null = palloc_extended(sizeof(bool) * rows->nrows, MCXT_ALLOC_HUGE);
			memset(all_null, true, rows->nrows);
		}
		out->values[c] = no_values;
		out->nulls[c] = all_null;
	}
}

/* Encodes rows [first, end) window by window and hands them to the write path. */
static void
write_rows(MsLoad *load, const MsRows *rows, int first, int end)
{
	uint8	   *chunk = palloc_extended(ms_chunk_bound(end - first, rows->ncols), MCXT_ALLOC_HUGE);

	while (first < end)
	{
		int64		from;
		int64		to;
		int			n = 1;
		Size		len;

		CHECK_FOR_INTERRUPTS();
		ms_window_bounds(load->desc->table, rows->times[first], &from, &to);
		while (first + n < end && rows->times[first + n] < to)
			n++;
		len = ms_chunk_encode(rows, first, n, load->kinds, MS_CHUNK_SEALED, chunk, load->work);
		ms_write_chunk(load->rel, load->labels, load->desc->nlabels, chunk, len, n,
					   rows->times[first], rows->times[first + n - 1], load->cid);
		first += n;
		load->nloaded += n;
	}
}

/* Does the chunk lie where its bytes could be taken as they are? */
static bool
lies_well(MsLoad *load, const MsChunk *chunk)
{
	int64		from;
	int64		to;

	if (!load->same_order || chunk->tmin < load->lower || chunk->tmax >= load->upper)
		return false;
	ms_window_bounds(load->desc->table, chunk->tmin, &from, &to);
	return chunk->tmax < to;
}

/* Which columns have to be looked at anyway; false if none. */
static bool
columns_to_check(MsLoad *load, bool *need)
{
	bool		any = false;

	for (int v = 0; v < load->nvalues; v++)
	{
		need[v] = load->value_cols[v].att->attnotnull || load->value_cols[v].kind == MS_FLOAT4;
		any = any || need[v];
	}
	return any;
}

/* Are the values of all columns that are floats widened floats? */
static bool
floats_are_floats(MsLoad *load, const MsRows *rows)
{
	for (int v = 0; v < load->nvalues; v++)
	{
		if (load->value_cols[v].kind != MS_FLOAT4)
			continue;
		for (int i = 0; i < rows->nrows; i++)
		{
			double		value = rows->values[v][i];

			if ((rows->nulls == NULL || rows->nulls[v] == NULL || !rows->nulls[v][i]) &&
				ms_double_bits(ms_float4_widen(ms_float4_narrow(value))) != ms_double_bits(value))
				return false;
		}
	}
	return true;
}

static void
take_as_is(MsLoad *load, const uint8 *bytes, uint32 len, const MsChunk *chunk)
{
	ms_write_chunk(load->rel, load->labels, load->desc->nlabels, bytes, len,
				   chunk->nrows, chunk->tmin, chunk->tmax, load->cid);
	load->nloaded += chunk->nrows;
}

/* Decodes the columns asked for (NULL: all). */
static void
decode(MsLoad *load, const MsChunk *chunk, const bool *need, MsRows *rows)
{
	alloc_rows(rows, chunk->nrows, chunk->ncols);
	if (!ms_chunk_decode(chunk, need, rows, load->work))
		ms_load_corrupted(load, "a chunk is malformed");
}

/* See load.h. */
void
ms_load_chunk(MsLoad *load, const uint8 *bytes, uint32 len, const MsChunk *chunk)
{
	MemoryContext old = MemoryContextSwitchTo(load->chunk_context);
	bool	   *need = palloc(sizeof(bool) * Max(load->nvalues, 1));
	MsRows		rows = {0};
	bool		as_is = lies_well(load, chunk);

	if (as_is && columns_to_check(load, need))
	{
		decode(load, chunk, need, &rows);
		check_not_null(load, &rows);
		as_is = floats_are_floats(load, &rows);
	}

	if (as_is)
		take_as_is(load, bytes, len, chunk);
	else
	{
		MsRows		arranged;
		int			first;
		int			end;

		decode(load, chunk, NULL, &rows);
		keep_range(load, &rows, &first, &end);
		check_not_null(load, &rows);
		arrange(load, &rows, &arranged);
		if (first < end)
			write_rows(load, &arranged, first, end);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(load->chunk_context);
}
