/* Which of those who connected to us has to go, when all places are taken and somebody new comes: so that strangers who
 * take every place, from however many addresses, keep nobody out.
 *
 * Kept are some of whom a stranger can be only by doing what honest nodes do, or by having been here first: one of each
 * of some networks (which ones he does not know), those who answer a ping fastest, those who brought right blocks,
 * loose proofs and data last, and of everybody else the elder half. Of the others the address loses that has most
 * connections, of several such one of the largest network, and it loses its newest. */
#ifndef ATELIER_NET_DOOR_EVICT_H
#define ATELIER_NET_DOOR_EVICT_H

#include "net/wire/netaddr.h"

enum evict_merit { EVICT_BLOCK, EVICT_PROOF, EVICT_DATA, EVICT_MERITS };

struct evict_candidate {
	uint64_t id; /* not 0; of two connections made at the same time the larger is the newer */
	struct netaddr address;
	int64_t started;               /* any clock */
	int64_t ping_ms;               /* the best one; -1: not measured yet */
	int64_t brought[EVICT_MERITS]; /* when it last did, by any clock; 0: never */

	/* evict_choose's own. */
	uint8_t home[32]; /* network and group of the address */
	int64_t rank;
};

/* The id of who goes; 0: all are kept, as they are so few. The list is overwritten. Whoever does not know the key
 * cannot tell which networks are kept. */
uint64_t evict_choose(struct evict_candidate *candidates, size_t count, const uint8_t key[16]);

#endif
