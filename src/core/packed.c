/*-------------------------------------------------------------------------
 *
 * packed.c
 *	  Objects one behind the other, for what is written once.
 *
 * A sealed window's chunks have their final size, are written in the order of
 * their series, and go together.  Size classes would cost them a tenth in
 * slack for nothing.  So they are laid out in steps of 16 bytes in spans of up
 * to 127 pages; only the last span of a group has room, and it is lengthened in
 * place as long as the pages behind it are free, so that a small window takes
 * one page and a large one leaves next to nothing at the ends of its spans.  A
 * span takes a quarter of what the group has in packed spans at once, because
 * each span leaves half a page at its end and should be long; what the last one
 * has too much goes back when it is trimmed.
 *
 * An object freed alone (a late sample replaced a sealed chunk) is counted as
 * dead and stays; when all in a span is dead, the span's pages go back.
 * Writing the window anew, which is for the layers above to decide by the
 * count of dead bytes, gets rid of the rest.
 *
 * What this does not do: reuse dead room, or know where in a span objects
 * begin.  A wrong reference freed is caught only if it lies outside of what
 * was handed out, and a second free only under AddressSanitizer or if more is
 * freed than there was.
 *
 * All functions need the arena's lock exclusively.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/arenapriv.h"

#define MAX_SPAN_PAGES	127		/* units of a span fit into 16 bits */

StaticAssertDecl(MAX_SPAN_PAGES * MS_PAGE_UNITS <= PG_UINT16_MAX,
				 "units of a packed span fit into 16 bits");
StaticAssertDecl(MS_MAX_PACKED_UNITS <= MAX_SPAN_PAGES * MS_PAGE_UNITS,
				 "a packed object fits into a span");

/* How many pages to take if "least" are needed: a quarter of what is there. */
static uint32
step_pages(const MsGroup *g, uint32 least)
{
	return Max(least, Min(g->tally[MS_ROW_PACKED].pages / 4, MAX_SPAN_PAGES));
}

/* Lengthen the span so that units more fit; false if it cannot be done. */
static bool
span_extend(MsArena *a, MsGroup *g, uint32 page, uint32 units, bool use_reserve)
{
	MsPage	   *e = &a->pages.table[page];
	uint32		have = e->u.packed.npages;
	uint32		need = (e->u.packed.used + units + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS;
	uint32		more = need - have;
	MsTally		delta = {0};

	Assert(need > have);
	if (need > MAX_SPAN_PAGES)
		return false;
	more = Min(step_pages(g, more), MAX_SPAN_PAGES - have);
	if (!ms_pages_extend(&a->pages, page, have, more, use_reserve))
	{
		more = need - have;
		if (!ms_pages_extend(&a->pages, page, have, more, use_reserve))
			return false;
	}
	ms_mark_inside_locked(a, page, have, have + more);
	e->u.packed.npages = (uint16) (have + more);
	delta.pages = more;
	ms_tally_add_locked(a, g, MS_ROW_PACKED, &delta);
	return true;
}

/* Begin a new span that holds at least so many units; 0 if it cannot be. */
static uint32
span_create(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	uint32		least = (units + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS;
	uint32		n = step_pages(g, least);
	uint32		page;
	MsPage	   *e;
	MsTally		delta = {0};

	while ((page = ms_pages_alloc(&a->pages, n, use_reserve)) == 0)
	{
		if (n == least)
			return 0;
		n = Max(least, n / 2);
	}

	e = &a->pages.table[page];
	memset(e, 0, sizeof(*e));
	e->kind = MS_PAGE_PACKED;
	e->u.packed.npages = (uint16) n;
	e->u.packed.tag = g->tag;
	ms_mark_inside_locked(a, page, 1, n);
	ms_list_push_locked(a, g, MS_ROW_PACKED, page);
	delta.spans = 1;
	delta.pages = n;
	ms_tally_add_locked(a, g, MS_ROW_PACKED, &delta);
	return page;
}

/*
 * An object of so many units, at most MS_MAX_PACKED_UNITS; 0, with nothing
 * changed, if there is no memory.
 */
MsRef
ms_packed_alloc_locked(MsArena *a, MsGroup *g, uint32 units, bool use_reserve)
{
	uint32		page = g->packed;
	MsPage	   *e = &a->pages.table[page];
	MsTally		delta = {0};
	MsRef		r;

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(units >= 1 && units <= MS_MAX_PACKED_UNITS);
	if (page == 0 ||
		(e->u.packed.used + units > (uint32) e->u.packed.npages * MS_PAGE_UNITS &&
		 !span_extend(a, g, page, units, use_reserve)))
	{
		page = span_create(a, g, units, use_reserve);
		if (page == 0)
			return 0;
		ms_packed_trim_locked(a, g);
		g->packed = page;
		e = &a->pages.table[page];
	}

	r = ms_page_ref(a, page) + e->u.packed.used;
	e->u.packed.used += (uint16) units;
	delta.objects = 1;
	delta.units = units;
	ms_tally_add_locked(a, g, MS_ROW_PACKED, &delta);
	return r;
}

/* Free an object in the span that begins with the page. */
void
ms_packed_free_locked(MsArena *a, MsGroup *g, uint32 page, MsRef r,
					  uint32 units)
{
	MsPage	   *e = &a->pages.table[page];
	uint32		off = r - ms_page_ref(a, page);
	MsTally		delta = {0};

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	Assert(off + units <= e->u.packed.used);
	Assert(e->u.packed.dead + units <= e->u.packed.used);
	Assert(!MS_IS_POISONED(ms_ptr(a, r)));
	MS_POISON(ms_ptr(a, r), (Size) units * MS_UNIT);

	delta.objects = -1;
	delta.units = -units;
	if (page == g->packed && off + units == e->u.packed.used)
		e->u.packed.used -= (uint16) units; /* the very last one: undo it */
	else
	{
		e->u.packed.dead += (uint16) units;
		delta.dead = units;
	}

	if (e->u.packed.dead == e->u.packed.used)
	{
		uint32		n = e->u.packed.npages;

		delta.dead -= e->u.packed.dead;
		delta.spans = -1;
		delta.pages = -n;
		if (page == g->packed)
			g->packed = 0;
		ms_list_remove_locked(a, g, MS_ROW_PACKED, page);
		ms_pages_free(&a->pages, page, n);
	}
	ms_tally_add_locked(a, g, MS_ROW_PACKED, &delta);
}

/* Give back the whole pages at the end of the span being filled. */
void
ms_packed_trim_locked(MsArena *a, MsGroup *g)
{
	uint32		page = g->packed;
	MsPage	   *e = &a->pages.table[page];
	uint32		keep;
	MsTally		delta = {0};

	Assert(LWLockHeldByMeInMode(a->lock, LW_EXCLUSIVE));
	if (page == 0)
		return;
	Assert(e->u.packed.used > 0);
	keep = (e->u.packed.used + MS_PAGE_UNITS - 1) / MS_PAGE_UNITS;
	if (keep < e->u.packed.npages)
	{
		delta.pages = keep - e->u.packed.npages;
		ms_pages_free(&a->pages, page + keep, e->u.packed.npages - keep);
		e->u.packed.npages = (uint16) keep;
		ms_tally_add_locked(a, g, MS_ROW_PACKED, &delta);
	}
}
