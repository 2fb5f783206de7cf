/*-------------------------------------------------------------------------
 *
 * intcodec.c
 *	  Blocks of up to 256 integers, packed.
 *
 * The layout is in intform.h.  A block is stored in whichever order, and with
 * whichever window, is the cheapest; orders are compared by a guess, windows
 * by what they cost.
 *
 * All arithmetic is modulo 2^64.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/intform.h"

/* Reading so many patches is worth a byte. */
#define PATCHES_PER_BYTE	4

/* Residuals by value, rising; start[i] of them are below value[i]. */
typedef struct Levels
{
	int			n;
	uint64		value[MS_INT_MAX + 1];
	uint16		start[MS_INT_MAX + 1];
} Levels;

/* How residuals are to be stored, and what that costs. */
typedef struct Packing
{
	int			width;
	uint64		base;
	int			npatches;
	bool		packed;			/* patches as bits, not varints */
	int			patch_width;
	int			bytes;			/* from base to the end of the patches */
	int			cost;			/* bytes, and something for reading patches */
} Packing;

/* Arithmetic shift right, defined for 64. */
static inline uint64
high_part(uint64 r, int width)
{
	return (uint64) ((int64) r >> Min(width, 63));
}

/* What is stored of a patched residual, r above base. */
static inline uint64
patch_value(uint64 r, int width)
{
	return ms_zigzag(high_part(r, width)) - 1;
}

/*
 * Bits: writing.  Up to eight bytes more than needed are overwritten.
 */
static void
put_bits(uint8 *p, const uint64 *x, int n, int width)
{
	uint64		word = 0;
	int			used = 0;

	if (width == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		word |= x[i] << used;
		used += width;
		if (used >= 64)
		{
			ms_store64(p, word);
			p += 8;
			used -= 64;
			/* what is left of x[i]; shifted twice, as one shift may be by 64 */
			word = x[i] >> 1 >> (width - used - 1);
		}
	}
	ms_store64(p, word);
}

/*
 * Sort the n numbers in values[0], by radix: no more passes than "range", the
 * largest of them, needs.  Returns the sorted array.
 */
static const uint64 *
sort_residuals(uint64 (*values)[MS_INT_ROOM], int n, uint64 range)
{
	uint64	   *from = values[0];
	uint64	   *to = values[1];

	for (int shift = 0; shift < 64 && range >> shift != 0; shift += 8)
	{
		uint16		start[256];
		uint16		sum = 0;
		uint64	   *swap = from;

		memset(start, 0, sizeof(start));
		for (int i = 0; i < n; i++)
			start[(from[i] >> shift) & 0xff]++;
		for (int i = 0; i < 256; i++)
		{
			uint16		count = start[i];

			start[i] = sum;
			sum += count;
		}
		for (int i = 0; i < n; i++)
			to[start[(from[i] >> shift) & 0xff]++] = from[i];
		from = to;
		to = swap;
	}
	return from;
}

/*
 * Find the levels of n residuals: how many there are of each value, in rising
 * order as signed numbers.
 */
static void
find_levels(const uint64 *x, int n, Levels *levels, MsIntWork *work)
{
	int64		min = (int64) x[0];
	int64		max = (int64) x[0];
	uint64		range;
	int			nlevels = 0;

	for (int i = 1; i < n; i++)
	{
		min = Min(min, (int64) x[i]);
		max = Max(max, (int64) x[i]);
	}
	range = (uint64) max - (uint64) min;

	if (range < MS_INT_MAX)
	{
		uint16		count[MS_INT_MAX];
		uint16		sum = 0;

		memset(count, 0, (range + 1) * sizeof(uint16));
		for (int i = 0; i < n; i++)
			count[x[i] - (uint64) min]++;
		for (uint64 v = 0; v <= range; v++)
		{
			levels->value[nlevels] = v + (uint64) min;
			levels->start[nlevels] = sum;
			nlevels += count[v] > 0;
			sum += count[v];
		}
	}
	else
	{
		const uint64 *s;

		for (int i = 0; i < n; i++)
			work->sorted[0][i] = x[i] - (uint64) min;
		s = sort_residuals(work->sorted, n, range);
		for (int i = 0; i < n; i++)
		{
			if (i > 0 && s[i] == s[i - 1])
				continue;
			levels->value[nlevels] = s[i] + (uint64) min;
			levels->start[nlevels++] = (uint16) i;
		}
	}
	levels->start[nlevels] = (uint16) n;
	levels->n = nlevels;
}

/*
 * Guess what n residuals cost in bytes: from a histogram of their distances
 * to a middle one, without sorting.
 */
static int
guess_cost(const uint64 *x, int n)
{
	int			hist[65];
	uint64		mid;
	int			best = PG_INT32_MAX;
	int			above = 0;		/* residuals wider than w */
	int			bits_above = 0; /* and the sum of their widths */
	int			widest = 0;
	int			stride = n >= 128 ? 3 : 1;	/* a third of them tells enough */
	uint64		a = x[n / 4];
	uint64		b = x[n / 2];
	uint64		c = x[n - 1 - n / 4];

	/* median of three */
	if ((int64) a > (int64) b)
	{
		uint64		t = a;

		a = b;
		b = t;
	}
	mid = (int64) c < (int64) a ? a : (int64) c < (int64) b ? c : b;

	memset(hist, 0, sizeof(hist));
	for (int i = 0; i < n; i += stride)
	{
		int			w = ms_bit_width(ms_zigzag(x[i] - mid));

		hist[w]++;
		widest = Max(widest, w);
	}
	if (stride > 1)
		n = (n + stride - 1) / stride;

	for (int w = widest; w >= 0; w--)
	{
		int			cost = n * w / 8 + above * 3 / 2 +
		(bits_above - above * w) / 7;

		best = Min(best, cost);
		above += hist[w];
		bits_above += hist[w] * w;
	}
	return best * stride;
}

/* What patching the residuals of all levels but those in [from, to) costs. */
static void
cost_patches(const Levels *levels, int from, int to, Packing *p)
{
	int			n = levels->start[levels->n];
	int			varints = 0;
	uint64		all = 0;
	int			packed;

	p->npatches = n - (levels->start[to] - levels->start[from]);
	if (p->npatches == 0)
		return;
	for (int i = from == 0 ? to : 0; i < levels->n; i = i + 1 == from ? to : i + 1)
	{
		uint64		v = patch_value(levels->value[i] - p->base, p->width);

		varints += ms_varint_size(v) * (levels->start[i + 1] - levels->start[i]);
		all |= v;
	}
	p->patch_width = ms_bit_width(all);
	packed = 1 + (p->npatches * p->patch_width + 7) / 8;
	p->packed = packed < varints;
	p->bytes += ms_varint_size((uint64) p->npatches * 2) +
		Min(p->npatches, (n + 7) / 8) + Min(packed, varints);
	p->cost = p->bytes + p->npatches / PATCHES_PER_BYTE;
}

/*
 * Choose how to store n residuals: for each width the window that holds most
 * of them, and of those the cheapest.
 */
static void
choose_packing(const uint64 *x, int n, Packing *best, MsIntWork *work)
{
	Levels		levels;
	int			full;

	find_levels(x, n, &levels, work);
	full = ms_bit_width(levels.value[levels.n - 1] - levels.value[0]);

	best->cost = PG_INT32_MAX;
	for (int w = full; w >= 0; w--)
	{
		Packing		p;
		uint64		span = ms_low_bits(w);
		int			most = 0;
		int			from = 0;
		int			to = 0;

		/* a window had better begin with one of the residuals */
		for (int a = 0, b = 0; b < levels.n; a++)
		{
			while (b < levels.n && levels.value[b] - levels.value[a] <= span)
				b++;
			if (levels.start[b] - levels.start[a] > most)
			{
				most = levels.start[b] - levels.start[a];
				from = a;
				to = b;
			}
		}

		memset(&p, 0, sizeof(p));
		p.width = w;
		p.base = levels.value[from];
		p.bytes = ms_varint_size(ms_zigzag(p.base)) + (n * w + 7) / 8;
		p.cost = p.bytes;

		/* each patch costs at least one byte and its share of the bitmap */
		if (p.cost + Min(n - most, n / 8) < best->cost)
		{
			cost_patches(&levels, from, to, &p);
			if (p.cost < best->cost)
				*best = p;
		}

		/* far below the bulk's width nothing gets cheaper, but 0 may */
		if (n - most > n / 2 && w > 1)
			w = 1;
	}
}

/* Write the residuals outside the window. */
static uint8 *
put_patches(uint8 *p, const uint64 *x, int n, const Packing *pk)
{
	uint64		values[MS_INT_MAX];
	int			count = 0;
	bool		bitmap = pk->npatches > (n + 7) / 8;
	uint8	   *positions;

	p = ms_put_varint(p, (uint64) pk->npatches * 2 + pk->packed);
	positions = p;
	p += bitmap ? (n + 7) / 8 : pk->npatches;
	memset(positions, 0, p - positions);

	for (int i = 0; i < n; i++)
	{
		uint64		r = x[i] - pk->base;

		if (r <= ms_low_bits(pk->width))
			continue;
		if (bitmap)
			positions[i / 8] |= (uint8) (1 << (i % 8));
		else
			positions[count] = (uint8) i;
		values[count++] = patch_value(r, pk->width);
	}
	Assert(count == pk->npatches);

	if (pk->packed)
	{
		int			bytes = (count * pk->patch_width + 7) / 8;

		*p++ = (uint8) pk->patch_width;
		put_bits(p, values, count, pk->patch_width);
		p += bytes;
	}
	else
	{
		for (int i = 0; i < count; i++)
			p = ms_put_varint(p, values[i]);
	}
	return p;
}

/*
 * Encode q[0 .. n), q[0] = 0, into dst, which has MS_INT_BOUND(n) bytes; what
 * is there beyond the result is overwritten.  Returns the number of bytes.
 */
int
ms_int_encode(const uint64 *q, int n, uint8 *dst, MsIntWork *work)
{
	uint8	   *p = dst;
	int			order = 0;
	int			cost;
	int			count;
	const uint64 *x;
	uint64	   *slot = work->sorted[0];
	Packing		pk;
	uint64	   *delta = work->residual[1];
	uint64	   *delta2 = work->residual[2];

	Assert(n >= 1 && n <= MS_INT_MAX && q[0] == 0);
	if (n == 1)
		return 0;

	for (int i = 1; i < n; i++)
		delta[i - 1] = q[i] - q[i - 1];
	for (int i = 2; i < n; i++)
		delta2[i - 2] = delta[i - 1] - delta[i - 2];

	cost = guess_cost(q + 1, n - 1);
	if (n > 2)
	{
		int			cost1 = guess_cost(delta, n - 1);

		/* where one difference does not help, two do not */
		if (cost1 < cost)
			order = guess_cost(delta2, n - 2) + ms_varint_size(ms_zigzag(delta[0])) < cost1 ? 2 : 1;
	}
	x = order == 0 ? q + 1 : order == 1 ? delta : delta2;
	count = order == 2 ? n - 2 : n - 1;
	choose_packing(x, count, &pk, work);

	/* modulo 2^64 what lies far below the window may come to lie in it */
	pk.npatches = 0;
	for (int i = 0; i < count; i++)
		pk.npatches += x[i] - pk.base > ms_low_bits(pk.width);

	*p++ = (uint8) (order | (pk.npatches > 0 ? FLAG_PATCHED : 0) |
					Min(pk.width, WIDTH_ESCAPE) << WIDTH_SHIFT);
	if (pk.width >= WIDTH_ESCAPE)
		*p++ = (uint8) pk.width;
	if (order == 2)
		p = ms_put_varint(p, ms_zigzag(delta[0]));
	p = ms_put_varint(p, ms_zigzag(pk.base));

	for (int i = 0; i < count; i++)
		slot[i] = (x[i] - pk.base) & ms_low_bits(pk.width);
	put_bits(p, slot, count, pk.width);
	p += (count * pk.width + 7) / 8;
	if (pk.npatches > 0)
		p = put_patches(p, x, count, &pk);
	return (int) (p - dst);
}
