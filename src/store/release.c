/*-------------------------------------------------------------------------
 *
 * release.c
 *	  Giving memory of the segment back to the operating system.
 *
 * The segment is shared memory that the kernel backs page by page.  Unmapping
 * a part, or MADV_DONTNEED, would return nothing, as other processes map it
 * too; MADV_REMOVE punches a hole into it, for all of them, and a later touch
 * finds zeroes.  That is done here to ranges of 2 MB that have been free for
 * some seconds (core/backing.c): what expiry returns and the next window
 * takes at once is not worth two trips to the kernel.
 *
 * The rate is bounded, and each call takes a fraction of a millisecond, during
 * which no lock is held and only those pages cannot be had.
 *
 * With huge pages it must not be done: the hole gives its huge page back to the
 * pool without a reservation, and the next touch may die of SIGBUS.  Whether
 * the segment lies on huge pages is looked up in the kernel's own description
 * of this process, because huge_pages = try does not say, and nor does any
 * setting before version 17.  Where that cannot be read, nothing is released.
 *
 * What this does not do: shrink what the kernel has promised.  The size of the
 * segment stays reserved as far as the kernel reserves shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/timestamp.h"

#include "store/release.h"

#define NOTE_MS			5000	/* so long at least has been free what goes */
#define RATE_MB_PER_S	64
#define GRANULES_AT_ONCE 4		/* in one system call: 8 MB */
#define GRANULE_MB		2

bool		ms_release_memory = true;

#ifdef MADV_REMOVE

typedef enum Ability
{
	ABILITY_UNKNOWN = 0,
	ABILITY_NONE,
	ABILITY_GIVEN
} Ability;

static Ability ability = ABILITY_UNKNOWN;
static TimestampTz noted_at = 0;
static TimestampTz released_at = 0;

/* The size of the kernel's pages at an address, in kB; 0 if that cannot be told. */
static long
kernel_page_kb(const void *address)
{
	FILE	   *file = AllocateFile("/proc/self/smaps", "r");
	char		line[1024];
	bool		here = false;
	long		kb = 0;

	if (file == NULL)
		return 0;
	while (kb == 0 && fgets(line, sizeof(line), file) != NULL)
	{
		unsigned long from;
		unsigned long to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t) address >= from && (uintptr_t) address < to;
		else if (here && sscanf(line, "KernelPageSize: %ld kB", &kb) != 1)
			kb = 0;
	}
	FreeFile(file);
	return kb;
}

/* Can memory be given back at all?  Says so in the log if not, once. */
static bool
is_able(void)
{
	long		kb;

	if (ability != ABILITY_UNKNOWN)
		return ability == ABILITY_GIVEN;
	kb = kernel_page_kb(ms_store->arena);
	ability = kb > 0 && kb * 1024 == sysconf(_SC_PAGESIZE) ? ABILITY_GIVEN : ABILITY_NONE;
	if (kb == 0)
		ereport(LOG,
				(errmsg("memseries does not release memory to the operating system"),
				 errdetail("The page size of the segment could not be read from /proc/self/smaps.")));
	else if (ability == ABILITY_NONE)
		ereport(LOG,
				(errmsg("memseries does not release memory to the operating system"),
				 errdetail("The segment lies on huge pages, of %ld kB.", kb)));
	return ability == ABILITY_GIVEN;
}

/* Punches a hole; false if the kernel refuses. */
static bool
punch(void *start, Size size)
{
	if (madvise(start, size, MADV_REMOVE) == 0)
		return true;
	ability = ABILITY_NONE;
	ereport(LOG,
			(errmsg("memseries does not release memory to the operating system"),
			 errdetail("madvise failed: %m.")));
	return false;
}

/* See release.h. */
void
ms_release_some(TimestampTz now)
{
	int64		allowed;

	if (!ms_release_memory || !is_able())
		return;
	allowed = (now - released_at) / (USECS_PER_SEC / RATE_MB_PER_S) / GRANULE_MB;
	allowed = Max(Min(allowed, RATE_MB_PER_S / GRANULE_MB), 0);
	released_at = now;
	while (allowed > 0)
	{
		Size		size;
		void	   *start = ms_arena_release_begin(ms_store->arena,
												   (uint32) Min(allowed, GRANULES_AT_ONCE), &size);
		bool		released;

		if (start == NULL)
			break;
		released = punch(start, size);
		ms_arena_release_end(ms_store->arena, start, released);
		if (!released)
			return;
		allowed -= size / (GRANULE_MB * 1024 * 1024);
	}

	/* Only now, so that what was noted has waited since the last time. */
	if (TimestampDifferenceExceeds(noted_at, now, NOTE_MS))
	{
		noted_at = now;
		(void) ms_arena_note_idle(ms_store->arena);
	}
}

#else							/* !MADV_REMOVE */

void
ms_release_some(TimestampTz now)
{
}

#endif							/* MADV_REMOVE */
