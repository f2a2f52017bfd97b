/* The coinbase (doc/protocol.md section 13). A block leaves no choice in it: it is built from facts that every node has
 * before the block, and a block's own is compared with that, so who pays whom is a rule in one place. */
#ifndef ATELIER_CONSENSUS_COINBASE_H
#define ATELIER_CONSENSUS_COINBASE_H

#include "consensus/branch/registry.h"

/* What of a block the coinbase depends on. */
struct coinbase_facts {
	uint32_t height;
	int64_t fees;
	const uint8_t *miner; /* 32 bytes */
	const struct header *loose;
	size_t loose_count;
	const struct header *late;
	size_t late_count;
	const struct registry *registry;    /* after the parent */
	const struct block_outcome *parent; /* NULL for block 1 */
};

/* The one coinbase that such a block must have. */
const struct tx *coinbase_build(const struct spec *spec, const struct coinbase_facts *facts);
/* Compares a block's coinbase with it and names the first difference. */
bool coinbase_check(const struct spec *spec, const struct tx *coinbase, const struct coinbase_facts *facts,
	struct reject *reject);

/* Where the parts of the coinbase of a block at that height lie, by its own word: the outputs before `runs` pay proofs
 * and data, those before `outcome` pay runs. One that coinbase_check has not seen may say anything: then these are
 * within its outputs all the same. */
struct coinbase_parts {
	size_t runs, outcome;
	struct merge_statement merge; /* of 0 seats: it states none */
};
void coinbase_part(const struct spec *spec, const struct tx *coinbase, uint32_t height, struct coinbase_parts *parts);

/* What each of its outputs before `outcome` pays for, in their order: for people, and for who keeps books. */
enum coinbase_pays { COINBASE_PROOF, COINBASE_DATA, COINBASE_RUN };
struct coinbase_payment {
	enum coinbase_pays pays;
	size_t number; /* the proof, of block_proof; the seat of the merged round; of data nothing */
	const struct tx_output *output;
};
/* Into `payments`, which has room for as many as the coinbase has outputs; how many there are. */
size_t coinbase_payments(const struct spec *spec, const struct block *block, uint32_t height,
	struct coinbase_payment payments[]);

#endif
