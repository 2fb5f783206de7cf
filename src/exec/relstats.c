/*-------------------------------------------------------------------------
 *
 * relstats.c
 *	  What the planner may know of labels and times without ANALYZE.
 *
 * The store knows its series and how many samples each window has, so the
 * planner need not go by what ANALYZE saw some hours ago, in a table that
 * changes with every second: for a label, how many distinct values there are, and if they
 * are few, what share of the series has each; for the time, how the samples
 * are spread.  This is handed over in the form of a pg_statistic row, through
 * the hook made for that; values have ANALYZE's.
 *
 * Shares are of series, not of samples: as a rule series have about as many.
 * Of very many series only some are looked at, one by chance of every so many:
 * series are often made in an order in which labels recur at regular distances.
 * A value none of them had is taken to be as frequent as if one of them had it.  What was
 * found is kept for a few seconds, as planning asks several times; of labels, as
 * long as no series comes or goes.
 *
 * Locks: table->lock, shared, while counting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "exec/exec.h"
#include "exec/scan.h"

#define MAX_LOOKED_AT	10000	/* series */
#define MAX_COMMON		100		/* distinct values that are listed */
#define HISTOGRAM		100		/* intervals of the time's histogram */
#define KEEP_MS			5000
#define CACHE_SIZE		16

static get_relation_stats_hook_type prev_get_relation_stats_hook = NULL;

/* Statistics made lately. */
typedef struct CachedStats
{
	MsTable    *table;
	uint64		generation;
	AttrNumber	attnum;
	Oid			type;			/* of the column, as is... */
	Oid			collation;
	uint64		changes;		/* of series, before they were looked at */
	TimestampTz made;			/* or found to hold still */
	HeapTuple	tuple;			/* in TopMemoryContext; NULL: nothing to tell */
} CachedStats;

static CachedStats cache[CACHE_SIZE];
static int	next_victim = 0;

/* One distinct value, while counting. */
typedef struct CodeCount
{
	uint32		code;			/* hash key */
	uint32		count;
} CodeCount;

/* ---- forming a row of pg_statistic ---- */

typedef struct StatsRow
{
	float4		nullfrac;
	int32		width;
	float4		distinct;
	int			kind;			/* of the only slot; 0: none */
	Oid			op;
	Oid			collation;
	ArrayType  *numbers;		/* or NULL */
	ArrayType  *values;
} StatsRow;

static HeapTuple
form_row(const StatsRow *row, Oid relid, AttrNumber attnum)
{
	Relation	rel = table_open(StatisticRelationId, AccessShareLock);
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic] = {0};
	MemoryContext old;
	HeapTuple	tuple;

	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(relid);
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(attnum);
	values[Anum_pg_statistic_stainherit - 1] = BoolGetDatum(false);
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(row->nullfrac);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(row->width);
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(row->distinct);
	for (int k = 0; k < STATISTIC_NUM_SLOTS; k++)
	{
		values[Anum_pg_statistic_stakind1 - 1 + k] = Int16GetDatum(k == 0 ? row->kind : 0);
		values[Anum_pg_statistic_staop1 - 1 + k] =
			ObjectIdGetDatum(k == 0 ? row->op : InvalidOid);
		values[Anum_pg_statistic_stacoll1 - 1 + k] =
			ObjectIdGetDatum(k == 0 ? row->collation : InvalidOid);
		nulls[Anum_pg_statistic_stanumbers1 - 1 + k] = k > 0 || row->numbers == NULL;
		nulls[Anum_pg_statistic_stavalues1 - 1 + k] = k > 0 || row->values == NULL;
	}
	values[Anum_pg_statistic_stanumbers1 - 1] = PointerGetDatum(row->numbers);
	values[Anum_pg_statistic_stavalues1 - 1] = PointerGetDatum(row->values);

	old = MemoryContextSwitchTo(TopMemoryContext);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	return tuple;
}

/* ---- labels ---- */

typedef struct LabelCounts
{
	HTAB	   *codes;			/* of CodeCount */
	uint32		looked_at;		/* series */
	uint32		nulls;
	uint64		bytes;			/* of labels that are not null */
	uint32		series;			/* in all */
} LabelCounts;

/* Counts the values of a label over the series, or over some of them.  Caller holds table->lock. */
static void
count_label_locked(MsTable *table, int ordinal, LabelCounts *counts)
{
	MsArena    *arena = ms_store->arena;
	HASHCTL		ctl = {.keysize = sizeof(uint32),.entrysize = sizeof(CodeCount),
	.hcxt = CurrentMemoryContext};
	uint32	   *codes = palloc(sizeof(uint32) * MS_MAX_SLOTS);
	uint32		step;

	memset(counts, 0, sizeof(*counts));
	counts->codes = hash_create("memseries label values", 256, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	counts->series = ms_series_count(&table->series);
	step = ms_series_limit(&table->series) / MAX_LOOKED_AT + 1;
	for (uint32 first = 0; first < ms_series_limit(&table->series); first += step)
	{
		uint32		sid = first + murmurhash32(first) % step;
		CodeCount  *entry;
		bool		found;
		int			n;

		if (sid >= ms_series_limit(&table->series) ||
			!ms_series_is_live(arena, &table->series, sid))
			continue;
		n = ms_series_codes(arena, &table->series, sid, codes, MS_MAX_SLOTS);
		counts->looked_at++;
		if (ordinal >= n || codes[ordinal] == 0)
		{
			counts->nulls++;
			continue;
		}
		entry = hash_search(counts->codes, &codes[ordinal], HASH_ENTER, &found);
		entry->count = found ? entry->count + 1 : 1;
	}
	pfree(codes);
}

static int
by_count(const void *a, const void *b)
{
	uint32		x = ((const CodeCount *) a)->count;
	uint32		y = ((const CodeCount *) b)->count;

	return x > y ? -1 : x < y;
}

/* Lists the values as most common ones.  Caller holds table->lock since they were counted. */
static void
list_common_locked(MsTable *table, Form_pg_attribute att, LabelCounts *counts, StatsRow *row)
{
	int			n = hash_get_num_entries(counts->codes);
	uint32		all = counts->looked_at + (counts->looked_at < counts->series ? 1 : 0);
	CodeCount  *list = palloc(sizeof(CodeCount) * n);
	Datum	   *numbers = palloc(sizeof(Datum) * n);
	Datum	   *values = palloc(sizeof(Datum) * n);
	HASH_SEQ_STATUS seq;
	CodeCount  *entry;
	uint64		bytes = 0;
	int			i = 0;

	hash_seq_init(&seq, counts->codes);
	while ((entry = hash_seq_search(&seq)) != NULL)
		list[i++] = *entry;
	qsort(list, n, sizeof(CodeCount), by_count);

	for (i = 0; i < n; i++)
	{
		MsLabelValue label;

		ms_label_of_code(ms_store->arena, &table->series, list[i].code, &label);
		values[i] = ms_label_to_datum(att, &label);
		numbers[i] = Float4GetDatum((float4) list[i].count / all);
		bytes += label.len;
	}
	row->width = att->attlen > 0 ? att->attlen : (int32) (bytes / n + VARHDRSZ_SHORT);
	row->numbers = construct_array(numbers, n, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT);
	row->values = construct_array(values, n, att->atttypid, att->attlen, att->attbyval,
								  att->attalign);
}

static HeapTuple
label_stats(MsTable *table, int ordinal, Oid relid, Form_pg_attribute att)
{
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR);
	StatsRow	row = {0};
	LabelCounts counts;
	double		n;

	row.width = att->attlen > 0 ? att->attlen : 16;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	count_label_locked(table, ordinal, &counts);
	n = hash_get_num_entries(counts.codes);
	if (n > 0 && n <= MAX_COMMON && n <= counts.looked_at / 2 && OidIsValid(type->eq_opr))
	{
		list_common_locked(table, att, &counts, &row);
		row.kind = STATISTIC_KIND_MCV;
		row.op = type->eq_opr;
		row.collation = att->attcollation;
	}
	ms_unlock(table->lock);
	if (counts.looked_at == 0)
		return NULL;
	row.nullfrac = (float4) counts.nulls / counts.looked_at;
	if (row.kind != 0 && counts.looked_at < counts.series)
		n++;					/* for those not seen */
	if (n > counts.looked_at / 2)
		n *= (double) counts.series / counts.looked_at; /* it goes on like that */
	row.distinct = Max(n, 1);
	return form_row(&row, relid, att->attnum);
}

/* ---- the time ---- */

/* Samples of windows, and when they end; the last one ends now. */
typedef struct WindowWeight
{
	int64		start;
	int64		end;
	uint64		samples;
} WindowWeight;

static WindowWeight *
weigh_windows(MsTable *table, int *n, uint64 *total)
{
	TimestampTz now = GetCurrentTimestamp();
	WindowWeight *weights;
	int			cap;

	*total = 0;
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	cap = table->nwindows;
	weights = palloc_extended(sizeof(WindowWeight) * Max(cap, 1), MCXT_ALLOC_NO_OOM);
	*n = weights != NULL ? cap : 0;
	for (int i = 0; i < *n; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		weights[i].start = window->start;
		weights[i].end = window->end;
		if (now > window->start && now < window->end)
			weights[i].end = now;
		weights[i].samples = window->nsamples + window->run_samples;
		*total += weights[i].samples;
	}
	ms_unlock(table->lock);
	return weights;
}

/* A histogram of equally many samples, as if they were spread evenly over each window. */
static HeapTuple
time_stats(MsTable *table, Oid relid, Form_pg_attribute att)
{
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR);
	StatsRow	row = {0};
	Datum		bounds[HISTOGRAM + 1];
	uint64		total;
	uint64		before = 0;
	int			n;
	int			k = 0;
	WindowWeight *weights = weigh_windows(table, &n, &total);

	if (total < HISTOGRAM)
		return NULL;
	for (int i = 0; i < n && k <= HISTOGRAM; i++)
	{
		const WindowWeight *w = &weights[i];

		while (k <= HISTOGRAM && w->samples > 0 &&
			   (double) total * k / HISTOGRAM <= (double) (before + w->samples))
		{
			double		share = ((double) total * k / HISTOGRAM - before) / w->samples;

			bounds[k++] = TimestampTzGetDatum(w->start + (int64) (share * (w->end - w->start)));
		}
		before += w->samples;
	}
	if (k < 2)
		return NULL;
	row.width = sizeof(TimestampTz);
	row.distinct = -1.0 / Max(ms_series_count(&table->series), 1);
	row.kind = STATISTIC_KIND_HISTOGRAM;
	row.op = type->lt_opr;
	row.values = construct_array(bounds, k, att->atttypid, att->attlen, att->attbyval,
								 att->attalign);
	return form_row(&row, relid, att->attnum);
}

/* ---- the hook ---- */

/* How often series have come or gone.  Takes table->lock shared. */
static uint64
series_changes(MsTable *table)
{
	uint64		changes;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	changes = table->series.changes;
	ms_unlock(table->lock);
	return changes;
}

/* May what was made of a column be used at this time? */
static bool
holds_still(CachedStats *entry, bool is_label, TimestampTz now)
{
	if (TimestampDifferenceExceeds(entry->made, now, KEEP_MS))
	{
		if (!is_label || entry->changes != series_changes(entry->table))
			return false;
		entry->made = now;
	}
	return true;
}

/* The entry of a column, or one to make it of, whose table is NULL then. */
static CachedStats *
find_entry(MsTable *table, Form_pg_attribute att, bool is_label, TimestampTz now)
{
	CachedStats *entry = NULL;

	for (int i = 0; i < CACHE_SIZE && entry == NULL; i++)
	{
		CachedStats *it = &cache[i];

		if (it->table == table && it->generation == table->generation &&
			it->attnum == att->attnum && it->type == att->atttypid &&
			it->collation == att->attcollation)
			entry = it;
	}
	if (entry != NULL && holds_still(entry, is_label, now))
		return entry;
	if (entry == NULL)
	{
		entry = &cache[next_victim];
		next_victim = (next_victim + 1) % CACHE_SIZE;
	}
	if (entry->tuple != NULL)
		heap_freetuple(entry->tuple);
	memset(entry, 0, sizeof(*entry));
	return entry;
}

/* What there is to tell of a column; NULL if nothing.  Belongs to the cache. */
static HeapTuple
stats_of(Relation rel, AttrNumber attnum)
{
	const MsRelDesc *desc = ms_reldesc(rel);
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	const MsRelColumn *col = &desc->cols[attnum - 1];
	TimestampTz now = GetCurrentTimestamp();
	MsTable    *table = desc->table;
	CachedStats *entry;
	uint64		changes;

	if (table == NULL || (col->role != MS_ROLE_TIME && col->role != MS_ROLE_LABEL) ||
		(col->role == MS_ROLE_LABEL && col->ordinal < 0))
		return NULL;
	entry = find_entry(table, att, col->role == MS_ROLE_LABEL, now);
	if (entry->table != NULL)
		return entry->tuple;

	changes = series_changes(table);
	if (col->role == MS_ROLE_LABEL)
		entry->tuple = label_stats(table, col->ordinal, RelationGetRelid(rel), att);
	else
		entry->tuple = time_stats(table, RelationGetRelid(rel), att);
	entry->table = table;
	entry->generation = desc->generation;
	entry->attnum = attnum;
	entry->type = att->atttypid;
	entry->collation = att->attcollation;
	entry->changes = changes;
	entry->made = now;
	return entry->tuple;
}

static bool
get_relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
				   VariableStatData *vardata)
{
	Relation	rel;
	HeapTuple	tuple = NULL;

	if (prev_get_relation_stats_hook &&
		prev_get_relation_stats_hook(root, rte, attnum, vardata))
		return true;
	if (!ms_enable_customscan || rte->rtekind != RTE_RELATION || rte->inh || attnum <= 0)
		return false;

	rel = table_open(rte->relid, NoLock);
	if (ms_is_memseries_rel(rel))
		tuple = stats_of(rel, attnum);
	table_close(rel, NoLock);
	if (tuple == NULL)
		return false;

	/* whoever may not read the table must not learn values through operators */
	vardata->statsTuple = heap_copytuple(tuple);
	vardata->freefunc = heap_freetuple;
	vardata->acl_ok = rte->securityQuals == NIL &&
		pg_class_aclcheck(rte->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	return true;
}

/* Puts the planner hook in place. */
void
ms_relstats_init(void)
{
	prev_get_relation_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = get_relation_stats;
}
