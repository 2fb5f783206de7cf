/*-------------------------------------------------------------------------
 *
 * aggresult.c
 *	  From what is kept for a group to PostgreSQL's results, or to the partial
 *	  states that its own final aggregation takes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/numeric.h"

#include "exec/agg.h"

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

/* As PostgreSQL has the average of integers; its state is {count, sum}. */
static Datum
integer_average(const MsAggOutput *out, const MsValueStats *stats, bool *isnull)
{
	Datum		elems[2];

	elems[0] = Int64GetDatum(stats->n);
	elems[1] = Int64GetDatum((int64) stats->sum);
	if (out->partial)
		return PointerGetDatum(construct_array(elems, 2, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
											   TYPALIGN_DOUBLE));
	*isnull = stats->n == 0;
	if (*isnull)
		return (Datum) 0;
	return DirectFunctionCall2(numeric_div, NumericGetDatum(int64_to_numeric((int64) stats->sum)),
							   NumericGetDatum(int64_to_numeric(stats->n)));
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
ms_agg_result(const MsAggOutput *out, char *group, bool *isnull)
{
	void	   *at = group + out->acc->offset;
	MsValueStats *stats = at;
	MsTimeSpan *span = at;
	MsBoolCounts *bools = at;

	*isnull = false;
	switch (out->kind)
	{
		case MS_AGG_COUNT:
		case MS_AGG_COUNT_LABEL:
		case MS_AGG_COUNT_VALUE:
			return Int64GetDatum(*(int64 *) at);
		case MS_AGG_COUNT_DISTINCT:
			return Int64GetDatum(ms_distinct_count(at));
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
		case MS_AGG_SUM_INT:
			*isnull = stats->n == 0;
			return Int64GetDatum((int64) stats->sum);
		case MS_AGG_AVG_INT:
			return integer_average(out, stats, isnull);
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
