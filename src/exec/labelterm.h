/*-------------------------------------------------------------------------
 *
 * labelterm.h
 *	  Conditions by which series can be looked up; see labelterm.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LABELTERM_H
#define MS_LABELTERM_H

#include "exec/codeindex.h"
#include "exec/scan.h"

typedef enum MsTermKind
{
	MS_TERM_BYTES = 0,			/* equality of bytes */
	MS_TERM_ORDER,				/* an operator of a btree */
	MS_TERM_PATTERN				/* whose beginning may be known */
} MsTermKind;

/* "label operator value", or "label operator ANY (values)", where all of that is constant during a scan. */
typedef struct MsLabelTerm
{
	MsTermKind	kind;
	int			att;			/* of the label, attribute number - 1 */
	Expr	   *operand;		/* borrowed */
	ExprState  *value;			/* of the operand; NULL before
								 * ms_labelterm_init */
	bool		is_array;
	Oid			type;			/* of a value */
	MsLabelSort sort;			/* unless MS_TERM_BYTES */
	int			strategy;		/* MS_TERM_ORDER */
	FmgrInfo	cmp;			/* likewise: label with value */
	OpExpr	   *pattern;		/* MS_TERM_PATTERN */

	/* Of the scan that starts, in per-tuple memory. */
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;
} MsLabelTerm;

/* Values of an order: [from, to). */
typedef struct MsLabelRange
{
	const MsLabelOrder *order;
	uint32		from;
	uint32		to;
} MsLabelRange;

/* Is this function the equality of bytes of a type? */
extern bool ms_compares_bytes(Oid funcid, Oid collation);

/* The terms one of which a clause says holds, all of one label; NIL: it is of another kind. */
extern List *ms_labelterms(Node *clause, Index relid);

/* Compiles the operands. */
extern void ms_labelterms_init(List *terms, PlanState *parent);

/* Is this term a range of an order? */
static inline bool
ms_labelterm_is_range(const MsLabelTerm *term)
{
	return term->kind != MS_TERM_BYTES && !term->is_array;
}

/*
 * Evaluates the operands, in per-tuple memory; may raise what that raises, and run other scans.
 */
extern void ms_labelterms_eval(MsScanState *state, List *terms);

/* The values of which such a term, once evaluated, holds, or a few more.  False: nothing is known. */
extern bool ms_labelterm_range(MsScanState *state, MsLabelTerm *term, MsCodeIndex *index,
							   MsLabelRange *range);

/*
 * The codes of all values of which one of the terms, once evaluated, holds, or a few more: ascending, each once, allocated in cxt.
 * False: nothing is known.  index may be NULL.  Takes table->lock shared.
 */
extern bool ms_labelterms_codes(MsScanState *state, List *terms, MsCodeIndex *index,
								MemoryContext cxt, uint32 **codes, int *ncodes);

/*
 * labelcodes.c: the values of a label in an order that the backend remembers, as far as the conditions just looked up leave
 * them.  False: there is none with all series, or other conditions leave fewer.
 */
extern bool ms_labelcodes_order(MsScanState *state, int att, const MsLabelSort *sort,
								MsLabelRange *range);

#endif							/* MS_LABELTERM_H */
