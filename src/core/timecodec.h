/*-------------------------------------------------------------------------
 *
 * timecodec.h
 *	  The times of a block's rows, as bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_TIMECODEC_H
#define MS_TIMECODEC_H

#include "core/intcodec.h"

/* Units of time, by the number that a block or chunk stores. */
#define MS_TIME_UNITS	4
extern const int64 ms_time_unit[MS_TIME_UNITS]; /* in microseconds */

/* bytes that no time stream of n rows exceeds */
#define MS_TIME_BOUND(n)	(MS_INT_BOUND(n) + 16)

/* missed steps in a block are listed, but no more than so many */
#define MS_TIME_MAX_GAPS	64

/* What a block's header says of its times, besides the first one. */
typedef struct MsTimeGrid
{
	int			unit;			/* index into ms_time_unit */
	bool		regular;		/* times are first + i * step; no stream */
	uint64		step;			/* in units */
	int64		off;			/* how far the last time is off the grid, in
								 * units */
} MsTimeGrid;

/* Scratch of the time codec: holds nothing between calls. */
typedef struct MsTimeWork
{
	uint64		at[MS_INT_ROOM];	/* times above the first, in units */
	uint64		delta[MS_INT_ROOM];
	uint64		q[MS_INT_ROOM]; /* how far off the grid */
	MsIntWork	ints;
	uint8		buf[MS_TIME_BOUND(MS_INT_MAX) + MS_TIME_MAX_GAPS * 11];
} MsTimeWork;

extern int	ms_time_find_unit(const int64 *times, int n);
extern int	ms_time_encode(const int64 *times, int n, MsTimeGrid *grid,
						   uint8 *dst, MsTimeWork *work);
extern bool ms_time_decode(const uint8 *p, Size len, const uint8 *limit,
						   int n, const MsTimeGrid *grid, int64 first,
						   int64 last, int64 *out);

#endif							/* MS_TIMECODEC_H */
