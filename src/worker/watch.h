/*-------------------------------------------------------------------------
 *
 * watch.h
 *	  Telling the server log when rows pile up that cannot be folded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_WATCH_H
#define MS_WATCH_H

#include "store/table.h"

/* Looks at a table after it was folded.  Caller holds table->maintain. */
extern void ms_watch_table(MsTable *table, const MsConfig *config, TimestampTz now);

/* Looks at all tables together, at the end of a round, in which some had to wait for memory or not; takes the directory lock. */
extern void ms_watch_memory(TimestampTz now, bool full);

#endif							/* MS_WATCH_H */
