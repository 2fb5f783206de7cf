/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  Offering the custom scan to the planner.
 *
 * A relation stored by memseries gets custom paths in place of its
 * sequential scans: one for the whole, a partial one if it is large enough
 * to be shared, and parameterised ones for nested loops whose outer side
 * fixes a label or the time.  The sequential paths are taken out, because
 * they read the same samples and skip none; TID paths, whose answer is
 * always empty or an error, stay as they are.
 *
 * Left to the plain scan:
 *
 *	- relations a command modifies: only INSERT is supported, and the errors
 *	  of the others come from the access method;
 *	- queries for system columns other than tableoid and ctid: the access
 *	  method knows what to say;
 *	- TABLESAMPLE, which is refused elsewhere.
 *
 * Paths carry nothing of their own but the order: conditions are sorted again when the
 * plan is made, from the clauses the planner hands over, so that whatever it
 * did to them in between is respected.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

#include "exec/exec.h"
#include "exec/scan.h"

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

static Plan *plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
					   List *tlist, List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = MS_SCAN_NAME,
	.PlanCustomPath = plan_scan,
};

/* ---- from path to plan ---- */

static CustomScan *
add_exprs(CustomScan *cscan, List *rinfos)
{
	List	   *exprs = extract_actual_clauses(rinfos, false);

	cscan->custom_private = lappend_int(cscan->custom_private, list_length(exprs));
	cscan->custom_exprs = list_concat(cscan->custom_exprs, exprs);
	return cscan;
}

/* May rows be asked for again by ctid?  See refetch.c. */
static bool
may_refetch(PlannerInfo *root, Index rti)
{
	ListCell   *lc;

	foreach(lc, root->rowMarks)
	{
		PlanRowMark *mark = lfirst_node(PlanRowMark, lc);

		if (mark->rti == rti && mark->markType == ROW_MARK_REFERENCE)
			return true;
	}
	return false;
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
		  List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *cscan = makeNode(CustomScan);
	MsConditions conds;

	(void) custom_plans;
	ms_conditions_sort(root, rel, ms_plan_rel(root, rel), clauses, &conds);

	cscan->scan.plan.targetlist = tlist;
	cscan->scan.plan.qual = extract_actual_clauses(conds.rest, false);
	cscan->scan.scanrelid = rel->relid;
	cscan->flags = best_path->flags;
	cscan->methods = &ms_scan_methods;

	/* in the order of MsExprKind */
	add_exprs(cscan, conds.safe);
	add_exprs(cscan, conds.labels);
	add_exprs(cscan, conds.times);
	cscan->custom_private = lappend_int(cscan->custom_private,
										may_refetch(root, rel->relid));
	cscan->custom_private = list_concat(cscan->custom_private, best_path->custom_private);

	return &cscan->scan.plan;
}

/* ---- paths ---- */

static CustomPath *
make_path(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
		  Relids required_outer, int workers)
{
	CustomPath *cpath = makeNode(CustomPath);

	cpath->path.pathtype = T_CustomScan;
	cpath->path.parent = rel;
	cpath->path.pathtarget = rel->reltarget;
	cpath->path.param_info = get_baserel_parampathinfo(root, rel, required_outer);
	cpath->path.parallel_aware = workers > 0;
	cpath->path.parallel_safe = rel->consider_parallel;
	cpath->path.parallel_workers = workers;
	cpath->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	cpath->custom_private = list_make1_int(MS_ORDER_SERIES);
	cpath->methods = &path_methods;
	ms_scan_cost(root, rel, prel, &cpath->path);
	return cpath;
}

/* A path without parameters, for one process, whose rows come in that order; of the same cost as any. */
CustomPath *
ms_make_scan_path(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, MsScanOrder order)
{
	CustomPath *cpath = make_path(root, rel, prel, NULL, 0);

	cpath->custom_private = list_make1_int(order);
	return cpath;
}

/* Adds a path for the relations required, unless they have one already. */
static void
add_parameterized(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
				  RestrictInfo *rinfo, List **tried)
{
	Relids		required;
	MsConditions conds;
	ListCell   *lc;

	if (!join_clause_is_movable_to(rinfo, rel))
		return;
	ms_conditions_sort(root, rel, prel, list_make1(rinfo), &conds);
	if (conds.rest != NIL)
		return;

	required = bms_union(rinfo->clause_relids, rel->lateral_relids);
	required = bms_del_member(required, rel->relid);
	if (bms_is_empty(required))
		return;
	foreach(lc, *tried)
	{
		if (bms_equal(required, (Relids) lfirst(lc)))
			return;
	}
	*tried = lappend(*tried, required);
	add_path(rel, (Path *) make_path(root, rel, prel, required, 0));
}

/* Is this member of an equivalence class the column whose number arg points to? */
static bool
is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
		  EquivalenceMember *em, void *arg)
{
	Var		   *var = (Var *) em->em_expr;

	(void) root;
	(void) ec;
	return IsA(var, Var) && var->varno == (int) rel->relid &&
		var->varattno == *(AttrNumber *) arg;
}

/*
 * For nested loops: for every join clause that would be a label condition or
 * a time bound once the other side is known, a path for that other side.
 */
static void
add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel)
{
	List	   *tried = NIL;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
		add_parameterized(root, rel, prel, lfirst_node(RestrictInfo, lc), &tried);

	if (!rel->has_eclass_joins)
		return;
	for (AttrNumber att = 1; att <= rel->max_attr; att++)
	{
		List	   *clauses;

		if (att != prel->time_att &&
			!bms_is_member(att - FirstLowInvalidHeapAttributeNumber, prel->label_atts))
			continue;
		clauses = generate_implied_equalities_for_column(root, rel, is_column, &att,
														 rel->lateral_referencers);
		foreach(lc, clauses)
			add_parameterized(root, rel, prel, lfirst_node(RestrictInfo, lc), &tried);
	}
}

static List *
without_seqscans(List *paths)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, paths)
	{
		Path	   *path = (Path *) lfirst(lc);

		if (path->pathtype != T_SeqScan)
			result = lappend(result, path);
	}
	return result;
}

static void
add_paths(PlannerInfo *root, RelOptInfo *rel)
{
	const MsPlanRel *prel = ms_plan_rel(root, rel);

	rel->pathlist = without_seqscans(rel->pathlist);
	rel->partial_pathlist = without_seqscans(rel->partial_pathlist);

	add_path(rel, (Path *) make_path(root, rel, prel, rel->lateral_relids, 0));

	if (rel->consider_parallel && bms_is_empty(rel->lateral_relids))
	{
		int			workers = compute_parallel_worker(rel, ms_scan_pages(rel, prel), -1,
													  max_parallel_workers_per_gather);

		/* processes share series: one does not help another with its own */
		workers = (int) Min(workers, ceil(prel->stats.series * prel->label_sel) - 1);
		if (workers > 0)
			add_partial_path(rel, (Path *) make_path(root, rel, prel, NULL, workers));
	}
	add_parameterized_paths(root, rel, prel);
	ms_add_sorted_paths(root, rel, prel);
}

/* ---- the hook ---- */

/* Is one of xmin, cmin, xmax and cmax asked for? */
static bool
needs_transaction_columns(const RelOptInfo *rel)
{
	for (int att = rel->min_attr; att < 0; att++)
	{
		if (att != TableOidAttributeNumber && att != SelfItemPointerAttributeNumber &&
			!bms_is_empty(rel->attr_needed[att - rel->min_attr]))
			return true;
	}
	return false;
}

static bool
conditions_need_transaction_columns(const RelOptInfo *rel)
{
	Bitmapset  *used = NULL;
	int			x = -1;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &used);
	while ((x = bms_next_member(used, x)) >= 0)
	{
		int			att = x + FirstLowInvalidHeapAttributeNumber;

		if (att < 0 && att != TableOidAttributeNumber && att != SelfItemPointerAttributeNumber)
			return true;
	}
	return false;
}

static bool
is_scannable(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	Relation	relation;
	bool		result;

	if (rte->rtekind != RTE_RELATION || rte->inh || rte->tablesample != NULL ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW) ||
		!IS_SIMPLE_REL(rel) || IS_DUMMY_REL(rel) ||
		bms_is_member(rti, root->all_result_relids) ||
		needs_transaction_columns(rel) || conditions_need_transaction_columns(rel))
		return false;

	relation = table_open(rte->relid, NoLock);
	result = ms_is_memseries_rel(relation);
	table_close(relation, NoLock);
	return result;
}

/* Is this a base relation that a custom scan can read? */
bool
ms_is_scan_rel(PlannerInfo *root, RelOptInfo *rel)
{
	return rel->reloptkind == RELOPT_BASEREL &&
		is_scannable(root, rel, rel->relid, planner_rt_fetch(rel->relid, root));
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	if (ms_enable_customscan && is_scannable(root, rel, rti, rte))
		add_paths(root, rel);
}

/* Puts the planner hook in place. */
void
ms_paths_init(void)
{
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}
