/*-------------------------------------------------------------------------
 *
 * wal.h
 *	  The WAL records of memseries.
 *
 * Four records say everything that happens to a logged table's content; a fifth
 * marks snapshots.  They are logical: replay appends the same runs and drops
 * the same windows, and what the keeper does (folding, sealing) is not in WAL
 * at all, because it changes nothing that a reader sees.
 *
 *	RUN			MsXlRun, then the pieces: a run was appended
 *	ORDER		MsXlOrder: a transaction about to commit numbers its runs
 *	TABLE		MsXlTable, then MsSlot[nslots]: settings and column slots
 *	DROP_WINDOW	MsXlWindow: a window has expired
 *	SNAPEND		MsXlSnapEnd: a snapshot that covers a redo point has been
 *				written, and is put in place once this record is durable
 *
 * Each window remembers the end of the last record that was applied to it, and
 * its snapshot file carries that along: replay skips what the window holds.
 *
 * Structs are written as they are, padding zeroed, as elsewhere in WAL: a WAL
 * stream never moves between machine architectures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_WAL_H
#define MS_WAL_H

#include "access/xlogreader.h"
#include "lib/stringinfo.h"
#include "store/run.h"

/* Of those that PostgreSQL leaves to extensions (128 to 255). */
#define MS_RMGR_ID		180
#define MS_RMGR_NAME	"memseries"

#define MS_XLOG_RUN			0x00
#define MS_XLOG_ORDER		0x10
#define MS_XLOG_TABLE		0x20
#define MS_XLOG_DROP_WINDOW	0x30
#define MS_XLOG_SNAPEND		0x40

typedef struct MsXlRun
{
	MsTableKey	key;
	TransactionId xid;
	CommandId	cid;
	uint32		npieces;
	uint64		txn;
	uint64		seq;
	uint64		order;
	int64		start;			/* of the window */
	int64		end;
} MsXlRun;

typedef struct MsXlOrder
{
	MsTableKey	key;
	uint64		txn;
	uint64		order;
} MsXlOrder;

typedef struct MsXlTable
{
	MsTableKey	key;
	int32		nslots;
	MsConfig	config;
} MsXlTable;

typedef struct MsXlWindow
{
	MsTableKey	key;
	int64		start;
} MsXlWindow;

typedef struct MsXlSnapEnd
{
	XLogRecPtr	redo;			/* the redo point covered */
	TransactionId oldest_running;	/* whatever precedes it has ended, and
									 * said so in WAL before this */
} MsXlSnapEnd;

extern void ms_wal_init(void);	/* registers the resource manager */

/*
 * Inserting.  The bytes of a run's pieces are put together beforehand (palloc'd; ERROR if they
 * are more than a record can hold); everything else is called in a critical section, with the table's lock held
 * exclusively, and returns the end of the record.
 */
extern char *ms_wal_encode_pieces(const MsRunInput *input, Size *len);
extern XLogRecPtr ms_wal_run(const MsTable *table, const MsWindow *window,
							 const MsRun *run, char *pieces, Size len);
extern XLogRecPtr ms_wal_order(const MsTable *table, uint64 txn, uint64 order);
extern XLogRecPtr ms_wal_table(const MsTable *table);
extern XLogRecPtr ms_wal_drop_window(const MsTableKey *key, int64 start);

/* Inserts SNAPEND and flushes WAL up to it.  No lock held. */
extern void ms_wal_snapend(XLogRecPtr redo);

/* The pieces of a RUN record, palloc'd, pointing into the record; false if it is malformed. */
extern bool ms_wal_decode_pieces(const char *bytes, Size len, uint32 npieces,
								 MsPieceInput **pieces);

/* Describing (wal.c) and replaying (redo.c). */
extern void ms_wal_desc(StringInfo buf, XLogReaderState *record);
extern const char *ms_wal_identify(uint8 info);
extern void ms_wal_redo(XLogReaderState *record);
extern void ms_wal_startup(void);
extern void ms_wal_cleanup(void);

#endif							/* MS_WAL_H */
