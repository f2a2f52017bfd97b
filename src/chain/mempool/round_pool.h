/* Round transactions that no block has: those held for the next blocks, and those that wait for their moment or their
 * bytes (doc/protocol.md section 20).
 *
 * They have no fee, so it is seats that bound them, and not bytes: one of each kind is held a seat, apart from paying
 * transactions, which they neither push out nor give way to. One that waits has proven nothing: an address group has
 * one of each kind a seat, and bytes are asked for in turns, of a group for ROUND_POOL_GROUP_TURNS at a time. Whoever
 * lets a turn pass stands in line again. What is judged, and when, is in chain/mempool/round_admit.h. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_POOL_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_POOL_H

#include "chain/chain.h"
#include "consensus/payload/round_tx.h"
#include "util/map.h"

enum {
	ROUND_POOL_WAITING = 256,
	ROUND_POOL_TURNS = 16,
	ROUND_POOL_GROUP_TURNS = 4,
	ROUND_POOL_OFFENDERS = 64,
	ROUND_POOL_AT_ONCE = 1 << 18
};

enum round_stage {
	ROUND_EARLY, /* a later block may have it: no bytes are asked for */
	ROUND_LINE,  /* its bytes will be asked for */
	ROUND_ASKED, /* they are */
	ROUND_HERE,  /* they are here and are looked at */
	ROUND_DOUBT, /* of a challenge: they are what they say, and its segment is to be executed */
	ROUND_HELD,  /* judged: announced, and in templates */
};

/* What of the branch it was judged by: with another base, list or drawn segment it has to be judged again. */
struct round_terms {
	uint8_t base_id[32];
	uint8_t committed[32]; /* of a disclosure: the root that was committed to; of a challenge: that of the blob */
	uint32_t length;       /* of the run that was committed to */
	uint32_t segment;      /* that its blob starts from */
};

struct round_entry {
	struct mempool_entry entry; /* first: what others see of it */
	struct round_tx round_tx;
	struct round_terms terms;
	struct source source; /* peer 0: this node, which no limit holds for */
	enum round_stage stage;
	int64_t asked;  /* when its turn began, monotonic milliseconds */
	bool has_bytes; /* they were stored for it */
};

struct round_pool {
	struct round_entry **entries; /* in order of arrival; those whose turn has passed stand last */
	size_t count, cap, held;
	struct map by_txid;
	/* Groups that brought what was wrong in a round: once it was more than they may, nothing of theirs is taken in
	 * that round any more. Nor, where it cost a segment to find out, before `until`, monotonic milliseconds. A
	 * ring. */
	struct round_offender {
		uint8_t group[SOURCE_GROUP], base_id[32];
		int64_t until;
		uint32_t faults;
		bool is_silenced;
	} offenders[ROUND_POOL_OFFENDERS];
	size_t offender_count;
	bool is_checking;  /* a job looks at bytes: one at a time, since they are large */
	bool is_executing; /* a challenge's segment: one at a time, too */
	size_t at_once;    /* bytes of a blob that the loop itself looks at */
};

void round_pool_init(struct round_pool *pool);
void round_pool_clear(struct round_pool *pool);

struct round_entry *round_pool_find(const struct round_pool *pool, const uint8_t txid[32]); /* at any stage */
/* Who is held of that kind for that seat; NULL: nobody. */
struct round_entry *round_pool_holder(const struct round_pool *pool, const struct round_tx *round_tx);
/* Whether one of this group waits that is of that kind for that seat. */
bool round_pool_is_waiting(const struct round_pool *pool, const struct round_tx *round_tx, const struct source *source);
/* Whether one waits for this blob and has its turn, or has its bytes. */
bool round_pool_wants(const struct round_pool *pool, const uint8_t root[32]);

/* Takes a reference of its own to the transaction. */
struct round_entry *round_pool_put(struct round_pool *pool, const struct tx *tx, const struct round_tx *round_tx,
	const struct source *source);
/* Out of the pool; it is the caller's. */
void round_pool_take(struct round_pool *pool, struct round_entry *entry);
void round_pool_entry_free(struct round_entry *entry);
void round_pool_hold(struct round_pool *pool, struct round_entry *entry);

/* Whether one more may wait, of this group: where all places are taken, `loser` is who gives up his, the eldest of the
 * group that has most; NULL: there is room. False: no group has more than this one. */
bool round_pool_has_place(const struct round_pool *pool, const struct source *source, struct round_entry **loser);

/* Who may be asked for bytes next; its turn begins. Turns that have lasted too long for the blob's size end first, if
 * anybody else stands in line. NULL: nobody. */
struct round_entry *round_pool_next_turn(struct round_pool *pool, size_t blob_size, int64_t now);

/* A request for these bytes has gone out: only now the time of the turns that wait for them runs. */
void round_pool_asked(struct round_pool *pool, const uint8_t root[32], int64_t now);
/* Who brought it does not send them: its turn ends. False: it had none. */
bool round_pool_pass_turn(struct round_pool *pool, const uint8_t root[32], const struct source *source);

void round_pool_note_offender(struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	int64_t until);
/* What is wrong here may be right on the branch that its sender is on: so many times he may bring such. */
void round_pool_note_fault(struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	uint32_t allowed);
bool round_pool_is_offender(const struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	int64_t now);

#endif
