/* How the training of the model goes. */
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/training/rounds.h"
#include "calls/training/trained.h"

/* Datasets of the slots that the tip's child will train on. */
static json_t *training_show_next_slots(const struct chain *chain)
{
	const struct spec *spec = chain_spec(chain);
	const struct registry *registry = chain_registry(chain);
	uint32_t next_datasets[OUTCOME_MAX_SLOTS];
	json_t *next_slots = json_array();

	/* From the tip's ticket, which nobody knew before the tip was found: whoever contributes data cannot choose who
	 * trains on it when. */
	registry_draw(registry, chain_tip(chain)->ticket, spec->slots, next_datasets);
	for (uint32_t slot = 0; slot < spec->slots; slot++) {
		const struct dataset *drawn_dataset = registry_get(registry, next_datasets[slot]);
		json_t *next_slot = json_object();

		json_object_set_new(next_slot, "dataset", json_integer(next_datasets[slot]));
		json_object_set_new(next_slot, "title", json_text(drawn_dataset->title, strlen(drawn_dataset->title)));
		json_array_append_new(next_slots, next_slot);
	}
	return next_slots;
}

static json_t *training_show_recent(const struct chain *chain, uint32_t recent_count)
{
	json_t *recent_blocks = json_array();
	const struct index_entry *recent_entry = chain_tip(chain);

	for (; recent_count > 0 && recent_entry->height > 0; recent_count--, recent_entry = recent_entry->parent) {
		json_t *recent_block = json_object();

		json_object_set_new(recent_block, "height", json_integer(recent_entry->height));
		json_object_set_new(recent_block, "hash", json_hash(recent_entry->id));
		json_object_set_new(recent_block, "proofs", json_integer(1 + (json_int_t)recent_entry->loose_count));
		/* From the index, which keeps what was found when the block was verified: no block is read from disk
		 * for this. */
		show_add_result(recent_block, recent_entry);
		json_array_append_new(recent_blocks, recent_block);
	}
	return recent_blocks;
}

static json_t *training_show_activity(struct chain *chain)
{
	struct chain_activity activity;
	json_t *activity_shown = json_object();

	chain_activity(chain, &activity);
	json_object_set_new(activity_shown, "blocks_waiting", json_integer((json_int_t)activity.blocks_waiting));
	json_object_set_new(activity_shown, "blocks_verifying", json_integer((json_int_t)activity.blocks_verifying));
	json_object_set_new(activity_shown, "proofs_verifying", json_integer((json_int_t)activity.proofs_verifying));
	json_object_set_new(activity_shown, "steps_done", json_integer(activity.steps_done));
	json_object_set_new(activity_shown, "steps_total", json_integer(activity.steps_total));
	json_object_set_new(activity_shown, "proofs_executed", json_integer((json_int_t)activity.proofs_executed));
	json_object_set_new(activity_shown, "proofs_false", json_integer((json_int_t)activity.proofs_false));
	return activity_shown;
}

static const struct rpc_arg gettraininginfo_args[] = {
	{ .name = "nblocks",
		.type = RPC_INT,
		.fallback = "10",
		.min = 0,
		.max = 2016,
		.help = "How many of the newest blocks to list." },
	{ 0 },
};

static enum rpc_outcome call_gettraininginfo(struct rpc_request *training_request, void *context)
{
	struct calls_parts *training = context;
	const struct index_entry *training_tip = chain_tip(training->chain);
	struct block_outcome tip_outcome;
	struct miner_stats miner_now;
	json_t *training_info;

	miner_stats(training->miner, &miner_now);
	training_info = json_object();
	json_object_set_new(training_info, "height", json_integer(training_tip->height));
	json_object_set_new(training_info, "model_root", json_hash(training_tip->model_root_after));
	json_object_set_new(training_info, "loss",
		training_tip->height == 0 ? json_null() : show_loss_after(chain_outcome(training_tip, &tip_outcome)));
	json_object_set_new(training_info, "next_slots", training_show_next_slots(training->chain));
	json_object_set_new(training_info, "loose_proofs",
		json_integer((json_int_t)chain_loose_count(training->chain)));
	json_object_set_new(training_info, "late_proofs", json_integer((json_int_t)chain_late_count(training->chain)));
	json_object_set_new(training_info, "steps_per_second",
		json_fixed((int64_t)miner_now.steps_per_1000_seconds, 3));
	json_object_set_new(training_info, "tokens_per_second", json_integer((json_int_t)miner_now.tokens_per_second));
	json_object_set_new(training_info, "verification", training_show_activity(training->chain));
	if (chain_spec(training->chain)->round_blocks > 0)
		json_object_set_new(training_info, "runs", rounds_show_training(training->runner));
	json_object_set_new(training_info, "blocks",
		training_show_recent(training->chain, (uint32_t)rpc_int(training_request, "nblocks")));
	return rpc_reply(training_request, training_info);
}

static const struct rpc_arg getmodelinfo_args[] = {
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "100",
		.min = 0,
		.max = 100000,
		.help = "How many datasets to list at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = UINT32_MAX,
		.help = "How many of them to leave out before." },
	{ 0 },
};

static enum rpc_outcome call_getmodelinfo(struct rpc_request *training_request, void *context)
{
	struct calls_parts *training = context;
	const struct index_entry *training_tip = chain_tip(training->chain);
	const struct train_config *train = &spec_course(chain_spec(training->chain))->train;
	const struct model_config *model = &train->model;
	json_t *model_info = json_object();
	struct trained trained;

	json_object_set_new(model_info, "architecture", json_string("llama, byte level"));
	json_object_set_new(model_info, "parameters", json_integer((json_int_t)model_count(model)));
	json_object_set_new(model_info, "d", json_integer(model->d));
	json_object_set_new(model_info, "layers", json_integer(model->layers));
	json_object_set_new(model_info, "heads", json_integer(model->heads));
	json_object_set_new(model_info, "ff", json_integer(model->ff));
	json_object_set_new(model_info, "ctx", json_integer(model->ctx));
	json_object_set_new(model_info, "vocabulary", json_integer(MODEL_VOCABULARY));
	json_object_set_new(model_info, "tokens_per_step",
		json_integer((json_int_t)train->iterations * train->batch * model->ctx));
	json_object_set_new(model_info, "state_bytes", json_integer((json_int_t)state_size(model)));
	json_object_set_new(model_info, "body_bytes", json_integer((json_int_t)step_delta_size(train)));
	json_object_set_new(model_info, "height", json_integer(training_tip->height));
	json_object_set_new(model_info, "bestblockhash", json_hash(training_tip->id));
	json_object_set_new(model_info, "model_root", json_hash(training_tip->model_root_after));
	trained_gather(training->chain, &trained);
	json_object_set_new(model_info, "datasets", json_integer((json_int_t)trained.count));
	json_object_set_new(model_info, "slots", json_integer((json_int_t)trained.slots));
	json_object_set_new(model_info, "data",
		trained_show(&trained, (size_t)rpc_int(training_request, "skip"),
			(size_t)rpc_int(training_request, "count")));
	trained_clear(&trained);
	return rpc_reply(training_request, model_info);
}

static const struct rpc_method training_methods[] = {
	{ "gettraininginfo", "Training", call_gettraininginfo, gettraininginfo_args,
		"Tells how the training of the model goes.",
		"{\n"
		"  \"height\": n, \"model_root\": \"hex\",\n"
		"  \"loss\": nats,                benchmark loss of the present model; null at genesis\n"
		"  \"next_slots\": [{\"dataset\": n, \"title\": \"text\"}],   what the next block trains on\n"
		"  \"loose_proofs\": n,           waiting for the next block\n"
		"  \"late_proofs\": n,            that it can pay, and that were for one before\n"
		"  \"steps_per_second\": n, \"tokens_per_second\": n,   of this node's miner\n"
		"  \"verification\": {\"blocks_waiting\", \"blocks_verifying\", \"proofs_verifying\", "
		"\"steps_done\", \"steps_total\",\n"
		"                   \"proofs_executed\", \"proofs_false\"},\n"
		"  \"runs\": {\"training\": n, ..., \"working\": n, \"segments_done\": n},   on a chain with "
		"rounds: its own\n"
		"                               by their state, and the segments of these, until the merge\n"
		"  \"blocks\": [{\"height\", \"hash\", \"proofs\", \"loss_before\", \"loss_after\", "
		"\"outcome\", \"model_root_after\"}]\n"
		"}",
		"20", 0 },
	{ "getmodelinfo", "Training", call_getmodelinfo, getmodelinfo_args,
		"Gives the model's sizes, where it stands, and what it was trained on.",
		"{\"architecture\", \"parameters\", \"d\", \"layers\", \"heads\", \"ff\", \"ctx\", "
		"\"vocabulary\", \"tokens_per_step\",\n"
		" \"state_bytes\", \"body_bytes\", \"height\", \"bestblockhash\", \"model_root\",\n"
		" \"datasets\": n, \"slots\": n,   that it was trained on, and in how many slots of blocks\n"
		" \"data\": [{\"root\", \"title\", \"owner\", \"licence\", \"bytes\", \"slots\", "
		"\"share\"}]}   a share of 1 would be all slots",
		NULL, 0 },
};

void calls_training_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, training_methods, sizeof training_methods / sizeof *training_methods, parts);
}
