/*-------------------------------------------------------------------------
 *
 * node.c
 *	  Running a custom scan: from decoded arrays to rows.
 *
 * A scan goes from series to series (series.c), and hands out the rows of each
 * that meet the conditions on values (rows.c), one by one, to PostgreSQL's own
 * ExecScan, which applies the remaining conditions and projects.  A row is made
 * from a template that has the labels of the series, into which the time and
 * the values needed are put.
 *
 * Columns that nobody asks for are NULL in the row and are never decoded.
 * Which are needed is read off the final plan, because planning may replace
 * a plan's target list after the plan was made.
 *
 * Before it starts, and before it starts again, a scan has the transaction's
 * own buffered rows written, and evaluates the bounds of the time, which may
 * depend on parameters.  A table that does not exist in the store then is
 * empty, and so is the scan, even if it is created meanwhile: what is
 * written after our snapshot was taken is none of our concern.
 *
 * It does not go backwards, nor mark and restore: PostgreSQL puts a Material
 * node on top where that is asked for.
 *
 * A scan holds no lock between calls but the relation's, and no memory that
 * does not go with the query's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/refetch.h"
#include "am/rowslot.h"
#include "am/serial.h"
#include "am/write.h"
#include "exec/agg.h"
#include "exec/exec.h"
#include "exec/labelwalk.h"
#include "exec/scan.h"

bool		ms_enable_customscan = true;

/* ---- beginning ---- */

/* Takes the plan's custom_exprs apart again. */
static void
split_exprs(MsScanState *state, const CustomScan *cscan)
{
	int			at = 0;

	for (int kind = 0; kind < MS_NUM_EXPR_KINDS; kind++)
	{
		int			n = list_nth_int(cscan->custom_private, kind);

		for (int i = 0; i < n; i++)
			state->exprs[kind] = lappend(state->exprs[kind],
										 list_nth(cscan->custom_exprs, at++));
	}
}

/*
 * Within a recheck of EvalPlanQual, rows also come in slots of the access
 * method's type, so expressions must not count on ours.
 */
static void
compile_for_any_slot(CustomScanState *node)
{
	PlanState  *ps = &node->ss.ps;

	ps->scanopsset = true;
	ps->scanopsfixed = false;
	ps->scanops = NULL;
	ps->qual = ExecInitQual(ps->plan->qual, ps);
	ExecAssignScanProjectionInfo(&node->ss);
}

/* Finds out which value columns the expressions ask for.  Once. */
void
ms_scan_find_columns(MsScanState *state, List *exprs)
{
	ScanState  *ss = &state->css.ss;
	const MsRelDesc *desc = state->desc;
	Bitmapset  *used = NULL;
	bool		whole_row;

	pull_varattnos((Node *) exprs, ((Scan *) ss->ps.plan)->scanrelid, &used);
	whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	state->columns = palloc0(sizeof(MsScanColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		MsScanColumn *column;

		if (desc->cols[i].role != MS_ROLE_VALUE ||
			(!whole_row &&
			 !bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, used)))
			continue;
		column = &state->columns[state->ncolumns++];
		column->att = i;
		column->is_float4 = desc->cols[i].kind == MS_FLOAT4;
	}
	bms_free(used);
}

/* Finds out where the cursor has the columns.  Again whenever the storage has changed. */
static void
place_columns(MsScanState *state)
{
	state->need = palloc0(sizeof(bool) * Max(state->desc->nvalues, 1));
	for (int i = 0; i < state->ncolumns; i++)
	{
		MsScanColumn *column = &state->columns[i];

		column->ordinal = state->desc->cols[column->att].ordinal;
		state->need[column->ordinal] = true;
	}
}

/*
 * Makes a scan ready to be started, once its conditions are compiled, its
 * columns found and row_slot is set.  Writes the transaction's buffered rows.
 */
void
ms_scan_prepare(MsScanState *state, EState *estate)
{
	int			natts = RelationGetDescr(state->css.ss.ss_currentRelation)->natts;

	ms_write_flush(&state->desc->key);
	state->scan_cxt = AllocSetContextCreate(estate->es_query_cxt, "memseries scan",
											ALLOCSET_DEFAULT_SIZES);
	state->series_cxt = AllocSetContextCreate(estate->es_query_cxt, "memseries series",
											  ALLOCSET_SMALL_SIZES);
	state->template_values = palloc0(sizeof(Datum) * natts);
	state->template_isnull = palloc(sizeof(bool) * natts);
	memset(state->template_isnull, true, sizeof(bool) * natts);
	place_columns(state);
}

/* Do rows come series by series? */
static inline bool
is_by_series(const MsScanState *state)
{
	return state->order == MS_ORDER_SERIES || state->order == MS_ORDER_LABEL;
}

/* The labels by which series are sorted. */
static List *
label_keys(const CustomScan *cscan)
{
	List	   *result = NIL;

	for (int i = MS_PRIVATE_KEYS; i < list_length(cscan->custom_private); i += 4)
	{
		MsLabelKey *key = palloc(sizeof(MsLabelKey));

		key->att = (AttrNumber) list_nth_int(cscan->custom_private, i);
		key->op = (Oid) list_nth_int(cscan->custom_private, i + 1);
		key->collation = (Oid) list_nth_int(cscan->custom_private, i + 2);
		key->nulls_first = list_nth_int(cscan->custom_private, i + 3);
		result = lappend(result, key);
	}
	return result;
}

/*
 * Rows that are handed out as they are, series by series, go out in slots that are
 * filled when somebody asks for a column, and from which tuples are made quickly.
 */
static void
hand_out_row_slots(CustomScanState *node, EState *estate)
{
	PlanState  *ps = &node->ss.ps;

	ExecInitScanTupleSlot(estate, &node->ss, RelationGetDescr(node->ss.ss_currentRelation),
						  ms_rowslot_ops());
	ps->resultops = ps->scanops;
	((MsScanState *) node)->row_slots = true;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	MsScanState *state = (MsScanState *) node;
	CustomScan *cscan = (CustomScan *) node->ss.ps.plan;
	Relation	rel = node->ss.ss_currentRelation;

	split_exprs(state, cscan);
	state->order = list_nth_int(cscan->custom_private, MS_PRIVATE_ORDER);
	if (state->order == MS_ORDER_LABELS || state->order == MS_ORDER_LABELS_TIME)
		state->label_keys = label_keys(cscan);
	if (estate->es_epq_active != NULL)
		compile_for_any_slot(node);
	state->safe_qual = ExecInitQual(state->exprs[MS_EXPR_SAFE], &node->ss.ps);
	state->label_qual = ExecInitQual(state->exprs[MS_EXPR_LABEL], &node->ss.ps);
	state->desc = ms_reldesc_copy(rel);
	state->bounds = ms_timerange_init(state->exprs[MS_EXPR_TIME], cscan->scan.scanrelid,
									  state->desc->time_att, &node->ss.ps);
	state->analyze = estate->es_instrument != 0;
	state->row_slot = node->ss.ss_ScanTupleSlot;
	if (is_by_series(state) && node->ss.ps.ps_ProjInfo == NULL && estate->es_epq_active == NULL)
		hand_out_row_slots(node, estate);
	state->row_slot->tts_tableOid = RelationGetRelid(rel);
	node->ss.ss_ScanTupleSlot->tts_tableOid = RelationGetRelid(rel);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	ms_scan_find_columns(state, list_make2(cscan->scan.plan.targetlist, cscan->scan.plan.qual));
	ms_scan_prepare(state, estate);
	state->index = ms_labelindex_create(state, cscan->scan.scanrelid);
	state->codes = ms_labelcodes_create(state, cscan->scan.scanrelid);
	if (state->label_keys == NIL && list_length(cscan->custom_private) > MS_PRIVATE_KEYS)
		state->walk = ms_labelwalk_create(state, list_copy_tail(cscan->custom_private,
																MS_PRIVATE_KEYS));
	if (state->label_keys != NIL)
		state->series_order = ms_seriesorder_create(state);
	if (is_by_series(state) || state->series_order != NULL)
		state->reader = ms_rows_create(state, estate->es_epq_active == NULL);
	else if (cscan->scan.plan.qual != NIL && estate->es_epq_active == NULL)
		state->step_filter = ms_rows_prefilter(state);
	if (list_nth_int(cscan->custom_private, MS_PRIVATE_REFETCH) && estate->es_epq_active == NULL)
		state->refetch = ms_refetch_begin(estate, RelationGetRelid(rel));
}

/* ---- starting, and starting again ---- */

/*
 * Looks again which table in the store is ours: it may have been created
 * since.  Its columns may have got other ordinals then.
 */
static void
refresh_desc(MsScanState *state, Relation rel)
{
	const MsRelDesc *now = ms_reldesc(rel);

	if (now->table == state->desc->table && now->generation == state->desc->generation &&
		now->nvalues == state->desc->nvalues && now->nlabels == state->desc->nlabels)
		return;

	if (state->cursor != NULL)
	{
		ms_scan_publish(state);
		ms_cursor_close(state->cursor);
		state->cursor = NULL;
		memset(&state->seen, 0, sizeof(state->seen));
	}
	ms_labelindex_reset(state);
	state->step = NULL;
	if (state->reader != NULL)
		ms_rows_reset(state->reader);
	pfree(state->need);
	pfree(state->desc);
	state->desc = ms_reldesc_copy(rel);
	place_columns(state);
}

/*
 * Begins to read, or begins again.  Evaluates the bounds of the time; the
 * cursor stands nowhere.  If there is nothing to read, state->done is set.
 */
void
ms_scan_start(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;
	EState	   *estate = ss->ps.state;
	Relation	rel = ss->ss_currentRelation;
	MemoryContext old;

	state->started = true;
	state->done = true;
	state->counters[MS_COUNT_STARTS]++;
	ms_begin_read(rel, estate->es_snapshot);
	pgstat_count_heap_scan(rel);

	/* What we allocate lives as long as the query, not as long as a row. */
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	refresh_desc(state, rel);
	MemoryContextSwitchTo(old);
	if (!ms_timerange_eval(state->bounds, ss->ps.ps_ExprContext, &state->lo, &state->hi) ||
		state->desc->table == NULL)
		return;

	if (state->cursor != NULL)
		ms_cursor_set_range(state->cursor, state->lo, state->hi);
	else
	{
		old = MemoryContextSwitchTo(state->scan_cxt);
		state->cursor = ms_cursor_open(state->desc->table, estate->es_snapshot,
									   state->lo, state->hi, state->need, state->desc->nvalues);
		MemoryContextSwitchTo(old);
		ms_cursor_count_skipped(state->cursor, state->analyze && state->reader != NULL);
		ms_cursor_set_backward(state->cursor, state->order == MS_ORDER_LAST ||
							   state->order == MS_ORDER_TIME_DESC);
		ms_cursor_set_last(state->cursor, state->order == MS_ORDER_LAST && ms_enable_summaries);
	}
	state->limit = ms_cursor_series_limit(state->cursor);
	state->next = 0;
	state->claimed = state->shared != NULL ? 0 : state->limit;
	state->indexed = state->walking = false;
	state->coded = ms_labelcodes_start(state);
	state->walking = ms_labelwalk_start(state);
	if (!state->coded && !state->walking)
		state->indexed = ms_labelindex_start(state);
	if (!state->coded && !state->walking && !state->indexed)
		state->coded = ms_labelcodes_start_among_all(state);
	if (state->walk != NULL && !state->walking)
		ms_labelwalk_list(state);
	state->done = false;
	state->step_filter_started = false;
	if (state->series_order != NULL)
		ms_seriesorder_start(state);
	if (state->reader != NULL)
		ms_rows_start(state);
	if (state->order == MS_ORDER_TIME || state->order == MS_ORDER_TIME_DESC)
		ms_sorted_start(state);
}

/* ---- rows ---- */

/* ExecScan's access method. */
static TupleTableSlot *
next_row(ScanState *ss)
{
	MsScanState *state = (MsScanState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	bool		found;

	/* somebody had a copy made of the last row */
	if (TTS_SHOULDFREE(slot))
		ExecClearTuple(slot);
	if (state->order == MS_ORDER_TIME || state->order == MS_ORDER_TIME_DESC)
	{
		if (!state->started)
			ms_scan_start(state);
		found = !state->done && ms_sorted_next(state, slot);
	}
	else if (state->series_order != NULL)
		found = ms_seriesorder_next_row(state, ExecClearTuple(slot));
	else
		found = ms_rows_next(state, slot);
	if (!found)
		return ExecClearTuple(slot);

	if (state->row_slots)
	{
		/* a condition takes the slot for a virtual one */
		if (ss->ps.qual != NULL)
			slot_getallattrs(slot);
		return slot;
	}
	/* what ExecClearTuple and ExecStoreVirtualTuple do, but for the calls */
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_nvalid = slot->tts_tupleDescriptor->natts;
	return slot;
}

/*
 * ExecScan's recheck method: a row that EvalPlanQual brought must meet the
 * conditions that no qual tests any more.
 */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	MsScanState *state = (MsScanState *) ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	int64		lo;
	int64		hi;
	int64		t;
	bool		isnull;

	econtext->ecxt_scantuple = slot;
	if (!ExecQual(state->safe_qual, econtext) || !ExecQual(state->label_qual, econtext))
		return false;
	if (state->bounds == NIL)
		return true;
	if (!ms_timerange_eval(state->bounds, econtext, &lo, &hi))
		return false;
	t = DatumGetTimestampTz(slot_getattr(slot, state->desc->time_att, &isnull));
	return !isnull && t >= lo && t < hi;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	MsScanState *state = (MsScanState *) node;

	if (state->order == MS_ORDER_FIRST || state->order == MS_ORDER_LAST)
		return ms_lastrow_exec(state);
	return ExecScan(&node->ss, next_row, recheck_row);
}

/* ---- again, and ending ---- */

static void
rescan(CustomScanState *node)
{
	MsScanState *state = (MsScanState *) node;

	ExecScanReScan(&node->ss);
	ms_sorted_end(state);
	ms_seriesorder_reset(state);
	state->started = false;
	state->done = false;
	state->standing = false;
	state->rows.nrows = 0;
	state->row = 0;
}

/* Frees what a scan holds. */
void
ms_scan_close(MsScanState *state)
{
	ms_seriesorder_reset(state);
	if (state->cursor != NULL)
		ms_cursor_close(state->cursor);
	state->cursor = NULL;
	if (state->scan_cxt != NULL)
	{
		MemoryContextDelete(state->scan_cxt);
		MemoryContextDelete(state->series_cxt);
	}
}

static void
end_scan(CustomScanState *node)
{
	ms_scan_close((MsScanState *) node);
}

/* ---- methods ---- */

static const CustomExecMethods exec_methods = {
	.CustomName = MS_SCAN_NAME,
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.EstimateDSMCustomScan = ms_scan_estimate_dsm,
	.InitializeDSMCustomScan = ms_scan_initialize_dsm,
	.ReInitializeDSMCustomScan = ms_scan_reinitialize_dsm,
	.InitializeWorkerCustomScan = ms_scan_initialize_worker,
	.ShutdownCustomScan = ms_scan_shutdown,
	.ExplainCustomScan = ms_scan_explain,
};

static Node *
create_scan_state(CustomScan *cscan)
{
	/* newNode() would clear its arrays word by word */
	MsScanState *state = palloc0(sizeof(MsScanState));

	(void) cscan;
	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

const CustomScanMethods ms_scan_methods = {
	.CustomName = MS_SCAN_NAME,
	.CreateCustomScanState = create_scan_state,
};

/* See exec.h. */
void
ms_exec_init(void)
{
	RegisterCustomScanMethods(&ms_scan_methods);
	RegisterCustomScanMethods(&ms_agg_scan_methods);
	ms_refetch_hook = ms_refetch_row;
	ms_paths_init();
	ms_orderpaths_init();
	ms_relstats_init();
	ms_aggpaths_init();
}
