/* The header of a block, which is also a proof of one training step (doc/protocol.md section 8). */
#ifndef ATELIER_CONSENSUS_HEADER_H
#define ATELIER_CONSENSUS_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum { HEADER_SIZE = 212, HEADER_SEED_SIZE = 180, HEADER_VERSION = 1 };

struct header {
	uint32_t version;
	uint8_t prev[32], tx_root[32], proofs_root[32], model_root[32], miner[32];
	uint32_t time, bits;
	uint64_t nonce;
	uint8_t digest[32];
};

void header_write(uint8_t header_bytes[HEADER_SIZE], const struct header *header);
void header_read(struct header *header, const uint8_t header_bytes[HEADER_SIZE]);

void header_seed(const struct header *header, uint8_t seed[32]);     /* before the work */
void header_ticket(const struct header *header, uint8_t ticket[32]); /* HH(seed | digest) */
void header_id(const struct header *header, uint8_t id[32]);

#endif
