/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  From the blocks of a series to rows that meet the conditions on values.
 *
 * A scan that goes series by series reads each a block at a time, so that what
 * it decodes is still in the processor's nearest cache when rows are made of it,
 * and nothing is decoded that nobody asks for.
 *
 * Comparisons of values, tests for NULL, and AND, OR and the like of them are met
 * for a whole block at a time (aggpred.c), before there are rows: a block that the
 * smallest and largest values of a column rule out is not decoded at all, and of
 * another only the rows that are left cost PostgreSQL anything, and the other
 * columns only if there are any.  These conditions are taken out of the node's
 * qual; the rest stays there.  EXPLAIN shows all of them as "Filter", and counts
 * rows removed either way.
 *
 * Where pieces have to be merged with the chunk, the cursor decodes the window
 * whole, and its rows come here a block's worth at a time.
 *
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "optimizer/clauses.h"
#include "pgstat.h"

#include "am/rowslot.h"
#include "am/slotfill.h"
#include "exec/agg.h"
#include "store/rowbuf.h"

#define FEW_ROWS	3			/* of a block: so many are quicker one by one */

struct MsRowReader
{
	MsPredSet	filter;			/* n 0: all rows */
	bool		filter_started; /* what is constant in the scan is known */
	MsFiller   *filler;			/* owned, as are... */
	double	  **values;			/* by ordinal: what state->rows points to */
	bool	  **nulls;

	/* Where we are in the series. */
	bool		in_chunk;		/* blocks of part.chunk are to come */
	bool		at_first;		/* the first of them is next */
	MsPart		part;
	MsBlockInfo block;			/* the one visited last */
	MsRows		decoded;		/* rows of a window, merged */
	int			next_decoded;

	const bool *selected;		/* of state->rows; NULL: all */

	/* If these are few rows of a block: [FEW_ROWS] for each column. */
	int64		few_times[FEW_ROWS];
	double	   *few_values;		/* owned */
	bool	   *few_nulls;		/* owned */
};

/*
 * Can a condition be met here?  An expression of values only if it cannot fail, as it is asked
 * of rows that nobody may get to (LIMIT), and not of labels, as there is no row to have them.
 */
static bool
takes_clause(const MsAggRel *rel, Expr *clause)
{
	MsPredMatch match;

	return ms_agg_match_block(rel, clause) ||
		(ms_agg_match_pred(rel, clause, &match) == MS_PRED_CALC &&
		 ms_agg_is_safe((Node *) clause) && !ms_agg_uses_labels(rel, (Node *) clause));
}

/* Makes a filter of those conditions of the node's qual that can be met here; returns the others. */
static List *
init_preds(MsScanState *state, MsPredSet *filter)
{
	PlanState  *ps = &state->css.ss.ps;
	MsAggRel	rel = {0};
	List	   *taken = NIL;
	List	   *rest = NIL;
	ListCell   *lc;

	rel.relid = ((Scan *) ps->plan)->scanrelid;
	rel.time_att = state->desc->time_att;
	rel.label_atts = ms_label_atts(state->desc);
	foreach(lc, ps->plan->qual)
	{
		if (takes_clause(&rel, lfirst(lc)))
			taken = lappend(taken, lfirst(lc));
		else
			rest = lappend(rest, lfirst(lc));
	}
	ms_preds_init(state, &rel, filter, taken);
	return rest;
}

/*
 * Takes from the node's qual what can be met here.  A condition with a sub-select
 * is not compiled a second time; then all of them stay, and are asked again of the
 * rows that are left.
 */
static void
init_filter(MsScanState *state, MsPredSet *filter)
{
	PlanState  *ps = &state->css.ss.ps;
	List	   *rest = init_preds(state, filter);

	if (filter->n > 0 && !contain_subplans((Node *) rest))
		ps->qual = ExecInitQual(rest, ps);
}

/*
 * Conditions that tell which blocks and rows need not be looked at, though the node's qual has them still; NULL: none, or
 * they would have to be looked at for each series.
 */
MsPredSet *
ms_rows_prefilter(MsScanState *state)
{
	MsPredSet  *filter = palloc0(sizeof(MsPredSet));

	init_preds(state, filter);
	return filter->n > 0 && !filter->needs_labels ? filter : NULL;
}

/* Makes a reader of rows, once columns are found; with_filter: it may change the node's qual. */
MsRowReader *
ms_rows_create(MsScanState *state, bool with_filter)
{
	MsRowReader *reader = palloc0(sizeof(MsRowReader));

	if (with_filter && state->css.ss.ps.plan->qual != NIL)
		init_filter(state, &reader->filter);
	return reader;
}

/* Forgets what depends on where columns are in the store. */
void
ms_rows_reset(MsRowReader *reader)
{
	if (reader->filler == NULL)
		return;
	ms_filler_free(reader->filler);
	pfree(reader->values);
	pfree(reader->nulls);
	pfree(reader->few_values);
	pfree(reader->few_nulls);
	reader->filler = NULL;
}

/* The scan begins, or begins again. */
void
ms_rows_start(MsScanState *state)
{
	MsRowReader *reader = state->reader;

	reader->filter_started = false;
	ms_cursor_set_lazy(state->cursor, true);
	if (reader->filler == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		int			nvalues = Max(state->desc->nvalues, 1);
		bool	   *wanted = palloc0(sizeof(bool) * Max(state->desc->natts, 1));

		for (int i = 0; i < state->ncolumns; i++)
			wanted[state->columns[i].att] = true;
		reader->filler = ms_filler_create(state->desc, wanted);
		reader->values = palloc0(sizeof(double *) * nvalues);
		reader->nulls = palloc0(sizeof(bool *) * nvalues);
		reader->few_values = palloc(sizeof(double) * FEW_ROWS * nvalues);
		reader->few_nulls = palloc(sizeof(bool) * FEW_ROWS * nvalues);
		pfree(wanted);
		MemoryContextSwitchTo(old);
	}
}

/* ---- batches ---- */

/* Rows that were not selected, for EXPLAIN. */
static void
count_removed(MsScanState *state, int n)
{
	InstrCountFiltered1(&state->css.ss.ps, n);
}

/*
 * Makes those rows of [from, to) that are selected, few of a block, the rows at hand:
 * their values are decoded one by one.
 */
static void
take_few(MsScanState *state, MsBatch *batch, int from, int to)
{
	MsRowReader *reader = state->reader;
	int			n = 0;

	batch->one_group = true;
	for (int i = 0; i < state->ncolumns; i++)
		reader->nulls[state->columns[i].ordinal] = NULL;
	for (int row = from; row < to; row++)
	{
		if (reader->selected != NULL && !reader->selected[row - from])
			continue;
		reader->few_times[n] = batch->times[row];
		for (int i = 0; i < state->ncolumns; i++)
		{
			MsScanColumn *column = &state->columns[i];
			double	   *values = reader->few_values + FEW_ROWS * i;
			bool	   *nulls = reader->few_nulls + FEW_ROWS * i;

			ms_batch_value(state, batch, column, row, &values[n], &nulls[n]);
			reader->values[column->ordinal] = values;
			if (nulls[n])
				reader->nulls[column->ordinal] = nulls;
		}
		n++;
	}
	state->rows.nrows = n;
	state->rows.times = reader->few_times;
	reader->selected = NULL;
}

/* Makes rows [from, to) of the batch those at hand. */
static void
take_all(MsScanState *state, const MsBatch *batch, int from, int to)
{
	MsRowReader *reader = state->reader;

	for (int i = 0; i < state->ncolumns; i++)
	{
		MsScanColumn *column = &state->columns[i];

		ms_batch_load(state, &state->batch, column);
		reader->values[column->ordinal] = unconstify(double *, column->values) + from;
		reader->nulls[column->ordinal] = column->nulls == NULL ? NULL :
			unconstify(bool *, column->nulls) + from;
	}
	state->rows.nrows = to - from;
	state->rows.times = unconstify(int64 *, batch->times) + from;
}

/* Makes rows [from, to) of the batch, n of which are selected, those at hand. */
static void
take_rows(MsScanState *state, MsBatch *batch, int from, int to, int n)
{
	MsRowReader *reader = state->reader;

	/* to be found again, a row must have its place among all rows */
	if (n <= FEW_ROWS && batch->block != NULL && state->refetch == NULL)
		take_few(state, batch, from, to);
	else
		take_all(state, batch, from, to);
	state->rows.ncols = state->desc->nvalues;
	state->rows.values = reader->values;
	state->rows.nulls = reader->nulls;
	state->row = -1;
	ms_filler_rows(reader->filler, &state->rows);
	if (state->refetch != NULL)
		ms_refetch_batch(state->refetch, state->desc->table, state->sid, state->rows.times[0]);
}

/* Makes those of rows [from, to) that the filter selects the rows at hand; false if it selects none. */
static bool
select_rows(MsScanState *state, int from, int to, MsSelection selection)
{
	MsRowReader *reader = state->reader;
	MsBatch    *batch = &state->batch;
	int			n = to - from;

	pgstat_count_index_tuples(state->css.ss.ss_currentRelation, to - from);
	reader->selected = NULL;
	if (selection == MS_SELECT_SOME)
	{
		n = 0;
		ms_preds_mask(state, &reader->filter, batch, from, to, NULL);
		reader->selected = reader->filter.mask + from;
		for (int i = 0; i < to - from; i++)
			n += reader->selected[i];
		count_removed(state, to - from - n);
		if (n == 0)
			return false;
	}
	take_rows(state, batch, from, to, n);
	return true;
}

static MsSelection
decide(MsScanState *state)
{
	MsRowReader *reader = state->reader;

	reader->filter.decided = false;
	return ms_preds_decide(state, &reader->filter, &state->batch);
}

/* Takes rows of a block; false if there are none. */
static bool
take_block(MsScanState *state, const MsBlockInfo *block)
{
	MsCursorStats *stats = ms_cursor_stats(state->cursor);
	MsBatch    *batch = &state->batch;
	MsSelection selection;
	int			from = 0;
	int			to = block->nrows;

	if (block->tmax < state->lo || block->tmin >= state->hi)
	{
		stats->blocks_skipped++;
		stats->samples_skipped += block->nrows;
		return false;
	}
	ms_batch_begin(state, batch, block->nrows);
	batch->chunk = &state->reader->part.chunk;
	batch->block = block;
	selection = decide(state);
	if (selection == MS_SELECT_NONE && !state->analyze)
	{
		stats->blocks_skipped++;
		return false;
	}

	ms_batch_times(state, batch);
	if (block->tmin < state->lo)
		from = ms_first_time(batch->times, batch->n, state->lo);
	if (block->tmax >= state->hi)
		to = ms_first_time(batch->times, batch->n, state->hi);
	if (selection == MS_SELECT_NONE)
	{
		count_removed(state, to - from);
		stats->blocks_skipped++;
		stats->samples_skipped += block->nrows;
		return false;
	}
	stats->blocks_read++;
	stats->samples_read += to - from;
	stats->samples_skipped += block->nrows - (to - from);
	return from < to && select_rows(state, from, to, selection);
}

/* Takes rows of the next block of the chunk that has any; false if no more have. */
static bool
next_of_chunk(MsScanState *state)
{
	MsRowReader *reader = state->reader;

	for (;;)
	{
		const MsChunk *chunk = &reader->part.chunk;

		if (reader->at_first)
		{
			reader->at_first = false;
			if (!ms_chunk_first_block(chunk, &reader->block))
				ms_cursor_damaged(state->cursor);
		}
		else if (!ms_chunk_next_block(chunk, &reader->block))
		{
			if (!ms_chunk_is_last(chunk, &reader->block))
				ms_cursor_damaged(state->cursor);
			return false;
		}
		if (take_block(state, &reader->block))
			return true;
	}
}

/* The same of rows that the cursor decoded; all are in range. */
static bool
next_of_decoded(MsScanState *state)
{
	MsRowReader *reader = state->reader;
	MsBatch    *batch = &state->batch;

	while (reader->next_decoded < reader->decoded.nrows)
	{
		MsSelection selection;

		ms_batch_begin(state, batch, Min(MS_BLOCK_ROWS,
										 reader->decoded.nrows - reader->next_decoded));
		batch->rows = &reader->decoded;
		batch->row = reader->next_decoded;
		batch->times = reader->decoded.times + batch->row;
		reader->next_decoded += batch->n;
		selection = decide(state);
		if (selection == MS_SELECT_NONE)
			count_removed(state, batch->n);
		else if (select_rows(state, 0, batch->n, selection))
			return true;
	}
	return false;
}

/* ---- a series ---- */

/* Begins with the series the scan has come to, some of whose rows may be at hand. */
static void
start_series(MsScanState *state)
{
	MsRowReader *reader = state->reader;

	if (!reader->filter_started)
		ms_preds_start(state, &reader->filter);
	reader->filter_started = true;
	if (reader->filter.needs_labels)
	{
		ms_scan_fill_time(state, 0);
		ms_preds_series(state, &reader->filter);
		ExecClearTuple(state->row_slot);
	}
	if (state->row_slots)
		ms_rowslot_begin_series(state->css.ss.ss_ScanTupleSlot);
	ms_filler_labels(reader->filler, state->template_values, state->template_isnull);
	reader->in_chunk = false;
	reader->decoded = state->rows;
	reader->next_decoded = 0;
	state->rows.nrows = 0;
}

/* Takes rows of the series; false if there are no more. */
static bool
next_of_series(MsScanState *state)
{
	MsRowReader *reader = state->reader;

	for (;;)
	{
		if (reader->in_chunk && next_of_chunk(state))
			return true;
		reader->in_chunk = false;
		if (next_of_decoded(state))
			return true;
		reader->decoded.nrows = 0;
		if (!ms_cursor_next_part(state->cursor, &reader->part))
			return false;
		if (reader->part.plain)
			reader->in_chunk = reader->at_first = true;
		else if (ms_cursor_part_rows(state->cursor, &reader->decoded))
			reader->next_decoded = 0;
	}
}

static bool
next_rows(MsScanState *state)
{
	state->rows.nrows = 0;
	if (!state->started)
		ms_scan_start(state);
	while (!state->done)
	{
		if (state->standing && next_of_series(state))
			return true;
		state->standing = false;
		state->rows.nrows = 0;
		if (ms_scan_next_series(state))
			start_series(state);
		else
			state->done = true;
	}
	return false;
}

/* Goes to the next row at hand that the filter selects; false if there are no more. */
static inline bool
next_selected(MsScanState *state)
{
	const bool *selected = state->reader->selected;
	const bool *found;

	if (++state->row >= state->rows.nrows)
		return false;
	if (selected == NULL || selected[state->row])
		return true;
	found = memchr(selected + state->row, true, state->rows.nrows - state->row);
	if (found == NULL)
		return false;
	state->row = found - selected;
	return true;
}

/*
 * Puts the next row into the slot; false at the end.  One that is not of rowslot.c must be empty, and the
 * caller marks it as filled.
 */
bool
ms_rows_next(MsScanState *state, TupleTableSlot *slot)
{
	while (!next_selected(state))
	{
		if (!next_rows(state))
			return false;
	}
	if (state->row_slots)
		ms_rowslot_store(slot, state->reader->filler, state->row);
	else
		ms_fill_slot(state->reader->filler, state->row, slot);
	if (state->refetch != NULL)
		ms_refetch_tid(state->refetch, state->row, &slot->tts_tid);
	return true;
}
