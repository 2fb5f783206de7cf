/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The table access method: what the server calls for a memseries table.
 *
 * This file only says which function serves which callback; the work is done in
 * scan.c, write.c, rewrite.c and analyze.c.  Callbacks for what memseries does not
 * do refuse it.  Most of that is refused earlier with better knowledge of the
 * statement (refuse.c, ddl.c); what stands here is the net below, for statements
 * that reach a table by a way nobody thought of.
 *
 * Slots are virtual ones but for one thing: a heap tuple made of one carries the
 * row's tid, by which ANALYZE sorts its sample.
 *
 * A table of memseries has no indexes, so index callbacks are never reached but
 * by building one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "catalog/index.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/batch.h"
#include "am/configure.h"
#include "am/options.h"
#include "am/refetch.h"
#include "am/rowslot.h"

PG_FUNCTION_INFO_V1(ms_table_handler);

ms_refetch_function ms_refetch_hook = NULL;

/* ---- slots ---- */

const TupleTableSlotOps *
ms_slot_callbacks(Relation rel)
{
	return ms_rowslot_ops();
}

/* ---- rows by tid ---- */

static bool
tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
						TupleTableSlot *slot)
{
	if (ms_tid_is_own(tid))
		return ms_write_fetch(rel, tid, slot);

	/*
	 * A statement that changes another table, and found that somebody else
	 * had changed a row there meanwhile, wants to look at our row again.
	 * Custom scans can do that.
	 */
	if (ms_refetch_hook && ms_refetch_hook(rel, tid, slot))
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not read a row of memseries table \"%s\" again after a concurrent update",
					RelationGetRelationName(rel)),
			 errdetail("Rows of memseries tables have no place by which to find them again."),
			 errhint("The transaction might succeed if retried.")));
}

static bool
tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	return false;
}

static void
tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
	ms_refuse_tid(RelationGetRelationName(scan->rs_rd));
}

/* Asked by foreign keys about a row just fetched: nothing can have changed it. */
static bool
tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	return true;
}

/*
 * Foreign keys lock the rows that refer to one about to go.  There they find
 * out that there are such rows, and that is all they need: rows are neither
 * updated nor deleted by tid.
 */
static TM_Result
tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
		   CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy,
		   uint8 flags, TM_FailureData *tmfd)
{
	if (mode != LockTupleKeyShare)
		ms_refuse_row_lock(RelationGetRelationName(rel));
	tmfd->traversed = false;
	return TM_Ok;
}

/* ---- changing rows ---- */

static void
tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
			 BulkInsertState bistate)
{
	ms_write_row(rel, slot, cid);
}

static void
multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid,
			 int options, BulkInsertState bistate)
{
	for (int i = 0; i < nslots; i++)
		ms_write_row(rel, slots[i], cid);
}

static void
tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid,
						 int options, BulkInsertState bistate, uint32 token)
{
	ms_refuse_conflict(RelationGetRelationName(rel));
}

static void
tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token,
						   bool succeeded)
{
	ms_refuse_conflict(RelationGetRelationName(rel));
}

static TM_Result
tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
			 Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	ms_refuse_change(RelationGetRelationName(rel), "DELETE");
}

static TM_Result
tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId cid,
			 Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
			 LockTupleMode *lockmode, MsUpdateIndexes *update_indexes)
{
	ms_refuse_change(RelationGetRelationName(rel), "UPDATE");
}

/* ---- indexes ---- */

static IndexFetchTableData *
index_fetch_begin(Relation rel)
{
	ms_refuse_index(RelationGetRelationName(rel));
}

static void
index_fetch_reset(IndexFetchTableData *data)
{
}

static void
index_fetch_end(IndexFetchTableData *data)
{
}

static bool
index_fetch_tuple(IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
				  TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	ms_refuse_index(RelationGetRelationName(data->rel));
}

static TransactionId
index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	ms_refuse_index(RelationGetRelationName(rel));
}

static double
index_build_range_scan(Relation rel, Relation index, IndexInfo *info, bool allow_sync,
					   bool anyvisible, bool progress, BlockNumber start,
					   BlockNumber numblocks, IndexBuildCallback callback,
					   void *callback_state, TableScanDesc scan)
{
	ms_refuse_index(RelationGetRelationName(rel));
}

static void
index_validate_scan(Relation rel, Relation index, IndexInfo *info, Snapshot snapshot,
					ValidateIndexState *state)
{
	ms_refuse_index(RelationGetRelationName(rel));
}

/* ---- storage ---- */

/* Only SET TABLESPACE copies storage as it is. */
static void
relation_copy_data(Relation rel, const RelFileLocator *locator)
{
	ms_refuse_tablespace(RelationGetRelationName(rel));
}

static bool
relation_needs_toast_table(Relation rel)
{
	return false;
}

static bool
scan_sample_next_block(TableScanDesc scan, struct SampleScanState *state)
{
	ms_refuse_sample(RelationGetRelationName(scan->rs_rd));
}

static bool
scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *state,
					   TupleTableSlot *slot)
{
	ms_refuse_sample(RelationGetRelationName(scan->rs_rd));
}

static const TableAmRoutine methods = {
	.type = T_TableAmRoutine,

	.slot_callbacks = ms_slot_callbacks,

	.scan_begin = ms_scan_begin,
	.scan_end = ms_scan_end,
	.scan_rescan = ms_scan_rescan,
	.scan_getnextslot = ms_scan_getnextslot,

	.parallelscan_estimate = ms_parallelscan_estimate,
	.parallelscan_initialize = ms_parallelscan_initialize,
	.parallelscan_reinitialize = ms_parallelscan_reinitialize,

	.index_fetch_begin = index_fetch_begin,
	.index_fetch_reset = index_fetch_reset,
	.index_fetch_end = index_fetch_end,
	.index_fetch_tuple = index_fetch_tuple,
	.index_delete_tuples = index_delete_tuples,
	.index_build_range_scan = index_build_range_scan,
	.index_validate_scan = index_validate_scan,

	.tuple_fetch_row_version = tuple_fetch_row_version,
	.tuple_tid_valid = tuple_tid_valid,
	.tuple_get_latest_tid = tuple_get_latest_tid,
	.tuple_satisfies_snapshot = tuple_satisfies_snapshot,
	.tuple_lock = tuple_lock,

	.tuple_insert = tuple_insert,
	.multi_insert = multi_insert,
	.tuple_insert_speculative = tuple_insert_speculative,
	.tuple_complete_speculative = tuple_complete_speculative,
	.tuple_delete = tuple_delete,
	.tuple_update = tuple_update,

	.relation_set_new_filelocator = ms_relation_set_new_filelocator,
	.relation_nontransactional_truncate = ms_relation_nontransactional_truncate,
	.relation_copy_data = relation_copy_data,
	.relation_copy_for_cluster = ms_relation_copy_for_cluster,
	.relation_vacuum = ms_relation_vacuum,

	.scan_analyze_next_block = ms_scan_analyze_next_block,
	.scan_analyze_next_tuple = ms_scan_analyze_next_tuple,

	.relation_size = ms_relation_size,
	.relation_needs_toast_table = relation_needs_toast_table,
	.relation_estimate_size = ms_relation_estimate_size,

	.scan_sample_next_block = scan_sample_next_block,
	.scan_sample_next_tuple = scan_sample_next_tuple
};

/* The handler of CREATE ACCESS METHOD. */
Datum
ms_table_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&methods);
}

void
ms_am_init(void)
{
	ms_rowslot_init();
	ms_options_init();
	ms_configure_init();
	ms_write_init();
	ms_refuse_init();
	ms_ddl_init();
}
