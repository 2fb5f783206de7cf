/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  What the files of the custom scan share; private to src/exec.
 *
 * conditions.c	sorts a relation's conditions
 * implied.c		finds what row by row conditions say of labels and the time
 * timerange.c	turns conditions on the time into a range
 * cost.c		what reading costs
 * relstats.c	tells the planner of labels and times
 * paths.c		offers paths to the planner and makes plans of them
 * orderpaths.c	offers those in the order of time, and for single rows
 * node.c		runs a plan
 * rows.c		goes from the blocks of a series to rows
 * batch.c		decodes a block column by column
 * series.c		goes from series to series
 * labelcodes.c	finds series by the codes of their labels
 * labelterm.c	tells which codes meet a condition
 * labelorder.c	sorts the values of a label
 * codeindex.c	remembers which series have a code
 * seriesorder.c	reads series in the order of labels
 * labelindex.c	finds series by a label, in scans that run many times
 * labelwalk.c	visits series in the order of a label
 * sorted.c		reads in the order of time
 * lastrow.c	reads one row of each series, or value of a label
 * step.c		goes through one series row by row
 * parallel.c	lets several processes share one scan
 * refetch.c	finds a row again, by its tid
 * explain.c	shows it
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SCAN_H
#define MS_SCAN_H

#include "access/attnum.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"

#include "am/reldesc.h"
#include "core/valuecodec.h"
#include "store/cursor.h"
#include "store/stats.h"

#define MS_SCAN_NAME	"MemseriesScan"

/* ---- planning ---- */

/*
 * The conditions on a relation, sorted by who evaluates them and when.
 * Lists of RestrictInfo, each in the order given.
 */
typedef struct MsConditions
{
	List	   *safe;			/* on labels alone; cannot fail */
	List	   *labels;			/* on labels alone; may raise an error */
	List	   *times;			/* bounds of the time */
	List	   *rest;			/* PostgreSQL evaluates these, row by row */
} MsConditions;

/* The kinds in the order in which a plan's custom_exprs has them. */
typedef enum MsExprKind
{
	MS_EXPR_SAFE = 0,
	MS_EXPR_LABEL,
	MS_EXPR_TIME,
	MS_NUM_EXPR_KINDS
} MsExprKind;

/*
 * A plan's custom_private is a list of integers: how many expressions there
 * are of each kind, whether rows may have to be fetched again, the order, and
 * the labels by which series are sorted, as an MsLabelKey has them, or the label by
 * which they are visited (MsWalkPlace), if there are any.
 * A path's has the order and these alone.
 */
#define MS_PRIVATE_REFETCH	MS_NUM_EXPR_KINDS
#define MS_PRIVATE_ORDER	(MS_NUM_EXPR_KINDS + 1)
#define MS_PRIVATE_KEYS		(MS_NUM_EXPR_KINDS + 2)

/* A label by which series are sorted. */
typedef struct MsLabelKey
{
	AttrNumber	att;
	Oid			op;				/* ordering operator */
	Oid			collation;
	bool		nulls_first;
} MsLabelKey;

/* In which order rows come, and which. */
typedef enum MsScanOrder
{
	MS_ORDER_SERIES = 0,		/* series by series, times ascending in each */
	MS_ORDER_LABELS,			/* the same, sorted by labels */
	MS_ORDER_LABELS_TIME,		/* and rows of equal ones by time */
	MS_ORDER_TIME,				/* by time */
	MS_ORDER_TIME_DESC,
	MS_ORDER_FIRST,				/* only the oldest row of each series that
								 * meets the conditions; if there is a label,
								 * of each of its values, by these */
	MS_ORDER_LAST,				/* only the newest */
	MS_ORDER_LABEL				/* by a label */
} MsScanOrder;

/* About how many rows the first slice of a scan by time has. */
#define MS_FIRST_ROWS	512

/*
 * What the planner needs to know of a relation, gathered once per relation and
 * query: it is kept in RelOptInfo.fdw_private, which serves foreign tables only.
 */
typedef struct MsPlanRel
{
	AttrNumber	time_att;
	Bitmapset  *label_atts;		/* offset as pull_varattnos has them */
	MsTableStats stats;
	List	   *clauses;		/* borrowed: the relation's own conditions... */
	int			nclauses;
	MsConditions conds;			/* ...sorted */
	double		label_sel;		/* what share of series has labels that fit */
	double		time_sel;		/* what share of samples is of the time */
	List	   *values;			/* of conds.rest, those on values that are met
								 * a block at a time */
	double		value_sel;		/* what share of samples meets them */
} MsPlanRel;

/* conditions.c */
extern Bitmapset *ms_label_atts(const MsRelDesc *desc);
extern const MsPlanRel *ms_plan_rel(PlannerInfo *root, RelOptInfo *rel);
extern void ms_conditions_sort(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
							   List *rinfos, MsConditions *out);

extern bool ms_is_label_condition(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
								  Node *clause);
extern List *ms_value_conditions(RelOptInfo *rel, const MsPlanRel *prel, List *rinfos);

/* implied.c: clauses that hold wherever this one does, which is asked of rows. */
extern List *ms_implied_conditions(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel,
								   Node *clause);

/* timerange.c */
typedef struct MsTimeBound MsTimeBound;

extern bool ms_timerange_takes(Expr *clause, Index relid, AttrNumber time_att);
extern bool ms_timerange_match(Expr *clause, Index relid, AttrNumber time_att, int *strategy,
							   Expr **operand);
extern List *ms_timerange_init(List *clauses, Index relid, AttrNumber time_att, PlanState *parent);
extern bool ms_timerange_eval(List *bounds, ExprContext *econtext, int64 *lo, int64 *hi);

/* cost.c */
extern double ms_parallel_divisor(int workers);
extern int	ms_worthwhile_workers(int most, Cost cost);
extern double ms_scan_pages(RelOptInfo *rel, const MsPlanRel *prel);
extern void ms_sorted_cost(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Path *path);
extern double ms_slice_rows(int ncolumns);
extern void ms_walk_cost(const MsPlanRel *prel, Path *path);
extern void ms_scan_cost(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel, Path *path);

/* paths.c */
extern void ms_paths_init(void);
extern CustomPath *ms_make_scan_path(PlannerInfo *root, RelOptInfo *rel,
									 const MsPlanRel *prel, MsScanOrder order);
extern bool ms_is_scan_rel(PlannerInfo *root, RelOptInfo *rel);

/* relstats.c */
extern void ms_relstats_init(void);

/* orderpaths.c */
extern void ms_orderpaths_init(void);
extern void ms_add_sorted_paths(PlannerInfo *root, RelOptInfo *rel, const MsPlanRel *prel);

/* ---- execution ---- */

/* What EXPLAIN ANALYZE shows. All are sums over rescans and processes. */
typedef enum MsScanCounter
{
	MS_COUNT_STARTS = 0,		/* scans begun; 0: nothing is known */
	MS_COUNT_SERIES_READ,
	MS_COUNT_SERIES_SKIPPED,
	MS_COUNT_CHUNKS_READ,
	MS_COUNT_CHUNKS_SKIPPED,
	MS_COUNT_CHUNKS_SUMMARIZED,
	MS_COUNT_BLOCKS_READ,
	MS_COUNT_BLOCKS_SKIPPED,
	MS_COUNT_BLOCKS_SUMMARIZED,
	MS_COUNT_PIECES_READ,
	MS_COUNT_SAMPLES_READ,
	MS_COUNT_SAMPLES_SKIPPED,
	MS_NUM_SCAN_COUNTERS
} MsScanCounter;

/*
 * What the processes of a parallel scan share, in the query's dynamic shared
 * memory.  Atomics, no lock.
 */
typedef struct MsScanShared
{
	uint32		batch;			/* constant: series ids claimed at a time */
	pg_atomic_uint32 next;		/* first series id nobody has claimed */
	pg_atomic_uint64 counters[MS_NUM_SCAN_COUNTERS];
} MsScanShared;

typedef struct MsRefetch MsRefetch;
typedef struct MsLabelIndex MsLabelIndex;
typedef struct MsLabelCodes MsLabelCodes;
typedef struct MsLabelWalk MsLabelWalk;
typedef struct MsSeriesOrder MsSeriesOrder;
typedef struct MsSorted MsSorted;
typedef struct MsStepper MsStepper;
typedef struct MsRowReader MsRowReader;

/* A value column that is needed, and what the batch at hand has of it. */
typedef struct MsScanColumn
{
	int			att;			/* attribute number - 1 */
	int			ordinal;		/* of the value, in the cursor's rows */
	bool		is_float4;

	bool		loaded;			/* values and nulls are the batch's */
	bool		summarized;		/* as is summary */
	const double *values;
	const bool *nulls;			/* NULL: there are none */
	MsSummary	summary;
	double	   *value_room;		/* NULL: not needed yet; [MS_BLOCK_ROWS], as
								 * is... */
	bool	   *null_room;
} MsScanColumn;

/*
 * Rows of one series in ascending time: a block of a plain part, or some
 * decoded rows.  At most MS_BLOCK_ROWS.
 */
typedef struct MsBatch
{
	int			n;
	const int64 *times;			/* NULL: not decoded yet */
	const MsChunk *chunk;		/* of a block; NULL: decoded rows */
	const MsBlockInfo *block;
	const MsRows *rows;			/* of decoded rows */
	int			row;			/* the first of them */
	bool		decoded;		/* some column was */
	bool		spared;			/* some was not, though its rows are of
								 * several groups */
	bool		one_group;		/* so that of a column one row may be enough */
	int64		time_room[MS_BLOCK_ROWS];
} MsBatch;

typedef struct MsScanState MsScanState;

struct MsScanState
{
	CustomScanState css;		/* must be first */

	/* Constant after begin. */
	MsRelDesc  *desc;			/* owned; its table is refreshed at rescan */
	MsScanOrder order;
	List	   *exprs[MS_NUM_EXPR_KINDS];	/* borrowed, for EXPLAIN */
	ExprState  *safe_qual;		/* NULL: none */
	ExprState  *label_qual;		/* NULL: none */
	List	   *label_keys;		/* of MsLabelKey, by which series are sorted */
	bool		analyze;		/* somebody will look at the counters */
	bool		row_slots;		/* rows are handed out in slots of rowslot.c */
	TupleTableSlot *row_slot;	/* borrowed: where conditions look at a row of
								 * the relation */
	List	   *bounds;			/* of MsTimeBound */
	int			ncolumns;
	MsScanColumn *columns;		/* the needed values; their ordinals are
								 * refreshed at rescan */
	bool	   *need;			/* by value ordinal; likewise */
	MemoryContext scan_cxt;		/* holds the cursor */
	MemoryContext series_cxt;	/* label datums of the current series */

	/* The scan under way. */
	bool		started;
	bool		done;
	bool		standing;		/* the cursor stands on a series */
	int64		lo;				/* times in [lo, hi) */
	int64		hi;
	MsCursor   *cursor;			/* owned; NULL: the table is empty */
	uint32		limit;			/* series ids are below this */
	uint32		next;			/* next series of ours... */
	uint32		claimed;		/* ...which ends here */
	uint32		sid;			/* the series at hand */
	MsLabelIndex *index;		/* owned; NULL: no condition to look series up
								 * by */
	bool		indexed;		/* this scan is led by the index */
	MsLabelCodes *codes;		/* owned; likewise */
	bool		coded;			/* this scan is led by codes */
	MsSeriesOrder *series_order;	/* owned; NULL: series come as they are... */
	bool		listing;		/* ...as they do while they are listed */
	MsRowReader *reader;		/* owned; of a scan by series */
	MsLabelWalk *walk;			/* owned; of a scan by a label */
	bool		walking;		/* this scan is led by it */
	MsSorted   *sorted;			/* owned; of a scan by time */
	MsStepper  *step;			/* owned; for rows one by one... */
	struct MsPredSet *step_filter;	/* ...that meet these; NULL: all */
	bool		step_filter_started;	/* what is constant in the scan is
										 * known */
	uint32		kept;			/* lastrow.c: a series to come back to */

	/* The rows at hand. */
	MsBatch		batch;
	MsRows		rows;			/* the cursor's, or the batch's */
	int			row;
	Datum	   *template_values;	/* a row with the labels at hand */
	bool	   *template_isnull;

	/* Bookkeeping. */
	MsRefetch  *refetch;		/* owned by the query; NULL: not needed */
	MsScanShared *shared;		/* borrowed; NULL: not parallel */
	MsCursorStats seen;			/* of the cursor, as far as counted */
	uint64		counters[MS_NUM_SCAN_COUNTERS]; /* not yet added to shared */
	uint64		totals[MS_NUM_SCAN_COUNTERS];	/* of shared scans that ended */
};

/* Sets what row number `row` has for a needed value. */
static inline void
ms_scan_value(const MsRows *rows, int row, int ordinal, bool is_float4,
			  Datum *value, bool *isnull)
{
	const bool *nulls = rows->nulls ? rows->nulls[ordinal] : NULL;
	double		v;

	*isnull = nulls != NULL && nulls[row];
	if (*isnull)
		return;
	v = rows->values[ordinal][row];
	*value = is_float4 ? Float4GetDatum(ms_float4_narrow(v)) : Float8GetDatum(v);
}

/* node.c */
extern const CustomScanMethods ms_scan_methods;
extern void ms_scan_find_columns(MsScanState *state, List *exprs);
extern void ms_scan_prepare(MsScanState *state, EState *estate);
extern void ms_scan_close(MsScanState *state);
extern void ms_scan_start(MsScanState *state);

/* rows.c */
extern MsRowReader *ms_rows_create(MsScanState *state, bool with_filter);
extern struct MsPredSet *ms_rows_prefilter(MsScanState *state);
extern void ms_rows_reset(MsRowReader *reader);
extern void ms_rows_start(MsScanState *state);
extern bool ms_rows_next(MsScanState *state, TupleTableSlot *slot);

/* batch.c */
extern void ms_batch_begin(MsScanState *state, MsBatch *batch, int n);
extern const int64 *ms_batch_times(MsScanState *state, MsBatch *batch);
extern void ms_batch_load(MsScanState *state, MsBatch *batch, MsScanColumn *column);
extern void ms_batch_value(MsScanState *state, MsBatch *batch, MsScanColumn *column, int row,
						   double *value, bool *isnull);
extern bool ms_batch_summary(MsScanState *state, MsBatch *batch, MsScanColumn *column);
extern bool ms_batch_totals(MsScanState *state, MsBatch *batch, MsScanColumn *column);
extern bool ms_batch_run_totals(MsScanState *state, MsBatch *batch, MsScanColumn *column,
								const int *bounds, int nruns, MsSummary *results);
extern void ms_batch_fill_row(MsScanState *state, MsBatch *batch, int row);
extern void ms_scan_fill_time(MsScanState *state, int64 t);

/* series.c */
extern bool ms_scan_load_labels(MsScanState *state, uint32 sid);
extern bool ms_scan_next_series(MsScanState *state);
extern bool ms_scan_next_labels(MsScanState *state);

/* labelindex.c */
extern MsLabelIndex *ms_labelindex_create(MsScanState *state, Index relid);
extern bool ms_labelindex_start(MsScanState *state);
extern bool ms_labelindex_next(MsScanState *state, uint32 *sid);
extern void ms_labelindex_reset(MsScanState *state);

/* labelcodes.c */
extern MsLabelCodes *ms_labelcodes_create(MsScanState *state, Index relid);
extern bool ms_labelcodes_start(MsScanState *state);
extern bool ms_labelcodes_start_among_all(MsScanState *state);
extern bool ms_labelcodes_next(MsScanState *state, uint32 *sid);

/* seriesorder.c */
extern MsSeriesOrder *ms_seriesorder_create(MsScanState *state);
extern void ms_seriesorder_start(MsScanState *state);
extern bool ms_seriesorder_next(MsScanState *state, uint32 *sid);
extern bool ms_seriesorder_next_row(MsScanState *state, TupleTableSlot *slot);
extern void ms_seriesorder_reset(MsScanState *state);

/* sorted.c */
extern void ms_sorted_start(MsScanState *state);
extern bool ms_sorted_next(MsScanState *state, TupleTableSlot *slot);
extern void ms_sorted_end(MsScanState *state);

/* step.c */
extern void ms_step_start(MsScanState *state, bool backward);
extern bool ms_step_next(MsScanState *state);
extern void ms_step_fill_slot(MsScanState *state, TupleTableSlot *slot);

/* lastrow.c */
extern TupleTableSlot *ms_lastrow_exec(MsScanState *state);

/* parallel.c */
extern bool ms_scan_claim(MsScanState *state);
extern void ms_scan_publish(MsScanState *state);
extern Size ms_scan_estimate_dsm(CustomScanState *node, ParallelContext *pcxt);
extern void ms_scan_initialize_dsm(CustomScanState *node, ParallelContext *pcxt, void *coordinate);
extern void ms_scan_reinitialize_dsm(CustomScanState *node, ParallelContext *pcxt, void *coordinate);
extern void ms_scan_initialize_worker(CustomScanState *node, shm_toc *toc, void *coordinate);
extern void ms_scan_shutdown(CustomScanState *node);

/* refetch.c */
extern bool ms_refetch_row(Relation rel, ItemPointer tid, TupleTableSlot *slot);
extern MsRefetch *ms_refetch_begin(EState *estate, Oid relid);
extern void ms_refetch_batch(MsRefetch *refetch, MsTable *table, uint32 sid, int64 from);
extern void ms_refetch_tid(const MsRefetch *refetch, int row, ItemPointer tid);

/* explain.c */
extern void ms_scan_explain(CustomScanState *node, List *ancestors, struct ExplainState *es);
extern void ms_scan_explain_conditions(CustomScanState *node, List *ancestors,
									   struct ExplainState *es);
extern void ms_scan_explain_counters(CustomScanState *node, bool summaries,
									 struct ExplainState *es);
extern void ms_scan_show_keys(const char *label, List *exprs, CustomScanState *node,
							  List *ancestors, struct ExplainState *es);
extern void ms_scan_show_conditions(const char *label, List *exprs, CustomScanState *node,
									List *ancestors, struct ExplainState *es);

#endif							/* MS_SCAN_H */
