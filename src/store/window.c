/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Windows of a table: their bounds, order, entries, and their end.
 *
 * Windows never overlap and are kept in an array ordered by time.  A new one
 * is as long as chunk_interval says and aligned to the Unix epoch; where the
 * interval was changed meanwhile it is cut short by its neighbours, so that
 * windows already there keep their bounds.
 *
 * A window owns a group of the arena, in which its index, chunks and runs
 * live.  Dropping a window is taking it out of the array and freeing that
 * group: its cost depends on the number of spans, not of samples or series.
 * For the same reason series are not counted down then: those that no window
 * refers to any more are found by ms_series_sweep(), in small steps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "access/xlog.h"
#include "miscadmin.h"

#include "core/chunk.h"
#include "store/wal.h"

#define INDEX_SEGMENT_LOG2	8	/* entries in a segment of a window's index */
#define SWEEP_STEP			1024	/* series looked at under one lock */
#define FIRST_WINDOWS		16	/* room for so many windows at first */

/* The Unix epoch in PostgreSQL's microseconds. */
#define UNIX_EPOCH_USECS \
	(((int64) UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/* The largest multiple of interval, counted from the Unix epoch, not above t. */
static int64
align_down(int64 t, int64 interval)
{
	int64		since = (t - UNIX_EPOCH_USECS) % interval;

	if (since < 0)
		since += interval;
	return t - since;
}

/* See table.h. */
int64
ms_config_horizon(const MsConfig *config, TimestampTz now)
{
	int64		horizon;

	/* What reaches back further than time itself keeps all. */
	if (config->retain <= 0 ||
		pg_mul_s64_overflow(config->retain - 1, config->chunk_interval, &horizon) ||
		pg_sub_s64_overflow(align_down(now, config->chunk_interval), horizon, &horizon))
		return PG_INT64_MIN;
	return horizon;
}

int64
ms_config_limit(const MsConfig *config, TimestampTz now)
{
	return now + config->chunk_interval;
}

/* See table.h.  Binary search. */
int
ms_window_search_locked(const MsTable *table, int64 t)
{
	int			low = 0;
	int			high = table->nwindows;

	Assert(LWLockHeldByMe(table->lock));
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (ms_window_at(table, middle)->end > t)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

MsWindow *
ms_window_find_locked(const MsTable *table, int64 t)
{
	int			i = ms_window_search_locked(table, t);

	if (i < table->nwindows && ms_window_at(table, i)->start <= t)
		return ms_window_at(table, i);
	return NULL;
}

/* The bounds of the window that holds, or would hold, t. */
static void
bounds_locked(const MsTable *table, int64 t, int64 *start, int64 *end)
{
	int			i = ms_window_search_locked(table, t);

	if (i < table->nwindows && ms_window_at(table, i)->start <= t)
	{
		*start = ms_window_at(table, i)->start;
		*end = ms_window_at(table, i)->end;
		return;
	}
	*start = align_down(t, table->config.chunk_interval);
	*end = *start + table->config.chunk_interval;
	if (i > 0)
		*start = Max(*start, ms_window_at(table, i - 1)->end);
	if (i < table->nwindows)
		*end = Min(*end, ms_window_at(table, i)->start);
}

void
ms_window_bounds(MsTable *table, int64 t, int64 *start, int64 *end)
{
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	bounds_locked(table, t, start, end);
	ms_unlock(table->lock);
}

/* Makes room for one more window in the array; false if memory is full. */
static bool
grow_windows(MsTable *table, int flags)
{
	MsArena    *arena = ms_store->arena;
	int			cap = table->windows_cap > 0 ? table->windows_cap * 2 : FIRST_WINDOWS;
	MsRef		ref;

	if (table->nwindows < table->windows_cap)
		return true;
	ref = ms_arena_alloc(arena, &table->group, sizeof(MsRef) * cap, flags);
	if (ref == 0)
		return false;
	if (table->windows_cap > 0)
	{
		memcpy(ms_ptr(arena, ref), ms_ptr(arena, table->windows),
			   sizeof(MsRef) * table->nwindows);
		ms_arena_free(arena, &table->group, table->windows,
					  sizeof(MsRef) * table->windows_cap);
	}
	table->windows = ref;
	table->windows_cap = cap;
	return true;
}

bool
ms_window_fits_locked(const MsTable *table, int64 start, int64 end)
{
	int			i = ms_window_search_locked(table, start);

	return i == table->nwindows || ms_window_at(table, i)->start >= end;
}

/* See table.h.  Caller holds table->lock exclusively. */
MsWindow *
ms_window_create_locked(MsTable *table, int64 start, int64 end, int flags)
{
	MsArena    *arena = ms_store->arena;
	MsWindow   *window;
	MsRef	   *refs;
	MsRef		ref;
	int			i;

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	Assert(start < end);
	i = ms_window_search_locked(table, start);
	if (!ms_window_fits_locked(table, start, end))
		return NULL;
	if (!grow_windows(table, flags))
		return NULL;
	ref = ms_arena_alloc(arena, &table->group, sizeof(MsWindow),
						 flags | MS_ALLOC_ZERO);
	if (ref == 0)
		return NULL;

	window = ms_ptr(arena, ref);
	window->start = start;
	window->end = end;
	window->version = 1;
	ms_vec_init(&window->index, sizeof(MsEntry), INDEX_SEGMENT_LOG2);

	refs = ms_ptr(arena, table->windows);
	memmove(&refs[i + 1], &refs[i], sizeof(MsRef) * (table->nwindows - i));
	refs[i] = ref;
	table->nwindows++;
	return window;
}

MsWindow *
ms_window_ensure_locked(MsTable *table, int64 t, int flags)
{
	MsWindow   *window = ms_window_find_locked(table, t);
	int64		start;
	int64		end;

	if (window != NULL)
		return window;
	bounds_locked(table, t, &start, &end);
	return ms_window_create_locked(table, start, end, flags);
}

MsEntry *
ms_entry_locked(const MsWindow *window, uint32 sid)
{
	return ms_vec_at(ms_store->arena, &window->index, sid);
}

MsEntry *
ms_entry_ensure_locked(MsWindow *window, uint32 sid, int flags)
{
	return ms_vec_ensure(ms_store->arena, &window->group, &window->index, sid, flags);
}

/*
 * Takes out the window that begins at start, if its last record ends before
 * upto, and frees it.  Holds table->lock for the moment it leaves the array.
 * False, with nothing done, if that is to be logged and the gate is closed: the
 * final snapshot has the window, and no record of ours may follow it.
 */
static bool
drop_window(MsTable *table, int64 start, XLogRecPtr upto, bool log)
{
	MsArena    *arena = ms_store->arena;
	MsWindow   *window = NULL;
	MsRef		ref = 0;
	int			i;

	Assert(LWLockHeldByMe(table->maintain));

	ms_lock(table->lock, MS_RANK_TABLE);
	if (log && pg_atomic_read_u32(&ms_store->state) != MS_STORE_READY)
	{
		ms_unlock(table->lock);
		return false;
	}
	i = ms_window_search_locked(table, start);
	if (i < table->nwindows && ms_window_at(table, i)->start == start &&
		ms_window_at(table, i)->lsn < upto)
	{
		MsRef	   *refs = ms_ptr(arena, table->windows);

		ref = refs[i];
		window = ms_ptr(arena, ref);
		if (log)
		{
			START_CRIT_SECTION();
			(void) ms_wal_drop_window(&table->key, start);
			END_CRIT_SECTION();
		}
		memmove(&refs[i], &refs[i + 1], sizeof(MsRef) * (table->nwindows - i - 1));
		table->unswept = true;
		table->nwindows--;
		if (table->nwindows == 0)
		{
			ms_arena_free(arena, &table->group, table->windows,
						  sizeof(MsRef) * table->windows_cap);
			table->windows = 0;
			table->windows_cap = 0;
		}
		table->nruns -= window->nruns;
		table->run_bytes -= window->run_bytes;
	}
	ms_unlock(table->lock);

	/*
	 * Nobody can find the window now; readers hold no pointers without the
	 * lock.
	 */
	if (window != NULL)
	{
		ms_arena_free_group(arena, &window->group);
		ms_arena_free(arena, &table->group, ref, sizeof(MsWindow));
	}
	return true;
}

/* See table.h. */
bool
ms_window_drop(MsTable *table, int64 start)
{
	return drop_window(table, start, PG_UINT64_MAX,
					   table->logged && !RecoveryInProgress());
}

void
ms_window_replay_drop(MsTable *table, int64 start, XLogRecPtr end)
{
	(void) drop_window(table, start, end, false);
}

/* See table.h. */
bool
ms_window_make_way(MsTable *table, int64 start, int64 end, XLogRecPtr lsn)
{
	for (;;)
	{
		int64		other = 0;
		bool		fits;
		bool		older = false;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		fits = ms_window_fits_locked(table, start, end);
		if (!fits)
		{
			MsWindow   *window = ms_window_at(table, ms_window_search_locked(table, start));

			other = window->start;
			older = window->lsn < lsn;
		}
		ms_unlock(table->lock);
		if (fits || !older)
			return fits;
		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		ms_window_replay_drop(table, other, lsn);
		ms_unlock(table->maintain);
	}
}

/* Does any window hold anything of this series?  Caller holds table->lock. */
static bool
series_in_use(const MsTable *table, uint32 sid)
{
	for (int i = table->nwindows - 1; i >= 0; i--)
	{
		MsEntry    *entry = ms_entry_locked(ms_window_at(table, i), sid);

		if (entry != NULL && (entry->chunk != 0 || entry->pieces != 0))
			return true;
	}
	return false;
}

/*
 * See table.h.  Safe against writers: a series is added and gets its first
 * piece under one acquisition of table->lock.
 */
uint32
ms_series_sweep(MsTable *table)
{
	uint32		released = 0;
	uint32		sid = 0;
	bool		more = true;

	Assert(LWLockHeldByMe(table->maintain));
	table->unswept = false;
	while (more)
	{
		ms_lock(table->lock, MS_RANK_TABLE);
		for (int step = 0; step < SWEEP_STEP; step++, sid++)
		{
			more = sid < ms_series_limit(&table->series);
			if (!more)
				break;
			if (ms_series_is_live(ms_store->arena, &table->series, sid) &&
				!series_in_use(table, sid))
			{
				ms_series_release(ms_store->arena, &table->group, &table->series, sid);
				released++;
			}
		}
		if (ms_series_count(&table->series) == 0 && ms_series_limit(&table->series) > 0)
			ms_series_forget(ms_store->arena, &table->group, &table->series);
		ms_unlock(table->lock);
	}
	return released;
}
