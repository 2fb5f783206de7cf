/*-------------------------------------------------------------------------
 *
 * hashindex.h
 *	  From a 32-bit hash to the numbers of what has it, in the arena.
 *
 * The index holds pairs of a hash and a number and knows nothing else: what
 * the numbers stand for, and whether it is equal to what is sought, is for the
 * caller to say.  The essay is in hashindex.c.
 *
 * Locks: the caller's; shared to look up, exclusive to change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_HASHINDEX_H
#define MS_HASHINDEX_H

#include "core/vec.h"

#define MS_HASH_NONE	PG_UINT32_MAX

/* Embedded by the caller; all zeroes is an empty index.  Under its lock. */
typedef struct MsHashIndex
{
	MsVec		short_slots;	/* if there are few slots: 4 bytes each */
	MsRef		long_slots;		/* otherwise: 8 bytes each, one object */
	uint32		nslots;
	uint32		used;
} MsHashIndex;

/*
 * Gives the hash of a number again; called when an index outgrows short slots,
 * which do not hold all of it.
 */
typedef uint32 (*MsRehash) (const void *arg, uint32 number);

/* Where a search stands; begin with all zeroes. */
typedef struct MsHashSearch
{
	uint32		pos;
	uint32		steps;			/* slots looked at */
} MsHashSearch;

extern uint32 ms_hash_next(const MsArena *a, const MsHashIndex *h, uint32 hash,
						   MsHashSearch *search);
extern bool ms_hash_reserve(MsArena *a, MsGroup *g, MsHashIndex *h,
							MsRehash rehash, const void *arg, int flags);
extern void ms_hash_insert(MsArena *a, MsHashIndex *h, uint32 hash,
						   uint32 number);
extern void ms_hash_remove(MsArena *a, MsHashIndex *h, uint32 hash,
						   uint32 number);
extern void ms_hash_free(MsArena *a, MsGroup *g, MsHashIndex *h);
extern Size ms_hash_allocated(const MsArena *a, const MsHashIndex *h);
extern bool ms_hash_is_valid(const MsArena *a, const MsHashIndex *h,
							 const char **why);

#endif							/* MS_HASHINDEX_H */
