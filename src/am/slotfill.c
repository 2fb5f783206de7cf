/*-------------------------------------------------------------------------
 *
 * slotfill.c
 *	  Rows of a series into slots.
 *
 * Making a row is what reading rows costs most, once its values are decoded: a
 * store for every column, and anything asked about it.  So it is asked once for
 * some hundred rows what columns are: those that are double precision
 * and have no NULL among the rows at hand, as most are, are copied; real ones and
 * those with NULLs are looked at row by row.
 *
 * No locks, no memory but the filler's own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/slotfill.h"
#include "core/valuecodec.h"

MsFiller *
ms_filler_create(const MsRelDesc *desc, const bool *wanted)
{
	MsFiller   *filler = palloc0(sizeof(MsFiller));
	int			natts = Max(desc->natts, 1);

	filler->desc = desc;
	filler->natts = desc->natts;
	filler->time = desc->time_att - 1;
	filler->label_atts = palloc(sizeof(int) * natts);
	filler->value_atts = palloc(sizeof(int) * natts);
	filler->isnull = palloc(sizeof(bool) * natts);
	filler->plain = palloc(sizeof(MsFillColumn) * natts);
	filler->others = palloc(sizeof(MsFillColumn) * natts);
	for (int i = 0; i < desc->natts; i++)
	{
		filler->isnull[i] = true;
		if (desc->cols[i].role == MS_ROLE_LABEL)
			filler->label_atts[filler->nlabels++] = i;
		else if (desc->cols[i].role == MS_ROLE_VALUE && (wanted == NULL || wanted[i]))
			filler->value_atts[filler->nvalues++] = i;
	}
	if (filler->time >= 0)
		filler->isnull[filler->time] = false;
	return filler;
}

void
ms_filler_free(MsFiller *filler)
{
	pfree(filler->label_atts);
	pfree(filler->value_atts);
	pfree(filler->isnull);
	pfree(filler->plain);
	pfree(filler->others);
	pfree(filler);
}

void
ms_filler_labels(MsFiller *filler, const Datum *values, const bool *isnull)
{
	filler->labels = values;
	for (int i = 0; i < filler->nlabels; i++)
		filler->isnull[filler->label_atts[i]] = isnull[filler->label_atts[i]];
}

void
ms_filler_rows(MsFiller *filler, const MsRows *rows)
{
	filler->times = rows->times;
	filler->nplain = filler->nothers = 0;
	for (int i = 0; i < filler->nvalues; i++)
	{
		int			att = filler->value_atts[i];
		const MsRelColumn *col = &filler->desc->cols[att];
		MsFillColumn column;

		column.att = att;
		column.values = rows->values[col->ordinal];
		column.nulls = rows->nulls ? rows->nulls[col->ordinal] : NULL;
		filler->isnull[att] = false;
		if (column.nulls == NULL && col->kind == MS_FLOAT8)
			filler->plain[filler->nplain++] = column;
		else
			filler->others[filler->nothers++] = column;
	}
}

void
ms_fill_others(const MsFiller *filler, int row, TupleTableSlot *slot)
{
	for (int i = 0; i < filler->nothers; i++)
	{
		const MsFillColumn *column = &filler->others[i];

		if (column->nulls != NULL && column->nulls[row])
			slot->tts_isnull[column->att] = true;
		else
			slot->tts_values[column->att] =
				ms_value_to_datum(filler->desc->cols[column->att].kind, column->values[row]);
	}
}
