/*-------------------------------------------------------------------------
 *
 * rowbuf.c
 *	  Decoded rows of one series: growing, merging, deleting.
 *
 * Reading and folding meet the same task: a chunk, some later pieces that may
 * overlap it and each other, and the rule that the last one wins.  A row
 * buffer holds rows column by column, as the codecs do, so that the common
 * case (pieces that follow the chunk in time) is a plain append, and the
 * others are gathers by an index, one column at a time.
 *
 * No locks; memory comes from the context given at the start and is kept for
 * the next series.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/rowbuf.h"
#include "utils/memutils.h"

#define FIRST_ROWS	(2 * MS_BLOCK_ROWS)

static inline bool
needed(const MsRowBuf *buf, int col)
{
	return buf->need == NULL || buf->need[col];
}

void
ms_rowbuf_init(MsRowBuf *buf, MemoryContext cxt, int ncols, const bool *need,
			   const MsMissing *missing)
{
	memset(buf, 0, sizeof(MsRowBuf));
	buf->cxt = cxt;
	buf->ncols = ncols;
	buf->need = need;
	buf->missing = missing;
	buf->values = MemoryContextAllocZero(cxt, sizeof(double *) * Max(ncols, 1));
	buf->nulls = MemoryContextAllocZero(cxt, sizeof(bool *) * Max(ncols, 1));
	buf->view_nulls = MemoryContextAllocZero(cxt, sizeof(bool *) * Max(ncols, 1));
	buf->has_nulls = MemoryContextAllocZero(cxt, sizeof(bool) * Max(ncols, 1));
}

void
ms_rowbuf_reset(MsRowBuf *buf)
{
	buf->nrows = 0;
	memset(buf->has_nulls, 0, sizeof(bool) * buf->ncols);
}

static void *
grow_array(MsRowBuf *buf, void *array, Size elem, int cap)
{
	if (array == NULL)
		return MemoryContextAllocHuge(buf->cxt, elem * cap);
	return repalloc_huge(array, elem * cap);
}

/* Makes room for n rows in all. */
static void
reserve(MsRowBuf *buf, int64 n)
{
	int64		cap = Max(buf->cap, FIRST_ROWS);

	if (n <= buf->cap)
		return;
	while (cap < n)
		cap *= 2;
	if (cap > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows of one series in one window"),
				 errhint("Choose a shorter chunk_interval.")));
	buf->times = grow_array(buf, buf->times, sizeof(int64), cap);
	for (int c = 0; c < buf->ncols; c++)
	{
		if (!needed(buf, c))
			continue;
		buf->values[c] = grow_array(buf, buf->values[c], sizeof(double), cap);
		if (buf->nulls[c] != NULL)
			buf->nulls[c] = grow_array(buf, buf->nulls[c], sizeof(bool), cap);
	}
	buf->cap = cap;
}

/* The column's nulls array, valid for all rows held; from now on it is kept up. */
static bool *
start_nulls(MsRowBuf *buf, int col)
{
	if (buf->nulls[col] == NULL)
		buf->nulls[col] = grow_array(buf, NULL, sizeof(bool), buf->cap);
	if (!buf->has_nulls[col])
	{
		memset(buf->nulls[col], 0, buf->nrows);
		buf->has_nulls[col] = true;
	}
	return buf->nulls[col];
}

/* Sets the nulls of n rows from row `at` on; nulls NULL: none of them is null. */
static void
put_nulls(MsRowBuf *buf, int col, int at, const bool *nulls, int n)
{
	if (nulls == NULL)
	{
		if (buf->has_nulls[col])
			memset(buf->nulls[col] + at, 0, n);
	}
	else
		memcpy(start_nulls(buf, col) + at, nulls, n);
}

/* The values of a column the chunk does not have, for n rows from row `at` on. */
static void
fill_missing(MsRowBuf *buf, int col, int at, int n)
{
	const MsMissing *missing = &buf->missing[col];

	for (int i = 0; i < n; i++)
		buf->values[col][at + i] = missing->value;
	if (missing->isnull)
		memset(start_nulls(buf, col) + at, true, n);
	else
		put_nulls(buf, col, at, NULL, n);
}

/* See rowbuf.h. */
int
ms_first_time(const int64 *times, int n, int64 t)
{
	int			low = 0;

	while (low < n)
	{
		int			middle = low + (n - low) / 2;

		if (times[middle] < t)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/*
 * Appends rows [first, last) of one block.  The block is decoded whole behind
 * the rows already held; what was not asked for is then squeezed out.
 */
static bool
add_block(MsRowBuf *buf, const MsChunk *chunk, const MsBlockInfo *block,
		  int64 lo, int64 hi, MsCodecWork *work, MsBlockCounts *counts)
{
	int			at = buf->nrows;
	int			first;
	int			n;

	reserve(buf, (int64) at + block->nrows);
	if (!ms_chunk_block_times(chunk, block, buf->times + at))
		return false;
	first = ms_first_time(buf->times + at, block->nrows, lo);
	n = ms_first_time(buf->times + at, block->nrows, hi) - first;
	counts->rows_skipped += block->nrows - n;
	if (n <= 0)
		return true;

	for (int c = 0; c < buf->ncols; c++)
	{
		bool		nulls[MS_BLOCK_ROWS];
		bool		any = false;

		if (!needed(buf, c))
			continue;
		if (c >= chunk->ncols)
		{
			fill_missing(buf, c, at, n);
			continue;
		}
		if (!ms_chunk_block_values(chunk, block, c, buf->values[c] + at, nulls,
								   &any, work))
			return false;
		if (first > 0)
			memmove(buf->values[c] + at, buf->values[c] + at + first,
					sizeof(double) * n);
		put_nulls(buf, c, at, any ? nulls + first : NULL, n);
	}
	if (first > 0)
		memmove(buf->times + at, buf->times + at + first, sizeof(int64) * n);
	buf->nrows += n;
	return true;
}

/* See rowbuf.h. */
bool
ms_rowbuf_add_chunk(MsRowBuf *buf, const uint8 *bytes, Size len, int64 lo, int64 hi,
					MsCodecWork *work, MsBlockCounts *counts)
{
	MsChunk		chunk;
	MsBlockInfo block;

	if (!ms_chunk_open(&chunk, bytes, len))
		return false;
	if (lo <= chunk.tmin && chunk.tmax < hi)
		reserve(buf, (int64) buf->nrows + chunk.nrows);
	for (bool more = ms_chunk_first_block(&chunk, &block); more;
		 more = ms_chunk_next_block(&chunk, &block))
	{
		if (block.tmax < lo || block.tmin >= hi)
		{
			counts->blocks_skipped++;
			counts->rows_skipped += block.nrows;
			continue;
		}
		counts->blocks_read++;
		if (!add_block(buf, &chunk, &block, lo, hi, work, counts))
			return false;
	}
	return true;
}

/* See rowbuf.h. */
bool
ms_rowbuf_add_last(MsRowBuf *buf, const MsTotals *totals)
{
	const bool	yes = true;
	int			at = buf->nrows;
	MsReader	r;

	Assert(totals->ncols == buf->ncols);
	reserve(buf, (int64) at + 1);
	buf->times[at] = totals->tmax;
	ms_reader_init(&r, totals->last, totals->last + totals->last_len);
	for (int c = 0; c < buf->ncols; c++)
	{
		double		value;
		bool		isnull = !ms_totals_next_last(&r, &value);

		if (!needed(buf, c))
			continue;
		buf->values[c][at] = value;
		if (isnull || buf->has_nulls[c])
			put_nulls(buf, c, at, isnull ? &yes : NULL, 1);
	}
	buf->nrows++;
	return !r.bad;
}

static void
swap_bufs(MsRowBuf *a, MsRowBuf *b)
{
	MsRowBuf	t = *a;

	*a = *b;
	*b = t;
}

/*
 * Sets dst to n rows, row i being row index[i] of a if index[i] >= 0, and row
 * -1 - index[i] of b otherwise.
 */
static void
gather(MsRowBuf *dst, const MsRowBuf *a, const MsRowBuf *b, const int *index, int n)
{
	ms_rowbuf_reset(dst);
	reserve(dst, n);
	for (int i = 0; i < n; i++)
		dst->times[i] = index[i] >= 0 ? a->times[index[i]] : b->times[-1 - index[i]];
	for (int c = 0; c < dst->ncols; c++)
	{
		bool		a_nulls = a->has_nulls[c];
		bool		b_nulls = b != NULL && b->has_nulls[c];

		if (!needed(dst, c))
			continue;
		for (int i = 0; i < n; i++)
			dst->values[c][i] = index[i] >= 0 ? a->values[c][index[i]] :
				b->values[c][-1 - index[i]];
		if (a_nulls || b_nulls)
		{
			bool	   *nulls = start_nulls(dst, c);

			for (int i = 0; i < n; i++)
				nulls[i] = index[i] >= 0 ?
					a_nulls && a->nulls[c][index[i]] :
					b_nulls && b->nulls[c][-1 - index[i]];
		}
	}
	dst->nrows = n;
}

static bool
is_sorted(const MsRowBuf *buf)
{
	for (int i = 1; i < buf->nrows; i++)
		if (buf->times[i - 1] >= buf->times[i])
			return false;
	return true;
}

/* Order by time, then by position, so that the last of equal times comes last. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	const int64 *times = arg;
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	if (times[x] != times[y])
		return times[x] < times[y] ? -1 : 1;
	return x < y ? -1 : 1;
}

/* See rowbuf.h. */
void
ms_rowbuf_sort(MsRowBuf *buf, MsRowBuf *scratch)
{
	int		   *index;
	int			n = 0;

	if (is_sorted(buf))
		return;
	index = MemoryContextAllocHuge(buf->cxt, sizeof(int) * buf->nrows);
	for (int i = 0; i < buf->nrows; i++)
		index[i] = i;
	qsort_arg(index, buf->nrows, sizeof(int), compare_rows, buf->times);
	for (int i = 0; i < buf->nrows; i++)
	{
		if (n > 0 && buf->times[index[n - 1]] == buf->times[index[i]])
			n--;
		index[n++] = index[i];
	}
	gather(scratch, buf, NULL, index, n);
	swap_bufs(buf, scratch);
	pfree(index);
}

/* Appends all of src's rows to dst. */
static void
append_rows(MsRowBuf *dst, const MsRowBuf *src)
{
	int			at = dst->nrows;

	reserve(dst, (int64) at + src->nrows);
	memcpy(dst->times + at, src->times, sizeof(int64) * src->nrows);
	for (int c = 0; c < dst->ncols; c++)
	{
		if (!needed(dst, c))
			continue;
		memcpy(dst->values[c] + at, src->values[c], sizeof(double) * src->nrows);
		put_nulls(dst, c, at, src->has_nulls[c] ? src->nulls[c] : NULL, src->nrows);
	}
	dst->nrows += src->nrows;
}

/* See rowbuf.h. */
void
ms_rowbuf_merge(MsRowBuf *base, MsRowBuf *late, MsRowBuf *scratch)
{
	int		   *index;
	int			n = 0;
	int			i;
	int			j = 0;

	if (late->nrows == 0)
		return;
	if (base->nrows == 0)
		swap_bufs(base, late);
	else if (base->times[base->nrows - 1] < late->times[0])
		append_rows(base, late);
	else
	{
		index = MemoryContextAllocHuge(base->cxt,
									   sizeof(int) * ((Size) base->nrows + late->nrows));
		for (i = 0; i < base->nrows; i++)
		{
			while (j < late->nrows && late->times[j] < base->times[i])
				index[n++] = -1 - j++;
			if (j < late->nrows && late->times[j] == base->times[i])
				index[n++] = -1 - j++;
			else
				index[n++] = i;
		}
		while (j < late->nrows)
			index[n++] = -1 - j++;
		gather(scratch, base, late, index, n);
		swap_bufs(base, scratch);
		pfree(index);
	}
	ms_rowbuf_reset(late);
}

/* See rowbuf.h. */
void
ms_rowbuf_delete(MsRowBuf *buf, int64 from, int64 to)
{
	int			first = ms_first_time(buf->times, buf->nrows, from);
	int			last = ms_first_time(buf->times, buf->nrows, to);
	int			rest = buf->nrows - last;

	if (first >= last)
		return;
	memmove(buf->times + first, buf->times + last, sizeof(int64) * rest);
	for (int c = 0; c < buf->ncols; c++)
	{
		if (!needed(buf, c))
			continue;
		memmove(buf->values[c] + first, buf->values[c] + last, sizeof(double) * rest);
		if (buf->has_nulls[c])
			memmove(buf->nulls[c] + first, buf->nulls[c] + last, rest);
	}
	buf->nrows = first + rest;
}

static int
compare_pieces(const void *a, const void *b)
{
	const MsPieceBytes *x = a;
	const MsPieceBytes *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

void
ms_pieces_sort(MsPieceBytes *pieces, int n)
{
	if (n > 1)
		qsort(pieces, n, sizeof(MsPieceBytes), compare_pieces);
}

/*
 * See rowbuf.h.  Rows of successive pieces are gathered before they are
 * merged, so that a thousand pieces of one row cost one merge, not a thousand;
 * only a delete has to wait for what came before it.
 */
bool
ms_rowbuf_apply(MsRowBuf *base, MsRowBuf *late, MsRowBuf *scratch,
				const MsPieceBytes *pieces, int n, int64 lo, int64 hi,
				MsCodecWork *work, MsBlockCounts *counts)
{
	for (int i = 0; i < n; i++)
	{
		int64		range[2];

		if (pieces[i].kind == MS_PIECE_ROWS)
		{
			if (!ms_rowbuf_add_chunk(late, pieces[i].data, pieces[i].len, lo, hi,
									 work, counts))
				return false;
			continue;
		}
		if (pieces[i].len != sizeof(range))
			return false;
		memcpy(range, pieces[i].data, sizeof(range));
		ms_rowbuf_sort(late, scratch);
		ms_rowbuf_merge(base, late, scratch);
		ms_rowbuf_delete(base, range[0], range[1]);
	}
	ms_rowbuf_sort(late, scratch);
	ms_rowbuf_merge(base, late, scratch);
	return true;
}

void
ms_rowbuf_view(MsRowBuf *buf, MsRows *rows)
{
	for (int c = 0; c < buf->ncols; c++)
		buf->view_nulls[c] = buf->has_nulls[c] ? buf->nulls[c] : NULL;
	rows->nrows = buf->nrows;
	rows->ncols = buf->ncols;
	rows->times = buf->times;
	rows->values = buf->values;
	rows->nulls = buf->view_nulls;
}
