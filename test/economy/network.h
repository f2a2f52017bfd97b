/* Miners with a node each, and the network between them.
 *
 * A node executes one proof after the other: those of the best block it could have first, then loose ones, as nodes do.
 * It goes over to a block when all of it is executed. What a miner finds comes at whole steps after he began on a
 * parent. The first miner may be an attacker (miner_attack); all others are honest. */
#ifndef ATELIER_ECONOMY_NETWORK_H
#define ATELIER_ECONOMY_NETWORK_H

#include "events.h"
#include "world.h"

enum { CANDIDATES = 64, LOOSE_QUEUE = 128, DEPTHS = 32, POWERS = 16 };

enum dating {
	DATING_CLOCK,    /* by the clock, or the least where that is later */
	DATING_LATEST,   /* as far ahead as others take it */
	DATING_EARLIEST, /* the least */
	DATING_EDGE,     /* so that half of the nodes take it at once, and half do not */
	DATING_TURNS,    /* latest and earliest by turns */
};

/* What the first miner does otherwise than an honest one. */
struct attack {
	bool selfish;                 /* builds in secret, shows a block when another one comes */
	double gamma;                 /* ... and so many of the honest follow him where two blocks are equal */
	bool omits_loose, omits_late; /* of others */
	bool holds;                   /* keeps loose proofs of his own to himself until another block has come */
	bool all_hold;                /* so does everybody */
	enum dating dating;
	double hop; /* not 0: mines only while the target is so many times the one of the anchor, or more */
};

/* From `at` on the power of the first miner, or of all, is `times` what it was at first. */
struct power_change {
	double at, times;
	bool all;
};

struct setting {
	double step, net;            /* seconds: to execute a step, and on the way to a peer */
	double shares[WORLD_MINERS]; /* of the power; 0 at the end where there are fewer miners */
	double power;                /* of all, in steps a second */
	double skew;                 /* seconds that clocks are wrong, at most */
	double duration;             /* seconds */
	uint32_t blocks_most;        /* the end too: so many blocks are found */
	struct attack attack;
	struct power_change changes[POWERS];
	uint32_t change_count;
};

struct node {
	uint32_t tip;
	double power; /* steps a second */
	double steps; /* done so far */
	double skew;  /* of its clock, in seconds */
	/* Mining */
	uint32_t parent, turn;
	double began, clock; /* on this parent; seconds of work since, up to the next find */
	double rate;         /* steps a second, now */
	uint32_t shown;      /* own proofs with this parent */
	bool paused;
	uint32_t held; /* the best block found here that cannot be shown yet */
	/* Executing: NONE, or a proof, or with is_block and no proof the block as a whole. */
	bool busy, is_block;
	uint32_t proof, block, done_turn;
	uint32_t candidates[CANDIDATES], candidate_count;
	uint32_t loose[LOOSE_QUEUE], loose_count;
	/* What was seen */
	uint32_t deepest, reorganisations[DEPTHS];
	/* The selfish one: his own tip, and the best that all know of. */
	uint32_t secret, public_tip;
	bool races;
};

struct network {
	struct world world;
	struct setting setting;
	struct events events;
	struct node nodes[WORLD_MINERS];
	uint32_t count;
	double now;
	bool ended; /* nobody mines any more */
	bool hops[WORLD_MINERS][WORLD_MINERS];
	uint32_t published;
};

void network_run(struct network *n, const struct spec *spec, const struct rules *rules, const struct setting *setting,
	uint64_t seed);
void network_clear(struct network *n);

/* The best tip of any honest node. */
uint32_t network_tip(const struct network *n);

/* ---- Between the parts ---- */

void network_plan(struct network *n, enum event_kind kind, double at, uint32_t miner, uint32_t object, uint32_t turn);
void network_announce(struct network *n, uint32_t proof);
void network_publish(struct network *n, uint32_t block, uint32_t miner);

void node_block(struct network *n, uint32_t miner, uint32_t block); /* one that has come */
void node_proof(struct network *n, uint32_t miner, uint32_t proof);
void node_done(struct network *n, uint32_t miner);
void node_connect(struct network *n, uint32_t miner, uint32_t block); /* one's own too */
bool node_prefers(const struct network *n, uint32_t miner, uint32_t block, uint32_t to);

void mining_start(struct network *n, uint32_t miner); /* after the parent, or the power, changed */
void mining_find(struct network *n, uint32_t miner);
void mining_due(struct network *n, uint32_t miner, uint32_t block);

void selfish_found(struct network *n, uint32_t block);
void selfish_public(struct network *n, uint32_t block);

#endif
