/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  What is known of a whole chunk, in a few dozen bytes.
 *
 * Blocks have summaries, but to go from one to the next is to wait for memory
 * each time.  Who wants a count, a sum or a range over everything finds them
 * here, for the chunk as a whole.  They are derived from the chunk where it
 * is stored, and part of no file.
 *
 * Layout:
 *
 *	8 bytes		first time
 *	8 bytes		last time
 *	varint		rows
 *	varint		blocks
 *	varint		columns
 *	varint		bytes of the last row's values; 0: left out
 *	varint		each: 0, NULL; 1, eight bytes follow; else an integer, as zigzag,
 *				plus 2
 *	for each column
 *	byte		flags, below
 *	varint		if TOTALS_NULLS: rows that are null
 *	zigzag		if TOTALS_INTEGERS: least value
 *	varint					greatest less least
 *	zigzag					sum
 *	8 bytes		if TOTALS_RAW: least value
 *	8 bytes					greatest
 *	8 bytes					sum
 *
 * A chunk has none if it has but one block, if they would make it larger by
 * more than one part in 32, or if some sum is infinite, which may be because it
 * overflowed, and would not in another order.  The last row is left out if
 * they would be too large with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/totals.h"
#include "core/valuecodec.h"

#define TOTALS_NULLS	0x1
#define TOTALS_INTEGERS 0x2
#define TOTALS_RAW		0x4		/* neither: all rows are null */
#define TOTALS_NAN		0x8

#define LEAST_PARTS		32
#define COLUMN_MAX		40		/* bytes, at most */
#define INTEGER_LIMIT	4503599627370496.0	/* 2^52 */

/* Adds a block's summary; of equals the last one counts, NaN is above everything. */
static void
add_summary(MsSummary *to, const MsSummary *s)
{
	if (s->count == 0)
		return;
	if (to->count == 0)
	{
		*to = *s;
		return;
	}
	if (s->min <= to->min || to->min != to->min)
		to->min = s->min;
	if (s->max >= to->max || s->max != s->max)
		to->max = s->max;
	to->sum += s->sum;
	to->has_nan |= s->has_nan;
	to->count += s->count;
}

/* Also false if some sum on the way is infinite. */
static bool
sum_up(const MsChunk *c, int col, MsSummary *total)
{
	MsBlockInfo b;
	MsSummary	s;
	bool		more;

	memset(total, 0, sizeof(*total));
	for (more = ms_chunk_first_block(c, &b); more; more = ms_chunk_next_block(c, &b))
	{
		if (!ms_chunk_block_summary(c, &b, col, &s))
			return false;
		add_summary(total, &s);
		if (total->sum == total->sum && total->sum - total->sum != 0)
			return false;
	}
	return true;
}

static bool
is_integer(double v)
{
	return v > -INTEGER_LIMIT && v < INTEGER_LIMIT && (double) (int64) v == v &&
		ms_double_bits(v) != ms_double_bits(-0.0);
}

static uint8 *
put_double(uint8 *p, double v)
{
	ms_store64(p, ms_double_bits(v));
	return p + 8;
}

static uint8 *
put_column(uint8 *p, const MsSummary *s, int nrows)
{
	bool		integers = is_integer(s->min) && is_integer(s->max) && is_integer(s->sum);
	uint8		flags = s->has_nan ? TOTALS_NAN : 0;

	if (s->count < nrows)
		flags |= TOTALS_NULLS;
	if (s->count > 0)
		flags |= integers ? TOTALS_INTEGERS : TOTALS_RAW;
	*p++ = flags;
	if (flags & TOTALS_NULLS)
		p = ms_put_varint(p, (uint64) (nrows - s->count));
	if (flags & TOTALS_INTEGERS)
	{
		p = ms_put_varint(p, ms_zigzag((uint64) (int64) s->min));
		p = ms_put_varint(p, (uint64) ((int64) s->max - (int64) s->min));
		p = ms_put_varint(p, ms_zigzag((uint64) (int64) s->sum));
	}
	else if (flags & TOTALS_RAW)
		p = put_double(put_double(put_double(p, s->min), s->max), s->sum);
	return p;
}

/* Writes all columns to dst; returns their end, or NULL if they do not fit below `end` or have no totals. */
static uint8 *
put_columns(uint8 *dst, const uint8 *end, const MsChunk *c)
{
	for (int col = 0; col < c->ncols; col++)
	{
		uint8		column[COLUMN_MAX];
		MsSummary	s;
		Size		size;

		if (!sum_up(c, col, &s))
			return NULL;
		size = put_column(column, &s, c->nrows) - column;
		if (size > (Size) (end - dst))
			return NULL;
		memcpy(dst, column, size);
		dst += size;
	}
	return dst;
}

/* Writes the last row's values to dst, which has room for `room` bytes; returns how many they are, or 0. */
static Size
put_last(uint8 *dst, Size room, const MsChunk *c)
{
	uint8	   *p = dst;
	MsBlockInfo b;

	if (!ms_chunk_block(c, c->nblocks - 1, &b))
		return 0;
	for (int col = 0; col < c->ncols; col++)
	{
		double		v;
		bool		isnull;

		if ((Size) (p - dst) + MS_VARINT_MAX > room ||
			!ms_chunk_block_value(c, &b, col, b.nrows - 1, &v, &isnull))
			return 0;
		if (isnull)
			*p++ = 0;
		else if (is_integer(v))
			p = ms_put_varint(p, ms_zigzag((uint64) (int64) v) + 2);
		else
		{
			*p++ = 1;
			p = put_double(p, v);
		}
	}
	return (Size) (p - dst);
}

/*
 * Writes the totals of a chunk to dst, which has room for MS_TOTALS_MAX bytes.
 * Returns how many bytes they take; 0 if it has none, or is malformed.
 */
Size
ms_totals_encode(const uint8 *chunk, Size len, uint8 *dst)
{
	MsChunk		c;
	uint8		columns[MS_TOTALS_MAX];
	uint8		last[MS_TOTALS_MAX];
	uint8	   *p = dst;
	Size		room = Min(MS_TOTALS_MAX, len / LEAST_PARTS);
	const uint8 *end;
	Size		size;

	if (room < COLUMN_MAX || !ms_chunk_open(&c, chunk, len) || c.nblocks < 2)
		return 0;
	ms_store64(p, (uint64) c.tmin);
	ms_store64(p + 8, (uint64) c.tmax);
	p = ms_put_varint(p + 16, (uint64) c.nrows);
	p = ms_put_varint(p, (uint64) c.nblocks);
	p = ms_put_varint(p, (uint64) c.ncols);
	room -= (Size) (p - dst) + 2;

	end = put_columns(columns, columns + room, &c);
	if (end == NULL)
		return 0;
	size = put_last(last, room - (end - columns), &c);
	p = ms_put_varint(p, size);
	memcpy(p, last, size);
	memcpy(p + size, columns, end - columns);
	return (Size) (p + size + (end - columns) - dst);
}

/* Reads the beginning; false if malformed.  The bytes are borrowed. */
bool
ms_totals_open(MsTotals *t, const uint8 *p, Size len)
{
	ms_reader_init(&t->r, p, p + len);
	t->tmin = (int64) ms_get_fixed64(&t->r);
	t->tmax = (int64) ms_get_fixed64(&t->r);
	t->nrows = (int) ms_get_varint(&t->r);
	t->nblocks = (int) ms_get_varint(&t->r);
	t->ncols = (int) ms_get_varint(&t->r);
	t->last_len = (Size) ms_get_varint(&t->r);
	t->last = ms_get_bytes(&t->r, t->last_len);
	t->columns = t->r.p;
	t->next = 0;
	return !t->r.bad;
}

static void
read_column(MsTotals *t, MsSummary *s)
{
	MsReader   *r = &t->r;
	uint8		flags = ms_get_byte(r);

	memset(s, 0, sizeof(*s));
	s->has_nan = (flags & TOTALS_NAN) != 0;
	s->count = t->nrows;
	if (flags & TOTALS_NULLS)
		s->count -= (int) ms_get_varint(r);
	if (flags & TOTALS_INTEGERS)
	{
		int64		min = (int64) ms_get_zigzag(r);

		s->min = (double) min;
		s->max = (double) (int64) ((uint64) min + ms_get_varint(r));
		s->sum = (double) (int64) ms_get_zigzag(r);
	}
	else if (flags & TOTALS_RAW)
	{
		s->min = ms_bits_double(ms_get_fixed64(r));
		s->max = ms_bits_double(ms_get_fixed64(r));
		s->sum = ms_bits_double(ms_get_fixed64(r));
	}
}

/* What is known of a column, below ncols; fastest in ascending order.  False if malformed. */
bool
ms_totals_column(MsTotals *t, int col, MsSummary *s)
{
	if (col < t->next)
	{
		t->r.p = t->columns;
		t->next = 0;
	}
	for (; t->next <= col; t->next++)
		read_column(t, s);
	return !t->r.bad;
}
