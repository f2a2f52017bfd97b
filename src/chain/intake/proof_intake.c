/* Proofs that come by themselves: strangers' loose ones, and all that this node's own miner computed. */
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "crypto/hash.h"

static bool intake_own_body_fits(const struct chain *chain, const struct header *own_header, const uint8_t *own_body,
	struct reject *reject)
{
	uint8_t own_digest[32];

	sha256(own_digest, own_body, block_body_size(chain->spec));
	return memcmp(own_digest, own_header->digest, 32) == 0 ||
		reject_set(reject, REASON_BAD_PROOF_BODY, "the body does not hash to the digest");
}

/* Our own step needs no execution: the body is what it gave. There may be no place for it all the same. */
static enum chain_result intake_own_proof(struct chain *chain, const struct header *own_header, const uint8_t *own_body,
	struct reject *reject)
{
	const struct index_entry *own_parent;
	enum chain_result own_checked = loose_pool_check(chain, own_header, &own_parent, reject);

	if (own_checked == CHAIN_KNOWN || own_checked == CHAIN_ORPHAN)
		return own_checked;
	/* Not yet: with a block's ticket it is late as soon as another block is there. */
	if (own_checked == CHAIN_REJECTED && reject->code != REJECT_NOT_YET)
		return own_checked;
	proof_cache_put(chain->proofs, own_header, PROOF_RIGHT, own_body);
	if (own_checked == CHAIN_REJECTED) {
		candidates_keep(chain, own_header);
		return CHAIN_NEW;
	}
	if (!candidates_put(chain, own_header)) {
		reject_set(reject, REASON_LOOSE_POOL_FULL, "enough proofs of its parent wait for a block");
		return CHAIN_REJECTED;
	}
	NOTIFY(&chain->notices, proof_verdict, own_header, &(const struct source){ 0 }, NULL);
	return CHAIN_NEW;
}

enum chain_result chain_add_own_proof(struct chain *chain, const struct header *own_header, uint8_t *own_body,
	struct reject *reject)
{
	enum chain_result own_result = chain->failed ? CHAIN_ERROR : CHAIN_REJECTED;

	if (!chain->failed && intake_own_body_fits(chain, own_header, own_body, reject))
		own_result = intake_own_proof(chain, own_header, own_body, reject);
	free(own_body);
	return halt_explain(chain, own_result, reject);
}

/* It goes the way of all blocks from here, and finds its own proof among those executed. */
enum chain_result chain_add_own(struct chain *chain, const struct block *block, uint8_t *own_body,
	struct reject *reject)
{
	enum chain_result own_result = CHAIN_REJECTED;

	if (intake_own_body_fits(chain, &block->header, own_body, reject)) {
		proof_cache_put(chain->proofs, &block->header, PROOF_RIGHT, own_body);
		own_result = chain_add_block(chain, block, NULL, reject);
	} else {
		block_unref(block);
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
