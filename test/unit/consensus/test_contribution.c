/* OP_RETURN payloads: data contributions and outcomes, there and back, and malformed in every way. */
#include "consensus/payload/commitment.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/payload/outcome.h"
#include "consensus/payload/payload.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

/* The x coordinate of the curve's generator. */
static const char generator[] = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

static struct contribution example(const char *licence, const char *title)
{
	struct contribution data = { .size = 0x0123456789abcdef };

	for (int i = 0; i < 32; i++)
		data.root[i] = data.salt[i] = (uint8_t)(0xa0 + i);
	assert_true(hex_decode(data.owner, 32, generator));
	snprintf(data.licence, sizeof data.licence, "%s", licence);
	snprintf(data.title, sizeof data.title, "%s", title);
	return data;
}

static enum payload_kind parse(const void *script, size_t size, struct contribution *data)
{
	struct bytes exact = { mem_dup(script, size), size }; /* exactly as long: a sanitizer sees a step too far */
	enum payload_kind kind = payload_kind(&exact);
	struct contribution found;

	assert_int_equal(contribution_parse(&exact, data != NULL ? data : &found), kind == PAYLOAD_DATA);
	free(exact.data);
	return kind;
}

static void assert_round_trip(const char *licence, const char *title)
{
	struct contribution data = example(licence, title), back;
	struct buf script;

	buf_init(&script);
	contribution_script(&script, &data);
	assert_true(contribution_text_is_valid(&data));
	assert_int_equal(parse(script.data, script.size, &back), PAYLOAD_DATA);
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_DATA);
	assert_memory_equal(back.root, data.root, 32);
	assert_memory_equal(back.owner, data.owner, 32);
	assert_memory_equal(back.salt, data.salt, 32);
	assert_true(back.size == data.size);
	assert_string_equal(back.licence, licence);
	assert_string_equal(back.title, title);
	buf_clear(&script);
}

static void test_layout(void **state)
{
	struct contribution data = example("MIT", "Ab");
	struct buf script;
	char hex[400];

	(void)state;
	buf_init(&script);
	contribution_script(&script, &data);
	hex_encode(hex, script.data, script.size);
	assert_string_equal(hex,
		"6a4c7361746c01" /* 115 bytes */
		"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
		"efcdab8967452301"
		"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
		"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
		"034d4954"
		"024162");
	buf_clear(&script);
}

static void test_round_trips(void **state)
{
	(void)state;
	assert_round_trip("MIT", "");
	assert_round_trip("a", "A title");
	assert_round_trip("(MIT OR CC-BY-SA-4.0) AND LicenseRef-of-the-museum WITH leave-00",
		"1234567890123456789012345678901234567890123456789012345678901234");
	assert_round_trip("x",
		"\xc2\xa0 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf "
		"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf");
}

/* Replaces the licence and title part of a valid script (from byte 111 on) by raw bytes. */
static enum payload_kind parse_with_tail(const void *tail, size_t size)
{
	struct contribution data = example("MIT", "");
	struct buf script;
	enum payload_kind kind;

	buf_init(&script);
	contribution_script(&script, &data);
	script.size = 3 + 108; /* OP_RETURN, push; magic, kind, root, size, owner, salt */
	buf_put(&script, tail, size);
	script.data[2] = (uint8_t)(script.size - 3);
	kind = parse(script.data, script.size, NULL);
	buf_clear(&script);
	return kind;
}

static enum payload_kind parse_with_title(const char *title)
{
	char tail[100];
	int size = snprintf(tail, sizeof tail, "\x01x%c%s", (char)strlen(title), title);
	struct contribution data = example("x", title);
	enum payload_kind kind = parse_with_tail(tail, (size_t)size);

	if (strlen(title) <= 64)
		assert_int_equal(contribution_text_is_valid(&data), kind == PAYLOAD_DATA);
	return kind;
}

static void test_titles(void **state)
{
	static const char *const bad[] = {
		"\x01",
		"a\x1f",
		"\n",
		"\t",
		"\x7f", /* control characters: C0, DEL */
		"\xc2\x80",
		"\xc2\x85",
		"\xc2\x9f", /* C1 */
		"\x80",
		"\xbf",
		"a\xffz",
		"\xfe",
		"\xf8\x88\x80\x80\x80", /* never a first byte */
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\xaf",
		"\xe0\x9f\xbf",
		"\xf0\x80\x80\xaf",
		"\xf0\x8f\xbf\xbf", /* overlong */
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xed\xa0\xbd\xed\xb8\x80", /* surrogates */
		"\xf4\x90\x80\x80",
		"\xf7\xbf\xbf\xbf", /* above 0x10ffff */
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x98",
		"\xc3(",
		"\xe2\x82z",
		"\xf0\x9f\x98z",
		"\xe2z\xac", /* cut short */
		"12345678901234567890123456789012345678901234567890123456789012345",
	};

	(void)state;
	assert_int_equal(parse_with_title("\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 ~ "), PAYLOAD_DATA);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse_with_title(bad[i]) != PAYLOAD_BAD)
			fail_msg("title %zu is taken", i);
	assert_int_equal(parse_with_tail("\x01x\x01\x00", 4), PAYLOAD_BAD); /* a zero byte */
}

static void test_licences(void **state)
{
	struct contribution data = example("", "");

	(void)state;
	assert_int_equal(parse_with_tail("\x01.\x00", 3), PAYLOAD_DATA);
	assert_int_equal(parse_with_tail("\x40"
					 "1234567890123456789012345678901234567890123456789012345678901234\x00",
				 66),
		PAYLOAD_DATA);
	assert_int_equal(parse_with_tail("\x41"
					 "12345678901234567890123456789012345678901234567890123456789012345\x00",
				 67),
		PAYLOAD_BAD);
	assert_int_equal(parse_with_tail("\x00\x00", 2), PAYLOAD_BAD);
	assert_int_equal(parse_with_tail("\x03"
					 "a b\x00",
				 5),
		PAYLOAD_BAD);
	assert_int_equal(parse_with_tail("\x01\x7f\x00", 3), PAYLOAD_BAD);
	assert_int_equal(parse_with_tail("\x01\xe9\x00", 3), PAYLOAD_BAD);
	assert_int_equal(parse_with_tail("\x02"
					 "a\x00\x00",
				 4),
		PAYLOAD_BAD);
	assert_false(contribution_text_is_valid(&data));
	data = example("a b", "");
	assert_false(contribution_text_is_valid(&data));
	memset(data.licence, 'a', sizeof data.licence); /* no terminating zero */
	assert_false(contribution_text_is_valid(&data));
	data = example("a", "");
	memset(data.title, 'a', sizeof data.title);
	assert_false(contribution_text_is_valid(&data));
}

static void test_malformed(void **state)
{
	struct contribution data = example("MIT", "Ab");
	struct buf script;

	(void)state;
	buf_init(&script);
	contribution_script(&script, &data);
	for (size_t size = 0; size < script.size; size++) {
		uint8_t *cut = mem_dup(script.data, size);

		assert_int_equal(parse(cut, size, NULL), PAYLOAD_NONE); /* the push is broken */
		if (size > 3 + 75) {                                    /* the push says how much there is */
			cut[2] = (uint8_t)(size - 3);
			assert_int_equal(parse(cut, size, NULL), PAYLOAD_BAD);
		} else if (size >= 3 + 4) {
			memmove(cut + 2, cut + 3, size - 3);
			cut[1] = (uint8_t)(size - 3);
			assert_int_equal(parse(cut, size - 1, NULL), PAYLOAD_BAD);
		}
		free(cut);
	}
	buf_put_u8(&script, 0); /* a byte behind the push, then in it */
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_NONE);
	script.data[2]++;
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_BAD);
	script.data[2]--;
	script.size--;
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_DATA);
	memset(script.data + 3 + 4 + 40, 0xff, 32); /* no x coordinate */
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_BAD);
	buf_clear(&script);
}

static void test_kinds(void **state)
{
	/* 75 bytes, pushed the short way and the long one. */
	static const uint8_t direct[2 + 75] = { 0x6a, 75, 'a', 't', 'l', 2 },
					longer[3 + 75] = { 0x6a, 0x4c, 75, 'a', 't', 'l', 2 };

	(void)state;
	assert_int_equal(parse("\x6a\x04"
			       "atl\x00",
				 6, NULL),
		PAYLOAD_OUTCOME);
	assert_int_equal(parse("\x6a\x04"
			       "atl\x01",
				 6, NULL),
		PAYLOAD_BAD);
	assert_int_equal(parse("\x6a\x04"
			       "atl\x02",
				 6, NULL),
		PAYLOAD_RESERVED);
	assert_int_equal(parse("\x6a\x04"
			       "atl\xff",
				 6, NULL),
		PAYLOAD_RESERVED);
	assert_int_equal(parse("\x6a\x03"
			       "atl",
				 5, NULL),
		PAYLOAD_NONE);
	assert_int_equal(parse("\x6a\x04"
			       "atL\x01",
				 6, NULL),
		PAYLOAD_NONE);
	assert_int_equal(parse("\x6a\x05"
			       "atl\x01",
				 6, NULL),
		PAYLOAD_NONE);
	assert_int_equal(parse("\x6a\x4c\x04"
			       "atl\x01",
				 7, NULL),
		PAYLOAD_NONE); /* not minimal */
	assert_int_equal(parse(direct, sizeof direct, NULL), PAYLOAD_RESERVED);
	assert_int_equal(parse(longer, sizeof longer, NULL), PAYLOAD_NONE);
	assert_int_equal(parse("\x6a\x4d\x04\x00"
			       "atl\x01",
				 8, NULL),
		PAYLOAD_NONE);
	assert_int_equal(parse("\x6a\x4c", 2, NULL), PAYLOAD_NONE);
	assert_int_equal(parse("\x6a", 1, NULL), PAYLOAD_NONE);
	assert_int_equal(parse("", 0, NULL), PAYLOAD_NONE);
	assert_int_equal(parse("\x51\x04"
			       "atl\x01",
				 6, NULL),
		PAYLOAD_NONE);
}

/* === Commitments === */

static void test_commitment(void **state)
{
	struct contribution data = example("MIT", ""), other;
	uint8_t hash[32], found[32], wanted[12 + 104 + 5], wanted_hash[32];
	struct bytes whole;
	struct buf script;

	(void)state;
	memcpy(wanted, "atelier data", 12);
	memcpy(wanted + 12, data.root, 32);
	write_le64(wanted + 44, data.size);
	memcpy(wanted + 52, data.owner, 32);
	memcpy(wanted + 84, data.salt, 32);
	memcpy(wanted + 116, "\x03MIT", 5);
	sha256(wanted_hash, wanted, sizeof wanted);
	commitment_hash(&data, hash);
	assert_memory_equal(hash, wanted_hash, 32);
	other = data;
	other.salt[31] ^= 1;
	commitment_hash(&other, found);
	assert_memory_not_equal(hash, found, 32);
	/* Not the same words either, one byte moved from the licence to the title. */
	other = example("MI", "T");
	commitment_hash(&other, found);
	assert_memory_not_equal(hash, found, 32);
	buf_init(&script);
	commitment_script(&script, hash);
	assert_int_equal(script.size, 2 + 4 + 32);
	assert_memory_equal(script.data,
		"\x6a\x24"
		"atl\x06",
		6);
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_COMMITMENT);
	whole = (struct bytes){ script.data, script.size };
	assert_true(commitment_parse(&whole, found));
	assert_memory_equal(found, hash, 32);
	script.data[1]--; /* a byte too few, then one too many */
	assert_int_equal(parse(script.data, script.size - 1, NULL), PAYLOAD_BAD);
	buf_put_u8(&script, 0);
	script.data[1] += 2;
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_BAD);
	buf_clear(&script);
}

static void test_commitment_rules(void **state)
{
	uint8_t hash[32] = { 1 };
	struct tx *tx = tx_new();
	struct reject reject;
	size_t committed = 0;
	struct buf script;

	(void)state;
	buf_init(&script);
	commitment_script(&script, hash);
	tx_add_output(tx, 0, (const uint8_t *)"\x6a", 1);
	for (int i = 0; i < COMMITMENT_BLOCK_MAX; i++)
		tx_add_output(tx, COMMITMENT_BURN, script.data, script.size);
	assert_true(commitment_check(tx, &committed, &reject));
	assert_int_equal(committed, COMMITMENT_BLOCK_MAX);
	committed = 1;
	assert_false(commitment_check(tx, &committed, &reject));
	assert_string_equal(reject.reason, "bad-commitment-count");
	committed = 0;
	tx->outputs[7].amount--;
	assert_false(commitment_check(tx, &committed, &reject));
	assert_string_equal(reject.reason, "bad-commitment-burn");
	buf_clear(&script);
	tx_unref(tx);
}

/* === Size and licence === */

static const char *check(const char *licence, uint64_t size, uint64_t *registered)
{
	static struct reject reject;
	struct spec spec = { .blob_min = 4096,
		.blob_max = 16777216,
		.licences = { "MIT", "CC0-1.0" },
		.licence_count = 2 };
	struct contribution data = example(licence, "");
	struct tx *tx = tx_new();
	struct buf script;
	bool ok;

	data.size = size;
	buf_init(&script);
	contribution_script(&script, &data);
	tx_add_output(tx, 5, (const uint8_t *)"\x6a", 1);
	tx_add_output(tx, 0, script.data, script.size);
	ok = contribution_check(&spec, tx, registered, &reject);
	assert_true(contribution_bytes(tx) == size);
	buf_clear(&script);
	tx_unref(tx);
	return ok ? "valid" : reject.reason;
}

static void test_size(void **state)
{
	uint64_t registered = 3;

	(void)state;
	assert_string_equal(check("MIT", 4096, &registered), "valid");
	assert_int_equal(registered, 3 + 4096);
	assert_string_equal(check("MIT", 4095, &registered), "bad-contrib-size");
	assert_string_equal(check("MIT", 16777216, &registered), "valid");
	assert_string_equal(check("MIT", 16777217, &registered), "bad-contrib-size");
	assert_string_equal(check("MIT", UINT64_MAX, &registered), "bad-contrib-size");
	assert_int_equal(registered, 3 + 4096 + 16777216);
}

static void test_admitted_licences(void **state)
{
	uint64_t registered = 0;

	(void)state;
	assert_string_equal(check("ISC OR cc0-1.0", 4096, &registered), "valid");
	assert_string_equal(check("ISC AND CC0-1.0", 4096, &registered), "bad-contrib-licence");
	assert_int_equal(registered, 4096);
}

/* === Outcome === */

static bool parse_outcome(const char *hex, uint32_t slots, struct outcome *outcome)
{
	struct bytes script = { mem_alloc(strlen(hex) / 2), strlen(hex) / 2 };
	bool ok;

	assert_true(hex_decode(script.data, script.size, hex));
	ok = outcome_parse(&script, slots, outcome);
	free(script.data);
	return ok;
}

static void assert_outcome_script(const struct outcome *outcome, const char *want)
{
	struct buf script;
	char hex[400];

	buf_init(&script);
	outcome_script(&script, outcome);
	hex_encode(hex, script.data, script.size);
	assert_string_equal(hex, want);
	buf_clear(&script);
}

static void test_outcome(void **state)
{
	static const char script[] = "6a3861746c000001"
				     "0400000000000000"
				     "0500000000000000"
				     "00"
				     "0000000000000000"
				     "0000000000000000"
				     "02"
				     "fdffffffffffffff"
				     "feffffffffffffff";
	struct outcome outcome = {
		.slots = 3,
		.slot = { { 7, false, 4, 5, 0, false }, { 0, true, 8, 9, 0, false }, { 1, true, -3, -2, 0, false } },
	}, back;
	struct outcome none = { .is_void = true, .slots = 3 };

	(void)state;
	assert_outcome_script(&none, "6a0561746c0001");
	assert_outcome_script(&outcome, script);
	assert_true(parse_outcome(script, 3, &back));
	assert_false(back.is_void);
	assert_int_equal(back.slots, 3);
	assert_int_equal(back.slot[0].count, 1);
	assert_false(back.slot[0].left_out);
	assert_int_equal(back.slot[0].effect, 4);
	assert_int_equal(back.slot[0].value, 5);
	assert_int_equal(back.slot[1].count, 0);
	assert_int_equal(back.slot[2].count, 1);
	assert_true(back.slot[2].left_out);
	assert_int_equal(back.slot[2].effect, -3);
	assert_int_equal(back.slot[2].value, -2);
	assert_true(parse_outcome("6a0561746c0001", 3, &back));
	assert_true(back.is_void);
	assert_int_equal(back.slots, 3);
	outcome = (struct outcome){ .slots = OUTCOME_MAX_SLOTS };
	for (size_t i = 0; i < OUTCOME_MAX_SLOTS; i++) {
		outcome.slot[i].count = 1;
		outcome.slot[i].effect = i % 3 ? OUTCOME_VALUE_MAX : -OUTCOME_VALUE_MAX;
		outcome.slot[i].value = i % 2 ? OUTCOME_VALUE_MAX : -OUTCOME_VALUE_MAX;
	}
	{
		struct buf out;
		struct bytes whole;

		buf_init(&out);
		outcome_script(&out, &outcome);
		whole = (struct bytes){ out.data, out.size };
		assert_true(outcome_parse(&whole, OUTCOME_MAX_SLOTS, &back));
		assert_memory_equal(&back.slot, &outcome.slot, sizeof back.slot);
		assert_int_equal(parse(out.data, out.size, NULL), PAYLOAD_OUTCOME);
		buf_clear(&out);
	}
}

/* Statements of one slot: void or not, its state, effect and value, and whether that is one. */
static void test_outcome_slots(void **state)
{
	static const char zero[] = "0000000000000000", five[] = "0500000000000000", six[] = "0600000000000000";
	static const struct {
		const char *form, *effect, *value;
		bool right;
	} cases[] = {
		{ "0001", five, six, true }, { "0002", five, six, true }, { "0003", five, six, false },
		{ "0000", zero, zero, true }, { "0000", five, zero, false },                /* without proof */
		{ "0000", zero, five, false }, { "0001", "0100000000800000", five, false }, /* above 2^47 in size */
		{ "0001", five, "0100000000800000", false }, { "0001", "0000000000800000", five, true },
		{ "0001", five, "0000000000800000", true }, { "0001", "ffffffffff7fffff", five, false },
		{ "0001", five, "ffffffffff7fffff", false }, { "0002", "000000000080ffff", five, true },
		{ "0002", five, "000000000080ffff", true }, { "0001", five, "06000000000000", false },
		{ "0001", five, "060000000000000000", false }, { "0101", five, six, false }, /* void ends it */
	};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char hex[80];
		size_t size = 6 + (strlen(cases[i].effect) + strlen(cases[i].value)) / 2;

		snprintf(hex, sizeof hex, "6a%02zx61746c00%s%s%s", size, cases[i].form, cases[i].effect,
			cases[i].value);
		if (parse_outcome(hex, 1, &outcome) != cases[i].right)
			fail_msg("case %zu: %s", i, hex);
		assert_false(parse_outcome(hex, 2, &outcome) || parse_outcome(hex, 0, &outcome));
	}
}

static void test_outcome_malformed(void **state)
{
	struct outcome outcome;

	(void)state;
	assert_false(parse_outcome("6a0561746c0002", 0, &outcome));
	assert_false(parse_outcome("6a0561746c0101", 0, &outcome)); /* another kind */
	assert_false(parse_outcome("6a0461746c00", 0, &outcome));
	assert_false(parse_outcome("6a", 0, &outcome));
	assert_false(parse_outcome("6a0561746c0001", OUTCOME_MAX_SLOTS + 1, &outcome));
}

static void test_blob_root(void **state)
{
	uint8_t blob[4097] = { 0x00, 7 }, leaf[4097], node[65] = { 1 }, root[32], want[32];

	(void)state;
	leaf[0] = 0;
	memcpy(leaf + 1, blob, 4096);
	sha256(node + 1, leaf, 4097);
	contribution_root(blob, 4096, root);
	assert_memory_equal(root, node + 1, 32);
	leaf[1] = blob[4096];
	sha256(node + 33, leaf, 2);
	sha256(want, node, 65);
	contribution_root(blob, 4097, root);
	assert_memory_equal(root, want, 32);
}

static void test_script_p2tr(void **state)
{
	uint8_t key[32], script[P2TR_SIZE];

	(void)state;
	assert_true(hex_decode(key, 32, generator));
	script_p2tr(script, key);
	assert_memory_equal(script, "\x51\x20", 2);
	assert_memory_equal(script + 2, key, 32);
}

/* === Merge === */

static bool parse_merge(const char *hex, uint32_t seats, struct merge_statement *statement)
{
	struct bytes script = { mem_alloc(strlen(hex) / 2), strlen(hex) / 2 };
	bool ok;

	assert_true(hex_decode(script.data, script.size, hex));
	ok = merge_statement_parse(&script, seats, statement);
	free(script.data);
	return ok;
}

static void test_merge_statement(void **state)
{
	const struct merge_statement statement = { .seats = 4, .is_void = true, .seat = { 0, 1, 2, 3 } };
	struct merge_statement back;
	struct buf script;
	char hex[64];

	(void)state;
	buf_init(&script);
	merge_statement_script(&script, &statement);
	hex_encode(hex, script.data, script.size);
	assert_string_equal(hex, "6a0961746c020100010203");
	buf_clear(&script);
	assert_true(parse_merge("6a0961746c020100010203", 4, &back));
	assert_memory_equal(&back, &statement, sizeof back);
	for (uint32_t seat = 0; seat < 5; seat++) {
		assert_int_equal(merge_statement_is_true(&back, seat), seat == 1 || seat == 2);
		assert_int_equal(merge_statement_is_struck(&back, seat), seat == 3);
	}
	assert_true(parse_merge("6a0961746c020000010203", 4, &back) && !back.is_void);
	assert_false(parse_merge("6a0961746c020100010203", 3, &back));
	assert_false(parse_merge("6a0961746c020100010203", 5, &back));
	assert_true(parse_merge("6a0961746c020200010203", 4, &back) && back.is_second && !back.is_void);
	assert_false(parse_merge("6a0961746c020300010203", 4, &back)); /* nothing that may come of it */
	assert_false(parse_merge("6a0961746c020100010204", 4, &back)); /* no such end of a seat */
	assert_false(parse_merge("6a0961746c030100010203", 4, &back)); /* another kind */
	assert_false(parse_merge("6a4c0961746c020100010203", 4, &back));
}

/* The largest round's fits into a push, and another number of seats is none. */
static void test_merge_statement_size(void **state)
{
	struct merge_statement statement = { .seats = ROUND_SEATS_MAX }, back;
	struct bytes whole;
	struct buf script;

	(void)state;
	for (uint32_t seat = 0; seat < ROUND_SEATS_MAX; seat++)
		statement.seat[seat] = (uint8_t)(seat % 4);
	buf_init(&script);
	merge_statement_script(&script, &statement);
	whole = (struct bytes){ script.data, script.size };
	assert_true(merge_statement_parse(&whole, ROUND_SEATS_MAX, &back));
	assert_memory_equal(&back, &statement, sizeof back);
	assert_false(merge_statement_parse(&whole, ROUND_SEATS_MAX + 1, &back));
	/* Outside a coinbase, and on chains without rounds, it means nothing. */
	assert_int_equal(parse(script.data, script.size, NULL), PAYLOAD_RESERVED);
	buf_clear(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_titles),
		cmocka_unit_test(test_licences),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_commitment),
		cmocka_unit_test(test_commitment_rules),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_admitted_licences),
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_outcome_slots),
		cmocka_unit_test(test_merge_statement),
		cmocka_unit_test(test_merge_statement_size),
		cmocka_unit_test(test_outcome_malformed),
		cmocka_unit_test(test_blob_root),
		cmocka_unit_test(test_script_p2tr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
