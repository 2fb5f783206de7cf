/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  The shared memory that holds everything memseries stores.
 *
 * The essay is in arena.c.  In short: the arena hands out objects; every
 * object belongs to a group; the pages of a group hold nothing of any other
 * group, so that a group is freed as a whole in time proportional to its
 * spans, and leaves no holes.  A group is what is freed together: a window of
 * a table, or what the table keeps for good.
 *
 * Locks.  The arena's lock, an LWLock of the caller's, protects the arena and
 * the fields of all groups.  Every function takes and releases it; it is the
 * innermost lock, and no function waits for anything else while holding it.
 * It does not protect the contents of objects: that is for the lock under
 * which the caller publishes references.  Two functions of one group may run
 * at the same time in two processes; but the caller has to see to it that
 * nobody uses a group that is being freed.
 *
 * Nothing here throws.  An object larger than the arena, or a full arena, is a
 * zero reference; a wrong argument is caught by Assert, where asserts are on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_ARENA_H
#define MS_ARENA_H

#include "storage/lwlock.h"

#include "core/sizeclass.h"

#define MS_PAGE_SIZE	8192

/*
 * A reference to an object: its distance from the arena's base in units of
 * MS_UNIT (16) bytes, so an arena may have up to 64 GB.  0 is "none".
 */
typedef uint32 MsRef;

typedef struct MsArena MsArena;

/* Flags of the allocating functions */
#define MS_ALLOC_RESERVE	0x01	/* may use the reserve: for those who make
									 * room (fold, seal, expire) */
#define MS_ALLOC_ZERO		0x02	/* the object is filled with zeroes */

/*
 * The kinds of memory that are counted apart: one for each size class, and
 * three without one.
 */
#define MS_ROW_PACKED	MS_NUM_CLASSES	/* ms_arena_alloc_packed */
#define MS_ROW_RUN		(MS_NUM_CLASSES + 1)	/* objects with pages of their
												 * own */
#define MS_ROW_MIXED	(MS_NUM_CLASSES + 2)	/* mixed spans, of either kind */
#define MS_NUM_ROWS		(MS_NUM_CLASSES + 3)

/* A group has a list for each row, but many for mixed spans, by their room. */
#define MS_MIXED_BINS	33		/* of each kind */
#define MS_NUM_LISTS	(MS_ROW_MIXED + 2 * MS_MIXED_BINS)

/* Counters of one row.  Protected by the arena's lock. */
typedef struct MsTally
{
	uint32		spans;
	uint32		pages;
	uint32		objects;		/* handed out and not freed */
	uint32		slots;			/* classes: room for that many objects; mixed:
								 * units that objects take up */
	uint32		units;			/* sum of the objects' sizes, each rounded up
								 * to MS_UNIT */
	uint32		dead;			/* packed: units of freed objects; mixed:
								 * units of the spans' heads */
} MsTally;

/*
 * A group.  Embedded by the caller in memory that all processes share and that
 * does not move; all zeroes is an empty group.  A group that holds anything
 * must not be copied or forgotten.  Protected by the arena's lock.
 */
typedef struct MsGroup
{
	uint32		tag;			/* number in 1 .. 65535 that marks its pages,
								 * 0 if it has none */
	uint32		packed;			/* page of the packed span being filled, or 0 */
	uint32		list[MS_NUM_LISTS]; /* first page of each circular list; in a
									 * class, spans with room come first */
	MsTally		tally[MS_NUM_ROWS];
} MsGroup;

/*
 * What a row's pages are made of, in bytes.
 * in_use = allocated + slack + free + tail + dead.
 */
typedef struct MsRowStats
{
	uint32		object_size;	/* of the class; 0 if the row has none */
	uint64		spans;
	uint64		objects;
	uint64		in_use;			/* pages taken */
	uint64		allocated;		/* sum of the sizes asked for, each rounded up
								 * to MS_UNIT */
	uint64		slack;			/* what rounding up to the class, or to whole
								 * pages, adds to that */
	uint64		free;			/* room for more objects in pages taken */
	uint64		tail;			/* too small a rest at the end of spans */
	uint64		dead;			/* freed packed objects in spans not yet free */
} MsRowStats;

/* The arena as a whole, in bytes. */
typedef struct MsArenaStats
{
	uint64		limit;			/* size of the segment */
	uint64		metadata;		/* its header and page table */
	uint64		in_use;			/* pages taken; limit = metadata + in_use +
								 * free + what is cut off by page size */
	uint64		allocated;
	uint64		free;			/* free pages, the reserve included */
	uint64		reserve;		/* how much of that is kept for maintenance */
	uint64		largest_free;	/* longest run of free pages */
	uint64		touched;		/* highest amount of pages ever reached */
	uint64		backed;			/* what the operating system has given at
								 * most: pages in ranges of 2 MB of which any
								 * was used and that were not released */
} MsArenaStats;

/* The address of a reference, which must not be 0. */
static inline void *
ms_ptr(const MsArena *a, MsRef r)
{
	Assert(r != 0);
	return (char *) a + (Size) r * MS_UNIT;
}

/* The reference to an object's address. */
static inline MsRef
ms_ref(const MsArena *a, const void *p)
{
	Assert(((const char *) p - (const char *) a) % MS_UNIT == 0);
	return (MsRef) (((const char *) p - (const char *) a) / MS_UNIT);
}

extern MsArena *ms_arena_init(void *base, Size size, LWLock *lock);
extern MsRef ms_arena_alloc(MsArena *a, MsGroup *g, Size size, int flags);
extern MsRef ms_arena_alloc_packed(MsArena *a, MsGroup *g, Size size,
								   int flags);
extern void ms_arena_free(MsArena *a, MsGroup *g, MsRef r, Size size);
extern void ms_arena_trim_packed(MsArena *a, MsGroup *g);
extern void ms_arena_close_packed(MsArena *a, MsGroup *g);
extern void ms_arena_free_group(MsArena *a, MsGroup *g);
extern Size ms_arena_good_size(Size size);

/* Memory for the operating system: backing.c */
extern uint32 ms_arena_note_idle(MsArena *a);
extern void *ms_arena_release_begin(MsArena *a, uint32 max, Size *size);
extern void ms_arena_release_end(MsArena *a, void *start, bool released);
extern bool ms_arena_is_lending(MsArena *a);

extern void ms_arena_stats(MsArena *a, MsArenaStats *stats);
extern void ms_arena_row_stats(MsArena *a, MsRowStats *rows);
extern void ms_group_row_stats(MsArena *a, MsGroup *g, MsRowStats *rows);
extern uint64 ms_group_in_use(MsArena *a, MsGroup *g);
extern uint64 ms_group_allocated(MsArena *a, MsGroup *g);
extern bool ms_arena_is_valid(MsArena *a, const char **why);
extern bool ms_group_is_valid(MsArena *a, MsGroup *g, const char **why);

#endif							/* MS_ARENA_H */
