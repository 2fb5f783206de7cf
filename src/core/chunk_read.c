/*-------------------------------------------------------------------------
 *
 * chunk_read.c
 *	  Opening chunks and reading their blocks.
 *
 * The layout is in chunk_layout.h.
 *
 * Opening walks over the block headers, a few dozen bytes for a window's
 * chunk, and checks everything that later reads rely on: that the blocks
 * fill the chunk exactly, that rows add up to no more than
 * MS_CHUNK_MAX_ROWS, that times ascend from block to block and stay within
 * int64.  So counts and time ranges need not be stored, and the iterator
 * cannot fail on an opened chunk.  What is inside the streams is checked
 * when they are decoded; a chunk that opens may still fail there.
 *
 * A reader sees a run of many rows as slices of MS_BLOCK_ROWS rows, so that
 * no caller needs room for more.
 *
 * The functions here use the bytes they were given and the stack, at most
 * about 10 kB of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/chunk_layout.h"

/* Bytes of scratch memory that the codecs need; 64-aligned. */
Size
ms_codec_work_size(void)
{
	return sizeof(MsCodecWork);
}

/* a + b * unit, if that is an int64. */
static bool
add_units(int64 a, uint64 b, int64 unit, int64 *result)
{
	uint64		product;

	if (__builtin_mul_overflow(b, (uint64) unit, &product) ||
		product > (uint64) PG_INT64_MAX - (uint64) a)
		return false;
	*result = (int64) ((uint64) a + product);
	return true;
}

/*
 * The last time of a block: first + (step * (rows - 1) + off) units.
 *
 * Regular times must not wrap on the way; others are looked at when decoded,
 * so that only the last one matters here.  It must not wrap either: writers
 * that copy the block find "off" again from first and last, and rely on its
 * being as short as it was.
 */
static bool
find_last(const MsBlockInfo *b, uint64 off, int64 *last)
{
	uint64		rows = (uint64) b->stored_nrows - 1;
	int64		unit = ms_time_unit[block_unit(b->head)];
	uint64		units;
	uint64		span;

	if (!(b->head & BLOCK_IRREGULAR))
		return !__builtin_mul_overflow((uint64) b->step, rows, &units) &&
			add_units(b->first, units, unit, last);
	units = (uint64) b->step * rows + off;
	if (__builtin_mul_overflow(units, (uint64) unit, &span))
		return false;
	*last = (int64) ((uint64) b->first + span);
	return *last > b->first;
}

/* Show the slice of the stored block that begins at b->slice. */
static void
show_slice(MsBlockInfo *b)
{
	uint64		step = (uint64) b->step * (uint64) ms_time_unit[block_unit(b->head)];

	b->nrows = Min(b->stored_nrows - b->slice, MS_BLOCK_ROWS);
	if (b->nrows == b->stored_nrows)
	{
		b->tmin = b->first;
		b->tmax = b->last;
		return;
	}
	b->tmin = (int64) ((uint64) b->first + (uint64) b->slice * step);
	b->tmax = (int64) ((uint64) b->tmin + (uint64) (b->nrows - 1) * step);
}

/*
 * Read the numbers that say which rows and times the block has, all but its
 * flags.  "before" is the last time of the block before, or, if "first", this
 * block's first one.  Sets b->stored_nrows, step, first, last.
 */
static bool
parse_rows(MsReader *r, bool first, int64 before, MsBlockInfo *b)
{
	uint64		rows = MS_BLOCK_ROWS - 1;
	uint64		gap = 0;
	uint64		step = 0;
	uint64		off = 0;
	int64		unit = ms_time_unit[block_unit(b->head)];

	if (b->head & BLOCK_RUN)
	{
		if (b->head & (BLOCK_FULL | BLOCK_IRREGULAR))
			return false;
		rows = ms_get_varint(r);
	}
	else if (!(b->head & BLOCK_FULL))
		rows = ms_get_byte(r);
	if (rows >= MS_CHUNK_MAX_ROWS)
		return false;
	b->stored_nrows = (int) rows + 1;

	if (!first)
		gap = ms_get_varint(r);
	if (b->stored_nrows > 1)
	{
		step = ms_get_varint(r);
		if (step > PG_INT64_MAX ||
			(step == 0 && !(b->head & BLOCK_IRREGULAR)))
			return false;
	}
	b->step = (int64) step;
	if (b->head & BLOCK_IRREGULAR)
		off = ms_get_zigzag(r);
	if (r->bad || (b->stored_nrows == 1 && (b->head & BLOCK_IRREGULAR)))
		return false;

	b->first = before;
	if (!first)
	{
		bool		ok;

		if (gap == 0)
			ok = add_units(before, step, unit, &b->first);
		else
			ok = add_units(before, gap >> 1, (gap & 1) ? 1 : unit, &b->first);
		if (!ok || b->first <= before)
			return false;
	}
	return find_last(b, off, &b->last);
}

/*
 * Read the header of the block at p, whose streams begin where the directory
 * "begins" says; "first" and "before" as for parse_rows().  Sets b's second
 * group of fields.
 */
static bool
parse_block(const MsChunk *c, const uint8 *p, const uint8 *begins, bool first,
			int64 before, MsBlockInfo *b)
{
	MsReader	r;
	Size		dir_len = (Size) c->width * c->ncols;

	ms_reader_init(&r, p, c->streams);
	b->head = ms_get_byte(&r);
	if ((b->head & BLOCK_UNUSED) || !parse_rows(&r, first, before, b))
		return false;
	b->times_len = (b->head & BLOCK_IRREGULAR) ? ms_get_varint(&r) : 0;
	b->begins = begins;
	b->ends = (b->head & BLOCK_LAST) ? NULL : ms_get_bytes(&r, dir_len);
	b->times = ms_get_bytes(&r, b->times_len);
	b->next = r.p;
	return !r.bad;
}

/* The first stored block, whole, be it a run. */
bool
ms_chunk_first_stored(const MsChunk *c, MsBlockInfo *b)
{
	memset(b, 0, sizeof(*b));
	if (!parse_block(c, c->blocks, c->begins, true, c->tmin, b))
		return false;
	b->nrows = b->stored_nrows;
	b->tmin = b->first;
	b->tmax = b->last;
	return true;
}

/* The next stored block; false if there is none. */
bool
ms_chunk_next_stored(const MsChunk *c, MsBlockInfo *b)
{
	int			row = b->row - b->slice + b->stored_nrows;

	if ((b->head & BLOCK_LAST) ||
		!parse_block(c, b->next, b->ends, false, b->last, b))
		return false;
	b->index++;
	b->row = row;
	b->slice = 0;
	b->nrows = b->stored_nrows;
	b->tmin = b->first;
	b->tmax = b->last;
	return true;
}

/* Read the chunk's header; sets all but c->nrows, nblocks and tmax. */
static bool
parse_header(MsChunk *c)
{
	MsReader	r;
	uint8		head;
	uint64		ncols = 1;
	uint64		time;
	int			nbytes;
	const uint8 *p;

	ms_reader_init(&r, c->bytes, c->bytes + c->len);
	head = ms_get_byte(&r);
	if (!(head & CHUNK_ONE_COLUMN))
		ncols = ms_get_varint(&r);
	nbytes = ((head >> CHUNK_BYTES_SHIFT) & 7) + 1;
	p = ms_get_bytes(&r, nbytes);
	if (p == NULL || r.bad || ncols > MS_MAX_VALUES)
		return false;
	if (__builtin_mul_overflow(ms_load_bytes(p, nbytes),
							   (uint64) ms_time_unit[(head >> CHUNK_UNIT_SHIFT) & 3],
							   &time))
		return false;
	if (head & CHUNK_NEGATIVE)
	{
		if (time > (uint64) PG_INT64_MAX + 1)
			return false;
		time = 0 - time;
	}
	else if (time > PG_INT64_MAX)
		return false;

	c->ncols = (int) ncols;
	c->tmin = (int64) time;
	c->open = (head & CHUNK_SEALED) == 0;
	c->width = chunk_width(c->len);
	c->begins = ms_get_bytes(&r, (Size) c->width * ncols);
	c->blocks = r.p;
	c->streams = c->bytes + (ncols > 0 && !r.bad ? chunk_position(c, c->begins, 0) : c->len);
	return !r.bad && c->streams >= c->blocks && c->streams <= c->bytes + c->len;
}

/*
 * Open the chunk without looking at its blocks: nrows, nblocks and tmax are 0,
 * and ms_chunk_first_block and ms_chunk_next_block may find blocks malformed.
 * A walk over them has come to the chunk's end if ms_chunk_is_last says so of
 * the last one it found.
 */
bool
ms_chunk_open_header(MsChunk *c, const uint8 *bytes, Size len)
{
	memset(c, 0, sizeof(*c));
	c->bytes = bytes;
	c->len = len;
	return parse_header(c);
}

/*
 * Open the chunk that the given bytes are.  False if they are malformed; what
 * the streams hold is not looked at.  The bytes are borrowed for as long as
 * *c and anything derived from it is used.
 */
bool
ms_chunk_open(MsChunk *c, const uint8 *bytes, Size len)
{
	MsBlockInfo b;
	int64		nrows = 0;

	memset(c, 0, sizeof(*c));
	c->bytes = bytes;
	c->len = len;
	if (!parse_header(c) || !ms_chunk_first_stored(c, &b))
		return false;
	for (;;)
	{
		nrows += b.stored_nrows;
		if (nrows > MS_CHUNK_MAX_ROWS)
			return false;
		c->nblocks += (b.stored_nrows + MS_BLOCK_ROWS - 1) / MS_BLOCK_ROWS;
		c->tmax = b.last;
		if (b.head & BLOCK_LAST)
			break;
		if (!ms_chunk_next_stored(c, &b))
			return false;
	}
	c->nrows = (int) nrows;
	return b.next == c->streams;
}

/* Does the chunk end with this block? */
bool
ms_chunk_is_last(const MsChunk *c, const MsBlockInfo *b)
{
	return (b->head & BLOCK_LAST) && b->next == c->streams &&
		b->slice + b->nrows == b->stored_nrows;
}

/*
 * The first block of an opened chunk.  Always true.
 */
bool
ms_chunk_first_block(const MsChunk *c, MsBlockInfo *info)
{
	if (!ms_chunk_first_stored(c, info))
		return false;
	show_slice(info);
	return true;
}

/*
 * From one block to the next, in constant time.  False behind the last one.
 */
bool
ms_chunk_next_block(const MsChunk *c, MsBlockInfo *info)
{
	if (info->slice + info->nrows < info->stored_nrows)
	{
		info->slice += info->nrows;
		info->row += info->nrows;
		info->index++;
	}
	else if (!ms_chunk_next_stored(c, info))
		return false;
	show_slice(info);
	return true;
}

/*
 * Block number i, found by walking from the first one.  False if there is
 * none.
 */
bool
ms_chunk_block(const MsChunk *c, int i, MsBlockInfo *info)
{
	if (i < 0 || i >= c->nblocks || !ms_chunk_first_block(c, info))
		return false;
	while (info->index < i)
	{
		if (!ms_chunk_next_block(c, info))
			return false;
	}
	return true;
}

/*
 * Find the stream of a column in a block.  NULL if the directories say
 * something impossible.
 */
const uint8 *
ms_chunk_stream(const MsChunk *c, const MsBlockInfo *b, int col, Size *len)
{
	Size		begin = chunk_position(c, b->begins, col);
	Size		end = chunk_stream_end(c, b, col);

	if (begin > end || end > c->len)
		return NULL;
	*len = end - begin;
	return c->bytes + begin;
}

/*
 * Add what the bytes of a chunk are for to *parts; false, with nothing added,
 * if it is malformed.  Times on a grid take nothing but the headers.
 */
bool
ms_chunk_parts(const uint8 *bytes, Size len, MsChunkParts *parts)
{
	MsChunk		c;
	MsBlockInfo b;
	uint64		times = 0;
	uint64		values;
	bool		more;

	if (!ms_chunk_open(&c, bytes, len))
		return false;
	for (more = ms_chunk_first_stored(&c, &b); more; more = ms_chunk_next_stored(&c, &b))
		times += b.times_len;
	values = (uint64) (bytes + len - c.streams);
	parts->times += times;
	parts->values += values;
	parts->headers += len - times - values;
	return true;
}

/* The time grid of a stored block. */
static void
get_grid(const MsBlockInfo *b, MsTimeGrid *grid)
{
	memset(grid, 0, sizeof(*grid));
	grid->unit = block_unit(b->head);
	grid->regular = (b->head & BLOCK_IRREGULAR) == 0;
	grid->step = (uint64) b->step;
}

/*
 * Decode the times of a block into out[0 .. nrows).  False if malformed.
 */
bool
ms_chunk_block_times(const MsChunk *c, const MsBlockInfo *b, int64 *out)
{
	MsTimeGrid	grid;

	get_grid(b, &grid);
	return ms_time_decode(b->times, b->times_len, c->bytes + c->len, b->nrows, &grid,
						  b->tmin, b->tmax, out);
}

/*
 * What is known of a column in a block.  A column that the chunk does not
 * have is null throughout.  Mostly read from the block's beginning, but
 * small blocks and some others are decoded for it.  False if malformed.
 */
bool
ms_chunk_block_summary(const MsChunk *c, const MsBlockInfo *b, int col,
					   MsSummary *s)
{
	MsValueScratch scratch;
	const uint8 *p;
	Size		len;

	if (col >= c->ncols)
	{
		memset(s, 0, sizeof(*s));
		return true;
	}
	p = ms_chunk_stream(c, b, col, &len);
	return p != NULL && ms_value_summary(p, len, c->bytes + c->len, b->nrows,
										 s, &scratch);
}

/*
 * The same, computed from the stored integers, even if it is stored.  False also
 * if the column is not one of integers.
 */
bool
ms_chunk_block_totals(const MsChunk *c, const MsBlockInfo *b, int col,
					  MsSummary *s, MsCodecWork *work)
{
	const uint8 *p;
	Size		len;

	if (col >= c->ncols)
		return false;
	p = ms_chunk_stream(c, b, col, &len);
	return p != NULL && ms_value_totals(p, len, c->bytes + c->len, b->nrows,
										s, &work->scratch);
}

/* The same of runs of rows; see ms_value_run_totals(). */
bool
ms_chunk_block_run_totals(const MsChunk *c, const MsBlockInfo *b, int col,
						  const int *bounds, int nruns,
						  MsSummary *results, MsCodecWork *work)
{
	const uint8 *p;
	Size		len;

	if (col >= c->ncols)
		return false;
	p = ms_chunk_stream(c, b, col, &len);
	return p != NULL && ms_value_run_totals(p, len, c->bytes + c->len, b->nrows, bounds, nruns,
											results, &work->scratch);
}

/*
 * Decode a column of a block.  "out" and "nulls" have nrows elements.
 * *has_nulls says whether any row is null; "nulls" is set only then.  Null
 * rows have value 0.  A column that the chunk does not have is null
 * throughout.  False if malformed; "out" and "nulls" are then anything.
 */
bool
ms_chunk_block_values(const MsChunk *c, const MsBlockInfo *b, int col,
					  double *out, bool *nulls, bool *has_nulls,
					  MsCodecWork *work)
{
	const uint8 *p;
	Size		len;

	if (col >= c->ncols)
	{
		memset(out, 0, sizeof(double) * b->nrows);
		memset(nulls, true, b->nrows);
		*has_nulls = true;
		return true;
	}
	p = ms_chunk_stream(c, b, col, &len);
	return p != NULL && ms_value_decode(p, len, c->bytes + c->len, b->nrows,
										out, nulls, has_nulls, &work->scratch);
}

/*
 * The value of one row, 0 to nrows - 1, of a column of a block, for a fraction of
 * what decoding all of them takes; 0 if it is null.  A column that the chunk
 * does not have is null throughout.  False only if it is malformed where it
 * had to be looked at.
 */
bool
ms_chunk_block_value(const MsChunk *c, const MsBlockInfo *b, int col, int row,
					 double *out, bool *isnull)
{
	const uint8 *p;
	Size		len;

	if (col >= c->ncols)
	{
		*out = 0;
		*isnull = true;
		return true;
	}
	p = ms_chunk_stream(c, b, col, &len);
	return p != NULL && ms_value_decode_one(p, len, c->bytes + c->len, b->nrows,
											row, out, isnull);
}

/*
 * Decode the needed columns of a block into the rows where it belongs.  Of
 * columns in which nulls were found already, found[] is set.
 */
static bool
decode_block(const MsChunk *c, const MsBlockInfo *b, const bool *need,
			 MsRows *out, bool *found, MsCodecWork *work)
{
	if (!ms_chunk_block_times(c, b, out->times + b->row))
		return false;
	for (int col = 0; col < Min(c->ncols, out->ncols); col++)
	{
		bool	   *nulls = out->nulls[col];
		bool		has_nulls;

		if (need != NULL && !need[col])
			continue;
		if (!ms_chunk_block_values(c, b, col, out->values[col] + b->row, nulls + b->row,
								   &has_nulls, work))
			return false;
		if (has_nulls && !found[col])
			memset(nulls, false, b->row);
		else if (!has_nulls && found[col])
			memset(nulls + b->row, false, b->nrows);
		found[col] |= has_nulls;
	}
	return true;
}

/*
 * Decode a chunk.
 *
 * The caller sets out->ncols and gives arrays with room for c->nrows rows:
 * times, and values[col] and nulls[col] for each column it needs ("need"
 * says which, NULL all); the others are not touched and may be NULL.
 * out->nrows is set; out->nulls[col] is set to NULL where a needed column has
 * no null, so keep your own pointer to what you allocated.  Columns that the
 * chunk does not have are null throughout.  False if malformed; the arrays
 * are then anything.
 */
bool
ms_chunk_decode(const MsChunk *c, const bool *need, MsRows *out,
				MsCodecWork *work)
{
	MsBlockInfo b;
	bool		more;
	bool		found[MS_MAX_VALUES];

	memset(found, false, sizeof(found));
	out->nrows = c->nrows;
	for (more = ms_chunk_first_block(c, &b); more;
		 more = ms_chunk_next_block(c, &b))
	{
		if (!decode_block(c, &b, need, out, found, work))
			return false;
	}
	for (int col = 0; col < out->ncols; col++)
	{
		if (need != NULL && !need[col])
			continue;
		if (col >= c->ncols)
		{
			memset(out->values[col], 0, sizeof(double) * c->nrows);
			memset(out->nulls[col], true, c->nrows);
		}
		else if (!found[col])
			out->nulls[col] = NULL;
	}
	return true;
}

/*
 * Does every byte of a chunk make sense?  Decodes all of it.
 */
bool
ms_chunk_validate(const uint8 *bytes, Size len, MsCodecWork *work)
{
	MsChunk		c;
	MsBlockInfo b;
	bool		more;

	if (!ms_chunk_open(&c, bytes, len))
		return false;
	for (more = ms_chunk_first_stored(&c, &b); more;
		 more = ms_chunk_next_stored(&c, &b))
	{
		MsBlockInfo shown = b;

		show_slice(&shown);
		if (!ms_chunk_block_times(&c, &shown, work->some_times))
			return false;
		for (int col = 0; col < c.ncols; col++)
		{
			Size		stream_len;
			const uint8 *p = ms_chunk_stream(&c, &b, col, &stream_len);

			if (p == NULL || !ms_value_check(p, stream_len, bytes + len,
											 shown.nrows, &work->scratch))
				return false;
			if ((b.head & BLOCK_RUN) && !ms_value_is_constant(p, stream_len))
				return false;
		}
	}
	return true;
}
