/*-------------------------------------------------------------------------
 *
 * valuedecode.c
 *	  From a column's stream back to its values.
 *
 * The layout is in valueform.h, the reasons for it in valuecodec.c.
 *
 * Streams may come from a damaged file.  Everything is read through MsReader
 * or found to be there first; counts are at most 256; arithmetic on what was
 * read is modulo 2^64 or on doubles, where anything is defined.  A stream
 * must end exactly where its length says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/narrow.h"
#include "core/unpack.h"
#include "core/valuestream.h"

/* First integers and factors below these go with small integers. */
#define NARROW_FIRST_MAX	(INT64CONST(1) << 50)
#define NARROW_FACTOR_MAX	(UINT64CONST(1) << (50 - MS_NARROW_BITS))

/* Read a list or runs of a set. */
static int
read_ranges(MsReader *r, int kind, int n, bool *in)
{
	int			items = ms_get_byte(r) + 1;
	int			next = 0;		/* numbers below are decided */
	int			count = 0;

	for (int i = 0; i < items; i++)
	{
		int			start = ms_get_byte(r);
		int			len = kind == SET_RUNS ? ms_get_byte(r) + 1 : 1;

		if (r->bad || start < next || start + len > n)
			return -1;
		memset(in + start, true, len);
		next = start + len;
		count += len;
	}
	return count;
}

/*
 * Read a set of numbers below n into n flags.  Returns how many there are, or
 * -1 if malformed; an empty set is.
 */
static int
read_set(MsReader *r, int n, bool *in)
{
	int			kind = ms_get_byte(r);
	int			count = 0;
	const uint8 *map;

	memset(in, false, n);
	if (kind == SET_LIST || kind == SET_RUNS)
		return read_ranges(r, kind, n, in);
	if (kind != SET_BITMAP || r->bad)
		return -1;

	map = ms_get_bytes(r, (n + 7) / 8);
	if (map == NULL)
		return -1;
	for (int i = 0; i < n; i++)
	{
		in[i] = (map[i / 8] >> (i % 8)) & 1;
		count += in[i];
	}
	if (n % 8 != 0 && map[n / 8] >> (n % 8) != 0)
		return -1;
	return count > 0 ? count : -1;
}

/* Read the parameters of a form with integers. */
static bool
read_parameters(MsValueStream *s, uint8 flags)
{
	MsReader   *r = &s->r;

	switch (s->form)
	{
		case FORM_DEC:
		case FORM_DEC4:
		case FORM_ULP:
			s->decimals = ms_get_byte(r);
			if (s->decimals > MAX_DECIMALS)
				return false;
			break;
		case FORM_POW2:
			{
				int64		k = (int64) ms_get_zigzag(r);

				if (k < -1022 || k > 1023)
					return false;
				s->shift = (int) k;
				break;
			}
		default:
			break;
	}
	s->first = s->form == FORM_BITS ? ms_get_fixed64(r) : ms_get_zigzag(r);
	if (flags & FLAG_FACTOR)
	{
		s->factor = ms_get_varint(r);
		if (s->factor < 2)
			return false;
	}

	if (s->has_summary && ms_stream_is_mapped(s))
	{
		s->qmin = 0 - ms_get_varint(r);
		s->qmax = ms_get_varint(r);
		s->qsum = ms_get_zigzag(r) +
			(uint64) ((int64) (s->count * (s->qmin + s->qmax)) / 2);
	}
	else if (s->has_summary)
	{
		s->min = ms_bits_double(ms_get_fixed64(r));
		s->max = ms_bits_double(ms_get_fixed64(r));
		s->sum = ms_bits_double(ms_get_fixed64(r));
	}
	return !r->bad;
}

/*
 * Read a stream's beginning.  "nulls" gets n flags if there are nulls, and
 * *has_nulls says so.
 */
bool
ms_stream_open(MsValueStream *s, const uint8 *p, Size len, const uint8 *limit, int n,
			   bool *nulls, bool *has_nulls)
{
	uint8		flags;

	Assert(n >= 1 && n <= MS_INT_MAX);
	ms_reader_init(&s->r, p, p + len);
	s->limit = limit;
	s->decimals = s->shift = 0;
	s->first = 0;
	s->factor = 1;
	flags = ms_get_byte(&s->r);
	if (s->r.bad)
		return false;
	s->form = flags & FORM_MASK;
	s->has_specials = (flags & FLAG_SPECIALS) != 0;
	s->has_summary = (flags & FLAG_SUMMARY) != 0;
	s->n = n;
	s->count = n;
	*has_nulls = false;

	if (s->form == FORM_NULLS)
	{
		s->count = 0;
		*has_nulls = true;
		memset(nulls, true, n);
		return flags == FORM_NULLS;
	}
	if (flags & FLAG_NULLS)
	{
		int			nulls_count = read_set(&s->r, n, nulls);

		if (nulls_count < 0 || nulls_count >= n)
			return false;
		s->count -= nulls_count;
		*has_nulls = true;
	}
	if (s->form < FORM_INT)
		return (flags & (FLAG_SPECIALS | FLAG_SUMMARY | FLAG_FACTOR)) == 0;
	if (s->form > FORM_BITS4)
		return false;
	return read_parameters(s, flags);
}

/* Read the one value of a constant stream. */
double
ms_stream_constant(MsValueStream *s)
{
	MsReader   *r = &s->r;
	int			decimals;

	switch (s->form)
	{
		case FORM_CONST_INT:
			return exact_double(ms_get_zigzag(r));
		case FORM_CONST_DEC:
			decimals = ms_get_byte(r);
			if (decimals > MAX_DECIMALS)
			{
				ms_reader_fail(r);
				return 0;
			}
			s->decimals = decimals;
			s->first = ms_get_zigzag(r);
			return exact_double(s->first) / powers_of_ten[decimals];
		case FORM_CONST_NAN:
			return ms_bits_double(NAN_BITS);
		default:
			return ms_bits_double(ms_get_fixed64(r));
	}
}

/* Bytes that each value takes that is stored without packing; 0 if malformed. */
static int
raw_width(MsValueStream *s)
{
	int			width;

	if (s->form != FORM_RAW_INT)
		return s->form == FORM_RAW8 ? 8 : 4;
	width = ms_get_byte(&s->r);
	return width == 1 || width == 2 || width == 4 ? width : 0;
}

static inline double
raw_value(int form, const uint8 *p, int width)
{
	uint64		x = ms_load_bytes(p, width);

	if (form == FORM_RAW8)
		return ms_bits_double(x);
	if (form == FORM_RAW4)
		return ms_float4_widen(ms_bits_float((uint32) x));
	return (double) ((int64) (x << (64 - 8 * width)) >> (64 - 8 * width));
}

/* Decode values that are stored without packing. */
static bool
read_raw(MsValueStream *s, double *out)
{
	int			width = raw_width(s);
	const uint8 *p = ms_get_bytes(&s->r, (Size) s->count * width);

	if (p == NULL || width == 0)
		return false;
	for (int i = 0; i < s->count; i++, p += width)
		out[i] = raw_value(s->form, p, width);
	return true;
}

/* The value of a form with integers, but ULP, of which m is the integer. */
static inline double
mapped_value(int form, const MsValueStream *s, uint64 m)
{
	switch (form)
	{
		case FORM_INT:
			return exact_double(m);
		case FORM_DEC:
			return exact_double(m) / powers_of_ten[s->decimals];
		case FORM_DEC4:
			return (float) (exact_double(m) / powers_of_ten[s->decimals]);
		case FORM_POW2:
			return (double) (int64) m * power_of_two(s->shift);
		case FORM_BITS:
			return ms_bits_double(ordered_bits(m));
		default:
			return ms_float4_widen(ms_bits_float(ordered_bits4((uint32) m)));
	}
}

/* The double that is c steps above a decimal. */
static inline double
ulp_value(const MsValueStream *s, uint64 m, uint64 c)
{
	double		d = exact_double(m) / powers_of_ten[s->decimals];

	return ms_bits_double(ordered_bits(ordered_bits(ms_double_bits(d)) + c));
}

/* Decode the ULP form: decimals, and the steps by which they are off. */
static bool
read_ulp(MsValueStream *s, double *out, MsValueScratch *scratch)
{
	uint64	   *q = scratch->q;
	uint64	   *c = scratch->q2;
	uint64		first;

	if (!ms_int_decode(&s->r, s->limit, s->count, q))
		return false;
	first = ms_get_zigzag(&s->r);
	if (!ms_int_decode(&s->r, s->limit, s->count, c))
		return false;
	for (int i = 0; i < s->count; i++)
		out[i] = ulp_value(s, s->first + s->factor * q[i], first + c[i]);
	return true;
}

/* INT and DEC of small integers; false if they are not, or malformed. */
static bool
read_narrow(MsValueStream *s, double *out, MsValueScratch *scratch)
{
	int64		first = (int64) s->first;
	MsNarrowMap map = {(double) first, (double) s->factor, powers_of_ten[s->decimals]};

	/* all products and sums are exact */
	return first > -NARROW_FIRST_MAX && first < NARROW_FIRST_MAX && s->factor < NARROW_FACTOR_MAX &&
		ms_int_doubles_narrow(&s->r, s->limit, s->count, scratch->narrow, &map, out);
}

/* Decode the forms with integers, without their specials. */
static bool
read_mapped(MsValueStream *s, double *out, MsValueScratch *scratch)
{
	uint64	   *q = scratch->q;
	int			n = s->count;
	uint64		first = s->first;

	if ((s->form == FORM_INT || s->form == FORM_DEC) && read_narrow(s, out, scratch))
		return true;
	if (s->form == FORM_ULP)
		return read_ulp(s, out, scratch);
	if (!ms_int_decode(&s->r, s->limit, s->count, q))
		return false;
	if (s->factor != 1)
	{
		for (int i = 0; i < n; i++)
			q[i] *= s->factor;
	}

	switch (s->form)
	{
		case FORM_INT:
			ms_exact_doubles(q, n, first, out);
			break;
		case FORM_DEC:
			ms_exact_quotients(q, n, first, powers_of_ten[s->decimals], out);
			break;
		case FORM_DEC4:
			for (int i = 0; i < n; i++)
				out[i] = mapped_value(FORM_DEC4, s, first + q[i]);
			break;
		case FORM_POW2:
			for (int i = 0; i < n; i++)
				out[i] = mapped_value(FORM_POW2, s, first + q[i]);
			break;
		case FORM_BITS:
			for (int i = 0; i < n; i++)
				out[i] = mapped_value(FORM_BITS, s, first + q[i]);
			break;
		default:
			for (int i = 0; i < n; i++)
				out[i] = mapped_value(FORM_BITS4, s, first + q[i]);
			break;
	}
	return true;
}

/* Read the specials and put them where they belong. */
static bool
read_specials(MsValueStream *s, double *out, bool *special)
{
	MsReader   *r = &s->r;
	int			kind;
	double		same;

	if (read_set(r, s->count, special) < 0)
		return false;
	kind = ms_get_byte(r);
	if (kind > SPECIALS_NAN)
		return false;
	same = ms_bits_double(kind == SPECIALS_SAME ? ms_get_fixed64(r) : NAN_BITS);
	for (int i = 0; i < s->count; i++)
	{
		if (special[i])
			out[i] = kind == SPECIALS_RAW ? ms_bits_double(ms_get_fixed64(r)) :
				same;
	}
	return !r->bad;
}

/* Decode the values that are not null, and find the stream's end. */
bool
ms_stream_values(MsValueStream *s, double *out, MsValueScratch *scratch)
{
	if (s->form == FORM_NULLS)
		 /* nothing stored */ ;
	else if (s->form <= FORM_CONST_RAW)
	{
		double		v = ms_stream_constant(s);

		for (int i = 0; i < s->count; i++)
			out[i] = v;
	}
	else if (s->form < FORM_INT)
	{
		if (!read_raw(s, out))
			return false;
	}
	else
	{
		if (!read_mapped(s, out, scratch))
			return false;
		if (s->has_specials && !read_specials(s, out, scratch->flags))
			return false;
	}
	return !s->r.bad && s->r.p == s->r.end;
}

/*
 * Decode a stream of n values, 1 to 256.
 *
 * "out" and "nulls" have n elements.  "nulls" means something only if
 * *has_nulls becomes true; the values of null rows are 0.  Memory below
 * "limit", which is at or above p + len, may be loaded.  False if the stream
 * is malformed; "out" is then anything.
 */
bool
ms_value_decode(const uint8 *p, Size len, const uint8 *limit, int n,
				double *out, bool *nulls, bool *has_nulls,
				MsValueScratch *scratch)
{
	MsValueStream s;

	if (!ms_stream_open(&s, p, len, limit, n, nulls, has_nulls) ||
		!ms_stream_values(&s, out, scratch))
		return false;

	if (*has_nulls)
	{
		int			from = s.count;

		for (int i = n - 1; i >= 0; i--)
			out[i] = nulls[i] ? 0.0 : out[--from];
	}
	return true;
}

/* Decode value i alone of the forms with integers, without its being special. */
static bool
read_one_mapped(MsValueStream *s, int i, double *out)
{
	uint64		q;
	uint64		c;
	uint64		first;

	if (!ms_int_decode_one(&s->r, s->limit, s->count, i, &q))
		return false;
	if (s->form != FORM_ULP)
	{
		*out = mapped_value(s->form, s, s->first + s->factor * q);
		return true;
	}
	first = ms_get_zigzag(&s->r);
	if (!ms_int_decode_one(&s->r, s->limit, s->count, i, &c))
		return false;
	*out = ulp_value(s, s->first + s->factor * q, first + c);
	return true;
}

/* Put a special in place of value i, if it is one. */
static bool
read_one_special(MsValueStream *s, int i, double *out)
{
	bool		special[MS_INT_MAX];
	int			kind;

	if (read_set(&s->r, s->count, special) < 0)
		return false;
	kind = ms_get_byte(&s->r);
	if (!special[i])
		return true;
	if (kind == SPECIALS_NAN)
		*out = ms_bits_double(NAN_BITS);
	else if (kind == SPECIALS_SAME)
		*out = ms_bits_double(ms_get_fixed64(&s->r));
	else
	{
		for (int k = 0; k < i; k++)
		{
			if (special[k])
				(void) ms_get_fixed64(&s->r);
		}
		*out = ms_bits_double(ms_get_fixed64(&s->r));
	}
	return kind <= SPECIALS_NAN;
}

/* Decode value i alone of those that are not null. */
static bool
read_one(MsValueStream *s, int i, double *out)
{
	if (s->form <= FORM_CONST_RAW)
		*out = ms_stream_constant(s);
	else if (s->form < FORM_INT)
	{
		int			width = raw_width(s);
		const uint8 *p = ms_get_bytes(&s->r, (Size) s->count * width);

		if (p == NULL || width == 0)
			return false;
		*out = raw_value(s->form, p + (Size) i * width, width);
	}
	else if (!read_one_mapped(s, i, out) ||
			 (s->has_specials && !read_one_special(s, i, out)))
		return false;
	return !s->r.bad;
}

/*
 * The value of one row, 0 to n - 1, of such a stream, for a fraction of what
 * decoding all of them takes.  Other parameters as ms_value_decode(); false only
 * if the stream is malformed where it had to be looked at.
 */
bool
ms_value_decode_one(const uint8 *p, Size len, const uint8 *limit, int n,
					int row, double *out, bool *isnull)
{
	MsValueStream s;
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;
	int			i = row;

	Assert(row >= 0 && row < n);
	if (!ms_stream_open(&s, p, len, limit, n, nulls, &has_nulls))
		return false;
	*isnull = has_nulls && nulls[row];
	*out = 0;
	if (*isnull)
		return true;
	for (int k = 0; k < row && has_nulls; k++)
		i -= nulls[k];
	return read_one(&s, i, out);
}

/*
 * Does a stream's beginning say that all rows are null, or that none is and
 * all values are equal?  Such a stream does not depend on their number.
 */
bool
ms_value_is_constant(const uint8 *p, Size len)
{
	return len > 0 && *p <= FORM_CONST_RAW;
}
