/*-------------------------------------------------------------------------
 *
 * cursorgroup.c
 *	  Several series copied at a time, and labels.
 *
 * To go through many series of which little is read, be it that they are short or that one
 * row of each is wanted, the lock, and finding out where everything is, would cost
 * more than what is in them.  So whoever knows which series he is going to seek says so, and gets
 * several copied at a time, with their labels: one at first, in case that he wants
 * but few, and then more.  If he wants more of one than was copied, the others are lost, and it begins
 * with one again.  That a series was copied before it is sought is no concern:
 * whether a row is visible depends on the snapshot alone.
 *
 * Labels have a buffer of their own, as they are looked at while more windows of
 * their series are copied.  They lie there as datums do, so that nobody needs to copy them
 * once more: aligned, and behind a varlena's header.
 *
 * Locks: table->lock, shared, taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/cursorpriv.h"

#define GROUP_BYTES		(64 * 1024) /* no more series after so many */
#define LABEL_GAP		MAXIMUM_ALIGNOF /* in front of a label's bytes; has
										 * the header at its end */

StaticAssertDecl(LABEL_GAP >= VARHDRSZ, "a varlena's header must fit in front of a label");

/* One of several series that were copied together. */
typedef struct GroupSeries
{
	uint32		generation;		/* 0: there is no such series */
	int			first_fragment;
	int			nfragments;
	int			first_label;
	int			nlabels;
	int64		resume;			/* as the cursor's, as are... */
	int			ahead;
	bool		exhausted;
} GroupSeries;

struct MsCursorGroup
{
	uint32		limit;			/* all series below it are expected; 0: not
								 * known */
	uint32		sids[MS_CURSOR_EXPECT]; /* expected, or the next of all */
	int			nsids;
	int			place;			/* of the series looked for last, in sids */
	int			size;			/* of the next group */

	/* Of these, [first, first + n) were copied. */
	int			first;
	int			n;
	GroupSeries series[MS_CURSOR_EXPECT];
};

/* ---- labels ---- */

static void
clear_labels(MsCursor *cursor)
{
	cursor->nlabels = 0;
	cursor->label_bytes_used = 0;
}

/* Room for a label's bytes; returns their offset. */
static Size
reserve_label(MsCursor *cursor, Size len)
{
	Size		at = cursor->label_bytes_used + LABEL_GAP;

	if (at + len > cursor->label_bytes_cap)
	{
		cursor->label_bytes_cap = Max(1024, 2 * (at + len));
		cursor->label_bytes = cursor->label_bytes == NULL ?
			MemoryContextAllocHuge(cursor->cxt, cursor->label_bytes_cap) :
			repalloc_huge(cursor->label_bytes, cursor->label_bytes_cap);
	}
	cursor->label_bytes_used = at + MAXALIGN(len);
	return at;
}

/* Copies the labels of a series behind those copied before; how many they are.  Caller holds table->lock. */
static int
copy_labels(MsCursor *cursor, uint32 sid)
{
	MsTable    *table = cursor->table;
	MsLabelValue *labels;
	int			n;

	if (cursor->nlabels + table->nlabels > cursor->labels_cap)
	{
		cursor->labels_cap = Max(16, 2 * (cursor->nlabels + table->nlabels));
		cursor->labels = cursor->labels == NULL ?
			MemoryContextAlloc(cursor->cxt, sizeof(MsLabelValue) * cursor->labels_cap) :
			repalloc(cursor->labels, sizeof(MsLabelValue) * cursor->labels_cap);
	}
	labels = cursor->labels + cursor->nlabels;
	n = ms_series_labels(ms_store->arena, &table->series, sid, labels, table->nlabels);
	for (int i = 0; i < n; i++)
	{
		Size		at;

		if (labels[i].isnull)
			continue;
		at = reserve_label(cursor, labels[i].len);
		SET_VARSIZE(cursor->label_bytes + at - VARHDRSZ, VARHDRSZ + labels[i].len);
		memcpy(cursor->label_bytes + at, labels[i].bytes, labels[i].len);
		labels[i].bytes = (const uint8 *) at;
	}
	cursor->nlabels += n;
	return n;
}

/* Makes offsets pointers, now that the bytes stay where they are. */
static void
settle_labels(MsCursor *cursor)
{
	for (int i = 0; i < cursor->nlabels; i++)
	{
		MsLabelValue *label = &cursor->labels[i];

		if (!label->isnull)
			label->bytes = (const uint8 *) cursor->label_bytes + (Size) label->bytes;
	}
}

/* ---- what is expected ---- */

static void
expect_nothing(MsCursorGroup *group)
{
	group->limit = 0;
	group->nsids = group->place = group->first = group->n = 0;
	group->size = 1;
}

/* See cursorpriv.h. */
void
ms_cursor_forget_group(MsCursor *cursor)
{
	if (cursor->group != NULL)
		expect_nothing(cursor->group);
}

/* See cursorpriv.h. */
void
ms_cursor_lose_group(MsCursor *cursor)
{
	MsCursorGroup *group = cursor->group;

	if (group == NULL)
		return;
	if (group->place + 1 < group->first + group->n)
		group->size = 1;
	group->n = 0;
}

static MsCursorGroup *
get_group(MsCursor *cursor)
{
	if (cursor->group == NULL)
	{
		cursor->group = MemoryContextAlloc(cursor->cxt, sizeof(MsCursorGroup));
		expect_nothing(cursor->group);
	}
	return cursor->group;
}

/* See cursor.h. */
void
ms_cursor_expect(MsCursor *cursor, const uint32 *sids, int n)
{
	MsCursorGroup *group;

	Assert(n <= MS_CURSOR_EXPECT);
	if (cursor->count_skipped)
		return;
	group = get_group(cursor);
	memcpy(group->sids, sids, sizeof(uint32) * n);
	group->nsids = n;
	group->limit = 0;
	group->place = group->first = group->n = 0;
}

/* See cursor.h. */
void
ms_cursor_expect_all(MsCursor *cursor, uint32 limit)
{
	if (!cursor->count_skipped)
		get_group(cursor)->limit = limit;
}

/* Of all series, those from sid on are the next. */
static void
expect_next_of_all(MsCursorGroup *group, uint32 sid)
{
	group->nsids = (int) Min(MS_CURSOR_EXPECT, group->limit - sid);
	for (int i = 0; i < group->nsids; i++)
		group->sids[i] = sid + i;
	group->place = group->first = group->n = 0;
}

/* Finds a series among those expected: group->place is its place. */
static bool
find_expected(MsCursorGroup *group, uint32 sid)
{
	for (int i = group->place; i < group->nsids; i++)
	{
		if (group->sids[i] == sid)
		{
			group->place = i;
			return true;
		}
	}
	for (int i = 0; i < group->place; i++)
	{
		if (group->sids[i] == sid)
		{
			group->place = i;
			return true;
		}
	}
	if (sid >= group->limit)
		return false;
	expect_next_of_all(group, sid);
	return true;
}

/* ---- groups ---- */

/* The series, if it was copied; else NULL. */
static GroupSeries *
find_in_group(MsCursor *cursor, uint32 sid)
{
	MsCursorGroup *group = cursor->group;

	if (group == NULL || group->n == 0 || !find_expected(group, sid) ||
		group->place < group->first || group->place >= group->first + group->n)
		return NULL;
	return &group->series[group->place - group->first];
}

/* Copies a series with its labels.  Caller holds table->lock. */
static void
copy_series(MsCursor *cursor, uint32 sid, GroupSeries *s)
{
	s->generation = ms_cursor_generation_locked(cursor, sid);
	s->first_label = cursor->nlabels;
	s->first_fragment = cursor->nfragments;
	s->nlabels = s->generation != 0 ? copy_labels(cursor, sid) : 0;
	ms_cursor_begin_series(cursor, sid, s->generation);
	if (!cursor->exhausted)
		ms_cursor_copy_windows_locked(cursor);
	s->nfragments = cursor->nfragments - s->first_fragment;
	s->resume = cursor->resume;
	s->ahead = cursor->ahead;
	s->exhausted = cursor->exhausted;
}

/* Copies some series from the one looked for last on: each time more, as far as they are short.  Takes table->lock shared. */
static void
copy_group(MsCursor *cursor)
{
	MsCursorGroup *group = cursor->group;
	const uint32 *sids = group->sids + group->place;
	int			n = Min(group->size, group->nsids - group->place);

	ms_cursor_clear_copies(cursor);
	clear_labels(cursor);
	group->first = group->place;
	group->n = 0;
	ms_lock_shared(cursor->table->lock, MS_RANK_TABLE);
	if (cursor->backward && n > 1)
		ms_cursor_touch_locked(cursor, sids, n);
	while (group->n < n && cursor->bytes_used < GROUP_BYTES)
	{
		copy_series(cursor, sids[group->n], &group->series[group->n]);
		group->n++;

		/* who reads forward will go on, and lose the others */
		if (!cursor->backward && !cursor->exhausted)
			break;
	}
	ms_unlock(cursor->table->lock);
	group->size = Min(group->size * 2, MS_CURSOR_EXPECT);
	ms_cursor_settle_copies(cursor);
	settle_labels(cursor);

	/* it stands on none of them yet */
	cursor->generation = 0;
	cursor->exhausted = true;
	cursor->nfragments = 0;
}

/* See cursorpriv.h. */
bool
ms_cursor_seek_in_group(MsCursor *cursor, uint32 sid, bool *found)
{
	const GroupSeries *s = find_in_group(cursor, sid);

	if (s == NULL)
		return false;
	*found = s->generation != 0;
	ms_cursor_begin_series(cursor, sid, s->generation);
	cursor->resume = s->resume;
	cursor->ahead = s->ahead;
	cursor->exhausted = s->exhausted;
	cursor->next_fragment = s->first_fragment;
	cursor->nfragments = s->first_fragment + s->nfragments;
	cursor->stats.series += *found;
	return true;
}

/* See cursor.h.  Takes table->lock shared. */
bool
ms_cursor_labels(MsCursor *cursor, uint32 sid, const MsLabelValue **labels, int *nlabels)
{
	MsTable    *table = cursor->table;
	const GroupSeries *s = find_in_group(cursor, sid);
	bool		stands = sid == cursor->sid && cursor->generation != 0;
	uint32		generation;

	if (s == NULL && !stands && cursor->group != NULL && find_expected(cursor->group, sid))
	{
		copy_group(cursor);
		s = &cursor->group->series[0];
	}
	if (s != NULL)
	{
		*labels = cursor->labels + s->first_label;
		*nlabels = s->nlabels;
		return s->generation != 0;
	}

	if (cursor->group != NULL)
		cursor->group->n = 0;
	clear_labels(cursor);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	generation = ms_cursor_generation_locked(cursor, sid);
	if (generation == 0 || (stands && generation != cursor->generation))
	{
		ms_unlock(table->lock);
		return false;
	}
	*nlabels = copy_labels(cursor, sid);
	ms_unlock(table->lock);
	settle_labels(cursor);
	*labels = cursor->labels;
	return true;
}
