/* A start-up check that this build on this machine, with a kind of backend, computes the bits that all nodes agree on.
 *
 * Runs products on adversarial operands and each operation between them (ml/kernel/probe.h), and a small step with its
 * updates, a segment, and their merge; and compares a digest of all results with the one embedded here. A node must not
 * run on a kind that fails it. */
#ifndef ATELIER_ML_SELFTEST_H
#define ATELIER_ML_SELFTEST_H

#include <stdbool.h>

#include "ml/backend.h"
#include "util/error.h"

/* Takes some tens of milliseconds. False with a reason if the machine lacks the kind, or the digest differs. */
bool selftest_run(const struct backend_kind *kind, struct errmsg *err);

/* The same while a node runs, on any thread: for a kind whose results are in doubt. It runs once in
 * SELFTEST_PAUSE_MS at most; whoever asks in between is told what it found: so doubts may come as often as
 * they like. */
enum { SELFTEST_PAUSE_MS = 10000 };
bool selftest_again(const struct backend_kind *kind, struct errmsg *err);

/* The kind a user names: openblas, onednn or reference, which must pass the check, or auto: the fastest that passes.
 * False with a reason if there is none. */
bool selftest_choose(const char *name, const struct backend_kind **kind, struct errmsg *err);

#endif
