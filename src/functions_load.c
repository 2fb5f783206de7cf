/*-------------------------------------------------------------------------
 *
 * functions_load.c
 *	  SQL function load_table: adds the samples of a dump file to a table.
 *
 * The file is read twice.  The first time everything in it is verified, the
 * checksums, the structure and every chunk, so that a damaged or foreign file
 * is refused before anything is done; the second time it is loaded.  Both
 * times no byte is looked at before its section's checksum was found right.
 *
 * Columns are matched by name and must be the same in file and table, in any
 * order.  Labels are read from text by the input function of the column's
 * type, values must be of the same type.
 *
 * What is loaded is part of the transaction, exactly as if it had been
 * inserted: samples replace those of equal labels and time, retention and
 * max_series hold.  A chunk that lies in one window as it is, with its columns
 * in the order of the table, is taken over byte by byte; any other is decoded
 * and encoded anew.
 *
 * But no row is ever formed.  Where the server would have to look at rows
 * (check constraints, domains of values, foreign keys, triggers, generated columns,
 * bounds of a partition) the function refuses.  NOT NULL it checks itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "functions.h"
#include "load.h"

PG_FUNCTION_INFO_V1(ms_load_table);

/* See load.h. */
void
ms_load_corrupted(MsLoad *load, const char *why)
{
	if (load->file.version != 0 && load->file.version != MS_SNAP_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot load file \"%s\"", load->path),
				 errdetail("Its format version is %u; this server reads version %d.",
						   load->file.version, MS_SNAP_VERSION),
				 errhint("Dump the table with the same version of memseries, or use pg_dump.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("cannot load file \"%s\"", load->path),
			 errdetail_internal("%c%s.", pg_toupper((unsigned char) why[0]), why + 1),
			 errhint("Only an undamaged file of memseries.dump_table can be loaded. Nothing was changed.")));
}

/*
 * Who may, and into what
 */

static void
check_rights(Relation rel)
{
	AclResult	result;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read a file of the server"),
				 errdetail("Only roles with privileges of the \"%s\" role may call memseries.load_table.",
						   "pg_read_server_files"),
				 errhint("Anyone can use psql's \\copy to read rows from a file of the client.")));
	result = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	ms_refuse_rls(rel, "memseries.load_table");
}

/* Is there a time or value column whose domain has something to say?  That of a label is asked when text becomes a label. */
static bool
has_checked_values(TupleDesc tupdesc)
{
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		uint8		kind;
		uint8		role = ms_column_role(att, &kind);

		if ((role == MS_ROLE_TIME || role == MS_ROLE_VALUE) && DomainHasConstraints(att->atttypid))
			return true;
	}
	return false;
}

/* ERROR if rows of this table would need looking at. */
static void
check_table(Relation rel)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	TriggerDesc *triggers = rel->trigdesc;
	const char *what = NULL;

	if (rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot load into \"%s\"", RelationGetRelationName(rel)),
				 errdetail("It is a materialized view."),
				 errhint("REFRESH MATERIALIZED VIEW fills it.")));

	if (rel->rd_rel->relispartition)
		what = "It is a partition, whose bounds are checked row by row.";
	else if (tupdesc->constr != NULL && tupdesc->constr->num_check > 0)
		what = "It has check constraints, which are checked row by row.";
	else if (has_checked_values(tupdesc))
		what = "It has values of a domain with constraints, which are checked row by row.";
	else if (tupdesc->constr != NULL && tupdesc->constr->has_generated_stored)
		what = "It has generated columns, which are computed row by row.";
	else if (triggers != NULL &&
			 (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
			  triggers->trig_insert_new_table))
		what = "It has triggers or foreign keys, which are run row by row.";
	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot load into table \"%s\"", RelationGetRelationName(rel)),
				 errdetail_internal("%s", what),
				 errhint("Load into a plain table, and INSERT ... SELECT from there.")));
}

/*
 * The file
 */

static bool
fill_from_file(void *arg, uint8 *buf, Size len)
{
	MsLoad	   *load = arg;

	while (len > 0)
	{
		ssize_t		n;

		CHECK_FOR_INTERRUPTS();
		n = read(load->fd, buf, Min(len, 1024 * 1024));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", load->path)));
		if (n == 0)
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

static void
open_file(MsLoad *load)
{
	struct stat st;

	load->fd = OpenTransientFile(load->path, O_RDONLY | PG_BINARY);
	if (load->fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\" for reading: %m", load->path)));
	if (fstat(load->fd, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", load->path)));
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", load->path)));
	load->file.size = st.st_size;
}

/* Back to the file's beginning, for another pass. */
static void
begin_pass(MsLoad *load, bool loading)
{
	if (lseek(load->fd, 0, SEEK_SET) < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", load->path)));
	load->loading = loading;
	load->any_series = false;
	load->nseries = load->nchunks = load->nsamples = 0;
	if (!ms_snap_open(&load->file, fill_from_file, load, load->file.size, MS_SNAP_KIND_DUMP))
		ms_load_corrupted(load, load->file.error);
}

/* Goes to the next section and reads it; false at the end of the file. */
static bool
next_section(MsLoad *load, MsReader *reader)
{
	switch (ms_snap_next(&load->file))
	{
		case MS_SNAP_FINISHED:
			return false;
		case MS_SNAP_FAILED:
			ms_load_corrupted(load, load->file.error);
			break;
		case MS_SNAP_SECTION:
			break;
	}
	if (load->file.len > load->section_cap)
	{
		if (load->section != NULL)
			pfree(load->section);
		load->section = NULL;
		load->section_cap = load->file.len;
		load->section = palloc_extended(load->section_cap, MCXT_ALLOC_HUGE);
	}
	if (!ms_snap_payload(&load->file, load->section))
		ms_load_corrupted(load, load->file.error);
	ms_reader_init(reader, load->section, load->section + load->file.len);
	return true;
}

/*
 * Columns
 */

/* See load.h. */
char *
ms_load_text(MsLoad *load, const uint8 *bytes, Size len)
{
	char	   *text = pnstrdup((const char *) bytes, len);

	if (memchr(bytes, '\0', len) != NULL)
		ms_load_corrupted(load, "a text contains a zero byte");
	return pg_any_to_server(text, len, load->encoding);
}

static char *
get_text(MsLoad *load, MsReader *reader)
{
	uint64		len = ms_get_varint(reader);
	const uint8 *bytes = len <= ms_reader_left(reader) ? ms_get_bytes(reader, len) : NULL;

	if (bytes == NULL)
	{
		ms_reader_fail(reader);
		return pstrdup("");
	}
	return pnstrdup((const char *) bytes, len);
}

/* A column as the file describes it. */
typedef struct FileColumn
{
	uint8		role;
	uint8		kind;
	char	   *name;
	char	   *type;
} FileColumn;

static void
mismatch(MsLoad *load, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("file \"%s\" does not fit table \"%s\"", load->path,
					RelationGetRelationName(load->rel)),
			 errdetail_internal("%s", detail),
			 errhint("The table needs the columns of the one that was dumped; pg_dump --schema-only carries its definition.")));
}

/* Finds the table's column for one of the file's and notes where it goes. */
static void
match_column(MsLoad *load, const FileColumn *column, bool *matched)
{
	for (int i = 0; i < load->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(load->tupdesc, i);
		const MsRelColumn *col = &load->desc->cols[i];

		if (col->role == MS_ROLE_NONE || strcmp(NameStr(att->attname), column->name) != 0)
			continue;
		if (matched[i])
			ms_load_corrupted(load, "a column occurs twice");
		matched[i] = true;
		if (col->role != column->role ||
			(col->role == MS_ROLE_VALUE && col->kind != column->kind))
			mismatch(load, psprintf("Column \"%s\" is of type %s in the file and %s in the table.",
									column->name, column->type,
									format_type_with_typemod(att->atttypid, att->atttypmod)));
		if (col->role == MS_ROLE_LABEL)
		{
			MsLoadLabel *label = &load->label_cols[load->nlabels++];
			Oid			function;

			label->att = att;
			label->ordinal = col->ordinal;
			getTypeInputInfo(att->atttypid, &function, &label->ioparam);
			fmgr_info(function, &label->input);
		}
		else if (col->role == MS_ROLE_VALUE)
		{
			MsLoadValue *value = &load->value_cols[load->nvalues];

			value->att = att;
			value->ordinal = col->ordinal;
			value->kind = col->kind;
			load->kinds[col->ordinal] = col->kind;
			load->same_order = load->same_order && col->ordinal == load->nvalues;
			load->nvalues++;
		}
		return;
	}
	mismatch(load, psprintf("The table has no column \"%s\", which is of type %s in the file.",
							column->name, column->type));
}

/* Reads the section that describes the table, and matches columns. */
static void
read_table(MsLoad *load, MsReader *reader)
{
	uint64		ncolumns = ms_get_varint(reader);
	FileColumn *columns;
	bool	   *matched = palloc0(sizeof(bool) * load->tupdesc->natts);
	char	   *encoding;

	/* Each takes at least four bytes. */
	if (ncolumns > ms_reader_left(reader) / 4)
		ms_load_corrupted(load, "the description of the table is malformed");
	columns = palloc0(sizeof(FileColumn) * Max(ncolumns, 1));
	for (uint64 i = 0; i < ncolumns; i++)
	{
		columns[i].role = ms_get_byte(reader);
		columns[i].kind = ms_get_byte(reader);
		columns[i].name = get_text(load, reader);
		columns[i].type = get_text(load, reader);
	}
	encoding = get_text(load, reader);
	(void) get_text(load, reader);	/* the table's name, for who looks into
									 * the file */
	load->encoding = pg_char_to_encoding(encoding);
	if (reader->bad || ms_reader_left(reader) > 0 || load->encoding < 0)
		ms_load_corrupted(load, "the description of the table is malformed");

	for (uint64 i = 0; i < ncolumns; i++)
	{
		columns[i].name = ms_load_text(load, (uint8 *) columns[i].name, strlen(columns[i].name));
		columns[i].type = ms_load_text(load, (uint8 *) columns[i].type, strlen(columns[i].type));
		match_column(load, &columns[i], matched);
	}
	for (int i = 0; i < load->tupdesc->natts; i++)
	{
		if (!matched[i] && load->desc->cols[i].role != MS_ROLE_NONE)
			mismatch(load, psprintf("The file has no column \"%s\".",
									NameStr(TupleDescAttr(load->tupdesc, i)->attname)));
	}
	load->same_order = load->same_order && load->nvalues == load->desc->nvalues;
	load->texts = palloc0(sizeof(MsSnapLabel) * Max(load->nlabels, 1));
}

/* One record of the file: verified in the first pass, loaded in the second. */
static void
read_record(MsLoad *load, MsReader *reader)
{
	MsSnapSeries series;
	MsSnapLabel *texts = palloc(sizeof(MsSnapLabel) * Max(load->nlabels, 1));
	MsChunk		chunk;
	bool		new_series;

	if (!ms_snap_get_series(reader, &series, texts, load->nlabels) || series.chunk == NULL)
		ms_load_corrupted(load, "a series is malformed");
	new_series = !load->any_series || series.sid != load->sid;
	if (series.nlabels != (new_series ? (uint32) load->nlabels : 0))
		ms_load_corrupted(load, "a series has the wrong number of labels");
	if (!ms_chunk_open(&chunk, series.chunk, series.chunk_len) ||
		chunk.ncols != load->nvalues ||
		!IS_VALID_TIMESTAMP(chunk.tmin) || !IS_VALID_TIMESTAMP(chunk.tmax) ||
		(!load->loading && !ms_chunk_validate(series.chunk, series.chunk_len, load->work)))
		ms_load_corrupted(load, "a chunk is malformed");

	load->nseries += new_series ? 1 : 0;
	load->nchunks++;
	load->nsamples += chunk.nrows;
	load->any_series = true;
	load->sid = series.sid;
	if (load->loading)
	{
		if (new_series)
		{
			memcpy(load->texts, texts, sizeof(MsSnapLabel) * load->nlabels);
			ms_load_labels(load);
		}
		ms_load_chunk(load, series.chunk, series.chunk_len, &chunk);
	}
	pfree(texts);
}

static void
read_totals(MsLoad *load, MsReader *reader)
{
	uint64		nseries = ms_get_varint(reader);
	uint64		nchunks = ms_get_varint(reader);
	uint64		nsamples = ms_get_varint(reader);

	if (reader->bad || ms_reader_left(reader) > 0 || nseries != load->nseries ||
		nchunks != load->nchunks || nsamples != load->nsamples)
		ms_load_corrupted(load, "the totals are wrong");
}

/* Reads the file once from beginning to end. */
static void
run_pass(MsLoad *load, bool loading)
{
	MsReader	reader;
	bool		totals = false;

	begin_pass(load, loading);
	if (!next_section(load, &reader) || load->file.type != MS_DUMP_TABLE)
		ms_load_corrupted(load, "the description of the table is missing");
	if (!loading)
		read_table(load, &reader);

	while (next_section(load, &reader))
	{
		CHECK_FOR_INTERRUPTS();
		if (totals)
			ms_load_corrupted(load, "there is more than there should be");
		if (load->file.type == MS_DUMP_SERIES)
		{
			while (ms_reader_left(&reader) > 0)
				read_record(load, &reader);
		}
		else if (load->file.type == MS_DUMP_TOTALS)
		{
			read_totals(load, &reader);
			totals = true;
		}
		else
			ms_load_corrupted(load, "a section is of unknown type");
	}
	if (!totals)
		ms_load_corrupted(load, "the totals are missing");
}

/* Everything that is allocated once. */
static void
init_load(MsLoad *load)
{
	TupleDesc	tupdesc = RelationGetDescr(load->rel);
	const MsRelDesc *desc = ms_reldesc_for_write(load->rel);
	TimestampTz now = GetCurrentTimestamp();

	load->tupdesc = tupdesc;
	load->desc = palloc(desc->size);
	memcpy(load->desc, desc, desc->size);
	load->config = ms_table_get_config(load->desc->table);
	load->lower = ms_config_horizon(&load->config, now);
	load->upper = ms_config_limit(&load->config, now);
	load->cid = GetCurrentCommandId(true);
	load->label_cols = palloc0(sizeof(MsLoadLabel) * tupdesc->natts);
	load->value_cols = palloc0(sizeof(MsLoadValue) * tupdesc->natts);
	load->kinds = palloc0(Max(load->desc->nvalues, 1));
	load->same_order = true;
	load->series_context = AllocSetContextCreate(CurrentMemoryContext, "memseries load series",
												 ALLOCSET_SMALL_SIZES);
	load->chunk_context = AllocSetContextCreate(CurrentMemoryContext, "memseries load chunk",
												ALLOCSET_DEFAULT_SIZES);
	load->work = (MsCodecWork *) TYPEALIGN(64, palloc(ms_codec_work_size() + 64));
}

/* load_table(relation, filename) -> samples loaded */
Datum
ms_load_table(PG_FUNCTION_ARGS)
{
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MsLoad	   *load = palloc0(sizeof(MsLoad));
	int			level;

	ms_dump_check_path(path, "memseries.load_table");
	PreventCommandIfReadOnly("memseries.load_table()");
	PreventCommandDuringRecovery("memseries.load_table()");

	canonicalize_path(path);
	load->path = path;
	load->rel = ms_open_owned_table(PG_GETARG_OID(0), RowExclusiveLock);
	check_rights(load->rel);
	check_table(load->rel);
	open_file(load);
	init_load(load);

	level = ms_dump_set_text_format();
	run_pass(load, false);
	run_pass(load, true);
	AtEOXact_GUC(true, level);

	if (load->nskipped > 0)
		ms_table_count_skipped(load->desc->table, load->nskipped);
	(void) CloseTransientFile(load->fd);
	relation_close(load->rel, NoLock);
	PG_RETURN_INT64((int64) load->nloaded);
}
