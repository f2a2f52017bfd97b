/* The miner: which attempts are begun, for whom, and what becomes of their tickets. */
#include "work/miner.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "work/attempt.h"
#include "work/found.h"
#include "work/loop.h"

/* Room for one attempt after the other. What its job reads belongs to it from the posting to the done. */
struct miner_seat {
	struct miner *miner;
	struct attempt attempt;
	bool busy; /* its attempt is in the queue: waits, runs or pauses */
};

struct miner_request {
	struct miner_request *next;
	uint8_t key[32];
	size_t wanted, found;
	uint64_t tries; /* left */
	uint8_t (*ids)[32];
	char *reason; /* once it is finished, owned; NULL: nothing went wrong */
	miner_generated *done;
	void *context;
};

/* Attempts finished in two successive periods, so that the rate always looks back over one whole period. */
enum { MINER_RATE_PERIOD_MS = 30000, MINER_BYTES_MS = 3000, MINER_NONCES = 64 };
struct miner_rate {
	int64_t before_start, start;
	uint64_t before, now;
};

struct miner {
	struct chain *chain;
	struct queue *queue;
	struct event *tick; /* runs miner_work once a second, and when asked */
	struct miner_seat *seats;
	unsigned threads, running; /* seats, and those that are busy */
	bool closed;               /* nothing is begun any more, for now or for good */

	bool mining;
	uint8_t key[32];
	const char *paused;
	struct miner_request *requests; /* the first is being served */
	struct miner_request *finished; /* to be answered from the tick */
	bool pending;                   /* a block of ours is on its way to the tip */
	uint8_t pending_id[32];
	struct found_block found; /* not due yet */
	/* Bytes are lost that the tip's child needs: those of a dataset, for an attempt on it, or others. */
	bool lacks_data;
	uint8_t lacked_root[32];
	int64_t lacks_since; /* of clock_mono_ms; 0: nothing is lacking */
	struct errmsg stuck; /* since nobody has brought a dataset's bytes to who mines for good; "": it goes on */

	uint64_t attempts, failed, shares, blocks;
	struct miner_rate rate;
};

/* --- how fast it goes --- */

static void miner_rate_reset(struct miner_rate *miner_rate)
{
	memset(miner_rate, 0, sizeof *miner_rate);
	miner_rate->before_start = miner_rate->start = clock_mono_ms();
}

static void miner_rate_count(struct miner_rate *miner_rate)
{
	int64_t miner_now = clock_mono_ms();

	if (miner_now - miner_rate->start >= 2 * MINER_RATE_PERIOD_MS) {
		miner_rate_reset(miner_rate); /* idle since: that is no rate */
	} else if (miner_now - miner_rate->start >= MINER_RATE_PERIOD_MS) {
		miner_rate->before = miner_rate->now;
		miner_rate->before_start = miner_rate->start;
		miner_rate->start = miner_now;
		miner_rate->now = 0;
	}
	miner_rate->now++;
}

static uint64_t miner_rate_per_1000_seconds(const struct miner_rate *miner_rate)
{
	int64_t miner_now = clock_mono_ms(), elapsed = miner_now - miner_rate->before_start;

	if (elapsed <= 0 || miner_now - miner_rate->start >= 2 * MINER_RATE_PERIOD_MS)
		return 0; /* nothing finished lately */
	return (miner_rate->before + miner_rate->now) * 1000000 / (uint64_t)elapsed;
}

/* Those that run look at it several times a second, those in a pause too; those that wait end as soon as they begin. */
static void miner_cancel_all(struct miner *miner)
{
	for (unsigned i = 0; i < miner->threads; i++)
		atomic_store(&miner->seats[i].attempt.cancel, true);
}

/* The parent is the tip no more. A late proof is paid almost like a loose one in the next block (doc/protocol.md
 * section 13), so who has done half of the step ends sooner with it than with a new one; who has done less begins anew.
 */
static void miner_cancel_stale(struct miner *miner)
{
	for (unsigned i = 0; i < miner->threads; i++)
		if (!attempt_is_advanced(&miner->seats[i].attempt))
			atomic_store(&miner->seats[i].attempt.cancel, true);
}

/* --- who waits for blocks --- */

/* The tick runs from the loop, soon: a callback of the chain is no place to begin new things in. */
static void miner_wake(struct miner *miner)
{
	if (!miner->closed)
		loop_tick_wake(miner->tick);
}

/* The first request is over; the tick answers it. */
static void miner_finish_request(struct miner *miner, const char *reason)
{
	struct miner_request *mine_request = miner->requests, **last_mine_request = &miner->finished;

	miner->requests = mine_request->next;
	mine_request->next = NULL;
	mine_request->reason = reason != NULL ? mem_strdup(reason) : NULL;
	while (*last_mine_request != NULL)
		last_mine_request = &(*last_mine_request)->next;
	*last_mine_request = mine_request;
	miner_cancel_all(miner);
	miner_wake(miner);
}

static void miner_answer_finished(struct miner *miner)
{
	while (miner->finished != NULL) {
		struct miner_request *mine_request = miner->finished;

		miner->finished = mine_request->next;
		mine_request->done(mine_request->context, (const uint8_t(*)[32])mine_request->ids, mine_request->found,
			mine_request->reason);
		free(mine_request->ids);
		free(mine_request->reason);
		free(mine_request);
	}
}

/* --- attempts --- */

/* Who is paid for the next attempt; NULL: there is none to make. */
static const uint8_t *miner_current_key(const struct miner *miner)
{
	if (miner->requests != NULL)
		return miner->requests->key;
	return miner->mining && miner->paused == NULL ? miner->key : NULL;
}

/* Whether our own last block may still become the tip. */
static bool miner_block_under_way(struct miner *miner)
{
	const struct index_entry *mined_entry;
	bool mined_refused;

	if (!miner->pending)
		return false;
	mined_entry = chain_find(miner->chain, miner->pending_id);
	mined_refused = mined_entry == NULL || mined_entry->status == ENTRY_INVALID;
	if (!mined_refused && mined_entry->status != ENTRY_CONNECTED && mined_entry->parent == chain_tip(miner->chain))
		return true;
	miner->pending = false;
	if (mined_refused) {
		const char *reason = mined_entry != NULL && mined_entry->invalid_reason != NULL ?
			mined_entry->invalid_reason :
			"refused";

		log_error("a block of this node's own was refused: %s", reason);
		if (miner->requests != NULL)
			miner_finish_request(miner, reason);
	}
	return false;
}

static void miner_log_not_taken(const struct reject *mined_reject)
{
	log_debug(LOG_MINER, "a proof of this node's own was not taken: %s",
		mined_reject->reason != NULL ? mined_reject->reason : "known");
}

/* Takes block and body, which are the chain's then. */
static void miner_hand_in_block(struct miner *miner, struct block *block, uint8_t *mined_body)
{
	const struct block *mined_block = block_seal(block);
	struct reject mined_reject = { 0 };
	uint8_t mined_id[32];

	memcpy(mined_id, block_id(mined_block), 32);
	if (chain_add_own(miner->chain, mined_block, mined_body, &mined_reject) != CHAIN_NEW) {
		miner_log_not_taken(&mined_reject);
		return;
	}
	miner->blocks++;
	miner->pending = true;
	memcpy(miner->pending_id, mined_id, 32);
	miner_cancel_stale(miner);
}

/* Of a block that was found, or of a share: others list it. Takes both, as above. */
static void miner_hand_in_proof(struct miner *miner, struct block *mined_block, uint8_t *mined_body)
{
	struct reject mined_reject = { 0 };

	if (chain_add_own_proof(miner->chain, &mined_block->header, mined_body, &mined_reject) == CHAIN_NEW)
		miner->shares++;
	else
		miner_log_not_taken(&mined_reject);
	block_unref(mined_block);
}

static void miner_hand_in_lost(struct miner *miner, const struct found_block *lost_block)
{
	if (lost_block->block != NULL)
		miner_hand_in_proof(miner, lost_block->block, lost_block->body);
}

/* Since the step's beginning the tip may have changed, or another thread been lucky on the same parent: then a block is
 * a late proof, as what is for another parent is. What is handed on is not the seat's any more. */
static void miner_offer_proof(struct miner *miner, struct attempt *seat_attempt)
{
	struct block *mined_block = seat_attempt->block;
	uint8_t *mined_body = seat_attempt->body;
	const enum attempt_worth mined_worth = attempt_worth(chain_spec(miner->chain), &mined_block->header);
	const bool in_time = memcmp(mined_block->header.prev, chain_tip(miner->chain)->id, 32) == 0;
	struct found_block lost_block;

	if (mined_worth == ATTEMPT_NOTHING)
		return;
	seat_attempt->block = NULL;
	seat_attempt->body = NULL;
	if (mined_worth == ATTEMPT_SHARE || !in_time || miner_block_under_way(miner)) {
		miner_hand_in_proof(miner, mined_block, mined_body);
		return;
	}
	if (!found_is_early(miner->chain, &mined_block->header)) {
		miner_hand_in_block(miner, mined_block, mined_body);
		return;
	}
	log_debug(LOG_MINER, "a block of time %u is kept until it is due", (unsigned)mined_block->header.time);
	lost_block = found_keep(&miner->found, mined_block, mined_body);
	miner_hand_in_lost(miner, &lost_block);
}

/* The block that was kept, once it is due. */
static void miner_hand_in_found(struct miner *miner)
{
	const struct found_block lost_block = found_let_go(&miner->found, miner->chain);
	const struct found_block due_block = miner->found;

	miner_hand_in_lost(miner, &lost_block);
	if (miner_block_under_way(miner) || !found_is_due(&miner->found, miner->chain))
		return;
	miner->found = (struct found_block){ .block = NULL };
	miner_hand_in_block(miner, due_block.block, due_block.body);
}

static void miner_work(struct miner *miner);

static void miner_seat_run(void *arg)
{
	struct miner_seat *seat = arg;

	attempt_run(&seat->attempt);
}

/* Also of an attempt that was cancelled, or dropped before it began: those count nowhere. The seat is used again at
 * once, unless the miner closes: queue_leave calls this too, and would never come to an end. */
static void miner_seat_done(void *arg, bool cancelled)
{
	struct miner_seat *seat = arg;
	struct miner *miner = seat->miner;
	struct attempt *seat_attempt = &seat->attempt;

	seat->busy = false;
	miner->running--;
	if (!cancelled && !miner->closed && seat_attempt->result != STEP_CANCELLED) {
		miner->attempts++;
		miner_rate_count(&miner->rate);
		if (seat_attempt->result == STEP_FAILED)
			miner->failed++;
		else
			miner_offer_proof(miner, seat_attempt);
	}
	attempt_reset(seat_attempt);
	if (!miner->closed)
		miner_work(miner);
}

/* Windows for a nonce whose slot has a dataset that is here. */
static uint8_t *miner_draw_windows(struct miner *miner, struct header *header)
{
	uint32_t slot, dataset = 0;

	for (unsigned i = 0; i < MINER_NONCES; i++) {
		uint8_t *windows;

		header->nonce = random_u64();
		windows = chain_attempt_windows(miner->chain, header, &slot, &dataset);
		miner->lacks_data = windows == NULL && dataset > 0;
		if (windows != NULL) {
			miner->stuck.text[0] = '\0';
			return windows;
		}
	}
	if (miner->lacks_data)
		memcpy(miner->lacked_root, registry_get(chain_registry(miner->chain), dataset)->root, 32);
	return NULL;
}

/* All that a step needs is gathered here, on the loop; the job sees the attempt alone. Each seat draws a nonce of its
 * own, so no two work on the same step. False: nothing can be begun now, and the tick tries again. */
static bool miner_seat_begin(struct miner_seat *seat, const uint8_t key[32])
{
	struct miner *miner = seat->miner;
	struct attempt *seat_attempt = &seat->attempt;
	const struct queue_job seat_job = {
		.kind = QUEUE_ATTEMPT,
		.owner = miner,
		.run = miner_seat_run,
		.done = miner_seat_done,
		.arg = seat,
	};

	attempt_reset(seat_attempt);
	seat_attempt->block = chain_template(miner->chain, key);
	if (seat_attempt->block == NULL)
		return false;
	seat_attempt->windows = miner_draw_windows(miner, &seat_attempt->block->header);
	seat_attempt->state = chain_state(miner->chain);
	if (seat_attempt->windows == NULL || seat_attempt->state == NULL) {
		log_debug(LOG_MINER, "no attempt: what a step needs is not here yet");
		return false;
	}
	seat->busy = true;
	miner->running++;
	queue_post(miner->queue, &seat_job);
	return true;
}

/* What is mined now would be refused as too new, and tried again at once, without end. */
static bool miner_ahead_of_clock(struct miner *miner)
{
	if (chain_clock_lag(miner->chain) == 0)
		return false;
	while (miner->requests != NULL)
		miner_finish_request(miner,
			"the chain's time is ahead of this machine's clock, so new blocks would be too new");
	return true;
}

/* What cannot be done with the tip's child, and the bytes it is for; NULL: none are lacking. `lacks_run`: it ends a
 * round, and cannot be verified, nor whatever is mined in its place. */
static const char *miner_find_lacking(struct miner *miner, uint8_t root[32], bool *lacks_run)
{
	const struct index_entry *pending_entry = miner->pending ? chain_find(miner->chain, miner->pending_id) : NULL;
	uint32_t height;

	*lacks_run = chain_missing_run(miner->chain, root, &height) && height == chain_tip(miner->chain)->height + 1;
	if (*lacks_run)
		return "verified: bytes of a run";
	if (pending_entry != NULL && chain_block_awaits(miner->chain, pending_entry, root))
		return "verified: bytes that it needs";
	memcpy(root, miner->lacked_root, 32);
	return miner->lacks_data ? "mined: bytes of a dataset" : NULL;
}

/* Who has them, a peer or a trace, has a moment to bring them. True: nothing can be begun meanwhile. */
static bool miner_lacks_bytes(struct miner *miner)
{
	struct errmsg reason;
	char root_hex[65];
	uint8_t root[32];
	bool lacks_run;
	const char *what = miner_find_lacking(miner, root, &lacks_run);

	if (what == NULL)
		miner->lacks_since = 0;
	else if (miner->lacks_since == 0)
		miner->lacks_since = clock_mono_ms();
	if (what == NULL || clock_mono_ms() - miner->lacks_since < MINER_BYTES_MS)
		return lacks_run;
	hex_encode(root_hex, root, 32);
	errmsg_set(&reason, "block %u cannot be %s are lost here, data %s, and nobody brings them",
		(unsigned)chain_tip(miner->chain)->height + 1, what, root_hex);
	while (miner->requests != NULL)
		miner_finish_request(miner, reason.text);
	if (miner->mining && miner->lacks_data && !lacks_run)
		miner->stuck = reason;
	/* They may be here when somebody asks for blocks again. */
	miner->lacks_data = false;
	miner->lacks_since = 0;
	return lacks_run;
}

/* Starts what can be started: a seat that is free gets the newest template. Tries are counted when they begin, so a
 * request never has more of them than it was given, and it ends only when the last one is back. */
static void miner_work(struct miner *miner)
{
	if (miner_lacks_bytes(miner) || miner_block_under_way(miner) || miner_ahead_of_clock(miner) ||
		chain_is_overtaken(miner->chain))
		return;
	for (unsigned i = 0; i < miner->threads; i++) {
		const uint8_t *key = miner_current_key(miner);

		if (key == NULL)
			return;
		if (miner->requests != NULL && miner->requests->tries == 0) {
			/* The last attempts may still find something, and what was found may still be due. */
			if (miner->running == 0 && miner->found.block == NULL)
				miner_finish_request(miner, NULL);
			return;
		}
		if (miner->seats[i].busy)
			continue;
		if (!miner_seat_begin(&miner->seats[i], key))
			return;
		if (miner->requests != NULL)
			miner->requests->tries--;
	}
}

/* --- what it hears --- */

static void miner_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct miner *miner = arg;

	(void)fd;
	(void)what;
	miner_answer_finished(miner);
	miner_hand_in_found(miner);
	miner_work(miner);
}

/* A block of ours counts for the request that is served, unless its attempt was begun for another: then it pays
 * somebody else. */
static void miner_on_connected(void *context, const struct index_entry *connected, const struct block *block)
{
	struct miner *miner = context;
	struct miner_request *mine_request = miner->requests;

	if (!miner->pending || memcmp(connected->id, miner->pending_id, 32) != 0 || mine_request == NULL ||
		memcmp(block->header.miner, mine_request->key, 32) != 0)
		return;
	memcpy(mine_request->ids[mine_request->found++], connected->id, 32);
}

/* Every attempt is for the old tip now. Those that have not come far end without another product. */
static void miner_on_tip(void *context, const struct index_entry *tip)
{
	struct miner *miner = context;

	(void)tip;
	miner->lacks_data = false;
	miner_cancel_stale(miner);
	if (miner->requests != NULL && miner->requests->found == miner->requests->wanted)
		miner_finish_request(miner, NULL);
	miner_wake(miner);
}

/* Others have a better block: what is tried for the tip comes too late. */
static void miner_on_block_proven(void *context, const struct index_entry *entry, const struct source *source)
{
	struct miner *miner = context;

	(void)entry;
	(void)source;
	if (chain_is_overtaken(miner->chain))
		miner_cancel_stale(miner);
}

/* Refused: miner_block_under_way takes note of it; and mining may go on where it paused for the verdict. */
static void miner_on_block_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	(void)entry;
	(void)source;
	(void)reject;
	miner_wake(context);
}

/* --- beginning, end, and what can be asked --- */

static void miner_seats_make(struct miner *miner, unsigned threads)
{
	miner->threads = threads;
	miner->seats = mem_calloc(threads, sizeof *miner->seats);
	for (unsigned i = 0; i < threads; i++) {
		miner->seats[i].miner = miner;
		attempt_init(&miner->seats[i].attempt, chain_spec(miner->chain));
	}
}

static void miner_seats_free(struct miner *miner)
{
	miner_cancel_all(miner);
	queue_leave(miner->queue, miner);
	for (unsigned i = 0; i < miner->threads; i++)
		attempt_clear(&miner->seats[i].attempt);
	free(miner->seats);
	miner->seats = NULL;
	miner->threads = 0;
}

struct miner *miner_new(struct chain *chain, struct queue *queue, struct event_base *base, unsigned threads)
{
	struct miner *miner = mem_calloc(1, sizeof *miner);

	miner->chain = chain;
	miner->queue = queue;
	miner->tick = loop_tick_new(base, miner_on_tick, miner);
	miner_rate_reset(&miner->rate);
	miner_seats_make(miner, threads);
	chain_subscribe(chain,
		&(struct chain_events){
			.context = miner,
			.connected = miner_on_connected,
			.tip = miner_on_tip,
			.block_proven = miner_on_block_proven,
			.block_verdict = miner_on_block_verdict,
		});
	return miner;
}

void miner_close(struct miner *miner)
{
	miner->closed = true;
	miner->mining = false;
	miner_seats_free(miner);
	event_free(miner->tick);
	found_drop(&miner->found);
	while (miner->requests != NULL)
		miner_finish_request(miner, chain_last_words(miner->chain));
	miner_answer_finished(miner);
}

void miner_free(struct miner *miner)
{
	free(miner);
}

void miner_start(struct miner *miner, const uint8_t key[32])
{
	if (!miner->mining)
		miner_rate_reset(&miner->rate);
	miner->mining = true;
	memcpy(miner->key, key, 32);
	miner_wake(miner);
}

void miner_stop(struct miner *miner)
{
	miner->mining = false;
	if (miner->requests == NULL)
		miner_cancel_all(miner);
}

void miner_set_threads(struct miner *miner, unsigned threads)
{
	if (threads == miner->threads)
		return;
	/* The dones that come meanwhile must not begin anew. */
	miner->closed = true;
	miner_seats_free(miner);
	miner->closed = false;
	miner_seats_make(miner, threads);
	miner_rate_reset(&miner->rate);
	miner_wake(miner);
}

void miner_pause(struct miner *miner, const char *why)
{
	bool miner_was_paused = miner->paused != NULL;

	miner->paused = why;
	if (why != NULL && !miner_was_paused && miner->requests == NULL)
		miner_cancel_all(miner);
	if (why == NULL && miner_was_paused)
		miner_wake(miner);
}

void miner_generate(struct miner *miner, size_t count, const uint8_t key[32], uint64_t tries, miner_generated *done,
	void *context)
{
	struct miner_request *mine_request = mem_calloc(1, sizeof *mine_request),
			     **last_mine_request = &miner->requests;

	memcpy(mine_request->key, key, 32);
	mine_request->wanted = count;
	mine_request->tries = tries;
	mine_request->ids = mem_calloc(count, sizeof *mine_request->ids);
	mine_request->done = done;
	mine_request->context = context;
	while (*last_mine_request != NULL)
		last_mine_request = &(*last_mine_request)->next;
	*last_mine_request = mine_request;
	if (miner->requests == mine_request)
		miner_cancel_all(miner); /* what runs is for another key */
	miner_wake(miner);
}

void miner_stats(const struct miner *miner, struct miner_stats *mining_stats)
{
	const struct train_config *mined_train = &spec_course(chain_spec(miner->chain))->train;
	uint64_t step_tokens = (uint64_t)mined_train->iterations * mined_train->batch * mined_train->model.ctx;

	memset(mining_stats, 0, sizeof *mining_stats);
	mining_stats->mining = miner->mining;
	mining_stats->paused = miner->paused;
	if (mining_stats->paused == NULL && chain_is_overtaken(miner->chain))
		mining_stats->paused = "a block that would make a better tip is being verified";
	if (mining_stats->paused == NULL && miner->stuck.text[0] != '\0')
		mining_stats->paused = miner->stuck.text;
	mining_stats->threads = miner->threads;
	mining_stats->running = miner->running;
	mining_stats->attempts = miner->attempts;
	mining_stats->failed = miner->failed;
	mining_stats->shares = miner->shares;
	mining_stats->blocks = miner->blocks;
	mining_stats->steps_per_1000_seconds = miner_rate_per_1000_seconds(&miner->rate);
	mining_stats->tokens_per_second = mining_stats->steps_per_1000_seconds * step_tokens / 1000;
	memcpy(mining_stats->key, miner->key, 32);
}
