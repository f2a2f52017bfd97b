/* The tip, and what is looked up in the index: the ground that the other modules of the chain stand on. */
#ifndef ATELIER_CHAIN_TIP_H
#define ATELIER_CHAIN_TIP_H

#include "chain/index.h"

/* The tip with all that the chain knows of it. chain_tip is the part of it that others see. */
struct full_entry *tip_full(const struct chain *chain);
/* Once the tip is a day old at most, the first download is over, for good. */
void tip_end_download(struct chain *chain);

#endif
