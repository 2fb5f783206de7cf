/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Sealing windows that are over; expiring those past retention.
 *
 * An open chunk lives in the size class it has grown into, with small blocks
 * at its end.  When its window is over nothing will be appended any more (late
 * samples aside), so every chunk is encoded anew in full blocks and stored one
 * behind the other, in series order, without size classes: the slack of the
 * classes is gone, and so are the open spans, which empty as the sealing
 * proceeds.  Restoring from a snapshot stores sealed chunks the same way.
 *
 * The window's index, which has grown together with the chunks and of which
 * each part may be the last thing on its page, moves to the end of them.
 *
 * A late sample or a delete replaces a sealed chunk whole, by one in a size
 * class; what it leaves is dead space in the packed spans.  When that becomes
 * a noticeable part of the window, the window is sealed once more: a 32nd of
 * it, so that who loads the past in many transactions, or keeps correcting it,
 * has each chunk copied 32 times as often as it changes at most; or less, once it
 * has been left alone for some time.
 *
 * Sealing goes on where it stopped: window->seal_next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/foldwork.h"
#include "store/maintain.h"

/* A window is sealed this part of its length after its end. */
#define GRACE_PART			16

/* Repack when the gap is more than this part of the window and so many bytes, ... */
#define REPACK_PART			32
#define REPACK_BYTES		(4 * MS_PAGE_SIZE)

/* ... or, if nothing has changed in it for GRACE_PART of its length, this part and so many; ... */
#define REPACK_QUIET_PART	128
#define REPACK_QUIET_BYTES	(2 * MS_PAGE_SIZE)

/* ... or, while runs in it still wait to be folded, this part and so many. */
#define REPACK_BUSY_PART	8
#define REPACK_BUSY_BYTES	(32 * MS_PAGE_SIZE)

/* Has nothing changed in the window for some time?  Notes what it sees.  Caller holds maintain. */
static bool
is_quiet(MsWindow *window, TimestampTz now)
{
	if (window->seen_version != window->version)
	{
		window->seen_version = window->version;
		window->seen_since = now;
	}
	return window->seen_since + (window->end - window->start) / GRACE_PART <= now;
}

/* Is it time to seal, or to go on sealing, or to seal again? */
static bool
wants_seal(MsTable *table, MsWindow *window, TimestampTz now)
{
	int64		length = window->end - window->start;
	uint64		in_use;
	uint64		gap;

	if (window->seal_next > 0)
		return true;
	if (!window->sealed)
	{
		/* Pieces that cannot be folded yet delay it, but not for ever. */
		return window->end + length / GRACE_PART <= now &&
			(window->nruns == 0 || window->end + length <= now);
	}

	/* what a seal could not get rid of, another one will not either */
	if (window->version == window->sealed_version)
		return false;
	in_use = ms_group_in_use(ms_store->arena, &window->group);
	gap = in_use - ms_group_allocated(ms_store->arena, &window->group);
	if (is_quiet(window, now) && gap > REPACK_QUIET_BYTES && gap > in_use / REPACK_QUIET_PART)
		return true;
	return (window->nruns == 0 && gap > REPACK_BYTES && gap > in_use / REPACK_PART) ||
		(gap > REPACK_BUSY_BYTES && gap > in_use / REPACK_BUSY_PART);
}

/* Seals the chunk of one series; false if memory is full. */
static bool
seal_chunk(MsFoldWork *work, MsWindow *window, uint32 sid, bool *sealed)
{
	MsTable    *table = work->table;
	MsStored   *stored;
	MsEntry    *entry;
	MsChunk		chunk;
	const uint8 *bytes;
	uint32		len;
	MsRef		old_chunk;
	MsRef		new_chunk;

	*sealed = false;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	entry = ms_entry_locked(window, sid);
	old_chunk = entry != NULL ? entry->chunk : 0;
	ms_unlock(table->lock);
	if (old_chunk == 0)
		return true;

	stored = ms_ptr(ms_store->arena, old_chunk);
	bytes = ms_stored_chunk(stored);
	len = stored->len;
	work->nrows = stored->nrows;
	if (!ms_chunk_open(&chunk, bytes, len) || chunk.open ||
		chunk.ncols != work->nvalues)
		bytes = ms_fold_rewrite(work, stored, NULL, 0, MS_CHUNK_SEALED, &len);
	new_chunk = ms_chunk_store(window, bytes, len, work->nrows, true);
	if (new_chunk == 0)
		return false;

	ms_lock(table->lock, MS_RANK_TABLE);
	ms_chunk_switch_locked(window, ms_entry_locked(window, sid), new_chunk);
	window->version++;
	ms_unlock(table->lock);
	*sealed = true;
	return true;
}

/* Seals a window from seal_next on, as far as the limit allows. */
static void
seal_window(MsFoldWork *work, MsWindow *window, uint64 max_chunks, MsMaintainStats *stats)
{
	MsTable    *table = work->table;
	uint32		limit;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	limit = ms_series_limit(&table->series);
	ms_unlock(table->lock);

	if (window->seal_next == 0)
		ms_arena_close_packed(ms_store->arena, &window->group);
	for (uint32 sid = window->seal_next; sid < limit; sid++)
	{
		bool		sealed;

		if (stats->chunks_sealed >= max_chunks)
		{
			window->seal_next = sid;
			stats->more = true;
			return;
		}
		if (!seal_chunk(work, window, sid, &sealed))
		{
			window->seal_next = sid;
			stats->full = true;
			return;
		}
		if (sealed)
			stats->chunks_sealed++;
	}

	ms_lock(table->lock, MS_RANK_TABLE);
	(void) ms_vec_pack(ms_store->arena, &window->group, &window->index, MS_ALLOC_RESERVE);
	ms_arena_trim_packed(ms_store->arena, &window->group);
	window->sealed = true;
	window->version++;
	window->sealed_version = window->version;
	ms_unlock(table->lock);
	window->seal_next = 0;
	stats->windows_sealed++;
}

/* See maintain.h. */
void
ms_seal_table(MsTable *table, TimestampTz now, uint64 max_chunks, MsMaintainStats *stats)
{
	MsFoldWork *work = NULL;
	MsWindow   *window;
	int64		t = PG_INT64_MIN;

	Assert(LWLockHeldByMe(table->maintain));
	if (!table->in_use)
		return;
	while (!stats->more && (window = ms_window_walk(table, &t)) != NULL)
	{
		if (!wants_seal(table, window, now))
			continue;
		if (work == NULL)
			work = ms_foldwork_create(table);
		seal_window(work, window, max_chunks, stats);
	}
	if (work != NULL)
		ms_foldwork_free(work);
}

/* See maintain.h. */
int
ms_expire_table(MsTable *table, int64 horizon)
{
	int			expired = 0;

	Assert(LWLockHeldByMe(table->maintain));
	if (!table->in_use)
		return 0;

	/* on a standby, windows go when the primary says so */
	if (table->logged && RecoveryInProgress())
		return 0;
	for (;;)
	{
		int64		t = PG_INT64_MIN;
		MsWindow   *window = ms_window_walk(table, &t);

		if (window == NULL || window->end > horizon ||
			!ms_window_drop(table, window->start))
			break;
		expired++;
	}
	if (expired > 0)
	{
		ms_lock(table->lock, MS_RANK_TABLE);
		table->expired_windows += expired;
		ms_unlock(table->lock);
	}
	return expired;
}

/* See maintain.h. */
bool
ms_expire_oldest(MsTable *table, int64 before)
{
	int64		start = 0;
	bool		found;

	Assert(LWLockHeldByMe(table->maintain));
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (table->nwindows > 0)
		start = ms_window_at(table, 0)->start;
	found = table->nwindows > 0 && start < before;
	ms_unlock(table->lock);
	if (!found || !ms_window_drop(table, start))
		return false;

	ms_lock(table->lock, MS_RANK_TABLE);
	table->expired_windows++;
	ms_unlock(table->lock);
	return true;
}
