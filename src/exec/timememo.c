/*-------------------------------------------------------------------------
 *
 * timememo.c
 *	  Remembering for which times a condition holds.
 *
 * "extract(hour FROM ts) BETWEEN 9 AND 17" calls PostgreSQL's functions for every
 * row, some hundred nanoseconds each, though as a rule all series have rows at the
 * same times.  So what a condition that depends on the time alone said of a time is
 * kept, and asked again only of times that are new.
 *
 * It is a cache of two places for each time, and not exact: what finds no room
 * takes that of another one, and is asked again next time.  While that happens often it grows,
 * up to some megabytes.  Where series have no times in common, a look costs a
 * few per cent of what the condition does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "exec/agg.h"

#define MIN_BITS	10
#define MAX_BITS	18
#define NO_TIME		PG_INT64_MIN	/* is no row's */

struct MsTimeMemo
{
	int			bits;			/* of the number of places; 0: none yet */
	uint32		fresh;			/* times that were new since they are so many */
	int64	   *times;
	bool	   *answers;
	MemoryContext cxt;
};

/* An empty memo in CurrentMemoryContext. */
MsTimeMemo *
ms_timememo_create(void)
{
	MsTimeMemo *memo = palloc0(sizeof(MsTimeMemo));

	memo->cxt = CurrentMemoryContext;
	return memo;
}

static void
forget(MsTimeMemo *memo)
{
	uint32		n = memo->bits > 0 ? 1u << memo->bits : 0;

	for (uint32 i = 0; i < n; i++)
		memo->times[i] = NO_TIME;
	memo->fresh = 0;
}

/* Forgets everything: the condition may say something else from now on. */
void
ms_timememo_reset(MsTimeMemo *memo)
{
	forget(memo);
}

/* Four times the places, all empty. */
static void
grow(MsTimeMemo *memo)
{
	Size		n;

	if (memo->times != NULL)
	{
		pfree(memo->times);
		pfree(memo->answers);
	}
	memo->bits = memo->bits > 0 ? memo->bits + 2 : MIN_BITS;
	n = (Size) 1 << memo->bits;
	memo->times = MemoryContextAlloc(memo->cxt, sizeof(int64) * n);
	memo->answers = MemoryContextAlloc(memo->cxt, sizeof(bool) * n);
	forget(memo);
}

/* The first of the two places of a time. */
static inline uint32
place_of(const MsTimeMemo *memo, int64 t)
{
	return (uint32) (((uint64) t * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - memo->bits));
}

/*
 * Of the times that the mask has, clears those of which the condition is known not to hold, and
 * sets in `asked` (false elsewhere) those of which nothing is known.  Are there any?
 */
bool
ms_timememo_look_up(MsTimeMemo *memo, const int64 *times, int n, bool *mask, bool *asked)
{
	bool		any = false;

	if (memo->bits == 0 || (memo->fresh > 1u << (memo->bits - 1) && memo->bits < MAX_BITS))
		grow(memo);
	for (int i = 0; i < n; i++)
	{
		uint32		place = place_of(memo, times[i]);

		if (memo->times[place] != times[i])
			place ^= 1;
		asked[i] = mask[i] && memo->times[place] != times[i];
		any |= asked[i];
		mask[i] &= asked[i] || memo->answers[place];
	}
	return any;
}

/* Keeps what the condition said of the times that were asked. */
void
ms_timememo_keep(MsTimeMemo *memo, const int64 *times, int n, const bool *asked,
				 const bool *answers)
{
	for (int i = 0; i < n; i++)
	{
		uint32		place;

		if (!asked[i])
			continue;
		place = place_of(memo, times[i]);
		if (memo->times[place] != NO_TIME)
			place ^= 1;
		memo->times[place] = times[i];
		memo->answers[place] = answers[i];
		memo->fresh++;
	}
}
