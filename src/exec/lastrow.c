/*-------------------------------------------------------------------------
 *
 * lastrow.c
 *	  The newest (or oldest) row of each series.
 *
 * SELECT DISTINCT ON (labels) ... ORDER BY labels, ts DESC wants one row for
 * each combination of labels, the newest that meets the conditions.  Whatever
 * the labels are, that row is the newest of its series; so it is enough to
 * have one row of every series, and PostgreSQL's Sort and Unique above have
 * little to do.  The scan goes through each series from its end and stops at
 * the first row that meets the conditions: as a rule it decodes one block.
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

#include "exec/scan.h"

/* Does the row at hand meet the conditions?  Leaves it in the scan's slot. */
static bool
row_meets(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;

	ExecClearTuple(ss->ss_ScanTupleSlot);
	ms_scan_fill_slot(state, ss->ss_ScanTupleSlot);
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

/* The next series' row, projected; an empty slot at the end. */
TupleTableSlot *
ms_lastrow_exec(MsScanState *state)
{
	ScanState  *ss = &state->css.ss;

	if (!state->started)
		ms_scan_start(state);
	while (!state->done)
	{
		if (!ms_scan_next_series(state))
		{
			state->done = true;
			break;
		}
		state->standing = false;
		if (!search_series(state))
			continue;
		if (ss->ps.ps_ProjInfo != NULL)
			return ExecProject(ss->ps.ps_ProjInfo);
		return ss->ss_ScanTupleSlot;
	}
	if (ss->ps.ps_ProjInfo != NULL)
		return ExecClearTuple(ss->ps.ps_ProjInfo->pi_state.resultslot);
	return ExecClearTuple(ss->ss_ScanTupleSlot);
}
