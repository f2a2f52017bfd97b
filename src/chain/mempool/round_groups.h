/* What is remembered of the address groups that bring transactions of rounds (doc/protocol.md section 20): what of it
 * was wrong, and who let a turn for bytes pass. That it was them outlives their connections, since offering costs
 * nothing: a record goes when ROUND_GROUPS_MAX others are needed and no offer refers to it, first those that say least.
 * So who has more addresses than that comes as a stranger again once he has used them all. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_GROUPS_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_GROUPS_H

#include "chain/chain.h"
#include "util/map.h"

enum { ROUND_GROUPS_MAX = 8192 };

struct round_group {
	uint8_t group[SOURCE_GROUP];
	uint8_t base_id[32];  /* of the round that faults and silence are of */
	uint32_t faults;      /* what was wrong here, and may be right on another branch */
	bool is_silenced;     /* nothing of it is taken in that round any more */
	int64_t silent_until; /* nor before, in any round; monotonic milliseconds */
	uint32_t passed;      /* turns that ended without the bytes; half of them in the next round */
	bool has_given;       /* its last turn ended with right bytes */
	uint64_t served;      /* number of its last turn */
	size_t uses;          /* offers that refer to it */
	size_t turns;         /* of a count under way */
};

struct round_groups {
	struct map by_group; /* -> struct round_group, owned */
	uint8_t base_id[32]; /* of the round that the next block lies in; zeros: none that we know of */
};

void round_groups_init(struct round_groups *groups);
void round_groups_clear(struct round_groups *groups);

/* The record of a group, made at need. Valid until the next call, longer if it is used. */
struct round_group *round_groups_get(struct round_groups *groups, const uint8_t group[SOURCE_GROUP]);

struct round_group *round_groups_find(const struct round_groups *groups, const uint8_t group[SOURCE_GROUP]);

/* What is false wherever one comes from; `until`: see silent_until, 0 if it ends with the round. */
void round_groups_silence(struct round_group *group, int64_t until);
/* What is wrong here may be right on the branch that its sender is on: so many times he may bring such. */
void round_groups_note_fault(struct round_group *group, uint32_t allowed);
/* Whether nothing is taken of it in this round. */
bool round_groups_is_silenced(const struct round_groups *groups, const uint8_t group[SOURCE_GROUP], int64_t now);

/* How a turn ended. */
void round_groups_passed(struct round_group *group);
void round_groups_gave(struct round_group *group);
/* Who is asked first: 0 who gave what was right, 1 of whom nothing is known, then by turns that passed. */
uint32_t round_groups_rank(const struct round_group *group);

#endif
