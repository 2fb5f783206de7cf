/*-------------------------------------------------------------------------
 *
 * arena_test.c
 *	  The arena against a model: random histories of every call, with the
 *	  validators and all counters checked on the way.
 *
 * The model is a plain array of what is allocated: reference, size, group and
 * the byte its memory was filled with.  Objects must not overlap (their
 * contents survive), counters must equal the model's sums, and when the last
 * object is gone, nothing may be in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "arena_util.h"

#define MAX_OBJECTS	20000
#define NGROUPS		6

typedef struct Object
{
	MsRef		ref;
	uint32		size;
	int			group;
	unsigned char fill;
	bool		packed;
} Object;

static uint64 rng;
static LWLock lock;
static MsArena *arena;
static MsGroup groups[NGROUPS];
static Object objects[MAX_OBJECTS];
static int	nobjects;

static void
start(Size size)
{
	arena = arena_create(size, &lock);
	memset(groups, 0, sizeof(groups));
	nobjects = 0;
}

/* What the validators and the statistics say has to match the model. */
static void
check(void)
{
	const char *why;
	MsArenaStats st;
	MsRowStats	rows[MS_NUM_ROWS];
	uint64		allocated[NGROUPS] = {0};
	uint64		count[NGROUPS] = {0};
	uint64		total = 0;
	uint64		pages = 0;
	int			i;
	int			g;

	if (!ms_arena_is_valid(arena, &why))
		die("arena", why);
	for (i = 0; i < nobjects; i++)
	{
		allocated[objects[i].group] += ms_size_units(objects[i].size) * MS_UNIT;
		count[objects[i].group]++;
	}
	for (g = 0; g < NGROUPS; g++)
	{
		uint64		sum = 0;
		uint64		n = 0;

		if (!ms_group_is_valid(arena, &groups[g], &why))
			die("group", why);
		ms_group_row_stats(arena, &groups[g], rows);
		for (i = 0; i < MS_NUM_ROWS; i++)
		{
			sum += rows[i].allocated;
			n += rows[i].objects;
			pages += rows[i].in_use;
			if (rows[i].in_use != rows[i].allocated + rows[i].slack +
				rows[i].free + rows[i].tail + rows[i].dead)
				die("row", "parts are not the whole");
		}
		if (sum != allocated[g] || n != count[g])
			die("group", "counters differ from the model");
		if (sum != ms_group_allocated(arena, &groups[g]))
			die("group", "sums differ");
		total += sum;
	}
	ms_arena_stats(arena, &st);
	if (st.allocated != total || st.in_use != pages)
		die("arena", "counters differ from the model");
	if (st.largest_free > st.free || st.in_use + st.free > st.limit)
		die("arena", "statistics make no sense");
}

/* The validators alone. */
static void
check_books(void)
{
	const char *why;

	if (!ms_arena_is_valid(arena, &why) ||
		!ms_group_is_valid(arena, &groups[0], &why))
		die("books", why);
}

static void
verify_contents(const Object *o)
{
	const unsigned char *p = ms_ptr(arena, o->ref);
	uint32		i;

	if (o->ref == 0 || ((uintptr_t) p) % MS_UNIT != 0)
		die("object", "not aligned");
	for (i = 0; i < o->size; i++)
	{
		if (p[i] != o->fill)
			die("object", "contents changed");
	}
}

static uint32
random_size(void)
{
	switch (rnd(&rng, 8))
	{
		case 0:
			return 1 + rnd(&rng, 128);
		case 1:
			return 1 + rnd(&rng, 40000);
		case 2:
			return rnd(&rng, 16) == 0 ? 1 + rnd(&rng, 400000) : 1 + rnd(&rng, 3000);
		default:
			return 1 + rnd(&rng, 1200);
	}
}

static bool
allocate(bool packed, int flags)
{
	Object	   *o = &objects[nobjects];
	uint32		i;

	if (nobjects == MAX_OBJECTS)
		return false;
	o->size = random_size();
	o->group = rnd(&rng, NGROUPS);
	o->fill = (unsigned char) rnd(&rng, 256);
	o->packed = packed;
	if (packed)
		o->ref = ms_arena_alloc_packed(arena, &groups[o->group], o->size, flags);
	else
		o->ref = ms_arena_alloc(arena, &groups[o->group], o->size, flags);
	if (o->ref == 0)
		return false;
	if (flags & MS_ALLOC_ZERO)
	{
		for (i = 0; i < o->size; i++)
		{
			if (((char *) ms_ptr(arena, o->ref))[i] != 0)
				die("object", "not zeroed");
		}
	}
	memset(ms_ptr(arena, o->ref), o->fill, o->size);
	nobjects++;
	return true;
}

static void
release(int i)
{
	Object		o = objects[i];

	verify_contents(&o);
	objects[i] = objects[--nobjects];
	ms_arena_free(arena, &groups[o.group], o.ref, o.size);
}

static void
release_group(int g)
{
	int			i;

	for (i = nobjects - 1; i >= 0; i--)
	{
		if (objects[i].group == g)
		{
			verify_contents(&objects[i]);
			objects[i] = objects[--nobjects];
		}
	}
	ms_arena_free_group(arena, &groups[g]);
}

static uint64
count_in_classes(void)
{
	MsRowStats	rows[MS_NUM_ROWS];
	uint64		n = 0;
	int			i;

	ms_arena_row_stats(arena, rows);
	for (i = 0; i < MS_NUM_CLASSES; i++)
		n += rows[i].objects;
	return n;
}

/* Returns how many objects were seen in spans of a class, every 1000 steps. */
static uint64
history(uint64 seed, Size size, int nsteps, int every)
{
	MsArenaStats st;
	int			i;
	int			refused = 0;
	int			grow = 60;
	uint64		in_classes = 0;

	rng = seed;
	start(size);

	/* Classes come into play once mixed spans are used up: let that be soon. */
	arena->max_fine = seed % 5 == 0 ? 1024 : rnd(&rng, 20);
	arena->max_mixed = arena->max_fine + rnd(&rng, 20);
	for (i = 0; i < nsteps; i++)
	{
		uint32		what = rnd(&rng, 5000);

		if (i % 1000 == 0)
			grow = 38 + rnd(&rng, 40);
		if (what < (uint32) grow * 50)
			refused += !allocate(rnd(&rng, 3) == 0,
								 (rnd(&rng, 4) == 0 ? MS_ALLOC_ZERO : 0) |
								 (rnd(&rng, 8) == 0 ? MS_ALLOC_RESERVE : 0));
		else if (what < 4996)
		{
			if (nobjects > 0)
				release(rnd(&rng, nobjects));
		}
		else if (what < 4998)
			ms_arena_trim_packed(arena, &groups[rnd(&rng, NGROUPS)]);
		else
			release_group(rnd(&rng, NGROUPS));
		if (i % every == 0)
			check();
		if (i % 1000 == 999)
			in_classes += count_in_classes();
	}
	if (seed % 2)
	{
		while (nobjects > 0)
			release(rnd(&rng, nobjects));
	}
	else
	{
		for (i = 0; i < NGROUPS; i++)
			release_group(i);
	}
	check();
	ms_arena_stats(arena, &st);
	if (st.in_use != 0 || st.allocated != 0 || st.largest_free != st.free)
		die("arena", "something is left in use");
	printf("# seed " UINT64_FORMAT ", %zu bytes, %u + %u mixed pages, %d steps, %d refused, "
		   UINT64_FORMAT " objects in spans of a class\n", seed, (size_t) size,
		   arena->max_fine, arena->max_mixed - arena->max_fine, nsteps, refused, in_classes);
	arena_destroy(arena);
	return in_classes;
}

static void
test_classes(void)
{
	uint32		units;
	int			cls = -1;
	bool		good = true;

	for (units = 1; units <= MS_MAX_CLASS_UNITS; units++)
	{
		int			c = ms_class_of_units(units);

		if (c != cls)
		{
			good &= c == cls + 1;
			good &= cls < 0 || ms_class_units(cls) == units - 1;
			cls = c;
		}
		good &= ms_class_units(c) >= units;
	}
	ok(good && cls == MS_NUM_CLASSES - 1, "classes are monotone and minimal");
	ok(ms_class_units(MS_NUM_CLASSES - 1) == MS_MAX_CLASS_UNITS, "largest class");
	ok(ms_arena_good_size(1) == 16 && ms_arena_good_size(129) == 160 &&
	   ms_arena_good_size(1281) == 1536 && ms_arena_good_size(32769) == 40960,
	   "good sizes");
}

/* Full means full: nothing changes, the reserve remains, and freeing mends it. */
static void
test_full(void)
{
	MsArenaStats before;
	MsArenaStats after;
	static pg_attribute_aligned(128) char small[50000];
	int			n = 0;

	ok(ms_arena_init(small, sizeof(small), &lock) == NULL, "too small a segment is refused");
	start(1024 * 1024);
	while (ms_arena_alloc(arena, &groups[0], 4096, 0) != 0)
		n++;
	ms_arena_stats(arena, &before);
	ok(n > 200 && before.free <= before.reserve + MS_PAGE_SIZE, "fills up to the reserve");
	ok(ms_arena_alloc(arena, &groups[1], 30000, 0) == 0 &&
	   ms_arena_alloc_packed(arena, &groups[1], 30000, 0) == 0 &&
	   ms_arena_alloc(arena, &groups[1], 300000, 0) == 0, "refuses more");
	ms_arena_stats(arena, &after);
	ok(memcmp(&before, &after, sizeof(before)) == 0, "a refusal changes nothing");
	ok(ms_arena_alloc(arena, &groups[1], 16, MS_ALLOC_RESERVE) != 0, "the reserve is there");
	ms_arena_free_group(arena, &groups[0]);
	ok(ms_arena_alloc(arena, &groups[1], 800000, 0) != 0, "freed memory is one run again");
	ok(ms_arena_alloc(arena, &groups[1], (Size) 1 << 40, 0) == 0, "no object above the arena");
	ms_arena_free_group(arena, &groups[1]);
	check();
	arena_destroy(arena);
}

/* However memory was filled and emptied, its reserve is one run: a large chunk can be folded. */
static void
test_reserve(void)
{
	MsArenaStats st;
	MsRef		refs[2000];
	uint32		sizes[2000];
	bool		good = true;
	int			n = 0;
	int			round;

	rng = 4711;
	start(16 * 1024 * 1024);
	for (round = 0; round < 50; round++)
	{
		MsRef		large;

		for (; n < (int) lengthof(refs); n++)
		{
			sizes[n] = MS_MAX_CLASS_SIZE + 1 + rnd(&rng, 100000);
			refs[n] = ms_arena_alloc(arena, &groups[0], sizes[n], 0);
			if (refs[n] == 0)
				break;
		}
		ms_arena_stats(arena, &st);
		large = ms_arena_alloc(arena, &groups[1], st.reserve, MS_ALLOC_RESERVE);
		good &= n > 50 && st.reserve >= 30 * MS_PAGE_SIZE && large != 0;
		if (large != 0)
			ms_arena_free(arena, &groups[1], large, st.reserve);
		while (n > 50)
		{
			int			i = (int) rnd(&rng, (uint32) n);

			ms_arena_free(arena, &groups[0], refs[i], sizes[i]);
			refs[i] = refs[--n];
			sizes[i] = sizes[n];
		}
		check_books();
	}
	ok(good, "the reserve is one run, however the rest is cut");
	arena_destroy(arena);
}

/* Packed objects: what is dead, what is trimmed, and when pages go back. */
static void
test_packed(void)
{
	static MsRef refs[30000];
	MsRowStats	rows[MS_NUM_ROWS];
	MsRowStats *packed = &rows[MS_ROW_PACKED];
	bool		good = true;
	int			i;

	start(8 * 1024 * 1024);
	for (i = 0; i < 30000; i++)
	{
		refs[i] = ms_arena_alloc_packed(arena, &groups[0], 100, 0);
		if (i > 0 && refs[i] != refs[i - 1] + 7)
			good &= (uintptr_t) ms_ptr(arena, refs[i]) % MS_PAGE_SIZE == 0;
	}
	ok(good, "packed objects lie one behind the other");
	ms_arena_trim_packed(arena, &groups[0]);
	ms_group_row_stats(arena, &groups[0], rows);
	ok(packed->allocated == 30000 * 112 && packed->dead == 0 &&
	   packed->tail < MS_PAGE_SIZE * packed->spans, "packed and trimmed");
	for (i = 0; i < 30000; i += 2)
		ms_arena_free(arena, &groups[0], refs[i], 100);
	ms_group_row_stats(arena, &groups[0], rows);
	ok(packed->allocated == 15000 * 112 && packed->dead == 15000 * 112 &&
	   packed->objects == 15000, "half of them are dead");
	check_books();
	for (i = 1; i < 15000; i += 2)
		ms_arena_free(arena, &groups[0], refs[i], 100);
	ms_group_row_stats(arena, &groups[0], rows);
	ok(packed->in_use < 22000 * 112, "spans whose objects are all dead go back");
	for (i = 15001; i < 30000; i += 2)
		ms_arena_free(arena, &groups[0], refs[i], 100);
	ok(ms_group_in_use(arena, &groups[0]) == 0, "all of them gone");
	check_books();
	arena_destroy(arena);
}

/*
 * An open window: n chunks that grow by forty folds, each a new object, some
 * fast and most slowly.  The gap must not get wide.
 */
static void
test_growth(int n, int limit)
{
	static MsRef refs[5000];
	static uint32 sizes[5000];
	static uint32 rates[5000];
	MsArenaStats st;
	char		what[100];
	double		gap = 0;
	int			fold;
	int			i;

	rng = 4711;
	start(32 * 1024 * 1024);
	for (i = 0; i < n; i++)
	{
		sizes[i] = 40;
		rates[i] = rnd(&rng, 100) < 63 ? rnd(&rng, 3) : 5 + rnd(&rng, 60);
		refs[i] = ms_arena_alloc(arena, &groups[0], sizes[i], 0);
	}
	for (fold = 0; fold < 40; fold++)
	{
		for (i = 0; i < n; i++)
		{
			int			k = (int) rnd(&rng, n);
			uint32		size = sizes[k] + rnd(&rng, 2 * rates[k] + 1);
			MsRef		ref = ms_arena_alloc(arena, &groups[0], size, 0);

			ms_arena_free(arena, &groups[0], refs[k], sizes[k]);
			refs[k] = ref;
			sizes[k] = size;
		}
		ms_arena_stats(arena, &st);
		if (fold >= 10)
			gap = Max(gap, 100.0 * (st.in_use - st.allocated) / st.allocated);
	}
	snprintf(what, sizeof(what), "%d growing chunks leave a gap below %d%%", n, limit);
	printf("# %d growing chunks: gap up to %.1f%%\n", n, gap);
	ok(gap < limit, what);
	check_books();
	arena_destroy(arena);
}

/* What the gap between in use and allocated is for n objects of real sizes. */
static void
gap(int n, bool packed)
{
	MsRowStats	rows[MS_NUM_ROWS];
	MsRowStats	sum = {0};
	int			i;

	rng = 42;
	start((Size) 256 * 1024 * 1024);
	for (i = 0; i < n; i++)
	{
		/*
		 * about the distribution of chunks of 4 h at 15 s: median 107, mean
		 * 457
		 */
		uint32		size = 40 + rnd(&rng, 140);

		if (rnd(&rng, 100) < 37)
			size += rnd(&rng, 1900);
		if (packed)
			ms_arena_alloc_packed(arena, &groups[0], size, 0);
		else
			ms_arena_alloc(arena, &groups[0], size, 0);
	}
	ms_arena_trim_packed(arena, &groups[0]);
	ms_group_row_stats(arena, &groups[0], rows);
	for (i = 0; i < MS_NUM_ROWS; i++)
	{
		sum.in_use += rows[i].in_use;
		sum.allocated += rows[i].allocated;
		sum.slack += rows[i].slack;
		sum.free += rows[i].free;
		sum.tail += rows[i].tail;
		sum.spans += rows[i].spans;
	}
	printf("# %d objects %s: allocated " UINT64_FORMAT ", in use " UINT64_FORMAT
		   " (+%.1f%%): slack %.1f%%, free %.1f%%, tail %.1f%%; " UINT64_FORMAT " spans\n",
		   n, packed ? "packed" : "by class", sum.allocated, sum.in_use,
		   100.0 * (sum.in_use - sum.allocated) / sum.allocated,
		   100.0 * sum.slack / sum.allocated, 100.0 * sum.free / sum.allocated,
		   100.0 * sum.tail / sum.allocated, sum.spans);
	arena_destroy(arena);
}

int
main(void)
{
	uint64		seed;
	uint64		in_classes = 0;

	LWLockInitialize(&lock, 0);
	test_classes();
	test_full();
	test_reserve();
	test_packed();
	test_growth(1000, 25);
	test_growth(5000, 15);
	for (seed = 1; seed <= 10; seed++)
		in_classes += history(seed, 700 * 1024 << seed / 2, steps(30000), seed == 1 ? 1 : 37);
	ok(true, "random histories");
	ok(in_classes > 0, "that used every kind of span");
	gap(10, false);
	gap(1000, false);
	gap(100000, false);
	gap(10, true);
	gap(1000, true);
	gap(100000, true);
	return done();
}
