/* Text from the model, as jobs of the queue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "ml/generate.h"
#include "util/mem.h"
#include "util/random.h"

/* Text being generated for a client. */
struct generation {
	struct calls_text *calls;
	struct rpc_request *request;
	struct state *state;
	uint32_t height;
	struct generate_options options;
	char *prompt;
	uint8_t *text;
	size_t prompt_size, wanted, size;
};

struct calls_text {
	struct chain *chain;
	struct queue *queue;
	/* Set by the loop, read by the worker, which then ends in the middle of its text. */
	atomic_bool cancel;
	/* On the loop's thread alone, as all that is not the worker's. */
	size_t running;
};

/* Bytes of a prompt, and of a text: at most so long a worker is kept. Texts at a time, each of which keeps a state in
 * memory. */
enum { GENERATE_MAX = 65536, GENERATE_RUNNING_MAX = 16 };

/* On the worker: it reads the state, of which it has a reference, and writes text and size, which nobody else touches
 * until generate_done. */
static void generate_run(void *arg)
{
	struct generation *g = arg;

	g->size = generate_text(g->state, (const uint8_t *)g->prompt, g->prompt_size, &g->options, g->text, g->wanted);
}

static void generate_done(void *arg, bool cancelled)
{
	struct generation *g = arg;

	/* A text that the node's end cut short must not pass for a whole one. */
	if (cancelled || atomic_load(&g->calls->cancel)) {
		rpc_fail(g->request, RPC_MISC_ERROR, "The node is shutting down");
	} else {
		json_t *object = json_object();

		json_object_set_new(object, "prompt", json_text(g->prompt, g->prompt_size));
		json_object_set_new(object, "text", json_text((const char *)g->text, g->size));
		json_object_set_new(object, "hex", json_hex(g->text, g->size));
		json_object_set_new(object, "seed", json_u64(g->options.seed));
		json_object_set_new(object, "height", json_integer(g->height));
		json_object_set_new(object, "model_root", json_hash(state_root(g->state)));
		rpc_reply(g->request, object);
	}
	g->calls->running--;
	state_unref(g->state);
	free(g->prompt);
	free(g->text);
	free(g);
}

static const struct rpc_arg generatetext_args[] = {
	{ .name = "prompt",
		.type = RPC_BYTES,
		.fallback = "\"\"",
		.max = GENERATE_MAX,
		.help = "What to continue; \\u0000 may be in it." },
	{ .name = "bytes",
		.type = RPC_INT,
		.fallback = "200",
		.min = 1,
		.max = GENERATE_MAX,
		.help = "How much to write." },
	{ .name = "temperature",
		.type = RPC_DECIMAL,
		.fallback = "0.8",
		.min = 0,
		.max = 10 * COIN,
		.help = "0: always the likeliest byte; higher: more daring." },
	{ .name = "seed",
		.type = RPC_U64,
		.optional = true,
		.help = "Same seed, same text on one machine; drawn if left out. Below 2^64; above 2^53 better as a "
			"string, which no client takes for a double." },
	{ .name = "top_k",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = 256,
		.help = "Choose among so many of the likeliest bytes; 0: all." },
	{ 0 },
};

static enum rpc_outcome call_generatetext(struct rpc_request *r, void *context)
{
	struct calls_text *calls = context;
	struct generation *g;
	const char *prompt;

	if (calls->running >= GENERATE_RUNNING_MAX)
		return rpc_fail(r, RPC_MISC_ERROR, "%d texts are being generated already", GENERATE_RUNNING_MAX);
	g = mem_calloc(1, sizeof *g);
	g->calls = calls;
	g->request = r;
	g->state = chain_state(calls->chain);
	g->height = chain_tip(calls->chain)->height;
	g->wanted = (size_t)rpc_int(r, "bytes");
	g->text = mem_alloc(g->wanted);
	prompt = rpc_bytes(r, "prompt", &g->prompt_size);
	g->prompt = mem_dup(prompt, g->prompt_size);
	g->options.temperature = rpc_int(r, "temperature") * 1e-8f;
	g->options.top_k = (uint32_t)rpc_int(r, "top_k");
	/* Drawn here and told with the text, so that any text can be had again while the state is the same. */
	g->options.seed = rpc_has(r, "seed") ? rpc_u64(r, "seed") : random_u64();
	g->options.cancel = &calls->cancel;
	calls->running++;
	queue_post(calls->queue,
		&(struct queue_job){
			.kind = QUEUE_GENERATE,
			.owner = calls,
			.run = generate_run,
			.done = generate_done,
			.arg = g,
		});
	return RPC_PENDING;
}

static const struct rpc_method methods[] = {
	{ "generatetext", "Training", call_generatetext, generatetext_args, "Lets the present model continue a text.",
		"{\"prompt\": \"text\",\n"
		" \"text\": \"text\",             what the model wrote; bytes that are no UTF-8 are shown as U+FFFD\n"
		" \"hex\": \"hex\",               the same, byte for byte\n"
		" \"seed\": \"n\", \"height\": n, \"model_root\": \"hex\"}",
		"\"The \" 300", 0 },
};

struct calls_text *calls_text_new(struct rpc_table *table, struct chain *chain, struct queue *queue)
{
	struct calls_text *calls = mem_calloc(1, sizeof *calls);

	calls->chain = chain;
	calls->queue = queue;
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, calls);
	return calls;
}

void calls_text_close(struct calls_text *calls)
{
	atomic_store(&calls->cancel, true);
	/* Every request is answered when this returns, from generate_done: after that nothing here holds a state or a
	 * request. */
	queue_leave(calls->queue, calls);
}

void calls_text_free(struct calls_text *calls)
{
	free(calls);
}
