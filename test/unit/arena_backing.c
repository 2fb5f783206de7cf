/*-------------------------------------------------------------------------
 *
 * arena_backing.c
 *	  What goes back to the operating system is free, and nothing else goes.
 *
 * Random histories in a shared mapping as a server has it, with real calls of
 * madvise in between.  Every object is filled, and must still hold its filling
 * after holes were punched.  In the end nothing is in use, and all whole
 * granules have gone back, as the kernel's own mincore() tells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "arena_util.h"

#define SIZE		((Size) 48 * 1024 * 1024)
#define NGROUPS		12
#define NOBJECTS	64			/* of a group */

typedef struct Object
{
	MsRef		ref;
	uint32		size;
	unsigned char filling;
} Object;

static LWLock lock;
static MsGroup groups[NGROUPS];
static Object objects[NGROUPS][NOBJECTS];
static bool kernel_refuses = false;

static void
must_be_valid(MsArena *a, const char *when)
{
	const char *why;

	if (!ms_arena_is_valid(a, &why))
		die(when, why);
}

static void
look_at(MsArena *a, const Object *o)
{
	const unsigned char *p = ms_ptr(a, o->ref);
	uint32		i;

	for (i = 0; i < o->size; i++)
	{
		if (p[i] != o->filling)
			die("object", "its contents have changed");
	}
}

/* Fill, look at or free one object of a group, or free a whole group. */
static void
step(MsArena *a, uint64 *rng)
{
	int			g = (int) rnd(rng, NGROUPS);
	Object	   *o = &objects[g][rnd(rng, NOBJECTS)];
	int			i;

	if (rnd(rng, 40) == 0)
	{
		for (i = 0; i < NOBJECTS; i++)
		{
			if (objects[g][i].ref != 0)
				look_at(a, &objects[g][i]);
			objects[g][i].ref = 0;
		}
		ms_arena_free_group(a, &groups[g]);
	}
	else if (o->ref != 0)
	{
		look_at(a, o);
		ms_arena_free(a, &groups[g], o->ref, o->size);
		o->ref = 0;
	}
	else
	{
		o->size = 1 + rnd(rng, rnd(rng, 8) == 0 ? 1000000 : 20000);
		o->filling = (unsigned char) rnd(rng, 256);
		o->ref = ms_arena_alloc(a, &groups[g], o->size, 0);
		if (o->ref != 0)
			memset(ms_ptr(a, o->ref), o->filling, o->size);
	}
}

/* Give back up to max granules, letting others run in between; returns bytes. */
static Size
release(MsArena *a, uint32 max, uint64 *rng, int between)
{
	Size		size;
	void	   *start = ms_arena_release_begin(a, max, &size);
	bool		released;

	if (start == NULL)
		return 0;
	if (size == 0 || size > (Size) max * MS_GRANULE_SIZE || size % MS_GRANULE_SIZE != 0 ||
		(uintptr_t) start % MS_GRANULE_SIZE != 0 || !ms_arena_is_lending(a))
		die("release", "no whole granules");
	must_be_valid(a, "while lent");
	while (between-- > 0)
		step(a, rng);
	released = madvise(start, size, MADV_REMOVE) == 0;
	if (!released)
		kernel_refuses = true;
	ms_arena_release_end(a, start, released);
	return released ? size : 0;
}

/* Whole granules of the arena of which the kernel holds anything. */
static int
resident_granules(MsArena *a)
{
	static unsigned char vec[MS_GRANULE_SIZE / 4096];
	Size		page = (Size) sysconf(_SC_PAGESIZE);
	char	   *p = (char *) TYPEALIGN(MS_GRANULE_SIZE, (uintptr_t) a->pages.first);
	int			n = 0;

	for (; p + MS_GRANULE_SIZE <= (char *) a + SIZE; p += MS_GRANULE_SIZE)
	{
		Size		i;
		bool		any = false;

		if (mincore(p, MS_GRANULE_SIZE, vec) != 0)
			die("mincore", "failed");
		for (i = 0; i < MS_GRANULE_SIZE / page; i++)
			any |= (vec[i] & 1) != 0;
		n += any;
	}
	return n;
}

static void
history(MsArena *a, uint64 seed)
{
	uint64		rng = seed;
	Size		released = 0;
	MsArenaStats stats;
	int			i;

	for (i = 0; i < steps(4000); i++)
	{
		step(a, &rng);
		if (rnd(&rng, 30) == 0)
			ms_arena_note_idle(a);
		if (rnd(&rng, 10) == 0)
			released += release(a, 1 + rnd(&rng, 3), &rng, (int) rnd(&rng, 5));
		if (rnd(&rng, 50) == 0)
			must_be_valid(a, "history");
	}
	for (i = 0; i < NGROUPS; i++)
		ms_arena_free_group(a, &groups[i]);
	memset(objects, 0, sizeof(objects));
	must_be_valid(a, "all freed");
	ms_arena_stats(a, &stats);
	if (stats.in_use != 0 || stats.free != (uint64) a->pages.npages * MS_PAGE_SIZE)
		die("all freed", "something is in use");

	/* what has just become free is not idle before it is noted */
	ms_arena_note_idle(a);
	for (;;)
	{
		Size		size = release(a, 100, &rng, 0);

		if (size == 0)
			break;
		released += size;
	}
	must_be_valid(a, "all released");
	printf("# seed " UINT64_FORMAT ": released %zu kB\n", seed, released / 1024);
}

int
main(void)
{
	void	   *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MsArena    *a;
	MsGroup		group = {0};
	MsArenaStats stats;
	Size		size;
	uint64		seed;
	MsRef		ref;

	if (base == MAP_FAILED)
		die("mmap", "failed");
	LWLockInitialize(&lock, 1);
	a = ms_arena_init(base, SIZE, &lock);

	ok(ms_arena_note_idle(a) == 0 && ms_arena_release_begin(a, 1, &size) == NULL,
	   "what was never touched does not go back");
	ref = ms_arena_alloc(a, &group, 20 * 1024 * 1024, 0);
	memset(ms_ptr(a, ref), 1, 20 * 1024 * 1024);
	ms_arena_note_idle(a);
	ok(ms_arena_release_begin(a, 1, &size) == NULL, "nor does what is in use");
	ms_arena_stats(a, &stats);
	ok(stats.backed >= 20 * 1024 * 1024 && stats.backed <= 22 * 1024 * 1024, "what is in use is backed");
	ms_arena_free_group(a, &group);
	ok(ms_arena_release_begin(a, 1, &size) == NULL, "nor what has just become free");
	ok(ms_arena_note_idle(a) >= 9, "after a while it is idle");
	ref = ms_arena_alloc(a, &group, 20 * 1024 * 1024, 0);
	ok(ms_arena_release_begin(a, 1, &size) == NULL, "used again it is not");
	ms_arena_free_group(a, &group);

	for (seed = 1; seed <= 5; seed++)
		history(a, seed);
	ok(true, "random histories");
	if (kernel_refuses)
		printf("ok %d - memory goes back # SKIP the kernel refuses MADV_REMOVE\n", ++ntests);
	else
	{
		ok(resident_granules(a) == 0, "all whole granules have gone back, says the kernel");
		ms_arena_stats(a, &stats);
		ok(stats.backed < stats.metadata + 2 * MS_GRANULE_SIZE, "and say the books");
	}
	MS_UNPOISON(a, a->size);
	munmap(base, SIZE);
	return done();
}
