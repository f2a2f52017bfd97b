/* Seeds as words (BIP39), with the English list.
 *
 * 16, 20, 24, 28 or 32 bytes of entropy are 12, 15, 18, 21 or 24 words. The seed is PBKDF2 of the words' text. BIP39
 * wants words and passphrase in Unicode's NFKD form: the English words are ASCII, and a passphrase is taken byte by
 * byte as it is given, so one that is not ASCII must come normalised. */
#ifndef ATELIER_WALLET_BIP39_H
#define ATELIER_WALLET_BIP39_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum {
	BIP39_ENTROPY_MAX = 32,
	BIP39_TEXT_MAX = 24 * 9 - 1, /* the longest word has 8 letters */
};

/* The standard's 2048 words, ascending. */
extern const char *const bip39_words[2048];

/* words holds BIP39_TEXT_MAX + 1 characters: the words with one blank between them. False for another entropy size. */
bool bip39_encode(char *words, const uint8_t *entropy, size_t entropy_size);

/* Reads words in lower case with any white space between them. entropy holds BIP39_ENTROPY_MAX bytes. The error says
 * the number of a word that is not in the list, never a word: errors are logged. */
bool bip39_decode(uint8_t *entropy, size_t *entropy_size, const char *words, struct errmsg *err);

/* words as bip39_encode writes them; passphrase may be "". */
void bip39_seed(uint8_t seed[64], const char *words, const char *passphrase);

#endif
