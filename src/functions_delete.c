/*-------------------------------------------------------------------------
 *
 * functions_delete.c
 *	  SQL function delete_samples: a range of times of chosen series goes.
 *
 * Which series is said by an SQL condition over label columns, given as text.
 * It is parsed as an expression, never put into a query, with the table as
 * its only source of names, and evaluated once per series.  A condition that
 * names the time or a value makes no sense per series and is refused; so are
 * subqueries (they would need a plan), aggregates, and volatile functions
 * (once per series is not what their author expects).
 *
 * The condition runs with the rights of the caller, who must own the table.
 * It may call any function, so it is never evaluated under a lock of the
 * store: ms_write_delete copies labels out first.
 *
 * Deleting is part of the transaction, by the same means as inserting: a
 * piece that says "these times are gone" is appended for each series.  Only
 * rows older than it are affected, and a rollback takes it back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "am/reldesc.h"
#include "am/write.h"
#include "functions.h"

PG_FUNCTION_INFO_V1(ms_delete_samples);

/* What the series filter needs. */
typedef struct Filter
{
	const MsRelDesc *desc;		/* owned */
	TupleDesc	tupdesc;		/* borrowed */
	TupleTableSlot *slot;
	EState	   *estate;
	ExprContext *econtext;
	ExprState  *condition;		/* NULL: every series */
} Filter;

/* Errors inside the condition point into it, not into the calling query. */
static void
condition_error_callback(void *arg)
{
	const char *source = (const char *) arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(source);
	}
	errcontext("condition of memseries.delete_samples");
}

/* The raw expression; ERROR if the text is anything else. */
static Node *
parse_condition(const char *source)
{
	List	   *parsed = raw_parser(source, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt);
	ResTarget  *target;

	if (list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->intoClause != NULL ||
		select->fromClause != NIL || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->valuesLists != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL ||
		select->withClause != NULL || select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be a single expression"),
				 errhint("Write what would stand after WHERE, such as host = 'web1'.")));

	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be a single expression"),
				 errdetail("It has a column alias, \"%s\".", target->name)));
	if (IsA(target->val, ColumnRef) && IsA(llast(((ColumnRef *) target->val)->fields), A_Star))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be a single expression"),
				 errdetail("A star stands for all columns.")));
	return target->val;
}

/* ERROR unless all columns the expression names are labels. */
static void
check_columns(Node *expr, Relation rel, const MsRelDesc *desc)
{
	Bitmapset  *attrs = NULL;
	int			i = -1;

	pull_varattnos(expr, 1, &attrs);
	while ((i = bms_next_member(attrs, i)) >= 0)
	{
		AttrNumber	attnum = i + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0 && desc->cols[attnum - 1].role == MS_ROLE_LABEL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 attnum > 0 ?
				 errmsg("condition refers to column \"%s\", which is not a label",
						NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname)) :
				 errmsg("condition refers to the whole row or to a system column"),
				 errdetail("A condition chooses series, so only label columns can be used."),
				 errhint("Give times as from_time and to_time.")));
	}
}

/* The condition as an expression ready to be initialised; ERROR if it cannot be one. */
static Expr *
analyze_condition(const char *source, Relation rel, const MsRelDesc *desc)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *expr;

	pstate->p_sourcetext = source;
	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, true, true, true);

	expr = transformWhereClause(pstate, parse_condition(source), EXPR_KIND_WHERE, "condition");
	assign_expr_collations(pstate, expr);
	if (pstate->p_hasSubLinks)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("condition must not contain a subquery"),
				 errhint("Compute its result first and put that into the condition.")));
	check_columns(expr, rel, desc);

	expr = (Node *) expression_planner((Expr *) expr);
	if (contain_volatile_functions(expr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("condition must not contain a volatile function"),
				 errdetail("It is evaluated once per series, not per row.")));
	free_parsestate(pstate);
	return (Expr *) expr;
}

static void
filter_init(Filter *filter, Relation rel, text *condition)
{
	filter->desc = ms_reldesc_copy(rel);
	filter->tupdesc = RelationGetDescr(rel);
	filter->condition = NULL;
	filter->slot = MakeSingleTupleTableSlot(filter->tupdesc, &TTSOpsVirtual);
	filter->estate = CreateExecutorState();
	filter->econtext = GetPerTupleExprContext(filter->estate);
	filter->econtext->ecxt_scantuple = filter->slot;

	if (condition != NULL)
	{
		char	   *source = text_to_cstring(condition);
		ErrorContextCallback context = {
			.previous = error_context_stack,
			.callback = condition_error_callback,
			.arg = source
		};
		MemoryContext old;
		Expr	   *expr;

		error_context_stack = &context;
		expr = analyze_condition(source, rel, filter->desc);
		error_context_stack = context.previous;

		old = MemoryContextSwitchTo(filter->estate->es_query_cxt);
		filter->condition = ExecInitExpr(expr, NULL);
		MemoryContextSwitchTo(old);
	}
}

static void
filter_end(Filter *filter)
{
	ExecDropSingleTupleTableSlot(filter->slot);
	FreeExecutorState(filter->estate);
}

/* Is the condition true for these labels?  Called without locks. */
static bool
filter_series(void *arg, uint32 sid, const MsLabelValue *labels, int nlabels)
{
	Filter	   *filter = (Filter *) arg;
	TupleTableSlot *slot = filter->slot;
	MemoryContext old;
	Datum		result;
	bool		isnull;

	CHECK_FOR_INTERRUPTS();
	if (filter->condition == NULL)
		return true;

	ResetPerTupleExprContext(filter->estate);
	old = MemoryContextSwitchTo(filter->econtext->ecxt_per_tuple_memory);
	ExecClearTuple(slot);
	memset(slot->tts_values, 0, sizeof(Datum) * filter->tupdesc->natts);
	memset(slot->tts_isnull, true, sizeof(bool) * filter->tupdesc->natts);
	ms_reldesc_fill_labels(filter->desc, filter->tupdesc, labels, nlabels,
						   slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	result = ExecEvalExpr(filter->condition, filter->econtext, &isnull);
	MemoryContextSwitchTo(old);
	return !isnull && DatumGetBool(result);
}

/*
 * delete_samples(relation, from_time, to_time, condition) -> series affected
 *
 * Times in [from_time, to_time); NULL or infinite: no bound on that side.
 */
Datum
ms_delete_samples(PG_FUNCTION_ARGS)
{
	int64		from = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1);
	int64		to = PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2);
	Relation	rel;
	Filter		filter;
	uint64		affected = 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	if (from > to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_time must not be after to_time"),
				 errdetail("The range is from %s up to, not including, %s.",
						   pstrdup(timestamptz_to_str(from)), pstrdup(timestamptz_to_str(to)))));
	PreventCommandIfReadOnly("memseries.delete_samples()");
	PreventCommandDuringRecovery("memseries.delete_samples()");

	rel = ms_open_owned_table(PG_GETARG_OID(0), RowExclusiveLock);
	ms_refuse_rls(rel, "memseries.delete_samples");
	ms_store_check_writable();
	filter_init(&filter, rel, PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3));
	if (from < to)
		affected = ms_write_delete(rel, from, to, filter_series, &filter,
								   GetCurrentCommandId(true));
	filter_end(&filter);

	relation_close(rel, NoLock);
	PG_RETURN_INT64((int64) affected);
}
