/*-------------------------------------------------------------------------
 *
 * refetch.h
 *	  How the access method finds a row again that a custom scan handed out.
 *
 * The custom scan stands above the access method and hangs its function in
 * here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_REFETCH_H
#define MS_REFETCH_H

#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * Puts the row that a custom scan of a query still running handed out under
 * this tid into a slot of any kind; false if there is none.
 */
typedef bool (*ms_refetch_function) (Relation rel, ItemPointer tid, TupleTableSlot *slot);

extern ms_refetch_function ms_refetch_hook; /* NULL: no custom scan */

#endif							/* MS_REFETCH_H */
