/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  The guard: restores at the start, takes snapshots, keeps the gate.
 *
 * Except in recovery, the guard is the only process that writes snapshot files.  Its life:
 *
 *	start		restores what the files hold, unless the startup process has done
 *				that (store/load.c); when recovery is over, or there was none, opens
 *				the gate.
 *	running		takes a snapshot after each checkpoint has begun (a new redo
 *				pointer), and when memseries.snapshot() asks for one.
 *	stop		on SIGTERM: closes the gate, lets transactions that have
 *				written finish, takes the final snapshot, ends.
 *
 * Checkpoints.  A checkpoint makes WAL below its redo point unnecessary, so it
 * must not complete before a snapshot taken after that point is durable.
 * PostgreSQL has no hook there, but it waits, after it has written all buffers
 * and before it writes its record, for those virtual transactions that
 * delay checkpoints at that moment.  The guard always does; and it takes
 * a new virtual transaction id, which lets go whoever waits for the former one,
 * only while the present redo point is covered.  It does so again and again,
 * since a checkpoint may come to that place before or after the snapshot is done.
 * ARCHITECTURE.md has the proof.  The guard therefore runs no transaction of its own: its end
 * would clear the flag.  The snapshot it reads by is taken bare, see store/snapshot.c.
 *
 * The gate is the store's state.  Writers look at it under table->lock, at each
 * append.  The guard first closes it and then takes and releases the lock of each
 * table: whoever saw it open has appended by then, everybody later sees it closed and
 * aborts.  So the final snapshot has all that will ever commit, and an orderly stop
 * loses nothing, whatever order the postmaster's signals arrive in.  Without a
 * guard the gate is closed: no checkpoint would wait for what was written then.
 * A guard never ends with the gate open, except by a PANIC.
 *
 * SIGTERM may also come from pg_terminate_backend().  Then the postmaster
 * starts a new guard a second later, which opens the gate again.
 *
 * A dead postmaster is treated like SIGTERM: a checkpointer that waits for the
 * guard does not notice it, and would keep the data directory from being
 * used again.
 *
 * A round that fails is tried again after a while; requests that waited for it
 * are told, checkpoints wait.  The final snapshot is tried more often, and given
 * up at last with a PANIC: there is no shutdown checkpoint then, and the next start
 * recovers from WAL.
 *
 * During recovery, that is on a standby, the guard at most restores; see
 * store/redo.c for who writes files there.  When a standby is promoted, the guard
 * takes over what has been replayed since, before the first checkpoint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "store/load.h"
#include "store/table.h"
#include "worker/worker.h"

#define IDLE_MS				1000	/* nap while nothing is under way */
#define RECOVERY_MS			100 /* in recovery, to notice its end */
#define BEAT_MS				10	/* while a checkpoint may wait for us */
#define ERROR_SLEEP_MS		500
#define RETRY_MS			10000	/* after a failed round */
#define WRITERS_WAIT_MS		10000	/* for transactions to end, at the stop */
#define WRITERS_POLL_MS		10
#define FINAL_RETRY_MS		500
#define FINAL_TRIES			10
#define REQUEST_POLL_MS		1000
#define REQUEST_TRIES		10	/* that many times without a guard: give up */

/* The guard's own state, which outlives an ERROR in its loop. */
static bool stopping = false;
static bool gate_closed = false;
static int	final_failures = 0;
static XLogRecPtr covered = InvalidXLogRecPtr;	/* redo pointer whose snapshot
												 * is done */
static uint64 serving = 0;		/* request that the round under way is to
								 * serve; 0: no round is under way */
static TimestampTz retry_at = 0;	/* after a failed round; 0: none */
static bool has_marked = false; /* WAL has a record of a round of ours */

static MsStoreState
store_state(void)
{
	return (MsStoreState) pg_atomic_read_u32(&ms_store->state);
}

static bool
stop_requested(void)
{
	return ShutdownRequestPending || stopping || !PostmasterIsAlive();
}

/* Moves ms_store->promotion; false if it is not as expected. */
static bool
move_promotion(MsPromotion from, MsPromotion to)
{
	uint32		expected = from;

	return pg_atomic_compare_exchange_u32(&ms_store->promotion, &expected, to);
}

/*
 * Nobody writes without a guard, and no checkpoint may pass it by while somebody
 * can.  Registered for the guard's exit; should it ever be on its way out with the
 * gate open, or owing the snapshot of a promotion, only recovery gets things right.
 */
static void
guard_exit(int code, Datum arg)
{
	(void) move_promotion(MS_PROMOTION_GUARD, MS_PROMOTION_NO_GUARD);
	if (store_state() == MS_STORE_READY ||
		pg_atomic_read_u32(&ms_store->promotion) == MS_PROMOTION_OWED)
		ereport(PANIC,
				(errmsg("the memseries guard ended without its snapshot")));
	ConditionVariableBroadcast(&ms_store->snap_cv);
}

/*
 * Holding checkpoints
 */

/*
 * From now on no checkpoint completes that collected our virtual transaction
 * id, before that changes.  Set once; see heartbeat().
 */
static void
hold_checkpoints(void)
{
	ms_my_lxid = GetNextLocalTransactionId();
	MyProc->delayChkptFlags |= DELAY_CHKPT_COMPLETE;
}

/*
 * Lets those checkpoints go whose redo point is covered.  A checkpoint that has
 * collected our id did so before we had this lock; so its redo point was set
 * before, and is the one that we compare.  In recovery nothing needs our cover.
 */
static void
heartbeat(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	if (RecoveryInProgress() || GetRedoRecPtr() == covered)
		ms_my_lxid = GetNextLocalTransactionId();
	LWLockRelease(ProcArrayLock);
}

/* Is anybody going to tell us that a checkpoint begins? */
static bool
checkpoints_are_told(void)
{
	return log_checkpoints && log_min_messages != FATAL && log_min_messages != PANIC;
}

static long
nap_ms(void)
{
	if (!checkpoints_are_told() || pg_atomic_read_u32(&ms_store->checkpointing) != 0)
		return BEAT_MS;
	return RecoveryInProgress() ? RECOVERY_MS : IDLE_MS;
}

/*
 * Start
 */

/* Opens the gate.  The snapshot that is due at once tells which redo point is covered. */
static void
open_gate(void)
{
	covered = InvalidXLogRecPtr;
	ms_store_set_state(MS_STORE_READY);

	/* from now on the gate itself obliges */
	pg_atomic_write_u32(&ms_store->promotion, MS_PROMOTION_GUARD);
	ms_worker_wake(MS_KEEPER);
	SetLatch(MyLatch);
}

/* False if it cannot be read now. */
static bool
load_store(void)
{
	MsSnapshotStats stats;

	if (store_state() >= MS_STORE_LOADED)
		return true;
	if (!ms_store_load(stop_requested, &stats))
		return false;
	ms_worker_round(MS_GUARD);
	if (stats.written + stats.aside + stats.removed > 0)
		ereport(LOG,
				(errmsg("memseries restored %u windows (%llu kB)", stats.windows,
						(unsigned long long) (stats.bytes / 1024)),
				 errdetail("%u files were set aside, and %u removed because they are no longer needed.",
						   stats.aside, stats.removed)));
	return true;
}

static void
open_store(void)
{
	if (load_store() && !RecoveryInProgress() && !stop_requested())
		open_gate();
}

/*
 * Running
 */

static void
end_round(bool ok)
{
	if (serving == 0)
		return;
	if (!ok)
		pg_atomic_write_u64(&ms_store->snap_failed, serving - 1);
	pg_atomic_write_u64(&ms_store->snap_done, serving - 1);
	serving = 0;
	ConditionVariableBroadcast(&ms_store->snap_cv);
}

/* In the manner of "checkpoint complete". */
static void
report_snapshot(const MsSnapshotStats *stats, XLogRecPtr redo, TimestampTz start)
{
	double		total = (GetCurrentTimestamp() - start) / 1000000.0;
	double		sync = stats->sync_us / 1000000.0;

	ereport(log_checkpoints ? LOG : DEBUG1,
			(errmsg("memseries snapshot complete: wrote %u of %u windows (%llu kB), removed %u files; "
					"write=%.3f s, sync=%.3f s, total=%.3f s; redo lsn=%X/%X",
					stats->written, stats->windows,
					(unsigned long long) (stats->bytes / 1024), stats->removed,
					Max(total - sync, 0), sync, total, LSN_FORMAT_ARGS(redo))));
}

/* Takes a snapshot if there is a reason to. */
static void
take_snapshot(void)
{
	TimestampTz start = GetCurrentTimestamp();
	MsSnapshotStats stats;
	uint64		requested = pg_atomic_read_u64(&ms_store->snap_requested);
	bool		asked = requested > pg_atomic_read_u64(&ms_store->snap_done);
	XLogRecPtr	redo = GetRedoRecPtr();

	if (!asked && redo == covered)
		return;
	if (!asked && retry_at > GetCurrentTimestamp())
		return;
	serving = requested + 1;

	/*
	 * The first one is marked in WAL anyway: what a recovery has written at
	 * its end is not, and standbys write when they meet such a record.
	 */
	ms_snapshot_write(has_marked ? 0 : MS_SNAPSHOT_MARK, &stats);
	has_marked = true;
	covered = redo;
	retry_at = 0;
	ms_worker_round(MS_GUARD);
	end_round(true);
	report_snapshot(&stats, redo, start);
}

/*
 * Stop
 */

static void
close_gate(void)
{
	ms_store_set_state(MS_STORE_CLOSED);
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];

		ms_lock(table->lock, MS_RANK_TABLE);
		ms_unlock(table->lock);
	}
	gate_closed = true;
}

/*
 * Waits for transactions that have written to end: they were told to, as we
 * were.  If they do not, the final snapshot takes what they have written, to be judged
 * when it is read.
 */
static void
wait_for_writers(void)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													WRITERS_WAIT_MS);

	/* of those on another server we wait for none */
	if (RecoveryInProgress())
		return;
	ms_worker_report(MS_GUARD, "waiting for writers", 0, 0);
	while (ms_snapshot_has_writers() && GetCurrentTimestamp() < until)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(WRITERS_POLL_MS * 1000L);
	}
}

/* Ends the process, if all goes well; after an ERROR it is called again. */
static void
stop(void)
{
	MsSnapshotStats stats;

	stopping = true;
	if (store_state() < MS_STORE_READY &&
		move_promotion(MS_PROMOTION_GUARD, MS_PROMOTION_NO_GUARD))
		proc_exit(1);
	if (!gate_closed)
		close_gate();
	wait_for_writers();
	ms_snapshot_write(MS_SNAPSHOT_FINAL, &stats);
	pg_atomic_write_u32(&ms_store->promotion, MS_PROMOTION_NO_GUARD);
	ms_worker_round(MS_GUARD);
	ereport(LOG,
			(errmsg("memseries final snapshot: %u windows, %u files written (%llu kB)",
					stats.windows, stats.written,
					(unsigned long long) (stats.bytes / 1024))));
	proc_exit(1);
}

static void
after_failed_stop(void)
{
	if (++final_failures < FINAL_TRIES)
	{
		pg_usleep(FINAL_RETRY_MS * 1000L);
		return;
	}
	ereport(PANIC,
			(errmsg("memseries could not take its final snapshot"),
			 errdetail("What was written to logged tables will be recovered from WAL when the server starts again.")));
}

/*
 * The loop
 */

static void
run_once(void)
{
	int			rc;

	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	ms_worker_reload();
	if (stop_requested())
		stop();
	if (store_state() != MS_STORE_READY)
		open_store();
	else
		take_snapshot();
	heartbeat();
	if (stop_requested())
		return;

	ms_worker_report(MS_GUARD, retry_at != 0 ? "waiting to try again" : "idle", 0, 0);
	rc = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH, nap_ms(),
				   ms_wait_event(MS_WAIT_GUARD));
	if (rc & WL_POSTMASTER_DEATH)
		stopping = true;
}

void
ms_guard_main(Datum arg)
{
	sigjmp_buf	jump;
	MemoryContext cxt;

	ms_worker_start(MS_GUARD);
	before_shmem_exit(guard_exit, (Datum) 0);
	hold_checkpoints();
	(void) move_promotion(MS_PROMOTION_NO_GUARD, MS_PROMOTION_GUARD);
	cxt = AllocSetContextCreate(TopMemoryContext, "memseries guard",
								ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);

	if (sigsetjmp(jump, 1) != 0)
	{
		ms_worker_recover(MS_GUARD, cxt);
		retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_MS);
		if (serving != 0)
			ereport(WARNING,
					(errmsg("a memseries snapshot failed; checkpoints wait until one succeeds"),
					 errdetail("It is tried again in %d seconds.", RETRY_MS / 1000)));
		end_round(false);
		if (stopping)
			after_failed_stop();
		else
			pg_usleep(ERROR_SLEEP_MS * 1000L);
	}
	PG_exception_stack = &jump;

	for (;;)
	{
		run_once();
		MemoryContextReset(cxt);
	}
}

/*
 * Snapshots on demand; in the backend that asks
 */

static bool
guard_is_running(void)
{
	MsWorker   *worker = &ms_store->workers[MS_GUARD];
	pid_t		pid;

	SpinLockAcquire(&worker->mutex);
	pid = worker->pid;
	SpinLockRelease(&worker->mutex);
	return pid != 0;
}

static void
report_failed_snapshot(void)
{
	MsWorker   *worker = &ms_store->workers[MS_GUARD];
	char		why[MS_WORKER_TEXT];

	SpinLockAcquire(&worker->mutex);
	memcpy(why, worker->last_error, sizeof(why));
	SpinLockRelease(&worker->mutex);
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("the memseries snapshot failed"),
			 errdetail("%s", why)));
}

/* See worker.h. */
void
ms_snapshot_request_and_wait(void)
{
	uint64		ticket;
	int			tries = 0;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errhint("memseries snapshots cannot be taken during recovery.")));
	ms_store_wait_ready();
	ticket = pg_atomic_add_fetch_u64(&ms_store->snap_requested, 1);
	ms_worker_wake(MS_GUARD);

	ConditionVariablePrepareToSleep(&ms_store->snap_cv);
	while (pg_atomic_read_u64(&ms_store->snap_done) < ticket)
	{
		tries = guard_is_running() ? 0 : tries + 1;
		if (tries > REQUEST_TRIES)
		{
			ConditionVariableCancelSleep();
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the memseries guard worker is not running"),
					 errhint("The server log tells why.")));
		}
		ConditionVariableTimedSleep(&ms_store->snap_cv, REQUEST_POLL_MS,
									ms_wait_event(MS_WAIT_SNAPSHOT));
	}
	ConditionVariableCancelSleep();
	if (pg_atomic_read_u64(&ms_store->snap_failed) >= ticket)
		report_failed_snapshot();
}
