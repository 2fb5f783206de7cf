/*-------------------------------------------------------------------------
 *
 * arenapriv.h
 *	  What the arena's own source files share; not for anybody else.
 *
 * Freed memory is poisoned for AddressSanitizer and valgrind where the code is
 * compiled for them (MS_POISON; MS_UNPOISON where the contents are to be new,
 * MS_EXPOSE where they are to be read), so that the core's own tests catch a use after free or
 * past the end of an object in the arena as they do on the heap.  Both keep
 * their shadow memory per process: in a server, where another process may
 * hand out what this one has freed, poison would raise false alarms, so a
 * server build under one of them defines MS_NO_POISON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_ARENAPRIV_H
#define MS_ARENAPRIV_H

#include "core/arena.h"
#include "core/pages.h"

#if !defined(MS_NO_POISON) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MS_ASAN
#endif
#endif
#if !defined(MS_NO_POISON) && defined(__SANITIZE_ADDRESS__)
#define MS_ASAN
#endif

#if defined(MS_ASAN)
#include <sanitizer/asan_interface.h>
#define MS_POISON(p, size)		__asan_poison_memory_region(p, size)
#define MS_UNPOISON(p, size)	__asan_unpoison_memory_region(p, size)
#define MS_EXPOSE(p, size)		__asan_unpoison_memory_region(p, size)
#define MS_IS_POISONED(p)		__asan_address_is_poisoned(p)
#elif defined(USE_VALGRIND) && !defined(MS_NO_POISON)
#include <valgrind/memcheck.h>
#define MS_POISON(p, size)		VALGRIND_MAKE_MEM_NOACCESS(p, size)
#define MS_UNPOISON(p, size)	VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define MS_EXPOSE(p, size)		VALGRIND_MAKE_MEM_DEFINED(p, size)
#define MS_IS_POISONED(p)		(false)
#else
#define MS_POISON(p, size)		((void) 0)
#define MS_UNPOISON(p, size)	((void) 0)
#define MS_EXPOSE(p, size)		((void) 0)
#define MS_IS_POISONED(p)		(false)
#endif

#define MS_ARENA_MAGIC	UINT64CONST(0x6d736172656e6131)
#define MS_FREE_MAGIC	UINT64CONST(0x9d5ea11f4ee0b1ec)

/*
 * The head of the segment.  Constant once ms_arena_init is through: up to
 * max_mixed.  The rest is protected by *lock.
 */
struct MsArena
{
	uint64		magic;
	LWLock	   *lock;			/* borrowed */
	Size		size;			/* of the segment, in bytes */
	Size		metadata;		/* bytes before the first page */
	MsRef		first;			/* where page 1 begins */
	uint32		max_fine;		/* pages of a group above which it gets no
								 * more fine mixed spans */
	uint32		max_mixed;		/* and no more mixed spans at all */
	uint32		last_tag;		/* last group tag given out */
	MsTally		tally[MS_NUM_ROWS]; /* sum over all groups */
	MsPages		pages;
	uint64		magic_end;
};

/* What a free object of a span begins with. */
typedef struct MsFreeObject
{
	uint32		next;			/* unit offset of the next one in the span; if
								 * this is the last, 0 */
	MsRef		self;			/* of this one */
	uint64		magic;
} MsFreeObject;

/* The page a reference points into. */
static inline uint32
ms_page_of_ref(const MsArena *a, MsRef r)
{
	Assert(r >= a->first);
	return (r - a->first) / MS_PAGE_UNITS + 1;
}

/* The reference to a page's first byte. */
static inline MsRef
ms_page_ref(const MsArena *a, uint32 page)
{
	return a->first + (page - 1) * MS_PAGE_UNITS;
}

/* How many objects a span of one class holds. */
static inline uint32
ms_span_slots(uint32 npages, uint32 units)
{
	return npages * MS_PAGE_UNITS / units;
}

/* arena.c: lists of a group, and marks of a run taken from ms_pages_alloc */
extern void ms_list_push_locked(MsArena *a, MsGroup *g, int list,
								uint32 page);
extern void ms_list_remove_locked(MsArena *a, MsGroup *g, int list,
								  uint32 page);
extern void ms_mark_inside_locked(MsArena *a, uint32 page, uint32 from,
								  uint32 to);
extern void ms_tally_add_locked(MsArena *a, MsGroup *g, int row,
								const MsTally *delta);

/* packed.c */
extern MsRef ms_packed_alloc_locked(MsArena *a, MsGroup *g, uint32 units,
									bool use_reserve);
extern void ms_packed_free_locked(MsArena *a, MsGroup *g, uint32 page,
								  MsRef r, uint32 units);
extern void ms_packed_trim_locked(MsArena *a, MsGroup *g);

/* Larger objects get pages of their own, at a cost of 2% of slack at most. */
#define MS_MAX_PACKED_UNITS		(16 * 1024)

/* mixed.c */
#define MS_MAX_FINE_PAGES	1024	/* 8 MB */
#define MS_MAX_MIXED_PAGES	(MS_MAX_FINE_PAGES + 4096)
extern MsRef ms_mixed_alloc_locked(MsArena *a, MsGroup *g, uint32 units,
								   bool use_reserve);
extern void ms_mixed_free_locked(MsArena *a, MsGroup *g, uint32 page, MsRef r,
								 uint32 units);
extern bool ms_mixed_is_valid(const MsArena *a, uint32 page, MsTally *count);
extern int	ms_mixed_list(const MsPage *e);

#endif							/* MS_ARENAPRIV_H */
