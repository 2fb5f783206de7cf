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
 * This file is what happens outside the lock; cursorcopy.c and cursorgroup.c are what happens under it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/cursorpriv.h"

/* Finds out what stands for the values of columns that stored rows do not have, once somebody asks. */
static void
get_missing(MsCursor *cursor)
{
	MsSlot	   *slots;
	int			nslots;
	int			ordinal = 0;

	if (cursor->missing != NULL)
		return;
	slots = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	nslots = ms_table_get_slots(cursor->table, slots, MS_MAX_SLOTS);
	cursor->missing = MemoryContextAllocZero(cursor->cxt, sizeof(MsMissing) * Max(cursor->nvalues, 1));
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

/* Gets the buffers in which fragments are decoded and merged, the first time that is done. */
static void
prepare_decoding(MsCursor *cursor)
{
	MsRowBuf   *bufs[] = {&cursor->base, &cursor->late, &cursor->scratch};

	if (cursor->base.cxt != NULL)
		return;
	get_missing(cursor);
	for (int i = 0; i < (int) lengthof(bufs); i++)
		ms_rowbuf_init(bufs[i], cursor->cxt, cursor->nvalues, cursor->need, cursor->missing);
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

	cursor->release.func = ms_cursor_release_bytes;
	cursor->release.arg = cursor;
	MemoryContextRegisterResetCallback(cxt, &cursor->release);

	cursor->exhausted = true;
	cursor->fragments_cap = 16;
	cursor->fragments = palloc(sizeof(MsFragment) * cursor->fragments_cap);
	cursor->pieces_cap = 64;
	cursor->pieces = palloc(sizeof(MsPieceBytes) * cursor->pieces_cap);
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
	ms_cursor_forget_group(cursor);
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
	ms_cursor_forget_group(cursor);
}

void
ms_cursor_set_totals(MsCursor *cursor, MsTotalsDo totals_do, void *arg)
{
	ms_cursor_forget_group(cursor);
	cursor->totals_do = totals_do;
	cursor->totals_arg = arg;
}

void
ms_cursor_set_last(MsCursor *cursor, bool last)
{
	if (cursor->last != last)
		ms_cursor_forget_group(cursor);
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
	get_missing(cursor);
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
decode_fragment(MsCursor *cursor, const MsFragment *fragment)
{
	MsPieceBytes *pieces = cursor->pieces + fragment->first_piece;
	MsBlockCounts counts = {0};
	bool		ok = true;

	prepare_decoding(cursor);
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
static const MsFragment *
next_fragment(MsCursor *cursor)
{
	const MsFragment *fragment;

	CHECK_FOR_INTERRUPTS();
	while (cursor->next_fragment >= cursor->nfragments)
	{
		if (!ms_cursor_copy_more(cursor))
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
	const MsFragment *fragment = next_fragment(cursor);

	if (fragment == NULL)
		return false;
	part->start = fragment->start;
	part->end = fragment->end;
	part->last = fragment->total && cursor->last;
	part->total = fragment->total && !cursor->last;
	part->plain = fragment->npieces == 0 && !part->last;
	cursor->stats.chunks_summarized += fragment->total;
	if (fragment->total)
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
