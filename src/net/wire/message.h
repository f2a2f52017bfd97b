/* Messages between nodes: framing, and each payload's parse and write (doc/protocol.md section 17).
 *
 * Pure functions over bytes: no sockets, no clock, no state. What a payload means is said elsewhere (sync.h,
 * relay_tx.h, ...); blocks and transactions are parsed by consensus/.
 *
 * A message is 24 bytes (magic 4, command 12 zero-padded, payload size u32, checksum 4) and its payload. A `read`
 * function takes a whole payload, bounds every count by the bytes that are there before it takes memory, and returns
 * false if the payload is not one of its kind, to its last byte (only `version` may be longer: later versions may add
 * to it). What it filled on success is the caller's to clear; on failure there is nothing to clear. A `write` function
 * appends the payload to a buffer. */
#ifndef ATELIER_NET_WIRE_MESSAGE_H
#define ATELIER_NET_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consensus/header.h"
#include "consensus/spec.h"
#include "util/buf.h"

enum {
	MESSAGE_HEADER_SIZE = 24,
	MESSAGE_MAX = 1 << 24,         /* payload bytes, of any message: the largest block's fit in */
	MESSAGE_PROTOCOL = 1,          /* the version number we speak */
	MESSAGE_MAX_INVENTORY = 50000, /* items of inv, getdata, notfound */
	MESSAGE_MAX_HEADERS = 2000,
	MESSAGE_MAX_LOCATOR = 101,
	MESSAGE_MAX_AGENT = 256,
	MESSAGE_PART_SIZE = 1 << 20, /* bytes of a part of a blob */
};

enum message_kind {
	MESSAGE_VERSION,
	MESSAGE_VERACK,
	MESSAGE_PING,
	MESSAGE_PONG,
	MESSAGE_INV,
	MESSAGE_GETDATA,
	MESSAGE_NOTFOUND,
	MESSAGE_GETHEADERS,
	MESSAGE_HEADERS,
	MESSAGE_SENDHEADERS,
	MESSAGE_BLOCK,
	MESSAGE_TX,
	MESSAGE_PROOF,
	MESSAGE_GETPART,
	MESSAGE_PART,
	MESSAGE_UNKNOWN, /* a command of some later version: skipped */
};

struct message_header {
	enum message_kind kind;
	char command[13]; /* as sent; zero-terminated, printable */
	uint32_t size;
	uint8_t checksum[4];
};

/* NULL: a sound header. Else what is wrong with it, for the log: magic, command, size (the payload is longer than this
 * kind may be: `limits` of message_limits_init). */
struct message_limits {
	uint8_t magic[4];
	uint32_t size[MESSAGE_UNKNOWN + 1];
};
void message_limits_init(struct message_limits *limits, const struct spec *spec);
const char *message_header_read(struct message_header *header, const uint8_t header_bytes[MESSAGE_HEADER_SIZE],
	const struct message_limits *limits);
bool message_checksum_ok(const struct message_header *header, const uint8_t *payload);
void message_header_write(uint8_t header_bytes[MESSAGE_HEADER_SIZE], const uint8_t magic[4], enum message_kind kind,
	const uint8_t *payload, size_t size);
const char *message_command(enum message_kind kind); /* "" for UNKNOWN */

/* What a node can give to others, as in Bitcoin (BIP159): all; or, as it prunes (-prune), all blocks, but the bytes of
 * runs of the last rounds alone. */
enum message_services { MESSAGE_ALL = 1, MESSAGE_RECENT_RUNS = 1 << 10 };

/* Bitcoin's version message. The two addresses in it (26 bytes each) are written as zeros and not looked at. */
struct message_version {
	uint32_t version;
	uint64_t services; /* of enum message_services, and others */
	int64_t time;
	uint64_t nonce;                    /* to notice a connection to oneself */
	char agent[MESSAGE_MAX_AGENT + 1]; /* characters that are not printable ASCII are read as '?' */
	uint32_t height;
	bool relay; /* wants transactions; true where the message ends before it */
};
bool message_read_version(struct message_version *version, const void *payload, size_t size);
void message_write_version(struct buf *payload, const struct message_version *version);

/* ping and pong. */
bool message_read_nonce(uint64_t *nonce, const void *payload, size_t size);
void message_write_nonce(struct buf *payload, uint64_t nonce);

/* inv, getdata, notfound. Types this version does not know are read as they are. */
enum inventory_type { INVENTORY_TX = 1, INVENTORY_BLOCK = 2, INVENTORY_PROOF = 3 };
struct inventory_item {
	uint32_t type; /* of enum inventory_type, if we know it */
	uint8_t id[32];
};
bool message_read_inventory(struct inventory_item **items, size_t *count, const void *payload, size_t size);
void message_write_inventory(struct buf *payload, const struct inventory_item *items, size_t count);
/* Appends an item to a list: a buf that holds nothing else. */
void message_add_item(struct buf *items, enum inventory_type type, const uint8_t id[32]);

/* getheaders: u32 version, the locator's ids from the tip back, and the id to stop at (zeros: none). */
struct message_getheaders {
	uint8_t ids[MESSAGE_MAX_LOCATOR][32];
	size_t count;
	uint8_t stop[32];
};
bool message_read_getheaders(struct message_getheaders *request, const void *payload, size_t size);
void message_write_getheaders(struct buf *payload, const struct message_getheaders *request);

bool message_read_headers(struct header **headers, size_t *count, const void *payload, size_t size);
void message_write_headers(struct buf *payload, const struct header *headers, size_t count);

/* proof: one header. */
bool message_read_proof(struct header *header, const void *payload, size_t size);
void message_write_proof(struct buf *payload, const struct header *header);

/* getpart and part: MESSAGE_PART_SIZE bytes of the blob of this root and size, or what is left of it, from an offset
 * that is a multiple of it on. A part has exactly these bytes, which are borrowed from the payload, or none: the sender
 * has not got such a blob. */
struct message_part {
	uint8_t root[32];
	uint32_t size, offset;
	const uint8_t *bytes; /* of part */
	size_t count;
};
bool message_read_getpart(struct message_part *part, const void *payload, size_t size);
void message_write_getpart(struct buf *payload, const struct message_part *part);
bool message_read_part(struct message_part *part, const void *payload, size_t size);
void message_write_part(struct buf *payload, const struct message_part *part);
/* How many bytes the part has that begins there. */
size_t message_part_count(uint32_t blob_size, uint32_t offset);

#endif
