/* Blocks in a row, each in a few words. */
#include "calls/calls.h"
#include "calls/show.h"
#include "util/size.h"

enum { BLOCKS_LIST_MAX = 100 /* each is read from disk, for its coinbase */ };

/* Proofs and datasets of the slots that have any: from the index. */
static json_t *blocks_show_slots(const struct block_outcome *outcome)
{
	json_t *slots = json_array();

	for (uint32_t slot = 0; slot < outcome->outcome.slots; slot++)
		if (outcome->outcome.slot[slot].count > 0)
			json_array_append_new(slots,
				json_pack("{s:I,s:I,s:I}", "slot", (json_int_t)slot, "dataset",
					(json_int_t)outcome->dataset[slot], "proofs",
					(json_int_t)outcome->outcome.slot[slot].count));
	return slots;
}

/* By how much the loss is lower after it; below 0: higher. Of a block that changed nothing 0. */
static json_t *blocks_show_gain(const struct block_outcome *outcome)
{
	const int64_t before = show_micro_loss(outcome->loss_before), after = show_micro_loss_after(outcome);

	return before < 0 || after < 0 ? json_null() : json_fixed(before - after, 6);
}

static bool blocks_add_payments(json_t *shown, struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	const struct block *block = chain_read_bare(chain, entry, err);
	struct show_payments payments;

	if (block == NULL)
		return false;
	show_sum_payments(chain_spec(chain), entry->height, block, &payments);
	block_unref(block);
	json_object_set_new(shown, "paid", json_amount(payments.miners + payments.data + payments.runs));
	json_object_set_new(shown, "paid_data", json_amount(payments.data));
	json_object_set_new(shown, "paid_runs", json_amount(payments.runs));
	return true;
}

/* NULL with the error set if the block cannot be read. Of genesis no more than where it is. */
static json_t *blocks_show_block(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	json_t *shown = json_object();
	struct block_outcome outcome;

	json_object_set_new(shown, "height", json_integer(entry->height));
	json_object_set_new(shown, "hash", json_hash(entry->id));
	json_object_set_new(shown, "time", json_integer(entry->header.time));
	if (entry->height == 0)
		return shown;
	chain_outcome(entry, &outcome);
	json_object_set_new(shown, "miner", show_address(chain_spec(chain), entry->header.miner));
	json_object_set_new(shown, "nTx", json_integer(entry->tx_count));
	json_object_set_new(shown, "nproofs", json_integer(1 + (json_int_t)entry->loose_count));
	json_object_set_new(shown, "nlate", json_integer(entry->late_count));
	json_object_set_new(shown, "slots", blocks_show_slots(&outcome));
	json_object_set_new(shown, "void", json_boolean(outcome.outcome.is_void));
	json_object_set_new(shown, "loss_before", show_loss(outcome.loss_before));
	json_object_set_new(shown, "loss_after", show_loss(outcome.loss_after));
	json_object_set_new(shown, "gain", blocks_show_gain(&outcome));
	if (outcome.merge.seats > 0)
		json_object_set_new(shown, "merge", show_verdicts(&outcome.merge));
	if (blocks_add_payments(shown, chain, entry, err))
		return shown;
	json_decref(shown);
	return NULL;
}

static const struct rpc_arg listblocks_args[] = {
	{ .name = "before",
		.type = RPC_INT,
		.optional = true,
		.min = 1,
		.max = UINT32_MAX,
		.help = "List those below this height; from the tip on if it is left out." },
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "12",
		.min = 1,
		.max = BLOCKS_LIST_MAX,
		.help = "How many at most." },
	{ 0 },
};

static enum rpc_outcome call_listblocks(struct rpc_request *blocks_request, void *context)
{
	struct chain *chain = context;
	const uint64_t tip_end = (uint64_t)chain_tip(chain)->height + 1;
	const uint64_t end = rpc_has(blocks_request, "before") ?
		size_min((uint64_t)rpc_int(blocks_request, "before"), tip_end) :
		tip_end;
	const uint64_t count = size_min((uint64_t)rpc_int(blocks_request, "count"), end);
	json_t *blocks = json_array();
	struct errmsg err;

	for (uint64_t back = 1; back <= count; back++) {
		json_t *shown = blocks_show_block(chain, chain_at(chain, (uint32_t)(end - back)), &err);

		if (shown == NULL) {
			json_decref(blocks);
			return rpc_fail(blocks_request, RPC_MISC_ERROR, "Block not available (%s)", err.text);
		}
		json_array_append_new(blocks, shown);
	}
	return rpc_reply(blocks_request, blocks);
}

static const struct rpc_method blocks_methods[] = {
	{ "listblocks", "Explorer", call_listblocks, listblocks_args,
		"Lists blocks of the active chain, the newest first, with what each did and paid.",
		"[{\"height\": n, \"hash\": \"hex\", \"time\": n,\n"
		"  \"miner\": \"address\", \"nTx\": n, \"nproofs\": n, \"nlate\": n,   getblock's\n"
		"  \"slots\": [{\"slot\": n, \"dataset\": n, \"proofs\": n}],   those with proofs\n"
		"  \"void\": bool, \"loss_before\": nats, \"loss_after\": nats,\n"
		"  \"gain\": nats,          by how much the loss is lower after it\n"
		"  \"merge\": {\"empty\": n, \"merged\": n, \"left out\": n, \"struck\": n},   of "
		"a round's last block: its seats\n"
		"  \"paid\": amount,        by its coinbase, and of that\n"
		"  \"paid_data\": amount,   to owners of data, for its parent's slots\n"
		"  \"paid_runs\": amount}]  for runs that its parent merged",
		"1000 20", 0 },
};

void calls_blocks_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, blocks_methods, sizeof blocks_methods / sizeof *blocks_methods, chain);
}
