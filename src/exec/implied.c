/*-------------------------------------------------------------------------
 *
 * implied.c
 *	  What conditions that are asked row by row say of labels or the time.
 *
 * Two forms of condition say more than they seem to:
 *
 *	rows	"(host, ts) > ('web1', t)", by which people go on where a page ended:
 *			then host >= 'web1'; and ts >= t where the time comes first.
 *	or		"host = 'web1' AND v > 5 OR host = 'web2' AND v > 7", or a list of
 *			rows, "(host, ts) IN (('web1', t), ...)": then one of the arms' own
 *			conditions on labels holds, and the time is not before the earliest
 *			of the arms' bounds, nor after the latest.
 *
 * What follows is asked beside the condition itself, which stays where it is: so
 * it needs to be right in one direction only.  Nothing is concluded of what may
 * raise an error, as it would be asked of rows that the condition does not ask.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "exec/scan.h"

/* "left op right" with an operator of the family; NULL if there is none. */
static Expr *
comparison(Oid opfamily, int strategy, Expr *left, Expr *right, Oid collation)
{
	Oid			op = get_opfamily_member(opfamily, exprType((Node *) left),
										 exprType((Node *) right), strategy);
	OpExpr	   *result;

	if (!OidIsValid(op))
		return NULL;
	result = (OpExpr *) make_opclause(op, BOOLOID, false, left, right, InvalidOid, collation);
	set_opfuncid(result);
	return (Expr *) result;
}

/* What a comparison of rows says of their first columns. */
static Expr *
of_rows(RowCompareExpr *rows)
{
	Oid			opfamily = linitial_oid(rows->opfamilies);
	int			strategy = get_op_opfamily_strategy(linitial_oid(rows->opnos), opfamily);

	if (strategy == BTLessStrategyNumber)
		strategy = BTLessEqualStrategyNumber;
	else if (strategy == BTGreaterStrategyNumber)
		strategy = BTGreaterEqualStrategyNumber;
	return comparison(opfamily, strategy, linitial(rows->largs), linitial(rows->rargs),
					  linitial_oid(rows->inputcollids));
}

static List *
conjuncts(Node *arm)
{
	return is_andclause(arm) ? ((BoolExpr *) arm)->args : list_make1(arm);
}

/* That the labels meet what one of the arms demands of them; NULL if some arm demands nothing. */
static Expr *
of_labels(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, List *arms)
{
	List	   *result = NIL;
	ListCell   *arm;

	foreach(arm, arms)
	{
		List	   *of_arm = NIL;
		ListCell   *lc;

		foreach(lc, conjuncts(lfirst(arm)))
		{
			if (ms_is_label_condition(root, rel, prel, lfirst(lc)) &&
				!contain_leaked_vars(lfirst(lc)))
				of_arm = lappend(of_arm, lfirst(lc));
		}
		if (of_arm == NIL)
			return NULL;
		if (result == NIL || !equal(llast(result), make_ands_explicit(of_arm)))
			result = lappend(result, make_ands_explicit(of_arm));
	}
	return list_length(result) > 1 ? make_orclause(result) : linitial(result);
}

/* An arm's bound of the time on one side, of the time's own type; NULL if there is none. */
static Expr *
bound_of_arm(RelOptInfo *rel, const MsPlanRel *prel, Node *arm, int strategy)
{
	ListCell   *lc;

	foreach(lc, conjuncts(arm))
	{
		int			has;
		Expr	   *bound;

		if (ms_timerange_match(lfirst(lc), rel->relid, prel->time_att, &has, &bound) &&
			exprType((Node *) bound) == TIMESTAMPTZOID &&
			(has == strategy || has == BTEqualStrategyNumber ||
			 (has == BTLessStrategyNumber && strategy == BTLessEqualStrategyNumber) ||
			 (has == BTGreaterStrategyNumber && strategy == BTGreaterEqualStrategyNumber)))
			return bound;
	}
	return NULL;
}

/*
 * That the time is in the range of all arms, on one side; NULL if some arm has no bound there.
 * LEAST and GREATEST ignore NULLs, and an arm whose bound is NULL is never true.
 */
static Expr *
of_time(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, List *arms, int strategy)
{
	TypeCacheEntry *type = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY);
	MinMaxExpr *outermost = makeNode(MinMaxExpr);
	Var		   *var = makeVar(rel->relid, prel->time_att, TIMESTAMPTZOID, -1, InvalidOid, 0);
	ListCell   *arm;

	foreach(arm, arms)
	{
		Expr	   *bound = bound_of_arm(rel, prel, lfirst(arm), strategy);

		if (bound == NULL)
			return NULL;
		outermost->args = lappend(outermost->args, bound);
	}
	outermost->op = strategy == BTGreaterEqualStrategyNumber ? IS_LEAST : IS_GREATEST;
	outermost->minmaxtype = TIMESTAMPTZOID;
	outermost->location = -1;
	return comparison(type->btree_opf, strategy, (Expr *) var,
					  (Expr *) eval_const_expressions(root, (Node *) outermost), InvalidOid);
}

static List *
append_known(List *list, Expr *clause)
{
	return clause != NULL ? lappend(list, clause) : list;
}

/* See scan.h. */
List *
ms_implied_conditions(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Node *clause)
{
	List	   *arms;
	List	   *result;

	if (!(IsA(clause, RowCompareExpr) || is_orclause(clause)) ||
		contain_volatile_functions(clause) || contain_subplans(clause))
		return NIL;
	if (IsA(clause, RowCompareExpr))
		return append_known(NIL, of_rows((RowCompareExpr *) clause));
	arms = ((BoolExpr *) clause)->args;
	result = append_known(NIL, of_labels(root, rel, prel, arms));
	result = append_known(result, of_time(root, rel, prel, arms, BTGreaterEqualStrategyNumber));
	return append_known(result, of_time(root, rel, prel, arms, BTLessEqualStrategyNumber));
}
