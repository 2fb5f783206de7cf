/*-------------------------------------------------------------------------
 *
 * txn.c
 *	  What the write path does when a transaction, or a part of it, ends.
 *
 * Before commit the transaction's batches are flushed, and runs written earlier
 * numbered like these, so that of two writes of one sample the later one wins, and
 * everything is numbered then rather than when it was written, so that the last
 * committed transaction wins.  (Of two that commit at the same moment it is the
 * one that got here last.)  A prepared transaction takes its place when it is
 * prepared: nobody is there when it commits.  A failure here is an ordinary error
 * that aborts the transaction.
 *
 * After commit nothing remains to be done but to free what was dropped: tables,
 * truncated or rewritten storage.  The server tells which storage that is if
 * asked before the commit; it is remembered in memory allocated then, because
 * after commit nothing may fail.  At abort the same is done with storage that was
 * created in vain.  Storage dropped by COMMIT PREPARED is left to the keeper.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/storage.h"
#include "utils/memutils.h"

#include "am/batch.h"
#include "am/configure.h"

/* A table this transaction has written runs to. */
typedef struct Touched
{
	struct Touched *next;
	MsTableKey	key;
	MsTable    *table;			/* borrowed */
	uint64		generation;
	SubTransactionId subid;		/* that wrote first; its lock keeps the table */
} Touched;

static Touched *touched = NULL; /* in TopTransactionContext */
static uint64 txn_number = 0;	/* 0: none yet */

/* Storage to be freed at commit; in TopTransactionContext. */
static MsTableKey *doomed = NULL;
static int	ndoomed = 0;

/* This transaction's number among writers. */
uint64
ms_txn_number(void)
{
	if (txn_number == 0)
		txn_number = ms_run_new_txn();
	return txn_number;
}

/* Notes that runs of the batch exist which are to be numbered before commit. */
void
ms_txn_wrote(const MsBatch *batch)
{
	Touched    *t;

	for (t = touched; t != NULL; t = t->next)
	{
		if (t->table == batch->table && t->generation == batch->generation)
		{
			t->subid = Min(t->subid, batch->subid);
			return;
		}
	}
	t = MemoryContextAlloc(TopTransactionContext, sizeof(Touched));
	t->key = batch->key;
	t->table = batch->table;
	t->generation = batch->generation;
	t->subid = batch->subid;
	t->next = touched;
	touched = t;
}

static bool
is_doomed(const MsTableKey *key)
{
	for (int i = 0; i < ndoomed; i++)
	{
		if (memcmp(&doomed[i], key, sizeof(MsTableKey)) == 0)
			return true;
	}
	return false;
}

/* Finds out which of our tables go when this transaction commits. */
static void
find_doomed(void)
{
	RelFileLocator *locators;
	int			n;

	ndoomed = 0;
	n = smgrGetPendingDeletes(true, &locators);
	if (n == 0)
		return;
	doomed = MemoryContextAlloc(TopTransactionContext, sizeof(MsTableKey) * n);
	for (int i = 0; i < n; i++)
	{
		MsTableKey	key = ms_table_key(locators[i]);

		if (ms_table_lookup(&key) != NULL)
			doomed[ndoomed++] = key;
	}
	pfree(locators);
}

/* All that has to be in the store before the transaction is committed or prepared. */
static void
finish_writes(void)
{
	MsBatch    *next;
	uint64		order;

	ms_ownrows_end();
	find_doomed();
	for (MsBatch *batch = ms_batches; batch != NULL; batch = next)
	{
		next = batch->next;
		if (is_doomed(&batch->key))
			ms_batch_forget(batch);
	}
	if (touched == NULL && ms_batches == NULL)
		return;
	order = ms_run_new_order();
	for (MsBatch *batch = ms_batches; batch != NULL; batch = batch->next)
		ms_batch_flush(batch, order);

	/*
	 * last, so that all runs of a table have one number, should the keeper
	 * have given some another meanwhile
	 */
	for (Touched *t = touched; t != NULL; t = t->next)
	{
		if (!is_doomed(&t->key))
			ms_run_stamp_order(t->table, txn_number, order);
	}
}

static void
forget_all(void)
{
	while (ms_batches != NULL)
		ms_batch_forget(ms_batches);
	ms_ownrows_forget();
	touched = NULL;
	txn_number = 0;
	doomed = NULL;
	ndoomed = 0;
}

/*
 * Frees storage created by what is being aborted, and forgets whatever of this
 * transaction refers to it.
 */
static void
drop_aborted(void)
{
	RelFileLocator *locators;
	int			n = smgrGetPendingDeletes(false, &locators);

	for (int i = 0; i < n; i++)
	{
		MsTableKey	key = ms_table_key(locators[i]);

		for (Touched **link = &touched; *link != NULL;)
		{
			if (memcmp(&(*link)->key, &key, sizeof(MsTableKey)) == 0)
				*link = (*link)->next;
			else
				link = &(*link)->next;
		}
		ms_table_drop(&key);
	}
}

static void
txn_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			finish_writes();
			break;
		case XACT_EVENT_COMMIT:
			for (int i = 0; i < ndoomed; i++)
				ms_table_drop(&doomed[i]);
			forget_all();
			break;
		case XACT_EVENT_ABORT:
			forget_all();
			drop_aborted();
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			forget_all();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
subtxn_callback(SubXactEvent event, SubTransactionId subid,
				SubTransactionId parent, void *arg)
{
	MsBatch    *next;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		/* must not fail; batches that now belong together are merged later */
		for (MsBatch *batch = ms_batches; batch != NULL; batch = batch->next)
		{
			if (batch->subid == subid)
				batch->subid = parent;
		}
		for (Touched *t = touched; t != NULL; t = t->next)
		{
			if (t->subid == subid)
				t->subid = parent;
		}
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		for (MsBatch *batch = ms_batches; batch != NULL; batch = next)
		{
			next = batch->next;
			if (batch->subid == subid)
				ms_batch_forget(batch);
		}
		for (Touched **link = &touched; *link != NULL;)
		{
			if ((*link)->subid == subid)
				*link = (*link)->next;
			else
				link = &(*link)->next;
		}
		drop_aborted();
	}
}

void
ms_txn_init(void)
{
	RegisterXactCallback(txn_callback, NULL);
	RegisterSubXactCallback(subtxn_callback, NULL);
}
