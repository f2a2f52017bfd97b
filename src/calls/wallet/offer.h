/* The bytes that contributedata is given: read, without the pages that no chain takes if that is wanted, and judged
 * before anything is spent. Each function answers the request where it returns false. */
#ifndef ATELIER_CALLS_WALLET_OFFER_H
#define ATELIER_CALLS_WALLET_OFFER_H

#include "chain/chain.h"
#include "rpc/method.h"

struct offer {
	struct buf bytes;
	json_t *left_out; /* numbers of the file's pages of 4096 bytes; NULL: none were to be left out */
};

void offer_init(struct offer *offer);
void offer_clear(struct offer *offer);

/* From the params `file` or `hexdata`, and `leave_out_pages`. */
bool offer_read(struct rpc_request *offer_request, const struct spec *spec, struct offer *offer);
/* Whether a worker looks at them first: then `told` is called when offer_judge answers at once. */
bool offer_judge_soon(struct chain *chain, const struct offer *offer, void (*told)(void *context), void *context);
/* Whether these bytes could be registered on the tip. Bytes that are registered are not judged: what else is said of
 * them says it better. */
bool offer_judge(struct rpc_request *offer_request, struct chain *chain, const struct offer *offer);
/* Adds what was left out to the answer. */
json_t *offer_show(const struct offer *offer, json_t *answer);

#endif
