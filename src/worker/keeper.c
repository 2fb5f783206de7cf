/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  The keeper: folds runs, seals and expires windows, sweeps what is left.
 *
 * Once every memseries.keeper_naptime, at each window boundary, and when a
 * writer wakes it, the keeper goes through all tables:
 *
 *	free		tables that were dropped while somebody was busy with them
 *	expire		windows past retention, and then the series only they had
 *	fold		committed runs into chunks, drop aborted ones, and then the
 *				series only they had
 *	seal		windows that are over
 *
 * Every few seconds it also looks for tables whose storage is gone without
 * anybody telling: a COMMIT PREPARED of a DROP, a DROP DATABASE, redo on a
 * standby.  Dropping storage leaves the file until the next checkpoint, so their
 * memory comes back after that.  And at the end of each round it gives some of
 * the memory that has become free back to the operating system.
 *
 * It tells the log of a guard that hangs.
 *
 * It holds table->maintain of one table at a time, for a limited amount of
 * work, so that whoever waits for it gets it soon; in between it listens to signals.
 * It runs no transactions.
 *
 * An ERROR while working on one table is reported, and the next table's turn
 * comes; so one damaged table does not keep the others from being maintained.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "store/maintain.h"
#include "store/release.h"
#include "store/storage.h"
#include "worker/watch.h"
#include "worker/worker.h"

#define FOLD_PIECES			4096	/* under one hold of maintain */
#define SEAL_CHUNKS			64
#define YIELD_US			1000	/* between two holds */
#define STORAGE_SWEEP_MS	10000
#define SERIES_SWEEP_MS		300000	/* for series left without samples by
									 * deletes */
#define ERROR_SLEEP_MS		1000
#define GUARD_SILENT_MS		10000	/* ten times what it needs at most, unless
									 * a disk is slow */

int			ms_keeper_naptime_ms = 1000;

/* The keeper's own state, which outlives an ERROR in its loop. */
static int	cursor = 0;			/* next table to be looked at in this round */
static TimestampTz next_boundary = 0;	/* of any window seen in this round */
static TimestampTz storage_sweep_at = 0;
static TimestampTz series_sweep_at = 0;
static bool sweep_series = false;	/* in all tables, in this round */
static bool guard_is_silent = false;	/* and the log has been told */
static bool full = false;		/* did something wait for memory in this
								 * round? */

/* Is the entry in use?  It stays so while the caller holds maintain. */
static bool
is_in_use(MsTable *table)
{
	bool		in_use;

	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	in_use = table->in_use;
	ms_unlock(ms_store->directory);
	return in_use;
}

static void
note_boundary(const MsConfig *config, TimestampTz now)
{
	MsConfig	one = *config;
	TimestampTz boundary;

	/* with one window kept, the horizon is the start of the current one */
	one.retain = 1;
	boundary = ms_config_horizon(&one, now) + one.chunk_interval;
	if (next_boundary == 0 || boundary < next_boundary)
		next_boundary = boundary;
}

/* Some work on a table; true if there is more.  Caller holds maintain. */
static bool
keep_table(MsTable *table)
{
	MsMaintainStats stats = {0};
	MsConfig	config = ms_table_get_config(table);
	TimestampTz now = GetCurrentTimestamp();

	note_boundary(&config, now);
	(void) ms_expire_table(table, ms_config_horizon(&config, now));
	ms_fold_table(table, FOLD_PIECES, &stats);
	if (!stats.more)
		ms_seal_table(table, now, SEAL_CHUNKS, &stats);
	if ((sweep_series || table->unswept) && !stats.more)
		ms_series_sweep(table);
	if (!stats.more && !stats.full)
		ms_watch_table(table, &config, now);
	full |= stats.full;
	return stats.more;
}

/* Takes a table's turn, holding its lock for a limited time at once. */
static void
visit_table(MsTable *table)
{
	bool		more = true;

	while (more && !ShutdownRequestPending)
	{
		CHECK_FOR_INTERRUPTS();
		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		more = false;
		if (is_in_use(table))
		{
			if (pg_atomic_read_u32(&table->dropped) != 0)
				ms_table_free(table);
			else
				more = keep_table(table);
		}
		ms_unlock(table->maintain);

		/*
		 * LWLocks are not fair: taken again at once, this one would never be
		 * seen free by those who wait for it, the guard above all.
		 */
		if (more)
			pg_usleep(YIELD_US);
		MemoryContextReset(CurrentMemoryContext);
	}
}

/* Drops tables whose storage is gone. */
static void
sweep_storage(void)
{
	for (int i = 0; i < ms_store->max_tables && !ShutdownRequestPending; i++)
	{
		(void) ms_storage_sweep_table(&ms_store->tables[i]);
		CHECK_FOR_INTERRUPTS();
	}
	AtEOXact_SMgr();
}

/* One round, or the rest of one that an ERROR has interrupted. */
static void
run_round(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (cursor == 0)
	{
		next_boundary = 0;
		full = false;
		sweep_series = now >= series_sweep_at;
		if (sweep_series)
			series_sweep_at = TimestampTzPlusMilliseconds(now, SERIES_SWEEP_MS);
		ms_worker_report(MS_KEEPER, "working", 0, 0);
	}
	while (cursor < ms_store->max_tables && !ShutdownRequestPending)
	{
		MsTable    *table = &ms_store->tables[cursor++];

		/* Unlocked: an entry taken just now can wait for the next round. */
		if (table->in_use)
			visit_table(table);
	}
	if (now >= storage_sweep_at)
	{
		storage_sweep_at = TimestampTzPlusMilliseconds(now, STORAGE_SWEEP_MS);
		sweep_storage();
	}
	cursor = 0;
	ms_watch_memory(now, full);
	ms_release_some(now);
	ms_worker_round(MS_KEEPER);
	ms_worker_report(MS_KEEPER, "idle", 0, 0);
}

/* How long to sleep: to the next round, or to the next boundary if that is sooner. */
static long
sleep_ms(void)
{
	long		ms = ms_keeper_naptime_ms;

	if (next_boundary != 0)
		ms = Min(ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 next_boundary) + 1);
	return ms;
}

/* A guard that hangs holds up checkpoints, and cannot say so itself. */
static void
watch_guard(void)
{
	char		state[MS_WORKER_TEXT];
	pid_t		pid = ms_worker_is_silent(MS_GUARD, GUARD_SILENT_MS, state);

	if (pid != 0 && !guard_is_silent)
		ereport(WARNING,
				(errmsg("the memseries guard (PID %d) has given no sign of life for %d seconds",
						(int) pid, GUARD_SILENT_MS / 1000),
				 errdetail("What it did last: %s. Checkpoints, and the stop of the server, wait for it.",
						   state)));
	guard_is_silent = pid != 0;
}

static void
run_once(void)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	ms_worker_reload();
	if (ShutdownRequestPending)
		proc_exit(1);
	watch_guard();
	if (pg_atomic_read_u32(&ms_store->state) == MS_STORE_LOADED ||
		pg_atomic_read_u32(&ms_store->state) == MS_STORE_READY)
		run_round();
	if (ShutdownRequestPending)
		proc_exit(1);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 sleep_ms(), ms_wait_event(MS_WAIT_KEEPER));
}

void
ms_keeper_main(Datum arg)
{
	sigjmp_buf	jump;
	MemoryContext cxt;

	ms_worker_start(MS_KEEPER);
	cxt = AllocSetContextCreate(TopMemoryContext, "memseries keeper",
								ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);

	if (sigsetjmp(jump, 1) != 0)
	{
		ms_worker_recover(MS_KEEPER, cxt);
		pg_usleep(ERROR_SLEEP_MS * 1000L);
	}
	PG_exception_stack = &jump;

	for (;;)
	{
		run_once();
		MemoryContextReset(cxt);
	}
}
