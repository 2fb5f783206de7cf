/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What a custom scan costs.
 *
 * The work of a scan is: its label conditions, once per series; finding the
 * chunks of the series that are left, once per series and window; decoding
 * the samples of their range, where conditions on values are met; and making
 * rows of those that are left, on which the remaining conditions run.  The
 * plain scan does all of that for every sample, so it is never cheaper, and
 * paths.c simply drops it; what matters here is how the scan compares with
 * other ways to do the same join, and whether it is worth being shared among
 * processes.
 *
 * The unit is PostgreSQL's: decoding a value costs a fraction of an operator,
 * a row about half of a heap tuple (nothing is tested for visibility).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"

#include "exec/labelterm.h"

#define VALUE_COST		(0.1 * cpu_operator_cost)	/* decode a value or time */
#define CHUNK_COST		(10.0 * cpu_operator_cost)	/* find and copy a chunk */
#define EDGE_COST		(4.0 * cpu_operator_cost)	/* see how far a series
													 * reaches */
#define SLICE_COST		(50.0 * cpu_operator_cost)	/* read a slice of a
													 * series */
#define SERIES_COST		(2.0 * cpu_operator_cost)	/* look at labels */
#define WALK_COST		(0.02 * cpu_operator_cost)	/* put a series into its
													 * place */
#define LOOKUP_COST		(50.0 * cpu_operator_cost)	/* find series by a label */
#define ROW_COST		(0.5 * cpu_tuple_cost)	/* hand out a row */

#define LEAST_SLICE		65536	/* rows, whatever work_mem is */
#define SLICE_ROW_BYTES	32		/* beside values */

/* How PostgreSQL expects the leader to share in the work. */
double
ms_parallel_divisor(int workers)
{
	double		divisor = workers;

	if (parallel_leader_participation && workers < 4)
		divisor += 1.0 - 0.3 * workers;
	return divisor;
}

/*
 * How many of so many workers to start for what takes one process this cost.
 * Each takes its time to start, say parallel_setup_cost: n processes then take
 * cost / n and n times that, which is least for n = sqrt(cost /
 * parallel_setup_cost).  At least one.
 */
int
ms_worthwhile_workers(int most, Cost cost)
{
	double		workers = most;

	if (parallel_setup_cost > 0)
		workers = sqrt(cost / parallel_setup_cost) - (parallel_leader_participation ? 1 : 0);
	return (int) Max(1, Min(rint(workers), most));
}

/* Number of value columns wanted, at most that of the row. */
static int
wanted_columns(const RelOptInfo *rel)
{
	int			n = 1;

	for (int i = Max(rel->min_attr, 1); i <= rel->max_attr; i++)
	{
		if (!bms_is_empty(rel->attr_needed[i - rel->min_attr]))
			n++;
	}
	return n;
}

/*
 * How much a scan without parameters has to go through, in pages of the size
 * its samples have once decoded.  Compressed, a table is so much smaller than
 * the work it makes that its own size would say little about how many
 * processes are worth it.
 */
double
ms_scan_pages(RelOptInfo *rel, const MsPlanRel *prel)
{
	return ceil(rel->tuples * prel->label_sel * prel->time_sel *
				wanted_columns(rel) * sizeof(double) / BLCKSZ);
}

/* How many rows a slice of a scan by time has, if it goes on for long: half of what fits into work_mem, or LEAST_SLICE. */
double
ms_slice_rows(int ncolumns)
{
	Size		row = SLICE_ROW_BYTES + ncolumns * (sizeof(double) + sizeof(bool));

	return Max(LEAST_SLICE, Min(work_mem * 1024.0 / row / 2, PG_INT32_MAX / 4));
}

/*
 * Adds to the cost of a scan without parameters what it takes to have its rows in the order of time: a look at each series
 * before anything, and each slice of time a block of each.  All samples become rows, of which conditions on values are
 * asked.
 */
void
ms_sorted_cost(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Path *path)
{
	double		all = Max(prel->stats.series, 1);
	double		series = ceil(all * prel->label_sel);
	double		samples = rel->tuples * prel->label_sel * prel->time_sel;
	double		slices = Max(prel->stats.windows, path->rows / ms_slice_rows(wanted_columns(rel)));
	Cost		per_series = SLICE_COST +
	Min(MS_BLOCK_ROWS, rel->tuples / all) * wanted_columns(rel) * VALUE_COST;
	QualCost	value_cost;

	cost_qual_eval(&value_cost, prel->values, root);
	path->startup_cost += series * EDGE_COST + Min(series, MS_FIRST_ROWS) * per_series;
	path->total_cost += series * EDGE_COST + slices * series * per_series +
		path->rows * (cpu_tuple_cost + 2.0 * cpu_operator_cost) +
		samples * ((1 - prel->value_sel) * ROW_COST + value_cost.per_tuple);
}

/* Adds to the cost of a scan without parameters what it takes to visit series in the order of a label. */
void
ms_walk_cost(const MsPlanRel *prel, Path *path)
{
	double		series = Max(prel->stats.series, 1) * prel->label_sel;

	path->startup_cost += LOOKUP_COST + series * WALK_COST;
	path->total_cost += LOOKUP_COST + series * WALK_COST;
}

/* Can series be looked up by one of these conditions? */
static bool
is_lookup(RelOptInfo *rel, List *rinfos)
{
	ListCell   *lc;

	foreach(lc, rinfos)
	{
		if (ms_labelterms((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid) != NIL)
			return true;
	}
	return false;
}

/*
 * Sets rows and costs of a path of rel, whose param_info, parallel_workers
 * and pathtarget are set.
 */
void
ms_scan_cost(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Path *path)
{
	ParamPathInfo *param_info = path->param_info;
	MsConditions conds = prel->conds;
	QualCost	label_cost;
	QualCost	rest_cost;
	double		label_sel = prel->label_sel;
	double		time_sel = prel->time_sel;
	List	   *values = prel->values;
	double		value_sel = prel->value_sel;
	double		series = Max(prel->stats.series, 1);
	double		samples;
	Cost		startup;
	Cost		run;

	if (param_info)
	{
		ms_conditions_sort(root, rel, prel,
						   list_concat_copy(rel->baserestrictinfo, param_info->ppi_clauses), &conds);
		label_sel = clauselist_selectivity(root, list_concat_copy(conds.safe, conds.labels),
										   rel->relid, JOIN_INNER, NULL);
		time_sel = clauselist_selectivity(root, conds.times, rel->relid, JOIN_INNER, NULL);
		values = ms_value_conditions(rel, prel, conds.rest);
		value_sel = clauselist_selectivity(root, values, rel->relid, JOIN_INNER, NULL);
	}
	samples = clamp_row_est(rel->tuples * label_sel * time_sel);

	cost_qual_eval(&label_cost, list_concat_copy(conds.safe, conds.labels), root);
	cost_qual_eval(&rest_cost, list_difference_ptr(conds.rest, values), root);

	startup = label_cost.startup + rest_cost.startup;
	if (is_lookup(rel, conds.safe) || is_lookup(rel, conds.labels))
		run = LOOKUP_COST + ceil(series * label_sel) * (SERIES_COST + label_cost.per_tuple);
	else
		run = series * (SERIES_COST + label_cost.per_tuple);
	run += ceil(series * label_sel) * ceil(prel->stats.windows * time_sel) * CHUNK_COST;
	run += samples * (wanted_columns(rel) + list_length(values)) * VALUE_COST;
	run += samples * value_sel * (ROW_COST + rest_cost.per_tuple);

	path->rows = param_info ? param_info->ppi_rows : rel->rows;
	if (path->parallel_workers > 0)
	{
		double		divisor = ms_parallel_divisor(path->parallel_workers);

		path->rows = clamp_row_est(path->rows / divisor);
		run /= divisor;
	}
	startup += path->pathtarget->cost.startup;
	run += path->pathtarget->cost.per_tuple * path->rows;

	path->startup_cost = startup;
	path->total_cost = startup + run;
}
