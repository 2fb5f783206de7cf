/*-------------------------------------------------------------------------
 *
 * arena_util.h
 *	  What the tests of the arena and of the series table share.
 *
 * Output is TAP.  Random numbers come from fixed seeds, which the tests print.
 * Under valgrind (MS_UNDER_VALGRIND in the environment) histories are shorter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ARENA_UTIL_H
#define ARENA_UTIL_H

#include "core/arenapriv.h"

#undef printf
#undef fprintf
#undef snprintf

static int	ntests = 0;
static int	nfailed = 0;

/* One test. */
static inline void
ok(bool cond, const char *what)
{
	ntests++;
	if (!cond)
		nfailed++;
	printf("%sok %d - %s\n", cond ? "" : "not ", ntests, what);
	fflush(stdout);
}

/* The end of the program: its exit status. */
static inline int
done(void)
{
	printf("1..%d\n", ntests);
	return nfailed != 0;
}

/* A check within a history failed: nothing after it makes sense. */
static inline void
die(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why ? why : "?");
	fflush(stdout);
	exit(1);
}

/* xorshift64* (Vigna 2016): a number below n; *rng must not be 0 */
static inline uint32
rnd(uint64 *rng, uint32 n)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return (uint32) ((*rng * UINT64CONST(2685821657736338717)) >> 33) % n;
}

/* How many of n steps to do. */
static inline int
steps(int n)
{
	return getenv("MS_UNDER_VALGRIND") != NULL ? n / 20 + 1 : n;
}

/* An arena in fresh memory that holds garbage. */
static inline MsArena *
arena_create(Size size, LWLock *lock)
{
	void	   *segment = aligned_alloc(128, TYPEALIGN(128, size));

	memset(segment, 0x55, size);
	return ms_arena_init(segment, size, lock);
}

static inline void
arena_destroy(MsArena *a)
{
	MS_UNPOISON(a, a->size);
	free(a);
}

#endif							/* ARENA_UTIL_H */
