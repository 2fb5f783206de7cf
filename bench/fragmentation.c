/*-------------------------------------------------------------------------
 *
 * fragmentation.c
 *	  Days of window expiry, with and without a restart: memseries' arena
 *	  beside a general-purpose allocator.
 *
 * Series of all kinds (constants, counters, gauges, noise) and intervals (1 s
 * to 60 s), some of which go while others come, write samples into windows of
 * four hours, of which eight are kept.  Every minute what has come is folded
 * into chunks, encoded by the real codec, so that sizes are what they are in a
 * server.  Every so often a sample of a window that is over is corrected.  Two
 * hours after the first window has expired there is a restart, in the middle of
 * a window.  The same chunks go to seven memories at once:
 *
 *	memseries	the arena, used as the store uses it: a group for each window,
 *				runs, chunks replaced at each fold, sealing into packed spans a
 *				quarter of an hour after the window's end, packing again where
 *				corrections left holes; once without and once with the restart,
 *				in which chunks are stored as restorefile.c stores them
 *	slab		a small allocator of the usual kind: size classes, superblocks of
 *				64 kB which belong to one class and whoever asks, given back when
 *				empty, pages for what is large.  Chunks are buffers that double;
 *				after the restart they have their exact size, or have grown
 *				again, in random order or in that of time
 *
 * Output: a line for each hour of the two days behind the warm-up, tab
 * separated: hour, and for each memory in use, handed out, and payload in
 * bytes, and the highest in use since the last line.  Exit status 1 if
 * something stays in use when all has expired, or a validator complains.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "core/arena.h"
#include "core/chunk.h"
#include "core/labels.h"
#include "core/vec.h"

#undef printf
#undef fprintf

#define HOUR			60		/* minutes */
#define WINDOW			(4 * HOUR)
#define KEPT			8
#define RING			(KEPT + 2)
#define WARM_UP			(KEPT * WINDOW)
#define RESTART			(WARM_UP + 2 * HOUR)
#define GRACE			(WINDOW / 16)
#define MAX_ROWS		60		/* of a series in a minute */
#define MAX_WINDOW_ROWS	(WINDOW * 60)
#define SECOND			INT64CONST(1000000)
#define ARENA_SIZE		((Size) 1 << 30)

/* as in store/table.h, store/run.h, store/seal.c */
#define STORED_SIZE(len)	(8 + (Size) (len))
#define PIECE_SIZE(len)		TYPEALIGN(MS_UNIT, 20 + (Size) (len))
#define RUN_SIZE			80
#define REPACK_PART			32
#define REPACK_BYTES		(4 * MS_PAGE_SIZE)
#define REPACK_QUIET_PART	128
#define REPACK_QUIET_BYTES	(2 * MS_PAGE_SIZE)

typedef struct Entry
{
	MsRef		chunk;
	MsRef		pieces;
} Entry;

/* ---- random numbers: xorshift64* (Vigna 2016) ---- */

static uint64 rng = 88172645463325252;

static uint32
rnd(uint32 n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (uint32) ((rng * UINT64CONST(2685821657736338717)) >> 33) % n;
}

/* ---- series ---- */

typedef struct Series
{
	int			kind;			/* 0 constant, 1 counter, 2 gauge, 3 noise */
	int			interval;		/* seconds */
	int			phase;			/* microseconds */
	int64		since;			/* minute */
	double		value;
	int			nrows;			/* of this minute */
	int64		times[MAX_ROWS];
	double		values[MAX_ROWS];
} Series;

static int	nseries = 4000;
static int	shown = 48;		/* hours */
static Series *series;
static MsCodecWork *work;

static void
series_begin(Series *s, int64 minute)
{
	static const int interval[20] = {1, 5, 5, 5, 10, 10, 10, 15, 15, 15, 15, 15, 15, 15, 30, 30, 30, 60, 60, 60};
	uint32		dice = rnd(100);

	s->kind = dice < 25 ? 0 : dice < 55 ? 1 : dice < 92 ? 2 : 3;
	s->interval = interval[rnd(20)];
	s->phase = (int) rnd(1000000);
	s->since = minute;
	s->value = rnd(100000);
}

static double
next_value(Series *s)
{
	switch (s->kind)
	{
		case 0:
			break;
		case 1:
			s->value += rnd(4) == 0 ? rnd(200 * s->interval) : 0;
			break;
		case 2:
			s->value += ((int) rnd(21) - 10) / 100.0;
			s->value = rint(s->value * 100) / 100;
			break;
		default:
			s->value = rnd(1 << 30) / 1e6 + rnd(1 << 30) / 1e15;
			break;
	}
	return s->value;
}

/* The samples of one minute. */
static void
series_tick(Series *s, int64 minute)
{
	int64		second;

	s->nrows = 0;
	for (second = minute * 60; second < (minute + 1) * 60; second++)
	{
		if (second % s->interval != 0)
			continue;
		s->times[s->nrows] = second * SECOND + s->phase +
			(rnd(4) == 0 ? (int) rnd(2000) : 0);
		s->values[s->nrows++] = next_value(s);
	}
}

static void
view(MsRows *rows, int n, int64 *times, double **values)
{
	memset(rows, 0, sizeof(*rows));
	rows->nrows = n;
	rows->ncols = 1;
	rows->times = times;
	rows->values = values;
}

/* ---- memseries ---- */

typedef struct Window
{
	MsGroup		group;
	MsVec		index;
	bool		sealed;
	bool		changed;		/* since it was sealed */
	int64		changed_at;		/* minute of the last change */
} Window;

typedef struct Store
{
	MsArena    *arena;
	LWLock		lock;
	void	   *memory;
	Window		windows[RING];
	MsGroup		group;
	MsSeriesTable labels;
	uint32	   *sid;			/* in labels, of each series */
	uint64		peak;
} Store;

static Store plain;
static Store restarted;
static int64 now;				/* minute */
static bool broken = false;

static void
must(bool condition, const char *what)
{
	if (!condition)
	{
		fprintf(stderr, "fragmentation: %s\n", what);
		exit(1);
	}
}

static void
store_open(Store *st)
{
	LWLockInitialize(&st->lock, 1);
	st->memory = calloc(1, ARENA_SIZE);
	must(st->memory != NULL, "no memory");
	st->arena = ms_arena_init((void *) TYPEALIGN(MS_PAGE_SIZE, st->memory),
							  ARENA_SIZE - MS_PAGE_SIZE, &st->lock);
	memset(st->windows, 0, sizeof(st->windows));
	memset(&st->group, 0, sizeof(st->group));
	memset(&st->labels, 0, sizeof(st->labels));
}

static void
window_begin(Window *w)
{
	memset(w, 0, sizeof(*w));
	ms_vec_init(&w->index, sizeof(Entry), 8);
}

/* Gives a series its labels. */
static void
store_name(Store *st, int i)
{
	char		text[3][64];
	MsLabelValue labels[3];
	int			k;

	snprintf(text[0], 64, "metric_%d_total", i % 300);
	snprintf(text[1], 64, "host%03d.example.com:9100", i / 300);
	snprintf(text[2], 64, "{\"since\": " INT64_FORMAT "}", series[i].since);
	for (k = 0; k < 3; k++)
	{
		labels[k].bytes = (uint8 *) text[k];
		labels[k].len = (uint32) strlen(text[k]);
		labels[k].isnull = false;
	}
	st->sid[i] = ms_series_add(st->arena, &st->group, &st->labels, labels, 3,
							   ms_labels_hash(labels, 3), 0);
	must(st->sid[i] != MS_NO_SERIES, "memory is full");
}

static Entry *
entry_of(Store *st, int w, int i)
{
	return ms_vec_at(st->arena, &st->windows[w].index, (uint32) i);
}

/* A chunk as it lies in the arena: its length, its rows, its bytes. */
static const uint8 *
chunk_of(Store *st, int w, int i, uint32 *len)
{
	Entry	   *e = entry_of(st, w, i);
	uint32	   *stored;

	if (e == NULL || e->chunk == 0)
		return NULL;
	stored = ms_ptr(st->arena, e->chunk);
	*len = stored[0];
	return (uint8 *) (stored + 2);
}

static void
store_put(Store *st, int w, int i, const uint8 *bytes, uint32 len, bool packed)
{
	Window	   *win = &st->windows[w];
	Entry	   *e = ms_vec_ensure(st->arena, &win->group, &win->index, (uint32) i, 0);
	MsRef		ref = packed ?
		ms_arena_alloc_packed(st->arena, &win->group, STORED_SIZE(len), 0) :
		ms_arena_alloc(st->arena, &win->group, STORED_SIZE(len), 0);
	uint32	   *stored;

	must(e != NULL && ref != 0, "memory is full");
	stored = ms_ptr(st->arena, ref);
	stored[0] = len;
	memcpy(stored + 2, bytes, len);
	if (e->chunk != 0)
	{
		uint32	   *old = ms_ptr(st->arena, e->chunk);

		ms_arena_free(st->arena, &win->group, e->chunk, STORED_SIZE(old[0]));
	}
	e->chunk = ref;
	win->changed = true;
	win->changed_at = now;
}

/* After all chunks were stored packed. */
static void
store_seal_end(Store *st, int w)
{
	Window	   *win = &st->windows[w];

	must(ms_vec_pack(st->arena, &win->group, &win->index, 0), "memory is full");
	ms_arena_trim_packed(st->arena, &win->group);
	win->sealed = true;
	win->changed = false;
}

/* Packs a sealed window again if corrections have left holes. */
static void
store_repack(Store *st, int w)
{
	Window	   *win = &st->windows[w];
	uint64		in_use = ms_group_in_use(st->arena, &win->group);
	uint64		gap = in_use - ms_group_allocated(st->arena, &win->group);
	bool		quiet = win->changed_at + GRACE <= now;
	int			i;

	if (!win->sealed || !win->changed ||
		gap <= (quiet ? REPACK_QUIET_BYTES : REPACK_BYTES) ||
		gap <= in_use / (quiet ? REPACK_QUIET_PART : REPACK_PART))
		return;
	ms_arena_close_packed(st->arena, &win->group);
	for (i = 0; i < nseries; i++)
	{
		uint32		len;
		const uint8 *bytes = chunk_of(st, w, i, &len);

		if (bytes != NULL)
			store_put(st, w, i, bytes, len, true);
	}
	store_seal_end(st, w);
}

static void
store_expire(Store *st, int w)
{
	ms_arena_free_group(st->arena, &st->windows[w].group);
	window_begin(&st->windows[w]);
}

static uint64
store_in_use(Store *st, uint64 *allocated)
{
	MsArenaStats stats;

	ms_arena_stats(st->arena, &stats);
	if (allocated != NULL)
		*allocated = stats.allocated;
	return stats.in_use;
}

/* Another process: the windows come from files, one after the other. */
static void
store_restart(Store *st)
{
	Store	   *old = malloc(sizeof(Store));
	int			w;
	int			i;

	must(old != NULL, "no memory");
	*old = *st;
	store_open(st);
	for (w = 0; w < RING; w++)
	{
		window_begin(&st->windows[w]);
		for (i = 0; i < nseries; i++)
		{
			uint32		len;
			const uint8 *bytes = chunk_of(old, w, i, &len);

			if (bytes != NULL)
				store_put(st, w, i, bytes, len, old->windows[w].sealed);
		}
		if (old->windows[w].sealed)
			store_seal_end(st, w);
	}
	for (i = 0; i < nseries; i++)
		store_name(st, i);
	free(old->memory);
	free(old);
	st->peak = store_in_use(st, NULL);
}

/* ---- slab ---- */

#define SUPER			(64 * 1024)
#define SLAB_CLASSES	40		/* sizeclass.h's, up to 32 kB */
#define MAX_SUPERS		16384

typedef struct Super
{
	int			cls;			/* -1: not there */
	int			used;
	int			slots;
	int			nfree;
	uint16		free[SUPER / MS_UNIT];
} Super;

typedef struct Handle
{
	int32		super;			/* -1: pages of its own; -2: nothing */
	uint32		slot;
	uint32		cap;			/* bytes asked for */
	uint32		len;			/* of which are filled */
} Handle;

typedef struct Slab
{
	const char *name;
	bool		restart;
	bool		grown;			/* restored buffers grow, or have their size */
	bool		shuffled;		/* restored in random order */
	Super	  **supers;
	int			nsupers;		/* highest ever */
	uint64		partial[SLAB_CLASSES][MAX_SUPERS / 64]; /* with room */
	uint64		in_use;
	uint64		allocated;
	uint64		payload;
	uint64		peak;
	Handle	   *chunks;			/* [RING][nseries] */
} Slab;

static Slab slabs[5] = {
	{.name = "slab"},
	{.name = "exact, random", .restart = true, .shuffled = true},
	{.name = "exact, in order", .restart = true},
	{.name = "grown, random", .restart = true, .grown = true, .shuffled = true},
	{.name = "grown, in order", .restart = true, .grown = true},
};

static int
slab_super(Slab *sl, int cls)
{
	int			w;
	int			s;
	Super	   *super;

	for (w = 0; w < MAX_SUPERS / 64; w++)
	{
		if (sl->partial[cls][w] != 0)
			return w * 64 + pg_rightmost_one_pos64(sl->partial[cls][w]);
	}
	for (s = 0; s < sl->nsupers && sl->supers[s]->cls >= 0; s++)
		;
	must(s < MAX_SUPERS, "the slab allocator is full");
	if (s == sl->nsupers)
	{
		sl->supers[s] = malloc(sizeof(Super));
		must(sl->supers[s] != NULL, "no memory");
		sl->nsupers++;
	}
	super = sl->supers[s];
	super->cls = cls;
	super->used = 0;
	super->slots = SUPER / (int) (ms_class_units(cls) * MS_UNIT);
	super->nfree = super->slots;
	for (w = 0; w < super->slots; w++)
		super->free[w] = (uint16) (super->slots - 1 - w);
	sl->partial[cls][s / 64] |= UINT64CONST(1) << (s % 64);
	sl->in_use += SUPER;
	return s;
}

static void
slab_alloc(Slab *sl, Handle *h, uint32 size)
{
	Super	   *super;
	int			cls;

	h->cap = size;
	sl->allocated += size;
	if (size > MS_MAX_CLASS_SIZE)
	{
		h->super = -1;
		sl->in_use += TYPEALIGN(4096, size);
	}
	else
	{
		cls = ms_class_of_units((uint32) ms_size_units(size));
		h->super = slab_super(sl, cls);
		super = sl->supers[h->super];
		h->slot = super->free[--super->nfree];
		super->used++;
		if (super->nfree == 0)
			sl->partial[cls][h->super / 64] &= ~(UINT64CONST(1) << (h->super % 64));
	}
	if (sl->in_use > sl->peak)
		sl->peak = sl->in_use;
}

static void
slab_free(Slab *sl, Handle *h)
{
	Super	   *super;

	if (h->super == -2)
		return;
	sl->allocated -= h->cap;
	if (h->super == -1)
		sl->in_use -= TYPEALIGN(4096, h->cap);
	else
	{
		super = sl->supers[h->super];
		super->free[super->nfree++] = (uint16) h->slot;
		sl->partial[super->cls][h->super / 64] |= UINT64CONST(1) << (h->super % 64);
		if (--super->used == 0)
		{
			sl->partial[super->cls][h->super / 64] &= ~(UINT64CONST(1) << (h->super % 64));
			super->cls = -1;
			sl->in_use -= SUPER;
		}
	}
	h->super = -2;
}

/* The chunk has so many bytes now: its buffer doubles if need be. */
static void
slab_resize(Slab *sl, Handle *h, uint32 len)
{
	Handle		old = *h;
	uint32		cap = old.super == -2 ? 128 : old.cap;

	while (cap < len)
		cap *= 2;
	if (old.super == -2 || cap != old.cap)
	{
		slab_alloc(sl, h, cap);
		slab_free(sl, &old);
	}
	sl->payload += (int64) len - (int64) h->len;
	h->len = len;
}

static void
slab_drop(Slab *sl, Handle *h)
{
	sl->payload -= h->len;
	h->len = 0;
	slab_free(sl, h);
}

static void
slab_restart(Slab *sl, int oldest)
{
	int			n = RING * nseries;
	int		   *order = malloc(sizeof(int) * n);
	int			i;

	must(order != NULL, "no memory");
	for (i = 0; i < n; i++)
		order[i] = (oldest + i / nseries) % RING * nseries + i % nseries;
	for (i = n - 1; sl->shuffled && i > 0; i--)
	{
		int			k = (int) rnd((uint32) i + 1);
		int			t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	for (i = 0; i < n; i++)
		slab_free(sl, &sl->chunks[i]);
	must(sl->in_use == 0 && sl->allocated == 0, "the slab allocator's books are wrong");
	sl->payload = 0;
	for (i = 0; i < n; i++)
	{
		Handle	   *h = &sl->chunks[order[i]];
		uint32		len = h->len;
		uint32		cap;

		h->len = 0;
		if (len == 0)
			continue;
		if (!sl->grown)
			slab_alloc(sl, h, len);
		for (cap = 128; sl->grown; cap *= 2)
		{
			Handle		old = *h;

			slab_alloc(sl, h, cap);
			slab_free(sl, &old);
			if (cap >= len)
				break;
		}
		h->len = len;
		sl->payload += len;
	}
	free(order);
	sl->peak = sl->in_use;
}

/* ---- the course of time ---- */

static uint8 *bytes_out;
static int64 *all_times;
static double *all_values;
static bool *all_nulls;

/* Decodes a chunk into all_times and all_values, changes one value if asked, and encodes it anew. */
static uint32
reencode(const uint8 *bytes, uint32 len, bool change, int flags)
{
	MsRows		rows;
	MsChunk		c;
	bool	   *nulls = all_nulls;

	must(ms_chunk_open(&c, bytes, len), "a chunk does not open");
	view(&rows, c.nrows, all_times, &all_values);
	rows.nulls = &nulls;
	must(ms_chunk_decode(&c, NULL, &rows, work), "a chunk does not decode");
	if (change)
		all_values[rnd((uint32) c.nrows)] += 1;
	view(&rows, c.nrows, all_times, &all_values);
	return (uint32) ms_chunk_encode(&rows, 0, rows.nrows, NULL, flags, bytes_out, work);
}

/* A new version of a chunk, for all. */
static void
put_everywhere(int w, int i, const uint8 *bytes, uint32 len, bool packed)
{
	int			k;

	store_put(&plain, w, i, bytes, len, packed);
	store_put(&restarted, w, i, bytes, len, packed);
	for (k = 0; k < (int) lengthof(slabs); k++)
		slab_resize(&slabs[k], &slabs[k].chunks[w * nseries + i], (uint32) STORED_SIZE(len));
}

static void
note_peak(Store *st)
{
	uint64		in_use = store_in_use(st, NULL);

	if (in_use > st->peak)
		st->peak = in_use;
}

/* What has come in this minute: a run, folded into the chunks. */
static void
fold_minute(int64 minute)
{
	int			w = (int) (minute / WINDOW % RING);
	Size		size = RUN_SIZE;
	MsRef		run[2];
	int			i;

	for (i = 0; i < nseries; i++)
	{
		MsRows		rows;
		double	   *values = series[i].values;

		series_tick(&series[i], minute);
		if (series[i].nrows == 0)
			continue;
		view(&rows, series[i].nrows, series[i].times, &values);
		size += PIECE_SIZE(ms_chunk_encode(&rows, 0, rows.nrows, NULL, MS_CHUNK_OPEN, bytes_out, work));
	}
	run[0] = ms_arena_alloc(plain.arena, &plain.windows[w].group, size, 0);
	run[1] = ms_arena_alloc(restarted.arena, &restarted.windows[w].group, size, 0);
	must(run[0] != 0 && run[1] != 0, "memory is full");

	for (i = 0; i < nseries; i++)
	{
		MsRows		rows;
		double	   *values = series[i].values;
		const uint8 *old;
		uint32		len;

		if (series[i].nrows == 0)
			continue;
		view(&rows, series[i].nrows, series[i].times, &values);
		old = chunk_of(&plain, w, i, &len);
		len = (uint32) (old == NULL ?
						ms_chunk_encode(&rows, 0, rows.nrows, NULL, MS_CHUNK_OPEN, bytes_out, work) :
						ms_chunk_append(old, len, &rows, NULL, MS_CHUNK_OPEN, bytes_out, work));
		must(len > 0, "a chunk cannot be extended");
		put_everywhere(w, i, bytes_out, len, false);
	}
	note_peak(&plain);
	note_peak(&restarted);
	ms_arena_free(plain.arena, &plain.windows[w].group, run[0], size);
	ms_arena_free(restarted.arena, &restarted.windows[w].group, run[1], size);
}

/* Some samples of the window before are corrected, in a sealed window or one that waits to be. */
static void
correct(int64 minute)
{
	int			w = (int) ((minute / WINDOW + RING - 1) % RING);
	int			n;

	for (n = nseries / 2000; n > 0; n--)
	{
		int			i = (int) rnd((uint32) nseries);
		uint32		len;
		const uint8 *bytes = chunk_of(&plain, w, i, &len);

		if (bytes == NULL)
			continue;
		len = reencode(bytes, len, true, plain.windows[w].sealed ? MS_CHUNK_SEALED : MS_CHUNK_OPEN);
		put_everywhere(w, i, bytes_out, len, false);
	}
	for (w = 0; w < RING; w++)
	{
		store_repack(&plain, w);
		store_repack(&restarted, w);
	}
}

static void
seal(int w)
{
	int			i;

	ms_arena_close_packed(plain.arena, &plain.windows[w].group);
	ms_arena_close_packed(restarted.arena, &restarted.windows[w].group);
	for (i = 0; i < nseries; i++)
	{
		uint32		len;
		const uint8 *bytes = chunk_of(&plain, w, i, &len);

		if (bytes == NULL)
			continue;
		len = reencode(bytes, len, false, MS_CHUNK_SEALED);
		store_put(&plain, w, i, bytes_out, len, true);
		store_put(&restarted, w, i, bytes_out, len, true);
	}
	store_seal_end(&plain, w);
	store_seal_end(&restarted, w);
}

static void
expire(int w)
{
	int			i;
	int			k;

	store_expire(&plain, w);
	store_expire(&restarted, w);
	for (k = 0; k < (int) lengthof(slabs); k++)
	{
		for (i = 0; i < nseries; i++)
			slab_drop(&slabs[k], &slabs[k].chunks[w * nseries + i]);
	}
}

/* Two in a hundred series an hour go, and others come. */
static void
come_and_go(int64 minute)
{
	int			n;

	for (n = nseries / 50; n > 0; n--)
	{
		int			i = (int) rnd((uint32) nseries);

		series_begin(&series[i], minute);
		ms_series_release(plain.arena, &plain.group, &plain.labels, plain.sid[i]);
		ms_series_release(restarted.arena, &restarted.group, &restarted.labels, restarted.sid[i]);
		store_name(&plain, i);
		store_name(&restarted, i);
	}
}

/* What is payload for memseries: the bytes of its chunks. */
static uint64
store_payload(Store *st)
{
	uint64		sum = 0;
	int			w;
	int			i;

	for (w = 0; w < RING; w++)
	{
		for (i = 0; i < nseries; i++)
		{
			uint32		len;

			if (chunk_of(st, w, i, &len) != NULL)
				sum += STORED_SIZE(len);
		}
	}
	return sum;
}

static void
show_store(Store *st)
{
	uint64		allocated;
	uint64		in_use = store_in_use(st, &allocated);

	printf("\t" UINT64_FORMAT "\t" UINT64_FORMAT "\t" UINT64_FORMAT "\t" UINT64_FORMAT,
		   in_use, allocated, store_payload(st), st->peak);
	st->peak = in_use;
}

static void
show(int64 minute)
{
	const char *why;
	int			k;

	printf(INT64_FORMAT, (minute - WARM_UP) / HOUR);
	show_store(&plain);
	show_store(&restarted);
	for (k = 0; k < (int) lengthof(slabs); k++)
	{
		printf("\t" UINT64_FORMAT "\t" UINT64_FORMAT "\t" UINT64_FORMAT "\t" UINT64_FORMAT,
			   slabs[k].in_use, slabs[k].allocated, slabs[k].payload, slabs[k].peak);
		slabs[k].peak = slabs[k].in_use;
	}
	printf("\n");
	fflush(stdout);
	if (!ms_arena_is_valid(plain.arena, &why) || !ms_arena_is_valid(restarted.arena, &why))
	{
		fprintf(stderr, "fragmentation: %s\n", why);
		broken = true;
	}
}

static void
begin(void)
{
	int			i;
	int			k;

	series = calloc(nseries, sizeof(Series));
	plain.sid = calloc(nseries, sizeof(uint32));
	restarted.sid = calloc(nseries, sizeof(uint32));
	all_times = malloc(sizeof(int64) * MAX_WINDOW_ROWS * 2);
	all_values = malloc(sizeof(double) * (MAX_WINDOW_ROWS * 2 + 1024));
	all_nulls = malloc(MAX_WINDOW_ROWS * 2 + 1024);
	bytes_out = malloc(4 * ms_chunk_bound(MAX_WINDOW_ROWS, 1));
	must(posix_memalign((void **) &work, 64, ms_codec_work_size()) == 0, "no memory");
	store_open(&plain);
	store_open(&restarted);
	for (i = 0; i < RING; i++)
	{
		window_begin(&plain.windows[i]);
		window_begin(&restarted.windows[i]);
	}
	for (i = 0; i < nseries; i++)
	{
		series_begin(&series[i], i);
		store_name(&plain, i);
		store_name(&restarted, i);
	}
	for (k = 0; k < (int) lengthof(slabs); k++)
	{
		slabs[k].supers = calloc(MAX_SUPERS, sizeof(Super *));
		slabs[k].chunks = calloc((Size) RING * nseries, sizeof(Handle));
		must(slabs[k].supers != NULL && slabs[k].chunks != NULL, "no memory");
		for (i = 0; i < RING * nseries; i++)
			slabs[k].chunks[i].super = -2;
	}
}

int
main(int argc, char **argv)
{
	int64		minute;
	int			k;

	if (argc > 1)
		nseries = atoi(argv[1]);
	if (argc > 2)
		shown = atoi(argv[2]);
	must(nseries >= 1 && nseries <= 100000 && shown > 0, "usage: fragmentation [series [hours]]");
	begin();
	for (minute = 0; minute <= WARM_UP + shown * HOUR; minute++)
	{
		int64		window = minute / WINDOW;

		now = minute;
		if (minute % WINDOW == 0 && window >= KEPT)
			expire((int) ((window - KEPT) % RING));
		if (minute % HOUR == 0)
			come_and_go(minute);
		if (minute % WINDOW == GRACE && window > 0)
			seal((int) ((window - 1) % RING));
		if (minute == RESTART)
		{
			store_restart(&restarted);
			for (k = 0; k < (int) lengthof(slabs); k++)
			{
				if (slabs[k].restart)
					slab_restart(&slabs[k], (int) ((window + 1) % RING));
			}
		}
		fold_minute(minute);
		if (window > 0)
			correct(minute);
		if (minute >= WARM_UP && minute % HOUR == 0)
			show(minute);
	}

	/* All goes, and nothing is left. */
	for (k = 0; k < RING; k++)
		expire(k);
	ms_arena_free_group(plain.arena, &plain.group);
	ms_arena_free_group(restarted.arena, &restarted.group);
	if (store_in_use(&plain, NULL) != 0 || store_in_use(&restarted, NULL) != 0 || slabs[0].in_use != 0)
	{
		fprintf(stderr, "fragmentation: something stays in use after all has expired\n");
		broken = true;
	}
	return broken;
}
