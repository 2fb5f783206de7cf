/*-------------------------------------------------------------------------
 *
 * chunk_copy.c
 *	  Copying of a chunk only what a reader is going to look at.
 *
 * Who reads one column of ten, or the last hour of four, needs a small part of
 * a chunk's bytes.  They are copied to where they are in the chunk, so that what is left out
 * leaves holes: the copy is read as any chunk is, as long as nobody
 * decodes what was not asked for.
 *
 * The chunk must be well-formed; if it is seen not to be, all of it is copied, for its reader
 * to find out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_layout.h"

/*
 * With smaller blocks the chunk is copied whole: to go from header to header in
 * cold memory waits longer than reading all of it in order takes.
 */
#define MIN_BLOCK	3072

/* Copies [from, to) of the chunk to the same place in dst. */
static inline void
copy_part(const MsChunk *c, uint8 *dst, const uint8 *from, const uint8 *to)
{
	memcpy(dst + (from - c->bytes), from, to - from);
}

/* Copies the times and the needed columns of a block; false if its directory is malformed. */
static bool
copy_streams(const MsChunk *c, const MsBlockInfo *b, const bool *need, int nneed, uint8 *dst)
{
	int			width = block_width(b->head);
	int			streams = block_streams(b->head, c->ncols);
	int			times = streams - c->ncols;
	const uint8 *p = b->streams;
	const uint8 *from = p;		/* not yet copied, up to p */

	for (int i = 0; i < streams; i++)
	{
		Size		avail = (Size) (b->end - p);
		Size		len = i < streams - 1 ?
		(Size) ms_load_bytes(b->dir + (Size) i * width, width) : avail;
		bool		wanted = i < times || (i - times < nneed && need[i - times]);

		if (len > avail)
			return false;
		if (!wanted)
		{
			copy_part(c, dst, from, p);
			from = p + len;
		}
		p += len;
	}
	copy_part(c, dst, from, p);
	return true;
}

/*
 * Copy of a chunk of nrows rows what is needed to read the columns of `need`
 * (others than the first nneed are not) in blocks that have times in [lo, hi),
 * and all block headers.  dst has room for len bytes.
 */
void
ms_chunk_copy(uint8 *dst, const uint8 *bytes, Size len, int nrows,
			  const bool *need, int nneed, int64 lo, int64 hi)
{
	MsChunk		c;
	MsBlockInfo b;
	const uint8 *copied = bytes;

	if (len / MIN_BLOCK * MS_BLOCK_ROWS < (Size) nrows || !ms_chunk_open_header(&c, bytes, len) ||
		!ms_chunk_first_stored(&c, &b))
	{
		memcpy(dst, bytes, len);
		return;
	}
	for (;;)
	{
		copy_part(&c, dst, copied, b.streams);
		copied = b.end;
		if (b.last >= lo && b.first < hi && !copy_streams(&c, &b, need, nneed, dst))
			break;
		if (b.head & BLOCK_LAST)
			return;
		if (!ms_chunk_next_stored(&c, &b))
			break;
	}
	memcpy(dst, bytes, len);
}
