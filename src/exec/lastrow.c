/*-------------------------------------------------------------------------
 *
 * lastrow.c
 *	  The newest (or oldest) row of each series, or of each value of a label.
 *
 * SELECT DISTINCT ON (labels) ... ORDER BY labels, ts DESC wants one row for
 * each combination of labels, the newest that meets the conditions.  Whatever
 * the labels are, that row is the newest of its series; so it is enough to
 * have one row of every series, and PostgreSQL's Sort and Unique above have
 * little to do.  The scan goes through each series from its end and stops at
 * the first row that meets the conditions: as a rule it decodes no block, or
 * one row of one.
 *
 * Where one label alone is to be distinct and nothing follows the time in ORDER
 * BY, nothing is left to do above: the series are visited in the order of that
 * label (labelwalk.c), and of those with the same value the newest row is found
 * here.
 *
 * The conditions are tested here rather than in ExecScan, because only who
 * tests them knows when a series is done.
 *
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "exec/labelwalk.h"

/* Does the row at hand meet the conditions?  Leaves it in the scan's slot. */
static bool
row_meets(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;

	ExecClearTuple(ss->ss_ScanTupleSlot);
	ms_step_fill_slot(state, ss->ss_ScanTupleSlot);
	ExecStoreVirtualTuple(ss->ss_ScanTupleSlot);
	ResetExprContext(econtext);
	econtext->ecxt_scantuple = ss->ss_ScanTupleSlot;
	if (ExecQual(ss->ps.qual, econtext))
		return true;
	InstrCountFiltered1(&ss->ps, 1);
	return false;
}

/* Looks for the row of the series on which the cursor stands. */
static bool
search_series(MsScanState *state)
{
	ms_step_start(state, state->order == MS_ORDER_LAST);
	while (ms_step_next(state))
	{
		CHECK_FOR_INTERRUPTS();
		if (row_meets(state))
			return true;
	}
	return false;
}

/* Goes to the row of the next series that has one; false at the end. */
static bool
next_of_series(MsScanState *state)
{
	while (ms_scan_next_series(state))
	{
		state->standing = false;
		if (search_series(state))
			return true;
	}
	return false;
}

/* Goes to the next series in the order of the label, with its labels; false at the end. */
static bool
next_walked(MsScanState *state)
{
	if (state->kept != MS_NO_SERIES)
	{
		/* it was come to, but it was another one's turn */
		state->sid = state->kept;
		state->kept = MS_NO_SERIES;
		if (ms_scan_load_labels(state, state->sid))
			return true;
	}
	return ms_scan_next_labels(state);
}

/*
 * Finds the series that has the row of the next value of the label; MS_NO_SERIES at the end.  *at_hand: the
 * scan is still at that row.
 */
static uint32
find_in_label(MsScanState *state, bool *at_hand)
{
	uint32		best = MS_NO_SERIES;
	uint32		group = 0;
	int64		best_time = 0;

	*at_hand = false;
	while (next_walked(state))
	{
		int64		t;

		*at_hand = false;
		if (best != MS_NO_SERIES && ms_labelwalk_group(state->walk) != group)
		{
			state->kept = state->sid;
			break;
		}
		if (!ms_cursor_seek(state->cursor, state->sid) || !search_series(state))
			continue;
		t = state->rows.times[state->row];
		if (best == MS_NO_SERIES || (state->order == MS_ORDER_LAST ? t > best_time : t < best_time))
		{
			best = state->sid;
			best_time = t;
			group = ms_labelwalk_group(state->walk);
			*at_hand = true;
		}
		if (ms_labelwalk_at_end_of_group(state->walk))
			break;
	}
	return best;
}

/* Goes to the row of the next value of the label that has one; false at the end. */
static bool
next_of_label(MsScanState *state)
{
	uint32		best;
	bool		at_hand;

	while ((best = find_in_label(state, &at_hand)) != MS_NO_SERIES)
	{
		if (at_hand)
			return true;

		/* others were looked at since; it may have expired meanwhile */
		state->sid = best;
		if (ms_scan_load_labels(state, best) && ms_cursor_seek(state->cursor, best) &&
			search_series(state))
			return true;
	}
	return false;
}

/* The next row, projected; an empty slot at the end. */
TupleTableSlot *
ms_lastrow_exec(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;

	if (!state->started)
	{
		ms_scan_start(state);
		state->kept = MS_NO_SERIES;
	}
	if (!state->done && (state->walk != NULL ? next_of_label(state) : next_of_series(state)))
	{
		if (ss->ps.ps_ProjInfo != NULL)
			return ExecProject(ss->ps.ps_ProjInfo);
		return ss->ss_ScanTupleSlot;
	}
	state->done = true;
	if (ss->ps.ps_ProjInfo != NULL)
		return ExecClearTuple(ss->ps.ps_ProjInfo->pi_state.resultslot);
	return ExecClearTuple(ss->ss_ScanTupleSlot);
}
