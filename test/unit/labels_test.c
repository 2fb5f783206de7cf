/*-------------------------------------------------------------------------
 *
 * labels_test.c
 *	  Series tables, vectors and hash indexes, against models.
 *
 * The random history keeps, in plain arrays, the labels of every series it
 * added; after each step that matters the table has to give back exactly these,
 * find each by its labels, and refuse nothing without reason.  It runs in an
 * arena small enough to fill up, so that every way to fail is taken, and has
 * to leave the table as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/labels.h"

#include "arena_util.h"

#define MAX_SERIES	4000
#define MAX_LABELS	6

static uint64 rng;
static LWLock lock;
static MsArena *arena;
static MsGroup group;
static MsSeriesTable table;

static void
start(Size size)
{
	arena = arena_create(size, &lock);
	memset(&group, 0, sizeof(group));
	memset(&table, 0, sizeof(table));
}

static void
check(void)
{
	const char *why;

	if (!ms_arena_is_valid(arena, &why) ||
		!ms_group_is_valid(arena, &group, &why) ||
		!ms_series_is_valid(arena, &table, &why))
		die("table", why);
}

/* ---- the vector ---- */

static void
test_vec(void)
{
	int			elem;
	bool		good = true;

	start(8 * 1024 * 1024);
	for (elem = 1; elem <= 300; elem = elem * 2 + 1)
	{
		int			seg;

		for (seg = 0; seg <= 10; seg += 5)
		{
			MsVec		v;
			uint32		i;
			unsigned char *prev = NULL;

			ms_vec_init(&v, elem, seg);
			good &= ms_vec_at(arena, &v, 0) == NULL;
			for (i = 0; i < 5000; i++)
			{
				unsigned char *p = ms_vec_ensure(arena, &group, &v, i, 0);
				int			j;

				for (j = 0; j < elem; j++)
					good &= p[j] == 0;
				memset(p, (int) (i & 255), elem);
				good &= p != prev && ms_vec_at(arena, &v, i) == p;
				prev = p;
			}
			good &= ms_vec_pack(arena, &group, &v, 0);
			good &= ms_vec_allocated(arena, &v) == ms_group_allocated(arena, &group);
			ms_arena_close_packed(arena, &group);
			good &= ms_vec_ensure(arena, &group, &v, 5000, 0) != NULL;
			for (i = 0; i < 5000; i++)
			{
				unsigned char *p = ms_vec_at(arena, &v, i);

				good &= p[0] == (i & 255) && p[elem - 1] == (i & 255);
			}
			good &= ms_vec_at(arena, &v, 100000) == NULL;
			good &= ms_vec_allocated(arena, &v) <= ms_group_allocated(arena, &group);
			ms_vec_free(arena, &group, &v);
			good &= ms_group_in_use(arena, &group) == 0;
		}
	}
	ok(good, "vectors of many shapes hold what was put in");
	{
		MsVec		v;

		ms_vec_init(&v, 8, 9);
		ok(ms_vec_ensure(arena, &group, &v, 1000000, 0) != NULL &&
		   ms_vec_at(arena, &v, 0) == NULL &&
		   ms_vec_at(arena, &v, 999999) != NULL, "a sparse vector");
		ok(ms_vec_ensure(arena, &group, &v, PG_UINT32_MAX, 0) == NULL,
		   "a vector that does not fit is refused");
		ok(ms_vec_at(arena, &v, 1000000) != NULL, "and stays as it was");
		ms_vec_free(arena, &group, &v);
	}
	arena_destroy(arena);
}

/* ---- series ---- */

typedef struct Model
{
	bool		used;
	int			nlabels;
	int			value[MAX_LABELS];	/* -1: NULL */
	uint32		generation;
} Model;

static Model model[MAX_SERIES];

/* The bytes of value number n: all lengths, some large, some sharing prefixes. */
static uint32
value_bytes(int n, uint8 *buf)
{
	uint32		len = n < 40 ? (uint32) n : 3 + (uint32) (n * 37) % 150;
	uint32		i;

	if (n % 199 == 198)
		len = MS_MAX_LABEL_BYTES - (uint32) n;
	for (i = 0; i < len; i++)
		buf[i] = (uint8) (i < 8 && i >= 2 ? 7 : n >> (i == 0 ? 8 : 0));
	return len;
}

static int
random_labels(Model *m, int nvalues, int maxlabels)
{
	int			i;

	m->nlabels = (int) rnd(&rng, maxlabels + 1);
	for (i = 0; i < m->nlabels; i++)
		m->value[i] = rnd(&rng, 10) == 0 ? -1 : (int) rnd(&rng, nvalues);
	return m->nlabels;
}

static void
to_labels(const Model *m, MsLabelValue *labels)
{
	static uint8 buf[MAX_LABELS][MS_MAX_LABEL_BYTES];
	int			i;

	for (i = 0; i < m->nlabels; i++)
	{
		labels[i].isnull = m->value[i] < 0;
		labels[i].bytes = m->value[i] < 0 ? NULL : buf[i];
		labels[i].len = m->value[i] < 0 ? 0 : value_bytes(m->value[i], buf[i]);
	}
}

static bool
same(const Model *a, const Model *b)
{
	return a->nlabels == b->nlabels &&
		memcmp(a->value, b->value, sizeof(int) * a->nlabels) == 0;
}

static uint32
model_find(const Model *m)
{
	uint32		i;

	for (i = 0; i < MAX_SERIES; i++)
	{
		if (model[i].used && same(&model[i], m))
			return i;
	}
	return MS_NO_SERIES;
}

/* The table gives back the labels of a series. */
static void
compare_labels(uint32 sid)
{
	MsLabelValue want[MAX_LABELS];
	MsLabelValue have[MAX_LABELS];
	uint32		codes[MAX_LABELS];
	int			n = ms_series_labels(arena, &table, sid, have, MAX_LABELS);
	int			i;

	to_labels(&model[sid], want);
	if (n != model[sid].nlabels ||
		ms_series_codes(arena, &table, sid, codes, MAX_LABELS) != n)
		die("series", "a series has another number of labels");
	for (i = 0; i < n; i++)
	{
		MsLabelValue l;

		ms_label_of_code(arena, &table, codes[i], &l);
		if (have[i].isnull != want[i].isnull || have[i].len != want[i].len ||
			l.isnull != want[i].isnull || l.len != want[i].len ||
			(have[i].len > 0 && memcmp(have[i].bytes, want[i].bytes, have[i].len) != 0))
			die("series", "a series has other labels");
		if (!want[i].isnull)
		{
			uint32		found = sid;
			uint32		code_at;

			ms_series_codes_at(arena, &table, i, sid, 1, &code_at);
			if (code_at != codes[i])
				die("series", "a series has another code at a place");
			if (ms_series_find_code(arena, &table, &want[i]) != codes[i] ||
				ms_series_pick(arena, &table, &found, 1, i, &codes[i], 1) != 1 || found != sid)
				die("series", "a series is not found by a label's code");
			if (codes[i] > 1)
			{
				uint32		other = codes[i] - 1;

				if (ms_series_pick(arena, &table, &found, 1, i, &other, 1) != 0)
					die("series", "a series is found by another label's code");
			}
		}
	}
	if (ms_series_find(arena, &table, want, n, ms_labels_hash(want, n)) != sid)
		die("series", "a series is not found by its labels");
	if (ms_series_generation(arena, &table, sid) != model[sid].generation)
		die("series", "a generation changed");
}

static int
step(int nvalues, int maxlabels, int grow, int *refused)
{
	Model		m = {0};
	MsLabelValue labels[MAX_LABELS];
	uint32		hash;
	uint32		sid;

	if (rnd(&rng, 100) < (uint32) grow)
	{
		uint32		before = ms_series_count(&table);
		uint32		values = ms_series_values(&table);
		uint32		gen;

		random_labels(&m, nvalues, maxlabels);
		to_labels(&m, labels);
		hash = ms_labels_hash(labels, m.nlabels);
		sid = ms_series_find(arena, &table, labels, m.nlabels, hash);
		if (sid != model_find(&m))
			die("series", "find differs from the model");
		if (sid != MS_NO_SERIES || before == MAX_SERIES)
			return 0;
		sid = ms_series_add(arena, &group, &table, labels, m.nlabels, hash, 0);
		if (sid == MS_NO_SERIES)
		{
			(*refused)++;
			if (before != ms_series_count(&table) ||
				values != ms_series_values(&table))
				die("series", "a refused series left something behind");
			check();
			return 0;
		}
		gen = ms_series_generation(arena, &table, sid);
		if (sid >= MAX_SERIES || model[sid].used || gen <= model[sid].generation)
			die("series", "a series got an id in use, or an old generation");
		m.used = true;
		m.generation = gen;
		model[sid] = m;
		compare_labels(sid);
		return 1;
	}

	sid = rnd(&rng, Max(ms_series_limit(&table), 1));
	if (ms_series_is_live(arena, &table, sid) != model[sid].used)
		die("series", "liveness differs from the model");
	if (!model[sid].used)
		return 0;
	ms_series_release(arena, &group, &table, sid);
	model[sid].used = false;
	return 1;
}

/* All series go, and with them what the table took for them. */
static void
forget_all(void)
{
	uint32		sid;

	for (sid = 0; sid < ms_series_limit(&table); sid++)
	{
		if (model[sid].used)
			ms_series_release(arena, &group, &table, sid);
		model[sid].used = false;
	}
	check();
	if (ms_series_count(&table) != 0 || ms_series_values(&table) != 0)
		die("series", "something is left after all series are gone");
	ms_series_forget(arena, &group, &table);
	if (ms_series_limit(&table) != 0 || ms_group_in_use(arena, &group) != 0)
		die("series", "memory is left when all series are forgotten");
}

static int
history(uint64 seed, Size size, int nsteps, int nvalues)
{
	int			i;
	int			refused = 0;
	int			grow = 60;
	uint32		sid;

	rng = seed;
	memset(model, 0, sizeof(model));
	start(size);
	for (i = 0; i < nsteps; i++)
	{
		if (i % 500 == 0)
			grow = 30 + (int) rnd(&rng, 60);
		if (rnd(&rng, 4000) == 0)
			forget_all();
		/* Tables get labels over time */
		step(nvalues, Min(MAX_LABELS, 1 + i * 8 / nsteps), grow, &refused);
		if (i % 101 == 0)
		{
			check();
			for (sid = 0; sid < ms_series_limit(&table); sid++)
			{
				if (model[sid].used)
					compare_labels(sid);
			}
		}
	}
	printf("# seed " UINT64_FORMAT ", %zu bytes, %d values: %u ids, %d refused\n",
		   seed, (size_t) size, nvalues, ms_series_limit(&table), refused);
	forget_all();
	arena_destroy(arena);
	return refused;
}

static uint32
rehash(const void *arg, uint32 number)
{
	(void) arg;
	return number % 3 == 0 ? 0xffffffff : number % 7;
}

/* Values that fall into one slot of every index: slow, but right. */
static void
test_collisions(void)
{
	MsHashIndex h = {0};
	uint32		n;
	bool		good = true;
	const char *why;

	start(1024 * 1024);
	for (n = 0; n < 5000; n++)
	{
		good &= ms_hash_reserve(arena, &group, &h, rehash, NULL, 0);
		ms_hash_insert(arena, &h, rehash(NULL, n), n);
	}
	good &= ms_hash_is_valid(arena, &h, &why);
	for (n = 0; n < 5000; n++)
	{
		uint32		hash = rehash(NULL, n);
		MsHashSearch search = {0};
		uint32		found = 0;
		uint32		k;

		while ((k = ms_hash_next(arena, &h, hash, &search)) != MS_HASH_NONE)
			found += k == n;
		good &= found == 1;
	}
	for (n = 0; n < 5000; n++)
	{
		ms_hash_remove(arena, &h, rehash(NULL, n), n);
		if (n % 500 == 0)
			good &= ms_hash_is_valid(arena, &h, &why);
	}
	good &= h.used == 0;
	ms_hash_free(arena, &group, &h);
	ok(good && ms_group_in_use(arena, &group) == 0, "equal hashes");
	arena_destroy(arena);
}

/* A node's exporter: 964 series, 453 names, 328 label sets of some 110 bytes. */
static void
test_compact(void)
{
	char		name[100];
	char		set[200];
	uint64		bytes = 0;
	uint64		budget;
	uint32		i;

	start(4 * 1024 * 1024);
	rng = 7;
	for (i = 0; i < 964; i++)
	{
		MsLabelValue l[4] = {{0}};
		uint32		values;
		uint32		hash;

		/* Each name a few times, each label set a few times */
		snprintf(name, sizeof(name), "node_%0*u_total", 10 + (int) (i % 453) % 35, i % 453);
		snprintf(set, sizeof(set), "{\"device\": \"%0*u\"}", 60 + (int) (i % 328) % 69, i % 328);
		l[0].bytes = (uint8 *) name;
		l[0].len = (uint32) strlen(name);
		l[1].bytes = (uint8 *) set;
		l[1].len = (uint32) strlen(set);
		l[2].bytes = (uint8 *) "localhost:9100";
		l[2].len = 14;
		l[3].bytes = (uint8 *) "node";
		l[3].len = 4;
		hash = ms_labels_hash(l, 4);
		if (ms_series_find(arena, &table, l, 4, hash) != MS_NO_SERIES)
			die("series", "a tuple twice");
		values = ms_series_values(&table);
		if (ms_series_add(arena, &group, &table, l, 4, hash, 0) != i)
			die("series", "ids are not dense");
		if (i < 453)
			bytes += l[0].len;
		if (i < 328)
			bytes += l[1].len;
		if (i >= 453 && values != ms_series_values(&table))
			die("series", "a value is held twice");
	}
	check();
	bytes += 18;
	budget = bytes + 964 * 32;
	printf("# 964 series: " UINT64_FORMAT " distinct bytes, " UINT64_FORMAT " allocated, "
		   UINT64_FORMAT " in use; budget " UINT64_FORMAT " (%+.1f%%, %+.1f%%)\n",
		   bytes, ms_group_allocated(arena, &group), ms_group_in_use(arena, &group), budget,
		   100.0 * ms_group_allocated(arena, &group) / budget - 100,
		   100.0 * ms_group_in_use(arena, &group) / budget - 100);
	ok(ms_group_allocated(arena, &group) < budget * 1.2, "a small table's labels are compact");
	arena_destroy(arena);
}

/* More values than short codes and short hash slots can tell apart. */
static void
test_many(void)
{
	uint64		bytes;
	MsLabelValue l[2] = {{(uint8 *) &bytes, 8, false}, {NULL, 0, true}};
	uint32		n = 70000;
	uint32		i;
	bool		good = true;

	start(32 * 1024 * 1024);
	for (i = 0; i < n; i++)
	{
		bytes = i * UINT64CONST(0x9e3779b97f4a7c15);
		good &= ms_series_add(arena, &group, &table, l, 1 + i % 2,
							  ms_labels_hash(l, 1 + i % 2), 0) == i;
	}
	check();
	for (i = 0; i < n; i++)
	{
		MsLabelValue have[2];

		bytes = i * UINT64CONST(0x9e3779b97f4a7c15);
		good &= ms_series_find(arena, &table, l, 1 + i % 2,
							   ms_labels_hash(l, 1 + i % 2)) == i;
		good &= ms_series_find(arena, &table, l, 2 - i % 2,
							   ms_labels_hash(l, 2 - i % 2)) == MS_NO_SERIES;
		good &= ms_series_labels(arena, &table, i, have, 2) == (int) (1 + i % 2);
		good &= have[0].len == 8 && memcmp(have[0].bytes, &bytes, 8) == 0;
	}
	ok(good && ms_series_values(&table) == n, "70000 series with as many values");
	printf("# %u series of 2 labels, 8 bytes each distinct: %.1f bytes in use each\n",
		   n, (double) ms_group_in_use(arena, &group) / n);
	for (i = 0; i < n; i++)
		ms_series_release(arena, &group, &table, i);
	check();
	ok(ms_series_count(&table) == 0 && ms_series_values(&table) == 0,
	   "and released again");
	arena_destroy(arena);
}

static void
test_hash(void)
{
	uint8		b[64] = {0};
	MsLabelValue l[2] = {{b, 0, false}, {b, 0, false}};
	MsLabelValue null[1] = {{NULL, 0, true}};
	uint32		seen[200];
	uint32		n = 0;
	uint32		i;
	uint32		j;
	bool		good = true;

	seen[n++] = ms_labels_hash(l, 0);
	seen[n++] = ms_labels_hash(null, 1);
	for (i = 0; i < 64; i++)
	{
		l[0].len = i;
		l[1].len = 64 - i;
		seen[n++] = ms_labels_hash(l, 1);
		seen[n++] = ms_labels_hash(l, 2);
	}
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < i; j++)
			good &= seen[i] != seen[j];
	}
	ok(good, "hashes of tuples of zeroes differ by length and place");
}

int
main(void)
{
	uint64		seed;
	int			refused = 0;

	LWLockInitialize(&lock, 0);
	test_vec();
	test_collisions();
	test_hash();
	for (seed = 1; seed <= 4; seed++)
	{
		refused += history(seed, 190 * 1024, steps(12000), 1500);
		history(seed, 4 * 1024 * 1024, steps(12000), seed % 2 ? 12 : 600);
	}
	ok(true, "random histories");
	ok(refused > 0, "that filled the memory");
	test_compact();
	test_many();
	return done();
}
