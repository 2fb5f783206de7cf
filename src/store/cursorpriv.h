/*-------------------------------------------------------------------------
 *
 * cursorpriv.h
 *	  What the files of the cursor share; private to cursor.c and cursorcopy.c.
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

/* One of several series that were copied together. */
typedef struct MsGroupSeries
{
	uint32		sid;
	uint32		generation;
	int			first_fragment;
	int			nfragments;
	int			first_label;
	int			nlabels;
	int64		resume;			/* as the cursor's */
	bool		exhausted;
} MsGroupSeries;

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
	MsMissing  *missing;		/* [nvalues] */

	/* the series */
	uint32		sid;
	uint32		generation;		/* of the series; 0: there is none */
	int64		resume;			/* windows that end above this are to come;
								 * backward, those that start below it */
	int			ahead;			/* backward: how many to copy at a time */
	bool		exhausted;		/* no windows are to come */

	/* what was copied */
	char	   *bytes;
	Size		bytes_used;
	Size		bytes_cap;
	MsFragment *fragments;
	int			nfragments;
	int			fragments_cap;
	int			next_fragment;
	MsPieceBytes *pieces;		/* data: an offset into bytes until next() */
	int			npieces;
	int			pieces_cap;

	/* series copied together, whose ids are in [group_from, group_to) */
	uint32		group_limit;	/* all series below it are sought in order; 0:
								 * not known */
	uint32		group_size;		/* of the next group */
	uint32		group_from;
	uint32		group_to;
	MsGroupSeries *group;		/* by id */
	int			ngroup;
	int			next_group;
	MsLabelValue *group_labels;
	int			ngroup_labels;
	int			group_labels_cap;

	/* labels */
	MsLabelValue *labels;
	int			labels_cap;
	char	   *label_bytes;
	Size		label_bytes_cap;

	MsRowBuf	base;
	MsRowBuf	late;
	MsRowBuf	scratch;
	MsCodecWork *work;
	MsCursorStats stats;
};

/* Copies more windows of the series; false if there are no more.  Takes table->lock shared. */
extern bool ms_cursor_copy_more(MsCursor *cursor);

/* What was copied of several series is of no use any more: times, direction or what is wanted is another. */
extern void ms_cursor_forget_group(MsCursor *cursor);

#endif							/* MS_CURSORPRIV_H */
