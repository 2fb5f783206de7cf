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
extern bool ms_totals_column(MsTotals *t, int col, MsSummary *s);

/*
 * A varint that takes one byte or two, as it happens, so that a branch would mostly be guessed wrong.
 */
static inline uint64
ms_totals_varint(MsReader *r)
{
	const uint8 *p = r->p;
	uint64		more;

	if (unlikely(ms_reader_left(r) < 2 ||
				 ((p[0] & p[1] & 0x80) | ((p[0] >> 7) & (p[1] == 0))) != 0))
		return ms_get_varint(r);
	more = p[0] >> 7;
	r->p += 1 + more;
	return (p[0] & 0x7f) | (((uint64) p[1] << 7) & -more);
}

/*
 * The next column's value in the last row, from column 0 on, if t->last_len is not 0; false
 * if it is null.  The reader, which the caller lets begin at t->last, tells if they are malformed.
 */
static inline bool
ms_totals_next_last(MsReader *r, double *value)
{
	uint64		x = ms_totals_varint(r);

	if (likely(x >= 2))
		*value = (double) (int64) ms_unzigzag(x - 2);
	else
		*value = x == 1 ? ms_bits_double(ms_get_fixed64(r)) : 0;
	return x != 0;
}

#endif							/* MS_TOTALS_H */
