#include "node/calls.h"

#include <stdlib.h>
#include <string.h>

#include "ml/generate.h"
#include "node/loop.h"
#include "rpc/show.h"
#include "util/mem.h"
#include "util/random.h"

/* Text being generated for a client. */
struct generation {
	struct generation *next;
	struct calls_training *training;
	struct rpc_request *request;
	struct state *state;
	uint32_t height;
	struct generate_options options;
	char *prompt;
	uint8_t *text;
	size_t wanted, size;
};

struct calls_training {
	struct chain *chain;
	const struct miner *miner;
	struct loop_pool pool;
	atomic_bool cancel;
	size_t running;
};

enum { GENERATE_MAX = 65536, GENERATE_RUNNING_MAX = 16 };

/* Datasets of the slots that the tip's child will train on. */
static json_t *show_next_slots(const struct chain *chain)
{
	const struct spec *spec = chain_spec(chain);
	const struct registry *registry = chain_registry(chain);
	uint32_t dataset[OUTCOME_MAX_SLOTS];
	json_t *array = json_array();
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
	{.name = "nblocks", .type = RPC_INT, .fallback = "10", .min = 0, .max = 2016, .help = "How many of the newest blocks to list."},
	{0},
};

static enum rpc_outcome gettraininginfo(struct rpc_request *r, void *context)
{
	struct calls_training *training = context;
	const struct index_entry *tip = chain_tip(training->chain);
	struct miner_stats stats;
	miner_stats(training->miner, &stats);
	json_t *object = json_object();
	json_object_set_new(object, "height", json_integer(tip->height));
	json_object_set_new(object, "model_root", json_hash(tip->model_root_after));
	json_object_set_new(object, "loss", tip->height == 0 ? json_null() :
		show_loss(tip->outcome.outcome.is_void ? tip->outcome.loss_before : tip->outcome.loss_after));
	json_object_set_new(object, "next_slots", show_next_slots(training->chain));
	json_object_set_new(object, "loose_proofs", json_integer((json_int_t)chain_loose_count(training->chain)));
	json_object_set_new(object, "steps_per_second", json_fixed((int64_t)stats.steps_per_1000_seconds, 3));
	json_object_set_new(object, "tokens_per_second", json_integer((json_int_t)stats.tokens_per_second));
	json_object_set_new(object, "verification", show_activity(training->chain));
	json_object_set_new(object, "blocks", show_recent(training->chain, (uint32_t)rpc_int(r, "nblocks")));
	return rpc_reply(r, object);
}

static enum rpc_outcome getmodelinfo(struct rpc_request *r, void *context)
{
	struct calls_training *training = context;
	const struct index_entry *tip = chain_tip(training->chain);
	const struct train_config *train = &chain_spec(training->chain)->train;
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

static void generate_run(void *arg)
{
	struct generation *g = arg;
	loop_give_way();
	g->size = generate_text(g->state, (const uint8_t *)g->prompt, strlen(g->prompt), &g->options, g->text, g->wanted);
}

static void generate_done(void *arg, bool cancelled)
{
	struct generation *g = arg;
	if (cancelled || atomic_load(&g->training->cancel)) {
		rpc_fail(g->request, RPC_MISC_ERROR, "The node is shutting down");
	} else {
		json_t *object = json_object();
		char seed[24];
		snprintf(seed, sizeof(seed), "%llu", (unsigned long long)g->options.seed);
		json_object_set_new(object, "prompt", json_string(g->prompt));
		json_object_set_new(object, "text", json_text((const char *)g->text, g->size));
		json_object_set_new(object, "hex", json_hex(g->text, g->size));
		json_object_set_new(object, "seed", json_decimal(seed));
		json_object_set_new(object, "height", json_integer(g->height));
		json_object_set_new(object, "model_root", json_hash(state_root(g->state)));
		rpc_reply(g->request, object);
	}
	g->training->running--;
	state_unref(g->state);
	free(g->prompt);
	free(g->text);
	free(g);
}

static const struct rpc_arg generatetext_args[] = {
	{.name = "prompt", .type = RPC_TEXT, .fallback = "\"\"", .max = GENERATE_MAX, .help = "What to continue."},
	{.name = "bytes", .type = RPC_INT, .fallback = "200", .min = 1, .max = GENERATE_MAX, .help = "How much to write."},
	{.name = "temperature", .type = RPC_DECIMAL, .fallback = "0.8", .min = 0, .max = 10 * COIN,
		.help = "0: always the likeliest byte; higher: more daring."},
	{.name = "seed", .type = RPC_INT, .optional = true, .min = 0, .max = INT64_MAX,
		.help = "Same seed, same text on one machine; drawn if left out."},
	{.name = "top_k", .type = RPC_INT, .fallback = "0", .min = 0, .max = 256,
		.help = "Choose among so many of the likeliest bytes; 0: all."},
	{0},
};

static enum rpc_outcome generatetext(struct rpc_request *r, void *context)
{
	struct calls_training *training = context;
	if (training->running >= GENERATE_RUNNING_MAX)
		return rpc_fail(r, RPC_MISC_ERROR, "%d texts are being generated already", GENERATE_RUNNING_MAX);
	struct generation *g = mem_calloc(1, sizeof(*g));
	g->training = training;
	g->request = r;
	g->state = chain_state(training->chain);
	g->height = chain_tip(training->chain)->height;
	g->wanted = (size_t)rpc_int(r, "bytes");
	g->text = mem_alloc(g->wanted);
	g->prompt = mem_strdup(rpc_text(r, "prompt"));
	g->options.temperature = rpc_int(r, "temperature") * 1e-8f;
	g->options.top_k = (uint32_t)rpc_int(r, "top_k");
	g->options.seed = rpc_has(r, "seed") ? (uint64_t)rpc_int(r, "seed") : random_u64() >> 1;
	g->options.cancel = &training->cancel;
	training->running++;
	pool_post(training->pool.pool, generate_run, generate_done, g, false);
	return RPC_PENDING;
}

static const struct rpc_method methods[] = {
	{"gettraininginfo", "Training", gettraininginfo, gettraininginfo_args, "Tells how the training of the model goes.",
		"{\n"
		"  \"height\": n, \"model_root\": \"hex\",\n"
		"  \"loss\": nats,                benchmark loss of the present model\n"
		"  \"next_slots\": [{\"dataset\": n, \"title\": \"text\"}],   what the next block trains on\n"
		"  \"loose_proofs\": n,           waiting for the next block\n"
		"  \"steps_per_second\": n, \"tokens_per_second\": n,   of this node's miner\n"
		"  \"verification\": {\"blocks_waiting\", \"blocks_verifying\", \"proofs_verifying\", \"steps_done\", \"steps_total\",\n"
		"                   \"proofs_executed\", \"proofs_false\"},\n"
		"  \"blocks\": [{\"height\", \"hash\", \"proofs\", \"loss_before\", \"loss_after\", \"outcome\", \"model_root_after\"}]\n"
		"}", "20", 0},
	{"getmodelinfo", "Training", getmodelinfo, NULL, "Gives the model's sizes and where it stands.",
		"{\"architecture\", \"parameters\", \"d\", \"layers\", \"heads\", \"ff\", \"ctx\", \"vocabulary\", \"tokens_per_step\",\n"
		" \"state_bytes\", \"body_bytes\", \"height\", \"bestblockhash\", \"model_root\"}", NULL, 0},
	{"generatetext", "Training", generatetext, generatetext_args,
		"Lets the present model continue a text.",
		"{\"prompt\": \"text\", \"text\": \"what the model wrote\", \"hex\": \"the same, byte for byte\", \"seed\": n, \"height\": n,\n"
		" \"model_root\": \"hex\"}",
		"\"The \" 300", 0},
};

struct calls_training *calls_training_new(struct rpc_table *table, struct chain *chain, const struct miner *miner,
	struct event_base *base)
{
	struct calls_training *training = mem_calloc(1, sizeof(*training));
	training->chain = chain;
	training->miner = miner;
	loop_pool_init(&training->pool, base, 1);
	rpc_table_add(table, methods, sizeof(methods) / sizeof(*methods), training);
	return training;
}

void calls_training_close(struct calls_training *training)
{
	atomic_store(&training->cancel, true);
	loop_pool_clear(&training->pool);
}

void calls_training_free(struct calls_training *training)
{
	free(training);
}
