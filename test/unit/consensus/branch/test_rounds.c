/* Rounds on a branch: seats, windows, duplicates, signatures, counts; undone and redone; bytes. */
#include "consensus/branch/registry_state.h"
#include "consensus/registry_fixture.h"
#include "crypto/schnorr.h"
#include "ml/kernel/noise.h"

/* A round of 9: commitments in 2 blocks, then the beacon, disclosures in the next 3, then two blocks of challenges
 * alone, then the merge. */
enum { P = 9, WORK = 2, REVEAL = 3, SEGMENTS = 4, BASE = P };

static struct spec spec;

static int setup(void **state)
{
	(void)state;
	if (!spec_builtin(&spec, "regtest"))
		return -1;
	spec.round_blocks = P;
	spec.round_work = WORK;
	spec.round_reveal = REVEAL;
	spec.segments = spec.first_segments = SEGMENTS;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

/* --- a branch --- */

/* Who mines the block at a height. */
static void secret_of(uint32_t height, uint8_t secret[32])
{
	memset(secret, 0, 32);
	write_le32(secret + 8, height + 1);
}

/* Blocks of one branch: those of another differ in their times. */
struct branch {
	struct registry *registry;
	uint32_t time;
};

static struct branch branch_new(uint32_t time)
{
	return (struct branch){ registry_new(&spec), time };
}

static struct block *next_block(const struct branch *branch, const struct round_tx *said, size_t count)
{
	struct block *block = example_block(0, NULL, 0);
	uint32_t height = registry_height(branch->registry) + 1;
	uint8_t secret[32];

	secret_of(height, secret);
	assert_true(schnorr_key(block->header.miner, secret));
	block->header.nonce = height;
	block->header.time = branch->time;
	block->txs = mem_realloc(block->txs, (1 + count) * sizeof *block->txs);
	for (size_t i = 0; i < count; i++)
		block->txs[block->tx_count++] = round_tx_build(&said[i]);
	return block;
}

/* Applies a block of these transactions, whether they may be there or not. */
static void put(const struct branch *branch, const struct round_tx *said, size_t count)
{
	struct block *block = next_block(branch, said, count);

	registry_undo_free(registry_apply(branch->registry, block, NULL));
	block_unref(block);
}

static void grow(const struct branch *branch, uint32_t height)
{
	while (registry_height(branch->registry) < height)
		put(branch, NULL, 0);
}

/* Segments that the run of a seat has: of one seat in three it is short. */
static uint32_t length_of(uint32_t height)
{
	return height % 3 == 0 ? 1 + height % 2 : SEGMENTS;
}

static struct round_tx disclosure(uint32_t height)
{
	return (struct round_tx){
		.kind = ROUND_DISCLOSURE,
		.height = height,
		.length = length_of(height),
		.root = { 7, (uint8_t)height },
	};
}

static struct round_tx challenge(uint32_t height, uint32_t segment)
{
	return (struct round_tx){ .kind = ROUND_CHALLENGE, .height = height, .segment = segment, .root = { 9 } };
}

/* Signed for the round that the next block lies in. */
static struct round_tx commitment_to(const struct branch *branch, uint32_t height, uint32_t length)
{
	static struct round_view view;
	struct round_tx round_tx = {
		.kind = ROUND_COMMIT,
		.height = height,
		.length = length,
		.root = { 1, (uint8_t)height },
	};
	uint8_t secret[32], hash[32];

	assert_true(registry_round_view(branch->registry, &view));
	assert_in_range(height, view.base - P + 1, view.base);
	secret_of(height, secret);
	round_commit_hash(view.id, view.seat[height - (view.base - P + 1)].id, round_tx.length, round_tx.root, hash);
	assert_true(schnorr_sign(round_tx.signature, hash, secret, hash));
	return round_tx;
}

static struct round_tx commitment(const struct branch *branch, uint32_t height)
{
	return commitment_to(branch, height, length_of(height));
}

/* Why the next block may not have these; "" if it may. */
static const char *refusal(const struct branch *branch, const struct round_tx *said, size_t count)
{
	static struct reject reject;
	struct block *block = next_block(branch, said, count);
	bool ok = registry_check_rounds(branch->registry, block, &reject);

	assert_int_equal(registry_check_block(branch->registry, block, NULL), ok);
	assert_true(ok || reject.code == REJECT_INVALID);
	block_unref(block);
	return ok ? "" : reject.reason;
}

static const char *refusal_of(const struct branch *branch, struct round_tx round_tx)
{
	return refusal(branch, &round_tx, 1);
}

/* What a mempool is told: "" or a reason, and whether it can come true. */
static const char *asked(const struct branch *branch, struct round_tx round_tx, bool *is_early)
{
	static struct reject reject;

	*is_early = false;
	if (registry_check_round_tx(branch->registry, &round_tx, &reject))
		return "";
	assert_true(reject.code == REJECT_NOT_YET || reject.code == REJECT_POLICY);
	assert_int_equal(reject.ban_score, 0);
	*is_early = reject.code == REJECT_NOT_YET;
	return reject.reason;
}

/* --- seats --- */

static void test_no_rounds(void **state)
{
	struct spec without = spec;
	struct registry *registry;
	struct round_view view;
	struct round_tx round_tx = challenge(1, 0);
	struct block *block;
	struct buf out;

	(void)state;
	without.round_blocks = 0;
	registry = registry_new(&without);
	for (uint32_t i = 0; i < 3 * P; i++) {
		block = next_block(&(struct branch){ registry, 1 }, &round_tx, 1);
		assert_true(registry_check_block(registry, block, NULL));
		registry_undo_free(registry_apply(registry, block, NULL));
		assert_false(registry_round_view(registry, &view));
		assert_false(registry_merged_round(registry, &view));
		block_unref(block);
	}
	assert_int_equal(registry_rounds(registry)->size, 0);
	assert_null(registry_rounds(registry)->next);
	buf_init(&out);
	rounds_write(&out, registry_rounds(registry));
	assert_int_equal(out.size, 0);
	assert_true(registry_write(&out, registry, &(struct slice){ SLICE_FACTS, 0 }));
	assert_int_equal(out.data[0], 4);
	buf_clear(&out);
	registry_free(registry);
}

/* The miners of the blocks up to the base have the seats, in order. */
static void assert_seats(const struct branch *branch, const struct round_view *view, uint32_t base)
{
	struct block *block;
	uint8_t secret[32], key[32];

	assert_int_equal(view->base, base);
	assert_int_equal(view->seats, P);
	for (uint32_t i = 0; i < P; i++) {
		assert_int_equal(view->seat[i].height, base - P + 1 + i);
		secret_of(view->seat[i].height, secret);
		assert_true(schnorr_key(key, secret));
		assert_memory_equal(view->seat[i].key, key, 32);
	}
	assert_ptr_equal(view->id, view->seat[P - 1].id);
	assert_ptr_equal(view->ticket, view->seat[P - 1].ticket);
	/* A block's ids, of a twin of it. */
	block = next_block(branch, NULL, 0);
	block->header.nonce = base;
	secret_of(base, secret);
	assert_true(schnorr_key(block->header.miner, secret));
	header_id(&block->header, key);
	assert_memory_equal(view->id, key, 32);
	header_ticket(&block->header, key);
	assert_memory_equal(view->ticket, key, 32);
	assert_memory_equal(view->seat[P - 1].coinbase, tx_txid(block->txs[0]), 32);
	block_unref(block);
}

static void test_seats(void **state)
{
	struct branch branch = branch_new(1);
	static struct round_view view, merged;
	uint8_t beacon[32] = { 0 };

	(void)state;
	for (uint32_t height = 0; height <= 4 * P; height++) {
		const uint32_t base = height / P * P;

		grow(&branch, height);
		assert_int_equal(registry_round_view(branch.registry, &view), base >= P);
		assert_int_equal(registry_merged_round(branch.registry, &merged), height % P == 0 && height >= 2 * P);
		if (base < P)
			continue;
		assert_seats(&branch, &view, base);
		assert_int_equal(view.beacon != NULL, height - base > WORK);
		if (height - base == WORK + 1)
			memcpy(beacon, registry_rounds(branch.registry)->next[WORK].ticket, 32);
		if (view.beacon != NULL)
			assert_memory_equal(view.beacon, beacon, 32);
		if (height % P == 0 && height >= 2 * P) {
			assert_seats(&branch, &merged, base - P);
			assert_memory_equal(merged.beacon, beacon, 32);
		}
	}
	registry_free(branch.registry);
}

/* What seats draw where the datasets 1, 2, .. have these sizes: every fourth one of those whose bit is set. */
static void expect_datasets(const struct registry *registry, const struct round_view *view, uint32_t proven,
	uint32_t expected[P])
{
	const uint32_t count = (uint32_t)registry_count(registry);

	for (uint32_t i = 0; i < P; i++) {
		const uint32_t those = i % 4 == 0 ? proven : ~0u;
		uint64_t total = 0, left;

		for (uint32_t number = 0; number < count; number++)
			total += those >> number & 1 ? registry_get(registry, number)->size : 0;
		left = noise_uniform(view->ticket, NOISE_RUN, i, total);
		for (expected[i] = 0;; expected[i]++) {
			const uint64_t size = those >> expected[i] & 1 ? registry_get(registry, expected[i])->size : 0;

			if (left < size)
				break;
			left -= size;
		}
	}
}

/* Datasets that the open round's seats have, of seats i mod 4 = 0 and of the others: a bit for each. */
static void assert_datasets(const struct round_view *view, const uint32_t expected[P], uint32_t kinds[2])
{
	kinds[0] = kinds[1] = 0;
	for (uint32_t i = 0; i < P; i++) {
		assert_int_equal(view->run[i].dataset, expected[i]);
		assert_false(view->run[i].committed || view->run[i].disclosed || view->run[i].challenged);
		kinds[i % 4 > 0] |= 1u << expected[i];
	}
}

/* Until something is proven every fourth seat has dataset 0. What is registered or observed later changes nothing. */
static void test_datasets(void **state)
{
	struct contribution data[3] = { example_data(0, 700000), example_data(1, 500000), example_data(2, 900000) };
	const struct block_outcome good = example_outcome(2, 1, 65536), bad = example_outcome(2, 1, -30000 * 65536);
	struct branch branch = branch_new(5);
	static struct round_view view;
	uint32_t expected[P], kinds[2];

	(void)state;
	apply(branch.registry, 0, data, 2, NULL);
	grow(&branch, BASE);
	assert_true(registry_round_view(branch.registry, &view));
	expect_datasets(branch.registry, &view, 1, expected);
	assert_datasets(&view, expected, kinds);
	assert_int_equal(kinds[0], 1);
	assert_true(kinds[1] == 6 || kinds[1] == 7); /* it was a draw of something */
	apply(branch.registry, 0, data + 2, 1, NULL);
	grow(&branch, BASE + P);
	assert_true(registry_merged_round(branch.registry, &view));
	assert_datasets(&view, expected, kinds);

	for (uint32_t i = 0; i < 32; i++)
		apply(branch.registry, 0, NULL, 0, &good);
	assert_true(registry_is_proven(branch.registry, 1));
	grow(&branch, 6 * P);
	assert_true(registry_round_view(branch.registry, &view));
	expect_datasets(branch.registry, &view, 3, expected);
	assert_datasets(&view, expected, kinds);
	assert_int_equal(kinds[0], 3);
	apply(branch.registry, 0, NULL, 0, &bad);
	assert_false(registry_is_proven(branch.registry, 1));
	assert_true(registry_round_view(branch.registry, &view));
	assert_datasets(&view, expected, kinds);
	registry_free(branch.registry);
}

/* One of the segments that the run has, however few. */
static void test_audited(void **state)
{
	struct branch branch = branch_new(3);
	static struct round_view view;
	struct round_tx said[P];
	uint32_t seen = 0;

	(void)state;
	grow(&branch, BASE);
	for (uint32_t seat = 0; seat < P; seat++)
		said[seat] = commitment(&branch, seat + 1);
	put(&branch, said, P);
	grow(&branch, BASE + WORK + 1);
	assert_true(registry_round_view(branch.registry, &view));
	for (uint32_t seat = 0; seat < P; seat++) {
		uint32_t audited = round_audited(&view, seat), length = length_of(seat + 1);

		assert_int_equal(view.run[seat].length, length);
		assert_int_equal(audited, noise_uniform(view.beacon, NOISE_AUDIT, seat, length));
		assert_in_range(audited, 0, length - 1);
		seen |= 1u << audited;
	}
	assert_true((seen & (seen - 1)) != 0);
	registry_free(branch.registry);
}

/* --- rules --- */

/* A run of the first round has no more segments than its limit, one of the second four times as many. */
static void test_limit(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said;
	bool early;

	(void)state;
	spec.first_segments = 1;
	for (uint32_t base = BASE; base <= 2 * BASE; base += P) {
		grow(&branch, base);
		for (uint32_t length = 1; length <= SEGMENTS; length++) {
			const char *wanted = base > BASE || length == 1 ? "" : "bad-round-seat";

			said = commitment_to(&branch, base, length);
			assert_string_equal(refusal(&branch, &said, 1), wanted);
			assert_string_equal(asked(&branch, said, &early), wanted);
			assert_false(early);
		}
	}
	spec.first_segments = SEGMENTS;
	registry_free(branch.registry);
}

/* Each kind in each block of a round, on a branch where everything that it needs is there as early as it can be. */
static void test_windows(void **state)
{
	struct branch branch = branch_new(1);
	const uint32_t seat = 2;

	(void)state;
	for (uint32_t height = 1; height <= BASE; height++) {
		grow(&branch, height - 1);
		assert_string_equal(refusal_of(&branch, disclosure(seat)), "bad-round-seat");
		assert_string_equal(refusal_of(&branch, challenge(seat, 0)), "bad-round-seat");
		assert_string_equal(refusal_of(&branch, (struct round_tx){ .kind = ROUND_COMMIT, .height = seat }),
			"bad-round-seat");
	}
	for (uint32_t height = BASE + 1; height <= BASE + P; height++) {
		struct round_tx said = { 0 };
		bool may_commit = height <= BASE + WORK, may_disclose, may_challenge, early;

		grow(&branch, height - 1);
		said = commitment(&branch, seat + 1);
		assert_string_equal(refusal(&branch, &said, 1), may_commit ? "" : "bad-round-seat");
		assert_string_equal(asked(&branch, said, &early), may_commit ? "" : "bad-round-seat");
		assert_false(early);
		may_disclose = height >= BASE + WORK + 2 && height <= BASE + WORK + 1 + REVEAL;
		assert_string_equal(refusal_of(&branch, disclosure(seat)), may_disclose ? "" : "bad-round-seat");
		assert_string_equal(asked(&branch, disclosure(seat), &early), may_disclose ? "" : "bad-round-seat");
		assert_int_equal(early, height < BASE + WORK + 2);
		may_challenge = height > BASE + WORK + 2 && height < BASE + P;
		assert_string_equal(refusal_of(&branch, challenge(1, 0)), may_challenge ? "" : "bad-round-seat");
		assert_string_equal(asked(&branch, challenge(1, 0), &early), may_challenge ? "" : "bad-round-seat");
		assert_int_equal(early, !may_challenge && height < BASE + P);
		if (height == BASE + 1) {
			struct round_tx both[2] = { commitment(&branch, seat), commitment(&branch, 1) };

			put(&branch, both, 2);
		}
		if (height == BASE + WORK + 2) {
			said = disclosure(1);
			put(&branch, &said, 1);
		}
	}
	/* The next round: its seats are others. */
	grow(&branch, BASE + P);
	assert_string_equal(refusal_of(&branch, challenge(1, 0)), "bad-round-seat");
	assert_string_equal(refusal_of(&branch, commitment(&branch, P + 1)), "");
	assert_string_equal(refusal_of(&branch, commitment(&branch, 2 * P)), "");
	registry_free(branch.registry);
}

/* Seats beyond both ends of the round. */
static void test_foreign_seats(void **state)
{
	static const uint32_t heights[] = { 0, P + 1, 2 * P, 2 * P + 1, 0x80000000, 0xffffffff, 0xfffffffe };
	struct branch branch = branch_new(1);
	bool early;

	(void)state;
	grow(&branch, 3);
	assert_string_equal(asked(&branch, disclosure(P), &early), "bad-round-seat");
	assert_true(early);
	assert_string_equal(asked(&branch, disclosure(P + 1), &early), "bad-round-seat");
	assert_false(early);
	grow(&branch, BASE);
	for (size_t i = 0; i < sizeof heights / sizeof heights[0]; i++) {
		struct round_tx said = commitment(&branch, 1);

		said.height = heights[i];
		assert_string_equal(refusal(&branch, &said, 1), "bad-round-seat");
		assert_string_equal(asked(&branch, said, &early), "bad-round-seat");
		assert_int_equal(early, heights[i] > P && heights[i] <= 2 * P);
		put(&branch, &said, 1); /* which a side branch may have */
		assert_int_equal(registry_rounds(branch.registry)->runs[0].committed, false);
	}
	registry_free(branch.registry);
}

static void test_needs(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said[3];
	bool early;

	(void)state;
	grow(&branch, BASE);
	said[0] = commitment(&branch, 1);
	said[1] = commitment(&branch, 2);
	said[2] = commitment(&branch, 3);
	put(&branch, said, 3);
	grow(&branch, BASE + WORK + 1);
	assert_string_equal(refusal_of(&branch, disclosure(4)), "bad-round-seat"); /* nothing was committed to */
	assert_string_equal(asked(&branch, disclosure(4), &early), "bad-round-seat");
	assert_false(early);
	/* Nor to a run of another length. */
	for (uint32_t length = 0; length <= SEGMENTS + 1; length++) {
		said[0] = disclosure(3);
		said[0].length = length;
		assert_string_equal(refusal(&branch, said, 1), length == length_of(3) ? "" : "bad-round-seat");
		assert_string_equal(asked(&branch, said[0], &early), length == length_of(3) ? "" : "bad-round-seat");
		assert_false(early);
	}
	assert_string_equal(refusal_of(&branch, challenge(1, 0)), "bad-round-seat");
	/* Not in the block of the disclosure. */
	said[0] = disclosure(1);
	said[1] = challenge(1, 0);
	assert_string_equal(refusal(&branch, said, 2), "bad-round-seat");
	put(&branch, said, 1);
	assert_string_equal(refusal_of(&branch, challenge(2, 0)), "bad-round-seat");
	for (uint32_t j = 0; j < SEGMENTS; j++)
		assert_string_equal(refusal_of(&branch, challenge(1, j)), "");
	assert_string_equal(refusal_of(&branch, challenge(1, SEGMENTS)), "bad-round-seat");
	assert_string_equal(asked(&branch, challenge(1, SEGMENTS), &early), "bad-round-seat");
	assert_false(early);
	assert_string_equal(refusal_of(&branch, challenge(1, UINT32_MAX)), "bad-round-seat");
	said[0] = disclosure(3);
	put(&branch, said, 1);
	for (uint32_t j = 0; j < SEGMENTS; j++)
		assert_string_equal(refusal_of(&branch, challenge(3, j)), j < length_of(3) ? "" : "bad-round-seat");
	/* What nobody disclosed may be challenged yet as long as it may be disclosed. */
	for (uint32_t height = BASE + WORK + 3; height <= BASE + P; height++) {
		grow(&branch, height - 1);
		assert_string_equal(asked(&branch, challenge(2, 0), &early), "bad-round-seat");
		assert_int_equal(early, height <= BASE + WORK + 1 + REVEAL);
	}
	registry_free(branch.registry);
}

static void test_duplicates(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said[3];
	bool early;

	(void)state;
	grow(&branch, BASE);
	said[0] = commitment(&branch, 4);
	said[1] = commitment(&branch, 5);
	said[2] = commitment(&branch, 4);
	assert_string_equal(refusal(&branch, said, 2), "");
	assert_string_equal(refusal(&branch, said, 3), "bad-round-duplicate");
	put(&branch, said, 2);
	assert_string_equal(refusal_of(&branch, commitment(&branch, 4)), "bad-round-duplicate");
	assert_string_equal(asked(&branch, said[0], &early), "bad-round-duplicate");
	assert_false(early);
	assert_string_equal(refusal_of(&branch, commitment(&branch, 6)), "");
	grow(&branch, BASE + WORK + 1);
	said[0] = disclosure(4);
	said[1] = disclosure(5);
	said[2] = disclosure(4);
	said[2].root[5] = 1; /* whatever it names */
	assert_string_equal(refusal(&branch, said, 3), "bad-round-duplicate");
	put(&branch, said, 2);
	assert_string_equal(refusal(&branch, said + 2, 1), "bad-round-duplicate");
	assert_string_equal(asked(&branch, said[2], &early), "bad-round-duplicate");
	said[0] = challenge(4, 1);
	said[1] = challenge(4, 2);
	assert_string_equal(refusal(&branch, said, 2), "bad-round-duplicate"); /* before the count */
	put(&branch, said, 1);
	assert_string_equal(refusal(&branch, said + 1, 1), "bad-round-duplicate");
	assert_string_equal(asked(&branch, said[1], &early), "bad-round-duplicate");
	assert_string_equal(refusal_of(&branch, challenge(5, 1)), "");
	registry_free(branch.registry);
}

/* A round of 9 with 5 blocks for disclosures. */
static void test_disclosures_of_a_block(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said[P];
	const size_t most = 8; /* ceil(4 * 9 / 5) */

	(void)state;
	spec.round_work = 1;
	spec.round_reveal = 5;
	grow(&branch, BASE);
	for (uint32_t i = 0; i < P; i++)
		said[i] = commitment(&branch, i + 1);
	put(&branch, said, P);
	grow(&branch, BASE + spec.round_work + 1);
	for (uint32_t i = 0; i < P; i++)
		said[i] = disclosure(P - i);
	assert_string_equal(refusal(&branch, said, most), "");
	assert_string_equal(refusal(&branch, said, most + 1), "bad-round-count");
	said[most] = said[0];
	assert_string_equal(refusal(&branch, said, most + 1), "bad-round-duplicate");
	registry_free(branch.registry);
	spec.round_work = WORK;
	spec.round_reveal = REVEAL;
}

static void test_counts(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said[P];

	(void)state;
	grow(&branch, BASE);
	for (uint32_t i = 0; i < P; i++)
		said[i] = commitment(&branch, i + 1);
	assert_string_equal(refusal(&branch, said, P), "");
	put(&branch, said, P);
	grow(&branch, BASE + WORK + 1);
	for (uint32_t i = 0; i < P; i++)
		said[i] = disclosure(P - i);
	assert_string_equal(refusal(&branch, said, P), "");
	put(&branch, said, P);
	for (uint32_t i = 0; i < P; i++)
		said[i] = challenge(P - i, 0);
	/* Of the two blocks after the last disclosures half of the seats each. */
	assert_string_equal(refusal(&branch, said, 5), "");
	assert_string_equal(refusal(&branch, said, 6), "bad-round-count");
	registry_free(branch.registry);
}

/* Over the root, by the seat's key, for this base and this block. */
static void test_signatures(void **state)
{
	struct branch branch = branch_new(1), other = branch_new(2);
	struct round_tx said[2];
	struct reject reject;
	bool early;

	(void)state;
	grow(&branch, BASE);
	grow(&other, BASE);
	said[0] = commitment(&other, 3);
	assert_string_equal(refusal(&other, said, 1), "");
	assert_string_equal(refusal(&branch, said, 1), "bad-round-signature");
	assert_string_equal(asked(&branch, said[0], &early), "bad-round-signature");
	assert_false(early);
	assert_true(registry_check_round_place(branch.registry, said, NULL)); /* which says nothing of signatures */
	said[0] = commitment(&branch, 3);
	said[0].height = 4;
	assert_string_equal(refusal(&branch, said, 1), "bad-round-signature");
	for (size_t i = 0; i < 64; i += 7) {
		said[0] = commitment(&branch, 3);
		said[0].signature[i] ^= 1;
		assert_string_equal(refusal(&branch, said, 1), "bad-round-signature");
	}
	said[0] = commitment(&branch, 3);
	said[0].root[31] ^= 1;
	assert_string_equal(refusal(&branch, said, 1), "bad-round-signature");
	said[0] = commitment(&branch, 3);
	said[0].length++;
	assert_string_equal(refusal(&branch, said, 1), "bad-round-signature");
	/* What comes first in the block comes first, and what is seen without the signature before it. */
	said[1] = disclosure(1);
	assert_string_equal(refusal(&branch, said, 2), "bad-round-signature");
	said[1] = said[0];
	said[0] = disclosure(1);
	assert_string_equal(refusal(&branch, said, 2), "bad-round-seat");
	said[0] = commitment(&branch, 3);
	assert_string_equal(refusal(&branch, said, 2), "bad-round-duplicate");
	/* Who passes it on may have another branch. */
	assert_false(registry_check_round_tx(branch.registry, &said[1], &reject));
	assert_int_equal(reject.code, REJECT_POLICY);
	assert_false(reject_blames_tx(&reject));
	registry_free(branch.registry);
	registry_free(other.registry);
}

/* A block with round transactions among others, and an ordinary one that only looks like one. */
static void test_other_txs(void **state)
{
	struct branch branch = branch_new(1);
	struct round_tx said;
	struct block *block;
	struct tx *tx = tx_new();

	(void)state;
	grow(&branch, BASE);
	said = commitment(&branch, 1);
	block = next_block(&branch, &said, 1);
	tx_add_input(tx, &(struct outpoint){ { 1 }, 0xfffffffe }, 0xffffffff);
	tx_add_output(tx, 0, block->txs[1]->outputs[0].script.data, block->txs[1]->outputs[0].script.size);
	block->txs = mem_realloc(block->txs, 3 * sizeof *block->txs);
	block->txs[2] = block->txs[1];
	block->txs[1] = tx_seal(tx);
	block->tx_count = 3;
	assert_true(registry_check_block(branch.registry, block, NULL));
	registry_undo_free(registry_apply(branch.registry, block, NULL));
	assert_true(registry_rounds(branch.registry)->runs[0].committed);
	assert_memory_equal(registry_rounds(branch.registry)->runs[0].trace_root, said.root, 32);
	block_unref(block);
	registry_free(branch.registry);
}

/* --- there and back --- */

static uint64_t dice_state;

static uint32_t dice(uint32_t n)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)((dice_state >> 32) % n);
}

/* Transactions that mostly may be there, in blocks that nobody checked. */
static struct block *random_block(const struct branch *branch)
{
	struct round_tx said[6];
	size_t count = dice(7);
	const uint32_t next_height = registry_height(branch->registry) + 1, first = (next_height - 1) / P * P - P + 1;

	for (size_t i = 0; i < count; i++) {
		const uint32_t seat = first + dice(P + 1);

		said[i] = dice(2) == 0 ? disclosure(seat) : challenge(seat, dice(SEGMENTS));
		if ((next_height - 1) % P < WORK) {
			said[i].kind = ROUND_COMMIT;
			said[i].length = length_of(seat);
		}
	}
	return next_block(branch, said, count);
}

static struct buf registry_bytes(const struct registry *registry)
{
	struct buf out;

	buf_init(&out);
	assert_true(registry_write(&out, registry, &(struct slice){ SLICE_FACTS, 0 }));
	return out;
}

static void assert_same(struct buf *a, struct buf *b)
{
	assert_int_equal(a->size, b->size);
	assert_memory_equal(a->data, b->data, a->size);
	buf_clear(a);
	buf_clear(b);
}

static struct registry *read_back(const uint8_t *data, size_t size)
{
	struct registry *registry = registry_new(&spec);
	struct reader reader;

	reader_init(&reader, data, size);
	if (registry_read(registry, &(struct slice){ SLICE_FACTS, 0 }, &reader) && reader_done(&reader) &&
		registry_is_whole(registry))
		return registry;
	registry_free(registry);
	return NULL;
}

/* Through its bytes. */
static struct registry_undo *undo_again(struct registry_undo *undo)
{
	struct registry_undo *back;
	struct reader reader;
	struct buf out, again;

	buf_init(&out);
	buf_init(&again);
	registry_undo_write(&out, undo);
	registry_undo_free(undo);
	reader_init(&reader, out.data, out.size);
	back = registry_undo_read(&reader);
	assert_non_null(back);
	assert_true(reader_done(&reader));
	registry_undo_write(&again, back);
	assert_same(&out, &again);
	return back;
}

/* Some blocks on, all of them off, and every state by the way is what it was; three rounds and more at any depth. */
static void test_undo(void **state)
{
	enum { DEPTH = 3 * P + 2 };
	struct branch branch = branch_new(1);
	struct registry *copy, *read;
	uint32_t challenged = 0;

	(void)state;
	dice_state = 88172645463325252u;
	while (registry_height(branch.registry) < 200) {
		struct buf before[DEPTH], after, copied;
		struct registry_undo *undo[DEPTH];
		uint32_t depth = 1 + dice(DEPTH);
		struct block *block;

		copy = registry_copy(branch.registry);
		for (uint32_t i = 0; i < depth; i++) {
			before[i] = registry_bytes(branch.registry);
			block = random_block(&branch);
			undo[i] = undo_again(registry_apply(branch.registry, block, NULL));
			block_unref(block);
			for (uint32_t j = 0; registry_rounds(branch.registry)->base > 0 && j < P; j++)
				challenged += registry_rounds(branch.registry)->runs[j].challenged;
		}
		after = registry_bytes(copy); /* untouched */
		assert_int_equal(after.size, before[0].size);
		assert_memory_equal(after.data, before[0].data, after.size);
		buf_clear(&after);
		for (uint32_t i = depth; i-- > 0;) {
			assert_true(i == 0 || !registry_undo(branch.registry, undo[i - 1]));
			assert_true(registry_undo(branch.registry, undo[i]));
			after = registry_bytes(branch.registry);
			assert_same(&before[i], &after);
			registry_undo_free(undo[i]);
		}
		registry_free(copy);
		for (uint32_t i = dice(P); i < P; i++) {
			block = random_block(&branch);
			registry_undo_free(registry_apply(branch.registry, block, NULL));
			block_unref(block);
		}
		copied = registry_bytes(branch.registry);
		read = read_back(copied.data, copied.size);
		assert_non_null(read);
		after = registry_bytes(read);
		assert_same(&copied, &after);
		assert_memory_equal(registry_rounds(read)->next, registry_rounds(branch.registry)->next,
			P * sizeof(struct rounds_seat));
		if (registry_rounds(read)->base > 0)
			assert_memory_equal(registry_rounds(read)->runs, registry_rounds(branch.registry)->runs,
				P * sizeof(struct rounds_run));
		registry_free(read);
	}
	assert_true(challenged > 10); /* of each kind there was something to undo */
	registry_free(branch.registry);
}

/* --- bytes of others --- */

/* A branch in the middle of its second round, with something of each kind. */
static struct branch busy_branch(void)
{
	struct branch branch = branch_new(1);
	struct round_tx said[3];

	grow(&branch, 2 * P);
	for (uint32_t i = 0; i < 3; i++)
		said[i] = commitment(&branch, P + 1 + i);
	put(&branch, said, 3);
	grow(&branch, 2 * P + WORK + 1);
	said[0] = disclosure(P + 1);
	said[1] = disclosure(P + 2);
	put(&branch, said, 2);
	said[0] = challenge(P + 1, 3);
	put(&branch, said, 1);
	return branch;
}

static void test_damaged(void **state)
{
	struct branch branch = busy_branch();
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	rounds_write(&bytes, registry_rounds(branch.registry));
	/* Every part of it is too short, every bit is somebody's. */
	for (size_t i = 0; i < bytes.size; i++) {
		struct rounds rounds;
		struct reader reader;
		uint8_t *part = mem_dup(bytes.data, i);

		rounds_init(&rounds, &spec);
		reader_init(&reader, part, i);
		assert_false(rounds_read(&rounds, &reader));
		rounds_clear(&rounds);
		free(part);
	}
	for (size_t i = 0; i < 8 * bytes.size; i++) {
		struct rounds rounds;
		struct reader reader;
		struct buf again;

		bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
		rounds_init(&rounds, &spec);
		reader_init(&reader, bytes.data, bytes.size);
		buf_init(&again);
		if (rounds_read(&rounds, &reader) && reader_done(&reader)) {
			assert_int_equal(rounds.base % P, 0);
			rounds_write(&again, &rounds);
			assert_int_equal(again.size, bytes.size);
			assert_memory_equal(again.data, bytes.data, bytes.size);
		}
		rounds_clear(&rounds);
		buf_clear(&again);
		bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buf_clear(&bytes);
	registry_free(branch.registry);
}

/* A record of a registry that is not one: a dataset that is not there, another height. */
static void test_not_whole(void **state)
{
	struct branch branch = busy_branch();
	struct registry *registry = branch.registry;
	const uint32_t height = registry_height(registry);
	struct rounds *rounds = &registry->rounds;
	struct buf bytes;

	(void)state;
	assert_true(rounds_whole(rounds, height, 1));
	assert_false(rounds_whole(rounds, height + 1, 1));
	assert_false(rounds_whole(rounds, height - 1, 1));
	bytes = registry_bytes(registry);
	registry_free(read_back(bytes.data, bytes.size));
	buf_clear(&bytes);
	rounds->runs[P - 1].dataset = 1;
	assert_false(rounds_whole(rounds, height, 1));
	bytes = registry_bytes(registry);
	assert_null(read_back(bytes.data, bytes.size));
	buf_clear(&bytes);
	rounds->runs[P - 1].dataset = 0;
	registry_free(registry);
}

/* An undo of another block, or of another chain, changes nothing. */
static void test_undo_misfits(void **state)
{
	struct branch branch = branch_new(1);
	struct registry_undo *undo;
	struct round_tx said;
	struct block *block;
	struct buf before, after;

	(void)state;
	grow(&branch, BASE);
	said = commitment(&branch, 2);
	block = next_block(&branch, &said, 1);
	undo = registry_apply(branch.registry, block, NULL);
	block_unref(block);
	before = registry_bytes(branch.registry);
	assert_int_equal(undo->rounds.said_count, 1);
	assert_true(undo->rounds.has_begun);
	undo->rounds.said[0].seat = 3;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.said[0].seat = P;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.said[0].seat = UINT32_MAX;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.said[0] = (struct rounds_said){ 1, ROUND_DISCLOSURE };
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.said[0].kind = ROUND_CHALLENGE;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.said[0].kind = ROUND_COMMIT;
	undo->rounds.has_begun = false;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.has_begun = true;
	undo->rounds.base = P;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.base = 0;
	undo->rounds.size = 0; /* of a chain without rounds */
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.size = 2 * P;
	assert_false(registry_undo(branch.registry, undo));
	undo->rounds.size = P;
	after = registry_bytes(branch.registry);
	assert_same(&before, &after);
	assert_true(registry_undo(branch.registry, undo));
	assert_int_equal(registry_rounds(branch.registry)->base, 0);
	assert_int_equal(registry_rounds(branch.registry)->count, P);
	registry_undo_free(undo);
	registry_free(branch.registry);
}

static void test_undo_damaged(void **state)
{
	struct branch branch = busy_branch();
	struct registry_undo *undo;
	struct block *block;
	struct buf bytes;

	(void)state;
	grow(&branch, 3 * P);
	block = next_block(&branch, NULL, 0);
	undo = registry_apply(branch.registry, block, NULL);
	block_unref(block);
	buf_init(&bytes);
	rounds_undo_write(&bytes, &undo->rounds);
	assert_true(bytes.size > P * 128); /* the round before is in it */
	for (size_t i = 0; i < 8 * bytes.size; i++) {
		struct rounds_undo back = { 0 };
		struct reader reader;

		if (i < bytes.size) {
			uint8_t *part = mem_dup(bytes.data, i);

			reader_init(&reader, part, i);
			assert_false(rounds_undo_read(&back, &reader));
			rounds_undo_clear(&back);
			memset(&back, 0, sizeof back);
			free(part);
		}
		bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
		reader_init(&reader, bytes.data, bytes.size);
		if (rounds_undo_read(&back, &reader) && reader_done(&reader) &&
			rounds_undo_fits(registry_rounds(branch.registry), &back))
			assert_true(back.size == P && back.has_begun && back.base == 2 * P);
		rounds_undo_clear(&back);
		bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	registry_undo_free(undo);
	buf_clear(&bytes);
	registry_free(branch.registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rounds),
		cmocka_unit_test(test_seats),
		cmocka_unit_test(test_datasets),
		cmocka_unit_test(test_audited),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_foreign_seats),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_disclosures_of_a_block),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_other_txs),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_not_whole),
		cmocka_unit_test(test_undo_misfits),
		cmocka_unit_test(test_undo_damaged),
	};

	return cmocka_run_group_tests_name("rounds", tests, setup, teardown);
}
