/* Audits: proofs and blocks are executed again, one after the other. */
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "work/sample.h"

static json_t *audit_show_proof(const struct spec *spec, const struct audit_proof *proof, bool executed)
{
	json_t *audit = show_proof(spec, &proof->header);

	json_object_set_new(audit, "dataset", json_integer(proof->dataset));
	json_object_set_new(audit, "iterations", json_integer(spec_course(spec)->train.iterations));
	if (executed)
		json_object_set_new(audit, "found_digest", json_hex(proof->found, 32));
	json_object_set_new(audit, "valid", json_boolean(proof->right));
	if (!proof->right)
		json_object_set_new(audit, "detail", json_string(proof->detail));
	return audit;
}

static json_t *audit_show_merge(const struct merge_statement *merge)
{
	json_t *statement = json_object(), *seats = json_array();

	json_object_set_new(statement, "void", json_boolean(merge->is_void));
	json_object_set_new(statement, "halved", json_boolean(merge->is_second));
	for (uint32_t seat = 0; seat < merge->seats; seat++)
		json_array_append_new(seats, json_string(show_verdict(merge->seat[seat])));
	json_object_set_new(statement, "seats", seats);
	return statement;
}

/* Of a block that merges no round, merge has no seats. */
static json_t *audit_show_statement(const struct outcome *outcome, const struct merge_statement *merge)
{
	json_t *statement = json_object(), *slots = json_array();

	json_object_set_new(statement, "void", json_boolean(outcome->is_void));
	for (uint32_t slot = 0; !outcome->is_void && slot < outcome->slots; slot++) {
		json_t *slot_statement = json_object();
		bool has_proofs = outcome->slot[slot].count > 0;

		json_object_set_new(slot_statement, "has_proofs", json_boolean(has_proofs));
		json_object_set_new(slot_statement, "left_out",
			json_boolean(has_proofs && outcome->slot[slot].left_out));
		json_object_set_new(slot_statement, "effect", show_value(has_proofs ? outcome->slot[slot].effect : 0));
		json_object_set_new(slot_statement, "value", show_value(has_proofs ? outcome->slot[slot].value : 0));
		json_array_append_new(slots, slot_statement);
	}
	json_object_set_new(statement, "slots", slots);
	if (merge->seats > 0)
		json_object_set_new(statement, "merge", audit_show_merge(merge));
	return statement;
}

static json_t *audit_show_report(const struct spec *spec, const struct audit_report *report)
{
	json_t *audit = json_object(), *audited_proofs = json_array();

	json_object_set_new(audit, "blockhash", json_hash(report->entry->id));
	json_object_set_new(audit, "height", json_integer(report->entry->height));
	json_object_set_new(audit, "valid", json_boolean(report->valid));
	if (report->error[0] != '\0') {
		json_object_set_new(audit, "error", json_string(report->error));
		json_decref(audited_proofs);
		return audit;
	}
	for (size_t i = 0; i < report->proof_count; i++)
		json_array_append_new(audited_proofs, audit_show_proof(spec, &report->proofs[i], true));
	json_object_set_new(audit, "proofs", audited_proofs);
	if (!report->whole)
		return audit;
	json_object_set_new(audit, "outcome_stated",
		report->has_stated ? audit_show_statement(&report->stated, &report->merge_stated) : json_null());
	json_object_set_new(audit, "outcome_found", audit_show_statement(&report->found, &report->merge_found));
	json_object_set_new(audit, "outcome_valid", json_boolean(report->outcome_right));
	json_object_set_new(audit, "model_root_stated", json_hash(report->stated_root));
	json_object_set_new(audit, "model_root_found", json_hash(report->found_root));
	json_object_set_new(audit, "model_root_valid", json_boolean(report->root_right));
	return audit;
}

/* A request that waits for one audit. */
struct audit_single {
	struct rpc_request *request;
	const struct spec *spec;
	bool proof; /* answers with the proof's object */
};

static void audit_on_single(void *context, const struct audit_report *report)
{
	struct audit_single *single = context;

	if (report->error[0] != '\0') {
		rpc_fail(single->request, RPC_MISC_ERROR, "The audit could not be made: %s", report->error);
	} else if (single->proof) {
		json_t *audit = audit_show_proof(single->spec, &report->proofs[0], true);

		json_object_set_new(audit, "blockhash", json_hash(report->entry->id));
		json_object_set_new(audit, "height", json_integer(report->entry->height));
		rpc_reply(single->request, audit);
	} else {
		rpc_reply(single->request, audit_show_report(single->spec, report));
	}
	free(single);
}

static struct audit_single *audit_single_new(struct rpc_request *audit_request, const struct calls_parts *auditing,
	bool proof)
{
	struct audit_single *single = mem_alloc(sizeof *single);

	*single = (struct audit_single){ .request = audit_request,
		.spec = chain_spec(auditing->chain),
		.proof = proof };
	return single;
}

/* Whether the block can be audited; if not, the request has been answered.
 * What consensus refused, or did not look at yet, nobody can have executed by asking for an audit; and only behind a
 * verified block is the state known that its steps start from. */
static bool audit_is_possible(struct rpc_request *audit_request, const struct chain *chain,
	const struct index_entry *audited_entry)
{
	struct errmsg err;

	if (audited_entry->height == 0)
		rpc_fail(audit_request, RPC_INVALID_PARAMETER, "The genesis block has no proofs");
	else if (audited_entry->status != ENTRY_VERIFIED && audited_entry->status != ENTRY_CONNECTED)
		rpc_fail(audit_request, RPC_MISC_ERROR, "This node has not verified the block");
	else if (chain_is_pruned(chain, audited_entry->height, &err))
		rpc_fail(audit_request, RPC_MISC_ERROR, "The audit cannot be made: %s", err.text);
	else
		return true;
	return false;
}

static const struct rpc_arg auditblock_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ 0 },
};

static enum rpc_outcome call_auditblock(struct rpc_request *audit_request, void *context)
{
	struct calls_parts *auditing = context;
	const struct index_entry *audited_entry = argument_entry(audit_request, auditing->chain, "blockhash");

	if (audited_entry == NULL || !audit_is_possible(audit_request, auditing->chain, audited_entry))
		return RPC_DONE;
	auditor_block(auditing->auditor, audited_entry, audit_on_single,
		audit_single_new(audit_request, auditing, false));
	return RPC_PENDING;
}

static const struct rpc_arg auditproof_args[] = {
	{ .name = "id", .type = RPC_HASH, .help = "Id of a proof, or of the block that holds it." },
	{ .name = "index",
		.type = RPC_INT,
		.optional = true,
		.min = 0,
		.max = BLOCK_MAX_LOOSE,
		.help = "Which proof of the block: 0 is its own, which is also what a block's id alone means; loose "
			"and late ones follow." },
	{ 0 },
};

static enum rpc_outcome call_auditproof(struct rpc_request *audit_request, void *context)
{
	struct calls_parts *auditing = context;
	uint8_t proof_id[32];
	size_t proof_index = 0;
	const struct index_entry *audited_entry;

	rpc_hash(audit_request, "id", proof_id);
	/* A block's id is the id of its own proof. */
	audited_entry = chain_find(auditing->chain, proof_id);
	if (audited_entry == NULL && !rpc_has(audit_request, "index"))
		audited_entry = chain_find_proof(auditing->chain, proof_id, &proof_index);
	else if (rpc_has(audit_request, "index"))
		proof_index = (size_t)rpc_int(audit_request, "index");
	if (audited_entry == NULL)
		return rpc_fail(audit_request, RPC_INVALID_ADDRESS_OR_KEY, "No such proof or block");
	if (!audit_is_possible(audit_request, auditing->chain, audited_entry))
		return RPC_DONE;
	if (proof_index > audited_entry->loose_count + audited_entry->late_count)
		return rpc_fail(audit_request, RPC_INVALID_PARAMETER,
			"index must be between 0 and %u in this block, not %zu",
			audited_entry->loose_count + audited_entry->late_count, proof_index);
	auditor_proof(auditing->auditor, audited_entry, proof_index, audit_on_single,
		audit_single_new(audit_request, auditing, true));
	return RPC_PENDING;
}

/* Points that one request may draw, since it keeps its answer in memory until the last block is done; time between two
 * lines of the log. */
enum { AUDIT_SAMPLES_MAX = 1000, AUDIT_PROGRESS_MS = 5000 };

/* A request that waits for one block after the other. */
struct audit_series {
	struct rpc_request *request;
	struct calls_parts *auditing;
	/* Drawn once: blocks that a reorganisation takes off the active chain meanwhile stay in the index, and are
	 * audited. */
	const struct index_entry *entries[AUDIT_SAMPLES_MAX];
	uint32_t count, at, samples;
	uint32_t right, false_blocks, skipped;
	uint64_t proofs_right, proofs_false;
	int64_t started, progress_due; /* clock_mono_ms */
	json_t *reasons;               /* why blocks were skipped: how many for each reason */
	json_t *blocks;
};

static void audit_series_free(struct audit_series *series)
{
	json_decref(series->reasons);
	json_decref(series->blocks);
	free(series);
}

static void audit_count_skipped(struct audit_series *series, const char *why)
{
	/* A reason may name a file, whose name may be any bytes: as the name of a member it must be UTF-8. */
	json_t *reason = json_text(why, strlen(why));
	const char *reason_name = json_string_value(reason);
	json_int_t skipped_before = json_integer_value(json_object_get(series->reasons, reason_name));

	json_object_set_new(series->reasons, reason_name, json_integer(skipped_before + 1));
	json_decref(reason);
	series->skipped++;
}

static void audit_count_report(struct audit_series *series, const struct audit_report *report)
{
	if (report->error[0] != '\0')
		audit_count_skipped(series, report->error);
	else if (report->valid)
		series->right++;
	else
		series->false_blocks++;
	for (size_t i = 0; report->error[0] == '\0' && i < report->proof_count; i++) {
		if (report->proofs[i].right)
			series->proofs_right++;
		else
			series->proofs_false++;
	}
	series->at++;
}

/* The first block and the last, and between them a line now and then. */
static void audit_log_progress(struct audit_series *series)
{
	int64_t now = clock_mono_ms();

	if (now < series->progress_due && series->at < series->count)
		return;
	series->progress_due = now + AUDIT_PROGRESS_MS;
	log_info(
		"auditchain: %u of %u blocks, %u right, %u false, %u skipped; %llu proofs executed, %llu false; %lld s",
		series->at, series->count, series->right, series->false_blocks, series->skipped,
		(unsigned long long)(series->proofs_right + series->proofs_false),
		(unsigned long long)series->proofs_false, (long long)(now - series->started) / 1000);
}

static json_t *audit_show_summary(const struct audit_series *series)
{
	json_t *summary = json_object();

	json_object_set_new(summary, "blocks_checked", json_integer(series->right + series->false_blocks));
	json_object_set_new(summary, "blocks_right", json_integer(series->right));
	json_object_set_new(summary, "blocks_false", json_integer(series->false_blocks));
	json_object_set_new(summary, "proofs_executed",
		json_integer((json_int_t)(series->proofs_right + series->proofs_false)));
	json_object_set_new(summary, "proofs_right", json_integer((json_int_t)series->proofs_right));
	json_object_set_new(summary, "proofs_false", json_integer((json_int_t)series->proofs_false));
	json_object_set_new(summary, "blocks_skipped", json_integer(series->skipped));
	json_object_set(summary, "skipped", series->reasons);
	json_object_set_new(summary, "seconds", json_fixed(clock_mono_ms() - series->started, 3));
	return summary;
}

static void audit_on_series(void *context, const struct audit_report *report)
{
	struct audit_series *series = context;
	json_t *audit;
	uint32_t wrong_blocks;

	/* The auditor ends: no other audit would be begun. Any other error is the block's, and the next one follows. */
	if (report->closing) {
		rpc_fail(series->request, RPC_MISC_ERROR, "The audit could not be finished: %s", report->error);
		audit_series_free(series);
		return;
	}
	json_array_append_new(series->blocks, audit_show_report(chain_spec(series->auditing->chain), report));
	audit_count_report(series, report);
	audit_log_progress(series);
	/* One at a time: a single audit that somebody asks for meanwhile comes between two blocks. */
	if (series->at < series->count) {
		auditor_block(series->auditing->auditor, series->entries[series->at], audit_on_series, series);
		return;
	}
	audit = json_object();
	/* What could not be looked at is not known to be right: whoever asks whether the chain holds must not be told
	 * that it does. */
	wrong_blocks = series->false_blocks + series->skipped;
	json_object_set_new(audit, "valid", json_boolean(wrong_blocks == 0));
	json_object_set_new(audit, "samples", json_integer(series->samples));
	json_object_set_new(audit, "checked", json_integer(series->count));
	json_object_set_new(audit, "invalid", json_integer(wrong_blocks));
	json_object_set(audit, "blocks", series->blocks);
	json_object_set_new(audit, "summary", audit_show_summary(series));
	rpc_reply(series->request, audit);
	audit_series_free(series);
}

/* What is pruned counts as no work, so that nothing of it is drawn. */
static struct u256 audit_work_at(const void *context, uint32_t height)
{
	const uint32_t pruned = chain_pruned(context);

	return chain_at(context, height < pruned ? pruned : height)->chain_work;
}

static const struct rpc_arg auditchain_args[] = {
	{ .name = "samples",
		.type = RPC_INT,
		.fallback = "10",
		.min = 1,
		.max = AUDIT_SAMPLES_MAX,
		.help = "Points to draw." },
	{ 0 },
};

static enum rpc_outcome call_auditchain(struct rpc_request *audit_request, void *context)
{
	struct calls_parts *auditing = context;
	const struct index_entry *audited_tip = chain_tip(auditing->chain);
	uint32_t drawn_heights[AUDIT_SAMPLES_MAX];
	struct audit_series *series;

	if (audited_tip->height == 0)
		return rpc_fail(audit_request, RPC_MISC_ERROR, "There is no block to audit yet");
	series = mem_calloc(1, sizeof *series);
	series->request = audit_request;
	series->auditing = auditing;
	series->samples = (uint32_t)rpc_int(audit_request, "samples");
	series->count = sample_heights(audit_work_at, auditing->chain, audited_tip->height, series->samples,
		drawn_heights);
	series->started = clock_mono_ms();
	series->reasons = json_object();
	series->blocks = json_array();
	for (uint32_t i = 0; i < series->count; i++)
		series->entries[i] = chain_at(auditing->chain, drawn_heights[i]);
	auditor_block(auditing->auditor, series->entries[0], audit_on_series, series);
	return RPC_PENDING;
}

static const char auditproof_result[] =
	"{\"id\", \"seed\", \"slot\", \"ticket\", \"digest\", \"miner\", \"time\", \"dataset\": n, \"iterations\": n,\n"
	" \"found_digest\": \"hex\",   what executing the step gave\n"
	" \"valid\": bool, \"blockhash\": \"hex\", \"height\": n}";

static const char auditblock_result[] =
	"{\n"
	"  \"blockhash\": \"hex\", \"height\": n,\n"
	"  \"valid\": bool,                     everything below is as stated\n"
	"  \"proofs\": [auditproof's objects],\n"
	"  \"outcome_stated\": {\"void\": bool, \"slots\": [{\"has_proofs\", \"left_out\", \"effect\", \"value\"}],\n"
	"    \"merge\": {\"void\": bool,      only of the last block of a round\n"
	"      \"halved\": bool,             the better half of the runs alone made the state\n"
	"      \"seats\": [\"empty\", \"merged\", \"left out\" or \"struck\", ...]}},\n"
	"  \"outcome_found\": {...}, \"outcome_valid\": bool,\n"
	"  \"model_root_stated\": \"hex\", \"model_root_found\": \"hex\", \"model_root_valid\": bool\n"
	"}";

static const struct rpc_method audit_methods[] = {
	{ "auditproof", "Training", call_auditproof, auditproof_args,
		"Executes a proof's training step again, from the model state that it was to start from (before its "
		"block, or for a late proof before the block it came too late for), and compares the digests.",
		auditproof_result, "\"id\"", 0 },
	{ "auditblock", "Training", call_auditblock, auditblock_args,
		"Executes all proofs of a block again, its update of the model, and where it ends a round the "
		"segments of runs that were drawn, and compares with what the chain states.",
		auditblock_result, "\"hash\"", 0 },
	{ "auditchain", "Training", call_auditchain, auditchain_args,
		"Audits blocks that are drawn at random, each unit of the chain's work being as likely as "
		"any other. The log tells how far it is. What is pruned is left out.",
		"{\"valid\": bool, \"samples\": points drawn, \"checked\": blocks they fell on, \"invalid\": n,\n"
		" \"blocks\": [auditblock's objects; where there is no audit: {\"blockhash\", "
		"\"height\", \"valid\": false,\n"
		"             \"error\": \"why\"}],\n"
		" \"summary\": {\"blocks_checked\": n, \"blocks_right\": n, \"blocks_false\": n,\n"
		"             \"proofs_executed\": n, \"proofs_right\": n, \"proofs_false\": n,\n"
		"             \"blocks_skipped\": n, \"skipped\": {\"why\": blocks, ...}, \"seconds\": n}}",
		"10", 0 },
};

void calls_audit_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, audit_methods, sizeof audit_methods / sizeof *audit_methods, parts);
}
