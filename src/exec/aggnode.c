/*-------------------------------------------------------------------------
 *
 * aggnode.c
 *	  Running an aggregation inside the scan: which series when, and groups as
 *	  rows.
 *
 * The node is a custom scan of the relation whose rows are groups.  It fills
 * the columns that its custom_scan_tlist names, keys and results of aggregates;
 * PostgreSQL applies HAVING to them and projects.  Reading, parallel work and
 * what EXPLAIN counts are the plain custom scan's (node.c, series.c,
 * parallel.c).
 *
 * There are three ways to go through the series:
 *
 *	all		as they come, keeping all groups until the end.  If groups are partial
 *			states anyhow, they are handed out whenever they fill the memory allowed.
 *	labels	first the keys of all series are computed; then one group of series
 *			with equal label keys is read after the other, so that only the groups
 *			of one need memory at a time.  Not if computing a key might fail: then
 *			it must not be computed unless a row is there.
 *	times	one slice of time after the other, each over all series, for groups
 *			in the order of their bucket: when nobody asks for more, what was not
 *			read never will be.
 *
 * If the bucket is the only key, all groups are at hand at the end of any way, and
 * are sorted by it if that is wanted.
 *
 * Where the first or last row of each series says everything (max(ts), or
 * last(v, ts), by labels), each series is read from that end, and only so far.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "exec/agg.h"

#define FIRST_SLICES	1024	/* the first slice is at least this part of a
								 * window */

bool		ms_enable_aggregates = true;
bool		ms_enable_summaries = true;

/* ---- beginning ---- */

static int
private_int(const CustomScan *cscan, MsAggPrivate which)
{
	return list_nth_int(linitial(cscan->custom_private), which);
}

/* The next n expressions of the plan's custom_scan_tlist, from *at on. */
static List *
take_exprs(const CustomScan *cscan, int *at, int n)
{
	List	   *result = NIL;

	for (int i = 0; i < n; i++)
		result = lappend(result, list_nth_node(TargetEntry, cscan->custom_scan_tlist, (*at)++)->expr);
	return result;
}

/* Sorts the group keys into those of labels and those of the time. */
static void
init_keys(MsAggState *state, List *keys, List *eqops)
{
	List	   *exprs[2] = {NIL, NIL};
	List	   *ops[2] = {NIL, NIL};
	List	   *buckets = NIL;

	state->nkeys = list_length(keys);
	state->key_place = palloc(sizeof(int) * Max(state->nkeys, 1));
	state->key_is_label = palloc(sizeof(bool) * Max(state->nkeys, 1));
	for (int i = 0; i < state->nkeys; i++)
	{
		Expr	   *key = list_nth(keys, i);
		MsKeyKind	kind = ms_agg_match_key(&state->rel, key, &buckets);
		int			which = kind == MS_KEY_LABEL ? 0 : 1;

		if (kind == MS_KEY_NONE)
			elog(ERROR, "unexpected group key in a %s plan", MS_AGG_NAME);
		state->key_is_label[i] = kind == MS_KEY_LABEL;
		state->key_place[i] = list_length(exprs[which]);
		exprs[which] = lappend(exprs[which], key);
		ops[which] = lappend_oid(ops[which], list_nth_oid(eqops, i));
		if (kind == MS_KEY_LABEL && !ms_agg_is_safe((Node *) key))
			state->keys_may_fail = true;
	}
	ms_keys_init(state, &state->label_keys, exprs[0], ops[0]);
	ms_keys_init(state, &state->time_keys, exprs[1], ops[1]);
	ms_buckets_init(state, buckets);
}

/* How much of each series has to be read? */
static MsAggReach
find_reach(MsAggState *state)
{
	bool		first = true;
	bool		last = true;

	if (state->where.n > 0 || state->buckets.nfns > 0)
		return MS_REACH_ALL;
	for (int i = 0; i < state->naggs; i++)
	{
		const MsAggOutput *agg = &state->aggs[i];

		if (agg->acc->filter != NULL)
			return MS_REACH_ALL;
		first = first && (agg->kind == MS_AGG_FIRST || agg->kind == MS_AGG_MIN_TIME);
		last = last && (agg->kind == MS_AGG_LAST || agg->kind == MS_AGG_MAX_TIME);
	}
	return first ? MS_REACH_FIRST : last ? MS_REACH_LAST : MS_REACH_ALL;
}

static MsAggMode
find_mode(MsAggState *state)
{
	bool		listable = state->scan.label_qual == NULL && !state->keys_may_fail;

	if (state->partial || !listable)
		return MS_MODE_ALL;
	if (state->order != 0 && state->limit_buckets > 0)
		return MS_MODE_TIMES;
	return state->label_keys.nkeys > 0 || state->has_counters ? MS_MODE_LABELS : MS_MODE_ALL;
}

/* Do conditions or arguments look at labels? */
static bool
needs_labels(const MsAggState *state)
{
	if (state->where.needs_labels)
		return true;
	for (int i = 0; i < state->nfilters; i++)
	{
		if (state->filters[i]->needs_labels)
			return true;
	}
	for (int i = 0; i < state->naccs; i++)
	{
		const MsAcc *acc = &state->accs[i];

		if (acc->label_arg != NULL || acc->values != NULL || (acc->calc != NULL && ms_calc_uses_labels(acc->calc)))
			return true;
	}
	return false;
}

static void
begin_agg(CustomScanState *node, EState *estate, int eflags)
{
	MsAggState *state = (MsAggState *) node;
	MsScanState *scan = &state->scan;
	CustomScan *cscan = (CustomScan *) node->ss.ps.plan;
	Relation	rel = node->ss.ss_currentRelation;
	List	   *aggs;
	List	   *exprs;
	Bitmapset  *used = NULL;
	int			at = 0;

	scan->desc = ms_reldesc_copy(rel);
	state->rel.relid = cscan->scan.scanrelid;
	state->rel.time_att = scan->desc->time_att;
	state->rel.label_atts = ms_label_atts(scan->desc);
	state->partial = private_int(cscan, MS_AGGP_PARTIAL);
	state->order = private_int(cscan, MS_AGGP_ORDER);
	state->limit_buckets = private_int(cscan, MS_AGGP_LIMIT);
	state->query_cxt = estate->es_query_cxt;

	state->key_exprs = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_KEYS));
	aggs = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_AGGS));
	scan->exprs[MS_EXPR_SAFE] = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_SAFE));
	scan->exprs[MS_EXPR_LABEL] = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_LABELS));
	scan->exprs[MS_EXPR_TIME] = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_TIMES));
	state->row_exprs = take_exprs(cscan, &at, private_int(cscan, MS_AGGP_ROWS));

	scan->analyze = estate->es_instrument != 0;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	scan->row_slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(rel), &TTSOpsVirtual);
	scan->row_slot->tts_tableOid = RelationGetRelid(rel);
	scan->safe_qual = ExecInitQual(scan->exprs[MS_EXPR_SAFE], &node->ss.ps);
	scan->label_qual = ExecInitQual(scan->exprs[MS_EXPR_LABEL], &node->ss.ps);
	scan->bounds = ms_timerange_init(scan->exprs[MS_EXPR_TIME], cscan->scan.scanrelid,
									 state->rel.time_att, &node->ss.ps);
	exprs = list_make3(state->key_exprs, aggs, state->row_exprs);
	ms_scan_find_columns(scan, exprs);
	init_keys(state, state->key_exprs, lsecond(cscan->custom_private));
	ms_preds_init(&state->scan, &state->rel, &state->where, state->row_exprs);
	ms_accs_init(state, aggs);
	state->reach = find_reach(state);
	state->mode = find_mode(state);
	state->needs_labels = needs_labels(state);
	pull_varattnos((Node *) exprs, state->rel.relid, &used);
	state->uses_labels = bms_overlap(used, state->rel.label_atts) ||
		scan->exprs[MS_EXPR_SAFE] != NIL || scan->exprs[MS_EXPR_LABEL] != NIL;
	state->group_cxt = AllocSetContextCreate(estate->es_query_cxt, "memseries groups",
											 ALLOCSET_DEFAULT_SIZES);
	state->memory_limit = get_hash_memory_limit();

	ms_scan_prepare(scan, estate);
	scan->index = ms_labelindex_create(scan, cscan->scan.scanrelid);
	scan->codes = ms_labelcodes_create(scan, cscan->scan.scanrelid);
}

/* ---- starting ---- */

/* Will summaries of chunks do? */
static bool
takes_totals(const MsAggState *state)
{
	/* label conditions that may fail look at rows first */
	if (!ms_enable_summaries || state->where.n > 0 || state->reach != MS_REACH_ALL ||
		state->scan.label_qual != NULL)
		return false;
	for (int i = 0; i < state->naccs; i++)
	{
		if (!ms_acc_takes_totals(&state->accs[i]))
			return false;
	}
	return true;
}

/* Are a chunk's rows known to be in one bucket?  For the cursor. */
static bool
totals_do(void *arg, int64 first, int64 last)
{
	return ms_bucket_known(&((MsAggState *) arg)->buckets, first, last);
}

static void
start_agg(MsAggState *state)
{
	MsScanState *scan = &state->scan;

	ms_scan_start(scan);
	state->listed = false;
	state->finished = scan->done;
	state->produced = false;
	ms_groups_reset(state);
	if (scan->done)
		return;

	ms_preds_start(&state->scan, &state->where);
	for (int i = 0; i < state->nfilters; i++)
		ms_preds_start(&state->scan, state->filters[i]);
	for (int i = 0; i < state->naccs; i++)
	{
		if (state->accs[i].values != NULL)
			ms_keys_reset(state->accs[i].values);
		if (state->accs[i].bool_arg != NULL)
			ms_preds_start(&state->scan, state->accs[i].bool_arg);
	}
	ms_keys_reset(&state->label_keys);
	ms_keys_reset(&state->time_keys);
	ms_buckets_reset(state);
	ms_cursor_set_backward(scan->cursor, state->reach == MS_REACH_LAST);
	ms_cursor_set_last(scan->cursor, state->reach == MS_REACH_LAST && ms_enable_summaries);
	ms_cursor_set_lazy(scan->cursor, true);
	ms_cursor_set_totals(scan->cursor, takes_totals(state) ? totals_do : NULL, state);
	ms_cursor_count_skipped(scan->cursor, scan->analyze && state->mode != MS_MODE_TIMES);
	state->next_lg = 0;
	state->range_lo = scan->lo;
	state->range_hi = scan->hi;
}

/* ---- series as they come ---- */

/* Reads series until the end, or until partial results fill the memory allowed. */
static void
gather_all(MsAggState *state)
{
	MsScanState *scan = &state->scan;

	state->several = true;
	while (ms_scan_next_series(scan))
	{
		/* rows may have been read to see whether there are any */
		if (scan->rows.nrows > 0 && !ms_cursor_seek(scan->cursor, scan->sid))
			continue;
		scan->rows.nrows = 0;
		ms_agg_series(state, -1);
		if (state->partial && ms_groups_memory(state) > state->memory_limit)
			return;
	}
	state->finished = true;
}

/* ---- label group by label group ---- */

/* Sorts all series that fit into label groups. */
static void
list_series(MsAggState *state)
{
	MsScanState *scan = &state->scan;
	uint32		limit = scan->limit;

	state->listed = true;
	state->next_series = MemoryContextAllocHuge(state->label_keys.cxt,
												sizeof(uint32) * (Size) Max(limit, 1));
	while (ms_scan_next_labels(scan))
	{
		MsKeyRow   *row;
		int			lg;

		ms_scan_fill_time(&state->scan, 0);
		lg = ms_keys_find(state, &state->label_keys);
		row = &state->label_keys.rows[lg];
		state->next_series[scan->sid] = row->first;
		row->first = scan->sid;
		row->nseries++;
		ResetExprContext(scan->css.ss.ps.ps_ExprContext);
	}
}

/* Has this series of a label group, and those read next, fetched from memory, once in a while. */
static void
touch_series(MsAggState *state, int lg, uint32 sid)
{
	uint32		sids[MS_CURSOR_TOUCH];
	int			n = 0;

	if (state->reach != MS_REACH_LAST || state->touched-- > 0)
		return;
	while (n < MS_CURSOR_TOUCH && sid != MS_NO_SERIES)
	{
		sids[n++] = sid;
		sid = state->next_series[sid];
		if (sid == MS_NO_SERIES && lg + 1 < state->label_keys.n)
			sid = state->label_keys.rows[++lg].first;
	}
	state->touched = n - 1;
	ms_cursor_touch(state->scan.cursor, sids, n);
}

/* Reads the series of one label group. */
static void
read_label_group(MsAggState *state, int lg)
{
	MsScanState *scan = &state->scan;

	state->several = state->label_keys.rows[lg].nseries > 1;
	for (uint32 sid = state->label_keys.rows[lg].first; sid != MS_NO_SERIES;
		 sid = state->next_series[sid])
	{
		scan->sid = sid;
		if (state->needs_labels && !ms_scan_load_labels(scan, sid))
			continue;
		touch_series(state, lg, sid);
		if (ms_cursor_seek(scan->cursor, sid))
			ms_agg_series(state, lg);
	}
}

static void
gather_label_group(MsAggState *state)
{
	if (!state->listed)
		list_series(state);
	if (state->next_lg >= state->label_keys.n)
		state->finished = true;
	else
		read_label_group(state, state->next_lg++);
}

/* ---- slice of time by slice of time ---- */

/* What is there to slice? */
static void
start_slices(MsAggState *state)
{
	MsTableStats stats;
	int64		window;

	ms_table_stats(state->scan.desc->table, &stats);
	state->slice_lo = Max(state->range_lo, stats.tmin);
	state->slice_hi = Min(state->range_hi, stats.tmax);
	window = (stats.tmax - stats.tmin) / Max(stats.windows, 1);
	state->first_buckets = Max(state->limit_buckets,
							   window / FIRST_SLICES / state->buckets.fns[0].length);
	state->first_buckets = Max(state->first_buckets, 1);
	state->slice_buckets = state->first_buckets;
}

/* Sets the scan's range to the next slice of what is left, [slice_lo, slice_hi); false if that is nothing. */
static bool
next_slice(MsAggState *state)
{
	MsScanState *scan = &state->scan;
	int64		length = state->buckets.fns[0].length;
	int64		left = state->slice_hi - state->slice_lo;
	int64		width;
	int64		to;

	if (left <= 0)
		return false;
	scan->lo = state->slice_lo;
	scan->hi = state->slice_hi;
	state->slice_buckets = Min(state->slice_buckets, left / length + 1);
	width = state->slice_buckets > left / length ? left : state->slice_buckets * length;
	if (state->order < 0)
	{
		/* the bucket that the range ends in is one of them */
		to = scan->hi - 1 - (width - length);
		if (width < left)
			scan->lo = Max(scan->lo, ms_bucket_boundary(state, to));
		state->slice_hi = scan->lo;
	}
	else
	{
		for (to = scan->lo + width; to < state->slice_hi; to += width)
		{
			scan->hi = ms_bucket_boundary(state, to);
			if (scan->hi > scan->lo)
				break;
			scan->hi = state->slice_hi;
		}
		state->slice_lo = scan->hi;
	}
	ms_cursor_set_range(scan->cursor, scan->lo, scan->hi);
	return true;
}

typedef struct SortItem
{
	int64		time;
	int			group;
} SortItem;

static int
compare_items(const void *a, const void *b)
{
	const SortItem *x = a;
	const SortItem *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->group < y->group ? -1 : 1;
}

/* Brings the groups into the order of their first time key. */
static void
sort_groups(MsAggState *state)
{
	int			n = state->ngroups;
	SortItem   *items = MemoryContextAllocHuge(state->group_cxt, sizeof(SortItem) * (Size) Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		MsGroupHead *head = (MsGroupHead *) ms_group_at(state, i);

		items[i].time = DatumGetTimestampTz(state->time_keys.rows[head->key].values[0]);
		items[i].group = i;
	}
	qsort(items, n, sizeof(SortItem), compare_items);
	state->emit_order = MemoryContextAllocHuge(state->group_cxt, sizeof(int) * (Size) Max(n, 1));
	for (int i = 0; i < n; i++)
		state->emit_order[i] = items[state->order < 0 ? n - 1 - i : i].group;
}

/* Reads a slice of all series; false if its groups take too much memory, and it could be shorter. */
static bool
read_slice(MsAggState *state)
{
	state->seen_below = PG_INT64_MIN;
	state->seen_pieces = false;
	for (int lg = 0; lg < state->label_keys.n; lg++)
	{
		read_label_group(state, lg);
		if (state->slice_buckets > 1 && ms_groups_memory(state) > state->memory_limit)
			return false;
	}
	return true;
}

static void
gather_slice(MsAggState *state)
{
	int64		lo;
	int64		hi;

	if (!state->listed)
	{
		list_series(state);
		start_slices(state);
	}
	lo = state->slice_lo;
	hi = state->slice_hi;
	ms_keys_reset(&state->time_keys);
	ms_buckets_reset(state);
	if (!next_slice(state))
		state->finished = true;
	else if (!read_slice(state))
	{
		ms_groups_reset(state);
		state->slice_lo = lo;
		state->slice_hi = hi;
		state->slice_buckets = Max(state->slice_buckets / 8, 1);
	}
	else if (state->ngroups == 0 && state->order < 0 && !state->seen_pieces &&
			 state->seen_below != PG_INT64_MIN && state->seen_below + 1 < state->slice_hi)
	{
		/* nothing up here: go on where there was something */
		state->slice_hi = state->seen_below + 1;
		state->slice_buckets = state->first_buckets;
	}
	else
	{
		sort_groups(state);
		if (ms_groups_memory(state) < state->memory_limit / 4)
			state->slice_buckets *= 2;
	}
}

/* ---- groups as rows ---- */

/* Fills groups until there are some to hand out; false if there are no more. */
static bool
gather(MsAggState *state)
{
	if (!state->scan.started)
		start_agg(state);
	while (state->emit >= state->ngroups)
	{
		if (state->finished)
		{
			/* without GROUP BY there is one group even of nothing */
			if (state->nkeys > 0 || state->produced)
				return false;
			ms_groups_reset(state);
			ms_group_find(state, 0, -1);
			return true;
		}
		CHECK_FOR_INTERRUPTS();
		ms_groups_reset(state);
		switch (state->mode)
		{
			case MS_MODE_ALL:
				gather_all(state);
				break;
			case MS_MODE_LABELS:
				gather_label_group(state);
				break;
			case MS_MODE_TIMES:
				gather_slice(state);
				break;
		}
		if (state->order != 0 && state->mode != MS_MODE_TIMES)
			sort_groups(state);
	}
	return true;
}

static void
fill_output(MsAggState *state, char *group, TupleTableSlot *slot)
{
	const MsGroupHead *head = (const MsGroupHead *) group;
	ExprContext *econtext = state->scan.css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	int			natts = slot->tts_tupleDescriptor->natts;
	int			at = 0;

	for (int i = 0; i < state->nkeys; i++, at++)
	{
		const MsKeyRow *row = state->key_is_label[i] ? &state->label_keys.rows[head->lg] :
		&state->time_keys.rows[head->key];

		slot->tts_values[at] = row->values[state->key_place[i]];
		slot->tts_isnull[at] = row->isnull[state->key_place[i]];
	}
	for (int i = 0; i < state->naggs; i++, at++)
		slot->tts_values[at] = ms_agg_result(&state->aggs[i], group, &slot->tts_isnull[at]);

	/* conditions: they hold, or the row would not be here */
	for (; at < natts; at++)
	{
		slot->tts_values[at] = BoolGetDatum(true);
		slot->tts_isnull[at] = false;
	}
	MemoryContextSwitchTo(old);
}

/* ExecScan's access method. */
static TupleTableSlot *
next_group(ScanState *ss)
{
	MsAggState *state = (MsAggState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	int			group;

	ExecClearTuple(slot);
	if (state->emit >= state->ngroups && !gather(state))
		return slot;
	group = state->emit_order ? state->emit_order[state->emit] : state->emit;
	state->emit++;
	state->produced = true;
	fill_output(state, ms_group_at(state, group), slot);
	return ExecStoreVirtualTuple(slot);
}

/* ExecScan's recheck method: groups are not rechecked. */
static bool
recheck_group(ScanState *ss, TupleTableSlot *slot)
{
	(void) ss;
	(void) slot;
	return true;
}

static TupleTableSlot *
exec_agg(CustomScanState *node)
{
	return ExecScan(&node->ss, next_group, recheck_group);
}

static void
rescan_agg(CustomScanState *node)
{
	MsAggState *state = (MsAggState *) node;

	ExecScanReScan(&node->ss);
	state->scan.started = false;
	state->scan.done = false;
	state->scan.standing = false;
	state->scan.rows.nrows = 0;
	state->finished = false;
	state->produced = false;
	ms_groups_reset(state);
}

static void
end_agg(CustomScanState *node)
{
	ms_scan_close((MsScanState *) node);
}

static void
shutdown_agg(CustomScanState *node)
{
	MsAggState *state = (MsAggState *) node;
	bool		shared = state->scan.shared != NULL;

	ms_scan_shutdown(node);
	if (shared)
		state->finished = true;
}

static void
explain_agg(CustomScanState *node, List *ancestors, ExplainState *es)
{
	MsAggState *state = (MsAggState *) node;

	ms_scan_show_keys("Group Key", state->key_exprs, node, ancestors, es);
	ms_scan_explain_conditions(node, ancestors, es);
	ms_scan_show_conditions("Row Filter", state->row_exprs, node, ancestors, es);
	ms_scan_explain_counters(node, true, es);
}

/* ---- methods ---- */

static const CustomExecMethods exec_methods = {
	.CustomName = MS_AGG_NAME,
	.BeginCustomScan = begin_agg,
	.ExecCustomScan = exec_agg,
	.EndCustomScan = end_agg,
	.ReScanCustomScan = rescan_agg,
	.EstimateDSMCustomScan = ms_scan_estimate_dsm,
	.InitializeDSMCustomScan = ms_scan_initialize_dsm,
	.ReInitializeDSMCustomScan = ms_scan_reinitialize_dsm,
	.InitializeWorkerCustomScan = ms_scan_initialize_worker,
	.ShutdownCustomScan = shutdown_agg,
	.ExplainCustomScan = explain_agg,
};

static Node *
create_agg_state(CustomScan *cscan)
{
	/* newNode() would clear its arrays word by word */
	MsAggState *state = palloc0(sizeof(MsAggState));

	(void) cscan;
	NodeSetTag(state, T_CustomScanState);
	state->scan.css.methods = &exec_methods;
	return (Node *) state;
}

const CustomScanMethods ms_agg_scan_methods = {
	.CustomName = MS_AGG_NAME,
	.CreateCustomScanState = create_agg_state,
};
