/*-------------------------------------------------------------------------
 *
 * labeldict.h
 *	  The distinct label values of a table.
 *
 * Values are bytes, compared as bytes; each distinct one is stored once and has
 * a code.  The essay is in labeldict.c.  Callers above the core use labels.h.
 *
 * Locks: the table's, shared where the dictionary is taken const, exclusive
 * otherwise.  What ms_dict_get lends is valid as long as the lock is held.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LABELDICT_H
#define MS_LABELDICT_H

#include "core/hashindex.h"
#include "core/vec.h"

#define MS_MAX_LABEL_BYTES	65535	/* of one value */

/* Codes that stand for no bytes */
#define MS_CODE_NULL		0
#define MS_CODE_MISSING		PG_UINT32_MAX	/* the series was added with fewer
											 * labels */

/* One label of a series: the binary image of its value, or NULL. */
typedef struct MsLabelValue
{
	const uint8 *bytes;			/* borrowed; may be NULL if len is 0 */
	uint32		len;			/* at most MS_MAX_LABEL_BYTES */
	bool		isnull;
} MsLabelValue;

#define MS_LABEL_INLINE	4		/* values of up to so many bytes lie in their
								 * entry */

/* A distinct value. */
typedef struct MsLabelEntry
{
	uint32		ref;			/* MsRef of the bytes; up to four bytes lie
								 * here; if free, the next free code, or 0 */
	uint32		refs;			/* uses by series; 0 if the code is free */
	uint16		len;
	uint16		unused;
} MsLabelEntry;

/*
 * All distinct values of a table's labels.  A value's code is its place in the
 * vector plus one.  All zeroes is an empty dictionary.
 */
typedef struct MsLabelDict
{
	MsVec		values;			/* MsLabelEntry by code - 1 */
	MsHashIndex index;			/* from a value's hash to code - 1 */
	uint32		count;			/* values held */
	uint32		limit;			/* highest code ever given out */
	uint32		free;			/* first code to use again, or 0 */
	uint64		bytes;			/* of values that are objects of their own,
								 * each rounded up to MS_UNIT */
} MsLabelDict;

/* What a rehash callback of ours gets. */
typedef struct MsRehashArg
{
	const MsArena *a;
	const void *of;				/* dictionary or series table */
} MsRehashArg;

/* The longest segment of a vector, as a power of two of elements. */
extern int	ms_label_segment_log2(uint32 elem_size);

extern uint64 ms_label_hash(uint64 h, const MsLabelValue *label);
extern uint32 ms_labels_hash(const MsLabelValue *labels, int n);

extern bool ms_dict_equals(const MsArena *a, const MsLabelDict *d, uint32 code,
						   const MsLabelValue *label);
extern uint32 ms_dict_find(const MsArena *a, const MsLabelDict *d,
						   const MsLabelValue *label);
extern uint32 ms_dict_use(MsArena *a, MsGroup *g, MsLabelDict *d,
						  const MsLabelValue *label, int flags);
extern void ms_dict_unuse(MsArena *a, MsGroup *g, MsLabelDict *d, uint32 code);
extern void ms_dict_free(MsArena *a, MsGroup *g, MsLabelDict *d);
extern bool ms_dict_is_valid(const MsArena *a, const MsLabelDict *d,
							 uint64 uses, const char **why);

/* The entry of a code that is in use. */
static inline MsLabelEntry *
ms_dict_entry(const MsArena *a, const MsLabelDict *d, uint32 code)
{
	MsLabelEntry *e;

	Assert(code >= 1 && code <= d->limit);
	e = ms_vec_at(a, &d->values, code - 1);
	Assert(e != NULL);
	return e;
}

/* The bytes of its value. */
static inline const uint8 *
ms_entry_bytes(const MsArena *a, const MsLabelEntry *e)
{
	if (e->len <= MS_LABEL_INLINE)
		return (const uint8 *) &e->ref;
	return ms_ptr(a, e->ref);
}

/*
 * The value of a code, lent as long as the table's lock is held (shared).  The
 * codes that stand for no bytes give NULL.
 */
static inline void
ms_dict_get(const MsArena *a, const MsLabelDict *d, uint32 code,
			MsLabelValue *out)
{
	out->isnull = code == MS_CODE_NULL || code == MS_CODE_MISSING;
	out->bytes = NULL;
	out->len = 0;
	if (!out->isnull)
	{
		const MsLabelEntry *e = ms_dict_entry(a, d, code);

		out->bytes = ms_entry_bytes(a, e);
		out->len = e->len;
	}
}

#endif							/* MS_LABELDICT_H */
