/* Rounds: which there were, who has seats, what became of runs, and how far this node's own are (doc/protocol.md
 * section 20). */
#include "calls/training/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "consensus/blob/round_blob.h"
#include "consensus/reward.h"
#include "util/mem.h"
#include "work/due.h"
#include "work/run_auditor.h"

enum { ROUNDS_LIST_MAX = 1000, ROUNDS_DEPTH = 2016 /* blocks that a round's record is derived for */ };

struct calls_rounds {
	struct calls_parts *parts;
	struct run_auditor *auditor;
};

/* --- rounds --- */

/* The block that merged the round of that base, and what it did; NULL: none has yet. */
static const struct index_entry *rounds_merge(const struct chain *chain, uint32_t base, struct block_outcome *outcome)
{
	const struct index_entry *merge = chain_at(chain, base + chain_spec(chain)->round_blocks);

	return merge != NULL && chain_outcome(merge, outcome)->merge.seats > 0 ? merge : NULL;
}

/* Base of the newest round: of the one that the next block lies in; 0: none has begun. */
static uint32_t rounds_newest_base(const struct chain *chain)
{
	const uint32_t round_blocks = chain_spec(chain)->round_blocks;

	return round_blocks == 0 ? 0 : chain_tip(chain)->height / round_blocks * round_blocks;
}

/* While the round is open: what has been said, and what cannot be said any more. */
static const char *rounds_open_state(const struct spec *spec, uint32_t base, uint32_t next,
	const struct rounds_run *run)
{
	const uint32_t work_end = base + spec->round_work;

	if (run->challenged)
		return "challenged";
	if (run->disclosed)
		return "disclosed";
	if (run->committed)
		return next <= work_end + 1 + spec->round_reveal ? "committed" : "not disclosed";
	return next <= work_end ? "open" : "empty";
}

/* Of the newest round, the one that is not merged yet: the states that there are. */
static json_t *rounds_count_open(const struct chain *chain)
{
	const uint32_t next = chain_tip(chain)->height + 1;
	json_t *shown = json_object();
	struct round_view view;

	if (!registry_round_view(chain_registry(chain), &view))
		return shown;
	for (uint32_t seat = 0; seat < view.seats; seat++) {
		const char *state = rounds_open_state(chain_spec(chain), view.base, next, &view.run[seat]);
		const json_t *so_far = json_object_get(shown, state);

		json_object_set_new(shown, state, json_integer(json_integer_value(so_far) + 1));
	}
	return shown;
}

/* Where the windows of a round end, and what became of it. */
static json_t *rounds_show_round(const struct chain *chain, uint32_t base)
{
	const struct spec *spec = chain_spec(chain);
	const uint32_t work_end = base + spec->round_work;
	struct block_outcome outcome;
	const struct index_entry *merge = rounds_merge(chain, base, &outcome);
	json_t *round = json_object();

	json_object_set_new(round, "base", json_integer(base));
	json_object_set_new(round, "basehash", json_hash(chain_at(chain, base)->id));
	json_object_set_new(round, "commits_until", json_integer(work_end));
	json_object_set_new(round, "beacon", json_integer(work_end + 1));
	json_object_set_new(round, "disclosures_until", json_integer(work_end + 1 + spec->round_reveal));
	json_object_set_new(round, "merge", json_integer(base + spec->round_blocks));
	json_object_set_new(round, "segments", json_integer(spec_most_segments(spec, base)));
	json_object_set_new(round, "judged_by", json_string(show_judged_by(chain, base)));
	json_object_set_new(round, "over", json_boolean(merge != NULL));
	if (merge == NULL)
		return round;
	json_object_set_new(round, "void", json_boolean(outcome.merge.is_void));
	json_object_set_new(round, "halved", json_boolean(outcome.merge.is_second));
	json_object_set_new(round, "loss_before", show_loss(outcome.loss_before));
	json_object_set_new(round, "loss_after", show_loss_after(&outcome));
	return round;
}

/* What this node has found of runs of others, if it was told to look (-recheck). */
static void rounds_show_rechecks(json_t *shown, const struct prober *prober, const uint8_t base_id[32])
{
	uint32_t executed, false_runs;

	if (!prober_count(prober, base_id, &executed, &false_runs))
		return;
	json_object_set_new(shown, "rechecked", json_integer(executed));
	json_object_set_new(shown, "found_false", json_integer(false_runs));
}

static void rounds_show_recheck(json_t *shown, const struct prober *prober, const uint8_t base_id[32],
	const uint8_t seat_id[32])
{
	struct prober_info found;

	if (!prober_look(prober, base_id, seat_id, &found))
		return;
	json_object_set_new(shown, "rechecked", json_integer(found.executed));
	if (found.is_false)
		json_object_set_new(shown, "false_segment", json_integer(found.segment));
	if (found.is_challenged)
		json_object_set_new(shown, "challenge", json_hash(found.challenge));
}

static const struct rpc_arg getrounds_args[] = {
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "10",
		.min = 1,
		.max = ROUNDS_LIST_MAX,
		.help = "How many of the newest to list." },
	{ 0 },
};

static enum rpc_outcome call_getrounds(struct rpc_request *rounds_request, void *context)
{
	const struct calls_rounds *calls = context;
	const struct chain *chain = calls->parts->chain;
	const uint32_t round_blocks = chain_spec(chain)->round_blocks;
	uint32_t base = rounds_newest_base(chain);
	json_t *rounds = json_array();

	for (int64_t left = rpc_int(rounds_request, "count"); left > 0 && base > 0; left--, base -= round_blocks) {
		json_t *round = rounds_show_round(chain, base);
		struct block_outcome outcome;

		json_object_set_new(round, "seats",
			rounds_merge(chain, base, &outcome) != NULL ? show_verdicts(&outcome.merge) :
								      rounds_count_open(chain));
		rounds_show_rechecks(round, calls->parts->prober, chain_at(chain, base)->id);
		json_array_append_new(rounds, round);
	}
	return rpc_reply(rounds_request, rounds);
}

/* --- one round --- */

static void rounds_show_said(json_t *shown, const struct round_view *view, uint32_t seat)
{
	const struct rounds_run *run = &view->run[seat];

	if (run->committed) {
		json_object_set_new(shown, "length", json_integer(run->length));
		json_object_set_new(shown, "trace_root", json_hex(run->trace_root, 32));
	}
	if (run->committed && view->beacon != NULL)
		json_object_set_new(shown, "drawn_segment", json_integer(round_audited(view, seat)));
	if (run->disclosed)
		json_object_set_new(shown, "blob", json_hex(run->blob, 32));
}

/* Of the disclosed one: H(Q_1), H(Q_2), ... */
static json_t *rounds_show_digests(struct chain *chain, const struct rounds_run *run)
{
	const uint64_t size = round_blob_size(chain_spec(chain), ROUND_DISCLOSURE, run->length);
	json_t *digests = json_array();
	struct errmsg err;
	struct buf blob;

	buf_init(&blob);
	if (chain_blob_size(chain, run->blob) == size &&
		chain_read_piece(chain, run->blob, 0, (size_t)run->length * 32, &blob, &err))
		for (uint32_t number = 0; number < run->length; number++)
			json_array_append_new(digests, json_hex(blob.data + (size_t)number * 32, 32));
	buf_clear(&blob);
	return digests;
}

static bool rounds_is_own(const struct runner *runner, const struct round_view *view, uint32_t seat)
{
	return runner_trace(runner, view->id, view->seat[seat].id) != NULL || runner_owns(runner, view->seat[seat].key);
}

static json_t *rounds_show_seat(const struct calls_rounds *calls, const struct round_view *view, uint32_t seat)
{
	const struct chain *chain = calls->parts->chain;
	const struct spec *spec = chain_spec(chain);
	struct block_outcome outcome;
	const struct index_entry *merge = rounds_merge(chain, view->base, &outcome);
	const struct rounds_seat *seat_block = &view->seat[seat];
	const char *state = merge != NULL ?
		show_verdict(outcome.merge.seat[seat]) :
		rounds_open_state(spec, view->base, chain_tip(chain)->height + 1, &view->run[seat]);
	const bool is_lost = strcmp(state, "empty") == 0 || strcmp(state, "struck") == 0;
	json_t *shown = json_object();

	json_object_set_new(shown, "height", json_integer(seat_block->height));
	json_object_set_new(shown, "blockhash", json_hash(seat_block->id));
	json_object_set_new(shown, "miner", show_address(spec, seat_block->key));
	json_object_set_new(shown, "dataset", json_integer(view->run[seat].dataset));
	json_object_set_new(shown, "state", json_string(state));
	rounds_show_said(shown, view, seat);
	json_object_set_new(shown, "pay",
		json_amount(is_lost ? 0 :
				      reward_run(spec, seat_block->height,
					      view->run[seat].committed ? view->run[seat].length :
									  spec_most_segments(spec, view->base))));
	json_object_set_new(shown, "paid",
		json_boolean(merge != NULL && chain_tip(chain)->height > merge->height &&
			merge_statement_is_true(&outcome.merge, seat)));
	json_object_set_new(shown, "own", json_boolean(rounds_is_own(calls->parts->runner, view, seat)));
	rounds_show_recheck(shown, calls->parts->prober, view->id, seat_block->id);
	return shown;
}

/* Of a round that is over, as it was before its merge. */
static const struct registry *rounds_registry(struct chain *chain, uint32_t base, struct errmsg *err)
{
	const uint32_t last = base + chain_spec(chain)->round_blocks - 1, tip_height = chain_tip(chain)->height;

	return chain_registry_at(chain, chain_at(chain, last < tip_height ? last : tip_height), err);
}

static const struct rpc_arg getround_args[] = {
	{ .name = "base",
		.type = RPC_INT,
		.optional = true,
		.min = 1,
		.max = UINT32_MAX,
		.help = "Height of the round's base, a multiple of round_blocks; the newest round's if left out." },
	{ .name = "digests",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "With the digests of all segments of runs that are disclosed; their blobs are read for that." },
	{ 0 },
};

static enum rpc_outcome call_getround(struct rpc_request *rounds_request, void *context)
{
	const struct calls_rounds *calls = context;
	struct chain *chain = calls->parts->chain;
	const uint32_t newest = rounds_newest_base(chain);
	const uint32_t base = rpc_has(rounds_request, "base") ? (uint32_t)rpc_int(rounds_request, "base") : newest;
	const bool with_digests = rpc_bool(rounds_request, "digests");
	const struct registry *registry;
	struct round_view view;
	struct errmsg err;
	json_t *round, *seats, *shown;

	if (chain_spec(chain)->round_blocks == 0)
		return rpc_fail(rounds_request, RPC_MISC_ERROR, "This chain has no rounds");
	if (newest == 0)
		return rpc_fail(rounds_request, RPC_MISC_ERROR, "No round has begun: the first one does with block %u",
			(unsigned)chain_spec(chain)->round_blocks);
	if (base > newest || base % chain_spec(chain)->round_blocks != 0)
		return rpc_fail(rounds_request, RPC_INVALID_PARAMETER,
			"No round begins at this height: one does at each multiple of %u, the newest at %u",
			(unsigned)chain_spec(chain)->round_blocks, (unsigned)newest);
	if (newest - base > ROUNDS_DEPTH)
		return rpc_fail(rounds_request, RPC_INVALID_PARAMETER, "The round lies more than %d blocks back",
			ROUNDS_DEPTH);
	if (with_digests && chain_is_pruned(chain, base + 1, &err))
		return rpc_fail(rounds_request, RPC_MISC_ERROR, "The digests are not here: %s", err.text);
	registry = rounds_registry(chain, base, &err);
	if (registry == NULL || !registry_round_view(registry, &view))
		return rpc_fail(rounds_request, RPC_MISC_ERROR, "The round's record cannot be read");
	round = rounds_show_round(chain, base);
	seats = json_array();
	for (uint32_t seat = 0; seat < view.seats; seat++) {
		shown = rounds_show_seat(calls, &view, seat);
		if (with_digests && view.run[seat].disclosed)
			json_object_set_new(shown, "digests", rounds_show_digests(chain, &view.run[seat]));
		json_array_append_new(seats, shown);
	}
	json_object_set_new(round, "seats", seats);
	rounds_show_rechecks(round, calls->parts->prober, view.id);
	return rpc_reply(rounds_request, round);
}

/* --- this node's own runs --- */

/* How far it is; what became of it once its round is merged. */
static void rounds_show_stage(json_t *shown, const struct chain *chain, const struct runner_info *info)
{
	const struct spec *spec = chain_spec(chain);
	const struct trace *trace = info->trace;
	struct block_outcome outcome;
	const struct index_entry *merge = info->stage == RUNNER_OVER ?
		rounds_merge(chain, trace->run.base_height, &outcome) :
		NULL;
	const uint32_t seat = trace->run.seat_height - (trace->run.base_height - spec->round_blocks + 1);
	bool is_true;

	if (merge == NULL) {
		json_object_set_new(shown, "state", json_string(runner_stage_name(info->stage)));
		return;
	}
	is_true = merge_statement_is_true(&outcome.merge, seat);
	json_object_set_new(shown, "state", json_string(show_verdict(outcome.merge.seat[seat])));
	if (is_true && trace->signed_length == 0)
		return; /* that file is lost, and with it the length */
	json_object_set_new(shown, "pay",
		json_amount(is_true ? reward_run(spec, trace->run.seat_height, trace->signed_length) : 0));
	json_object_set_new(shown, "pay_height", json_integer(merge->height + 1));
	json_object_set_new(shown, "paid", json_boolean(is_true && chain_tip(chain)->height > merge->height));
}

static json_t *rounds_show_run(const struct chain *chain, const struct runner_info *info)
{
	const struct spec *spec = chain_spec(chain);
	const struct trace *trace = info->trace;
	const uint32_t most = spec_most_segments(spec, trace->run.base_height);
	json_t *shown = json_object();

	json_object_set_new(shown, "height", json_integer(trace->run.seat_height));
	json_object_set_new(shown, "blockhash", json_hash(trace->run.seat_id));
	json_object_set_new(shown, "miner", show_address(spec, trace->run.key));
	json_object_set_new(shown, "base", json_integer(trace->run.base_height));
	json_object_set_new(shown, "basehash", json_hash(trace->run.base_id));
	rounds_show_stage(shown, chain, info);
	json_object_set_new(shown, "segments_done", json_integer(trace->done));
	json_object_set_new(shown, "segments", json_integer(most));
	json_object_set_new(shown, "working", json_boolean(info->is_working));
	json_object_set_new(shown, "iterations_done",
		json_integer((json_int_t)trace->done * spec->segment + info->iterations));
	json_object_set_new(shown, "iterations", json_integer((json_int_t)most * spec->segment));
	json_object_set_new(shown, "trace_bytes",
		json_integer((json_int_t)trace->done * (json_int_t)trace->shape.code_size));
	if (info->deadline > 0)
		json_object_set_new(shown, "deadline", json_integer(info->deadline));
	if (info->length > 0) {
		uint8_t root[32];

		trace_root(trace, info->length, root);
		json_object_set_new(shown, "length", json_integer(info->length));
		json_object_set_new(shown, "trace_root", json_hex(root, 32));
	}
	if (info->problem != NULL)
		json_object_set_new(shown, "problem", json_text(info->problem, strlen(info->problem)));
	return shown;
}

/* What the blocks of a round say of its runs, by seat, and which segment a challenge shows. */
struct rounds_heard {
	uint32_t base; /* 0: nothing was read yet */
	struct rounds_run run[ROUND_SEATS_MAX];
	uint32_t challenged[ROUND_SEATS_MAX];
};

static void rounds_hear_block(const struct spec *spec, const struct block *block, uint32_t height,
	struct rounds_heard *heard)
{
	struct round_tx round_tx;

	for (size_t i = 1; i < block->tx_count; i++)
		if (round_tx_is_on(spec, block->txs[i]) && round_tx_parse(block->txs[i], &round_tx) &&
			rounds_hear(spec, heard->base, height, &round_tx, heard->run) &&
			round_tx.kind == ROUND_CHALLENGE)
			heard->challenged[round_tx.height - (heard->base - spec->round_blocks + 1)] = round_tx.segment;
}

/* Out of the blocks, not a registry: to derive one of the past takes more than to read some tens of blocks. Nothing is
 * heard where one cannot be read: what it said would be missing. */
static void rounds_hear_round(struct chain *chain, uint32_t base, struct rounds_heard *heard)
{
	const struct spec *spec = chain_spec(chain);
	const uint32_t tip_height = chain_tip(chain)->height;

	if (heard->base == base)
		return;
	*heard = (struct rounds_heard){ .base = base };
	for (uint32_t height = base + 1; height < base + spec->round_blocks && height <= tip_height; height++) {
		const struct block *block = chain_read_bare(chain, chain_at(chain, height), NULL);

		if (block == NULL) {
			*heard = (struct rounds_heard){ .base = base };
			return;
		}
		rounds_hear_block(spec, block, height, heard);
		block_unref(block);
	}
}

/* Whether a run is struck, or will be as far as the branch says by now. */
static bool rounds_is_struck(const struct chain *chain, const struct runner_info *info, uint32_t seat)
{
	struct block_outcome outcome;
	struct round_view view;

	if (info->stage == RUNNER_OVER)
		return rounds_merge(chain, info->trace->run.base_height, &outcome) != NULL &&
			outcome.merge.seat[seat] == MERGE_STRUCK;
	return info->stage == RUNNER_DISCLOSED && registry_round_view(chain_registry(chain), &view) &&
		view.run[seat].challenged;
}

/* Why it is struck, by its round's blocks: so it is told of after a restart too. What the runner knows of one that was
 * not disclosed is more exact. */
static void rounds_show_struck(json_t *shown, struct chain *chain, const struct runner_info *info,
	struct rounds_heard *heard)
{
	const struct spec *spec = chain_spec(chain);
	const uint32_t base = info->trace->run.base_height, beacon = base + spec->round_work + 1,
		       seat = info->trace->run.seat_height - (base - spec->round_blocks + 1);
	const struct rounds_run *run = &heard->run[seat];
	char why[128];

	if (!rounds_is_struck(chain, info, seat))
		return;
	rounds_hear_round(chain, base, heard);
	if (run->challenged)
		snprintf(why, sizeof why, "a challenge showed its segment %u false, and what its block earned is lost",
			(unsigned)heard->challenged[seat]);
	else if (run->disclosed)
		snprintf(why, sizeof why, "its segment %u, the drawn one, is false, and what its block earned is lost",
			(unsigned)round_audited(&(struct round_view){ .run = heard->run,
							.beacon = chain_at(chain, beacon)->ticket },
				seat));
	else if (run->committed && info->problem == NULL)
		snprintf(why, sizeof why, "%s", DUE_NOT_DISCLOSED);
	else
		return;
	json_object_set_new(shown, "problem", json_string(why));
}

static enum rpc_outcome call_getruns(struct rpc_request *rounds_request, void *context)
{
	const struct calls_rounds *calls = context;
	const struct runner *runner = calls->parts->runner;
	struct rounds_heard *heard = mem_calloc(1, sizeof *heard);
	json_t *runs = json_array();

	for (size_t i = 0; i < runner_count(runner); i++) {
		struct runner_info info;
		json_t *shown;

		runner_look(runner, i, &info);
		shown = rounds_show_run(calls->parts->chain, &info);
		rounds_show_struck(shown, calls->parts->chain, &info, heard);
		json_array_append_new(runs, shown);
	}
	free(heard);
	return rpc_reply(rounds_request, runs);
}

json_t *rounds_show_training(const struct runner *runner)
{
	json_int_t runs_in[RUNNER_OVER + 1] = { 0 }, working = 0, segments_done = 0;
	json_t *shown = json_object();

	for (size_t i = 0; i < runner_count(runner); i++) {
		struct runner_info info;

		runner_look(runner, i, &info);
		runs_in[info.stage]++;
		working += info.is_working;
		if (info.stage != RUNNER_OVER && info.stage != RUNNER_OTHER_BRANCH)
			segments_done += info.trace->done;
	}
	for (int stage = 0; stage < RUNNER_OVER; stage++)
		if (runs_in[stage] > 0)
			json_object_set_new(shown, runner_stage_name((enum runner_stage)stage),
				json_integer(runs_in[stage]));
	json_object_set_new(shown, "working", json_integer(working));
	json_object_set_new(shown, "segments_done", json_integer(segments_done));
	return shown;
}

json_t *rounds_show_foremost(const struct calls_parts *parts)
{
	struct runner_info foremost = { .trace = NULL };

	for (size_t i = runner_count(parts->runner); i-- > 0 && !foremost.is_working;) {
		struct runner_info info;

		runner_look(parts->runner, i, &info);
		if (info.stage != RUNNER_OVER && info.stage != RUNNER_OTHER_BRANCH &&
			(foremost.trace == NULL || info.is_working))
			foremost = info;
	}
	return foremost.trace != NULL ? rounds_show_run(parts->chain, &foremost) : NULL;
}

json_t *rounds_show_newest(const struct calls_parts *parts)
{
	const struct chain *chain = parts->chain;
	const uint32_t base = rounds_newest_base(chain), next = chain_tip(chain)->height + 1;
	json_t *round, *seats = json_array();
	struct round_view view;

	if (base == 0 || !registry_round_view(chain_registry(chain), &view)) {
		json_decref(seats);
		return NULL;
	}
	round = rounds_show_round(chain, base);
	for (uint32_t seat = 0; seat < view.seats; seat++) {
		json_t *shown = json_object();

		json_object_set_new(shown, "height", json_integer(view.seat[seat].height));
		json_object_set_new(shown, "state",
			json_string(rounds_open_state(chain_spec(chain), base, next, &view.run[seat])));
		json_object_set_new(shown, "own", json_boolean(rounds_is_own(parts->runner, &view, seat)));
		rounds_show_recheck(shown, parts->prober, view.id, view.seat[seat].id);
		json_array_append_new(seats, shown);
	}
	json_object_set_new(round, "seats", seats);
	rounds_show_rechecks(round, parts->prober, view.id);
	return round;
}

/* --- audits --- */

static json_t *rounds_show_segment(const struct run_audit_segment *segment)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "segment", json_integer(segment->number));
	json_object_set_new(shown, "seed", json_hex(segment->seed, 32));
	json_object_set_new(shown, "digest", json_hex(segment->expected, 32));
	json_object_set_new(shown, "found_digest", json_hex(segment->found, 32));
	json_object_set_new(shown, "valid", json_boolean(segment->is_right));
	return shown;
}

static void rounds_on_audit(void *context, const struct run_audit_report *report)
{
	struct rpc_request *rounds_request = context;
	json_t *audit, *segments;

	if (report->error[0] != '\0') {
		rpc_fail(rounds_request, RPC_MISC_ERROR, "The audit could not be made: %s", report->error);
		return;
	}
	audit = json_object();
	segments = json_array();
	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(segments, rounds_show_segment(&report->segments[i]));
	json_object_set_new(audit, "height", json_integer(report->seat_height));
	json_object_set_new(audit, "base", json_integer(report->base_height));
	json_object_set_new(audit, "dataset", json_integer(report->dataset));
	json_object_set_new(audit, "disclosed", json_boolean(report->is_disclosed));
	json_object_set_new(audit, "own", json_boolean(report->is_own));
	json_object_set_new(audit, "segments", segments);
	json_object_set_new(audit, "valid", json_boolean(report->is_valid));
	if (report->is_challenged)
		json_object_set_new(audit, "challenge", json_hash(report->challenge));
	rpc_reply(rounds_request, audit);
}

static const struct rpc_arg auditrun_args[] = {
	{ .name = "height",
		.type = RPC_INT,
		.min = 1,
		.max = UINT32_MAX,
		.help = "Height of the block on the active chain whose seat it is." },
	{ .name = "segment",
		.type = RPC_INT,
		.optional = true,
		.min = 0,
		.max = UINT32_MAX,
		.help = "Which segment, from 0 on; if left out the one that was drawn, or the last that is there." },
	{ .name = "challenge",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Challenge a false segment of another's run, which strikes it, while the round is open." },
	{ 0 },
};

static enum rpc_outcome call_auditrun(struct rpc_request *rounds_request, void *context)
{
	const struct calls_rounds *calls = context;

	run_auditor_ask(calls->auditor,
		&(struct run_audit_order){
			.seat_height = (uint32_t)rpc_int(rounds_request, "height"),
			.segment = rpc_has(rounds_request, "segment") ? rpc_int(rounds_request, "segment") :
									RUN_AUDIT_DRAWN,
			.challenges = rpc_bool(rounds_request, "challenge"),
		},
		rounds_on_audit, rounds_request);
	return RPC_PENDING;
}

static const struct rpc_method rounds_methods[] = {
	{ "getrounds", "Training", call_getrounds, getrounds_args,
		"Lists the rounds of the active chain, the newest first: the heights at which they begin and end, and "
		"what became of their seats, which getround explains. The first one begins at the height round_blocks. "
		"Losses are the model's before and after the block that merges, whose proofs train it too.",
		"[{\"base\": n, \"basehash\": \"hex\",\n"
		"  \"commits_until\": n, \"beacon\": n, \"disclosures_until\": n, \"merge\": n,   heights\n"
		"  \"segments\": n,   that a run of this round may have at most\n"
		"  \"judged_by\": \"text\",   what its runs and their merge are measured by: reserved text; own "
		"pages,\n    if the merge before was void though there were true runs\n"
		"  \"over\": bool,     the merge's block is there, and then:\n"
		"  \"void\": bool,     nothing is merged: no true run is there, or the model would predict worse with "
		"them\n"
		"  \"halved\": bool,   it would with all of them, and does not with the better half: that is merged\n"
		"  \"loss_before\": nats, \"loss_after\": nats,   of that; of reserved text if it is void\n"
		"  \"seats\": {\"empty\": n, \"merged\": n, \"left out\": n, \"struck\": n},   before the merge "
		"those states that there are\n"
		"  \"rechecked\": n, \"found_false\": n}]   segments of others that this node executed again, "
		"runs found false",
		"3", 0 },
	{ "getround", "Training", call_getround, getround_args,
		"Tells who has the seats of a round, what they train on, and how far they are. Each block of the round "
		"before has one, and its miner may train a run: his node does so by itself. Until the height "
		"commits_until the seat is \"open\", or \"committed\" to a run. Then one segment is drawn, and until "
		"disclosures_until the run has to be \"disclosed\"; everybody executes that segment. With the merge a "
		"seat without a commit is \"empty\", which costs nothing. A run that was not disclosed, that was "
		"challenged, or whose segment is false is \"struck\": what its block paid the miner is lost. All "
		"others are true, and the block after the merge pays them by their segments: \"merged\" into the "
		"model, or \"left out\" of it, as they led much further than most or the model would predict worse "
		"with them, for which nobody is to blame.",
		"{getrounds' members, \"seats\": [{\n"
		"  \"height\": n, \"blockhash\": \"hex\", \"miner\": \"address\",   the block that the seat is for\n"
		"  \"dataset\": n,\n"
		"  \"state\": \"open\", \"committed\", \"not disclosed\", \"disclosed\", \"challenged\" or \"empty\"; "
		"after the merge \"merged\",\n"
		"           \"left out\", \"struck\" or \"empty\",\n"
		"  \"length\": n, \"trace_root\": \"hex\", \"drawn_segment\": n, \"blob\": \"hex\",   as soon as "
		"they are known\n"
		"  \"pay\": amount, \"paid\": bool,   what a true run of that length earns (before: of the round's "
		"segments), 0 where\n"
		"    the seat is empty or struck, and whether it has\n"
		"  \"own\": bool,   this node trains it, or has\n"
		"  \"rechecked\": n, \"false_segment\": n, \"challenge\": \"hex\",   what this node has found by "
		"executing segments again: how\n"
		"           many, the first that is false, the transaction that says so\n"
		"  \"digests\": [\"hex\"]}]}   of a disclosed one, if asked for",
		"16", 0 },
	{ "getruns", "Training", call_getruns, NULL,
		"Lists this node's own runs, of which it has the traces: of blocks whose miner is an address of one of "
		"its wallets.",
		"[{\"height\": n, \"blockhash\": \"hex\", \"miner\": \"address\",\n"
		"  \"base\": n, \"basehash\": \"hex\",\n"
		"  \"state\": \"training\", \"wallet locked\", \"committing\", \"committed\", \"disclosing\", "
		"\"disclosed\", \"missed\",\n"
		"           \"failed\" or \"other branch\"; after the merge \"merged\", \"left out\" (it is paid, but\n"
		"           its change is too large or would have harmed the model), \"struck\" (what its block\n"
		"           earned is lost) or \"empty\",\n"
		"  \"pay\": amount, \"pay_height\": n, \"paid\": bool,   after the merge: what it earns, in the block "
		"after the merge\n"
		"  \"segments_done\": n, \"segments\": n, \"iterations_done\": n, \"iterations\": n,\n"
		"  \"working\": bool,   a segment is in work\n"
		"  \"deadline\": n,     the last height for what comes next\n"
		"  \"length\": n, \"trace_root\": \"hex\",   segments that it has in the end, once that is known\n"
		"  \"trace_bytes\": n,  of its codes on disk, until 100 blocks after the merge\n"
		"  \"problem\": \"text\"}]   why it does not go on, was lost or struck: \"missed\" is too late\n"
		"           for what came next, \"failed\" is without a result by protocol, and the seats of both\n"
		"           stay empty where no commit was made",
		NULL, 0 },
	{ "auditrun", "Training", call_auditrun, auditrun_args,
		"Executes a segment again, of a run that was disclosed or is this node's own, and compares digests. "
		"Where the code that it starts from is not here, those before it are executed too.",
		"{\"height\": n, \"base\": n, \"dataset\": n, \"disclosed\": bool, \"own\": bool,\n"
		" \"segments\": [{\"segment\": n, \"seed\": \"hex\", \"digest\": \"hex\", \"found_digest\": \"hex\", "
		"\"valid\": bool}],\n"
		" \"valid\": bool,\n"
		" \"challenge\": \"hex\"}   id of the transaction, if there is one",
		"9 0", 0 },
};

struct calls_rounds *calls_rounds_new(struct rpc_table *table, struct calls_parts *parts)
{
	struct calls_rounds *calls = mem_calloc(1, sizeof *calls);

	calls->parts = parts;
	calls->auditor = run_auditor_new(parts->chain, parts->queue, parts->base, parts->runner, QUEUE_AUDIT);
	rpc_table_add(table, rounds_methods, sizeof rounds_methods / sizeof *rounds_methods, calls);
	return calls;
}

void calls_rounds_close(struct calls_rounds *calls)
{
	run_auditor_close(calls->auditor);
}

void calls_rounds_free(struct calls_rounds *calls)
{
	run_auditor_free(calls->auditor);
	free(calls);
}
