/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Moving committed runs into chunks, dropping aborted ones.
 *
 * Folding goes series by series within a window.  For each, the pieces that
 * may be folded are merged with the chunk into a new chunk, outside any lock;
 * then, under table->lock, the entry is switched to it, the pieces are taken
 * off the list, and runs that have none left are freed.  A chunk is never
 * changed in place, so a reader sees either the old state or the new.
 *
 * What makes that safe is table->maintain: only its holder replaces chunks or
 * frees runs, so what was read without table->lock stays there.  Writers go
 * on meanwhile: they add pieces at the head of a list, which does not disturb
 * those behind.
 *
 * Which pieces.  A piece is judged by its run's transaction:
 *
 *	dead		aborted; dropped
 *	foldable	committed, and every snapshot sees it as such (its xid precedes
 *				the oldest that any snapshot may still take for running)
 *	recent		committed, but some snapshot may not see it
 *	running		in progress, or prepared
 *
 * Pieces are folded in their order.  A recent one holds back all later
 * ones of its series, or it would afterwards overwrite what replaced it.  A
 * running one with a final order number (a prepared transaction, or one between
 * that and its commit) must not hold them back, it may stay for days; if a
 * later piece is folded before it, its transaction gets a new order number, as if
 * it had written just now.  That is allowed because it is not yet committed, which is
 * made sure of while nobody can look.
 *
 * What wins must not depend on when somebody folds, or a standby would show
 * other values than its primary, or the primary after a crash than before.  So
 * of a logged table new numbers are in WAL; and in recovery, when there cannot
 * be any but those, a running piece does hold back later ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "storage/procarray.h"

#include "store/foldwork.h"
#include "store/maintain.h"

/*
 * With a limit on pieces, this limits the bytes of chunks written too: a piece
 * may hold one row or a million, and others wait for table->maintain.  What could
 * not be stored does not count, or whoever calls again would never come past it.
 */
#define FOLD_BYTES	(2 * 1024 * 1024)

/* ---- judging ---- */

typedef enum RunFate
{
	FATE_DEAD,
	FATE_FOLDABLE,
	FATE_RECENT,
	FATE_RUNNING
} RunFate;

/*
 * In recovery while no snapshot can be taken: but then it is not known, either,
 * which transactions are in progress.  One that has not ended may still do so,
 * unless replay has said that all before it have (see ms_fold_ended).
 */
static bool
nobody_reads(void)
{
	return InRecovery && standbyState < STANDBY_SNAPSHOT_READY;
}

/* What precedes this has ended, as far as replay has come; Invalid: not known. */
static TransactionId replay_horizon = InvalidTransactionId;

/* See maintain.h. */
void
ms_fold_ended(TransactionId xid)
{
	replay_horizon = xid;
}

static RunFate
run_fate_in_replay(MsRun *run)
{
	if (pg_atomic_read_u32(&run->hint) == MS_HINT_COMMITTED || ms_xid_did_commit(run->xid))
	{
		pg_atomic_write_u32(&run->hint, MS_HINT_COMMITTED);
		return FATE_FOLDABLE;
	}
	if (TransactionIdIsValid(replay_horizon) &&
		TransactionIdPrecedes(run->xid, replay_horizon))
	{
		pg_atomic_write_u32(&run->hint, MS_HINT_ABORTED);
		return FATE_DEAD;
	}
	return FATE_RUNNING;
}

static RunFate
run_fate(MsRun *run, TransactionId horizon)
{
	uint32		hint = pg_atomic_read_u32(&run->hint);
	bool		settled;

	if (hint == MS_HINT_ABORTED)
		return FATE_DEAD;
	if (nobody_reads())
		return run_fate_in_replay(run);
	settled = TransactionIdPrecedes(run->xid, horizon);
	if (hint == MS_HINT_NONE)
	{
		if (!settled && TransactionIdIsInProgress(run->xid))
			return FATE_RUNNING;
		if (!ms_xid_did_commit(run->xid))
		{
			/* a standby may not have heard of a subtransaction yet */
			if (!settled && RecoveryInProgress())
				return FATE_RUNNING;
			pg_atomic_write_u32(&run->hint, MS_HINT_ABORTED);
			return FATE_DEAD;
		}
		pg_atomic_write_u32(&run->hint, MS_HINT_COMMITTED);
	}
	return settled ? FATE_FOLDABLE : FATE_RECENT;
}

/* ---- one series ---- */

typedef struct Candidate
{
	MsPiece    *piece;
	MsRun	   *run;
	uint64		order;			/* (order, seq) as read under the lock */
	uint64		seq;
	RunFate		fate;
	bool		fold;
} Candidate;

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

/* Lists the pieces of an entry, in their order.  Returns their number; *chunk is set too. */
static int
list_candidates(MsFoldWork *work, MsWindow *window, uint32 sid, TransactionId horizon,
				Candidate **list, MsRef *chunk)
{
	MsTable    *table = work->table;
	MsEntry    *entry;
	int			n = 0;
	int			cap = 16;

	*list = palloc(sizeof(Candidate) * cap);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	entry = ms_entry_locked(window, sid);
	*chunk = entry != NULL ? entry->chunk : 0;
	for (MsRef ref = entry != NULL ? entry->pieces : 0; ref != 0;)
	{
		MsPiece    *piece = ms_ptr(ms_store->arena, ref);
		Candidate  *c;

		if (n == cap)
		{
			cap *= 2;
			*list = repalloc_huge(*list, sizeof(Candidate) * cap);
		}
		c = &(*list)[n++];
		c->piece = piece;
		c->run = ms_ptr(ms_store->arena, piece->run);
		c->order = c->run->order;
		c->seq = c->run->seq;
		c->fold = false;
		ref = piece->next;
	}
	ms_unlock(table->lock);

	for (int i = 0; i < n; i++)
		(*list)[i].fate = run_fate((*list)[i].run, horizon);
	qsort(*list, n, sizeof(Candidate), compare_candidates);
	return n;
}

/* Decides which candidates to fold; returns how many, and whether any is dead. */
static int
choose(const MsTable *table, Candidate *list, int n, bool *any_dead)
{
	int			nfold = 0;
	bool		blocked = false;
	bool		running_blocks = table->logged && RecoveryInProgress();

	*any_dead = false;
	for (int i = 0; i < n; i++)
	{
		if (list[i].fate == FATE_DEAD)
			*any_dead = true;
		else if (list[i].fate == FATE_RECENT ||
				 (list[i].fate == FATE_RUNNING && running_blocks))
			blocked = true;
		else if (list[i].fate == FATE_FOLDABLE && !blocked)
		{
			list[i].fold = true;
			nfold++;
		}
	}
	return nfold;
}

/* Order number of the last piece to be folded; 0 if there is none. */
static uint64
last_folded(const Candidate *list, int n)
{
	uint64		order = 0;

	for (int i = 0; i < n; i++)
		if (list[i].fold)
			order = list[i].order;
	return order;
}

/* Must this one be numbered anew, as later ones are folded before it? */
static bool
is_overtaken(const Candidate *c, uint64 last)
{
	return c->fate == FATE_RUNNING && c->run->order < last;
}

/*
 * Gives what is overtaken new order numbers, see the top.  False, with nothing done, if
 * that cannot be.  Caller holds maintain and table->lock.
 */
static bool
postpone_overtaken_locked(MsTable *table, const Candidate *list, int n)
{
	uint64		last = last_folded(list, n);

	for (int i = 0; i < n; i++)
		if (is_overtaken(&list[i], last) &&
			!ms_run_can_postpone_locked(table, list[i].run))
			return false;
	for (int i = 0; i < n; i++)
		if (is_overtaken(&list[i], last))
			ms_run_postpone_locked(table, list[i].run);
	return true;
}

/*
 * Switches the entry to its new chunk and takes pieces off its list.  Nothing
 * here can fail.  Caller holds maintain and table->lock.
 */
static void
publish_locked(MsTable *table, MsWindow *window, uint32 sid, const Candidate *list,
			   int n, bool folded, MsRef new_chunk, MsMaintainStats *stats)
{
	MsArena    *arena = ms_store->arena;
	MsEntry    *entry = ms_entry_locked(window, sid);
	MsRef	   *link;

	if (folded)
		ms_chunk_switch_locked(window, entry, new_chunk);
	if (entry->chunk == 0)
		table->unswept = true;

	for (int i = 0; i < n; i++)
		if (list[i].fold || list[i].fate == FATE_DEAD)
			list[i].piece->run = 0;
	for (link = &entry->pieces; *link != 0;)
	{
		MsPiece    *piece = ms_ptr(arena, *link);

		if (piece->run == 0)
			*link = piece->next;
		else
			link = &piece->next;
	}

	for (int i = 0; i < n; i++)
	{
		MsRun	   *run = list[i].run;

		if (list[i].fold || list[i].fate == FATE_DEAD)
		{
			if (list[i].fold)
				stats->pieces_folded++;
			else
				stats->pieces_dropped++;
			if (--run->live == 0)
			{
				ms_run_free_locked(table, window, run);
				stats->runs_freed++;
			}
		}
	}
	window->version++;
}

/* What a chunk cannot hold stays in its runs: readable, but large and slow.  Say so once. */
static void
warn_too_large(const MsTable *table)
{
	static bool warned = false;

	if (!warned)
		ereport(WARNING,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a series of a memseries table has more than %d samples in one window",
						MS_CHUNK_MAX_ROWS),
				 errdetail("Storage %u/%u/%u. What is more stays unfolded.",
						   table->key.spc, table->key.db, table->key.rel),
				 errhint("Choose a shorter chunk_interval with memseries.configure.")));
	warned = true;
}

/* Makes the chunk that holds the stored one (or NULL) and the candidates to fold; as ms_fold_chunk. */
static const uint8 *
fold_candidates(MsFoldWork *work, const MsStored *stored, const Candidate *list, int n,
				int nfold, int flags, uint32 *len)
{
	MsPieceBytes *pieces = palloc(sizeof(MsPieceBytes) * nfold);
	const uint8 *bytes;
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		if (!list[i].fold)
			continue;
		pieces[k].order = list[i].order;
		pieces[k].seq = list[i].seq;
		pieces[k].kind = list[i].piece->kind;
		pieces[k].len = list[i].piece->len;
		pieces[k].data = list[i].piece->data;
		k++;
	}
	bytes = ms_fold_chunk(work, stored, pieces, nfold, flags, len);
	pfree(pieces);
	return bytes;
}

/* Nothing to fold into: the pieces stay, and stay readable. */
static int
fold_none(Candidate *list, int n)
{
	for (int i = 0; i < n; i++)
		list[i].fold = false;
	return 0;
}

/*
 * Is there no memory for the new chunk, so that it need not be made?  Judged by the last one there
 * was none for; the bytes there are will not become much fewer.
 */
static bool
is_hopeless(const MsFoldWork *work, const Candidate *list, int n, MsRef old_chunk)
{
	uint64		bytes = 0;

	if (work->no_room == 0)
		return false;
	if (old_chunk != 0)
		bytes += ((MsStored *) ms_ptr(ms_store->arena, old_chunk))->len;
	for (int i = 0; i < n; i++)
		bytes += list[i].fold ? list[i].piece->len : 0;
	return bytes >= work->no_room;
}

/* Folds what can be folded of one series in one window. */
static void
fold_series(MsFoldWork *work, MsWindow *window, uint32 sid, TransactionId horizon,
			MsMaintainStats *stats)
{
	MsTable    *table = work->table;
	bool		sealed = window->sealed || window->seal_next > 0;
	int			flags = sealed ? MS_CHUNK_SEALED : MS_CHUNK_OPEN;
	Candidate  *list;
	MsRef		old_chunk;
	MsRef		new_chunk = 0;
	uint32		len = 0;
	bool		any_dead;
	int			n = list_candidates(work, window, sid, horizon, &list, &old_chunk);
	int			nfold = choose(table, list, n, &any_dead);

	if (nfold > 0 && is_hopeless(work, list, n, old_chunk))
	{
		stats->full = true;
		nfold = fold_none(list, n);
	}
	if (nfold > 0)
	{
		MsStored   *stored = old_chunk != 0 ? ms_ptr(ms_store->arena, old_chunk) : NULL;
		const uint8 *bytes = fold_candidates(work, stored, list, n, nfold, flags, &len);

		if (len > 0)
			new_chunk = ms_chunk_store(window, bytes, len, work->nrows, false);
		if (work->too_large)
			warn_too_large(table);
		else if (len > 0 && new_chunk == 0)
		{
			stats->full = true;
			work->no_room = len;
		}
		if (work->too_large || (len > 0 && new_chunk == 0))
			nfold = fold_none(list, n);
	}
	if (nfold > 0 || any_dead)
	{
		ms_lock(table->lock, MS_RANK_TABLE);
		if (postpone_overtaken_locked(table, list, n))
		{
			publish_locked(table, window, sid, list, n, nfold > 0, new_chunk, stats);
			stats->bytes_folded += len;
			work->no_room = 0;
		}
		else if (new_chunk != 0)
			ms_arena_free(ms_store->arena, &window->group, new_chunk, MS_STORED_SIZE(len));
		ms_unlock(table->lock);
	}
	pfree(list);
}

/* ---- tables ---- */

/* The series of a window that have something to fold or drop. */
static Bitmapset *
series_to_fold(MsTable *table, MsWindow *window, TransactionId horizon)
{
	MsArena    *arena = ms_store->arena;
	Bitmapset  *series = NULL;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (MsRef ref = window->runs; ref != 0;)
	{
		MsRun	   *run = ms_ptr(arena, ref);
		RunFate		fate = run_fate(run, horizon);

		ref = run->next;
		if (fate == FATE_DEAD || fate == FATE_FOLDABLE)
		{
			MsPiece    *piece = ms_run_first_piece(run);

			for (uint32 i = 0; i < run->npieces; i++)
			{
				if (piece->run != 0)
					series = bms_add_member(series, piece->sid);
				piece = ms_run_next_piece(piece);
			}
		}
	}
	ms_unlock(table->lock);
	return series;
}

/*
 * The next window at or after *t, moving *t behind it; NULL at the end.  It
 * stays there while the caller holds maintain.
 */
MsWindow *
ms_window_walk(MsTable *table, int64 *t)
{
	MsWindow   *window = NULL;
	int			i;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	i = ms_window_search_locked(table, *t);
	if (i < table->nwindows)
	{
		window = ms_window_at(table, i);
		*t = window->end;
	}
	ms_unlock(table->lock);
	return window;
}

/* See maintain.h. */
void
ms_fold_table(MsTable *table, uint64 max_pieces, MsMaintainStats *stats)
{
	TransactionId horizon;
	MsFoldWork *work;
	MsWindow   *window;
	int64		t = PG_INT64_MIN;

	Assert(LWLockHeldByMe(table->maintain));
	if (!table->in_use || table->nruns == 0)
		return;

	horizon = nobody_reads() ? InvalidTransactionId :
		GetOldestNonRemovableTransactionId(NULL);
	work = ms_foldwork_create(table);
	while (!stats->more && (window = ms_window_walk(table, &t)) != NULL)
	{
		MemoryContext old;
		Bitmapset  *series;
		int			sid = -1;

		if (window->runs == 0)
			continue;
		old = MemoryContextSwitchTo(work->cxt);
		series = series_to_fold(table, window, horizon);
		while ((sid = bms_next_member(series, sid)) >= 0)
		{
			if (stats->pieces_folded + stats->pieces_dropped >= max_pieces ||
				(max_pieces != PG_UINT64_MAX && stats->bytes_folded >= FOLD_BYTES))
			{
				stats->more = true;
				break;
			}
			fold_series(work, window, sid, horizon, stats);
		}
		bms_free(series);
		MemoryContextSwitchTo(old);
	}
	ms_foldwork_free(work);
}
