/* Words for entropy, and the seed they give. */
#include "wallet/bip39.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/wipe.h"
#include "util/mem.h"

enum {
	WORD_BITS = 11,
	WORDS_MAX = 24,
	ROUNDS = 2048,
};

static bool size_fits(size_t size)
{
	return size >= 16 && size <= BIP39_ENTROPY_MAX && size % 4 == 0;
}

static unsigned bit_at(const uint8_t *bytes, size_t i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

bool bip39_encode(char *out, const uint8_t *entropy, size_t size)
{
	uint8_t bytes[BIP39_ENTROPY_MAX + 32];
	unsigned word;
	size_t i;

	if (!size_fits(size))
		return false;
	memcpy(bytes, entropy, size);
	/* The whole hash stands behind; the loop ends within its first byte. */
	sha256(bytes + size, entropy, size); /* of which the first bit for every four bytes counts */
	for (word = 0, i = 0; i < size * 8 + size / 4; i++) {
		word = word << 1 | bit_at(bytes, i);
		if (i % WORD_BITS == WORD_BITS - 1) {
			if (i >= WORD_BITS)
				*out++ = ' ';
			out = stpcpy(out, bip39_words[word]);
			word = 0;
		}
	}
	wipe(bytes, sizeof bytes);
	return true;
}

static int compare_word(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

/* Reads the words of text into numbers; *count is how many there are. Errors name the place and never the word: they
 * end in logs and on screens, and a word that is nearly right is most of a secret. The longest word has eight
 * letters. */
static bool find_words(unsigned *numbers, size_t *count, const char *text, struct errmsg *err)
{
	const char *const *found;
	char word[9];
	size_t size;

	for (*count = 0;; (*count)++) {
		while (isspace((unsigned char)*text))
			text++;
		if (*text == 0)
			return true;
		for (size = 0; text[size] && !isspace((unsigned char)text[size]);)
			size++;
		if (*count == WORDS_MAX)
			return errmsg_set(err, "There are more than %d words", WORDS_MAX);
		if (size >= sizeof word)
			return errmsg_set(err, "Word %zu is not in the list of words", *count + 1);
		memcpy(word, text, size);
		word[size] = 0;
		found = bsearch(word, bip39_words, 2048, sizeof *bip39_words, compare_word);
		wipe(word, sizeof word);
		if (found == NULL)
			return errmsg_set(err, "Word %zu is not in the list of words", *count + 1);
		numbers[*count] = (unsigned)(found - bip39_words);
		text += size;
	}
}

/* Three words are 33 bits: 32 of the entropy and one of the checksum, whose bits all stand at the end. */
bool bip39_decode(uint8_t *entropy, size_t *size, const char *text, struct errmsg *err)
{
	uint8_t bytes[WORDS_MAX * WORD_BITS / 8] = { 0 };
	unsigned numbers[WORDS_MAX];
	uint8_t hash[32];
	bool ok = true;
	size_t count = 0;
	size_t i;

	if (!find_words(numbers, &count, text, err))
		return false;
	if (count < 12 || count % 3 != 0)
		return errmsg_set(err, "There are %zu words instead of 12, 15, 18, 21 or 24", count);
	for (i = 0; i < count * WORD_BITS; i++)
		if (numbers[i / WORD_BITS] >> (WORD_BITS - 1 - i % WORD_BITS) & 1)
			bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	*size = count / 3 * 4;
	sha256(hash, bytes, *size);
	for (i = 0; i < *size / 4; i++)
		/* One wrong word in sixteen passes with twelve words, in 256 with 24: a guard against slips alone. */
		ok = ok && bit_at(bytes, *size * 8 + i) == bit_at(hash, i);
	memcpy(entropy, bytes, *size);
	wipe(bytes, sizeof bytes);
	wipe(numbers, sizeof numbers);
	return ok || errmsg_set(err, "The words' checksum is wrong: a word is wrong, or two have changed places");
}

/* The words as text, not the entropy, are what is stretched; in any language they would be normalised first, and
 * English ones are as they are. */
void bip39_seed(uint8_t seed[64], const char *words, const char *passphrase)
{
	size_t size = strlen(passphrase);
	char *salt = mem_alloc(8 + size + 1);

	memcpy(salt, "mnemonic", 8);
	memcpy(salt + 8, passphrase, size + 1);
	kdf_pbkdf2_sha512(seed, 64, words, (const uint8_t *)salt, 8 + size, ROUNDS);
	wipe(salt, 8 + size);
	free(salt);
}
