/* The runner: which runs are this node's own, what is due for each, and what becomes of their segments. */
#include "work/runner.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/payload/contribution.h"
#include "ml/backend.h"
#include "ml/run.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/warning.h"
#include "work/loop.h"
#include "work/segment.h"

enum { RUNNER_RETRY_MS = 30000 };

/* A run of this node's own. What the branch says of it is found out anew before anything is done for it. */
struct runner_run {
	struct trace *trace;
	bool is_busy;      /* a lane has it */
	uint32_t most;     /* segments that it can have: all of this round's, or those before one that has no result */
	bool is_checked;   /* its files were read, those that an earlier process wrote */
	char *problem;     /* why it does not go on; NULL: it does */
	bool is_unwritten; /* that is, its trace cannot be written */
	int64_t retry_at;  /* of clock_mono_ms, where there is a problem */
	uint8_t offered_at[32]; /* the tip on which its transaction was offered last */
	struct due_facts facts; /* as of the last look */
	enum due_task task;
	uint32_t dataset, audited; /* while the round is open; the segment that is disclosed, once there is a beacon */
	uint8_t beacon[32];
	bool has_blob; /* a disclosure was made, for the beacon: */
	uint8_t blob_root[32], blob_beacon[32];
	uint8_t disclosed_root[32]; /* of the disclosure that a block has, if facts say that one has */
};

/* Room for one segment after the other. What its job reads belongs to it from the posting to the done. */
struct runner_lane {
	struct runner *runner;
	struct runner_run *run; /* NULL: it is free */
	struct segment segment;
};

struct runner {
	struct chain *chain;
	const struct spec *spec;
	struct queue *queue;
	struct runner_keys keys;
	char *folder;
	struct trace_shape shape;
	bool is_wanted, is_closed;
	int64_t base_retry_at;    /* of clock_mono_ms, where the state of the base could not be had */
	struct event *tick;       /* NULL: a chain without rounds */
	struct runner_run **runs; /* by the heights of their seats */
	size_t count;
	struct runner_lane *lanes;
	unsigned lane_count;
	/* The state that the runs of the open round start from, held while one of them trains. */
	struct state *base_state;
	uint8_t base_id[32]; /* whose it is, or will be */
	bool is_asked;       /* it was asked for, and comes later */
	uint8_t asked_id[32];
	unsigned missed; /* runs of the open round for whose commit it is too late since this look */
};

static const struct train_config *runner_train(const struct runner *runner)
{
	return &spec_course(runner->spec)->train;
}

/* --- what goes wrong --- */

static void runner_clear_problem(struct runner_run *run)
{
	free(run->problem);
	run->problem = NULL;
	run->is_unwritten = false;
}

/* False: it is the one that there was. It is tried again after a while. */
static bool runner_note_problem(struct runner_run *run, const char *why)
{
	run->retry_at = clock_mono_ms() + RUNNER_RETRY_MS;
	if (run->problem != NULL && strcmp(run->problem, why) == 0)
		return false;
	runner_clear_problem(run);
	run->problem = mem_strdup(why);
	return true;
}

static void runner_set_problem(struct runner_run *run, const char *why)
{
	if (runner_note_problem(run, why))
		log_warn("The run of block %u does not go on: %s", (unsigned)run->trace->run.seat_height, run->problem);
}

/* A full disk, for the most part: it goes on when there is room. */
static void runner_set_unwritten(struct runner_run *run, const char *why)
{
	runner_set_problem(run, why);
	run->is_unwritten = true;
}

static bool runner_is_resting(const struct runner_run *run)
{
	return run->problem != NULL && clock_mono_ms() < run->retry_at;
}

static void runner_wake(struct runner *runner)
{
	if (!runner->is_closed)
		loop_tick_wake(runner->tick);
}

/* --- what there is to do --- */

static bool runner_is_of(const struct runner_run *run, const uint8_t base_id[32], const uint8_t seat_id[32])
{
	return memcmp(run->trace->run.base_id, base_id, 32) == 0 && memcmp(run->trace->run.seat_id, seat_id, 32) == 0;
}

static struct runner_run *runner_find(const struct runner *runner, const uint8_t base_id[32], const uint8_t seat_id[32])
{
	for (size_t i = 0; i < runner->count; i++)
		if (runner_is_of(runner->runs[i], base_id, seat_id))
			return runner->runs[i];
	return NULL;
}

/* The seat of the view that the run is of, or the number of seats. */
static uint32_t runner_seat(const struct round_view *view, const struct runner_run *run)
{
	for (uint32_t seat = 0; seat < view->seats; seat++)
		if (runner_is_of(run, view->id, view->seat[seat].id))
			return seat;
	return view->seats;
}

static uint32_t runner_next_height(const struct runner *runner)
{
	return chain_tip(runner->chain)->height + 1;
}

/* An empty seat loses nothing but what its run could have earned, and a slow machine has many: so the log counts them.
 * A run that was due until now has a task; one that is met too late, after a restart, is told by getruns alone. */
static void runner_miss(struct runner *runner, struct runner_run *run, const struct due_facts *facts)
{
	const bool is_new = runner_note_problem(run, due_missed(facts));

	if (is_new && facts->committed_length > 0)
		log_warn("The run of block %u is struck: %s", (unsigned)run->trace->run.seat_height, run->problem);
	else if (is_new && run->task != DUE_NOTHING)
		runner->missed++;
}

/* What the branch says of the run. */
static void runner_hear(struct runner *runner, const struct round_view *view, uint32_t seat, struct runner_run *run,
	struct due_facts *facts)
{
	const struct rounds_run *said = &view->run[seat];
	uint8_t root[32];

	run->dataset = said->dataset;
	facts->committed_length = said->length;
	facts->is_disclosed = said->disclosed;
	memcpy(run->disclosed_root, said->blob, 32);
	if (said->committed && facts->done >= said->length) {
		trace_root(run->trace, said->length, root);
		facts->is_foreign = memcmp(root, said->trace_root, 32) != 0;
	}
	if (facts->is_foreign)
		runner_set_problem(run, "a block has a commit of its seat to another trace than this node's");
	else if (due_missed(facts) != NULL)
		runner_miss(runner, run, facts);
	if (said->committed && view->beacon != NULL) {
		memcpy(run->beacon, view->beacon, 32);
		run->audited = round_audited(view, seat);
	}
}

/* Of a run of another round, or of one on another branch, is_open alone is false. */
static void runner_look_at_run(struct runner *runner, const struct round_view *view, struct runner_run *run)
{
	const uint32_t seat = view != NULL ? runner_seat(view, run) : 0;
	struct due_facts facts = {
		.next = runner_next_height(runner),
		.base = run->trace->run.base_height,
		.work = runner->spec->round_work,
		.reveal = runner->spec->round_reveal,
		.segments = run->most,
		.is_open = view != NULL && seat < view->seats,
		.is_wanted = runner->is_wanted,
		.done = run->trace->done,
		.signed_length = run->trace->signed_length,
	};

	if (facts.is_open && run->is_checked)
		runner_hear(runner, view, seat, run, &facts);
	run->facts = facts;
	run->task = run->is_checked ? due_task(&facts) : DUE_NOTHING;
}

/* What an earlier process wrote is read before anything is done with it, one code a tick: all take a while. */
static void runner_check_one(struct runner *runner)
{
	for (size_t i = 0; i < runner->count; i++) {
		struct runner_run *run = runner->runs[i];
		struct errmsg err;

		if (!run->facts.is_open || run->is_checked)
			continue;
		runner_wake(runner);
		if (trace_check_next(run->trace))
			return;
		run->is_checked = true;
		/* Codes may be there without a record of whose they are, if that was damaged. */
		if (run->trace->done > 0 && !trace_begin(run->trace, &err))
			runner_set_unwritten(run, err.text);
	}
}

static int runner_compare(const void *a, const void *b)
{
	const struct trace_run *first_run = &(*(struct runner_run *const *)a)->trace->run,
			       *second_run = &(*(struct runner_run *const *)b)->trace->run;

	if (first_run->seat_height != second_run->seat_height)
		return first_run->seat_height < second_run->seat_height ? -1 : 1;
	return memcmp(first_run->base_id, second_run->base_id, 32);
}

static void runner_add(struct runner *runner, struct trace *trace)
{
	struct runner_run *run = mem_calloc(1, sizeof *run);

	run->trace = trace;
	run->most = spec_most_segments(runner->spec, trace->run.base_height);
	runner->runs = mem_realloc(runner->runs, (runner->count + 1) * sizeof *runner->runs);
	runner->runs[runner->count++] = run;
	qsort(runner->runs, runner->count, sizeof *runner->runs, runner_compare);
}

/* A seat of ours that has no run yet gets one if there is anything to do for it. */
static void runner_meet_seat(struct runner *runner, const struct round_view *view, uint32_t seat)
{
	const struct rounds_seat *seat_block = &view->seat[seat];
	const struct rounds_run *said = &view->run[seat];
	const struct due_facts facts = {
		.next = runner_next_height(runner),
		.base = view->base,
		.work = runner->spec->round_work,
		.reveal = runner->spec->round_reveal,
		.segments = spec_most_segments(runner->spec, view->base),
		.is_open = true,
		.is_wanted = runner->is_wanted,
		.committed_length = said->length,
		.is_disclosed = said->disclosed,
	};
	struct trace_run trace_run = { .base_height = view->base, .seat_height = seat_block->height };

	if (due_task(&facts) == DUE_NOTHING || runner_find(runner, view->id, seat_block->id) != NULL ||
		!runner_owns(runner, seat_block->key))
		return;
	memcpy(trace_run.base_id, view->id, 32);
	memcpy(trace_run.seat_id, seat_block->id, 32);
	memcpy(trace_run.key, seat_block->key, 32);
	runner_add(runner, trace_new(runner->folder, &trace_run, &runner->shape));
}

/* --- commit and disclosure --- */

/* Takes the transaction. Each is offered once on each tip, as any mempool may have dropped it. */
static void runner_offer(struct runner *runner, const struct round_tx *round_tx)
{
	struct reject offer_reject = { .reason = "", .detail = "" };

	switch (chain_add_tx(runner->chain, round_tx_build(round_tx), NULL, &offer_reject)) {
	case CHAIN_NEW:
		log_info("The run of block %u is %s: segments %u", (unsigned)round_tx->height,
			round_tx->kind == ROUND_COMMIT ? "trained, and its commit sent" : "disclosed",
			(unsigned)round_tx->length);
		return;
	case CHAIN_KNOWN:
		return;
	case CHAIN_ORPHAN:
	case CHAIN_ERROR:
	case CHAIN_REJECTED:
		/* With the next block there may be room for it, or a branch that may have it. */
		log_debug(LOG_MINER, "the %s of block %u's run waits: %s (%s)",
			round_tx->kind == ROUND_COMMIT ? "commit" : "disclosure", (unsigned)round_tx->height,
			offer_reject.reason, offer_reject.detail);
		return;
	}
}

static void runner_sign(struct runner *runner, struct runner_run *run)
{
	const struct trace_run *trace_run = &run->trace->run;
	const uint32_t length = due_length(&run->facts);
	uint8_t root[32], commit_hash[32], signature[64];
	struct errmsg err;

	trace_root(run->trace, length, root);
	round_commit_hash(trace_run->base_id, trace_run->seat_id, length, root, commit_hash);
	if (!runner->keys.sign(runner->keys.context, trace_run->key, commit_hash, signature))
		return;
	if (!trace_sign(run->trace, length, signature, &err)) {
		runner_set_unwritten(run, err.text);
		return;
	}
	runner_clear_problem(run);
	run->facts.signed_length = length;
	run->task = due_task(&run->facts);
}

static void runner_commit(struct runner *runner, struct runner_run *run)
{
	struct round_tx commit = {
		.kind = ROUND_COMMIT,
		.height = run->trace->run.seat_height,
		.length = run->trace->signed_length,
	};

	trace_root(run->trace, commit.length, commit.root);
	memcpy(commit.signature, run->trace->signature, sizeof commit.signature);
	runner_offer(runner, &commit);
}

/* The bytes are the chain's to keep until a block has the disclosure; on another branch another beacon draws. */
static void runner_release_blob(struct runner *runner, struct runner_run *run)
{
	if (run->has_blob)
		chain_release_blob(runner->chain, run->blob_root);
	run->has_blob = false;
}

/* List, Q_j and the last code, as section 20 has them. False if the trace is damaged: it falls back to what is sound,
 * and is looked at anew, as its file may only not have been readable, before it is trained on from there. */
static bool runner_put_blob(const struct runner *runner, struct runner_run *run, struct buf *blob)
{
	const size_t code_size = runner->shape.code_size;
	const uint32_t length = run->facts.committed_length;
	struct errmsg err;
	uint8_t *codes;

	buf_put(blob, run->trace->digests, length * sizeof *run->trace->digests);
	codes = buf_extend(blob, 2 * code_size);
	if (run->audited == 0)
		run_start(runner_train(runner), codes);
	if ((run->audited == 0 || trace_read(run->trace, run->audited, codes, &err)) &&
		trace_read(run->trace, length, codes + code_size, &err))
		return true;
	run->is_checked = false;
	log_warn("The trace of block %u's run is good for %u segments: %s", (unsigned)run->trace->run.seat_height,
		(unsigned)run->trace->done, err.text);
	return false;
}

/* Given to the chain again each time: it may have let go of what no block had. */
static bool runner_bring_blob(struct runner *runner, struct runner_run *run)
{
	struct reject blob_reject = { .reason = "", .detail = "" };
	struct buf blob;
	bool is_made;

	if (run->has_blob && memcmp(run->blob_beacon, run->beacon, 32) != 0)
		runner_release_blob(runner, run);
	if (run->has_blob && chain_has_blob(runner->chain, run->blob_root))
		return true;
	buf_init(&blob);
	is_made = runner_put_blob(runner, run, &blob);
	if (is_made) {
		contribution_root(blob.data, blob.size, run->blob_root);
		memcpy(run->blob_beacon, run->beacon, 32);
		run->has_blob = true;
		if (chain_add_blob(runner->chain, run->blob_root, blob.data, blob.size, true, &blob_reject) ==
			CHAIN_REJECTED)
			runner_set_problem(run, blob_reject.detail);
		else
			runner_clear_problem(run);
	}
	buf_clear(&blob);
	return is_made;
}

static void runner_disclose(struct runner *runner, struct runner_run *run)
{
	struct round_tx disclosure = {
		.kind = ROUND_DISCLOSURE,
		.height = run->trace->run.seat_height,
		.length = run->facts.committed_length,
	};

	if (!runner_bring_blob(runner, run)) {
		memset(run->offered_at, 0, sizeof run->offered_at); /* not yet */
		runner_wake(runner);
		return;
	}
	memcpy(disclosure.root, run->blob_root, sizeof disclosure.root);
	runner_offer(runner, &disclosure);
}

/* What a block has disclosed belongs to the chain. Where its file is lost the trace gives the same bytes once more. */
static void runner_mend_blob(const struct runner *runner, struct runner_run *run)
{
	struct reject blob_reject = { .reason = "", .detail = "" };
	uint8_t blob_root[32];
	struct buf blob;

	if (!run->facts.is_open || !run->facts.is_disclosed || run->facts.is_foreign ||
		run->trace->done < run->facts.committed_length || runner_is_resting(run) ||
		chain_has_blob(runner->chain, run->disclosed_root))
		return;
	buf_init(&blob);
	if (runner_put_blob(runner, run, &blob)) {
		contribution_root(blob.data, blob.size, blob_root);
		if (memcmp(blob_root, run->disclosed_root, 32) == 0 &&
			chain_add_blob(runner->chain, blob_root, blob.data, blob.size, true, &blob_reject) == CHAIN_NEW)
			log_info("What the run of block %u disclosed was lost, and is here again: from its trace",
				(unsigned)run->trace->run.seat_height);
		else
			runner_set_problem(run, "what it disclosed is lost, and its trace cannot bring it back");
	}
	buf_clear(&blob);
}

/* Once on each tip: a block may have gone, and a mempool have dropped what no block had. */
static void runner_tend(struct runner *runner, struct runner_run *run)
{
	const uint8_t *tip_id = chain_tip(runner->chain)->id;
	const bool is_offered = memcmp(run->offered_at, tip_id, 32) == 0;

	runner_mend_blob(runner, run);
	if (run->task == DUE_SIGNATURE && !runner_is_resting(run))
		runner_sign(runner, run);
	if (run->task != DUE_COMMIT && run->task != DUE_DISCLOSURE) {
		/* If it is due on the same tip once more, that has been left and come back to. */
		memset(run->offered_at, 0, sizeof run->offered_at);
		return;
	}
	if (is_offered)
		return;
	memcpy(run->offered_at, tip_id, 32);
	if (run->task == DUE_COMMIT)
		runner_commit(runner, run);
	else
		runner_disclose(runner, run);
}

/* --- segments --- */

/* An answer for a base that is not wanted any more is let go, and the right one asked for by the next tick. */
static void runner_on_state(void *context, struct state *base_state)
{
	struct runner *runner = context;

	runner->is_asked = false;
	if (!runner->is_closed && base_state != NULL && memcmp(runner->asked_id, runner->base_id, 32) == 0)
		runner->base_state = base_state;
	else
		state_unref(base_state);
	if (base_state == NULL)
		runner->base_retry_at = clock_mono_ms() + RUNNER_RETRY_MS;
	runner_wake(runner);
}

/* A new reference to the state that a run starts from, which is one for all that train; NULL: it comes later. */
static struct state *runner_base_state(struct runner *runner, const struct runner_run *run)
{
	const struct index_entry *base_entry = chain_find(runner->chain, run->trace->run.base_id);

	if (memcmp(runner->base_id, run->trace->run.base_id, 32) != 0) {
		state_unref(runner->base_state);
		runner->base_state = NULL;
		memcpy(runner->base_id, run->trace->run.base_id, 32);
	}
	if (runner->base_state == NULL && !runner->is_asked && base_entry != NULL &&
		clock_mono_ms() >= runner->base_retry_at) {
		runner->is_asked = true;
		memcpy(runner->asked_id, runner->base_id, 32);
		runner->base_state = chain_state_at(runner->chain, base_entry, runner_on_state, runner);
		if (runner->base_state != NULL)
			runner->is_asked = false;
	}
	return runner->base_state != NULL ? state_ref(runner->base_state) : NULL;
}

/* The state and the workspaces are held as long as there is something to train, and no longer. */
static void runner_release_base(struct runner *runner)
{
	for (size_t i = 0; i < runner->count; i++)
		if (runner->runs[i]->task == DUE_SEGMENT)
			return;
	state_unref(runner->base_state);
	runner->base_state = NULL;
	for (unsigned i = 0; i < runner->lane_count; i++)
		if (runner->lanes[i].run == NULL)
			segment_clear(&runner->lanes[i].segment);
}

static void runner_lane_run(void *arg)
{
	struct runner_lane *lane = arg;

	segment_run(&lane->segment);
}

static void runner_take_result(struct runner_run *run, const struct segment *segment)
{
	switch (segment->result) {
	case STEP_OK:
		/* Meanwhile the trace may have fallen back to where it is sound. */
		if (segment->is_written && segment->number == run->trace->done + 1) {
			trace_add(run->trace, segment->digest);
			/* One that was damaged may have been all that was missing. */
			run->is_checked = !trace_check_next(run->trace);
			runner_clear_problem(run);
		} else if (!segment->is_written) {
			runner_set_unwritten(run, segment->err.text);
		}
		return;
	case STEP_FAILED:
		/* By protocol: whoever repeats it finds the same. The run has the segments before it, if any. */
		log_info("The run of block %u ends: its segment %u has no result",
			(unsigned)run->trace->run.seat_height, (unsigned)segment->number - 1);
		run->most = segment->number - 1;
		return;
	case STEP_MISCALCULATED:
		runner_set_problem(run, "this machine's engine computes wrongly");
		return;
	case STEP_CANCELLED:
		return;
	}
}

/* Also of a segment that was cancelled, or dropped before it began. queue_leave calls this too, when the runner closes:
 * then nothing is begun. */
static void runner_lane_done(void *arg, bool cancelled)
{
	struct runner_lane *lane = arg;
	struct runner_run *run = lane->run;

	run->is_busy = false;
	lane->run = NULL;
	if (!cancelled)
		runner_take_result(run, &lane->segment);
	segment_reset(&lane->segment);
	runner_wake(lane->runner);
}

/* All that a segment needs is gathered here, on the loop. False: nothing can be begun now. */
static bool runner_begin(struct runner_lane *lane, struct runner_run *run)
{
	struct runner *runner = lane->runner;
	struct segment *segment = &lane->segment;
	const struct index_entry *base_entry = chain_find(runner->chain, run->trace->run.base_id);
	const uint32_t number = run->trace->done;
	uint8_t seed[32];
	struct errmsg err;

	if (!trace_begin(run->trace, &err)) {
		runner_set_unwritten(run, err.text);
		return false;
	}
	segment->base = runner_base_state(runner, run);
	if (segment->base == NULL || base_entry == NULL)
		return false;
	run_seed(base_entry->ticket, run->trace->run.seat_id, seed);
	run_segment_seed(seed, number, segment->seed);
	segment->start = mem_alloc(runner->shape.code_size);
	segment->windows = chain_run_windows(runner->chain, run->dataset, segment->seed, &err);
	if (number == 0)
		run_start(runner_train(runner), segment->start);
	if (segment->windows == NULL || (number > 0 && !trace_read(run->trace, number, segment->start, &err))) {
		runner_set_problem(run, err.text);
		run->is_checked = false;
		return false;
	}
	segment->trace = run->trace;
	segment->number = number + 1;
	if (number == 0)
		log_info("The run of block %u begins", (unsigned)run->trace->run.seat_height);
	run->is_busy = true;
	lane->run = run;
	queue_post(runner->queue,
		&(struct queue_job){
			.kind = QUEUE_ATTEMPT,
			.owner = runner,
			.run = runner_lane_run,
			.done = runner_lane_done,
			.arg = lane,
		});
	return true;
}

bool runner_may_train(const struct runner *runner)
{
	struct chain_activity activity;

	chain_activity(runner->chain, &activity);
	return backend_trust() == BACKEND_TRUSTED && !(activity.initial_download && runner->spec->is_public);
}

static struct runner_run *runner_next_to_train(const struct runner *runner)
{
	for (size_t i = 0; i < runner->count; i++) {
		struct runner_run *run = runner->runs[i];

		if (run->task == DUE_SEGMENT && !run->is_busy && !runner_is_resting(run))
			return run;
	}
	return NULL;
}

/* What is not due any more ends within a moment, and makes room. */
static void runner_fill_lanes(struct runner *runner)
{
	const bool may_train = runner_may_train(runner);

	for (unsigned i = 0; i < runner->lane_count; i++) {
		struct runner_lane *lane = &runner->lanes[i];
		struct runner_run *run = lane->run != NULL || !may_train ? NULL : runner_next_to_train(runner);

		if (lane->run != NULL && lane->run->task != DUE_SEGMENT)
			atomic_store(&lane->segment.cancel, true);
		if (run != NULL && !runner_begin(lane, run))
			segment_reset(&lane->segment);
	}
}

/* --- every second, and with every tip --- */

/* One at a time: which of several is the most urgent says the deadline, and that the others follow. */
static void runner_warn(const struct runner *runner)
{
	const struct runner_run *urgent_run = NULL;

	for (size_t i = 0; i < runner->count; i++) {
		const struct runner_run *run = runner->runs[i];

		/* Who cannot write a signature may have an open wallet: the disk's warning tells that. */
		if ((run->task != DUE_SIGNATURE || run->is_unwritten) &&
			!(run->task == DUE_SEGMENT && run->facts.committed_length > 0))
			continue;
		if (urgent_run == NULL || due_deadline(&run->facts) < due_deadline(&urgent_run->facts))
			urgent_run = run;
	}
	if (urgent_run == NULL)
		warning_clear(WARNING_RUNS);
	else if (urgent_run->task == DUE_SIGNATURE)
		warning_set(WARNING_RUNS,
			"The run of block %u is trained and waits for its wallet to be unlocked (walletpassphrase), "
			"which has to sign: until block %u",
			(unsigned)urgent_run->trace->run.seat_height, (unsigned)due_deadline(&urgent_run->facts));
	else
		warning_set(WARNING_RUNS,
			"The run of block %u is committed to and its trace is not here: it is trained again, and what "
			"the block earned is lost unless that is done by block %u",
			(unsigned)urgent_run->trace->run.seat_height, (unsigned)due_deadline(&urgent_run->facts));
}

static void runner_warn_of_disk(const struct runner *runner)
{
	const struct runner_run *unwritten_run = NULL;

	for (size_t i = runner->count; i-- > 0;)
		if (runner->runs[i]->is_unwritten && runner->runs[i]->facts.is_open)
			unwritten_run = runner->runs[i];
	if (unwritten_run == NULL)
		warning_clear(WARNING_TRACES);
	else
		warning_set(WARNING_TRACES, "The run of block %u does not go on, as its trace cannot be written: %s",
			(unsigned)unwritten_run->trace->run.seat_height, unwritten_run->problem);
}

static void runner_drop(struct runner *runner, size_t index)
{
	struct runner_run *run = runner->runs[index];

	runner_release_blob(runner, run);
	trace_remove(run->trace);
	runner_clear_problem(run);
	free(run);
	runner->count--;
	memmove(&runner->runs[index], &runner->runs[index + 1], (runner->count - index) * sizeof *runner->runs);
}

/* Of other branches too: by then they will not come back. */
static void runner_drop_old(struct runner *runner)
{
	for (size_t i = runner->count; i-- > 0;) {
		const struct runner_run *run = runner->runs[i];

		if (!run->is_busy &&
			chain_tip(runner->chain)->height >=
				run->trace->run.base_height + runner->spec->round_blocks + RUNNER_KEEP)
			runner_drop(runner, i);
	}
}

/* First all that depends on the branch, then what may change it. */
static void runner_work(struct runner *runner)
{
	struct round_view view;
	const bool is_there = registry_round_view(chain_registry(runner->chain), &view);

	/* Of a chain that is being fetched every round would leave folders behind. */
	for (uint32_t seat = 0; is_there && runner_may_train(runner) && seat < view.seats; seat++)
		runner_meet_seat(runner, &view, seat);
	for (size_t i = 0; i < runner->count; i++)
		runner_look_at_run(runner, is_there ? &view : NULL, runner->runs[i]);
	if (runner->missed > 0)
		log_info("The round from block %u on: seats of this node that stay empty: %u (getruns tells why)",
			(unsigned)view.base, runner->missed);
	runner->missed = 0;
	runner_check_one(runner);
	runner_fill_lanes(runner);
	for (size_t i = 0; i < runner->count; i++)
		runner_tend(runner, runner->runs[i]);
	runner_release_base(runner);
	runner_warn(runner);
	runner_warn_of_disk(runner);
	runner_drop_old(runner);
}

static void runner_on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	runner_work(arg);
}

/* Perhaps one that a run of this node's own has disclosed. */
static void runner_on_blob_wanted(void *context, const uint8_t root[32], uint64_t size, uint64_t source)
{
	(void)root;
	(void)size;
	(void)source;
	runner_wake(context);
}

/* A callback of the chain is no place to begin new things in. */
static void runner_on_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	runner_wake(context);
}

/* --- beginning, end, and what can be asked --- */

static void runner_load_traces(struct runner *runner)
{
	size_t trace_count;
	struct trace **traces = trace_load_all(runner->folder, &runner->shape, &trace_count);

	for (size_t i = 0; i < trace_count; i++)
		runner_add(runner, traces[i]);
	free(traces);
}

static void runner_open(struct runner *runner, const struct runner_options *options)
{
	runner->tick = loop_tick_new(options->base, runner_on_tick, runner);
	runner->shape = (struct trace_shape){ .segments = runner->spec->segments,
		.code_size = run_code_size(runner_train(runner)) };
	runner_load_traces(runner);
	runner->lane_count = options->threads;
	runner->lanes = mem_calloc(runner->lane_count, sizeof *runner->lanes);
	for (unsigned i = 0; i < runner->lane_count; i++) {
		runner->lanes[i].runner = runner;
		segment_init(&runner->lanes[i].segment, runner->spec);
	}
	chain_subscribe(runner->chain,
		&(struct chain_events){ .context = runner,
			.tip = runner_on_tip,
			.blob_wanted = runner_on_blob_wanted });
	runner_wake(runner);
}

struct runner *runner_new(const struct runner_options *options)
{
	struct runner *runner = mem_calloc(1, sizeof *runner);

	runner->chain = options->chain;
	runner->spec = chain_spec(options->chain);
	runner->queue = options->queue;
	runner->keys = options->keys;
	runner->folder = mem_strdup(options->folder);
	runner->is_wanted = options->is_wanted;
	if (runner->spec->round_blocks > 0)
		runner_open(runner, options);
	return runner;
}

void runner_close(struct runner *runner)
{
	runner->is_closed = true;
	for (unsigned i = 0; i < runner->lane_count; i++)
		atomic_store(&runner->lanes[i].segment.cancel, true);
	queue_leave(runner->queue, runner);
	for (unsigned i = 0; i < runner->lane_count; i++)
		segment_clear(&runner->lanes[i].segment);
	if (runner->tick != NULL)
		event_free(runner->tick);
	state_unref(runner->base_state);
	runner->base_state = NULL;
}

void runner_free(struct runner *runner)
{
	for (size_t i = 0; i < runner->count; i++) {
		trace_free(runner->runs[i]->trace);
		runner_clear_problem(runner->runs[i]);
		free(runner->runs[i]);
	}
	free(runner->runs);
	free(runner->lanes);
	free(runner->folder);
	free(runner);
}

static enum runner_stage runner_stage(const struct runner *runner, const struct runner_run *run)
{
	static const enum runner_stage due_stages[] = {
		[DUE_SEGMENT] = RUNNER_TRAINING,
		[DUE_SIGNATURE] = RUNNER_LOCKED,
		[DUE_COMMIT] = RUNNER_COMMITTING,
		[DUE_DISCLOSURE] = RUNNER_DISCLOSING,
	};
	const struct trace_run *trace_run = &run->trace->run;
	const struct index_entry *base_entry = chain_find(runner->chain, trace_run->base_id);

	if (base_entry == NULL || !chain_is_active(runner->chain, base_entry))
		return RUNNER_OTHER_BRANCH;
	if (!run->facts.is_open)
		return RUNNER_OVER;
	if (run->facts.is_disclosed)
		return RUNNER_DISCLOSED;
	if (run->most == 0)
		return RUNNER_FAILED;
	if (!run->is_checked || (run->task == DUE_SIGNATURE && run->is_unwritten))
		return RUNNER_TRAINING;
	if (run->task != DUE_NOTHING)
		return due_stages[run->task];
	return run->facts.committed_length > 0 && run->facts.next <= due_deadline(&run->facts) ? RUNNER_COMMITTED :
												 RUNNER_MISSED;
}

const char *runner_stage_name(enum runner_stage stage)
{
	static const char *const stage_names[] = {
		[RUNNER_OTHER_BRANCH] = "other branch",
		[RUNNER_TRAINING] = "training",
		[RUNNER_FAILED] = "failed",
		[RUNNER_LOCKED] = "wallet locked",
		[RUNNER_COMMITTING] = "committing",
		[RUNNER_COMMITTED] = "committed",
		[RUNNER_DISCLOSING] = "disclosing",
		[RUNNER_DISCLOSED] = "disclosed",
		[RUNNER_MISSED] = "missed",
		[RUNNER_OVER] = "over",
	};

	return stage_names[stage];
}

bool runner_owns(const struct runner *runner, const uint8_t key[32])
{
	return runner->keys.owns(runner->keys.context, key);
}

size_t runner_count(const struct runner *runner)
{
	return runner->count;
}

void runner_look(const struct runner *runner, size_t index, struct runner_info *info)
{
	const struct runner_run *run = runner->runs[index];
	const uint32_t length = due_length(&run->facts);

	*info = (struct runner_info){ .trace = run->trace,
		.stage = runner_stage(runner, run),
		.length = run->trace->done >= length ? length : 0,
		.dataset = run->facts.is_open ? run->dataset : 0,
		.is_working = run->is_busy,
		.deadline = run->task != DUE_NOTHING ? due_deadline(&run->facts) : 0,
		.problem = run->problem };
	for (unsigned i = 0; i < runner->lane_count; i++)
		if (runner->lanes[i].run == run)
			info->iterations = atomic_load(&runner->lanes[i].segment.iterations_done);
}

struct trace *runner_trace(const struct runner *runner, const uint8_t base_id[32], const uint8_t seat_id[32])
{
	struct runner_run *run = runner_find(runner, base_id, seat_id);

	return run != NULL ? run->trace : NULL;
}
