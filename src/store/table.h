/*-------------------------------------------------------------------------
 *
 * table.h
 *	  Tables, their column slots, windows and series, in shared memory.
 *
 * A table is keyed by the storage of its relation (tablespace, database,
 * relfilenumber), not by its OID: TRUNCATE and rewrites give a relation new
 * storage, and thereby a new, empty table here, transactionally.
 *
 * Column slots say what each stored label and value belongs to.  They are only
 * ever appended: ADD COLUMN appends a slot when the column is first used, DROP
 * COLUMN leaves its slot unreferenced.  Labels and values have ordinals of
 * their own: label ordinal i is the i-th slot with role MS_ROLE_LABEL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MS_TABLE_H
#define MS_TABLE_H

#include "access/xlogdefs.h"
#include "store/shmem.h"
#include "core/labels.h"
#include "core/totals.h"
#include "core/vec.h"
#include "compat.h"

#define MS_MAX_SLOTS	1664	/* more than MaxHeapAttributeNumber, for stale
								 * ones */

typedef enum MsRole
{
	MS_ROLE_TIME = 0,
	MS_ROLE_LABEL,
	MS_ROLE_VALUE
} MsRole;

typedef struct MsSlot
{
	int16		attnum;
	uint8		role;			/* MsRole */
	uint8		kind;			/* MsValueKind, for values; else 0 */
	bool		has_missing;	/* a value: rows stored before the column was
								 * added have this value, not NULL */
	double		missing;
} MsSlot;

extern bool ms_slot_equal(const MsSlot *a, const MsSlot *b);

typedef enum MsOnFull
{
	MS_FULL_ERROR = 0,
	MS_FULL_EXPIRE
} MsOnFull;

typedef enum MsOnRange
{
	MS_RANGE_ERROR = 0,
	MS_RANGE_SKIP
} MsOnRange;

typedef struct MsConfig
{
	int64		chunk_interval; /* microseconds, at least 1 s */
	int32		retain;			/* windows kept; 0: all */
	uint32		max_series;
	uint8		on_full;		/* MsOnFull */
	uint8		on_out_of_range;	/* MsOnRange */
} MsConfig;

#define MS_DEFAULT_CHUNK_INTERVAL	(INT64CONST(4) * USECS_PER_HOUR)
#define MS_DEFAULT_RETAIN			8
#define MS_DEFAULT_MAX_SERIES		1000000

extern const MsConfig ms_default_config;

extern bool ms_config_equal(const MsConfig *a, const MsConfig *b);

/*
 * What a window's index holds for each series id: the chunk, and the pieces
 * not yet folded into it, newest first.
 */
typedef struct MsEntry
{
	MsRef		chunk;			/* MsStored; 0: none */
	MsRef		pieces;			/* MsPiece; 0: none */
} MsEntry;

/*
 * A chunk as it lies in the arena.  Immutable once an entry points to it.  The totals
 * stand before it, so that who wants these alone waits for memory once.
 */
typedef struct MsStored
{
	uint32		len;			/* bytes of the chunk */
	uint32		nrows:23;		/* rows in it */
	uint32		totals:9;		/* room for totals, MS_TOTALS_UNIT bytes; 0:
								 * it has none */
	uint8		body[FLEXIBLE_ARRAY_MEMBER];	/* core/totals.h, core/chunk.h */
} MsStored;

#define MS_TOTALS_UNIT		4
#define MS_STORED_SIZE(len)	(offsetof(MsStored, body) + (len))

StaticAssertDecl(MS_CHUNK_MAX_ROWS < 1 << 23, "rows of a chunk must fit");
StaticAssertDecl(MS_TOTALS_MAX < MS_TOTALS_UNIT << 9, "totals must fit");

static inline Size
ms_stored_totals_size(const MsStored *stored)
{
	return (Size) stored->totals * MS_TOTALS_UNIT;
}

/* The chunk. */
static inline const uint8 *
ms_stored_chunk(const MsStored *stored)
{
	return stored->body + ms_stored_totals_size(stored);
}

/* Bytes that it takes, totals included. */
static inline Size
ms_stored_size(const MsStored *stored)
{
	return MS_STORED_SIZE((Size) stored->len) + ms_stored_totals_size(stored);
}

typedef struct MsWindow
{
	/* Constant. */
	int64		start;			/* inclusive, microseconds */
	int64		end;			/* exclusive */

	/* Under table->lock. */
	MsVec		index;			/* MsEntry by series id */
	MsRef		runs;			/* list of MsRun, newest first */
	uint32		nruns;
	uint32		nchunks;
	uint64		run_bytes;		/* memory of the runs */
	uint64		run_samples;
	uint64		chunk_bytes;	/* MsStored bytes of the chunks... */
	uint64		chunk_times;	/* ...of which for times... */
	uint64		chunk_values;	/* ...and for values */
	uint64		nsamples;		/* rows in chunks */
	bool		sealed;
	uint64		version;		/* raised with every change of what a snapshot
								 * holds */
	XLogRecPtr	lsn;			/* last WAL record applied here; 0: none */

	/* Under table->maintain. */
	uint64		snap_version;	/* version in the durable file; 0: no file */
	uint32		seal_next;		/* series id to go on sealing from; 0: not
								 * under way */
	uint64		sealed_version; /* version when it was last sealed */
	uint64		seen_version;	/* version when the sealer last looked... */
	TimestampTz seen_since;		/* ...and since when it is that */

	/* Owns the index, the chunks and the runs; under the arena's lock. */
	MsGroup		group;
} MsWindow;

typedef struct MsTableKey
{
	Oid			spc;
	Oid			db;
	Oid			rel;			/* relfilenumber */
} MsTableKey;

typedef struct MsTable
{
	/* Constant after startup. */
	LWLock	   *maintain;		/* rank 1 */
	LWLock	   *lock;			/* rank 3 */

	/* Under store->directory; constant while in_use. */
	bool		in_use;
	MsTableKey	key;
	uint64		generation;		/* differs for every use of this entry */

	bool		logged;			/* what is written goes to WAL */

	/* Set without a lock by whoever committed the drop; freed under maintain. */
	pg_atomic_uint32 dropped;

	/* Under lock. */
	MsConfig	config;
	TransactionId config_xid;	/* about to commit other ones; Invalid: none */
	int			nslots;
	int			nlabels;		/* slots that are labels */
	int			nvalues;		/* slots that are values */
	MsRef		slots;			/* MsSlot[nslots] */
	int			nwindows;
	int			windows_cap;
	MsRef		windows;		/* MsRef[windows_cap] to MsWindow, by start */
	MsSeriesTable series;
	XLogRecPtr	logged_at;		/* end of the last TABLE record; 0: log one
								 * before the next run */
	uint64		last_order;		/* last final order number given here */
	uint32		nruns;			/* in all windows */
	uint64		run_bytes;

	/* Under maintain. */
	bool		snap_config_known;	/* snap_config is set */
	MsConfig	snap_config;	/* as the youngest file has them */
	int			snap_nslots;	/* slots in the file of a window that goes
								 * last */
	bool		unswept;		/* something went that may have been the last
								 * of a series */

	/* Under lock; counters since the table was created or the server started. */
	uint64		skipped_samples;	/* left out because out of range */
	uint64		expired_windows;

	/* Owns labels, series, slots, windows; under the arena's lock. */
	MsGroup		group;
} MsTable;

/* directory */
extern MsTableKey ms_table_key(RelFileLocator locator);

/* The table of this storage, or NULL.  Valid while the caller holds a lock on the relation, or table->maintain. */
extern MsTable *ms_table_lookup(const MsTableKey *key);

/* As above, creating it; ERROR if the directory or the segment is full. */
extern MsTable *ms_table_create(const MsTableKey *key, const MsConfig *config,
								const MsSlot *slots, int nslots, bool logged);

/* Replay: creates the table or brings settings and slots up to date.  ERROR as above. */
extern void ms_table_replay(const MsTableKey *key, const MsConfig *config,
							const MsSlot *slots, int nslots);

/* Marks the table as dropped and frees it now if nobody maintains it, else leaves it to the keeper.  Never fails. */
extern void ms_table_drop(const MsTableKey *key);

/* Frees a dropped table, or every table if force.  Caller holds table->maintain. */
extern void ms_table_free(MsTable *table);

/*
 * Removes all data, keeping the table (TRUNCATE of storage made in the same transaction).  Takes maintain and lock.  ERROR if
 * the gate is closed.
 */
extern void ms_table_clear(MsTable *table);

/* Appends slots; under no lock on entry.  ERROR if there are too many or memory is full. */
extern void ms_table_add_slots(MsTable *table, const MsSlot *slots, int nslots);

/* Copies at most max slots; returns their number.  Takes lock shared. */
extern int	ms_table_get_slots(MsTable *table, MsSlot *out, int max);
extern void ms_table_set_config(MsTable *table, const MsConfig *config);

/*
 * For a transaction that is about to commit other settings: until ms_table_set_config, the table has such as keep
 * what either keeps, and that is in WAL before the commit is.  False, with nothing done, if the gate is closed.
 */
extern bool ms_table_widen_config(MsTable *table, const MsConfig *config, TransactionId xid);

/* Are its settings such, of a transaction that has not ended? */
extern bool ms_table_config_in_doubt(MsTable *table);
extern MsConfig ms_table_get_config(MsTable *table);
extern void ms_table_count_skipped(MsTable *table, uint64 n);

/* Start of the oldest time still accepted at `now`, INT64_MIN if all; end (exclusive) of the latest. */
extern int64 ms_config_horizon(const MsConfig *config, TimestampTz now);
extern int64 ms_config_limit(const MsConfig *config, TimestampTz now);

/* windows; caller holds table->lock (exclusive to change) */
static inline MsWindow *
ms_window_at(const MsTable *table, int i)
{
	MsRef	   *refs = (MsRef *) ms_ptr(ms_store->arena, table->windows);

	return (MsWindow *) ms_ptr(ms_store->arena, refs[i]);
}

/* Index of the first window whose end lies above t (nwindows if none). */
extern int	ms_window_search_locked(const MsTable *table, int64 t);

/* The window that holds t, or NULL. */
extern MsWindow *ms_window_find_locked(const MsTable *table, int64 t);

/* The same, created with the bounds of ms_window_bounds if need be; NULL if memory is full. */
extern MsWindow *ms_window_ensure_locked(MsTable *table, int64 t, int flags);

/* Creates a window with exactly these bounds; NULL if memory is full or another window overlaps them. */
extern MsWindow *ms_window_create_locked(MsTable *table, int64 start, int64 end, int flags);

/* Does no window overlap these bounds? */
extern bool ms_window_fits_locked(const MsTable *table, int64 start, int64 end);

/* The entry of a series, created empty if need be; NULL if memory is full. */
extern MsEntry *ms_entry_ensure_locked(MsWindow *window, uint32 sid, int flags);

/* The entry of a series, or NULL. */
extern MsEntry *ms_entry_locked(const MsWindow *window, uint32 sid);

/* What a new window for t would span, or the span of the existing one; takes lock shared. */
extern void ms_window_bounds(MsTable *table, int64 t, int64 *start, int64 *end);

/*
 * Takes the window out of the table, frees it with all it holds, in O(spans).  Caller holds maintain, not lock.  False, with
 * nothing done, if the table is logged and the gate is closed.
 */
extern bool ms_window_drop(MsTable *table, int64 start);

/* Replay and restoring: the same without a record, unless the window has seen records after `end`. */
extern void ms_window_replay_drop(MsTable *table, int64 start, XLogRecPtr end);

/*
 * The same: drops windows that overlap these bounds and have seen no record since `lsn`: where that was
 * written they were gone.  False if a younger one overlaps them.  Takes maintain and lock.
 */
extern bool ms_window_make_way(MsTable *table, int64 start, int64 end, XLogRecPtr lsn);

/* Frees series that no window refers to; caller holds maintain, not lock.  Returns how many. */
extern uint32 ms_series_sweep(MsTable *table);

#endif							/* MS_TABLE_H */
