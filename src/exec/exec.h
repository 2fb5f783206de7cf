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
 * memseries.enable_aggregates: whether it considers aggregation inside the
 * scan.  memseries.enable_summaries: whether that may use what block headers
 * say of values.
 */
extern bool ms_enable_aggregates;
extern bool ms_enable_summaries;

/*
 * Registers the scan's methods and the planner hook, once per process, from
 * _PG_init.  Takes no locks.
 */
extern void ms_exec_init(void);

#endif							/* MS_EXEC_H */
