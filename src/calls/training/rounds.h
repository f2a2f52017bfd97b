/* Rounds, and this node's own runs, as other answers show them. */
#ifndef ATELIER_CALLS_TRAINING_ROUNDS_H
#define ATELIER_CALLS_TRAINING_ROUNDS_H

#include "calls/calls.h"
#include "rpc/json.h"

/* How many of them are how far, those of rounds that are over left out, and how many have a segment in work. */
json_t *rounds_show_training(const struct runner *runner);

/* The round that the next block lies in: getrounds' object, with a short one for each seat. NULL: there is none. */
json_t *rounds_show_newest(const struct calls_parts *parts);
/* Of the runs of rounds that are not over: one that is being trained, else the newest; NULL: there is none. */
json_t *rounds_show_foremost(const struct calls_parts *parts);

#endif
