/* Blobs in parts; what others see of it is in chain/chain.h. */
#ifndef ATELIER_CHAIN_INTAKE_BLOB_PARTS_H
#define ATELIER_CHAIN_INTAKE_BLOB_PARTS_H

#include "chain/chain.h"

/* Has what this node may train on soon looked at, after a start: the newest data, so many bytes of them, one after the
 * other, so that the loop need not when a step draws them. */
void blob_parts_check_ahead(struct chain *chain);
/* No job is under way when it returns. */
void blob_parts_stop(struct chain *chain);

#endif
