/*-------------------------------------------------------------------------
 *
 * labelorder.h
 *	  The values of a label in the order of a btree; see labelorder.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LABELORDER_H
#define MS_LABELORDER_H

#include "fmgr.h"
#include "store/table.h"

/* By which btree values are sorted: its operator family, its type in that, and the collation. */
typedef struct MsLabelSort
{
	Oid			opfamily;
	Oid			type;
	Oid			collation;
} MsLabelSort;

typedef struct MsLabelOrder
{
	struct MsLabelOrder *next;	/* for whoever keeps several */
	MsLabelSort sort;
	uint64		id;				/* no other of this backend has it */
	uint32		n;				/* distinct values */
	Datum	   *values;			/* ascending */
	uint32	   *codes;			/* of the values */
	uint32	   *counts;			/* [n + 1]: series that have one of the first
								 * i values */
	uint32	   *sids;			/* all these, by value; set by the index */
	bool		whole;			/* that is all series there are; likewise */
} MsLabelOrder;

static inline bool
ms_labelsort_equal(const MsLabelSort *a, const MsLabelSort *b)
{
	return a->opfamily == b->opfamily && a->type == b->type && a->collation == b->collation;
}

/* Can labels be sorted so, without an error ever?  With the comparison of values of two types, or InvalidOid. */
extern Oid	ms_labelsort_comparison(const MsLabelSort *sort, Oid other);

/*
 * Sorts n codes, of a label that is this attribute, by their values; series[i] have codes[i].  All is allocated in
 * CurrentMemoryContext.  NULL: series have come or gone since the table counted `changes`.
 * Takes table->lock shared.
 */
extern MsLabelOrder *ms_labelorder_build(MsTable *table, uint64 changes, Form_pg_attribute att,
										 const MsLabelSort *sort, const uint32 *codes,
										 const uint32 *series, uint32 n);

/* How many values are below `value`, or not above it; cmp compares them. */
extern uint32 ms_labelorder_search(const MsLabelOrder *order, FmgrInfo *cmp, Datum value,
								   bool not_above);

#endif							/* MS_LABELORDER_H */
