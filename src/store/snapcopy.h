/*-------------------------------------------------------------------------
 *
 * snapcopy.h
 *	  One window's content as a snapshot takes it; private to the store.
 *
 * The essay is in snapcopy.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SNAPCOPY_H
#define MS_SNAPCOPY_H

#include "nodes/bitmapset.h"
#include "utils/snapshot.h"

#include "store/run.h"
#include "store/snapfile.h"

/* What a round takes for committed. */
typedef struct MsSnapCut
{
	Snapshot	snapshot;		/* NULL: whatever is by the time it is looked
								 * at */
	TransactionId *prepared;	/* of those running in the snapshot; palloc'd */
	int			nprepared;
} MsSnapCut;

/* A run as it was judged. */
typedef struct MsSnapJudged
{
	MsRun	   *run;
	TransactionId xid;			/* to be written; Invalid: left out */
} MsSnapJudged;

/* A window as it was noted. */
typedef struct MsSnapCopy
{
	MsTable    *table;
	MsWindow   *window;
	uint64		generation;
	MsConfig	config;
	bool		config_noted;	/* all files of a table in a round have the
								 * same */
	int			nslots;			/* when that was noted */
	MsSnapWindow head;
	MsSnapSlot *slots;			/* [MS_MAX_SLOTS] */
	int			nlabels;
	uint32		series_limit;
	uint64		version;
	MsSnapJudged *runs;			/* newest first */
	uint32		nruns;
	uint32		runs_cap;
	bool		partial;		/* some run was left out that may yet commit */
	Bitmapset  *run_series;		/* series of the pieces to be written */
} MsSnapCopy;

/* Fills the cut.  Sets MyProc->xmin, which the caller resets when done with it. */
extern void ms_snapcut_take(MsSnapCut *cut);

extern void ms_snapcopy_init(MsSnapCopy *copy, MsTable *table);
extern void ms_snapcopy_free(MsSnapCopy *copy);

/* What copy->window holds now.  Caller holds maintain, not lock, and goes on to hold it until all is written. */
extern void ms_snapcopy_note(MsSnapCopy *copy);

/* Which of the runs noted to write; sets copy->partial.  False if there is nothing to be written at all. */
extern bool ms_snapcopy_judge(MsSnapCopy *copy, const MsSnapCut *cut);

/*
 * Writes what was noted and judged to the temporary file, which is left open and not yet synced.  "done", the bytes
 * written before this file, is for the progress report.  Returns the file's size.
 */
extern uint64 ms_snapcopy_write(const MsSnapCopy *copy, MsSnapStream *stream,
								uint8 *buffer, Size buffer_size, uint64 done);

#endif							/* MS_SNAPCOPY_H */
