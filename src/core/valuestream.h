/*-------------------------------------------------------------------------
 *
 * valuestream.h
 *	  A column's stream as its readers see it: shared by valuedecode.c, which
 *	  opens it and reads values, and valuesummary.c, and by nobody else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_VALUESTREAM_H
#define MS_VALUESTREAM_H

#include "core/valueform.h"

/* A stream whose beginning has been read. */
typedef struct MsValueStream
{
	MsReader	r;				/* at the integers, or the form's own data */
	const uint8 *limit;			/* memory below may be loaded */
	int			form;
	bool		has_specials;
	bool		has_summary;
	int			n;				/* rows */
	int			count;			/* values that are not null */
	int			decimals;
	int			shift;
	uint64		first;
	uint64		factor;

	/* stored summary of INT and DEC */
	uint64		qmin;
	uint64		qmax;
	uint64		qsum;
	/* stored summary of other forms */
	double		min;
	double		max;
	double		sum;
} MsValueStream;

/* Are the values and their summary functions of integers alone? */
static inline bool
ms_stream_is_mapped(const MsValueStream *s)
{
	return (s->form == FORM_INT || s->form == FORM_DEC) && !s->has_specials;
}

extern bool ms_stream_open(MsValueStream *s, const uint8 *p, Size len, const uint8 *limit,
						   int n, bool *nulls, bool *has_nulls);
extern double ms_stream_constant(MsValueStream *s);
extern bool ms_stream_values(MsValueStream *s, double *out, MsValueScratch *scratch);

#endif							/* MS_VALUESTREAM_H */
