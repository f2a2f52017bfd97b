/* The model's elementwise operations, each with its backward beside it. */
#include "ml/kernel/ops.h"

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/model.h"

ML_CLONES void ops_add(float *restrict y, const float *restrict x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = y[i] + x[i];
}

/* The squared norm of a gradient, by which it is clipped: one dot product of the protocol's order. */
ML_CLONES float ops_squares(const float *x, size_t n)
{
	return math_dot16(x, x, n);
}

ML_CLONES void ops_rmsnorm(const float *restrict x, const float *restrict gain, size_t tokens, size_t d,
	float *restrict y, float *restrict r)
{
	for (size_t token = 0; token < tokens; token++) {
		const float *restrict in = x + token * d;
		float *restrict out = y + token * d;
		float scale = 1.0f / sqrtf(math_dot16(in, in, d) / (float)d + 1e-5f);

		r[token] = scale;
		for (size_t j = 0; j < d; j++)
			out[j] = (in[j] * scale) * gain[j];
	}
}

/* One token; without a residual, dx is added to +0. With y = x r g and r = (mean x^2 + e)^-1/2, the derivative of r is
 * -x r^3 / d: so dx = r (dy g - x c), c = r^2 / d * sum of dy g x. The sum's sixteen lanes are the protocol's. */
ML_INLINE void ops_rmsnorm_backward_token(const float *restrict x, const float *restrict gain, float r,
	const float *restrict dy, const float *restrict residual, size_t d, float *restrict dx, float *restrict y)
{
	float lane[16] = { 0 };

	for (size_t i = 0; i < d; i += 16)
		for (int j = 0; j < 16; j++)
			lane[j] = lane[j] + (dy[i + j] * gain[i + j]) * x[i + j];
	float c = (math_fold16(lane) * (r * r)) / (float)d;

	for (size_t j = 0; j < d; j++) {
		dx[j] = (residual != NULL ? residual[j] : 0.0f) + ((dy[j] * gain[j]) - x[j] * c) * r;
		y[j] = (x[j] * r) * gain[j];
	}
}

ML_CLONES void ops_rmsnorm_backward(const float *x, const float *gain, const float *r, const float *dy,
	const float *residual, size_t tokens, size_t d, float *dx, float *y)
{
	for (size_t token = 0; token < tokens; token++) {
		size_t at = token * d;

		if (residual != NULL)
			ops_rmsnorm_backward_token(x + at, gain, r[token], dy + at, residual + at, d, dx + at, y + at);
		else
			ops_rmsnorm_backward_token(x + at, gain, r[token], dy + at, NULL, d, dx + at, y + at);
	}
}

ML_CLONES void ops_rmsnorm_backward_gain(const float *restrict x, const float *restrict r, const float *restrict dy,
	size_t tokens, size_t d, size_t first, size_t count, float *restrict dgain)
{
	for (size_t token = 0; token < tokens; token++) {
		const float *restrict in = x + token * d, *restrict g = dy + token * d;

		for (size_t j = first; j < first + count; j++)
			dgain[j] = dgain[j] + g[j] * (in[j] * r[token]);
	}
}

/* Frequencies fall from 1 by the factor rho = 10000^(-2 / head): each is a product with the one before, so that nothing
 * asks for a power of any libm. */
void ops_rotary_table(size_t ctx, size_t head, float *cosine, float *sine)
{
	float rho = math_exp(-((2.0f / (float)head) * 9.210340371976184f)), frequency = 1.0f;

	for (size_t i = 0; i < head / 2; i++) {
		for (size_t p = 0; p < ctx; p++)
			math_sincos((float)p * frequency, &sine[p * (head / 2) + i], &cosine[p * (head / 2) + i]);
		frequency = frequency * rho;
	}
}

/* Queries and keys, not values. The way back is the inverse, as a rotation's transpose is. Value i is paired with i +
 * half, as doc/protocol.md has it, and not with its neighbour. */
ML_CLONES void ops_rotate(const struct ops_rotary *rotary, float *qkv, size_t tokens, bool inverse)
{
	size_t half = rotary->head / 2, width = 3 * rotary->heads * rotary->head;

	for (size_t token = 0; token < tokens; token++) {
		const float *restrict c = rotary->cosine + (token % rotary->ctx) * half;
		const float *restrict s = rotary->sine + (token % rotary->ctx) * half;

		for (size_t h = 0; h < 2 * rotary->heads; h++) {
			float *restrict a = qkv + token * width + h * rotary->head, *restrict b = a + half;

			for (size_t i = 0; i < half; i++) {
				float sign = inverse ? -s[i] : s[i];
				float x = a[i], y = b[i];

				a[i] = x * c[i] - y * sign;
				b[i] = x * sign + y * c[i];
			}
		}
	}
}

/* s = 1 / (1 + e^-g), n values, up to MATH_EXP_MANY. */
ML_INLINE void ops_sigmoid(const float *restrict g, size_t n, float *restrict s)
{
	for (size_t j = 0; j < n; j++)
		s[j] = -g[j];
	math_exp_many(s, n);
	for (size_t j = 0; j < n; j++)
		s[j] = 1.0f / (1.0f + s[j]);
}

/* n values of one token. */
ML_INLINE void ops_gate_values(const float *restrict g, const float *restrict u, size_t n, float *restrict b)
{
	float s[MATH_EXP_MANY];

	ops_sigmoid(g, n, s);
	for (size_t j = 0; j < n; j++)
		b[j] = (g[j] * s[j]) * u[j];
}

ML_CLONES void ops_gate(const float *restrict gu, size_t tokens, size_t ff, float *restrict b)
{
	for (size_t token = 0; token < tokens; token++) {
		const float *g = gu + token * 2 * ff, *u = g + ff;
		size_t whole = ff - ff % MATH_EXP_MANY;

		for (size_t j = 0; j < whole; j += MATH_EXP_MANY)
			ops_gate_values(g + j, u + j, MATH_EXP_MANY, b + token * ff + j);
		ops_gate_values(g + whole, u + whole, ff - whole, b + token * ff + whole);
	}
}

ML_INLINE void ops_gate_values_backward(const float *restrict g, const float *restrict u, const float *restrict db,
	size_t n, float *restrict dg, float *restrict du, float *restrict b)
{
	float s[MATH_EXP_MANY];

	ops_sigmoid(g, n, s);
	for (size_t j = 0; j < n; j++) {
		float gs = g[j] * s[j];

		du[j] = db[j] * gs;
		dg[j] = (db[j] * u[j]) * (s[j] + gs * (1.0f - s[j]));
		b[j] = gs * u[j];
	}
}

ML_CLONES void ops_gate_backward(const float *restrict gu, const float *restrict db, size_t tokens, size_t ff,
	float *restrict dgu, float *restrict b)
{
	for (size_t token = 0; token < tokens; token++) {
		const float *g = gu + token * 2 * ff, *u = g + ff;
		float *dg = dgu + token * 2 * ff, *du = dg + ff;
		size_t at = token * ff, whole = ff - ff % MATH_EXP_MANY;

		for (size_t j = 0; j < whole; j += MATH_EXP_MANY)
			ops_gate_values_backward(g + j, u + j, db + at + j, MATH_EXP_MANY, dg + j, du + j, b + at + j);
		ops_gate_values_backward(g + whole, u + whole, db + at + whole, ff - whole, dg + whole, du + whole,
			b + at + whole);
	}
}

/* One token: its loss; x becomes its gradient, softmax less one at the target. The largest logit is taken away first,
 * so no exponential exceeds 1. The sum Z is 1 at least, since the largest term is exp(0) = 1, and no logit is NaN, as
 * an exact product of the sizes that model_config_check allows cannot overflow: so math_log's domain holds. */
ML_INLINE float ops_token_loss(float *restrict x, uint8_t target, float inv)
{
	float largest = math_max(x, MODEL_VOCABULARY), at_target = x[target] - largest;

	for (int j = 0; j < MODEL_VOCABULARY; j++)
		x[j] = math_exp(x[j] - largest);
	float z = math_sum16(x, MODEL_VOCABULARY), scale = 1.0f / z;

	for (int j = 0; j < MODEL_VOCABULARY; j++)
		x[j] = (x[j] * scale) * inv;
	x[target] = x[target] - inv;
	return math_log(z) - at_target;
}

ML_CLONES void ops_cross_entropy(float *restrict logits, const uint8_t *restrict windows, size_t rows, size_t ctx,
	float inv, bool backward, float *restrict losses)
{
	for (size_t row = 0; row < rows; row++) {
		const uint8_t *target = windows + row * (ctx + 1) + 1;
		float *x = logits + row * ctx * MODEL_VOCABULARY;

		/* Positions that are skipped have no loss, and push the logits nowhere. */
		if (backward)
			memset(x, 0, (size_t)MODEL_SKIPPED * MODEL_VOCABULARY * sizeof(float));
		for (size_t token = MODEL_SKIPPED; token < ctx; token++)
			losses[row * ctx + token] = ops_token_loss(x + token * MODEL_VOCABULARY, target[token], inv);
	}
}

void ops_sum_losses(const float *losses, size_t rows, size_t ctx, float lane[16])
{
	/* A skipped position's loss is +0, which leaves its lane as it is. */
	for (size_t row = 0; row < rows; row++)
		for (size_t token = MODEL_SKIPPED; token < ctx; token++)
			lane[token % 16] = lane[token % 16] + losses[row * ctx + token];
}

float ops_entropy(const uint8_t *page, size_t count)
{
	uint32_t seen[MODEL_VOCABULARY] = { 0 };
	float parts[MODEL_VOCABULARY];

	for (size_t i = 0; i < count; i++)
		seen[page[i]]++;
	for (size_t byte = 0; byte < MODEL_VOCABULARY; byte++)
		parts[byte] = seen[byte] == 0 ? 0.0f : (float)seen[byte] * math_log((float)seen[byte]);
	return math_log((float)count) - math_sum16(parts, MODEL_VOCABULARY) / (float)count;
}

void ops_embed(const float *embedding, const uint8_t *windows, size_t rows, size_t ctx, size_t d, float *h)
{
	for (size_t row = 0; row < rows; row++)
		for (size_t token = 0; token < ctx; token++)
			memcpy(h + (row * ctx + token) * d, embedding + windows[row * (ctx + 1) + token] * d,
				d * sizeof(float));
}

/* Rows of the gradient repeat wherever a byte does: a sum over tokens in their order, so it is parted by columns only.
 */
ML_CLONES void ops_embed_backward(const float *dh, const uint8_t *windows, size_t rows, size_t ctx, size_t d,
	size_t first, size_t count, float *dembedding)
{
	for (size_t row = 0; row < rows; row++) {
		for (size_t token = 0; token < ctx; token++) {
			const float *restrict in = dh + (row * ctx + token) * d;
			float *restrict out = dembedding + windows[row * (ctx + 1) + token] * d;

			for (size_t j = first; j < first + count; j++)
				out[j] = out[j] + in[j];
		}
	}
}
