/*-------------------------------------------------------------------------
 *
 * unpack.h
 *	  From bits to integers, and from integers to doubles, in bulk.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_UNPACK_H
#define MS_UNPACK_H

#include "core/bits.h"

extern void ms_unpack(const uint8 *p, const uint8 *limit, int n, int width,
					  uint64 *out);
extern uint64 ms_unpack_sum(const uint8 *p, const uint8 *limit, int n,
							int width);
extern void ms_exact_doubles(const uint64 *q, int n, uint64 first,
							 double *out);
extern void ms_exact_quotients(const uint64 *q, int n, uint64 first,
							   double divisor, double *out);
extern void ms_integer_totals(const uint64 *q, int n, int64 *min, int64 *max,
							  uint64 *sum);

#endif							/* MS_UNPACK_H */
