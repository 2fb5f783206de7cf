/*-------------------------------------------------------------------------
 *
 * snapfmt_file.c (fuzz target)
 *	  Any bytes as a snapshot file; and any bytes in a snapshot file.
 *
 * The first byte chooses.  Even: the rest is a file, which is read to its end or
 * first error.  Odd: the same, after the checksums that lie where the lengths say have
 * been set right, so that what is behind them is reached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/snapfmt.h"

typedef struct Memory
{
	const uint8 *data;
	Size		len;
	Size		pos;
} Memory;

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static bool
memory_fill(void *arg, uint8 *buf, Size len)
{
	Memory	   *m = arg;

	if (len > m->len - m->pos)
		abort();				/* it was told the size */
	memcpy(buf, m->data + m->pos, len);
	m->pos += len;
	return true;
}

static void
read_payload(uint32 type, const uint8 *payload, Size len)
{
	MsReader	r;
	MsSnapWindow window;
	MsSnapSlot	slot;
	MsSnapSeries s;
	MsSnapLabel labels[20];
	MsSnapRun	run;
	MsSnapPiece piece;

	ms_reader_init(&r, payload, payload + len);
	if (type == MS_SNAP_WINDOW && ms_snap_get_window(&r, &window))
	{
		for (uint32 i = 0; i < window.nslots && ms_snap_get_slot(&r, &slot); i++)
			;
	}
	while (type == MS_SNAP_SERIES && ms_reader_left(&r) > 0 &&
		   ms_snap_get_series(&r, &s, labels, lengthof(labels)))
		;
	while (type == MS_SNAP_PIECES && ms_reader_left(&r) > 0 &&
		   ms_snap_get_piece(&r, &piece))
		;
	if (type == MS_SNAP_RUN)
		(void) ms_snap_get_run(&r, &run);
}

static void
read_file(Memory *m)
{
	MsSnapFile	f;
	MsSnapNext	next;

	if (!ms_snap_open(&f, memory_fill, m, m->len, MS_SNAP_KIND_WINDOW))
	{
		if (f.error == NULL)
			abort();
		return;
	}
	while ((next = ms_snap_next(&f)) == MS_SNAP_SECTION)
	{
		uint8	   *payload = malloc(Max(f.len, 1));

		if (payload == NULL)
			abort();
		if (ms_snap_payload(&f, payload))
			read_payload(f.type, payload, f.len);
		else if (f.error == NULL)
			abort();
		free(payload);
		if (f.error != NULL)
			return;
	}
	if ((next == MS_SNAP_FINISHED) != (f.error == NULL))
		abort();
	if (next == MS_SNAP_FINISHED && (m->pos != m->len || f.pos != f.size))
		abort();
}

static void
put_crc(uint8 *at, Size len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, at, len);
	FIN_CRC32C(crc);
	ms_store_bytes(at + len, crc, 4);
}

static void
mend(uint8 *data, Size size)
{
	Size		at = MS_SNAP_HEADER_SIZE;

	if (size < MS_SNAP_HEADER_SIZE)
		return;
	put_crc(data, MS_SNAP_HEADER_SIZE - 4);
	while (size - at >= MS_SNAP_SECTION_HEAD + MS_SNAP_SECTION_TAIL)
	{
		uint64		len = ms_load64(data + at + 8);

		if (len > size - at - MS_SNAP_SECTION_HEAD - MS_SNAP_SECTION_TAIL)
			return;
		put_crc(data + at, MS_SNAP_SECTION_HEAD + len);
		at += MS_SNAP_SECTION_HEAD + len + MS_SNAP_SECTION_TAIL;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	uint8	   *copy;
	Memory		m;

	if (size < 1)
		return 0;
	copy = malloc(size);
	if (copy == NULL)
		abort();
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		mend(copy, size - 1);
	m.data = copy;
	m.len = size - 1;
	m.pos = 0;
	read_file(&m);
	free(copy);
	return 0;
}
