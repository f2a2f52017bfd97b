#include "consensus/branch/registry.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/registry_state.h"
#include "consensus/reward.h"
#include "ml/kernel/noise.h"
#include "util/mem.h"

enum {
	WEIGHT_MAX = 1 << 24,
	V_REF_RECORDS = 64,
	QUARANTINE_BLOCKS = 2016,
	QUARANTINE_DRAWS = 8,
	OBSERVATION_SHIFT = 16, /* statistics count values in 2^-16 nats */
};

/* === Life === */

struct registry *registry_alloc(const struct spec *spec)
{
	struct registry *registry = mem_calloc(1, sizeof *registry);
	struct dataset corpus = { .title = "genesis corpus" };
	size_t size;
	const uint8_t *bytes = course_training(spec_course(spec), &size);

	registry->spec = spec;
	blob_root(bytes, size, corpus.root);
	corpus.size = size;
	registry_append(registry, &corpus);
	return registry;
}

struct registry *registry_new(const struct spec *spec)
{
	return registry_alloc(spec);
}

struct registry *registry_copy(const struct registry *registry)
{
	struct registry *copy = mem_dup(registry, sizeof *registry);

	copy->datasets = mem_dup(registry->datasets, registry->count * sizeof *registry->datasets);
	copy->by_root = mem_dup(registry->by_root, registry->count * sizeof *registry->by_root);
	copy->values = mem_dup(registry->values, registry->value_count * sizeof *registry->values);
	return copy;
}

void registry_free(struct registry *registry)
{
	if (registry == NULL)
		return;
	free(registry->datasets);
	free(registry->by_root);
	free(registry->values);
	free(registry);
}

/* === Questions === */

uint32_t registry_height(const struct registry *registry)
{
	return registry->height;
}

size_t registry_count(const struct registry *registry)
{
	return registry->count;
}

int64_t registry_bucket(const struct registry *registry)
{
	return registry->bucket;
}

const struct dataset *registry_get(const struct registry *registry, size_t number)
{
	return &registry->datasets[number];
}

/* Place in by_root of the first root that is not below this one. */
static size_t place_of(const struct registry *registry, const uint8_t root[32])
{
	size_t low = 0, high = registry->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(registry->datasets[registry->by_root[middle]].root, root, 32) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct dataset *registry_find(const struct registry *registry, const uint8_t root[32], size_t *number)
{
	size_t place = place_of(registry, root);
	const struct dataset *found;

	if (place == registry->count)
		return NULL;
	found = &registry->datasets[registry->by_root[place]];
	if (memcmp(found->root, root, 32) != 0)
		return NULL;
	if (number != NULL)
		*number = registry->by_root[place];
	return found;
}

/* === Drawing === */

bool registry_can_draw(const struct registry *registry, size_t number)
{
	const struct dataset *dataset = &registry->datasets[number];
	uint64_t child = (uint64_t)registry->height + 1;

	if (number == 0)
		return true;
	return (uint64_t)dataset->height + registry->spec->data_delay <= child && child > dataset->quarantined_until;
}

static uint64_t weight_of(const struct dataset *dataset)
{
	return dataset->size < WEIGHT_MAX ? dataset->size : WEIGHT_MAX;
}

void registry_draw(const struct registry *registry, const uint8_t ticket[32], uint32_t slots, uint32_t dataset[])
{
	uint32_t *candidates = mem_alloc(registry->count * sizeof *candidates);
	size_t count = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < registry->count; i++)
		if (registry_can_draw(registry, i)) {
			candidates[count++] = (uint32_t)i;
			total += weight_of(&registry->datasets[i]);
		}
	for (uint32_t slot = 0; slot < slots; slot++) {
		uint64_t left = noise_uniform(ticket, NOISE_DATASET, slot, total);
		size_t at = 0;

		dataset[slot] = 0;
		if (count == 0)
			continue;
		while (left >= weight_of(&registry->datasets[candidates[at]]))
			left -= weight_of(&registry->datasets[candidates[at++]]);
		dataset[slot] = candidates[at];
		total -= weight_of(&registry->datasets[candidates[at]]);
		memmove(candidates + at, candidates + at + 1, (--count - at) * sizeof *candidates);
	}
	free(candidates);
}

/* === Values === */

/* The positive slot values of an outcome; returns how many. */
static uint32_t positive_values(const struct outcome *outcome, int64_t out[OUTCOME_MAX_SLOTS])
{
	uint32_t count = 0;

	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++)
		if (outcome->slot[i].count > 0 && outcome->slot[i].value > 0)
			out[count++] = outcome->slot[i].value;
	return count;
}

static int compare_values(const void *a, const void *b)
{
	int64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

bool registry_v_ref(const struct registry *registry, const struct outcome *parent_outcome, int64_t *v_ref)
{
	int64_t newest[OUTCOME_MAX_SLOTS], *all;
	size_t added = parent_outcome != NULL ? positive_values(parent_outcome, newest) : 0;
	size_t count = registry->value_count + added;

	*v_ref = registry->spec->v_0;
	if (count < V_REF_RECORDS)
		return false;
	all = mem_alloc(count * sizeof *all);
	memcpy(all, registry->values, registry->value_count * sizeof *all);
	memcpy(all + registry->value_count, newest, added * sizeof *all);
	qsort(all, count, sizeof *all, compare_values);
	*v_ref = all[(count - 1) / 2];
	if (*v_ref < registry->spec->v_min)
		*v_ref = registry->spec->v_min;
	free(all);
	return true;
}

static void drop_oldest(struct registry *registry, struct registry_undo *undo)
{
	undo->has_dropped = true;
	undo->dropped_count = registry->value_counts[0];
	memcpy(undo->dropped, registry->values, undo->dropped_count * sizeof *undo->dropped);
	registry->value_count -= undo->dropped_count;
	memmove(registry->values, registry->values + undo->dropped_count,
		registry->value_count * sizeof *registry->values);
	registry->recorded--;
	memmove(registry->value_counts, registry->value_counts + 1, registry->recorded);
}

static void record_values(struct registry *registry, const struct outcome *outcome, struct registry_undo *undo)
{
	int64_t values[OUTCOME_MAX_SLOTS];
	uint32_t count = positive_values(outcome, values);

	if (registry->recorded == RECORDED_BLOCKS)
		drop_oldest(registry, undo);
	undo->has_record = true;
	registry->value_counts[registry->recorded++] = (uint8_t)count;
	registry->values = mem_realloc(registry->values, (registry->value_count + count) * sizeof *values);
	memcpy(registry->values + registry->value_count, values, count * sizeof *values);
	registry->value_count += count;
}

static void unrecord_values(struct registry *registry, const struct registry_undo *undo)
{
	size_t more = undo->dropped_count;

	registry->value_count -= registry->value_counts[--registry->recorded];
	if (!undo->has_dropped)
		return;
	registry->values = mem_realloc(registry->values, (registry->value_count + more) * sizeof *registry->values);
	memmove(registry->values + more, registry->values, registry->value_count * sizeof *registry->values);
	memcpy(registry->values, undo->dropped, more * sizeof *registry->values);
	registry->value_count += more;
	memmove(registry->value_counts + 1, registry->value_counts, registry->recorded++);
	registry->value_counts[0] = (uint8_t)more;
}

/* === Statistics === */

static struct statistics statistics_of(const struct registry *registry, uint32_t number)
{
	const struct dataset *dataset = &registry->datasets[number];

	return (struct statistics){
		.number = number,
		.draws = dataset->draws,
		.quarantined_until = dataset->quarantined_until,
		.total_draws = dataset->total_draws,
		.sum = dataset->sum,
		.total_paid = dataset->total_paid,
		.squares = dataset->squares,
	};
}

static void restore_statistics(struct registry *registry, const struct statistics *before)
{
	struct dataset *dataset = &registry->datasets[before->number];

	dataset->draws = before->draws;
	dataset->quarantined_until = before->quarantined_until;
	dataset->total_draws = before->total_draws;
	dataset->sum = before->sum;
	dataset->total_paid = before->total_paid;
	dataset->squares = before->squares;
}

/* Mean plus two standard errors is negative. Within 128 bits: draws <= 2^20, |sum| <= 2^51, squares <= 2^82. */
static bool is_harmful(const struct dataset *dataset)
{
	unsigned __int128 draws = dataset->draws,
			  sum = dataset->sum < 0 ? (uint64_t)-dataset->sum : (uint64_t)dataset->sum;

	return draws >= QUARANTINE_DRAWS && dataset->sum < 0 &&
		sum * sum * (draws - 1) > 4 * (draws * dataset->squares - sum * sum);
}

static void observe(struct dataset *dataset, int64_t value, uint32_t height)
{
	int64_t x = value >> OBSERVATION_SHIFT; /* rounds toward minus infinity */

	if (dataset->draws == DRAWS_MAX)
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

/* The outcome of the block at height - 1. A void one changes nothing here but the window of records. */
static void apply_outcome(struct registry *registry, const struct block_outcome *parent, struct registry_undo *undo)
{
	const struct outcome *outcome = &parent->outcome;

	record_values(registry, outcome, undo);
	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		struct dataset *dataset = &registry->datasets[parent->dataset[i]];

		if (outcome->slot[i].count == 0)
			continue;
		undo->changed[undo->changed_count++] = statistics_of(registry, parent->dataset[i]);
		dataset->total_draws++;
		if (parent->dataset[i] == 0)
			continue;
		dataset->total_paid += reward_slot(registry->spec, registry->height - 1, outcome->slot[i].count,
			outcome->slot[i].value, parent->v_ref);
		observe(dataset, outcome->slot[i].value, registry->height);
	}
}

/* === Blocks === */

bool registry_append(struct registry *registry, const struct dataset *dataset)
{
	size_t place;

	if (registry_find(registry, dataset->root, NULL) != NULL)
		return false;
	place = place_of(registry, dataset->root);
	registry->datasets = mem_realloc(registry->datasets, (registry->count + 1) * sizeof *registry->datasets);
	registry->by_root = mem_realloc(registry->by_root, (registry->count + 1) * sizeof *registry->by_root);
	memmove(registry->by_root + place + 1, registry->by_root + place,
		(registry->count - place) * sizeof *registry->by_root);
	registry->by_root[place] = (uint32_t)registry->count;
	registry->datasets[registry->count++] = *dataset;
	return true;
}

static void register_tx(struct registry *registry, const struct tx *tx)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++) {
		struct dataset dataset = { .output = (uint32_t)i, .height = registry->height };

		if (!contribution_parse(&tx->outputs[i].script, &data))
			continue;
		memcpy(dataset.root, data.root, 32);
		memcpy(dataset.owner, data.owner, 32);
		memcpy(dataset.licence, data.licence, sizeof dataset.licence);
		memcpy(dataset.title, data.title, sizeof dataset.title);
		dataset.size = data.size;
		memcpy(dataset.txid, tx_txid(tx), 32);
		registry_append(registry, &dataset);
	}
}

struct registry_undo *registry_apply(struct registry *registry, const struct block *block,
	const struct block_outcome *parent_outcome)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);

	undo->bucket = registry->bucket;
	undo->count = registry->count;
	undo->height = ++registry->height;
	if (parent_outcome != NULL)
		apply_outcome(registry, parent_outcome, undo);
	for (size_t i = 1; i < block->tx_count; i++)
		register_tx(registry, block->txs[i]);
	reward_proof(registry->spec, registry->height, registry->bucket, block->loose_count, &registry->bucket);
	return undo;
}

static bool undo_fits(const struct registry *registry, const struct registry_undo *undo)
{
	if (undo->height != registry->height || undo->height == 0 || undo->count == 0 || undo->count > registry->count)
		return false;
	for (uint32_t i = 0; i < undo->changed_count; i++)
		if (undo->changed[i].number >= undo->count)
			return false;
	return !undo->has_record ||
		(registry->recorded > 0 && (!undo->has_dropped || registry->recorded == RECORDED_BLOCKS));
}

static void forget_datasets(struct registry *registry, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < registry->count; i++)
		if (registry->by_root[i] < count)
			registry->by_root[kept++] = registry->by_root[i];
	registry->count = count;
}

bool registry_undo(struct registry *registry, const struct registry_undo *undo)
{
	if (!undo_fits(registry, undo))
		return false;
	forget_datasets(registry, undo->count);
	for (uint32_t i = undo->changed_count; i > 0; i--)
		restore_statistics(registry, &undo->changed[i - 1]);
	if (undo->has_record)
		unrecord_values(registry, undo);
	registry->bucket = undo->bucket;
	registry->height--;
	return true;
}

void registry_undo_free(struct registry_undo *undo)
{
	free(undo);
}

/* === Rules === */

struct roots {
	uint8_t (*root)[32];
	size_t count;
};

static void collect_roots(struct roots *roots, const struct tx *tx)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &data)) {
			roots->root = mem_realloc(roots->root, (roots->count + 1) * sizeof *roots->root);
			memcpy(roots->root[roots->count++], data.root, 32);
		}
}

static int compare_roots(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* Ends with roots released. */
static bool check_roots(const struct registry *registry, struct roots *roots, enum reject_code code_registered,
	struct reject *reject)
{
	bool ok = true;

	if (roots->count)
		qsort(roots->root, roots->count, sizeof *roots->root, compare_roots);
	for (size_t i = 0; ok && i < roots->count; i++) {
		if (i && memcmp(roots->root[i - 1], roots->root[i], 32) == 0)
			ok = reject_set(reject, REASON_BAD_CONTRIB_DUPLICATE, "a root is registered twice at once");
		else if (registry_find(registry, roots->root[i], NULL) != NULL)
			ok = reject_as(reject, code_registered, REASON_BAD_CONTRIB_DUPLICATE,
				"a root is registered already");
	}
	free(roots->root);
	return ok;
}

bool registry_check_tx(const struct registry *registry, const struct tx *tx, struct reject *reject)
{
	struct roots roots = { 0 };

	collect_roots(&roots, tx);
	return check_roots(registry, &roots, REJECT_POLICY, reject);
}

bool registry_check_block(const struct registry *registry, const struct block *block, struct reject *reject)
{
	struct roots roots = { 0 };

	for (size_t i = 1; i < block->tx_count; i++)
		collect_roots(&roots, block->txs[i]);
	return check_roots(registry, &roots, REJECT_INVALID, reject);
}
