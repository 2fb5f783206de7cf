/*-------------------------------------------------------------------------
 *
 * valueform.h
 *	  The layout of a column's stream: shared by the encoder (valuecodec.c)
 *	  and the decoder (valuedecode.c), and by nobody else.
 *
 * A stream holds up to 256 values of one column:
 *
 *	byte		bits 0-3 form, bit 4 nulls, bit 5 specials, bit 6 summary,
 *				bit 7 factor
 *	set			which rows are null, if bit 4; only the others are stored
 *	...			what the form says
 *	specials	if bit 5: a set of values, then how they are stored, which
 *				replace what the form gave: NaN, infinities, -0.0, and what
 *				else is no number of the form's kind
 *
 * Forms without integers:
 *
 *	NULLS		nothing (and no set): all rows are null
 *	CONST_INT	zigzag m: all values are m
 *	CONST_DEC	byte e, zigzag m: all values are m / 10^e
 *	CONST_NAN	nothing: all values are the NaN that PostgreSQL makes
 *	CONST_RAW	8 bytes: all values are this double
 *	RAW8		8 bytes for each value
 *	RAW4		4 bytes for each value, a float
 *	RAW_INT		byte 1, 2 or 4, and that many bytes for each value, an integer
 *
 * Forms with integers m[i] = first + factor * q[i], q as in intcodec.c:
 *
 *	INT			value = m
 *	DEC			value = m / 10^e
 *	DEC4		value = (float) (m / 10^e)
 *	POW2		value = m * 2^k
 *	ULP			value = the double that is c steps above m / 10^e, for
 *				numbers that were decimals before they were added up
 *	BITS		value = the double whose ordered bits are m
 *	BITS4		value = the float whose ordered bits are m
 *
 *	byte e or zigzag k, where the form has one
 *	first		zigzag; of BITS 8 bytes
 *	factor		varint, if bit 7, else 1
 *	summary		if bit 6.  Of INT and DEC without specials three varints:
 *				-min q, max q, and zigzag of the sum of all q less
 *				count * (min + max) / 2; else min, max, sum as three doubles
 *	integers	q
 *	ULP only:	zigzag of the first c, integers c - first c
 *
 * In INT, DEC and DEC4 every |m| is below 2^51, so that m becomes a double by
 * adding a constant, and dividing by an exact power of ten (up to 10^22 are)
 * gives the double nearest to the decimal, as reading the decimal does.
 *
 * A set of numbers below n is a byte and: 0, a bitmap of n bits; 1, a byte
 * with their count less one and a byte for each, rising; 2, a byte with the
 * count of runs less one and for each run its first number and its length
 * less one.
 *
 * Specials after the set: a byte; 0, then 8 bytes each; 1, then 8 bytes for
 * all; 2, all are the NaN that PostgreSQL makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_VALUEFORM_H
#define MS_VALUEFORM_H

#include "core/valuecodec.h"

/* These numbers are in files. */
typedef enum Form
{
	FORM_NULLS = 0,
	FORM_CONST_INT = 1,
	FORM_CONST_DEC = 2,
	FORM_CONST_NAN = 3,
	FORM_CONST_RAW = 4,
	FORM_RAW8 = 5,
	FORM_RAW4 = 6,
	FORM_RAW_INT = 7,
	FORM_INT = 8,
	FORM_DEC = 9,
	FORM_DEC4 = 10,
	FORM_POW2 = 11,
	FORM_ULP = 12,
	FORM_BITS = 13,
	FORM_BITS4 = 14
} Form;

StaticAssertDecl(FORM_CONST_RAW == 4 && FORM_INT == 8 && FORM_BITS4 == 14,
				 "forms are in files");

#define FORM_MASK		0x0f
#define FLAG_NULLS		0x10
#define FLAG_SPECIALS	0x20
#define FLAG_SUMMARY	0x40
#define FLAG_FACTOR		0x80

#define SET_BITMAP		0
#define SET_LIST		1
#define SET_RUNS		2

#define SPECIALS_RAW	0
#define SPECIALS_SAME	1
#define SPECIALS_NAN	2

/* The NaN of PostgreSQL's get_float8_nan(). */
#define NAN_BITS		UINT64CONST(0x7ff8000000000000)
#define MINUS_ZERO_BITS UINT64CONST(0x8000000000000000)

#define MAX_DECIMALS	18		/* the largest e */
#define MAX_EXACT		2251799813685248.0	/* 2^51 */

/* Adding this to an integer below 2^51 leaves it in the mantissa. */
#define MAGIC			6755399441055744.0	/* 1.5 * 2^52 */
#define MAGIC_BITS		UINT64CONST(0x4338000000000000)

static const double powers_of_ten[MAX_DECIMALS + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18
};

/*
 * A double's bits as an integer that is ordered as doubles are, and back
 * (the same function).  Likewise a float's.
 */
static inline uint64
ordered_bits(uint64 bits)
{
	return bits ^ ((uint64) ((int64) bits >> 63) >> 1);
}

static inline uint32
ordered_bits4(uint32 bits)
{
	return bits ^ ((uint32) ((int32) bits >> 31) >> 1);
}

/* An integer below 2^51 as a double. */
static inline double
exact_double(uint64 m)
{
	return ms_bits_double(m + MAGIC_BITS) - MAGIC;
}

/* 2^k as a double; -1022 <= k <= 1023. */
static inline double
power_of_two(int k)
{
	return ms_bits_double((uint64) (k + 1023) << 52);
}

/* The sum of count values whose integers add up to "total". */
static inline double
decimal_sum(uint64 total, int decimals)
{
	return (double) (int64) total / powers_of_ten[decimals];
}

#endif							/* MS_VALUEFORM_H */
