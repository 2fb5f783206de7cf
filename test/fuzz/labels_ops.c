/*-------------------------------------------------------------------------
 *
 * labels_ops.c
 *	  Fuzz target: bytes as a list of calls of a series table.
 *
 * A call adds the series with some labels, or releases it if it exists; labels
 * are pieces of the input itself.  What the model, a plain list of the labels
 * held, does not have must not be found, and what it has must be.  The arena is
 * small, so that long labels fill it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/labels.h"

#include "arena_util.h"

#define SEGMENT		(160 * 1024)
#define MAX_LABELS	5
#define MAX_SERIES	200
#define MAX_CALLS	300

typedef struct Held
{
	int			n;
	MsLabelValue labels[MAX_LABELS];
	uint32		sid;
} Held;

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static LWLock lock;
static MsArena *arena;
static MsGroup group;
static MsSeriesTable table;
static Held held[MAX_SERIES];
static int	nheld;

static bool
same(const MsLabelValue *a, int na, const MsLabelValue *b, int nb)
{
	int			i;

	if (na != nb)
		return false;
	for (i = 0; i < na; i++)
	{
		if (a[i].isnull != b[i].isnull || a[i].len != b[i].len ||
			(a[i].len > 0 && memcmp(a[i].bytes, b[i].bytes, a[i].len) != 0))
			return false;
	}
	return true;
}

static void
check(void)
{
	const char *why;

	if (!ms_series_is_valid(arena, &table, &why) ||
		!ms_group_is_valid(arena, &group, &why) ||
		!ms_arena_is_valid(arena, &why) ||
		ms_series_count(&table) != (uint32) nheld)
		abort();
}

/* Add the series, or release it if it is held. */
static void
toggle(const MsLabelValue *labels, int n)
{
	uint32		hash = ms_labels_hash(labels, n);
	uint32		sid = ms_series_find(arena, &table, labels, n, hash);
	MsLabelValue back[MAX_LABELS];
	int			i;

	for (i = 0; i < nheld; i++)
	{
		if (same(held[i].labels, held[i].n, labels, n))
			break;
	}
	if (sid != (i < nheld ? held[i].sid : MS_NO_SERIES))
		abort();
	if (sid != MS_NO_SERIES)
	{
		if (!same(labels, n, back, ms_series_labels(arena, &table, sid, back, MAX_LABELS)))
			abort();
		ms_series_release(arena, &group, &table, sid);
		held[i] = held[--nheld];
		return;
	}
	if (nheld == MAX_SERIES)
		return;
	sid = ms_series_add(arena, &group, &table, labels, n, hash, 0);
	if (sid == MS_NO_SERIES)
		return;
	held[nheld].n = n;
	memcpy(held[nheld].labels, labels, sizeof(MsLabelValue) * MAX_LABELS);
	held[nheld++].sid = sid;
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	static bool first = true;
	size_t		pos = 0;
	int			calls = 0;

	if (first)
		LWLockInitialize(&lock, 0);
	first = false;
	arena = arena_create(SEGMENT, &lock);
	memset(&group, 0, sizeof(group));
	memset(&table, 0, sizeof(table));
	nheld = 0;

	while (pos < size && calls++ < MAX_CALLS)
	{
		MsLabelValue labels[MAX_LABELS] = {{0}};
		int			n = data[pos++] % (MAX_LABELS + 1);
		int			i;

		/* A label: a byte for its place in the input, one for its length */
		for (i = 0; i < n && pos + 2 <= size; i++, pos += 2)
		{
			size_t		from = data[pos] % size;
			uint32		len = data[pos + 1];

			if (len == 255)
			{
				labels[i].isnull = true;
				continue;
			}
			if (len >= 240)
				len = 256 << (len - 240) % 8;
			labels[i].bytes = data + from;
			labels[i].len = (uint32) Min(len, size - from);
		}
		toggle(labels, i);
		if (calls % 8 == 0)
			check();
	}

	while (nheld > 0)
		ms_series_release(arena, &group, &table, held[--nheld].sid);
	check();
	if (ms_series_values(&table) != 0)
		abort();
	ms_series_free(arena, &group, &table);
	if (ms_group_in_use(arena, &group) != 0)
		abort();
	arena_destroy(arena);
	return 0;
}
