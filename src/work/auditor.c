/* Audits: what is executed again, and how it compares with what the chain states. */
#include "work/auditor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/coinbase.h"
#include "util/log.h"
#include "util/mem.h"

struct audit {
	struct audit *next;
	struct auditor *auditor;
	size_t only;               /* index of the one proof wanted, or SIZE_MAX */
	struct chain_audit *given; /* NULL until the parent's state is there */
	struct errmsg unread;      /* what of it could not be read; "": all was */
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
	if (audit->given != NULL)
		chain_audit_free(audit->given);
	audit->given = NULL;
	state_unref(audit->verdict.state);
	audit->verdict.state = NULL;
}

/* Unlinked first: `done` may ask for the next audit. */
static void audit_answer(struct audit *audit)
{
	struct audit **audit_link = &audit->auditor->audits;

	while (*audit_link != audit)
		audit_link = &(*audit_link)->next;
	*audit_link = audit->next;
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

/* On the worker, which reads first what may be gigabytes. Every proof is executed, whatever the chain keeps of it; then
 * the update, which needs them all right. */
static void audit_run(void *arg)
{
	struct audit *audit = arg;
	struct verify_job *job = chain_audit_job(audit->given);
	struct audit_report *audit_report = &audit->report;

	if (!chain_audit_read(audit->given, &audit->unread))
		return;
	audit_report->proofs_right = true;
	for (size_t i = 0; i < audit_report->proof_count && !atomic_load(&job->cancel); i++) {
		struct audit_proof *audit_proof = &audit_report->proofs[i];
		struct reject audit_reject = { 0 };

		audit_proof->right = verify_one(job->spec, job->parent,
			&job->proofs[audit->only == SIZE_MAX ? i : audit->only], 1, &job->cancel, audit_proof->found,
			&audit_reject);
		snprintf(audit_proof->detail, sizeof audit_proof->detail, "%s",
			audit_proof->right ? "" : audit_reject.detail);
		audit_report->proofs_right = audit_report->proofs_right && audit_proof->right;
	}
	if (audit->only == SIZE_MAX && audit_report->proofs_right && !atomic_load(&job->cancel))
		verify_run(job, &audit->verdict);
}

/* The coinbase of the active child states the outcome; its header, the root. */
static void audit_read_statement(struct chain *chain, struct audit_report *audit_report)
{
	const struct index_entry *audited = audit_report->entry;
	const struct index_entry *child = chain_is_active(chain, audited) ? chain_at(chain, audited->height + 1) : NULL;
	const struct block *audited_child = child == NULL ? NULL : chain_read_bare(chain, child, NULL);
	uint32_t audited_slots = chain_spec(chain)->slots;
	struct block_outcome outcome;

	if (audited_child != NULL) {
		const struct tx *audited_coinbase = audited_child->txs[0];
		struct coinbase_parts stated_parts;

		coinbase_part(chain_spec(chain), audited_coinbase, child->height, &stated_parts);
		audit_report->merge_stated = stated_parts.merge;
		audit_report->has_stated = audited_coinbase->output_count > 0 &&
			outcome_parse(&audited_coinbase->outputs[stated_parts.outcome].script, audited_slots,
				&audit_report->stated);
		memcpy(audit_report->stated_root, child->header.model_root, 32);
		block_unref(audited_child);
		return;
	}
	chain_outcome(audited, &outcome);
	audit_report->stated = outcome.outcome;
	audit_report->merge_stated = outcome.merge;
	audit_report->has_stated = true;
	memcpy(audit_report->stated_root, audited->model_root_after, 32);
}

static bool audit_outcomes_agree(const struct outcome *audit_stated, const struct outcome *audit_found)
{
	if (audit_stated->is_void || audit_found->is_void)
		return audit_stated->is_void == audit_found->is_void;
	if (audit_stated->slots != audit_found->slots)
		return false;
	for (uint32_t slot = 0; slot < audit_found->slots; slot++) {
		bool audit_counts = audit_found->slot[slot].count > 0;

		if ((audit_stated->slot[slot].count > 0) != audit_counts)
			return false;
		if (audit_counts &&
			(audit_stated->slot[slot].left_out != audit_found->slot[slot].left_out ||
				audit_stated->slot[slot].effect != audit_found->slot[slot].effect ||
				audit_stated->slot[slot].value != audit_found->slot[slot].value))
			return false;
	}
	return true;
}

static bool audit_merges_agree(const struct merge_statement *audit_stated, const struct merge_statement *audit_found)
{
	return audit_stated->seats == audit_found->seats && audit_stated->is_void == audit_found->is_void &&
		audit_stated->is_second == audit_found->is_second &&
		memcmp(audit_stated->seat, audit_found->seat, audit_found->seats) == 0;
}

/* An audit in which an engine proved wrong was cancelled by itself (consensus/verify.h): the node is about to end then.
 */
static void audit_done(void *arg, bool cancelled)
{
	struct audit *audit = arg;
	struct audit_report *audit_report = &audit->report;

	if (cancelled || audit->auditor->closed || atomic_load(&chain_audit_job(audit->given)->cancel)) {
		audit_fail(audit, chain_last_words(audit->auditor->chain));
		return;
	}
	if (audit->unread.text[0] != 0) {
		audit_fail(audit, audit->unread.text);
		return;
	}
	audit_report->valid = audit_report->proofs_right;
	if (audit->only == SIZE_MAX && audit_report->proofs_right) {
		const struct verdict *audit_verdict = &audit->verdict;

		if (!audit_verdict->valid || audit_verdict->state == NULL) {
			audit_fail(audit, audit_verdict->reject.detail);
			return;
		}
		audit_report->whole = true;
		audit_report->found = audit_verdict->outcome;
		audit_report->merge_found = audit_verdict->merge;
		memcpy(audit_report->found_root, state_root(audit_verdict->state), 32);
		audit_read_statement(audit->auditor->chain, audit_report);
		audit_report->outcome_right = audit_report->has_stated &&
			audit_outcomes_agree(&audit_report->stated, &audit_report->found) &&
			audit_merges_agree(&audit_report->merge_stated, &audit_report->merge_found);
		audit_report->root_right = memcmp(audit_report->found_root, audit_report->stated_root, 32) == 0;
		audit_report->valid = audit_report->outcome_right && audit_report->root_right;
	}
	if (!audit_report->valid)
		log_warn("audit of block %u found a difference", audit_report->entry->height);
	audit_answer(audit);
}

static void audit_fill_proofs(struct audit *audit)
{
	const struct verify_job *job = chain_audit_job(audit->given);
	struct audit_report *audit_report = &audit->report;
	bool one_proof = audit->only != SIZE_MAX;

	audit_report->proof_count = one_proof ? 1 : job->proof_count;
	audit_report->proofs = mem_calloc(audit_report->proof_count, sizeof *audit_report->proofs);
	for (size_t i = 0; i < audit_report->proof_count; i++) {
		const struct verify_proof *verify_proof = &job->proofs[one_proof ? audit->only : i];
		struct audit_proof *audit_proof = &audit_report->proofs[i];

		audit_proof->header = verify_proof->header;
		memcpy(audit_proof->id, verify_proof->id, 32);
		memcpy(audit_proof->seed, verify_proof->seed, 32);
		audit_proof->slot = verify_proof->slot;
		audit_proof->dataset = chain_proof_dataset(audit->auditor->chain, audit_report->entry,
			&verify_proof->header);
	}
}

/* All states are in memory. */
static void audit_start(struct audit *audit)
{
	struct auditor *auditor = audit->auditor;
	struct errmsg audit_err = { "" };

	audit->given = chain_audit_new(auditor->chain, audit->report.entry, &audit_err);
	if (audit->given == NULL) {
		audit_fail(audit, audit_err.text);
		return;
	}
	if (audit->only != SIZE_MAX && audit->only >= chain_audit_job(audit->given)->proof_count) {
		audit_fail(audit, "the block has fewer proofs");
		return;
	}
	audit_fill_proofs(audit);
	queue_post(auditor->queue,
		&(struct queue_job){
			.kind = QUEUE_AUDIT,
			.owner = auditor,
			.run = audit_run,
			.done = audit_done,
			.arg = audit,
		});
}

static void audit_on_state(void *context, struct state *audited_state);

/* One state after the other is asked for; what was there before stays meanwhile (chain/model/states.h), if not too much
 * else is computed. */
static void audit_ask(struct audit *audit)
{
	const struct index_entry *missing_state = chain_audit_missing(audit->auditor->chain, audit->report.entry);

	if (missing_state == NULL)
		audit_start(audit);
	else
		state_unref(chain_state_at(audit->auditor->chain, missing_state, audit_on_state, audit));
}

static void audit_on_state(void *context, struct state *audited_state)
{
	struct audit *audit = context;
	const bool had = audited_state != NULL;

	state_unref(audited_state);
	if (had && !audit->auditor->closed)
		audit_ask(audit);
	else
		audit_fail(audit,
			audit->auditor->closed ? chain_last_words(audit->auditor->chain) :
						 "a model state that the block starts from cannot be had");
}

static void auditor_on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct auditor *auditor = arg;

	(void)fd;
	(void)what;
	/* The list may change with every audit that is answered at once: begin again until none is new. */
	for (struct audit *audit = auditor->audits; audit != NULL;) {
		if (audit->begun) {
			audit = audit->next;
			continue;
		}
		audit->begun = true;
		audit_ask(audit);
		audit = auditor->audits;
	}
}

struct auditor *auditor_new(struct chain *chain, struct queue *queue, struct event_base *base)
{
	struct auditor *auditor = mem_calloc(1, sizeof *auditor);

	auditor->chain = chain;
	auditor->queue = queue;
	auditor->begin = mem_check(event_new(base, -1, 0, auditor_on_begin, auditor));
	return auditor;
}

void auditor_close(struct auditor *auditor)
{
	auditor->closed = true;
	for (struct audit *audit = auditor->audits; audit != NULL; audit = audit->next) {
		if (audit->given != NULL)
			atomic_store(&chain_audit_job(audit->given)->cancel, true);
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
	struct audit *audit = mem_calloc(1, sizeof *audit), **last_audit = &auditor->audits;

	audit->auditor = auditor;
	audit->only = only;
	audit->report.entry = entry;
	audit->done = done;
	audit->context = context;
	while (*last_audit != NULL)
		last_audit = &(*last_audit)->next;
	*last_audit = audit;
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
