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

#include "core/arenapriv.h"

#undef printf
#undef fprintf

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
static uint32
rnd(uint32 n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (uint32) ((rng * UINT64CONST(2685821657736338717)) >> 33) % n;
}

static void
die(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why ? why : "?");
	exit(1);
}

static LWLock lock;
static MsArena *arena;
static void *segment;
static MsGroup groups[NGROUPS];
static Object objects[MAX_OBJECTS];
static int	nobjects;

static void
start(Size size)
{
	segment = aligned_alloc(128, TYPEALIGN(128, size));
	memset(segment, 0x55, size);
	arena = ms_arena_init(segment, size, &lock);
	memset(groups, 0, sizeof(groups));
	nobjects = 0;
}

static void
finish(void)
{
	MS_UNPOISON(segment, arena->size);
	free(segment);
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
	switch (rnd(8))
	{
		case 0:
			return 1 + rnd(128);
		case 1:
			return 1 + rnd(40000);
		case 2:
			return rnd(16) == 0 ? 1 + rnd(400000) : 1 + rnd(3000);
		default:
			return 1 + rnd(1200);
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
	o->group = rnd(NGROUPS);
	o->fill = (unsigned char) rnd(256);
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

static void
history(uint64 seed, Size size, int steps, int every)
{
	MsArenaStats st;
	int			i;
	int			refused = 0;
	int			grow = 60;

	rng = seed;
	start(size);
	for (i = 0; i < steps; i++)
	{
		uint32		what = rnd(1000);

		if (i % 1000 == 0)
			grow = 35 + rnd(35);
		if (what < (uint32) grow * 10)
			refused += !allocate(rnd(3) == 0,
								 (rnd(4) == 0 ? MS_ALLOC_ZERO : 0) |
								 (rnd(8) == 0 ? MS_ALLOC_RESERVE : 0));
		else if (what < 998)
		{
			if (nobjects > 0)
				release(rnd(nobjects));
		}
		else if (what < 999)
			ms_arena_trim_packed(arena, &groups[rnd(NGROUPS)]);
		else
			release_group(rnd(NGROUPS));
		if (i % every == 0)
			check();
	}
	if (seed % 2)
	{
		while (nobjects > 0)
			release(rnd(nobjects));
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
	printf("# seed " UINT64_FORMAT ", %zu bytes, %d steps, %d refused\n",
		   seed, (size_t) size, steps, refused);
	finish();
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
	int			n = 0;

	start(1024 * 1024);
	ok(ms_arena_init(segment, 50000, &lock) == NULL, "too small a segment is refused");
	finish();
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
	finish();
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
		/* about the distribution of chunks of 4 h at 15 s: median 107, mean 457 */
		uint32		size = 40 + rnd(140);

		if (rnd(100) < 37)
			size += rnd(1900);
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
	finish();
}

int
main(void)
{
	uint64		seed;

	LWLockInitialize(&lock, 0);
	test_classes();
	test_full();
	for (seed = 1; seed <= 6; seed++)
		history(seed, 700 * 1024 << seed, 30000, seed <= 2 ? 1 : 37);
	ok(true, "random histories");
	gap(10, false);
	gap(1000, false);
	gap(100000, false);
	gap(10, true);
	gap(1000, true);
	gap(100000, true);
	printf("1..%d\n", ntests);
	return nfailed != 0;
}
