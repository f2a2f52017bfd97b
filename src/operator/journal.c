/* Lines of the log about blocks, progress and rest. */
#include "operator/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "calls/show.h"
#include "ml/merge.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"

enum { JOURNAL_SYNC_LINE_MS = 1000, JOURNAL_AMOUNT_TEXT = 32, JOURNAL_TIME_TEXT = 48 };
#define JOURNAL_UNITS INT64_C(100000000)

static const char *journal_amount(int64_t amount, char journal_text[JOURNAL_AMOUNT_TEXT])
{
	snprintf(journal_text, JOURNAL_AMOUNT_TEXT, "%" PRId64 ".%08" PRId64, amount / JOURNAL_UNITS,
		amount % JOURNAL_UNITS);
	return journal_text;
}

static const char *journal_plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* --- a block --- */

static void journal_put_loss(struct buf *journal_line, const struct block_outcome *outcome)
{
	json_t *journal_loss = show_loss_after(outcome);

	json_print(journal_loss, 0, journal_line);
	json_decref(journal_loss);
	buf_put_text(journal_line, outcome->outcome.is_void ? " (its update is void)" : "");
}

/* Only of slots that somebody trained on: a slot without proofs has drawn a dataset too, and done nothing with it. */
static void journal_put_datasets(struct buf *journal_line, const struct block_outcome *outcome)
{
	char journal_dataset[16];

	for (uint32_t slot = 0; slot < outcome->outcome.slots; slot++) {
		if (outcome->outcome.slot[slot].count == 0)
			continue;
		snprintf(journal_dataset, sizeof journal_dataset, " %" PRIu32, outcome->dataset[slot]);
		buf_put_text(journal_line, journal_dataset);
	}
}

static void journal_tell_block(const struct spec *spec, const struct index_entry *entry, const struct block *block)
{
	char journal_late[32] = "", journal_id[65], journal_miners[JOURNAL_AMOUNT_TEXT],
	     journal_data[JOURNAL_AMOUNT_TEXT], journal_runs[JOURNAL_AMOUNT_TEXT],
	     journal_seconds[JOURNAL_TIME_TEXT] = "";
	struct show_payments journal_paid;
	struct buf journal_loss, journal_datasets;
	struct block_outcome outcome;

	chain_outcome(entry, &outcome);
	hex_encode_reversed(journal_id, entry->id, 32);
	show_sum_payments(spec, entry->height, block, &journal_paid);
	buf_init(&journal_loss);
	journal_put_loss(&journal_loss, &outcome);
	buf_init(&journal_datasets);
	journal_put_datasets(&journal_datasets, &outcome);
	/* Zero where an earlier run has verified it: the time is not kept on disk. */
	if (entry->verify_ms > 0)
		snprintf(journal_seconds, sizeof journal_seconds, ", %" PRIu32 ".%" PRIu32 " s",
			entry->verify_ms / 1000, entry->verify_ms / 100 % 10);
	if (block->late_count > 0)
		snprintf(journal_late, sizeof journal_late, " and %zu late", block->late_count);
	log_info("block %" PRIu32 " %s: loss %.*s, %zu proof%s%s, datasets%.*s, paid %s to miners%s %s to data%s%s%s%s",
		entry->height, journal_id, (int)journal_loss.size, (const char *)journal_loss.data,
		block->loose_count + 1, journal_plural(block->loose_count + 1), journal_late,
		(int)journal_datasets.size, (const char *)journal_datasets.data,
		journal_amount(journal_paid.miners, journal_miners), journal_paid.runs > 0 ? "," : " and",
		journal_amount(journal_paid.data, journal_data), journal_paid.runs > 0 ? " and " : "",
		journal_paid.runs > 0 ? journal_amount(journal_paid.runs, journal_runs) : "",
		journal_paid.runs > 0 ? " to runs" : "", journal_seconds);
	buf_clear(&journal_loss);
	buf_clear(&journal_datasets);
}

/* The block that ended a round: what became of its seats. */
static void journal_tell_merge(const struct index_entry *entry)
{
	struct block_outcome outcome;
	const struct merge_statement *journal_merge = &chain_outcome(entry, &outcome)->merge;
	unsigned journal_seats[4] = { 0 };

	if (journal_merge->seats == 0)
		return;
	for (uint32_t seat = 0; seat < journal_merge->seats; seat++)
		journal_seats[journal_merge->seat[seat]]++;
	log_info("block %" PRIu32 " merges the runs of %" PRIu32
		 " seats%s: %u merged, %u left out, %u struck, %u empty",
		entry->height, journal_merge->seats,
		journal_merge->is_void           ? ", which is void" :
			journal_merge->is_second ? ", the better half of them" :
						   "",
		journal_seats[MERGE_MERGED], journal_seats[MERGE_LEFT_OUT], journal_seats[MERGE_STRUCK],
		journal_seats[MERGE_EMPTY]);
}

/* --- many blocks --- */

static void journal_time_text(int64_t seconds, char time_left[JOURNAL_TIME_TEXT])
{
	int64_t minutes = (seconds + 30) / 60, hours = (minutes + 30) / 60;

	if (seconds < 100)
		snprintf(time_left, JOURNAL_TIME_TEXT, "%" PRId64 " seconds", seconds);
	else if (minutes < 100)
		snprintf(time_left, JOURNAL_TIME_TEXT, "%" PRId64 " minutes", minutes);
	else
		snprintf(time_left, JOURNAL_TIME_TEXT, "%" PRId64 " hours", hours);
}

/* A guess from this sync's own blocks so far: blocks cost about the same on one machine, whatever their age. done is 0
 * for the first line, which can guess nothing. */
static void journal_tell_sync(const struct journal *journal, const struct index_entry *entry, uint32_t sync_goal,
	int64_t journal_now)
{
	uint32_t sync_done = entry->height - journal->sync_from;
	char time_left[JOURNAL_TIME_TEXT] = "";

	if (sync_done > 0)
		journal_time_text((journal_now - journal->sync_began) * (sync_goal - entry->height) / sync_done / 1000,
			time_left);
	log_info("syncing: block %" PRIu32 " of %" PRIu32 " (%" PRIu64 " %%)%s%s%s", entry->height, sync_goal,
		(uint64_t)entry->height * 100 / sync_goal, sync_done > 0 ? ", about " : "", time_left,
		sync_done > 0 ? " left" : "");
}

static void journal_on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct journal *journal = context;
	uint32_t sync_goal = chain_best_header(journal->chain)->height;
	int64_t journal_now = clock_mono_ms();

	/* One behind counts as following: while a block is verified its successor's header is often here already. */
	if (entry->height + 1 >= sync_goal) {
		journal->sync_began = 0;
		journal->last = journal_now;
		journal_tell_block(chain_spec(journal->chain), entry, block);
		journal_tell_merge(entry);
		return;
	}
	if (journal->sync_began == 0) {
		journal->sync_began = journal_now;
		journal->sync_from = entry->height;
	} else if (journal_now - journal->last < JOURNAL_SYNC_LINE_MS) {
		return;
	}
	journal->last = journal_now;
	journal_tell_sync(journal, entry, sync_goal, journal_now);
}

/* A line for each, the highest block first, though connected ones share lines while the node catches up: an operator
 * wants to see a reorganisation whole. Of blocks found at about the same time one stays, be they all of one miner:
 * nothing is wrong then, and the line says so. */
static void journal_on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct journal *journal = context;
	struct miner_stats journal_stats;
	char journal_id[65];

	miner_stats(journal->miner, &journal_stats);
	hex_encode_reversed(journal_id, entry->id, 32);
	journal->last = clock_mono_ms();
	log_info("block %" PRIu32 " %s%s is taken back: %s", entry->height, journal_id,
		journal_stats.mining && memcmp(journal_stats.key, block->header.miner, 32) == 0 ? " (mined here)" : "",
		entry->status == ENTRY_INVALID ?
			"it was refused" :
			"another branch is ahead, as happens where blocks are found at about the same time; "
			"its payments wait for a block again");
}

/* --- nothing new --- */

static void journal_tell_idle(const struct journal *journal)
{
	size_t txs = chain_mempool_count(journal->chain), journal_peers;
	size_t proofs = chain_loose_count(journal->chain) + chain_late_count(journal->chain);
	char journal_mining[128] = "not mining";
	struct miner_stats journal_stats;
	struct net_counts journal_counts;

	net_counts(journal->net, &journal_counts);
	journal_peers = journal_counts.inbound + journal_counts.outbound;
	miner_stats(journal->miner, &journal_stats);
	if (journal_stats.mining && journal_stats.paused != NULL)
		snprintf(journal_mining, sizeof journal_mining, "mining pauses: %s", journal_stats.paused);
	else if (journal_stats.mining)
		snprintf(journal_mining, sizeof journal_mining, "mining %" PRIu64 ".%03" PRIu64 " steps/s",
			journal_stats.steps_per_1000_seconds / 1000, journal_stats.steps_per_1000_seconds % 1000);
	log_info("height %" PRIu32 ", %zu peer%s, %zu transaction%s and %zu proof%s wait, %s",
		chain_tip(journal->chain)->height, journal_peers, journal_plural(journal_peers), txs,
		journal_plural(txs), proofs, journal_plural(proofs), journal_mining);
}

void journal_tick(struct journal *journal)
{
	int64_t journal_now = clock_mono_ms();

	if (journal->idle_ms == 0 || journal_now - journal->last < journal->idle_ms)
		return;
	journal->last = journal_now;
	journal_tell_idle(journal);
}

void journal_open(struct journal *journal)
{
	journal->last = clock_mono_ms();
	chain_subscribe(journal->chain,
		&(struct chain_events){
			.context = journal,
			.connected = journal_on_connected,
			.disconnected = journal_on_disconnected,
		});
}
