/*-------------------------------------------------------------------------
 *
 * mixed.c
 *	  Small objects of any size in one page, for small groups.
 *
 * A span of one class takes a page at least.  A window with ten chunks of ten
 * sizes would take ten pages for what fits into one; one with a thousand would
 * still waste half a page in each of some twenty classes, a fifth of all.  So
 * the first pages of a group (128, a megabyte) take objects of up to 4 kB of
 * any size, in steps of 16 bytes; when these are full, classes get spans of
 * their own, and objects that find neither a span with room nor a place here
 * begin a new span.  A large window does not notice its first megabyte; a small
 * one is nothing else.
 *
 * Such a page begins with a map of its 512 units, a bit set for each unit in
 * use, its own four included.  The page table knows the longest run of free
 * units in each page, and the group keeps its pages in ten lists by the power
 * of two of that, so that a page with room is found without a search.  Within
 * the page the lowest run that is long enough is taken.  Allocating costs a
 * look at the map, a cache line; that is slower than a span's linked objects,
 * and independent of how much there is.
 *
 * Holes do not add up as they do in a heap that lives for ever: a hole is as
 * large as some object of the same group, and the page goes with the group.
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

#define MAX_MIXED_PAGES	128		/* of a group */
#define PAGE_PROBES		4		/* pages of the exact bin looked at */
#define MAP_WORDS		(MS_PAGE_UNITS / 64)

StaticAssertDecl(MAP_WORDS * sizeof(uint64) == MS_MIXED_HEAD * MS_UNIT,
				 "the map of a mixed page is its head");

static inline uint64 *
map_of(const MsArena *a, uint32 page)
{
	return (uint64 *) ms_page_address(&a->pages, page);
}

/* The list a page belongs into: 0 if it is full, else by its longest run. */
int
ms_mixed_list(const MsPage *e)
{
	if (e->u.mixed.largest == 0)
		return MS_ROW_MIXED;
	return MS_ROW_MIXED + 1 + pg_leftmost_one_pos32(e->u.mixed.largest);
}

/* The first unit from "from" on that is in use, or free; or MS_PAGE_UNITS. */
static inline uint32
next_unit(const uint64 *map, uint32 from, bool in_use)
{
	uint64		flip = in_use ? 0 : ~UINT64CONST(0);
	uint32		w = from / 64;
	uint64		word;

	if (from >= MS_PAGE_UNITS)
		return MS_PAGE_UNITS;
	word = (map[w] ^ flip) & (~UINT64CONST(0) << from % 64);
	while (word == 0)
	{
		if (++w == MAP_WORDS)
			return MS_PAGE_UNITS;
		word = map[w] ^ flip;
	}
	return w * 64 + (uint32) pg_rightmost_one_pos64(word);
}

/* The last unit in use before "before"; there is one, the head. */
static inline uint32
prev_used_unit(const uint64 *map, uint32 before)
{
	uint32		w = (before - 1) / 64;
	uint64		word = map[w] & (~UINT64CONST(0) >> (63 - (before - 1) % 64));

	while (word == 0)
		word = map[--w];
	return w * 64 + (uint32) pg_leftmost_one_pos64(word);
}

/* Set, or clear, the bits of n units. */
static void
flip_units(uint64 *map, uint32 from, uint32 n)
{
	while (n > 0)
	{
		uint32		here = Min(n, 64 - from % 64);

		map[from / 64] ^= (~UINT64CONST(0) >> (64 - here)) << from % 64;
		from += here;
		n -= here;
	}
}

/* The longest run of free units. */
static uint32
longest_run(const uint64 *map)
{
	uint32		longest = 0;
	uint32		pos = next_unit(map, 0, false);

	while (pos < MS_PAGE_UNITS)
	{
		uint32		end = next_unit(map, pos, true);

		longest = Max(longest, end - pos);
		pos = next_unit(map, end, false);
	}
	return longest;
}

/* The first run of at least n free units; its length goes to *len. */
static uint32
find_units(const uint64 *map, uint32 n, uint32 *len)
{
	uint32		pos = next_unit(map, 0, false);

	for (;;)
	{
		uint32		end = next_unit(map, pos, true);

		Assert(pos < MS_PAGE_UNITS);
		*len = end - pos;
		if (*len >= n)
			return pos;
		pos = next_unit(map, end, false);
	}
}

/* A page of the group with a free run of n units; 0 if there is none. */
static uint32
find_page(const MsArena *a, const MsGroup *g, uint32 n)
{
	const MsPage *table = a->pages.table;
	int			list = MS_ROW_MIXED + 1 + pg_leftmost_one_pos32(n);
	uint32		page = g->list[list];
	int			probes;

	/* In this one some are long enough, in those above it all */
	for (probes = 0; page != 0 && probes < PAGE_PROBES; probes++)
	{
		if (table[page].u.mixed.largest >= n)
			return page;
		page = table[page].next;
		if (page == g->list[list])
			break;
	}
	while (++list < MS_NUM_LISTS)
	{
		if (g->list[list] != 0)
			return g->list[list];
	}
	return 0;
}

/* A new, empty page; 0 if there is no memory. */
static uint32
page_create(MsArena *a, MsGroup *g, bool use_reserve)
{
	uint32		page = ms_pages_alloc(&a->pages, 1, use_reserve);
	MsPage	   *e;
	MsTally		delta = {0};

	if (page == 0)
		return 0;
	e = &a->pages.table[page];
	memset(e, 0, sizeof(*e));
	e->kind = MS_PAGE_MIXED;
	e->u.mixed.largest = MS_PAGE_UNITS - MS_MIXED_HEAD;
	e->u.mixed.tag = g->tag;
	MS_UNPOISON(map_of(a, page), MS_MIXED_HEAD * MS_UNIT);
	memset(map_of(a, page), 0, MS_MIXED_HEAD * MS_UNIT);
	flip_units(map_of(a, page), 0, MS_MIXED_HEAD);
	ms_list_push_locked(a, g, ms_mixed_list(e), page);

	delta.spans = 1;
	delta.pages = 1;
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
	return page;
}

/* Note a page's longest run, and put the page into the list for that. */
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
 * An object of so many units, at most MS_MAX_MIXED_UNITS.  0, with nothing
 * changed, if there is no place for it and no page can be added, because the
 * group has enough of them or memory is full.
 */
MsRef
ms_mixed_alloc_locked(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	uint32		page = find_page(a, g, units);
	MsPage	   *e;
	MsTally		delta = {0};
	uint64	   *map;
	uint32		pos;
	uint32		len;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(units >= 1 && units <= MS_MAX_MIXED_UNITS);
	if (page == 0 && g->tally[MS_ROW_MIXED].pages < MAX_MIXED_PAGES)
		page = page_create(a, g, use_reserve);
	if (page == 0)
		return 0;

	e = &a->pages.table[page];
	map = map_of(a, page);
	pos = find_units(map, units, &len);
	flip_units(map, pos, units);
	e->u.mixed.used += (uint16) units;
	e->u.mixed.objects++;
	if (len == e->u.mixed.largest)
		set_longest(a, g, page, longest_run(map));

	delta.objects = 1;
	delta.units = units;
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
	return ms_page_ref(a, page) + pos;
}

/* Free an object in that page; a page without objects goes back. */
void
ms_mixed_free_locked(MsArena *a, MsGroup *g, uint32 page, MsRef r,
					 uint32 units)
{
	MsPage	   *e = &a->pages.table[page];
	uint64	   *map = map_of(a, page);
	uint32		pos = r - ms_page_ref(a, page);
	uint32		start;
	MsTally		delta = {0};

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(pos >= MS_MIXED_HEAD && pos + units <= MS_PAGE_UNITS);
	Assert(next_unit(map, pos, false) >= pos + units);
	Assert(e->u.mixed.objects > 0 && e->u.mixed.used >= units);

	flip_units(map, pos, units);
	e->u.mixed.used -= (uint16) units;
	e->u.mixed.objects--;
	Assert(e->u.mixed.objects > 0 || e->u.mixed.used == 0);
	MS_POISON(ms_ptr(a, r), (Size) units * MS_UNIT);
	delta.objects = -1;
	delta.units = -units;

	if (e->u.mixed.objects == 0)
	{
		delta.spans = -1;
		delta.pages = -1;
		ms_list_remove_locked(a, g, ms_mixed_list(e), page);
		MS_POISON(map, MS_MIXED_HEAD * MS_UNIT);
		ms_pages_free(&a->pages, page, 1);
	}
	else
	{
		start = prev_used_unit(map, pos) + 1;
		set_longest(a, g, page, Max(e->u.mixed.largest,
									next_unit(map, pos, true) - start));
	}
	ms_tally_add_locked(a, g, MS_ROW_MIXED, &delta);
}

/* Does the page's map agree with its entry? */
bool
ms_mixed_is_valid(const MsArena *a, uint32 page)
{
	const MsPage *e = &a->pages.table[page];
	const uint64 *map = map_of(a, page);
	uint32		used = 0;
	uint32		i;

	for (i = 0; i < MS_PAGE_UNITS; i++)
		used += map[i / 64] >> i % 64 & 1;
	return next_unit(map, 0, false) >= MS_MIXED_HEAD &&
		used == (uint32) e->u.mixed.used + MS_MIXED_HEAD &&
		e->u.mixed.objects > 0 && e->u.mixed.objects <= e->u.mixed.used &&
		e->u.mixed.largest == longest_run(map);
}
