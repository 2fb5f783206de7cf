/*-------------------------------------------------------------------------
 *
 * labeldict.c
 *	  The distinct label values of a table.
 *
 * Every distinct value is in the dictionary once, whichever labels have it, and
 * is counted by the series that use it: the last one to go takes the value
 * along.  A value has an entry of twelve bytes, and its bytes are an object of
 * their own, but for values of up to four bytes (booleans, integers, enums,
 * short names), which lie in the entry itself.  With the index that leads from
 * hashes to codes, a distinct value costs 17 bytes in a small table and 22 in a
 * large one, plus its own, rounded up to 16.
 *
 * Codes are dense, and used again.  Two of them stand for no bytes: NULL, and a
 * label that a series does not have.
 *
 * What this does not do: give meaning to bytes, or keep values in order.  Two
 * types whose images are equal share one entry, which harms nobody, because
 * codes never leave the table without their column.
 *
 * Locks: see labeldict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/labeldict.h"

#define SEGMENT_BYTES	1024	/* at most, if an element is not longer */

StaticAssertDecl(sizeof(MsLabelEntry) == 12, "a dictionary entry takes 12 bytes");

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014; constants by Stafford) */
static inline uint64
mix64(uint64 x)
{
	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/*
 * Eight bytes at a time: each step is a bijection of the state, so nothing is
 * lost on the way; the finalizer spreads it.  Depends on the byte order of the
 * machine, as the images do.
 */
static uint64
hash_value(uint64 seed, const uint8 *bytes, uint32 len)
{
	uint64		h = seed ^ (len * UINT64CONST(0x9e3779b97f4a7c15));

	while (len > 0)
	{
		uint64		word = 0;
		uint32		n = Min(len, 8);

		memcpy(&word, bytes, n);
		h = (h ^ word) * UINT64CONST(0xbf58476d1ce4e5b9);
		h ^= h >> 32;
		bytes += n;
		len -= n;
	}
	return mix64(h);
}

/* The dictionary's hash of one value. */
static inline uint32
dict_hash(const uint8 *bytes, uint32 len)
{
	return (uint32) (hash_value(0, bytes, len) >> 32);
}

/*
 * One label more of a tuple: h is what the call for the one before returned, the
 * number of labels at first.  The upper half of the last result is the tuple's
 * hash.  Needs no lock.
 */
uint64
ms_label_hash(uint64 h, const MsLabelValue *label)
{
	if (label->isnull)
		return mix64(h + UINT64CONST(0x9e3779b97f4a7c15));
	return hash_value(h, label->bytes, label->len);
}

/*
 * The hash of a tuple of n labels: the same for the same values, always.  Needs
 * no lock.
 */
uint32
ms_labels_hash(const MsLabelValue *labels, int n)
{
	uint64		h = (uint64) n;
	int			i;

	for (i = 0; i < n; i++)
		h = ms_label_hash(h, &labels[i]);
	return (uint32) (h >> 32);
}

/*
 * The longest segment, as a power of two of elements of so many bytes, in the
 * vectors of labels: short ones, as the last one is half empty.
 */
int
ms_label_segment_log2(uint32 elem_size)
{
	int			log2 = 0;

	while ((elem_size << (log2 + 1)) <= SEGMENT_BYTES)
		log2++;
	return log2;
}

static inline bool
entry_equals(const MsArena *a, const MsLabelEntry *e, const uint8 *bytes,
			 uint32 len)
{
	return e->len == len &&
		(len == 0 || memcmp(ms_entry_bytes(a, e), bytes, len) == 0);
}

/* The code of a value, or 0 if the dictionary does not have it. */
static uint32
dict_find(const MsArena *a, const MsLabelDict *d, const uint8 *bytes,
		  uint32 len, uint32 hash)
{
	MsHashSearch search = {0};
	uint32		i;

	while ((i = ms_hash_next(a, &d->index, hash, &search)) != MS_HASH_NONE)
	{
		if (entry_equals(a, ms_dict_entry(a, d, i + 1), bytes, len))
			return i + 1;
	}
	return 0;
}

/* The code of a value that is not NULL, or 0 if no series has it. */
uint32
ms_dict_find(const MsArena *a, const MsLabelDict *d, const MsLabelValue *label)
{
	if (d->count == 0)
		return 0;
	return dict_find(a, d, label->bytes, label->len,
					 dict_hash(label->bytes, label->len));
}

static uint32
rehash_value(const void *arg, uint32 i)
{
	const MsRehashArg *r = arg;
	const MsLabelEntry *e = ms_dict_entry(r->a, r->of, i + 1);

	return dict_hash(ms_entry_bytes(r->a, e), e->len);
}

/* What a value's own object takes in the arena, 0 if it has none. */
static inline uint64
object_bytes(const MsLabelEntry *e)
{
	return e->len > MS_LABEL_INLINE ? ms_size_units(e->len) * MS_UNIT : 0;
}

/* A new value, used once.  0, with nothing changed, if memory is full. */
static uint32
dict_add(MsArena *a, MsGroup *g, MsLabelDict *d, const uint8 *bytes,
		 uint32 len, uint32 hash, int flags)
{
	uint32		code = d->free != 0 ? d->free : d->limit + 1;
	MsRehashArg arg = {a, d};
	MsLabelEntry *e;
	MsRef		ref = 0;

	if (d->values.elem_size == 0)
		ms_vec_init(&d->values, sizeof(MsLabelEntry),
					ms_label_segment_log2(sizeof(MsLabelEntry)));
	if (code == MS_CODE_MISSING ||
		!ms_hash_reserve(a, g, &d->index, rehash_value, &arg, flags))
		return 0;
	e = ms_vec_ensure(a, g, &d->values, code - 1, flags);
	if (e == NULL)
		return 0;
	if (len > MS_LABEL_INLINE)
	{
		ref = ms_arena_alloc(a, g, len, flags);
		if (ref == 0)
			return 0;
		memcpy(ms_ptr(a, ref), bytes, len);
	}
	else if (len > 0)
		memcpy(&ref, bytes, len);

	/* Nothing fails from here on. */
	if (d->free != 0)
		d->free = e->ref;
	else
		d->limit = code;
	e->ref = ref;
	e->refs = 1;
	e->len = (uint16) len;
	d->bytes += object_bytes(e);
	ms_hash_insert(a, &d->index, hash, code - 1);
	d->count++;
	return code;
}

/*
 * One use more of a value, which is added if need be: its code, or 0, with
 * nothing changed, if memory is full.  The label is not NULL.
 *
 * Needs the table's lock exclusively; takes the arena's lock.
 */
uint32
ms_dict_use(MsArena *a, MsGroup *g, MsLabelDict *d,
			const MsLabelValue *label, int flags)
{
	uint32		hash = dict_hash(label->bytes, label->len);
	uint32		code = dict_find(a, d, label->bytes, label->len, hash);

	Assert(!label->isnull && label->len <= MS_MAX_LABEL_BYTES);
	if (code == 0)
		return dict_add(a, g, d, label->bytes, label->len, hash, flags);
	ms_dict_entry(a, d, code)->refs++;
	return code;
}

/*
 * One use less of a code; a value not used any more is gone.  The codes that
 * stand for no bytes are none of the dictionary's.
 *
 * Needs the table's lock exclusively; takes the arena's lock.
 */
void
ms_dict_unuse(MsArena *a, MsGroup *g, MsLabelDict *d, uint32 code)
{
	MsLabelEntry *e;

	if (code == MS_CODE_NULL || code == MS_CODE_MISSING)
		return;
	e = ms_dict_entry(a, d, code);
	Assert(e->refs > 0);
	if (--e->refs > 0)
		return;

	ms_hash_remove(a, &d->index, dict_hash(ms_entry_bytes(a, e), e->len), code - 1);
	d->bytes -= object_bytes(e);
	if (e->len > MS_LABEL_INLINE)
		ms_arena_free(a, g, e->ref, e->len);
	e->len = 0;
	e->ref = d->free;
	d->free = code;
	d->count--;
}

/* Is this the value of the code?  A missing label is no value's equal. */
bool
ms_dict_equals(const MsArena *a, const MsLabelDict *d, uint32 code,
			   const MsLabelValue *label)
{
	if (code == MS_CODE_MISSING)
		return false;
	if (code == MS_CODE_NULL || label->isnull)
		return code == MS_CODE_NULL && label->isnull;
	return entry_equals(a, ms_dict_entry(a, d, code), label->bytes, label->len);
}

/* Free everything, value by value. */
void
ms_dict_free(MsArena *a, MsGroup *g, MsLabelDict *d)
{
	uint32		code;

	for (code = 1; code <= d->limit; code++)
	{
		MsLabelEntry *e = ms_dict_entry(a, d, code);

		if (e->refs > 0 && e->len > MS_LABEL_INLINE)
			ms_arena_free(a, g, e->ref, e->len);
	}
	ms_vec_free(a, g, &d->values);
	ms_hash_free(a, g, &d->index);
	memset(d, 0, sizeof(*d));
}

/*
 * Is each value found by its hash, are they used as often as the caller counted,
 * and do the free codes chain?  *why is set to a constant string if not.
 */
bool
ms_dict_is_valid(const MsArena *a, const MsLabelDict *d, uint64 uses,
				 const char **why)
{
	uint32		nfree = 0;
	uint64		bytes = 0;
	uint32		code;

	if (!ms_hash_is_valid(a, &d->index, why))
		return false;
	for (code = 1; code <= d->limit; code++)
	{
		const MsLabelEntry *e = ms_dict_entry(a, d, code);

		if (e->refs == 0)
		{
			nfree++;
			continue;
		}
		*why = "a label value is not found by its hash";
		if (dict_find(a, d, ms_entry_bytes(a, e), e->len,
					  dict_hash(ms_entry_bytes(a, e), e->len)) != code)
			return false;
		*why = "label values are used more often than series use them";
		if (e->refs > uses)
			return false;
		uses -= e->refs;
		bytes += object_bytes(e);
	}
	*why = "the bytes of label values are counted wrongly";
	if (d->bytes != bytes)
		return false;
	*why = "label values are used less often than series use them";
	if (uses != 0)
		return false;
	*why = "label values are counted wrongly";
	if (d->count != d->limit - nfree || d->index.used != d->count)
		return false;

	*why = "the chain of free codes is broken";
	for (code = d->free; code != 0; code = ms_dict_entry(a, d, code)->ref)
	{
		if (nfree-- == 0 || ms_dict_entry(a, d, code)->refs != 0)
			return false;
	}
	return nfree == 0;
}
