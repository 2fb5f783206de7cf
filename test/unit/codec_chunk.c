/*-------------------------------------------------------------------------
 *
 * codec_chunk.c
 *	  Chunks: what goes in comes out, whatever the way it grew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec_util.h"
#include "core/chunk_layout.h"
#include "core/totals.h"

static MsCodecWork *work;

/* Is row i of column c null? */
static bool
is_null(const MsRows *rows, int c, int i)
{
	return c >= rows->ncols || (rows->nulls[c] != NULL && rows->nulls[c][i]);
}

/* Do two sets of rows agree, bit for bit, from row "from" of the second on? */
static bool
same_rows(const MsRows *a, const MsRows *b, int from, int n)
{
	if (memcmp(a->times, b->times + from, sizeof(int64) * n) != 0)
		return false;
	for (int c = 0; c < Max(a->ncols, b->ncols); c++)
	{
		for (int i = 0; i < n; i++)
		{
			bool		null = is_null(a, c, i);

			if (null != is_null(b, c, from + i))
				return false;
			if (!null && ms_double_bits(a->values[c][i]) !=
				ms_double_bits(b->values[c][from + i]))
				return false;
		}
	}
	return true;
}

/* The summary of some rows of a column, as PostgreSQL would find it. */
static void
reference_summary(const MsRows *rows, int c, int from, int n, MsSummary *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = from; i < from + n; i++)
	{
		if (!is_null(rows, c, i))
			ms_summary_add(s, &rows->values[c][i], 1);
	}
}

static bool
near(double a, double b, double scale)
{
	if (a == b || (a != a && b != b))
		return true;
	/* a sum that overflowed on the way, or did not */
	if (!isfinite(a) || !isfinite(b) || !isfinite(scale))
		return true;
	return fabs(a - b) <= scale * 1e-13;
}

/* Is a row of a block, read alone, what it should be?  Column ncols is one that the chunk does not have. */
static bool
row_agrees(const MsChunk *c, const MsBlockInfo *b, const MsRows *rows, int from, int row)
{
	for (int col = 0; col <= rows->ncols; col++)
	{
		bool		null = col == rows->ncols || is_null(rows, col, from + row);
		double		v;
		bool		isnull;

		if (!ms_chunk_block_value(c, b, col, row, &v, &isnull) || isnull != null ||
			ms_double_bits(v) != ms_double_bits(null ? 0 : rows->values[col][from + row]))
			return false;
	}
	return true;
}

static int	runs_seen;			/* blocks that have totals of runs */

/* Are the totals of some runs of rows of a block what they should be, if there are any? */
static bool
runs_agree(const MsChunk *c, const MsBlockInfo *b, const MsRows *rows, int from, int col)
{
	int			bounds[MS_VALUE_RUNS + 1];
	MsSummary	totals[MS_VALUE_RUNS];
	int			nruns = 0;

	bounds[0] = random_below(b->nrows);
	while (nruns < MS_VALUE_RUNS && bounds[nruns] < b->nrows)
	{
		int			left = b->nrows - bounds[nruns];

		bounds[nruns + 1] = bounds[nruns] + 1 + random_below(random_below(2) ? left : Min(left, 20));
		nruns++;
	}
	if (!ms_chunk_block_run_totals(c, b, col, bounds, nruns, totals, work))
		return true;
	runs_seen++;
	for (int i = 0; i < nruns; i++)
	{
		int			n = bounds[i + 1] - bounds[i];
		MsSummary	want;
		double		scale = 0;

		reference_summary(rows, col, from + bounds[i], n, &want);
		for (int k = 0; k < n; k++)
			scale += fabs(rows->values[col][from + bounds[i] + k]);
		if (totals[i].count != n || want.count != n || totals[i].has_nan || want.has_nan ||
			totals[i].min != want.min || totals[i].max != want.max ||
			!near(totals[i].sum, want.sum, scale))
			return false;
	}
	return true;
}

/* Do a chunk's blocks say of their rows what is true? */
static bool
blocks_agree(const MsChunk *c, const MsRows *rows, int from)
{
	MsBlockInfo b;
	bool		more;
	int			row = 0;
	int			count = 0;

	for (more = ms_chunk_first_block(c, &b); more;
		 more = ms_chunk_next_block(c, &b))
	{
		MsBlockInfo again;

		if (b.index != count++ || b.row != row || b.nrows < 1 ||
			b.nrows > MS_BLOCK_ROWS ||
			b.tmin != rows->times[from + row] ||
			b.tmax != rows->times[from + row + b.nrows - 1])
			return false;
		if (!ms_chunk_block(c, b.index, &again) || again.row != b.row ||
			again.tmin != b.tmin || again.tmax != b.tmax)
			return false;
		for (int col = 0; col < rows->ncols; col++)
		{
			MsSummary	s;
			MsSummary	totals;
			MsSummary	want;
			double		scale = 0;

			if (!ms_chunk_block_summary(c, &b, col, &s))
				return false;
			reference_summary(rows, col, from + row, b.nrows, &want);
			for (int i = 0; i < b.nrows; i++)
			{
				if (!is_null(rows, col, from + row + i))
					scale += fabs(rows->values[col][from + row + i]);
			}
			if (s.count != want.count)
				return false;
			if (s.count > 0 &&
				(ms_double_bits(s.min) != ms_double_bits(want.min) ||
				 ms_double_bits(s.max) != ms_double_bits(want.max) ||
				 s.has_nan != want.has_nan || !near(s.sum, want.sum, scale)))
				return false;
			if (ms_chunk_block_totals(c, &b, col, &totals, work) &&
				(totals.count != s.count || totals.has_nan != s.has_nan ||
				 ms_double_bits(totals.min) != ms_double_bits(s.min) ||
				 ms_double_bits(totals.max) != ms_double_bits(s.max) ||
				 ms_double_bits(totals.sum) != ms_double_bits(s.sum)))
				return false;
			if (!runs_agree(c, &b, rows, from + row, col))
				return false;
		}
		if (!row_agrees(c, &b, rows, from + row, 0) ||
			!row_agrees(c, &b, rows, from + row, b.nrows - 1) ||
			!row_agrees(c, &b, rows, from + row, random_below(b.nrows)))
			return false;
		row += b.nrows;
	}
	return row == c->nrows && count == c->nblocks &&
		!ms_chunk_block(c, count, &b) && !ms_chunk_block(c, -1, &b);
}

static int	totals_seen;		/* chunks that have totals */

/* Do a chunk's totals, if it has any, say what its blocks say together? */
static bool
totals_agree(const MsChunk *c, const uint8 *bytes, Size len)
{
	uint8		copy[MS_TOTALS_MAX];
	uint8	   *exact;
	MsTotals	t;
	Size		size = ms_totals_encode(bytes, len, copy);
	bool		good;

	if (size == 0)
		return true;
	totals_seen++;
	exact = get_memory(size);
	memcpy(exact, copy, size);
	good = size <= len / 32 && ms_totals_open(&t, exact, size) && t.tmin == c->tmin &&
		t.tmax == c->tmax && t.nrows == c->nrows && t.nblocks == c->nblocks && t.ncols == c->ncols;
	for (int i = 0; i < 2 * c->ncols && good; i++)
	{
		int			col = i < c->ncols ? i : random_below(c->ncols);
		int			count = 0;
		double		sum = 0;
		bool		has_nan = false;
		bool		min_seen = false;
		bool		max_seen = false;
		MsBlockInfo b;
		MsSummary	s;
		MsSummary	all;
		bool		more;

		good = ms_totals_column(&t, col, &all);
		for (more = good && ms_chunk_first_block(c, &b); more; more = ms_chunk_next_block(c, &b))
		{
			good &= ms_chunk_block_summary(c, &b, col, &s);
			if (s.count == 0)
				continue;
			sum = count == 0 ? s.sum : sum + s.sum;
			count += s.count;
			has_nan |= s.has_nan;
			/* nothing is below the least, which is NaN only if all are */
			good &= !(s.min < all.min) && (all.min == all.min || s.min != s.min);
			good &= !(s.max > all.max) && (s.max == s.max || all.max != all.max);
			min_seen |= ms_double_bits(s.min) == ms_double_bits(all.min);
			max_seen |= ms_double_bits(s.max) == ms_double_bits(all.max);
		}
		good &= all.count == count && all.has_nan == has_nan &&
			(count == 0 || (min_seen && max_seen && (all.sum == sum || (sum != sum && all.sum != all.sum))));
	}
	/* with less of it, it is malformed or says so */
	good &= !ms_totals_open(&t, exact, random_below(16));
	free(exact);
	return good;
}

/* Does a chunk hold rows [from, from + n)? */
static bool
holds(const uint8 *bytes, Size len, const MsRows *rows, int from, int n)
{
	/* of exactly this size, to see reads beyond it */
	uint8	   *copy = get_memory(len);
	MsChunk		c;
	MsRows		out;
	MsRows		keep;
	bool		good;

	memcpy(copy, bytes, len);
	good = ms_chunk_validate(copy, len, work) &&
		ms_chunk_open(&c, copy, len) && c.nrows == n &&
		c.tmin == rows->times[from] && c.tmax == rows->times[from + n - 1] &&
		totals_agree(&c, copy, len);
	if (good)
	{
		make_rows(&out, n, rows->ncols + 1);
		keep = out;
		keep.nulls = get_memory(sizeof(bool *) * out.ncols);
		memcpy(keep.nulls, out.nulls, sizeof(bool *) * out.ncols);
		good = ms_chunk_decode(&c, NULL, &out, work) &&
			same_rows(&out, rows, from, n) && blocks_agree(&c, rows, from);
		free(out.nulls);
		free_rows(&keep);
	}
	free(copy);
	return good;
}

static uint8 *
random_kinds(int ncols)
{
	uint8	   *kinds = get_memory(ncols);

	for (int c = 0; c < ncols; c++)
		kinds[c] = random_below(3) == 0 ? MS_FLOAT4 : MS_FLOAT8;
	return kinds;
}

static int
random_nrows(void)
{
	switch (random_below(4))
	{
		case 0:
			return 1 + random_below(20);
		case 1:
			return 250 + random_below(12);
		case 2:
			return 1 + random_below(1500);
		default:
			return 1 + random_below(300);
	}
}

/* Encode, open and sealed, any part of the rows. */
static void
test_encode(int rounds)
{
	bool		good = true;
	bool		bounded = true;

	for (int i = 0; i < rounds && good && bounded; i++)
	{
		int			ncols = random_below(5) + (i % 10 == 0 ? 40 : 0);
		int			n = random_nrows();
		uint8	   *kinds = random_kinds(ncols);
		int			first = random_below(n);
		int			count = 1 + random_below(n - first);
		int			flags = random_below(2);
		uint8	   *dst = get_memory(ms_chunk_bound(count, ncols));
		MsRows		rows;
		Size		len;

		random_rows(&rows, n, ncols, kinds, (int64) (random64() >> 8) - ((int64) 1 << 55));
		len = ms_chunk_encode(&rows, first, count, random_below(4) ? kinds : NULL,
							  flags, dst, work);
		bounded = len > 0 && len <= ms_chunk_bound(count, ncols);
		good = holds(dst, len, &rows, first, count);
		free(dst);
		free(kinds);
		free_rows(&rows);
	}
	ok(good, "encoded rows come back");
	ok(bounded, "within the bound");
}

/* Grow a chunk by random pieces, with changing flags. */
static void
test_append(int rounds)
{
	bool		good = true;

	for (int i = 0; i < rounds && good; i++)
	{
		int			ncols = 1 + random_below(3);
		int			n = 2 + random_nrows();
		uint8	   *kinds = random_kinds(ncols);
		MsRows		rows;
		Size		len;
		int			done;
		uint8	   *chunk;
		int			most = 1 + random_below(random_below(3) ? 20 : 600);

		random_rows(&rows, n, ncols, kinds, 700000000000000);
		done = 1 + random_below(Min(n - 1, most));
		chunk = get_memory(ms_chunk_bound(done, ncols));
		len = ms_chunk_encode(&rows, 0, done, kinds, MS_CHUNK_OPEN, chunk, work);
		while (done < n && good)
		{
			int			take = 1 + random_below(Min(most, n - done));
			int			flags = random_below(10) == 0;
			MsRows		part = rows;
			double	   *values[16];
			bool	   *nulls[16];
			Size		bound;
			uint8	   *dst;

			part.nrows = take;
			part.times += done;
			part.values = values;
			part.nulls = nulls;
			for (int c = 0; c < ncols; c++)
			{
				values[c] = rows.values[c] + done;
				nulls[c] = rows.nulls[c] ? rows.nulls[c] + done : NULL;
			}
			bound = ms_chunk_append_bound(chunk, len, take, ncols, flags);
			dst = get_memory(bound);
			len = ms_chunk_append(chunk, len, &part, kinds, flags, dst, work);
			good = len > 0 && len <= bound;
			free(chunk);
			chunk = dst;
			done += take;
			if (random_below(10) == 0)
				good = good && holds(chunk, len, &rows, 0, done);
		}
		good = good && holds(chunk, len, &rows, 0, n);

		/* sealing gives the size that encoding at once gives, nearly */
		if (good)
		{
			Size		bound = ms_chunk_append_bound(chunk, len, 0, ncols, MS_CHUNK_SEALED);
			uint8	   *sealed = get_memory(bound);
			Size		sealed_len = ms_chunk_append(chunk, len, NULL, kinds,
													 MS_CHUNK_SEALED, sealed, work);
			MsChunk		c;

			good = sealed_len > 0 && sealed_len <= bound &&
				holds(sealed, sealed_len, &rows, 0, n) &&
				ms_chunk_open(&c, sealed, sealed_len) && !c.open;
			free(sealed);
		}
		free(chunk);
		free(kinds);
		free_rows(&rows);
	}
	ok(good, "appended rows come back");
}

/* Cut rows in two, encode or grow both, put them together. */
static void
test_concat(int rounds)
{
	bool		good = true;

	for (int i = 0; i < rounds && good; i++)
	{
		int			ncols = 1 + random_below(3);
		int			n = 2 + random_nrows();
		int			cut = 1 + random_below(n - 1);
		int			flags = random_below(2);
		uint8	   *kinds = random_kinds(ncols);
		uint8	   *a = get_memory(ms_chunk_bound(cut, ncols));
		uint8	   *b = get_memory(ms_chunk_bound(n - cut, ncols));
		uint8	   *dst;
		MsRows		rows;
		Size		alen;
		Size		blen;
		Size		len;
		Size		bound;

		random_rows(&rows, n, ncols, kinds, 700000000000000);
		alen = ms_chunk_encode(&rows, 0, cut, kinds, random_below(2), a, work);
		blen = ms_chunk_encode(&rows, cut, n - cut, kinds, random_below(2), b, work);
		bound = ms_chunk_concat_bound(a, alen, b, blen, flags);
		dst = get_memory(bound);
		len = ms_chunk_concat(a, alen, b, blen, kinds, flags, dst, work);
		good = len > 0 && len <= bound && holds(dst, len, &rows, 0, n) &&
			ms_chunk_concat(b, blen, a, alen, kinds, flags, dst, work) == 0;
		free(dst);
		free(a);
		free(b);
		free(kinds);
		free_rows(&rows);
	}
	ok(good, "joined chunks come back");
}

/* A column that one part does not have. */
static void
test_columns(int rounds)
{
	bool		good = true;

	for (int i = 0; i < rounds && good; i++)
	{
		int			n = 2 + random_nrows();
		int			cut = 1 + random_below(n - 1);
		int			flags = random_below(2);
		bool		first_less = random_below(2);
		int			less = random_below(4);
		MsRows		rows;
		MsRows		part;
		bool	   *nulls[4];
		double	   *values[4];
		uint8	   *a;
		uint8	   *dst;
		Size		alen;
		Size		len;
		Size		bound;

		random_rows(&rows, n, 4, NULL, 1000);
		for (int c = less; c < 4; c++)
		{
			/* what is missing is null */
			if (rows.nulls[c] == NULL)
			{
				rows.nulls[c] = get_memory(n);
				memset(rows.nulls[c], false, n);
			}
			if (first_less)
				memset(rows.nulls[c], true, cut);
			else
				memset(rows.nulls[c] + cut, true, n - cut);
		}
		part = rows;
		part.ncols = first_less ? less : 4;
		a = get_memory(ms_chunk_bound(cut, 4));
		alen = ms_chunk_encode(&part, 0, cut, NULL, random_below(2), a, work);

		part.ncols = first_less ? 4 : less;
		part.nrows = n - cut;
		part.times = rows.times + cut;
		part.values = values;
		part.nulls = nulls;
		for (int c = 0; c < 4; c++)
		{
			values[c] = rows.values[c] + cut;
			nulls[c] = rows.nulls[c] ? rows.nulls[c] + cut : NULL;
		}
		bound = ms_chunk_append_bound(a, alen, n - cut, part.ncols, flags);
		dst = get_memory(bound);
		len = ms_chunk_append(a, alen, &part, NULL, flags, dst, work);
		good = len > 0 && len <= bound && holds(dst, len, &rows, 0, n);
		free(dst);

		if (good)
		{
			uint8	   *b = get_memory(ms_chunk_bound(n - cut, 4));
			Size		blen = ms_chunk_encode(&part, 0, n - cut, NULL, 0, b, work);

			bound = ms_chunk_concat_bound(a, alen, b, blen, flags);
			dst = get_memory(bound);
			len = ms_chunk_concat(a, alen, b, blen, NULL, flags, dst, work);
			good = len > 0 && len <= bound && holds(dst, len, &rows, 0, n);
			free(b);
			free(dst);
		}
		free(a);
		free_rows(&rows);
	}
	ok(good, "columns that were added later are null before");
}

/* Does a copy of some columns and times show of them what the chunk shows? */
static bool
copy_agrees(const MsChunk *c, const MsChunk *copy, const bool *need, int64 lo, int64 hi)
{
	MsBlockInfo a;
	MsBlockInfo b;
	bool		good = ms_chunk_first_block(c, &a) && ms_chunk_first_block(copy, &b);
	bool		more = good;

	while (more && good)
	{
		int64		times[2][MS_BLOCK_ROWS];
		double		values[2][MS_BLOCK_ROWS];
		bool		nulls[2][MS_BLOCK_ROWS];
		bool		has_nulls[2];

		good = a.tmin == b.tmin && a.tmax == b.tmax && a.nrows == b.nrows;
		if (good && a.tmax >= lo && a.tmin < hi)
		{
			good = ms_chunk_block_times(c, &a, times[0]) &&
				ms_chunk_block_times(copy, &b, times[1]) &&
				memcmp(times[0], times[1], sizeof(int64) * a.nrows) == 0;
			for (int col = 0; col < c->ncols && good; col++)
			{
				if (!need[col])
					continue;
				good = ms_chunk_block_values(c, &a, col, values[0], nulls[0], &has_nulls[0], work) &&
					ms_chunk_block_values(copy, &b, col, values[1], nulls[1], &has_nulls[1], work) &&
					has_nulls[0] == has_nulls[1] &&
					memcmp(values[0], values[1], sizeof(double) * a.nrows) == 0 &&
					(!has_nulls[0] || memcmp(nulls[0], nulls[1], a.nrows) == 0);
			}
		}
		more = ms_chunk_next_block(c, &a);
		good = good && more == ms_chunk_next_block(copy, &b);
	}
	return good && ms_chunk_is_last(c, &a) && ms_chunk_is_last(copy, &b);
}

/* A copy of what is needed is read like the chunk. */
static void
test_copy(int rounds)
{
	bool		good = true;

	for (int i = 0; i < rounds && good; i++)
	{
		int			ncols = 1 + random_below(12);
		int			n = random_nrows();
		bool	   *need = get_memory(ncols);
		uint8	   *bytes = get_memory(ms_chunk_bound(n, ncols));
		uint8	   *dst;
		MsRows		rows;
		MsChunk		c;
		MsChunk		copy;
		int64		lo;
		int64		hi;
		Size		len;

		random_rows(&rows, n, ncols, NULL, 1000);
		len = ms_chunk_encode(&rows, 0, n, NULL, random_below(2), bytes, work);
		for (int col = 0; col < ncols; col++)
			need[col] = random_below(3) == 0;
		lo = random_below(2) ? rows.times[random_below(n)] : PG_INT64_MIN;
		hi = random_below(2) ? rows.times[random_below(n)] : PG_INT64_MAX;
		dst = get_memory(len);
		memset(dst, 0xa5, len);
		/* with no rows it never is copied whole */
		ms_chunk_copy(dst, bytes, len, need, ncols, lo, hi);
		good = ms_chunk_open(&c, bytes, len) && ms_chunk_open_header(&copy, dst, len) &&
			copy_agrees(&c, &copy, need, lo, hi);
		free(dst);
		free(bytes);
		free(need);
		free_rows(&rows);
	}
	ok(good, "a copy of some columns and times is read like the chunk");
}

/* Long chunks have totals. */
static void
test_totals(int rounds)
{
	bool		good = true;
	int			seen = totals_seen;

	for (int i = 0; i < rounds && good; i++)
	{
		int			ncols = 1 + random_below(4);
		int			n = 2000 + random_below(3000);
		uint8	   *bytes = get_memory(ms_chunk_bound(n, ncols));
		MsRows		rows;
		Size		len;

		random_rows(&rows, n, ncols, NULL, 1000);
		len = ms_chunk_encode(&rows, 0, n, NULL, MS_CHUNK_SEALED, bytes, work);
		good = holds(bytes, len, &rows, 0, n);
		free(bytes);
		free_rows(&rows);
	}
	ok(runs_seen > 1000, "blocks of integers have totals of runs, which say what is true");
	printf("# %d of %d long chunks have totals\n", totals_seen - seen, rounds);
	ok(good && totals_seen - seen > rounds / 4, "totals of a chunk say what its blocks say");
}

/* Constants cost next to nothing, and a long run is read in slices. */
static void
test_runs(void)
{
	const int	n = 1440;
	MsRows		rows;
	uint8	   *dst = get_memory(ms_chunk_bound(n, 2) * 2);
	uint8	   *dst2 = get_memory(ms_chunk_bound(n, 2) * 2);
	Size		len;
	MsChunk		c;
	MsBlockInfo b;

	make_rows(&rows, n, 1);
	for (int i = 0; i < n; i++)
	{
		rows.times[i] = INT64CONST(845000000000000) + i * INT64CONST(10000000);
		rows.values[0][i] = 0.25;
		rows.nulls[0][i] = false;
	}
	len = ms_chunk_encode(&rows, 0, n, NULL, MS_CHUNK_SEALED, dst, work);
	printf("# 1440 constants: %d bytes\n", (int) len);
	ok(len <= 20 && holds(dst, len, &rows, 0, n), "a constant column in few bytes");
	ok(ms_chunk_open(&c, dst, len) && c.nblocks == 6 &&
	   ms_chunk_block(&c, 5, &b) && b.nrows == n - 5 * MS_BLOCK_ROWS,
	   "is read in slices");

	/* row by row the same */
	len = ms_chunk_encode(&rows, 0, 1, NULL, MS_CHUNK_OPEN, dst, work);
	for (int i = 1; i < n && len > 0; i++)
	{
		MsRows		one = rows;
		double	   *value = rows.values[0] + i;
		uint8	   *swap = dst;

		one.nrows = 1;
		one.times += i;
		one.values = &value;
		one.nulls = NULL;
		len = ms_chunk_append(dst, len, &one, NULL, MS_CHUNK_OPEN, dst2, work);
		dst = dst2;
		dst2 = swap;
	}
	ok(len > 0 && len <= 20 && holds(dst, len, &rows, 0, n), "row by row as well");
	free(dst);
	free(dst2);
	free_rows(&rows);
}

/* Requests that cannot be met are refused. */
static void
test_refusals(void)
{
	MsRows		rows;
	uint8		dst[4096];
	uint8		dst2[8192];
	Size		len;

	random_rows(&rows, 10, 1, NULL, 0);
	len = ms_chunk_encode(&rows, 0, 10, NULL, 0, dst, work);
	ok(len > 0, "a small chunk");
	ok(ms_chunk_encode(&rows, 0, 0, NULL, 0, dst2, work) == 0, "no rows");
	ok(ms_chunk_append(dst, len, &rows, NULL, 0, dst2, work) == 0, "rows that are not later");
	ok(ms_chunk_append(dst, len - 1, NULL, NULL, 0, dst2, work) == 0 ||
	   !ms_chunk_validate(dst, len - 1, work), "a truncated chunk");
	ok(!ms_chunk_validate(dst, 0, work), "no bytes");
	rows.times[0] = PG_INT64_MIN;
	rows.times[9] = PG_INT64_MAX;
	len = ms_chunk_encode(&rows, 0, 10, NULL, 0, dst, work);
	ok(len > 0 && holds(dst, len, &rows, 0, 10), "all of time");
	free_rows(&rows);
}

/* Rows that touch most of the format. */
static void
golden_rows(MsRows *rows)
{
	int			n = 300;

	make_rows(rows, n, 8);
	for (int i = 0; i < n; i++)
	{
		int			k = i * 7919 % 100;

		rows->times[i] = INT64CONST(845000000000000) + i * INT64CONST(15000000) +
			(k == 3 ? 2000 : 0) + (i > 200 ? 45000000 : 0);
		rows->values[0][i] = 50 + k % 7 - i % 3;
		rows->values[1][i] = (i * i % 1000) / 100.0;
		rows->values[2][i] = i % 50 == 7 ? ms_bits_double(UINT64CONST(0x7ff8000000000001)) :
			4096.0 * (i + k / 90);
		rows->values[3][i] = ldexp((double) ((i + 1) * 104729 % 4093), -20 - i % 9);
		rows->values[4][i] = (float) (k / 10.0);
		rows->values[5][i] = 0.5;
		rows->values[6][i] = ms_bits_double(UINT64CONST(0x3ff0000000000000) +
											(uint64) i * i * UINT64CONST(123456789123));
		rows->values[7][i] = i / 1000.0 + 0.1 + 0.2;
		for (int c = 0; c < 8; c++)
			rows->nulls[c][i] = c == 0 ? k < 30 : c == 5 && i < 280;
	}
}

/*
 * The format does not change unnoticed: the same rows give the same bytes
 * (as a checksum, FNV-1a), and bytes written long ago can be read.  If
 * encoding was improved so that it chooses otherwise, the first is to be
 * changed; never the second.
 */
static void
test_format(void)
{
	static const uint8 kinds[8] = {0, 0, 0, 0, MS_FLOAT4, 0, 0, 0};
	static const uint8 old[] = {
		0x34, 0x08, 0x13, 0xbc, 0x5d, 0x32, 0x19, 0x00, 0x35, 0x00, 0x80, 0x00,
		0xb9, 0x00, 0x4e, 0x01, 0x7d, 0x01, 0x84, 0x01, 0xb3, 0x01, 0x81, 0x31,
		0x0f, 0x58, 0x00, 0x18, 0x43, 0x08, 0x63, 0x08, 0x63, 0x00, 0x64, 0x01,
		0x05, 0x04, 0x18, 0x01, 0x2d, 0x53, 0x32, 0x05, 0x99, 0x81, 0x1c, 0xb8,
		0x81, 0xde, 0xe0, 0x4d, 0x1e, 0x49, 0x02, 0xe8, 0x07, 0xf3, 0x03, 0xe4,
		0x03, 0xc7, 0x1a, 0x50, 0xe5, 0x07, 0x00, 0xdc, 0x87, 0xc0, 0x80, 0x18,
		0x5c, 0x08, 0xc3, 0x8c, 0x50, 0x5c, 0x89, 0xc7, 0xa0, 0xa8, 0xdc, 0x0a,
		0xce, 0xbc, 0x20, 0xdd, 0x8c, 0xd6, 0xe0, 0xb8, 0x5d, 0x0f, 0xe1, 0x12,
		0x70, 0xbe, 0x82, 0xed, 0x46, 0x48, 0x3f, 0x06, 0xfc, 0x82, 0x58, 0x3c,
		0x0a, 0xce, 0xc6, 0x70, 0xbd, 0x8e, 0xe0, 0x18, 0xa8, 0x1e, 0x04, 0xf5,
		0x6c, 0x18, 0x9c, 0x09, 0xcd, 0xc8, 0x90, 0x01, 0xe8, 0x80, 0x80, 0x7d,
		0x80, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x2f, 0x41, 0x01, 0x00,
		0x00, 0x00, 0x00, 0x00, 0xf8, 0x7f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
		0xf8, 0x7f, 0x11, 0x00, 0x55, 0x85, 0x55, 0x52, 0x49, 0x55, 0x55, 0x55,
		0x49, 0x25, 0x55, 0x55, 0x01, 0x01, 0x00, 0x07, 0x01, 0x01, 0x00, 0x00,
		0x00, 0x00, 0x00, 0xf8, 0x7f, 0x4b, 0x37, 0x94, 0x36, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x86, 0x3e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46, 0x6c,
		0x3f, 0x00, 0x00, 0x00, 0xc0, 0x4d, 0xd9, 0x95, 0x3f, 0x84, 0xbb, 0x35,
		0x00, 0x00, 0xd4, 0x8f, 0x54, 0x7b, 0x94, 0x16, 0x14, 0xb8, 0x34, 0xf2,
		0x3c, 0x44, 0xa4, 0x07, 0x84, 0x16, 0x93, 0x04, 0xd4, 0x22, 0xd4, 0xc4,
		0x14, 0x3c, 0x74, 0x4a, 0x94, 0x3b, 0xd4, 0x68, 0xf0, 0x19, 0xaa, 0x1f,
		0x26, 0x09, 0xd4, 0xb8, 0x54, 0x0e, 0xd4, 0x60, 0xd4, 0xdc, 0xc4, 0x84,
		0x84, 0x0d, 0x3c, 0x2c, 0xd6, 0x08, 0xb9, 0x0d, 0xd4, 0x4b, 0x54, 0x59,
		0x94, 0x85, 0x94, 0x6f, 0xf4, 0xcd, 0x1c, 0x32, 0x88, 0x3e, 0xfc, 0x11,
		0x4f, 0x02, 0xd4, 0xde, 0xd4, 0xa2, 0x54, 0xaa, 0xf4, 0x01, 0x54, 0x17,
		0xb4, 0x56, 0xe0, 0x10, 0x22, 0x1b, 0xe2, 0x06, 0xd4, 0x74, 0x54, 0xec,
		0xd4, 0xcf, 0x23, 0x0e, 0x2c, 0x78, 0x50, 0xe0, 0x81, 0x00, 0x05, 0x31,
		0x94, 0x5d, 0xc2, 0x58, 0x21, 0xb4, 0x51, 0x47, 0x09, 0x07, 0x4a, 0x01,
		0x64, 0x00, 0x00, 0x00, 0xa0, 0x99, 0x99, 0xb9, 0x3f, 0x00, 0x00, 0x00,
		0x60, 0x66, 0x66, 0x23, 0x40, 0x00, 0x00, 0xbc, 0x05, 0x00, 0xf0, 0x6e,
		0x40, 0x05, 0x26, 0x13, 0x84, 0x20, 0x84, 0x10, 0x84, 0x10, 0x00, 0x08,
		0xc6, 0xc6, 0xc6, 0xc6, 0xc6, 0xc6, 0xc6, 0xc6, 0xc6, 0x12, 0x02, 0x00,
		0x00, 0x1d, 0x01, 0x0a, 0x4d, 0x6c, 0x96, 0xcc, 0xba, 0xb4, 0x69, 0x0b,
		0x40, 0x6c, 0x96, 0xcc, 0xba, 0xb4, 0x69, 0x0b, 0x40, 0x2b, 0x7e, 0x3b,
		0x29, 0x3d, 0x36, 0x17, 0x40, 0xa0, 0xfb, 0x77, 0xa8, 0x3f, 0x8c, 0x6b,
		0x40, 0x02, 0xbe, 0x89, 0x87, 0x9a, 0xa0, 0x90, 0x1c, 0x8c, 0xd4, 0x91,
		0xd3, 0xaf, 0x0e, 0x4c, 0x03, 0xcc, 0x08, 0x9a, 0x99, 0x99, 0x99, 0x99,
		0x99, 0xe1, 0x3f, 0x5e, 0xba, 0x49, 0x0c, 0x02, 0x2b, 0xe3, 0x3f, 0x99,
		0x99, 0x99, 0x99, 0x99, 0xb9, 0x3c, 0x40, 0x01, 0x02, 0x00, 0x10, 0x01,
		0x44, 0x44, 0x44, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
		0x01
	};
	MsRows		rows;
	uint8	   *dst;
	Size		len;
	uint64		sum = UINT64CONST(0xcbf29ce484222325);

	golden_rows(&rows);
	dst = get_memory(ms_chunk_bound(rows.nrows, rows.ncols));
	len = ms_chunk_encode(&rows, 0, rows.nrows, kinds, MS_CHUNK_OPEN, dst, work);
	for (Size i = 0; i < len; i++)
		sum = (sum ^ dst[i]) * UINT64CONST(0x100000001b3);
	printf("# %d bytes, checksum %llx\n", (int) len, (unsigned long long) sum);
	ok(len == 1885 && sum == UINT64CONST(0xbff24d684a0612fd), "bytes are what they were");
	ok(holds(old, sizeof(old), &rows, 250, 50), "old bytes can be read");
	free(dst);
	free_rows(&rows);
}

/* Any single byte changed: refused, or rows of the right shape. */
static void
test_damage(int rounds)
{
	bool		good = true;

	for (int i = 0; i < rounds && good; i++)
	{
		int			n = 1 + random_below(600);
		int			ncols = 1 + random_below(2);
		uint8	   *dst = get_memory(ms_chunk_bound(n, ncols));
		MsRows		rows;
		Size		len;

		random_rows(&rows, n, ncols, NULL, 0);
		len = ms_chunk_encode(&rows, 0, n, NULL, random_below(2), dst, work);
		for (int k = 0; k < 200; k++)
		{
			Size		cut = random_below(3) ? len : (Size) (1 + random_below((int) len));
			uint8	   *copy = get_memory(cut);
			MsChunk		c;

			memcpy(copy, dst, cut);
			copy[random_below((int) cut)] ^= (uint8) (1 << random_below(8));
			(void) ms_chunk_validate(copy, cut, work);
			if (ms_chunk_open(&c, copy, cut) && c.nrows < 100000)
			{
				MsRows		out;
				MsRows		keep;

				make_rows(&out, c.nrows, ncols);
				keep = out;
				keep.nulls = get_memory(sizeof(bool *) * ncols);
				memcpy(keep.nulls, out.nulls, sizeof(bool *) * ncols);
				if (ms_chunk_decode(&c, NULL, &out, work))
				{
					for (int r = 1; r < c.nrows; r++)
						good &= out.times[r] > out.times[r - 1];
				}
				free(out.nulls);
				free_rows(&keep);
			}
			free(copy);
		}
		free(dst);
		free_rows(&rows);
	}
	ok(good, "damaged chunks do no harm, and times that decode ascend");
}

/*
 * Steps so long that times wrap around to where they should be: a chunk that
 * could be decoded, but whose block headers get longer when they are copied.
 */
static void
test_wrapping_steps(void)
{
	const int	nblocks = 3000;
	const int	width = 2;
	const uint8 times[] = {0, 2};	/* minute 1 */
	const uint8 value[] = {1, 0};	/* all values are 0 */
	uint8	   *bytes = get_memory(nblocks * 32);
	uint8	   *p = bytes;
	uint8	   *dst;
	Size		streams;
	MsRows		later;
	Size		bound;

	/* twice: the directories name what is known at the end */
	for (int round = 0; round < 2; round++)
	{
		streams = p - bytes;
		p = bytes;
		*p++ = CHUNK_ONE_COLUMN;
		*p++ = 0;				/* the first time */
		ms_store_bytes(p, streams, width);
		p += width;
		for (int i = 0; i < nblocks; i++)
		{
			*p++ = BLOCK_IRREGULAR | 3 << BLOCK_UNIT_SHIFT | (i == nblocks - 1 ? BLOCK_LAST : 0);
			*p++ = 1;			/* two rows */
			if (i > 0)
				*p++ = 2;		/* one minute later */
			p = ms_put_varint(p, UINT64CONST(1) << 56);
			*p++ = 2;			/* off: one minute */
			*p++ = sizeof(times);
			if (i < nblocks - 1)
			{
				ms_store_bytes(p, streams + (i + 1) * sizeof(value), width);
				p += width;
			}
			memcpy(p, times, sizeof(times));
			p += sizeof(times);
		}
	}
	for (int i = 0; i < nblocks; i++, p += sizeof(value))
		memcpy(p, value, sizeof(value));
	ok(p - bytes < 1 << 16 && p - bytes > 1 << 8, "the chunk's positions take two bytes");

	random_rows(&later, 1, 1, NULL, INT64CONST(1) << 50);
	bound = ms_chunk_append_bound(bytes, p - bytes, 1, 1, MS_CHUNK_OPEN);
	dst = get_memory(bound);
	ok(ms_chunk_append(bytes, p - bytes, &later, NULL, MS_CHUNK_OPEN, dst, work) <= bound,
	   "times that wrap around do not make a chunk outgrow its bound");
	free(dst);
	free(bytes);
	free_rows(&later);
}

int
main(int argc, char **argv)
{
	start_testing(argc, argv);
	work = get_work();
	test_encode(400);
	test_append(150);
	test_concat(200);
	test_columns(150);
	test_copy(400);
	test_totals(100);
	test_runs();
	test_refusals();
	test_format();
	test_damage(60);
	test_wrapping_steps();
	free(work);
	return done_testing();
}
