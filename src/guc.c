/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings of memseries, in alphabetical order.
 *
 * The variables live with the code that reads them; here they get their
 * names, ranges and descriptions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "am/write.h"
#include "exec/exec.h"
#include "guc.h"
#include "store/release.h"
#include "store/shmem.h"
#include "worker/worker.h"

/* Defines all settings.  Called once, while shared libraries are preloaded. */
void
ms_guc_init(void)
{
	DefineCustomIntVariable("memseries.batch_memory",
							"Memory in which a transaction gathers rows before they are written.",
							"Over all its tables; larger batches compress better while they wait to be folded.",
							&ms_batch_memory_kb,
							32 * 1024, 64, 16 * 1024 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("memseries.enable_aggregates",
							 "Enables the planner's use of aggregation inside the memseries custom scan.",
							 NULL,
							 &ms_enable_aggregates,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("memseries.enable_customscan",
							 "Enables the planner's use of the memseries custom scan.",
							 NULL,
							 &ms_enable_customscan,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("memseries.enable_summaries",
							 "Enables answers from what block headers say of their values.",
							 "Off, values are decoded. For comparison.",
							 &ms_enable_summaries,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("memseries.keeper_naptime",
							"Time between rounds of the keeper, which folds, seals and expires.",
							"Window boundaries and busy writers wake it earlier.",
							&ms_keeper_naptime_ms,
							1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("memseries.max_tables",
							"Number of memseries tables, counting partitions, that the server can hold.",
							NULL,
							&ms_max_tables,
							1024, 1, 65536,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("memseries.memory",
							"Shared memory for memseries tables.",
							"Reserved at server start, taken from the system as it is first used.",
							&ms_memory_kb,
							256 * 1024, 8 * 1024, 64 * 1024 * 1024 - 8,
							PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("memseries.release_memory",
							 "Gives memory that has become free back to the operating system.",
							 "Never done where the segment lies on huge pages.",
							 &ms_release_memory,
							 true,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("memseries");
}
