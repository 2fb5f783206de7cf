/*-------------------------------------------------------------------------
 *
 * load.h
 *	  Private to load_table: functions_load.c reads the file, load_rows.c
 *	  puts what is in it where it belongs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LOAD_H
#define MS_LOAD_H

#include "fmgr.h"
#include "utils/rel.h"

#include "am/reldesc.h"
#include "core/chunk.h"
#include "dumpfile.h"

/* A label column of the file, and where it goes. */
typedef struct MsLoadLabel
{
	Form_pg_attribute att;		/* borrowed from the tupdesc */
	int			ordinal;		/* in the table's slots */
	Oid			ioparam;
	FmgrInfo	input;
} MsLoadLabel;

/* A value column of the file, and where it goes. */
typedef struct MsLoadValue
{
	Form_pg_attribute att;
	int			ordinal;
	uint8		kind;
} MsLoadValue;

typedef struct MsLoad
{
	Relation	rel;			/* borrowed */
	TupleDesc	tupdesc;		/* borrowed */
	MsRelDesc  *desc;			/* owned copy */
	MsConfig	config;
	CommandId	cid;
	int64		lower;			/* times accepted: [lower, upper) */
	int64		upper;

	/* the file */
	const char *path;
	int			fd;
	MsSnapFile	file;
	uint8	   *section;
	Size		section_cap;

	/* columns of the file, in its order */
	int			encoding;
	int			nlabels;
	MsLoadLabel *label_cols;
	int			nvalues;
	MsLoadValue *value_cols;
	bool		same_order;		/* values have the table's ordinals */
	uint8	   *kinds;			/* [desc->nvalues], by ordinal */

	/* of the series at hand */
	bool		loading;		/* second pass */
	bool		any_series;
	uint32		sid;
	MsSnapLabel *texts;			/* [nlabels] */
	MsLabelValue *labels;		/* [desc->nlabels], in series_context */
	MemoryContext series_context;
	MemoryContext chunk_context;
	MsCodecWork *work;

	uint64		nseries;
	uint64		nchunks;
	uint64		nsamples;
	uint64		nloaded;
	uint64		nskipped;
} MsLoad;

/* ERROR: the file is not, or no longer, what dump_table wrote.  `why`: a sentence without capital and period. */
pg_noreturn extern void ms_load_corrupted(MsLoad *load, const char *why);

/* Text of the file in the server's encoding, palloc'd; ERROR if it is malformed or has no equivalent. */
extern char *ms_load_text(MsLoad *load, const uint8 *bytes, Size len);

/* Makes load->labels of load->texts, in the series context. */
extern void ms_load_labels(MsLoad *load);

/* Loads a chunk, opened and valid, of the series whose labels are at hand. */
extern void ms_load_chunk(MsLoad *load, const uint8 *bytes, uint32 len, const MsChunk *chunk);

#endif							/* MS_LOAD_H */
