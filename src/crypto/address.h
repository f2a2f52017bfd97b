/* Addresses: witness programs in bech32m (BIP350), and the keys behind those of taproot (BIP341).
 *
 * Outputs of this chain are of witness version 1, so bech32m; version 0 with bech32 is understood too, so that the
 * published vectors hold and an address of another chain gets a fitting error. Decoders return false and say in err
 * what is wrong; their other outputs are unspecified then. `hrp`, the prefix, is what tells chains apart. */
#ifndef ATELIER_CRYPTO_ADDRESS_H
#define ATELIER_CRYPTO_ADDRESS_H

#include "crypto/bech32.h"

enum { ADDRESS_PROGRAM_MAX = 40 }; /* bytes */

/* Witness version 0 to 16 and its program; address_text holds BECH32_TEXT_MAX + 1 characters. False if there is no such
 * address. */
bool address_encode(char *address_text, const char *hrp, int witness_version, const uint8_t *witness_program,
	size_t program_size);

/* witness_program holds ADDRESS_PROGRAM_MAX bytes. The address must be of the network hrp stands for. */
bool address_decode(int *witness_version, uint8_t *witness_program, size_t *program_size, const char *hrp,
	const char *address_text, struct errmsg *err);

/* The address of an x-only key; address_text holds BECH32_TEXT_MAX + 1 characters. */
bool address_from_key(char *address_text, const char *hrp, const uint8_t key[32]);
/* The key behind a taproot address: 32 bytes that are on the curve. */
bool address_to_key(uint8_t key[32], const char *hrp, const char *address_text, struct errmsg *err);

#endif
