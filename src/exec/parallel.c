/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  Several processes share one scan.
 *
 * They share a counter: whoever needs work takes the next few series ids
 * from it.  Every process asks the label conditions for the series it took,
 * so that work is shared too.  The ids end at a limit each process has looked
 * up by itself; the limits may differ, but only by series so young that none
 * of their rows is visible to the query's snapshot, which is the same for
 * all.
 *
 * The other thing shared is what EXPLAIN ANALYZE wants to know.  Each process
 * adds its counters whenever it takes work, and when it ends.  The leader
 * picks the sums up when the scan is shut down, just before the memory goes
 * away.  If it shuts down early (LIMIT), processes still at work have added
 * all but their last batch of series.
 *
 * A scan that is not shared may run inside a parallel worker too, as the
 * inner side of a join: then no memory is provided, and the worker's
 * counters are lost.
 *
 * No locks: everything shared is atomic.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"

#include "exec/scan.h"

#define MAX_BATCH	64			/* series claimed at a time */
#define SHARES		16			/* batches per process, if series suffice */

/* Adds what the cursor did since last time to the counters. */
static void
count_cursor(MsScanState *state)
{
	const MsCursorStats *now;

	if (state->cursor == NULL)
		return;
	now = ms_cursor_stats(state->cursor);
	state->counters[MS_COUNT_CHUNKS_READ] += now->chunks_read - state->seen.chunks_read;
	state->counters[MS_COUNT_CHUNKS_SKIPPED] += now->chunks_skipped - state->seen.chunks_skipped;
	state->counters[MS_COUNT_CHUNKS_SUMMARIZED] += now->chunks_summarized - state->seen.chunks_summarized;
	state->counters[MS_COUNT_BLOCKS_READ] += now->blocks_read - state->seen.blocks_read;
	state->counters[MS_COUNT_BLOCKS_SKIPPED] += now->blocks_skipped - state->seen.blocks_skipped;
	state->counters[MS_COUNT_BLOCKS_SUMMARIZED] += now->blocks_summarized - state->seen.blocks_summarized;
	state->counters[MS_COUNT_PIECES_READ] += now->pieces_read - state->seen.pieces_read;
	state->counters[MS_COUNT_SAMPLES_READ] += now->samples_read - state->seen.samples_read;
	state->counters[MS_COUNT_SAMPLES_SKIPPED] += now->samples_skipped - state->seen.samples_skipped;
	state->seen = *now;
}

/* Brings the counters up to date, and into shared memory if the scan is shared. */
void
ms_scan_publish(MsScanState *state)
{
	count_cursor(state);
	if (state->shared == NULL)
		return;
	for (int i = 0; i < MS_NUM_SCAN_COUNTERS; i++)
	{
		if (state->counters[i] != 0)
			pg_atomic_fetch_add_u64(&state->shared->counters[i], state->counters[i]);
		state->counters[i] = 0;
	}
}

/* Sees to it that state->next is a series id of this process; false if none is left. */
bool
ms_scan_claim(MsScanState *state)
{
	MsScanShared *shared = state->shared;

	if (state->next < state->claimed)
		return true;
	if (shared == NULL)
		return false;

	ms_scan_publish(state);
	state->next = pg_atomic_fetch_add_u32(&shared->next, shared->batch);
	state->claimed = Min(state->limit, state->next + shared->batch);
	return state->next < state->claimed;
}

Size
ms_scan_estimate_dsm(CustomScanState *node, ParallelContext *pcxt)
{
	(void) node;
	(void) pcxt;
	return sizeof(MsScanShared);
}

void
ms_scan_initialize_dsm(CustomScanState *node, ParallelContext *pcxt, void *coordinate)
{
	MsScanState *state = (MsScanState *) node;
	MsScanShared *shared = (MsScanShared *) coordinate;
	MsTableStats stats = {0};

	if (state->desc->table != NULL)
		ms_table_stats(state->desc->table, &stats);
	shared->batch = stats.series_limit / ((pcxt->nworkers + 1) * SHARES);
	shared->batch = Max(1, Min(MAX_BATCH, shared->batch));
	pg_atomic_init_u32(&shared->next, 0);
	for (int i = 0; i < MS_NUM_SCAN_COUNTERS; i++)
		pg_atomic_init_u64(&shared->counters[i], 0);
	state->shared = shared;
}

void
ms_scan_reinitialize_dsm(CustomScanState *node, ParallelContext *pcxt, void *coordinate)
{
	MsScanShared *shared = (MsScanShared *) coordinate;

	(void) node;
	(void) pcxt;
	pg_atomic_write_u32(&shared->next, 0);
}

void
ms_scan_initialize_worker(CustomScanState *node, shm_toc *toc, void *coordinate)
{
	(void) toc;
	((MsScanState *) node)->shared = (MsScanShared *) coordinate;
}

/*
 * Called when no more rows are wanted, and before shared memory goes away.
 * A scan that is not shared may yet be continued.
 */
void
ms_scan_shutdown(CustomScanState *node)
{
	MsScanState *state = (MsScanState *) node;

	if (state->shared == NULL)
		return;
	ms_scan_publish(state);
	if (!IsParallelWorker())
	{
		for (int i = 0; i < MS_NUM_SCAN_COUNTERS; i++)
			state->totals[i] += pg_atomic_read_u64(&state->shared->counters[i]);
	}
	state->shared = NULL;
	state->done = true;
	state->rows.nrows = 0;
}
