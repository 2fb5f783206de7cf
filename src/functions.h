/*-------------------------------------------------------------------------
 *
 * functions.h
 *	  What the SQL-callable functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_FUNCTIONS_H
#define MS_FUNCTIONS_H

#include "fmgr.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

#include "store/table.h"

/* Opens a memseries table; ERROR if it does not exist or is not memseries.  The caller closes it. */
extern Relation ms_open_table(Oid relid, LOCKMODE lockmode);

/*
 * Opens a memseries table for a function that only its owner may call.
 * Ownership is checked before a lock is taken.
 */
extern Relation ms_open_owned_table(Oid relid, LOCKMODE lockmode);

/* ERROR if row-level security would hide rows from the user: what does `what` sees all of them. */
extern void ms_refuse_rls(Relation rel, const char *what);

/* Fills the columns of settings that configure() and the view of tables share. */
#define MS_CONFIG_COLUMNS	5
extern void ms_config_datums(const MsConfig *config, Datum *values, bool *nulls);

#endif							/* MS_FUNCTIONS_H */
