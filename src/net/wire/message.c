/* Payloads, one pair of functions for each kind; what bounds each kind is in message_limits_init. */
#include "net/wire/message.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/block.h"
#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

static const char message_commands[MESSAGE_UNKNOWN + 1][13] = {
	[MESSAGE_VERSION] = "version",
	[MESSAGE_VERACK] = "verack",
	[MESSAGE_PING] = "ping",
	[MESSAGE_PONG] = "pong",
	[MESSAGE_INV] = "inv",
	[MESSAGE_GETDATA] = "getdata",
	[MESSAGE_NOTFOUND] = "notfound",
	[MESSAGE_GETHEADERS] = "getheaders",
	[MESSAGE_HEADERS] = "headers",
	[MESSAGE_SENDHEADERS] = "sendheaders",
	[MESSAGE_BLOCK] = "block",
	[MESSAGE_TX] = "tx",
	[MESSAGE_PROOF] = "proof",
	[MESSAGE_GETPART] = "getpart",
	[MESSAGE_PART] = "part",
	[MESSAGE_UNKNOWN] = "",
};

enum {
	MESSAGE_INVENTORY_SIZE = 36,
	MESSAGE_ADDRESS_SIZE = 26,
	MESSAGE_COMMAND_SIZE = 12,
	MESSAGE_COMPACT_MAX = 9,
	MESSAGE_GETPART_SIZE = 40,
};

const char *message_command(enum message_kind kind)
{
	return message_commands[kind];
}

/* The tightest bound each kind allows, so that what a peer can make us hold follows from what it is for. */
void message_limits_init(struct message_limits *limits, const struct spec *spec)
{
	const uint32_t inventory = MESSAGE_COMPACT_MAX + MESSAGE_MAX_INVENTORY * MESSAGE_INVENTORY_SIZE;

	memcpy(limits->magic, spec->magic, 4);
	limits->size[MESSAGE_VERSION] = 1024;
	limits->size[MESSAGE_VERACK] = 0;
	limits->size[MESSAGE_PING] = limits->size[MESSAGE_PONG] = 8;
	limits->size[MESSAGE_INV] = limits->size[MESSAGE_GETDATA] = limits->size[MESSAGE_NOTFOUND] = inventory;
	limits->size[MESSAGE_GETHEADERS] = 4 + MESSAGE_COMPACT_MAX + (MESSAGE_MAX_LOCATOR + 1) * 32;
	limits->size[MESSAGE_HEADERS] = MESSAGE_COMPACT_MAX + MESSAGE_MAX_HEADERS * HEADER_SIZE;
	limits->size[MESSAGE_SENDHEADERS] = 0;
	limits->size[MESSAGE_BLOCK] = HEADER_SIZE + 3 * MESSAGE_COMPACT_MAX + 1 + spec->block_weight +
		BLOCK_MAX_LOOSE * HEADER_SIZE;
	limits->size[MESSAGE_TX] = spec->block_weight;
	limits->size[MESSAGE_PROOF] = HEADER_SIZE;
	limits->size[MESSAGE_GETPART] = MESSAGE_GETPART_SIZE;
	limits->size[MESSAGE_PART] = MESSAGE_GETPART_SIZE + MESSAGE_PART_SIZE;
	limits->size[MESSAGE_UNKNOWN] = MESSAGE_MAX;
	for (size_t i = 0; i <= MESSAGE_UNKNOWN; i++)
		if (limits->size[i] > MESSAGE_MAX)
			limits->size[i] = MESSAGE_MAX;
}

/* Printable characters, then zeros to the end. */
static bool message_command_sound(const uint8_t command[MESSAGE_COMMAND_SIZE])
{
	size_t letter_at = 0;

	while (letter_at < MESSAGE_COMMAND_SIZE && command[letter_at] > 0x20 && command[letter_at] < 0x7f)
		letter_at++;
	if (letter_at == 0)
		return false;
	for (; letter_at < MESSAGE_COMMAND_SIZE; letter_at++)
		if (command[letter_at] != 0)
			return false;
	return true;
}

/*      0      4              16     20         24
 *      magic  command, zeros  size  checksum   payload
 *
 * The size is held against the bound of the kind here, so that nobody waits for a payload that would be refused. */
const char *message_header_read(struct message_header *header, const uint8_t header_bytes[MESSAGE_HEADER_SIZE],
	const struct message_limits *limits)
{
	if (memcmp(header_bytes, limits->magic, 4) != 0)
		return "wrong network magic";
	if (!message_command_sound(header_bytes + 4))
		return "malformed command";
	memcpy(header->command, header_bytes + 4, MESSAGE_COMMAND_SIZE);
	header->command[MESSAGE_COMMAND_SIZE] = 0;
	header->size = read_le32(header_bytes + 16);
	memcpy(header->checksum, header_bytes + 20, 4);
	header->kind = MESSAGE_VERSION;
	while (header->kind != MESSAGE_UNKNOWN && strcmp(header->command, message_commands[header->kind]) != 0)
		header->kind++;
	if (header->size > limits->size[header->kind])
		return "oversized message";
	return NULL;
}

/* Four bytes against damage on the way, not against anybody: who alters a message makes them anew. */
bool message_checksum_ok(const struct message_header *header, const uint8_t *payload)
{
	uint8_t payload_hash[32];

	sha256d(payload_hash, payload, header->size);
	return memcmp(payload_hash, header->checksum, 4) == 0;
}

void message_header_write(uint8_t header_bytes[MESSAGE_HEADER_SIZE], const uint8_t magic[4], enum message_kind kind,
	const uint8_t *payload, size_t size)
{
	uint8_t payload_hash[32];

	memcpy(header_bytes, magic, 4);
	memcpy(header_bytes + 4, message_commands[kind], MESSAGE_COMMAND_SIZE);
	write_le32(header_bytes + 16, (uint32_t)size);
	sha256d(payload_hash, payload, size);
	memcpy(header_bytes + 20, payload_hash, 4);
}

/* The two addresses in it are nobody's business: 26 bytes each, skipped here and zeros when written. What stands behind
 * the last field is of a later version, and not looked at. */
bool message_read_version(struct message_version *version, const void *payload, size_t size)
{
	struct reader message_reader;
	size_t agent_length;

	reader_init(&message_reader, payload, size);
	version->version = reader_le32(&message_reader);
	version->services = reader_le64(&message_reader);
	version->time = (int64_t)reader_le64(&message_reader);
	reader_bytes(&message_reader, 2 * MESSAGE_ADDRESS_SIZE);
	version->nonce = reader_le64(&message_reader);
	agent_length = reader_compact(&message_reader);
	if (agent_length > MESSAGE_MAX_AGENT)
		return false;
	memset(version->agent, 0, sizeof version->agent);
	reader_copy(&message_reader, version->agent, agent_length);
	for (size_t i = 0; i < agent_length; i++)
		if (version->agent[i] < 0x20 || version->agent[i] > 0x7e)
			/* It is shown to people, in logs and by RPC. */
			version->agent[i] = '?';
	version->height = reader_le32(&message_reader);
	version->relay = reader_left(&message_reader) == 0 || reader_u8(&message_reader) != 0;
	return message_reader.ok;
}

void message_write_version(struct buf *payload, const struct message_version *version)
{
	buf_put_le32(payload, version->version);
	buf_put_le64(payload, version->services);
	buf_put_le64(payload, (uint64_t)version->time);
	memset(buf_extend(payload, 2 * MESSAGE_ADDRESS_SIZE), 0, 2 * MESSAGE_ADDRESS_SIZE);
	buf_put_le64(payload, version->nonce);
	buf_put_compact(payload, strlen(version->agent));
	buf_put_text(payload, version->agent);
	buf_put_le32(payload, version->height);
	buf_put_u8(payload, version->relay);
}

bool message_read_nonce(uint64_t *nonce, const void *payload, size_t size)
{
	struct reader message_reader;

	reader_init(&message_reader, payload, size);
	*nonce = reader_le64(&message_reader);
	return reader_done(&message_reader);
}

void message_write_nonce(struct buf *payload, uint64_t nonce)
{
	buf_put_le64(payload, nonce);
}

/* The count must be what the bytes hold, to the byte, before memory is taken for it; headers likewise. */
bool message_read_inventory(struct inventory_item **items, size_t *count, const void *payload, size_t size)
{
	struct reader message_reader;
	size_t item_count;

	reader_init(&message_reader, payload, size);
	item_count = reader_compact(&message_reader);
	if (!message_reader.ok || item_count > MESSAGE_MAX_INVENTORY ||
		reader_left(&message_reader) != item_count * MESSAGE_INVENTORY_SIZE)
		return false;
	*count = item_count;
	*items = mem_calloc(item_count, sizeof **items);
	for (size_t i = 0; i < item_count; i++) {
		(*items)[i].type = reader_le32(&message_reader);
		reader_copy(&message_reader, (*items)[i].id, 32);
	}
	return true;
}

void message_write_inventory(struct buf *payload, const struct inventory_item *items, size_t count)
{
	buf_put_compact(payload, count);
	for (size_t i = 0; i < count; i++) {
		buf_put_le32(payload, items[i].type);
		buf_put(payload, items[i].id, 32);
	}
}

void message_add_item(struct buf *items, enum inventory_type type, const uint8_t id[32])
{
	struct inventory_item item = { .type = type };

	memcpy(item.id, id, sizeof item.id);
	buf_put(items, &item, sizeof item);
}

/* The count bounds an array of fixed size, so it is looked at before any id is. */
bool message_read_getheaders(struct message_getheaders *request, const void *payload, size_t size)
{
	struct reader message_reader;

	reader_init(&message_reader, payload, size);
	reader_le32(&message_reader);
	request->count = reader_compact(&message_reader);
	if (request->count > MESSAGE_MAX_LOCATOR)
		return false;
	for (size_t i = 0; i < request->count; i++)
		reader_copy(&message_reader, request->ids[i], 32);
	reader_copy(&message_reader, request->stop, 32);
	return reader_done(&message_reader);
}

void message_write_getheaders(struct buf *payload, const struct message_getheaders *request)
{
	buf_put_le32(payload, MESSAGE_PROTOCOL);
	buf_put_compact(payload, request->count);
	for (size_t i = 0; i < request->count; i++)
		buf_put(payload, request->ids[i], 32);
	buf_put(payload, request->stop, 32);
}

bool message_read_headers(struct header **headers, size_t *count, const void *payload, size_t size)
{
	struct reader message_reader;
	size_t header_count;

	reader_init(&message_reader, payload, size);
	header_count = reader_compact(&message_reader);
	if (!message_reader.ok || header_count > MESSAGE_MAX_HEADERS ||
		reader_left(&message_reader) != header_count * HEADER_SIZE)
		return false;
	*count = header_count;
	*headers = mem_calloc(header_count, sizeof **headers);
	for (size_t i = 0; i < header_count; i++)
		header_read(&(*headers)[i], reader_bytes(&message_reader, HEADER_SIZE));
	return true;
}

void message_write_headers(struct buf *payload, const struct header *headers, size_t count)
{
	buf_put_compact(payload, count);
	for (size_t i = 0; i < count; i++)
		header_write(buf_extend(payload, HEADER_SIZE), &headers[i]);
}

bool message_read_proof(struct header *header, const void *payload, size_t size)
{
	if (size != HEADER_SIZE)
		return false;
	header_read(header, payload);
	return true;
}

void message_write_proof(struct buf *payload, const struct header *header)
{
	header_write(buf_extend(payload, HEADER_SIZE), header);
}

size_t message_part_count(uint32_t blob_size, uint32_t offset)
{
	return blob_size - offset < MESSAGE_PART_SIZE ? blob_size - offset : MESSAGE_PART_SIZE;
}

static bool message_read_place(struct reader *message_reader, struct message_part *part)
{
	reader_copy(message_reader, part->root, 32);
	part->size = reader_le32(message_reader);
	part->offset = reader_le32(message_reader);
	part->count = reader_left(message_reader);
	part->bytes = reader_bytes(message_reader, part->count);
	return message_reader->ok && part->offset % MESSAGE_PART_SIZE == 0 && part->offset < part->size;
}

bool message_read_getpart(struct message_part *part, const void *payload, size_t size)
{
	struct reader message_reader;

	reader_init(&message_reader, payload, size);
	return message_read_place(&message_reader, part) && part->count == 0;
}

bool message_read_part(struct message_part *part, const void *payload, size_t size)
{
	struct reader message_reader;

	reader_init(&message_reader, payload, size);
	return message_read_place(&message_reader, part) &&
		(part->count == 0 || part->count == message_part_count(part->size, part->offset));
}

void message_write_getpart(struct buf *payload, const struct message_part *part)
{
	buf_put(payload, part->root, 32);
	buf_put_le32(payload, part->size);
	buf_put_le32(payload, part->offset);
}

void message_write_part(struct buf *payload, const struct message_part *part)
{
	message_write_getpart(payload, part);
	buf_put(payload, part->bytes, part->count);
}
