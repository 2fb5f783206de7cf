/*-------------------------------------------------------------------------
 *
 * codec_util.h
 *	  What the codecs' tests share: TAP output, random numbers, random rows.
 *
 * Tests are repeatable: the generator is seeded with a constant, or with the
 * first argument of the program, and the seed is printed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CODEC_UTIL_H
#define CODEC_UTIL_H

#include <math.h>

#include "core/chunk.h"
#include "core/valuecodec.h"

#undef printf
#undef snprintf

static int	tests_run = 0;
static int	tests_failed = 0;

static inline void
ok(bool condition, const char *name)
{
	tests_run++;
	if (!condition)
		tests_failed++;
	printf("%sok %d - %s\n", condition ? "" : "not ", tests_run, name);
	fflush(stdout);
}

static inline int
done_testing(void)
{
	printf("1..%d\n", tests_run);
	return tests_failed > 0 ? 1 : 0;
}

/* xorshift64*, enough for tests */
static uint64 random_state;

static inline void
seed_random(uint64 seed)
{
	random_state = seed * UINT64CONST(0x9e3779b97f4a7c15) + 1;
}

static inline void
start_testing(int argc, char **argv)
{
	uint64		seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000101;

	printf("# seed %llu\n", (unsigned long long) seed);
	seed_random(seed);
}

static inline uint64
random64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64CONST(0x2545f4914f6cdd1d);
}

/* 0 .. n-1 */
static inline int
random_below(int n)
{
	return (int) ((random64() >> 11) % (uint64) n);
}

static inline double
random_unit(void)
{
	return (double) (random64() >> 11) / 9007199254740992.0;
}

/* Memory of exactly the size asked for, so that a sanitizer sees its end. */
static inline void *
get_memory(Size size)
{
	void	   *p = malloc(Max(size, 1));

	if (p == NULL)
		abort();
	return p;
}

static inline void *
get_work(void)
{
	void	   *p = NULL;

	if (posix_memalign(&p, 64, ms_codec_work_size()) != 0)
		abort();
	memset(p, 0x5a, ms_codec_work_size());
	return p;
}

/* Values that codecs get wrong. */
static inline double
nasty_value(void)
{
	static const uint64 bits[] = {
		UINT64CONST(0x0000000000000000), UINT64CONST(0x8000000000000000),
		UINT64CONST(0x7ff0000000000000), UINT64CONST(0xfff0000000000000),
		UINT64CONST(0x7ff8000000000000), UINT64CONST(0x7ff8000000000001),
		UINT64CONST(0x7ff0000000000002), UINT64CONST(0xfff8dead0000beef),
		UINT64CONST(0x7ff7ffffffffffff), UINT64CONST(0xffffffffffffffff),
		UINT64CONST(0x7fffffffffffffff), UINT64CONST(0x0000000000000001),
		UINT64CONST(0x800fffffffffffff), UINT64CONST(0x0010000000000000),
		UINT64CONST(0x7fefffffffffffff), UINT64CONST(0x4340000000000000),
		UINT64CONST(0x4320000000000000), UINT64CONST(0x431fffffffffffff),
		UINT64CONST(0xc320000000000000), UINT64CONST(0x3ff0000000000000),
		UINT64CONST(0x3fb999999999999a), UINT64CONST(0x47efffffe0000000),
		UINT64CONST(0x36a0000000000000), UINT64CONST(0x43e0000000000000)
	};

	return ms_bits_double(bits[random_below(lengthof(bits))]);
}

#define VALUE_SHAPES 20

/* Fill n values of a shape that measurements have, or that hurt. */
static inline void
random_values(double *v, int n, int shape, bool is_float4)
{
	double		x = random_below(100);
	double		step = random_below(1000) / 10.0;
	int			decimals = random_below(10);
	double		power = 1;
	double		sum = 0;

	for (int i = 0; i < decimals; i++)
		power *= 10;
	for (int i = 0; i < n; i++)
	{
		switch (shape)
		{
			case 0:				/* constant */
				v[i] = x;
				break;
			case 1:				/* walk of integers */
				x += random_below(3) - 1;
				v[i] = x;
				break;
			case 2:				/* walk of decimals */
				x += random_below(200) - 100;
				v[i] = x / power;
				break;
			case 3:				/* counter, sometimes reset */
				x = random_below(100) == 0 ? 0 : x + random_below(5000);
				v[i] = x;
				break;
			case 4:				/* counter in pages */
				x += random_below(20);
				v[i] = x * 4096 + 12345;
				break;
			case 5:				/* straight line */
				v[i] = i * step;
				break;
			case 6:				/* parabola */
				v[i] = (double) i * i * 3;
				break;
			case 7:				/* noise */
				v[i] = random_unit() * 100;
				break;
			case 8:				/* any bits */
				v[i] = ms_bits_double(random64());
				break;
			case 9:				/* nasty ones */
				v[i] = nasty_value();
				break;
			case 10:			/* decimals, a few nasty */
				v[i] = random_below(20) == 0 ? nasty_value() :
					random_below(1000) / 100.0;
				break;
			case 11:			/* sums of decimals */
				sum += random_below(1000000) / 1e9;
				v[i] = sum;
				break;
			case 12:			/* few levels */
				v[i] = (double) (random_below(3) * 17);
				break;
			case 13:			/* mostly zero */
				v[i] = random_below(50) == 0 ? random_unit() : 0;
				break;
			case 14:			/* integers of any size */
				v[i] = (double) (int64) (random64() >> random_below(64));
				break;
			case 15:			/* multiples of a power of two */
				v[i] = ldexp((double) random_below(1000), -30);
				break;
			case 16:			/* NaN in stretches */
				v[i] = (i / 37) % 2 ? ms_bits_double(UINT64CONST(0x7ff8000000000001)) : x++;
				break;
			case 17:			/* floats widened */
				v[i] = (double) (float) (random_unit() * 10);
				break;
			case 18:			/* denormals */
				v[i] = ms_bits_double(random64() >> 12 >> random_below(52));
				break;
			default:			/* large and small together */
				v[i] = ldexp(random_unit() - 0.5, random_below(2000) - 1000);
				break;
		}
		if (is_float4)
			v[i] = ms_float4_widen(ms_float4_narrow(v[i]));
	}
}

#define TIME_SHAPES 7

/* Fill n strictly ascending times, the first one later than "after". */
static inline void
random_times(int64 *t, int n, int shape, int64 after)
{
	static const int64 steps[] = {1, 1000, 10000000, 15000000, 60000000, 999999, 3600000000};
	int64		step = steps[random_below(lengthof(steps))];
	int64		start = after + step - after % step + (after < 0 ? 0 : step);
	int64		at = start;

	for (int i = 0; i < n; i++)
	{
		switch (shape)
		{
			case 0:				/* regular */
				t[i] = at;
				at += step;
				break;
			case 1:				/* late by a little */
				t[i] = at + (random_below(10) == 0 ? random_below(1000) * step / 4000 : 0);
				at += step;
				break;
			case 2:				/* late by anything less than a step */
				t[i] = at + (int64) (random64() % (uint64) step);
				at += step;
				break;
			case 3:				/* with gaps */
				t[i] = at;
				at += step * (random_below(20) == 0 ? 1 + random_below(50) : 1);
				break;
			case 4:				/* gaps and late */
				t[i] = at + (random_below(3) == 0 ? random_below(1000) * step / 4000 : 0);
				at += step * (random_below(20) == 0 ? 1 + random_below(50) : 1);
				break;
			case 5:				/* any */
				at += 1 + (int64) (random64() >> (24 + random_below(40)));
				t[i] = at;
				break;
			default:			/* every microsecond or so */
				at += 1 + random_below(2);
				t[i] = at;
				break;
		}
	}
}

/* Rows that own their arrays. */
static inline void
make_rows(MsRows *rows, int nrows, int ncols)
{
	rows->nrows = nrows;
	rows->ncols = ncols;
	rows->times = get_memory(sizeof(int64) * nrows);
	rows->values = get_memory(sizeof(double *) * ncols);
	rows->nulls = get_memory(sizeof(bool *) * ncols);
	for (int c = 0; c < ncols; c++)
	{
		rows->values[c] = get_memory(sizeof(double) * nrows);
		rows->nulls[c] = get_memory(nrows);
	}
}

static inline void
free_rows(MsRows *rows)
{
	for (int c = 0; c < rows->ncols; c++)
	{
		free(rows->values[c]);
		free(rows->nulls[c]);
	}
	free(rows->values);
	free(rows->nulls);
	free(rows->times);
}

/* Random rows after a time; some columns get nulls. */
static inline void
random_rows(MsRows *rows, int nrows, int ncols, const uint8 *kinds, int64 after)
{
	make_rows(rows, nrows, ncols);
	random_times(rows->times, nrows, random_below(TIME_SHAPES), after);
	for (int c = 0; c < ncols; c++)
	{
		int			nulls = random_below(6);

		random_values(rows->values[c], nrows, random_below(VALUE_SHAPES),
					  kinds != NULL && kinds[c] == MS_FLOAT4);
		for (int i = 0; i < nrows; i++)
		{
			rows->nulls[c][i] = nulls == 0 ? random_below(4) == 0 :
				nulls == 1 ? (i / 100) % 2 == 1 :
				nulls == 2;
		}
		if (nulls > 2)
		{
			free(rows->nulls[c]);
			rows->nulls[c] = NULL;
		}
	}
}

#endif							/* CODEC_UTIL_H */
