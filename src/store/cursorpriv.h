/*-------------------------------------------------------------------------
 *
 * cursorpriv.h
 *	  What the files of the cursor share; private to cursor.c, cursorcopy.c and cursorgroup.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CURSORPRIV_H
#define MS_CURSORPRIV_H

#include "store/cursor.h"
#include "store/rowbuf.h"

#define MS_CURSOR_COPY	(256 * 1024)	/* bytes copied under one lock, more
										 * only for a single window */

/* The bytes of one (series, window), in the cursor's buffer. */
typedef struct MsFragment
{
	int64		start;			/* the window's */
	int64		end;
	Size		chunk_at;
	uint32		chunk_len;		/* 0: no chunk */
	bool		total;			/* its totals instead */
	int			first_piece;
	int			npieces;
} MsFragment;

typedef struct MsCursorGroup MsCursorGroup;

struct MsCursor
{
	MemoryContext cxt;			/* holds all of this */
	MsTable    *table;			/* borrowed */
	Snapshot	snapshot;		/* borrowed */
	int64		lo;
	int64		hi;
	bool		count_skipped;
	bool		backward;
	bool		lazy;			/* leave it to the reader to walk over blocks */
	MsTotalsDo	totals_do;		/* NULL: no */
	void	   *totals_arg;
	bool		last;			/* of chunks only the last row... */
	bool		whole;			/* ...but of this series all */
	int			nvalues;
	bool	   *need;			/* [nvalues] */
	MsMissing  *missing;		/* [nvalues]; NULL: nobody has asked yet */

	/* the series */
	uint32		sid;
	uint32		generation;		/* of the series; 0: there is none */
	int64		resume;			/* windows that end above this are to come;
								 * backward, those that start below it */
	int			ahead;			/* backward: how many to copy at a time */
	bool		exhausted;		/* no windows are to come */

	/* what was copied */
	char	   *bytes;			/* owned; in TopMemoryContext */
	MemoryContextCallback release;	/* gives it back */
	Size		bytes_used;
	Size		bytes_cap;
	MsFragment *fragments;
	int			nfragments;
	int			fragments_cap;
	int			next_fragment;
	MsPieceBytes *pieces;		/* data: an offset into bytes until settled */
	int			npieces;
	int			pieces_cap;
	MsCursorGroup *group;		/* series copied together; NULL: none yet */

	/* labels */
	MsLabelValue *labels;
	int			nlabels;
	int			labels_cap;
	char	   *label_bytes;
	Size		label_bytes_used;
	Size		label_bytes_cap;

	/* from the first decoding on */
	MsRowBuf	base;
	MsRowBuf	late;
	MsRowBuf	scratch;

	MsCodecWork *work;
	MsCursorStats stats;
};

/* The series' generation; 0 if there is no such series.  Caller holds table->lock. */
static inline uint32
ms_cursor_generation_locked(const MsCursor *cursor, uint32 sid)
{
	uint32		generation = ms_series_generation(ms_store->arena, &cursor->table->series, sid);

	return generation % 2 == 1 ? generation : 0;
}

/* ---- cursorcopy.c ---- */

/*
 * Frees the buffer of a cursor, or keeps it for the next one: else malloc would return it to the operating
 * system, which would clear its pages again for each query.  Called when the cursor's memory is freed, however that comes.
 */
extern void ms_cursor_release_bytes(void *cursor);

/* Copies more windows of the series; false if there are no more.  Takes table->lock shared. */
extern bool ms_cursor_copy_more(MsCursor *cursor);

/*
 * In this order: forgets what was copied; stands on a series (generation 0: there is none); copies some of its windows behind
 * what was copied, which may be repeated; once nothing is added, makes offsets pointers.
 */
extern void ms_cursor_clear_copies(MsCursor *cursor);
extern void ms_cursor_begin_series(MsCursor *cursor, uint32 sid, uint32 generation);
extern void ms_cursor_copy_windows_locked(MsCursor *cursor);
extern void ms_cursor_settle_copies(MsCursor *cursor);

/* As ms_cursor_touch. */
extern void ms_cursor_touch_locked(const MsCursor *cursor, const uint32 *sids, int n);

/* ---- cursorgroup.c ---- */

/* Nothing is expected any more, and nothing copied before it is sought: times, direction or what is wanted is another. */
extern void ms_cursor_forget_group(MsCursor *cursor);

/* What was copied before it is sought is about to be overwritten. */
extern void ms_cursor_lose_group(MsCursor *cursor);

/* If the series was copied already, stands on it and returns true; *found: there is such a series. */
extern bool ms_cursor_seek_in_group(MsCursor *cursor, uint32 sid, bool *found);

#endif							/* MS_CURSORPRIV_H */
