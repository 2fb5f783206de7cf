/*-------------------------------------------------------------------------
 *
 * codeindex.h
 *	  Which series have a code as a certain label; see codeindex.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CODEINDEX_H
#define MS_CODEINDEX_H

#include "store/table.h"

typedef struct MsCodeIndex MsCodeIndex;

/* Takes table->lock shared.  Good until the next call. */
extern MsCodeIndex *ms_codeindex_get(MsTable *table, uint32 place);
extern uint32 ms_codeindex_count(const MsCodeIndex *index, const uint32 *codes, int ncodes);
extern uint32 ms_codeindex_series(const MsCodeIndex *index, const uint32 *codes, int ncodes,
								  uint32 *sids);
extern int	ms_compare_uint32(const void *a, const void *b);

#endif							/* MS_CODEINDEX_H */
