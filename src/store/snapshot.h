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
} MsSnapshotStats;

/*
 * Makes the files hold what memory holds, as of one point in time.  Writes those that changed, removes those of
 * windows that are gone; when it returns, that is durable.  ERROR if it cannot: then every window has its former
 * file, its new one, or (if memory has it no more) none, and the next call does the rest.
 *
 * final: the last one before the server stops.  Nobody can write any more; what transactions still running have
 * written is included, for them to commit or not.
 *
 * During recovery only the startup process calls this (store/redo.c), else only the guard.
 *
 * Takes table->maintain and table->lock of one table at a time.  Not to be called in a transaction.
 */
extern void ms_snapshot_write(bool final, MsSnapshotStats *stats);

/* Has a transaction still running, other than a prepared one, written anything? */
extern bool ms_snapshot_has_writers(void);

/*
 * Fills the store from the files, and with nothing else.  A file that is damaged, of another version, or finds no room is set
 * aside with a WARNING; files of tables and times that are gone are removed.  Calls *stop now and then, and
 * returns false if that said so (NULL: never).  ERROR only if the directory itself cannot be read.
 */
extern bool ms_snapshot_restore(bool (*stop) (void), MsSnapshotStats *stats);

#endif							/* MS_SNAPSHOT_H */
