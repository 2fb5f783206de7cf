/*-------------------------------------------------------------------------
 *
 * valuesummary.c
 *	  What is known of a column's stream: count, least, greatest, sum.
 *
 * A summary is answered from the stored one if there is one, and else by
 * decoding; both give the same bits.  Reading it, the stored one is
 * believed; ms_value_check() compares the two.  Of values that are functions
 * of integers all is found from these, without making doubles of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/unpack.h"
#include "core/valuestream.h"

/* Do the stored summary's integers say what q[] says? */
static bool
summary_agrees(const MsValueStream *s, const uint64 *q)
{
	int64		min;
	int64		max;
	uint64		sum;

	ms_integer_totals(q, s->count, &min, &max, &sum);
	return s->qmin == (uint64) min && s->qmax == (uint64) max &&
		s->qsum == sum;
}

/* a < b in PostgreSQL's order, where NaN is above everything. */
static inline bool
float8_less(double a, double b)
{
	return a < b || (b != b && a == a);
}

/*
 * Add n values to a summary, in order.  Start with a count of 0.
 */
void
ms_summary_add(MsSummary *s, const double *v, int n)
{
	int			i = 0;

	if (n <= 0)
		return;
	if (s->count == 0)
	{
		s->min = s->max = s->sum = v[0];
		s->has_nan = v[0] != v[0];
		i = 1;
	}
	for (; i < n; i++)
	{
		if (!float8_less(s->min, v[i]))
			s->min = v[i];
		if (!float8_less(v[i], s->max))
			s->max = v[i];
		s->has_nan |= v[i] != v[i];
		s->sum += v[i];
	}
	s->count += n;
}

/* Set the summary's integers from the values. */
static bool
read_totals(MsValueStream *s, MsValueScratch *scratch)
{
	MsNarrowTotals totals;
	int64		min;
	int64		max;

	if (ms_int_totals_narrow(&s->r, s->limit, s->count, scratch->narrow, &totals))
	{
		s->qmin = (uint64) (int64) totals.min;
		s->qmax = (uint64) (int64) totals.max;
		s->qsum = (uint64) totals.sum;
		return true;
	}
	if (!ms_int_decode(&s->r, s->limit, s->count, scratch->q))
		return false;
	ms_integer_totals(scratch->q, s->count, &min, &max, &s->qsum);
	s->qmin = (uint64) min;
	s->qmax = (uint64) max;
	return true;
}

/* The summary of count values of a stream whose integers have this range and sum. */
static void
set_mapped(const MsValueStream *s, int count, uint64 qmin, uint64 qmax, uint64 qsum, MsSummary *result)
{
	double		power = powers_of_ten[s->decimals];

	result->count = count;
	result->min = exact_double(s->first + s->factor * qmin) / power;
	result->max = exact_double(s->first + s->factor * qmax) / power;
	result->sum = decimal_sum(count * s->first + s->factor * qsum, s->decimals);
	result->has_nan = false;
}

/* The summary of a stream that is a function of its integers: the stored one, or from them. */
static bool
mapped_summary(MsValueStream *s, bool stored, MsSummary *result, MsValueScratch *scratch)
{
	if (!stored && !read_totals(s, scratch))
		return false;
	set_mapped(s, s->count, s->qmin, s->qmax, s->qsum, result);
	return true;
}

/* The summary of "count" equal values. */
static bool
constant_summary(MsValueStream *s, MsSummary *result)
{
	double		v = ms_stream_constant(s);

	result->min = result->max = v;
	if (s->form == FORM_CONST_DEC)
		result->sum = decimal_sum(s->count * s->first, s->decimals);
	else
		result->sum = v * s->count;
	result->has_nan = v != v;
	return !s->r.bad && s->r.p == s->r.end;
}

/*
 * The summary of a stream of n values; parameters as ms_value_decode().
 */
bool
ms_value_summary(const uint8 *p, Size len, const uint8 *limit, int n,
				 MsSummary *result, MsValueScratch *scratch)
{
	MsValueStream s;
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;

	memset(result, 0, sizeof(*result));
	if (!ms_stream_open(&s, p, len, limit, n, nulls, &has_nulls))
		return false;
	if (s.form == FORM_NULLS)
		return true;

	if (s.form <= FORM_CONST_RAW)
	{
		result->count = s.count;
		return constant_summary(&s, result);
	}
	if (ms_stream_is_mapped(&s))
	{
		result->count = s.count;
		return mapped_summary(&s, s.has_summary, result, scratch);
	}
	if (s.has_summary)
	{
		result->count = s.count;
		result->min = s.min;
		result->max = s.max;
		result->sum = s.sum;
		result->has_nan = s.max != s.max;
		return true;
	}
	if (!ms_stream_values(&s, scratch->vals, scratch))
		return false;
	ms_summary_add(result, scratch->vals, s.count);
	return true;
}

/*
 * The same bits from a stream's values, whether their summary is stored or not;
 * without making doubles of the integers that they are functions of.  False
 * if they are not, or if it is malformed.
 */
bool
ms_value_totals(const uint8 *p, Size len, const uint8 *limit, int n,
				MsSummary *result, MsValueScratch *scratch)
{
	MsValueStream s;
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;

	memset(result, 0, sizeof(*result));
	if (!ms_stream_open(&s, p, len, limit, n, nulls, &has_nulls) || !ms_stream_is_mapped(&s))
		return false;
	result->count = s.count;
	return mapped_summary(&s, false, result, scratch);
}

/* Least, greatest and sum of n > 0 integers. */
static void
run_totals(const uint64 *q, int n, int64 *min, int64 *max, uint64 *sum)
{
	*min = *max = (int64) q[0];
	*sum = q[0];
	for (int i = 1; i < n; i++)
	{
		*min = Min(*min, (int64) q[i]);
		*max = Max(*max, (int64) q[i]);
		*sum += q[i];
	}
}

/*
 * The same of runs of its rows, of which run i has rows bounds[i] to
 * bounds[i + 1] - 1, at least one; MS_VALUE_RUNS at most.  False also if a row
 * is null.
 */
bool
ms_value_run_totals(const uint8 *p, Size len, const uint8 *limit, int n,
					const int *bounds, int nruns,
					MsSummary *results, MsValueScratch *scratch)
{
	MsNarrowTotals totals[MS_VALUE_RUNS] = {{0}};
	MsValueStream s;
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;
	bool		narrow;

	Assert(nruns <= MS_VALUE_RUNS && bounds[0] >= 0 && bounds[nruns] <= n);
	if (!ms_stream_open(&s, p, len, limit, n, nulls, &has_nulls) || !ms_stream_is_mapped(&s) || s.count != n)
		return false;
	narrow = ms_int_run_totals_narrow(&s.r, s.limit, n, scratch->narrow, bounds, nruns, totals);
	if (!narrow && !ms_int_decode(&s.r, s.limit, s.count, scratch->q))
		return false;
	for (int i = 0; i < nruns; i++)
	{
		int			count = bounds[i + 1] - bounds[i];
		int64		min = totals[i].min;
		int64		max = totals[i].max;
		uint64		sum = (uint64) totals[i].sum;

		if (!narrow)
			run_totals(scratch->q + bounds[i], count, &min, &max, &sum);
		set_mapped(&s, count, (uint64) min, (uint64) max, sum, &results[i]);
	}
	return true;
}

/*
 * Is a stream of n values well-formed, and its summary true?  Parameters as
 * ms_value_decode().
 */
bool
ms_value_check(const uint8 *p, Size len, const uint8 *limit, int n,
			   MsValueScratch *scratch)
{
	MsValueStream s;
	MsValueStream copy;
	MsSummary	sum;
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;

	if (!ms_stream_open(&s, p, len, limit, n, nulls, &has_nulls))
		return false;
	copy = s;
	if (!ms_stream_values(&copy, scratch->vals, scratch))
		return false;
	if (!s.has_summary)
		return true;
	if (ms_stream_is_mapped(&s))
		return ms_int_decode(&s.r, s.limit, s.count, scratch->q) && summary_agrees(&s, scratch->q);

	memset(&sum, 0, sizeof(sum));
	ms_summary_add(&sum, scratch->vals, s.count);
	/* which NaN a sum gives is the processor's choice */
	return ms_double_bits(sum.min) == ms_double_bits(s.min) &&
		ms_double_bits(sum.max) == ms_double_bits(s.max) &&
		(ms_double_bits(sum.sum) == ms_double_bits(s.sum) ||
		 (sum.sum != sum.sum && s.sum != s.sum));
}
