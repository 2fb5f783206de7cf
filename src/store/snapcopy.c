/*-------------------------------------------------------------------------
 *
 * snapcopy.c
 *	  One window's content as a snapshot takes it.
 *
 * A window is copied in three steps, all under table->maintain.  First it is
 * noted what the window holds at one moment, under table->lock: its head and the
 * list of its runs.  Then the runs are judged: which of them the file is to
 * have, and under which xid (see snapshot.c).  Then all of that is written.
 *
 * While maintain is held, chunks and runs neither change nor go away, and no
 * series is released.  So for writing, table->lock is taken shared only in slices, to
 * look up chunks and labels; the bytes go straight from shared memory to the file,
 * through a buffer.  Runs appended meanwhile are not in the list that was
 * noted, and series that only they have are not written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/twophase.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "store/snapcopy.h"
#include "store/snapshot.h"

#define SLICE_SERIES	256		/* looked up under one hold of table->lock */
#define SLICE_BYTES		(1024 * 1024)	/* a section ends when it has as many */

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
 * Takes the snapshot that a round goes by, without a transaction.  Then lists
 * what is prepared now.  The entries
 * may be stale, or of a transaction that is still preparing (which its own backend
 * has too, with a pid); one that has ended since its entry was read is taken
 * as well, as its commit or abort record is as good as a prepare record.
 */
void
ms_snapcut_take(MsSnapCut *cut)
{
	static SnapshotData data;

	data.snapshot_type = SNAPSHOT_MVCC;
	cut->snapshot = GetSnapshotData(&data);
	cut->nprepared = 0;
	cut->prepared = palloc(sizeof(TransactionId) * (max_prepared_xacts + 1));
	for (int i = 0; i < max_prepared_xacts; i++)
	{
		TransactionId xid = ((volatile PGPROC *) &PreparedXactProcs[i])->xid;

		if (TransactionIdIsNormal(xid) && XidInMVCCSnapshot(xid, cut->snapshot) &&
			BackendXidGetPid(xid) == 0)
			cut->prepared[cut->nprepared++] = xid;
	}
}

static bool
was_prepared(const MsSnapCut *cut, TransactionId xid)
{
	TransactionId top = SubTransGetTopmostTransaction(xid);

	for (int i = 0; i < cut->nprepared; i++)
		if (cut->prepared[i] == top)
			return true;
	return false;
}

/* Has it committed, for certain? */
static bool
has_committed(MsRun *run)
{
	return pg_atomic_read_u32(&run->hint) == MS_HINT_COMMITTED ||
		ms_xid_did_commit(run->xid);
}

/*
 * Under which xid to write a run: Frozen if it is to count without asking, Invalid
 * if it is left out.  *partial is set if the file is to be written again when the
 * transaction has ended.
 */
static TransactionId
judge_run(MsRun *run, const MsSnapCut *cut, bool logged, bool *partial)
{
	uint32		hint = pg_atomic_read_u32(&run->hint);
	bool		running;

	if (hint == MS_HINT_ABORTED)
		return InvalidTransactionId;

	/*
	 * In recovery nobody can tell yet what is prepared, and nothing has to be
	 * left out.
	 */
	if (logged || RecoveryInProgress())
		return has_committed(run) ? FrozenTransactionId : run->xid;
	if (cut->snapshot != NULL)
		running = XidInMVCCSnapshot(run->xid, cut->snapshot);
	else
		running = hint == MS_HINT_NONE && TransactionIdIsInProgress(run->xid);
	if (!running)
		return has_committed(run) ? FrozenTransactionId : InvalidTransactionId;
	if (cut->snapshot != NULL && was_prepared(cut, run->xid))
		return run->xid;

	/*
	 * should the server not stop after a final round, the next one writes it
	 * again
	 */
	*partial = true;
	return cut->snapshot == NULL ? run->xid : InvalidTransactionId;
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
note_slots_locked(MsSnapCopy *copy)
{
	MsTable    *table = copy->table;
	MsSlot	   *slots = table->nslots > 0 ? ms_ptr(ms_store->arena, table->slots) : NULL;

	copy->head.nslots = table->nslots;
	copy->nlabels = table->nlabels;
	for (int i = 0; i < table->nslots; i++)
	{
		copy->slots[i].attnum = slots[i].attnum;
		copy->slots[i].role = slots[i].role;
		copy->slots[i].kind = slots[i].kind;
		copy->slots[i].has_missing = slots[i].has_missing;
		copy->slots[i].missing = slots[i].missing;
	}
}

static void
note_head_locked(MsSnapCopy *copy)
{
	MsSnapWindow *head = &copy->head;
	MsTable    *table = copy->table;
	MsWindow   *window = copy->window;

	head->spc = table->key.spc;
	head->db = table->key.db;
	head->rel = table->key.rel;
	head->start = window->start;
	head->end = window->end;
	head->sealed = window->sealed;
	head->lsn = window->lsn;
	if (!copy->config_noted)
	{
		copy->config = table->config;
		copy->nslots = table->nslots;
	}
	copy->config_noted = true;
	head->chunk_interval = copy->config.chunk_interval;
	head->retain = copy->config.retain;
	head->max_series = copy->config.max_series;
	head->on_full = copy->config.on_full;
	head->on_out_of_range = copy->config.on_out_of_range;
	head->logged = table->logged;
	head->nchunks = window->nchunks;
	head->nsamples = window->nsamples;
	copy->generation = table->generation;
	copy->version = window->version;
	copy->series_limit = ms_series_limit(&table->series);
	note_slots_locked(copy);
}

void
ms_snapcopy_init(MsSnapCopy *copy, MsTable *table)
{
	memset(copy, 0, sizeof(*copy));
	copy->table = table;
	copy->slots = palloc(sizeof(MsSnapSlot) * MS_MAX_SLOTS);
}

void
ms_snapcopy_free(MsSnapCopy *copy)
{
	if (copy->runs != NULL)
		pfree(copy->runs);
	bms_free(copy->run_series);
	pfree(copy->slots);
}

/* See snapcopy.h.  Takes table->lock shared. */
void
ms_snapcopy_note(MsSnapCopy *copy)
{
	MsTable    *table = copy->table;
	MsWindow   *window = copy->window;

	for (;;)
	{
		uint32		want;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		want = window->nruns;
		if (want <= copy->runs_cap)
			break;
		ms_unlock(table->lock);
		copy->runs_cap = want + want / 4 + 64;
		if (copy->runs != NULL)
			pfree(copy->runs);
		copy->runs = palloc_extended(sizeof(MsSnapJudged) * copy->runs_cap,
									 MCXT_ALLOC_HUGE);
	}
	note_head_locked(copy);
	copy->nruns = 0;
	for (MsRef ref = window->runs; ref != 0;)
	{
		MsRun	   *run = ms_ptr(ms_store->arena, ref);

		Assert(copy->nruns < copy->runs_cap);
		copy->runs[copy->nruns++].run = run;
		ref = run->next;
	}
	ms_unlock(table->lock);
}

/* See snapcopy.h.  Also gathers the series of runs, which may have no chunk. */
bool
ms_snapcopy_judge(MsSnapCopy *copy, const MsSnapCut *cut)
{
	copy->partial = false;
	copy->head.nruns = 0;
	bms_free(copy->run_series);
	copy->run_series = NULL;
	for (uint32 i = 0; i < copy->nruns; i++)
	{
		MsSnapJudged *judged = &copy->runs[i];
		MsPiece    *piece = ms_run_first_piece(judged->run);

		judged->xid = judge_run(judged->run, cut, copy->head.logged, &copy->partial);
		if (!TransactionIdIsValid(judged->xid))
			continue;
		copy->head.nruns++;
		for (uint32 k = 0; k < judged->run->npieces; k++)
		{
			if (piece->run != 0)
				copy->run_series = bms_add_member(copy->run_series, piece->sid);
			piece = ms_run_next_piece(piece);
		}
	}
	return copy->head.nchunks > 0 || copy->head.nruns > 0;
}

/*
 * Writing a window's file
 */

static void
put_window(MsSnapWriter *w, const MsSnapCopy *copy)
{
	uint8	   *buf = palloc(MS_SNAP_WINDOW_MAX + MS_SNAP_SLOT_MAX * copy->head.nslots);
	Size		len = ms_snap_put_window(buf, &copy->head, copy->slots);

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
slice_add_locked(const MsSnapCopy *copy, Slice *slice, uint32 sid)
{
	MsArena    *arena = ms_store->arena;
	MsEntry    *entry = ms_entry_locked(copy->window, sid);
	MsSnapSeries *s = &slice->series[slice->n];
	MsSnapLabel *labels = &slice->labels[slice->n * copy->nlabels];

	if (entry == NULL ||
		(entry->chunk == 0 && !bms_is_member(sid, copy->run_series)))
		return;
	memset(s, 0, sizeof(*s));
	s->sid = sid;
	s->nlabels = ms_series_labels(arena, &copy->table->series, sid,
								  slice->values, copy->nlabels);
	s->nlabels = Min(s->nlabels, (uint32) copy->nlabels);
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

		s->chunk = ms_stored_chunk(stored);
		s->chunk_len = stored->len;
	}
	slice->size += ms_snap_series_size(s, labels);
	slice->n++;
}

static void
put_series(MsSnapWriter *w, const MsSnapCopy *copy, uint64 done)
{
	Slice		slice;
	uint32		sid = 0;

	slice.series = palloc(sizeof(MsSnapSeries) * SLICE_SERIES);
	slice.labels = palloc(sizeof(MsSnapLabel) * SLICE_SERIES * (copy->nlabels + 1));
	slice.values = palloc(sizeof(MsLabelValue) * (copy->nlabels + 1));
	while (sid < copy->series_limit && !w->failed)
	{
		uint32		looked_at = 0;

		slice.n = 0;
		slice.size = 0;
		ms_lock_shared(copy->table->lock, MS_RANK_TABLE);
		for (; sid < copy->series_limit && slice.n < SLICE_SERIES &&
			 slice.size < SLICE_BYTES && looked_at < SLICE_SERIES * 16; looked_at++)
			slice_add_locked(copy, &slice, sid++);
		ms_unlock(copy->table->lock);
		if (slice.n == 0)
			continue;

		ms_snap_section(w, MS_SNAP_SERIES, slice.size);
		for (int i = 0; i < slice.n; i++)
			ms_snap_put_series(w, &slice.series[i], &slice.labels[i * copy->nlabels]);
		ms_worker_progress(MS_GUARD, done + w->written);
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
put_run(MsSnapWriter *w, const MsSnapJudged *judged)
{
	MsRun	   *run = judged->run;
	MsPiece    *piece = ms_run_first_piece(run);
	MsSnapRun	head = {0};
	uint8		buf[MS_SNAP_RUN_MAX];
	Size		len;

	head.xid = judged->xid;
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
 * See snapcopy.h.  Oldest runs first, so that restoring them one by one leads to
 * the same list.  Takes table->lock shared.
 */
uint64
ms_snapcopy_write(const MsSnapCopy *copy, MsSnapStream *stream,
				  uint8 *buffer, Size buffer_size, uint64 done)
{
	MsSnapName	name = {copy->table->key, copy->head.start};
	MsSnapWriter w;
	char		path[MAXPGPATH];

	Assert(LWLockHeldByMe(copy->table->maintain));
	ms_snapfile_temp_path(path, &name);
	ms_snapstream_create(stream, path);
	ms_snap_start(&w, buffer, buffer_size, ms_snapstream_write, stream,
				  MS_SNAP_KIND_WINDOW);
	put_window(&w, copy);
	put_series(&w, copy, done);
	for (uint32 i = copy->nruns; i > 0 && !w.failed; i--)
	{
		if (!TransactionIdIsValid(copy->runs[i - 1].xid))
			continue;
		put_run(&w, &copy->runs[i - 1]);
		ms_worker_progress(MS_GUARD, done + w.written);
	}
	if (!ms_snap_finish(&w))
		report_write_failure(stream);
	return w.written;
}
