/*-------------------------------------------------------------------------
 *
 * aggmath.c
 *	  Counts, sums, ranges and squares of arrays of values.
 *
 * Results are PostgreSQL's, with one exception: floats are added in another
 * order, or exactly within a block, so a sum may differ in its last bits and
 * whatever is computed from it does too.  NaN and infinities go the same way
 * through any order.  A sum of finite values that leaves the range of the type is
 * an error as it is there; since that may happen in one order and not in the
 * other, values whose sum is not finite are added again one by one.  Unlike
 * PostgreSQL's, an average does not fail because squares are out of range.
 *
 * Variances are computed per run of rows in two passes, and combined by the
 * formula of Youngs and Cramer, as PostgreSQL combines those of its workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "utils/float.h"

#include "exec/agg.h"

/* a + b, as PostgreSQL adds: an error if that overflows. */
static inline double
add(double a, double b)
{
	double		sum = a + b;

	if (unlikely(isinf(sum)) && !isinf(a) && !isinf(b))
		float_overflow_error();
	return sum;
}

/* One value after the other onto `sum`. */
static double
sum_slowly(double sum, const double *v, int n)
{
	for (int i = 0; i < n; i++)
		sum = add(sum, v[i]);
	return sum;
}

typedef double Two __attribute__((vector_size(16)));

static inline Two
load_two(const double *v)
{
	Two			two;

	memcpy(&two, v, sizeof(two));
	return two;
}

/* The smaller and the larger of two, pair by pair.  Not for NaN. */
static inline Two
min_two(Two a, Two b)
{
#ifdef __SSE2__
	return (Two) _mm_min_pd((__m128d) a, (__m128d) b);
#else
	Two			result = {a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]};

	return result;
#endif
}

static inline Two
max_two(Two a, Two b)
{
#ifdef __SSE2__
	return (Two) _mm_max_pd((__m128d) a, (__m128d) b);
#else
	Two			result = {a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]};

	return result;
#endif
}

/* The sum in any order; not finite if some value is not, or if it overflows. */
static double
sum_fast(const double *v, int n)
{
	Two			a = {0, 0};
	Two			b = {0, 0};
	Two			c = {0, 0};
	Two			d = {0, 0};
	double		rest = 0;
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		a += load_two(v + i);
		b += load_two(v + i + 2);
		c += load_two(v + i + 4);
		d += load_two(v + i + 6);
	}
	for (; i < n; i++)
		rest += v[i];
	a = (a + b) + (c + d);
	return a[0] + a[1] + rest;
}

/*
 * Smallest and largest of n > 0 values in PostgreSQL's order.  sum is theirs, in
 * any order: NaN if some of them are.
 */
static void
find_range(const double *v, int n, double sum, double *min, double *max)
{
	Two			lo[2] = {{v[0], v[0]}, {v[0], v[0]}};
	Two			hi[2] = {{v[0], v[0]}, {v[0], v[0]}};
	int			i;

	if (unlikely(isnan(sum)))
	{
		*min = *max = v[0];
		for (i = 1; i < n; i++)
		{
			*min = float8_lt(*min, v[i]) ? *min : v[i];
			*max = float8_gt(*max, v[i]) ? *max : v[i];
		}
		return;
	}
	for (i = 0; i + 4 <= n; i += 4)
	{
		Two			a = load_two(v + i);
		Two			b = load_two(v + i + 2);

		lo[0] = min_two(a, lo[0]);
		hi[0] = max_two(a, hi[0]);
		lo[1] = min_two(b, lo[1]);
		hi[1] = max_two(b, hi[1]);
	}
	for (; i < n; i++)
	{
		Two			a = {v[i], v[i]};

		lo[0] = min_two(a, lo[0]);
		hi[0] = max_two(a, hi[0]);
	}
	lo[0] = min_two(lo[0], lo[1]);
	hi[0] = max_two(hi[0], hi[1]);
	*min = Min(lo[0][0], lo[0][1]);
	*max = Max(hi[0][0], hi[0][1]);
}

/* Sum of squared differences from the mean of n > 0 values. */
static double
find_squares(const double *v, int n, double sum)
{
	double		mean = sum / n;
	double		squares = 0;
	double		off = 0;
	bool		special = !isfinite(sum);

	for (int i = 0; i < n; i++)
	{
		double		d = v[i] - mean;

		squares += d * d;
		off += d;
	}
	if (special)
		return get_float8_nan();
	squares -= off * off / n;
	if (unlikely(isinf(squares)))
		float_overflow_error();
	return squares;
}

/* Adds the range of more values. */
static inline void
widen_range(MsValueStats *stats, double min, double max)
{
	if (stats->n == 0)
	{
		stats->min = min;
		stats->max = max;
		return;
	}
	stats->min = float8_lt(stats->min, min) ? stats->min : min;
	stats->max = float8_gt(stats->max, max) ? stats->max : max;
}

/* Squares of n values of a sum, and of others; see float8_combine. */
static void
combine_squares(MsValueStats *stats, int n, double sum, double squares)
{
	double		off;
	double		result;

	if (stats->n == 0)
	{
		stats->squares = squares;
		return;
	}
	off = stats->sum / stats->n - sum / n;
	result = stats->squares + squares + (double) stats->n * n * off * off / ((double) stats->n + n);
	if (unlikely(isinf(result)) && !isinf(stats->squares) && !isinf(squares))
		float_overflow_error();
	stats->squares = result;
}

/* Adds n values, none of them NULL. */
void
ms_value_stats_add(MsValueStats *stats, int want, const double *v, int n)
{
	double		sum;

	if (n == 0)
		return;
	if (want == MS_WANT_COUNT)
	{
		stats->n += n;
		return;
	}
	sum = sum_fast(v, n);
	if (want & MS_WANT_RANGE)
	{
		double		min;
		double		max;

		find_range(v, n, sum, &min, &max);
		widen_range(stats, min, max);
	}
	if (want & MS_WANT_SQUARES)
	{
		if (!isfinite(sum))
			sum = sum_slowly(0, v, n);
		combine_squares(stats, n, sum, find_squares(v, n, sum));
	}
	if (want & MS_WANT_SUM)
		stats->sum = isfinite(sum) && isfinite(stats->sum + sum) ? stats->sum + sum :
			sum_slowly(stats->sum, v, n);
	stats->n += n;
}

/* Adds a block by its summary; false if that does not say enough. */
bool
ms_value_stats_add_summary(MsValueStats *stats, int want, const MsSummary *s)
{
	Assert(!(want & MS_WANT_SQUARES));
	if (s->count == 0)
		return true;
	/* an infinite sum may be one that overflowed */
	if ((want & MS_WANT_SUM) && isinf(s->sum))
		return false;
	if (want & MS_WANT_RANGE)
		widen_range(stats, s->min, s->max);
	if (want & MS_WANT_SUM)
		stats->sum = add(stats->sum, s->sum);
	stats->n += s->count;
	return true;
}
