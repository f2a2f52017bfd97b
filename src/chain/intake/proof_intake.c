/* Proofs that come by themselves: strangers' loose ones, and all that this node's own miner computed. */
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "crypto/hash.h"

/* Our own step needs no execution: the body is what it gave. The pool may be full all the same. */
static enum chain_result intake_own_loose(struct chain *chain, const struct header *own_header, const uint8_t *own_body,
	struct reject *reject)
{
	struct parent_view parent_view;

	if (memcmp(own_header->prev, chain_tip(chain)->id, 32) != 0) {
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_PARENT, "the tip has moved on");
		return CHAIN_ORPHAN;
	}
	index_parent_view(chain_tip(chain), &parent_view);
	if (!block_check_loose(chain->spec, own_header, &parent_view, loose_pool_latest(chain->spec, &parent_view),
		    reject))
		return CHAIN_REJECTED;
	proof_cache_put(chain->proofs, own_header, PROOF_RIGHT, own_body);
	if (!loose_pool_put(chain->loose, own_header)) {
		reject_set(reject, REASON_LOOSE_POOL_FULL, "enough proofs wait for the next block");
		return CHAIN_REJECTED;
	}
	NOTIFY(&chain->notices, proof_verdict, own_header, &(const struct source){ 0 }, NULL);
	return CHAIN_NEW;
}

/* The ticket tells a block from a loose proof. A block goes the way of all blocks from here, and finds its own proof
 * among those executed. Takes block and body, whatever comes of them. */
enum chain_result chain_add_own(struct chain *chain, const struct block *block, uint8_t *own_body,
	struct reject *reject)
{
	const struct header own_header = block->header;
	enum chain_result own_result;
	uint8_t own_digest[32], own_ticket[32];
	struct u256 own_target;

	sha256(own_digest, own_body, block_body_size(chain->spec));
	header_ticket(&own_header, own_ticket);
	if (memcmp(own_digest, own_header.digest, 32) != 0 || !target_from_compact(own_header.bits, &own_target)) {
		reject_set(reject, REASON_BAD_PROOF_BODY, "the body does not hash to the digest");
		block_unref(block);
		own_result = CHAIN_REJECTED;
	} else if (target_met(own_ticket, own_target)) {
		proof_cache_put(chain->proofs, &own_header, PROOF_RIGHT, own_body);
		own_result = chain_add_block(chain, block, NULL, reject);
	} else {
		block_unref(block);
		own_result = chain->failed ? CHAIN_ERROR : intake_own_loose(chain, &own_header, own_body, reject);
	}
	free(own_body);
	return halt_explain(chain, own_result, reject);
}

/* The pool takes it, and the loop begins it if a worker may be had. */
enum chain_result chain_add_loose(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject)
{
	enum chain_result loose_result = chain->failed ? CHAIN_ERROR : loose_pool_add(chain, header, source, reject);

	if (loose_result == CHAIN_NEW)
		choose_advance(chain);
	return halt_explain(chain, loose_result, reject);
}
