/* The way forward for texts that grow: each byte is computed once, with exact products (doc/protocol.md sections 3, 4,
 * 21).
 *
 * A decoder is a state made ready: its matrices rounded once, and the memory of a pass. A cache keeps, for one window
 * of bytes, the keys and values of those that have been fed. A pass feeds bytes to several caches at once. What it
 * finds is what a training pass over a window that begins with the same bytes finds there, to the bit: whatever the
 * engine, in how many pieces the bytes come, and whoever shares the pass.
 *
 * A decoder is used by one thread at a time. */
#ifndef ATELIER_ML_TEXT_DECODER_H
#define ATELIER_ML_TEXT_DECODER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/course.h"
#include "ml/kernel/engine.h"
#include "ml/state.h"

struct decoder;
struct decoder_cache;

/* What may follow a byte: a number for each, the likeliest has the largest. */
struct decoder_logits {
	float of[MODEL_VOCABULARY];
};

/* Bytes of all texts together that a pass takes at most. */
enum { DECODER_BYTES = 64 };

/* Who multiplies best for texts where a node has chosen this engine: with few rows at a time all that counts is how
 * many bytes the matrices have, and integers have a quarter of those of floats. */
enum engine decoder_engine(enum engine chosen);

/* Takes a reference to the state, which is of the configuration's model. NULL: a matrix has no grid, so the state has
 * no logits. ENGINE_PLAIN is for measuring. */
struct decoder *decoder_new(const struct train_config *config, struct state *state, enum engine engine);
void decoder_free(struct decoder *decoder); /* NULL is allowed */
/* Every product is checked (ml/kernel/freivalds.h), but those of ENGINE_PLAIN. Whether one was wrong: then nothing that
 * came of it has been told or kept, the decoder is of no more use, and another, of a sound engine, may go on with the
 * same caches. */
bool decoder_is_wrong(const struct decoder *decoder);
const struct state *decoder_state(const struct decoder *decoder);

/* For up to ctx bytes. It may be used with any decoder of a model of these sizes. */
size_t decoder_cache_memory(const struct model_config *config); /* bytes */
struct decoder_cache *decoder_cache_new(const struct model_config *config);
void decoder_cache_free(struct decoder_cache *cache);         /* NULL is allowed */
size_t decoder_cache_size(const struct decoder_cache *cache); /* bytes that have been fed to it */
void decoder_cache_forget(struct decoder_cache *cache);       /* all of them */

/* Bytes for one cache, behind those that it has. */
struct decoder_feed {
	struct decoder_cache *cache;
	const uint8_t *bytes;
	size_t count;                  /* at most as many as the context has room for */
	size_t wanted;                 /* of the last so many bytes the logits are told, what follows each of them */
	struct decoder_logits *logits; /* [wanted], the caller's */
	size_t done; /* out: bytes that were fed. Fewer than `count`: the next one has no logits, as an operand has no
		      * grid, or the decoder is wrong */
};

/* Feeds all of them, each cache at most once, DECODER_BYTES in all at most. More urgent jobs of the queue may go first
 * in between; *cancel (may be NULL) ends waiting for them. */
void decoder_pass(struct decoder *decoder, struct decoder_feed *feeds, size_t count, const atomic_bool *cancel);

#endif
