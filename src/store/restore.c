/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  Rebuilding memory from snapshot files.
 *
 * It is done in two passes.  The first reads the head of each file, decides
 * what need not be read at all (storage gone, window past retention), and finds each
 * table's settings: those of its youngest file.  The second reads whole files,
 * latest windows first, so that if room runs out it is the oldest data that
 * stays on disk.
 *
 * How one file is restored: restorefile.c.  What becomes of one that cannot be:
 *
 *	.damaged	its bytes are wrong; it is kept for whoever wants to look
 *	.unloaded	it is sound, but of another format version, or memory is full,
 *				or its tablespace is missing.  The next start tries it again,
 *				unless there is a new file of that name by then
 *
 * In both cases the file has a name that no snapshot writes to, a WARNING
 * tells, and everything else is restored.  A window half built is dropped.
 *
 * Not so in recovery, for logged tables: WAL is about to be replayed on top
 * of what is restored, and what is committed must not be missing
 * because a setting is too small.  Then a sound file that cannot be restored
 * is an ERROR, which stops the startup process; nothing is changed.  (A damaged
 * one does not get better by stopping.)
 *
 * What this does not do: write WAL.  A window that is missing here after its file was
 * damaged is not missing on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/restore.h"
#include "store/snapshot.h"

static void
setup_restore(MsRestore *restore, MsSnapCandidate *file)
{
	memset(restore, 0, sizeof(*restore));
	restore->file = file;
	restore->storage = MS_STORAGE_THERE;
	restore->stream.fd = -1;
}

static void
close_file(MsRestore *restore)
{
	if (restore->stream.fd >= 0)
		CloseTransientFile(restore->stream.fd);
	restore->stream.fd = -1;
}

/*
 * Calls a function that may throw, in a memory context that the caller deletes.  An
 * ERROR is a want of something rather than damage: the file may be all right.
 */
static bool
protected(MsRestore *restore, bool (*function) (MsRestore *restore))
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool ok = false;

	PG_TRY();
	{
		ok = function(restore);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LWLockReleaseAll();
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		ok = ms_restore_unloaded(restore, error->message);
	}
	PG_END_TRY();
	close_file(restore);
	return ok;
}

/*
 * Removing files, setting them aside
 */

static void
remove_file(const MsSnapName *name, MsSnapshotStats *stats)
{
	char		path[MAXPGPATH];

	ms_snapfile_path(path, name, MS_SNAP_LIVE);
	if (durable_unlink(path, LOG) == 0)
		stats->removed++;
}

static void
set_aside(const MsSnapName *name, MsRestoreOutcome outcome, const char *why,
		  MsSnapshotStats *stats)
{
	char		from[MAXPGPATH];
	char		to[MAXPGPATH];

	ms_snapfile_path(from, name, MS_SNAP_LIVE);
	ms_snapfile_path(to, name, outcome == MS_RESTORE_DAMAGED ? MS_SNAP_DAMAGED :
					 MS_SNAP_UNLOADED);
	stats->aside++;
	if (durable_rename(from, to, LOG) != 0)
		return;
	if (outcome == MS_RESTORE_DAMAGED)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("memseries snapshot file \"%s\" is damaged: %s", from, why),
				 errdetail("The samples in it are lost unless the file can be replaced; it was set aside as \"%s\".",
						   to)));
	else
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("memseries snapshot file \"%s\" was not restored: %s", from, why),
				 errdetail("The samples in it are missing from their table; the file was set aside as \"%s\".",
						   to),
				 errhint("It is tried again when the server starts next, if no samples were written for the same time meanwhile.")));
}

/* In recovery a sound file of a logged table must be restored, see the top; else returns. */
static void
refuse_recovery(const MsSnapName *name, const char *why)
{
	char		path[MAXPGPATH];

	if (!RecoveryInProgress())
		return;
	ms_snapfile_path(path, name, MS_SNAP_LIVE);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not restore memseries snapshot file \"%s\": %s", path, why),
			 errdetail("WAL is to be replayed that continues what is in it."),
			 errhint("Make room, for instance by setting \"memseries.memory\" at least as large as it was, and start the server again. Nothing is lost.")));
}

/*
 * Gives files that were set aside for want of something another chance.  Not in recovery: the server has
 * been running without them.
 */
static void
bring_back_unloaded(void)
{
	MsSnapName *names;
	int			n;

	if (RecoveryInProgress())
		return;
	n = ms_snapfile_list(MS_SNAP_UNLOADED, &names);

	for (int i = 0; i < n; i++)
	{
		char		from[MAXPGPATH];
		char		to[MAXPGPATH];

		ms_snapfile_path(from, &names[i], MS_SNAP_UNLOADED);
		ms_snapfile_path(to, &names[i], MS_SNAP_LIVE);
		if (access(to, F_OK) != 0)
			(void) durable_rename(from, to, LOG);
		else if (ms_storage_state(&names[i].key) == MS_STORAGE_GONE)
			(void) durable_unlink(from, LOG);
		else
			ereport(WARNING,
					(errmsg("memseries snapshot file \"%s\" is still not restored", from),
					 errdetail("Newer samples of the same window are in \"%s\".", to)));
	}
	pfree(names);
}

/*
 * First pass
 */

static bool
head_is_sane(const MsSnapCandidate *file)
{
	const MsSnapWindow *head = &file->head;

	return head->spc == file->name.key.spc && head->db == file->name.key.db &&
		head->rel == file->name.key.rel && head->start == file->name.start &&
		head->chunk_interval >= USECS_PER_SEC && head->nslots <= MS_MAX_SLOTS &&
		head->on_full <= MS_FULL_EXPIRE && head->on_out_of_range <= MS_RANGE_SKIP;
}

static void
head_config(const MsSnapWindow *head, MsConfig *config)
{
	memset(config, 0, sizeof(*config));
	config->chunk_interval = head->chunk_interval;
	config->retain = head->retain;
	config->max_series = head->max_series;
	config->on_full = head->on_full;
	config->on_out_of_range = head->on_out_of_range;
}

/* Reads and checks a file's head, if there is a table that it may be for. */
static bool
examine_contents(MsRestore *restore)
{
	MsSnapCandidate *file = restore->file;
	MsReader	reader;

	restore->storage = ms_storage_state(&file->name.key);
	if (restore->storage == MS_STORAGE_GONE)
		return false;
	if (restore->storage == MS_STORAGE_UNREACHABLE)
		return ms_restore_unloaded(restore, "its tablespace is missing");
	if (!ms_restore_open(restore, &reader, &file->head))
		return false;
	if (!head_is_sane(file))
		return ms_restore_damaged(restore, "its head does not fit its name");
	file->size = restore->stream.size;
	file->round = file->head.round;
	head_config(&file->head, &file->config);
	return true;
}

/* Looks at a file; false if it is not to be restored. */
static bool
examine(MsSnapCandidate *file, MsSnapshotStats *stats)
{
	MsRestore	restore;

	setup_restore(&restore, file);
	if (protected(&restore, examine_contents))
		return true;
	if (restore.storage == MS_STORAGE_GONE)
	{
		remove_file(&file->name, stats);
		return false;
	}
	if (restore.outcome == MS_RESTORE_UNLOADED)
		refuse_recovery(&file->name, restore.why);
	set_aside(&file->name, restore.outcome, restore.why, stats);
	return false;
}

static int
compare_keys(const MsTableKey *a, const MsTableKey *b)
{
	if (a->spc != b->spc)
		return a->spc < b->spc ? -1 : 1;
	if (a->db != b->db)
		return a->db < b->db ? -1 : 1;
	if (a->rel != b->rel)
		return a->rel < b->rel ? -1 : 1;
	return 0;
}

/* By table, youngest file first. */
static int
compare_by_table(const void *a, const void *b)
{
	const MsSnapCandidate *x = a;
	const MsSnapCandidate *y = b;
	int			order = compare_keys(&x->name.key, &y->name.key);

	if (order != 0)
		return order;
	return x->round > y->round ? -1 : x->round < y->round;
}

/* Latest window first. */
static int
compare_by_start(const void *a, const void *b)
{
	const MsSnapCandidate *x = a;
	const MsSnapCandidate *y = b;

	if (x->name.start != y->name.start)
		return x->name.start > y->name.start ? -1 : 1;
	return compare_keys(&x->name.key, &y->name.key);
}

/* Each file gets the settings of the youngest file of its table. */
static void
spread_configs(MsSnapCandidate *files, int n)
{
	qsort(files, n, sizeof(MsSnapCandidate), compare_by_table);
	for (int i = 1; i < n; i++)
	{
		if (compare_keys(&files[i - 1].name.key, &files[i].name.key) != 0)
			continue;
		files[i].config = files[i - 1].config;
		files[i].round = files[i - 1].round;
	}
}

/*
 * Removes the files of windows that would be expired at once; returns how many
 * are left.  Only of unlogged tables, as a standby has to be told of others: those are
 * restored for the keeper to expire.  In recovery it is replay that says what has expired.
 */
static int
drop_expired(MsSnapCandidate *files, int n, MsSnapshotStats *stats)
{
	TimestampTz now = GetCurrentTimestamp();
	int			kept = 0;

	if (RecoveryInProgress())
		return n;

	for (int i = 0; i < n; i++)
	{
		if (!files[i].head.logged &&
			files[i].head.end <= ms_config_horizon(&files[i].config, now))
			remove_file(&files[i].name, stats);
		else
			files[kept++] = files[i];
	}
	return kept;
}

static void
drop_half_built(MsRestore *restore)
{
	if (restore->window == NULL)
		return;
	ms_lock(restore->table->maintain, MS_RANK_MAINTAIN);
	ms_window_replay_drop(restore->table, restore->window->start, PG_UINT64_MAX);
	ms_unlock(restore->table->maintain);
}

/* Restores one file, or sets it aside. */
static void
restore_file(MsSnapCandidate *file, MsSnapshotStats *stats)
{
	MsRestore	restore;

	setup_restore(&restore, file);
	restore.done = stats->bytes;
	if (protected(&restore, ms_restore_contents))
	{
		stats->written++;
		stats->windows++;
	}
	else if (restore.outcome != MS_RESTORE_OUTDATED)
	{
		drop_half_built(&restore);
		if (restore.outcome == MS_RESTORE_UNLOADED && file->head.logged)
			refuse_recovery(&file->name, restore.why);
		set_aside(&file->name, restore.outcome, restore.why, stats);
	}
	stats->bytes += file->size;
}

/* An attempt that was broken off may have left something. */
static void
drop_everything(void)
{
	for (int i = 0; i < ms_store->max_tables; i++)
		if (ms_store->tables[i].in_use)
		{
			MsTable    *table = &ms_store->tables[i];
			MsTableKey	key = table->key;

			ms_table_drop(&key);
			ms_lock(table->maintain, MS_RANK_MAINTAIN);
			ms_table_free(table);
			ms_unlock(table->maintain);
		}
}

/* First pass over all files; returns how many are to be restored, latest first. */
static int
find_files(MsSnapCandidate **files, MemoryContext file_cxt, MsSnapshotStats *stats)
{
	MsSnapName *names;
	int			nnames;
	int			n = 0;

	bring_back_unloaded();
	nnames = ms_snapfile_list(MS_SNAP_LIVE, &names);
	*files = palloc_extended(sizeof(MsSnapCandidate) * (nnames + 1),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < nnames; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(file_cxt);

		(*files)[n].name = names[i];
		if (examine(&(*files)[n], stats))
			n++;
		MemoryContextSwitchTo(old);
		MemoryContextReset(file_cxt);
	}
	AtEOXact_SMgr();
	spread_configs(*files, n);
	n = drop_expired(*files, n, stats);
	qsort(*files, n, sizeof(MsSnapCandidate), compare_by_start);
	return n;
}

/* See snapshot.h. */
bool
ms_snapshot_restore(bool (*stop) (void), MsSnapshotStats *stats)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries restore",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext file_cxt = AllocSetContextCreate(cxt, "memseries snapshot file",
												   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	MsSnapCandidate *files;
	int			n;
	uint64		total = 0;
	bool		stopped = false;

	memset(stats, 0, sizeof(*stats));
	drop_everything();
	ms_snapfile_remove_temps();
	n = find_files(&files, file_cxt, stats);
	for (int i = 0; i < n; i++)
		total += files[i].size;
	ms_worker_report(MS_GUARD, "restoring", 0, total);
	for (int i = 0; i < n && !stopped; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(file_cxt);
		restore_file(&files[i], stats);
		MemoryContextSwitchTo(cxt);
		MemoryContextReset(file_cxt);
		ms_worker_progress(MS_GUARD, stats->bytes);
		stopped = stop != NULL && stop();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return !stopped;
}
