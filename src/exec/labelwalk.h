/*-------------------------------------------------------------------------
 *
 * labelwalk.h
 *	  A scan in the order of a label; see labelwalk.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LABELWALK_H
#define MS_LABELWALK_H

#include "exec/labelterm.h"

/* What a list of integers says of an order. */
typedef enum MsWalkPlace
{
	MS_WALK_ATT = 0,			/* attribute number of the label */
	MS_WALK_OPFAMILY,
	MS_WALK_TYPE,
	MS_WALK_COLLATION,
	MS_WALK_DESCENDING,
	MS_WALK_NULLS_FIRST
} MsWalkPlace;

extern MsLabelWalk *ms_labelwalk_create(MsScanState *state, const List *description);

/*
 * Finds the series, in order, right after conditions were looked up for the scan that starts now (ms_labelcodes_start).
 * False: they are to be listed, by ms_labelwalk_list, once it is known how the scan goes through them.
 */
extern bool ms_labelwalk_start(MsScanState *state);
extern void ms_labelwalk_list(MsScanState *state);

/* The next series to be asked; false if there are no more. */
extern bool ms_labelwalk_next(MsScanState *state, uint32 *sid);

/*
 * A number for the series that have the same value of the label as the one asked last, and whether it is the last
 * of them.  For labels that are the same if they are equal.
 */
extern uint32 ms_labelwalk_group(const MsLabelWalk *walk);
extern bool ms_labelwalk_at_end_of_group(const MsLabelWalk *walk);

#endif							/* MS_LABELWALK_H */
