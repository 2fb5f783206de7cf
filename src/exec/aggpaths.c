/*-------------------------------------------------------------------------
 *
 * aggpaths.c
 *	  Offering aggregation inside the scan to the planner.
 *
 * Where PostgreSQL plans a GROUP BY, aggregates without one, or SELECT DISTINCT, over
 * one relation of ours, and aggmatch.c can take all keys, aggregates and conditions,
 * paths are added:
 *
 *	- one that gives finished groups, in the order of their bucket if that is the
 *	  only key and the query wants it;
 *	- one for several processes, each of which gives partial states in
 *	  PostgreSQL's own form, below PostgreSQL's Gather and Finalize Aggregate;
 *	- for ORDER BY a bucket with LIMIT, one that gives groups in that order.
 *
 * If anything cannot be taken, nothing is added, and PostgreSQL aggregates over
 * the plain custom scan.  HAVING, and whatever comes after, is PostgreSQL's in any
 * case.
 *
 * The plan is a scan of the relation with a custom_scan_tlist of our own: first
 * what it gives (keys and aggregates, to which PostgreSQL matches the target list
 * and HAVING), then the conditions it takes.  They stand there because that list
 * is finished by the planner as expressions over the relation; custom_exprs would be
 * over the list itself.  A condition, seen as a column, is true wherever a group
 * is, so that it does no harm if an expression above is matched to it.  Parameters of
 * these expressions are repeated in custom_exprs, where the planner looks for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "exec/agg.h"
#include "exec/exec.h"

/* Comparable with those in cost.c: what both do costs the same. */
#define DECODE_COST		(0.06 * cpu_operator_cost)	/* a value, added up */
#define SUMMARY_COST	(2.0 * cpu_operator_cost)	/* a value's, of a block */
#define CHUNK_COST		(10.0 * cpu_operator_cost)	/* find and copy a chunk */
#define SERIES_COST		(2.0 * cpu_operator_cost)	/* look at labels */
#define CALC_SHARE		0.2		/* of what an expression costs by itself, for
								 * a block at a time */
#define ROW_COST		(0.5 * cpu_tuple_cost)	/* make a row, for conditions */
#define RUN_COST		(1.0 * cpu_operator_cost)	/* per run of rows and
													 * aggregate */
#define GROUP_COST		(1.0 * cpu_operator_cost)	/* per group and aggregate */
#define SORT_COST		(0.1 * cpu_operator_cost)	/* compare two buckets */
#define PARTIAL_COST	(20.0 * cpu_operator_cost)	/* a partial state, made,
													 * sent and combined */

static create_upper_paths_hook_type prev_create_upper_paths_hook = NULL;

static Plan *plan_agg(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
					  List *tlist, List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = MS_AGG_NAME,
	.PlanCustomPath = plan_agg,
};

/* What a path's custom_private has. */
typedef enum PathPrivate
{
	PATH_RELID = 0,
	PATH_ORDER,
	PATH_LIMIT,
	PATH_PARTIAL,
	PATH_DISTINCT				/* keys are the DISTINCT clause */
} PathPrivate;

/* A query that can be taken. */
typedef struct Grouping
{
	PlannerInfo *root;
	RelOptInfo *rel;			/* the base relation */
	bool		distinct;		/* SELECT DISTINCT, no aggregates */
	const MsPlanRel *prel;
	MsAggRel	arel;
	List	   *keys;			/* expressions */
	List	   *eqops;
	List	   *label_keys;
	List	   *buckets;		/* of MsBucketFn */
	Expr	   *bucket_key;		/* the only time key, if it is a plain bucket */
	List	   *aggs;			/* of Aggref */
	MsConditions conds;			/* rest: what rows are selected by */
	bool		has_counters;
	bool		needs_values;	/* some aggregate cannot use summaries */
	bool		needs_first;	/* all but the last row of a series, or... */
	bool		needs_last;		/* all but the first matter to one */
	List	   *calcs;			/* expressions of values */
	int			ncolumns;
	double		label_groups;
	double		nbuckets;
	double		groups;
} Grouping;

/* ---- can it be taken? ---- */

static int
compare_security(const ListCell *a, const ListCell *b)
{
	const RestrictInfo *x = lfirst_node(RestrictInfo, a);
	const RestrictInfo *y = lfirst_node(RestrictInfo, b);

	if (x->security_level != y->security_level)
		return x->security_level < y->security_level ? -1 : 1;
	return 0;
}

/* Sorts the conditions; false if some cannot be taken. */
static bool
take_conditions(Grouping *g)
{
	ListCell   *lc;

	foreach(lc, g->rel->baserestrictinfo)
	{
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return false;
	}
	g->conds = g->prel->conds;
	foreach(lc, g->conds.rest)
	{
		MsPredMatch pred;

		if (ms_agg_match_pred(&g->arel, lfirst_node(RestrictInfo, lc)->clause, &pred) == MS_PRED_NONE)
			return false;
	}
	g->conds.rest = list_copy(g->conds.rest);
	list_sort(g->conds.rest, compare_security);
	foreach(lc, list_concat_copy(g->conds.safe, g->conds.labels))
	{
		if (contain_subplans((Node *) lfirst_node(RestrictInfo, lc)->clause))
			return false;
	}
	foreach(lc, g->conds.times)
	{
		if (contain_subplans((Node *) lfirst_node(RestrictInfo, lc)->clause))
			return false;
	}
	return true;
}

static bool
take_keys(Grouping *g)
{
	Query	   *parse = g->root->parse;
	ListCell   *lc;
	int			ntime = 0;

	foreach(lc, g->distinct ? parse->distinctClause : parse->groupClause)
	{
		SortGroupClause *sgc = lfirst_node(SortGroupClause, lc);
		Expr	   *expr = get_sortgroupclause_tle(sgc, g->root->processed_tlist)->expr;
		MsKeyKind	kind = ms_agg_match_key(&g->arel, expr, &g->buckets);

		if (kind == MS_KEY_NONE || !sgc->hashable)
			return false;
		g->keys = lappend(g->keys, expr);
		g->eqops = lappend_oid(g->eqops, sgc->eqop);
		if (kind == MS_KEY_LABEL)
			g->label_keys = lappend(g->label_keys, expr);
		else if (ntime++ == 0 && list_length(g->buckets) == 1 &&
				 ((MsBucketFn *) linitial(g->buckets))->expr == expr)
			g->bucket_key = expr;
		else
			g->bucket_key = NULL;
	}
	return true;
}

/* Adds an aggregate.  PostgreSQL has numbered equal ones alike. */
static List *
add_agg(List *aggs, Aggref *aggref)
{
	ListCell   *lc;

	foreach(lc, aggs)
	{
		if (lfirst_node(Aggref, lc)->aggno == aggref->aggno)
			return aggs;
	}
	return lappend(aggs, aggref);
}

typedef struct Coverage
{
	const Grouping *g;
	List	   *aggs;
} Coverage;

/* Is there anything in an expression that is neither a key nor an aggregate that can be taken? */
static bool
is_uncovered(Node *node, Coverage *coverage)
{
	if (node == NULL)
		return false;
	if (list_member(coverage->g->keys, node))
		return false;
	if (IsA(node, Aggref))
	{
		MsAggMatch	match;

		if (!ms_agg_match(&coverage->g->arel, (Aggref *) node, &match))
			return true;
		coverage->aggs = add_agg(coverage->aggs, (Aggref *) node);
		return false;
	}
	if (IsA(node, Var) || IsA(node, PlaceHolderVar) || IsA(node, GroupingFunc) ||
		IsA(node, WindowFunc))
		return true;
	return expression_tree_walker(node, is_uncovered, coverage);
}

/* Finds the aggregates of a target and of HAVING; false if something cannot be taken. */
static bool
take_output(Grouping *g, PathTarget *target, Node *having)
{
	Coverage	coverage = {g, NIL};

	if (is_uncovered((Node *) target->exprs, &coverage) || is_uncovered(having, &coverage))
		return false;
	g->aggs = coverage.aggs;
	return true;
}

/* What do the aggregates need? */
static void
look_at_aggs(Grouping *g)
{
	Bitmapset  *used = NULL;
	ListCell   *lc;
	int			x = -1;

	foreach(lc, g->aggs)
	{
		MsAggMatch	match;

		ms_agg_match(&g->arel, lfirst_node(Aggref, lc), &match);
		if (match.kind == MS_AGG_INCREASE || match.kind == MS_AGG_RATE || match.kind == MS_AGG_DELTA)
			g->has_counters = true;
		if (match.filter != NIL || match.kind > MS_AGG_MAX || match.kind == MS_AGG_BOOL_AND ||
			match.kind == MS_AGG_BOOL_OR)
			g->needs_values = true;
		if (match.arg != NULL && match.kind >= MS_AGG_COUNT_VALUE)
		{
			g->needs_values = true;
			g->calcs = lappend(g->calcs, match.arg);
		}
		if (match.filter != NIL || (match.kind != MS_AGG_FIRST && match.kind != MS_AGG_MIN_TIME))
			g->needs_last = true;
		if (match.filter != NIL || (match.kind != MS_AGG_LAST && match.kind != MS_AGG_MAX_TIME))
			g->needs_first = true;
	}
	pull_varattnos((Node *) g->aggs, g->rel->relid, &used);
	foreach(lc, g->conds.rest)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, g->rel->relid, &used);
	while ((x = bms_next_member(used, x)) >= 0)
	{
		if (!bms_is_member(x, g->prel->label_atts) &&
			x != g->prel->time_att - FirstLowInvalidHeapAttributeNumber)
			g->ncolumns++;
	}
}

static bool
take_query(Grouping *g, PlannerInfo *root, RelOptInfo *rel, bool distinct)
{
	memset(g, 0, sizeof(*g));
	g->root = root;
	g->rel = rel;
	g->distinct = distinct;
	g->prel = ms_plan_rel(root, rel);
	g->arel.relid = rel->relid;
	g->arel.time_att = g->prel->time_att;
	g->arel.label_atts = g->prel->label_atts;
	return take_conditions(g) && take_keys(g);
}

/* ---- estimates ---- */

static void
estimate_groups(Grouping *g)
{
	double		rows = Max(g->rel->rows, 1);
	double		span = (double) g->prel->stats.tmax - (double) g->prel->stats.tmin;
	ListCell   *lc;

	g->label_groups = 1;
	if (g->label_keys != NIL)
		g->label_groups = estimate_num_groups(g->root, g->label_keys, rows, NULL, NULL);
	g->label_groups = Max(1, Min(g->label_groups, Max(g->prel->stats.series, 1)));
	g->nbuckets = 1;
	foreach(lc, g->buckets)
	{
		MsBucketFn *fn = lfirst(lc);

		g->nbuckets = Max(g->nbuckets, ceil(span * g->prel->time_sel / fn->length) + 1);
	}
	g->nbuckets = Min(g->nbuckets, rows);
	g->groups = clamp_row_est(Min(g->label_groups * g->nbuckets, rows));
}

/* Does what has to be kept at one time fit the memory allowed? */
static bool
fits_memory(const Grouping *g)
{
	double		state = 64 + 48.0 * list_length(g->aggs);
	double		bytes = g->label_groups * 128 + g->nbuckets * state;
	ListCell   *lc;

	foreach(lc, g->label_keys)
	{
		if (!ms_agg_is_safe(lfirst(lc)))
			bytes = g->groups * state;
	}
	if (g->conds.labels != NIL)
		bytes = g->groups * state;
	return bytes <= get_hash_memory_limit();
}

/*
 * The cost of reading and adding up, shared by `divisor` processes, where a plain
 * scan of the relation by as many would be `scan`.
 */
static Cost
reading_cost(Grouping *g, const Path *scan, double divisor)
{
	double		series = Max(g->prel->stats.series, 1);
	double		time_sel = g->prel->time_sel;
	double		chosen = Max(1, series * g->prel->label_sel);
	double		chunks = ceil(chosen) * ceil(Max(g->prel->stats.windows, 1) * time_sel);
	double		samples = clamp_row_est(g->rel->tuples * g->prel->label_sel * time_sel);
	double		blocks;
	double		run_length;
	QualCost	label_cost;
	QualCost	row_cost;
	QualCost	calc_cost;
	List	   *calcs = list_copy(g->calcs);
	List	   *slow = NIL;
	ListCell   *lc;
	Cost		cost;

	foreach(lc, g->conds.rest)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		MsPredMatch pred;

		switch (ms_agg_match_pred(&g->arel, rinfo->clause, &pred))
		{
			case MS_PRED_ROW:
				slow = lappend(slow, rinfo);
				break;
			case MS_PRED_CALC:
			case MS_PRED_WHEN:
				calcs = lappend(calcs, rinfo->clause);
				break;
			default:
				break;
		}
	}
	cost_qual_eval(&calc_cost, calcs, g->root);
	cost_qual_eval(&label_cost, list_concat_copy(g->conds.safe, g->conds.labels), g->root);
	cost_qual_eval(&row_cost, slow, g->root);

	/* one row of each series says everything */
	if (!(g->needs_first && g->needs_last) && g->conds.rest == NIL && g->nbuckets <= 1)
	{
		chunks = Min(chunks, chosen);
		samples = Min(samples, chosen);
	}
	blocks = chunks + samples / MS_BLOCK_ROWS;
	run_length = samples / (chosen * g->nbuckets);
	/* a chunk's totals do */
	if (ms_enable_summaries && !g->needs_values && g->conds.rest == NIL && g->nbuckets <= 1)
		blocks = chunks;

	cost = series * (SERIES_COST + label_cost.per_tuple) + chunks * CHUNK_COST;
	cost += blocks * (g->ncolumns + 1) * SUMMARY_COST;
	if (slow != NIL)
		cost += samples * (ROW_COST + row_cost.per_tuple);
	if (g->conds.rest != NIL || g->needs_values || !ms_enable_summaries ||
		run_length < 2 * MS_BLOCK_ROWS)
		cost += samples * (g->ncolumns + 0.5) * DECODE_COST;
	cost += samples * calc_cost.per_tuple * CALC_SHARE;
	/* every run of rows is added to its group */
	cost += Min(chosen * g->nbuckets, samples) *
		Max(list_length(g->aggs), 1) * RUN_COST;
	cost /= divisor;

	/* It does less than a scan that makes rows of the same samples. */
	return Min(cost, 0.9 * scan->total_cost);
}

/* ---- paths ---- */

static CustomPath *
make_agg_path(RelOptInfo *parent, PathTarget *target, const Grouping *g, int order, int limit,
			  int workers)
{
	CustomPath *cpath = makeNode(CustomPath);

	cpath->path.pathtype = T_CustomScan;
	cpath->path.parent = parent;
	cpath->path.pathtarget = target;
	cpath->path.parallel_aware = workers > 0;
	cpath->path.parallel_safe = parent->consider_parallel;
	cpath->path.parallel_workers = workers;
	cpath->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	cpath->methods = &path_methods;
	cpath->custom_private = list_make5_int(g->rel->relid, order, limit, workers > 0, g->distinct);
	return cpath;
}

static void
set_cost(CustomPath *cpath, const Grouping *g, Cost reading, double rows, List *having)
{
	Cost		output = rows * (cpu_tuple_cost + GROUP_COST * Max(list_length(g->aggs), 1));
	QualCost	having_cost;

	cost_qual_eval(&having_cost, having, g->root);
	output += rows * (having_cost.per_tuple + cpath->path.pathtarget->cost.per_tuple);
	cpath->path.rows = rows;
	if (having != NIL)
		cpath->path.rows = clamp_row_est(rows * clauselist_selectivity(g->root, having, 0,
																	   JOIN_INNER, NULL));
	cpath->path.startup_cost = reading + having_cost.startup + cpath->path.pathtarget->cost.startup;
	cpath->path.total_cost = cpath->path.startup_cost + output;
}

/* The constant that LIMIT or OFFSET is; `unknown` if it is none. */
static int64
constant_limit(Node *node, int64 unknown)
{
	Const	   *con = (Const *) node;

	if (node == NULL)
		return 0;
	if (!IsA(con, Const) || con->constisnull)
		return unknown;
	return DatumGetInt64(con->constvalue);
}

/* Does this pathkey order by the expression? */
static bool
is_pathkey_of(const PathKey *pathkey, const Expr *expr)
{
	ListCell   *lc;

	foreach(lc, pathkey->pk_eclass->ec_members)
	{
		if (equal(((EquivalenceMember *) lfirst(lc))->em_expr, expr))
			return true;
	}
	return false;
}

/* Does the query order by the bucket first?  If so, 1 or -1 for descending. */
static int
wanted_order(const Grouping *g)
{
	List	   *pathkeys = g->root->sort_pathkeys;

	if (g->bucket_key == NULL || pathkeys == NIL ||
		!is_pathkey_of(linitial_node(PathKey, pathkeys), g->bucket_key))
		return 0;
	return ms_pathkey_is_descending(linitial_node(PathKey, pathkeys)) ? -1 : 1;
}

/* For ORDER BY bucket ... LIMIT. */
static void
add_ordered_path(Grouping *g, RelOptInfo *grouped_rel, Cost reading, List *having)
{
	Query	   *parse = g->root->parse;
	List	   *pathkeys = g->root->sort_pathkeys;
	int			order = wanted_order(g);
	CustomPath *cpath;
	int64		limit;
	ListCell   *lc;

	if (order == 0 || parse->limitCount == NULL ||
		parse->hasWindowFuncs || parse->distinctClause != NIL || g->has_counters ||
		g->conds.labels != NIL)
		return;
	foreach(lc, g->label_keys)
	{
		if (!ms_agg_is_safe(lfirst(lc)))
			return;
	}
	limit = constant_limit(parse->limitCount, 16) + constant_limit(parse->limitOffset, 0);
	limit = (int64) ceil(Max(limit, 1) / g->label_groups);
	if (list_length(pathkeys) > 1)
		limit++;				/* the bucket after tells that one is complete */

	cpath = make_agg_path(grouped_rel, grouped_rel->reltarget, g, order, (int) Min(limit, 100000), 0);
	set_cost(cpath, g, reading, g->groups, having);
	/* several slices cost a little more, but not before they are asked for */
	cpath->path.total_cost += 0.1 * reading;
	cpath->path.startup_cost = g->prel->stats.series * SERIES_COST;
	cpath->path.pathkeys = list_make1(linitial(pathkeys));
	add_path(grouped_rel, (Path *) cpath);
}

/* For everything else.  If there is one group per bucket, they come in the order wanted. */
static void
add_plain_path(Grouping *g, RelOptInfo *grouped_rel, PathTarget *target, Cost reading, List *having)
{
	int			order = g->label_keys == NIL && list_length(g->keys) == 1 ? wanted_order(g) : 0;
	CustomPath *cpath = make_agg_path(grouped_rel, target, g, order, 0, 0);

	set_cost(cpath, g, reading, g->groups, having);
	if (order != 0)
	{
		cpath->path.startup_cost += SORT_COST * g->groups * (1 + log2(g->groups));
		cpath->path.total_cost += SORT_COST * g->groups * (1 + log2(g->groups));
		cpath->path.pathkeys = list_make1(linitial(g->root->sort_pathkeys));
	}
	add_path(grouped_rel, (Path *) cpath);
}

/* Workers that give partial states. */
static void
add_parallel_path(Grouping *g, RelOptInfo *grouped_rel, GroupPathExtraData *extra, List *having)
{
	PlannerInfo *root = g->root;
	RelOptInfo *partial_rel = fetch_upper_rel(root, UPPERREL_PARTIAL_GROUP_AGG, grouped_rel->relids);
	List	   *group_clause = ms_group_clause(root);
	Grouping	partial = *g;
	CustomPath *cpath;
	Path	   *scan;
	Path	   *gather;
	int			workers;
	double		divisor;
	double		rows;

	if (!g->rel->consider_parallel || !extra->partial_costs_set || g->has_counters ||
		partial_rel->reltarget == NULL || partial_rel->reltarget->exprs == NIL ||
		g->rel->partial_pathlist == NIL ||
		!take_output(&partial, partial_rel->reltarget, NULL))
		return;
	scan = linitial(g->rel->partial_pathlist);
	if (scan->parallel_workers < 1)
		return;
	workers = ms_worthwhile_workers(scan->parallel_workers, reading_cost(&partial, scan, 1));
	divisor = ms_parallel_divisor(workers);

	cpath = make_agg_path(partial_rel, partial_rel->reltarget, &partial, 0, 0, workers);
	/* a group may come from every process, unless it has a single series */
	rows = clamp_row_est(Min(g->groups, g->rel->rows / divisor));
	set_cost(cpath, &partial, reading_cost(&partial, scan, divisor), rows, NIL);
	cpath->path.total_cost += rows * list_length(partial.aggs) * PARTIAL_COST;
	rows *= workers + 1;
	gather = (Path *) create_gather_path(root, partial_rel, (Path *) cpath,
										 partial_rel->reltarget, NULL, &rows);
	add_path(grouped_rel, (Path *)
			 create_agg_path(root, grouped_rel, gather, grouped_rel->reltarget,
							 root->parse->groupClause != NIL ? AGG_HASHED : AGG_PLAIN,
							 AGGSPLIT_FINAL_DESERIAL, group_clause, having,
							 &extra->agg_final_costs, g->groups));
}

/* Adds what paths there are to a grouped relation, or to a distinct one, which has no extra. */
static void
add_paths(PlannerInfo *root, RelOptInfo *rel, RelOptInfo *grouped_rel, GroupPathExtraData *extra)
{
	Grouping	g;
	PathTarget *target = extra ? grouped_rel->reltarget : rel->cheapest_total_path->pathtarget;
	List	   *having = extra ? (List *) extra->havingQual : NIL;
	Cost		reading;
	CustomPath *scan;

	if (!take_query(&g, root, rel, extra == NULL) ||
		!take_output(&g, target, (Node *) having))
		return;
	look_at_aggs(&g);
	estimate_groups(&g);

	if (extra != NULL)
		add_parallel_path(&g, grouped_rel, extra, having);
	scan = ms_make_scan_path(root, rel, g.prel, MS_ORDER_SERIES);
	reading = reading_cost(&g, &scan->path, 1);
	if (extra != NULL)
		add_ordered_path(&g, grouped_rel, reading, having);
	if (fits_memory(&g))
		add_plain_path(&g, grouped_rel, target, reading, having);
}

static void
create_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
				   RelOptInfo *output_rel, void *extra)
{
	Query	   *parse = root->parse;

	if (prev_create_upper_paths_hook)
		prev_create_upper_paths_hook(root, stage, input_rel, output_rel, extra);
	if (!ms_enable_customscan || !ms_enable_aggregates ||
		!(stage == UPPERREL_GROUP_AGG ? extra != NULL :
		  stage == UPPERREL_DISTINCT && parse->distinctClause != NIL && !parse->hasDistinctOn) ||
		parse->groupingSets != NIL || parse->hasTargetSRFs ||
		input_rel->joininfo != NIL || !bms_is_empty(input_rel->lateral_relids) ||
		!ms_is_scan_rel(root, input_rel))
		return;
	add_paths(root, input_rel, output_rel, stage == UPPERREL_GROUP_AGG ? extra : NULL);
}

/* ---- from path to plan ---- */

/* Adds expressions to the plan's list; returns how many. */
static int
add_to_tlist(CustomScan *cscan, List *exprs)
{
	ListCell   *lc;

	foreach(lc, exprs)
		cscan->custom_scan_tlist = lappend(cscan->custom_scan_tlist,
										   makeTargetEntry((Expr *) copyObject(lfirst(lc)),
														   list_length(cscan->custom_scan_tlist) + 1,
														   NULL, false));
	return list_length(exprs);
}

static bool
collect_params(Node *node, List **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		*params = list_append_unique(*params, node);
	return expression_tree_walker(node, collect_params, params);
}

static Plan *
plan_agg(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist, List *clauses,
		 List *custom_plans)
{
	List	   *private = best_path->custom_private;
	bool		partial = list_nth_int(private, PATH_PARTIAL);
	Index		relid = list_nth_int(private, PATH_RELID);
	bool		distinct = list_nth_int(private, PATH_DISTINCT);
	List	   *having = partial || distinct ? NIL : (List *) root->parse->havingQual;
	CustomScan *cscan = makeNode(CustomScan);
	List	   *counts = NIL;
	Grouping	g;

	(void) rel;
	(void) clauses;
	(void) custom_plans;
	if (!take_query(&g, root, root->simple_rel_array[relid], distinct) ||
		!take_output(&g, best_path->path.pathtarget, (Node *) having))
		elog(ERROR, "could not make a %s plan", MS_AGG_NAME);

	/* in the order of MsAggPrivate */
	counts = lappend_int(counts, add_to_tlist(cscan, g.keys));
	counts = lappend_int(counts, add_to_tlist(cscan, g.aggs));
	counts = lappend_int(counts, add_to_tlist(cscan, extract_actual_clauses(g.conds.safe, false)));
	counts = lappend_int(counts, add_to_tlist(cscan, extract_actual_clauses(g.conds.labels, false)));
	counts = lappend_int(counts, add_to_tlist(cscan, extract_actual_clauses(g.conds.times, false)));
	counts = lappend_int(counts, add_to_tlist(cscan, extract_actual_clauses(g.conds.rest, false)));
	counts = lappend_int(counts, list_nth_int(private, PATH_ORDER));
	counts = lappend_int(counts, list_nth_int(private, PATH_LIMIT));
	counts = lappend_int(counts, partial);
	Assert(list_length(counts) == MS_NUM_AGGP);

	cscan->scan.plan.targetlist = tlist;
	cscan->scan.plan.qual = having;
	cscan->scan.scanrelid = relid;
	cscan->flags = best_path->flags;
	cscan->methods = &ms_agg_scan_methods;
	cscan->custom_private = list_make2(counts, g.eqops);
	collect_params((Node *) cscan->custom_scan_tlist, &cscan->custom_exprs);
	return &cscan->scan.plan;
}

/* Puts the planner hook in place. */
void
ms_aggpaths_init(void)
{
	prev_create_upper_paths_hook = create_upper_paths_hook;
	create_upper_paths_hook = create_upper_paths;
}
