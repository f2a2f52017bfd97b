/* 256-bit integers, targets and their compact form, work, and the target that comes next (ASERT). */
#include "consensus/target.h"

#include <stddef.h>
#include <string.h>

#include "consensus/spec.h"
#include "util/bytes.h"

enum { TARGET_HALF_LIFE_SPACINGS = 72 };

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
	unsigned __int128 limb_carry = 0;

	for (int i = 0; i < 4; i++) {
		limb_carry += (unsigned __int128)a.limb[i] + b.limb[i];
		a.limb[i] = (uint64_t)limb_carry;
		limb_carry >>= 64;
	}
	return a;
}

static struct u256 u256_not(struct u256 a)
{
	for (int i = 0; i < 4; i++)
		a.limb[i] = ~a.limb[i];
	return a;
}

static const struct u256 u256_one = { { 1, 0, 0, 0 } };
static const struct u256 u256_largest = { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };

static bool u256_is_zero(struct u256 a)
{
	return !(a.limb[0] | a.limb[1] | a.limb[2] | a.limb[3]);
}

/* a - b = a + ~b + 1 modulo 2^256. */
struct u256 u256_sub(struct u256 a, struct u256 b)
{
	return u256_add(a, u256_add(u256_not(b), u256_one));
}

/* Returns the fifth limb of the product, the other four in *low. */
static uint64_t u256_multiply_wide(struct u256 a, uint64_t b, struct u256 *low_limbs)
{
	unsigned __int128 limb_carry = 0;

	for (int i = 0; i < 4; i++) {
		limb_carry += (unsigned __int128)a.limb[i] * b;
		low_limbs->limb[i] = (uint64_t)limb_carry;
		limb_carry >>= 64;
	}
	return (uint64_t)limb_carry;
}

struct u256 u256_mul_u64(struct u256 a, uint64_t b, bool *overflow)
{
	struct u256 low_limbs;
	uint64_t fifth_limb = u256_multiply_wide(a, b, &low_limbs);

	if (overflow != NULL)
		*overflow = fifth_limb != 0;
	return low_limbs;
}

struct u256 u256_shift_left(struct u256 a, unsigned bits)
{
	struct u256 shifted = { { 0 } };
	unsigned limb_shift = bits / 64, bit_shift = bits % 64;

	for (unsigned i = limb_shift; i < 4; i++) {
		/* By whole limbs, then by bits: where none are left over, the neighbour has no part in it, and a shift
		 * by 64 bits would be undefined. Whoever shifts by 256 or more gets 0. */
		shifted.limb[i] = a.limb[i - limb_shift] << bit_shift;
		if (bit_shift && i > limb_shift)
			shifted.limb[i] |= a.limb[i - limb_shift - 1] >> (64 - bit_shift);
	}
	return shifted;
}

struct u256 u256_shift_right(struct u256 a, unsigned bits)
{
	struct u256 shifted = { { 0 } };
	unsigned limb_shift = bits / 64, bit_shift = bits % 64;

	for (unsigned i = 0; i + limb_shift < 4; i++) {
		shifted.limb[i] = a.limb[i + limb_shift] >> bit_shift;
		if (bit_shift && i + limb_shift + 1 < 4)
			shifted.limb[i] |= a.limb[i + limb_shift + 1] << (64 - bit_shift);
	}
	return shifted;
}

/* 0 for 0, where __builtin_clzll is undefined. */
static unsigned u256_bit_length(struct u256 a)
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
	unsigned a_bits = u256_bit_length(a), b_bits = u256_bit_length(b);

	if (a_bits < b_bits)
		return quotient;
	for (unsigned shift = a_bits - b_bits + 1; shift-- > 0;) {
		struct u256 multiple = u256_shift_left(b, shift);

		if (u256_compare(a, multiple) >= 0) {
			a = u256_sub(a, multiple);
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
	unsigned target_size = bits >> 24;
	struct u256 mantissa = { { bits & 0x7fffff, 0, 0, 0 } };

	if (bits & 0x800000)
		return false;
	*target = target_size <= 3 ? u256_shift_right(mantissa, 8 * (3 - target_size)) :
				     u256_shift_left(mantissa, 8 * (target_size - 3));
	return !u256_is_zero(*target) && (target_size <= 3 || u256_bit_length(mantissa) + 8 * (target_size - 3) <= 256);
}

/* Keeps the highest bits, 23 at most: a target becomes smaller by that, never larger, so whoever meets the compact one
 * meets the exact one. */
uint32_t target_to_compact(struct u256 target)
{
	unsigned target_size = (u256_bit_length(target) + 7) / 8;
	uint32_t mantissa;

	if (target_size <= 3)
		mantissa = (uint32_t)target.limb[0] << 8 * (3 - target_size);
	else
		mantissa = (uint32_t)u256_shift_right(target, 8 * (target_size - 3)).limb[0];
	if (mantissa & 0x800000) { /* that bit is a sign */
		mantissa >>= 8;
		target_size++;
	}
	return (uint32_t)target_size << 24 | mantissa;
}

struct u256 target_limit(uint32_t k)
{
	struct u256 divisor = { { k, 0, 0, 0 } };

	/* 2^256 itself has no place in 256 bits. */
	if (k == 1)
		return u256_largest;
	/* 2^256 = (2^256 - k) + k, and the first of these fits. */
	return u256_add(u256_div(u256_sub((struct u256){ { 0 } }, divisor), divisor), u256_one);
}

/* At the limit, k times the target is 2^256 where k is a power of two: then every ticket is a share. */
struct u256 target_share(struct u256 target, uint32_t k)
{
	bool overflow;
	struct u256 share_target = u256_mul_u64(target, k, &overflow);

	return overflow ? u256_largest : share_target;
}

struct u256 target_work(struct u256 target)
{
	/* T + 1 would be 0 below, and nothing can be divided by that. */
	if (u256_compare(target, u256_largest) == 0)
		return u256_one;
	/* 2^256 / (T + 1) = (2^256 - (T + 1)) / (T + 1) + 1, and ~T = 2^256 - (T + 1). */
	return u256_add(u256_div(u256_not(target), u256_add(target, u256_one)), u256_one);
}

/* A ticket is a little-endian number, as Bitcoin's block hashes are. */
bool target_met(const uint8_t ticket[32], struct u256 target)
{
	return u256_compare(u256_from_bytes(ticket), target) <= 0;
}

/* (high * 2^256 + low) * 2^shift, or `limit` where that is more than 256 bits. */
static struct u256 target_scale(uint64_t fifth_limb, struct u256 low_limbs, int64_t shift, struct u256 limit)
{
	unsigned product_bits = fifth_limb ? 320 - (unsigned)__builtin_clzll(fifth_limb) : u256_bit_length(low_limbs);
	struct u256 product_top = { { fifth_limb, 0, 0, 0 } };

	if (shift > 256 - (int64_t)product_bits)
		return limit;
	if (shift >= 0)
		return u256_shift_left(low_limbs, (unsigned)shift);
	low_limbs = u256_shift_right(low_limbs, (unsigned)-shift);
	product_top = shift < -256 ? u256_shift_right(product_top, (unsigned)(-shift - 256)) :
				     u256_shift_left(product_top, (unsigned)(256 + shift));
	return u256_add(low_limbs, product_top);
}

/* anchor_target * 2^(late / half_life), in integers alone: the exponent has 16 bits behind the point; its whole part is
 * a shift, and 2^f of the rest is the cubic 1 + 0.6955 f + 0.2262 f^2 + 0.0783 f^3, in 2^-16 (its sum is below 2^64).
 * The division truncates, the shift of the exponent floors, for late blocks and early ones alike: both are part of the
 * rule. The product has up to 273 bits, hence a fifth limb. */
struct u256 target_asert(struct u256 anchor_target, int64_t spacing, int64_t half_life, int64_t time_delta,
	int64_t height_delta, struct u256 limit)
{
	/* Up to 2^32 blocks of 86400 seconds, times 2^16: beyond 64 bits before the division, within them after it, as
	 * a half-life is 72 spacings. */
	__int128 late = time_delta - (__int128)spacing * (height_delta + 1);
	int64_t exponent = (int64_t)(late * 65536 / half_life);
	int64_t shifts = exponent >> 16;
	uint64_t fraction = (uint64_t)exponent & 0xffff;
	uint64_t asert_factor = 65536 +
		((UINT64_C(195766423245049) * fraction + UINT64_C(971821376) * fraction * fraction +
			 UINT64_C(5127) * fraction * fraction * fraction + (UINT64_C(1) << 47)) >>
			48);
	struct u256 low_limbs, target;
	uint64_t fifth_limb = u256_multiply_wide(anchor_target, asert_factor, &low_limbs);

	target = target_scale(fifth_limb, low_limbs, shifts - 16, limit);
	/* A target of 0 could never be met, nor written. */
	if (u256_is_zero(target))
		return u256_one;
	return u256_compare(target, limit) > 0 ? limit : target;
}

/* Of height and time of the parent alone: what a miner writes into his own header's time changes the target of the next
 * block, and not of his. */
uint32_t target_next_bits(const struct spec *spec, uint32_t height, uint32_t time)
{
	int64_t spacing = spec->spacing;
	int64_t time_delta = (int64_t)time - ((int64_t)spec->genesis_time - spacing);
	struct u256 anchor_target;

	/* The start of a finished spec decodes. */
	if (spacing == 0 || !target_from_compact(spec->start_bits, &anchor_target))
		return spec->start_bits;
	return target_to_compact(target_asert(anchor_target, spacing, TARGET_HALF_LIFE_SPACINGS * spacing, time_delta,
		height, target_limit(spec->k)));
}
