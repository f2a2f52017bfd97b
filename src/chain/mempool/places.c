/* Who has a place, and who gives one up. */
#include "chain/mempool/places.h"

#include <string.h>

#include "chain/coins.h"
#include "consensus/payload/contribution.h"
#include "util/clock.h"

enum { PLACE_SECONDS = 3600 };

void places_init(struct places *places)
{
	map_init(&places->spenders);
}

void places_clear(struct places *places)
{
	for (size_t i = 0; i < places->count; i++)
		tx_unref(places->waiting[i].tx);
	map_clear(&places->spenders);
}

void places_remove(struct places *places, size_t i)
{
	const struct tx *waiting_tx = places->waiting[i].tx;
	uint8_t spent_key[32];

	for (size_t j = 0; j < waiting_tx->input_count; j++) {
		coin_key(&waiting_tx->inputs[j].prev, spent_key);
		map_remove(&places->spenders, spent_key);
	}
	memmove(&places->waiting[i], &places->waiting[i + 1], (--places->count - i) * sizeof places->waiting[0]);
}

/* The reference to tx is the place's from here on. */
static void places_add(struct places *places, const struct tx *waiting_tx, const struct source *source)
{
	struct waiting_place *place = &places->waiting[places->count++];
	uint8_t spent_key[32];

	*place = (struct waiting_place){ .tx = waiting_tx, .since = (uint64_t)clock_wall() };
	if (source != NULL)
		place->source = *source;
	for (size_t i = 0; i < waiting_tx->input_count; i++) {
		coin_key(&waiting_tx->inputs[i].prev, spent_key);
		map_put(&places->spenders, spent_key, (void *)waiting_tx);
	}
}

/* Its blob has not come; whoever wants the transaction sends it again. */
static void places_vacate(struct places *places, size_t i)
{
	const struct tx *waiting_tx = places->waiting[i].tx;

	places_remove(places, i);
	tx_unref(waiting_tx);
}

void places_drop_conflicts(struct places *places, const struct tx *confirmed_tx)
{
	uint8_t spent_key[32];

	for (size_t i = 0; i < confirmed_tx->input_count; i++) {
		const struct tx *waiting_tx;

		coin_key(&confirmed_tx->inputs[i].prev, spent_key);
		waiting_tx = map_get(&places->spenders, spent_key);
		for (size_t place_at = 0; waiting_tx != NULL && place_at < places->count; place_at++)
			if (places->waiting[place_at].tx == waiting_tx) {
				places_vacate(places, place_at);
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
static bool places_make_room(struct places *places, const struct source *source, struct reject *reject)
{
	static const uint8_t own_group[SOURCE_GROUP];
	size_t most_places = places_of(places, source != NULL ? source->group : own_group), eldest_place = PLACES_MAX;

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
	places_vacate(places, eldest_place);
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
bool places_take(struct places *places, const struct tx *waiting_tx, const struct source *source, struct reject *reject)
{
	while (places->count > 0 && places->waiting[0].since + PLACE_SECONDS < (uint64_t)clock_wall())
		places_vacate(places, 0);
	if (!places_check(places, waiting_tx, reject) || !places_make_room(places, source, reject))
		return false;
	places_add(places, waiting_tx, source);
	return true;
}

bool places_hold(const struct places *places, const uint8_t wtxid[32])
{
	for (size_t i = 0; i < places->count; i++)
		if (memcmp(tx_wtxid(places->waiting[i].tx), wtxid, 32) == 0)
			return true;
	return false;
}

void places_abandon(struct places *places, const uint8_t wtxid[32])
{
	for (size_t i = 0; i < places->count; i++)
		if (memcmp(tx_wtxid(places->waiting[i].tx), wtxid, 32) == 0) {
			places_vacate(places, i);
			return;
		}
}

bool places_want(const struct places *places, const uint8_t root[32], uint64_t size)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct tx *waiting_tx = places->waiting[i].tx;

		for (size_t j = 0; j < waiting_tx->output_count; j++) {
			struct contribution registered;

			if (contribution_parse(&waiting_tx->outputs[j].script, &registered) &&
				memcmp(registered.root, root, 32) == 0 && registered.size == size)
				return true;
		}
	}
	return false;
}
