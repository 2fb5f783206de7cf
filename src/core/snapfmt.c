/*-------------------------------------------------------------------------
 *
 * snapfmt.c
 *	  The format of snapshot and dump files: sections of bytes under checksums.
 *
 * A file outlives the server that wrote it, and may come back damaged,
 * truncated, or as somebody else's.  So nothing in it is believed before a
 * checksum has vouched for it, no length is used before it was held against
 * the size of the file, and a format version that is not ours is refused
 * before anything else is looked at.
 *
 * Layout; all numbers little-endian:
 *
 *		file	magic[8] | version 4 | kind 4 | 0 4 | crc 4
 *				section ...
 *				END section
 *
 *		section type 4 | 0 4 | len 8 | payload[len] | crc 4
 *
 *		END		type MS_SNAP_END; payload: bytes in the file 8 |
 *				sections before this one 8 | file crc 4 | 0 4
 *
 * The crc of the file's header covers the 20 bytes before it; a section's
 * covers its head and its payload.  The file crc covers the file's header and
 * the head and crc of each section before END, which is how sections that are
 * each sound but missing, doubled or from another file are found out, without
 * running over the payload twice.  Every byte is under at least one of them.
 * Nothing follows the END section.
 *
 * All checksums are CRC-32C, with the server's own code, which uses the
 * processor's instructions where it has them.
 *
 * A section's length is written before its payload, so that a reader can
 * fetch it in one piece; therefore a writer must know it before it begins.
 * The payloads are a matter between writer and reader (snaprec.c for the
 * files of the store); all that is said here is that one is at most the file.
 *
 * The writer fills a buffer of the caller's and hands it out when full; a
 * failure to take it is remembered, and told at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/snapfmt.h"

/* A byte that is not ASCII, and line ends that a careless transfer would change. */
static const uint8 snap_magic[8] = {0x8b, 'M', 'S', 'N', 'P', '\r', '\n', 0x1a};

static void
store32(uint8 *p, uint32 x)
{
	ms_store_bytes(p, x, 4);
}

static uint32
load32(const uint8 *p)
{
	return (uint32) ms_load_bytes(p, 4);
}

static pg_crc32c
crc_of(const uint8 *data, Size len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

/*
 * Writing
 */

static void
flush_buffer(MsSnapWriter *w)
{
	if (w->used > 0 && !w->failed && !w->flush(w->arg, w->buf, w->used))
		w->failed = true;
	w->used = 0;
}

/* Pass bytes on as they are; what is large goes past the buffer. */
static void
put_raw(MsSnapWriter *w, const uint8 *data, Size len)
{
	w->written += len;
	if (w->failed)
		return;
	if (len > w->cap - w->used)
	{
		flush_buffer(w);
		if (len >= w->cap)
		{
			if (!w->failed && !w->flush(w->arg, data, len))
				w->failed = true;
			return;
		}
	}
	memcpy(w->buf + w->used, data, len);
	w->used += len;
}

/*
 * Begin a file of the given kind.  "buf" is borrowed until ms_snap_finish; it
 * may have any size, and what the callback gets at a time is about that.
 */
void
ms_snap_start(MsSnapWriter *w, uint8 *buf, Size cap,
			  MsSnapFlush flush, void *arg, uint32 kind)
{
	uint8		head[MS_SNAP_HEADER_SIZE];

	memset(w, 0, sizeof(*w));
	w->buf = buf;
	w->cap = cap;
	w->flush = flush;
	w->arg = arg;

	memcpy(head, snap_magic, 8);
	store32(head + 8, MS_SNAP_VERSION);
	store32(head + 12, kind);
	store32(head + 16, 0);
	store32(head + 20, crc_of(head, 20));
	INIT_CRC32C(w->file_crc);
	COMP_CRC32C(w->file_crc, head, sizeof(head));
	put_raw(w, head, sizeof(head));
}

static void
begin_section(MsSnapWriter *w, uint32 type, uint64 len, uint8 *head)
{
	Assert(w->left == 0);
	store32(head, type);
	store32(head + 4, 0);
	ms_store64(head + 8, len);
	INIT_CRC32C(w->crc);
	COMP_CRC32C(w->crc, head, MS_SNAP_SECTION_HEAD);
	put_raw(w, head, MS_SNAP_SECTION_HEAD);
	w->left = len;
}

static void
end_section(MsSnapWriter *w)
{
	uint8		tail[MS_SNAP_SECTION_TAIL];

	FIN_CRC32C(w->crc);
	store32(tail, w->crc);
	COMP_CRC32C(w->file_crc, tail, sizeof(tail));
	put_raw(w, tail, sizeof(tail));
	w->nsections++;
}

/*
 * Begin a section, of which exactly "len" bytes must be put, at least one.
 */
void
ms_snap_section(MsSnapWriter *w, uint32 type, uint64 len)
{
	uint8		head[MS_SNAP_SECTION_HEAD];

	Assert(type != MS_SNAP_END && len > 0);
	begin_section(w, type, len, head);
	COMP_CRC32C(w->file_crc, head, sizeof(head));
}

/*
 * Put the next bytes of the section's payload; the last ones end it.
 */
void
ms_snap_put(MsSnapWriter *w, const void *data, Size len)
{
	Assert(len <= w->left);
	if (len == 0)
		return;
	COMP_CRC32C(w->crc, data, len);
	put_raw(w, data, len);
	w->left -= len;
	if (w->left == 0)
		end_section(w);
}

/*
 * End the file and hand out what is left in the buffer.  False if the
 * callback ever failed: the file is then worth nothing.
 */
bool
ms_snap_finish(MsSnapWriter *w)
{
	uint8		head[MS_SNAP_SECTION_HEAD];
	uint8		end[MS_SNAP_END_PAYLOAD];
	pg_crc32c	file_crc = w->file_crc;

	FIN_CRC32C(file_crc);
	ms_store64(end, w->written + sizeof(head) + sizeof(end) +
			   MS_SNAP_SECTION_TAIL);
	ms_store64(end + 8, w->nsections);
	store32(end + 16, file_crc);
	store32(end + 20, 0);
	begin_section(w, MS_SNAP_END, sizeof(end), head);
	ms_snap_put(w, end, sizeof(end));
	flush_buffer(w);
	return !w->failed;
}

/*
 * Reading
 */

static bool
fail(MsSnapFile *f, const char *why)
{
	/* The first reason is the one to tell. */
	if (f->error == NULL)
		f->error = why;
	return false;
}

static bool
fill(MsSnapFile *f, uint8 *buf, Size len)
{
	if (f->error != NULL)
		return false;
	if (len > f->size - f->pos)
		return fail(f, "the file is truncated");
	if (!f->fill(f->arg, buf, len))
		return fail(f, "the file cannot be read");
	f->pos += len;
	return true;
}

/*
 * Begin to read a file of "size" bytes.  False, with f->error, if it is not a
 * file of that kind and of our format version; f->version is set as soon as
 * the file looks like one of ours (else 0).
 */
bool
ms_snap_open(MsSnapFile *f, MsSnapFill fill_callback, void *arg,
			 uint64 size, uint32 kind)
{
	uint8		head[MS_SNAP_HEADER_SIZE];

	memset(f, 0, sizeof(*f));
	f->fill = fill_callback;
	f->arg = arg;
	f->size = size;
	if (!fill(f, head, sizeof(head)))
		return false;
	if (memcmp(head, snap_magic, sizeof(snap_magic)) != 0)
		return fail(f, "the file is not one of memseries");

	/* Another version may have put its checksum elsewhere. */
	f->version = load32(head + 8);
	if (f->version != MS_SNAP_VERSION)
		return fail(f, "the format version is not supported");
	if (load32(head + 20) != crc_of(head, 20))
		return fail(f, "the checksum of the file's header is wrong");
	if (load32(head + 12) != kind || load32(head + 16) != 0)
		return fail(f, "the file is of another kind");
	INIT_CRC32C(f->file_crc);
	COMP_CRC32C(f->file_crc, head, sizeof(head));
	return true;
}

static MsSnapNext
read_end(MsSnapFile *f)
{
	uint8		end[MS_SNAP_END_PAYLOAD];
	pg_crc32c	file_crc = f->file_crc;

	if (f->len != sizeof(end))
	{
		fail(f, "the last section is malformed");
		return MS_SNAP_FAILED;
	}
	if (!ms_snap_payload(f, end))
		return MS_SNAP_FAILED;
	FIN_CRC32C(file_crc);
	if (load32(end + 16) != file_crc)
		fail(f, "the checksum of the file is wrong");
	else if (ms_load64(end + 8) != f->nsections - 1 || load32(end + 20) != 0)
		fail(f, "the last section is malformed");
	else if (ms_load64(end) != f->pos || f->pos != f->size)
		fail(f, "the file is longer than it should be");
	return f->error == NULL ? MS_SNAP_FINISHED : MS_SNAP_FAILED;
}

/*
 * Go to the next section.  Before the next call, its payload has to be read
 * with ms_snap_payload.  The head is not yet vouched for, but f->len is at
 * most what is left of the file.
 */
MsSnapNext
ms_snap_next(MsSnapFile *f)
{
	uint8		head[MS_SNAP_SECTION_HEAD];

	if (!fill(f, head, sizeof(head)))
		return MS_SNAP_FAILED;
	f->type = load32(head);
	f->len = ms_load64(head + 8);
	if (load32(head + 4) != 0)
	{
		fail(f, "a section's head is malformed");
		return MS_SNAP_FAILED;
	}
	if (f->size - f->pos < MS_SNAP_SECTION_TAIL ||
		f->len > f->size - f->pos - MS_SNAP_SECTION_TAIL)
	{
		fail(f, "the file is truncated");
		return MS_SNAP_FAILED;
	}
	INIT_CRC32C(f->crc);
	COMP_CRC32C(f->crc, head, sizeof(head));
	if (f->type == MS_SNAP_END)
		return read_end(f);
	COMP_CRC32C(f->file_crc, head, sizeof(head));
	return MS_SNAP_SECTION;
}

/*
 * Read the payload of the section at hand into buf, which has f->len bytes.
 * True if its checksum is right; only then may it be looked at.
 */
bool
ms_snap_payload(MsSnapFile *f, uint8 *buf)
{
	uint8		tail[MS_SNAP_SECTION_TAIL];

	if (!fill(f, buf, f->len) || !fill(f, tail, sizeof(tail)))
		return false;
	COMP_CRC32C(f->crc, buf, f->len);
	FIN_CRC32C(f->crc);
	if (load32(tail) != f->crc)
		return fail(f, "the checksum of a section is wrong");
	if (f->type != MS_SNAP_END)
		COMP_CRC32C(f->file_crc, tail, sizeof(tail));
	f->nsections++;
	return true;
}
