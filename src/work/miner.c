/* The miner: which attempts are begun, for whom, and what becomes of their tickets. */
#include "work/miner.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "work/attempt.h"

/* Room for one attempt after the other. What its job reads belongs to it from the posting to the done. */
struct seat {
	struct miner *miner;
	struct attempt attempt;
	bool busy; /* its attempt is in the queue: waits, runs or pauses */
};

struct request {
	struct request *next;
	uint8_t key[32];
	size_t wanted, found;
	uint64_t tries; /* left */
	uint8_t (*ids)[32];
	const char *reason; /* once it is finished; NULL: nothing went wrong */
	miner_generated *done;
	void *context;
};

/* Attempts finished in two successive periods, so that the rate always looks back over one whole period. */
enum { RATE_PERIOD_MS = 30000 };
struct rate {
	int64_t before_start, start;
	uint64_t before, now;
};

struct miner {
	struct chain *chain;
	struct queue *queue;
	struct event *tick; /* runs miner_work once a second, and when asked */
	struct seat *seats;
	unsigned threads, running; /* seats, and those that are busy */
	bool closed;               /* nothing is begun any more, for now or for good */

	bool mining;
	uint8_t key[32];
	const char *paused;
	struct request *requests; /* the first is being served */
	struct request *finished; /* to be answered from the tick */
	bool pending;             /* a block of ours is on its way to the tip */
	uint8_t pending_id[32];

	uint64_t attempts, failed, shares, blocks;
	struct rate rate;
};

/* --- how fast it goes --- */

static void rate_reset(struct rate *rate)
{
	memset(rate, 0, sizeof *rate);
	rate->before_start = rate->start = clock_mono_ms();
}

static void rate_count(struct rate *rate)
{
	int64_t now = clock_mono_ms();

	if (now - rate->start >= 2 * RATE_PERIOD_MS) {
		rate_reset(rate); /* idle since: that is no rate */
	} else if (now - rate->start >= RATE_PERIOD_MS) {
		rate->before = rate->now;
		rate->before_start = rate->start;
		rate->start = now;
		rate->now = 0;
	}
	rate->now++;
}

static uint64_t rate_per_1000_seconds(const struct rate *rate)
{
	int64_t now = clock_mono_ms(), elapsed = now - rate->before_start;

	if (elapsed <= 0 || now - rate->start >= 2 * RATE_PERIOD_MS)
		return 0; /* nothing finished lately */
	return (rate->before + rate->now) * 1000000 / (uint64_t)elapsed;
}

/* Those that run look at it several times a second, those in a pause too; those that wait end as soon as they begin. */
static void cancel_all(struct miner *miner)
{
	for (unsigned i = 0; i < miner->threads; i++)
		atomic_store(&miner->seats[i].attempt.cancel, true);
}

/* --- who waits for blocks --- */

/* The tick runs from the loop, soon: a callback of the chain is no place to begin new things in. */
static void miner_wake(struct miner *miner)
{
	if (!miner->closed)
		event_active(miner->tick, EV_TIMEOUT, 0);
}

/* The first request is over; the tick answers it. */
static void finish_request(struct miner *miner, const char *reason)
{
	struct request *request = miner->requests, **last = &miner->finished;

	miner->requests = request->next;
	request->next = NULL;
	request->reason = reason;
	while (*last != NULL)
		last = &(*last)->next;
	*last = request;
	cancel_all(miner);
	miner_wake(miner);
}

static void answer_finished(struct miner *miner)
{
	while (miner->finished != NULL) {
		struct request *request = miner->finished;

		miner->finished = request->next;
		request->done(request->context, (const uint8_t(*)[32])request->ids, request->found, request->reason);
		free(request->ids);
		free(request);
	}
}

/* --- attempts --- */

/* Who is paid for the next attempt; NULL: there is none to make. */
static const uint8_t *current_key(const struct miner *miner)
{
	if (miner->requests != NULL)
		return miner->requests->key;
	return miner->mining && miner->paused == NULL ? miner->key : NULL;
}

/* Whether our own last block may still become the tip. */
static bool block_under_way(struct miner *miner)
{
	const struct index_entry *entry;
	bool refused;

	if (!miner->pending)
		return false;
	entry = chain_find(miner->chain, miner->pending_id);
	refused = entry == NULL || entry->status == ENTRY_INVALID;
	if (!refused && entry->status != ENTRY_CONNECTED && entry->parent == chain_tip(miner->chain))
		return true;
	miner->pending = false;
	if (refused) {
		const char *reason = entry != NULL && entry->invalid_reason != NULL ? entry->invalid_reason : "refused";

		log_error("a block of this node's own was refused: %s", reason);
		if (miner->requests != NULL)
			finish_request(miner, reason);
	}
	return false;
}

/* Between the step's beginning and now the tip may have changed without the flag being seen: what is for another parent
 * is worth nothing. What has been handed to the chain is sealed and the chain's, so the seat lets go of it first. */
static void offer_proof(struct miner *miner, struct attempt *attempt)
{
	const struct spec *spec = chain_spec(miner->chain);
	const struct block *block;
	uint8_t *body = attempt->body;
	enum attempt_worth worth = attempt_worth(spec, &attempt->block->header);
	struct reject reject = { 0 };
	enum chain_result result;
	uint8_t id[32];

	if (worth == ATTEMPT_NOTHING || memcmp(attempt->block->header.prev, chain_tip(miner->chain)->id, 32) != 0)
		return;
	if (worth == ATTEMPT_BLOCK && block_under_way(miner))
		return; /* two threads were lucky on the same parent: one block is enough */
	block = block_seal(attempt->block);
	memcpy(id, block_id(block), 32);
	attempt->block = NULL; /* the chain's from here on */
	attempt->body = NULL;
	result = chain_add_own(miner->chain, block, body, &reject);
	if (result != CHAIN_NEW) {
		log_debug(LOG_MINER, "a proof of this node's own was not taken: %s",
			reject.reason != NULL ? reject.reason : "known");
		return;
	}
	if (worth == ATTEMPT_SHARE) {
		miner->shares++;
		return;
	}
	miner->blocks++;
	miner->pending = true;
	memcpy(miner->pending_id, id, 32);
	cancel_all(miner);
}

static void miner_work(struct miner *miner);

static void seat_run(void *arg)
{
	struct seat *seat = arg;

	attempt_run(&seat->attempt);
}

/* Also of an attempt that was cancelled, or dropped before it began: those count nowhere. The seat is used again at
 * once, unless the miner closes: queue_leave calls this too, and would never come to an end. */
static void seat_done(void *arg, bool cancelled)
{
	struct seat *seat = arg;
	struct miner *miner = seat->miner;
	struct attempt *attempt = &seat->attempt;

	seat->busy = false;
	miner->running--;
	if (!cancelled && !miner->closed && attempt->result != STEP_CANCELLED) {
		miner->attempts++;
		rate_count(&miner->rate);
		if (attempt->result == STEP_FAILED)
			miner->failed++;
		else
			offer_proof(miner, attempt);
	}
	attempt_reset(attempt);
	if (!miner->closed)
		miner_work(miner);
}

/* All that a step needs is gathered here, on the loop; the job sees the attempt alone. Each seat draws a nonce of its
 * own, so no two work on the same step. False: nothing can be begun now, and the tick tries again. */
static bool seat_begin(struct seat *seat, const uint8_t key[32])
{
	struct miner *miner = seat->miner;
	struct attempt *attempt = &seat->attempt;
	const struct queue_job job = {
		.kind = QUEUE_ATTEMPT,
		.owner = miner,
		.run = seat_run,
		.done = seat_done,
		.arg = seat,
	};
	uint32_t slot, dataset;

	attempt_reset(attempt);
	attempt->block = chain_template(miner->chain, key);
	if (attempt->block == NULL)
		return false;
	attempt->block->header.nonce = random_u64();
	attempt->windows = chain_attempt_windows(miner->chain, &attempt->block->header, &slot, &dataset);
	attempt->state = chain_state(miner->chain);
	if (attempt->windows == NULL || attempt->state == NULL) {
		log_debug(LOG_MINER, "no attempt: what a step needs is not here yet");
		return false;
	}
	seat->busy = true;
	miner->running++;
	queue_post(miner->queue, &job);
	return true;
}

/* What is mined now would be refused as too new, and tried again at once, without end. */
static bool ahead_of_clock(struct miner *miner)
{
	if (chain_clock_lag(miner->chain) == 0)
		return false;
	while (miner->requests != NULL)
		finish_request(miner,
			"the chain's time is ahead of this machine's clock, so new blocks would be too new");
	return true;
}

/* Starts what can be started: a seat that is free gets the newest template. Tries are counted when they begin, so a
 * request never has more of them than it was given, and it ends only when the last one is back. */
static void miner_work(struct miner *miner)
{
	if (block_under_way(miner) || ahead_of_clock(miner))
		return;
	for (unsigned i = 0; i < miner->threads; i++) {
		const uint8_t *key = current_key(miner);

		if (key == NULL)
			return;
		if (miner->requests != NULL && miner->requests->tries == 0) {
			/* The last attempts may still find something. */
			if (miner->running == 0)
				finish_request(miner, NULL);
			return;
		}
		if (miner->seats[i].busy)
			continue;
		if (!seat_begin(&miner->seats[i], key))
			return;
		if (miner->requests != NULL)
			miner->requests->tries--;
	}
}

/* --- what it hears --- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct miner *miner = arg;

	(void)fd;
	(void)what;
	answer_finished(miner);
	miner_work(miner);
}

/* A block of ours counts for the request that is served, unless its attempt was begun for another: then it pays
 * somebody else. */
static void on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct miner *miner = context;
	struct request *request = miner->requests;

	if (!miner->pending || memcmp(entry->id, miner->pending_id, 32) != 0 || request == NULL ||
		memcmp(block->header.miner, request->key, 32) != 0)
		return;
	memcpy(request->ids[request->found++], entry->id, 32);
}

/* Every attempt is for the old tip now. Those that pause or wait end without another product. */
static void on_tip(void *context, const struct index_entry *tip)
{
	struct miner *miner = context;

	(void)tip;
	cancel_all(miner);
	if (miner->requests != NULL && miner->requests->found == miner->requests->wanted)
		finish_request(miner, NULL);
	miner_wake(miner);
}

/* Refused: block_under_way takes note of it. */
static void on_block_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	(void)entry;
	(void)source;
	if (reject != NULL)
		miner_wake(context);
}

/* --- beginning, end, and what can be asked --- */

static void seats_make(struct miner *miner, unsigned threads)
{
	miner->threads = threads;
	miner->seats = mem_calloc(threads, sizeof *miner->seats);
	for (unsigned i = 0; i < threads; i++) {
		miner->seats[i].miner = miner;
		attempt_init(&miner->seats[i].attempt, chain_spec(miner->chain));
	}
}

static void seats_free(struct miner *miner)
{
	cancel_all(miner);
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
	miner->tick = mem_check(event_new(base, -1, EV_PERSIST, on_tick, miner));
	event_add(miner->tick, &(struct timeval){ .tv_sec = 1 });
	rate_reset(&miner->rate);
	seats_make(miner, threads);
	chain_subscribe(chain,
		&(struct chain_events){
			.context = miner,
			.connected = on_connected,
			.tip = on_tip,
			.block_verdict = on_block_verdict,
		});
	return miner;
}

void miner_close(struct miner *miner)
{
	miner->closed = true;
	miner->mining = false;
	seats_free(miner);
	event_free(miner->tick);
	while (miner->requests != NULL)
		finish_request(miner, "the node is shutting down");
	answer_finished(miner);
}

void miner_free(struct miner *miner)
{
	free(miner);
}

void miner_start(struct miner *miner, const uint8_t key[32])
{
	if (!miner->mining)
		rate_reset(&miner->rate);
	miner->mining = true;
	memcpy(miner->key, key, 32);
	miner_wake(miner);
}

void miner_stop(struct miner *miner)
{
	miner->mining = false;
	if (miner->requests == NULL)
		cancel_all(miner);
}

void miner_set_threads(struct miner *miner, unsigned threads)
{
	if (threads == miner->threads)
		return;
	/* The dones that come meanwhile must not begin anew. */
	miner->closed = true;
	seats_free(miner);
	miner->closed = false;
	seats_make(miner, threads);
	rate_reset(&miner->rate);
	miner_wake(miner);
}

void miner_pause(struct miner *miner, const char *why)
{
	bool was = miner->paused != NULL;

	miner->paused = why;
	if (why != NULL && !was && miner->requests == NULL)
		cancel_all(miner);
	if (why == NULL && was)
		miner_wake(miner);
}

void miner_generate(struct miner *miner, size_t count, const uint8_t key[32], uint64_t tries, miner_generated *done,
	void *context)
{
	struct request *request = mem_calloc(1, sizeof *request), **last = &miner->requests;

	memcpy(request->key, key, 32);
	request->wanted = count;
	request->tries = tries;
	request->ids = mem_calloc(count, sizeof *request->ids);
	request->done = done;
	request->context = context;
	while (*last != NULL)
		last = &(*last)->next;
	*last = request;
	if (miner->requests == request)
		cancel_all(miner); /* what runs is for another key */
	miner_wake(miner);
}

void miner_stats(const struct miner *miner, struct miner_stats *stats)
{
	const struct train_config *train = &spec_course(chain_spec(miner->chain))->train;
	uint64_t tokens = (uint64_t)train->iterations * train->batch * train->model.ctx;

	memset(stats, 0, sizeof *stats);
	stats->mining = miner->mining;
	stats->paused = miner->paused;
	stats->threads = miner->threads;
	stats->running = miner->running;
	stats->attempts = miner->attempts;
	stats->failed = miner->failed;
	stats->shares = miner->shares;
	stats->blocks = miner->blocks;
	stats->steps_per_1000_seconds = rate_per_1000_seconds(&miner->rate);
	stats->tokens_per_second = stats->steps_per_1000_seconds * tokens / 1000;
	memcpy(stats->key, miner->key, 32);
}
