/* Addresses: bech32 (BIP173) and bech32m (BIP350) text, and segwit addresses written in it.
 *
 * Outputs of this chain are of witness version 1 and later, so bech32m; version 0 with bech32 is understood too, so
 * that the published vectors hold and an address of another chain gets a fitting error. Decoders return false and
 * say in err what is wrong; their other outputs are unspecified then. */
#ifndef ATELIER_CRYPTO_BECH32_H
#define ATELIER_CRYPTO_BECH32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum {
	BECH32_TEXT_MAX = 90, /* characters, without the terminating zero */
	BECH32_HRP_MAX = 83,
	ADDRESS_PROGRAM_MAX = 40, /* bytes */
};

enum bech32_form {
	BECH32_FIRST, /* BIP173 */
	BECH32_M,     /* BIP350 */
};

/* values are 5-bit integers. out holds BECH32_TEXT_MAX + 1 characters; false if the text would be longer, or if hrp is
 * empty or not lower-case printable ASCII. */
bool bech32_encode(char *out, const char *hrp, const uint8_t *values, size_t count, enum bech32_form form);

/* hrp holds BECH32_HRP_MAX + 1 characters and comes in lower case, values BECH32_TEXT_MAX. */
bool bech32_decode(char *hrp, uint8_t *values, size_t *count, enum bech32_form *form, const char *text,
	struct errmsg *err);

/* Witness version 0 to 16 and its program; out holds BECH32_TEXT_MAX + 1 characters. False if there is no such
 * address. */
bool address_encode(char *out, const char *hrp, int version, const uint8_t *program, size_t size);

/* program holds ADDRESS_PROGRAM_MAX bytes. The address must be of the network hrp stands for. */
bool address_decode(int *version, uint8_t *program, size_t *size, const char *hrp, const char *text,
	struct errmsg *err);

#endif
