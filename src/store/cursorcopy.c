/*-------------------------------------------------------------------------
 *
 * cursorcopy.c
 *	  What a cursor does under the lock: it copies.
 *
 * Mostly it copies as many windows of one series as fit its buffer.  To go through
 * many short series, the lock, and finding out where everything is, would cost more than
 * what is in them.  So whoever says that he is going to seek all series in the order of their
 * ids gets several copied at a time, with their labels: one at first, in case that
 * he wants but few, and then more.  That a series was copied before it is sought
 * is no concern: whether a row is visible depends on the snapshot alone.
 *
 * Locks: table->lock, shared, taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "store/cursorpriv.h"

#define PREFETCH_WINDOWS	8
#define MAX_GROUP			64	/* series copied together... */
#define GROUP_BYTES			(64 * 1024) /* ...as long as they take less */

/* ---- windows ---- */

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
copy_totals(MsCursor *cursor, const MsEntry *entry, MsFragment *fragment)
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
		if (cursor->bytes_used >= MS_CURSOR_COPY || cursor->nfragments >= cursor->ahead)
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

/* Forgets what was copied before. */
static void
clear_copies(MsCursor *cursor)
{
	cursor->bytes_used = 0;
	cursor->npieces = cursor->nfragments = cursor->next_fragment = 0;
	cursor->group_to = cursor->group_from;
}

/* Copies the next windows of the series.  Caller holds table->lock. */
static void
copy_windows(MsCursor *cursor)
{
	clear_copies(cursor);
	if (cursor->backward)
		copy_windows_backward(cursor);
	else
		copy_windows_forward(cursor);
}

/* ---- several series ---- */

/* See cursorpriv.h. */
void
ms_cursor_forget_group(MsCursor *cursor)
{
	cursor->group_limit = cursor->group_from = cursor->group_to = 0;
	cursor->group_size = 1;
}

/* See cursor.h. */
void
ms_cursor_expect_all(MsCursor *cursor, uint32 limit)
{
	if (!cursor->backward && !cursor->count_skipped)
		cursor->group_limit = limit;
}

static inline bool
is_in_group(const MsCursor *cursor, uint32 sid)
{
	return sid >= cursor->group_from && sid < cursor->group_to;
}

/* Copies the labels of a series.  Caller holds table->lock. */
static void
copy_labels(MsCursor *cursor, MsGroupSeries *s)
{
	MsTable    *table = cursor->table;
	MsLabelValue *labels;

	if (cursor->ngroup_labels + table->nlabels > cursor->group_labels_cap)
	{
		cursor->group_labels_cap = Max(2 * cursor->group_labels_cap, MAX_GROUP * table->nlabels);
		cursor->group_labels = cursor->group_labels == NULL ?
			MemoryContextAlloc(cursor->cxt, sizeof(MsLabelValue) * cursor->group_labels_cap) :
			repalloc(cursor->group_labels, sizeof(MsLabelValue) * cursor->group_labels_cap);
	}
	labels = cursor->group_labels + cursor->ngroup_labels;
	s->first_label = cursor->ngroup_labels;
	s->nlabels = ms_series_labels(ms_store->arena, &table->series, s->sid, labels, table->nlabels);
	cursor->ngroup_labels += s->nlabels;
	for (int i = 0; i < s->nlabels; i++)
	{
		Size		at;

		if (labels[i].isnull)
			continue;
		at = reserve_bytes(cursor, labels[i].len);
		memcpy(cursor->bytes + at, labels[i].bytes, labels[i].len);
		labels[i].bytes = (const uint8 *) at;
	}
}

/* Copies a series with its labels.  Caller holds table->lock. */
static void
copy_series(MsCursor *cursor, uint32 sid)
{
	MsGroupSeries *s = &cursor->group[cursor->ngroup++];

	s->sid = cursor->sid = sid;
	s->generation = ms_series_generation(ms_store->arena, &cursor->table->series, sid);
	copy_labels(cursor, s);
	s->first_fragment = cursor->nfragments;
	cursor->resume = cursor->lo;
	cursor->exhausted = cursor->lo >= cursor->hi;
	if (!cursor->exhausted)
		copy_windows_forward(cursor);
	s->nfragments = cursor->nfragments - s->first_fragment;
	s->resume = cursor->resume;
	s->exhausted = cursor->exhausted;
}

/* Copies some series from sid on: each time more, as far as they are short.  Takes table->lock shared. */
static void
copy_group(MsCursor *cursor, uint32 sid)
{
	MsTable    *table = cursor->table;
	uint32		end = Min(cursor->group_limit, sid + cursor->group_size);

	if (cursor->group == NULL)
		cursor->group = MemoryContextAlloc(cursor->cxt, sizeof(MsGroupSeries) * MAX_GROUP);
	clear_copies(cursor);
	cursor->ngroup = cursor->next_group = cursor->ngroup_labels = 0;
	cursor->group_from = sid;
	cursor->exhausted = false;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (; sid < end && cursor->bytes_used < GROUP_BYTES; sid++)
	{
		if (!ms_series_is_live(ms_store->arena, &table->series, sid))
			continue;
		copy_series(cursor, sid);

		/* to go on with one that is not copied to its end forgets the others */
		if (!cursor->exhausted)
			end = sid + 1;
	}
	ms_unlock(table->lock);
	cursor->group_to = sid;
	cursor->group_size = Min(cursor->group_size * 2, MAX_GROUP);

	/* now that the bytes stay where they are */
	for (int i = 0; i < cursor->ngroup_labels; i++)
	{
		MsLabelValue *label = &cursor->group_labels[i];

		if (!label->isnull)
			label->bytes = (const uint8 *) cursor->bytes + (Size) label->bytes;
	}

	/* it stands on none of them yet */
	cursor->generation = 0;
	cursor->exhausted = true;
	cursor->nfragments = 0;
}

/* The series in the group; NULL if there was none with this id. */
static MsGroupSeries *
find_in_group(MsCursor *cursor, uint32 sid)
{
	while (cursor->next_group < cursor->ngroup && cursor->group[cursor->next_group].sid < sid)
		cursor->next_group++;
	if (cursor->next_group == cursor->ngroup || cursor->group[cursor->next_group].sid > sid)
		return NULL;
	return &cursor->group[cursor->next_group];
}

/* The labels of a series in the group; false if there was none with this id. */
static bool
labels_in_group(MsCursor *cursor, uint32 sid, const MsLabelValue **labels, int *nlabels)
{
	const MsGroupSeries *s = find_in_group(cursor, sid);

	if (s == NULL)
		return false;
	*labels = cursor->group_labels + s->first_label;
	*nlabels = s->nlabels;
	return true;
}

/* Stands on a series of the group, from which those up to it go; false if there was none with this id. */
static bool
seek_in_group(MsCursor *cursor, uint32 sid)
{
	const MsGroupSeries *s = find_in_group(cursor, sid);

	cursor->group_from = sid + 1;
	cursor->sid = sid;
	cursor->generation = s != NULL ? s->generation : 0;
	cursor->exhausted = s == NULL || s->exhausted;
	cursor->nfragments = cursor->next_fragment = 0;
	if (s == NULL)
		return false;
	cursor->stats.series++;
	cursor->resume = s->resume;
	cursor->next_fragment = s->first_fragment;
	cursor->nfragments = s->first_fragment + s->nfragments;
	return true;
}

/* ---- a series ---- */

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
ms_cursor_labels(MsCursor *cursor, uint32 sid, const MsLabelValue **labels, int *nlabels)
{
	MsTable    *table = cursor->table;
	Size		total = 0;
	char	   *p;
	int			n;

	if (sid >= cursor->group_to && sid < cursor->group_limit)
		copy_group(cursor, sid);
	if (is_in_group(cursor, sid))
		return labels_in_group(cursor, sid, labels, nlabels);

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

/* See cursor.h.  Takes table->lock shared. */
bool
ms_cursor_seek(MsCursor *cursor, uint32 sid)
{
	MsTable    *table = cursor->table;
	bool		live;

	if (is_in_group(cursor, sid))
		return seek_in_group(cursor, sid);
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

/* See cursorpriv.h. */
bool
ms_cursor_copy_more(MsCursor *cursor)
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
