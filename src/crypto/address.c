/* Addresses: a witness version and program, regrouped into values of five bits for bech32. */
#include "crypto/address.h"

#include <string.h>

#include "crypto/schnorr.h"

/* BIP141: 2 to 40 bytes, and of version 0 only the two that it defines. */
static bool size_fits(int version, size_t size)
{
	return size >= 2 && size <= ADDRESS_PROGRAM_MAX && (version != 0 || size == 20 || size == 32);
}

bool address_encode(char *out, const char *hrp, int version, const uint8_t *program, size_t size)
{
	uint8_t values[BECH32_TEXT_MAX];
	size_t count = 1;
	uint32_t held = 0;
	int bits = 0;
	size_t i;

	/* BIP350: version 0 keeps the first checksum, all later ones have bech32m, which an inserted or removed q
	 * before a last p does not fool. */
	if (version < 0 || version > 16 || !size_fits(version, size))
		return false;
	values[0] = (uint8_t)version;
	for (i = 0; i < size; i++) {
		/* At most four bits are still due from before: twelve hold all that matters, and nothing overflows. */
		held = (held << 8 | program[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			values[count++] = held >> (bits - 5) & 31;
	}
	if (bits > 0)
		values[count++] = held << (5 - bits) & 31;
	return bech32_encode(out, hrp, values, count, version == 0 ? BECH32_FIRST : BECH32_M);
}

/* Eight bits at a time out of five; what is left over must be fewer than five bits, all zero. */
static bool regroup_bits(uint8_t *program, size_t *size, const uint8_t *values, size_t count, struct errmsg *err)
{
	uint32_t held = 0;
	int bits = 0;
	size_t i;

	/* Before a byte is written: `program` has room for no more, and the text is whatever somebody typed. */
	if (count * 5 / 8 > ADDRESS_PROGRAM_MAX)
		return errmsg_set(err, "The address's program has a wrong length");
	*size = 0;
	for (i = 0; i < count; i++) {
		held = (held << 5 | values[i]) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			program[(*size)++] = (uint8_t)(held >> bits);
		}
	}
	if (bits < 5 && (held & ((1U << bits) - 1)) == 0)
		return true;
	return errmsg_set(err, "The address's program has wrong padding");
}

bool address_decode(int *version, uint8_t *program, size_t *size, const char *hrp, const char *text, struct errmsg *err)
{
	char found[BECH32_HRP_MAX + 1];
	uint8_t values[BECH32_TEXT_MAX];
	enum bech32_form form;
	size_t count = 0;

	if (!bech32_decode(found, values, &count, &form, text, err))
		return false;
	/* Told as what it is, before anything that may be wrong with the program: an address of another network is
	 * well-formed, and the mistake that would cost money. */
	if (strcmp(found, hrp) != 0)
		return errmsg_set(err, "The address is of another network: its prefix is not this chain's");
	if (count < 1 || values[0] > 16)
		return errmsg_set(err,
			count < 1 ? "The address has no witness version" : "The address's witness version is above 16");
	*version = values[0];
	if (form != (*version == 0 ? BECH32_FIRST : BECH32_M))
		return errmsg_set(err, "The address's checksum is of the wrong kind for its witness version");
	if (!regroup_bits(program, size, values + 1, count - 1, err))
		return false;
	if (!size_fits(*version, *size))
		return errmsg_set(err, "The address's program has a wrong length");
	return true;
}

bool address_from_key(char *out, const char *hrp, const uint8_t key[32])
{
	return address_encode(out, hrp, 1, key, 32);
}

bool address_to_key(uint8_t key[32], const char *hrp, const char *text, struct errmsg *err)
{
	uint8_t program[ADDRESS_PROGRAM_MAX];
	int version;
	size_t size;

	if (!address_decode(&version, program, &size, hrp, text, err))
		return false;
	/* This chain's wallets and miners are paid to taproot keys alone (BIP341). A program that is no point could
	 * never be spent from, by nobody: refused here, although consensus lets it be paid to. */
	if (version != 1 || size != 32)
		return errmsg_set(err, "it is no taproot address");
	if (!schnorr_key_valid(program))
		return errmsg_set(err, "its key is not on the curve");
	memcpy(key, program, 32);
	return true;
}
