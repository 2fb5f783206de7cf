/*-------------------------------------------------------------------------
 *
 * totals.h
 *	  What is known of a whole chunk; see totals.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_TOTALS_H
#define MS_TOTALS_H

#include "core/bits.h"
#include "core/chunk.h"

#define MS_TOTALS_MAX	2044	/* bytes */

typedef struct MsTotals
{
	int64		tmin;			/* first time */
	int64		tmax;			/* last time */
	int			nrows;
	int			nblocks;
	int			ncols;

	const uint8 *last;			/* of the last row, borrowed */
	Size		last_len;		/* 0: it was left out */
	const uint8 *columns;		/* borrowed */
	MsReader	r;				/* at column `next` */
	int			next;
} MsTotals;

extern Size ms_totals_encode(const uint8 *chunk, Size len, uint8 *dst);
extern bool ms_totals_open(MsTotals *t, const uint8 *p, Size len);
extern bool ms_totals_next_last(MsReader *r, double *value);
extern bool ms_totals_column(MsTotals *t, int col, MsSummary *s);

#endif							/* MS_TOTALS_H */
