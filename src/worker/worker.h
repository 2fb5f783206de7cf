/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The background workers: the guard and the keeper.
 *
 * The guard restores snapshots when the server starts and takes them while it
 * runs and when it stops.  The keeper folds, seals and expires.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_WORKER_H
#define MS_WORKER_H

#include "store/shmem.h"

/* setting, registered in guc.c */
extern int	ms_keeper_naptime_ms;	/* memseries.keeper_naptime */

/* Registers the workers and the hook that tells of checkpoints.  Called from _PG_init. */
extern void ms_worker_init(void);

/*
 * Has the guard take a snapshot that contains all that is committed now, and waits for it.  Interruptible.  ERROR if
 * the guard is not running or the snapshot failed, and during recovery.  Takes no lock.
 */
extern void ms_snapshot_request_and_wait(void);

/* Entry points; in the library's symbol table for the postmaster. */
extern PGDLLEXPORT void ms_guard_main(Datum arg);
extern PGDLLEXPORT void ms_keeper_main(Datum arg);

/* Within this folder: signals and connection of a worker's start; what follows an ERROR in its loop. */
extern void ms_worker_start(MsWorkerKind kind);
extern void ms_worker_recover(MsWorkerKind kind, MemoryContext cxt);
extern void ms_worker_reload(void);

#endif							/* MS_WORKER_H */
