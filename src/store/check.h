/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Self-checks of a table's memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CHECK_H
#define MS_CHECK_H

#include "store/table.h"

/* Is told of a problem, with no lock held; the text is its own to copy. */
typedef void (*MsCheckReport) (void *arg, const char *problem);

/*
 * Verifies everything a table holds: its groups of the arena, series, windows,
 * runs, counters against a recount, and every chunk by decoding it.  Takes
 * table->maintain and table->lock shared for one window at a time, so writers
 * wait for moments; interruptible in between.  The caller holds a lock on the
 * relation.
 */
extern void ms_check_table(MsTable *table, MsCheckReport report, void *arg);

#endif							/* MS_CHECK_H */
