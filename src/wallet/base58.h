/* Base58Check: Bitcoin's older text form, here only for extended keys (BIP32). Four bytes of SHA256d guard the text. */
#ifndef ATELIER_WALLET_BASE58_H
#define ATELIER_WALLET_BASE58_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BASE58_DATA_MAX = 96,  /* bytes, without the guard */
	BASE58_TEXT_MAX = 138, /* characters that many bytes and the guard take at most */
};

/* text holds BASE58_TEXT_MAX + 1 characters; size is at most BASE58_DATA_MAX. */
void base58_encode(char *text, const uint8_t *bytes, size_t size);

/* Reads exactly size bytes; false if the text has another length or character, or a wrong guard. */
bool base58_decode(uint8_t *bytes, size_t size, const char *text);

#endif
