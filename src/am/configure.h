/*-------------------------------------------------------------------------
 *
 * configure.h
 *	  Changed settings reach the shared table when the change commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CONFIGURE_H
#define MS_CONFIGURE_H

extern void ms_configure_init(void);	/* transaction callback */

/*
 * Notes that this transaction changes the settings (the security label) of a
 * relation: at commit, its table in the store gets what the label says then.
 * Whoever calls holds a lock on the relation until the end of the transaction
 * that keeps others from changing the label.
 */
extern void ms_configure_pending(Oid relid);

/* Has this transaction changed the settings of the relation? */
extern bool ms_configure_is_pending(Oid relid);

#endif							/* MS_CONFIGURE_H */
