/*-------------------------------------------------------------------------
 *
 * labelterm.c
 *	  Conditions by which series can be looked up.
 *
 * A condition on one label can be answered without asking the series if it
 * says which codes the label may have.  Three kinds of it do:
 *
 *	bytes	"label = value" of types whose equality is that of their bytes, in
 *			collations that do not see it otherwise: the code is in the dictionary.
 *	order	"label < value" and the like, with an operator of the type's btree:
 *			the values are a range of the label's values in that order.
 *	pattern	LIKE, a regular expression, starts_with: if all that meets it begins
 *			with a constant, as PostgreSQL's own support function for index
 *			conditions tells, the values are a range in the order of bytes.
 *
 * Each also with a list of values, and several of them with OR, if it is the same
 * label.  More codes than meet a condition may be found, for it is asked
 * again, but never fewer.  A condition that may raise an error is looked up as
 * well: it is not asked of series that cannot meet it, as it is not with an
 * index of PostgreSQL's.
 *
 * Locks: table->lock, shared, for the dictionary.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/qunique.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "exec/labelterm.h"

/* ---- what a clause says ---- */

/* See labelterm.h. */
bool
ms_compares_bytes(Oid funcid, Oid collation)
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

/* Does the expression stay the same during a scan of the relation, as far as columns are concerned? */
static bool
is_free_of(Node *node, Index relid)
{
	Bitmapset  *used = NULL;
	bool		result;

	pull_varattnos(node, relid, &used);
	result = bms_is_empty(used) && !contain_subplans(node);
	bms_free(used);
	return result;
}

/* Is this an operator of the btree of the label's type?  Completes the term. */
static bool
match_order(MsLabelTerm *term, Oid opno, Oid type)
{
	MsLabelSort *sort = &term->sort;
	Oid			lefttype;
	Oid			righttype;
	Oid			cmp;

	sort->opfamily = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	if (!OidIsValid(sort->opfamily) || !op_in_opfamily(opno, sort->opfamily))
		return false;
	get_op_opfamily_properties(opno, sort->opfamily, false, &term->strategy, &lefttype, &righttype);
	sort->type = lefttype;
	if (lefttype != type || !op_strict(opno) ||
		(term->is_array && term->strategy != BTEqualStrategyNumber) ||
		type_is_collatable(type) != OidIsValid(sort->collation))
		return false;
	cmp = ms_labelsort_comparison(sort, righttype);
	if (!OidIsValid(cmp))
		return false;
	fmgr_info(cmp, &term->cmp);
	term->kind = MS_TERM_ORDER;
	return true;
}

/* Is there a support function that may know a beginning?  Only PostgreSQL's own are known to need no more than we have. */
static bool
match_pattern(MsLabelTerm *term, const OpExpr *op, Oid type)
{
	if (type != TEXTOID || term->type != TEXTOID || op->opfuncid >= FirstNormalObjectId ||
		!OidIsValid(get_func_support(op->opfuncid)))
		return false;
	term->sort.opfamily = TEXT_PATTERN_BTREE_FAM_OID;
	term->sort.type = TEXTOID;
	term->sort.collation = C_COLLATION_OID;
	term->kind = MS_TERM_PATTERN;
	return OidIsValid(ms_labelsort_comparison(&term->sort, TEXTOID));
}

/* A single comparison; NULL if it is none. */
static MsLabelTerm *
match_comparison(Node *clause, Index relid)
{
	MsLabelTerm *term = palloc0(sizeof(MsLabelTerm));
	OpExpr	   *op = (OpExpr *) clause;
	List	   *args;
	Oid			opno;
	Oid			funcid;
	Oid			type;
	Var		   *label;

	if (IsA(clause, OpExpr))
	{
		args = op->args;
		opno = op->opno;
		term->sort.collation = op->inputcollid;
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		args = ((ScalarArrayOpExpr *) clause)->args;
		opno = ((ScalarArrayOpExpr *) clause)->opno;
		term->sort.collation = ((ScalarArrayOpExpr *) clause)->inputcollid;
		term->is_array = true;
	}
	else
		return NULL;
	if (list_length(args) != 2)
		return NULL;

	label = label_operand(linitial(args), relid);
	term->operand = lsecond(args);
	type = exprType(linitial(args));
	if (label == NULL && !term->is_array)
	{
		label = label_operand(lsecond(args), relid);
		term->operand = linitial(args);
		type = exprType(lsecond(args));
		opno = get_commutator(opno);
	}
	if (label == NULL || !OidIsValid(opno) || !is_free_of((Node *) term->operand, relid))
		return NULL;
	term->att = label->varattno - 1;
	term->type = exprType((Node *) term->operand);
	if (term->is_array)
		term->type = get_base_element_type(term->type);
	if (!OidIsValid(term->type))
		return NULL;

	funcid = get_opcode(opno);
	if (ms_compares_bytes(funcid, term->sort.collation))
		term->kind = MS_TERM_BYTES;
	else if (!match_order(term, opno, type))
	{
		if (!IsA(clause, OpExpr) || opno != op->opno || !match_pattern(term, op, type))
			return NULL;
		term->pattern = op;
	}
	return term;
}

/* See labelterm.h. */
List *
ms_labelterms(Node *clause, Index relid)
{
	List	   *args = is_orclause(clause) ? ((BoolExpr *) clause)->args : list_make1(clause);
	List	   *terms = NIL;
	ListCell   *lc;

	foreach(lc, args)
	{
		MsLabelTerm *term = match_comparison(lfirst(lc), relid);

		if (term == NULL ||
			(terms != NIL && term->att != ((MsLabelTerm *) linitial(terms))->att))
			return NIL;
		terms = lappend(terms, term);
	}
	return terms;
}

/* See labelterm.h. */
void
ms_labelterms_init(List *terms, PlanState *parent)
{
	ListCell   *lc;

	foreach(lc, terms)
	{
		MsLabelTerm *term = lfirst(lc);

		term->value = ExecInitExpr(term->operand, parent);
	}
}

/* ---- a scan's values ---- */

/* Evaluates a term's operand: no value if it is NULL. */
static void
eval_operand(MsLabelTerm *term, ExprContext *econtext)
{
	bool		isnull;
	Datum		value = ExecEvalExpr(term->value, econtext, &isnull);

	term->nvalues = 0;
	if (isnull)
		return;
	if (term->is_array)
	{
		int16		typlen;
		bool		typbyval;
		char		typalign;

		get_typlenbyvalalign(term->type, &typlen, &typbyval, &typalign);
		deconstruct_array(DatumGetArrayTypeP(value), term->type, typlen, typbyval, typalign,
						  &term->values, &term->nulls, &term->nvalues);
		return;
	}
	term->values = palloc(sizeof(Datum));
	term->nulls = palloc0(sizeof(bool));
	term->values[0] = value;
	term->nvalues = 1;
}

/* See labelterm.h. */
void
ms_labelterms_eval(MsScanState *state, List *terms)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	ListCell   *lc;

	foreach(lc, terms)
		eval_operand(lfirst(lc), econtext);
	MemoryContextSwitchTo(old);
}

/* Leaves of a range what "label operator value" leaves. */
static void
narrow(MsLabelRange *range, FmgrInfo *cmp, int strategy, Datum value)
{
	const MsLabelOrder *order = range->order;
	uint32		from = 0;
	uint32		to = order->n;

	if (strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber ||
		strategy == BTEqualStrategyNumber)
		from = ms_labelorder_search(order, cmp, value, strategy == BTGreaterStrategyNumber);
	if (strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber ||
		strategy == BTEqualStrategyNumber)
		to = ms_labelorder_search(order, cmp, value, strategy != BTLessStrategyNumber);
	range->from = Max(range->from, from);
	range->to = Max(range->from, Min(range->to, to));
}

/* Leaves of a range what meets a pattern; false if nothing is known of that. */
static bool
narrow_by_pattern(const MsLabelTerm *term, Datum pattern, MsLabelRange *range)
{
	SupportRequestIndexCondition req = {.type = T_SupportRequestIndexCondition};
	OpExpr	   *op = copyObject(term->pattern);
	List	   *conditions;
	ListCell   *lc;

	lsecond(op->args) = makeConst(TEXTOID, -1, C_COLLATION_OID, -1, pattern, false, false);
	req.funcid = op->opfuncid;
	req.node = (Node *) op;
	req.opfamily = term->sort.opfamily;
	req.indexcollation = term->sort.collation;
	req.lossy = true;
	conditions = (List *) DatumGetPointer(OidFunctionCall1(get_func_support(op->opfuncid),
														   PointerGetDatum(&req)));
	foreach(lc, conditions)
	{
		OpExpr	   *condition = lfirst_node(OpExpr, lc);
		Const	   *bound = lsecond_node(Const, condition->args);
		FmgrInfo	cmp;

		fmgr_info(ms_labelsort_comparison(&term->sort, TEXTOID), &cmp);
		narrow(range, &cmp, get_op_opfamily_strategy(condition->opno, term->sort.opfamily),
			   bound->constvalue);
	}
	return conditions != NIL;
}

/* The label's values in the order of a term, all of them; false if there is no order. */
static bool
whole_range(MsScanState *state, const MsLabelTerm *term, MsCodeIndex *index, MsLabelRange *range)
{
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);

	range->order = ms_codeindex_order(index, TupleDescAttr(tupdesc, term->att), &term->sort);
	range->from = 0;
	range->to = range->order != NULL ? range->order->n : 0;
	return range->order != NULL;
}

/* The values of which a term holds, with one of its values. */
static bool
value_range(MsScanState *state, MsLabelTerm *term, MsCodeIndex *index,
			Datum value, bool isnull, MsLabelRange *range)
{
	if (!whole_range(state, term, index, range))
		return false;
	if (isnull)
		range->to = 0;
	else if (term->kind == MS_TERM_PATTERN)
		return narrow_by_pattern(term, value, range);
	else
		narrow(range, &term->cmp, term->strategy, value);
	return true;
}

/* See labelterm.h. */
bool
ms_labelterm_range(MsScanState *state, MsLabelTerm *term, MsCodeIndex *index, MsLabelRange *range)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	bool		known;

	Assert(ms_labelterm_is_range(term));
	known = value_range(state, term, index, term->nvalues > 0 ? term->values[0] : (Datum) 0,
						term->nvalues == 0, range);
	MemoryContextSwitchTo(old);
	return known;
}

/* ---- a scan's codes ---- */

#define MAX_CODES	(1 << 28)

typedef struct CodeList
{
	uint32	   *codes;
	int			n;
	int			cap;
} CodeList;

static void
reserve_codes(CodeList *list, int n)
{
	if (n <= list->cap)
		return;
	list->cap = Max(n, list->cap * 2);
	list->codes = repalloc_huge(list->codes, sizeof(uint32) * (Size) list->cap);
}

/* Looks values up in the dictionary. */
static void
add_codes_of_bytes(MsScanState *state, const MsLabelTerm *term, CodeList *list)
{
	int			n = term->nvalues;
	MsTable    *table = state->desc->table;
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);
	MsLabelValue *labels = palloc(sizeof(MsLabelValue) * Max(n, 1));

	for (int i = 0; i < n; i++)
		ms_label_from_datum(TupleDescAttr(tupdesc, term->att), term->values[i], term->nulls[i],
							&labels[i]);

	reserve_codes(list, list->n + n);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = 0; i < n; i++)
	{
		uint32		code = labels[i].isnull || labels[i].len > MS_MAX_LABEL_BYTES ? 0 :
		ms_series_find_code(ms_store->arena, &table->series, &labels[i]);

		if (code != 0)
			list->codes[list->n++] = code;
	}
	ms_unlock(table->lock);
}

/* Adds the codes of one term; false if nothing is known. */
static bool
add_codes(MsScanState *state, MsLabelTerm *term, MsCodeIndex *index, CodeList *list)
{
	if (term->kind == MS_TERM_BYTES)
	{
		add_codes_of_bytes(state, term, list);
		return true;
	}
	if (index == NULL)
		return false;
	for (int i = 0; i < term->nvalues; i++)
	{
		MsLabelRange range;

		if (!value_range(state, term, index, term->values[i], term->nulls[i], &range) ||
			range.to - range.from > (uint32) (MAX_CODES - list->n))
			return false;
		reserve_codes(list, list->n + (int) (range.to - range.from));
		memcpy(list->codes + list->n, range.order->codes + range.from,
			   sizeof(uint32) * (range.to - range.from));
		list->n += (int) (range.to - range.from);
	}
	return true;
}

/* See labelterm.h. */
bool
ms_labelterms_codes(MsScanState *state, List *terms, MsCodeIndex *index,
					MemoryContext cxt, uint32 **codes, int *ncodes)
{
	CodeList	list = {.codes = MemoryContextAlloc(cxt, sizeof(uint32) * 16),.cap = 16};
	MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	bool		known = true;
	ListCell   *lc;

	foreach(lc, terms)
		known = known && add_codes(state, lfirst(lc), index, &list);
	MemoryContextSwitchTo(old);
	qsort(list.codes, list.n, sizeof(uint32), ms_compare_uint32);
	*codes = list.codes;
	*ncodes = qunique(list.codes, list.n, sizeof(uint32), ms_compare_uint32);
	return known;
}
