/* Payloads, one pair of functions for each kind; what bounds each kind is in message_limits_init. */
#include "net/wire/message.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/block.h"
#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

static const char commands[MESSAGE_UNKNOWN + 1][13] = {
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
	[MESSAGE_BLOB] = "blob",
	[MESSAGE_UNKNOWN] = "",
};

enum { INVENTORY_SIZE = 36, ADDRESS_SIZE = 26, COMMAND_SIZE = 12, COMPACT_MAX = 9 };

const char *message_command(enum message_kind kind)
{
	return commands[kind];
}

/* The tightest bound each kind allows, so that what a peer can make us hold follows from what it is for. */
void message_limits_init(struct message_limits *limits, const struct spec *spec)
{
	const uint32_t inventory = COMPACT_MAX + MESSAGE_MAX_INVENTORY * INVENTORY_SIZE;

	memcpy(limits->magic, spec->magic, 4);
	limits->size[MESSAGE_VERSION] = 1024;
	limits->size[MESSAGE_VERACK] = 0;
	limits->size[MESSAGE_PING] = limits->size[MESSAGE_PONG] = 8;
	limits->size[MESSAGE_INV] = limits->size[MESSAGE_GETDATA] = limits->size[MESSAGE_NOTFOUND] = inventory;
	limits->size[MESSAGE_GETHEADERS] = 4 + COMPACT_MAX + (MESSAGE_MAX_LOCATOR + 1) * 32;
	limits->size[MESSAGE_HEADERS] = COMPACT_MAX + MESSAGE_MAX_HEADERS * HEADER_SIZE;
	limits->size[MESSAGE_SENDHEADERS] = 0;
	limits->size[MESSAGE_BLOCK] = HEADER_SIZE + 2 * COMPACT_MAX + 1 + spec->block_weight +
		BLOCK_MAX_LOOSE * HEADER_SIZE;
	limits->size[MESSAGE_TX] = spec->block_weight;
	limits->size[MESSAGE_PROOF] = HEADER_SIZE;
	limits->size[MESSAGE_BLOB] = 32 + spec->blob_max;
	limits->size[MESSAGE_UNKNOWN] = MESSAGE_MAX;
	for (size_t i = 0; i <= MESSAGE_UNKNOWN; i++)
		if (limits->size[i] > MESSAGE_MAX)
			limits->size[i] = MESSAGE_MAX;
}

/* Printable characters, then zeros to the end. */
static bool command_sound(const uint8_t command[COMMAND_SIZE])
{
	size_t i = 0;

	while (i < COMMAND_SIZE && command[i] > 0x20 && command[i] < 0x7f)
		i++;
	if (i == 0)
		return false;
	for (; i < COMMAND_SIZE; i++)
		if (command[i] != 0)
			return false;
	return true;
}

/*      0      4              16     20         24
 *      magic  command, zeros  size  checksum   payload
 *
 * The size is held against the bound of the kind here, so that nobody waits for a payload that would be refused. */
const char *message_header_read(struct message_header *header, const uint8_t in[MESSAGE_HEADER_SIZE],
	const struct message_limits *limits)
{
	if (memcmp(in, limits->magic, 4) != 0)
		return "wrong network magic";
	if (!command_sound(in + 4))
		return "malformed command";
	memcpy(header->command, in + 4, COMMAND_SIZE);
	header->command[COMMAND_SIZE] = 0;
	header->size = read_le32(in + 16);
	memcpy(header->checksum, in + 20, 4);
	header->kind = MESSAGE_VERSION;
	while (header->kind != MESSAGE_UNKNOWN && strcmp(header->command, commands[header->kind]) != 0)
		header->kind++;
	if (header->size > limits->size[header->kind])
		return "oversized message";
	return NULL;
}

/* Four bytes against damage on the way, not against anybody: who alters a message makes them anew. */
bool message_checksum_ok(const struct message_header *header, const uint8_t *payload)
{
	uint8_t hash[32];

	sha256d(hash, payload, header->size);
	return memcmp(hash, header->checksum, 4) == 0;
}

void message_header_write(uint8_t out[MESSAGE_HEADER_SIZE], const uint8_t magic[4], enum message_kind kind,
	const uint8_t *payload, size_t size)
{
	uint8_t hash[32];

	memcpy(out, magic, 4);
	memcpy(out + 4, commands[kind], COMMAND_SIZE);
	write_le32(out + 16, (uint32_t)size);
	sha256d(hash, payload, size);
	memcpy(out + 20, hash, 4);
}

/* The two addresses in it are nobody's business: 26 bytes each, skipped here and zeros when written. What stands behind
 * the last field is of a later version, and not looked at. */
bool message_read_version(struct message_version *version, const void *data, size_t size)
{
	struct reader r;
	size_t length;

	reader_init(&r, data, size);
	version->version = reader_le32(&r);
	version->services = reader_le64(&r);
	version->time = (int64_t)reader_le64(&r);
	reader_bytes(&r, 2 * ADDRESS_SIZE);
	version->nonce = reader_le64(&r);
	length = reader_compact(&r);
	if (length > MESSAGE_MAX_AGENT)
		return false;
	memset(version->agent, 0, sizeof version->agent);
	reader_copy(&r, version->agent, length);
	for (size_t i = 0; i < length; i++)
		if (version->agent[i] < 0x20 || version->agent[i] > 0x7e)
			/* It is shown to people, in logs and by RPC. */
			version->agent[i] = '?';
	version->height = reader_le32(&r);
	version->relay = reader_left(&r) == 0 || reader_u8(&r) != 0;
	return r.ok;
}

void message_write_version(struct buf *out, const struct message_version *version)
{
	buf_put_le32(out, version->version);
	buf_put_le64(out, version->services);
	buf_put_le64(out, (uint64_t)version->time);
	memset(buf_extend(out, 2 * ADDRESS_SIZE), 0, 2 * ADDRESS_SIZE);
	buf_put_le64(out, version->nonce);
	buf_put_compact(out, strlen(version->agent));
	buf_put_text(out, version->agent);
	buf_put_le32(out, version->height);
	buf_put_u8(out, version->relay);
}

bool message_read_nonce(uint64_t *nonce, const void *data, size_t size)
{
	struct reader r;

	reader_init(&r, data, size);
	*nonce = reader_le64(&r);
	return reader_done(&r);
}

void message_write_nonce(struct buf *out, uint64_t nonce)
{
	buf_put_le64(out, nonce);
}

/* The count must be what the bytes hold, to the byte, before memory is taken for it; headers likewise. */
bool message_read_inventory(struct inventory_item **items, size_t *count, const void *data, size_t size)
{
	struct reader r;
	size_t n;

	reader_init(&r, data, size);
	n = reader_compact(&r);
	if (!r.ok || n > MESSAGE_MAX_INVENTORY || reader_left(&r) != n * INVENTORY_SIZE)
		return false;
	*count = n;
	*items = mem_calloc(n, sizeof **items);
	for (size_t i = 0; i < n; i++) {
		(*items)[i].type = reader_le32(&r);
		reader_copy(&r, (*items)[i].id, 32);
	}
	return true;
}

void message_write_inventory(struct buf *out, const struct inventory_item *items, size_t count)
{
	buf_put_compact(out, count);
	for (size_t i = 0; i < count; i++) {
		buf_put_le32(out, items[i].type);
		buf_put(out, items[i].id, 32);
	}
}

void message_add_item(struct buf *items, enum inventory_type type, const uint8_t id[32])
{
	struct inventory_item item = { .type = type };

	memcpy(item.id, id, sizeof item.id);
	buf_put(items, &item, sizeof item);
}

/* The count bounds an array of fixed size, so it is looked at before any id is. */
bool message_read_getheaders(struct message_getheaders *request, const void *data, size_t size)
{
	struct reader r;

	reader_init(&r, data, size);
	reader_le32(&r);
	request->count = reader_compact(&r);
	if (request->count > MESSAGE_MAX_LOCATOR)
		return false;
	for (size_t i = 0; i < request->count; i++)
		reader_copy(&r, request->ids[i], 32);
	reader_copy(&r, request->stop, 32);
	return reader_done(&r);
}

void message_write_getheaders(struct buf *out, const struct message_getheaders *request)
{
	buf_put_le32(out, MESSAGE_PROTOCOL);
	buf_put_compact(out, request->count);
	for (size_t i = 0; i < request->count; i++)
		buf_put(out, request->ids[i], 32);
	buf_put(out, request->stop, 32);
}

bool message_read_headers(struct header **headers, size_t *count, const void *data, size_t size)
{
	struct reader r;
	size_t n;

	reader_init(&r, data, size);
	n = reader_compact(&r);
	if (!r.ok || n > MESSAGE_MAX_HEADERS || reader_left(&r) != n * HEADER_SIZE)
		return false;
	*count = n;
	*headers = mem_calloc(n, sizeof **headers);
	for (size_t i = 0; i < n; i++)
		header_read(&(*headers)[i], reader_bytes(&r, HEADER_SIZE));
	return true;
}

void message_write_headers(struct buf *out, const struct header *headers, size_t count)
{
	buf_put_compact(out, count);
	for (size_t i = 0; i < count; i++)
		header_write(buf_extend(out, HEADER_SIZE), &headers[i]);
}

bool message_read_proof(struct header *header, const void *data, size_t size)
{
	if (size != HEADER_SIZE)
		return false;
	header_read(header, data);
	return true;
}

void message_write_proof(struct buf *out, const struct header *header)
{
	header_write(buf_extend(out, HEADER_SIZE), header);
}

/* Borrowed: a blob is copied once, by who stores it. */
bool message_read_blob(const uint8_t **root, const uint8_t **bytes, size_t *count, const void *data, size_t size)
{
	struct reader r;

	reader_init(&r, data, size);
	*root = reader_bytes(&r, 32);
	*count = reader_left(&r);
	*bytes = reader_bytes(&r, *count);
	return reader_done(&r);
}

void message_write_blob(struct buf *out, const uint8_t root[32], const void *bytes, size_t count)
{
	buf_put(out, root, 32);
	buf_put(out, bytes, count);
}
