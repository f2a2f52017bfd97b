/* Blocks and outcomes as a registry sees them: nothing but their contributions, loose proofs and values. */
#ifndef ATELIER_TEST_REGISTRY_FIXTURE_H
#define ATELIER_TEST_REGISTRY_FIXTURE_H

#include "consensus/branch/registry.h"
#include "consensus/coinbase.h"
#include "consensus/payload/commitment.h"
#include "consensus/reward.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

static inline struct contribution example_data(uint32_t number, uint64_t size)
{
	/* The x coordinate of the curve's generator. */
	static const char owner[] = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
	struct contribution data = { .size = size, .licence = "CC0-1.0" };

	write_le32(data.root + 7 * (number % 4), number + 1);
	snprintf(data.title, sizeof data.title, "number %u", number);
	assert_true(hex_decode(data.owner, 32, owner));
	return data;
}

/* Burns what regtest asks for while no block registers much. */
static inline void add_data_output(struct tx *tx, const struct contribution *data)
{
	struct buf script;

	buf_init(&script);
	contribution_script(&script, data);
	tx_add_output(tx, 10 * (int64_t)data->size, script.data, script.size);
	buf_clear(&script);
}

/* A coinbase of no content, and a transaction for each contribution. */
static inline struct block *example_block(size_t loose, const struct contribution *data, size_t count)
{
	struct block *block = block_new();

	block->txs = mem_alloc((1 + count) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx_new());
	for (size_t i = 0; i < count; i++) {
		struct tx *tx = tx_new();

		tx->locktime = (uint32_t)i;
		add_data_output(tx, &data[i]);
		block->txs[block->tx_count++] = tx_seal(tx);
	}
	block->loose = mem_calloc(loose, sizeof *block->loose);
	block->loose_count = loose;
	return block;
}

static inline void add_commitment_output(struct tx *tx, const struct contribution *data)
{
	struct buf script;
	uint8_t hash[32];

	commitment_hash(data, hash);
	buf_init(&script);
	commitment_script(&script, hash);
	tx_add_output(tx, COMMITMENT_BURN, script.data, script.size);
	buf_clear(&script);
}

/* Applies a block and forgets how to undo it. */
static inline void apply(struct registry *registry, size_t loose, const struct contribution *data, size_t count,
	const struct block_outcome *parent)
{
	struct block *block = example_block(loose, data, count);

	registry_undo_free(registry_apply(registry, block, parent));
	block_unref(block);
}

/* The same of a block with that many commitments to the data, which registers nothing. */
static inline void commit(struct registry *registry, const struct contribution *data, size_t count)
{
	struct block *block = example_block(0, NULL, 0);
	struct tx *tx = tx_new();

	for (size_t i = 0; i < count; i++)
		add_commitment_output(tx, data);
	block->txs = mem_realloc(block->txs, 2 * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx);
	registry_undo_free(registry_apply(registry, block, NULL));
	block_unref(block);
}

/* One slot with a proof, of one dataset, with this effect and value; the other slots empty. Data that can be drawn
 * weigh enough for full pay. */
static inline struct block_outcome example_outcome(uint32_t slots, uint32_t dataset, int64_t value)
{
	struct block_outcome outcome = {
		.outcome.slots = slots,
		.v_ref = 4294967,
		.weight = REWARD_FULL_WEIGHT,
	};

	outcome.outcome.slot[0].count = 1;
	outcome.outcome.slot[0].effect = value;
	outcome.outcome.slot[0].value = value;
	outcome.dataset[0] = dataset;
	return outcome;
}

#endif
