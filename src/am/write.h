/*-------------------------------------------------------------------------
 *
 * write.h
 *	  The write path: rows gather per transaction, then become runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_WRITE_H
#define MS_WRITE_H

#include "executor/tuptable.h"
#include "store/run.h"
#include "utils/rel.h"

extern int	ms_batch_memory_kb; /* memseries.batch_memory */

extern void ms_write_init(void);	/* transaction callbacks */

/* Buffers one row; sets slot->tts_tid to a tid that counts this transaction's rows. */
extern void ms_write_row(Relation rel, TupleTableSlot *slot, CommandId cid);

/* Writes what this transaction has buffered for the storage (NULL: for all) as runs. Called before any read. */
extern void ms_write_flush(const MsTableKey *key);
extern bool ms_write_pending(const MsTableKey *key);

/*
 * Deletes times [from, to) of the series for which wanted(sid, labels) is true, as part of this transaction:
 * appends delete pieces.  Returns the number of series affected.
 */
typedef bool (*ms_series_filter) (void *arg, uint32 sid, const MsLabelValue *labels, int nlabels);
extern uint64 ms_write_delete(Relation rel, int64 from, int64 to, ms_series_filter wanted, void *arg, CommandId cid);

/* Appends a chunk of one series as part of this transaction (load_table): bytes must be valid (ms_chunk_validate). */
extern void ms_write_chunk(Relation rel, const MsLabelValue *labels, int nlabels,
						   const uint8 *chunk, uint32 len, uint32 nrows, int64 tmin, int64 tmax, CommandId cid);

/* A row this transaction wrote, by its tid; false if there is none. */
extern bool ms_write_fetch(Relation rel, ItemPointer tid, TupleTableSlot *slot);

#endif							/* MS_WRITE_H */
