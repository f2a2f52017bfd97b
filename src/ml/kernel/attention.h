/* Causal attention of one window and one head, in ordered fp32 (doc/protocol.md section 4).
 *
 * Unlike the model's matrix products these two are not rounded to grids: each output is one chain of additions over k
 * ascending, so the order is the same everywhere; the vector runs over outputs.
 *
 * q, k, v are [ctx][head] with row stride `stride`; outputs likewise where said. p, the probabilities, is kept from the
 * forward pass for the backward pass: for each tile of sixteen queries 16 t .. 16 t + 15 in turn, [16 (t + 1)][16], by
 * key and then by query, +0 where the key comes after the query. ctx and head are multiples of 16. */
#ifndef ATELIER_ML_KERNEL_ATTENTION_H
#define ATELIER_ML_KERNEL_ATTENTION_H

#include <stddef.h>

enum { ATTENTION_HEAD_MAX = 128 };

struct attention {
	size_t ctx, head;
	size_t stride;   /* of q, k, v and their gradients */
	size_t stride_a; /* of a and its gradient */
	float *scratch;  /* attention_scratch() floats */
	float least;     /* weights p below it are 0 */
};

/* Floats that p takes. */
size_t attention_kept(size_t ctx);

/* Floats of scratch memory. */
size_t attention_scratch(size_t ctx, size_t head);

/* a = softmax(q k^T / sqrt(head), causal) v. */
void attention_forward(const struct attention *attention, const float *q, const float *k, const float *v, float *p,
	float *a);

/* The same bits for one query, the last of `count` positions: a [head] from q [head]. keys [head][ctx] are turned:
 * value c of all positions side by side; values are [count] rows, `stride` apart. scratch: ctx floats. What `keys` has
 * behind `count` is read, and makes no difference. */
void attention_query(const struct attention *attention, const float *q, const float *keys, const float *values,
	size_t count, float *a);

/* From da: dq, dk, dv, overwritten. */
void attention_backward(const struct attention *attention, const float *q, const float *k, const float *v,
	const float *p, const float *da, float *dq, float *dk, float *dv);

#endif
