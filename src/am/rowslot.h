/*-------------------------------------------------------------------------
 *
 * rowslot.h
 *	  Slots of memseries tables: virtual ones, quick to make tuples of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_ROWSLOT_H
#define MS_ROWSLOT_H

#include "access/htup_details.h"
#include "executor/tuptable.h"

#include "am/slotfill.h"

/* A column passed by value that is not NULL. */
typedef struct MsTupleColumn
{
	int			att;			/* attribute number - 1 */
	int			len;
} MsTupleColumn;

/* Private to rowslot.c but for ms_rowslot_store(). */
typedef struct MsRowSlot
{
	VirtualTupleTableSlot base; /* must be first */

	/* The row, until its columns are asked for. */
	const MsFiller *filler;		/* borrowed */
	int			row;

	/* The slot's own tuple. */
	bool		one_series;		/* rows are of one, as promised */
	bool		made;			/* tuple is of that series */
	HeapTuple	tuple;			/* owned, as are...; NULL: none was made yet */
	bool	   *isnull;			/* which columns of it are NULL */
	uint32	   *at;				/* where the others are, header included */
	MsTupleColumn *values;		/* passed by value */
	int			nvalues;
	int		   *refs;			/* passed by reference: attribute numbers - 1 */
	int			nrefs;
	char		heap_header[SizeofHeapTupleHeader]; /* of such a tuple */
	char		minimal_header[SizeofHeapTupleHeader];
} MsRowSlot;

/* The type of slots; constant once ms_rowslot_init() was called. */
extern const TupleTableSlotOps *ms_rowslot_ops(void);

/*
 * Empties a slot of this type, into which rows of one series follow: until it is
 * cleared, labels stay the same.
 */
extern void ms_rowslot_begin_series(TupleTableSlot *slot);

/*
 * Puts row number `row` of the filler's rows into a slot of this type, whatever it
 * has now; they must be there until the slot is cleared, or has another row.
 */
static inline void
ms_rowslot_store(TupleTableSlot *slot, const MsFiller *filler, int row)
{
	((MsRowSlot *) slot)->filler = filler;
	((MsRowSlot *) slot)->row = row;
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_nvalid = 0;
}

extern void ms_rowslot_init(void);

#endif							/* MS_ROWSLOT_H */
