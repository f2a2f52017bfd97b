/* The model state S = (theta, v): what a block's steps start from (doc/protocol.md section 10).
 *
 * Immutable and reference-counted: jobs on any thread may hold one while the chain moves on. theta is the parameter
 * vector, v the outer momentum, n = model_count() floats each. The root is the Merkle root over 64 KiB pages of the
 * serialised state. */
#ifndef ATELIER_ML_STATE_H
#define ATELIER_ML_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"

struct state;

/* The initial state drawn from a 32-byte key (protocol section 7). References start at 1. */
struct state *state_new_initial(const struct model_config *config, const uint8_t key[32]);

/* Takes ownership of theta and v, both of n floats from mem_align (util/mem.h). */
struct state *state_new(const struct model_config *config, float *theta, float *momentum);

/* From serialised bytes. NULL if size is not state_size() or a value is not finite; the root is computed, for the
 * caller to compare. */
struct state *state_deserialise(const struct model_config *config, const uint8_t *serialised, size_t size);

struct state *state_ref(struct state *state); /* returns its argument */
void state_unref(struct state *state);        /* NULL is allowed */

const struct model_config *state_config(const struct state *state);
const float *state_theta(const struct state *state);
const float *state_momentum(const struct state *state);
const uint8_t *state_root(const struct state *state); /* 32 bytes */

/* Serialised: theta, then v, little-endian binary32. out has room for state_size bytes. */
size_t state_size(const struct model_config *config);
void state_serialise(const struct state *state, uint8_t *serialised);

#endif
