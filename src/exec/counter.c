/*-------------------------------------------------------------------------
 *
 * counter.c
 *	  What increase, rate and delta of a counter are.
 *
 * A counter only rises, but it starts again from zero when what counts is
 * restarted.  As in Prometheus (https://prometheus.io/docs/prometheus/latest/querying/functions/,
 * extrapolatedRate in its promql/functions.go), a value below the one before
 * it is such a reset: what the counter had until then is added to what follows.
 *
 *		increase	last value - first value + what resets took away
 *		rate		increase / seconds between first and last sample
 *		delta		last value - first value, for gauges: no resets
 *
 * Prometheus then extrapolates from the samples to the edges of the range asked
 * for.  An aggregate does not know that range, so nothing is extrapolated: the
 * results are exactly what the samples in the group say.  As there, fewer than
 * two samples give no result.
 *
 * Rows without value or time are ignored.  Samples of equal time (of several
 * series, that is) are taken in the order of their values, so that the result
 * does not depend on the order in which rows come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "exec/counter.h"

/* Adds samples in ascending time, none before those already added. */
void
ms_counter_add(MsCounter *counter, const int64 *times, const double *values, int n)
{
	double		last;
	double		lost = 0;

	if (n == 0)
		return;
	if (counter->n == 0)
	{
		counter->first_time = times[0];
		counter->first = counter->last = values[0];
	}
	last = counter->last;
	for (int i = 0; i < n; i++)
	{
		if (values[i] < last)
			lost += last;
		last = values[i];
	}
	counter->lost += lost;
	counter->last = last;
	counter->last_time = times[n - 1];
	counter->n += n;
}

/* Does a come after b? */
static inline bool
follows(const MsPoint *a, const MsPoint *b)
{
	return a->time != b->time ? a->time > b->time : float8_gt(a->value, b->value);
}

#define ST_SORT sort_points
#define ST_ELEMENT_TYPE MsPoint
#define ST_COMPARE(a, b) (follows(a, b) ? 1 : follows(b, a) ? -1 : 0)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Adds samples in any order.  Allocates in cxt. */
void
ms_points_add(MsPoints *points, MemoryContext cxt, const int64 *times, const double *values, int64 n)
{
	if (points->n + n > points->cap)
	{
		int64		cap = Max(points->cap * 2, Max(points->n + n, 16));

		if (points->points == NULL)
			points->points = MemoryContextAllocHuge(cxt, sizeof(MsPoint) * cap);
		else
			points->points = repalloc_huge(points->points, sizeof(MsPoint) * cap);
		points->cap = cap;
	}
	for (int64 i = 0; i < n; i++)
	{
		MsPoint    *point = &points->points[points->n++];

		point->time = times[i];
		point->value = values[i];
		if (points->n > 1 && follows(point - 1, point))
			points->unsorted = true;
	}
}

/* Brings the samples into order and counts them. */
void
ms_points_count(MsPoints *points, MsCounter *counter)
{
	if (points->unsorted)
		sort_points(points->points, points->n);
	points->unsorted = false;
	memset(counter, 0, sizeof(*counter));
	for (int64 i = 0; i < points->n; i++)
		ms_counter_add(counter, &points->points[i].time, &points->points[i].value, 1);
}

bool
ms_counter_increase(const MsCounter *counter, double *result)
{
	*result = counter->last - counter->first + counter->lost;
	return counter->n > 1;
}

bool
ms_counter_rate(const MsCounter *counter, double *result)
{
	double		seconds = ((double) counter->last_time - (double) counter->first_time) / USECS_PER_SEC;

	if (!ms_counter_increase(counter, result) || counter->first_time == counter->last_time)
		return false;
	*result /= seconds;
	return true;
}

bool
ms_counter_delta(const MsCounter *counter, double *result)
{
	*result = counter->last - counter->first;
	return counter->n > 1;
}
