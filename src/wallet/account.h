/* A wallet's keys: one seed of BIP39 words, one BIP86 account, the seed encrypted at rest.
 *
 * Addresses are m/86'/coin'/0'/branch/index, branch 0 to receive and 1 for change; each is the taproot output key of
 * that key without a script tree. coin is 9432 for "main" (no registered number; the chain's RPC port, easily
 * remembered) and 1 for every other chain, as SLIP-44 has it for test networks. The account's public half is kept in
 * the clear, so a locked wallet still makes and recognises addresses; whoever reads it learns what belongs to the
 * wallet, but cannot spend.
 *
 * The words' entropy is sealed with AES-256-GCM under scrypt(passphrase). An empty passphrase protects nothing: its
 * key can be computed by everybody; such a wallet is unlocked as soon as it is read. While unlocked, entropy and the
 * account's private key are in memory; account_lock wipes them. */
#ifndef ATELIER_WALLET_ACCOUNT_H
#define ATELIER_WALLET_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "util/buf.h"
#include "util/error.h"
#include "wallet/bip32.h"
#include "wallet/bip39.h"

enum account_branch {
	ACCOUNT_RECEIVE = 0,
	ACCOUNT_CHANGE = 1,
};

enum {
	ACCOUNT_COIN_MAIN = 9432,
	ACCOUNT_COIN_TEST = 1,
};

struct account {
	uint32_t coin;
	struct bip32_key node; /* m/86'/coin'/0', without its secret */
	bool has_passphrase;
	/* Sealed entropy, and what turns the passphrase into its key */
	uint8_t salt[16];
	uint32_t scrypt_log_n, scrypt_r, scrypt_p;
	uint8_t sealed[BIP39_ENTROPY_MAX + AEAD_OVERHEAD];
	size_t entropy_size;
	/* Only while unlocked */
	bool unlocked;
	uint8_t entropy[BIP39_ENTROPY_MAX];
	struct bip32_key private_node;
};

/* The coin of a chain's spec name. */
uint32_t account_coin(const char *chain);

/* From 16 to 32 bytes of entropy, unlocked. False for entropy that gives no keys (which nobody will ever meet). */
bool account_init(struct account *account, const uint8_t *entropy, size_t size, uint32_t coin, const char *passphrase);
void account_clear(struct account *account);

/* The record a wallet stores, without anything that is only there while unlocked. Reading bounds every field. */
void account_write(struct buf *account_record, const struct account *account);
bool account_read(struct account *account, struct reader *reader);

/* False if the passphrase is wrong; the account is then as it was. */
bool account_unlock(struct account *account, const char *passphrase);
void account_lock(struct account *account);

/* Seals the entropy under another passphrase; the account must be unlocked. */
void account_seal(struct account *account, const char *passphrase);

/* The output key of an address, which is its witness program. */
bool account_key(const struct account *account, enum account_branch branch, uint32_t index, uint8_t key[32]);

/* The secret that signs for it; false while locked. The caller wipes it. */
bool account_secret(const struct account *account, enum account_branch branch, uint32_t index, uint8_t secret[32]);

/* The salt by which this account commits to data of this root on the chain of this genesis: the same whenever it is
 * asked for, and nothing that anybody else can tell. False while locked. */
bool account_salt(const struct account *account, const uint8_t genesis_id[32], const uint8_t root[32],
	uint8_t salt[32]);

/* words holds BIP39_TEXT_MAX + 1 characters and is the caller's to wipe. False while locked. */
bool account_words(const struct account *account, char *words);

#endif
