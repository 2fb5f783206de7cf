/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  A plain scan's state, shared with analyze.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_AM_SCAN_H
#define MS_AM_SCAN_H

#include "access/relscan.h"
#include "executor/tuptable.h"

#include "am/reldesc.h"
#include "am/slotfill.h"
#include "store/cursor.h"

struct MsSample;

typedef struct MsScan
{
	TableScanDescData base;
	TupleDesc	tupdesc;		/* borrowed from the slot; NULL: not known yet */
	MsRelDesc  *desc;			/* owned; of these columns */
	MsCursor   *cursor;			/* owned; NULL if the table has nothing */
	int64		lo;				/* the cursor's range */
	int64		hi;
	MsFiller   *filler;			/* owned */
	Datum	   *values;			/* owned; by column, labels of the series set */
	bool	   *isnull;
	MemoryContext series_cxt;	/* owned; the labels' memory */

	/* the row the scan stands on */
	uint32		sid;
	bool		sid_valid;		/* false: before the first series */
	bool		in_series;		/* the cursor stands on sid */
	bool		at_end;			/* after the last row */
	MsRows		rows;			/* the cursor's */
	int			row;			/* in rows; -1: before the first */

	struct MsSample *sample;	/* owned; ANALYZE only */
} MsScan;

extern void ms_scan_adopt(MsScan *scan, TupleDesc tupdesc);
extern bool ms_scan_forward(MsScan *scan);
extern void ms_scan_restart(MsScan *scan);
extern void ms_scan_store(MsScan *scan, TupleTableSlot *slot);

#endif							/* MS_AM_SCAN_H */
