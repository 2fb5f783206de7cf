/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  What the encodings cost: bytes a sample, nanoseconds to encode, values
 *	  decoded a second.
 *
 * Needs no server:
 *
 *	gcc -O2 -std=gnu99 -fno-strict-aliasing -fwrapv -D_GNU_SOURCE -Isrc
 *		-isystem $(pg_config --includedir-server) -o codec
 *		bench/codec.c test/unit/shim.c src/core/[a-z]*codec.c src/core/intdecode.c
 *		src/core/unpack.c src/core/narrow.c src/core/valuedecode.c src/core/valuesummary.c src/core/chunk_[a-z]*.c -lm
 *	codec [folder with node-1s.samples.tsv.xz]
 *
 * Generated data: hosts as TSBS makes them (ten integers of 0 to 100 that
 * walk at random), gauges with two decimals, noise in full precision; 1440
 * rows, one every ten seconds, which is a window of four hours.  Recorded
 * data: each series thinned to one sample every 1, 10, 15 seconds, one chunk
 * for each.  Sizes are those of whole chunks, headers and times included;
 * every chunk is decoded and compared first.
 *
 * Times are processor times, the best of several passes, each over more data
 * than the caches closest to the core hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "core/chunk.h"
#include "core/valuecodec.h"

#undef printf
#undef snprintf
#undef fprintf

#define PASSES		5
#define MAX_SERIES	2000

/* Chunks of one kind. */
typedef struct Set
{
	int			nchunks;
	MsRows	   *rows;
	uint8	  **bytes;
	Size	   *len;
} Set;

static MsCodecWork *work;
static uint64 random_state = 88172645463325252;

static double
uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double) (random_state >> 11) / 9007199254740992.0;
}

static double
normal(void)
{
	return sqrt(-2 * log(uniform() + 1e-300)) * cos(2 * M_PI * uniform());
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static void *
get_memory(Size size)
{
	void	   *p = malloc(Max(size, 1));

	if (p == NULL)
		abort();
	return p;
}

static void
make_rows(MsRows *rows, int nrows, int ncols)
{
	rows->nrows = nrows;
	rows->ncols = ncols;
	rows->times = get_memory(sizeof(int64) * nrows);
	rows->values = get_memory(sizeof(double *) * ncols);
	rows->nulls = NULL;
	for (int c = 0; c < ncols; c++)
		rows->values[c] = get_memory(sizeof(double) * nrows);
}

/* ---- data ---- */

static void
make_set(Set *set, int nchunks)
{
	set->nchunks = nchunks;
	set->rows = get_memory(sizeof(MsRows) * nchunks);
	set->bytes = get_memory(sizeof(uint8 *) * nchunks);
	set->len = get_memory(sizeof(Size) * nchunks);
}

/* kind 0: TSBS, 1: two decimals, 2: noise, 3: constants */
static void
generate(Set *set, int nchunks, int ncols, int kind)
{
	make_set(set, nchunks);
	for (int k = 0; k < nchunks; k++)
	{
		MsRows	   *r = &set->rows[k];

		make_rows(r, 1440, ncols);
		for (int i = 0; i < r->nrows; i++)
			r->times[i] = INT64CONST(848707200000000) + i * INT64CONST(10000000);
		for (int c = 0; c < ncols; c++)
		{
			double		x = uniform() * 100;

			for (int i = 0; i < r->nrows; i++)
			{
				x = Min(Max(x + normal(), 0), 100);
				r->values[c][i] = kind == 0 ? floor(x) :
					kind == 1 ? rint(x * 100) / 100 :
					kind == 2 ? uniform() * 100 : 42;
			}
		}
	}
}

typedef struct Recorded
{
	int			n;
	int			room;
	int64	   *times;			/* ms since 1970 */
	double	   *values;
} Recorded;

static Recorded recorded[MAX_SERIES];
static int	nrecorded;

/* Read the recording; false if there is none. */
static bool
read_recording(const char *folder)
{
	char		command[2048];
	char		line[256];
	FILE	   *f;

	snprintf(command, sizeof(command), "xz -dc '%s/node-1s.samples.tsv.xz'", folder);
	f = popen(command, "r");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f))
	{
		char	   *p;
		int64		t = strtoll(line, &p, 10);
		long		s = strtol(p, &p, 10);
		double		v = strtod(p, NULL);
		Recorded   *r;

		if (s < 0 || s >= MAX_SERIES)
			continue;
		r = &recorded[s];
		if (r->n == r->room)
		{
			r->room = r->room * 2 + 1024;
			r->times = realloc(r->times, sizeof(int64) * r->room);
			r->values = realloc(r->values, sizeof(double) * r->room);
			if (r->times == NULL || r->values == NULL)
				abort();
		}
		if (isnan(v))
			v = ms_bits_double(UINT64CONST(0x7ff8000000000000));
		r->times[r->n] = t;
		r->values[r->n++] = v;
		nrecorded = Max(nrecorded, (int) s + 1);
	}
	return pclose(f) == 0 && nrecorded > 0;
}

/* One chunk a series: the first sample in every "interval" seconds. */
static void
thin(Set *set, int interval, bool only_active)
{
	int			count = 0;

	make_set(set, nrecorded);
	for (int s = 0; s < nrecorded; s++)
	{
		const Recorded *r = &recorded[s];
		MsRows	   *rows = &set->rows[count];
		int64		slot = -1;
		int			n = 0;
		bool		active = false;

		if (r->n == 0)
			continue;
		make_rows(rows, r->n, 1);
		for (int i = 0; i < r->n; i++)
		{
			if (r->times[i] / (interval * 1000) == slot)
				continue;
			slot = r->times[i] / (interval * 1000);
			rows->times[n] = (r->times[i] - INT64CONST(946684800000)) * 1000;
			rows->values[0][n] = r->values[i];
			active |= memcmp(&rows->values[0][n], &rows->values[0][0], 8) != 0;
			n++;
		}
		rows->nrows = n;
		if (active || !only_active)
			count++;
	}
	set->nchunks = count;
}

/* ---- measuring ---- */

static void
fail(const char *what)
{
	fprintf(stderr, "codec: %s\n", what);
	exit(1);
}

/* Do the chunks hold the rows? */
static void
verify(const Set *set)
{
	for (int k = 0; k < set->nchunks; k++)
	{
		const MsRows *r = &set->rows[k];
		MsRows		out;
		MsChunk		c;
		bool	   *nulls[64];
		bool	   *one = get_memory(r->nrows);

		make_rows(&out, r->nrows, r->ncols);
		out.nulls = nulls;
		for (int i = 0; i < r->ncols; i++)
			nulls[i] = one;
		if (!ms_chunk_validate(set->bytes[k], set->len[k], work) ||
			!ms_chunk_open(&c, set->bytes[k], set->len[k]) ||
			!ms_chunk_decode(&c, NULL, &out, work) ||
			memcmp(out.times, r->times, sizeof(int64) * r->nrows) != 0)
			fail("a chunk does not come back");
		for (int i = 0; i < r->ncols; i++)
		{
			if (memcmp(out.values[i], r->values[i], sizeof(double) * r->nrows) != 0)
				fail("values do not come back");
			free(out.values[i]);
		}
		free(out.values);
		free(out.times);
		free(one);
	}
}

static void
measure(const char *name, Set *set)
{
	static uint8 *space = NULL;
	double		samples = 0;
	double		rows = 0;
	double		bytes = 0;
	double		encode = 1e9;
	double		decode = 1e9;
	double		times = 1e9;
	double		summaries = 1e9;
	double		totals = 1e9;
	double		values[MS_BLOCK_ROWS];
	bool		nulls[MS_BLOCK_ROWS];
	int64		t[MS_BLOCK_ROWS];
	volatile double sink = 0;
	Size		bound = 0;

	for (int k = 0; k < set->nchunks; k++)
		bound = Max(bound, ms_chunk_bound(set->rows[k].nrows, set->rows[k].ncols));
	space = realloc(space, bound);
	if (space == NULL)
		abort();

	for (int pass = 0; pass < PASSES; pass++)
	{
		double		start = seconds();

		for (int k = 0; k < set->nchunks; k++)
			set->len[k] = ms_chunk_encode(&set->rows[k], 0, set->rows[k].nrows,
										  NULL, MS_CHUNK_SEALED, space, work);
		encode = Min(encode, seconds() - start);
	}
	for (int k = 0; k < set->nchunks; k++)
	{
		set->len[k] = ms_chunk_encode(&set->rows[k], 0, set->rows[k].nrows,
									  NULL, MS_CHUNK_SEALED, space, work);
		set->bytes[k] = get_memory(set->len[k]);
		memcpy(set->bytes[k], space, set->len[k]);
		samples += (double) set->rows[k].nrows * set->rows[k].ncols;
		rows += set->rows[k].nrows;
		bytes += (double) set->len[k];
	}
	verify(set);

	for (int pass = 0; pass < PASSES * 4; pass++)
	{
		double		start[5];
		MsChunk		c;
		MsBlockInfo b;
		bool		more;
		bool		has_nulls;
		MsSummary	s;

		start[0] = seconds();
		for (int k = 0; k < set->nchunks; k++)
		{
			ms_chunk_open(&c, set->bytes[k], set->len[k]);
			for (more = ms_chunk_first_block(&c, &b); more; more = ms_chunk_next_block(&c, &b))
			{
				for (int col = 0; col < c.ncols; col++)
				{
					if (!ms_chunk_block_values(&c, &b, col, values, nulls, &has_nulls, work))
						fail("decoding");
					sink = sink + values[b.nrows - 1];
				}
			}
		}
		start[1] = seconds();
		for (int k = 0; k < set->nchunks; k++)
		{
			ms_chunk_open(&c, set->bytes[k], set->len[k]);
			for (more = ms_chunk_first_block(&c, &b); more; more = ms_chunk_next_block(&c, &b))
			{
				if (!ms_chunk_block_times(&c, &b, t))
					fail("decoding");
				sink = sink + (double) t[b.nrows - 1];
			}
		}
		start[2] = seconds();
		for (int k = 0; k < set->nchunks; k++)
		{
			ms_chunk_open(&c, set->bytes[k], set->len[k]);
			for (more = ms_chunk_first_block(&c, &b); more; more = ms_chunk_next_block(&c, &b))
			{
				for (int col = 0; col < c.ncols; col++)
				{
					ms_chunk_block_summary(&c, &b, col, &s);
					sink = sink + s.sum;
				}
			}
		}
		start[3] = seconds();
		for (int k = 0; k < set->nchunks; k++)
		{
			ms_chunk_open(&c, set->bytes[k], set->len[k]);
			for (more = ms_chunk_first_block(&c, &b); more; more = ms_chunk_next_block(&c, &b))
			{
				for (int col = 0; col < c.ncols; col++)
				{
					if (ms_chunk_block_totals(&c, &b, col, &s, work))
						sink = sink + s.sum;
				}
			}
		}
		start[4] = seconds();
		decode = Min(decode, start[1] - start[0]);
		times = Min(times, start[2] - start[1]);
		summaries = Min(summaries, start[3] - start[2]);
		totals = Min(totals, start[4] - start[3]);
	}

	printf("%-26s %8.4f B/sample  %6.1f B/chunk  encode %6.1f ns  decode %7.0f M/s  times %6.0f M/s  summaries %7.0f M/s  totals %6.0f M/s\n",
		   name, bytes / samples, bytes / set->nchunks, encode / samples * 1e9,
		   samples / decode / 1e6, rows / times / 1e6, samples / summaries / 1e6,
		   samples / totals / 1e6);
	fflush(stdout);
}

/* Grow chunks by a few rows at a time, as they come. */
static void
measure_growth(const Set *set, int batch)
{
	int			ncols = set->rows[0].ncols;
	int			nrows = set->rows[0].nrows;
	Size		room = 2 * ms_chunk_bound(nrows + 2 * MS_BLOCK_ROWS, ncols);
	uint8	   *chunk = get_memory(room);
	uint8	   *next = get_memory(room);
	double	  **values = get_memory(sizeof(double *) * ncols);
	double		best = 1e9;
	double		size = 0;
	double		steps = 0;
	int			nchunks = Min(set->nchunks, 10);

	for (int pass = 0; pass < PASSES; pass++)
	{
		double		start = seconds();

		size = steps = 0;
		for (int k = 0; k < nchunks; k++)
		{
			const MsRows *r = &set->rows[k];
			Size		len = ms_chunk_encode(r, 0, batch, NULL, MS_CHUNK_OPEN, chunk, work);

			for (int done = batch; done < nrows; done += batch)
			{
				MsRows		part;
				uint8	   *swap;

				memset(&part, 0, sizeof(part));
				part.nrows = Min(batch, nrows - done);
				part.ncols = ncols;
				part.times = r->times + done;
				part.values = values;
				for (int c = 0; c < ncols; c++)
					values[c] = r->values[c] + done;
				len = ms_chunk_append(chunk, len, &part, NULL, MS_CHUNK_OPEN, next, work);
				if (len == 0)
					fail("a chunk does not grow");
				swap = chunk;
				chunk = next;
				next = swap;
				size += (double) len / ((double) (done + part.nrows) * ncols);
				steps++;
			}
		}
		best = Min(best, seconds() - start);
	}
	printf("grown by %4d rows          %8.4f B/sample on average, %6.1f ns a sample\n",
		   batch, size / steps, best / ((double) nchunks * nrows * ncols) * 1e9);
	free(chunk);
	free(next);
	free(values);
}

int
main(int argc, char **argv)
{
	Set			set;

	if (posix_memalign((void **) &work, 64, ms_codec_work_size()) != 0)
		abort();

	generate(&set, 150, 10, 0);
	measure("TSBS integers, 10 columns", &set);
	for (int batch = 1; batch <= 1000; batch *= 10)
		measure_growth(&set, batch);
	generate(&set, 600, 1, 0);
	measure("TSBS integers, 1 column", &set);
	generate(&set, 100, 10, 1);
	measure("two decimals, 10 columns", &set);
	generate(&set, 50, 10, 2);
	measure("noise, 10 columns", &set);
	generate(&set, 100, 10, 3);
	measure("constants, 10 columns", &set);

	if (argc > 1)
	{
		if (!read_recording(argv[1]))
			fail("cannot read the recording");
		for (int i = 0; i < 3; i++)
		{
			static const int intervals[] = {1, 10, 15};
			char		name[64];

			thin(&set, intervals[i], false);
			snprintf(name, sizeof(name), "recorded, %d s", intervals[i]);
			measure(name, &set);
			thin(&set, intervals[i], true);
			snprintf(name, sizeof(name), "recorded, %d s, active", intervals[i]);
			measure(name, &set);
		}
	}
	return 0;
}
