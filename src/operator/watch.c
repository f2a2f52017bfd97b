/* Clock, peers, bytes and mining, looked at once a second. */
#include "operator/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ml/backend.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/warning.h"

/* Peers that are looked at; seconds, Bitcoin Core's bound for a clock that peers contradict. On chains with a shorter
 * future limit half of that limit counts instead: beyond it the node would soon refuse good blocks. */
enum { WATCH_OFFSETS_MAX = 64, WATCH_CLOCK_TOLERANCE = 600 };

/* --- the clock --- */

/* What the clocks of peers differ from ours. Whoever connects to us could say anything: only those we chose count. */
struct watch_offsets {
	int64_t seconds[WATCH_OFFSETS_MAX];
	size_t count;
};

static void watch_take_offset(void *context, const struct net_peer_info *info)
{
	struct watch_offsets *clock_offsets = context;

	if (info->ready && !info->inbound && clock_offsets->count < WATCH_OFFSETS_MAX)
		clock_offsets->seconds[clock_offsets->count++] = info->time_offset;
}

static int watch_compare_offsets(const void *a, const void *b)
{
	const int64_t *first_offset = a, *second_offset = b;

	return (*first_offset > *second_offset) - (*first_offset < *second_offset);
}

static int64_t watch_median_offset(const struct net *net, size_t *count)
{
	struct watch_offsets clock_offsets = { .count = 0 };

	net_each_peer(net, watch_take_offset, &clock_offsets);
	*count = clock_offsets.count;
	if (clock_offsets.count == 0)
		return 0;
	qsort(clock_offsets.seconds, clock_offsets.count, sizeof *clock_offsets.seconds, watch_compare_offsets);
	/* The median, so that a minority of liars among those we chose cannot make the operator set a good clock wrong.
	 * It only warns: unlike early Bitcoin's adjusted time, it moves no rule. */
	return clock_offsets.seconds[clock_offsets.count / 2];
}

static void watch_look_at_clock(const struct watch *watch)
{
	const struct index_entry *tip = chain_tip(watch->chain);
	uint32_t future_limit = spec_future_limit(chain_spec(watch->chain));
	int64_t tip_ahead = (int64_t)tip->header.time - clock_wall(), clock_tolerance = future_limit / 2;
	size_t offset_count;
	int64_t clock_offset = watch_median_offset(watch->net, &offset_count);

	if (clock_tolerance > WATCH_CLOCK_TOLERANCE)
		clock_tolerance = WATCH_CLOCK_TOLERANCE;
	/* The tip comes first: work stands behind its time, and behind a peer's clock nothing does. */
	if (chain_clock_lag(watch->chain) > 0 && tip->height == 0)
		warning_set(WARNING_CLOCK,
			"The chain begins in %" PRId64
			" seconds by this machine's clock (genesis_time): wait, or set the "
			"clock right",
			tip_ahead);
	else if (chain_clock_lag(watch->chain) > 0)
		warning_set(WARNING_CLOCK,
			"The tip's time is %" PRId64 " seconds ahead of this machine's clock: set the clock right",
			tip_ahead);
	else if (clock_offset > clock_tolerance || clock_offset < -clock_tolerance)
		warning_set(WARNING_CLOCK,
			"This machine's clock is %" PRId64 " seconds %s those of %zu peer%s: set it right",
			clock_offset > 0 ? clock_offset : -clock_offset, clock_offset > 0 ? "behind" : "ahead of",
			offset_count, offset_count == 1 ? "" : "s");
	else
		warning_clear(WARNING_CLOCK);
}

/* --- peers --- */

/* Whether all who are connected prune: they have the bytes of the last runs alone. */
static bool watch_is_among_pruned(const struct watch *watch)
{
	struct net_counts watch_counts;

	net_counts(watch->net, &watch_counts);
	return watch_counts.pruned > 0 && watch_counts.pruned == watch_counts.inbound + watch_counts.outbound;
}

static size_t watch_count_connections(const struct watch *watch)
{
	struct net_counts watch_counts;

	net_counts(watch->net, &watch_counts);
	return watch_counts.inbound + watch_counts.outbound;
}

static void watch_look_at_peers(struct watch *watch)
{
	int64_t watch_now = clock_mono_ms();

	if (!watch->wants_peers || watch_count_connections(watch) > 0) {
		watch->alone_since = 0;
		warning_clear(WARNING_ISOLATED);
		return;
	}
	/* A connection that is lost and made again within the time is no reason to warn. */
	if (watch->alone_since == 0)
		watch->alone_since = watch_now;
	if (watch_now - watch->alone_since >= WATCH_ISOLATED_MS)
		warning_set(WARNING_ISOLATED,
			"This node has no connection to another node: it learns of no new block%s",
			net_active(watch->net) ? "" : " (the network is switched off)");
}

/* --- bytes --- */

/* Only who has them can help, and nothing here says who that is: so the operator is told which ones are missing. What
 * is lost here is told of sooner than what may be under way. */
static void watch_look_at_bytes(struct watch *watch)
{
	char root_hex[65];
	uint8_t root[32];
	uint32_t height;
	const bool is_lost = chain_missing_run(watch->chain, root, &height);

	if (!is_lost && !chain_awaited_blob(watch->chain, root, &height)) {
		watch->bytes_since = 0;
		warning_clear(WARNING_BYTES);
		return;
	}
	if (watch->bytes_since == 0 || memcmp(root, watch->bytes_root, 32) != 0)
		watch->bytes_since = clock_mono_ms();
	memcpy(watch->bytes_root, root, 32);
	hex_encode(root_hex, root, 32);
	if (is_lost && clock_mono_ms() - watch->bytes_since >= WATCH_LOST_MS)
		warning_set(WARNING_BYTES,
			"The bytes of a run are lost here, data %s, and no peer has brought them: block %" PRIu32
			" cannot be verified without them",
			root_hex, height);
	else if (!is_lost && clock_mono_ms() - watch->bytes_since >= WATCH_BYTES_MS)
		warning_set(WARNING_BYTES,
			"Block %" PRIu32 " waits for the bytes of data %s, which no peer has brought%s", height,
			root_hex,
			watch_is_among_pruned(watch) ?
				": all of them are pruned; connect to a node that keeps all (addnode)" :
				"");
}

static void watch_look_at_blocks(const struct watch *watch)
{
	struct errmsg block_why;
	uint32_t block_height;

	if (chain_retry(watch->chain, &block_height, &block_why))
		warning_set(WARNING_BLOCK, "Block %" PRIu32 " cannot be verified now, and is tried again: %s",
			block_height, block_why.text);
	else
		warning_clear(WARNING_BLOCK);
}

/* --- mining --- */

/* Why a miner had better wait, or NULL. */
static const char *watch_mining_obstacle(const struct watch *watch)
{
	struct chain_activity watch_activity;

	/* What would waste work for certain comes first. On a private chain a node may well be alone, and mines:
	 * somebody has to begin. */
	if (backend_trust() != BACKEND_TRUSTED)
		return "this machine computes wrongly";
	if (chain_clock_lag(watch->chain) > 0)
		return "the chain's time is ahead of this machine's clock";
	if (!chain_spec(watch->chain)->is_public || watch->mine_alone)
		return NULL;
	if (watch_count_connections(watch) == 0)
		return "no connection to another node (addnode names one; with -minealone none is needed)";
	chain_activity(watch->chain, &watch_activity);
	return watch_activity.initial_download ? "the chain is being fetched" : NULL;
}

static void watch_look_at_mining(struct watch *watch)
{
	const char *mining_obstacle = watch_mining_obstacle(watch);
	struct miner_stats watch_stats;

	/* Told each second, also where nothing is mined: mining that is switched on later begins paused. */
	miner_pause(watch->miner, mining_obstacle);
	miner_stats(watch->miner, &watch_stats);
	/* The miner itself pauses for a verdict, from one moment to the next; with most blocks, and for seconds. For
	 * lost bytes it does when it has waited for them. */
	if (!chain_is_overtaken(watch->chain))
		watch->overtaken_since = 0;
	else if (watch->overtaken_since == 0)
		watch->overtaken_since = clock_mono_ms();
	if (mining_obstacle == NULL &&
		(watch->overtaken_since == 0 || clock_mono_ms() - watch->overtaken_since >= WATCH_VERDICT_MS))
		mining_obstacle = watch_stats.paused;
	if (watch_stats.mining && mining_obstacle != NULL)
		warning_set(WARNING_MINING, "Mining pauses: %s", mining_obstacle);
	else
		warning_clear(WARNING_MINING);
}

void watch_look(struct watch *watch)
{
	watch_look_at_clock(watch);
	watch_look_at_peers(watch);
	watch_look_at_bytes(watch);
	watch_look_at_blocks(watch);
	watch_look_at_mining(watch);
}
