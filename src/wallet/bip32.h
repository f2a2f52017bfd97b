/* Hierarchical keys (BIP32).
 *
 * An extended key is a public key with its chain code and place in the tree, and, where it is private, the secret.
 * Children from BIP32_HARDENED up need the private key. Whoever holds a private struct wipes it (crypto/wipe.h). */
#ifndef ATELIER_WALLET_BIP32_H
#define ATELIER_WALLET_BIP32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

#define BIP32_HARDENED 0x80000000u
#define BIP32_TEXT_MAX 111

struct bip32_key {
	uint8_t depth;
	uint8_t parent[4]; /* fingerprint of the parent's key; zero for a master key */
	uint32_t index;
	uint8_t chain_code[32];
	uint8_t public_key[33];
	bool is_private;
	uint8_t secret[32]; /* zero where not private */
};

/* The master key of a seed of 16 to 64 bytes; false for the one seed in 2^127 that gives none. */
bool bip32_master(struct bip32_key *master, const uint8_t *seed, size_t size);

/* False if index is hardened and parent is not private, at depth 255, and for the one index in 2^127 that has no child.
 * child may be parent. */
bool bip32_child(struct bip32_key *child, const struct bip32_key *parent, uint32_t index);

/* Follows a path such as "m/86'/0'/0'/0/1" ("h" for "'" too) from key. */
bool bip32_derive(struct bip32_key *derived, const struct bip32_key *key, const char *path, struct errmsg *err);

/* Forgets the secret. */
void bip32_make_public(struct bip32_key *extended);

/* "xprv..." or "xpub...", as the key is; text holds BIP32_TEXT_MAX + 1 characters. */
void bip32_encode(char *text, const struct bip32_key *extended);
bool bip32_decode(struct bip32_key *extended, const char *text, struct errmsg *err);

#endif
