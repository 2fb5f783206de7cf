/*-------------------------------------------------------------------------
 *
 * codec_chunk.c (fuzz target)
 *	  Any bytes as a chunk: every reader and writer must live with them.
 *
 * What validates must also hold together: its rows, encoded again, come back;
 * sealing it, and joining it with more, gives chunks that validate.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/totals.h"

/* more than this takes too long to be worth it */
#define MAX_VALUES_DECODED	300000

static MsCodecWork *work;

static void *
get_memory(Size size)
{
	void	   *p = malloc(Max(size, 1));

	if (p == NULL)
		abort();
	return p;
}

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
make_rows(MsRows *rows, bool ***nulls, int nrows, int ncols)
{
	rows->nrows = nrows;
	rows->ncols = ncols;
	rows->times = get_memory(sizeof(int64) * nrows);
	rows->values = get_memory(sizeof(double *) * ncols);
	rows->nulls = get_memory(sizeof(bool *) * ncols);
	*nulls = get_memory(sizeof(bool *) * ncols);
	for (int c = 0; c < ncols; c++)
	{
		rows->values[c] = get_memory(sizeof(double) * nrows);
		rows->nulls[c] = (*nulls)[c] = get_memory(nrows);
	}
}

static void
free_rows(MsRows *rows, bool **nulls)
{
	for (int c = 0; c < rows->ncols; c++)
	{
		free(rows->values[c]);
		free(nulls[c]);
	}
	free(nulls);
	free(rows->nulls);
	free(rows->values);
	free(rows->times);
}

/* Decode a chunk that was just made and compare. */
static void
must_hold(const uint8 *bytes, Size len, const MsRows *want)
{
	MsChunk		c;
	MsRows		got;
	bool	  **nulls;

	must(ms_chunk_validate(bytes, len, work) && ms_chunk_open(&c, bytes, len));
	must(c.nrows == want->nrows);
	make_rows(&got, &nulls, c.nrows, want->ncols);
	must(ms_chunk_decode(&c, NULL, &got, work));
	must(memcmp(got.times, want->times, sizeof(int64) * c.nrows) == 0);
	for (int col = 0; col < want->ncols; col++)
	{
		must((got.nulls[col] == NULL) == (want->nulls[col] == NULL));
		must(got.nulls[col] == NULL ||
			 memcmp(got.nulls[col], want->nulls[col], c.nrows) == 0);
		/* nulls come back as 0, so this compares them too */
		must(memcmp(got.values[col], want->values[col],
					sizeof(double) * c.nrows) == 0);
	}
	free_rows(&got, nulls);
}

/* What a valid chunk's rows go through. */
static void
go_on(const uint8 *data, Size size, const MsChunk *c, const MsRows *rows)
{
	Size		bound = ms_chunk_bound(c->nrows, c->ncols);
	uint8	   *dst = get_memory(bound);
	uint8	   *joined;
	Size		len;
	MsRows		later;

	for (int flags = 0; flags < 2; flags++)
	{
		len = ms_chunk_encode(rows, 0, c->nrows, NULL, flags, dst, work);
		if (len == 0)
			continue;			/* times too far apart */
		must(len <= bound);
		must_hold(dst, len, rows);
	}
	free(dst);

	bound = ms_chunk_append_bound(data, size, 0, c->ncols, MS_CHUNK_SEALED);
	dst = get_memory(bound);
	len = ms_chunk_append(data, size, NULL, NULL, MS_CHUNK_SEALED, dst, work);
	if (len > 0)
	{
		must(len <= bound);
		must_hold(dst, len, rows);
	}
	free(dst);

	/* the same rows again, later */
	if (c->tmin < -(INT64CONST(1) << 60) || c->tmax > INT64CONST(1) << 60)
		return;
	later = *rows;
	later.times = get_memory(sizeof(int64) * c->nrows);
	for (int i = 0; i < c->nrows; i++)
		later.times[i] = rows->times[i] + (c->tmax - c->tmin) + 1000;
	for (int flags = 0; flags < 2; flags++)
	{
		uint8	   *more = get_memory(ms_chunk_bound(c->nrows, c->ncols));
		Size		more_len = ms_chunk_encode(&later, 0, c->nrows, NULL,
											   !flags, more, work);

		bound = ms_chunk_append_bound(data, size, c->nrows, c->ncols, flags);
		joined = get_memory(bound);
		len = ms_chunk_append(data, size, &later, NULL, flags, joined, work);
		must(len > 0 && len <= bound && ms_chunk_validate(joined, len, work));
		free(joined);

		bound = ms_chunk_concat_bound(data, size, more, more_len, flags);
		joined = get_memory(bound);
		len = ms_chunk_concat(data, size, more, more_len, NULL, flags, joined, work);
		must(len > 0 && len <= bound && ms_chunk_validate(joined, len, work));
		free(joined);
		free(more);
	}
	free(later.times);
}

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	MsChunk		c;
	MsRows		rows;
	bool	  **nulls;
	MsBlockInfo b;
	bool		more;
	bool		valid;
	MsChunkParts parts;
	bool		decoded;

	if (work == NULL)
	{
		must(posix_memalign((void **) &work, 64, ms_codec_work_size()) == 0);
		memset(work, 0x5a, ms_codec_work_size());
	}

	valid = ms_chunk_validate(data, size, work);

	/*
	 * What its bytes are for can be told of every chunk that opens; the parts
	 * are the whole.
	 */
	memset(&parts, 0, sizeof(parts));
	must(ms_chunk_parts(data, size, &parts) ?
		 parts.headers + parts.times + parts.values == size :
		 !valid && parts.headers + parts.times + parts.values == 0);
	if (!ms_chunk_open(&c, data, size))
	{
		must(!valid);
		return 0;
	}
	if ((int64) c.nrows * (c.ncols + 2) > MAX_VALUES_DECODED)
		return 0;

	make_rows(&rows, &nulls, c.nrows, c.ncols + 1);
	decoded = ms_chunk_decode(&c, NULL, &rows, work);
	must(decoded || !valid);
	for (more = ms_chunk_first_block(&c, &b); more;
		 more = ms_chunk_next_block(&c, &b))
	{
		for (int col = 0; col < c.ncols; col++)
		{
			MsSummary	s;

			must(ms_chunk_block_summary(&c, &b, col, &s) || !valid);
			(void) ms_chunk_block_totals(&c, &b, col, &s, work);
			if (b.nrows > 1)
			{
				int			bounds[] = {0, b.nrows / 2, b.nrows};
				MsSummary	runs[2];

				(void) ms_chunk_block_run_totals(&c, &b, col, bounds, 2, runs, work);
			}
		}
	}

	{
		uint8		bytes[MS_TOTALS_MAX];
		Size		len = ms_totals_encode(data, size, bytes);
		MsTotals	totals;
		MsSummary	s;

		must(len == 0 || (ms_totals_open(&totals, bytes, len) && totals.nrows == c.nrows));
		for (int col = 0; len > 0 && col < c.ncols; col++)
			must(ms_totals_column(&totals, col, &s) && s.count <= c.nrows);
	}

	if (valid)
	{
		rows.ncols = c.ncols;
		go_on(data, size, &c, &rows);
		rows.ncols = c.ncols + 1;
	}
	else
	{
		/* writers may refuse it, or not; decoding may have left any rows */
		rows.nrows = c.tmax < PG_INT64_MAX ? 1 : 0;
		rows.times[0] = c.tmax + 1;
		rows.ncols = c.ncols;
		for (int flags = 0; flags < 2; flags++)
		{
			Size		bound = ms_chunk_append_bound(data, size, rows.nrows, c.ncols, flags);
			uint8	   *dst = get_memory(bound);

			for (int col = 0; col < c.ncols; col++)
			{
				rows.values[col][0] = flags;
				rows.nulls[col] = NULL;
			}
			must(ms_chunk_append(data, size, &rows, NULL, flags, dst, work) <= bound);
			free(dst);
		}
		rows.ncols = c.ncols + 1;
	}
	free_rows(&rows, nulls);
	return 0;
}
