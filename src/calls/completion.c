/* verifycompletion: what a receipt says, looked at piece by piece, and the text followed with the model it names. */
#include "calls/completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/wipe.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"

/* ---- Receipts as JSON ---- */

/* The file lies in the chain's folder and is made when the first receipt is wanted. */
static bool completion_sign(const struct calls_parts *parts, struct receipt *receipt, struct errmsg *err)
{
	char *path = path_join(parts->settings->datadir.data, ".node_key");
	uint8_t secret[32];
	bool is_known = receipt_secret(path, secret, err);

	if (is_known)
		receipt_sign(receipt, secret);
	wipe(secret, sizeof secret);
	free(path);
	return is_known;
}

static json_t *completion_show(const struct receipt *receipt)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "genesis", json_hash(receipt->genesis));
	json_object_set_new(shown, "block", json_hash(receipt->block));
	json_object_set_new(shown, "height", json_integer(receipt->height));
	json_object_set_new(shown, "model_root", json_hash(receipt->model_root));
	json_object_set_new(shown, "prompt_hash", json_hex(receipt->prompt_hash, 32));
	json_object_set_new(shown, "output_hash", json_hex(receipt->output_hash, 32));
	json_object_set_new(shown, "output_bytes", json_integer(receipt->output_size));
	json_object_set_new(shown, "temperature", json_fixed(receipt->options.temperature, 6));
	json_object_set_new(shown, "top_k", json_integer(receipt->options.top_k));
	json_object_set_new(shown, "top_p", json_fixed(receipt->options.top_p, 6));
	json_object_set_new(shown, "seed", json_u64(receipt->options.seed));
	json_object_set_new(shown, "node_key", json_hex(receipt->node_key, 32));
	json_object_set_new(shown, "signature", json_hex(receipt->signature, 64));
	return shown;
}

json_t *completion_receipt(const struct calls_parts *parts, const struct pick_options *options, const void *prompt,
	size_t prompt_size, const struct writer_result *result, struct errmsg *err)
{
	struct receipt receipt = { .height = result->entry->height,
		.output_size = (uint32_t)result->size,
		.options = *options };

	memcpy(receipt.genesis, chain_at(parts->chain, 0)->id, 32);
	memcpy(receipt.block, result->entry->id, 32);
	memcpy(receipt.model_root, result->root, 32);
	sha256(receipt.prompt_hash, prompt, prompt_size);
	sha256(receipt.output_hash, result->bytes, result->size);
	return completion_sign(parts, &receipt, err) ? completion_show(&receipt) : NULL;
}

static bool completion_read_number(const json_t *shown, const char *name, int64_t max, uint32_t *out,
	struct rpc_error *error)
{
	int64_t number;

	if (!convert_int(json_object_get(shown, name), name, 0, max, &number, error))
		return false;
	*out = (uint32_t)number;
	return true;
}

/* Millionths, of a decimal. */
static bool completion_read_part(const json_t *shown, const char *name, uint32_t max, uint32_t *out,
	struct rpc_error *error)
{
	int64_t units;

	if (!convert_decimal(json_object_get(shown, name), name, &units, error))
		return false;
	if (units < 0 || units > (int64_t)max * 100 || units % 100 != 0)
		return rpc_error_set(error, RPC_INVALID_PARAMETER, "%s is out of range, or has more than 6 decimals",
			name);
	*out = (uint32_t)(units / 100);
	return true;
}

static bool completion_read_signature(const json_t *shown, uint8_t signature[64], struct rpc_error *error)
{
	struct buf bytes;
	bool is_read;

	buf_init(&bytes);
	is_read = convert_hex(json_object_get(shown, "signature"), "signature", 64, &bytes, error);
	if (is_read && bytes.size != 64)
		is_read = rpc_error_set(error, RPC_INVALID_PARAMETER, "signature must be 64 bytes");
	if (is_read)
		memcpy(signature, bytes.data, 64);
	buf_clear(&bytes);
	return is_read;
}

bool completion_read(const json_t *shown, struct receipt *receipt, struct rpc_error *error)
{
	static const char *const names[] = { "genesis", "block", "height", "model_root", "prompt_hash", "output_hash",
		"output_bytes", "temperature", "top_k", "top_p", "seed", "node_key", "signature" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(shown, names[i]) == NULL)
			return rpc_error_set(error, RPC_INVALID_PARAMETER, "the receipt has no %s", names[i]);
	return convert_hash(json_object_get(shown, "genesis"), "genesis", receipt->genesis, error) &&
		convert_hash(json_object_get(shown, "block"), "block", receipt->block, error) &&
		completion_read_number(shown, "height", UINT32_MAX, &receipt->height, error) &&
		convert_hash(json_object_get(shown, "model_root"), "model_root", receipt->model_root, error) &&
		convert_key(json_object_get(shown, "prompt_hash"), "prompt_hash", receipt->prompt_hash, error) &&
		convert_key(json_object_get(shown, "output_hash"), "output_hash", receipt->output_hash, error) &&
		completion_read_number(shown, "output_bytes", UINT32_MAX, &receipt->output_size, error) &&
		completion_read_part(shown, "temperature", PICK_TEMPERATURE_MAX, &receipt->options.temperature,
			error) &&
		completion_read_number(shown, "top_k", MODEL_VOCABULARY, &receipt->options.top_k, error) &&
		completion_read_part(shown, "top_p", PICK_PPM, &receipt->options.top_p, error) &&
		convert_u64(json_object_get(shown, "seed"), "seed", &receipt->options.seed, error) &&
		convert_key(json_object_get(shown, "node_key"), "node_key", receipt->node_key, error) &&
		completion_read_signature(shown, receipt->signature, error);
}

/* ---- verifycompletion ---- */

struct completion_check {
	struct rpc_request *request;
	const struct calls_parts *parts;
	struct receipt receipt;
	const struct index_entry *entry;
	char *prompt;
	size_t prompt_size;
	struct buf output;
	struct state *state; /* once it is there */
};

static void completion_check_free(struct completion_check *check)
{
	state_unref(check->state);
	free(check->prompt);
	buf_clear(&check->output);
	free(check);
}

/* Answers. `wrong`: what is, NULL: nothing. Who signed something wrong of what was written has lied. */
static void completion_answer(struct completion_check *check, const char *wrong, bool is_fraud, size_t agreed,
	int expected)
{
	json_t *answered = json_object();
	uint8_t byte = (uint8_t)expected;

	json_object_set_new(answered, "valid", json_boolean(wrong == NULL));
	if (wrong != NULL)
		json_object_set_new(answered, "wrong", json_string(wrong));
	json_object_set_new(answered, "fraud", json_boolean(is_fraud));
	json_object_set_new(answered, "agreed_bytes", json_integer((json_int_t)agreed));
	if (expected >= 0) {
		json_object_set_new(answered, "stated", json_hex(check->output.data + agreed, 1));
		json_object_set_new(answered, "expected", json_hex(&byte, 1));
	}
	rpc_reply(check->request, answered);
	completion_check_free(check);
}

static void completion_fail(struct completion_check *check, const char *why)
{
	rpc_fail(check->request, RPC_MISC_ERROR, "%s", why);
	completion_check_free(check);
}

static void completion_followed(void *context, const struct writer_result *result)
{
	struct completion_check *check = context;

	switch (result->status) {
	case WRITER_CLOSING:
		completion_fail(check, "The node is shutting down");
		return;
	case WRITER_WRITTEN:
		completion_answer(check, NULL, false, result->size, -1);
		return;
	case WRITER_FAILED:
		completion_answer(check, "the model cannot go on there: its numbers are too large for exact products",
			true, result->size, -1);
		return;
	case WRITER_DIFFERS:
		completion_answer(check, "the model writes another byte", true, result->size,
			result->bytes[result->size]);
		return;
	}
}

static void completion_follow(struct completion_check *check)
{
	const struct writer_order order = {
		.state = check->state,
		.entry = check->entry,
		.prompt = check->prompt,
		.prompt_size = check->prompt_size,
		.options = check->receipt.options,
		.count = check->output.size,
		.given = check->output.data,
		.done = completion_followed,
		.context = check,
	};

	if (writer_write(check->parts->writer, &order) == NULL)
		completion_fail(check, "Too many texts are being generated already");
}

static void completion_on_state(void *context, struct state *state)
{
	struct completion_check *check = context;
	char why[128];

	check->state = state;
	if (state != NULL) {
		completion_follow(check);
		return;
	}
	snprintf(why, sizeof why, "This node has no model of block %u, and cannot make it: what it needs is pruned",
		check->entry->height);
	completion_fail(check, why);
}

/* What is wrong on the face of it, NULL: nothing. */
static const char *completion_look(const struct completion_check *check)
{
	uint8_t prompt_hash[32], output_hash[32];

	sha256(prompt_hash, check->prompt, check->prompt_size);
	sha256(output_hash, check->output.data, check->output.size);
	if (!receipt_is_signed(&check->receipt))
		return "the signature is not that of the node's key";
	if (memcmp(check->receipt.genesis, chain_at(check->parts->chain, 0)->id, 32) != 0)
		return "it is of another chain";
	if (memcmp(prompt_hash, check->receipt.prompt_hash, 32) != 0)
		return "the prompt is another one";
	if (memcmp(output_hash, check->receipt.output_hash, 32) != 0 ||
		check->output.size != check->receipt.output_size)
		return "the output is another one";
	return NULL;
}

/* The text and the signature are what they should be; now the block and its model. */
static void completion_find_model(struct completion_check *check)
{
	struct state *state;

	check->entry = chain_find(check->parts->chain, check->receipt.block);
	if (check->entry == NULL ||
		(check->entry->status != ENTRY_VERIFIED && check->entry->status != ENTRY_CONNECTED)) {
		completion_fail(check, "This node does not know the block, or has not verified it");
		return;
	}
	if (check->entry->height != check->receipt.height ||
		memcmp(check->entry->model_root_after, check->receipt.model_root, 32) != 0) {
		completion_answer(check, "the block has another height or model", true, 0, -1);
		return;
	}
	state = chain_state_at(check->parts->chain, check->entry, completion_on_state, check);
	if (state != NULL)
		completion_on_state(check, state);
}

static const struct rpc_arg verifycompletion_args[] = {
	{ .name = "receipt", .type = RPC_OBJECT, .help = "As generatetext gave it, or /v1/ did." },
	{ .name = "prompt",
		.type = RPC_BYTES,
		.max = WRITER_BYTES_MAX,
		.help = "What was continued; of a conversation the text that it became (doc/api.md)." },
	{ .name = "output",
		.type = RPC_HEX,
		.max = WRITER_BYTES_MAX,
		.help = "What was written, byte for byte: hex of that answer, or of the choice." },
	{ 0 },
};

static enum rpc_outcome call_verifycompletion(struct rpc_request *request, void *context)
{
	struct completion_check *check = mem_calloc(1, sizeof *check);
	const char *prompt = rpc_bytes(request, "prompt", &check->prompt_size), *wrong;
	struct rpc_error error;

	buf_init(&check->output);
	check->request = request;
	check->parts = context;
	check->prompt = mem_dup(prompt, check->prompt_size);
	rpc_hex(request, "output", &check->output);
	if (!completion_read(rpc_json(request, "receipt"), &check->receipt, &error)) {
		completion_check_free(check);
		return rpc_fail_with(request, &error);
	}
	wrong = completion_look(check);
	if (wrong != NULL)
		completion_answer(check, wrong, false, 0, -1);
	else
		completion_find_model(check);
	return RPC_PENDING;
}

static const struct rpc_method completion_methods[] = {
	{ "verifycompletion", "Training", call_verifycompletion, verifycompletion_args,
		"Checks a receipt of a text: whose signature it is, and by following the text with the very model "
		"whether that writes it. The model is the one after the receipt's block: the newest, or one that this "
		"node can make again. If it is wrong though all hashes fit, the receipt with prompt and output shows "
		"everybody that the holder of its key has lied: fraud.",
		"{\"valid\": true|false,\n"
		" \"wrong\": \"text\",      what is wrong, if anything\n"
		" \"fraud\": true|false,\n"
		" \"agreed_bytes\": n,    so many bytes of the output are what the model writes\n"
		" \"stated\": \"hex\",      the first byte that is not,\n"
		" \"expected\": \"hex\"}    and what the model writes there",
		NULL, 0 },
};

void calls_completion_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, completion_methods, sizeof completion_methods / sizeof *completion_methods, parts);
}
