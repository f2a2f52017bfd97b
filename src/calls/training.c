/* How the training of the model goes. */
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"

/* Datasets of the slots that the tip's child will train on. */
static json_t *show_next_slots(const struct chain *chain)
{
	const struct spec *spec = chain_spec(chain);
	const struct registry *registry = chain_registry(chain);
	uint32_t dataset[OUTCOME_MAX_SLOTS];
	json_t *array = json_array();

	/* From the tip's ticket, which nobody knew before the tip was found: whoever contributes data cannot choose who
	 * trains on it when. */
	registry_draw(registry, chain_tip(chain)->ticket, spec->slots, dataset);
	for (uint32_t s = 0; s < spec->slots; s++) {
		const struct dataset *drawn = registry_get(registry, dataset[s]);
		json_t *slot = json_object();

		json_object_set_new(slot, "dataset", json_integer(dataset[s]));
		json_object_set_new(slot, "title", json_text(drawn->title, strlen(drawn->title)));
		json_array_append_new(array, slot);
	}
	return array;
}

static json_t *show_recent(const struct chain *chain, uint32_t count)
{
	json_t *array = json_array();
	const struct index_entry *entry = chain_tip(chain);

	for (; count > 0 && entry->height > 0; count--, entry = entry->parent) {
		json_t *block = json_object();

		json_object_set_new(block, "height", json_integer(entry->height));
		json_object_set_new(block, "hash", json_hash(entry->id));
		json_object_set_new(block, "proofs", json_integer(1 + (json_int_t)entry->loose_count));
		/* From the index, which keeps what was found when the block was verified: no block is read from disk
		 * for this. */
		show_add_result(block, entry);
		json_array_append_new(array, block);
	}
	return array;
}

static json_t *show_activity(struct chain *chain)
{
	struct chain_activity activity;
	json_t *object = json_object();

	chain_activity(chain, &activity);
	json_object_set_new(object, "blocks_waiting", json_integer((json_int_t)activity.blocks_waiting));
	json_object_set_new(object, "blocks_verifying", json_integer((json_int_t)activity.blocks_verifying));
	json_object_set_new(object, "proofs_verifying", json_integer((json_int_t)activity.proofs_verifying));
	json_object_set_new(object, "steps_done", json_integer(activity.steps_done));
	json_object_set_new(object, "steps_total", json_integer(activity.steps_total));
	json_object_set_new(object, "proofs_executed", json_integer((json_int_t)activity.proofs_executed));
	json_object_set_new(object, "proofs_false", json_integer((json_int_t)activity.proofs_false));
	return object;
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

static enum rpc_outcome call_gettraininginfo(struct rpc_request *r, void *context)
{
	struct calls_parts *training = context;
	const struct index_entry *tip = chain_tip(training->chain);
	struct miner_stats stats;
	json_t *object;

	miner_stats(training->miner, &stats);
	object = json_object();
	json_object_set_new(object, "height", json_integer(tip->height));
	json_object_set_new(object, "model_root", json_hash(tip->model_root_after));
	json_object_set_new(object, "loss",
		tip->height == 0 ?
			json_null() :
			show_loss(tip->outcome.outcome.is_void ? tip->outcome.loss_before : tip->outcome.loss_after));
	json_object_set_new(object, "next_slots", show_next_slots(training->chain));
	json_object_set_new(object, "loose_proofs", json_integer((json_int_t)chain_loose_count(training->chain)));
	json_object_set_new(object, "steps_per_second", json_fixed((int64_t)stats.steps_per_1000_seconds, 3));
	json_object_set_new(object, "tokens_per_second", json_integer((json_int_t)stats.tokens_per_second));
	json_object_set_new(object, "verification", show_activity(training->chain));
	json_object_set_new(object, "blocks", show_recent(training->chain, (uint32_t)rpc_int(r, "nblocks")));
	return rpc_reply(r, object);
}

static enum rpc_outcome call_getmodelinfo(struct rpc_request *r, void *context)
{
	struct calls_parts *training = context;
	const struct index_entry *tip = chain_tip(training->chain);
	const struct train_config *train = &spec_course(chain_spec(training->chain))->train;
	const struct model_config *model = &train->model;
	json_t *object = json_object();

	json_object_set_new(object, "architecture", json_string("llama, byte level"));
	json_object_set_new(object, "parameters", json_integer((json_int_t)model_count(model)));
	json_object_set_new(object, "d", json_integer(model->d));
	json_object_set_new(object, "layers", json_integer(model->layers));
	json_object_set_new(object, "heads", json_integer(model->heads));
	json_object_set_new(object, "ff", json_integer(model->ff));
	json_object_set_new(object, "ctx", json_integer(model->ctx));
	json_object_set_new(object, "vocabulary", json_integer(MODEL_VOCABULARY));
	json_object_set_new(object, "tokens_per_step",
		json_integer((json_int_t)train->iterations * train->batch * model->ctx));
	json_object_set_new(object, "state_bytes", json_integer((json_int_t)state_size(model)));
	json_object_set_new(object, "body_bytes", json_integer((json_int_t)step_delta_size(train)));
	json_object_set_new(object, "height", json_integer(tip->height));
	json_object_set_new(object, "bestblockhash", json_hash(tip->id));
	json_object_set_new(object, "model_root", json_hash(tip->model_root_after));
	return rpc_reply(r, object);
}

static const struct rpc_method methods[] = {
	{ "gettraininginfo", "Training", call_gettraininginfo, gettraininginfo_args,
		"Tells how the training of the model goes.",
		"{\n"
		"  \"height\": n, \"model_root\": \"hex\",\n"
		"  \"loss\": nats,                benchmark loss of the present model\n"
		"  \"next_slots\": [{\"dataset\": n, \"title\": \"text\"}],   what the next block trains on\n"
		"  \"loose_proofs\": n,           waiting for the next block\n"
		"  \"steps_per_second\": n, \"tokens_per_second\": n,   of this node's miner\n"
		"  \"verification\": {\"blocks_waiting\", \"blocks_verifying\", \"proofs_verifying\", "
		"\"steps_done\", \"steps_total\",\n"
		"                   \"proofs_executed\", \"proofs_false\"},\n"
		"  \"blocks\": [{\"height\", \"hash\", \"proofs\", \"loss_before\", \"loss_after\", "
		"\"outcome\", \"model_root_after\"}]\n"
		"}",
		"20", 0 },
	{ "getmodelinfo", "Training", call_getmodelinfo, NULL, "Gives the model's sizes and where it stands.",
		"{\"architecture\", \"parameters\", \"d\", \"layers\", \"heads\", \"ff\", \"ctx\", "
		"\"vocabulary\", \"tokens_per_step\",\n"
		" \"state_bytes\", \"body_bytes\", \"height\", \"bestblockhash\", \"model_root\"}",
		NULL, 0 },
};

void calls_training_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, parts);
}
