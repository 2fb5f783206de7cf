/*-------------------------------------------------------------------------
 *
 * functions_stats.c
 *	  The functions behind the views: tables, windows, series, size_classes,
 *	  memory, workers.
 *
 * A role sees tables it owns, a member of pg_monitor sees all of this
 * database; rows of others are left out.  What concerns the whole server is
 * for pg_monitor, by privileges in the install script.
 *
 * Tables are found through pg_class, and their figures through the key of
 * their storage, without locking the relation: looking never waits behind
 * DDL, nor for a restore, during which it shows what is there so far.
 * Settings are those of the catalog as this query sees it.  Only the view of
 * series opens the tables, because it reads labels, and so waits like any
 * query of them.
 *
 * Figures are copied under short locks (store/stats.c), rows are built
 * outside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/seclabel.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/spin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "am/options.h"
#include "am/reldesc.h"
#include "functions.h"
#include "store/cursor.h"
#include "store/stats.h"

PG_FUNCTION_INFO_V1(ms_get_tables);
PG_FUNCTION_INFO_V1(ms_get_windows);
PG_FUNCTION_INFO_V1(ms_get_series);
PG_FUNCTION_INFO_V1(ms_get_size_classes);
PG_FUNCTION_INFO_V1(ms_get_memory);
PG_FUNCTION_INFO_V1(ms_get_workers);

/* A memseries table as the catalog has it. */
typedef struct TableName
{
	Oid			relid;
	MsTableKey	key;
} TableName;

/* May the user look at this table's figures? */
static bool
may_see(Oid relid)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) ||
		ms_owns_relation(relid, GetUserId());
}

/* The memseries tables of this database that the user may see: a List of TableName. */
static List *
visible_tables(void)
{
	Oid			am = ms_am_oid();
	List	   *result = NIL;
	Relation	pg_class;
	SysScanDesc scan;
	HeapTuple	tuple;

	pg_class = table_open(RelationRelationId, AccessShareLock);
	scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		TableName  *name;

		if (form->relam != am || !OidIsValid(form->relfilenode) || !may_see(form->oid))
			continue;
		name = palloc(sizeof(TableName));
		name->relid = form->oid;
		name->key.spc = OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace;
		name->key.db = MyDatabaseId;
		name->key.rel = form->relfilenode;
		result = lappend(result, name);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

/* The settings of a relation, without opening it. */
static MsConfig
settings_of(Oid relid)
{
	ObjectAddress object;

	ObjectAddressSet(object, RelationRelationId, relid);
	return ms_options_parse(GetSecurityLabel(&object, MS_LABEL_PROVIDER));
}

/* tables: one row per table */
Datum
ms_get_tables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, visible_tables())
	{
		TableName  *name = lfirst(cell);
		MsConfig	config = settings_of(name->relid);
		MsTableInfo info;
		Datum		values[26];
		bool		nulls[26] = {false};
		int			i = 0;

		CHECK_FOR_INTERRUPTS();
		(void) ms_stats_table(&name->key, &info);	/* zeroes if there is none */

		values[i++] = ObjectIdGetDatum(name->relid);
		ms_config_datums(&config, &values[i], &nulls[i]);
		i += MS_CONFIG_COLUMNS;
		values[i++] = Int64GetDatum(info.series);
		values[i++] = Int32GetDatum(info.windows);
		values[i++] = Int32GetDatum(info.sealed_windows);
		nulls[i] = info.windows == 0;
		values[i++] = TimestampTzGetDatum(info.first_start);
		nulls[i] = info.windows == 0;
		values[i++] = TimestampTzGetDatum(info.last_start);
		values[i++] = Int64GetDatum(info.samples);
		values[i++] = Int64GetDatum(info.runs);
		values[i++] = Int64GetDatum(info.run_samples);
		values[i++] = Int64GetDatum(info.run_bytes);
		values[i++] = Int64GetDatum(info.purposes.times);
		values[i++] = Int64GetDatum(info.purposes.values);
		values[i++] = Int64GetDatum(info.purposes.labels);
		values[i++] = Int64GetDatum(info.purposes.index);
		values[i++] = Int64GetDatum(info.purposes.headers);
		values[i++] = Int64GetDatum(info.purposes.slack);
		values[i++] = Int64GetDatum(info.in_use_bytes);
		values[i++] = Int64GetDatum(info.allocated_bytes);
		values[i++] = Int64GetDatum(info.in_use_bytes - info.allocated_bytes);
		values[i++] = Int64GetDatum(info.skipped_samples);
		values[i++] = Int64GetDatum(info.expired_windows);
		Assert(i == lengthof(values));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* windows: one row per window, oldest first within a table */
Datum
ms_get_windows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, visible_tables())
	{
		TableName  *name = lfirst(cell);
		MsWindowInfo *windows;
		int			n;

		CHECK_FOR_INTERRUPTS();
		n = ms_stats_windows(&name->key, &windows);
		for (int w = 0; w < n; w++)
		{
			const MsWindowInfo *info = &windows[w];
			Datum		values[19];
			bool		nulls[19] = {false};
			int			i = 0;

			values[i++] = ObjectIdGetDatum(name->relid);
			values[i++] = TimestampTzGetDatum(info->start);
			values[i++] = TimestampTzGetDatum(info->end);
			values[i++] = CStringGetTextDatum(info->sealed ? "sealed" : "open");
			values[i++] = Int64GetDatum(info->chunks);
			values[i++] = Int64GetDatum(info->chunk_samples + info->run_samples);
			values[i++] = Int64GetDatum(info->chunk_bytes);
			values[i++] = Int64GetDatum(info->runs);
			values[i++] = Int64GetDatum(info->run_samples);
			values[i++] = Int64GetDatum(info->run_bytes);
			values[i++] = Int64GetDatum(info->purposes.times);
			values[i++] = Int64GetDatum(info->purposes.values);
			values[i++] = Int64GetDatum(info->purposes.index);
			values[i++] = Int64GetDatum(info->purposes.headers);
			values[i++] = Int64GetDatum(info->purposes.slack);
			values[i++] = Int64GetDatum(info->in_use_bytes);
			values[i++] = Int64GetDatum(info->allocated_bytes);
			values[i++] = Int64GetDatum(info->in_use_bytes - info->allocated_bytes);
			values[i++] = BoolGetDatum(info->saved);
			Assert(i == lengthof(values));
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* A label's value in the JSON that to_jsonb makes of its type. */
typedef struct LabelJson
{
	AttrNumber	attnum;
	FmgrInfo	to_jsonb;		/* with an expression that tells it the type */
} LabelJson;

/* Prepares one entry per label column; returns their number. */
static int
prepare_labels(TupleDesc tupdesc, const MsRelDesc *desc, LabelJson *labels)
{
	int			n = 0;

	for (int i = 0; i < desc->natts && i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		Const	   *arg;

		if (att->attisdropped || desc->cols[i].role != MS_ROLE_LABEL)
			continue;
		labels[n].attnum = att->attnum;
		fmgr_info(F_TO_JSONB, &labels[n].to_jsonb);
		arg = makeNullConst(att->atttypid, att->atttypmod, att->attcollation);
		fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(arg),
												 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
						   &labels[n].to_jsonb);
		n++;
	}
	return n;
}

/* {"column": value, ...} of one series' labels, as a jsonb datum in CurrentMemoryContext. */
static Datum
labels_to_jsonb(TupleDesc tupdesc, LabelJson *labels, int nlabels,
				Datum *values, bool *nulls)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < nlabels; i++)
	{
		int			at = labels[i].attnum - 1;
		char	   *name = NameStr(TupleDescAttr(tupdesc, at)->attname);
		JsonbValue	key;
		JsonbValue	value;

		key.type = jbvString;
		key.val.string.val = name;
		key.val.string.len = strlen(name);
		pushJsonbValue(&state, WJB_KEY, &key);

		if (nulls[at])
			value.type = jbvNull;
		else
		{
			Jsonb	   *json = DatumGetJsonbP(FunctionCall1(&labels[i].to_jsonb, values[at]));

			if (JB_ROOT_IS_SCALAR(json))
				(void) JsonbExtractScalar(&json->root, &value);
			else
			{
				value.type = jbvBinary;
				value.val.binary.data = &json->root;
				value.val.binary.len = VARSIZE(json) - VARHDRSZ;
			}
		}
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(result));
}

/*
 * Puts a row per series of one table.  A cast to json that belongs to a label's type may be anybody's function, so
 * it runs with the rights of the table's owner, as ANALYZE runs functions.
 */
static void
put_series(ReturnSetInfo *rsinfo, Relation rel)
{
	MsRelDesc  *desc = ms_reldesc_copy(rel);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	Datum	   *label_values = palloc0(sizeof(Datum) * tupdesc->natts);
	bool	   *label_nulls = palloc(sizeof(bool) * tupdesc->natts);
	LabelJson  *labels = palloc0(sizeof(LabelJson) * tupdesc->natts);
	int			nlabels = prepare_labels(tupdesc, desc, labels);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "memseries series", ALLOCSET_DEFAULT_SIZES);
	MsCursor   *cursor;
	Oid			user;
	int			context;
	int			level;

	if (desc->table == NULL)
		return;
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(rel->rd_rel->relowner, context | SECURITY_RESTRICTED_OPERATION);
	level = NewGUCNestLevel();
	cursor = ms_cursor_open(desc->table, GetActiveSnapshot(), PG_INT64_MIN, PG_INT64_MAX, NULL, 0);
	for (uint32 sid = 0; sid < ms_cursor_series_limit(cursor); sid++)
	{
		MemoryContext old;
		MsSeriesInfo info;
		const MsLabelValue *stored;
		int			nstored;
		Datum		values[8];
		bool		nulls[8] = {false};
		int			i = 0;

		CHECK_FOR_INTERRUPTS();
		if (!ms_stats_series(desc->table, sid, &info) ||
			!ms_cursor_labels(cursor, sid, &stored, &nstored))
			continue;

		old = MemoryContextSwitchTo(row_context);
		memset(label_nulls, true, sizeof(bool) * tupdesc->natts);
		ms_reldesc_fill_labels(desc, tupdesc, stored, nstored, label_values, label_nulls);
		values[i++] = ObjectIdGetDatum(RelationGetRelid(rel));
		values[i++] = Int64GetDatum(sid);
		values[i++] = labels_to_jsonb(tupdesc, labels, nlabels, label_values, label_nulls);
		values[i++] = Int32GetDatum(info.chunks);
		values[i++] = Int64GetDatum(info.samples);
		nulls[i] = info.samples == 0;
		values[i++] = TimestampTzGetDatum(info.first_start);
		nulls[i] = info.samples == 0;
		values[i++] = TimestampTzGetDatum(info.last_start);
		values[i++] = Int64GetDatum(info.chunk_bytes);
		Assert(i == lengthof(values));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	ms_cursor_close(cursor);
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, context);
	MemoryContextDelete(row_context);
}

/* series of one table, or (NULL) of all that the user may see */
Datum
ms_get_series(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(0))
	{
		Oid			relid = PG_GETARG_OID(0);
		Relation	rel;

		if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
			rel = ms_open_owned_table(relid, AccessShareLock);
		else
			rel = ms_open_table(relid, AccessShareLock);
		put_series(rsinfo, rel);
		relation_close(rel, AccessShareLock);
		return (Datum) 0;
	}

	foreach(cell, visible_tables())
	{
		TableName  *name = lfirst(cell);
		Relation	rel = try_relation_open(name->relid, AccessShareLock);

		if (rel == NULL)
			continue;			/* dropped meanwhile */
		if (ms_is_memseries_rel(rel))
			put_series(rsinfo, rel);
		relation_close(rel, AccessShareLock);
	}
	return (Datum) 0;
}

/* size_classes: one row per class, and one for each other kind of memory */
Datum
ms_get_size_classes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MsRowStats	rows[MS_NUM_ROWS];

	InitMaterializedSRF(fcinfo, 0);
	ms_arena_row_stats(ms_store->arena, rows);
	for (int r = 0; r < MS_NUM_ROWS; r++)
	{
		const char *kind = r == MS_ROW_MIXED ? "mixed" :
		r == MS_ROW_PACKED ? "packed" :
		r == MS_ROW_RUN ? "large" : "class";
		Datum		values[10];
		bool		nulls[10] = {false};
		int			i = 0;

		values[i++] = CStringGetTextDatum(kind);
		nulls[i] = rows[r].object_size == 0;
		values[i++] = Int32GetDatum((int32) rows[r].object_size);
		values[i++] = Int64GetDatum(rows[r].spans);
		values[i++] = Int64GetDatum(rows[r].objects);
		values[i++] = Int64GetDatum(rows[r].in_use);
		values[i++] = Int64GetDatum(rows[r].allocated);
		values[i++] = Int64GetDatum(rows[r].slack);
		values[i++] = Int64GetDatum(rows[r].free);
		values[i++] = Int64GetDatum(rows[r].tail);
		values[i++] = Int64GetDatum(rows[r].dead);
		Assert(i == lengthof(values));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * memory: the segment.  Its own header and page table count as in use and as
 * allocated; in use and free add up to the limit.
 */
Datum
ms_get_memory(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	MsArenaStats stats;
	uint64		in_use;
	uint64		allocated;
	uint64		runs;
	uint64		run_bytes;
	Datum		values[9];
	bool		nulls[9] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ms_arena_stats(ms_store->arena, &stats);
	in_use = stats.limit - stats.free;
	allocated = in_use - (stats.in_use - stats.allocated);
	values[0] = Int64GetDatum(in_use);
	values[1] = Int64GetDatum(allocated);
	values[2] = Int64GetDatum(in_use - allocated);
	values[3] = Int64GetDatum(stats.free);
	values[4] = Int64GetDatum(stats.limit);
	values[5] = Int64GetDatum(stats.backed);
	values[6] = Int64GetDatum(in_use - stats.in_use);
	ms_stats_runs(&runs, &run_bytes);
	values[7] = Int64GetDatum(runs);
	values[8] = Int64GetDatum(run_bytes);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* What memseries.workers shows of one worker, copied under its spinlock. */
typedef struct WorkerInfo
{
	pid_t		pid;
	char		state[sizeof(((MsWorker *) 0)->state)];
	char		last_error[MS_WORKER_TEXT];
	TimestampTz state_since;
	TimestampTz seen;
	TimestampTz last_run;
	TimestampTz last_error_at;
	uint64		rounds;
	uint64		done;
	uint64		total;
} WorkerInfo;

static void
copy_worker(MsWorker *worker, WorkerInfo *info)
{
	SpinLockAcquire(&worker->mutex);
	info->pid = worker->pid;
	memcpy(info->state, worker->state, sizeof(info->state));
	memcpy(info->last_error, worker->last_error, sizeof(info->last_error));
	info->state_since = worker->state_since;
	info->seen = worker->seen;
	info->last_run = worker->last_run;
	info->last_error_at = worker->last_error_at;
	info->rounds = worker->rounds;
	info->done = worker->done;
	info->total = worker->total;
	SpinLockRelease(&worker->mutex);
}

/* How much of what is under way is done, with one decimal; rounded down, so that 100.0 means all. */
static Datum
percent(uint64 done, uint64 total)
{
	int64		tenths = (int64) (Min(done, total) * 1000.0 / total);

	return NumericGetDatum(int64_div_fast_to_numeric(tenths, 1));
}

/* workers: one row each */
Datum
ms_get_workers(PG_FUNCTION_ARGS)
{
	static const char *const names[MS_NUM_WORKERS] = {
		[MS_KEEPER] = "keeper",
		[MS_GUARD] = "guard"
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int w = 0; w < MS_NUM_WORKERS; w++)
	{
		WorkerInfo	info;
		Datum		values[12] = {0};
		bool		nulls[12] = {false};
		int			i = 0;

		copy_worker(&ms_store->workers[w], &info);
		values[i++] = CStringGetTextDatum(names[w]);
		nulls[i] = info.pid == 0;
		values[i++] = Int32GetDatum(info.pid);
		values[i++] = CStringGetTextDatum(info.pid == 0 ? "not running" : info.state);
		nulls[i] = info.state_since == 0;
		values[i++] = TimestampTzGetDatum(info.state_since);
		nulls[i] = info.seen == 0;
		values[i++] = TimestampTzGetDatum(info.seen);
		nulls[i] = info.last_run == 0;
		values[i++] = TimestampTzGetDatum(info.last_run);
		values[i++] = Int64GetDatum(info.rounds);
		nulls[i] = nulls[i + 1] = info.last_error_at == 0;
		values[i++] = CStringGetTextDatum(info.last_error);
		values[i++] = TimestampTzGetDatum(info.last_error_at);
		nulls[i] = nulls[i + 1] = nulls[i + 2] = info.total == 0;
		values[i++] = Int64GetDatum(info.done);
		values[i++] = Int64GetDatum(info.total);
		if (info.total != 0)
			values[i] = percent(info.done, info.total);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
