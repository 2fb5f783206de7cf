/*-------------------------------------------------------------------------
 *
 * unpack.c
 *	  From bits to integers, and from integers to doubles, in bulk.
 *
 * These loops are where reading spends its time.
 *
 * Packed bits are one stream without padding, so that eight numbers begin at
 * every width bytes.  There is one function for each width, all of whose
 * shifts are constants.  On x86-64 there is another set for processors with
 * AVX2, which shift four numbers at once, each by its own amount; older ones
 * cannot.  The compiler is told so for these functions alone, and the
 * processor is asked at each call, which costs a load and a branch; it
 * makes reading a third faster (bench/codec.c).  Above 28 bits a number there
 * is only the first set.
 *
 * An unpacker may load a few bytes more than it needs, but only below the
 * limit that its caller gives (the end of the whole chunk); what is near the
 * limit is unpacked from a copy.
 *
 * Integers become doubles by adding a constant: the bits of 1.5 * 2^52 plus
 * an integer below 2^51 are those of the double 1.5 * 2^52 + integer.  Two at
 * a time, which any x86-64 can; compilers for machines without such vectors
 * make two single operations of it.  With AVX2 four at a time take half as
 * long; divisions do not.  So do the least, the greatest and the sum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/avx2.h"
#include "core/unpack.h"
#include "core/valueform.h"

typedef void (*Unpacker) (const uint8 *p, int n, uint64 *out);

/*
 * Read eight numbers, which begin at a byte and take "width" bytes.  Inlined
 * with a constant width.
 */
static pg_attribute_always_inline void
unpack_eight(const uint8 *p, int width, uint64 *out)
{
	const uint64 mask = ms_low_bits(width);
	const int	per_load = width <= 8 ? 8 : width <= 15 ? 4 :
	width <= 28 ? 2 : 1;

	for (int i = 0; i < 8; i += per_load)
	{
		int			bit = i * width;
		uint64		x = ms_load64(p + (bit >> 3)) >> (bit & 7);

		if ((bit & 7) + width > 64)
			x |= (uint64) p[(bit >> 3) + 8] << (64 - (bit & 7));
		for (int j = 0; j < per_load; j++)
			out[i + j] = (x >> (j * width % 64)) & mask;
	}
}

#define ALL_WIDTHS(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) \
	X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) \
	X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) \
	X(37) X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46) X(47) X(48) \
	X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56) X(57) X(58) X(59) X(60) \
	X(61) X(62) X(63) X(64)

#define UNPACKER(w) \
static void \
unpack_##w(const uint8 *p, int n, uint64 *out) \
{ \
	for (int i = 0; i < n; i += 8, p += w) \
		unpack_eight(p, w, out + i); \
}

#define UNPACKER_ENTRY(w)	unpack_##w,

ALL_WIDTHS(UNPACKER)

static const Unpacker unpackers[] = {ALL_WIDTHS(UNPACKER_ENTRY)};

#ifdef MS_AVX2

typedef uint64 Four __attribute__((vector_size(32)));

/*
 * The same, four numbers at a time.  Up to 14 bits, one load has four of
 * them, wherever they begin; up to 28, two.
 */
static pg_attribute_always_inline void
unpack_eight_avx2(const uint8 *p, int width, uint64 *out)
{
	const uint64 mask = ms_low_bits(width);
	const uint64 w = (uint64) width;
	Four		masks = {mask, mask, mask, mask};

	for (int i = 0; i < 8; i += 4)
	{
		const int	bit = i * width;
		const int	bit2 = bit + 2 * width;
		uint64		x = ms_load64(p + (bit >> 3)) >> (bit & 7);
		Four		v;

		if (width <= 14)
		{
			Four		all = {x, x, x, x};
			Four		shift = {0, w, 2 * w, 3 * w};

			v = all >> shift;
		}
		else
		{
			uint64		x2 = ms_load64(p + (bit2 >> 3)) >> (bit2 & 7);
			Four		all = {x, x, x2, x2};
			Four		shift = {0, w, 0, w};

			v = all >> shift;
		}
		v &= masks;
		memcpy(out + i, &v, sizeof(v));
	}
}

#define NARROW_WIDTHS(X) \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) \
	X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) \
	X(26) X(27) X(28)

#define AVX2_UNPACKER(w) \
MS_AVX2 \
static void \
unpack_avx2_##w(const uint8 *p, int n, uint64 *out) \
{ \
	for (int i = 0; i < n; i += 8, p += w) \
		unpack_eight_avx2(p, w, out + i); \
}

#define AVX2_UNPACKER_ENTRY(w)	unpack_avx2_##w,

NARROW_WIDTHS(AVX2_UNPACKER)

static const Unpacker avx2_unpackers[] = {
	unpack_0, NARROW_WIDTHS(AVX2_UNPACKER_ENTRY)
};

/*
 * As ms_exact_doubles() and ms_integer_totals(), of most of n; they return how
 * many these are.  Two chains of comparisons, as one waits for itself.
 */
typedef double FourDoubles __attribute__((vector_size(32)));
typedef int64 FourSigned __attribute__((vector_size(32)));

MS_AVX2
static int
exact_doubles_avx2(const uint64 *q, int n, uint64 first, double *out)
{
	const		Four add = {first + MAGIC_BITS, first + MAGIC_BITS, first + MAGIC_BITS,
	first + MAGIC_BITS};
	const		FourDoubles magic = {MAGIC, MAGIC, MAGIC, MAGIC};
	int			i;

	for (i = 0; i + 4 <= n; i += 4)
	{
		Four		m;
		FourDoubles d;

		memcpy(&m, q + i, sizeof(m));
		m += add;
		d = (FourDoubles) m - magic;
		memcpy(out + i, &d, sizeof(d));
	}
	return i;
}

MS_AVX2
static int
integer_totals_avx2(const uint64 *q, int n, int64 *min, int64 *max, uint64 *sum)
{
	FourSigned	lo[2] = {{0}};
	FourSigned	hi[2] = {{0}};
	FourSigned	total = {0};
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		for (int j = 0; j < 2; j++)
		{
			FourSigned	v;
			FourSigned	less;
			FourSigned	more;

			memcpy(&v, q + i + 4 * j, sizeof(v));
			less = v < lo[j];
			more = v > hi[j];
			lo[j] = (v & less) | (lo[j] & ~less);
			hi[j] = (v & more) | (hi[j] & ~more);
			total += v;
		}
	}
	for (int j = 0; j < 4; j++)
	{
		*min = Min(*min, Min(lo[0][j], lo[1][j]));
		*max = Max(*max, Max(hi[0][j], hi[1][j]));
		*sum += (uint64) total[j];
	}
	return i;
}

#define SUM_WIDTH	14

/*
 * As ms_unpack_sum(), of most of n numbers of at most SUM_WIDTH bits; returns how
 * many these are, whole groups of eight.
 */
MS_AVX2
static int
unpack_sum_avx2(const uint8 *p, const uint8 *limit, int n, int width, uint64 *sum)
{
	const uint64 mask = ms_low_bits(width);
	const uint64 w = (uint64) width;
	const uint64 half = 4 * w & 7;	/* where in its byte the fifth begins */
	const		Four masks = {mask, mask, mask, mask};
	const		Four shift = {0, w, 2 * w, 3 * w};
	const		Four shift2 = {half, half + w, half + 2 * w, half + 3 * w};
	Four		total = {0};
	Four		total2 = {0};
	int			i;

	for (i = 0; i + 8 <= n && limit - p >= width + 9; i += 8, p += width)
	{
		uint64		x = ms_load64(p);
		uint64		x2 = ms_load64(p + width / 2);
		Four		all = {x, x, x, x};
		Four		all2 = {x2, x2, x2, x2};

		total += (all >> shift) & masks;
		total2 += (all2 >> shift2) & masks;
	}
	total += total2;
	*sum += total[0] + total[1] + total[2] + total[3];
	return i;
}

#else

#define exact_doubles_avx2(q, n, first, out)	0
#define integer_totals_avx2(q, n, min, max, sum)	0
#define SUM_WIDTH	0
#define unpack_sum_avx2(p, limit, n, width, sum)	0

#endif							/* MS_AVX2 */

static inline Unpacker
find_unpacker(int width)
{
#ifdef MS_AVX2
	if (width < (int) lengthof(avx2_unpackers) && ms_has_avx2())
		return avx2_unpackers[width];
#endif
	return unpackers[width];
}

/*
 * Read n numbers of "width" bits, 0 to 64, from p.  That their bytes are
 * there is the caller's to know; nothing is loaded at or above "limit".
 * Up to seven elements more than n are written.
 */
void
ms_unpack(const uint8 *p, const uint8 *limit, int n, int width, uint64 *out)
{
	Unpacker	unpack = find_unpacker(width);
	int			groups = (n + 7) / 8;
	Size		avail = (Size) (limit - p);
	int			direct = groups;
	uint8		copy[3 * 64 + 32];
	Size		done;

	if (width == 0)
	{
		memset(out, 0, sizeof(uint64) * groups * 8);
		return;
	}

	/* a group may load up to nine bytes beyond its own */
	if (avail < (Size) groups * width + 9)
		direct = avail < 9 ? 0 : (int) ((avail - 9) / width);
	direct = Min(direct, groups);
	unpack(p, direct * 8, out);
	if (direct == groups)
		return;

	/* what is left takes fewer bytes than one group and those nine */
	done = (Size) direct * width;
	avail = ((Size) n * width + 7) / 8 - done;
	Assert(avail + 64 + 9 <= sizeof(copy));
	memset(copy, 0, sizeof(copy));
	memcpy(copy, p + done, avail);
	unpack(copy, (groups - direct) * 8, out + direct * 8);
}

/*
 * The sum of n such numbers, at most MS_INT_MAX, modulo 2^64.
 */
uint64
ms_unpack_sum(const uint8 *p, const uint8 *limit, int n, int width)
{
	uint64		x[MS_INT_ROOM];
	uint64		sum = 0;
	int			done = 0;

	if (width <= SUM_WIDTH && ms_has_avx2())
		done = unpack_sum_avx2(p, limit, n, width, &sum);
	ms_unpack(p + done / 8 * width, limit, n - done, width, x);
	for (int i = 0; i < n - done; i++)
		sum += x[i];
	return sum;
}

typedef uint64 TwoIntegers __attribute__((vector_size(16)));
typedef double TwoDoubles __attribute__((vector_size(16)));

/* Two integers below 2^51, of which "first" is yet to be added, as doubles. */
static inline TwoDoubles
two_doubles(const uint64 *q, uint64 first)
{
	TwoIntegers add = {first + MAGIC_BITS, first + MAGIC_BITS};
	TwoDoubles	magic = {MAGIC, MAGIC};
	TwoIntegers m;

	memcpy(&m, q, sizeof(m));
	m += add;
	return (TwoDoubles) m - magic;
}

/*
 * out[i] = first + q[i].  What is not below 2^51 becomes something else.
 */
void
ms_exact_doubles(const uint64 *q, int n, uint64 first, double *out)
{
	int			i = ms_has_avx2() ? exact_doubles_avx2(q, n, first, out) : 0;

	for (; i + 2 <= n; i += 2)
	{
		TwoDoubles	d = two_doubles(q + i, first);

		memcpy(out + i, &d, sizeof(d));
	}
	if (i < n)
		out[i] = exact_double(first + q[i]);
}

/*
 * out[i] = (first + q[i]) / divisor, likewise.
 */
void
ms_exact_quotients(const uint64 *q, int n, uint64 first, double divisor,
				   double *out)
{
	TwoDoubles	divisors = {divisor, divisor};
	int			i;

	for (i = 0; i + 2 <= n; i += 2)
	{
		TwoDoubles	d = two_doubles(q + i, first) / divisors;

		memcpy(out + i, &d, sizeof(d));
	}
	if (i < n)
		out[i] = exact_double(first + q[i]) / divisor;
}

/*
 * Least and greatest of 0 and n integers, and their sum modulo 2^64.
 */
void
ms_integer_totals(const uint64 *q, int n, int64 *min, int64 *max, uint64 *sum)
{
	int			i;

	*min = *max = 0;
	*sum = 0;
	for (i = ms_has_avx2() ? integer_totals_avx2(q, n, min, max, sum) : 0; i < n; i++)
	{
		*min = Min(*min, (int64) q[i]);
		*max = Max(*max, (int64) q[i]);
		*sum += q[i];
	}
}
