/* `atelier-bench train`: trains a model on a file and tells how well it predicts a part that it never saw.
 *
 * For experiments (doc/numerics.md): the engine, the step and the update are the node's own, there is no chain around
 * them. The first 90 % of the file stand for the spec's corpus, so its last bench_bytes of these are the benchmark;
 * validation windows lie in the last 10 %, 128 of them, the same ones in every run. Three ways to spend the same
 * windows, and one to spend more of them in the same time:
 *
 *     adamw      one AdamW run over minibatches of B windows
 *     gradient   the same, but minibatches of (k + 1) * C * B windows: one gradient a block
 *     network    blocks of k + 1 steps of C minibatches each from the block's state, and the outer update with its gate
 *     rounds     runs of many segments from one base, side by side (ml/run.h), and their merge (ml/merge.h).
 *                Iterations are counted one after the other
 *
 * Everything is drawn from -seed: the same command prints the same numbers, on every machine unless the engine is
 * plain. */
#ifndef ATELIER_BENCH_TRAIN_H
#define ATELIER_BENCH_TRAIN_H

#include <stdbool.h>

#include "ml/backend.h"
#include "util/options.h"

extern const struct option_spec train_options[];

/* Prints a line each -every iterations, JSON if the option "json" is set. False with a reason if the options or files
 * are no good, or an iteration failed. "spec" names a built-in chain; so many threads share its steps. */
bool train_run(const struct options *options, const struct backend_kind *kind, unsigned threads, struct errmsg *err);

#endif
