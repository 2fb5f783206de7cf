/*-------------------------------------------------------------------------
 *
 * chunk_write.c
 *	  Making chunks: from rows, from a chunk and rows, from two chunks.
 *
 * All three are one thing.  A chunk is written from up to three sources in
 * order of time: a chunk's blocks, rows, another chunk's blocks.  Blocks at
 * either end that are to stay as they are get adopted; what lies between is
 * decoded and encoded into blocks again (chunk_blocks.c).
 *
 * Which blocks that is decides what growing a chunk costs.  Sealing takes
 * all from the first block on that is not complete.  Otherwise the last
 * blocks are taken only while they have no more rows than what follows them:
 * then block sizes go like the digits of a binary counter, and a row is
 * encoded again only when its block at least doubles, not every time a few
 * rows come.  Fewer than MS_TAIL_ROWS rows at the end are encoded quickly.
 *
 * The sources may be damaged chunks; then the result is 0.  Rows are
 * trusted.  dst must not overlap the sources.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_blocks.h"

/* blocks at a chunk's end that appending looks at */
#define MAX_TRAILING	16

/*
 * A size that no encoding of so many rows exceeds.
 */
Size
ms_chunk_bound(int nrows, int ncols)
{
	Size		blocks = (Size) nrows / MS_BLOCK_ROWS + 3;
	Size		streams = (Size) ncols + 1;

	return CHUNK_HEADER_MAX + (Size) nrows * 8 * streams +
		blocks * (MS_STAGED_SIZE(streams) + streams * MS_VALUE_BOUND(0));
}

/* What taking over blocks as they are needs beyond their chunk's bytes: columns it lacks may be filled in. */
static Size
adopted_room(int nblocks, int ncols)
{
	return (Size) nblocks * (MS_STAGED_SIZE(ncols) + 5 * (Size) ncols);
}

/*
 * Find which of a chunk's last blocks to encode again when "nrows" rows
 * follow.  *block gets the first of them, or, if there are none, anything.
 * Returns the number of their rows.
 */
static int
find_trailing(const MsChunk *c, int nrows, int flags, MsBlockInfo *block)
{
	MsBlockInfo ring[MAX_TRAILING];
	MsBlockInfo b;
	int			seen = 0;
	int			taken = 0;
	bool		more;

	for (more = ms_chunk_first_stored(c, &b); more;
		 more = ms_chunk_next_stored(c, &b))
	{
		if ((flags & MS_CHUNK_SEALED) && !block_is_complete(&b))
		{
			*block = b;
			return c->nrows - b.row;
		}
		ring[seen++ % MAX_TRAILING] = b;
	}
	if (flags & MS_CHUNK_SEALED)
		return 0;

	for (int i = seen - 1; i >= 0 && i >= seen - MAX_TRAILING; i--)
	{
		const MsBlockInfo *last = &ring[i % MAX_TRAILING];
		int			rows = last->stored_nrows;

		if (block_is_complete(last) ||
			(rows >= MS_TAIL_ROWS && rows > nrows + taken) ||
			taken + rows > MS_BLOCK_ROWS + MS_TAIL_ROWS)
			break;
		*block = *last;
		taken += rows;
	}
	return taken;
}

/*
 * Find how many of a chunk's first blocks to encode again when something
 * incomplete comes before: when sealing all, else those before the first
 * complete one.  *block gets the first block to be adopted.  Returns the
 * number of rows.
 */
static int
find_leading(const MsChunk *c, int flags, MsBlockInfo *block)
{
	bool		more;

	if (flags & MS_CHUNK_SEALED)
		return c->nrows;
	for (more = ms_chunk_first_stored(c, block); more;
		 more = ms_chunk_next_stored(c, block))
	{
		if (block_is_complete(block))
			return block->row;
	}
	return c->nrows;
}

/*
 * Encode rows [first, first + n), at least one, into dst, which has
 * ms_chunk_bound(n, rows->ncols) bytes.  "kinds" has rows->ncols elements or
 * is NULL; it only matters for size.  Returns the chunk's size, or 0 if n is
 * not 1 to MS_CHUNK_MAX_ROWS, there are more than MS_MAX_VALUES columns, or
 * two times lie further apart than an int64 can say.
 */
Size
ms_chunk_encode(const MsRows *rows, int first, int n, const uint8 *kinds,
				int flags, uint8 *dst, MsCodecWork *work)
{
	MsBlockWriter w;
	MsRowSource src;

	if (n < 1 || n > MS_CHUNK_MAX_ROWS || rows->ncols > MS_MAX_VALUES)
		return 0;
	ms_blocks_begin(&w, dst, rows->ncols, rows->times[first], kinds, flags, work);
	ms_source_rows(&src, rows, first, n);
	if (!ms_blocks_encode(&w, &src, 1, true))
		return 0;
	return ms_blocks_finish(&w);
}

/*
 * A size that no result of ms_chunk_append() with so many rows and columns
 * exceeds; 0 if the chunk is malformed.
 */
Size
ms_chunk_append_bound(const uint8 *chunk, Size len, int nrows, int ncols,
					  int flags)
{
	MsChunk		c;
	Size		adopted;

	if (!ms_chunk_open(&c, chunk, len) ||
		nrows > MS_CHUNK_MAX_ROWS - c.nrows)
		return 0;
	adopted = len + adopted_room(c.nblocks, Max(ncols, c.ncols));
	if ((flags & MS_CHUNK_SEALED) || c.ncols != ncols)
		return adopted + ms_chunk_bound(nrows + c.nrows, Max(ncols, c.ncols));
	return adopted + ms_chunk_bound(nrows + MS_BLOCK_ROWS + MS_TAIL_ROWS, ncols);
}

/*
 * Append rows, all later than the chunk's last time, giving a new chunk in
 * dst, which has ms_chunk_append_bound() bytes and does not overlap the old
 * one.  "rows" may be NULL or have no rows, to seal a chunk or make it an
 * open one.  The result has as many columns as the one of the two that has
 * more; what either does not have is null.  "kinds" has as many elements, or
 * is NULL.  Returns the size of the result, or 0 if the chunk is malformed,
 * the rows are not all later, or there would be too many.
 */
Size
ms_chunk_append(const uint8 *chunk, Size len, const MsRows *rows,
				const uint8 *kinds, int flags, uint8 *dst, MsCodecWork *work)
{
	MsChunk		c;
	MsBlockInfo from;
	MsBlockInfo b;
	MsRowSource sources[2];
	int			nsources = 0;
	int			nrows = rows != NULL ? rows->nrows : 0;
	int			ncols;
	int			taken;
	MsBlockWriter w;

	if (!ms_chunk_open(&c, chunk, len) || nrows > MS_CHUNK_MAX_ROWS - c.nrows)
		return 0;
	ncols = nrows > 0 ? Max(rows->ncols, c.ncols) : c.ncols;
	if (ncols > MS_MAX_VALUES || (nrows > 0 && rows->times[0] <= c.tmax))
		return 0;

	ms_blocks_begin(&w, dst, ncols, c.tmin, kinds, flags, work);
	taken = find_trailing(&c, nrows, flags, &from);
	(void) ms_chunk_first_stored(&c, &b);
	if (!ms_blocks_adopt(&w, &c, &b, c.nrows - taken))
		return 0;
	if (taken > 0)
		ms_source_chunk(&sources[nsources++], &c, &from, taken);
	if (nrows > 0)
		ms_source_rows(&sources[nsources++], rows, 0, nrows);
	if (!ms_blocks_encode(&w, sources, nsources, true))
		return 0;
	return ms_blocks_finish(&w);
}

/*
 * A size that no result of ms_chunk_concat() exceeds; 0 if a chunk is
 * malformed.
 */
Size
ms_chunk_concat_bound(const uint8 *a, Size alen, const uint8 *b, Size blen,
					  int flags)
{
	MsChunk		ca;
	MsChunk		cb;

	(void) flags;
	if (!ms_chunk_open(&ca, a, alen) || !ms_chunk_open(&cb, b, blen))
		return 0;
	return alen + blen +
		ms_chunk_bound(ca.nrows + cb.nrows, Max(ca.ncols, cb.ncols)) +
		adopted_room(ca.nblocks + cb.nblocks, Max(ca.ncols, cb.ncols));
}

/*
 * Make one chunk of two, b beginning after a's end, in dst, which has
 * ms_chunk_concat_bound() bytes and overlaps neither.  Columns and "kinds" as
 * for ms_chunk_append().  Returns the size of the result, or 0 if a chunk is
 * malformed, b does not come after a, or there would be too many rows.
 */
Size
ms_chunk_concat(const uint8 *a, Size alen, const uint8 *b, Size blen,
				const uint8 *kinds, int flags, uint8 *dst, MsCodecWork *work)
{
	MsChunk		ca;
	MsChunk		cb;
	MsBlockInfo from;
	MsBlockInfo rest;
	MsBlockInfo first;
	MsRowSource sources[2];
	int			nsources = 0;
	int			taken;
	int			leading;
	MsBlockWriter w;

	if (!ms_chunk_open(&ca, a, alen) || !ms_chunk_open(&cb, b, blen) ||
		cb.tmin <= ca.tmax || ca.nrows + cb.nrows > MS_CHUNK_MAX_ROWS)
		return 0;

	ms_blocks_begin(&w, dst, Max(ca.ncols, cb.ncols), ca.tmin, kinds, flags, work);
	leading = find_leading(&cb, flags, &rest);
	taken = find_trailing(&ca, leading, flags, &from);
	if (taken == 0 && (flags & MS_CHUNK_SEALED))
	{
		/* a's blocks are complete: b's may stay up to the first that is not */
		int			tail = find_trailing(&cb, 0, flags, &from);

		(void) ms_chunk_first_stored(&ca, &first);
		(void) ms_chunk_first_stored(&cb, &rest);
		if (!ms_blocks_adopt(&w, &ca, &first, ca.nrows) ||
			!ms_blocks_adopt(&w, &cb, &rest, cb.nrows - tail))
			return 0;
		if (tail > 0)
			ms_source_chunk(&sources[nsources++], &cb, &from, tail);
		if (!ms_blocks_encode(&w, sources, nsources, true))
			return 0;
		return ms_blocks_finish(&w);
	}

	(void) ms_chunk_first_stored(&ca, &first);
	if (!ms_blocks_adopt(&w, &ca, &first, ca.nrows - taken))
		return 0;
	if (taken > 0)
		ms_source_chunk(&sources[nsources++], &ca, &from, taken);
	if (leading > 0)
	{
		(void) ms_chunk_first_stored(&cb, &first);
		ms_source_chunk(&sources[nsources++], &cb, &first, leading);
	}
	if (!ms_blocks_encode(&w, sources, nsources, leading == cb.nrows) ||
		(leading < cb.nrows && !ms_blocks_adopt(&w, &cb, &rest, cb.nrows)))
		return 0;
	return ms_blocks_finish(&w);
}
