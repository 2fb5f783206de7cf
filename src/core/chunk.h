/*-------------------------------------------------------------------------
 *
 * chunk.h
 *	  The samples of one series in one window, as bytes.
 *
 * A chunk is a flat, immutable run of bytes, the same in memory and in a
 * file.  Its rows are in blocks of at most MS_BLOCK_ROWS; the headers of all
 * blocks come first and name their rows and time ranges, so a reader steps
 * over blocks it does not need without decoding them.  Then the values
 * follow, column by column, so a reader touches only the columns it needs.
 * Growing a chunk means writing a new one: complete blocks are copied as they
 * are.
 *
 * An open chunk may end in small blocks, the last of which may hold its few
 * rows raw; sealing packs all rows into full blocks.  Nothing else differs,
 * and every function here takes either.
 *
 * No function allocates, locks, throws or keeps state: all memory is the
 * caller's, and everything may be called from any number of threads with
 * different work areas.  The readers take hostile bytes: they answer false
 * and read and write nothing outside what they were given.  The writers
 * trust their rows (times strictly ascending) but not the chunks they
 * extend, for which they answer 0.
 *
 * A run of constants takes a dozen bytes however long it is, so a hostile
 * chunk may claim MS_CHUNK_MAX_ROWS rows in as few.  Who decodes whole chunks
 * from untrusted files decides what it allocates for c->nrows first, or goes
 * block by block.
 *
 * The format has no version number: whoever stores chunks states it once.
 * See chunk_layout.h for the layout.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CHUNK_H
#define MS_CHUNK_H

#define MS_BLOCK_ROWS		256 /* rows in a full block, and the most a block
								 * shown to a reader can have */
#define MS_TAIL_ROWS		16	/* an open chunk's raw tail has fewer */
#define MS_MAX_VALUES		1600	/* value columns */
#define MS_CHUNK_MAX_ROWS	(1 << 22)	/* rows of a chunk */

/* flags of the writers */
#define MS_CHUNK_OPEN		0x0 /* cheap to extend again */
#define MS_CHUNK_SEALED		0x1 /* all rows in full blocks */

/* What a value column's type is.  Part of no format. */
typedef enum MsValueKind
{
	MS_FLOAT8 = 0,
	MS_FLOAT4 = 1				/* doubles that are widened floats; see
								 * ms_float4_widen() in valuecodec.h */
} MsValueKind;

/*
 * Rows, column by column.  All arrays are borrowed.  Times are microseconds
 * since 2000-01-01, strictly ascending.
 *
 * "nulls" may be NULL (no column has a null), and so may each entry (that
 * column has none).  Where nulls[c][i] is true, values[c][i] is unspecified.
 */
typedef struct MsRows
{
	int			nrows;
	int			ncols;
	int64	   *times;			/* [nrows] */
	double	  **values;			/* [ncols] arrays of nrows */
	bool	  **nulls;			/* [ncols] arrays of nrows, or NULL */
} MsRows;

/*
 * Scratch memory of the codecs.  The caller allocates ms_codec_work_size()
 * bytes, 64-aligned; it needs no initialisation and holds nothing between
 * calls.
 */
typedef struct MsCodecWork MsCodecWork;

/*
 * An opened chunk: borrowed bytes and what a walk over the block headers
 * told.  Callers may read the first group of fields.
 */
typedef struct MsChunk
{
	int			nrows;			/* 1 .. MS_CHUNK_MAX_ROWS */
	int			ncols;			/* 0 .. MS_MAX_VALUES */
	int			nblocks;		/* blocks as a reader sees them */
	bool		open;			/* not written with MS_CHUNK_SEALED */
	int64		tmin;			/* first time */
	int64		tmax;			/* last time */
	Size		len;			/* size of the chunk in bytes */

	const uint8 *bytes;			/* borrowed */
	const uint8 *begins;		/* directory: where each column's streams
								 * begin */
	const uint8 *blocks;		/* first block's header */
	const uint8 *streams;		/* end of the blocks' headers and times */
	int			width;			/* bytes of a directory's entry */
} MsChunk;

/* What the bytes of a chunk are for; together they are the chunk's length. */
typedef struct MsChunkParts
{
	uint64		headers;		/* of the chunk and its blocks */
	uint64		times;
	uint64		values;
} MsChunkParts;

/*
 * One block, as a reader sees it.  Filled by the iterator; callers may read
 * the first group of fields.  Points into the chunk's bytes.
 */
typedef struct MsBlockInfo
{
	int			index;			/* 0 .. nblocks - 1 */
	int			row;			/* number of its first row in the chunk */
	int			nrows;			/* 1 .. MS_BLOCK_ROWS */
	int64		tmin;			/* first time */
	int64		tmax;			/* last time */

	/* the stored block this is, or is a slice of */
	int			stored_nrows;	/* rows of the stored block */
	int			slice;			/* first row within the stored block */
	uint8		head;			/* its first byte */
	int64		first;			/* its first time */
	int64		last;			/* its last time */
	int64		step;			/* of the time grid, in units; 0 if one row */
	const uint8 *begins;		/* directory: where its streams begin */
	const uint8 *ends;			/* and where they end, unless it is the last */
	const uint8 *times;			/* its times, if irregular */
	Size		times_len;
	const uint8 *next;			/* end of its header and times */
} MsBlockInfo;

/*
 * What is known of a column in a block (or of any set of values).
 *
 * "count" is the number of values that are not null; the others are
 * meaningless if it is 0.  "min" and "max" are values that occur, in the
 * order of PostgreSQL's float8 (all NaN equal and above everything); among
 * equals (0.0 and -0.0, NaNs) the last one counts, as in PostgreSQL's
 * aggregates.  "sum" is the exact sum of the values, rounded once, where all
 * are multiples of one power of ten or two (they nearly always are), and
 * else the float8 sum in row order: it may differ in the last bits from
 * adding one by one, but never from one call to the next.
 */
typedef struct MsSummary
{
	int			count;
	bool		has_nan;		/* some value is NaN; then so are max and sum */
	double		min;
	double		max;
	double		sum;
} MsSummary;

extern Size ms_codec_work_size(void);

/* ---- writers: chunk_write.c ---- */

extern Size ms_chunk_bound(int nrows, int ncols);
extern Size ms_chunk_append_bound(const uint8 *chunk, Size len,
								  int nrows, int ncols, int flags);
extern Size ms_chunk_concat_bound(const uint8 *a, Size alen,
								  const uint8 *b, Size blen, int flags);
extern Size ms_chunk_encode(const MsRows *rows, int first, int n,
							const uint8 *kinds, int flags,
							uint8 *dst, MsCodecWork *work);
extern Size ms_chunk_append(const uint8 *chunk, Size len,
							const MsRows *rows,
							const uint8 *kinds, int flags,
							uint8 *dst, MsCodecWork *work);
extern Size ms_chunk_concat(const uint8 *a, Size alen,
							const uint8 *b, Size blen,
							const uint8 *kinds, int flags,
							uint8 *dst, MsCodecWork *work);

/* ---- readers: chunk_read.c ---- */

extern bool ms_chunk_open(MsChunk *c, const uint8 *bytes, Size len);
extern bool ms_chunk_parts(const uint8 *bytes, Size len, MsChunkParts *parts);
extern bool ms_chunk_open_header(MsChunk *c, const uint8 *bytes, Size len);
extern bool ms_chunk_is_last(const MsChunk *c, const MsBlockInfo *b);
extern bool ms_chunk_first_block(const MsChunk *c, MsBlockInfo *info);
extern bool ms_chunk_next_block(const MsChunk *c, MsBlockInfo *info);
extern bool ms_chunk_block(const MsChunk *c, int i, MsBlockInfo *info);
extern bool ms_chunk_block_summary(const MsChunk *c, const MsBlockInfo *b,
								   int col, MsSummary *s);
extern bool ms_chunk_block_totals(const MsChunk *c, const MsBlockInfo *b,
								  int col, MsSummary *s, MsCodecWork *work);
extern bool ms_chunk_block_run_totals(const MsChunk *c, const MsBlockInfo *b, int col,
									  const int *bounds, int nruns,
									  MsSummary *results, MsCodecWork *work);
extern bool ms_chunk_block_times(const MsChunk *c, const MsBlockInfo *b,
								 int64 *out);
extern bool ms_chunk_block_values(const MsChunk *c, const MsBlockInfo *b,
								  int col, double *out, bool *nulls,
								  bool *has_nulls, MsCodecWork *work);
extern bool ms_chunk_block_value(const MsChunk *c, const MsBlockInfo *b,
								 int col, int row, double *out, bool *isnull);
extern bool ms_chunk_decode(const MsChunk *c, const bool *need,
							MsRows *out, MsCodecWork *work);
extern bool ms_chunk_validate(const uint8 *bytes, Size len,
							  MsCodecWork *work);

/* ---- copying: chunk_copy.c ---- */

extern void ms_chunk_copy(uint8 *dst, const uint8 *bytes, Size len,
						  const bool *need, int nneed, int64 lo, int64 hi);

#endif							/* MS_CHUNK_H */
