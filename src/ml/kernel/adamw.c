/* AdamW, one element like the other. */
#include "ml/kernel/adamw.h"

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"

#define ADAMW_BETA1 0.9f
#define ADAMW_BETA2 0.99f

/* The powers are chains of products from t = 1 on, as the protocol has them. */
void adamw_corrections(unsigned t, float powers[2], struct adamw *adamw)
{
	powers[0] = t == 1 ? ADAMW_BETA1 : powers[0] * ADAMW_BETA1;
	powers[1] = t == 1 ? ADAMW_BETA2 : powers[1] * ADAMW_BETA2;
	adamw->c1 = 1.0f / (1.0f - powers[0]);
	adamw->c2 = 1.0f / (1.0f - powers[1]);
}

/* Each element alone, so the vector's width and who takes which part of theta change nothing. Square roots and
 * quotients are correctly rounded, as IEEE 754 wants them. Every operation is one rounding, in the protocol's order
 * (section 5): the build forbids the compiler to fuse or reorder them. */
ML_CLONES void adamw_apply(const struct adamw *adamw, const float *restrict g, size_t n, float *restrict w,
	float *restrict m, float *restrict v)
{
	float lr = adamw->lr, wd = adamw->wd, scale = adamw->gradient_scale, c1 = adamw->c1, c2 = adamw->c2;

	for (size_t i = 0; i < n; i++) {
		float x = g[i] * scale;

		m[i] = ADAMW_BETA1 * m[i] + (1.0f - ADAMW_BETA1) * x;
		v[i] = ADAMW_BETA2 * v[i] + (1.0f - ADAMW_BETA2) * (x * x);
		w[i] = w[i] - lr * ((m[i] * c1) / (sqrtf(v[i] * c2) + 1e-8f) + wd * w[i]);
	}
}
