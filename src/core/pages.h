/*-------------------------------------------------------------------------
 *
 * pages.h
 *	  The arena's page table and its allocator of page runs.
 *
 * Private to the arena's own files; everybody else includes arena.h.  The
 * essay is in pages.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_PAGES_H
#define MS_PAGES_H

#include "core/arena.h"

#define MS_PAGE_UNITS		(MS_PAGE_SIZE / MS_UNIT)
#define MS_PAGE_BINS		24	/* by floor(log2(pages)) */
#define MS_MAX_PAGES		(((uint32) 1 << 23) - 1)	/* 64 GB */

typedef enum MsPageKind
{
	MS_PAGE_NONE = 0,			/* never used, or within a longer run */
	MS_PAGE_FREE,				/* first and last page of a free run */
	MS_PAGE_SPAN,				/* first page of a span of one size class */
	MS_PAGE_MIXED,				/* first page of a span of objects of any size */
	MS_PAGE_PACKED,				/* first page of a packed span */
	MS_PAGE_RUN,				/* first page of an object with pages of its
								 * own */
	MS_PAGE_INSIDE,				/* a later page of a span or packed span (next
								 * is the first one), or a run's last page */
	MS_PAGE_LENT				/* both ends of free pages that are being
								 * given back to the operating system */
} MsPageKind;

/*
 * One page: 16 bytes for every 8 kB.  Page numbers count from 1, so that 0 is
 * "none".  The entry of a run's first page describes the run.
 *
 * next and prev link a free run into its bin (0 ends it), and a run in use
 * into a circular list of its group.
 */
typedef struct MsPage
{
	uint32		next:24,
				kind:3,			/* MsPageKind */
				npages:5;		/* SPAN, MIXED: its length */
	uint32		prev:24,
				cls:8;			/* SPAN: its size class; MIXED: 1 if coarse */
	union
	{
		struct
		{
			uint16		used;	/* objects handed out */
			uint16		fresh;	/* objects ever handed out; what lies behind
								 * them was never touched */
			uint16		free;	/* unit offset of the first free object; there
								 * are fresh - used of them */
			uint16		tag;	/* of its group; the same place in all four */
		}			span;
		struct
		{
			uint16		used;	/* grains handed out */
			uint16		largest;	/* longest run of free grains */
			uint16		objects;
			uint16		tag;
		}			mixed;
		struct
		{
			uint16		used;	/* units handed out, freed ones included */
			uint16		dead;	/* units freed again */
			uint16		npages;
			uint16		tag;
		}			packed;
		struct
		{
			uint32		npages; /* RUN, and both ends of FREE and LENT */
			uint16		slack;	/* RUN: unused units at its end */
			uint16		tag;
		}			run;
	}			u;
} MsPage;

/* All of it is protected by the arena's lock, held exclusively to change. */
typedef struct MsPages
{
	char	   *first;			/* address of page 1; constant */
	MsPage	   *table;			/* entry 0 is not used; constant */
	uint32		npages;			/* pages 1 .. npages exist; constant */
	uint32		reserve;		/* free pages for maintenance only; constant */
	uint32		top;			/* first page of the untouched end, which is
								 * in no bin; npages + 1 if there is none */
	uint32		high;			/* the highest value top ever had */
	uint32		nfree;			/* free pages, the untouched end included */
	uint32		nlent;			/* free pages that are being given back to the
								 * operating system; not in nfree */
	uint32		nonempty;		/* bit per bin */
	uint32		bin[MS_PAGE_BINS];

	/* backing.c: what the operating system backs, by granule */
	uint64	   *backed;			/* bit: it may hold memory; constant pointer */
	uint64	   *idle;			/* bit: backed, and free since it was noted as
								 * such; constant pointer */
	uint32		ngranules;		/* constant */
	uint32		lead;			/* pages that page 1 lies behind the start of
								 * granule 0; constant */
} MsPages;

/* A granule is what goes back to the operating system at once: 2 MB. */
#define MS_GRANULE_SIZE		(2 * 1024 * 1024)
#define MS_GRANULE_PAGES	(MS_GRANULE_SIZE / MS_PAGE_SIZE)

/* The address of a page. */
static inline char *
ms_page_address(const MsPages *pp, uint32 page)
{
	Assert(page >= 1 && page <= pp->npages);
	return pp->first + (Size) (page - 1) * MS_PAGE_SIZE;
}

extern void ms_pages_init(MsPages *pp, MsPage *table, char *first,
						  uint32 npages);
extern void ms_pages_take(MsPages *pp, uint32 run, uint32 page, uint32 n);
extern void ms_pages_put(MsPages *pp, uint32 page);
extern uint32 ms_pages_find_free(const MsPages *pp, uint32 page);
extern uint32 ms_pages_alloc(MsPages *pp, uint32 n, bool use_reserve);
extern bool ms_pages_extend(MsPages *pp, uint32 page, uint32 n, uint32 more,
							bool use_reserve);
extern void ms_pages_free(MsPages *pp, uint32 page, uint32 n);
extern uint32 ms_pages_largest(const MsPages *pp);
extern uint32 ms_page_run_length(const MsPages *pp, uint32 page);
extern bool ms_pages_is_valid(const MsPages *pp, const char **why);

/* backing.c */
extern Size ms_backing_size(uint32 npages);
extern void ms_backing_init(MsPages *pp, void *memory);
extern void ms_backing_touch(MsPages *pp, uint32 page, uint32 n);
extern uint64 ms_backing_bytes(const MsPages *pp);
extern bool ms_backing_is_valid(const MsPages *pp, const char **why);

#endif							/* MS_PAGES_H */
