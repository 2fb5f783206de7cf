/*-------------------------------------------------------------------------
 *
 * narrow.h
 *	  Small integers, eight at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_NARROW_H
#define MS_NARROW_H

#include "core/avx2.h"
#include "core/bits.h"

#define MS_NARROW_WIDTH		24	/* bits of a packed number, at most */
#define MS_NARROW_BITS		26	/* integers are below 2^26 */

/* Of 256 numbers: where number i is, and how many bits each may have. */
#define MS_NARROW_AT(i)		((i) % 32 * 8 + (i) / 32)
#define MS_NARROW_ACROSS	8

/* The integer q stands for (first + factor * q) / divisor. */
typedef struct MsNarrowMap
{
	double		first;
	double		factor;
	double		divisor;
} MsNarrowMap;

/* Of several integers. */
typedef struct MsNarrowTotals
{
	int32		min;
	int32		max;
	int64		sum;
} MsNarrowTotals;

/* To be called only if ms_has_avx2(). */
extern void ms_narrow_unpack(const uint8 *p, const uint8 *limit, int n, int width, int32 *x);
extern void ms_narrow_add_up(int32 *x, int n, int32 base, int32 sum);
extern void ms_narrow_add_up_totals(const int32 *x, int n, int32 base, int32 sum,
									MsNarrowTotals *totals);
extern void ms_narrow_run_totals(const int32 *x, int n, int32 base, MsNarrowTotals *totals);
extern void ms_narrow_unpack_across(const uint8 *p, const uint8 *limit, int width, int32 *x);
extern void ms_narrow_totals_across(const int32 *x, int32 base, MsNarrowTotals *totals);
extern void ms_narrow_doubles(const int32 *x, int n, int32 base, const MsNarrowMap *map,
							  double *out);
extern void ms_narrow_add_up_doubles(const int32 *x, int n, int32 base, int32 sum,
									 const MsNarrowMap *map, double *out);

#endif							/* MS_NARROW_H */
