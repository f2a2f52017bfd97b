/* This node's own runs as other answers show them. */
#ifndef ATELIER_CALLS_TRAINING_ROUNDS_H
#define ATELIER_CALLS_TRAINING_ROUNDS_H

#include "rpc/json.h"
#include "work/runner.h"

/* How many of them are how far, those of rounds that are over left out, and how many have a segment in work. */
json_t *rounds_show_training(const struct runner *runner);

#endif
