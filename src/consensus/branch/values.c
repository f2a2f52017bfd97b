/* The window of values: recording, dropping, v_ref, bytes. */
#include "consensus/branch/values.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "util/mem.h"

enum { VALUES_REF_RECORDS = 64 };

/* --- v_ref --- */

/* The values of an outcome that are kept; returns how many. v_min holds v_ref above 0, by which pay is divided, however
 * little the last blocks were worth. */
static uint32_t values_select(const struct outcome *outcome, const struct spec *spec,
	int64_t kept_values[OUTCOME_MAX_SLOTS])
{
	uint32_t kept_count = 0;

	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++)
		if (outcome->slot[i].count > 0 && outcome->slot[i].value >= spec->v_min)
			kept_values[kept_count++] = outcome->slot[i].value;
	return kept_count;
}

static int values_compare(const void *a, const void *b)
{
	int64_t left_value, right_value;

	memcpy(&left_value, a, sizeof left_value);
	memcpy(&right_value, b, sizeof right_value);
	return (left_value > right_value) - (left_value < right_value);
}

int64_t values_ref(const struct values *values, const struct spec *spec, const struct outcome *newest_outcome)
{
	int64_t newest_values[OUTCOME_MAX_SLOTS], *all_values;
	size_t newest_count = newest_outcome != NULL ? values_select(newest_outcome, spec, newest_values) : 0;
	size_t value_count = values->count + newest_count;
	int64_t v_ref;

	/* The lower quartile, and a value that was there: three of four slots that improve the model are paid in full.
	 */
	if (value_count < VALUES_REF_RECORDS)
		return spec->v_0;
	all_values = mem_alloc(value_count * sizeof *all_values);
	memcpy(all_values, values->list, values->count * sizeof *all_values);
	memcpy(all_values + values->count, newest_values, newest_count * sizeof *all_values);
	qsort(all_values, value_count, sizeof *all_values, values_compare);
	v_ref = all_values[(value_count - 1) / 4];
	free(all_values);
	return v_ref;
}

/* --- blocks --- */

/* Invariant: counts[i] says how many of the values, from where those of block i - 1 end, are block i's; their sum is
 * count. So the oldest block's values are the first counts[0] of the list, and no index is kept. */
static void values_drop_oldest(struct values *values, struct values_undo *undo)
{
	undo->has_dropped = true;
	undo->dropped_count = values->counts[0];
	memcpy(undo->dropped, values->list, undo->dropped_count * sizeof *undo->dropped);
	values->count -= undo->dropped_count;
	memmove(values->list, values->list + undo->dropped_count, values->count * sizeof *values->list);
	values->recorded--;
	memmove(values->counts, values->counts + 1, values->recorded);
}

static void values_record(struct values *values, const struct branch_block *block, struct values_undo *undo)
{
	int64_t added_values[OUTCOME_MAX_SLOTS];
	uint32_t added_count = values_select(&block->parent->outcome, block->spec, added_values);

	if (values->recorded == VALUES_RECORDED)
		values_drop_oldest(values, undo);
	undo->has_record = true;
	values->counts[values->recorded++] = (uint8_t)added_count;
	values->list = mem_realloc(values->list, (values->count + added_count) * sizeof *added_values);
	memcpy(values->list + values->count, added_values, added_count * sizeof *added_values);
	values->count += added_count;
}

/* The way back, from the end: what was appended goes, and only then is there room in counts for what was dropped. */
void values_undo(struct values *values, const struct values_undo *undo)
{
	size_t dropped_count = undo->dropped_count;

	if (!undo->has_record)
		return;
	values->count -= values->counts[--values->recorded];
	if (!undo->has_dropped)
		return;
	values->list = mem_realloc(values->list, (values->count + dropped_count) * sizeof *values->list);
	memmove(values->list + dropped_count, values->list, values->count * sizeof *values->list);
	memcpy(values->list, undo->dropped, dropped_count * sizeof *values->list);
	values->count += dropped_count;
	memmove(values->counts + 1, values->counts, values->recorded++);
	values->counts[0] = (uint8_t)dropped_count;
}

void values_apply(struct values *values, const struct branch_block *block, struct values_undo *undo)
{
	if (block->parent != NULL)
		values_record(values, block, undo);
}

/* Values are dropped where the window is full, and it is full again afterwards: else this undo is another block's. */
bool values_undo_fits(const struct values *values, const struct values_undo *undo)
{
	return !undo->has_record ||
		(values->recorded > 0 && (!undo->has_dropped || values->recorded == VALUES_RECORDED));
}

void values_copy(struct values *copied_values, const struct values *values)
{
	*copied_values = *values;
	copied_values->list = mem_dup(values->list, values->count * sizeof *values->list);
}

void values_clear(struct values *values)
{
	free(values->list);
}

/* --- bytes --- */

void values_write(struct buf *out, const struct values *values)
{
	buf_put_le32(out, values->recorded);
	buf_put(out, values->counts, values->recorded);
	for (size_t i = 0; i < values->count; i++)
		buf_put_le64(out, (uint64_t)values->list[i]);
}

bool values_read(struct values *values, struct reader *values_reader)
{
	size_t value_count = 0;

	values->recorded = pieces_count(values_reader, VALUES_RECORDED);
	reader_copy(values_reader, values->counts, values->recorded);
	for (uint32_t i = 0; i < values->recorded; i++) {
		if (values->counts[i] > OUTCOME_MAX_SLOTS)
			reader_fail(values_reader);
		value_count += values->counts[i];
	}
	/* Before memory is taken: the counts add up to what must still be there. */
	if (value_count > reader_left(values_reader) / 8)
		reader_fail(values_reader);
	if (!values_reader->ok)
		return false;
	values->list = mem_alloc(value_count * sizeof *values->list);
	values->count = value_count;
	for (size_t i = 0; i < value_count; i++)
		values->list[i] = (int64_t)reader_le64(values_reader);
	return values_reader->ok;
}

void values_undo_write(struct buf *out, const struct values_undo *undo)
{
	buf_put_u8(out, undo->has_record);
	buf_put_u8(out, undo->has_dropped);
	buf_put_le32(out, undo->dropped_count);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		buf_put_le64(out, (uint64_t)undo->dropped[i]);
}

bool values_undo_read(struct values_undo *undo, struct reader *values_reader)
{
	undo->has_record = pieces_bool(values_reader);
	undo->has_dropped = pieces_bool(values_reader);
	undo->dropped_count = pieces_count(values_reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		undo->dropped[i] = (int64_t)reader_le64(values_reader);
	return values_reader->ok;
}
