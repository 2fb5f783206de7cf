/*-------------------------------------------------------------------------
 *
 * intdecode.c
 *	  From blocks back to integers.
 *
 * The layout is in intform.h.  Blocks may come from a damaged file: what they
 * say is looked at before it is used, and arithmetic is modulo 2^64.
 *
 * Of a block of small integers, which most are, there is a faster way on
 * processors that have the instructions (narrow.c).  It never finds anything
 * else than the general one, but leaves to that whatever is unusual,
 * malformed blocks included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/intform.h"
#include "core/narrow.h"
#include "core/unpack.h"

/* The residuals outside the window, as they are stored. */
typedef struct Patches
{
	int			n;
	uint8		at[MS_INT_MAX];
	uint64		values[MS_INT_ROOM];
} Patches;

/* Read which of n residuals are patched: a bitmap or a list. */
static bool
read_positions(MsReader *r, int n, uint64 count, Patches *patches)
{
	const uint8 *positions;
	uint64		found = 0;
	bool		rising = true;

	if (count == 0 || count > (uint64) n)
		return false;
	patches->n = (int) count;
	if (count <= (uint64) (n + 7) / 8)
	{
		positions = ms_get_bytes(r, count);
		if (positions == NULL)
			return false;
		memcpy(patches->at, positions, count);
		for (uint64 i = 1; i < count; i++)
			rising &= positions[i] > positions[i - 1];
		return rising && positions[count - 1] < n;
	}

	positions = ms_get_bytes(r, (n + 7) / 8);
	if (positions == NULL)
		return false;
	for (int i = 0; i < n; i += 8)
	{
		for (unsigned int map = positions[i / 8]; map != 0; map &= map - 1)
		{
			int			bit = i + __builtin_ctz(map);

			if (bit >= n || found == count)
				return false;
			patches->at[found++] = (uint8) bit;
		}
	}
	return found == count;
}

/* Read the patches of n residuals of the given width. */
static bool
read_patches(MsReader *r, const uint8 *limit, int n, int width, Patches *patches)
{
	uint64		head = ms_get_varint(r);
	uint64	   *values = patches->values;

	if (width >= 64 || !read_positions(r, n, head >> 1, patches))
		return false;
	if (head & 1)
	{
		int			bits = ms_get_byte(r);
		const uint8 *p = r->p;

		if (bits > 64 || ms_get_bytes(r, ((Size) patches->n * bits + 7) / 8) == NULL)
			return false;
		ms_unpack(p, limit, patches->n, bits, values);
	}
	else
	{
		for (int i = 0; i < patches->n; i++)
			values[i] = ms_get_varint(r);
	}
	return !r->bad;
}

/* What a patch adds to the low bits. */
static inline uint64
high_bits(const Patches *patches, int i, int width)
{
	return ms_unzigzag(patches->values[i] + 1) << width;
}

/* The beginning of a block of more than one integer. */
typedef struct Head
{
	int			order;
	bool		patched;
	int			width;
	uint64		delta;			/* first one; order 2 only */
	uint64		base;
	int			count;			/* residuals */
	const uint8 *packed;
} Head;

static bool
read_head(MsReader *r, int n, Head *h)
{
	uint8		byte = ms_get_byte(r);

	h->order = byte & ORDER_MASK;
	h->patched = (byte & FLAG_PATCHED) != 0;
	h->width = byte >> WIDTH_SHIFT;
	if (h->width == WIDTH_ESCAPE)
		h->width = ms_get_byte(r);
	if (h->order > 2 || h->width > 64)
		return false;
	h->delta = h->order == 2 ? ms_get_zigzag(r) : 0;
	h->base = ms_get_zigzag(r);
	h->count = h->order == 2 ? n - 2 : n - 1;
	h->packed = ms_get_bytes(r, ((Size) h->count * h->width + 7) / 8);
	return h->packed != NULL && !r->bad;
}

/*
 * Decode a block of n integers, moving the reader behind it.  "out" has
 * MS_INT_ROOM elements, those from n on being overwritten with anything.
 * Memory below "limit", which is at or above the reader's end, may be
 * loaded.  False if malformed.
 */
bool
ms_int_decode(MsReader *r, const uint8 *limit, int n, uint64 *out)
{
	Head		h;
	uint64		delta;
	uint64		acc = 0;
	uint64	   *x;

	out[0] = 0;
	if (n == 1)
		return true;
	if (!read_head(r, n, &h))
		return false;
	x = out + n - h.count;
	ms_unpack(h.packed, limit, h.count, h.width, x);
	if (h.patched)
	{
		Patches		patches;

		if (!read_patches(r, limit, h.count, h.width, &patches))
			return false;
		for (int i = 0; i < patches.n; i++)
			x[patches.at[i]] |= high_bits(&patches, i, h.width);
	}

	switch (h.order)
	{
		case 0:
			for (int i = 0; i < h.count; i++)
				x[i] += h.base;
			break;
		case 1:
			for (int i = 0; i < h.count; i++)
			{
				acc += x[i] + h.base;
				x[i] = acc;
			}
			break;
		default:
			acc = delta = out[1] = h.delta;
			for (int i = 0; i < h.count; i++)
			{
				delta += x[i] + h.base;
				acc += delta;
				x[i] = acc;
			}
			break;
	}
	return true;
}

/* How many times residual j is in integer number i. */
static inline uint64
weight(int order, int i, int j)
{
	if (order == 0)
		return j == i - 1;
	if (order == 1)
		return j < i;
	return j < i - 1 ? (uint64) (i - 1 - j) : 0;
}

/* The low bits of all residuals in integer number i, above 0, added up. */
static uint64
add_low_bits(const Head *h, const uint8 *limit, int i)
{
	uint64		x[MS_INT_ROOM];
	uint64		sum = 0;
	int			skip;

	switch (h->order)
	{
		case 0:
			skip = (i - 1) / 8;
			ms_unpack(h->packed + skip * h->width, limit,
					  Min(8, h->count - skip * 8), h->width, x);
			return x[(i - 1) % 8];
		case 1:
			return ms_unpack_sum(h->packed, limit, i, h->width);
		default:
			ms_unpack(h->packed, limit, i - 1, h->width, x);
			for (int j = 0; j < i - 1; j++)
				sum += x[j] * (uint64) (i - 1 - j);
			return sum;
	}
}

/*
 * Decode number i alone of a block of n integers, which takes a fraction of the
 * time.  Otherwise as ms_int_decode().
 */
bool
ms_int_decode_one(MsReader *r, const uint8 *limit, int n, int i, uint64 *out)
{
	Head		h;
	Patches		patches;
	uint64		bases;

	*out = 0;
	if (n == 1)
		return true;
	if (!read_head(r, n, &h))
		return false;
	if (h.patched && !read_patches(r, limit, h.count, h.width, &patches))
		return false;
	if (i == 0)
		return true;

	bases = h.order == 0 ? 1 : h.order == 1 ? (uint64) i : (uint64) i * (i - 1) / 2;
	*out = (uint64) i * h.delta + bases * h.base + add_low_bits(&h, limit, i);
	for (int k = 0; h.patched && k < patches.n; k++)
		*out += weight(h.order, i, patches.at[k]) * high_bits(&patches, k, h.width);
	return true;
}

/* Is the integer below the limit, and above its negative? */
static inline bool
is_below(uint64 x, int64 limit)
{
	return (int64) x < limit && (int64) x > -limit;
}

/* What 255 residuals below this add up to, once or twice, is below 2^(MS_NARROW_BITS - 1). */
static inline int64
narrow_limit(int order)
{
	return INT64CONST(1) << (MS_NARROW_BITS - 1 - 8 * order);
}

/*
 * Read a block's beginning if all its integers are below 2^MS_NARROW_BITS, unless a patch
 * says otherwise, and the processor is good at that.  False if it does not go, or
 * if the block is malformed.
 */
static bool
read_narrow_head(MsReader *r, int n, Head *h)
{
	int64		max;

	if (n < 2 || !ms_has_avx2() || !read_head(r, n, h) || h->width > MS_NARROW_WIDTH)
		return false;
	max = narrow_limit(h->order) - (INT64CONST(1) << h->width);
	return is_below(h->base, max) && is_below(h->delta, narrow_limit(1));
}

/* Apply the patches to the low bits, which are "across" or not; false also if one is too large. */
static bool
patch_narrow(MsReader *r, const uint8 *limit, const Head *h, bool across, int32 *x)
{
	int64		max = narrow_limit(h->order);
	Patches		patches;
	bool		good = true;

	if (!h->patched)
		return true;
	if (!read_patches(r, limit, h->count, h->width, &patches))
		return false;
	for (int i = 0; i < patches.n; i++)
	{
		uint64		high = high_bits(&patches, i, h->width);
		int			at = patches.at[i];

		good &= is_below(high, max);
		x[across ? MS_NARROW_AT(at) : at] |= (int32) high;
	}
	return good;
}

/*
 * The values that the integers of a block stand for, n of them, if it is narrow; else false, with
 * the reader where it was.  "x" has MS_INT_ROOM elements.
 */
bool
ms_int_doubles_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
					  const MsNarrowMap *map, double *out)
{
	MsReader	at = *r;
	Head		h;

	if (!read_narrow_head(&at, n, &h))
		return false;
	ms_narrow_unpack(h.packed, limit, h.count, h.width, x);
	if (!patch_narrow(&at, limit, &h, false, x))
		return false;
	*r = at;

	*out++ = map->first / map->divisor;
	if (h.order == 0)
		ms_narrow_doubles(x, h.count, (int32) h.base, map, out);
	else if (h.order == 1)
		ms_narrow_add_up_doubles(x, h.count, (int32) h.base, 0, map, out);
	else
	{
		int32		delta = (int32) h.delta;

		*out++ = (map->first + map->factor * delta) / map->divisor;
		ms_narrow_add_up(x, h.count, (int32) h.base, delta);
		ms_narrow_add_up_doubles(x, h.count, 0, delta, map, out);
	}
	return true;
}

/*
 * Least, greatest and sum of the integers of a block, if it is narrow.  "x" has
 * MS_INT_ROOM elements.
 */
bool
ms_int_totals_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
					 MsNarrowTotals *totals)
{
	MsReader	at = *r;
	Head		h;
	bool		across;

	if (!read_narrow_head(&at, n, &h))
		return false;
	across = h.order == 1 && n == MS_INT_MAX && h.width >= 1 && h.width <= MS_NARROW_ACROSS;
	if (across)
		ms_narrow_unpack_across(h.packed, limit, h.width, x);
	else
		ms_narrow_unpack(h.packed, limit, h.count, h.width, x);
	if (!patch_narrow(&at, limit, &h, across, x))
		return false;
	*r = at;

	if (across)
		ms_narrow_totals_across(x, (int32) h.base, totals);
	else if (h.order == 0)
	{
		ms_narrow_run_totals(x, h.count, (int32) h.base, totals);
		totals->min = Min(totals->min, 0);
		totals->max = Max(totals->max, 0);
	}
	else if (h.order == 1)
		ms_narrow_add_up_totals(x, h.count, (int32) h.base, 0, totals);
	else
	{
		int32		delta = (int32) h.delta;

		ms_narrow_add_up(x, h.count, (int32) h.base, delta);
		ms_narrow_add_up_totals(x, h.count, 0, delta, totals);
		totals->min = Min(totals->min, delta);
		totals->max = Max(totals->max, delta);
		totals->sum += delta;
	}
	return true;
}

/*
 * The same of runs of the integers, of which run i has numbers bounds[i] to
 * bounds[i + 1] - 1, at least one.
 */
bool
ms_int_run_totals_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
						 const int *bounds, int nruns, MsNarrowTotals *totals)
{
	MsReader	at = *r;
	Head		h;
	int32	   *packed;
	int32		base;

	if (!read_narrow_head(&at, n, &h))
		return false;
	base = (int32) h.base;
	packed = x + n - h.count;
	ms_narrow_unpack(h.packed, limit, h.count, h.width, packed);
	if (!patch_narrow(&at, limit, &h, false, packed))
		return false;
	*r = at;

	x[0] = 0;
	if (h.order == 1)
		ms_narrow_add_up(packed, h.count, base, 0);
	else if (h.order == 2)
	{
		x[1] = (int32) h.delta;
		ms_narrow_add_up(packed, h.count, base, x[1]);
		ms_narrow_add_up(packed, h.count, 0, x[1]);
	}
	else
	{
		/* the base is added to sums */
		x[0] = -base;
	}
	for (int i = 0; i < nruns; i++)
		ms_narrow_run_totals(x + bounds[i], bounds[i + 1] - bounds[i],
							 h.order == 0 ? base : 0, &totals[i]);
	return true;
}
