/* A set of 64-bit words. As in util/map, a word's place depends on a random value of this process, so whoever chooses
 * the words cannot make them meet; and no order shows, so that a count means the same to every node. */
#ifndef ATELIER_CONSENSUS_BLOB_WORD_SET_H
#define ATELIER_CONSENSUS_BLOB_WORD_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct word_set {
	uint64_t *words; /* owned; 0 is a free place */
	size_t count, cap;
	bool has_zero; /* the word 0, which has no place; counted in `count` */
	uint64_t salt[2];
};

/* Room for so many words without growing; it grows all the same. */
void word_set_init(struct word_set *set, size_t expected);
void word_set_clear(struct word_set *set);

bool word_set_add(struct word_set *set, uint64_t word); /* false: it was there */
bool word_set_has(const struct word_set *set, uint64_t word);

#endif
