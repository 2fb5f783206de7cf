/*-------------------------------------------------------------------------
 *
 * hashindex.c
 *	  From a 32-bit hash to the numbers of what has it, in the arena.
 *
 * Open addressing, one array of eight-byte slots.  A hash's home is where it
 * falls when the range of all hashes is laid over the array, so that the array
 * may have any length, and grows by a quarter instead of doubling: it is
 * between seven tenths and seven eighths full, which costs ten bytes an entry.
 * Entries keep the order of their distance from home (Celis's Robin Hood
 * hashing): a search ends as soon as it meets an entry nearer to its home than
 * it is itself, so that looking for what is not there stays short in an array
 * that full, and removing moves the followers up by one and leaves no marks.
 *
 * The array holds the hashes, so that growing and removing never ask the
 * caller to hash anything again, and a search looks at the caller's data only
 * if all 32 bits are equal.
 *
 * Growing builds a new array, and lets go of the old one when that is done;
 * without memory for it the index stays as it was.  ms_hash_reserve does it
 * beforehand, so that inserting cannot fail.
 *
 * What this does not do: shrink, or defend against values made to collide,
 * which cost a longer search and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/hashindex.h"

#define FIRST_SLOTS		8

/* The slot where entries with that hash would like to be. */
static inline uint32
home_of(const MsHashIndex *h, uint32 hash)
{
	return (uint32) (((uint64) hash * h->nslots) >> 32);
}

/* How far the entry in a slot is from its home. */
static inline uint32
distance(const MsHashIndex *h, const MsHashSlot *slots, uint32 pos)
{
	uint32		home = home_of(h, slots[pos].hash);

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
 * The next number with that hash, or MS_HASH_NONE after the last.  The index
 * must not change during a search.
 */
uint32
ms_hash_next(const MsArena *a, const MsHashIndex *h, uint32 hash,
			 MsHashSearch *search)
{
	const MsHashSlot *slots;

	if (h->used == 0)
		return MS_HASH_NONE;
	slots = ms_ptr(a, h->slots);
	if (search->steps == 0)
		search->pos = home_of(h, hash);

	while (search->steps < h->nslots)
	{
		uint32		pos = search->pos;

		if (slots[pos].number == 0 || distance(h, slots, pos) < search->steps)
			break;
		search->pos = next_pos(h, pos);
		search->steps++;
		if (slots[pos].hash == hash)
			return slots[pos].number - 1;
	}
	return MS_HASH_NONE;
}

/*
 * Make room for "more" further entries.  Returns false, with nothing changed,
 * if memory is full.  Takes the arena's lock.
 */
bool
ms_hash_reserve(MsArena *a, MsGroup *g, MsHashIndex *h, uint32 more, int flags)
{
	MsHashIndex bigger = {0};
	uint64		need = (uint64) h->used + more;
	uint64		want;
	uint32		i;

	if (need <= room(h->nslots))
		return true;

	want = Max(need + need / 7 + 1, (uint64) h->nslots + h->nslots / 4);
	want = Max(want, FIRST_SLOTS);
	if (want > PG_UINT32_MAX / 2)
		return false;
	bigger.nslots = (uint32) (ms_arena_good_size(want * sizeof(MsHashSlot)) /
							  sizeof(MsHashSlot));
	bigger.slots = ms_arena_alloc(a, g, (Size) bigger.nslots * sizeof(MsHashSlot),
								  flags | MS_ALLOC_ZERO);
	if (bigger.slots == 0)
		return false;

	for (i = 0; i < h->nslots; i++)
	{
		const MsHashSlot *slot = (MsHashSlot *) ms_ptr(a, h->slots) + i;

		if (slot->number != 0)
			ms_hash_insert(a, &bigger, slot->hash, slot->number - 1);
	}
	ms_hash_free(a, g, h);
	*h = bigger;
	return true;
}

/* Add an entry, for which there has to be room. */
void
ms_hash_insert(MsArena *a, MsHashIndex *h, uint32 hash, uint32 number)
{
	MsHashSlot *slots = ms_ptr(a, h->slots);
	MsHashSlot	entry = {hash, number + 1};
	uint32		pos = home_of(h, hash);
	uint32		steps = 0;

	Assert(number != MS_HASH_NONE);
	Assert(h->used < room(h->nslots));
	for (; slots[pos].number != 0; pos = next_pos(h, pos), steps++)
	{
		uint32		other = distance(h, slots, pos);

		/* The one farther from home stays or gets the place. */
		if (other < steps)
		{
			MsHashSlot	swap = slots[pos];

			slots[pos] = entry;
			entry = swap;
			steps = other;
		}
	}
	slots[pos] = entry;
	h->used++;
}

/* Remove an entry, which has to be there. */
void
ms_hash_remove(MsArena *a, MsHashIndex *h, uint32 hash, uint32 number)
{
	MsHashSlot *slots = ms_ptr(a, h->slots);
	uint32		pos = home_of(h, hash);
	uint32		next;

	while (slots[pos].number != number + 1 || slots[pos].hash != hash)
	{
		Assert(slots[pos].number != 0);
		pos = next_pos(h, pos);
	}
	for (;;)
	{
		next = next_pos(h, pos);
		if (slots[next].number == 0 || distance(h, slots, next) == 0)
			break;
		slots[pos] = slots[next];
		pos = next;
	}
	memset(&slots[pos], 0, sizeof(MsHashSlot));
	h->used--;
}

/* Free the index's memory; it is empty, and may be used again. */
void
ms_hash_free(MsArena *a, MsGroup *g, MsHashIndex *h)
{
	if (h->slots != 0)
		ms_arena_free(a, g, h->slots, (Size) h->nslots * sizeof(MsHashSlot));
	memset(h, 0, sizeof(*h));
}

/* Do the entries lie where a search finds them?  *why is set if not. */
bool
ms_hash_is_valid(const MsArena *a, const MsHashIndex *h, const char **why)
{
	const MsHashSlot *slots;
	uint32		used = 0;
	uint32		pos;

	*why = "a hash index without slots has entries";
	if (h->slots == 0)
		return h->nslots == 0 && h->used == 0;
	slots = ms_ptr(a, h->slots);
	for (pos = 0; pos < h->nslots; pos++)
	{
		uint32		next = next_pos(h, pos);

		if (slots[pos].number != 0)
			used++;
		*why = "an entry of a hash index cannot be found";
		if (slots[next].number != 0 && distance(h, slots, next) > 0 &&
			(slots[pos].number == 0 ||
			 distance(h, slots, pos) + 1 < distance(h, slots, next)))
			return false;
	}
	*why = "a hash index counts its entries wrongly";
	return used == h->used && used <= room(h->nslots);
}
