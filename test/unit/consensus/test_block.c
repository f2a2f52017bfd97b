/* Blocks: bytes there and back, and each rule broken alone on a block that is otherwise valid. */
#include "consensus/block.h"
#include "consensus/change.h"
#include "consensus/payload/contribution.h"
#include "consensus/target.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/delta.h"
#include "unit.h"
#include "util/mem.h"

enum { LOOSE = 3, NOW = 2000000 };

/* Its difficulty has risen twofold twice: a ticket meets the block target at one try in 16, the share target at one
 * in 4. */
static struct spec spec = {
	.name = "unit",
	.hrp = "u",
	.genesis_time = NOW,
	.spacing = 60,
	.k = 4,
	.slots = 2,
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
	.start_bits = 0x20400000,
};
enum { BITS = 0x20100000, FUTURE_LIMIT = 90 };

static struct parent_view parent = {
	.id = { 1 },
	.ticket = { 2 },
	.height = 2 * 72,
	.time = NOW,
	.median_time = NOW - 100,
	.base_time = NOW - 1000,
	.model_root = { 3 },
	.has_model_root = true,
	/* Each 30 seconds before the next: 143 to 138. */
	.late = { { { 11 }, { 21 }, true, 143, NOW - 130, BITS, NOW - 1030 },
		{ { 12 }, { 22 }, true, 142, NOW - 160, BITS, NOW - 1060 },
		{ { 13 }, { 23 }, true, 141, NOW - 190, BITS, NOW - 300 },
		{ { 14 }, { 24 }, true, 140, NOW - 220, BITS + 1, NOW - 1120 },
		{ { 15 }, { 25 }, true, 139, NOW - 250, BITS, NOW - 1150 },
		{ { 16 }, { 26 }, true, 138, NOW - 280, BITS, NOW - 1180 }, },
	.late_count = 6,
};
static uint8_t key[32];

static int setup(void **state)
{
	uint8_t secret[32] = { [31] = 1 };

	(void)state;
	return schnorr_key(key, secret) ? 0 : -1;
}

/* Tries nonces until the ticket is at most the block target (own), or above it and at most the share target. */
static void grind(struct header *header, bool own)
{
	struct u256 target;
	uint8_t ticket[32];

	assert_true(target_from_compact(BITS, &target));
	do {
		header->nonce++;
		header_ticket(header, ticket);
	} while (own ? !target_met(ticket, target) :
		       target_met(ticket, target) || !target_met(ticket, target_share(target, spec.k)));
}

static struct header place(uint64_t nonce)
{
	struct header header = { .version = 1, .time = NOW + 60, .bits = BITS, .nonce = nonce };

	memcpy(header.prev, parent.id, 32);
	memcpy(header.model_root, parent.model_root, 32);
	memcpy(header.miner, key, 32);
	return header;
}

static int by_seed(const void *a, const void *b)
{
	uint8_t x[32], y[32];

	header_seed(a, x);
	header_seed(b, y);
	return memcmp(x, y, 32);
}

static void set_bytes(struct bytes *bytes, const void *data, size_t size)
{
	free(bytes->data);
	*bytes = (struct bytes){ mem_dup(data, size), size };
}

static void add_contribution(struct tx *tx, uint64_t size)
{
	struct contribution data = { .root = { (uint8_t)tx->output_count }, .size = size, .licence = "MIT" };
	struct buf script;

	memcpy(data.owner, key, 32);
	buf_init(&script);
	contribution_script(&script, &data);
	tx_add_output(tx, 10 * (int64_t)size, script.data, script.size);
	buf_clear(&script);
}

static const struct tx *make_coinbase(void)
{
	struct tx *tx = tx_new();
	uint8_t script[P2TR_SIZE];

	tx_add_input(tx, &(struct outpoint){ { 0 }, UINT32_MAX }, 0xffffffff);
	set_bytes(&tx->inputs[0].script, "\x02\x41\x02", 3);
	script_p2tr(script, key);
	tx_add_output(tx, 50, script, sizeof script);
	tx_add_output(tx, 0,
		(const uint8_t *)"\x6a\x05"
				 "atl\x00\x01",
		7);
	return tx_seal(tx);
}

static const struct tx *make_spend(uint8_t which)
{
	struct tx *tx = tx_new();
	uint8_t script[P2TR_SIZE];

	tx_add_input(tx, &(struct outpoint){ { which }, 0 }, 0xfffffffe);
	tx_set_witness(tx, 0, key, 32);
	script_p2tr(script, key);
	tx_add_output(tx, 50, script, sizeof script);
	return tx_seal(tx);
}

/* A block whose roots and tickets are still to be made: seal() does that. */
static struct block *make(void)
{
	struct block *block = block_new();

	block->txs = mem_alloc(3 * sizeof *block->txs);
	block->txs[block->tx_count++] = make_coinbase();
	block->txs[block->tx_count++] = make_spend(7);
	block->txs[block->tx_count++] = make_spend(8);
	add_contribution(change_tx(block, 2), 4096);
	block->loose = mem_alloc(LOOSE * sizeof *block->loose);
	for (size_t i = 0; i < LOOSE; i++) {
		block->loose[i] = place(1000000 * (i + 1));
		grind(&block->loose[i], false);
	}
	block->loose_count = LOOSE;
	block->header = place(0);
	return block;
}

static void seal(struct block *block)
{
	qsort(block->loose, block->loose_count, sizeof *block->loose, by_seed);
	change_end(block);
	block_set_roots(block);
	grind(&block->header, true);
}

/* Checks an unsealed block after all, and frees it. */
static void assert_verdict(struct block *block, const char *reason)
{
	struct reject reject = { .reason = "none" };

	if (!block_check_header(&spec, &block->header, &parent, NOW + 60, &reject) ||
		!block_check(&spec, block, &parent, &reject)) {
		assert_string_equal(reject.reason, reason ? reason : "none");
		assert_int_equal(reject.code, REJECT_INVALID);
		assert_int_equal(reject.ban_score, 100);
	} else if (reason != NULL) {
		fail_msg("passes instead of %s", reason);
	}
	block_unref(block);
}

static void assert_sealed(struct block *block, const char *reason)
{
	seal(block);
	assert_verdict(block, reason);
}

static void test_valid(void **state)
{
	(void)state;
	assert_sealed(make(), NULL);
}

/* The header came before its parent was verified, the block after that: what the block says beside it, here that no
 * transaction is a coinbase, is looked at later. */
static void test_model_known_later(void **state)
{
	struct block *block = make();
	struct reject reject;

	(void)state;
	block->header.model_root[0]++;
	seal(block);
	tx_unref(block->txs[0]);
	block->txs[0] = make_spend(9);
	parent.has_model_root = false;
	assert_true(block_check_header(&spec, &block->header, &parent, NOW, &reject));
	assert_false(block_check(&spec, block, &parent, &reject));
	assert_string_equal(reject.reason, "bad-cb-missing");
	parent.has_model_root = true;
	assert_false(block_check(&spec, block, &parent, &reject));
	assert_string_equal(reject.reason, "bad-model-root");
	block_unref(block);
}

/* === Header === */

static const char *header_reason(struct header header, uint64_t now, enum reject_code code)
{
	static struct reject reject;

	grind(&header, true);
	if (block_check_header(&spec, &header, &parent, now, &reject))
		return "valid";
	assert_int_equal(reject.code, code);
	return reject.reason;
}

static void test_header(void **state)
{
	struct header header = place(0);
	struct reject reject;

	(void)state;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "valid");
	header.version = 2;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-version");
	header = place(0);
	header.bits--;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-diffbits");
	header.bits = 0x200fffff;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-diffbits");
	header = place(0);
	header.time = parent.median_time;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "time-too-old");
	header.time++;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "valid");
	header.time = NOW + FUTURE_LIMIT;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "valid");
	header.time++;
	assert_string_equal(header_reason(header, NOW, REJECT_NOT_YET), "time-too-new");
	/* Two spacings after its ancestor eight blocks back at least. */
	parent.base_time = NOW - 50;
	header.time = NOW + 69;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "time-too-soon");
	header.time++;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "valid");
	parent.base_time = NOW - 1000;
	header = place(0);
	grind(&header, false);
	assert_false(block_check_header(&spec, &header, &parent, NOW, &reject));
	assert_string_equal(reject.reason, "high-hash");
	header = place(0);
	header.model_root[0]++;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-model-root");
	parent.has_model_root = false;
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "valid");
	parent.has_model_root = true;
	header = place(0);
	memset(header.miner, 0xff, 32);
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-proof-key");
	memset(header.miner, 0, 32);
	assert_string_equal(header_reason(header, NOW, REJECT_INVALID), "bad-proof-key");
}

/* === Loose proofs === */

static const char *loose_reason(struct header header, uint64_t time_limit, enum reject_code code)
{
	static struct reject reject;

	grind(&header, false);
	if (block_check_loose(&spec, &header, &parent, time_limit, &reject))
		return "valid";
	assert_int_equal(reject.code, code);
	return reject.reason;
}

static void test_loose(void **state)
{
	struct header header = place(0);
	struct u256 target;
	struct reject reject;
	uint8_t ticket[32];

	(void)state;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "valid");
	header.version = 2;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-parent");
	header = place(0);
	header.prev[0]++;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-parent");
	header = place(0);
	header.bits++;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-parent");
	header = place(0);
	header.model_root[0]++;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-parent");
	header = place(0);
	header.time = parent.median_time;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-time");
	header.time = NOW + 61;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_NOT_YET), "bad-proof-time");
	parent.base_time = NOW - 59;
	header.time = NOW + 60;
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-time");
	parent.base_time = NOW - 1000;
	header = place(0);
	header.tx_root[5] = header.proofs_root[5] = 77; /* whatever its miner had */
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "valid");
	memset(header.miner, 0xff, 32);
	assert_string_equal(loose_reason(header, NOW + 60, REJECT_INVALID), "bad-proof-key");
	/* A block's ticket, and one above the share target. */
	header = place(0);
	grind(&header, true);
	assert_false(block_check_loose(&spec, &header, &parent, NOW + 60, &reject));
	assert_string_equal(reject.reason, "bad-proof-ticket");
	assert_true(target_from_compact(BITS, &target));
	do {
		header.nonce++;
		header_ticket(&header, ticket);
	} while (target_met(ticket, target_share(target, spec.k)));
	assert_false(block_check_loose(&spec, &header, &parent, NOW + 60, &reject));
	assert_string_equal(reject.reason, "bad-proof-ticket");
}

static void test_loose_in_block(void **state)
{
	struct block *block = make();
	struct header swap;

	(void)state;
	block->loose[1].prev[0]++;
	grind(&block->loose[1], false);
	assert_sealed(block, "bad-proof-parent");
	block = make();
	block->loose[1].time = NOW + 60 + FUTURE_LIMIT;
	grind(&block->loose[1], false);
	assert_sealed(block, NULL);
	block = make();
	block->loose[1].time = NOW + 60 + FUTURE_LIMIT + 1;
	grind(&block->loose[1], false);
	assert_sealed(block, "bad-proof-time");
	block = make();
	seal(block);
	swap = block->loose[0];
	block->loose[0] = block->loose[1];
	block->loose[1] = swap;
	block_proofs_root(block, block->header.proofs_root);
	grind(&block->header, true);
	assert_verdict(block, "bad-proof-order");
	block = make();
	block->loose[1] = block->loose[0]; /* twice */
	assert_sealed(block, "bad-proof-order");
	block = make();
	seal(block);
	grind(&block->loose[2], false); /* another one, as good as the one committed to */
	qsort(block->loose, LOOSE, sizeof *block->loose, by_seed);
	assert_verdict(block, "bad-proofs-root");
}

/* Nobody may list the block's own step again under another digest. */
static void test_own_seed_in_loose(void **state)
{
	struct block *block = make();
	struct header own;
	struct u256 target;
	uint8_t ticket[32];
	unsigned tries = 0;

	(void)state;
	assert_true(target_from_compact(BITS, &target));
	block->loose_count = 1;
	seal(block);
	own = block->header;
	do { /* the seed stays; the digest moves the ticket */
		own.digest[0] = (uint8_t)tries;
		own.digest[1] = (uint8_t)(tries++ >> 8);
		header_ticket(&own, ticket);
	} while (target_met(ticket, target) || !target_met(ticket, target_share(target, spec.k)));
	block->loose[0] = own;
	/* proofs_root is part of the seed, so it cannot be right as well; the order is judged before it. */
	assert_verdict(block, "bad-proof-order");
}

static void test_loose_count(void **state)
{
	struct block *block = make();

	(void)state;
	block->loose = mem_realloc(block->loose, 17 * sizeof *block->loose);
	for (size_t i = 0; i < 17; i++) {
		block->loose[i] = place(1000000 * (i + 1));
		grind(&block->loose[i], false);
	}
	block->loose_count = 16;
	assert_sealed(block, NULL);
	/* No more than its time allows: 13 at 400 seconds, where two spacings are 120 and k is 4. */
	parent.base_time = NOW + 60 - 400;
	block = make();
	block->loose = mem_realloc(block->loose, 14 * sizeof *block->loose);
	for (size_t i = 0; i < 14; i++) {
		block->loose[i] = place(1000000 * (i + 1));
		grind(&block->loose[i], false);
	}
	block->loose_count = 14;
	assert_sealed(block, "bad-proof-count");
	parent.base_time = NOW - 1000;
	block = make();
	block->loose = mem_realloc(block->loose, 17 * sizeof *block->loose);
	for (size_t i = 0; i < 17; i++) {
		block->loose[i] = place(1000000 * (i + 1));
		grind(&block->loose[i], false);
	}
	block->loose_count = 17;
	assert_sealed(block, "bad-proof-count");
}

/* A node that does not know the state yet still holds loose proofs to the block's own root. */
static void test_loose_model_root(void **state)
{
	struct block *block = make();

	(void)state;
	parent.has_model_root = false;
	block->loose[0].model_root[0]++;
	grind(&block->loose[0], false);
	assert_sealed(block, "bad-proof-parent");
	parent.has_model_root = true;
}

/* === Late proofs === */

/* A proof for a child of the block `back` blocks below the parent, ground as a loose one is or (own) as a block. */
static struct header late_proof(uint32_t back, uint64_t nonce, bool own)
{
	const struct proof_place *from = &parent.late[back - 1];
	struct header header = place(nonce);

	memcpy(header.prev, from->id, 32);
	memcpy(header.model_root, from->model_root, 32);
	header.bits = from->bits;
	header.time = from->median_time + 1;
	grind(&header, own);
	return header;
}

/* Four of them: 6, 5, 2 and 2 blocks back, one of which is a stale block's own. */
static struct block *make_late(void)
{
	struct block *block = make();

	block->late = mem_calloc(17, sizeof *block->late);
	block->late[block->late_count++] = late_proof(6, 1, false);
	block->late[block->late_count++] = late_proof(5, 2, true);
	block->late[block->late_count++] = late_proof(2, 3, false);
	block->late[block->late_count++] = late_proof(2, 1000000, true);
	qsort(block->late + 2, 2, sizeof *block->late, by_seed);
	return block;
}

/* Puts another in the place of the third. */
static void assert_third_late(const struct header *other, const char *reason)
{
	struct block *block = make_late();

	block->late_count = 3;
	block->late[2] = *other;
	grind(&block->late[2], false);
	assert_sealed(block, reason);
}

static void test_late(void **state)
{
	const struct header good = late_proof(2, 3, false);
	struct header bad = good;

	(void)state;
	assert_sealed(make_late(), NULL);
	assert_third_late(&good, NULL);
	bad.prev[0] = 17;
	assert_third_late(&bad, "bad-proof-parent");
	memcpy(bad.prev, parent.id, 32); /* loose, then */
	assert_third_late(&bad, "bad-proof-parent");
	bad = good;
	bad.version = 2;
	assert_third_late(&bad, "bad-proof-parent");
	bad = good;
	bad.bits++;
	assert_third_late(&bad, "bad-proof-parent");
	bad = good;
	memcpy(bad.model_root, parent.late[2].model_root, 32);
	assert_third_late(&bad, "bad-proof-parent");
	bad = good;
	bad.time = parent.late[1].median_time;
	assert_third_late(&bad, "bad-proof-time");
	bad.time = NOW + 60 + FUTURE_LIMIT;
	assert_third_late(&bad, NULL);
	bad.time++;
	assert_third_late(&bad, "bad-proof-time");
	bad = good;
	memset(bad.miner, 0xff, 32);
	assert_third_late(&bad, "bad-proof-key");
}

/* A child of the third place could not be dated earlier than 120 seconds after its ancestor 8 back. */
static void test_late_pace(void **state)
{
	struct header header = late_proof(3, 1, false);

	(void)state;
	assert_int_equal(header.time, NOW - 189);
	assert_third_late(&header, "bad-proof-time");
	header.time = NOW - 180;
	assert_third_late(&header, NULL);
	header.time--;
	assert_third_late(&header, "bad-proof-time");
}

/* Each place has bits of its own; a ticket above the share target is nothing. */
static void test_late_alone(void **state)
{
	struct header header = late_proof(4, 1, false);
	struct reject reject;
	struct u256 target;
	uint8_t ticket[32];
	uint32_t back = 0;

	(void)state;
	assert_int_equal(header.bits, BITS + 1);
	for (uint32_t i = 1; i <= BLOCK_LATE_BACK; i++) {
		header = late_proof(i, 1, i % 2);
		header.time = NOW;
		grind(&header, i % 2);
		assert_true(block_check_late(&spec, &header, &parent, NOW, &back, &reject));
		assert_int_equal(back, i);
		assert_false(block_check_late(&spec, &header, &parent, NOW - 1, &back, &reject));
		assert_int_equal(reject.code, REJECT_NOT_YET);
	}
	parent.late_count = 5;
	assert_false(block_check_late(&spec, &header, &parent, NOW, &back, &reject));
	assert_string_equal(reject.reason, "bad-proof-parent");
	parent.late_count = 6;
	assert_true(target_from_compact(BITS, &target));
	do {
		header.nonce++;
		header_ticket(&header, ticket);
	} while (target_met(ticket, target_share(target, spec.k)));
	assert_false(block_check_late(&spec, &header, &parent, NOW, &back, &reject));
	assert_string_equal(reject.reason, "bad-proof-ticket");
}

static void test_late_order(void **state)
{
	struct block *block = make_late();
	struct header swap = block->late[2];

	(void)state;
	block->late[2] = block->late[3];
	block->late[3] = swap;
	assert_sealed(block, "bad-proof-order");
	block = make_late();
	block->late[3] = block->late[2]; /* twice */
	assert_sealed(block, "bad-proof-order");
	block = make_late();
	swap = block->late[0];
	block->late[0] = block->late[1];
	block->late[1] = swap;
	assert_sealed(block, "bad-proof-order");
	block = make_late();
	seal(block);
	block->late_count--; /* not those that the root is of */
	assert_verdict(block, "bad-proofs-root");
}

/* Loose and late ones are counted together. */
static void test_late_count(void **state)
{
	for (size_t late_count = 13; late_count <= 14; late_count++) {
		struct block *block = make();

		(void)state;
		block->late = mem_calloc(late_count, sizeof *block->late);
		for (block->late_count = 0; block->late_count < late_count; block->late_count++)
			block->late[block->late_count] = late_proof(1, 1000000 * block->late_count, false);
		qsort(block->late, late_count, sizeof *block->late, by_seed);
		assert_sealed(block, late_count + LOOSE <= 16 ? NULL : "bad-proof-count");
	}
}

/* === Transactions === */

static void test_coinbases(void **state)
{
	struct block *block = make();

	(void)state;
	change_tx(block, 1)->inputs[0].prev = (struct outpoint){ { 0 }, UINT32_MAX };
	assert_sealed(block, "bad-cb-multiple");
	block = make();
	change_tx(block, 0)->inputs[0].prev.index = 0;
	assert_sealed(block, "bad-cb-missing");
	block = make();
	while (block->tx_count)
		tx_unref(block->txs[--block->tx_count]);
	assert_sealed(block, "bad-cb-missing");
}

static void test_weight(void **state)
{
	struct block *block = make();
	size_t weight = 0;

	(void)state;
	for (size_t i = 0; i < block->tx_count; i++)
		weight += tx_weight(block->txs[i]);
	spec.block_weight = (uint32_t)weight;
	assert_sealed(block, NULL);
	spec.block_weight--;
	assert_sealed(make(), "bad-blk-weight");
	spec.block_weight = 40000;
}

static void test_roots(void **state)
{
	struct block *block = make();
	const struct tx *swap;

	(void)state;
	seal(block);
	swap = block->txs[1];
	block->txs[1] = block->txs[2];
	block->txs[2] = swap;
	assert_verdict(block, "bad-txnmrklroot");
	block = make();
	seal(block);
	change_tx(block, 1)->inputs[0].witness[0].data[0]++; /* roots cover witnesses */
	change_end(block);
	assert_verdict(block, "bad-txnmrklroot");
	block = make();
	seal(block);
	block->header.tx_root[0]++;
	grind(&block->header, true);
	assert_verdict(block, "bad-txnmrklroot");
	block = make();
	seal(block);
	block->header.proofs_root[31]++;
	grind(&block->header, true);
	assert_verdict(block, "bad-proofs-root");
	block = make();
	seal(block);
	block->loose_count--;
	assert_verdict(block, "bad-proofs-root");
}

static void test_txs(void **state)
{
	struct block *block = make();

	(void)state;
	change_tx(block, 2)->outputs[0].amount = -1;
	assert_sealed(block, "bad-txns-vout-negative");
	block = make();
	change_tx(block, 1)->locktime = parent.height + 1;
	assert_sealed(block, "bad-txns-nonfinal");
	block = make();
	change_tx(block, 1)->locktime = parent.height;
	assert_sealed(block, NULL);
	block = make();
	change_tx(block, 1)->inputs[0].sequence = 0xffffffff;
	change_tx(block, 1)->locktime = parent.height + 1;
	assert_sealed(block, NULL);
}

static void test_contributions(void **state)
{
	struct block *block = make();

	(void)state;
	add_contribution(change_tx(block, 1), 16385);
	assert_sealed(block, "bad-contrib-size");
	block = make();
	add_contribution(change_tx(block, 1), 20000 - 4096);
	assert_sealed(block, NULL);
	block = make();
	add_contribution(change_tx(block, 1), 20001 - 4096);
	assert_sealed(block, "bad-contrib-budget");
}

static void test_empty_roots(void **state)
{
	static const uint8_t zeros[32];
	struct block *block = make();
	uint8_t root[32], leaf[33] = { 0 }, want[32];

	(void)state;
	block->loose_count = 0;
	block_proofs_root(block, root);
	assert_memory_equal(root, zeros, 32);
	while (block->tx_count > 1)
		tx_unref(block->txs[--block->tx_count]);
	tx_set_witness(change_tx(block, 0), 0, key, 32); /* the coinbase's leaf is its txid all the same */
	change_end(block);
	memcpy(leaf + 1, tx_txid(block->txs[0]), 32);
	sha256(want, leaf, sizeof leaf);
	block_tx_root(block, root);
	assert_memory_equal(root, want, 32);
	block_unref(block);
}

/* === Sealing === */

static void test_sealed(void **state)
{
	struct block *open = make_late();
	const struct block *block, *held;
	uint8_t id[32], **bodies;
	size_t size = block_body_size(&spec);

	(void)state;
	seal(open);
	block = block_seal(open);
	assert_int_equal(block_body_count(block), 1 + LOOSE);
	assert_int_equal(block_proof_count(block), 1 + LOOSE + 4);
	for (size_t i = 0; i < block_proof_count(block); i++) {
		assert_ptr_equal(block_proof(block, i),
			i == 0             ? &block->header :
				i <= LOOSE ? &block->loose[i - 1] :
					     &block->late[i - 1 - LOOSE]);
		header_id(block_proof(block, i), id);
		assert_memory_equal(block_proof_id(block, i), id, 32);
	}
	assert_ptr_equal(block_id(block), block_proof_id(block, 0));
	block_proofs_root(block, id);
	assert_memory_equal(id, block->header.proofs_root, 32);
	bodies = mem_calloc(1 + LOOSE, sizeof *bodies);
	for (size_t i = 0; i <= LOOSE; i++)
		bodies[i] = mem_calloc(1, size);
	assert_ptr_equal(block_join(block, bodies), block);
	assert_ptr_equal(block->bodies, bodies);
	held = block_ref(block);
	block_unref(block);
	assert_memory_equal(block_proof_id(held, 0), block_id(held), 32);
	block_unref(held);
	block_unref(NULL);
}

/* === Bytes === */

static void add_bodies(struct block *block)
{
	size_t size = block_body_size(&spec);

	block->bodies = mem_calloc(1 + block->loose_count, sizeof *block->bodies);
	for (size_t i = 0; i <= block->loose_count; i++) {
		struct header *header = i ? &block->loose[i - 1] : &block->header;

		block->bodies[i] = mem_calloc(1, size);
		block->bodies[i][1] = (uint8_t)i;
		sha256(header->digest, block->bodies[i], size);
	}
}

static const char *read_reason(const uint8_t *data, size_t size)
{
	static struct reject reject;
	uint8_t *exact = mem_dup(data, size);
	struct reader reader;
	const struct block *block;

	reader_init(&reader, exact, size);
	block = block_read(&spec, &reader, &reject);
	assert_int_equal(block != NULL, reader.ok);
	free(exact);
	if (block == NULL)
		return reject.reason;
	assert_true(reader_done(&reader));
	block_unref(block);
	return "read";
}

static void assert_round_trip(const struct block *block, bool bodies)
{
	struct buf raw, again;
	struct reader reader;
	const struct block *back;

	buf_init(&raw);
	buf_init(&again);
	block_write(&raw, &spec, block, bodies);
	reader_init(&reader, raw.data, raw.size);
	back = block_read(&spec, &reader, NULL);
	assert_non_null(back);
	assert_int_equal(back->tx_count, block->tx_count);
	assert_int_equal(back->loose_count, block->loose_count);
	assert_int_equal(back->late_count, block->late_count);
	assert_int_equal(back->bodies != NULL, bodies);
	block_write(&again, &spec, back, bodies);
	assert_int_equal(again.size, raw.size);
	assert_memory_equal(again.data, raw.data, raw.size);
	block_unref(back);
	if (!bodies)
		for (size_t i = 0; i < raw.size; i++)
			assert_string_equal(read_reason(raw.data, i), "bad-block-format");
	buf_put_u8(&raw, 0);
	assert_string_equal(read_reason(raw.data, raw.size), "bad-block-format");
	buf_clear(&raw);
	buf_clear(&again);
}

static void test_round_trip(void **state)
{
	struct block *block = make_late();

	(void)state;
	seal(block);
	assert_round_trip(block, false);
	add_bodies(block);
	assert_round_trip(block, true);
	assert_round_trip(block, false);
	block_unref(block);
}

static void test_bodies(void **state)
{
	struct block *block = make_late();
	size_t size = block_body_size(&spec);
	struct buf raw;

	(void)state;
	assert_int_equal(size, delta_size(model_count(&spec_course(&spec)->train.model)));
	add_bodies(block);
	buf_init(&raw);
	block_write(&raw, &spec, block, true);
	assert_string_equal(read_reason(raw.data, raw.size), "read");
	for (size_t i = 0; i <= LOOSE; i++) {
		raw.data[raw.size - 1 - i * size]++;
		assert_string_equal(read_reason(raw.data, raw.size), "bad-proof-body");
		raw.data[raw.size - 1 - i * size]--;
	}
	assert_string_equal(read_reason(raw.data, raw.size - 1), "bad-block-format");
	raw.data[raw.size - 4 * size - 1] = 2;
	assert_string_equal(read_reason(raw.data, raw.size), "bad-block-format");
	/* An exponent that encoding never gives, under its right digest. */
	block->bodies[2][0] = 1;
	sha256(block->loose[1].digest, block->bodies[2], size);
	buf_reset(&raw);
	block_write(&raw, &spec, block, true);
	assert_string_equal(read_reason(raw.data, raw.size), "bad-proof-body");
	buf_clear(&raw);
	block_unref(block);
}

static void test_hostile(void **state)
{
	static const uint8_t huge[9] = { 0xfe, 0, 0, 0, 2 }, many[9] = { 0xfd, 0xff, 0xff };
	uint8_t raw[60000] = { 0 };
	struct block *block = make();
	struct buf whole;

	(void)state;
	memcpy(raw + HEADER_SIZE, huge, sizeof huge);
	assert_string_equal(read_reason(raw, sizeof raw), "bad-block-format");
	memcpy(raw + HEADER_SIZE, many, sizeof many);
	assert_string_equal(read_reason(raw, sizeof raw), "bad-block-format");
	memset(raw + HEADER_SIZE, 0, sizeof huge); /* no transactions, then loose proofs */
	raw[HEADER_SIZE + 1] = 17;
	assert_string_equal(read_reason(raw, sizeof raw), "bad-proof-count");
	memcpy(raw + HEADER_SIZE + 1, huge, sizeof huge);
	assert_string_equal(read_reason(raw, sizeof raw), "bad-proof-count");
	memset(raw + HEADER_SIZE + 1, 0, sizeof huge);
	raw[HEADER_SIZE + 1] = 16;
	assert_string_equal(read_reason(raw, HEADER_SIZE + 3 + 16 * HEADER_SIZE), "bad-block-format");
	assert_string_equal(read_reason(raw, HEADER_SIZE + 3 + 16 * HEADER_SIZE + 1), "read");
	raw[HEADER_SIZE + 2 + 16 * HEADER_SIZE] = 1; /* and a late one */
	assert_string_equal(read_reason(raw, sizeof raw), "bad-proof-count");
	raw[HEADER_SIZE + 1] = 15;
	raw[HEADER_SIZE + 2 + 15 * HEADER_SIZE] = 1;
	assert_string_equal(read_reason(raw, HEADER_SIZE + 3 + 16 * HEADER_SIZE), "bad-block-format");
	assert_string_equal(read_reason(raw, HEADER_SIZE + 3 + 16 * HEADER_SIZE + 1), "read");
	/* Transactions that run past what could be a block's weight are not read to their end. */
	buf_init(&whole);
	memset(raw, 0x6a, sizeof raw);
	tx_add_output(change_tx(block, 1), 0, raw, 30000);
	block_write(&whole, &spec, block, false);
	assert_string_equal(read_reason(whole.data, whole.size), "read");
	tx_add_output(change_tx(block, 1), 0, raw, 10000);
	buf_reset(&whole);
	block_write(&whole, &spec, block, false);
	assert_string_equal(read_reason(whole.data, whole.size), "bad-blk-weight");
	buf_clear(&whole);
	block_unref(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_model_known_later),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_loose),
		cmocka_unit_test(test_loose_in_block),
		cmocka_unit_test(test_own_seed_in_loose),
		cmocka_unit_test(test_loose_count),
		cmocka_unit_test(test_loose_model_root),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_late_pace),
		cmocka_unit_test(test_late_alone),
		cmocka_unit_test(test_late_order),
		cmocka_unit_test(test_late_count),
		cmocka_unit_test(test_coinbases),
		cmocka_unit_test(test_weight),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_txs),
		cmocka_unit_test(test_contributions),
		cmocka_unit_test(test_empty_roots),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
