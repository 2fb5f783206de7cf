/*-------------------------------------------------------------------------
 *
 * snapfile.h
 *	  Names and bytes of snapshot files; private to the store.
 *
 * The essay is in snapfile.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_SNAPFILE_H
#define MS_SNAPFILE_H

#include "core/snapfmt.h"
#include "store/table.h"

#define MS_SNAP_DIR			"memseries" /* in the data directory */
#define MS_SNAP_LIVE		".window"	/* what a snapshot consists of */
#define MS_SNAP_DAMAGED		".damaged"	/* set aside, never read again */
#define MS_SNAP_UNLOADED	".unloaded" /* sound, but not in memory; tried
										 * again at the next start */

/* Which window of which table a file is of. */
typedef struct MsSnapName
{
	MsTableKey	key;
	int64		start;
} MsSnapName;

/* Creates the directory if it is not there. ERROR if that fails. */
extern void ms_snapfile_make_dir(void);

/* Fills path, which has MAXPGPATH bytes. */
extern void ms_snapfile_path(char *path, const MsSnapName *name, const char *suffix);
extern void ms_snapfile_temp_path(char *path, const MsSnapName *name);

/* Takes a file's name apart; false if it is not of that suffix. */
extern bool ms_snapfile_parse(const char *file, const char *suffix, MsSnapName *name);

/* All files of that suffix, palloc'd; their number, 0 also if there is no directory. */
extern int	ms_snapfile_list(const char *suffix, MsSnapName **names);

/* Removes what an interrupted snapshot left. */
extern void ms_snapfile_remove_temps(void);

/* An open file. */
typedef struct MsSnapStream
{
	int			fd;
	int			error;			/* errno of what failed; 0 */
	uint64		size;			/* when reading: of the file */
	char		path[MAXPGPATH];
} MsSnapStream;

extern void ms_snapstream_create(MsSnapStream *stream, const char *path);	/* ERROR if it cannot */
extern bool ms_snapstream_open(MsSnapStream *stream, const char *path); /* to read; false:
																		 * stream->error */

/* Callbacks for core/snapfmt.h; arg is the stream. */
extern bool ms_snapstream_write(void *arg, const uint8 *data, Size len);
extern bool ms_snapstream_read(void *arg, uint8 *buf, Size len);

/* Makes what was written durable, and closes.  ERROR if either fails. */
extern void ms_snapstream_sync(MsSnapStream *stream);
extern void ms_snapstream_close(MsSnapStream *stream);

/* Restoring tells what the files say of a table, so that writing knows (restore.c to snapshot.c). */
extern void ms_snapshot_note_restored(MsTable *table, uint64 round);

#endif							/* MS_SNAPFILE_H */
