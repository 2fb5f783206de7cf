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

/* A block not yet at its place. */
typedef struct MsPendingBlock
{
	const uint8 *payload;		/* directory and streams */
	Size		len;
	bool		borrowed;		/* payload is a source's, not in dst */
	uint8		head;			/* all flags but "last" and "full" */
	int			nrows;
	uint64		step;
	int64		off;
	int64		first;
	int64		last;
} MsPendingBlock;

typedef struct MsBlockWriter
{
	uint8	   *dst;
	uint8	   *p;				/* end of what is at its place */
	int			ncols;
	const uint8 *kinds;			/* [ncols], or NULL: all float8; borrowed */
	int			flags;
	bool		first;			/* no block is at its place yet */
	int64		last;			/* last time of the block before p */
	bool		has_pending;
	MsPendingBlock pending;
	MsCodecWork *work;
} MsBlockWriter;

/* Rows of the region that come from one source. */
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

extern void ms_blocks_begin(MsBlockWriter *w, uint8 *dst, int ncols, int64 tmin,
							const uint8 *kinds, int flags,
							MsCodecWork *work);
extern bool ms_blocks_adopt(MsBlockWriter *w, const MsChunk *c, MsBlockInfo *b,
							int end);
extern void ms_source_chunk(MsRowSource *src, const MsChunk *c,
							const MsBlockInfo *b, int nrows);
extern void ms_source_rows(MsRowSource *src, const MsRows *rows, int first, int n);
extern bool ms_blocks_encode(MsBlockWriter *w, MsRowSource *sources, int nsources,
							 bool at_end);
extern Size ms_blocks_finish(MsBlockWriter *w);

#endif							/* MS_CHUNK_BLOCKS_H */
