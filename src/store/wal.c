/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  Writing and describing the WAL records of memseries.
 *
 * A run's pieces are laid out behind MsXlRun one after the other:
 *
 *		kind (1 byte) | rows, labels, length of data (varints)
 *		per label: 0 for NULL, or length + 1 (varint), then its bytes
 *		data
 *
 * Labels travel by value, not by series id: ids are given out by each store
 * for itself.
 *
 * The settings and slots of a table are logged again before its first run
 * after each checkpoint's redo point, in the manner of full-page images, so
 * that replay from any redo point meets them before it needs them.  Should a
 * checkpoint come between the two records, then the snapshot that belongs to
 * it was taken after the run's window was there, and has the table in that
 * window's file.
 *
 * Locks: see wal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"

#include "storage/procarray.h"

#include "core/bits.h"
#include "store/wal.h"

/* PostgreSQL 16 and later refuse larger records; so do we on 15. */
#define MAX_RECORD_BYTES	((Size) 1020 * 1024 * 1024 - 1024)

static RmgrData rmgr = {
	.rm_name = MS_RMGR_NAME,
	.rm_redo = ms_wal_redo,
	.rm_desc = ms_wal_desc,
	.rm_identify = ms_wal_identify,
	.rm_startup = ms_wal_startup,
	.rm_cleanup = ms_wal_cleanup
};

void
ms_wal_init(void)
{
	RegisterCustomRmgr(MS_RMGR_ID, &rmgr);
}

static Size
piece_bound(const MsPieceInput *piece)
{
	Size		size = 1 + 3 * MS_VARINT_MAX + piece->len;

	for (int i = 0; i < piece->nlabels; i++)
		size += MS_VARINT_MAX + (piece->labels[i].isnull ? 0 : piece->labels[i].len);
	return size;
}

static uint8 *
put_piece(uint8 *p, const MsPieceInput *piece)
{
	*p++ = piece->kind;
	p = ms_put_varint(p, piece->nrows);
	p = ms_put_varint(p, piece->nlabels);
	p = ms_put_varint(p, piece->len);
	for (int i = 0; i < piece->nlabels; i++)
	{
		const MsLabelValue *label = &piece->labels[i];

		p = ms_put_varint(p, label->isnull ? 0 : (uint64) label->len + 1);
		if (!label->isnull && label->len > 0)
		{
			memcpy(p, label->bytes, label->len);
			p += label->len;
		}
	}
	memcpy(p, piece->data, piece->len);
	return p + piece->len;
}

/* See wal.h. */
char *
ms_wal_encode_pieces(const MsRunInput *input, Size *len)
{
	Size		bound = 0;
	uint8	   *bytes;
	uint8	   *p;

	for (int i = 0; i < input->npieces; i++)
		bound += piece_bound(&input->pieces[i]);
	p = bytes = palloc_extended(Max(bound, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < input->npieces; i++)
		p = put_piece(p, &input->pieces[i]);
	*len = p - bytes;
	if (*len > MAX_RECORD_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows gathered for one WAL record"),
				 errhint("Reduce \"memseries.batch_memory\".")));
	return (char *) bytes;
}

/* See wal.h. */
bool
ms_wal_decode_pieces(const char *bytes, Size len, uint32 npieces, MsPieceInput **pieces)
{
	MsReader	r;

	ms_reader_init(&r, (const uint8 *) bytes, (const uint8 *) bytes + len);
	if (npieces > len)
		return false;
	*pieces = palloc0(sizeof(MsPieceInput) * Max(npieces, 1));
	for (uint32 i = 0; i < npieces && !r.bad; i++)
	{
		MsPieceInput *piece = &(*pieces)[i];
		MsLabelValue *labels;
		uint64		nlabels;

		piece->kind = ms_get_byte(&r);
		piece->nrows = ms_get_varint(&r);
		nlabels = ms_get_varint(&r);
		piece->len = ms_get_varint(&r);
		if (nlabels > MS_MAX_SLOTS || piece->kind > MS_PIECE_DELETE)
			return false;
		labels = palloc0(sizeof(MsLabelValue) * Max(nlabels, 1));
		for (uint64 k = 0; k < nlabels; k++)
		{
			uint64		stored = ms_get_varint(&r);

			labels[k].isnull = stored == 0;
			if (stored > 0)
			{
				labels[k].len = stored - 1;
				labels[k].bytes = ms_get_bytes(&r, stored - 1);
			}
		}
		piece->labels = labels;
		piece->nlabels = nlabels;
		piece->data = ms_get_bytes(&r, piece->len);
		if (!r.bad)
			piece->hash = ms_labels_hash(labels, nlabels);
	}
	return !r.bad && ms_reader_left(&r) == 0;
}

XLogRecPtr
ms_wal_run(const MsTable *table, const MsWindow *window, const MsRun *run,
		   char *pieces, Size len)
{
	MsXlRun		xl;

	memset(&xl, 0, sizeof(xl));
	xl.key = table->key;
	xl.xid = run->xid;
	xl.cid = run->cid;
	xl.npieces = run->npieces;
	xl.txn = run->txn;
	xl.seq = run->seq;
	xl.order = run->order;
	xl.start = window->start;
	xl.end = window->end;

	XLogBeginInsert();
	XLogRegisterData((char *) &xl, sizeof(xl));
	XLogRegisterData(pieces, len);
	return XLogInsert(MS_RMGR_ID, MS_XLOG_RUN);
}

XLogRecPtr
ms_wal_order(const MsTable *table, uint64 txn, uint64 order)
{
	MsXlOrder	xl;

	memset(&xl, 0, sizeof(xl));
	xl.key = table->key;
	xl.txn = txn;
	xl.order = order;
	XLogBeginInsert();
	XLogRegisterData((char *) &xl, sizeof(xl));
	return XLogInsert(MS_RMGR_ID, MS_XLOG_ORDER);
}

XLogRecPtr
ms_wal_table(const MsTable *table)
{
	MsXlTable	xl;

	memset(&xl, 0, sizeof(xl));
	xl.key = table->key;
	xl.nslots = table->nslots;
	xl.config.chunk_interval = table->config.chunk_interval;
	xl.config.retain = table->config.retain;
	xl.config.max_series = table->config.max_series;
	xl.config.on_full = table->config.on_full;
	xl.config.on_out_of_range = table->config.on_out_of_range;

	XLogBeginInsert();
	XLogRegisterData((char *) &xl, sizeof(xl));
	if (table->nslots > 0)
		XLogRegisterData(ms_ptr(ms_store->arena, table->slots),
						 sizeof(MsSlot) * table->nslots);
	return XLogInsert(MS_RMGR_ID, MS_XLOG_TABLE);
}

XLogRecPtr
ms_wal_drop_window(const MsTableKey *key, int64 start)
{
	MsXlWindow	xl;

	memset(&xl, 0, sizeof(xl));
	xl.key = *key;
	xl.start = start;
	XLogBeginInsert();
	XLogRegisterData((char *) &xl, sizeof(xl));
	return XLogInsert(MS_RMGR_ID, MS_XLOG_DROP_WINDOW);
}

/* See wal.h.  Never XLogFlush(GetXLogInsertRecPtr()): it errors at the start of a segment. */
void
ms_wal_snapend(XLogRecPtr redo)
{
	MsXlSnapEnd xl;
	XLogRecPtr	end;

	memset(&xl, 0, sizeof(xl));
	xl.redo = redo;
	xl.oldest_running = GetOldestActiveTransactionId();

	/* unimportant: it must not keep an idle server taking checkpoints */
	XLogBeginInsert();
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	XLogRegisterData((char *) &xl, sizeof(xl));
	end = XLogInsert(MS_RMGR_ID, MS_XLOG_SNAPEND);
	XLogFlush(end);
}

static void
desc_key(StringInfo buf, const MsTableKey *key)
{
	appendStringInfo(buf, "storage %u/%u/%u", key->spc, key->db, key->rel);
}

/* For pg_walinspect and wal_debug; pg_waldump does not load resource managers. */
void
ms_wal_desc(StringInfo buf, XLogReaderState *record)
{
	char	   *data = XLogRecGetData(record);

	switch (XLogRecGetInfo(record) & ~XLR_INFO_MASK)
	{
		case MS_XLOG_RUN:
			{
				MsXlRun    *xl = (MsXlRun *) data;

				desc_key(buf, &xl->key);
				appendStringInfo(buf, ", xid %u, cid %u, window " INT64_FORMAT " to " INT64_FORMAT ", pieces %u, seq "
								 UINT64_FORMAT, xl->xid, xl->cid, xl->start, xl->end,
								 xl->npieces, xl->seq);
				if (xl->order == MS_ORDER_PENDING)
					appendStringInfoString(buf, ", order pending");
				else
					appendStringInfo(buf, ", order " UINT64_FORMAT, xl->order);
				break;
			}
		case MS_XLOG_ORDER:
			{
				MsXlOrder  *xl = (MsXlOrder *) data;

				desc_key(buf, &xl->key);
				appendStringInfo(buf, ", transaction " UINT64_FORMAT ", order " UINT64_FORMAT,
								 xl->txn, xl->order);
				break;
			}
		case MS_XLOG_TABLE:
			{
				MsXlTable  *xl = (MsXlTable *) data;

				desc_key(buf, &xl->key);
				appendStringInfo(buf, ", chunk_interval " INT64_FORMAT ", retain %d, slots %d",
								 xl->config.chunk_interval, xl->config.retain, xl->nslots);
				break;
			}
		case MS_XLOG_DROP_WINDOW:
			{
				MsXlWindow *xl = (MsXlWindow *) data;

				desc_key(buf, &xl->key);
				appendStringInfo(buf, ", window " INT64_FORMAT, xl->start);
				break;
			}
		case MS_XLOG_SNAPEND:
			{
				MsXlSnapEnd *xl = (MsXlSnapEnd *) data;

				appendStringInfo(buf, "redo %X/%X, oldest running xid %u",
								 LSN_FORMAT_ARGS(xl->redo), xl->oldest_running);
				break;
			}
	}
}

const char *
ms_wal_identify(uint8 info)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case MS_XLOG_RUN:
			return "RUN";
		case MS_XLOG_ORDER:
			return "ORDER";
		case MS_XLOG_TABLE:
			return "TABLE";
		case MS_XLOG_DROP_WINDOW:
			return "DROP_WINDOW";
		case MS_XLOG_SNAPEND:
			return "SNAPEND";
	}
	return NULL;
}
