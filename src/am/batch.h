/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  Rows a transaction has written and not yet handed to the store.
 *
 * Private to the write path: write.c makes batches and gather.c fills them,
 * batch.c empties them, direct.c passes by them, txn.c follows the transaction.  The essay is in
 * write.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_BATCH_H
#define MS_BATCH_H

#include "am/reldesc.h"
#include "am/write.h"
#include "core/chunk.h"

#define MS_NO_ENTRY		PG_UINT32_MAX

/* One series of a batch. */
typedef struct MsBatchSeries
{
	const uint8 *image;			/* owned; labels, each its length and bytes */
	int64		last_time;		/* of its last row */
	uint32		image_len;
	uint32		hash;			/* of the image; local to this backend */
	uint32		next;			/* the series whose row followed last time */
	uint32		nrows;
	int16		nlabels;		/* in the image; the rest is as if never
								 * stored */
	bool		sorted;			/* times strictly ascending */
} MsBatchSeries;

/* A chunk taken over whole (load_table). */
typedef struct MsBatchChunk
{
	MsLabelValue *labels;		/* owned, with their bytes */
	int			nlabels;
	uint32		hash;			/* ms_labels_hash */
	uint8	   *bytes;			/* owned */
	uint32		len;
	uint32		nrows;
	int64		tmin;
} MsBatchChunk;

struct series_hash;

/*
 * What one (sub)transaction has pending for one storage.  A batch holds rows or
 * chunks, never both.
 */
typedef struct MsBatch
{
	struct MsBatch *next;		/* in order of creation */

	/* constant */
	MsTableKey	key;
	MsTable    *table;			/* borrowed; locks keep it until the end of
								 * the (sub)transaction */
	uint64		generation;
	Oid			relid;
	NameData	relname;
	TransactionId xid;
	MsRelDesc  *desc;			/* owned */
	bool		unlimited;		/* any time goes: the rows come from a
								 * memseries table that is being rewritten */
	bool		converts;		/* they come from another kind of table, or a
								 * materialized view's query */
	int			nlabels;		/* label ordinals stored */
	int			nvalues;		/* value ordinals stored */
	int		   *label_att;		/* by ordinal: index of the column, or -1 */
	int		   *value_att;		/* by ordinal: index of the column, or -1 */
	uint8	   *kinds;			/* by value ordinal */
	MsLabelValue *missing;		/* by label ordinal: what absence means */
	Size		null_size;		/* of a row's null bits; a multiple of 8 */
	Size		row_size;

	/* changing */
	SubTransactionId subid;
	CommandId	cid;			/* largest of the rows' */
	MsConfig	config;
	int64		horizon;		/* times from here on are accepted ... */
	int64		limit;			/* ... up to, not including, here */
	uint32		age;			/* rows since these were computed */

	MemoryContext cxt;			/* holds all of this; deleted with the batch */
	char	   *rows;			/* nrows * row_size bytes: time, null bits,
								 * values */
	uint32	   *row_series;		/* by row */
	uint32		nrows;
	uint32		rows_cap;
	uint8	   *probe;			/* image of the row in hand */
	uint32		probe_len;
	uint32		probe_cap;

	MemoryContext rows_cxt;		/* holds what follows; reset by a flush */
	Size		memory;			/* of rows and in rows_cxt, roughly */
	MsBatchSeries *series;
	uint32		nseries;
	uint32		series_cap;
	struct series_hash *hash;
	uint32		last;			/* series of the last row, or MS_NO_ENTRY */
	MsBatchChunk *chunks;
	uint32		nchunks;
	uint32		chunks_cap;
} MsBatch;

/* A row's parts. */
static inline char *
ms_batch_row(const MsBatch *batch, uint32 row)
{
	return batch->rows + (Size) row * batch->row_size;
}

static inline int64
ms_row_time(const char *row)
{
	return *(const int64 *) row;
}

static inline bool
ms_row_is_null(const char *row, int v)
{
	return (((const uint64 *) (row + sizeof(int64)))[v / 64] & (UINT64CONST(1) << (v % 64))) != 0;
}

static inline double *
ms_row_values(const MsBatch *batch, char *row)
{
	return (double *) (row + sizeof(int64) + batch->null_size);
}

/* write.c */
extern MsBatch *ms_batches;		/* of this backend's transaction */
extern MsBatch *ms_batch_for(Relation rel, CommandId cid);
extern void ms_batch_forget(MsBatch *batch);
extern void ms_batch_reset(MsBatch *batch);
extern bool ms_batch_accepts(MsBatch *batch, int64 time, uint64 nrows);
extern void ms_batch_check_memory(void);

/* gather.c */
extern uint32 ms_batch_series(MsBatch *batch, const MsLabelValue *labels, int nlabels);
extern void ms_batch_append(MsBatch *batch, uint32 series, int64 time,
							const double *values, const bool *nulls);
extern void ms_batch_take_row(MsBatch *batch, Relation rel, TupleTableSlot *slot, int64 time);
extern void ms_batch_merge(MsBatch *into, MsBatch *from);
extern int	ms_batch_image_labels(const uint8 *image, uint32 len, MsLabelValue *labels);
extern int	ms_labels_strip(const MsBatch *batch, const MsLabelValue *labels, int nlabels);

/* batch.c */
extern void ms_batch_flush(MsBatch *batch, uint64 order);
extern MsCodecWork *ms_codec_work(void);

/* ownrows.c */
extern void ms_ownrows_add(Relation rel, TupleTableSlot *slot);
extern bool ms_ownrows_fetch(Relation rel, ItemPointer tid, TupleTableSlot *slot);
extern bool ms_tid_is_own(ItemPointer tid);
extern void ms_ownrows_end(void);
extern void ms_ownrows_forget(void);

/* txn.c */
extern void ms_txn_init(void);
extern uint64 ms_txn_number(void);
extern void ms_txn_wrote(const MsBatch *batch);

#endif							/* MS_BATCH_H */
