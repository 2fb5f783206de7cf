/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Reading: the rows of a table, series by series, window by window.
 *
 * A cursor visits series by id.  For the series it stands on it copies the
 * bytes of chunks and visible pieces of as many windows as fit its buffer under
 * one shared acquisition of table->lock, and decodes and merges them outside.
 * Rows come in ascending time, each time once.
 *
 * Use:
 *		cursor = ms_cursor_open(table, snapshot, lo, hi, need);
 *		for (sid = 0; sid < ms_cursor_series_limit(cursor); sid++)
 *			if (ms_cursor_seek(cursor, sid))
 *				while (ms_cursor_next(cursor, &rows))
 *					...
 *		ms_cursor_close(cursor);
 *
 * ms_cursor_labels() may be called before or after ms_cursor_seek for its
 * series; a caller that filters by labels does it first and seeks only what
 * it wants.
 *
 * Who does not want all rows of a window decoded goes from part to part
 * instead of calling ms_cursor_next:
 *		while (ms_cursor_next_part(cursor, &part))
 *			if (part.plain)
 *				... blocks of part.chunk, with ms_cursor_work(cursor) ...
 *			else if (ms_cursor_part_rows(cursor, &rows))
 *				...
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CURSOR_H
#define MS_CURSOR_H

#include "compat.h"
#include "core/chunk.h"
#include "core/totals.h"
#include "store/run.h"

typedef struct MsCursorStats
{
	uint64		series;			/* sought */
	uint64		chunks_read;
	uint64		chunks_skipped; /* by time, of series sought */
	uint64		chunks_summarized;	/* of those read, answered from their
									 * totals */
	uint64		blocks_read;
	uint64		blocks_skipped; /* by time or value */
	uint64		blocks_summarized;	/* answered from what their headers say */
	uint64		pieces_read;
	uint64		samples_read;	/* rows returned */
	uint64		samples_skipped;	/* rows in chunks looked at or skipped,
									 * not returned */
} MsCursorStats;

typedef struct MsCursor MsCursor;

/*
 * What one window holds of the series: the bytes of a chunk, of visible
 * pieces, or both.  A plain part is a chunk alone: all its rows are visible and
 * none is replaced or deleted by others, so its blocks may be read by
 * themselves.  Its times may lie outside the cursor's range, partly or all.
 */
typedef struct MsPart
{
	int64		start;			/* the window's */
	int64		end;
	bool		plain;
	bool		total;			/* instead of the chunk there are its totals */
	bool		last;			/* instead of its rows there is the last one */
	MsChunk		chunk;			/* if plain; borrowed bytes, valid until the
								 * next call of next_part, next, seek or
								 * set_range */
	MsTotals	totals;			/* if total or last; likewise */
} MsPart;

/* Will the totals of a chunk do whose times are first and last?  Called with a lock held: no errors. */
typedef bool (*MsTotalsDo) (void *arg, int64 first, int64 last);

/*
 * Reads times in [lo, hi).  need[i] says whether value ordinal i is wanted (NULL: all);
 * `need` is copied.  Allocates in CurrentMemoryContext, from which the caller frees or closes it.
 */
extern MsCursor *ms_cursor_open(MsTable *table, Snapshot snapshot, int64 lo, int64 hi,
								const bool *need, int nvalues);

/* Also count what is skipped by time (costs a look at every window of a series sought). Off at first. */
extern void ms_cursor_count_skipped(MsCursor *cursor, bool count);

/* Reads other times from the next seek on. */
extern void ms_cursor_set_range(MsCursor *cursor, int64 lo, int64 hi);

/*
 * From the next seek on: the newest window first (rows within a window still
 * ascend), and few windows copied ahead.
 */
extern void ms_cursor_set_backward(MsCursor *cursor, bool backward);

/*
 * From the next seek on: of chunks wholly in the range for which totals_do answers true, only totals,
 * if they have any and these know all columns.  NULL: no.
 */
extern void ms_cursor_set_totals(MsCursor *cursor, MsTotalsDo totals_do, void *arg);

/*
 * From the next seek on: of a chunk whose last row is in the range and known from its totals,
 * that row alone.  Such a part is not plain; ms_cursor_part_rows gives the row.
 */
extern void ms_cursor_set_last(MsCursor *cursor, bool last);

/*
 * These series will be sought soon: has the processor fetch where their newest chunks begin, all at the
 * same time.  Prefetching one while another is read was tried: where the page is unknown to it, nothing comes of it.
 */
#define MS_CURSOR_TOUCH		16	/* a good number of them */
extern void ms_cursor_touch(MsCursor *cursor, const uint32 *sids, int n);

/*
 * Labels of these series, or of all below limit in the order of their ids, will be asked for, and most of them sought right
 * after: several may be copied together.  Until others are expected, or times or direction are set anew.
 */
#define MS_CURSOR_EXPECT	64	/* at most */
extern void ms_cursor_expect(MsCursor *cursor, const uint32 *sids, int n);
extern void ms_cursor_expect_all(MsCursor *cursor, uint32 limit);
extern void ms_cursor_close(MsCursor *cursor);

/* Series ids are below this, as of the call. */
extern uint32 ms_cursor_series_limit(MsCursor *cursor);

/*
 * Copies the labels of series sid (borrowed until the next call); false if there is no such series.  Of the series that the
 * cursor stands on they are those of the rows it reads: false if it is gone, whichever has its id now.  The bytes are aligned
 * as any type needs, and what is right before them makes them a varlena (ms_reldesc_lend_labels).
 */
extern bool ms_cursor_labels(MsCursor *cursor, uint32 sid, const MsLabelValue **labels, int *nlabels);

/* Stands on series sid; false if there is no such series. */
extern bool ms_cursor_seek(MsCursor *cursor, uint32 sid);

/*
 * The rows of the next window that has any; false at the end.  The arrays are the cursor's, valid until
 * the next call.  rows->ncols is the number of values asked for at open; arrays of values
 * not needed are NULL.  Rows stored before a column was added have its slot's missing value, else NULL.
 */
extern bool ms_cursor_next(MsCursor *cursor, MsRows *rows);

/* Chunks of parts are opened by ms_chunk_open_header: who walks over their blocks checks them. */
extern void ms_cursor_set_lazy(MsCursor *cursor, bool lazy);

/* The next window that has anything of the series, whether within the range or not; false at the end. */
extern bool ms_cursor_next_part(MsCursor *cursor, MsPart *part);

/* The same part again, or what is there of it, now with all its rows; false if there are no more parts. */
extern bool ms_cursor_part_again(MsCursor *cursor, MsPart *part);

/*
 * The rows of the part at hand that are in the range, as ms_cursor_next gives
 * them; false if there are none.  Once per part.
 */
extern bool ms_cursor_part_rows(MsCursor *cursor, MsRows *rows);

/* For reading blocks of a plain part: scratch memory, and what a value is whose ordinal is not below chunk.ncols. */
extern MsCodecWork *ms_cursor_work(MsCursor *cursor);
extern bool ms_cursor_missing(MsCursor *cursor, int ordinal, double *value);	/* false: NULL */

/* A block of the part at hand cannot be decoded. */
pg_noreturn extern void ms_cursor_damaged(MsCursor *cursor);

/* Counters.  Who reads blocks of parts itself adds those and the samples. */
extern MsCursorStats *ms_cursor_stats(MsCursor *cursor);

#endif							/* MS_CURSOR_H */
