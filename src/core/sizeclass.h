/*-------------------------------------------------------------------------
 *
 * sizeclass.h
 *	  The object sizes the arena deals in.
 *
 * An object gets the smallest class that holds it: multiples of 16 bytes up
 * to 128, from there four classes to the doubling (160, 192, 224, 256, 320,
 * ...) up to 32 kB.  So the slack inside an object is below 16 bytes for
 * small ones and below a fifth for all others, about a tenth on average.
 * Forty classes are few enough that a group's counters per class stay at a
 * kilobyte, and many enough that a chunk which grows step by step is copied
 * about five times less often than with 16-byte steps.
 *
 * The classes are a function of the size alone.  They must not depend on who
 * allocates (a writer, a fold, a restore), nor on how full memory is: a
 * restored chunk has to land in the class it would have grown into.
 *
 * Sizes are counted in units of MS_UNIT bytes wherever that saves bits.
 *
 * Nothing here touches memory or needs a lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SIZECLASS_H
#define MS_SIZECLASS_H

#include "port/pg_bitutils.h"

#define MS_UNIT				16	/* bytes; alignment and grain of everything */
#define MS_LINEAR_CLASSES	8	/* 16, 32, ..., 128 bytes */
#define MS_NUM_CLASSES		40	/* ..., 28672, 32768 bytes */
#define MS_MAX_CLASS_UNITS	2048
#define MS_MAX_CLASS_SIZE	(MS_MAX_CLASS_UNITS * MS_UNIT)

/* Units needed for that many bytes. */
static inline Size
ms_size_units(Size size)
{
	return (size + MS_UNIT - 1) / MS_UNIT;
}

/* The class of an object of 1 .. MS_MAX_CLASS_UNITS units. */
static inline int
ms_class_of_units(uint32 units)
{
	int			k;

	Assert(units >= 1 && units <= MS_MAX_CLASS_UNITS);
	if (units <= MS_LINEAR_CLASSES)
		return (int) units - 1;

	/* 2^k < units <= 2^(k+1), cut into four steps of 2^(k-2) */
	k = pg_leftmost_one_pos32(units - 1);
	return MS_LINEAR_CLASSES + (k - 3) * 4 +
		(int) ((units - 1 - ((uint32) 1 << k)) >> (k - 2));
}

/* The size of a class's objects in units; cls is 0 .. MS_NUM_CLASSES - 1. */
static inline uint32
ms_class_units(int cls)
{
	int			k;
	int			j;

	Assert(cls >= 0 && cls < MS_NUM_CLASSES);
	if (cls < MS_LINEAR_CLASSES)
		return (uint32) cls + 1;
	k = 3 + (cls - MS_LINEAR_CLASSES) / 4;
	j = (cls - MS_LINEAR_CLASSES) % 4;
	return ((uint32) 1 << k) + ((uint32) (j + 1) << (k - 2));
}

#endif							/* MS_SIZECLASS_H */
