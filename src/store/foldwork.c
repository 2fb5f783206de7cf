/*-------------------------------------------------------------------------
 *
 * foldwork.c
 *	  A new chunk from an old one and what was written since, and putting it in
 *	  the old one's place: what folding, sealing and restoring share.
 *
 * Pieces that simply follow a chunk are appended to it, whole blocks of them
 * as they are; anything else is decoded, merged and encoded anew.  None of
 * that takes a lock: table->maintain keeps what is read where it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "core/totals.h"
#include "store/foldwork.h"

/* ---- scratch memory, kept for one call of ms_fold_table or ms_seal_table ---- */

MsFoldWork *
ms_foldwork_create(MsTable *table)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "memseries fold",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	MsFoldWork *work = palloc0(sizeof(MsFoldWork));
	MsSlot	   *slots = palloc(sizeof(MsSlot) * MS_MAX_SLOTS);
	int			nslots = ms_table_get_slots(table, slots, MS_MAX_SLOTS);

	work->cxt = cxt;
	work->table = table;
	work->kinds = palloc0(nslots + 1);
	work->missing = palloc0(sizeof(MsMissing) * (nslots + 1));
	for (int i = 0; i < nslots; i++)
	{
		if (slots[i].role != MS_ROLE_VALUE)
			continue;
		work->kinds[work->nvalues] = slots[i].kind;
		work->missing[work->nvalues].isnull = !slots[i].has_missing;
		work->missing[work->nvalues].value = slots[i].missing;
		work->nvalues++;
	}
	pfree(slots);
	ms_rowbuf_init(&work->base, cxt, work->nvalues, NULL, work->missing);
	ms_rowbuf_init(&work->late, cxt, work->nvalues, NULL, work->missing);
	ms_rowbuf_init(&work->scratch, cxt, work->nvalues, NULL, work->missing);
	work->codec = (MsCodecWork *) TYPEALIGN(64, palloc(ms_codec_work_size() + 64));
	MemoryContextSwitchTo(old);
	return work;
}

void
ms_foldwork_free(MsFoldWork *work)
{
	MemoryContextDelete(work->cxt);
}

/* One of two output buffers, with room for that many bytes. */
static uint8 *
out_buffer(MsFoldWork *work, int which, Size size)
{
	if (size > work->out_cap[which])
	{
		if (work->out[which] != NULL)
			pfree(work->out[which]);
		work->out[which] = NULL;
		work->out_cap[which] = size + size / 2;
		work->out[which] = MemoryContextAllocHuge(work->cxt, work->out_cap[which]);
	}
	return work->out[which];
}

/* ---- making the new chunk ---- */

static void
report_damaged(MsFoldWork *work, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("memseries %s is damaged", what),
			 errdetail("Storage %u/%u/%u.", work->table->key.spc, work->table->key.db,
					   work->table->key.rel)));
}

/* Encodes the rows of a buffer; *len 0 if there are none, or too many (work->too_large). */
static const uint8 *
encode_rows(MsFoldWork *work, MsRowBuf *buf, int flags, uint32 *len)
{
	MsRows		rows;
	uint8	   *out;

	*len = 0;
	if (buf->nrows == 0)
		return NULL;
	work->too_large = buf->nrows > MS_CHUNK_MAX_ROWS;
	if (work->too_large)
		return NULL;
	ms_rowbuf_view(buf, &rows);
	out = out_buffer(work, 0, ms_chunk_bound(rows.nrows, rows.ncols));
	*len = ms_chunk_encode(&rows, 0, rows.nrows, work->kinds, flags, out, work->codec);
	return out;
}

/* See foldwork.h.  Decodes all and encodes anew. */
const uint8 *
ms_fold_rewrite(MsFoldWork *work, const MsStored *stored, const MsPieceBytes *pieces,
				int npieces, int flags, uint32 *len)
{
	MsBlockCounts counts = {0};

	ms_rowbuf_reset(&work->base);
	ms_rowbuf_reset(&work->late);
	if (stored != NULL &&
		!ms_rowbuf_add_chunk(&work->base, ms_stored_chunk(stored), stored->len, PG_INT64_MIN,
							 PG_INT64_MAX, work->codec, &counts))
		report_damaged(work, "chunk");
	if (!ms_rowbuf_apply(&work->base, &work->late, &work->scratch, pieces, npieces,
						 PG_INT64_MIN, PG_INT64_MAX, work->codec, &counts))
		report_damaged(work, "run");
	work->nrows = work->base.nrows;
	return encode_rows(work, &work->base, flags, len);
}

/* Do the pieces simply follow the chunk, one after the other, with all its columns? */
static bool
pieces_follow(MsFoldWork *work, const MsStored *stored, const MsPieceBytes *pieces,
			  int npieces)
{
	MsChunk		chunk;
	int64		tmax = PG_INT64_MIN;
	uint64		nrows = 0;

	if (stored == NULL || !ms_chunk_open(&chunk, ms_stored_chunk(stored), stored->len) ||
		chunk.ncols != work->nvalues)
		return false;
	tmax = chunk.tmax;
	for (int i = 0; i < npieces; i++)
	{
		if (pieces[i].kind != MS_PIECE_ROWS ||
			!ms_chunk_open(&chunk, pieces[i].data, pieces[i].len) ||
			chunk.ncols != work->nvalues || chunk.tmin <= tmax)
			return false;
		tmax = chunk.tmax;
		nrows += chunk.nrows;
	}
	return stored->nrows + nrows <= MS_CHUNK_MAX_ROWS;
}

/*
 * Appends pieces that follow: a large one is adopted block by block, small
 * ones are gathered and appended as rows.
 */
static const uint8 *
append_pieces(MsFoldWork *work, const MsStored *stored, const MsPieceBytes *pieces,
			  int npieces, int flags, uint32 *len)
{
	const uint8 *at = ms_stored_chunk(stored);
	uint32		at_len = stored->len;
	int			which = 0;
	MsBlockCounts counts = {0};
	uint8	   *out;

	ms_rowbuf_reset(&work->late);
	work->nrows = stored->nrows;
	for (int i = 0; i <= npieces; i++)
	{
		MsChunk		chunk = {0};
		bool		large = false;

		if (i < npieces)
		{
			if (!ms_chunk_open(&chunk, pieces[i].data, pieces[i].len))
				report_damaged(work, "run");
			large = chunk.nrows >= MS_BLOCK_ROWS;
			work->nrows += chunk.nrows;
		}
		if ((i == npieces || large) && work->late.nrows > 0)
		{
			MsRows		rows;

			ms_rowbuf_view(&work->late, &rows);
			out = out_buffer(work, which, ms_chunk_append_bound(at, at_len, rows.nrows,
																rows.ncols, flags));
			at_len = ms_chunk_append(at, at_len, &rows, work->kinds, flags, out,
									 work->codec);
			at = out;
			which = 1 - which;
			ms_rowbuf_reset(&work->late);
		}
		if (at_len > 0 && large)
		{
			out = out_buffer(work, which,
							 ms_chunk_concat_bound(at, at_len, pieces[i].data,
												   pieces[i].len, flags));
			at_len = ms_chunk_concat(at, at_len, pieces[i].data, pieces[i].len,
									 work->kinds, flags, out, work->codec);
			at = out;
			which = 1 - which;
		}
		else if (i < npieces &&
				 !ms_rowbuf_add_chunk(&work->late, pieces[i].data, pieces[i].len,
									  PG_INT64_MIN, PG_INT64_MAX, work->codec, &counts))
			report_damaged(work, "run");
		if (at_len == 0)
			report_damaged(work, "chunk");
	}
	*len = at_len;
	return at;
}

/* See foldwork.h. */
const uint8 *
ms_fold_chunk(MsFoldWork *work, const MsStored *stored, const MsPieceBytes *pieces,
			  int npieces, int flags, uint32 *len)
{
	work->too_large = false;
	if (pieces_follow(work, stored, pieces, npieces))
		return append_pieces(work, stored, pieces, npieces, flags, len);
	return ms_fold_rewrite(work, stored, pieces, npieces, flags, len);
}

/* ---- putting it in place ---- */

/* See foldwork.h. */
MsRef
ms_chunk_store(MsWindow *window, const uint8 *data, uint32 len, uint32 nrows, bool packed)
{
	MsArena    *arena = ms_store->arena;
	uint8		totals[MS_TOTALS_MAX + MS_TOTALS_UNIT] = {0};
	MsStored	head = {.len = len,.nrows = nrows};
	MsStored   *stored;
	MsRef		ref;

	if (packed)
	{
		head.totals = (ms_totals_encode(data, len, totals) + MS_TOTALS_UNIT - 1) / MS_TOTALS_UNIT;
		ref = ms_arena_alloc_packed(arena, &window->group, ms_stored_size(&head), MS_ALLOC_RESERVE);
	}
	else
		ref = ms_arena_alloc(arena, &window->group, ms_stored_size(&head), MS_ALLOC_RESERVE);
	if (ref == 0)
		return 0;
	stored = ms_ptr(arena, ref);
	*stored = head;
	memcpy(stored->body, totals, ms_stored_totals_size(&head));
	memcpy(stored->body + ms_stored_totals_size(&head), data, len);
	return ref;
}

/* Counts a chunk that comes to a window, or (sign -1) goes. */
static void
count_chunk(MsWindow *window, const MsStored *stored, int sign)
{
	MsChunkParts parts = {0};

	/* a malformed one was reported when it was made or read */
	(void) ms_chunk_parts(ms_stored_chunk(stored), stored->len, &parts);
	window->nchunks += sign;
	window->chunk_bytes += sign * (int64) ms_stored_size(stored);
	window->chunk_times += sign * (int64) parts.times;
	window->chunk_values += sign * (int64) parts.values;
	window->nsamples += sign * (int64) stored->nrows;
}

/* See foldwork.h. */
void
ms_chunk_switch_locked(MsWindow *window, MsEntry *entry, MsRef new_chunk)
{
	MsArena    *arena = ms_store->arena;

	if (entry->chunk != 0)
	{
		MsStored   *old = ms_ptr(arena, entry->chunk);

		count_chunk(window, old, -1);
		ms_arena_free(arena, &window->group, entry->chunk, ms_stored_size(old));
	}
	entry->chunk = new_chunk;
	if (new_chunk != 0)
		count_chunk(window, ms_ptr(arena, new_chunk), 1);
}
