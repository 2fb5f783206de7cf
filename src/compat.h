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
#define ms_rel_new_storage(rel)	((rel)->rd_newRelfilelocatorSubid)
#define MS_HAVE_RELFILELOCATOR	1
#else
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
typedef Oid RelFileNumber;

#define spcOid					spcNode
#define dbOid					dbNode
#define relNumber				relNode
#define ms_rel_locator(rel)		((rel)->rd_node)
#define ms_rel_new_storage(rel)	((rel)->rd_newRelfilenodeSubid)
#define RelFileLocatorEquals(a, b)	RelFileNodeEquals(a, b)
#define relation_set_new_filelocator	relation_set_new_filenode
#endif

/* 16 moved the macros of variable-length types out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 has one function to check ownership of anything; callers include utils/acl.h and catalog/pg_class.h */
#if PG_VERSION_NUM >= 160000
#define ms_owns_relation(relid, role)	object_ownercheck(RelationRelationId, relid, role)
#else
#define ms_owns_relation(relid, role)	pg_class_ownercheck(relid, role)
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

/* 17 can ask for a lock by OID; before, the relation had to be open */
#if PG_VERSION_NUM >= 170000
#include "storage/lmgr.h"
#define ms_relation_locked_exclusively(relid) \
	CheckRelationOidLockedByMe(relid, AccessExclusiveLock, true)
#else
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "miscadmin.h"
static inline bool
ms_relation_locked_exclusively(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	return LockHeldByMe(&tag, AccessExclusiveLock);
}
#endif

/* 17 feeds ANALYZE its blocks by a stream; 18 reports more about VACUUM */
#if PG_VERSION_NUM >= 170000
#include "storage/read_stream.h"
#define MS_HAVE_READ_STREAM		1
#else
typedef struct ReadStream ReadStream;
#endif
#if PG_VERSION_NUM >= 180000
#define MS_HAVE_VACUUM_TIMES	1
#define MS_HAVE_FROZEN_PAGES	1
#define MS_HAVE_PHS_LOCATOR		1
#endif

/* 16 tells callers of tuple_update which indexes to update */
#if PG_VERSION_NUM >= 160000
#include "access/tableam.h"
typedef TU_UpdateIndexes MsUpdateIndexes;
#else
typedef bool MsUpdateIndexes;
#endif

/* 18 writes "pg_noreturn" in front of a function */
#if PG_VERSION_NUM < 180000
#define pg_noreturn				pg_attribute_noreturn()
#endif

/* 18 has generated columns that are not stored */
#if PG_VERSION_NUM >= 180000
#define ms_attribute_is_virtual(att) \
	((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define ms_attribute_is_virtual(att)	((void) (att), false)
#endif

/* 16 forgot about outer joins here */
#if PG_VERSION_NUM >= 160000
#define ms_build_expression_pathkey(root, expr, opno, relids) \
	build_expression_pathkey(root, expr, opno, relids, false)
#else
#define ms_build_expression_pathkey(root, expr, opno, relids) \
	build_expression_pathkey(root, expr, NULL, opno, relids, false)
#endif

/* 17 moved a process's local transaction id */
#if PG_VERSION_NUM >= 170000
#define ms_my_lxid				(MyProc->vxid.lxid)
#else
#define ms_my_lxid				(MyProc->lxid)
#endif

/* 17 lets extensions name what they wait for; callers include utils/wait_event.h */
#if PG_VERSION_NUM >= 170000
#define MS_HAVE_WAIT_EVENTS		1
#endif

/* 18 renamed what the startup process calls between records; callers include postmaster/startup.h */
#if PG_VERSION_NUM >= 180000
#define ms_startup_interrupts()	ProcessStartupProcInterrupts()
#else
#define ms_startup_interrupts()	HandleStartupProcInterrupts()
#endif

/* 17 renamed the structure that tells the oldest xid the commit log knows */
#if PG_VERSION_NUM >= 170000
#define ms_oldest_clog_xid()	(TransamVariables->oldestClogXid)
#else
#define ms_oldest_clog_xid()	(ShmemVariableCache->oldestClogXid)
#endif

/* 16 keeps the GROUP BY clause without what is redundant apart from the query's */
#if PG_VERSION_NUM >= 160000
#define ms_group_clause(root)	((root)->processed_groupClause)
#else
#define ms_group_clause(root)	((root)->parse->groupClause)
#endif

/* 18 describes the direction of an ordering without btree's numbers */
#if PG_VERSION_NUM >= 180000
#define ms_pathkey_is_descending(pathkey)	((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define ms_pathkey_is_descending(pathkey)	((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* 18 copies minimal tuples with room before them */
#if PG_VERSION_NUM >= 180000
#define MS_EXTRA_PARAMETER		, Size extra
#define MS_EXTRA_ARGUMENT		, extra
#else
#define MS_EXTRA_PARAMETER
#define MS_EXTRA_ARGUMENT
#endif

#endif							/* MS_COMPAT_H */
