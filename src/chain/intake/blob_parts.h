/* Blobs in parts; what others see of it is in chain/chain.h. */
#ifndef ATELIER_CHAIN_INTAKE_BLOB_PARTS_H
#define ATELIER_CHAIN_INTAKE_BLOB_PARTS_H

#include "chain/chain.h"

/* No job is under way when it returns. */
void blob_parts_stop(struct chain *chain);

#endif
