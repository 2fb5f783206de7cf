/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  The aggregates increase(value, ts), rate and delta.
 *
 * What they compute is in exec/counter.c.  Rows may come in any order, so the
 * state keeps all samples, 16 bytes each, and sorts them at the end.  Inside the
 * custom scan, where the samples of a series come in order, nothing is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "exec/counter.h"

PG_FUNCTION_INFO_V1(ms_counter_step);
PG_FUNCTION_INFO_V1(ms_counter_combine);
PG_FUNCTION_INFO_V1(ms_counter_serialize);
PG_FUNCTION_INFO_V1(ms_counter_deserialize);
PG_FUNCTION_INFO_V1(ms_increase_final);
PG_FUNCTION_INFO_V1(ms_rate_final);
PG_FUNCTION_INFO_V1(ms_delta_final);

/* A serialised state is the samples as they are in memory, read by a process of the same query. */

static MemoryContext
agg_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

/* The state, made if there is none. */
static MsPoints *
state_of(FunctionCallInfo fcinfo, MemoryContext context)
{
	if (PG_ARGISNULL(0))
		return MemoryContextAllocZero(context, sizeof(MsPoints));
	return (MsPoints *) PG_GETARG_POINTER(0);
}

/* (state, value, ts) -> state */
Datum
ms_counter_step(PG_FUNCTION_ARGS)
{
	MemoryContext context = agg_context(fcinfo);
	MsPoints   *points = state_of(fcinfo, context);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		double		value = PG_GETARG_FLOAT8(1);
		int64		time = PG_GETARG_TIMESTAMPTZ(2);

		ms_points_add(points, context, &time, &value, 1);
	}
	PG_RETURN_POINTER(points);
}

static void
add_points(MsPoints *into, MemoryContext context, const MsPoint *points, int64 n)
{
	for (int64 i = 0; i < n; i++)
		ms_points_add(into, context, &points[i].time, &points[i].value, 1);
}

/* (state, state) -> state */
Datum
ms_counter_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = agg_context(fcinfo);
	MsPoints   *points = state_of(fcinfo, context);

	if (!PG_ARGISNULL(1))
	{
		MsPoints   *from = (MsPoints *) PG_GETARG_POINTER(1);

		add_points(points, context, from->points, from->n);
	}
	PG_RETURN_POINTER(points);
}

/* state -> bytea; strict */
Datum
ms_counter_serialize(PG_FUNCTION_ARGS)
{
	MsPoints   *points = (MsPoints *) PG_GETARG_POINTER(0);
	Size		size = sizeof(MsPoint) * (Size) points->n;
	bytea	   *result;

	(void) agg_context(fcinfo);
	if (size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many samples in one group of a parallel aggregate"),
				 errhint("Set max_parallel_workers_per_gather to 0.")));
	result = palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	if (size > 0)
		memcpy(VARDATA(result), points->points, size);
	PG_RETURN_BYTEA_P(result);
}

/* (bytea, internal) -> state; strict */
Datum
ms_counter_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	MsPoints   *points = palloc0(sizeof(MsPoints));
	int64		n = VARSIZE_ANY_EXHDR(bytes) / sizeof(MsPoint);
	const char *at = VARDATA_ANY(bytes);

	(void) agg_context(fcinfo);
	for (int64 i = 0; i < n; i++)
	{
		MsPoint		point;

		memcpy(&point, at + i * sizeof(point), sizeof(point));
		ms_points_add(points, CurrentMemoryContext, &point.time, &point.value, 1);
	}
	PG_RETURN_POINTER(points);
}

/* Sorts the samples; that may be done again. */
static void
count_state(FunctionCallInfo fcinfo, MsCounter *counter)
{
	(void) agg_context(fcinfo);
	memset(counter, 0, sizeof(*counter));
	if (!PG_ARGISNULL(0))
		ms_points_count((MsPoints *) PG_GETARG_POINTER(0), counter);
}

/* state -> float8 */
Datum
ms_increase_final(PG_FUNCTION_ARGS)
{
	MsCounter	counter;
	double		result;

	count_state(fcinfo, &counter);
	if (!ms_counter_increase(&counter, &result))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(result);
}

/* state -> float8 */
Datum
ms_rate_final(PG_FUNCTION_ARGS)
{
	MsCounter	counter;
	double		result;

	count_state(fcinfo, &counter);
	if (!ms_counter_rate(&counter, &result))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(result);
}

/* state -> float8 */
Datum
ms_delta_final(PG_FUNCTION_ARGS)
{
	MsCounter	counter;
	double		result;

	count_state(fcinfo, &counter);
	if (!ms_counter_delta(&counter, &result))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(result);
}
