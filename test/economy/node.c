/* A node: what it executes next, and which branch it takes. */
#include <math.h>
#include <string.h>

#include "network.h"

/* Of a step: what connecting a block costs beside its proofs (the gradients of the benchmark). */
static const double connect_cost = 0.3;

/* ---- Which tip is better ---- */

/* In a race with a selfish miner so large a part of the honest hears of his block first; even who found the other one
 * may be among them, so that gamma is what it is in the literature. Drawn by node and height: nobody changes his mind.
 */
static bool follows_attacker(const struct network *n, uint32_t miner, uint32_t height)
{
	uint32_t word = (height * 2654435761u) ^ (miner * 2246822519u);

	word = (word ^ word >> 15) * 2246822519u;
	word = (word ^ word >> 13) * 3266489917u;
	return (word ^ word >> 16) < n->setting.attack.gamma * 4294967296.0;
}

/* Whether this node goes over from the tip `to` to `block`. */
bool node_prefers(const struct network *n, uint32_t miner, uint32_t block, uint32_t to)
{
	const struct world *w = &n->world;
	const struct block *a = &w->blocks[block], *b = &w->blocks[to];
	int order = u256_compare(a->work, b->work);

	if (order != 0 || block == to || to == 0)
		return order > 0;
	const struct proof *pa = &w->proofs[a->proof], *pb = &w->proofs[b->proof];

	if (w->rules.ties && a->is_least && b->is_least)
		return pa->ticket < pb->ticket;
	/* The first that was connected stays; but see gamma. */
	if (!n->setting.attack.selfish || (pa->miner == 0) == (pb->miner == 0))
		return false;
	return follows_attacker(n, miner, a->height) == (pa->miner == 0);
}

/* ---- What to execute ---- */

/* The lowest block of this branch that is not connected, if all of it has come; else NONE. */
static uint32_t next_block(const struct world *w, uint32_t block, uint32_t bit)
{
	uint32_t lowest = NONE;

	for (; !(w->blocks[block].connected & bit); block = w->blocks[block].parent) {
		if (!(w->blocks[block].arrived & bit))
			return NONE;
		lowest = block;
	}
	return lowest;
}

/* The block to work on: the lowest of the best branch there could be. Drops candidates that the tip has passed. */
static uint32_t choose_block(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];
	struct world *w = &n->world;
	uint32_t best = NONE, lowest = NONE, kept = 0;

	for (uint32_t i = 0; i < node->candidate_count; i++) {
		uint32_t block = node->candidates[i], next;

		if (u256_compare(w->blocks[block].work, w->blocks[node->tip].work) < 0 ||
			w->blocks[block].connected >> miner & 1)
			continue;
		node->candidates[kept++] = block;
		if (!node_prefers(n, miner, block, best == NONE ? node->tip : best))
			continue;
		next = next_block(w, block, 1u << miner);
		if (next != NONE) {
			best = block;
			lowest = next;
		}
	}
	node->candidate_count = kept;
	return lowest;
}

/* The block's own proof first, then those it lists, or NONE. */
static uint32_t next_proof(const struct world *w, uint32_t block, uint32_t miner)
{
	const struct block *b = &w->blocks[block];

	if (w->proofs[b->proof].known[miner] == HUGE_VAL)
		return b->proof;
	for (uint32_t i = 0; i < b->loose + b->late; i++)
		if (w->proofs[w->listings[b->listing + i].proof].known[miner] == HUGE_VAL)
			return w->listings[b->listing + i].proof;
	return NONE;
}

/* Loose proofs for the next block, and such as may be late ones of it. */
static bool may_be_listed(const struct network *n, uint32_t miner, uint32_t proof)
{
	const struct world *w = &n->world;
	uint32_t parent = w->proofs[proof].parent, tip = n->nodes[miner].tip;

	return w->proofs[proof].known[miner] == HUGE_VAL && world_descends(w, tip, parent) &&
		w->blocks[tip].height - w->blocks[parent].height < (w->rules.late ? LATE_MOST : 1);
}

/* First come, first served. One whose parent is not the tip's ancestor may become one, while the tip is not far above.
 */
static uint32_t choose_loose(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];
	const struct world *w = &n->world;
	uint32_t chosen = NONE, kept = 0;

	for (uint32_t i = 0; i < node->loose_count; i++) {
		uint32_t proof = node->loose[i], height = w->blocks[w->proofs[proof].parent].height;

		if (w->proofs[proof].known[miner] != HUGE_VAL || height + LATE_MOST <= w->blocks[node->tip].height)
			continue;
		if (chosen == NONE && may_be_listed(n, miner, proof))
			chosen = proof;
		node->loose[kept++] = proof;
	}
	node->loose_count = kept;
	return chosen;
}

static void execute(struct network *n, uint32_t miner, uint32_t block, uint32_t proof, double steps)
{
	struct node *node = &n->nodes[miner];

	node->busy = true;
	node->is_block = block != NONE;
	node->block = block;
	node->proof = proof;
	network_plan(n, EVENT_DONE, n->now + steps * n->setting.step, miner, 0, ++node->done_turn);
}

/* While a block that would be a better tip is executed, and its own proof was right, nothing is mined. */
static void pause_mining(struct network *n, uint32_t miner, uint32_t block)
{
	struct node *node = &n->nodes[miner];
	bool pause = block != NONE && node_prefers(n, miner, block, node->tip) &&
		n->world.proofs[n->world.blocks[block].proof].known[miner] != HUGE_VAL;

	if (pause != node->paused) {
		node->paused = pause;
		mining_start(n, miner);
	}
}

static void work_on(struct network *n, uint32_t miner)
{
	uint32_t block = choose_block(n, miner);

	pause_mining(n, miner, block);
	if (block != NONE) {
		uint32_t proof = next_proof(&n->world, block, miner);

		execute(n, miner, block, proof, proof == NONE ? connect_cost : 1);
		return;
	}
	uint32_t proof = choose_loose(n, miner);

	if (proof != NONE)
		execute(n, miner, NONE, proof, 1);
}

void node_done(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];

	node->busy = false;
	if (node->proof != NONE)
		n->world.proofs[node->proof].known[miner] = n->now;
	else
		node_connect(n, miner, node->block);
	work_on(n, miner);
}

/* ---- What comes ---- */

static void take_loose(struct network *n, uint32_t miner, uint32_t proof)
{
	struct node *node = &n->nodes[miner];
	const struct world *w = &n->world;
	uint32_t same = 0;

	for (uint32_t i = 0; i < node->loose_count; i++)
		same += w->proofs[node->loose[i]].parent == w->proofs[proof].parent;
	if (same < 4 * w->spec->k && node->loose_count < LOOSE_QUEUE && w->proofs[proof].known[miner] == HUGE_VAL)
		node->loose[node->loose_count++] = proof;
}

/* A selfish miner sees everything at once, and executes nothing. */
static bool is_seer(const struct network *n, uint32_t miner)
{
	return miner == 0 && n->setting.attack.selfish;
}

void node_proof(struct network *n, uint32_t miner, uint32_t proof)
{
	if (is_seer(n, miner)) {
		n->world.proofs[proof].known[miner] = n->now;
		return;
	}
	take_loose(n, miner, proof);
	if (!n->nodes[miner].busy)
		work_on(n, miner);
}

void node_block(struct network *n, uint32_t miner, uint32_t block)
{
	struct node *node = &n->nodes[miner];
	struct block *b = &n->world.blocks[block];
	double clock = (double)n->world.spec->genesis_time + n->now + node->skew;

	/* Too new for this clock: looked at again when its time has come. */
	if (b->time > clock + (double)n->world.rules.future + 1e-3) {
		network_plan(n, EVENT_BLOCK, n->now + b->time - clock - (double)n->world.rules.future, miner, block, 0);
		return;
	}
	b->arrived |= 1u << miner;
	if (is_seer(n, miner)) {
		n->world.proofs[b->proof].known[miner] = n->now;
		return;
	}
	take_loose(n, miner, b->proof);
	if (node->candidate_count == CANDIDATES) /* the oldest has waited in vain */
		memmove(node->candidates, node->candidates + 1, --node->candidate_count * sizeof *node->candidates);
	node->candidates[node->candidate_count++] = block;
	/* A loose proof makes room for a block. */
	if (!node->busy || !node->is_block) {
		if (node->busy && node->loose_count < LOOSE_QUEUE)
			node->loose[node->loose_count++] = node->proof;
		node->busy = false;
		node->done_turn++;
		work_on(n, miner);
	}
}

void node_connect(struct network *n, uint32_t miner, uint32_t block)
{
	struct node *node = &n->nodes[miner];
	struct world *w = &n->world;

	w->blocks[block].arrived |= 1u << miner;
	w->blocks[block].connected |= 1u << miner;
	if (!node_prefers(n, miner, block, node->tip))
		return;
	uint32_t undone = w->blocks[node->tip].height - w->blocks[world_fork(w, node->tip, block)].height;

	if (undone > node->deepest)
		node->deepest = undone;
	node->reorganisations[undone < DEPTHS ? undone : DEPTHS - 1]++;
	node->tip = block;
	node->paused = false;
	mining_start(n, miner);
}
