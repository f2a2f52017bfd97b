/* The seed and what is derived from it; sealing and opening it.
 *
 * Two states. Locked, the account knows its public half and the sealed entropy; unlocked, the entropy and the private
 * half too. Nothing else of the seed is ever kept: words, seed, master key and the passphrase's key live on the stack
 * of one function, and are wiped before it returns. */
#include "wallet/account.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/random.h"

enum {
	ACCOUNT_RECORD_VERSION = 1,
	ACCOUNT_LOG_N_PASSPHRASE = 15, /* with r = 8: 32 MiB, about a tenth of a second */
	ACCOUNT_LOG_N_EMPTY = 1,       /* no work could protect an empty passphrase */
	ACCOUNT_LOG_N_MAX = 20,
};

uint32_t account_coin(const char *chain)
{
	return strcmp(chain, "main") == 0 ? ACCOUNT_COIN_MAIN : ACCOUNT_COIN_TEST;
}

/* From entropy to the account's private key, by way of words and seed, as every other wallet does: 2048 rounds of
 * PBKDF2 each time. BIP39's own passphrase stays empty: the words alone bring everything back. */
static bool account_derive_node(struct bip32_key *node, const uint8_t *entropy, size_t size, uint32_t coin)
{
	char words[BIP39_TEXT_MAX + 1];
	struct bip32_key master_key;
	uint8_t words_seed[64];
	char account_path[32];
	bool ok;

	if (!bip39_encode(words, entropy, size))
		return false;
	bip39_seed(words_seed, words, "");
	snprintf(account_path, sizeof account_path, "m/86'/%u'/0'", coin);
	ok = bip32_master(&master_key, words_seed, sizeof words_seed) &&
		bip32_derive(node, &master_key, account_path, NULL);
	wipe(words, sizeof words);
	wipe(words_seed, sizeof words_seed);
	wipe(&master_key, sizeof master_key);
	return ok;
}

/* False where scrypt has no such parameters or not the memory: they are the record's, and an old record may have others
 * than new ones. */
static bool account_passphrase_key(uint8_t sealing_key[32], const struct account *account, const char *passphrase)
{
	return kdf_scrypt(sealing_key, 32, passphrase, account->salt, sizeof account->salt,
		(uint64_t)1 << account->scrypt_log_n, account->scrypt_r, account->scrypt_p);
}

/* A new salt each time, so each sealing has a key of its own and the random nonce is used once under it. The account's
 * public key is sealed along: a sealed seed that was put beside another public key does not open. */
void account_seal(struct account *account, const char *passphrase)
{
	uint8_t sealing_key[32];

	account->has_passphrase = *passphrase != 0;
	random_bytes(account->salt, sizeof account->salt);
	account->scrypt_log_n = account->has_passphrase ? ACCOUNT_LOG_N_PASSPHRASE : ACCOUNT_LOG_N_EMPTY;
	account->scrypt_r = 8;
	account->scrypt_p = 1;
	account_passphrase_key(sealing_key, account, passphrase); /* cannot fail with these parameters */
	aead_seal(account->sealed, sealing_key, account->entropy, account->entropy_size, account->node.public_key,
		sizeof account->node.public_key);
	wipe(sealing_key, sizeof sealing_key);
}

bool account_init(struct account *account, const uint8_t *entropy, size_t size, uint32_t coin, const char *passphrase)
{
	memset(account, 0, sizeof *account);
	account->coin = coin;
	if (!account_derive_node(&account->private_node, entropy, size, coin))
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

void account_write(struct buf *account_record, const struct account *account)
{
	buf_put_u8(account_record, ACCOUNT_RECORD_VERSION);
	buf_put_le32(account_record, account->coin);
	buf_put_u8(account_record, account->node.depth);
	buf_put(account_record, account->node.parent, 4);
	buf_put_le32(account_record, account->node.index);
	buf_put(account_record, account->node.chain_code, 32);
	buf_put(account_record, account->node.public_key, 33);
	buf_put_u8(account_record, account->has_passphrase);
	buf_put(account_record, account->salt, sizeof account->salt);
	buf_put_u8(account_record, (uint8_t)account->scrypt_log_n);
	buf_put_le32(account_record, account->scrypt_r);
	buf_put_le32(account_record, account->scrypt_p);
	buf_put_u8(account_record, (uint8_t)account->entropy_size);
	buf_put(account_record, account->sealed, account->entropy_size + AEAD_OVERHEAD);
}

/* The record may be damaged, or come from somebody else: log_n is bounded here and the memory that scrypt asks for in
 * kdf_scrypt, and what is sealed has the size of its field at most. */
bool account_read(struct account *account, struct reader *account_reader)
{
	memset(account, 0, sizeof *account);
	if (reader_u8(account_reader) != ACCOUNT_RECORD_VERSION)
		reader_fail(account_reader);
	account->coin = reader_le32(account_reader);
	account->node.depth = reader_u8(account_reader);
	reader_copy(account_reader, account->node.parent, 4);
	account->node.index = reader_le32(account_reader);
	reader_copy(account_reader, account->node.chain_code, 32);
	reader_copy(account_reader, account->node.public_key, 33);
	account->has_passphrase = reader_u8(account_reader) != 0;
	reader_copy(account_reader, account->salt, sizeof account->salt);
	account->scrypt_log_n = reader_u8(account_reader);
	account->scrypt_r = reader_le32(account_reader);
	account->scrypt_p = reader_le32(account_reader);
	account->entropy_size = reader_u8(account_reader);
	if (account->scrypt_log_n < 1 || account->scrypt_log_n > ACCOUNT_LOG_N_MAX ||
		account->entropy_size > BIP39_ENTROPY_MAX || !schnorr_public_valid(account->node.public_key)) {
		reader_fail(account_reader);
		return false;
	}
	reader_copy(account_reader, account->sealed, account->entropy_size + AEAD_OVERHEAD);
	return account_reader->ok;
}

/* Derives before it takes anything over: so an account is never unlocked by half. */
bool account_unlock(struct account *account, const char *passphrase)
{
	uint8_t opened_entropy[BIP39_ENTROPY_MAX];
	struct bip32_key opened_node;
	uint8_t sealing_key[32];
	bool opened;

	opened = account_passphrase_key(sealing_key, account, passphrase) &&
		aead_open(opened_entropy, sealing_key, account->sealed, account->entropy_size + AEAD_OVERHEAD,
			account->node.public_key, sizeof account->node.public_key) &&
		account_derive_node(&opened_node, opened_entropy, account->entropy_size, account->coin);
	if (opened) {
		memcpy(account->entropy, opened_entropy, account->entropy_size);
		account->private_node = opened_node;
		account->unlocked = true;
		wipe(&opened_node, sizeof opened_node);
	}
	wipe(opened_entropy, sizeof opened_entropy);
	wipe(sealing_key, sizeof sealing_key);
	return opened;
}

void account_lock(struct account *account)
{
	account->unlocked = false;
	wipe(account->entropy, sizeof account->entropy);
	wipe(&account->private_node, sizeof account->private_node);
}

/* No step is hardened below the account, so its public half is enough, locked or not. The first byte of a compressed
 * key tells its parity, which taproot does not use. */
bool account_key(const struct account *account, enum account_branch branch, uint32_t index, uint8_t output_key[32])
{
	struct bip32_key address_node;

	return bip32_child(&address_node, &account->node, branch) && bip32_child(&address_node, &address_node, index) &&
		schnorr_output_key(output_key, NULL, address_node.public_key + 1, NULL);
}

/* The key of the address, tweaked as BIP86 says: the output key has a secret of its own. Derived for each signature,
 * not kept: while unlocked one private key is in memory, and not one for each address. */
bool account_secret(const struct account *account, enum account_branch branch, uint32_t index,
	uint8_t address_secret[32])
{
	struct bip32_key address_node;
	bool derived;

	derived = account->unlocked && bip32_child(&address_node, &account->private_node, branch) &&
		bip32_child(&address_node, &address_node, index) &&
		schnorr_output_secret(address_secret, address_node.secret, NULL);
	wipe(&address_node, sizeof address_node);
	return derived;
}

/* Published with the registration, so it must give nothing away: the private key goes in as HMAC's key. With the
 * genesis, since the private chains share a coin, and so their keys. */
bool account_salt(const struct account *account, const uint8_t genesis_id[32], const uint8_t root[32], uint8_t salt[32])
{
	static const char purpose[16] = "atelier salt";
	uint8_t salted_bytes[sizeof purpose + 64], digest[64];

	if (!account->unlocked)
		return false;
	memcpy(salted_bytes, purpose, sizeof purpose);
	memcpy(salted_bytes + sizeof purpose, genesis_id, 32);
	memcpy(salted_bytes + sizeof purpose + 32, root, 32);
	hmac_sha512(digest, account->private_node.secret, 32, salted_bytes, sizeof salted_bytes);
	memcpy(salt, digest, 32);
	wipe(digest, sizeof digest);
	return true;
}

bool account_words(const struct account *account, char *words)
{
	return account->unlocked && bip39_encode(words, account->entropy, account->entropy_size);
}
