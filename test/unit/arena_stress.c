/*-------------------------------------------------------------------------
 *
 * arena_stress.c
 *	  Many threads in one arena, for ThreadSanitizer.
 *
 * Threads allocate and free in groups of their own and in groups that all
 * share; each owns the objects it allocated, fills them, and finds its filling
 * again before it frees them.  Some free whole groups, one looks at statistics
 * and runs the validators all the while.  In the end nothing is in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>

#include "arena_util.h"

#define NTHREADS	4
#define NSHARED		3
#define NOBJECTS	400			/* held by a thread at a time */

typedef struct Object
{
	MsRef		ref;
	uint32		size;
	MsGroup    *group;
} Object;

typedef struct Worker
{
	pthread_t	thread;
	int			number;
	MsGroup		own;
	Object		objects[NOBJECTS];
	int			refused;
} Worker;

static LWLock lock;
static MsArena *arena;
static MsGroup shared[NSHARED];
static Worker workers[NTHREADS];
static int	running;			/* threads; atomically */

static void
fill(Worker *w, Object *o, int slot)
{
	memset(ms_ptr(arena, o->ref), w->number * 16 + slot % 16, o->size);
}

static void
verify(Worker *w, const Object *o, int slot)
{
	const unsigned char *p = ms_ptr(arena, o->ref);
	uint32		i;

	for (i = 0; i < o->size; i++)
	{
		if (p[i] != w->number * 16 + slot % 16)
			die("object", "contents changed");
	}
}

/* One object comes or goes. */
static void
turn(Worker *w, uint64 *rng)
{
	int			slot = (int) rnd(rng, NOBJECTS);
	Object	   *o = &w->objects[slot];

	if (o->ref != 0)
	{
		verify(w, o, slot);
		ms_arena_free(arena, o->group, o->ref, o->size);
		o->ref = 0;
		return;
	}
	o->group = rnd(rng, 2) == 0 ? &w->own : &shared[rnd(rng, NSHARED)];
	o->size = 1 + (rnd(rng, 20) == 0 ? rnd(rng, 60000) : rnd(rng, 700));
	if (rnd(rng, 3) == 0)
		o->ref = ms_arena_alloc_packed(arena, o->group, o->size, 0);
	else
		o->ref = ms_arena_alloc(arena, o->group, o->size, 0);
	if (o->ref != 0)
		fill(w, o, slot);
	else
		w->refused++;
}

static void *
work(void *arg)
{
	Worker	   *w = arg;
	uint64		rng = (uint64) w->number + 1;
	int			nsteps = steps(40000);
	int			i;
	int			slot;

	for (i = 0; i < nsteps; i++)
	{
		turn(w, &rng);
		if (i % 500 == 499)
		{
			ms_arena_trim_packed(arena, &w->own);
			ms_arena_free_group(arena, &w->own);
			for (slot = 0; slot < NOBJECTS; slot++)
			{
				if (w->objects[slot].group == &w->own)
					w->objects[slot].ref = 0;
			}
		}
	}
	for (slot = 0; slot < NOBJECTS; slot++)
	{
		if (w->objects[slot].ref != 0)
		{
			verify(w, &w->objects[slot], slot);
			ms_arena_free(arena, w->objects[slot].group,
						  w->objects[slot].ref, w->objects[slot].size);
		}
	}
	__atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Look on until all workers are done. */
static void
watch(void)
{
	MsArenaStats st;
	MsRowStats	rows[MS_NUM_ROWS];
	const char *why;

	do
	{
		int			i;

		if (!ms_arena_is_valid(arena, &why))
			die("arena", why);
		for (i = 0; i < NSHARED; i++)
		{
			if (!ms_group_is_valid(arena, &shared[i], &why))
				die("group", why);
			(void) ms_group_allocated(arena, &shared[i]);
		}
		ms_arena_stats(arena, &st);
		if (st.in_use + st.free + st.metadata > st.limit ||
			st.allocated > st.in_use)
			die("arena", "statistics make no sense");
		ms_arena_row_stats(arena, rows);
	} while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0);
}

int
main(void)
{
	MsArenaStats st;
	const char *why;
	int			refused = 0;
	int			i;

	printf("# seeds 1 to %d, one a thread\n", NTHREADS);
	LWLockInitialize(&lock, 0);
	arena = arena_create(3 * 1024 * 1024, &lock);
	arena->max_fine = 20;
	arena->max_mixed = 40;
	running = NTHREADS;
	for (i = 0; i < NTHREADS; i++)
	{
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			die("thread", "cannot be created");
	}
	watch();
	for (i = 0; i < NTHREADS; i++)
	{
		pthread_join(workers[i].thread, NULL);
		refused += workers[i].refused;
	}
	for (i = 0; i < NTHREADS; i++)
		ms_arena_free_group(arena, &workers[i].own);
	ms_arena_stats(arena, &st);
	printf("# %d refused\n", refused);
	ok(ms_arena_is_valid(arena, &why), "valid after all threads are done");
	ok(st.in_use == 0 && st.allocated == 0 && st.largest_free == st.free,
	   "nothing is left in use");
	arena_destroy(arena);
	return done();
}
