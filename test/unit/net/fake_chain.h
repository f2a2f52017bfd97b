/* A chain for the tests of src/net: blocks without rules, verified when the test says so.
 *
 * It implements the part of chain/chain.h that the network uses. What a block or proof is comes from the first byte of
 * its digest, so that a test can make false ones; everything else is right. Work is one a block. Link it before
 * libnet.a, in place of libchain.a. */
#ifndef ATELIER_TEST_FAKE_CHAIN_H
#define ATELIER_TEST_FAKE_CHAIN_H

#include "chain/chain.h"

enum { FAKE_GOOD = 0, FAKE_OWN_PROOF_FALSE = 0xff, FAKE_LOOSE_PROOF_FALSE = 0xfe };

/* The spec that all fake chains share. */
const struct spec *fake_spec(void);

struct chain *fake_chain_new(void);
void fake_chain_free(struct chain *chain);

/* Mines count blocks on a parent (NULL: the tip) and connects them at once; `salt` makes the branch another one. The
 * last one's digest starts with `kind`; a false one stays unconnected but can be served. Returns the last. */
const struct index_entry *fake_chain_mine(struct chain *chain, const struct index_entry *parent, size_t count,
	uint8_t salt, uint8_t kind);

/* Gives the verdict over one block or proof that waits for it; false: none does. */
bool fake_chain_step(struct chain *chain);

/* A loose proof on the tip, taken as if mined here (right or not). */
struct header fake_chain_prove(struct chain *chain, uint8_t salt, uint8_t kind);

/* A transaction with one P2TR output, put into the mempool; writes its wtxid. Or that alone. */
void fake_chain_make_spend(uint8_t salt, uint8_t wtxid[32]);
void fake_chain_spend(struct chain *chain, uint8_t salt, uint8_t wtxid[32]);

/* A blob, a text: held, or wanted in that size from the peer `source`. One that begins with "false" is not what was
 * asked for; of one that begins with "vain" no more is to be asked for than that. */
void fake_chain_hold_blob(struct chain *chain, const uint8_t root[32], const char *text);
void fake_chain_want_blob(struct chain *chain, const uint8_t root[32], uint64_t size, uint64_t source);
/* It is that peer's turn, and nobody else's; who fails gets no other. */
void fake_chain_give_turn(struct chain *chain, const uint8_t root[32], uint64_t size, uint64_t peer);
size_t fake_chain_drafts(const struct chain *chain); /* blobs that are coming in */
/* Parts of blobs cannot be read yet; or they can. */
void fake_chain_unready(struct chain *chain, bool unready);
/* What was wanted before is not; and nothing is, until that is over. */
void fake_chain_want_nothing(struct chain *chain, bool nothing);

/* Requests for blobs that it was told of, and how many of them ended without the bytes. */
void fake_chain_blob_requests(const struct chain *chain, size_t *asked, size_t *failed);
/* The bytes of a blob up to the end of the last part that it was told of. */
size_t fake_chain_came(const struct chain *chain);

/* No more headers are taken until chain_forget_headers is called. */
void fake_chain_fill_headers(struct chain *chain);

/* From now on blocks are judged even if their source has left, as if they had been in work by then. */
void fake_chain_keep(struct chain *chain);

/* So much room for blocks, whatever is held. */
void fake_chain_room(struct chain *chain, size_t bytes);

/* From now on it says to new peers that it prunes. */
void fake_chain_prune(struct chain *chain);

/* From now on blocks cannot be read. */
void fake_chain_lose_blocks(struct chain *chain);

#endif
