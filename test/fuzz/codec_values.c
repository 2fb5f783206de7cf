/*-------------------------------------------------------------------------
 *
 * codec_values.c (fuzz target)
 *	  Any values, times and integers go in and come out; any bytes go into
 *	  the decoders of single streams.
 *
 * Input: a byte with what to do, a byte with the number of values less one,
 * then the data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/timecodec.h"
#include "core/valuecodec.h"

static MsValueWork value_work;
static MsValueScratch scratch;
static MsTimeWork time_work;

static void
must(bool condition)
{
	if (!condition)
		abort();
}

/* Number i of the data, which repeats, each time with another offset. */
static uint64
number(const uint8 *data, size_t size, int i)
{
	uint8		bytes[8];

	for (int k = 0; k < 8; k++)
		bytes[k] = size > 0 ? data[((size_t) i * 8 + k) % size] : 0;
	return ms_load64(bytes);
}

static void
check_values(const double *v, const bool *nulls, int n, MsValueKind kind, bool quick)
{
	uint8	   *dst = malloc(MS_VALUE_BOUND(n));
	int			len = ms_value_encode(v, nulls, n, kind, quick, dst, &value_work);
	uint8	   *copy = malloc(len);
	double		out[MS_INT_MAX];
	bool		out_nulls[MS_INT_MAX];
	bool		has_nulls;
	MsSummary	s;
	int			count = 0;

	must(len > 0 && len <= MS_VALUE_BOUND(n));
	memcpy(copy, dst, len);
	must(ms_value_decode(copy, len, copy + len, n, out, out_nulls, &has_nulls, &scratch));
	for (int i = 0; i < n; i++)
	{
		bool		null = nulls != NULL && nulls[i];

		must((has_nulls && out_nulls[i]) == null);
		must(null || ms_double_bits(out[i]) == ms_double_bits(v[i]));
		count += !null;
	}
	must(ms_value_check(copy, len, copy + len, n, &scratch));
	must(ms_value_summary(copy, len, copy + len, n, &s, &scratch));
	must(s.count == count);
	if (count > 0)
	{
		MsSummary	want;

		memset(&want, 0, sizeof(want));
		for (int i = 0; i < n; i++)
		{
			if (nulls == NULL || !nulls[i])
				ms_summary_add(&want, &v[i], 1);
		}
		must(ms_double_bits(s.min) == ms_double_bits(want.min));
		must(ms_double_bits(s.max) == ms_double_bits(want.max));
		must(s.has_nan == want.has_nan);
	}
	free(copy);
	free(dst);
}

static void
check_times(const int64 *t, int n)
{
	uint8	   *dst = malloc(MS_TIME_BOUND(n));
	MsTimeGrid	grid;
	int			len = ms_time_encode(t, n, &grid, dst, &time_work);
	uint8	   *copy = malloc(len + 1);
	int64		out[MS_INT_MAX];

	must(len <= MS_TIME_BOUND(n));
	memcpy(copy, dst, len);
	must(ms_time_decode(copy, len, copy + len, n, &grid, t[0], t[n - 1], out));
	must(memcmp(out, t, sizeof(int64) * n) == 0);
	free(copy);
	free(dst);
}

static void
check_integers(uint64 *q, int n)
{
	uint8	   *dst = malloc(MS_INT_BOUND(n));
	uint8	   *copy;
	uint64		out[MS_INT_ROOM];
	int			len;
	MsReader	r;

	q[0] = 0;
	len = ms_int_encode(q, n, dst, &time_work.ints);
	must(len <= MS_INT_BOUND(n));
	copy = malloc(len + 1);
	memcpy(copy, dst, len);
	ms_reader_init(&r, copy, copy + len);
	must(ms_int_decode(&r, copy + len, n, out) && r.p == r.end);
	must(memcmp(out, q, sizeof(uint64) * n) == 0);
	free(copy);
	free(dst);
}

/* Each row alone must be as among others, if these are well-formed. */
static void
decode_alone(const uint8 *data, size_t size, int n, bool decoded, const double *out,
			 const bool *nulls)
{
	for (int i = 0; i < n; i++)
	{
		double		one;
		bool		isnull;
		bool		good = ms_value_decode_one(data, size, data + size, n, i, &one, &isnull);

		if (decoded)
			must(good && isnull == (nulls != NULL && nulls[i]) &&
				 ms_double_bits(one) == ms_double_bits(out[i]));
	}
}

/* The bytes as integers, together, as small ones, and alone. */
static void
decode_integers(const uint8 *data, size_t size, int n)
{
	uint64		q[MS_INT_ROOM];
	int32		narrow[MS_INT_ROOM];
	double		out[MS_INT_MAX];
	const MsNarrowMap same = {0, 1, 1};
	MsReader	all;
	MsReader	small;
	bool		decoded;

	ms_reader_init(&all, data, data + size);
	small = all;
	decoded = ms_int_decode(&all, data + size, n, q);
	if (ms_int_doubles_narrow(&small, data + size, n, narrow, &same, out))
	{
		must(decoded);
		for (int i = 0; i < n; i++)
			must((double) (int64) q[i] == out[i]);
	}
	for (int i = 0; i < n; i++)
	{
		MsReader	r;
		uint64		one;

		ms_reader_init(&r, data, data + size);
		must(ms_int_decode_one(&r, data + size, n, i, &one) == decoded);
		must(!decoded || (one == q[i] && r.p == all.p && r.bad == all.bad));
	}
}

/* The bytes as a stream. */
static void
decode_anything(const uint8 *data, size_t size, int n)
{
	double		out[MS_INT_MAX];
	bool		nulls[MS_INT_MAX];
	bool		has_nulls;
	int64		times[MS_INT_MAX];
	MsSummary	s;
	MsTimeGrid	grid;
	bool		valid = ms_value_check(data, size, data + size, n, &scratch);
	bool		decoded = ms_value_decode(data, size, data + size, n, out, nulls, &has_nulls, &scratch);

	must(decoded || !valid);
	decode_alone(data, size, n, decoded, out, decoded && has_nulls ? nulls : NULL);
	must(ms_value_summary(data, size, data + size, n, &s, &scratch) || !valid);
	memset(&grid, 0, sizeof(grid));
	grid.unit = n % MS_TIME_UNITS;
	grid.step = (uint64) n * 1000;
	(void) ms_time_decode(data, size, data + size, n, &grid, 0, n, times);
	decode_integers(data, size, n);
}

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	double		v[MS_INT_MAX];
	bool		nulls[MS_INT_MAX];
	int64		times[MS_INT_MAX];
	uint64		q[MS_INT_MAX];
	int			what;
	int			n;
	uint64		at;

	if (size < 2)
		return 0;
	what = data[0];
	n = data[1] + 1;
	data += 2;
	size -= 2;

	switch (what % 4)
	{
		case 0:
			decode_anything(data, size, n);
			break;
		case 1:
			for (int i = 0; i < n; i++)
			{
				uint64		x = number(data, size, i);

				/* bits, integers, decimals, floats */
				v[i] = (what & 0x30) == 0x00 ? ms_bits_double(x) :
					(what & 0x30) == 0x10 ? (double) ((int64) x >> (what & 0xc0) / 4) :
					(what & 0x30) == 0x20 ? (double) (int32) x / (x >> 32 & 1 ? 1e3 : 1e9) :
					ms_float4_widen(ms_bits_float((uint32) x));
				nulls[i] = (x >> 40 & 3) == 0;
			}
			check_values(v, (what & 4) ? nulls : NULL, n,
						 (what & 0x30) == 0x30 ? MS_FLOAT4 : MS_FLOAT8,
						 (what & 8) && n < MS_TAIL_ROWS);
			break;
		case 2:
			at = number(data, size, 0);
			for (int i = 0; i < n; i++)
			{
				uint64		x = number(data, size, i + 1);

				times[i] = (int64) at;
				at += 1 + (x >> (what >> 2));
				if (i > 0 && times[i] <= times[i - 1])
					return 0;
			}
			check_times(times, n);
			break;
		default:
			for (int i = 0; i < n; i++)
				q[i] = (uint64) ((int64) number(data, size, i) >> (what >> 2));
			check_integers(q, n);
			break;
	}
	return 0;
}
