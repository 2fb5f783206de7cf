/*-------------------------------------------------------------------------
 *
 * agggroup.c
 *	  Finding groups by their keys.
 *
 * A group is a label group and a time key: a row of values of the keys that
 * depend on labels, and one of those that depend on the time.  Both kinds of
 * rows are kept in small hash tables with the hash and equality functions of the
 * GROUP BY clause, which are asked once per series and once per bucket.  A group
 * itself is then found by two small numbers.
 *
 * Label and time keys live as long as a scan, groups until they are handed out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "exec/agg.h"

typedef struct GroupEntry
{
	uint64		key;			/* label group, time key */
	int			group;
	char		status;
} GroupEntry;

#define SH_PREFIX msgroup
#define SH_ELEMENT_TYPE GroupEntry
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) ((key) >> 32) * 0x9e3779b1 + (uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* ---- keys ---- */

/* Prepares a table for the keys `exprs`, which eqops compare. */
void
ms_keys_init(MsAggState *state, MsKeyTable *table, List *exprs, List *eqops)
{
	int			n = list_length(exprs);

	memset(table, 0, sizeof(*table));
	table->nkeys = n;
	table->exprs = palloc(sizeof(Expr *) * Max(n, 1));
	table->states = palloc(sizeof(ExprState *) * Max(n, 1));
	table->hash_fns = palloc0(sizeof(FmgrInfo) * Max(n, 1));
	table->eq_fns = palloc0(sizeof(FmgrInfo) * Max(n, 1));
	table->collations = palloc(sizeof(Oid) * Max(n, 1));
	table->typlens = palloc(sizeof(int16) * Max(n, 1));
	table->typbyvals = palloc(sizeof(bool) * Max(n, 1));
	table->probe_values = palloc(sizeof(Datum) * Max(n, 1));
	table->probe_isnull = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Expr	   *expr = list_nth(exprs, i);
		Oid			eqop = list_nth_oid(eqops, i);
		RegProcedure left;
		RegProcedure right;

		if (!get_op_hash_functions(eqop, &left, &right))
			elog(ERROR, "could not find hash function for hash operator %u", eqop);
		fmgr_info(left, &table->hash_fns[i]);
		fmgr_info(get_opcode(eqop), &table->eq_fns[i]);
		table->exprs[i] = expr;
		table->states[i] = ExecInitExpr(expr, &state->scan.css.ss.ps);
		table->collations[i] = exprCollation((Node *) expr);
		get_typlenbyval(exprType((Node *) expr), &table->typlens[i], &table->typbyvals[i]);
	}
	table->cxt = AllocSetContextCreate(state->query_cxt, "memseries keys", ALLOCSET_DEFAULT_SIZES);
}

/* Empties the table. */
void
ms_keys_reset(MsKeyTable *table)
{
	MemoryContextReset(table->cxt);
	table->n = table->cap = table->nslots = 0;
	table->rows = NULL;
	table->slots = NULL;
}

static uint32
hash_probe(MsKeyTable *table)
{
	uint32		hash = 0;

	for (int i = 0; i < table->nkeys; i++)
	{
		uint32		one = 0;

		if (!table->probe_isnull[i])
			one = DatumGetUInt32(FunctionCall1Coll(&table->hash_fns[i], table->collations[i],
												   table->probe_values[i]));
		hash = hash_combine(hash, one);
	}
	return murmurhash32(hash);
}

static bool
probe_equals(MsKeyTable *table, const MsKeyRow *row)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		if (table->probe_isnull[i] != row->isnull[i])
			return false;
		if (!row->isnull[i] &&
			!DatumGetBool(FunctionCall2Coll(&table->eq_fns[i], table->collations[i],
											table->probe_values[i], row->values[i])))
			return false;
	}
	return true;
}

/* Makes the hash larger. */
static void
grow_slots(MsKeyTable *table)
{
	int			nslots = Max(table->nslots * 2, 64);

	if (table->slots != NULL)
		pfree(table->slots);
	table->slots = MemoryContextAllocHuge(table->cxt, sizeof(int) * (Size) nslots);
	table->nslots = nslots;
	memset(table->slots, -1, sizeof(int) * (Size) nslots);
	for (int i = 0; i < table->n; i++)
	{
		uint32		at = table->rows[i].hash & (nslots - 1);

		while (table->slots[at] >= 0)
			at = (at + 1) & (nslots - 1);
		table->slots[at] = i;
	}
}

/* Appends the probe to the rows. */
static int
add_row(MsKeyTable *table, uint32 hash)
{
	MemoryContext old = MemoryContextSwitchTo(table->cxt);
	MsKeyRow   *row;

	if (table->n == table->cap)
	{
		int			cap = Max(table->cap * 2, 16);

		if (table->rows == NULL)
			table->rows = palloc(sizeof(MsKeyRow) * cap);
		else
			table->rows = repalloc_huge(table->rows, sizeof(MsKeyRow) * (Size) cap);
		table->cap = cap;
	}
	row = &table->rows[table->n];
	row->hash = hash;
	row->first = MS_NO_SERIES;
	row->nseries = 0;
	row->values = palloc(Max(table->nkeys, 1) * (sizeof(Datum) + sizeof(bool)));
	row->isnull = (bool *) (row->values + Max(table->nkeys, 1));
	for (int i = 0; i < table->nkeys; i++)
	{
		row->isnull[i] = table->probe_isnull[i];
		row->values[i] = row->isnull[i] ? (Datum) 0 :
			datumCopy(table->probe_values[i], table->typbyvals[i], table->typlens[i]);
	}
	MemoryContextSwitchTo(old);
	return table->n++;
}

/* The number of the row of key values that the probe equals. */
static int
find_probe(MsKeyTable *table, uint32 hash)
{
	uint32		at;

	if (table->n * 2 >= table->nslots)
		grow_slots(table);
	for (at = hash & (table->nslots - 1); table->slots[at] >= 0; at = (at + 1) & (table->nslots - 1))
	{
		const MsKeyRow *row = &table->rows[table->slots[at]];

		if (row->hash == hash && probe_equals(table, row))
			return table->slots[at];
	}
	table->slots[at] = add_row(table, hash);
	return table->n - 1;
}

/*
 * Evaluates the keys for the row in the scan's row slot, and returns the number
 * of the row of key values that they equal.  May raise what the keys raise.
 */
int
ms_keys_find(MsAggState *state, MsKeyTable *table)
{
	ExprContext *econtext = state->scan.css.ss.ps.ps_ExprContext;
	uint32		hash;
	MemoryContext old;

	econtext->ecxt_scantuple = state->scan.row_slot;
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (int i = 0; i < table->nkeys; i++)
		table->probe_values[i] = ExecEvalExpr(table->states[i], econtext, &table->probe_isnull[i]);
	hash = hash_probe(table);
	MemoryContextSwitchTo(old);
	return find_probe(table, hash);
}

/* The same for the one time key, whose value is known. */
int
ms_keys_find_time(MsAggState *state, int64 t)
{
	MsKeyTable *table = &state->time_keys;

	table->probe_values[0] = TimestampTzGetDatum(t);
	table->probe_isnull[0] = false;
	return find_probe(table, hash_probe(table));
}

/* ---- groups ---- */

/* Forgets all groups. */
void
ms_groups_reset(MsAggState *state)
{
	MemoryContextReset(state->group_cxt);
	state->ngroups = 0;
	state->groups_cap = 0;
	state->groups = NULL;
	state->group_index = NULL;
	state->emit_order = NULL;
	state->emit = 0;
	state->groups_age++;
	state->last_group = -1;
}

/* Bytes the groups take. */
Size
ms_groups_memory(MsAggState *state)
{
	return MemoryContextMemAllocated(state->group_cxt, false);
}

static int
add_group(MsAggState *state, uint32 lg, int key)
{
	MsGroupHead *head;

	if (state->ngroups == state->groups_cap)
	{
		int			cap = Max(state->groups_cap * 2, 16);
		Size		size = state->group_size * (Size) cap;

		if (state->groups == NULL)
			state->groups = MemoryContextAllocHuge(state->group_cxt, size);
		else
			state->groups = repalloc_huge(state->groups, size);
		state->groups_cap = cap;
	}
	head = (MsGroupHead *) ms_group_at(state, state->ngroups);
	memset(head, 0, state->group_size);
	head->lg = lg;
	head->key = key;
	return state->ngroups++;
}

/* The number of the group of a label group and a time key. */
int
ms_group_find(MsAggState *state, uint32 lg, int key)
{
	GroupEntry *entry;
	bool		found;

	if (state->last_group >= 0 && state->last_lg == lg && state->last_key == key)
		return state->last_group;

	if (state->group_index == NULL)
		state->group_index = msgroup_create(state->group_cxt, 64, NULL);
	entry = msgroup_insert(state->group_index, (uint64) lg << 32 | (uint32) key, &found);
	if (!found)
		entry->group = add_group(state, lg, key);
	state->last_lg = lg;
	state->last_key = key;
	state->last_group = entry->group;
	return entry->group;
}

/*
 * The number of the group of rows of a label group in an interval (NULL: there
 * are no time keys), of which t is the time of one.
 */
int
ms_group_of(MsAggState *state, uint32 lg, MsInterval *interval, int64 t)
{
	if (interval == NULL)
		return ms_group_find(state, lg, -1);
	if (interval->group >= 0 && interval->lg == lg && interval->groups_age == state->groups_age)
		return interval->group;
	if (interval->key < 0)
	{
		ms_scan_fill_time(&state->scan, t);
		interval->key = ms_keys_find(state, &state->time_keys);
	}
	interval->lg = lg;
	interval->groups_age = state->groups_age;
	interval->group = ms_group_find(state, lg, interval->key);
	return interval->group;
}
