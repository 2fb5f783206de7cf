/*-------------------------------------------------------------------------
 *
 * vec.h
 *	  An array in the arena that grows without moving its elements.
 *
 * Elements of one fixed size, indexed by uint32, lie in segments; a directory
 * holds the references to the segments.  The first segments are short and
 * double, so that a table of ten series costs little: with 2^b elements in the
 * first, segment k holds the elements from 2^(b+k-1) on, until a segment would
 * be longer than the length given at the start; from there all have that length.
 * An address stays valid until ms_vec_free.  Segments nobody asked for do not
 * exist, so a sparse vector costs no more than what it holds.
 *
 * Locks: the caller's.  Reading needs a lock that keeps writers out (shared is
 * enough), ms_vec_ensure and ms_vec_free need it exclusively: growing the
 * directory replaces it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_VEC_H
#define MS_VEC_H

#include "core/arena.h"

/*
 * Embedded by the caller.  All under the caller's lock.
 */
typedef struct MsVec
{
	MsRef		dir;			/* MsRef[ndir]; 0 if there is none */
	uint32		ndir;
	uint32		elem_size;		/* bytes; constant */
	uint8		first_log2;		/* elements of the first segment; constant */
	uint8		seg_log2;		/* elements of long segments; constant */
} MsVec;

/* The segment of element i, and the element's place in it. */
static inline uint32
ms_vec_segment(const MsVec *v, uint32 i, uint32 *place)
{
	uint32		k;

	if (i >= (uint32) 1 << v->seg_log2)
	{
		*place = i & (((uint32) 1 << v->seg_log2) - 1);
		return (i >> v->seg_log2) + v->seg_log2 - v->first_log2;
	}
	if (i < (uint32) 1 << v->first_log2)
	{
		*place = i;
		return 0;
	}
	k = pg_leftmost_one_pos32(i);
	*place = i - ((uint32) 1 << k);
	return k - v->first_log2 + 1;
}

/* The address of element i, or NULL if its segment does not exist. */
static inline void *
ms_vec_at(const MsArena *a, const MsVec *v, uint32 i)
{
	uint32		place;
	uint32		seg = ms_vec_segment(v, i, &place);
	MsRef		ref;

	if (seg >= v->ndir)
		return NULL;
	ref = ((const MsRef *) ms_ptr(a, v->dir))[seg];
	if (ref == 0)
		return NULL;
	return (char *) ms_ptr(a, ref) + (Size) place * v->elem_size;
}

extern void ms_vec_init(MsVec *v, uint32 elem_size, int seg_elems_log2);
extern void *ms_vec_ensure(MsArena *a, MsGroup *g, MsVec *v, uint32 i,
						   int flags);
extern bool ms_vec_pack(MsArena *a, MsGroup *g, MsVec *v, int flags);
extern void ms_vec_free(MsArena *a, MsGroup *g, MsVec *v);
extern Size ms_vec_allocated(const MsArena *a, const MsVec *v);

#endif							/* MS_VEC_H */
