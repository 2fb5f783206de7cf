/*-------------------------------------------------------------------------
 *
 * lastrow.c
 *	  The newest (or oldest) row of each series, or of each combination of
 *	  labels.
 *
 * SELECT DISTINCT ON (labels) ... ORDER BY labels, ts DESC wants one row for
 * each combination of labels, the newest that meets the conditions.  Whatever
 * the labels are, that row is the newest of its series; so it is enough to
 * have one row of every series.  The scan goes through each series from its
 * end and stops at the first row that meets the conditions: as a rule it
 * decodes no block, or one row of one.
 *
 * Where what is distinct are plain label columns and nothing follows the time
 * in ORDER BY, no Sort and no Unique are needed above: the labels of all series
 * are fetched first and sorted as the query wants them, and of series with equal
 * ones the newest row is found here.  The labels are kept for the duration of
 * the scan; orderpaths.c offers this only where they are not too many.  Otherwise
 * the scan's rows come in any order, one of each series.
 *
 * The conditions are tested here rather than in ExecScan, because only who
 * tests them knows when a series is done.
 *
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"

#include "exec/scan.h"

/* The labels of a series. */
typedef struct SortedSeries
{
	uint32		sid;
	bool		isnull;			/* of the first key */
	Datum		first;			/* that, or what stands for it in comparisons */
	Datum	   *values;			/* by label, followed by... */
	bool	   *isnulls;
} SortedSeries;

struct MsLastRow
{
	MemoryContext cxt;			/* holds all of this; child of the scan's */
	int			nlabels;
	int		   *atts;			/* their attribute numbers less one */
	int			nkeys;
	int		   *keys;			/* which labels they are */
	SortSupport sort;			/* [nkeys] */
	SortedSeries *series;
	uint32		nseries;
	uint32		cap;
	uint32		next;
	uint32		touched;		/* series below this were */
};

/* ---- series in the order of their labels ---- */

/* Compares by key number i. */
static inline int
compare_key(const SortedSeries *a, const SortedSeries *b, const MsLastRow *last, int i)
{
	int			label = last->keys[i];

	return ApplySortComparator(a->values[label], a->isnulls[label],
							   b->values[label], b->isnulls[label], &last->sort[i]);
}

static inline int
compare_series(const SortedSeries *a, const SortedSeries *b, const MsLastRow *last)
{
	const SortSupport sort = last->sort;
	int			result = ApplySortComparator(a->first, a->isnull, b->first, b->isnull, sort);

	if (result == 0 && sort->abbrev_converter != NULL)
		result = ApplySortAbbrevFullComparator(a->values[last->keys[0]], a->isnull,
											   b->values[last->keys[0]], b->isnull, sort);
	for (int i = 1; i < last->nkeys && result == 0; i++)
		result = compare_key(a, b, last, i);
	return result;
}

#define ST_SORT sort_series
#define ST_ELEMENT_TYPE SortedSeries
#define ST_COMPARE(a, b, last) compare_series(a, b, last)
#define ST_COMPARE_ARG_TYPE const MsLastRow
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Prepares to sort by the keys that the plan names. */
static void
init_keys(MsScanState *state, MsLastRow *last)
{
	const MsRelDesc *desc = state->desc;

	last->atts = palloc(sizeof(int) * Max(desc->natts, 1));
	last->nkeys = list_length(state->distinct);
	last->keys = palloc0(sizeof(int) * last->nkeys);
	last->sort = palloc0(sizeof(SortSupportData) * last->nkeys);
	for (int att = 0; att < desc->natts; att++)
	{
		if (desc->cols[att].role != MS_ROLE_LABEL)
			continue;
		for (int i = 0; i < last->nkeys; i++)
		{
			if (((MsDistinctKey *) list_nth(state->distinct, i))->att == att + 1)
				last->keys[i] = last->nlabels;
		}
		last->atts[last->nlabels++] = att;
	}
	for (int i = 0; i < last->nkeys; i++)
	{
		const MsDistinctKey *key = list_nth(state->distinct, i);
		SortSupport sort = &last->sort[i];

		sort->ssup_cxt = CurrentMemoryContext;
		sort->ssup_collation = key->collation;
		sort->ssup_nulls_first = key->nulls_first;
		sort->abbreviate = i == 0;
		PrepareSortSupportFromOrderingOp(key->op, sort);
	}
}

/* Keeps the labels at hand, whose datums stay where they are. */
static void
keep_series(MsScanState *state, MsLastRow *last)
{
	SortedSeries *s;

	if (last->nseries == last->cap)
	{
		last->cap *= 2;
		last->series = repalloc_huge(last->series, sizeof(SortedSeries) * last->cap);
	}
	s = &last->series[last->nseries++];
	s->sid = state->sid;
	s->values = palloc((sizeof(Datum) + sizeof(bool)) * last->nlabels);
	s->isnulls = (bool *) (s->values + last->nlabels);
	for (int i = 0; i < last->nlabels; i++)
	{
		s->values[i] = state->template_values[last->atts[i]];
		s->isnulls[i] = state->template_isnull[last->atts[i]];
	}
	s->isnull = s->isnulls[last->keys[0]];
	s->first = s->values[last->keys[0]];
	if (last->sort->abbrev_converter != NULL && !s->isnull)
		s->first = last->sort->abbrev_converter(s->first, last->sort);
}

/* Finds the series that fit, and sorts them. */
static void
list_series(MsScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->scan_cxt);
	MsLastRow  *last = palloc0(sizeof(MsLastRow));

	last->cxt = AllocSetContextCreate(state->scan_cxt, "memseries newest rows",
									  ALLOCSET_DEFAULT_SIZES);
	state->lastrow = last;
	MemoryContextSwitchTo(last->cxt);
	init_keys(state, last);
	last->cap = 64;
	last->series = palloc(sizeof(SortedSeries) * last->cap);
	MemoryContextReset(state->series_cxt);
	state->keep_labels = true;
	while (ms_scan_next_labels(state))
		keep_series(state, last);
	state->keep_labels = false;
	sort_series(last->series, last->nseries, last);
	MemoryContextSwitchTo(old);
}

/* Frees what a scan kept. */
void
ms_lastrow_end(MsScanState *state)
{
	if (state->lastrow == NULL)
		return;
	MemoryContextDelete(state->lastrow->cxt);
	pfree(state->lastrow);
	state->lastrow = NULL;
}

/* ---- the row of a series ---- */

/* Does the row at hand meet the conditions?  Leaves it in the scan's slot. */
static bool
row_meets(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;

	ExecClearTuple(ss->ss_ScanTupleSlot);
	ms_scan_fill_slot(state, ss->ss_ScanTupleSlot);
	ExecStoreVirtualTuple(ss->ss_ScanTupleSlot);
	ResetExprContext(econtext);
	econtext->ecxt_scantuple = ss->ss_ScanTupleSlot;
	if (ExecQual(ss->ps.qual, econtext))
		return true;
	InstrCountFiltered1(&ss->ps, 1);
	return false;
}

/* Looks for the row of the series on which the cursor stands. */
static bool
search_series(MsScanState *state)
{
	ms_step_start(state, state->order == MS_ORDER_LAST);
	while (ms_step_next(state))
	{
		CHECK_FOR_INTERRUPTS();
		if (row_meets(state))
			return true;
	}
	return false;
}

/* ---- the row of a combination of labels ---- */

/* Has the next series fetched from memory, once in a while. */
static void
touch_series(MsScanState *state, uint32 from)
{
	MsLastRow  *last = state->lastrow;
	uint32		sids[MS_CURSOR_TOUCH];
	int			n = 0;

	if (from < last->touched)
		return;
	while (n < MS_CURSOR_TOUCH && from + n < last->nseries)
	{
		sids[n] = last->series[from + n].sid;
		n++;
	}
	last->touched = from + n;
	ms_cursor_touch(state->cursor, sids, n);
}

/* Looks for the row of series number i of those that were kept. */
static bool
search_kept(MsScanState *state, uint32 i)
{
	const MsLastRow *last = state->lastrow;
	const SortedSeries *s = &last->series[i];

	state->sid = s->sid;
	for (int k = 0; k < last->nlabels; k++)
	{
		state->template_values[last->atts[k]] = s->values[k];
		state->template_isnull[last->atts[k]] = s->isnulls[k];
	}
	touch_series(state, i);
	return ms_cursor_seek(state->cursor, s->sid) && search_series(state);
}

/* The end of the series that have the same keys as the one at `from`. */
static uint32
end_of_group(const MsLastRow *last, uint32 from)
{
	uint32		to = from + 1;

	for (; to < last->nseries; to++)
	{
		if (compare_series(&last->series[from], &last->series[to], last) != 0)
			break;
	}
	return to;
}

/* Looks for the row of series from..to: the newest, or oldest, of theirs. */
static bool
search_group(MsScanState *state, uint32 from, uint32 to)
{
	int64		best_time = 0;
	uint32		best = to;

	for (uint32 i = from; i < to; i++)
	{
		int64		t;

		CHECK_FOR_INTERRUPTS();
		if (!search_kept(state, i))
			continue;
		t = state->rows.times[state->row];
		if (best < to && (state->order == MS_ORDER_LAST ? t <= best_time : t >= best_time))
			continue;
		best = i;
		best_time = t;
	}
	return best < to && (to - from == 1 || search_kept(state, best));
}

/* Goes to the next row that is wanted; false at the end. */
static bool
next_row(MsScanState *state)
{
	MsLastRow  *last = state->lastrow;

	if (state->distinct == NIL)
	{
		while (ms_scan_next_series(state))
		{
			state->standing = false;
			if (search_series(state))
				return true;
		}
		return false;
	}
	while (last->next < last->nseries)
	{
		uint32		from = last->next;

		last->next = end_of_group(last, from);
		if (search_group(state, from, last->next))
			return true;
	}
	return false;
}

/* The next row, projected; an empty slot at the end. */
TupleTableSlot *
ms_lastrow_exec(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;

	if (!state->started)
	{
		ms_scan_start(state);
		if (state->distinct != NIL && !state->done)
			list_series(state);
	}
	if (!state->done && next_row(state))
	{
		if (ss->ps.ps_ProjInfo != NULL)
			return ExecProject(ss->ps.ps_ProjInfo);
		return ss->ss_ScanTupleSlot;
	}
	state->done = true;
	if (ss->ps.ps_ProjInfo != NULL)
		return ExecClearTuple(ss->ps.ps_ProjInfo->pi_state.resultslot);
	return ExecClearTuple(ss->ss_ScanTupleSlot);
}
