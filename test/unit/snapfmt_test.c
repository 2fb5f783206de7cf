/*-------------------------------------------------------------------------
 *
 * snapfmt_test.c
 *	  Snapshot files: what is written comes back, and nothing else does.
 *
 * Files are made in memory from random windows, series, runs and pieces,
 * through buffers of every size, and read back.  Then one is damaged in every
 * way a disk or a careless hand might: each byte changed, cut off at each
 * length, bytes appended, sections missing, doubled, exchanged, taken from
 * another file.  All of that has to be noticed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/snapfmt.h"

#undef printf
#undef fprintf

#define MAX_FILE	(4 * 1024 * 1024)
#define MAX_SLOTS	8
#define MAX_LABELS	6

static int	ntests = 0;
static int	nfailed = 0;
static uint64 rng;

static void
ok(bool cond, const char *what)
{
	ntests++;
	if (!cond)
		nfailed++;
	printf("%sok %d - %s\n", cond ? "" : "not ", ntests, what);
}

/* xorshift64*, Vigna 2016 */
static uint64
rnd64(void)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return rng * UINT64CONST(2685821657736338717);
}

static uint32
rnd(uint32 n)
{
	return (uint32) (rnd64() >> 33) % n;
}

/* Of any magnitude. */
static uint64
rnd_wide(int bits)
{
	return rnd64() >> (63 - rnd(bits)) >> (64 - bits);
}

/*
 * A file in memory, as both callbacks see it.
 */
typedef struct Memory
{
	uint8	   *data;
	Size		len;
	Size		cap;			/* writing beyond fails */
	Size		pos;
	int			calls;			/* of the callback, after it failed */
} Memory;

static bool
memory_flush(void *arg, const uint8 *data, Size len)
{
	Memory	   *m = arg;

	if (len > m->cap - m->len)
	{
		m->calls++;
		return false;
	}
	memcpy(m->data + m->len, data, len);
	m->len += len;
	return true;
}

static bool
memory_fill(void *arg, uint8 *buf, Size len)
{
	Memory	   *m = arg;

	if (len > m->len - m->pos)
		return false;
	memcpy(buf, m->data + m->pos, len);
	m->pos += len;
	return true;
}

/*
 * Random contents.  The same seed gives the same contents, so a reader can
 * compare with what it makes up again.
 */
static void
make_window(MsSnapWindow *w, MsSnapSlot *slots)
{
	memset(w, 0, sizeof(*w));
	w->spc = (uint32) rnd_wide(32);
	w->db = (uint32) rnd_wide(32);
	w->rel = (uint32) rnd_wide(32);
	w->start = (int64) rnd_wide(62) * (rnd(2) ? 1 : -1);
	w->end = w->start + 1 + (int64) rnd_wide(60);
	w->sealed = rnd(2) == 0;
	w->lsn = rnd_wide(64);
	w->round = rnd_wide(64);
	w->chunk_interval = (int64) rnd_wide(63);
	w->retain = (int32) rnd_wide(31);
	w->max_series = (uint32) rnd_wide(32);
	w->on_full = (uint8) rnd(256);
	w->on_out_of_range = (uint8) rnd(256);
	w->logged = rnd(2) != 0;
	w->nchunks = (uint32) rnd_wide(32);
	w->nruns = (uint32) rnd_wide(32);
	w->nsamples = rnd_wide(64);
	w->nslots = rnd(MAX_SLOTS + 1);
	for (uint32 i = 0; i < w->nslots; i++)
	{
		memset(&slots[i], 0, sizeof(slots[i]));
		slots[i].attnum = (int16) rnd64();
		slots[i].role = (uint8) rnd(256);
		slots[i].kind = (uint8) rnd(256);
		slots[i].has_missing = rnd(2) == 0;
		if (slots[i].has_missing)
			slots[i].missing = ms_bits_double(rnd64());
	}
}

static uint8 bytes[70000];		/* all labels, chunks and pieces are of these */

static const uint8 *
some_bytes(uint32 len)
{
	return bytes + rnd(sizeof(bytes) - len);
}

static void
make_series(MsSnapSeries *s, MsSnapLabel *labels)
{
	memset(s, 0, sizeof(*s));
	s->sid = (uint32) rnd_wide(32);
	s->nlabels = rnd(MAX_LABELS + 1);
	for (uint32 i = 0; i < s->nlabels; i++)
	{
		labels[i].len = rnd(4) == 0 ? 0 : (uint32) rnd_wide(14);
		labels[i].data = some_bytes(labels[i].len);
		if (labels[i].len == 0 && rnd(2) == 0)
			labels[i].data = NULL;
	}
	s->chunk_len = rnd(4) == 0 ? 0 : (uint32) rnd_wide(16);
	if (s->chunk_len > 0)
		s->chunk = some_bytes(s->chunk_len);
}

static void
make_run(MsSnapRun *run)
{
	memset(run, 0, sizeof(*run));
	run->xid = (uint32) rnd_wide(32);
	run->cid = (uint32) rnd_wide(32);
	run->txn = rnd_wide(64);
	run->order = rnd_wide(64);
	run->seq = rnd_wide(64);
	run->npieces = 1 + (uint32) rnd_wide(31);
	run->bytes = rnd_wide(64);
}

static void
make_piece(MsSnapPiece *piece)
{
	memset(piece, 0, sizeof(*piece));
	piece->sid = (uint32) rnd_wide(32);
	piece->kind = (uint8) rnd(256);
	piece->len = (uint32) rnd_wide(16);
	piece->data = some_bytes(piece->len);
}

/* Writes a file of "sections" sections after the first; true if all was taken. */
static bool
write_file(Memory *m, uint64 seed, int sections, Size buf_size)
{
	MsSnapWriter w;
	uint8	   *buf = malloc(buf_size);
	uint8		head[MS_SNAP_WINDOW_MAX + MAX_SLOTS * MS_SNAP_SLOT_MAX];
	MsSnapWindow window;
	MsSnapSlot	slots[MAX_SLOTS];
	Size		len;
	bool		done;

	rng = seed;
	m->len = 0;
	ms_snap_start(&w, buf, buf_size, memory_flush, m, MS_SNAP_KIND_WINDOW);
	make_window(&window, slots);
	len = ms_snap_put_window(head, &window, slots);
	ms_snap_section(&w, MS_SNAP_WINDOW, len);
	ms_snap_put(&w, head, len);
	for (int i = 0; i < sections; i++)
	{
		MsSnapSeries s[4];
		MsSnapLabel labels[4][MAX_LABELS];
		MsSnapPiece p[4];
		MsSnapRun	run;
		int			n = 1 + (int) rnd(4);

		len = 0;
		switch (rnd(3))
		{
			case 0:
				for (int k = 0; k < n; k++)
				{
					make_series(&s[k], labels[k]);
					len += ms_snap_series_size(&s[k], labels[k]);
				}
				ms_snap_section(&w, MS_SNAP_SERIES, len);
				for (int k = 0; k < n; k++)
					ms_snap_put_series(&w, &s[k], labels[k]);
				break;
			case 1:
				make_run(&run);
				len = ms_snap_put_run(head, &run);
				ms_snap_section(&w, MS_SNAP_RUN, len);
				ms_snap_put(&w, head, len);
				break;
			default:
				for (int k = 0; k < n; k++)
				{
					make_piece(&p[k]);
					len += ms_snap_piece_size(&p[k]);
				}
				ms_snap_section(&w, MS_SNAP_PIECES, len);
				for (int k = 0; k < n; k++)
					ms_snap_put_piece(&w, &p[k]);
				break;
		}
	}
	done = ms_snap_finish(&w);
	if (done && w.written != m->len)
	{
		printf("Bail out! %zu bytes written, %zu counted\n", m->len, (Size) w.written);
		exit(1);
	}
	free(buf);
	return done;
}

static bool
equal(const void *a, const void *b, Size len)
{
	return len == 0 || memcmp(a, b, len) == 0;
}

/* Compares the payload with what the random numbers say it is. */
static bool
check_window(MsReader *r)
{
	MsSnapWindow want;
	MsSnapWindow got;
	MsSnapSlot	slots[MAX_SLOTS];
	MsSnapSlot	slot;

	make_window(&want, slots);
	if (!ms_snap_get_window(r, &got) || got.spc != want.spc || got.db != want.db ||
		got.rel != want.rel || got.start != want.start || got.end != want.end ||
		got.sealed != want.sealed || got.lsn != want.lsn || got.round != want.round ||
		got.chunk_interval != want.chunk_interval || got.retain != want.retain ||
		got.max_series != want.max_series || got.on_full != want.on_full ||
		got.on_out_of_range != want.on_out_of_range || got.logged != want.logged || got.nchunks != want.nchunks ||
		got.nruns != want.nruns || got.nsamples != want.nsamples ||
		got.nslots != want.nslots)
		return false;
	for (uint32 i = 0; i < got.nslots; i++)
	{
		memset(&slot, 0, sizeof(slot));
		if (!ms_snap_get_slot(r, &slot) || slot.attnum != slots[i].attnum ||
			slot.role != slots[i].role || slot.kind != slots[i].kind ||
			slot.has_missing != slots[i].has_missing ||
			ms_double_bits(slot.missing) != ms_double_bits(slots[i].missing))
			return false;
	}
	return ms_reader_left(r) == 0;
}

static bool
check_series(MsReader *r)
{
	MsSnapSeries want;
	MsSnapSeries got;
	MsSnapLabel want_labels[MAX_LABELS];
	MsSnapLabel got_labels[MAX_LABELS];

	make_series(&want, want_labels);
	if (!ms_snap_get_series(r, &got, got_labels, MAX_LABELS) ||
		got.sid != want.sid || got.nlabels != want.nlabels ||
		got.chunk_len != want.chunk_len ||
		!equal(got.chunk, want.chunk, want.chunk_len))
		return false;
	for (uint32 i = 0; i < got.nlabels; i++)
	{
		if ((got_labels[i].data == NULL) != (want_labels[i].data == NULL) ||
			got_labels[i].len != want_labels[i].len ||
			!equal(got_labels[i].data, want_labels[i].data, want_labels[i].len))
			return false;
	}
	return true;
}

static bool
check_run(MsReader *r)
{
	MsSnapRun	want;
	MsSnapRun	got;

	make_run(&want);
	return ms_snap_get_run(r, &got) && got.xid == want.xid && got.cid == want.cid &&
		got.txn == want.txn && got.order == want.order && got.seq == want.seq && got.npieces == want.npieces &&
		got.bytes == want.bytes;
}

static bool
check_piece(MsReader *r)
{
	MsSnapPiece want;
	MsSnapPiece got;

	make_piece(&want);
	return ms_snap_get_piece(r, &got) && got.sid == want.sid &&
		got.kind == want.kind && got.len == want.len &&
		equal(got.data, want.data, want.len);
}

static bool
check_section(MsReader *r, uint32 type)
{
	int			n = 1 + (int) rnd(4);
	uint32		which = rnd(3);

	if (type != (which == 0 ? MS_SNAP_SERIES :
				 which == 1 ? MS_SNAP_RUN : MS_SNAP_PIECES))
		return false;
	if (type == MS_SNAP_RUN)
		return check_run(r) && ms_reader_left(r) == 0;
	for (int k = 0; k < n; k++)
		if (type == MS_SNAP_SERIES ? !check_series(r) : !check_piece(r))
			return false;
	return ms_reader_left(r) == 0;
}

/* Reads a whole file; with a seed, compares its contents too.  NULL, or what is wrong. */
static const char *
read_file(Memory *m, uint64 seed)
{
	MsSnapFile	f;
	MsSnapNext	next;
	bool		first = true;

	rng = seed;
	m->pos = 0;
	if (!ms_snap_open(&f, memory_fill, m, m->len, MS_SNAP_KIND_WINDOW))
		return f.error;
	while ((next = ms_snap_next(&f)) == MS_SNAP_SECTION)
	{
		uint8	   *payload = malloc(f.len + 1);
		bool		good = ms_snap_payload(&f, payload);
		MsReader	r;

		if (good && seed != 0)
		{
			ms_reader_init(&r, payload, payload + f.len);
			if (first ? f.type != MS_SNAP_WINDOW || !check_window(&r) :
				!check_section(&r, f.type))
			{
				free(payload);
				return "contents differ";
			}
		}
		free(payload);
		if (!good)
			return f.error;
		first = false;
	}
	return next == MS_SNAP_FINISHED ? NULL : f.error;
}

static Memory file;

static void
test_round_trips(void)
{
	bool		good = true;

	for (uint64 seed = 1; seed <= 300 && good; seed++)
	{
		static const Size sizes[] = {1, 7, 64, 1000, 4096, 1024 * 1024};

		file.cap = MAX_FILE;
		good = write_file(&file, seed * UINT64CONST(0x9e3779b97f4a7c15), seed % 12,
						  sizes[seed % lengthof(sizes)]) &&
			read_file(&file, seed * UINT64CONST(0x9e3779b97f4a7c15)) == NULL;
	}
	ok(good, "files come back as they were written");
}

/* A file of moderate size that has every kind of section. */
static void
make_example(uint64 seed)
{
	file.cap = MAX_FILE;
	if (!write_file(&file, seed, 8, 4096) || read_file(&file, seed) != NULL)
	{
		printf("Bail out! the example does not read\n");
		exit(1);
	}
}

static void
test_each_byte(void)
{
	static const uint8 masks[] = {0x01, 0x80, 0xff, 0x20};
	int			missed = 0;
	Size		step = file.len > 20000 ? file.len / 20000 : 1;

	for (Size i = 0; i < file.len; i += i < 2000 || i + 2000 > file.len ? 1 : step)
	{
		uint8		mask = masks[i % lengthof(masks)];

		file.data[i] ^= mask;
		if (read_file(&file, 0) == NULL)
			missed++;
		file.data[i] ^= mask;
	}
	ok(missed == 0, "a changed byte is noticed, wherever it is");
}

/* The smallest file there is, with every bit of every byte. */
static void
test_each_bit(void)
{
	int			missed = 0;

	file.cap = MAX_FILE;
	(void) write_file(&file, 77, 1, 4096);
	for (Size i = 0; i < file.len; i++)
		for (int bit = 0; bit < 8; bit++)
		{
			file.data[i] ^= 1 << bit;
			if (read_file(&file, 0) == NULL)
				missed++;
			file.data[i] ^= 1 << bit;
		}
	ok(missed == 0 && read_file(&file, 77) == NULL, "a changed bit is noticed");
}

static void
test_each_length(void)
{
	int			missed = 0;
	Size		len = file.len;
	Size		step = len > 20000 ? len / 20000 : 1;

	for (Size i = 0; i < len; i += i < 2000 || i + 2000 > len ? 1 : step)
	{
		file.len = i;
		if (read_file(&file, 0) == NULL)
			missed++;
	}
	ok(missed == 0, "a truncated file is noticed, wherever it ends");

	missed = 0;
	for (file.len = len + 1; file.len <= len + 100; file.len++)
	{
		memset(file.data + len, (int) file.len, file.len - len);
		if (read_file(&file, 0) == NULL)
			missed++;
	}
	ok(missed == 0, "bytes after the end are noticed");
	file.len = len;
}

/* Where section number n begins. */
static Size
section_at(int n)
{
	Size		at = MS_SNAP_HEADER_SIZE;

	while (n-- > 0)
		at += MS_SNAP_SECTION_HEAD + ms_load64(file.data + at + 8) + MS_SNAP_SECTION_TAIL;
	return at;
}

static void
test_sections(void)
{
	Size		len = file.len;
	uint8	   *copy = malloc(2 * len);
	Memory		changed = {copy, 0, 2 * len, 0, 0};
	Size		a = section_at(2);
	Size		b = section_at(3);
	Size		c = section_at(4);

	/* without the second section */
	memcpy(copy, file.data, a);
	memcpy(copy + a, file.data + b, len - b);
	changed.len = len - (b - a);
	ok(read_file(&changed, 0) != NULL, "a missing section is noticed");

	/* with it twice */
	memcpy(copy, file.data, b);
	memcpy(copy + b, file.data + a, len - a);
	changed.len = len + (b - a);
	ok(read_file(&changed, 0) != NULL, "a doubled section is noticed");

	/* exchanged with the third */
	memcpy(copy, file.data, a);
	memcpy(copy + a, file.data + b, c - b);
	memcpy(copy + a + (c - b), file.data + a, b - a);
	memcpy(copy + c, file.data + c, len - c);
	changed.len = len;
	ok(read_file(&changed, 0) != NULL, "exchanged sections are noticed");

	/* only the end */
	memcpy(copy, file.data, MS_SNAP_HEADER_SIZE);
	changed.len = MS_SNAP_HEADER_SIZE + MS_SNAP_SECTION_HEAD + MS_SNAP_END_PAYLOAD +
		MS_SNAP_SECTION_TAIL;
	memcpy(copy + MS_SNAP_HEADER_SIZE,
		   file.data + len - (changed.len - MS_SNAP_HEADER_SIZE),
		   changed.len - MS_SNAP_HEADER_SIZE);
	ok(read_file(&changed, 0) != NULL, "an end without its sections is noticed");
	free(copy);
}

static void
test_foreign_files(void)
{
	MsSnapFile	f;

	file.pos = 0;
	ok(!ms_snap_open(&f, memory_fill, &file, file.len, MS_SNAP_KIND_DUMP) &&
	   f.version == MS_SNAP_VERSION, "a file of another kind is refused");

	file.data[8]++;
	file.pos = 0;
	ok(!ms_snap_open(&f, memory_fill, &file, file.len, MS_SNAP_KIND_WINDOW) &&
	   f.version == MS_SNAP_VERSION + 1 && strstr(f.error, "version") != NULL,
	   "a file of another format version is refused, and its version told");
	file.data[8]--;

	file.data[0]++;
	file.pos = 0;
	ok(!ms_snap_open(&f, memory_fill, &file, file.len, MS_SNAP_KIND_WINDOW) &&
	   f.version == 0, "a file of somebody else's is refused");
	file.data[0]--;

	file.pos = 0;
	file.len--;
	ok(!ms_snap_open(&f, memory_fill, &file, MS_SNAP_HEADER_SIZE - 1,
					 MS_SNAP_KIND_WINDOW), "a file shorter than any header is refused");
	file.len++;
}

static void
test_write_failures(void)
{
	Size		full;
	bool		noticed = true;
	int			most_calls = 0;

	file.cap = MAX_FILE;
	(void) write_file(&file, 99, 6, 64);
	full = file.len;
	for (Size cap = 0; cap < full; cap += 1 + full / 500)
	{
		file.cap = cap;
		file.calls = 0;
		if (write_file(&file, 99, 6, 64))
			noticed = false;
		most_calls = Max(most_calls, file.calls);
	}
	ok(noticed, "a full disk is noticed, whenever it fills");
	ok(most_calls == 1, "nothing is written after that");
	file.cap = MAX_FILE;
}

/* What the readers make of noise; the sanitizers watch. */
static void
test_noise(void)
{
	uint8	   *noise = malloc(400);
	int			accepted = 0;

	rng = 4711;
	for (int i = 0; i < 200000; i++)
	{
		Size		len = rnd(400);
		uint8	   *exact = malloc(Max(len, 1));
		MsSnapWindow window;
		MsSnapSlot	slot;
		MsSnapSeries s;
		MsSnapLabel labels[MAX_LABELS];
		MsSnapRun	run;
		MsSnapPiece piece;
		MsReader	r;
		bool		good = false;

		for (Size k = 0; k < len; k++)
			noise[k] = (uint8) (rnd(3) ? rnd(8) : rnd(256));
		memcpy(exact, noise, len);
		ms_reader_init(&r, exact, exact + len);
		switch (i % 5)
		{
			case 0:
				good = ms_snap_get_window(&r, &window);
				break;
			case 1:
				good = ms_snap_get_slot(&r, &slot);
				break;
			case 2:
				good = ms_snap_get_series(&r, &s, labels, MAX_LABELS);
				break;
			case 3:
				good = ms_snap_get_run(&r, &run);
				break;
			default:
				good = ms_snap_get_piece(&r, &piece);
				break;
		}
		accepted += good;
		if (good && r.p > r.end)
			accepted = -1000000;
		free(exact);
	}
	free(noise);
	ok(accepted > 1000, "noise is read or refused, and nothing else happens");
}

int
main(void)
{
	rng = 42;
	for (Size i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8) rnd(256);
	file.data = malloc(MAX_FILE);

	test_round_trips();
	test_each_bit();
	make_example(31);
	test_each_byte();
	test_each_length();
	test_sections();
	test_foreign_files();
	test_write_failures();
	test_noise();
	free(file.data);
	printf("1..%d\n", ntests);
	return nfailed != 0;
}
