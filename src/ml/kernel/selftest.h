/* A start-up check that this build on this machine, with an engine, computes the bits that all nodes agree on.
 *
 * Runs products on adversarial operands (ties, largest mantissas, subnormals, zeros of both signs, odd shapes), each
 * operation between them, whose last bits a compiler changes that contracts a * b + c, and a small step with its
 * updates; and compares a digest of all results with the one embedded here. A node must not run on an engine that fails
 * it. */
#ifndef ATELIER_ML_KERNEL_SELFTEST_H
#define ATELIER_ML_KERNEL_SELFTEST_H

#include <stdbool.h>

#include "ml/kernel/engine.h"
#include "util/error.h"

/* Takes some tens of milliseconds. False with a reason if the machine lacks the engine, or the digest differs. */
bool selftest_run(enum engine engine, struct errmsg *err);

/* The same while a node runs, on any thread: for an engine whose results are in doubt. It runs once in
 * SELFTEST_PAUSE_MS at most; whoever asks in between is told what it found: so doubts may come as often as
 * they like. */
enum { SELFTEST_PAUSE_MS = 10000 };
bool selftest_again(enum engine engine, struct errmsg *err);

/* The engine a user names: openblas, onednn or reference, which must pass the check, or auto: the fastest that passes.
 * False with a reason if there is none. */
bool selftest_choose(const char *name, enum engine *engine, struct errmsg *err);

#endif
