/*-------------------------------------------------------------------------
 *
 * write.c
 *	  The write path: rows gather per transaction, then become runs.
 *
 * A row could be appended to the store as it comes.  It would cost a lock, an
 * allocation and a look-up of its series each, and compress to nothing; and one
 * day a WAL record.  So rows gather in backend memory, grouped by series, and
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
 * Rows lie one after the other as they came, each with the number of its series.
 * Writing each to a place of its series would save the sorting later, but with a
 * thousand series every row would wait for memory; one stream does not.  They are
 * brought together by series, and turned into columns, when they are encoded.
 *
 * A row's series is found by the image of its labels: for each label ordinal
 * the length and the bytes.  Samples mostly come in the same order of series
 * again and again, so each series remembers which one followed it, and usually
 * one comparison of images does it, without any hashing.  Trailing labels equal
 * to what a missing label stands for (NULL, or the default given to ADD COLUMN)
 * are left out of the image: so a series stays itself when a label is added.
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
#include "common/hashfn.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "am/batch.h"
#include "am/options.h"
#include "core/valuecodec.h"

/* The series of a batch by their images; the key is a number into batch->series. */
typedef struct SeriesHashEntry
{
	uint32		series;
	uint32		hash;
	char		status;
} SeriesHashEntry;

#define PROBE	MS_NO_ENTRY		/* stands for the image in batch->probe */

static bool same_image(const MsBatch *batch, uint32 a, uint32 b);
static inline char *new_row(MsBatch *batch, uint32 series, int64 time);

#define SH_PREFIX series
#define SH_ELEMENT_TYPE SeriesHashEntry
#define SH_KEY_TYPE uint32
#define SH_KEY series
#define SH_HASH_KEY(tb, key)	(((MsBatch *) (tb)->private_data)->series[key].hash)
#define SH_EQUAL(tb, a, b)		same_image((MsBatch *) (tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)		(a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define NULL_LABEL		PG_UINT32_MAX	/* in place of a length in an image */
#define MAX_AGE			1024	/* rows until the clock is looked at again */

int			ms_batch_memory_kb = 32 * 1024;
MsBatch    *ms_batches = NULL;

static MsBatch *last_batch = NULL;	/* that of the last row; may be NULL */

static bool
same_image(const MsBatch *batch, uint32 a, uint32 b)
{
	const MsBatchSeries *held;

	/* simplehash passes the key sought as one of the two, which one is its affair */
	if (a == PROBE)
		a = b;
	else if (b != PROBE)
		return a == b;
	held = &batch->series[a];
	return held->image_len == batch->probe_len &&
		memcmp(held->image, batch->probe, held->image_len) == 0;
}

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
create_batch(Relation rel, const MsRelDesc *desc)
{
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

	/* catalog look-ups may have moved the description */
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
	if (batch->rows == NULL)
		return;
	pfree(batch->rows);
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

/* Appends the rows of `from` to those of `into`, and forgets `from`. */
static void
merge_batches(MsBatch *into, MsBatch *from)
{
	MsLabelValue *labels = palloc(sizeof(MsLabelValue) * (from->nlabels + 1));
	uint32	   *series = palloc_extended(sizeof(uint32) * ((Size) from->nseries + 1),
										 MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < from->nseries; i++)
	{
		const MsBatchSeries *s = &from->series[i];
		int			nlabels = ms_batch_image_labels(s->image, s->image_len, labels);

		series[i] = ms_batch_series(into, labels, nlabels);
	}
	for (uint32 r = 0; r < from->nrows; r++)
	{
		char	   *row = ms_batch_row(from, r);

		memcpy(new_row(into, series[from->row_series[r]], ms_row_time(row)), row,
			   from->row_size);
	}
	into->cid = Max(into->cid, from->cid);
	ms_batch_forget(from);
	pfree(labels);
	pfree(series);
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
			merge_batches(before, batch);
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
		batch = create_batch(rel, desc);
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

static void
refuse_long_label(Relation rel, int i, uint32 len)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("value of label column \"%s\" of memseries table \"%s\" is too long",
					NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname),
					RelationGetRelationName(rel)),
			 errdetail("It has %u bytes; at most %d are allowed.", len, MS_MAX_LABEL_BYTES),
			 errhint("Labels name a series. Store long texts in another table and refer to them."),
			 errtablecol(rel, i + 1)));
}

/* ---- images ---- */

static inline void
probe_add(MsBatch *batch, const MsLabelValue *label)
{
	uint32		len = label->isnull ? 0 : label->len;
	uint32		mark = label->isnull ? NULL_LABEL : len;
	uint32		need = batch->probe_len + sizeof(uint32) + len;

	if (unlikely(need > batch->probe_cap))
	{
		batch->probe_cap = Max(need, batch->probe_cap * 2);
		batch->probe = repalloc(batch->probe, batch->probe_cap);
	}
	memcpy(batch->probe + batch->probe_len, &mark, sizeof(uint32));
	if (len > 0)
		memcpy(batch->probe + batch->probe_len + sizeof(uint32), label->bytes, len);
	batch->probe_len = need;
}

static inline bool
same_label(const MsLabelValue *a, const MsLabelValue *b)
{
	if (a->isnull || b->isnull)
		return a->isnull && b->isnull;
	return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* How many labels remain when trailing ones equal to a missing label are left out. */
int
ms_labels_strip(const MsBatch *batch, const MsLabelValue *labels, int nlabels)
{
	while (nlabels > 0 &&
		   (nlabels <= batch->nlabels ?
			same_label(&labels[nlabels - 1], &batch->missing[nlabels - 1]) :
			labels[nlabels - 1].isnull))
		nlabels--;
	return nlabels;
}

/* Takes an image apart; labels has room for all.  Returns their number. */
int
ms_batch_image_labels(const uint8 *image, uint32 len, MsLabelValue *labels)
{
	int			n = 0;

	for (const uint8 *p = image; p < image + len; n++)
	{
		uint32		mark;

		memcpy(&mark, p, sizeof(uint32));
		p += sizeof(uint32);
		labels[n].isnull = mark == NULL_LABEL;
		labels[n].len = labels[n].isnull ? 0 : mark;
		labels[n].bytes = p;
		p += labels[n].len;
	}
	return n;
}

/* Adds the probe's series. */
static uint32
add_series(MsBatch *batch, int nlabels, uint32 hash)
{
	uint32		number = batch->nseries;
	MsBatchSeries *s;
	SeriesHashEntry *entry;
	uint8	   *image;
	bool		found;

	if (number == batch->series_cap)
	{
		uint32		cap = Max(64, batch->series_cap * 2);
		Size		size = sizeof(MsBatchSeries) * (Size) cap;

		if (batch->series == NULL)
			batch->series = MemoryContextAllocHuge(batch->rows_cxt, size);
		else
			batch->series = repalloc_huge(batch->series, size);
		batch->memory += size - sizeof(MsBatchSeries) * (Size) batch->series_cap;
		batch->series_cap = cap;
	}
	image = MemoryContextAlloc(batch->rows_cxt, batch->probe_len + 1);
	memcpy(image, batch->probe, batch->probe_len);
	batch->memory += batch->probe_len + 2 * sizeof(SeriesHashEntry);

	s = &batch->series[number];
	memset(s, 0, sizeof(MsBatchSeries));
	s->image = image;
	s->image_len = batch->probe_len;
	s->hash = hash;
	s->nlabels = (int16) nlabels;
	s->next = MS_NO_ENTRY;
	s->sorted = true;

	/* from here on it cannot be found half made */
	entry = series_insert_hash(batch->hash, PROBE, hash, &found);
	Assert(!found);
	entry->series = number;
	return batch->nseries++;
}

/* The probe's series, added if it is new. */
static uint32
find_series(MsBatch *batch, int nlabels)
{
	uint32		hash = hash_bytes(batch->probe, batch->probe_len);
	SeriesHashEntry *entry;

	if (batch->hash == NULL)
		batch->hash = series_create(batch->rows_cxt, 64, batch);
	entry = series_lookup_hash(batch->hash, PROBE, hash);
	return entry ? entry->series : add_series(batch, nlabels, hash);
}

/*
 * The series of the probe.  The one that followed last time is tried first.
 */
static inline uint32
probe_series(MsBatch *batch, int nlabels)
{
	uint32		series = MS_NO_ENTRY;

	if (batch->last != MS_NO_ENTRY)
		series = batch->series[batch->last].next;
	if (series == MS_NO_ENTRY || !same_image(batch, series, PROBE))
	{
		series = find_series(batch, nlabels);
		if (batch->last != MS_NO_ENTRY)
			batch->series[batch->last].next = series;
	}
	batch->last = series;
	return series;
}

/* The series with these labels, added if it is new. */
uint32
ms_batch_series(MsBatch *batch, const MsLabelValue *labels, int nlabels)
{
	batch->probe_len = 0;
	nlabels = ms_labels_strip(batch, labels, nlabels);
	for (int i = 0; i < nlabels; i++)
		probe_add(batch, &labels[i]);
	return probe_series(batch, nlabels);
}

/*
 * The image of one label of a row, appended to the probe.  Plain values, which
 * is nearly all of them, are looked at where they are.
 */
static inline void
probe_add_datum(MsBatch *batch, Relation rel, int i, Datum value, MsLabelValue *label)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

	label->isnull = false;
	if (att->attlen == -1)
	{
		struct varlena *varlena = (struct varlena *) DatumGetPointer(value);
		struct varlena *plain = pg_detoast_datum_packed(varlena);

		label->bytes = (const uint8 *) VARDATA_ANY(plain);
		label->len = VARSIZE_ANY_EXHDR(plain);
		if (unlikely(label->len > MS_MAX_LABEL_BYTES))
			refuse_long_label(rel, i, label->len);
		probe_add(batch, label);
		label->bytes = batch->probe + batch->probe_len - label->len;
		if (plain != varlena)
			pfree(plain);
	}
	else if (att->attbyval)
	{
		union
		{
			Datum		align;
			uint8		bytes[sizeof(Datum)];
		}			image;

		store_att_byval(image.bytes, value, att->attlen);
		label->bytes = image.bytes;
		label->len = att->attlen;
		probe_add(batch, label);
		label->bytes = batch->probe + batch->probe_len - label->len;
	}
	else
	{
		ms_label_from_datum(att, value, false, label);
		if (label->len > MS_MAX_LABEL_BYTES)
			refuse_long_label(rel, i, label->len);
		probe_add(batch, label);
	}
}

/* Is the datum's image these bytes?  May say no for unusual datums. */
static inline bool
datum_has_image(Form_pg_attribute att, Datum value, const uint8 *bytes, uint32 len)
{
	if (att->attlen == -1)
	{
		const struct varlena *varlena = (const struct varlena *) DatumGetPointer(value);

		return !VARATT_IS_EXTERNAL(varlena) && !VARATT_IS_COMPRESSED(varlena) &&
			VARSIZE_ANY_EXHDR(varlena) == len &&
			memcmp(VARDATA_ANY(varlena), bytes, len) == 0;
	}
	if (att->attbyval)
	{
		MsLabelValue label = {.bytes = bytes,.len = len};

		return ms_label_to_datum(att, &label) == value;
	}
	return false;
}

/*
 * Is the row one of this series?  May say no for unusual rows.  The row's labels
 * are compared where they are: a probe built of them first would be read before
 * its bytes have reached the cache, which takes longer than all the rest.
 */
static bool
row_is_of(const MsBatch *batch, TupleDesc tupdesc, TupleTableSlot *slot,
		  const MsBatchSeries *s)
{
	const uint8 *p = s->image;

	for (int i = 0; i < batch->nlabels; i++)
	{
		int			att = batch->label_att[i];
		bool		isnull = att < 0 || slot->tts_isnull[att];
		uint32		mark = NULL_LABEL;

		if (i < s->nlabels)
		{
			memcpy(&mark, p, sizeof(uint32));
			p += sizeof(uint32);
		}
		else if (!batch->missing[i].isnull)
			return false;
		if (isnull != (mark == NULL_LABEL))
			return false;
		if (isnull)
			continue;
		if (!datum_has_image(TupleDescAttr(tupdesc, att), slot->tts_values[att], p, mark))
			return false;
		p += mark;
	}
	return true;
}

/* The series of a row. */
static uint32
row_series(MsBatch *batch, Relation rel, TupleTableSlot *slot)
{
	uint32		keep_len = 0;
	int			keep = 0;

	if (batch->last != MS_NO_ENTRY)
	{
		uint32		next = batch->series[batch->last].next;

		if (next != MS_NO_ENTRY &&
			row_is_of(batch, RelationGetDescr(rel), slot, &batch->series[next]))
			return batch->last = next;
	}

	batch->probe_len = 0;
	for (int i = 0; i < batch->nlabels; i++)
	{
		int			att = batch->label_att[i];
		MsLabelValue label;

		if (att < 0 || slot->tts_isnull[att])
		{
			label.isnull = true;
			label.len = 0;
			label.bytes = NULL;
			probe_add(batch, &label);
		}
		else
			probe_add_datum(batch, rel, att, slot->tts_values[att], &label);
		if (!same_label(&label, &batch->missing[i]))
		{
			keep = i + 1;
			keep_len = batch->probe_len;
		}
	}
	batch->probe_len = keep_len;
	return probe_series(batch, keep);
}

/* ---- rows ---- */

/* Makes room for more rows. */
static void
grow_rows(MsBatch *batch)
{
	uint32		cap = Max(16, batch->rows_cap * 2);

	if (batch->rows == NULL)
	{
		batch->rows = MemoryContextAllocHuge(batch->cxt, batch->row_size * cap);
		batch->row_series = MemoryContextAllocHuge(batch->cxt, sizeof(uint32) * cap);
	}
	else
	{
		batch->rows = repalloc_huge(batch->rows, batch->row_size * cap);
		batch->row_series = repalloc_huge(batch->row_series, sizeof(uint32) * (Size) cap);
	}
	batch->rows_cap = cap;
}

/* One more row of the series; its time is set, and no value is null. */
static inline char *
new_row(MsBatch *batch, uint32 series, int64 time)
{
	MsBatchSeries *s = &batch->series[series];
	char	   *row;

	if (unlikely(batch->nrows == batch->rows_cap))
		grow_rows(batch);
	if (time <= s->last_time && s->nrows > 0)
		s->sorted = false;
	s->last_time = time;
	s->nrows++;
	row = ms_batch_row(batch, batch->nrows);
	batch->row_series[batch->nrows++] = series;
	batch->memory += batch->row_size + sizeof(uint32);
	*(int64 *) row = time;
	memset(row + sizeof(int64), 0, batch->null_size);
	return row;
}

static inline void
set_null(char *row, int v)
{
	((uint64 *) (row + sizeof(int64)))[v / 64] |= UINT64CONST(1) << (v % 64);
}

/* Appends one row to a series, from values by ordinal. */
void
ms_batch_append(MsBatch *batch, uint32 series, int64 time,
				const double *values, const bool *nulls)
{
	char	   *row = new_row(batch, series, time);
	double	   *dst = ms_row_values(batch, row);

	for (int v = 0; v < batch->nvalues; v++)
	{
		dst[v] = values[v];
		if (nulls && nulls[v])
			set_null(row, v);
	}
}

/* Appends the row in the slot, whose series is known. */
static void
append_row(MsBatch *batch, uint32 series, int64 time, TupleTableSlot *slot)
{
	char	   *row = new_row(batch, series, time);
	double	   *dst = ms_row_values(batch, row);

	for (int v = 0; v < batch->nvalues; v++)
	{
		int			att = batch->value_att[v];

		if (unlikely(att < 0 || slot->tts_isnull[att]))
		{
			dst[v] = 0;
			set_null(row, v);
		}
		else if (batch->kinds[v] == MS_FLOAT8)
			dst[v] = DatumGetFloat8(slot->tts_values[att]);
		else
			dst[v] = ms_float4_widen(DatumGetFloat4(slot->tts_values[att]));
	}
}

void
ms_write_row(Relation rel, TupleTableSlot *slot, CommandId cid)
{
	MsBatch    *batch = ms_batch_for(rel, cid);
	AttrNumber	time_att = batch->desc->time_att;
	int64		time;

	if (unlikely(batch->nchunks > 0))
		ms_batch_flush(batch, MS_ORDER_PENDING);

	slot_getallattrs(slot);
	if (unlikely(slot->tts_isnull[time_att - 1]))
		refuse_null_time(rel, time_att);
	time = DatumGetTimestampTz(slot->tts_values[time_att - 1]);

	if (likely(ms_batch_accepts(batch, time, 1)))
	{
		append_row(batch, row_series(batch, rel, slot), time, slot);
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
