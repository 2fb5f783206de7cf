/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Filling the store at start, by whoever comes first.
 *
 * Two processes may want the store filled: the startup process, before it
 * replays the first record, and the guard, when the server lets backends in.
 * After a crash it is the former, after a clean stop the latter (then there
 * is nothing to replay, and PostgreSQL does not call rm_startup).  On a standby
 * whose primary is down readers, and so the guard, can be there first, and the
 * startup process comes when WAL does.  The state of the store is the lock.
 *
 * Should the process that loads fail, the state goes back, and what was
 * restored is dropped by whoever tries next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "store/load.h"

#define WAIT_USECS	10000

static bool
take_state(MsStoreState from, MsStoreState to)
{
	uint32		expected = from;

	return pg_atomic_compare_exchange_u32(&ms_store->state, &expected, to);
}

/* See load.h. */
bool
ms_store_load(bool (*stop) (void), MsSnapshotStats *stats)
{
	volatile bool done = false;

	memset(stats, 0, sizeof(*stats));
	while (!take_state(MS_STORE_STARTING, MS_STORE_RESTORING))
	{
		if (pg_atomic_read_u32(&ms_store->state) >= MS_STORE_LOADED)
			return true;
		if (stop != NULL && stop())
			return false;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(WAIT_USECS);
	}

	PG_TRY();
	{
		done = ms_snapshot_restore(stop, stats);
	}
	PG_FINALLY();
	{
		ms_store_set_state(done ? MS_STORE_LOADED : MS_STORE_STARTING);
	}
	PG_END_TRY();
	return done;
}
