/*-------------------------------------------------------------------------
 *
 * vec.c
 *	  An array in the arena that grows without moving its elements.
 *
 * The essay is in vec.h; here is what changes a vector.  What can fail comes
 * first: a vector that could not grow is as it was, except that its directory
 * may be longer than it needs to be.
 *
 * What this does not do: shrink.  Freeing the group the vector lives in frees
 * the vector too; ms_vec_free is for those that go before their group.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/vec.h"

#define FIRST_SEGMENT_BYTES		128
#define FIRST_DIRECTORY			4	/* entries; the smallest object */

/*
 * Start an empty vector of elements of elem_size bytes (1 or more), with long
 * segments of 2^seg_elems_log2 elements.
 */
void
ms_vec_init(MsVec *v, uint32 elem_size, int seg_elems_log2)
{
	int			first = 0;

	Assert(elem_size >= 1 && seg_elems_log2 >= 0 && seg_elems_log2 < 31);
	while (first < seg_elems_log2 &&
		   ((uint64) elem_size << (first + 1)) <= FIRST_SEGMENT_BYTES)
		first++;
	v->dir = 0;
	v->ndir = 0;
	v->elem_size = elem_size;
	v->first_log2 = (uint8) first;
	v->seg_log2 = (uint8) seg_elems_log2;
}

/* The size of a segment in bytes. */
static Size
segment_size(const MsVec *v, uint32 seg)
{
	uint32		log2 = v->first_log2;

	if (seg > 1)
		log2 = Min(v->seg_log2, log2 + seg - 1);
	return (Size) v->elem_size << log2;
}

/* Make the directory long enough for a segment; false if memory is full. */
static bool
grow_directory(MsArena *a, MsGroup *g, MsVec *v, uint32 seg, int flags)
{
	uint32		n = Max(Max(FIRST_DIRECTORY, v->ndir + v->ndir / 2), seg + 1);
	Size		size = TYPEALIGN(MS_UNIT, n * sizeof(MsRef));
	MsRef		dir = ms_arena_alloc(a, g, size, flags | MS_ALLOC_ZERO);

	if (dir == 0)
		return false;
	if (v->dir != 0)
	{
		memcpy(ms_ptr(a, dir), ms_ptr(a, v->dir), v->ndir * sizeof(MsRef));
		ms_arena_free(a, g, v->dir, v->ndir * sizeof(MsRef));
	}
	v->dir = dir;
	v->ndir = (uint32) (size / sizeof(MsRef));
	return true;
}

/*
 * The address of element i, whose segment is created, filled with zeroes, if
 * it does not exist.  NULL if memory is full.  flags are those of the arena.
 *
 * Needs the caller's lock exclusively; takes the arena's lock.
 */
void *
ms_vec_ensure(MsArena *a, MsGroup *g, MsVec *v, uint32 i, int flags)
{
	uint32		place;
	uint32		seg = ms_vec_segment(v, i, &place);
	MsRef	   *dir;

	Assert(v->elem_size > 0);
	if (seg >= v->ndir && !grow_directory(a, g, v, seg, flags))
		return NULL;
	dir = ms_ptr(a, v->dir);
	if (dir[seg] == 0)
	{
		dir[seg] = ms_arena_alloc(a, g, segment_size(v, seg),
								  flags | MS_ALLOC_ZERO);
		if (dir[seg] == 0)
			return NULL;
	}
	return (char *) ms_ptr(a, dir[seg]) + (Size) place * v->elem_size;
}

/* Copy an object to packed memory and free it; false if memory is full. */
static bool
pack_object(MsArena *a, MsGroup *g, MsRef *ref, Size size, int flags)
{
	MsRef		copy = ms_arena_alloc_packed(a, g, size, flags);

	if (copy == 0)
		return false;
	memcpy(ms_ptr(a, copy), ms_ptr(a, *ref), size);
	ms_arena_free(a, g, *ref, size);
	*ref = copy;
	return true;
}

/*
 * Move all segments and the directory, one behind the other, to the group's
 * packed memory: for a vector that has its final size and of which each
 * segment may be all that holds a page.  False if memory is full; it is then
 * as good as before.  It may grow again afterwards, in the usual way.
 *
 * Needs the caller's lock exclusively; takes the arena's lock.
 */
bool
ms_vec_pack(MsArena *a, MsGroup *g, MsVec *v, int flags)
{
	uint32		seg;

	if (v->dir == 0)
		return true;
	for (seg = 0; seg < v->ndir; seg++)
	{
		MsRef	   *dir = ms_ptr(a, v->dir);

		if (dir[seg] != 0 && !pack_object(a, g, &dir[seg], segment_size(v, seg), flags))
			return false;
	}
	return pack_object(a, g, &v->dir, v->ndir * sizeof(MsRef), flags);
}

/*
 * Free all segments and the directory; the vector is empty, and may grow again.
 *
 * Needs the caller's lock exclusively; takes the arena's lock.
 */
void
ms_vec_free(MsArena *a, MsGroup *g, MsVec *v)
{
	uint32		seg;

	if (v->dir == 0)
		return;
	for (seg = 0; seg < v->ndir; seg++)
	{
		MsRef		ref = ((MsRef *) ms_ptr(a, v->dir))[seg];

		if (ref != 0)
			ms_arena_free(a, g, ref, segment_size(v, seg));
	}
	ms_arena_free(a, g, v->dir, v->ndir * sizeof(MsRef));
	v->dir = 0;
	v->ndir = 0;
}

/* Bytes allocated from the arena for the vector.  O(segments). */
Size
ms_vec_allocated(const MsArena *a, const MsVec *v)
{
	Size		sum = v->ndir * sizeof(MsRef);
	uint32		seg;

	for (seg = 0; seg < v->ndir; seg++)
	{
		if (((const MsRef *) ms_ptr(a, v->dir))[seg] != 0)
			sum += TYPEALIGN(MS_UNIT, segment_size(v, seg));
	}
	return sum;
}
