/*-------------------------------------------------------------------------
 *
 * am.h
 *	  The table access method's front door.
 *
 * ms_am_init() is called once, from _PG_init().  The other names are shared by
 * the files of this folder and by nobody else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_AM_H
#define MS_AM_H

#include "access/tableam.h"
#include "compat.h"

extern void ms_am_init(void);

/* handler.c */
extern const TupleTableSlotOps *ms_slot_callbacks(Relation rel);

/* scan.c */
extern TableScanDesc ms_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
								   struct ScanKeyData *key,
								   ParallelTableScanDesc pscan, uint32 flags);
extern void ms_scan_end(TableScanDesc sscan);
extern void ms_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key,
						   bool set_params, bool allow_strat,
						   bool allow_sync, bool allow_pagemode);
extern bool ms_scan_getnextslot(TableScanDesc sscan, ScanDirection direction,
								TupleTableSlot *slot);
extern Size ms_parallelscan_estimate(Relation rel);
extern Size ms_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan);
extern void ms_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan);

/* analyze.c */
extern uint64 ms_relation_size(Relation rel, ForkNumber fork);
extern void ms_relation_estimate_size(Relation rel, int32 *attr_widths,
									  BlockNumber *pages, double *tuples,
									  double *allvisfrac);
#ifdef MS_HAVE_READ_STREAM
extern bool ms_scan_analyze_next_block(TableScanDesc sscan, ReadStream *stream);
#else
extern bool ms_scan_analyze_next_block(TableScanDesc sscan, BlockNumber blockno,
									   BufferAccessStrategy bstrategy);
#endif
extern bool ms_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId OldestXmin,
									   double *liverows, double *deadrows,
									   TupleTableSlot *slot);

/* rewrite.c */
extern void ms_relation_set_new_filelocator(Relation rel, const RelFileLocator *locator,
											char persistence,
											TransactionId *freezeXid,
											MultiXactId *minmulti);
extern void ms_relation_nontransactional_truncate(Relation rel);
extern void ms_relation_copy_for_cluster(Relation old, Relation new, Relation index,
										 bool use_sort, TransactionId OldestXmin,
										 TransactionId *xid_cutoff,
										 MultiXactId *multi_cutoff,
										 double *num_tuples,
										 double *tups_vacuumed,
										 double *tups_recently_dead);
extern void ms_relation_vacuum(Relation rel, struct VacuumParams *params,
							   BufferAccessStrategy bstrategy);

/* refuse.c */
extern void ms_refuse_init(void);

/* Is this relation a memseries table, by its entry in the catalogs? */
extern bool ms_is_memseries_oid(Oid relid);

/* The relation itself, or one that inherits from it, that is a memseries table; or InvalidOid. */
extern Oid	ms_find_memseries_child(Oid relid);

/* Each raises the error of that name (feature_not_supported, with detail and hint). */
pg_noreturn extern void ms_refuse_index(const char *relname);
pg_noreturn extern void ms_refuse_constraint(const char *relname, const char *what);
pg_noreturn extern void ms_refuse_change(const char *relname, const char *command);
pg_noreturn extern void ms_refuse_row_lock(const char *relname);
pg_noreturn extern void ms_refuse_tid(const char *relname);
pg_noreturn extern void ms_refuse_sample(const char *relname);
pg_noreturn extern void ms_refuse_conflict(const char *relname);
pg_noreturn extern void ms_refuse_tablespace(const char *relname);

/* ddl.c */
extern void ms_ddl_init(void);

#endif							/* MS_AM_H */
