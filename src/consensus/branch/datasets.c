/* Datasets: life, owners, drawing, statistics and quarantine, bytes.
 *
 * A number is a dataset's for good: datasets are appended, and only the undoing of the block that registered one takes
 * it off again, last in, first out. So undo cuts the list, and by_root loses all numbers that are beyond its end. */
#include "consensus/branch/datasets.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "consensus/payload/contribution.h"
#include "consensus/reward.h"
#include "util/mem.h"

enum {
	DATASET_WEIGHT_MAX = 1 << 24,
	DATASET_OBSERVATION_SHIFT = 16, /* statistics count values in 2^-16 nats */
};

/* --- the list --- */

/* Place in by_root of the first root that is not below this one. */
static size_t datasets_place(const struct datasets *datasets, const uint8_t root[32])
{
	size_t low_place = 0, high_place = datasets->count;

	while (low_place < high_place) {
		size_t middle_place = low_place + (high_place - low_place) / 2;

		if (memcmp(datasets->list[datasets->by_root[middle_place]].root, root, 32) < 0)
			low_place = middle_place + 1;
		else
			high_place = middle_place;
	}
	return low_place;
}

const struct dataset *datasets_find(const struct datasets *datasets, const uint8_t root[32], size_t *number)
{
	size_t root_place = datasets_place(datasets, root);
	const struct dataset *found_dataset;

	if (root_place == datasets->count)
		return NULL;
	found_dataset = &datasets->list[datasets->by_root[root_place]];
	if (memcmp(found_dataset->root, root, 32) != 0)
		return NULL;
	if (number != NULL)
		*number = datasets->by_root[root_place];
	return found_dataset;
}

/* False if its root is there already. A checked block brings no such root (registry_check_block); bytes of a damaged
 * database may. */
static bool datasets_append(struct datasets *datasets, const struct dataset *dataset)
{
	size_t root_place;

	if (datasets_find(datasets, dataset->root, NULL) != NULL)
		return false;
	root_place = datasets_place(datasets, dataset->root);
	datasets->list = mem_realloc(datasets->list, (datasets->count + 1) * sizeof *datasets->list);
	datasets->by_root = mem_realloc(datasets->by_root, (datasets->count + 1) * sizeof *datasets->by_root);
	memmove(datasets->by_root + root_place + 1, datasets->by_root + root_place,
		(datasets->count - root_place) * sizeof *datasets->by_root);
	datasets->by_root[root_place] = (uint32_t)datasets->count;
	datasets->list[datasets->count++] = *dataset;
	return true;
}

void datasets_init(struct datasets *datasets, const struct spec *spec)
{
	struct dataset corpus = { .title = "genesis corpus" };
	size_t corpus_size;
	const uint8_t *corpus_bytes = course_training(spec_course(spec), &corpus_size);

	*datasets = (struct datasets){ 0 };
	contribution_root(corpus_bytes, corpus_size, corpus.root);
	corpus.size = corpus_size;
	datasets_append(datasets, &corpus);
	datasets->stated = datasets->count;
}

void datasets_copy(struct datasets *copied_datasets, const struct datasets *datasets)
{
	*copied_datasets = *datasets;
	copied_datasets->list = mem_dup(datasets->list, datasets->count * sizeof *datasets->list);
	copied_datasets->by_root = mem_dup(datasets->by_root, datasets->count * sizeof *datasets->by_root);
}

void datasets_clear(struct datasets *datasets)
{
	free(datasets->list);
	free(datasets->by_root);
}

/* --- owners --- */

/* Only before the first block that is paid for it: until then nothing but the registration itself names the owner. The
 * size is the root's, and one that is not could never be brought: whoever has the bytes would refuse the block. */
bool datasets_can_replace(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number,
	uint64_t size, uint32_t committed)
{
	const struct dataset *dataset = &datasets->list[number];

	return number > 0 && dataset->size == size && committed > 0 && committed < dataset->committed &&
		height <= (uint64_t)dataset->height + spec->data_delay;
}

static void dataset_describe(struct dataset *dataset, const struct datasets_claim *claim)
{
	memcpy(dataset->owner, claim->owner, 32);
	memcpy(dataset->licence, claim->licence, sizeof dataset->licence);
	memcpy(dataset->title, claim->title, sizeof dataset->title);
	memcpy(dataset->txid, claim->txid, 32);
	dataset->output = claim->output;
	dataset->committed = claim->committed;
	dataset->burned = claim->burned;
}

/* Number and height stay: the dataset is drawn no later for it. */
static void datasets_replace(struct datasets *datasets, const struct datasets_claim *claim, struct datasets_undo *undo)
{
	struct dataset *dataset = &datasets->list[claim->number];
	struct datasets_claim *replaced_claim;

	undo->replaced = mem_realloc(undo->replaced, (undo->replaced_count + 1) * sizeof *undo->replaced);
	replaced_claim = &undo->replaced[undo->replaced_count++];
	*replaced_claim = (struct datasets_claim){ .number = claim->number,
		.output = dataset->output,
		.committed = dataset->committed,
		.burned = dataset->burned };
	memcpy(replaced_claim->owner, dataset->owner, 32);
	memcpy(replaced_claim->licence, dataset->licence, sizeof dataset->licence);
	memcpy(replaced_claim->title, dataset->title, sizeof dataset->title);
	memcpy(replaced_claim->txid, dataset->txid, 32);
	dataset_describe(dataset, claim);
}

/* --- drawing --- */

bool datasets_can_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number)
{
	const struct dataset *dataset = &datasets->list[number];

	if (number == 0)
		return true;
	return (uint64_t)dataset->height + spec->data_delay <= height && height > dataset->quarantined_until;
}

/* Whether the mean effect is below -v / 2. A sum counts 2^-16 nats, v 2^-32. */
static bool dataset_harms_by(const struct dataset *dataset, int64_t v)
{
	return (__int128)dataset->sum * (2 << DATASET_OBSERVATION_SHIFT) < -(__int128)v * dataset->draws;
}

/* Quarantine begins the record anew, so that none who is in it is proven. Not above 0: to a model that has learned for
 * long each step does a little harm, whatever honest text it is of. */
bool datasets_is_proven(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number)
{
	const struct dataset *dataset = &datasets->list[number];

	return number == 0 ||
		(datasets_can_draw(datasets, spec, height, number) && dataset->draws >= DATASETS_PROVEN_DRAWS &&
			!dataset_harms_by(dataset, spec->v_0));
}

static uint64_t dataset_weight(const struct dataset *dataset)
{
	return dataset->size < DATASET_WEIGHT_MAX ? dataset->size : DATASET_WEIGHT_MAX;
}

/* Place of the first sum above r, which is below the last. */
static uint32_t dataset_of_sum(const uint64_t *weight_sums, size_t count, uint64_t r)
{
	size_t low_place = 0, high_place = count - 1;

	while (low_place < high_place) {
		size_t middle_place = low_place + (high_place - low_place) / 2;

		if (weight_sums[middle_place] > r)
			high_place = middle_place;
		else
			low_place = middle_place + 1;
	}
	return (uint32_t)low_place;
}

/* Sums of the weights of those that can be drawn, or of the proven ones alone. A dataset that cannot be drawn adds
 * nothing to the sum: it is no sum's first. */
static uint64_t *datasets_sums(const struct datasets *datasets, const struct spec *spec, uint64_t height,
	bool proven_alone)
{
	uint64_t *weight_sums = mem_alloc(datasets->count * sizeof *weight_sums), weight_total = 0;

	for (size_t i = 0; i < datasets->count; i++) {
		if (proven_alone ? datasets_is_proven(datasets, spec, height, i) :
				   datasets_can_draw(datasets, spec, height, i))
			weight_total += dataset_weight(&datasets->list[i]);
		weight_sums[i] = weight_total;
	}
	return weight_sums;
}

/* With replacement: a slot's chance is the weight, whatever the other slots have got. So a text in many pieces gets no
 * more of the slots than it would in one. */
static uint32_t dataset_drawn(const struct datasets *datasets, const uint64_t *weight_sums, const uint8_t ticket[32],
	enum noise_domain domain, uint32_t index)
{
	return dataset_of_sum(weight_sums, datasets->count,
		noise_uniform(ticket, domain, index, weight_sums[datasets->count - 1]));
}

uint64_t datasets_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height,
	const uint8_t ticket[32], uint32_t slots, uint32_t dataset[])
{
	uint64_t *weight_sums = datasets_sums(datasets, spec, height, false),
		 weight_total = weight_sums[datasets->count - 1];

	for (uint32_t i = 0; i < slots; i++)
		dataset[i] = dataset_drawn(datasets, weight_sums, ticket, NOISE_DATASET, i);
	free(weight_sums);
	return weight_total;
}

/* Where all runs of a round were of one harmful text, no merge of it could be right. */
void datasets_draw_seats(const struct datasets *datasets, const struct spec *spec, uint64_t height,
	const uint8_t ticket[32], uint32_t seats, uint32_t dataset[])
{
	uint64_t *all_sums = datasets_sums(datasets, spec, height, false),
		 *proven_sums = datasets_sums(datasets, spec, height, true);

	for (uint32_t i = 0; i < seats; i++)
		dataset[i] = dataset_drawn(datasets, i % DATASETS_PROVEN_SEAT == 0 ? proven_sums : all_sums, ticket,
			NOISE_RUN, i);
	free(all_sums);
	free(proven_sums);
}

/* --- statistics --- */

static struct datasets_record dataset_record_of(const struct datasets *datasets, uint32_t number)
{
	const struct dataset *dataset = &datasets->list[number];

	return (struct datasets_record){
		.number = number,
		.draws = dataset->draws,
		.quarantined_until = dataset->quarantined_until,
		.known = dataset->known,
		.total_draws = dataset->total_draws,
		.sum = dataset->sum,
		.value_sum = dataset->value_sum,
		.quarantine_draws = dataset->quarantine_draws,
		.quarantine_sum = dataset->quarantine_sum,
		.total_paid = dataset->total_paid,
		.squares = dataset->squares,
	};
}

static void dataset_restore_record(struct datasets *datasets, const struct datasets_record *dataset_before)
{
	struct dataset *dataset = &datasets->list[dataset_before->number];

	dataset->draws = dataset_before->draws;
	dataset->quarantined_until = dataset_before->quarantined_until;
	dataset->known = dataset_before->known;
	dataset->total_draws = dataset_before->total_draws;
	dataset->sum = dataset_before->sum;
	dataset->value_sum = dataset_before->value_sum;
	dataset->quarantine_draws = dataset_before->quarantine_draws;
	dataset->quarantine_sum = dataset_before->quarantine_sum;
	dataset->total_paid = dataset_before->total_paid;
	dataset->squares = dataset_before->squares;
}

/* Statistics are judged after so many draws, and not between: who looks after each draw sees what is not there. The
 * number is four times the square of the standard errors by which the mean has to be negative; 0: not now. */
static uint32_t dataset_bound(uint32_t draws)
{
	if (draws == 8)
		return 196; /* 7 */
	if (draws == 16)
		return 100;              /* 5 */
	return draws % 32 == 0 ? 81 : 0; /* 4.5 */
}

/* The mean effect is below -v_ref / 2, and by so many standard errors below 0. Within 128 bits: draws <= 2^20, |sum| <=
 * 2^51, squares <= 2^82, v_ref <= 2^47. In integers, without a root: both sides are squared, which is right as the mean
 * is below 0. */
static bool dataset_is_harmful(const struct dataset *dataset, int64_t v_ref)
{
	unsigned __int128 draws = dataset->draws, bound = dataset_bound(dataset->draws),
			  sum_size = dataset->sum < 0 ? (uint64_t)-dataset->sum : (uint64_t)dataset->sum;

	return bound > 0 && dataset_harms_by(dataset, v_ref) &&
		4 * sum_size * sum_size * (draws - 1) > bound * (draws * dataset->squares - sum_size * sum_size);
}

/* Past the most draws statistics stand still, or dataset_is_harmful would leave its 128 bits. Quarantine begins a new
 * period: data is judged again by what it does then, as the model has gone on meanwhile. What was drawn before it began
 * and is stated after it does not count for that. */
static void dataset_observe_slot(struct dataset *dataset, const struct branch_block *block, uint32_t slot)
{
	const struct block_outcome *parent = block->parent;
	/* Rounded toward minus infinity. */
	int64_t observation = parent->outcome.slot[slot].effect >> DATASET_OBSERVATION_SHIFT;

	if (dataset->draws == DATASETS_DRAWS_MAX || block->height - 1 <= dataset->quarantined_until)
		return;
	dataset->draws++;
	dataset->sum += observation;
	dataset->squares += (unsigned __int128)((__int128)observation * observation);
	dataset->known += parent->outcome.slot[slot].known;
	dataset->value_sum += parent->outcome.slot[slot].value >> DATASET_OBSERVATION_SHIFT;
	if (!dataset_is_harmful(dataset, parent->v_ref))
		return;
	dataset->quarantined_until = block->height + DATASETS_QUARANTINE;
	dataset->quarantine_draws = dataset->draws;
	dataset->quarantine_sum = dataset->sum;
	dataset->draws = 0;
	dataset->sum = 0;
	dataset->squares = 0;
	dataset->known = 0;
	dataset->value_sum = 0;
}

/* The outcome of the block at height - 1. A void one changes nothing here. What a slot changes is kept as it was before
 * that slot: two slots may have had the corpus, so the undo goes backwards. */
static void datasets_apply_outcome(struct datasets *datasets, const struct branch_block *block,
	struct datasets_undo *undo)
{
	const struct block_outcome *parent = block->parent;
	const struct outcome *outcome = &parent->outcome;

	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		struct dataset *dataset = &datasets->list[parent->dataset[i]];

		if (outcome->slot[i].count == 0)
			continue;
		undo->changed[undo->changed_count++] = dataset_record_of(datasets, parent->dataset[i]);
		dataset->total_draws++;
		/* Nobody is paid for the corpus, and nothing can put it into quarantine: a slot can always be filled
		 * with it. */
		if (parent->dataset[i] == 0)
			continue;
		dataset->total_paid += reward_slot(block->spec, block->height - 1,
			&(struct reward_slot){
				.proofs = outcome->slot[i].count,
				.value = outcome->slot[i].value,
				.v_ref = parent->v_ref,
				.weight = parent->weight,
			});
		dataset_observe_slot(dataset, block, i);
	}
}

/* --- blocks --- */

static void datasets_register(struct datasets *datasets, uint32_t height, const struct contribution *contribution,
	struct datasets_claim *claim, struct datasets_undo *undo)
{
	struct dataset dataset = { .size = contribution->size, .height = height };
	size_t number;

	memcpy(claim->owner, contribution->owner, 32);
	memcpy(claim->licence, contribution->licence, sizeof claim->licence);
	memcpy(claim->title, contribution->title, sizeof claim->title);
	if (datasets_find(datasets, contribution->root, &number) != NULL) {
		claim->number = (uint32_t)number;
		datasets_replace(datasets, claim, undo);
		return;
	}
	memcpy(dataset.root, contribution->root, 32);
	dataset_describe(&dataset, claim);
	datasets_append(datasets, &dataset);
}

/* The transaction's registrations, which are the block's from number `registered` on. */
static void datasets_register_tx(struct datasets *datasets, const struct branch_block *block, const struct tx *tx,
	size_t *registered, struct datasets_undo *undo)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		struct datasets_claim claim = { .output = (uint32_t)i, .burned = tx->outputs[i].amount };

		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		claim.committed = block->committed[(*registered)++];
		memcpy(claim.txid, tx_txid(tx), 32);
		datasets_register(datasets, block->height, &contribution, &claim, undo);
	}
}

/* The outcome first: it is about datasets that were there when the parent was drawn for. The coinbase registers
 * nothing. */
void datasets_apply(struct datasets *datasets, const struct branch_block *block, struct datasets_undo *undo)
{
	size_t registered = 0;

	undo->count = datasets->count;
	if (block->parent != NULL)
		datasets_apply_outcome(datasets, block, undo);
	for (size_t i = 1; i < block->block->tx_count; i++)
		datasets_register_tx(datasets, block, block->block->txs[i], &registered, undo);
}

bool datasets_undo_fits(const struct datasets *datasets, const struct datasets_undo *undo)
{
	if (undo->count == 0 || undo->count > datasets->count)
		return false;
	for (uint32_t i = 0; i < undo->changed_count; i++)
		if (undo->changed[i].number >= undo->count)
			return false;
	for (uint32_t i = 0; i < undo->replaced_count; i++)
		if (undo->replaced[i].number == 0 || undo->replaced[i].number >= undo->count)
			return false;
	return true;
}

/* The numbers that stay keep their order by root, so nothing is sorted again. */
static void datasets_forget(struct datasets *datasets, size_t count_before)
{
	size_t numbers_kept = 0;

	for (size_t i = 0; i < datasets->count; i++)
		if (datasets->by_root[i] < count_before)
			datasets->by_root[numbers_kept++] = datasets->by_root[i];
	datasets->count = count_before;
}

void datasets_undo(struct datasets *datasets, const struct datasets_undo *undo)
{
	datasets_forget(datasets, undo->count);
	for (uint32_t i = undo->replaced_count; i > 0; i--)
		dataset_describe(&datasets->list[undo->replaced[i - 1].number], &undo->replaced[i - 1]);
	for (uint32_t i = undo->changed_count; i > 0; i--)
		dataset_restore_record(datasets, &undo->changed[i - 1]);
}

void datasets_undo_clear(struct datasets_undo *undo)
{
	free(undo->replaced);
}

/* --- bytes --- */

static void dataset_put(struct buf *out, const struct dataset *dataset)
{
	buf_put(out, dataset->root, 32);
	buf_put(out, dataset->owner, 32);
	buf_put_le64(out, dataset->size);
	pieces_put_text(out, dataset->licence);
	pieces_put_text(out, dataset->title);
	buf_put(out, dataset->txid, 32);
	buf_put_le32(out, dataset->output);
	buf_put_le32(out, dataset->height);
	buf_put_le32(out, dataset->committed);
	buf_put_le64(out, (uint64_t)dataset->burned);
	buf_put_le32(out, dataset->draws);
	buf_put_le32(out, dataset->quarantined_until);
	buf_put_le32(out, dataset->known);
	buf_put_le32(out, dataset->total_draws);
	buf_put_le64(out, (uint64_t)dataset->sum);
	buf_put_le64(out, (uint64_t)dataset->value_sum);
	buf_put_le32(out, dataset->quarantine_draws);
	buf_put_le64(out, (uint64_t)dataset->quarantine_sum);
	buf_put_le64(out, (uint64_t)dataset->total_paid);
	pieces_put_wide(out, dataset->squares);
}

static bool dataset_take(struct reader *dataset_reader, struct dataset *dataset)
{
	memset(dataset, 0, sizeof *dataset);
	reader_copy(dataset_reader, dataset->root, 32);
	reader_copy(dataset_reader, dataset->owner, 32);
	dataset->size = reader_le64(dataset_reader);
	pieces_text(dataset_reader, dataset->licence, sizeof dataset->licence - 1);
	pieces_text(dataset_reader, dataset->title, sizeof dataset->title - 1);
	reader_copy(dataset_reader, dataset->txid, 32);
	dataset->output = reader_le32(dataset_reader);
	dataset->height = reader_le32(dataset_reader);
	dataset->committed = reader_le32(dataset_reader);
	dataset->burned = (int64_t)reader_le64(dataset_reader);
	dataset->draws = pieces_count(dataset_reader, DATASETS_DRAWS_MAX);
	dataset->quarantined_until = reader_le32(dataset_reader);
	dataset->known = reader_le32(dataset_reader);
	dataset->total_draws = reader_le32(dataset_reader);
	dataset->sum = (int64_t)reader_le64(dataset_reader);
	dataset->value_sum = (int64_t)reader_le64(dataset_reader);
	dataset->quarantine_draws = pieces_count(dataset_reader, DATASETS_DRAWS_MAX);
	dataset->quarantine_sum = (int64_t)reader_le64(dataset_reader);
	dataset->total_paid = (int64_t)reader_le64(dataset_reader);
	dataset->squares = pieces_wide(dataset_reader);
	return dataset_reader->ok;
}

/* Of dataset 0 only what blocks change: the rest is the spec's. The others are slices. */
void datasets_write(struct buf *out, const struct datasets *datasets)
{
	buf_put_le32(out, datasets->list[0].total_draws);
	buf_put_le32(out, (uint32_t)datasets->count);
}

/* The count takes no memory by itself: the list grows by datasets that are there. */
bool datasets_read(struct datasets *datasets, struct reader *dataset_reader)
{
	datasets->list[0].total_draws = reader_le32(dataset_reader);
	datasets->stated = reader_le32(dataset_reader);
	return dataset_reader->ok;
}

/* To be asked before the undo takes off again what was registered. */
void datasets_changed(const struct datasets *datasets, const struct datasets_undo *undo, struct slices *changed)
{
	for (uint32_t i = 0; i < undo->changed_count; i++)
		if (undo->changed[i].number > 0)
			slices_add(changed, SLICE_DATASET, undo->changed[i].number);
	for (uint32_t i = 0; i < undo->replaced_count; i++)
		slices_add(changed, SLICE_DATASET, undo->replaced[i].number);
	for (size_t i = undo->count; i < datasets->count; i++)
		slices_add(changed, SLICE_DATASET, (uint32_t)i);
}

bool datasets_write_slice(struct buf *out, const struct datasets *datasets, const struct slice *slice)
{
	if (slice->number == 0 || slice->number >= datasets->count)
		return false;
	dataset_put(out, &datasets->list[slice->number]);
	return true;
}

bool datasets_read_slice(struct datasets *datasets, const struct slice *slice, struct reader *dataset_reader)
{
	struct dataset dataset;

	if (slice->number != datasets->count || slice->number >= datasets->stated ||
		!dataset_take(dataset_reader, &dataset) || !datasets_append(datasets, &dataset))
		reader_fail(dataset_reader);
	return dataset_reader->ok;
}

bool datasets_whole(const struct datasets *datasets)
{
	return datasets->count == datasets->stated;
}

static void dataset_put_claim(struct buf *out, const struct datasets_claim *claim)
{
	buf_put_le32(out, claim->number);
	buf_put(out, claim->owner, 32);
	pieces_put_text(out, claim->licence);
	pieces_put_text(out, claim->title);
	buf_put(out, claim->txid, 32);
	buf_put_le32(out, claim->output);
	buf_put_le32(out, claim->committed);
	buf_put_le64(out, (uint64_t)claim->burned);
}

static bool dataset_take_claim(struct reader *dataset_reader, struct datasets_claim *claim)
{
	claim->number = reader_le32(dataset_reader);
	reader_copy(dataset_reader, claim->owner, 32);
	pieces_text(dataset_reader, claim->licence, sizeof claim->licence - 1);
	pieces_text(dataset_reader, claim->title, sizeof claim->title - 1);
	reader_copy(dataset_reader, claim->txid, 32);
	claim->output = reader_le32(dataset_reader);
	claim->committed = reader_le32(dataset_reader);
	claim->burned = (int64_t)reader_le64(dataset_reader);
	return dataset_reader->ok;
}

void datasets_undo_write(struct buf *out, const struct datasets_undo *undo)
{
	buf_put_le32(out, (uint32_t)undo->count);
	buf_put_le32(out, undo->changed_count);
	for (uint32_t i = 0; i < undo->changed_count; i++) {
		buf_put_le32(out, undo->changed[i].number);
		buf_put_le32(out, undo->changed[i].draws);
		buf_put_le32(out, undo->changed[i].quarantined_until);
		buf_put_le32(out, undo->changed[i].known);
		buf_put_le32(out, undo->changed[i].total_draws);
		buf_put_le64(out, (uint64_t)undo->changed[i].sum);
		buf_put_le64(out, (uint64_t)undo->changed[i].value_sum);
		buf_put_le32(out, undo->changed[i].quarantine_draws);
		buf_put_le64(out, (uint64_t)undo->changed[i].quarantine_sum);
		buf_put_le64(out, (uint64_t)undo->changed[i].total_paid);
		pieces_put_wide(out, undo->changed[i].squares);
	}
	buf_put_le32(out, undo->replaced_count);
	for (uint32_t i = 0; i < undo->replaced_count; i++)
		dataset_put_claim(out, &undo->replaced[i]);
}

static void dataset_take_record(struct reader *dataset_reader, struct datasets_record *dataset_record)
{
	dataset_record->number = reader_le32(dataset_reader);
	dataset_record->draws = pieces_count(dataset_reader, DATASETS_DRAWS_MAX);
	dataset_record->quarantined_until = reader_le32(dataset_reader);
	dataset_record->known = reader_le32(dataset_reader);
	dataset_record->total_draws = reader_le32(dataset_reader);
	dataset_record->sum = (int64_t)reader_le64(dataset_reader);
	dataset_record->value_sum = (int64_t)reader_le64(dataset_reader);
	dataset_record->quarantine_draws = pieces_count(dataset_reader, DATASETS_DRAWS_MAX);
	dataset_record->quarantine_sum = (int64_t)reader_le64(dataset_reader);
	dataset_record->total_paid = (int64_t)reader_le64(dataset_reader);
	dataset_record->squares = pieces_wide(dataset_reader);
}

bool datasets_undo_read(struct datasets_undo *undo, struct reader *dataset_reader)
{
	uint32_t claim_count;

	undo->count = reader_le32(dataset_reader);
	undo->changed_count = pieces_count(dataset_reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < undo->changed_count; i++)
		dataset_take_record(dataset_reader, &undo->changed[i]);
	claim_count = reader_le32(dataset_reader);
	/* The list grows by what is there, whatever the count says. */
	while (undo->replaced_count < claim_count) {
		struct datasets_claim claim = { 0 };

		if (!dataset_take_claim(dataset_reader, &claim))
			return false;
		undo->replaced = mem_realloc(undo->replaced, (undo->replaced_count + 1) * sizeof *undo->replaced);
		undo->replaced[undo->replaced_count++] = claim;
	}
	return dataset_reader->ok;
}
