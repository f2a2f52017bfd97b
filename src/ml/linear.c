#include "ml/float.h"

#include "ml/linear.h"

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

size_t linear_rounded_size(size_t tokens, size_t widest)
{
	return exact_operand_size(larger(tokens, LINEAR_PART), widest);
}

size_t linear_part_size(void)
{
	return exact_operand_size(LINEAR_PART, LINEAR_ROWS);
}

size_t linear_scratch_size(size_t tokens, size_t widest)
{
	return exact_scratch_size(larger(tokens, LINEAR_ROWS), widest);
}

bool linear_round(struct linear *l, enum engine engine, const float *theta, bool backward)
{
	l->by_rows = exact_rows(engine, theta + l->offset, l->out, l->in, l->memory[0]);
	if (backward)
		l->by_columns = exact_columns(engine, theta + l->offset, l->out, l->in, l->memory[1]);
	return l->by_rows.values && (!backward || l->by_columns.values);
}

void linear_take(struct linear_work *work, enum engine engine, const float *x, size_t tokens, size_t width, size_t first,
		 size_t count, int32_t *largest)
{
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	if (first == 0)
		work->refused = false;
	if (first == 0 && largest)
		memset(largest, 0, width * sizeof(*largest));
	if (!exact_some_rows(engine, x, tokens, width, first, count, work->rounded, largest))
		work->refused = true;
	profile_lap(work->profile, PROFILE_QUANTISE);
}

static bool multiply(enum engine engine, const struct linear_work *work, const struct exact_product *p)
{
	if (work->refused)
		return false;
	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	exact_multiply(engine, p, work->scratch);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return true;
}

bool linear_forward(const struct linear *l, enum engine engine, const struct linear_work *work, const float *x, size_t tokens,
		    float *y)
{
	return multiply(engine, work, &(struct exact_product){
		.m = tokens, .n = l->out, .k = l->in,
		.a = exact_rows_operand(engine, x, tokens, l->in, work->rounded),
		.b = l->by_rows,
		.y = y, .ldy = l->out,
	});
}

bool linear_backward(const struct linear *l, enum engine engine, const struct linear_work *work, const float *dy, size_t tokens,
		     float *dx)
{
	return multiply(engine, work, &(struct exact_product){
		.m = tokens, .n = l->in, .k = l->out,
		.a = exact_rows_operand(engine, dy, tokens, l->out, work->rounded),
		.b = l->by_columns, .b_transposed = true,
		.y = dx, .ldy = l->in,
	});
}

bool linear_gradient(const struct linear *l, enum engine engine, const struct linear_work *work, const struct linear_chunk *c,
		     size_t first, size_t count, bool add, float *gradient)
{
	struct exact_product p = {
		.m = count, .n = l->in, .a_transposed = true, .b_transposed = true,
		.y = gradient + l->offset + first * l->in, .ldy = l->in,
	};

	profile_lap(work->profile, PROFILE_ELEMENTWISE);
	for (size_t token = 0; token < c->tokens; token += LINEAR_PART) {
		p.k = c->tokens - token < LINEAR_PART ? c->tokens - token : LINEAR_PART;
		p.a = exact_part(engine, c->dy + token * l->out + first, l->out, p.k, count, c->dy_largest + first, work->part);
		p.b = exact_part(engine, c->x + token * l->in, l->in, p.k, l->in, c->x_largest, work->rounded);
		profile_lap(work->profile, PROFILE_QUANTISE);
		if (!p.a.values || !p.b.values)
			return false;
		exact_add_part(engine, &p, token == 0, add, work->scratch);
		profile_lap(work->profile, PROFILE_PRODUCT);
	}
	exact_end_parts(engine, &p, add, work->scratch);
	profile_lap(work->profile, PROFILE_PRODUCT);
	return true;
}
