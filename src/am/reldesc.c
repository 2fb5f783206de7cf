/*-------------------------------------------------------------------------
 *
 * reldesc.c
 *	  What memseries knows of a relation: roles of its columns, its table.
 *
 * A column's role follows from its type alone: the one timestamptz is the time,
 * float8 and float4 are values, everything else is a label.  Domains count as
 * their base type, for they are stored alike.
 *
 * In the store a table's columns are slots, which are only ever appended.  A
 * live column finds its slot by attribute number, role, kind and what stands for
 * it in rows older than the column; the first
 * match counts, so that two backends which append the same slot at the same
 * time agree on the one that came first, and the other is never used.  A slot
 * may also be left behind by an ALTER TABLE that was rolled back.  Nothing that
 * is visible refers to it, and a later column which matches it may have it:
 * chunks written in between hold fewer columns, because writers store no more
 * than the highest ordinal they know.
 *
 * The description is cached in rd_amcache, one allocation as the relation cache
 * demands.  The relation cache drops it when the relation changes; what lives
 * in shared memory has no invalidations, so that the pointer to the table is
 * verified at each use by its generation.  That needs no lock: whoever has the
 * relation open holds a lock on it that keeps its storage, and so its table.
 *
 * Slots are appended when a column is first met, which ddl.c sees to at the end
 * of the statement that made it.  A standby does not append any: the order of
 * slots is the primary's, and comes with WAL.
 *
 * ALTER TABLE reads a table that it rewrites with the columns it had before,
 * while the relation already has the new ones (ms_reldesc_of_columns).
 *
 * The settings of a table are transactional in the catalog, but its entry in
 * shared memory gets them only when a change commits (configure.c).  A backend
 * may die between the two, and COMMIT PREPARED tells us nothing; so whoever
 * builds a description compares them and brings the entry up to date.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/configure.h"
#include "am/options.h"
#include "am/reldesc.h"
#include "core/chunk.h"
#include "core/valuecodec.h"

Oid
ms_am_oid(void)
{
	return get_table_am_oid("memseries", true);
}

bool
ms_is_memseries_rel(Relation rel)
{
	return rel->rd_tableam != NULL &&
		rel->rd_tableam->slot_callbacks == ms_slot_callbacks;
}

/* See reldesc.h. */
uint8
ms_column_role(Form_pg_attribute att, uint8 *kind)
{
	*kind = 0;
	if (att->attisdropped || ms_attribute_is_virtual(att))
		return MS_ROLE_NONE;
	switch (getBaseType(att->atttypid))
	{
		case TIMESTAMPTZOID:
			return MS_ROLE_TIME;
		case FLOAT8OID:
			*kind = MS_FLOAT8;
			return MS_ROLE_VALUE;
		case FLOAT4OID:
			*kind = MS_FLOAT4;
			return MS_ROLE_VALUE;
		default:
			return MS_ROLE_LABEL;
	}
}

void
ms_check_columns(TupleDesc tupdesc, const char *relname)
{
	int			ntimes = 0;
	int			nvalues = 0;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		uint8		kind;
		uint8		role = ms_column_role(TupleDescAttr(tupdesc, i), &kind);

		if (role == MS_ROLE_TIME)
			ntimes++;
		else if (role == MS_ROLE_VALUE)
			nvalues++;
	}

	if (ntimes != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("memseries table \"%s\" must have exactly one column of type timestamp with time zone",
						relname),
				 ntimes == 0 ?
				 errdetail("It has none.") :
				 errdetail("It has %d.", ntimes),
				 ntimes == 0 ?
				 errhint("Add a timestamptz column for the time of the samples.") :
				 errhint("Keep the time of the samples as timestamptz, and give other times another type, such as timestamp or date.")));
	if (nvalues == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("memseries table \"%s\" must have at least one value column",
						relname),
				 errdetail("A value is a column of type double precision or real; columns of all other types are labels."),
				 errhint("Declare what is measured as double precision.")));
}

/* The slot that a column needs. */
static MsSlot
slot_of_column(TupleDesc tupdesc, int i, const MsRelColumn *col)
{
	MsSlot		slot;

	memset(&slot, 0, sizeof(slot));
	slot.attnum = i + 1;
	slot.role = col->role;
	slot.kind = col->kind;
	if (col->role == MS_ROLE_VALUE && TupleDescAttr(tupdesc, i)->atthasmissing)
	{
		bool		isnull;
		Datum		value = getmissingattr(tupdesc, i + 1, &isnull);

		slot.has_missing = !isnull;
		if (!isnull)
			slot.missing = ms_value_from_datum(col->kind, value);
	}
	return slot;
}

/* Finds the slots of all columns; appends to the table what it lacks. */
static void
resolve_columns(MsRelDesc *desc, TupleDesc tupdesc, MsTable *table)
{
	MsSlot	   *slots = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	MsSlot	   *lacking = palloc(sizeof(MsSlot) * Max(desc->natts, 1));
	int			nlacking;

	do
	{
		int			nslots = ms_table_get_slots(table, slots, MS_MAX_SLOTS);
		int			unknown[MS_ROLE_VALUE + 1] = {0};

		nlacking = 0;
		desc->nlabels = 0;
		desc->nvalues = 0;
		for (int i = 0; i < desc->natts; i++)
		{
			MsRelColumn *col = &desc->cols[i];
			MsSlot		wanted;
			int			ordinal = 0;
			int			s;

			if (col->role == MS_ROLE_NONE)
				continue;
			wanted = slot_of_column(tupdesc, i, col);
			for (s = 0; s < nslots && !ms_slot_equal(&slots[s], &wanted); s++)
			{
				if (slots[s].role == col->role)
					ordinal++;
			}
			if (s == nslots && !RecoveryInProgress())
			{
				lacking[nlacking++] = wanted;
				continue;
			}

			/* on a standby it reads as missing: nothing is stored there */
			if (s == nslots)
				ordinal += unknown[col->role]++;
			col->ordinal = ordinal;
			if (col->role == MS_ROLE_LABEL)
				desc->nlabels = Max(desc->nlabels, ordinal + 1);
			else if (col->role == MS_ROLE_VALUE)
				desc->nvalues = Max(desc->nvalues, ordinal + 1);
		}
		if (nlacking > 0)
			ms_table_add_slots(table, lacking, nlacking);
	} while (nlacking > 0);

	pfree(slots);
	pfree(lacking);
}

/* Without a table there is nothing to match; number the columns as a new table would. */
static void
number_columns(MsRelDesc *desc)
{
	desc->nlabels = 0;
	desc->nvalues = 0;
	for (int i = 0; i < desc->natts; i++)
	{
		MsRelColumn *col = &desc->cols[i];

		if (col->role == MS_ROLE_LABEL)
			col->ordinal = desc->nlabels++;
		else if (col->role == MS_ROLE_VALUE)
			col->ordinal = desc->nvalues++;
	}
}

MsTable *
ms_reldesc_create_table(Relation rel, const MsTableKey *key)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	MsSlot	   *slots = palloc(sizeof(MsSlot) * Max(tupdesc->natts, 1));
	int			nslots = 0;
	MsConfig	config = ms_options_of_rel(rel);
	MsTable    *table;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		MsRelColumn col;

		col.role = ms_column_role(TupleDescAttr(tupdesc, i), &col.kind);
		if (col.role != MS_ROLE_NONE)
			slots[nslots++] = slot_of_column(tupdesc, i, &col);
	}
	table = ms_table_create(key, &config, slots, nslots,
							rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT);
	pfree(slots);
	return table;
}

/* Sees to it that the table in shared memory has the settings in effect. */
static void
reconcile_config(Relation rel, MsTable *table)
{
	MsConfig	is;
	MsConfig	should;

	/*
	 * What this transaction changed takes effect at commit; at once only in
	 * storage made by this transaction, which nobody else can see.
	 */
	if (ms_configure_is_pending(RelationGetRelid(rel)) &&
		rel->rd_createSubid == InvalidSubTransactionId &&
		ms_rel_new_storage(rel) == InvalidSubTransactionId)
		return;
	is = ms_table_get_config(table);
	should = ms_options_of_rel(rel);
	if (!ms_config_equal(&is, &should) && !ms_table_config_in_doubt(table))
		ms_table_set_config(table, &should);
}

/* Describes columns like these in the table; palloc'd. */
static MsRelDesc *
describe(TupleDesc tupdesc, const MsTableKey *key, MsTable *table)
{
	Size		size = offsetof(MsRelDesc, cols) + sizeof(MsRelColumn) * tupdesc->natts;
	MsRelDesc  *desc = palloc0(size);

	desc->size = size;
	desc->key = *key;
	desc->table = table;
	desc->generation = table ? table->generation : 0;
	desc->natts = tupdesc->natts;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		MsRelColumn *col = &desc->cols[i];

		col->role = ms_column_role(TupleDescAttr(tupdesc, i), &col->kind);
		if (col->role == MS_ROLE_TIME)
			desc->time_att = i + 1;
	}
	if (table)
		resolve_columns(desc, tupdesc, table);
	else
		number_columns(desc);
	return desc;
}

/* Builds the description anew and caches it. */
static MsRelDesc *
build_reldesc(Relation rel, const MsTableKey *key, MsTable *table)
{
	MsRelDesc  *desc;
	MsRelDesc  *cached;

	if (table)
		reconcile_config(rel, table);
	desc = describe(RelationGetDescr(rel), key, table);

	/*
	 * Catalog look-ups above may have processed invalidations; only now touch
	 * the cache.
	 */
	cached = MemoryContextAlloc(CacheMemoryContext, desc->size);
	memcpy(cached, desc, desc->size);
	pfree(desc);
	if (rel->rd_amcache)
		pfree(rel->rd_amcache);
	rel->rd_amcache = cached;
	return cached;
}

/* Does the cached description, if there is one, still hold? */
static MsRelDesc *
cached_reldesc(Relation rel, const MsTableKey *key)
{
	MsRelDesc  *desc = rel->rd_amcache;

	if (desc == NULL || desc->table == NULL ||
		memcmp(&desc->key, key, sizeof(MsTableKey)) != 0 ||
		!desc->table->in_use ||
		desc->table->generation != desc->generation ||
		desc->natts != RelationGetDescr(rel)->natts)
		return NULL;
	return desc;
}

const MsRelDesc *
ms_reldesc(Relation rel)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));
	MsRelDesc  *desc = cached_reldesc(rel, &key);

	Assert(ms_is_memseries_rel(rel));
	if (desc == NULL)
	{
		ms_store_wait_ready();
		desc = build_reldesc(rel, &key, ms_table_lookup(&key));
	}
	return desc;
}

const MsRelDesc *
ms_reldesc_for_write(Relation rel)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));
	MsRelDesc  *desc = cached_reldesc(rel, &key);

	ms_store_check_writable();
	if (desc == NULL)
	{
		MsTable    *table = ms_table_lookup(&key);

		/* dropping a type can take a column away without anybody asking us */
		ms_check_columns(RelationGetDescr(rel), RelationGetRelationName(rel));
		if (table == NULL)
			table = ms_reldesc_create_table(rel, &key);
		desc = build_reldesc(rel, &key, table);
	}
	return desc;
}

MsRelDesc *
ms_reldesc_copy(Relation rel)
{
	const MsRelDesc *desc = ms_reldesc(rel);
	MsRelDesc  *copy = palloc(desc->size);

	memcpy(copy, desc, desc->size);
	return copy;
}

double
ms_value_from_datum(uint8 kind, Datum value)
{
	if (kind == MS_FLOAT4)
		return ms_float4_widen(DatumGetFloat4(value));
	return DatumGetFloat8(value);
}

Datum
ms_value_to_datum(uint8 kind, double value)
{
	if (kind == MS_FLOAT4)
		return Float4GetDatum(ms_float4_narrow(value));
	return Float8GetDatum(value);
}

MsRelDesc *
ms_reldesc_of_columns(Relation rel, TupleDesc tupdesc)
{
	MsTableKey	key = ms_table_key(ms_rel_locator(rel));

	return describe(tupdesc, &key, ms_reldesc(rel)->table);
}

void
ms_label_from_datum(Form_pg_attribute att, Datum value, bool isnull, MsLabelValue *out)
{
	out->isnull = isnull;
	out->bytes = NULL;
	out->len = 0;
	if (isnull)
		return;

	if (att->attbyval)
	{
		uint8	   *copy = palloc(sizeof(Datum));

		store_att_byval(copy, value, att->attlen);
		out->bytes = copy;
		out->len = att->attlen;
	}
	else if (att->attlen > 0)
	{
		out->bytes = (const uint8 *) DatumGetPointer(value);
		out->len = att->attlen;
	}
	else if (att->attlen == -1)
	{
		struct varlena *plain = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(value));

		out->bytes = (const uint8 *) VARDATA_ANY(plain);
		out->len = VARSIZE_ANY_EXHDR(plain);
	}
	else
	{
		Assert(att->attlen == -2);
		out->bytes = (const uint8 *) DatumGetPointer(value);
		out->len = strlen(DatumGetCString(value));
	}
}

Datum
ms_label_to_datum(Form_pg_attribute att, const MsLabelValue *label)
{
	Assert(!label->isnull);

	/*
	 * What was stored under another definition of the column must not be read
	 * past its end.
	 */
	if (att->attlen > 0 && label->len != (uint32) att->attlen)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored label of column \"%s\" has %u bytes instead of %d",
						NameStr(att->attname), label->len, att->attlen)));

	if (att->attbyval)
	{
		union
		{
			char		i8;
			int16		i16;
			int32		i32;
			Datum		datum;
		}			image = {0};

		memcpy(&image, label->bytes, Min(label->len, sizeof(Datum)));
		switch (att->attlen)
		{
			case sizeof(char):
				return CharGetDatum(image.i8);
			case sizeof(int16):
				return Int16GetDatum(image.i16);
			case sizeof(int32):
				return Int32GetDatum(image.i32);
			default:
				return image.datum;
		}
	}
	else if (att->attlen > 0)
	{
		uint8	   *copy = palloc(att->attlen);

		memcpy(copy, label->bytes, att->attlen);
		return PointerGetDatum(copy);
	}
	else if (att->attlen == -1)
	{
		struct varlena *copy = palloc(VARHDRSZ + label->len);

		SET_VARSIZE(copy, VARHDRSZ + label->len);
		memcpy(VARDATA(copy), label->bytes, label->len);
		return PointerGetDatum(copy);
	}
	else
	{
		char	   *copy = palloc(label->len + 1);

		memcpy(copy, label->bytes, label->len);
		copy[label->len] = '\0';
		return CStringGetDatum(copy);
	}
}

/* A datum that is where the cursor put the label, if its type's alignment is met there. */
static inline Datum
lend_label(Form_pg_attribute att, const MsLabelValue *label)
{
	if (att->attlen == -1 && att->attalign != TYPALIGN_DOUBLE)
		return PointerGetDatum(label->bytes - VARHDRSZ);
	if (att->attlen > 0 && !att->attbyval && label->len == (uint32) att->attlen)
		return PointerGetDatum(label->bytes);
	return ms_label_to_datum(att, label);
}

static inline void
fill_labels(const MsRelDesc *desc, TupleDesc tupdesc, const MsLabelValue *labels, int nlabels,
			Datum *values, bool *isnull, bool lend)
{
	int			left = desc->nlabels;

	for (int i = 0; i < desc->natts && left > 0; i++)
	{
		const MsRelColumn *col = &desc->cols[i];
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (col->role != MS_ROLE_LABEL)
			continue;
		left--;
		if (col->ordinal >= nlabels)
			values[i] = getmissingattr(tupdesc, i + 1, &isnull[i]);
		else if (labels[col->ordinal].isnull)
		{
			values[i] = (Datum) 0;
			isnull[i] = true;
		}
		else
		{
			values[i] = lend ? lend_label(att, &labels[col->ordinal]) :
				ms_label_to_datum(att, &labels[col->ordinal]);
			isnull[i] = false;
		}
	}
}

void
ms_reldesc_fill_labels(const MsRelDesc *desc, TupleDesc tupdesc,
					   const MsLabelValue *labels, int nlabels,
					   Datum *values, bool *isnull)
{
	fill_labels(desc, tupdesc, labels, nlabels, values, isnull, false);
}

void
ms_reldesc_lend_labels(const MsRelDesc *desc, TupleDesc tupdesc,
					   const MsLabelValue *labels, int nlabels,
					   Datum *values, bool *isnull)
{
	fill_labels(desc, tupdesc, labels, nlabels, values, isnull, true);
}
