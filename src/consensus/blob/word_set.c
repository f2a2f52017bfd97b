/* The set of words: open addressing with linear probing, at most half full. */
#include "consensus/blob/word_set.h"

#include <stdlib.h>

#include "util/mem.h"
#include "util/random.h"

enum { WORD_SET_CAP_MIN = 64 };

/* The cap is a power of two. Both halves of the product are mixed, since low bits alone know nothing of high ones. */
static size_t word_set_home(const struct word_set *set, uint64_t word)
{
	unsigned __int128 word_product = (unsigned __int128)(word ^ set->salt[0]) * set->salt[1];

	return (size_t)((uint64_t)word_product ^ (uint64_t)(word_product >> 64)) & (set->cap - 1);
}

/* The word's place, or the free one where it belongs. */
static size_t word_set_place(const struct word_set *set, uint64_t word)
{
	size_t place = word_set_home(set, word);

	while (set->words[place] != 0 && set->words[place] != word)
		place = (place + 1) & (set->cap - 1);
	return place;
}

static void word_set_resize(struct word_set *set, size_t cap)
{
	uint64_t *words_before = set->words;
	size_t cap_before = set->cap;

	set->words = mem_calloc(cap, sizeof *set->words);
	set->cap = cap;
	for (size_t i = 0; i < cap_before; i++)
		if (words_before[i] != 0)
			set->words[word_set_place(set, words_before[i])] = words_before[i];
	free(words_before);
}

void word_set_init(struct word_set *set, size_t expected)
{
	size_t cap = WORD_SET_CAP_MIN;

	while (cap / 2 < expected)
		cap *= 2;
	*set = (struct word_set){ 0 };
	random_bytes(set->salt, sizeof set->salt);
	set->salt[1] |= 1;
	word_set_resize(set, cap);
}

void word_set_clear(struct word_set *set)
{
	free(set->words);
	*set = (struct word_set){ 0 };
}

bool word_set_add(struct word_set *set, uint64_t word)
{
	size_t place;

	if (word_set_has(set, word))
		return false;
	set->count++;
	if (word == 0) {
		set->has_zero = true;
		return true;
	}
	if (set->count > set->cap / 2)
		word_set_resize(set, 2 * set->cap);
	place = word_set_place(set, word);
	set->words[place] = word;
	return true;
}

bool word_set_has(const struct word_set *set, uint64_t word)
{
	return word == 0 ? set->has_zero : set->words[word_set_place(set, word)] != 0;
}
