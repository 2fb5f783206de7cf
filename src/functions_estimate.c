/*-------------------------------------------------------------------------
 *
 * functions_estimate.c
 *	  memseries.estimate: how much memory will it take?
 *
 * The answer is needed before there is any data, so it is arithmetic: what the
 * store adds to a series, a chunk and a block is known, and what a value takes
 * is taken from measurements unless the caller knows better.  Values change
 * less from one sample to the next the shorter the interval is: on recorded
 * metrics of machines a value took 0.26 bytes at 1 s, and 0.36 at 15 s; that
 * is the line drawn here, with the logarithm of the interval.  Full-precision
 * noise takes 6 to 7 bytes at any interval, constants nothing; whoever has such
 * data says so with bytes_per_value, which memseries.tables shows for data
 * that is there (values_bytes / samples / value columns).
 *
 * All windows count as full and sealed.  bench/memory shows the estimate
 * beside what was measured.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/chunk.h"
#include "store/table.h"

/* of a value: at 1 s, for each factor of e beyond, and at least */
#define VALUE_BYTES			0.27
#define VALUE_BYTES_LOG		0.034
#define VALUE_BYTES_LEAST	0.1
#define TIME_BYTES			0.11	/* of a time, which has some jitter */
#define BLOCK_BYTES			5.5 /* header of a block... */
#define BLOCK_VALUE_BYTES	1.1 /* ...and of each value column in it */
#define CHUNK_BYTES			14.0	/* header of a chunk */
#define GAP					1.02	/* fragmentation of sealed windows */

PG_FUNCTION_INFO_V1(ms_estimate);

/* Microseconds of an interval; ERROR unless it is positive and has no months. */
static double
usecs_of(Interval *interval, const char *name)
{
	double		usecs = (double) interval->time + (double) interval->day * USECS_PER_DAY;

	if (interval->month != 0 || usecs <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be positive and must not contain months or years", name)));
	return usecs;
}

static void
require_positive(double value, const char *name)
{
	if (!(value > 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", name)));
}

/* Bytes of one series' chunk. */
static double
chunk_bytes(double rows, int nvalues, double value_bytes)
{
	double		blocks = ceil(rows / MS_BLOCK_ROWS);

	return MS_STORED_SIZE(0) + CHUNK_BYTES +
		blocks * (BLOCK_BYTES + BLOCK_VALUE_BYTES * nvalues) +
		rows * (TIME_BYTES + nvalues * value_bytes) +
		MS_UNIT / 2.0;			/* rounding */
}

/* series, interval, values, windows, chunk_interval, bytes_per_value (NULL: by the interval), bytes_per_series */
Datum
ms_estimate(PG_FUNCTION_ARGS)
{
	double		series;
	double		interval;
	int32		nvalues;
	double		windows;
	double		length;
	double		value_bytes;
	double		series_bytes;
	double		bytes;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) ||
		PG_ARGISNULL(3) || PG_ARGISNULL(4) || PG_ARGISNULL(6))
		PG_RETURN_NULL();
	series = (double) PG_GETARG_INT64(0);
	interval = usecs_of(PG_GETARG_INTERVAL_P(1), "interval");
	nvalues = PG_GETARG_INT32(2);
	windows = PG_GETARG_INT32(3);
	length = usecs_of(PG_GETARG_INTERVAL_P(4), "chunk_interval");
	value_bytes = PG_ARGISNULL(5) ?
		Max(VALUE_BYTES + VALUE_BYTES_LOG * log(interval / USECS_PER_SEC), VALUE_BYTES_LEAST) :
		PG_GETARG_FLOAT8(5);
	series_bytes = PG_GETARG_FLOAT8(6);

	require_positive(series, "series");
	require_positive(nvalues, "values");
	require_positive(windows, "windows");
	if (!(value_bytes >= 0) || !(series_bytes >= 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bytes per value and per series must not be negative")));

	bytes = series * series_bytes + series * windows *
		(sizeof(MsEntry) + chunk_bytes(Max(length / interval, 1), nvalues, value_bytes));
	bytes = ceil(bytes * GAP / MS_PAGE_SIZE + windows) * MS_PAGE_SIZE;
	if (!(bytes < (double) PG_INT64_MAX / 2))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the estimate is out of range")));
	PG_RETURN_INT64((int64) bytes);
}
