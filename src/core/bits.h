/*-------------------------------------------------------------------------
 *
 * bits.h
 *	  Bytes to numbers and back: little-endian loads, varints, zigzag.
 *
 * Everything the core stores is little-endian, whatever the machine, in
 * memory too, so that a chunk's bytes are its file's bytes.  These helpers
 * are the only ones that know the machine's byte order.
 *
 * Arithmetic on stored integers is modulo 2^64, on unsigned types, so that
 * hostile bytes give wrong numbers and never undefined behaviour.
 *
 * MsReader is the one reader for bytes of unknown origin.  It never moves
 * past its end: a read that would sets "bad", and that read and all later
 * ones give 0.  A caller may therefore read a whole header and look at
 * "bad" once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_BITS_H
#define MS_BITS_H

#define MS_VARINT_MAX	10		/* bytes of the longest varint */

static inline uint64
ms_le64(uint64 x)
{
#ifdef WORDS_BIGENDIAN
	return __builtin_bswap64(x);
#else
	return x;
#endif
}

/* Load eight bytes; p needs no alignment. */
static inline uint64
ms_load64(const uint8 *p)
{
	uint64		x;

	memcpy(&x, p, sizeof(x));
	return ms_le64(x);
}

static inline void
ms_store64(uint8 *p, uint64 x)
{
	x = ms_le64(x);
	memcpy(p, &x, sizeof(x));
}

/* Load or store the low "nbytes" (0 to 8) bytes of a number. */
static inline uint64
ms_load_bytes(const uint8 *p, int nbytes)
{
	uint64		x = 0;

	for (int i = 0; i < nbytes; i++)
		x |= (uint64) p[i] << (8 * i);
	return x;
}

static inline void
ms_store_bytes(uint8 *p, uint64 x, int nbytes)
{
	for (int i = 0; i < nbytes; i++)
		p[i] = (uint8) (x >> (8 * i));
}

/* The bits of a double and the double of bits, as PostgreSQL has them. */
static inline uint64
ms_double_bits(double d)
{
	uint64		x;

	memcpy(&x, &d, sizeof(x));
	return x;
}

static inline double
ms_bits_double(uint64 x)
{
	double		d;

	memcpy(&d, &x, sizeof(d));
	return d;
}

static inline uint32
ms_float_bits(float f)
{
	uint32		x;

	memcpy(&x, &f, sizeof(x));
	return x;
}

static inline float
ms_bits_float(uint32 x)
{
	float		f;

	memcpy(&f, &x, sizeof(f));
	return f;
}

/* Signed numbers as unsigned ones, small magnitudes first: 0, -1, 1, -2 ... */
static inline uint64
ms_zigzag(uint64 x)
{
	return (x << 1) ^ (uint64) ((int64) x >> 63);
}

static inline uint64
ms_unzigzag(uint64 z)
{
	return (z >> 1) ^ (0 - (z & 1));
}

/* Number of bits needed to write x: 0 for 0, 64 for the largest. */
static inline int
ms_bit_width(uint64 x)
{
	return x == 0 ? 0 : 64 - __builtin_clzll(x);
}

/* The low "width" bits, 0 to 64. */
static inline uint64
ms_low_bits(int width)
{
	return width >= 64 ? PG_UINT64_MAX : (UINT64CONST(1) << width) - 1;
}

/*
 * Varints: seven bits a byte, low ones first, the top bit says that more
 * follow.  At most ten bytes.
 */
static inline int
ms_varint_size(uint64 x)
{
	return x == 0 ? 1 : (ms_bit_width(x) + 6) / 7;
}

/* Write a varint; the caller has room for MS_VARINT_MAX.  Returns the end. */
static inline uint8 *
ms_put_varint(uint8 *p, uint64 x)
{
	while (x >= 0x80)
	{
		*p++ = (uint8) (x | 0x80);
		x >>= 7;
	}
	*p++ = (uint8) x;
	return p;
}

typedef struct MsReader
{
	const uint8 *p;				/* next byte; borrowed */
	const uint8 *end;			/* one past the last */
	bool		bad;			/* something was missing or malformed */
} MsReader;

static inline void
ms_reader_init(MsReader *r, const uint8 *p, const uint8 *end)
{
	r->p = p;
	r->end = end;
	r->bad = false;
}

static inline Size
ms_reader_left(const MsReader *r)
{
	return (Size) (r->end - r->p);
}

static inline void
ms_reader_fail(MsReader *r)
{
	r->bad = true;
	r->p = r->end;
}

static inline uint8
ms_get_byte(MsReader *r)
{
	if (unlikely(r->p >= r->end))
	{
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

/* Step over n bytes; returns where they are, or NULL. */
static inline const uint8 *
ms_get_bytes(MsReader *r, Size n)
{
	const uint8 *p = r->p;

	if (unlikely(ms_reader_left(r) < n))
	{
		ms_reader_fail(r);
		return NULL;
	}
	r->p += n;
	return p;
}

/* Eight bytes as a number. */
static inline uint64
ms_get_fixed64(MsReader *r)
{
	const uint8 *p = ms_get_bytes(r, 8);

	return p ? ms_load64(p) : 0;
}

/* A varint.  One that is longer than it needs to be is malformed. */
static inline uint64
ms_get_varint(MsReader *r)
{
	uint64		x = 0;

	if (likely(r->p < r->end && *r->p < 0x80))
		return *r->p++;
	if (likely(r->end - r->p >= 2 && (uint8) (r->p[1] - 1) < 0x7f))
	{
		x = (r->p[0] & 0x7f) | (uint64) r->p[1] << 7;
		r->p += 2;
		return x;
	}
	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8		b = ms_get_byte(r);

		if (shift == 63 && b > 1)
			break;
		x |= (uint64) (b & 0x7f) << shift;
		if (b < 0x80)
		{
			if (unlikely(b == 0 && shift > 0))
				break;
			return r->bad ? 0 : x;
		}
	}
	ms_reader_fail(r);
	return 0;
}

static inline uint64
ms_get_zigzag(MsReader *r)
{
	return ms_unzigzag(ms_get_varint(r));
}

#endif							/* MS_BITS_H */
