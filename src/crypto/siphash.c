/* SipHash-2-4, as the paper has it: four words, two rounds a word of the message, four at the end. */
#include "crypto/siphash.h"

#include <string.h>

#include "util/bytes.h"

enum { SIPHASH_ROUNDS = 2, SIPHASH_LAST_ROUNDS = 4 };

struct siphash_words {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_turn(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static inline void siphash_mix(struct siphash_words *words, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		words->v0 += words->v1;
		words->v2 += words->v3;
		words->v1 = siphash_turn(words->v1, 13) ^ words->v0;
		words->v3 = siphash_turn(words->v3, 16) ^ words->v2;
		words->v0 = siphash_turn(words->v0, 32);
		words->v2 += words->v1;
		words->v0 += words->v3;
		words->v1 = siphash_turn(words->v1, 17) ^ words->v2;
		words->v3 = siphash_turn(words->v3, 21) ^ words->v0;
		words->v2 = siphash_turn(words->v2, 32);
	}
}

static inline struct siphash_words siphash_begin(uint64_t key0, uint64_t key1)
{
	return (struct siphash_words){
		.v0 = key0 ^ 0x736f6d6570736575,
		.v1 = key1 ^ 0x646f72616e646f6d,
		.v2 = key0 ^ 0x6c7967656e657261,
		.v3 = key1 ^ 0x7465646279746573,
	};
}

static inline void siphash_take(struct siphash_words *words, uint64_t message_word)
{
	words->v3 ^= message_word;
	siphash_mix(words, SIPHASH_ROUNDS);
	words->v0 ^= message_word;
}

static inline uint64_t siphash_end(struct siphash_words *words)
{
	words->v2 ^= 0xff;
	siphash_mix(words, SIPHASH_LAST_ROUNDS);
	return words->v0 ^ words->v1 ^ words->v2 ^ words->v3;
}

/* The last word holds what is left over of the message, and its length in the highest byte. */
uint64_t siphash(const uint8_t key[16], const void *data, size_t size)
{
	struct siphash_words words = siphash_begin(read_le64(key), read_le64(key + 8));
	const uint8_t *message = data;
	uint8_t last_word[8] = { 0 };
	size_t whole_words = size / 8;

	for (size_t i = 0; i < whole_words; i++)
		siphash_take(&words, read_le64(message + 8 * i));
	if (size % 8 != 0)
		memcpy(last_word, message + 8 * whole_words, size % 8);
	last_word[7] = (uint8_t)size;
	siphash_take(&words, read_le64(last_word));
	return siphash_end(&words);
}

uint64_t siphash_string(const uint8_t string[16])
{
	struct siphash_words words = siphash_begin(0, 0);

	siphash_take(&words, read_le64(string));
	siphash_take(&words, read_le64(string + 8));
	siphash_take(&words, UINT64_C(16) << 56);
	return siphash_end(&words);
}
