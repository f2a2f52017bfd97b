/* Text from the model, written by the node's writer. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/completion.h"
#include "calls/show.h"
#include "util/mem.h"
#include "util/random.h"

/* A text being written for a client. */
struct text_generation {
	struct rpc_request *request;
	const struct calls_parts *parts;
	bool wants_receipt;
	struct pick_options options;
	char *prompt;
	size_t prompt_size;
};

/* False with the answer given: nothing was written. */
static bool text_was_written(struct rpc_request *text_request, const struct writer_result *result)
{
	if (result->status == WRITER_CLOSING)
		rpc_fail(text_request, RPC_MISC_ERROR, "The node is shutting down");
	else if (result->status == WRITER_FAILED)
		rpc_fail(text_request, RPC_MISC_ERROR,
			"This model cannot go on with this text: its numbers are too large for exact products");
	return result->status == WRITER_WRITTEN;
}

static void text_add_model(json_t *answered, const struct writer_result *result)
{
	json_object_set_new(answered, "height", json_integer(result->entry->height));
	json_object_set_new(answered, "model_root", json_hash(result->root));
}

/* ---- generatetext ---- */

static void text_reply(const struct text_generation *generation, json_t *generated, const struct writer_result *result)
{
	struct errmsg err = { "" };
	json_t *receipt = NULL;

	if (generation->wants_receipt)
		receipt = completion_receipt(generation->parts, &generation->options, generation->prompt,
			generation->prompt_size, result, &err);
	if (receipt != NULL)
		json_object_set_new(generated, "receipt", receipt);
	if (receipt != NULL || !generation->wants_receipt) {
		rpc_reply(generation->request, generated);
		return;
	}
	json_decref(generated);
	rpc_fail(generation->request, RPC_MISC_ERROR, "The receipt cannot be signed: %s", err.text);
}

static void text_generate_done(void *context, const struct writer_result *result)
{
	struct text_generation *generation = context;

	if (text_was_written(generation->request, result)) {
		json_t *generated = json_object();

		json_object_set_new(generated, "prompt", json_text(generation->prompt, generation->prompt_size));
		json_object_set_new(generated, "text", json_text((const char *)result->bytes, result->size));
		json_object_set_new(generated, "hex", json_hex(result->bytes, result->size));
		json_object_set_new(generated, "seed", json_u64(generation->options.seed));
		text_add_model(generated, result);
		text_reply(generation, generated, result);
	}
	free(generation->prompt);
	free(generation);
}

static const struct rpc_arg generatetext_args[] = {
	{ .name = "prompt",
		.type = RPC_BYTES,
		.fallback = "\"\"",
		.max = WRITER_BYTES_MAX,
		.help = "What to continue; \\u0000 may be in it." },
	{ .name = "bytes",
		.type = RPC_INT,
		.fallback = "200",
		.min = 1,
		.max = WRITER_BYTES_MAX,
		.help = "How much to write." },
	{ .name = "temperature",
		.type = RPC_DECIMAL,
		.fallback = "0.8",
		.min = 0,
		.max = 10 * COIN,
		.help = "0: always the likeliest byte; higher: more daring. In millionths: further decimals are cut "
			"off." },
	{ .name = "seed",
		.type = RPC_U64,
		.optional = true,
		.help = "Same seed, same text, on every machine that has this model; drawn if left out. Below 2^64; "
			"above 2^53 better as a string, which no client takes for a double." },
	{ .name = "top_k",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = 256,
		.help = "Choose among so many of the likeliest bytes; 0: all." },
	{ .name = "top_p",
		.type = RPC_DECIMAL,
		.fallback = "1",
		.min = 100,
		.max = COIN,
		.help = "Choose among the likeliest bytes that have this part of the probability between them." },
	{ .name = "exact",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "false: in ordinary floats, as other programs compute with exported weights, to compare with "
			"them; not the same on every machine." },
	{ .name = "receipt",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Answer with a receipt that this node signs and anybody can check (verifycompletion)." },
	{ 0 },
};

/* Amounts have 8 decimals, the options of a text 6. */
static uint32_t text_millionths(const struct rpc_request *text_request, const char *name)
{
	return (uint32_t)(rpc_int(text_request, name) / 100);
}

static enum writer_arithmetic text_arithmetic(const struct rpc_request *text_request)
{
	return rpc_bool(text_request, "exact") ? WRITER_EXACT : WRITER_PLAIN;
}

static enum rpc_outcome call_generatetext(struct rpc_request *text_request, void *context)
{
	const struct calls_parts *parts = context;
	struct text_generation *generation = mem_calloc(1, sizeof *generation);
	const char *prompt = rpc_bytes(text_request, "prompt", &generation->prompt_size);

	generation->request = text_request;
	generation->parts = parts;
	generation->wants_receipt = rpc_bool(text_request, "receipt");
	generation->prompt = mem_dup(prompt, generation->prompt_size);
	generation->options.temperature = text_millionths(text_request, "temperature");
	generation->options.top_k = (uint32_t)rpc_int(text_request, "top_k");
	generation->options.top_p = text_millionths(text_request, "top_p");
	/* Drawn here and told with the text, so that any text can be had again from this state. */
	generation->options.seed = rpc_has(text_request, "seed") ? rpc_u64(text_request, "seed") : random_u64();
	const struct writer_order order = {
		.prompt = generation->prompt,
		.prompt_size = generation->prompt_size,
		.options = generation->options,
		.count = (size_t)rpc_int(text_request, "bytes"),
		.arithmetic = text_arithmetic(text_request),
		.done = text_generate_done,
		.context = generation,
	};

	if (generation->wants_receipt && order.arithmetic == WRITER_PLAIN) {
		free(generation->prompt);
		free(generation);
		return rpc_fail(text_request, RPC_INVALID_PARAMETER, "a receipt is of exact texts only");
	}
	if (writer_write(parts->writer, &order) != NULL)
		return RPC_PENDING;
	free(generation->prompt);
	free(generation);
	return rpc_fail(text_request, RPC_MISC_ERROR, "%d texts are being generated already", WRITER_TEXTS_MAX);
}

/* ---- getlogits ---- */

static void text_logits_done(void *context, const struct writer_result *result)
{
	struct rpc_request *text_request = context;
	json_t *answered;

	if (!text_was_written(text_request, result))
		return;
	answered = json_object();
	json_object_set_new(answered, "logits", show_logits(result->logits));
	text_add_model(answered, result);
	rpc_reply(text_request, answered);
}

static const struct rpc_arg getlogits_args[] = {
	{ .name = "text",
		.type = RPC_HEX,
		/* The largest of any chain; this chain's is looked at in the call. */
		.max = MODEL_CTX_MAX,
		.help = "1 byte at least, as many as the context at most." },
	{ .name = "exact",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "false: in ordinary floats, as other programs compute with exported weights, to compare with "
			"them; not the same on every machine." },
	{ 0 },
};

static enum rpc_outcome call_getlogits(struct rpc_request *text_request, void *context)
{
	struct writer *writer = ((const struct calls_parts *)context)->writer;
	uint32_t text_max = writer_context(writer);
	struct buf text;
	struct writer_order order = { .count = 1, .done = text_logits_done, .context = text_request };
	enum rpc_outcome outcome = RPC_PENDING;

	buf_init(&text);
	rpc_hex(text_request, "text", &text);
	order.arithmetic = text_arithmetic(text_request);
	order.prompt = text.data;
	order.prompt_size = text.size;
	if (text.size < 1 || text.size > text_max)
		outcome = rpc_fail(text_request, RPC_INVALID_PARAMETER, "text has %zu bytes, and must have 1 to %u",
			text.size, text_max);
	else if (writer_write(writer, &order) == NULL)
		outcome = rpc_fail(text_request, RPC_MISC_ERROR, "%d texts are being generated already",
			WRITER_TEXTS_MAX);
	buf_clear(&text);
	return outcome;
}

static const struct rpc_method text_methods[] = {
	{ "generatetext", "Training", call_generatetext, generatetext_args,
		"Lets the present model continue a text, by exact arithmetic: the same on every machine.",
		"{\"prompt\": \"text\",\n"
		" \"text\": \"text\",             what the model wrote; bytes that are no UTF-8 are shown as U+FFFD\n"
		" \"hex\": \"hex\",               the same, byte for byte\n"
		" \"seed\": \"n\", \"height\": n, \"model_root\": \"hex\",\n"
		" \"receipt\": {...}}             what this node has signed, if it was asked to",
		"\"The \" 300", 0 },
	{ "getlogits", "Training", call_getlogits, getlogits_args,
		"What the present model makes of a text: a number for each byte that may follow, "
		"the likeliest has the largest.",
		"{\"logits\": [n, ...], \"height\": n, \"model_root\": \"hex\"}  (256 numbers)", "546865", 0 },
};

void calls_text_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, text_methods, sizeof text_methods / sizeof *text_methods, parts);
}
