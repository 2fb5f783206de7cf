/*-------------------------------------------------------------------------
 *
 * seriesorder.c
 *	  Reading series in the order of labels.
 *
 * ORDER BY host, or a window PARTITION BY host ORDER BY ts, wants rows sorted by
 * what does not change within a series.  So the series that fit are listed and sorted by
 * their labels before the first row is read, thousands instead of millions.  Within a series
 * rows come by time.  Where several series have the same labels of those asked for, their rows
 * are sorted by time, if that is asked for, but no others.
 *
 * A series that comes or goes while we read has no row that the query sees.
 *
 * The list takes the memory of the labels; orderpaths.c offers it where series are not too
 * many.  Rows are sorted in work_mem, or on disk.  Locks: none but the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "exec/scan.h"

typedef struct ListedSeries
{
	uint32		sid;
	Datum	   *values;			/* [nkeys] */
	bool	   *isnull;
} ListedSeries;

struct MsSeriesOrder
{
	int			nkeys;
	SortSupport keys;			/* ssup_attno is the label's */
	MemoryContext cxt;			/* of all below */
	int			n;
	int			cap;
	int			next;
	int			end;			/* of what may be read now */
	ListedSeries *list;

	/* For the order of time, too; else NULL. */
	TupleTableSlot *sorted_slot;
	Tuplesortstate *sorted;		/* rows of several series with equal labels,
								 * NULL if rows come as they are read */
};

/* For the keys and the order of the scan. */
MsSeriesOrder *
ms_seriesorder_create(MsScanState *state)
{
	MsSeriesOrder *order = palloc0(sizeof(MsSeriesOrder));
	EState	   *estate = state->css.ss.ps.state;

	order->nkeys = list_length(state->label_keys);
	order->keys = palloc0(sizeof(SortSupportData) * order->nkeys);
	order->cxt = AllocSetContextCreate(estate->es_query_cxt, "memseries series order",
									   ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < order->nkeys; i++)
	{
		const MsLabelKey *key = list_nth(state->label_keys, i);
		SortSupport sort = &order->keys[i];

		sort->ssup_cxt = estate->es_query_cxt;
		sort->ssup_attno = key->att;
		sort->ssup_collation = key->collation;
		sort->ssup_nulls_first = key->nulls_first;
		PrepareSortSupportFromOrderingOp(key->op, sort);
	}
	if (state->order == MS_ORDER_LABELS_TIME)
		order->sorted_slot = ExecInitExtraTupleSlot(estate, state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor,
													&TTSOpsMinimalTuple);
	return order;
}

static int
compare_labels(MsSeriesOrder *order, const ListedSeries *x, const ListedSeries *y)
{
	for (int i = 0; i < order->nkeys; i++)
	{
		int			result = ApplySortComparator(x->values[i], x->isnull[i], y->values[i], y->isnull[i],
												 &order->keys[i]);

		if (result != 0)
			return result;
	}
	return 0;
}

static int
compare_series(const void *a, const void *b, void *arg)
{
	const ListedSeries *x = a;
	const ListedSeries *y = b;
	int			result = compare_labels(arg, x, y);

	return result != 0 ? result : x->sid < y->sid ? -1 : x->sid > y->sid;
}

/* Adds the series whose labels are in the template. */
static void
add_series(MsScanState *state, MsSeriesOrder *order)
{
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);
	ListedSeries *series;

	if (order->n == order->cap)
	{
		order->cap = Max(order->cap * 2, 64);
		order->list = order->list ?
			repalloc_huge(order->list, sizeof(ListedSeries) * order->cap) :
			palloc(sizeof(ListedSeries) * order->cap);
	}
	series = &order->list[order->n++];
	series->sid = state->sid;
	series->values = palloc((sizeof(Datum) + sizeof(bool)) * order->nkeys);
	series->isnull = (bool *) (series->values + order->nkeys);
	for (int i = 0; i < order->nkeys; i++)
	{
		int			at = order->keys[i].ssup_attno - 1;
		Form_pg_attribute att = TupleDescAttr(tupdesc, at);

		series->isnull[i] = state->template_isnull[at];
		series->values[i] = series->isnull[i] ? (Datum) 0 :
			datumCopy(state->template_values[at], att->attbyval, att->attlen);
	}
}

static void
free_sorted(MsSeriesOrder *order)
{
	if (order->sorted == NULL)
		return;
	ExecClearTuple(order->sorted_slot);
	tuplesort_end(order->sorted);
	order->sorted = NULL;
}

/* Forgets what is listed and sorted. */
void
ms_seriesorder_reset(MsScanState *state)
{
	MsSeriesOrder *order = state->series_order;

	if (order == NULL)
		return;
	free_sorted(order);
	MemoryContextReset(order->cxt);
	order->n = order->cap = order->next = order->end = 0;
	order->list = NULL;
}

/* A scan begins, or begins again: lists the series that fit, and sorts them. */
void
ms_seriesorder_start(MsScanState *state)
{
	MsSeriesOrder *order = state->series_order;
	uint64		counters[MS_NUM_SCAN_COUNTERS];
	MemoryContext old;

	ms_seriesorder_reset(state);

	/* they are counted when they are read */
	memcpy(counters, state->counters, sizeof(counters));
	state->listing = true;
	old = MemoryContextSwitchTo(order->cxt);
	while (ms_scan_next_labels(state))
		add_series(state, order);
	MemoryContextSwitchTo(old);
	state->listing = false;
	counters[MS_COUNT_SERIES_SKIPPED] = state->counters[MS_COUNT_SERIES_SKIPPED];
	memcpy(state->counters, counters, sizeof(counters));

	if (order->n > 1)
		qsort_arg(order->list, order->n, sizeof(ListedSeries), compare_series, order);
	order->end = order->sorted_slot ? 0 : order->n;
}

/* The next of them; false if there are no more. */
bool
ms_seriesorder_next(MsScanState *state, uint32 *sid)
{
	MsSeriesOrder *order = state->series_order;

	if (order->next >= order->end)
		return false;
	*sid = order->list[order->next++].sid;
	return true;
}

/* ---- rows of equal labels, by time ---- */

/* Reads and sorts the rows of what may be read. */
static void
sort_rows(MsScanState *state, MsSeriesOrder *order)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
	AttrNumber	att = state->desc->time_att;
	Oid			op = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);

	order->sorted = tuplesort_begin_heap(slot->tts_tupleDescriptor, 1, &att, &op, &collation,
										 &nulls_first, work_mem, NULL, false);
	MemoryContextSwitchTo(old);
	while (ms_rows_next(state, slot))
	{
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(order->sorted, slot);
		ExecClearTuple(slot);
	}
	tuplesort_performsort(order->sorted);
}

/* The next of the rows sorted; false if there are no more. */
static bool
next_sorted(MsSeriesOrder *order, TupleTableSlot *slot)
{
	TupleTableSlot *from = order->sorted_slot;
	int			natts = slot->tts_tupleDescriptor->natts;

	if (!tuplesort_gettupleslot(order->sorted, true, false, from, NULL))
		return false;
	slot_getallattrs(from);
	memcpy(slot->tts_values, from->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, from->tts_isnull, sizeof(bool) * natts);
	return true;
}

/* Puts the next row into the slot, which is empty; false at the end. */
bool
ms_seriesorder_next_row(MsScanState *state, TupleTableSlot *slot)
{
	MsSeriesOrder *order = state->series_order;

	if (order->sorted_slot == NULL)
		return ms_rows_next(state, slot);
	if (!state->started)
		ms_scan_start(state);
	for (;;)
	{
		int			first;

		if (order->sorted != NULL)
		{
			if (next_sorted(order, slot))
				return true;
			free_sorted(order);
		}
		else if (!state->done && ms_rows_next(state, slot))
			return true;
		first = order->next;
		if (first >= order->n)
			return false;

		/* on to the series of the next labels */
		while (++order->end < order->n &&
			   compare_labels(order, &order->list[first], &order->list[order->end]) == 0)
			;
		state->done = false;
		if (order->end - first > 1)
			sort_rows(state, order);
	}
}
