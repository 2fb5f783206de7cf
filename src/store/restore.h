/*-------------------------------------------------------------------------
 *
 * restore.h
 *	  Restoring one snapshot file; private to the store.
 *
 * The essay is in restorefile.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_RESTORE_H
#define MS_RESTORE_H

#include "store/run.h"
#include "store/snapfile.h"
#include "store/storage.h"

/* A file, as its head tells. */
typedef struct MsSnapCandidate
{
	MsSnapName	name;
	uint64		size;
	MsSnapWindow head;
	MsConfig	config;			/* the table's, of its youngest file */
	uint64		round;			/* of that file */
} MsSnapCandidate;

typedef enum MsRestoreOutcome
{
	MS_RESTORE_OK,
	MS_RESTORE_DAMAGED,			/* restore->why */
	MS_RESTORE_UNLOADED,		/* likewise */
	MS_RESTORE_OUTDATED			/* its window had been dropped before another
								 * one, which was restored, was made */
} MsRestoreOutcome;

/* The restoring of one file. */
typedef struct MsRestore
{
	MsSnapCandidate *file;
	MsStorageState storage;		/* of the file's table, in the first pass */
	MsSnapStream stream;
	MsSnapFile	snap;
	MsTable    *table;
	MsWindow   *window;			/* NULL until created */
	const char *why;
	MsRestoreOutcome outcome;

	/* A section. */
	uint8	   *buf;
	Size		buf_cap;

	/* From the file's series numbers, which ascend, to the table's. */
	uint32	   *old_sids;
	uint32	   *new_sids;
	uint32		nsids;
	uint32		sids_cap;
	MsSnapLabel *labels;		/* [MS_SNAP_MAX_LABELS] */
	MsLabelValue *values;		/* likewise */

	/* The run being filled, with "npieces" of its pieces. */
	MsSnapRun	run_head;
	MsRun	   *run;			/* NULL: none, or one that is left out */
	MsPiece    *piece;			/* where the next one goes */
	uint32		npieces;
	uint32		nruns;			/* complete ones, left out ones included */
	uint32		dropped;		/* runs left out */
	uint64		max_order;
	uint64		max_txn;

	uint64		done;			/* bytes of files before this one */
} MsRestore;

/*
 * Opens the file and reads its head; what follows in the same section is left for the reader.
 * False if that cannot be: restore->outcome and restore->why tell.
 */
extern bool ms_restore_open(MsRestore *restore, MsReader *reader, MsSnapWindow *head);

/* Reads all of it into memory.  False likewise; then restore->window, if it is set, is half built. */
extern bool ms_restore_contents(MsRestore *restore);

/* Set outcome and reason ("why" is not copied), and return false. */
extern bool ms_restore_damaged(MsRestore *restore, const char *why);
extern bool ms_restore_unloaded(MsRestore *restore, const char *why);

#endif							/* MS_RESTORE_H */
