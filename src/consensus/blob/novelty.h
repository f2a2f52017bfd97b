/* Novelty: whether a blob is more than a copy (doc/protocol.md section 12). A filter against lazy copies: what is
 * sampled is public, so whoever changes just those bytes passes.
 *
 * A blob's strings of 16 bytes are *sampled* where the low six bits of their SipHash are 0, and each is taken for that
 * hash. Here: the samples of a blob, what two have in common, and the limits. Not here: which datasets a blob is held
 * against (chain/novelty/judge.h). */
#ifndef ATELIER_CONSENSUS_BLOB_NOVELTY_H
#define ATELIER_CONSENSUS_BLOB_NOVELTY_H

#include "consensus/blob/pages.h"
#include "consensus/reject.h"
#include "consensus/spec.h"

enum { NOVELTY_SAMPLE_BYTES = 32 }; /* more samples than one in so many bytes do not come by chance */

struct novelty {
	uint64_t *samples; /* distinct, ascending; owned */
	size_t count;
};

/* False: it has more distinct samples than size / 32, where chance gives half as many: it was made so, to be a burden,
 * and there is nothing to clear. */
bool novelty_sample(struct novelty *novelty, const uint8_t *blob, size_t size);
void novelty_clear(struct novelty *novelty);

/* How many samples of one the other has too. */
size_t novelty_shared(const struct novelty *novelty, const struct novelty *other);
/* Whether a blob of `count` samples resembles one that has so many of them: more than a third. */
bool novelty_resembles(size_t shared, size_t count);

/* The blob's different strings of 8 bytes: how many of them are in the benchmark, and how many there are, counted no
 * further than `times` the first. */
void novelty_count_words(const uint8_t *benchmark, size_t benchmark_size, const uint8_t *blob, size_t size,
	size_t times, size_t *found_count, size_t *word_count);

/* What can be said of a blob alone, in this order: its pages (`bad-contrib-pages`), the number of its samples, and its
 * strings of 8 bytes against the benchmark's (both `bad-contrib-novelty`). Fills `novelty` where it is true. */
bool novelty_check(const struct spec *spec, const uint8_t *blob, size_t size, struct novelty *novelty,
	struct reject *reject);

#endif
