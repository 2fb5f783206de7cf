/*-------------------------------------------------------------------------
 *
 * arena_ops.c
 *	  Fuzz target: bytes as a list of calls of the arena.
 *
 * The first two bytes choose the limits of mixed spans; then each call is an
 * operation byte and a byte or two of arguments.  After every call the arena's
 * books and a group's are checked, and every object holds what was put into it when it is freed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "arena_util.h"

#define SEGMENT		(512 * 1024)
#define NGROUPS		3
#define MAX_OBJECTS	512
#define MAX_CALLS	600

typedef struct Object
{
	MsRef		ref;
	uint32		size;
	int			group;
} Object;

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static LWLock lock;
static MsArena *arena;
static MsGroup groups[NGROUPS];
static Object objects[MAX_OBJECTS];
static int	nobjects;

static void
check(int call)
{
	const char *why;

	if (!ms_arena_is_valid(arena, &why) ||
		!ms_group_is_valid(arena, &groups[call % NGROUPS], &why))
		abort();
}

/* From two bytes a size of 1 byte to some 100 kB, small ones more often. */
static uint32
size_of_bytes(const uint8 *bytes)
{
	return ((uint32) bytes[1] << (bytes[0] >> 5) * 2) / 2 + (bytes[0] & 31) + 1;
}

static void
allocate(int op, const uint8 *bytes)
{
	Object	   *o = &objects[nobjects];
	int			flags = (op & 16 ? MS_ALLOC_ZERO : 0) | (op & 32 ? MS_ALLOC_RESERVE : 0);

	if (nobjects == MAX_OBJECTS)
		return;
	o->group = (op >> 2) % NGROUPS;
	o->size = size_of_bytes(bytes);
	if (op & 64)
		o->ref = ms_arena_alloc_packed(arena, &groups[o->group], o->size, flags);
	else
		o->ref = ms_arena_alloc(arena, &groups[o->group], o->size, flags);
	if (o->ref == 0)
		return;
	memset(ms_ptr(arena, o->ref), (int) (o->ref % 251), o->size);
	nobjects++;
}

static void
release(int i)
{
	Object		o = objects[i];
	const uint8 *p = ms_ptr(arena, o.ref);
	uint32		k;

	for (k = 0; k < o.size; k++)
	{
		if (p[k] != o.ref % 251)
			abort();
	}
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
			objects[i] = objects[--nobjects];
	}
	ms_arena_free_group(arena, &groups[g]);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	static bool first = true;
	MsArenaStats st;
	size_t		pos = 2;
	int			calls = 0;

	if (first)
		LWLockInitialize(&lock, 0);
	first = false;
	if (size < 2)
		return 0;
	arena = arena_create(SEGMENT, &lock);
	arena->max_fine = data[0] % 32;
	arena->max_mixed = arena->max_fine + data[1] % 32;
	nobjects = 0;

	while (pos + 3 <= size && calls++ < MAX_CALLS)
	{
		int			op = data[pos];

		switch (op & 3)
		{
			case 0:
			case 1:
				allocate(op, data + pos + 1);
				break;
			case 2:
				if (nobjects > 0)
					release((data[pos + 1] << 8 | data[pos + 2]) % nobjects);
				break;
			case 3:
				if (op & 4)
					ms_arena_trim_packed(arena, &groups[data[pos + 1] % NGROUPS]);
				else if (data[pos + 2] < 16)
					release_group(data[pos + 1] % NGROUPS);
				break;
		}
		check(calls);
		pos += 3;
	}

	while (nobjects > 0)
		release(nobjects - 1);
	for (calls = 0; calls < NGROUPS; calls++)
		check(calls);
	ms_arena_stats(arena, &st);
	if (st.in_use != 0 || st.largest_free != st.free)
		abort();
	arena_destroy(arena);
	return 0;
}
