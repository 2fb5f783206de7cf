/*-------------------------------------------------------------------------
 *
 * calceval.c
 *	  Evaluates expressions of values for many rows at a time.
 *
 * Node by node, for all rows that are wanted: arithmetic and comparisons of double
 * precision are loops over arrays; other functions are called through PostgreSQL's
 * function manager, one call a row.  Where a loop meets a result that may be an
 * error (infinity, or zero, from what is neither) the same is done again by
 * calls, which raise what PostgreSQL raises.
 *
 * What PostgreSQL does not evaluate is not evaluated here: rows that were not selected,
 * branches of CASE, what follows a decided AND, OR or COALESCE.  Those evaluate their
 * parts for the rows that are left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "executor/executor.h"
#include "utils/float.h"
#include "utils/fmgroids.h"

#include "exec/calc.h"

/* Rows of a batch: from `first` on, or those listed. */
typedef struct CalcRows
{
	MsScanState *scan;
	MsBatch    *batch;
	const int16 *list;			/* NULL: all */
	int			first;
	int			n;
} CalcRows;

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
		node->value = node->isnull ? 0 : ms_calc_double(node->type, value);
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
	LOCAL_FCINFO(fcinfo, MS_CALC_MAX_ARGS);
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
			node->v_room[i] = ms_calc_double(type, result);
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
