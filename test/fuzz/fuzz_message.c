/* Messages: a frame and its payload. What parses is written back byte for byte; nothing is read behind the payload. */
#include <string.h>

#include "fuzz.h"
#include "net/wire/message.h"

static const struct spec spec = { .block_weight = 4000000, .magic = { 1, 2, 3, 4 } };

static void check_same(struct buf *written, const uint8_t *data, size_t size)
{
	FUZZ_PROMISE(written->size == size && (size == 0 || memcmp(written->data, data, size) == 0));
	buf_clear(written);
}

/* Addresses and odd characters are not kept, and a longer message is cut: what was understood is the same again. */
static void check_version(const uint8_t *data, size_t size)
{
	struct message_version version, again;
	struct buf out;

	if (!message_read_version(&version, data, size))
		return;
	FUZZ_PROMISE(strlen(version.agent) <= MESSAGE_MAX_AGENT);
	buf_init(&out);
	message_write_version(&out, &version);
	FUZZ_PROMISE(message_read_version(&again, out.data, out.size));
	FUZZ_PROMISE(again.nonce == version.nonce && again.height == version.height && again.relay == version.relay);
	FUZZ_PROMISE(strcmp(again.agent, version.agent) == 0);
	buf_clear(&out);
}

static void check_nonce(const uint8_t *data, size_t size)
{
	struct buf out;
	uint64_t nonce;

	if (!message_read_nonce(&nonce, data, size))
		return;
	buf_init(&out);
	message_write_nonce(&out, nonce);
	check_same(&out, data, size);
}

static void check_inventory(const uint8_t *data, size_t size)
{
	struct inventory_item *items;
	struct buf out;
	size_t count;

	if (!message_read_inventory(&items, &count, data, size))
		return;
	FUZZ_PROMISE(count <= MESSAGE_MAX_INVENTORY);
	buf_init(&out);
	message_write_inventory(&out, items, count);
	check_same(&out, data, size);
	free(items);
}

static void check_getheaders(const uint8_t *data, size_t size)
{
	struct message_getheaders request;
	struct buf out;

	if (!message_read_getheaders(&request, data, size))
		return;
	FUZZ_PROMISE(request.count <= MESSAGE_MAX_LOCATOR);
	buf_init(&out);
	message_write_getheaders(&out, &request);
	FUZZ_PROMISE(out.size == size && memcmp(out.data + 4, data + 4, size - 4) == 0); /* but for the version */
	buf_clear(&out);
}

static void check_headers(const uint8_t *data, size_t size)
{
	struct header *headers;
	struct buf out;
	size_t count;

	if (!message_read_headers(&headers, &count, data, size))
		return;
	FUZZ_PROMISE(count <= MESSAGE_MAX_HEADERS);
	buf_init(&out);
	message_write_headers(&out, headers, count);
	check_same(&out, data, size);
	free(headers);
}

static void check_proof(const uint8_t *data, size_t size)
{
	struct header header;
	struct buf out;

	if (!message_read_proof(&header, data, size))
		return;
	buf_init(&out);
	message_write_proof(&out, &header);
	check_same(&out, data, size);
}

static void check_part(const uint8_t *data, size_t size, bool is_asked)
{
	struct message_part part;
	struct buf out;

	if (!(is_asked ? message_read_getpart : message_read_part)(&part, data, size))
		return;
	FUZZ_PROMISE(part.offset < part.size && message_part_count(part.size, part.offset) <= part.size - part.offset);
	FUZZ_PROMISE(part.count == 0 || part.count == message_part_count(part.size, part.offset));
	buf_init(&out);
	(is_asked ? message_write_getpart : message_write_part)(&out, &part);
	check_same(&out, data, size);
}

static void check_payload(enum message_kind kind, const uint8_t *data, size_t size)
{
	switch (kind) {
	case MESSAGE_VERSION:
		check_version(data, size);
		break;
	case MESSAGE_PING:
	case MESSAGE_PONG:
		check_nonce(data, size);
		break;
	case MESSAGE_INV:
	case MESSAGE_GETDATA:
	case MESSAGE_NOTFOUND:
		check_inventory(data, size);
		break;
	case MESSAGE_GETHEADERS:
		check_getheaders(data, size);
		break;
	case MESSAGE_HEADERS:
		check_headers(data, size);
		break;
	case MESSAGE_PROOF:
		check_proof(data, size);
		break;
	case MESSAGE_GETPART:
	case MESSAGE_PART:
		check_part(data, size, kind == MESSAGE_GETPART);
		break;
	case MESSAGE_VERACK:
	case MESSAGE_SENDHEADERS:
	case MESSAGE_BLOCK: /* fuzz_block */
	case MESSAGE_TX:    /* fuzz_tx */
	case MESSAGE_UNKNOWN:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_limits limits;
	struct message_header header;
	size_t left = size < MESSAGE_HEADER_SIZE ? 0 : size - MESSAGE_HEADER_SIZE;

	message_limits_init(&limits, &spec);
	if (size < MESSAGE_HEADER_SIZE || message_header_read(&header, data, &limits) != NULL)
		return 0;
	FUZZ_PROMISE(header.size <= MESSAGE_MAX && header.size <= limits.size[header.kind]);
	FUZZ_PROMISE(strlen(header.command) <= 12);
	/* The length and the checksum are the peer's word; the parsers must do with any bytes. */
	if (header.size <= left)
		message_checksum_ok(&header, data + MESSAGE_HEADER_SIZE);
	check_payload(header.kind, data + MESSAGE_HEADER_SIZE, left);
	return 0;
}

static void write_sample(enum message_kind kind, struct buf *out)
{
	static const struct message_version version = { .version = 1, .nonce = 5, .agent = "/atelier/", .relay = true };
	static const struct inventory_item items[3] = { { INVENTORY_TX, { 1 } }, { INVENTORY_BLOCK, { 2 } },
		{ 9, { 3 } } };
	static const struct message_getheaders request = { .count = 3 };
	static const struct message_part part = {
		.root = { 3 },
		.size = MESSAGE_PART_SIZE + 10,
		.offset = MESSAGE_PART_SIZE,
		.bytes = (const uint8_t *)"some bytes",
		.count = 10,
	};
	static const struct header headers[2] = { { .version = 1, .time = 7 }, { .version = 1, .nonce = 8 } };

	switch (kind) {
	case MESSAGE_VERSION:
		message_write_version(out, &version);
		break;
	case MESSAGE_PING:
	case MESSAGE_PONG:
		message_write_nonce(out, 0x1234);
		break;
	case MESSAGE_INV:
	case MESSAGE_GETDATA:
	case MESSAGE_NOTFOUND:
		message_write_inventory(out, items, 3);
		break;
	case MESSAGE_GETHEADERS:
		message_write_getheaders(out, &request);
		break;
	case MESSAGE_HEADERS:
		message_write_headers(out, headers, 2);
		break;
	case MESSAGE_PROOF:
		message_write_proof(out, headers);
		break;
	case MESSAGE_GETPART:
		message_write_getpart(out, &part);
		break;
	case MESSAGE_PART:
		message_write_part(out, &part);
		break;
	case MESSAGE_VERACK:
	case MESSAGE_SENDHEADERS:
	case MESSAGE_BLOCK:
	case MESSAGE_TX:
	case MESSAGE_UNKNOWN:
		break;
	}
}

bool fuzz_seed(size_t index, struct buf *out)
{
	struct buf payload;

	if (index >= MESSAGE_UNKNOWN)
		return false;
	buf_init(&payload);
	write_sample((enum message_kind)index, &payload);
	message_header_write(buf_extend(out, MESSAGE_HEADER_SIZE), spec.magic, (enum message_kind)index, payload.data,
		payload.size);
	buf_put(out, payload.data, payload.size);
	buf_clear(&payload);
	return true;
}
