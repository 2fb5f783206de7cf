/*-------------------------------------------------------------------------
 *
 * labelcodes.c
 *	  Finding the series that "label = value" leaves, by the value's code.
 *
 * The store keeps each distinct label value once, and a series as a row of
 * codes.  So before anything is asked of any series, conditions of the form
 * "label = value" or "label IN (values)" are looked up in the dictionary, and
 * the codes of all series compared with those found: some nanoseconds for a
 * series, a hundredth of what it takes to make its labels datums and ask the
 * condition.  What is left is asked all conditions as ever, so that this needs to be
 * right in one direction only: no series may be left out wrongly.
 *
 * That is so for types whose equality is that of their bytes, in collations that do
 * not see it otherwise; those it is done for are listed below.  A series that was
 * added before the column was has no code for it, and is always left in.
 *
 * Locks: table->lock, shared, for some thousand series at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "lib/qunique.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "exec/codeindex.h"
#include "exec/scan.h"

#define MAX_CONDITIONS	4
#define SERIES_AT_ONCE	4096	/* under one lock */

typedef struct CodeCondition
{
	int			att;			/* of the label, attribute number - 1 */
	ExprState  *value;
	bool		is_array;
	Oid			type;			/* of a value */
	uint32	   *codes;			/* of this scan, ascending, each once */
	int			ncodes;
} CodeCondition;

struct MsLabelCodes
{
	int			nconditions;
	CodeCondition conditions[MAX_CONDITIONS];
	MemoryContext cxt;			/* of what a scan found */
	uint32	   *sids;
	uint32		nsids;
	uint32		next;
};

/* ---- which conditions ---- */

/* Is this function the equality of bytes of a type? */
static bool
compares_bytes(Oid funcid, Oid collation)
{
	switch (funcid)
	{
		case F_TEXTEQ:
			return OidIsValid(collation) && get_collation_isdeterministic(collation);
		case F_INT2EQ:
		case F_INT4EQ:
		case F_INT8EQ:
		case F_UUID_EQ:
		case F_DATE_EQ:
			return true;
		default:
			return false;
	}
}

/* The label that an operand is; NULL if it is none.  A varchar is compared as a text. */
static Var *
label_operand(Node *node, Index relid)
{
	Var		   *var = (Var *) node;

	if (IsA(node, RelabelType) && exprType(node) == TEXTOID)
		var = (Var *) ((RelabelType *) node)->arg;
	if (!IsA(var, Var) || var->varno != (int) relid || var->varattno <= 0)
		return NULL;
	return exprType(node) == var->vartype || var->vartype == VARCHAROID ? var : NULL;
}

static bool
match_condition(Node *clause, Index relid, CodeCondition *cond, Expr **value)
{
	List	   *args;
	Var		   *label;
	Oid			funcid;
	Oid			collation;

	if (IsA(clause, OpExpr))
	{
		args = ((OpExpr *) clause)->args;
		funcid = ((OpExpr *) clause)->opfuncid;
		collation = ((OpExpr *) clause)->inputcollid;
		cond->is_array = false;
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		args = ((ScalarArrayOpExpr *) clause)->args;
		funcid = ((ScalarArrayOpExpr *) clause)->opfuncid;
		collation = ((ScalarArrayOpExpr *) clause)->inputcollid;
		cond->is_array = true;
	}
	else
		return false;
	if (list_length(args) != 2 || !compares_bytes(funcid, collation))
		return false;

	label = label_operand(linitial(args), relid);
	*value = lsecond(args);
	if (label == NULL && !cond->is_array)
	{
		label = label_operand(lsecond(args), relid);
		*value = linitial(args);
	}
	if (label == NULL || contain_var_clause((Node *) *value) ||
		contain_subplans((Node *) *value))
		return false;
	cond->att = label->varattno - 1;
	cond->type = exprType((Node *) *value);
	if (cond->is_array)
		cond->type = get_base_element_type(cond->type);
	return OidIsValid(cond->type);
}

/* Finds the conditions to look up; NULL if there are none. */
MsLabelCodes *
ms_labelcodes_create(MsScanState *state, Index relid)
{
	MsLabelCodes *codes = NULL;
	ListCell   *lc;

	foreach(lc, state->exprs[MS_EXPR_SAFE])
	{
		CodeCondition cond = {0};
		Expr	   *value;

		if (!match_condition(lfirst(lc), relid, &cond, &value))
			continue;
		if (codes == NULL)
		{
			codes = palloc0(sizeof(MsLabelCodes));
			codes->cxt = AllocSetContextCreate(state->scan_cxt, "memseries label codes",
											   ALLOCSET_SMALL_SIZES);
		}
		if (codes->nconditions == MAX_CONDITIONS)
			break;
		cond.value = ExecInitExpr(value, &state->css.ss.ps);
		codes->conditions[codes->nconditions++] = cond;
	}
	return codes;
}

/* ---- a scan ---- */

/* The values of a condition, as datums; their number. */
static int
condition_values(const CodeCondition *cond, ExprContext *econtext, Datum **values, bool **nulls)
{
	bool		isnull;
	Datum		value = ExecEvalExpr(cond->value, econtext, &isnull);
	int			n = 1;

	if (isnull)
		return 0;
	if (cond->is_array)
	{
		int16		typlen;
		bool		typbyval;
		char		typalign;

		get_typlenbyvalalign(cond->type, &typlen, &typbyval, &typalign);
		deconstruct_array(DatumGetArrayTypeP(value), cond->type, typlen, typbyval, typalign,
						  values, nulls, &n);
		return n;
	}
	*values = palloc(sizeof(Datum));
	*nulls = palloc0(sizeof(bool));
	**values = value;
	return n;
}

/* Looks a condition's values up in the dictionary. */
static void
find_codes(MsScanState *state, CodeCondition *cond, MemoryContext cxt)
{
	MsTable    *table = state->desc->table;
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	MsLabelValue *labels;
	Datum	   *values;
	bool	   *nulls;
	int			n = condition_values(cond, econtext, &values, &nulls);

	cond->ncodes = 0;
	cond->codes = MemoryContextAlloc(cxt, sizeof(uint32) * Max(n, 1));
	labels = palloc(sizeof(MsLabelValue) * Max(n, 1));
	for (int i = 0; i < n; i++)
		ms_label_from_datum(TupleDescAttr(tupdesc, cond->att), values[i], nulls[i], &labels[i]);

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; i < n; i++)
	{
		uint32		code = labels[i].isnull || labels[i].len > MS_MAX_LABEL_BYTES ? 0 :
		ms_series_find_code(ms_store->arena, &table->series, &labels[i]);

		if (code != 0)
			cond->codes[cond->ncodes++] = code;
	}
	ms_unlock(table->lock);
	qsort(cond->codes, cond->ncodes, sizeof(uint32), ms_compare_uint32);
	cond->ncodes = qunique(cond->codes, cond->ncodes, sizeof(uint32), ms_compare_uint32);
	MemoryContextSwitchTo(old);
}

/* Leaves of n series those that have the codes of all conditions.  Takes table->lock shared. */
static uint32
pick(MsScanState *state, MsLabelCodes *codes, uint32 *sids, uint32 n)
{
	MsTable    *table = state->desc->table;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; i < codes->nconditions; i++)
	{
		const CodeCondition *cond = &codes->conditions[i];

		n = ms_series_pick(ms_store->arena, &table->series, sids, n,
						   state->desc->cols[cond->att].ordinal, cond->codes, cond->ncodes);
	}
	ms_unlock(table->lock);
	return n;
}

/* Finds the series by an index of one condition, the one that leaves the fewest; false: there is none. */
static bool
find_by_index(MsScanState *state, MsLabelCodes *codes)
{
	const CodeCondition *best = NULL;
	uint32		fewest = 0;
	uint32		n;

	for (int i = 0; i < codes->nconditions; i++)
	{
		const CodeCondition *cond = &codes->conditions[i];
		MsCodeIndex *index = ms_codeindex_get(state->desc->table, state->desc->cols[cond->att].ordinal);
		uint32		count = index != NULL ? ms_codeindex_count(index, cond->codes, cond->ncodes) : 0;

		if (index != NULL && (best == NULL || count < fewest))
		{
			best = cond;
			fewest = count;
			codes->sids = MemoryContextAllocHuge(codes->cxt, sizeof(uint32) * (Size) Max(count, 1));
			codes->nsids = ms_codeindex_series(index, cond->codes, cond->ncodes, codes->sids);
		}
	}
	if (best == NULL)
		return false;

	/* series that are new since the scan began are none of its business */
	n = codes->nsids;
	while (n > 0 && codes->sids[n - 1] >= state->limit)
		n--;
	codes->nsids = pick(state, codes, codes->sids, n);
	return true;
}

/* Finds them by looking at all. */
static void
find_among_all(MsScanState *state, MsLabelCodes *codes)
{
	codes->sids = MemoryContextAllocHuge(codes->cxt, sizeof(uint32) * (Size) Max(state->limit, 1));
	codes->nsids = 0;
	for (uint32 from = 0; from < state->limit; from += SERIES_AT_ONCE)
	{
		uint32	   *found = codes->sids + codes->nsids;
		uint32		n = Min(SERIES_AT_ONCE, state->limit - from);

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < n; i++)
			found[i] = from + i;
		codes->nsids += pick(state, codes, found, n);
	}
}

/* Finds the series that the scan that starts now has to ask; false: all. */
bool
ms_labelcodes_start(MsScanState *state)
{
	MsLabelCodes *codes = state->codes;

	if (codes == NULL || state->shared != NULL)
		return false;
	MemoryContextReset(codes->cxt);
	for (int i = 0; i < codes->nconditions; i++)
		find_codes(state, &codes->conditions[i], codes->cxt);
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	codes->next = 0;
	if (!find_by_index(state, codes))
		find_among_all(state, codes);
	if (state->analyze)
	{
		MsTableStats stats;

		ms_table_stats(state->desc->table, &stats);
		state->counters[MS_COUNT_SERIES_SKIPPED] += stats.series - Min(codes->nsids, stats.series);
	}
	return true;
}

/* The next series to ask; false if there are no more. */
bool
ms_labelcodes_next(MsScanState *state, uint32 *sid)
{
	MsLabelCodes *codes = state->codes;

	if (codes->next >= codes->nsids)
		return false;
	*sid = codes->sids[codes->next++];
	return true;
}
