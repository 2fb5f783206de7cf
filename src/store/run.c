/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Appending runs, judging them, and what to do when memory is full.
 *
 * Appending is done in two halves under one exclusive hold of table->lock.
 * The first half takes all memory there is to take: the window, the run, the
 * series, their entries; if anything is missing it gives back the run and
 * says so.  (A window made on the way stays, empty, until it expires; series
 * are taken back, or a statement that failed would count towards max_series.)
 * The second half links the pieces and cannot fail.  So a run is there wholly
 * or not at all, and nothing throws in between.
 *
 * Visibility is PostgreSQL's own: the writer's transaction id and command id
 * are looked at exactly as for a heap tuple's xmin.  A run has no xmax: it is
 * never updated, only overwritten by later runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "core/chunk.h"
#include "store/maintain.h"
#include "store/stats.h"
#include "store/wal.h"

/* A table with this much unfolded makes its writers wake the keeper, ... */
#define WAKE_RUNS			16384
#define WAKE_BYTES			(16 * 1024 * 1024)

/* ... and with this many times as much, fold some themselves. */
#define HELP_FACTOR			8
#define HELP_PIECES			2048

/* Full, with more than this part of memory in runs: those are to blame. */
#define UNFOLDED_PART		4

/* Memory that is just going back to the operating system can be had so many naps later. */
#define LENT_NAPS			20
#define LENT_NAP_US			1000

uint64
ms_run_new_txn(void)
{
	return pg_atomic_add_fetch_u64(&ms_store->txn, 1);
}

uint64
ms_run_new_order(void)
{
	return pg_atomic_add_fetch_u64(&ms_store->order, 1);
}

/* Distance from one piece to the next. */
static inline Size
piece_size(uint32 len)
{
	return TYPEALIGN(MS_UNIT, offsetof(MsPiece, data) + len);
}

static inline Size
run_header_size(void)
{
	return TYPEALIGN(MS_UNIT, sizeof(MsRun));
}

static inline MsPiece *
first_piece(MsRun *run)
{
	return (MsPiece *) ((char *) run + run_header_size());
}

static inline MsPiece *
next_piece(MsPiece *piece)
{
	return (MsPiece *) ((char *) piece + piece_size(piece->len));
}

MsPiece *
ms_run_first_piece(MsRun *run)
{
	return first_piece(run);
}

MsPiece *
ms_run_next_piece(MsPiece *piece)
{
	return next_piece(piece);
}

/*
 * The series of a piece, added if need be, as *added tells.  Returns false,
 * with *result set, if that is not possible.  Caller holds table->lock
 * exclusively.
 */
static bool
resolve_series(MsTable *table, const MsPieceInput *input, int flags, uint32 *sid,
			   bool *added, MsAppendResult *result)
{
	MsArena    *arena = ms_store->arena;

	*added = false;
	*sid = ms_series_find(arena, &table->series, input->labels, input->nlabels,
						  input->hash);
	if (*sid != MS_NO_SERIES)
		return true;
	if (ms_series_count(&table->series) >= table->config.max_series &&
		(flags & MS_ALLOC_RESERVE) == 0)
	{
		*result = MS_APPEND_MAX_SERIES;
		return false;
	}
	*sid = ms_series_add(arena, &table->group, &table->series, input->labels,
						 input->nlabels, input->hash, flags);
	if (*sid == MS_NO_SERIES)
		*result = MS_APPEND_FULL;
	*added = *sid != MS_NO_SERIES;
	return *added;
}

/* Gives back the series that the first n pieces of an unlinked run have added. */
static void
release_added(MsTable *table, MsRun *run, int n)
{
	MsPiece    *piece = first_piece(run);

	for (int i = 0; i < n; i++)
	{
		if (piece->next != 0)
			ms_series_release(ms_store->arena, &table->group, &table->series, piece->sid);
		piece = next_piece(piece);
	}
}

/*
 * Fills a run's memory from the input, resolving series and making sure that
 * each has an entry.  False, with *result set, if memory or series ran out.
 */
static bool
fill_run(MsTable *table, MsWindow *window, MsRun *run, const MsRunWriter *writer,
		 const MsRunInput *input, int flags, MsAppendResult *result)
{
	MsPiece    *piece = first_piece(run);

	run->xid = writer->xid;
	run->cid = writer->cid;
	run->txn = writer->txn;
	run->npieces = run->live = input->npieces;
	run->nrows = 0;
	run->next = run->prev = 0;
	pg_atomic_init_u32(&run->hint, MS_HINT_NONE);

	for (int i = 0; i < input->npieces; i++)
	{
		const MsPieceInput *in = &input->pieces[i];
		uint32		sid;
		bool		added;

		if (!resolve_series(table, in, flags, &sid, &added, result))
		{
			release_added(table, run, i);
			return false;
		}
		piece->next = added ? 1 : 0;	/* until it is linked */
		piece->run = ms_ref(ms_store->arena, run);
		piece->sid = sid;
		piece->kind = in->kind;
		piece->len = in->len;
		memcpy(piece->data, in->data, in->len);
		if (ms_entry_ensure_locked(window, sid, flags) == NULL)
		{
			release_added(table, run, i + 1);
			*result = MS_APPEND_FULL;
			return false;
		}
		run->nrows += in->nrows;
		piece = next_piece(piece);
	}
	return true;
}

/* Puts a filled run where readers find it.  Cannot fail. */
void
ms_run_link_locked(MsTable *table, MsWindow *window, MsRun *run)
{
	MsArena    *arena = ms_store->arena;
	MsRef		ref = ms_ref(arena, run);
	MsPiece    *piece = first_piece(run);

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	for (uint32 i = 0; i < run->npieces; i++)
	{
		if (piece->run != 0)
		{
			MsEntry    *entry = ms_entry_locked(window, piece->sid);

			piece->next = entry->pieces;
			entry->pieces = ms_ref(arena, piece);
		}
		piece = next_piece(piece);
	}

	run->prev = 0;
	run->next = window->runs;
	if (window->runs != 0)
		((MsRun *) ms_ptr(arena, window->runs))->prev = ref;
	window->runs = ref;
	window->nruns++;
	window->run_bytes += run->size;
	window->run_samples += run->nrows;
	window->version++;
	table->nruns++;
	table->run_bytes += run->size;
}

/* Takes a run out of its window's list and frees it.  Caller holds maintain and lock. */
void
ms_run_free_locked(MsTable *table, MsWindow *window, MsRun *run)
{
	MsArena    *arena = ms_store->arena;

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	Assert(run->live == 0);
	if (run->prev != 0)
		((MsRun *) ms_ptr(arena, run->prev))->next = run->next;
	else
		window->runs = run->next;
	if (run->next != 0)
		((MsRun *) ms_ptr(arena, run->next))->prev = run->prev;
	window->nruns--;
	window->run_bytes -= run->size;
	window->run_samples -= run->nrows;
	table->nruns--;
	table->run_bytes -= run->size;
	ms_arena_free(arena, &window->group, ms_ref(arena, run), run->size);
}

/*
 * The order number for a transaction about to commit that had taken this one.  In
 * each table numbers are given in the order of the WAL records that have them: then
 * whoever replays these may fold a run as soon as no snapshot minds, as none that
 * comes later will have to go before it.  Caller holds table->lock exclusively.
 */
static uint64
final_order_locked(MsTable *table, uint64 order)
{
	if (order == MS_ORDER_PENDING)
		return order;
	if (order < table->last_order)
		order = ms_run_new_order();
	table->last_order = order;
	return order;
}

/*
 * The first half: everything that can fail.  Caller holds table->lock
 * exclusively.
 */
static MsAppendResult
prepare_run_locked(MsTable *table, const MsRunWriter *writer, const MsRunInput *input,
				   int flags, MsWindow **window, MsRun **run)
{
	MsArena    *arena = ms_store->arena;
	MsAppendResult result = MS_APPEND_OK;
	Size		size = run_header_size();
	MsRef		ref;

	for (int i = 0; i < input->npieces; i++)
		size += piece_size(input->pieces[i].len);
	if (size > PG_UINT32_MAX)
		return MS_APPEND_FULL;
	*window = ms_window_find_locked(table, input->start);
	if (*window == NULL)
		*window = ms_window_create_locked(table, input->start, input->end, flags);
	if (*window == NULL)
		return ms_window_fits_locked(table, input->start, input->end) ?
			MS_APPEND_FULL : MS_APPEND_MOVED;
	if ((*window)->start != input->start || (*window)->end != input->end)
		return MS_APPEND_MOVED;

	ref = ms_arena_alloc(arena, &(*window)->group, size, flags);
	if (ref == 0)
		return MS_APPEND_FULL;
	*run = ms_ptr(arena, ref);
	if (!fill_run(table, *window, *run, writer, input, flags, &result))
	{
		ms_arena_free(arena, &(*window)->group, ref, size);
		return result;
	}
	(*run)->size = size;
	(*run)->order = writer->order;
	return MS_APPEND_OK;
}

/*
 * The second half for a logged table: from the record on nothing may fail.
 * Settings and slots are logged first if no record since the last checkpoint
 * began has them (see wal.c).
 */
static void
log_and_link_locked(MsTable *table, MsWindow *window, MsRun *run, char *pieces, Size len)
{
	START_CRIT_SECTION();
	if (table->logged_at <= GetRedoRecPtr())
		table->logged_at = ms_wal_table(table);
	window->lsn = ms_wal_run(table, window, run, pieces, len);
	ms_run_link_locked(table, window, run);
	END_CRIT_SECTION();
}

/* See run.h.  ERROR only before anything is changed, if memory for the record cannot be had. */
MsAppendResult
ms_run_append(MsTable *table, const MsRunWriter *writer, const MsRunInput *input)
{
	MsAppendResult result;
	MsWindow   *window;
	MsRun	   *run;
	char	   *pieces = NULL;
	Size		len = 0;

	if (table->logged)
		pieces = ms_wal_encode_pieces(input, &len);

	ms_lock(table->lock, MS_RANK_TABLE);

	/* The guard closes the gate while holding this lock in every table. */
	if (pg_atomic_read_u32(&ms_store->state) != MS_STORE_READY)
		result = MS_APPEND_CLOSED;
	else
		result = prepare_run_locked(table, writer, input, 0, &window, &run);
	if (result == MS_APPEND_OK)
	{
		run->seq = ms_run_new_order();
		run->order = final_order_locked(table, writer->order);
		if (table->logged)
			log_and_link_locked(table, window, run, pieces, len);
		else
			ms_run_link_locked(table, window, run);
	}
	ms_unlock(table->lock);

	if (pieces != NULL)
		pfree(pieces);
	return result;
}

/* See run.h.  max_series does not count: the writer has passed it. */
bool
ms_run_replay(MsTable *table, const MsRunWriter *writer, const MsRunInput *input,
			  uint64 seq, XLogRecPtr end)
{
	MsAppendResult result;
	MsWindow   *window;
	MsRun	   *run;

	/*
	 * Windows never overlap.  One that does, and is older, had nothing in it
	 * and was forgotten when the primary was restarted.
	 */
	do
	{
		result = MS_APPEND_OK;
		ms_lock(table->lock, MS_RANK_TABLE);
		window = ms_window_find_locked(table, input->start);
		if (window == NULL || window->lsn < end)
		{
			result = prepare_run_locked(table, writer, input,
										MS_ALLOC_RESERVE, &window, &run);
			if (result == MS_APPEND_OK)
			{
				run->seq = seq;
				window->lsn = end;
				ms_run_link_locked(table, window, run);
			}
		}
		ms_unlock(table->lock);
	} while (result == MS_APPEND_MOVED &&
			 ms_window_make_way(table, input->start, input->end, end));

	/*
	 * One that is younger was made after this record's was dropped, and comes
	 * from a snapshot file: the run is gone.
	 */
	return result == MS_APPEND_OK || result == MS_APPEND_MOVED;
}

/* See run.h. */
bool
ms_run_any_until(MsTable *table, uint64 seq)
{
	bool		found = false;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; !found && i < table->nwindows; i++)
	{
		for (MsRef ref = ms_window_at(table, i)->runs; !found && ref != 0;)
		{
			MsRun	   *run = ms_ptr(ms_store->arena, ref);

			found = run->seq <= seq;
			ref = run->next;
		}
	}
	ms_unlock(table->lock);
	return found;
}

/*
 * A table whose keeper falls behind: wake it, and if that does not help, fold
 * a little here.  The reads need no lock: a stale figure only shifts the moment.
 */
static void
keep_up(MsTable *table)
{
	uint32		nruns = table->nruns;
	uint64		bytes = table->run_bytes;

	if (nruns < WAKE_RUNS && bytes < WAKE_BYTES)
		return;
	ms_worker_wake(MS_KEEPER);
	if ((nruns > HELP_FACTOR * WAKE_RUNS || bytes > HELP_FACTOR * (uint64) WAKE_BYTES) &&
		ms_lock_conditional(table->maintain, MS_RANK_MAINTAIN))
	{
		MsMaintainStats stats = {0};

		ms_fold_table(table, HELP_PIECES, &stats);
		ms_unlock(table->maintain);
	}
}

/*
 * Tries to make room in a full segment for rows of the window that starts there; false
 * if there is nothing to be done.  Only older windows go for them: if their own
 * went, or newer ones, late rows would cost more than they bring, and that for ever.
 */
static bool
make_room(MsTable *table, int64 start, int attempt)
{
	bool		done = false;

	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	if (attempt == 0)
	{
		MsMaintainStats stats = {0};

		ms_fold_table(table, PG_UINT64_MAX, &stats);
		done = stats.runs_freed > 0;
	}
	if (!done && ms_table_get_config(table).on_full == MS_FULL_EXPIRE)
		done = ms_expire_oldest(table, start);
	ms_unlock(table->maintain);
	return done;
}

/* Memory is full: says so, and what to do about it. */
static void
report_full(MsTable *table, const char *relname)
{
	MsArenaStats stats;
	uint64		runs;
	uint64		bytes;

	ms_stats_runs(&runs, &bytes);
	ms_arena_stats(ms_store->arena, &stats);
	if (bytes > stats.limit / UNFOLDED_PART)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("memseries memory is full"),
				 errdetail("Rows of table \"%s\" could not be stored; " UINT64_FORMAT " MB hold rows that cannot be folded yet.",
						   relname, bytes / (1024 * 1024)),
				 errhint("End transactions that have been open for long (see pg_stat_activity and pg_prepared_xacts), write "
						 "less in one transaction, or increase \"memseries.memory\".")));
	if (ms_table_get_config(table).on_full == MS_FULL_EXPIRE)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("memseries memory is full"),
				 errdetail("Rows of table \"%s\" could not be stored; it has no older window than theirs that could go for them.",
						   relname),
				 errhint("Increase \"memseries.memory\", make windows shorter, or free memory of other tables.")));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("memseries memory is full"),
			 errdetail("Rows of table \"%s\" could not be stored.", relname),
			 errhint("Increase \"memseries.memory\", keep fewer windows, or let the oldest window go with "
					 "memseries.configure(..., on_full => 'expire').")));
}

/* See run.h.  Takes table->maintain and table->lock. */
MsAppendResult
ms_run_write(MsTable *table, const MsRunWriter *writer, const MsRunInput *input,
			 const char *relname)
{
	MsAppendResult result;
	int			attempt = 0;
	int			naps = 0;

	for (;;)
	{
		result = ms_run_append(table, writer, input);
		if (result == MS_APPEND_CLOSED)
			ms_store_check_writable();	/* waits, or complains */
		else if (result == MS_APPEND_FULL && naps < LENT_NAPS &&
				 ms_arena_is_lending(ms_store->arena))
		{
			naps++;
			pg_usleep(LENT_NAP_US);
		}
		else if (result != MS_APPEND_FULL || !make_room(table, input->start, attempt++))
			break;
		CHECK_FOR_INTERRUPTS();
	}

	switch (result)
	{
		case MS_APPEND_OK:
			keep_up(table);
			break;
		case MS_APPEND_MOVED:
		case MS_APPEND_CLOSED:
			break;
		case MS_APPEND_FULL:
			report_full(table, relname);
			break;
		case MS_APPEND_MAX_SERIES:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many series in table \"%s\"", relname),
					 errdetail("The table may hold at most %u series, that is, different combinations of labels.",
							   ms_table_get_config(table).max_series),
					 errhint("A column that differs in every row should be a float8 value, not a label; "
							 "if the series are meant, raise max_series with memseries.configure.")));
			break;
	}
	return result;
}

/* Numbers the runs of txn in windows whose last record ends before `end`, which becomes their last one. */
static void
stamp_locked(MsTable *table, uint64 txn, uint64 order, XLogRecPtr end)
{
	for (int i = 0; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);
		bool		found = false;

		if (table->logged && window->lsn >= end)
			continue;
		for (MsRef ref = window->runs; ref != 0;)
		{
			MsRun	   *run = ms_ptr(ms_store->arena, ref);

			if (run->txn == txn)
			{
				run->order = order;
				found = true;
			}
			ref = run->next;
		}
		if (found)
		{
			window->version++;
			if (table->logged)
				window->lsn = end;
		}
	}
}

/* Numbers the runs of txn, and logs that.  Caller holds table->lock exclusively, and has looked at the gate. */
static void
log_and_stamp_locked(MsTable *table, uint64 txn, uint64 order)
{
	XLogRecPtr	end = InvalidXLogRecPtr;

	START_CRIT_SECTION();
	order = final_order_locked(table, order);
	if (table->logged)
		end = ms_wal_order(table, txn, order);
	stamp_locked(table, txn, order, end);
	END_CRIT_SECTION();
}

/* See run.h. */
void
ms_run_stamp_order(MsTable *table, uint64 txn, uint64 order)
{
	for (;;)
	{
		bool		open;

		ms_lock(table->lock, MS_RANK_TABLE);
		open = pg_atomic_read_u32(&ms_store->state) == MS_STORE_READY;
		if (open)
			log_and_stamp_locked(table, txn, order);
		ms_unlock(table->lock);
		if (open)
			break;
		ms_store_check_writable();	/* waits, or complains */
		CHECK_FOR_INTERRUPTS();
	}
}

/* See run.h. */
bool
ms_run_can_postpone_locked(const MsTable *table, const MsRun *run)
{
	return (!table->logged ||
			(!RecoveryInProgress() &&
			 pg_atomic_read_u32(&ms_store->state) == MS_STORE_READY)) &&
		TransactionIdIsInProgress(run->xid);
}

/* See run.h. */
void
ms_run_postpone_locked(MsTable *table, MsRun *run)
{
	log_and_stamp_locked(table, run->txn, ms_run_new_order());
}

void
ms_run_replay_order(MsTable *table, uint64 txn, uint64 order, XLogRecPtr end)
{
	ms_lock(table->lock, MS_RANK_TABLE);
	stamp_locked(table, txn, order, end);
	ms_unlock(table->lock);
}

/* See run.h. */
bool
ms_xid_did_commit(TransactionId xid)
{
	if (TransactionIdIsNormal(xid) && TransactionIdPrecedes(xid, ms_oldest_clog_xid()))
		return false;
	return TransactionIdDidCommit(xid);
}

/*
 * See run.h.  The hint saves asking the commit log again; it is only ever set
 * to the final outcome, so concurrent setters agree.
 */
bool
ms_run_visible(MsRun *run, Snapshot snapshot)
{
	uint32		hint = pg_atomic_read_u32(&run->hint);
	bool		mvcc = IsMVCCSnapshot(snapshot);

	if (hint == MS_HINT_ABORTED)
		return false;
	if (hint == MS_HINT_NONE && TransactionIdIsCurrentTransactionId(run->xid))
		return !mvcc || run->cid < snapshot->curcid;
	if (mvcc && XidInMVCCSnapshot(run->xid, snapshot))
		return false;
	if (hint == MS_HINT_COMMITTED)
		return true;
	if (!mvcc && TransactionIdIsInProgress(run->xid))
		return false;
	if (ms_xid_did_commit(run->xid))
	{
		pg_atomic_write_u32(&run->hint, MS_HINT_COMMITTED);
		return true;
	}

	/*
	 * a standby may not have heard of a subtransaction that is still to
	 * commit
	 */
	if (!RecoveryInProgress() && !TransactionIdIsInProgress(run->xid))
		pg_atomic_write_u32(&run->hint, MS_HINT_ABORTED);
	return false;
}
