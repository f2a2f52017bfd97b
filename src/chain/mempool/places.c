/* Who has a place, and who gives one up. */
#include "chain/mempool/places.h"

#include <stdlib.h>
#include <string.h>

#include "chain/coins.h"
#include "chain/internal.h"
#include "chain/mempool/mempool.h"
#include "util/clock.h"

enum { PLACE_SECONDS = 3600 };

void places_init(struct places *places)
{
	map_init(&places->spenders);
}

void places_clear(struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		tx_unref(places->waiting[i].tx);
		free(places->waiting[i].registered);
	}
	map_clear(&places->spenders);
}

void places_remove(struct chain *chain, size_t i)
{
	struct places *places = &chain->mempool->places;
	const struct tx *waiting_tx = places->waiting[i].tx;
	uint8_t spent_key[32];

	pending_remove(&chain->mempool->pending, &places->waiting[i].share);
	free(places->waiting[i].registered);

	for (size_t j = 0; j < waiting_tx->input_count; j++) {
		coin_key(&waiting_tx->inputs[j].prev, spent_key);
		map_remove(&places->spenders, spent_key);
	}
	memmove(&places->waiting[i], &places->waiting[i + 1], (--places->count - i) * sizeof places->waiting[0]);
}

/* The reference to tx is the place's from here on. */
static void places_add(struct chain *chain, const struct tx *waiting_tx, const struct source *source, uint32_t early_at)
{
	struct places *places = &chain->mempool->places;
	struct waiting_place *place = &places->waiting[places->count++];
	uint8_t spent_key[32];

	*place = (struct waiting_place){
		.tx = waiting_tx,
		.since = (uint64_t)clock_wall(),
		.share = pending_share_of(waiting_tx, source),
		.early_at = early_at,
	};
	if (source != NULL)
		place->source = *source;
	place->registered_count = wants_of_tx(waiting_tx, &place->registered);
	pending_add(&chain->mempool->pending, &place->share);
	for (size_t i = 0; i < waiting_tx->input_count; i++) {
		coin_key(&waiting_tx->inputs[i].prev, spent_key);
		map_put(&places->spenders, spent_key, (void *)waiting_tx);
	}
}

void places_release_blobs(struct chain *chain, const struct tx *gone_tx)
{
	struct blob_want *gone;
	size_t gone_count = wants_of_tx(gone_tx, &gone);

	for (size_t i = 0; i < gone_count; i++)
		if (map_get(&chain->mempool->roots, gone[i].root) == NULL &&
			!places_want(&chain->mempool->places, gone[i].root, gone[i].size) &&
			registry_find(chain->registry, gone[i].root, NULL) == NULL)
			blobs_drop(chain->blobs, gone[i].root);
	free(gone);
}

/* Its blob has not come, or its commitment; whoever wants the transaction sends it again. What has come goes with it:
 * else who lets places lapse would fill the room for pending bytes for good, at the price of sending them. */
static void places_vacate(struct chain *chain, size_t i)
{
	const struct tx *waiting_tx = chain->mempool->places.waiting[i].tx;

	places_remove(chain, i);
	places_release_blobs(chain, waiting_tx);
	tx_unref(waiting_tx);
}

void places_drop_conflicts(struct chain *chain, const struct tx *confirmed_tx)
{
	struct places *places = &chain->mempool->places;
	uint8_t spent_key[32];

	for (size_t i = 0; i < confirmed_tx->input_count; i++) {
		const struct tx *waiting_tx;

		coin_key(&confirmed_tx->inputs[i].prev, spent_key);
		waiting_tx = map_get(&places->spenders, spent_key);
		for (size_t place_at = 0; waiting_tx != NULL && place_at < places->count; place_at++)
			if (places->waiting[place_at].tx == waiting_tx) {
				places_vacate(chain, place_at);
				break;
			}
	}
}

/* Places that one group has; all of this node's own are one's too. */
static size_t places_of(const struct places *places, const uint8_t group[SOURCE_GROUP])
{
	size_t group_places = 0;

	for (size_t i = 0; i < places->count; i++)
		group_places += memcmp(places->waiting[i].source.group, group, SOURCE_GROUP) == 0;
	return group_places;
}

/* A place for one more of this group. Whoever has most gives up his eldest, but not to one who has as many. A
 * contribution that waits has paid nothing yet, so places are what one address could take from all others. */
static bool places_make_place(struct chain *chain, const uint8_t group[SOURCE_GROUP], struct reject *reject)
{
	struct places *places = &chain->mempool->places;
	size_t most_places = places_of(places, group), eldest_place = PLACES_MAX;

	if (places->count < PLACES_MAX)
		return true;
	for (size_t i = 0; i < PLACES_MAX; i++) {
		size_t group_places = places_of(places, places->waiting[i].source.group);

		if (group_places > most_places) {
			most_places = group_places;
			eldest_place = i;
		}
	}
	if (eldest_place == PLACES_MAX)
		return reject_as(reject, REJECT_POLICY, REASON_MISSING_BLOB, "too many contributions wait");
	places_vacate(chain, eldest_place);
	return true;
}

/* The same for the bytes it registers. What is in the mempool counts, and stays: its bytes are here, and the next
 * blocks take it. */
static bool places_make_room(struct chain *chain, const struct pending_share *share, struct reject *reject)
{
	const struct places *places = &chain->mempool->places;
	const struct pending *pending = &chain->mempool->pending;

	while (share->bytes > 0 && pending->bytes + share->bytes > pending->most) {
		uint64_t most_bytes = pending_of(pending, share->group) + share->bytes;
		size_t eldest_place = PLACES_MAX;

		for (size_t i = 0; i < places->count; i++) {
			uint64_t group_bytes = pending_of(pending, places->waiting[i].source.group);

			if (places->waiting[i].share.bytes > 0 && group_bytes > most_bytes) {
				most_bytes = group_bytes;
				eldest_place = i;
			}
		}
		if (eldest_place == PLACES_MAX)
			return reject_as(reject, REJECT_NOT_YET, REASON_BLOB_POOL_FULL,
				"contributions that no block has register enough already");
		places_vacate(chain, eldest_place);
	}
	return true;
}

/* Whether none that waits spends the same. */
static bool places_check(const struct places *places, const struct tx *waiting_tx, struct reject *reject)
{
	uint8_t spent_key[32];

	for (size_t i = 0; i < waiting_tx->input_count; i++) {
		coin_key(&waiting_tx->inputs[i].prev, spent_key);
		if (map_get(&places->spenders, spent_key) != NULL)
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"input %zu is spent by a contribution that waits", i);
	}
	return true;
}

/* Own transactions are one address's as well: this node does not push out everybody else. */
bool places_take(struct chain *chain, const struct tx *waiting_tx, const struct source *source, uint32_t early_at,
	struct reject *reject)
{
	static const uint8_t own_group[SOURCE_GROUP];
	const struct places *places = &chain->mempool->places;
	const struct pending_share share = pending_share_of(waiting_tx, source);

	while (places->count > 0 && places->waiting[0].since + PLACE_SECONDS < (uint64_t)clock_wall())
		places_vacate(chain, 0);
	if (!places_check(places, waiting_tx, reject) ||
		!places_make_place(chain, source != NULL ? source->group : own_group, reject) ||
		!places_make_room(chain, &share, reject))
		return false;
	places_add(chain, waiting_tx, source, early_at);
	return true;
}

bool places_hold(const struct places *places, const uint8_t wtxid[32])
{
	for (size_t i = 0; i < places->count; i++)
		if (memcmp(tx_wtxid(places->waiting[i].tx), wtxid, 32) == 0)
			return true;
	return false;
}

void places_abandon(struct chain *chain, const uint8_t wtxid[32])
{
	const struct places *places = &chain->mempool->places;

	for (size_t i = 0; i < places->count; i++)
		if (memcmp(tx_wtxid(places->waiting[i].tx), wtxid, 32) == 0) {
			places_vacate(chain, i);
			return;
		}
}

bool places_want(const struct places *places, const uint8_t root[32], uint64_t size)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct waiting_place *place = &places->waiting[i];

		for (size_t j = 0; j < place->registered_count; j++)
			if (memcmp(place->registered[j].root, root, 32) == 0 &&
				(size == 0 || place->registered[j].size == size))
				return true;
	}
	return false;
}
