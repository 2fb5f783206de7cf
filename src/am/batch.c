/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Emptying a batch: rows become columns, columns chunks, chunks runs.
 *
 * A batch is emptied window by window, from the oldest on.  For each window
 * the rows of every series that fall into it are brought in order, encoded and
 * handed to the store as one run, so that what a transaction wrote to a window
 * appears there as a whole.  Rows of one series with the same time are reduced
 * to the last of them here: a chunk has each time once.
 *
 * If something fails half way (memory, max_series, a cancel) the batch stays as
 * it was, although runs were written of it.  Should its transaction live on,
 * because only a savepoint was rolled back, all is written again; writing a
 * sample twice is writing it once.
 *
 * Each run is followed by the check that serializable transactions need: a
 * reader that came before the run has left its predicate lock, and one that
 * comes later sees the run (serial.c).
 *
 * Locks: none here; ms_run_write takes the table's for a moment.  Interrupts
 * are served between series, never between a run and the batch's bookkeeping.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/batch.h"
#include "am/serial.h"

/* Rows of one chunk; the codec allows more, but nothing is gained by it. */
#define MAX_PIECE_ROWS	(MS_CHUNK_MAX_ROWS / 4)

/* Rows fetched into the cache before they are read. */
#define AHEAD			8

/* A chunk of so few rows is likely to be extended soon. */
#define OPEN_ROWS		MS_BLOCK_ROWS

/* A row's time and place in its series, to be sorted. */
typedef struct RowRef
{
	int64		time;
	uint32		row;
} RowRef;

#define ST_SORT sort_refs
#define ST_ELEMENT_TYPE RowRef
#define ST_COMPARE(a, b) \
	((a)->time < (b)->time ? -1 : (a)->time > (b)->time ? 1 : \
	 (a)->row < (b)->row ? -1 : (a)->row > (b)->row)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* How far a series has been emptied. */
typedef struct Progress
{
	uint32	   *order;			/* borrowed; its rows by time, duplicates left
								 * out */
	uint32		nrows;			/* of these */
	uint32		done;
	uint32		ahead;			/* done, once the run in hand is written */
} Progress;

/* Columns to encode from, used again for every piece. */
typedef struct Columns
{
	MsRows		rows;
	uint32		cap;
	bool	  **nulls;			/* [ncols], all allocated */
	uint8	   *bytes;			/* the encoded chunk */
	Size		bytes_cap;
} Columns;

/* Scratch memory of the codecs, allocated once per backend. */
MsCodecWork *
ms_codec_work(void)
{
	static MsCodecWork *work = NULL;

	if (work == NULL)
		work = (MsCodecWork *)
			TYPEALIGN(64, MemoryContextAllocHuge(TopMemoryContext, ms_codec_work_size() + 64));
	return work;
}

/* The time of the nth row of a series. */
static inline int64
nth_time(const MsBatch *batch, const Progress *p, uint32 n)
{
	return ms_row_time(ms_batch_row(batch, p->order[n]));
}

/* Sorts the rows of a series by time; of those with the same time the last one stays. */
static void
sort_series(const MsBatch *batch, Progress *p)
{
	RowRef	   *refs = MemoryContextAllocHuge(CurrentMemoryContext,
											  sizeof(RowRef) * (Size) p->nrows);
	uint32		n = 0;

	for (uint32 i = 0; i < p->nrows; i++)
	{
		refs[i].time = nth_time(batch, p, i);
		refs[i].row = p->order[i];
	}
	sort_refs(refs, p->nrows);
	for (uint32 i = 0; i < p->nrows; i++)
	{
		if (i + 1 == p->nrows || refs[i].time != refs[i + 1].time)
			p->order[n++] = refs[i].row;
	}
	p->nrows = n;
	pfree(refs);
}

/* Brings the rows together by series, each series' rows in order. */
static Progress *
sort_rows(const MsBatch *batch)
{
	uint32	   *order = MemoryContextAllocHuge(CurrentMemoryContext,
											   sizeof(uint32) * ((Size) batch->nrows + 1));
	Progress   *progress = MemoryContextAllocHuge(CurrentMemoryContext,
												  sizeof(Progress) * (Size) batch->nseries);
	uint32	   *place = order;

	for (uint32 i = 0; i < batch->nseries; i++)
	{
		progress[i].order = place;
		progress[i].nrows = 0;
		progress[i].done = 0;
		progress[i].ahead = 0;
		place += batch->series[i].nrows;
	}
	for (uint32 r = 0; r < batch->nrows; r++)
	{
		Progress   *p = &progress[batch->row_series[r]];

		p->order[p->nrows++] = r;
	}
	for (uint32 i = 0; i < batch->nseries; i++)
	{
		if (batch->series[i].sorted)
			continue;
		CHECK_FOR_INTERRUPTS();
		sort_series(batch, &progress[i]);
	}
	return progress;
}

/* Makes room for n rows. */
static void
ensure_columns(Columns *c, int ncols, uint32 n)
{
	Size		bytes = ms_chunk_bound(n, ncols);

	if (n > c->cap)
	{
		c->cap = pg_nextpower2_32(Max(n, 64));
		if (c->rows.times)
			pfree(c->rows.times);
		c->rows.times = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * (Size) c->cap);
		for (int i = 0; i < ncols; i++)
		{
			if (c->rows.values[i])
			{
				pfree(c->rows.values[i]);
				pfree(c->nulls[i]);
			}
			c->rows.values[i] = MemoryContextAllocHuge(CurrentMemoryContext,
													   sizeof(double) * (Size) c->cap);
			c->nulls[i] = MemoryContextAllocHuge(CurrentMemoryContext, c->cap);
		}
	}
	if (bytes > c->bytes_cap)
	{
		if (c->bytes)
			pfree(c->bytes);
		c->bytes_cap = bytes;
		c->bytes = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	}
}

static void
init_columns(Columns *c, int ncols)
{
	memset(c, 0, sizeof(Columns));
	c->rows.ncols = ncols;
	c->rows.values = palloc0(sizeof(double *) * (ncols + 1));
	c->rows.nulls = palloc0(sizeof(bool *) * (ncols + 1));
	c->nulls = palloc0(sizeof(bool *) * (ncols + 1));
}

/* Turns rows from..to-1 of a series, in order, into columns. */
static void
fill_columns(const MsBatch *batch, const Progress *p, uint32 from, uint32 to, Columns *c)
{
	int			ncols = batch->nvalues;
	bool		any_null = false;

	ensure_columns(c, ncols, to - from);
	c->rows.nrows = to - from;
	for (uint32 n = from; n < to; n++)
	{
		char	   *row = ms_batch_row(batch, p->order[n]);
		const double *values = ms_row_values(batch, row);

		/* the rows of a series lie far apart */
		if (n + AHEAD < to)
		{
			const char *next = ms_batch_row(batch, p->order[n + AHEAD]);

			for (Size at = 0; at < batch->row_size + 63; at += 64)
				__builtin_prefetch(next + at);
		}
		c->rows.times[n - from] = ms_row_time(row);
		for (int v = 0; v < ncols; v++)
			c->rows.values[v][n - from] = values[v];
		for (Size w = 0; w < batch->null_size; w += sizeof(uint64))
			any_null |= *(const uint64 *) (row + sizeof(int64) + w) != 0;
	}

	for (int v = 0; v < ncols; v++)
	{
		bool		any = false;

		c->rows.nulls[v] = NULL;
		if (!any_null)
			continue;
		for (uint32 n = from; n < to; n++)
		{
			bool		isnull = ms_row_is_null(ms_batch_row(batch, p->order[n]), v);

			c->nulls[v][n - from] = isnull;
			any |= isnull;
		}
		if (any)
			c->rows.nulls[v] = c->nulls[v];
	}
}

/* The first row of from..to-1 at or after `end`; `to` if there is none. */
static uint32
rows_before(const MsBatch *batch, const Progress *p, uint32 from, uint32 to, int64 end)
{
	if (from == to || nth_time(batch, p, to - 1) < end)
		return to;
	while (from < to)
	{
		uint32		mid = from + (to - from) / 2;

		if (nth_time(batch, p, mid) < end)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* Encodes the rows of a series that fall before `end` as one piece. */
static void
make_piece(const MsBatch *batch, const MsBatchSeries *s, Progress *p, int64 end,
		   Columns *c, MemoryContext pieces_cxt, MsPieceInput *piece)
{
	MemoryContext old;
	MsLabelValue *labels;
	uint8	   *data;
	uint32		to;
	Size		len;

	to = rows_before(batch, p, p->done + 1, Min(p->nrows, p->done + MAX_PIECE_ROWS), end);
	fill_columns(batch, p, p->done, to, c);
	p->ahead = to;
	len = ms_chunk_encode(&c->rows, 0, c->rows.nrows, batch->kinds,
						  c->rows.nrows < OPEN_ROWS ? MS_CHUNK_OPEN : MS_CHUNK_SEALED,
						  c->bytes, ms_codec_work());
	Assert(len > 0 && len <= c->bytes_cap);

	old = MemoryContextSwitchTo(pieces_cxt);
	labels = palloc(sizeof(MsLabelValue) * (s->nlabels + 1));
	ms_batch_image_labels(s->image, s->image_len, labels);
	data = MemoryContextAllocHuge(pieces_cxt, len);
	memcpy(data, c->bytes, len);
	MemoryContextSwitchTo(old);

	piece->labels = labels;
	piece->nlabels = s->nlabels;
	piece->hash = ms_labels_hash(labels, s->nlabels);
	piece->kind = MS_PIECE_ROWS;
	piece->data = data;
	piece->len = len;
	piece->nrows = c->rows.nrows;
}

static void
fill_writer(const MsBatch *batch, uint64 order, MsRunWriter *writer)
{
	writer->xid = batch->xid;
	writer->cid = batch->cid;
	writer->txn = ms_txn_number();
	writer->order = order;
}

/* Hands one run to the store; false if the window moved and it must be made anew. */
static bool
write_run(MsBatch *batch, const MsRunWriter *writer, const MsRunInput *input)
{
	if (writer->order == MS_ORDER_PENDING)
		ms_txn_wrote(batch);
	if (ms_run_write(batch->table, writer, input, NameStr(batch->relname)) == MS_APPEND_MOVED)
		return false;
	ms_serial_check_write(batch->relid);
	return true;
}

/* The oldest time not yet written; false if there is none. */
static bool
oldest_left(const MsBatch *batch, const Progress *progress, int64 *time)
{
	bool		any = false;

	for (uint32 i = 0; i < batch->nseries; i++)
	{
		const Progress *p = &progress[i];

		if (p->done < p->nrows)
		{
			int64		t = nth_time(batch, p, p->done);

			if (!any || t < *time)
				*time = t;
			any = true;
		}
	}
	return any;
}

static void
flush_rows(MsBatch *batch, uint64 order)
{
	MemoryContext pieces_cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries pieces",
													 ALLOCSET_DEFAULT_SIZES);
	MsPieceInput *pieces = MemoryContextAllocHuge(CurrentMemoryContext,
												  sizeof(MsPieceInput) * (Size) batch->nseries);
	Progress   *progress = sort_rows(batch);
	MsRunWriter writer;
	MsRunInput	input;
	Columns		columns;
	int64		time = 0;

	fill_writer(batch, order, &writer);
	init_columns(&columns, batch->nvalues);

	while (oldest_left(batch, progress, &time))
	{
		input.npieces = 0;
		input.pieces = pieces;
		ms_window_bounds(batch->table, time, &input.start, &input.end);
		for (uint32 i = 0; i < batch->nseries; i++)
		{
			Progress   *p = &progress[i];

			p->ahead = p->done;
			if (p->done >= p->nrows ||
				nth_time(batch, p, p->done) >= input.end)
				continue;
			CHECK_FOR_INTERRUPTS();
			make_piece(batch, &batch->series[i], p, input.end, &columns, pieces_cxt,
					   &pieces[input.npieces++]);
		}
		if (write_run(batch, &writer, &input))
		{
			for (uint32 i = 0; i < batch->nseries; i++)
				progress[i].done = progress[i].ahead;
		}
		MemoryContextReset(pieces_cxt);
	}
}

static int
compare_chunks(const void *a, const void *b)
{
	int64		ta = ((const MsBatchChunk *) a)->tmin;
	int64		tb = ((const MsBatchChunk *) b)->tmin;

	return ta < tb ? -1 : ta > tb;
}

/* Chunks were split by window when they came; windows may have moved since. */
static void
flush_chunks(MsBatch *batch, uint64 order)
{
	MsPieceInput *pieces = MemoryContextAllocHuge(CurrentMemoryContext,
												  sizeof(MsPieceInput) * (Size) batch->nchunks);
	MsRunWriter writer;
	MsRunInput	input;
	uint32		done = 0;

	fill_writer(batch, order, &writer);
	qsort(batch->chunks, batch->nchunks, sizeof(MsBatchChunk), compare_chunks);
	while (done < batch->nchunks)
	{
		uint32		to;

		CHECK_FOR_INTERRUPTS();
		input.npieces = 0;
		input.pieces = pieces;
		ms_window_bounds(batch->table, batch->chunks[done].tmin, &input.start, &input.end);
		for (to = done; to < batch->nchunks && batch->chunks[to].tmin < input.end; to++)
		{
			const MsBatchChunk *chunk = &batch->chunks[to];
			MsPieceInput *piece = &pieces[input.npieces++];

			piece->labels = chunk->labels;
			piece->nlabels = chunk->nlabels;
			piece->hash = chunk->hash;
			piece->kind = MS_PIECE_ROWS;
			piece->data = chunk->bytes;
			piece->len = chunk->len;
			piece->nrows = chunk->nrows;
		}
		if (write_run(batch, &writer, &input))
			done = to;
	}
}

/*
 * Writes what a batch holds as runs of this order number (MS_ORDER_PENDING until
 * the transaction is about to commit), and empties it.  May raise errors; the
 * batch is then as it was.
 */
void
ms_batch_flush(MsBatch *batch, uint64 order)
{
	MemoryContext cxt;
	MemoryContext old;

	if (batch->nrows == 0 && batch->nchunks == 0)
		return;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries flush",
								ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	if (batch->nrows > 0)
		flush_rows(batch, order);
	if (batch->nchunks > 0)
		flush_chunks(batch, order);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	ms_batch_reset(batch);
}
