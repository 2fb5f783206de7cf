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
 *	blocks		until the chunk's end, at least one
 *
 * Block:
 *
 *	byte		bit 0 last, bit 1 run, bit 2 irregular, bit 3 full, bits 4-5
 *				width of the directory (0: none, 1, 2, 4 bytes), bits 6-7
 *				unit of its times
 *	varint		bytes of the block after this field, unless it is the last
 *	rows		unless full (256): of a run a varint, else a byte; less one
 *	varint		gap to the time before, unless the first block: 0, one step;
 *				else twice the gap in units, or twice the gap in microseconds
 *				plus one
 *	varint		step, unless one row
 *	zigzag		how far the last time is off the grid, if irregular
 *	directory	length of each stream but the last one
 *	streams		of times (timecodec.c), if irregular; of each column
 *				(valueform.h)
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
#define BLOCK_WIDTH_SHIFT	4
#define BLOCK_UNIT_SHIFT	6

/* What is in files cannot change. */
StaticAssertDecl(MS_BLOCK_ROWS == 256 && MS_INT_MAX == MS_BLOCK_ROWS,
				 "a full block has 256 rows");
StaticAssertDecl(MS_TIME_UNITS == 4, "a unit is stored in two bits");
StaticAssertDecl(sizeof(double) == 8 && sizeof(float) == 4,
				 "values are IEEE doubles and floats");

/* bytes that no block's header, without its directory, exceeds */
#define BLOCK_HEADER_MAX	(2 + 5 * MS_VARINT_MAX)
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

/* Width of a block's directory entries, in bytes. */
static inline int
block_width(uint8 head)
{
	static const uint8 width[4] = {0, 1, 2, 4};

	return width[(head >> BLOCK_WIDTH_SHIFT) & 3];
}

/* Streams of a block, and entries of its directory. */
static inline int
block_streams(uint8 head, int ncols)
{
	return ncols + ((head & BLOCK_IRREGULAR) ? 1 : 0);
}

static inline int
block_entries(uint8 head, int ncols)
{
	return Max(block_streams(head, ncols) - 1, 0);
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
									int stream, Size *len);

#endif							/* MS_CHUNK_LAYOUT_H */
