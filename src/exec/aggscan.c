/*-------------------------------------------------------------------------
 *
 * aggscan.c
 *	  From the blocks of a series to its groups.
 *
 * A chunk that lies in one group whole is answered from its totals, if summaries suffice.
 *
 * What a block's header tells decides what happens to it: outside the range of
 * time or of a value asked for, it is skipped; if all its rows belong to one
 * group, each accumulator takes from the header what it can and decodes only the
 * columns it must; else its times are decoded and cut into runs of rows of one
 * bucket, and columns as they are asked for, unless the header tells that they
 * widen no group's range.  A column is decoded once per block, whoever asks.
 *
 * Windows where rows just written have not been folded are decoded and merged
 * by the cursor, and their rows come here the same way, a block's worth at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "exec/agg.h"
#include "store/rowbuf.h"

static void
begin_batch(MsAggState *state, MsBatch *batch, int n)
{
	ms_batch_begin(&state->scan, batch, n);
	for (int i = 0; i < state->nfilters; i++)
		state->filters[i]->decided = false;
	state->where.decided = false;
}

/* ---- rows into groups ---- */

/* The number of the group of the series' rows in an interval, t being the time of one of them. */
static int
group_for(MsAggState *state, MsInterval *interval, int64 t)
{
	if (state->lg < 0)
	{
		ms_scan_fill_time(&state->scan, t);
		state->lg = ms_keys_find(state, &state->label_keys);
	}
	return ms_group_of(state, state->lg, interval, t);
}

/* The group itself.  Valid until another one is asked for. */
static char *
group_at(MsAggState *state, MsInterval *interval, int64 t)
{
	int			group = group_for(state, interval, t);

	return ms_group_at(state, group);
}

static MsInterval *
interval_of(MsAggState *state, int64 t)
{
	return state->buckets.nfns > 0 ? ms_bucket_of(state, t) : NULL;
}

/* The first row of from..to whose time is not below `limit`; perhaps as many further on as last time. */
static int
run_end(const int64 *times, int from, int to, int64 limit, int last_time)
{
	int			end = from + last_time;

	if (times[to - 1] < limit)
		return to;
	if (last_time > 0 && end < to && times[end - 1] < limit && times[end] >= limit)
		return end;
	return from + ms_first_time(times + from, to - from, limit);
}

/* Rows from..to, of which the mask (NULL: all) is selected, to the groups of their buckets. */
static void
add_rows(MsAggState *state, MsBatch *batch, int from, int to, const bool *mask)
{
	const int64 *times = ms_batch_times(&state->scan, batch);
	int			nruns = 0;
	int			length = 0;

	while (from < to)
	{
		MsRunOfRows *run = &state->runs[nruns];
		MsInterval *interval;

		if (mask != NULL)
		{
			while (from < to && !mask[from])
				from++;
			if (from == to)
				break;
		}
		interval = interval_of(state, times[from]);
		run->from = from;
		run->to = interval != NULL ? run_end(times, from, to, interval->end, length) : to;
		run->group = group_for(state, interval, times[from]);
		from = run->to;
		length = run->to - run->from;
		nruns++;
	}
	for (int i = 0; i < state->naccs; i++)
		ms_acc_runs(state, &state->accs[i], batch, state->runs, nruns, mask);
}

/* Rows from..to of the batch that the WHERE clause selects. */
static void
select_rows(MsAggState *state, MsBatch *batch, int from, int to)
{
	const bool *mask = NULL;

	if (from >= to)
		return;
	if (ms_preds_decide(&state->scan, &state->where, batch) == MS_SELECT_SOME)
	{
		ms_preds_mask(&state->scan, &state->where, batch, from, to, NULL);
		mask = state->where.mask;
	}
	add_rows(state, batch, from, to, mask);
}

/* ---- blocks ---- */

/* Do the block's rows have one bucket? */
static bool
in_one_bucket(const MsInterval *interval, const MsBlockInfo *block)
{
	return interval == NULL || block->tmax < interval->end;
}

static bool
in_range(const MsAggState *state, const MsBlockInfo *block)
{
	return block->tmin >= state->scan.lo && block->tmax < state->scan.hi;
}

/* One block; next is the one behind it, or NULL. */
static void
add_block(MsAggState *state, const MsChunk *chunk, const MsBlockInfo *block,
		  const MsBlockInfo *next)
{
	MsCursorStats *stats = ms_cursor_stats(state->scan.cursor);
	MsBatch    *batch = &state->scan.batch;
	MsSelection where;

	begin_batch(state, batch, block->nrows);
	batch->chunk = chunk;
	batch->block = block;
	where = ms_preds_decide(&state->scan, &state->where, batch);
	if (where == MS_SELECT_NONE)
	{
		stats->blocks_skipped++;
		stats->samples_skipped += block->nrows;
		return;
	}
	stats->samples_read += block->nrows;
	if (where == MS_SELECT_ALL && in_range(state, block))
	{
		MsInterval *interval = interval_of(state, block->tmin);

		if (in_one_bucket(interval, block))
		{
			char	   *group;

			state->more_follows = state->where.n == 0 && next != NULL &&
				in_range(state, next) && in_one_bucket(interval, next);
			group = group_at(state, interval, block->tmin);
			batch->one_group = true;
			for (int i = 0; i < state->naccs; i++)
				ms_acc_block(state, &state->accs[i], group, batch);
			if (batch->decoded)
				stats->blocks_read++;
			else
				stats->blocks_summarized++;
			return;
		}
	}
	if (in_range(state, block))
		select_rows(state, batch, 0, batch->n);
	else
	{
		const int64 *times = ms_batch_times(&state->scan, batch);

		select_rows(state, batch, ms_first_time(times, batch->n, state->scan.lo),
					ms_first_time(times, batch->n, state->scan.hi));
	}
	if (batch->spared && !batch->decoded)
		stats->blocks_summarized++;
	else
		stats->blocks_read++;
}

static void
add_chunk(MsAggState *state, const MsChunk *chunk)
{
	MsCursorStats *stats = ms_cursor_stats(state->scan.cursor);
	MsBlockInfo blocks[2];
	MsBlockInfo *block = &blocks[0];
	MsBlockInfo *next = &blocks[1];
	bool		more;

	if (!ms_chunk_first_block(chunk, block))
		ms_cursor_damaged(state->scan.cursor);
	do
	{
		MsBlockInfo *done = block;

		*next = *block;
		more = ms_chunk_next_block(chunk, next);
		if (!more && !ms_chunk_is_last(chunk, block))
			ms_cursor_damaged(state->scan.cursor);
		/* a block that reaches below may have a row just below */
		if (block->tmin < state->scan.lo)
			state->seen_below = Max(state->seen_below, Min(block->tmax, state->scan.lo - 1));
		if (block->tmax < state->scan.lo || block->tmin >= state->scan.hi)
		{
			stats->blocks_skipped++;
			stats->samples_skipped += block->nrows;
		}
		else
			add_block(state, chunk, block, more ? next : NULL);
		block = next;
		next = done;
	} while (more);
}

/* A chunk by its totals: like one block that lies in one group. */
static void
add_totals(MsAggState *state, MsPart *part)
{
	MsCursorStats *stats = ms_cursor_stats(state->scan.cursor);
	MsBatch    *batch = &state->scan.batch;
	MsBlockInfo whole = {0};
	char	   *group;

	whole.nrows = part->totals.nrows;
	whole.tmin = part->totals.tmin;
	whole.tmax = part->totals.tmax;
	begin_batch(state, batch, whole.nrows);
	batch->block = &whole;
	for (int i = 0; i < state->scan.ncolumns; i++)
	{
		MsScanColumn *column = &state->scan.columns[i];

		if (!ms_totals_column(&part->totals, column->ordinal, &column->summary))
			ms_cursor_damaged(state->scan.cursor);
		column->summarized = true;
	}
	group = group_at(state, interval_of(state, whole.tmin), whole.tmin);
	for (int i = 0; i < state->naccs; i++)
		ms_acc_block(state, &state->accs[i], group, batch);
	batch->block = NULL;		/* it was ours */
	stats->samples_read += whole.nrows;
}

/* Rows that the cursor decoded and merged; all are in range. */
static void
add_decoded(MsAggState *state, const MsRows *rows)
{
	state->more_follows = false;
	for (int row = 0; row < rows->nrows; row += MS_BLOCK_ROWS)
	{
		MsBatch    *batch = &state->scan.batch;

		begin_batch(state, batch, Min(MS_BLOCK_ROWS, rows->nrows - row));
		batch->rows = rows;
		batch->row = row;
		batch->times = rows->times + row;
		if (ms_preds_decide(&state->scan, &state->where, batch) != MS_SELECT_NONE)
			select_rows(state, batch, 0, batch->n);
	}
}

/* ---- the first or the last row alone ---- */

static void
add_one_row(MsAggState *state, MsBatch *batch, int row, int64 t)
{
	char	   *group = group_at(state, NULL, t);

	for (int i = 0; i < state->naccs; i++)
		ms_acc_rows(state, &state->accs[i], group, batch, row, row + 1, NULL);
}

/* The block that the first or last row in range is in; false if there is none. */
static bool
edge_block(MsAggState *state, const MsChunk *chunk, MsBlockInfo *found)
{
	MsBlockInfo block;
	bool		any = false;

	if (chunk->tmin >= state->scan.hi)
		return false;
	if (!ms_chunk_first_block(chunk, &block))
		ms_cursor_damaged(state->scan.cursor);
	do
	{
		if (block.tmin >= state->scan.hi)
			break;
		if (block.tmax < state->scan.lo)
			continue;
		*found = block;
		any = true;
		if (state->reach == MS_REACH_FIRST)
			break;
	} while (ms_chunk_next_block(chunk, &block));
	return any;
}

/* Adds the first or last row of a block that is in range; false if there is none. */
static bool
add_block_edge(MsAggState *state, const MsChunk *chunk, const MsBlockInfo *block)
{
	MsCursorStats *stats = ms_cursor_stats(state->scan.cursor);
	MsBatch    *batch = &state->scan.batch;
	int			row;

	begin_batch(state, batch, block->nrows);
	batch->chunk = chunk;
	batch->block = block;
	if (state->reach == MS_REACH_FIRST)
		row = block->tmin >= state->scan.lo ? 0 :
			ms_first_time(ms_batch_times(&state->scan, batch), batch->n, state->scan.lo);
	else
		row = block->tmax < state->scan.hi ? batch->n - 1 :
			ms_first_time(ms_batch_times(&state->scan, batch), batch->n, state->scan.hi) - 1;
	if (row < 0 || row >= batch->n)
		return false;
	if (batch->times != NULL &&
		(batch->times[row] < state->scan.lo || batch->times[row] >= state->scan.hi))
		return false;

	/* a single time that the header tells needs no decoding */
	if (batch->times == NULL && (row == 0 || row == batch->n - 1))
	{
		batch->time_room[row] = row == 0 ? block->tmin : block->tmax;
		batch->times = batch->time_room;
	}
	batch->one_group = true;
	add_one_row(state, batch, row, batch->times[row]);
	if (batch->decoded)
		stats->blocks_read++;
	else
		stats->blocks_summarized++;
	stats->samples_read++;
	return true;
}

/* The same, of a chunk. */
static bool
add_chunk_edge(MsAggState *state, const MsChunk *chunk)
{
	MsBlockInfo block;
	bool		added;

	if (!edge_block(state, chunk, &block))
		return false;
	added = add_block_edge(state, chunk, &block);
	state->scan.batch.block = NULL; /* it was ours */
	return added;
}

static bool
add_decoded_edge(MsAggState *state, const MsRows *rows)
{
	MsBatch    *batch = &state->scan.batch;
	int			row = state->reach == MS_REACH_FIRST ? 0 : rows->nrows - 1;

	begin_batch(state, batch, 1);
	batch->rows = rows;
	batch->row = row;
	batch->times = rows->times + row;
	add_one_row(state, batch, 0, rows->times[row]);
	return true;
}

/* ---- a series ---- */

/*
 * Adds the rows of the series the cursor stands on to their groups.  Its labels
 * are in the template, if they are used.  lg is its label group, or -1 if that
 * is to be found when a row turns up.
 */
void
ms_agg_series(MsAggState *state, int lg)
{
	MsCursor   *cursor = state->scan.cursor;
	MsPart		part;
	MsRows		rows;

	state->lg = lg;
	if (state->needs_labels)
	{
		ms_scan_fill_time(&state->scan, 0);
		ms_preds_series(&state->scan, &state->where);
		for (int i = 0; i < state->nfilters; i++)
			ms_preds_series(&state->scan, state->filters[i]);
		ms_accs_series(state);
	}
	while (ms_cursor_next_part(cursor, &part))
	{
		if (state->reach != MS_REACH_ALL)
		{
			if (part.plain ? add_chunk_edge(state, &part.chunk) :
				ms_cursor_part_rows(cursor, &rows) && add_decoded_edge(state, &rows))
				break;
		}
		else if (part.total)
			add_totals(state, &part);
		else if (part.plain)
			add_chunk(state, &part.chunk);
		else
		{
			state->seen_pieces = true;
			if (ms_cursor_part_rows(cursor, &rows))
				add_decoded(state, &rows);
		}
	}
	ResetExprContext(state->scan.css.ss.ps.ps_ExprContext);
}
