/*-------------------------------------------------------------------------
 *
 * reldesc.h
 *	  What memseries knows of a relation: roles of its columns, its table.
 *
 * Built on first use and kept in rd_amcache, so an invalidation (ALTER TABLE,
 * configure) drops it by itself.  It may therefore vanish at any point where
 * invalidations are processed: whoever keeps it across calls takes a copy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_RELDESC_H
#define MS_RELDESC_H

#include "access/tupdesc.h"
#include "store/table.h"
#include "utils/rel.h"

#define MS_ROLE_NONE	255		/* a dropped column */

typedef struct MsRelColumn
{
	uint8		role;			/* MsRole or MS_ROLE_NONE */
	uint8		kind;			/* MsValueKind of a value */
	int16		ordinal;		/* of the label or value in the table's slots */
} MsRelColumn;

typedef struct MsRelDesc
{
	Size		size;			/* of this struct, for copying */
	MsTableKey	key;
	MsTable    *table;			/* NULL: nothing was ever written to this
								 * storage */
	uint64		generation;		/* of the table */
	AttrNumber	time_att;
	int			natts;
	int			nlabels;		/* label ordinals are below this */
	int			nvalues;		/* value ordinals are below this */
	MsRelColumn cols[FLEXIBLE_ARRAY_MEMBER];	/* by attnum - 1 */
} MsRelDesc;

/* Is this a table that memseries stores? */
extern bool ms_is_memseries_rel(Relation rel);
extern Oid	ms_am_oid(void);	/* InvalidOid if the extension is not created
								 * in this database */

/* The role a column has by its type; kind is set, too. */
extern uint8 ms_column_role(Form_pg_attribute att, uint8 *kind);

/* ERROR with detail and hint if columns do not fit the rules (one timestamptz, at least one value). */
extern void ms_check_columns(TupleDesc tupdesc, const char *relname);

/* Borrowed, valid until invalidations are next processed.  Waits until the store is ready. */
extern const MsRelDesc *ms_reldesc(Relation rel);

/* As above with table != NULL, creating it in the store if need be, with all columns having slots. */
extern const MsRelDesc *ms_reldesc_for_write(Relation rel);

/* Creates the table of a storage that is about to be, or is, the relation's. */
extern MsTable *ms_reldesc_create_table(Relation rel, const MsTableKey *key);

/* A palloc'd copy of ms_reldesc(rel). */
extern MsRelDesc *ms_reldesc_copy(Relation rel);

/* The same for other columns than the relation has now, as ALTER TABLE does to read a table while it rewrites it. */
extern MsRelDesc *ms_reldesc_of_columns(Relation rel, TupleDesc tupdesc);

/*
 * Label values as stored are the canonical binary image: the bytes of a by-value type (typlen of them),
 * of a fixed-length by-reference type, the content of a detoasted varlena without its header, a C string
 * without its end.  ms_label_from_datum may allocate in CurrentMemoryContext.
 */
extern void ms_label_from_datum(Form_pg_attribute att, Datum value, bool isnull, MsLabelValue *out);
extern Datum ms_label_to_datum(Form_pg_attribute att, const MsLabelValue *label);

/* Value columns: kind is an MsValueKind; bits survive both ways. */
extern double ms_value_from_datum(uint8 kind, Datum value);
extern Datum ms_value_to_datum(uint8 kind, double value);

/*
 * Sets values[]/isnull[] of all label columns from stored labels (missing ones: the column's
 * missing value, as after ADD COLUMN ... DEFAULT), allocating in CurrentMemoryContext.
 */
extern void ms_reldesc_fill_labels(const MsRelDesc *desc, TupleDesc tupdesc,
								   const MsLabelValue *labels, int nlabels,
								   Datum *values, bool *isnull);

/* The same for labels got from a cursor; datums may be where it has them, good as long as they are. */
extern void ms_reldesc_lend_labels(const MsRelDesc *desc, TupleDesc tupdesc,
								   const MsLabelValue *labels, int nlabels,
								   Datum *values, bool *isnull);

#endif							/* MS_RELDESC_H */
