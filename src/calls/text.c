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
struct text_generation {
	struct calls_text *text_calls;
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
enum { TEXT_BYTES_MAX = 65536, TEXT_RUNNING_MAX = 16 };

/* On the worker: it reads the state, of which it has a reference, and writes text and size, which nobody else touches
 * until text_generate_done. */
static void text_generate_run(void *arg)
{
	struct text_generation *generation = arg;

	generation->size = generate_text(generation->state, (const uint8_t *)generation->prompt,
		generation->prompt_size, &generation->options, generation->text, generation->wanted);
}

static void text_generate_done(void *arg, bool cancelled)
{
	struct text_generation *generation = arg;

	/* A text that the node's end cut short must not pass for a whole one. */
	if (cancelled || atomic_load(&generation->text_calls->cancel)) {
		rpc_fail(generation->request, RPC_MISC_ERROR, "The node is shutting down");
	} else {
		json_t *generated = json_object();

		json_object_set_new(generated, "prompt", json_text(generation->prompt, generation->prompt_size));
		json_object_set_new(generated, "text", json_text((const char *)generation->text, generation->size));
		json_object_set_new(generated, "hex", json_hex(generation->text, generation->size));
		json_object_set_new(generated, "seed", json_u64(generation->options.seed));
		json_object_set_new(generated, "height", json_integer(generation->height));
		json_object_set_new(generated, "model_root", json_hash(state_root(generation->state)));
		rpc_reply(generation->request, generated);
	}
	generation->text_calls->running--;
	state_unref(generation->state);
	free(generation->prompt);
	free(generation->text);
	free(generation);
}

static const struct rpc_arg generatetext_args[] = {
	{ .name = "prompt",
		.type = RPC_BYTES,
		.fallback = "\"\"",
		.max = TEXT_BYTES_MAX,
		.help = "What to continue; \\u0000 may be in it." },
	{ .name = "bytes",
		.type = RPC_INT,
		.fallback = "200",
		.min = 1,
		.max = TEXT_BYTES_MAX,
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

static enum rpc_outcome call_generatetext(struct rpc_request *text_request, void *context)
{
	struct calls_text *text_calls = context;
	struct text_generation *generation;
	const char *prompt;

	if (text_calls->running >= TEXT_RUNNING_MAX)
		return rpc_fail(text_request, RPC_MISC_ERROR, "%d texts are being generated already", TEXT_RUNNING_MAX);
	generation = mem_calloc(1, sizeof *generation);
	generation->text_calls = text_calls;
	generation->request = text_request;
	generation->state = chain_state(text_calls->chain);
	generation->height = chain_tip(text_calls->chain)->height;
	generation->wanted = (size_t)rpc_int(text_request, "bytes");
	generation->text = mem_alloc(generation->wanted);
	prompt = rpc_bytes(text_request, "prompt", &generation->prompt_size);
	generation->prompt = mem_dup(prompt, generation->prompt_size);
	generation->options.temperature = rpc_int(text_request, "temperature") * 1e-8f;
	generation->options.top_k = (uint32_t)rpc_int(text_request, "top_k");
	/* Drawn here and told with the text, so that any text can be had again while the state is the same. */
	generation->options.seed = rpc_has(text_request, "seed") ? rpc_u64(text_request, "seed") : random_u64();
	generation->options.cancel = &text_calls->cancel;
	text_calls->running++;
	queue_post(text_calls->queue,
		&(struct queue_job){
			.kind = QUEUE_GENERATE,
			.owner = text_calls,
			.run = text_generate_run,
			.done = text_generate_done,
			.arg = generation,
		});
	return RPC_PENDING;
}

static const struct rpc_method text_methods[] = {
	{ "generatetext", "Training", call_generatetext, generatetext_args, "Lets the present model continue a text.",
		"{\"prompt\": \"text\",\n"
		" \"text\": \"text\",             what the model wrote; bytes that are no UTF-8 are shown as U+FFFD\n"
		" \"hex\": \"hex\",               the same, byte for byte\n"
		" \"seed\": \"n\", \"height\": n, \"model_root\": \"hex\"}",
		"\"The \" 300", 0 },
};

struct calls_text *calls_text_new(struct rpc_table *table, struct chain *chain, struct queue *queue)
{
	struct calls_text *text_calls = mem_calloc(1, sizeof *text_calls);

	text_calls->chain = chain;
	text_calls->queue = queue;
	rpc_table_add(table, text_methods, sizeof text_methods / sizeof *text_methods, text_calls);
	return text_calls;
}

void calls_text_close(struct calls_text *text_calls)
{
	atomic_store(&text_calls->cancel, true);
	/* Every request is answered when this returns, from text_generate_done: after that nothing here holds a state
	 * or a request. */
	queue_leave(text_calls->queue, text_calls);
}

void calls_text_free(struct calls_text *text_calls)
{
	free(text_calls);
}
