/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  The shared memory that holds everything memseries stores.
 *
 * In-memory stores of time series have an old disease: what expires together
 * does not lie together.  When a window's chunks go, they leave holes between
 * the chunks of other windows; after a restart, where chunks were restored in
 * another order and into other size classes than they had grown, it is worst.
 * The arena makes the cure structural.  It knows groups, a window of a table
 * being one; it takes pages from the segment for one group at a time, and cuts
 * them into objects of that group only.  When the group goes, all its pages go,
 * whatever order its objects came in.
 *
 * A group takes memory in four ways, told apart by the kind in the page table:
 *
 *	SPAN	one to sixteen pages cut into objects of one size class
 *			(sizeclass.h).  Free objects below the highest one ever handed out
 *			are linked through their own memory; those above were never
 *			touched.  The spans of a class with room come first in the group's
 *			list of that class, so that allocating and freeing take the same
 *			few steps however many objects there are.
 *	RUN		whole pages for one object: all above the largest class, and the
 *			first few large ones of a group.
 *	PACKED	objects in 16-byte steps one behind the other, for what is written
 *			once and dies with its group (packed.c).
 *	MIXED	objects of any size side by side, for the first megabytes of a
 *			group, which would leave many spans of one class half empty
 *			(mixed.c).
 *
 * How long a span is depends on how many pages the class has in that group:
 * the first is as short as can be without wasting more than an eighth at its
 * end, later ones grow to an eighth of what is there, and among the lengths
 * allowed the one with the least waste wins.  A small window does not pay for
 * large spans, and a large one has few of them.  When the last object of a
 * span is freed, its pages go back at once: what is in use depends on what is
 * held, not on what was held before.
 *
 * Every byte of every page in use is accounted for, per row (class or kind),
 * per group and in total, by counters that change with each operation; that
 * the caller names the size when it frees makes this possible without a header
 * on objects.  arenacheck.c has the sums, and the validators that compare them
 * with the page table.
 *
 * What this does not do: move objects, or protect an object's contents.  What
 * goes back to the operating system, and when, is in backing.c.
 *
 * Locks: see arena.h.  The *_locked functions of all the arena's files need
 * the arena's lock exclusively.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/arenapriv.h"

StaticAssertDecl(sizeof(MsFreeObject) == MS_UNIT,
				 "a free object fits into the smallest class");

#define MAX_SPAN_PAGES	16
#define MAX_OWN_RUNS	4		/* see wants_own_run */
#define LARGE_UNITS		257

/*
 * Set up an arena in the size bytes at base, which has to be aligned to
 * MS_UNIT.  lock protects it from now on.  Returns NULL if size is too small
 * to be of any use (under some 16 pages); more than 64 GB are left unused.
 *
 * Called once, before any other process can see the memory; takes no lock.
 * Only the header is written; what lies behind is touched as it is used.
 */
MsArena *
ms_arena_init(void *base, Size size, LWLock *lock)
{
	MsArena    *a = base;
	Size		head = TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(MsArena));
	Size		backing;
	Size		table;
	char	   *first;
	uint64		npages;

	Assert((uintptr_t) base % MS_UNIT == 0);
	size = Min(size, (Size) PG_UINT32_MAX * MS_UNIT);
	if (size < head + 18 * MS_PAGE_SIZE)
		return NULL;

	/* Entry 0 of the table and the alignment of page 1 cost one page at most */
	npages = size / MS_PAGE_SIZE;
	npages = Min(npages, MS_MAX_PAGES);
	backing = ms_backing_size((uint32) npages);
	npages = Min(npages, (size - head - backing - sizeof(MsPage) - MS_PAGE_SIZE) /
				 (MS_PAGE_SIZE + sizeof(MsPage)));
	table = head + backing;
	first = (char *) TYPEALIGN(MS_PAGE_SIZE, (uintptr_t) base + table +
							   (npages + 1) * sizeof(MsPage));
	Assert(first + npages * MS_PAGE_SIZE <= (char *) base + size);

	memset(a, 0, sizeof(*a));
	a->lock = lock;
	a->size = size;
	a->metadata = first - (char *) base;
	a->first = ms_ref(a, first);
	a->max_fine = MS_MAX_FINE_PAGES;
	a->max_mixed = MS_MAX_MIXED_PAGES;
	ms_pages_init(&a->pages, (MsPage *) ((char *) base + table), first,
				  (uint32) npages);
	ms_backing_init(&a->pages, (char *) base + head);
	a->magic = MS_ARENA_MAGIC;
	a->magic_end = MS_ARENA_MAGIC;
	MS_POISON(first, npages * MS_PAGE_SIZE);
	return a;
}

#ifdef USE_ASSERT_CHECKING
/* Is the page one of this group's?  For Asserts. */
static bool
page_is_of_group(const MsArena *a, const MsGroup *g, uint32 page)
{
	return page < a->pages.top && g->tag != 0 &&
		a->pages.table[page].u.span.tag == g->tag;
}
#endif

/* Put a run at the front of a list of the group. */
void
ms_list_push_locked(MsArena *a, MsGroup *g, int list, uint32 page)
{
	MsPage	   *table = a->pages.table;
	uint32		head = g->list[list];

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	if (head == 0)
	{
		table[page].next = page;
		table[page].prev = page;
	}
	else
	{
		uint32		last = table[head].prev;

		table[page].next = head;
		table[page].prev = last;
		table[last].next = page;
		table[head].prev = page;
	}
	g->list[list] = page;
}

/* Take a run out of the list it is in. */
void
ms_list_remove_locked(MsArena *a, MsGroup *g, int list, uint32 page)
{
	MsPage	   *table = a->pages.table;
	uint32		next = table[page].next;
	uint32		prev = table[page].prev;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	if (next == page)
	{
		Assert(g->list[list] == page);
		g->list[list] = 0;
		return;
	}
	table[prev].next = next;
	table[next].prev = prev;
	if (g->list[list] == page)
		g->list[list] = next;
}

/* Mark the pages from .. to - 1 of the run that begins at page. */
void
ms_mark_inside_locked(MsArena *a, uint32 page, uint32 from, uint32 to)
{
	uint32		i;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	for (i = from; i < to; i++)
	{
		a->pages.table[page + i].kind = MS_PAGE_INSIDE;
		a->pages.table[page + i].next = page;
	}
}

/*
 * Add to the counters of a row, in the group and in the arena.  Differences
 * may be negative: unsigned arithmetic wraps to the right result.
 */
void
ms_tally_add_locked(MsArena *a, MsGroup *g, int row, const MsTally *delta)
{
	MsTally    *tally[2];
	int			i;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	tally[0] = &g->tally[row];
	tally[1] = &a->tally[row];
	for (i = 0; i < 2; i++)
	{
		tally[i]->spans += delta->spans;
		tally[i]->pages += delta->pages;
		tally[i]->objects += delta->objects;
		tally[i]->slots += delta->slots;
		tally[i]->units += delta->units;
		tally[i]->dead += delta->dead;
	}
}

/* Count one object more. */
static inline void
tally_object_locked(MsArena *a, MsGroup *g, int row, uint32 units)
{
	g->tally[row].objects++;
	g->tally[row].units += units;
	a->tally[row].objects++;
	a->tally[row].units += units;
}

/* Count one object less. */
static inline void
untally_object_locked(MsArena *a, MsGroup *g, int row, uint32 units)
{
	Assert(g->tally[row].objects > 0 && g->tally[row].units >= units);
	g->tally[row].objects--;
	g->tally[row].units -= units;
	a->tally[row].objects--;
	a->tally[row].units -= units;

	/* Sizes named in frees have to match those of the allocations. */
	Assert(g->tally[row].objects > 0 || g->tally[row].units == 0);
}

/*
 * The length a new span of objects of that many units should have, if its
 * class has "have" pages in the group already.
 */
static uint32
span_length(uint32 units, uint32 have)
{
	uint32		n = (units + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS;
	uint32		best;
	uint32		best_tail;

	while (n * MS_PAGE_UNITS % units > n * MS_PAGE_UNITS / 8)
		n++;
	best = n;
	best_tail = n * MS_PAGE_UNITS % units;
	for (n++; n <= Min(have / 8, MAX_SPAN_PAGES); n++)
	{
		uint32		tail = n * MS_PAGE_UNITS % units;

		if (tail * best <= best_tail * n)
		{
			best = n;
			best_tail = tail;
		}
	}
	return best;
}

/* A new span at the front of its class's list; 0 if there is no memory. */
static uint32
span_create_locked(MsArena *a, MsGroup *g, int cls, bool use_reserve)
{
	uint32		units = ms_class_units(cls);
	uint32		least = (units + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS;
	uint32		n = span_length(units, g->tally[cls].pages);
	uint32		page;
	MsPage	   *e;
	MsTally		delta = {0};

	/* In a nearly full arena a shorter one will do. */
	while ((page = ms_pages_alloc(&a->pages, n, use_reserve)) == 0)
	{
		if (n == least)
			return 0;
		n = Max(least, n / 2);
	}

	e = &a->pages.table[page];
	memset(e, 0, sizeof(*e));
	e->kind = MS_PAGE_SPAN;
	e->npages = n;
	e->cls = cls;
	e->u.span.tag = g->tag;
	ms_mark_inside_locked(a, page, 1, n);
	ms_list_push_locked(a, g, cls, page);

	delta.spans = 1;
	delta.pages = n;
	delta.slots = ms_span_slots(n, units);
	ms_tally_add_locked(a, g, cls, &delta);
	return page;
}

/* Give back a span none of whose objects is in use. */
static void
span_destroy_locked(MsArena *a, MsGroup *g, int cls, uint32 page)
{
	uint32		n = a->pages.table[page].npages;
	MsTally		delta = {0};

	delta.spans = -1;
	delta.pages = -n;
	delta.slots = -ms_span_slots(n, ms_class_units(cls));
	ms_tally_add_locked(a, g, cls, &delta);
	ms_list_remove_locked(a, g, cls, page);
	ms_pages_free(&a->pages, page, n);
}

/* Is there no room in the span? */
static inline bool
span_is_full(const MsPage *e, uint32 units)
{
	return (e->u.span.used + 1) * units > (uint32) e->npages * MS_PAGE_UNITS;
}

/* An object from a span of its class, or, in a small group, a mixed one. */
static MsRef
span_alloc_locked(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	int			cls = ms_class_of_units(units);
	uint32		cls_units = ms_class_units(cls);
	uint32		page = g->list[cls];
	MsPage	   *e = &a->pages.table[page];
	MsRef		r;

	if (page == 0 || span_is_full(e, cls_units))
	{
		r = ms_mixed_alloc_locked(a, g, units, use_reserve);
		if (r != 0)
			return r;
		page = span_create_locked(a, g, cls, use_reserve);
		if (page == 0)
			return 0;
		e = &a->pages.table[page];
	}

	r = ms_page_ref(a, page);
	if (e->u.span.fresh > e->u.span.used)
	{
		MsFreeObject *obj;

		r += e->u.span.free;
		obj = ms_ptr(a, r);
		MS_EXPOSE(obj, sizeof(*obj));
		Assert(obj->magic == MS_FREE_MAGIC && obj->self == r);
		e->u.span.free = (uint16) obj->next;
		obj->magic = 0;
		MS_POISON(obj, sizeof(*obj));
	}
	else
	{
		r += e->u.span.fresh * cls_units;
		e->u.span.fresh++;
	}
	e->u.span.used++;

	/* Those with room come first: a full one goes from the front to the end. */
	if (span_is_full(e, cls_units))
		g->list[cls] = e->next;
	tally_object_locked(a, g, cls, units);
	return r;
}

#ifdef USE_ASSERT_CHECKING
/*
 * Is the object on its span's list of free ones?  The list is walked only if
 * the object looks as if it were.
 */
static bool
span_object_is_free(const MsArena *a, uint32 page, MsRef r)
{
	const MsPage *e = &a->pages.table[page];
	MsFreeObject *obj = ms_ptr(a, r);
	uint32		off = e->u.span.free;
	uint32		i;

	if (MS_IS_POISONED(obj))
		return true;
	MS_EXPOSE(obj, sizeof(*obj));
	if (obj->magic != MS_FREE_MAGIC || obj->self != r)
		return false;
	for (i = e->u.span.used; i < e->u.span.fresh; i++)
	{
		if (ms_page_ref(a, page) + off == r)
			return true;
		obj = ms_ptr(a, ms_page_ref(a, page) + off);
		MS_EXPOSE(obj, sizeof(*obj));
		off = obj->next;
		MS_POISON(obj, sizeof(*obj));
	}
	return false;
}
#endif

/* Give an object back to its span. */
static void
span_free_locked(MsArena *a, MsGroup *g, uint32 page, MsRef r, uint32 units)
{
	MsPage	   *e = &a->pages.table[page];
	int			cls = e->cls;
	uint32		cls_units = ms_class_units(cls);
	uint32		off = r - ms_page_ref(a, page);
	bool		was_full = span_is_full(e, cls_units);
	MsFreeObject *obj = ms_ptr(a, r);

	Assert(page_is_of_group(a, g, page));
	Assert(units <= MS_MAX_CLASS_UNITS && ms_class_of_units(units) == cls);
	Assert(off % cls_units == 0 && off / cls_units < e->u.span.fresh);
	Assert(e->u.span.used > 0);
	Assert(!span_object_is_free(a, page, r));

	untally_object_locked(a, g, cls, units);
	e->u.span.used--;
	if (e->u.span.used == 0)
	{
		MS_POISON(obj, cls_units * MS_UNIT);
		span_destroy_locked(a, g, cls, page);
		return;
	}

	MS_UNPOISON(obj, cls_units * MS_UNIT);
#ifdef CLOBBER_FREED_MEMORY
	memset(obj, 0x7F, cls_units * MS_UNIT);
#endif
	/* The chain's end is where fresh - used says, so its link is never read. */
	obj->next = e->u.span.free;
	obj->self = r;
	obj->magic = MS_FREE_MAGIC;
	e->u.span.free = (uint16) off;
	MS_POISON(obj, cls_units * MS_UNIT);

	if (was_full && g->list[cls] != page)
	{
		ms_list_remove_locked(a, g, cls, page);
		ms_list_push_locked(a, g, cls, page);
	}
}

/* Whole pages for one object. */
static MsRef
run_alloc_locked(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	uint32		n = (uint32) (((uint64) units + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS);
	uint32		page = ms_pages_alloc(&a->pages, n, use_reserve);
	MsPage	   *e;
	MsTally		delta = {0};

	if (page == 0)
		return 0;
	e = &a->pages.table[page];
	memset(e, 0, sizeof(*e));
	e->kind = MS_PAGE_RUN;
	e->u.run.npages = n;
	e->u.run.slack = (uint16) (n * MS_PAGE_UNITS - units);
	e->u.run.tag = g->tag;
	if (n > 1)
		ms_mark_inside_locked(a, page, n - 1, n);
	ms_list_push_locked(a, g, MS_ROW_RUN, page);

	delta.spans = 1;
	delta.pages = n;
	delta.objects = 1;
	delta.slots = 1;
	delta.units = units;
	ms_tally_add_locked(a, g, MS_ROW_RUN, &delta);
	return ms_page_ref(a, page);
}

/* Give back a run. */
static void
run_free_locked(MsArena *a, MsGroup *g, uint32 page)
{
	MsPage	   *e = &a->pages.table[page];
	uint32		n = e->u.run.npages;
	MsTally		delta = {0};

	delta.spans = -1;
	delta.pages = -n;
	delta.objects = -1;
	delta.slots = -1;
	delta.units = -(n * MS_PAGE_UNITS - e->u.run.slack);
	ms_tally_add_locked(a, g, MS_ROW_RUN, &delta);
	ms_list_remove_locked(a, g, MS_ROW_RUN, page);
	MS_POISON(ms_page_address(&a->pages, page), (Size) n * MS_PAGE_SIZE);
	ms_pages_free(&a->pages, page, n);
}

/*
 * Should an object that could have a place in a span get pages of its own?  A
 * span for objects of several kilobytes is some pages long.  As long as a group
 * has but a few of them, each of another class maybe, rounding each up to pages
 * costs less.
 */
static bool
wants_own_run(const MsGroup *g, uint32 units)
{
	return units >= LARGE_UNITS &&
		g->tally[MS_ROW_RUN].objects < MAX_OWN_RUNS &&
		g->tally[ms_class_of_units(units)].pages == 0;
}

/* Give the group a tag if it has none. */
static inline void
group_tag_locked(MsArena *a, MsGroup *g)
{
	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	if (g->tag != 0)
		return;
	a->last_tag = a->last_tag % PG_UINT16_MAX + 1;
	g->tag = a->last_tag;
}

/*
 * Hand out what was allocated: the caller may use size bytes.  Outside the
 * lock, as nobody else knows the object yet.
 */
static inline void
object_begin(MsArena *a, MsRef r, Size size, int flags)
{
	if (r == 0)
		return;
	MS_UNPOISON(ms_ptr(a, r), size);
	if (flags & MS_ALLOC_ZERO)
		memset(ms_ptr(a, r), 0, size);
}

/*
 * Allocate an object of size bytes (1 or more) in the group.  Returns 0, with
 * nothing changed, if the arena is full.  The object is aligned to MS_UNIT,
 * and its contents are undefined without MS_ALLOC_ZERO.
 *
 * Takes the arena's lock.
 */
MsRef
ms_arena_alloc(MsArena *a, MsGroup *g, Size size, int flags)
{
	Size		units = ms_size_units(size);
	MsRef		r;

	Assert(size > 0);
	if (size > a->size)
		return 0;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	group_tag_locked(a, g);
	if (units <= MS_MAX_CLASS_UNITS && !wants_own_run(g, (uint32) units))
		r = span_alloc_locked(a, g, (uint32) units,
							  (flags & MS_ALLOC_RESERVE) != 0);
	else
		r = run_alloc_locked(a, g, (uint32) units,
							 (flags & MS_ALLOC_RESERVE) != 0);
	LWLockRelease(a->lock);

	object_begin(a, r, size, flags);
	return r;
}

/*
 * Allocate like ms_arena_alloc, but right behind the object allocated before
 * it in the group: for what is written once, in the order it will be read,
 * and goes with its group.  Freeing such an object returns memory only when
 * all in its span is free.
 *
 * Takes the arena's lock.
 */
MsRef
ms_arena_alloc_packed(MsArena *a, MsGroup *g, Size size, int flags)
{
	Size		units = ms_size_units(size);
	MsRef		r;

	Assert(size > 0);
	if (size > a->size)
		return 0;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	group_tag_locked(a, g);
	if (units <= MS_MAX_PACKED_UNITS)
		r = ms_packed_alloc_locked(a, g, (uint32) units,
								   (flags & MS_ALLOC_RESERVE) != 0);
	else
		r = run_alloc_locked(a, g, (uint32) units,
							 (flags & MS_ALLOC_RESERVE) != 0);
	LWLockRelease(a->lock);

	object_begin(a, r, size, flags);
	return r;
}

/*
 * Free an object of either kind.  g is the group and size the size it was
 * allocated with.
 *
 * Takes the arena's lock.
 */
void
ms_arena_free(MsArena *a, MsGroup *g, MsRef r, Size size)
{
	uint32		units = (uint32) ms_size_units(size);
	uint32		page;

	Assert(r != 0 && size > 0);
	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	page = ms_page_of_ref(a, r);
	Assert(page < a->pages.top);
	if (a->pages.table[page].kind == MS_PAGE_INSIDE)
		page = a->pages.table[page].next;

	switch (a->pages.table[page].kind)
	{
		case MS_PAGE_SPAN:
			span_free_locked(a, g, page, r, units);
			break;
		case MS_PAGE_MIXED:
			Assert(page_is_of_group(a, g, page));
			ms_mixed_free_locked(a, g, page, r, units);
			break;
		case MS_PAGE_PACKED:
			Assert(page_is_of_group(a, g, page));
			ms_packed_free_locked(a, g, page, r, units);
			break;
		case MS_PAGE_RUN:
			Assert(page_is_of_group(a, g, page));
			Assert(r == ms_page_ref(a, page));
			Assert(units == a->pages.table[page].u.run.npages * MS_PAGE_UNITS -
				   a->pages.table[page].u.run.slack);
			run_free_locked(a, g, page);
			break;
		default:
			Assert(false);		/* no object of ours */
			break;
	}
	LWLockRelease(a->lock);
}

/*
 * Give back the whole pages that the last packed span of the group has not
 * used, once nothing more is to come.  Takes the arena's lock.
 */
void
ms_arena_trim_packed(MsArena *a, MsGroup *g)
{
	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	ms_packed_trim_locked(a, g);
	LWLockRelease(a->lock);
}

/*
 * The same, and begin a new span with the next object: for who is about to move
 * all packed objects of the group, so that none of the old ones shares a span
 * with a new one.  Takes the arena's lock.
 */
void
ms_arena_close_packed(MsArena *a, MsGroup *g)
{
	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	ms_packed_trim_locked(a, g);
	g->packed = 0;
	LWLockRelease(a->lock);
}

/*
 * Free all objects of a group, in time proportional to the number of its runs
 * of pages: the objects are not looked at.  The group is empty afterwards and
 * may be used again.
 *
 * Takes the arena's lock, for some 50 ns per run.
 */
void
ms_arena_free_group(MsArena *a, MsGroup *g)
{
	int			i;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	for (i = 0; i < MS_NUM_LISTS; i++)
	{
		while (g->list[i] != 0)
		{
			uint32		page = g->list[i];
			uint32		n = ms_page_run_length(&a->pages, page);

			Assert(page_is_of_group(a, g, page));
			ms_list_remove_locked(a, g, i, page);
			MS_POISON(ms_page_address(&a->pages, page), (Size) n * MS_PAGE_SIZE);
			ms_pages_free(&a->pages, page, n);
		}
	}
	for (i = 0; i < MS_NUM_ROWS; i++)
	{
		MsTally    *total = &a->tally[i];

		total->spans -= g->tally[i].spans;
		total->pages -= g->tally[i].pages;
		total->objects -= g->tally[i].objects;
		total->slots -= g->tally[i].slots;
		total->units -= g->tally[i].units;
		total->dead -= g->tally[i].dead;
	}
	memset(g, 0, sizeof(*g));
	LWLockRelease(a->lock);
}

/*
 * The largest size that costs no more memory than this one: what to ask for
 * when an object grows.
 */
Size
ms_arena_good_size(Size size)
{
	Size		units = ms_size_units(size);

	if (units <= MS_MAX_CLASS_UNITS)
		return (Size) ms_class_units(ms_class_of_units((uint32) Max(units, 1))) * MS_UNIT;
	return TYPEALIGN(MS_PAGE_SIZE, size);
}
