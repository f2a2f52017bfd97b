/* The explorer's index: for every key the sums of explorer/book.h, the transactions that touched it, and a ranking of
 * those that gave something, for anybody who wants to look: no wallet is needed.
 *
 * It lies in a LevelDB of its own, `explorer/`, beside the chain's, and follows the chain's notices; what it is behind,
 * at the first start or after one with -explorer=0, it reads in slices, from the tick. All of it is derived: a block is
 * one batch, not synced, which a crash may take back; what is damaged is removed and made again; and where the disk
 * fails, or a block cannot be read, it is off until the next start, and nothing else is. Everything runs on the loop's
 * thread.
 *
 *   t                                            u8 version, id of the block that it is level with, u32 of keys in rank
 *   k <key 32>                                   book_sums: i64 each
 *   h <key 32> <~u32 height> <~u32 place>        i64 change of the balance, txid, u8 a stake that was lost
 *   e <~u64 earned> <key 32>                     in rank: nothing
 *
 * Numbers in keys are big-endian, and inverted, so that the newest and the largest come first. */
#ifndef ATELIER_EXPLORER_EXPLORER_H
#define ATELIER_EXPLORER_EXPLORER_H

#include "chain/chain.h"
#include "explorer/book.h"

struct explorer;

/* Opens or makes the index in the chain's folder; `anew`: what is there is removed first. The chain, which outlives it,
 * is subscribed to. */
struct explorer *explorer_open(struct chain *chain, const char *folder, bool anew);
void explorer_close(struct explorer *explorer);

/* Catches up for a twentieth of a second; true: there is more to catch up with, call soon. */
bool explorer_tick(struct explorer *explorer);

/* Why it is off; NULL: it is not. */
const char *explorer_off(const struct explorer *explorer);
/* The block that it is level with: what it says is of that one. The tip, unless it is catching up. */
const struct index_entry *explorer_at(const struct explorer *explorer);

/* All of these: false if the index is off, or, as it turned out now, cannot be read. */

/* Of a key that no block knows all are 0. */
bool explorer_look(struct explorer *explorer, const uint8_t key[32], struct book_sums *sums);

/* The transactions that touched a key, the newest first, at most `count` after `skip`. */
struct explorer_tx {
	uint32_t height;
	int64_t amount; /* by which it changed the balance */
	bool is_struck; /* a stake that was lost; then of the coinbase that it was in: */
	uint8_t txid[32];
};
typedef void explorer_visit_tx(void *context, const struct explorer_tx *tx);
bool explorer_each_tx(struct explorer *explorer, const uint8_t key[32], size_t skip, size_t count,
	explorer_visit_tx *visit, void *context);

/* Keys that gave something (book_gave), who earned most first, at most `count` after `skip`; and how many there are. */
typedef void explorer_visit_key(void *context, const uint8_t key[32], const struct book_sums *sums);
bool explorer_each_key(struct explorer *explorer, size_t skip, size_t count, explorer_visit_key *visit, void *context);
uint32_t explorer_ranked(const struct explorer *explorer);

#endif
