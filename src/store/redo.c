/*-------------------------------------------------------------------------
 *
 * redo.c
 *	  Replaying the WAL records of memseries.
 *
 * Replay does what the writer did, with the same functions, in the startup
 * process.  It skips what a window already holds by its lsn, and what concerns
 * a table that is not there: that one was dropped later on, since every run
 * is preceded by a record of its table (see wal.c), or its window's snapshot
 * file made the table known.
 *
 * An ERROR here would stop the server, so a full segment must not be one as
 * long as there is another way.  The writer took its memory before it wrote the
 * record, so what is replayed fits, if memory is as large as it was there, the
 * same windows have expired (dropping them is in WAL), tables that were dropped
 * are, and runs do not pile up.  Dropping a table, truncating it and aborting
 * what made it are PostgreSQL's records, which we do not see; but they take the
 * storage's files away, so when memory or the directory is full, tables whose
 * files are gone are dropped here.  (A file may be gone before its time, since it
 * is what it was at the crash.  Then so is what this record is about.)  In
 * crash recovery nobody else folds runs, so this does, now and then.  A
 * standby with less memory than its primary can still fill up.  Then recovery
 * stops and says so, as PostgreSQL does when a standby's max_connections is too
 * small: nothing is lost, and with more memory it goes on.
 *
 * Snapshots during recovery.  On a standby nobody but this process writes
 * files: when a SNAPEND record comes by, which precedes the checkpoint record
 * it belongs to, so that a restartpoint at that checkpoint finds what it needs.  At
 * the end of recovery rm_cleanup writes them before the end-of-recovery
 * checkpoint, as there may be no guard yet.
 *
 * Locks: as the functions called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/load.h"
#include "store/maintain.h"
#include "store/snapshot.h"
#include "store/storage.h"
#include "store/wal.h"

/* In crash recovery, fold a table with so many runs or bytes of them. */
#define FOLD_RUNS	4096
#define FOLD_BYTES	(64 * 1024 * 1024)

/* More than an empty table takes. */
#define TABLE_BYTES	(256 * 1024)

static MemoryContext redo_context = NULL;

/* Counters must rise above whatever was given out before. */
static void
raise_counter(pg_atomic_uint64 *counter, uint64 value)
{
	if (value != MS_ORDER_PENDING && pg_atomic_read_u64(counter) < value)
		pg_atomic_write_u64(counter, value);
}

static void
fold_runs(MsTable *table, bool must)
{
	MsMaintainStats stats = {0};

	if (!must && (standbyState != STANDBY_DISABLED ||
				  (table->nruns < FOLD_RUNS && table->run_bytes < FOLD_BYTES)))
		return;
	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	ms_fold_table(table, PG_UINT64_MAX, &stats);
	ms_unlock(table->maintain);
}

/* Drops tables whose storage is gone. */
static void
sweep_storage(void)
{
	for (int i = 0; i < ms_store->max_tables; i++)
		(void) ms_storage_sweep_table(&ms_store->tables[i]);
}

/* Might there be no room for one more table? */
static bool
is_short_of_room(void)
{
	MsArenaStats stats;
	bool		full = true;

	ms_arena_stats(ms_store->arena, &stats);
	if (stats.free < stats.reserve + TABLE_BYTES)
		return true;

	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	for (int i = 0; full && i < ms_store->max_tables; i++)
		full = ms_store->tables[i].in_use;
	ms_unlock(ms_store->directory);
	return full;
}

static void
report_full(const MsTable *table)
{
	ereport(FATAL,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("memseries memory is full during recovery"),
			 errdetail("Storage %u/%u/%u; \"memseries.memory\" is %d kB here.",
					   table->key.spc, table->key.db, table->key.rel, ms_memory_kb),
			 errhint("Set \"memseries.memory\" at least as large as where the WAL was written, and start the server again. Nothing is lost.")));
}

static void
redo_run(XLogReaderState *record)
{
	MsXlRun		xl;
	MsTable    *table;
	MsPieceInput *pieces;
	MsRunWriter writer;
	MsRunInput	input;

	memcpy(&xl, XLogRecGetData(record), sizeof(xl));
	raise_counter(&ms_store->order, xl.seq);
	raise_counter(&ms_store->order, xl.order);
	raise_counter(&ms_store->txn, xl.txn);
	table = ms_table_lookup(&xl.key);
	if (table == NULL)
		return;
	if (!ms_wal_decode_pieces(XLogRecGetData(record) + sizeof(xl),
							  XLogRecGetDataLen(record) - sizeof(xl),
							  xl.npieces, &pieces))
		elog(PANIC, "malformed memseries RUN record");

	writer.xid = xl.xid;
	writer.cid = xl.cid;
	writer.txn = xl.txn;
	writer.order = xl.order;
	input.start = xl.start;
	input.end = xl.end;
	input.npieces = xl.npieces;
	input.pieces = pieces;
	if (!ms_run_replay(table, &writer, &input, xl.seq, record->EndRecPtr))
	{
		sweep_storage();
		table = ms_table_lookup(&xl.key);
		if (table == NULL)
			return;
		fold_runs(table, true);
		if (!ms_run_replay(table, &writer, &input, xl.seq, record->EndRecPtr))
			report_full(table);
	}
	fold_runs(table, false);
}

static void
redo_order(XLogReaderState *record)
{
	MsXlOrder	xl;
	MsTable    *table;

	memcpy(&xl, XLogRecGetData(record), sizeof(xl));
	raise_counter(&ms_store->order, xl.order);
	table = ms_table_lookup(&xl.key);
	if (table != NULL)
		ms_run_replay_order(table, xl.txn, xl.order, record->EndRecPtr);
}

static void
redo_table(XLogReaderState *record)
{
	MsXlTable	xl;
	MsSlot	   *slots;

	memcpy(&xl, XLogRecGetData(record), sizeof(xl));
	if (xl.nslots < 0 || xl.nslots > MS_MAX_SLOTS ||
		XLogRecGetDataLen(record) != sizeof(xl) + sizeof(MsSlot) * xl.nslots)
		elog(PANIC, "malformed memseries TABLE record");
	slots = palloc(sizeof(MsSlot) * Max(xl.nslots, 1));
	memcpy(slots, XLogRecGetData(record) + sizeof(xl), sizeof(MsSlot) * xl.nslots);
	if (ms_table_lookup(&xl.key) == NULL && is_short_of_room())
		sweep_storage();
	ms_table_replay(&xl.key, &xl.config, slots, xl.nslots);
}

static void
redo_drop_window(XLogReaderState *record)
{
	MsXlWindow	xl;
	MsTable    *table;

	memcpy(&xl, XLogRecGetData(record), sizeof(xl));
	table = ms_table_lookup(&xl.key);
	if (table == NULL)
		return;
	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	ms_window_replay_drop(table, xl.start, record->EndRecPtr);
	ms_unlock(table->maintain);
}

static void
redo_snapend(XLogReaderState *record)
{
	MsSnapshotStats stats;

	if (InArchiveRecovery)
		ms_snapshot_write(false, &stats);
}

/* See wal.h. */
void
ms_wal_redo(XLogReaderState *record)
{
	MemoryContext old;

	if (redo_context == NULL)
		redo_context = AllocSetContextCreate(TopMemoryContext, "memseries redo",
											 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(redo_context);
	switch (XLogRecGetInfo(record) & ~XLR_INFO_MASK)
	{
		case MS_XLOG_RUN:
			redo_run(record);
			break;
		case MS_XLOG_ORDER:
			redo_order(record);
			break;
		case MS_XLOG_TABLE:
			redo_table(record);
			break;
		case MS_XLOG_DROP_WINDOW:
			redo_drop_window(record);
			break;
		case MS_XLOG_SNAPEND:
			redo_snapend(record);
			break;
		default:
			elog(PANIC, "unknown memseries record type %u", XLogRecGetInfo(record));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_context);
}

/* Before the first record is replayed: memory has to be as of the snapshot. */
void
ms_wal_startup(void)
{
	MsSnapshotStats stats;

	(void) ms_store_load(NULL, &stats);
}

/*
 * After the last: everything replayed must be in files before the
 * end-of-recovery checkpoint makes WAL unnecessary.  A promoted standby makes
 * no such checkpoint before its guard, if it lives, can take part in it.
 */
void
ms_wal_cleanup(void)
{
	MsSnapshotStats stats;

	sweep_storage();
	if (!(PromoteIsTriggered() && ms_worker_is_running(MS_GUARD)))
		ms_snapshot_write(false, &stats);
	if (redo_context != NULL)
		MemoryContextDelete(redo_context);
	redo_context = NULL;
}
