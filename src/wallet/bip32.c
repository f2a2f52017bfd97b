/* Derivation of keys, and their text. */
#include "wallet/bip32.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "wallet/base58.h"

enum {
	VERSION_PRIVATE = 0x0488ade4, /* gives "xprv" */
	VERSION_PUBLIC = 0x0488b21e,  /* gives "xpub" */
	SERIALIZED_SIZE = 78,
};

/* BIP32's integers are big-endian, unlike all others here. */
static void write_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The text is BIP32's, of every chain: the same words give the same master key in any wallet. */
bool bip32_master(struct bip32_key *key, const uint8_t *seed, size_t size)
{
	uint8_t hash[64];

	hmac_sha512(hash, "Bitcoin seed", 12, seed, size);
	memset(key, 0, sizeof *key);
	key->is_private = true;
	memcpy(key->secret, hash, 32);
	memcpy(key->chain_code, hash + 32, 32);
	wipe(hash, sizeof hash);
	return schnorr_public(key->public_key, key->secret);
}

/* What is hashed with the parent's chain code is its secret (hardened: only who has the secret can derive) or its
 * public key (so public keys derive from public keys). With chance 2^-127 the sum is no key: that index has no child.
 * child and parent may be the same. */
bool bip32_child(struct bip32_key *child, const struct bip32_key *parent, uint32_t index)
{
	/* Where child is parent, it stays readable until the end. */
	struct bip32_key made = *parent;
	uint8_t data[37] = { 0 };
	uint8_t identity[20];
	uint8_t hash[64];
	bool ok;

	/* The serialised depth has one byte; and hardened children hang on the secret, so that an xpub and one child's
	 * secret do not give away the parent's. */
	if (parent->depth == 255 || (index >= BIP32_HARDENED && !parent->is_private))
		return false;
	if (index >= BIP32_HARDENED)
		memcpy(data + 1, parent->secret, 32);
	else
		memcpy(data, parent->public_key, 33);
	write_be32(data + 33, index);
	hmac_sha512(hash, parent->chain_code, 32, data, sizeof data);
	if (parent->is_private)
		ok = schnorr_secret_add(made.secret, hash) && schnorr_public(made.public_key, made.secret);
	else
		ok = schnorr_public_add(made.public_key, hash);
	memcpy(made.chain_code, hash + 32, 32);
	hash160(identity, parent->public_key, 33);
	memcpy(made.parent, identity, 4);
	made.depth++;
	made.index = index;
	*child = made;
	wipe(&made, sizeof made);
	wipe(hash, sizeof hash);
	wipe(data, sizeof data);
	return ok;
}

/* One number of a path, hardened or not; *at goes behind it. */
static bool parse_step(const char **at, uint32_t *index)
{
	uint64_t value = 0;
	const char *p = *at;

	/* Stops at the first number that is too large, so value cannot wrap. */
	for (; *p >= '0' && *p <= '9' && value < BIP32_HARDENED; p++)
		value = value * 10 + (uint64_t)(*p - '0');
	if (p == *at || value >= BIP32_HARDENED)
		return false;
	*index = (uint32_t)value;
	if (*p == '\'' || *p == 'h') {
		*index |= BIP32_HARDENED;
		p++;
	}
	*at = p;
	return true;
}

/* Every key on the way is a secret that leads to all below it, hence the wiping, also where a step fails. out may be
 * key. */
bool bip32_derive(struct bip32_key *out, const struct bip32_key *key, const char *path, struct errmsg *err)
{
	struct bip32_key current = *key;
	const char *at = path + 1;
	uint32_t index = 0;
	bool ok = *path == 'm';

	while (ok && *at) {
		ok = *at++ == '/' && parse_step(&at, &index);
		if (ok && !bip32_child(&current, &current, index)) {
			wipe(&current, sizeof current);
			return errmsg_set(err, "The path %s cannot be followed from this key", path);
		}
	}
	if (ok)
		*out = current;
	wipe(&current, sizeof current);
	return ok || errmsg_set(err, "%s is not a path such as m/86'/0'/0'", path);
}

void bip32_make_public(struct bip32_key *key)
{
	key->is_private = false;
	wipe(key->secret, sizeof key->secret);
}

void bip32_encode(char *out, const struct bip32_key *key)
{
	uint8_t data[SERIALIZED_SIZE] = { 0 };

	write_be32(data, key->is_private ? VERSION_PRIVATE : VERSION_PUBLIC);
	data[4] = key->depth;
	memcpy(data + 5, key->parent, 4);
	write_be32(data + 9, key->index);
	memcpy(data + 13, key->chain_code, 32);
	if (key->is_private)
		memcpy(data + 46, key->secret, 32);
	else
		memcpy(data + 45, key->public_key, 33);
	base58_encode(out, data, sizeof data);
	wipe(data, sizeof data);
}

/* BIP32's vectors of what must be refused: a secret out of range, a point off the curve, a master with a parent. */
static bool read_key(struct bip32_key *key, const uint8_t *data, struct errmsg *err)
{
	uint32_t version = read_be32(data);

	memset(key, 0, sizeof *key);
	key->depth = data[4];
	memcpy(key->parent, data + 5, 4);
	key->index = read_be32(data + 9);
	memcpy(key->chain_code, data + 13, 32);
	key->is_private = version == VERSION_PRIVATE;
	if (version != VERSION_PRIVATE && version != VERSION_PUBLIC)
		return errmsg_set(err, "The extended key is neither an xprv nor an xpub");
	if (key->depth == 0 && (key->index != 0 || read_be32(key->parent) != 0))
		return errmsg_set(err, "The extended key claims to be a master key and to have a parent");
	if (key->is_private) {
		memcpy(key->secret, data + 46, 32);
		/* 33 bytes as a public key has, so the first is there to be 0. */
		if (data[45] != 0 || !schnorr_public(key->public_key, key->secret))
			return errmsg_set(err, "The extended key holds no valid secret");
		return true;
	}
	memcpy(key->public_key, data + 45, 33);
	if (!schnorr_public_valid(key->public_key))
		return errmsg_set(err, "The extended key holds no valid public key");
	return true;
}

bool bip32_decode(struct bip32_key *key, const char *text, struct errmsg *err)
{
	uint8_t data[SERIALIZED_SIZE];
	bool ok;

	if (!base58_decode(data, sizeof data, text))
		return errmsg_set(err, "The extended key is mistyped: wrong length, character or checksum");
	ok = read_key(key, data, err);
	wipe(data, sizeof data);
	return ok;
}
