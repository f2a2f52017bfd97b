/* What owners register: texts of honest kinds, cut out of files, and what dishonest owners make instead.
 *
 * Honest kinds are read from files (contrib/economy gathers them). An owner's text is a piece that nobody else has, as
 * long as there is one. What is made up is drawn from the text's kind and number. */
#ifndef ATELIER_ECONOMY_DATA_TEXT_H
#define ATELIER_ECONOMY_DATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum text_kind {
	TEXT_PROSE,
	TEXT_CODE,
	TEXT_MARKDOWN,
	TEXT_PYTHON,
	TEXT_TABLES,
	TEXT_HONEST, /* how many these are */
	TEXT_RESERVED_COPY = TEXT_HONEST,
	TEXT_CORPUS_COPY,
	TEXT_OTHER_COPY,
	TEXT_REPEATED,
	TEXT_OWN_LEARNED,
	TEXT_OWN_BLURRED,
	TEXT_OWN_PIECES,
	TEXT_CIPHER,
	TEXT_GRAMMAR,
	TEXT_HALF_NOISE,
	TEXT_LETTERS,
	TEXT_NOISE,
	TEXT_CONSTANT,
	TEXT_KINDS,
};

/* As tables call it. */
const char *text_kind_name(enum text_kind kind);

struct text_sources {
	struct text_source {
		uint8_t *bytes; /* owned */
		size_t size, taken;
	} honest[TEXT_HONEST];
	const uint8_t *reserved, *corpus; /* borrowed: what copies are made of */
	size_t reserved_size, corpus_size;
};

/* Reads <folder>/prose, <folder>/code and so on. */
bool text_sources_read(struct text_sources *sources, const char *folder, struct errmsg *err);
void text_sources_clear(struct text_sources *sources);

/* From now on pieces are taken from a place of this seed's on. */
void text_sources_begin(struct text_sources *sources, uint64_t seed);

/* `size` bytes of that kind, the caller's. */
uint8_t *text_make(struct text_sources *sources, enum text_kind kind, uint64_t number, size_t size);

/* Of the distinct strings of 16 bytes in own pages, the share that other pages have too. */
double text_own_shared(const uint8_t *text, size_t size);

#endif
