/*-------------------------------------------------------------------------
 *
 * aggstate.c
 *	  What is kept for a group, and what comes of it.
 *
 * Aggregates over the same value and FILTER share one accumulator: count, sum,
 * average, minimum and so on of a value are one pass over its decoded array.
 * A block that lies in one group whole is answered from the summary in its
 * header where count, sum, minimum and maximum are all that is wanted.
 *
 * Results are PostgreSQL's, with one exception: floats are added in another
 * order, or exactly within a block, so a sum may differ in its last bits and
 * whatever is computed from it does too.  NaN and infinities go the same way
 * through any order.  A sum of finite values that leaves the range of the type is
 * an error as it is there; since that may happen in one order and not in the
 * other, values whose sum is not finite are added again one by one.  Unlike
 * PostgreSQL's, an average does not fail because squares are out of range.
 *
 * Variances are computed per run of rows in two passes, and combined by the
 * formula of Youngs and Cramer, as PostgreSQL combines those of its workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "compat.h"
#include "exec/agg.h"

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
	ms_preds_init(state, set, clauses);
	state->filters[state->nfilters++] = set;
	return set;
}

/* Which accumulator does an aggregate need? */
static void
describe_acc(MsAggState *state, const MsAggMatch *match, MsAcc *acc)
{
	memset(acc, 0, sizeof(*acc));
	acc->filter = find_filter(state, match->filter);
	for (int i = 0; i < state->ncolumns; i++)
	{
		if (match->att != 0 && state->columns[i].att == match->att)
			acc->column = &state->columns[i];
	}
	switch (match->kind)
	{
		case MS_AGG_COUNT:
			acc->kind = MS_ACC_COUNT;
			break;
		case MS_AGG_COUNT_LABEL:
			acc->kind = MS_ACC_COUNT;
			acc->arg = match->arg;
			break;
		case MS_AGG_MIN_TIME:
		case MS_AGG_MAX_TIME:
			acc->kind = MS_ACC_TIMES;
			break;
		case MS_AGG_BOOL_AND:
		case MS_AGG_BOOL_OR:
			acc->kind = MS_ACC_BOOL;
			acc->arg = match->arg;
			break;
		case MS_AGG_COUNT_VALUE:
			acc->kind = MS_ACC_VALUE;
			break;
		case MS_AGG_SUM:
		case MS_AGG_AVG:
			acc->kind = MS_ACC_VALUE;
			acc->want = MS_WANT_SUM;
			break;
		case MS_AGG_MIN:
		case MS_AGG_MAX:
			acc->kind = MS_ACC_VALUE;
			acc->want = MS_WANT_RANGE;
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
compile_arg(MsAggState *state, MsAcc *acc)
{
	MsPredMatch pred;

	if (acc->arg == NULL)
		return;
	if (acc->kind == MS_ACC_COUNT ||
		ms_agg_match_pred(&state->rel, acc->arg, &pred) == MS_PRED_LABEL)
		acc->label_arg = ExecInitExpr(acc->arg, &state->scan.css.ss.ps);
	else
	{
		acc->bool_arg = palloc0(sizeof(MsPredSet));
		ms_preds_init(state, acc->bool_arg, list_make1(acc->arg));
	}
}

/* An accumulator like this one, shared or new. */
static MsAcc *
find_acc(MsAggState *state, const MsAcc *like)
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
	compile_arg(state, acc);
	return acc;
}

static Size
acc_size(const MsAcc *acc)
{
	switch (acc->kind)
	{
		case MS_ACC_COUNT:
			return sizeof(int64);
		case MS_ACC_TIMES:
			return sizeof(MsTimeSpan);
		case MS_ACC_BOOL:
			return sizeof(MsBoolCounts);
		case MS_ACC_VALUE:
			return (acc->want & ~MS_WANT_SUM) ? sizeof(MsValueStats) : offsetof(MsValueStats, min);
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
		state->aggs[i].acc = find_acc(state, &acc);
		state->aggs[i].type = match.att ? exprType((Node *) linitial_node(TargetEntry, aggref->args)->expr) :
			InvalidOid;
		state->aggs[i].partial = state->partial;
	}
	for (int i = 0; i < state->naccs; i++)
	{
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

		if (acc->label_arg != NULL)
		{
			Datum		value = ExecEvalExprSwitchContext(acc->label_arg, econtext, &acc->arg_isnull);

			if (acc->kind == MS_ACC_BOOL && !acc->arg_isnull)
				acc->arg_value = DatumGetBool(value);
		}
	}
}

/* ---- arithmetic ---- */

/* a + b, as PostgreSQL adds: an error if that overflows. */
static inline double
add(double a, double b)
{
	double		sum = a + b;

	if (unlikely(isinf(sum)) && !isinf(a) && !isinf(b))
		float_overflow_error();
	return sum;
}

/* One value after the other onto `sum`. */
static double
sum_slowly(double sum, const double *v, int n)
{
	for (int i = 0; i < n; i++)
		sum = add(sum, v[i]);
	return sum;
}

typedef double Two __attribute__((vector_size(16)));

static inline Two
load_two(const double *v)
{
	Two			two;

	memcpy(&two, v, sizeof(two));
	return two;
}

/* The smaller and the larger of two, pair by pair.  Not for NaN. */
static inline Two
min_two(Two a, Two b)
{
#ifdef __SSE2__
	return (Two) _mm_min_pd((__m128d) a, (__m128d) b);
#else
	Two			result = {a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]};

	return result;
#endif
}

static inline Two
max_two(Two a, Two b)
{
#ifdef __SSE2__
	return (Two) _mm_max_pd((__m128d) a, (__m128d) b);
#else
	Two			result = {a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]};

	return result;
#endif
}

/* The sum in any order; not finite if some value is not, or if it overflows. */
static double
sum_fast(const double *v, int n)
{
	Two			a = {0, 0};
	Two			b = {0, 0};
	Two			c = {0, 0};
	Two			d = {0, 0};
	double		rest = 0;
	int			i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		a += load_two(v + i);
		b += load_two(v + i + 2);
		c += load_two(v + i + 4);
		d += load_two(v + i + 6);
	}
	for (; i < n; i++)
		rest += v[i];
	a = (a + b) + (c + d);
	return a[0] + a[1] + rest;
}

/*
 * Smallest and largest of n > 0 values in PostgreSQL's order.  sum is theirs, in
 * any order: NaN if some of them are.
 */
static void
find_range(const double *v, int n, double sum, double *min, double *max)
{
	Two			lo[2] = {{v[0], v[0]}, {v[0], v[0]}};
	Two			hi[2] = {{v[0], v[0]}, {v[0], v[0]}};
	int			i;

	if (unlikely(isnan(sum)))
	{
		*min = *max = v[0];
		for (i = 1; i < n; i++)
		{
			*min = float8_lt(*min, v[i]) ? *min : v[i];
			*max = float8_gt(*max, v[i]) ? *max : v[i];
		}
		return;
	}
	for (i = 0; i + 4 <= n; i += 4)
	{
		Two			a = load_two(v + i);
		Two			b = load_two(v + i + 2);

		lo[0] = min_two(a, lo[0]);
		hi[0] = max_two(a, hi[0]);
		lo[1] = min_two(b, lo[1]);
		hi[1] = max_two(b, hi[1]);
	}
	for (; i < n; i++)
	{
		Two			a = {v[i], v[i]};

		lo[0] = min_two(a, lo[0]);
		hi[0] = max_two(a, hi[0]);
	}
	lo[0] = min_two(lo[0], lo[1]);
	hi[0] = max_two(hi[0], hi[1]);
	*min = Min(lo[0][0], lo[0][1]);
	*max = Max(hi[0][0], hi[0][1]);
}

/* Sum of squared differences from the mean of n > 0 values. */
static double
find_squares(const double *v, int n, double sum)
{
	double		mean = sum / n;
	double		squares = 0;
	double		off = 0;
	bool		special = !isfinite(sum);

	for (int i = 0; i < n; i++)
	{
		double		d = v[i] - mean;

		squares += d * d;
		off += d;
	}
	if (special)
		return get_float8_nan();
	squares -= off * off / n;
	if (unlikely(isinf(squares)))
		float_overflow_error();
	return squares;
}

/* Adds the range of more values. */
static inline void
widen_range(MsValueStats *stats, double min, double max)
{
	if (stats->n == 0)
	{
		stats->min = min;
		stats->max = max;
		return;
	}
	stats->min = float8_lt(stats->min, min) ? stats->min : min;
	stats->max = float8_gt(stats->max, max) ? stats->max : max;
}

/* Squares of n values of a sum, and of others; see float8_combine. */
static void
combine_squares(MsValueStats *stats, int n, double sum, double squares)
{
	double		off;
	double		result;

	if (stats->n == 0)
	{
		stats->squares = squares;
		return;
	}
	off = stats->sum / stats->n - sum / n;
	result = stats->squares + squares + (double) stats->n * n * off * off / ((double) stats->n + n);
	if (unlikely(isinf(result)) && !isinf(stats->squares) && !isinf(squares))
		float_overflow_error();
	stats->squares = result;
}

/* Adds n values, none of them NULL. */
static void
add_values(MsValueStats *stats, int want, const double *v, int n)
{
	double		sum;

	if (n == 0)
		return;
	if (want == MS_WANT_COUNT)
	{
		stats->n += n;
		return;
	}
	sum = sum_fast(v, n);
	if (want & MS_WANT_RANGE)
	{
		double		min;
		double		max;

		find_range(v, n, sum, &min, &max);
		widen_range(stats, min, max);
	}
	if (want & MS_WANT_SQUARES)
	{
		if (!isfinite(sum))
			sum = sum_slowly(0, v, n);
		combine_squares(stats, n, sum, find_squares(v, n, sum));
	}
	if (want & MS_WANT_SUM)
		stats->sum = isfinite(sum) && isfinite(stats->sum + sum) ? stats->sum + sum :
			sum_slowly(stats->sum, v, n);
	stats->n += n;
}

/* Adds a block by its summary; false if that does not say enough. */
static bool
add_summary(MsValueStats *stats, int want, const MsSummary *s)
{
	Assert(!(want & MS_WANT_SQUARES));
	if (s->count == 0)
		return true;
	/* an infinite sum may be one that overflowed */
	if ((want & MS_WANT_SUM) && isinf(s->sum))
		return false;
	if (want & MS_WANT_RANGE)
		widen_range(stats, s->min, s->max);
	if (want & MS_WANT_SUM)
		stats->sum = add(stats->sum, s->sum);
	stats->n += s->count;
	return true;
}

/* ---- rows of a batch ---- */

/* The values of rows from..to that are selected and not NULL, side by side; their number. */
static int
dense_values(MsAggState *state, const MsAggColumn *column, int from, int to, const bool *mask,
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
	ms_preds_mask(state, acc->bool_arg, batch, from, to, mask);
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
	ms_batch_load(state, batch, acc->column);
	edge->n = 1;
	edge->time = time;
	edge->value = acc->column->values[row];
	edge->isnull = acc->column->nulls != NULL && acc->column->nulls[row];
}

static void
add_counter(MsAggState *state, MsAcc *acc, MsCounterState *counter, MsBatch *batch,
			int from, int to, const bool *mask)
{
	const int64 *times = ms_batch_times(state, batch);
	const double *values;
	int			n;

	ms_batch_load(state, batch, acc->column);
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
		MsSelection status = ms_preds_decide(state, acc->filter, batch);

		if (status == MS_SELECT_NONE)
			return;
		if (status == MS_SELECT_SOME)
		{
			ms_preds_mask(state, acc->filter, batch, from, to, mask);
			mask = acc->filter->mask;
		}
	}
	switch (acc->kind)
	{
		case MS_ACC_COUNT:
			if (acc->label_arg == NULL || !acc->arg_isnull)
				*(int64 *) at += count_rows(mask, from, to);
			break;
		case MS_ACC_TIMES:
			row = edge_row(mask, from, to, false);
			if (row >= 0)
			{
				const int64 *times = ms_batch_times(state, batch);

				add_times(at, times[row], times[edge_row(mask, from, to, true)]);
			}
			break;
		case MS_ACC_BOOL:
			add_bools(state, acc, at, batch, from, to, mask);
			break;
		case MS_ACC_VALUE:
			ms_batch_load(state, batch, acc->column);
			n = dense_values(state, acc->column, from, to, mask, &values);
			add_values(at, acc->want, values, n);
			break;
		case MS_ACC_EDGE:
			row = edge_row(mask, from, to, acc->last);
			if (row >= 0)
				set_edge(state, acc, at, batch, row, ms_batch_times(state, batch)[row]);
			break;
		case MS_ACC_COUNTER:
			add_counter(state, acc, at, batch, from, to, mask);
			break;
	}
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
		case MS_ACC_TIMES:
			return true;
		case MS_ACC_BOOL:
			return acc->bool_arg == NULL;
		case MS_ACC_VALUE:
			return !(acc->want & MS_WANT_SQUARES);
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
		MsSelection status = ms_preds_decide(state, acc->filter, batch);

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
			if (!(acc->want & MS_WANT_SQUARES) &&
				(ms_batch_summary(state, batch, acc->column) ||
				 ms_batch_totals(state, batch, acc->column)) &&
				add_summary(at, acc->want, &acc->column->summary))
				return;
			break;
		default:
			break;
	}
	ms_acc_rows(state, acc, group, batch, 0, batch->n, NULL);
}

/* ---- results ---- */

/* A value as the argument's type has it. */
static Datum
value_datum(Oid type, double v)
{
	return type == FLOAT4OID ? Float4GetDatum(ms_float4_narrow(v)) : Float8GetDatum(v);
}

static Datum
sum_datum(Oid type, double sum)
{
	float		narrow = (float) sum;

	if (type != FLOAT4OID)
		return Float8GetDatum(sum);
	if (isinf(narrow) && !isinf(sum))
		float_overflow_error();
	return Float4GetDatum(narrow);
}

/* {count, sum, squares}: the state of PostgreSQL's averages and variances */
static Datum
moments_datum(const MsValueStats *stats, bool squares)
{
	Datum		elems[3];

	elems[0] = Float8GetDatum((double) stats->n);
	elems[1] = Float8GetDatum(stats->sum);
	elems[2] = Float8GetDatum(squares && stats->n > 0 ? stats->squares : 0);
	return PointerGetDatum(construct_array(elems, 3, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/* The state of memseries.first and last, as their serialization function makes it. */
bytea *
ms_edge_image(int64 time, Datum value, bool isnull, int16 typlen, bool typbyval)
{
	MsEdgeHeader header;
	bytea	   *result;
	char	   *at;
	Size		size = VARHDRSZ + sizeof(header) + datumEstimateSpace(value, isnull, typbyval, typlen);

	memset(&header, 0, sizeof(header));
	header.ts = time;
	header.typlen = typlen;
	header.typbyval = typbyval;
	result = palloc(size);
	SET_VARSIZE(result, size);
	at = VARDATA(result);
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	datumSerialize(value, isnull, typbyval, typlen, &at);
	return result;
}

static Datum
edge_result(const MsAggOutput *out, const MsEdge *edge, bool *isnull)
{
	Datum		value = (Datum) 0;

	*isnull = edge->n == 0 || (edge->isnull && !out->partial);
	if (*isnull)
		return value;
	if (!edge->isnull)
		value = value_datum(out->type, edge->value);
	if (!out->partial)
		return value;
	return PointerGetDatum(ms_edge_image(edge->time, value, edge->isnull,
										 out->type == FLOAT4OID ? 4 : 8,
										 out->type == FLOAT4OID ? true : FLOAT8PASSBYVAL));
}

static Datum
counter_result(const MsAggOutput *out, MsCounterState *state, bool *isnull)
{
	double		result;

	if (state->points.n > 0)
		ms_points_count(&state->points, &state->counter);
	switch (out->kind)
	{
		case MS_AGG_INCREASE:
			*isnull = !ms_counter_increase(&state->counter, &result);
			break;
		case MS_AGG_RATE:
			*isnull = !ms_counter_rate(&state->counter, &result);
			break;
		default:
			*isnull = !ms_counter_delta(&state->counter, &result);
			break;
	}
	return Float8GetDatum(result);
}

static Datum
moments_result(const MsAggOutput *out, const MsValueStats *stats, bool *isnull)
{
	bool		samp = out->kind == MS_AGG_VAR_SAMP || out->kind == MS_AGG_STDDEV_SAMP;
	double		result;

	/* averages and variances of the same values share one final state above */
	if (out->partial)
		return moments_datum(stats, (out->acc->want & MS_WANT_SQUARES) != 0);
	*isnull = stats->n <= (samp ? 1 : 0);
	if (*isnull)
		return (Datum) 0;
	if (out->kind == MS_AGG_AVG)
		return Float8GetDatum(stats->sum / stats->n);
	result = Max(stats->squares, 0) / (samp ? stats->n - 1 : stats->n);
	if (isnan(stats->squares))
		result = stats->squares;
	if (out->kind == MS_AGG_STDDEV_POP || out->kind == MS_AGG_STDDEV_SAMP)
		result = sqrt(result);
	return Float8GetDatum(result);
}

/*
 * The result of an aggregate for a group, or its partial state.  Allocates in
 * CurrentMemoryContext.
 */
Datum
ms_agg_result(MsAggState *state, const MsAggOutput *out, char *group, bool *isnull)
{
	void	   *at = group + out->acc->offset;
	MsValueStats *stats = at;
	MsTimeSpan *span = at;
	MsBoolCounts *bools = at;

	(void) state;
	*isnull = false;
	switch (out->kind)
	{
		case MS_AGG_COUNT:
		case MS_AGG_COUNT_LABEL:
		case MS_AGG_COUNT_VALUE:
			return Int64GetDatum(*(int64 *) at);
		case MS_AGG_MIN_TIME:
			*isnull = span->n == 0;
			return TimestampTzGetDatum(span->min);
		case MS_AGG_MAX_TIME:
			*isnull = span->n == 0;
			return TimestampTzGetDatum(span->max);
		case MS_AGG_BOOL_AND:
			*isnull = bools->yes + bools->no == 0;
			return BoolGetDatum(bools->no == 0);
		case MS_AGG_BOOL_OR:
			*isnull = bools->yes + bools->no == 0;
			return BoolGetDatum(bools->yes > 0);
		case MS_AGG_SUM:
			*isnull = stats->n == 0;
			return *isnull ? (Datum) 0 : sum_datum(out->type, stats->sum);
		case MS_AGG_MIN:
			*isnull = stats->n == 0;
			return *isnull ? (Datum) 0 : value_datum(out->type, stats->min);
		case MS_AGG_MAX:
			*isnull = stats->n == 0;
			return *isnull ? (Datum) 0 : value_datum(out->type, stats->max);
		case MS_AGG_FIRST:
		case MS_AGG_LAST:
			return edge_result(out, at, isnull);
		case MS_AGG_INCREASE:
		case MS_AGG_RATE:
		case MS_AGG_DELTA:
			return counter_result(out, at, isnull);
		default:
			return moments_result(out, stats, isnull);
	}
}
