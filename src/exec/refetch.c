/*-------------------------------------------------------------------------
 *
 * refetch.c
 *	  Fetching a row of a custom scan again, by its tid.
 *
 * In "UPDATE accounts ... FROM cpu" or "SELECT ... FROM accounts, cpu FOR
 * UPDATE OF accounts", another transaction may have changed the row of
 * accounts meanwhile.  READ COMMITTED then evaluates the query again for the
 * new version of that row and the same rows of the other tables, and asks
 * those for them by the ctid they were read with (EvalPlanQual).
 *
 * memseries rows have no lasting place.  But a scan that can be asked this
 * way (the planner knows) remembers what it read, a few bytes for each batch
 * of rows: the series and the time of the first row.  A tid is the number of
 * the batch and of the row in it.  Reading the same series from that time on
 * with the same snapshot gives the same rows in the same order.
 *
 * What is remembered lives as long as the query.  Tids of other scans mean
 * nothing, and none of them is ever found here: they are invalid.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "exec/scan.h"

#define LAST_BLOCK		((BlockNumber) 0x7fffffff)	/* above are tids of rows
													 * just written */

typedef struct Batch
{
	BlockNumber block;			/* the tids' */
	uint32		sid;
	int64		from;			/* time of the first row */
} Batch;

/* What one scan has read.  In the query's memory context. */
struct MsRefetch
{
	dlist_node	node;			/* in the list of all */
	Oid			relid;
	MsTable    *table;			/* borrowed */
	Snapshot	snapshot;		/* borrowed */
	Batch	   *batches;		/* by block */
	int			nbatches;
	int			cap;
	MemoryContextCallback forget;
};

static dlist_head scans = DLIST_STATIC_INIT(scans);
static BlockNumber next_block = 0;

/* The query's memory goes. */
static void
forget_scan(void *arg)
{
	dlist_delete(&((MsRefetch *) arg)->node);
}

/* Begins to remember what a scan reads. */
MsRefetch *
ms_refetch_begin(EState *estate, Oid relid)
{
	MemoryContext cxt = estate->es_query_cxt;
	MsRefetch  *refetch = MemoryContextAllocZero(cxt, sizeof(MsRefetch));

	refetch->relid = relid;
	refetch->snapshot = estate->es_snapshot;
	refetch->cap = 64;
	refetch->batches = MemoryContextAlloc(cxt, sizeof(Batch) * refetch->cap);
	refetch->forget.func = forget_scan;
	refetch->forget.arg = refetch;
	if (dlist_is_empty(&scans))
		next_block = 0;
	dlist_push_head(&scans, &refetch->node);
	MemoryContextRegisterResetCallback(cxt, &refetch->forget);
	return refetch;
}

/*
 * Tids are of another batch from now on: rows of a series without a gap, at most
 * MaxOffsetNumber, of which `from` is the first one's time.
 */
void
ms_refetch_batch(MsRefetch *refetch, MsTable *table, uint32 sid, int64 from)
{
	Batch	   *batch;

	if (next_block > LAST_BLOCK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("query reads too many rows of a memseries table that it may have to read again")));
	if (refetch->nbatches == refetch->cap)
	{
		refetch->cap *= 2;
		refetch->batches = repalloc_huge(refetch->batches, sizeof(Batch) * (Size) refetch->cap);
	}
	refetch->table = table;
	batch = &refetch->batches[refetch->nbatches++];
	batch->block = next_block++;
	batch->sid = sid;
	batch->from = from;
}

/* The tid of row number `row` of the batch. */
void
ms_refetch_tid(const MsRefetch *refetch, int row, ItemPointer tid)
{
	ItemPointerSet(tid, refetch->batches[refetch->nbatches - 1].block,
				   (OffsetNumber) row + 1);
}

/* ---- fetching ---- */

static const Batch *
find_batch(const MsRefetch *refetch, BlockNumber block)
{
	int			lo = 0;
	int			hi = refetch->nbatches;

	while (lo < hi)
	{
		int			mid = lo + (hi - lo) / 2;

		if (refetch->batches[mid].block == block)
			return &refetch->batches[mid];
		if (refetch->batches[mid].block < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Makes a tuple of one row, with all columns. */
static HeapTuple
form_tuple(const MsRelDesc *desc, TupleDesc tupdesc, MsCursor *cursor, uint32 sid,
		   const MsRows *rows, int row)
{
	Datum	   *values = palloc0(sizeof(Datum) * tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * tupdesc->natts);
	const MsLabelValue *labels;
	int			nlabels;

	if (!ms_cursor_labels(cursor, sid, &labels, &nlabels))
		return NULL;
	memset(isnull, true, sizeof(bool) * tupdesc->natts);
	ms_reldesc_fill_labels(desc, tupdesc, labels, nlabels, values, isnull);
	for (int i = 0; i < desc->natts; i++)
	{
		const MsRelColumn *col = &desc->cols[i];

		if (col->role == MS_ROLE_TIME)
		{
			values[i] = TimestampTzGetDatum(rows->times[row]);
			isnull[i] = false;
		}
		else if (col->role == MS_ROLE_VALUE)
			ms_scan_value(rows, row, col->ordinal, col->kind == MS_FLOAT4,
						  &values[i], &isnull[i]);
	}
	return heap_form_tuple(tupdesc, values, isnull);
}

/* Reads the series again, up to row number `row` from the batch's first. */
static HeapTuple
read_row(Relation rel, const MsRefetch *refetch, const Batch *batch, int row)
{
	const MsRelDesc *desc = ms_reldesc_copy(rel);
	HeapTuple	tuple = NULL;
	MsCursor   *cursor;
	MsRows		rows;

	if (desc->table == NULL || desc->table != refetch->table)
		return NULL;
	cursor = ms_cursor_open(desc->table, refetch->snapshot, batch->from, PG_INT64_MAX,
							NULL, desc->nvalues);
	if (ms_cursor_seek(cursor, batch->sid))
	{
		while (ms_cursor_next(cursor, &rows))
		{
			if (row < rows.nrows)
			{
				tuple = form_tuple(desc, RelationGetDescr(rel), cursor, batch->sid, &rows, row);
				break;
			}
			row -= rows.nrows;
		}
	}
	ms_cursor_close(cursor);
	return tuple;
}

/* See am/refetch.h.  Takes table->lock shared. */
bool
ms_refetch_row(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	dlist_iter	iter;

	if (!ItemPointerIsValid(tid))
		return false;
	dlist_foreach(iter, &scans)
	{
		MsRefetch  *refetch = dlist_container(MsRefetch, node, iter.cur);
		const Batch *batch;
		HeapTuple	tuple;

		if (refetch->relid != RelationGetRelid(rel))
			continue;
		batch = find_batch(refetch, ItemPointerGetBlockNumber(tid));
		if (batch == NULL)
			continue;
		tuple = read_row(rel, refetch, batch, ItemPointerGetOffsetNumber(tid) - 1);
		if (tuple == NULL)
			return false;
		ExecForceStoreHeapTuple(tuple, slot, true);
		slot->tts_tid = *tid;
		slot->tts_tableOid = RelationGetRelid(rel);
		return true;
	}
	return false;
}
