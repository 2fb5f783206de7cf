/*-------------------------------------------------------------------------
 *
 * chunk_blocks.h
 *	  Writing a chunk block by block: for chunk_write.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CHUNK_BLOCKS_H
#define MS_CHUNK_BLOCKS_H

#include "core/chunk_layout.h"

/*
 * A block's header while the chunk is written.  Where its streams end,
 * four-byte numbers for all columns, and its times follow.
 */
typedef struct MsStagedBlock
{
	Size		size;			/* with what follows */
	Size		times_len;
	uint64		step;
	int64		off;
	int64		first;
	int64		last;
	int			nrows;
	uint8		head;			/* all flags but "last" and "full" */
	bool		merged;			/* the run before it has its rows */
} MsStagedBlock;

#define MS_STAGED_SIZE(ncols)	(sizeof(MsStagedBlock) + 4 * (Size) (ncols))

/* Rows that come from one source. */
typedef struct MsRowSource
{
	int			nrows;
	/* either rows, from "row" on */
	const MsRows *rows;
	int			row;
	/* or blocks: "block" holds the chunk's row "row" or comes before it */
	const MsChunk *chunk;
	MsBlockInfo block;
} MsRowSource;

/* Blocks of the chunk being written: another's, as they are, or rows. */
typedef struct MsBlockPart
{
	int			nblocks;
	const MsChunk *chunk;		/* NULL: rows */
	MsBlockInfo from;
	MsRowSource *sources;		/* borrowed until the chunk is finished */
	int			nsources;
	int			nrows;
	bool		at_end;			/* the chunk ends with them */
} MsBlockPart;

#define MS_MAX_PARTS	3

typedef struct MsBlockWriter
{
	uint8	   *dst;
	uint8	   *staged;			/* first staged block */
	uint8	   *p;				/* end of what is written */
	int			header_len;		/* of the chunk, without its directory */
	int			ncols;
	const uint8 *kinds;			/* [ncols], or NULL: all float8; borrowed */
	int			flags;
	int			nblocks;
	int64		last;			/* last time, if there are blocks */
	MsBlockPart parts[MS_MAX_PARTS];
	int			nparts;
	MsCodecWork *work;
} MsBlockWriter;

extern void ms_blocks_begin(MsBlockWriter *w, uint8 *dst, int ncols, int64 tmin,
							const uint8 *kinds, int flags,
							MsCodecWork *work);
extern bool ms_blocks_adopt(MsBlockWriter *w, const MsChunk *c, const MsBlockInfo *b,
							int end);
extern void ms_source_chunk(MsRowSource *src, const MsChunk *c,
							const MsBlockInfo *b, int nrows);
extern void ms_source_rows(MsRowSource *src, const MsRows *rows, int first, int n);
extern bool ms_blocks_encode(MsBlockWriter *w, MsRowSource *sources, int nsources,
							 bool at_end);
extern Size ms_blocks_finish(MsBlockWriter *w);

#endif							/* MS_CHUNK_BLOCKS_H */
