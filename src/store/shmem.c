/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Requesting and initialising shared memory; lock order; workers' state.
 *
 * The store's fixed part (tables, workers) and the arena are two structures of
 * the main shared memory segment.  Both are laid out by the postmaster before
 * any child exists, so nothing here needs a lock while initialising, and a
 * crash restart lays them out again, empty: the guard then restores.
 *
 * The arena's pages are not touched here beyond its header: the kernel hands
 * them out as they are first used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "store/shmem.h"
#include "store/table.h"

#define STORE_WAIT_MS	1000	/* how often a waiter looks whether the guard
								 * is alive */
#define STORE_WAIT_TRIES	30	/* that many times without a guard: give up */

int			ms_memory_kb = 256 * 1024;
int			ms_max_tables = 1024;

MsStore    *ms_store = NULL;

static Size
store_size(void)
{
	return add_size(MAXALIGN(sizeof(MsStore)),
					mul_size(ms_max_tables, sizeof(MsTable)));
}

static Size
arena_size(void)
{
	return mul_size(ms_memory_kb, 1024);
}

/* Asks for the memory and the locks.  Called from shmem_request_hook. */
void
ms_shmem_request(void)
{
	RequestAddinShmemSpace(add_size(store_size(), CACHELINEALIGN(1)));
	RequestAddinShmemSpace(add_size(arena_size(), MS_PAGE_SIZE));
	RequestNamedLWLockTranche("memseries_arena", 1);
	RequestNamedLWLockTranche("memseries_directory", 1);
	RequestNamedLWLockTranche("memseries_table", ms_max_tables);
	RequestNamedLWLockTranche("memseries_maintain", ms_max_tables);
}

static void
init_store(MsStore *store, MsArena *arena)
{
	LWLockPadded *table_locks = GetNamedLWLockTranche("memseries_table");
	LWLockPadded *maintain_locks = GetNamedLWLockTranche("memseries_maintain");

	memset(store, 0, store_size());
	store->arena = arena;
	store->directory = &GetNamedLWLockTranche("memseries_directory")->lock;
	store->max_tables = ms_max_tables;
	store->tables = (MsTable *) ((char *) store + MAXALIGN(sizeof(MsStore)));
	pg_atomic_init_u32(&store->state, MS_STORE_STARTING);
	pg_atomic_init_u64(&store->order, 0);
	pg_atomic_init_u64(&store->txn, 0);
	pg_atomic_init_u64(&store->generation, 0);
	pg_atomic_init_u64(&store->snap_round, 0);
	pg_atomic_init_u32(&store->promotion, MS_PROMOTION_NO_GUARD);
	pg_atomic_init_u32(&store->checkpointing, 0);
	pg_atomic_init_u64(&store->snap_requested, 0);
	pg_atomic_init_u64(&store->snap_done, 0);
	pg_atomic_init_u64(&store->snap_failed, 0);
	ConditionVariableInit(&store->state_cv);
	ConditionVariableInit(&store->snap_cv);

	for (int i = 0; i < MS_NUM_WORKERS; i++)
		SpinLockInit(&store->workers[i].mutex);
	for (int i = 0; i < ms_max_tables; i++)
	{
		MsTable    *table = &store->tables[i];

		table->lock = &table_locks[i].lock;
		table->maintain = &maintain_locks[i].lock;
		pg_atomic_init_u32(&table->dropped, 0);
	}
}

/* Attaches to the memory, laying it out if it is new.  Called from shmem_startup_hook. */
void
ms_shmem_startup(void)
{
	bool		found;
	bool		arena_found;
	void	   *base;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	ms_store = ShmemInitStruct("memseries store", store_size(), &found);
	base = ShmemInitStruct("memseries arena",
						   add_size(arena_size(), MS_PAGE_SIZE), &arena_found);
	if (!found)
	{
		MsArena    *arena;

		arena = ms_arena_init((void *) TYPEALIGN(MS_PAGE_SIZE, base), arena_size(),
							  &GetNamedLWLockTranche("memseries_arena")->lock);
		if (arena == NULL)
			ereport(FATAL,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"memseries.memory\" is too small")));
		init_store(ms_store, arena);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Locks, in rising rank.  held_rank is the rank of the highest lock this
 * process holds, tracked only where assertions are checked.
 */
#ifdef USE_ASSERT_CHECKING
#define MAX_HELD	8

static struct
{
	LWLock	   *lock;
	MsLockRank	rank;
}			held[MAX_HELD];
static int	nheld = 0;

/* An ERROR releases LWLocks behind our back: forget those. */
static void
forget_released(void)
{
	while (nheld > 0 && !LWLockHeldByMe(held[nheld - 1].lock))
		nheld--;
}

static void
check_rank(MsLockRank rank)
{
	forget_released();
	Assert(nheld == 0 || held[nheld - 1].rank < rank);
	Assert(nheld < MAX_HELD);
}

static void
note_held(LWLock *lock, MsLockRank rank)
{
	held[nheld].lock = lock;
	held[nheld].rank = rank;
	nheld++;
}
#else
#define check_rank(rank) ((void) (rank))
#define note_held(lock, rank) ((void) (lock))
#endif

/* Takes a lock exclusively. */
void
ms_lock(LWLock *lock, MsLockRank rank)
{
	check_rank(rank);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	note_held(lock, rank);
}

void
ms_lock_shared(LWLock *lock, MsLockRank rank)
{
	check_rank(rank);
	LWLockAcquire(lock, LW_SHARED);
	note_held(lock, rank);
}

/* Takes a lock exclusively if it is free; false if not. */
bool
ms_lock_conditional(LWLock *lock, MsLockRank rank)
{
	check_rank(rank);
	if (!LWLockConditionalAcquire(lock, LW_EXCLUSIVE))
		return false;
	note_held(lock, rank);
	return true;
}

void
ms_unlock(LWLock *lock)
{
#ifdef USE_ASSERT_CHECKING
	Assert(nheld > 0 && held[nheld - 1].lock == lock);
	nheld--;
#endif
	LWLockRelease(lock);
}

/* See shmem.h. */
uint32
ms_wait_event(MsWait wait)
{
#ifdef MS_HAVE_WAIT_EVENTS
	static const char *const names[MS_NUM_WAITS] = {
		[MS_WAIT_GUARD] = "MemseriesGuardMain",
		[MS_WAIT_KEEPER] = "MemseriesKeeperMain",
		[MS_WAIT_STORE] = "MemseriesStoreReady",
		[MS_WAIT_SNAPSHOT] = "MemseriesSnapshot",
		[MS_WAIT_FILE] = "MemseriesSnapshotFile"
	};
	static uint32 events[MS_NUM_WAITS];

	if (events[wait] == 0)
		events[wait] = WaitEventExtensionNew(names[wait]);
	return events[wait];
#else
	(void) wait;
	return PG_WAIT_EXTENSION;
#endif
}

/* Moves the store to another state and wakes whoever waits for it. */
void
ms_store_set_state(MsStoreState state)
{
	pg_atomic_write_u32(&ms_store->state, state);
	pg_memory_barrier();
	ConditionVariableBroadcast(&ms_store->state_cv);
}

/*
 * Waits until the store has come as far as the given state.  That takes the
 * guard; if there is none for a while (no free worker slot, single-user mode)
 * waiting is pointless.
 */
static void
wait_for_state(MsStoreState state)
{
	int			tries = 0;

	if (likely(pg_atomic_read_u32(&ms_store->state) >= state))
		return;

	ConditionVariablePrepareToSleep(&ms_store->state_cv);
	while (pg_atomic_read_u32(&ms_store->state) < state)
	{
		if (ms_worker_is_running(MS_GUARD))
			tries = 0;
		else if (!IsUnderPostmaster || ++tries > STORE_WAIT_TRIES)
		{
			ConditionVariableCancelSleep();
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("memseries is not ready"),
					 errdetail("The memseries guard worker is not running."),
					 errhint("Make sure that \"max_worker_processes\" leaves room for the two workers of memseries; "
							 "single-user mode cannot use memseries tables.")));
		}
		ConditionVariableTimedSleep(&ms_store->state_cv, STORE_WAIT_MS,
									ms_wait_event(MS_WAIT_STORE));
	}
	ConditionVariableCancelSleep();
}

/* See shmem.h. */
void
ms_store_wait_ready(void)
{
	wait_for_state(MS_STORE_LOADED);
}

/*
 * ERROR unless writes are accepted: a guard, who makes what is written
 * durable, is there and has not closed the gate.
 */
void
ms_store_check_writable(void)
{
	wait_for_state(MS_STORE_READY);
	if (pg_atomic_read_u32(&ms_store->state) == MS_STORE_CLOSED)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("memseries tables cannot be written while the server shuts down")));
}

/*
 * Workers.  A worker attaches once at its start; everything it shows of
 * itself is written under its spinlock, with strings bounded.
 */
static MsWorkerKind my_kind = MS_NUM_WORKERS;

static void
worker_detach(int code, Datum arg)
{
	MsWorker   *worker = &ms_store->workers[my_kind];

	SpinLockAcquire(&worker->mutex);
	worker->pid = 0;
	worker->latch = NULL;
	strlcpy(worker->state, "not running", sizeof(worker->state));
	worker->state_since = GetCurrentTimestamp();
	worker->done = worker->total = 0;
	SpinLockRelease(&worker->mutex);
}

void
ms_worker_attach(MsWorkerKind kind)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();

	my_kind = kind;
	before_shmem_exit(worker_detach, (Datum) 0);
	SpinLockAcquire(&worker->mutex);
	worker->pid = MyProcPid;
	worker->latch = MyLatch;
	strlcpy(worker->state, "starting", sizeof(worker->state));
	worker->state_since = worker->seen = now;
	worker->done = worker->total = 0;
	SpinLockRelease(&worker->mutex);
}

/* Says what the worker does from now on; total 0 if its length is not known. */
void
ms_worker_report(MsWorkerKind kind, const char *state, uint64 done, uint64 total)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&worker->mutex);
	if (strncmp(worker->state, state, sizeof(worker->state) - 1) != 0)
	{
		strlcpy(worker->state, state, sizeof(worker->state));
		worker->state_since = now;
	}
	worker->seen = now;
	worker->done = done;
	worker->total = total;
	SpinLockRelease(&worker->mutex);
}

void
ms_worker_progress(MsWorkerKind kind, uint64 done)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&worker->mutex);
	worker->seen = now;
	worker->done = done;
	SpinLockRelease(&worker->mutex);
}

/* A round of work has been completed. */
void
ms_worker_round(MsWorkerKind kind)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&worker->mutex);
	worker->last_run = now;
	worker->rounds++;
	SpinLockRelease(&worker->mutex);
}

void
ms_worker_error(MsWorkerKind kind, const char *message)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&worker->mutex);
	strlcpy(worker->last_error, message, sizeof(worker->last_error));
	worker->last_error_at = now;
	SpinLockRelease(&worker->mutex);
}

/* Wakes a worker, if it runs.  Safe in any context that may set a latch. */
void
ms_worker_wake(MsWorkerKind kind)
{
	MsWorker   *worker = &ms_store->workers[kind];
	Latch	   *latch;

	SpinLockAcquire(&worker->mutex);
	latch = worker->latch;
	SpinLockRelease(&worker->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

bool
ms_worker_is_running(MsWorkerKind kind)
{
	MsWorker   *worker = &ms_store->workers[kind];
	pid_t		pid;

	SpinLockAcquire(&worker->mutex);
	pid = worker->pid;
	SpinLockRelease(&worker->mutex);
	return pid != 0;
}

/* See shmem.h. */
pid_t
ms_worker_is_silent(MsWorkerKind kind, int ms, char *state)
{
	MsWorker   *worker = &ms_store->workers[kind];
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz seen;
	pid_t		pid;

	SpinLockAcquire(&worker->mutex);
	pid = worker->pid;
	seen = worker->seen;
	strlcpy(state, worker->state, MS_WORKER_TEXT);
	SpinLockRelease(&worker->mutex);
	return TimestampDifferenceExceeds(seen, now, ms) ? pid : 0;
}
