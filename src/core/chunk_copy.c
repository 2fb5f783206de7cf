/*-------------------------------------------------------------------------
 *
 * chunk_copy.c
 *	  Copying of a chunk only what a reader is going to look at.
 *
 * Who reads one column of ten, or the last hour of four, needs a small part of
 * a chunk's bytes.  They are copied to where they are in the chunk, so that
 * what is left out leaves holes: the copy is read as any chunk is, as long as
 * nobody decodes what was not asked for.
 *
 * The chunk must be well-formed; if it is seen not to be, all of it is copied,
 * for its reader to find out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_layout.h"

/*
 * The first and the last stored block that have times in [lo, hi); false if
 * there is none, or a block is malformed.
 */
static bool
find_blocks(const MsChunk *c, int64 lo, int64 hi, MsBlockInfo *first, MsBlockInfo *last)
{
	MsBlockInfo b;
	bool		found = false;

	for (bool more = ms_chunk_first_stored(c, &b); more && b.first < hi;
		 more = ms_chunk_next_stored(c, &b))
	{
		if (b.last < lo)
			continue;
		if (!found)
			*first = b;
		*last = b;
		found = true;
	}
	return found;
}

/*
 * Copy of a chunk what is needed to read the columns of `need` (others than
 * the first nneed are not) in blocks that have times in [lo, hi), and all
 * block headers and times.  dst has room for len bytes.
 */
void
ms_chunk_copy(uint8 *dst, const uint8 *bytes, Size len,
			  const bool *need, int nneed, int64 lo, int64 hi)
{
	MsChunk		c;
	MsBlockInfo first;
	MsBlockInfo last;
	bool		whole;
	Size		from = 0;		/* wanted and not yet copied: [from, to) */
	Size		to;

	if (!ms_chunk_open_header(&c, bytes, len))
	{
		memcpy(dst, bytes, len);
		return;
	}
	whole = lo <= c.tmin && hi == PG_INT64_MAX;
	if (!whole && !find_blocks(&c, lo, hi, &first, &last))
		nneed = 0;
	to = (Size) (c.streams - bytes);
	for (int col = 0; col < Min(nneed, c.ncols); col++)
	{
		Size		begin;
		Size		end;

		if (!need[col])
			continue;
		begin = chunk_position(&c, whole ? c.begins : first.begins, col);
		end = chunk_stream_end(&c, whole ? NULL : &last, col);
		if (begin < to || end < begin || end > len)
		{
			from = 0;
			to = len;
			break;
		}
		if (begin > to)
		{
			memcpy(dst + from, bytes + from, to - from);
			from = begin;
		}
		to = end;
	}
	memcpy(dst + from, bytes + from, to - from);
}
