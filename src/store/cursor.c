/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Reading: the rows of a table, series by series, window by window.
 *
 * A cursor copies before it decodes.  Under one shared hold of table->lock it
 * takes the bytes of chunks and visible pieces of the series it stands on, for
 * as many windows as fit its buffer; decoding and merging happen afterwards,
 * when writers and the keeper may go on.  Copying costs a fraction of decoding
 * and makes the question of how long memory must stay where it is vanish.
 *
 * What is copied for one (series, window) is consistent: a fold moves rows
 * from pieces to the chunk under the exclusive lock, so they are seen in
 * exactly one of the two.  Between windows, and between series, nothing more
 * is needed: whether a row is visible depends on the snapshot alone, and the
 * keeper folds only what every snapshot sees.
 *
 * Windows are found again by time after the lock was given up, so windows that
 * come or go meanwhile are no concern.  A series id may be given to another
 * series meanwhile; its generation tells.  The rows of that other one cannot
 * be visible to our snapshot, since they were written after it was taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/cursor.h"
#include "store/rowbuf.h"

#define COPY_TARGET		(256 * 1024)	/* bytes copied under one lock, more
										 * only for a single window */

#define PREFETCH_WINDOWS	8

/* The bytes of one (series, window), in the cursor's buffer. */
typedef struct Fragment
{
	int64		start;			/* the window's */
	int64		end;
	Size		chunk_at;
	uint32		chunk_len;		/* 0: no chunk */
	bool		total;			/* its totals instead */
	int			first_piece;
	int			npieces;
} Fragment;

struct MsCursor
{
	MemoryContext cxt;			/* holds all of this */
	MsTable    *table;			/* borrowed */
	Snapshot	snapshot;		/* borrowed */
	int64		lo;
	int64		hi;
	bool		count_skipped;
	bool		backward;
	bool		lazy;			/* leave it to the reader to walk over blocks */
	MsTotalsDo	totals_do;		/* NULL: no */
	void	   *totals_arg;
	bool		last;			/* of chunks only the last row... */
	bool		whole;			/* ...but of this series all */
	int			nvalues;
	bool	   *need;			/* [nvalues] */
	MsMissing  *missing;		/* [nvalues] */

	/* the series */
	uint32		sid;
	uint32		generation;		/* of the series; 0: there is none */
	int64		resume;			/* windows that end above this are to come;
								 * backward, those that start below it */
	int			ahead;			/* backward: how many to copy at a time */
	bool		exhausted;		/* no windows are to come */

	/* what was copied */
	char	   *bytes;
	Size		bytes_used;
	Size		bytes_cap;
	Fragment   *fragments;
	int			nfragments;
	int			fragments_cap;
	int			next_fragment;
	MsPieceBytes *pieces;		/* data: an offset into bytes until next() */
	int			npieces;
	int			pieces_cap;

	/* labels */
	MsLabelValue *labels;
	int			labels_cap;
	char	   *label_bytes;
	Size		label_bytes_cap;

	MsRowBuf	base;
	MsRowBuf	late;
	MsRowBuf	scratch;
	MsCodecWork *work;
	MsCursorStats stats;
};

/* What stands for the values of columns that stored rows do not have. */
static void
get_missing(MsCursor *cursor)
{
	MsSlot	   *slots = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	int			nslots = ms_table_get_slots(cursor->table, slots, MS_MAX_SLOTS);
	int			ordinal = 0;

	for (int i = 0; i < cursor->nvalues; i++)
		cursor->missing[i].isnull = true;
	for (int i = 0; i < nslots && ordinal < cursor->nvalues; i++)
	{
		if (slots[i].role != MS_ROLE_VALUE)
			continue;
		cursor->missing[ordinal].isnull = !slots[i].has_missing;
		cursor->missing[ordinal].value = slots[i].missing;
		ordinal++;
	}
	pfree(slots);
}

/* See cursor.h. */
MsCursor *
ms_cursor_open(MsTable *table, Snapshot snapshot, int64 lo, int64 hi,
			   const bool *need, int nvalues)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "memseries cursor",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	MsCursor   *cursor = palloc0(sizeof(MsCursor));

	cursor->cxt = cxt;
	cursor->table = table;
	cursor->snapshot = snapshot;
	cursor->lo = lo;
	cursor->hi = hi;
	cursor->nvalues = nvalues;
	cursor->need = palloc(sizeof(bool) * Max(nvalues, 1));
	for (int i = 0; i < nvalues; i++)
		cursor->need[i] = need == NULL || need[i];
	cursor->missing = palloc0(sizeof(MsMissing) * Max(nvalues, 1));
	get_missing(cursor);

	cursor->exhausted = true;
	cursor->bytes_cap = COPY_TARGET;
	cursor->bytes = palloc(cursor->bytes_cap);
	cursor->fragments_cap = 16;
	cursor->fragments = palloc(sizeof(Fragment) * cursor->fragments_cap);
	cursor->pieces_cap = 64;
	cursor->pieces = palloc(sizeof(MsPieceBytes) * cursor->pieces_cap);
	ms_rowbuf_init(&cursor->base, cxt, nvalues, cursor->need, cursor->missing);
	ms_rowbuf_init(&cursor->late, cxt, nvalues, cursor->need, cursor->missing);
	ms_rowbuf_init(&cursor->scratch, cxt, nvalues, cursor->need, cursor->missing);
	cursor->work = (MsCodecWork *) TYPEALIGN(64, palloc(ms_codec_work_size() + 64));
	MemoryContextSwitchTo(old);
	return cursor;
}

void
ms_cursor_set_range(MsCursor *cursor, int64 lo, int64 hi)
{
	cursor->lo = lo;
	cursor->hi = hi;
	cursor->exhausted = true;
	cursor->nfragments = cursor->next_fragment = 0;
}

void
ms_cursor_count_skipped(MsCursor *cursor, bool count)
{
	cursor->count_skipped = count;
}

void
ms_cursor_close(MsCursor *cursor)
{
	MemoryContextDelete(cursor->cxt);
}

void
ms_cursor_set_backward(MsCursor *cursor, bool backward)
{
	cursor->backward = backward;
	cursor->exhausted = true;
	cursor->nfragments = cursor->next_fragment = 0;
}

void
ms_cursor_set_totals(MsCursor *cursor, MsTotalsDo totals_do, void *arg)
{
	cursor->totals_do = totals_do;
	cursor->totals_arg = arg;
}

void
ms_cursor_set_last(MsCursor *cursor, bool last)
{
	cursor->last = last;
}

void
ms_cursor_set_lazy(MsCursor *cursor, bool lazy)
{
	cursor->lazy = lazy;
}

MsCodecWork *
ms_cursor_work(MsCursor *cursor)
{
	return cursor->work;
}

/* See cursor.h. */
bool
ms_cursor_missing(MsCursor *cursor, int ordinal, double *value)
{
	*value = cursor->missing[ordinal].value;
	return !cursor->missing[ordinal].isnull;
}

MsCursorStats *
ms_cursor_stats(MsCursor *cursor)
{
	return &cursor->stats;
}

uint32
ms_cursor_series_limit(MsCursor *cursor)
{
	uint32		limit;

	ms_lock_shared(cursor->table->lock, MS_RANK_TABLE);
	limit = ms_series_limit(&cursor->table->series);
	ms_unlock(cursor->table->lock);
	return limit;
}

/* Room for n labels and their bytes. */
static void
reserve_labels(MsCursor *cursor, int n, Size bytes)
{
	if (n > cursor->labels_cap)
	{
		cursor->labels_cap = Max(n, 16);
		cursor->labels = MemoryContextAlloc(cursor->cxt,
											sizeof(MsLabelValue) * cursor->labels_cap);
	}
	if (bytes > cursor->label_bytes_cap)
	{
		cursor->label_bytes_cap = Max(bytes * 2, 1024);
		cursor->label_bytes = MemoryContextAlloc(cursor->cxt, cursor->label_bytes_cap);
	}
}

/* See cursor.h.  Takes table->lock shared. */
bool
ms_cursor_labels(MsCursor *cursor, uint32 sid, const MsLabelValue **labels, int *nlabels)
{
	MsTable    *table = cursor->table;
	Size		total = 0;
	char	   *p;
	int			n;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (!ms_series_is_live(ms_store->arena, &table->series, sid) ||
		(sid == cursor->sid && cursor->generation != 0 &&
		 ms_series_generation(ms_store->arena, &table->series, sid) != cursor->generation))
	{
		ms_unlock(table->lock);
		return false;
	}
	reserve_labels(cursor, table->nlabels, 0);
	n = ms_series_labels(ms_store->arena, &table->series, sid, cursor->labels,
						 cursor->labels_cap);
	for (int i = 0; i < n; i++)
		total += cursor->labels[i].isnull ? 0 : MAXALIGN(cursor->labels[i].len);
	reserve_labels(cursor, 0, total);
	p = cursor->label_bytes;
	for (int i = 0; i < n; i++)
	{
		MsLabelValue *label = &cursor->labels[i];

		if (label->isnull)
			continue;
		memcpy(p, label->bytes, label->len);
		label->bytes = (uint8 *) p;
		p += MAXALIGN(label->len);
	}
	ms_unlock(table->lock);
	*labels = cursor->labels;
	*nlabels = n;
	return true;
}

/* Room for len bytes at the end of the cursor's buffer; returns its offset. */
static Size
reserve_bytes(MsCursor *cursor, Size len)
{
	Size		at = cursor->bytes_used;

	if (at + len > cursor->bytes_cap)
	{
		cursor->bytes_cap = Max(cursor->bytes_cap * 2, at + len);
		cursor->bytes = repalloc_huge(cursor->bytes, cursor->bytes_cap);
	}
	cursor->bytes_used = at + MAXALIGN(len);
	return at;
}

static void
copy_piece(MsCursor *cursor, const MsPiece *piece, const MsRun *run)
{
	MsPieceBytes *copy;
	Size		at;

	if (cursor->npieces == cursor->pieces_cap)
	{
		cursor->pieces_cap *= 2;
		cursor->pieces = repalloc_huge(cursor->pieces,
									   sizeof(MsPieceBytes) * cursor->pieces_cap);
	}
	copy = &cursor->pieces[cursor->npieces++];
	copy->order = run->order;
	copy->seq = run->seq;
	copy->kind = piece->kind;
	copy->len = piece->len;
	at = reserve_bytes(cursor, piece->len);
	memcpy(cursor->bytes + at, piece->data, piece->len);
	copy->data = (const uint8 *) at;
}

/* Will these totals do instead of their chunk? */
static bool
totals_do(const MsCursor *cursor, const MsTotals *totals)
{
	if (totals->ncols != cursor->nvalues || totals->tmax >= cursor->hi)
		return false;
	if (cursor->last)
		return !cursor->whole && totals->last_len > 0 && totals->tmax >= cursor->lo;
	return totals->tmin >= cursor->lo &&
		cursor->totals_do(cursor->totals_arg, totals->tmin, totals->tmax);
}

/* If the totals of an entry's chunk will do, copies them instead of it.  Caller holds table->lock. */
static bool
copy_totals(MsCursor *cursor, const MsEntry *entry, Fragment *fragment)
{
	const MsStored *stored = ms_ptr(ms_store->arena, entry->chunk);
	Size		len = ms_stored_totals_size(stored);
	MsTotals	totals;

	if ((cursor->totals_do == NULL && !cursor->last) || len == 0 || entry->pieces != 0 ||
		!ms_totals_open(&totals, stored->body, len) ||
		!totals_do(cursor, &totals))
		return false;
	fragment->chunk_at = reserve_bytes(cursor, len);
	fragment->chunk_len = len;
	fragment->total = true;
	memcpy(cursor->bytes + fragment->chunk_at, stored->body, len);
	return true;
}

/* Copies what one window holds of the series.  Caller holds table->lock. */
static void
copy_window(MsCursor *cursor, const MsWindow *window)
{
	MsArena    *arena = ms_store->arena;
	MsEntry    *entry = ms_entry_locked(window, cursor->sid);
	Fragment	fragment = {0};

	if (entry == NULL || (entry->chunk == 0 && entry->pieces == 0))
		return;
	fragment.start = window->start;
	fragment.end = window->end;
	if (entry->chunk != 0 && copy_totals(cursor, entry, &fragment))
		 /* nothing else is needed */ ;
	else if (entry->chunk != 0)
	{
		MsStored   *stored = ms_ptr(arena, entry->chunk);

		fragment.chunk_at = reserve_bytes(cursor, stored->len);
		fragment.chunk_len = stored->len;
		ms_chunk_copy((uint8 *) cursor->bytes + fragment.chunk_at, ms_stored_chunk(stored), stored->len,
					  stored->nrows, cursor->need, cursor->nvalues, cursor->lo, cursor->hi);
	}
	fragment.first_piece = cursor->npieces;
	for (MsRef ref = entry->pieces; ref != 0;)
	{
		MsPiece    *piece = ms_ptr(arena, ref);
		MsRun	   *run = ms_ptr(arena, piece->run);

		if (ms_run_visible(run, cursor->snapshot))
			copy_piece(cursor, piece, run);
		ref = piece->next;
	}
	fragment.npieces = cursor->npieces - fragment.first_piece;
	if (fragment.chunk_len == 0 && fragment.npieces == 0)
		return;

	if (cursor->nfragments == cursor->fragments_cap)
	{
		cursor->fragments_cap *= 2;
		cursor->fragments = repalloc(cursor->fragments,
									 sizeof(Fragment) * cursor->fragments_cap);
	}
	cursor->fragments[cursor->nfragments++] = fragment;
}

/* Counts chunks of the series outside the time range.  Caller holds table->lock. */
static void
count_skipped(MsCursor *cursor)
{
	const MsTable *table = cursor->table;

	for (int i = 0; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);
		MsEntry    *entry;

		if (window->end > cursor->lo && window->start < cursor->hi)
			continue;
		entry = ms_entry_locked(window, cursor->sid);
		if (entry != NULL && entry->chunk != 0)
		{
			MsStored   *stored = ms_ptr(ms_store->arena, entry->chunk);

			cursor->stats.chunks_skipped++;
			cursor->stats.samples_skipped += stored->nrows;
		}
	}
}

/* Lets the processor fetch the beginning of a chunk, or its totals, if it can be that these will do. */
static inline void
prefetch_chunk(const MsCursor *cursor, const MsEntry *entry)
{
	const char *stored = ms_ptr(ms_store->arena, entry->chunk);

	if (entry->chunk == 0)
		return;
	__builtin_prefetch(stored);
	__builtin_prefetch(stored + 64);
	if (cursor->totals_do != NULL || cursor->last)
		__builtin_prefetch(stored + 128);
}

/*
 * The chunks to be copied lie far apart: let the processor fetch their
 * beginnings at the same time.  Caller holds table->lock.
 */
static void
prefetch_chunks(MsCursor *cursor, int first)
{
	const MsTable *table = cursor->table;
	MsEntry    *entries[PREFETCH_WINDOWS];
	int			n = 0;

	for (int i = first; i < table->nwindows && n < PREFETCH_WINDOWS; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->start >= cursor->hi)
			break;
		entries[n] = ms_entry_locked(window, cursor->sid);
		if (entries[n] != NULL)
			__builtin_prefetch(entries[n++]);
	}
	for (int i = 0; i < n; i++)
		prefetch_chunk(cursor, entries[i]);
}

/* The last window that starts below t; -1 if there is none.  Caller holds table->lock. */
static int
last_window_below(const MsTable *table, int64 t)
{
	int			i;

	if (t == PG_INT64_MIN)
		return -1;
	i = ms_window_search_locked(table, t - 1);
	if (i == table->nwindows || ms_window_at(table, i)->start >= t)
		i--;
	return i;
}

/*
 * Copies earlier windows of the series.  Whoever reads backward mostly stops
 * soon, so few are copied at first.  Caller holds table->lock.
 */
static void
copy_windows_backward(MsCursor *cursor)
{
	const MsTable *table = cursor->table;

	for (int i = last_window_below(table, cursor->resume); i >= 0; i--)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->end <= cursor->lo)
			break;
		if (cursor->bytes_used >= COPY_TARGET || cursor->nfragments >= cursor->ahead)
		{
			cursor->ahead *= 2;
			return;
		}
		copy_window(cursor, window);
		cursor->resume = window->start;
	}
	cursor->exhausted = true;
}

/* Copies the next windows of the series.  Caller holds table->lock. */
static void
copy_windows(MsCursor *cursor)
{
	const MsTable *table = cursor->table;
	int			first;

	cursor->bytes_used = 0;
	cursor->npieces = cursor->nfragments = cursor->next_fragment = 0;
	if (cursor->backward)
	{
		copy_windows_backward(cursor);
		return;
	}
	first = ms_window_search_locked(table, cursor->resume);
	prefetch_chunks(cursor, first);
	for (int i = first; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->start >= cursor->hi)
			break;
		if (cursor->bytes_used >= COPY_TARGET)
			return;
		copy_window(cursor, window);
		cursor->resume = window->end;
	}
	cursor->exhausted = true;
}

/* See cursor.h.  Takes table->lock shared. */
void
ms_cursor_touch(MsCursor *cursor, const uint32 *sids, int n)
{
	MsTable    *table = cursor->table;
	int			last;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	last = last_window_below(table, cursor->hi);
	for (int i = 0; i < n && last >= 0; i++)
	{
		MsEntry    *entry = ms_entry_locked(ms_window_at(table, last), sids[i]);

		if (entry != NULL && entry->chunk != 0)
		{
			const volatile MsStored *stored = ms_ptr(ms_store->arena, entry->chunk);

			(void) stored->len;
			(void) stored->body[64];
		}
	}
	ms_unlock(table->lock);
}

/* See cursor.h.  Takes table->lock shared. */
bool
ms_cursor_seek(MsCursor *cursor, uint32 sid)
{
	MsTable    *table = cursor->table;
	bool		live;

	cursor->sid = sid;
	cursor->generation = 0;
	cursor->resume = cursor->backward ? cursor->hi : cursor->lo;
	cursor->ahead = 1;
	cursor->whole = false;
	cursor->exhausted = cursor->lo >= cursor->hi;
	cursor->nfragments = cursor->next_fragment = 0;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	live = ms_series_is_live(ms_store->arena, &table->series, sid);
	if (live)
	{
		cursor->generation = ms_series_generation(ms_store->arena, &table->series, sid);
		cursor->stats.series++;
		if (cursor->count_skipped)
			count_skipped(cursor);
		if (!cursor->exhausted)
			copy_windows(cursor);
	}
	else
		cursor->exhausted = true;
	ms_unlock(table->lock);
	return live;
}

/* Copies more windows of the series; false if there are no more. */
static bool
copy_more(MsCursor *cursor)
{
	MsTable    *table = cursor->table;

	if (cursor->exhausted)
		return false;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (ms_series_is_live(ms_store->arena, &table->series, cursor->sid) &&
		ms_series_generation(ms_store->arena, &table->series, cursor->sid) == cursor->generation)
		copy_windows(cursor);
	else
	{
		cursor->nfragments = cursor->next_fragment = 0;
		cursor->exhausted = true;
	}
	ms_unlock(table->lock);
	return true;
}

/* See cursor.h. */
void
ms_cursor_damaged(MsCursor *cursor)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("memseries chunk is damaged"),
			 errdetail("Series %u of the storage %u/%u/%u.", cursor->sid,
					   cursor->table->key.spc, cursor->table->key.db, cursor->table->key.rel)));
}

/* Decodes and merges one fragment into cursor->base. */
static void
decode_fragment(MsCursor *cursor, const Fragment *fragment)
{
	MsPieceBytes *pieces = cursor->pieces + fragment->first_piece;
	MsBlockCounts counts = {0};
	bool		ok = true;

	ms_rowbuf_reset(&cursor->base);
	ms_rowbuf_reset(&cursor->late);
	if (fragment->total)
	{
		MsTotals	totals;

		if (!ms_totals_open(&totals, (const uint8 *) cursor->bytes + fragment->chunk_at,
							fragment->chunk_len) ||
			!ms_rowbuf_add_last(&cursor->base, &totals))
			ms_cursor_damaged(cursor);
		return;
	}
	for (int i = 0; i < fragment->npieces; i++)
		pieces[i].data = (const uint8 *) cursor->bytes + (Size) pieces[i].data;
	if (fragment->chunk_len > 0)
		ok = ms_rowbuf_add_chunk(&cursor->base,
								 (const uint8 *) cursor->bytes + fragment->chunk_at,
								 fragment->chunk_len, cursor->lo, cursor->hi,
								 cursor->work, &counts);
	if (ok && fragment->npieces > 0)
	{
		ms_pieces_sort(pieces, fragment->npieces);
		ok = ms_rowbuf_apply(&cursor->base, &cursor->late, &cursor->scratch,
							 pieces, fragment->npieces, cursor->lo, cursor->hi,
							 cursor->work, &counts);
		cursor->stats.pieces_read += fragment->npieces;
	}
	if (!ok)
		ms_cursor_damaged(cursor);
	cursor->stats.blocks_read += counts.blocks_read;
	cursor->stats.blocks_skipped += counts.blocks_skipped;
	cursor->stats.samples_skipped += counts.rows_skipped;
}

/* Goes to the next fragment; NULL at the end. */
static const Fragment *
next_fragment(MsCursor *cursor)
{
	const Fragment *fragment;

	CHECK_FOR_INTERRUPTS();
	while (cursor->next_fragment >= cursor->nfragments)
	{
		if (!copy_more(cursor))
			return NULL;
	}
	fragment = &cursor->fragments[cursor->next_fragment++];
	if (fragment->chunk_len > 0)
		cursor->stats.chunks_read++;
	return fragment;
}

/* See cursor.h. */
bool
ms_cursor_next_part(MsCursor *cursor, MsPart *part)
{
	const Fragment *fragment = next_fragment(cursor);

	if (fragment == NULL)
		return false;
	part->start = fragment->start;
	part->end = fragment->end;
	part->last = fragment->total && cursor->last;
	part->total = fragment->total && !cursor->last;
	part->plain = fragment->npieces == 0 && !part->last;
	cursor->stats.chunks_summarized += fragment->total;
	if (part->total)
	{
		const uint8 *bytes = (const uint8 *) cursor->bytes + fragment->chunk_at;

		if (!ms_totals_open(&part->totals, bytes, fragment->chunk_len))
			ms_cursor_damaged(cursor);
	}
	else if (part->plain)
	{
		const uint8 *bytes = (const uint8 *) cursor->bytes + fragment->chunk_at;

		if (!(cursor->lazy ? ms_chunk_open_header(&part->chunk, bytes, fragment->chunk_len) :
			  ms_chunk_open(&part->chunk, bytes, fragment->chunk_len)))
			ms_cursor_damaged(cursor);
	}
	return true;
}

/* See cursor.h. */
bool
ms_cursor_part_again(MsCursor *cursor, MsPart *part)
{
	cursor->stats.chunks_read--;
	cursor->stats.chunks_summarized -= part->last;
	cursor->whole = true;
	cursor->resume = cursor->backward ? part->end : part->start;
	cursor->ahead = 1;
	cursor->exhausted = false;
	cursor->nfragments = cursor->next_fragment = 0;
	return ms_cursor_next_part(cursor, part);
}

/* See cursor.h. */
bool
ms_cursor_part_rows(MsCursor *cursor, MsRows *rows)
{
	Assert(cursor->next_fragment > 0);
	decode_fragment(cursor, &cursor->fragments[cursor->next_fragment - 1]);
	if (cursor->base.nrows == 0)
		return false;
	ms_rowbuf_view(&cursor->base, rows);
	cursor->stats.samples_read += rows->nrows;
	return true;
}

/* See cursor.h. */
bool
ms_cursor_next(MsCursor *cursor, MsRows *rows)
{
	while (next_fragment(cursor) != NULL)
	{
		if (ms_cursor_part_rows(cursor, rows))
			return true;
	}
	return false;
}
