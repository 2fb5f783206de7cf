/*-------------------------------------------------------------------------
 *
 * codec_int.c
 *	  Blocks of integers, and the bytes below them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"
#include "core/unpack.h"

static MsIntWork work;
static int	narrow_blocks;

/*
 * Does the way for small integers, if the block takes it, find what the general
 * one did?  "q" is NULL if that found the block malformed.
 */
static bool
narrow_agrees(const uint8 *bytes, int len, int n, const uint64 *q)
{
	int32		x[MS_INT_ROOM];
	double	   *out = get_memory(sizeof(double) * n);
	const MsNarrowMap map = {1000000, 3, 100};
	MsReader	r;
	MsReader	r2;
	MsNarrowTotals totals;
	int64		min;
	int64		max;
	uint64		sum;
	bool		narrow;
	bool		good = true;

	ms_reader_init(&r, bytes, bytes + len);
	r2 = r;
	narrow = ms_int_doubles_narrow(&r, bytes + len, n, x, &map, out);
	for (int i = 0; narrow && q != NULL && i < n; i++)
		good &= (double) (1000000 + 3 * (int64) q[i]) / 100 == out[i];
	free(out);
	if (!narrow)
		return r.p == bytes && !ms_int_totals_narrow(&r2, bytes + len, n, x, &totals) &&
			r2.p == bytes;
	narrow_blocks++;
	if (q == NULL)
		return false;
	ms_integer_totals(q, n, &min, &max, &sum);
	return good && ms_int_totals_narrow(&r2, bytes + len, n, x, &totals) && r2.p == r.p &&
		totals.min == min && totals.max == max && totals.sum == (int64) sum;
}

/* Is each integer the same if it is decoded alone, and the reader left where it is after all? */
static bool
same_alone(const uint8 *bytes, int len, int n, bool good, const MsReader *after, const uint64 *all)
{
	for (int i = 0; i < n; i++)
	{
		MsReader	r;
		uint64		one;

		ms_reader_init(&r, bytes, bytes + len);
		if (ms_int_decode_one(&r, bytes + len, n, i, &one) != good ||
			(good && (one != all[i] || r.p != after->p || r.bad != after->bad)))
			return false;
	}
	return true;
}

/* Encode and decode; the size, or -1 if what comes out is not what went in. */
static int
round_trip(const uint64 *q, int n)
{
	uint8	   *dst = get_memory(MS_INT_BOUND(n));
	int			len = ms_int_encode(q, n, dst, &work);
	uint8	   *copy = get_memory(len);
	uint64	   *out = get_memory(sizeof(uint64) * MS_INT_ROOM);
	MsReader	r;
	bool		good = len <= MS_INT_BOUND(n);

	memcpy(copy, dst, len);
	ms_reader_init(&r, copy, copy + len);
	good = good && ms_int_decode(&r, copy + len, n, out) && !r.bad &&
		r.p == r.end && memcmp(out, q, sizeof(uint64) * n) == 0 &&
		narrow_agrees(copy, len, n, q) && same_alone(copy, len, n, true, &r, out);

	/* a stream that is cut short is refused */
	for (int cut = 0; cut < len && good; cut++)
	{
		uint8	   *part = get_memory(cut);

		memcpy(part, dst, cut);
		ms_reader_init(&r, part, part + cut);
		good = !ms_int_decode(&r, part + cut, n, out) || r.bad;
		free(part);
	}
	free(out);
	free(copy);
	free(dst);
	return good ? len : -1;
}

static void
test_varints(void)
{
	bool		good = true;
	uint8		bytes[MS_VARINT_MAX + 8];
	MsReader	r;

	for (int bits = 0; bits <= 64; bits++)
	{
		for (int k = -1; k <= 1; k++)
		{
			uint64		x = (bits < 64 ? UINT64CONST(1) << bits : 0) + (uint64) (int64) k;
			int			len;

			/* it may be read together with what follows */
			memset(bytes, k & 0xff, sizeof(bytes));
			len = (int) (ms_put_varint(bytes, x) - bytes);
			ms_reader_init(&r, bytes, bytes + len + 8);
			good &= ms_get_varint(&r) == x && !r.bad && r.p == bytes + len;
			ms_reader_init(&r, bytes, bytes + len);
			good &= len == ms_varint_size(x) && ms_get_varint(&r) == x &&
				!r.bad && r.p == r.end;
			ms_reader_init(&r, bytes, bytes + len - 1);
			good &= ms_get_varint(&r) == 0 && r.bad;
			good &= ms_unzigzag(ms_zigzag(x)) == x;
		}
	}
	ok(good, "varints and zigzag");

	memset(bytes, 0xff, sizeof(bytes));
	ms_reader_init(&r, bytes, bytes + sizeof(bytes));
	ok(ms_get_varint(&r) == 0 && r.bad, "a varint that is too long");
	bytes[0] = 0x80;
	bytes[1] = 0;
	ms_reader_init(&r, bytes, bytes + 2);
	ok(ms_get_varint(&r) == 0 && r.bad, "a varint that is longer than it needs to be");
	good = true;
	for (int len = 2; len <= 8; len++)
	{
		memset(bytes, 0xff, sizeof(bytes));
		bytes[len - 1] = 0;
		ms_reader_init(&r, bytes, bytes + sizeof(bytes));
		good &= ms_get_varint(&r) == 0 && r.bad;
	}
	ok(good, "and with something behind it");
	bytes[0] = 0x80;
	bytes[1] = 0;
	ms_reader_init(&r, bytes, bytes + 4);
	ok(ms_get_bytes(&r, 5) == NULL && r.bad && ms_get_byte(&r) == 0,
	   "a reader stays at its end");
}

/* Every width, any number of values, as values, deltas and second deltas. */
static void
test_widths(void)
{
	bool		good = true;
	uint64		q[MS_INT_MAX];

	for (int width = 0; width <= 64 && good; width++)
	{
		for (int k = 0; k < 12 && good; k++)
		{
			int			n = k == 0 ? MS_INT_MAX : 1 + random_below(MS_INT_MAX);
			int			order = k % 3;
			uint64		base = random64() >> random_below(64);
			uint64		slope = random64() >> random_below(64);

			q[0] = 0;
			for (int i = 1; i < n; i++)
			{
				uint64		x = width == 0 ? 0 : random64() >> (64 - width);

				if (k >= 6 && random_below(20) == 0)
					x += random64() >> random_below(64);
				slope += order == 2 ? x : 0;
				q[i] = order == 0 ? base + x : order == 1 ? q[i - 1] + base + x :
					q[i - 1] + slope;
			}
			good = round_trip(q, n) >= 0;
		}
	}
	ok(good, "all widths and orders");
}

/* Full blocks of few bits, some at the limit of what is narrow. */
static void
test_narrow(void)
{
	bool		good = true;
	uint64		q[MS_INT_MAX];

	narrow_blocks = 0;
	for (int k = 0; k < 3000 && good; k++)
	{
		int			order = k % 3;
		int			n = random_below(2) ? MS_INT_MAX : 2 + random_below(MS_INT_MAX - 1);
		uint64		range = UINT64CONST(1) << (1 + random_below(26 - 8 * order));
		uint64		outlier = UINT64CONST(1) << random_below(28 - 8 * order);
		uint64		slope = 0;

		q[0] = 0;
		for (int i = 1; i < n; i++)
		{
			uint64		x = random64() % range - range / 2;

			if (k >= 500 && random_below(10) == 0)
				x += random_below(2) ? outlier : 0 - outlier;
			slope += x;
			q[i] = order == 0 ? x : q[i - 1] + (order == 1 ? x : slope);
		}
		good = round_trip(q, n) >= 0;
	}
	ok(good, "small integers");
	if (ms_has_avx2())
		ok(narrow_blocks > 1500 && narrow_blocks < 3000, "most of them are narrow, not all");
	else
		ok(narrow_blocks == 0, "without AVX2 none is narrow");
}

static void
test_sizes(void)
{
	uint64		q[MS_INT_MAX];
	int			clean;
	int			len;

	memset(q, 0, sizeof(q));
	ok(round_trip(q, 1) == 0, "one integer takes nothing");
	ok(round_trip(q, MS_INT_MAX) <= 3, "equal ones next to nothing");

	for (int i = 0; i < MS_INT_MAX; i++)
		q[i] = (uint64) i * 1234567;
	ok(round_trip(q, MS_INT_MAX) <= 6, "a straight line as well");
	for (int i = 0; i < MS_INT_MAX; i++)
		q[i] = (uint64) i * i * 1234;
	ok(round_trip(q, MS_INT_MAX) <= 9, "and a parabola");

	for (int i = 1; i < MS_INT_MAX; i++)
		q[i] = q[i - 1] + random_below(8) - 3;
	clean = round_trip(q, MS_INT_MAX);
	ok(clean > 0 && clean <= 255 * 3 / 8 + 6, "three bits take three bits");
	for (int i = 100; i < MS_INT_MAX; i++)
		q[i] += 1000000;
	len = round_trip(q, MS_INT_MAX);
	ok(len > 0 && len <= clean + 8, "an outlier takes a few bytes");
	for (int i = 150; i < MS_INT_MAX; i++)
		q[i] -= 5000000;
	len = round_trip(q, MS_INT_MAX);
	ok(len > 0 && len <= clean + 14, "and one below");
}

/* Any bytes: no harm, and the reader stays within. */
static void
test_any_bytes(void)
{
	bool		good = true;

	for (int i = 0; i < 20000; i++)
	{
		int			len = random_below(80);
		int			n = 1 + random_below(MS_INT_MAX);
		uint8	   *bytes = get_memory(len);
		uint64	   *out = get_memory(sizeof(uint64) * MS_INT_ROOM);
		MsReader	r;
		bool		decoded;

		for (int k = 0; k < len; k++)
			bytes[k] = (uint8) (random_below(2) ? random64() : (uint64) random_below(8));
		ms_reader_init(&r, bytes, bytes + len);
		decoded = ms_int_decode(&r, bytes + len, n, out);
		good &= narrow_agrees(bytes, len, n, decoded ? out : NULL) && r.p >= bytes && r.p <= bytes + len &&
			same_alone(bytes, len, n, decoded, &r, out);
		free(out);
		free(bytes);
	}
	ok(good, "any bytes do no harm");
}

int
main(int argc, char **argv)
{
	start_testing(argc, argv);
	test_varints();
	test_widths();
	test_narrow();
	test_sizes();
	test_any_bytes();
	return done_testing();
}
