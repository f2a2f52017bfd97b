/* The tables of round transactions: places, turns, and who gives them up. */
#include "chain/mempool/round_pool.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/mem.h"

enum {
	ROUND_TURN_BYTES = 64,     /* in a millisecond, beyond ROUND_TURN_MS */
	ROUND_TURN_FAST = 512,     /* the same, below which a stranger's turn ends if another waits for it */
	ROUND_TURN_PART = 1 << 20, /* bytes of which nothing is heard before they are all here (net/wire/message.h) */
	ROUND_UNASKED_MS = 10000,  /* of a turn in which no request goes out: its peer owes too much else */
	ROUND_REST_MS = 5000,      /* of an offer whose turn has passed; doubles */
	ROUND_REST_DOUBLED = 4,
};

void round_pool_init(struct round_pool *pool)
{
	memset(pool, 0, sizeof *pool);
	pool->at_once = ROUND_POOL_AT_ONCE;
	map_init(&pool->by_txid);
	round_groups_init(&pool->groups);
}

void round_pool_entry_free(struct round_entry *entry)
{
	tx_unref(entry->entry.tx);
	free(entry);
}

void round_pool_clear(struct round_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		round_pool_entry_free(pool->entries[i]);
	free(pool->entries);
	map_clear(&pool->by_txid);
	round_groups_clear(&pool->groups);
}

/* --- looking up --- */

static bool round_pool_is_of(const struct round_entry *entry, const struct round_tx *round_tx)
{
	return entry->round_tx.kind == round_tx->kind && entry->round_tx.height == round_tx->height;
}

struct round_entry *round_pool_find(const struct round_pool *pool, const uint8_t txid[32])
{
	return map_get(&pool->by_txid, txid);
}

struct round_entry *round_pool_holder(const struct round_pool *pool, const struct round_tx *round_tx)
{
	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_HELD && round_pool_is_of(pool->entries[i], round_tx))
			return pool->entries[i];
	return NULL;
}

bool round_pool_wants(const struct round_pool *pool, const uint8_t root[32], uint64_t size)
{
	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *wanting = pool->entries[i];

		if (wanting->stage >= ROUND_LINE && wanting->round_tx.kind != ROUND_COMMIT &&
			memcmp(wanting->round_tx.root, root, 32) == 0 && (size == 0 || size == wanting->blob_size))
			return true;
	}
	return false;
}

size_t round_pool_offer_of(const struct round_entry *entry, const struct round_group *group)
{
	size_t offer = 0;

	while (offer < entry->offer_count && entry->offers[offer].group != group)
		offer++;
	return offer;
}

/* --- places --- */

struct round_entry *round_pool_put(struct round_pool *pool, const struct tx *tx, const struct round_tx *round_tx,
	uint64_t brought_by, size_t blob_size)
{
	struct round_entry *entry = mem_calloc(1, sizeof *entry);

	entry->entry = (struct mempool_entry){
		.tx = tx_ref(tx),
		.weight = tx_weight(tx),
		.time = (uint64_t)clock_wall(),
	};
	memcpy(entry->entry.txid, tx_txid(tx), 32);
	memcpy(entry->entry.wtxid, tx_wtxid(tx), 32);
	entry->round_tx = *round_tx;
	entry->brought_by = brought_by;
	entry->is_own = brought_by == 0;
	entry->blob_size = blob_size;
	if (pool->count == pool->cap) {
		pool->cap = pool->cap ? 2 * pool->cap : 16;
		pool->entries = mem_realloc(pool->entries, pool->cap * sizeof *pool->entries);
	}
	pool->entries[pool->count++] = entry;
	map_put(&pool->by_txid, entry->entry.txid, entry);
	return entry;
}

void round_pool_offer(struct round_pool *pool, struct round_entry *entry, uint64_t peer, struct round_group *group)
{
	entry->offers[entry->offer_count++] = (struct round_offer){ .peer = peer, .group = group };
	group->uses++;
	pool->offers++;
}

void round_pool_end_turn(struct round_entry *entry)
{
	entry->turn_group = NULL;
	entry->turn_peer = 0;
	if (entry->stage == ROUND_ASKED)
		entry->stage = ROUND_LINE;
}

struct round_group *round_pool_giver(const struct round_pool *pool, const struct round_entry *entry)
{
	return entry->is_given ? round_groups_find(&pool->groups, entry->given_by) : NULL;
}

void round_pool_make_own(struct round_entry *entry)
{
	entry->is_own = true;
	round_pool_end_turn(entry);
}

void round_pool_withdraw(struct round_pool *pool, struct round_entry *entry, size_t offer)
{
	struct round_group *group = entry->offers[offer].group;

	if (entry->turn_group == group)
		round_pool_end_turn(entry);
	group->uses--;
	pool->offers--;
	memmove(&entry->offers[offer], &entry->offers[offer + 1],
		(--entry->offer_count - offer) * sizeof entry->offers[0]);
}

static void round_pool_withdraw_all(struct round_pool *pool, struct round_entry *entry)
{
	while (entry->offer_count > 0)
		round_pool_withdraw(pool, entry, entry->offer_count - 1);
}

void round_pool_take(struct round_pool *pool, struct round_entry *entry)
{
	size_t i = 0;

	round_pool_withdraw_all(pool, entry);
	while (pool->entries[i] != entry)
		i++;
	memmove(&pool->entries[i], &pool->entries[i + 1], (--pool->count - i) * sizeof pool->entries[0]);
	map_remove(&pool->by_txid, entry->entry.txid);
	pool->held -= entry->stage == ROUND_HELD;
}

/* Nobody has to bring it any more. */
void round_pool_hold(struct round_pool *pool, struct round_entry *entry)
{
	round_pool_withdraw_all(pool, entry);
	entry->stage = ROUND_HELD;
	pool->held++;
}

/* --- places --- */

/* Who is judged, or is being asked, gives way to nobody. */
static bool round_pool_may_yield(const struct round_entry *entry)
{
	return (entry->stage == ROUND_EARLY || entry->stage == ROUND_LINE) && !entry->is_own;
}

/* Of one transaction the offer whose group let most turns pass, or fewest (`best`). */
static size_t round_pool_extreme(const struct round_entry *entry, bool best)
{
	size_t extreme = 0;

	for (size_t i = 1; i < entry->offer_count; i++) {
		const uint32_t passed = entry->offers[i].group->passed, most = entry->offers[extreme].group->passed;

		if (best ? passed < most : passed > most)
			extreme = i;
	}
	return extreme;
}

/* The one of that seat whose best offer is worst, or of all (round_tx NULL) whose worst offer is, but for one;
 * `passed`: by it. */
static struct round_entry *round_pool_worst(const struct round_pool *pool, const struct round_tx *round_tx,
	const struct round_entry *but, uint32_t *passed)
{
	struct round_entry *worst = NULL;

	*passed = 0;
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *entry = pool->entries[i];
		uint32_t its_passed;

		if (entry == but || !round_pool_may_yield(entry) || entry->offer_count == 0 ||
			(round_tx != NULL && !round_pool_is_of(entry, round_tx)))
			continue;
		its_passed = entry->offers[round_pool_extreme(entry, round_tx != NULL)].group->passed;
		if (its_passed > *passed) {
			worst = entry;
			*passed = its_passed;
		}
	}
	return worst;
}

/* Only for one who let fewer turns pass: else who comes with ever new addresses would push out everybody. */
static enum round_place round_pool_yield(struct round_entry *entry, size_t offer, uint32_t passed,
	const struct round_group *group, struct round_place_of *place_of)
{
	if (entry == NULL || passed <= group->passed)
		return ROUND_PLACE_NONE;
	*place_of = (struct round_place_of){ entry, offer };
	return ROUND_PLACE_OF;
}

/* What else the group offers for that seat: one whose turn has passed may be said better now. */
static enum round_place round_pool_place_twice(const struct round_pool *pool, const struct round_tx *round_tx,
	const struct round_group *group, size_t *rivals, struct round_place_of *place_of)
{
	*rivals = 0;
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *rival = pool->entries[i];
		size_t offer;

		if (rival->stage == ROUND_HELD || !round_pool_is_of(rival, round_tx))
			continue;
		++*rivals;
		offer = round_pool_offer_of(rival, group);
		if (offer == rival->offer_count)
			continue;
		*place_of = (struct round_place_of){ rival, offer };
		return rival->offers[offer].has_passed && round_pool_may_yield(rival) ? ROUND_PLACE_OF :
											ROUND_PLACE_TWICE;
	}
	return ROUND_PLACE_FREE;
}

enum round_place round_pool_place(const struct round_pool *pool, const struct round_tx *round_tx,
	struct round_entry *known, const struct round_group *group, struct round_place_of *place_of)
{
	struct round_entry *worst = NULL;
	uint32_t passed = 0;
	size_t rivals;
	const enum round_place twice = round_pool_place_twice(pool, round_tx, group, &rivals, place_of);

	if (twice != ROUND_PLACE_FREE)
		return twice;
	if (known != NULL && known->offer_count == ROUND_POOL_OFFERS_OF) {
		const size_t offer = round_pool_extreme(known, false);

		passed = round_pool_may_yield(known) ? known->offers[offer].group->passed : 0;
		return round_pool_yield(known, offer, passed, group, place_of);
	}
	if (known == NULL && rivals >= ROUND_POOL_RIVALS) {
		worst = round_pool_worst(pool, round_tx, NULL, &passed);
		return round_pool_yield(worst, worst != NULL ? worst->offer_count : 0, passed, group, place_of);
	}
	if (pool->offers >= ROUND_POOL_OFFERS) {
		worst = round_pool_worst(pool, NULL, known, &passed);
		return round_pool_yield(worst, worst != NULL ? round_pool_extreme(worst, false) : 0, passed, group,
			place_of);
	}
	return ROUND_PLACE_FREE;
}

/* --- turns --- */

/* Who is to be compared: a turn that may begin now. */
struct round_candidate {
	struct round_entry *entry;
	size_t offer;
	uint32_t rank;
	uint64_t seat_served, group_served;
};

static bool round_pool_goes_first(const struct round_candidate *candidate, const struct round_candidate *other)
{
	if (candidate->rank != other->rank)
		return candidate->rank < other->rank;
	if (candidate->seat_served != other->seat_served)
		return candidate->seat_served < other->seat_served;
	return candidate->group_served < other->group_served;
}

/* Turns under way, of each group and of all; in how many bytes. */
static size_t round_pool_count_turns(const struct round_pool *pool, size_t *bytes)
{
	size_t turns = 0;

	*bytes = 0;
	for (size_t i = 0; i < pool->count; i++)
		for (size_t j = 0; j < pool->entries[i]->offer_count; j++)
			pool->entries[i]->offers[j].group->turns = 0;
	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *asked = pool->entries[i];

		if (asked->turn_group == NULL || asked->stage > ROUND_HERE)
			continue;
		asked->turn_group->turns++;
		turns++;
		*bytes += asked->blob_size;
	}
	return turns;
}

static uint64_t *round_pool_served(struct round_pool *pool, const struct round_entry *entry)
{
	return &pool->served[entry->round_tx.height % ROUND_POOL_SEATS];
}

/* Of the offers of one that stands in line. */
static void round_pool_consider(struct round_pool *pool, struct round_entry *entry, int64_t now,
	struct round_candidate *first)
{
	for (size_t i = 0; i < entry->offer_count; i++) {
		const struct round_offer *offer = &entry->offers[i];
		const struct round_candidate candidate = {
			.entry = entry,
			.offer = i,
			.rank = round_groups_rank(offer->group),
			.seat_served = *round_pool_served(pool, entry),
			.group_served = offer->group->served,
		};

		if (now < offer->rests_until ||
			offer->group->turns >= (offer->group->has_given ? ROUND_POOL_GROUP_TURNS : 1))
			continue;
		if (first->entry == NULL || round_pool_goes_first(&candidate, first))
			*first = candidate;
	}
}

static struct round_entry *round_pool_begin_turn(struct round_pool *pool, const struct round_candidate *next,
	int64_t now)
{
	struct round_entry *entry = next->entry;

	entry->turn_group = entry->offers[next->offer].group;
	entry->turn_peer = entry->offers[next->offer].peer;
	entry->is_asked = false;
	entry->come = 0;
	entry->turn_since = now;
	entry->stage = ROUND_ASKED;
	entry->turn_group->served = *round_pool_served(pool, entry) = ++pool->turns_begun;
	return entry;
}

/* How long it may take until the next part is here, at so many bytes in a millisecond. */
static int64_t round_pool_time_of(const struct round_entry *asked, size_t pace)
{
	const size_t left = asked->blob_size - asked->come;

	return ROUND_TURN_MS + (int64_t)((asked->come + (left < ROUND_TURN_PART ? left : ROUND_TURN_PART)) / pace);
}

static bool round_pool_is_slow(const struct round_entry *asked, int64_t now)
{
	return asked->stage == ROUND_ASKED && asked->turn_group != NULL && asked->is_asked &&
		!asked->turn_group->has_given && now - asked->turn_since > round_pool_time_of(asked, ROUND_TURN_FAST);
}

/* The turn that has lasted longest of those that are slow, of groups that rank no better than that; NULL: none is. */
static struct round_entry *round_pool_slowest(const struct round_pool *pool, uint32_t rank, int64_t now)
{
	struct round_entry *slowest = NULL;

	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *asked = pool->entries[i];

		if (round_pool_is_slow(asked, now) && round_groups_rank(asked->turn_group) >= rank &&
			(slowest == NULL || asked->turn_since < slowest->turn_since))
			slowest = asked;
	}
	return slowest;
}

static bool round_pool_has_room(const struct round_pool *pool, const struct round_entry *entry)
{
	size_t bytes;
	const size_t turns = round_pool_count_turns(pool, &bytes);

	return turns == 0 || (turns < ROUND_POOL_TURNS && bytes + entry->blob_size <= ROUND_POOL_BYTES);
}

/* Nobody waits for room that a slow stranger takes, if he is no worse than he. For the transaction that both offer only
 * who has given waits not: where it is our own connection that is slow, all of them would be asked for everything. */
static void round_pool_end_slow(struct round_pool *pool, int64_t now)
{
	struct round_candidate first = { .entry = NULL }, same = { .entry = NULL };
	struct round_entry *slowest;

	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_LINE)
			round_pool_consider(pool, pool->entries[i], now, &first);
		else if (round_pool_is_slow(pool->entries[i], now))
			round_pool_consider(pool, pool->entries[i], now, &same);
	if (same.entry != NULL && same.rank == 0 && (first.entry == NULL || round_pool_goes_first(&same, &first))) {
		round_pool_pass(same.entry, now);
		first = same;
	}
	while (first.entry != NULL && !round_pool_has_room(pool, first.entry) &&
		(slowest = round_pool_slowest(pool, first.rank, now)) != NULL)
		round_pool_pass(slowest, now);
}

struct round_entry *round_pool_next_turn(struct round_pool *pool, int64_t now)
{
	struct round_candidate next = { .entry = NULL };
	size_t bytes, turns;

	turns = round_pool_count_turns(pool, &bytes);
	if (round_pool_slowest(pool, 0, now) != NULL) {
		round_pool_end_slow(pool, now);
		turns = round_pool_count_turns(pool, &bytes);
	}
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *entry = pool->entries[i];

		if (entry->stage != ROUND_LINE)
			continue;
		if (entry->is_own) {
			entry->stage = ROUND_ASKED;
			return entry;
		}
		if (turns < ROUND_POOL_TURNS && (turns == 0 || bytes + entry->blob_size <= ROUND_POOL_BYTES))
			round_pool_consider(pool, entry, now, &next);
	}
	return next.entry != NULL ? round_pool_begin_turn(pool, &next, now) : NULL;
}

/* Of who offers it and let fewest turns pass; lower ones go first. */
static uint64_t round_pool_rank(const struct round_entry *entry)
{
	uint32_t best = UINT32_MAX;

	for (size_t i = 0; i < entry->offer_count; i++) {
		const uint32_t rank = round_groups_rank(entry->offers[i].group);

		best = rank < best ? rank : best;
	}
	return entry->is_own ? 0 : 1 + (uint64_t)best;
}

struct round_entry *round_pool_next_here(const struct round_pool *pool)
{
	struct round_entry *next = NULL;

	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_HERE &&
			(next == NULL || round_pool_rank(pool->entries[i]) < round_pool_rank(next)))
			next = pool->entries[i];
	return next;
}

/* A challenge of the first segment costs its sender nothing to make, all others the run. */
static uint64_t round_pool_doubt_rank(const struct round_entry *doubted)
{
	return 2 * round_pool_rank(doubted) + (!doubted->is_own && doubted->round_tx.segment == 0);
}

struct round_entry *round_pool_next_doubt(const struct round_pool *pool)
{
	struct round_entry *next = NULL;

	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *doubted = pool->entries[i];

		if (doubted->stage == ROUND_DOUBT &&
			(next == NULL || round_pool_doubt_rank(doubted) < round_pool_doubt_rank(next)))
			next = doubted;
	}
	return next;
}

void round_pool_pass(struct round_entry *entry, int64_t now)
{
	struct round_group *group = entry->turn_group;
	struct round_offer *offer = &entry->offers[round_pool_offer_of(entry, group)];

	round_groups_passed(group);
	offer->has_passed = true;
	offer->rests_until = now +
		((int64_t)ROUND_REST_MS << (group->passed < ROUND_REST_DOUBLED ? group->passed - 1 :
										 ROUND_REST_DOUBLED - 1));
	round_pool_end_turn(entry);
}

void round_pool_asked(const struct round_pool *pool, const uint8_t root[32], uint64_t peer, int64_t now)
{
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *asked = pool->entries[i];

		if (asked->stage != ROUND_ASKED || asked->turn_group == NULL || asked->turn_peer != peer ||
			memcmp(asked->round_tx.root, root, 32) != 0)
			continue;
		asked->is_asked = true;
		asked->come = 0;
		asked->turn_since = now;
	}
}

static int64_t round_pool_turn_ends(const struct round_entry *asked)
{
	return asked->turn_since + (asked->is_asked ? round_pool_time_of(asked, ROUND_TURN_BYTES) : ROUND_UNASKED_MS);
}

struct round_entry *round_pool_overdue(const struct round_pool *pool, int64_t now)
{
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *asked = pool->entries[i];

		if (asked->stage == ROUND_ASKED && asked->turn_group != NULL && now > round_pool_turn_ends(asked))
			return asked;
	}
	return NULL;
}
