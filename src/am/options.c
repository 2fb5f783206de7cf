/*-------------------------------------------------------------------------
 *
 * options.c
 *	  A table's settings, kept as its security label of provider "memseries".
 *
 * Storage parameters (WITH (...)) would be the natural place, but a server does
 * not let an access method add its own to tables.  A security label is the one
 * piece of text in the catalogs that belongs to a table, is transactional, goes
 * with the table, is dumped by pg_dump before the data and needs no permission
 * but ownership.
 *
 * The catalog is the truth.  How the copy in shared memory follows it is
 * told in configure.c.
 *
 * An ordinary table may carry a label too: it takes effect should the table
 * become one of memseries by ALTER TABLE ... SET ACCESS METHOD.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_class.h"
#include "commands/seclabel.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "am/configure.h"
#include "am/options.h"

static void
bad_setting(const char *name, const char *value, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for memseries setting \"%s\": \"%s\"", name, value),
			 errdetail("%s", detail),
			 errhint("Change settings with memseries.configure.")));
}

static int64
parse_interval(const char *name, const char *value)
{
	Interval   *span;
	int64		usec = 0;

	span = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(value),
												 ObjectIdGetDatum(InvalidOid),
												 Int32GetDatum(-1)));
	if (span->month != 0)
		bad_setting(name, value, "A window's length cannot be given in months or years, which differ in length.");
	if (span->day < 0 || span->day > MS_MAX_CHUNK_DAYS ||
		pg_add_s64_overflow(span->time, (int64) span->day * USECS_PER_DAY, &usec) ||
		usec < MS_MIN_CHUNK_INTERVAL || usec > MS_MAX_CHUNK_INTERVAL)
		bad_setting(name, value,
					psprintf("A window is at least one second and at most %d days long.",
							 MS_MAX_CHUNK_DAYS));
	return usec;
}

static int64
parse_integer(const char *name, const char *value, int64 min, int64 max)
{
	char	   *end;
	long long	n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < min || n > max)
		bad_setting(name, value,
					psprintf("The value must be an integer from " INT64_FORMAT " to " INT64_FORMAT ".",
							 min, max));
	return n;
}

static uint8
parse_choice(const char *name, const char *value, const char *first, const char *second)
{
	if (strcmp(value, first) == 0)
		return 0;
	if (strcmp(value, second) != 0)
		bad_setting(name, value, psprintf("The value must be \"%s\" or \"%s\".", first, second));
	return 1;
}

static void
parse_setting(MsConfig *config, const char *name, const char *value)
{
	if (strcmp(name, "chunk_interval") == 0)
		config->chunk_interval = parse_interval(name, value);
	else if (strcmp(name, "retain") == 0)
		config->retain = strcmp(value, "all") == 0 ? 0 :
			(int32) parse_integer(name, value, 1, MS_MAX_RETAIN);
	else if (strcmp(name, "max_series") == 0)
		config->max_series = (uint32) parse_integer(name, value, 1, PG_INT32_MAX);
	else if (strcmp(name, "on_full") == 0)
		config->on_full = parse_choice(name, value, "error", "expire");
	else if (strcmp(name, "on_out_of_range") == 0)
		config->on_out_of_range = parse_choice(name, value, "error", "skip");
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized memseries setting \"%s\"", name),
				 errdetail("Settings are chunk_interval, retain, max_series, on_full and on_out_of_range."),
				 errhint("Change settings with memseries.configure.")));
}

static char *
trim(char *str)
{
	char	   *end;

	while (isspace((unsigned char) *str))
		str++;
	end = str + strlen(str);
	while (end > str && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	return str;
}

MsConfig
ms_options_parse(const char *str)
{
	MsConfig	config = ms_default_config;
	char	   *copy;
	char	   *next;

	if (str == NULL)
		return config;
	copy = pstrdup(str);
	if (*trim(copy) == '\0')
		return config;
	for (char *item = copy; item != NULL; item = next)
	{
		char	   *equals;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		equals = strchr(item, '=');
		if (equals == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid memseries settings: \"%s\"", str),
					 errdetail("\"%s\" is not of the form name=value.", trim(item)),
					 errhint("Change settings with memseries.configure.")));
		*equals = '\0';
		parse_setting(&config, trim(item), trim(equals + 1));
	}
	pfree(copy);
	return config;
}

/* An interval as text that means the same whatever the session's settings. */
static void
append_interval(StringInfo out, int64 usec)
{
	if (usec % USECS_PER_DAY == 0)
		appendStringInfo(out, INT64_FORMAT " days", usec / USECS_PER_DAY);
	else if (usec % USECS_PER_HOUR == 0)
		appendStringInfo(out, INT64_FORMAT " hours", usec / USECS_PER_HOUR);
	else if (usec % USECS_PER_MINUTE == 0)
		appendStringInfo(out, INT64_FORMAT " minutes", usec / USECS_PER_MINUTE);
	else if (usec % USECS_PER_SEC == 0)
		appendStringInfo(out, INT64_FORMAT " seconds", usec / USECS_PER_SEC);
	else
		appendStringInfo(out, INT64_FORMAT " seconds " INT64_FORMAT " microseconds",
						 usec / USECS_PER_SEC, usec % USECS_PER_SEC);
}

char *
ms_options_format(const MsConfig *config)
{
	StringInfoData out;

	initStringInfo(&out);
	if (config->chunk_interval != ms_default_config.chunk_interval)
	{
		appendStringInfoString(&out, ", chunk_interval=");
		append_interval(&out, config->chunk_interval);
	}
	if (config->retain != ms_default_config.retain)
	{
		if (config->retain == 0)
			appendStringInfoString(&out, ", retain=all");
		else
			appendStringInfo(&out, ", retain=%d", config->retain);
	}
	if (config->max_series != ms_default_config.max_series)
		appendStringInfo(&out, ", max_series=%u", config->max_series);
	if (config->on_full != ms_default_config.on_full)
		appendStringInfoString(&out, ", on_full=expire");
	if (config->on_out_of_range != ms_default_config.on_out_of_range)
		appendStringInfoString(&out, ", on_out_of_range=skip");
	return out.len > 0 ? out.data + 2 : out.data;
}

/*
 * Rewrites fill a transient table, named after the OID of the original, and then
 * swap the storage of the two.  The original is locked as nobody else can lock it.
 */
Oid
ms_rewritten_relation(Relation rel)
{
	unsigned int oid;
	char		rest;

	if (sscanf(RelationGetRelationName(rel), "pg_temp_%u%c", &oid, &rest) != 1 ||
		oid == RelationGetRelid(rel) ||
		!ms_relation_locked_exclusively((Oid) oid))
		return InvalidOid;
	return (Oid) oid;
}

MsConfig
ms_options_of_rel(Relation rel)
{
	ObjectAddress object;
	Oid			original = ms_rewritten_relation(rel);
	char	   *str;
	MsConfig	config;

	ObjectAddressSet(object, RelationRelationId,
					 OidIsValid(original) ? original : RelationGetRelid(rel));
	str = GetSecurityLabel(&object, MS_LABEL_PROVIDER);
	config = ms_options_parse(str);
	if (str)
		pfree(str);
	return config;
}

/* Called for SECURITY LABEL FOR memseries, after the check that the user owns the object. */
static void
check_label(const ObjectAddress *object, const char *seclabel)
{
	char		relkind = '\0';

	if (object->classId == RelationRelationId && object->objectSubId == 0)
		relkind = get_rel_relkind(object->objectId);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("security labels of provider \"%s\" can only be given to tables and materialized views",
						MS_LABEL_PROVIDER),
				 errdetail("They hold the settings of memseries tables."),
				 errhint("Change settings with memseries.configure.")));
	(void) ms_options_parse(seclabel);
	CacheInvalidateRelcacheByRelid(object->objectId);
	ms_configure_pending(object->objectId);
}

void
ms_options_init(void)
{
	register_label_provider(MS_LABEL_PROVIDER, check_label);
}
