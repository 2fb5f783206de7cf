/*-------------------------------------------------------------------------
 *
 * slotfill.h
 *	  Rows of a series into slots.
 *
 * Whoever hands rows to PostgreSQL has the labels of a series as datums, and
 * its times and values as arrays.  A filler is told of both as they change, and
 * knows then which columns are mere copies: for a row it does what differs from
 * the row before, and no more.  Nothing in the slot is counted on, for whoever got
 * the last row may have materialised it or written into it.
 *
 *		filler = ms_filler_create(desc, wanted);
 *		for each series
 *			ms_filler_labels(filler, values, isnull);
 *			for some rows of it
 *				ms_filler_rows(filler, &rows);
 *				for each of them
 *					ExecClearTuple(slot);
 *					ms_fill_slot(filler, row, slot);
 *					ExecStoreVirtualTuple(slot);
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SLOTFILL_H
#define MS_SLOTFILL_H

#include "executor/tuptable.h"
#include "utils/timestamp.h"

#include "am/reldesc.h"

/* A value column, as the rows at hand have it. */
typedef struct MsFillColumn
{
	int			att;			/* attribute number - 1 */
	const double *values;
	const bool *nulls;			/* NULL: there are none */
} MsFillColumn;

/*
 * In the memory context it was created in.  Columns that are neither wanted
 * nor labels are NULL.
 */
typedef struct MsFiller
{
	const MsRelDesc *desc;		/* borrowed */
	int			natts;
	int			time;			/* attribute number - 1; -1: there is none */
	int			nlabels;
	int		   *label_atts;		/* attribute numbers - 1 */
	int			nvalues;
	int		   *value_atts;		/* likewise, of those wanted */

	/* The series at hand. */
	const Datum *labels;		/* borrowed; by attribute */
	bool	   *isnull;			/* by attribute; of all rows at hand, except
								 * where nulls have to be looked at */

	/* The rows at hand. */
	const int64 *times;
	int			nplain;			/* double precision, and no nulls: mere copies */
	MsFillColumn *plain;
	int			nothers;
	MsFillColumn *others;
} MsFiller;

/* wanted says by attribute which values are; NULL: all. */
extern MsFiller *ms_filler_create(const MsRelDesc *desc, const bool *wanted);

extern void ms_filler_free(MsFiller *filler);

/* Values and nulls of a series' labels, by attribute; values is borrowed until the next call. */
extern void ms_filler_labels(MsFiller *filler, const Datum *values, const bool *isnull);

/* Arrays of the rows are borrowed until the next call; those of values wanted must be there. */
extern void ms_filler_rows(MsFiller *filler, const MsRows *rows);

/* What has to be looked at for every row. */
extern void ms_fill_others(const MsFiller *filler, int row, TupleTableSlot *slot);

/* Copies flags; there are mostly so few of them that a call of memcpy would take longer. */
static inline void
ms_copy_flags(bool *to, const bool *from, int n)
{
	for (; n >= 8; n -= 8, to += 8, from += 8)
		memcpy(to, from, 8);
	if (n & 4)
	{
		memcpy(to, from, 4);
		to += 4;
		from += 4;
	}
	for (n &= 3; n > 0; n--)
		*to++ = *from++;
}

/* Puts row number `row` of the rows at hand into a slot, which is empty. */
static inline void
ms_fill_slot(const MsFiller *filler, int row, TupleTableSlot *slot)
{
	Datum	   *values = slot->tts_values;

	ms_copy_flags(slot->tts_isnull, filler->isnull, filler->natts);
	for (int i = 0; i < filler->nlabels; i++)
		values[filler->label_atts[i]] = filler->labels[filler->label_atts[i]];
	if (filler->time >= 0)
		values[filler->time] = TimestampTzGetDatum(filler->times[row]);
	for (int i = 0; i < filler->nplain; i++)
		values[filler->plain[i].att] = Float8GetDatum(filler->plain[i].values[row]);
	if (filler->nothers > 0)
		ms_fill_others(filler, row, slot);
}

#endif							/* MS_SLOTFILL_H */
