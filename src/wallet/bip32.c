/* Derivation of keys, and their text. */
#include "wallet/bip32.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/bytes.h"
#include "wallet/base58.h"

enum {
	BIP32_VERSION_PRIVATE = 0x0488ade4, /* gives "xprv" */
	BIP32_VERSION_PUBLIC = 0x0488b21e,  /* gives "xpub" */
	BIP32_SERIALIZED_SIZE = 78,
};

/* The text is BIP32's, of every chain: the same words give the same master key in any wallet. */
bool bip32_master(struct bip32_key *master, const uint8_t *seed, size_t size)
{
	uint8_t master_hash[64];

	hmac_sha512(master_hash, "Bitcoin seed", 12, seed, size);
	memset(master, 0, sizeof *master);
	master->is_private = true;
	memcpy(master->secret, master_hash, 32);
	memcpy(master->chain_code, master_hash + 32, 32);
	wipe(master_hash, sizeof master_hash);
	return schnorr_public(master->public_key, master->secret);
}

/* What is hashed with the parent's chain code is its secret (hardened: only who has the secret can derive) or its
 * public key (so public keys derive from public keys). With chance 2^-127 the sum is no key: that index has no child.
 * child and parent may be the same. */
bool bip32_child(struct bip32_key *child, const struct bip32_key *parent, uint32_t index)
{
	/* Where child is parent, it stays readable until the end. */
	struct bip32_key child_made = *parent;
	uint8_t child_data[37] = { 0 };
	uint8_t parent_identity[20];
	uint8_t child_hash[64];
	bool ok;

	/* The serialised depth has one byte; and hardened children hang on the secret, so that an xpub and one child's
	 * secret do not give away the parent's. */
	if (parent->depth == 255 || (index >= BIP32_HARDENED && !parent->is_private))
		return false;
	if (index >= BIP32_HARDENED)
		memcpy(child_data + 1, parent->secret, 32);
	else
		memcpy(child_data, parent->public_key, 33);
	write_be32(child_data + 33, index);
	hmac_sha512(child_hash, parent->chain_code, 32, child_data, sizeof child_data);
	if (parent->is_private)
		ok = schnorr_secret_add(child_made.secret, child_hash) &&
			schnorr_public(child_made.public_key, child_made.secret);
	else
		ok = schnorr_public_add(child_made.public_key, child_hash);
	memcpy(child_made.chain_code, child_hash + 32, 32);
	hash160(parent_identity, parent->public_key, 33);
	memcpy(child_made.parent, parent_identity, 4);
	child_made.depth++;
	child_made.index = index;
	*child = child_made;
	wipe(&child_made, sizeof child_made);
	wipe(child_hash, sizeof child_hash);
	wipe(child_data, sizeof child_data);
	return ok;
}

/* One number of a path, hardened or not; *at goes behind it. */
static bool bip32_parse_step(const char **path_at, uint32_t *index)
{
	uint64_t step = 0;
	const char *digit = *path_at;

	/* Stops at the first number that is too large, so value cannot wrap. */
	for (; *digit >= '0' && *digit <= '9' && step < BIP32_HARDENED; digit++)
		step = step * 10 + (uint64_t)(*digit - '0');
	if (digit == *path_at || step >= BIP32_HARDENED)
		return false;
	*index = (uint32_t)step;
	if (*digit == '\'' || *digit == 'h') {
		*index |= BIP32_HARDENED;
		digit++;
	}
	*path_at = digit;
	return true;
}

/* Every key on the way is a secret that leads to all below it, hence the wiping, also where a step fails. derived may
 * be key. */
bool bip32_derive(struct bip32_key *derived, const struct bip32_key *key, const char *path, struct errmsg *err)
{
	struct bip32_key step_key = *key;
	const char *path_at = path + 1;
	uint32_t index = 0;
	bool ok = *path == 'm';

	while (ok && *path_at) {
		ok = *path_at++ == '/' && bip32_parse_step(&path_at, &index);
		if (ok && !bip32_child(&step_key, &step_key, index)) {
			wipe(&step_key, sizeof step_key);
			return errmsg_set(err, "The path %s cannot be followed from this key", path);
		}
	}
	if (ok)
		*derived = step_key;
	wipe(&step_key, sizeof step_key);
	return ok || errmsg_set(err, "%s is not a path such as m/86'/0'/0'", path);
}

void bip32_make_public(struct bip32_key *extended)
{
	extended->is_private = false;
	wipe(extended->secret, sizeof extended->secret);
}

void bip32_encode(char *text, const struct bip32_key *extended)
{
	uint8_t serialised[BIP32_SERIALIZED_SIZE] = { 0 };

	write_be32(serialised, extended->is_private ? BIP32_VERSION_PRIVATE : BIP32_VERSION_PUBLIC);
	serialised[4] = extended->depth;
	memcpy(serialised + 5, extended->parent, 4);
	write_be32(serialised + 9, extended->index);
	memcpy(serialised + 13, extended->chain_code, 32);
	if (extended->is_private)
		memcpy(serialised + 46, extended->secret, 32);
	else
		memcpy(serialised + 45, extended->public_key, 33);
	base58_encode(text, serialised, sizeof serialised);
	wipe(serialised, sizeof serialised);
}

/* BIP32's vectors of what must be refused: a secret out of range, a point off the curve, a master with a parent. */
static bool bip32_read_key(struct bip32_key *extended, const uint8_t *serialised, struct errmsg *err)
{
	uint32_t version = read_be32(serialised);

	memset(extended, 0, sizeof *extended);
	extended->depth = serialised[4];
	memcpy(extended->parent, serialised + 5, 4);
	extended->index = read_be32(serialised + 9);
	memcpy(extended->chain_code, serialised + 13, 32);
	extended->is_private = version == BIP32_VERSION_PRIVATE;
	if (version != BIP32_VERSION_PRIVATE && version != BIP32_VERSION_PUBLIC)
		return errmsg_set(err, "The extended key is neither an xprv nor an xpub");
	if (extended->depth == 0 && (extended->index != 0 || read_be32(extended->parent) != 0))
		return errmsg_set(err, "The extended key claims to be a master key and to have a parent");
	if (extended->is_private) {
		memcpy(extended->secret, serialised + 46, 32);
		/* 33 bytes as a public key has, so the first is there to be 0. */
		if (serialised[45] != 0 || !schnorr_public(extended->public_key, extended->secret))
			return errmsg_set(err, "The extended key holds no valid secret");
		return true;
	}
	memcpy(extended->public_key, serialised + 45, 33);
	if (!schnorr_public_valid(extended->public_key))
		return errmsg_set(err, "The extended key holds no valid public key");
	return true;
}

bool bip32_decode(struct bip32_key *extended, const char *text, struct errmsg *err)
{
	uint8_t serialised[BIP32_SERIALIZED_SIZE];
	bool is_key;

	if (!base58_decode(serialised, sizeof serialised, text))
		return errmsg_set(err, "The extended key is mistyped: wrong length, character or checksum");
	is_key = bip32_read_key(extended, serialised, err);
	wipe(serialised, sizeof serialised);
	return is_key;
}
