/*-------------------------------------------------------------------------
 *
 * aggpred.c
 *	  Which rows of a block fulfil conditions.
 *
 * Conditions come in sets that are ANDed: the WHERE clause's that are not on
 * labels or the time alone, and each different FILTER clause; or those on
 * values of a scan that hands out rows (rows.c).  Comparisons of a
 * value with a constant are made for a block at a time, and often need not be
 * made at all, because the block's smallest and largest value decide for all its
 * rows; likewise lists of times, and OR of these and of conditions on labels.
 * Conditions of any other form are evaluated by calc.c or, row by row, by PostgreSQL's
 * executor, for those rows that the others have left; those on the time alone, once
 * for each time (timememo.c).
 *
 * Comparisons are PostgreSQL's: NaN equals NaN and is above everything else.
 * Comparing cannot fail and tells nobody what it saw, so that comparisons may
 * come before conditions of lower security level; the others keep their order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/float.h"

#include "exec/agg.h"
#include "store/rowbuf.h"

static MsScanColumn *
find_column(MsScanState *scan, AttrNumber att)
{
	for (int i = 0; i < scan->ncolumns; i++)
	{
		if (scan->columns[i].att == att - 1)
			return &scan->columns[i];
	}
	elog(ERROR, "column %d was not prepared for aggregation", att);
}

static int
compare_times(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static void
init_or(MsScanState *scan, const MsAggRel *rel, MsPredSet *set, MsPred *pred, List *arms)
{
	ListCell   *lc;

	pred->arms = palloc0(sizeof(MsPredSet) * list_length(arms));
	foreach(lc, arms)
	{
		MsPredSet  *arm = &pred->arms[pred->narms++];

		ms_preds_init(scan, rel, arm, make_ands_implicit(lfirst(lc)));
		set->needs_labels |= arm->needs_labels;
	}
}

/* Compiles a set. */
void
ms_preds_init(MsScanState *scan, const MsAggRel *rel, MsPredSet *set, List *clauses)
{
	PlanState  *ps = &scan->css.ss.ps;
	ListCell   *lc;

	memset(set, 0, offsetof(MsPredSet, mask));
	set->clauses = clauses;
	set->preds = palloc0(sizeof(MsPred) * Max(list_length(clauses), 1));
	foreach(lc, clauses)
	{
		MsPred	   *pred = &set->preds[set->n++];
		MsPredMatch match;

		pred->kind = ms_agg_match_pred(rel, lfirst(lc), &match);
		switch (pred->kind)
		{
			case MS_PRED_COMPARE:
				pred->column = find_column(scan, match.att);
				pred->op = match.op;
				pred->expr = ExecInitExpr(match.operand, ps);
				pred->is_null = exprType((Node *) match.operand) == FLOAT4OID;
				break;
			case MS_PRED_NULLTEST:
				pred->column = find_column(scan, match.att);
				pred->is_null = match.is_null;
				break;
			case MS_PRED_TIME:
				pred->bounds = ms_timerange_init(list_make1(lfirst(lc)), rel->relid,
												 rel->time_att, ps);
				break;
			case MS_PRED_LABEL:
				pred->expr = ExecInitQual(list_make1(lfirst(lc)), ps);
				set->needs_labels = true;
				break;
			case MS_PRED_AMONG:
				pred->expr = ExecInitExpr(match.operand, ps);
				break;
			case MS_PRED_OR:
				init_or(scan, rel, set, pred, ((BoolExpr *) lfirst(lc))->args);
				break;
			case MS_PRED_CALC:
				pred->calc = ms_calc_init(scan, rel, lfirst(lc));
				set->needs_labels |= ms_calc_uses_labels(pred->calc);
				break;
			case MS_PRED_WHEN:
				/* those that follow one another are one */
				if (set->n > 1 && pred[-1].kind == MS_PRED_WHEN)
				{
					set->n--;
					pred--;
				}
				pred->together = lappend(pred->together, lfirst(lc));
				pred->expr = ExecInitQual(pred->together, ps);
				break;
			default:
				pred->kind = MS_PRED_ROW;
				pred->expr = ExecInitQual(list_make1(lfirst(lc)), ps);
				set->needs_labels = true;
				break;
		}
		if (pred->memo == NULL && (pred->kind == MS_PRED_CALC || pred->kind == MS_PRED_WHEN) &&
			ms_agg_is_of_time(rel, lfirst(lc)))
			pred->memo = ms_timememo_create();
	}
}

/* The times of a list, ascending. */
static void
start_among(MsScanState *scan, MsPred *pred)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;
	Datum		value = ExecEvalExprSwitchContext(pred->expr, econtext, &pred->never);
	Datum	   *times;
	bool	   *nulls;
	int			n;

	pred->ntimes = 0;
	if (pred->never)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TIMESTAMPTZOID, sizeof(TimestampTz),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &times, &nulls, &n);
	if (pred->times != NULL)
		pfree(pred->times);
	pred->times = MemoryContextAlloc(scan->css.ss.ps.state->es_query_cxt,
									 sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			pred->times[pred->ntimes++] = DatumGetTimestampTz(times[i]);
	}
	qsort(pred->times, pred->ntimes, sizeof(int64), compare_times);
	pred->never = pred->ntimes == 0;
}

/* Evaluates what is constant during a scan. */
void
ms_preds_start(MsScanState *scan, MsPredSet *set)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;

	for (int i = 0; i < set->n; i++)
	{
		MsPred	   *pred = &set->preds[i];

		if (pred->kind == MS_PRED_COMPARE)
		{
			Datum		value = ExecEvalExprSwitchContext(pred->expr, econtext, &pred->never);

			if (!pred->never)
				pred->operand = pred->is_null ? ms_float4_widen(DatumGetFloat4(value)) :
					DatumGetFloat8(value);
		}
		else if (pred->kind == MS_PRED_TIME)
			pred->never = !ms_timerange_eval(pred->bounds, econtext, &pred->lo, &pred->hi);
		else if (pred->kind == MS_PRED_AMONG)
			start_among(scan, pred);
		if (pred->memo != NULL)
			ms_timememo_reset(pred->memo);
		for (int arm = 0; arm < pred->narms; arm++)
			ms_preds_start(scan, &pred->arms[arm]);
	}
}

/* Evaluates what is constant in a series.  Its labels are in the row slot. */
void
ms_preds_series(MsScanState *scan, MsPredSet *set)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = scan->row_slot;
	for (int i = 0; i < set->n; i++)
	{
		if (set->preds[i].kind == MS_PRED_LABEL)
			set->preds[i].holds = ExecQual(set->preds[i].expr, econtext);
		else if (set->preds[i].kind == MS_PRED_CALC)
			ms_calc_series(set->preds[i].calc);
		for (int arm = 0; arm < set->preds[i].narms; arm++)
			ms_preds_series(scan, &set->preds[i].arms[arm]);
	}
}

/* ---- a block as a whole ---- */

/* Compares as PostgreSQL does. */
static inline bool
compare(int op, double v, double operand)
{
	switch (op)
	{
		case BTLessStrategyNumber:
			return float8_lt(v, operand);
		case BTLessEqualStrategyNumber:
			return float8_le(v, operand);
		case BTEqualStrategyNumber:
			return float8_eq(v, operand);
		case BTGreaterEqualStrategyNumber:
			return float8_ge(v, operand);
		case BTGreaterStrategyNumber:
			return float8_gt(v, operand);
		default:
			return float8_ne(v, operand);
	}
}

/* Do the smallest and the largest value decide a comparison for all? */
static MsSelection
decide_compare(const MsPred *pred, const MsSummary *s, int nrows)
{
	bool		min = compare(pred->op, s->min, pred->operand);
	bool		max = compare(pred->op, s->max, pred->operand);

	if (s->count == 0)
		return MS_SELECT_NONE;
	switch (pred->op)
	{
		case BTEqualStrategyNumber:
			if (float8_gt(s->min, pred->operand) || float8_lt(s->max, pred->operand))
				return MS_SELECT_NONE;
			break;
		case MS_OP_NOT_EQUAL:
			if (float8_gt(s->min, pred->operand) || float8_lt(s->max, pred->operand))
				return s->count == nrows ? MS_SELECT_ALL : MS_SELECT_SOME;
			if (!min && !max)
				return MS_SELECT_NONE;
			return MS_SELECT_SOME;
		default:
			if (!min && !max)
				return MS_SELECT_NONE;
			break;
	}
	return min && max && s->count == nrows ? MS_SELECT_ALL : MS_SELECT_SOME;
}

/* Is one of the times in the block?  All its rows are of one only if it has one. */
static MsSelection
decide_among(const MsPred *pred, const MsBatch *batch)
{
	int			first;

	if (batch->block == NULL)
		return MS_SELECT_SOME;
	first = ms_first_time(pred->times, pred->ntimes, batch->block->tmin);
	return first < pred->ntimes && pred->times[first] <= batch->block->tmax ?
		MS_SELECT_SOME : MS_SELECT_NONE;
}

static MsSelection
decide_or(MsScanState *scan, const MsPred *pred, MsBatch *batch)
{
	MsSelection most = MS_SELECT_NONE;

	for (int arm = 0; arm < pred->narms && most != MS_SELECT_ALL; arm++)
	{
		MsSelection one;

		pred->arms[arm].decided = false;
		one = ms_preds_decide(scan, &pred->arms[arm], batch);
		most = Max(most, one);
	}
	return most;
}

static MsSelection
decide_pred(MsScanState *scan, const MsPred *pred, MsBatch *batch)
{
	const MsSummary *s;

	if (pred->never)
		return MS_SELECT_NONE;
	switch (pred->kind)
	{
		case MS_PRED_LABEL:
			return pred->holds ? MS_SELECT_ALL : MS_SELECT_NONE;
		case MS_PRED_TIME:
			if (batch->block == NULL)
				return MS_SELECT_SOME;
			if (batch->block->tmin >= pred->hi || batch->block->tmax < pred->lo)
				return MS_SELECT_NONE;
			return batch->block->tmin >= pred->lo && batch->block->tmax < pred->hi ?
				MS_SELECT_ALL : MS_SELECT_SOME;
		case MS_PRED_AMONG:
			return decide_among(pred, batch);
		case MS_PRED_OR:
			return decide_or(scan, pred, batch);
		case MS_PRED_COMPARE:
		case MS_PRED_NULLTEST:
			if (!ms_batch_summary(scan, batch, pred->column))
				return MS_SELECT_SOME;
			s = &pred->column->summary;
			if (pred->kind == MS_PRED_COMPARE)
				return decide_compare(pred, s, batch->n);
			if (s->count == 0)
				return pred->is_null ? MS_SELECT_ALL : MS_SELECT_NONE;
			if (s->count == batch->n)
				return pred->is_null ? MS_SELECT_NONE : MS_SELECT_ALL;
			return MS_SELECT_SOME;
		default:
			return MS_SELECT_SOME;
	}
}

/* Does the set select all rows of the batch, or none?  Without decoding any. */
MsSelection
ms_preds_decide(MsScanState *scan, MsPredSet *set, MsBatch *batch)
{
	if (set->decided)
		return set->status;
	set->decided = true;
	set->status = MS_SELECT_ALL;
	for (int i = 0; i < set->n && set->status != MS_SELECT_NONE; i++)
	{
		MsSelection one = decide_pred(scan, &set->preds[i], batch);

		set->status = Min(set->status, one);
	}
	return set->status;
}

/* ---- row by row ---- */

#define MASK_LOOP(condition) \
	do { \
		for (int row = 0; row < n; row++) \
			mask[row] &= (condition); \
	} while (0)

/* Clears the mask where a comparison does not hold. */
static void
mask_compare(int op, const double *v, double c, bool *mask, int n)
{
	if (isnan(c))
	{
		switch (op)
		{
			case BTLessStrategyNumber:
			case MS_OP_NOT_EQUAL:
				MASK_LOOP(!isnan(v[row]));
				return;
			case BTLessEqualStrategyNumber:
				return;
			case BTGreaterStrategyNumber:
				memset(mask, false, n);
				return;
			default:
				MASK_LOOP(isnan(v[row]));
				return;
		}
	}
	switch (op)
	{
		case BTLessStrategyNumber:
			MASK_LOOP(v[row] < c);
			return;
		case BTLessEqualStrategyNumber:
			MASK_LOOP(v[row] <= c);
			return;
		case BTEqualStrategyNumber:
			MASK_LOOP(v[row] == c);
			return;
		case BTGreaterEqualStrategyNumber:
			/* NaN is above */
			MASK_LOOP(!(v[row] < c));
			return;
		case BTGreaterStrategyNumber:
			MASK_LOOP(!(v[row] <= c));
			return;
		default:
			MASK_LOOP(v[row] != c);
			return;
	}
}

static void
mask_values(MsScanState *scan, const MsPred *pred, MsBatch *batch, int from, int n, bool *mask)
{
	MsScanColumn *column = pred->column;

	ms_batch_load(scan, batch, column);
	if (pred->kind == MS_PRED_COMPARE)
		mask_compare(pred->op, column->values + from, pred->operand, mask, n);
	if (pred->kind == MS_PRED_NULLTEST && pred->is_null)
	{
		if (column->nulls == NULL)
			memset(mask, false, n);
		else
			MASK_LOOP(column->nulls[from + row]);
	}
	else if (column->nulls != NULL)
		MASK_LOOP(!column->nulls[from + row]);
}

/* Clears the mask where a time is none of some; both ascend. */
static void
mask_among(const MsPred *pred, const int64 *times, bool *mask, int n)
{
	int			at = ms_first_time(pred->times, pred->ntimes, times[0]);

	for (int row = 0; row < n; row++)
	{
		while (at < pred->ntimes && pred->times[at] < times[row])
			at++;
		mask[row] &= at < pred->ntimes && pred->times[at] == times[row];
	}
}

/* Clears the mask in from..to where none of the alternatives holds. */
static void
mask_or(MsScanState *scan, const MsPred *pred, MsBatch *batch, int from, int to, bool *mask)
{
	bool		any[MS_BLOCK_ROWS];

	memset(any + from, false, to - from);
	for (int i = 0; i < pred->narms; i++)
	{
		MsPredSet  *arm = &pred->arms[i];

		arm->decided = false;
		switch (ms_preds_decide(scan, arm, batch))
		{
			case MS_SELECT_NONE:
				continue;
			case MS_SELECT_ALL:
				return;
			default:
				ms_preds_mask(scan, arm, batch, from, to, mask);
				for (int row = from; row < to; row++)
					any[row] |= arm->mask[row];
		}
	}
	for (int row = from; row < to; row++)
		mask[row] &= any[row];
}

/* Clears the mask in from..to where a condition does not hold, which is asked row by row. */
static void
mask_rows(MsScanState *scan, const MsPred *pred, MsBatch *batch, int from, int to, bool *mask)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = scan->row_slot;
	for (int i = from; i < to; i++)
	{
		if (!mask[i])
			continue;
		if (pred->kind == MS_PRED_WHEN)
			ms_scan_fill_time(scan, batch->times[i]);
		else
			ms_batch_fill_row(scan, batch, i);
		mask[i] = ExecQual(pred->expr, econtext);
		ResetExprContext(econtext);
	}
}

/* The same of a condition of the time alone, which is asked of times that are new. */
static void
mask_times(MsScanState *scan, const MsPred *pred, MsBatch *batch, int from, int to, bool *mask)
{
	const int64 *times = ms_batch_times(scan, batch) + from;
	int			n = to - from;
	bool		asked[MS_BLOCK_ROWS];
	bool		answers[MS_BLOCK_ROWS];

	if (!ms_timememo_look_up(pred->memo, times, n, mask + from, asked))
		return;
	memcpy(answers + from, asked, n);
	if (pred->kind == MS_PRED_CALC)
		ms_calc_select(pred->calc, scan, batch, from, to, answers);
	else
		mask_rows(scan, pred, batch, from, to, answers);
	ms_timememo_keep(pred->memo, times, n, asked, answers + from);
	for (int i = 0; i < n; i++)
		mask[from + i] &= !asked[i] || answers[from + i];
}

/*
 * Sets set->mask[from .. to) to which rows it selects of those that `among`
 * has (NULL: all).
 */
void
ms_preds_mask(MsScanState *scan, MsPredSet *set, MsBatch *batch, int from, int to,
			  const bool *among)
{
	bool	   *mask = set->mask + from;
	int			n = to - from;

	if (among != NULL)
		memcpy(mask, among + from, n);
	else
		memset(mask, true, n);
	for (int i = 0; i < set->n; i++)
	{
		const MsPred *pred = &set->preds[i];

		if (pred->never || (pred->kind == MS_PRED_LABEL && !pred->holds))
			memset(mask, false, n);
		else if (pred->kind == MS_PRED_COMPARE || pred->kind == MS_PRED_NULLTEST)
			mask_values(scan, pred, batch, from, n, mask);
		else if (pred->kind == MS_PRED_TIME)
		{
			const int64 *times = ms_batch_times(scan, batch) + from;

			MASK_LOOP(times[row] >= pred->lo && times[row] < pred->hi);
		}
		else if (pred->kind == MS_PRED_AMONG)
			mask_among(pred, ms_batch_times(scan, batch) + from, mask, n);
		else if (pred->kind == MS_PRED_OR)
			mask_or(scan, pred, batch, from, to, set->mask);
	}
	for (int i = 0; i < set->n; i++)
	{
		const MsPred *pred = &set->preds[i];

		if (pred->memo != NULL)
			mask_times(scan, pred, batch, from, to, set->mask);
		else if (pred->kind == MS_PRED_CALC)
			ms_calc_select(pred->calc, scan, batch, from, to, set->mask);
		else if (pred->kind == MS_PRED_ROW)
			mask_rows(scan, pred, batch, from, to, set->mask);
	}
}
