/*-------------------------------------------------------------------------
 *
 * valuecodec.h
 *	  Up to 256 values of one column, as bytes: the streams of a block.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_VALUECODEC_H
#define MS_VALUECODEC_H

#include "core/chunk.h"
#include "core/intcodec.h"

/* bytes that no stream of n values exceeds */
#define MS_VALUE_BOUND(n)	(8 * (n) + 96)

/* Scratch of the decoder: holds nothing between calls. */
typedef struct MsValueScratch
{
	uint64		q[MS_INT_ROOM];
	uint64		q2[MS_INT_ROOM];
	int32		narrow[MS_INT_ROOM];
	double		vals[MS_INT_ROOM];
	bool		flags[MS_INT_ROOM];
} MsValueScratch;

/* Scratch of the encoder: holds nothing between calls. */
typedef struct MsValueWork
{
	double		vals[MS_INT_ROOM];	/* the values that are not null */
	uint64		m[MS_INT_ROOM]; /* the integers they became */
	uint64		q[MS_INT_ROOM]; /* the same above the first one */
	bool		special[MS_INT_ROOM];	/* these did not */
	MsIntWork	ints;
	uint8		buf[2][2 * MS_INT_BOUND(MS_INT_MAX) + 9 * MS_INT_MAX + 128];
} MsValueWork;

#define MS_VALUE_RUNS	16		/* runs of rows that are looked at together */

extern int	ms_value_encode(const double *v, const bool *nulls, int n,
							MsValueKind kind, bool quick,
							uint8 *dst, MsValueWork *work);
extern bool ms_value_decode(const uint8 *p, Size len, const uint8 *limit,
							int n, double *out, bool *nulls, bool *has_nulls,
							MsValueScratch *scratch);
extern bool ms_value_decode_one(const uint8 *p, Size len, const uint8 *limit,
								int n, int row, double *out, bool *isnull);
extern bool ms_value_summary(const uint8 *p, Size len, const uint8 *limit,
							 int n, MsSummary *s, MsValueScratch *scratch);
extern bool ms_value_totals(const uint8 *p, Size len, const uint8 *limit,
							int n, MsSummary *s, MsValueScratch *scratch);
extern bool ms_value_run_totals(const uint8 *p, Size len, const uint8 *limit,
								int n, const int *bounds, int nruns,
								MsSummary *results, MsValueScratch *scratch);
extern bool ms_value_check(const uint8 *p, Size len, const uint8 *limit,
						   int n, MsValueScratch *scratch);
extern bool ms_value_is_constant(const uint8 *p, Size len);

extern void ms_summary_add(MsSummary *s, const double *v, int n);

/*
 * A float as a double and back, bit for bit: a conversion by the processor
 * would make a signalling NaN quiet.
 */
static inline double
ms_float4_widen(float f)
{
	uint32		bits = ms_float_bits(f);

	if (unlikely((bits & 0x7f800000) == 0x7f800000))
		return ms_bits_double((uint64) (bits & 0x80000000) << 32 |
							  UINT64CONST(0x7ff0000000000000) |
							  (uint64) (bits & 0x007fffff) << 29);
	return (double) f;
}

/* The float that was widened; for other doubles some near float. */
static inline float
ms_float4_narrow(double d)
{
	uint64		bits = ms_double_bits(d);

	if (unlikely((bits & UINT64CONST(0x7ff0000000000000)) ==
				 UINT64CONST(0x7ff0000000000000)))
		return ms_bits_float((uint32) (bits >> 32 & 0x80000000) | 0x7f800000 |
							 (uint32) (bits >> 29 & 0x007fffff));
	return (float) d;
}

#endif							/* MS_VALUECODEC_H */
