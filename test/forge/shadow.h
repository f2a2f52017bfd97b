/* The step once more, opened up: a forger can leave work out of it, an observer sees what its products multiply.
 *
 * It is put together of the node's own operations (src/ml), a chunk at a time, and without tricks gives the node's
 * bits: forge.c holds it to that before it believes what it finds with it. Not here: which tricks there are
 * (adversary.h), what is saved by remembering products (savings.h). */
#ifndef ATELIER_FORGE_SHADOW_H
#define ATELIER_FORGE_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/engine.h"
#include "ml/step.h"

/* Matrices are numbered layer by layer, and the head is the last. */
enum { SHADOW_QKV, SHADOW_OUT, SHADOW_GATE_UP, SHADOW_DOWN, SHADOW_MATRICES };

/* The three products of a matrix W [out][in]: X W^T, dY W, dY^T X. */
enum shadow_way { SHADOW_FORWARD, SHADOW_BACK, SHADOW_GRADIENT, SHADOW_WAYS };

/* A product's operands as it takes them, rounded to integers: row by row, but for SHADOW_GRADIENT column by column. */
struct shadow_product {
	size_t matrix;
	enum shadow_way way;
	size_t tokens, in, out;
	const int8_t *x;  /* [tokens][in]; NULL for SHADOW_BACK */
	const int8_t *dy; /* [tokens][out]; NULL for SHADOW_FORWARD */
};

/* What a forger does otherwise than a step; all zero: nothing. */
struct shadow_tricks {
	const size_t *copy;   /* [batch]: the earlier row of the chunk that this is taken to be, behind the prefix */
	unsigned bin_forward; /* rows of products are taken to be equal if they are but for so many last bits */
	unsigned bin_back;
	float sure;             /* logits of a token whose loss is below have no gradient but the dither */
	size_t layers_left_out; /* the lowest layers, whose gradient is not computed */
	bool coarse;            /* products of 4 bits */
};

struct shadow;
struct shadow *shadow_new(const struct train_config *config, enum engine engine);
void shadow_free(struct shadow *s);
const struct train_config *shadow_config(const struct shadow *s);

/* From now on `tricks`, borrowed, are used; NULL: none. */
void shadow_set_tricks(struct shadow *s, const struct shadow_tricks *tricks);
/* From now on `see` is shown every product; NULL: it is not. */
typedef void shadow_see(void *context, const struct shadow_product *product);
void shadow_watch(struct shadow *s, shadow_see *see, void *context);

/* Gradient [n] of `rows` windows at w in iteration t (from 0) of the seed's step; losses [rows * ctx] of the counted
 * tokens if not NULL. False if a product cannot be rounded. */
bool shadow_gradient(struct shadow *s, const float *w, const uint8_t *windows, size_t rows, const uint8_t seed[32],
	uint32_t t, float *gradient, float *losses);

/* AdamW, from moments of zero. */
struct shadow_optimizer {
	float *m, *v; /* [n] */
	float powers[2];
};
struct shadow_optimizer shadow_optimizer_new(const struct train_config *config);
void shadow_optimizer_reset(struct shadow_optimizer *o, const struct train_config *config);
void shadow_optimizer_clear(struct shadow_optimizer *o);
/* Iteration t from 0. */
void shadow_optimise(const struct train_config *config, struct shadow_optimizer *o, uint32_t t, float lr,
	const float *gradient, float *w);

/* ---- Work, in multiply-adds of products and attention: most of what a step takes ---- */

size_t shadow_matrices(const struct train_config *config);
/* Elements of a matrix. */
double shadow_matrix_size(const struct train_config *config, size_t matrix);
/* A token's forward pass; the way back takes twice as much. */
double shadow_token_work(const struct train_config *config);
/* A whole step's, of these windows, as the node makes it: layer 1's q, k and v once for each byte of an iteration, and
 * their weights' gradient over as many rows instead of a chunk's tokens. */
double shadow_step_work(const struct train_config *config, const uint8_t *windows);
/* How many bytes an iteration's windows have. */
size_t shadow_bytes(const struct train_config *config, const uint8_t *windows);
/* What the tricks saved in the passes since the last call, if finding out what is the same costs nothing. */
double shadow_saved(struct shadow *s);

#endif
