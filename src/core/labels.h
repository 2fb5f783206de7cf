/*-------------------------------------------------------------------------
 *
 * labels.h
 *	  The series of a table and the values of their labels.
 *
 * A series table gives each tuple of label values a series id and back.  Ids
 * are dense and start at 0; a released one is used again, told from its
 * predecessor by a generation number.  Values are bytes, compared as bytes;
 * each distinct one is stored once.  The essay is in labels.c.
 *
 * Locks.  A series table belongs to one table, and all calls are made under
 * that table's lock: shared is enough for those that take it const, the
 * others need it exclusively.  What ms_series_labels lends is valid as long as
 * the lock is held.  Everything lives in the group given to ms_series_add and
 * ms_series_release, which has to be the same every time, and goes with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_LABELS_H
#define MS_LABELS_H

#include "core/labeldict.h"

#define MS_NO_SERIES		PG_UINT32_MAX

/*
 * The series of a table.  Embedded by the caller in shared memory; all zeroes
 * is an empty one.  Under the table's lock.
 */
typedef struct MsSeriesTable
{
	MsLabelDict dict;
	MsVec		tuples;			/* MsTuple by series id */
	MsHashIndex index;			/* from a tuple's hash to series id */
	uint16		code_size;		/* bytes of a code in a tuple: 2 or 4 */
	uint16		width;			/* codes in a tuple */
	uint32		count;			/* series held */
	uint32		limit;			/* ids ever given out */
	uint32		free;			/* first id to use again, plus one; or 0 */
	uint32		since;			/* even; no generation given so far is above */
	uint64		changes;		/* how often a series came or went; never
								 * falls */
} MsSeriesTable;

/* Series held. */
static inline uint32
ms_series_count(const MsSeriesTable *st)
{
	return st->count;
}

/* All ids are below this; it falls, to 0, only when no series is held. */
static inline uint32
ms_series_limit(const MsSeriesTable *st)
{
	return st->limit;
}

/* Distinct label values held. */
static inline uint32
ms_series_values(const MsSeriesTable *st)
{
	return st->dict.count;
}

extern uint32 ms_series_find(const MsArena *a, const MsSeriesTable *st,
							 const MsLabelValue *labels, int nlabels,
							 uint32 hash);
extern uint32 ms_series_add(MsArena *a, MsGroup *g, MsSeriesTable *st,
							const MsLabelValue *labels, int nlabels,
							uint32 hash, int flags);
extern void ms_series_release(MsArena *a, MsGroup *g, MsSeriesTable *st,
							  uint32 sid);
extern bool ms_series_is_live(const MsArena *a, const MsSeriesTable *st,
							  uint32 sid);
extern uint32 ms_series_generation(const MsArena *a, const MsSeriesTable *st,
								   uint32 sid);
extern int	ms_series_labels(const MsArena *a, const MsSeriesTable *st,
							 uint32 sid, MsLabelValue *out, int max);
extern uint32 ms_series_find_code(const MsArena *a, const MsSeriesTable *st,
								  const MsLabelValue *label);
extern uint32 ms_series_pick(const MsArena *a, const MsSeriesTable *st,
							 uint32 *sids, uint32 n, uint32 place,
							 const uint32 *codes, int ncodes);
extern void ms_series_codes_at(const MsArena *a, const MsSeriesTable *st,
							   uint32 place, uint32 from, uint32 n, uint32 *out);
extern int	ms_series_codes(const MsArena *a, const MsSeriesTable *st,
							uint32 sid, uint32 *out, int max);
extern void ms_label_of_code(const MsArena *a, const MsSeriesTable *st,
							 uint32 code, MsLabelValue *out);
extern void ms_series_free(MsArena *a, MsGroup *g, MsSeriesTable *st);
extern void ms_series_forget(MsArena *a, MsGroup *g, MsSeriesTable *st);
extern void ms_series_bytes(const MsArena *a, const MsSeriesTable *st,
							uint64 *labels, uint64 *index);
extern bool ms_series_is_valid(const MsArena *a, const MsSeriesTable *st,
							   const char **why);

#endif							/* MS_LABELS_H */
