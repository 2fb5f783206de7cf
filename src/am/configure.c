/*-------------------------------------------------------------------------
 *
 * configure.c
 *	  Changed settings reach the shared table when the change commits.
 *
 * A table's settings are its security label, written by memseries.configure()
 * or by SECURITY LABEL, and transactional as any row of a catalog.  The store
 * keeps a copy for those who cannot read catalogs: the workers, and writers
 * in the middle of a flush.  That copy may change only when the label's change
 * is committed, and once it is, nothing may fail any more.
 *
 * So all a change does is to note the relation.  Just before commit, when
 * catalogs can still be read and errors still abort, the label of each is read
 * again (a savepoint may have been rolled back, or the label set twice: what
 * counts is what it is at the end) and kept with the key of the storage the
 * relation has by then.  At commit the copies are set, which takes two locks
 * for a moment and cannot fail.
 *
 * The keeper expires by the copies, and what it expires is gone.  So after a crash
 * it must not go by settings that keep less than the committed ones.  The
 * copies are logged when they are set; but that is after the commit, and nobody
 * waits for it to be durable.  Therefore, just before commit or PREPARE, the copies
 * are set to such as keep what the former ones keep and what the new ones do,
 * which is in WAL before the commit record.  If the transaction
 * aborts after all, the former ones come back.
 *
 * Storage that the same transaction made, by CREATE TABLE or TRUNCATE, is seen
 * by nobody else.  There settings take effect at once (reldesc.c), so that one
 * transaction can create a table, say that it keeps all, and fill it, which is
 * what pg_restore --single-transaction does.
 *
 * Two transactions cannot do this to one relation at a time: both hold a lock
 * on it that conflicts with itself, and locks are released after the commit
 * callbacks.
 *
 * A prepared transaction is committed by a process that knows nothing of it,
 * and a backend may die between commit and callback.  Therefore backends also
 * compare label and copy whenever they look at the relation anew (reldesc.c),
 * unless the transaction that is changing it has not ended; COMMIT PREPARED makes
 * them do so.  Until the first one does, the workers go by settings that keep
 * what either keeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "am/configure.h"
#include "am/options.h"
#include "am/reldesc.h"
#include "store/table.h"

typedef struct Pending
{
	Oid			relid;
	bool		apply;			/* key and config are set */
	bool		widened;		/* the copy has been, and was: */
	MsConfig	before;
	MsTableKey	key;
	MsConfig	config;
} Pending;

/* What this transaction has changed; in TopTransactionContext. */
static Pending *pending = NULL;
static int	npending = 0;
static int	pending_cap = 0;

/* See configure.h. */
bool
ms_configure_is_pending(Oid relid)
{
	for (int i = 0; i < npending; i++)
	{
		if (pending[i].relid == relid)
			return true;
	}
	return false;
}

/* See configure.h. */
void
ms_configure_pending(Oid relid)
{
	if (ms_configure_is_pending(relid))
		return;
	if (npending == pending_cap)
	{
		int			cap = Max(pending_cap * 2, 8);

		if (pending == NULL)
			pending = MemoryContextAlloc(TopTransactionContext, sizeof(Pending) * cap);
		else
			pending = repalloc(pending, sizeof(Pending) * cap);
		pending_cap = cap;
	}
	pending[npending].relid = relid;
	pending[npending].apply = false;
	pending[npending].widened = false;
	npending++;
}

/* Finds out what each changed relation's settings and storage are at the end.  May ERROR. */
static void
resolve(void)
{
	for (int i = 0; i < npending; i++)
	{
		Relation	rel = RelationIdGetRelation(pending[i].relid);

		pending[i].apply = false;
		if (rel == NULL)
			continue;			/* dropped later on */
		if (ms_is_memseries_rel(rel))
		{
			pending[i].key = ms_table_key(ms_rel_locator(rel));
			pending[i].config = ms_options_of_rel(rel);
			pending[i].apply = true;
		}
		RelationClose(rel);
	}
}

/* Makes the copies keep what either settings keep, see the top.  ERROR if the gate is closed. */
static void
widen(void)
{
	for (int i = 0; i < npending; i++)
	{
		Pending    *p = &pending[i];
		MsTable    *table = p->apply ? ms_table_lookup(&p->key) : NULL;

		if (table == NULL)
			continue;
		p->before = ms_table_get_config(table);
		if (ms_config_equal(&p->before, &p->config))
			continue;
		while (!ms_table_widen_config(table, &p->config, GetTopTransactionId()))
		{
			ms_store_check_writable();	/* waits, or complains */
			CHECK_FOR_INTERRUPTS();
		}
		p->widened = true;
	}
}

/* The transaction has aborted after that.  Must not fail. */
static void
undo(void)
{
	for (int i = 0; i < npending; i++)
	{
		MsTable    *table = pending[i].widened ? ms_table_lookup(&pending[i].key) : NULL;

		if (table != NULL)
			ms_table_set_config(table, &pending[i].before);
	}
}

/* Sets the copies in the store.  Must not fail. */
static void
apply(void)
{
	bool		applied = false;

	for (int i = 0; i < npending; i++)
	{
		MsTable    *table;

		if (!pending[i].apply)
			continue;
		table = ms_table_lookup(&pending[i].key);
		if (table != NULL)
		{
			ms_table_set_config(table, &pending[i].config);
			applied = true;
		}
	}

	/* Fewer windows may be kept now. */
	if (applied)
		ms_worker_wake(MS_KEEPER);
}

static void
forget(void)
{
	pending = NULL;				/* its memory goes with the transaction */
	npending = pending_cap = 0;
}

static void
configure_xact_callback(XactEvent event, void *arg)
{
	if (npending == 0)
		return;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			resolve();
			widen();
			break;
		case XACT_EVENT_COMMIT:
			apply();
			forget();
			break;
		case XACT_EVENT_ABORT:
			undo();
			forget();
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_ABORT:
			forget();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			break;
	}
}

void
ms_configure_init(void)
{
	RegisterXactCallback(configure_xact_callback, NULL);
}
