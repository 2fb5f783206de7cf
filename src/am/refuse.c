/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  What memseries does not do, and the statements that ask for it.
 *
 * An access method's callbacks are reached row by row, so that an UPDATE which
 * matches no row would pass, and EXPLAIN show a plan for it.  Statements are
 * refused when they are planned instead, by looking at the finished plan: there
 * all partitions and inheritors that remain are listed by name.
 *
 * The one exception are the row locks that foreign keys take (FOR KEY SHARE):
 * they protect rows that refer to another from being changed, which nobody can.
 *
 * Here is also the executor's hook which flushes pending rows before a statement
 * that may read them begins; write.c explains what for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "am/am.h"
#include "am/batch.h"

static planner_hook_type next_planner_hook = NULL;
static set_rel_pathlist_hook_type next_set_rel_pathlist_hook = NULL;
static ExecutorStart_hook_type next_ExecutorStart_hook = NULL;

/* ---- what is said ---- */

void
ms_refuse_index(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("memseries table \"%s\" cannot have indexes", relname),
			 errdetail("Samples are found by their labels and time without one."),
			 errhint("Leave the index out.")));
}

void
ms_refuse_constraint(const char *relname, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s constraints are not supported on memseries table \"%s\"", what, relname),
			 errdetail("They would need an index."),
			 errhint("Labels and time identify a sample anyway: writing one again replaces it.")));
}

void
ms_refuse_change(const char *relname, const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot %s memseries table \"%s\"",
					strcmp(command, "DELETE") == 0 ? "DELETE from" :
					strcmp(command, "MERGE") == 0 ? "MERGE into" : command, relname),
			 errdetail("Samples are only added, replaced, and removed by series and time."),
			 strcmp(command, "DELETE") == 0 ?
			 errhint("Use memseries.delete_samples, or TRUNCATE.") :
			 errhint("INSERT a sample with the same labels and time to replace it.")));
}

void
ms_refuse_row_lock(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot lock rows of memseries table \"%s\"", relname),
			 errdetail("FOR UPDATE and FOR SHARE need rows that can be updated."),
			 errhint("Use LOCK TABLE, or an advisory lock.")));
}

void
ms_refuse_tid(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot find rows of memseries table \"%s\" by ctid", relname),
			 errdetail("A sample's ctid says nothing about where it is."),
			 errhint("Use its labels and time.")));
}

void
ms_refuse_sample(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("TABLESAMPLE is not supported for memseries table \"%s\"", relname),
			 errdetail("Its rows do not lie in blocks that could be drawn at random."),
			 errhint("Use a condition with random().")));
}

void
ms_refuse_conflict(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("INSERT ... ON CONFLICT is not supported for memseries table \"%s\"", relname),
			 errdetail("There are no unique indexes that could be in conflict."),
			 errhint("A plain INSERT replaces the sample with the same labels and time.")));
}

void
ms_refuse_tablespace(const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot move memseries table \"%s\" to another tablespace", relname),
			 errdetail("Its data lives in memory, not in the tablespace."),
			 errhint("Leave it where it is.")));
}

/* ---- plans ---- */

bool
ms_is_memseries_oid(Oid relid)
{
	Oid			am = ms_am_oid();
	HeapTuple	tuple;
	bool		ours = false;

	if (!OidIsValid(am))
		return false;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		ours = form->relam == am && form->relkind != RELKIND_PARTITIONED_TABLE;
		ReleaseSysCache(tuple);
	}
	return ours;
}

Oid
ms_find_memseries_child(Oid relid)
{
	List	   *all;
	ListCell   *lc;

	if (ms_is_memseries_oid(relid))
		return relid;
	if (!OidIsValid(ms_am_oid()) || !has_subclass(relid))
		return InvalidOid;
	all = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, all)
	{
		if (ms_is_memseries_oid(lfirst_oid(lc)))
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

static const char *
command_name(CmdType command)
{
	switch (command)
	{
		case CMD_UPDATE:
			return "UPDATE";
		case CMD_DELETE:
			return "DELETE";
		default:
			return "MERGE";
	}
}

static void
check_modify(const PlannedStmt *stmt, const ModifyTable *modify)
{
	ListCell   *lc;

	if (modify->operation == CMD_INSERT && modify->onConflictAction == ONCONFLICT_NONE)
		return;
	foreach(lc, modify->resultRelations)
	{
		Oid			relid = rt_fetch(lfirst_int(lc), stmt->rtable)->relid;

		if (modify->operation == CMD_INSERT)
		{
			relid = ms_find_memseries_child(relid);
			if (OidIsValid(relid))
				ms_refuse_conflict(get_rel_name(relid));
		}
		else if (ms_is_memseries_oid(relid))
			ms_refuse_change(get_rel_name(relid), command_name(modify->operation));
	}
}

static void
check_row_marks(const PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rowMarks)
	{
		PlanRowMark *mark = lfirst_node(PlanRowMark, lc);
		Oid			relid;

		if (!RowMarkRequiresRowShareLock(mark->markType) || mark->isParent ||
			(mark->markType == ROW_MARK_KEYSHARE && InNoForceRLSOperation()))
			continue;
		relid = rt_fetch(mark->rti, stmt->rtable)->relid;
		if (ms_is_memseries_oid(relid))
			ms_refuse_row_lock(get_rel_name(relid));
	}
}

static PlannedStmt *
planner_hook_refuse(Query *parse, const char *query_string, int cursor_options,
					ParamListInfo params)
{
	PlannedStmt *stmt;
	ListCell   *lc;

	if (next_planner_hook)
		stmt = next_planner_hook(parse, query_string, cursor_options, params);
	else
		stmt = standard_planner(parse, query_string, cursor_options, params);

	if (stmt->rowMarks != NIL)
		check_row_marks(stmt);
	if (stmt->resultRelations != NIL)
	{
		if (IsA(stmt->planTree, ModifyTable))
			check_modify(stmt, (ModifyTable *) stmt->planTree);
		foreach(lc, stmt->subplans)
		{
			if (lfirst(lc) != NULL && IsA(lfirst(lc), ModifyTable))
				check_modify(stmt, (ModifyTable *) lfirst(lc));
		}
	}
	return stmt;
}

/* Is there a condition on the relation's ctid? */
static bool
looks_for_ctid(RelOptInfo *rel)
{
	Bitmapset  *attnos = NULL;

	pull_varattnos((Node *) extract_actual_clauses(rel->baserestrictinfo, false),
				   rel->relid, &attnos);
	return bms_is_member(SelfItemPointerAttributeNumber - FirstLowInvalidHeapAttributeNumber,
						 attnos);
}

/*
 * Sampling leaves no trace in the plan's range table, and conditions on ctid would
 * just match nothing, so both are noticed earlier.
 */
static void
pathlist_hook_refuse(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	if (next_set_rel_pathlist_hook)
		next_set_rel_pathlist_hook(root, rel, rti, rte);
	if (rte->rtekind != RTE_RELATION || !ms_is_memseries_oid(rte->relid))
		return;
	if (rte->tablesample != NULL)
		ms_refuse_sample(get_rel_name(rte->relid));
	if (rel->baserestrictinfo != NIL && looks_for_ctid(rel))
		ms_refuse_tid(get_rel_name(rte->relid));
}

/* ---- execution ---- */

/*
 * Might the statement, or a function it calls, read a table with a snapshot
 * taken now?  Functions of users are on the plan's list of what invalidates it.
 */
static bool
may_read(const PlannedStmt *stmt)
{
	ListCell   *lc;
	int			rti = 0;

	if (stmt->invalItems != NIL || stmt->commandType == CMD_UTILITY)
		return true;
	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		rti++;
		if (rte->rtekind == RTE_RELATION && !list_member_int(stmt->resultRelations, rti))
			return true;
	}
	return false;
}

static void
executor_start(QueryDesc *desc, int eflags)
{
	if (ms_batches != NULL && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 &&
		may_read(desc->plannedstmt))
		ms_write_flush(NULL);

	if (next_ExecutorStart_hook)
		next_ExecutorStart_hook(desc, eflags);
	else
		standard_ExecutorStart(desc, eflags);
}

void
ms_refuse_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = planner_hook_refuse;
	next_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = pathlist_hook_refuse;
	next_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
}
