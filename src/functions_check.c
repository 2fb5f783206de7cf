/*-------------------------------------------------------------------------
 *
 * functions_check.c
 *	  SQL function check: is the memory of tables what it should be?
 *
 * What amcheck is to indexes this is to memseries: it looks at everything,
 * repairs nothing, and returns a row per problem, so that no rows mean that
 * all is well.  A problem means a bug, or memory gone bad.
 *
 * Of the arena as a whole it checks the page table; of each table what
 * store/check.h says.  Without an argument all tables of this database are
 * checked; those of others only as far as the arena goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "am/reldesc.h"
#include "functions.h"
#include "store/check.h"

PG_FUNCTION_INFO_V1(ms_check);

/* Where problems go. */
typedef struct Found
{
	ReturnSetInfo *rsinfo;
	Oid			relid;			/* InvalidOid: no table */
} Found;

static void
report(void *arg, const char *problem)
{
	Found	   *found = arg;
	Datum		values[2];
	bool		nulls[2] = {false};

	values[0] = ObjectIdGetDatum(found->relid);
	nulls[0] = !OidIsValid(found->relid);
	values[1] = CStringGetTextDatum(problem);
	tuplestore_putvalues(found->rsinfo->setResult, found->rsinfo->setDesc, values, nulls);
}

static void
check_arena(Found *found)
{
	const char *why = "unknown reason";

	found->relid = InvalidOid;
	if (!ms_arena_is_valid(ms_store->arena, &why))
		report(found, psprintf("memory is not valid: %s", why));
}

static void
check_relation(Found *found, Relation rel)
{
	MsTable    *table = ms_reldesc(rel)->table;

	found->relid = RelationGetRelid(rel);
	if (table != NULL)
		ms_check_table(table, report, found);
}

/* OIDs of all memseries tables of this database. */
static List *
all_tables(void)
{
	Oid			am = ms_am_oid();
	List	   *result = NIL;
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relam == am && OidIsValid(form->relfilenode))
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

/* check(relation) -> problems; NULL: of everything */
Datum
ms_check(PG_FUNCTION_ARGS)
{
	Found		found = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only superusers may call memseries.check")));

	InitMaterializedSRF(fcinfo, 0);
	check_arena(&found);
	if (!PG_ARGISNULL(0))
	{
		Relation	rel = ms_open_table(PG_GETARG_OID(0), AccessShareLock);

		check_relation(&found, rel);
		relation_close(rel, AccessShareLock);
	}
	else
	{
		ListCell   *cell;

		foreach(cell, all_tables())
		{
			Relation	rel = try_relation_open(lfirst_oid(cell), AccessShareLock);

			if (rel == NULL)
				continue;		/* dropped meanwhile */
			if (ms_is_memseries_rel(rel))
				check_relation(&found, rel);
			relation_close(rel, AccessShareLock);
		}
	}
	return (Datum) 0;
}
