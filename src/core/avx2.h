/*-------------------------------------------------------------------------
 *
 * avx2.h
 *	  May functions be compiled for AVX2, and has this processor got it?
 *
 * MS_AVX2 is defined where they may, and marks such a function.  Whoever calls
 * one asks ms_has_avx2() first, which takes a load and a branch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_AVX2_H
#define MS_AVX2_H

#if defined(__x86_64__) && defined(__GNUC__)
#define MS_AVX2 __attribute__((target("avx2")))
#endif

static inline bool
ms_has_avx2(void)
{
#ifdef MS_AVX2
	return __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

#endif							/* MS_AVX2_H */
