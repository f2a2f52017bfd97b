/* Weights that strangers choose: starts of segments as whoever forges a run could send them to be audited.
 *
 * A code within bounds (ml/run.h) is all that an audit asks of where it starts, so that many are possible which no
 * training leads to: all at the bound, all alike, all but nothing left of the base, in each tensor another of these. On
 * all of them every engine has to give the same bits, and none may take much longer than on honest ones. */
#ifndef ATELIER_BENCH_HOSTILE_H
#define ATELIER_BENCH_HOSTILE_H

#include <stdint.h>

#include "ml/run.h"

/* Fills code (run_code_size bytes) with start `number` for runs from this base: always the same, and within bounds. */
void hostile_start(const struct train_config *config, const struct state *base, uint32_t number, uint8_t *code);

#endif
