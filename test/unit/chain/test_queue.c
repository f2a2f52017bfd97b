/* What strangers' blocks and proofs may cost before they are executed: no disk, bounded memory, one worker an address;
 * and who is blamed when he has left. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "util/file.h"
#include "util/mem.h"

static uint64_t disk(const struct helper *h)
{
	char *path = path_join(h->folder, "blocks/blk00000.dat");
	uint64_t size = 0;

	if (file_exists(path))
		assert_true(file_size(path, &size, NULL));
	free(path);
	return size;
}

/* A block on the tip whose digest is made up, each number another one. */
static const struct block *false_block(struct helper *h, uint32_t number)
{
	struct block *block;
	struct u256 target;
	uint8_t ticket[32];

	helper_key(h, number);
	block = chain_template(h->chain, h->key);
	assert_true(target_from_compact(block->header.bits, &target));
	do {
		block->header.digest[0]++;
		block->header.digest[1] += block->header.digest[0] == 0;
		header_ticket(&block->header, ticket);
	} while (!target_met(ticket, target));
	return block_seal(block);
}

static const struct index_entry *offer(struct helper *h, const struct block *block, const struct source *source)
{
	struct reject reject = { .reason = "" };
	uint8_t id[32];

	memcpy(id, block_id(block), 32);
	if (chain_add_block(h->chain, block, source, &reject) != CHAIN_NEW)
		fail_msg("%s: %s", reject.reason, reject.detail);
	return chain_find(h->chain, id);
}

static size_t verifying(const struct helper *h)
{
	struct chain_activity activity;

	chain_activity(h->chain, &activity);
	return activity.blocks_verifying;
}

/* Blocks above one that is not here, and false ones on the tip, come and go without a byte on disk. */
static void test_nothing_is_written(void **unused)
{
	struct helper a, b;
	struct reject reject;
	uint64_t before;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 6);
	before = disk(&b);
	assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, 1)->header, NULL, &reject), CHAIN_NEW);
	helper_feed(&b, &a, 2, 6);
	helper_settle(&b);
	for (uint32_t height = 2; height <= 6; height++) {
		assert_true(chain_find(b.chain, chain_at(a.chain, height)->id)->held);
		assert_int_equal(chain_find(b.chain, chain_at(a.chain, height)->id)->status, ENTRY_HEADER);
	}
	offer(&b, false_block(&b, 1), helper_source(1));
	helper_settle(&b);
	assert_int_equal(b.refused, 1);
	assert_int_equal(disk(&b), before);
	/* A restart forgets them, and all of it can come again. */
	helper_close(&b);
	helper_open(&b);
	assert_null(chain_find(b.chain, chain_at(a.chain, 2)->id));
	helper_feed(&b, &a, 1, 6);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_true(disk(&b) > before);
	helper_stop(&a);
	helper_stop(&b);
}

static bool is_held(const struct helper *h, const struct helper *from, uint32_t height)
{
	const struct index_entry *entry = chain_find(h->chain, chain_at(from->chain, height)->id);

	return entry != NULL && entry->held;
}

/* However they come, what stays is what can be verified first; the rest is asked for again, and nobody else is pushed
 * out. */
static void test_room(void **unused)
{
	struct reject reject = { .reason = "" };
	struct helper a, b;
	const struct block *block;
	struct errmsg err;
	size_t room;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 9);
	helper_close(&b);
	b.held_bytes = 4 * (3 * 4096 + 4000); /* a quarter: three small blocks with what they cost beside */
	helper_open(&b);
	room = chain_room(b.chain, helper_source(7));
	assert_int_equal(room, b.held_bytes / 4);
	for (uint32_t height = 1; height <= 9; height++)
		assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, height)->header, NULL, &reject),
			CHAIN_NEW);
	for (uint32_t height = 9; height >= 3; height--)
		helper_feed(&b, &a, height, height);
	for (uint32_t height = 3; height <= 9; height++)
		assert_int_equal(is_held(&b, &a, height), height <= 5);
	assert_true(chain_room(b.chain, helper_source(7)) < room / 3);
	assert_int_equal(chain_room(b.chain, helper_source(8)), room);
	block = chain_read_block(a.chain, chain_at(a.chain, 9), &err);
	assert_int_equal(chain_add_block(b.chain, block, helper_source(7), &reject), CHAIN_REJECTED);
	assert_int_equal(reject.code, REJECT_NOT_YET);
	assert_string_equal(reject.reason, "block-pool-full");
	block = chain_read_block(a.chain, chain_at(a.chain, 9), &err);
	offer(&b, block, helper_source(8));
	assert_true(is_held(&b, &a, 5));
	/* The next one always finds room, though it comes last. */
	helper_feed(&b, &a, 1, 1);
	helper_feed(&b, &a, 2, 2);
	helper_settle(&b);
	assert_in_range(chain_tip(b.chain)->height, 3, 5);
	while (chain_tip(b.chain)->height < 8) {
		helper_feed(&b, &a, chain_tip(b.chain)->height + 1, chain_tip(b.chain)->height + 1);
		helper_settle(&b);
	}
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_int_equal(chain_room(b.chain, helper_source(7)), room);
	helper_stop(&a);
	helper_stop(&b);
}

/* Many blocks of one address: one in work. Another stranger's waits too where workers are few; not who is known. */
static void test_one_in_work(void **unused)
{
	struct source chosen = *helper_source(9);
	struct helper h;

	(void)unused;
	memset(&h, 0, sizeof h);
	helper_start(&h);
	helper_close(&h);
	h.threads = 4;
	helper_open(&h);
	chosen.chosen = true;
	for (uint32_t i = 1; i <= 5; i++)
		offer(&h, false_block(&h, i), helper_source(1));
	assert_int_equal(verifying(&h), 1);
	offer(&h, false_block(&h, 6), helper_source(2));
	assert_int_equal(verifying(&h), 1);
	offer(&h, false_block(&h, 7), &chosen);
	assert_int_equal(verifying(&h), 2);
	helper_settle(&h);
	assert_int_equal(h.refused, 7);
	helper_stop(&h);
}

/* He sent false blocks and left: the one in work still finds him, the others are forgotten and cost nothing. */
static void test_departed(void **unused)
{
	const struct index_entry *first, *second;
	struct reject reject;
	const struct block *third;
	struct helper h;

	(void)unused;
	helper_start(&h);
	first = offer(&h, false_block(&h, 1), helper_source(1));
	third = false_block(&h, 2);
	second = offer(&h, third, helper_source(1));
	chain_forget_source(h.chain, helper_source(1), false);
	assert_false(second->held);
	assert_int_equal(second->status, ENTRY_HEADER);
	helper_settle(&h);
	assert_int_equal(h.refused, 1);
	assert_int_equal(first->status, ENTRY_INVALID);
	assert_memory_equal(h.source.group, helper_source(1)->group, SOURCE_GROUP);
	/* What was forgotten is taken from somebody else, and judged. */
	offer(&h, false_block(&h, 2), helper_source(2));
	helper_settle(&h);
	assert_int_equal(second->status, ENTRY_INVALID);
	assert_memory_equal(h.source.group, helper_source(2)->group, SOURCE_GROUP);
	/* It was found false, and that is remembered, while the node runs. */
	third = false_block(&h, 2);
	assert_int_equal(chain_add_block(h.chain, third, helper_source(3), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-proof-digest");
	helper_stop(&h);
}

/* Who is known to lie loses what is in work too; nothing is held against the block. */
static void test_discouraged(void **unused)
{
	const struct index_entry *entry;
	struct helper h;

	(void)unused;
	helper_start(&h);
	entry = offer(&h, false_block(&h, 1), helper_source(1));
	offer(&h, false_block(&h, 2), helper_source(1));
	chain_forget_source(h.chain, helper_source(1), true);
	helper_settle(&h);
	assert_int_equal(verifying(&h), 0);
	assert_int_equal(chain_room(h.chain, helper_source(1)), chain_room(h.chain, helper_source(2)));
	assert_true(entry->status == ENTRY_HEADER ? !entry->held : entry->status == ENTRY_INVALID);
	helper_mine(&h, 1);
	helper_stop(&h);
}

/* The operator brings what a stranger brought before: it counts as his. */
static void test_taken_over(void **unused)
{
	struct reject reject;
	struct helper a, b;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 2);
	assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, 1)->header, NULL, &reject), CHAIN_NEW);
	helper_feed(&b, &a, 2, 2);
	assert_int_equal(chain_add_block(b.chain, chain_read_block(a.chain, chain_at(a.chain, 2), &err), NULL, &reject),
		CHAIN_NEW);
	assert_int_equal(chain_find(b.chain, chain_at(a.chain, 2)->id)->status, ENTRY_STORED);
	assert_int_equal(chain_room(b.chain, helper_source(7)), chain_room(b.chain, helper_source(8)));
	chain_forget_source(b.chain, helper_source(7), true);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 2);
	helper_stop(&a);
	helper_stop(&b);
}

/* A false loose proof for the tip, each number another one. */
static struct header false_loose(struct helper *h, uint32_t number)
{
	struct block *block;
	struct header header;
	struct u256 target;
	uint8_t ticket[32];

	helper_key(h, number);
	block = chain_template(h->chain, h->key);
	assert_true(target_from_compact(block->header.bits, &target));
	do {
		block->header.digest[0]++;
		header_ticket(&block->header, ticket);
	} while (target_met(ticket, target) || !target_met(ticket, target_share(target, h->spec->k)));
	header = block->header;
	block_unref(block);
	return header;
}

static void expect_later(struct helper *h, const struct header *header, const struct source *source, const char *reason)
{
	struct reject reject = { .reason = "" };

	assert_int_equal(chain_add_loose(h->chain, header, source, &reject), CHAIN_REJECTED);
	assert_int_equal(reject.code, REJECT_NOT_YET);
	assert_string_equal(reject.reason, reason);
}

/* One loose proof an address, a quarter of the places for strangers, and a worker for blocks; what there is no place
 * for is taken later, and whoever leaves takes with him what nobody has begun. */
static void test_loose_places(void **unused)
{
	struct source chosen = *helper_source(99);
	struct header header, last;
	struct reject reject;
	struct helper h;
	uint8_t places;

	(void)unused;
	helper_start(&h);
	places = (uint8_t)h.spec->k; /* of 4k */
	chosen.chosen = true;
	header = false_loose(&h, 1);
	assert_int_equal(chain_add_loose(h.chain, &header, helper_source(1), &reject), CHAIN_NEW);
	assert_int_equal(loose_pool_running(h.chain->loose), 1);
	expect_later(&h, &header, helper_source(2), "loose-in-work");
	last = false_loose(&h, 2);
	expect_later(&h, &last, helper_source(1), "loose-one-at-a-time");
	for (uint8_t i = 2; i <= places; i++) {
		header = false_loose(&h, 100u + i);
		assert_int_equal(chain_add_loose(h.chain, &header, helper_source(i), &reject), CHAIN_NEW);
		assert_int_equal(loose_pool_running(h.chain->loose), 1);
	}
	expect_later(&h, &last, helper_source(50), "loose-pool-full");
	assert_int_equal(chain_add_loose(h.chain, &last, &chosen, &reject), CHAIN_NEW);
	/* A block begins though proofs wait. */
	offer(&h, false_block(&h, 3), helper_source(60));
	assert_int_equal(verifying(&h), 1);
	chain_forget_source(h.chain, helper_source(places), false);
	chain_forget_source(h.chain, helper_source(1), false);
	helper_settle(&h);
	/* One was not begun and is forgotten; the one in work found its sender. */
	assert_int_equal(h.proofs_wrong, places - 1 + 1);
	assert_int_equal(h.chain->proofs_false, places - 1 + 1 + 1);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_written),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_one_in_work),
		cmocka_unit_test(test_departed),
		cmocka_unit_test(test_discouraged),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_loose_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
