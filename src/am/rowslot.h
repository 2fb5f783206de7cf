/*-------------------------------------------------------------------------
 *
 * rowslot.h
 *	  Slots of memseries tables: virtual ones, quick to make tuples of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_ROWSLOT_H
#define MS_ROWSLOT_H

#include "executor/tuptable.h"

/* The type of slots; constant once ms_rowslot_init() was called. */
extern const TupleTableSlotOps *ms_rowslot_ops(void);

/*
 * Empties a slot of this type, into which rows of one series follow: until it is
 * cleared, columns passed by reference stay the same, or NULL.
 */
extern void ms_rowslot_begin_series(TupleTableSlot *slot);

extern void ms_rowslot_init(void);

#endif							/* MS_ROWSLOT_H */
