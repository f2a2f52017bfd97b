/* Byte forms of a registry, its undo and a block's outcome, for the database alone: nothing here is consensus. */
#include <stdlib.h>
#include <string.h>

#include "consensus/branch/registry_state.h"
#include "util/mem.h"

enum { FORM = 1 };

/* === Pieces === */

static void put_wide(struct buf *out, unsigned __int128 v)
{
	buf_put_le64(out, (uint64_t)v);
	buf_put_le64(out, (uint64_t)(v >> 64));
}

static unsigned __int128 take_wide(struct reader *reader)
{
	unsigned __int128 low = reader_le64(reader);

	return low | (unsigned __int128)reader_le64(reader) << 64;
}

static void put_text(struct buf *out, const char *text)
{
	buf_put_u8(out, (uint8_t)strlen(text));
	buf_put_text(out, text);
}

/* Into a field of max + 1 bytes. */
static void take_text(struct reader *reader, char *text, size_t max)
{
	size_t size = reader_u8(reader);

	if (size > max) {
		reader_fail(reader);
		return;
	}
	reader_copy(reader, text, size);
	text[size] = 0;
	if (strlen(text) != size)
		reader_fail(reader);
}

static bool take_bool(struct reader *reader)
{
	uint8_t v = reader_u8(reader);

	if (v > 1)
		reader_fail(reader);
	return v == 1;
}

static uint32_t take_count(struct reader *reader, uint32_t max)
{
	uint32_t count = reader_le32(reader);

	if (count > max)
		reader_fail(reader);
	return reader->ok ? count : 0;
}

/* === Registry === */

static void put_dataset(struct buf *out, const struct dataset *dataset)
{
	buf_put(out, dataset->root, 32);
	buf_put(out, dataset->owner, 32);
	buf_put_le64(out, dataset->size);
	put_text(out, dataset->licence);
	put_text(out, dataset->title);
	buf_put(out, dataset->txid, 32);
	buf_put_le32(out, dataset->output);
	buf_put_le32(out, dataset->height);
	buf_put_le32(out, dataset->draws);
	buf_put_le32(out, dataset->quarantined_until);
	buf_put_le32(out, dataset->total_draws);
	buf_put_le64(out, (uint64_t)dataset->sum);
	buf_put_le64(out, (uint64_t)dataset->total_paid);
	put_wide(out, dataset->squares);
}

static bool take_dataset(struct reader *reader, struct dataset *dataset)
{
	memset(dataset, 0, sizeof *dataset);
	reader_copy(reader, dataset->root, 32);
	reader_copy(reader, dataset->owner, 32);
	dataset->size = reader_le64(reader);
	take_text(reader, dataset->licence, sizeof dataset->licence - 1);
	take_text(reader, dataset->title, sizeof dataset->title - 1);
	reader_copy(reader, dataset->txid, 32);
	dataset->output = reader_le32(reader);
	dataset->height = reader_le32(reader);
	dataset->draws = take_count(reader, DRAWS_MAX);
	dataset->quarantined_until = reader_le32(reader);
	dataset->total_draws = reader_le32(reader);
	dataset->sum = (int64_t)reader_le64(reader);
	dataset->total_paid = (int64_t)reader_le64(reader);
	dataset->squares = take_wide(reader);
	return reader->ok;
}

void registry_write(struct buf *out, const struct registry *registry)
{
	buf_put_u8(out, FORM);
	buf_put_le32(out, registry->height);
	buf_put_le64(out, (uint64_t)registry->bucket);
	buf_put_le32(out, registry->recorded);
	buf_put(out, registry->value_counts, registry->recorded);
	for (size_t i = 0; i < registry->value_count; i++)
		buf_put_le64(out, (uint64_t)registry->values[i]);
	buf_put_le32(out, registry->datasets[0].total_draws);
	buf_put_le32(out, (uint32_t)(registry->count - 1));
	for (size_t i = 1; i < registry->count; i++)
		put_dataset(out, &registry->datasets[i]);
}

static bool take_values(struct registry *registry, struct reader *reader)
{
	size_t count = 0;

	registry->recorded = take_count(reader, RECORDED_BLOCKS);
	reader_copy(reader, registry->value_counts, registry->recorded);
	for (uint32_t i = 0; i < registry->recorded; i++) {
		if (registry->value_counts[i] > OUTCOME_MAX_SLOTS)
			reader_fail(reader);
		count += registry->value_counts[i];
	}
	if (count > reader_left(reader) / 8)
		reader_fail(reader);
	if (!reader->ok)
		return false;
	registry->values = mem_alloc(count * sizeof *registry->values);
	registry->value_count = count;
	for (size_t i = 0; i < count; i++)
		registry->values[i] = (int64_t)reader_le64(reader);
	return reader->ok;
}

static bool take_registry(struct registry *registry, struct reader *reader)
{
	struct dataset dataset;
	uint32_t count;

	if (reader_u8(reader) != FORM)
		return false;
	registry->height = reader_le32(reader);
	registry->bucket = (int64_t)reader_le64(reader);
	if (!take_values(registry, reader))
		return false;
	registry->datasets[0].total_draws = reader_le32(reader);
	count = reader_le32(reader);
	for (uint32_t i = 0; i < count; i++)
		if (!take_dataset(reader, &dataset) || !registry_append(registry, &dataset))
			return false;
	return reader->ok;
}

struct registry *registry_read(const struct spec *spec, struct reader *reader)
{
	struct registry *registry = registry_alloc(spec);

	if (take_registry(registry, reader))
		return registry;
	reader_fail(reader);
	registry_free(registry);
	return NULL;
}

/* === Undo === */

void registry_undo_write(struct buf *out, const struct registry_undo *undo)
{
	buf_put_u8(out, FORM);
	buf_put_le32(out, undo->height);
	buf_put_le64(out, (uint64_t)undo->bucket);
	buf_put_le32(out, (uint32_t)undo->count);
	buf_put_le32(out, undo->changed_count);
	for (uint32_t i = 0; i < undo->changed_count; i++) {
		buf_put_le32(out, undo->changed[i].number);
		buf_put_le32(out, undo->changed[i].draws);
		buf_put_le32(out, undo->changed[i].quarantined_until);
		buf_put_le32(out, undo->changed[i].total_draws);
		buf_put_le64(out, (uint64_t)undo->changed[i].sum);
		buf_put_le64(out, (uint64_t)undo->changed[i].total_paid);
		put_wide(out, undo->changed[i].squares);
	}
	buf_put_u8(out, undo->has_record);
	buf_put_u8(out, undo->has_dropped);
	buf_put_le32(out, undo->dropped_count);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		buf_put_le64(out, (uint64_t)undo->dropped[i]);
}

static void take_statistics(struct reader *reader, struct statistics *statistics)
{
	statistics->number = reader_le32(reader);
	statistics->draws = take_count(reader, DRAWS_MAX);
	statistics->quarantined_until = reader_le32(reader);
	statistics->total_draws = reader_le32(reader);
	statistics->sum = (int64_t)reader_le64(reader);
	statistics->total_paid = (int64_t)reader_le64(reader);
	statistics->squares = take_wide(reader);
}

struct registry_undo *registry_undo_read(struct reader *reader)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);

	if (reader_u8(reader) != FORM)
		reader_fail(reader);
	undo->height = reader_le32(reader);
	undo->bucket = (int64_t)reader_le64(reader);
	undo->count = reader_le32(reader);
	undo->changed_count = take_count(reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < undo->changed_count; i++)
		take_statistics(reader, &undo->changed[i]);
	undo->has_record = take_bool(reader);
	undo->has_dropped = take_bool(reader);
	undo->dropped_count = take_count(reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		undo->dropped[i] = (int64_t)reader_le64(reader);
	if (reader->ok)
		return undo;
	registry_undo_free(undo);
	return NULL;
}

/* === Outcome of a block === */

void block_outcome_write(struct buf *out, const struct block_outcome *outcome)
{
	uint32_t before, after;

	memcpy(&before, &outcome->loss_before, sizeof before);
	memcpy(&after, &outcome->loss_after, sizeof after);
	buf_put_u8(out, outcome->outcome.is_void);
	buf_put_le32(out, outcome->outcome.slots);
	for (uint32_t i = 0; i < outcome->outcome.slots; i++) {
		buf_put_le32(out, outcome->outcome.slot[i].count);
		buf_put_u8(out, outcome->outcome.slot[i].left_out);
		buf_put_le64(out, (uint64_t)outcome->outcome.slot[i].value);
		buf_put_le32(out, outcome->dataset[i]);
	}
	buf_put_le64(out, (uint64_t)outcome->v_ref);
	buf_put_le32(out, before);
	buf_put_le32(out, after);
}

bool block_outcome_read(struct reader *reader, struct block_outcome *outcome)
{
	uint32_t before, after;

	memset(outcome, 0, sizeof *outcome);
	outcome->outcome.is_void = take_bool(reader);
	outcome->outcome.slots = take_count(reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < outcome->outcome.slots; i++) {
		outcome->outcome.slot[i].count = reader_le32(reader);
		outcome->outcome.slot[i].left_out = take_bool(reader);
		outcome->outcome.slot[i].value = (int64_t)reader_le64(reader);
		outcome->dataset[i] = reader_le32(reader);
	}
	outcome->v_ref = (int64_t)reader_le64(reader);
	before = reader_le32(reader);
	after = reader_le32(reader);
	memcpy(&outcome->loss_before, &before, sizeof before);
	memcpy(&outcome->loss_after, &after, sizeof after);
	return reader->ok;
}
