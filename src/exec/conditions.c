/*-------------------------------------------------------------------------
 *
 * conditions.c
 *	  Sorting the conditions on a relation.
 *
 * A condition on labels alone has one answer for a whole series, so it is
 * asked once per series and never per row.  A bound of the time becomes part
 * of the range the cursor reads.  Whatever is left stays with PostgreSQL.
 *
 * Evaluating a condition once per series must not be observable otherwise
 * than by speed:
 *
 *	- Volatile conditions are left alone, and so are conditions with a
 *	  sub-select that is volatile.
 *	- Row-level security and security-barrier views demand that a condition
 *	  of lower standing does not see rows before the policy has passed them.
 *	  The rule is PostgreSQL's own for index conditions.
 *	- A series may exist of which the query can see no row: all of them were
 *	  rolled back, say.  A condition that raises an error for its labels
 *	  would then fail for a row that is not there.  So conditions that can
 *	  fail are told from those that cannot ("leakproof" means just that), and
 *	  the scan asks them only of series that have a row it can see.
 *
 * Conditions without a column of the relation need no care here: PostgreSQL
 * puts them above the scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

#include "exec/agg.h"

/* The columns that are labels, offset as pull_varattnos has them. */
Bitmapset *
ms_label_atts(const MsRelDesc *desc)
{
	Bitmapset  *atts = NULL;

	for (int i = 0; i < desc->natts; i++)
	{
		if (desc->cols[i].role == MS_ROLE_LABEL)
			atts = bms_add_member(atts, i + 1 - FirstLowInvalidHeapAttributeNumber);
	}
	return atts;
}

/* Does the expression contain a sub-plan whose query, or one inside it, has volatile functions? */
static bool
has_volatile_subplan(Node *node, PlannerInfo *root)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan))
	{
		int			id = ((SubPlan *) node)->plan_id;
		PlannerInfo *subroot = (PlannerInfo *) list_nth(root->glob->subroots, id - 1);

		if (contain_volatile_functions((Node *) subroot->parse) ||
			query_tree_walker(subroot->parse, has_volatile_subplan, root, 0) ||
			has_volatile_subplan((Node *) subroot->init_plans, root))
			return true;
	}
	return expression_tree_walker(node, has_volatile_subplan, root);
}

/*
 * Is this a condition on labels alone?  Columns of other relations are
 * values to us: they come as parameters.
 */
bool
ms_is_label_condition(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Node *clause)
{
	Bitmapset  *used = NULL;
	bool		labels_only;

	pull_varattnos(clause, rel->relid, &used);
	labels_only = !bms_is_empty(used) && bms_is_subset(used, prel->label_atts);
	bms_free(used);
	return labels_only &&
		!contain_volatile_functions(clause) &&
		!has_volatile_subplan(clause, root);
}

/* A copy in which columns of other relations than that are constants. */
static Node *
without_others(Node *node, void *arg)
{
	Index		relid = *(Index *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno != (int) relid)
	{
		Var		   *var = (Var *) node;

		return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
	}
	return expression_tree_mutator(node, without_others, arg);
}

/*
 * May a condition raise an error, or tell, because of the labels it is asked of?  What it computes from columns of other
 * relations is another matter: that an index would compute as well, whatever is in it.
 */
static bool
may_fail(RelOptInfo *rel, Node *clause)
{
	return contain_leaked_vars(clause) &&
		contain_leaked_vars(without_others(clause, &rel->relid));
}

/* As for labels, a bound must not change while the scan runs. */
static bool
is_time_bound(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Node *clause)
{
	return ms_timerange_takes((Expr *) clause, rel->relid, prel->time_att) &&
		!contain_volatile_functions(clause) &&
		!has_volatile_subplan(clause, root);
}

/* Adds what a condition that stays with the rows says of their series and times. */
static void
add_implied(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, RestrictInfo *rinfo,
			MsConditions *out)
{
	ListCell   *lc;

	foreach(lc, ms_implied_conditions(root, rel, prel, (Node *) rinfo->clause))
	{
		Node	   *clause = lfirst(lc);
		RestrictInfo *implied = make_simple_restrictinfo(root, (Expr *) clause);

		implied->security_level = rinfo->security_level;
		if (is_time_bound(root, rel, prel, clause))
			out->times = lappend(out->times, implied);
		else if (ms_is_label_condition(root, rel, prel, clause) && !may_fail(rel, clause))
			out->safe = lappend(out->safe, implied);
	}
}

/*
 * Sorts RestrictInfos of a base relation, or join clauses for which a
 * parameterised path of it stands.  Pseudoconstant ones are left out.
 */
void
ms_conditions_sort(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
				   List *rinfos, MsConditions *out)
{
	ListCell   *lc;

	memset(out, 0, sizeof(*out));
	foreach(lc, rinfos)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Node	   *clause = (Node *) rinfo->clause;

		if (rinfo->pseudoconstant)
			continue;
		if (!restriction_is_securely_promotable(rinfo, rel))
			out->rest = lappend(out->rest, rinfo);
		else if (is_time_bound(root, rel, prel, clause))
			out->times = lappend(out->times, rinfo);
		else if (!ms_is_label_condition(root, rel, prel, clause))
		{
			out->rest = lappend(out->rest, rinfo);
			add_implied(root, rel, prel, rinfo, out);
		}
		else if (may_fail(rel, clause))
			out->labels = lappend(out->labels, rinfo);
		else
			out->safe = lappend(out->safe, rinfo);
	}
}

/* Of conditions left to be asked row by row, those on values that a scan meets a block at a time. */
List *
ms_value_conditions(RelOptInfo *rel, const MsPlanRel *prel, List *rinfos)
{
	MsAggRel	arel = {rel->relid, prel->time_att, prel->label_atts};
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, rinfos)
	{
		if (ms_agg_match_block(&arel, lfirst_node(RestrictInfo, lc)->clause))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* Sorts the relation's own conditions, and estimates what they leave. */
static void
look_at_conditions(PlannerInfo *root, RelOptInfo *rel, MsPlanRel *prel)
{
	MsConditions *conds = &prel->conds;

	prel->clauses = rel->baserestrictinfo;
	prel->nclauses = list_length(rel->baserestrictinfo);
	ms_conditions_sort(root, rel, prel, rel->baserestrictinfo, conds);
	prel->label_sel = clauselist_selectivity(root, list_concat_copy(conds->safe, conds->labels), 0,
											 JOIN_INNER, NULL);
	prel->time_sel = clauselist_selectivity(root, conds->times, 0, JOIN_INNER, NULL);
	prel->values = ms_value_conditions(rel, prel, conds->rest);
	prel->value_sel = clauselist_selectivity(root, prel->values, 0, JOIN_INNER, NULL);
}

/*
 * What planning needs to know of a relation of ours, on which the caller holds
 * a lock.  Waits until the store is ready, the first time.
 */
const MsPlanRel *
ms_plan_rel(PlannerInfo *root, RelOptInfo *rel)
{
	MsPlanRel  *prel = rel->fdw_private;
	Relation	relation;
	const MsRelDesc *desc;

	if (prel == NULL)
	{
		prel = palloc0(sizeof(MsPlanRel));
		relation = table_open(planner_rt_fetch(rel->relid, root)->relid, NoLock);
		desc = ms_reldesc(relation);
		prel->time_att = desc->time_att;
		prel->label_atts = ms_label_atts(desc);
		if (desc->table != NULL)
			ms_table_stats(desc->table, &prel->stats);
		table_close(relation, NoLock);
		look_at_conditions(root, rel, prel);
		rel->fdw_private = prel;
	}
	else if (prel->clauses != rel->baserestrictinfo ||
			 prel->nclauses != list_length(rel->baserestrictinfo))
		look_at_conditions(root, rel, prel);
	return prel;
}
