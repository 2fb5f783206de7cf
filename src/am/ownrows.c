/*-------------------------------------------------------------------------
 *
 * ownrows.c
 *	  The rows a transaction wrote, to be fetched again by tid.
 *
 * Triggers AFTER INSERT FOR EACH ROW, and with them foreign keys, note a row's
 * tid and fetch it when they fire, at the end of the statement or of the
 * transaction.  memseries rows have no lasting place, so the rows of tables
 * with such triggers are kept a second time, in a tuple store that spills to
 * disk, until the transaction ends.  A tid is the row's number there.
 *
 * Tids that custom scans hand out stay below FIRST_OWN_BLOCK, so that the two
 * cannot be confused.
 *
 * Rows of a rolled back savepoint stay until the end; no event asks for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "am/batch.h"

#define FIRST_OWN_BLOCK		((BlockNumber) 0x80000000)
#define ROWS_PER_BLOCK		1024

typedef struct OwnRows
{
	struct OwnRows *next;
	Oid			relid;
	Tuplestorestate *store;
	TupleTableSlot *slot;		/* minimal tuples, to read the store with */
	int64		nrows;
	int64		at;				/* row the store's read pointer is before; -1:
								 * unknown */
} OwnRows;

static OwnRows *own_rows = NULL;	/* in TopTransactionContext */
static int64 uncounted = 0;		/* rows of tables that need no store */

static void
set_tid(ItemPointer tid, int64 number)
{
	ItemPointerSet(tid, FIRST_OWN_BLOCK + (BlockNumber) (number / ROWS_PER_BLOCK % 0x7fffffff),
				   (OffsetNumber) (number % ROWS_PER_BLOCK) + 1);
}

bool
ms_tid_is_own(ItemPointer tid)
{
	return ItemPointerIsValid(tid) && ItemPointerGetBlockNumber(tid) >= FIRST_OWN_BLOCK;
}

/* Are the rows kept such as the relation has now?  ALTER TABLE in the same transaction may have changed its columns. */
static bool
has_columns(const OwnRows *own, TupleDesc tupdesc)
{
	TupleDesc	kept = own->slot->tts_tupleDescriptor;

	if (kept->natts != tupdesc->natts)
		return false;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (!att->attisdropped && att->atttypid != TupleDescAttr(kept, i)->atttypid)
			return false;
	}
	return true;
}

static OwnRows *
find_rows(Relation rel)
{
	for (OwnRows *own = own_rows; own != NULL; own = own->next)
	{
		if (own->relid == RelationGetRelid(rel) && has_columns(own, RelationGetDescr(rel)))
			return own;
	}
	return NULL;
}

static OwnRows *
create_rows(Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ResourceOwner owner = CurrentResourceOwner;
	OwnRows    *own = palloc0(sizeof(OwnRows));

	/* its files must outlive the subtransaction */
	CurrentResourceOwner = TopTransactionResourceOwner;
	own->store = tuplestore_begin_heap(true, false, work_mem);
	CurrentResourceOwner = owner;
	own->relid = RelationGetRelid(rel);
	own->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
										 &TTSOpsMinimalTuple);
	own->next = own_rows;
	own_rows = own;
	MemoryContextSwitchTo(old);
	return own;
}

/*
 * Gives the row a tid, and keeps it if it may be asked for again; with all of its values, which may be pointers
 * to those of another table that is gone by then.
 */
void
ms_ownrows_add(Relation rel, TupleTableSlot *slot)
{
	OwnRows    *own;
	HeapTuple	tuple;
	HeapTuple	whole;
	bool		owned;

	if (likely(rel->trigdesc == NULL || !rel->trigdesc->trig_insert_after_row))
	{
		set_tid(&slot->tts_tid, uncounted++);
		return;
	}
	own = find_rows(rel);
	if (own == NULL)
		own = create_rows(rel);
	tuple = ExecFetchSlotHeapTuple(slot, false, &owned);
	whole = HeapTupleHasExternal(tuple) ? toast_flatten_tuple(tuple, RelationGetDescr(rel)) : tuple;
	tuplestore_puttuple(own->store, whole);
	if (whole != tuple)
		heap_freetuple(whole);
	if (owned)
		heap_freetuple(tuple);
	set_tid(&slot->tts_tid, own->nrows++);
}

/* Goes to the row; mostly they are asked for in their order, so this is no step or one. */
static void
seek_row(OwnRows *own, int64 number)
{
	int64		from = own->at;
	bool		forward;

	own->at = -1;				/* should this be interrupted */
	if (from < 0 || number == 0)
	{
		tuplestore_rescan(own->store);
		from = 0;
	}
	forward = number > from;
	if (!tuplestore_skiptuples(own->store, forward ? number - from : from - number, forward))
		elog(ERROR, "could not position in the rows of this transaction");
}

/* A row this transaction wrote; false if there is none with this tid. */
bool
ms_ownrows_fetch(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	OwnRows    *own = find_rows(rel);
	int64		number;

	if (own == NULL || !ms_tid_is_own(tid))
		return false;
	number = (int64) (ItemPointerGetBlockNumber(tid) - FIRST_OWN_BLOCK) * ROWS_PER_BLOCK +
		ItemPointerGetOffsetNumber(tid) - 1;
	if (number >= own->nrows)
		return false;

	seek_row(own, number);
	if (!tuplestore_gettupleslot(own->store, true, false, own->slot))
		elog(ERROR, "could not read the rows of this transaction");
	own->at = number + 1;
	ExecCopySlot(slot, own->slot);
	slot->tts_tid = *tid;
	slot->tts_tableOid = RelationGetRelid(rel);
	ExecClearTuple(own->slot);
	return true;
}

/*
 * Before commit, when all triggers have fired: gives back memory and files.  An
 * abort does so by itself.
 */
void
ms_ownrows_end(void)
{
	while (own_rows != NULL)
	{
		OwnRows    *own = own_rows;

		own_rows = own->next;
		tuplestore_end(own->store);
	}
}

/* At the end of the transaction. */
void
ms_ownrows_forget(void)
{
	own_rows = NULL;
	uncounted = 0;
}
