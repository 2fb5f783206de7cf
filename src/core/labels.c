/*-------------------------------------------------------------------------
 *
 * labels.c
 *	  The series of a table and the values of their labels.
 *
 * What names a series is written once, and the fewer bytes it takes, the more
 * are left for samples.  Every distinct value is in the table's dictionary
 * once, whichever labels have it, counted by the series that use it; a series is
 * a generation number and one code of four bytes per label.  Values of up to
 * four bytes (booleans, integers, enums, short names) lie in the dictionary's
 * entry itself.  Codes are two bytes long as long as there are fewer than 65535
 * values.  So a series of a small table costs 9 bytes plus 2 for each label, one
 * of a large table 14 plus 4 for each; and a distinct value costs 17 or 22
 * bytes plus its own, rounded up to 16.
 *
 * Two hash indexes lead from values to codes and from tuples to series.  The
 * hash of a tuple is one over its values, not over its codes, so that it can be
 * computed before any lock is taken, and so that whatever stored the labels
 * gets the same hash again.
 *
 * A tuple may have fewer labels than the table has now: ADD COLUMN does not
 * touch the series there are.  Tuples of different length are different series
 * here, even if what one has more is NULL; whoever wants them to be one names
 * them by the shorter tuple.  When a tuple is longer than all before, the tuples
 * are copied into wider elements, once per width.
 *
 * ms_series_add changes nothing unless it succeeds: room is made first, and the
 * dictionary's new values, the only thing left that can fail, are taken back.
 * (The room stays.)
 *
 * What this does not do: give meaning to bytes, or remember the order of
 * values.  Two types whose images are equal share one dictionary entry, which
 * harms nobody, because codes never leave the table without their column.
 *
 * Locks: see labels.h.  The arena's lock is taken inside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/labels.h"

#define INLINE_BYTES		4	/* values up to here lie in their entry */
#define SEGMENT_BYTES		1024	/* at most, of both vectors */
#define MAX_WIDTH			PG_INT16_MAX
#define SHORT_MISSING		PG_UINT16_MAX	/* MS_CODE_MISSING in two bytes */

StaticAssertDecl(sizeof(MsLabelEntry) == 12, "a dictionary entry takes 12 bytes");

/*
 * A series.  If its id is free, the first four bytes of codes are the next free
 * id plus one, or 0.
 */
typedef struct MsTuple
{
	uint32		generation;		/* odd if the series is held */
	uint32		codes[FLEXIBLE_ARRAY_MEMBER];	/* uint16 or uint32 */
} MsTuple;

/* ---- hashing ---- */

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

/* The hash of a tuple of n labels, one label after the other. */
static inline uint64
hash_tuple_begin(uint32 n)
{
	return n;
}

static inline uint64
hash_tuple_next(uint64 h, const MsLabelValue *label)
{
	if (label->isnull)
		return mix64(h + UINT64CONST(0x9e3779b97f4a7c15));
	return hash_value(h, label->bytes, label->len);
}

static inline uint32
hash_tuple_end(uint64 h)
{
	return (uint32) (h >> 32);
}

/*
 * The hash of a tuple, as the functions below want it.  The same for the same
 * values, always.  Needs no lock.
 */
uint32
ms_labels_hash(const MsLabelValue *labels, int n)
{
	uint64		h = hash_tuple_begin((uint32) n);
	int			i;

	for (i = 0; i < n; i++)
		h = hash_tuple_next(h, &labels[i]);
	return hash_tuple_end(h);
}

/* ---- the dictionary ---- */

/* What a rehash callback gets. */
typedef struct RehashArg
{
	const MsArena *a;
	const void *of;			/* dictionary or series table */
} RehashArg;

static inline MsLabelEntry *
dict_entry(const MsArena *a, const MsLabelDict *d, uint32 code)
{
	MsLabelEntry *e;

	Assert(code >= 1 && code <= d->limit);
	e = ms_vec_at(a, &d->values, code - 1);
	Assert(e != NULL);
	return e;
}

static inline const uint8 *
entry_bytes(const MsArena *a, const MsLabelEntry *e)
{
	if (e->len <= INLINE_BYTES)
		return (const uint8 *) &e->ref;
	return ms_ptr(a, e->ref);
}

static inline bool
entry_equals(const MsArena *a, const MsLabelEntry *e, const uint8 *bytes,
			 uint32 len)
{
	return e->len == len &&
		(len == 0 || memcmp(entry_bytes(a, e), bytes, len) == 0);
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
		if (entry_equals(a, dict_entry(a, d, i + 1), bytes, len))
			return i + 1;
	}
	return 0;
}

static uint32
rehash_value(const void *arg, uint32 i)
{
	const RehashArg *r = arg;
	const MsLabelEntry *e = dict_entry(r->a, r->of, i + 1);

	return dict_hash(entry_bytes(r->a, e), e->len);
}

/* A new value, used once.  0, with nothing changed, if memory is full. */
static uint32
dict_add(MsArena *a, MsGroup *g, MsLabelDict *d, const uint8 *bytes,
		 uint32 len, uint32 hash, int flags)
{
	uint32		code = d->free != 0 ? d->free : d->limit + 1;
	RehashArg	arg = {a, d};
	MsLabelEntry *e;
	MsRef		ref = 0;

	if (code == MS_CODE_MISSING ||
		!ms_hash_reserve(a, g, &d->index, rehash_value, &arg, flags))
		return 0;
	e = ms_vec_ensure(a, g, &d->values, code - 1, flags);
	if (e == NULL)
		return 0;
	if (len > INLINE_BYTES)
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
	ms_hash_insert(a, &d->index, hash, code - 1);
	d->count++;
	return code;
}

/* One use more of a value, which is added if need be.  0 if memory is full. */
static uint32
dict_use(MsArena *a, MsGroup *g, MsLabelDict *d, const MsLabelValue *label,
		 int flags)
{
	uint32		hash = dict_hash(label->bytes, label->len);
	uint32		code = dict_find(a, d, label->bytes, label->len, hash);

	if (code == 0)
		return dict_add(a, g, d, label->bytes, label->len, hash, flags);
	dict_entry(a, d, code)->refs++;
	return code;
}

/* One use less of a code; a value not used any more is gone. */
static void
dict_unuse(MsArena *a, MsGroup *g, MsLabelDict *d, uint32 code)
{
	MsLabelEntry *e;

	if (code == MS_CODE_NULL || code == MS_CODE_MISSING)
		return;
	e = dict_entry(a, d, code);
	Assert(e->refs > 0);
	if (--e->refs > 0)
		return;

	ms_hash_remove(a, &d->index, dict_hash(entry_bytes(a, e), e->len), code - 1);
	if (e->len > INLINE_BYTES)
		ms_arena_free(a, g, e->ref, e->len);
	e->len = 0;
	e->ref = d->free;
	d->free = code;
	d->count--;
}

/* ---- series ---- */

static inline MsTuple *
tuple_at(const MsArena *a, const MsSeriesTable *st, uint32 sid)
{
	if (sid >= st->limit)
		return NULL;
	return ms_vec_at(a, &st->tuples, sid);
}

/* A live series' tuple. */
static inline MsTuple *
live_tuple(const MsArena *a, const MsSeriesTable *st, uint32 sid)
{
	MsTuple    *t = tuple_at(a, st, sid);

	Assert(t != NULL && t->generation % 2 == 1);
	return t;
}

/* The bytes of a tuple; never too short for the chain of free ids. */
static inline uint32
tuple_size(uint32 width, uint32 code_size)
{
	return offsetof(MsTuple, codes) +
		Max(width * code_size + 2, (uint32) 4) / 4 * 4;
}

static inline uint32
get_code(const MsSeriesTable *st, const MsTuple *t, uint32 i)
{
	uint16		code;

	if (st->code_size == sizeof(uint32))
		return t->codes[i];
	code = ((const uint16 *) t->codes)[i];
	return code == SHORT_MISSING ? MS_CODE_MISSING : code;
}

static inline void
set_code(const MsSeriesTable *st, MsTuple *t, uint32 i, uint32 code)
{
	if (st->code_size == sizeof(uint32))
		t->codes[i] = code;
	else
	{
		Assert(code < SHORT_MISSING || code == MS_CODE_MISSING);
		((uint16 *) t->codes)[i] = (uint16) code;
	}
}

/* How many labels a series has. */
static inline uint32
tuple_length(const MsSeriesTable *st, const MsTuple *t)
{
	uint32		n = 0;

	while (n < st->width && get_code(st, t, n) != MS_CODE_MISSING)
		n++;
	return n;
}

/* The longest segment, in elements, that is not too long. */
static int
segment_log2(uint32 elem_size)
{
	int			log2 = 0;

	while ((elem_size << (log2 + 1)) <= SEGMENT_BYTES)
		log2++;
	return log2;
}

/* ms_labels_hash of a series' labels: it is kept in the index only. */
static uint32
tuple_hash(const MsArena *a, const MsSeriesTable *st, const MsTuple *t)
{
	uint32		n = tuple_length(st, t);
	uint32		i;
	uint64		h = hash_tuple_begin(n);

	for (i = 0; i < n; i++)
	{
		MsLabelValue label;

		ms_label_of_code(a, st, get_code(st, t, i), &label);
		h = hash_tuple_next(h, &label);
	}
	return hash_tuple_end(h);
}

static uint32
rehash_tuple(const void *arg, uint32 sid)
{
	const RehashArg *r = arg;

	return tuple_hash(r->a, r->of, live_tuple(r->a, r->of, sid));
}

static bool
tuple_equals(const MsArena *a, const MsSeriesTable *st, const MsTuple *t,
			 const MsLabelValue *labels, int nlabels)
{
	uint32		i;

	if ((uint32) nlabels > st->width ||
		((uint32) nlabels < st->width &&
		 get_code(st, t, (uint32) nlabels) != MS_CODE_MISSING))
		return false;
	for (i = 0; i < (uint32) nlabels; i++)
	{
		uint32		code = get_code(st, t, i);

		if (code == MS_CODE_MISSING ||
			(code == MS_CODE_NULL) != labels[i].isnull)
			return false;
		if (code != MS_CODE_NULL &&
			!entry_equals(a, dict_entry(a, &st->dict, code),
						  labels[i].bytes, labels[i].len))
			return false;
	}
	return true;
}

/*
 * The id of the series with exactly these labels, or MS_NO_SERIES.  hash is
 * ms_labels_hash of them.  Needs the table's lock, shared.
 */
uint32
ms_series_find(const MsArena *a, const MsSeriesTable *st,
			   const MsLabelValue *labels, int nlabels, uint32 hash)
{
	MsHashSearch search = {0};
	uint32		sid;

	while ((sid = ms_hash_next(a, &st->index, hash, &search)) != MS_HASH_NONE)
	{
		if (tuple_equals(a, st, live_tuple(a, st, sid), labels, nlabels))
			return sid;
	}
	return MS_NO_SERIES;
}

/*
 * Make room in tuples for nlabels codes, and for codes that a further nlabels
 * values may need, copying the tuples there are if they have to be longer.
 * false, with nothing changed, if memory is full.
 */
static bool
lengthen_tuples(MsArena *a, MsGroup *g, MsSeriesTable *st, int nlabels,
				int flags)
{
	MsSeriesTable to = *st;
	uint32		size;
	uint32		sid;
	uint32		i;

	to.width = (uint16) Max(nlabels, st->width);
	to.code_size = st->dict.limit + (uint32) nlabels < SHORT_MISSING ?
		Max(sizeof(uint16), st->code_size) : sizeof(uint32);
	if (to.width == st->width && to.code_size == st->code_size)
		return true;

	size = tuple_size(to.width, to.code_size);
	ms_vec_init(&to.tuples, size, segment_log2(size));
	for (sid = 0; sid < st->limit; sid++)
	{
		const MsTuple *old = tuple_at(a, st, sid);
		MsTuple    *t = ms_vec_ensure(a, g, &to.tuples, sid, flags);

		if (t == NULL)
		{
			ms_vec_free(a, g, &to.tuples);
			return false;
		}
		t->generation = old->generation;
		if (old->generation % 2 == 0)
			t->codes[0] = old->codes[0];
		else
		{
			for (i = 0; i < to.width; i++)
				set_code(&to, t, i, i < st->width ? get_code(st, old, i) :
						 MS_CODE_MISSING);
		}
	}
	ms_vec_free(a, g, &st->tuples);
	*st = to;
	return true;
}

/* Fill in a tuple.  false, with no value used, if memory is full. */
static bool
fill_tuple(MsArena *a, MsGroup *g, MsSeriesTable *st, MsTuple *t,
		   const MsLabelValue *labels, uint32 nlabels, int flags)
{
	uint32		i;

	for (i = 0; i < st->width; i++)
	{
		uint32		code = MS_CODE_MISSING;

		if (i < nlabels && labels[i].isnull)
			code = MS_CODE_NULL;
		else if (i < nlabels)
		{
			Assert(labels[i].len <= MS_MAX_LABEL_BYTES);
			code = dict_use(a, g, &st->dict, &labels[i], flags);
			if (code == 0)
			{
				while (i-- > 0)
					dict_unuse(a, g, &st->dict, get_code(st, t, i));
				return false;
			}
		}
		set_code(st, t, i, code);
	}
	return true;
}

/*
 * A new series with these labels, which must not exist.  nlabels may be
 * anything from 0; hash is ms_labels_hash of the labels.  Returns its id, or
 * MS_NO_SERIES, with nothing changed that can be seen, if memory is full.
 *
 * Needs the table's lock exclusively; takes the arena's lock.
 */
uint32
ms_series_add(MsArena *a, MsGroup *g, MsSeriesTable *st,
			  const MsLabelValue *labels, int nlabels, uint32 hash, int flags)
{
	uint32		sid = st->free != 0 ? st->free - 1 : st->limit;
	RehashArg	arg = {a, st};
	uint32		next_free;
	MsTuple    *t;

	Assert(nlabels >= 0 && nlabels <= MAX_WIDTH);
	Assert(ms_series_find(a, st, labels, nlabels, hash) == MS_NO_SERIES);
	if (st->dict.values.elem_size == 0)
		ms_vec_init(&st->dict.values, sizeof(MsLabelEntry),
					segment_log2(sizeof(MsLabelEntry)));
	if (sid == MS_NO_SERIES || !lengthen_tuples(a, g, st, nlabels, flags) ||
		!ms_hash_reserve(a, g, &st->index, rehash_tuple, &arg, flags))
		return MS_NO_SERIES;
	t = ms_vec_ensure(a, g, &st->tuples, sid, flags);
	if (t == NULL)
		return MS_NO_SERIES;
	next_free = t->codes[0];
	if (!fill_tuple(a, g, st, t, labels, (uint32) nlabels, flags))
	{
		t->codes[0] = next_free;
		return MS_NO_SERIES;
	}

	/* Nothing fails from here on. */
	if (st->free != 0)
		st->free = next_free;
	else
		st->limit++;
	t->generation++;
	ms_hash_insert(a, &st->index, hash, sid);
	st->count++;
	return sid;
}

/*
 * Let a series go, and those of its values that no other series has.  Its id
 * will be given to another one, with another generation number.
 *
 * Needs the table's lock exclusively; takes the arena's lock.
 */
void
ms_series_release(MsArena *a, MsGroup *g, MsSeriesTable *st, uint32 sid)
{
	MsTuple    *t = live_tuple(a, st, sid);
	uint32		i;

	ms_hash_remove(a, &st->index, tuple_hash(a, st, t), sid);
	for (i = 0; i < st->width; i++)
		dict_unuse(a, g, &st->dict, get_code(st, t, i));
	t->generation++;
	t->codes[0] = st->free;
	st->free = sid + 1;
	st->count--;
}

/* Is there a series with that id?  Needs the table's lock, shared. */
bool
ms_series_is_live(const MsArena *a, const MsSeriesTable *st, uint32 sid)
{
	const MsTuple *t = tuple_at(a, st, sid);

	return t != NULL && t->generation % 2 == 1;
}

/*
 * A number that changes whenever the id is given to a series and whenever it
 * is released; odd while it is held, 0 if it never was.  Needs the table's
 * lock, shared.
 */
uint32
ms_series_generation(const MsArena *a, const MsSeriesTable *st, uint32 sid)
{
	const MsTuple *t = tuple_at(a, st, sid);

	return t != NULL ? t->generation : 0;
}

/*
 * The codes of a series' labels: at most max of them are stored; returns how
 * many the series has.  Equal codes are equal values.  Needs the table's lock,
 * shared.
 */
int
ms_series_codes(const MsArena *a, const MsSeriesTable *st, uint32 sid,
				uint32 *out, int max)
{
	const MsTuple *t = live_tuple(a, st, sid);
	uint32		n = tuple_length(st, t);
	uint32		i;

	for (i = 0; i < Min(n, (uint32) max); i++)
		out[i] = get_code(st, t, i);
	return (int) n;
}

/*
 * The value of a code, as ms_series_codes gave it.  The bytes are lent, as
 * long as the table's lock is held (shared).
 */
void
ms_label_of_code(const MsArena *a, const MsSeriesTable *st, uint32 code,
				 MsLabelValue *out)
{
	const MsLabelEntry *e;

	out->isnull = code == MS_CODE_NULL || code == MS_CODE_MISSING;
	out->bytes = NULL;
	out->len = 0;
	if (out->isnull)
		return;
	e = dict_entry(a, &st->dict, code);
	out->bytes = entry_bytes(a, e);
	out->len = e->len;
}

/*
 * The labels of a series: at most max of them are stored; returns how many the
 * series has.  The bytes are lent, as long as the table's lock is held (shared).
 */
int
ms_series_labels(const MsArena *a, const MsSeriesTable *st, uint32 sid,
				 MsLabelValue *out, int max)
{
	const MsTuple *t = live_tuple(a, st, sid);
	uint32		n = tuple_length(st, t);
	uint32		i;

	for (i = 0; i < Min(n, (uint32) max); i++)
		ms_label_of_code(a, st, get_code(st, t, i), &out[i]);
	return (int) n;
}

/*
 * Free everything, value by value.  Where the whole group goes,
 * ms_arena_free_group is enough; the table has to be zeroed then.
 *
 * Needs the table's lock exclusively; takes the arena's lock.
 */
void
ms_series_free(MsArena *a, MsGroup *g, MsSeriesTable *st)
{
	uint32		code;

	for (code = 1; code <= st->dict.limit; code++)
	{
		MsLabelEntry *e = dict_entry(a, &st->dict, code);

		if (e->refs > 0 && e->len > INLINE_BYTES)
			ms_arena_free(a, g, e->ref, e->len);
	}
	ms_vec_free(a, g, &st->dict.values);
	ms_vec_free(a, g, &st->tuples);
	ms_hash_free(a, g, &st->dict.index);
	ms_hash_free(a, g, &st->index);
	memset(st, 0, sizeof(*st));
}

/* ---- checking ---- */

/* The dictionary finds each of its values, uses sum up, free codes chain. */
static bool
dict_is_valid(const MsArena *a, const MsLabelDict *d, uint64 uses,
			  const char **why)
{
	uint32		nfree = 0;
	uint32		code;

	if (!ms_hash_is_valid(a, &d->index, why))
		return false;
	for (code = 1; code <= d->limit; code++)
	{
		const MsLabelEntry *e = dict_entry(a, d, code);

		if (e->refs == 0)
		{
			nfree++;
			continue;
		}
		*why = "a label value is not found by its hash";
		if (dict_find(a, d, entry_bytes(a, e), e->len,
					  dict_hash(entry_bytes(a, e), e->len)) != code)
			return false;
		*why = "label values are used more often than series use them";
		if (e->refs > uses)
			return false;
		uses -= e->refs;
	}
	*why = "label values are used less often than series use them";
	if (uses != 0)
		return false;
	*why = "label values are counted wrongly";
	if (d->count != d->limit - nfree || d->index.used != d->count)
		return false;

	*why = "the chain of free codes is broken";
	for (code = d->free; code != 0; code = dict_entry(a, d, code)->ref)
	{
		if (nfree-- == 0 || dict_entry(a, d, code)->refs != 0)
			return false;
	}
	return nfree == 0;
}

/* A live series' codes are live and in order; adds its uses. */
static bool
tuple_is_valid(const MsArena *a, const MsSeriesTable *st, const MsTuple *t,
			   uint64 *uses, const char **why)
{
	bool		missing = false;
	uint32		i;

	for (i = 0; i < st->width; i++)
	{
		uint32		code = get_code(st, t, i);

		*why = "a series has a label behind a missing one";
		if (missing && code != MS_CODE_MISSING)
			return false;
		missing = code == MS_CODE_MISSING;
		if (missing || code == MS_CODE_NULL)
			continue;
		*why = "a series has a code that is not in use";
		if (code > st->dict.limit || dict_entry(a, &st->dict, code)->refs == 0)
			return false;
		(*uses)++;
	}
	return true;
}

/*
 * Is everything found that is held, and counted rightly?  O(series and
 * values); *why is set to a constant string if not.  Needs the table's lock,
 * shared.
 */
bool
ms_series_is_valid(const MsArena *a, const MsSeriesTable *st, const char **why)
{
	uint64		uses = 0;
	uint32		nfree = 0;
	uint32		sid;

	if (!ms_hash_is_valid(a, &st->index, why))
		return false;
	for (sid = 0; sid < st->limit; sid++)
	{
		const MsTuple *t = tuple_at(a, st, sid);

		*why = "a series has no tuple";
		if (t == NULL)
			return false;
		if (t->generation % 2 == 0)
			nfree++;
		else if (!tuple_is_valid(a, st, t, &uses, why))
			return false;
	}
	*why = "series are counted wrongly";
	if (st->count != st->limit - nfree || st->index.used != st->count)
		return false;
	if (!dict_is_valid(a, &st->dict, uses, why))
		return false;

	*why = "the chain of free series ids is broken";
	for (sid = st->free; sid != 0; sid = tuple_at(a, st, sid - 1)->codes[0])
	{
		if (nfree-- == 0 || sid > st->limit ||
			tuple_at(a, st, sid - 1)->generation % 2 != 0)
			return false;
	}
	if (nfree != 0)
		return false;
	*why = NULL;
	return true;
}
