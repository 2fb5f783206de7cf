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
 * files.  It does
 *
 * - when a SNAPEND record comes by, which precedes the checkpoint record it
 *   belongs to, so that a restartpoint at that checkpoint finds what it needs.
 *   Replay waits for it, and if it fails (a full disk), until it succeeds.
 * - when the server stops: this process ends before the last restartpoint.
 *   That may be at a checkpoint without such a record, namely one that ended
 *   a recovery of the primary.  (Nothing holds up a restartpoint in the
 *   moment between the replay of that checkpoint and of the SNAPEND that the
 *   primary's guard writes first of all.  Should the standby crash in that moment,
 *   having completed a restartpoint there, it would miss what the primary had
 *   written between its last SNAPEND and its crash.)
 * - at the end of recovery, in rm_cleanup, before the end-of-recovery
 *   checkpoint, as there may be no guard yet.  A promoted standby has no such
 *   checkpoint; there the guard, if it lives, takes that over.
 *
 * Transaction ids.  A run may bear the xid of a subtransaction that no other
 * record has in its header; should the server crash before the commit record, it
 * would be given out again, and whoever gets it would bring the run to
 * life by committing.  So replay moves on the next xid itself.
 *
 * Locks: as the functions called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "postmaster/startup.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "store/load.h"
#include "store/maintain.h"
#include "store/snapshot.h"
#include "store/storage.h"
#include "store/wal.h"

/* Where nobody else folds, fold a table with so many runs or bytes of them. */
#define FOLD_RUNS	4096
#define FOLD_BYTES	(64 * 1024 * 1024)

/* More than an empty table takes. */
#define TABLE_BYTES	(256 * 1024)

/* When a snapshot could not be written, it is tried again after this. */
#define RETRY_MS		10000
#define RETRY_POLL_MS	100

/* The startup process's own state. */
static MemoryContext redo_context = NULL;
static bool replaying = false;	/* rm_startup has been called, rm_cleanup not */
static bool in_record = false;	/* a record is being replayed */
static bool snapshot_owed = false;	/* startup_exit() has begun one */

/* Gives back what an ERROR leaves behind; like ms_worker_recover. */
static void
clean_up_after_error(MemoryContext cxt)
{
	MemoryContextSwitchTo(cxt);
	EmitErrorReport();
	FlushErrorState();
	LWLockReleaseAll();
	pgstat_report_wait_end();
	AtEOXact_Files(false);
	AtEOXact_HashTables(false);
}

/* Counters must rise above whatever was given out before. */
static void
raise_counter(pg_atomic_uint64 *counter, uint64 value)
{
	if (value != MS_ORDER_PENDING && pg_atomic_read_u64(counter) < value)
		pg_atomic_write_u64(counter, value);
}

/* Folding is only for the sake of memory: what cannot be folded stays as it is. */
static void
fold_runs(MsTable *table)
{
	MemoryContext cxt = CurrentMemoryContext;
	MsMaintainStats stats = {0};

	PG_TRY();
	{
		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		ms_fold_table(table, PG_UINT64_MAX, &stats);
		ms_unlock(table->maintain);
	}
	PG_CATCH();
	{
		clean_up_after_error(cxt);
	}
	PG_END_TRY();
}

/* Is there a keeper who folds? */
static bool
keeper_folds(void)
{
	return standbyState >= STANDBY_SNAPSHOT_READY;
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
	AdvanceNextFullTransactionIdPastXid(xl.xid);
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
		fold_runs(table);
		if (!ms_run_replay(table, &writer, &input, xl.seq, record->EndRecPtr))
			report_full(table);
	}
	if (!keeper_folds() &&
		(table->nruns >= FOLD_RUNS || table->run_bytes >= FOLD_BYTES))
		fold_runs(table);
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

/* False if it failed; that is logged. */
static bool
try_snapshot(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool ok = false;
	MsSnapshotStats stats;

	PG_TRY();
	{
		ms_snapshot_write(0, &stats);
		ok = true;
	}
	PG_CATCH();
	{
		clean_up_after_error(cxt);
	}
	PG_END_TRY();
	return ok;
}

/* May not return, if the server stops meanwhile; then startup_exit() tries once more. */
static void
write_snapshot(void)
{
	in_record = false;			/* its part in memory is done */
	while (!try_snapshot())
	{
		ereport(WARNING,
				(errmsg("a memseries snapshot failed; replay waits until one succeeds"),
				 errdetail("It is tried again in %d seconds.", RETRY_MS / 1000)));
		for (int ms = 0; ms < RETRY_MS; ms += RETRY_POLL_MS)
		{
			ms_startup_interrupts();
			pg_usleep(RETRY_POLL_MS * 1000L);
		}
	}
}

static void
redo_snapend(XLogReaderState *record)
{
	MsXlSnapEnd xl;

	memcpy(&xl, XLogRecGetData(record), sizeof(xl));
	ms_fold_ended(xl.oldest_running);

	/*
	 * also so that nothing is left to ask the commit log about when that is
	 * truncated
	 */
	for (int i = 0; i < ms_store->max_tables && !keeper_folds(); i++)
		if (ms_store->tables[i].in_use && ms_store->tables[i].nruns > 0)
			fold_runs(&ms_store->tables[i]);
	if (InArchiveRecovery)
		write_snapshot();
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
	in_record = true;
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
	in_record = false;
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_context);
}

/*
 * The startup process ends.  If that is between two records, the server is
 * being stopped, and a restartpoint may follow: see the top.  An ERROR in a process
 * that ends is FATAL and nobody catches it; startup_failed(), which is called next,
 * then sees that the snapshot is still owed.
 */
static void
startup_exit(int code, Datum arg)
{
	MsSnapshotStats stats;

	if (!replaying || in_record || !InArchiveRecovery)
		return;
	snapshot_owed = true;
	ms_snapshot_write(0, &stats);
	snapshot_owed = false;
}

static void
startup_failed(int code, Datum arg)
{
	if (snapshot_owed)
		ereport(PANIC,
				(errmsg("memseries could not take its final snapshot"),
				 errdetail("What was replayed since the last restartpoint will be replayed again when the server starts.")));
}

/* Called now and then while files are restored.  Does not return if the server stops. */
static bool
check_startup(void)
{
	ms_startup_interrupts();
	ereport_startup_progress("restoring memseries windows, elapsed time: %ld.%02d s, %llu kB so far",
							 (unsigned long long) ms_store->workers[MS_GUARD].done / 1024);
	return false;
}

/* Before the first record is replayed: memory has to be as of the snapshot. */
void
ms_wal_startup(void)
{
	MsSnapshotStats stats;

	/* called in reverse order */
	before_shmem_exit(startup_failed, (Datum) 0);
	before_shmem_exit(startup_exit, (Datum) 0);
	begin_startup_progress_phase();
	(void) ms_store_load(check_startup, &stats);
	replaying = true;
	if (stats.written + stats.aside > 0)
		ereport(LOG,
				(errmsg("memseries restored %u windows (%llu kB)", stats.windows,
						(unsigned long long) (stats.bytes / 1024)),
				 errdetail("%u files were set aside, and %u removed because they are no longer needed.",
						   stats.aside, stats.removed)));
}

/* Will the guard take the snapshot that is due?  It has promised to, then. */
static bool
guard_takes_over(void)
{
	uint32		expected = MS_PROMOTION_GUARD;

	return PromoteIsTriggered() &&
		pg_atomic_compare_exchange_u32(&ms_store->promotion, &expected,
									   MS_PROMOTION_OWED);
}

/* After the last: everything replayed must be in files before WAL becomes unnecessary, see the top. */
void
ms_wal_cleanup(void)
{
	MsSnapshotStats stats;

	sweep_storage();
	replaying = false;
	if (!guard_takes_over())
		ms_snapshot_write(0, &stats);
	if (redo_context != NULL)
		MemoryContextDelete(redo_context);
	redo_context = NULL;
}
