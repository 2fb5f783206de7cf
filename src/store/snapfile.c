/*-------------------------------------------------------------------------
 *
 * snapfile.c
 *	  Names and bytes of snapshot files.
 *
 * Snapshots live in one directory of the data directory, one file for each
 * window of each table, named after the table's storage and the window's
 * start:
 *
 *		memseries/<tablespace>_<database>_<relfilenumber>_<start>.window
 *
 * so that a file's fate can be decided from its name alone: whether its
 * table still has storage, whether its window is still in memory.  A file being
 * written has a name that starts like PostgreSQL's temporary files do, which a
 * base backup leaves out.  Files with other suffixes were set aside, see
 * restore.c.
 *
 * Streams are plain file descriptors that PostgreSQL keeps book of, so that an
 * ERROR leaks none once AtEOXact_Files() is called.  The core's callbacks do
 * not throw: a failure is remembered with its errno, and reported by whoever
 * drives the core.
 *
 * No locks are taken or needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "store/snapfile.h"

/* PostgreSQL's own prefix, for what pg_basebackup and pg_rewind should not copy */
#define TEMP_PREFIX		"pgsql_tmp_"

void
ms_snapfile_make_dir(void)
{
	if (MakePGDirectory(MS_SNAP_DIR) < 0)
	{
		if (errno == EEXIST)
			return;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", MS_SNAP_DIR)));
	}
	fsync_fname(".", true);
}

void
ms_snapfile_path(char *path, const MsSnapName *name, const char *suffix)
{
	snprintf(path, MAXPGPATH, "%s/%u_%u_%u_%lld%s", MS_SNAP_DIR, name->key.spc,
			 name->key.db, name->key.rel, (long long) name->start, suffix);
}

void
ms_snapfile_temp_path(char *path, const MsSnapName *name)
{
	snprintf(path, MAXPGPATH, "%s/" TEMP_PREFIX "%u_%u_%u_%lld", MS_SNAP_DIR,
			 name->key.spc, name->key.db, name->key.rel, (long long) name->start);
}

bool
ms_snapfile_parse(const char *file, const char *suffix, MsSnapName *name)
{
	char		path[MAXPGPATH];
	long long	start;

	if (sscanf(file, "%u_%u_%u_%lld", &name->key.spc, &name->key.db,
			   &name->key.rel, &start) != 4)
		return false;
	name->start = start;

	/* Only what we would have written ourselves. */
	ms_snapfile_path(path, name, suffix);
	return strcmp(path + strlen(MS_SNAP_DIR) + 1, file) == 0;
}

int
ms_snapfile_list(const char *suffix, MsSnapName **names)
{
	DIR		   *dir = AllocateDir(MS_SNAP_DIR);
	struct dirent *entry;
	MsSnapName	name;
	int			n = 0;
	int			cap = 64;

	*names = palloc(sizeof(MsSnapName) * cap);
	if (dir == NULL && errno == ENOENT)
		return 0;
	while ((entry = ReadDir(dir, MS_SNAP_DIR)) != NULL)
	{
		if (!ms_snapfile_parse(entry->d_name, suffix, &name))
			continue;
		if (n == cap)
		{
			cap *= 2;
			*names = repalloc_huge(*names, sizeof(MsSnapName) * cap);
		}
		(*names)[n++] = name;
	}
	FreeDir(dir);
	return n;
}

void
ms_snapfile_remove_temps(void)
{
	DIR		   *dir = AllocateDir(MS_SNAP_DIR);
	struct dirent *entry;
	char		path[MAXPGPATH * 2];

	if (dir == NULL && errno == ENOENT)
		return;
	while ((entry = ReadDirExtended(dir, MS_SNAP_DIR, LOG)) != NULL)
	{
		if (strncmp(entry->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", MS_SNAP_DIR, entry->d_name);
		if (unlink(path) < 0 && errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", path)));
	}
	FreeDir(dir);
}

/*
 * Streams
 */

static bool
open_stream(MsSnapStream *stream, const char *path, int flags)
{
	memset(stream, 0, sizeof(*stream));
	strlcpy(stream->path, path, sizeof(stream->path));
	stream->fd = OpenTransientFile(path, flags | PG_BINARY);
	if (stream->fd < 0)
		stream->error = errno;
	return stream->fd >= 0;
}

void
ms_snapstream_create(MsSnapStream *stream, const char *path)
{
	if (!open_stream(stream, path, O_WRONLY | O_CREAT | O_TRUNC))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
}

bool
ms_snapstream_open(MsSnapStream *stream, const char *path)
{
	struct stat st;

	if (!open_stream(stream, path, O_RDONLY))
		return false;
	if (fstat(stream->fd, &st) < 0)
	{
		stream->error = errno;
		return false;
	}
	stream->size = st.st_size;
	return true;
}

bool
ms_snapstream_write(void *arg, const uint8 *data, Size len)
{
	MsSnapStream *stream = arg;

	pgstat_report_wait_start(ms_wait_event(MS_WAIT_FILE));
	while (len > 0)
	{
		ssize_t		n;

		errno = 0;
		n = write(stream->fd, data, Min(len, (Size) 1 << 30));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			/* if write didn't set errno, assume problem is no disk space */
			stream->error = errno ? errno : ENOSPC;
			break;
		}
		data += n;
		len -= n;
	}
	pgstat_report_wait_end();
	return len == 0;
}

bool
ms_snapstream_read(void *arg, uint8 *buf, Size len)
{
	MsSnapStream *stream = arg;

	pgstat_report_wait_start(ms_wait_event(MS_WAIT_FILE));
	while (len > 0)
	{
		ssize_t		n = read(stream->fd, buf, Min(len, (Size) 1 << 30));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			stream->error = n < 0 ? errno : 0;
			break;
		}
		buf += n;
		len -= n;
	}
	pgstat_report_wait_end();
	return len == 0;
}

void
ms_snapstream_sync(MsSnapStream *stream)
{
	int			rc;

	/*
	 * A file that could not be made durable is written anew from memory, with
	 * another temporary file, so this need not be the PANIC that it is for
	 * data files.
	 */
	pgstat_report_wait_start(ms_wait_event(MS_WAIT_FILE));
	rc = pg_fsync(stream->fd);
	pgstat_report_wait_end();
	if (rc != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", stream->path)));
	ms_snapstream_close(stream);
}

void
ms_snapstream_close(MsSnapStream *stream)
{
	if (CloseTransientFile(stream->fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", stream->path)));
}
