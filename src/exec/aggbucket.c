/*-------------------------------------------------------------------------
 *
 * aggbucket.c
 *	  Cutting time into buckets, such that a function need not be called for
 *	  every row.
 *
 * An interval is a stretch of time over which all bucket functions of a query
 * are constant.  The intervals found are kept, in order, for the whole scan: all
 * series share them, so that the functions are called a few times per bucket and
 * not per row or series.
 *
 * A new interval around a time is found by calling PostgreSQL's own functions,
 * whatever they do: where the bucket should begin and end is guessed from its
 * length and then verified; if the guess was wrong, the place where the value
 * changes is searched by halving.  That needs the function to be monotone.  It is,
 * except across changes of the time zone's offset, where local time may run
 * backwards, even into the day before.  Therefore no interval extends across
 * such a change.  An interval may be shorter than its bucket, then; buckets are
 * told apart by their value, not by their interval (agggroup.c).
 *
 * The function itself is what costs most where buckets are short.  But date_trunc
 * to a day or less cuts local time evenly, so that one bucket tells of all up to the
 * next change of the zone's offset.  Nothing is concluded within a day of a
 * change, where local times are missing or occur twice.
 *
 * Series of other times put intervals between those known.  They are gathered,
 * and put in many at a time; what comes after all that is known is put there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "exec/agg.h"

#define NO_CHANGE	PG_INT64_MAX
#define MAX_FRESH	1024

/* Compiles the functions, and looks their time zones up.  The keys are known. */
void
ms_buckets_init(MsAggState *state, List *fns)
{
	MsBuckets  *buckets = &state->buckets;
	int			n = list_length(fns);

	memset(buckets, 0, sizeof(*buckets));
	buckets->nfns = n;
	buckets->fns = palloc(sizeof(MsBucketFn) * Max(n, 1));
	buckets->exprs = palloc(sizeof(ExprState *) * Max(n, 1));
	buckets->zones = palloc0(sizeof(pg_tz *) * Max(n, 1));
	buckets->even = palloc0(sizeof(MsStretch) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		MsBucketFn *fn = list_nth(fns, i);

		buckets->fns[i] = *fn;
		buckets->exprs[i] = ExecInitExpr(fn->expr, &state->scan.css.ss.ps);
		if (fn->zoned && fn->zone != NULL)
			buckets->zones[i] = pg_tzset(fn->zone);
	}
	buckets->is_key = n == 1 && state->time_keys.nkeys == 1 &&
		state->time_keys.exprs[0] == buckets->fns[0].expr;
	buckets->known.cap = 64;
	buckets->known.at = palloc(sizeof(MsInterval) * buckets->known.cap);
	buckets->fresh.cap = MAX_FRESH;
	buckets->fresh.at = palloc(sizeof(MsInterval) * buckets->fresh.cap);
}

/* Forgets what was found: the keys, and perhaps the functions or the time zone, have changed. */
void
ms_buckets_reset(MsAggState *state)
{
	state->buckets.known.n = 0;
	state->buckets.fresh.n = 0;
	state->buckets.last = 0;
	for (int i = 0; i < state->buckets.nfns; i++)
	{
		const MsBucketFn *fn = &state->buckets.fns[i];

		if (fn->zoned && fn->zone == NULL)
			state->buckets.zones[i] = session_timezone;
		state->buckets.even[i].from = state->buckets.even[i].to = 0;
	}
}

/* The bucket function's value at t. */
static int64
value_at(MsAggState *state, int fn, int64 t)
{
	ExprContext *econtext = state->scan.css.ss.ps.ps_ExprContext;
	bool		isnull;

	ms_scan_fill_time(&state->scan, t);
	econtext->ecxt_scantuple = state->scan.row_slot;
	return DatumGetTimestampTz(ExecEvalExprSwitchContext(state->buckets.exprs[fn], econtext, &isnull));
}

/* The first time after t at which the zone's offset changes. */
static int64
next_change(const pg_tz *zone, int64 t)
{
	pg_time_t	at;
	pg_time_t	boundary;
	long int	before;
	long int	after;
	int			before_dst;
	int			after_dst;

	if (zone == NULL)
		return NO_CHANGE;
	at = timestamptz_to_time_t(t);
	if (pg_next_dst_boundary(&at, &before, &before_dst, &boundary, &after, &after_dst, zone) != 1)
		return NO_CHANGE;
	return time_t_to_timestamptz(boundary);
}

/* The first time in (lo, hi] whose value is not that of lo, given that hi's is not, or the reverse. */
static int64
search_edge(MsAggState *state, int fn, int64 lo, int64 hi, int64 value, bool lo_has_it)
{
	while (hi - lo > 1)
	{
		int64		middle = lo + (hi - lo) / 2;

		if ((value_at(state, fn, middle) == value) == lo_has_it)
			lo = middle;
		else
			hi = middle;
	}
	return hi;
}

/* Where the bucket that t is in begins, or a later time up to t. */
static int64
find_start(MsAggState *state, int fn, int64 t, int64 value)
{
	int64		start = value;
	int64		change;

	if (start > t || t - start > 2 * state->buckets.fns[fn].length)
		return t;
	while ((change = next_change(state->buckets.zones[fn], start)) <= t)
		start = change;
	if (value_at(state, fn, start) == value)
		return start;
	return search_edge(state, fn, start, t, value, false);
}

/* Where the bucket that t is in ends, or an earlier time after t. */
static int64
find_end(MsAggState *state, int fn, int64 t, int64 value)
{
	int64		length = state->buckets.fns[fn].length;
	int64		end;

	if (__builtin_add_overflow(value, length, &end) || end <= t)
	{
		if (__builtin_add_overflow(t, length, &end))
			return t + 1;
	}
	end = Min(end, next_change(state->buckets.zones[fn], t));
	if (end - 1 == t || value_at(state, fn, end - 1) == value)
		return end;
	return search_edge(state, fn, t, end - 1, value, true);
}

/*
 * Sets *start to where the bucket begins that t is in, if time is known to be cut
 * evenly there.  Mostly without calling the function.
 */
static bool
find_even(MsAggState *state, int fn, int64 t, int64 *start)
{
	const MsBucketFn *f = &state->buckets.fns[fn];
	MsStretch  *even = &state->buckets.even[fn];

	if (!f->even)
		return false;
	if (t < even->from || t >= even->to)
	{
		int64		value = value_at(state, fn, t);
		int64		change = next_change(state->buckets.zones[fn], value - USECS_PER_DAY);

		even->from = value;
		even->to = change - USECS_PER_DAY;
		if (t < value || t >= even->to)
			return false;
	}
	*start = t - (t - even->from) % f->length;
	return true;
}

/* Cuts [*start, *end) to a time around t that is in one bucket of a function, whose value is returned. */
static int64
cut_to_bucket(MsAggState *state, int fn, int64 t, int64 *start, int64 *end)
{
	int64		length = state->buckets.fns[fn].length;
	int64		value;
	int64		from;
	int64		to;

	if (length == 1)
	{
		value = from = t;
		to = t + 1;
	}
	else if (find_even(state, fn, t, &value))
	{
		from = value;
		to = value + length;
	}
	else
	{
		value = value_at(state, fn, t);
		from = find_start(state, fn, t, value);
		to = find_end(state, fn, t, value);
	}
	*start = Max(*start, from);
	*end = Min(*end, to);
	return value;
}

/* The first interval that ends after t. */
static int
search(const MsIntervals *intervals, int64 t)
{
	int			low = 0;
	int			high = intervals->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (intervals->at[middle].end > t)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static inline bool
is_in(const MsIntervals *intervals, int place, int64 t)
{
	return place < intervals->n && intervals->at[place].start <= t && t < intervals->at[place].end;
}

/* Cuts [start, end), in which no interval begins or ends at `t`, to what lies between those at `place` and before. */
static void
cut(const MsIntervals *intervals, int place, int64 *start, int64 *end)
{
	if (place > 0)
		*start = Max(*start, intervals->at[place - 1].end);
	if (place < intervals->n)
		*end = Min(*end, intervals->at[place].start);
}

/* Puts the fresh intervals among those known. */
static void
merge_fresh(MsBuckets *buckets)
{
	MsIntervals *known = &buckets->known;
	MsIntervals *fresh = &buckets->fresh;
	int			i = known->n;

	while (known->cap - known->n < fresh->n)
	{
		known->cap *= 2;
		known->at = repalloc_huge(known->at, sizeof(MsInterval) * (Size) known->cap);
	}
	known->n += fresh->n;
	for (int to = known->n; fresh->n > 0;)
		known->at[--to] = i > 0 && known->at[i - 1].start > fresh->at[fresh->n - 1].start ?
			known->at[--i] : fresh->at[--fresh->n];
}

/* Room for an interval before the known or the fresh one at these places. */
static MsInterval *
insert_interval(MsBuckets *buckets, int known, int fresh)
{
	MsInterval *interval;

	if (buckets->fresh.n == 0 && known == buckets->known.n)
	{
		if (buckets->known.n == buckets->known.cap)
		{
			buckets->known.cap *= 2;
			buckets->known.at = repalloc_huge(buckets->known.at,
											  sizeof(MsInterval) * (Size) buckets->known.cap);
		}
		return &buckets->known.at[buckets->known.n++];
	}
	if (buckets->fresh.n == MAX_FRESH)
	{
		merge_fresh(buckets);
		fresh = 0;
	}
	interval = &buckets->fresh.at[fresh];
	memmove(interval + 1, interval, sizeof(MsInterval) * (buckets->fresh.n - fresh));
	buckets->fresh.n++;
	return interval;
}

/* An interval around t, between its neighbours, of which these are the ones above. */
static MsInterval *
find_interval(MsAggState *state, int known, int fresh, int64 t)
{
	MsBuckets  *buckets = &state->buckets;
	MsInterval	found = {.start = PG_INT64_MIN,.end = PG_INT64_MAX,.key = -1,.group = -1};
	MsInterval *interval;
	int64		value = 0;

	for (int i = 0; i < buckets->nfns; i++)
		value = cut_to_bucket(state, i, t, &found.start, &found.end);
	cut(&buckets->known, known, &found.start, &found.end);
	cut(&buckets->fresh, fresh, &found.start, &found.end);
	if (buckets->is_key)
		found.key = ms_keys_find_time(state, value);
	interval = insert_interval(buckets, known, fresh);
	*interval = found;
	return interval;
}

/*
 * The interval t is in.  Valid until the next call.  May raise what the
 * functions raise.
 */
MsInterval *
ms_bucket_of(MsAggState *state, int64 t)
{
	MsBuckets  *buckets = &state->buckets;
	MsIntervals *known = &buckets->known;
	MsIntervals *fresh = &buckets->fresh;
	int			place;

	for (place = buckets->last; place < buckets->last + 2; place++)
	{
		if (is_in(known, place, t))
		{
			buckets->last = place;
			return &known->at[place];
		}
	}
	buckets->last = search(known, t);
	if (is_in(known, buckets->last, t))
		return &known->at[buckets->last];
	place = search(fresh, t);
	if (is_in(fresh, place, t))
		return &fresh->at[place];
	return find_interval(state, buckets->last, place, t);
}

/* Are two times known to be in one interval, or is there but one?  Calls nothing. */
bool
ms_bucket_known(const MsBuckets *buckets, int64 first, int64 last)
{
	const MsIntervals *found[] = {&buckets->known, &buckets->fresh};

	if (buckets->nfns == 0)
		return true;
	for (int i = 0; i < 2; i++)
	{
		int			place = search(found[i], first);

		if (is_in(found[i], place, first))
			return last < found[i]->at[place].end;
	}
	return false;
}

/*
 * A time at or below t, such that buckets of earlier times come before those of
 * t and later ones, whatever the zone does: there the bucket function's value
 * rises, and the zone's offset does not change nearby.  For one ordered function.
 */
int64
ms_bucket_boundary(MsAggState *state, int64 t)
{
	const pg_tz *zone = state->buckets.zones[0];
	int64		near = 2 * state->buckets.fns[0].length + USECS_PER_DAY;

	if (state->buckets.fns[0].length == 1)
		return t;
	for (;;)
	{
		int64		start = ms_bucket_of(state, t)->start;

		if (start <= MIN_TIMESTAMP + near)
			return MIN_TIMESTAMP;
		if (value_at(state, 0, start - 1) < value_at(state, 0, start) &&
			next_change(zone, start - near) > start + near)
			return start;
		t = start - 1;
	}
}
