/* Who has a place, and who gives one up. */
#include "chain/mempool/places.h"

#include <string.h>

#include "chain/coins.h"
#include "consensus/payload/contribution.h"
#include "util/clock.h"

enum { WAITING_SECONDS = 3600 };

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
	const struct tx *tx = places->waiting[i].tx;
	uint8_t key[32];

	for (size_t j = 0; j < tx->input_count; j++) {
		coin_key(&tx->inputs[j].prev, key);
		map_remove(&places->spenders, key);
	}
	memmove(&places->waiting[i], &places->waiting[i + 1], (--places->count - i) * sizeof places->waiting[0]);
}

/* The reference to tx is the place's from here on. */
static void add_place(struct places *places, const struct tx *tx, const struct source *source)
{
	struct waiting_tx *waiting = &places->waiting[places->count++];
	uint8_t key[32];

	*waiting = (struct waiting_tx){ .tx = tx, .since = (uint64_t)clock_wall() };
	if (source != NULL)
		waiting->source = *source;
	for (size_t i = 0; i < tx->input_count; i++) {
		coin_key(&tx->inputs[i].prev, key);
		map_put(&places->spenders, key, (void *)tx);
	}
}

/* Its blob has not come; whoever wants the transaction sends it again. */
static void drop_place(struct places *places, size_t i)
{
	const struct tx *tx = places->waiting[i].tx;

	places_remove(places, i);
	tx_unref(tx);
}

void places_drop_conflicts(struct places *places, const struct tx *tx)
{
	uint8_t key[32];

	for (size_t i = 0; i < tx->input_count; i++) {
		const struct tx *waiting;

		coin_key(&tx->inputs[i].prev, key);
		waiting = map_get(&places->spenders, key);
		for (size_t at = 0; waiting != NULL && at < places->count; at++)
			if (places->waiting[at].tx == waiting) {
				drop_place(places, at);
				break;
			}
	}
}

/* Places that one group has; all of this node's own are one's too. */
static size_t places_of(const struct places *places, const uint8_t group[SOURCE_GROUP])
{
	size_t count = 0;

	for (size_t i = 0; i < places->count; i++)
		count += memcmp(places->waiting[i].source.group, group, SOURCE_GROUP) == 0;
	return count;
}

/* A place for one more of this group. Whoever has most gives up his eldest, but not to one who has as many. A
 * contribution that waits has paid nothing yet, so places are what one address could take from all others. */
static bool make_place(struct places *places, const struct source *source, struct reject *reject)
{
	static const uint8_t own[SOURCE_GROUP];
	size_t most = places_of(places, source != NULL ? source->group : own), eldest = MEMPOOL_WAITING;

	if (places->count < MEMPOOL_WAITING)
		return true;
	for (size_t i = 0; i < MEMPOOL_WAITING; i++) {
		size_t count = places_of(places, places->waiting[i].source.group);

		if (count > most) {
			most = count;
			eldest = i;
		}
	}
	if (eldest == MEMPOOL_WAITING)
		return reject_as(reject, REJECT_POLICY, REASON_MISSING_BLOB,
			"too many contributions wait for their blobs");
	drop_place(places, eldest);
	return true;
}

/* Whether none that waits spends the same. */
static bool check_place(const struct places *places, const struct tx *tx, struct reject *reject)
{
	uint8_t key[32];

	for (size_t i = 0; i < tx->input_count; i++) {
		coin_key(&tx->inputs[i].prev, key);
		if (map_get(&places->spenders, key) != NULL)
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"input %zu is spent by a contribution that waits for its blob", i);
	}
	return true;
}

/* Own transactions are one address's as well: this node does not push out everybody else. */
bool places_take(struct places *places, const struct tx *tx, const struct source *source, struct reject *reject)
{
	while (places->count > 0 && places->waiting[0].since + WAITING_SECONDS < (uint64_t)clock_wall())
		drop_place(places, 0);
	if (!check_place(places, tx, reject) || !make_place(places, source, reject))
		return false;
	add_place(places, tx, source);
	return true;
}

bool places_hold(const struct places *places, const uint8_t wtxid[32])
{
	for (size_t i = 0; i < places->count; i++)
		if (memcmp(tx_wtxid(places->waiting[i].tx), wtxid, 32) == 0)
			return true;
	return false;
}

bool places_want(const struct places *places, const uint8_t root[32], uint64_t size)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct tx *tx = places->waiting[i].tx;

		for (size_t j = 0; j < tx->output_count; j++) {
			struct contribution data;

			if (contribution_parse(&tx->outputs[j].script, &data) && memcmp(data.root, root, 32) == 0 &&
				data.size == size)
				return true;
		}
	}
	return false;
}
