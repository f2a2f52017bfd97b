/* Look-ups in the index, the tip first; and locators. */
#include "chain/tip.h"

#include <string.h>

#include "chain/internal.h"
#include "util/clock.h"

enum { TIP_DOWNLOAD_AGE = 86400 };

struct full_entry *tip_full(const struct chain *chain)
{
	return chain->index.active[chain->index.active_count - 1];
}

const struct index_entry *chain_genesis(const struct chain *chain)
{
	return &chain->index.entries[0]->entry;
}

const struct index_entry *chain_tip(const struct chain *chain)
{
	return &tip_full(chain)->entry;
}

const struct index_entry *chain_best_header(const struct chain *chain)
{
	return &chain->index.best_header->entry;
}

const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32])
{
	const struct full_entry *full = index_find(&chain->index, id);

	return full != NULL ? &full->entry : NULL;
}

const struct index_entry *chain_at(const struct chain *chain, uint32_t height)
{
	return height < chain->index.active_count ? &chain->index.active[height]->entry : NULL;
}

bool chain_is_active(const struct chain *chain, const struct index_entry *entry)
{
	return index_is_active(&chain->index, entry);
}

bool chain_beats(const struct chain *chain, const struct index_entry *entry, const struct index_entry *rival)
{
	return index_beats(&chain->index, entry, rival);
}

size_t chain_tips(const struct chain *chain, const struct index_entry **out, size_t max)
{
	return index_tips(&chain->index, out, max);
}

/* Never back again: a node that has caught up once and falls behind (its machine slept) has branches to protect. Where
 * blocks have no spacing their times say nothing of now. */
void tip_end_download(struct chain *chain)
{
	const struct index_entry *tip = chain_tip(chain);

	if (chain->initial_download &&
		(chain->spec->spacing == 0 || (int64_t)tip->header.time + TIP_DOWNLOAD_AGE > clock_wall()))
		chain->initial_download = false;
}

/* --- locators --- */

/* Ten steps of one, then each twice as wide: about 10 + log2(height) ids, and the two sides find a block in common at
 * most as far below the fork as the fork is below the tip. */
size_t chain_locator(const struct chain *chain, const struct index_entry *locator_from, uint8_t (*locator_ids)[32],
	size_t locator_max)
{
	uint32_t locator_step = 1;
	size_t locator_count = 0;

	(void)chain;
	while (locator_count < locator_max) {
		/* The last place is kept for genesis, which every chain of this spec shares. */
		if (locator_count + 1 == locator_max)
			locator_from = chain_ancestor(locator_from, 0);
		memcpy(locator_ids[locator_count++], locator_from->id, 32);
		if (locator_from->height == 0)
			break;
		if (locator_count > 10)
			locator_step *= 2;
		locator_from = chain_ancestor(locator_from,
			locator_from->height > locator_step ? locator_from->height - locator_step : 0);
	}
	return locator_count;
}

/* The first that is on the active chain: the ids come from the tip down. Genesis is everybody's, so there is always
 * one. */
const struct index_entry *chain_fork_point(const struct chain *chain, const uint8_t (*locator_ids)[32],
	size_t locator_count)
{
	for (size_t i = 0; i < locator_count; i++) {
		const struct index_entry *entry = chain_find(chain, locator_ids[i]);

		if (entry != NULL && chain_is_active(chain, entry))
			return entry;
	}
	return chain_genesis(chain);
}
