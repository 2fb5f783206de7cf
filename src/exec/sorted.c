/*-------------------------------------------------------------------------
 *
 * sorted.c
 *	  A scan in the order of time, over all its series.
 *
 * A scan goes series by series, so its rows are not in the order of time.
 * Where a query wants that order, and mostly only its beginning (ORDER BY ts
 * DESC LIMIT 10), sorting all of them would be a waste.  This scan goes
 * through time in slices instead: it reads one slice of every series that has
 * rows there, sorts what it got, hands it out, and goes on to the next slice if
 * it is asked to.
 *
 * It begins with a look at how far each series reaches (store/edges.c), and with
 * a slice that some hundred of them reach into.  A slice of a single moment
 * needs no sorting, so its rows are handed out before all series are read: of a
 * hundred thousand that report at the same time, only those are read that the
 * LIMIT has room for.  Later slices get longer while they bring few rows, and
 * shorter when they bring many, so that a LIMIT reads little and a full scan
 * does not take many more steps than there are windows.  A slice that outgrows
 * work_mem is given up for a shorter one.  What a slice without rows tells of
 * where the rows are is used to leap over the gap.  A single series has that
 * order by itself, and is gone through row by row.
 *
 * The labels of a series are got when it brings its first row, and kept for the duration of the scan:
 * orderpaths.c offers this scan only where they are not too many.
 *
 * Locks: as the cursor's, and those of store/edges.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "exec/exec.h"
#include "exec/scan.h"
#include "store/edges.h"

#define EDGE_BUCKETS	256
#define SOME_ROWS		256		/* of one moment, handed out at once */
#define FEW_ROWS		2048	/* with fewer, the next slice is longer */
#define MANY_ROWS		(2 * MS_SLICE_ROWS) /* with more, it is shorter */
#define MIN_SLICE		USECS_PER_SEC

typedef struct SortedSeries
{
	uint32		sid;
	Datum	   *values;			/* a row with its labels; NULL: not got yet */
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
	bool		all;			/* nothing was asked of series */
	SortedSeries *series;
	uint32		nseries;
	uint32		series_cap;

	bool		stepping;		/* there is one series, gone through by step.c */

	/* Times still to be read: [lo, hi). */
	int64		lo;
	int64		hi;
	int64		width;			/* of the next slice */
	int64		usual_width;	/* that should bring neither few nor many rows */

	/* The slice at hand. */
	uint32		unread;			/* first series not read yet in a slice of a
								 * single moment */
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

/* Adds a series. */
static void
add_series(MsSorted *sorted, uint32 sid)
{
	SortedSeries *s;

	if (sorted->nseries == sorted->series_cap)
	{
		sorted->series_cap *= 2;
		sorted->series = repalloc_huge(sorted->series,
									   sizeof(SortedSeries) * (Size) sorted->series_cap);
	}
	s = &sorted->series[sorted->nseries++];
	memset(s, 0, sizeof(*s));
	s->sid = sid;
}

/* Gets the labels of a series, on which the cursor stands; false if it is gone. */
static bool
get_labels(MsScanState *state, MsSorted *sorted, SortedSeries *s)
{
	TupleDesc	tupdesc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	int			natts = tupdesc->natts;
	MemoryContext old;

	if (s->values != NULL)
		return true;
	if (!ms_scan_load_labels(state, s->sid))
		return false;
	old = MemoryContextSwitchTo(sorted->cxt);
	s->values = palloc0(sizeof(Datum) * natts);
	s->isnull = palloc(sizeof(bool) * natts);
	memcpy(s->isnull, state->template_isnull, sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (!s->isnull[i])
			s->values[i] = datumCopy(state->template_values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
	return true;
}

/* Begins with the only series; false if it is gone. */
static bool
start_stepping(MsScanState *state, MsSorted *sorted)
{
	state->sid = sorted->series[0].sid;
	ms_cursor_set_range(state->cursor, state->lo, state->hi);
	ms_cursor_set_last(state->cursor, sorted->backward && ms_enable_summaries);
	sorted->stepping = ms_cursor_seek(state->cursor, state->sid) &&
		ms_scan_load_labels(state, state->sid);
	ms_step_start(state, sorted->backward);
	return sorted->stepping;
}

/* Lists the series that fit. */
static void
list_series(MsScanState *state, MsSorted *sorted)
{
	/*
	 * where nothing is asked of labels, that need not be gone through one by
	 * one
	 */
	if (state->safe_qual == NULL && !state->coded && !state->indexed)
	{
		sorted->series_cap = Max(state->limit, 1);
		sorted->series = MemoryContextAllocHuge(sorted->cxt,
												sizeof(SortedSeries) * (Size) sorted->series_cap);
		for (uint32 sid = 0; sid < state->limit; sid++)
			add_series(sorted, sid);
		sorted->all = true;
		return;
	}
	sorted->series_cap = 64;
	sorted->series = palloc(sizeof(SortedSeries) * sorted->series_cap);
	while (ms_scan_next_labels(state))
		add_series(sorted, state->sid);
}

/* Finds out how far each series reaches, and leaves those that have rows at all. */
static void
find_bounds(MsScanState *state, MsSorted *sorted)
{
	uint32		n = sorted->nseries;
	uint32	   *sids = MemoryContextAllocHuge(sorted->cxt, sizeof(uint32) * (Size) Max(n, 1));
	int64	   *edges = MemoryContextAllocHuge(sorted->cxt, sizeof(int64) * (Size) Max(n, 1));

	for (uint32 i = 0; i < n; i++)
		sids[i] = sorted->series[i].sid;
	ms_series_edges(state->desc->table, sorted->lo, sorted->hi, sorted->backward, sids, n, edges);
	sorted->nseries = 0;
	for (uint32 i = 0; i < n; i++)
	{
		if (edges[i] == (sorted->backward ? PG_INT64_MIN : PG_INT64_MAX))
			continue;
		sorted->series[sorted->nseries] = sorted->series[i];
		sorted->series[sorted->nseries++].bound = edges[i];
	}
	pfree(sids);
	pfree(edges);
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

/* How far from the edge to the nearest series is a series' bound? */
static inline uint64
bound_distance(const MsSorted *sorted, uint32 i)
{
	return sorted->backward ? (uint64) sorted->hi - 1 - (uint64) sorted->series[i].bound :
		(uint64) sorted->series[i].bound - (uint64) sorted->lo;
}

/*
 * How wide a slice must be for some hundred series, or half of them, to reach into it: a
 * histogram of their bounds, and again of its bucket that matters.
 */
static int64
first_width(const MsSorted *sorted)
{
	uint32		enough = Min(MS_FIRST_ROWS, (sorted->nseries + 1) / 2);
	uint64		from = 0;
	uint64		to = (uint64) sorted->hi - (uint64) sorted->lo;
	uint32		before = 0;

	for (;;)
	{
		uint32		counts[EDGE_BUCKETS] = {0};
		uint64		step = (to - from) / EDGE_BUCKETS + 1;
		int			k = 0;

		for (uint32 i = 0; i < sorted->nseries; i++)
		{
			uint64		d = bound_distance(sorted, i);

			if (d >= from && d < to)
				counts[(d - from) / step]++;
		}
		while (k < EDGE_BUCKETS - 1 && before + counts[k] < enough && from + (k + 1) * step < to)
			before += counts[k++];
		from += k * step;
		to = Min(to, from + step);
		if (step == 1)
			return (int64) to;
	}
}

/* What times are there to be read, and in what slices? */
static void
start_slices(MsScanState *state, MsSorted *sorted)
{
	MsTableStats stats;
	double		share;

	ms_table_stats(state->desc->table, &stats);
	if (stats.windows == 0)
	{
		sorted->nseries = 0;
		return;
	}
	sorted->lo = Max(state->lo, stats.tmin);
	sorted->hi = Min(state->hi, stats.tmax);
	if (sorted->lo >= sorted->hi)
		return;
	/* as if rows were spread evenly */
	share = (double) FEW_ROWS / Max(stats.samples + stats.run_samples, 1);
	sorted->usual_width = Max(MIN_SLICE, (int64) ((double) (stats.tmax - stats.tmin) * Min(share, 1.0)));
	find_bounds(state, sorted);
	if (sorted->all)
		state->counters[MS_COUNT_SERIES_READ] += sorted->nseries;
	leap(sorted);
	if (sorted->lo >= sorted->hi)
		return;
	sorted->width = first_width(sorted);

	/*
	 * few series bring few rows, which for their last moment costs next to
	 * nothing; and those that reach beyond the range may have none just
	 * within it
	 */
	if ((sorted->nseries < MS_FIRST_ROWS && !(sorted->backward && sorted->width == 1)) ||
		(sorted->backward ? sorted->hi == state->hi : sorted->lo == state->lo))
		sorted->width = Max(sorted->width, sorted->usual_width);
}

/* Finds the series and the times to be read. */
void
ms_sorted_start(MsScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->scan_cxt);
	MsSorted   *sorted = palloc0(sizeof(MsSorted));

	sorted->cxt = AllocSetContextCreate(state->scan_cxt, "memseries sorted scan",
										ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(sorted->cxt);
	sorted->backward = state->order == MS_ORDER_TIME_DESC;
	sorted->values = palloc0(sizeof(double *) * Max(state->ncolumns, 1));
	sorted->nulls = palloc0(sizeof(bool *) * Max(state->ncolumns, 1));
	list_series(state, sorted);
	state->standing = false;
	state->sorted = sorted;
	if (sorted->nseries != 1 || !start_stepping(state, sorted))
		start_slices(state, sorted);
	MemoryContextSwitchTo(old);
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
		else if (ms_cursor_part_rows(state->cursor, &rows) && get_labels(state, sorted, s))
			add_rows(state, sorted, i, &rows);
	}
}

/* Do the rows of the slice take more memory than allowed? */
static bool
is_too_large(const MsScanState *state, const MsSorted *sorted)
{
	Size		row = sizeof(SortedRow) + state->ncolumns * (sizeof(double) + sizeof(bool));

	return sorted->nrows > MANY_ROWS && sorted->nrows * row > work_mem * (Size) 1024;
}

/*
 * Reads a slice of all series; false if it is too large, and could be shorter.
 * Of a slice of a single moment some rows will do: sorted->unread tells where to
 * go on.
 */
static bool
read_series(MsScanState *state, MsSorted *sorted, int64 lo, int64 hi)
{
	bool		moment = hi - lo == 1;
	uint32		i = sorted->unread;

	sorted->nrows = sorted->next = 0;
	sorted->unread = 0;
	ms_cursor_set_range(state->cursor, lo, hi);
	/* of a chunk that ends at that moment the last row is all there is */
	ms_cursor_set_last(state->cursor, moment && sorted->backward && ms_enable_summaries);
	for (; i < sorted->nseries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_slice(state, sorted, i, lo, hi);
		if (moment && sorted->nrows >= SOME_ROWS)
		{
			sorted->unread = i + 1;
			break;
		}
		if (!moment && is_too_large(state, sorted))
		{
			/* what the series said of beyond the slice holds no more */
			for (uint32 k = 0; k <= i; k++)
				sorted->series[k].bound = sorted->backward ? PG_INT64_MAX : PG_INT64_MIN;
			return false;
		}
	}
	return true;
}

static void
sort_rows(MsSorted *sorted)
{
	if (sorted->nrows < 2)
		return;
	if (sorted->backward)
		sort_descending(sorted->rows, sorted->nrows);
	else
		sort_ascending(sorted->rows, sorted->nrows);
}

/* Sets how wide the slice after one is that was read. */
static void
adapt_width(MsSorted *sorted)
{
	if (sorted->width < sorted->usual_width)
		sorted->width = sorted->usual_width;
	else if (sorted->nrows < FEW_ROWS)
		sorted->width *= 2;
	else if (sorted->nrows > MANY_ROWS)
		sorted->width = Max(sorted->width / 2, Min(sorted->width, MIN_SLICE));
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
		sorted->usual_width = Min(sorted->usual_width, sorted->width);
	}
	sort_rows(sorted);
	if (sorted->unread > 0)
		return true;

	if (sorted->backward)
		sorted->hi = lo;
	else
		sorted->lo = hi;
	if (sorted->nrows == 0)
		leap(sorted);
	adapt_width(sorted);
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
		ms_step_fill_slot(state, slot);
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
