/*-------------------------------------------------------------------------
 *
 * storage.c
 *	  Does the storage of a table exist?
 *
 * A table's samples are in memory, but PostgreSQL gives it a main fork like
 * any other, always empty, and removes it when the table goes.  In a backend
 * that drops a table we are told; but a COMMIT PREPARED of a DROP, a DROP
 * DATABASE and redo remove files without telling anybody.  Whether the main
 * fork is there is therefore what decides, for a table in memory as for a
 * snapshot file; of an unlogged table, its init fork does as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "storage/smgr.h"

#include "store/storage.h"

/*
 * Is the tablespace there to be looked into?  One that was dropped is: its
 * link is gone, and its tables with it.  But a link to nowhere is a file
 * system that is not mounted, and says nothing about tables.
 */
static bool
tablespace_is_reachable(Oid spc)
{
	char		path[MAXPGPATH];
	struct stat st;

	if (spc == DEFAULTTABLESPACE_OID || spc == GLOBALTABLESPACE_OID)
		return true;
	snprintf(path, sizeof(path), "pg_tblspc/%u", spc);
	if (lstat(path, &st) < 0)
		return errno == ENOENT;
	snprintf(path, sizeof(path), "pg_tblspc/%u/%s", spc, TABLESPACE_VERSION_DIRECTORY);
	return stat(path, &st) == 0;
}

/*
 * Look for the main fork.  The file of a dropped table stays until the next
 * checkpoint, so "there" may be true a little too long, "gone" never too
 * early.  The caller ends a series of such calls with AtEOXact_SMgr().
 */
MsStorageState
ms_storage_state(const MsTableKey *key)
{
	RelFileLocator locator;
	SMgrRelation smgr;
	bool		exists;

	if (!tablespace_is_reachable(key->spc))
		return MS_STORAGE_UNREACHABLE;
	locator.spcOid = key->spc;
	locator.dbOid = key->db;
	locator.relNumber = key->rel;
	smgr = smgropen(locator, INVALID_PROC_NUMBER);

	/*
	 * crash recovery removes an unlogged table's main fork before we look, to
	 * make it anew later
	 */
	exists = smgrexists(smgr, MAIN_FORKNUM) || smgrexists(smgr, INIT_FORKNUM);
	smgrclose(smgr);
	return exists ? MS_STORAGE_THERE : MS_STORAGE_GONE;
}

/* See storage.h. */
bool
ms_storage_sweep_table(MsTable *table)
{
	MsTableKey	key;
	bool		in_use;

	ms_lock_shared(ms_store->directory, MS_RANK_DIRECTORY);
	in_use = table->in_use;
	key = table->key;
	ms_unlock(ms_store->directory);
	if (!in_use || ms_storage_state(&key) != MS_STORAGE_GONE)
		return false;
	ms_table_drop(&key);
	return true;
}
