/*-------------------------------------------------------------------------
 *
 * orderpaths.c
 *	  Paths in the order of time or of a label, and paths for one row of each
 *	  series.
 *
 * They serve queries that want the end of something: ORDER BY ts DESC LIMIT n
 * gets a path whose rows come by time (sorted.c), ORDER BY label, and max(label), one whose
 * series come by the label (labelwalk.c), ORDER BY label, ts, and windows of that kind, one whose
 * series are sorted by labels (seriesorder.c), and DISTINCT ON (labels) ...
 * ORDER BY labels, ts DESC one that has only the newest row of each value of one
 * label, by the label, or, if there are more or something else decides as well, of
 * each series, under PostgreSQL's own Sort and Unique (lastrow.c).
 *
 * They are offered where the conditions on labels cannot fail and nothing has
 * to be fetched again; those that sort only where the series are few enough to
 * keep all their labels at hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "compat.h"
#include "exec/exec.h"
#include "exec/labelwalk.h"

#define MAX_SORTED_SERIES	1000000
#define MAX_LISTED_SERIES	100000	/* with copies of labels */

static create_upper_paths_hook_type prev_create_upper_paths_hook = NULL;

static bool
conditions_allow_order(PlannerInfo *root, const MsPlanRel *prel)
{
	return prel->conds.labels == NIL && root->rowMarks == NIL;
}

/* The pathkeys of the time in one direction; NIL if nobody asked for them. */
static List *
time_pathkeys(PlannerInfo *root, RelOptInfo *rel, AttrNumber time_att, bool descending)
{
	TypeCacheEntry *type = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	Var		   *var = makeVar(rel->relid, time_att, TIMESTAMPTZOID, -1, InvalidOid, 0);

	return ms_build_expression_pathkey(root, (Expr *) var,
									   descending ? type->gt_opr : type->lt_opr,
									   rel->relids);
}

/* Is the time what the query orders by first? */
static bool
orders_by_time(PlannerInfo *root, RelOptInfo *rel, AttrNumber time_att)
{
	ListCell   *lc;

	/* from PostgreSQL 18 on, the members of partitions stand elsewhere */
	if (IS_OTHER_REL(rel))
		return true;
	foreach(lc, linitial_node(PathKey, root->query_pathkeys)->pk_eclass->ec_members)
	{
		Var		   *var = (Var *) ((EquivalenceMember *) lfirst(lc))->em_expr;

		if (IsA(var, Var) && var->varno == (int) rel->relid && var->varattno == time_att)
			return true;
	}
	return false;
}

/* The label that a member of an equivalence class is; 0 if it is none. */
static AttrNumber
member_label(EquivalenceMember *em, RelOptInfo *rel, const MsPlanRel *prel)
{
	Var		   *var = (Var *) em->em_expr;

	/* a varchar is sorted as a text */
	if (IsA(var, RelabelType) && em->em_datatype == TEXTOID)
		var = (Var *) ((RelabelType *) var)->arg;
	if (!IsA(var, Var) || var->varno != (int) rel->relid || var->varlevelsup != 0 ||
		(var->vartype != em->em_datatype &&
		 (var->vartype != VARCHAROID || em->em_datatype != TEXTOID)) ||
		!bms_is_member(var->varattno - FirstLowInvalidHeapAttributeNumber, prel->label_atts))
		return 0;
	return var->varattno;
}

/* Are labels that are equal the same, byte for byte? */
static bool
is_same_if_equal(const MsLabelSort *sort)
{
	Oid			equality = get_opfamily_member(sort->opfamily, sort->type, sort->type,
											   BTEqualStrategyNumber);

	return OidIsValid(equality) && ms_compares_bytes(get_opcode(equality), sort->collation);
}

/*
 * Are rows of equal labels those of one series, so that they are in the order of time as well?  Only if there is
 * no other label, and none that is equal without being the same.
 */
static bool
then_by_time(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, const MsLabelSort *sort)
{
	List	   *by_time = time_pathkeys(root, rel, prel->time_att, false);

	return by_time != NIL && list_length(root->query_pathkeys) > 1 &&
		linitial(by_time) == lsecond(root->query_pathkeys) &&
		bms_num_members(prel->label_atts) == 1 && is_same_if_equal(sort);
}

/* Lets the path's scan visit series in the order of a label, if the key is one; *sort is how it is sorted. */
static bool
walk_by_label(RelOptInfo *rel, const MsPlanRel *prel, PathKey *pathkey, CustomPath *cpath,
			  MsLabelSort *sort)
{
	ListCell   *lc;

	foreach(lc, pathkey->pk_eclass->ec_members)
	{
		EquivalenceMember *em = lfirst(lc);
		AttrNumber	att = member_label(em, rel, prel);
		List	   *walk;

		sort->opfamily = pathkey->pk_opfamily;
		sort->type = em->em_datatype;
		sort->collation = pathkey->pk_eclass->ec_collation;
		if (att == 0 || !OidIsValid(ms_labelsort_comparison(sort, sort->type)))
			continue;
		walk = list_make5_int(att, (int) sort->opfamily, (int) sort->type, (int) sort->collation,
							  ms_pathkey_is_descending(pathkey));
		walk = lappend_int(walk, pathkey->pk_nulls_first);
		cpath->custom_private = list_concat(cpath->custom_private, walk);
		ms_walk_cost(prel, &cpath->path);
		return true;
	}
	return false;
}

/* Offers a path in the order of a label, if that comes first. */
static void
add_label_path(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel)
{
	PathKey    *pathkey = linitial_node(PathKey, root->query_pathkeys);
	CustomPath *cpath = ms_make_scan_path(root, rel, prel, MS_ORDER_LABEL);
	MsLabelSort sort;

	if (!walk_by_label(rel, prel, pathkey, cpath, &sort))
		return;
	cpath->path.pathkeys = list_make1(pathkey);
	if (then_by_time(root, rel, prel, &sort))
		cpath->path.pathkeys = lappend(cpath->path.pathkeys, lsecond(root->query_pathkeys));
	add_path(rel, (Path *) cpath);
}

/* The column of the relation that a pathkey orders by, in its own type; NULL if there is none. */
static Var *
column_of_pathkey(const PathKey *pathkey, const RelOptInfo *rel)
{
	ListCell   *lc;

	foreach(lc, pathkey->pk_eclass->ec_members)
	{
		EquivalenceMember *em = lfirst_node(EquivalenceMember, lc);
		Var		   *var = (Var *) em->em_expr;

		if (IsA(var, Var) && bms_equal(em->em_relids, rel->relids) && var->varattno > 0)
			return var;
	}
	return NULL;
}

/* How far, and how, the query's order is one of labels. */
typedef struct LabelOrder
{
	int			npathkeys;		/* that are met */
	List	   *keys;			/* what the plan needs to know of them */
	List	   *columns;		/* Vars */
	bool		by_time;		/* the last one is the time */
	bool		single;			/* no two series have the same labels of these */
} LabelOrder;

static void
match_labels(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, LabelOrder *order)
{
	Bitmapset  *seen = NULL;
	ListCell   *lc;

	memset(order, 0, sizeof(*order));
	foreach(lc, root->query_pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		bool		descending = ms_pathkey_is_descending(pathkey);
		Var		   *var = column_of_pathkey(pathkey, rel);
		Oid			op;

		if (var == NULL)
			break;
		if (var->varattno == prel->time_att)
		{
			order->by_time = order->npathkeys > 0 && !descending;
			order->npathkeys += order->by_time;
			break;
		}
		op = get_opfamily_member(pathkey->pk_opfamily, var->vartype, var->vartype,
								 descending ? BTGreaterStrategyNumber : BTLessStrategyNumber);
		if (!OidIsValid(op) ||
			!bms_is_member(var->varattno - FirstLowInvalidHeapAttributeNumber, prel->label_atts))
			break;
		seen = bms_add_member(seen, var->varattno - FirstLowInvalidHeapAttributeNumber);
		order->keys = lappend_int(order->keys, var->varattno);
		order->keys = lappend_int(order->keys, (int) op);
		order->keys = lappend_int(order->keys, (int) pathkey->pk_eclass->ec_collation);
		order->keys = lappend_int(order->keys, pathkey->pk_nulls_first);
		order->columns = lappend(order->columns, var);
		order->npathkeys++;
	}
	order->single = bms_equal(seen, prel->label_atts);
}

/*
 * Offers a path sorted by labels, as far as the query wants that order, if it wants more than one label.
 * (For that, add_label_path has a way that need not list all.)
 */
static void
add_label_order_path(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel)
{
	double		series = Max(prel->stats.series, 2);
	double		groups;
	Cost		sorting;
	CustomPath *cpath;
	LabelOrder	order;

	match_labels(root, rel, prel, &order);
	if (order.npathkeys < 2 || prel->stats.series > MAX_LISTED_SERIES)
		return;
	sorting = series * (3.0 + log2(series)) * 2.0 * cpu_operator_cost;
	cpath = ms_make_scan_path(root, rel, prel, order.by_time ? MS_ORDER_LABELS_TIME : MS_ORDER_LABELS);
	cpath->custom_private = list_concat(cpath->custom_private, order.keys);
	cpath->path.pathkeys = list_copy_head(root->query_pathkeys, order.npathkeys);
	cpath->path.startup_cost += sorting;
	cpath->path.total_cost += sorting;
	if (order.by_time && !order.single)
	{
		groups = estimate_num_groups(root, order.columns, rel->rows, NULL, NULL);
		if (groups < 0.9 * series * prel->label_sel)
			cpath->path.total_cost += rel->rows * (1.0 + log2(Max(rel->rows / groups, 2))) *
				2.0 * cpu_operator_cost;
	}
	add_path(rel, (Path *) cpath);
}

/* Offers paths in an order that the query wants.  Called for a base relation. */
void
ms_add_sorted_paths(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel)
{
	if (root->query_pathkeys == NIL || prel->stats.series > MAX_SORTED_SERIES ||
		!bms_is_empty(rel->lateral_relids) || !conditions_allow_order(root, prel))
		return;
	add_label_path(root, rel, prel);
	add_label_order_path(root, rel, prel);
	if (!orders_by_time(root, rel, prel->time_att))
		return;
	for (int descending = 0; descending <= 1; descending++)
	{
		List	   *pathkeys = time_pathkeys(root, rel, prel->time_att, descending);
		CustomPath *cpath;

		if (pathkeys == NIL || linitial(pathkeys) != linitial(root->query_pathkeys))
			continue;
		cpath = ms_make_scan_path(root, rel, prel,
								  descending ? MS_ORDER_TIME_DESC : MS_ORDER_TIME);
		cpath->path.pathkeys = pathkeys;
		ms_sorted_cost(root, rel, prel, &cpath->path);
		add_path(rel, (Path *) cpath);
	}
}

/* Does the expression depend on labels only, always in the same way? */
static bool
is_label_expr(Node *expr, Index relid, const MsPlanRel *prel)
{
	Bitmapset  *used = NULL;

	if (contain_volatile_functions(expr) || contain_subplans(expr))
		return false;
	pull_varattnos(expr, relid, &used);
	return bms_is_subset(used, prel->label_atts);
}

/*
 * Is the query DISTINCT ON (labels) ... ORDER BY labels, ts?  The parser has
 * seen to it that ORDER BY begins with what is to be distinct.  Whatever
 * follows the time decides between series only.
 */
static bool
wants_single_rows(const Query *parse, Index relid, const MsPlanRel *prel, MsScanOrder *order)
{
	int			n = list_length(parse->distinctClause);
	SortGroupClause *sort;
	TypeCacheEntry *type;
	Var		   *var;
	ListCell   *lc;

	if (!parse->hasDistinctOn || parse->hasTargetSRFs || n == 0 ||
		list_length(parse->sortClause) <= n)
		return false;
	foreach(lc, parse->distinctClause)
	{
		if (!is_label_expr(get_sortgroupclause_expr(lfirst(lc), parse->targetList), relid, prel))
			return false;
	}
	sort = list_nth(parse->sortClause, n);
	var = (Var *) get_sortgroupclause_expr(sort, parse->targetList);
	if (!IsA(var, Var) || var->varno != (int) relid || var->varattno != prel->time_att ||
		var->varlevelsup != 0)
		return false;
	type = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	*order = sort->sortop == type->gt_opr ? MS_ORDER_LAST : MS_ORDER_FIRST;
	return sort->sortop == type->gt_opr || sort->sortop == type->lt_opr;
}

/*
 * Adds one row of each value of a label, or Unique over Sort over one row of each series.  Where conditions leave one value
 * of each label that is to be distinct, there are no keys, and Unique leaves one row.
 */
static void
add_single_rows_path(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *output_rel)
{
	const MsPlanRel *prel;
	MsScanOrder order;
	CustomPath *cpath;
	Path	   *path;
	MsLabelSort sort;
	double		series;

	if (!ms_is_scan_rel(root, input_rel) || root->sort_pathkeys == NIL)
		return;
	prel = ms_plan_rel(root, input_rel);
	if (!wants_single_rows(root->parse, input_rel->relid, prel, &order) ||
		!conditions_allow_order(root, prel))
		return;

	series = clamp_row_est(Min(prel->stats.series * prel->label_sel, input_rel->rows));
	cpath = ms_make_scan_path(root, input_rel, prel, order);
	path = &cpath->path;
	path->pathtarget = input_rel->reltarget;
	path->rows = series;
	path->total_cost = path->startup_cost +
		series * (cpu_tuple_cost + MS_BLOCK_ROWS * cpu_operator_cost * 0.1 +
				  path->pathtarget->cost.per_tuple);
	if (list_length(root->distinct_pathkeys) == 1 && list_length(root->sort_pathkeys) == 2 &&
		list_length(root->parse->sortClause) == 2 && prel->stats.series <= MAX_SORTED_SERIES &&
		walk_by_label(input_rel, prel, linitial(root->sort_pathkeys), cpath, &sort))
	{
		if (is_same_if_equal(&sort))
		{
			path->pathkeys = root->sort_pathkeys;
			add_path(output_rel, path);
			return;
		}
		cpath->custom_private = list_make1_int(order);
	}
	path = (Path *) create_sort_path(root, output_rel, path, root->sort_pathkeys, -1.0);
	add_path(output_rel,
			 (Path *) create_upper_unique_path(root, output_rel, path,
											   list_length(root->distinct_pathkeys),
											   root->distinct_pathkeys == NIL ? 1.0 : series));
}

static void
create_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
				   RelOptInfo *output_rel, void *extra)
{
	if (prev_create_upper_paths_hook)
		prev_create_upper_paths_hook(root, stage, input_rel, output_rel, extra);
	if (stage == UPPERREL_DISTINCT && ms_enable_customscan)
		add_single_rows_path(root, input_rel, output_rel);
}

/* Puts the planner hook in place. */
void
ms_orderpaths_init(void)
{
	prev_create_upper_paths_hook = create_upper_paths_hook;
	create_upper_paths_hook = create_upper_paths;
}
