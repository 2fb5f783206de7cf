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
 * Copying a window.  While table->maintain is held, chunks and runs neither
 * change nor go away, and no series is released.  So table->lock is taken shared
 * only to note what the window holds at that moment, and then in slices to
 * look up chunks and labels; the bytes go straight from shared memory to the
 * file, through a buffer.  Runs appended meanwhile are not in the list that was
 * noted.  An fsync is done holding no lock.
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
 * file count.  When they change, one window is written that would not have
 * been: the latest, which goes last.
 *
 * What this does not do: keep old files.  A round that fails half-way leaves
 * some windows newer than others; the next one mends that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/twophase.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/run.h"
#include "store/snapfile.h"
#include "store/snapshot.h"
#include "store/wal.h"

#define WRITE_BUFFER	(1024 * 1024)
#define SLICE_SERIES	256		/* looked up under one hold of table->lock */
#define SLICE_BYTES		(1024 * 1024)	/* a section ends when it has as many */

/*
 * Values of snap_version that no version has: the window's file is incomplete;
 * it is being written.
 */
#define SNAP_PARTIAL	PG_UINT64_MAX
#define SNAP_WRITING	(PG_UINT64_MAX - 1)

/* Settings as the youngest file of a table has them, by entry of the directory. */
typedef struct KnownConfig
{
	uint64		generation;		/* of the table; 0: nothing known */
	MsConfig	config;
} KnownConfig;

/* What this process remembers from one round to the next. */
static KnownConfig *known_configs = NULL;	/* [max_tables] */
static uint64 last_round = 0;
static MsSnapName *condemned = NULL;	/* files of tables that are gone, as
										 * the last round saw them */
static int	ncondemned = 0;

/* A file written in this round, waiting to be put in place. */
typedef struct NewFile
{
	MsSnapName	name;
	MsTable    *table;
	uint64		generation;
	uint64		version;		/* what becomes the window's snap_version */
	MsConfig	config;
} NewFile;

typedef struct Round
{
	uint64		number;
	bool		final;
	bool		flushed;		/* WAL, by a SNAPEND record */
	XLogRecPtr	redo;			/* the redo point it will cover */
	Snapshot	cut;			/* what committed means; NULL in the final one,
								 * and in recovery, when nobody writes */
	TransactionId *prepared;	/* of those running in the cut */
	int			nprepared;
	MsSnapshotStats *stats;
	uint64		total;			/* bytes expected to be written */
	uint8	   *buffer;			/* WRITE_BUFFER */
	NewFile    *files;
	int			nfiles;
	int			files_cap;
} Round;

/* A run as it was judged. */
typedef struct NotedRun
{
	MsRun	   *run;
	TransactionId xid;			/* to be written; Invalid: left out */
} NotedRun;

/* A window as it was noted. */
typedef struct Noted
{
	MsTable    *table;
	MsWindow   *window;
	uint64		generation;
	MsConfig	config;
	MsSnapWindow head;
	MsSnapSlot *slots;			/* [MS_MAX_SLOTS] */
	int			nlabels;
	uint32		series_limit;
	uint64		version;
	NotedRun   *runs;			/* newest first */
	uint32		nruns;
	uint32		runs_cap;
	bool		partial;		/* some run was left out that may yet commit */
	Bitmapset  *run_series;		/* series of the pieces to be written */
} Noted;

static KnownConfig *
known_config(MsTable *table)
{
	if (known_configs == NULL)
		known_configs = MemoryContextAllocZero(TopMemoryContext,
											   sizeof(KnownConfig) * ms_store->max_tables);
	return &known_configs[table - ms_store->tables];
}

static bool
config_is_known(MsTable *table, const MsConfig *config)
{
	KnownConfig *known = known_config(table);

	return known->generation == table->generation &&
		known->config.chunk_interval == config->chunk_interval &&
		known->config.retain == config->retain &&
		known->config.max_series == config->max_series &&
		known->config.on_full == config->on_full &&
		known->config.on_out_of_range == config->on_out_of_range;
}

/* See snapfile.h.  Also makes later rounds have higher numbers. */
void
ms_snapshot_note_restored(MsTable *table, uint64 round)
{
	KnownConfig *known = known_config(table);

	known->generation = table->generation;
	known->config = ms_table_get_config(table);
	last_round = Max(last_round, round);
}

/*
 * Judging runs
 */

/* Of a transaction in progress. */
static bool
is_prepared(TransactionId xid)
{
	return BackendXidGetPid(SubTransGetTopmostTransaction(xid)) == 0;
}

/*
 * Takes the snapshot that the round goes by, without a transaction: whoever
 * calls this resets MyProc->xmin.  Then lists what is prepared now.  The entries
 * may be stale, or of a transaction that is still preparing (which its own backend
 * has too, with a pid); one that has ended since its entry was read is taken
 * as well, as its commit or abort record is as good as a prepare record.
 */
static void
take_cut(Round *round)
{
	static SnapshotData cut;

	cut.snapshot_type = SNAPSHOT_MVCC;
	round->cut = GetSnapshotData(&cut);
	round->prepared = palloc(sizeof(TransactionId) * (max_prepared_xacts + 1));
	for (int i = 0; i < max_prepared_xacts; i++)
	{
		TransactionId xid = ((volatile PGPROC *) &PreparedXactProcs[i])->xid;

		if (TransactionIdIsNormal(xid) && XidInMVCCSnapshot(xid, round->cut) &&
			BackendXidGetPid(xid) == 0)
			round->prepared[round->nprepared++] = xid;
	}
}

static bool
was_prepared(const Round *round, TransactionId xid)
{
	TransactionId top = SubTransGetTopmostTransaction(xid);

	for (int i = 0; i < round->nprepared; i++)
		if (round->prepared[i] == top)
			return true;
	return false;
}

/* Sets noted->xid; true if the run is left out but may commit, or has. */
static bool
judge_run(const Round *round, NotedRun *noted, bool logged)
{
	MsRun	   *run = noted->run;
	uint32		hint = pg_atomic_read_u32(&run->hint);
	bool		running;

	noted->xid = InvalidTransactionId;
	if (hint == MS_HINT_ABORTED)
		return false;
	if (logged)
	{
		noted->xid = hint == MS_HINT_COMMITTED || TransactionIdDidCommit(run->xid) ?
			FrozenTransactionId : run->xid;
		return false;
	}
	if (round->cut != NULL)
		running = XidInMVCCSnapshot(run->xid, round->cut);
	else
		running = hint == MS_HINT_NONE && TransactionIdIsInProgress(run->xid);
	if (!running)
	{
		if (hint == MS_HINT_COMMITTED || TransactionIdDidCommit(run->xid))
			noted->xid = FrozenTransactionId;
		return false;
	}
	if (round->cut == NULL || was_prepared(round, run->xid))
	{
		noted->xid = run->xid;
		return false;
	}
	return true;
}

/* See snapshot.h.  Takes table->lock shared, of each table in turn. */
bool
ms_snapshot_has_writers(void)
{
	for (int i = 0; i < ms_store->max_tables; i++)
	{
		MsTable    *table = &ms_store->tables[i];
		bool		found = false;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		for (int k = 0; table->in_use && k < table->nwindows && !found; k++)
		{
			for (MsRef ref = ms_window_at(table, k)->runs; ref != 0 && !found;)
			{
				MsRun	   *run = ms_ptr(ms_store->arena, ref);

				found = pg_atomic_read_u32(&run->hint) == MS_HINT_NONE &&
					TransactionIdIsInProgress(run->xid) && !is_prepared(run->xid);
				ref = run->next;
			}
		}
		ms_unlock(table->lock);
		if (found)
			return true;
	}
	return false;
}

/*
 * Noting what a window holds
 */

static void
note_slots_locked(Noted *noted)
{
	MsTable    *table = noted->table;
	MsSlot	   *slots = table->nslots > 0 ? ms_ptr(ms_store->arena, table->slots) : NULL;

	noted->head.nslots = table->nslots;
	noted->nlabels = table->nlabels;
	for (int i = 0; i < table->nslots; i++)
	{
		noted->slots[i].attnum = slots[i].attnum;
		noted->slots[i].role = slots[i].role;
		noted->slots[i].kind = slots[i].kind;
		noted->slots[i].has_missing = slots[i].has_missing;
		noted->slots[i].missing = slots[i].missing;
	}
}

static void
note_head_locked(Noted *noted)
{
	MsSnapWindow *head = &noted->head;
	MsTable    *table = noted->table;
	MsWindow   *window = noted->window;

	head->spc = table->key.spc;
	head->db = table->key.db;
	head->rel = table->key.rel;
	head->start = window->start;
	head->end = window->end;
	head->sealed = window->sealed;
	head->lsn = window->lsn;
	noted->config = table->config;
	head->chunk_interval = table->config.chunk_interval;
	head->retain = table->config.retain;
	head->max_series = table->config.max_series;
	head->on_full = table->config.on_full;
	head->on_out_of_range = table->config.on_out_of_range;
	head->logged = table->logged;
	head->nchunks = window->nchunks;
	head->nsamples = window->nsamples;
	noted->generation = table->generation;
	noted->version = window->version;
	noted->series_limit = ms_series_limit(&table->series);
	note_slots_locked(noted);
}

/* Notes head and runs in one moment.  Caller holds maintain, not lock. */
static void
note_window(Noted *noted)
{
	MsTable    *table = noted->table;
	MsWindow   *window = noted->window;

	for (;;)
	{
		uint32		want;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		want = window->nruns;
		if (want <= noted->runs_cap)
			break;
		ms_unlock(table->lock);
		noted->runs_cap = want + want / 4 + 64;
		if (noted->runs != NULL)
			pfree(noted->runs);
		noted->runs = palloc_extended(sizeof(NotedRun) * noted->runs_cap,
									  MCXT_ALLOC_HUGE);
	}
	note_head_locked(noted);
	noted->nruns = 0;
	for (MsRef ref = window->runs; ref != 0;)
	{
		MsRun	   *run = ms_ptr(ms_store->arena, ref);

		Assert(noted->nruns < noted->runs_cap);
		noted->runs[noted->nruns++].run = run;
		ref = run->next;
	}
	ms_unlock(table->lock);
}

/* Judges the runs noted, and gathers the series that only they have. */
static void
judge_runs(const Round *round, Noted *noted)
{
	noted->partial = false;
	noted->head.nruns = 0;
	bms_free(noted->run_series);
	noted->run_series = NULL;
	for (uint32 i = 0; i < noted->nruns; i++)
	{
		MsRun	   *run = noted->runs[i].run;
		MsPiece    *piece = ms_run_first_piece(run);

		if (judge_run(round, &noted->runs[i], noted->head.logged))
			noted->partial = true;
		if (!TransactionIdIsValid(noted->runs[i].xid))
			continue;
		noted->head.nruns++;
		for (uint32 k = 0; k < run->npieces; k++)
		{
			if (piece->run != 0)
				noted->run_series = bms_add_member(noted->run_series, piece->sid);
			piece = ms_run_next_piece(piece);
		}
	}
}

/*
 * Writing a window's file
 */

static void
put_window(MsSnapWriter *w, const Noted *noted)
{
	uint8	   *buf = palloc(MS_SNAP_WINDOW_MAX + MS_SNAP_SLOT_MAX * noted->head.nslots);
	Size		len = ms_snap_put_window(buf, &noted->head, noted->slots);

	ms_snap_section(w, MS_SNAP_WINDOW, len);
	ms_snap_put(w, buf, len);
	pfree(buf);
}

/* A section's worth of series. */
typedef struct Slice
{
	MsSnapSeries *series;		/* [SLICE_SERIES] */
	MsSnapLabel *labels;		/* [SLICE_SERIES * nlabels] */
	MsLabelValue *values;		/* [nlabels] */
	int			n;
	Size		size;			/* of the section */
} Slice;

/*
 * Adds a series to the slice, if the file is to have it.  The labels that the
 * series table lends stay where they are while maintain is held, as only its
 * holder releases series.  Caller holds maintain, and lock shared.
 */
static void
slice_add_locked(const Noted *noted, Slice *slice, uint32 sid)
{
	MsArena    *arena = ms_store->arena;
	MsEntry    *entry = ms_entry_locked(noted->window, sid);
	MsSnapSeries *s = &slice->series[slice->n];
	MsSnapLabel *labels = &slice->labels[slice->n * noted->nlabels];

	if (entry == NULL ||
		(entry->chunk == 0 && !bms_is_member(sid, noted->run_series)))
		return;
	memset(s, 0, sizeof(*s));
	s->sid = sid;
	s->nlabels = ms_series_labels(arena, &noted->table->series, sid,
								  slice->values, noted->nlabels);
	s->nlabels = Min(s->nlabels, (uint32) noted->nlabels);
	for (uint32 i = 0; i < s->nlabels; i++)
	{
		const MsLabelValue *value = &slice->values[i];

		labels[i].len = value->isnull ? 0 : value->len;
		labels[i].data = value->isnull ? NULL :
			value->len > 0 ? value->bytes : (const uint8 *) "";
	}
	if (entry->chunk != 0)
	{
		MsStored   *stored = ms_ptr(arena, entry->chunk);

		s->chunk = stored->data;
		s->chunk_len = stored->len;
	}
	slice->size += ms_snap_series_size(s, labels);
	slice->n++;
}

static void
put_series(MsSnapWriter *w, const Noted *noted)
{
	Slice		slice;
	uint32		sid = 0;

	slice.series = palloc(sizeof(MsSnapSeries) * SLICE_SERIES);
	slice.labels = palloc(sizeof(MsSnapLabel) * SLICE_SERIES * (noted->nlabels + 1));
	slice.values = palloc(sizeof(MsLabelValue) * (noted->nlabels + 1));
	while (sid < noted->series_limit && !w->failed)
	{
		uint32		looked_at = 0;

		slice.n = 0;
		slice.size = 0;
		ms_lock_shared(noted->table->lock, MS_RANK_TABLE);
		for (; sid < noted->series_limit && slice.n < SLICE_SERIES &&
			 slice.size < SLICE_BYTES && looked_at < SLICE_SERIES * 16; looked_at++)
			slice_add_locked(noted, &slice, sid++);
		ms_unlock(noted->table->lock);
		if (slice.n == 0)
			continue;

		ms_snap_section(w, MS_SNAP_SERIES, slice.size);
		for (int i = 0; i < slice.n; i++)
			ms_snap_put_series(w, &slice.series[i], &slice.labels[i * noted->nlabels]);
		ms_worker_progress(MS_GUARD, w->written);
	}
	pfree(slice.series);
	pfree(slice.labels);
	pfree(slice.values);
}

/* The pieces of a run not yet folded, in as many sections as it takes. */
static void
put_pieces(MsSnapWriter *w, MsRun *run, uint32 npieces)
{
	MsPiece    *piece = ms_run_first_piece(run);
	MsSnapPiece *batch = palloc(sizeof(MsSnapPiece) * SLICE_SERIES);
	int			n = 0;
	Size		size = 0;

	while (npieces > 0)
	{
		if (piece->run != 0)
		{
			batch[n].sid = piece->sid;
			batch[n].kind = piece->kind;
			batch[n].data = piece->data;
			batch[n].len = piece->len;
			size += ms_snap_piece_size(&batch[n]);
			n++;
			npieces--;
		}
		if (n == SLICE_SERIES || size >= SLICE_BYTES || npieces == 0)
		{
			ms_snap_section(w, MS_SNAP_PIECES, size);
			for (int i = 0; i < n; i++)
				ms_snap_put_piece(w, &batch[i]);
			n = 0;
			size = 0;
		}
		piece = ms_run_next_piece(piece);
	}
	pfree(batch);
}

static void
put_run(MsSnapWriter *w, const NotedRun *noted)
{
	MsRun	   *run = noted->run;
	MsPiece    *piece = ms_run_first_piece(run);
	MsSnapRun	head = {0};
	uint8		buf[MS_SNAP_RUN_MAX];
	Size		len;

	head.xid = noted->xid;
	head.cid = run->cid;
	head.txn = run->txn;
	head.order = run->order;
	head.seq = run->seq;
	for (uint32 i = 0; i < run->npieces; i++)
	{
		if (piece->run != 0)
		{
			head.npieces++;
			head.bytes += TYPEALIGN(MS_SNAP_PIECE_ALIGN, piece->len);
		}
		piece = ms_run_next_piece(piece);
	}
	len = ms_snap_put_run(buf, &head);
	ms_snap_section(w, MS_SNAP_RUN, len);
	ms_snap_put(w, buf, len);
	put_pieces(w, run, head.npieces);
	ms_worker_progress(MS_GUARD, w->written);
}

static void
report_write_failure(MsSnapStream *stream)
{
	errno = stream->error;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write to file \"%s\": %m", stream->path)));
}

/*
 * Writes what was noted to a temporary file, not yet synced.  Caller holds
 * maintain.  Oldest runs first, so that restoring them one by one leads to
 * the same list.
 */
static void
write_noted(Round *round, const Noted *noted, MsSnapStream *stream)
{
	MsSnapName	name = {noted->table->key, noted->head.start};
	MsSnapWriter w;
	char		path[MAXPGPATH];

	ms_snapfile_temp_path(path, &name);
	ms_snapstream_create(stream, path);
	ms_snap_start(&w, round->buffer, WRITE_BUFFER, ms_snapstream_write, stream,
				  MS_SNAP_KIND_WINDOW);
	put_window(&w, noted);
	put_series(&w, noted);
	for (uint32 i = noted->nruns; i > 0 && !w.failed; i--)
		if (TransactionIdIsValid(noted->runs[i - 1].xid))
			put_run(&w, &noted->runs[i - 1]);
	if (!ms_snap_finish(&w))
		report_write_failure(stream);
	round->stats->bytes += w.written;
}

static void
remember_file(Round *round, const Noted *noted)
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
	file->name.key.spc = noted->head.spc;
	file->name.key.db = noted->head.db;
	file->name.key.rel = noted->head.rel;
	file->name.start = noted->head.start;
	file->table = noted->table;
	file->generation = noted->generation;
	file->version = noted->partial ? SNAP_PARTIAL : noted->version;
	file->config = noted->config;
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
	Noted		noted = {0};
	uint64		generation = table->generation;
	int64		limit = PG_INT64_MAX;
	bool		config_written = false;

	noted.table = table;
	noted.slots = palloc(sizeof(MsSnapSlot) * MS_MAX_SLOTS);
	for (;;)
	{
		MsSnapStream stream;
		bool		write;

		CHECK_FOR_INTERRUPTS();
		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		noted.window = previous_window(table, &limit, generation);
		if (noted.window == NULL)
		{
			ms_unlock(table->maintain);
			break;
		}
		note_window(&noted);
		write = noted.version != noted.window->snap_version ||
			!(config_written || config_is_known(table, &noted.config));
		if (write)
		{
			judge_runs(round, &noted);
			noted.head.round = round->number;
			write = noted.head.nchunks + noted.head.nruns > 0;
			noted.window->snap_version = write ? SNAP_WRITING : 0;
			if (write)
				write_noted(round, &noted, &stream);
		}
		ms_unlock(table->maintain);

		if (write)
		{
			ms_snapstream_sync(&stream);
			remember_file(round, &noted);
			config_written = true;
		}
	}
	if (noted.runs != NULL)
		pfree(noted.runs);
	bms_free(noted.run_series);
	pfree(noted.slots);
}

/*
 * Putting files in place
 */

/*
 * Before anything is put in place or removed, WAL must be durable as far as
 * memory went; in recovery it is.  A record of our own marks the place.
 */
static void
flush_wal(Round *round)
{
	if (!round->flushed && !RecoveryInProgress())
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
		KnownConfig *known = known_config(table);
		MsWindow   *window = NULL;

		ms_lock(table->maintain, MS_RANK_MAINTAIN);
		ms_lock_shared(table->lock, MS_RANK_TABLE);
		if (table->in_use && table->generation == file->generation)
			window = ms_window_find_locked(table, file->name.start);
		ms_unlock(table->lock);
		if (window != NULL && window->start == file->name.start &&
			window->snap_version == SNAP_WRITING)
			window->snap_version = file->version;
		ms_unlock(table->maintain);

		known->generation = file->generation;
		known->config = file->config;
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
		take_cut(round);
	for (int i = 0; i < ms_store->max_tables; i++)
		if (ms_store->tables[i].in_use)
			write_table(round, &ms_store->tables[i]);
	MyProc->xmin = InvalidTransactionId;

	ms_worker_report(MS_GUARD, "snapshot: making files durable", 0, 0);
	remove_orphans(round);
	if (round->nfiles > 0)
		flush_wal(round);
	rename_files(round);
	if (round->nfiles > 0 || round->stats->removed > 0)
		fsync_fname(MS_SNAP_DIR, true);
	mark_written(round);
}

/* See snapshot.h. */
void
ms_snapshot_write(bool final, MsSnapshotStats *stats)
{
	MemoryContext cxt = AllocSetContextCreate(TopMemoryContext, "memseries snapshot",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Round	   *round = palloc0(sizeof(Round));

	memset(stats, 0, sizeof(*stats));
	round->final = final;
	round->redo = GetRedoRecPtr();
	round->stats = stats;
	round->buffer = palloc(WRITE_BUFFER);
	last_round = Max(last_round + 1, (uint64) GetCurrentTimestamp());
	round->number = last_round;

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
