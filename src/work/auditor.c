/* Audits: what is executed again, and how it compares with what the chain states. */
#include "work/auditor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

struct audit {
	struct audit *next;
	struct auditor *auditor;
	size_t only;            /* index of the one proof wanted, or SIZE_MAX */
	struct verify_job *job; /* NULL until the parent's state is there */
	bool begun;
	struct verdict verdict; /* of the update; state and all */
	struct audit_report report;
	auditor_done *done;
	void *context;
};

struct auditor {
	struct chain *chain;
	struct queue *queue;
	struct audit *audits; /* all that are not answered; a state asked for may still come to them */
	struct event *begin;  /* starts those that are new */
	bool closed;
};

static void audit_release(struct audit *audit)
{
	if (audit->job != NULL) {
		verify_job_clear(audit->job);
		free(audit->job);
		audit->job = NULL;
	}
	state_unref(audit->verdict.state);
	audit->verdict.state = NULL;
}

/* Unlinked first: `done` may ask for the next audit. */
static void audit_answer(struct audit *audit)
{
	struct audit **at = &audit->auditor->audits;

	while (*at != audit)
		at = &(*at)->next;
	*at = audit->next;
	audit_release(audit);
	audit->done(audit->context, &audit->report);
	free(audit->report.proofs);
	free(audit);
}

static void audit_fail(struct audit *audit, const char *why)
{
	snprintf(audit->report.error, sizeof audit->report.error, "%s", why);
	audit->report.closing = audit->auditor->closed;
	audit_answer(audit);
}

/* On the worker. Every proof is executed, whatever the chain keeps of it; then the update, which needs them all right.
 */
static void audit_run(void *arg)
{
	struct audit *audit = arg;
	struct verify_job *job = audit->job;
	struct audit_report *report = &audit->report;

	report->proofs_right = true;
	for (size_t i = 0; i < report->proof_count && !atomic_load(&job->cancel); i++) {
		struct audit_proof *proof = &report->proofs[i];
		struct reject reject = { 0 };

		proof->right = verify_one(job->spec, job->parent,
			&job->proofs[audit->only == SIZE_MAX ? i : audit->only], 1, &job->cancel, proof->found,
			&reject);
		snprintf(proof->detail, sizeof proof->detail, "%s", proof->right ? "" : reject.detail);
		report->proofs_right = report->proofs_right && proof->right;
	}
	if (audit->only == SIZE_MAX && report->proofs_right && !atomic_load(&job->cancel))
		verify_run(job, &audit->verdict);
}

/* The coinbase of the active child states the outcome; its header, the root. */
static void read_statement(struct chain *chain, struct audit_report *report)
{
	const struct index_entry *entry = report->entry;
	const struct index_entry *child = chain_is_active(chain, entry) ? chain_at(chain, entry->height + 1) : NULL;
	const struct block *block = child == NULL ? NULL : chain_read_bare(chain, child, NULL);
	uint32_t slots = chain_spec(chain)->slots;

	if (block != NULL) {
		const struct tx *coinbase = block->txs[0];

		report->has_stated = coinbase->output_count > 0 &&
			outcome_parse(&coinbase->outputs[coinbase->output_count - 1].script, slots, &report->stated);
		memcpy(report->stated_root, child->header.model_root, 32);
		block_unref(block);
		return;
	}
	report->stated = entry->outcome.outcome;
	report->has_stated = true;
	memcpy(report->stated_root, entry->model_root_after, 32);
}

static bool outcomes_agree(const struct outcome *stated, const struct outcome *found)
{
	if (stated->is_void || found->is_void)
		return stated->is_void == found->is_void;
	if (stated->slots != found->slots)
		return false;
	for (uint32_t s = 0; s < found->slots; s++) {
		bool some = found->slot[s].count > 0;

		if ((stated->slot[s].count > 0) != some)
			return false;
		if (some &&
			(stated->slot[s].left_out != found->slot[s].left_out ||
				stated->slot[s].value != found->slot[s].value))
			return false;
	}
	return true;
}

/* An audit in which an engine proved wrong was cancelled by itself (consensus/verify.h): the node is about to end then.
 */
static void audit_done(void *arg, bool cancelled)
{
	struct audit *audit = arg;
	struct audit_report *report = &audit->report;

	if (cancelled || audit->auditor->closed || atomic_load(&audit->job->cancel)) {
		audit_fail(audit, "the node is shutting down");
		return;
	}
	report->valid = report->proofs_right;
	if (audit->only == SIZE_MAX && report->proofs_right) {
		const struct verdict *verdict = &audit->verdict;

		if (!verdict->valid || verdict->state == NULL) {
			audit_fail(audit, verdict->reject.detail);
			return;
		}
		report->whole = true;
		report->found = verdict->outcome;
		memcpy(report->found_root, state_root(verdict->state), 32);
		read_statement(audit->auditor->chain, report);
		report->outcome_right = report->has_stated && outcomes_agree(&report->stated, &report->found);
		report->root_right = memcmp(report->found_root, report->stated_root, 32) == 0;
		report->valid = report->outcome_right && report->root_right;
	}
	if (!report->valid)
		log_warn("audit of block %u found a difference", report->entry->height);
	audit_answer(audit);
}

static void fill_proofs(struct audit *audit)
{
	const struct verify_job *job = audit->job;
	struct audit_report *report = &audit->report;
	bool one = audit->only != SIZE_MAX;

	report->proof_count = one ? 1 : job->proof_count;
	report->proofs = mem_calloc(report->proof_count, sizeof *report->proofs);
	for (size_t i = 0; i < report->proof_count; i++) {
		const struct verify_proof *from = &job->proofs[one ? audit->only : i];
		struct audit_proof *to = &report->proofs[i];

		to->header = from->header;
		memcpy(to->id, from->id, 32);
		memcpy(to->seed, from->seed, 32);
		to->slot = from->slot;
		to->dataset = report->entry->outcome.dataset[from->slot];
	}
}

/* The parent's state, a reference of ours. */
static void on_state(void *context, struct state *state)
{
	struct audit *audit = context;
	struct auditor *auditor = audit->auditor;
	struct errmsg err = { "" };

	if (state == NULL || auditor->closed) {
		state_unref(state);
		audit_fail(audit,
			auditor->closed ? "the node is shutting down" :
					  "the model state before the block cannot be had");
		return;
	}
	audit->job = chain_audit_job(auditor->chain, audit->report.entry, state, &err);
	state_unref(state);
	if (audit->job == NULL) {
		audit_fail(audit, err.text);
		return;
	}
	if (audit->only != SIZE_MAX && audit->only >= audit->job->proof_count) {
		audit_fail(audit, "the block has fewer proofs");
		return;
	}
	fill_proofs(audit);
	queue_post(auditor->queue,
		&(struct queue_job){
			.kind = QUEUE_AUDIT,
			.owner = auditor,
			.run = audit_run,
			.done = audit_done,
			.arg = audit,
		});
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct auditor *auditor = arg;

	(void)fd;
	(void)what;
	/* The list may change with every audit that is answered at once: begin again until none is new. */
	for (struct audit *audit = auditor->audits; audit != NULL;) {
		struct state *state;

		if (audit->begun) {
			audit = audit->next;
			continue;
		}
		audit->begun = true;
		state = chain_state_at(auditor->chain, audit->report.entry->parent, on_state, audit);
		if (state != NULL)
			on_state(audit, state);
		audit = auditor->audits;
	}
}

struct auditor *auditor_new(struct chain *chain, struct queue *queue, struct event_base *base)
{
	struct auditor *auditor = mem_calloc(1, sizeof *auditor);

	auditor->chain = chain;
	auditor->queue = queue;
	auditor->begin = mem_check(event_new(base, -1, 0, on_begin, auditor));
	return auditor;
}

void auditor_close(struct auditor *auditor)
{
	auditor->closed = true;
	for (struct audit *audit = auditor->audits; audit != NULL; audit = audit->next) {
		if (audit->job != NULL)
			atomic_store(&audit->job->cancel, true);
	}
	queue_leave(auditor->queue, auditor);
	event_free(auditor->begin);
}

void auditor_free(struct auditor *auditor)
{
	/* What still waited for a state when the chain closed. */
	while (auditor->audits != NULL)
		audit_fail(auditor->audits, "the node is shutting down");
	free(auditor);
}

static void audit_add(struct auditor *auditor, const struct index_entry *entry, size_t only, auditor_done *done,
	void *context)
{
	struct audit *audit = mem_calloc(1, sizeof *audit), **last = &auditor->audits;

	audit->auditor = auditor;
	audit->only = only;
	audit->report.entry = entry;
	audit->done = done;
	audit->context = context;
	while (*last != NULL)
		last = &(*last)->next;
	*last = audit;
	event_active(auditor->begin, EV_TIMEOUT, 0);
}

void auditor_block(struct auditor *auditor, const struct index_entry *entry, auditor_done *done, void *context)
{
	audit_add(auditor, entry, SIZE_MAX, done, context);
}

void auditor_proof(struct auditor *auditor, const struct index_entry *entry, size_t index, auditor_done *done,
	void *context)
{
	audit_add(auditor, entry, index, done, context);
}
