/* Messages: each kind there and back, cut at every byte, with hostile lengths; the frame's header. */
#include "net/wire/message.h"
#include "unit.h"
#include "util/bytes.h"

/* One parser under one type: true if the bytes are a message of the kind. Frees what came of it. */
typedef bool reads(const uint8_t *data, size_t size);

static bool reads_version(const uint8_t *data, size_t size)
{
	struct message_version version;

	return message_read_version(&version, data, size);
}

static bool reads_nonce(const uint8_t *data, size_t size)
{
	uint64_t nonce;

	return message_read_nonce(&nonce, data, size);
}

static bool reads_inventory(const uint8_t *data, size_t size)
{
	struct inventory_item *items = NULL;
	size_t count;
	bool good = message_read_inventory(&items, &count, data, size);

	free(items);
	return good;
}

static bool reads_getheaders(const uint8_t *data, size_t size)
{
	struct message_getheaders request;

	return message_read_getheaders(&request, data, size);
}

static bool reads_headers(const uint8_t *data, size_t size)
{
	struct header *headers = NULL;
	size_t count;
	bool good = message_read_headers(&headers, &count, data, size);

	free(headers);
	return good;
}

static bool reads_proof(const uint8_t *data, size_t size)
{
	struct header header;

	return message_read_proof(&header, data, size);
}

/* The bytes at the end of a heap block of exactly that size, so that the sanitizer sees a read beyond. */
static bool reads_part(reads *read, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	bool good;

	if (size)
		memcpy(copy, data, size);
	good = read(copy, size);
	free(copy);
	return good;
}

/* Whole it reads; cut anywhere from `least` on it does not, and not with a byte more where that is not allowed. */
static void check_cuts(reads *read, struct buf *whole, size_t optional_tail, bool longer_allowed)
{
	assert_true(reads_part(read, whole->data, whole->size));
	for (size_t size = 0; size + optional_tail < whole->size; size++)
		assert_false(reads_part(read, whole->data, size));
	buf_put_u8(whole, 0);
	assert_int_equal(reads_part(read, whole->data, whole->size), longer_allowed);
	buf_clear(whole);
}

static struct header sample_header(uint8_t salt)
{
	struct header header = { .version = 1, .time = 2, .bits = 3, .nonce = 0x0123456789abcdef };

	memset(header.prev, salt, 32);
	memset(header.digest, salt + 1, 32);
	return header;
}

static void test_version(void **state)
{
	struct message_version sent = {
		.version = 1,
		.services = 9,
		.time = 1795219200,
		.nonce = 77,
		.agent = "/atelier:0.1.0/",
		.height = 12,
		.relay = true,
	};
	struct message_version got;
	struct buf b;

	(void)state;
	buf_init(&b);
	message_write_version(&b, &sent);
	assert_int_equal(b.size, 4 + 8 + 8 + 52 + 8 + 1 + 15 + 4 + 1);
	assert_true(message_read_version(&got, b.data, b.size));
	assert_int_equal(got.version, 1);
	assert_int_equal(got.services, 9);
	assert_int_equal(got.time, 1795219200);
	assert_int_equal(got.nonce, 77);
	assert_string_equal(got.agent, "/atelier:0.1.0/");
	assert_int_equal(got.height, 12);
	assert_true(got.relay);
	b.data[b.size - 1] = 0;
	assert_true(message_read_version(&got, b.data, b.size));
	assert_false(got.relay);
	/* Without its last byte it still is one, and wants transactions. */
	assert_true(message_read_version(&got, b.data, b.size - 1));
	assert_true(got.relay);
	check_cuts(reads_version, &b, 1, true);
}

static void test_version_agent(void **state)
{
	struct message_version sent = { .version = 1 }, got;
	struct buf b;

	(void)state;
	memset(sent.agent, 'a', MESSAGE_MAX_AGENT);
	sent.agent[0] = '\n';
	sent.agent[1] = (char)0xff;
	buf_init(&b);
	message_write_version(&b, &sent);
	assert_true(message_read_version(&got, b.data, b.size));
	assert_memory_equal(got.agent, "??aa", 4);
	assert_int_equal(strlen(got.agent), MESSAGE_MAX_AGENT);
	/* One character more than allowed: the length stands behind 80 bytes, as fd and two bytes. */
	assert_int_equal(read_le16(b.data + 81), MESSAGE_MAX_AGENT);
	write_le16(b.data + 81, MESSAGE_MAX_AGENT + 1);
	buf_put_u8(&b, 0);
	assert_false(message_read_version(&got, b.data, b.size));
	buf_clear(&b);
}

static void test_nonce(void **state)
{
	struct buf b;
	uint64_t nonce = 0;

	(void)state;
	buf_init(&b);
	message_write_nonce(&b, 0x1122334455667788);
	assert_true(message_read_nonce(&nonce, b.data, b.size));
	assert_true(nonce == 0x1122334455667788);
	check_cuts(reads_nonce, &b, 0, false);
}

static void test_inventory(void **state)
{
	struct inventory_item sent[3] = { { .type = INVENTORY_TX }, { .type = INVENTORY_PROOF },
		{ .type = 0x40000001 } };
	struct inventory_item *got;
	struct buf b;
	size_t count;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		memset(sent[i].id, (int)i + 1, 32);
	buf_init(&b);
	message_write_inventory(&b, sent, 3);
	assert_int_equal(b.size, 1 + 3 * 36);
	assert_true(message_read_inventory(&got, &count, b.data, b.size));
	assert_int_equal(count, 3);
	assert_memory_equal(got, sent, sizeof sent);
	free(got);
	check_cuts(reads_inventory, &b, 0, false);
	message_write_inventory(&b, NULL, 0);
	check_cuts(reads_inventory, &b, 0, false);
}

static void test_getheaders(void **state)
{
	static struct message_getheaders sent, got;
	struct buf b;

	(void)state;
	sent.count = MESSAGE_MAX_LOCATOR;
	for (size_t i = 0; i < sent.count; i++)
		memset(sent.ids[i], (int)i, 32);
	memset(sent.stop, 0xaa, 32);
	buf_init(&b);
	message_write_getheaders(&b, &sent);
	assert_true(message_read_getheaders(&got, b.data, b.size));
	assert_int_equal(got.count, sent.count);
	assert_memory_equal(got.ids, sent.ids, sizeof sent.ids);
	assert_memory_equal(got.stop, sent.stop, 32);
	/* One id more than allowed, with the bytes for it. */
	b.data[4]++;
	memset(buf_extend(&b, 32), 0, 32);
	assert_false(message_read_getheaders(&got, b.data, b.size));
	buf_reset(&b);
	sent.count = 2;
	message_write_getheaders(&b, &sent);
	check_cuts(reads_getheaders, &b, 0, false);
}

static void assert_same_header(const struct header *a, const struct header *b)
{
	uint8_t bytes[2][HEADER_SIZE];

	header_write(bytes[0], a);
	header_write(bytes[1], b);
	assert_memory_equal(bytes[0], bytes[1], HEADER_SIZE);
}

static void test_headers(void **state)
{
	struct header sent[2] = { sample_header(1), sample_header(5) }, *got;
	struct buf b;
	size_t count;

	(void)state;
	buf_init(&b);
	message_write_headers(&b, sent, 2);
	assert_int_equal(b.size, 1 + 2 * 212);
	assert_true(message_read_headers(&got, &count, b.data, b.size));
	assert_int_equal(count, 2);
	assert_same_header(&got[0], &sent[0]);
	assert_same_header(&got[1], &sent[1]);
	free(got);
	check_cuts(reads_headers, &b, 0, false);
}

static void test_proof(void **state)
{
	struct header sent = sample_header(9), got;
	struct buf b;

	(void)state;
	buf_init(&b);
	message_write_proof(&b, &sent);
	assert_true(message_read_proof(&got, b.data, b.size));
	assert_same_header(&got, &sent);
	check_cuts(reads_proof, &b, 0, false);
}

static bool reads_getpart(const uint8_t *payload, size_t size)
{
	struct message_part part;

	return message_read_getpart(&part, payload, size);
}

static bool reads_blob_part(const uint8_t *payload, size_t size)
{
	struct message_part part;

	return message_read_part(&part, payload, size);
}

/* A part has all bytes that it can have, or none; nothing begins beyond the end, or between two parts. */
static void test_part(void **state)
{
	struct message_part sent = { .root = { 7 }, .size = MESSAGE_PART_SIZE + 5, .offset = MESSAGE_PART_SIZE }, got;
	struct buf b;

	(void)state;
	sent.bytes = (const uint8_t *)"words";
	sent.count = 5;
	buf_init(&b);
	message_write_getpart(&b, &sent);
	assert_true(message_read_getpart(&got, b.data, b.size));
	assert_memory_equal(got.root, sent.root, 32);
	assert_int_equal(got.size, sent.size);
	assert_int_equal(got.offset, sent.offset);
	check_cuts(reads_getpart, &b, 0, false);
	message_write_part(&b, &sent);
	assert_false(reads_getpart(b.data, b.size));
	assert_true(message_read_part(&got, b.data, b.size));
	assert_memory_equal(got.root, sent.root, 32);
	assert_int_equal(got.count, 5);
	assert_memory_equal(got.bytes, "words", 5);
	assert_true(message_read_part(&got, b.data, 40));
	assert_int_equal(got.count, 0);
	for (size_t size = 0; size < b.size; size++)
		assert_int_equal(reads_blob_part(b.data, size), size == 40);
	buf_put_u8(&b, 0);
	assert_false(reads_blob_part(b.data, b.size));
	for (uint32_t offset = 1; offset != 0; offset *= 2) {
		write_le32(b.data + 36, offset);
		assert_int_equal(reads_getpart(b.data, 40), offset == MESSAGE_PART_SIZE);
	}
	write_le32(b.data + 36, 0);
	assert_true(reads_getpart(b.data, 40));
	assert_false(reads_blob_part(b.data, b.size - 1)); /* five bytes of the first part */
	write_le32(b.data + 32, 0);
	assert_false(reads_getpart(b.data, 40));
	assert_int_equal(message_part_count(MESSAGE_PART_SIZE + 1, 0), MESSAGE_PART_SIZE);
	assert_int_equal(message_part_count(MESSAGE_PART_SIZE + 1, MESSAGE_PART_SIZE), 1);
	assert_int_equal(message_part_count(MESSAGE_PART_SIZE, 0), MESSAGE_PART_SIZE);
	buf_clear(&b);
}

/* Counts that the bytes do not bear out must fail before memory is taken for them. */
static void test_hostile_counts(void **state)
{
	static const uint64_t counts[] = { 1, 0xfc, 0xfd, 2001, 50001, 0x02000000, 0x02000001, UINT32_MAX, UINT64_MAX,
		UINT64_MAX / 36 + 1, UINT64_MAX / 212 + 1, UINT64_MAX / 32 + 1 };
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		buf_init(&b);
		buf_put_compact(&b, counts[i]);
		assert_false(reads_part(reads_inventory, b.data, b.size));
		assert_false(reads_part(reads_headers, b.data, b.size));
		buf_reset(&b);
		buf_put_le32(&b, 1);
		buf_put_compact(&b, counts[i]);
		assert_false(reads_part(reads_getheaders, b.data, b.size));
		buf_reset(&b);
		memset(buf_extend(&b, 80), 0, 80);
		buf_put_compact(&b, counts[i]);
		assert_false(reads_part(reads_version, b.data, b.size));
		buf_clear(&b);
	}
}

/* As many as the limit allow, but with the bytes for them; one more is refused though the bytes are there. */
static void test_most_items(void **state)
{
	struct header *headers = calloc(MESSAGE_MAX_HEADERS + 1, sizeof *headers);
	struct inventory_item *items = calloc(MESSAGE_MAX_INVENTORY + 1, sizeof *items);
	struct buf b;

	(void)state;
	buf_init(&b);
	message_write_headers(&b, headers, MESSAGE_MAX_HEADERS);
	assert_true(reads_headers(b.data, b.size));
	buf_reset(&b);
	message_write_headers(&b, headers, MESSAGE_MAX_HEADERS + 1);
	assert_false(reads_headers(b.data, b.size));
	buf_reset(&b);
	message_write_inventory(&b, items, MESSAGE_MAX_INVENTORY);
	assert_true(reads_inventory(b.data, b.size));
	buf_reset(&b);
	message_write_inventory(&b, items, MESSAGE_MAX_INVENTORY + 1);
	assert_false(reads_inventory(b.data, b.size));
	buf_clear(&b);
	free(headers);
	free(items);
}

static struct message_limits sample_limits(void)
{
	struct message_limits limits;
	struct spec spec = { .block_weight = 4000000, .magic = { 0xa7, 0x01, 0x02, 0x03 } };

	message_limits_init(&limits, &spec);
	return limits;
}

static void test_frame(void **state)
{
	struct message_limits limits = sample_limits();
	uint8_t bytes[MESSAGE_HEADER_SIZE], payload[8] = { 1, 2, 3 };
	struct message_header header;

	(void)state;
	for (enum message_kind kind = MESSAGE_VERSION; kind < MESSAGE_UNKNOWN; kind++) {
		size_t size = limits.size[kind] < 8 ? limits.size[kind] : 8;

		message_header_write(bytes, limits.magic, kind, payload, size);
		assert_null(message_header_read(&header, bytes, &limits));
		assert_int_equal(header.kind, kind);
		assert_int_equal(header.size, size);
		assert_string_equal(header.command, message_command(kind));
		assert_true(message_checksum_ok(&header, payload));
		header.checksum[3] ^= 1;
		assert_false(message_checksum_ok(&header, payload));
	}
}

/* Known bytes: the header of an empty verack is Bitcoin's but for the magic. */
static void test_frame_bytes(void **state)
{
	struct message_limits limits = sample_limits();
	uint8_t bytes[MESSAGE_HEADER_SIZE], want[MESSAGE_HEADER_SIZE];

	(void)state;
	assert_true(hex_decode(want, sizeof want, "a701020376657261636b000000000000000000005df6e0e2"));
	message_header_write(bytes, limits.magic, MESSAGE_VERACK, NULL, 0);
	assert_memory_equal(bytes, want, sizeof want);
}

static void test_frame_refused(void **state)
{
	struct message_limits limits = sample_limits();
	uint8_t good[MESSAGE_HEADER_SIZE], bytes[MESSAGE_HEADER_SIZE];
	struct message_header header;

	(void)state;
	message_header_write(good, limits.magic, MESSAGE_PING, (const uint8_t *)"12345678", 8);
	for (size_t i = 0; i < 4; i++) {
		memcpy(bytes, good, sizeof bytes);
		bytes[i] ^= 0x80;
		assert_string_equal(message_header_read(&header, bytes, &limits), "wrong network magic");
	}
	memcpy(bytes, good, sizeof bytes);
	bytes[4 + 11] = 'x'; /* something behind the padding */
	assert_string_equal(message_header_read(&header, bytes, &limits), "malformed command");
	memset(bytes + 4, 0, 12);
	assert_string_equal(message_header_read(&header, bytes, &limits), "malformed command");
	memset(bytes + 4, '\n', 12);
	assert_string_equal(message_header_read(&header, bytes, &limits), "malformed command");
	memcpy(bytes, good, sizeof bytes);
	write_le32(bytes + 16, 9);
	assert_string_equal(message_header_read(&header, bytes, &limits), "oversized message");
	write_le32(bytes + 16, UINT32_MAX);
	assert_string_equal(message_header_read(&header, bytes, &limits), "oversized message");
	/* A command of twelve characters that nobody knows is skipped, up to the maximum of any message. */
	memcpy(bytes + 4, "abcdefghijkl", 12);
	write_le32(bytes + 16, MESSAGE_MAX);
	assert_null(message_header_read(&header, bytes, &limits));
	assert_int_equal(header.kind, MESSAGE_UNKNOWN);
	write_le32(bytes + 16, MESSAGE_MAX + 1);
	assert_string_equal(message_header_read(&header, bytes, &limits), "oversized message");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_version_agent),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_inventory),
		cmocka_unit_test(test_getheaders),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_hostile_counts),
		cmocka_unit_test(test_most_items),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_frame_bytes),
		cmocka_unit_test(test_frame_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
