/*-------------------------------------------------------------------------
 *
 * timerange.c
 *	  Conditions on the time become the range that is read.
 *
 * A bound is "time op expression" or the reverse, with an operator of the
 * time's btree family, so also one that compares it with a timestamp or a
 * date, and an expression free of the relation's columns.  All bounds of a
 * scan are computed when it (re)starts and intersect to [lo, hi) in
 * microseconds, which the cursor keeps to exactly: no row needs to be tested
 * against them again.
 *
 * Exactness holds because times stored are finite and whole microseconds:
 * "time > x" is "time >= x + 1", and an infinite or overflowing x leaves
 * nothing or everything.  A timestamp or date is converted by the very
 * function its comparison operator uses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "exec/scan.h"

struct MsTimeBound
{
	int			strategy;		/* of "time op expression" */
	Oid			type;			/* of the expression */
	ExprState  *expr;
};

/* Is this the time?  Its type may be a domain. */
static bool
is_time_column(Node *node, Index relid, AttrNumber time_att)
{
	Var		   *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	var = (Var *) node;
	return IsA(node, Var) && var->varno == (int) relid &&
		var->varattno == time_att && var->varlevelsup == 0;
}

static bool
is_free_of(Node *node, Index relid)
{
	Bitmapset  *used = NULL;
	bool		result;

	pull_varattnos(node, relid, &used);
	result = bms_is_empty(used);
	bms_free(used);
	return result;
}

static int
flipped(int strategy)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			return BTGreaterStrategyNumber;
		case BTLessEqualStrategyNumber:
			return BTGreaterEqualStrategyNumber;
		case BTGreaterEqualStrategyNumber:
			return BTLessEqualStrategyNumber;
		case BTGreaterStrategyNumber:
			return BTLessStrategyNumber;
		default:
			return strategy;
	}
}

/*
 * Takes a clause apart: which strategy, which operand.  False if it is no
 * bound of the time, volatility apart.  Works on clauses before and after planning.
 */
bool
ms_timerange_match(Expr *clause, Index relid, AttrNumber time_att, int *strategy, Expr **operand)
{
	OpExpr	   *op = (OpExpr *) clause;
	Oid			opfamily = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	Node	   *left;
	Node	   *right;
	bool		flip;
	Oid			type;
	Oid			lefttype;
	Oid			righttype;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2 ||
		!op_in_opfamily(op->opno, opfamily))
		return false;

	left = (Node *) linitial(op->args);
	right = (Node *) lsecond(op->args);
	flip = !is_time_column(left, relid, time_att);
	if (flip && !is_time_column(right, relid, time_att))
		return false;
	*operand = (Expr *) (flip ? left : right);
	if (!is_free_of((Node *) *operand, relid))
		return false;

	get_op_opfamily_properties(op->opno, opfamily, false, strategy, &lefttype, &righttype);
	type = flip ? lefttype : righttype;
	if ((flip ? righttype : lefttype) != TIMESTAMPTZOID ||
		(type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID) ||
		exprType((Node *) *operand) != type)
		return false;
	if (flip)
		*strategy = flipped(*strategy);
	return true;
}

/* Is this clause a bound of the time, volatility apart? */
bool
ms_timerange_takes(Expr *clause, Index relid, AttrNumber time_att)
{
	int			strategy;
	Expr	   *operand;

	return ms_timerange_match(clause, relid, time_att, &strategy, &operand);
}

/*
 * Compiles the bounds of a plan: a list of MsTimeBound, in
 * CurrentMemoryContext.
 */
List *
ms_timerange_init(List *clauses, Index relid, AttrNumber time_att, PlanState *parent)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		MsTimeBound *bound = palloc(sizeof(MsTimeBound));
		Expr	   *operand;

		if (!ms_timerange_match((Expr *) lfirst(lc), relid, time_att, &bound->strategy, &operand))
			elog(ERROR, "unexpected time condition in a %s plan", MS_SCAN_NAME);
		bound->type = exprType((Node *) operand);
		bound->expr = ExecInitExpr(operand, parent);
		result = lappend(result, bound);
	}
	return result;
}

/* An operand as a time; out of its range means the infinity on that side. */
static int64
bound_time(Oid type, Datum value)
{
	int			overflow = 0;
	TimestampTz result;

	switch (type)
	{
		case TIMESTAMPTZOID:
			return DatumGetTimestampTz(value);
		case TIMESTAMPOID:
			result = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
			break;
		default:
			Assert(type == DATEOID);
			result = date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
			break;
	}
	if (overflow > 0)
		return DT_NOEND;
	if (overflow < 0)
		return DT_NOBEGIN;
	return result;
}

static void
intersect(int strategy, int64 t, int64 *lo, int64 *hi)
{
	int64		after = t == PG_INT64_MAX ? t : t + 1;

	switch (strategy)
	{
		case BTLessStrategyNumber:
			*hi = Min(*hi, t);
			break;
		case BTLessEqualStrategyNumber:
			*hi = Min(*hi, after);
			break;
		case BTEqualStrategyNumber:
			*lo = Max(*lo, t);
			*hi = Min(*hi, after);
			break;
		case BTGreaterEqualStrategyNumber:
			*lo = Max(*lo, t);
			break;
		case BTGreaterStrategyNumber:
			*lo = Max(*lo, after);
			break;
		default:
			elog(ERROR, "unexpected btree strategy %d", strategy);
	}
}

/*
 * Computes the range [lo, hi) that the bounds leave.  False if it is empty,
 * as it is when one of them is NULL.  May raise what the bounds' expressions
 * raise.
 */
bool
ms_timerange_eval(List *bounds, ExprContext *econtext, int64 *lo, int64 *hi)
{
	ListCell   *lc;

	*lo = PG_INT64_MIN;
	*hi = PG_INT64_MAX;
	foreach(lc, bounds)
	{
		MsTimeBound *bound = (MsTimeBound *) lfirst(lc);
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(bound->expr, econtext, &isnull);

		if (isnull)
			return false;
		intersect(bound->strategy, bound_time(bound->type, value), lo, hi);
	}
	return *lo < *hi;
}
