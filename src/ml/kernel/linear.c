/* A weight matrix: rounded once, multiplied by tiles of tokens; and its gradient, by parts of a chunk. */
#include "ml/kernel/linear.h"

#include "ml/kernel/float.h"
#include "util/size.h"

/* Rows of W in a part of a gradient. */
enum { PART_ROWS = 256 };

size_t linear_rounded_size(size_t tokens, size_t widest)
{
	return exact_operand_size(size_max(tokens, LINEAR_TOKENS), widest);
}

size_t linear_part_size(void)
{
	return exact_operand_size(LINEAR_TOKENS, PART_ROWS);
}

size_t linear_scratch_size(size_t tokens, size_t widest)
{
	return exact_scratch_size(size_max(tokens, LINEAR_ROWS), widest);
}

/* W is rounded along both of its sides, for it contracts over its columns forward and over its rows back: two operands
 * with grids of their own. */
bool linear_round(struct linear *l, enum engine engine, const float *theta, bool backward)
{
	l->by_rows = exact_rows(engine, theta + l->offset, l->out, l->in, l->memory[0]);
	if (backward)
		l->by_columns = exact_columns(engine, theta + l->offset, l->out, l->in, l->memory[1]);
	if (l->by_rows.values == NULL || (backward && l->by_columns.values == NULL))
		return false;
	if (l->vectors != NULL)
		exact_project(engine, l->vectors, l->by_rows, l->out, l->in, false, l->projected[0]);
	if (l->vectors != NULL && backward)
		exact_project(engine, l->vectors, l->by_columns, l->in, l->out, true, l->projected[1]);
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

static bool is_right(const struct linear_work *work)
{
	return work->check == NULL || !work->check->wrong;
}

static bool multiply_checked(enum engine engine, const struct linear_work *work, const struct exact_product *p)
{
	if (work->refused)
		return false;
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	exact_multiply(engine, p, work->scratch);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return is_right(work);
}

bool linear_forward(const struct linear *l, enum engine engine, const struct linear_work *work, const float *x,
	size_t tokens, float *y)
{
	return multiply_checked(engine, work,
		&(struct exact_product){
			.m = tokens,
			.n = l->out,
			.k = l->in,
			.a = exact_rows_operand(engine, x, tokens, l->in, work->rounded),
			.b = l->by_rows,
			.y = y,
			.ldy = l->out,
			.check = work->check,
			.projected = l->projected[0],
		});
}

bool linear_backward(const struct linear *l, enum engine engine, const struct linear_work *work, const float *dy,
	size_t tokens, float *dx)
{
	return multiply_checked(engine, work,
		&(struct exact_product){
			.m = tokens,
			.n = l->in,
			.k = l->out,
			.a = exact_rows_operand(engine, dy, tokens, l->out, work->rounded),
			.b = l->by_columns,
			.b_transposed = true,
			.y = dx,
			.ldy = l->in,
			.check = work->check,
			.projected = l->projected[1],
		});
}

/* One part's rows and tokens of the gradient; p->b is x's. The grids come from the whole chunk's largest sizes, not the
 * part's: so a part's integers are those of the chunk, and the way it is parted changes no bit. */
static bool add_part(const struct linear *l, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *c, struct exact_product *p, size_t row, size_t token, bool add, float *sums)
{
	p->a = exact_part(engine, c->dy + token * l->out + row, l->out, p->k, p->m, c->dy_largest + row, work->part);
	profile_lap(work->profile, PROFILE_QUANTISE);
	if (p->a.values == NULL)
		return false;
	exact_add_part(engine, p, token == 0, add, sums);
	if (token + p->k == c->tokens)
		exact_end_parts(engine, p, add, sums);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return true;
}

/* Tokens outside, rows inside: x is rounded once for all rows, and its projection, which the check needs, is made once.
 * The sums of all rows are under way at the same time, each at its own place in scratch, and so are their checks: what
 * was expected of all parts is settled together in the end. */
bool linear_gradient(const struct linear *l, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *c, size_t first, size_t count, bool add, float *gradient)
{
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	for (size_t token = 0; token < c->tokens; token += LINEAR_TOKENS) {
		size_t tokens = size_min(c->tokens - token, LINEAR_TOKENS);
		struct exact_operand x = exact_part(engine, c->x + token * l->in, l->in, tokens, l->in, c->x_largest,
			work->rounded);

		if (x.values == NULL)
			return false;
		if (work->check != NULL)
			exact_project(engine, work->check->vectors, x, l->in, tokens, true, work->projected);
		for (size_t row = 0; row < count; row += PART_ROWS) {
			struct exact_product p = {
				.m = size_min(count - row, PART_ROWS),
				.n = l->in,
				.k = tokens,
				.a_transposed = true,
				.b_transposed = true,
				.b = x,
				.y = gradient + l->offset + (first + row) * l->in,
				.ldy = l->in,
				.check = work->check,
				.projected = work->projected,
				.check_row = row,
			};

			if (!add_part(l, engine, work, c, &p, first + row, token, add,
				    (float *)work->scratch + row * l->in))
				return false;
		}
	}
	if (work->check != NULL)
		freivalds_settle(work->check);
	return is_right(work);
}
