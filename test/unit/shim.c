/*-------------------------------------------------------------------------
 *
 * shim.c
 *	  What the core needs from a server, for programs that have none.
 *
 * That is what a failed Assert calls.  LWLocks are in shim_lwlock.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef fprintf

/* The server dropped the second argument with version 16. */
#if PG_VERSION_NUM >= 160000
void
ExceptionalCondition(const char *condition, const char *file, int line)
#else
void
ExceptionalCondition(const char *condition, const char *type,
					 const char *file, int line)
#endif
{
#if PG_VERSION_NUM < 160000
	(void) type;
#endif
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}
