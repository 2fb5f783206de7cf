/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  Telling the server log when rows pile up that cannot be folded.
 *
 * Rows stay runs as long as some snapshot may not see them: a transaction that
 * is left open, a prepared one that was forgotten, a standby's feedback hold
 * back everything written since.  Runs take several times the memory of chunks
 * and readers merge them anew each time.  Memory is bounded by the segment, so
 * in the end writers get an error that says why; before that, somebody should
 * know.  So the keeper says it once when it begins:
 *
 *	- when runs have taken more than a quarter of the segment for some seconds, and
 *	- when a table has had some run for longer than its chunk_interval.
 *
 * It says so again only after it was over in between.  For a table that is found
 * out without times in runs: the keeper notes the number of the last append, and
 * when a chunk_interval has passed looks whether a run from before is still there.
 *
 * Memory that is full holds up folding as well; of that the errors tell that writers get.
 *
 * What is open longest is named if it is a process: that is looked up without
 * a lock, so it is a hint, no more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/run.h"
#include "store/stats.h"
#include "worker/watch.h"

#define WARN_PART		4		/* of the segment, that runs take */
#define CALM_PART		8		/* and below which it is over */
#define LOOK_AGAIN_US	(10 * USECS_PER_SEC)

/* What is noted of a table; outlives an ERROR in the keeper's loop. */
typedef struct Watch
{
	uint64		generation;		/* of the table */
	uint64		seq;			/* the last append when it was noted */
	TimestampTz since;			/* when that was; 0: nothing is noted */
	TimestampTz next;			/* when to look again */
	bool		warned;
} Watch;

static Watch *watches = NULL;	/* one for each entry of the directory */
static bool memory_warned = false;
static TimestampTz memory_since = 0;	/* when runs began to take so much; 0:
										 * they do not */

/* Who holds the oldest snapshot or transaction: a process id, 0 for a prepared transaction, -1 if nobody does. */
static int
oldest_holder(void)
{
	TransactionId oldest = InvalidTransactionId;
	int			pid = -1;

	/* prepared transactions have theirs behind those that are counted */
	for (uint32 i = 0; i < ProcGlobal->allProcCount + max_prepared_xacts; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		TransactionId held[2];

		held[0] = *(volatile TransactionId *) &proc->xmin;
		held[1] = *(volatile TransactionId *) &proc->xid;
		for (int k = 0; k < 2; k++)
		{
			if (TransactionIdIsNormal(held[k]) &&
				(!TransactionIdIsValid(oldest) || TransactionIdPrecedes(held[k], oldest)))
			{
				oldest = held[k];
				pid = proc->pid;
			}
		}
	}
	return pid;
}

static void
warn(const char *detail)
{
	int			pid = oldest_holder();

	ereport(WARNING,
			(errmsg("rows in memseries tables cannot be folded"),
			 pid > 0 ? errdetail("%s The oldest transaction is that of process %d.", detail, pid) :
			 pid == 0 ? errdetail("%s The oldest transaction is a prepared one.", detail) :
			 errdetail_internal("%s", detail),
			 errhint("Look for what has been open for long in pg_stat_activity, pg_prepared_xacts and pg_stat_replication.")));
}

/* See watch.h. */
void
ms_watch_table(MsTable *table, const MsConfig *config, TimestampTz now)
{
	Watch	   *watch;
	char	   *detail;

	if (watches == NULL)
		watches = MemoryContextAllocZero(TopMemoryContext, sizeof(Watch) * ms_store->max_tables);
	watch = &watches[table - ms_store->tables];
	if (watch->generation != table->generation || table->nruns == 0)
	{
		memset(watch, 0, sizeof(*watch));
		watch->generation = table->generation;
		return;
	}
	if (watch->since != 0 && now < watch->next)
		return;
	if (watch->since == 0 || !ms_run_any_until(table, watch->seq))
	{
		watch->seq = pg_atomic_read_u64(&ms_store->order);
		watch->since = now;
		watch->next = now + Max(config->chunk_interval, LOOK_AGAIN_US);
		watch->warned = false;
		return;
	}
	watch->next = now + LOOK_AGAIN_US;
	if (watch->warned)
		return;
	watch->warned = true;
	detail = psprintf("Storage %u/%u/%u has rows from before %s.", table->key.spc, table->key.db,
					  table->key.rel, timestamptz_to_str(watch->since));
	warn(detail);
	pfree(detail);
}

/* See watch.h. */
void
ms_watch_memory(TimestampTz now, bool full)
{
	MsArenaStats stats;
	uint64		runs;
	uint64		bytes;
	char	   *detail;

	ms_stats_runs(&runs, &bytes);
	ms_arena_stats(ms_store->arena, &stats);
	if (bytes < stats.limit / CALM_PART)
		memory_warned = false;
	if (memory_warned || full || bytes < stats.limit / WARN_PART)
	{
		memory_since = 0;
		return;
	}
	if (memory_since == 0)
		memory_since = now;
	if (now < memory_since + LOOK_AGAIN_US)
		return;
	memory_warned = true;
	detail = psprintf("They take " UINT64_FORMAT " MB of the " UINT64_FORMAT " MB of memory.",
					  bytes / (1024 * 1024), stats.limit / (1024 * 1024));
	warn(detail);
	pfree(detail);
}
