/* Who brings blocks and proofs: a record for each address group, which outlives its connections.
 *
 * What an address may have in work at a time, and how much of its is held in memory, is counted here, so that many
 * connections, or one made again and again, get no more than one that stays. Right proofs earn an address credit, which
 * halves every day and is gone with the first false proof. In memory only; records that nothing refers to make room for
 * new ones, those with least credit first. */
#ifndef ATELIER_CHAIN_VERIFY_SOURCES_H
#define ATELIER_CHAIN_VERIFY_SOURCES_H

#include "chain/chain.h"
#include "chain/verify/schedule.h"

enum { SOURCES_MAX = 4096 };

struct source_group {
	uint8_t key[SOURCE_GROUP];
	bool own, chosen;
	uint32_t credit;
	int64_t credit_day; /* the last day on which it was halved */
	uint64_t served;
	size_t uses;          /* blocks and proofs here that refer to it */
	size_t held;          /* bytes of blocks in memory */
	size_t blocks, loose; /* blocks in work; loose proofs waiting or in work */
};

struct sources;

struct sources *sources_new(void);
void sources_free(struct sources *sources);

/* The record of a source, made at need and counted as used until sources_release. NULL: this node itself. */
struct source_group *sources_take(struct sources *sources, const struct source *source);
void sources_release(struct source_group *group);
struct source_group *sources_find(const struct sources *sources, const uint8_t key[SOURCE_GROUP]); /* NULL: none */

/* A worker goes to this group: its next turn comes after everybody else's. */
void sources_serve(struct sources *sources, struct source_group *group);

/* A worker given to a group for a block, from begin to end. */
struct source_turn {
	struct sources *sources;
	struct source_group *group;
	enum standing standing; /* when it began */
};
void sources_turn_begin(struct source_turn *turn, struct sources *sources, struct source_group *group, int64_t now);
void sources_turn_end(const struct source_turn *turn);
size_t sources_strangers(const struct sources *sources); /* turns that strangers have now */

/* One of its proofs was executed. */
void sources_proved(struct source_group *group, bool right, int64_t now);
enum standing sources_standing(struct source_group *group, int64_t now);

#endif
