/* Right proofs until a block lists them, loose or late: which are kept, for how long, in which order they are executed
 * and listed, and what becomes of those of a block that leaves the chain. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "util/mem.h"

/* The header of a right proof for the tip's child, loose or of a block, each number another one. */
static struct header right_proof(struct helper *h, uint32_t number, bool loose)
{
	struct header header;
	struct block *block;

	helper_key(h, number);
	block = chain_template(h->chain, h->key);
	free(helper_solve(h, block, loose));
	header = block->header;
	block_unref(block);
	return header;
}

/* Nobody has executed it: for tests of what is done with those that somebody has. */
static struct header made_up(struct helper *h, uint32_t parent_height, uint32_t number, bool loose)
{
	struct header header = chain_tip(h->chain)->header;
	struct u256 target;
	uint8_t ticket[32];

	assert_true(target_from_compact(header.bits, &target));
	memcpy(header.prev, chain_at(h->chain, parent_height)->id, 32);
	header.nonce = 1000000 + number; /* the tip's own proof has one of the first, and may have this parent */
	do {
		header.digest[0]++;
		header_ticket(&header, ticket);
	} while (target_met(ticket, target) == loose);
	return header;
}

static void expect_new(struct helper *h, const struct header *header, const struct source *source)
{
	struct reject reject = { .reason = "" };

	if (chain_add_loose(h->chain, header, source, &reject) != CHAIN_NEW)
		fail_msg("%s: %s", reject.reason, reject.detail);
}

static const struct block *tip_block(struct helper *h)
{
	struct errmsg err = { "" };
	const struct block *block = chain_read_bare(h->chain, chain_tip(h->chain), &err);

	if (block == NULL)
		fail_msg("%s", err.text);
	return block;
}

static bool lists_late(const struct block *block, const struct header *header)
{
	uint8_t id[32];

	header_id(header, id);
	for (size_t i = block_body_count(block); i < block_proof_count(block); i++)
		if (memcmp(block_proof_id(block, i), id, 32) == 0)
			return true;
	return false;
}

/* A second node with a's chain. */
static void follow(struct helper *b, struct helper *a)
{
	helper_start(b);
	helper_feed(b, a, 1, chain_tip(a->chain)->height);
	helper_settle(b);
	assert_memory_equal(chain_tip(b->chain)->id, chain_tip(a->chain)->id, 32);
	helper_forget(b);
}

/* What came from another when its block was there: executed once, told, listed by the next block, and then gone. */
static void test_listed_late(void **unused)
{
	struct reject reject = { .reason = "" };
	struct header loose, own;
	const struct block *block;
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 2);
	follow(&b, &a);
	loose = right_proof(&a, 0x21, true);
	own = right_proof(&a, 0x22, false);
	/* With a block's ticket it is no loose proof, and not late yet. */
	assert_int_equal(chain_add_loose(b.chain, &own, helper_source(1), &reject), CHAIN_REJECTED);
	assert_int_equal(reject.code, REJECT_NOT_YET);
	assert_string_equal(reject.reason, "bad-proof-ticket");
	helper_mine(&b, 1);
	expect_new(&b, &loose, helper_source(1));
	expect_new(&b, &own, helper_source(2));
	helper_settle(&b);
	assert_int_equal(b.proofs_right, 2);
	assert_int_equal(chain_late_count(b.chain), 2);
	assert_int_equal(chain_loose_count(b.chain), 0);
	helper_mine(&b, 1);
	block = tip_block(&b);
	assert_int_equal(block->late_count, 2);
	assert_true(lists_late(block, &loose) && lists_late(block, &own));
	block_unref(block);
	assert_int_equal(chain_late_count(b.chain), 0);
	/* Not again, by a node that has forgotten its verdict either. */
	assert_int_equal(chain_add_loose(b.chain, &loose, helper_source(1), &reject), CHAIN_KNOWN);
	helper_close(&b);
	helper_open(&b);
	assert_int_equal(chain_add_loose(b.chain, &loose, helper_source(1), &reject), CHAIN_KNOWN);
	assert_false(candidates_put(b.chain, &loose));
	helper_mine(&b, 1);
	assert_int_equal(chain_tip(b.chain)->late_count, 0);
	helper_stop(&a);
	helper_stop(&b);
}

/* A step that this node's own miner ended after the tip had changed. */
static void test_own_late(void **unused)
{
	struct block *share, *found;
	struct reject reject = { .reason = "" };
	uint8_t *share_body, *found_body;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 1);
	helper_key(&h, 0x21);
	share = chain_template(h.chain, h.key);
	share_body = helper_solve(&h, share, true);
	helper_key(&h, 0x22);
	found = chain_template(h.chain, h.key);
	found_body = helper_solve(&h, found, false);
	helper_key(&h, 0x23);
	helper_mine(&h, 1);
	assert_int_equal(chain_add_own_proof(h.chain, &share->header, share_body, &reject), CHAIN_NEW);
	assert_int_equal(chain_add_own_proof(h.chain, &found->header, found_body, &reject), CHAIN_NEW);
	assert_int_equal(h.proofs_right, 2);
	assert_int_equal(chain_late_count(h.chain), 2);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->late_count, 2);
	assert_int_equal(h.chain->proofs_executed, 0);
	block_unref(share);
	block_unref(found);
	helper_stop(&h);
}

/* Loose ones first; then by worth, and of equal worth the oldest; listed by height of the parent and by seed. */
static void test_worth_first(void **unused)
{
	static const uint32_t heights[] = { 2, 2, 6, 6, 6, 7, 7, 7 };
	struct block *block;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 8);
	for (uint32_t height = 2; height <= 7; height++)
		for (uint32_t number = 0; number < 3; number++) {
			const struct header header = made_up(&h, height, number, number % 2);

			assert_true(candidates_put(h.chain, &header));
		}
	assert_int_equal(chain_late_count(h.chain), 18);
	block = chain_template(h.chain, h.key);
	assert_int_equal(block->late_count, 4 * h.spec->k);
	for (size_t i = 0; i < block->late_count; i++) {
		uint8_t seed[32], last_seed[32] = { 0 };

		assert_memory_equal(block->late[i].prev, chain_at(h.chain, heights[i])->id, 32);
		header_seed(&block->late[i], seed);
		if (i > 0 && heights[i - 1] == heights[i])
			header_seed(&block->late[i - 1], last_seed);
		assert_true(memcmp(last_seed, seed, 32) < 0);
	}
	block_unref(block);
	for (uint32_t number = 0; number < 2; number++) {
		const struct header header = made_up(&h, 8, number, true);

		assert_true(candidates_put(h.chain, &header));
	}
	block = chain_template(h.chain, h.key);
	assert_int_equal(block->loose_count, 2);
	assert_int_equal(block->late_count, 4 * h.spec->k - 2);
	assert_memory_equal(block->late[0].prev, chain_at(h.chain, 6)->id, 32);
	block_unref(block);
	helper_stop(&h);
}

/* For a parent as many as a block takes, of the newest parents; none that the chain has, or that is passed. */
static void test_bounds(void **unused)
{
	struct header header;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, CANDIDATES_BACK + 1);
	for (uint32_t number = 0; number < 4 * h.spec->k; number++) {
		header = made_up(&h, 5, number, true);
		assert_true(candidates_put(h.chain, &header));
		assert_false(candidates_put(h.chain, &header));
	}
	header = made_up(&h, 5, 4 * h.spec->k, true);
	assert_false(candidates_has_place(h.chain, chain_at(h.chain, 5)));
	assert_false(candidates_put(h.chain, &header));
	/* What two blocks had has room all the same: of one that goes and the one that comes for it. */
	for (uint32_t number = 4 * h.spec->k; number < 8 * h.spec->k + 3; number++) {
		header = made_up(&h, 5, number, true);
		candidates_keep(h.chain, &header);
	}
	assert_int_equal(chain_late_count(h.chain), 8 * h.spec->k + 2);
	header = made_up(&h, 1, 0, true);
	assert_false(candidates_put(h.chain, &header));
	header = made_up(&h, 2, 0, true);
	assert_true(candidates_put(h.chain, &header));
	assert_int_equal(chain_late_count(h.chain), 8 * h.spec->k + 2);
	header.prev[0] ^= 1;
	assert_false(candidates_put(h.chain, &header));
	assert_false(candidates_put(h.chain, &chain_tip(h.chain)->header));
	helper_stop(&h);
}

struct verdicts {
	uint8_t prev[8][32];
	size_t count;
};

static void on_verdict(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct verdicts *verdicts = context;

	(void)source;
	assert_null(reject);
	memcpy(verdicts->prev[verdicts->count++], header->prev, 32);
}

/* What is for the tip's child goes before what is late, the newest of that first; and late ones wait in places of their
 * own, so that who fills these keeps nothing loose out. */
static void test_order(void **unused)
{
	struct header older[2], newer, loose, last;
	struct reject reject = { .reason = "" };
	struct verdicts verdicts = { .count = 0 };
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 1);
	older[0] = right_proof(&a, 0x21, true);
	older[1] = right_proof(&a, 0x22, true);
	helper_mine(&a, 1);
	newer = right_proof(&a, 0x23, true);
	last = right_proof(&a, 0x24, true);
	helper_mine(&a, 1);
	loose = right_proof(&a, 0x25, true);
	follow(&b, &a);
	chain_subscribe(b.chain, &(struct chain_events){ .context = &verdicts, .proof_verdict = on_verdict });
	expect_new(&b, &older[0], helper_source(1)); /* begun at once */
	assert_int_equal(chain_add_loose(b.chain, &older[1], helper_source(1), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "loose-one-at-a-time");
	expect_new(&b, &older[1], NULL);
	expect_new(&b, &newer, helper_source(3));
	assert_int_equal(chain_add_loose(b.chain, &last, helper_source(4), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "loose-pool-full");
	expect_new(&b, &loose, helper_source(5));
	helper_settle(&b);
	assert_int_equal(verdicts.count, 4);
	assert_memory_equal(verdicts.prev[0], older[0].prev, 32);
	assert_memory_equal(verdicts.prev[1], loose.prev, 32);
	assert_memory_equal(verdicts.prev[2], newer.prev, 32);
	assert_memory_equal(verdicts.prev[3], older[1].prev, 32);
	chain_unsubscribe(b.chain, &verdicts);
	helper_stop(&a);
	helper_stop(&b);
}

/* After a restart only the tip's state is at hand: the others are replayed. One that is asked for when the node ends,
 * or whose sender is discouraged meanwhile, comes to nothing. */
static void test_replayed(void **unused)
{
	struct header headers[3];
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 2);
	for (uint32_t number = 0; number < 3; number++)
		headers[number] = right_proof(&a, 0x21 + number, true);
	helper_mine(&a, 4);
	follow(&b, &a);
	helper_close(&b);
	helper_open(&b);
	expect_new(&b, &headers[0], helper_source(1));
	helper_settle(&b);
	assert_int_equal(b.proofs_right, 1);
	assert_int_equal(chain_late_count(b.chain), 1);
	helper_close(&b);
	helper_open(&b);
	assert_int_equal(chain_late_count(b.chain), 0); /* in memory alone */
	expect_new(&b, &headers[1], helper_source(1));
	chain_forget_source(b.chain, helper_source(1), true);
	helper_settle(&b);
	assert_int_equal(b.proofs_right, 1);
	helper_close(&b);
	helper_open(&b);
	expect_new(&b, &headers[2], helper_source(1));
	helper_stop(&a);
	helper_stop(&b);
}

/* A block that leaves the active chain gives back what it listed, with its own proof; who returns to it lists them no
 * more. */
static void test_reorganised(void **unused)
{
	const struct block *block;
	struct header lost;
	struct errmsg err;
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 1);
	follow(&b, &a);
	helper_mine_loose(&a);
	helper_mine(&a, 1);
	lost = chain_tip(a.chain)->header;
	assert_int_equal(chain_tip(a.chain)->loose_count, 1);
	helper_key(&b, 0x44);
	helper_mine(&b, 2);
	helper_forget(&a);
	helper_feed(&a, &b, 2, 3);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_int_equal(chain_late_count(a.chain), 2);
	/* Others are told; perhaps also of the proof of b's first block, late here until the second was there. */
	assert_in_range(a.proofs_right, 2, 3);
	helper_mine(&a, 1);
	block = tip_block(&a);
	assert_int_equal(block->late_count, 2);
	assert_true(lists_late(block, &lost));
	block_unref(block);
	assert_int_equal(chain_late_count(a.chain), 0);
	/* The operator takes this one back: its own proof cannot be loose beside itself. */
	assert_true(chain_invalidate(a.chain, chain_tip(a.chain), &err));
	assert_int_equal(chain_late_count(a.chain), 2);
	assert_int_equal(chain_loose_count(a.chain), 0);
	helper_key(&a, 0x45);
	helper_mine(&a, 1);
	assert_int_equal(chain_tip(a.chain)->late_count, 2);
	assert_int_equal(chain_late_count(a.chain), 1);
	helper_stop(&a);
	helper_stop(&b);
}

/* A node that has begun anew has forgotten its verdicts: what it takes off the chain then is known all the same, and
 * who offers it is no liar. */
static void test_reorganised_anew(void **unused)
{
	struct reject reject = { .reason = "" };
	struct header lost;
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 1);
	follow(&b, &a);
	helper_mine(&a, 1);
	lost = chain_tip(a.chain)->header;
	helper_key(&b, 0x44);
	helper_mine(&b, 2);
	helper_close(&a);
	helper_open(&a);
	helper_feed(&a, &b, 2, 3);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_int_equal(chain_late_count(a.chain), 1);
	assert_int_equal(chain_add_loose(a.chain, &lost, helper_source(1), &reject), CHAIN_KNOWN);
	helper_stop(&a);
	helper_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listed_late),
		cmocka_unit_test(test_own_late),
		cmocka_unit_test(test_worth_first),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_replayed),
		cmocka_unit_test(test_reorganised),
		cmocka_unit_test(test_reorganised_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
