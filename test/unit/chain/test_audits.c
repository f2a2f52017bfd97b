/* What is remembered of disclosed segments, and how many blobs a block of a round may make this node wait for. */
#include "chain/chain_helper.h"
#include "chain/verify/audits.h"
#include "chain/verify/wants.h"
#include "consensus/payload/round_tx.h"
#include "util/mem.h"

enum { MANY = 5000 };

static void key_of(uint32_t number, uint8_t key[32])
{
	uint8_t seed[32] = { (uint8_t)number, (uint8_t)(number >> 8) }, root[32] = { 1 };

	audits_key(seed, root, key);
}

/* The newest of many stay; what was found out is not forgotten for an attempt that found out nothing. */
static void test_verdicts(void **state)
{
	struct audits *audits = audits_new();
	uint8_t key[32], other_key[32], seed[32] = { 7 }, root[32] = { 9 };

	(void)state;
	audits_key(seed, root, key);
	audits_key(root, seed, other_key);
	assert_memory_not_equal(key, other_key, 32);
	assert_int_equal(audits_verdict(audits, key), AUDITS_UNKNOWN);
	audits_put(audits, key, AUDITS_UNKNOWN);
	assert_int_equal(audits_verdict(audits, key), AUDITS_UNKNOWN);
	audits_put(audits, key, AUDITS_FALSE);
	audits_put(audits, key, AUDITS_UNKNOWN);
	assert_int_equal(audits_verdict(audits, key), AUDITS_FALSE);
	assert_int_equal(audits_verdict(audits, other_key), AUDITS_UNKNOWN);
	for (uint32_t i = 0; i < MANY; i++) {
		key_of(i, other_key);
		audits_put(audits, other_key, i % 2 ? AUDITS_TRUE : AUDITS_FALSE);
	}
	assert_int_equal(audits_verdict(audits, key), AUDITS_UNKNOWN);
	for (uint32_t i = MANY - 1000; i < MANY; i++) {
		key_of(i, other_key);
		assert_int_equal(audits_verdict(audits, other_key), i % 2 ? AUDITS_TRUE : AUDITS_FALSE);
	}
	/* A place that is taken again says nothing of who had it. */
	audits_put(audits, key, AUDITS_UNKNOWN);
	assert_int_equal(audits_verdict(audits, key), AUDITS_UNKNOWN);
	audits_free(audits);
}

/* However many a block names: it is refused for what is beyond, and no byte of that is fetched before. */
static void test_wants(void **state)
{
	const struct spec *spec = helper_spec();
	const size_t most = round_disclosures_most(spec), doubts = round_challenges_most(spec);
	struct round_tx disclosure = { .kind = ROUND_DISCLOSURE, .height = 1 },
			challenge = { .kind = ROUND_CHALLENGE, .height = 1, .root = { 2 } },
			commit = { .kind = ROUND_COMMIT, .height = 1, .length = 1 };
	struct block *block = block_new();
	struct blob_want *wants;

	(void)state;
	block->txs = mem_calloc(1 + 2 + doubts + 3 * most, sizeof *block->txs);
	block->txs[block->tx_count++] = round_tx_build(&commit); /* where the coinbase is, nothing is looked at */
	block->txs[block->tx_count++] = round_tx_build(&challenge);
	block->txs[block->tx_count++] = round_tx_build(&commit);
	for (size_t i = 0; i < 3 * most; i++) {
		disclosure.root[0] = (uint8_t)i;
		disclosure.length = 1 + (uint32_t)i % 4;
		block->txs[block->tx_count++] = round_tx_build(&disclosure);
	}
	for (size_t i = 0; i < doubts; i++) /* one more than may be there, with that of before */
		block->txs[block->tx_count++] = round_tx_build(&challenge);
	assert_int_equal(wants_of_round(spec, block, &wants), doubts + most);
	assert_int_equal(wants[0].size, round_blob_size(spec, ROUND_CHALLENGE, 0));
	for (size_t i = 0; i < most; i++) {
		assert_int_equal(wants[1 + i].root[0], i);
		assert_int_equal(wants[1 + i].size, round_blob_size(spec, ROUND_DISCLOSURE, 1 + (uint32_t)i % 4));
	}
	free(wants);
	block_unref(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_wants),
	};

	helper_use_rounds();
	return cmocka_run_group_tests_name("audits", tests, NULL, NULL);
}
