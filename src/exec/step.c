/*-------------------------------------------------------------------------
 *
 * step.c
 *	  Row by row through one series, in either direction.
 *
 * The cursor hands out all rows of a window at once.  Who wants only the first
 * or last few rows of a series goes through it block by block instead, and
 * decodes no block that it does not come to.  Where pieces have to be merged
 * with the chunk, the window is decoded whole.
 *
 * Most want one row and no more.  So the first one is found alone: in the
 * totals of a chunk, if it is the last and they know it (for which the cursor was
 * told to look), else in its block without decoding the others.  If more are
 * asked for, the chunk or the block is read again, up to that row.  Conditions on values rule
 * out blocks and rows of blocks as they do in rows.c, before there is a row to test.  From totals its
 * values go straight into the slot.
 *
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"

#include "exec/agg.h"
#include "store/rowbuf.h"

struct MsStepper
{
	/* One decoded block. */
	int64		times[MS_BLOCK_ROWS];
	double	  **values;			/* by ordinal; of needed ones, MS_BLOCK_ROWS
								 * each */
	bool	  **nulls;
	bool	  **have_nulls;		/* what rows.nulls points to */

	/* By ordinal: the needed column, or NULL. */
	const MsScanColumn **columns;
	int			ncolumns;		/* ordinals of needed ones are below this */

	/* Where we are. */
	bool		backward;
	bool		begun;			/* the first row was found */
	bool		alone;			/* it is at hand, without its neighbours */
	int64		lo;				/* times to be read: [lo, hi) */
	int64		hi;
	bool		in_part;		/* blocks of a plain part are to come */
	MsPart		part;
	int			block;			/* of those: how many were visited */
	MsBlockInfo info;			/* the one visited last... */
	const bool *selected;		/* ...and which of its rows may be wanted;
								 * NULL: all */
	int			row;			/* rows of state->rows visited */
};

static MsStepper *
create_buffers(MsScanState *state)
{
	MsStepper  *step = MemoryContextAllocZero(state->scan_cxt, sizeof(MsStepper));
	int			nvalues = Max(state->desc->nvalues, 1);

	step->values = MemoryContextAllocZero(state->scan_cxt, sizeof(double *) * nvalues);
	step->nulls = MemoryContextAllocZero(state->scan_cxt, sizeof(bool *) * nvalues);
	step->have_nulls = MemoryContextAllocZero(state->scan_cxt, sizeof(bool *) * nvalues);
	step->columns = MemoryContextAllocZero(state->scan_cxt, sizeof(MsScanColumn *) * nvalues);
	for (int i = 0; i < state->ncolumns; i++)
	{
		const MsScanColumn *column = &state->columns[i];

		step->columns[column->ordinal] = column;
		step->ncolumns = Max(step->ncolumns, column->ordinal + 1);
	}
	for (int i = 0; i < state->desc->nvalues; i++)
	{
		if (!state->need[i])
			continue;
		step->values[i] = MemoryContextAlloc(state->scan_cxt, sizeof(double) * MS_BLOCK_ROWS);
		step->nulls[i] = MemoryContextAlloc(state->scan_cxt, sizeof(bool) * MS_BLOCK_ROWS);
	}
	return step;
}

/* The values of a column that the chunk does not have. */
static void
fill_missing(MsScanState *state, MsStepper *step, int ordinal, int n)
{
	double		value;
	bool		isnull = !ms_cursor_missing(state->cursor, ordinal, &value);

	for (int i = 0; i < n; i++)
	{
		step->values[ordinal][i] = isnull ? 0 : value;
		step->nulls[ordinal][i] = isnull;
	}
	step->have_nulls[ordinal] = isnull ? step->nulls[ordinal] : NULL;
}

/* Makes the first n decoded rows those at hand. */
static void
show_rows(MsScanState *state, MsStepper *step, int n)
{
	state->rows.nrows = n;
	state->rows.ncols = state->desc->nvalues;
	state->rows.times = step->times;
	state->rows.values = step->values;
	state->rows.nulls = step->have_nulls;
}

/* Decodes a block into state->rows. */
static void
read_block(MsScanState *state, MsStepper *step, const MsPart *part, const MsBlockInfo *block)
{
	MsCodecWork *work = ms_cursor_work(state->cursor);

	if (!ms_chunk_block_times(&part->chunk, block, step->times))
		ms_cursor_damaged(state->cursor);
	for (int i = 0; i < state->desc->nvalues; i++)
	{
		bool		any;

		if (!state->need[i])
			continue;
		if (i >= part->chunk.ncols)
		{
			fill_missing(state, step, i, block->nrows);
			continue;
		}
		if (!ms_chunk_block_values(&part->chunk, block, i, step->values[i],
								   step->nulls[i], &any, work))
			ms_cursor_damaged(state->cursor);
		step->have_nulls[i] = any ? step->nulls[i] : NULL;
	}
	show_rows(state, step, block->nrows);
	ms_cursor_stats(state->cursor)->blocks_read++;
}

/* Decodes the row of a block that comes first, if it is in the range. */
static bool
read_edge(MsScanState *state, MsStepper *step, const MsPart *part, const MsBlockInfo *block)
{
	int			row = step->backward ? block->nrows - 1 : 0;

	step->times[0] = step->backward ? block->tmax : block->tmin;
	if (step->times[0] < step->lo || step->times[0] >= step->hi)
		return false;
	for (int i = 0; i < state->desc->nvalues; i++)
	{
		if (!state->need[i])
			continue;
		step->have_nulls[i] = step->nulls[i];
		if (i >= part->chunk.ncols)
			fill_missing(state, step, i, 1);
		else if (!ms_chunk_block_value(&part->chunk, block, i, row, step->values[i],
									   step->nulls[i]))
			ms_cursor_damaged(state->cursor);
	}
	show_rows(state, step, 1);
	ms_cursor_stats(state->cursor)->blocks_read++;
	return true;
}

/* Shows the last row of a part that is that row alone; whoever wants its values decodes them. */
static void
show_last(MsScanState *state, MsStepper *step, const MsPart *part)
{
	step->times[0] = part->totals.tmax;
	show_rows(state, step, 1);
	ms_cursor_stats(state->cursor)->samples_read++;
}

/* Rows of a block that is skipped, for EXPLAIN. */
static void
count_removed(MsScanState *state, const MsStepper *step, const MsBlockInfo *block)
{
	int			n = block->nrows;

	if (!state->analyze)
		return;
	if (block->tmin < step->lo || block->tmax >= step->hi)
	{
		const int64 *times = ms_batch_times(state, &state->batch);

		n = ms_first_time(times, n, step->hi) - ms_first_time(times, n, step->lo);
	}
	InstrCountFiltered1(&state->css.ss.ps, n);
}

/* Finds out which rows of the block at hand conditions on values leave; false if none. */
static bool
select_rows(MsScanState *state, MsStepper *step)
{
	MsPredSet  *filter = state->step_filter;
	MsBatch    *batch = &state->batch;
	MsSelection selection;

	step->selected = NULL;
	if (filter == NULL)
		return true;
	if (!state->step_filter_started)
		ms_preds_start(state, filter);
	state->step_filter_started = true;
	ms_batch_begin(state, batch, step->info.nrows);
	batch->chunk = &step->part.chunk;
	batch->block = &step->info;
	filter->decided = false;
	selection = ms_preds_decide(state, filter, batch);
	if (selection == MS_SELECT_ALL)
		return true;
	if (selection == MS_SELECT_SOME)
	{
		ms_preds_mask(state, filter, batch, 0, batch->n, NULL);
		step->selected = filter->mask;
		if (memchr(filter->mask, true, batch->n) != NULL)
			return true;
	}
	count_removed(state, step, &step->info);
	ms_cursor_stats(state->cursor)->blocks_skipped++;
	ms_cursor_stats(state->cursor)->samples_skipped += step->info.nrows;
	return false;
}

/* The next rows of a plain part; false at its end. */
static bool
next_block(MsScanState *state, MsStepper *step)
{
	const MsPart *part = &step->part;
	MsBlockInfo *block = &step->info;

	for (; step->block < part->chunk.nblocks; step->block++)
	{
		int			i = step->block;

		if (!ms_chunk_block(&part->chunk, step->backward ? part->chunk.nblocks - 1 - i : i,
							block))
			ms_cursor_damaged(state->cursor);
		if (block->tmax < step->lo || block->tmin >= step->hi || !select_rows(state, step))
			continue;
		step->alone = !step->begun && step->selected == NULL && read_edge(state, step, part, block);
		if (!step->alone)
		{
			read_block(state, step, part, block);
			step->block++;
		}
		return true;
	}
	return false;
}

/* Takes the row at hand off the range, and its block off the count, for it is read again. */
static void
leave_row(MsScanState *state, MsStepper *step)
{
	if (step->backward)
		step->hi = state->rows.times[0];
	else
		step->lo = state->rows.times[0] + 1;
	if (!step->part.last)
		ms_cursor_stats(state->cursor)->blocks_read--;
	step->alone = false;
}

/* Gets the next rows in state->rows; false at the end of the series. */
static bool
next_rows(MsScanState *state, MsStepper *step)
{
	MsPart	   *part = &step->part;
	bool		again = step->alone && part->last;

	if (step->alone)
		leave_row(state, step);
	step->row = 0;
	for (;;)
	{
		if (step->in_part && next_block(state, step))
			break;
		step->in_part = false;
		step->selected = NULL;
		state->rows.nrows = 0;
		if (again ? !ms_cursor_part_again(state->cursor, part) :
			!ms_cursor_next_part(state->cursor, part))
			return false;
		again = false;
		step->in_part = part->plain;
		step->block = 0;
		step->alone = part->last;
		if (part->last)
		{
			show_last(state, step, part);
			break;
		}
		if (!part->plain && ms_cursor_part_rows(state->cursor, &state->rows))
			break;
	}
	step->begun = true;
	return true;
}

/*
 * Begins with the series on which the cursor stands, which reads in the same
 * direction, and backward may give last rows alone.
 */
void
ms_step_start(MsScanState *state, bool backward)
{
	if (state->step == NULL)
		state->step = create_buffers(state);
	state->step->backward = backward;
	state->step->begun = false;
	state->step->alone = false;
	state->step->lo = state->lo;
	state->step->hi = state->hi;
	state->step->in_part = false;
	state->step->selected = NULL;
	state->step->row = 0;
	state->rows.nrows = 0;
}

/*
 * Goes to the next row of the series within the range of time; state->rows.times[state->row] is its time, and
 * ms_step_fill_slot gives all of it.
 */
bool
ms_step_next(MsScanState *state)
{
	MsStepper  *step = state->step;

	for (;;)
	{
		while (step->row < state->rows.nrows)
		{
			int			i = step->row++;
			int			row = step->backward ? state->rows.nrows - 1 - i : i;

			if (state->rows.times[row] < step->lo || state->rows.times[row] >= step->hi)
				continue;
			if (step->part.plain)
				ms_cursor_stats(state->cursor)->samples_read++;
			if (step->selected == NULL || step->selected[row])
			{
				state->row = row;
				return true;
			}
			InstrCountFiltered1(&state->css.ss.ps, 1);
		}
		if (!next_rows(state, step))
			return false;
	}
}

/* The values of a last row that is alone, straight from the totals. */
static void
fill_last(MsScanState *state, const MsStepper *step, Datum *values, bool *isnull)
{
	const MsTotals *totals = &step->part.totals;
	MsReader	r;

	ms_reader_init(&r, totals->last, totals->last + totals->last_len);
	for (int i = 0; i < step->ncolumns; i++)
	{
		const MsScanColumn *column = step->columns[i];
		double		v;
		bool		null = !ms_totals_next_last(&r, &v);

		if (column == NULL)
			continue;
		isnull[column->att] = null;
		values[column->att] = column->is_float4 ? Float4GetDatum(ms_float4_narrow(v)) : Float8GetDatum(v);
	}
	if (r.bad)
		ms_cursor_damaged(state->cursor);
}

/* Puts the row at hand into the slot, which is empty. */
void
ms_step_fill_slot(MsScanState *state, TupleTableSlot *slot)
{
	const MsStepper *step = state->step;
	MsRows		rows = state->rows;
	int			natts = slot->tts_tupleDescriptor->natts;
	int			time = state->desc->time_att - 1;
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;

	memcpy(values, state->template_values, sizeof(Datum) * natts);
	memcpy(isnull, state->template_isnull, sizeof(bool) * natts);
	values[time] = TimestampTzGetDatum(rows.times[state->row]);
	isnull[time] = false;
	if (step->part.last)
	{
		fill_last(state, step, values, isnull);
		return;
	}
	for (int i = 0; i < state->ncolumns; i++)
	{
		const MsScanColumn *col = &state->columns[i];

		ms_scan_value(&rows, state->row, col->ordinal, col->is_float4, &values[col->att],
					  &isnull[col->att]);
	}
}
