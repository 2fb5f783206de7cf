/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the server versions memseries supports (15 to 18).
 *
 * This is the only file that looks at PG_VERSION_NUM.  Everything else is
 * written against the newest names; here the older servers are brought up to
 * them.  Differences in callback signatures that cannot be papered over with
 * a macro are expressed as MS_HAVE_xxx feature names, so that the places that
 * need them say what they need and not which version brought it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_COMPAT_H
#define MS_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "memseries needs PostgreSQL 15 or later"
#endif

/* 16 renamed relfilenode to relfilenumber and RelFileNode to RelFileLocator */
#if PG_VERSION_NUM >= 160000
#include "storage/relfilelocator.h"
#define ms_rel_locator(rel)		((rel)->rd_locator)
#define MS_HAVE_RELFILELOCATOR	1
#else
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
typedef Oid RelFileNumber;

#define spcOid					spcNode
#define dbOid					dbNode
#define relNumber				relNode
#define ms_rel_locator(rel)		((rel)->rd_node)
#define RelFileLocatorEquals(a, b)	RelFileNodeEquals(a, b)
#endif

/* 17 renamed the number of backends' "invalid" value */
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#else
#define INVALID_PROC_NUMBER		InvalidBackendId
#endif

/* 18 moved what prints EXPLAIN's properties to headers of its own */
#if PG_VERSION_NUM >= 180000
#define MS_HAVE_EXPLAIN_FORMAT	1
#endif

#endif							/* MS_COMPAT_H */
