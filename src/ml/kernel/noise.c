/* Draws from Philox: single ones, many side by side, and windows from a dataset. */
#include "ml/kernel/noise.h"

#include "crypto/philox.h"
#include "ml/kernel/float.h"
#include "util/bytes.h"

void noise_words(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint32_t out[4])
{
	uint32_t counter[4] = { index, (uint32_t)domain, read_le32(key + 8), read_le32(key + 12) };
	uint32_t words[2] = { read_le32(key), read_le32(key + 4) };

	philox4x32(out, counter, words);
}

/* NOISE_MANY draws side by side, one a lane, so that the compiler makes vectors of them: counters from (index, domain)
 * on, each that much further than the last. */
ML_CLONES static void noise_draw_many(const uint8_t key[32], uint32_t index, uint32_t index_step, uint32_t domain,
	uint32_t domain_step, uint32_t out[4 * NOISE_MANY])
{
	uint32_t c0[NOISE_MANY], c1[NOISE_MANY], c2[NOISE_MANY], c3[NOISE_MANY];
	uint32_t k0 = read_le32(key), k1 = read_le32(key + 4), high[2] = { read_le32(key + 8), read_le32(key + 12) };

	for (uint32_t i = 0; i < NOISE_MANY; i++) {
		c0[i] = index + i * index_step;
		c1[i] = domain + i * domain_step;
		c2[i] = high[0];
		c3[i] = high[1];
	}
	for (int round = 0; round < PHILOX_ROUNDS; round++) {
		for (int i = 0; i < NOISE_MANY; i++)
			philox_round(&c0[i], &c1[i], &c2[i], &c3[i], k0, k1);
		k0 += PHILOX_WEYL_0;
		k1 += PHILOX_WEYL_1;
	}
	for (int i = 0; i < NOISE_MANY; i++) {
		out[4 * i] = c0[i];
		out[4 * i + 1] = c1[i];
		out[4 * i + 2] = c2[i];
		out[4 * i + 3] = c3[i];
	}
}

void noise_many(const uint8_t key[32], enum noise_domain domain, uint32_t first, uint32_t out[4 * NOISE_MANY])
{
	noise_draw_many(key, first, 1, (uint32_t)domain, 0, out);
}

/* Draw i of a token has the counter (token, NOISE_DITHER + 256 i): no other domain is a multiple of 256 away, so no two
 * draws of one key meet. A token's number counts from the first minibatch of the step on, 2^30 at most (protocol
 * section 16): no two tokens meet either. The key is the seed, which a proof's header commits to, or the ticket: what a
 * forger has seen of one step's noise says nothing of another's. */
void noise_dither(const uint8_t key[32], uint32_t token, uint32_t out[MODEL_VOCABULARY])
{
	for (uint32_t draw = 0; draw < MODEL_VOCABULARY / 4; draw += NOISE_MANY)
		noise_draw_many(key, token, 0, NOISE_DITHER + (draw << 8), 1 << 8, out + (size_t)4 * draw);
}

/* floor(r * n / 2^64): below n for every r, and as uniform as 2^64 values over n can be. */
static uint64_t noise_multiply_high(uint64_t r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)r * n >> 64);
}

uint64_t noise_uniform(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint64_t n)
{
	uint32_t words[4];

	noise_words(key, domain, index, words);
	return noise_multiply_high(words[0] | (uint64_t)words[1] << 32, n);
}

uint32_t noise_slot(const uint8_t seed[32], uint32_t slots)
{
	return (uint32_t)noise_uniform(seed, NOISE_SLOT, 0, slots);
}

uint32_t noise_group(const uint8_t seed[32])
{
	return (uint32_t)noise_uniform(seed, NOISE_SLOT, 1, NOISE_GROUPS);
}

void noise_window(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint64_t places,
	struct noise_window *out)
{
	uint32_t words[4];

	noise_words(key, domain, index, words);
	write_le32(out->prefix, words[0]);
	write_le32(out->prefix + 4, words[1]);
	out->place = noise_multiply_high(words[2] | (uint64_t)words[3] << 32, places);
}

void noise_gather(const uint8_t key[32], enum noise_domain domain, size_t count, const uint8_t *dataset, uint64_t size,
	uint32_t ctx, uint8_t *out)
{
	for (size_t i = 0; i < count; i++, out += ctx + 1) {
		struct noise_window window;

		noise_window(key, domain, (uint32_t)i, size - (ctx - 7) + 1, &window);
		memcpy(out, window.prefix, sizeof window.prefix);
		memcpy(out + sizeof window.prefix, dataset + window.place, ctx - 7);
	}
}
