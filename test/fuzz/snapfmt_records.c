/*-------------------------------------------------------------------------
 *
 * snapfmt_records.c (fuzz target)
 *	  Any bytes as what a section of a snapshot file holds.
 *
 * The first byte chooses the record.  There is one way to write each, so what
 * is read, written again, must give the bytes it was read from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/snapfmt.h"

#define MAX_LABELS	100

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
must_equal(const uint8 *a, const uint8 *b, Size len)
{
	must(memcmp(a, b, len) == 0);
}

static void
window(MsReader *r, const uint8 *from)
{
	MsSnapWindow w;
	MsSnapSlot *slots;
	uint8	   *again;
	Size		len;

	if (!ms_snap_get_window(r, &w))
		return;
	must(w.end > w.start);
	slots = calloc(w.nslots + 1, sizeof(MsSnapSlot));
	again = malloc(MS_SNAP_WINDOW_MAX + (Size) w.nslots * MS_SNAP_SLOT_MAX);
	must(slots != NULL && again != NULL);
	for (uint32 i = 0; i < w.nslots; i++)
		if (!ms_snap_get_slot(r, &slots[i]))
		{
			free(slots);
			free(again);
			return;
		}
	len = ms_snap_put_window(again, &w, slots);
	must(len == (Size) (r->p - from));
	must_equal(again, from, len);
	free(slots);
	free(again);
}

static void
run(MsReader *r, const uint8 *from)
{
	MsSnapRun	head;
	uint8		again[MS_SNAP_RUN_MAX];
	Size		len;

	if (!ms_snap_get_run(r, &head))
		return;
	must(head.npieces > 0);
	len = ms_snap_put_run(again, &head);
	must(len == (Size) (r->p - from));
	must_equal(again, from, len);
}

/* Keeps the bytes written. */
typedef struct Output
{
	uint8	   *data;
	Size		len;
} Output;

static bool
keep(void *arg, const uint8 *data, Size len)
{
	Output	   *out = arg;

	memcpy(out->data + out->len, data, len);
	out->len += len;
	return true;
}

static void
series_or_piece(MsReader *r, const uint8 *from, bool series)
{
	MsSnapSeries s;
	MsSnapLabel labels[MAX_LABELS];
	MsSnapPiece piece;
	MsSnapWriter w;
	uint8		buf[64];
	Output		out = {NULL, 0};
	Size		len;

	if (series ? !ms_snap_get_series(r, &s, labels, MAX_LABELS) :
		!ms_snap_get_piece(r, &piece))
		return;
	len = series ? ms_snap_series_size(&s, labels) : ms_snap_piece_size(&piece);
	must(len == (Size) (r->p - from));
	out.data = malloc(len + 1000);
	must(out.data != NULL);
	ms_snap_start(&w, buf, sizeof(buf), keep, &out, MS_SNAP_KIND_WINDOW);
	ms_snap_section(&w, series ? MS_SNAP_SERIES : MS_SNAP_PIECES, len);
	if (series)
		ms_snap_put_series(&w, &s, labels);
	else
		ms_snap_put_piece(&w, &piece);
	must(w.left == 0);
	must(ms_snap_finish(&w));
	must_equal(out.data + MS_SNAP_HEADER_SIZE + MS_SNAP_SECTION_HEAD, from, len);
	free(out.data);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	MsReader	r;

	if (size < 1)
		return 0;
	ms_reader_init(&r, data + 1, data + size);
	switch (data[0] % 4)
	{
		case 0:
			window(&r, data + 1);
			break;
		case 1:
			run(&r, data + 1);
			break;
		default:
			series_or_piece(&r, data + 1, data[0] % 4 == 2);
			break;
	}
	return 0;
}
