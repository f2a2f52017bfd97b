/* The header: its 212 bytes, and the hashes taken over them. */
#include "consensus/header.h"
#include "consensus/reject.h"
#include "unit.h"
#include "util/bytes.h"

static void fill(struct header *header)
{
	uint8_t raw[HEADER_SIZE];

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)i;
	header_read(header, raw);
}

static void test_layout(void **state)
{
	struct header header;
	uint8_t raw[HEADER_SIZE];

	(void)state;
	fill(&header);
	assert_int_equal(header.version, 0x03020100);
	assert_int_equal(header.prev[0], 4);
	assert_int_equal(header.tx_root[0], 36);
	assert_int_equal(header.proofs_root[0], 68);
	assert_int_equal(header.model_root[0], 100);
	assert_int_equal(header.miner[0], 132);
	assert_int_equal(header.time, 0xa7a6a5a4);
	assert_int_equal(header.bits, 0xabaaa9a8);
	assert_true(header.nonce == 0xb3b2b1b0afaeadac);
	assert_int_equal(header.digest[0], 180);
	assert_int_equal(header.digest[31], 211);
	header_write(raw, &header);
	for (size_t i = 0; i < sizeof raw; i++)
		assert_int_equal(raw[i], i);
}

static void assert_hash(const uint8_t hash[32], const char *want)
{
	char text[65];

	hex_encode(text, hash, 32);
	assert_string_equal(text, want);
}

/* Known answers from an independent implementation. */
static void test_hashes(void **state)
{
	struct header header;
	uint8_t hash[32];

	(void)state;
	fill(&header);
	header_seed(&header, hash);
	assert_hash(hash, "a056549663acc984f90c195451c57b6304f3c40d398e82ce4c7b519c22dc5e75");
	header_ticket(&header, hash);
	assert_hash(hash, "545a1ea9a00955bf485702a42a96645ba2e69d6d5fc1dae5106ba8f26af7a5b8");
	header_id(&header, hash);
	assert_hash(hash, "98ca01b9676d54728086e1be8c26574200eeccd67ac2fe86ea565ac665e9c183");
}

static void test_reject(void **state)
{
	struct reject reject;
	char longer[400];

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	assert_false(reject_set(&reject, REASON_BAD_VERSION, "found %d", 7));
	assert_int_equal(reject.code, REJECT_INVALID);
	assert_string_equal(reject.reason, "bad-version");
	assert_int_equal(reject.why, REASON_BAD_VERSION);
	assert_string_equal(reject.detail, "found 7");
	assert_int_equal(reject.ban_score, 100);
	reject_set(&reject, REASON_BAD_BLOCK_FORMAT, "%s", longer);
	assert_int_equal(reject.code, REJECT_MALFORMED);
	assert_int_equal(reject.ban_score, 100);
	assert_int_equal(strlen(reject.detail), sizeof reject.detail - 1);
	reject_set(&reject, REASON_DUST, "d");
	assert_int_equal(reject.code, REJECT_POLICY);
	assert_int_equal(reject.ban_score, 0);
	reject_as(&reject, REJECT_NOT_YET, REASON_BAD_PROOF_TIME, "d");
	assert_int_equal(reject.code, REJECT_NOT_YET);
	assert_int_equal(reject.ban_score, 0);
	assert_false(reject_set(NULL, REASON_DUST, "d"));
	assert_false(reject_as(NULL, REJECT_INVALID, REASON_DUST, "d"));
	assert_false(reject_again(NULL, "dust", "d"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_reject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
