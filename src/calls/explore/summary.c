/* Everything of which one glance is enough, in one object. */
#include "calls/calls.h"
#include "calls/explore/past.h"
#include "calls/show.h"
#include "calls/training/rounds.h"

enum {
	SUMMARY_DAY = 24 * 60 * 60, /* seconds */
	SUMMARY_MEAN = 16           /* blocks: each is measured on windows of its own, so one alone says little */
};

/* Mean loss of the models after the last blocks up to this height, genesis left out, in millionths of a nat; below 0:
 * there is none. */
static int64_t summary_mean_loss(const struct past_block *blocks, uint32_t height)
{
	int64_t sum = 0, known = 0;

	for (int i = 0; height > 0 && i < SUMMARY_MEAN; i++, height--)
		if (blocks[height].loss >= 0) {
			sum += blocks[height].loss;
			known++;
		}
	return known > 0 ? sum / known : -1;
}

/* The last block that was a day old when the tip came, by median times, which never fall; block 1 of a younger chain.
 */
static const struct index_entry *summary_day_ago(const struct chain *chain)
{
	const struct index_entry *tip = chain_tip(chain);
	uint32_t low = 1, high = tip->height;

	while (low < high) {
		const uint32_t middle = low + (high - low + 1) / 2;

		if ((int64_t)chain_at(chain, middle)->median_time <= (int64_t)tip->median_time - SUMMARY_DAY)
			low = middle;
		else
			high = middle - 1;
	}
	return chain_at(chain, low);
}

/* Losses, of the tip and over a day. */
static json_t *summary_show_model(const struct chain *chain, struct past *past)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct model_config *model = &spec_course(chain_spec(chain))->train.model;
	const struct index_entry *day_ago;
	struct block_outcome outcome;
	json_t *shown = json_object();

	json_object_set_new(shown, "root", json_hash(tip->model_root_after));
	json_object_set_new(shown, "parameters", json_integer((json_int_t)model_count(model)));
	json_object_set_new(shown, "layers", json_integer(model->layers));
	json_object_set_new(shown, "ctx", json_integer(model->ctx));
	if (tip->height == 0)
		return shown;
	chain_outcome(tip, &outcome);
	day_ago = summary_day_ago(chain);
	json_object_set_new(shown, "loss_before", show_loss(outcome.loss_before));
	json_object_set_new(shown, "loss_after", show_loss(outcome.loss_after));
	json_object_set_new(shown, "loss", show_loss_after(&outcome));
	json_object_set_new(shown, "mean_loss", show_micro(summary_mean_loss(past_blocks(past), tip->height)));
	json_object_set_new(shown, "day_ago",
		json_pack("{s:I,s:I,s:o}", "height", (json_int_t)day_ago->height, "time",
			(json_int_t)day_ago->header.time, "mean_loss",
			show_micro(summary_mean_loss(past_blocks(past), day_ago->height))));
	return shown;
}

/* The slots of the next block, whose datasets the tip's ticket draws, and who has proofs already. */
static json_t *summary_show_slots(const struct chain *chain)
{
	const struct spec *spec = chain_spec(chain);
	uint32_t datasets[OUTCOME_MAX_SLOTS], proofs[OUTCOME_MAX_SLOTS] = { 0 };
	json_t *slots = json_array();

	registry_draw(chain_registry(chain), chain_tip(chain)->ticket, spec->slots, datasets);
	for (size_t i = 0; i < chain_loose_count(chain); i++) {
		uint8_t seed[32];

		header_seed(chain_loose_get(chain, i), seed);
		proofs[spec_slot(spec, seed)]++;
	}
	for (uint32_t slot = 0; slot < spec->slots; slot++)
		json_array_append_new(slots,
			json_pack("{s:I,s:I,s:I}", "slot", (json_int_t)slot, "dataset", (json_int_t)datasets[slot],
				"proofs", (json_int_t)proofs[slot]));
	return slots;
}

/* What waits for it. */
static json_t *summary_show_next(const struct chain *chain)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "height", (json_int_t)chain_tip(chain)->height + 1, "proofs",
		(json_int_t)chain_loose_count(chain), "late", (json_int_t)chain_late_count(chain), "transactions",
		(json_int_t)chain_mempool_count(chain), "bytes", (json_int_t)chain_mempool_bytes(chain), "slots",
		summary_show_slots(chain));
}

static json_t *summary_show_miner(const struct calls_parts *parts)
{
	struct miner_stats stats;
	json_t *shown = json_object();

	miner_stats(parts->miner, &stats);
	json_object_set_new(shown, "mining", json_boolean(stats.mining));
	if (stats.mining)
		json_object_set_new(shown, "address", show_address(chain_spec(parts->chain), stats.key));
	if (stats.mining && stats.paused != NULL)
		json_object_set_new(shown, "paused", json_string(stats.paused));
	json_object_set_new(shown, "attempts", json_integer((json_int_t)stats.attempts));
	json_object_set_new(shown, "shares", json_integer((json_int_t)stats.shares));
	json_object_set_new(shown, "blocks_found", json_integer((json_int_t)stats.blocks));
	json_object_set_new(shown, "steps_per_second", json_fixed((int64_t)stats.steps_per_1000_seconds, 3));
	json_object_set_new(shown, "tokens_per_second", json_integer((json_int_t)stats.tokens_per_second));
	return shown;
}

static enum rpc_outcome call_getsummary(struct rpc_request *summary_request, void *context)
{
	struct calls_parts *parts = context;
	const struct index_entry *tip = chain_tip(parts->chain);
	struct chain_activity activity;
	struct net_counts counts;
	json_t *shown = json_object(), *round, *run;

	chain_activity(parts->chain, &activity);
	net_counts(parts->net, &counts);
	json_object_set_new(shown, "chain", json_string(chain_spec(parts->chain)->name));
	json_object_set_new(shown, "height", json_integer(tip->height));
	json_object_set_new(shown, "hash", json_hash(tip->id));
	json_object_set_new(shown, "time", json_integer(tip->header.time));
	json_object_set_new(shown, "headers", json_integer(chain_best_header(parts->chain)->height));
	json_object_set_new(shown, "initialblockdownload", json_boolean(activity.initial_download));
	json_object_set_new(shown, "spacing", json_integer(chain_spec(parts->chain)->spacing));
	json_object_set_new(shown, "model", summary_show_model(parts->chain, parts->past));
	json_object_set_new(shown, "datasets", json_integer((json_int_t)registry_count(chain_registry(parts->chain))));
	json_object_set_new(shown, "next", summary_show_next(parts->chain));
	round = rounds_show_newest(parts);
	if (round != NULL)
		json_object_set_new(shown, "round", round);
	run = rounds_show_foremost(parts);
	if (run != NULL)
		json_object_set_new(shown, "run", run);
	json_object_set_new(shown, "peers", json_integer((json_int_t)(counts.inbound + counts.outbound)));
	json_object_set_new(shown, "miner", summary_show_miner(parts));
	json_object_set_new(shown, "warnings", show_warnings());
	return rpc_reply(summary_request, shown);
}

static const struct rpc_method summary_methods[] = {
	{ "getsummary", "Explorer", call_getsummary, NULL,
		"Tells how chain, model, round and node stand, in one object: what the first view of the page shows.",
		"{\n"
		"  \"chain\": \"name\", \"height\": n, \"hash\": \"hex\", \"time\": n,   of the tip\n"
		"  \"headers\": n, \"initialblockdownload\": bool,   getblockchaininfo's\n"
		"  \"spacing\": n,               seconds that there shall be between blocks\n"
		"  \"model\": {\"root\": \"hex\", \"parameters\": n, \"layers\": n, \"ctx\": n,\n"
		"    \"loss_before\": nats, \"loss_after\": nats,   on the tip's benchmark; this and what "
		"follows from block 1 on\n"
		"    \"loss\": nats,             of the present model: loss_before where the tip was void\n"
		"    \"mean_loss\": nats,        over the last 16 blocks, as each has windows of its own\n"
		"    \"day_ago\": {\"height\": n, \"time\": n, \"mean_loss\": nats}},   of a younger chain block 1\n"
		"  \"datasets\": n,\n"
		"  \"next\": {\"height\": n, \"proofs\": n, \"late\": n, \"transactions\": n, \"bytes\": n,   what "
		"waits for the next block\n"
		"    \"slots\": [{\"slot\": n, \"dataset\": n, \"proofs\": n}]},   all of that block's\n"
		"  \"round\": {getrounds' members,\n"
		"    \"seats\": [{\"height\": n, \"state\": \"open\" ..., \"own\": bool, \"rechecked\": n,\n"
		"      \"false_segment\": n, \"challenge\": \"hex\"}]},\n"
		"    getround's; on a chain with rounds, from the first on\n"
		"  \"run\": {getruns' members},   of this node's own one that is being trained, else the newest\n"
		"  \"peers\": n,\n"
		"  \"miner\": {\"mining\": bool, \"address\": \"address\", \"paused\": \"why\", \"attempts\": n, "
		"\"shares\": n, \"blocks_found\": n,\n"
		"    \"steps_per_second\": n, \"tokens_per_second\": n},   getmininginfo's\n"
		"  \"warnings\": []\n"
		"}",
		NULL, 0 },
};

void calls_summary_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, summary_methods, sizeof summary_methods / sizeof *summary_methods, parts);
}
