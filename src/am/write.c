/*-------------------------------------------------------------------------
 *
 * write.c
 *	  The write path: rows gather per transaction, then become runs.
 *
 * A row could be appended to the store as it comes.  It would cost a lock, an
 * allocation, a look-up of its series and a WAL record each, and compress to
 * nothing.  So rows gather in backend memory, grouped by series, and
 * are encoded and appended as runs (batch.c) when
 *
 *	- memseries.batch_memory is used up,
 *	- the transaction is about to read the table (scan_begin, the custom scan)
 *	  or a snapshot is taken that must tell its rows apart (see below),
 *	- it is about to commit or to be prepared.
 *
 * A batch belongs to one storage and one subtransaction, and its rows go under
 * one transaction id.  When a subtransaction commits, its batch becomes its
 * parent's; two that come to the same place are merged when the next row comes,
 * so that a savepoint around every row does not make a run of every row.  When
 * one aborts, its batches are thrown away.
 *
 * A batch has one command id too, the largest of its rows'.  A snapshot taken
 * between two commands whose rows share a batch would see too little.  That is
 * prevented by flushing at the start of every statement that could use such a
 * snapshot: all but a plain INSERT of constants and parameters, without functions
 * of users (refuse.c's executor hook), and COPY (ddl.c); and, where triggers may
 * look at the table, at every change of the command id.
 *
 * How rows are kept until then is told in gather.c.
 *
 * What this does not do: it does not keep the writer's rows sorted, does not
 * know windows, and takes no locks (except for a moment to count rows that are
 * left out).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "am/batch.h"
#include "am/options.h"

#define MAX_AGE			1024	/* rows until the clock is looked at again */

int			ms_batch_memory_kb = 32 * 1024;
MsBatch    *ms_batches = NULL;

static MsBatch *last_batch = NULL;	/* that of the last row; may be NULL */

/* ---- batches ---- */

/* Which columns are stored where, and what their absence means. */
static void
map_columns(MsBatch *batch, TupleDesc tupdesc)
{
	const MsRelDesc *desc = batch->desc;

	batch->nlabels = desc->nlabels;
	batch->nvalues = desc->nvalues;
	batch->label_att = palloc(sizeof(int) * (batch->nlabels + 1));
	batch->value_att = palloc(sizeof(int) * (batch->nvalues + 1));
	batch->kinds = palloc0(batch->nvalues + 1);
	batch->missing = palloc0(sizeof(MsLabelValue) * (batch->nlabels + 1));
	for (int i = 0; i < batch->nlabels; i++)
	{
		batch->label_att[i] = -1;
		batch->missing[i].isnull = true;
	}
	for (int i = 0; i < batch->nvalues; i++)
		batch->value_att[i] = -1;

	for (int i = 0; i < desc->natts; i++)
	{
		const MsRelColumn *col = &desc->cols[i];

		if (col->role == MS_ROLE_LABEL)
		{
			bool		isnull;
			Datum		missing = getmissingattr(tupdesc, i + 1, &isnull);

			batch->label_att[col->ordinal] = i;
			if (!isnull)
				missing = datumCopy(missing, TupleDescAttr(tupdesc, i)->attbyval,
									TupleDescAttr(tupdesc, i)->attlen);
			ms_label_from_datum(TupleDescAttr(tupdesc, i), missing, isnull,
								&batch->missing[col->ordinal]);
		}
		else if (col->role == MS_ROLE_VALUE)
		{
			batch->value_att[col->ordinal] = i;
			batch->kinds[col->ordinal] = col->kind;
		}
	}
	batch->null_size = (batch->nvalues + 63) / 64 * sizeof(uint64);
	batch->row_size = sizeof(int64) + batch->null_size + sizeof(double) * batch->nvalues;
}

/* Looks at settings and clock again. */
static void
refresh_limits(MsBatch *batch)
{
	TimestampTz now = GetCurrentTimestamp();

	batch->config = ms_table_get_config(batch->table);
	batch->horizon = ms_config_horizon(&batch->config, now);
	batch->limit = ms_config_limit(&batch->config, now);
	batch->age = 0;
}

/*
 * Is this, the original of a rewrite, a memseries table?  Its rows were accepted
 * once then.  A materialized view, though, is filled with new ones.
 */
static bool
is_own(Oid original)
{
	Relation	rel;
	bool		own;

	if (!OidIsValid(original))
		return false;
	rel = RelationIdGetRelation(original);
	if (!RelationIsValid(rel))
		return false;
	own = ms_is_memseries_rel(rel) && rel->rd_rel->relkind == RELKIND_RELATION;
	RelationClose(rel);
	return own;
}

static MsBatch *
create_batch(Relation rel)
{
	const MsRelDesc *desc;
	TransactionId xid = GetCurrentTransactionId();
	Oid			original = ms_rewritten_relation(rel);
	bool		unlimited = is_own(original);
	MemoryContext cxt;
	MemoryContext old;
	MsBatch    *batch;
	MsBatch   **tail = &ms_batches;
	char	   *name = OidIsValid(original) ? get_rel_name(original) : NULL;

	if (name == NULL)
		name = RelationGetRelationName(rel);

	/* after the catalog look-ups, which may move the description */
	desc = ms_reldesc_for_write(rel);

	cxt = AllocSetContextCreate(TopTransactionContext, "memseries batch",
								ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	batch = palloc0(sizeof(MsBatch));
	batch->cxt = cxt;
	batch->rows_cxt = AllocSetContextCreate(cxt, "memseries batch rows",
											ALLOCSET_DEFAULT_SIZES);
	batch->key = desc->key;
	batch->table = desc->table;
	batch->generation = desc->generation;
	batch->relid = RelationGetRelid(rel);
	namestrcpy(&batch->relname, name);
	batch->converts = OidIsValid(original) && !unlimited;
	batch->xid = xid;
	batch->subid = GetCurrentSubTransactionId();
	batch->desc = palloc(desc->size);
	memcpy(batch->desc, desc, desc->size);
	batch->unlimited = unlimited;
	batch->last = MS_NO_ENTRY;
	batch->probe_cap = 256;
	batch->probe = palloc(batch->probe_cap);
	map_columns(batch, RelationGetDescr(rel));
	refresh_limits(batch);
	MemoryContextSwitchTo(old);

	while (*tail != NULL)
		tail = &(*tail)->next;
	*tail = batch;
	return batch;
}

/* Takes a batch out of the list and frees it, with any rows it holds. */
void
ms_batch_forget(MsBatch *batch)
{
	MsBatch   **link = &ms_batches;

	while (*link != batch)
		link = &(*link)->next;
	*link = batch->next;
	if (last_batch == batch)
		last_batch = NULL;
	MemoryContextDelete(batch->cxt);
}

/* Gives back the rows' memory of an empty batch. */
static void
free_rows(MsBatch *batch)
{
	if (batch->rows)
		pfree(batch->rows);
	if (batch->row_series)
		pfree(batch->row_series);
	batch->rows = NULL;
	batch->row_series = NULL;
	batch->rows_cap = 0;
}

/*
 * Empties a batch, keeping it for the rows to come.  That in use keeps its memory,
 * too: to have the kernel clear it again and again is a good part of a bulk load.
 */
void
ms_batch_reset(MsBatch *batch)
{
	MemoryContextReset(batch->rows_cxt);
	batch->memory = 0;
	batch->nrows = 0;
	if (batch != last_batch)
		free_rows(batch);
	batch->series = NULL;
	batch->nseries = batch->series_cap = 0;
	batch->hash = NULL;
	batch->last = MS_NO_ENTRY;
	batch->chunks = NULL;
	batch->nchunks = batch->chunks_cap = 0;
}

static bool
same_columns(const MsRelDesc *a, const MsRelDesc *b)
{
	return a->size == b->size && a->generation == b->generation &&
		memcmp(a->cols, b->cols, sizeof(MsRelColumn) * a->natts) == 0;
}

/*
 * Merges batches of one storage which, since subtransactions committed, belong to
 * the same one; returns that of the current subtransaction, or NULL.
 */
static MsBatch *
find_batch(const MsTableKey *key)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	MsBatch    *found = NULL;
	MsBatch    *before = NULL;
	MsBatch    *next;

	for (MsBatch *batch = ms_batches; batch != NULL; batch = next)
	{
		next = batch->next;
		if (memcmp(&batch->key, key, sizeof(MsTableKey)) != 0)
			continue;
		if (before && before->subid == batch->subid &&
			before->nchunks == 0 && batch->nchunks == 0 &&
			same_columns(before->desc, batch->desc))
		{
			ms_batch_merge(before, batch);
			ms_batch_forget(batch);
		}
		else
			before = batch;
		if (before->subid == subid)
			found = before;
	}
	return found;
}

/*
 * The batch for rows that the current subtransaction writes to rel as command
 * cid, fit to take them.  May flush.  The relation is locked by the caller.
 */
MsBatch *
ms_batch_for(Relation rel, CommandId cid)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));
	const MsRelDesc *desc;
	MsBatch    *batch = last_batch;

	if (likely(batch != NULL && batch->cid == cid &&
			   memcmp(&batch->key, &key, sizeof(MsTableKey)) == 0 &&
			   batch->subid == GetCurrentSubTransactionId()))
		return batch;

	/* A new command: columns, settings, anything may have changed. */
	desc = ms_reldesc_for_write(rel);
	if (last_batch != NULL && last_batch->nrows == 0)
		free_rows(last_batch);
	batch = find_batch(&key);
	if (batch != NULL && !same_columns(batch->desc, desc))
	{
		ms_write_flush(&key);
		ms_batch_forget(batch);
		batch = NULL;
	}
	if (batch == NULL)
		batch = create_batch(rel);
	else if (batch->cid != cid)
	{
		if (rel->trigdesc != NULL)
			ms_write_flush(&key);
		refresh_limits(batch);
	}
	batch->cid = Max(batch->cid, cid);
	last_batch = batch;
	return batch;
}

/* Flushes everything if the batches of this transaction have become too large. */
void
ms_batch_check_memory(void)
{
	Size		total = 0;

	for (MsBatch *batch = ms_batches; batch != NULL; batch = batch->next)
		total += batch->memory;
	if (total > (Size) ms_batch_memory_kb * 1024)
		ms_write_flush(NULL);
}

/* ---- what is accepted ---- */

static void
refuse_time(const MsBatch *batch, int64 time)
{
	char	   *shown = pstrdup(timestamptz_to_str(time));
	char	   *limit = pstrdup(timestamptz_to_str(batch->limit));

	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("time %s is out of range for memseries table \"%s\"",
					shown, NameStr(batch->relname)),
			 batch->horizon == PG_INT64_MIN ?
			 errdetail("Times before %s are accepted now.", limit) :
			 errdetail("Times from %s up to %s are accepted now.",
					   timestamptz_to_str(batch->horizon), limit),
			 batch->converts ?
			 errhint("Before the table is rewritten, SECURITY LABEL FOR memseries ON TABLE %s IS 'retain=all' makes it keep all.",
					 quote_identifier(NameStr(batch->relname))) :
			 errhint("Use memseries.configure to keep more windows (retain), to keep all (retain => NULL), or to leave such rows out (on_out_of_range => 'skip').")));
}

/*
 * Is the time within what the table keeps?  If not: ERROR, or false with `nrows`
 * counted as skipped, as the table is configured.
 */
bool
ms_batch_accepts(MsBatch *batch, int64 time, uint64 nrows)
{
	if (unlikely(TIMESTAMP_NOT_FINITE(time)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("time of a sample in memseries table \"%s\" must be finite",
						NameStr(batch->relname)),
				 errdetail("The time is %s.", TIMESTAMP_IS_NOBEGIN(time) ? "-infinity" : "infinity"),
				 errhint("Give each sample the time it was measured at.")));
	if (unlikely(++batch->age > MAX_AGE))
		refresh_limits(batch);
	if (likely(time >= batch->horizon && time < batch->limit) || batch->unlimited)
		return true;
	if (batch->config.on_out_of_range == MS_RANGE_ERROR)
		refuse_time(batch, time);
	ms_table_count_skipped(batch->table, nrows);
	return false;
}

static void
refuse_null_time(Relation rel, AttrNumber attnum)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of memseries table \"%s\"",
					NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
					RelationGetRelationName(rel)),
			 errdetail("It is the time of the sample."),
			 errhint("Give each sample the time it was measured at."),
			 errtablecol(rel, attnum)));
}

void
ms_write_row(Relation rel, TupleTableSlot *slot, CommandId cid)
{
	MsBatch    *batch = ms_batch_for(rel, cid);
	AttrNumber	time_att = batch->desc->time_att;
	int64		time;

	/* in order: what was written outside of this subtransaction goes first */
	if (unlikely(batch->nchunks > 0))
		ms_write_flush(&batch->key);

	slot_getallattrs(slot);
	if (unlikely(slot->tts_isnull[time_att - 1]))
		refuse_null_time(rel, time_att);
	time = DatumGetTimestampTz(slot->tts_values[time_att - 1]);

	if (likely(ms_batch_accepts(batch, time, 1)))
	{
		ms_batch_take_row(batch, rel, slot, time);
		pgstat_count_heap_insert(rel, 1);
		if (unlikely(batch->nrows % 64 == 0))
			ms_batch_check_memory();
	}
	slot->tts_tableOid = RelationGetRelid(rel);
	ms_ownrows_add(rel, slot);
}

bool
ms_write_pending(const MsTableKey *key)
{
	for (MsBatch *batch = ms_batches; batch != NULL; batch = batch->next)
	{
		if ((batch->nrows > 0 || batch->nchunks > 0) &&
			(key == NULL || memcmp(&batch->key, key, sizeof(MsTableKey)) == 0))
			return true;
	}
	return false;
}

void
ms_write_flush(const MsTableKey *key)
{
	for (MsBatch *batch = ms_batches; batch != NULL; batch = batch->next)
	{
		if (key == NULL || memcmp(&batch->key, key, sizeof(MsTableKey)) == 0)
			ms_batch_flush(batch, MS_ORDER_PENDING);
	}
}

bool
ms_write_fetch(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	return ms_ownrows_fetch(rel, tid, slot);
}

void
ms_write_init(void)
{
	ms_txn_init();
}
