/* The model: a byte-level Llama (doc/protocol.md section 4).
 *
 * Here: the sizes and their limits, the layout of the one parameter vector `theta`, and the memory that passes over it
 * work in. Not here: the passes (ml/pass.h), the optimizer (ml/kernel/adamw.h), where windows come from
 * (ml/kernel/noise.h), the chain's state (ml/state.h).
 *
 * Parameters are one vector of model_count() floats; model_tensor() names its parts.
 *
 * A `struct model` holds all memory a pass needs, taken once by model_new for chunks of at most 1024 tokens; nothing is
 * allocated after that. It is used by one thread at a time, whose team may share the work: with the same bits, whatever
 * its size. */
#ifndef ATELIER_ML_MODEL_H
#define ATELIER_ML_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/census.h"
#include "ml/kernel/engine.h"
#include "ml/profile.h"
#include "util/team.h"

struct model_config {
	uint32_t d; /* width */
	uint32_t layers;
	uint32_t heads;
	uint32_t ff;  /* hidden size of the gated unit */
	uint32_t ctx; /* positions of a window */
};

enum { MODEL_VOCABULARY = 256, MODEL_SKIPPED = 8, MODEL_CTX_MAX = 1024, MODEL_HEAD_MAX = 128 };

/* NULL if the sizes are within the limits of protocol section 16, else what is wrong with them (static text). */
const char *model_config_check(const struct model_config *config);

/* Bytes of memory that model_new takes for sizes that model_config_check accepts and a team of so many. */
size_t model_memory(const struct model_config *config, unsigned members);

/* n: how many parameters sizes that model_config_check accepts have. */
size_t model_count(const struct model_config *config);

/* A part of theta: rows * cols floats from offset, row by row. */
enum model_kind {
	MODEL_EMBEDDING,
	MODEL_NORM,
	MODEL_MATRIX,
	MODEL_RESIDUAL /* matrix writing to the residual: Wo, Wdown */
};

struct model_tensor {
	char name[24]; /* "embedding", "layer.3.wq", "layer.3.norm_mlp", "norm", "head", ... */
	size_t offset;
	size_t rows, cols; /* a norm is one row */
	enum model_kind kind;
};

/* Parts 0 .. model_tensors() - 1, in the order of theta: embedding; per layer norm_attention, wq, wk, wv, wo,
 * norm_mlp, wgate, wup, wdown; norm; head. */
size_t model_tensors(const struct model_config *config);
void model_tensor(const struct model_config *config, size_t index, struct model_tensor *out);

/* How many matrices tokens are multiplied with: of each layer Wqkv, Wo, Wgu and Wdown, as section 4 joins them; the
 * head. */
size_t model_matrices(const struct model_config *config);

/* The team is borrowed; NULL: the caller works alone. */
struct model;
struct model *model_new(const struct model_config *config, enum engine engine, struct team *team);
void model_free(struct model *model);
const struct model_config *model_config(const struct model *model);

/* From now on attention's weights below this are 0 in passes; before, none is. */
void model_set_least_weight(struct model *model, float least);

/* From now on passes are counted in `profile`, the caller's; NULL: in none. */
void model_set_profile(struct model *model, struct profile *profile);
struct profile *model_profile(const struct model *model);

/* From now on passes add to `census` [model_matrices()], the caller's, what their products see of what
 * they multiply on the way forward, and of the matrices on the way back too; NULL: to none. */
void model_set_census(struct model *model, struct census_matrix *census);

/* From now on every product of a pass is checked (ml/kernel/freivalds.h) with vectors drawn here, or no more. Not for
 * ENGINE_PLAIN. */
void model_check(struct model *model, bool on);

/* Whether a product was wrong since model_check switched checks on: then the pass failed. */
bool model_wrong(const struct model *model);

#endif
