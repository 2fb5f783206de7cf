/*-------------------------------------------------------------------------
 *
 * exec.h
 *	  The custom scan: how queries read memseries tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_EXEC_H
#define MS_EXEC_H

/*
 * memseries.enable_customscan: whether the planner considers the custom
 * scan.  Off, the same queries run as plain scans with the same answers; a
 * plan already made keeps its custom scan.
 */
extern bool ms_enable_customscan;

/*
 * Registers the scan's methods and the planner hook, once per process, from
 * _PG_init.  Takes no locks.
 */
extern void ms_exec_init(void);

#endif							/* MS_EXEC_H */
