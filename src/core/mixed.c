/*-------------------------------------------------------------------------
 *
 * mixed.c
 *	  Objects of any size side by side, for the first megabytes of a group.
 *
 * A span of one class takes a page at least.  A window with ten chunks of ten
 * sizes would take ten pages for what fits into one, and one with a thousand
 * would leave some twenty spans half empty.  Worse, chunks of one window grow
 * together, out of one class into the next, and leave the spans of the smaller
 * classes behind, each held by the few that grow slowly.  Measured over windows
 * whose chunks grow by forty folds, classes alone take 45% more than is
 * allocated with a thousand series and 25% with five thousand; with mixed spans
 * it is 16% and 9%.  So a group begins with mixed spans, of two kinds:
 *
 *	fine	one page in grains of 16 bytes, for objects of up to 4064 bytes;
 *			8 MB of a group at most
 *	coarse	up to sixteen pages in grains of 256 bytes, for objects of up to
 *			32 kB; 32 MB of a group at most
 *
 * Beyond that, classes get spans of their own, which are faster; where one of
 * these has room it is taken first.
 *
 * A mixed span begins with a map of its 512 grains, a bit set for each one in
 * use or not there.  The page table knows the longest run of free grains of each
 * span, and the group keeps its spans in lists by the size class that this run
 * can hold, so that the span in which an object fits best is found by looking
 * at a few.  Within the span the first run that is long enough is taken.  All of
 * it costs some thirty nanoseconds more than a span of a class, and does not
 * depend on how much there is.
 *
 * Holes do not add up as they do in a heap that lives for ever: a hole is as
 * large as some object of the same group, neighbouring ones are one, and all go
 * with the group.
 *
 * The map also knows what is in use: an object freed twice, or with a larger
 * size than it has, is caught by Assert.
 *
 * All functions need the arena's lock exclusively; ms_mixed_is_valid and
 * ms_mixed_list shared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/arenapriv.h"

#define MAX_FINE_UNITS		254 /* of an object: two fill a page */
#define MIN_COARSE_PAGES	4	/* of a span */
#define MAX_COARSE_PAGES	16
#define COARSE_SHIFT		4	/* log2 of units per coarse grain */
#define SPAN_PROBES			8	/* spans looked at to find the best */
#define MAP_BITS			512
#define MAP_WORDS			(MAP_BITS / 64)
#define MAP_BYTES			(MAP_BITS / 8)

StaticAssertDecl(MS_PAGE_UNITS == MAP_BITS &&
				 MAX_COARSE_PAGES * MS_PAGE_UNITS >> COARSE_SHIFT == MAP_BITS,
				 "a map holds the largest span of either kind");

/* log2 of the units in a grain */
static inline int
grain_shift(bool coarse)
{
	return coarse ? COARSE_SHIFT : 0;
}

/* How many grains so many units take. */
static inline uint32
grains_of_units(bool coarse, uint32 units)
{
	return (units + (1 << grain_shift(coarse)) - 1) >> grain_shift(coarse);
}

/* How many grains the map itself takes. */
static inline uint32
head_grains(bool coarse)
{
	return grains_of_units(coarse, MAP_BYTES / MS_UNIT);
}

/* How many grains a span has, its head included. */
static inline uint32
span_grains(bool coarse, uint32 npages)
{
	return npages * MS_PAGE_UNITS >> grain_shift(coarse);
}

static inline uint64 *
map_of(const MsArena *a, uint32 page)
{
	return (uint64 *) ms_page_address(&a->pages, page);
}

/* The list of spans whose longest free run is n: by the class that it holds. */
static inline int
list_of_run(bool coarse, uint32 n)
{
	int			list = MS_ROW_MIXED + (coarse ? MS_MIXED_BINS : 0);
	int			cls;

	if (n == 0)
		return list;
	cls = ms_class_of_units(n);
	return list + cls + (ms_class_units(cls) == n ? 1 : 0);
}

/* The list a span belongs into. */
int
ms_mixed_list(const MsPage *e)
{
	return list_of_run(e->cls, e->u.mixed.largest);
}

/* The first grain from "from" on that is in use, or free; or MAP_BITS. */
static inline uint32
next_grain(const uint64 *map, uint32 from, bool in_use)
{
	uint64		flip = in_use ? 0 : ~UINT64CONST(0);
	uint32		w = from / 64;
	uint64		word;

	if (from >= MAP_BITS)
		return MAP_BITS;
	word = (map[w] ^ flip) & (~UINT64CONST(0) << from % 64);
	while (word == 0)
	{
		if (++w == MAP_WORDS)
			return MAP_BITS;
		word = map[w] ^ flip;
	}
	return w * 64 + (uint32) pg_rightmost_one_pos64(word);
}

/* The last grain in use before "before"; there is one, the head. */
static inline uint32
prev_used_grain(const uint64 *map, uint32 before)
{
	uint32		w = (before - 1) / 64;
	uint64		word = map[w] & (~UINT64CONST(0) >> (63 - (before - 1) % 64));

	while (word == 0)
		word = map[--w];
	return w * 64 + (uint32) pg_leftmost_one_pos64(word);
}

/* Set, or clear, the bits of n grains. */
static void
flip_grains(uint64 *map, uint32 from, uint32 n)
{
	while (n > 0)
	{
		uint32		here = Min(n, 64 - from % 64);

		map[from / 64] ^= (~UINT64CONST(0) >> (64 - here)) << from % 64;
		from += here;
		n -= here;
	}
}

/* The longest run of free grains. */
static uint32
longest_run(const uint64 *map)
{
	uint32		longest = 0;
	uint32		pos = next_grain(map, 0, false);

	while (pos < MAP_BITS)
	{
		uint32		end = next_grain(map, pos, true);

		longest = Max(longest, end - pos);
		pos = next_grain(map, end, false);
	}
	return longest;
}

/* The first run of at least n free grains; its length goes to *len. */
static uint32
find_grains(const uint64 *map, uint32 n, uint32 *len)
{
	uint32		pos = next_grain(map, 0, false);

	for (;;)
	{
		uint32		end = next_grain(map, pos, true);

		Assert(pos < MAP_BITS);
		*len = end - pos;
		if (*len >= n)
			return pos;
		pos = next_grain(map, end, false);
	}
}

/*
 * The span of the group whose longest run of free grains is the shortest that
 * holds n, as far as SPAN_PROBES looks can tell; 0 if there is none.
 */
static uint32
find_span(const MsArena *a, const MsGroup *g, bool coarse, uint32 n)
{
	const MsPage *table = a->pages.table;
	int			end = list_of_run(coarse, 0) + MS_MIXED_BINS;
	int			probes = SPAN_PROBES;
	uint32		best = 0;
	int			list;

	for (list = list_of_run(coarse, n); best == 0 && list < end; list++)
	{
		uint32		page = g->list[list];

		if (page == 0)
			continue;
		do
		{
			if (table[page].u.mixed.largest >= n &&
				(best == 0 || table[page].u.mixed.largest <
				 table[best].u.mixed.largest))
				best = page;
			page = table[page].next;
		} while (--probes > 0 && page != g->list[list]);

		/* In the first list some are long enough, in all others all */
		probes = Max(probes, 1);
	}
	return best;
}

/*
 * How many pages a new span for an object of so many units should have; 0 if
 * the group has enough of the kind.  Coarse ones begin with four pages and grow
 * to an eighth of what is there.
 */
static uint32
span_length(const MsArena *a, const MsGroup *g, bool coarse, uint32 units)
{
	uint32		have = g->tally[MS_ROW_MIXED].pages;
	uint32		need;

	if (have >= (coarse ? a->max_mixed : a->max_fine))
		return 0;
	if (!coarse)
		return 1;
	need = (units + MS_PAGE_UNITS) / MS_PAGE_UNITS + 1;
	return Max(need, Min(Max(have / 8, MIN_COARSE_PAGES), MAX_COARSE_PAGES));
}

/* A new, empty span of n pages; 0 if there is no memory. */
static uint32
span_create(MsArena *a, MsGroup *g, bool coarse, uint32 n, bool use_reserve)
{
	uint32		page = ms_pages_alloc(&a->pages, n, use_reserve);
	uint32		head = head_grains(coarse);
	uint32		all = span_grains(coarse, n);
	MsPage	   *e;
	MsTally		delta = {0};

	if (page == 0)
		return 0;
	e = &a->pages.table[page];
	memset(e, 0, sizeof(*e));
	e->kind = MS_PAGE_MIXED;
	e->npages = n;
	e->cls = coarse;
	e->u.mixed.largest = (uint16) (all - head);
	e->u.mixed.tag = g->tag;
	ms_mark_inside_locked(a, page, 1, n);
	MS_UNPOISON(map_of(a, page), MAP_BYTES);
	memset(map_of(a, page), 0, MAP_BYTES);
	flip_grains(map_of(a, page), 0, head);
	flip_grains(map_of(a, page), all, MAP_BITS - all);
	ms_list_push_locked(a, g, ms_mixed_list(e), page);

	delta.spans = 1;
	delta.pages = n;
	delta.dead = head << grain_shift(coarse);
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
	return page;
}

/* Note a span's longest run, and put the span into the list for that. */
static void
set_longest(MsArena *a, MsGroup *g, uint32 page, uint32 longest)
{
	MsPage	   *e = &a->pages.table[page];
	int			before = ms_mixed_list(e);

	e->u.mixed.largest = (uint16) longest;
	if (ms_mixed_list(e) != before)
	{
		ms_list_remove_locked(a, g, before, page);
		ms_list_push_locked(a, g, ms_mixed_list(e), page);
	}
}

/*
 * An object of so many units, at most MS_MAX_CLASS_UNITS.  0, with nothing
 * changed, if there is no place for it and no span can be added, because the
 * group has enough of them or memory is full.
 */
MsRef
ms_mixed_alloc_locked(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	bool		coarse = units > MAX_FINE_UNITS;
	uint32		n = grains_of_units(coarse, units);
	uint32		page = find_span(a, g, coarse, n);
	MsPage	   *e;
	MsTally		delta = {0};
	uint64	   *map;
	uint32		pos;
	uint32		len;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(units >= 1 && units <= MS_MAX_CLASS_UNITS);
	if (page == 0)
	{
		uint32		npages = span_length(a, g, coarse, units);

		if (npages != 0)
			page = span_create(a, g, coarse, npages, use_reserve);
		if (page == 0)
			return 0;
	}

	e = &a->pages.table[page];
	map = map_of(a, page);
	pos = find_grains(map, n, &len);
	flip_grains(map, pos, n);
	e->u.mixed.used += (uint16) n;
	e->u.mixed.objects++;
	if (len == e->u.mixed.largest)
		set_longest(a, g, page, longest_run(map));

	delta.objects = 1;
	delta.units = units;
	delta.slots = n << grain_shift(coarse);
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
	return ms_page_ref(a, page) + (pos << grain_shift(coarse));
}

/* Free an object in that span; a span without objects goes back. */
void
ms_mixed_free_locked(MsArena *a, MsGroup *g, uint32 page, MsRef r,
					 uint32 units)
{
	MsPage	   *e = &a->pages.table[page];
	uint64	   *map = map_of(a, page);
	bool		coarse = e->cls;
	uint32		n = grains_of_units(coarse, units);
	uint32		pos = (r - ms_page_ref(a, page)) >> grain_shift(coarse);
	MsTally		delta = {0};

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(r == ms_page_ref(a, page) + (pos << grain_shift(coarse)));
	Assert(pos >= head_grains(coarse) && pos + n <= span_grains(coarse, e->npages));
	Assert(next_grain(map, pos, false) >= pos + n);
	Assert(e->u.mixed.objects > 0 && e->u.mixed.used >= n);

	flip_grains(map, pos, n);
	e->u.mixed.used -= (uint16) n;
	e->u.mixed.objects--;
	Assert(e->u.mixed.objects > 0 || e->u.mixed.used == 0);
	MS_POISON(ms_ptr(a, r), (Size) units * MS_UNIT);
	delta.objects = -1;
	delta.units = -units;
	delta.slots = -(n << grain_shift(coarse));

	if (e->u.mixed.objects == 0)
	{
		delta.spans = -1;
		delta.pages = -(uint32) e->npages;
		delta.dead = -(head_grains(coarse) << grain_shift(coarse));
		ms_list_remove_locked(a, g, ms_mixed_list(e), page);
		MS_POISON(map, MAP_BYTES);
		ms_pages_free(&a->pages, page, e->npages);
	}
	else
	{
		uint32		start = prev_used_grain(map, pos) + 1;

		set_longest(a, g, page, Max(e->u.mixed.largest,
									next_grain(map, pos, true) - start));
	}
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
}

/*
 * Does the span's map agree with its entry?  Adds what the entry knows of
 * units to *count.
 */
bool
ms_mixed_is_valid(const MsArena *a, uint32 page, MsTally *count)
{
	const MsPage *e = &a->pages.table[page];
	const uint64 *map = map_of(a, page);
	bool		coarse = e->cls;
	uint32		all;
	uint32		used = 0;
	uint32		i;

	if (e->cls > 1 || e->npages < 1 ||
		e->npages > (coarse ? MAX_COARSE_PAGES : 1))
		return false;
	all = span_grains(coarse, e->npages);
	for (i = 0; i < MAP_WORDS; i++)
	{
		uint64		word;

		for (word = map[i]; word != 0; word &= word - 1)
			used++;
	}
	count->slots += (uint32) e->u.mixed.used << grain_shift(coarse);
	count->dead += head_grains(coarse) << grain_shift(coarse);
	return next_grain(map, 0, false) >= head_grains(coarse) &&
		(all == MAP_BITS || next_grain(map, all, false) == MAP_BITS) &&
		used == e->u.mixed.used + head_grains(coarse) + MAP_BITS - all &&
		e->u.mixed.objects > 0 && e->u.mixed.objects <= e->u.mixed.used &&
		e->u.mixed.largest == longest_run(map);
}
