/*-------------------------------------------------------------------------
 *
 * shim_lwlock.c
 *	  LWLocks for programs that link the core without a server.
 *
 * A lock is a pthread read-write lock from a fixed table, found through the
 * number that LWLockInitialize leaves in the tranche field; so the locks are
 * real, and ThreadSanitizer understands them.  Each thread stands for a
 * backend and knows what it holds, so that the core's Asserts on locks work.
 * Taking a lock that one holds already, or giving back one that one does not
 * hold, aborts.
 *
 * What this does not do: waiting lists, interrupts, LWLockAcquireOrWait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>

#include "storage/lwlock.h"

#undef printf
#undef fprintf

#define MAX_LOCKS	1024

static pthread_rwlock_t locks[MAX_LOCKS];
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static int	nlocks = 0;

/* What this thread holds: 0, or mode + 1 */
static __thread unsigned char held[MAX_LOCKS];

static void
fail(const char *what)
{
	fprintf(stderr, "shim_lwlock: %s\n", what);
	abort();
}

void
LWLockInitialize(LWLock *lock, int tranche_id)
{
	pthread_rwlockattr_t attr;

	(void) tranche_id;
	pthread_mutex_lock(&init_lock);
	if (nlocks == MAX_LOCKS)
		fail("too many locks");

	/* Writers get their turn, as they do with LWLocks */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&locks[nlocks], &attr);
	pthread_rwlockattr_destroy(&attr);
	lock->tranche = (uint16) nlocks++;
	pthread_mutex_unlock(&init_lock);
}

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	if (held[lock->tranche] != 0)
		fail("lock is held already");
	if (mode == LW_EXCLUSIVE)
		pthread_rwlock_wrlock(&locks[lock->tranche]);
	else
		pthread_rwlock_rdlock(&locks[lock->tranche]);
	held[lock->tranche] = (unsigned char) (mode + 1);
	return true;
}

bool
LWLockConditionalAcquire(LWLock *lock, LWLockMode mode)
{
	if (held[lock->tranche] != 0)
		fail("lock is held already");
	if ((mode == LW_EXCLUSIVE ?
		 pthread_rwlock_trywrlock(&locks[lock->tranche]) :
		 pthread_rwlock_tryrdlock(&locks[lock->tranche])) != 0)
		return false;
	held[lock->tranche] = (unsigned char) (mode + 1);
	return true;
}

void
LWLockRelease(LWLock *lock)
{
	if (held[lock->tranche] == 0)
		fail("lock is not held");
	held[lock->tranche] = 0;
	pthread_rwlock_unlock(&locks[lock->tranche]);
}

bool
LWLockHeldByMe(LWLock *lock)
{
	return held[lock->tranche] != 0;
}

bool
LWLockHeldByMeInMode(LWLock *lock, LWLockMode mode)
{
	return held[lock->tranche] == (unsigned char) (mode + 1);
}
