/*-------------------------------------------------------------------------
 *
 * aggregates.c
 *	  The aggregates first(value, ts) and last(value, ts).
 *
 * Their state is the value at the edge so far and its time.  Rows without a
 * time are ignored; a NULL value is a value like any other, so the last value
 * of a series whose newest row has NULL is NULL.  Among rows of equal time the
 * one that came first stays, which with parallel workers may be any.
 *
 * For parallel plans states are combined and sent between processes, with
 * datumSerialize: it needs no I/O functions of the type and keeps every bit.
 * Nothing but another process of the same query ever reads those bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "exec/edge.h"

PG_FUNCTION_INFO_V1(ms_first_step);
PG_FUNCTION_INFO_V1(ms_last_step);
PG_FUNCTION_INFO_V1(ms_first_combine);
PG_FUNCTION_INFO_V1(ms_last_combine);
PG_FUNCTION_INFO_V1(ms_edge_serialize);
PG_FUNCTION_INFO_V1(ms_edge_deserialize);
PG_FUNCTION_INFO_V1(ms_edge_final);

/* Lives in the aggregate's context, as does the value if it is by reference. */
typedef struct Edge
{
	TimestampTz ts;
	Datum		value;
	int16		typlen;
	bool		typbyval;
	bool		isnull;
} Edge;

static MemoryContext
agg_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

/*
 * Puts a copy of the value into the state, freeing the one it replaces.  Out
 * of line values are fetched: the state may outlive what a toast pointer needs.
 */
static void
edge_set(Edge *edge, MemoryContext context, Datum value, bool isnull, TimestampTz ts)
{
	Datum		old = edge->value;
	bool		had = !edge->isnull;

	if (isnull)
		edge->value = (Datum) 0;
	else if (edge->typbyval)
		edge->value = value;
	else
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		if (edge->typlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(value)) &&
			!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
			edge->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		else
			edge->value = datumCopy(value, edge->typbyval, edge->typlen);
		MemoryContextSwitchTo(caller);
	}
	edge->isnull = isnull;
	edge->ts = ts;
	if (had && !edge->typbyval)
		pfree(DatumGetPointer(old));
}

static Edge *
edge_new(MemoryContext context, int16 typlen, bool typbyval)
{
	Edge	   *edge = MemoryContextAllocZero(context, sizeof(Edge));

	edge->typlen = typlen;
	edge->typbyval = typbyval;
	edge->isnull = true;
	return edge;
}

/* Does a row at `ts` take the place of one at `kept`? */
static inline bool
replaces(bool last, TimestampTz ts, TimestampTz kept)
{
	return last ? ts > kept : ts < kept;
}

static Datum
step(FunctionCallInfo fcinfo, bool last)
{
	MemoryContext context = agg_context(fcinfo);
	Edge	   *edge = PG_ARGISNULL(0) ? NULL : (Edge *) PG_GETARG_POINTER(0);
	TimestampTz ts;

	if (PG_ARGISNULL(2))
	{
		if (edge == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(edge);
	}
	ts = PG_GETARG_TIMESTAMPTZ(2);

	if (edge == NULL)
	{
		int16		typlen;
		bool		typbyval;

		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 1), &typlen, &typbyval);
		edge = edge_new(context, typlen, typbyval);
		edge_set(edge, context, PG_GETARG_DATUM(1), PG_ARGISNULL(1), ts);
	}
	else if (replaces(last, ts, edge->ts))
		edge_set(edge, context, PG_GETARG_DATUM(1), PG_ARGISNULL(1), ts);
	PG_RETURN_POINTER(edge);
}

/* (state, value, ts) -> state */
Datum
ms_first_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, false);
}

/* (state, value, ts) -> state */
Datum
ms_last_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, true);
}

static Datum
combine(FunctionCallInfo fcinfo, bool last)
{
	MemoryContext context = agg_context(fcinfo);
	Edge	   *into = PG_ARGISNULL(0) ? NULL : (Edge *) PG_GETARG_POINTER(0);
	Edge	   *from = PG_ARGISNULL(1) ? NULL : (Edge *) PG_GETARG_POINTER(1);

	if (from != NULL && into == NULL)
	{
		into = edge_new(context, from->typlen, from->typbyval);
		edge_set(into, context, from->value, from->isnull, from->ts);
	}
	else if (from != NULL && replaces(last, from->ts, into->ts))
		edge_set(into, context, from->value, from->isnull, from->ts);

	if (into == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(into);
}

/* (state, state) -> state */
Datum
ms_first_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, false);
}

/* (state, state) -> state */
Datum
ms_last_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, true);
}

/* state -> bytea; strict */
Datum
ms_edge_serialize(PG_FUNCTION_ARGS)
{
	Edge	   *edge = (Edge *) PG_GETARG_POINTER(0);

	(void) agg_context(fcinfo);
	PG_RETURN_BYTEA_P(ms_edge_image(edge->ts, edge->value, edge->isnull,
									edge->typlen, edge->typbyval));
}

/* (bytea, internal) -> state; strict */
Datum
ms_edge_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	char	   *at = VARDATA_ANY(bytes);
	MsEdgeHeader header;
	Edge	   *edge;

	(void) agg_context(fcinfo);
	memcpy(&header, at, sizeof(header));
	at += sizeof(header);
	edge = edge_new(CurrentMemoryContext, header.typlen, header.typbyval);
	edge->ts = header.ts;
	edge->value = datumRestore(&at, &edge->isnull);
	PG_RETURN_POINTER(edge);
}

/* (state, value, ts) -> value; the last two only name the type */
Datum
ms_edge_final(PG_FUNCTION_ARGS)
{
	Edge	   *edge = PG_ARGISNULL(0) ? NULL : (Edge *) PG_GETARG_POINTER(0);

	if (edge == NULL || edge->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(edge->value);
}
