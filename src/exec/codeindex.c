/*-------------------------------------------------------------------------
 *
 * codeindex.c
 *	  Which series have a code as a certain label, remembered by a backend.
 *
 * To find the series of one host of a hundred thousand, a scan looks at a code
 * of each: half a millisecond, where a btree takes a few microseconds.  An
 * index in shared memory would cost every table memory and every new series
 * time.  So each backend keeps what it has seen: all series ids by their codes
 * at one place, good as long as no series has come or gone, which the table
 * counts.
 *
 * Tables where series come and go all the time would have it built for every
 * query.  So it is built when a second scan finds the same count.
 *
 * It lives as long as the backend, or until more than MS_CODEINDEXES are wanted.
 * With it go its values in the orders that were asked for (labelorder.c).
 *
 * Locks: table->lock, shared, taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "exec/codeindex.h"

#define MIN_SERIES		64		/* with fewer it does not pay */
#define MAX_SERIES		(1 << 20)	/* with more it takes too much memory */
#define SERIES_AT_ONCE	4096	/* under one lock */

struct MsCodeIndex
{
	MsTable    *table;			/* NULL: unused */
	uint64		generation;		/* the table's */
	uint32		place;
	uint64		changes;		/* of series, as of the last look */
	uint64		used;			/* when, in lookups */
	MemoryContext cxt;			/* NULL: not built */
	uint32		count;			/* series held */
	uint32		limit;			/* codes are not above this */
	uint32	   *starts;			/* [limit + 2]: where a code's series begin;
								 * at 0, those added with fewer labels */
	uint32	   *sids;			/* by code */
	MsLabelOrder *orders;		/* of its values, as far as asked for */
};

static MsCodeIndex indexes[MS_CODEINDEXES];
static uint64 lookups = 0;

static void
forget(MsCodeIndex *index)
{
	if (index->cxt != NULL)
		MemoryContextDelete(index->cxt);
	memset(index, 0, sizeof(*index));
}

/* The codes of all series; NULL if some came or went meanwhile. */
static uint32 *
read_codes(MsTable *table, const MsCodeIndex *index, uint32 nseries)
{
	uint32	   *codes = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * nseries);

	for (uint32 from = 0; from < nseries; from += SERIES_AT_ONCE)
	{
		bool		same;

		ms_lock_shared(table->lock, MS_RANK_TABLE);
		same = table->series.changes == index->changes;
		if (same)
			ms_series_codes_at(ms_store->arena, &table->series, index->place, from,
							   Min(SERIES_AT_ONCE, nseries - from), codes + from);
		ms_unlock(table->lock);
		if (!same)
		{
			pfree(codes);
			return NULL;
		}
	}
	return codes;
}

/* Sorts series by code. */
static void
build(MsTable *table, MsCodeIndex *index, uint32 nseries, uint32 limit)
{
	uint32	   *codes = read_codes(table, index, nseries);
	MemoryContext cxt;
	uint32	   *at;
	uint32		total;

	if (codes == NULL)
		return;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries code index", ALLOCSET_SMALL_SIZES);
	index->limit = limit;
	index->starts = MemoryContextAllocExtended(cxt, sizeof(uint32) * ((Size) limit + 2),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	index->sids = MemoryContextAllocHuge(cxt, sizeof(uint32) * nseries);

	at = index->starts + 1;
	for (uint32 sid = 0; sid < nseries; sid++)
	{
		if (codes[sid] == MS_CODE_MISSING)
			codes[sid] = 0;
		else if (codes[sid] == MS_CODE_NULL || codes[sid] > limit)
			codes[sid] = limit + 1; /* nobody asks for it */
		if (codes[sid] <= limit)
			at[codes[sid]]++;
	}
	for (uint32 code = 0; code <= limit; code++)
		index->starts[code + 1] += index->starts[code];
	total = index->starts[limit + 1];
	/* from the ends of codes back to their starts */
	for (uint32 sid = nseries; sid-- > 0;)
	{
		if (codes[sid] <= limit)
			index->sids[--at[codes[sid]]] = sid;
	}
	memmove(index->starts, index->starts + 1, sizeof(uint32) * ((Size) limit + 1));
	index->starts[limit + 1] = total;
	pfree(codes);
	MemoryContextSetParent(cxt, TopMemoryContext);
	index->cxt = cxt;
}

/* The entry for this table and place, perhaps that of another one before. */
static MsCodeIndex *
find_entry(MsTable *table, uint32 place)
{
	MsCodeIndex *oldest = &indexes[0];

	for (int i = 0; i < MS_CODEINDEXES; i++)
	{
		MsCodeIndex *index = &indexes[i];

		if (index->table == table && index->generation == table->generation &&
			index->place == place)
			return index;
		if (index->used < oldest->used)
			oldest = index;
	}
	forget(oldest);
	oldest->table = table;
	oldest->generation = table->generation;
	oldest->place = place;
	return oldest;
}

/* The index of a table's series by their codes at a place; NULL: there is none. */
MsCodeIndex *
ms_codeindex_get(MsTable *table, uint32 place)
{
	MsCodeIndex *index;
	uint64		changes;
	uint32		nseries;
	uint32		limit;
	uint32		count;
	bool		has_place;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	has_place = place < table->series.width;
	changes = table->series.changes;
	nseries = ms_series_limit(&table->series);
	limit = table->series.dict.limit;
	count = ms_series_count(&table->series);
	ms_unlock(table->lock);
	if (nseries < MIN_SERIES || nseries > MAX_SERIES || !has_place)
		return NULL;

	index = find_entry(table, place);
	index->used = ++lookups;
	if (index->changes != changes)
	{
		/* look again next time */
		if (index->cxt != NULL)
			MemoryContextDelete(index->cxt);
		index->cxt = NULL;
		index->orders = NULL;
		index->changes = changes;
		index->count = count;
		return NULL;
	}
	if (index->cxt == NULL)
		build(table, index, nseries, limit);
	return index->cxt != NULL ? index : NULL;
}

static uint32
count_of(const MsCodeIndex *index, uint32 code)
{
	return code > index->limit ? 0 : index->starts[code + 1] - index->starts[code];
}

/* How many series have one of the codes, each of which is there once. */
uint32
ms_codeindex_count(const MsCodeIndex *index, const uint32 *codes, int ncodes)
{
	uint32		n = count_of(index, 0);

	for (int i = 0; i < ncodes; i++)
		n += count_of(index, codes[i]);
	return n;
}

/* Puts the series into the order of their values. */
static void
order_series(const MsCodeIndex *index, MsLabelOrder *order)
{
	uint32	   *to;

	order->sids = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(uint32) * (Size) Max(order->counts[order->n], 1));
	order->whole = order->counts[order->n] == index->count;
	to = order->sids;
	for (uint32 i = 0; i < order->n; i++)
	{
		uint32		count = count_of(index, order->codes[i]);

		memcpy(to, index->sids + index->starts[order->codes[i]], sizeof(uint32) * count);
		to += count;
	}
}

/* Sorts the codes that are there, in the context of the index. */
static MsLabelOrder *
build_order(MsCodeIndex *index, Form_pg_attribute att, const MsLabelSort *sort)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries label order",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	uint32	   *codes = MemoryContextAllocHuge(cxt, sizeof(uint32) * ((Size) index->limit + 1));
	uint32	   *series = MemoryContextAllocHuge(cxt, sizeof(uint32) * ((Size) index->limit + 1));
	uint32		n = 0;
	MsLabelOrder *order;

	for (uint32 code = 1; code <= index->limit; code++)
	{
		if (count_of(index, code) > 0)
		{
			codes[n] = code;
			series[n++] = count_of(index, code);
		}
	}
	order = ms_labelorder_build(index->table, index->changes, att, sort, codes, series, n);
	pfree(codes);
	pfree(series);
	if (order != NULL)
		order_series(index, order);
	MemoryContextSwitchTo(old);
	if (order != NULL)
		MemoryContextSetParent(cxt, index->cxt);
	else
		MemoryContextDelete(cxt);
	return order;
}

/* See codeindex.h. */
const MsLabelOrder *
ms_codeindex_order(MsCodeIndex *index, Form_pg_attribute att, const MsLabelSort *sort)
{
	MsLabelOrder *order;

	for (order = index->orders; order != NULL; order = order->next)
	{
		if (ms_labelsort_equal(&order->sort, sort))
			return order;
	}
	order = build_order(index, att, sort);
	if (order != NULL)
	{
		order->next = index->orders;
		index->orders = order;
	}
	return order;
}

/* See codeindex.h. */
const MsLabelOrder *
ms_codeindex_order_by_id(uint64 id)
{
	for (int i = 0; i < MS_CODEINDEXES; i++)
	{
		for (const MsLabelOrder *order = indexes[i].orders; order != NULL; order = order->next)
		{
			if (order->id == id)
				return order;
		}
	}
	return NULL;
}

/* For qsort. */
int
ms_compare_uint32(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* These series, ascending; `sids` has room for as many as were counted.  Returns their number. */
uint32
ms_codeindex_series(const MsCodeIndex *index, const uint32 *codes, int ncodes, uint32 *sids)
{
	uint32		n = 0;

	for (int i = -1; i < ncodes; i++)
	{
		uint32		code = i < 0 ? 0 : codes[i];
		uint32		count = count_of(index, code);

		if (count > 0)
			memcpy(sids + n, index->sids + index->starts[code], sizeof(uint32) * count);
		n += count;
	}
	qsort(sids, n, sizeof(uint32), ms_compare_uint32);
	return n;
}
