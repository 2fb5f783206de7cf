/*-------------------------------------------------------------------------
 *
 * labelwalk.c
 *	  A scan in the order of a label.
 *
 * A scan goes from series to series anyhow, so to have its rows in the order of
 * a label it only needs to visit the series in that order: ORDER BY host LIMIT 10
 * and max(host) read the first series alone, and whatever goes group by group
 * needs no sort.  Within a series rows ascend by time, so that where this is
 * the only label, rows are in the order of label and time.
 *
 * The order is taken from what the backend remembers of the label
 * (labelorder.c), as far as conditions on it leave its values; a few series at
 * first, and more as they are asked for.  If there is nothing to be had, or
 * where conditions leave few series, or a value is NULL or missing, those series that fit
 * are listed and sorted, at every start.
 *
 * What the backend remembers may be forgotten while the scan goes on.  Then the
 * rest is listed and sorted: those series that fit and were not visited.  Of
 * those that the query sees rows of, none belongs before one that was, since a series
 * does not change its labels.  Series that go meanwhile are not found any more when they are visited.
 *
 * Locks: none but those of what it calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"

#include "exec/labelwalk.h"

#define FIRST_SERIES	64		/* taken at first */

struct MsLabelWalk
{
	MsLabelSort sort;
	int			att;			/* of the label, attribute number - 1 */
	bool		descending;
	bool		nulls_first;

	MemoryContext cxt;			/* of the scan's list */
	uint32	   *sids;			/* as far as taken */
	bool	   *begins;			/* has another value than the one before? */
	uint32		nsids;
	uint32		cap;
	uint32		next;			/* of these */
	uint32		expected;		/* the cursor was told of those below this */
	uint32		group;			/* values begun */

	/* Of what the backend remembers, [from, to) is yet to be taken. */
	uint64		order_id;
	uint32		from;
	uint32		to;
	uint32		value;			/* of the first of these; descending, one
								 * above that of the last */
};

typedef struct WalkItem
{
	Datum		value;
	bool		isnull;
	uint32		sid;
} WalkItem;

static inline int
compare_items(const WalkItem *a, const WalkItem *b, SortSupport ssup)
{
	return ApplySortComparator(a->value, a->isnull, b->value, b->isnull, ssup);
}

#define ST_SORT sort_items
#define ST_ELEMENT_TYPE WalkItem
#define ST_COMPARE(a, b, ssup) compare_items(a, b, ssup)
#define ST_COMPARE_ARG_TYPE SortSupportData
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* See labelwalk.h. */
MsLabelWalk *
ms_labelwalk_create(MsScanState *state, const List *description)
{
	MsLabelWalk *walk = palloc0(sizeof(MsLabelWalk));

	walk->att = list_nth_int(description, MS_WALK_ATT) - 1;
	walk->sort.opfamily = (Oid) list_nth_int(description, MS_WALK_OPFAMILY);
	walk->sort.type = (Oid) list_nth_int(description, MS_WALK_TYPE);
	walk->sort.collation = (Oid) list_nth_int(description, MS_WALK_COLLATION);
	walk->descending = list_nth_int(description, MS_WALK_DESCENDING);
	walk->nulls_first = list_nth_int(description, MS_WALK_NULLS_FIRST);
	walk->cxt = AllocSetContextCreate(state->scan_cxt, "memseries label order",
									  ALLOCSET_DEFAULT_SIZES);
	return walk;
}

static void
reserve_sids(MsLabelWalk *walk, uint32 n)
{
	if (n <= walk->cap)
		return;
	walk->cap = Max(n, 2 * walk->cap);
	if (walk->sids == NULL)
	{
		walk->sids = MemoryContextAllocHuge(walk->cxt, sizeof(uint32) * (Size) walk->cap);
		walk->begins = MemoryContextAllocHuge(walk->cxt, sizeof(bool) * (Size) walk->cap);
		return;
	}
	walk->sids = repalloc_huge(walk->sids, sizeof(uint32) * (Size) walk->cap);
	walk->begins = repalloc_huge(walk->begins, sizeof(bool) * (Size) walk->cap);
}

/* Takes some series of the order, twice as many as before, and none of a value without the others of it. */
static void
take_some(MsLabelWalk *walk, const MsLabelOrder *order)
{
	uint32		n = Max(walk->nsids, FIRST_SERIES);

	reserve_sids(walk, walk->nsids + Min(n, walk->to - walk->from));
	while (n > 0 && walk->from < walk->to)
	{
		uint32		v = walk->descending ? --walk->value : walk->value++;
		uint32		first = order->counts[v];
		uint32		count = order->counts[v + 1] - first;

		reserve_sids(walk, walk->nsids + count);
		for (uint32 i = 0; i < count; i++)
		{
			walk->begins[walk->nsids] = i == 0;
			walk->sids[walk->nsids++] = order->sids[walk->descending ? first + count - 1 - i : first + i];
		}
		if (walk->descending)
			walk->to -= count;
		else
			walk->from += count;
		n -= Min(n, count);
	}
}

/* Lists the series that fit, with their labels; the number of them. */
static uint32
list_series(MsScanState *state, MsLabelWalk *walk, WalkItem **items)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(state->css.ss.ss_currentRelation),
										  walk->att);
	uint32		cap = 64;
	uint32		n = 0;

	*items = palloc(sizeof(WalkItem) * cap);
	while (ms_scan_next_labels(state))
	{
		WalkItem   *item;

		if (n == cap)
		{
			cap *= 2;
			*items = repalloc_huge(*items, sizeof(WalkItem) * (Size) cap);
		}
		item = &(*items)[n++];
		item->sid = state->sid;
		item->isnull = state->template_isnull[walk->att];
		item->value = item->isnull ? (Datum) 0 :
			datumCopy(state->template_values[walk->att], att->attbyval, att->attlen);
	}
	return n;
}

/* Leaves of n series those that were not visited. */
static uint32
drop_visited(const MsLabelWalk *walk, WalkItem *items, uint32 n)
{
	uint32		left = 0;

	if (walk->nsids == 0)
		return n;
	qsort(walk->sids, walk->nsids, sizeof(uint32), ms_compare_uint32);
	for (uint32 i = 0; i < n; i++)
	{
		if (bsearch(&items[i].sid, walk->sids, walk->nsids, sizeof(uint32),
					ms_compare_uint32) == NULL)
			items[left++] = items[i];
	}
	return left;
}

static void
prepare_sort(const MsLabelWalk *walk, SortSupport ssup)
{
	memset(ssup, 0, sizeof(*ssup));
	ssup->ssup_cxt = CurrentMemoryContext;
	ssup->ssup_collation = walk->sort.collation;
	ssup->ssup_nulls_first = walk->nulls_first;
	PrepareSortSupportFromOrderingOp(get_opfamily_member(walk->sort.opfamily, walk->sort.type,
														 walk->sort.type, walk->descending ?
														 BTGreaterStrategyNumber :
														 BTLessStrategyNumber), ssup);
}

/* See labelwalk.h. */
void
ms_labelwalk_list(MsScanState *state)
{
	MsLabelWalk *walk = state->walk;
	uint64		read = state->counters[MS_COUNT_SERIES_READ];
	MemoryContext old = MemoryContextSwitchTo(walk->cxt);
	SortSupportData ssup;
	WalkItem   *items;
	uint32		n;

	state->walking = false;
	n = list_series(state, walk, &items);
	state->walking = true;
	n = drop_visited(walk, items, n);
	prepare_sort(walk, &ssup);
	sort_items(items, n, &ssup);
	walk->nsids = walk->next = walk->expected = walk->from = walk->to = 0;
	reserve_sids(walk, n);
	for (uint32 i = 0; i < n; i++)
	{
		walk->begins[i] = i == 0 || compare_items(&items[i - 1], &items[i], &ssup) != 0;
		walk->sids[walk->nsids++] = items[i].sid;
	}
	MemoryContextSwitchTo(old);

	/* they are counted when they are visited */
	state->counters[MS_COUNT_SERIES_READ] = read;
}

/* See labelwalk.h. */
bool
ms_labelwalk_start(MsScanState *state)
{
	MsLabelWalk *walk = state->walk;
	MsLabelRange range;

	if (walk == NULL)
		return false;
	MemoryContextReset(walk->cxt);
	walk->sids = NULL;
	walk->nsids = walk->cap = walk->next = walk->expected = walk->from = walk->to = walk->group = 0;
	if (!ms_labelcodes_order(state, walk->att, &walk->sort, &range))
		return false;
	walk->order_id = range.order->id;
	walk->from = range.order->counts[range.from];
	walk->to = range.order->counts[range.to];
	walk->value = walk->descending ? range.to : range.from;
	return true;
}

/* Tells the cursor which series come next, from number `at` on, unless it has been told. */
static void
expect_series(MsScanState *state, uint32 at)
{
	MsLabelWalk *walk = state->walk;
	int			n = (int) Min(walk->nsids - at, MS_CURSOR_EXPECT);

	/*
	 * to copy them is a waste where conditions leave few, unless one row is
	 * all that is copied
	 */
	if (at < walk->expected ||
		((state->safe_qual != NULL || state->label_qual != NULL) && state->order != MS_ORDER_LAST))
		return;
	ms_cursor_expect(state->cursor, walk->sids + at, n);
	walk->expected = at + n;
}

/* See labelwalk.h. */
bool
ms_labelwalk_next(MsScanState *state, uint32 *sid)
{
	MsLabelWalk *walk = state->walk;

	if (walk->next >= walk->nsids && walk->from < walk->to)
	{
		const MsLabelOrder *order = ms_codeindex_order_by_id(walk->order_id);

		if (order != NULL)
			take_some(walk, order);
		else
			ms_labelwalk_list(state);
	}
	if (walk->next >= walk->nsids)
		return false;
	expect_series(state, walk->next);
	walk->group += walk->begins[walk->next];
	*sid = walk->sids[walk->next++];
	return true;
}

/* See labelwalk.h. */
uint32
ms_labelwalk_group(const MsLabelWalk *walk)
{
	return walk->group;
}

/* See labelwalk.h. */
bool
ms_labelwalk_at_end_of_group(const MsLabelWalk *walk)
{
	return walk->next >= walk->nsids || walk->begins[walk->next];
}
