/*-------------------------------------------------------------------------
 *
 * intcodec.h
 *	  Blocks of up to 256 integers, packed: what the time codec and the value
 *	  codec both stand on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_INTCODEC_H
#define MS_INTCODEC_H

#include "core/narrow.h"

#define MS_INT_MAX		256		/* integers in a block */
#define MS_INT_ROOM		264		/* elements an array of the decoder has */
#define MS_INT_BOUND(n)	(8 * (n) + 64)	/* bytes that no block exceeds */

/* Scratch of the encoder. */
typedef struct MsIntWork
{
	uint64		residual[3][MS_INT_ROOM];
	uint64		sorted[2][MS_INT_ROOM];
} MsIntWork;

extern int	ms_int_encode(const uint64 *q, int n, uint8 *dst, MsIntWork *work);
extern bool ms_int_decode(MsReader *r, const uint8 *limit, int n, uint64 *out);
extern bool ms_int_doubles_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
								  const MsNarrowMap *map, double *out);
extern bool ms_int_run_totals_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
									 const int *bounds, int nruns, MsNarrowTotals *totals);
extern bool ms_int_totals_narrow(MsReader *r, const uint8 *limit, int n, int32 *x,
								 MsNarrowTotals *totals);
extern bool ms_int_decode_one(MsReader *r, const uint8 *limit, int n, int i,
							  uint64 *out);

#endif							/* MS_INTCODEC_H */
