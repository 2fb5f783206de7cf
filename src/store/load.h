/*-------------------------------------------------------------------------
 *
 * load.h
 *	  Filling the store at start, by whoever comes first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LOAD_H
#define MS_LOAD_H

#include "store/snapshot.h"

/*
 * Restores the snapshot files unless that is done already, or waits until another process has done it; then
 * the store can be read.  *stats tells what this process did (all zero if another did it).
 * False if *stop (NULL: never) said so meanwhile.  ERROR as ms_snapshot_restore.
 */
extern bool ms_store_load(bool (*stop) (void), MsSnapshotStats *stats);

#endif							/* MS_LOAD_H */
