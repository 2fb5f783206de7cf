/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Runs: rows just written by a transaction, not yet folded into chunks.
 *
 * A run is one allocation in the group of its window:
 *
 *		MsRun | MsPiece data.. | MsPiece data.. | ...       (16-byte aligned)
 *
 * Each piece holds rows of one series in chunk format, or says that a range of
 * times of the series is deleted.  A piece is linked into the list of its
 * (series, window) entry, so a reader finds what concerns a series without
 * looking at any other.
 *
 * A run is judged by its xid and command id, like a heap tuple (ms_run_visible).
 * Where several writes meet at one time of one series, the one with the highest
 * (order, seq) wins.  seq numbers appends.  order is one number for all runs of
 * a transaction, given by ms_run_stamp_order() just before it commits, so that
 * the last committed write wins; until then it is MS_ORDER_PENDING, which is
 * behind everything committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_RUN_H
#define MS_RUN_H

#include "store/table.h"
#include "utils/snapshot.h"

#define MS_ORDER_PENDING	PG_UINT64_MAX

typedef enum MsRunHint
{
	MS_HINT_NONE = 0,
	MS_HINT_COMMITTED,
	MS_HINT_ABORTED
} MsRunHint;

typedef struct MsRun
{
	/* Constant. */
	TransactionId xid;
	CommandId	cid;
	uint64		txn;			/* the writer's transaction number */
	uint64		seq;			/* number of its append */
	uint32		size;			/* bytes as allocated */
	uint32		npieces;
	uint32		nrows;

	/* Under table->lock exclusive. */
	uint32		live;			/* pieces not yet folded or dropped */
	uint64		order;
	MsRef		next;			/* in the window's list */
	MsRef		prev;

	pg_atomic_uint32 hint;		/* MsRunHint; set by any reader, no lock */
} MsRun;

typedef enum MsPieceKind
{
	MS_PIECE_ROWS = 0,			/* data: a chunk */
	MS_PIECE_DELETE				/* data: int64 from, int64 to (exclusive) */
} MsPieceKind;

typedef struct MsPiece
{
	MsRef		next;			/* in the entry's list; under table->lock */
	MsRef		run;			/* constant from here on; 0 once folded */
	uint32		sid;
	uint32		kind:2;
	uint32		len:30;			/* bytes of data */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];
} MsPiece;

/* One piece as its writer hands it over. */
typedef struct MsPieceInput
{
	const MsLabelValue *labels; /* by label ordinal */
	int			nlabels;
	uint32		hash;			/* ms_labels_hash */
	MsPieceKind kind;
	const uint8 *data;
	uint32		len;
	uint32		nrows;
} MsPieceInput;

typedef struct MsRunInput
{
	int64		start;			/* the window's bounds as ms_window_bounds
								 * gave them */
	int64		end;
	int			npieces;
	const MsPieceInput *pieces;
} MsRunInput;

typedef struct MsRunWriter
{
	TransactionId xid;
	CommandId	cid;
	uint64		txn;			/* from ms_run_new_txn, one per top
								 * transaction */
	uint64		order;			/* the transaction's, or MS_ORDER_PENDING */
} MsRunWriter;

typedef enum MsAppendResult
{
	MS_APPEND_OK = 0,
	MS_APPEND_FULL,				/* memory; nothing was changed */
	MS_APPEND_MAX_SERIES,		/* config.max_series; nothing was changed */
	MS_APPEND_MOVED,			/* the window has other bounds now: split
								 * again */
	MS_APPEND_CLOSED			/* the gate is closed; nothing was changed */
} MsAppendResult;

extern uint64 ms_run_new_txn(void);

/* Appends one run; all or nothing.  Takes table->lock exclusive.  Never ERRORs. */
extern MsAppendResult ms_run_append(MsTable *table, const MsRunWriter *writer,
									const MsRunInput *input);

/*
 * As above, but acts on the result: on MS_APPEND_FULL folds, expires the oldest window if the
 * table says on_full => 'expire', and tries again; else ERROR with hint.  Returns OK or MOVED.
 */
extern MsAppendResult ms_run_write(MsTable *table, const MsRunWriter *writer,
								   const MsRunInput *input, const char *relname);

/* A new order number; to be taken once by a transaction about to commit. */
extern uint64 ms_run_new_order(void);

/*
 * Replay: appends the run unless the window has it already.  False if memory is full, with nothing changed.
 * `end` is the end of the record.
 */
extern bool ms_run_replay(MsTable *table, const MsRunWriter *writer,
						  const MsRunInput *input, uint64 seq, XLogRecPtr end);
extern void ms_run_replay_order(MsTable *table, uint64 txn, uint64 order, XLogRecPtr end);

/* Gives all runs of txn in this table their order.  Takes table->lock exclusive.  ERROR if the gate is closed. */
extern void ms_run_stamp_order(MsTable *table, uint64 txn, uint64 order);

/*
 * Numbers the transaction of a run anew, as if it had written just now; all its runs in this table.  Only if it can be done:
 * it has not ended, and what is logged can be.  Caller holds table->lock exclusively.  Never fail.
 */
extern bool ms_run_can_postpone_locked(const MsTable *table, const MsRun *run);
extern void ms_run_postpone_locked(MsTable *table, MsRun *run);

/*
 * Did the transaction commit?  As TransactionIdDidCommit, but one that the commit log has forgotten did not: had it, its runs
 * would bear the hint, since the keeper judges each long before.
 */
extern bool ms_xid_did_commit(TransactionId xid);

/* Has the table a run whose append has this number or a lower one?  Takes table->lock shared; O(runs). */
extern bool ms_run_any_until(MsTable *table, uint64 seq);

/* Walking a run's pieces; the caller counts to run->npieces. */
extern MsPiece *ms_run_first_piece(MsRun *run);
extern MsPiece *ms_run_next_piece(MsPiece *piece);

/*
 * Puts a filled run (all fields but next and prev set, every piece's entry ensured) where readers
 * find it; pieces with run = 0 are left out.  Caller holds table->lock exclusively.  Cannot fail.
 */
extern void ms_run_link_locked(MsTable *table, MsWindow *window, MsRun *run);

/* Takes a run with no live pieces out of its window and frees it.  Caller holds maintain, and lock exclusively. */
extern void ms_run_free_locked(MsTable *table, MsWindow *window, MsRun *run);

/* Is what this run holds visible to the snapshot?  Caller holds table->lock (any mode) or maintain. */
extern bool ms_run_visible(MsRun *run, Snapshot snapshot);

#endif							/* MS_RUN_H */
