/* What atelier-bench measures. A command measures one chain and prints its lines (bench/report.h); false: a step of the
 * chain has no result, or it cannot be written.
 *
 * Whatever is compared takes turns within one process, so that what else the machine does disturbs all alike. */
#ifndef ATELIER_BENCH_BENCH_H
#define ATELIER_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/report.h"
#include "consensus/spec.h"
#include "ml/backend.h"

struct bench {
	struct line line;
	const char *chain;
	struct spec spec;
	const struct backend_kind *kind;
	unsigned threads; /* that share a step */
	size_t rounds;
	uint32_t iterations; /* of each measured step; not more than the chain's */
	uint32_t starts;     /* hostile ones */
	const char *folder;  /* where connect keeps its chains while it measures */
};

/* One step, as "<chain> <digest>". */
bool bench_digest(struct bench *bench);

/* What all steps here start from: a line of JSON with the chain's sizes and rates, then theta (binary32) and the
 * windows of a step [iterations][batch][ctx + 1], little-endian; so that other programs can be given the same work. */
bool bench_start(struct bench *bench);

/* Iterations: of the engine, of OpenBLAS and with plain sgemm in turns. */
bool bench_step(struct bench *bench);

/* The model's matrix products, exact and with plain sgemm. */
bool bench_product(struct bench *bench);

/* The delta code. */
bool bench_encode(struct bench *bench);

/* The benchmark gradient, which a block is valued by. */
bool bench_value(struct bench *bench);

/* Bytes of text a second: of 1, 8 and 64 texts side by side, and of a prompt that is read; of the engine and with plain
 * sgemm in turns. */
bool bench_generate(struct bench *bench);

/* A whole block: k + 1 steps, the benchmark, the update. */
bool bench_verify(struct bench *bench);

/* A false proof: the processor time until it is refused, in steps. */
bool bench_refuse(struct bench *bench);

/* Of a chain with rounds: segments of a run, `measured_iterations` long at most, and what follows from them for whole
 * ones: a run, a round's audits, the proofs of its blocks, and what part of two cores a validator needs; bytes shown
 * and kept. */
bool bench_round(struct bench *bench);

/* Segments from hostile starts (bench/hostile.h) on every engine that is there: how many bits differ from the
 * reference's, which is an error, and how much longer than an honest segment the slowest takes. */
bool bench_hostile(struct bench *bench);

/* Blocks of 50 payments, from their bytes to the tip of a chain on disk: all that a node does but the steps, since
 * every proof is known, as of blocks that this node mined. A private chain of its own with the smallest model; `spec`
 * is not looked at. Payments come with their block ("new") or before it ("relayed": their signatures are known). */
bool bench_connect(struct bench *bench);

/* ---- For the commands ---- */

/* H("atelier digest" | name): the seed of the measured steps. */
void bench_seed(const struct spec *spec, uint8_t seed[32]);

/* Windows of a step of this chain, trained on its corpus, with this seed; the caller frees them. */
uint8_t *bench_windows(const struct spec *spec, const uint8_t seed[32]);

#endif
