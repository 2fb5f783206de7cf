/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  Statements that change a table's definition.
 *
 * Some of what memseries cannot do would be refused by a callback only after much
 * work, in words about something else, or not at all (CREATE INDEX CONCURRENTLY
 * leaves an invalid index behind).  Such statements are refused before they run.
 *
 * The rules for columns hold for what a statement leaves behind, however it got
 * there: ALTER TABLE has many parts, and may reach a table through its parent.
 * So tables are looked at again after the statement, which an error then undoes.
 *
 * New columns get their slots in the store on this occasion, too, so that WAL
 * tells standbys of them before it tells of the statement's commit.
 *
 * The tables are looked up here by name without a lock; should the name mean
 * another table by the time the statement runs, the callbacks are still there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/batch.h"

static ProcessUtility_hook_type next_ProcessUtility_hook = NULL;

/* ---- before ---- */

/* The constraint as the user calls it, or NULL if it needs no index. */
static const char *
index_constraint(ConstrType type)
{
	switch (type)
	{
		case CONSTR_PRIMARY:
			return "primary key";
		case CONSTR_UNIQUE:
			return "unique";
		case CONSTR_EXCLUSION:
			return "exclusion";
		default:
			return NULL;
	}
}

/* The memseries table an index on this relation would concern, or InvalidOid. */
static Oid
indexed_table(Oid relid, bool recurse)
{
	if (ms_is_memseries_oid(relid))
		return relid;
	if (recurse && get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return ms_find_memseries_child(relid);
	return InvalidOid;
}

static void
check_index(const IndexStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);

	if (OidIsValid(relid))
		relid = indexed_table(relid, stmt->relation->inh);
	if (!OidIsValid(relid))
		return;
	if (stmt->primary)
		ms_refuse_constraint(get_rel_name(relid), "primary key");
	if (stmt->isconstraint)
		ms_refuse_constraint(get_rel_name(relid),
							 stmt->excludeOpNames != NIL ? "exclusion" : "unique");
	ms_refuse_index(get_rel_name(relid));
}

static void
check_constraints(Oid relid, List *constraints)
{
	ListCell   *lc;

	foreach(lc, constraints)
	{
		const char *what = index_constraint(lfirst_node(Constraint, lc)->contype);

		if (what)
			ms_refuse_constraint(get_rel_name(relid), what);
	}
}

static bool
has_indexes(Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	bool		has;

	if (rel == NULL)
		return false;
	has = rel->rd_rel->relkind != RELKIND_INDEX && RelationGetIndexList(rel) != NIL;
	relation_close(rel, AccessShareLock);
	return has;
}

/* One part of ALTER TABLE, on a table or a partitioned table. */
static void
check_alter_cmd(Oid relid, const AlterTableCmd *cmd, bool recurse)
{
	Oid			concerned;

	switch (cmd->subtype)
	{
		case AT_SetTableSpace:
			if (ms_is_memseries_oid(relid))
				ms_refuse_tablespace(get_rel_name(relid));
			break;
		case AT_AddConstraint:
			concerned = indexed_table(relid, recurse);
			if (OidIsValid(concerned))
				check_constraints(concerned, list_make1(cmd->def));
			break;
		case AT_AddColumn:
			concerned = indexed_table(relid, recurse);
			if (OidIsValid(concerned))
				check_constraints(concerned, castNode(ColumnDef, cmd->def)->constraints);
			break;
		case AT_SetAccessMethod:
			if (cmd->name && OidIsValid(ms_am_oid()) &&
				get_table_am_oid(cmd->name, true) == ms_am_oid() &&
				get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE && has_indexes(relid))
				ms_refuse_index(get_rel_name(relid));
			break;
		default:
			break;
	}
}

static void
check_alter(const AlterTableStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, stmt->cmds)
		check_alter_cmd(relid, lfirst_node(AlterTableCmd, lc), stmt->relation->inh);
}

/* What memseries tables write cannot be decoded, so subscribers would miss it silently. */
static void
check_publication(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		PublicationObjSpec *spec = lfirst_node(PublicationObjSpec, lc);
		Oid			relid;

		if (spec->pubobjtype != PUBLICATIONOBJ_TABLE || spec->pubtable == NULL)
			continue;
		relid = RangeVarGetRelid(spec->pubtable->relation, NoLock, true);
		if (OidIsValid(relid) && ms_is_memseries_oid(relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot publish memseries table \"%s\"", get_rel_name(relid)),
					 errdetail("Logical replication does not see what is written to it."),
					 errhint("Publish an ordinary table, and fill both.")));
	}
}

static void
check_before(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_IndexStmt:
			check_index((IndexStmt *) stmt);
			break;
		case T_AlterTableStmt:
			check_alter((AlterTableStmt *) stmt);
			break;
		case T_CreatePublicationStmt:
			check_publication(((CreatePublicationStmt *) stmt)->pubobjects);
			break;
		case T_AlterPublicationStmt:
			if (((AlterPublicationStmt *) stmt)->action != AP_DropObjects)
				check_publication(((AlterPublicationStmt *) stmt)->pubobjects);
			break;
		case T_CopyStmt:
			/* its rows get a batch of their own: see write.c */
			if (((CopyStmt *) stmt)->is_from)
				ms_write_flush(NULL);
			break;
		default:
			break;
	}
}

/* ---- after ---- */

/* Foreign keys may check, but not change, the rows of a memseries table. */
static void
check_foreign_keys(Relation rel)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->contype != CONSTRAINT_FOREIGN)
			continue;
		if ((con->confupdtype != FKCONSTR_ACTION_NOACTION &&
			 con->confupdtype != FKCONSTR_ACTION_RESTRICT) ||
			(con->confdeltype != FKCONSTR_ACTION_NOACTION &&
			 con->confdeltype != FKCONSTR_ACTION_RESTRICT))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("foreign key \"%s\" of memseries table \"%s\" cannot change its rows",
							NameStr(con->conname), RelationGetRelationName(rel)),
					 errdetail("CASCADE, SET NULL and SET DEFAULT need UPDATE or DELETE, which memseries tables do not have."),
					 errhint("Use NO ACTION or RESTRICT.")));
	}
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
}

/*
 * Storage has one time per row, whatever column shows it.  So another column cannot take over from the one the
 * rows were written with, unless they were rewritten.
 */
static void
check_time(Relation rel)
{
	const MsRelDesc *desc = ms_reldesc(rel);
	MsSlot	   *slots = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	int			n = desc->table ? ms_table_get_slots(desc->table, slots, MS_MAX_SLOTS) : 0;
	int			i = 0;

	while (i < n && slots[i].role != MS_ROLE_TIME)
		i++;
	if (i < n && slots[i].attnum != desc->time_att)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replace the time column of memseries table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("The times of its rows belong to that column."),
				 errhint("Use ALTER TABLE ... RENAME COLUMN, or ALTER COLUMN ... TYPE ... USING.")));
	pfree(slots);
}

/* Tables made OF a composite type change with it. */
static List *
typed_tables(Oid relid)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_reloftype, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(get_rel_type_id(relid)));
	scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend_oid(result, ((Form_pg_class) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

/* Do the tables this statement has changed or made still follow the rules? */
static void
check_after(Oid relid)
{
	List	   *all;
	ListCell   *lc;

	CommandCounterIncrement();
	if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		all = typed_tables(relid);
	else if (has_subclass(relid))
		all = find_all_inheritors(relid, NoLock, NULL);
	else
		all = list_make1_oid(relid);
	foreach(lc, all)
	{
		Relation	rel;

		if (!ms_is_memseries_oid(lfirst_oid(lc)))
			continue;
		rel = try_relation_open(lfirst_oid(lc), AccessShareLock);
		if (rel == NULL)
			continue;
		ms_check_columns(RelationGetDescr(rel), RelationGetRelationName(rel));
		check_time(rel);		/* also gives new columns their slots */
		if (rel->rd_rel->relhastriggers)
			check_foreign_keys(rel);
		relation_close(rel, NoLock);
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	RangeVar   *changed = NULL;

	check_before(stmt);
	if (IsA(stmt, AlterTableStmt))
		changed = ((AlterTableStmt *) stmt)->relation;
	else if (IsA(stmt, CreateStmt))
		changed = ((CreateStmt *) stmt)->relation;

	if (next_ProcessUtility_hook)
		next_ProcessUtility_hook(pstmt, query, read_only_tree, context, params, env,
								 dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env,
								dest, qc);

	if (changed != NULL && OidIsValid(ms_am_oid()))
	{
		Oid			relid = RangeVarGetRelid(changed, NoLock, true);

		if (OidIsValid(relid))
			check_after(relid);
	}
}

void
ms_ddl_init(void)
{
	next_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
