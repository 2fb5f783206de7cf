/*-------------------------------------------------------------------------
 *
 * codec_int.c
 *	  Blocks of integers, and the bytes below them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"

static MsIntWork work;

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
		r.p == r.end && memcmp(out, q, sizeof(uint64) * n) == 0;

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
	uint8		bytes[MS_VARINT_MAX];
	MsReader	r;

	for (int bits = 0; bits <= 64; bits++)
	{
		for (int k = -1; k <= 1; k++)
		{
			uint64		x = (bits < 64 ? UINT64CONST(1) << bits : 0) + (uint64) (int64) k;
			int			len = (int) (ms_put_varint(bytes, x) - bytes);

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

		for (int k = 0; k < len; k++)
			bytes[k] = (uint8) (random_below(2) ? random64() : (uint64) random_below(8));
		ms_reader_init(&r, bytes, bytes + len);
		(void) ms_int_decode(&r, bytes + len, n, out);
		good &= r.p >= bytes && r.p <= bytes + len;
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
	test_sizes();
	test_any_bytes();
	return done_testing();
}
