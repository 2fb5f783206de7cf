/*-------------------------------------------------------------------------
 *
 * valuecodec.c
 *	  Up to 256 values of one column, as bytes: the encoder.
 *
 * Measurements are decimals: 3.17 is 317 hundredths, a byte counter counts
 * bytes, a duration counts nanoseconds.  As doubles they look random; as
 * integers they have short differences.  So the encoder looks for integers
 * m[i] from which the values can be computed exactly, bit for bit, and packs
 * those (intcodec.c).  It tries, and takes the first that works:
 *
 *	decimals	the smallest e for which every value is m / 10^e, correctly
 *				rounded.  Checked by computing it, so that nothing rests on
 *				rounding being understood.
 *	the rest	whichever is shortest of: decimals that are a few units in
 *				the last place off, as sums of decimals are; multiples of a
 *				power of two; the bits themselves, ordered as the values are;
 *				no packing at all.
 *
 * In decimals, some values may be left out and stored as they are: NaN,
 * infinities and -0.0, which are no decimals, and a few others.  The integers
 * repeat the one before in their place.
 *
 * Null rows are not stored; a set says which they are.
 *
 * A quick encoding, for the few rows at the end of an open chunk, tries
 * nothing: constants, small integers, floats, doubles.
 *
 * The layout is in valueform.h; valuedecode.c reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/valueform.h"

#define SUMMARY_ROWS	32		/* fewer values get no summary */
#define COMMON_DECIMALS 10		/* more are tried only if these fail */
#define MAX_ULPS		63		/* a decimal may be so many steps off */

/* Values that became integers. */
typedef struct Mapping
{
	int			form;
	int			decimals;
	int			shift;
	int			nspecial;
	/* ULP only: first offset; offsets above it are where the caller said */
	uint64		first_offset;
} Mapping;

/* Write a set of numbers below n, given as flags. */
static uint8 *
put_set(uint8 *p, const bool *in, int n)
{
	int			count = 0;
	int			runs = 0;
	int			map_bytes = (n + 7) / 8;

	for (int i = 0; i < n; i++)
	{
		count += in[i];
		runs += in[i] && (i == 0 || !in[i - 1]);
	}
	Assert(count > 0);

	if (map_bytes <= count + 1 && map_bytes <= 2 * runs + 1)
	{
		*p++ = SET_BITMAP;
		for (int i = 0; i < n; i++)
			p[i / 8] = (uint8) ((i % 8 ? p[i / 8] : 0) | in[i] << (i % 8));
		return p + map_bytes;
	}
	if (count <= 2 * runs)
	{
		*p++ = SET_LIST;
		*p++ = (uint8) (count - 1);
		for (int i = 0; i < n; i++)
		{
			if (in[i])
				*p++ = (uint8) i;
		}
		return p;
	}
	*p++ = SET_RUNS;
	*p++ = (uint8) (runs - 1);
	for (int i = 0; i < n;)
	{
		int			start = i;

		while (i < n && in[i] == in[start])
			i++;
		if (in[start])
		{
			*p++ = (uint8) start;
			*p++ = (uint8) (i - start - 1);
		}
	}
	return p;
}

/* Write the values that are no integers. */
static uint8 *
put_specials(uint8 *p, const double *v, int n, const bool *special)
{
	uint64		first = 0;
	bool		found = false;
	bool		same = true;

	p = put_set(p, special, n);
	for (int i = 0; i < n; i++)
	{
		uint64		bits = ms_double_bits(v[i]);

		if (!special[i])
			continue;
		same &= !found || bits == first;
		first = bits;
		found = true;
	}
	if (same && first == NAN_BITS)
	{
		*p++ = SPECIALS_NAN;
		return p;
	}
	*p++ = same ? SPECIALS_SAME : SPECIALS_RAW;
	for (int i = 0; i < n; i++)
	{
		if (!special[i])
			continue;
		ms_store64(p, ms_double_bits(v[i]));
		p += 8;
		if (same)
			break;
	}
	return p;
}

/*
 * The integer nearest to v * 10^decimals, if dividing gives v back.
 */
static inline bool
to_decimal(double v, int decimals, uint64 *m)
{
	double		power = powers_of_ten[decimals];
	double		scaled = v * power;
	double		r;

	if (!(scaled < MAX_EXACT && scaled > -MAX_EXACT))
		return false;
	r = (scaled + MAGIC) - MAGIC;
	*m = (uint64) (int64) r;
	/* comparing bits tells -0.0 from 0.0 */
	return ms_double_bits(exact_double(*m) / power) == ms_double_bits(v);
}

/* Likewise for a float that was widened. */
static inline bool
to_decimal4(double v, int decimals, uint64 *m)
{
	double		power = powers_of_ten[decimals];
	double		scaled = v * power;
	double		r;

	if (!(scaled < MAX_EXACT && scaled > -MAX_EXACT))
		return false;
	r = (scaled + MAGIC) - MAGIC;
	*m = (uint64) (int64) r;
	return ms_double_bits((float) (exact_double(*m) / power)) ==
		ms_double_bits(v);
}

/*
 * In place of the integers left out, repeat the one before, or for the first
 * ones the one after.  Returns how many are left out.
 */
static int
fill_specials(uint64 *m, const bool *special, int n)
{
	int			count = 0;
	int			first = 0;

	for (int i = 0; i < n; i++)
		count += special[i];
	if (count == 0 || count == n)
		return count;
	while (special[first])
		first++;
	for (int i = 0; i < first; i++)
		m[i] = m[first];
	for (int i = first + 1; i < n; i++)
	{
		if (special[i])
			m[i] = m[i - 1];
	}
	return count;
}

/*
 * Try m / 10^e, e at most "most", leaving out a few values.  On success the
 * integers are in work->m and the values left out marked in work->special.
 */
static bool
map_decimal(const double *v, int n, bool is_float4, int most, Mapping *map,
			MsValueWork *work)
{
	int			decimals = 0;
	int			redo = 0;		/* so many first ones have fewer decimals */
	int			bad = 0;
	int			allowed = n / 8;
	int			nan = 0;

	for (int i = 0; i < n; i++)
	{
		int			d = decimals;

		if (is_float4)
		{
			while (d <= most && !to_decimal4(v[i], d, &work->m[i]))
				d++;
		}
		else
		{
			while (d <= most && !to_decimal(v[i], d, &work->m[i]))
				d++;
		}
		work->special[i] = d > most;
		if (d <= most)
		{
			redo = d > decimals ? i : redo;
			decimals = d;
		}
		else if (v[i] != v[i])
			nan++;
		else if (++bad > allowed)
			return false;
	}
	if (bad + nan == n)
		return false;
	for (int i = 0; i < redo; i++)
		work->special[i] = is_float4 ? !to_decimal4(v[i], decimals, &work->m[i]) :
			!to_decimal(v[i], decimals, &work->m[i]);

	map->form = is_float4 && decimals > 0 ? FORM_DEC4 :
		decimals > 0 ? FORM_DEC : FORM_INT;
	map->decimals = decimals;
	map->nspecial = fill_specials(work->m, work->special, n);
	return map->nspecial <= allowed + nan && map->nspecial < n;
}

/*
 * Try decimals that are some steps off.  On success the decimals are in
 * work->m, the steps in "steps".
 */
static bool
map_ulp(const double *v, int n, Mapping *map, uint64 *steps,
		MsValueWork *work)
{
	for (int d = 0; d <= MAX_DECIMALS; d++)
	{
		double		power = powers_of_ten[d];
		int			i;

		for (i = 0; i < n; i++)
		{
			double		scaled = v[i] * power;
			double		r;
			double		near;
			uint64		off;

			if (!(scaled < MAX_EXACT && scaled > -MAX_EXACT))
				return false;
			r = (scaled + MAGIC) - MAGIC;
			near = exact_double((uint64) (int64) r) / power;
			off = ordered_bits(ms_double_bits(v[i])) -
				ordered_bits(ms_double_bits(near));
			if (off + MAX_ULPS > 2 * MAX_ULPS)
				break;
			work->m[i] = (uint64) (int64) r;
			steps[i] = off;
		}
		if (i == n)
		{
			map->form = FORM_ULP;
			map->decimals = d;
			map->nspecial = 0;
			return true;
		}
	}
	return false;
}

/* Try multiples of a power of two; the integers go to work->m. */
static bool
map_pow2(const double *v, int n, Mapping *map, MsValueWork *work)
{
	int			low = PG_INT32_MAX; /* exponents of the lowest and highest bit */
	int			high = PG_INT32_MIN;

	for (int i = 0; i < n; i++)
	{
		uint64		bits = ms_double_bits(v[i]);
		int			exponent = (int) (bits >> 52 & 0x7ff);
		uint64		mantissa = bits & UINT64CONST(0xfffffffffffff);

		if (exponent == 0x7ff || bits == MINUS_ZERO_BITS)
			return false;
		if (bits == 0)
			continue;
		if (exponent > 0)
			mantissa |= UINT64CONST(1) << 52;
		exponent = Max(exponent, 1) - 1075;
		low = Min(low, exponent + __builtin_ctzll(mantissa));
		high = Max(high, exponent + ms_bit_width(mantissa));
	}
	if (low < -1022 || high > 1023 || high - low > 62)
		return false;

	for (int i = 0; i < n; i++)
	{
		uint64		bits = ms_double_bits(v[i]);
		int			exponent = (int) (bits >> 52 & 0x7ff);
		uint64		m = bits & UINT64CONST(0xfffffffffffff);
		int			shift = Max(exponent, 1) - 1075 - low;

		if (exponent > 0)
			m |= UINT64CONST(1) << 52;
		if (bits == 0)
			m = 0;
		else if (shift >= 0)
			m <<= shift;
		else
			m >>= -shift;
		work->m[i] = bits >> 63 ? 0 - m : m;
	}
	map->form = FORM_POW2;
	map->shift = low;
	map->nspecial = 0;
	return true;
}

/* The last resort: bits. */
static void
map_bits(const double *v, int n, bool is_float4, Mapping *map,
		 MsValueWork *work)
{
	map->form = is_float4 ? FORM_BITS4 : FORM_BITS;
	map->nspecial = 0;
	for (int i = 0; i < n; i++)
	{
		if (is_float4)
		{
			uint32		bits = ms_float_bits(ms_float4_narrow(v[i]));

			work->m[i] = (uint64) (int64) (int32) ordered_bits4(bits);
		}
		else
			work->m[i] = ordered_bits(ms_double_bits(v[i]));
	}
}

static uint64
greatest_common_divisor(uint64 a, uint64 b)
{
	while (b != 0)
	{
		uint64		t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/*
 * Make q from m: what is left above the first one, divided by what divides
 * all.  Returns the divisor.
 */
static uint64
reduce(const uint64 *m, int n, bool divide, uint64 *q)
{
	uint64		g = 0;

	for (int i = 0; i < n; i++)
		q[i] = m[i] - m[0];
	if (!divide)
		return 1;
	for (int i = 1; i < n && g != 1; i++)
	{
		uint64		d = (int64) q[i] < 0 ? 0 - q[i] : q[i];

		/* most often g divides d, or both are odd */
		if (d != 0)
			g = greatest_common_divisor(d, g);
	}
	if (g <= 1)
		return 1;
	for (int i = 1; i < n; i++)
		q[i] = (uint64) ((int64) q[i] / (int64) g);
	return g;
}

/* Write a summary; the decoder's is_mapped() says which kind. */
static uint8 *
put_summary(uint8 *p, const double *v, const uint64 *q, int n,
			const Mapping *map)
{
	if ((map->form == FORM_INT || map->form == FORM_DEC) && map->nspecial == 0)
	{
		int64		min = 0;
		int64		max = 0;
		uint64		sum = 0;

		for (int i = 0; i < n; i++)
		{
			min = Min(min, (int64) q[i]);
			max = Max(max, (int64) q[i]);
			sum += q[i];
		}
		p = ms_put_varint(p, 0 - (uint64) min);
		p = ms_put_varint(p, (uint64) max);
		p = ms_put_varint(p, ms_zigzag(sum - (uint64) ((int64) (n * ((uint64) min + (uint64) max)) / 2)));
	}
	else
	{
		MsSummary	s;

		memset(&s, 0, sizeof(s));
		ms_summary_add(&s, v, n);
		ms_store64(p, ms_double_bits(s.min));
		ms_store64(p + 8, ms_double_bits(s.max));
		ms_store64(p + 16, ms_double_bits(s.sum));
		p += 24;
	}
	return p;
}

/*
 * Write n values that were mapped to work->m; the first byte's null flag is
 * the caller's.  "steps" are the ULP form's.  Returns the end.
 */
static uint8 *
put_mapped(uint8 *dst, const double *v, int n, const Mapping *map,
		   uint64 *steps, MsValueWork *work)
{
	uint8	   *p = dst + 1;
	bool		divide = map->form != FORM_BITS && map->form != FORM_BITS4;
	uint64		g = reduce(work->m, n, divide, work->q);

	*dst = (uint8) map->form;
	if (map->form == FORM_DEC || map->form == FORM_DEC4 || map->form == FORM_ULP)
		*p++ = (uint8) map->decimals;
	else if (map->form == FORM_POW2)
		p = ms_put_varint(p, ms_zigzag((uint64) (int64) map->shift));

	if (map->form == FORM_BITS)
	{
		ms_store64(p, work->m[0]);
		p += 8;
	}
	else
		p = ms_put_varint(p, ms_zigzag(work->m[0]));
	if (g > 1)
	{
		*dst |= FLAG_FACTOR;
		p = ms_put_varint(p, g);
	}
	if (n >= SUMMARY_ROWS)
	{
		*dst |= FLAG_SUMMARY;
		p = put_summary(p, v, work->q, n, map);
	}
	p += ms_int_encode(work->q, n, p, &work->ints);
	if (map->form == FORM_ULP)
	{
		uint64		first = steps[0];

		p = ms_put_varint(p, ms_zigzag(first));
		for (int i = 0; i < n; i++)
			work->q[i] = steps[i] - first;
		p += ms_int_encode(work->q, n, p, &work->ints);
	}
	if (map->nspecial > 0)
	{
		*dst |= FLAG_SPECIALS;
		p = put_specials(p, v, n, work->special);
	}
	return p;
}

/* Write n equal values. */
static uint8 *
put_constant(uint8 *p, double v)
{
	uint64		bits = ms_double_bits(v);
	uint64		m;

	if (bits == NAN_BITS)
	{
		*p++ = FORM_CONST_NAN;
		return p;
	}
	for (int d = 0; d <= MAX_DECIMALS && v == v; d++)
	{
		if (!to_decimal(v, d, &m))
			continue;
		if (d > 0 && ms_varint_size(ms_zigzag(m)) + 1 >= 8)
			break;
		*p++ = d == 0 ? FORM_CONST_INT : FORM_CONST_DEC;
		if (d > 0)
			*p++ = (uint8) d;
		return ms_put_varint(p, ms_zigzag(m));
	}
	*p++ = FORM_CONST_RAW;
	ms_store64(p, bits);
	return p + 8;
}

/* Is every value a float that was widened? */
static bool
all_float4(const double *v, int n)
{
	for (int i = 0; i < n; i++)
	{
		double		back = ms_float4_widen(ms_float4_narrow(v[i]));

		if (ms_double_bits(back) != ms_double_bits(v[i]))
			return false;
	}
	return true;
}

/* Write n values without packing, in as few bytes as that takes. */
static uint8 *
put_raw(uint8 *p, const double *v, int n)
{
	uint64		wide = 0;
	bool		integers = true;
	int			width = 8;

	for (int i = 0; i < n && integers; i++)
	{
		uint64		m;

		integers = to_decimal(v[i], 0, &m);
		wide |= ms_zigzag(m);
	}
	if (integers && ms_bit_width(wide) <= 32)
	{
		width = ms_bit_width(wide) <= 8 ? 1 : ms_bit_width(wide) <= 16 ? 2 : 4;
		*p++ = FORM_RAW_INT;
		*p++ = (uint8) width;
		for (int i = 0; i < n; i++, p += width)
			ms_store_bytes(p, (uint64) (int64) v[i], width);
		return p;
	}

	if (all_float4(v, n))
		width = 4;
	*p++ = width == 4 ? FORM_RAW4 : FORM_RAW8;
	for (int i = 0; i < n; i++, p += width)
	{
		uint64		bits = width == 4 ?
		ms_float_bits(ms_float4_narrow(v[i])) : ms_double_bits(v[i]);

		ms_store_bytes(p, bits, width);
	}
	return p;
}

/*
 * Write n values that are no decimals: try what there is, keep the shortest.
 */
static uint8 *
put_hard(uint8 *dst, const double *v, int n, bool is_float4,
		 MsValueWork *work)
{
	Mapping		map;
	uint64		steps[MS_INT_MAX];
	uint8	   *best = work->buf[0];
	uint8	   *other = work->buf[1];
	Size		best_len;
	Size		len;
	uint8	   *swap;

	memset(&map, 0, sizeof(map));
	map_bits(v, n, is_float4, &map, work);
	best_len = put_mapped(best, v, n, &map, NULL, work) - best;

	if (!is_float4 && map_ulp(v, n, &map, steps, work))
	{
		len = put_mapped(other, v, n, &map, steps, work) - other;
		if (len < best_len)
		{
			swap = best;
			best = other;
			other = swap;
			best_len = len;
		}
	}
	if (map_pow2(v, n, &map, work))
	{
		len = put_mapped(other, v, n, &map, NULL, work) - other;
		if (len < best_len)
		{
			best = other;
			best_len = len;
		}
	}
	if (best_len >= (Size) 8 * n + 1)
		return put_raw(dst, v, n);
	memcpy(dst, best, best_len);
	return dst + best_len;
}

/* Write n values, none of them null, at least one. */
static uint8 *
put_values(uint8 *dst, const double *v, int n, MsValueKind kind, bool quick,
		   MsValueWork *work)
{
	Mapping		map;
	bool		is_float4;
	uint64		first = ms_double_bits(v[0]);
	uint8	   *end;
	int			i;

	for (i = 1; i < n && ms_double_bits(v[i]) == first; i++)
		 /* count equal values */ ;
	if (i == n)
		return put_constant(dst, v[0]);
	if (quick)
		return put_raw(dst, v, n);

	is_float4 = kind == MS_FLOAT4 && all_float4(v, n);
	memset(&map, 0, sizeof(map));
	if (!map_decimal(v, n, is_float4, COMMON_DECIMALS, &map, work) &&
		(is_float4 ||
		 !map_decimal(v, n, false, MAX_DECIMALS, &map, work)))
		return put_hard(dst, v, n, is_float4, work);

	end = put_mapped(work->buf[0], v, n, &map, NULL, work);
	if (end - work->buf[0] > 8 * n)
		return put_hard(dst, v, n, is_float4, work);
	memcpy(dst, work->buf[0], end - work->buf[0]);
	return dst + (end - work->buf[0]);
}

/*
 * Encode n values, 1 to MS_INT_MAX, into dst, which has MS_VALUE_BOUND(n)
 * bytes.  "nulls" may be NULL; so may "v" if all rows are null.  "kind" is a
 * hint: any doubles are encoded exactly.  "quick" trades size for time.
 * Returns the number of bytes.
 */
int
ms_value_encode(const double *v, const bool *nulls, int n, MsValueKind kind,
				bool quick, uint8 *dst, MsValueWork *work)
{
	uint8		null_set[MS_INT_MAX / 8 + 16];
	int			set_len = 0;
	int			count = 0;
	uint8	   *end;

	Assert(n >= 1 && n <= MS_INT_MAX);
	if (v == NULL)
	{
		*dst = FORM_NULLS;
		return 1;
	}
	if (nulls != NULL)
	{
		for (int i = 0; i < n; i++)
		{
			work->vals[count] = v[i];
			count += !nulls[i];
		}
		if (count == 0)
		{
			*dst = FORM_NULLS;
			return 1;
		}
		if (count < n)
		{
			set_len = (int) (put_set(null_set, nulls, n) - null_set);
			v = work->vals;
		}
		else
			nulls = NULL;
	}
	if (nulls == NULL)
		count = n;

	/* the set goes between the first byte, which is moved down, and the rest */
	end = put_values(dst + set_len, v, count, kind, quick, work);
	if (set_len > 0)
	{
		dst[0] = dst[set_len] | FLAG_NULLS;
		memcpy(dst + 1, null_set, set_len);
	}
	return (int) (end - dst);
}
