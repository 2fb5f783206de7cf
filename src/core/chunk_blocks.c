/*-------------------------------------------------------------------------
 *
 * chunk_blocks.c
 *	  Writing a chunk block by block.
 *
 * The layout is in chunk_layout.h; which blocks are written is decided in
 * chunk_write.c.
 *
 * Blocks are written in one of two ways.  A block of another chunk that is to
 * stay as it is gets adopted: its streams are copied, and its header is
 * written anew, since that says how it follows the block before and whether
 * it is the last.  Other rows are gathered from their sources, which may be
 * blocks of chunks or an MsRows, and encoded.
 *
 * A block is first written with room for the longest header before it, and
 * kept back until the next one is there: only then it is known whether it is
 * the last, and whether the next one only makes its run longer.  Then it
 * moves down to its place.  So up to two blocks and their header's room are
 * above what is finished; ms_chunk_bound() has that in it.
 *
 * The sources may be damaged chunks; then what is called here gives false.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_blocks.h"

/* Write the chunk's header. */
void
ms_blocks_begin(MsBlockWriter *w, uint8 *dst, int ncols, int64 tmin, const uint8 *kinds,
				int flags, MsCodecWork *work)
{
	int			unit = MS_TIME_UNITS - 1;
	uint64		time = tmin < 0 ? 0 - (uint64) tmin : (uint64) tmin;
	int			nbytes;

	memset(w, 0, sizeof(*w));
	w->dst = dst;
	w->ncols = ncols;
	w->kinds = kinds;
	w->flags = flags;
	w->first = true;
	w->work = work;

	while (time % (uint64) ms_time_unit[unit] != 0)
		unit--;
	time /= (uint64) ms_time_unit[unit];
	nbytes = Max((ms_bit_width(time) + 7) / 8, 1);

	w->p = dst;
	*w->p++ = (uint8) ((flags & MS_CHUNK_SEALED ? CHUNK_SEALED : 0) |
					   unit << CHUNK_UNIT_SHIFT |
					   (ncols == 1 ? CHUNK_ONE_COLUMN : 0) |
					   (nbytes - 1) << CHUNK_BYTES_SHIFT |
					   (tmin < 0 ? CHUNK_NEGATIVE : 0));
	if (ncols != 1)
		w->p = ms_put_varint(w->p, (uint64) ncols);
	ms_store_bytes(w->p, time, nbytes);
	w->p += nbytes;
}

/*
 * Where a block's payload may be written: behind the pending one, wherever
 * that is now.
 */
static uint8 *
free_space(const MsBlockWriter *w)
{
	return w->p + BLOCK_HEADER_MAX + (w->has_pending ? w->pending.len : 0);
}

/* The gap before a block, as it is stored. */
static uint64
gap_code(const MsBlockWriter *w, const MsPendingBlock *b)
{
	uint64		gap = (uint64) b->first - (uint64) w->last;
	uint64		unit = (uint64) ms_time_unit[block_unit(b->head)];

	if (b->nrows > 1 && gap == b->step * unit)
		return 0;
	if (gap % unit == 0)
		return gap / unit * 2;
	return gap * 2 + 1;
}

/* Put the pending block at its place. */
static void
place_pending(MsBlockWriter *w, bool is_last)
{
	const MsPendingBlock *b = &w->pending;
	uint8		header[BLOCK_HEADER_MAX];
	uint8	   *h = header;
	uint8		head = b->head | (is_last ? BLOCK_LAST : 0);
	int			header_len;

	if (!(head & BLOCK_RUN) && b->nrows == MS_BLOCK_ROWS)
		head |= BLOCK_FULL;
	else
		h = ms_put_varint(h, (uint64) b->nrows - 1);
	if (!(head & (BLOCK_RUN | BLOCK_FULL)))
	{
		h = header;
		*h++ = (uint8) (b->nrows - 1);
	}
	if (!w->first)
		h = ms_put_varint(h, gap_code(w, b));
	if (b->nrows > 1)
		h = ms_put_varint(h, b->step);
	if (head & BLOCK_IRREGULAR)
		h = ms_put_varint(h, ms_zigzag((uint64) b->off));
	header_len = (int) (h - header);

	*w->p++ = head;
	if (!is_last)
		w->p = ms_put_varint(w->p, header_len + b->len);
	memcpy(w->p, header, header_len);
	w->p += header_len;
	memmove(w->p, b->payload, b->len);
	w->p += b->len;
	w->last = b->last;
	w->first = false;
	w->has_pending = false;
}

/* If the block only makes the pending run longer, do that. */
static bool
extend_run(MsBlockWriter *w, const MsPendingBlock *b)
{
	MsPendingBlock *a = &w->pending;
	uint64		gap = (uint64) b->first - (uint64) a->last;
	uint64		a_step = a->step * (uint64) ms_time_unit[block_unit(a->head)];
	uint64		b_step = b->step * (uint64) ms_time_unit[block_unit(b->head)];
	int64		times[2];
	int			unit;

	if (!(a->head & BLOCK_RUN) || !(b->head & BLOCK_RUN) ||
		(a->nrows > 1 && a_step != gap) || (b->nrows > 1 && b_step != gap) ||
		gap > PG_INT64_MAX || a->nrows + b->nrows > MS_CHUNK_MAX_ROWS ||
		block_width(a->head) != block_width(b->head) ||
		a->len != b->len || memcmp(a->payload, b->payload, a->len) != 0)
		return false;

	times[0] = a->last;
	times[1] = b->first;
	unit = ms_time_find_unit(times, 2);
	a->step = gap / (uint64) ms_time_unit[unit];
	a->head = (uint8) ((a->head & ~(3 << BLOCK_UNIT_SHIFT)) |
					   unit << BLOCK_UNIT_SHIFT);
	a->nrows += b->nrows;
	a->last = b->last;
	return true;
}

/*
 * A block's payload is complete, at or above free_space() or in a source:
 * keep it back, and put the one before at its place.
 */
static bool
add_block(MsBlockWriter *w, const MsPendingBlock *b)
{
	if (w->has_pending)
	{
		if ((uint64) b->first - (uint64) w->pending.last > PG_INT64_MAX ||
			b->first <= w->pending.last)
			return false;
		if (extend_run(w, b))
			return true;
		place_pending(w, false);
	}
	w->pending = *b;
	w->has_pending = true;
	if (!b->borrowed)
	{
		/* move it down, so that gaps do not add up */
		uint8	   *to = w->p + BLOCK_HEADER_MAX;

		memmove(to, b->payload, b->len);
		w->pending.payload = to;
	}
	return true;
}

/*
 * Streams have been written up to "end"; their lengths stand as four-byte
 * numbers in the "entries" fields before "streams".  Make them as narrow as
 * they may be, directly before the streams.  Returns the block's width flags;
 * *payload gets the directory's start.
 */
static uint8
pack_directory(uint8 *streams, int entries, uint8 **payload)
{
	uint8	   *wide = streams - 4 * (Size) entries;
	uint64		most = 0;
	int			width;
	int			code;

	*payload = streams;
	if (entries == 0)
		return 0;
	for (int i = 0; i < entries; i++)
		most |= ms_load_bytes(wide + 4 * (Size) i, 4);
	code = most < 256 ? 1 : most < 65536 ? 2 : 3;
	width = code == 3 ? 4 : code;
	*payload = streams - (Size) width * entries;
	for (int i = entries - 1; i >= 0; i--)
		ms_store_bytes(*payload + (Size) i * width,
					   ms_load_bytes(wide + 4 * (Size) i, 4), width);
	return (uint8) (code << BLOCK_WIDTH_SHIFT);
}

/* Take over a block as it is. */
static bool
adopt_block(MsBlockWriter *w, const MsChunk *c, const MsBlockInfo *b)
{
	MsPendingBlock n;
	uint64		unit = (uint64) ms_time_unit[block_unit(b->head)];
	uint64		span = (uint64) b->last - (uint64) b->first;

	memset(&n, 0, sizeof(n));
	n.head = b->head & ~(BLOCK_LAST | BLOCK_FULL);
	n.nrows = b->stored_nrows;
	n.step = (uint64) b->step;
	n.off = (int64) (span / unit - n.step * (uint64) (n.nrows - 1));
	n.first = b->first;
	n.last = b->last;
	n.payload = b->dir;
	n.len = (Size) (b->end - b->dir);
	n.borrowed = true;

	if (c->ncols < w->ncols)
	{
		/* the columns that it does not have are null */
		int			entries = block_entries(b->head, w->ncols);
		int			streams = block_streams(b->head, c->ncols);
		uint8	   *start = free_space(w) + 4 * (Size) entries;
		uint8	   *p = start;
		uint8	   *payload;

		for (int i = 0; i < block_streams(b->head, w->ncols); i++)
		{
			const uint8 *from;
			Size		len = 0;

			if (i < streams)
			{
				from = ms_chunk_stream(c, b, i, &len);
				if (from == NULL)
					return false;
				memcpy(p, from, len);
			}
			else
				len = ms_value_encode(NULL, NULL, MS_BLOCK_ROWS, MS_FLOAT8,
									  false, p, &w->work->value);
			p += len;
			if (i < entries)
				ms_store_bytes(start + 4 * ((Size) i - entries), len, 4);
		}
		n.head &= ~(3 << BLOCK_WIDTH_SHIFT);
		n.head |= pack_directory(start, entries, &payload);
		n.payload = payload;
		n.len = (Size) (p - payload);
		n.borrowed = false;
	}
	return add_block(w, &n);
}

/* Adopt blocks from *b on that begin before row "end". */
bool
ms_blocks_adopt(MsBlockWriter *w, const MsChunk *c, MsBlockInfo *b, int end)
{
	while (b->row < end)
	{
		if (!adopt_block(w, c, b))
			return false;
		if (!ms_chunk_next_stored(c, b))
			break;
	}
	return true;
}

/* Place the last block; returns the chunk's size. */
Size
ms_blocks_finish(MsBlockWriter *w)
{
	if (!w->has_pending)
		return 0;
	place_pending(w, true);
	return (Size) (w->p - w->dst);
}

/* ---- rows that are encoded ---- */

/* A source that is the rows of a chunk from a stored block on. */
void
ms_source_chunk(MsRowSource *src, const MsChunk *c, const MsBlockInfo *b, int nrows)
{
	memset(src, 0, sizeof(*src));
	src->chunk = c;
	src->row = b->row;
	src->nrows = nrows;
	/* as the block iterator shows it */
	(void) ms_chunk_first_block(c, &src->block);
	while (src->block.row < b->row && ms_chunk_next_block(c, &src->block))
		 /* find it */ ;
}

void
ms_source_rows(MsRowSource *src, const MsRows *rows, int first, int n)
{
	memset(src, 0, sizeof(*src));
	src->rows = rows;
	src->row = first;
	src->nrows = n;
}

/*
 * Gather rows [start, start + n) of a source, 1 to MS_BLOCK_ROWS: the times
 * if col is -1, else a column.  *has_nulls is set if there are nulls; rows
 * before it in "nulls" are the caller's.
 */
static bool
gather_blocks(MsRowSource *src, int start, int n, int col, int64 *times,
			  double *values, bool *nulls, bool *has_nulls, MsCodecWork *work)
{
	MsBlockInfo b = src->block;
	int			row = src->row + start;
	int			done = 0;

	while (done < n)
	{
		int			skip;
		int			take;
		bool		some = false;

		while (b.row + b.nrows <= row)
		{
			if (!ms_chunk_next_block(src->chunk, &b))
				return false;
		}
		skip = row - b.row;
		take = Min(b.nrows - skip, n - done);
		if (col < 0)
		{
			if (!ms_chunk_block_times(src->chunk, &b, work->some_times))
				return false;
			memcpy(times + done, work->some_times + skip, sizeof(int64) * take);
		}
		else
		{
			if (!ms_chunk_block_values(src->chunk, &b, col, work->some_values,
									   work->some_nulls, &some, work))
				return false;
			memcpy(values + done, work->some_values + skip, sizeof(double) * take);
			if (some)
				memcpy(nulls + done, work->some_nulls + skip, take);
			else
				memset(nulls + done, false, take);
			*has_nulls |= some;
		}
		row += take;
		done += take;
	}
	return true;
}

/* Likewise from rows. */
static void
gather_rows(const MsRowSource *src, int start, int n, int col, int64 *times,
			double *values, bool *nulls, bool *has_nulls)
{
	const MsRows *rows = src->rows;
	int			row = src->row + start;
	const bool *in;

	if (col < 0)
	{
		memcpy(times, rows->times + row, sizeof(int64) * n);
		return;
	}
	if (col >= rows->ncols)
	{
		memset(nulls, true, n);
		memset(values, 0, sizeof(double) * n);
		*has_nulls = true;
		return;
	}
	memcpy(values, rows->values[col] + row, sizeof(double) * n);
	in = rows->nulls != NULL ? rows->nulls[col] : NULL;
	if (in != NULL)
	{
		memcpy(nulls, in + row, n);
		*has_nulls = true;
	}
	else
		memset(nulls, false, n);
}

/*
 * Gather rows [start, start + n) of the region into the work area.
 */
static bool
gather(MsRowSource *sources, int nsources, int start, int n, int col,
	   bool *has_nulls, MsCodecWork *work)
{
	int			done = 0;

	*has_nulls = false;
	for (int i = 0; i < nsources && done < n; i++)
	{
		MsRowSource *src = &sources[i];
		int			take;

		if (start >= src->nrows)
		{
			start -= src->nrows;
			continue;
		}
		take = Min(src->nrows - start, n - done);
		if (src->rows != NULL)
			gather_rows(src, start, take, col, work->times + done,
						work->values + done, work->nulls + done, has_nulls);
		else if (!gather_blocks(src, start, take, col, work->times + done,
								work->values + done, work->nulls + done,
								has_nulls, work))
			return false;
		start = 0;
		done += take;
	}
	Assert(done == n);
	return true;
}

/*
 * One column of the block at "start" into dst.  Where all rows come from an
 * MsRows, it is encoded without being copied first.
 */
static int
encode_column(MsBlockWriter *w, MsRowSource *sources, int nsources, int start, int n,
			  int col, bool quick, uint8 *dst)
{
	MsValueKind kind = w->kinds ? (MsValueKind) w->kinds[col] : MS_FLOAT8;
	MsCodecWork *work = w->work;
	bool		has_nulls;

	if (nsources == 1 && sources[0].rows != NULL &&
		col < sources[0].rows->ncols)
	{
		const MsRows *rows = sources[0].rows;
		int			row = sources[0].row + start;
		const bool *nulls = rows->nulls ? rows->nulls[col] : NULL;

		return ms_value_encode(rows->values[col] + row,
							   nulls ? nulls + row : NULL, n, kind, quick,
							   dst, &work->value);
	}
	if (!gather(sources, nsources, start, n, col, &has_nulls, work))
		return 0;
	return ms_value_encode(work->values, has_nulls ? work->nulls : NULL, n,
						   kind, quick, dst, &work->value);
}

/* Encode rows [start, start + n) of the region as a block. */
static bool
encode_block(MsBlockWriter *w, MsRowSource *sources, int nsources, int start, int n,
			 bool quick)
{
	MsCodecWork *work = w->work;
	MsTimeGrid	grid;
	MsPendingBlock b;

	/* the most entries it may have */
	uint8	   *streams = free_space(w) + 4 * (Size) w->ncols;
	uint8	   *p = streams;
	int			stream = 0;
	int			entries;
	uint8	   *payload;
	bool		ignored;
	bool		constant = true;
	int			len;

	if (!gather(sources, nsources, start, n, -1, &ignored, work))
		return false;
	len = ms_time_encode(work->times, n, &grid, p, &work->time);
	entries = w->ncols - (grid.regular ? 1 : 0);
	entries = Max(entries, 0);
	if (!grid.regular)
	{
		if (stream++ < entries)
			ms_store_bytes(streams - 4 * (Size) entries, (uint64) len, 4);
		p += len;
	}
	for (int col = 0; col < w->ncols; col++)
	{
		len = encode_column(w, sources, nsources, start, n, col, quick, p);
		if (len == 0)
			return false;
		constant &= ms_value_is_constant(p, len);
		if (stream < entries)
			ms_store_bytes(streams + 4 * ((Size) stream - entries), (uint64) len, 4);
		stream++;
		p += len;
	}

	memset(&b, 0, sizeof(b));
	b.head = (uint8) (grid.unit << BLOCK_UNIT_SHIFT |
					  (grid.regular ? 0 : BLOCK_IRREGULAR) |
					  (grid.regular && constant ? BLOCK_RUN : 0) |
					  pack_directory(streams, entries, &payload));
	b.payload = payload;
	b.len = (Size) (p - payload);
	b.nrows = n;
	b.step = grid.step;
	b.off = grid.off;
	b.first = work->times[0];
	b.last = work->times[n - 1];
	return add_block(w, &b);
}

/*
 * Encode the region.  "at_end" says that the chunk ends with it.
 */
bool
ms_blocks_encode(MsBlockWriter *w, MsRowSource *sources, int nsources, bool at_end)
{
	int			total = 0;

	for (int i = 0; i < nsources; i++)
		total += sources[i].nrows;
	for (int start = 0; start < total; start += MS_BLOCK_ROWS)
	{
		int			n = Min(total - start, MS_BLOCK_ROWS);
		bool		quick = at_end && n < MS_TAIL_ROWS &&
		!(w->flags & MS_CHUNK_SEALED);

		if (!encode_block(w, sources, nsources, start, n, quick))
			return false;
	}
	return true;
}
