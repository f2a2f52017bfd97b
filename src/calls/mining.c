/* Mining: how it goes, on and off, and blocks on demand. */
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "util/mem.h"

static enum rpc_outcome call_getmininginfo(struct rpc_request *mining_request, void *context)
{
	struct calls_parts *mining = context;
	const struct index_entry *mining_tip = chain_tip(mining->chain);
	const struct spec *spec = chain_spec(mining->chain);
	struct miner_stats mining_stats;
	json_t *mining_info;

	miner_stats(mining->miner, &mining_stats);
	mining_info = json_object();
	json_object_set_new(mining_info, "blocks", json_integer(mining_tip->height));
	/* Of the block that is being mined; Bitcoin Core shows the tip's here. */
	json_object_set_new(mining_info, "difficulty",
		show_difficulty(spec, target_next_bits(spec, mining_tip->height, mining_tip->header.time)));
	json_object_set_new(mining_info, "mining", json_boolean(mining_stats.mining));
	if (mining_stats.mining) {
		json_object_set_new(mining_info, "address", show_address(spec, mining_stats.key));
		if (mining_stats.paused != NULL)
			json_object_set_new(mining_info, "paused", json_string(mining_stats.paused));
	}
	json_object_set_new(mining_info, "threads", json_integer(mining_stats.threads));
	json_object_set_new(mining_info, "running", json_integer(mining_stats.running));
	json_object_set_new(mining_info, "attempts", json_integer((json_int_t)mining_stats.attempts));
	json_object_set_new(mining_info, "shares", json_integer((json_int_t)mining_stats.shares));
	json_object_set_new(mining_info, "blocks_found", json_integer((json_int_t)mining_stats.blocks));
	json_object_set_new(mining_info, "failed", json_integer((json_int_t)mining_stats.failed));
	json_object_set_new(mining_info, "steps_per_second",
		json_fixed((int64_t)mining_stats.steps_per_1000_seconds, 3));
	json_object_set_new(mining_info, "tokens_per_second", json_integer((json_int_t)mining_stats.tokens_per_second));
	json_object_set_new(mining_info, "pooledtx", json_integer((json_int_t)chain_mempool_count(mining->chain)));
	json_object_set_new(mining_info, "loose_proofs", json_integer((json_int_t)chain_loose_count(mining->chain)));
	json_object_set_new(mining_info, "late_proofs", json_integer((json_int_t)chain_late_count(mining->chain)));
	json_object_set_new(mining_info, "chain", json_string(spec->name));
	json_object_set_new(mining_info, "warnings", show_warnings());
	return rpc_reply(mining_request, mining_info);
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

static enum rpc_outcome call_setmining(struct rpc_request *mining_request, void *context)
{
	struct calls_parts *mining = context;
	struct miner_stats mining_stats;
	struct rpc_error error;
	struct errmsg err;
	uint8_t miner_key[32];

	miner_stats(mining->miner, &mining_stats);
	/* Who is paid already stays, unless another address is given. */
	memcpy(miner_key, mining_stats.key, 32);
	if (rpc_has(mining_request, "address")) {
		if (!argument_address(chain_spec(mining->chain), rpc_text(mining_request, "address"), miner_key,
			    &error))
			return rpc_fail_with(mining_request, &error);
	} else if (rpc_bool(mining_request, "mine") && !mining_stats.mining &&
		!mining->new_key(mining->new_key_context, miner_key, &err)) {
		return rpc_fail(mining_request, RPC_MISC_ERROR, "%s", err.text);
	}
	/* From here on nothing can fail: a call that is refused has changed nothing. */
	if (rpc_has(mining_request, "threads"))
		miner_set_threads(mining->miner, (unsigned)rpc_int(mining_request, "threads"));
	if (rpc_bool(mining_request, "mine"))
		miner_start(mining->miner, miner_key);
	else
		miner_stop(mining->miner);
	return rpc_reply(mining_request, NULL);
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
static void mining_on_generated(void *context, const uint8_t (*found_ids)[32], size_t found_count, const char *reason)
{
	struct rpc_request *mining_request = context;
	json_t *found_blocks;

	if (reason != NULL) {
		rpc_fail(mining_request, RPC_INTERNAL_ERROR, "Mining stopped after %zu blocks: %s", found_count,
			reason);
		return;
	}
	found_blocks = json_array();
	for (size_t i = 0; i < found_count; i++)
		json_array_append_new(found_blocks, json_hash(found_ids[i]));
	rpc_reply(mining_request, found_blocks);
}

static enum rpc_outcome call_generatetoaddress(struct rpc_request *mining_request, void *context)
{
	struct calls_parts *mining = context;
	struct rpc_error error;
	uint8_t miner_key[32];
	size_t nblocks = (size_t)rpc_int(mining_request, "nblocks");

	/* It mines even where setmining's mining pauses: alone, or on a chain that is half fetched. For tests that is
	 * right. */
	if (chain_spec(mining->chain)->is_public)
		return rpc_fail(mining_request, RPC_MISC_ERROR,
			"generatetoaddress is for regtest and private chains; use setmining");
	if (!argument_address(chain_spec(mining->chain), rpc_text(mining_request, "address"), miner_key, &error))
		return rpc_fail_with(mining_request, &error);
	if (nblocks == 0)
		return rpc_reply(mining_request, json_array());
	miner_generate(mining->miner, nblocks, miner_key, (uint64_t)rpc_int(mining_request, "maxtries"),
		mining_on_generated, mining_request);
	return RPC_PENDING;
}

static const struct rpc_method mining_methods[] = {
	{ "getmininginfo", "Mining", call_getmininginfo, NULL,
		"Tells how mining goes. It pauses, and paused says why, while a block that would make a better tip is "
		"being verified, while the chain's time is ahead of this machine's clock, on a public chain while it "
		"is fetched or nobody is connected, where nobody brings the lost bytes of the datasets that the next "
		"block can train on, and where this machine computes wrongly; warnings has that too, "
		"for a verification only if it takes a minute. Each attempt is a training step; a share is one that "
		"others can list in their blocks as a proof; failed are those without a result, by protocol.",
		"{\"blocks\": n, \"difficulty\": n, \"mining\": bool, \"address\": \"address\", "
		"\"paused\": \"why\", \"threads\": n,\n"
		" \"running\": n, \"attempts\": n, \"shares\": n, \"blocks_found\": n, "
		"\"failed\": n, \"steps_per_second\": n,\n"
		" \"tokens_per_second\": n, \"pooledtx\": n, \"loose_proofs\": n, "
		"\"late_proofs\": n, \"chain\": \"name\", \"warnings\": []}",
		NULL, 0 },
	{ "setmining", "Mining", call_setmining, setmining_args,
		"Starts or stops mining until the node ends; -mine begins with it at the start.", NULL, "true 2", 0 },
	{ "generatetoaddress", "Mining", call_generatetoaddress, generatetoaddress_args,
		"Mines blocks at once, by training, and answers when they are connected. Proofs that are found on the "
		"way and make no block go into the blocks. On a chain with rounds it does not wait for runs: where "
		"blocks come faster than these are trained, runs are short and seats stay empty. So mine up to a "
		"round's base, wait until getruns has the runs \"committing\", and mine on.",
		"[\"hash\", ...]  ids of the blocks", "10 \"address\"", 0 },
};

void calls_mining_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, mining_methods, sizeof mining_methods / sizeof *mining_methods, parts);
}
