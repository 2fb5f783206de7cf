/*-------------------------------------------------------------------------
 *
 * arenacheck.c
 *	  What the arena's memory is used for, and whether its books are right.
 *
 * The statistics are sums over counters and cost the same however much is
 * stored; only the longest free run is looked for in one bin.  They are exact:
 * for each row, and so in total, in_use = allocated + slack + free + tail +
 * dead.  What a row calls what:
 *
 *	classes		slack is the rounding to the class, free the unused objects of
 *				the spans, tail what is too short for one more
 *	packed		tail is what no object was put in yet, dead what was freed
 *	run			slack is the rest of the last page
 *	mixed		slack is the rounding to grains, free what is free, tail the
 *				heads of the spans
 *
 * The validators count everything again from the page table, and compare.
 * They look at every free object, so they cost time in proportion to what is in
 * use, under the arena's lock: they are for tests and assert builds.
 *
 * Locks: every function takes the arena's lock, the validators exclusively.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/arenapriv.h"

/* Fill in one row from its counters. */
static void
row_stats(int row, const MsTally *t, MsRowStats *out)
{
	uint64		pages = (uint64) t->pages * MS_PAGE_UNITS;
	uint64		slack = 0;
	uint64		unused = 0;
	uint64		tail = 0;
	uint32		size = 0;

	if (row < MS_NUM_CLASSES)
	{
		size = ms_class_units(row);
		slack = (uint64) t->objects * size - t->units;
		unused = (uint64) (t->slots - t->objects) * size;
		tail = pages - (uint64) t->slots * size;
	}
	else if (row == MS_ROW_MIXED)
	{
		slack = t->slots - t->units;
		unused = pages - t->slots - t->dead;
		tail = t->dead;
	}
	else if (row == MS_ROW_PACKED)
		tail = pages - t->units - t->dead;
	else
		slack = pages - t->units;

	out->object_size = size * MS_UNIT;
	out->spans = t->spans;
	out->objects = t->objects;
	out->in_use = pages * MS_UNIT;
	out->allocated = (uint64) t->units * MS_UNIT;
	out->slack = slack * MS_UNIT;
	out->free = unused * MS_UNIT;
	out->tail = tail * MS_UNIT;
	out->dead = row == MS_ROW_PACKED ? (uint64) t->dead * MS_UNIT : 0;
}

/* The arena as a whole. */
void
ms_arena_stats(MsArena *a, MsArenaStats *stats)
{
	int			row;

	memset(stats, 0, sizeof(*stats));
	LWLockAcquire(a->lock, LW_SHARED);
	stats->limit = a->size;
	stats->metadata = a->metadata;
	for (row = 0; row < MS_NUM_ROWS; row++)
	{
		stats->in_use += (uint64) a->tally[row].pages * MS_PAGE_SIZE;
		stats->allocated += (uint64) a->tally[row].units * MS_UNIT;
	}
	stats->free = (uint64) (a->pages.nfree + a->pages.nlent) * MS_PAGE_SIZE;
	stats->backed = a->metadata + ms_backing_bytes(&a->pages);
	stats->reserve = (uint64) Min(a->pages.reserve, a->pages.nfree) * MS_PAGE_SIZE;
	stats->largest_free = (uint64) ms_pages_largest(&a->pages) * MS_PAGE_SIZE;
	stats->touched = (uint64) (a->pages.high - 1) * MS_PAGE_SIZE;
	LWLockRelease(a->lock);
}

/* All rows, summed over all groups; rows is an array of MS_NUM_ROWS. */
void
ms_arena_row_stats(MsArena *a, MsRowStats *rows)
{
	int			row;

	LWLockAcquire(a->lock, LW_SHARED);
	for (row = 0; row < MS_NUM_ROWS; row++)
		row_stats(row, &a->tally[row], &rows[row]);
	LWLockRelease(a->lock);
}

/* All rows of one group; rows is an array of MS_NUM_ROWS. */
void
ms_group_row_stats(MsArena *a, MsGroup *g, MsRowStats *rows)
{
	int			row;

	LWLockAcquire(a->lock, LW_SHARED);
	for (row = 0; row < MS_NUM_ROWS; row++)
		row_stats(row, &g->tally[row], &rows[row]);
	LWLockRelease(a->lock);
}

/* Bytes of pages a group has taken. */
uint64
ms_group_in_use(MsArena *a, MsGroup *g)
{
	uint64		pages = 0;
	int			row;

	LWLockAcquire(a->lock, LW_SHARED);
	for (row = 0; row < MS_NUM_ROWS; row++)
		pages += g->tally[row].pages;
	LWLockRelease(a->lock);
	return pages * MS_PAGE_SIZE;
}

/* Bytes handed out to a group's objects, each rounded up to MS_UNIT. */
uint64
ms_group_allocated(MsArena *a, MsGroup *g)
{
	uint64		units = 0;
	int			row;

	LWLockAcquire(a->lock, LW_SHARED);
	for (row = 0; row < MS_NUM_ROWS; row++)
		units += g->tally[row].units;
	LWLockRelease(a->lock);
	return units * MS_UNIT;
}

/*
 * Walk up to "steps" objects of a span's free list, whose magic numbers are to
 * be "from", and make them "to".  Returns how many were as they should be.
 */
static uint32
walk_free_list(const MsArena *a, uint32 page, uint32 steps, uint64 from,
			   uint64 to)
{
	const MsPage *e = &a->pages.table[page];
	uint32		units = ms_class_units(e->cls);
	uint32		off = e->u.span.free;
	uint32		i;

	for (i = 0; i < steps; i++)
	{
		MsRef		r = ms_page_ref(a, page) + off;
		MsFreeObject *obj;

		if (off % units != 0 || off / units >= e->u.span.fresh)
			break;
		obj = ms_ptr(a, r);
		MS_EXPOSE(obj, sizeof(*obj));
		if (obj->magic != from || obj->self != r)
			break;
		obj->magic = to;
		off = obj->next;
		MS_POISON(obj, sizeof(*obj));
	}
	return i;
}

/*
 * A span's counts are possible, and its free list has as many objects as they
 * say.  Objects are marked on the way, so that none counts twice; the marks are
 * gone afterwards.
 */
static bool
span_is_valid(const MsArena *a, uint32 page, const char **why)
{
	const MsPage *e = &a->pages.table[page];
	uint32		nfree;
	uint32		found;

	*why = "a span has no such size class";
	if (e->cls >= MS_NUM_CLASSES)
		return false;
	*why = "a span's counts are out of range";
	if (e->u.span.used == 0 || e->u.span.used > e->u.span.fresh ||
		e->u.span.fresh > ms_span_slots(e->npages, ms_class_units(e->cls)))
		return false;

	nfree = e->u.span.fresh - e->u.span.used;
	found = walk_free_list(a, page, nfree, MS_FREE_MAGIC, ~MS_FREE_MAGIC);
	walk_free_list(a, page, found, ~MS_FREE_MAGIC, MS_FREE_MAGIC);
	*why = "a free object was written to, or a free list leads astray";
	return found == nfree;
}

/*
 * Check one run in use and add what its entry says to the counters of its row,
 * as far as entries know: units are known for packed spans and runs only.
 */
static bool
count_run(const MsArena *a, uint32 page, MsTally *tally, const char **why)
{
	const MsPage *e = &a->pages.table[page];
	uint32		n = ms_page_run_length(&a->pages, page);
	MsTally    *t;

	switch (e->kind)
	{
		case MS_PAGE_SPAN:
			if (!span_is_valid(a, page, why))
				return false;
			t = &tally[e->cls];
			t->objects += e->u.span.used;
			t->slots += ms_span_slots(n, ms_class_units(e->cls));
			break;
		case MS_PAGE_MIXED:
			*why = "a mixed span's map does not match its counts";
			t = &tally[MS_ROW_MIXED];
			if (!ms_mixed_is_valid(a, page, t))
				return false;
			t->objects += e->u.mixed.objects;
			break;
		case MS_PAGE_PACKED:
			*why = "a packed span's counts are out of range";
			if (n < 1 || e->u.packed.used > n * MS_PAGE_UNITS ||
				e->u.packed.dead >= e->u.packed.used)
				return false;
			t = &tally[MS_ROW_PACKED];
			t->units += e->u.packed.used - e->u.packed.dead;
			t->dead += e->u.packed.dead;
			break;
		case MS_PAGE_RUN:
			*why = "a run's slack is out of range";
			if (e->u.run.slack >= MS_PAGE_UNITS)
				return false;
			t = &tally[MS_ROW_RUN];
			t->objects++;
			t->slots++;
			t->units += n * MS_PAGE_UNITS - e->u.run.slack;
			break;
		default:
			*why = "a run in use is of no known kind";
			return false;
	}
	t->spans++;
	t->pages += n;
	return true;
}

/* Compare counters with those counted again. */
static bool
tallies_match(const MsTally *have, const MsTally *counted, const char **why)
{
	int			row;

	for (row = 0; row < MS_NUM_ROWS; row++)
	{
		const MsTally *h = &have[row];
		const MsTally *c = &counted[row];

		*why = "counters of spans or pages are wrong";
		if (h->spans != c->spans || h->pages != c->pages ||
			h->slots != c->slots)
			return false;
		*why = "counters of objects are wrong";
		if (row != MS_ROW_PACKED && h->objects != c->objects)
			return false;
		if ((h->objects == 0) != (h->units == 0))
			return false;
		*why = "counters of units are wrong";
		if (h->dead != c->dead)
			return false;
		if (row < MS_NUM_CLASSES)
		{
			if (h->units > (uint64) h->objects * ms_class_units(row))
				return false;
		}
		else if (row == MS_ROW_MIXED ? h->units > h->slots : h->units != c->units)
			return false;
	}
	return true;
}

static bool
arena_is_valid_locked(const MsArena *a, const char **why)
{
	MsTally		counted[MS_NUM_ROWS];
	uint32		page;
	uint64		in_use = 0;
	int			row;

	*why = "the arena's head was overwritten";
	if (a->magic != MS_ARENA_MAGIC || a->magic_end != MS_ARENA_MAGIC)
		return false;
	if (!ms_pages_is_valid(&a->pages, why))
		return false;

	memset(counted, 0, sizeof(counted));
	for (page = 1; page < a->pages.top;
		 page += ms_page_run_length(&a->pages, page))
	{
		if (a->pages.table[page].kind != MS_PAGE_FREE &&
			a->pages.table[page].kind != MS_PAGE_LENT &&
			!count_run(a, page, counted, why))
			return false;
	}
	if (!tallies_match(a->tally, counted, why))
		return false;

	*why = "pages in use and free pages are not all pages";
	for (row = 0; row < MS_NUM_ROWS; row++)
		in_use += counted[row].pages;
	if (in_use + a->pages.nfree + a->pages.nlent != a->pages.npages)
		return false;
	*why = NULL;
	return true;
}

/*
 * Do the page table, the free runs, the spans and the counters agree?  If not,
 * *why is set to a constant string.  O(pages and objects free).
 */
bool
ms_arena_is_valid(MsArena *a, const char **why)
{
	bool		ok;

	/* Exclusively, as it takes the poison off free objects for a moment */
	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	ok = arena_is_valid_locked(a, why);
	LWLockRelease(a->lock);
	return ok;
}

/* One list: its links, its pages' marks, and their order by room. */
static bool
group_list_is_valid(const MsArena *a, const MsGroup *g, int list,
					MsTally *counted, const char **why)
{
	const MsPage *table = a->pages.table;
	int			row = Min(list, MS_ROW_MIXED);
	uint32		head = g->list[list];
	uint32		page = head;
	bool		full = false;

	if (head == 0)
		return true;
	do
	{
		*why = "a group's list leads outside of the pages in use";
		if (page == 0 || page >= a->pages.top)
			return false;
		*why = "a group's list holds a page of another group";
		if (table[page].u.span.tag != g->tag)
			return false;
		*why = "a group's list holds more than was counted";
		if (counted[row].spans >= g->tally[row].spans)
			return false;
		if (!count_run(a, page, counted, why))
			return false;
		*why = "a mixed span is in the wrong list";
		if (table[page].kind == MS_PAGE_MIXED &&
			ms_mixed_list(&table[page]) != list)
			return false;
		if (table[page].kind == MS_PAGE_SPAN)
		{
			bool		now = table[page].u.span.used ==
			ms_span_slots(table[page].npages, ms_class_units(row));

			*why = "a span with room stands behind a full one";
			if (full && !now)
				return false;
			full = now;
		}
		*why = "a group's list has links that do not match";
		if (table[page].next == 0 || table[page].next >= a->pages.top ||
			table[table[page].next].prev != page)
			return false;
		page = table[page].next;
	} while (page != head);
	return true;
}

static bool
group_is_valid_locked(const MsArena *a, const MsGroup *g, const char **why)
{
	MsTally		counted[MS_NUM_ROWS];
	int			list;

	memset(counted, 0, sizeof(counted));
	for (list = 0; list < MS_NUM_LISTS; list++)
	{
		if (!group_list_is_valid(a, g, list, counted, why))
			return false;
	}
	if (!tallies_match(g->tally, counted, why))
		return false;
	*why = "the packed span being filled is none of the group's";
	if (g->packed != 0 &&
		(g->packed >= a->pages.top ||
		 a->pages.table[g->packed].kind != MS_PAGE_PACKED ||
		 a->pages.table[g->packed].u.packed.tag != g->tag))
		return false;
	*why = NULL;
	return true;
}

/*
 * Do the group's lists and counters agree with the page table?  If not, *why
 * is set to a constant string.
 */
bool
ms_group_is_valid(MsArena *a, MsGroup *g, const char **why)
{
	bool		ok;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	ok = group_is_valid_locked(a, g, why);
	LWLockRelease(a->lock);
	return ok;
}
