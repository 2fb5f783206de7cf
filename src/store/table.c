/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The directory of tables, their column slots and settings.
 *
 * The directory is a fixed array, searched from the front: entries are few and
 * looked up once per relation and backend (the result is cached in the
 * relcache).  Finding and taking an entry is guarded by the directory lock,
 * all that an entry holds by its own.
 *
 * An entry stays valid for a backend as long as it holds a lock on the
 * relation: dropping storage needs AccessExclusiveLock.  The workers hold no
 * relation locks; they hold table->maintain instead, without which no entry is
 * freed.
 *
 * Windows are in window.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "common/int.h"
#include "miscadmin.h"
#include "storage/procarray.h"

#include "core/chunk.h"
#include "store/wal.h"

const MsConfig ms_default_config = {
	.chunk_interval = MS_DEFAULT_CHUNK_INTERVAL,
	.retain = MS_DEFAULT_RETAIN,
	.max_series = MS_DEFAULT_MAX_SERIES,
	.on_full = MS_FULL_ERROR,
	.on_out_of_range = MS_RANGE_ERROR
};

/*
 * The missing value has to agree, too: after a rolled back ADD COLUMN, the next
 * one may have the same number and type, but another default.
 */
bool
ms_slot_equal(const MsSlot *a, const MsSlot *b)
{
	return a->attnum == b->attnum && a->role == b->role && a->kind == b->kind &&
		a->has_missing == b->has_missing &&
		memcmp(&a->missing, &b->missing, sizeof(double)) == 0;
}

bool
ms_config_equal(const MsConfig *a, const MsConfig *b)
{
	return a->chunk_interval == b->chunk_interval &&
		a->retain == b->retain &&
		a->max_series == b->max_series &&
		a->on_full == b->on_full &&
		a->on_out_of_range == b->on_out_of_range;
}

MsTableKey
ms_table_key(RelFileLocator locator)
{
	MsTableKey	key = {locator.spcOid, locator.dbOid, locator.relNumber};

	return key;
}

static bool
key_equal(const MsTableKey *a, const MsTableKey *b)
{
	return a->rel == b->rel && a->db == b->db && a->spc == b->spc;
}

/* Caller holds the directory lock. */
static MsTable *
find_locked(const MsTableKey *key)
{
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];

		if (table->in_use && key_equal(&table->key, key) &&
			pg_atomic_read_u32(&table->dropped) == 0)
			return table;
	}
	return NULL;
}

/* See table.h.  Takes the directory lock shared. */
MsTable *
ms_table_lookup(const MsTableKey *key)
{
	MsTable    *table;

	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	table = find_locked(key);
	ms_unlock(ms_store->directory);
	return table;
}

/* Counts labels and values anew after slots changed.  Caller holds table->lock. */
static void
count_slots(MsTable *table)
{
	MsSlot	   *slots = table->nslots > 0 ? ms_ptr(ms_store->arena, table->slots) : NULL;

	table->nlabels = table->nvalues = 0;
	for (int i = 0; i < table->nslots; i++)
	{
		if (slots[i].role == MS_ROLE_LABEL)
			table->nlabels++;
		else if (slots[i].role == MS_ROLE_VALUE)
			table->nvalues++;
	}
}

/* Appends slots; false, with nothing changed, if memory is full.  Caller holds table->lock. */
static bool
append_slots_locked(MsTable *table, const MsSlot *slots, int nslots)
{
	MsArena    *arena = ms_store->arena;
	Size		old_size = sizeof(MsSlot) * table->nslots;
	Size		new_size = sizeof(MsSlot) * (table->nslots + nslots);
	MsRef		ref;

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	if (nslots == 0)
		return true;
	ref = ms_arena_alloc(arena, &table->group, new_size, 0);
	if (ref == 0)
		return false;
	if (table->nslots > 0)
	{
		memcpy(ms_ptr(arena, ref), ms_ptr(arena, table->slots), old_size);
		ms_arena_free(arena, &table->group, table->slots, old_size);
	}
	memcpy((char *) ms_ptr(arena, ref) + old_size, slots, new_size - old_size);
	table->slots = ref;
	table->nslots += nslots;
	table->logged_at = InvalidXLogRecPtr;
	count_slots(table);
	return true;
}

/* Forgets all an entry held, keeping its locks.  Caller holds directory and table locks. */
static void
reset_entry(MsTable *table)
{
	LWLock	   *maintain = table->maintain;
	LWLock	   *lock = table->lock;

	memset(table, 0, sizeof(MsTable));
	table->maintain = maintain;
	table->lock = lock;
	pg_atomic_init_u32(&table->dropped, 0);
}

/* A free entry made ready, or NULL.  Caller holds the directory lock exclusively. */
static MsTable *
take_entry(const MsTableKey *key, const MsConfig *config, bool logged)
{
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];

		if (table->in_use)
			continue;
		ms_lock(table->lock, MS_RANK_TABLE);
		reset_entry(table);
		table->key = *key;
		table->config = *config;
		table->logged = logged;
		table->generation = pg_atomic_add_fetch_u64(&ms_store->generation, 1);
		table->in_use = true;
		ms_unlock(table->lock);
		return table;
	}
	return NULL;
}

static void
report_full(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("memseries memory is full"),
			 errhint("Increase \"memseries.memory\", or keep fewer windows (see memseries.configure).")));
}

/*
 * See table.h.  Takes the directory lock exclusively and the table's lock.
 * An existing table is returned as it is, whatever config and slots say.
 */
MsTable *
ms_table_create(const MsTableKey *key, const MsConfig *config,
				const MsSlot *slots, int nslots, bool logged)
{
	MsTable    *table;
	bool		full = false;

	ms_lock(ms_store->directory, MS_RANK_DIRECTORY);
	table = find_locked(key);
	if (table == NULL)
	{
		table = take_entry(key, config, logged);
		if (table != NULL)
		{
			ms_lock(table->lock, MS_RANK_TABLE);
			if (!append_slots_locked(table, slots, nslots))
			{
				full = true;
				reset_entry(table);
			}
			ms_unlock(table->lock);
		}
	}
	ms_unlock(ms_store->directory);

	if (full)
		report_full();
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many memseries tables"),
				 errdetail("There are %d, counting partitions in all databases.",
						   ms_store->max_tables),
				 errhint("Increase \"memseries.max_tables\" and restart the server.")));
	return table;
}

/* See table.h.  Takes the directory lock, and table->maintain only if it is free. */
void
ms_table_drop(const MsTableKey *key)
{
	MsTable    *table;

	ms_lock(ms_store->directory, MS_RANK_DIRECTORY);
	table = find_locked(key);
	if (table != NULL)
		pg_atomic_write_u32(&table->dropped, 1);
	ms_unlock(ms_store->directory);

	if (table == NULL)
		return;

	/* who restores holds no lock; the keeper comes after him */
	if (pg_atomic_read_u32(&ms_store->state) >= MS_STORE_LOADED &&
		ms_lock_conditional(table->maintain, MS_RANK_MAINTAIN))
	{
		ms_table_free(table);
		ms_unlock(table->maintain);
	}
	else
		ms_worker_wake(MS_KEEPER);
}

/*
 * Frees a table marked as dropped, in O(spans).  Does nothing if the entry is
 * not (or no longer) such a table: callers that waited for table->maintain
 * need not look themselves.
 */
void
ms_table_free(MsTable *table)
{
	Assert(LWLockHeldByMe(table->maintain));

	ms_lock(ms_store->directory, MS_RANK_DIRECTORY);
	if (table->in_use && pg_atomic_read_u32(&table->dropped) != 0)
	{
		ms_lock(table->lock, MS_RANK_TABLE);
		for (int i = 0; i < table->nwindows; i++)
			ms_arena_free_group(ms_store->arena, &ms_window_at(table, i)->group);
		ms_arena_free_group(ms_store->arena, &table->group);
		reset_entry(table);
		ms_unlock(table->lock);
	}
	ms_unlock(ms_store->directory);
}

/* See table.h. */
void
ms_table_clear(MsTable *table)
{
	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	for (;;)
	{
		int64		start;
		bool		found;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		found = table->nwindows > 0;
		start = found ? ms_window_at(table, 0)->start : 0;
		ms_unlock(table->lock);
		if (!found)
			break;
		if (!ms_window_drop(table, start))
		{
			ms_unlock(table->maintain);
			ms_store_check_writable();
			ms_lock(table->maintain, MS_RANK_MAINTAIN);
		}
	}
	ms_series_sweep(table);
	ms_unlock(table->maintain);
}

/*
 * See table.h.  Takes table->lock.  A standby cannot append slots by itself, but
 * wants to read the columns, so they are logged at once.  Not with the gate
 * closed, and not of what a file is restored to: then the next run does it.
 */
void
ms_table_add_slots(MsTable *table, const MsSlot *slots, int nslots)
{
	bool		ok = true;
	bool		too_many;

	ms_lock(table->lock, MS_RANK_TABLE);
	too_many = table->nslots + nslots > MS_MAX_SLOTS;
	if (!too_many)
		ok = append_slots_locked(table, slots, nslots);
	if (!too_many && ok && table->logged && table->nwindows > 0 &&
		pg_atomic_read_u32(&ms_store->state) == MS_STORE_READY)
	{
		START_CRIT_SECTION();
		table->logged_at = ms_wal_table(table);
		END_CRIT_SECTION();
	}
	ms_unlock(table->lock);

	if (too_many)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("too many columns were added to and dropped from a memseries table"),
				 errdetail("Its storage can describe at most %d.", MS_MAX_SLOTS),
				 errhint("VACUUM FULL rewrites the table.")));
	if (!ok)
		report_full();
}

int
ms_table_get_slots(MsTable *table, MsSlot *out, int max)
{
	int			n;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	n = Min(table->nslots, max);
	if (n > 0)
		memcpy(out, ms_ptr(ms_store->arena, table->slots), sizeof(MsSlot) * n);
	ms_unlock(table->lock);
	return n;
}

/*
 * Settings are logged at once, as far as the table is known to WAL at all: the
 * keeper goes by them after a crash.  Caller holds table->lock exclusively.
 */
static void
set_config_locked(MsTable *table, const MsConfig *config, TransactionId xid)
{
	START_CRIT_SECTION();
	table->config = *config;
	table->config_xid = xid;
	if (table->logged && table->nwindows > 0 && !RecoveryInProgress())
		table->logged_at = ms_wal_table(table);
	else
		table->logged_at = InvalidXLogRecPtr;
	END_CRIT_SECTION();
}

/* See table.h. */
void
ms_table_set_config(MsTable *table, const MsConfig *config)
{
	ms_lock(table->lock, MS_RANK_TABLE);
	set_config_locked(table, config, InvalidTransactionId);
	ms_unlock(table->lock);
}

/*
 * How many windows as long as a's to keep, so that nothing goes that a or b would keep at any time.
 * b's horizon may lie as far back as its retain windows; one more of a's for the alignment.
 */
static int32
wider_retain(const MsConfig *a, const MsConfig *b)
{
	int64		reach;
	int64		n;

	if (a->retain == 0 || b->retain == 0)
		return 0;
	if (a->chunk_interval == b->chunk_interval)
		return Max(a->retain, b->retain);
	if (pg_mul_s64_overflow(b->retain, b->chunk_interval, &reach))
		return 0;
	n = reach / a->chunk_interval + 2;
	return n > PG_INT32_MAX ? 0 : Max(a->retain, (int32) n);
}

/* See table.h. */
bool
ms_table_widen_config(MsTable *table, const MsConfig *config, TransactionId xid)
{
	MsConfig	both;
	bool		open;

	ms_lock(table->lock, MS_RANK_TABLE);
	open = pg_atomic_read_u32(&ms_store->state) == MS_STORE_READY;
	if (open)
	{
		both = table->config;
		both.retain = wider_retain(&both, config);
		both.max_series = Max(both.max_series, config->max_series);
		both.on_full = Min(both.on_full, config->on_full);
		both.on_out_of_range = Min(both.on_out_of_range, config->on_out_of_range);
		set_config_locked(table, &both, xid);
	}
	ms_unlock(table->lock);
	return open;
}

StaticAssertDecl(MS_FULL_ERROR < MS_FULL_EXPIRE && MS_RANGE_ERROR < MS_RANGE_SKIP,
				 "the lower one loses less");

bool
ms_table_config_in_doubt(MsTable *table)
{
	TransactionId xid;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	xid = table->config_xid;
	ms_unlock(table->lock);
	return TransactionIdIsValid(xid) && TransactionIdIsInProgress(xid);
}

/*
 * A primary that was restarted while it had nothing of the table begins a new
 * list.  Descriptions and files that go by the former one are out of date.
 */
static void
forget_slots_locked(MsTable *table)
{
	ms_arena_free(ms_store->arena, &table->group, table->slots,
				  sizeof(MsSlot) * table->nslots);
	table->slots = 0;
	table->nslots = 0;
	table->snap_nslots = 0;
	table->generation = pg_atomic_add_fetch_u64(&ms_store->generation, 1);
	for (int i = 0; i < table->nwindows; i++)
		ms_window_at(table, i)->version++;
}

/* Is one list the beginning of the other?  Caller holds table->lock. */
static bool
slots_agree_locked(const MsTable *table, const MsSlot *slots, int nslots)
{
	MsSlot	   *have = table->nslots > 0 ? ms_ptr(ms_store->arena, table->slots) : NULL;

	for (int i = 0; i < Min(nslots, table->nslots); i++)
		if (!ms_slot_equal(&have[i], &slots[i]))
			return false;
	return true;
}

/* See table.h.  Slots are only ever appended, so the longer list is the newer. */
void
ms_table_replay(const MsTableKey *key, const MsConfig *config,
				const MsSlot *slots, int nslots)
{
	MsTable    *table = ms_table_create(key, config, slots, nslots, true);

	ms_lock(table->lock, MS_RANK_TABLE);
	table->config = *config;
	if (!slots_agree_locked(table, slots, nslots))
		forget_slots_locked(table);
	if (nslots > table->nslots &&
		!append_slots_locked(table, slots + table->nslots, nslots - table->nslots))
		report_full();
	ms_unlock(table->lock);
}

MsConfig
ms_table_get_config(MsTable *table)
{
	MsConfig	config;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	config = table->config;
	ms_unlock(table->lock);
	return config;
}

void
ms_table_count_skipped(MsTable *table, uint64 n)
{
	ms_lock(table->lock, MS_RANK_TABLE);
	table->skipped_samples += n;
	ms_unlock(table->lock);
}
