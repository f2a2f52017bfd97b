/* An engine that is wrong now and then: stands in for ml/kernel/engine.c, and spoils one sum of chosen products.
 *
 * The reference engine is never spoiled, as on a machine whose BLAS is at fault. */
#ifndef ATELIER_TEST_FAULTY_ENGINE_H
#define ATELIER_TEST_FAULTY_ENGINE_H

#include "ml/kernel/engine.h"

void sound_multiply(enum engine engine, const struct engine_product *p);
#define engine_multiply sound_multiply
#include "ml/kernel/engine.c"
#undef engine_multiply

enum fault { FAULT_LAST_BIT, FAULT_LARGE, FAULT_NAN, FAULT_EXCHANGED, FAULT_MINUS_ZERO };

/* Products first .. last - 1 are spoiled, counted from engine_fault on; `spoiled` of them had a sum to spoil. */
static struct faulty {
	enum fault fault;
	bool reference; /* is spoiled too */
	size_t first, last, products, spoiled;
} faulty;

static inline void engine_fault(enum fault fault, size_t first, size_t last)
{
	faulty = (struct faulty){ .fault = fault, .first = first, .last = last };
}

/* A sum that is not zero, or is, from a place on that differs from product to product; NULL: there is none. */
static uint32_t *some_sum(const struct engine_product *p, bool zero)
{
	uint32_t *sums = p->y;

	for (size_t i = 0, at = faulty.products * 7919; i < p->m * p->n; i++, at++) {
		uint32_t *sum = &sums[at / p->n % p->m * p->ldy + at % p->n];

		if ((*sum == 0) == zero)
			return sum;
	}
	return NULL;
}

static void spoil(const struct engine_product *p, bool floats)
{
	uint32_t *sum = some_sum(p, faulty.fault == FAULT_MINUS_ZERO), *sums = p->y, kept = sums[0];

	if (sum == NULL || (faulty.fault == FAULT_EXCHANGED && sums[0] == *sum))
		return;
	faulty.spoiled++;
	switch (faulty.fault) {
	case FAULT_LAST_BIT:
		*sum ^= 1;
		return;
	case FAULT_LARGE: /* for integers, more than any sum, but not so much that adding a part to it overflows */
		*sum ^= floats ? 1u << 24 : 1u << 25;
		return;
	case FAULT_NAN:
		*sum = floats ? 0x7fc00000u : 1u << 25;
		return;
	case FAULT_MINUS_ZERO:
		*sum = floats ? 0x80000000u : 1;
		return;
	case FAULT_EXCHANGED:
		sums[0] = *sum;
		*sum = kept;
		return;
	}
}

void engine_multiply(enum engine engine, const struct engine_product *p)
{
	sound_multiply(engine, p);
	if (engine == ENGINE_REFERENCE && !faulty.reference)
		return;
	if (faulty.products >= faulty.first && faulty.products < faulty.last)
		spoil(p, engine_form(engine) == ENGINE_FLOATS);
	faulty.products++;
}

#endif
