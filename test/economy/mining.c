/* Mining: when a miner finds something, what he writes into it, and when he shows it. */
#include <math.h>

#include "network.h"

static double clock_of(const struct network *n, uint32_t miner)
{
	return (double)n->world.spec->genesis_time + n->now + n->nodes[miner].skew;
}

/* ---- Finding ---- */

static double share_target(const struct network *n, uint32_t parent)
{
	double share = n->world.blocks[parent].next_target * n->world.spec->k;

	return share < 1 ? share : 1;
}

/* Waiting for a lucky step knows no memory, but a step ends only a whole number of steps after the first began. */
static void plan_find(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];
	double step = n->setting.step;

	node->clock += world_exponential(&n->world) / (node->rate * share_target(n, node->parent));
	network_plan(n, EVENT_FIND, node->began + ceil(node->clock / step) * step, miner, 0, node->turn);
}

static bool hops_away(const struct network *n, uint32_t miner, uint32_t parent)
{
	double times = n->setting.attack.hop;

	return miner == 0 && times > 0 && n->world.blocks[parent].next_target < times * n->world.blocks[0].target;
}

static bool holds_proofs(const struct network *n, uint32_t miner)
{
	return n->setting.attack.all_hold || (miner == 0 && n->setting.attack.holds);
}

/* What he held back is a late proof now, and worth as much in the next block. */
static void let_go(struct network *n, uint32_t miner, uint32_t parent)
{
	const struct world *w = &n->world;

	for (uint32_t i = w->blocks[parent].proofs; i != NONE; i = w->proofs[i].next)
		if (w->proofs[i].miner == miner)
			network_announce(n, i);
}

void mining_start(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];
	bool is_seer = miner == 0 && n->setting.attack.selfish;
	uint32_t parent = is_seer ? node->secret : node->tip;

	node->steps += node->rate * (n->now - node->began);
	node->turn++;
	if (parent != node->parent) {
		/* What waited on the old parent is a late proof at best. */
		if (node->held != NONE)
			network_announce(n, n->world.blocks[node->held].proof);
		node->held = NONE;
		node->shown = 0;
		if (holds_proofs(n, miner))
			let_go(n, miner, node->parent);
	}
	node->parent = parent;
	node->began = n->now;
	node->clock = 0;
	node->rate = node->paused || n->ended || hops_away(n, miner, parent) ? 0 : node->power;
	if (node->rate > 0)
		plan_find(n, miner);
}

/* ---- Listing ---- */

struct list {
	struct network *network;
	uint32_t miner, parent, block, room;
};

static void list_proofs(struct list *l, uint32_t ancestor, bool is_own, bool is_late)
{
	struct world *w = &l->network->world;
	/* What is listed was known when the step began that found the block. */
	double began = l->network->now - l->network->setting.step;
	double target = w->blocks[ancestor].next_target;
	int64_t latest = w->blocks[l->block].time + w->rules.future;

	for (uint32_t i = w->blocks[ancestor].proofs; i != NONE && l->room > 0; i = w->proofs[i].next) {
		const struct proof *p = &w->proofs[i];

		if ((p->miner == l->miner) != is_own || p->known[l->miner] > began || p->block == l->block)
			continue;
		if (is_late ? world_has(w, l->parent, i) : p->ticket <= target || p->time > latest)
			continue;
		world_list(w, l->block, i, is_late);
		l->room--;
	}
}

/* His own first, as they pay more. */
static void list_all(struct network *n, uint32_t miner, uint32_t block)
{
	struct world *w = &n->world;
	const struct attack *attack = &n->setting.attack;
	uint32_t parent = w->blocks[block].parent, ancestor = parent;
	struct list l = { n, miner, parent, block, world_proofs_most(w, parent, w->blocks[block].time) };

	list_proofs(&l, parent, true, false);
	if (miner != 0 || !attack->omits_loose)
		list_proofs(&l, parent, false, false);
	for (uint32_t below = LATE_LEAST; w->rules.late && below <= LATE_MOST && ancestor != 0; below++) {
		ancestor = w->blocks[ancestor].parent;
		list_proofs(&l, ancestor, true, true);
		if (miner != 0 || !attack->omits_late)
			list_proofs(&l, ancestor, false, true);
	}
}

/* ---- Showing ---- */

static enum dating dating_of(const struct network *n, uint32_t miner)
{
	enum dating dating = miner == 0 ? n->setting.attack.dating : DATING_CLOCK;

	if (dating != DATING_TURNS)
		return dating;
	return n->world.blocks[n->nodes[miner].parent].height & 1 ? DATING_LATEST : DATING_EARLIEST;
}

/* The time in the header was chosen when the step began. */
static int64_t header_time(const struct network *n, uint32_t miner)
{
	int64_t clock = (int64_t)floor(clock_of(n, miner) - n->setting.step), future = n->world.rules.future;
	int64_t least = world_least_time(&n->world, n->nodes[miner].parent), time = clock;

	switch (dating_of(n, miner)) {
	case DATING_LATEST:
		time = clock + future;
		break;
	case DATING_EDGE: /* of the others' clocks, which are right in the mean */
		time = (int64_t)floor((double)n->world.spec->genesis_time + n->now + n->setting.net) + future;
		break;
	case DATING_EARLIEST:
		time = least;
		break;
	case DATING_CLOCK:
	case DATING_TURNS:
		break;
	}
	return time > least ? time : least;
}

static void show(struct network *n, uint32_t miner, uint32_t block)
{
	network_publish(n, block, miner);
	node_connect(n, miner, block);
}

void mining_due(struct network *n, uint32_t miner, uint32_t block)
{
	struct node *node = &n->nodes[miner];

	if (node->held != block)
		return;
	node->held = NONE;
	if (node_prefers(n, miner, block, node->tip))
		show(n, miner, block);
	else
		network_announce(n, n->world.blocks[block].proof);
}

/* Whether the block that waits already is the better one: if anything decides but coming first, the lower ticket does.
 */
static bool is_held_better(const struct network *n, uint32_t miner, double ticket)
{
	const struct world *w = &n->world;
	uint32_t held = n->nodes[miner].held;

	return held != NONE && (!w->rules.ties || w->proofs[w->blocks[held].proof].ticket < ticket);
}

/* A block is shown as soon as others take it: who waits longer is overtaken. */
static void hold(struct network *n, uint32_t miner, uint32_t block, double wait)
{
	n->nodes[miner].held = block;
	network_plan(n, EVENT_DUE, n->now + wait, miner, block, 0);
}

static void found_block(struct network *n, uint32_t miner, uint32_t proof)
{
	const struct setting *s = &n->setting;
	double ahead = (double)n->world.rules.future;
	uint32_t block = world_add_block(&n->world, proof);

	/* Who plays with times does not wait until he is sure that others take a block. */
	if (s->attack.dating != DATING_CLOCK && miner == 0)
		ahead += s->skew + s->net;
	double wait = n->world.blocks[block].time - clock_of(n, miner) - ahead;

	list_all(n, miner, block);
	if (miner == 0 && s->attack.selfish)
		selfish_found(n, block);
	else if (wait > 0)
		hold(n, miner, block, wait);
	else
		show(n, miner, block);
}

void mining_find(struct network *n, uint32_t miner)
{
	struct node *node = &n->nodes[miner];
	struct world *w = &n->world;
	uint32_t parent = node->parent, turn = node->turn;
	double ticket = world_uniform(w) * share_target(n, parent), target = w->blocks[parent].next_target;

	/* More loose proofs than a block can list are of no use to anybody, nor is a block that is worse than what
	 * waits. */
	if (ticket <= target ? !is_held_better(n, miner, ticket) : node->shown < 4 * w->spec->k) {
		uint32_t proof = world_add_proof(w, parent, miner, (uint32_t)header_time(n, miner), ticket, n->now);

		if (ticket <= target) {
			found_block(n, miner, proof);
		} else {
			node->shown++;
			if (w->blocks[parent].published && !holds_proofs(n, miner))
				network_announce(n, proof);
		}
	}
	if (node->turn == turn)
		plan_find(n, miner);
}
