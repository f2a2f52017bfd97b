/* Blobs that blocks wait for.
 *
 * A block needs the datasets that its proofs train on before its own proof can be executed, and those that it
 * registers, or shows of a round's runs, before the rest of it is: who could make the node wait for bytes that do not
 * exist must have trained for it. */
#ifndef ATELIER_CHAIN_VERIFY_WANTS_H
#define ATELIER_CHAIN_VERIFY_WANTS_H

#include "chain/blobs.h"
#include "chain/chain.h"

struct blob_want {
	uint8_t root[32];
	uint64_t size;
};

struct waiting_block;

/* Whether the blob is here in the size that was registered: a wrong size never comes true. */
bool wants_here(const struct blobs *blobs, const struct blob_want *want);
/* Whether it is, and has been judged (chain/novelty/judge.h). */
bool wants_judged(const struct chain *chain, const struct blob_want *want);
/* What a transaction, or a block, registers; the array is the caller's. Returns how many. */
size_t wants_of_tx(const struct tx *tx, struct blob_want **wants);
size_t wants_of_block(const struct block *block, struct blob_want **wants);
/* The blobs of its disclosures, and of its challenge, in order: no more than a block may have. */
size_t wants_of_round(const struct spec *spec, const struct block *block, struct blob_want **wants);
/* All that is wanted of a block that begins to wait. */
void wants_begin(const struct spec *spec, struct waiting_block *waiting, const struct block *block);
void wants_add(struct waiting_block *waiting, const struct blob_want *missing); /* one more */

/* Whether all is here that the block's next job needs. */
bool wants_met(const struct chain *chain, const struct waiting_block *waiting);
/* Whether a waiting block wants the blob now (of size 0: in any size). */
bool wants_include(const struct chain *chain, const struct blob_want *want);

/* Whether a waiting block registers it: then it has to be judged, which what rounds ask for has not. */
bool wants_register(const struct chain *chain, const uint8_t root[32]);

void wants_ask(struct chain *chain, const struct waiting_block *waiting);      /* tells what is missing */
void wants_tell(const struct chain *chain, const struct chain_events *events); /* all that is missing, to one */
/* And to all: who was told once may have given up. */
void wants_ask_again(struct chain *chain);

#endif
