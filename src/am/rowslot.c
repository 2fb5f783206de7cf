/*-------------------------------------------------------------------------
 *
 * rowslot.c
 *	  Slots of memseries tables: virtual ones, quick to fill and to make tuples of.
 *
 * A row of a scan is only where it is to be found, until somebody asks for a
 * column; then it has all of them.  Many a row is counted, or skipped (OFFSET), and never
 * looked at.
 *
 * A row that is inserted somewhere, sorted, hashed, materialised or sent to
 * another process becomes a tuple first.  A heap table has one at hand and copies
 * it; of a virtual slot PostgreSQL makes one by asking what every column is, twice,
 * and that takes longer than everything we did for the row.  But rows of a
 * series differ only in the time and the values, which are passed by value and have
 * their places among the labels.  So the slot keeps the tuple of the last
 * row, and where columns stand in it, and puts the numbers of the next row
 * there.  This tuple is the slot's own, and serves as a heap tuple and as a
 * minimal one, the same but for the header: each is good until the slot is asked for the next.
 * The header is put there each time, as inserting a tuple writes into it.
 *
 * If other columns are NULL than in the last row, a new tuple is made by
 * PostgreSQL; so it is for every row unless a scan has promised that rows are of one
 * series.  Whatever clears the slot ends that.
 *
 * Copies of rows carry the slot's tid, by which ANALYZE sorts its sample.
 *
 * No locks; memory is the slot's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"

#include "am/rowslot.h"
#include "compat.h"

static TupleTableSlotOps slot_ops;

/* ---- columns ---- */

/* Gets all columns, unless they are there. */
static inline void
get_columns(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	if (slot->tts_nvalid > 0)
		return;
	ms_fill_slot(row->filler, row->row, slot);
	slot->tts_nvalid = slot->tts_tupleDescriptor->natts;
}

static void
getsomeattrs(TupleTableSlot *slot, int natts)
{
	(void) natts;
	if (TTS_EMPTY(slot))
		elog(ERROR, "there is no row in the slot");
	get_columns(slot);
}

/* ---- the slot's own tuple ---- */

/* Finds out where columns are. */
static void
find_columns(MsRowSlot *row, TupleDesc tupdesc)
{
	const char *data = (const char *) row->tuple->t_data;
	uint32		at = row->tuple->t_data->t_hoff;

	row->nvalues = row->nrefs = 0;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (row->isnull[i])
			continue;
		at = att_align_pointer(at, att->attalign, att->attlen, data + at);
		row->at[i] = at;
		at = att_addlength_pointer(at, att->attlen, data + at);
		if (att->attbyval)
		{
			row->values[row->nvalues].att = i;
			row->values[row->nvalues++].len = att->attlen;
		}
		else
			row->refs[row->nrefs++] = i;
	}
}

static inline MinimalTuple
as_minimal(HeapTupleHeader header)
{
	return (MinimalTuple) ((char *) header + MINIMAL_TUPLE_OFFSET);
}

/* Makes the headers of both kinds, of a heap tuple that has just been made. */
static void
make_headers(MsRowSlot *row)
{
	HeapTupleHeader header = row->tuple->t_data;

	memcpy(row->heap_header, header, SizeofHeapTupleHeader);
	memset(header, 0, offsetof(HeapTupleHeaderData, t_infomask2));
	header->t_infomask &= ~HEAP_XACT_MASK;
	as_minimal(header)->t_len = row->tuple->t_len - MINIMAL_TUPLE_OFFSET;
	memcpy(row->minimal_header, header, SizeofHeapTupleHeader);
}

/* Makes a tuple of the row in the slot. */
static void
make_tuple(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	HeapTuple	tuple = heap_form_tuple(tupdesc, slot->tts_values, slot->tts_isnull);

	if (row->tuple != NULL)
		heap_freetuple(row->tuple);
	else
	{
		row->isnull = palloc(sizeof(bool) * tupdesc->natts);
		row->at = palloc(sizeof(uint32) * tupdesc->natts);
		row->values = palloc(sizeof(MsTupleColumn) * tupdesc->natts);
		row->refs = palloc(sizeof(int) * tupdesc->natts);
	}
	row->tuple = tuple;
	row->made = row->one_series;
	memcpy(row->isnull, slot->tts_isnull, sizeof(bool) * tupdesc->natts);
	make_headers(row);
	if (row->one_series)
		find_columns(row, tupdesc);
	MemoryContextSwitchTo(old);
}

/* Is the tuple one of this series in which these columns are NULL? */
static inline bool
is_alike(const MsRowSlot *row, const bool *isnull)
{
	return row->made &&
		memcmp(row->isnull, isnull, row->base.base.tts_tupleDescriptor->natts) == 0;
}

/* Puts the numbers of a row into the tuple, all of which are eight bytes, and not NULL. */
static inline void
put_plain(MsRowSlot *row)
{
	const MsFiller *filler = row->filler;
	char	   *data = (char *) row->tuple->t_data;

	if (filler->time >= 0)
		*(Datum *) (data + row->at[filler->time]) = TimestampTzGetDatum(filler->times[row->row]);
	for (int i = 0; i < filler->nplain; i++)
	{
		const MsFillColumn *column = &filler->plain[i];

		*(Datum *) (data + row->at[column->att]) = Float8GetDatum(column->values[row->row]);
	}
}

/* Makes row->tuple that of the row in the slot, but for its header. */
static inline void
update_tuple(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;
	char	   *data;

	Assert(!TTS_EMPTY(slot));
	if (slot->tts_nvalid == 0 && row->filler->nothers == 0 && is_alike(row, row->filler->isnull))
	{
		put_plain(row);
		return;
	}
	get_columns(slot);
	if (!is_alike(row, slot->tts_isnull))
	{
		make_tuple(slot);
		return;
	}
	data = (char *) row->tuple->t_data;
	for (int i = 0; i < row->nvalues; i++)
	{
		const MsTupleColumn *column = &row->values[i];

		store_att_byval(data + row->at[column->att], slot->tts_values[column->att], column->len);
	}
}

static HeapTuple
get_heap_tuple(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	update_tuple(slot);
	memcpy(row->tuple->t_data, row->heap_header, SizeofHeapTupleHeader);
	row->tuple->t_self = slot->tts_tid;
	row->tuple->t_tableOid = slot->tts_tableOid;
	return row->tuple;
}

static MinimalTuple
get_minimal_tuple(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	update_tuple(slot);
	memcpy(row->tuple->t_data, row->minimal_header, SizeofHeapTupleHeader);
	return as_minimal(row->tuple->t_data);
}

/* ---- copies ---- */

static HeapTuple
copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	if (((MsRowSlot *) slot)->one_series)
		return heap_copytuple(get_heap_tuple(slot));
	get_columns(slot);
	tuple = TTSOpsVirtual.copy_heap_tuple(slot);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
	return tuple;
}

static MinimalTuple
copy_minimal_tuple(TupleTableSlot *slot MS_EXTRA_PARAMETER)
{
	if (!((MsRowSlot *) slot)->one_series)
	{
		get_columns(slot);
		return TTSOpsVirtual.copy_minimal_tuple(slot MS_EXTRA_ARGUMENT);
	}
	return heap_copy_minimal_tuple(get_minimal_tuple(slot) MS_EXTRA_ARGUMENT);
}

/*
 * Lets the row depend on nothing but the slot.  Of a series, what is passed by
 * reference is found in the tuple.
 */
static void
materialize(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	get_columns(slot);
	if (!row->one_series || TTS_SHOULDFREE(slot))
	{
		TTSOpsVirtual.materialize(slot);
		return;
	}
	if (!is_alike(row, slot->tts_isnull))
		make_tuple(slot);
	for (int i = 0; i < row->nrefs; i++)
	{
		int			att = row->refs[i];

		slot->tts_values[att] = PointerGetDatum((char *) row->tuple->t_data + row->at[att]);
	}
}

/* ---- beginning and ending ---- */

static void
clear(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	row->one_series = row->made = false;
	TTSOpsVirtual.clear(slot);
}

static void
copyslot(TupleTableSlot *to, TupleTableSlot *from)
{
	clear(to);
	TTSOpsVirtual.copyslot(to, from);
}

static void
release(TupleTableSlot *slot)
{
	MsRowSlot  *row = (MsRowSlot *) slot;

	if (row->tuple == NULL)
		return;
	heap_freetuple(row->tuple);
	pfree(row->isnull);
	pfree(row->at);
	pfree(row->values);
	pfree(row->refs);
	row->tuple = NULL;
}

const TupleTableSlotOps *
ms_rowslot_ops(void)
{
	return &slot_ops;
}

void
ms_rowslot_begin_series(TupleTableSlot *slot)
{
	Assert(slot->tts_ops == &slot_ops);
	ExecClearTuple(slot);
	((MsRowSlot *) slot)->one_series = FLOAT8PASSBYVAL;
}

void
ms_rowslot_init(void)
{
	slot_ops = TTSOpsVirtual;
	slot_ops.base_slot_size = sizeof(MsRowSlot);
	slot_ops.release = release;
	slot_ops.clear = clear;
	slot_ops.getsomeattrs = getsomeattrs;
	slot_ops.materialize = materialize;
	slot_ops.copyslot = copyslot;
	slot_ops.get_heap_tuple = get_heap_tuple;
	slot_ops.get_minimal_tuple = get_minimal_tuple;
	slot_ops.copy_heap_tuple = copy_heap_tuple;
	slot_ops.copy_minimal_tuple = copy_minimal_tuple;
}
