/* A header's 212 bytes, and the three hashes that are taken of them. */
#include "consensus/header.h"

#include <string.h>

#include "crypto/hash.h"
#include "util/bytes.h"

/* The order is that of doc/protocol.md section 8: what is known before the work comes first, so that its first
 * HEADER_SEED_SIZE bytes are what the seed covers, and the digest last. */
void header_write(uint8_t header_bytes[HEADER_SIZE], const struct header *header)
{
	write_le32(header_bytes, header->version);
	memcpy(header_bytes + 4, header->prev, 32);
	memcpy(header_bytes + 36, header->tx_root, 32);
	memcpy(header_bytes + 68, header->proofs_root, 32);
	memcpy(header_bytes + 100, header->model_root, 32);
	memcpy(header_bytes + 132, header->miner, 32);
	write_le32(header_bytes + 164, header->time);
	write_le32(header_bytes + 168, header->bits);
	write_le64(header_bytes + 172, header->nonce);
	memcpy(header_bytes + HEADER_SEED_SIZE, header->digest, 32);
}

void header_read(struct header *header, const uint8_t header_bytes[HEADER_SIZE])
{
	header->version = read_le32(header_bytes);
	memcpy(header->prev, header_bytes + 4, 32);
	memcpy(header->tx_root, header_bytes + 36, 32);
	memcpy(header->proofs_root, header_bytes + 68, 32);
	memcpy(header->model_root, header_bytes + 100, 32);
	memcpy(header->miner, header_bytes + 132, 32);
	header->time = read_le32(header_bytes + 164);
	header->bits = read_le32(header_bytes + 168);
	header->nonce = read_le64(header_bytes + 172);
	memcpy(header->digest, header_bytes + HEADER_SEED_SIZE, 32);
}

/* The seed covers all that is fixed before the work: of what comes out of it (the digest) it knows nothing, so a miner
 * who wants other draws needs another nonce, and the whole step again. */
void header_seed(const struct header *header, uint8_t seed[32])
{
	uint8_t header_bytes[HEADER_SIZE];

	header_write(header_bytes, header);
	sha256d(seed, header_bytes, HEADER_SEED_SIZE);
}

/* What the target is held against covers the digest too: the work is the step, not the hash. */
void header_ticket(const struct header *header, uint8_t ticket[32])
{
	uint8_t seed_and_digest[64];

	header_seed(header, seed_and_digest);
	memcpy(seed_and_digest + 32, header->digest, 32);
	sha256d(ticket, seed_and_digest, sizeof seed_and_digest);
}

/* The id covers the digest, which the seed does not: a header that was copied with a false digest has an id of its own,
 * and being refused for it does not stand in the way of the true one. */
void header_id(const struct header *header, uint8_t id[32])
{
	uint8_t header_bytes[HEADER_SIZE];

	header_write(header_bytes, header);
	sha256d(id, header_bytes, sizeof header_bytes);
}
