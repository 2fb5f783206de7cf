/*-------------------------------------------------------------------------
 *
 * chunk_layout.h
 *	  The layout of a chunk: shared by its readers and writers, and by nobody
 *	  else.
 *
 * Chunk:
 *
 *	byte		bit 0 sealed, bits 1-2 unit of the first time, bit 3 exactly
 *				one column, bits 4-6 bytes of the first time less one,
 *				bit 7 first time negative
 *	varint		columns, unless bit 3
 *	bytes		magnitude of the first time, in its unit
 *	directory	where the streams of each column begin
 *	blocks		headers and times, at least one
 *	streams		of each column, one column after the other, in the order of
 *				blocks (valueform.h)
 *
 * Block:
 *
 *	byte		bit 0 last, bit 1 run, bit 2 irregular, bit 3 full, bits 4-5
 *				zero, bits 6-7 unit of its times
 *	rows		unless full (256): of a run a varint, else a byte; less one
 *	varint		gap to the time before, unless the first block: 0, one step;
 *				else twice the gap in units, or twice the gap in microseconds
 *				plus one
 *	varint		step, unless one row
 *	zigzag		how far the last time is off the grid, if irregular
 *	varint		bytes of its times, if irregular
 *	directory	where its stream of each column ends, unless it is the last
 *				block: its streams end where the next column's begin
 *	times		if irregular (timecodec.c)
 *
 * An entry of a directory is a position in the chunk, in as many bytes as the
 * chunk's length takes.  So a stream is found in constant time from the
 * directory before it and its own, and who reads one column of ten touches
 * the headers, which lie together, and one piece of bytes.
 *
 * In a run times are regular and all columns constant or null throughout.
 * It may have any number of rows: readers see it in slices.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CHUNK_LAYOUT_H
#define MS_CHUNK_LAYOUT_H

#include "core/chunk.h"
#include "core/timecodec.h"
#include "core/valuecodec.h"

#define CHUNK_SEALED		0x01
#define CHUNK_UNIT_SHIFT	1
#define CHUNK_ONE_COLUMN	0x08
#define CHUNK_BYTES_SHIFT	4
#define CHUNK_NEGATIVE		0x80

#define BLOCK_LAST			0x01
#define BLOCK_RUN			0x02
#define BLOCK_IRREGULAR		0x04
#define BLOCK_FULL			0x08
#define BLOCK_UNUSED		0x30
#define BLOCK_UNIT_SHIFT	6

/* What is in files cannot change. */
StaticAssertDecl(MS_BLOCK_ROWS == 256 && MS_INT_MAX == MS_BLOCK_ROWS,
				 "a full block has 256 rows");
StaticAssertDecl(MS_TIME_UNITS == 4, "a unit is stored in two bits");
StaticAssertDecl(sizeof(double) == 8 && sizeof(float) == 4,
				 "values are IEEE doubles and floats");

/* bytes that no block's header, without its directory, exceeds */
#define BLOCK_HEADER_MAX	(1 + 5 * MS_VARINT_MAX)
#define CHUNK_HEADER_MAX	(1 + MS_VARINT_MAX + 8)

struct MsCodecWork
{
	MsTimeWork	time;
	MsValueWork value;
	MsValueScratch scratch;
	int64		times[MS_BLOCK_ROWS];	/* of the block being written */
	double		values[MS_INT_ROOM];	/* one column of it */
	bool		nulls[MS_BLOCK_ROWS];
	int64		some_times[MS_BLOCK_ROWS];	/* of a block being read */
	double		some_values[MS_INT_ROOM];
	bool		some_nulls[MS_BLOCK_ROWS];
};

static inline int
block_unit(uint8 head)
{
	return head >> BLOCK_UNIT_SHIFT;
}

/* Width of the directories' entries in a chunk of that length, in bytes. */
static inline int
chunk_width(Size len)
{
	return len < (1 << 8) ? 1 : len < (1 << 16) ? 2 : len < (1 << 24) ? 3 : 4;
}

/* An entry of a directory. */
static inline Size
chunk_position(const MsChunk *c, const uint8 *dir, int col)
{
	const uint8 *p = dir + (Size) col * c->width;

	/* what is common is loaded at once */
	return c->width == 2 ? (Size) (p[0] | p[1] << 8) : (Size) ms_load_bytes(p, c->width);
}

/* Where a column's stream ends in a block, or, without one, in the chunk. */
static inline Size
chunk_stream_end(const MsChunk *c, const MsBlockInfo *b, int col)
{
	if (b != NULL && !(b->head & BLOCK_LAST))
		return chunk_position(c, b->ends, col);
	return col < c->ncols - 1 ? chunk_position(c, c->begins, col + 1) : c->len;
}

/* A full block, which only ever is copied. */
static inline bool
block_is_complete(const MsBlockInfo *b)
{
	return b->stored_nrows >= MS_BLOCK_ROWS;
}

extern bool ms_chunk_first_stored(const MsChunk *c, MsBlockInfo *b);
extern bool ms_chunk_next_stored(const MsChunk *c, MsBlockInfo *b);
extern const uint8 *ms_chunk_stream(const MsChunk *c, const MsBlockInfo *b,
									int col, Size *len);

#endif							/* MS_CHUNK_LAYOUT_H */
