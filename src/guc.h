/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings of memseries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_GUC_H
#define MS_GUC_H

extern void ms_guc_init(void);

#endif							/* MS_GUC_H */
