/* Waiting round transactions: places, blame, what goes. */
#include "chain/mempool/round_line.h"

#include <string.h>

#include "chain/internal.h"
#include "util/clock.h"

static struct round_pool *round_line_pool(const struct chain *chain)
{
	return &chain->mempool->rounds;
}

/* --- what goes --- */

/* Bytes that were stored for one that is gone, unless somebody else needs them too. */
static void round_line_release(struct chain *chain, const struct round_entry *gone)
{
	const uint8_t *root = gone->round_tx.root;

	if (!gone->has_bytes || round_pool_wants(round_line_pool(chain), root, 0))
		return;
	blobs_release(chain->blobs, root);
	if (map_get(&chain->mempool->roots, root) == NULL && !places_want(&chain->mempool->places, root, 0) &&
		registry_find(chain->registry, root, NULL) == NULL)
		blobs_drop(chain->blobs, root);
}

void round_line_drop(struct chain *chain, struct round_entry *entry, const char *reason)
{
	round_pool_take(round_line_pool(chain), entry);
	if (reason != NULL)
		round_line_release(chain, entry);
	if (reason != NULL && entry->stage == ROUND_HELD)
		NOTIFY(&chain->notices, tx_removed, entry->entry.tx, reason);
	round_pool_entry_free(entry);
}

/* From the first again after each, since those who are told may change the pool. */
void round_line_drop_rivals(struct chain *chain, const struct round_tx *round_tx, const uint8_t txid[32])
{
	struct round_pool *pool = round_line_pool(chain);

	for (size_t i = 0; i < pool->count;) {
		struct round_entry *rival = pool->entries[i];

		if (rival->round_tx.kind != round_tx->kind || rival->round_tx.height != round_tx->height ||
			memcmp(rival->entry.txid, txid, 32) == 0) {
			i++;
			continue;
		}
		round_line_drop(chain, rival, "conflict");
		i = 0;
	}
}

/* True: it was the last offer, and the transaction is gone. */
static bool round_line_withdraw(struct chain *chain, struct round_entry *entry, size_t offer)
{
	round_pool_withdraw(round_line_pool(chain), entry, offer);
	if (entry->offer_count > 0 || entry->is_own)
		return false;
	round_line_drop(chain, entry, "not offered any more");
	return true;
}

/* --- places --- */

bool round_line_refuses(const struct chain *chain, const struct source *source, struct reject *reject)
{
	return source->peer != 0 &&
		round_groups_is_silenced(&round_line_pool(chain)->groups, source->group, clock_mono_ms()) &&
		!reject_set(reject, REASON_ROUND_OFFENDER, "what was false came from its address in this round");
}

/* It is told: its sender is asked for it again. */
static void round_line_give_way(struct chain *chain, const struct round_place_of *place_of)
{
	struct round_entry *entry = place_of->entry;
	const bool all = place_of->offer == entry->offer_count;
	size_t offer = all ? 0 : place_of->offer;

	do {
		NOTIFY(&chain->notices, tx_put_off, entry->entry.tx, entry->offers[offer].peer);
		if (round_line_withdraw(chain, entry, offer))
			return;
	} while (all);
}

bool round_line_make_place(struct chain *chain, const struct round_tx *round_tx, struct round_entry *known,
	const struct source *source, struct reject *reject)
{
	struct round_pool *pool = round_line_pool(chain);
	const struct round_group *group = round_groups_get(&pool->groups, source->group);
	struct round_place_of place_of;

	for (;;) {
		switch (round_pool_place(pool, round_tx, known, group, &place_of)) {
		case ROUND_PLACE_FREE:
			return true;
		case ROUND_PLACE_OF:
			round_line_give_way(chain, &place_of);
			break;
		case ROUND_PLACE_TWICE:
			return reject_as(reject, REJECT_NOT_YET, REASON_TXN_MEMPOOL_CONFLICT,
				"another for that seat waits, from its address");
		case ROUND_PLACE_NONE:
			return reject_as(reject, REJECT_NOT_YET, REASON_MISSING_BLOB,
				"too many round transactions wait");
		}
	}
}

void round_line_offer(struct chain *chain, struct round_entry *entry, const struct source *source)
{
	struct round_pool *pool = round_line_pool(chain);

	round_pool_offer(pool, entry, source->peer, round_groups_get(&pool->groups, source->group));
}

/* --- blame --- */

/* All that those have offered who are silenced now; what is held was right. */
static void round_line_drop_silenced(struct chain *chain)
{
	const struct round_pool *pool = round_line_pool(chain);

	for (size_t i = 0; i < pool->count;) {
		struct round_entry *entry = pool->entries[i];
		bool is_gone = false;

		for (size_t j = entry->offer_count; j > 0 && !is_gone; j--)
			if (entry->offers[j - 1].group->is_silenced)
				is_gone = round_line_withdraw(chain, entry, j - 1);
		i += !is_gone;
	}
}

void round_line_convict(struct chain *chain, struct round_entry *entry, const char *reason, int64_t until)
{
	for (size_t i = 0; i < entry->offer_count; i++)
		round_groups_silence(entry->offers[i].group, until);
	round_line_drop(chain, entry, reason);
	round_line_drop_silenced(chain);
}

/* A commitment, a disclosure and a challenge of each seat. */
static uint32_t round_line_faults_allowed(const struct chain *chain)
{
	return 3 * chain->spec->round_blocks;
}

void round_line_doubt(struct chain *chain, struct round_entry *entry, const char *reason)
{
	struct round_group *giver = round_pool_giver(round_line_pool(chain), entry);

	if (giver != NULL)
		round_groups_passed(giver);
	for (size_t i = 0; i < entry->offer_count; i++) {
		struct round_group *group = entry->offers[i].group;

		if (group != giver && entry->round_tx.kind != ROUND_COMMIT)
			round_groups_passed(group);
		round_groups_note_fault(group, round_line_faults_allowed(chain));
	}
	round_line_drop(chain, entry, reason);
	round_line_drop_silenced(chain);
}

void round_line_doubt_sender(struct chain *chain, struct round_entry *entry)
{
	struct round_group *group = entry->turn_group;

	round_groups_passed(group);
	round_groups_note_fault(group, round_line_faults_allowed(chain));
	round_line_withdraw(chain, entry, round_pool_offer_of(entry, group));
	round_line_drop_silenced(chain);
}

void round_line_note_fault(struct chain *chain, const struct source *source)
{
	if (source->peer == 0)
		return;
	round_groups_note_fault(round_groups_get(&round_line_pool(chain)->groups, source->group),
		round_line_faults_allowed(chain));
	round_line_drop_silenced(chain);
}

/* --- turns that end --- */

static size_t round_line_offer_of_peer(const struct round_entry *entry, uint64_t peer)
{
	size_t offer = 0;

	while (offer < entry->offer_count && entry->offers[offer].peer != peer)
		offer++;
	return offer;
}

struct round_entry *round_line_asked(const struct chain *chain, const uint8_t root[32], uint64_t peer)
{
	const struct round_pool *pool = round_line_pool(chain);

	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *asked = pool->entries[i];

		if (asked->stage == ROUND_ASKED && asked->turn_group != NULL && asked->turn_peer == peer &&
			memcmp(asked->round_tx.root, root, 32) == 0)
			return asked;
	}
	return NULL;
}

void round_line_failed(struct chain *chain, const uint8_t root[32], uint64_t peer)
{
	struct round_entry *asked;

	while ((asked = round_line_asked(chain, root, peer)) != NULL)
		round_pool_pass(asked, clock_mono_ms());
}

/* What has come is still judged, and its sender blamed for it. */
void round_line_peer_gone(struct chain *chain, uint64_t peer)
{
	const struct round_pool *pool = round_line_pool(chain);

	for (size_t i = 0; i < pool->count;) {
		struct round_entry *entry = pool->entries[i];
		const size_t offer = round_line_offer_of_peer(entry, peer);
		bool is_gone = false;

		if (offer < entry->offer_count && entry->stage <= ROUND_ASKED) {
			if (entry->turn_group != NULL && entry->turn_peer == peer)
				round_pool_pass(entry, clock_mono_ms());
			is_gone = round_line_withdraw(chain, entry, offer);
		}
		i += !is_gone;
	}
}

void round_line_end_overdue(struct chain *chain)
{
	struct round_pool *pool = round_line_pool(chain);
	struct round_entry *overdue;

	while ((overdue = round_pool_overdue(pool, clock_mono_ms())) != NULL)
		round_pool_pass(overdue, clock_mono_ms());
}
