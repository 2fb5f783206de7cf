/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Scans as the server's own nodes and commands make them.
 *
 * The plain way to read a table: every series in the order of its id, each from
 * its oldest sample to its newest, all columns.  The custom scan (src/exec)
 * knows better; this one serves where no planner is asked (COPY TO, rewrites,
 * checks of constraints), and plans that have to do without it.
 *
 * Whatever the transaction has pending is flushed before the scan begins, so the
 * cursor finds everything in the store.  Which rows there are is decided by the
 * snapshot, so a scan needs no lock beyond that on the relation.
 *
 * A parallel scan deals out series by an atomic counter; a series is never split.
 *
 * Fetching backward is possible, for a cursor on a plain scan is scrollable: the
 * cursor is placed anew for each batch of rows it has to go back by.
 *
 * Rows of a plain scan have no tid, which is to say an invalid one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/skey.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "am/am.h"
#include "am/scan.h"
#include "am/serial.h"

typedef struct MsParallelScan
{
	ParallelTableScanDescData base;
	pg_atomic_uint32 next;		/* series id to be taken next */
} MsParallelScan;

/* ---- positions ---- */

/* The series after the current one, in the order this process is to take them. */
static bool
next_series(MsScan *scan)
{
	uint32		sid;

	if (scan->base.rs_parallel)
		sid = pg_atomic_fetch_add_u32(&((MsParallelScan *) scan->base.rs_parallel)->next, 1);
	else
		sid = scan->sid_valid ? scan->sid + 1 : 0;
	if (sid >= ms_cursor_series_limit(scan->cursor))
		return false;
	scan->sid = sid;
	scan->sid_valid = true;
	return true;
}

/* Sets the labels of the series the scan has just come to. */
static bool
load_labels(MsScan *scan)
{
	const MsLabelValue *labels;
	MemoryContext old;
	int			nlabels;

	if (!ms_cursor_labels(scan->cursor, scan->sid, &labels, &nlabels))
		return false;
	MemoryContextReset(scan->series_cxt);
	old = MemoryContextSwitchTo(scan->series_cxt);
	ms_reldesc_fill_labels(scan->desc, scan->tupdesc, labels,
						   nlabels, scan->values, scan->isnull);
	MemoryContextSwitchTo(old);
	ms_filler_labels(scan->filler, scan->values, scan->isnull);
	return true;
}

/* Stands on a series, before its first row at or after lo and before hi. */
static bool
seek_series(MsScan *scan, int64 lo, int64 hi)
{
	if (scan->lo != lo || scan->hi != hi)
	{
		ms_cursor_set_range(scan->cursor, lo, hi);
		scan->lo = lo;
		scan->hi = hi;
	}
	scan->rows.nrows = 0;
	scan->row = -1;
	return ms_cursor_seek(scan->cursor, scan->sid);
}

/* Gets more rows of the series. */
static bool
next_rows(MsScan *scan)
{
	if (!ms_cursor_next(scan->cursor, &scan->rows))
		return false;
	ms_filler_rows(scan->filler, &scan->rows);
	return true;
}

/* Steps on to the next row, wherever it is. */
bool
ms_scan_forward(MsScan *scan)
{
	if (scan->at_end || scan->cursor == NULL)
		return false;
	if (++scan->row < scan->rows.nrows)
		return true;

	for (;;)
	{
		if (scan->in_series && next_rows(scan))
		{
			scan->row = 0;
			return true;
		}
		CHECK_FOR_INTERRUPTS();
		if (!next_series(scan))
			break;
		scan->in_series = load_labels(scan) && seek_series(scan, PG_INT64_MIN, PG_INT64_MAX);
	}
	scan->in_series = false;
	scan->at_end = true;
	scan->rows.nrows = 0;
	scan->row = -1;
	return false;
}

/*
 * Stands on the last row of the current series before time hi, with the cursor so
 * placed that going on from there works; false if there is none.
 */
static bool
seek_last_before(MsScan *scan, int64 hi)
{
	int64		last = PG_INT64_MIN;
	bool		any = false;

	if (!seek_series(scan, PG_INT64_MIN, hi))
		return false;
	while (next_rows(scan))
	{
		last = scan->rows.times[0];
		any = true;
		CHECK_FOR_INTERRUPTS();
	}
	if (!any)
		return false;

	/* once more, from the start of that batch on, and to the series' end */
	if (!seek_series(scan, last, PG_INT64_MAX) ||
		!next_rows(scan))
		return false;
	scan->row = scan->rows.nrows - 1;
	while (scan->row >= 0 && scan->rows.times[scan->row] >= hi)
		scan->row--;
	return scan->row >= 0;
}

/* Steps back to the row before. */
static bool
scan_backward(MsScan *scan)
{
	if (scan->cursor == NULL || scan->base.rs_parallel)
		return false;
	if (!scan->at_end && scan->row > 0 && scan->row <= scan->rows.nrows)
	{
		scan->row--;
		return true;
	}

	if (!scan->at_end && scan->in_series && scan->rows.nrows > 0 &&
		seek_last_before(scan, scan->rows.times[0]))
		return true;
	for (;;)
	{
		if (scan->at_end)
		{
			scan->at_end = false;
			scan->sid = ms_cursor_series_limit(scan->cursor);
			scan->sid_valid = true;
		}
		if (!scan->sid_valid || scan->sid == 0)
			break;
		scan->sid--;
		CHECK_FOR_INTERRUPTS();
		scan->in_series = load_labels(scan) && seek_last_before(scan, PG_INT64_MAX);
		if (scan->in_series)
			return true;
	}
	ms_scan_restart(scan);
	return false;
}

/* Before the first row. */
void
ms_scan_restart(MsScan *scan)
{
	scan->sid = 0;
	scan->sid_valid = false;
	scan->in_series = false;
	scan->at_end = false;
	scan->rows.nrows = 0;
	scan->row = -1;
}

/* ---- rows ---- */

/* Puts the row the scan stands on into the slot. */
void
ms_scan_store(MsScan *scan, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	ms_fill_slot(scan->filler, scan->row, slot);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(scan->base.rs_rd);
}

bool
ms_scan_getnextslot(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	MsScan	   *scan = (MsScan *) sscan;
	bool		found;

	if (unlikely(slot->tts_tupleDescriptor != scan->tupdesc))
		ms_scan_adopt(scan, slot->tts_tupleDescriptor);
	if (ScanDirectionIsBackward(direction))
		found = scan_backward(scan);
	else
		found = ms_scan_forward(scan);
	if (!found)
	{
		ExecClearTuple(slot);
		return false;
	}
	ms_scan_store(scan, slot);
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

/* ---- callbacks ---- */

/* What a scan reads of every row. */
static void
open_cursor(MsScan *scan)
{
	const MsRelDesc *desc = scan->desc;
	bool	   *need = palloc0(sizeof(bool) * (desc->nvalues + 1));

	for (int i = 0; i < desc->natts; i++)
	{
		if (desc->cols[i].role == MS_ROLE_VALUE)
			need[desc->cols[i].ordinal] = true;
	}
	if (desc->table)
		scan->cursor = ms_cursor_open(desc->table, scan->base.rs_snapshot, PG_INT64_MIN,
									  PG_INT64_MAX, need, desc->nvalues);
	scan->lo = PG_INT64_MIN;
	scan->hi = PG_INT64_MAX;
	pfree(need);
}

/*
 * Takes the columns of the slot, which are not always the relation's: ALTER TABLE
 * has changed these already when it reads what there was before.
 */
void
ms_scan_adopt(MsScan *scan, TupleDesc tupdesc)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(scan));
	MsRelDesc  *desc = ms_reldesc_of_columns(scan->base.rs_rd, tupdesc);

	if (scan->desc)
	{
		/* another slot, or the same definition somewhere else in memory */
		if (desc->size != scan->desc->size ||
			memcmp(desc->cols, scan->desc->cols, sizeof(MsRelColumn) * desc->natts) != 0)
			elog(ERROR, "columns of \"%s\" changed during a scan",
				 RelationGetRelationName(scan->base.rs_rd));
		pfree(desc);
	}
	else
	{
		scan->desc = desc;
		scan->values = palloc0(sizeof(Datum) * (desc->natts + 1));
		scan->isnull = palloc0(sizeof(bool) * (desc->natts + 1));
		scan->filler = ms_filler_create(desc, NULL);
		open_cursor(scan);
	}
	scan->tupdesc = tupdesc;
	MemoryContextSwitchTo(old);
}

TableScanDesc
ms_scan_begin(Relation rel, Snapshot snapshot, int nkeys, ScanKey key,
			  ParallelTableScanDesc pscan, uint32 flags)
{
	MsScan	   *scan;

	if (flags & SO_TYPE_SAMPLESCAN)
		ms_refuse_sample(RelationGetRelationName(rel));
	if (flags & (SO_TYPE_TIDSCAN | SO_TYPE_TIDRANGESCAN))
		ms_refuse_tid(RelationGetRelationName(rel));
	if (nkeys > 0)
		elog(ERROR, "scan keys are not supported on memseries table \"%s\"",
			 RelationGetRelationName(rel));

	if (snapshot == NULL)		/* ANALYZE */
	{
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		flags |= SO_TEMP_SNAPSHOT;
	}
	ms_begin_read(rel, snapshot);

	scan = palloc0(sizeof(MsScan));
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = pscan;
	scan->series_cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries series",
											 ALLOCSET_SMALL_SIZES);
	ms_scan_restart(scan);
	RelationIncrementReferenceCount(rel);
	pgstat_count_heap_scan(rel);
	return &scan->base;
}

void
ms_scan_end(TableScanDesc sscan)
{
	MsScan	   *scan = (MsScan *) sscan;

	if (scan->cursor)
		ms_cursor_close(scan->cursor);
	RelationDecrementReferenceCount(sscan->rs_rd);
	if (sscan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(sscan->rs_snapshot);
	MemoryContextDelete(scan->series_cxt);
	if (scan->sample)
		pfree(scan->sample);
	if (scan->desc)
	{
		pfree(scan->desc);
		pfree(scan->values);
		pfree(scan->isnull);
		ms_filler_free(scan->filler);
	}
	pfree(scan);
}

void
ms_scan_rescan(TableScanDesc sscan, ScanKey key, bool set_params, bool allow_strat,
			   bool allow_sync, bool allow_pagemode)
{
	MsScan	   *scan = (MsScan *) sscan;

	ms_scan_restart(scan);
	pgstat_count_heap_scan(sscan->rs_rd);
}

Size
ms_parallelscan_estimate(Relation rel)
{
	return sizeof(MsParallelScan);
}

Size
ms_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	MsParallelScan *shared = (MsParallelScan *) pscan;

#ifdef MS_HAVE_PHS_LOCATOR
	pscan->phs_locator = rel->rd_locator;
#else
	pscan->phs_relid = RelationGetRelid(rel);
#endif
	pscan->phs_syncscan = false;
	pg_atomic_init_u32(&shared->next, 0);
	return sizeof(MsParallelScan);
}

void
ms_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan)
{
	pg_atomic_write_u32(&((MsParallelScan *) pscan)->next, 0);
}
