/*-------------------------------------------------------------------------
 *
 * edge.h
 *	  How states of memseries.first and last travel between processes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_EDGE_H
#define MS_EDGE_H

/* The fixed part; an image by datumSerialize follows. */
typedef struct MsEdgeHeader
{
	int64		ts;
	int16		typlen;
	bool		typbyval;
} MsEdgeHeader;

/* A state's bytes, in CurrentMemoryContext. */
extern bytea *ms_edge_image(int64 time, Datum value, bool isnull, int16 typlen, bool typbyval);

#endif							/* MS_EDGE_H */
