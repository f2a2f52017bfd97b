/* The model's elementwise operations, each with its backward beside it (doc/protocol.md section 4).
 *
 * Arrays are row-major: [tokens][d] for activations, where tokens are the positions of whole windows one after the
 * other. d and ff are multiples of 16. Gradient outputs named "+=" are added to, all others are overwritten. An
 * operation on some tokens gives the same as on all, so they may be shared out; sums over tokens may be shared out by
 * columns. Attention has a module of its own, ml/kernel/attention.h. */
#ifndef ATELIER_ML_KERNEL_OPS_H
#define ATELIER_ML_KERNEL_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y = y + x, n values. */
void ops_add(float *y, const float *x, size_t n);

/* The sum of the squares of n values. */
float ops_squares(const float *x, size_t n);

/* y = x * r * gain; r [tokens] keeps 1 / sqrt(mean(x^2) + 1e-5) for the way back. */
void ops_rmsnorm(const float *x, const float *gain, size_t tokens, size_t d, float *y, float *r);

/* Through y = rmsnorm(x): dx = residual + what dy gives, residual [tokens][d] or NULL for zeros; and y once more. */
void ops_rmsnorm_backward(const float *x, const float *gain, const float *r, const float *dy, const float *residual,
	size_t tokens, size_t d, float *dx, float *y);

/* dgain += what dy gives, for `count` of the d values from `first` on. A sum over all tokens, in their order. */
void ops_rmsnorm_backward_gain(const float *x, const float *r, const float *dy, size_t tokens, size_t d, size_t first,
	size_t count, float *dgain);

/* The rotary table: cosine and sine of position p and pair i at [p * head / 2 + i]. */
void ops_rotary_table(size_t ctx, size_t head, float *cosine, float *sine);

/* Rotates the heads of q and k in qkv [tokens][3 * heads * head], in place; backwards with `inverse`, which is also how
 * gradients pass. Token t is at position t mod ctx. */
struct ops_rotary {
	const float *cosine, *sine;
	size_t ctx, heads, head;
};
void ops_rotate(const struct ops_rotary *rotary, float *qkv, size_t tokens, bool inverse);

/* b = silu(g) * u, where a row of gu [tokens][2 * ff] is g, then u. */
void ops_gate(const float *gu, size_t tokens, size_t ff, float *b);
/* dgu from db, and b once more. */
void ops_gate_backward(const float *gu, const float *db, size_t tokens, size_t ff, float *dgu, float *b);

/* Cross-entropy of logits [rows * ctx][256] against the targets of windows [rows][ctx + 1]: losses [rows * ctx] of the
 * counted tokens. If `backward`, logits become their gradient, weighted by inv (1 / counted tokens of the whole batch);
 * otherwise they are destroyed. */
void ops_cross_entropy(float *logits, const uint8_t *windows, size_t rows, size_t ctx, float inv, bool backward,
	float *losses);

/* Adds each counted token's loss to one of the sixteen lanes of the batch's sum, in the order of tokens. */
void ops_sum_losses(const float *losses, size_t rows, size_t ctx, float lane[16]);

/* Entropy of a page of bytes, in nats a byte (protocol section 10); count is below 2^24. */
float ops_entropy(const uint8_t *page, size_t count);

/* h: each token's row of the embedding; and dh [rows * ctx][d] into the rows of its gradient, dembedding +=, for
 * `count` of the d columns from `first` on. A sum over all tokens, in their order. */
void ops_embed(const float *embedding, const uint8_t *windows, size_t rows, size_t ctx, size_t d, float *h);
void ops_embed_backward(const float *dh, const uint8_t *windows, size_t rows, size_t ctx, size_t d, size_t first,
	size_t count, float *dembedding);

#endif
