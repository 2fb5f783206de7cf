/*-------------------------------------------------------------------------
 *
 * snapfmt.h
 *	  The format of snapshot and dump files: sections of bytes under checksums.
 *
 * The essay and the layout are in snapfmt.c (the file) and snaprec.c (what
 * sections hold).  Nothing here allocates, locks, throws or does I/O: bytes
 * come and go through callbacks and memory of the caller's.  The readers take
 * hostile bytes; the writers trust their caller.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SNAPFMT_H
#define MS_SNAPFMT_H

#include "port/pg_crc32c.h"

#include "core/bits.h"

#define MS_SNAP_VERSION		2	/* raised whenever the meaning of any byte
								 * changes, chunks included */

/* What a file is for.  On disk. */
#define MS_SNAP_KIND_WINDOW	1	/* one window of one table; store/snapshot.c */
#define MS_SNAP_KIND_DUMP	2	/* one table, for another server */

/* Types of sections.  On disk; those of a dump are numbered by its writer from MS_SNAP_USER on. */
#define MS_SNAP_END			0	/* the last one; the writer's own */
#define MS_SNAP_WINDOW		1	/* MsSnapWindow, then its slots */
#define MS_SNAP_SERIES		2	/* any number of series */
#define MS_SNAP_RUN			3	/* MsSnapRun */
#define MS_SNAP_PIECES		4	/* any number of pieces of the last run */
#define MS_SNAP_USER		64

#define MS_SNAP_HEADER_SIZE		24	/* of a file */
#define MS_SNAP_SECTION_HEAD	16	/* before a section's payload */
#define MS_SNAP_SECTION_TAIL	4	/* behind it */
#define MS_SNAP_END_PAYLOAD		24

/* ---- writing a file: snapfmt.c ---- */

/* Takes len bytes to be written next; false if it cannot, after which it is not called again. */
typedef bool (*MsSnapFlush) (void *arg, const uint8 *data, Size len);

typedef struct MsSnapWriter
{
	uint8	   *buf;			/* borrowed */
	Size		cap;
	Size		used;
	MsSnapFlush flush;
	void	   *arg;			/* of flush */
	bool		failed;			/* flush said so; nothing more is done */
	uint64		written;		/* bytes put so far */
	uint64		left;			/* of the section's payload */
	uint64		nsections;
	pg_crc32c	crc;			/* of the section */
	pg_crc32c	file_crc;
} MsSnapWriter;

extern void ms_snap_start(MsSnapWriter *w, uint8 *buf, Size cap,
						  MsSnapFlush flush, void *arg, uint32 kind);
extern void ms_snap_section(MsSnapWriter *w, uint32 type, uint64 len);
extern void ms_snap_put(MsSnapWriter *w, const void *data, Size len);
extern bool ms_snap_finish(MsSnapWriter *w);

/* ---- reading a file: snapfmt.c ---- */

/* Fills buf with the next len bytes of the file; false if it cannot, after which it is not called again. */
typedef bool (*MsSnapFill) (void *arg, uint8 *buf, Size len);

typedef struct MsSnapFile
{
	MsSnapFill	fill;
	void	   *arg;			/* of fill */
	uint64		size;			/* of the file */
	uint64		pos;			/* bytes read so far */
	uint32		version;		/* as the file states it, once it looks like
								 * one of ours */
	uint32		type;			/* of the section at hand */
	uint64		len;			/* of its payload */
	uint64		nsections;
	pg_crc32c	crc;			/* of the section's head */
	pg_crc32c	file_crc;
	const char *error;			/* why reading failed, in lower case; NULL */
} MsSnapFile;

typedef enum MsSnapNext
{
	MS_SNAP_FAILED = 0,			/* file->error says why */
	MS_SNAP_SECTION,			/* file->type and file->len are set */
	MS_SNAP_FINISHED			/* the whole file was read and is sound */
} MsSnapNext;

extern bool ms_snap_open(MsSnapFile *f, MsSnapFill fill, void *arg,
						 uint64 size, uint32 kind);
extern MsSnapNext ms_snap_next(MsSnapFile *f);
extern bool ms_snap_payload(MsSnapFile *f, uint8 *buf);

/* ---- what sections hold: snaprec.c ---- */

/* A column.  The meaning of its fields is the store's. */
typedef struct MsSnapSlot
{
	int16		attnum;
	uint8		role;
	uint8		kind;
	bool		has_missing;
	double		missing;		/* bit for bit; 0 unless has_missing */
} MsSnapSlot;

#define MS_SNAP_SLOT_MAX	14	/* bytes of one on disk */
#define MS_SNAP_WINDOW_MAX	120 /* bytes of an MsSnapWindow on disk, without
								 * its slots */

/* A window of a table.  Units and meaning as in store/table.h. */
typedef struct MsSnapWindow
{
	uint32		spc;
	uint32		db;
	uint32		rel;
	int64		start;
	int64		end;			/* above start */
	bool		sealed;
	uint64		lsn;
	uint64		round;			/* of two files of a table, the higher one has
								 * the newer settings */

	/* The table's settings. */
	int64		chunk_interval;
	int32		retain;
	uint32		max_series;
	uint8		on_full;
	uint8		on_out_of_range;
	bool		logged;

	/* What follows in the file. */
	uint32		nchunks;
	uint32		nruns;
	uint64		nsamples;		/* in chunks */
	uint32		nslots;
} MsSnapWindow;

extern Size ms_snap_put_window(uint8 *dst, const MsSnapWindow *w,
							   const MsSnapSlot *slots);
extern bool ms_snap_get_window(MsReader *r, MsSnapWindow *w);
extern bool ms_snap_get_slot(MsReader *r, MsSnapSlot *slot);

/* One label of a series: bytes, or none. */
typedef struct MsSnapLabel
{
	const uint8 *data;			/* borrowed; NULL: no value */
	uint32		len;
} MsSnapLabel;

#define MS_SNAP_MAX_LABELS	1664

/* A series: its number in the file, its labels, its chunk. */
typedef struct MsSnapSeries
{
	uint32		sid;
	uint32		nlabels;
	const uint8 *chunk;			/* borrowed; NULL: it has none */
	uint32		chunk_len;
} MsSnapSeries;

extern Size ms_snap_series_size(const MsSnapSeries *s, const MsSnapLabel *labels);
extern void ms_snap_put_series(MsSnapWriter *w, const MsSnapSeries *s,
							   const MsSnapLabel *labels);
extern bool ms_snap_get_series(MsReader *r, MsSnapSeries *s,
							   MsSnapLabel *labels, uint32 max_labels);

/* A run.  Its pieces follow. */
typedef struct MsSnapRun
{
	uint32		xid;
	uint32		cid;
	uint64		txn;
	uint64		order;
	uint64		seq;
	uint32		npieces;		/* at least 1 */
	uint64		bytes;			/* sum of the pieces' lengths, each rounded up
								 * to MS_SNAP_PIECE_ALIGN */
} MsSnapRun;

#define MS_SNAP_PIECE_ALIGN	16
#define MS_SNAP_RUN_MAX		70	/* bytes of one on disk */

extern Size ms_snap_put_run(uint8 *dst, const MsSnapRun *run);
extern bool ms_snap_get_run(MsReader *r, MsSnapRun *run);

typedef struct MsSnapPiece
{
	uint32		sid;
	uint8		kind;
	const uint8 *data;			/* borrowed */
	uint32		len;
} MsSnapPiece;

extern Size ms_snap_piece_size(const MsSnapPiece *piece);
extern void ms_snap_put_piece(MsSnapWriter *w, const MsSnapPiece *piece);
extern bool ms_snap_get_piece(MsReader *r, MsSnapPiece *piece);

#endif							/* MS_SNAPFMT_H */
