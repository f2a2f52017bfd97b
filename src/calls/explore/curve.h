/* What blocks did to the model, over many of them, thinned to so many points: from the outcomes in the index, without
 * reading a block. A point stands for blocks that follow each other, as many as for any other or one less, and has the
 * height and time of the last. */
#ifndef ATELIER_CALLS_EXPLORE_CURVE_H
#define ATELIER_CALLS_EXPLORE_CURVE_H

#include "calls/explore/past.h"
#include "rpc/json.h"

enum { CURVE_POINTS_MAX = 2000 };

/* What one dataset was worth since its registration: arrays of equal length. */
json_t *curve_show_dataset(const struct chain *chain, struct past *past, uint32_t number, size_t points);

#endif
