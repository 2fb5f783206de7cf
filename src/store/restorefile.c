/*-------------------------------------------------------------------------
 *
 * restorefile.c
 *	  Restoring one snapshot file.
 *
 * Restoring takes the paths that writing takes: series are found or added by
 * their labels, a window's chunks go to its own spans, those of a sealed
 * window one behind the other as sealing lays them, runs become runs.  So a
 * restored store is in the same size classes, and has the same gaps, as one
 * that never stopped.
 *
 * Nothing in a file is believed: the core vouches for bytes and bounds, and
 * here everything that the store relies on is checked again (columns, times within
 * the window, series named by pieces).
 *
 * Files of one table may overlap.  A base backup reads them while they are written,
 * and may get a window that was dropped together with one that took its
 * place, under another name, later.  Each window knows its last WAL record, so
 * of logged tables the younger one counts.
 *
 * Transactions.  Runs carry the xid of their transaction if it was not yet
 * known to be committed: prepared ones, which PostgreSQL brings back itself,
 * and such as were running when the server stopped.  The commit log judges
 * them.  An xid that it never heard of, or has forgotten, cannot have
 * committed: those runs are left out.
 *
 * This runs before anybody else may use the store, so locks are taken for the
 * sake of the callees' assertions, and long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "core/chunk.h"
#include "store/foldwork.h"
#include "store/restore.h"
#include "store/snapshot.h"

bool
ms_restore_damaged(MsRestore *restore, const char *why)
{
	restore->outcome = MS_RESTORE_DAMAGED;
	restore->why = why;
	return false;
}

bool
ms_restore_unloaded(MsRestore *restore, const char *why)
{
	restore->outcome = MS_RESTORE_UNLOADED;
	restore->why = why;
	return false;
}

static bool
no_room(MsRestore *restore)
{
	return ms_restore_unloaded(restore, "memseries memory is full");
}

/* Passes on why the core refused the file. */
static bool
refused(MsRestore *restore)
{
	MsSnapFile *snap = &restore->snap;

	if (snap->version != 0 && snap->version != MS_SNAP_VERSION)
		return ms_restore_unloaded(restore,
								   psprintf("it has format version %u, but this version of memseries reads version %u",
											snap->version, MS_SNAP_VERSION));
	if (restore->stream.error != 0)
		return ms_restore_damaged(restore, psprintf("%s: %s", snap->error,
													strerror(restore->stream.error)));
	return ms_restore_damaged(restore, snap->error);
}

/* Opens the file and reads its first section. */
static bool
open_file(MsRestore *restore, MsReader *reader)
{
	MsSnapFile *snap = &restore->snap;
	char		path[MAXPGPATH];

	ms_snapfile_path(path, &restore->file->name, MS_SNAP_LIVE);
	if (!ms_snapstream_open(&restore->stream, path))
		return ms_restore_unloaded(restore, psprintf("could not open it: %s",
													 strerror(restore->stream.error)));
	if (!ms_snap_open(snap, ms_snapstream_read, &restore->stream,
					  restore->stream.size, MS_SNAP_KIND_WINDOW) ||
		ms_snap_next(snap) == MS_SNAP_FAILED)
		return refused(restore);
	if (snap->type != MS_SNAP_WINDOW ||
		snap->len > MS_SNAP_WINDOW_MAX + MS_MAX_SLOTS * MS_SNAP_SLOT_MAX)
		return ms_restore_damaged(restore, "it does not begin with a window");
	restore->buf_cap = snap->len;
	restore->buf = palloc(restore->buf_cap);
	if (!ms_snap_payload(snap, restore->buf))
		return refused(restore);
	ms_reader_init(reader, restore->buf, restore->buf + snap->len);
	return true;
}

bool
ms_restore_open(MsRestore *restore, MsReader *reader, MsSnapWindow *head)
{
	if (!open_file(restore, reader))
		return false;
	if (!ms_snap_get_window(reader, head))
		return ms_restore_damaged(restore, "its head is malformed");
	return true;
}

/*
 * Tables and windows
 */

static bool
read_slots(MsRestore *restore, MsReader *reader, MsSlot *slots, int n)
{
	for (int i = 0; i < n; i++)
	{
		MsSnapSlot	slot;

		if (!ms_snap_get_slot(reader, &slot) || slot.role > MS_ROLE_VALUE ||
			slot.kind > MS_FLOAT4)
			return ms_restore_damaged(restore, "its columns are malformed");
		memset(&slots[i], 0, sizeof(MsSlot));
		slots[i].attnum = slot.attnum;
		slots[i].role = slot.role;
		slots[i].kind = slot.kind;
		slots[i].has_missing = slot.has_missing;
		slots[i].missing = slot.missing;
	}
	if (ms_reader_left(reader) > 0)
		return ms_restore_damaged(restore, "its columns are malformed");
	return true;
}

/* Finds or creates the table.  Files of one table have the same columns; newer ones may have more. */
static bool
restore_table(MsRestore *restore, MsReader *reader, int nslots)
{
	MsSnapCandidate *file = restore->file;
	MsSlot	   *slots = palloc(sizeof(MsSlot) * (nslots + 1));
	MsSlot	   *have = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	int			nhave;

	if (!read_slots(restore, reader, slots, nslots))
		return false;
	restore->table = ms_table_create(&file->name.key, &file->config, slots, nslots,
									 file->head.logged);
	nhave = ms_table_get_slots(restore->table, have, MS_MAX_SLOTS);
	for (int i = 0; i < Min(nhave, nslots); i++)
		if (!ms_slot_equal(&slots[i], &have[i]))
			return ms_restore_damaged(restore, "its columns differ from those in other files of the table");
	if (nslots > nhave)
		ms_table_add_slots(restore->table, slots + nhave, nslots - nhave);
	pfree(slots);
	pfree(have);
	return true;
}

static bool
restore_window(MsRestore *restore, const MsSnapWindow *head)
{
	MsTable    *table = restore->table;
	bool		overlaps;

	/* what makes way here, or this file, goes in the next round of snapshots */
	if (table->logged &&
		!ms_window_make_way(table, head->start, head->end, head->lsn))
	{
		restore->outcome = MS_RESTORE_OUTDATED;
		return false;
	}
	ms_lock(table->lock, MS_RANK_TABLE);
	overlaps = !ms_window_fits_locked(table, head->start, head->end);
	if (!overlaps)
		restore->window = ms_window_create_locked(table, head->start, head->end,
												  MS_ALLOC_RESERVE);
	if (restore->window != NULL)
		restore->window->lsn = head->lsn;
	ms_unlock(table->lock);
	if (overlaps)
		return ms_restore_unloaded(restore, "its window overlaps a later one");
	return restore->window != NULL || no_room(restore);
}

/*
 * Series and chunks
 */

static bool
remember_sid(MsRestore *restore, uint32 old_sid, uint32 new_sid)
{
	if (restore->nsids > 0 && restore->old_sids[restore->nsids - 1] >= old_sid)
		return ms_restore_damaged(restore, "its series are not in order");
	if (restore->nsids == restore->sids_cap)
	{
		Size		cap = restore->sids_cap == 0 ? 1024 : (Size) restore->sids_cap * 2;

		if (restore->sids_cap == 0)
		{
			restore->old_sids = palloc(sizeof(uint32) * cap);
			restore->new_sids = palloc(sizeof(uint32) * cap);
		}
		else
		{
			restore->old_sids = repalloc_huge(restore->old_sids, sizeof(uint32) * cap);
			restore->new_sids = repalloc_huge(restore->new_sids, sizeof(uint32) * cap);
		}
		restore->sids_cap = cap;
	}
	restore->old_sids[restore->nsids] = old_sid;
	restore->new_sids[restore->nsids] = new_sid;
	restore->nsids++;
	return true;
}

/* The table's number of a series of the file; MS_NO_SERIES if the file has no such series. */
static uint32
new_sid(const MsRestore *restore, uint32 old_sid)
{
	uint32		low = 0;
	uint32		high = restore->nsids;

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (restore->old_sids[middle] < old_sid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < restore->nsids && restore->old_sids[low] == old_sid)
		return restore->new_sids[low];
	return MS_NO_SERIES;
}

/* Is this a chunk the window may hold?  Returns its rows, or 0. */
static uint32
chunk_rows(const MsRestore *restore, const uint8 *data, uint32 len)
{
	MsChunk		chunk;

	if (!ms_chunk_open(&chunk, data, len) ||
		chunk.ncols > restore->table->nvalues ||
		chunk.tmin < restore->window->start || chunk.tmax >= restore->window->end)
		return 0;
	return chunk.nrows;
}

/* The table's number of a series, which is added if it is new. */
static uint32
series_of_labels_locked(MsRestore *restore, uint32 nlabels)
{
	MsTable    *table = restore->table;
	MsArena    *arena = ms_store->arena;
	uint32		hash;
	uint32		sid;

	for (uint32 i = 0; i < nlabels; i++)
	{
		restore->values[i].bytes = restore->labels[i].data;
		restore->values[i].len = restore->labels[i].len;
		restore->values[i].isnull = restore->labels[i].data == NULL;
	}
	hash = ms_labels_hash(restore->values, nlabels);
	sid = ms_series_find(arena, &table->series, restore->values, nlabels, hash);
	if (sid == MS_NO_SERIES)
		sid = ms_series_add(arena, &table->group, &table->series, restore->values,
							nlabels, hash, MS_ALLOC_RESERVE);
	return sid;
}

/* One series: its number, its entry, its chunk. */
static bool
restore_series_locked(MsRestore *restore, const MsSnapSeries *s)
{
	uint32		sid;
	uint32		nrows = 0;
	MsEntry    *entry;

	if (s->nlabels > (uint32) restore->table->nlabels)
		return ms_restore_damaged(restore, "a series has too many labels");
	for (uint32 i = 0; i < s->nlabels; i++)
		if (restore->labels[i].len > MS_MAX_LABEL_BYTES)
			return ms_restore_damaged(restore, "a label is too long");
	if (s->chunk_len > 0 &&
		(nrows = chunk_rows(restore, s->chunk, s->chunk_len)) == 0)
		return ms_restore_damaged(restore, "a chunk is malformed");

	sid = series_of_labels_locked(restore, s->nlabels);
	if (sid == MS_NO_SERIES)
		return no_room(restore);
	if (!remember_sid(restore, s->sid, sid))
		return false;
	entry = ms_entry_ensure_locked(restore->window, sid, MS_ALLOC_RESERVE);
	if (entry == NULL)
		return no_room(restore);
	if (s->chunk_len > 0)
	{
		MsRef		ref;

		if (entry->chunk != 0)
			return ms_restore_damaged(restore, "two of its series are the same");
		ref = ms_chunk_store(restore->window, s->chunk, s->chunk_len, nrows,
							 restore->file->head.sealed);
		if (ref == 0)
			return no_room(restore);
		ms_chunk_switch_locked(restore->window, entry, ref);
	}
	return true;
}

static bool
restore_series(MsRestore *restore, MsReader *reader)
{
	bool		ok = true;

	if (restore->nruns > 0 || restore->run_head.npieces > 0)
		return ms_restore_damaged(restore, "its sections are not in order");
	ms_lock(restore->table->lock, MS_RANK_TABLE);
	while (ok && ms_reader_left(reader) > 0)
	{
		MsSnapSeries s;

		if (!ms_snap_get_series(reader, &s, restore->labels, MS_SNAP_MAX_LABELS))
			ok = ms_restore_damaged(restore, "a series is malformed");
		else
			ok = restore_series_locked(restore, &s);
	}
	ms_unlock(restore->table->lock);
	return ok;
}

/*
 * Runs
 */

/* Can the transaction be judged, now or later? */
static bool
xid_is_known(TransactionId xid)
{
	if (!TransactionIdIsNormal(xid))
		return xid == FrozenTransactionId;
	/* in recovery, records of it may still be to come, also of its commit */
	if (RecoveryInProgress())
		return true;
	if (TransactionIdFollowsOrEquals(xid, ReadNextTransactionId()))
		return false;
	return TransactionIdFollowsOrEquals(xid, ms_oldest_clog_xid());
}

StaticAssertDecl(offsetof(MsPiece, data) % MS_SNAP_PIECE_ALIGN == 0 &&
				 MS_SNAP_PIECE_ALIGN == MS_UNIT,
				 "the size of a run in memory is computed from this");

static bool
begin_run(MsRestore *restore, MsReader *reader)
{
	MsSnapRun  *head = &restore->run_head;
	MsRun	   *run;
	Size		size;
	MsRef		ref;

	if (restore->npieces < head->npieces)
		return ms_restore_damaged(restore, "its sections are not in order");
	if (!ms_snap_get_run(reader, head) || ms_reader_left(reader) > 0)
		return ms_restore_damaged(restore, "a run is malformed");
	restore->run = NULL;
	restore->npieces = 0;
	restore->max_order = Max(restore->max_order, head->seq);
	if (head->order != MS_ORDER_PENDING)
		restore->max_order = Max(restore->max_order, head->order);
	restore->max_txn = Max(restore->max_txn, head->txn);
	if (!xid_is_known(head->xid))
	{
		restore->dropped++;
		return true;
	}
	size = TYPEALIGN(MS_UNIT, sizeof(MsRun)) +
		(Size) head->npieces * offsetof(MsPiece, data) + head->bytes;
	if (head->bytes > restore->file->size + (uint64) head->npieces * MS_UNIT ||
		size > PG_UINT32_MAX)
		return ms_restore_damaged(restore, "a run is malformed");

	ref = ms_arena_alloc(ms_store->arena, &restore->window->group, size,
						 MS_ALLOC_RESERVE);
	if (ref == 0)
		return no_room(restore);
	run = ms_ptr(ms_store->arena, ref);
	memset(run, 0, sizeof(*run));
	run->xid = head->xid;
	run->cid = head->cid;
	run->txn = head->txn;
	run->order = head->order;
	run->seq = head->seq;
	run->size = size;
	run->npieces = run->live = head->npieces;
	pg_atomic_init_u32(&run->hint, head->xid == FrozenTransactionId ?
					   MS_HINT_COMMITTED : MS_HINT_NONE);
	restore->run = run;
	restore->piece = ms_run_first_piece(run);
	return true;
}

/* Puts a piece behind the others of its run. */
static bool
restore_piece(MsRestore *restore, const MsSnapPiece *in)
{
	MsRun	   *run = restore->run;
	MsPiece    *piece = restore->piece;
	uint32		sid = new_sid(restore, in->sid);
	uint32		nrows = 0;

	if (sid == MS_NO_SERIES)
		return ms_restore_damaged(restore, "a run names an unknown series");
	if (in->kind == MS_PIECE_ROWS)
		nrows = chunk_rows(restore, in->data, in->len);
	if (in->len >= (1U << 30) ||
		(in->kind == MS_PIECE_ROWS ? nrows == 0 :
		 in->kind != MS_PIECE_DELETE || in->len != 2 * sizeof(int64)))
		return ms_restore_damaged(restore, "a piece of a run is malformed");
	if (run == NULL)
		return true;
	if ((char *) piece + offsetof(MsPiece, data) + TYPEALIGN(MS_UNIT, in->len) >
		(char *) run + run->size)
		return ms_restore_damaged(restore, "a run is longer than it should be");

	piece->next = 0;
	piece->run = ms_ref(ms_store->arena, run);
	piece->sid = sid;
	piece->kind = in->kind;
	piece->len = in->len;
	memcpy(piece->data, in->data, in->len);
	run->nrows += nrows;
	restore->piece = ms_run_next_piece(piece);
	return true;
}

/* All pieces are there: the run becomes visible. */
static bool
finish_run(MsRestore *restore)
{
	MsRun	   *run = restore->run;

	restore->nruns++;
	if (run == NULL)
		return true;
	if ((char *) restore->piece != (char *) run + run->size)
		return ms_restore_damaged(restore, "a run is shorter than it should be");
	ms_lock(restore->table->lock, MS_RANK_TABLE);
	ms_run_link_locked(restore->table, restore->window, run);
	ms_unlock(restore->table->lock);
	return true;
}

static bool
restore_pieces(MsRestore *restore, MsReader *reader)
{
	bool		ok = true;

	while (ok && ms_reader_left(reader) > 0)
	{
		MsSnapPiece piece;

		if (restore->npieces >= restore->run_head.npieces)
			return ms_restore_damaged(restore, "its sections are not in order");
		if (!ms_snap_get_piece(reader, &piece))
			return ms_restore_damaged(restore, "a piece of a run is malformed");
		ok = restore_piece(restore, &piece);
		restore->npieces++;
	}
	if (ok && restore->npieces == restore->run_head.npieces)
		ok = finish_run(restore);
	return ok;
}

/*
 * Whole files
 */

static bool
read_sections(MsRestore *restore)
{
	MsSnapFile *snap = &restore->snap;
	MsSnapNext	next;

	while ((next = ms_snap_next(snap)) == MS_SNAP_SECTION)
	{
		MsReader	reader;
		bool		ok;

		CHECK_FOR_INTERRUPTS();
		if (snap->len > restore->buf_cap)
		{
			pfree(restore->buf);
			restore->buf_cap = snap->len + snap->len / 4;
			restore->buf = palloc_extended(restore->buf_cap, MCXT_ALLOC_HUGE);
		}
		if (!ms_snap_payload(snap, restore->buf))
			return refused(restore);
		ms_reader_init(&reader, restore->buf, restore->buf + snap->len);
		switch (snap->type)
		{
			case MS_SNAP_SERIES:
				ok = restore_series(restore, &reader);
				break;
			case MS_SNAP_RUN:
				ok = begin_run(restore, &reader);
				break;
			case MS_SNAP_PIECES:
				ok = restore_pieces(restore, &reader);
				break;
			default:
				ok = ms_restore_damaged(restore, "it has a section of unknown type");
				break;
		}
		if (!ok)
			return false;
		ms_worker_progress(MS_GUARD, restore->done + snap->pos);
	}
	return next == MS_SNAP_FINISHED ? true : refused(restore);
}

/* New numbers must be above all that were restored. */
static void
raise_counter(pg_atomic_uint64 *counter, uint64 value)
{
	uint64		current = pg_atomic_read_u64(counter);

	while (current < value &&
		   !pg_atomic_compare_exchange_u64(counter, &current, value))
		;
}

bool
ms_restore_contents(MsRestore *restore)
{
	MsReader	reader;
	MsSnapWindow head;
	MsWindow   *window;

	restore->labels = palloc(sizeof(MsSnapLabel) * MS_SNAP_MAX_LABELS);
	restore->values = palloc(sizeof(MsLabelValue) * MS_SNAP_MAX_LABELS);
	if (!ms_restore_open(restore, &reader, &head) ||
		!restore_table(restore, &reader, head.nslots) ||
		!restore_window(restore, &head) ||
		!read_sections(restore))
		return false;
	window = restore->window;
	if (window->nchunks != head.nchunks || window->nsamples != head.nsamples ||
		restore->nruns != head.nruns ||
		restore->npieces < restore->run_head.npieces)
		return ms_restore_damaged(restore, "it does not hold what its head says");
	raise_counter(&ms_store->order, Max(restore->max_order, head.round));
	raise_counter(&ms_store->txn, Max(restore->max_txn, head.round));
	if (head.sealed)
	{
		ms_lock(restore->table->lock, MS_RANK_TABLE);
		(void) ms_vec_pack(ms_store->arena, &window->group, &window->index, MS_ALLOC_RESERVE);
		ms_arena_trim_packed(ms_store->arena, &window->group);
		window->sealed = true;
		window->sealed_version = window->version;
		ms_unlock(restore->table->lock);
	}

	/* of the latest window, which comes first */
	if (restore->table->snap_nslots == 0)
		restore->table->snap_nslots = head.nslots;
	if (head.round == restore->file->round)
		ms_snapshot_note_restored(restore->table, head.round);

	/* What was left out, if anything, is not to come back next time. */
	window->snap_version = restore->dropped > 0 ? PG_UINT64_MAX : window->version;
	return true;
}
