/* Datasets: life, drawing, statistics and quarantine, bytes.
 *
 * A number is a dataset's for good: datasets are appended, and only the undoing of the block that registered one takes
 * it off again, last in, first out. So undo cuts the list, and by_root loses all numbers that are beyond its end. */
#include "consensus/branch/datasets.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "consensus/payload/contribution.h"
#include "consensus/reward.h"
#include "ml/kernel/noise.h"
#include "util/mem.h"

enum {
	WEIGHT_MAX = 1 << 24,
	QUARANTINE_BLOCKS = 2016,
	QUARANTINE_DRAWS = 8,
	OBSERVATION_SHIFT = 16, /* statistics count values in 2^-16 nats */
};

/* --- the list --- */

/* Place in by_root of the first root that is not below this one. */
static size_t place_of(const struct datasets *datasets, const uint8_t root[32])
{
	size_t low = 0, high = datasets->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(datasets->list[datasets->by_root[middle]].root, root, 32) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct dataset *datasets_find(const struct datasets *datasets, const uint8_t root[32], size_t *number)
{
	size_t place = place_of(datasets, root);
	const struct dataset *found;

	if (place == datasets->count)
		return NULL;
	found = &datasets->list[datasets->by_root[place]];
	if (memcmp(found->root, root, 32) != 0)
		return NULL;
	if (number != NULL)
		*number = datasets->by_root[place];
	return found;
}

/* False if its root is there already. A checked block brings no such root (registry_check_block); bytes of a damaged
 * database may. */
static bool append_dataset(struct datasets *datasets, const struct dataset *dataset)
{
	size_t place;

	if (datasets_find(datasets, dataset->root, NULL) != NULL)
		return false;
	place = place_of(datasets, dataset->root);
	datasets->list = mem_realloc(datasets->list, (datasets->count + 1) * sizeof *datasets->list);
	datasets->by_root = mem_realloc(datasets->by_root, (datasets->count + 1) * sizeof *datasets->by_root);
	memmove(datasets->by_root + place + 1, datasets->by_root + place,
		(datasets->count - place) * sizeof *datasets->by_root);
	datasets->by_root[place] = (uint32_t)datasets->count;
	datasets->list[datasets->count++] = *dataset;
	return true;
}

void datasets_init(struct datasets *datasets, const struct spec *spec)
{
	struct dataset corpus = { .title = "genesis corpus" };
	size_t size;
	const uint8_t *bytes = course_training(spec_course(spec), &size);

	*datasets = (struct datasets){ 0 };
	contribution_root(bytes, size, corpus.root);
	corpus.size = size;
	append_dataset(datasets, &corpus);
}

void datasets_copy(struct datasets *to, const struct datasets *from)
{
	*to = *from;
	to->list = mem_dup(from->list, from->count * sizeof *from->list);
	to->by_root = mem_dup(from->by_root, from->count * sizeof *from->by_root);
}

void datasets_clear(struct datasets *datasets)
{
	free(datasets->list);
	free(datasets->by_root);
}

/* --- drawing --- */

bool datasets_can_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number)
{
	const struct dataset *dataset = &datasets->list[number];

	if (number == 0)
		return true;
	return (uint64_t)dataset->height + spec->data_delay <= height && height > dataset->quarantined_until;
}

static uint64_t weight_of(const struct dataset *dataset)
{
	return dataset->size < WEIGHT_MAX ? dataset->size : WEIGHT_MAX;
}

/* Without replacement: a dataset that a slot has got is no candidate for the next, and its weight leaves the total.
 * Where there are more slots than candidates, the corpus (dataset 0) fills up. */
void datasets_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height, const uint8_t ticket[32],
	uint32_t slots, uint32_t dataset[])
{
	uint32_t *candidates = mem_alloc(datasets->count * sizeof *candidates);
	size_t count = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < datasets->count; i++)
		if (datasets_can_draw(datasets, spec, height, i)) {
			candidates[count++] = (uint32_t)i;
			total += weight_of(&datasets->list[i]);
		}
	for (uint32_t slot = 0; slot < slots; slot++) {
		uint64_t left = noise_uniform(ticket, NOISE_DATASET, slot, total);
		size_t at = 0;

		dataset[slot] = 0;
		if (count == 0)
			continue;
		/* Ends in time: left is below total, which is the sum of the candidates' weights. */
		while (left >= weight_of(&datasets->list[candidates[at]]))
			left -= weight_of(&datasets->list[candidates[at++]]);
		dataset[slot] = candidates[at];
		total -= weight_of(&datasets->list[candidates[at]]);
		memmove(candidates + at, candidates + at + 1, (--count - at) * sizeof *candidates);
	}
	free(candidates);
}

/* --- statistics --- */

static struct datasets_record record_of(const struct datasets *datasets, uint32_t number)
{
	const struct dataset *dataset = &datasets->list[number];

	return (struct datasets_record){
		.number = number,
		.draws = dataset->draws,
		.quarantined_until = dataset->quarantined_until,
		.total_draws = dataset->total_draws,
		.sum = dataset->sum,
		.total_paid = dataset->total_paid,
		.squares = dataset->squares,
	};
}

static void restore_record(struct datasets *datasets, const struct datasets_record *before)
{
	struct dataset *dataset = &datasets->list[before->number];

	dataset->draws = before->draws;
	dataset->quarantined_until = before->quarantined_until;
	dataset->total_draws = before->total_draws;
	dataset->sum = before->sum;
	dataset->total_paid = before->total_paid;
	dataset->squares = before->squares;
}

/* Mean plus two standard errors is negative. Within 128 bits: draws <= 2^20, |sum| <= 2^51, squares <= 2^82. In
 * integers, without a root: both sides are squared, which is right as the mean is below 0. */
static bool is_harmful(const struct dataset *dataset)
{
	unsigned __int128 draws = dataset->draws,
			  sum = dataset->sum < 0 ? (uint64_t)-dataset->sum : (uint64_t)dataset->sum;

	return draws >= QUARANTINE_DRAWS && dataset->sum < 0 &&
		sum * sum * (draws - 1) > 4 * (draws * dataset->squares - sum * sum);
}

/* Past the most draws statistics stand still, or is_harmful would leave its 128 bits. Quarantine begins a new period:
 * data is judged again by what it does then, as the model has gone on meanwhile. */
static void observe_value(struct dataset *dataset, int64_t value, uint32_t height)
{
	int64_t x = value >> OBSERVATION_SHIFT; /* rounds toward minus infinity */

	if (dataset->draws == DATASETS_DRAWS_MAX)
		return;
	dataset->draws++;
	dataset->sum += x;
	dataset->squares += (unsigned __int128)((__int128)x * x);
	if (!is_harmful(dataset))
		return;
	dataset->quarantined_until = height + QUARANTINE_BLOCKS;
	dataset->draws = 0;
	dataset->sum = 0;
	dataset->squares = 0;
}

/* The outcome of the block at height - 1. A void one changes nothing here. What a slot changes is kept as it was before
 * that slot: two slots may have had the corpus, so the undo goes backwards. */
static void apply_outcome(struct datasets *datasets, const struct branch_block *block, struct datasets_undo *undo)
{
	const struct block_outcome *parent = block->parent;
	const struct outcome *outcome = &parent->outcome;

	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		struct dataset *dataset = &datasets->list[parent->dataset[i]];

		if (outcome->slot[i].count == 0)
			continue;
		undo->changed[undo->changed_count++] = record_of(datasets, parent->dataset[i]);
		dataset->total_draws++;
		/* Nobody is paid for the corpus, and nothing can put it into quarantine: a slot can always be filled
		 * with it. */
		if (parent->dataset[i] == 0)
			continue;
		dataset->total_paid += reward_slot(block->spec, block->height - 1, outcome->slot[i].count,
			outcome->slot[i].value, parent->v_ref);
		observe_value(dataset, outcome->slot[i].value, block->height);
	}
}

/* --- blocks --- */

static void register_tx(struct datasets *datasets, uint32_t height, const struct tx *tx)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++) {
		struct dataset dataset = { .output = (uint32_t)i, .height = height };

		if (!contribution_parse(&tx->outputs[i].script, &data))
			continue;
		memcpy(dataset.root, data.root, 32);
		memcpy(dataset.owner, data.owner, 32);
		memcpy(dataset.licence, data.licence, sizeof dataset.licence);
		memcpy(dataset.title, data.title, sizeof dataset.title);
		dataset.size = data.size;
		memcpy(dataset.txid, tx_txid(tx), 32);
		append_dataset(datasets, &dataset);
	}
}

/* The outcome first: it is about datasets that were there when the parent was drawn for. The coinbase registers
 * nothing. */
void datasets_apply(struct datasets *datasets, const struct branch_block *block, struct datasets_undo *undo)
{
	undo->count = datasets->count;
	if (block->parent != NULL)
		apply_outcome(datasets, block, undo);
	for (size_t i = 1; i < block->block->tx_count; i++)
		register_tx(datasets, block->height, block->block->txs[i]);
}

bool datasets_undo_fits(const struct datasets *datasets, const struct datasets_undo *undo)
{
	if (undo->count == 0 || undo->count > datasets->count)
		return false;
	for (uint32_t i = 0; i < undo->changed_count; i++)
		if (undo->changed[i].number >= undo->count)
			return false;
	return true;
}

/* The numbers that stay keep their order by root, so nothing is sorted again. */
static void forget_datasets(struct datasets *datasets, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < datasets->count; i++)
		if (datasets->by_root[i] < count)
			datasets->by_root[kept++] = datasets->by_root[i];
	datasets->count = count;
}

void datasets_undo(struct datasets *datasets, const struct datasets_undo *undo)
{
	forget_datasets(datasets, undo->count);
	for (uint32_t i = undo->changed_count; i > 0; i--)
		restore_record(datasets, &undo->changed[i - 1]);
}

/* --- bytes --- */

static void put_dataset(struct buf *out, const struct dataset *dataset)
{
	buf_put(out, dataset->root, 32);
	buf_put(out, dataset->owner, 32);
	buf_put_le64(out, dataset->size);
	pieces_put_text(out, dataset->licence);
	pieces_put_text(out, dataset->title);
	buf_put(out, dataset->txid, 32);
	buf_put_le32(out, dataset->output);
	buf_put_le32(out, dataset->height);
	buf_put_le32(out, dataset->draws);
	buf_put_le32(out, dataset->quarantined_until);
	buf_put_le32(out, dataset->total_draws);
	buf_put_le64(out, (uint64_t)dataset->sum);
	buf_put_le64(out, (uint64_t)dataset->total_paid);
	pieces_put_wide(out, dataset->squares);
}

static bool take_dataset(struct reader *reader, struct dataset *dataset)
{
	memset(dataset, 0, sizeof *dataset);
	reader_copy(reader, dataset->root, 32);
	reader_copy(reader, dataset->owner, 32);
	dataset->size = reader_le64(reader);
	pieces_text(reader, dataset->licence, sizeof dataset->licence - 1);
	pieces_text(reader, dataset->title, sizeof dataset->title - 1);
	reader_copy(reader, dataset->txid, 32);
	dataset->output = reader_le32(reader);
	dataset->height = reader_le32(reader);
	dataset->draws = pieces_count(reader, DATASETS_DRAWS_MAX);
	dataset->quarantined_until = reader_le32(reader);
	dataset->total_draws = reader_le32(reader);
	dataset->sum = (int64_t)reader_le64(reader);
	dataset->total_paid = (int64_t)reader_le64(reader);
	dataset->squares = pieces_wide(reader);
	return reader->ok;
}

/* Of dataset 0 only what blocks change: the rest is the spec's. */
void datasets_write(struct buf *out, const struct datasets *datasets)
{
	buf_put_le32(out, datasets->list[0].total_draws);
	buf_put_le32(out, (uint32_t)(datasets->count - 1));
	for (size_t i = 1; i < datasets->count; i++)
		put_dataset(out, &datasets->list[i]);
}

/* The count takes no memory by itself: the list grows by datasets that are there. */
bool datasets_read(struct datasets *datasets, struct reader *reader)
{
	struct dataset dataset;
	uint32_t count;

	datasets->list[0].total_draws = reader_le32(reader);
	count = reader_le32(reader);
	for (uint32_t i = 0; i < count; i++)
		if (!take_dataset(reader, &dataset) || !append_dataset(datasets, &dataset))
			return false;
	return reader->ok;
}

void datasets_undo_write(struct buf *out, const struct datasets_undo *undo)
{
	buf_put_le32(out, (uint32_t)undo->count);
	buf_put_le32(out, undo->changed_count);
	for (uint32_t i = 0; i < undo->changed_count; i++) {
		buf_put_le32(out, undo->changed[i].number);
		buf_put_le32(out, undo->changed[i].draws);
		buf_put_le32(out, undo->changed[i].quarantined_until);
		buf_put_le32(out, undo->changed[i].total_draws);
		buf_put_le64(out, (uint64_t)undo->changed[i].sum);
		buf_put_le64(out, (uint64_t)undo->changed[i].total_paid);
		pieces_put_wide(out, undo->changed[i].squares);
	}
}

static void take_record(struct reader *reader, struct datasets_record *record)
{
	record->number = reader_le32(reader);
	record->draws = pieces_count(reader, DATASETS_DRAWS_MAX);
	record->quarantined_until = reader_le32(reader);
	record->total_draws = reader_le32(reader);
	record->sum = (int64_t)reader_le64(reader);
	record->total_paid = (int64_t)reader_le64(reader);
	record->squares = pieces_wide(reader);
}

bool datasets_undo_read(struct datasets_undo *undo, struct reader *reader)
{
	undo->count = reader_le32(reader);
	undo->changed_count = pieces_count(reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < undo->changed_count; i++)
		take_record(reader, &undo->changed[i]);
	return reader->ok;
}
