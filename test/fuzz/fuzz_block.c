/* Blocks: what parses is written back byte for byte, and the rules give a verdict on it. */
#include <string.h>

#include "consensus/block.h"
#include "crypto/hash.h"
#include "fuzz.h"
#include "util/mem.h"

/* A small model, so that bodies are small too. */
static const struct spec spec = {
	.genesis_time = 1000000,
	.k = 4,
	.slots = 2,
	.start_bits = 0x20400000,
	.course_count = 1,
	.courses = { { .train = { .model = { 16, 1, 1, 16, 32 },
			       .batch = 1,
			       .iterations = 1,
			       .lr_ppm = 1,
			       .bench_rows = 1 } } },
	.blob_min = 4096,
	.blob_max = 16384,
	.blob_budget = 20000,
	.burn_rate = 10,
	.block_weight = 40000,
};

static void check_rules(const struct block *block)
{
	struct parent_view parent = { .height = 7, .time = 999999, .median_time = 999000 };
	struct reject reject = { .reason = NULL };

	memcpy(parent.id, block->header.prev, 32);
	if (!block_check(&spec, block, &parent, &reject))
		FUZZ_PROMISE(reject.reason != NULL && reject.code == REJECT_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reject reject = { .reason = NULL };
	struct reader reader;
	const struct block *block;
	struct buf again;

	reader_init(&reader, data, size);
	block = block_read(&spec, &reader, &reject);
	if (block == NULL) {
		FUZZ_PROMISE(reject.reason != NULL && reject.ban_score == 100);
		return 0;
	}
	buf_init(&again);
	block_write(&again, &spec, block, block->bodies != NULL);
	FUZZ_PROMISE(again.size == size && memcmp(again.data, data, size) == 0);
	buf_clear(&again);
	check_rules(block);
	block_unref(block);
	return 0;
}

static void add_tx(struct block *block, uint8_t from)
{
	struct outpoint prev = { { from }, from ? 0 : UINT32_MAX };
	uint8_t script[P2TR_SIZE] = { 0x51, 32, 7 };
	struct tx *tx = tx_new();

	tx_add_input(tx, &prev, 0xffffffff);
	if (from)
		tx_set_witness(tx, 0, script, sizeof script);
	tx_add_output(tx, 5 * COIN, script, sizeof script);
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx);
}

static void add_bodies(struct block *block)
{
	size_t size = block_body_size(&spec);

	block->bodies = mem_calloc(1 + block->loose_count, sizeof *block->bodies);
	for (size_t i = 0; i <= block->loose_count; i++) {
		block->bodies[i] = mem_calloc(1, size);
		sha256(i ? block->loose[i - 1].digest : block->header.digest, block->bodies[i], size);
	}
}

bool fuzz_seed(size_t index, struct buf *out)
{
	struct block *block = block_new();

	if (index > 3) {
		block_unref(block);
		return false;
	}
	block->header = (struct header){ .version = 1, .time = 1000060, .bits = 0x20400000 };
	for (uint8_t from = 0; from <= index; from++)
		add_tx(block, from);
	block->loose_count = index;
	block->loose = mem_calloc(index, sizeof *block->loose);
	for (size_t i = 0; i < index; i++) {
		block->loose[i] = block->header;
		block->loose[i].nonce = 1 + i;
	}
	if (index == 3) {
		block->late = mem_dup(block->loose, sizeof *block->late);
		block->late_count = 1;
	}
	if (index == 2)
		add_bodies(block);
	block_set_roots(block);
	block_write(out, &spec, block, true);
	block_unref(block);
	return true;
}
