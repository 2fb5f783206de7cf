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
 * LIMIT has room for.  Later slices bring more and more rows, up to what fits
 * into work_mem: so a LIMIT reads little, and who wants all rows has few slices, as
 * each makes the series decode a block of which it may need but a few rows.  A slice
 * that outgrows work_mem is given up for a shorter one.  What a slice without rows tells of
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
#define FEW_ROWS		2048	/* of the second slice, about */
#define FEW_TO_SORT		256
#define RADIX_BITS		11
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

typedef struct SortedColumn
{
	double	   *values;
	bool	   *nulls;
	bool		has_nulls;		/* of the rows held; else nulls is not set */
} SortedColumn;

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
	int64		usual_width;	/* of the second slice, at least */
	uint32		wanted;			/* rows in the next slice */
	uint32		most;			/* rows wanted in any; twice as many may be
								 * held */

	/* The slice at hand. */
	uint32		unread;			/* first series not read yet in a slice of a
								 * single moment */
	SortedRow  *rows;
	SortedRow  *scratch;		/* as long */
	uint32		nrows;
	uint32		cap;
	uint32		next;
	SortedColumn *columns;		/* by needed column */
};

#define ST_SORT sort_few
#define ST_ELEMENT_TYPE SortedRow
#define ST_COMPARE(a, b) ((a)->time < (b)->time ? -1 : (a)->time > (b)->time ? 1 : \
						  (a)->at < (b)->at ? -1 : (a)->at > (b)->at)
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

	/*
	 * as if rows were spread evenly; with fewer than series, most are read
	 * for nothing
	 */
	share = Max(FEW_ROWS, 2.0 * sorted->nseries) / Max(stats.samples + stats.run_samples, 1);
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
	sorted->columns = palloc0(sizeof(SortedColumn) * Max(state->ncolumns, 1));
	sorted->wanted = FEW_ROWS / 4;
	sorted->most = (uint32) ms_slice_rows(state->ncolumns);
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

static void *
grow(MsSorted *sorted, void *array, Size size)
{
	if (array == NULL)
		return MemoryContextAllocHuge(sorted->cxt, size);
	return repalloc_huge(array, size);
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
	sorted->rows = grow(sorted, sorted->rows, sizeof(SortedRow) * cap);
	for (int c = 0; c < state->ncolumns; c++)
	{
		SortedColumn *column = &sorted->columns[c];

		column->values = grow(sorted, column->values, sizeof(double) * cap);
		column->nulls = grow(sorted, column->nulls, sizeof(bool) * cap);
	}
	if (sorted->scratch != NULL)
		pfree(sorted->scratch);
	sorted->scratch = NULL;
	sorted->cap = cap;
}

/* Adds the nulls of n rows of a column, or that there are none. */
static void
add_nulls(SortedColumn *column, uint32 at, const bool *nulls, int n)
{
	if (nulls == NULL && !column->has_nulls)
		return;
	if (!column->has_nulls)
		memset(column->nulls, false, at);
	column->has_nulls = true;
	if (nulls != NULL)
		memcpy(column->nulls + at, nulls, n);
	else
		memset(column->nulls + at, false, n);
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

		memcpy(sorted->columns[c].values + at, rows->values[ordinal], sizeof(double) * rows->nrows);
		add_nulls(&sorted->columns[c], at, rows->nulls ? rows->nulls[ordinal] : NULL, rows->nrows);
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
		else
		{
			/* of this window nothing is left */
			if (part.plain && sorted->backward && part.chunk.tmin >= lo)
				s->bound = Min(s->bound, part.start - 1);
			else if (part.plain && !sorted->backward && part.chunk.tmax < hi)
				s->bound = Max(s->bound, part.end);
			if (ms_cursor_part_rows(state->cursor, &rows) && get_labels(state, sorted, s))
				add_rows(state, sorted, i, &rows);
		}
	}
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
	for (int c = 0; c < state->ncolumns; c++)
		sorted->columns[c].has_nulls = false;
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
		if (!moment && sorted->nrows > 2 * sorted->most)
		{
			/* what the series said of beyond the slice holds no more */
			for (uint32 k = 0; k <= i; k++)
				sorted->series[k].bound = sorted->backward ? PG_INT64_MAX : PG_INT64_MIN;
			sorted->width *= Min(0.5, (double) sorted->most / sorted->nrows * (i + 1) / sorted->nseries);
			return false;
		}
	}
	return true;
}

/* Sorts the rows by bits [shift, shift + RADIX_BITS) of their times' distance from base, into scratch; equal ones stay as they are. */
static void
radix_pass(MsSorted *sorted, int64 base, int shift)
{
	uint32		places[1 << RADIX_BITS] = {0};
	uint32		mask = (1 << RADIX_BITS) - 1;
	uint32		place = 0;
	SortedRow  *rows = sorted->rows;

	for (uint32 i = 0; i < sorted->nrows; i++)
		places[((uint64) rows[i].time - (uint64) base) >> shift & mask]++;
	for (uint32 d = 0; d <= mask; d++)
	{
		uint32		n = places[d];

		places[d] = place;
		place += n;
	}
	for (uint32 i = 0; i < sorted->nrows; i++)
		sorted->scratch[places[((uint64) rows[i].time - (uint64) base) >> shift & mask]++] = rows[i];
	sorted->rows = sorted->scratch;
	sorted->scratch = rows;
}

/* Sorts the rows by time, ascending.  Bits that are the same in all are left out: mostly the low ones, too. */
static void
sort_rows(MsSorted *sorted)
{
	int64		base;
	uint64		bits = 0;
	int			shift;

	if (sorted->nrows < FEW_TO_SORT)
	{
		sort_few(sorted->rows, sorted->nrows);
		return;
	}
	base = sorted->rows[0].time;
	for (uint32 i = 1; i < sorted->nrows; i++)
		base = Min(base, sorted->rows[i].time);
	for (uint32 i = 0; i < sorted->nrows; i++)
		bits |= (uint64) sorted->rows[i].time - (uint64) base;
	if (bits == 0)
		return;
	if (sorted->scratch == NULL)
		sorted->scratch = MemoryContextAllocHuge(sorted->cxt, sizeof(SortedRow) * (Size) sorted->cap);
	for (shift = pg_rightmost_one_pos64(bits); shift <= pg_leftmost_one_pos64(bits); shift += RADIX_BITS)
		radix_pass(sorted, base, shift);
}

/* Sets how wide the slice after one is that was read. */
static void
adapt_width(MsSorted *sorted)
{
	double		factor;

	sorted->wanted = (uint32) Min(4.0 * Max(sorted->wanted, sorted->nrows), sorted->most);
	factor = (double) sorted->wanted / Max(sorted->nrows, 1);

	if (sorted->width < sorted->usual_width)
		sorted->width = sorted->usual_width;
	else
		sorted->width = (int64) Max(1.0, Min(1e18, sorted->width * Max(0.125, Min(factor, 8.0))));
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
		sorted->width = Max(sorted->width, 1);
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
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;
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

	row = &sorted->rows[sorted->backward ? sorted->nrows - 1 - sorted->next : sorted->next];
	sorted->next++;
	s = &sorted->series[row->series];
	memcpy(values, s->values, sizeof(Datum) * natts);
	memcpy(isnull, s->isnull, sizeof(bool) * natts);
	values[time] = TimestampTzGetDatum(row->time);
	isnull[time] = false;
	for (int c = 0; c < state->ncolumns; c++)
	{
		const MsScanColumn *col = &state->columns[c];
		const SortedColumn *column = &sorted->columns[c];
		double		v = column->values[row->at];

		isnull[col->att] = column->has_nulls && column->nulls[row->at];
		values[col->att] = col->is_float4 ? Float4GetDatum(ms_float4_narrow(v)) : Float8GetDatum(v);
	}
	return true;
}
