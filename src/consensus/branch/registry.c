/* The registry: the sum of its parts, in the order in which their bytes have always lain. */
#include "consensus/branch/registry.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/registry_state.h"
#include "util/mem.h"

enum { REGISTRY_FORM = 1 }; /* of the byte forms */

/* --- life --- */

struct registry *registry_new(const struct spec *spec)
{
	struct registry *registry = mem_calloc(1, sizeof *registry);

	registry->spec = spec;
	fees_init(&registry->fees, spec);
	datasets_init(&registry->datasets, spec);
	return registry;
}

struct registry *registry_copy(const struct registry *registry)
{
	struct registry *copy = mem_dup(registry, sizeof *registry);

	values_copy(&copy->values, &registry->values);
	datasets_copy(&copy->datasets, &registry->datasets);
	return copy;
}

void registry_free(struct registry *registry)
{
	if (registry == NULL)
		return;
	values_clear(&registry->values);
	datasets_clear(&registry->datasets);
	free(registry);
}

/* --- questions --- */

uint32_t registry_height(const struct registry *registry)
{
	return registry->height;
}

size_t registry_count(const struct registry *registry)
{
	return registry->datasets.count;
}

int64_t registry_bucket(const struct registry *registry)
{
	return registry->bucket.amount;
}

uint64_t registry_data_rate(const struct registry *registry, uint32_t blocks)
{
	return fees_least(&registry->fees, blocks);
}

const struct dataset *registry_get(const struct registry *registry, size_t number)
{
	return &registry->datasets.list[number];
}

const struct dataset *registry_find(const struct registry *registry, const uint8_t root[32], size_t *number)
{
	return datasets_find(&registry->datasets, root, number);
}

bool registry_can_draw(const struct registry *registry, size_t number)
{
	return datasets_can_draw(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, number);
}

uint64_t registry_draw(const struct registry *registry, const uint8_t ticket[32], uint32_t slots, uint32_t dataset[])
{
	return datasets_draw(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, ticket, slots,
		dataset);
}

int64_t registry_v_ref(const struct registry *registry, const struct outcome *parent_outcome)
{
	return values_ref(&registry->values, registry->spec, parent_outcome);
}

/* --- blocks --- */

/* The parts may be taken in any order: each sees the block, and none of them another (consensus/branch/part.h). */
struct registry_undo *registry_apply(struct registry *registry, const struct block *block,
	const struct block_outcome *parent_outcome)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);
	const struct branch_block on_top = { registry->spec, ++registry->height, block, parent_outcome };

	undo->height = registry->height;
	bucket_apply(&registry->bucket, &on_top, &undo->bucket);
	fees_apply(&registry->fees, &on_top, &undo->fees);
	values_apply(&registry->values, &on_top, &undo->values);
	datasets_apply(&registry->datasets, &on_top, &undo->datasets);
	return undo;
}

/* All parts are asked before the first is touched: either all of them go back, or none. */
bool registry_undo(struct registry *registry, const struct registry_undo *undo)
{
	if (undo->height != registry->height || undo->height == 0 ||
		!values_undo_fits(&registry->values, &undo->values) ||
		!datasets_undo_fits(&registry->datasets, &undo->datasets))
		return false;
	bucket_undo(&registry->bucket, &undo->bucket);
	fees_undo(&registry->fees, &undo->fees);
	values_undo(&registry->values, &undo->values);
	datasets_undo(&registry->datasets, &undo->datasets);
	registry->height--;
	return true;
}

void registry_undo_free(struct registry_undo *undo)
{
	free(undo);
}

/* --- rules --- */

struct registry_roots {
	uint8_t (*root)[32];
	size_t count;
};

static void registry_collect_roots(struct registry_roots *roots, const struct tx *tx)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &contribution)) {
			roots->root = mem_realloc(roots->root, (roots->count + 1) * sizeof *roots->root);
			memcpy(roots->root[roots->count++], contribution.root, 32);
		}
}

static int registry_compare_roots(const void *root, const void *other_root)
{
	return memcmp(root, other_root, 32);
}

/* Ends with roots released. Sorted, so that twins stand side by side: a block may name hundreds of roots. */
static bool registry_check_roots(const struct registry *registry, struct registry_roots *roots,
	enum reject_code code_registered, struct reject *reject)
{
	bool roots_free = true;

	if (roots->count)
		qsort(roots->root, roots->count, sizeof *roots->root, registry_compare_roots);
	for (size_t i = 0; roots_free && i < roots->count; i++) {
		if (i && memcmp(roots->root[i - 1], roots->root[i], 32) == 0)
			roots_free = reject_set(reject, REASON_BAD_CONTRIB_DUPLICATE,
				"a root is registered twice at once");
		else if (registry_find(registry, roots->root[i], NULL) != NULL)
			roots_free = reject_as(reject, code_registered, REASON_BAD_CONTRIB_DUPLICATE,
				"a root is registered already");
	}
	free(roots->root);
	return roots_free;
}

/* Whether every contribution of a transaction burns what the least of the newest `blocks` rates asks for. */
static bool registry_check_burns(const struct registry *registry, const struct tx *tx, uint32_t blocks,
	enum reject_code code, struct reject *reject)
{
	const uint64_t data_rate = fees_least(&registry->fees, blocks);
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		int64_t least_burn;

		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		least_burn = fees_burn(data_rate, contribution.size);
		if (tx->outputs[i].amount < least_burn)
			return reject_as(reject, code, REASON_BAD_CONTRIB_BURN, "output %zu burns %lld instead of %lld",
				i, (long long)tx->outputs[i].amount, (long long)least_burn);
	}
	return true;
}

/* Policy too: rates of another branch, or some blocks later, may be lower. */
bool registry_check_burn(const struct registry *registry, const struct tx *tx, uint32_t blocks, struct reject *reject)
{
	return registry_check_burns(registry, tx, blocks, REJECT_POLICY, reject);
}

/* Policy, not a verdict: on another branch the root may be free. */
bool registry_check_tx(const struct registry *registry, const struct tx *tx, struct reject *reject)
{
	struct registry_roots roots = { 0 };

	registry_collect_roots(&roots, tx);
	return registry_check_roots(registry, &roots, REJECT_POLICY, reject);
}

bool registry_check_block(const struct registry *registry, const struct block *block, struct reject *reject)
{
	struct registry_roots roots = { 0 };

	for (size_t i = 1; i < block->tx_count; i++)
		if (!registry_check_burns(registry, block->txs[i], FEES_WINDOW, REJECT_INVALID, reject))
			return false;
	for (size_t i = 1; i < block->tx_count; i++)
		registry_collect_roots(&roots, block->txs[i]);
	return registry_check_roots(registry, &roots, REJECT_INVALID, reject);
}

/* --- bytes: for the database alone, nothing here is consensus --- */

void registry_write(struct buf *out, const struct registry *registry)
{
	buf_put_u8(out, REGISTRY_FORM);
	buf_put_le32(out, registry->height);
	bucket_write(out, &registry->bucket);
	fees_write(out, &registry->fees);
	values_write(out, &registry->values);
	datasets_write(out, &registry->datasets);
}

struct registry *registry_read(const struct spec *spec, struct reader *registry_reader)
{
	struct registry *registry = registry_new(spec);

	if (reader_u8(registry_reader) == REGISTRY_FORM) {
		registry->height = reader_le32(registry_reader);
		if (bucket_read(&registry->bucket, registry_reader) && fees_read(&registry->fees, registry_reader) &&
			values_read(&registry->values, registry_reader) &&
			datasets_read(&registry->datasets, registry_reader))
			return registry;
	}
	reader_fail(registry_reader);
	registry_free(registry);
	return NULL;
}

void registry_undo_write(struct buf *out, const struct registry_undo *undo)
{
	buf_put_u8(out, REGISTRY_FORM);
	buf_put_le32(out, undo->height);
	bucket_undo_write(out, &undo->bucket);
	fees_undo_write(out, &undo->fees);
	datasets_undo_write(out, &undo->datasets);
	values_undo_write(out, &undo->values);
}

struct registry_undo *registry_undo_read(struct reader *registry_reader)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);

	if (reader_u8(registry_reader) != REGISTRY_FORM)
		reader_fail(registry_reader);
	undo->height = reader_le32(registry_reader);
	if (bucket_undo_read(&undo->bucket, registry_reader) && fees_undo_read(&undo->fees, registry_reader) &&
		datasets_undo_read(&undo->datasets, registry_reader) &&
		values_undo_read(&undo->values, registry_reader))
		return undo;
	registry_undo_free(undo);
	return NULL;
}
