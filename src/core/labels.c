/*-------------------------------------------------------------------------
 *
 * labels.c
 *	  The series of a table and the values of their labels.
 *
 * What names a series is written once, and the fewer bytes it takes, the more
 * are left for samples.  Every distinct value is in the table's dictionary once
 * (labeldict.c); a series is a generation number and a code per label.  Codes are
 * two bytes long as long as there are fewer than 65535 values, then four.  With
 * the index, a series of a small table costs 9 bytes plus 2 for each label, one
 * of a large table 14 plus 4 for each.
 *
 * Two hash indexes lead from values to codes and from tuples to series.  The
 * hash of a tuple is one over its values, not over its codes, so that it can be
 * computed before any lock is taken, and so that whatever stored the labels
 * gets the same hash again.
 *
 * A tuple may have fewer labels than the table has now: ADD COLUMN does not
 * touch the series there are.  Tuples of different length are different series
 * here, even if what one has more is NULL; whoever wants them to be one names
 * them by the shorter tuple.  When a tuple is longer than all before, or
 * codes outgrow two bytes, the tuples are copied into longer elements.
 *
 * ms_series_add changes nothing unless it succeeds: room is made first, and the
 * dictionary's new values, the only thing left that can fail, are taken back.
 * (The room stays.)
 *
 * What this does not do: shrink tuples again, or keep series in any order but
 * that of their ids.
 *
 * Locks: see labels.h.  The arena's lock is taken inside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/labels.h"

#define MAX_WIDTH		PG_INT16_MAX
#define SHORT_MISSING	PG_UINT16_MAX	/* MS_CODE_MISSING in two bytes */

/*
 * A series.  If its id is free, the first four bytes of codes are the next free
 * id plus one, or 0.
 */
typedef struct MsTuple
{
	uint32		generation;		/* odd if the series is held */
	uint32		codes[FLEXIBLE_ARRAY_MEMBER];	/* uint16 or uint32 */
} MsTuple;

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

/* ms_labels_hash of a series' labels: it is kept in the index only. */
static uint32
tuple_hash(const MsArena *a, const MsSeriesTable *st, const MsTuple *t)
{
	uint32		n = tuple_length(st, t);
	uint32		i;
	uint64		h = n;

	for (i = 0; i < n; i++)
	{
		MsLabelValue label;

		ms_dict_get(a, &st->dict, get_code(st, t, i), &label);
		h = ms_label_hash(h, &label);
	}
	return (uint32) (h >> 32);
}

static uint32
rehash_tuple(const void *arg, uint32 sid)
{
	const MsRehashArg *r = arg;

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
		if (!ms_dict_equals(a, &st->dict, get_code(st, t, i), &labels[i]))
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
	ms_vec_init(&to.tuples, size, ms_label_segment_log2(size));
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
			code = ms_dict_use(a, g, &st->dict, &labels[i], flags);
			if (code == 0)
			{
				while (i-- > 0)
					ms_dict_unuse(a, g, &st->dict, get_code(st, t, i));
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
	MsRehashArg arg = {a, st};
	uint32		next_free;
	MsTuple    *t;

	Assert(nlabels >= 0 && nlabels <= MAX_WIDTH);
	Assert(ms_series_find(a, st, labels, nlabels, hash) == MS_NO_SERIES);
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
	{
		t->generation = st->since;
		st->limit++;
	}
	t->generation++;
	ms_hash_insert(a, &st->index, hash, sid);
	st->count++;
	st->changes++;
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
		ms_dict_unuse(a, g, &st->dict, get_code(st, t, i));
	t->generation++;
	st->since = Max(st->since, t->generation);
	t->codes[0] = st->free;
	st->free = sid + 1;
	st->count--;
	st->changes++;
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
 * The codes at one place, which is below the width, of n series: MS_CODE_NULL if it is null or
 * there is no such series, MS_CODE_MISSING if it was added with fewer labels.
 *
 * Needs the table's lock (shared).
 */
void
ms_series_codes_at(const MsArena *a, const MsSeriesTable *st, uint32 place,
				   uint32 from, uint32 n, uint32 *out)
{
	for (uint32 i = 0; i < n; i++)
	{
		const MsTuple *t = tuple_at(a, st, from + i);

		out[i] = t != NULL && (t->generation & 1) ? get_code(st, t, place) : MS_CODE_NULL;
	}
}

/* The code of a value that is not NULL, or 0 if no series has it. */
uint32
ms_series_find_code(const MsArena *a, const MsSeriesTable *st,
					const MsLabelValue *label)
{
	return ms_dict_find(a, &st->dict, label);
}

/* Is a code among others, which ascend? */
static bool
is_one_of(uint32 code, const uint32 *codes, int n)
{
	int			low = 0;

	while (low < n)
	{
		int			middle = low + (n - low) / 2;

		if (codes[middle] == code)
			return true;
		if (codes[middle] < code)
			low = middle + 1;
		else
			n = middle;
	}
	return false;
}

/*
 * Leaves of n series those that are there and have one of the codes (ascending)
 * at a place, or were added with fewer labels; returns how many.
 *
 * Needs the table's lock (shared).
 */
uint32
ms_series_pick(const MsArena *a, const MsSeriesTable *st, uint32 *sids,
			   uint32 n, uint32 place, const uint32 *codes, int ncodes)
{
	uint32		left = 0;

	for (uint32 i = 0; i < n; i++)
	{
		const MsTuple *t = tuple_at(a, st, sids[i]);
		bool		has;

		if (t == NULL || !(t->generation & 1))
			continue;
		has = place >= st->width;
		if (!has)
		{
			uint32		code = get_code(st, t, place);

			has = code == MS_CODE_MISSING || is_one_of(code, codes, ncodes);
		}
		if (has)
			sids[left++] = sids[i];
	}
	return left;
}

/*
 * The value of a code, as ms_series_codes gave it.  The bytes are lent, as
 * long as the table's lock is held (shared).
 */
void
ms_label_of_code(const MsArena *a, const MsSeriesTable *st, uint32 code,
				 MsLabelValue *out)
{
	ms_dict_get(a, &st->dict, code, out);
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
		ms_dict_get(a, &st->dict, get_code(st, t, i), &out[i]);
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
	ms_dict_free(a, g, &st->dict);
	ms_vec_free(a, g, &st->tuples);
	ms_hash_free(a, g, &st->index);
	memset(st, 0, sizeof(*st));
}

/*
 * Free what a table takes that holds no series any more: its ids were many once, perhaps.
 * They begin at 0 again, with generations that none of them has had.  Needs the
 * table's lock exclusively; takes the arena's lock.
 */
void
ms_series_forget(MsArena *a, MsGroup *g, MsSeriesTable *st)
{
	uint32		since = st->since;
	uint64		changes = st->changes;

	Assert(st->count == 0);
	ms_series_free(a, g, st);
	st->since = since;
	st->changes = changes + 1;
}

/*
 * What the table has allocated, in bytes: for label values and the codes of
 * series, and for the indexes that find them.  O(segments).  Needs the table's
 * lock, shared.
 */
void
ms_series_bytes(const MsArena *a, const MsSeriesTable *st, uint64 *labels,
				uint64 *index)
{
	*labels = st->dict.bytes + ms_vec_allocated(a, &st->dict.values) +
		ms_vec_allocated(a, &st->tuples);
	*index = ms_hash_allocated(a, &st->dict.index) + ms_hash_allocated(a, &st->index);
}

/* A series' codes exist, and the missing ones come last.  Adds its uses. */
static bool
tuple_is_valid(const MsSeriesTable *st, const MsTuple *t, uint64 *uses,
			   const char **why)
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
		*why = "a series has a code that was never given out";
		if (code > st->dict.limit)
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
		else if (!tuple_is_valid(st, t, &uses, why))
			return false;
	}
	*why = "series are counted wrongly";
	if (st->count != st->limit - nfree || st->index.used != st->count)
		return false;
	if (!ms_dict_is_valid(a, &st->dict, uses, why))
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
