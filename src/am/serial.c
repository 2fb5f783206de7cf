/*-------------------------------------------------------------------------
 *
 * serial.c
 *	  SERIALIZABLE transactions on memseries tables.
 *
 * PostgreSQL finds dangerous patterns among serializable transactions if it is
 * told of every case where one transaction did not see what another wrote.
 * There are two ways to notice such a case, and between them none is missed:
 *
 *	- The reader comes first: it has left a predicate lock, on the whole table,
 *	  for finer ones would need tids that mean something.  The writer looks for
 *	  it after each run it has appended.
 *	- The writer comes first: its run lies in the table and is not visible to
 *	  the reader, which looks through all runs after it has left its lock.
 *	  Folding does not hide runs: only what everybody sees is folded.
 *
 * Both look after they have left their own trace, so two at the same time see
 * each other at least once.  Transactions that are not serializable pay a
 * function call.
 *
 * Locks: table->lock shared while run lists are walked; nothing is called under
 * it that may fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/predicate.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "am/reldesc.h"
#include "am/serial.h"
#include "am/write.h"
#include "store/run.h"

/* The distinct xids of runs in the table; palloc'd. */
static TransactionId *
writers_of(MsTable *table, int *count)
{
	TransactionId *xids;
	int			n = 0;
	uint32		cap;

	/* allocate outside the lock, with room for as many runs as there are */
	for (cap = 1024;; cap *= 2)
	{
		uint32		nruns = 0;

		xids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TransactionId) * (Size) cap);
		ms_lock_shared(table->lock, MS_RANK_TABLE);
		for (int w = 0; w < table->nwindows; w++)
			nruns += ms_window_at(table, w)->nruns;
		if (nruns <= cap)
			break;
		ms_unlock(table->lock);
		pfree(xids);
	}
	for (int w = 0; w < table->nwindows; w++)
	{
		MsRef		ref = ms_window_at(table, w)->runs;

		while (ref != 0)
		{
			MsRun	   *run = (MsRun *) ms_ptr(ms_store->arena, ref);

			if (n == 0 || xids[n - 1] != run->xid)
				xids[n++] = run->xid;
			ref = run->next;
		}
	}
	ms_unlock(table->lock);
	*count = n;
	return xids;
}

/* Tells of each transaction that has written what the snapshot does not show. */
static void
check_read(Relation rel, Snapshot snapshot)
{
	MsTable    *table = ms_reldesc(rel)->table;
	TransactionId *xids;
	int			n;

	if (table == NULL)
		return;
	xids = writers_of(table, &n);
	for (int i = 0; i < n; i++)
	{
		TransactionId xid = xids[i];

		/* what everyone sees, and what nobody ever will, is no conflict */
		if (TransactionIdPrecedes(xid, TransactionXmin) ||
			TransactionIdIsCurrentTransactionId(xid) ||
			!XidInMVCCSnapshot(xid, snapshot) ||
			(!TransactionIdIsInProgress(xid) && !TransactionIdDidCommit(xid)))
			continue;
		xid = SubTransGetTopmostTransaction(xid);
		if (TransactionIdPrecedes(xid, TransactionXmin))
			continue;
		CheckForSerializableConflictOut(rel, xid, snapshot);
	}
	pfree(xids);
}

void
ms_begin_read(Relation rel, Snapshot snapshot)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));

	ms_write_flush(&key);
	if (snapshot == NULL || !IsMVCCSnapshot(snapshot))
		return;
	PredicateLockRelation(rel, snapshot);
	if (CheckForSerializableConflictOutNeeded(rel, snapshot))
		check_read(rel, snapshot);
}

void
ms_serial_check_write(Oid relid)
{
	Relation	rel;

	if (!IsolationIsSerializable())
		return;
	rel = RelationIdGetRelation(relid);
	if (!RelationIsValid(rel))
		return;					/* dropped since */
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	RelationClose(rel);
}
