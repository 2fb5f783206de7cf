/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  The shared memory of memseries: what lies in it and which locks guard it.
 *
 * Two shared structures are requested at server start: the store proper (this
 * header: the directory of tables, the workers' state) and the arena (core),
 * from which everything that grows is allocated.  Both are mapped at the same
 * address in every process, so plain pointers to them are valid everywhere;
 * inside the arena things refer to each other by MsRef.
 *
 * Lock order.  A process takes these locks only in rising rank, and never two
 * of the same rank:
 *
 *	rank  lock                 guards
 *	1     table->maintain      who may free, fold, seal, expire or restore in
 *	                           this table (at most one process at a time);
 *	                           chunks and runs do not go away while it is held
 *	2     store->directory     the set of tables (which entries are in use)
 *	3     table->lock          everything in MsTable, its windows, series, runs
 *	4     arena lock           pages and spans (taken inside core/arena.c)
 *
 * ms_lock() and ms_lock_shared() assert the order in assert builds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SHMEM_H
#define MS_SHMEM_H

#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "port/atomics.h"

#include "core/arena.h"

/* settings, registered in guc.c */
extern int	ms_memory_kb;		/* memseries.memory, kB */
extern int	ms_max_tables;		/* memseries.max_tables */

typedef enum MsLockRank
{
	MS_RANK_MAINTAIN = 1,
	MS_RANK_DIRECTORY,
	MS_RANK_TABLE,
	MS_RANK_ARENA
} MsLockRank;

/* What the store is doing.  Readers and writers wait until it is ready. */
typedef enum MsStoreState
{
	MS_STORE_STARTING = 0,		/* the guard has not begun to restore */
	MS_STORE_RESTORING,			/* the guard is reading snapshot files */
	MS_STORE_LOADED,			/* reads are allowed; writers wait for a guard */
	MS_STORE_READY,				/* the gate is open: writes are allowed too */
	MS_STORE_CLOSED				/* shutting down: the gate is closed, writes
								 * are refused, reads still work */
} MsStoreState;

/*
 * Who takes the snapshot that covers what a standby has replayed, when it is
 * promoted: the guard, afterwards, or the startup process, before.  Moves by
 * compare and exchange, so that one of them does.
 */
typedef enum MsPromotion
{
	MS_PROMOTION_NO_GUARD = 0,	/* there is no guard that could */
	MS_PROMOTION_GUARD,			/* there is one */
	MS_PROMOTION_OWED			/* the guard must, before it ends */
} MsPromotion;

typedef enum MsWorkerKind
{
	MS_KEEPER = 0,
	MS_GUARD,
	MS_NUM_WORKERS
} MsWorkerKind;

#define MS_WORKER_TEXT	256

/*
 * The public face of a background worker, shown by memseries.workers.
 * Written by the worker alone, read by anyone, under the spinlock.
 */
typedef struct MsWorker
{
	slock_t		mutex;			/* guards everything below */
	pid_t		pid;			/* 0: not running */
	Latch	   *latch;			/* to wake it; NULL if not running */
	char		state[64];		/* what it is doing now, e.g. "idle" */
	TimestampTz state_since;
	TimestampTz seen;			/* its last sign of life; 0: none */
	TimestampTz last_run;		/* end of its last round; 0: none */
	TimestampTz last_error_at;	/* 0: none */
	char		last_error[MS_WORKER_TEXT];
	uint64		done;			/* progress of what is under way, in units */
	uint64		total;			/* 0: nothing with a known length is under way */
	uint64		rounds;			/* rounds completed since start */
} MsWorker;

struct MsTable;

typedef struct MsStore
{
	/* Constant after startup. */
	MsArena    *arena;
	LWLock	   *directory;		/* rank 2 */
	int			max_tables;
	struct MsTable *tables;		/* max_tables entries */

	/* Atomics: no lock. */
	pg_atomic_uint32 state;		/* MsStoreState; changes broadcast state_cv */
	pg_atomic_uint64 order;		/* last order number given to a run */
	pg_atomic_uint64 txn;		/* last transaction number given to a writer */
	pg_atomic_uint64 generation;	/* last table generation given */
	pg_atomic_uint64 snap_round;	/* last number given to a round of
									 * snapshots, or found in a file */
	pg_atomic_uint32 promotion; /* MsPromotion */
	pg_atomic_uint32 checkpointing; /* a checkpoint has said that it began,
									 * and not yet that it ended */

	ConditionVariable state_cv;

	/*
	 * A snapshot on demand: requested by raising snap_requested, then waking
	 * the guard.
	 */
	pg_atomic_uint64 snap_requested;
	pg_atomic_uint64 snap_done; /* all requests up to this were served... */
	pg_atomic_uint64 snap_failed;	/* ...and the last failed one */
	ConditionVariable snap_cv;

	MsWorker	workers[MS_NUM_WORKERS];
} MsStore;

extern MsStore *ms_store;

extern void ms_shmem_request(void);
extern void ms_shmem_startup(void);

/* Waits until the store can be read; ERROR if it cannot become so.  Takes no lock; interruptible. */
extern void ms_store_wait_ready(void);

/* As above, and ERROR if the gate is closed to writes. */
extern void ms_store_check_writable(void);
extern void ms_store_set_state(MsStoreState state);

extern void ms_lock(LWLock *lock, MsLockRank rank);
extern void ms_lock_shared(LWLock *lock, MsLockRank rank);
extern bool ms_lock_conditional(LWLock *lock, MsLockRank rank);
extern void ms_unlock(LWLock *lock);

/* What processes of memseries wait for, as pg_stat_activity shows it; on servers that cannot, "Extension". */
typedef enum MsWait
{
	MS_WAIT_GUARD,				/* the guard, for something to do */
	MS_WAIT_KEEPER,				/* the keeper, for its next round */
	MS_WAIT_STORE,				/* until the store can be read or written */
	MS_WAIT_SNAPSHOT,			/* a session, for the snapshot it asked for */
	MS_WAIT_FILE,				/* reading or writing a snapshot file */
	MS_NUM_WAITS
} MsWait;

/* Not in a critical section. */
extern uint32 ms_wait_event(MsWait wait);

/* Workers' public state */
extern void ms_worker_attach(MsWorkerKind kind);	/* also detaches at exit */
extern void ms_worker_report(MsWorkerKind kind, const char *state, uint64 done, uint64 total);
extern void ms_worker_progress(MsWorkerKind kind, uint64 done);
extern void ms_worker_round(MsWorkerKind kind);
extern void ms_worker_error(MsWorkerKind kind, const char *message);
extern void ms_worker_wake(MsWorkerKind kind);
extern bool ms_worker_is_running(MsWorkerKind kind);

/*
 * Its pid if it runs, but has given no sign of life for so long, else 0; state, of MS_WORKER_TEXT bytes, is then what it was
 * doing.
 */
extern pid_t ms_worker_is_silent(MsWorkerKind kind, int ms, char *state);

#endif							/* MS_SHMEM_H */
