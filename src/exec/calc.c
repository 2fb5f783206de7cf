/*-------------------------------------------------------------------------
 *
 * calc.c
 *	  Expressions of values, for many rows at a time.
 *
 * sum(a * b), count(CASE WHEN a > 1 THEN 1 END), WHERE a > 2 * b OR a IS NULL: such
 * expressions are evaluated node by node for all rows of a block that are wanted, not row by
 * row for all nodes.  Arithmetic and comparisons of double precision are loops
 * over arrays; other functions are called through PostgreSQL's function manager, one call a row.
 * Where a loop meets a result that may be an error (infinity, or zero, from what is
 * neither) it does the same again by calls, which raise what PostgreSQL raises.
 *
 * What PostgreSQL does not evaluate is not evaluated here: rows that were not selected,
 * branches of CASE, what follows a decided AND, OR or COALESCE.  Those evaluate their
 * parts for the rows that are left.
 *
 * All is kept as doubles: double precision, real, boolean and integer have room in
 * one.  Functions taken are built in, strict, and of these types.  What is of labels and
 * parameters alone is evaluated by PostgreSQL's executor, once a series, when first needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "exec/agg.h"

#define MAX_ARGS	8			/* of a function */

typedef enum CalcKind
{
	CALC_CONST,
	CALC_COLUMN,
	CALC_LABEL,					/* of labels and parameters */
	CALC_CALL,
	CALC_NULLIF,				/* the call says whether they are equal */
	CALC_AND,
	CALC_OR,
	CALC_NOT,
	CALC_IS_NULL,
	CALC_IS_NOT_NULL,
	CALC_CASE,					/* condition, result, ...; default */
	CALC_COALESCE
} CalcKind;

typedef struct CalcNode
{
	CalcKind	kind;
	Oid			type;
	int			nargs;
	struct CalcNode **args;
	Oid			funcid;			/* CALL, NULLIF */
	FmgrInfo	fn;
	Oid			collation;
	MsScanColumn *column;
	ExprState  *expr;			/* LABEL */
	bool		known;			/* value and isnull are the series' */
	double		value;			/* CONST, LABEL */
	bool		isnull;

	/* results for the rows last asked for */
	const double *v;
	const bool *nulls;			/* NULL: there are none */
	double		v_room[MS_BLOCK_ROWS];
	bool		null_room[MS_BLOCK_ROWS];

	/*
	 * the rows that a part is evaluated for, and where they are among those
	 * asked for
	 */
	int16		rows[MS_BLOCK_ROWS];
	int16		places[MS_BLOCK_ROWS];
} CalcNode;

struct MsCalc
{
	CalcNode   *root;
	List	   *labels;			/* of CalcNode */
};

/* Rows of a batch: from `first` on, or those listed. */
typedef struct CalcRows
{
	MsScanState *scan;
	MsBatch    *batch;
	const int16 *list;			/* NULL: all */
	int			first;
	int			n;
} CalcRows;

/* ---- compiling ---- */

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

static double
double_of(Oid type, Datum value)
{
	switch (type)
	{
		case FLOAT8OID:
			return DatumGetFloat8(value);
		case FLOAT4OID:
			return ms_float4_widen(DatumGetFloat4(value));
		case BOOLOID:
			return DatumGetBool(value);
		default:
			return DatumGetInt32(value);
	}
}

static Datum
datum_of(Oid type, double value)
{
	switch (type)
	{
		case FLOAT8OID:
			return Float8GetDatum(value);
		case FLOAT4OID:
			return Float4GetDatum(ms_float4_narrow(value));
		case BOOLOID:
			return BoolGetDatum(value != 0);
		default:
			return Int32GetDatum((int32) value);
	}
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

	if (node == NULL || funcid >= FirstNormalObjectId || list_length(args) > MAX_ARGS ||
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
		node->value = double_of(con->consttype, con->constvalue);
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

/* ---- leaves ---- */

static void eval(CalcNode *node, const CalcRows *rows);

static void
eval_same(CalcNode *node, const CalcRows *rows)
{
	for (int i = 0; i < rows->n; i++)
		node->v_room[i] = node->value;
	node->v = node->v_room;
	node->nulls = NULL;
	if (node->isnull)
	{
		memset(node->null_room, true, rows->n);
		node->nulls = node->null_room;
	}
}

static void
eval_label(CalcNode *node, const CalcRows *rows)
{
	if (!node->known)
	{
		ExprContext *econtext = rows->scan->css.ss.ps.ps_ExprContext;
		Datum		value;

		econtext->ecxt_scantuple = rows->scan->row_slot;
		value = ExecEvalExprSwitchContext(node->expr, econtext, &node->isnull);
		node->value = node->isnull ? 0 : double_of(node->type, value);
		node->known = true;
	}
	eval_same(node, rows);
}

static void
eval_column(CalcNode *node, const CalcRows *rows)
{
	const MsScanColumn *column = node->column;

	ms_batch_load(rows->scan, rows->batch, node->column);
	node->v = column->values + rows->first;
	node->nulls = column->nulls ? column->nulls + rows->first : NULL;
	if (rows->list == NULL)
		return;
	for (int i = 0; i < rows->n; i++)
		node->v_room[i] = column->values[rows->list[i]];
	node->v = node->v_room;
	if (column->nulls != NULL)
	{
		for (int i = 0; i < rows->n; i++)
			node->null_room[i] = column->nulls[rows->list[i]];
		node->nulls = node->null_room;
	}
}

/* ---- calls ---- */

#define CALC_LOOP(result, suspicious) \
	do { \
		for (int i = 0; i < n; i++) \
		{ \
			double		r = (result); \
			out[i] = r; \
			bad |= (suspicious); \
		} \
	} while (0)

#define NOT_FINITE	(!(fabs(r) <= DBL_MAX))

/* Arithmetic and comparisons as loops; false if there is none, or something might be an error. */
static bool
eval_loop(CalcNode *node, int n)
{
	const double *a = node->args[0]->v;
	const double *b = node->nargs == 2 ? node->args[1]->v : NULL;
	double	   *out = node->v_room;
	int			bad = 0;

	switch (node->funcid)
	{
		case F_FLOAT8PL:
		case F_FLOAT48PL:
		case F_FLOAT84PL:
			CALC_LOOP(a[i] + b[i], NOT_FINITE);
			return !bad;
		case F_FLOAT8MI:
		case F_FLOAT48MI:
		case F_FLOAT84MI:
			CALC_LOOP(a[i] - b[i], NOT_FINITE);
			return !bad;
		case F_FLOAT8MUL:
		case F_FLOAT48MUL:
		case F_FLOAT84MUL:
			CALC_LOOP(a[i] * b[i], NOT_FINITE | ((r == 0) & (a[i] != 0) & (b[i] != 0)));
			return !bad;
		case F_FLOAT8DIV:
		case F_FLOAT48DIV:
		case F_FLOAT84DIV:
			CALC_LOOP(a[i] / b[i], NOT_FINITE | ((r == 0) & (a[i] != 0)));
			return !bad;
		case F_FLOAT8UM:
			CALC_LOOP(-a[i], 0);
			return true;
		case F_FLOAT8ABS:
		case F_ABS_FLOAT8:
			CALC_LOOP(fabs(a[i]), 0);
			return true;
		case F_FLOAT8_FLOAT4:
		case F_INT4_BOOL:
		case F_FLOAT8_INT4:
			CALC_LOOP(a[i], 0);
			return true;
		case F_FLOAT8LT:
		case F_FLOAT48LT:
		case F_FLOAT84LT:
			CALC_LOOP(float8_lt(a[i], b[i]), 0);
			return true;
		case F_FLOAT8LE:
		case F_FLOAT48LE:
		case F_FLOAT84LE:
			CALC_LOOP(float8_le(a[i], b[i]), 0);
			return true;
		case F_FLOAT8EQ:
		case F_FLOAT48EQ:
		case F_FLOAT84EQ:
			CALC_LOOP(float8_eq(a[i], b[i]), 0);
			return true;
		case F_FLOAT8NE:
		case F_FLOAT48NE:
		case F_FLOAT84NE:
			CALC_LOOP(float8_ne(a[i], b[i]), 0);
			return true;
		case F_FLOAT8GE:
		case F_FLOAT48GE:
		case F_FLOAT84GE:
			CALC_LOOP(float8_ge(a[i], b[i]), 0);
			return true;
		case F_FLOAT8GT:
		case F_FLOAT48GT:
		case F_FLOAT84GT:
			CALC_LOOP(float8_gt(a[i], b[i]), 0);
			return true;
		default:
			return false;
	}
}

/* Calls the function for every row whose arguments are not NULL. */
static void
eval_calls(CalcNode *node, int n)
{
	LOCAL_FCINFO(fcinfo, MAX_ARGS);
	Oid			type = node->kind == CALC_NULLIF ? BOOLOID : node->type;

	InitFunctionCallInfoData(*fcinfo, &node->fn, node->nargs, node->collation, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		Datum		result;

		if (node->nulls != NULL && node->nulls[i])
		{
			node->v_room[i] = 0;
			continue;
		}
		for (int k = 0; k < node->nargs; k++)
		{
			fcinfo->args[k].value = datum_of(node->args[k]->type, node->args[k]->v[i]);
			fcinfo->args[k].isnull = false;
		}
		fcinfo->isnull = false;
		result = FunctionCallInvoke(fcinfo);
		node->v_room[i] = 0;
		if (!fcinfo->isnull)
			node->v_room[i] = double_of(type, result);
		else
		{
			if (node->nulls == NULL)
				memset(node->null_room, false, n);
			node->nulls = node->null_room;
			node->null_room[i] = true;
		}
	}
}

static void
eval_call(CalcNode *node, const CalcRows *rows)
{
	node->v = node->v_room;
	node->nulls = NULL;
	for (int k = 0; k < node->nargs; k++)
	{
		const bool *nulls;

		eval(node->args[k], rows);
		nulls = node->args[k]->nulls;
		if (nulls == NULL)
			continue;
		if (node->nulls == NULL)
			memcpy(node->null_room, nulls, rows->n);
		else
		{
			for (int i = 0; i < rows->n; i++)
				node->null_room[i] |= nulls[i];
		}
		node->nulls = node->null_room;
	}
	if (node->nargs == 0 || !eval_loop(node, rows->n))
		eval_calls(node, rows->n);
}

/* The first one, but NULL where the call finds them equal. */
static void
eval_nullif(CalcNode *node, const CalcRows *rows)
{
	const CalcNode *first = node->args[0];

	eval_call(node, rows);
	for (int i = 0; i < rows->n; i++)
	{
		bool		equal = !(node->nulls && node->nulls[i]) && node->v_room[i] != 0;

		node->null_room[i] = equal || (first->nulls && first->nulls[i]);
		node->v_room[i] = first->v[i];
	}
	node->nulls = node->null_room;
}

/* ---- what evaluates its parts for some rows only ---- */

/* Starts with all rows; returns how many are left, all. */
static int
all_left(CalcNode *node, const CalcRows *rows)
{
	for (int i = 0; i < rows->n; i++)
	{
		node->places[i] = i;
		node->rows[i] = rows->list ? rows->list[i] : rows->first + i;
	}
	node->v = node->v_room;
	node->nulls = node->null_room;
	return rows->n;
}

/* Evaluates a part for the rows left. */
static void
eval_left(CalcNode *node, CalcNode *part, const CalcRows *rows, int left)
{
	CalcRows	some = *rows;

	some.list = node->rows;
	some.first = 0;
	some.n = left;
	eval(part, &some);
}

static inline void
keep_row(CalcNode *node, int *kept, int i)
{
	node->rows[*kept] = node->rows[i];
	node->places[(*kept)++] = node->places[i];
}

static void
eval_and_or(CalcNode *node, const CalcRows *rows)
{
	double		decisive = node->kind == CALC_OR;
	int			left = all_left(node, rows);

	for (int i = 0; i < left; i++)
	{
		node->v_room[i] = !decisive;
		node->null_room[i] = false;
	}
	for (int k = 0; k < node->nargs && left > 0; k++)
	{
		const CalcNode *arg = node->args[k];
		int			kept = 0;

		eval_left(node, node->args[k], rows, left);
		for (int i = 0; i < left; i++)
		{
			int			place = node->places[i];

			if (arg->nulls != NULL && arg->nulls[i])
				node->null_room[place] = true;
			else if (arg->v[i] == decisive)
			{
				node->v_room[place] = decisive;
				node->null_room[place] = false;
				continue;
			}
			keep_row(node, &kept, i);
		}
		left = kept;
	}
}

/* The result of a branch, for the rows listed. */
static void
take_branch(CalcNode *node, CalcNode *branch, const CalcRows *rows, const int16 *list,
			const int16 *places, int n)
{
	CalcRows	some = *rows;

	if (n == 0)
		return;
	some.list = list;
	some.first = 0;
	some.n = n;
	eval(branch, &some);
	for (int i = 0; i < n; i++)
	{
		node->v_room[places[i]] = branch->v[i];
		node->null_room[places[i]] = branch->nulls != NULL && branch->nulls[i];
	}
}

static void
eval_case(CalcNode *node, const CalcRows *rows)
{
	int16		list[MS_BLOCK_ROWS];
	int16		places[MS_BLOCK_ROWS];
	int			left = all_left(node, rows);

	for (int k = 0; k + 1 < node->nargs && left > 0; k += 2)
	{
		const CalcNode *when = node->args[k];
		int			kept = 0;
		int			taken = 0;

		eval_left(node, node->args[k], rows, left);
		for (int i = 0; i < left; i++)
		{
			if (when->v[i] != 0 && !(when->nulls != NULL && when->nulls[i]))
			{
				list[taken] = node->rows[i];
				places[taken++] = node->places[i];
			}
			else
				keep_row(node, &kept, i);
		}
		left = kept;
		take_branch(node, node->args[k + 1], rows, list, places, taken);
	}
	take_branch(node, node->args[node->nargs - 1], rows, node->rows, node->places, left);
}

static void
eval_coalesce(CalcNode *node, const CalcRows *rows)
{
	int			left = all_left(node, rows);

	for (int k = 0; k < node->nargs && left > 0; k++)
	{
		const CalcNode *arg = node->args[k];
		int			kept = 0;

		take_branch(node, node->args[k], rows, node->rows, node->places, left);
		for (int i = 0; arg->nulls != NULL && i < left; i++)
		{
			if (arg->nulls[i])
				keep_row(node, &kept, i);
		}
		left = kept;
	}
}

/* ---- evaluating ---- */

static void
eval_unary(CalcNode *node, const CalcRows *rows)
{
	const CalcNode *arg = node->args[0];

	eval(node->args[0], rows);
	node->v = node->v_room;
	node->nulls = node->kind == CALC_NOT ? arg->nulls : NULL;
	for (int i = 0; i < rows->n; i++)
	{
		bool		isnull = arg->nulls != NULL && arg->nulls[i];

		node->v_room[i] = node->kind == CALC_NOT ? arg->v[i] == 0 :
			(node->kind == CALC_IS_NULL) == isnull;
	}
}

/* Sets v and nulls of a node for some rows. */
static void
eval(CalcNode *node, const CalcRows *rows)
{
	switch (node->kind)
	{
		case CALC_CONST:
			eval_same(node, rows);
			break;
		case CALC_LABEL:
			eval_label(node, rows);
			break;
		case CALC_COLUMN:
			eval_column(node, rows);
			break;
		case CALC_CALL:
			eval_call(node, rows);
			break;
		case CALC_NULLIF:
			eval_nullif(node, rows);
			break;
		case CALC_AND:
		case CALC_OR:
			eval_and_or(node, rows);
			break;
		case CALC_NOT:
		case CALC_IS_NULL:
		case CALC_IS_NOT_NULL:
			eval_unary(node, rows);
			break;
		case CALC_CASE:
			eval_case(node, rows);
			break;
		case CALC_COALESCE:
			eval_coalesce(node, rows);
			break;
	}
}

/* Evaluates for rows from..to of the batch, of those that mask (NULL: all) has; their number. */
static int
eval_rows(MsCalc *calc, MsScanState *scan, MsBatch *batch, int from, int to, const bool *mask,
		  int16 *list)
{
	CalcRows	rows = {scan, batch, NULL, from, to - from};

	if (mask != NULL)
	{
		rows.list = list;
		rows.n = 0;
		for (int i = from; i < to; i++)
		{
			list[rows.n] = i;
			rows.n += mask[i];
		}
	}
	if (rows.n > 0)
		eval(calc->root, &rows);
	return rows.n;
}

/*
 * The results that are not NULL, for rows from..to of the batch that mask (NULL: all) has.
 * Returns their number; *values is good until the next call, as is room [MS_BLOCK_ROWS].
 */
int
ms_calc_values(MsCalc *calc, MsScanState *scan, MsBatch *batch, int from, int to,
			   const bool *mask, double *room, const double **values)
{
	int16		list[MS_BLOCK_ROWS];
	int			n = eval_rows(calc, scan, batch, from, to, mask, list);
	const CalcNode *root = calc->root;
	int			kept = 0;

	*values = root->v;
	if (n == 0 || root->nulls == NULL)
		return n;
	for (int i = 0; i < n; i++)
	{
		room[kept] = root->v[i];
		kept += !root->nulls[i];
	}
	*values = room;
	return kept;
}

/* Clears the mask of rows from..to of the batch where the result is not true.  mask[i] is row i's. */
void
ms_calc_select(MsCalc *calc, MsScanState *scan, MsBatch *batch, int from, int to, bool *mask)
{
	int16		list[MS_BLOCK_ROWS];
	int			n = eval_rows(calc, scan, batch, from, to, mask, list);
	const CalcNode *root = calc->root;

	for (int i = 0; i < n; i++)
		mask[list[i]] = root->v[i] != 0 && !(root->nulls != NULL && root->nulls[i]);
}
