/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What there is to see of tables, windows and series: figures, copied out.
 *
 * The views must not wait behind DDL, and must work while the store is being
 * restored, so the functions here take no lock on a relation.  An entry of the
 * directory stays what it is as long as the directory lock is held, in any
 * mode; so that is held, shared, around the short moment in which figures are
 * copied under the table's lock.  Creating and dropping tables waits that
 * long, reading and writing does not.
 *
 * Nothing here throws or allocates under a lock, and nothing is exact beyond
 * its moment: a view of several tables is a row of moments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk.h"
#include "store/run.h"
#include "store/stats.h"

/*
 * The table of a storage, with the directory lock and its own held shared; or
 * NULL, with nothing held.
 */
static MsTable *
hold_table(const MsTableKey *key)
{
	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];

		if (table->in_use && table->key.rel == key->rel &&
			table->key.db == key->db && table->key.spc == key->spc &&
			pg_atomic_read_u32(&table->dropped) == 0)
		{
			ms_lock_shared(table->lock, MS_RANK_TABLE);
			return table;
		}
	}
	ms_unlock(ms_store->directory);
	return NULL;
}

static void
release_table(MsTable *table)
{
	ms_unlock(table->lock);
	ms_unlock(ms_store->directory);
}

static inline uint64
rounded(Size size)
{
	return ms_size_units(size) * MS_UNIT;
}

/* What a table's own memory, without its windows', is for. */
static void
table_purposes(const MsTable *table, MsPurposes *p)
{
	ms_series_bytes(ms_store->arena, &table->series, &p->labels, &p->index);
	p->headers = rounded(sizeof(MsSlot) * table->nslots) +
		rounded(sizeof(MsRef) * table->windows_cap) +
		rounded(sizeof(MsWindow)) * table->nwindows;
}

/* What a window's memory is for, but for its runs. */
static void
add_window_purposes(const MsWindow *window, MsPurposes *p)
{
	p->times += window->chunk_times;
	p->values += window->chunk_values;
	p->headers += window->chunk_bytes - window->chunk_times - window->chunk_values;
	p->index += ms_vec_allocated(ms_store->arena, &window->index);
}

static uint64
sum_of(const MsPurposes *p)
{
	return p->times + p->values + p->labels + p->index + p->headers;
}

/* See stats.h. */
bool
ms_stats_table(const MsTableKey *key, MsTableInfo *info)
{
	MsArena    *arena = ms_store->arena;
	MsTable    *table;

	memset(info, 0, sizeof(*info));
	table = hold_table(key);
	if (table == NULL)
		return false;

	info->series = ms_series_count(&table->series);
	info->windows = table->nwindows;
	info->skipped_samples = table->skipped_samples;
	info->expired_windows = table->expired_windows;
	table_purposes(table, &info->purposes);
	info->in_use_bytes = ms_group_in_use(arena, &table->group);
	info->allocated_bytes = ms_group_allocated(arena, &table->group);
	for (int i = 0; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (i == 0)
			info->first_start = window->start;
		info->last_start = window->start;
		info->sealed_windows += window->sealed && window->nruns == 0 ? 1 : 0;
		info->samples += window->nsamples + window->run_samples;
		info->runs += window->nruns;
		info->run_samples += window->run_samples;
		info->run_bytes += window->run_bytes;
		add_window_purposes(window, &info->purposes);
		info->in_use_bytes += ms_group_in_use(arena, &window->group);
		info->allocated_bytes += ms_group_allocated(arena, &window->group);
	}
	release_table(table);
	info->purposes.slack = info->in_use_bytes - info->run_bytes - sum_of(&info->purposes);
	return true;
}

/* See stats.h. */
void
ms_stats_runs(uint64 *runs, uint64 *bytes)
{
	*runs = *bytes = 0;
	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		const MsTable *table = &ms_store->tables[i];

		if (table->in_use)
		{
			*runs += table->nruns;
			*bytes += table->run_bytes;
		}
	}
	ms_unlock(ms_store->directory);
}

static void
copy_window(MsWindow *window, MsWindowInfo *info)
{
	info->start = window->start;
	info->end = window->end;
	info->sealed = window->sealed && window->nruns == 0;
	info->saved = window->snap_version != 0 && window->snap_version == window->version;
	info->chunks = window->nchunks;
	info->runs = window->nruns;
	info->chunk_samples = window->nsamples;
	info->chunk_bytes = window->chunk_bytes;
	info->run_samples = window->run_samples;
	info->run_bytes = window->run_bytes;
	memset(&info->purposes, 0, sizeof(info->purposes));
	add_window_purposes(window, &info->purposes);
	info->in_use_bytes = ms_group_in_use(ms_store->arena, &window->group);
	info->allocated_bytes = ms_group_allocated(ms_store->arena, &window->group);
	info->purposes.slack = info->in_use_bytes - info->run_bytes - sum_of(&info->purposes);
}

/* See stats.h.  Memory is got between two looks; if windows were added meanwhile, once more. */
int
ms_stats_windows(const MsTableKey *key, MsWindowInfo **windows)
{
	int			room = 0;

	*windows = NULL;
	for (;;)
	{
		MsTable    *table = hold_table(key);
		int			n;

		if (table == NULL)
			return 0;
		n = table->nwindows;
		if (n <= room)
		{
			for (int i = 0; i < n; i++)
				copy_window(ms_window_at(table, i), &(*windows)[i]);
			release_table(table);
			return n;
		}
		release_table(table);

		room = n + 8;
		*windows = palloc(sizeof(MsWindowInfo) * room);
	}
}

/* Adds what one window holds of a series.  Caller holds table->lock. */
static void
add_entry(const MsWindow *window, const MsEntry *entry, MsSeriesInfo *info)
{
	MsArena    *arena = ms_store->arena;
	uint64		samples = 0;
	MsChunk		chunk;

	if (entry->chunk != 0)
	{
		MsStored   *stored = ms_ptr(arena, entry->chunk);

		info->chunks++;
		info->chunk_bytes += ms_stored_size(stored);
		if (ms_chunk_open(&chunk, ms_stored_chunk(stored), stored->len))
			samples += chunk.nrows;
	}
	for (MsRef ref = entry->pieces; ref != 0;)
	{
		MsPiece    *piece = ms_ptr(arena, ref);

		if (piece->kind == MS_PIECE_ROWS && ms_chunk_open(&chunk, piece->data, piece->len))
			samples += chunk.nrows;
		ref = piece->next;
	}

	if (samples > 0)
	{
		if (info->samples == 0)
			info->first_start = window->start;
		info->last_start = window->start;
		info->samples += samples;
	}
}

/* See stats.h.  Takes table->lock shared. */
bool
ms_stats_series(MsTable *table, uint32 sid, MsSeriesInfo *info)
{
	bool		found;

	memset(info, 0, sizeof(*info));
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	found = sid < ms_series_limit(&table->series) &&
		ms_series_is_live(ms_store->arena, &table->series, sid);
	for (int i = 0; found && i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);
		MsEntry    *entry = ms_entry_locked(window, sid);

		if (entry != NULL)
			add_entry(window, entry, info);
	}
	ms_unlock(table->lock);
	return found;
}

/* See stats.h.  Takes table->lock shared. */
void
ms_table_stats(MsTable *table, MsTableStats *stats)
{
	memset(stats, 0, sizeof(MsTableStats));
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	stats->series = ms_series_count(&table->series);
	stats->series_limit = ms_series_limit(&table->series);
	stats->windows = table->nwindows;
	stats->runs = table->nruns;
	stats->run_bytes = table->run_bytes;
	for (int i = 0; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		stats->samples += window->nsamples;
		stats->run_samples += window->run_samples;
		stats->chunk_bytes += window->chunk_bytes;
	}
	stats->samples += stats->run_samples;
	if (table->nwindows > 0)
	{
		stats->tmin = ms_window_at(table, 0)->start;
		stats->tmax = ms_window_at(table, table->nwindows - 1)->end;
	}
	ms_unlock(table->lock);
}

/* See stats.h.  Takes table->lock shared. */
uint64
ms_series_rows(MsTable *table, uint32 sid)
{
	uint64		rows = 0;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; i < table->nwindows; i++)
	{
		MsEntry    *entry = ms_entry_locked(ms_window_at(table, i), sid);

		if (entry != NULL && entry->chunk != 0)
			rows += ((MsStored *) ms_ptr(ms_store->arena, entry->chunk))->nrows;
	}
	ms_unlock(table->lock);
	return rows;
}
