/* A weight matrix: rounded once, multiplied by tiles of tokens; and its gradient, by parts of a chunk. */
#include "ml/kernel/linear.h"

#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"
#include "util/size.h"

size_t linear_rounded_size(size_t tokens, size_t widest)
{
	return exact_operand_size(size_max(tokens, LINEAR_TOKENS), widest);
}

size_t linear_part_size(void)
{
	return exact_operand_size(LINEAR_TOKENS, LINEAR_PART_ROWS);
}

size_t linear_scratch_size(size_t tokens, size_t widest)
{
	return exact_scratch_size(size_max(tokens, LINEAR_ROWS), widest);
}

/* W is rounded along both of its sides, for it contracts over its columns forward and over its rows back: two operands
 * with grids of their own. */
bool linear_round(struct linear *linear, enum engine engine, const float *theta, bool backward)
{
	linear->by_rows = exact_rows(engine, theta + linear->offset, linear->out, linear->in, linear->memory[0]);
	if (backward)
		linear->by_columns = exact_columns(engine, theta + linear->offset, linear->out, linear->in,
			linear->memory[1]);
	if (linear->by_rows.values == NULL || (backward && linear->by_columns.values == NULL))
		return false;
	if (linear->vectors != NULL)
		exact_project(engine, linear->vectors, linear->by_rows, linear->out, linear->in, false,
			linear->projected[0]);
	if (linear->vectors != NULL && backward)
		exact_project(engine, linear->vectors, linear->by_columns, linear->in, linear->out, true,
			linear->projected[1]);
	return true;
}

void linear_take(struct linear_work *work, enum engine engine, const float *x, size_t tokens, size_t width,
	size_t first, size_t count, int32_t *largest)
{
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	if (first == 0)
		work->refused = false;
	if (first == 0 && largest != NULL)
		memset(largest, 0, width * sizeof *largest);
	/* Remembered until the product is asked for: rows come in strips, and a value without a grid may be in any of
	 * them. */
	if (!exact_some_rows(engine, x, tokens, width, first, count, work->rounded, largest))
		work->refused = true;
	profile_lap(work->profile, PROFILE_QUANTISE);
}

static bool linear_is_right(const struct linear_work *work)
{
	return work->check == NULL || !work->check->wrong;
}

static bool linear_multiply(enum engine engine, const struct linear_work *work, const struct exact_product *product)
{
	if (work->refused)
		return false;
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	exact_multiply(engine, product, work->scratch);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return linear_is_right(work);
}

bool linear_forward(const struct linear *linear, enum engine engine, const struct linear_work *work, const float *x,
	size_t tokens, float *y)
{
	return linear_multiply(engine, work,
		&(struct exact_product){
			.m = tokens,
			.n = linear->out,
			.k = linear->in,
			.a = exact_rows_operand(engine, x, tokens, linear->in, work->rounded),
			.b = linear->by_rows,
			.y = y,
			.ldy = linear->out,
			.check = work->check,
			.projected = linear->projected[0],
		});
}

bool linear_backward(const struct linear *linear, enum engine engine, const struct linear_work *work, const float *dy,
	size_t tokens, float *dx)
{
	return linear_multiply(engine, work,
		&(struct exact_product){
			.m = tokens,
			.n = linear->in,
			.k = linear->out,
			.a = exact_rows_operand(engine, dy, tokens, linear->out, work->rounded),
			.b = linear->by_columns,
			.b_transposed = true,
			.y = dx,
			.ldy = linear->in,
			.check = work->check,
			.projected = linear->projected[1],
		});
}

/* A part of the gradient: some rows of it, and `tokens` tokens (or kinds) of x. All of it but dy. */
static struct exact_product linear_part_product(const struct linear *linear, const struct linear_work *work,
	struct exact_operand x, size_t first, size_t row, size_t rows, size_t tokens, float *gradient)
{
	return (struct exact_product){
		.m = rows,
		.n = linear->in,
		.k = tokens,
		.a_transposed = true,
		.b_transposed = true,
		.b = x,
		.y = gradient + linear->offset + (first + row) * linear->in,
		.ldy = linear->in,
		.check = work->check,
		.projected = work->projected,
		.check_row = row,
	};
}

/* One part's rows and tokens of the gradient; p->b is x's. The grids come from the whole chunk's largest sizes, not the
 * part's: so a part's integers are those of the chunk, and the way it is parted changes no bit. */
static bool linear_add_part(const struct linear *linear, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *chunk, struct exact_product *product, size_t row, size_t token, bool add,
	float *sums)
{
	product->a = exact_part(engine, chunk->dy + token * linear->out + row, linear->out, product->k, product->m,
		chunk->dy_largest + row, work->part);
	profile_lap(work->profile, PROFILE_QUANTISE);
	if (product->a.values == NULL)
		return false;
	exact_add_part(engine, product, token == 0, add, sums);
	if (token + product->k == chunk->tokens)
		exact_end_parts(engine, product, add, sums);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return true;
}

/* The operand dy^T of some rows, summed up over the tokens of each kind: integers of its grid below 2^17, which floats
 * hold, and their products with x add up to the same integers as those of single tokens. */
static struct exact_operand linear_sum_kinds(const struct linear *linear, enum engine engine,
	const struct linear_work *work, const struct linear_chunk *chunk, size_t row, size_t rows)
{
	struct exact_operand part = { 0 };

	memset(work->sums, 0, chunk->kind_count * rows * sizeof *work->sums);
	for (size_t token = 0; token < chunk->tokens; token += LINEAR_TOKENS) {
		size_t tokens = size_min(chunk->tokens - token, LINEAR_TOKENS);

		part = exact_part(engine, chunk->dy + token * linear->out + row, linear->out, tokens, rows,
			chunk->dy_largest + row, work->part);
		if (part.values == NULL)
			return part;
		for (size_t i = 0; i < tokens; i++)
			ops_add(work->sums + chunk->kinds[token + i] * rows, (const float *)part.values + i * part.ld,
				rows);
	}
	return (struct exact_operand){ work->sums, rows, part.grids };
}

/* As linear_gradient does it, but contracting over kinds. A kind that no token of the chunk has is a row of x that may
 * be off its grid; but what it is multiplied with is 0. */
static bool linear_gradient_of_kinds(const struct linear *linear, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *chunk, size_t first, size_t count, bool add, float *gradient)
{
	struct exact_operand x = exact_part(engine, chunk->x, linear->in, chunk->kind_count, linear->in,
		chunk->x_largest, work->rounded);

	if (x.values == NULL)
		return false;
	if (work->check != NULL)
		exact_project(engine, work->check->vectors, x, linear->in, chunk->kind_count, true, work->projected);
	for (size_t row = 0; row < count; row += LINEAR_PART_ROWS) {
		struct exact_product product = linear_part_product(linear, work, x, first, row,
			size_min(count - row, LINEAR_PART_ROWS), chunk->kind_count, gradient);

		product.a = linear_sum_kinds(linear, engine, work, chunk, first + row, product.m);
		profile_lap(work->profile, PROFILE_QUANTISE);
		if (product.a.values == NULL)
			return false;
		exact_add_part(engine, &product, true, add, work->scratch);
		exact_end_parts(engine, &product, add, work->scratch);
		profile_lap(work->profile, PROFILE_PRODUCT);
	}
	if (work->check != NULL)
		freivalds_settle(work->check);
	return linear_is_right(work);
}

/* Tokens outside, rows inside: x is rounded once for all rows, and its projection, which the check needs, is made once.
 * The sums of all rows are under way at the same time, each at its own place in scratch, and so are their checks: what
 * was expected of all parts is settled together in the end. */
bool linear_gradient(const struct linear *linear, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *chunk, size_t first, size_t count, bool add, float *gradient)
{
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	if (chunk->kinds != NULL)
		return linear_gradient_of_kinds(linear, engine, work, chunk, first, count, add, gradient);
	for (size_t token = 0; token < chunk->tokens; token += LINEAR_TOKENS) {
		size_t tokens = size_min(chunk->tokens - token, LINEAR_TOKENS);
		struct exact_operand x = exact_part(engine, chunk->x + token * linear->in, linear->in, tokens,
			linear->in, chunk->x_largest, work->rounded);

		if (x.values == NULL)
			return false;
		if (work->check != NULL)
			exact_project(engine, work->check->vectors, x, linear->in, tokens, true, work->projected);
		for (size_t row = 0; row < count; row += LINEAR_PART_ROWS) {
			struct exact_product product = linear_part_product(linear, work, x, first, row,
				size_min(count - row, LINEAR_PART_ROWS), tokens, gradient);

			if (!linear_add_part(linear, engine, work, chunk, &product, first + row, token, add,
				    (float *)work->scratch + row * linear->in))
				return false;
		}
	}
	if (work->check != NULL)
		freivalds_settle(work->check);
	return linear_is_right(work);
}
