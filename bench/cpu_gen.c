/*-------------------------------------------------------------------------
 *
 * cpu_gen.c
 *	  Writes rows like those of the cpu table of TSBS, the Time Series
 *	  Benchmark Suite, in COPY text format, ordered by time.
 *
 *	cpu_gen [-h HOSTS] [-s STEP] [-t START] [-n TICKS] [-c TABLE] [-f]
 *
 *	  -h	hosts, each a row per tick (1000)
 *	  -s	seconds between ticks (10)
 *	  -t	time of the first tick, seconds since 1970 (0)
 *	  -n	ticks (1440)
 *	  -c	write a psql script with a COPY command for each tick instead
 *	  -f	values of full precision instead of integers
 *
 * A row is time, hostname, region, datacenter and ten values, each a random
 * walk between 0 and 100 with normally distributed steps, cut to an integer.
 * The same arguments give the same rows.  It does not write TSBS's other
 * seven tags, nor is the random sequence that of TSBS.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NVALUES		10
#define NNORMALS	65536
#define MAX_ROW		512

static const char *const regions[] = {
	"ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "eu-central-1", "eu-west-1",
	"sa-east-1", "us-east-1", "us-west-1", "us-west-2"
};

#define NREGIONS	((int) (sizeof(regions) / sizeof(regions[0])))

typedef struct Host
{
	char		labels[80];		/* the label columns as they are written */
	int			labels_len;
	double		value[NVALUES];
} Host;

static uint64_t rng_state = UINT64_C(0x9E3779B97F4A7C15);
static double normals[NNORMALS];

/* xorshift64* */
static uint64_t
next_random(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * UINT64_C(2685821657736338717);
}

/* In (0, 1) */
static double
next_uniform(void)
{
	return ((double) (next_random() >> 12) + 0.5) / (double) (UINT64_C(1) << 52);
}

/* A table of normally distributed numbers (Box and Muller), from which steps are drawn. */
static void
make_normals(void)
{
	for (int i = 0; i < NNORMALS; i += 2)
	{
		double		r = sqrt(-2.0 * log(next_uniform()));
		double		angle = 2.0 * M_PI * next_uniform();

		normals[i] = r * cos(angle);
		normals[i + 1] = r * sin(angle);
	}
}

static Host *
make_hosts(int nhosts)
{
	Host	   *hosts = malloc(sizeof(Host) * (size_t) nhosts);

	if (hosts == NULL)
	{
		fprintf(stderr, "cpu_gen: out of memory\n");
		exit(1);
	}
	for (int h = 0; h < nhosts; h++)
	{
		const char *region = regions[next_random() % NREGIONS];

		hosts[h].labels_len = snprintf(hosts[h].labels, sizeof(hosts[h].labels),
									   "\thost_%d\t%s\t%s%c", h, region, region,
									   'a' + (char) (next_random() % 3));
		for (int v = 0; v < NVALUES; v++)
			hosts[h].value[v] = 100.0 * next_uniform();
	}
	return hosts;
}

/* Moves a host's values on by one tick. */
static void
step_host(Host *host)
{
	uint64_t	bits = 0;

	for (int v = 0; v < NVALUES; v++)
	{
		double		value;

		if (v % 4 == 0)
			bits = next_random();
		value = host->value[v] + normals[(bits >> (16 * (v % 4))) & 0xFFFF];
		host->value[v] = value < 0 ? 0 : value > 100 ? 100 : value;
	}
}

/* Writes a number between 0 and 100, cut to an integer; returns the end. */
static char *
put_integer(char *out, double value)
{
	int			n = (int) value;

	if (n >= 100)
		*out++ = (char) ('0' + n / 100);
	if (n >= 10)
		*out++ = (char) ('0' + n / 10 % 10);
	*out++ = (char) ('0' + n % 10);
	return out;
}

static int
format_row(char *row, const char *when, int when_len, const Host *host, int full)
{
	char	   *out = row;

	memcpy(out, when, (size_t) when_len);
	out += when_len;
	memcpy(out, host->labels, (size_t) host->labels_len);
	out += host->labels_len;
	for (int v = 0; v < NVALUES; v++)
	{
		*out++ = '\t';
		if (full)
			out += sprintf(out, "%.17g", host->value[v]);
		else
			out = put_integer(out, host->value[v]);
	}
	*out++ = '\n';
	return (int) (out - row);
}

static long
number(const char *text, long min)
{
	char	   *end;
	long		n = strtol(text, &end, 10);

	if (*end != '\0' || end == text || n < min)
	{
		fprintf(stderr, "cpu_gen: \"%s\" is not a number of at least %ld\n", text, min);
		exit(2);
	}
	return n;
}

int
main(int argc, char **argv)
{
	int			nhosts = 1000;
	long		step = 10;
	long		start = 0;
	long		ticks = 1440;
	const char *copy_into = NULL;
	int			full = 0;
	int			option;
	Host	   *hosts;

	while ((option = getopt(argc, argv, "h:s:t:n:c:f")) != -1)
	{
		switch (option)
		{
			case 'h':
				nhosts = (int) number(optarg, 1);
				break;
			case 's':
				step = number(optarg, 1);
				break;
			case 't':
				start = number(optarg, 0);
				break;
			case 'n':
				ticks = number(optarg, 0);
				break;
			case 'c':
				copy_into = optarg;
				break;
			case 'f':
				full = 1;
				break;
			default:
				return 2;
		}
	}

	make_normals();
	hosts = make_hosts(nhosts);
	for (long tick = 0; tick < ticks; tick++)
	{
		time_t		now = (time_t) (start + tick * step);
		char		when[40];
		int			when_len = (int) strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S+00", gmtime(&now));

		if (copy_into != NULL)
			printf("COPY %s FROM stdin;\n", copy_into);
		for (int h = 0; h < nhosts; h++)
		{
			char		row[MAX_ROW];

			step_host(&hosts[h]);
			fwrite(row, 1, (size_t) format_row(row, when, when_len, &hosts[h], full), stdout);
		}
		if (copy_into != NULL)
			printf("\\.\n");
	}
	free(hosts);
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		perror("cpu_gen");
		return 1;
	}
	return 0;
}
