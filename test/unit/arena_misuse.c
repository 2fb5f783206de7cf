/*-------------------------------------------------------------------------
 *
 * arena_misuse.c
 *	  What callers must not do is caught by Assert, and what is written where
 *	  it must not be is found by the validator.
 *
 * Each misuse happens in a child process, which has to die of it; a child that
 * does the same without the mistake has to live.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include "arena_util.h"

static LWLock lock;
static MsArena *arena;
static MsGroup mine;
static MsGroup other;

#define CLS_BYTE	7			/* of MsPage, on a little-endian machine */

/* How the objects of a test are allocated. */
typedef enum Way
{
	FINE,						/* in a fine mixed span */
	COARSE,
	CLASS,						/* in a span of their class */
	PACKED,
	RUN
} Way;

static const char *const way_names[] = {"fine", "coarse", "class", "packed", "run"};
static const Size way_sizes[] = {60, 5000, 100, 100, 40000};

static MsRef
get(Way way, MsGroup *g)
{
	/* The first large objects of a group get runs: have these before */
	if (way == COARSE && g->tally[MS_ROW_RUN].objects == 0)
	{
		int			i;

		for (i = 0; i < 4; i++)
			ms_arena_alloc(arena, g, way_sizes[way], 0);
	}
	if (way == CLASS)
		arena->max_fine = arena->max_mixed = 0;
	if (way == PACKED)
		return ms_arena_alloc_packed(arena, g, way_sizes[way], 0);
	return ms_arena_alloc(arena, g, way_sizes[way], 0);
}

/* The mistakes; number 0 is none. */
static void
act(Way way, int mistake)
{
	MsRef		first = get(way, &mine);
	MsRef		second = get(way, &mine);
	MsRef		third = get(way, &mine);
	const char *why;

	get(way, &other);
	ms_arena_free(arena, &mine, second, way_sizes[way]);
	switch (mistake)
	{
		case 0:
			ms_arena_free(arena, &mine, first, way_sizes[way]);
			ms_arena_free(arena, &mine, third, way_sizes[way]);
			break;
		case 1:
			ms_arena_free(arena, &mine, second, way_sizes[way]);
			break;
		case 2:
			ms_arena_free(arena, &other, first, way_sizes[way]);
			break;
		case 3:
			ms_arena_free(arena, &mine, third, way_sizes[way] * 20);
			break;
		case 4:
			ms_arena_free(arena, &mine, third + 1, way_sizes[way]);
			break;
		case 5:
			ms_arena_free(arena, &mine, third + (64 << 20) / MS_UNIT, way_sizes[way]);
			break;
		case 6:
			LWLockAcquire(&lock, LW_EXCLUSIVE);
			ms_arena_free(arena, &mine, first, way_sizes[way]);
			break;
		default:
			abort();
	}
	if (!ms_arena_is_valid(arena, &why) ||
		!ms_group_is_valid(arena, &mine, &why) ||
		!ms_group_is_valid(arena, &other, &why))
		abort();
}

static const char *const mistakes[] = {
	"no mistake", "an object freed twice", "another group's object freed",
	"a wrong size", "a reference into an object", "a reference beyond all pages",
	"the lock held already"
};

/* Do it in a child; true if that lives. */
static bool
survives(Way way, int mistake)
{
	pid_t		pid;
	int			status;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		/* What the child says of its death is of no interest */
		fclose(stderr);
		act(way, mistake);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void
test_mistakes(void)
{
	char		name[200];
	int			way;
	int			m;

	arena = arena_create(4 * 1024 * 1024, &lock);
	for (way = FINE; way <= RUN; way++)
	{
		for (m = 0; m < (int) lengthof(mistakes); m++)
		{
			/*
			 * Packed spans do not know where their objects begin; and only
			 * AddressSanitizer knows that one is freed already.
			 */
			if (way == PACKED && (m == 4 || m == 1))
				continue;
			snprintf(name, sizeof(name), "%s: %s", way_names[way], mistakes[m]);
			ok(survives(way, m) == (m == 0), name);
		}
	}
	arena_destroy(arena);
}

/* Does the validator see what was done to the arena? */
static void
seen(const char *what)
{
	const char *why = NULL;
	bool		arena_ok = ms_arena_is_valid(arena, &why);
	bool		group_ok = arena_ok && ms_group_is_valid(arena, &mine, &why);
	char		name[200];

	snprintf(name, sizeof(name), "%s: %s", what, group_ok ? "not seen" : why);
	ok(!group_ok && why != NULL, name);
}

/* Books changed one by one, and put back; then every byte of the page table. */
static void
test_damage(void)
{
	MsRef		objects[64];
	uint32		page;
	bool		unseen[8][sizeof(MsPage)] = {{false}};
	bool		good = true;
	uint32		missed = 0;
	uint32		tried = 0;
	const char *why;
	MsFreeObject *obj;
	int			i;

	arena = arena_create(4 * 1024 * 1024, &lock);
	memset(&mine, 0, sizeof(mine));
	for (i = 0; i < 64; i++)
		objects[i] = get(CLASS, &mine);
	arena->max_fine = MS_MAX_FINE_PAGES;
	arena->max_mixed = MS_MAX_MIXED_PAGES;
	for (i = 0; i < 6; i++)
	{
		get(RUN, &mine);
		get(FINE, &mine);
		get(COARSE, &mine);
		get(PACKED, &mine);
	}
	for (i = 0; i < 64; i += 2)
		ms_arena_free(arena, &mine, objects[i], 100);
	ok(ms_arena_is_valid(arena, &why) && ms_group_is_valid(arena, &mine, &why),
	   "valid before");

	obj = ms_ptr(arena, objects[0]);
	MS_EXPOSE(obj, sizeof(*obj));
	obj->magic ^= 1;
	seen("a write to a free object");
	MS_EXPOSE(obj, sizeof(*obj));
	obj->magic ^= 1;
	MS_POISON(obj, sizeof(*obj));
	arena->magic_end++;
	seen("a write to the head");
	arena->magic_end--;
	arena->pages.nfree--;
	seen("a page lost");
	arena->pages.nfree++;
	mine.tally[MS_ROW_RUN].units++;
	seen("a wrong count");
	mine.tally[MS_ROW_RUN].units--;

	for (page = 1; page < arena->pages.top;
		 page += ms_page_run_length(&arena->pages, page))
	{
		unsigned char *bytes = (unsigned char *) &arena->pages.table[page];
		int			kind = arena->pages.table[page].kind;

		for (i = 0; i < (int) sizeof(MsPage); i++)
		{
			bytes[i] ^= 1;
			tried++;
			if (ms_arena_is_valid(arena, &why) &&
				ms_group_is_valid(arena, &mine, &why))
			{
				unseen[kind][i] = true;
				missed++;
			}
			bytes[i] ^= 1;
		}
	}

	/* Not all bits mean something in all kinds. */
	printf("# %u bytes of page entries damaged, %u unseen\n", tried, missed);
	for (page = 0; page < lengthof(unseen); page++)
	{
		for (i = 0; i < (int) sizeof(MsPage); i++)
		{
			bool		unused = i == CLS_BYTE &&
			(page == MS_PAGE_PACKED || page == MS_PAGE_RUN ||
			 page == MS_PAGE_FREE);

			/* Where a full span's free objects would begin */
			unused |= page == MS_PAGE_SPAN &&
				i / 2 == (int) offsetof(MsPage, u.span.free) / 2;
			if (unseen[page][i] && !unused)
			{
				printf("# byte %d of kind %u\n", i, page);
				good = false;
			}
		}
	}
	ok(good, "damage to the page table is seen");
	ok(ms_arena_is_valid(arena, &why) && ms_group_is_valid(arena, &mine, &why),
	   "valid after");
	arena_destroy(arena);
}

int
main(void)
{
	LWLockInitialize(&lock, 0);
	test_mistakes();
	test_damage();
	return done();
}
