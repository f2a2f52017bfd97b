/* A made-up world: every block and every proof that any miner of a simulation finds, whoever knows of it.
 *
 * A proof is a ticket below k times the target; where it is below the target itself, it is a block too, and lists
 * proofs of others. Tickets and targets are shares of 2^256 here, and drawn; bits, work, and what follows from them are
 * the node's own. Objects are named by their index, NONE for none; a pointer to one is good until the next is made.
 * Time is in seconds since genesis, header times are the node's. Block 0 is genesis. */
#ifndef ATELIER_ECONOMY_WORLD_H
#define ATELIER_ECONOMY_WORLD_H

#include "rules.h"

#define NONE UINT32_MAX

enum { WORLD_MINERS = 12 };

struct proof {
	uint32_t parent, block; /* block: NONE if it is none */
	uint32_t next;          /* the next proof with this parent */
	uint32_t listing;       /* first of those that list it */
	uint32_t time, miner;
	bool announced;
	double ticket, found;
	double known[WORLD_MINERS]; /* when each has executed it; HUGE_VAL: not yet */
};

struct block {
	uint32_t proof, parent, height, time, bits;
	double target;
	uint32_t next_bits; /* of its children */
	double next_target;
	struct u256 work;              /* of the chain up to it */
	bool is_least;                 /* its time is the least there can be */
	uint32_t listing, loose, late; /* listings from there on, loose ones first */
	uint32_t proofs;               /* first of those that build on it */
	uint32_t arrived, connected;   /* a bit for each miner */
	bool published;
};

/* A block lists a proof. */
struct listing {
	uint32_t proof, block;
	uint32_t next; /* of the same proof */
};

struct world {
	const struct spec *spec;
	struct rules rules;
	struct proof *proofs;
	struct block *blocks;
	struct listing *listings;
	uint32_t proof_count, block_count, listing_count;
	uint64_t random;
};

void world_init(struct world *w, const struct spec *spec, const struct rules *rules, uint64_t seed);
void world_clear(struct world *w);

double world_uniform(struct world *w);     /* in (0, 1) */
double world_exponential(struct world *w); /* of mean 1 */

/* Bits of the target that so much power (steps a spacing) meets once a spacing. */
uint32_t world_bits(double power);

uint32_t world_ancestor(const struct world *w, uint32_t block, uint32_t back); /* genesis where there is none */
bool world_descends(const struct world *w, uint32_t block, uint32_t from);     /* from itself too */
uint32_t world_fork(const struct world *w, uint32_t a, uint32_t b);            /* their last common ancestor */

/* The smallest time of a child of `parent`: by the median of eleven, and by rule. */
int64_t world_least_time(const struct world *w, uint32_t parent);

uint32_t world_add_proof(struct world *w, uint32_t parent, uint32_t miner, uint32_t time, double ticket, double now);
uint32_t world_add_block(struct world *w, uint32_t proof);

/* Appends to the list of the newest block. */
void world_list(struct world *w, uint32_t block, uint32_t proof, bool is_late);

/* Whether this branch has the proof already, as a block or in a list. */
bool world_has(const struct world *w, uint32_t tip, uint32_t proof);

uint32_t world_proofs_most(const struct world *w, uint32_t parent, uint32_t time);

#endif
