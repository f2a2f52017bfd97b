/* Bech32 (BIP173) and bech32m (BIP350) text: a prefix, values of five bits, a checksum. What addresses say in it:
 * crypto/address.h. Decoding returns false and says in err what is wrong; its other outputs are unspecified then. */
#ifndef ATELIER_CRYPTO_BECH32_H
#define ATELIER_CRYPTO_BECH32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum {
	BECH32_TEXT_MAX = 90, /* characters, without the terminating zero */
	BECH32_HRP_MAX = 83,
};

enum bech32_form {
	BECH32_FIRST, /* BIP173 */
	BECH32_M,     /* BIP350 */
};

/* values are 5-bit integers. bech32_text holds BECH32_TEXT_MAX + 1 characters; false if the text would be longer, or if
 * hrp is empty or not lower-case printable ASCII. */
bool bech32_encode(char *bech32_text, const char *hrp, const uint8_t *values, size_t value_count,
	enum bech32_form form);

/* hrp holds BECH32_HRP_MAX + 1 characters and comes in lower case, values BECH32_TEXT_MAX. */
bool bech32_decode(char *hrp, uint8_t *values, size_t *value_count, enum bech32_form *form, const char *text,
	struct errmsg *err);

#endif
