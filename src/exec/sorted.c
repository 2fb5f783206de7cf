/*-------------------------------------------------------------------------
 *
 * sorted.c
 *	  A scan in the order of time, over all its series.
 *
 * A scan goes series by series, so its rows are not in the order of time.
 * Where a query wants that order, and mostly only its beginning (ORDER BY ts
 * DESC LIMIT 10), sorting all of them would be a waste.  This scan goes
 * through time in slices instead: it reads one slice of every series, sorts
 * what it got, hands it out, and goes on to the next slice if it is asked to.
 * The first slice is short; slices get longer while they bring few rows, and
 * shorter when they bring many, so that a LIMIT reads little and a full scan
 * does not take many more steps than there are windows.  A slice that outgrows
 * work_mem is given up for a shorter one.  What a slice without
 * rows tells of where the rows are is used to leap over the gap (the newest
 * window mostly ends in the future).  A single series has
 * that order by itself, and is gone through row by row.
 *
 * The labels of all series that fit are kept for the duration of the scan:
 * paths.c offers this scan only where they are not too many.
 *
 * Locks: as the cursor's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "exec/scan.h"

#define FIRST_SLICES	64		/* the first slice is this part of a window */
#define FEW_ROWS		2048	/* with fewer, the next slice is longer */
#define MANY_ROWS		65536	/* with more, it is shorter */
#define MIN_SLICE		USECS_PER_SEC

/* The labels of a series, as a row template. */
typedef struct SortedSeries
{
	uint32		sid;
	Datum	   *values;
	bool	   *isnull;
	int64		bound;			/* no rows beyond it, seen from the last
								 * slice; the slice's far edge if nothing is
								 * known */
} SortedSeries;

typedef struct SortedRow
{
	int64		time;
	uint32		series;			/* index */
	uint32		at;				/* in the columns */
} SortedRow;

struct MsSorted
{
	MemoryContext cxt;			/* holds all of this; child of the scan's */
	bool		backward;
	SortedSeries *series;
	uint32		nseries;
	uint32		series_cap;

	bool		stepping;		/* there is one series, gone through by step.c */

	/* Times still to be read: [lo, hi). */
	int64		lo;
	int64		hi;
	int64		width;			/* of the next slice */

	/* The slice at hand. */
	SortedRow  *rows;
	uint32		nrows;
	uint32		cap;
	uint32		next;
	double	  **values;			/* by needed column */
	bool	  **nulls;
};

#define ST_SORT sort_ascending
#define ST_ELEMENT_TYPE SortedRow
#define ST_COMPARE(a, b) ((a)->time < (b)->time ? -1 : (a)->time > (b)->time)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT sort_descending
#define ST_ELEMENT_TYPE SortedRow
#define ST_COMPARE(a, b) ((a)->time > (b)->time ? -1 : (a)->time < (b)->time)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Keeps the labels of the series at hand. */
static void
keep_series(MsScanState *state, MsSorted *sorted)
{
	TupleDesc	tupdesc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	int			natts = tupdesc->natts;
	SortedSeries *s;

	if (sorted->nseries == sorted->series_cap)
	{
		sorted->series_cap *= 2;
		sorted->series = repalloc_huge(sorted->series,
									   sizeof(SortedSeries) * sorted->series_cap);
	}
	s = &sorted->series[sorted->nseries++];
	s->sid = state->sid;
	s->bound = sorted->backward ? PG_INT64_MAX : PG_INT64_MIN;
	s->values = palloc0(sizeof(Datum) * natts);
	s->isnull = palloc(sizeof(bool) * natts);
	memcpy(s->isnull, state->template_isnull, sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (!s->isnull[i])
			s->values[i] = datumCopy(state->template_values[i], att->attbyval, att->attlen);
	}
}

/* Begins with the only series; false if it is gone. */
static bool
start_stepping(MsScanState *state, MsSorted *sorted)
{
	SortedSeries *s = &sorted->series[0];
	int			natts = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor->natts;

	state->sid = s->sid;
	memcpy(state->template_values, s->values, sizeof(Datum) * natts);
	memcpy(state->template_isnull, s->isnull, sizeof(bool) * natts);
	ms_cursor_set_range(state->cursor, state->lo, state->hi);
	sorted->stepping = ms_cursor_seek(state->cursor, s->sid);
	ms_step_start(state, sorted->backward);
	return sorted->stepping;
}

/* Finds the series and the times to be read. */
void
ms_sorted_start(MsScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->scan_cxt);
	MsSorted   *sorted = palloc0(sizeof(MsSorted));
	MsTableStats stats;

	sorted->cxt = AllocSetContextCreate(state->scan_cxt, "memseries sorted scan",
										ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(sorted->cxt);
	sorted->backward = state->order == MS_ORDER_TIME_DESC;
	sorted->series_cap = 64;
	sorted->series = palloc(sizeof(SortedSeries) * sorted->series_cap);
	sorted->values = palloc0(sizeof(double *) * Max(state->ncolumns, 1));
	sorted->nulls = palloc0(sizeof(bool *) * Max(state->ncolumns, 1));
	ms_cursor_set_range(state->cursor, 0, 0);	/* only look which fit */
	while (ms_scan_next_series(state))
		keep_series(state, sorted);
	state->standing = false;
	state->sorted = sorted;
	MemoryContextSwitchTo(old);
	if (sorted->nseries == 1 && start_stepping(state, sorted))
		return;

	ms_table_stats(state->desc->table, &stats);
	sorted->lo = Max(state->lo, stats.tmin);
	sorted->hi = Min(state->hi, stats.tmax);
	if (stats.windows == 0)
		sorted->hi = sorted->lo;
	else
		sorted->width = (stats.tmax - stats.tmin) / stats.windows / FIRST_SLICES;
	sorted->width = Max(sorted->width, MIN_SLICE);
}

void
ms_sorted_end(MsScanState *state)
{
	if (state->sorted == NULL)
		return;
	MemoryContextDelete(state->sorted->cxt);
	pfree(state->sorted);
	state->sorted = NULL;
}

/* Makes room for n rows in all. */
static void
reserve(MsScanState *state, MsSorted *sorted, uint64 n)
{
	uint64		cap = Max(sorted->cap, 1024);

	if (n <= sorted->cap)
		return;
	while (cap < n)
		cap *= 2;
	if (cap > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows at one time to sort them")));
	if (sorted->rows == NULL)
		sorted->rows = MemoryContextAllocHuge(sorted->cxt, sizeof(SortedRow) * cap);
	else
		sorted->rows = repalloc_huge(sorted->rows, sizeof(SortedRow) * cap);
	for (int c = 0; c < state->ncolumns; c++)
	{
		if (sorted->values[c] == NULL)
		{
			sorted->values[c] = MemoryContextAllocHuge(sorted->cxt, sizeof(double) * cap);
			sorted->nulls[c] = MemoryContextAllocHuge(sorted->cxt, sizeof(bool) * cap);
		}
		else
		{
			sorted->values[c] = repalloc_huge(sorted->values[c], sizeof(double) * cap);
			sorted->nulls[c] = repalloc_huge(sorted->nulls[c], sizeof(bool) * cap);
		}
	}
	sorted->cap = cap;
}

/* Adds rows of a series to the slice. */
static void
add_rows(MsScanState *state, MsSorted *sorted, uint32 series, const MsRows *rows)
{
	uint32		at = sorted->nrows;

	reserve(state, sorted, (uint64) at + rows->nrows);
	for (int i = 0; i < rows->nrows; i++)
	{
		sorted->rows[at + i].time = rows->times[i];
		sorted->rows[at + i].series = series;
		sorted->rows[at + i].at = at + i;
	}
	for (int c = 0; c < state->ncolumns; c++)
	{
		int			ordinal = state->columns[c].ordinal;
		const bool *nulls = rows->nulls ? rows->nulls[ordinal] : NULL;

		memcpy(sorted->values[c] + at, rows->values[ordinal], sizeof(double) * rows->nrows);
		if (nulls != NULL)
			memcpy(sorted->nulls[c] + at, nulls, rows->nrows);
		else
			memset(sorted->nulls[c] + at, false, rows->nrows);
	}
	sorted->nrows += rows->nrows;
}

/*
 * Reads a slice of one series.  Where its chunk has no rows in the slice, it
 * tells where they begin.
 */
static void
read_slice(MsScanState *state, MsSorted *sorted, uint32 i, int64 lo, int64 hi)
{
	SortedSeries *s = &sorted->series[i];
	MsPart		part;
	MsRows		rows;

	if (sorted->backward ? s->bound < lo : s->bound >= hi)
		return;
	s->bound = sorted->backward ? lo - 1 : hi;
	if (!ms_cursor_seek(state->cursor, s->sid))
		return;
	while (ms_cursor_next_part(state->cursor, &part))
	{
		if (part.plain && sorted->backward && part.chunk.tmax < lo)
			s->bound = part.chunk.tmax;
		else if (part.plain && !sorted->backward && part.chunk.tmin >= hi)
			s->bound = part.chunk.tmin;
		else if (ms_cursor_part_rows(state->cursor, &rows))
			add_rows(state, sorted, i, &rows);
	}
}

/* Leaps over times in which no series has rows. */
static void
leap(MsSorted *sorted)
{
	int64		edge = sorted->backward ? PG_INT64_MIN : PG_INT64_MAX;

	for (uint32 i = 0; i < sorted->nseries; i++)
		edge = sorted->backward ? Max(edge, sorted->series[i].bound) :
			Min(edge, sorted->series[i].bound);
	if (sorted->nseries == 0)
		sorted->hi = sorted->lo;
	else if (sorted->backward)
		sorted->hi = Min(sorted->hi, edge + 1);
	else
		sorted->lo = Max(sorted->lo, edge);
}

/* Do the rows of the slice take more memory than allowed? */
static bool
is_too_large(const MsScanState *state, const MsSorted *sorted)
{
	Size		row = sizeof(SortedRow) + state->ncolumns * (sizeof(double) + sizeof(bool));

	return sorted->nrows > MANY_ROWS && sorted->nrows * row > work_mem * (Size) 1024;
}

/* Reads a slice of all series; false if it is too large, and could be shorter. */
static bool
read_series(MsScanState *state, MsSorted *sorted, int64 lo, int64 hi)
{
	sorted->nrows = sorted->next = 0;
	ms_cursor_set_range(state->cursor, lo, hi);
	for (uint32 i = 0; i < sorted->nseries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_slice(state, sorted, i, lo, hi);
		if (hi - lo > 1 && is_too_large(state, sorted))
		{
			/* what the series said of beyond the slice holds no more */
			for (uint32 k = 0; k <= i; k++)
				sorted->series[k].bound = sorted->backward ? PG_INT64_MAX : PG_INT64_MIN;
			return false;
		}
	}
	return true;
}

/* Reads and sorts the next slice; false if all times were read. */
static bool
next_slice(MsScanState *state, MsSorted *sorted)
{
	int64		lo;
	int64		hi;

	if (sorted->lo >= sorted->hi)
		return false;
	for (;;)
	{
		sorted->width = Min(sorted->width, sorted->hi - sorted->lo);
		lo = sorted->backward ? sorted->hi - sorted->width : sorted->lo;
		hi = sorted->backward ? sorted->hi : sorted->lo + sorted->width;
		if (read_series(state, sorted, lo, hi))
			break;
		sorted->width = Max(sorted->width / 8, 1);
	}
	if (sorted->nrows > 1)
	{
		if (sorted->backward)
			sort_descending(sorted->rows, sorted->nrows);
		else
			sort_ascending(sorted->rows, sorted->nrows);
	}

	if (sorted->backward)
		sorted->hi = lo;
	else
		sorted->lo = hi;
	if (sorted->nrows == 0)
		leap(sorted);
	if (sorted->nrows < FEW_ROWS)
		sorted->width *= 2;
	else if (sorted->nrows > MANY_ROWS)
		sorted->width = Max(sorted->width / 2, Min(sorted->width, MIN_SLICE));
	return true;
}

/* Puts the next row into the slot, which is empty; false at the end. */
bool
ms_sorted_next(MsScanState *state, TupleTableSlot *slot)
{
	MsSorted   *sorted = state->sorted;
	int			natts = slot->tts_tupleDescriptor->natts;
	int			time = state->desc->time_att - 1;
	const SortedRow *row;
	const SortedSeries *s;

	if (sorted->stepping)
	{
		if (!ms_step_next(state))
			return false;
		ms_scan_fill_slot(state, slot);
		return true;
	}
	while (sorted->next >= sorted->nrows)
		if (!next_slice(state, sorted))
			return false;

	row = &sorted->rows[sorted->next++];
	s = &sorted->series[row->series];
	memcpy(slot->tts_values, s->values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, s->isnull, sizeof(bool) * natts);
	slot->tts_values[time] = TimestampTzGetDatum(row->time);
	slot->tts_isnull[time] = false;
	for (int c = 0; c < state->ncolumns; c++)
	{
		const MsScanColumn *col = &state->columns[c];
		double		v = sorted->values[c][row->at];

		slot->tts_isnull[col->att] = sorted->nulls[c][row->at];
		if (!slot->tts_isnull[col->att])
			slot->tts_values[col->att] = col->is_float4 ?
				Float4GetDatum(ms_float4_narrow(v)) : Float8GetDatum(v);
	}
	return true;
}
