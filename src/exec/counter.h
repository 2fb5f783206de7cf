/*-------------------------------------------------------------------------
 *
 * counter.h
 *	  What increase, rate and delta of a counter are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_COUNTER_H
#define MS_COUNTER_H

/* What is known of the samples seen so far, which came in ascending time. */
typedef struct MsCounter
{
	int64		n;
	int64		first_time;
	int64		last_time;
	double		first;
	double		last;
	double		lost;			/* what resets took away */
} MsCounter;

typedef struct MsPoint
{
	int64		time;
	double		value;
} MsPoint;

/* Samples in any order.  All zeroes is a valid empty one. */
typedef struct MsPoints
{
	int64		n;
	int64		cap;
	bool		unsorted;
	MsPoint    *points;			/* owned by the context given to ms_points_add */
} MsPoints;

extern void ms_counter_add(MsCounter *counter, const int64 *times, const double *values, int n);
extern void ms_points_add(MsPoints *points, MemoryContext cxt, const int64 *times,
						  const double *values, int64 n);
extern void ms_points_count(MsPoints *points, MsCounter *counter);

/* False: NULL, as there are fewer than two samples (of rate: than two times). */
extern bool ms_counter_increase(const MsCounter *counter, double *result);
extern bool ms_counter_rate(const MsCounter *counter, double *result);
extern bool ms_counter_delta(const MsCounter *counter, double *result);

#endif							/* MS_COUNTER_H */
