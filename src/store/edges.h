/*-------------------------------------------------------------------------
 *
 * edges.h
 *	  How far the rows of series reach; see edges.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_EDGES_H
#define MS_EDGES_H

#include "store/table.h"

/*
 * Sets for each of n series a time that no row of it in [lo, hi) is above, or, unless `newest`, below; mostly that of
 * its newest or oldest row.  PG_INT64_MIN, or PG_INT64_MAX: it has no rows there.  Takes table->lock shared, for some
 * series at a time.
 */
extern void ms_series_edges(MsTable *table, int64 lo, int64 hi, bool newest,
							const uint32 *sids, uint32 n, int64 *edges);

#endif							/* MS_EDGES_H */
