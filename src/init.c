/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Where the server's calls first reach memseries.
 *
 * The library must be preloaded: it needs shared memory, locks and workers,
 * which can be had at server start only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "am/am.h"
#include "exec/exec.h"
#include "guc.h"
#include "store/wal.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static void
request_shmem(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	ms_shmem_request();
}

static void
startup_shmem(void)
{
	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	ms_shmem_startup();
}

void		_PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("memseries must be loaded at server start"),
				 errdetail("It keeps its data in shared memory, which can only be reserved then."),
				 errhint("Add memseries to \"shared_preload_libraries\" and restart the server.")));

	ms_guc_init();
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
	ms_wal_init();
	ms_am_init();
	ms_exec_init();
	ms_worker_init();
}
