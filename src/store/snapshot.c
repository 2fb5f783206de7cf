/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Writing snapshots: from windows in memory to files.
 *
 * One round makes the files hold what memory holds.  It goes through all
 * windows, writes those that changed since their file was written under
 * temporary names, and then, all at once, puts the new files in place.
 * A sealed window thus is written once, and a round costs what has changed.
 *
 * What is in a file.  All chunks of the window as they are, and the runs not
 * yet folded.  A round takes PostgreSQL's own snapshot at its beginning and
 * keeps to it through all windows: runs that it does not see are left out,
 * and while it is held nothing newer can be folded into a chunk, because
 * folding asks for the oldest snapshot of all.  So after a crash no
 * transaction is back in one window and missing in another.  Three fates of a
 * run:
 *
 *	committed	written with FrozenTransactionId: its commit record is made
 *				durable before the file is, so nobody needs to ask the commit
 *				log again, which may be truncated by then
 *	prepared	written with its xid; the prepare record, which is durable,
 *				holds it, so no other transaction will ever have it.  Which
 *				ones are prepared is noted once, at the beginning: one that is
 *				committed or rolled back meanwhile must not be in some files only
 *	running		left out.  Its xid may be in no WAL record; after a crash it
 *				could be given to somebody else, whose commit would bring our
 *				rows to life.  The window is remembered as incomplete and written
 *				again in the next round.
 *
 * Of a logged table every run is written, committed ones as frozen likewise, and
 * the others with their xid, which is safe to keep because the run's own WAL
 * record has it: replay skips all records below the window's lsn, so the file
 * must hold what they did, whatever becomes of the transaction.
 *
 * The final round, before the server stops, takes what running transactions
 * have written too, with their xid: they may be about to commit, and in an orderly
 * stop the xid is safe (the shutdown checkpoint counts it).  The guard first
 * waits for them to end, so there are hardly any.
 *
 * How a window is copied: snapcopy.c.  An fsync is done holding no lock.
 *
 * Order of the durable steps: files under temporary names; WAL up to here (the
 * commit records of what the files hold); removal of files whose window has
 * left memory; renames; the directory.  Removal comes first because a
 * window's successor may have another name and overlap it.  But the files of
 * a table that is gone stay until the next round: its data may have moved to a
 * new table with a new name in this very round (a rewrite), and a base backup
 * reading the directory meanwhile could miss both.  Left alone they do no
 * harm, as restoring looks whether the table exists.
 *
 * Settings of a table are in every file of it, and those of the youngest
 * file count; so are its slots, and the longest list counts.  When they change,
 * one window is written that would not have been: the latest, which goes last.
 *
 * A round's number is above all numbers that runs and transactions have got
 * so far, and after a start those go on above the youngest round's: runs may
 * be folded here long before they are on a standby.
 *
 * What this does not do: keep old files.  A round that fails half-way leaves
 * some windows newer than others; the next one mends that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/snapcopy.h"
#include "store/snapshot.h"
#include "store/wal.h"

#define WRITE_BUFFER	(1024 * 1024)

/*
 * Values of snap_version that no version has: the window's file is incomplete;
 * it is being written.
 */
#define SNAP_PARTIAL	PG_UINT64_MAX
#define SNAP_WRITING	(PG_UINT64_MAX - 1)

/*
 * Files of tables that are gone, as the last round of this process saw them.
 * (In another process's first round they wait once more.)
 */
static MsSnapName *condemned = NULL;
static int	ncondemned = 0;

/* A file written in this round, waiting to be put in place. */
typedef struct NewFile
{
	MsSnapName	name;
	MsTable    *table;
	uint64		generation;
	uint64		version;		/* what becomes the window's snap_version */
	MsConfig	config;
	int			nslots;
} NewFile;

typedef struct Round
{
	uint64		number;
	bool		final;
	bool		mark;			/* a SNAPEND record is wanted in any case */
	bool		flushed;		/* WAL, by a SNAPEND record */
	XLogRecPtr	redo;			/* the redo point it will cover */
	MsSnapCut	cut;			/* what committed means; without a snapshot in
								 * the final one, and in recovery, when nobody
								 * writes */
	MsSnapshotStats *stats;
	uint64		total;			/* bytes expected to be written */
	uint8	   *buffer;			/* WRITE_BUFFER */
	NewFile    *files;
	int			nfiles;
	int			files_cap;
} Round;

/* Are the table's settings and slots in files that will not go before all others of it? */
static bool
table_is_known(const MsTable *table, const MsSnapCopy *copy)
{
	return table->snap_config_known &&
		table->snap_nslots >= copy->nslots &&
		ms_config_equal(&table->snap_config, &copy->config);
}

/* See snapfile.h.  Also makes later rounds have higher numbers.  Called while nobody else takes or restores snapshots. */
void
ms_snapshot_note_restored(MsTable *table, uint64 round)
{
	table->snap_config = ms_table_get_config(table);
	table->snap_config_known = true;
	if (pg_atomic_read_u64(&ms_store->snap_round) < round)
		pg_atomic_write_u64(&ms_store->snap_round, round);
}

static void
remember_file(Round *round, const MsSnapCopy *copy)
{
	NewFile    *file;

	if (round->nfiles == round->files_cap)
	{
		round->files_cap = Max(64, round->files_cap * 2);
		round->files = round->files == NULL ?
			palloc(sizeof(NewFile) * round->files_cap) :
			repalloc_huge(round->files, sizeof(NewFile) * round->files_cap);
	}
	file = &round->files[round->nfiles++];

	/* The table may be gone by now, and its entry somebody else's. */
	file->name.key.spc = copy->head.spc;
	file->name.key.db = copy->head.db;
	file->name.key.rel = copy->head.rel;
	file->name.start = copy->head.start;
	file->table = copy->table;
	file->generation = copy->generation;
	file->version = copy->partial ? SNAP_PARTIAL : copy->version;
	file->config = copy->config;
	file->nslots = copy->nslots;
}

/*
 * The last window that ends at or before *limit, moving *limit to its start;
 * NULL if there is none, or no such table.  Caller holds maintain.
 */
static MsWindow *
previous_window(MsTable *table, int64 *limit, uint64 generation)
{
	MsWindow   *window = NULL;
	int			i;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (table->in_use && table->generation == generation &&
		pg_atomic_read_u32(&table->dropped) == 0)
	{
		i = ms_window_search_locked(table, *limit) - 1;
		if (i >= 0)
		{
			window = ms_window_at(table, i);
			*limit = window->start;
		}
	}
	ms_unlock(table->lock);
	return window;
}

/*
 * Writes the files of a table that want writing.  Latest window first: should
 * settings have to be written, they go there.
 */
static void
write_table(Round *round, MsTable *table)
{
	MsSnapCopy	copy;
	uint64		generation = table->generation;
	int64		limit = PG_INT64_MAX;
	bool		config_written = false;

	ms_snapcopy_init(&copy, table);
	for (;;)
	{
		MsSnapStream stream;
		bool		write;

		CHECK_FOR_INTERRUPTS();
		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		copy.window = previous_window(table, &limit, generation);
		if (copy.window == NULL)
		{
			ms_unlock(table->maintain);
			break;
		}
		ms_snapcopy_note(&copy);
		write = copy.version != copy.window->snap_version ||
			!(config_written || table_is_known(table, &copy));
		if (write)
		{
			copy.head.round = round->number;
			write = ms_snapcopy_judge(&copy, &round->cut);
			copy.window->snap_version = write ? SNAP_WRITING : 0;
			if (write)
				round->stats->bytes += ms_snapcopy_write(&copy, &stream, round->buffer,
														 WRITE_BUFFER, round->stats->bytes);
		}
		ms_unlock(table->maintain);

		if (write)
		{
			TimestampTz start = GetCurrentTimestamp();

			ms_snapstream_sync(&stream);
			round->stats->sync_us += GetCurrentTimestamp() - start;
			remember_file(round, &copy);
			config_written = true;
		}
	}
	ms_snapcopy_free(&copy);
}

/*
 * Putting files in place
 */

/*
 * Before anything is put in place or removed, WAL must be durable as far as
 * memory went.  A record of our own marks the place.  In recovery it is durable, but
 * should replay begin anew, nobody may read before it has come this far
 * again: XLogFlush then notes that in pg_control.
 */
static void
flush_wal(Round *round)
{
	if (round->flushed)
		return;
	if (RecoveryInProgress())
		XLogFlush(GetXLogReplayRecPtr(NULL));
	else
		ms_wal_snapend(round->redo);
	round->flushed = true;
}

static bool
remove_file(Round *round, const MsSnapName *name)
{
	char		path[MAXPGPATH];

	flush_wal(round);
	ms_snapfile_path(path, name, MS_SNAP_LIVE);
	if (unlink(path) == 0)
		return true;
	if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
	return false;
}

typedef enum FileOwner
{
	OWNER_LIVES,				/* its window is in memory and keeps it */
	OWNER_EMPTY,				/* its table is in memory, but not its window */
	OWNER_GONE					/* nor its table */
} FileOwner;

static FileOwner
file_owner(const MsSnapName *name)
{
	MsTable    *table = ms_table_lookup(&name->key);
	MsWindow   *window;
	FileOwner	owner = OWNER_GONE;

	if (table == NULL)
		return OWNER_GONE;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (table->in_use && memcmp(&table->key, &name->key, sizeof(MsTableKey)) == 0)
	{
		window = ms_window_find_locked(table, name->start);
		owner = window != NULL && window->start == name->start &&
			window->snap_version != 0 ? OWNER_LIVES : OWNER_EMPTY;
	}
	ms_unlock(table->lock);
	return owner;
}

static bool
was_condemned(const MsSnapName *name)
{
	for (int i = 0; i < ncondemned; i++)
		if (memcmp(&condemned[i].key, &name->key, sizeof(MsTableKey)) == 0 &&
			condemned[i].start == name->start)
			return true;
	return false;
}

/* Removes files without an owner; see the top for why some have to wait. */
static void
remove_orphans(Round *round)
{
	MsSnapName *names;
	int			n = ms_snapfile_list(MS_SNAP_LIVE, &names);
	MsSnapName *waiting = MemoryContextAllocHuge(TopMemoryContext,
												 sizeof(MsSnapName) * (n + 1));
	int			nwaiting = 0;

	for (int i = 0; i < n; i++)
	{
		FileOwner	owner = file_owner(&names[i]);

		if (owner == OWNER_EMPTY ||
			(owner == OWNER_GONE && (round->final || was_condemned(&names[i]))))
		{
			if (remove_file(round, &names[i]))
				round->stats->removed++;
		}
		else if (owner == OWNER_GONE)
			waiting[nwaiting++] = names[i];
	}
	if (condemned != NULL)
		pfree(condemned);
	condemned = waiting;
	ncondemned = nwaiting;
}

static void
rename_files(Round *round)
{
	for (int i = 0; i < round->nfiles; i++)
	{
		char		from[MAXPGPATH];
		char		to[MAXPGPATH];

		ms_snapfile_temp_path(from, &round->files[i].name);
		ms_snapfile_path(to, &round->files[i].name, MS_SNAP_LIVE);
		if (rename(from, to) < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rename file \"%s\" to \"%s\": %m", from, to)));
	}
}

/*
 * Tells windows and settings that they are in files now.  A window that is not
 * marked any more is another one of the same start.
 */
static void
mark_written(Round *round)
{
	for (int i = 0; i < round->nfiles; i++)
	{
		NewFile    *file = &round->files[i];
		MsTable    *table = file->table;
		MsWindow   *window = NULL;

		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		ms_lock_shared(table->lock, MS_RANK_TABLE);
		if (table->in_use && table->generation == file->generation)
			window = ms_window_find_locked(table, file->name.start);
		ms_unlock(table->lock);
		if (window != NULL && window->start == file->name.start &&
			window->snap_version == SNAP_WRITING)
			window->snap_version = file->version;
		if (window != NULL)
		{
			table->snap_config = file->config;
			table->snap_config_known = true;
			table->snap_nslots = file->nslots;
		}
		ms_unlock(table->maintain);
	}
	round->stats->written = round->nfiles;
}

/*
 * The round
 */

/* Windows with content, and the bytes of those that have changed, for the progress report. */
static void
survey(Round *round)
{
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		for (int k = 0; table->in_use && k < table->nwindows; k++)
		{
			MsWindow   *window = ms_window_at(table, k);

			if (window->nchunks + window->nruns > 0)
				round->stats->windows++;
			if (window->version != window->snap_version)
				round->total += window->chunk_bytes + window->run_bytes;
		}
		ms_unlock(table->lock);
	}
}

static void
run_round(Round *round)
{
	ms_snapfile_remove_temps();
	survey(round);
	ms_worker_report(MS_GUARD, round->final ? "final snapshot" : "snapshot",
					 0, round->total);

	if (!round->final && !RecoveryInProgress())
		ms_snapcut_take(&round->cut);
	for (int i = 0; i < ms_store->max_tables; i++)
		if (ms_store->tables[i].in_use)
			write_table(round, &ms_store->tables[i]);
	MyProc->xmin = InvalidTransactionId;

	ms_worker_report(MS_GUARD, "snapshot: making files durable", 0, 0);
	remove_orphans(round);
	if (round->nfiles > 0 || round->mark)
		flush_wal(round);
	rename_files(round);
	if (round->nfiles > 0 || round->stats->removed > 0)
	{
		TimestampTz start = GetCurrentTimestamp();

		fsync_fname(MS_SNAP_DIR, true);
		round->stats->sync_us += GetCurrentTimestamp() - start;
	}
	mark_written(round);
}

/* A new round's number, see the top. */
static uint64
next_round(void)
{
	uint64		number = Max(pg_atomic_read_u64(&ms_store->snap_round) + 1,
							 (uint64) GetCurrentTimestamp());

	number = Max(number, pg_atomic_read_u64(&ms_store->order));
	number = Max(number, pg_atomic_read_u64(&ms_store->txn));
	pg_atomic_write_u64(&ms_store->snap_round, number);
	return number;
}

/* See snapshot.h. */
void
ms_snapshot_write(int flags, MsSnapshotStats *stats)
{
	MemoryContext cxt = AllocSetContextCreate(TopMemoryContext, "memseries snapshot",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Round	   *round = palloc0(sizeof(Round));

	memset(stats, 0, sizeof(*stats));
	round->final = (flags & MS_SNAPSHOT_FINAL) != 0;
	round->mark = (flags & MS_SNAPSHOT_MARK) != 0;
	round->redo = GetRedoRecPtr();
	round->stats = stats;
	round->buffer = palloc(WRITE_BUFFER);
	round->number = next_round();

	ms_snapfile_make_dir();
	PG_TRY();
	{
		run_round(round);
	}
	PG_CATCH();
	{
		MyProc->xmin = InvalidTransactionId;
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
		/* the disk may be full because of them */
		ms_snapfile_remove_temps();
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}
