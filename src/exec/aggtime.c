/*-------------------------------------------------------------------------
 *
 * aggtime.c
 *	  Which functions of the time are constant over buckets of it.
 *
 * A group key may be any expression of the time, as long as the time occurs in it
 * only inside functions that are known to be constant over stretches of time:
 * date_bin and date_trunc themselves, and what people write instead of them, parts
 * of a date (extract), a cast to date, to_char, and the seconds since the epoch divided and rounded,
 * in the session's time zone or AT TIME ZONE another one.  Each of these is
 * traced back to a date_bin or date_trunc whose buckets it is constant over; aggbucket.c cuts
 * time by that, and the key itself is evaluated as it is, for any time of a bucket.
 *
 * Other arguments must be constant.  An expression that divides the seconds since the
 * epoch is taken to be exact to the microsecond, which it is until the year 2200.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "exec/agg.h"

typedef struct BucketSearch
{
	const MsAggRel *rel;
	List	   *found;			/* of MsBucketFn */
	bool		failed;
} BucketSearch;

/* Arguments of date_trunc, and about how long they last. */
static const struct
{
	const char *field;
	int64		length;
}			fields[] = {
	{"microseconds", 1},
	{"milliseconds", 1000},
	{"second", USECS_PER_SEC},
	{"minute", USECS_PER_MINUTE},
	{"hour", USECS_PER_HOUR},
	{"day", USECS_PER_DAY},
	{"week", 7 * USECS_PER_DAY},
	{"month", 28 * USECS_PER_DAY},
	{"quarter", 90 * USECS_PER_DAY},
	{"year", 365 * USECS_PER_DAY},
	{"decade", 3652 * USECS_PER_DAY},
	{"century", 36524 * USECS_PER_DAY},
	{"millennium", 365242 * USECS_PER_DAY},
};

/* Arguments of extract, and the one of date_trunc over whose buckets they are constant. */
static const struct
{
	const char *part;
	const char *field;
}			parts[] = {
	{"minute", "minute"},
	{"hour", "hour"},
	{"day", "day"},
	{"dow", "day"},
	{"isodow", "day"},
	{"doy", "day"},
	{"week", "week"},
	{"isoyear", "week"},
	{"month", "month"},
	{"quarter", "quarter"},
	{"year", "year"},
	{"decade", "decade"},
	{"century", "century"},
	{"millennium", "millennium"},
};

#define MAX_SECONDS		10000000	/* that the epoch is divided by */

/* ---- pieces of expressions ---- */

static Const *
constant_arg(List *args, int n)
{
	Const	   *arg = (Const *) ms_agg_strip_relabel((Node *) list_nth(args, n));

	return IsA(arg, Const) && !arg->constisnull ? arg : NULL;
}

static bool
is_time(const MsAggRel *rel, Node *node)
{
	Var		   *var = (Var *) ms_agg_strip_relabel(node);

	return IsA(var, Var) && var->varno == (int) rel->relid && var->varlevelsup == 0 &&
		var->varattno == rel->time_att;
}

/*
 * Is this the time in a time zone, as a timestamp or, of the session's, itself?  *zone is
 * NULL for the session's.
 */
static bool
match_local(const MsAggRel *rel, Node *node, Node **time, Const **zone)
{
	FuncExpr   *func = (FuncExpr *) node;
	char	   *name;

	*time = node;
	*zone = NULL;
	if (is_time(rel, node))
		return true;
	if (!IsA(func, FuncExpr))
		return false;
	*time = llast(func->args);
	switch (func->funcid)
	{
		case F_TIMESTAMP_TIMESTAMPTZ:
			return is_time(rel, *time);
		case F_TIMEZONE_TEXT_TIMESTAMPTZ:
			*zone = constant_arg(func->args, 0);
			if (*zone == NULL || !is_time(rel, *time))
				return false;
			/* an abbreviation may mean different offsets at different times */
			name = TextDatumGetCString((*zone)->constvalue);
			return pg_tzset(name) != NULL;
		default:
			return false;
	}
}

/* ---- buckets to cut by ---- */

/* date_trunc(field, time [, zone]); NULL if expr is not given: make it. */
static bool
set_trunc(MsBucketFn *fn, Expr *expr, const char *field, Node *time, Const *zone)
{
	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		Size		len = strlen(fields[i].field);
		List	   *args;

		if (pg_strncasecmp(field, fields[i].field, len) != 0 ||
			(field[len] != '\0' && pg_strcasecmp(field + len, "s") != 0))
			continue;
		fn->length = fields[i].length;
		fn->zoned = true;
		fn->even = zone == NULL && fn->length <= USECS_PER_DAY;
		fn->zone = zone ? TextDatumGetCString(zone->constvalue) : NULL;
		fn->expr = expr;
		if (expr == NULL)
		{
			args = list_make2(makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
										CStringGetTextDatum(fields[i].field), false, false), time);
			if (zone != NULL)
				args = lappend(args, copyObject(zone));
			fn->expr = (Expr *) makeFuncExpr(zone ? F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT :
											 F_DATE_TRUNC_TEXT_TIMESTAMPTZ, TIMESTAMPTZOID, args,
											 InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
		}
		return true;
	}
	return false;
}

static bool
match_trunc(const MsAggRel *rel, FuncExpr *func, MsBucketFn *fn)
{
	Const	   *field = constant_arg(func->args, 0);
	Const	   *zone = NULL;
	Node	   *time = lsecond(func->args);
	Expr	   *expr = (Expr *) func;

	if (field == NULL)
		return false;
	if (func->funcid == F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT)
	{
		zone = constant_arg(func->args, 2);
		if (zone == NULL || pg_tzset(TextDatumGetCString(zone->constvalue)) == NULL)
			return false;
	}
	if (!is_time(rel, time))
	{
		if (func->funcid != F_DATE_TRUNC_TEXT_TIMESTAMP || !match_local(rel, time, &time, &zone))
			return false;
		expr = NULL;
	}
	return set_trunc(fn, expr, TextDatumGetCString(field->constvalue), time, zone);
}

/* date_bin(stride, time, origin) */
static bool
match_bin(const MsAggRel *rel, FuncExpr *func, MsBucketFn *fn)
{
	Const	   *stride = constant_arg(func->args, 0);
	Interval   *interval;
	int64		days;

	if (stride == NULL || constant_arg(func->args, 2) == NULL || !is_time(rel, lsecond(func->args)))
		return false;
	interval = DatumGetIntervalP(stride->constvalue);
	if (interval->month != 0 ||
		__builtin_mul_overflow((int64) interval->day, USECS_PER_DAY, &days) ||
		__builtin_add_overflow(days, interval->time, &fn->length))
		return false;
	fn->expr = (Expr *) func;
	return fn->length > 0;
}

/* date_bin of so many seconds, with an origin that is so much after the epoch. */
static void
set_bin(MsBucketFn *fn, Node *time, int64 seconds, int64 offset)
{
	Interval   *stride = palloc0(sizeof(Interval));
	List	   *args;

	stride->time = seconds * USECS_PER_SEC;
	args = list_make3(makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval),
								IntervalPGetDatum(stride), false, false), time,
					  makeConst(TIMESTAMPTZOID, -1, InvalidOid, sizeof(int64),
								TimestampTzGetDatum(SetEpochTimestamp() + offset), false,
								FLOAT8PASSBYVAL));
	fn->expr = (Expr *) makeFuncExpr(F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ, TIMESTAMPTZOID, args,
									 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	fn->length = stride->time;
}

/* ---- what is constant over them ---- */

/* A part of the date. */
static bool
match_part(const MsAggRel *rel, FuncExpr *func, MsBucketFn *fn)
{
	Const	   *part = constant_arg(func->args, 0);
	Const	   *zone;
	Node	   *time;
	char	   *name;

	if (part == NULL || !match_local(rel, lsecond(func->args), &time, &zone))
		return false;
	name = TextDatumGetCString(part->constvalue);
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (pg_strcasecmp(name, parts[i].part) == 0)
			return set_trunc(fn, NULL, parts[i].field, time, zone);
	}
	return false;
}

/* to_char: by the finest that its pattern may show.  What is quoted is not told apart. */
static bool
match_to_char(const MsAggRel *rel, FuncExpr *func, MsBucketFn *fn)
{
	static const char *const finer[][2] = {
		{"MS", NULL}, {"US", NULL}, {"FF", NULL}, {"SS", "second"}, {"MI", "minute"},
		{"HH", "hour"}, {"AM", "hour"}, {"PM", "hour"}, {"A.M", "hour"}, {"P.M", "hour"},
	};
	Const	   *pattern = constant_arg(func->args, 1);
	Const	   *zone;
	Node	   *time;
	char	   *shown;

	if (pattern == NULL || !match_local(rel, linitial(func->args), &time, &zone))
		return false;
	shown = TextDatumGetCString(pattern->constvalue);
	for (char *at = shown; *at; at++)
		*at = (char) pg_toupper((unsigned char) *at);
	for (int i = 0; i < (int) lengthof(finer); i++)
	{
		if (strstr(shown, finer[i][0]) != NULL)
			return finer[i][1] != NULL && set_trunc(fn, NULL, finer[i][1], time, zone);
	}
	return set_trunc(fn, NULL, "day", time, zone);
}

/* Seconds since the epoch, or a whole number of times fewer. */
static bool
match_epoch(const MsAggRel *rel, Node *node, Node **time, int64 *seconds)
{
	FuncExpr   *func = (FuncExpr *) node;
	Const	   *part;

	*seconds = 1;
	if (IsA(node, OpExpr))
	{
		OpExpr	   *op = (OpExpr *) node;
		Const	   *by;
		double		n;

		if (op->opfuncid != F_NUMERIC_DIV && op->opfuncid != F_FLOAT8DIV)
			return false;
		by = constant_arg(op->args, 1);
		if (by == NULL)
			return false;
		n = by->consttype == FLOAT8OID ? DatumGetFloat8(by->constvalue) :
			DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, by->constvalue));
		if (!(n >= 1 && n <= MAX_SECONDS) || n != (double) (int64) n)
			return false;
		*seconds = (int64) n;
		func = linitial(op->args);
	}
	if (!IsA(func, FuncExpr) ||
		(func->funcid != F_EXTRACT_TEXT_TIMESTAMPTZ && func->funcid != F_DATE_PART_TEXT_TIMESTAMPTZ))
		return false;
	part = constant_arg(func->args, 0);
	*time = lsecond(func->args);
	return part != NULL && is_time(rel, *time) &&
		pg_strcasecmp(TextDatumGetCString(part->constvalue), "epoch") == 0;
}

static List *
add_bucket(List *found, const MsBucketFn *fn)
{
	MsBucketFn *copy = palloc(sizeof(MsBucketFn));

	*copy = *fn;
	return lappend(found, copy);
}

/* If the node is such a function, the buckets over which it is constant; else NIL. */
static List *
match_function(const MsAggRel *rel, FuncExpr *func)
{
	MsBucketFn	fn = {0};
	bool		matched = false;
	Const	   *zone;
	Node	   *time;
	int64		seconds;
	List	   *both;

	switch (func->funcid)
	{
		case F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ:
			matched = match_bin(rel, func, &fn);
			break;
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
			matched = match_trunc(rel, func, &fn);
			break;
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_DATE_PART_TEXT_TIMESTAMPTZ:
		case F_DATE_PART_TEXT_TIMESTAMP:
			matched = match_part(rel, func, &fn);
			break;
		case F_DATE_TIMESTAMPTZ:
		case F_DATE_TIMESTAMP:
			matched = match_local(rel, linitial(func->args), &time, &zone) &&
				set_trunc(&fn, NULL, "day", time, zone);
			break;
		case F_TO_CHAR_TIMESTAMPTZ_TEXT:
		case F_TO_CHAR_TIMESTAMP_TEXT:
			matched = match_to_char(rel, func, &fn);
			break;
		case F_FLOOR_NUMERIC:
		case F_FLOOR_FLOAT8:
			matched = match_epoch(rel, linitial(func->args), &time, &seconds);
			if (matched)
				set_bin(&fn, time, seconds, 0);
			break;
		case F_INT4_NUMERIC:
		case F_INT4_FLOAT8:
		case F_INT8_NUMERIC:
		case F_INT8_FLOAT8:
			if (!match_epoch(rel, linitial(func->args), &time, &seconds))
				break;

			/*
			 * rounded; just in the middle, up or down: that is a bucket of
			 * its own
			 */
			set_bin(&fn, time, seconds, seconds * USECS_PER_SEC / 2);
			both = add_bucket(NIL, &fn);
			set_bin(&fn, time, seconds, seconds * USECS_PER_SEC / 2 + 1);
			return add_bucket(both, &fn);
		default:
			break;
	}
	return matched ? add_bucket(NIL, &fn) : NIL;
}

static bool
find_buckets(Node *node, BucketSearch *search)
{
	List	   *found;

	if (node == NULL)
		return false;
	found = IsA(node, FuncExpr) ? match_function(search->rel, (FuncExpr *) node) : NIL;
	if (found != NIL)
	{
		search->found = list_concat(search->found, found);
		return false;
	}
	if (is_time(search->rel, node))
		search->failed = true;
	return expression_tree_walker(node, find_buckets, search);
}

/*
 * Adds the buckets over which an expression of the time, and nothing else that varies,
 * is constant to *buckets (MsBucketFn, in CurrentMemoryContext); false if it is not known
 * to be over any.  The time itself is constant over microseconds.
 */
bool
ms_agg_match_buckets(const MsAggRel *rel, Expr *expr, List **buckets)
{
	BucketSearch search = {rel, NIL, false};

	if (is_time(rel, (Node *) expr))
	{
		MsBucketFn	fn = {.expr = expr,.length = 1};

		*buckets = add_bucket(*buckets, &fn);
		return true;
	}
	find_buckets((Node *) expr, &search);
	if (search.failed || search.found == NIL)
		return false;
	*buckets = list_concat(*buckets, search.found);
	return true;
}
