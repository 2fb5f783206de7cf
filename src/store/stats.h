/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  What there is to see of tables, windows and series: figures, copied out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_STATS_H
#define MS_STATS_H

#include "store/table.h"

/* What memory is for.  Together with the bytes of runs they are in_use_bytes. */
typedef struct MsPurposes
{
	uint64		times;			/* in chunks, as far as headers do not say */
	uint64		values;			/* in chunks */
	uint64		labels;			/* label values and the codes of series */
	uint64		index;			/* from labels to series, and to chunks */
	uint64		headers;		/* of chunks, windows, slots */
	uint64		slack;			/* rounding and fragmentation */
} MsPurposes;

/* Samples count as stored: runs as if visible, overwritten and deleted ones until they are folded. */
typedef struct MsTableInfo
{
	uint32		series;
	uint32		windows;
	uint32		sealed_windows;
	int64		first_start;	/* of the oldest window; meaningless without
								 * windows */
	int64		last_start;		/* of the newest */
	uint64		samples;		/* in chunks and runs */
	uint64		runs;
	uint64		run_samples;
	uint64		run_bytes;
	MsPurposes	purposes;
	uint64		in_use_bytes;	/* of the arena's pages */
	uint64		allocated_bytes;
	uint64		skipped_samples;
	uint64		expired_windows;
} MsTableInfo;

typedef struct MsWindowInfo
{
	int64		start;
	int64		end;
	bool		sealed;			/* and nothing late is waiting to be folded */
	bool		saved;			/* the durable file holds all of it */
	uint32		chunks;
	uint32		runs;
	uint64		chunk_samples;
	uint64		chunk_bytes;
	uint64		run_samples;
	uint64		run_bytes;
	MsPurposes	purposes;
	uint64		in_use_bytes;
	uint64		allocated_bytes;
} MsWindowInfo;

typedef struct MsSeriesInfo
{
	uint32		chunks;
	uint64		samples;
	uint64		chunk_bytes;
	int64		first_start;	/* of the oldest window that has some;
								 * meaningless without samples */
	int64		last_start;
} MsSeriesInfo;

/*
 * Figures of a table.  False if the storage has no table, which is an empty
 * one.  Needs no lock on the relation; takes directory and table lock shared.
 */
extern bool ms_stats_table(const MsTableKey *key, MsTableInfo *info);

/* Runs of all tables and the memory they take.  Takes directory shared, table locks not at all: figures of the moment. */
extern void ms_stats_runs(uint64 *runs, uint64 *bytes);

/* All windows, oldest first, palloc'd; returns their number.  As above. */
extern int	ms_stats_windows(const MsTableKey *key, MsWindowInfo **windows);

/* Figures of a series; false if there is none.  The caller holds a lock on the relation. */
extern bool ms_stats_series(MsTable *table, uint32 sid, MsSeriesInfo *info);

/*
 * Rows, bytes and time range of a table at hand, cheaply, for the planner and for ANALYZE; counts runs
 * as if visible.
 */
typedef struct MsTableStats
{
	uint64		samples;
	uint64		run_samples;
	uint64		chunk_bytes;
	uint32		series;
	uint32		series_limit;
	uint32		windows;
	uint32		runs;
	uint64		run_bytes;
	int64		tmin;			/* start of the first window */
	int64		tmax;			/* end of the last */
} MsTableStats;

extern void ms_table_stats(MsTable *table, MsTableStats *stats);

/* Rows of chunks of series sid over all windows, from headers only (for ANALYZE). */
extern uint64 ms_series_rows(MsTable *table, uint32 sid);

#endif							/* MS_STATS_H */
