/*-------------------------------------------------------------------------
 *
 * agg.h
 *	  What the files of aggregation inside the scan share; private to src/exec.
 *
 * aggmatch.c	tells which keys, aggregates and conditions can be taken
 * aggtime.c	tells which functions of the time are constant over buckets
 * aggpaths.c	offers paths to the planner and makes plans of them
 * aggnode.c	runs a plan: which series when, groups as rows
 * aggscan.c	goes through the blocks of a series
 * aggpred.c	selects rows of a block
 * timememo.c	remembers which times were selected
 * calc.c		compiles expressions of values
 * calceval.c	evaluates them
 * aggbucket.c	cuts time into buckets
 * agggroup.c	finds groups by their keys
 * aggstate.c	what is kept for a group
 * aggmath.c	sums and ranges of arrays of values
 * aggresult.c	from what is kept to results
 * counter.c	increase, rate, delta
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_AGG_H
#define MS_AGG_H

#include "exec/counter.h"
#include "exec/edge.h"
#include "exec/exec.h"
#include "exec/scan.h"

#define MS_AGG_NAME	"MemseriesAggregate"

/* ---- matching: aggmatch.c ---- */

/* The relation that is aggregated. */
typedef struct MsAggRel
{
	Index		relid;
	AttrNumber	time_att;
	Bitmapset  *label_atts;		/* offset as pull_varattnos has them */
} MsAggRel;

typedef enum MsKeyKind
{
	MS_KEY_NONE = 0,			/* cannot be taken */
	MS_KEY_LABEL,				/* depends on labels alone */
	MS_KEY_TIME					/* depends on buckets of the time alone */
} MsKeyKind;

/* A function that cuts time into buckets. */
typedef struct MsBucketFn
{
	Expr	   *expr;			/* of the time */
	int64		length;			/* of a bucket, or a little less; > 0 */
	bool		zoned;			/* depends on a time zone... */
	const char *zone;			/* ...this one; NULL: the session's */
	bool		even;			/* but for shifts of the zone, its buckets
								 * have just this length */
} MsBucketFn;

typedef enum MsAggKind
{
	MS_AGG_COUNT = 0,			/* rows */
	MS_AGG_COUNT_LABEL,			/* rows whose label is not null */
	MS_AGG_COUNT_DISTINCT,		/* different labels, but for null */
	MS_AGG_MIN_TIME,
	MS_AGG_MAX_TIME,
	MS_AGG_BOOL_AND,
	MS_AGG_BOOL_OR,
	/* of a value: */
	MS_AGG_COUNT_VALUE,
	MS_AGG_SUM,
	MS_AGG_AVG,
	MS_AGG_SUM_INT,				/* of integers, which an expression makes */
	MS_AGG_AVG_INT,
	MS_AGG_MIN,
	MS_AGG_MAX,
	MS_AGG_VAR_POP,
	MS_AGG_VAR_SAMP,
	MS_AGG_STDDEV_POP,
	MS_AGG_STDDEV_SAMP,
	MS_AGG_FIRST,
	MS_AGG_LAST,
	MS_AGG_INCREASE,
	MS_AGG_RATE,
	MS_AGG_DELTA
} MsAggKind;

typedef struct MsAggMatch
{
	MsAggKind	kind;
	AttrNumber	att;			/* the value, if it is of one */
	Oid			eqop;			/* of COUNT_DISTINCT */
	Expr	   *arg;			/* of COUNT_LABEL and BOOL; or the value, if
								 * it is an expression */
	List	   *filter;			/* conditions, ANDed */
} MsAggMatch;

typedef enum MsPredKind
{
	MS_PRED_NONE = 0,			/* cannot be taken */
	MS_PRED_COMPARE,			/* value op constant */
	MS_PRED_NULLTEST,			/* value IS [NOT] NULL */
	MS_PRED_TIME,				/* a bound of the time */
	MS_PRED_AMONG,				/* the time is one of some */
	MS_PRED_LABEL,				/* on labels alone; cannot fail */
	MS_PRED_OR,					/* one of some sets of the above holds */
	MS_PRED_CALC,				/* an expression for calc.c */
	MS_PRED_WHEN,				/* anything else about the time */
	MS_PRED_ROW					/* anything else about the row */
} MsPredKind;

/* How a condition is met.  In MsPredMatch.op, a btree strategy, or: */
#define MS_OP_NOT_EQUAL		0

typedef struct MsPredMatch
{
	MsPredKind	kind;
	AttrNumber	att;			/* COMPARE, NULLTEST */
	int			op;				/* COMPARE */
	Expr	   *operand;		/* COMPARE: Const or Param */
	bool		is_null;		/* NULLTEST: IS NULL */
} MsPredMatch;

extern Node *ms_agg_strip_relabel(Node *node);
extern bool ms_agg_match_column(const MsAggRel *rel, Node *node, AttrNumber *att);
extern MsKeyKind ms_agg_match_key(const MsAggRel *rel, Expr *expr, List **buckets);
extern bool ms_agg_match(const MsAggRel *rel, const Aggref *aggref, MsAggMatch *out);
extern MsPredKind ms_agg_match_pred(const MsAggRel *rel, Expr *clause, MsPredMatch *out);
extern bool ms_agg_match_block(const MsAggRel *rel, Expr *clause);
extern bool ms_agg_is_safe(Node *node);
extern bool ms_agg_uses_labels(const MsAggRel *rel, Node *node);
extern bool ms_agg_is_of_time(const MsAggRel *rel, Node *node);
extern bool ms_agg_is_of_labels(const MsAggRel *rel, Node *node);

/* aggtime.c */
extern bool ms_agg_match_buckets(const MsAggRel *rel, Expr *expr, List **buckets);

/* ---- planning: aggpaths.c ---- */

/*
 * A plan's custom_scan_tlist has the output (group keys, then aggregates),
 * then the conditions, so that PostgreSQL finishes them as it does other
 * expressions.  custom_private is a list of integers:
 */
typedef enum MsAggPrivate
{
	MS_AGGP_KEYS = 0,			/* how many */
	MS_AGGP_AGGS,
	MS_AGGP_SAFE,				/* conditions of each kind */
	MS_AGGP_LABELS,
	MS_AGGP_TIMES,
	MS_AGGP_ROWS,
	MS_AGGP_ORDER,				/* -1, 1: groups come in descending, ascending
								 * order of their first time key; 0: in any */
	MS_AGGP_LIMIT,				/* with order: how many buckets may do; 0: all
								 * groups are wanted, and there is one per
								 * bucket */
	MS_AGGP_PARTIAL,			/* results are PostgreSQL's partial states */
	MS_NUM_AGGP
} MsAggPrivate;

extern void ms_aggpaths_init(void);
extern const CustomScanMethods ms_agg_scan_methods;

/* ---- execution ---- */

typedef struct MsAggState MsAggState;

/* aggscan.c */
extern void ms_agg_series(MsAggState *state, int lg);

/* ---- expressions of values: calc.c, calceval.c ---- */

typedef struct MsCalc MsCalc;

extern bool ms_calc_takes(const MsAggRel *rel, Expr *expr);
extern MsCalc *ms_calc_init(MsScanState *scan, const MsAggRel *rel, Expr *expr);
extern bool ms_calc_uses_labels(const MsCalc *calc);
extern void ms_calc_series(MsCalc *calc);
extern int	ms_calc_values(MsCalc *calc, MsScanState *scan, MsBatch *batch, int from, int to,
						   const bool *mask, double *room, const double **values);
extern void ms_calc_select(MsCalc *calc, MsScanState *scan, MsBatch *batch, int from, int to,
						   bool *mask);

/* ---- conditions on rows: aggpred.c ---- */

typedef enum MsSelection
{
	MS_SELECT_NONE,
	MS_SELECT_SOME,
	MS_SELECT_ALL
} MsSelection;

typedef struct MsTimeMemo MsTimeMemo;

typedef struct MsPred
{
	MsPredKind	kind;
	MsCalc	   *calc;			/* CALC */
	MsTimeMemo *memo;			/* WHEN, and CALC if of the time alone */
	List	   *together;		/* WHEN: the conditions */
	MsScanColumn *column;		/* COMPARE, NULLTEST */
	int			op;
	bool		is_null;
	ExprState  *expr;			/* operand of COMPARE, AMONG; the condition of
								 * ROW, LABEL, WHEN */
	List	   *bounds;			/* TIME */
	int			narms;			/* OR */
	struct MsPredSet *arms;

	/* of this scan */
	double		operand;
	bool		never;			/* the operand is NULL, the range empty */
	int64		lo;				/* TIME */
	int64		hi;
	int64	   *times;			/* AMONG: ascending */
	int			ntimes;
	/* of this series */
	bool		holds;			/* LABEL */
} MsPred;

/* Conditions that are ANDed, and which rows of the batch at hand they select. */
typedef struct MsPredSet
{
	List	   *clauses;		/* what it was made from; borrowed */
	int			n;
	MsPred	   *preds;
	bool		needs_labels;	/* some may be on labels */
	bool		decided;		/* status is the batch's */
	MsSelection status;
	bool		mask[MS_BLOCK_ROWS];
} MsPredSet;

extern void ms_preds_init(MsScanState *scan, const MsAggRel *rel, MsPredSet *set, List *clauses);
extern void ms_preds_start(MsScanState *scan, MsPredSet *set);
extern void ms_preds_series(MsScanState *scan, MsPredSet *set);
extern MsSelection ms_preds_decide(MsScanState *scan, MsPredSet *set, MsBatch *batch);
extern void ms_preds_mask(MsScanState *scan, MsPredSet *set, MsBatch *batch, int from, int to,
						  const bool *among);

/* timememo.c */
extern MsTimeMemo *ms_timememo_create(void);
extern void ms_timememo_reset(MsTimeMemo *memo);
extern bool ms_timememo_look_up(MsTimeMemo *memo, const int64 *times, int n, bool *mask,
								bool *asked);
extern void ms_timememo_keep(MsTimeMemo *memo, const int64 *times, int n, const bool *asked,
							 const bool *answers);

/* ---- buckets: aggbucket.c ---- */

/* All times of [start, end) have the same time keys. */
typedef struct MsInterval
{
	int64		start;
	int64		end;
	int			key;			/* of the time keys; -1: not looked for yet */
	uint32		lg;				/* the group last asked for: its label group, */
	int			group;			/* its number, */
	uint32		groups_age;		/* and state->groups_age then */
} MsInterval;

/* Intervals, ascending. */
typedef struct MsIntervals
{
	int			n;
	int			cap;
	MsInterval *at;
} MsIntervals;

/* Times of [from, to) are in buckets of just the function's length, of which the first begins at from. */
typedef struct MsStretch
{
	int64		from;
	int64		to;
} MsStretch;

typedef struct MsBuckets
{
	int			nfns;
	MsBucketFn *fns;
	ExprState **exprs;			/* of the functions */
	const struct pg_tz **zones; /* NULL: does not depend on one */
	MsStretch  *even;			/* of each function, the one found last */
	MsIntervals known;			/* all intervals here... */
	MsIntervals fresh;			/* ...and there are disjoint */
	int			last;			/* the known one found last */
	bool		is_key;			/* the one function is the one time key */
} MsBuckets;

extern void ms_buckets_init(MsAggState *state, List *fns);
extern void ms_buckets_reset(MsAggState *state);
extern MsInterval *ms_bucket_of(MsAggState *state, int64 t);
extern bool ms_bucket_known(const MsBuckets *buckets, int64 first, int64 last);
extern int64 ms_bucket_boundary(MsAggState *state, int64 t);

/* ---- accumulators: aggstate.c ---- */

/* What is wanted of a value. */
#define MS_WANT_SUM		0x1		/* and count */
#define MS_WANT_MIN		0x2
#define MS_WANT_MAX		0x4
#define MS_WANT_SQUARES	0x8
#define MS_WANT_COUNT	0x10
#define MS_WANT_RANGE	(MS_WANT_MIN | MS_WANT_MAX) /* both are found at once */

typedef struct MsKeyTable MsKeyTable;

typedef enum MsAccKind
{
	MS_ACC_COUNT = 0,			/* int64: rows; with a label that is null,
								 * none */
	MS_ACC_DISTINCT,			/* MsDistinct */
	MS_ACC_TIMES,				/* MsTimeSpan */
	MS_ACC_BOOL,				/* MsBoolCounts */
	MS_ACC_VALUE,				/* MsValueStats */
	MS_ACC_EDGE,				/* MsEdge */
	MS_ACC_COUNTER				/* MsCounterState */
} MsAccKind;

/* States: all zeroes is empty. */
typedef struct MsDistinct
{
	int			n;
	int			cap;
	uint32	   *ids;			/* of values, some perhaps more than once */
} MsDistinct;

typedef struct MsTimeSpan
{
	int64		n;
	int64		min;
	int64		max;
} MsTimeSpan;

typedef struct MsBoolCounts
{
	int64		yes;
	int64		no;
} MsBoolCounts;

typedef struct MsValueStats
{
	int64		n;				/* if no more than the range is wanted, some
								 * may not be counted */
	double		sum;
	double		min;			/* from here on only if wanted */
	double		max;
	double		squares;		/* sum of squared differences from the mean */
} MsValueStats;

typedef struct MsEdge
{
	int64		n;
	int64		time;
	double		value;
	bool		isnull;
} MsEdge;

typedef struct MsCounterState
{
	MsCounter	counter;
	MsPoints	points;			/* if a group has several series */
} MsCounterState;

/* Rows of a batch that are next to each other and of one group. */
typedef struct MsRunOfRows
{
	int			from;
	int			to;
	int			group;			/* its number */
} MsRunOfRows;

/* Something that is kept for every group.  Aggregates share them. */
typedef struct MsAcc
{
	MsAccKind	kind;
	MsScanColumn *column;		/* VALUE, EDGE, COUNTER */
	MsPredSet  *filter;			/* NULL: all rows */
	int			want;			/* VALUE */
	bool		lone;			/* VALUE: nobody else looks at its column */
	bool		last;			/* EDGE: the last one, not the first */
	Expr	   *arg;			/* COUNT, BOOL: of labels, or a condition;
								 * VALUE: an expression */
	MsCalc	   *calc;			/* VALUE, if it is one */
	ExprState  *label_arg;		/* COUNT, BOOL: evaluated per series */
	MsPredSet  *bool_arg;		/* BOOL: the condition */
	MsKeyTable *values;			/* DISTINCT: those seen in the scan... */
	uint32		id;				/* ...and which is this series' */
	bool		arg_isnull;		/* of this series */
	bool		arg_value;
	Size		offset;			/* in a group's states */
} MsAcc;

/* An aggregate of the output. */
typedef struct MsAggOutput
{
	MsAggKind	kind;
	MsAcc	   *acc;
	Oid			type;			/* of the result */
	bool		partial;
} MsAggOutput;

extern void ms_accs_init(MsAggState *state, List *aggrefs);
extern void ms_accs_series(MsAggState *state);
extern bool ms_acc_takes_totals(const MsAcc *acc);
extern int64 ms_distinct_count(MsDistinct *distinct);
extern void ms_acc_block(MsAggState *state, MsAcc *acc, char *group, MsBatch *batch);
extern void ms_acc_rows(MsAggState *state, MsAcc *acc, char *group, MsBatch *batch,
						int from, int to, const bool *mask);
extern void ms_acc_runs(MsAggState *state, MsAcc *acc, MsBatch *batch, const MsRunOfRows *runs,
						int nruns, const bool *mask);

/* ---- arithmetic: aggmath.c ---- */

extern void ms_value_stats_add(MsValueStats *stats, int want, const double *v, int n);
extern void ms_value_stats_add_runs(const MsAggState *state, Size offset, int want, const double *v,
									const MsRunOfRows *runs, int nruns);
extern bool ms_value_stats_add_summary(MsValueStats *stats, int want, const MsSummary *s);
extern bool ms_value_stats_have(const MsValueStats *stats, int want, const MsSummary *s);

/* ---- results: aggresult.c ---- */

extern Datum ms_agg_result(const MsAggOutput *out, char *group, bool *isnull);

/* ---- groups: agggroup.c ---- */

/* A row of key values, and where it is found by hash. */
typedef struct MsKeyRow
{
	uint32		hash;
	uint32		first;			/* label groups: the first series, or
								 * MS_NO_SERIES */
	uint32		nseries;
	Datum	   *values;
	bool	   *isnull;
} MsKeyRow;

/* Rows of key values, each once. */
struct MsKeyTable
{
	int			nkeys;
	Expr	  **exprs;			/* borrowed */
	ExprState **states;			/* of exprs */
	FmgrInfo   *hash_fns;
	FmgrInfo   *eq_fns;
	Oid		   *collations;
	int16	   *typlens;
	bool	   *typbyvals;
	MemoryContext cxt;			/* of all below */
	int			n;
	int			cap;
	MsKeyRow   *rows;
	int			nslots;			/* a power of two, or 0 */
	int		   *slots;			/* -1: free */
	Datum	   *probe_values;
	bool	   *probe_isnull;
};

/* A group; its states follow. */
typedef struct MsGroupHead
{
	uint32		lg;				/* its label group */
	int			key;			/* its time key, or -1 */
} MsGroupHead;

extern void ms_keys_init(MsAggState *state, MsKeyTable *table, List *exprs, List *eqops);
extern void ms_keys_reset(MsKeyTable *table);
extern int	ms_keys_find(MsAggState *state, MsKeyTable *table);
extern int	ms_keys_find_time(MsAggState *state, int64 t);
extern void ms_groups_reset(MsAggState *state);
extern int	ms_group_of(MsAggState *state, uint32 lg, MsInterval *interval, int64 t);
extern int	ms_group_find(MsAggState *state, uint32 lg, int key);
extern Size ms_groups_memory(MsAggState *state);

#define ms_group_at(state, i)	((state)->groups + (Size) (i) * (state)->group_size)

/* ---- the node ---- */

typedef enum MsAggMode
{
	MS_MODE_ALL,				/* series as they come, all groups at once */
	MS_MODE_LABELS,				/* one label group after the other */
	MS_MODE_TIMES				/* one slice of time after the other */
} MsAggMode;

/* How much of a series has to be read. */
typedef enum MsAggReach
{
	MS_REACH_ALL,
	MS_REACH_FIRST,				/* the first row says everything */
	MS_REACH_LAST				/* the last one does */
} MsAggReach;

struct MsAggState
{
	MsScanState scan;			/* must be first */

	/* Constant after begin. */
	MsAggRel	rel;
	int			nkeys;
	int		   *key_place;		/* [nkeys] in its table of keys */
	bool	   *key_is_label;
	int			naggs;
	MsAggOutput *aggs;
	int			naccs;
	MsAcc	   *accs;
	int			nfilters;
	MsPredSet **filters;
	List	   *row_exprs;		/* borrowed, for EXPLAIN */
	List	   *key_exprs;
	MsPredSet	where;
	MsBuckets	buckets;		/* nfns 0: no time keys */
	MsAggMode	mode;
	MsAggReach	reach;
	bool		partial;
	bool		uses_labels;	/* somebody looks at them */
	bool		needs_labels;	/* even once a series' label group is known */
	bool		has_counters;
	bool		keys_may_fail;	/* those on labels */
	int			order;
	int64		limit_buckets;
	Size		group_size;
	Size		memory_limit;
	MemoryContext query_cxt;
	MemoryContext group_cxt;	/* of groups at hand */

	/* The scan under way. */
	bool		listed;
	bool		finished;
	bool		produced;		/* some group was handed out */
	MsKeyTable	label_keys;
	MsKeyTable	time_keys;
	uint32	   *next_series;	/* [scan.limit] of the same label group */
	int			touched;		/* how many series are still fetched ahead */
	int			next_lg;
	int64		slice_hi;		/* TIMES: what is above was handed out */
	int64		slice_lo;		/* ascending: what is below was */
	int64		first_buckets;	/* of a first slice... */
	int64		slice_buckets;	/* ...and of the next one */
	int64		seen_below;		/* the latest time seen below the slice */
	bool		seen_pieces;	/* rows not yet folded were */
	int64		range_lo;		/* of the query */
	int64		range_hi;

	/* The groups at hand. */
	int			ngroups;
	int			groups_cap;
	char	   *groups;
	struct msgroup_hash *group_index;
	int		   *emit_order;		/* NULL: as they are */
	int			emit;
	uint32		groups_age;		/* how many times they were others */
	uint32		last_lg;		/* the group found last */
	int			last_key;
	int			last_group;

	/* The series at hand. */
	bool		several;		/* its group has other series too */
	int			lg;				/* its label group; -1: not looked for yet */
	bool		more_follows;	/* the block at hand and the next are wholly
								 * in one group */

	MsRunOfRows runs[MS_BLOCK_ROWS];
	double		dense[MS_BLOCK_ROWS];
	int64		dense_times[MS_BLOCK_ROWS];
};

#endif							/* MS_AGG_H */
