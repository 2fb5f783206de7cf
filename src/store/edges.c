/*-------------------------------------------------------------------------
 *
 * edges.c
 *	  How far the rows of series reach.
 *
 * Who wants the newest rows of many series need not copy what they hold in
 * order to find out whose rows come into question: a chunk says in a few bytes
 * where it begins and ends.  They are looked at in place, for many series under
 * one lock, so that the processor can fetch several at the same time.
 *
 * Rows not yet folded count whether the asker sees them or not, and deleted ones
 * do until that is folded: a series may reach less far than is said here.
 *
 * Locks: table->lock, shared, taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "store/edges.h"
#include "store/run.h"

#define SERIES_AT_ONCE	128		/* under one lock */

/* A series that was not found yet. */
typedef struct Sought
{
	uint32		at;				/* in the caller's arrays */
	const MsEntry *entry;		/* in the window at hand; NULL: none */
} Sought;

/* The times of a chunk with totals of totals_len bytes, which may be none; false if it is malformed. */
static bool
chunk_times(const uint8 *data, Size len, const uint8 *totals_data, Size totals_len,
			int64 *tmin, int64 *tmax)
{
	MsTotals	totals;
	MsChunk		chunk;

	if (totals_len > 0 && ms_totals_open(&totals, totals_data, totals_len))
	{
		*tmin = totals.tmin;
		*tmax = totals.tmax;
		return true;
	}
	if (!ms_chunk_open(&chunk, data, len))
		return false;
	*tmin = chunk.tmin;
	*tmax = chunk.tmax;
	return true;
}

/* From when to when a series has rows in a window; those of the window if that cannot be said.  Caller holds table->lock. */
static void
entry_times(const MsWindow *window, const MsEntry *entry, int64 *tmin, int64 *tmax)
{
	const MsArena *arena = ms_store->arena;
	const MsStored *stored = entry->chunk != 0 ? ms_ptr(arena, entry->chunk) : NULL;
	bool		known = true;
	int64		from = 0;
	int64		to = 0;

	*tmin = PG_INT64_MAX;
	*tmax = PG_INT64_MIN;
	if (stored != NULL)
		known = chunk_times(ms_stored_chunk(stored), stored->len, stored->body,
							ms_stored_totals_size(stored), tmin, tmax);
	for (MsRef ref = entry->pieces; ref != 0 && known;)
	{
		const MsPiece *piece = ms_ptr(arena, ref);

		if (piece->kind == MS_PIECE_ROWS)
		{
			known = chunk_times(piece->data, piece->len, NULL, 0, &from, &to);
			*tmin = Min(*tmin, from);
			*tmax = Max(*tmax, to);
		}
		ref = piece->next;
	}
	if (!known)
	{
		/* whoever reads it will find out */
		*tmin = window->start;
		*tmax = window->end - 1;
	}
}

/* How far a series reaches in a window; false if it has no rows there.  Caller holds table->lock. */
static bool
edge_in_window(const MsWindow *window, const MsEntry *entry, int64 lo, int64 hi, bool newest,
			   int64 *edge)
{
	int64		tmin;
	int64		tmax;

	if (entry == NULL || (entry->chunk == 0 && entry->pieces == 0))
		return false;
	entry_times(window, entry, &tmin, &tmax);
	if (tmax < lo || tmin >= hi)
		return false;
	*edge = newest ? Min(tmax, hi - 1) : Max(tmin, lo);
	return true;
}

/* Looks for n series in a window; leaves those that are not there, and returns their number.  Caller holds table->lock. */
static uint32
look_in_window(const MsWindow *window, int64 lo, int64 hi, bool newest,
			   const uint32 *sids, Sought *sought, uint32 n, int64 *edges)
{
	uint32		left = 0;

	for (uint32 i = 0; i < n; i++)
	{
		sought[i].entry = ms_entry_locked(window, sids[sought[i].at]);
		if (sought[i].entry != NULL)
			__builtin_prefetch(sought[i].entry);
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (sought[i].entry != NULL && sought[i].entry->chunk != 0)
			__builtin_prefetch(ms_ptr(ms_store->arena, sought[i].entry->chunk));
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (!edge_in_window(window, sought[i].entry, lo, hi, newest, &edges[sought[i].at]))
			sought[left++] = sought[i];
	}
	return left;
}

/* See edges.h. */
void
ms_series_edges(MsTable *table, int64 lo, int64 hi, bool newest,
				const uint32 *sids, uint32 n, int64 *edges)
{
	Sought		sought[SERIES_AT_ONCE];

	for (uint32 from = 0; from < n; from += SERIES_AT_ONCE)
	{
		uint32		left = Min(SERIES_AT_ONCE, n - from);

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < left; i++)
		{
			sought[i].at = from + i;
			edges[from + i] = newest ? PG_INT64_MIN : PG_INT64_MAX;
		}
		ms_lock_shared(table->lock, MS_RANK_TABLE);
		for (int w = 0; w < table->nwindows && left > 0; w++)
		{
			const MsWindow *window = ms_window_at(table, newest ? table->nwindows - 1 - w : w);

			if (window->end > lo && window->start < hi)
				left = look_in_window(window, lo, hi, newest, sids, sought, left, edges);
		}
		ms_unlock(table->lock);
	}
}
