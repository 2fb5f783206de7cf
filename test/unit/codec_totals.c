/*-------------------------------------------------------------------------
 *
 * codec_totals.c
 *	  What a chunk's totals say is what its blocks say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"
#include "core/totals.h"

static MsCodecWork *work;

/* Encodes the rows, and the totals of that; returns how long these are. */
static Size
encode(const MsRows *rows, uint8 *totals)
{
	Size		bound = ms_chunk_bound(rows->nrows, rows->ncols);
	uint8	   *chunk = get_memory(bound);
	Size		len = ms_chunk_encode(rows, 0, rows->nrows, NULL, MS_CHUNK_SEALED, chunk, work);
	Size		totals_len = ms_totals_encode(chunk, len, totals);

	if (totals_len > len / 32)
		abort();
	free(chunk);
	return totals_len;
}

/* Is what the totals say true of these rows of a column? */
static bool
agrees(const MsSummary *s, const MsRows *rows, int col)
{
	MsSummary	want;
	double		scale = 0;

	memset(&want, 0, sizeof(want));
	for (int i = 0; i < rows->nrows; i++)
	{
		if (rows->nulls[col] != NULL && rows->nulls[col][i])
			continue;
		ms_summary_add(&want, &rows->values[col][i], 1);
		scale += fabs(rows->values[col][i]);
	}
	if (s->count != want.count)
		return false;
	return s->count == 0 ||
		(ms_double_bits(s->min) == ms_double_bits(want.min) &&
		 ms_double_bits(s->max) == ms_double_bits(want.max) &&
		 s->has_nan == want.has_nan &&
		 (want.has_nan ? s->sum != s->sum : fabs(s->sum - want.sum) <= scale * 1e-13));
}

/* Is the last row what it should be? */
static bool
last_agrees(const MsTotals *t, const MsRows *rows)
{
	int			last = rows->nrows - 1;
	MsReader	r;

	ms_reader_init(&r, t->last, t->last + t->last_len);
	for (int col = 0; col < rows->ncols; col++)
	{
		double		value;
		bool		isnull = !ms_totals_next_last(&r, &value);

		if (isnull != (rows->nulls[col] != NULL && rows->nulls[col][last]) ||
			(!isnull && ms_double_bits(value) != ms_double_bits(rows->values[col][last])))
			return false;
	}
	return !r.bad && r.p == r.end;
}

static void
test_random(int rounds)
{
	bool		good = true;
	int			seen = 0;
	int			lasts = 0;

	for (int i = 0; i < rounds && good; i++)
	{
		int			ncols = 1 + random_below(30);
		uint8		bytes[MS_TOTALS_MAX];
		MsRows		rows;
		MsTotals	totals;
		MsSummary	s;
		Size		len;

		random_rows(&rows, 200 + random_below(1500), ncols, NULL, 1000);
		len = encode(&rows, bytes);
		if (len > 0)
		{
			seen++;
			good = ms_totals_open(&totals, bytes, len) &&
				totals.nrows == rows.nrows && totals.ncols == ncols &&
				totals.tmin == rows.times[0] && totals.tmax == rows.times[rows.nrows - 1];
			for (int col = 0; col < ncols && good; col++)
				good = ms_totals_column(&totals, col, &s) && agrees(&s, &rows, col);
			/* any column first */
			for (int k = 0; k < 3 && good; k++)
			{
				int			col = random_below(ncols);

				good = ms_totals_column(&totals, col, &s) && agrees(&s, &rows, col);
			}
			if (totals.last_len > 0)
			{
				lasts++;
				good = good && last_agrees(&totals, &rows);
			}
			/* cut short, the last column cannot be read */
			good = good && !(ms_totals_open(&totals, bytes, len - 1) &&
							 ms_totals_column(&totals, ncols - 1, &s));
		}
		free_rows(&rows);
	}
	ok(good, "totals say what is true");
	ok(seen > rounds / 10, "of chunks that have them");
	ok(lasts > rounds / 10, "and mostly of the last row");
}

/* A chunk has none if a sum is infinite on the way, even if not in the end. */
static void
test_overflow(void)
{
	MsRows		rows;
	uint8		bytes[MS_TOTALS_MAX];
	int			n = 3 * MS_BLOCK_ROWS;

	random_rows(&rows, n, 1, NULL, 1000);
	for (int i = 0; i < n; i++)
	{
		if (rows.nulls[0] != NULL)
			rows.nulls[0][i] = false;
		rows.values[0][i] = ldexp(random_unit(), 900);
	}
	ok(encode(&rows, bytes) > 0, "large values");
	for (int i = 0; i < n; i++)
		rows.values[0][i] = ldexp(random_unit() + 1, 1022);
	ok(encode(&rows, bytes) == 0, "a sum that overflows");
	for (int i = MS_BLOCK_ROWS; i < n; i++)
		rows.values[0][i] *= -1;
	ok(encode(&rows, bytes) == 0, "and one that does so both ways");
	rows.values[0][n - 1] = NAN;
	ok(encode(&rows, bytes) == 0, "or is no number in the end");
	free_rows(&rows);
}

int
main(int argc, char **argv)
{
	start_testing(argc, argv);
	work = get_work();
	test_random(200);
	test_overflow();
	free(work);
	return done_testing();
}
