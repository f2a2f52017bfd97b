/* What the tests of the chain share: a tiny private spec whose steps take a millisecond, a chain on it in a scratch
 * folder, a miner in the same process, and transactions that spend its coinbases. */
#ifndef ATELIER_TEST_CHAIN_HELPER_H
#define ATELIER_TEST_CHAIN_HELPER_H

#include "chain/chain.h"
#include "unit.h"

struct helper {
	struct spec *spec;
	struct queue *queue;
	struct chain *chain;
	char *folder;
	bool reindex;   /* of the next open */
	uint32_t prune; /* of all: blocks that are kept; 0: all */
	size_t mempool_bytes, held_bytes;
	unsigned threads;            /* of the queue; 0: two */
	uint8_t secret[32], key[32]; /* whom blocks pay */
	/* What the chain told since the last helper_forget: */
	size_t proven, verified, refused, connected, disconnected, tips;
	size_t proofs_right, proofs_wrong, txs_added, txs_removed, blobs_wanted, fatals;
	char reason[64];      /* of the last refusal */
	struct source source; /* of the last block that was judged */
	uint8_t wanted[32];
};

/* One folder, one spec; the chain is open. */
void helper_start(struct helper *h);
void helper_stop(struct helper *h); /* closes, and removes the folder */
/* Pays another key from now on: mining is deterministic, and one key's blocks on one tip are the same. */
void helper_key(struct helper *h, uint32_t number);
void helper_open(struct helper *h);
void helper_close(struct helper *h);
void helper_forget(struct helper *h);

/* The one spec of a test program, made at first use; with rounds if that is said before. */
struct spec *helper_spec(void);
void helper_use_rounds(void); /* of 8 blocks: 3 to work, 3 to disclose, 4 segments of 2 iterations */

/* Waits until no job is under way. */
void helper_settle(struct helper *h);

/* Tries nonces until the ticket is a block's, or a loose proof's; the caller owns the body. */
uint8_t *helper_solve(struct helper *h, struct block *block, bool loose);
/* Mines so many blocks on the tip. */
void helper_mine(struct helper *h, size_t count);
/* One loose proof for the tip. */
void helper_mine_loose(struct helper *h);
/* Mines a block from this template (taken) and expects that result and reason. */
enum chain_result helper_offer(struct helper *h, struct block *block, struct reject *reject);

/* A stranger: peer `number` at an address of its own. */
const struct source *helper_source(uint8_t number);

/* Hands blocks of one chain's active branch, heights first..last, to another, as stranger 7. */
void helper_feed(struct helper *to, struct helper *from, uint32_t first, uint32_t last);

/* The outpoint of the first output of the coinbase at that height, and its amount. */
int64_t helper_coinbase(struct helper *h, uint32_t height, struct outpoint *outpoint);
/* A signed and sealed transaction: one input of `amount`, `fee` less in one output to the same key, and, if data is not
 * NULL, a contribution of it with its burn. */
const struct tx *helper_spend(struct helper *h, const struct outpoint *outpoint, int64_t amount, int64_t fee,
	const uint8_t *data, size_t size);
/* A contribution of the data, owned by the helper's key, whose commitment has a salt of this byte; those of
 * helper_spend have 0. */
struct contribution helper_contribution(struct helper *h, const uint8_t *data, size_t size, uint8_t salt);
/* Mines a block with commitments to contributions, paid for by the coinbase at that height; those of helper_commit are
 * of helper_bytes of that size, for each number from first to last. */
void helper_commit_to(struct helper *h, uint32_t height, const struct contribution *contributions, size_t count);
void helper_commit(struct helper *h, uint32_t height, size_t size, unsigned first, unsigned last, uint8_t salt);
/* Signs all inputs, each of which spends `amount`. */
void helper_sign(struct helper *h, struct tx *tx, int64_t amount);

/* Files of the folder, by a shell pattern: removed, or one bit flipped at an offset (negative: from the end). */
void helper_remove(struct helper *h, const char *pattern);
size_t helper_files(struct helper *h, const char *pattern); /* how many */
void helper_flip(struct helper *h, const char *pattern, long offset);

/* Some bytes, the same for the same number. */
void helper_bytes(uint8_t *out, size_t size, unsigned number);

#endif
