/*-------------------------------------------------------------------------
 *
 * foldwork.h
 *	  What folding and sealing share; private to the store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_FOLDWORK_H
#define MS_FOLDWORK_H

#include "store/rowbuf.h"

typedef struct MsFoldWork
{
	MemoryContext cxt;			/* holds all of this */
	MsTable    *table;			/* borrowed */
	int			nvalues;
	uint8	   *kinds;			/* MsValueKind, [nvalues] */
	MsMissing  *missing;		/* [nvalues] */
	MsRowBuf	base;
	MsRowBuf	late;
	MsRowBuf	scratch;
	MsCodecWork *codec;
	uint8	   *out[2];
	Size		out_cap[2];
	uint32		nrows;			/* rows of the chunk last made */
	bool		too_large;		/* it could not be made: more rows than a
								 * chunk can have */
	uint64		no_room;		/* no memory for a chunk of so many bytes; 0:
								 * not known */
} MsFoldWork;

extern MsFoldWork *ms_foldwork_create(MsTable *table);
extern void ms_foldwork_free(MsFoldWork *work);

/*
 * Makes a new chunk of a stored one (or NULL) and pieces in their order; the result is the
 * work's, *len 0 if no rows are left.  ERROR if bytes are damaged.  Takes no lock: the caller holds maintain.
 */
extern const uint8 *ms_fold_rewrite(MsFoldWork *work, const MsStored *stored,
									const MsPieceBytes *pieces, int npieces,
									int flags, uint32 *len);

/* The same, but appends what simply follows, without decoding it. */
extern const uint8 *ms_fold_chunk(MsFoldWork *work, const MsStored *stored,
								  const MsPieceBytes *pieces, int npieces,
								  int flags, uint32 *len);

/* Copies bytes into a new stored chunk of the window, if packed with totals; 0 if memory is full. Takes the arena's lock only. */
extern MsRef ms_chunk_store(MsWindow *window, const uint8 *data, uint32 len,
							uint32 nrows, bool packed);

/* Replaces an entry's chunk (0: none), keeps the window's counters, frees the old one. Caller holds table->lock and maintain. */
extern void ms_chunk_switch_locked(MsWindow *window, MsEntry *entry, MsRef new_chunk);

/* The next window at or after *t, moving *t behind it; NULL at the end.  Caller holds maintain. */
extern MsWindow *ms_window_walk(MsTable *table, int64 *t);

#endif							/* MS_FOLDWORK_H */
