/* Audits of runs: from which code on, segment after segment. */
#include "work/run_auditor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/blob/round_blob.h"
#include "consensus/payload/contribution.h"
#include "crypto/hash.h"
#include "ml/run.h"
#include "util/log.h"
#include "util/mem.h"

/* Blocks below the tip that a round's record is looked for: it is derived by taking back all that lies above. */
enum { RUN_AUDIT_DEPTH = 2016 };

struct run_audit {
	struct run_audit *next;
	struct run_auditor *auditor;
	int64_t asked;
	bool challenges;
	bool is_begun;
	const struct index_entry *base;
	uint8_t seed[32]; /* of the run */
	uint8_t *digests; /* d_1 .., `known` of them */
	uint32_t known, from, wanted;
	struct state *state;
	uint8_t *code; /* what the next segment starts from */
	/* Of the segment in hand */
	uint8_t *windows, *result_code;
	struct run_audit_segment segment;
	enum step_result result;
	atomic_bool cancel;
	struct run_audit_report report;
	run_audit_done *done;
	void *context;
};

struct run_auditor {
	struct chain *chain;
	struct queue *queue;
	const struct runner *runner;
	enum queue_kind kind;
	struct run_audit *audits; /* all that are not answered */
	struct event *begin;      /* starts those that are new */
	bool is_closed;
	struct errmsg last_words; /* once it is: the chain goes first */
};

static const struct spec *run_audit_spec(const struct run_audit *audit)
{
	return chain_spec(audit->auditor->chain);
}

static const struct train_config *run_audit_train(const struct run_audit *audit)
{
	return &spec_course(run_audit_spec(audit))->train;
}

/* Unlinked first: `done` may ask for the next. */
static void run_audit_answer(struct run_audit *audit)
{
	struct run_audit **audit_link = &audit->auditor->audits;

	while (*audit_link != audit)
		audit_link = &(*audit_link)->next;
	*audit_link = audit->next;
	audit->done(audit->context, &audit->report);
	state_unref(audit->state);
	free(audit->report.segments);
	free(audit->digests);
	free(audit->code);
	free(audit->windows);
	free(audit->result_code);
	free(audit);
}

static void run_audit_fail(struct run_audit *audit, const char *why)
{
	snprintf(audit->report.error, sizeof audit->report.error, "%s",
		audit->auditor->is_closed ? audit->auditor->last_words.text : why);
	run_audit_answer(audit);
}

/* --- what there is to start from --- */

/* The code after so many segments, if it lies nearer to the one that is wanted. */
static bool run_audit_is_nearer(const struct run_audit *audit, uint32_t number)
{
	return number <= audit->wanted && (audit->code == NULL || number > audit->from);
}

static void run_audit_start_from(struct run_audit *audit, uint32_t number, const uint8_t *code)
{
	free(audit->code);
	audit->code = mem_dup(code, run_code_size(run_audit_train(audit)));
	audit->from = number;
}

static void run_audit_use_trace(struct run_audit *audit, struct trace *trace)
{
	uint8_t *code = mem_alloc(trace->shape.code_size);
	const uint32_t number = trace->done < audit->wanted ? trace->done : audit->wanted;

	if (number > 0 && run_audit_is_nearer(audit, number) && trace_read(trace, number, code, NULL))
		run_audit_start_from(audit, number, code);
	free(code);
}

static void run_audit_use_zeros(struct run_audit *audit)
{
	uint8_t *code = mem_alloc(run_code_size(run_audit_train(audit)));

	run_start(run_audit_train(audit), code);
	if (run_audit_is_nearer(audit, 0))
		run_audit_start_from(audit, 0, code);
	free(code);
}

/* What is asked for, once it is known what is stated; false: it cannot be. */
static bool run_audit_choose(struct run_audit *audit, int64_t drawn, struct errmsg *err)
{
	const int64_t chosen = audit->asked != RUN_AUDIT_DRAWN ? audit->asked : drawn;

	if (chosen < 0 || chosen >= audit->known)
		return errmsg_set(err, "This segment of the run is not known: it has stated %u, counted from 0",
			(unsigned)audit->known);
	audit->wanted = (uint32_t)chosen;
	return true;
}

/* The disclosure is what the chain goes by; before it there is the trace alone. */
static bool run_audit_take_disclosed(struct run_audit *audit, const struct round_view *view, uint32_t seat,
	struct errmsg *err)
{
	const struct spec *spec = run_audit_spec(audit);
	const uint32_t drawn = round_audited(view, seat), length = view->run[seat].length;
	struct chain *chain = audit->auditor->chain;
	const size_t list_size = (size_t)length * 32;
	struct buf blob;
	bool is_taken;

	buf_init(&blob);
	is_taken = (chain_blob_size(chain, view->run[seat].blob) == round_blob_size(spec, ROUND_DISCLOSURE, length) ||
			   errmsg_set(err, "The blob of the disclosure is not here, or has another size")) &&
		chain_read_piece(chain, view->run[seat].blob, 0, list_size + round_code_size(spec), &blob, err);
	if (is_taken) {
		audit->digests = mem_dup(blob.data, list_size);
		audit->known = length;
		is_taken = run_audit_choose(audit, drawn, err);
	}
	if (is_taken && run_audit_is_nearer(audit, drawn))
		run_audit_start_from(audit, drawn, blob.data + list_size);
	buf_clear(&blob);
	return is_taken;
}

static bool run_audit_take_own(struct run_audit *audit, struct trace *trace, struct errmsg *err)
{
	audit->digests = mem_dup(trace->digests, (size_t)trace->done * 32);
	audit->known = trace->done;
	return run_audit_choose(audit, (int64_t)trace->done - 1, err);
}

/* The round as the branch has it now, or had it before it was merged; it holds the seat. */
static bool run_audit_view(struct run_audit *audit, struct round_view *view, struct errmsg *err)
{
	const struct spec *spec = run_audit_spec(audit);
	struct chain *chain = audit->auditor->chain;
	const uint32_t tip_height = chain_tip(chain)->height;
	const uint32_t seat_height = audit->report.seat_height;
	const struct registry *registry;
	uint32_t last;

	if (spec->round_blocks == 0)
		return errmsg_set(err, "This chain has no rounds");
	if (seat_height > tip_height)
		return errmsg_set(err, "There is no block of this height: the newest has %u", (unsigned)tip_height);
	audit->report.base_height = (seat_height + spec->round_blocks - 1) / spec->round_blocks * spec->round_blocks;
	last = audit->report.base_height + spec->round_blocks - 1;
	if (seat_height == 0 || audit->report.base_height > tip_height)
		return errmsg_set(err, "The round of this block's seat has not begun: it begins after block %u",
			(unsigned)audit->report.base_height);
	if (tip_height - audit->report.base_height > RUN_AUDIT_DEPTH)
		return errmsg_set(err, "The round lies too far back");
	if (chain_is_pruned(chain, audit->report.base_height + 1, err))
		return false;
	registry = chain_registry_at(chain, chain_at(chain, last < tip_height ? last : tip_height), err);
	audit->base = chain_at(chain, audit->report.base_height);
	return registry != NULL &&
		(registry_round_view(registry, view) || errmsg_set(err, "The branch has no such round"));
}

static bool run_audit_prepare(struct run_audit *audit, struct errmsg *err)
{
	struct round_view view;
	struct trace *trace;
	uint32_t seat;

	if (!run_audit_view(audit, &view, err))
		return false;
	seat = audit->report.seat_height - (view.base - view.seats + 1);
	trace = runner_trace(audit->auditor->runner, view.id, view.seat[seat].id);
	audit->report.dataset = view.run[seat].dataset;
	audit->report.is_own = trace != NULL;
	audit->report.is_disclosed = view.run[seat].disclosed;
	memcpy(audit->report.blob, view.run[seat].blob, 32);
	run_seed(view.ticket, view.seat[seat].id, audit->seed);
	if (!view.run[seat].disclosed && trace == NULL)
		return errmsg_set(err, "The run is neither disclosed nor this node's own");
	if (!(view.run[seat].disclosed ? run_audit_take_disclosed(audit, &view, seat, err) :
					 run_audit_take_own(audit, trace, err)))
		return false;
	if (trace != NULL)
		run_audit_use_trace(audit, trace);
	run_audit_use_zeros(audit);
	return true;
}

/* --- executing --- */

static void run_audit_run(void *arg)
{
	struct run_audit *audit = arg;
	const struct train_config *train = run_audit_train(audit);
	const struct run_segment segment = {
		.base = audit->state,
		.segment_seed = audit->segment.seed,
		.start = audit->code,
		.windows = audit->windows,
		.checked = true,
		.cancel = &audit->cancel,
	};
	struct backend *backend;

	audit->result = STEP_FAILED;
	if (!run_code_check(train, audit->code, run_code_size(train)))
		return;
	backend = backend_new(backend_selected(), train, 1);
	audit->result = run_execute(backend, &segment, audit->result_code);
	if (audit->result == STEP_OK)
		sha256(audit->segment.found, audit->result_code, run_code_size(train));
	if (audit->result == STEP_MISCALCULATED)
		backend_distrust(backend->kind, "a product is wrong");
	backend_free(backend);
}

static void run_audit_next(struct run_audit *audit);

static void run_audit_record(struct run_audit *audit)
{
	struct run_audit_report *report = &audit->report;

	audit->segment.is_right = audit->result == STEP_OK &&
		memcmp(audit->segment.found, audit->segment.expected, 32) == 0;
	report->segments = mem_realloc(report->segments, (report->count + 1) * sizeof *report->segments);
	report->segments[report->count++] = audit->segment;
	report->is_valid = audit->segment.is_right;
}

/* With the code that the false segment starts from, which is the one a digest of was disclosed: nobody would believe
 * another. */
static void run_audit_doubt(struct run_audit *audit)
{
	struct run_audit_report *report = &audit->report;
	const uint32_t number = audit->segment.number;
	uint8_t stated[32], start[32];

	log_warn("audit of the run of block %u found a difference: segment %u", (unsigned)report->seat_height,
		(unsigned)number);
	round_blob_digest(run_audit_spec(audit), audit->digests, number, stated);
	sha256(start, audit->code, run_code_size(run_audit_train(audit)));
	if (!report->is_disclosed || report->is_own || memcmp(start, stated, 32) != 0)
		return;
	report->start = audit->code;
	if (audit->challenges)
		report->is_challenged = run_auditor_challenge(audit->auditor->chain, report->seat_height, number,
			audit->code, report->challenge);
}

static void run_audit_on_done(void *arg, bool cancelled)
{
	struct run_audit *audit = arg;
	uint8_t *spent_code = audit->code;

	if (cancelled || audit->auditor->is_closed || audit->result == STEP_CANCELLED) {
		run_audit_fail(audit, "it was cancelled");
		return;
	}
	if (audit->result == STEP_MISCALCULATED) {
		run_audit_fail(audit, "this machine's engine computes wrongly: ask again");
		return;
	}
	run_audit_record(audit);
	if (!audit->segment.is_right || audit->segment.number == audit->wanted) {
		if (!audit->segment.is_right)
			run_audit_doubt(audit);
		run_audit_answer(audit);
		return;
	}
	audit->code = audit->result_code;
	audit->result_code = spent_code;
	audit->from++;
	run_audit_next(audit);
}

/* All is in memory but the windows, which the loop gathers one segment at a time. */
static void run_audit_next(struct run_audit *audit)
{
	struct run_audit_segment *segment = &audit->segment;
	struct errmsg err = { "" };

	*segment = (struct run_audit_segment){ .number = audit->from };
	memcpy(segment->expected, audit->digests + (size_t)audit->from * 32, 32);
	run_segment_seed(audit->seed, audit->from, segment->seed);
	free(audit->windows);
	audit->windows = chain_run_windows(audit->auditor->chain, audit->report.dataset, segment->seed, &err);
	if (audit->windows == NULL) {
		run_audit_fail(audit, err.text);
		return;
	}
	queue_post(audit->auditor->queue,
		&(struct queue_job){
			.kind = audit->auditor->kind,
			.owner = audit->auditor,
			.run = run_audit_run,
			.done = run_audit_on_done,
			.arg = audit,
		});
}

static void run_audit_on_state(void *context, struct state *base_state)
{
	struct run_audit *audit = context;

	audit->state = base_state;
	if (base_state == NULL || audit->auditor->is_closed) {
		run_audit_fail(audit, "the model state that the run starts from cannot be had");
		return;
	}
	audit->result_code = mem_alloc(run_code_size(run_audit_train(audit)));
	run_audit_next(audit);
}

static void run_audit_begin(struct run_audit *audit)
{
	struct errmsg err = { "" };
	struct state *base_state;

	audit->is_begun = true;
	if (!run_audit_prepare(audit, &err)) {
		run_audit_fail(audit, err.text);
		return;
	}
	base_state = chain_state_at(audit->auditor->chain, audit->base, run_audit_on_state, audit);
	if (base_state != NULL)
		run_audit_on_state(audit, base_state);
}

/* The list may change with every audit that is answered at once: begin again until none is new. */
static void run_auditor_on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct run_auditor *auditor = arg;
	struct run_audit *audit = auditor->audits;

	(void)fd;
	(void)what;
	while (audit != NULL) {
		if (audit->is_begun) {
			audit = audit->next;
			continue;
		}
		run_audit_begin(audit);
		audit = auditor->audits;
	}
}

/* --- beginning and end --- */

struct run_auditor *run_auditor_new(struct chain *chain, struct queue *queue, struct event_base *base,
	const struct runner *runner, enum queue_kind kind)
{
	struct run_auditor *auditor = mem_calloc(1, sizeof *auditor);

	auditor->chain = chain;
	auditor->queue = queue;
	auditor->runner = runner;
	auditor->kind = kind;
	auditor->begin = mem_check(event_new(base, -1, 0, run_auditor_on_begin, auditor));
	return auditor;
}

void run_auditor_close(struct run_auditor *auditor)
{
	auditor->is_closed = true;
	errmsg_set(&auditor->last_words, "%s", chain_last_words(auditor->chain));
	for (struct run_audit *audit = auditor->audits; audit != NULL; audit = audit->next)
		atomic_store(&audit->cancel, true);
	queue_leave(auditor->queue, auditor);
	event_free(auditor->begin);
}

void run_auditor_free(struct run_auditor *auditor)
{
	/* What still waited for a state when the chain closed. */
	while (auditor->audits != NULL)
		run_audit_fail(auditor->audits, "the node is shutting down");
	free(auditor);
}

void run_auditor_ask(struct run_auditor *auditor, const struct run_audit_order *order, run_audit_done *done,
	void *context)
{
	struct run_audit *audit = mem_calloc(1, sizeof *audit), **last_audit = &auditor->audits;

	audit->auditor = auditor;
	audit->asked = order->segment;
	audit->challenges = order->challenges;
	audit->report.seat_height = order->seat_height;
	audit->done = done;
	audit->context = context;
	while (*last_audit != NULL)
		last_audit = &(*last_audit)->next;
	*last_audit = audit;
	event_active(auditor->begin, EV_TIMEOUT, 0);
}

void run_auditor_cancel(struct run_auditor *auditor, const void *context)
{
	for (struct run_audit *audit = auditor->audits; audit != NULL; audit = audit->next)
		if (audit->context == context)
			atomic_store(&audit->cancel, true);
}

bool run_auditor_challenge(struct chain *chain, uint32_t seat_height, uint32_t segment, const uint8_t *code,
	uint8_t txid[32])
{
	const size_t code_size = round_code_size(chain_spec(chain));
	struct round_tx challenge = { .kind = ROUND_CHALLENGE, .height = seat_height, .segment = segment };
	struct reject challenge_reject = { .reason = "", .detail = "" };
	const struct tx *tx;
	enum chain_result sent;

	contribution_root(code, code_size, challenge.root);
	tx = round_tx_build(&challenge);
	memcpy(txid, tx_txid(tx), 32);
	/* First who needs the bytes, then the bytes. */
	sent = chain_add_tx(chain, tx, NULL, &challenge_reject);
	if (sent == CHAIN_KNOWN)
		return true;
	chain_add_blob(chain, challenge.root, code, code_size, false, &challenge_reject);
	if (sent == CHAIN_REJECTED || sent == CHAIN_ERROR)
		log_info("Segment %u of the run of block %u is false: a challenge is refused, %s", (unsigned)segment,
			(unsigned)seat_height, challenge_reject.reason);
	else
		log_info("Segment %u of the run of block %u is false: challenged", (unsigned)segment,
			(unsigned)seat_height);
	return sent != CHAIN_REJECTED && sent != CHAIN_ERROR;
}
