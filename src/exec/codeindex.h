/*-------------------------------------------------------------------------
 *
 * codeindex.h
 *	  Which series have a code as a certain label; see codeindex.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_CODEINDEX_H
#define MS_CODEINDEX_H

#include "exec/labelorder.h"
#include "store/table.h"

#define MS_CODEINDEXES	8		/* that a backend keeps */

typedef struct MsCodeIndex MsCodeIndex;

/* Takes table->lock shared.  Good until the next call for the same place, or MS_CODEINDEXES others. */
extern MsCodeIndex *ms_codeindex_get(MsTable *table, uint32 place);
extern uint32 ms_codeindex_count(const MsCodeIndex *index, const uint32 *codes, int ncodes);
extern uint32 ms_codeindex_series(const MsCodeIndex *index, const uint32 *codes, int ncodes,
								  uint32 *sids);

/* The values of that label in an order.  NULL: series have come or gone meanwhile. */
extern const MsLabelOrder *ms_codeindex_order(MsCodeIndex *index, Form_pg_attribute att,
											  const MsLabelSort *sort);

/* An order that was got before, by its id; NULL: it is forgotten. */
extern const MsLabelOrder *ms_codeindex_order_by_id(uint64 id);
extern int	ms_compare_uint32(const void *a, const void *b);

#endif							/* MS_CODEINDEX_H */
