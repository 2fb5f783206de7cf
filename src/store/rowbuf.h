/*-------------------------------------------------------------------------
 *
 * rowbuf.h
 *	  Decoded rows of one series: growing, merging, deleting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_ROWBUF_H
#define MS_ROWBUF_H

#include "core/chunk.h"
#include "core/totals.h"
#include "store/run.h"

/* What stands for a value whose column the stored rows do not have. */
typedef struct MsMissing
{
	bool		isnull;
	double		value;
} MsMissing;

/*
 * Columns that are not needed have no arrays.  A column's nulls array exists
 * once any row ever had a null; has_nulls tells about the rows now held.
 */
typedef struct MsRowBuf
{
	MemoryContext cxt;			/* borrowed; the arrays live there */
	int			ncols;
	int			nrows;
	int			cap;
	const bool *need;			/* borrowed, [ncols]; NULL: all */
	const MsMissing *missing;	/* borrowed, [ncols] */
	int64	   *times;
	double	  **values;
	bool	  **nulls;
	bool	   *has_nulls;
	bool	  **view_nulls;		/* for ms_rowbuf_view */
} MsRowBuf;

typedef struct MsBlockCounts
{
	uint64		blocks_read;
	uint64		blocks_skipped;
	uint64		rows_skipped;
} MsBlockCounts;

extern void ms_rowbuf_init(MsRowBuf *buf, MemoryContext cxt, int ncols,
						   const bool *need, const MsMissing *missing);
extern void ms_rowbuf_reset(MsRowBuf *buf);

/* Appends the chunk's rows with lo <= time < hi; false if the bytes are malformed. */
extern bool ms_rowbuf_add_chunk(MsRowBuf *buf, const uint8 *bytes, Size len,
								int64 lo, int64 hi, MsCodecWork *work,
								MsBlockCounts *counts);

/* Appends the last row that the totals of a chunk with as many columns know; false if they are malformed. */
extern bool ms_rowbuf_add_last(MsRowBuf *buf, const MsTotals *totals);

/* Sorts by time; of rows with equal times the last one stays. */
extern void ms_rowbuf_sort(MsRowBuf *buf, MsRowBuf *scratch);

/* Merges sorted rows of `late` into sorted `base`; at equal times late wins. Empties late. */
extern void ms_rowbuf_merge(MsRowBuf *base, MsRowBuf *late, MsRowBuf *scratch);

/* A piece's bytes, wherever they lie, and its run's place among others. */
typedef struct MsPieceBytes
{
	uint64		order;
	uint64		seq;
	MsPieceKind kind;
	uint32		len;
	const uint8 *data;			/* borrowed */
} MsPieceBytes;

/* Sorts by (order, seq). */
extern void ms_pieces_sort(MsPieceBytes *pieces, int n);

/* Applies pieces, sorted by order, to the rows of base; false if bytes are malformed. */
extern bool ms_rowbuf_apply(MsRowBuf *base, MsRowBuf *late, MsRowBuf *scratch,
							const MsPieceBytes *pieces, int n, int64 lo, int64 hi,
							MsCodecWork *work, MsBlockCounts *counts);

/* Removes rows with from <= time < to of sorted rows. */
extern void ms_rowbuf_delete(MsRowBuf *buf, int64 from, int64 to);

/* The rows as the codecs and readers take them; borrowed from the buffer. */
extern void ms_rowbuf_view(MsRowBuf *buf, MsRows *rows);

/* Which of n ascending times is the first that is not below t; n if all are. */
extern int	ms_first_time(const int64 *times, int n, int64 t);

#endif							/* MS_ROWBUF_H */
