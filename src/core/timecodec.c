/*-------------------------------------------------------------------------
 *
 * timecodec.c
 *	  The times of a block's rows, as bytes.
 *
 * Whoever measures does so every so often: time i is near first + i * step.
 * A block's header (chunk_read.c) keeps the unit in which its times are
 * whole, the step, and how far the last time is off this grid, so that its
 * time range is known without decoding.  If no time is off, that is all.
 * Else a stream keeps for each time how far it is off, most often 0 or a
 * little, as integers (intcodec.c).
 *
 * Samples that were missed would put all later times off the grid by whole
 * steps.  They are listed first, if there are any:
 *
 *	byte		3 (which no block of integers begins with)
 *	byte		how many gaps, less one
 *	each gap:	byte: the row after it; varint: steps missed, less one
 *	integers	time - (first + (i + steps missed before) * step), in units
 *
 * All arithmetic on what was read is modulo 2^64; that the times ascend and
 * end where the header says is checked afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/timecodec.h"

#define GAPS_MARK		3

/* A microsecond, a millisecond, a second, a minute.  In files. */
const int64 ms_time_unit[MS_TIME_UNITS] = {
	INT64CONST(1), INT64CONST(1000), INT64CONST(1000000), INT64CONST(60000000)
};

/* A row before which samples were missed. */
typedef struct Gap
{
	uint8		row;
	uint64		missed;
} Gap;

/* A span in units, rounded down; constant divisors are cheap ones. */
static inline uint64
in_units(uint64 span, int unit)
{
	switch (unit)
	{
		case 0:
			return span;
		case 1:
			return span / 1000;
		case 2:
			return span / 1000000;
		default:
			return span / 60000000;
	}
}

/*
 * The largest unit in which all differences of n times are whole.
 */
int
ms_time_find_unit(const int64 *times, int n)
{
	int			unit = MS_TIME_UNITS - 1;

	for (int i = 1; i < n; i++)
	{
		uint64		d = (uint64) times[i] - (uint64) times[0];

		while (in_units(d, unit) * (uint64) ms_time_unit[unit] != d)
			unit--;
	}
	return unit;
}

/* The median of n numbers, which it reorders: quickselect. */
static uint64
median(uint64 *x, int n)
{
	int			lo = 0;
	int			hi = n - 1;
	int			k = n / 2;

	while (lo < hi)
	{
		uint64		pivot = x[(lo + hi) / 2];
		int			i = lo;
		int			j = hi;

		while (i <= j)
		{
			while (x[i] < pivot)
				i++;
			while (x[j] > pivot)
				j--;
			if (i <= j)
			{
				uint64		t = x[i];

				x[i++] = x[j];
				x[j--] = t;
			}
		}
		if (k <= j)
			hi = j;
		else if (k >= i)
			lo = i;
		else
			break;
	}
	return x[k];
}

/*
 * Fill work->q with how far the times in work->at are off the grid, gaps
 * taken out.  Returns the number of gaps, or -1 if there are too many.
 */
static int
find_offsets(int n, uint64 step, bool find_gaps, Gap *gaps, MsTimeWork *work)
{
	const uint64 *at = work->at;
	uint64		expected = 0;
	int			ngaps = 0;

	work->q[0] = 0;
	for (int i = 1; i < n; i++)
	{
		uint64		delta = at[i] - at[i - 1];

		expected += step;
		if (find_gaps && delta >= step + step / 2 + 1)
		{
			if (ngaps >= MS_TIME_MAX_GAPS)
				return -1;
			gaps[ngaps].row = (uint8) i;
			gaps[ngaps].missed = (delta + step / 2) / step - 1;
			if (gaps[ngaps].missed > 0)
				expected += gaps[ngaps++].missed * step;
		}
		work->q[i] = at[i] - expected;
	}
	return ngaps;
}

/*
 * Encode n times, 1 to MS_INT_MAX, strictly ascending.  Fills *grid, and dst,
 * which has MS_TIME_BOUND(n) bytes, unless the times are regular.  Returns
 * the number of bytes.
 */
int
ms_time_encode(const int64 *times, int n, MsTimeGrid *grid, uint8 *dst,
			   MsTimeWork *work)
{
	uint64		span = (uint64) times[n - 1] - (uint64) times[0];
	uint64		unit_us;
	Gap			gaps[MS_TIME_MAX_GAPS];
	int			ngaps;
	uint8	   *p;
	uint64		step;
	bool		regular = true;

	memset(grid, 0, sizeof(*grid));
	grid->regular = true;
	if (n == 1)
		return 0;

	grid->unit = ms_time_find_unit(times, n);
	unit_us = (uint64) ms_time_unit[grid->unit];
	work->at[0] = 0;
	for (int i = 1; i < n; i++)
	{
		work->at[i] = in_units((uint64) times[i] - (uint64) times[0], grid->unit);
		work->delta[i - 1] = work->at[i] - work->at[i - 1];
		regular &= work->delta[i - 1] == work->delta[0];
	}
	step = regular ? work->delta[0] : median(work->delta, n - 1);

	/* a block's range must be computable without overflow */
	if (step > PG_INT64_MAX / unit_us / n)
		step = span / unit_us / n;
	if (step > PG_INT64_MAX / unit_us / n)
		step = PG_INT64_MAX / unit_us / n;

	grid->step = step;
	grid->off = (int64) (span / unit_us - step * (n - 1));
	if (regular && grid->off == 0)
		return 0;
	grid->regular = false;

	p = work->buf;
	ngaps = find_offsets(n, step, step > 0, gaps, work);
	if (ngaps > 0)
	{
		*p++ = GAPS_MARK;
		*p++ = (uint8) (ngaps - 1);
		for (int i = 0; i < ngaps; i++)
		{
			*p++ = gaps[i].row;
			p = ms_put_varint(p, gaps[i].missed - 1);
		}
	}
	if (ngaps >= 0)
		p += ms_int_encode(work->q, n, p, &work->ints);
	if (ngaps < 0 || p - work->buf > MS_TIME_BOUND(n))
	{
		/* too many to be gaps */
		p = work->buf;
		find_offsets(n, step, false, gaps, work);
		p += ms_int_encode(work->q, n, p, &work->ints);
	}
	memcpy(dst, work->buf, p - work->buf);
	return (int) (p - work->buf);
}

/*
 * Read the gaps into missed[]: how many steps row i is later
 * than row i - 1 besides one.  Leaves 0 in the other rows.
 */
static bool
read_gaps(MsReader *r, int n, uint64 *missed)
{
	int			count;
	int			last = 0;

	memset(missed, 0, sizeof(uint64) * n);
	ms_get_byte(r);
	count = ms_get_byte(r) + 1;
	for (int i = 0; i < count; i++)
	{
		int			row = ms_get_byte(r);

		if (r->bad || row <= last || row >= n)
			return false;
		missed[row] = ms_get_varint(r) + 1;
		last = row;
	}
	return !r->bad;
}

typedef uint64 Two __attribute__((vector_size(16)));

/* Times on the grid: four at once, so that none waits for the one before. */
static void
put_regular(int64 *out, int n, uint64 first, uint64 step)
{
	Two			low = {first, first + step};
	Two			high = {first + 2 * step, first + 3 * step};
	const		Two four_steps = {4 * step, 4 * step};
	int			i;

	for (i = 0; i + 4 <= n; i += 4)
	{
		memcpy(out + i, &low, sizeof(low));
		memcpy(out + i + 2, &high, sizeof(high));
		low += four_steps;
		high += four_steps;
	}
	for (; i < n; i++)
		out[i] = (int64) (first + i * step);
}

/*
 * Decode n times, 1 to MS_INT_MAX, of the grid that a header gave, which says
 * that they go from first to last.  "out" has n elements.  Memory below
 * "limit", at or above p + len, may be loaded.  False if malformed; "out" is
 * then anything.
 */
bool
ms_time_decode(const uint8 *p, Size len, const uint8 *limit, int n,
			   const MsTimeGrid *grid, int64 first, int64 last, int64 *out)
{
	uint64		q[MS_INT_ROOM];
	uint64		missed[MS_INT_MAX];
	uint64		unit = (uint64) ms_time_unit[grid->unit];
	uint64		step = grid->step * unit;
	uint64		expected = (uint64) first;
	bool		ascending = true;
	MsReader	r;

	Assert(n >= 1 && n <= MS_INT_MAX);
	if (grid->regular)
	{
		put_regular(out, n, expected, step);
		return len == 0 && out[n - 1] == last;
	}

	ms_reader_init(&r, p, p + len);
	if (len > 0 && *p == GAPS_MARK)
	{
		if (!read_gaps(&r, n, missed) || !ms_int_decode(&r, limit, n, q))
			return false;
		for (int i = 0; i < n; i++, expected += step)
		{
			expected += missed[i] * step;
			out[i] = (int64) (expected + q[i] * unit);
		}
	}
	else
	{
		if (!ms_int_decode(&r, limit, n, q))
			return false;
		for (int i = 0; i < n; i++)
			out[i] = (int64) (expected + i * step + q[i] * unit);
	}

	for (int i = 1; i < n; i++)
		ascending &= out[i] > out[i - 1];
	return ascending && !r.bad && r.p == r.end && out[0] == first &&
		out[n - 1] == last;
}
