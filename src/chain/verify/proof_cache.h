/* What is known of proofs that were executed: a verdict for each id, and the bodies of those that the next block may
 * include, so that no proof is executed twice. An id commits to everything that decides a verdict, the parent included.
 * Bounded: the oldest verdict makes room for a new one; bodies go when their parent is not the tip any more, or when
 * they take too much memory (then the proof is executed again if it is needed). */
#ifndef ATELIER_CHAIN_VERIFY_PROOF_CACHE_H
#define ATELIER_CHAIN_VERIFY_PROOF_CACHE_H

#include "consensus/spec.h"

enum proof_verdict { PROOF_UNKNOWN, PROOF_RIGHT, PROOF_FALSE };

struct proof_cache;

struct proof_cache *proof_cache_new(const struct spec *spec);
void proof_cache_free(struct proof_cache *proof_cache);

/* body: copied, NULL if there is none. */
void proof_cache_put(struct proof_cache *proof_cache, const struct header *header, enum proof_verdict verdict,
	const uint8_t *body);
enum proof_verdict proof_cache_verdict(const struct proof_cache *proof_cache, const uint8_t id[32]);
const uint8_t *proof_cache_body(const struct proof_cache *proof_cache, const uint8_t id[32]); /* NULL: not held */
/* Releases the bodies whose header does not name this parent. */
void proof_cache_new_tip(struct proof_cache *proof_cache, const uint8_t tip[32]);

#endif
