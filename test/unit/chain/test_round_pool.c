/* Round transactions outside blocks: when they may come, whose turn it is, whose bytes are believed, what a template
 * gets, and what remains after blocks come and go. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "chain/mempool/round_policy.h"
#include "chain/verify/audits.h"
#include "chain/verify/segments.h"
#include "consensus/blob/round_blob.h"
#include "consensus/payload/contribution.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/backend.h"
#include "ml/run.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"

enum { BASE = 8, BEACON = 11 };

/* --- windows --- */

static enum round_when when(enum round_kind kind, uint32_t height, uint32_t next_height)
{
	const struct round_tx round_tx = { .kind = kind, .height = height };

	return round_policy_when(helper_spec(), next_height, &round_tx);
}

/* Of seats 1..8, whose base is 8: commitments in blocks 9..10, disclosures in 12..14, challenges in 13..15. */
static void test_windows(void **unused)
{
	(void)unused;
	for (uint32_t seat = 1; seat <= 8; seat++) {
		assert_int_equal(when(ROUND_COMMIT, seat, 2), ROUND_WHEN_NOT);
		assert_int_equal(when(ROUND_COMMIT, seat, 3), ROUND_WHEN_SOON);
		assert_int_equal(when(ROUND_COMMIT, seat, 8), ROUND_WHEN_SOON);
		assert_int_equal(when(ROUND_COMMIT, seat, 9), ROUND_WHEN_NOW);
		assert_int_equal(when(ROUND_COMMIT, seat, 10), ROUND_WHEN_NOW);
		assert_int_equal(when(ROUND_COMMIT, seat, 11), ROUND_WHEN_NEVER);
	}
	assert_int_equal(when(ROUND_COMMIT, 0, 9), ROUND_WHEN_NEVER);
	assert_int_equal(when(ROUND_COMMIT, 9, 9), ROUND_WHEN_NOT);
	assert_int_equal(when(ROUND_COMMIT, UINT32_MAX, 9), ROUND_WHEN_NOT);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 5), ROUND_WHEN_NOT);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 6), ROUND_WHEN_SOON);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 11), ROUND_WHEN_SOON);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 12), ROUND_WHEN_NOW);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 14), ROUND_WHEN_NOW);
	assert_int_equal(when(ROUND_DISCLOSURE, 8, 15), ROUND_WHEN_NEVER);
	assert_int_equal(when(ROUND_CHALLENGE, 8, 12), ROUND_WHEN_SOON);
	assert_int_equal(when(ROUND_CHALLENGE, 8, 15), ROUND_WHEN_NOW);
	assert_int_equal(when(ROUND_CHALLENGE, 8, 16), ROUND_WHEN_NEVER);
	assert_int_equal(round_disclosures_most(helper_spec()), 11);
}

/* --- places and turns --- */

enum { BLOB_BYTES = 1000, SILENCE_MS = 5000 };

static struct round_group *group_of(struct round_pool *pool, uint32_t number)
{
	uint8_t group[SOURCE_GROUP] = { 0 };

	write_le32(group, number);
	return round_groups_get(&pool->groups, group);
}

static struct round_tx disclosure_of(uint32_t seat, uint32_t number)
{
	struct round_tx round_tx = { .kind = ROUND_DISCLOSURE, .height = seat, .length = 1 };

	write_le32(round_tx.root, number);
	return round_tx;
}

/* A disclosure with a root of its own, in the pool as it stands in line, offered by that group. */
static struct round_entry *put_line(struct round_pool *pool, uint32_t seat, uint32_t root, uint32_t group)
{
	const struct round_tx round_tx = disclosure_of(seat, root);
	const struct tx *tx = round_tx_build(&round_tx);
	struct round_entry *entry = round_pool_put(pool, tx, &round_tx, group, BLOB_BYTES);

	tx_unref(tx);
	if (group != 0)
		round_pool_offer(pool, entry, group, group_of(pool, group));
	entry->stage = ROUND_LINE;
	return entry;
}

static void take_out(struct round_pool *pool, struct round_entry *entry)
{
	round_pool_take(pool, entry);
	round_pool_entry_free(entry);
}

static size_t take_turns(struct round_pool *pool, int64_t now)
{
	size_t turns = 0;

	while (round_pool_next_turn(pool, now) != NULL)
		turns++;
	return turns;
}

static size_t pass_turns(struct round_pool *pool, int64_t now)
{
	size_t passed = 0;

	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_ASKED && pool->entries[i]->turn_group != NULL) {
			round_pool_pass(pool->entries[i], now);
			passed++;
		}
	return passed;
}

/* A stranger has one turn, who has given two, all together sixteen, of no more bytes than that; this node's own count
 * for nobody. */
static void test_turns(void **unused)
{
	struct round_pool pool;
	struct round_entry *large;

	(void)unused;
	round_pool_init(&pool);
	for (uint32_t seat = 1; seat <= 4; seat++)
		put_line(&pool, seat, seat, 1);
	assert_int_equal(take_turns(&pool, 0), 1);
	round_groups_gave(group_of(&pool, 1));
	assert_int_equal(take_turns(&pool, 0), 1);
	put_line(&pool, 5, 5, 0);
	assert_int_equal(take_turns(&pool, 0), 1);
	for (uint32_t group = 2; group <= 2 * ROUND_POOL_TURNS; group++)
		put_line(&pool, group, group, group);
	assert_int_equal(take_turns(&pool, 0), ROUND_POOL_TURNS - 2);
	assert_int_equal(pass_turns(&pool, 0), ROUND_POOL_TURNS);
	large = put_line(&pool, 100, 100, 100);
	large->blob_size = ROUND_POOL_BYTES;
	assert_true(round_pool_next_turn(&pool, 0) != large);
	take_turns(&pool, 0);
	assert_int_equal(large->stage, ROUND_LINE);
	while (pass_turns(&pool, 0) > 0)
		if (round_pool_next_turn(&pool, 0) == large)
			break;
	assert_int_equal(large->stage, ROUND_ASKED);
	assert_int_equal(take_turns(&pool, 0), 0);
	round_pool_clear(&pool);
}

/* A turn's time runs from the request on, by what comes; one in which nobody is asked is not for ever. */
static void test_overdue(void **unused)
{
	enum { ASKED = 9000, SIZE = 64 << 20, PART = 1 << 20, FIRST = 5000 + PART / 64 };
	struct round_pool pool;
	struct round_entry *one;

	(void)unused;
	round_pool_init(&pool);
	one = put_line(&pool, 1, 1, 1);
	one->blob_size = SIZE;
	assert_ptr_equal(round_pool_next_turn(&pool, 0), one);
	assert_null(round_pool_overdue(&pool, 10000));
	assert_ptr_equal(round_pool_overdue(&pool, 10001), one);
	round_pool_asked(&pool, one->round_tx.root, 2, ASKED);
	assert_ptr_equal(round_pool_overdue(&pool, 10001), one);
	round_pool_asked(&pool, one->round_tx.root, 1, ASKED);
	assert_null(round_pool_overdue(&pool, ASKED + FIRST));
	assert_ptr_equal(round_pool_overdue(&pool, ASKED + FIRST + 1), one);
	one->come = 40 << 20;
	assert_null(round_pool_overdue(&pool, ASKED + FIRST + (40 << 20) / 64));
	assert_ptr_equal(round_pool_overdue(&pool, ASKED + FIRST + (40 << 20) / 64 + 1), one);
	one->come = SIZE;
	assert_null(round_pool_overdue(&pool, ASKED + 5000 + SIZE / 64));
	assert_ptr_equal(round_pool_overdue(&pool, ASKED + 5000 + SIZE / 64 + 1), one);
	round_pool_pass(one, 0);
	assert_null(round_pool_overdue(&pool, INT64_MAX));
	assert_int_equal(group_of(&pool, 1)->passed, 1);
	/* Another turn begins with nothing. */
	assert_ptr_equal(round_pool_next_turn(&pool, SILENCE_MS), one);
	round_pool_asked(&pool, one->round_tx.root, 1, SILENCE_MS);
	assert_ptr_equal(round_pool_overdue(&pool, SILENCE_MS + FIRST + 1), one);
	round_pool_clear(&pool);
}

enum { SLOW_SIZE = 40 << 20, SLOW_PART = 1 << 20, SLOW_AFTER = 5000 + SLOW_PART / 512 };

/* Strangers have all turns, each asked at 1 ms for bytes that take 80 seconds at a good pace. */
static void begin_slow_turns(struct round_pool *pool, struct round_entry *slow[ROUND_POOL_TURNS])
{
	round_pool_init(pool);
	for (uint32_t i = 0; i < ROUND_POOL_TURNS; i++) {
		slow[i] = put_line(pool, 1 + i, 1 + i, 1 + i);
		slow[i]->blob_size = i == 0 ? SLOW_SIZE : SLOW_PART;
		assert_ptr_equal(round_pool_next_turn(pool, 0), slow[i]);
		round_pool_asked(pool, slow[i]->round_tx.root, 1 + i, i == 3 ? 0 : 1);
	}
}

/* Nobody who has let no turn pass waits for room that a stranger takes who sends too little at a time, however large
 * his blob is; but for who is as fast as he should be, and who has given. */
static void test_slow_turns(void **unused)
{
	struct round_entry *slow[ROUND_POOL_TURNS], *next;
	struct round_pool pool;

	(void)unused;
	begin_slow_turns(&pool, slow);
	round_groups_gave(group_of(&pool, 4)); /* whose turn is the eldest */
	put_line(&pool, 50, 50, 50);
	round_groups_passed(group_of(&pool, 50)); /* he is no better than they are */
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	next = put_line(&pool, 51, 51, 51);
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 1));
	slow[0]->come = SLOW_PART;
	assert_ptr_equal(round_pool_next_turn(&pool, SLOW_AFTER + 2), next);
	assert_int_equal(slow[0]->stage, ROUND_ASKED);
	assert_int_equal(slow[1]->stage, ROUND_LINE);
	assert_int_equal(group_of(&pool, 2)->passed, 1);
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	/* One who let a turn pass waits for one who let more pass. */
	round_groups_passed(group_of(&pool, 8));
	round_groups_passed(group_of(&pool, 8));
	assert_int_equal(round_pool_next_turn(&pool, SLOW_AFTER + 2)->round_tx.height, 50);
	assert_int_equal(slow[7]->stage, ROUND_LINE);
	/* In time the large one is too slow, too. */
	for (uint32_t i = 2; i < ROUND_POOL_TURNS; i++)
		round_groups_gave(group_of(&pool, 1 + i));
	round_groups_gave(group_of(&pool, 50));
	round_groups_gave(group_of(&pool, 51));
	next = put_line(&pool, 52, 52, 52);
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 1 + SLOW_PART / 512));
	assert_ptr_equal(round_pool_next_turn(&pool, SLOW_AFTER + 2 + SLOW_PART / 512), next);
	assert_int_equal(slow[0]->stage, ROUND_LINE);
	round_pool_clear(&pool);
}

/* Who has given does not wait for a slow stranger where both offer the same; another stranger does. */
static void test_slow_with_the_same(void **unused)
{
	struct round_entry *slow[ROUND_POOL_TURNS], *giver;
	struct round_pool pool;

	(void)unused;
	begin_slow_turns(&pool, slow);
	round_pool_offer(&pool, slow[5], 50, group_of(&pool, 50));
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	giver = put_line(&pool, 51, 51, 51);
	round_groups_gave(group_of(&pool, 51));
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER));
	assert_ptr_equal(round_pool_next_turn(&pool, SLOW_AFTER + 1), giver);
	assert_int_equal(slow[3]->stage, ROUND_LINE);
	assert_int_equal(group_of(&pool, 4)->passed, 1);
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	/* But who has given waits for another who has. */
	round_groups_gave(group_of(&pool, 10));
	round_pool_offer(&pool, slow[9], 51, group_of(&pool, 51));
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	round_pool_offer(&pool, slow[7], 51, group_of(&pool, 51));
	assert_ptr_equal(round_pool_next_turn(&pool, SLOW_AFTER + 2), slow[7]);
	assert_int_equal(slow[7]->turn_peer, 51);
	assert_int_equal(slow[9]->turn_peer, 10);
	assert_int_equal(group_of(&pool, 8)->passed, 1);
	assert_null(round_pool_next_turn(&pool, SLOW_AFTER + 2));
	round_pool_clear(&pool);
}

/* Challenges are executed one after the other: own ones, then whose address gave what was right, and of strangers' the
 * one that takes a run to make before those that everybody can. */
static void test_doubts(void **unused)
{
	struct round_entry *entries[5];
	struct round_pool pool;

	(void)unused;
	round_pool_init(&pool);
	assert_null(round_pool_next_doubt(&pool));
	for (uint32_t i = 0; i < 5; i++) {
		entries[i] = put_line(&pool, 1 + i, 1 + i, 1 + i);
		entries[i]->round_tx.kind = ROUND_CHALLENGE;
		entries[i]->round_tx.segment = i > 1;
		entries[i]->stage = ROUND_DOUBT;
	}
	round_pool_offer(&pool, entries[3], 101, group_of(&pool, 101));
	round_groups_gave(group_of(&pool, 101));
	round_pool_make_own(entries[4]);
	assert_ptr_equal(round_pool_next_doubt(&pool), entries[4]);
	take_out(&pool, entries[4]);
	assert_ptr_equal(round_pool_next_doubt(&pool), entries[3]);
	take_out(&pool, entries[3]);
	assert_ptr_equal(round_pool_next_doubt(&pool), entries[2]);
	round_groups_passed(group_of(&pool, 3));
	assert_ptr_equal(round_pool_next_doubt(&pool), entries[0]);
	round_groups_passed(group_of(&pool, 1));
	assert_ptr_equal(round_pool_next_doubt(&pool), entries[1]);
	round_pool_clear(&pool);
}

/* Bytes are looked at in the same order: who has named false ones comes behind who has not. */
static void test_looks(void **unused)
{
	struct round_entry *entries[4];
	struct round_pool pool;

	(void)unused;
	round_pool_init(&pool);
	assert_null(round_pool_next_here(&pool));
	for (uint32_t i = 0; i < 4; i++) {
		entries[i] = put_line(&pool, 1 + i, 1 + i, 1 + i);
		entries[i]->stage = ROUND_HERE;
	}
	round_groups_passed(group_of(&pool, 1));
	round_groups_gave(group_of(&pool, 3));
	round_pool_make_own(entries[3]);
	assert_ptr_equal(round_pool_next_here(&pool), entries[3]);
	take_out(&pool, entries[3]);
	assert_ptr_equal(round_pool_next_here(&pool), entries[2]);
	take_out(&pool, entries[2]);
	assert_ptr_equal(round_pool_next_here(&pool), entries[1]);
	entries[1]->stage = ROUND_LINE;
	assert_ptr_equal(round_pool_next_here(&pool), entries[0]);
	round_pool_clear(&pool);
}

/* First who has given, then strangers, then who let fewer turns pass; among equals each seat, and then each group, in
 * turn. */
static void test_order(void **unused)
{
	struct round_entry *giver, *stranger, *slow, *slower, *next;
	struct round_pool pool;

	(void)unused;
	round_pool_init(&pool);
	slower = put_line(&pool, 1, 1, 1);
	slow = put_line(&pool, 2, 2, 2);
	stranger = put_line(&pool, 3, 3, 3);
	giver = put_line(&pool, 4, 4, 4);
	round_groups_passed(group_of(&pool, 1));
	round_groups_passed(group_of(&pool, 1));
	round_groups_passed(group_of(&pool, 2));
	round_groups_gave(group_of(&pool, 4));
	assert_ptr_equal(round_pool_next_turn(&pool, 0), giver);
	assert_ptr_equal(round_pool_next_turn(&pool, 0), stranger);
	assert_ptr_equal(round_pool_next_turn(&pool, 0), slow);
	assert_ptr_equal(round_pool_next_turn(&pool, 0), slower);
	/* Whose turn has passed rests before the next one; a stranger who comes meanwhile does not wait for that. */
	round_pool_pass(slow, 0);
	assert_null(round_pool_next_turn(&pool, 2 * SILENCE_MS - 1));
	stranger = put_line(&pool, 2, 5, 5);
	assert_ptr_equal(round_pool_next_turn(&pool, 2 * SILENCE_MS), stranger);
	assert_ptr_equal(round_pool_next_turn(&pool, 2 * SILENCE_MS), slow);
	/* Many for one seat do not keep another's waiting. */
	for (uint32_t group = 10; group < 20; group++)
		put_line(&pool, 10, group, group);
	next = put_line(&pool, 11, 20, 20);
	assert_int_equal(round_pool_next_turn(&pool, 0)->round_tx.height, 10);
	assert_ptr_equal(round_pool_next_turn(&pool, 0), next);
	round_pool_clear(&pool);
}

/* One of a group for a seat; where all places are taken, who let more turns pass gives up his, and nobody for one who
 * let as many. */
static void test_places(void **unused)
{
	const struct round_tx one = disclosure_of(1, 1000);
	struct round_place_of place_of;
	struct round_entry *known;
	struct round_pool pool;

	(void)unused;
	round_pool_init(&pool);
	known = put_line(&pool, 1, 1, 1);
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 1), &place_of), ROUND_PLACE_TWICE);
	assert_ptr_equal(round_pool_next_turn(&pool, 0), known);
	round_pool_pass(known, 0);
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 1), &place_of), ROUND_PLACE_OF);
	assert_ptr_equal(place_of.entry, known);
	/* The transaction itself: of eight, and of one who let none pass in the place of who did. */
	for (uint32_t group = 2; group <= ROUND_POOL_OFFERS_OF; group++) {
		assert_int_equal(round_pool_place(&pool, &known->round_tx, known, group_of(&pool, group), &place_of),
			ROUND_PLACE_FREE);
		round_pool_offer(&pool, known, group, group_of(&pool, group));
	}
	assert_int_equal(round_pool_place(&pool, &known->round_tx, known, group_of(&pool, 50), &place_of),
		ROUND_PLACE_OF);
	assert_int_equal(place_of.offer, 0);
	round_groups_gave(group_of(&pool, 1));
	assert_int_equal(round_pool_place(&pool, &known->round_tx, known, group_of(&pool, 50), &place_of),
		ROUND_PLACE_NONE);
	/* Others for the seat. */
	for (uint32_t group = 101; group < 100 + ROUND_POOL_RIVALS; group++)
		put_line(&pool, 1, group, group);
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_NONE);
	round_groups_passed(group_of(&pool, 105));
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_OF);
	assert_int_equal(place_of.entry->turn_peer, 0);
	assert_int_equal(place_of.entry->offers[0].peer, 105);
	round_groups_passed(group_of(&pool, 50));
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_NONE);
	take_out(&pool, place_of.entry);
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_FREE);
	round_pool_clear(&pool);
}

/* All places there are. */
static void test_full(void **unused)
{
	const struct round_tx one = disclosure_of(1000, 1);
	struct round_place_of place_of;
	struct round_pool pool;
	uint32_t number = 0;

	(void)unused;
	round_pool_init(&pool);
	while (pool.offers < ROUND_POOL_OFFERS) {
		put_line(&pool, number / 8, number, 1 + number % 8);
		number++;
	}
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_NONE);
	round_groups_passed(group_of(&pool, 3));
	assert_int_equal(round_pool_place(&pool, &one, NULL, group_of(&pool, 50), &place_of), ROUND_PLACE_OF);
	assert_ptr_equal(place_of.entry->offers[0].group, group_of(&pool, 3));
	round_pool_clear(&pool);
}

/* Puts it if there is a place, in the place of whoever has to give way. */
static struct round_entry *try_line(struct round_pool *pool, uint32_t seat, uint32_t root, uint32_t group)
{
	const struct round_tx round_tx = disclosure_of(seat, root);
	struct round_place_of place_of;

	for (;;) {
		switch (round_pool_place(pool, &round_tx, NULL, group_of(pool, group), &place_of)) {
		case ROUND_PLACE_FREE:
			return put_line(pool, seat, root, group);
		case ROUND_PLACE_OF:
			take_out(pool, place_of.entry);
			break;
		case ROUND_PLACE_TWICE:
		case ROUND_PLACE_NONE:
			return NULL;
		}
	}
}

/* The bound that the header states: so many groups offer something else for all seats, each as often as it may and ever
 * first, and none of it is sent. Whoever has the bytes, and offers them each time that silence has ended turns, gets
 * his turn when all the others have had one at most. */
static void test_flood(void **unused)
{
	enum { GROUPS = 200, SEATS = 8, HONEST = GROUPS + 1 };
	struct round_entry *honest = NULL;
	struct round_pool pool;
	int64_t now = 0;

	(void)unused;
	round_pool_init(&pool);
	while (honest == NULL || honest->stage != ROUND_ASKED) {
		for (uint32_t group = 1; group <= GROUPS; group++)
			for (uint32_t seat = 1; seat <= SEATS; seat++)
				try_line(&pool, seat, SEATS * group + seat, group);
		if (honest == NULL)
			honest = try_line(&pool, 1, 0, HONEST);
		assert_true(take_turns(&pool, now) > 0);
		now += SILENCE_MS;
		if (honest == NULL || honest->stage != ROUND_ASKED)
			pass_turns(&pool, now);
	}
	assert_in_range(now, 0, (GROUPS / ROUND_POOL_TURNS + 3) * SILENCE_MS);
	for (uint32_t group = 1; group <= GROUPS; group++)
		assert_in_range(group_of(&pool, group)->passed, 0, 1);
	round_pool_clear(&pool);
}

/* Records of groups: what is remembered goes last, and none that is used. */
static void test_groups(void **unused)
{
	const uint8_t other_base[32] = { 1 };
	struct round_pool pool;
	struct round_group *used;

	(void)unused;
	round_pool_init(&pool);
	round_groups_silence(group_of(&pool, 1), 0);
	round_groups_passed(group_of(&pool, 2));
	round_groups_note_fault(group_of(&pool, 3), 1);
	used = group_of(&pool, 4);
	used->uses = 1;
	for (uint32_t number = 5; number < 5 + 2 * ROUND_GROUPS_MAX; number++)
		group_of(&pool, number);
	assert_int_equal(pool.groups.by_group.count, ROUND_GROUPS_MAX);
	assert_true(round_groups_is_silenced(&pool.groups, group_of(&pool, 1)->group, 0));
	assert_int_equal(group_of(&pool, 2)->passed, 1);
	assert_int_equal(group_of(&pool, 3)->faults, 1);
	assert_ptr_equal(group_of(&pool, 4), used);
	round_groups_silence(group_of(&pool, 2), 1000);
	memcpy(pool.groups.base_id, other_base, 32);
	assert_false(round_groups_is_silenced(&pool.groups, group_of(&pool, 1)->group, 0));
	assert_true(round_groups_is_silenced(&pool.groups, group_of(&pool, 2)->group, 999));
	assert_false(round_groups_is_silenced(&pool.groups, group_of(&pool, 2)->group, 1000));
	round_groups_note_fault(group_of(&pool, 3), 1);
	assert_false(group_of(&pool, 3)->is_silenced);
	round_groups_note_fault(group_of(&pool, 3), 1);
	assert_true(group_of(&pool, 3)->is_silenced);
	round_pool_clear(&pool);
}

/* --- on a chain --- */

/* A run as its trace is told: codes that nobody has trained, but all of whose digests are right. */
struct trace {
	uint8_t *codes[5]; /* Q_0 .. Q_4 */
	uint8_t digests[4][32], root[32];
	uint32_t length;
};

/* It has so many segments, of those that are there. */
static void trace_end(struct trace *trace, uint32_t length)
{
	trace->length = length;
	sha256(trace->root, trace->digests, (size_t)32 * length);
}

static void trace_make(struct trace *trace, unsigned number)
{
	const struct train_config *config = &spec_course(helper_spec())->train;
	const size_t size = run_code_size(config);

	for (unsigned j = 0; j < 5; j++) {
		trace->codes[j] = mem_alloc(size);
		run_start(config, trace->codes[j]);
		if (j == 0)
			continue;
		write_le32(trace->codes[j] + 1, 256 * number + j);
		assert_true(run_code_check(config, trace->codes[j], size));
		sha256(trace->digests[j - 1], trace->codes[j], size);
	}
	trace_end(trace, 4);
}

static void trace_clear(struct trace *trace)
{
	for (unsigned j = 0; j < 5; j++)
		free(trace->codes[j]);
}

static struct buf trace_blob(const struct trace *trace, uint32_t segment)
{
	const size_t size = run_code_size(&spec_course(helper_spec())->train);
	struct buf blob;

	buf_init(&blob);
	buf_put(&blob, trace->digests, (size_t)32 * trace->length);
	buf_put(&blob, trace->codes[segment], size);
	buf_put(&blob, trace->codes[trace->length], size);
	return blob;
}

static const struct tx *build_commit(struct helper *h, uint32_t height, const struct trace *trace)
{
	static const uint8_t aux[32];
	struct round_tx round_tx = { .kind = ROUND_COMMIT, .height = height, .length = trace->length };
	uint8_t hash[32];

	memcpy(round_tx.root, trace->root, 32);
	round_commit_hash(chain_at(h->chain, BASE)->id, chain_at(h->chain, height)->id, trace->length, trace->root,
		hash);
	assert_true(schnorr_sign(round_tx.signature, hash, h->secret, aux));
	return round_tx_build(&round_tx);
}

static const struct tx *build_disclosure(uint32_t height, const struct buf *blob)
{
	const size_t codes_size = 2 * round_code_size(helper_spec());
	struct round_tx round_tx = {
		.kind = ROUND_DISCLOSURE,
		.height = height,
		.length = (uint32_t)((blob->size - codes_size) / 32),
	};

	contribution_root(blob->data, blob->size, round_tx.root);
	return round_tx_build(&round_tx);
}

static void expect(struct helper *h, const struct tx *tx, uint8_t from, enum chain_result result, const char *reason)
{
	struct reject reject = { .reason = "" };

	assert_int_equal(chain_add_tx(h->chain, tx, from != 0 ? helper_source(from) : NULL, &reject), result);
	assert_string_equal(reject.reason, reason);
}

static enum chain_result bring(struct helper *h, const struct buf *blob)
{
	struct reject reject;
	uint8_t root[32];

	contribution_root(blob->data, blob->size, root);
	return chain_add_blob(h->chain, root, blob->data, blob->size, false, &reject);
}

static void note_result(void *context, enum chain_result result, const struct reject *reject)
{
	(void)reject;
	*(enum chain_result *)context = result;
}

/* In a part, as the net has it from that peer. */
static enum chain_result send_blob(struct helper *h, const struct buf *blob, uint8_t from)
{
	enum chain_result result = CHAIN_ERROR;
	struct blob_draft *draft;
	uint8_t root[32];

	contribution_root(blob->data, blob->size, root);
	draft = chain_draft_new(h->chain, root, blob->size, helper_source(from));
	assert_true(chain_draft_add(draft, blob->data, blob->size));
	chain_draft_end(draft, note_result, &result);
	helper_settle(h);
	return result;
}

static uint32_t audited(struct helper *h, uint32_t height)
{
	struct round_view *view = mem_calloc(1, sizeof *view);
	uint32_t segment;

	assert_true(registry_round_view(chain_registry(h->chain), view));
	segment = round_audited(view, height - 1);
	free(view);
	return segment;
}

/* One a seat, signed by who has it, from the base on; the next block takes them all. */
static void test_commits(void **unused)
{
	struct round_tx forged = { .kind = ROUND_COMMIT, .height = 2, .length = 4 };
	struct helper h;
	const struct tx *late;
	struct trace trace;

	(void)unused;
	helper_start(&h);
	trace_make(&trace, 1);
	helper_mine(&h, BASE);
	expect(&h, build_commit(&h, 1, &trace), 1, CHAIN_NEW, "");
	expect(&h, build_commit(&h, 1, &trace), 1, CHAIN_KNOWN, "");
	trace_end(&trace, 3);
	expect(&h, build_commit(&h, 1, &trace), 2, CHAIN_REJECTED, "txn-mempool-conflict");
	trace_end(&trace, 4);
	/* Of another base, for all that is known: as many as one may have who comes from there. */
	for (unsigned i = 0; i < 3 * BASE; i++)
		expect(&h, round_tx_build(&forged), 1, CHAIN_REJECTED, "bad-round-signature");
	expect(&h, build_commit(&h, 3, &trace), 1, CHAIN_NEW, "");
	expect(&h, round_tx_build(&forged), 1, CHAIN_REJECTED, "bad-round-signature");
	expect(&h, build_commit(&h, 2, &trace), 1, CHAIN_REJECTED, "round-offender");
	forged.length = 0;
	expect(&h, round_tx_build(&forged), 2, CHAIN_REJECTED, "bad-round-format");
	forged.length = 5;
	expect(&h, round_tx_build(&forged), 2, CHAIN_REJECTED, "bad-round-format");
	forged.length = 4;
	forged.height = 16;
	expect(&h, round_tx_build(&forged), 2, CHAIN_REJECTED, "bad-round-seat");
	expect(&h, build_commit(&h, 8, &trace), 0, CHAIN_NEW, "");
	assert_int_equal(h.txs_added, 3);
	assert_int_equal(chain_mempool_count(h.chain), 3);
	late = build_commit(&h, 4, &trace);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 4);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_int_equal(h.txs_removed, 0);
	expect(&h, build_commit(&h, 1, &trace), 3, CHAIN_REJECTED, "bad-round-duplicate");
	helper_mine(&h, 2);
	expect(&h, late, 3, CHAIN_REJECTED, "bad-round-seat");
	trace_clear(&trace);
	helper_stop(&h);
}

/* A commitment that comes before its base waits, and is held when that has come; a false one is dropped. */
static void test_early(void **unused)
{
	struct round_tx forged = { .kind = ROUND_COMMIT, .height = 2, .length = 4 };
	struct helper ahead, behind;
	struct trace trace;

	(void)unused;
	helper_start(&ahead);
	helper_start(&behind);
	trace_make(&trace, 1);
	helper_mine(&ahead, BASE);
	helper_feed(&behind, &ahead, 1, BASE - 1);
	helper_settle(&behind);
	expect(&behind, build_commit(&ahead, 1, &trace), 1, CHAIN_ORPHAN, "bad-round-seat");
	expect(&behind, round_tx_build(&forged), 2, CHAIN_ORPHAN, "bad-round-seat");
	assert_int_equal(chain_mempool_count(behind.chain), 0);
	helper_feed(&behind, &ahead, BASE, BASE);
	helper_settle(&behind);
	assert_int_equal(chain_mempool_count(behind.chain), 1);
	assert_int_equal(behind.chain->mempool->rounds.count, 1);
	trace_clear(&trace);
	helper_stop(&behind);
	helper_stop(&ahead);
}

/* Blocks that others make take their seats, or their time. */
static void test_stale(void **unused)
{
	struct helper maker, watcher;
	struct trace traces[2];
	const struct tx *other;

	(void)unused;
	helper_start(&maker);
	helper_start(&watcher);
	for (uint32_t i = 0; i < 2; i++)
		trace_make(&traces[i], i);
	helper_mine(&maker, BASE);
	helper_feed(&watcher, &maker, 1, BASE);
	helper_settle(&watcher);
	expect(&watcher, build_commit(&maker, 1, &traces[0]), 0, CHAIN_NEW, "");
	expect(&watcher, build_commit(&maker, 2, &traces[0]), 0, CHAIN_NEW, "");
	other = build_commit(&maker, 1, &traces[1]);
	expect(&maker, other, 0, CHAIN_NEW, "");
	helper_mine(&maker, 4);
	helper_feed(&watcher, &maker, BASE + 1, BASE + 1);
	helper_settle(&watcher);
	assert_int_equal(chain_mempool_count(watcher.chain), 1);
	assert_int_equal(watcher.txs_removed, 1);
	helper_feed(&watcher, &maker, BASE + 2, BASE + 2);
	helper_settle(&watcher);
	assert_int_equal(chain_mempool_count(watcher.chain), 0);
	assert_int_equal(watcher.txs_removed, 2);
	for (uint32_t i = 0; i < 2; i++)
		trace_clear(&traces[i]);
	helper_stop(&watcher);
	helper_stop(&maker);
}

/* Commits to one run for each of the first `count` seats, and mines to the beacon. */
static void start_disclosing(struct helper *h, struct trace *traces, uint32_t count)
{
	helper_start(h);
	helper_mine(h, BASE);
	for (uint32_t i = 0; i < count; i++) {
		trace_make(&traces[i], i);
		trace_end(&traces[i], i < 2 ? 3 : i % 4 + 1);
		expect(h, build_commit(h, 1 + i, &traces[i]), 0, CHAIN_NEW, "");
	}
	helper_mine(h, BEACON - BASE);
	helper_forget(h);
}

static void stop_disclosing(struct helper *h, struct trace *traces, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		trace_clear(&traces[i]);
	helper_stop(h);
}

/* Bytes are asked for; who names other bytes for the seat takes nobody's place, and is not asked again. */
static void test_disclosures(void **unused)
{
	struct trace traces[2];
	struct buf right, wrong, other, whole, longer, spoilt;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 2);
	right = trace_blob(&traces[0], audited(&h, 1));
	wrong = trace_blob(&traces[0], (audited(&h, 1) + 1) % 3);
	other = trace_blob(&traces[1], audited(&h, 2));
	expect(&h, build_disclosure(1, &wrong), 1, CHAIN_ORPHAN, "missing-blob");
	expect(&h, build_disclosure(1, &other), 1, CHAIN_REJECTED, "txn-mempool-conflict");
	expect(&h, build_disclosure(1, &right), 2, CHAIN_ORPHAN, "missing-blob");
	expect(&h, build_disclosure(3, &other), 2, CHAIN_REJECTED, "bad-round-seat");
	trace_end(&traces[1], 4);
	whole = trace_blob(&traces[1], audited(&h, 2)); /* not what was committed to */
	expect(&h, build_disclosure(2, &whole), 2, CHAIN_REJECTED, "bad-round-seat");
	buf_clear(&whole);
	trace_end(&traces[1], 3);
	assert_int_equal(h.blobs_wanted, 2);
	assert_int_equal(bring(&h, &other), CHAIN_ORPHAN);
	assert_int_equal(bring(&h, &wrong), CHAIN_NEW);
	assert_int_equal(h.txs_added, 0);
	assert_int_equal(helper_files(&h, "blobs/*"), 0);
	/* That was what another beacon may have drawn: his next bytes are looked at, and are nobody's. */
	spoilt = trace_blob(&traces[0], audited(&h, 1));
	spoilt.data[spoilt.size - 1] ^= 1;
	expect(&h, build_disclosure(1, &spoilt), 1, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(bring(&h, &spoilt), CHAIN_NEW);
	expect(&h, build_disclosure(2, &other), 1, CHAIN_REJECTED, "round-offender");
	longer = trace_blob(&traces[1], audited(&h, 2));
	buf_put_u8(&longer, 0);
	expect(&h, build_disclosure(2, &longer), 4, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(bring(&h, &longer), CHAIN_ORPHAN);
	assert_int_equal(helper_files(&h, "blobs/*"), 0);
	expect(&h, build_disclosure(2, &other), 4, CHAIN_REJECTED, "txn-mempool-conflict");
	assert_int_equal(helper_files(&h, "blobs/*"), 0);
	assert_int_equal(bring(&h, &right), CHAIN_NEW);
	assert_int_equal(h.txs_added, 1);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	expect(&h, build_disclosure(1, &wrong), 3, CHAIN_REJECTED, "txn-mempool-conflict");
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 2);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	expect(&h, build_disclosure(1, &right), 3, CHAIN_REJECTED, "bad-round-duplicate");
	buf_clear(&right);
	buf_clear(&wrong);
	buf_clear(&other);
	buf_clear(&longer);
	buf_clear(&spoilt);
	stop_disclosing(&h, traces, 2);
}

/* The first `count` seats' disclosures, all offered by one. */
static void offer_all(struct helper *h, const struct trace *traces, uint32_t count, uint8_t from)
{
	for (uint32_t i = 0; i < count; i++) {
		struct buf blob = trace_blob(&traces[i], audited(h, 1 + i));

		expect(h, build_disclosure(1 + i, &blob), from, CHAIN_ORPHAN, "missing-blob");
		buf_clear(&blob);
	}
}

/* Who offers many, and has the bytes of none, keeps nobody else's waiting; what he alone offers goes with him. */
static void test_line(void **unused)
{
	const struct round_pool *pool;
	struct trace traces[6];
	uint8_t asked[32];
	struct buf blob;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 6);
	pool = &h.chain->mempool->rounds;
	offer_all(&h, traces, 6, 1);
	assert_int_equal(h.blobs_wanted, 1);
	memcpy(asked, h.wanted, 32);
	blob = trace_blob(&traces[5], audited(&h, 6));
	expect(&h, build_disclosure(6, &blob), 2, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(h.blobs_wanted, 2);
	assert_int_equal(bring(&h, &blob), CHAIN_NEW);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	buf_clear(&blob);
	chain_blob_failed(h.chain, asked, helper_source(2));
	assert_int_equal(h.blobs_wanted, 2);
	chain_blob_failed(h.chain, asked, helper_source(1));
	assert_int_equal(h.blobs_wanted, 3);
	assert_memory_not_equal(h.wanted, asked, 32);
	assert_int_equal(pool->count, 1 + 5);
	offer_all(&h, traces, 2, 3);
	chain_peer_gone(h.chain, 1);
	assert_int_equal(pool->count, 1 + 2);
	/* What another has been asked for is taken from whoever sends it. */
	blob = trace_blob(&traces[0], audited(&h, 1));
	assert_int_equal(bring(&h, &blob), CHAIN_NEW);
	assert_int_equal(chain_mempool_count(h.chain), 2);
	buf_clear(&blob);
	stop_disclosing(&h, traces, 6);
}

/* Of who is silenced, nothing is asked for any more that he has offered before; it is others' who offer it too. */
static void test_silenced(void **unused)
{
	const struct round_pool *pool;
	struct trace traces[4];
	struct buf spoilt;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 4);
	pool = &h.chain->mempool->rounds;
	spoilt = trace_blob(&traces[3], audited(&h, 4));
	spoilt.data[spoilt.size - 1] ^= 1;
	expect(&h, build_disclosure(4, &spoilt), 1, CHAIN_ORPHAN, "missing-blob");
	offer_all(&h, traces, 3, 1);
	offer_all(&h, traces, 1, 2);
	assert_int_equal(pool->count, 4);
	assert_int_equal(bring(&h, &spoilt), CHAIN_NEW);
	assert_int_equal(pool->count, 1);
	assert_int_equal(pool->entries[0]->round_tx.height, 1);
	assert_int_equal(pool->entries[0]->turn_peer, 2);
	assert_int_equal(pool->offers, 1);
	buf_clear(&spoilt);
	stop_disclosing(&h, traces, 4);
}

static bool begin(struct helper *h, const struct buf *blob, size_t count, uint8_t from)
{
	uint8_t root[32];

	contribution_root(blob->data, blob->size, root);
	return chain_blob_came(h->chain, root, helper_source(from), 0, blob->data, count);
}

/* Whose bytes begin with another list than was committed to loses his place by their first part, and no more. Nobody is
 * believed of a root by that: who offers the same goes on, and is next. */
static void test_other_list(void **unused)
{
	const struct round_pool *pool;
	struct trace traces[3];
	struct buf right, spoilt;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 3);
	pool = &h.chain->mempool->rounds;
	right = trace_blob(&traces[0], audited(&h, 1));
	offer_all(&h, traces, 3, 1);
	offer_all(&h, traces, 1, 2);
	assert_int_equal(h.blobs_wanted, 1);
	assert_true(begin(&h, &right, right.size, 1));
	assert_true(begin(&h, &right, 32 * 3, 1));
	assert_int_equal(pool->entries[0]->come, 32 * 3);
	/* What comes behind that counts, whatever it is, but not of somebody else. */
	assert_true(chain_blob_came(h.chain, pool->entries[0]->round_tx.root, helper_source(1), 32 * 3, right.data, 5));
	assert_true(chain_blob_came(h.chain, pool->entries[0]->round_tx.root, helper_source(2), 0, right.data, 96));
	assert_int_equal(pool->entries[0]->come, 32 * 3 + 5);
	buf_init(&spoilt);
	buf_put(&spoilt, right.data, right.size);
	assert_int_equal(pool->entries[0]->turn_peer, 1);
	spoilt.data[32 * 3 - 1] ^= 1;
	assert_true(begin(&h, &spoilt, spoilt.size, 1)); /* of a root that nobody is asked for */
	memcpy(spoilt.data, pool->entries[0]->round_tx.root, 32);
	assert_true(chain_blob_came(h.chain, pool->entries[0]->round_tx.root, helper_source(2), 0, spoilt.data,
		spoilt.size));
	assert_int_equal(pool->offers, 4);
	assert_false(chain_blob_came(h.chain, pool->entries[0]->round_tx.root, helper_source(1), 0, spoilt.data,
		spoilt.size));
	/* The next turn is the other's, and one of his own for another seat. */
	assert_int_equal(pool->count, 3);
	assert_int_equal(pool->offers, 3);
	assert_int_equal(h.blobs_wanted, 3);
	assert_int_equal(pool->entries[0]->turn_peer, 2);
	assert_int_equal(pool->entries[1]->turn_peer, 1);
	assert_int_equal(pool->entries[1]->turn_group->passed, 1);
	assert_false(begin(&h, &right, 32 * 3 - 1, 2)); /* too short to be one */
	assert_int_equal(pool->count, 2);
	buf_clear(&right);
	buf_clear(&spoilt);
	stop_disclosing(&h, traces, 3);
}

/* Bytes that come late are to the credit of who sent them, and not of whose turn it is then. */
static void test_late_bytes(void **unused)
{
	const struct round_pool *pool;
	struct trace traces[1];
	struct helper h;
	struct buf right;

	(void)unused;
	start_disclosing(&h, traces, 1);
	pool = &h.chain->mempool->rounds;
	right = trace_blob(&traces[0], audited(&h, 1));
	offer_all(&h, traces, 1, 1);
	offer_all(&h, traces, 1, 2);
	chain_blob_failed(h.chain, pool->entries[0]->round_tx.root, helper_source(1));
	assert_int_equal(pool->entries[0]->turn_peer, 2);
	assert_int_equal(send_blob(&h, &right, 1), CHAIN_NEW);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	assert_true(round_groups_find(&pool->groups, helper_source(1)->group)->has_given);
	assert_false(round_groups_find(&pool->groups, helper_source(2)->group)->has_given);
	buf_clear(&right);
	stop_disclosing(&h, traces, 1);
}

/* What a seat has signed beside what our branch has of it may be on another. Who comes from there is heard on, and what
 * he brings is taken; but not without end. */
static void test_two_commitments(void **unused)
{
	const struct round_pool *pool;
	struct trace traces[2], second;
	struct buf other, right;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 2);
	pool = &h.chain->mempool->rounds;
	trace_make(&second, 9);
	trace_end(&second, 3);
	other = trace_blob(&second, 1);
	right = trace_blob(&traces[1], audited(&h, 2));
	/* Seen by the first part, and by all of them. */
	expect(&h, build_disclosure(1, &other), 1, CHAIN_ORPHAN, "missing-blob");
	assert_false(begin(&h, &other, other.size, 1));
	expect(&h, build_disclosure(1, &other), 1, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(send_blob(&h, &other, 1), CHAIN_NEW);
	assert_int_equal(pool->count, 0);
	assert_int_equal(helper_files(&h, "blobs/*"), 0);
	expect(&h, build_disclosure(2, &right), 1, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(pool->entries[0]->turn_group->faults, 2);
	assert_int_equal(pool->entries[0]->turn_group->passed, 2);
	assert_true(begin(&h, &right, right.size, 1));
	assert_int_equal(bring(&h, &right), CHAIN_NEW);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	for (unsigned i = 0; i < 3 * BASE; i++) {
		expect(&h, build_disclosure(1, &other), 2, CHAIN_ORPHAN, "missing-blob");
		assert_false(begin(&h, &other, other.size, 2));
	}
	expect(&h, build_disclosure(1, &other), 2, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(bring(&h, &other), CHAIN_NEW);
	expect(&h, build_disclosure(1, &other), 2, CHAIN_REJECTED, "round-offender");
	buf_clear(&other);
	buf_clear(&right);
	trace_clear(&second);
	stop_disclosing(&h, traces, 2);
}

/* The same by jobs: one after the other, and none is believed before. */
static void test_jobs(void **unused)
{
	struct trace traces[3];
	struct buf blobs[3];
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 3);
	h.chain->mempool->rounds.at_once = 0;
	for (uint32_t i = 0; i < 3; i++) {
		blobs[i] = trace_blob(&traces[i], (audited(&h, 1 + i) + (i == 1)) % traces[i].length);
		expect(&h, build_disclosure(1 + i, &blobs[i]), 1, CHAIN_ORPHAN, "missing-blob");
		assert_int_equal(bring(&h, &blobs[i]), CHAIN_NEW);
		assert_int_equal(h.txs_added, 0);
	}
	helper_settle(&h);
	assert_int_equal(h.txs_added, 2);
	assert_int_equal(h.chain->mempool->rounds.count, 2);
	for (uint32_t i = 0; i < 3; i++)
		buf_clear(&blobs[i]);
	stop_disclosing(&h, traces, 3);
}

/* Another's bytes, for that seat, which the node has and nobody has to send. */
static const struct tx *build_named(uint32_t height, uint32_t length, const struct buf *named)
{
	struct round_tx round_tx = { .kind = ROUND_DISCLOSURE, .height = height, .length = length };

	contribution_root(named->data, named->size, round_tx.root);
	return round_tx_build(&round_tx);
}

static struct round_group *source_group(struct helper *h, uint8_t from)
{
	return round_groups_get(&h->chain->mempool->rounds.groups, helper_source(from)->group);
}

/* Who names bytes that are here for other seats does not have them read for each, nor by the loop, and comes behind
 * others then. A file is looked at once in a run. */
static void test_named(void **unused)
{
	struct trace traces[4];
	struct buf named, longer;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 4);
	named = trace_blob(&traces[0], audited(&h, 1));
	longer = trace_blob(&traces[3], audited(&h, 4));
	assert_int_not_equal(named.size, longer.size);
	expect(&h, build_disclosure(1, &named), 0, CHAIN_ORPHAN, "missing-blob");
	expect(&h, build_disclosure(4, &longer), 0, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(bring(&h, &named), CHAIN_NEW);
	assert_int_equal(bring(&h, &longer), CHAIN_NEW);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 3);
	h.chain->mempool->rounds.at_once = 0;
	expect(&h, build_named(2, 3, &named), 1, CHAIN_REJECTED, "bad-round-disclosure");
	assert_int_equal(source_group(&h, 1)->passed, 1);
	assert_int_equal(source_group(&h, 1)->faults, 1);
	expect(&h, build_named(2, 3, &longer), 2, CHAIN_REJECTED, "bad-round-disclosure");
	assert_true(source_group(&h, 2)->is_silenced);
	/* What lies there from an earlier run may not be what it was. */
	helper_close(&h);
	helper_open(&h);
	h.chain->mempool->rounds.at_once = 0;
	expect(&h, build_named(2, 3, &longer), 1, CHAIN_ORPHAN, "missing-blob");
	expect(&h, build_named(3, 3, &named), 2, CHAIN_ORPHAN, "missing-blob");
	assert_true(h.chain->mempool->rounds.is_checking);
	assert_int_equal(source_group(&h, 2)->turns, 0);
	helper_settle(&h);
	assert_true(source_group(&h, 1)->is_silenced);
	assert_int_equal(source_group(&h, 2)->passed, 1);
	expect(&h, build_named(3, 3, &named), 2, CHAIN_REJECTED, "bad-round-disclosure");
	assert_int_equal(h.chain->mempool->rounds.count, 0);
	assert_int_equal(helper_files(&h, "blobs/*"), 2);
	buf_clear(&named);
	buf_clear(&longer);
	stop_disclosing(&h, traces, 4);
}

/* A block has six of eight at most, the next one the rest; what an undone block had comes back. */
static void test_blocks(void **unused)
{
	struct trace traces[8];
	struct errmsg err;
	struct helper h;

	(void)unused;
	start_disclosing(&h, traces, 8);
	for (uint32_t i = 0; i < 8; i++) {
		struct buf blob = trace_blob(&traces[i], audited(&h, 1 + i));

		expect(&h, build_disclosure(1 + i, &blob), 0, CHAIN_ORPHAN, "missing-blob");
		assert_int_equal(bring(&h, &blob), CHAIN_NEW);
		buf_clear(&blob);
	}
	assert_int_equal(chain_mempool_count(h.chain), 8);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 1 + 8);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_true(chain_invalidate(h.chain, chain_tip(h.chain), &err));
	assert_int_equal(chain_mempool_count(h.chain), 8);
	/* Before the beacon nobody knows what will be drawn. */
	assert_true(chain_invalidate(h.chain, chain_tip(h.chain), &err));
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, BASE + 1), &err));
	assert_int_equal(chain_mempool_count(h.chain), 8);
	helper_key(&h, 2);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 1 + 8);
	/* Commitments to another base are nothing on this branch. */
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, BASE), &err));
	helper_mine(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	stop_disclosing(&h, traces, 8);
}

/* Another beacon draws other segments: only where it draws the same one a disclosure stays. */
static void test_other_beacon(void **unused)
{
	struct helper h, rival;
	struct trace traces[8];
	uint32_t drawn[8];
	size_t same = 0;

	(void)unused;
	start_disclosing(&h, traces, 8);
	for (uint32_t i = 0; i < 8; i++) {
		struct buf blob;

		drawn[i] = audited(&h, 1 + i);
		blob = trace_blob(&traces[i], drawn[i]);
		expect(&h, build_disclosure(1 + i, &blob), 0, CHAIN_ORPHAN, "missing-blob");
		assert_int_equal(bring(&h, &blob), CHAIN_NEW);
		buf_clear(&blob);
	}
	helper_start(&rival);
	helper_feed(&rival, &h, 1, BEACON - 1);
	helper_settle(&rival);
	helper_key(&rival, 2);
	helper_mine(&rival, 2);
	helper_feed(&h, &rival, BEACON, BEACON + 1);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, BEACON + 1);
	for (uint32_t i = 0; i < 8; i++)
		same += audited(&h, 1 + i) == drawn[i];
	assert_in_range(same, 0, 7);
	assert_int_equal(chain_mempool_count(h.chain), same);
	assert_int_equal(helper_files(&h, "blobs/*"), same);
	helper_stop(&rival);
	stop_disclosing(&h, traces, 8);
}

/* --- challenges --- */

/* The run of a seat from segment `from` on, as it is trained; those before stay what they are. */
static void trace_train(struct helper *h, struct trace *trace, uint32_t height, uint32_t from)
{
	const struct train_config *config = &spec_course(h->spec)->train;
	struct backend *backend = backend_new(backend_selected(), config, 1);
	struct round_view *view = mem_calloc(1, sizeof *view);
	struct errmsg err;

	assert_true(registry_round_view(chain_registry(h->chain), view));
	for (uint32_t j = from; j < 4; j++) {
		struct verify_segment segment = { .number = j };

		assert_true(
			segments_gather(h->chain, chain_registry(h->chain), view, height - 1, j, &segment, NULL, &err));
		assert_non_null(segment.base);
		assert_int_equal(run_execute(backend,
					 &(struct run_segment){
						 .base = segment.base,
						 .segment_seed = segment.seed,
						 .start = trace->codes[j],
						 .windows = segment.windows,
					 },
					 trace->codes[j + 1]),
			STEP_OK);
		verify_segment_clear(&segment);
	}
	for (uint32_t j = 0; j < 4; j++)
		sha256(trace->digests[j], trace->codes[j + 1], run_code_size(config));
	trace_end(trace, 4);
	free(view);
	backend_free(backend);
}

/* Seat 1 has trained its last segment alone, seat 2 everything; both have disclosed. */
static void start_challenging(struct helper *h, struct trace traces[2])
{
	helper_start(h);
	helper_mine(h, BASE);
	for (uint32_t i = 0; i < 2; i++)
		trace_make(&traces[i], i);
	trace_train(h, &traces[0], 1, 3);
	trace_train(h, &traces[1], 2, 0);
	for (uint32_t i = 0; i < 2; i++)
		expect(h, build_commit(h, 1 + i, &traces[i]), 0, CHAIN_NEW, "");
	helper_mine(h, BEACON - BASE);
	for (uint32_t i = 0; i < 2; i++) {
		struct buf blob = trace_blob(&traces[i], audited(h, 1 + i));

		expect(h, build_disclosure(1 + i, &blob), 0, CHAIN_ORPHAN, "missing-blob");
		assert_int_equal(bring(h, &blob), CHAIN_NEW);
		buf_clear(&blob);
	}
}

static struct buf code_blob(const struct trace *trace, uint32_t segment)
{
	struct buf blob;

	buf_init(&blob);
	buf_put(&blob, trace->codes[segment], run_code_size(&spec_course(helper_spec())->train));
	return blob;
}

/* With its bytes. */
static void offer_challenge(struct helper *h, const struct trace *trace, uint32_t height, uint32_t segment,
	uint8_t from)
{
	struct round_tx round_tx = { .kind = ROUND_CHALLENGE, .height = height, .segment = segment };
	struct buf blob = code_blob(trace, segment);

	contribution_root(blob.data, blob.size, round_tx.root);
	expect(h, round_tx_build(&round_tx), from, CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(bring(h, &blob), CHAIN_NEW);
	buf_clear(&blob);
}

/* True if it is held when all is looked at. */
static bool challenge(struct helper *h, const struct trace *trace, uint32_t height, uint32_t segment, uint8_t from)
{
	const size_t held = h->chain->mempool->rounds.held;

	offer_challenge(h, trace, height, segment, from);
	helper_settle(h);
	return h->chain->mempool->rounds.held > held;
}

/* What its verdict is known by. */
static void segment_key(struct helper *h, uint32_t seat, uint32_t segment, uint8_t key[32])
{
	struct round_view *view = mem_calloc(1, sizeof *view);
	uint8_t segment_seed[32];

	assert_true(registry_round_view(chain_registry(h->chain), view));
	segments_seed(view, seat, segment, segment_seed);
	audits_key(segment_seed, view->run[seat].blob, key);
	free(view);
}

/* A block is held against what was found out when its challenge came: were that another thing, it would be refused. */
static void expect_believed(struct helper *h, uint32_t segment)
{
	const uint32_t height = chain_tip(h->chain)->height;
	struct reject reject;
	uint8_t key[32];

	segment_key(h, 0, segment, key);
	assert_int_equal(audits_verdict(h->chain->audits, key), AUDITS_FALSE);
	audits_put(h->chain->audits, key, AUDITS_TRUE);
	helper_offer(h, chain_template(h->chain, h->key), &reject);
	helper_settle(h);
	assert_int_equal(chain_tip(h->chain)->height, height);
	assert_string_equal(h->reason, "bad-round-challenge");
	audits_put(h->chain->audits, key, AUDITS_FALSE);
	helper_key(h, 2); /* for another block than that one */
}

/* A segment that was not trained is shown to be false; one that was costs who doubts it the round and an hour. Nothing
 * is executed twice. */
static void test_challenges(void **unused)
{
	struct round_tx early = { .kind = ROUND_CHALLENGE, .height = 1, .segment = 1 };
	struct trace traces[2];
	struct helper h;
	uint32_t drawn;

	(void)unused;
	start_challenging(&h, traces);
	drawn = audited(&h, 1);
	expect(&h, round_tx_build(&early), 9, CHAIN_ORPHAN, "bad-round-seat");
	helper_mine(&h, 1);
	helper_settle(&h);
	early.segment = 4;
	expect(&h, round_tx_build(&early), 8, CHAIN_REJECTED, "bad-round-seat");
	assert_false(challenge(&h, &traces[1], 2, 1, 1));
	early.height = 2;
	early.segment = 2;
	expect(&h, round_tx_build(&early), 1, CHAIN_REJECTED, "round-offender");
	/* Another run's code: where the seat committed to that, it may be right. */
	assert_false(challenge(&h, &traces[1], 1, 1, 2));
	assert_false(round_groups_is_silenced(&h.chain->mempool->rounds.groups, helper_source(2)->group, 0));
	offer_challenge(&h, &traces[1], 2, 1, 6); /* what is known to be right */
	assert_false(h.chain->mempool->rounds.is_executing);
	assert_true(challenge(&h, &traces[0], 1, drawn == 1 ? 2 : 1, 3));
	assert_false(challenge(&h, &traces[1], 2, 3, 4));
	early.height = 1;
	expect(&h, round_tx_build(&early), 5, CHAIN_REJECTED, "txn-mempool-conflict");
	assert_int_equal(chain_mempool_count(h.chain), 1);
	expect_believed(&h, drawn == 1 ? 2 : 1);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 2);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_true(chain_invalidate(h.chain, chain_tip(h.chain), &(struct errmsg){ "" }));
	assert_int_equal(chain_mempool_count(h.chain), 1);
	for (uint32_t i = 0; i < 2; i++)
		trace_clear(&traces[i]);
	helper_stop(&h);
}

/* A challenge by bytes that the node has. */
static const struct tx *build_doubt(uint32_t height, uint32_t segment, const struct buf *named)
{
	struct round_tx round_tx = { .kind = ROUND_CHALLENGE, .height = height, .segment = segment };

	contribution_root(named->data, named->size, round_tx.root);
	return round_tx_build(&round_tx);
}

/* The second of two who name the same bytes for other segments does not have them read, whichever these are. */
static void expect_read_once(struct helper *h, const struct buf *code, uint32_t segment, uint8_t from)
{
	expect(h, build_doubt(2, segment, code), from, CHAIN_ORPHAN, "missing-blob");
	assert_true(h->chain->mempool->rounds.is_checking);
	helper_settle(h);
	expect(h, build_doubt(2, segment, code), from + 1, CHAIN_REJECTED, "bad-round-challenge");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(source_group(h, (uint8_t)(from + i))->passed, 1);
		assert_int_equal(source_group(h, (uint8_t)(from + i))->faults, 1);
		assert_false(source_group(h, (uint8_t)(from + i))->is_silenced);
	}
}

static void flip_blob(struct helper *h, const uint8_t root[32], long offset)
{
	char hex_root[65], pattern[80];

	hex_encode(hex_root, root, 32);
	snprintf(pattern, sizeof pattern, "blobs/%s", hex_root);
	helper_flip(h, pattern, offset);
}

/* Who names codes that are here, of another segment, or bytes that are no code, has them read once in a run, and of
 * what was disclosed the list of digests alone. */
static void test_named_codes(void **unused)
{
	struct trace traces[2];
	struct buf code, shorter, disclosed;
	uint8_t shorter_root[32], disclosed_root[32];
	struct errmsg err;
	struct helper h;
	uint32_t drawn;

	(void)unused;
	start_challenging(&h, traces);
	drawn = audited(&h, 1);
	code = code_blob(&traces[0], drawn == 1 ? 2 : 1);
	disclosed = trace_blob(&traces[1], audited(&h, 2));
	contribution_root(disclosed.data, disclosed.size, disclosed_root);
	shorter = code_blob(&traces[0], 0);
	shorter.size--;
	contribution_root(shorter.data, shorter.size, shorter_root);
	assert_int_equal(blobs_put(h.chain->blobs, shorter_root, shorter.data, shorter.size, BLOBS_PENDING, &err),
		BLOBS_STORED);
	helper_mine(&h, 1);
	helper_settle(&h);
	assert_true(challenge(&h, &traces[0], 1, drawn == 1 ? 2 : 1, 3));
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 2);
	helper_close(&h);
	helper_open(&h);
	h.chain->mempool->rounds.at_once = 0;
	expect_read_once(&h, &code, 3, 4);
	expect(&h, build_doubt(2, 2, &code), 6, CHAIN_REJECTED, "bad-round-challenge");
	flip_blob(&h, disclosed_root, -1);
	expect_read_once(&h, &code, 0, 7);
	flip_blob(&h, disclosed_root, -1);
	/* No branch can have what is of another size. */
	expect(&h, build_doubt(2, 1, &shorter), 9, CHAIN_ORPHAN, "missing-blob");
	helper_settle(&h);
	assert_true(source_group(&h, 9)->is_silenced);
	expect(&h, build_doubt(2, 1, &shorter), 10, CHAIN_REJECTED, "bad-round-challenge");
	assert_true(source_group(&h, 10)->is_silenced);
	/* Where the list is not what it was, that is nobody's fault. */
	flip_blob(&h, disclosed_root, 0);
	expect(&h, build_doubt(2, 2, &code), 11, CHAIN_ORPHAN, "missing-blob");
	helper_settle(&h);
	assert_int_equal(source_group(&h, 11)->faults, 0);
	assert_false(blobs_has(h.chain->blobs, disclosed_root));
	assert_int_equal(h.chain->mempool->rounds.count, 0);
	buf_clear(&code);
	buf_clear(&shorter);
	buf_clear(&disclosed);
	for (uint32_t i = 0; i < 2; i++)
		trace_clear(&traces[i]);
	helper_stop(&h);
}

static bool count_record(void *count, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	(void)key;
	(void)value;
	(void)err;
	assert_true(key_size == 37 && value_size == 1);
	++*(size_t *)count;
	return true;
}

static size_t count_records(struct helper *h)
{
	const uint8_t prefix = DB_AUDIT;
	struct errmsg err;
	size_t count = 0;

	assert_true(db_each(h->chain->db, &prefix, 1, count_record, &count, &err));
	return count;
}

/* What was found out before a restart is known after it, and not executed again, until the round lies too deep. */
static void test_verdicts_kept(void **unused)
{
	const uint32_t buried = (2 * BASE + 100 + BASE) / BASE * BASE;
	enum audits_verdict first;
	uint8_t keys[3][32];
	struct trace traces[2];
	struct helper h;

	(void)unused;
	start_challenging(&h, traces);
	first = audited(&h, 1) == 3 ? AUDITS_TRUE : AUDITS_FALSE;
	helper_mine(&h, 1);
	for (uint32_t seat = 0; seat < 2; seat++)
		segment_key(&h, seat, audited(&h, 1 + seat), keys[seat]);
	segment_key(&h, 0, audited(&h, 1) == 1 ? 2 : 1, keys[2]);
	helper_settle(&h);
	assert_true(challenge(&h, &traces[0], 1, audited(&h, 1) == 1 ? 2 : 1, 3));
	assert_int_equal(count_records(&h), 3);
	for (int i = 0; i < 2; i++) {
		helper_close(&h);
		helper_open(&h);
		assert_int_equal(audits_verdict(h.chain->audits, keys[0]), first);
		assert_int_equal(audits_verdict(h.chain->audits, keys[1]), AUDITS_TRUE);
		assert_int_equal(audits_verdict(h.chain->audits, keys[2]), AUDITS_FALSE);
	}
	helper_mine(&h, buried - 1 - chain_tip(h.chain)->height);
	assert_int_equal(count_records(&h), 3);
	helper_mine(&h, 1);
	assert_int_equal(count_records(&h), 0);
	helper_close(&h);
	helper_open(&h);
	for (int i = 0; i < 3; i++)
		assert_int_equal(audits_verdict(h.chain->audits, keys[i]), AUDITS_UNKNOWN);
	for (uint32_t i = 0; i < 2; i++)
		trace_clear(&traces[i]);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_slow_turns),
		cmocka_unit_test(test_slow_with_the_same),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_commits),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_disclosures),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_silenced),
		cmocka_unit_test(test_other_list),
		cmocka_unit_test(test_late_bytes),
		cmocka_unit_test(test_two_commitments),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_other_beacon),
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_named_codes),
		cmocka_unit_test(test_verdicts_kept),
	};

	helper_use_rounds();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
