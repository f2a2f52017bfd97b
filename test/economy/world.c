/* Blocks and proofs of a simulation, and what a header's context says of them. */
#include "world.h"

#include <math.h>
#include <stdlib.h>

#include "util/mem.h"

enum { MEDIAN = 11, FIRST_ROOM = 1024 };

/* Grows by doubling: the room for `count` objects is the next power of two. */
static void *make_room(void *objects, uint32_t count, size_t size)
{
	if (count >= FIRST_ROOM && (count & (count - 1)) == 0)
		return mem_realloc(objects, 2 * size * count);
	return count == 0 ? mem_realloc(objects, size * FIRST_ROOM) : objects;
}

static double share_of_all(struct u256 target)
{
	double share = 0;

	for (int i = 0; i < 4; i++)
		share += ldexp((double)target.limb[i], 64 * i - 256);
	return share;
}

static double share_of_bits(uint32_t bits)
{
	struct u256 target = { { 0 } };

	target_from_compact(bits, &target);
	return share_of_all(target);
}

/* ---- Chance ---- */

/* splitmix64: two lines, and no seed is a bad one. */
static uint64_t draw_word(struct world *w)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double world_uniform(struct world *w)
{
	return ((double)(draw_word(w) >> 12) + 0.5) * 0x1p-52;
}

double world_exponential(struct world *w)
{
	return -log(world_uniform(w));
}

uint32_t world_bits(double power)
{
	int exponent;
	double mantissa = frexp(1 / power, &exponent);
	struct u256 target = { { (uint64_t)ldexp(mantissa, 53), 0, 0, 0 } };

	return target_to_compact(u256_shift_left(target, (unsigned)(256 - 53 + exponent)));
}

/* ---- Branches ---- */

uint32_t world_ancestor(const struct world *w, uint32_t block, uint32_t back)
{
	for (; back > 0 && block != 0; back--)
		block = w->blocks[block].parent;
	return block;
}

bool world_descends(const struct world *w, uint32_t block, uint32_t from)
{
	uint32_t height = w->blocks[from].height;

	while (w->blocks[block].height > height)
		block = w->blocks[block].parent;
	return block == from;
}

uint32_t world_fork(const struct world *w, uint32_t a, uint32_t b)
{
	while (a != b) {
		if (w->blocks[a].height >= w->blocks[b].height)
			a = w->blocks[a].parent;
		else
			b = w->blocks[b].parent;
	}
	return a;
}

static uint32_t median_time(const struct world *w, uint32_t block)
{
	uint32_t times[MEDIAN], count = 0;

	for (;;) {
		uint32_t at = count++, time = w->blocks[block].time;

		for (; at > 0 && times[at - 1] > time; at--)
			times[at] = times[at - 1];
		times[at] = time;
		if (count == MEDIAN || block == 0)
			return times[count / 2];
		block = w->blocks[block].parent;
	}
}

/* The time that the rules count from: that of the ancestor `back` blocks back of a child of `parent`. */
static int64_t time_before(const struct world *w, uint32_t parent)
{
	return w->blocks[world_ancestor(w, parent, w->rules.back - 1)].time;
}

int64_t world_least_time(const struct world *w, uint32_t parent)
{
	int64_t median = (int64_t)median_time(w, parent) + 1;
	int64_t least = time_least(w->spec, &w->rules, w->blocks[parent].height + 1, time_before(w, parent));

	return least > median ? least : median;
}

uint32_t world_proofs_most(const struct world *w, uint32_t parent, uint32_t time)
{
	return time_proofs(w->spec, &w->rules, time - time_before(w, parent));
}

/* ---- Making ---- */

uint32_t world_add_proof(struct world *w, uint32_t parent, uint32_t miner, uint32_t time, double ticket, double now)
{
	uint32_t index = w->proof_count;

	w->proofs = make_room(w->proofs, index, sizeof *w->proofs);
	w->proofs[index] = (struct proof){
		.parent = parent,
		.block = NONE,
		.next = w->blocks[parent].proofs,
		.listing = NONE,
		.time = time,
		.miner = miner,
		.ticket = ticket,
		.found = now,
	};
	for (int i = 0; i < WORLD_MINERS; i++)
		w->proofs[index].known[i] = HUGE_VAL;
	w->proofs[index].known[miner] = now;
	w->blocks[parent].proofs = index;
	w->proof_count++;
	return index;
}

static void follow_time(const struct world *w, struct block *b)
{
	b->target = share_of_bits(b->bits);
	b->next_bits = target_next(w->spec, &w->rules, b->height, b->time);
	b->next_target = share_of_bits(b->next_bits);
}

uint32_t world_add_block(struct world *w, uint32_t proof)
{
	struct proof *p = &w->proofs[proof];
	uint32_t index = w->block_count;
	struct u256 target = { { 0 } };

	w->blocks = make_room(w->blocks, index, sizeof *w->blocks);
	const struct block *parent = &w->blocks[p->parent];
	struct block *b = &w->blocks[index];

	*b = (struct block){
		.proof = proof,
		.parent = p->parent,
		.height = parent->height + 1,
		.time = p->time,
		.bits = parent->next_bits,
		.is_least = p->time == time_least(w->spec, &w->rules, parent->height + 1, time_before(w, p->parent)),
		.listing = w->listing_count,
		.proofs = NONE,
	};
	target_from_compact(b->bits, &target);
	b->work = u256_add(parent->work, target_work(target));
	follow_time(w, b);
	p->block = index;
	w->block_count++;
	return index;
}

void world_list(struct world *w, uint32_t block, uint32_t proof, bool is_late)
{
	struct proof *p = &w->proofs[proof];

	w->listings = make_room(w->listings, w->listing_count, sizeof *w->listings);
	w->listings[w->listing_count] = (struct listing){ proof, block, p->listing };
	p->listing = w->listing_count++;
	if (is_late)
		w->blocks[block].late++;
	else
		w->blocks[block].loose++;
}

bool world_has(const struct world *w, uint32_t tip, uint32_t proof)
{
	const struct proof *p = &w->proofs[proof];

	if (p->block != NONE && world_descends(w, tip, p->block))
		return true;
	for (uint32_t i = p->listing; i != NONE; i = w->listings[i].next)
		if (world_descends(w, tip, w->listings[i].block))
			return true;
	return false;
}

void world_init(struct world *w, const struct spec *spec, const struct rules *rules, uint64_t seed)
{
	*w = (struct world){ .spec = spec, .rules = *rules, .random = seed };
	w->blocks = make_room(NULL, 0, sizeof *w->blocks);
	w->blocks[0] = (struct block){
		.proof = NONE,
		.parent = NONE,
		.time = (uint32_t)spec->genesis_time,
		.bits = rules->start_bits,
		.proofs = NONE,
		.arrived = UINT32_MAX,
		.connected = UINT32_MAX,
		.published = true,
	};
	follow_time(w, &w->blocks[0]);
	w->block_count = 1;
}

void world_clear(struct world *w)
{
	free(w->proofs);
	free(w->blocks);
	free(w->listings);
}
