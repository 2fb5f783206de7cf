/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Does the storage of a table exist?
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_STORAGE_H
#define MS_STORAGE_H

#include "store/table.h"

typedef enum MsStorageState
{
	MS_STORAGE_THERE,
	MS_STORAGE_GONE,
	MS_STORAGE_UNREACHABLE		/* its tablespace cannot be looked into */
} MsStorageState;

/* Takes no lock of ours; may ERROR for trouble with the file system. */
extern MsStorageState ms_storage_state(const MsTableKey *key);

/* Drops the table in this entry of the directory if its storage is gone; true if so.  As above, then as ms_table_drop. */
extern bool ms_storage_sweep_table(MsTable *table);

#endif							/* MS_STORAGE_H */
