/* Round transactions that wait, as the chain has them: who offers them gets a place or is refused one, turns end, and
 * what nobody offers any more goes, with its bytes. What is false is held against all who offered it, whether they are
 * still there or not: each gave his word for it. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_LINE_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_LINE_H

#include "chain/mempool/round_pool.h"

/* A transaction goes. reason NULL: a block has it, so its bytes are that block's. */
void round_line_drop(struct chain *chain, struct round_entry *entry, const char *reason);
/* All others of that kind for that seat: there can be one. */
void round_line_drop_rivals(struct chain *chain, const struct round_tx *round_tx, const uint8_t txid[32]);

/* Whether an offer of this source may wait, for one that is known, or (NULL) is to be put; whoever has to give way has
 * done so then, and is asked again later. False: NOT_YET, or it is silenced. */
bool round_line_make_place(struct chain *chain, const struct round_tx *round_tx, struct round_entry *known,
	const struct source *source, struct reject *reject);
/* Whether nothing is taken of it. */
bool round_line_refuses(const struct chain *chain, const struct source *source, struct reject *reject);
void round_line_offer(struct chain *chain, struct round_entry *entry, const struct source *source);

/* No branch can have it, and it goes: all who offered it are heard no more in this round, nor before `until` (monotonic
 * milliseconds), and nothing else that they offer is asked for or executed. */
void round_line_convict(struct chain *chain, struct round_entry *entry, const char *reason, int64_t until);
/* It goes too, but may be right on another branch: there another block can be the beacon, and a seat can have committed
 * to something else, as its key signs what it likes. If he were not heard any more who comes from there, he could not
 * say in time what is right here when he has come over, and seats be struck for it: so he may bring as many as that
 * branch has. That it costs us bytes, or a look at bytes that are here, is held against who sent them and all who
 * offered it, commitments apart: they come after others, as if a turn had passed. */
void round_line_doubt(struct chain *chain, struct round_entry *entry, const char *reason);
/* The same of what one has sent in his turn for it, and only he loses his place: others may have other bytes. */
void round_line_doubt_sender(struct chain *chain, struct round_entry *entry);
/* The same of what was not let in. */
void round_line_note_fault(struct chain *chain, const struct source *source);

/* What this peer is asked for now, with that blob; NULL: nothing. */
struct round_entry *round_line_asked(const struct chain *chain, const uint8_t root[32], uint64_t peer);

/* What the net tells: who is asked does not send, a connection is gone, time has passed. */
void round_line_failed(struct chain *chain, const uint8_t root[32], uint64_t peer);
void round_line_peer_gone(struct chain *chain, uint64_t peer);
void round_line_end_overdue(struct chain *chain);

#endif
