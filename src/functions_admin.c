/*-------------------------------------------------------------------------
 *
 * functions_admin.c
 *	  SQL functions that administer tables: configure, snapshot, expire.
 *
 * configure() edits the table's security label, where settings are kept (see
 * am/options.h), and leaves it to am/configure.c to tell the store at commit;
 * SECURITY LABEL by hand takes the same way.  It locks the table as SECURITY
 * LABEL does: against other changes of settings and against DDL, not against
 * readers and writers.
 *
 * expire() acts at once and is not undone by ROLLBACK: a window that goes is
 * gone.  That is what retention means, and what the keeper does by the clock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "commands/seclabel.h"
#include "common/int.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "am/configure.h"
#include "am/options.h"
#include "am/reldesc.h"
#include "functions.h"
#include "store/maintain.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(ms_configure);
PG_FUNCTION_INFO_V1(ms_snapshot);
PG_FUNCTION_INFO_V1(ms_expire);

#define RETAIN_UNCHANGED	(-1)

/* See functions.h. */
Relation
ms_open_table(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = relation_open(relid, lockmode);

	if (!ms_is_memseries_rel(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a memseries table", RelationGetRelationName(rel)),
				 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
				 errhint("Name its partitions, one by one.") :
				 errhint("CREATE TABLE ... USING memseries makes one.")));
	return rel;
}

/* See functions.h. */
Relation
ms_open_owned_table(Oid relid, LOCKMODE lockmode)
{
	char		relkind = get_rel_relkind(relid);

	/* 0: there is no such relation, as opening it will tell. */
	if (relkind != '\0' && !ms_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind), get_rel_name(relid));
	return ms_open_table(relid, lockmode);
}

/* See functions.h. */
void
ms_refuse_rls(Relation rel, const char *what)
{
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security applies to table \"%s\"", RelationGetRelationName(rel)),
				 errdetail("%s acts on rows without regard to policies.", what),
				 errhint("Use a role that bypasses row-level security, or ALTER TABLE ... NO FORCE ROW LEVEL SECURITY.")));
}

/* An interval as microseconds; ERROR unless it is a fixed length that windows may have. */
static int64
chunk_interval_from(const Interval *interval)
{
	int64		result;

	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("chunk_interval must not contain months or years"),
				 errdetail("Their length varies."),
				 errhint("Give it in days, hours, minutes or seconds.")));

	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &result) ||
		pg_add_s64_overflow(result, interval->time, &result) ||
		result < MS_MIN_CHUNK_INTERVAL || result > MS_MAX_CHUNK_INTERVAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("chunk_interval is out of range"),
				 errdetail("It must be at least one second and at most %d days.",
						   MS_MAX_CHUNK_DAYS)));
	return result;
}

static int32
retain_from(int32 retain)
{
	if (retain < 1 || retain > MS_MAX_RETAIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retain is out of range"),
				 errdetail("It must be between 1 and %d windows.", MS_MAX_RETAIN),
				 errhint("Use NULL to keep all windows.")));
	return retain;
}

static uint32
max_series_from(int32 max_series)
{
	if (max_series < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_series must be at least 1")));
	return (uint32) max_series;
}

/* 0 for "error", 1 for the other word a setting may have. */
static uint8
choice_from(const char *setting, text *value, const char *other)
{
	char	   *word = text_to_cstring(value);

	if (pg_strcasecmp(word, "error") == 0)
		return 0;
	if (pg_strcasecmp(word, other) == 0)
		return 1;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for %s: \"%s\"", setting, word),
			 errhint("Valid values are \"error\" and \"%s\".", other)));
	return 0;					/* not reached */
}

/* Takes over what the caller of configure() gave. */
static void
edit_config(MsConfig *config, FunctionCallInfo fcinfo)
{
	StaticAssertStmt(MS_RANGE_ERROR == 0 && MS_RANGE_SKIP == 1 &&
					 MS_FULL_ERROR == 0 && MS_FULL_EXPIRE == 1,
					 "choice_from() counts on these");

	if (!PG_ARGISNULL(1))
		config->chunk_interval = chunk_interval_from(PG_GETARG_INTERVAL_P(1));
	if (PG_ARGISNULL(2))
		config->retain = 0;
	else if (PG_GETARG_INT32(2) != RETAIN_UNCHANGED)
		config->retain = retain_from(PG_GETARG_INT32(2));
	if (!PG_ARGISNULL(3))
		config->on_out_of_range = choice_from("on_out_of_range", PG_GETARG_TEXT_PP(3), "skip");
	if (!PG_ARGISNULL(4))
		config->on_full = choice_from("on_full", PG_GETARG_TEXT_PP(4), "expire");
	if (!PG_ARGISNULL(5))
		config->max_series = max_series_from(PG_GETARG_INT32(5));
}

/* See functions.h. */
void
ms_config_datums(const MsConfig *config, Datum *values, bool *nulls)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = config->chunk_interval;
	values[0] = IntervalPGetDatum(interval);
	values[1] = Int32GetDatum(config->retain);
	nulls[1] = config->retain <= 0;
	values[2] = CStringGetTextDatum(config->on_out_of_range == MS_RANGE_SKIP ? "skip" : "error");
	values[3] = CStringGetTextDatum(config->on_full == MS_FULL_EXPIRE ? "expire" : "error");
	values[4] = Int32GetDatum((int32) config->max_series);
}

static Datum
config_row(FunctionCallInfo fcinfo, const MsConfig *config)
{
	TupleDesc	tupdesc;
	Datum		values[MS_CONFIG_COLUMNS];
	bool		nulls[MS_CONFIG_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ms_config_datums(config, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/*
 * configure(relation, chunk_interval, retain, on_out_of_range, on_full, max_series)
 *
 * NULL means "as it is", except for retain, where NULL is a value (keep all)
 * and -1, the default, means that.  Returns all settings.  If nothing changes
 * nothing is written, so looking is free.
 */
Datum
ms_configure(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ObjectAddress object;
	MsConfig	before;
	MsConfig	config;
	char	   *label;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));

	rel = ms_open_owned_table(PG_GETARG_OID(0), ShareUpdateExclusiveLock);
	before = config = ms_options_of_rel(rel);
	edit_config(&config, fcinfo);

	label = ms_options_format(&config);
	if (strcmp(label, ms_options_format(&before)) != 0)
	{
		PreventCommandIfReadOnly("memseries.configure()");
		PreventCommandDuringRecovery("memseries.configure()");

		/* All settings at their default are no label at all. */
		ObjectAddressSet(object, RelationRelationId, RelationGetRelid(rel));
		SetSecurityLabel(&object, MS_LABEL_PROVIDER, label[0] != '\0' ? label : NULL);
		CacheInvalidateRelcache(rel);
		CommandCounterIncrement();
		ms_configure_pending(RelationGetRelid(rel));
	}

	relation_close(rel, NoLock);
	return config_row(fcinfo, &config);
}

/* snapshot(): see worker/worker.h. */
Datum
ms_snapshot(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("memseries.snapshot()");
	ms_snapshot_request_and_wait();
	PG_RETURN_VOID();
}

/*
 * expire(relation, as_of) -> windows expired
 *
 * Takes table->maintain, so it waits while a worker folds, seals or copies in
 * this table.
 */
Datum
ms_expire(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(1);
	Relation	rel;
	MsTable    *table;
	MsConfig	config;
	int64		horizon;
	int			expired = 0;

	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be a finite time"),
				 errhint("TRUNCATE removes everything.")));
	PreventCommandIfReadOnly("memseries.expire()");
	PreventCommandDuringRecovery("memseries.expire()");

	rel = ms_open_owned_table(PG_GETARG_OID(0), RowExclusiveLock);
	ms_store_check_writable();
	table = ms_reldesc(rel)->table;
	if (table != NULL)
	{
		/*
		 * By the settings in effect, not by those this transaction may have
		 * changed.
		 */
		config = ms_table_get_config(table);
		horizon = ms_config_horizon(&config, as_of);
		if (horizon != PG_INT64_MIN)
		{
			ms_lock(table->maintain, MS_RANK_MAINTAIN);
			expired = ms_expire_table(table, horizon);
			ms_unlock(table->maintain);
		}
	}

	relation_close(rel, RowExclusiveLock);
	PG_RETURN_INT32(expired);
}
