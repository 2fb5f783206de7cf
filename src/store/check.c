/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Self-checks of a table's memory.
 *
 * What the counters say is compared with a recount, links with what they
 * should point back to, and every chunk is decoded from its first byte to its
 * last.  Nothing is repaired.
 *
 * A window is counted under one hold of table->lock, or the figures would
 * belong to different moments.  Decoding takes longer; it is done after that,
 * some series at a time, under table->maintain alone: chunks are immutable,
 * and only who maintains a table takes them away.  The entries that lead to
 * them are read under table->lock.  Between these steps windows may come and
 * go; they are found again by their start.
 *
 * Problems are gathered in memory that was there before the locks were taken,
 * and reported after they are given back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "core/chunk.h"
#include "store/check.h"
#include "store/run.h"

#define MAX_PROBLEMS	20		/* told of one step; there may be more */
#define DECODE_STEP		256		/* series whose chunks are decoded at a time */

typedef struct Problems
{
	int			n;
	char		line[MAX_PROBLEMS][256];
} Problems;

/* Notes a problem, if there is room. */
#define problem(problems, ...) \
	do { \
		if ((problems)->n < MAX_PROBLEMS) \
			snprintf((problems)->line[(problems)->n++], \
					 sizeof((problems)->line[0]), __VA_ARGS__); \
	} while (0)

static void
report_all(Problems *problems, MsCheckReport report, void *arg)
{
	for (int i = 0; i < problems->n; i++)
		report(arg, problems->line[i]);
	problems->n = 0;
	CHECK_FOR_INTERRUPTS();
}

/* What a walk over a window's entries and runs finds. */
typedef struct Recount
{
	uint64		chunks;
	uint64		chunk_bytes;
	MsChunkParts parts;
	uint64		samples;
	uint64		pieces;			/* linked to entries */
	uint64		runs;
	uint64		run_bytes;
	uint64		run_samples;
	uint64		live;			/* pieces that runs say are linked */
} Recount;

static void
compare(Problems *problems, const MsWindow *window, const char *what,
		uint64 counter, uint64 counted)
{
	if (counter != counted)
		problem(problems, "window of %s: counter of %s is " UINT64_FORMAT
				" but there are " UINT64_FORMAT, timestamptz_to_str(window->start), what, counter, counted);
}

/* One series' entry in a window.  Caller holds table->lock. */
static void
count_entry(const MsTable *table, const MsWindow *window, uint32 sid,
			const MsEntry *entry, Recount *count, Problems *problems)
{
	MsArena    *arena = ms_store->arena;
	MsChunk		chunk;

	if ((entry->chunk != 0 || entry->pieces != 0) &&
		!(sid < ms_series_limit(&table->series) &&
		  ms_series_is_live(arena, &table->series, sid)))
		problem(problems, "window of %s: it holds something of series %u, which does not exist",
				timestamptz_to_str(window->start), sid);

	if (entry->chunk != 0)
	{
		MsStored   *stored = ms_ptr(arena, entry->chunk);

		count->chunks++;
		count->chunk_bytes += ms_stored_size(stored);
		if (!ms_chunk_open(&chunk, ms_stored_chunk(stored), stored->len))
			problem(problems, "window of %s, series %u: the chunk is malformed",
					timestamptz_to_str(window->start), sid);
		else
		{
			count->samples += chunk.nrows;
			(void) ms_chunk_parts(ms_stored_chunk(stored), stored->len, &count->parts);
			if (chunk.tmin < window->start || chunk.tmax >= window->end)
				problem(problems, "window of %s, series %u: the chunk reaches outside the window",
						timestamptz_to_str(window->start), sid);
		}
	}
	for (MsRef ref = entry->pieces; ref != 0;)
	{
		MsPiece    *piece = ms_ptr(arena, ref);

		count->pieces++;
		if (piece->sid != sid)
			problem(problems, "window of %s, series %u: a piece is of series %u",
					timestamptz_to_str(window->start), sid, piece->sid);
		if (piece->run == 0)
			problem(problems, "window of %s, series %u: a folded piece is still linked",
					timestamptz_to_str(window->start), sid);
		ref = piece->next;
	}
}

/* The runs of a window.  Caller holds table->lock. */
static void
count_runs(const MsWindow *window, Recount *count, Problems *problems)
{
	MsArena    *arena = ms_store->arena;
	MsRef		previous = 0;

	for (MsRef ref = window->runs; ref != 0;)
	{
		MsRun	   *run = ms_ptr(arena, ref);
		MsPiece    *piece = ms_run_first_piece(run);
		uint32		live = 0;

		for (uint32 i = 0; i < run->npieces; i++)
		{
			if (piece->run != 0 && piece->run != ref)
				problem(problems, "window of %s: a piece belongs to another run", timestamptz_to_str(window->start));
			live += piece->run != 0 ? 1 : 0;
			piece = ms_run_next_piece(piece);
		}
		if (run->live != live)
			problem(problems, "window of %s: a run says that %u pieces live, but %u do",
					timestamptz_to_str(window->start), run->live, live);
		if (run->prev != previous)
			problem(problems, "window of %s: the list of runs is broken", timestamptz_to_str(window->start));
		count->runs++;
		count->run_bytes += run->size;
		count->run_samples += run->nrows;
		count->live += live;
		previous = ref;
		ref = run->next;
	}
}

/* Recounts a window and compares.  Caller holds maintain and table->lock. */
static void
check_window_locked(MsTable *table, MsWindow *window, Recount *count, Problems *problems)
{
	const char *why = "unknown reason";

	memset(count, 0, sizeof(*count));
	for (uint32 sid = 0; sid < ms_series_limit(&table->series); sid++)
	{
		MsEntry    *entry = ms_entry_locked(window, sid);

		if (entry != NULL)
			count_entry(table, window, sid, entry, count, problems);
	}
	count_runs(window, count, problems);

	compare(problems, window, "chunks", window->nchunks, count->chunks);
	compare(problems, window, "chunk bytes", window->chunk_bytes, count->chunk_bytes);
	compare(problems, window, "bytes of times", window->chunk_times, count->parts.times);
	compare(problems, window, "bytes of values", window->chunk_values, count->parts.values);
	compare(problems, window, "samples", window->nsamples, count->samples);
	compare(problems, window, "runs", window->nruns, count->runs);
	compare(problems, window, "run bytes", window->run_bytes, count->run_bytes);
	compare(problems, window, "run samples", window->run_samples, count->run_samples);
	compare(problems, window, "linked pieces", count->live, count->pieces);
	if (!ms_group_is_valid(ms_store->arena, &window->group, &why))
		problem(problems, "window of %s: its memory is not valid: %s", timestamptz_to_str(window->start), why);
}

/* What does not belong to a single window.  Takes both locks. */
static void
check_whole(MsTable *table, Problems *problems)
{
	const char *why = "unknown reason";
	uint64		runs = 0;
	uint64		run_bytes = 0;

	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	if (!ms_series_is_valid(ms_store->arena, &table->series, &why))
		problem(problems, "series are not valid: %s", why);
	if (!ms_group_is_valid(ms_store->arena, &table->group, &why))
		problem(problems, "the table's memory is not valid: %s", why);
	for (int i = 0; i < table->nwindows; i++)
	{
		MsWindow   *window = ms_window_at(table, i);

		if (window->start >= window->end)
			problem(problems, "window of %s ends before it starts", timestamptz_to_str(window->start));
		if (i > 0 && ms_window_at(table, i - 1)->end > window->start)
			problem(problems, "window of %s overlaps the one before", timestamptz_to_str(window->start));
		runs += window->nruns;
		run_bytes += window->run_bytes;
	}
	if (runs != table->nruns || run_bytes != table->run_bytes)
		problem(problems, "the table counts %u runs of " UINT64_FORMAT " bytes, its windows "
				UINT64_FORMAT " of " UINT64_FORMAT,
				table->nruns, table->run_bytes, runs, run_bytes);
	ms_unlock(table->lock);
	ms_unlock(table->maintain);
}

/* The first window that ends above t, recounted; false if there is none. */
static bool
check_next_window(MsTable *table, int64 t, int64 *start, int64 *end, Problems *problems)
{
	Recount		count;
	bool		found;
	int			i;

	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	i = ms_window_search_locked(table, t);
	found = i < table->nwindows;
	if (found)
	{
		MsWindow   *window = ms_window_at(table, i);

		*start = window->start;
		*end = window->end;
		check_window_locked(table, window, &count, problems);
	}
	ms_unlock(table->lock);
	ms_unlock(table->maintain);
	return found;
}

/* Are the totals those of the chunk, if it has any? */
static bool
totals_agree(const MsStored *stored)
{
	uint8		totals[MS_TOTALS_MAX];
	Size		len;

	if (stored->totals == 0)
		return true;
	len = ms_totals_encode(ms_stored_chunk(stored), stored->len, totals);
	return len <= (Size) stored->totals * MS_TOTALS_UNIT && len > 0 &&
		memcmp(totals, stored->body, len) == 0;
}

/*
 * Decodes the chunks of up to DECODE_STEP series from *sid on; false when the
 * window, or its last series, is through.
 */
static bool
decode_some(MsTable *table, int64 start, uint32 *sid, MsCodecWork *work, Problems *problems)
{
	MsArena    *arena = ms_store->arena;
	MsStored   *chunks[DECODE_STEP];
	uint32		sids[DECODE_STEP];
	int			n = 0;
	MsWindow   *window;
	bool		more;

	ms_lock(table->maintain, MS_RANK_MAINTAIN);
	ms_lock_shared(table->lock, MS_RANK_TABLE);
	window = ms_window_find_locked(table, start);
	more = window != NULL;
	for (int step = 0; more && step < DECODE_STEP; step++, (*sid)++)
	{
		MsEntry    *entry;

		more = *sid < ms_series_limit(&table->series);
		if (!more)
			break;
		entry = ms_entry_locked(window, *sid);
		if (entry != NULL && entry->chunk != 0)
		{
			chunks[n] = ms_ptr(arena, entry->chunk);
			sids[n++] = *sid;
		}
	}
	ms_unlock(table->lock);

	for (int i = 0; i < n; i++)
	{
		if (!ms_chunk_validate(ms_stored_chunk(chunks[i]), chunks[i]->len, work))
			problem(problems, "window of %s, series %u: the chunk cannot be decoded",
					timestamptz_to_str(start), sids[i]);
		else if (!totals_agree(chunks[i]))
			problem(problems, "window of %s, series %u: the chunk's totals are not its own",
					timestamptz_to_str(start), sids[i]);
	}
	ms_unlock(table->maintain);
	return more;
}

/* See check.h. */
void
ms_check_table(MsTable *table, MsCheckReport report, void *arg)
{
	Problems   *problems = palloc0(sizeof(Problems));
	MsCodecWork *work = (MsCodecWork *) TYPEALIGN(64, palloc(ms_codec_work_size() + 64));
	int64		t = PG_INT64_MIN;
	int64		start;

	check_whole(table, problems);
	report_all(problems, report, arg);
	while (check_next_window(table, t, &start, &t, problems))
	{
		uint32		sid = 0;

		report_all(problems, report, arg);
		while (decode_some(table, start, &sid, work, problems))
			report_all(problems, report, arg);
		report_all(problems, report, arg);
	}
	pfree(problems);
}
