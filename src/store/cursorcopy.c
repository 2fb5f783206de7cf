/*-------------------------------------------------------------------------
 *
 * cursorcopy.c
 *	  What a cursor does under the lock: it copies.
 *
 * It copies as many windows of a series as fit its buffer; of a series that is
 * expected it may have been done before it is sought (cursorgroup.c).
 *
 * Locks: table->lock, shared, taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/cursorpriv.h"

#define SPARE_BYTES			(1024 * 1024)	/* a larger buffer is not kept */
#define PREFETCH_WINDOWS	8

/* ---- windows ---- */

/* A buffer of a cursor that is closed, for the next one, in TopMemoryContext. */
static char *spare_bytes = NULL;
static Size spare_cap = 0;

/*
 * Makes the cursor's buffer that large, or larger.  Moving what it does not hold would touch memory that is never
 * used, of which the operating system has to clear every page first.
 */
static void
grow_bytes(MsCursor *cursor, Size size)
{
	Size		cap = Max(Max(cursor->bytes_cap * 2, MS_CURSOR_COPY), size);
	char	   *bytes;

	if (spare_cap >= cap)
	{
		bytes = spare_bytes;
		cap = spare_cap;
		spare_bytes = NULL;
		spare_cap = 0;
	}
	else
		bytes = MemoryContextAllocHuge(TopMemoryContext, cap);
	if (cursor->bytes != NULL)
	{
		memcpy(bytes, cursor->bytes, cursor->bytes_used);
		pfree(cursor->bytes);
	}
	cursor->bytes = bytes;
	cursor->bytes_cap = cap;
}

/* See cursorpriv.h. */
void
ms_cursor_release_bytes(void *arg)
{
	MsCursor   *cursor = arg;
	char	   *unwanted = cursor->bytes;

	if (cursor->bytes_cap > spare_cap && cursor->bytes_cap <= SPARE_BYTES)
	{
		unwanted = spare_bytes;
		spare_bytes = cursor->bytes;
		spare_cap = cursor->bytes_cap;
	}
	if (unwanted != NULL)
		pfree(unwanted);
	cursor->bytes = NULL;
	cursor->bytes_cap = 0;
}

/* Room for len bytes at the end of the cursor's buffer; returns its offset. */
static Size
reserve_bytes(MsCursor *cursor, Size len)
{
	Size		at = cursor->bytes_used;

	if (at + len > cursor->bytes_cap)
		grow_bytes(cursor, at + len);
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
copy_totals(MsCursor *cursor, const MsEntry *entry, MsFragment *fragment)
{
	const MsStored *stored = ms_ptr(ms_store->arena, entry->chunk);
	Size		len;
	MsTotals	totals;

	if ((cursor->totals_do == NULL && !cursor->last) || entry->pieces != 0)
		return false;
	len = ms_stored_totals_size(stored);
	if (len == 0 ||
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
	MsFragment	fragment = {0};

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
					  cursor->need, cursor->nvalues, cursor->lo,
					  window->end <= cursor->hi ? PG_INT64_MAX : cursor->hi);
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
									 sizeof(MsFragment) * cursor->fragments_cap);
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
	/* mostly it is the last of all */
	if (table->nwindows > 0 && ms_window_at(table, table->nwindows - 1)->start < t)
		return table->nwindows - 1;
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
	int			first = cursor->nfragments;

	for (int i = last_window_below(table, cursor->resume); i >= 0; i--)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->end <= cursor->lo)
			break;
		if (cursor->bytes_used >= MS_CURSOR_COPY || cursor->nfragments - first >= cursor->ahead)
		{
			cursor->ahead *= 2;
			return;
		}
		copy_window(cursor, window);
		cursor->resume = window->start;
	}
	cursor->exhausted = true;
}

/* Copies later windows of the series.  Caller holds table->lock. */
static void
copy_windows_forward(MsCursor *cursor)
{
	const MsTable *table = cursor->table;
	int			first = ms_window_search_locked(table, cursor->resume);

	prefetch_chunks(cursor, first);
	for (int i = first; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->start >= cursor->hi)
			break;
		if (cursor->bytes_used >= MS_CURSOR_COPY)
			return;
		copy_window(cursor, window);
		cursor->resume = window->end;
	}
	cursor->exhausted = true;
}

/* See cursorpriv.h.  Caller holds table->lock. */
void
ms_cursor_copy_windows_locked(MsCursor *cursor)
{
	if (cursor->backward)
		copy_windows_backward(cursor);
	else
		copy_windows_forward(cursor);
}

/* See cursorpriv.h. */
void
ms_cursor_clear_copies(MsCursor *cursor)
{
	cursor->bytes_used = 0;
	cursor->npieces = cursor->nfragments = cursor->next_fragment = 0;
}

/* See cursorpriv.h. */
void
ms_cursor_settle_copies(MsCursor *cursor)
{
	for (int i = 0; i < cursor->npieces; i++)
		cursor->pieces[i].data = (const uint8 *) cursor->bytes + (Size) cursor->pieces[i].data;
}

/* Copies the next windows of the series, and nothing else.  Caller holds table->lock. */
static void
copy_windows(MsCursor *cursor)
{
	ms_cursor_lose_group(cursor);
	ms_cursor_clear_copies(cursor);
	ms_cursor_copy_windows_locked(cursor);
	ms_cursor_settle_copies(cursor);
}

/* ---- a series ---- */

/* See cursorpriv.h.  Caller holds table->lock. */
void
ms_cursor_touch_locked(const MsCursor *cursor, const uint32 *sids, int n)
{
	const MsTable *table = cursor->table;
	int			last = last_window_below(table, cursor->hi);

	for (int i = 0; i < n && last >= 0; i++)
	{
		MsEntry    *entry = ms_entry_locked(ms_window_at(table, last), sids[i]);

		if (entry != NULL && entry->chunk != 0)
		{
			const volatile MsStored *stored = ms_ptr(ms_store->arena, entry->chunk);

			(void) stored->len;
			(void) stored->body[64];
			__builtin_prefetch((const void *) &stored->body[128]);
		}
	}
}

/* See cursor.h.  Takes table->lock shared. */
void
ms_cursor_touch(MsCursor *cursor, const uint32 *sids, int n)
{
	ms_lock_shared(cursor->table->lock, MS_RANK_TABLE);
	ms_cursor_touch_locked(cursor, sids, n);
	ms_unlock(cursor->table->lock);
}

/* See cursorpriv.h. */
void
ms_cursor_begin_series(MsCursor *cursor, uint32 sid, uint32 generation)
{
	cursor->sid = sid;
	cursor->generation = generation;
	cursor->resume = cursor->backward ? cursor->hi : cursor->lo;
	cursor->ahead = 1;
	cursor->whole = false;
	cursor->exhausted = generation == 0 || cursor->lo >= cursor->hi;
}

/* See cursor.h.  Takes table->lock shared. */
bool
ms_cursor_seek(MsCursor *cursor, uint32 sid)
{
	MsTable    *table = cursor->table;
	bool		found;

	if (ms_cursor_seek_in_group(cursor, sid, &found))
		return found;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	ms_cursor_begin_series(cursor, sid, ms_cursor_generation_locked(cursor, sid));
	cursor->nfragments = cursor->next_fragment = 0;
	found = cursor->generation != 0;
	if (found)
	{
		cursor->stats.series++;
		if (cursor->count_skipped)
			count_skipped(cursor);
		if (!cursor->exhausted)
			copy_windows(cursor);
	}
	ms_unlock(table->lock);
	return found;
}

/* See cursorpriv.h. */
bool
ms_cursor_copy_more(MsCursor *cursor)
{
	MsTable    *table = cursor->table;

	if (cursor->exhausted)
		return false;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (ms_cursor_generation_locked(cursor, cursor->sid) == cursor->generation)
		copy_windows(cursor);
	else
	{
		cursor->nfragments = cursor->next_fragment = 0;
		cursor->exhausted = true;
	}
	ms_unlock(table->lock);
	return true;
}
