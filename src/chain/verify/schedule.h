/* What comes first where strangers compete for threads, places and memory: pure rules, no state.
 *
 * A header, and a block whose proof has not been executed, cost next to nothing to make, and an address not much more.
 * So what is executed next goes by work that has been executed already, never by work that headers promise; then by the
 * standing of who brought it; then by turns, address by address. */
#ifndef ATELIER_CHAIN_VERIFY_SCHEDULE_H
#define ATELIER_CHAIN_VERIFY_SCHEDULE_H

#include <stddef.h>

#include "consensus/target.h"

enum standing {
	STANDING_STRANGER, /* whoever connected to us */
	STANDING_TRUSTED,  /* the operator named it, or it has brought right proofs lately and no false one since */
	STANDING_OWN,      /* this node itself, and its operator */
};

/* A block or a loose proof that could be executed now. */
struct contender {
	struct u256 proven; /* chain work up to its parent */
	bool on_tip;        /* the parent is the tip */
	enum standing standing;
	uint64_t served; /* when a worker was last given to its address: a count that grows; 0: never */
	uint64_t order;  /* when it came, likewise */
};

/* Whether it is executed before the rival. */
bool schedule_before(const struct contender *contender, const struct contender *rival);

/* What the threads of verification have to do: there are as many blocks and loose proofs in work at a time as would
 * have one each, though the queue may give all of them to the block that matters most. */
struct workload {
	size_t workers; /* threads that may verify */
	size_t blocks, strangers_blocks, loose;
};

/* Whether one more may begin. Blocks leave one worker to what else the loop needs, strangers' blocks leave three
 * quarters to the others; loose proofs leave one to the next block, and where there is only one they wait for all
 * blocks. */
bool schedule_block_fits(const struct workload *load, enum standing standing);
bool schedule_loose_fits(const struct workload *load);

/* Whether one more may wait in a queue of `places`, of which strangers get a quarter. */
bool schedule_queue_fits(size_t places, size_t waiting, size_t strangers, enum standing standing);

/* A block that is held in memory until its proof has been executed. */
struct lodger {
	enum standing standing;
	size_t held; /* bytes held for its address */
	bool ready;  /* its parent is verified */
	uint32_t height;
	uint64_t order;
};

/* Whether it goes before the rival when room is short: strangers' before others', then of the address that holds most,
 * what is furthest from being executed. */
bool schedule_evict_before(const struct lodger *lodger, const struct lodger *rival);

#endif
