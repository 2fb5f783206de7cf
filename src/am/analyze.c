/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  Sizes for the planner, and blocks for ANALYZE, which memseries has not.
 *
 * ANALYZE draws a random sample of blocks, then of the rows in them.  To serve
 * it, the rows of a table in scan order are cut into virtual blocks of equal
 * numbers of rows.  There are as many as relation_size says, about one for
 * ROWS_PER_BLOCK rows, but at most MAX_BLOCKS: servers before 17 prefetch the
 * blocks from the (empty) file, and fail above its first gigabyte.
 *
 * A fold counts rows twice until it is done, so that there may be fewer blocks a moment
 * later.  ANALYZE asks once how many there are; that is how many it gets.
 *
 * Blocks are asked for in rising order, so one walk over the table serves all of
 * them.  How many rows each series has must be known before: from the headers of
 * chunks if everything is folded, else by counting what the cursor shows, with
 * all columns left out.
 *
 * The planner gets the memory in use as pages, since reading costs in proportion
 * to that, and the rows from the store's counters, which take runs of
 * transactions under way for committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/scan.h"
#include "am/write.h"
#include "store/stats.h"

#define ROWS_PER_BLOCK	64
#define MAX_BLOCKS		131072

typedef struct MsSample
{
	BlockNumber nblocks;
	uint64		nrows;			/* of all series */
	uint32		nseries;
	uint64	   *before;			/* owned; by series id, rows before its first;
								 * one more for the end */

	/* what is to be read of the block in hand */
	BlockNumber block;
	uint64		at;				/* the scan stands before this row */
	uint64		from;
	uint64		to;
} MsSample;

/* How many blocks this backend was told last that a relation has, and which. */
static Oid	told_relid = InvalidOid;
static BlockNumber told_blocks;

/* ---- sizes ---- */

static BlockNumber
virtual_blocks(uint64 nrows)
{
	return (BlockNumber) Min((nrows + ROWS_PER_BLOCK - 1) / ROWS_PER_BLOCK, MAX_BLOCKS);
}

/* What this transaction has written counts, too: ANALYZE and the planner would take the table for empty. */
static void
get_stats(Relation rel, MsTableStats *stats)
{
	MsTable    *table = ms_reldesc(rel)->table;
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));

	ms_write_flush(&key);
	if (table)
		ms_table_stats(table, stats);
	else
		memset(stats, 0, sizeof(MsTableStats));
}

uint64
ms_relation_size(Relation rel, ForkNumber fork)
{
	MsTableStats stats;

	if (fork != MAIN_FORKNUM && fork != InvalidForkNumber)
		return 0;
	get_stats(rel, &stats);
	told_relid = RelationGetRelid(rel);
	told_blocks = virtual_blocks(stats.samples);
	return (uint64) told_blocks * BLCKSZ;
}

void
ms_relation_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages,
						  double *tuples, double *allvisfrac)
{
	MsTableStats stats;

	(void) attr_widths;
	get_stats(rel, &stats);
	*tuples = (double) (stats.samples);
	*pages = (BlockNumber) Min((stats.chunk_bytes + stats.run_bytes + BLCKSZ - 1) / BLCKSZ, MaxBlockNumber);
	if (*tuples > 0 && *pages == 0)
		*pages = 1;
	*allvisfrac = 0;
}

/* ---- ANALYZE ---- */

static uint64
count_series(MsCursor *cursor, uint32 sid)
{
	MsRows		rows;
	uint64		n = 0;

	if (ms_cursor_seek(cursor, sid))
	{
		while (ms_cursor_next(cursor, &rows))
			n += rows.nrows;
	}
	return n;
}

/* Finds out how many rows there are before each series. */
static MsSample *
prepare_sample(MsScan *scan)
{
	MsTable    *table = scan->desc->table;
	MsSample   *sample = palloc0(sizeof(MsSample));
	MsTableStats stats;
	MsCursor   *counter;
	bool	   *none;

	if (table == NULL)
		return sample;
	none = palloc0(sizeof(bool) * (scan->desc->nvalues + 1));
	counter = ms_cursor_open(table, scan->base.rs_snapshot, PG_INT64_MIN, PG_INT64_MAX,
							 none, scan->desc->nvalues);
	ms_table_stats(table, &stats);
	sample->nseries = ms_cursor_series_limit(counter);
	sample->before = palloc_extended(sizeof(uint64) * ((Size) sample->nseries + 1),
									 MCXT_ALLOC_HUGE);
	for (uint32 sid = 0; sid < sample->nseries; sid++)
	{
		CHECK_FOR_INTERRUPTS();
		sample->before[sid] = sample->nrows;
		sample->nrows += stats.runs == 0 ? ms_series_rows(table, sid) :
			count_series(counter, sid);
	}
	sample->before[sample->nseries] = sample->nrows;
	ms_cursor_close(counter);
	pfree(none);

	if (told_relid != RelationGetRelid(scan->base.rs_rd))
		(void) ms_relation_size(scan->base.rs_rd, MAIN_FORKNUM);
	sample->nblocks = told_blocks;
	return sample;
}

/* The last series that begins at or before the row, i.e. the one that holds it. */
static uint32
series_of_row(const MsSample *sample, uint64 row)
{
	uint32		lo = 0;
	uint32		hi = sample->nseries;

	while (hi - lo > 1)
	{
		uint32		mid = lo + (hi - lo) / 2;

		if (sample->before[mid] <= row)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Skips series as a whole up to the one that holds the row. */
static void
approach(MsScan *scan, uint64 row)
{
	MsSample   *sample = scan->sample;
	uint32		sid = series_of_row(sample, row);

	if (scan->sid_valid && sid <= scan->sid)
		return;
	ms_scan_restart(scan);
	if (sid > 0)
	{
		/* the next step takes the scan to the series after this one */
		scan->sid = sid - 1;
		scan->sid_valid = true;
	}
	sample->at = sample->before[sid];
}

static void
choose_block(MsScan *scan, BlockNumber block)
{
	MsSample   *sample;

	if (scan->sample == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(scan));

		ms_scan_adopt(scan, RelationGetDescr(scan->base.rs_rd));

		scan->sample = prepare_sample(scan);
		MemoryContextSwitchTo(old);
	}
	sample = scan->sample;
	sample->block = block;
	sample->from = sample->to = 0;
	if (block >= sample->nblocks)
		return;
	sample->from = (uint64) ((double) sample->nrows * block / sample->nblocks);
	sample->to = (uint64) ((double) sample->nrows * (block + 1) / sample->nblocks);
	if (sample->from < sample->to)
		approach(scan, sample->from);
}

#ifdef MS_HAVE_READ_STREAM
bool
ms_scan_analyze_next_block(TableScanDesc sscan, ReadStream *stream)
{
	BufferAccessStrategy strategy;
	BlockNumber block = read_stream_next_block(stream, &strategy);

	if (block == InvalidBlockNumber)
		return false;
	choose_block((MsScan *) sscan, block);
	return true;
}
#else
bool
ms_scan_analyze_next_block(TableScanDesc sscan, BlockNumber block,
						   BufferAccessStrategy strategy)
{
	choose_block((MsScan *) sscan, block);
	return true;
}
#endif

bool
ms_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId OldestXmin,
						   double *liverows, double *deadrows, TupleTableSlot *slot)
{
	MsScan	   *scan = (MsScan *) sscan;
	MsSample   *sample = scan->sample;

	while (sample->at < sample->to)
	{
		bool		wanted = sample->at >= sample->from;

		if (!ms_scan_forward(scan))
			break;
		sample->at++;
		if (!wanted)
			continue;
		ms_scan_store(scan, slot);
		ItemPointerSet(&slot->tts_tid, sample->block,
					   (OffsetNumber) Min(sample->at - sample->from, 32767));
		*liverows += 1;
		return true;
	}
	ExecClearTuple(slot);
	return false;
}
