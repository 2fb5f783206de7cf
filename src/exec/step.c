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
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "exec/scan.h"

struct MsStepper
{
	/* One decoded block. */
	int64		times[MS_BLOCK_ROWS];
	double	  **values;			/* by ordinal; of needed ones, MS_BLOCK_ROWS
								 * each */
	bool	  **nulls;
	bool	  **have_nulls;		/* what rows.nulls points to */

	/* Where we are. */
	bool		backward;
	bool		in_part;		/* blocks of a plain part are to come */
	MsPart		part;
	int			block;			/* of those: how many were visited */
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
	state->rows.nrows = block->nrows;
	state->rows.ncols = state->desc->nvalues;
	state->rows.times = step->times;
	state->rows.values = step->values;
	state->rows.nulls = step->have_nulls;
	ms_cursor_stats(state->cursor)->blocks_read++;
}

/* Gets the next rows in state->rows; false at the end of the series. */
static bool
next_rows(MsScanState *state, MsStepper *step)
{
	step->row = 0;
	for (;;)
	{
		MsPart	   *part = &step->part;

		while (step->in_part && step->block < part->chunk.nblocks)
		{
			int			i = step->block++;
			MsBlockInfo block;

			if (!ms_chunk_block(&part->chunk,
								step->backward ? part->chunk.nblocks - 1 - i : i, &block))
				ms_cursor_damaged(state->cursor);
			if (block.tmax < state->lo || block.tmin >= state->hi)
				continue;
			read_block(state, step, part, &block);
			return true;
		}

		if (!ms_cursor_next_part(state->cursor, part))
			return false;
		step->in_part = part->plain;
		step->block = 0;
		if (part->plain)
			ms_cursor_stats(state->cursor)->chunks_read++;
		else if (ms_cursor_part_rows(state->cursor, &state->rows))
			return true;
	}
}

/* Begins with the series on which the cursor stands, which reads in the same direction. */
void
ms_step_start(MsScanState *state, bool backward)
{
	if (state->step == NULL)
		state->step = create_buffers(state);
	state->step->backward = backward;
	state->step->in_part = false;
	state->step->row = 0;
	state->rows.nrows = 0;
}

/* Goes to the next row of the series within the range of time; state->rows and state->row have it. */
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

			if (state->rows.times[row] >= state->lo && state->rows.times[row] < state->hi)
			{
				state->row = row;
				ms_cursor_stats(state->cursor)->samples_read++;
				return true;
			}
		}
		if (!next_rows(state, step))
			return false;
	}
}
