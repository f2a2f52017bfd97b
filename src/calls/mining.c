/* Mining: how it goes, on and off, and blocks on demand. */
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "util/mem.h"

static enum rpc_outcome call_getmininginfo(struct rpc_request *r, void *context)
{
	struct calls_parts *mining = context;
	const struct index_entry *tip = chain_tip(mining->chain);
	const struct spec *spec = chain_spec(mining->chain);
	struct miner_stats stats;
	json_t *object;

	miner_stats(mining->miner, &stats);
	object = json_object();
	json_object_set_new(object, "blocks", json_integer(tip->height));
	/* Of the block that is being mined; Bitcoin Core shows the tip's here. */
	json_object_set_new(object, "difficulty",
		show_difficulty(spec, target_next_bits(spec, tip->height, tip->header.time)));
	json_object_set_new(object, "mining", json_boolean(stats.mining));
	if (stats.mining) {
		json_object_set_new(object, "address", show_address(spec, stats.key));
		if (stats.paused != NULL)
			json_object_set_new(object, "paused", json_string(stats.paused));
	}
	json_object_set_new(object, "threads", json_integer(stats.threads));
	json_object_set_new(object, "running", json_integer(stats.running));
	json_object_set_new(object, "attempts", json_integer((json_int_t)stats.attempts));
	json_object_set_new(object, "shares", json_integer((json_int_t)stats.shares));
	json_object_set_new(object, "blocks_found", json_integer((json_int_t)stats.blocks));
	json_object_set_new(object, "failed", json_integer((json_int_t)stats.failed));
	json_object_set_new(object, "steps_per_second", json_fixed((int64_t)stats.steps_per_1000_seconds, 3));
	json_object_set_new(object, "tokens_per_second", json_integer((json_int_t)stats.tokens_per_second));
	json_object_set_new(object, "pooledtx", json_integer((json_int_t)chain_mempool_count(mining->chain)));
	json_object_set_new(object, "loose_proofs", json_integer((json_int_t)chain_loose_count(mining->chain)));
	json_object_set_new(object, "chain", json_string(spec->name));
	json_object_set_new(object, "warnings", show_warnings());
	return rpc_reply(r, object);
}

static const struct rpc_arg setmining_args[] = {
	{ .name = "mine", .type = RPC_BOOL, .help = "Whether to mine." },
	{ .name = "threads",
		.type = RPC_INT,
		.optional = true,
		.min = 1,
		.max = SETTINGS_MINER_THREADS,
		.help = "Attempts at a time; stays as it is if left out." },
	{ .name = "address",
		.type = RPC_TEXT,
		.optional = true,
		.max = 128,
		.help = "Who is paid; -mineraddress or a new address of the wallet if left out." },
	{ 0 },
};

static enum rpc_outcome call_setmining(struct rpc_request *r, void *context)
{
	struct calls_parts *mining = context;
	struct miner_stats stats;
	struct rpc_error error;
	struct errmsg err;
	uint8_t key[32];

	miner_stats(mining->miner, &stats);
	/* Who is paid already stays, unless another address is given. */
	memcpy(key, stats.key, 32);
	if (rpc_has(r, "address")) {
		if (!argument_address(chain_spec(mining->chain), rpc_text(r, "address"), key, &error))
			return rpc_fail_with(r, &error);
	} else if (rpc_bool(r, "mine") && !stats.mining && !mining->new_key(mining->new_key_context, key, &err)) {
		return rpc_fail(r, RPC_MISC_ERROR, "%s", err.text);
	}
	/* From here on nothing can fail: a call that is refused has changed nothing. */
	if (rpc_has(r, "threads"))
		miner_set_threads(mining->miner, (unsigned)rpc_int(r, "threads"));
	if (rpc_bool(r, "mine"))
		miner_start(mining->miner, key);
	else
		miner_stop(mining->miner);
	return rpc_reply(r, NULL);
}

static const struct rpc_arg generatetoaddress_args[] = {
	{ .name = "nblocks", .type = RPC_INT, .min = 0, .max = MINER_MAX_GENERATE, .help = "How many blocks." },
	{ .name = "address", .type = RPC_TEXT, .max = 128, .help = "Who is paid." },
	{ .name = "maxtries",
		.type = RPC_INT,
		.fallback = "1000000",
		.min = 0,
		.max = INT64_C(1) << 53,
		.help = "Steps to try at most." },
	{ 0 },
};

/* The blocks that were found before are on the chain all the same: the error says how many. */
static void on_generated(void *context, const uint8_t (*ids)[32], size_t count, const char *reason)
{
	struct rpc_request *r = context;
	json_t *array;

	if (reason != NULL) {
		rpc_fail(r, RPC_INTERNAL_ERROR, "Mining stopped after %zu blocks: %s", count, reason);
		return;
	}
	array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_hash(ids[i]));
	rpc_reply(r, array);
}

static enum rpc_outcome call_generatetoaddress(struct rpc_request *r, void *context)
{
	struct calls_parts *mining = context;
	struct rpc_error error;
	uint8_t key[32];
	size_t count = (size_t)rpc_int(r, "nblocks");

	/* It mines even where setmining's mining pauses: alone, or on a chain that is half fetched. For tests that is
	 * right. */
	if (chain_spec(mining->chain)->is_public)
		return rpc_fail(r, RPC_MISC_ERROR,
			"generatetoaddress is for regtest and private chains; use setmining");
	if (!argument_address(chain_spec(mining->chain), rpc_text(r, "address"), key, &error))
		return rpc_fail_with(r, &error);
	if (count == 0)
		return rpc_reply(r, json_array());
	miner_generate(mining->miner, count, key, (uint64_t)rpc_int(r, "maxtries"), on_generated, r);
	return RPC_PENDING;
}

static const struct rpc_method methods[] = {
	{ "getmininginfo", "Mining", call_getmininginfo, NULL, "Tells how mining goes.",
		"{\"blocks\": n, \"difficulty\": n, \"mining\": bool, \"address\": \"address\", "
		"\"paused\": \"why\", \"threads\": n,\n"
		" \"running\": n, \"attempts\": n, \"shares\": n, \"blocks_found\": n, "
		"\"failed\": n, \"steps_per_second\": n,\n"
		" \"tokens_per_second\": n, \"pooledtx\": n, \"loose_proofs\": n, "
		"\"chain\": \"name\", \"warnings\": []}",
		NULL, 0 },
	{ "setmining", "Mining", call_setmining, setmining_args,
		"Starts or stops mining until the node ends; -mine begins with it at the start.", NULL, "true 2", 0 },
	{ "generatetoaddress", "Mining", call_generatetoaddress, generatetoaddress_args,
		"Mines blocks at once, by training, and answers when they are connected. Proofs that are found on the "
		"way and make no block go into the blocks.",
		"[\"hash\", ...]  ids of the blocks", "10 \"address\"", 0 },
};

void calls_mining_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, parts);
}
