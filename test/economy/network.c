/* The network: who hears of what, and when; and the course of a simulation. */
#include "network.h"

#include <math.h>

void network_plan(struct network *n, enum event_kind kind, double at, uint32_t miner, uint32_t object, uint32_t turn)
{
	events_plan(&n->events,
		(struct event){ .at = at, .kind = kind, .miner = miner, .object = object, .turn = turn });
}

/* A node passes on what it has executed: so the second hop costs a step. */
static double draw_delay(struct network *n, uint32_t from, uint32_t to)
{
	double net = n->setting.net, delay = net * (0.5 + 0.5 * world_exponential(&n->world));

	if (n->hops[from][to])
		delay += n->setting.step + net * (0.5 + 0.5 * world_exponential(&n->world));
	return delay;
}

void network_announce(struct network *n, uint32_t proof)
{
	uint32_t from = n->world.proofs[proof].miner;

	if (n->world.proofs[proof].announced)
		return;
	n->world.proofs[proof].announced = true;
	for (uint32_t to = 0; to < n->count; to++)
		if (to != from)
			network_plan(n, EVENT_PROOF, n->now + draw_delay(n, from, to), to, proof, 0);
}

void network_publish(struct network *n, uint32_t block, uint32_t miner)
{
	struct block *b = &n->world.blocks[block];

	if (b->published)
		return;
	b->published = true;
	n->published++;
	n->world.proofs[b->proof].announced = true;
	for (uint32_t to = 0; to < n->count; to++)
		if (to != miner)
			network_plan(n, EVENT_BLOCK, n->now + draw_delay(n, miner, to), to, block, 0);
	if (n->setting.attack.selfish && miner != 0)
		selfish_public(n, block);
}

uint32_t network_tip(const struct network *n)
{
	uint32_t best = n->nodes[1].tip;

	for (uint32_t i = 2; i < n->count; i++)
		if (u256_compare(n->world.blocks[n->nodes[i].tip].work, n->world.blocks[best].work) > 0)
			best = n->nodes[i].tip;
	return best;
}

static void change_power(struct network *n, uint32_t which)
{
	const struct power_change *c = &n->setting.changes[which];

	for (uint32_t i = 0; i < (c->all ? n->count : 1); i++) {
		n->nodes[i].power = n->setting.power * n->setting.shares[i] * c->times;
		mining_start(n, i);
	}
}

static void begin(struct network *n)
{
	const struct setting *s = &n->setting;

	while (n->count < WORLD_MINERS && s->shares[n->count] > 0)
		n->count++;
	for (uint32_t i = 0; i < n->count; i++) {
		n->nodes[i].power = s->power * s->shares[i];
		n->nodes[i].skew = s->skew * (2 * world_uniform(&n->world) - 1);
		n->nodes[i].held = NONE;
		for (uint32_t j = 0; j < i; j++)
			n->hops[i][j] = n->hops[j][i] = world_uniform(&n->world) < 0.5;
	}
	for (uint32_t i = 0; i < s->change_count; i++)
		network_plan(n, EVENT_POWER, s->changes[i].at, 0, i, 0);
	for (uint32_t i = 0; i < n->count; i++)
		mining_start(n, i);
}

/* Nobody finds anything any more; what was found still goes its way, until all have seen and executed it. */
static void end(struct network *n)
{
	n->ended = true;
	for (uint32_t i = 0; i < n->count; i++)
		mining_start(n, i);
}

static void follow(struct network *n, const struct event *e)
{
	switch (e->kind) {
	case EVENT_FIND:
		if (!n->ended && e->turn == n->nodes[e->miner].turn)
			mining_find(n, e->miner);
		break;
	case EVENT_BLOCK:
		node_block(n, e->miner, e->object);
		break;
	case EVENT_PROOF:
		node_proof(n, e->miner, e->object);
		break;
	case EVENT_DONE:
		if (e->turn == n->nodes[e->miner].done_turn)
			node_done(n, e->miner);
		break;
	case EVENT_DUE:
		mining_due(n, e->miner, e->object);
		break;
	case EVENT_POWER:
		change_power(n, e->object);
		break;
	}
}

void network_run(struct network *n, const struct spec *spec, const struct rules *rules, const struct setting *setting,
	uint64_t seed)
{
	struct event event;

	*n = (struct network){ .setting = *setting };
	world_init(&n->world, spec, rules, seed);
	begin(n);
	while (events_next(&n->events, &event)) {
		n->now = event.at;
		if (!n->ended && (n->now > setting->duration || n->world.block_count > setting->blocks_most))
			end(n);
		follow(n, &event);
	}
}

void network_clear(struct network *n)
{
	events_clear(&n->events);
	world_clear(&n->world);
}
