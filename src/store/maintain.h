/*-------------------------------------------------------------------------
 *
 * maintain.h
 *	  What keeps a table in shape: fold, seal, expire.
 *
 * All functions here are called with table->maintain held and table->lock not
 * held; they take table->lock for short moments.  They never ERROR for want of
 * memory: what cannot be done now is left for later.  A caller with
 * CHECK_FOR_INTERRUPTS duties passes a limit and calls again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_MAINTAIN_H
#define MS_MAINTAIN_H

#include "store/run.h"

typedef struct MsMaintainStats
{
	uint64		pieces_folded;
	uint64		pieces_dropped; /* aborted */
	uint64		bytes_folded;	/* of chunks written */
	uint64		runs_freed;
	uint64		chunks_sealed;
	uint64		windows_sealed;
	uint64		windows_expired;
	bool		more;			/* stopped at the limit; call again */
	bool		full;			/* something had to wait for memory */
} MsMaintainStats;

/* Folds committed runs older than the oldest transaction anyone may still see as running, drops aborted ones. */
extern void ms_fold_table(MsTable *table, uint64 max_pieces, MsMaintainStats *stats);

/* Replay tells, where nobody can read yet: whatever precedes xid has ended. */
extern void ms_fold_ended(TransactionId xid);

/* Seals windows that ended before `now` and hold no runs; repacks sealed ones with much dead space. */
extern void ms_seal_table(MsTable *table, TimestampTz now, uint64 max_chunks, MsMaintainStats *stats);

/* Expires windows that end at or before the horizon; returns how many. */
extern int	ms_expire_table(MsTable *table, int64 horizon);

/* Drops the oldest window if it starts before that time; for on_full => 'expire'. */
extern bool ms_expire_oldest(MsTable *table, int64 before);

#endif							/* MS_MAINTAIN_H */
