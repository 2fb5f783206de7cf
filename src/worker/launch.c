/*-------------------------------------------------------------------------
 *
 * launch.c
 *	  Registering the workers, and what their loops have in common.
 *
 * Both workers are registered at server start and restarted by the postmaster
 * whenever they end; they always end with status 1, because status 0 would
 * be taken for "done for good".  They start once the server can be connected
 * to, on a standby too.
 *
 * Both are connected, to no database.  It is not that they need catalogs, but that
 * they ask which transactions run: PostgreSQL leaves out the asking process by
 * its place in the process array, and one that has no place there makes it leave out
 * somebody else, whose transaction then looks aborted.  (The guard's snapshot
 * has to count among the others, too.)
 *
 * Their loops survive every ERROR, as those of PostgreSQL's own workers do:
 * it is logged, shown in memseries.workers, and the loop goes on.  None of them
 * runs transactions, so what a transaction's end would release is released by
 * hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/condition_variable.h"
#include "storage/fd.h"
#include "storage/lwlock.h"
#include "storage/smgr.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "worker/worker.h"

#define RESTART_SECONDS		1

static emit_log_hook_type next_emit_log_hook = NULL;

static bool
begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/*
 * Tells the guard when a checkpoint begins, so that its snapshot keeps up, and
 * when it ends.  The message is compared untranslated.  This runs in a critical
 * section of the checkpointer: nothing here can fail or allocate.  Where
 * checkpoints are not logged, the guard polls.
 */
static void
watch_log(ErrorData *edata)
{
	if (edata->message_id != NULL && ms_store != NULL && edata->elevel == LOG)
	{
		if (begins_with(edata->message_id, "checkpoint starting"))
		{
			pg_atomic_write_u32(&ms_store->checkpointing, 1);
			ms_worker_wake(MS_GUARD);
		}
		else if (begins_with(edata->message_id, "checkpoint complete"))
			pg_atomic_write_u32(&ms_store->checkpointing, 0);
	}
	if (next_emit_log_hook)
		next_emit_log_hook(edata);
}

static void
register_worker(const char *name, const char *function)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, name, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "memseries", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	RegisterBackgroundWorker(&worker);
}

/* See worker.h. */
void
ms_worker_init(void)
{
	register_worker("memseries guard", "ms_guard_main");
	register_worker("memseries keeper", "ms_keeper_main");
	next_emit_log_hook = emit_log_hook;
	emit_log_hook = watch_log;
}

/*
 * What both workers do first.  SIGTERM asks the loop to end, in its own time;
 * SIGINT (pg_cancel_backend) means nothing to them.
 */
void
ms_worker_start(MsWorkerKind kind)
{
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	ms_worker_attach(kind);
}

/*
 * After an ERROR has come up to the loop: report it, and release everything.
 * cxt, the loop's memory context, is reset and made current.
 */
void
ms_worker_recover(MsWorkerKind kind, MemoryContext cxt)
{
	ErrorData  *edata;

	error_context_stack = NULL;
	HOLD_INTERRUPTS();
	EmitErrorReport();
	MemoryContextSwitchTo(cxt);
	edata = CopyErrorData();
	FlushErrorState();
	ms_worker_error(kind, edata->message);

	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	AtEOXact_SMgr();
	AtEOXact_Files(false);
	AtEOXact_HashTables(false);
	MemoryContextReset(cxt);
	RESUME_INTERRUPTS();
}

/* Rereads the configuration if asked to. */
void
ms_worker_reload(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}
