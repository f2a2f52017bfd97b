/* Datasets, blobs and proofs. */
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "consensus/spec.h"
#include "util/bytes.h"

/* Whether the dataset may be drawn for the tip's child.
 * The corpus, number 0, was never registered and has nothing to wait for. A quarantine's height is the last one in
 * it. */
static const char *dataset_status(const struct chain *chain, const struct dataset *dataset, size_t number)
{
	uint32_t next = chain_tip(chain)->height + 1;

	if (number > 0 && dataset->height + chain_spec(chain)->data_delay > next)
		return "waiting";
	return dataset->quarantined_until >= next ? "quarantine" : "active";
}

static json_t *show_dataset(const struct chain *chain, size_t number)
{
	const struct spec *spec = chain_spec(chain);
	const struct dataset *dataset = registry_get(chain_registry(chain), number);
	json_t *object = json_object();

	json_object_set_new(object, "number", json_integer((json_int_t)number));
	json_object_set_new(object, "root", json_hex(dataset->root, 32));
	json_object_set_new(object, "size", json_integer((json_int_t)dataset->size));
	json_object_set_new(object, "licence", json_text(dataset->licence, strlen(dataset->licence)));
	json_object_set_new(object, "title", json_text(dataset->title, strlen(dataset->title)));
	if (number > 0) {
		json_object_set_new(object, "owner", show_address(spec, dataset->owner));
		json_object_set_new(object, "txid", json_hash(dataset->txid));
		json_object_set_new(object, "vout", json_integer(dataset->output));
		json_object_set_new(object, "height", json_integer(dataset->height));
	}
	json_object_set_new(object, "status", json_string(dataset_status(chain, dataset, number)));
	if (dataset->quarantined_until > 0)
		json_object_set_new(object, "quarantined_until", json_integer(dataset->quarantined_until));
	json_object_set_new(object, "total_draws", json_integer(dataset->total_draws));
	json_object_set_new(object, "total_paid", json_amount(dataset->total_paid));
	json_object_set_new(object, "draws", json_integer(dataset->draws));
	/* Sums are of 2^-16 nats, one draw at most 2^15 of them. */
	json_object_set_new(object, "mean_value",
		dataset->draws == 0 ? json_null() : show_value(dataset->sum / (int64_t)dataset->draws * 65536));
	return object;
}

static const struct rpc_arg listdatasets_args[] = {
	{ .name = "count", .type = RPC_INT, .fallback = "1000", .min = 1, .max = 100000, .help = "How many at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = UINT32_MAX,
		.help = "Number to begin with." },
	{ 0 },
};

static enum rpc_outcome call_listdatasets(struct rpc_request *r, void *context)
{
	size_t total = registry_count(chain_registry(context));
	size_t first = (size_t)rpc_int(r, "skip"), count = (size_t)rpc_int(r, "count");
	json_t *array = json_array();

	for (size_t i = first; i < total && i - first < count; i++)
		json_array_append_new(array, show_dataset(context, i));
	return rpc_reply(r, array);
}

static const struct rpc_arg getdataset_args[] = {
	{ .name = "dataset", .type = RPC_TEXT, .max = 64, .help = "Its number, or its root." },
	{ 0 },
};

/* The number a text means, be it a number or a root; false: no such dataset. */
static bool find_dataset(const struct registry *registry, const char *text, size_t *number)
{
	size_t length = strlen(text), value = 0;
	uint8_t root[32];

	/* A text of 64 digits is a root, whatever number it would be: numbers have 9 digits at most, which no product
	 * here overflows, so no text means both. */
	if (hex_decode(root, 32, text))
		return registry_find(registry, root, number) != NULL;
	if (length == 0 || length > 9 || strspn(text, "0123456789") != length)
		return false;
	for (; *text != '\0'; text++)
		value = value * 10 + (size_t)(*text - '0');
	*number = value;
	return value < registry_count(registry);
}

static enum rpc_outcome call_getdataset(struct rpc_request *r, void *context)
{
	size_t number;
	json_t *object;
	const struct dataset *dataset;

	if (!find_dataset(chain_registry(context), rpc_text(r, "dataset"), &number))
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "No such dataset");
	object = show_dataset(context, number);
	dataset = registry_get(chain_registry(context), number);
	json_object_set_new(object, "available", json_boolean(number == 0 || chain_has_blob(context, dataset->root)));
	return rpc_reply(r, object);
}

static const struct rpc_arg getblob_args[] = {
	{ .name = "root", .type = RPC_KEY, .help = "Root of the blob." },
	{ .name = "offset", .type = RPC_INT, .fallback = "0", .min = 0, .max = UINT32_MAX, .help = "First byte." },
	{ .name = "size",
		.type = RPC_INT,
		.fallback = "65536",
		.min = 1,
		.max = 1 << 24,
		.help = "How many bytes at most." },
	{ 0 },
};

static enum rpc_outcome call_getblob(struct rpc_request *r, void *context)
{
	uint8_t root[32];
	struct buf blob;
	struct errmsg err;
	size_t offset, size;
	json_t *hex;

	rpc_key(r, "root", root);
	if (!chain_has_blob(context, root))
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "Blob not found");
	buf_init(&blob);
	/* The whole blob for each piece of it: blob_max bounds it, and only who has credentials can ask. */
	if (!chain_read_blob(context, root, &blob, &err)) {
		buf_clear(&blob);
		return rpc_fail(r, RPC_DATABASE_ERROR, "%s", err.text);
	}
	offset = (size_t)rpc_int(r, "offset");
	size = (size_t)rpc_int(r, "size");
	if (offset > blob.size)
		offset = blob.size;
	if (size > blob.size - offset)
		size = blob.size - offset;
	hex = json_hex(blob.data + offset, size);
	buf_clear(&blob);
	return rpc_reply(r, hex);
}

static const struct rpc_arg getproof_args[] = {
	{ .name = "id", .type = RPC_HASH, .help = "Id of the proof: a block's own, or a loose one's." },
	{ .name = "body", .type = RPC_BOOL, .fallback = "false", .help = "Show the delta that the step gave, too." },
	{ 0 },
};

static json_t *show_found(struct chain *chain, const struct index_entry *entry, const struct block *block, size_t index,
	bool with_body)
{
	const struct spec *spec = chain_spec(chain);
	const struct header *header = block_proof(block, index);
	uint8_t raw[HEADER_SIZE], seed[32];
	json_t *object = show_proof(spec, header);

	header_seed(header, seed);
	header_write(raw, header);
	json_object_set_new(object, "dataset", json_integer(entry->outcome.dataset[spec_slot(spec, seed)]));
	json_object_set_new(object, "header", json_hex(raw, HEADER_SIZE));
	json_object_set_new(object, "blockhash", json_hash(entry->id));
	json_object_set_new(object, "height", json_integer(entry->height));
	json_object_set_new(object, "index", json_integer((json_int_t)index));
	json_object_set_new(object, "confirmations", json_integer(show_confirmations(chain, entry)));
	if (with_body && block->bodies != NULL)
		json_object_set_new(object, "body", json_hex(block->bodies[index], block_body_size(spec)));
	return object;
}

static enum rpc_outcome call_getproof(struct rpc_request *r, void *context)
{
	struct chain *chain = context;
	uint8_t id[32];
	size_t index;
	struct errmsg err;
	const struct index_entry *entry;
	const struct block *block;
	json_t *object;

	rpc_hash(r, "id", id);
	entry = chain_find_proof(chain, id, &index);
	if (entry == NULL)
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "No such proof on the active chain");
	block = chain_read_block(chain, entry, &err);
	if (block == NULL)
		return rpc_fail(r, RPC_MISC_ERROR, "Block not available (%s)", err.text);
	/* The database and the block's file are not one: where a crash or a hand let them differ, it must not be read
	 * beyond the block's proofs. */
	if (index > block->loose_count) {
		block_unref(block);
		return rpc_fail(r, RPC_DATABASE_ERROR, "The proof is not where the index says");
	}
	object = show_found(chain, entry, block, index, rpc_bool(r, "body"));
	block_unref(block);
	return rpc_reply(r, object);
}

static const char dataset_result[] =
	"{\n"
	"  \"number\": n, \"root\": \"hex\", \"size\": n, \"licence\": \"text\", \"title\": \"text\",\n"
	"  \"owner\": \"address\", \"txid\": \"hex\", \"vout\": n, \"height\": n,  "
	"where it was registered; not for the genesis corpus\n"
	"  \"status\": \"active\", \"waiting\" or \"quarantine\", \"quarantined_until\": height,\n"
	"  \"total_draws\": n, \"total_paid\": amount,\n"
	"  \"draws\": n, \"mean_value\": nats      of the present period of observation\n"
	"}";

static const struct rpc_method methods[] = {
	{ "listdatasets", "Data", call_listdatasets, listdatasets_args,
		"Lists the datasets the chain trains on: the genesis corpus, which is number 0, and the contributions.",
		"[getdataset's objects]", NULL, 0 },
	{ "getdataset", "Data", call_getdataset, getdataset_args,
		"Gives one dataset, with what it was worth and paid so far.", dataset_result, "1", 0 },
	{ "getblob", "Data", call_getblob, getblob_args, "Gives bytes of a contribution.", "\"hex\"  (string)",
		"\"root\" 0 100", 0 },
	{ "getproof", "Training", call_getproof, getproof_args, "Gives a proof of training on the active chain.",
		"{\"id\", \"seed\", \"slot\", \"ticket\", \"digest\", \"miner\", \"time\", \"dataset\", "
		"\"header\", \"blockhash\", \"height\",\n"
		" \"index\", \"confirmations\", \"body\"}  (object) index 0 is the block's own proof",
		"\"id\"", 0 },
};

void calls_data_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, chain);
}
