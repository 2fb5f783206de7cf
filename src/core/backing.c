/*-------------------------------------------------------------------------
 *
 * backing.c
 *	  Which parts of the segment the operating system backs with memory.
 *
 * The kernel gives a page of the segment its memory when it is first touched,
 * and keeps it until told otherwise.  After a large table is dropped, or at
 * night, that is memory nobody else can have.  Giving it back costs a system
 * call, and the next touch a page fault, so it is worth while for what stays
 * free, and not for what the next window will take anyway.
 *
 * The segment is cut into granules of 2 MB, aligned to that in the address
 * space.  Each has two bits: "backed", set when any of its pages is handed out,
 * and "idle".  ms_arena_note_idle(), called every few seconds, marks what is
 * backed and wholly free; handing out a page takes the mark away.  So what is
 * still marked at the next call has been free for all that time, and that is
 * what ms_arena_release_begin() gives out.
 *
 * The core does no I/O: the system call is the caller's.  Between begin and
 * end the granules' pages are lent: free, but not to be had, so that the lock
 * need not be held during the call.  Only the page table says what is free;
 * nothing in a free page is ever read, so what is in it does not matter, and
 * whoever gets the page next finds zeroes, or what was there before.
 *
 * What this does not do: know about parts of a granule.  One that holds a
 * single page in use stays backed whole.
 *
 * Locks: the ms_arena_* functions take the arena's lock, all others need it,
 * exclusively to change anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/arenapriv.h"

#define WORD_BITS	64

StaticAssertDecl(MS_GRANULE_PAGES >= 2, "a lent run has two ends");

static inline uint32
words_of(uint32 ngranules)
{
	return (ngranules + WORD_BITS - 1) / WORD_BITS;
}

static inline uint32
granule_of_page(const MsPages *pp, uint32 page)
{
	return (page - 1 + pp->lead) / MS_GRANULE_PAGES;
}

/* The first page of a granule; 0 if it begins before page 1. */
static inline uint32
first_page(const MsPages *pp, uint32 granule)
{
	uint32		pages = granule * MS_GRANULE_PAGES;

	return pages >= pp->lead ? pages - pp->lead + 1 : 0;
}

static inline bool
get_bit(const uint64 *map, uint32 i)
{
	return (map[i / WORD_BITS] >> (i % WORD_BITS) & 1) != 0;
}

static inline void
set_bit(uint64 *map, uint32 i)
{
	map[i / WORD_BITS] |= UINT64CONST(1) << (i % WORD_BITS);
}

static inline void
clear_bit(uint64 *map, uint32 i)
{
	map[i / WORD_BITS] &= ~(UINT64CONST(1) << (i % WORD_BITS));
}

/* Memory for the bits of that many pages, in bytes. */
Size
ms_backing_size(uint32 npages)
{
	/* one granule more than fits, as neither end need be aligned */
	return 2 * sizeof(uint64) * words_of(npages / MS_GRANULE_PAGES + 2);
}

/*
 * Nothing is backed as yet.  memory has ms_backing_size() bytes; called when
 * all else in *pp is set.
 */
void
ms_backing_init(MsPages *pp, void *memory)
{
	Size		size = ms_backing_size(pp->npages);

	memset(memory, 0, size);
	pp->backed = memory;
	pp->idle = pp->backed + size / (2 * sizeof(uint64));
	pp->lead = (uint32) ((uintptr_t) pp->first % MS_GRANULE_SIZE / MS_PAGE_SIZE);
	pp->ngranules = granule_of_page(pp, pp->npages) + 1;
}

/* The pages are handed out. */
void
ms_backing_touch(MsPages *pp, uint32 page, uint32 n)
{
	uint32		last = granule_of_page(pp, page + n - 1);
	uint32		granule;

	for (granule = granule_of_page(pp, page); granule <= last; granule++)
	{
		set_bit(pp->backed, granule);
		clear_bit(pp->idle, granule);
	}
}

/* What the operating system backs at most, of pages, in bytes. */
uint64
ms_backing_bytes(const MsPages *pp)
{
	uint64		pages = 0;
	uint32		granule;

	for (granule = 0; granule < pp->ngranules; granule++)
	{
		int64		from = (int64) granule * MS_GRANULE_PAGES - pp->lead;

		if (pp->backed[granule / WORD_BITS] == 0)
			granule |= WORD_BITS - 1;
		else if (get_bit(pp->backed, granule))
			pages += Min(from + MS_GRANULE_PAGES, (int64) pp->high - 1) - Max(from, 0);
	}
	return pages * MS_PAGE_SIZE;
}

/* Mark the backed granules that lie wholly in n free pages; returns how many do. */
static uint32
note_run(MsPages *pp, uint32 page, uint32 n)
{
	uint32		granule = (page - 1 + pp->lead + MS_GRANULE_PAGES - 1) / MS_GRANULE_PAGES;
	uint32		end = (page - 1 + pp->lead + n) / MS_GRANULE_PAGES;
	uint32		noted = 0;

	for (; granule < end; granule++)
	{
		if (get_bit(pp->backed, granule))
		{
			set_bit(pp->idle, granule);
			noted++;
		}
	}
	return noted;
}

/*
 * Mark all granules that are backed and free as idle.  Returns how many there
 * are.  Takes the arena's lock, for a time in proportion to the free granules
 * and the free runs of 2 MB and more: some ten microseconds.
 */
uint32
ms_arena_note_idle(MsArena *a)
{
	MsPages    *pp = &a->pages;
	uint32		noted = 0;
	uint32		page;
	int			b;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	for (b = pg_leftmost_one_pos32(MS_GRANULE_PAGES); b < MS_PAGE_BINS; b++)
	{
		for (page = pp->bin[b]; page != 0; page = pp->table[page].next)
			noted += note_run(pp, page, pp->table[page].u.run.npages);
	}
	if (pp->top <= pp->npages)
		noted += note_run(pp, pp->top, pp->npages + 1 - pp->top);
	LWLockRelease(a->lock);
	return noted;
}

/*
 * Lend up to max granules in a row that are marked as idle, to give their
 * memory back.  Returns their address, and their size in *size; NULL if there
 * are none.  The caller must not read or write them, and has to call
 * ms_arena_release_end soon.
 */
void *
ms_arena_release_begin(MsArena *a, uint32 max, Size *size)
{
	MsPages    *pp = &a->pages;
	uint32		words = words_of(pp->ngranules);
	uint32		w;
	uint32		granule;
	uint32		n = 0;
	uint32		page = 0;

	Assert(max > 0);
	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	for (w = 0; w < words && pp->idle[w] == 0; w++)
		;
	if (w < words)
	{
		granule = w * WORD_BITS + pg_rightmost_one_pos64(pp->idle[w]);
		page = first_page(pp, granule);
		/* free pages in a row are one run, so these are of the same */
		for (; n < max && granule + n < pp->ngranules && get_bit(pp->idle, granule + n); n++)
			clear_bit(pp->idle, granule + n);
		ms_pages_take(pp, ms_pages_find_free(pp, page), page, n * MS_GRANULE_PAGES);
	}
	LWLockRelease(a->lock);
	*size = (Size) n * MS_GRANULE_SIZE;
	return n > 0 ? ms_page_address(pp, page) : NULL;
}

/*
 * What ms_arena_release_begin has lent is free again; released says whether
 * its memory did go back.
 */
void
ms_arena_release_end(MsArena *a, void *start, bool released)
{
	MsPages    *pp = &a->pages;
	uint32		page = (uint32) (((char *) start - pp->first) / MS_PAGE_SIZE) + 1;
	uint32		granule = granule_of_page(pp, page);
	uint32		n;

	LWLockAcquire(a->lock, LW_EXCLUSIVE);
	Assert(pp->table[page].kind == MS_PAGE_LENT);
	n = pp->table[page].u.run.npages / MS_GRANULE_PAGES;
	if (released)
	{
		while (n > 0)
			clear_bit(pp->backed, granule + --n);
	}
	ms_pages_put(pp, page);
	LWLockRelease(a->lock);
}

/* Are any pages lent at this moment?  Takes the arena's lock. */
bool
ms_arena_is_lending(MsArena *a)
{
	bool		lending;

	LWLockAcquire(a->lock, LW_SHARED);
	lending = a->pages.nlent > 0;
	LWLockRelease(a->lock);
	return lending;
}

/* What is in use is backed, and what is idle is backed, free, and within the pages. */
bool
ms_backing_is_valid(const MsPages *pp, const char **why)
{
	uint32		page = 1;
	uint32		granule;

	*why = "a granule that is idle is not backed, or not one of the segment's";
	for (granule = 0; granule < pp->ngranules; granule++)
	{
		if (get_bit(pp->idle, granule) &&
			(!get_bit(pp->backed, granule) || first_page(pp, granule) == 0 ||
			 first_page(pp, granule) + MS_GRANULE_PAGES > pp->npages + 1))
			return false;
	}
	while (page < pp->top)
	{
		uint32		n = ms_page_run_length(pp, page);

		if (pp->table[page].kind != MS_PAGE_FREE)
		{
			*why = "a granule with pages in use is idle, or not backed";
			for (granule = granule_of_page(pp, page);
				 granule <= granule_of_page(pp, page + n - 1); granule++)
			{
				if (!get_bit(pp->backed, granule) || get_bit(pp->idle, granule))
					return false;
			}
		}
		page += n;
	}
	return true;
}
