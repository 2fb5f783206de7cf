/*-------------------------------------------------------------------------
 *
 * gather.c
 *	  How a batch keeps its rows, and finds their series.
 *
 * Rows lie one after the other as they came, each with the number of its series.
 * Writing each to a place of its series would save the sorting later, but with a
 * thousand series every row would wait for memory; one stream does not.  They are
 * brought together by series, and turned into columns, when they are encoded.
 *
 * A row's series is found by the image of its labels: for each label ordinal
 * the length and the bytes.  Samples mostly come in the same order of series
 * again and again, so each series remembers which one followed it, and usually
 * one comparison does it, without any hashing.  Trailing labels equal to what a
 * missing label stands for (NULL, or the default given to ADD COLUMN) are left
 * out of the image: so a series stays itself when a label is added.
 *
 * What this does not do: it looks neither at times nor at windows, and does not
 * ask whether a row is to be accepted.  Any function here may fail for want of
 * memory; the batch then holds what it held before.  No locks are involved.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/batch.h"
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

static bool
same_image(const MsBatch *batch, uint32 a, uint32 b)
{
	const MsBatchSeries *held;

	/*
	 * simplehash passes the key sought as one of the two, which one is its
	 * affair
	 */
	if (a == PROBE)
		a = b;
	else if (b != PROBE)
		return a == b;
	held = &batch->series[a];
	return held->image_len == batch->probe_len &&
		memcmp(held->image, batch->probe, held->image_len) == 0;
}

/* ---- images ---- */

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

	/* either may fail, and be tried again */
	batch->rows = batch->rows ?
		repalloc_huge(batch->rows, batch->row_size * cap) :
		MemoryContextAllocHuge(batch->cxt, batch->row_size * cap);
	batch->row_series = batch->row_series ?
		repalloc_huge(batch->row_series, sizeof(uint32) * (Size) cap) :
		MemoryContextAllocHuge(batch->cxt, sizeof(uint32) * (Size) cap);
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

/* Appends the row in the slot, all of whose attributes are there; time is its time. */
void
ms_batch_take_row(MsBatch *batch, Relation rel, TupleTableSlot *slot, int64 time)
{
	append_row(batch, row_series(batch, rel, slot), time, slot);
}

/* Appends the rows of `from` to those of `into`; both have the same columns. */
void
ms_batch_merge(MsBatch *into, MsBatch *from)
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
	pfree(labels);
	pfree(series);
}
