/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Some rows of one series, decoded column by column as they are asked for.
 *
 * Whether rows are aggregated or handed out, they are gone through a block at a
 * time: what the block's header tells may do, or rule the block out, and a
 * column is decoded once somebody looks at it, whoever that is.  Where rows just
 * written have not been folded, the cursor merges them, and a batch is a block's
 * worth of what it made.
 *
 * What a batch has of a column stands in the scan's array of columns, so there
 * is one batch at a time.
 *
 * Locks: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "exec/exec.h"
#include "exec/scan.h"

/* Begins with n rows, which the caller then names: a block, or decoded rows. */
void
ms_batch_begin(MsScanState *state, MsBatch *batch, int n)
{
	CHECK_FOR_INTERRUPTS();
	batch->n = n;
	batch->times = NULL;
	batch->chunk = NULL;
	batch->block = NULL;
	batch->rows = NULL;
	batch->row = 0;
	batch->decoded = batch->spared = false;
	batch->one_group = false;
	for (int i = 0; i < state->ncolumns; i++)
		state->columns[i].loaded = state->columns[i].summarized = false;
}

/* Times of the batch, decoded now if need be. */
const int64 *
ms_batch_times(MsScanState *state, MsBatch *batch)
{
	if (batch->times == NULL)
	{
		if (!ms_chunk_block_times(batch->chunk, batch->block, batch->time_room))
			ms_cursor_damaged(state->cursor);
		batch->times = batch->time_room;
	}
	return batch->times;
}

/* A column that the chunk does not have. */
static void
load_missing(MsScanState *state, MsBatch *batch, MsScanColumn *column)
{
	double		value;
	bool		isnull = !ms_cursor_missing(state->cursor, column->ordinal, &value);

	for (int i = 0; i < batch->n; i++)
		column->value_room[i] = value;
	column->values = column->value_room;
	column->nulls = NULL;
	if (isnull)
	{
		memset(column->null_room, true, batch->n);
		column->nulls = column->null_room;
	}
}

/* Makes a column's values those of the batch. */
void
ms_batch_load(MsScanState *state, MsBatch *batch, MsScanColumn *column)
{
	bool		has_nulls;

	if (column->loaded)
		return;
	column->loaded = true;
	if (batch->rows != NULL)
	{
		const bool *nulls = batch->rows->nulls ? batch->rows->nulls[column->ordinal] : NULL;

		column->values = batch->rows->values[column->ordinal] + batch->row;
		column->nulls = nulls ? nulls + batch->row : NULL;
		return;
	}
	batch->decoded = true;
	if (column->value_room == NULL)
	{
		column->value_room = MemoryContextAlloc(state->css.ss.ps.state->es_query_cxt,
												(sizeof(double) + sizeof(bool)) * MS_BLOCK_ROWS);
		column->null_room = (bool *) (column->value_room + MS_BLOCK_ROWS);
	}
	if (column->ordinal >= batch->chunk->ncols)
	{
		load_missing(state, batch, column);
		return;
	}
	if (!ms_chunk_block_values(batch->chunk, batch->block, column->ordinal, column->value_room,
							   column->null_room, &has_nulls, ms_cursor_work(state->cursor)))
		ms_cursor_damaged(state->cursor);
	column->values = column->value_room;
	column->nulls = has_nulls ? column->null_room : NULL;
}

/* What one row has in a column, of whose other rows none may be needed. */
void
ms_batch_value(MsScanState *state, MsBatch *batch, MsScanColumn *column, int row,
			   double *value, bool *isnull)
{
	if (!batch->one_group || column->loaded || column->ordinal >= batch->chunk->ncols)
	{
		ms_batch_load(state, batch, column);
		*value = column->values[row];
		*isnull = column->nulls != NULL && column->nulls[row];
		return;
	}
	batch->decoded = true;
	if (!ms_chunk_block_value(batch->chunk, batch->block, column->ordinal, row, value, isnull))
		ms_cursor_damaged(state->cursor);
}

/* Makes a column's summary that of the batch; false if there is none, or it shall not be used. */
bool
ms_batch_summary(MsScanState *state, MsBatch *batch, MsScanColumn *column)
{
	MsSummary  *s = &column->summary;

	if (batch->block == NULL || !ms_enable_summaries)
		return false;
	if (column->summarized)
		return true;
	column->summarized = true;
	if (column->ordinal < batch->chunk->ncols)
	{
		if (!ms_chunk_block_summary(batch->chunk, batch->block, column->ordinal, s))
			ms_cursor_damaged(state->cursor);
		return true;
	}
	memset(s, 0, sizeof(*s));
	if (ms_cursor_missing(state->cursor, column->ordinal, &s->min))
	{
		s->count = batch->n;
		s->max = s->min;
		s->has_nan = s->min != s->min;
		s->sum = s->min * batch->n;
	}
	return true;
}

/*
 * The same from the integers that the values are stored as, which takes half as long
 * as from the values; false if they are not, or the values are there already.
 */
bool
ms_batch_totals(MsScanState *state, MsBatch *batch, MsScanColumn *column)
{
	if (batch->block == NULL || column->loaded)
		return false;
	if (!column->summarized)
	{
		column->summarized = ms_chunk_block_totals(batch->chunk, batch->block, column->ordinal,
												   &column->summary,
												   ms_cursor_work(state->cursor));
		batch->decoded = true;
	}
	return column->summarized;
}

/*
 * The same of runs of rows, of which run i has rows bounds[i] to bounds[i + 1] - 1;
 * MS_VALUE_RUNS at most.
 */
bool
ms_batch_run_totals(MsScanState *state, MsBatch *batch, MsScanColumn *column,
					const int *bounds, int nruns, MsSummary *results)
{
	if (batch->chunk == NULL || column->loaded)
		return false;
	batch->decoded = true;
	return ms_chunk_block_run_totals(batch->chunk, batch->block, column->ordinal, bounds, nruns,
									 results, ms_cursor_work(state->cursor));
}

/* ---- rows for PostgreSQL's expressions ---- */

/* Puts the labels at hand and a time into the row slot. */
void
ms_scan_fill_time(MsScanState *state, int64 t)
{
	TupleTableSlot *slot = state->row_slot;
	int			natts = slot->tts_tupleDescriptor->natts;
	int			time = state->desc->time_att - 1;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, state->template_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, state->template_isnull, sizeof(bool) * natts);
	slot->tts_values[time] = TimestampTzGetDatum(t);
	slot->tts_isnull[time] = false;
	ExecStoreVirtualTuple(slot);
}

/* Puts a row of the batch into the row slot, with all columns that are used. */
void
ms_batch_fill_row(MsScanState *state, MsBatch *batch, int row)
{
	TupleTableSlot *slot = state->row_slot;

	ms_scan_fill_time(state, ms_batch_times(state, batch)[row]);
	for (int i = 0; i < state->ncolumns; i++)
	{
		MsScanColumn *column = &state->columns[i];
		int			at = column->att;

		ms_batch_load(state, batch, column);
		slot->tts_isnull[at] = column->nulls != NULL && column->nulls[row];
		if (!slot->tts_isnull[at])
			slot->tts_values[at] = column->is_float4 ?
				Float4GetDatum(ms_float4_narrow(column->values[row])) :
				Float8GetDatum(column->values[row]);
	}
}
