/*-------------------------------------------------------------------------
 *
 * intform.h
 *	  The layout of a block of integers: shared by the encoder (intcodec.c) and
 *	  the decoder (intdecode.c), and by nobody else.
 *
 * A block stores q[0] = 0, q[1], ... q[n-1] (the caller subtracts the first
 * value and keeps it).  It stores residuals, by one of three orders:
 *
 *	0 (frame of reference)	r[i] = q[i]				i = 1 .. n-1
 *	1 (delta)				r[i] = q[i] - q[i-1]	i = 1 .. n-1
 *	2 (delta of delta)		r[i] = difference of the last two deltas,
 *													i = 2 .. n-1
 *
 * Most residuals lie in a narrow window [base, base + 2^width); each is
 * stored as its low "width" bits above base.  Those outside (a counter's
 * reset, a late scrape) are patched: the bits above the low ones are kept in
 * a list.  That is what makes the cost of an outlier a few bytes instead of
 * a wider block.
 *
 * Layout, all little-endian:
 *
 *	byte		bits 0-1 order, bit 2 patched, bits 3-7 width,
 *				31: the width is the next byte, 31 .. 64
 *	zigzag		first delta, order 2 only
 *	zigzag		base
 *	bits		width bits for each residual, without gaps
 *	if patched:
 *	varint		number of patches, times two, plus one if packed
 *	bytes		one for each patched residual's number, rising; or, if that
 *				is shorter, a bitmap of all residuals
 *	values		one for each: varints; or, if packed, a byte with their width
 *				and that many bits each.  zigzag(bits above the low ones) - 1
 *
 * A block of one integer takes no bytes.  The bits are one stream without
 * padding; unpack.c reads it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_INTFORM_H
#define MS_INTFORM_H

#include "core/intcodec.h"

#define ORDER_MASK		0x03
#define FLAG_PATCHED	0x04
#define WIDTH_SHIFT		3
#define WIDTH_ESCAPE	31

#endif							/* MS_INTFORM_H */
