/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  Windows to files and back.
 *
 * The guard calls these (worker/guard.c), and in recovery the startup process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SNAPSHOT_H
#define MS_SNAPSHOT_H

#include "store/table.h"

typedef struct MsSnapshotStats
{
	uint32		windows;		/* with something to be kept in a file */
	uint32		written;		/* files written, or read when restoring */
	uint32		removed;		/* files removed */
	uint32		aside;			/* files set aside, when restoring */
	uint64		bytes;			/* written or read */
	uint64		sync_us;		/* microseconds waited for fsync, when writing */
} MsSnapshotStats;

/*
 * Makes the files hold what memory holds, as of one point in time.  Writes those that changed, removes those of
 * windows that are gone; when it returns, that is durable.  ERROR if it cannot: then every window has its former
 * file, its new one, or (if memory has it no more) none, and the next call does the rest.
 *
 * During recovery only the startup process calls this (store/redo.c), else only the guard.
 *
 * Takes table->maintain and table->lock of one table at a time.  Not to be called in a transaction.
 */
extern void ms_snapshot_write(int flags, MsSnapshotStats *stats);

/*
 * The last one before the server stops.  Nobody can write any more; what transactions still running have written is
 * included, for them to commit or not.
 */
#define MS_SNAPSHOT_FINAL	0x01

/* Says in WAL that it was taken even if no file had to be written: a standby's files may be behind. */
#define MS_SNAPSHOT_MARK	0x02

/* Has a transaction still running, other than a prepared one, written anything? */
extern bool ms_snapshot_has_writers(void);

/*
 * Fills the store from the files, and with nothing else.  A file that is damaged is set aside with a WARNING; one
 * of another version, or that finds no room, likewise, but in recovery, when replay is to build on it, it is an
 * ERROR.  Files of tables and times that are gone are removed.  Calls *stop now and then, and returns false if that
 * said so (NULL: never).  ERROR otherwise only if the directory itself cannot be read.
 */
extern bool ms_snapshot_restore(bool (*stop) (void), MsSnapshotStats *stats);

#endif							/* MS_SNAPSHOT_H */
