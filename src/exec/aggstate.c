/*-------------------------------------------------------------------------
 *
 * aggstate.c
 *	  What is kept for a group, and how rows are added to it.
 *
 * Aggregates over the same value and FILTER share one accumulator: count, sum,
 * average, minimum and so on of a value are one pass over its decoded array.
 * A block that lies in one group whole is answered from the summary in its
 * header where count, sum, minimum and maximum are all that is wanted.  Where
 * minimum and maximum are, that also tells whether a block of several groups can
 * change any of them, and after some series few can.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "lib/qunique.h"
#include "nodes/nodeFuncs.h"

#include "exec/agg.h"

#define LONG_RUN	24			/* rows, from which on its totals pay */
#define FEW_RUNS	4			/* groups whose range a block may well not
								 * widen */

/* ---- preparing ---- */

static MsPredSet *
find_filter(MsAggState *state, List *clauses)
{
	MsPredSet  *set;

	if (clauses == NIL)
		return NULL;
	for (int i = 0; i < state->nfilters; i++)
	{
		if (equal(state->filters[i]->clauses, clauses))
			return state->filters[i];
	}
	set = palloc0(sizeof(MsPredSet));
	ms_preds_init(&state->scan, &state->rel, set, clauses);
	state->filters[state->nfilters++] = set;
	return set;
}

/* Which accumulator does an aggregate need? */
static void
describe_acc(MsAggState *state, const MsAggMatch *match, MsAcc *acc)
{
	memset(acc, 0, sizeof(*acc));
	acc->filter = find_filter(state, match->filter);
	acc->arg = match->arg;
	for (int i = 0; i < state->scan.ncolumns; i++)
	{
		if (match->att != 0 && state->scan.columns[i].att == match->att - 1)
			acc->column = &state->scan.columns[i];
	}
	switch (match->kind)
	{
		case MS_AGG_COUNT:
		case MS_AGG_COUNT_LABEL:
			acc->kind = MS_ACC_COUNT;
			break;
		case MS_AGG_COUNT_DISTINCT:
			acc->kind = MS_ACC_DISTINCT;
			break;
		case MS_AGG_MIN_TIME:
		case MS_AGG_MAX_TIME:
			acc->kind = MS_ACC_TIMES;
			break;
		case MS_AGG_BOOL_AND:
		case MS_AGG_BOOL_OR:
			acc->kind = MS_ACC_BOOL;
			break;
		case MS_AGG_COUNT_VALUE:
			acc->kind = MS_ACC_VALUE;
			acc->want = MS_WANT_COUNT;
			break;
		case MS_AGG_SUM:
		case MS_AGG_AVG:
		case MS_AGG_SUM_INT:
		case MS_AGG_AVG_INT:
			acc->kind = MS_ACC_VALUE;
			acc->want = MS_WANT_SUM;
			break;
		case MS_AGG_MIN:
		case MS_AGG_MAX:
			acc->kind = MS_ACC_VALUE;
			acc->want = match->kind == MS_AGG_MIN ? MS_WANT_MIN : MS_WANT_MAX;
			break;
		case MS_AGG_VAR_POP:
		case MS_AGG_VAR_SAMP:
		case MS_AGG_STDDEV_POP:
		case MS_AGG_STDDEV_SAMP:
			acc->kind = MS_ACC_VALUE;
			acc->want = MS_WANT_SUM | MS_WANT_SQUARES;
			break;
		case MS_AGG_FIRST:
		case MS_AGG_LAST:
			acc->kind = MS_ACC_EDGE;
			acc->last = match->kind == MS_AGG_LAST;
			break;
		case MS_AGG_INCREASE:
		case MS_AGG_RATE:
		case MS_AGG_DELTA:
			acc->kind = MS_ACC_COUNTER;
			state->has_counters = true;
			break;
	}
}

static void
compile_arg(MsAggState *state, MsAcc *acc, Oid eqop)
{
	MsPredMatch pred;

	if (acc->arg == NULL)
		return;
	if (acc->kind == MS_ACC_VALUE)
		acc->calc = ms_calc_init(&state->scan, &state->rel, acc->arg);
	else if (acc->kind == MS_ACC_DISTINCT)
	{
		acc->values = palloc0(sizeof(MsKeyTable));
		ms_keys_init(state, acc->values, list_make1(acc->arg), list_make1_oid(eqop));
	}
	else if (acc->kind == MS_ACC_COUNT ||
			 ms_agg_match_pred(&state->rel, acc->arg, &pred) == MS_PRED_LABEL)
		acc->label_arg = ExecInitExpr(acc->arg, &state->scan.css.ss.ps);
	else
	{
		acc->bool_arg = palloc0(sizeof(MsPredSet));
		ms_preds_init(&state->scan, &state->rel, acc->bool_arg, list_make1(acc->arg));
	}
}

/* An accumulator like this one, shared or new. */
static MsAcc *
find_acc(MsAggState *state, const MsAcc *like, Oid eqop)
{
	MsAcc	   *acc;

	for (int i = 0; i < state->naccs; i++)
	{
		acc = &state->accs[i];
		if (acc->kind == like->kind && acc->column == like->column &&
			acc->filter == like->filter && acc->last == like->last &&
			equal(acc->arg, like->arg))
		{
			acc->want |= like->want;
			return acc;
		}
	}
	acc = &state->accs[state->naccs++];
	*acc = *like;
	compile_arg(state, acc, eqop);
	return acc;
}

/* Is it sure that no other accumulator looks at this one's column? */
static bool
is_lone(const MsAggState *state, const MsAcc *acc)
{
	if (acc->kind != MS_ACC_VALUE || acc->calc != NULL || state->nfilters > 0)
		return false;
	for (int i = 0; i < state->naccs; i++)
	{
		const MsAcc *other = &state->accs[i];

		if (other->calc != NULL || other->bool_arg != NULL ||
			(other != acc && other->column == acc->column))
			return false;
	}
	return true;
}

static Size
acc_size(const MsAcc *acc)
{
	switch (acc->kind)
	{
		case MS_ACC_COUNT:
			return sizeof(int64);
		case MS_ACC_DISTINCT:
			return sizeof(MsDistinct);
		case MS_ACC_TIMES:
			return sizeof(MsTimeSpan);
		case MS_ACC_BOOL:
			return sizeof(MsBoolCounts);
		case MS_ACC_VALUE:
			return (acc->want & (MS_WANT_RANGE | MS_WANT_SQUARES)) ? sizeof(MsValueStats) : offsetof(MsValueStats, min);
		case MS_ACC_EDGE:
			return sizeof(MsEdge);
		default:
			return sizeof(MsCounterState);
	}
}

/* Prepares accumulators and outputs for the aggregates of a plan. */
void
ms_accs_init(MsAggState *state, List *aggrefs)
{
	int			n = list_length(aggrefs);
	Size		size = MAXALIGN(sizeof(MsGroupHead));

	state->naggs = n;
	state->aggs = palloc0(sizeof(MsAggOutput) * Max(n, 1));
	state->accs = palloc0(sizeof(MsAcc) * Max(n, 1));
	state->filters = palloc0(sizeof(MsPredSet *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Aggref	   *aggref = list_nth_node(Aggref, aggrefs, i);
		MsAggMatch	match;
		MsAcc		acc;

		if (!ms_agg_match(&state->rel, aggref, &match))
			elog(ERROR, "unexpected aggregate in a %s plan", MS_AGG_NAME);
		describe_acc(state, &match, &acc);
		state->aggs[i].kind = match.kind;
		state->aggs[i].acc = find_acc(state, &acc, match.eqop);
		state->aggs[i].type = aggref->args ?
			exprType((Node *) linitial_node(TargetEntry, aggref->args)->expr) : InvalidOid;
		state->aggs[i].partial = state->partial;
	}
	for (int i = 0; i < state->naccs; i++)
	{
		state->accs[i].lone = is_lone(state, &state->accs[i]);
		state->accs[i].offset = size;
		size += MAXALIGN(acc_size(&state->accs[i]));
	}
	state->group_size = size;
}

/* Evaluates arguments on labels.  The series' labels are in the row slot. */
void
ms_accs_series(MsAggState *state)
{
	ExprContext *econtext = state->scan.css.ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = state->scan.row_slot;
	for (int i = 0; i < state->naccs; i++)
	{
		MsAcc	   *acc = &state->accs[i];

		if (acc->calc != NULL)
			ms_calc_series(acc->calc);
		if (acc->values != NULL)
		{
			acc->id = ms_keys_find(state, acc->values);
			acc->arg_isnull = acc->values->rows[acc->id].isnull[0];
		}
		if (acc->label_arg != NULL)
		{
			Datum		value = ExecEvalExprSwitchContext(acc->label_arg, econtext, &acc->arg_isnull);

			if (acc->kind == MS_ACC_BOOL && !acc->arg_isnull)
				acc->arg_value = DatumGetBool(value);
		}
	}
}

/* ---- rows of a batch ---- */

/* The values of rows from..to that are selected and not NULL, side by side; their number. */
static int
dense_values(MsAggState *state, const MsScanColumn *column, int from, int to, const bool *mask,
			 const double **values)
{
	const double *v = column->values;
	const bool *nulls = column->nulls;
	double	   *out = state->dense;
	int			n = 0;

	if (mask == NULL && nulls == NULL)
	{
		*values = v + from;
		return to - from;
	}
	*values = out;
	if (nulls == NULL)
	{
		for (int i = from; i < to; i++)
		{
			out[n] = v[i];
			n += mask[i];
		}
	}
	else
	{
		for (int i = from; i < to; i++)
		{
			out[n] = v[i];
			n += (mask == NULL || mask[i]) && !nulls[i];
		}
	}
	return n;
}

static int
count_rows(const bool *mask, int from, int to)
{
	int			n = 0;

	if (mask == NULL)
		return to - from;
	for (int i = from; i < to; i++)
		n += mask[i];
	return n;
}

/* The first or last selected row; -1: there is none. */
static int
edge_row(const bool *mask, int from, int to, bool last)
{
	if (last)
	{
		for (int i = to - 1; i >= from; i--)
		{
			if (mask == NULL || mask[i])
				return i;
		}
	}
	else
	{
		for (int i = from; i < to; i++)
		{
			if (mask == NULL || mask[i])
				return i;
		}
	}
	return -1;
}

static int
compare_ids(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* How many different values have been added? */
int64
ms_distinct_count(MsDistinct *distinct)
{
	if (distinct->n > 1)
	{
		qsort(distinct->ids, distinct->n, sizeof(uint32), compare_ids);
		distinct->n = qunique(distinct->ids, distinct->n, sizeof(uint32), compare_ids);
	}
	return distinct->n;
}

static void
add_distinct(MsAggState *state, MsDistinct *distinct, uint32 id)
{
	if (distinct->n > 0 && distinct->ids[distinct->n - 1] == id)
		return;
	if (distinct->n == distinct->cap && ms_distinct_count(distinct) >= distinct->cap / 2)
	{
		distinct->cap = Max(distinct->cap * 2, 4);
		distinct->ids = distinct->ids == NULL ?
			MemoryContextAlloc(state->group_cxt, sizeof(uint32) * distinct->cap) :
			repalloc_huge(distinct->ids, sizeof(uint32) * (Size) distinct->cap);
	}
	distinct->ids[distinct->n++] = id;
}

static void
add_times(MsTimeSpan *span, int64 min, int64 max)
{
	span->min = span->n == 0 ? min : Min(span->min, min);
	span->max = span->n == 0 ? max : Max(span->max, max);
	span->n++;
}

static void
add_bools(MsAggState *state, MsAcc *acc, MsBoolCounts *counts, MsBatch *batch,
		  int from, int to, const bool *mask)
{
	int			n = count_rows(mask, from, to);
	int			yes;

	if (acc->bool_arg == NULL)
	{
		if (!acc->arg_isnull && acc->arg_value)
			counts->yes += n;
		else if (!acc->arg_isnull)
			counts->no += n;
		return;
	}
	ms_preds_mask(&state->scan, acc->bool_arg, batch, from, to, mask);
	yes = count_rows(acc->bool_arg->mask, from, to);
	counts->yes += yes;
	if (acc->bool_arg->preds[0].kind == MS_PRED_COMPARE)
	{
		MsPred	   *pred = &acc->bool_arg->preds[0];

		/* a comparison with NULL is neither */
		if (pred->never)
			return;
		if (pred->column->nulls != NULL)
		{
			n = 0;
			for (int i = from; i < to; i++)
				n += (mask == NULL || mask[i]) && !pred->column->nulls[i];
		}
	}
	counts->no += n - yes;
}

static void
set_edge(MsAggState *state, MsAcc *acc, MsEdge *edge, MsBatch *batch, int row, int64 time)
{
	if (edge->n > 0 && (acc->last ? time <= edge->time : time >= edge->time))
		return;
	ms_batch_value(&state->scan, batch, acc->column, row, &edge->value, &edge->isnull);
	edge->n = 1;
	edge->time = time;
}

static void
add_counter(MsAggState *state, MsAcc *acc, MsCounterState *counter, MsBatch *batch,
			int from, int to, const bool *mask)
{
	const int64 *times = ms_batch_times(&state->scan, batch);
	const double *values;
	int			n;

	ms_batch_load(&state->scan, batch, acc->column);
	n = dense_values(state, acc->column, from, to, mask, &values);
	if (values == state->dense)
	{
		const bool *nulls = acc->column->nulls;
		int			k = 0;

		for (int i = from; i < to; i++)
		{
			state->dense_times[k] = times[i];
			k += (mask == NULL || mask[i]) && (nulls == NULL || !nulls[i]);
		}
		times = state->dense_times;
	}
	else
		times += from;
	if (state->several)
		ms_points_add(&counter->points, state->group_cxt, times, values, n);
	else
		ms_counter_add(&counter->counter, times, values, n);
}

/*
 * Adds rows from..to of the batch to a group.  Of these, mask says which the
 * WHERE clause selects (NULL: all).
 */
void
ms_acc_rows(MsAggState *state, MsAcc *acc, char *group, MsBatch *batch,
			int from, int to, const bool *mask)
{
	void	   *at = group + acc->offset;
	const double *values;
	int			row;
	int			n;

	if (acc->filter != NULL)
	{
		MsSelection status = ms_preds_decide(&state->scan, acc->filter, batch);

		if (status == MS_SELECT_NONE)
			return;
		if (status == MS_SELECT_SOME)
		{
			ms_preds_mask(&state->scan, acc->filter, batch, from, to, mask);
			mask = acc->filter->mask;
		}
	}
	switch (acc->kind)
	{
		case MS_ACC_COUNT:
			if (acc->label_arg == NULL || !acc->arg_isnull)
				*(int64 *) at += count_rows(mask, from, to);
			break;
		case MS_ACC_DISTINCT:
			if (!acc->arg_isnull && edge_row(mask, from, to, false) >= 0)
				add_distinct(state, at, acc->id);
			break;
		case MS_ACC_TIMES:
			row = edge_row(mask, from, to, false);
			if (row >= 0)
			{
				const int64 *times = ms_batch_times(&state->scan, batch);

				add_times(at, times[row], times[edge_row(mask, from, to, true)]);
			}
			break;
		case MS_ACC_BOOL:
			add_bools(state, acc, at, batch, from, to, mask);
			break;
		case MS_ACC_VALUE:
			if (acc->calc != NULL)
				n = ms_calc_values(acc->calc, &state->scan, batch, from, to, mask, state->dense, &values);
			else
			{
				ms_batch_load(&state->scan, batch, acc->column);
				n = dense_values(state, acc->column, from, to, mask, &values);
			}
			ms_value_stats_add(at, acc->want, values, n);
			break;
		case MS_ACC_EDGE:
			row = edge_row(mask, from, to, acc->last);
			if (row >= 0)
				set_edge(state, acc, at, batch, row, ms_batch_times(&state->scan, batch)[row]);
			break;
		case MS_ACC_COUNTER:
			add_counter(state, acc, at, batch, from, to, mask);
			break;
	}
}

static inline MsValueStats *
stats_of(const MsAggState *state, const MsAcc *acc, const MsRunOfRows *run)
{
	return (MsValueStats *) (ms_group_at(state, run->group) + acc->offset);
}

/*
 * Is the range all that is wanted, and that of a block's values, selected or not, within those of
 * its groups?  The more groups, the less likely that is.
 */
static bool
widens_none(MsAggState *state, MsAcc *acc, MsBatch *batch, const MsRunOfRows *runs, int nruns)
{
	if ((acc->want & ~MS_WANT_RANGE) || acc->calc != NULL || nruns > FEW_RUNS)
		return false;
	for (int i = 0; i < nruns; i++)
	{
		if (stats_of(state, acc, &runs[i])->n == 0)
			return false;
	}
	if (!ms_batch_summary(&state->scan, batch, acc->column))
		return false;
	for (int i = 0; i < nruns; i++)
	{
		if (!ms_value_stats_have(stats_of(state, acc, &runs[i]), acc->want, &acc->column->summary))
			return false;
	}
	batch->spared = true;
	return true;
}

/* An array in which rows from..to of the batch have their values; NULL if some have none. */
static const double *
values_of_all(MsAggState *state, MsAcc *acc, MsBatch *batch, int from, int to)
{
	const double *values;

	if (acc->calc != NULL)
		return ms_calc_values(acc->calc, &state->scan, batch, from, to, NULL, state->dense,
							  &values) == to - from ? values - from : NULL;
	ms_batch_load(&state->scan, batch, acc->column);
	return acc->column->nulls == NULL ? acc->column->values : NULL;
}

/* Adds runs by their totals, without decoding values; false if they are short, or totals do not do. */
static bool
add_run_totals(MsAggState *state, MsAcc *acc, MsBatch *batch, const MsRunOfRows *runs, int nruns)
{
	MsSummary	totals[MS_VALUE_RUNS];
	int			bounds[MS_VALUE_RUNS + 1];

	if (!acc->lone || (acc->want & MS_WANT_SQUARES) || nruns > MS_VALUE_RUNS ||
		runs[nruns - 1].to - runs[0].from < nruns * LONG_RUN)
		return false;
	for (int i = 0; i < nruns; i++)
		bounds[i] = runs[i].from;
	bounds[nruns] = runs[nruns - 1].to;
	if (!ms_batch_run_totals(&state->scan, batch, acc->column, bounds, nruns, totals))
		return false;
	for (int i = 0; i < nruns; i++)
	{
		char	   *group = ms_group_at(state, runs[i].group);

		if (!ms_value_stats_add_summary((MsValueStats *) (group + acc->offset), acc->want, &totals[i]))
			ms_acc_rows(state, acc, group, batch, runs[i].from, runs[i].to, NULL);
	}
	return true;
}

/* Adds runs of rows of the batch, each to its group, as above. */
void
ms_acc_runs(MsAggState *state, MsAcc *acc, MsBatch *batch, const MsRunOfRows *runs, int nruns,
			const bool *mask)
{
	bool		plain = acc->kind == MS_ACC_VALUE && acc->filter == NULL && nruns > 0;

	if (plain && widens_none(state, acc, batch, runs, nruns))
		return;
	if (plain && mask == NULL)
	{
		const double *values;

		if (add_run_totals(state, acc, batch, runs, nruns))
			return;
		values = values_of_all(state, acc, batch, runs[0].from, runs[nruns - 1].to);
		if (values != NULL)
		{
			ms_value_stats_add_runs(state, acc->offset, acc->want, values, runs, nruns);
			return;
		}
	}
	for (int i = 0; i < nruns; i++)
		ms_acc_rows(state, acc, ms_group_at(state, runs[i].group), batch, runs[i].from, runs[i].to,
					mask);
}

/* Is what summaries say all that is wanted of rows that the WHERE clause selects? */
bool
ms_acc_takes_totals(const MsAcc *acc)
{
	if (acc->filter != NULL)
		return false;
	switch (acc->kind)
	{
		case MS_ACC_COUNT:
		case MS_ACC_DISTINCT:
		case MS_ACC_TIMES:
			return true;
		case MS_ACC_BOOL:
			return acc->bool_arg == NULL;
		case MS_ACC_VALUE:
			return acc->calc == NULL && !(acc->want & MS_WANT_SQUARES);
		default:
			return false;
	}
}

/*
 * Adds a block all of whose rows the WHERE clause selects, without decoding
 * what its header tells.
 */
void
ms_acc_block(MsAggState *state, MsAcc *acc, char *group, MsBatch *batch)
{
	const MsBlockInfo *block = batch->block;
	void	   *at = group + acc->offset;

	if (acc->filter != NULL)
	{
		MsSelection status = ms_preds_decide(&state->scan, acc->filter, batch);

		if (status == MS_SELECT_NONE)
			return;
		if (status == MS_SELECT_SOME)
		{
			ms_acc_rows(state, acc, group, batch, 0, batch->n, NULL);
			return;
		}
	}
	switch (acc->kind)
	{
		case MS_ACC_TIMES:
			add_times(at, block->tmin, block->tmax);
			return;
		case MS_ACC_EDGE:
			/* what a later block replaces need not be decoded */
			if (!(acc->last && acc->filter == NULL && state->more_follows))
				set_edge(state, acc, at, batch, acc->last ? batch->n - 1 : 0,
						 acc->last ? block->tmax : block->tmin);
			return;
		case MS_ACC_VALUE:
			if (acc->calc == NULL && !(acc->want & MS_WANT_SQUARES) &&
				(ms_batch_summary(&state->scan, batch, acc->column) ||
				 ms_batch_totals(&state->scan, batch, acc->column)) &&
				ms_value_stats_add_summary(at, acc->want, &acc->column->summary))
				return;
			break;
		default:
			break;
	}
	ms_acc_rows(state, acc, group, batch, 0, batch->n, NULL);
}
