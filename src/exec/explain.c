/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN says about a custom scan.
 *
 *	 Custom Scan (MemseriesScan) on cpu (actual rows=360 loops=1)
 *	   Filter: (usage > '90'::double precision)
 *	   Rows Removed by Filter: 3240
 *	   Series Filter: (host = 'web1'::text)
 *	   Time Range: ((ts >= ...) AND (ts < ...))
 *	   Series: read=1 skipped=9
 *	   Chunks: read=3 skipped=5
 *	   Blocks: read=16 skipped=2
 *	   Samples: read=3600 skipped=120
 *
 * A scan that aggregates also says "Summaries: chunks=... blocks=...": so many
 * chunks were answered from their totals alone, without looking at a block, and
 * so many blocks of others from their headers; the latter are not among those
 * read.
 *
 * "Filter" and "Rows Removed" are PostgreSQL's own lines: conditions on values,
 * whether met for a block at a time (rows.c) or by PostgreSQL row by row.  The rest is printed here.  Chunks, blocks and
 * samples are those of the series read.  "Pieces" appear while rows just
 * written have not been folded into chunks yet.  Counters are totals over
 * all loops and processes, as buffer counts are, not averages per loop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"

#include "compat.h"
#ifdef MS_HAVE_EXPLAIN_FORMAT
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "exec/labelwalk.h"
#include "utils/builtins.h"
#include "utils/rel.h"

static const char *const order_names[] = {
	[MS_ORDER_SERIES] = "by series",
	[MS_ORDER_LABELS] = "by labels",
	[MS_ORDER_LABELS_TIME] = "by labels, then by time",
	[MS_ORDER_TIME] = "by time",
	[MS_ORDER_TIME_DESC] = "by time, descending",
	[MS_ORDER_FIRST] = "oldest row of each series",
	[MS_ORDER_LAST] = "newest row of each series",
};

static void
show_label_order(MsScanState *state, ExplainState *es)
{
	List	   *order = list_copy_tail(((CustomScan *) state->css.ss.ps.plan)->custom_private,
									   MS_PRIVATE_KEYS);
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(state->css.ss.ss_currentRelation),
										  list_nth_int(order, MS_WALK_ATT) - 1);

	ExplainPropertyText("Order", psprintf("by %s%s%s", quote_identifier(NameStr(att->attname)),
										  list_nth_int(order, MS_WALK_DESCENDING) ?
										  ", descending" : "",
										  state->order == MS_ORDER_LAST ? ", newest row of each" :
										  state->order == MS_ORDER_FIRST ? ", oldest row of each" :
										  ""), es);
}

/* A line with conditions, ANDed; none if there are none. */
void
ms_scan_show_conditions(const char *label, List *exprs, CustomScanState *node, List *ancestors,
						ExplainState *es)
{
	List	   *context;
	char	   *shown;

	if (exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	shown = deparse_expression((Node *) make_ands_explicit(exprs), context, es->verbose, false);
	ExplainPropertyText(label, shown, es);
}

/* A line with a list of expressions; none if there are none. */
void
ms_scan_show_keys(const char *label, List *exprs, CustomScanState *node, List *ancestors,
				  ExplainState *es)
{
	List	   *context;
	List	   *shown = NIL;
	ListCell   *lc;

	if (exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	foreach(lc, exprs)
		shown = lappend(shown, deparse_expression(lfirst(lc), context, es->verbose, true));
	ExplainPropertyList(label, shown, es);
}

/* One line "What: read=1 skipped=2" of text, two properties otherwise. */
static void
show_counts(const char *what, uint64 read, uint64 skipped, ExplainState *es)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
		ExplainPropertyText(what, psprintf("read=" UINT64_FORMAT " skipped=" UINT64_FORMAT,
										   read, skipped), es);
	else
	{
		ExplainPropertyUInteger(psprintf("%s Read", what), NULL, read, es);
		ExplainPropertyUInteger(psprintf("%s Skipped", what), NULL, skipped, es);
	}
}

static void
show_summaries(uint64 chunks, uint64 blocks, ExplainState *es)
{
	if (es->format != EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyUInteger("Chunks Summarized", NULL, chunks, es);
		ExplainPropertyUInteger("Blocks Summarized", NULL, blocks, es);
	}
	else if (chunks > 0)
		ExplainPropertyText("Summaries", psprintf("chunks=" UINT64_FORMAT " blocks=" UINT64_FORMAT,
												  chunks, blocks), es);
	else if (blocks > 0)
		ExplainPropertyText("Summaries", psprintf("blocks=" UINT64_FORMAT, blocks), es);
}

static void
show_counters(MsScanState *state, bool summaries, ExplainState *es)
{
	uint64		n[MS_NUM_SCAN_COUNTERS];

	ms_scan_publish(state);
	for (int i = 0; i < MS_NUM_SCAN_COUNTERS; i++)
	{
		n[i] = state->totals[i] + state->counters[i];
		if (state->shared != NULL)
			n[i] += pg_atomic_read_u64(&state->shared->counters[i]);
	}

	/* It never ran, or only out of our sight: nothing is better than zero. */
	if (n[MS_COUNT_STARTS] == 0)
		return;

	show_counts("Series", n[MS_COUNT_SERIES_READ], n[MS_COUNT_SERIES_SKIPPED], es);
	show_counts("Chunks", n[MS_COUNT_CHUNKS_READ], n[MS_COUNT_CHUNKS_SKIPPED], es);
	show_counts("Blocks", n[MS_COUNT_BLOCKS_READ], n[MS_COUNT_BLOCKS_SKIPPED], es);
	if (summaries)
		show_summaries(n[MS_COUNT_CHUNKS_SUMMARIZED], n[MS_COUNT_BLOCKS_SUMMARIZED], es);
	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyUInteger("Pieces Read", NULL, n[MS_COUNT_PIECES_READ], es);
	else if (n[MS_COUNT_PIECES_READ] > 0)
		ExplainPropertyText("Pieces", psprintf("read=" UINT64_FORMAT,
											   n[MS_COUNT_PIECES_READ]), es);
	show_counts("Samples", n[MS_COUNT_SAMPLES_READ], n[MS_COUNT_SAMPLES_SKIPPED], es);
}

/* The labels by which series are sorted. */
static List *
key_columns(MsScanState *state)
{
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);
	Index		relid = ((Scan *) state->css.ss.ps.plan)->scanrelid;
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, state->label_keys)
	{
		AttrNumber	att = ((MsLabelKey *) lfirst(lc))->att;
		Form_pg_attribute attr = TupleDescAttr(tupdesc, att - 1);

		result = lappend(result, makeVar(relid, att, attr->atttypid, attr->atttypmod,
										 attr->attcollation, 0));
	}
	return result;
}

/* The conditions that the scan itself takes. */
void
ms_scan_explain_conditions(CustomScanState *node, List *ancestors, ExplainState *es)
{
	MsScanState *state = (MsScanState *) node;
	List	   *labels = list_concat_copy(state->exprs[MS_EXPR_SAFE],
										  state->exprs[MS_EXPR_LABEL]);

	if (state->label_keys == NIL &&
		list_length(((CustomScan *) node->ss.ps.plan)->custom_private) > MS_PRIVATE_KEYS)
		show_label_order(state, es);
	else if (state->order != MS_ORDER_SERIES)
	{
		ExplainPropertyText("Order", order_names[state->order], es);
		ms_scan_show_keys("Label Key", key_columns(state), node, ancestors, es);
	}
	ms_scan_show_conditions("Series Filter", labels, node, ancestors, es);
	ms_scan_show_conditions("Time Range", state->exprs[MS_EXPR_TIME], node, ancestors, es);
}

/* And what was counted, with EXPLAIN ANALYZE; summaries: among that, what was answered from summaries. */
void
ms_scan_explain_counters(CustomScanState *node, bool summaries, ExplainState *es)
{
	if (es->analyze)
		show_counters((MsScanState *) node, summaries, es);
}

/* All of it. */
void
ms_scan_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	MsScanState *state = (MsScanState *) node;

	ms_scan_explain_conditions(node, ancestors, es);
	ms_scan_explain_counters(node, state->order == MS_ORDER_LAST ||
							 state->order == MS_ORDER_TIME_DESC, es);
}
