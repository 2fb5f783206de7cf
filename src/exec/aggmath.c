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
 * The range and the sum of an array are found in one pass, by eights, in which
 * the sum also tells whether there is a NaN.  Processors with AVX2 do that for
 * four values at a time; the order in which they add is that of all others.
 *
 * Variances are computed per run of rows in two passes, and combined by the
 * formula of Youngs and Cramer, as PostgreSQL combines those of its workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"

#include "core/avx2.h"
#include "exec/agg.h"

#ifdef MS_AVX2
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define FEW		8				/* are as well added one by one */

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

/* The sum, the smallest and the largest of n > 0 values, of which none is NaN if the sum is not. */
typedef struct Range
{
	double		sum;
	double		min;
	double		max;
} Range;

/* Adds value after value. */
static inline void
add_rest(Range *r, const double *v, int n)
{
	double		rest = 0;

	for (int i = 0; i < n; i++)
	{
		rest += v[i];
		r->min = r->min < v[i] ? r->min : v[i];
		r->max = r->max > v[i] ? r->max : v[i];
	}
	r->sum += rest;
}

#ifdef MS_AVX2

MS_AVX2
static void
find_range_avx2(const double *v, int n, Range *r)
{
	__m256d		lo[2];
	__m256d		hi[2];
	__m256d		sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
	__m128d		low;
	__m128d		high;
	__m128d		total;
	int			i;

	lo[0] = lo[1] = hi[0] = hi[1] = _mm256_set1_pd(v[0]);
	for (i = 0; i + 8 <= n; i += 8)
	{
		for (int k = 0; k < 2; k++)
		{
			__m256d		x = _mm256_loadu_pd(v + i + 4 * k);

			sum[k] = _mm256_add_pd(sum[k], x);
			lo[k] = _mm256_min_pd(x, lo[k]);
			hi[k] = _mm256_max_pd(x, hi[k]);
		}
	}
	lo[0] = _mm256_min_pd(lo[0], lo[1]);
	hi[0] = _mm256_max_pd(hi[0], hi[1]);
	low = _mm_min_pd(_mm256_castpd256_pd128(lo[0]), _mm256_extractf128_pd(lo[0], 1));
	high = _mm_max_pd(_mm256_castpd256_pd128(hi[0]), _mm256_extractf128_pd(hi[0], 1));
	total = _mm_add_pd(_mm_add_pd(_mm256_castpd256_pd128(sum[0]), _mm256_extractf128_pd(sum[0], 1)),
					   _mm_add_pd(_mm256_castpd256_pd128(sum[1]), _mm256_extractf128_pd(sum[1], 1)));
	r->min = Min(low[0], low[1]);
	r->max = Max(high[0], high[1]);
	r->sum = total[0] + total[1];
	add_rest(r, v + i, n - i);
}

#else

#define find_range_avx2(v, n, r)	((void) 0)

#endif							/* MS_AVX2 */

static void
find_range_two(const double *v, int n, Range *r)
{
	const		Two first = {v[0], v[0]};
	Two			lo[4] = {first, first, first, first};
	Two			hi[4] = {first, first, first, first};
	Two			sum[4] = {{0, 0}};
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		for (int k = 0; k < 4; k++)
		{
			Two			x = load_two(v + i + 2 * k);

			sum[k] += x;
			lo[k] = min_two(x, lo[k]);
			hi[k] = max_two(x, hi[k]);
		}
	}
	lo[0] = min_two(min_two(lo[0], lo[1]), min_two(lo[2], lo[3]));
	hi[0] = max_two(max_two(hi[0], hi[1]), max_two(hi[2], hi[3]));
	sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
	r->min = Min(lo[0][0], lo[0][1]);
	r->max = Max(hi[0][0], hi[0][1]);
	r->sum = sum[0][0] + sum[0][1];
	add_rest(r, v + i, n - i);
}

/* Sum, in any order as sum_fast(), and smallest and largest in PostgreSQL's order. */
static inline Range
find_range(const double *v, int n)
{
	Range		r = {0, v[0], v[0]};

	if (n < FEW)
		add_rest(&r, v, n);
	else if (ms_has_avx2())
		find_range_avx2(v, n, &r);
	else
		find_range_two(v, n, &r);
	if (unlikely(isnan(r.sum)))
	{
		r.min = r.max = v[0];
		for (int i = 1; i < n; i++)
		{
			r.min = float8_lt(r.min, v[i]) ? r.min : v[i];
			r.max = float8_gt(r.max, v[i]) ? r.max : v[i];
		}
	}
	return r;
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
	if (want & MS_WANT_RANGE)
	{
		Range		range = find_range(v, n);

		widen_range(stats, range.min, range.max);
		sum = range.sum;
	}
	else
		sum = sum_fast(v, n);
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

/*
 * Adds a few values, none of them NULL, as above; false if some are special, or
 * more than sum and range is wanted.
 */
static inline bool
add_few(MsValueStats *stats, int want, const double *v, int n)
{
	Range		r = {0, v[0], v[0]};

	if (want & MS_WANT_SQUARES)
		return false;
	add_rest(&r, v, n);
	if (!isfinite(r.sum) || ((want & MS_WANT_SUM) && !isfinite(stats->sum + r.sum)))
		return false;
	if (want & MS_WANT_RANGE)
	{
		/* NaN is above all; of the values here none is */
		stats->min = stats->n > 0 && stats->min <= r.min ? stats->min : r.min;
		stats->max = stats->n > 0 && !(stats->max < r.max) ? stats->max : r.max;
	}
	if (want & MS_WANT_SUM)
		stats->sum += r.sum;
	stats->n += n;
	return true;
}

/*
 * Adds runs of an array of values to what the groups have at `offset`.  Short
 * ones cost little more than their values.
 */
void
ms_value_stats_add_runs(const MsAggState *state, Size offset, int want, const double *v,
						const MsRunOfRows *runs, int nruns)
{
	for (int i = 0; i < nruns; i++)
	{
		MsValueStats *stats = (MsValueStats *) (ms_group_at(state, runs[i].group) + offset);
		int			n = runs[i].to - runs[i].from;

		if (n >= FEW || !add_few(stats, want, v + runs[i].from, n))
			ms_value_stats_add(stats, want, v + runs[i].from, n);
	}
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

/* Is a range that is wanted at least as wide as that of values with this summary? */
bool
ms_value_stats_have(const MsValueStats *stats, int want, const MsSummary *s)
{
	return s->count == 0 ||
		(stats->n > 0 &&
		 !((want & MS_WANT_MIN) && float8_lt(s->min, stats->min)) &&
		 !((want & MS_WANT_MAX) && float8_gt(s->max, stats->max)));
}
