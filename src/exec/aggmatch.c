/*-------------------------------------------------------------------------
 *
 * aggmatch.c
 *	  Which keys, aggregates and conditions can be taken into the scan.
 *
 * The same questions are asked twice: by the planner, whether a query can be
 * aggregated inside the scan at all, and when a plan starts, to make of its
 * expressions what the scan works with.  So nothing of the answers needs to
 * travel in the plan.
 *
 * A key may be any expression of labels, or of the time if aggtime.c knows the
 * buckets of it over which the expression is constant.
 *
 * Aggregates of PostgreSQL are known by their OIDs, ours by name and by
 * belonging to the extension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/dependency.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "exec/agg.h"

#define SMALL_INTEGER	(1 << 20)	/* 2^33 of them fit a double */

/* ---- columns ---- */

/* What a binary-compatible cast is of. */
Node *
ms_agg_strip_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* A column of the relation that is not a system column; 0 if node is anything else. */
static AttrNumber
column_of(const MsAggRel *rel, Node *node)
{
	Var		   *var = (Var *) ms_agg_strip_relabel(node);

	if (var == NULL || !IsA(var, Var) || var->varno != (int) rel->relid ||
		var->varlevelsup != 0 || var->varattno <= 0)
		return 0;
	return var->varattno;
}

static bool
is_label(const MsAggRel *rel, AttrNumber att)
{
	return bms_is_member(att - FirstLowInvalidHeapAttributeNumber, rel->label_atts);
}

/*
 * Is this a value column?  A real one as double precision is the same to us,
 * since values are kept as doubles.
 */
bool
ms_agg_match_column(const MsAggRel *rel, Node *node, AttrNumber *att)
{
	node = ms_agg_strip_relabel(node);
	if (node != NULL && IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_FLOAT8_FLOAT4)
		node = (Node *) linitial(((FuncExpr *) node)->args);
	*att = column_of(rel, node);
	return *att != 0 && *att != rel->time_att && !is_label(rel, *att);
}

/* Are the columns used all of a kind, and is nothing there that must be evaluated elsewhere? */
static bool
uses_only(const MsAggRel *rel, Node *node, const Bitmapset *atts)
{
	Bitmapset  *used = NULL;
	bool		result;

	pull_varattnos(node, rel->relid, &used);
	result = bms_is_subset(used, atts) && !contain_volatile_functions(node) &&
		!contain_subplans(node);
	bms_free(used);
	return result;
}

/* Does it depend on labels alone, if on anything that varies? */
bool
ms_agg_is_of_labels(const MsAggRel *rel, Node *node)
{
	return uses_only(rel, node, rel->label_atts);
}

/* Does it depend on some label? */
bool
ms_agg_uses_labels(const MsAggRel *rel, Node *node)
{
	Bitmapset  *used = NULL;
	bool		result;

	pull_varattnos(node, rel->relid, &used);
	result = bms_overlap(used, rel->label_atts);
	bms_free(used);
	return result;
}

/* Does it depend on the time alone, if on anything that varies? */
bool
ms_agg_is_of_time(const MsAggRel *rel, Node *node)
{
	return uses_only(rel, node,
					 bms_make_singleton(rel->time_att - FirstLowInvalidHeapAttributeNumber));
}

/* Can evaluating it have no other effect than its result, not even an error? */
bool
ms_agg_is_safe(Node *node)
{
	return !contain_leaked_vars(node);
}

/* ---- keys ---- */

/*
 * What does a key depend on?  Adds the bucket functions in it to *buckets
 * (MsBucketFn, in CurrentMemoryContext).
 */
MsKeyKind
ms_agg_match_key(const MsAggRel *rel, Expr *expr, List **buckets)
{
	if (uses_only(rel, (Node *) expr, rel->label_atts))
		return MS_KEY_LABEL;
	if (!ms_agg_is_of_time(rel, (Node *) expr))
		return MS_KEY_NONE;
	return ms_agg_match_buckets(rel, expr, buckets) ? MS_KEY_TIME : MS_KEY_NONE;
}

/* ---- conditions ---- */

/* "value op constant" or the reverse */
static bool
match_compare(const MsAggRel *rel, OpExpr *op, MsPredMatch *out)
{
	Oid			opfamily = lookup_type_cache(FLOAT8OID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	Oid			opno = op->opno;
	Node	   *operand;
	bool		flip;
	bool		negated = false;

	if (list_length(op->args) != 2)
		return false;
	flip = !ms_agg_match_column(rel, linitial(op->args), &out->att);
	if (flip && !ms_agg_match_column(rel, lsecond(op->args), &out->att))
		return false;
	operand = ms_agg_strip_relabel(flip ? linitial(op->args) : lsecond(op->args));
	if (!IsA(operand, Const) && !IsA(operand, Param))
		return false;
	if (exprType(operand) != FLOAT8OID && exprType(operand) != FLOAT4OID)
		return false;
	if (!op_in_opfamily(opno, opfamily))
	{
		/* btree knows no <>, but what it is the negator of */
		opno = get_negator(opno);
		if (!OidIsValid(opno) || !op_in_opfamily(opno, opfamily))
			return false;
		negated = true;
	}
	out->op = get_op_opfamily_strategy(opno, opfamily);
	if (negated)
	{
		if (out->op != BTEqualStrategyNumber)
			return false;
		out->op = MS_OP_NOT_EQUAL;
	}
	else if (flip && out->op != BTEqualStrategyNumber)
		out->op = BTMaxStrategyNumber + 1 - out->op;
	out->operand = (Expr *) operand;
	return true;
}

static bool
match_nulltest(const MsAggRel *rel, NullTest *test, MsPredMatch *out)
{
	if (test->argisrow || !ms_agg_match_column(rel, (Node *) test->arg, &out->att))
		return false;
	out->is_null = test->nulltesttype == IS_NULL;
	return true;
}

/* "time = ANY (array)" */
static bool
match_among(const MsAggRel *rel, ScalarArrayOpExpr *among, MsPredMatch *out)
{
	Var		   *var = (Var *) ms_agg_strip_relabel(linitial(among->args));

	out->operand = lsecond(among->args);
	return among->useOr && get_opcode(among->opno) == F_TIMESTAMPTZ_EQ &&
		IsA(var, Var) && var->varno == (int) rel->relid && var->varattno == rel->time_att &&
		uses_only(rel, (Node *) out->operand, NULL);
}

/* Alternatives of conditions that are met for a block at a time, or for a series. */
static bool
match_or(const MsAggRel *rel, Node *node)
{
	ListCell   *arm;

	if (!is_orclause(node))
		return false;
	foreach(arm, ((BoolExpr *) node)->args)
	{
		ListCell   *lc;

		foreach(lc, make_ands_implicit(lfirst(arm)))
		{
			MsPredMatch match;
			MsPredKind	kind = ms_agg_match_pred(rel, lfirst(lc), &match);

			if (kind == MS_PRED_NONE || kind > MS_PRED_OR)
				return false;
		}
	}
	return true;
}

/* Are all columns ordinary ones? */
static bool
uses_user_columns(const MsAggRel *rel, Node *node)
{
	Bitmapset  *used = NULL;
	bool		result;

	pull_varattnos(node, rel->relid, &used);
	result = bms_is_empty(used) ||
		bms_next_member(used, -1) > 0 - FirstLowInvalidHeapAttributeNumber;
	bms_free(used);
	return result;
}

/* How can this condition be met?  Label conditions only where they cannot fail. */
MsPredKind
ms_agg_match_pred(const MsAggRel *rel, Expr *clause, MsPredMatch *out)
{
	Node	   *node = (Node *) clause;

	memset(out, 0, sizeof(*out));
	if (contain_volatile_functions(node) || contain_subplans(node) ||
		!uses_user_columns(rel, node))
		return out->kind;
	if (IsA(node, OpExpr) && match_compare(rel, (OpExpr *) node, out))
		out->kind = MS_PRED_COMPARE;
	else if (IsA(node, NullTest) && match_nulltest(rel, (NullTest *) node, out))
		out->kind = MS_PRED_NULLTEST;
	else if (ms_timerange_takes(clause, rel->relid, rel->time_att))
		out->kind = MS_PRED_TIME;
	else if (uses_only(rel, node, rel->label_atts) && ms_agg_is_safe(node))
		out->kind = MS_PRED_LABEL;
	else if (IsA(node, ScalarArrayOpExpr) && match_among(rel, (ScalarArrayOpExpr *) node, out))
		out->kind = MS_PRED_AMONG;
	else if (match_or(rel, node))
		out->kind = MS_PRED_OR;
	else if (ms_calc_takes(rel, clause))
		out->kind = MS_PRED_CALC;
	else
		out->kind = ms_agg_is_of_time(rel, node) ? MS_PRED_WHEN : MS_PRED_ROW;
	return out->kind;
}

/* Can a condition be met for a block at a time? */
bool
ms_agg_match_block(const MsAggRel *rel, Expr *clause)
{
	MsPredMatch match;

	switch (ms_agg_match_pred(rel, clause, &match))
	{
		case MS_PRED_COMPARE:
		case MS_PRED_NULLTEST:
		case MS_PRED_AMONG:
		case MS_PRED_OR:
			return true;
		default:
			return false;
	}
}

/* ---- aggregates ---- */

/* One of the extension's aggregates? */
static bool
match_own(Oid aggfnoid, MsAggKind *kind)
{
	static const struct
	{
		const char *name;
		MsAggKind	kind;
	}			own[] = {
		{"first", MS_AGG_FIRST},
		{"last", MS_AGG_LAST},
		{"increase", MS_AGG_INCREASE},
		{"rate", MS_AGG_RATE},
		{"delta", MS_AGG_DELTA},
	};
	char	   *name = get_func_name(aggfnoid);
	Oid			extension;

	for (int i = 0; name != NULL && i < (int) lengthof(own); i++)
	{
		if (strcmp(name, own[i].name) != 0)
			continue;
		*kind = own[i].kind;
		extension = getExtensionOfObject(ProcedureRelationId, aggfnoid);
		return OidIsValid(extension) && extension == get_extension_oid("memseries", true);
	}
	return false;
}

static bool
match_kind(Oid aggfnoid, MsAggKind *kind)
{
	switch (aggfnoid)
	{
		case F_COUNT_:
			*kind = MS_AGG_COUNT;
			return true;
		case F_COUNT_ANY:
			*kind = MS_AGG_COUNT_VALUE; /* or whatever its argument is */
			return true;
		case F_SUM_FLOAT4:
		case F_SUM_FLOAT8:
			*kind = MS_AGG_SUM;
			return true;
		case F_AVG_FLOAT4:
		case F_AVG_FLOAT8:
			*kind = MS_AGG_AVG;
			return true;
		case F_SUM_INT4:
			*kind = MS_AGG_SUM_INT;
			return true;
		case F_AVG_INT4:
			*kind = MS_AGG_AVG_INT;
			return true;
		case F_MIN_FLOAT4:
		case F_MIN_FLOAT8:
			*kind = MS_AGG_MIN;
			return true;
		case F_MAX_FLOAT4:
		case F_MAX_FLOAT8:
			*kind = MS_AGG_MAX;
			return true;
		case F_MIN_TIMESTAMPTZ:
			*kind = MS_AGG_MIN_TIME;
			return true;
		case F_MAX_TIMESTAMPTZ:
			*kind = MS_AGG_MAX_TIME;
			return true;
		case F_VAR_POP_FLOAT4:
		case F_VAR_POP_FLOAT8:
			*kind = MS_AGG_VAR_POP;
			return true;
		case F_VARIANCE_FLOAT4:
		case F_VARIANCE_FLOAT8:
		case F_VAR_SAMP_FLOAT4:
		case F_VAR_SAMP_FLOAT8:
			*kind = MS_AGG_VAR_SAMP;
			return true;
		case F_STDDEV_POP_FLOAT4:
		case F_STDDEV_POP_FLOAT8:
			*kind = MS_AGG_STDDEV_POP;
			return true;
		case F_STDDEV_FLOAT4:
		case F_STDDEV_FLOAT8:
		case F_STDDEV_SAMP_FLOAT4:
		case F_STDDEV_SAMP_FLOAT8:
			*kind = MS_AGG_STDDEV_SAMP;
			return true;
		case F_BOOL_AND:
		case F_EVERY:
			*kind = MS_AGG_BOOL_AND;
			return true;
		case F_BOOL_OR:
			*kind = MS_AGG_BOOL_OR;
			return true;
		default:
			return match_own(aggfnoid, kind);
	}
}

/* A value column, or an expression of some. */
static bool
match_value(const MsAggRel *rel, Expr *arg, MsAggMatch *out)
{
	if (ms_agg_match_column(rel, (Node *) arg, &out->att))
		return true;
	out->att = 0;
	out->arg = arg;
	return ms_calc_takes(rel, arg);
}

/*
 * An integer whose sums are exact as doubles: what is counted by CASE WHEN ... THEN 1 ELSE 0 END, or
 * by casting a condition.
 */
static bool
is_small_integer(Node *node)
{
	ListCell   *lc;

	if (IsA(node, FuncExpr))
		return ((FuncExpr *) node)->funcid == F_INT4_BOOL;
	if (IsA(node, Const))
		return ((Const *) node)->constisnull ||
			(((Const *) node)->consttype == INT4OID &&
			 abs(DatumGetInt32(((Const *) node)->constvalue) / 2) < SMALL_INTEGER / 2);
	if (!IsA(node, CaseExpr))
		return false;
	foreach(lc, ((CaseExpr *) node)->args)
	{
		if (!is_small_integer((Node *) lfirst_node(CaseWhen, lc)->result))
			return false;
	}
	return ((CaseExpr *) node)->defresult != NULL &&
		is_small_integer((Node *) ((CaseExpr *) node)->defresult);
}

/* count(anything) */
static bool
match_count(const MsAggRel *rel, Expr *arg, MsAggMatch *out)
{
	if (ms_agg_match_column(rel, (Node *) arg, &out->att))
		return true;
	if (column_of(rel, (Node *) arg) == rel->time_att)
	{
		/* it is never NULL */
		out->kind = MS_AGG_COUNT;
		return true;
	}
	if (!ms_agg_is_of_labels(rel, (Node *) arg) || !ms_agg_is_safe((Node *) arg))
		return match_value(rel, arg, out);
	out->kind = MS_AGG_COUNT_LABEL;
	out->arg = arg;
	return true;
}

static bool
match_bool(const MsAggRel *rel, Expr *arg, MsAggMatch *out)
{
	MsPredMatch pred;

	out->arg = arg;
	switch (ms_agg_match_pred(rel, arg, &pred))
	{
		case MS_PRED_COMPARE:
		case MS_PRED_NULLTEST:
		case MS_PRED_LABEL:
			return true;
		default:
			return false;
	}
}

static bool
match_args(const MsAggRel *rel, List *args, MsAggMatch *out)
{
	Expr	   *first = args ? linitial_node(TargetEntry, args)->expr : NULL;

	switch (out->kind)
	{
		case MS_AGG_COUNT:
			return args == NIL;
		case MS_AGG_COUNT_VALUE:
			return match_count(rel, first, out);
		case MS_AGG_MIN_TIME:
		case MS_AGG_MAX_TIME:
			return column_of(rel, (Node *) first) == rel->time_att;
		case MS_AGG_BOOL_AND:
		case MS_AGG_BOOL_OR:
			return match_bool(rel, first, out);
		case MS_AGG_FIRST:
		case MS_AGG_LAST:

			/*
			 * their result has the type of the argument: take it as it is
			 * stored
			 */
			return column_of(rel, (Node *) first) != 0 &&
				(exprType((Node *) first) == FLOAT8OID || exprType((Node *) first) == FLOAT4OID) &&
				ms_agg_match_column(rel, (Node *) first, &out->att) &&
				column_of(rel, (Node *) lsecond_node(TargetEntry, args)->expr) == rel->time_att;
		case MS_AGG_INCREASE:
		case MS_AGG_RATE:
		case MS_AGG_DELTA:
			return ms_agg_match_column(rel, (Node *) first, &out->att) &&
				column_of(rel, (Node *) lsecond_node(TargetEntry, args)->expr) == rel->time_att;
		case MS_AGG_SUM_INT:
		case MS_AGG_AVG_INT:
			return is_small_integer((Node *) first) && match_value(rel, first, out);
		default:
			return match_value(rel, first, out);
	}
}

/* count(DISTINCT label), or an expression of labels */
static bool
match_distinct(const MsAggRel *rel, const Aggref *aggref, MsAggMatch *out)
{
	SortGroupClause *sgc = linitial(aggref->aggdistinct);
	Expr	   *arg = linitial_node(TargetEntry, aggref->args)->expr;

	if (aggref->aggfnoid != F_COUNT_ANY || list_length(aggref->aggdistinct) != 1 || !sgc->hashable)
		return false;
	out->kind = MS_AGG_COUNT_DISTINCT;
	out->arg = arg;
	out->eqop = sgc->eqop;
	return ms_agg_is_of_labels(rel, (Node *) arg) && ms_agg_is_safe((Node *) arg);
}

/* Can this aggregate be computed inside the scan? */
bool
ms_agg_match(const MsAggRel *rel, const Aggref *aggref, MsAggMatch *out)
{
	ListCell   *lc;

	memset(out, 0, sizeof(*out));
	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggorder != NIL ||
		aggref->agglevelsup != 0 || aggref->aggvariadic)
		return false;
	if (aggref->aggdistinct != NIL ? !match_distinct(rel, aggref, out) :
		!match_kind(aggref->aggfnoid, &out->kind) || !match_args(rel, aggref->args, out))
		return false;

	out->filter = make_ands_implicit((Expr *) aggref->aggfilter);
	foreach(lc, out->filter)
	{
		MsPredMatch pred;

		if (ms_agg_match_pred(rel, lfirst(lc), &pred) == MS_PRED_NONE)
			return false;
	}
	return true;
}
