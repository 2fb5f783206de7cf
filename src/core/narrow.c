/*-------------------------------------------------------------------------
 *
 * narrow.c
 *	  Small integers, eight at a time.
 *
 * Most blocks hold integers that fit into 26 bits: readings of a few digits,
 * or what they differ by from the first one.  Such a block is unpacked into
 * 32-bit numbers, of which an AVX2 register has eight, and added up there;
 * that takes less than half the time of unpack.c and of adding one by one,
 * whose next number waits for the one before.  There is nothing here for other
 * processors: for them ms_int_decode() does as well.
 *
 * To add up eight numbers, each takes the one before it, then the one two
 * before, then the upper four the last of the lower four.  The sum of all
 * eight does not wait for those before, so that from one eight to the next
 * only one addition has to be waited for.
 *
 * Arrays have MS_INT_ROOM elements; those behind the n that are meant, up to the
 * next multiple of eight, are overwritten with anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/intcodec.h"
#include "core/narrow.h"

#ifdef MS_AVX2

#include <immintrin.h>

/* bytes that unpacking may load behind what it needs */
#define SLACK	16

static MS_AVX2 inline __m256i
load(const int32 *x)
{
	return _mm256_loadu_si256((const __m256i *) x);
}

static MS_AVX2 inline void
store(int32 *x, __m256i v)
{
	_mm256_storeu_si256((__m256i *) x, v);
}

/*
 * Eight numbers of up to 7, 14 or 24 bits, which one, two or four loads get.
 * Each 64-bit lane is shifted so that it begins with two of them, which go
 * to its halves.
 */
static MS_AVX2 pg_attribute_always_inline void
unpack(const uint8 *p, int n, int width, int loads, int32 *x)
{
	const int	bit1 = 2 * width;
	const int	bit2 = 4 * width;
	const int	bit3 = 6 * width;
	const		__m256i low = _mm256_set1_epi64x((int64) ms_low_bits(width));
	const		__m256i high = _mm256_slli_epi64(low, 32);
	const		__m128i up = _mm_cvtsi32_si128(32 - width);
	const		__m256i shifts = loads == 1 ? _mm256_set_epi64x(bit3, bit2, bit1, 0) :
	loads == 2 ? _mm256_set_epi64x((bit2 & 7) + bit1, bit2 & 7, bit1, 0) :
	_mm256_set_epi64x(bit3 & 7, bit2 & 7, bit1 & 7, 0);

	for (int i = 0; i < n; i += 8, p += width)
	{
		int64		a = (int64) ms_load64(p);
		int64		b = loads == 4 ? (int64) ms_load64(p + (bit1 >> 3)) : a;
		int64		c = loads >= 2 ? (int64) ms_load64(p + (bit2 >> 3)) : a;
		int64		d = loads == 4 ? (int64) ms_load64(p + (bit3 >> 3)) : c;
		__m256i		v = _mm256_srlv_epi64(_mm256_set_epi64x(d, c, b, a), shifts);

		store(x + i, _mm256_or_si256(_mm256_and_si256(v, low),
									 _mm256_and_si256(_mm256_sll_epi64(v, up), high)));
	}
}

static MS_AVX2 void
unpack_any(const uint8 *p, int n, int width, int32 *x)
{
	if (width <= 7)
		unpack(p, n, width, 1, x);
	else if (width <= 14)
		unpack(p, n, width, 2, x);
	else
		unpack(p, n, width, 4, x);
}

/*
 * Read n numbers of "width" bits, at most MS_NARROW_WIDTH.  As ms_unpack().
 */
void
ms_narrow_unpack(const uint8 *p, const uint8 *limit, int n, int width, int32 *x)
{
	uint8		copy[MS_INT_MAX * MS_NARROW_WIDTH / 8 + SLACK];
	Size		size = ((Size) n * width + 7) / 8;

	if ((Size) (limit - p) < size + SLACK + width)
	{
		memcpy(copy, p, size);
		memset(copy + size, 0, sizeof(copy) - size);
		p = copy;
	}
	unpack_any(p, n, width, x);
}

/* Each of eight numbers and those before it. */
static MS_AVX2 inline __m256i
add_up(__m256i v)
{
	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 4));
	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 8));
	return _mm256_add_epi32(v, _mm256_shuffle_epi32(_mm256_permute2x128_si256(v, v, 0x08), 0xff));
}

/* The last of eight numbers, eight times. */
static MS_AVX2 inline __m256i
last(__m256i v)
{
	return _mm256_permutevar8x32_epi32(v, _mm256_set1_epi32(7));
}

/* Makes each number the sum of itself, those before it, as many times base, and "sum". */
MS_AVX2 void
ms_narrow_add_up(int32 *x, int n, int32 base, int32 sum)
{
	__m256i		before = _mm256_set1_epi32(sum);

	for (int i = 0; i < n; i += 8)
	{
		__m256i		v = add_up(_mm256_add_epi32(load(x + i), _mm256_set1_epi32(base)));

		store(x + i, _mm256_add_epi32(v, before));
		before = _mm256_add_epi32(before, last(v));
	}
}

/* Least, greatest and sum, in each of eight lanes. */
typedef struct Lanes
{
	__m256i		min;
	__m256i		max;
	__m256i		sum;
} Lanes;

static MS_AVX2 inline void
lanes_add(Lanes *lanes, __m256i v)
{
	lanes->min = _mm256_min_epi32(lanes->min, v);
	lanes->max = _mm256_max_epi32(lanes->max, v);
	lanes->sum = _mm256_add_epi32(lanes->sum, v);
}

/* The first n, below eight, of eight numbers; the others become 0. */
static MS_AVX2 inline __m256i
first_of(__m256i v, int n)
{
	const		__m256i numbers = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);

	return _mm256_and_si256(v, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), numbers));
}

static MS_AVX2 inline void
lanes_end(const Lanes *lanes, MsNarrowTotals *totals)
{
	__m128i		min = _mm_min_epi32(_mm256_castsi256_si128(lanes->min),
									_mm256_extracti128_si256(lanes->min, 1));
	__m128i		max = _mm_max_epi32(_mm256_castsi256_si128(lanes->max),
									_mm256_extracti128_si256(lanes->max, 1));
	__m256i		sum = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes->sum)),
									   _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes->sum, 1)));
	__m128i		sum2 = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

	min = _mm_min_epi32(min, _mm_shuffle_epi32(min, 0x4e));
	min = _mm_min_epi32(min, _mm_shuffle_epi32(min, 0xb1));
	max = _mm_max_epi32(max, _mm_shuffle_epi32(max, 0x4e));
	max = _mm_max_epi32(max, _mm_shuffle_epi32(max, 0xb1));
	totals->min = _mm_cvtsi128_si32(min);
	totals->max = _mm_cvtsi128_si32(max);
	totals->sum = _mm_cvtsi128_si64(sum2) + _mm_extract_epi64(sum2, 1);
}

/* Least, greatest and sum of n > 0 numbers and base each. */
MS_AVX2 void
ms_narrow_run_totals(const int32 *x, int n, int32 base, MsNarrowTotals *totals)
{
	const		__m256i first = _mm256_set1_epi32(x[0]);
	Lanes		lanes = {first, first, _mm256_setzero_si256()};
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
		lanes_add(&lanes, load(x + i));
	if (i < n)
	{
		/*
		 * for the least and the greatest, the first number in place of those
		 * that are not meant
		 */
		__m256i		v = first_of(load(x + i), n - i);
		__m256i		w = _mm256_or_si256(v, _mm256_sub_epi32(first, first_of(first, n - i)));

		lanes.min = _mm256_min_epi32(lanes.min, w);
		lanes.max = _mm256_max_epi32(lanes.max, w);
		lanes.sum = _mm256_add_epi32(lanes.sum, v);
	}
	lanes_end(&lanes, totals);
	totals->min += base;
	totals->max += base;
	totals->sum += (int64) n * base;
}

/* The same of 0 and of what ms_narrow_add_up() makes of the numbers. */
MS_AVX2 void
ms_narrow_add_up_totals(const int32 *x, int n, int32 base, int32 sum, MsNarrowTotals *totals)
{
	Lanes		lanes = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
	__m256i		before = _mm256_set1_epi32(sum);
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		__m256i		v = add_up(_mm256_add_epi32(load(x + i), _mm256_set1_epi32(base)));

		lanes_add(&lanes, _mm256_add_epi32(v, before));
		before = _mm256_add_epi32(before, last(v));
	}
	if (i < n)
	{
		__m256i		v = add_up(_mm256_add_epi32(load(x + i), _mm256_set1_epi32(base)));

		lanes_add(&lanes, first_of(_mm256_add_epi32(v, before), n - i));
	}
	lanes_end(&lanes, totals);
}

/* ---- 256 numbers, by 32 ---- */

/* Word number i of each of the eight parts. */
static MS_AVX2 inline __m256i
words(const uint8 *p, int width, int i)
{
	uint32		w[8];

	for (int j = 0; j < 8; j++)
		memcpy(&w[j], p + 4 * (j * width + i), 4);
	return _mm256_set_epi32((int) w[7], (int) w[6], (int) w[5], (int) w[4],
							(int) w[3], (int) w[2], (int) w[1], (int) w[0]);
}

static MS_AVX2 pg_attribute_always_inline void
unpack_across(const uint8 *p, int width, int32 *x)
{
	const		__m256i mask = _mm256_set1_epi32((int) ms_low_bits(width));
	__m256i		word = words(p, width, 0);

#pragma GCC unroll 32
	for (int i = 0; i < 32; i++)
	{
		const int	from = i * width % 32;
		__m256i		v = _mm256_srli_epi32(word, from);

		if (from + width >= 32 && i < 31)
		{
			word = words(p, width, (i + 1) * width / 32);
			if (from + width > 32)
				v = _mm256_or_si256(v, _mm256_slli_epi32(word, 32 - from));
		}
		store(x + 8 * i, _mm256_and_si256(v, mask));
	}
}

/*
 * Read 256 numbers of "width" bits, up to MS_NARROW_ACROSS; number i becomes
 * x[MS_NARROW_AT(i)].
 */
MS_AVX2 void
ms_narrow_unpack_across(const uint8 *p, const uint8 *limit, int width, int32 *x)
{
	uint8		copy[32 * MS_NARROW_ACROSS];

	if (limit - p < 32 * width)
	{
		memset(copy, 0, sizeof(copy));
		memcpy(copy, p, limit - p);
		p = copy;
	}
	switch (width)
	{
		case 1:
			unpack_across(p, 1, x);
			break;
		case 2:
			unpack_across(p, 2, x);
			break;
		case 3:
			unpack_across(p, 3, x);
			break;
		case 4:
			unpack_across(p, 4, x);
			break;
		case 5:
			unpack_across(p, 5, x);
			break;
		case 6:
			unpack_across(p, 6, x);
			break;
		case 7:
			unpack_across(p, 7, x);
			break;
		default:
			unpack_across(p, 8, x);
			break;
	}
}

/*
 * Of 0 and of 255 numbers that each is the sum of those before it in x, itself, and
 * as many times base.
 */
MS_AVX2 void
ms_narrow_totals_across(const int32 *x, int32 base, MsNarrowTotals *totals)
{
	const		__m256i bases = _mm256_set1_epi32(base);
	const		__m256i numbers = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
	const		__m256i seven = _mm256_cmpgt_epi32(_mm256_set1_epi32(7), numbers);
	__m256i		v = _mm256_add_epi32(load(x), bases);
	__m256i		before;
	Lanes		lanes = {v, v, v};

	for (int i = 1; i < 31; i++)
	{
		v = _mm256_add_epi32(v, _mm256_add_epi32(load(x + 8 * i), bases));
		lanes_add(&lanes, v);
	}
	/* one fewer is in the last lane */
	before = v;
	v = _mm256_add_epi32(v, _mm256_add_epi32(load(x + 8 * 31), bases));
	before = _mm256_blendv_epi8(before, v, seven);
	lanes.min = _mm256_min_epi32(lanes.min, before);
	lanes.max = _mm256_max_epi32(lanes.max, before);
	lanes.sum = _mm256_add_epi32(lanes.sum, _mm256_and_si256(v, seven));

	before = _mm256_sub_epi32(add_up(v), v);
	lanes.min = _mm256_min_epi32(_mm256_add_epi32(lanes.min, before), _mm256_setzero_si256());
	lanes.max = _mm256_max_epi32(_mm256_add_epi32(lanes.max, before), _mm256_setzero_si256());
	lanes.sum = _mm256_add_epi32(lanes.sum, _mm256_slli_epi32(before, 5));
	lanes.sum = _mm256_sub_epi32(lanes.sum, _mm256_andnot_si256(seven, before));
	lanes_end(&lanes, totals);
}

/* ---- values ---- */

/* The values that eight numbers stand for. */
static MS_AVX2 inline void
put_doubles(double *out, __m256i v, const MsNarrowMap *map)
{
	const		__m256d first = _mm256_set1_pd(map->first);
	const		__m256d factor = _mm256_set1_pd(map->factor);
	__m256d		a = _mm256_cvtepi32_pd(_mm256_castsi256_si128(v));
	__m256d		b = _mm256_cvtepi32_pd(_mm256_extracti128_si256(v, 1));

	a = _mm256_add_pd(first, _mm256_mul_pd(factor, a));
	b = _mm256_add_pd(first, _mm256_mul_pd(factor, b));
	if (map->divisor != 1)
	{
		a = _mm256_div_pd(a, _mm256_set1_pd(map->divisor));
		b = _mm256_div_pd(b, _mm256_set1_pd(map->divisor));
	}
	_mm256_storeu_pd(out, a);
	_mm256_storeu_pd(out + 4, b);
}

/* Of n numbers and base each. */
MS_AVX2 void
ms_narrow_doubles(const int32 *x, int n, int32 base, const MsNarrowMap *map, double *out)
{
	const		__m256i bases = _mm256_set1_epi32(base);
	double		rest[8];
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
		put_doubles(out + i, _mm256_add_epi32(load(x + i), bases), map);
	put_doubles(rest, _mm256_add_epi32(load(x + i), bases), map);
	memcpy(out + i, rest, sizeof(double) * (n - i));
}

/* Of what ms_narrow_add_up() makes of the numbers. */
MS_AVX2 void
ms_narrow_add_up_doubles(const int32 *x, int n, int32 base, int32 sum,
						 const MsNarrowMap *map, double *out)
{
	__m256i		before = _mm256_set1_epi32(sum);
	double		rest[8];
	__m256i		v;
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		v = add_up(_mm256_add_epi32(load(x + i), _mm256_set1_epi32(base)));
		put_doubles(out + i, _mm256_add_epi32(v, before), map);
		before = _mm256_add_epi32(before, last(v));
	}
	v = add_up(_mm256_add_epi32(load(x + i), _mm256_set1_epi32(base)));
	put_doubles(rest, _mm256_add_epi32(v, before), map);
	memcpy(out + i, rest, sizeof(double) * (n - i));
}

#else							/* nobody calls these */

void
ms_narrow_unpack(const uint8 *p, const uint8 *limit, int n, int width, int32 *x)
{
	pg_unreachable();
}

void
ms_narrow_add_up(int32 *x, int n, int32 base, int32 sum)
{
	pg_unreachable();
}

void
ms_narrow_add_up_totals(const int32 *x, int n, int32 base, int32 sum, MsNarrowTotals *totals)
{
	pg_unreachable();
}

void
ms_narrow_unpack_across(const uint8 *p, const uint8 *limit, int width, int32 *x)
{
	pg_unreachable();
}

void
ms_narrow_run_totals(const int32 *x, int n, int32 base, MsNarrowTotals *totals)
{
	pg_unreachable();
}

void
ms_narrow_totals_across(const int32 *x, int32 base, MsNarrowTotals *totals)
{
	pg_unreachable();
}

void
ms_narrow_doubles(const int32 *x, int n, int32 base, const MsNarrowMap *map, double *out)
{
	pg_unreachable();
}

void
ms_narrow_add_up_doubles(const int32 *x, int n, int32 base, int32 sum,
						 const MsNarrowMap *map, double *out)
{
	pg_unreachable();
}

#endif
