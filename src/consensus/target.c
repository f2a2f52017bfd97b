/* 256-bit integers, targets and their compact form, work, and the target that comes next (ASERT). */
#include "consensus/target.h"

#include <stddef.h>
#include <string.h>

#include "consensus/spec.h"
#include "util/bytes.h"

enum { ASERT_HALF_LIFE_SPACINGS = 288 };

struct u256 u256_from_bytes(const uint8_t le[32])
{
	struct u256 a;

	for (int i = 0; i < 4; i++)
		a.limb[i] = read_le64(le + 8 * i);
	return a;
}

void u256_to_bytes(struct u256 a, uint8_t le[32])
{
	for (int i = 0; i < 4; i++)
		write_le64(le + 8 * i, a.limb[i]);
}

int u256_compare(struct u256 a, struct u256 b)
{
	for (int i = 3; i >= 0; i--)
		if (a.limb[i] != b.limb[i])
			return a.limb[i] < b.limb[i] ? -1 : 1;
	return 0;
}

/* Modulo 2^256: u256_sub counts on the last carry getting lost. */
struct u256 u256_add(struct u256 a, struct u256 b)
{
	unsigned __int128 carry = 0;

	for (int i = 0; i < 4; i++) {
		carry += (unsigned __int128)a.limb[i] + b.limb[i];
		a.limb[i] = (uint64_t)carry;
		carry >>= 64;
	}
	return a;
}

static struct u256 u256_not(struct u256 a)
{
	for (int i = 0; i < 4; i++)
		a.limb[i] = ~a.limb[i];
	return a;
}

static const struct u256 one = { { 1, 0, 0, 0 } };
static const struct u256 largest = { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };

static bool is_zero(struct u256 a)
{
	return !(a.limb[0] | a.limb[1] | a.limb[2] | a.limb[3]);
}

/* a - b = a + ~b + 1 modulo 2^256. */
struct u256 u256_sub(struct u256 a, struct u256 b)
{
	return u256_add(a, u256_add(u256_not(b), one));
}

/* Returns the fifth limb of the product, the other four in *low. */
static uint64_t multiply_wide(struct u256 a, uint64_t b, struct u256 *low)
{
	unsigned __int128 carry = 0;

	for (int i = 0; i < 4; i++) {
		carry += (unsigned __int128)a.limb[i] * b;
		low->limb[i] = (uint64_t)carry;
		carry >>= 64;
	}
	return (uint64_t)carry;
}

struct u256 u256_mul_u64(struct u256 a, uint64_t b, bool *overflow)
{
	struct u256 low;
	uint64_t high = multiply_wide(a, b, &low);

	if (overflow != NULL)
		*overflow = high != 0;
	return low;
}

struct u256 u256_shift_left(struct u256 a, unsigned bits)
{
	struct u256 out = { { 0 } };
	unsigned limbs = bits / 64, rest = bits % 64;

	for (unsigned i = limbs; i < 4; i++) {
		/* By whole limbs, then by bits: where none are left over, the neighbour has no part in it, and a shift
		 * by 64 bits would be undefined. Whoever shifts by 256 or more gets 0. */
		out.limb[i] = a.limb[i - limbs] << rest;
		if (rest && i > limbs)
			out.limb[i] |= a.limb[i - limbs - 1] >> (64 - rest);
	}
	return out;
}

struct u256 u256_shift_right(struct u256 a, unsigned bits)
{
	struct u256 out = { { 0 } };
	unsigned limbs = bits / 64, rest = bits % 64;

	for (unsigned i = 0; i + limbs < 4; i++) {
		out.limb[i] = a.limb[i + limbs] >> rest;
		if (rest && i + limbs + 1 < 4)
			out.limb[i] |= a.limb[i + limbs + 1] << (64 - rest);
	}
	return out;
}

/* 0 for 0, where __builtin_clzll is undefined. */
static unsigned bit_length(struct u256 a)
{
	for (int i = 3; i >= 0; i--)
		if (a.limb[i])
			return 64 * (unsigned)i + 64 - (unsigned)__builtin_clzll(a.limb[i]);
	return 0;
}

/* Long division, a bit at a time: it runs once a block. */
struct u256 u256_div(struct u256 a, struct u256 b)
{
	struct u256 quotient = { { 0 } };
	unsigned a_bits = bit_length(a), b_bits = bit_length(b);

	if (a_bits < b_bits)
		return quotient;
	for (unsigned shift = a_bits - b_bits + 1; shift-- > 0;) {
		struct u256 part = u256_shift_left(b, shift);

		if (u256_compare(a, part) >= 0) {
			a = u256_sub(a, part);
			quotient.limb[shift / 64] |= UINT64_C(1) << shift % 64;
		}
	}
	return quotient;
}

void u256_hex(struct u256 a, char out[65])
{
	uint8_t le[32];

	u256_to_bytes(a, le);
	hex_encode_reversed(out, le, sizeof le);
}

/* Negative, zero and overflowing forms are no targets (doc/protocol.md section 9). Several forms may give one target;
 * that harms nothing, as a header's bits are compared with the one right form and never by what they give. */
bool target_from_compact(uint32_t bits, struct u256 *target)
{
	unsigned size = bits >> 24;
	struct u256 word = { { bits & 0x7fffff, 0, 0, 0 } };

	if (bits & 0x800000)
		return false;
	*target = size <= 3 ? u256_shift_right(word, 8 * (3 - size)) : u256_shift_left(word, 8 * (size - 3));
	return !is_zero(*target) && (size <= 3 || bit_length(word) + 8 * (size - 3) <= 256);
}

/* Keeps the highest bits, 23 at most: a target becomes smaller by that, never larger, so whoever meets the compact one
 * meets the exact one. */
uint32_t target_to_compact(struct u256 target)
{
	unsigned size = (bit_length(target) + 7) / 8;
	uint32_t word;

	if (size <= 3)
		word = (uint32_t)target.limb[0] << 8 * (3 - size);
	else
		word = (uint32_t)u256_shift_right(target, 8 * (size - 3)).limb[0];
	if (word & 0x800000) { /* that bit is a sign */
		word >>= 8;
		size++;
	}
	return (uint32_t)size << 24 | word;
}

struct u256 target_limit(uint32_t k)
{
	struct u256 divisor = { { k, 0, 0, 0 } };

	/* 2^256 itself has no place in 256 bits. */
	if (k == 1)
		return largest;
	/* 2^256 = (2^256 - k) + k, and the first of these fits. */
	return u256_add(u256_div(u256_sub((struct u256){ { 0 } }, divisor), divisor), one);
}

/* At the limit, k times the target is 2^256 where k is a power of two: then every ticket is a share. */
struct u256 target_share(struct u256 target, uint32_t k)
{
	bool overflow;
	struct u256 share = u256_mul_u64(target, k, &overflow);

	return overflow ? largest : share;
}

struct u256 target_work(struct u256 target)
{
	/* T + 1 would be 0 below, and nothing can be divided by that. */
	if (u256_compare(target, largest) == 0)
		return one;
	/* 2^256 / (T + 1) = (2^256 - (T + 1)) / (T + 1) + 1, and ~T = 2^256 - (T + 1). */
	return u256_add(u256_div(u256_not(target), u256_add(target, one)), one);
}

/* A ticket is a little-endian number, as Bitcoin's block hashes are. */
bool target_met(const uint8_t ticket[32], struct u256 target)
{
	return u256_compare(u256_from_bytes(ticket), target) <= 0;
}

/* (high * 2^256 + low) * 2^shift, or `limit` where that is more than 256 bits. */
static struct u256 scale_target(uint64_t high, struct u256 low, int64_t shift, struct u256 limit)
{
	unsigned bits = high ? 320 - (unsigned)__builtin_clzll(high) : bit_length(low);
	struct u256 top = { { high, 0, 0, 0 } };

	if (shift > 256 - (int64_t)bits)
		return limit;
	if (shift >= 0)
		return u256_shift_left(low, (unsigned)shift);
	low = u256_shift_right(low, (unsigned)-shift);
	top = shift < -256 ? u256_shift_right(top, (unsigned)(-shift - 256)) :
			     u256_shift_left(top, (unsigned)(256 + shift));
	return u256_add(low, top);
}

/* anchor_target * 2^(late / half_life), in integers alone: the exponent has 16 bits behind the point; its whole part is
 * a shift, and 2^f of the rest is the cubic 1 + 0.6955 f + 0.2262 f^2 + 0.0783 f^3, in 2^-16 (its sum is below 2^64).
 * The division truncates, the shift of the exponent floors, for late blocks and early ones alike: both are part of the
 * rule. The product has up to 273 bits, hence a fifth limb. */
struct u256 target_asert(struct u256 anchor_target, int64_t spacing, int64_t half_life, int64_t time_delta,
	int64_t height_delta, struct u256 limit)
{
	/* Up to 2^32 blocks of 86400 seconds, times 2^16: beyond 64 bits before the division, within them after it, as
	 * a half-life is 288 spacings. */
	__int128 late = time_delta - (__int128)spacing * (height_delta + 1);
	int64_t exponent = (int64_t)(late * 65536 / half_life);
	int64_t shifts = exponent >> 16;
	uint64_t f = (uint64_t)exponent & 0xffff;
	uint64_t factor = 65536 +
		((UINT64_C(195766423245049) * f + UINT64_C(971821376) * f * f + UINT64_C(5127) * f * f * f +
			 (UINT64_C(1) << 47)) >>
			48);
	struct u256 low, target;
	uint64_t high = multiply_wide(anchor_target, factor, &low);

	target = scale_target(high, low, shifts - 16, limit);
	/* A target of 0 could never be met, nor written. */
	if (is_zero(target))
		return one;
	return u256_compare(target, limit) > 0 ? limit : target;
}

/* Of height and time of the parent alone: what a miner writes into his own header's time changes the target of the next
 * block, and not of his. */
uint32_t target_next_bits(const struct spec *spec, uint32_t height, uint32_t time)
{
	int64_t spacing = spec->spacing;
	int64_t time_delta = (int64_t)time - ((int64_t)spec->genesis_time - spacing);
	struct u256 anchor;

	/* A limit of a finished spec has a compact form that decodes. */
	if (spacing == 0 || !target_from_compact(spec->limit_bits, &anchor))
		return spec->limit_bits;
	return target_to_compact(target_asert(anchor, spacing, ASERT_HALF_LIFE_SPACINGS * spacing, time_delta, height,
		target_limit(spec->k)));
}
