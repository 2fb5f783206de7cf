/*-------------------------------------------------------------------------
 *
 * functions_dump.c
 *	  SQL function dump_table: a table's samples as a file of the server.
 *
 * pg_dump carries a table as rows of text; this carries it as chunks, which is
 * many times faster and smaller.  pg_dump -s and dump_table together move a
 * table to another server, of any version and machine.
 *
 * The rows are those that the calling statement's snapshot sees, read through
 * the same cursor as a query and encoded anew, so that the file holds nothing
 * but them: no runs, nothing deleted, no dropped columns.  Row-level security
 * is not applied, so the function refuses where it would hide anything.
 *
 * The file is written under a temporary name beside its own and renamed once
 * it is whole and durable: whoever finds it under its name finds all of it.
 * An existing file is replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/relation.h"
#include "catalog/pg_authid.h"
#include "common/file_perm.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "am/reldesc.h"
#include "am/serial.h"
#include "dumpfile.h"
#include "functions.h"
#include "store/cursor.h"

PG_FUNCTION_INFO_V1(ms_dump_table);

#define WRITE_BUFFER	(256 * 1024)
#define SECTION_TARGET	(1024 * 1024)	/* bytes of series in a section; more
										 * only for a single chunk */

/* A label column and how to make text of it. */
typedef struct LabelOut
{
	AttrNumber	attnum;
	FmgrInfo	output;
} LabelOut;

typedef struct Dump
{
	Relation	rel;			/* borrowed */
	TupleDesc	tupdesc;		/* borrowed */
	MsRelDesc  *desc;

	/* columns, in their order */
	int			nlabels;
	LabelOut   *labels;			/* [nlabels] */
	int			nvalues;
	int		   *ordinals;		/* [nvalues] in the table's slots */
	uint8	   *kinds;			/* [nvalues] */

	/* of the series at hand */
	Datum	   *datums;			/* by attnum - 1 */
	bool	   *nulls;
	MsSnapLabel *texts;			/* [nlabels] */
	MemoryContext series_context;

	/* the section being gathered: records as they go to the file */
	StringInfoData section;
	uint8	   *chunk;			/* room to encode in */
	Size		chunk_cap;
	MsCodecWork *work;

	/* the file */
	const char *path;
	int			fd;
	MsSnapWriter writer;

	uint64		nseries;
	uint64		nchunks;
	uint64		nsamples;
} Dump;

/* See dumpfile.h.  The same that pg_dump sets. */
int
ms_dump_set_text_format(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* See dumpfile.h. */
void
ms_dump_check_path(const char *path, const char *function)
{
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("relative path not allowed for %s", function),
				 errhint("Give the file's full path on the server.")));
	if (strlen(path) >= MAXPGPATH - 32)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("path is too long for %s", function)));
}

/* ERROR unless the user may write server files and read the table. */
static void
check_rights(Relation rel)
{
	AclResult	result;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write a file of the server"),
				 errdetail("Only roles with privileges of the \"%s\" role may call memseries.dump_table.",
						   "pg_write_server_files"),
				 errhint("Anyone can use psql's \\copy to write rows to a file of the client.")));
	result = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	ms_refuse_rls(rel, "memseries.dump_table");
}

/* ERROR if there is something at the path that must not be replaced. */
static void
check_target(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path)));
}

/* Sorts out the columns. */
static void
init_columns(Dump *dump)
{
	TupleDesc	tupdesc = dump->tupdesc;

	dump->labels = palloc0(sizeof(LabelOut) * tupdesc->natts);
	dump->ordinals = palloc0(sizeof(int) * tupdesc->natts);
	dump->kinds = palloc0(sizeof(uint8) * tupdesc->natts);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		const MsRelColumn *col = &dump->desc->cols[i];

		if (col->role == MS_ROLE_LABEL)
		{
			LabelOut   *label = &dump->labels[dump->nlabels++];
			Oid			function;
			bool		varlena;

			label->attnum = i + 1;
			getTypeOutputInfo(TupleDescAttr(tupdesc, i)->atttypid, &function, &varlena);
			fmgr_info(function, &label->output);
		}
		else if (col->role == MS_ROLE_VALUE)
		{
			dump->ordinals[dump->nvalues] = col->ordinal;
			dump->kinds[dump->nvalues] = col->kind;
			dump->nvalues++;
		}
	}
	dump->datums = palloc0(sizeof(Datum) * tupdesc->natts);
	dump->nulls = palloc0(sizeof(bool) * tupdesc->natts);
	dump->texts = palloc0(sizeof(MsSnapLabel) * Max(dump->nlabels, 1));
}

/*
 * The file
 */

static bool
flush_file(void *arg, const uint8 *data, Size len)
{
	Dump	   *dump = arg;

	while (len > 0)
	{
		ssize_t		n;

		CHECK_FOR_INTERRUPTS();
		errno = 0;
		n = write(dump->fd, data, Min(len, WRITE_BUFFER));
		if (n <= 0)
		{
			/* if write didn't set errno, assume problem is no disk space */
			if (errno == 0)
				errno = ENOSPC;
			if (errno == EINTR)
				continue;
			return false;
		}
		data += n;
		len -= n;
	}
	return true;
}

static void
put_varint(StringInfo buf, uint64 x)
{
	uint8		bytes[MS_VARINT_MAX];

	appendBinaryStringInfo(buf, (char *) bytes, ms_put_varint(bytes, x) - bytes);
}

static void
put_text(StringInfo buf, const char *text)
{
	put_varint(buf, strlen(text));
	appendStringInfoString(buf, text);
}

static void
put_section(Dump *dump, uint32 type, const StringInfoData *payload)
{
	if (payload->len == 0)
		return;
	ms_snap_section(&dump->writer, type, payload->len);
	ms_snap_put(&dump->writer, payload->data, payload->len);
	if (dump->writer.failed)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", dump->path)));
}

static void
write_table(Dump *dump)
{
	StringInfoData buf;
	int			ncolumns = 0;

	initStringInfo(&buf);
	for (int i = 0; i < dump->tupdesc->natts; i++)
		ncolumns += dump->desc->cols[i].role == MS_ROLE_NONE ? 0 : 1;
	put_varint(&buf, ncolumns);
	for (int i = 0; i < dump->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(dump->tupdesc, i);

		if (dump->desc->cols[i].role == MS_ROLE_NONE)
			continue;
		appendStringInfoChar(&buf, dump->desc->cols[i].role);
		appendStringInfoChar(&buf, dump->desc->cols[i].kind);
		put_text(&buf, NameStr(att->attname));
		put_text(&buf, format_type_with_typemod(att->atttypid, att->atttypmod));
	}
	put_text(&buf, GetDatabaseEncodingName());
	put_text(&buf, RelationGetRelationName(dump->rel));
	put_section(dump, MS_DUMP_TABLE, &buf);
}

static void
write_totals(Dump *dump)
{
	StringInfoData buf;

	initStringInfo(&buf);
	put_varint(&buf, dump->nseries);
	put_varint(&buf, dump->nchunks);
	put_varint(&buf, dump->nsamples);
	put_section(dump, MS_DUMP_TOTALS, &buf);
}

/* Writes out the gathered records. */
static void
end_series_section(Dump *dump)
{
	put_section(dump, MS_DUMP_SERIES, &dump->section);
	resetStringInfo(&dump->section);
}

/*
 * The rows
 */

/* The labels of a series as text, in the series context. */
static void
make_texts(Dump *dump, const MsLabelValue *labels, int nlabels)
{
	MemoryContext old = MemoryContextSwitchTo(dump->series_context);

	ms_reldesc_fill_labels(dump->desc, dump->tupdesc, labels, nlabels,
						   dump->datums, dump->nulls);
	for (int i = 0; i < dump->nlabels; i++)
	{
		int			at = dump->labels[i].attnum - 1;
		MsSnapLabel *out = &dump->texts[i];

		out->data = NULL;
		out->len = 0;
		if (!dump->nulls[at])
		{
			char	   *value = OutputFunctionCall(&dump->labels[i].output, dump->datums[at]);

			out->data = (uint8 *) value;
			out->len = strlen(value);
		}
	}
	MemoryContextSwitchTo(old);
}

/* Appends a record to the section, which is written out before it would get too long. */
static void
put_record(Dump *dump, const MsSnapSeries *series)
{
	Size		size = ms_snap_series_size(series, dump->texts);
	MsSnapWriter record;

	if (dump->section.len > 0 && dump->section.len + size > SECTION_TARGET)
		end_series_section(dump);

	if (size > SECTION_TARGET)
	{
		/* Alone in a section, without a copy. */
		ms_snap_section(&dump->writer, MS_DUMP_SERIES, size);
		ms_snap_put_series(&dump->writer, series, dump->texts);
		if (dump->writer.failed)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", dump->path)));
		return;
	}

	/* A writer whose section is the buffer puts the record there. */
	enlargeStringInfo(&dump->section, size);
	memset(&record, 0, sizeof(record));
	record.buf = (uint8 *) dump->section.data + dump->section.len;
	record.cap = size + MS_SNAP_SECTION_TAIL;
	record.left = PG_UINT64_MAX;
	ms_snap_put_series(&record, series, dump->texts);
	dump->section.len += size;
}

/* Encodes rows [first, first + n) and appends them as a record. */
static void
put_rows(Dump *dump, uint32 sid, bool with_labels, const MsRows *rows, int first, int n)
{
	Size		bound = ms_chunk_bound(n, dump->nvalues);
	MsSnapSeries series = {0};

	if (bound > dump->chunk_cap)
	{
		if (dump->chunk != NULL)
			pfree(dump->chunk);
		dump->chunk_cap = Max(bound, 64 * 1024);
		dump->chunk = palloc_extended(dump->chunk_cap, MCXT_ALLOC_HUGE);
	}
	series.sid = sid;
	series.nlabels = with_labels ? dump->nlabels : 0;
	series.chunk = dump->chunk;
	series.chunk_len = ms_chunk_encode(rows, first, n, dump->kinds, MS_CHUNK_SEALED,
									   dump->chunk, dump->work);
	put_record(dump, &series);
	dump->nchunks++;
	dump->nsamples += n;
}

/* Dumps the series the cursor stands on. */
static void
dump_series(Dump *dump, MsCursor *cursor, uint32 sid)
{
	double	  **values = palloc(sizeof(double *) * Max(dump->nvalues, 1));
	bool	  **nulls = palloc(sizeof(bool *) * Max(dump->nvalues, 1));
	bool		begun = false;
	MsRows		rows;

	while (ms_cursor_next(cursor, &rows))
	{
		MsRows		mine = rows;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < dump->nvalues; i++)
		{
			values[i] = rows.values[dump->ordinals[i]];
			nulls[i] = rows.nulls != NULL ? rows.nulls[dump->ordinals[i]] : NULL;
		}
		mine.ncols = dump->nvalues;
		mine.values = values;
		mine.nulls = nulls;
		for (int first = 0; first < rows.nrows; first += MS_CHUNK_MAX_ROWS)
		{
			put_rows(dump, sid, !begun, &mine, first,
					 Min(rows.nrows - first, MS_CHUNK_MAX_ROWS));
			begun = true;
		}
	}
	dump->nseries += begun ? 1 : 0;
	pfree(values);
	pfree(nulls);
}

static void
dump_rows(Dump *dump)
{
	MsTable    *table = dump->desc->table;
	bool	   *need;
	MsCursor   *cursor;

	if (table == NULL)
		return;
	need = palloc0(sizeof(bool) * Max(dump->desc->nvalues, 1));
	for (int i = 0; i < dump->nvalues; i++)
		need[dump->ordinals[i]] = true;
	cursor = ms_cursor_open(table, GetActiveSnapshot(), PG_INT64_MIN, PG_INT64_MAX,
							need, dump->desc->nvalues);
	for (uint32 sid = 0; sid < ms_cursor_series_limit(cursor); sid++)
	{
		const MsLabelValue *labels;
		int			nlabels;

		CHECK_FOR_INTERRUPTS();
		if (!ms_cursor_labels(cursor, sid, &labels, &nlabels) ||
			!ms_cursor_seek(cursor, sid))
			continue;
		make_texts(dump, labels, nlabels);
		dump_series(dump, cursor, sid);
		MemoryContextReset(dump->series_context);
	}
	ms_cursor_close(cursor);
}

/* Called if writing ends with an error, or the backend is told to go. */
static void
remove_file(int code, Datum path)
{
	(void) unlink(DatumGetCString(path));
}

/* Writes the file under a temporary name, and gives it its own. */
static void
write_file(Dump *dump, const char *temporary)
{
	int			level = ms_dump_set_text_format();

	dump->fd = OpenTransientFile(temporary, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY);
	if (dump->fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", temporary)));
	PG_ENSURE_ERROR_CLEANUP(remove_file, CStringGetDatum(temporary));
	{
		ms_snap_start(&dump->writer, palloc(WRITE_BUFFER), WRITE_BUFFER,
					  flush_file, dump, MS_SNAP_KIND_DUMP);
		write_table(dump);
		dump_rows(dump);
		end_series_section(dump);
		write_totals(dump);
		if (!ms_snap_finish(&dump->writer) || pg_fsync(dump->fd) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", temporary)));
		if (CloseTransientFile(dump->fd) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not close file \"%s\": %m", temporary)));
		(void) durable_rename(temporary, dump->path, ERROR);
	}
	PG_END_ENSURE_ERROR_CLEANUP(remove_file, CStringGetDatum(temporary));
	AtEOXact_GUC(true, level);
}

/* dump_table(relation, filename) -> size of the file */
Datum
ms_dump_table(PG_FUNCTION_ARGS)
{
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *temporary;
	Dump	   *dump = palloc0(sizeof(Dump));

	ms_dump_check_path(path, "memseries.dump_table");
	canonicalize_path(path);
	dump->rel = ms_open_owned_table(PG_GETARG_OID(0), AccessShareLock);
	check_rights(dump->rel);
	check_target(path);

	ms_begin_read(dump->rel, GetActiveSnapshot());
	dump->desc = ms_reldesc_copy(dump->rel);
	dump->tupdesc = RelationGetDescr(dump->rel);
	dump->path = path;
	dump->series_context = AllocSetContextCreate(CurrentMemoryContext, "memseries dump",
												 ALLOCSET_DEFAULT_SIZES);
	dump->work = (MsCodecWork *) TYPEALIGN(64, palloc(ms_codec_work_size() + 64));
	initStringInfo(&dump->section);
	init_columns(dump);

	temporary = psprintf("%s.%d.tmp", path, MyProcPid);
	write_file(dump, temporary);
	relation_close(dump->rel, AccessShareLock);
	PG_RETURN_INT64((int64) dump->writer.written);
}
