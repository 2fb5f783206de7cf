/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *	  Storage of a table: made, emptied, rewritten; and what VACUUM finds to do.
 *
 * Every memseries table has a file, as PostgreSQL wants it, and the file stays
 * empty.  It stands for the storage: its creation and removal are transactional
 * and known to crash recovery, and the store's table has its number as key.  An
 * unlogged table has an init fork, too, for the server to know it by.
 *
 * VACUUM FULL copies what is visible into new storage, so that what is left of
 * dropped columns and of labels nobody uses goes.  Like ALTER TABLE's rewrites,
 * and unlike a heap's VACUUM FULL, it leaves nothing to older snapshots.  Series
 * that a dropped label column kept apart become one.
 *
 * Relations made by memseries have no relfrozenxid, since transaction ids do not
 * stay in them: the keeper folds what everybody sees.  The server sets one when
 * it rewrites a table; VACUUM moves it on, so that autovacuum is satisfied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "storage/smgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "am/am.h"
#include "am/batch.h"
#include "am/options.h"
#include "store/cursor.h"
#include "store/stats.h"

void
ms_relation_set_new_filelocator(Relation rel, const RelFileLocator *locator,
								char persistence, TransactionId *freezeXid,
								MultiXactId *minmulti)
{
	MsTableKey	key = ms_table_key(*locator);
	Oid			original = ms_rewritten_relation(rel);
	SMgrRelation srel;

	ms_check_columns(RelationGetDescr(rel),
					 OidIsValid(original) ? get_rel_name(original) :
					 RelationGetRelationName(rel));
	if (persistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("memseries table \"%s\" cannot be temporary",
						RelationGetRelationName(rel)),
				 errdetail("Its data lives in shared memory, whichever session made it."),
				 errhint("Create an unlogged table instead.")));
	ms_store_wait_ready();
	ms_store_check_writable();

	*freezeXid = InvalidTransactionId;
	*minmulti = InvalidMultiXactId;
	srel = RelationCreateStorage(*locator, persistence, true);
	if (persistence == RELPERSISTENCE_UNLOGGED)
	{
		smgrcreate(srel, INIT_FORKNUM, false);
		log_smgrcreate(locator, INIT_FORKNUM);
		smgrimmedsync(srel, INIT_FORKNUM);
	}
	smgrclose(srel);

	/* a number used before, whose storage the keeper has not swept yet */
	if (ms_table_lookup(&key) != NULL)
		ms_table_drop(&key);
	(void) ms_reldesc_create_table(rel, &key);
}

/* TRUNCATE of storage made in the same transaction: nobody else has ever seen it. */
void
ms_relation_nontransactional_truncate(Relation rel)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));
	MsTable    *table = ms_reldesc(rel)->table;
	MsBatch    *next;

	for (MsBatch *batch = ms_batches; batch != NULL; batch = next)
	{
		next = batch->next;
		if (memcmp(&batch->key, &key, sizeof(MsTableKey)) == 0)
			ms_batch_forget(batch);
	}
	if (table)
		ms_table_clear(table);
}

void
ms_relation_copy_for_cluster(Relation old, Relation new, Relation index,
							 bool use_sort, TransactionId OldestXmin,
							 TransactionId *xid_cutoff, MultiXactId *multi_cutoff,
							 double *num_tuples, double *tups_vacuumed,
							 double *tups_recently_dead)
{
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot = table_slot_create(old, NULL);
	CommandId	cid = GetCurrentCommandId(true);

	Assert(index == NULL);		/* there are none */
	*num_tuples = *tups_vacuumed = *tups_recently_dead = 0;
	*xid_cutoff = InvalidTransactionId;
	*multi_cutoff = InvalidMultiXactId;

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(old, snapshot, 0, NULL);
	ms_batch_for(new, cid)->unlimited = true;
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		ms_write_row(new, slot, cid);
		*num_tuples += 1;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);

	/* the server asks how large the new table is */
	ms_write_flush(NULL);
	ExecDropSingleTupleTableSlot(slot);
}

/* There is nothing to clean up; but let the server know that it was looked after. */
void
ms_relation_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy bstrategy)
{
#ifdef MS_HAVE_VACUUM_TIMES
	TimestampTz start = GetCurrentTimestamp();
#endif
	MsTable    *table = ms_reldesc(rel)->table;
	MsTableStats stats;
	BlockNumber pages;
	double		tuples;
	TransactionId frozenxid = InvalidTransactionId;
	MultiXactId minmulti = InvalidMultiXactId;
	bool		frozenxid_updated;
	bool		minmulti_updated;

	if (table)
		ms_table_stats(table, &stats);
	else
		memset(&stats, 0, sizeof(stats));
	tuples = (double) (stats.samples);
	pages = (BlockNumber) (ms_relation_size(rel, MAIN_FORKNUM) / BLCKSZ);

	/*
	 * as nothing older than what a snapshot may ask for remains, it may be
	 * said
	 */
	if (TransactionIdIsNormal(rel->rd_rel->relfrozenxid))
		frozenxid = GetOldestNonRemovableTransactionId(rel);
	if (MultiXactIdIsValid(rel->rd_rel->relminmxid))
		minmulti = GetOldestMultiXactId();

	vac_update_relstats(rel, pages, tuples, 0,
#ifdef MS_HAVE_FROZEN_PAGES
						0,
#endif
						false, frozenxid, minmulti,
						&frozenxid_updated, &minmulti_updated, false);
	pgstat_report_vacuum(RelationGetRelid(rel), rel->rd_rel->relisshared,
						 (PgStat_Counter) tuples, 0
#ifdef MS_HAVE_VACUUM_TIMES
						 ,start
#endif
		);
}
