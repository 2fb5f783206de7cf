/*-------------------------------------------------------------------------
 *
 * exec.h
 *	  The custom scan: how queries read memseries tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_EXEC_H
#define MS_EXEC_H

#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * memseries.enable_customscan: whether the planner considers the custom
 * scan.  Off, the same queries run as plain scans with the same answers; a
 * plan already made keeps its custom scan.
 */
extern bool ms_enable_customscan;

/*
 * Registers the scan's methods and the planner hook, once per process, from
 * _PG_init.  Takes no locks.
 */
extern void ms_exec_init(void);

/*
 * Puts the row that a custom scan of a query still running handed out under
 * this tid into a slot of any kind; false if there is none.  Takes table->lock
 * shared.
 */
extern bool ms_refetch_row(Relation rel, ItemPointer tid, TupleTableSlot *slot);

#endif							/* MS_EXEC_H */
