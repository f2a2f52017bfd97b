/* The seed and what is derived from it; sealing and opening it.
 *
 * Two states. Locked, the account knows its public half and the sealed entropy; unlocked, the entropy and the private
 * half too. Nothing else of the seed is ever kept: words, seed, master key and the passphrase's key live on the stack
 * of one function, and are wiped before it returns. */
#include "wallet/account.h"

#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/random.h"

enum {
	RECORD_VERSION = 1,
	LOG_N_PASSPHRASE = 15, /* with r = 8: 32 MiB, about a tenth of a second */
	LOG_N_EMPTY = 1,       /* no work could protect an empty passphrase */
	LOG_N_MAX = 20,
};

uint32_t account_coin(const char *chain)
{
	return strcmp(chain, "main") == 0 ? ACCOUNT_COIN_MAIN : ACCOUNT_COIN_TEST;
}

/* From entropy to the account's private key, by way of words and seed, as every other wallet does: 2048 rounds of
 * PBKDF2 each time. BIP39's own passphrase stays empty: the words alone bring everything back. */
static bool derive_node(struct bip32_key *node, const uint8_t *entropy, size_t size, uint32_t coin)
{
	char words[BIP39_TEXT_MAX + 1];
	struct bip32_key master;
	uint8_t seed[64];
	char path[32];
	bool ok;

	if (!bip39_encode(words, entropy, size))
		return false;
	bip39_seed(seed, words, "");
	snprintf(path, sizeof path, "m/86'/%u'/0'", coin);
	ok = bip32_master(&master, seed, sizeof seed) && bip32_derive(node, &master, path, NULL);
	wipe(words, sizeof words);
	wipe(seed, sizeof seed);
	wipe(&master, sizeof master);
	return ok;
}

/* False where scrypt has no such parameters or not the memory: they are the record's, and an old record may have others
 * than new ones. */
static bool passphrase_key(uint8_t key[32], const struct account *account, const char *passphrase)
{
	return kdf_scrypt(key, 32, passphrase, account->salt, sizeof account->salt,
		(uint64_t)1 << account->scrypt_log_n, account->scrypt_r, account->scrypt_p);
}

/* A new salt each time, so each sealing has a key of its own and the random nonce is used once under it. The account's
 * public key is sealed along: a sealed seed that was put beside another public key does not open. */
void account_seal(struct account *account, const char *passphrase)
{
	uint8_t key[32];

	account->has_passphrase = *passphrase != 0;
	random_bytes(account->salt, sizeof account->salt);
	account->scrypt_log_n = account->has_passphrase ? LOG_N_PASSPHRASE : LOG_N_EMPTY;
	account->scrypt_r = 8;
	account->scrypt_p = 1;
	passphrase_key(key, account, passphrase); /* cannot fail with these parameters */
	aead_seal(account->sealed, key, account->entropy, account->entropy_size, account->node.public_key,
		sizeof account->node.public_key);
	wipe(key, sizeof key);
}

bool account_init(struct account *account, const uint8_t *entropy, size_t size, uint32_t coin, const char *passphrase)
{
	memset(account, 0, sizeof *account);
	account->coin = coin;
	if (!derive_node(&account->private_node, entropy, size, coin))
		return false;
	account->node = account->private_node;
	bip32_make_public(&account->node);
	memcpy(account->entropy, entropy, size);
	account->entropy_size = size;
	account->unlocked = true;
	account_seal(account, passphrase);
	return true;
}

void account_clear(struct account *account)
{
	wipe(account, sizeof *account);
}

void account_write(struct buf *out, const struct account *account)
{
	buf_put_u8(out, RECORD_VERSION);
	buf_put_le32(out, account->coin);
	buf_put_u8(out, account->node.depth);
	buf_put(out, account->node.parent, 4);
	buf_put_le32(out, account->node.index);
	buf_put(out, account->node.chain_code, 32);
	buf_put(out, account->node.public_key, 33);
	buf_put_u8(out, account->has_passphrase);
	buf_put(out, account->salt, sizeof account->salt);
	buf_put_u8(out, (uint8_t)account->scrypt_log_n);
	buf_put_le32(out, account->scrypt_r);
	buf_put_le32(out, account->scrypt_p);
	buf_put_u8(out, (uint8_t)account->entropy_size);
	buf_put(out, account->sealed, account->entropy_size + AEAD_OVERHEAD);
}

/* The record may be damaged, or come from somebody else: log_n is bounded here and the memory that scrypt asks for in
 * kdf_scrypt, and what is sealed has the size of its field at most. */
bool account_read(struct account *account, struct reader *reader)
{
	memset(account, 0, sizeof *account);
	if (reader_u8(reader) != RECORD_VERSION)
		reader_fail(reader);
	account->coin = reader_le32(reader);
	account->node.depth = reader_u8(reader);
	reader_copy(reader, account->node.parent, 4);
	account->node.index = reader_le32(reader);
	reader_copy(reader, account->node.chain_code, 32);
	reader_copy(reader, account->node.public_key, 33);
	account->has_passphrase = reader_u8(reader) != 0;
	reader_copy(reader, account->salt, sizeof account->salt);
	account->scrypt_log_n = reader_u8(reader);
	account->scrypt_r = reader_le32(reader);
	account->scrypt_p = reader_le32(reader);
	account->entropy_size = reader_u8(reader);
	if (account->scrypt_log_n < 1 || account->scrypt_log_n > LOG_N_MAX ||
		account->entropy_size > BIP39_ENTROPY_MAX || !schnorr_public_valid(account->node.public_key)) {
		reader_fail(reader);
		return false;
	}
	reader_copy(reader, account->sealed, account->entropy_size + AEAD_OVERHEAD);
	return reader->ok;
}

/* Derives before it takes anything over: so an account is never unlocked by half. */
bool account_unlock(struct account *account, const char *passphrase)
{
	uint8_t entropy[BIP39_ENTROPY_MAX];
	struct bip32_key node;
	uint8_t key[32];
	bool ok;

	ok = passphrase_key(key, account, passphrase) &&
		aead_open(entropy, key, account->sealed, account->entropy_size + AEAD_OVERHEAD,
			account->node.public_key, sizeof account->node.public_key) &&
		derive_node(&node, entropy, account->entropy_size, account->coin);
	if (ok) {
		memcpy(account->entropy, entropy, account->entropy_size);
		account->private_node = node;
		account->unlocked = true;
		wipe(&node, sizeof node);
	}
	wipe(entropy, sizeof entropy);
	wipe(key, sizeof key);
	return ok;
}

void account_lock(struct account *account)
{
	account->unlocked = false;
	wipe(account->entropy, sizeof account->entropy);
	wipe(&account->private_node, sizeof account->private_node);
}

/* No step is hardened below the account, so its public half is enough, locked or not. The first byte of a compressed
 * key tells its parity, which taproot does not use. */
bool account_key(const struct account *account, enum account_branch branch, uint32_t index, uint8_t key[32])
{
	struct bip32_key child;

	return bip32_child(&child, &account->node, branch) && bip32_child(&child, &child, index) &&
		schnorr_output_key(key, NULL, child.public_key + 1, NULL);
}

/* The key of the address, tweaked as BIP86 says: the output key has a secret of its own. Derived for each signature,
 * not kept: while unlocked one private key is in memory, and not one for each address. */
bool account_secret(const struct account *account, enum account_branch branch, uint32_t index, uint8_t secret[32])
{
	struct bip32_key child;
	bool ok;

	ok = account->unlocked && bip32_child(&child, &account->private_node, branch) &&
		bip32_child(&child, &child, index) && schnorr_output_secret(secret, child.secret, NULL);
	wipe(&child, sizeof child);
	return ok;
}

bool account_words(const struct account *account, char *out)
{
	return account->unlocked && bip39_encode(out, account->entropy, account->entropy_size);
}
