/*-------------------------------------------------------------------------
 *
 * codec_time.c
 *	  The times of a block.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"
#include "core/timecodec.h"

static MsTimeWork work;

/* Encode, decode, compare; the size, or -1. */
static int
round_trip(const int64 *t, int n, MsTimeGrid *grid)
{
	uint8	   *dst = get_memory(MS_TIME_BOUND(n));
	int			len = ms_time_encode(t, n, grid, dst, &work);
	uint8	   *copy = get_memory(len);
	int64	   *out = get_memory(sizeof(int64) * n);
	bool		good = len <= MS_TIME_BOUND(n) && (len > 0) == !grid->regular;

	memcpy(copy, dst, len);
	good = good && ms_time_decode(copy, len, copy + len, n, grid, t[0], t[n - 1], out) &&
		memcmp(out, t, sizeof(int64) * n) == 0;
	for (int cut = 0; cut < len && good; cut++)
	{
		uint8	   *part = get_memory(cut);

		memcpy(part, dst, cut);
		good = !ms_time_decode(part, cut, part + cut, n, grid, t[0], t[n - 1], out);
		free(part);
	}
	/* an end that is not what the header says */
	if (n > 1)
		good = good && !ms_time_decode(copy, len, copy + len, n, grid, t[0], t[n - 1] + 1, out);
	free(out);
	free(copy);
	free(dst);
	return good ? len : -1;
}

static void
test_shapes(void)
{
	int64		t[MS_INT_MAX];
	MsTimeGrid	grid;

	for (int shape = 0; shape < TIME_SHAPES; shape++)
	{
		bool		good = true;
		char		name[100];

		for (int k = 0; k < 100 && good; k++)
		{
			int			n = k < 5 ? MS_INT_MAX - k : 1 + random_below(MS_INT_MAX);

			random_times(t, n, shape, (int64) (random64() >> 10) - (INT64CONST(1) << 53));
			good = round_trip(t, n, &grid) >= 0;
		}
		snprintf(name, sizeof(name), "shape %d comes back", shape);
		ok(good, name);
	}
}

static void
test_sizes(void)
{
	int64		t[MS_INT_MAX];
	MsTimeGrid	grid;
	int			n = 240;

	for (int i = 0; i < n; i++)
		t[i] = INT64CONST(845000000123000) + i * INT64CONST(15000000);
	ok(round_trip(t, n, &grid) == 0 && grid.regular && grid.unit == 2 && grid.step == 15,
	   "regular times take nothing, and are counted in seconds");
	t[100] += 3000;
	t[150] += 3000;
	t[151] += 32000;
	ok(round_trip(t, n, &grid) <= 12 && grid.unit == 1, "three late ones a few bytes");
	for (int i = 200; i < n; i++)
		t[i] += 60000000;
	ok(round_trip(t, n, &grid) <= 16, "missed ones a few more");
	t[0] = PG_INT64_MIN;
	t[1] = PG_INT64_MAX;
	ok(round_trip(t, 2, &grid) >= 0, "all of time");
	t[1] = 0;
	t[2] = PG_INT64_MAX;
	ok(round_trip(t, 3, &grid) >= 0, "in two steps");
}

/* Times that would not ascend are refused. */
static void
test_descending(void)
{
	uint64		q[4] = {0, 5, 3, 9};
	uint8		dst[100];
	int64		out[4];
	MsTimeGrid	grid;
	int			len = ms_int_encode(q, 4, dst, &work.ints);

	memset(&grid, 0, sizeof(grid));
	grid.step = 1;
	ok(!ms_time_decode(dst, len, dst + len, 4, &grid, 100, 112, out), "times must ascend");
	grid.step = 3;
	ok(ms_time_decode(dst, len, dst + len, 4, &grid, 100, 118, out) && out[2] == 109,
	   "which these do");
}

int
main(int argc, char **argv)
{
	start_testing(argc, argv);
	test_shapes();
	test_sizes();
	test_descending();
	return done_testing();
}
