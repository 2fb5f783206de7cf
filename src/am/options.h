/*-------------------------------------------------------------------------
 *
 * options.h
 *	  A table's settings, kept as its security label of provider "memseries".
 *
 * A label is transactional, goes with the table when it is dropped, and is
 * written by pg_dump before the data, so that a restored table accepts what
 * it held.  Its text is "name=value, name=value" with the parameter names of
 * memseries.configure; settings at their default are left out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_OPTIONS_H
#define MS_OPTIONS_H

#include "store/table.h"
#include "utils/rel.h"

#define MS_LABEL_PROVIDER	"memseries"

/* What settings may be. */
#define MS_MIN_CHUNK_INTERVAL	USECS_PER_SEC
#define MS_MAX_CHUNK_DAYS		36500
#define MS_MAX_CHUNK_INTERVAL	(MS_MAX_CHUNK_DAYS * USECS_PER_DAY)
#define MS_MAX_RETAIN			1000000

extern void ms_options_init(void);	/* registers the provider */

/* ERROR (invalid_parameter_value, with detail and hint) if the text does not parse. NULL: defaults. */
extern MsConfig ms_options_parse(const char *str);
extern char *ms_options_format(const MsConfig *config); /* palloc'd; "" if all
														 * is default */

/* The settings of a relation as this transaction sees them. A rewrite's transient table has those of its original. */
extern MsConfig ms_options_of_rel(Relation rel);

/* The relation whose rewrite this transient table is for, or InvalidOid. */
extern Oid	ms_rewritten_relation(Relation rel);

#endif							/* MS_OPTIONS_H */
