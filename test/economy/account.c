/* Revenue, and what can be counted on a chain. */
#include "account.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

static const double coin = 100000000;

/* ---- Revenue ---- */

struct ledger {
	double paid[WORLD_MINERS], of;
	uint64_t proofs, late;
};

static void pay(struct ledger *l, const struct network *n, const struct block *b, uint32_t proof, int64_t worth)
{
	/* A sixteenth goes to whoever lists a proof. */
	int64_t fee = worth / 16;

	l->paid[n->world.proofs[proof].miner] += (double)(worth - fee);
	l->paid[n->world.proofs[b->proof].miner] += (double)fee;
	l->proofs++;
}

static uint32_t listed_back(const struct world *w, const struct block *b, uint32_t i)
{
	return b->height - 1 - w->blocks[w->proofs[w->listings[b->listing + i].proof].parent].height;
}

static void pay_block(struct ledger *l, const struct network *n, const struct block *b, int64_t *bucket, bool counts)
{
	const struct world *w = &n->world;
	struct ledger unused = { 0 };
	struct ledger *to = counts ? l : &unused;
	struct reward_proofs listed = { .loose = b->loose };
	int64_t worth;

	for (uint32_t i = b->loose; i < b->loose + b->late; i++)
		listed.late[reward_late_sixteenths(listed_back(w, b, i))]++;
	worth = reward_proof(w->spec, b->height, *bucket, &listed, bucket);
	to->paid[w->proofs[b->proof].miner] += (double)worth;
	to->of += (double)reward_compute_part(w->spec, b->height);
	to->proofs++;
	to->late += b->late;
	for (uint32_t i = 0; i < b->loose + b->late; i++)
		pay(to, n, b, w->listings[b->listing + i].proof,
			i < b->loose ? worth : reward_late(worth, listed_back(w, b, i)));
}

static void share_out(struct account *a, const struct network *n, const struct ledger *l, uint32_t blocks)
{
	double sum = 0;

	for (uint32_t i = 0; i < n->count; i++) {
		sum += l->paid[i];
		a->steps += n->nodes[i].steps;
	}
	for (uint32_t i = 0; i < n->count; i++) {
		a->revenue[i] = l->paid[i] / sum;
		a->power[i] = n->nodes[i].steps / a->steps;
	}
	a->paid = sum / l->of;
	a->late = (double)l->late / (double)l->proofs;
	a->proofs = (double)l->proofs / blocks;
}

/* ---- The chain ---- */

static int compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t count_within(const uint32_t *times, uint32_t count, uint32_t span)
{
	uint32_t most = 0;

	for (uint32_t first = 0, last = 0; last < count; last++) {
		while (times[last] - times[first] >= span)
			first++;
		if (last - first + 1 > most)
			most = last - first + 1;
	}
	return most;
}

static void look_at_times(struct account *a, const struct network *n, const uint32_t *chain)
{
	const struct block *blocks = n->world.blocks;
	uint32_t *times = mem_alloc((a->height + 1) * sizeof *times), spacing = n->world.spec->spacing;

	for (uint32_t h = 1; h <= a->height; h++)
		times[h - 1] = blocks[chain[h]].time;
	qsort(times, a->height, sizeof *times, compare_times);
	for (uint32_t h = 1; h < a->height; h++)
		if (times[h] - times[h - 1] > a->longest)
			a->longest = times[h] - times[h - 1];
	a->dated[0] = count_within(times, a->height, spacing);
	a->dated[1] = count_within(times, a->height, 2 * spacing);
	free(times);
}

static void look_at_nodes(struct account *a, const struct network *n, uint32_t tip)
{
	uint32_t first = n->setting.attack.selfish ? 1 : 0;

	for (uint32_t i = first; i < n->count; i++) {
		const struct node *node = &n->nodes[i];
		uint32_t split = n->world.blocks[node->tip].height -
			n->world.blocks[world_fork(&n->world, tip, node->tip)].height;
		bool is_new = true;

		for (uint32_t j = first; j < i; j++)
			is_new = is_new && n->nodes[j].tip != node->tip;
		a->tips += is_new;
		a->split = split > a->split ? split : a->split;
		a->deepest = node->deepest > a->deepest ? node->deepest : a->deepest;
		for (uint32_t depth = 1; depth < DEPTHS; depth++)
			a->reorganisations[depth < 4 ? depth - 1 : 3] += node->reorganisations[depth] /
				(double)(n->count - first) / a->height;
	}
}

void account_make(struct account *a, const struct network *n, uint32_t from)
{
	const struct world *w = &n->world;
	uint32_t tip = network_tip(n), *chain;
	struct ledger ledger = { 0 };
	int64_t bucket = 0;

	memset(a, 0, sizeof *a);
	a->height = w->blocks[tip].height;
	chain = mem_alloc((a->height + 1) * sizeof *chain);
	for (uint32_t block = tip; block != 0; block = w->blocks[block].parent) {
		chain[w->blocks[block].height] = block;
		a->first_share += (w->proofs[w->blocks[block].proof].miner == 0) / (double)a->height;
	}
	for (uint32_t h = 1; h <= a->height; h++) {
		pay_block(&ledger, n, &w->blocks[chain[h]], &bucket, h > from);
		a->coins += (double)spec_subsidy(w->spec, h) / coin;
	}
	share_out(a, n, &ledger, a->height - from);
	a->stale = 1 - a->height / (double)n->published;
	a->interval = (w->blocks[tip].time - (double)w->spec->genesis_time) / a->height;
	look_at_times(a, n, chain);
	look_at_nodes(a, n, tip);
	free(chain);
}

uint32_t account_count(const struct network *n, double from, double to)
{
	const struct world *w = &n->world;
	double genesis = (double)w->spec->genesis_time;
	uint32_t count = 0;

	for (uint32_t block = network_tip(n); block != 0; block = w->blocks[block].parent)
		count += w->blocks[block].time >= genesis + from && w->blocks[block].time < genesis + to;
	return count;
}
