/*-------------------------------------------------------------------------
 *
 * chunk_blocks.c
 *	  Writing a chunk from blocks of others and rows.
 *
 * The layout is in chunk_layout.h; what a chunk is written from is decided in
 * chunk_write.c, which names its parts in order of time: blocks of another
 * chunk that stay as they are, and rows to be encoded into blocks, which may
 * come from an MsRows or from blocks of chunks.
 *
 * Headers come first in a chunk, but only when all streams are there is it
 * known what is in them: whether a block is a run, where streams end, and how
 * many bytes such a position takes.  So a chunk is written in three steps.
 * Each part's blocks are staged when it is named: their times are known then.
 * The streams follow, column by column, behind what is staged.  At last runs
 * that only make the one before them longer are merged, headers are put at
 * their place, and the streams moved down behind them.  A header is never
 * longer than what is staged for it, so everything happens in dst;
 * ms_chunk_bound() has that in it.
 *
 * The sources may be damaged chunks; then what is called here gives false.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_blocks.h"

StaticAssertDecl(sizeof(MsStagedBlock) >= BLOCK_HEADER_MAX,
				 "a header fits where it was staged");

/* ---- staged blocks: "staged" is where one is, which may be unaligned ---- */

static inline void
get_staged(const uint8 *staged, MsStagedBlock *b)
{
	memcpy(b, staged, sizeof(*b));
}

static inline void
put_staged(uint8 *staged, const MsStagedBlock *b)
{
	memcpy(staged, b, sizeof(*b));
}

static inline uint8 *
next_staged(uint8 *staged)
{
	Size		size;

	memcpy(&size, staged + offsetof(MsStagedBlock, size), sizeof(size));
	return staged + size;
}

static inline Size
get_end(const uint8 *staged, int col)
{
	return (Size) ms_load_bytes(staged + MS_STAGED_SIZE(col), 4);
}

static inline void
put_end(uint8 *staged, int col, Size end)
{
	ms_store_bytes(staged + MS_STAGED_SIZE(col), end, 4);
}

/* Write the chunk's header. */
void
ms_blocks_begin(MsBlockWriter *w, uint8 *dst, int ncols, int64 tmin, const uint8 *kinds,
				int flags, MsCodecWork *work)
{
	int			unit = MS_TIME_UNITS - 1;
	uint64		time = tmin < 0 ? 0 - (uint64) tmin : (uint64) tmin;
	int			nbytes;
	uint8	   *p = dst;

	memset(w, 0, offsetof(MsBlockWriter, parts));
	w->nparts = 0;
	w->dst = dst;
	w->ncols = ncols;
	w->kinds = kinds;
	w->flags = flags;
	w->work = work;

	while (time % (uint64) ms_time_unit[unit] != 0)
		unit--;
	time /= (uint64) ms_time_unit[unit];
	nbytes = Max((ms_bit_width(time) + 7) / 8, 1);

	*p++ = (uint8) ((flags & MS_CHUNK_SEALED ? CHUNK_SEALED : 0) |
					unit << CHUNK_UNIT_SHIFT |
					(ncols == 1 ? CHUNK_ONE_COLUMN : 0) |
					(nbytes - 1) << CHUNK_BYTES_SHIFT |
					(tmin < 0 ? CHUNK_NEGATIVE : 0));
	if (ncols != 1)
		p = ms_put_varint(p, (uint64) ncols);
	ms_store_bytes(p, time, nbytes);
	p += nbytes;
	w->header_len = (int) (p - dst);
	w->staged = w->p = dst + CHUNK_HEADER_MAX + 4 * (Size) ncols;
}

/* Stage a block whose times, if irregular, were written behind where it comes. */
static bool
stage(MsBlockWriter *w, MsStagedBlock *b)
{
	if (w->nblocks > 0 && (b->first <= w->last ||
						   (uint64) b->first - (uint64) w->last > PG_INT64_MAX))
		return false;
	b->size = MS_STAGED_SIZE(w->ncols) + b->times_len;
	put_staged(w->p, b);
	w->p += b->size;
	w->last = b->last;
	w->nblocks++;
	return true;
}

/* Stage a block as it is in its chunk, with its streams' ends there. */
static bool
stage_stored(MsBlockWriter *w, const MsChunk *c, const MsBlockInfo *b)
{
	MsStagedBlock n = {0};
	uint64		unit = (uint64) ms_time_unit[block_unit(b->head)];
	uint64		span = (uint64) b->last - (uint64) b->first;

	n.head = b->head & ~(BLOCK_LAST | BLOCK_FULL);
	n.nrows = b->stored_nrows;
	n.step = (uint64) b->step;
	n.off = (int64) (span / unit - n.step * (uint64) (n.nrows - 1));
	n.first = b->first;
	n.last = b->last;
	n.times_len = b->times_len;
	for (int col = 0; col < c->ncols; col++)
		put_end(w->p, col, chunk_stream_end(c, b, col));
	memcpy(w->p + MS_STAGED_SIZE(w->ncols), b->times, b->times_len);
	return stage(w, &n);
}

/*
 * Blocks of a chunk from b on that begin before row "end" come next, as they
 * are.  The chunk has no more columns than the one being written.
 */
bool
ms_blocks_adopt(MsBlockWriter *w, const MsChunk *c, const MsBlockInfo *b, int end)
{
	MsBlockPart *part = &w->parts[w->nparts++];
	MsBlockInfo at = *b;

	Assert(w->nparts <= MS_MAX_PARTS);
	memset(part, 0, sizeof(*part));
	part->chunk = c;
	part->from = at;
	while (at.row < end)
	{
		if (!stage_stored(w, c, &at))
			return false;
		part->nblocks++;
		if (!ms_chunk_next_stored(c, &at))
			break;
	}
	return true;
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
 * Gather rows [start, start + n) of a part's into the work area.
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

/* Stage the block of rows [start, start + n) of the sources. */
static bool
stage_rows(MsBlockWriter *w, MsRowSource *sources, int nsources, int start, int n)
{
	MsCodecWork *work = w->work;
	MsStagedBlock b = {0};
	MsTimeGrid	grid;
	bool		ignored;

	if (!gather(sources, nsources, start, n, -1, &ignored, work))
		return false;
	b.times_len = ms_time_encode(work->times, n, &grid, w->p + MS_STAGED_SIZE(w->ncols),
								 &work->time);
	/* a run as long as no column says otherwise */
	b.head = (uint8) (grid.unit << BLOCK_UNIT_SHIFT |
					  (grid.regular ? BLOCK_RUN : BLOCK_IRREGULAR));
	b.nrows = n;
	b.step = grid.step;
	b.off = grid.off;
	b.first = work->times[0];
	b.last = work->times[n - 1];
	return stage(w, &b);
}

/*
 * The sources' rows come next.  "at_end" says that the chunk ends with them.
 */
bool
ms_blocks_encode(MsBlockWriter *w, MsRowSource *sources, int nsources, bool at_end)
{
	MsBlockPart *part = &w->parts[w->nparts++];

	Assert(w->nparts <= MS_MAX_PARTS);
	memset(part, 0, sizeof(*part));
	part->sources = sources;
	part->nsources = nsources;
	part->at_end = at_end;
	for (int i = 0; i < nsources; i++)
		part->nrows += sources[i].nrows;
	for (int start = 0; start < part->nrows; start += MS_BLOCK_ROWS)
	{
		if (!stage_rows(w, sources, nsources, start, Min(part->nrows - start, MS_BLOCK_ROWS)))
			return false;
		part->nblocks++;
	}
	return true;
}

/* ---- streams ---- */

/*
 * Copy a part's streams of a column; *staged is the part's first block and
 * becomes the one behind its last.  "base" is where the streams begin.
 */
static bool
copy_column(MsBlockWriter *w, const MsBlockPart *part, int col, const uint8 *base, uint8 **staged)
{
	const MsChunk *c = part->chunk;
	Size		begin;
	Size		end;

	if (part->nblocks == 0)
		return true;
	begin = end = chunk_position(c, part->from.begins, col);
	for (int i = 0; i < part->nblocks; i++, *staged = next_staged(*staged))
	{
		Size		next = get_end(*staged, col);

		if (next < end || next > c->len)
			return false;
		end = next;
		put_end(*staged, col, (Size) (w->p - base) + (end - begin));
	}
	memcpy(w->p, c->bytes + begin, end - begin);
	w->p += end - begin;
	return true;
}

/* Likewise of a column that the part's chunk does not have: it is null. */
static void
fill_column(MsBlockWriter *w, const MsBlockPart *part, int col, const uint8 *base, uint8 **staged)
{
	for (int i = 0; i < part->nblocks; i++, *staged = next_staged(*staged))
	{
		w->p += ms_value_encode(NULL, NULL, MS_BLOCK_ROWS, MS_FLOAT8, false, w->p,
								&w->work->value);
		put_end(*staged, col, (Size) (w->p - base));
	}
}

/* Likewise of rows. */
static bool
encode_part(MsBlockWriter *w, const MsBlockPart *part, int col, const uint8 *base, uint8 **staged)
{
	for (int start = 0; start < part->nrows; start += MS_BLOCK_ROWS)
	{
		int			n = Min(part->nrows - start, MS_BLOCK_ROWS);
		bool		quick = part->at_end && n < MS_TAIL_ROWS &&
		!(w->flags & MS_CHUNK_SEALED);
		int			len = encode_column(w, part->sources, part->nsources, start, n, col,
										quick, w->p);

		if (len == 0)
			return false;
		if (!ms_value_is_constant(w->p, len))
			(*staged)[offsetof(MsStagedBlock, head)] &= ~BLOCK_RUN;
		w->p += len;
		put_end(*staged, col, (Size) (w->p - base));
		*staged = next_staged(*staged);
	}
	return true;
}

/* Write all streams.  "base" is where they begin. */
static bool
write_streams(MsBlockWriter *w, const uint8 *base)
{
	for (int col = 0; col < w->ncols; col++)
	{
		uint8	   *staged = w->staged;

		for (int i = 0; i < w->nparts; i++)
		{
			const MsBlockPart *part = &w->parts[i];

			if (part->chunk == NULL)
			{
				if (!encode_part(w, part, col, base, &staged))
					return false;
			}
			else if (col >= part->chunk->ncols)
				fill_column(w, part, col, base, &staged);
			else if (!copy_column(w, part, col, base, &staged))
				return false;
		}
	}
	return (Size) (w->p - w->dst) <= PG_UINT32_MAX;
}

/* ---- runs ---- */

/* Do two blocks that follow each other have the same streams?  "before" is the one before them, or NULL. */
static bool
same_streams(MsBlockWriter *w, const uint8 *base, const uint8 *before, const uint8 *a, const uint8 *b,
			 const uint8 *last)
{
	for (int col = 0; col < w->ncols; col++)
	{
		Size		begin = before != NULL ? get_end(before, col) :
		col > 0 ? get_end(last, col - 1) : 0;
		Size		middle = get_end(a, col);
		Size		end = get_end(b, col);

		if (middle - begin != end - middle || memcmp(base + begin, base + middle, end - middle) != 0)
			return false;
	}
	return true;
}

/* If the run b only makes the run a longer, in which it begins when a has ended, do that. */
static bool
extend_run(MsStagedBlock *a, const MsStagedBlock *b)
{
	uint64		gap = (uint64) b->first - (uint64) a->last;
	uint64		a_step = a->step * (uint64) ms_time_unit[block_unit(a->head)];
	uint64		b_step = b->step * (uint64) ms_time_unit[block_unit(b->head)];
	int64		times[2];
	int			unit;

	if ((a->nrows > 1 && a_step != gap) || (b->nrows > 1 && b_step != gap) ||
		a->nrows + b->nrows > MS_CHUNK_MAX_ROWS)
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

/* Mark runs that the one before takes over.  Returns how many there are. */
static int
merge_runs(MsBlockWriter *w, const uint8 *base, const uint8 *last)
{
	uint8	   *kept = NULL;	/* the last one not merged */
	uint8	   *before = NULL;
	uint8	   *prev = NULL;
	uint8	   *at = w->staged;
	MsStagedBlock a;
	int			merged = 0;

	for (int i = 0; i < w->nblocks; i++, before = prev, prev = at, at = next_staged(at))
	{
		MsStagedBlock b;

		get_staged(at, &b);
		if (i > 0 && (a.head & BLOCK_RUN) && (b.head & BLOCK_RUN) &&
			same_streams(w, base, before, prev, at, last) && extend_run(&a, &b))
		{
			put_staged(kept, &a);
			b.merged = true;
			put_staged(at, &b);
			merged++;
			continue;
		}
		a = b;
		kept = at;
	}
	return merged;
}

/* Drop merged blocks and their streams. */
static void
drop_merged(MsBlockWriter *w, uint8 *base)
{
	uint8	   *to = base;
	Size		begin = 0;
	uint8	   *at;
	uint8	   *out = w->staged;
	int			nblocks = 0;

	for (int col = 0; col < w->ncols; col++)
	{
		at = w->staged;
		for (int i = 0; i < w->nblocks; i++, at = next_staged(at))
		{
			Size		end = get_end(at, col);

			if (!at[offsetof(MsStagedBlock, merged)])
			{
				memmove(to, base + begin, end - begin);
				to += end - begin;
				put_end(at, col, (Size) (to - base));
			}
			begin = end;
		}
	}
	at = w->staged;
	for (int i = 0; i < w->nblocks; i++)
	{
		uint8	   *next = next_staged(at);

		if (!at[offsetof(MsStagedBlock, merged)])
		{
			memmove(out, at, next - at);
			out += next - at;
			nblocks++;
		}
		at = next;
	}
	w->nblocks = nblocks;
	w->p = to;
}

/* ---- the finished chunk ---- */

static const uint8 *
last_staged(MsBlockWriter *w)
{
	uint8	   *at = w->staged;

	for (int i = 1; i < w->nblocks; i++)
		at = next_staged(at);
	return at;
}

/* The gap before a block, "before" being the time before it, as it is stored. */
static uint64
gap_code(const MsStagedBlock *b, int64 before)
{
	uint64		gap = (uint64) b->first - (uint64) before;
	uint64		unit = (uint64) ms_time_unit[block_unit(b->head)];

	if (b->nrows > 1 && gap == b->step * unit)
		return 0;
	if (gap % unit == 0)
		return gap / unit * 2;
	return gap * 2 + 1;
}

/* Write block number i's header, without its directory; returns its size. */
static int
write_header(const MsBlockWriter *w, int i, const MsStagedBlock *b, int64 before, uint8 *dst)
{
	uint8	   *p = dst + 1;
	uint8		head = b->head | (i == w->nblocks - 1 ? BLOCK_LAST : 0);

	if (head & BLOCK_RUN)
		p = ms_put_varint(p, (uint64) b->nrows - 1);
	else if (b->nrows == MS_BLOCK_ROWS)
		head |= BLOCK_FULL;
	else
		*p++ = (uint8) (b->nrows - 1);
	if (i > 0)
		p = ms_put_varint(p, gap_code(b, before));
	if (b->nrows > 1)
		p = ms_put_varint(p, b->step);
	if (head & BLOCK_IRREGULAR)
	{
		p = ms_put_varint(p, ms_zigzag((uint64) b->off));
		p = ms_put_varint(p, b->times_len);
	}
	*dst = head;
	return (int) (p - dst);
}

/*
 * Put headers, directories and times at their place, positions taking "width"
 * bytes and the streams beginning at "streams".  If "write" is false, nothing
 * is written.  Returns the end.
 */
static Size
place_headers(MsBlockWriter *w, int width, Size streams, bool write)
{
	Size		at = w->header_len + (Size) width * w->ncols;
	uint8	   *staged = w->staged;
	int64		before = 0;

	for (int i = 0; i < w->nblocks; i++)
	{
		MsStagedBlock b;
		uint8		header[BLOCK_HEADER_MAX];
		int			len;
		int			ndir = i < w->nblocks - 1 ? w->ncols : 0;

		get_staged(staged, &b);
		len = write_header(w, i, &b, before, header);
		if (write)
		{
			memcpy(w->dst + at, header, len);
			for (int col = 0; col < ndir; col++)
				ms_store_bytes(w->dst + at + len + (Size) col * width,
							   streams + get_end(staged, col), width);
			memmove(w->dst + at + len + (Size) ndir * width, staged + MS_STAGED_SIZE(w->ncols),
					b.times_len);
		}
		at += len + (Size) ndir * width + b.times_len;
		before = b.last;
		staged += b.size;
	}
	return at;
}

/* Write the chunk; returns its size, 0 if it is no chunk. */
Size
ms_blocks_finish(MsBlockWriter *w)
{
	uint8	   *base = w->p;
	const uint8 *last;
	Size		streams;
	Size		len;
	int			width = 0;

	if (w->nblocks == 0 || !write_streams(w, base))
		return 0;
	if (merge_runs(w, base, last_staged(w)) > 0)
		drop_merged(w, base);
	last = last_staged(w);

	do
	{
		streams = place_headers(w, ++width, 0, false);
		len = streams + (Size) (w->p - base);
	} while (chunk_width(len) > width);

	for (int col = 0; col < w->ncols; col++)
		ms_store_bytes(w->dst + w->header_len + (Size) col * width,
					   streams + (col > 0 ? get_end(last, col - 1) : 0), width);
	(void) place_headers(w, width, streams, true);
	memmove(w->dst + streams, base, (Size) (w->p - base));
	return len;
}
