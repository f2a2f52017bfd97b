/* Addresses: a witness version and program, regrouped into values of five bits for bech32. */
#include "crypto/address.h"

#include <string.h>

#include "crypto/schnorr.h"

/* BIP141: 2 to 40 bytes, and of version 0 only the two that it defines. */
static bool address_size_fits(int witness_version, size_t program_size)
{
	return program_size >= 2 && program_size <= ADDRESS_PROGRAM_MAX &&
		(witness_version != 0 || program_size == 20 || program_size == 32);
}

bool address_encode(char *address_text, const char *hrp, int witness_version, const uint8_t *witness_program,
	size_t program_size)
{
	uint8_t groups[BECH32_TEXT_MAX];
	size_t group_count = 1;
	uint32_t regrouped = 0;
	int regrouped_bits = 0;
	size_t i;

	/* BIP350: version 0 keeps the first checksum, all later ones have bech32m, which an inserted or removed q
	 * before a last p does not fool. */
	if (witness_version < 0 || witness_version > 16 || !address_size_fits(witness_version, program_size))
		return false;
	groups[0] = (uint8_t)witness_version;
	for (i = 0; i < program_size; i++) {
		/* At most four bits are still due from before: twelve hold all that matters, and nothing overflows. */
		regrouped = (regrouped << 8 | witness_program[i]) & 0xfff;
		for (regrouped_bits += 8; regrouped_bits >= 5; regrouped_bits -= 5)
			groups[group_count++] = regrouped >> (regrouped_bits - 5) & 31;
	}
	if (regrouped_bits > 0)
		groups[group_count++] = regrouped << (5 - regrouped_bits) & 31;
	return bech32_encode(address_text, hrp, groups, group_count, witness_version == 0 ? BECH32_FIRST : BECH32_M);
}

/* Eight bits at a time out of five; what is left over must be fewer than five bits, all zero. */
static bool address_regroup_bits(uint8_t *witness_program, size_t *program_size, const uint8_t *groups,
	size_t group_count, struct errmsg *err)
{
	uint32_t regrouped = 0;
	int regrouped_bits = 0;
	size_t i;

	/* Before a byte is written: `witness_program` has room for no more, and the text is whatever somebody typed. */
	if (group_count * 5 / 8 > ADDRESS_PROGRAM_MAX)
		return errmsg_set(err, "The address's program has a wrong length");
	*program_size = 0;
	for (i = 0; i < group_count; i++) {
		regrouped = (regrouped << 5 | groups[i]) & 0xfff;
		regrouped_bits += 5;
		if (regrouped_bits >= 8) {
			regrouped_bits -= 8;
			witness_program[(*program_size)++] = (uint8_t)(regrouped >> regrouped_bits);
		}
	}
	if (regrouped_bits < 5 && (regrouped & ((1U << regrouped_bits) - 1)) == 0)
		return true;
	return errmsg_set(err, "The address's program has wrong padding");
}

bool address_decode(int *witness_version, uint8_t *witness_program, size_t *program_size, const char *hrp,
	const char *address_text, struct errmsg *err)
{
	char found_hrp[BECH32_HRP_MAX + 1];
	uint8_t groups[BECH32_TEXT_MAX];
	enum bech32_form checksum_form;
	size_t group_count = 0;

	if (!bech32_decode(found_hrp, groups, &group_count, &checksum_form, address_text, err))
		return false;
	/* Told as what it is, before anything that may be wrong with the program: an address of another network is
	 * well-formed, and the mistake that would cost money. */
	if (strcmp(found_hrp, hrp) != 0)
		return errmsg_set(err, "The address is of another network: its prefix is not this chain's");
	if (group_count < 1 || groups[0] > 16)
		return errmsg_set(err,
			group_count < 1 ? "The address has no witness version" :
					  "The address's witness version is above 16");
	*witness_version = groups[0];
	if (checksum_form != (*witness_version == 0 ? BECH32_FIRST : BECH32_M))
		return errmsg_set(err, "The address's checksum is of the wrong kind for its witness version");
	if (!address_regroup_bits(witness_program, program_size, groups + 1, group_count - 1, err))
		return false;
	if (!address_size_fits(*witness_version, *program_size))
		return errmsg_set(err, "The address's program has a wrong length");
	return true;
}

bool address_from_key(char *address_text, const char *hrp, const uint8_t key[32])
{
	return address_encode(address_text, hrp, 1, key, 32);
}

bool address_to_key(uint8_t key[32], const char *hrp, const char *address_text, struct errmsg *err)
{
	uint8_t witness_program[ADDRESS_PROGRAM_MAX];
	int witness_version;
	size_t program_size;

	if (!address_decode(&witness_version, witness_program, &program_size, hrp, address_text, err))
		return false;
	/* This chain's wallets and miners are paid to taproot keys alone (BIP341). A program that is no point could
	 * never be spent from, by nobody: refused here, although consensus lets it be paid to. */
	if (witness_version != 1 || program_size != 32)
		return errmsg_set(err, "it is no taproot address");
	if (!schnorr_key_valid(witness_program))
		return errmsg_set(err, "its key is not on the curve");
	memcpy(key, witness_program, 32);
	return true;
}
