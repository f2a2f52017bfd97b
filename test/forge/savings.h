/* What an exact miner saves who remembers, against the node, which multiplies layer 1's rows for q, k and v once for
 * each byte (ml/pass.c): who multiplies all equal rows once, leaves out rows that nobody needs and products with a
 * logit's gradient of 0, and keeps what the first iteration, whose weights all attempts share, brought in earlier ones.
 * Nothing is guessed here, so the result is always right. Finding and fetching rows is taken to cost nothing. */
#ifndef ATELIER_FORGE_SAVINGS_H
#define ATELIER_FORGE_SAVINGS_H

#include "setting.h"
#include "shadow.h"

struct savings {
	double distinct[SHADOW_WAYS]; /* rows that differ from all others, weighed by the work that each is */
	double saved;                 /* share of a step's products and attention */
};

/* Over so many steps; false if one has no result. */
bool savings_measure(const struct setting *setting, uint32_t steps, struct savings *savings);

#endif
