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
	BIP39_WORD_BITS = 11,
	BIP39_WORDS_MAX = 24,
	BIP39_ROUNDS = 2048,
};

static bool bip39_size_fits(size_t entropy_size)
{
	return entropy_size >= 16 && entropy_size <= BIP39_ENTROPY_MAX && entropy_size % 4 == 0;
}

static unsigned bip39_bit(const uint8_t *word_bits, size_t i)
{
	return word_bits[i / 8] >> (7 - i % 8) & 1;
}

bool bip39_encode(char *words, const uint8_t *entropy, size_t entropy_size)
{
	uint8_t word_bits[BIP39_ENTROPY_MAX + 32];
	unsigned word_number;
	size_t i;

	if (!bip39_size_fits(entropy_size))
		return false;
	memcpy(word_bits, entropy, entropy_size);
	/* The whole hash stands behind, of which the first bit for every four bytes counts: the loop ends within its
	 * first byte. */
	sha256(word_bits + entropy_size, entropy, entropy_size);
	for (word_number = 0, i = 0; i < entropy_size * 8 + entropy_size / 4; i++) {
		word_number = word_number << 1 | bip39_bit(word_bits, i);
		if (i % BIP39_WORD_BITS == BIP39_WORD_BITS - 1) {
			if (i >= BIP39_WORD_BITS)
				*words++ = ' ';
			words = stpcpy(words, bip39_words[word_number]);
			word_number = 0;
		}
	}
	wipe(word_bits, sizeof word_bits);
	return true;
}

static int bip39_compare_word(const void *word, const void *listed_word)
{
	return strcmp(word, *(const char *const *)listed_word);
}

/* Reads the words of text into numbers; *count is how many there are. Errors name the place and never the word: they
 * end in logs and on screens, and a word that is nearly right is most of a secret. The longest word has eight
 * letters. */
static bool bip39_find_words(unsigned *word_numbers, size_t *word_count, const char *words, struct errmsg *err)
{
	const char *const *listed_word;
	char word[9];
	size_t word_size;

	for (*word_count = 0;; (*word_count)++) {
		while (isspace((unsigned char)*words))
			words++;
		if (*words == 0)
			return true;
		for (word_size = 0; words[word_size] && !isspace((unsigned char)words[word_size]);)
			word_size++;
		if (*word_count == BIP39_WORDS_MAX)
			return errmsg_set(err, "There are more than %d words", BIP39_WORDS_MAX);
		if (word_size >= sizeof word)
			return errmsg_set(err, "Word %zu is not in the list of words", *word_count + 1);
		memcpy(word, words, word_size);
		word[word_size] = 0;
		listed_word = bsearch(word, bip39_words, 2048, sizeof *bip39_words, bip39_compare_word);
		wipe(word, sizeof word);
		if (listed_word == NULL)
			return errmsg_set(err, "Word %zu is not in the list of words", *word_count + 1);
		word_numbers[*word_count] = (unsigned)(listed_word - bip39_words);
		words += word_size;
	}
}

/* Three words are 33 bits: 32 of the entropy and one of the checksum, whose bits all stand at the end. */
bool bip39_decode(uint8_t *entropy, size_t *entropy_size, const char *words, struct errmsg *err)
{
	uint8_t word_bits[BIP39_WORDS_MAX * BIP39_WORD_BITS / 8] = { 0 };
	unsigned word_numbers[BIP39_WORDS_MAX];
	uint8_t checksum[32];
	bool checks = true;
	size_t word_count = 0;
	size_t i;

	if (!bip39_find_words(word_numbers, &word_count, words, err))
		return false;
	if (word_count < 12 || word_count % 3 != 0)
		return errmsg_set(err, "There are %zu words instead of 12, 15, 18, 21 or 24", word_count);
	for (i = 0; i < word_count * BIP39_WORD_BITS; i++)
		if (word_numbers[i / BIP39_WORD_BITS] >> (BIP39_WORD_BITS - 1 - i % BIP39_WORD_BITS) & 1)
			word_bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
	*entropy_size = word_count / 3 * 4;
	sha256(checksum, word_bits, *entropy_size);
	for (i = 0; i < *entropy_size / 4; i++)
		/* One wrong word in sixteen passes with twelve words, in 256 with 24: a guard against slips alone. */
		checks = checks && bip39_bit(word_bits, *entropy_size * 8 + i) == bip39_bit(checksum, i);
	memcpy(entropy, word_bits, *entropy_size);
	wipe(word_bits, sizeof word_bits);
	wipe(word_numbers, sizeof word_numbers);
	return checks || errmsg_set(err, "The words' checksum is wrong: a word is wrong, or two have changed places");
}

/* The words as text, not the entropy, are what is stretched; in any language they would be normalised first, and
 * English ones are as they are. */
void bip39_seed(uint8_t seed[64], const char *words, const char *passphrase)
{
	size_t passphrase_size = strlen(passphrase);
	char *seed_salt = mem_alloc(8 + passphrase_size + 1);

	memcpy(seed_salt, "mnemonic", 8);
	memcpy(seed_salt + 8, passphrase, passphrase_size + 1);
	kdf_pbkdf2_sha512(seed, 64, words, (const uint8_t *)seed_salt, 8 + passphrase_size, BIP39_ROUNDS);
	wipe(seed_salt, 8 + passphrase_size);
	free(seed_salt);
}
