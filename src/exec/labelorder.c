/*-------------------------------------------------------------------------
 *
 * labelorder.c
 *	  The values of a label in the order of a btree.
 *
 * "id < 100" of a hundred thousand series leaves a hundred: to find them a
 * btree compares some twenty values, where asking each series takes some
 * milliseconds.  So a backend keeps the distinct values of a label sorted, by
 * the operator family and collation that a condition asks for, beside the
 * index of series by their codes (codeindex.c), with which it comes and goes.
 *
 * Sorting compares values that the query may not see, so it must neither fail
 * nor tell: that is for comparison functions which are leakproof.
 *
 * Locks: table->lock, shared, while values are copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/stratnum.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/sortsupport.h"

#include "am/reldesc.h"
#include "exec/labelorder.h"

#define VALUES_AT_ONCE	4096	/* copied under one lock */

static uint64 orders_built = 0;

typedef struct OrderItem
{
	Datum		value;
	uint32		code;
	uint32		series;
} OrderItem;

#define ST_SORT sort_items
#define ST_ELEMENT_TYPE OrderItem
#define ST_COMPARE(a, b, ssup) \
	ApplySortComparator((a)->value, false, (b)->value, false, ssup)
#define ST_COMPARE_ARG_TYPE SortSupportData
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* See labelorder.h. */
Oid
ms_labelsort_comparison(const MsLabelSort *sort, Oid other)
{
	Oid			same = get_opfamily_proc(sort->opfamily, sort->type, sort->type, BTORDER_PROC);
	Oid			cmp = get_opfamily_proc(sort->opfamily, sort->type, other, BTORDER_PROC);

	if (!OidIsValid(same) || !OidIsValid(cmp) ||
		!get_func_leakproof(same) || !get_func_leakproof(cmp))
		return InvalidOid;
	return cmp;
}

/* Copies the values; false if series came or went. */
static bool
copy_values(MsTable *table, uint64 changes, Form_pg_attribute att, const uint32 *codes,
			OrderItem *items, uint32 n)
{
	for (uint32 from = 0; from < n; from += VALUES_AT_ONCE)
	{
		uint32		to = Min(n, from + VALUES_AT_ONCE);
		bool		same;

		CHECK_FOR_INTERRUPTS();
		ms_lock_shared(table->lock, MS_RANK_TABLE);
		same = table->series.changes == changes;
		for (uint32 i = from; same && i < to; i++)
		{
			MsLabelValue label;

			ms_label_of_code(ms_store->arena, &table->series, codes[i], &label);
			items[i].value = ms_label_to_datum(att, &label);
		}
		ms_unlock(table->lock);
		if (!same)
			return false;
	}
	return true;
}

static void
sort_by(const MsLabelSort *sort, OrderItem *items, uint32 n)
{
	SortSupportData ssup = {0};

	ssup.ssup_cxt = CurrentMemoryContext;
	ssup.ssup_collation = sort->collation;
	PrepareSortSupportFromOrderingOp(get_opfamily_member(sort->opfamily, sort->type, sort->type,
														 BTLessStrategyNumber), &ssup);
	sort_items(items, n, &ssup);
}

/* See labelorder.h. */
MsLabelOrder *
ms_labelorder_build(MsTable *table, uint64 changes, Form_pg_attribute att,
					const MsLabelSort *sort, const uint32 *codes, const uint32 *series, uint32 n)
{
	OrderItem  *items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(OrderItem) * Max(n, 1));
	MsLabelOrder *order;

	if (!copy_values(table, changes, att, codes, items, n))
		return NULL;
	for (uint32 i = 0; i < n; i++)
	{
		items[i].code = codes[i];
		items[i].series = series[i];
	}
	sort_by(sort, items, n);

	order = palloc0(sizeof(MsLabelOrder));
	order->id = ++orders_built;
	order->sort = *sort;
	order->n = n;
	order->values = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * Max(n, 1));
	order->codes = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(n, 1));
	order->counts = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * ((Size) n + 1));
	order->counts[0] = 0;
	for (uint32 i = 0; i < n; i++)
	{
		order->values[i] = items[i].value;
		order->codes[i] = items[i].code;
		order->counts[i + 1] = order->counts[i] + items[i].series;
	}
	pfree(items);
	return order;
}

/* See labelorder.h. */
uint32
ms_labelorder_search(const MsLabelOrder *order, FmgrInfo *cmp, Datum value, bool not_above)
{
	uint32		low = 0;
	uint32		high = order->n;

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;
		int32		c = DatumGetInt32(FunctionCall2Coll(cmp, order->sort.collation,
														order->values[middle], value));

		if (not_above ? c <= 0 : c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
