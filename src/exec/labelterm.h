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
} MsLabelTerm;

/* Values of an order: [from, to). */
typedef struct MsLabelRange
{
	const MsLabelOrder *order;
	uint32		from;
	uint32		to;
} MsLabelRange;

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
 * The values of which such a term holds, or a few more.  False: nothing is known.  Evaluates the operand, in the
 * per-tuple memory, and may raise what that raises.
 */
extern bool ms_labelterm_range(MsScanState *state, MsLabelTerm *term, MsCodeIndex *index,
							   MsLabelRange *range);

/*
 * The codes of all values of which one of the terms holds, or a few more: ascending, each once, allocated in cxt.
 * False: nothing is known.  index may be NULL.  Takes table->lock shared.
 */
extern bool ms_labelterms_codes(MsScanState *state, List *terms, MsCodeIndex *index,
								MemoryContext cxt, uint32 **codes, int *ncodes);

#endif							/* MS_LABELTERM_H */
