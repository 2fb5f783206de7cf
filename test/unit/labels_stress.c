/*-------------------------------------------------------------------------
 *
 * labels_stress.c
 *	  One writer and many readers of a series table, for ThreadSanitizer.
 *
 * The writer adds and releases series under the table's lock, exclusively;
 * readers look series up by label and by id under the same lock, shared, as the
 * rules in labels.h allow.  What a reader sees has to be whole: the labels of
 * an id lead back to the id, and a generation once seen comes back only with
 * the same labels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>

#include "core/labels.h"

#include "arena_util.h"

#define NREADERS	3
#define NVALUES		60
#define NIDS		2000

static LWLock arena_lock;
static LWLock table_lock;
static MsArena *arena;
static MsGroup group;
static MsSeriesTable table;
static int	running;			/* threads; atomically */
static uint32 lookups[NREADERS];

/* Two labels whose lengths are their numbers. */
static void
make_labels(uint32 a, uint32 b, MsLabelValue *labels)
{
	static const uint8 bytes[NVALUES + 1] = "the bytes of all labels, which differ in their length only..";

	labels[0].bytes = labels[1].bytes = bytes;
	labels[0].len = a;
	labels[1].len = b;
	labels[0].isnull = labels[1].isnull = false;
}

static void *
write_series(void *arg)
{
	uint64		rng = 99;
	MsLabelValue l[2];
	int			n = steps(60000);
	int			i;

	(void) arg;
	for (i = 0; i < n; i++)
	{
		uint32		hash;
		uint32		sid;

		make_labels(rnd(&rng, NVALUES), rnd(&rng, NVALUES), l);
		hash = ms_labels_hash(l, 2);
		LWLockAcquire(&table_lock, LW_EXCLUSIVE);
		sid = ms_series_find(arena, &table, l, 2, hash);
		if (sid != MS_NO_SERIES)
			ms_series_release(arena, &group, &table, sid);
		else if (ms_series_count(&table) < NIDS)
			(void) ms_series_add(arena, &group, &table, l, 2, hash, 0);
		LWLockRelease(&table_lock);
	}
	__atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *
read_series(void *arg)
{
	uint32	   *count = arg;
	uint64		rng = (uint64) (count - lookups) + 1;
	static uint32 seen[NREADERS][NIDS][2];	/* generation, lengths */
	uint32		(*mine)[2] = seen[count - lookups];
	MsLabelValue l[2];

	do
	{
		uint32		sid = rnd(&rng, NIDS);

		LWLockAcquire(&table_lock, LW_SHARED);
		if (ms_series_is_live(arena, &table, sid))
		{
			uint32		generation = ms_series_generation(arena, &table, sid);
			uint32		lengths;

			if (ms_series_labels(arena, &table, sid, l, 2) != 2 ||
				ms_series_find(arena, &table, l, 2, ms_labels_hash(l, 2)) != sid)
				die("reader", "labels do not lead back to their series");
			lengths = l[0].len * NVALUES + l[1].len;
			if (mine[sid][0] == generation && mine[sid][1] != lengths)
				die("reader", "other labels in the same generation");
			mine[sid][0] = generation;
			mine[sid][1] = lengths;
			(*count)++;
		}
		LWLockRelease(&table_lock);
	} while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0);
	return NULL;
}

int
main(void)
{
	pthread_t	threads[NREADERS + 1];
	const char *why;
	uint32		sid;
	int			i;

	printf("# seeds 99 and 1 to %d\n", NREADERS);
	LWLockInitialize(&arena_lock, 0);
	LWLockInitialize(&table_lock, 0);
	arena = arena_create(2 * 1024 * 1024, &arena_lock);
	running = 1;
	for (i = 0; i <= NREADERS; i++)
	{
		if (pthread_create(&threads[i], NULL,
						   i == NREADERS ? write_series : read_series,
						   i == NREADERS ? NULL : &lookups[i]) != 0)
			die("thread", "cannot be created");
	}
	for (i = 0; i <= NREADERS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < NREADERS; i++)
		printf("# reader %d saw %u series\n", i + 1, lookups[i]);
	ok(ms_series_is_valid(arena, &table, &why) &&
	   ms_group_is_valid(arena, &group, &why), "valid after all threads are done");
	for (sid = 0; sid < ms_series_limit(&table); sid++)
	{
		if (ms_series_is_live(arena, &table, sid))
			ms_series_release(arena, &group, &table, sid);
	}
	ms_series_free(arena, &group, &table);
	ok(ms_group_in_use(arena, &group) == 0, "nothing is left");
	arena_destroy(arena);
	return done();
}
