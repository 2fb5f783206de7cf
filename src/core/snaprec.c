/*-------------------------------------------------------------------------
 *
 * snaprec.c
 *	  What the sections of a snapshot file hold: windows, series, runs, pieces.
 *
 * The file of a window is, in this order:
 *
 *		WINDOW		which table and window, its settings and columns
 *		SERIES ...	series by ascending number: labels and chunk
 *		RUN			a run's head, followed by as many
 *		PIECES ...	as hold all its pieces; then the next run
 *
 * Series carry a number so that pieces can name them; it means something
 * within the file only, as the table may number them otherwise by the time
 * the file is read.  Series and pieces are grouped into sections so that one
 * is a good size to read at a time; where a group ends has no meaning.
 *
 * Layout; v is a varint, z a zigzag varint (core/bits.h):
 *
 *		WINDOW	v spc | v db | v rel | z start | v end - start | v flags |
 *				v lsn | v round | v chunk_interval | v retain | v max_series |
 *				v on_full | v on_out_of_range | v nchunks | v nruns |
 *				v nsamples | v nslots | slots
 *				flags: 1 sealed, 2 logged
 *		slot	z attnum | 1 role | 1 kind | v flags | 8 missing, with flag 1
 *		series	v sid | v nlabels | labels | v chunk_len | chunk
 *		label	v len + 1 | bytes; or v 0 for none
 *		RUN		v xid | v cid | v txn | v order | v seq | v npieces | v bytes
 *		piece	v sid | 1 kind | v len | bytes
 *
 * The readers check ranges that they need themselves and that the types of
 * their results demand.  Whether roles, kinds or settings make sense is for
 * the store to judge, and whether a chunk does, for ms_chunk_open().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/snapfmt.h"

#define FLAG_SEALED		0x1
#define FLAG_LOGGED		0x2
#define FLAG_MISSING	0x1

/* A varint of at most "max"; what is larger is malformed. */
static uint64
get_limited(MsReader *r, uint64 max)
{
	uint64		x = ms_get_varint(r);

	if (x > max)
	{
		ms_reader_fail(r);
		return 0;
	}
	return x;
}

static int64
get_signed(MsReader *r)
{
	return (int64) ms_get_zigzag(r);
}

static void
put_varint(MsSnapWriter *w, uint64 x)
{
	uint8		buf[MS_VARINT_MAX];

	ms_snap_put(w, buf, ms_put_varint(buf, x) - buf);
}

/*
 * Write a window's head and slots to dst, which has MS_SNAP_WINDOW_MAX +
 * nslots * MS_SNAP_SLOT_MAX bytes.  Returns how many of them were used.
 */
Size
ms_snap_put_window(uint8 *dst, const MsSnapWindow *w, const MsSnapSlot *slots)
{
	uint8	   *p = dst;

	p = ms_put_varint(p, w->spc);
	p = ms_put_varint(p, w->db);
	p = ms_put_varint(p, w->rel);
	p = ms_put_varint(p, ms_zigzag((uint64) w->start));
	p = ms_put_varint(p, (uint64) w->end - (uint64) w->start);
	p = ms_put_varint(p, (w->sealed ? FLAG_SEALED : 0) | (w->logged ? FLAG_LOGGED : 0));
	p = ms_put_varint(p, w->lsn);
	p = ms_put_varint(p, w->round);
	p = ms_put_varint(p, (uint64) w->chunk_interval);
	p = ms_put_varint(p, (uint32) w->retain);
	p = ms_put_varint(p, w->max_series);
	p = ms_put_varint(p, w->on_full);
	p = ms_put_varint(p, w->on_out_of_range);
	p = ms_put_varint(p, w->nchunks);
	p = ms_put_varint(p, w->nruns);
	p = ms_put_varint(p, w->nsamples);
	p = ms_put_varint(p, w->nslots);
	for (uint32 i = 0; i < w->nslots; i++)
	{
		p = ms_put_varint(p, ms_zigzag((uint64) (int64) slots[i].attnum));
		*p++ = slots[i].role;
		*p++ = slots[i].kind;
		*p++ = slots[i].has_missing ? FLAG_MISSING : 0;
		if (slots[i].has_missing)
		{
			ms_store64(p, ms_double_bits(slots[i].missing));
			p += 8;
		}
	}
	return p - dst;
}

/*
 * Read a window's head; its nslots slots follow and are read one by one.
 * False if it is malformed.
 */
bool
ms_snap_get_window(MsReader *r, MsSnapWindow *w)
{
	uint64		span;
	uint64		flags;

	memset(w, 0, sizeof(*w));
	w->spc = get_limited(r, PG_UINT32_MAX);
	w->db = get_limited(r, PG_UINT32_MAX);
	w->rel = get_limited(r, PG_UINT32_MAX);
	w->start = get_signed(r);
	span = ms_get_varint(r);
	w->end = (int64) ((uint64) w->start + span);
	flags = get_limited(r, FLAG_SEALED | FLAG_LOGGED);
	w->sealed = (flags & FLAG_SEALED) != 0;
	w->logged = (flags & FLAG_LOGGED) != 0;
	w->lsn = ms_get_varint(r);
	w->round = ms_get_varint(r);
	w->chunk_interval = get_limited(r, PG_INT64_MAX);
	w->retain = get_limited(r, PG_INT32_MAX);
	w->max_series = get_limited(r, PG_UINT32_MAX);
	w->on_full = get_limited(r, PG_UINT8_MAX);
	w->on_out_of_range = get_limited(r, PG_UINT8_MAX);
	w->nchunks = get_limited(r, PG_UINT32_MAX);
	w->nruns = get_limited(r, PG_UINT32_MAX);
	w->nsamples = ms_get_varint(r);
	w->nslots = get_limited(r, ms_reader_left(r));
	return !r->bad && w->end > w->start;
}

/* Read a slot.  False if it is malformed. */
bool
ms_snap_get_slot(MsReader *r, MsSnapSlot *slot)
{
	int64		attnum = get_signed(r);

	slot->attnum = (int16) attnum;
	slot->role = ms_get_byte(r);
	slot->kind = ms_get_byte(r);
	slot->has_missing = get_limited(r, FLAG_MISSING) != 0;
	slot->missing = slot->has_missing ? ms_bits_double(ms_get_fixed64(r)) : 0;
	return !r->bad && attnum == slot->attnum;
}

static Size
label_size(const MsSnapLabel *label)
{
	if (label->data == NULL)
		return 1;
	return ms_varint_size((uint64) label->len + 1) + (Size) label->len;
}

/* Bytes that ms_snap_put_series() will put. */
Size
ms_snap_series_size(const MsSnapSeries *s, const MsSnapLabel *labels)
{
	Size		size = ms_varint_size(s->sid) + ms_varint_size(s->nlabels) +
	ms_varint_size(s->chunk_len) + (Size) s->chunk_len;

	for (uint32 i = 0; i < s->nlabels; i++)
		size += label_size(&labels[i]);
	return size;
}

/* Put a series into the section being written. */
void
ms_snap_put_series(MsSnapWriter *w, const MsSnapSeries *s,
				   const MsSnapLabel *labels)
{
	put_varint(w, s->sid);
	put_varint(w, s->nlabels);
	for (uint32 i = 0; i < s->nlabels; i++)
	{
		if (labels[i].data == NULL)
			put_varint(w, 0);
		else
		{
			put_varint(w, (uint64) labels[i].len + 1);
			ms_snap_put(w, labels[i].data, labels[i].len);
		}
	}
	put_varint(w, s->chunk_len);
	ms_snap_put(w, s->chunk, s->chunk_len);
}

/*
 * Read a series.  Labels and chunk point into the reader's bytes.  False if
 * it is malformed or has more than max_labels labels.
 */
bool
ms_snap_get_series(MsReader *r, MsSnapSeries *s,
				   MsSnapLabel *labels, uint32 max_labels)
{
	memset(s, 0, sizeof(*s));
	s->sid = get_limited(r, PG_UINT32_MAX);
	s->nlabels = get_limited(r, max_labels);
	for (uint32 i = 0; i < s->nlabels; i++)
	{
		uint64		n = get_limited(r, (uint64) PG_UINT32_MAX);

		labels[i].len = n == 0 ? 0 : n - 1;
		labels[i].data = n == 0 ? NULL : ms_get_bytes(r, n - 1);
	}
	s->chunk_len = get_limited(r, PG_UINT32_MAX);
	if (s->chunk_len > 0)
		s->chunk = ms_get_bytes(r, s->chunk_len);
	return !r->bad;
}

/* Write a run's head to dst, which has MS_SNAP_RUN_MAX bytes; returns its size. */
Size
ms_snap_put_run(uint8 *dst, const MsSnapRun *run)
{
	uint8	   *p = dst;

	p = ms_put_varint(p, run->xid);
	p = ms_put_varint(p, run->cid);
	p = ms_put_varint(p, run->txn);
	p = ms_put_varint(p, run->order);
	p = ms_put_varint(p, run->seq);
	p = ms_put_varint(p, run->npieces);
	p = ms_put_varint(p, run->bytes);
	return p - dst;
}

/* Read a run's head.  False if it is malformed. */
bool
ms_snap_get_run(MsReader *r, MsSnapRun *run)
{
	memset(run, 0, sizeof(*run));
	run->xid = get_limited(r, PG_UINT32_MAX);
	run->cid = get_limited(r, PG_UINT32_MAX);
	run->txn = ms_get_varint(r);
	run->order = ms_get_varint(r);
	run->seq = ms_get_varint(r);
	run->npieces = get_limited(r, PG_UINT32_MAX);
	run->bytes = ms_get_varint(r);
	return !r->bad && run->npieces > 0;
}

/* Bytes that ms_snap_put_piece() will put. */
Size
ms_snap_piece_size(const MsSnapPiece *piece)
{
	return ms_varint_size(piece->sid) + 1 + ms_varint_size(piece->len) +
		(Size) piece->len;
}

/* Put a piece into the section being written. */
void
ms_snap_put_piece(MsSnapWriter *w, const MsSnapPiece *piece)
{
	put_varint(w, piece->sid);
	ms_snap_put(w, &piece->kind, 1);
	put_varint(w, piece->len);
	ms_snap_put(w, piece->data, piece->len);
}

/* Read a piece, whose data points into the reader's bytes.  False if it is malformed. */
bool
ms_snap_get_piece(MsReader *r, MsSnapPiece *piece)
{
	memset(piece, 0, sizeof(*piece));
	piece->sid = get_limited(r, PG_UINT32_MAX);
	piece->kind = ms_get_byte(r);
	piece->len = get_limited(r, PG_UINT32_MAX);
	piece->data = ms_get_bytes(r, piece->len);
	return !r->bad;
}
