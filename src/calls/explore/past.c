/* A walk along the active chain, remembered. */
#include "calls/explore/past.h"

#include <stdlib.h>

#include "calls/show.h"
#include "util/mem.h"

struct past_list {
	uint32_t *heights;
	size_t count, cap;
};

struct past {
	struct chain *chain;
	const struct index_entry *last; /* the highest that is here; connected once, so that it is never forgotten */
	struct past_block *blocks;
	size_t cap;
	struct past_list *draws; /* by dataset */
	size_t dataset_count;
};

struct past *past_new(struct chain *chain)
{
	struct past *past = mem_calloc(1, sizeof *past);

	past->chain = chain;
	past->last = chain_genesis(chain);
	return past;
}

void past_free(struct past *past)
{
	for (size_t i = 0; i < past->dataset_count; i++)
		free(past->draws[i].heights);
	free(past->draws);
	free(past->blocks);
	free(past);
}

static struct past_list *past_list_of(struct past *past, uint32_t dataset)
{
	while (past->dataset_count <= dataset) {
		past->draws = mem_realloc(past->draws, (past->dataset_count + 1) * sizeof *past->draws);
		past->draws[past->dataset_count++] = (struct past_list){ .count = 0 };
	}
	return &past->draws[dataset];
}

/* Two slots may have had the same one: the height stands there once. */
static void past_add_draw(struct past *past, uint32_t dataset, uint32_t height)
{
	struct past_list *list = past_list_of(past, dataset);

	if (list->count > 0 && list->heights[list->count - 1] == height)
		return;
	if (list->count == list->cap) {
		list->cap = list->cap > 0 ? list->cap * 2 : 16;
		list->heights = mem_realloc(list->heights, list->cap * sizeof *list->heights);
	}
	list->heights[list->count++] = height;
}

/* Of a merge that is judged by own pages the loss is of these, and stands beside no other. */
static int32_t past_loss(const struct past *past, const struct index_entry *entry, const struct block_outcome *outcome)
{
	const int64_t loss = show_micro_loss_after(outcome);

	if (loss > INT32_MAX ||
		(outcome->merge.seats > 0 && !outcome->merge.is_void &&
			show_is_judged_by_data(past->chain, entry->height - chain_spec(past->chain)->round_blocks)))
		return -1;
	return (int32_t)loss;
}

static void past_add(struct past *past, const struct index_entry *entry)
{
	struct block_outcome outcome;

	chain_outcome(entry, &outcome);
	if (past->cap <= entry->height) {
		past->cap = (size_t)entry->height + entry->height / 2 + 64;
		past->blocks = mem_realloc(past->blocks, past->cap * sizeof *past->blocks);
	}
	past->blocks[entry->height] = (struct past_block){
		.loss = past_loss(past, entry, &outcome),
		.is_void = outcome.outcome.is_void,
		.merges = outcome.merge.seats > 0,
	};
	for (uint32_t slot = 0; slot < outcome.outcome.slots && !outcome.outcome.is_void; slot++)
		if (outcome.outcome.slot[slot].count > 0)
			past_add_draw(past, outcome.dataset[slot], entry->height);
	past->last = entry;
}

/* The highest goes. */
static void past_take_back(struct past *past)
{
	struct block_outcome outcome;

	chain_outcome(past->last, &outcome);
	for (uint32_t slot = 0; slot < outcome.outcome.slots; slot++) {
		struct past_list *list = past_list_of(past, outcome.dataset[slot]);

		if (list->count > 0 && list->heights[list->count - 1] == past->last->height)
			list->count--;
	}
	past->last = past->last->parent;
}

static void past_follow(struct past *past)
{
	while (!chain_is_active(past->chain, past->last))
		past_take_back(past);
	while (past->last != chain_tip(past->chain))
		past_add(past, chain_at(past->chain, past->last->height + 1));
}

const struct past_block *past_blocks(struct past *past)
{
	past_follow(past);
	return past->blocks;
}

const uint32_t *past_draws(struct past *past, uint32_t dataset, size_t *count)
{
	past_follow(past);
	*count = dataset < past->dataset_count ? past->draws[dataset].count : 0;
	return *count > 0 ? past->draws[dataset].heights : NULL;
}
