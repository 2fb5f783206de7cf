/*-------------------------------------------------------------------------
 *
 * calc.h
 *	  Expressions of values, compiled: what calc.c, which compiles them, and
 *	  calceval.c, which evaluates them, share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CALC_H
#define MS_CALC_H

#include "catalog/pg_type.h"
#include "nodes/execnodes.h"

#include "exec/agg.h"

#define MS_CALC_MAX_ARGS	8	/* of a function */

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

/* A value of a type that is taken, as a double, which has room for all of them. */
static inline double
ms_calc_double(Oid type, Datum value)
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

#endif							/* MS_CALC_H */
