/*-------------------------------------------------------------------------
 *
 * dumpfile.h
 *	  The file by which dump_table and load_table carry a table elsewhere.
 *
 * It is made of the sections of core/snapfmt.h, so every byte is under a
 * checksum, and of chunks as memory has them.  What depends on the server it
 * came from is text: names, types, and label values, in the server encoding
 * that the file names.
 *
 *		TABLE		v ncolumns | columns | text encoding | text name of table
 *		SERIES ...	records of ms_snap_put_series: number, labels, chunk
 *		TOTALS		v series | v chunks | v samples
 *
 *		column		1 role | 1 kind | text name | text type
 *		text		v length | bytes
 *
 * Columns come in the order of the table, dropped ones left out.  A series'
 * labels are those of the columns with role MS_ROLE_LABEL, in that order, and
 * its chunks have the values of those with MS_ROLE_VALUE, in that order.  All
 * chunks of a series follow each other, oldest first; only the first has
 * labels, unless there are none at all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_DUMPFILE_H
#define MS_DUMPFILE_H

#include "core/snapfmt.h"
#include "store/table.h"

/* Types of sections.  On disk. */
#define MS_DUMP_TABLE		(MS_SNAP_USER + 0)
#define MS_DUMP_SERIES		(MS_SNAP_USER + 1)
#define MS_DUMP_TOTALS		(MS_SNAP_USER + 2)

/*
 * Sets what the text of values depends on (DateStyle and the like) to what
 * travels, until AtEOXact_GUC(true, level) or the end of the transaction.
 * Returns level.
 */
extern int	ms_dump_set_text_format(void);

/* ERROR unless the path is absolute. */
extern void ms_dump_check_path(const char *path, const char *function);

#endif							/* MS_DUMPFILE_H */
