/*-------------------------------------------------------------------------
 *
 * series.c
 *	  Going from series to series, past those whose labels do not fit.
 *
 * The labels of a series are put into the scan's slot, alone, and the
 * conditions on labels are asked.  Those that cannot fail come first, for
 * they need nothing else to be known.  The others may raise an error, which
 * is right only if the query can see a row with these labels; a series may
 * be there although it cannot (its rows were rolled back, belong to a
 * transaction under way, or lie outside the range of time).  So it is found
 * out whether there is such a row: mostly a look at the windows' indexes is
 * enough, and only where a delete is visible are rows really read.
 *
 * Locks: table->lock, shared, for that look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"

#include "exec/labelwalk.h"

typedef enum Presence
{
	ABSENT = 0,					/* no row that the query sees */
	PRESENT,
	UNCLEAR						/* rows would have to be read */
} Presence;

/* What one (series, window) holds for the query.  Caller holds table->lock. */
static Presence
presence_in_window(const MsWindow *window, uint32 sid, Snapshot snapshot)
{
	MsArena    *arena = ms_store->arena;
	MsEntry    *entry = ms_entry_locked(window, sid);
	bool		rows;

	if (entry == NULL)
		return ABSENT;
	rows = entry->chunk != 0;
	for (MsRef ref = entry->pieces; ref != 0;)
	{
		MsPiece    *piece = ms_ptr(arena, ref);

		if (ms_run_visible(ms_ptr(arena, piece->run), snapshot))
		{
			if (piece->kind != MS_PIECE_ROWS)
				return UNCLEAR;
			rows = true;
		}
		ref = piece->next;
	}
	return rows ? PRESENT : ABSENT;
}

/* Does the query see a row of this series, in the windows of its range? */
static Presence
presence(MsScanState *state, uint32 sid)
{
	MsTable    *table = state->desc->table;
	Snapshot	snapshot = state->css.ss.ps.state->es_snapshot;
	Presence	result = ABSENT;

	ms_lock_shared(table->lock, MS_RANK_TABLE);
	for (int i = ms_window_search_locked(table, state->lo); i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);
		Presence	here;

		if (window->start >= state->hi)
			break;
		here = presence_in_window(window, sid, snapshot);
		if (here != ABSENT)
			result = here;
		if (here == PRESENT)
			break;
	}
	ms_unlock(table->lock);
	return result;
}

/* Puts the labels of a series into the template; false if there is no such series. */
bool
ms_scan_load_labels(MsScanState *state, uint32 sid)
{
	TupleDesc	tupdesc = RelationGetDescr(state->css.ss.ss_currentRelation);
	const MsLabelValue *labels;
	int			nlabels;
	MemoryContext old;

	if (!ms_cursor_labels(state->cursor, sid, &labels, &nlabels))
		return false;
	MemoryContextReset(state->series_cxt);
	old = MemoryContextSwitchTo(state->series_cxt);
	ms_reldesc_lend_labels(state->desc, tupdesc, labels, nlabels,
						   state->template_values, state->template_isnull);
	MemoryContextSwitchTo(old);
	return true;
}

/* Asks a condition about the labels in the template. */
static bool
labels_meet(MsScanState *state, ExprState *qual)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	TupleTableSlot *slot = state->row_slot;
	int			natts = slot->tts_tupleDescriptor->natts;
	bool		result;

	if (qual == NULL)
		return true;
	ExecClearTuple(slot);
	memcpy(slot->tts_values, state->template_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, state->template_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = slot;
	result = ExecQual(qual, econtext);
	ExecClearTuple(slot);
	return result;
}

/* Lets the cursor stand on a series whose labels fit; false if this one's do not. */
static bool
take_series(MsScanState *state, uint32 sid)
{
	Presence	seen = PRESENT;

	if (!labels_meet(state, state->safe_qual))
		return false;
	if (state->label_qual != NULL)
		seen = presence(state, sid);
	if (seen == ABSENT)
		return false;
	if (seen == PRESENT && !labels_meet(state, state->label_qual))
		return false;
	if (!ms_cursor_seek(state->cursor, sid))
		return false;
	if (seen == PRESENT)
		return true;

	if (!ms_cursor_next(state->cursor, &state->rows))
	{
		state->rows.nrows = 0;
		return false;
	}
	if (!labels_meet(state, state->label_qual))
	{
		state->rows.nrows = 0;
		return false;
	}
	pgstat_count_index_tuples(state->css.ss.ss_currentRelation, state->rows.nrows);
	return true;
}

/* The next series to be asked; false if there are no more. */
static bool
next_candidate(MsScanState *state, uint32 *sid)
{
	if (state->series_order != NULL && !state->listing)
		return ms_seriesorder_next(state, sid);
	if (state->walking)
		return ms_labelwalk_next(state, sid);
	if (state->indexed)
		return ms_labelindex_next(state, sid);
	if (state->coded)
		return ms_labelcodes_next(state, sid);
	if (!ms_scan_claim(state))
		return false;
	*sid = state->next++;
	return true;
}

/* Will all series be read, in the order of their ids? */
static inline bool
takes_all(const MsScanState *state)
{
	return state->safe_qual == NULL && state->label_qual == NULL &&
		state->series_order == NULL && !state->walking && !state->indexed && !state->coded;
}

/*
 * Goes to the next series of this process that fits; false if there are no
 * more.  The first rows may be in state->rows already.  May raise what a
 * condition raises.
 */
bool
ms_scan_next_series(MsScanState *state)
{
	uint32		sid;

	while (next_candidate(state, &sid))
	{
		state->sid = sid;
		CHECK_FOR_INTERRUPTS();
		if (takes_all(state))
			ms_cursor_expect_all(state->cursor, state->claimed);
		if (!ms_scan_load_labels(state, sid))
			continue;
		if (take_series(state, sid))
		{
			state->counters[MS_COUNT_SERIES_READ]++;
			state->standing = true;
			return true;
		}
		state->counters[MS_COUNT_SERIES_SKIPPED]++;
	}
	return false;
}

/*
 * Goes to the next series of this process whose labels fit, and loads its
 * labels; false if there are no more.  The cursor stays where it is.  For scans
 * all of whose conditions on labels cannot fail.
 */
bool
ms_scan_next_labels(MsScanState *state)
{
	uint32		sid;

	Assert(state->label_qual == NULL);
	while (next_candidate(state, &sid))
	{
		state->sid = sid;
		CHECK_FOR_INTERRUPTS();
		if (!ms_scan_load_labels(state, sid))
			continue;
		if (labels_meet(state, state->safe_qual))
		{
			state->counters[MS_COUNT_SERIES_READ]++;
			return true;
		}
		state->counters[MS_COUNT_SERIES_SKIPPED]++;
	}
	return false;
}
