/* The merge of a round: what many runs from one base state changed becomes one step of an outer optimiser.
 *
 * For experiments before rounds are built (bench/train.h): nodes do not merge anything yet. */
#ifndef ATELIER_BENCH_MERGE_H
#define ATELIER_BENCH_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"

enum { MERGE_RUNS_MAX = 64 };

struct merge_job {
	struct model *model;    /* in which the losses are computed; of the weights' configuration */
	const uint8_t *windows; /* [rows][ctx + 1] */
	size_t rows;            /* 1 at least */
	float *const *changes;  /* [count] of [n] each: a run's weights less the base's; NULL: this run has no result */
	size_t count;           /* 1 .. MERGE_RUNS_MAX */
	float mu, eta, gate;    /* momentum and rate; how many times the loss before a loss after may be */
};

struct merge_outcome {
	uint32_t merged; /* runs that were not left out */
	bool is_void;
};

/* Replaces theta and the momentum v, n floats each. A run is left out if it is more than three times as long as the
 * median, or if the base changed by it alone fails the gate. The sum of the others, divided by their number or by 3 if
 * they are fewer, is the update. Where it fails the gate, or nothing is left, the merge is void: theta stays, v is 0.
 */
void merge_execute(const struct merge_job *job, float *theta, float *v, struct merge_outcome *outcome);

#endif
