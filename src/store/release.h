/*-------------------------------------------------------------------------
 *
 * release.h
 *	  Giving memory of the segment back to the operating system.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_RELEASE_H
#define MS_RELEASE_H

#include "store/shmem.h"

/* setting, registered in guc.c */
extern bool ms_release_memory;	/* memseries.release_memory */

/* Some work on it, for the keeper to call once in each of its rounds.  Never fails; takes the arena's lock. */
extern void ms_release_some(TimestampTz now);

#endif							/* MS_RELEASE_H */
