/*-------------------------------------------------------------------------
 *
 * labelindex.c
 *	  Finding series by the value of a label, for scans that run many times.
 *
 * A scan asks its label conditions of every series, which is little for one
 * scan and much for the inner side of a nested loop, where each outer row
 * wants the few series with one host.  So from its second start on, a scan
 * with a condition "label = value" looks the series up: it goes once through
 * all series, hashes that label with the type's own hash function, sorts the
 * hashes, and from then on goes only to the series whose hash is that of the
 * value.  All conditions are still asked of those, so a hash only needs to be
 * the same for what is equal.
 *
 * Series that are new since then cannot have rows that the query's snapshot
 * sees.
 *
 * Locks: table->lock, shared, while labels are copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "exec/scan.h"

#define MIN_SERIES	16			/* with fewer it does not pay */

typedef struct HashedSeries
{
	uint32		hash;
	uint32		sid;
} HashedSeries;

struct MsLabelIndex
{
	int			att;			/* of the label, attribute number - 1 */
	ExprState  *value;
	Oid			collation;
	FmgrInfo	hash_label;
	FmgrInfo	hash_value;
	HashedSeries *entries;		/* by hash; NULL: not built */
	uint32		nentries;

	/* The lookup under way. */
	uint32		hash;
	uint32		next;			/* entry */
};

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE HashedSeries
#define ST_COMPARE(a, b) \
	((a)->hash != (b)->hash ? ((a)->hash < (b)->hash ? -1 : 1) : \
	 (a)->sid < (b)->sid ? -1 : (a)->sid > (b)->sid)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Is this "label = something that is constant during a scan"?  Sets which is which. */
static bool
match_clause(const OpExpr *op, Index relid, Var **label, Expr **value, bool *label_is_left)
{
	Node	   *left;
	Node	   *right;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2)
		return false;
	left = linitial(op->args);
	right = lsecond(op->args);
	*label_is_left = IsA(left, Var) && ((Var *) left)->varno == (int) relid;
	*label = (Var *) (*label_is_left ? left : right);
	*value = (Expr *) (*label_is_left ? right : left);
	return IsA(*label, Var) && (*label)->varno == (int) relid &&
		(*label)->varattno > 0 && !contain_var_clause((Node *) *value) &&
		op_hashjoinable(op->opno, exprType(left));
}

/* Finds a condition to look series up by; NULL if there is none. */
MsLabelIndex *
ms_labelindex_create(MsScanState *state, Index relid)
{
	ListCell   *lc;

	foreach(lc, state->exprs[MS_EXPR_SAFE])
	{
		OpExpr	   *op = lfirst(lc);
		Var		   *label;
		Expr	   *value;
		bool		label_is_left;
		RegProcedure hash_left;
		RegProcedure hash_right;
		MsLabelIndex *index;

		if (!match_clause(op, relid, &label, &value, &label_is_left) ||
			!get_op_hash_functions(op->opno, &hash_left, &hash_right))
			continue;
		index = palloc0(sizeof(MsLabelIndex));
		index->att = label->varattno - 1;
		index->value = ExecInitExpr(value, &state->css.ss.ps);
		index->collation = op->inputcollid;
		fmgr_info(label_is_left ? hash_left : hash_right, &index->hash_label);
		fmgr_info(label_is_left ? hash_right : hash_left, &index->hash_value);
		return index;
	}
	return NULL;
}

/* Goes through all series once. */
static void
build(MsScanState *state, MsLabelIndex *index)
{
	index->entries = MemoryContextAllocHuge(state->scan_cxt,
											sizeof(HashedSeries) * Max(state->limit, 1));
	index->nentries = 0;
	for (uint32 sid = 0; sid < state->limit; sid++)
	{
		HashedSeries *entry = &index->entries[index->nentries];

		CHECK_FOR_INTERRUPTS();
		if (!ms_scan_load_labels(state, sid) || state->template_isnull[index->att])
			continue;
		entry->sid = sid;
		entry->hash = DatumGetUInt32(FunctionCall1Coll(&index->hash_label, index->collation,
													   state->template_values[index->att]));
		index->nentries++;
	}
	sort_entries(index->entries, index->nentries);
}

/* Prepares the scan that starts now to be led by the index; false: go through all series. */
bool
ms_labelindex_start(MsScanState *state)
{
	MsLabelIndex *index = state->index;
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	uint32		low = 0;
	uint32		high;
	Datum		value;
	bool		isnull;

	if (index == NULL || state->shared != NULL || state->limit < MIN_SERIES ||
		state->counters[MS_COUNT_STARTS] + state->totals[MS_COUNT_STARTS] < 2)
		return false;
	if (index->entries == NULL)
		build(state, index);

	value = ExecEvalExprSwitchContext(index->value, econtext, &isnull);
	index->next = index->nentries;
	if (isnull)
		return true;
	index->hash = DatumGetUInt32(FunctionCall1Coll(&index->hash_value, index->collation, value));
	high = index->nentries;
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (index->entries[middle].hash < index->hash)
			low = middle + 1;
		else
			high = middle;
	}
	index->next = low;
	return true;
}

/* The next series whose label may have the value; false if there are no more. */
bool
ms_labelindex_next(MsScanState *state, uint32 *sid)
{
	MsLabelIndex *index = state->index;

	if (index->next >= index->nentries || index->entries[index->next].hash != index->hash)
		return false;
	*sid = index->entries[index->next++].sid;
	return true;
}

/* Forgets what was built: the table is another one. */
void
ms_labelindex_reset(MsScanState *state)
{
	if (state->index == NULL || state->index->entries == NULL)
		return;
	pfree(state->index->entries);
	state->index->entries = NULL;
}
