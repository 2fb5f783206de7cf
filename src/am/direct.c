/*-------------------------------------------------------------------------
 *
 * direct.c
 *	  Writes that are not rows: deletions, and chunks taken over whole.
 *
 * A deletion is a run like any other, whose pieces say that a range of times of
 * a series is gone.  It concerns what the command's snapshot shows, as DELETE
 * does: series and windows in which it shows no rows get no piece.  What the
 * transaction itself wrote before is flushed first, so that it lies below.
 *
 * Chunks come from memseries.load_table, already encoded.  One that lies in a
 * single window is collected as it is, to go with others into one run per
 * window; one that crosses an edge, because the tables' windows differ, is
 * decoded and its rows are treated like inserted ones.
 *
 * Locks: none held; the caller has the relation locked against its going away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "am/batch.h"
#include "am/serial.h"
#include "store/cursor.h"

/* ---- deletions ---- */

/* What is to be deleted in one window. */
typedef struct Doomed
{
	int64		start;
	int64		end;
	int64		range[2];
	MsPieceInput *pieces;
	int			npieces;
	int			cap;
} Doomed;

typedef struct Deletion
{
	MsTable    *table;			/* borrowed */
	int64		from;
	int64		to;
	ms_series_filter wanted;
	void	   *arg;

	Doomed	   *windows;		/* by start */
	int			nwindows;
	int			cap;
} Deletion;

/* The window that starts there, added if need be. */
static Doomed *
doomed_window(Deletion *del, int64 start, int64 end)
{
	int			lo = 0;
	int			hi = del->nwindows;
	Doomed	   *w;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (del->windows[mid].start < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < del->nwindows && del->windows[lo].start == start)
		return &del->windows[lo];

	if (del->nwindows == del->cap)
	{
		del->cap = Max(16, del->cap * 2);
		del->windows = del->windows ?
			repalloc(del->windows, sizeof(Doomed) * del->cap) :
			palloc(sizeof(Doomed) * del->cap);
	}
	w = &del->windows[lo];
	memmove(w + 1, w, sizeof(Doomed) * (del->nwindows - lo));
	del->nwindows++;
	memset(w, 0, sizeof(Doomed));
	w->start = start;
	w->end = end;
	w->range[0] = Max(start, del->from);
	w->range[1] = Min(end, del->to);
	return w;
}

static MsLabelValue *
copy_labels(const MsLabelValue *labels, int nlabels)
{
	MsLabelValue *copy = palloc(sizeof(MsLabelValue) * (nlabels + 1));

	for (int i = 0; i < nlabels; i++)
	{
		uint8	   *bytes = palloc(labels[i].len + 1);

		if (labels[i].len > 0)
			memcpy(bytes, labels[i].bytes, labels[i].len);
		copy[i] = labels[i];
		copy[i].bytes = bytes;
	}
	return copy;
}

static void
add_piece(Doomed *w, const MsLabelValue *labels, int nlabels)
{
	MsPieceInput *piece;

	if (w->npieces == w->cap)
	{
		w->cap = Max(16, w->cap * 2);
		w->pieces = w->pieces ?
			repalloc_huge(w->pieces, sizeof(MsPieceInput) * (Size) w->cap) :
			palloc(sizeof(MsPieceInput) * w->cap);
	}
	piece = &w->pieces[w->npieces++];
	piece->labels = labels;
	piece->nlabels = nlabels;
	piece->hash = ms_labels_hash(labels, nlabels);
	piece->kind = MS_PIECE_DELETE;
	piece->data = NULL;			/* set when the array of windows moves no more */
	piece->len = sizeof(int64) * 2;
	piece->nrows = 0;
}

/*
 * Adds a piece for each window of the series the cursor stands on that has rows;
 * true if there is any.  The labels must live as long as the pieces.
 */
static bool
collect_series(Deletion *del, MsCursor *cursor, const MsLabelValue *labels, int nlabels)
{
	MsRows		rows;
	bool		any = false;
	int64		last_start = 0;

	while (ms_cursor_next(cursor, &rows))
	{
		int64		start;
		int64		end;

		ms_window_bounds(del->table, rows.times[0], &start, &end);
		if (any && start == last_start)
			continue;			/* a large window may come in parts */
		add_piece(doomed_window(del, start, end), labels, nlabels);
		last_start = start;
		any = true;
	}
	return any;
}

/* Collects windows and series that have rows to delete; returns the number of series. */
static uint64
collect_deletions(Deletion *del)
{
	MsCursor   *cursor = ms_cursor_open(del->table, GetActiveSnapshot(),
										del->from, del->to, NULL, 0);
	uint32		limit = ms_cursor_series_limit(cursor);
	uint64		affected = 0;

	for (uint32 sid = 0; sid < limit; sid++)
	{
		const MsLabelValue *labels;
		int			nlabels;

		CHECK_FOR_INTERRUPTS();
		if (!ms_cursor_labels(cursor, sid, &labels, &nlabels) ||
			!del->wanted(del->arg, sid, labels, nlabels) ||
			!ms_cursor_labels(cursor, sid, &labels, &nlabels))
			continue;
		labels = copy_labels(labels, nlabels);
		if (ms_cursor_seek(cursor, sid) &&
			collect_series(del, cursor, labels, nlabels))
			affected++;
	}
	ms_cursor_close(cursor);
	return affected;
}

/* Writes the collected deletions, one run a window; false if a window moved meanwhile. */
static bool
write_deletions(Deletion *del, MsBatch *batch, CommandId cid)
{
	MsRunWriter writer;

	writer.xid = batch->xid;
	writer.cid = cid;
	writer.txn = ms_txn_number();
	writer.order = MS_ORDER_PENDING;
	for (int i = 0; i < del->nwindows; i++)
	{
		Doomed	   *w = &del->windows[i];
		MsRunInput	input;

		for (int j = 0; j < w->npieces; j++)
			w->pieces[j].data = (const uint8 *) w->range;
		input.start = w->start;
		input.end = w->end;
		input.npieces = w->npieces;
		input.pieces = w->pieces;
		ms_txn_wrote(batch);
		if (ms_run_write(batch->table, &writer, &input, NameStr(batch->relname)) == MS_APPEND_MOVED)
			return false;
		ms_serial_check_write(batch->relid);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

uint64
ms_write_delete(Relation rel, int64 from, int64 to, ms_series_filter wanted,
				void *arg, CommandId cid)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries delete",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	uint64		affected;
	bool		done;

	ms_begin_read(rel, GetActiveSnapshot());
	do
	{
		MsBatch    *batch = ms_batch_for(rel, cid);
		Deletion	del;

		memset(&del, 0, sizeof(del));
		del.table = batch->table;
		del.from = from;
		del.to = to;
		del.wanted = wanted;
		del.arg = arg;
		affected = collect_deletions(&del);

		/* the filter may have run anything; what it wrote lies below, too */
		batch = ms_batch_for(rel, cid);
		ms_write_flush(&batch->key);
		done = write_deletions(&del, batch, cid);
		MemoryContextReset(cxt);
	} while (!done);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return affected;
}

/* ---- chunks ---- */

/* Takes the rows of a chunk that does not lie in one window. */
static void
take_rows(MsBatch *batch, const MsChunk *chunk, const MsLabelValue *labels, int nlabels)
{
	int			ncols = Min(chunk->ncols, batch->nvalues);
	MsRows		rows;
	double	   *values = palloc0(sizeof(double) * (batch->nvalues + 1));
	bool	   *nulls = palloc(sizeof(bool) * (batch->nvalues + 1));
	uint32		series = ms_batch_series(batch, labels, nlabels);

	rows.times = palloc_extended(sizeof(int64) * chunk->nrows, MCXT_ALLOC_HUGE);
	rows.values = palloc(sizeof(double *) * (chunk->ncols + 1));
	rows.nulls = palloc(sizeof(bool *) * (chunk->ncols + 1));
	for (int i = 0; i < chunk->ncols; i++)
	{
		rows.values[i] = palloc_extended(sizeof(double) * chunk->nrows, MCXT_ALLOC_HUGE);
		rows.nulls[i] = palloc_extended(chunk->nrows, MCXT_ALLOC_HUGE);
	}
	rows.nrows = chunk->nrows;
	rows.ncols = chunk->ncols;
	if (!ms_chunk_decode(chunk, NULL, &rows, ms_codec_work()))
		elog(ERROR, "chunk is malformed");

	for (int r = 0; r < chunk->nrows; r++)
	{
		if (!ms_batch_accepts(batch, rows.times[r], 1))
			continue;
		for (int v = 0; v < batch->nvalues; v++)
		{
			nulls[v] = v >= ncols ||
				(rows.nulls && rows.nulls[v] && rows.nulls[v][r]);
			if (!nulls[v])
				values[v] = rows.values[v][r];
		}
		ms_batch_append(batch, series, rows.times[r], values, nulls);
	}
}

/* Takes a chunk that lies in one window as it is. */
static void
take_chunk(MsBatch *batch, const MsLabelValue *labels, int nlabels,
		   const uint8 *bytes, uint32 len, uint32 nrows, int64 tmin)
{
	MemoryContext old = MemoryContextSwitchTo(batch->rows_cxt);
	MsBatchChunk *chunk;

	if (batch->nchunks == batch->chunks_cap)
	{
		uint32		cap = Max(64, batch->chunks_cap * 2);
		Size		size = sizeof(MsBatchChunk) * (Size) cap;

		batch->chunks = batch->chunks ? repalloc_huge(batch->chunks, size) :
			MemoryContextAllocHuge(batch->rows_cxt, size);
		batch->memory += size - sizeof(MsBatchChunk) * (Size) batch->chunks_cap;
		batch->chunks_cap = cap;
	}
	chunk = &batch->chunks[batch->nchunks];
	chunk->nlabels = ms_labels_strip(batch, labels, nlabels);
	chunk->labels = copy_labels(labels, chunk->nlabels);
	chunk->hash = ms_labels_hash(chunk->labels, chunk->nlabels);
	chunk->bytes = palloc_extended(len, MCXT_ALLOC_HUGE);
	memcpy(chunk->bytes, bytes, len);
	chunk->len = len;
	chunk->nrows = nrows;
	chunk->tmin = tmin;
	batch->memory += len + (sizeof(MsLabelValue) + 32) * chunk->nlabels;
	batch->nchunks++;
	MemoryContextSwitchTo(old);
}

void
ms_write_chunk(Relation rel, const MsLabelValue *labels, int nlabels,
			   const uint8 *bytes, uint32 len, uint32 nrows, int64 tmin,
			   int64 tmax, CommandId cid)
{
	MsBatch    *batch = ms_batch_for(rel, cid);
	int64		start;
	int64		end;

	ms_window_bounds(batch->table, tmin, &start, &end);
	if (tmax < end)
	{
		if (batch->nrows > 0)
			ms_write_flush(&batch->key);
		if (!ms_batch_accepts(batch, tmin, nrows) ||
			!ms_batch_accepts(batch, tmax, nrows))
			return;
		take_chunk(batch, labels, nlabels, bytes, len, nrows, tmin);
	}
	else
	{
		MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries chunk",
												  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(cxt);
		MsChunk		chunk;

		if (batch->nchunks > 0)
			ms_write_flush(&batch->key);
		if (!ms_chunk_open(&chunk, bytes, len))
			elog(ERROR, "chunk is malformed");
		take_rows(batch, &chunk, labels, nlabels);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
	}
	pgstat_count_heap_insert(rel, nrows);
	ms_batch_check_memory();
}
