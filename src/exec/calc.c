/*-------------------------------------------------------------------------
 *
 * calc.c
 *	  Expressions of values, for many rows at a time.
 *
 * sum(a * b), count(CASE WHEN a > 1 THEN 1 END), WHERE a > 2 * b OR a IS NULL: such
 * expressions are evaluated node by node for all rows of a block that are wanted, not
 * row by row for all nodes.  Here they are looked at and compiled; calceval.c
 * evaluates them.
 *
 * All is kept as doubles: double precision, real, boolean and integer have room in
 * one.  Functions taken are built in, strict, and of these types.  What is of labels and
 * parameters alone is evaluated by PostgreSQL's executor, once a series, when first needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "exec/calc.h"

typedef struct Compiler
{
	const MsAggRel *rel;
	MsScanState *scan;			/* NULL: only to see whether it can be done */
	List	   *labels;
} Compiler;

static CalcNode *compile(Compiler *c, Node *node);

static bool
is_type_taken(Oid type)
{
	return type == FLOAT8OID || type == FLOAT4OID || type == BOOLOID || type == INT4OID;
}

static CalcNode *
make_node(const Compiler *c, CalcKind kind, Oid type)
{
	CalcNode   *node = palloc(c->scan ? sizeof(CalcNode) : offsetof(CalcNode, v_room));

	memset(node, 0, offsetof(CalcNode, v_room));
	node->kind = kind;
	node->type = type;
	return node;
}

/* Compiles what a node consists of; NULL if that cannot be done. */
static CalcNode *
with_args(Compiler *c, CalcNode *node, List *args)
{
	ListCell   *lc;

	node->args = palloc(sizeof(CalcNode *) * Max(list_length(args), 1));
	foreach(lc, args)
	{
		CalcNode   *arg = compile(c, lfirst(lc));

		if (arg == NULL)
			return NULL;
		node->args[node->nargs++] = arg;
	}
	return node;
}

/* A built-in function that is strict, and of types we know. */
static CalcNode *
compile_call(Compiler *c, CalcKind kind, Oid type, Oid funcid, Oid collation, List *args)
{
	CalcNode   *node = with_args(c, make_node(c, kind, type), args);

	if (node == NULL || funcid >= FirstNormalObjectId || list_length(args) > MS_CALC_MAX_ARGS ||
		!func_strict(funcid) || get_func_retset(funcid))
		return NULL;
	node->funcid = funcid;
	node->collation = collation;
	if (c->scan != NULL)
		fmgr_info(funcid, &node->fn);
	return node;
}

static CalcNode *
compile_case(Compiler *c, CaseExpr *expr)
{
	List	   *parts = NIL;
	ListCell   *lc;

	if (expr->arg != NULL || expr->defresult == NULL)
		return NULL;
	foreach(lc, expr->args)
	{
		parts = lappend(parts, lfirst_node(CaseWhen, lc)->expr);
		parts = lappend(parts, lfirst_node(CaseWhen, lc)->result);
	}
	return with_args(c, make_node(c, CALC_CASE, expr->casetype), lappend(parts, expr->defresult));
}

static CalcNode *
compile_bool(Compiler *c, BoolExpr *expr)
{
	CalcKind	kind = expr->boolop == AND_EXPR ? CALC_AND : expr->boolop == OR_EXPR ? CALC_OR : CALC_NOT;

	return with_args(c, make_node(c, kind, BOOLOID), expr->args);
}

static CalcNode *
compile_const(const Compiler *c, Const *con)
{
	CalcNode   *node = make_node(c, CALC_CONST, con->consttype);

	node->isnull = con->constisnull;
	if (!node->isnull)
		node->value = ms_calc_double(con->consttype, con->constvalue);
	return node;
}

static CalcNode *
compile_label(Compiler *c, Node *expr)
{
	CalcNode   *node = make_node(c, CALC_LABEL, exprType(expr));

	if (c->scan != NULL)
		node->expr = ExecInitExpr((Expr *) expr, &c->scan->css.ss.ps);
	c->labels = lappend(c->labels, node);
	return node;
}

/* NULL if the expression is of a kind that is not taken. */
static CalcNode *
compile(Compiler *c, Node *node)
{
	AttrNumber	att;

	node = ms_agg_strip_relabel(node);
	if (!is_type_taken(exprType(node)))
		return NULL;
	if (IsA(node, Const))
		return compile_const(c, (Const *) node);
	if (ms_agg_match_column(c->rel, node, &att))
	{
		CalcNode   *column = make_node(c, CALC_COLUMN, exprType(node));

		for (int i = 0; c->scan != NULL && i < c->scan->ncolumns; i++)
		{
			if (c->scan->columns[i].att == att - 1)
				column->column = &c->scan->columns[i];
		}
		return column;
	}
	if (ms_agg_is_of_labels(c->rel, node))
		return compile_label(c, node);
	switch (nodeTag(node))
	{
		case T_OpExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				return op->opretset ? NULL :
					compile_call(c, CALC_CALL, op->opresulttype, get_opcode(op->opno),
								 op->inputcollid, op->args);
			}
		case T_NullIfExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				return compile_call(c, CALC_NULLIF, exprType(node), get_opcode(op->opno),
									op->inputcollid, op->args);
			}
		case T_FuncExpr:
			{
				FuncExpr   *func = (FuncExpr *) node;

				return func->funcvariadic ? NULL :
					compile_call(c, CALC_CALL, func->funcresulttype, func->funcid,
								 func->inputcollid, func->args);
			}
		case T_BoolExpr:
			return compile_bool(c, (BoolExpr *) node);
		case T_NullTest:
			{
				NullTest   *test = (NullTest *) node;

				return with_args(c, make_node(c, test->nulltesttype == IS_NULL ? CALC_IS_NULL : CALC_IS_NOT_NULL,
											  BOOLOID), list_make1(test->arg));
			}
		case T_CaseExpr:
			return compile_case(c, (CaseExpr *) node);
		case T_CoalesceExpr:
			return with_args(c, make_node(c, CALC_COALESCE, exprType(node)),
							 ((CoalesceExpr *) node)->args);
		default:
			return NULL;
	}
}

/* Is this an expression that can be evaluated here?  Of no use for what is a column or of labels alone. */
bool
ms_calc_takes(const MsAggRel *rel, Expr *expr)
{
	Compiler	compiler = {rel, NULL, NIL};

	return !contain_volatile_functions((Node *) expr) && !contain_subplans((Node *) expr) &&
		compile(&compiler, (Node *) expr) != NULL;
}

/* Compiles an expression that is taken, in CurrentMemoryContext.  May find that the user may not call some function. */
MsCalc *
ms_calc_init(MsScanState *scan, const MsAggRel *rel, Expr *expr)
{
	Compiler	compiler = {rel, scan, NIL};
	MsCalc	   *calc = palloc(sizeof(MsCalc));

	/* checks rights, among others */
	ExecInitExpr(expr, &scan->css.ss.ps);
	calc->root = compile(&compiler, (Node *) expr);
	calc->labels = compiler.labels;
	if (calc->root == NULL)
		elog(ERROR, "unexpected expression in a %s plan", MS_AGG_NAME);
	return calc;
}

/* Does it look at labels, or parameters? */
bool
ms_calc_uses_labels(const MsCalc *calc)
{
	return calc->labels != NIL;
}

/* Another series is at hand. */
void
ms_calc_series(MsCalc *calc)
{
	ListCell   *lc;

	foreach(lc, calc->labels)
		((CalcNode *) lfirst(lc))->known = false;
}
