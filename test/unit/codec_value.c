/*-------------------------------------------------------------------------
 *
 * codec_value.c
 *	  Streams of values: bit for bit, and small where they should be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"

static MsValueWork work;
static MsValueScratch scratch;

/* Is each row the same if it is decoded alone?  nulls NULL: none is null. */
static bool
same_alone(const uint8 *bytes, int len, int n, const double *v, const bool *nulls)
{
	for (int i = 0; i < n; i++)
	{
		double		one;
		bool		isnull;

		if (!ms_value_decode_one(bytes, len, bytes + len, n, i, &one, &isnull) ||
			isnull != (nulls != NULL && nulls[i]) ||
			ms_double_bits(one) != ms_double_bits(v[i]))
			return false;
	}
	return true;
}

/* Encode, decode, compare; the size, or -1. */
static int
round_trip(const double *v, const bool *nulls, int n, MsValueKind kind, bool quick)
{
	uint8	   *dst = get_memory(MS_VALUE_BOUND(n));
	int			len = ms_value_encode(v, nulls, n, kind, quick, dst, &work);
	uint8	   *copy = get_memory(len);
	double	   *out = get_memory(sizeof(double) * n);
	bool	   *out_nulls = get_memory(n);
	bool		has_nulls;
	bool		good = len > 0 && len <= MS_VALUE_BOUND(n);

	memcpy(copy, dst, len);
	good = good && ms_value_decode(copy, len, copy + len, n, out, out_nulls,
								   &has_nulls, &scratch) &&
		ms_value_check(copy, len, copy + len, n, &scratch);
	for (int i = 0; i < n && good; i++)
	{
		bool		null = nulls != NULL && nulls[i];

		good = (has_nulls && out_nulls[i]) == null &&
			(null || ms_double_bits(out[i]) == ms_double_bits(v[i]));
	}

	good = good && same_alone(copy, len, n, out, has_nulls ? out_nulls : NULL);

	/* cut short, or with a byte too many, it is refused */
	for (int cut = 0; cut <= len + 1 && good; cut += len > 300 ? 7 : 1)
	{
		uint8	   *part = get_memory(cut);

		if (cut == len)
		{
			free(part);
			continue;
		}
		memset(part, 0, cut);
		memcpy(part, dst, Min(cut, len));
		good = !ms_value_decode(part, cut, part + cut, n, out, out_nulls,
								&has_nulls, &scratch);
		/* who looks at one row may not see it */
		(void) ms_value_decode_one(part, cut, part + cut, n, cut % n, out, out_nulls);
		free(part);
	}
	free(out_nulls);
	free(out);
	free(copy);
	free(dst);
	return good ? len : -1;
}

static void
test_shapes(void)
{
	double		v[MS_INT_MAX];
	bool		nulls[MS_INT_MAX];

	for (int shape = 0; shape < VALUE_SHAPES; shape++)
	{
		bool		good = true;
		char		name[100];

		for (int k = 0; k < 60 && good; k++)
		{
			int			n = k < 4 ? MS_INT_MAX - k : 1 + random_below(MS_INT_MAX);
			bool		is_float4 = k % 5 == 4;
			bool		quick = k % 4 == 3;
			int			null_kind = k % 3;

			if (quick)
				n = Min(n, MS_TAIL_ROWS - 1);
			random_values(v, n, shape, is_float4);
			for (int i = 0; i < n; i++)
				nulls[i] = null_kind == 1 ? random_below(4) == 0 : (i / 20) % 2 == 0;
			good = round_trip(v, null_kind ? nulls : NULL, n,
							  is_float4 ? MS_FLOAT4 : MS_FLOAT8, quick) > 0;
			/* a kind that is not true costs bytes, not values */
			good = good && round_trip(v, NULL, n, MS_FLOAT4, false) > 0;
		}
		snprintf(name, sizeof(name), "shape %d comes back", shape);
		ok(good, name);
	}
}

static void
test_sizes(void)
{
	double		v[MS_INT_MAX];
	bool		nulls[MS_INT_MAX];

	memset(v, 0, sizeof(v));
	memset(nulls, true, sizeof(nulls));
	ok(round_trip(v, nulls, MS_INT_MAX, MS_FLOAT8, false) == 1, "all null: one byte");
	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = 42;
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) == 2, "a small constant: two");
	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = 0.25;
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) == 3, "a decimal constant: three");
	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = ms_bits_double(UINT64CONST(0x7ff8000000000000));
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) == 1, "NaN: one");

	for (int i = 0; i < MS_INT_MAX; i++)
	{
		v[i] = i < 128 ? i : ms_bits_double(UINT64CONST(0x7ff8000000000001));
		nulls[i] = i >= 100 && i < 200;
	}
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) <= 60, "a stretch of NaN costs little");
	ok(round_trip(v, nulls, MS_INT_MAX, MS_FLOAT8, false) <= 70, "and one of nulls");

	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = 1000 + random_below(256) / 100.0;
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) <= 256 + 20, "two decimals are integers");
	v[17] = 1.0 / 3;
	v[99] = -0.0;
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) <= 256 + 80, "but for two");
	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = (float) (random_below(256) / 100.0);
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT4, false) <= 256 + 40, "floats with two decimals are integers");
	for (int i = 0; i < MS_INT_MAX; i++)
		v[i] = ms_bits_double(random64());
	ok(round_trip(v, NULL, MS_INT_MAX, MS_FLOAT8, false) <= 8 * MS_INT_MAX + 1, "random bits hardly grow");
}

/* Floats survive being doubles. */
static void
test_float4(void)
{
	bool		good = true;

	for (int i = 0; i < 1000000 && good; i++)
	{
		uint32		bits = (uint32) random64();
		float		f;

		if (i % 4 == 0)
			bits |= 0x7f800000;
		if (i % 8 == 0)
			bits &= ~0x00400000;
		f = ms_bits_float(bits);
		good = ms_float_bits(ms_float4_narrow(ms_float4_widen(f))) == bits;
		/* NaN stays NaN, and everything else what the processor makes of it */
		if ((bits & 0x7fffffff) > 0x7f800000)
			good = good && ms_float4_widen(f) != ms_float4_widen(f);
		else
			good = good && ms_float4_widen(f) == (double) f;
	}
	ok(good, "floats survive being doubles");
}

/* A summary of v, as the stream gives it. */
static MsSummary
summary_of(const double *v, const bool *nulls, int n)
{
	uint8		dst[MS_VALUE_BOUND(MS_INT_MAX)];
	int			len = ms_value_encode(v, nulls, n, MS_FLOAT8, false, dst, &work);
	MsSummary	s;

	if (!ms_value_summary(dst, len, dst + len, n, &s, &scratch))
		abort();
	return s;
}

static void
test_summaries(void)
{
	double		v[MS_INT_MAX];
	bool		nulls[MS_INT_MAX];
	MsSummary	s;

	for (int i = 0; i < MS_INT_MAX; i++)
	{
		v[i] = (i * 37 % 256) / 10.0;
		nulls[i] = i == 0 || i == 255;
	}
	s = summary_of(v, NULL, MS_INT_MAX);
	ok(s.count == 256 && s.min == 0 && s.max == 25.5 && s.sum == 3264 && !s.has_nan,
	   "a sum of decimals is exact");
	s = summary_of(v, nulls, MS_INT_MAX);
	ok(s.count == 254 && s.min == 0.1 && s.sum == 3264 - 0 - 21.9, "nulls do not count");
	s = summary_of(v, NULL, 5);
	ok(s.count == 5 && s.max == 14.8, "small blocks have one as well");

	v[100] = ms_bits_double(UINT64CONST(0x7ff8000000000000));
	s = summary_of(v, NULL, MS_INT_MAX);
	ok(s.has_nan && s.max != s.max && s.sum != s.sum && s.min == 0,
	   "NaN is above everything");
	v[100] = HUGE_VAL;
	v[101] = -HUGE_VAL;
	s = summary_of(v, NULL, MS_INT_MAX);
	ok(!s.has_nan && s.max == HUGE_VAL && s.min == -HUGE_VAL && s.sum != s.sum,
	   "infinities are values, their sum is not");
	v[100] = v[101] = 1;
	v[200] = -0.0;
	v[0] = 0.0;
	s = summary_of(v, NULL, MS_INT_MAX);
	ok(ms_double_bits(s.min) == ms_double_bits(-0.0), "of equals the last counts");

	for (int i = 0; i < MS_INT_MAX; i++)
	{
		v[i] = 0.1;
		nulls[i] = true;
	}
	s = summary_of(v, NULL, MS_INT_MAX);
	ok(s.count == 256 && s.sum == 25.6 && s.min == 0.1, "of a constant");
	s = summary_of(v, nulls, MS_INT_MAX);
	ok(s.count == 0, "of nothing");
}

/* Any bytes: no harm, and if they are a stream, its rows are the same alone. */
static void
test_any_bytes(void)
{
	bool		good = true;
	int			streams = 0;

	for (int i = 0; i < 200000 && good; i++)
	{
		int			len = 1 + random_below(40);
		int			n = 1 + random_below(random_below(2) ? 10 : MS_INT_MAX);
		uint8	   *bytes = get_memory(len);
		double		out[MS_INT_MAX];
		bool		nulls[MS_INT_MAX];
		bool		has_nulls;
		double		one;
		bool		isnull;

		for (int k = 0; k < len; k++)
			bytes[k] = (uint8) (random_below(2) ? random64() : (uint64) random_below(8));
		if (ms_value_decode(bytes, len, bytes + len, n, out, nulls, &has_nulls, &scratch))
		{
			streams++;
			good = same_alone(bytes, len, n, out, has_nulls ? nulls : NULL);
		}
		else
			(void) ms_value_decode_one(bytes, len, bytes + len, n, random_below(n), &one, &isnull);
		free(bytes);
	}
	ok(good, "any bytes do no harm");
	ok(streams > 1000, "some are streams");
}

int
main(int argc, char **argv)
{
	start_testing(argc, argv);
	test_shapes();
	test_sizes();
	test_float4();
	test_summaries();
	test_any_bytes();
	return done_testing();
}
