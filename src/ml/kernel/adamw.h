/* AdamW, element by element (Loshchilov, Hutter: "Decoupled Weight Decay Regularization"; doc/protocol.md
 * section 5). */
#ifndef ATELIER_ML_KERNEL_ADAMW_H
#define ATELIER_ML_KERNEL_ADAMW_H

#include <stddef.h>

/* What is the same for all elements of an iteration. */
struct adamw {
	float lr, wd;
	float gradient_scale; /* clips the gradient's norm */
	float c1, c2;         /* corrections for moments that started at zero */
};

/* Corrections of iteration t = 1, 2, ...: call with t ascending from 1; powers[2] keeps b1^t and b2^t between calls. */
void adamw_corrections(unsigned t, float powers[2], struct adamw *adamw);

/* Updates weights w and moments m, v from gradient g, n elements. */
void adamw_apply(const struct adamw *adamw, const float *g, size_t n, float *w, float *m, float *v);

#endif
