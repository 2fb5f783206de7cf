/*-------------------------------------------------------------------------
 *
 * serial.h
 *	  What every reader and writer of a table does besides reading or writing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SERIAL_H
#define MS_SERIAL_H

#include "utils/rel.h"
#include "utils/snapshot.h"

/*
 * To be called at the start of every scan, before anything is read: flushes what
 * this transaction has pending for the table, and notes the read for serializable
 * transactions.  May raise errors.
 */
extern void ms_begin_read(Relation rel, Snapshot snapshot);

/* After a run was appended: ERROR if that makes a serializable transaction impossible. */
extern void ms_serial_check_write(Oid relid);

#endif							/* MS_SERIAL_H */
