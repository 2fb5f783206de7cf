/*-------------------------------------------------------------------------
 *
 * labelcodes.c
 *	  Finding the series that conditions on a label leave, by its codes.
 *
 * The store keeps each distinct label value once, and a series as a row of
 * codes.  So before anything is asked of any series, it is found out which codes
 * meet a condition (labelterm.c), and which series have these: by the index that
 * this backend keeps of them (codeindex.c), or else by comparing the codes of
 * all, some nanoseconds each, a hundredth of what it takes to make its labels
 * datums and ask the condition.  What is left is asked all conditions as ever, so
 * that this needs to be right in one direction only: no series may be left out
 * wrongly.
 *
 * Of several conditions, the one that leaves the fewest series leads; those that
 * bound the same label in the same order (BETWEEN) count as one.  Where so many
 * are left that it is not worth it, all series are asked.
 *
 * A series that was added before the column was has no code for it, and is always left in.
 * Series and codes may come and go, and be used again, between one look and the
 * next; what is new then has no rows that the query's snapshot sees, and what
 * is left in wrongly is asked.
 *
 * Locks: table->lock, shared, for some thousand series at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "exec/labelterm.h"

#define MAX_CONDITIONS	4
#define SERIES_AT_ONCE	4096	/* under one lock */

StaticAssertDecl(MAX_CONDITIONS < MS_CODEINDEXES, "indexes stay while others are got");

typedef struct CodeCondition
{
	List	   *terms;			/* of MsLabelTerm, one of which holds */
	int			att;			/* of the label, attribute number - 1 */
	bool		is_range;

	/* Of the scan under way. */
	MsCodeIndex *index;			/* NULL: there is none */
	bool		known;			/* the following is */
	MsLabelRange range;			/* if is_range */
	uint32	   *codes;			/* else: ascending, each once */
	int			ncodes;
} CodeCondition;

struct MsLabelCodes
{
	int			nconditions;
	CodeCondition conditions[MAX_CONDITIONS];
	MemoryContext cxt;			/* of what a scan found */
	uint32	   *sids;
	uint32		nsids;
	uint32		next;
};

/* ---- which conditions ---- */

static void
add_condition(MsScanState *state, MsLabelCodes *codes, List *terms)
{
	CodeCondition *cond = &codes->conditions[codes->nconditions++];
	const MsLabelTerm *first = linitial(terms);

	ms_labelterms_init(terms, &state->css.ss.ps);
	cond->terms = terms;
	cond->att = first->att;
	cond->is_range = list_length(terms) == 1 && ms_labelterm_is_range(first);
}

/* Finds the conditions to look up; NULL if there are none. */
MsLabelCodes *
ms_labelcodes_create(MsScanState *state, Index relid)
{
	MsLabelCodes *codes = NULL;
	List	   *clauses = list_concat_copy(state->exprs[MS_EXPR_SAFE], state->exprs[MS_EXPR_LABEL]);
	ListCell   *lc;

	foreach(lc, clauses)
	{
		List	   *terms = ms_labelterms(lfirst(lc), relid);

		if (terms == NIL)
			continue;
		if (codes == NULL)
		{
			codes = palloc0(sizeof(MsLabelCodes));
			codes->cxt = AllocSetContextCreate(state->scan_cxt, "memseries label codes",
											   ALLOCSET_SMALL_SIZES);
		}
		if (codes->nconditions == MAX_CONDITIONS)
			break;
		add_condition(state, codes, terms);
	}
	return codes;
}

/* ---- a scan ---- */

/* The index of the label of condition number i: one for all conditions on that label. */
static MsCodeIndex *
index_of(MsScanState *state, const MsLabelCodes *codes, int i)
{
	int			att = codes->conditions[i].att;

	for (int k = 0; k < i; k++)
	{
		if (codes->conditions[k].att == att)
			return codes->conditions[k].index;
	}
	return ms_codeindex_get(state->desc->table, state->desc->cols[att].ordinal);
}

/* Finds out which codes meet a condition. */
static void
look_up(MsScanState *state, MsLabelCodes *codes, CodeCondition *cond)
{
	if (!cond->is_range)
		cond->known = ms_labelterms_codes(state, cond->terms, cond->index, codes->cxt,
										  &cond->codes, &cond->ncodes);
	else if (cond->index != NULL)
		cond->known = ms_labelterm_range(state, linitial(cond->terms), cond->index, &cond->range);
	else
		cond->known = false;
}

/* Narrows the range of a condition by those before it in the same order, which then is all they are good for. */
static void
join_ranges(MsLabelCodes *codes, int i)
{
	CodeCondition *cond = &codes->conditions[i];

	for (int k = 0; k < i; k++)
	{
		CodeCondition *other = &codes->conditions[k];

		if (!other->known || !other->is_range || other->range.order != cond->range.order)
			continue;
		cond->range.from = Max(cond->range.from, other->range.from);
		cond->range.to = Max(cond->range.from, Min(cond->range.to, other->range.to));
		other->known = false;
	}
}

/* Leaves of n series those that have the codes of all conditions.  Takes table->lock shared. */
static uint32
pick(MsScanState *state, MsLabelCodes *codes, uint32 *sids, uint32 n)
{
	MsTable    *table = state->desc->table;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; i < codes->nconditions; i++)
	{
		const CodeCondition *cond = &codes->conditions[i];

		if (cond->known && !cond->is_range)
			n = ms_series_pick(ms_store->arena, &table->series, sids, n,
							   state->desc->cols[cond->att].ordinal, cond->codes, cond->ncodes);
	}
	ms_unlock(table->lock);
	return n;
}

/* How many series a condition leaves, by its index. */
static uint32
count_left(const CodeCondition *cond)
{
	const MsLabelRange *range = &cond->range;

	if (!cond->is_range)
		return ms_codeindex_count(cond->index, cond->codes, cond->ncodes);
	return ms_codeindex_count(cond->index, NULL, 0) +
		range->order->counts[range->to] - range->order->counts[range->from];
}

/* Finds the series by an index of one condition, the one that leaves the fewest; false: not worth it. */
static bool
find_by_index(MsScanState *state, MsLabelCodes *codes)
{
	const CodeCondition *best = NULL;
	uint32		fewest = state->limit / 4;
	uint32		n;

	for (int i = 0; i < codes->nconditions; i++)
	{
		const CodeCondition *cond = &codes->conditions[i];
		uint32		count = cond->known && cond->index != NULL ? count_left(cond) : fewest;

		if (count < fewest)
		{
			best = cond;
			fewest = count;
		}
	}
	if (best == NULL)
		return false;

	codes->sids = MemoryContextAllocHuge(codes->cxt, sizeof(uint32) * (Size) Max(fewest, 1));
	if (best->is_range)
		n = ms_codeindex_series(best->index, best->range.order->codes + best->range.from,
								best->range.to - best->range.from, codes->sids);
	else
		n = ms_codeindex_series(best->index, best->codes, best->ncodes, codes->sids);

	/* series that are new since the scan began are none of its business */
	while (n > 0 && codes->sids[n - 1] >= state->limit)
		n--;
	codes->nsids = pick(state, codes, codes->sids, n);
	return true;
}

static void
count_skipped(MsScanState *state, const MsLabelCodes *codes)
{
	MsTableStats stats;

	if (!state->analyze)
		return;
	ms_table_stats(state->desc->table, &stats);
	state->counters[MS_COUNT_SERIES_SKIPPED] += stats.series - Min(codes->nsids, stats.series);
}

/*
 * Looks the conditions up for the scan that starts now, and finds the series it has to ask if an index tells; false
 * if none does.
 */
bool
ms_labelcodes_start(MsScanState *state)
{
	MsLabelCodes *codes = state->codes;

	if (codes == NULL || state->shared != NULL)
		return false;
	MemoryContextReset(codes->cxt);

	/* first, as it may run other scans, which may have indexes made anew */
	for (int i = 0; i < codes->nconditions; i++)
		ms_labelterms_eval(state, codes->conditions[i].terms);
	for (int i = 0; i < codes->nconditions; i++)
	{
		CodeCondition *cond = &codes->conditions[i];

		cond->index = index_of(state, codes, i);
		look_up(state, codes, cond);
		if (cond->known && cond->is_range)
			join_ranges(codes, i);
	}
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	codes->next = 0;
	if (!find_by_index(state, codes))
		return false;
	count_skipped(state, codes);
	return true;
}

/* The same after that, by looking at all series; false if their codes would not tell. */
bool
ms_labelcodes_start_among_all(MsScanState *state)
{
	MsLabelCodes *codes = state->codes;
	bool		any = false;

	if (codes == NULL || state->shared != NULL)
		return false;
	for (int i = 0; i < codes->nconditions; i++)
		any |= codes->conditions[i].known && !codes->conditions[i].is_range;
	if (!any)
		return false;
	codes->sids = MemoryContextAllocHuge(codes->cxt, sizeof(uint32) * (Size) Max(state->limit, 1));
	codes->nsids = 0;
	for (uint32 from = 0; from < state->limit; from += SERIES_AT_ONCE)
	{
		uint32	   *found = codes->sids + codes->nsids;
		uint32		n = Min(SERIES_AT_ONCE, state->limit - from);

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < n; i++)
			found[i] = from + i;
		codes->nsids += pick(state, codes, found, n);
	}
	count_skipped(state, codes);
	return true;
}

/* See labelterm.h. */
bool
ms_labelcodes_order(MsScanState *state, int att, const MsLabelSort *sort, MsLabelRange *range)
{
	MsLabelCodes *codes = state->codes;
	MsCodeIndex *index = NULL;
	bool		looked = false;

	if (state->shared != NULL)
		return false;
	range->order = NULL;
	for (int i = 0; codes != NULL && i < codes->nconditions; i++)
	{
		const CodeCondition *cond = &codes->conditions[i];

		if (cond->att != att)
			continue;
		looked = true;
		index = cond->index;
		if (cond->known && cond->is_range && ms_labelsort_equal(&cond->range.order->sort, sort))
			*range = cond->range;
	}
	if (!looked)
		index = ms_codeindex_get(state->desc->table, state->desc->cols[att].ordinal);
	if (index != NULL && range->order == NULL)
	{
		TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);

		range->order = ms_codeindex_order(index, TupleDescAttr(tupdesc, att), sort);
		range->from = 0;
		range->to = range->order != NULL ? range->order->n : 0;
	}
	return range->order != NULL && range->order->whole &&
		!(state->coded &&
		  codes->nsids < range->order->counts[range->to] - range->order->counts[range->from]);
}

/* The next series to ask; false if there are no more. */
bool
ms_labelcodes_next(MsScanState *state, uint32 *sid)
{
	MsLabelCodes *codes = state->codes;

	if (codes->next >= codes->nsids)
		return false;
	*sid = codes->sids[codes->next++];
	return true;
}
