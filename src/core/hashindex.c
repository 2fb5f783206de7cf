/*-------------------------------------------------------------------------
 *
 * hashindex.c
 *	  From a 32-bit hash to the numbers of what has it, in the arena.
 *
 * Open addressing in an array of slots.  A hash's home is where it falls when
 * the range of all hashes is laid over the slots, so that there may be any
 * number of them, and they grow by a quarter instead of doubling: they are
 * between seven tenths and seven eighths full.  Entries keep the order of their
 * distance from home (Celis's Robin Hood hashing): a search ends as soon as it
 * meets an entry nearer to its home than it is itself, so that looking for what
 * is not there stays short in slots that full, and removing moves the followers
 * up by one and leaves no marks.
 *
 * A slot holds the hash, so that growing and removing need not ask the caller
 * to hash anything again, and a search looks at the caller's data only if the
 * hashes are equal:
 *
 *		long	hash (32 bits), number + 1 (32 bits)
 *		short	hash (upper 16 bits), number + 1 (16 bits)
 *
 * Short slots are for up to 4096 of them, where 16 bits of hash still tell
 * entries apart that share a home; so an entry costs five bytes in a small
 * table and ten in a large one.  In the one growth between the two the caller
 * is asked for the whole hashes.
 *
 * Growing builds new slots, and lets go of the old ones when that is done;
 * without memory for them the index stays as it was.  ms_hash_reserve does it
 * beforehand, so that inserting cannot fail.  Short slots lie in a vector, whose
 * segments are small objects, of which a small group wastes nothing; long slots
 * are one object with pages of its own, which go back when it is outgrown.
 *
 * What this does not do: shrink, or defend against values made to collide,
 * which cost a longer search and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/hashindex.h"

#define FIRST_SLOTS		8
#define MAX_SHORT_SLOTS	4096
#define SEGMENT_LOG2	8		/* short slots of a segment: 1 kB */

typedef struct Slot
{
	uint32		hash;			/* as much of it as the slots hold */
	uint32		number;			/* plus one; 0 if the slot is empty */
} Slot;

static inline bool
is_short(const MsHashIndex *h)
{
	return h->nslots <= MAX_SHORT_SLOTS;
}

/* As much of a hash as the slots hold. */
static inline uint32
held_hash(const MsHashIndex *h, uint32 hash)
{
	return is_short(h) ? hash & 0xffff0000 : hash;
}

static inline Slot
get_slot(const MsArena *a, const MsHashIndex *h, uint32 pos)
{
	Slot		slot;

	if (is_short(h))
	{
		uint32		both = *(const uint32 *) ms_vec_at(a, &h->short_slots, pos);

		slot.hash = both & 0xffff0000;
		slot.number = both & 0xffff;
	}
	else
		slot = ((const Slot *) ms_ptr(a, h->long_slots))[pos];
	return slot;
}

static inline void
put_slot(const MsArena *a, MsHashIndex *h, uint32 pos, Slot slot)
{
	if (is_short(h))
	{
		Assert(slot.number <= PG_UINT16_MAX);
		*(uint32 *) ms_vec_at(a, &h->short_slots, pos) = slot.hash | slot.number;
	}
	else
		((Slot *) ms_ptr(a, h->long_slots))[pos] = slot;
}

/* The slot where entries with that hash would like to be. */
static inline uint32
home_of(const MsHashIndex *h, uint32 hash)
{
	return (uint32) (((uint64) hash * h->nslots) >> 32);
}

/* How far an entry in a slot is from its home. */
static inline uint32
distance(const MsHashIndex *h, Slot slot, uint32 pos)
{
	uint32		home = home_of(h, slot.hash);

	return pos >= home ? pos - home : pos + h->nslots - home;
}

static inline uint32
next_pos(const MsHashIndex *h, uint32 pos)
{
	return pos + 1 == h->nslots ? 0 : pos + 1;
}

/* How many entries so many slots may hold. */
static inline uint32
room(uint32 nslots)
{
	return nslots - nslots / 8;
}

/*
 * The next number whose hash may be this one, or MS_HASH_NONE after the last.
 * The index must not change during a search.
 */
uint32
ms_hash_next(const MsArena *a, const MsHashIndex *h, uint32 hash,
			 MsHashSearch *search)
{
	if (h->used == 0)
		return MS_HASH_NONE;
	hash = held_hash(h, hash);
	if (search->steps == 0)
		search->pos = home_of(h, hash);

	while (search->steps < h->nslots)
	{
		uint32		pos = search->pos;
		Slot		slot = get_slot(a, h, pos);

		if (slot.number == 0 || distance(h, slot, pos) < search->steps)
			break;
		search->pos = next_pos(h, pos);
		search->steps++;
		if (slot.hash == hash)
			return slot.number - 1;
	}
	return MS_HASH_NONE;
}

/* An index of at least so many empty slots; false if memory is full. */
static bool
create_slots(MsArena *a, MsGroup *g, MsHashIndex *h, uint32 nslots, int flags)
{
	uint32		pos;

	memset(h, 0, sizeof(*h));
	h->nslots = nslots;
	if (!is_short(h))
	{
		Size		size = ms_arena_good_size((Size) nslots * sizeof(Slot));

		h->nslots = (uint32) (size / sizeof(Slot));
		h->long_slots = ms_arena_alloc(a, g, size, flags | MS_ALLOC_ZERO);
		return h->long_slots != 0;
	}

	ms_vec_init(&h->short_slots, sizeof(uint32), SEGMENT_LOG2);
	for (pos = 0; pos < nslots; pos++)
	{
		if (ms_vec_at(a, &h->short_slots, pos) == NULL &&
			ms_vec_ensure(a, g, &h->short_slots, pos, flags) == NULL)
		{
			ms_vec_free(a, g, &h->short_slots);
			return false;
		}
	}
	return true;
}

/*
 * Make room for one more entry.  rehash, called with arg, gives the hashes of
 * numbers in the index.  Returns false, with nothing changed, if memory is
 * full.  Takes the arena's lock.
 */
bool
ms_hash_reserve(MsArena *a, MsGroup *g, MsHashIndex *h,
				MsRehash rehash, const void *arg, int flags)
{
	MsHashIndex bigger;
	uint32		pos;

	if (h->used < room(h->nslots))
		return true;
	if (h->nslots > PG_UINT32_MAX / 2 ||
		!create_slots(a, g, &bigger,
					  Max(FIRST_SLOTS, h->nslots + h->nslots / 4), flags))
		return false;

	for (pos = 0; pos < h->nslots; pos++)
	{
		Slot		slot = get_slot(a, h, pos);

		if (slot.number == 0)
			continue;
		if (is_short(h) && !is_short(&bigger))
			slot.hash = rehash(arg, slot.number - 1);
		ms_hash_insert(a, &bigger, slot.hash, slot.number - 1);
	}
	ms_hash_free(a, g, h);
	*h = bigger;
	return true;
}

/* Add an entry, for which there has to be room. */
void
ms_hash_insert(MsArena *a, MsHashIndex *h, uint32 hash, uint32 number)
{
	Slot		entry = {held_hash(h, hash), number + 1};
	uint32		pos = home_of(h, entry.hash);
	uint32		steps = 0;
	Slot		other;

	Assert(number != MS_HASH_NONE);
	Assert(h->used < room(h->nslots));
	while ((other = get_slot(a, h, pos)).number != 0)
	{
		uint32		others = distance(h, other, pos);

		/* The one farther from home stays or gets the place. */
		if (others < steps)
		{
			put_slot(a, h, pos, entry);
			entry = other;
			steps = others;
		}
		pos = next_pos(h, pos);
		steps++;
	}
	put_slot(a, h, pos, entry);
	h->used++;
}

/* Remove an entry, which has to be there. */
void
ms_hash_remove(MsArena *a, MsHashIndex *h, uint32 hash, uint32 number)
{
	uint32		pos = home_of(h, held_hash(h, hash));
	Slot		empty = {0, 0};
	Slot		slot;

	while ((slot = get_slot(a, h, pos)).number != number + 1)
	{
		Assert(slot.number != 0);
		pos = next_pos(h, pos);
	}
	for (;;)
	{
		uint32		next = next_pos(h, pos);

		slot = get_slot(a, h, next);
		if (slot.number == 0 || distance(h, slot, next) == 0)
			break;
		put_slot(a, h, pos, slot);
		pos = next;
	}
	put_slot(a, h, pos, empty);
	h->used--;
}

/* Free the index's memory; it is empty, and may be used again. */
void
ms_hash_free(MsArena *a, MsGroup *g, MsHashIndex *h)
{
	if (h->long_slots != 0)
		ms_arena_free(a, g, h->long_slots, (Size) h->nslots * sizeof(Slot));
	ms_vec_free(a, g, &h->short_slots);
	memset(h, 0, sizeof(*h));
}

/* Bytes allocated from the arena for the index.  O(segments). */
Size
ms_hash_allocated(const MsArena *a, const MsHashIndex *h)
{
	if (h->long_slots != 0)
		return ms_size_units((Size) h->nslots * sizeof(Slot)) * MS_UNIT;
	return ms_vec_allocated(a, &h->short_slots);
}

/* Do the entries lie where a search finds them?  *why is set if not. */
bool
ms_hash_is_valid(const MsArena *a, const MsHashIndex *h, const char **why)
{
	uint32		used = 0;
	uint32		pos;

	*why = "a hash index has slots of two kinds, or none";
	if (h->nslots > 0 && is_short(h) ? h->long_slots != 0 || h->short_slots.dir == 0 :
		(h->nslots > 0) != (h->long_slots != 0) || h->short_slots.dir != 0)
		return false;

	for (pos = 0; pos < h->nslots; pos++)
	{
		uint32		next = next_pos(h, pos);
		Slot		here = get_slot(a, h, pos);
		Slot		behind = get_slot(a, h, next);

		if (here.number != 0)
			used++;
		*why = "an entry of a hash index cannot be found";
		if (behind.number != 0 && distance(h, behind, next) > 0 &&
			(here.number == 0 ||
			 distance(h, here, pos) + 1 < distance(h, behind, next)))
			return false;
	}
	*why = "a hash index counts its entries wrongly";
	return used == h->used && used <= room(h->nslots);
}
