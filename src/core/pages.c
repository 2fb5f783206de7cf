/*-------------------------------------------------------------------------
 *
 * pages.c
 *	  Page runs: the lowest layer of the arena.
 *
 * The segment behind the page table is cut into pages of 8 kB.  This file
 * hands out runs of consecutive pages and takes them back; what is in them is
 * the business of arena.c, mixed.c and packed.c.
 *
 * Free runs are kept in bins by the power of two of their length, with a bit
 * per bin, so that a run is found by looking at a word.  The entries of the
 * first and of the last page of a free run both carry its length, so that a
 * run given back finds its free neighbours at once and joins them: two free
 * runs never touch.  The pages behind the last one ever used (top) are in no
 * bin and their entries are never looked at: a segment of which a tenth is
 * used has touched a tenth of its page table.
 *
 * Memory is kept compact: holes are used before top moves, and among the
 * first few runs of a bin the lowest wins.  A search through a whole bin
 * happens only where the answer would otherwise be "full".
 *
 * Free pages that are being given back to the operating system are lent: they
 * are in no bin meanwhile, so nobody else takes them (backing.c).
 *
 * What this does not do: move anything.
 *
 * A part of the pages, the reserve, is handed out to callers that ask for it
 * by name only.  Those are the ones that make room: folding, sealing, and
 * expiring need some memory before they return more.  The last pages are kept for
 * them, so that a large chunk finds a run; when those have been used, as many
 * pages elsewhere, which is what they have made free.
 *
 * All functions need the arena's lock exclusively, except ms_pages_largest,
 * ms_page_run_length and ms_pages_is_valid, for which shared is enough.
 * arena.c takes it and asserts it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/pages.h"

StaticAssertDecl(sizeof(MsPage) == 16, "a page entry takes 16 bytes");

/* How many runs of a bin are looked at before a larger bin is tried. */
#define BIN_PROBES	8

static inline int
bin_of(uint32 n)
{
	return pg_leftmost_one_pos32(n);
}

/*
 * Set up an empty page table.  The table's memory may hold anything: an entry
 * is written before it is read.
 */
void
ms_pages_init(MsPages *pp, MsPage *table, char *first, uint32 npages)
{
	Assert(npages >= 1 && npages <= MS_MAX_PAGES);
	memset(pp, 0, sizeof(*pp));
	pp->first = first;
	pp->table = table;
	pp->npages = npages;
	pp->nfree = npages;
	pp->top = 1;
	pp->high = 1;

	/* A 64th, but no more than 64 MB */
	pp->reserve = Min(Max(npages / 64, 1), 8192);
}

static void
bin_add(MsPages *pp, uint32 page, uint32 n)
{
	MsPage	   *first = &pp->table[page];
	MsPage	   *last = &pp->table[page + n - 1];
	int			b = bin_of(n);

	last->kind = MS_PAGE_FREE;
	last->u.run.npages = n;
	first->kind = MS_PAGE_FREE;
	first->u.run.npages = n;
	first->prev = 0;
	first->next = pp->bin[b];
	if (pp->bin[b] != 0)
		pp->table[pp->bin[b]].prev = page;
	pp->bin[b] = page;
	pp->nonempty |= (uint32) 1 << b;
}

static void
bin_remove(MsPages *pp, uint32 page)
{
	MsPage	   *first = &pp->table[page];
	int			b = bin_of(first->u.run.npages);

	Assert(first->kind == MS_PAGE_FREE);
	if (first->prev != 0)
		pp->table[first->prev].next = first->next;
	else
	{
		Assert(pp->bin[b] == page);
		pp->bin[b] = first->next;
		if (first->next == 0)
			pp->nonempty &= ~((uint32) 1 << b);
	}
	if (first->next != 0)
		pp->table[first->next].prev = first->prev;

	/* Neither end may be taken for the end of a free run from now on. */
	pp->table[page + first->u.run.npages - 1].kind = MS_PAGE_NONE;
	first->kind = MS_PAGE_NONE;
}

/* Behind the last page that may be handed out. */
static inline uint32
end_of(const MsPages *pp, bool use_reserve)
{
	return pp->npages + 1 - (use_reserve ? 0 : pp->reserve);
}

/*
 * The lowest of the first "probes" runs in a bin that are long enough, before "end"; 0
 * if there is none among them.
 */
static uint32
bin_search(const MsPages *pp, int b, uint32 n, uint32 end, uint32 probes)
{
	uint32		best = 0;
	uint32		page;

	for (page = pp->bin[b]; page != 0 && probes-- > 0;
		 page = pp->table[page].next)
	{
		if (pp->table[page].u.run.npages >= n && page + n <= end &&
			(best == 0 || page < best))
			best = page;
	}
	return best;
}

/* A free run of n pages or more from the bins; 0 if it is not easily found. */
static uint32
find_run(const MsPages *pp, uint32 n, uint32 end)
{
	int			b = bin_of(n);
	uint32		larger = pp->nonempty & ~(((uint32) 2 << b) - 1);
	uint32		page;

	page = bin_search(pp, b, n, end, BIN_PROBES);
	if (page == 0 && larger != 0)
		page = bin_search(pp, pg_rightmost_one_pos32(larger), n, end, BIN_PROBES);
	return page;
}

/* The same, with all effort. */
static uint32
find_any_run(const MsPages *pp, uint32 n, uint32 end)
{
	uint32		page = 0;
	int			b;

	for (b = bin_of(n); page == 0 && b < MS_PAGE_BINS; b++)
		page = bin_search(pp, b, n, end, PG_UINT32_MAX);
	return page;
}

/*
 * Take n pages in a row.  Returns the first page's number, or 0 if there is no
 * such run or if it would take from the reserve without leave.
 *
 * The entries are the caller's to fill: at least the first and the last have
 * to get a kind other than FREE, before any other function here is called.
 */
uint32
ms_pages_alloc(MsPages *pp, uint32 n, bool use_reserve)
{
	uint32		page;
	uint32		end = end_of(pp, use_reserve);

	Assert(n >= 1);
	if (n > pp->nfree || (!use_reserve && pp->nfree - n < pp->reserve))
		return 0;

	page = find_run(pp, n, end);
	if (page == 0 && pp->top + n > end)
		page = find_any_run(pp, n, end);

	if (page != 0)
	{
		uint32		have = pp->table[page].u.run.npages;

		bin_remove(pp, page);
		if (have > n)
			bin_add(pp, page + n, have - n);
	}
	else if (pp->top + n <= end)
	{
		page = pp->top;
		pp->top += n;
		pp->high = Max(pp->high, pp->top);
	}
	else
		return 0;

	pp->nfree -= n;
	ms_backing_touch(pp, page, n);
	return page;
}

/*
 * Lengthen a run in use, of n pages, by the "more" pages behind it, if those
 * are free.  Otherwise returns false and changes nothing.  The new entries are
 * the caller's to fill, as with ms_pages_alloc.
 */
bool
ms_pages_extend(MsPages *pp, uint32 page, uint32 n, uint32 more,
				bool use_reserve)
{
	uint32		behind = page + n;

	Assert(more >= 1);
	if (more > pp->nfree || behind + more > end_of(pp, use_reserve) ||
		(!use_reserve && pp->nfree - more < pp->reserve))
		return false;

	if (behind == pp->top)
	{
		pp->top += more;
		pp->high = Max(pp->high, pp->top);
	}
	else
	{
		uint32		have;

		if (pp->table[behind].kind != MS_PAGE_FREE)
			return false;
		have = pp->table[behind].u.run.npages;
		if (have < more)
			return false;
		bin_remove(pp, behind);
		if (have > more)
			bin_add(pp, behind + more, have - more);
	}
	pp->nfree -= more;
	ms_backing_touch(pp, behind, more);
	return true;
}

/*
 * Give back n pages in a row, all of them in use: a whole run or a part of
 * one.  Joins free neighbours.
 */
void
ms_pages_free(MsPages *pp, uint32 page, uint32 n)
{
	uint32		behind = page + n;

	Assert(n >= 1 && page >= 1 && behind <= pp->top);
	pp->nfree += n;

	if (page > 1 && pp->table[page - 1].kind == MS_PAGE_FREE)
	{
		uint32		before = pp->table[page - 1].u.run.npages;

		page -= before;
		n += before;
		bin_remove(pp, page);
	}
	if (behind == pp->top)
	{
		pp->top = page;
		return;
	}
	if (pp->table[behind].kind == MS_PAGE_FREE)
	{
		n += pp->table[behind].u.run.npages;
		bin_remove(pp, behind);
	}
	bin_add(pp, page, n);
}

/*
 * The free run that holds a page, which is free: its first page, or 0 if it is
 * the untouched end.  Looks through the bins of runs as long as a granule, so
 * there must be a granule around the page that is free too.
 */
uint32
ms_pages_find_free(const MsPages *pp, uint32 page)
{
	int			b;

	if (page >= pp->top)
		return 0;
	for (b = bin_of(MS_GRANULE_PAGES); b < MS_PAGE_BINS; b++)
	{
		uint32		run;

		for (run = pp->bin[b]; run != 0; run = pp->table[run].next)
		{
			if (page >= run && page - run < pp->table[run].u.run.npages)
				return run;
		}
	}
	Assert(false);
	return 0;
}

/*
 * Lend n free pages out of a run as ms_pages_find_free gave it: nobody else
 * gets them until ms_pages_put.
 */
void
ms_pages_take(MsPages *pp, uint32 run, uint32 page, uint32 n)
{
	uint32		behind = page + n;

	Assert(n >= 2 && n <= pp->nfree);
	if (run != 0)
	{
		uint32		have = pp->table[run].u.run.npages;

		Assert(page >= run && behind <= run + have);
		bin_remove(pp, run);
		if (page > run)
			bin_add(pp, run, page - run);
		if (behind < run + have)
			bin_add(pp, behind, run + have - behind);
	}
	else
	{
		Assert(page >= pp->top && behind <= pp->npages + 1);
		if (page > pp->top)
			bin_add(pp, pp->top, page - pp->top);
		pp->top = behind;
		pp->high = Max(pp->high, pp->top);
	}
	pp->table[page].kind = MS_PAGE_LENT;
	pp->table[page].u.run.npages = n;
	pp->table[behind - 1].kind = MS_PAGE_LENT;
	pp->table[behind - 1].u.run.npages = n;
	pp->nfree -= n;
	pp->nlent += n;
}

/* Put back what ms_pages_take has lent. */
void
ms_pages_put(MsPages *pp, uint32 page)
{
	uint32		n = pp->table[page].u.run.npages;

	Assert(pp->table[page].kind == MS_PAGE_LENT && n <= pp->nlent);
	pp->table[page].kind = MS_PAGE_NONE;
	pp->table[page + n - 1].kind = MS_PAGE_NONE;
	pp->nlent -= n;
	ms_pages_free(pp, page, n);
}

/* The longest run of free pages. */
uint32
ms_pages_largest(const MsPages *pp)
{
	uint32		largest = pp->npages + 1 - pp->top;
	uint32		page;

	if (pp->nonempty == 0)
		return largest;
	for (page = pp->bin[pg_leftmost_one_pos32(pp->nonempty)]; page != 0;
		 page = pp->table[page].next)
		largest = Max(largest, pp->table[page].u.run.npages);
	return largest;
}

/* The length of a run, free or in use, given its first page; 0 if it is none. */
uint32
ms_page_run_length(const MsPages *pp, uint32 page)
{
	const MsPage *e = &pp->table[page];

	switch (e->kind)
	{
		case MS_PAGE_SPAN:
		case MS_PAGE_MIXED:
			return e->npages;
		case MS_PAGE_PACKED:
			return e->u.packed.npages;
		case MS_PAGE_FREE:
		case MS_PAGE_RUN:
		case MS_PAGE_LENT:
			return e->u.run.npages;
		default:
			return 0;
	}
}

/* The entries behind a run's first one say what they should. */
static bool
inside_is_valid(const MsPages *pp, uint32 page, uint32 n)
{
	const MsPage *e = &pp->table[page];
	uint32		i;

	if (e->kind == MS_PAGE_RUN)
		return n == 1 || pp->table[page + n - 1].kind == MS_PAGE_INSIDE;
	if (e->kind == MS_PAGE_LENT)
		return pp->table[page + n - 1].kind == MS_PAGE_LENT &&
			pp->table[page + n - 1].u.run.npages == n;
	for (i = 1; i < n; i++)
	{
		if (pp->table[page + i].kind != MS_PAGE_INSIDE ||
			pp->table[page + i].next != page)
			return false;
	}
	return true;
}

/* The bins hold free runs of their lengths, nfree pages in all. */
static bool
bins_are_valid(const MsPages *pp, const char **why)
{
	uint64		sum = pp->npages + 1 - pp->top;
	int			b;

	for (b = 0; b < MS_PAGE_BINS; b++)
	{
		uint32		prev = 0;
		uint32		page;

		*why = "a bin's bit does not match the bin";
		if ((pp->bin[b] != 0) != ((pp->nonempty >> b & 1) != 0))
			return false;

		for (page = pp->bin[b]; page != 0; page = pp->table[page].next)
		{
			*why = "a bin holds something that is no free run of its length";
			if (page >= pp->top || pp->table[page].kind != MS_PAGE_FREE ||
				pp->table[page].u.run.npages == 0 ||
				bin_of(pp->table[page].u.run.npages) != b)
				return false;
			*why = "a bin's links do not match";
			if (pp->table[page].prev != prev)
				return false;
			*why = "the bins hold more pages than are free";
			sum += pp->table[page].u.run.npages;
			if (sum > pp->nfree)
				return false;
			prev = page;
		}
	}
	*why = "the bins hold fewer pages than are free";
	return sum == pp->nfree;
}

/*
 * Do runs cover the pages below top exactly, without touching free ones, and
 * do the bins hold all free ones?  O(pages in use).  *why is set to a constant
 * string if not.
 */
bool
ms_pages_is_valid(const MsPages *pp, const char **why)
{
	uint64		nfree = pp->npages + 1 - pp->top;
	uint64		nlent = 0;
	bool		after_free = false;
	uint32		page = 1;

	*why = "top is out of range";
	if (pp->top < 1 || pp->top > pp->npages + 1 || pp->high < pp->top)
		return false;

	while (page < pp->top)
	{
		uint32		n = ms_page_run_length(pp, page);

		*why = "a page is the first of no run";
		if (n == 0)
			return false;
		*why = "a run reaches beyond the last page in use";
		if (n > pp->top - page)
			return false;
		if (pp->table[page].kind == MS_PAGE_FREE)
		{
			*why = "two free runs touch";
			if (after_free)
				return false;
			*why = "a free run's two ends differ";
			if (pp->table[page + n - 1].kind != MS_PAGE_FREE ||
				pp->table[page + n - 1].u.run.npages != n)
				return false;
			nfree += n;
			after_free = true;
		}
		else
		{
			*why = "a page inside a run does not say so";
			if (!inside_is_valid(pp, page, n))
				return false;
			if (pp->table[page].kind == MS_PAGE_LENT)
				nlent += n;
			after_free = false;
		}
		page += n;
	}
	*why = "the last free run touches the untouched end";
	if (after_free)
		return false;
	*why = "the count of free pages is wrong";
	if (nfree != pp->nfree || nlent != pp->nlent)
		return false;
	if (!bins_are_valid(pp, why) || !ms_backing_is_valid(pp, why))
		return false;
	*why = NULL;
	return true;
}
