/* Lines of the log about blocks, progress and rest. */
#include "operator/journal.h"

#include <inttypes.h>
#include <stdio.h>

#include "calls/show.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"

enum { SYNC_LINE_MS = 1000, AMOUNT_TEXT = 32, TIME_TEXT = 48 };
#define UNITS INT64_C(100000000)

static const char *amount_text(int64_t amount, char text[AMOUNT_TEXT])
{
	snprintf(text, AMOUNT_TEXT, "%" PRId64 ".%08" PRId64, amount / UNITS, amount % UNITS);
	return text;
}

static const char *plural_of(size_t count)
{
	return count == 1 ? "" : "s";
}

/* --- a block --- */

/* A void update leaves the model as it was, and so its loss. */
static void put_loss(struct buf *line, const struct block_outcome *outcome)
{
	json_t *loss = show_loss(outcome->outcome.is_void ? outcome->loss_before : outcome->loss_after);

	json_print(loss, 0, line);
	json_decref(loss);
	buf_put_text(line, outcome->outcome.is_void ? " (its update is void)" : "");
}

/* Only of slots that somebody trained on: a slot without proofs has drawn a dataset too, and done nothing with it. */
static void put_datasets(struct buf *line, const struct block_outcome *outcome)
{
	char text[16];

	for (uint32_t slot = 0; slot < outcome->outcome.slots; slot++) {
		if (outcome->outcome.slot[slot].count == 0)
			continue;
		snprintf(text, sizeof text, " %" PRIu32, outcome->dataset[slot]);
		buf_put_text(line, text);
	}
}

static void tell_block(const struct index_entry *entry, const struct block *block)
{
	char id[65], miners[AMOUNT_TEXT], data[AMOUNT_TEXT], taken[TIME_TEXT] = "";
	struct show_payments paid;
	struct buf loss, datasets;

	hex_encode_reversed(id, entry->id, 32);
	show_sum_payments(block, &paid);
	buf_init(&loss);
	put_loss(&loss, &entry->outcome);
	buf_init(&datasets);
	put_datasets(&datasets, &entry->outcome);
	/* Zero where an earlier run has verified it: the time is not kept on disk. */
	if (entry->verify_ms > 0)
		snprintf(taken, sizeof taken, ", %" PRIu32 ".%" PRIu32 " s", entry->verify_ms / 1000,
			entry->verify_ms / 100 % 10);
	log_info("block %" PRIu32 " %s: loss %.*s, %zu proof%s, datasets%.*s, paid %s to miners and %s to data%s",
		entry->height, id, (int)loss.size, (const char *)loss.data, block->loose_count + 1,
		plural_of(block->loose_count + 1), (int)datasets.size, (const char *)datasets.data,
		amount_text(paid.miners, miners), amount_text(paid.data, data), taken);
	buf_clear(&loss);
	buf_clear(&datasets);
}

/* --- many blocks --- */

static void time_text(int64_t seconds, char text[TIME_TEXT])
{
	int64_t minutes = (seconds + 30) / 60, hours = (minutes + 30) / 60;

	if (seconds < 100)
		snprintf(text, TIME_TEXT, "%" PRId64 " seconds", seconds);
	else if (minutes < 100)
		snprintf(text, TIME_TEXT, "%" PRId64 " minutes", minutes);
	else
		snprintf(text, TIME_TEXT, "%" PRId64 " hours", hours);
}

/* A guess from this sync's own blocks so far: blocks cost about the same on one machine, whatever their age. done is 0
 * for the first line, which can guess nothing. */
static void tell_sync(const struct journal *journal, const struct index_entry *entry, uint32_t goal, int64_t now)
{
	uint32_t done = entry->height - journal->sync_from;
	char text[TIME_TEXT] = "";

	if (done > 0)
		time_text((now - journal->sync_began) * (goal - entry->height) / done / 1000, text);
	log_info("syncing: block %" PRIu32 " of %" PRIu32 " (%" PRIu64 " %%)%s%s%s", entry->height, goal,
		(uint64_t)entry->height * 100 / goal, done > 0 ? ", about " : "", text, done > 0 ? " left" : "");
}

static void on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct journal *journal = context;
	uint32_t goal = chain_best_header(journal->chain)->height;
	int64_t now = clock_mono_ms();

	/* One behind counts as following: while a block is verified its successor's header is often here already. */
	if (entry->height + 1 >= goal) {
		journal->sync_began = 0;
		journal->last = now;
		tell_block(entry, block);
		return;
	}
	if (journal->sync_began == 0) {
		journal->sync_began = now;
		journal->sync_from = entry->height;
	} else if (now - journal->last < SYNC_LINE_MS) {
		return;
	}
	journal->last = now;
	tell_sync(journal, entry, goal, now);
}

/* A line for each, the highest block first, though connected ones share lines while the node catches up: a
 * reorganisation is rare, and an operator wants to see it whole. */
static void on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct journal *journal = context;
	char id[65];

	(void)block;
	hex_encode_reversed(id, entry->id, 32);
	journal->last = clock_mono_ms();
	log_info("block %" PRIu32 " %s is taken back: another branch has more work, or it was refused", entry->height,
		id);
}

/* --- nothing new --- */

static void tell_idle(const struct journal *journal)
{
	size_t txs = chain_mempool_count(journal->chain), proofs = chain_loose_count(journal->chain), peers;
	char mining[128] = "not mining";
	struct miner_stats stats;
	struct net_counts counts;

	net_counts(journal->net, &counts);
	peers = counts.inbound + counts.outbound;
	miner_stats(journal->miner, &stats);
	if (stats.mining && stats.paused != NULL)
		snprintf(mining, sizeof mining, "mining pauses: %s", stats.paused);
	else if (stats.mining)
		snprintf(mining, sizeof mining, "mining %" PRIu64 ".%03" PRIu64 " steps/s",
			stats.steps_per_1000_seconds / 1000, stats.steps_per_1000_seconds % 1000);
	log_info("height %" PRIu32 ", %zu peer%s, %zu transaction%s and %zu proof%s wait, %s",
		chain_tip(journal->chain)->height, peers, plural_of(peers), txs, plural_of(txs), proofs,
		plural_of(proofs), mining);
}

void journal_tick(struct journal *journal)
{
	int64_t now = clock_mono_ms();

	if (journal->idle_ms == 0 || now - journal->last < journal->idle_ms)
		return;
	journal->last = now;
	tell_idle(journal);
}

void journal_open(struct journal *journal)
{
	journal->last = clock_mono_ms();
	chain_subscribe(journal->chain,
		&(struct chain_events){
			.context = journal,
			.connected = on_connected,
			.disconnected = on_disconnected,
		});
}
