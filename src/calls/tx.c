/* Transactions: raw ones, outputs, the mempool. */
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "util/bytes.h"

/* Digits of 4,000,000 bytes, as many as fill a block of a built-in chain with witnesses. */
enum { TX_TEXT_MAX = 8000000 };

static const struct rpc_arg getrawtransaction_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of the transaction." },
	{ .name = "verbosity",
		.type = RPC_VERBOSITY,
		.fallback = "0",
		.max = 2,
		.help = "0: hexadecimal text. 1 and 2: an object." },
	{ .name = "blockhash", .type = RPC_HASH, .optional = true, .help = "Look in this block alone." },
	{ 0 },
};

/* The transaction out of one block; NULL: not there, or the block's bytes are not. */
static const struct tx *tx_of_block(struct chain *chain, const struct index_entry *entry, const uint8_t txid[32])
{
	const struct block *block = entry->height == 0 ? NULL : chain_read_bare(chain, entry, NULL);
	const struct tx *found = NULL;

	for (size_t i = 0; block != NULL && found == NULL && i < block->tx_count; i++)
		if (memcmp(tx_txid(block->txs[i]), txid, 32) == 0)
			found = tx_ref(block->txs[i]);
	block_unref(block);
	return found;
}

static enum rpc_outcome call_getrawtransaction(struct rpc_request *r, void *context)
{
	struct chain *chain = context;
	const struct index_entry *entry = NULL;
	const struct mempool_entry *waiting = NULL;
	const struct tx *tx = NULL;
	uint8_t txid[32];
	json_t *hex;
	json_t *object;

	rpc_hash(r, "txid", txid);
	if (rpc_has(r, "blockhash")) {
		entry = argument_entry(r, chain, "blockhash");
		if (entry == NULL)
			return RPC_DONE;
		tx = tx_of_block(chain, entry, txid);
		if (tx == NULL)
			return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY,
				"No such transaction found in the provided block");
	} else if ((waiting = chain_mempool_find(chain, txid)) != NULL) {
		tx = tx_ref(waiting->tx);
	} else if ((entry = chain_find_tx(chain, txid, &tx)) == NULL) {
		/* It is on no block of the active chain: all of those are found, as with Bitcoin Core's -txindex. */
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "No such mempool or blockchain transaction");
	}
	hex = show_tx_hex(tx);
	if (rpc_int(r, "verbosity") == 0) {
		tx_unref(tx);
		return rpc_reply(r, hex);
	}
	object = show_tx(chain_spec(chain), tx);
	tx_unref(tx);
	json_object_set_new(object, "hex", hex);
	if (entry != NULL) {
		json_object_set_new(object, "in_active_chain", json_boolean(chain_is_active(chain, entry)));
		json_object_set_new(object, "blockhash", json_hash(entry->id));
		json_object_set_new(object, "confirmations", json_integer(show_confirmations(chain, entry)));
		json_object_set_new(object, "time", json_integer(entry->header.time));
		json_object_set_new(object, "blocktime", json_integer(entry->header.time));
	}
	return rpc_reply(r, object);
}

/* The transaction of the argument `hexstring`, or NULL. */
static const struct tx *parse_tx(const struct rpc_request *r)
{
	struct buf raw;
	struct reader reader;
	bool ok;
	const struct tx *tx;

	buf_init(&raw);
	ok = argument_raw(r, "hexstring", &raw);
	reader_init(&reader, raw.data, raw.size);
	tx = ok ? tx_read(&reader) : NULL;
	/* With bytes left over it is no transaction: who sent them meant something else than what would be taken. */
	if (tx != NULL && !reader_done(&reader)) {
		tx_unref(tx);
		tx = NULL;
	}
	buf_clear(&raw);
	return tx;
}

static const struct rpc_arg decoderawtransaction_args[] = {
	{ .name = "hexstring",
		.type = RPC_TEXT,
		.max = TX_TEXT_MAX,
		.help = "The serialised transaction, hexadecimal." },
	{ 0 },
};

static enum rpc_outcome call_decoderawtransaction(struct rpc_request *r, void *context)
{
	const struct tx *tx = parse_tx(r);
	json_t *object;

	if (tx == NULL)
		return rpc_fail(r, RPC_DESERIALIZATION_ERROR, "TX decode failed");
	object = show_tx(chain_spec(context), tx);
	tx_unref(tx);
	return rpc_reply(r, object);
}

static const struct rpc_arg sendrawtransaction_args[] = {
	{ .name = "hexstring",
		.type = RPC_TEXT,
		.max = TX_TEXT_MAX,
		.help = "The serialised, signed transaction, hexadecimal." },
	{ .name = "maxfeerate",
		.type = RPC_DECIMAL,
		.fallback = "0.10",
		.min = 0,
		.max = COIN,
		.help = "Refuse a transaction that pays more per 1000 virtual bytes; 0: whatever it pays." },
	{ 0 },
};

/* What the inputs are worth; false if one is not known. */
static bool input_sum(struct chain *chain, const struct tx *tx, int64_t *sum)
{
	*sum = 0;
	for (size_t i = 0; i < tx->input_count; i++) {
		const struct outpoint *prev = &tx->inputs[i].prev;
		const struct mempool_entry *waiting = chain_mempool_find(chain, prev->txid);
		struct coin coin;

		if (waiting != NULL && prev->index < waiting->tx->output_count) {
			*sum += waiting->tx->outputs[prev->index].amount;
		} else if (chain_coin(chain, prev, &coin)) {
			*sum += coin.output.amount;
			chain_coin_clear(&coin);
		} else {
			return false;
		}
		/* After each addition, so that the sum never leaves the range of 64 bits however many inputs there
		 * are. */
		if (*sum > MAX_MONEY)
			return false;
	}
	return true;
}

static bool fee_too_high(struct chain *chain, const struct tx *tx, int64_t max_rate)
{
	int64_t in, out = 0;
	int64_t vsize;

	/* Inputs that are not known are for chain_add_tx to judge. */
	if (max_rate == 0 || !input_sum(chain, tx, &in))
		return false;
	/* Burning for a contribution is no fee: it is an output like any other. */
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!tx_amount_valid(tx->outputs[i].amount) || out > MAX_MONEY)
			return false;
		out += tx->outputs[i].amount;
	}
	vsize = (int64_t)((tx_weight(tx) + 3) / 4);
	/* Multiplied out: a division would round, and let a fee pass that is above the rate. */
	return (__int128)(in - out) * 1000 > (__int128)max_rate * vsize;
}

static enum rpc_outcome call_sendrawtransaction(struct rpc_request *r, void *context)
{
	struct chain *chain = context;
	struct reject reject = { 0 };
	uint8_t txid[32];
	const struct tx *tx = parse_tx(r), *confirmed = NULL;

	if (tx == NULL)
		return rpc_fail(r, RPC_DESERIALIZATION_ERROR,
			"TX decode failed. Make sure the tx has at least one input.");
	memcpy(txid, tx_txid(tx), 32);
	/* By the index of transactions, where Bitcoin Core looks for unspent outputs: one whose outputs are spent is
	 * found too. */
	if (chain_find_tx(chain, txid, &confirmed) != NULL) {
		tx_unref(confirmed);
		tx_unref(tx);
		return rpc_fail(r, RPC_VERIFY_ALREADY_IN_CHAIN, "Transaction already in block chain");
	}
	if (fee_too_high(chain, tx, rpc_int(r, "maxfeerate"))) {
		tx_unref(tx);
		return rpc_fail(r, RPC_VERIFY_ERROR, "Fee exceeds maximum configured by user (maxfeerate)");
	}
	/* The transaction is the chain's from here on, whatever it says. */
	switch (chain_add_tx(chain, tx, NULL, &reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		/* Known is no error, as in Bitcoin Core: a wallet that is not sure sends again. */
		return rpc_reply(r, json_hash(txid));
	case CHAIN_ORPHAN:
		return rpc_fail(r, RPC_VERIFY_ERROR, "%s", reject.reason);
	case CHAIN_REJECTED:
		return rpc_fail(r, RPC_VERIFY_REJECTED, "%s, %s", reject.reason, reject.detail);
	case CHAIN_ERROR:
		break;
	}
	return rpc_fail(r, RPC_DATABASE_ERROR, "The transaction could not be taken");
}

static const struct rpc_arg gettxout_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of the transaction." },
	{ .name = "n", .type = RPC_INT, .max = UINT32_MAX, .help = "Number of the output." },
	{ .name = "include_mempool",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "Count what the mempool makes and spends." },
	{ 0 },
};

static json_t *show_coin(struct chain *chain, const struct tx_output *output, int64_t confirmations, bool coinbase)
{
	json_t *object = json_object();

	json_object_set_new(object, "bestblock", json_hash(chain_tip(chain)->id));
	json_object_set_new(object, "confirmations", json_integer(confirmations));
	json_object_set_new(object, "value", json_amount(output->amount));
	json_object_set_new(object, "scriptPubKey", show_script(chain_spec(chain), &output->script));
	json_object_set_new(object, "coinbase", json_boolean(coinbase));
	return object;
}

static enum rpc_outcome call_gettxout(struct rpc_request *r, void *context)
{
	struct chain *chain = context;
	struct outpoint outpoint;
	struct coin coin;
	json_t *object;

	rpc_hash(r, "txid", outpoint.txid);
	outpoint.index = (uint32_t)rpc_int(r, "n");
	if (rpc_bool(r, "include_mempool")) {
		const struct mempool_entry *waiting = chain_mempool_find(chain, outpoint.txid);

		/* Before the coin itself: one that a waiting transaction spends is still in the database. */
		if (chain_mempool_spender(chain, &outpoint) != NULL)
			return rpc_reply(r, NULL);
		if (waiting != NULL && outpoint.index < waiting->tx->output_count)
			return rpc_reply(r, show_coin(chain, &waiting->tx->outputs[outpoint.index], 0, false));
	}
	if (!chain_coin(chain, &outpoint, &coin))
		return rpc_reply(r, NULL);
	object = show_coin(chain, &coin.output, (int64_t)chain_tip(chain)->height - coin.height + 1, coin.coinbase);
	chain_coin_clear(&coin);
	return rpc_reply(r, object);
}

static enum rpc_outcome call_gettxoutsetinfo(struct rpc_request *r, void *context)
{
	struct coin_stats stats;
	json_t *object;

	/* Kept up to date block by block, where Bitcoin Core walks the whole set: this answers at once. */
	chain_coin_stats(context, &stats);
	object = json_object();
	json_object_set_new(object, "height", json_integer(chain_tip(context)->height));
	json_object_set_new(object, "bestblock", json_hash(chain_tip(context)->id));
	json_object_set_new(object, "txouts", json_integer((json_int_t)stats.coins));
	json_object_set_new(object, "total_amount", json_amount(stats.amount));
	return rpc_reply(r, object);
}

static void add_fee(void *context, const struct mempool_entry *entry)
{
	*(int64_t *)context += entry->fee;
}

static enum rpc_outcome call_getmempoolinfo(struct rpc_request *r, void *context)
{
	int64_t fees = 0;
	json_t *object;

	chain_mempool_each(context, add_fee, &fees);
	object = json_object();
	json_object_set_new(object, "loaded", json_true());
	json_object_set_new(object, "size", json_integer((json_int_t)chain_mempool_count(context)));
	json_object_set_new(object, "bytes", json_integer((json_int_t)chain_mempool_bytes(context)));
	json_object_set_new(object, "total_fee", json_amount(fees));
	json_object_set_new(object, "loose_proofs", json_integer((json_int_t)chain_loose_count(context)));
	return rpc_reply(r, object);
}

static json_t *show_mempool_entry(const struct chain *chain, const struct mempool_entry *entry)
{
	json_t *object = json_object(), *fees = json_object(), *depends = json_array(), *spent_by = json_array();

	json_object_set_new(object, "vsize", json_integer((json_int_t)((entry->weight + 3) / 4)));
	json_object_set_new(object, "weight", json_integer((json_int_t)entry->weight));
	json_object_set_new(object, "time", json_integer((json_int_t)entry->time));
	json_object_set_new(object, "height", json_integer(entry->height));
	json_object_set_new(object, "wtxid", json_hash(entry->wtxid));
	json_object_set_new(fees, "base", json_amount(entry->fee));
	json_object_set_new(object, "fees", fees);
	for (size_t i = 0; i < entry->tx->input_count; i++) {
		const uint8_t *prev = entry->tx->inputs[i].prev.txid;

		if (chain_mempool_find(chain, prev) != NULL)
			json_array_append_new(depends, json_hash(prev));
	}
	for (uint32_t i = 0; i < entry->tx->output_count; i++) {
		struct outpoint outpoint = { .index = i };
		const struct mempool_entry *spender;

		memcpy(outpoint.txid, entry->txid, 32);
		spender = chain_mempool_spender(chain, &outpoint);
		if (spender != NULL)
			json_array_append_new(spent_by, json_hash(spender->txid));
	}
	json_object_set_new(object, "depends", depends);
	json_object_set_new(object, "spentby", spent_by);
	return object;
}

struct listing {
	const struct chain *chain;
	json_t *ids, *entries; /* one of them */
};

static void list_entry(void *context, const struct mempool_entry *entry)
{
	struct listing *listing = context;
	char id[65];

	if (listing->ids != NULL) {
		json_array_append_new(listing->ids, json_hash(entry->txid));
		return;
	}
	hex_encode_reversed(id, entry->txid, 32);
	json_object_set_new(listing->entries, id, show_mempool_entry(listing->chain, entry));
}

static const struct rpc_arg getrawmempool_args[] = {
	{ .name = "verbose",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "An object by id instead of a list of ids." },
	{ 0 },
};

static enum rpc_outcome call_getrawmempool(struct rpc_request *r, void *context)
{
	struct listing listing = { .chain = context };

	if (rpc_bool(r, "verbose"))
		listing.entries = json_object();
	else
		listing.ids = json_array();
	chain_mempool_each(context, list_entry, &listing);
	return rpc_reply(r, listing.ids != NULL ? listing.ids : listing.entries);
}

static const struct rpc_arg getmempoolentry_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of the transaction." },
	{ 0 },
};

static enum rpc_outcome call_getmempoolentry(struct rpc_request *r, void *context)
{
	uint8_t txid[32];
	const struct mempool_entry *entry;

	rpc_hash(r, "txid", txid);
	entry = chain_mempool_find(context, txid);
	if (entry == NULL)
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "Transaction not in mempool");
	return rpc_reply(r, show_mempool_entry(context, entry));
}

static const char entry_result[] =
	"{\"vsize\": n, \"weight\": n, \"time\": n, \"height\": n, \"wtxid\": \"hex\", \"fees\": {\"base\": amount},\n"
	" \"depends\": [ids], \"spentby\": [ids]}";

static const struct rpc_method methods[] = {
	{ "getrawtransaction", "Rawtransactions", call_getrawtransaction, getrawtransaction_args,
		"Gives a transaction of the mempool or of the active chain.",
		"\"hex\" or {\"txid\", \"hash\", \"size\", ..., \"vin\", \"vout\", \"hex\", "
		"\"blockhash\", \"confirmations\"}",
		"\"txid\" 1", 0 },
	{ "decoderawtransaction", "Rawtransactions", call_decoderawtransaction, decoderawtransaction_args,
		"Shows what a serialised transaction says.", "{\"txid\", \"hash\", \"size\", ..., \"vin\", \"vout\"}",
		"\"hex\"", 0 },
	{ "sendrawtransaction", "Rawtransactions", call_sendrawtransaction, sendrawtransaction_args,
		"Puts a transaction into the mempool and offers it to the peers.", "\"txid\"  (string)", "\"hex\"", 0 },
	{ "gettxout", "Blockchain", call_gettxout, gettxout_args, "Gives an unspent output; null if there is none.",
		"{\"bestblock\", \"confirmations\", \"value\", \"scriptPubKey\", \"coinbase\"}", "\"txid\" 0", 0 },
	{ "gettxoutsetinfo", "Blockchain", call_gettxoutsetinfo, NULL, "Counts the unspent outputs.",
		"{\"height\", \"bestblock\", \"txouts\", \"total_amount\"}", NULL, 0 },
	{ "getmempoolinfo", "Blockchain", call_getmempoolinfo, NULL, "Tells how full the mempool is.",
		"{\"loaded\", \"size\", \"bytes\", \"total_fee\", \"loose_proofs\"}", NULL, 0 },
	{ "getrawmempool", "Blockchain", call_getrawmempool, getrawmempool_args,
		"Lists the transactions of the mempool.",
		"[\"txid\", ...] or {\"txid\": getmempoolentry's object, ...}", NULL, 0 },
	{ "getmempoolentry", "Blockchain", call_getmempoolentry, getmempoolentry_args,
		"Gives a transaction's place in the mempool.", entry_result, "\"txid\"", 0 },
};

void calls_tx_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, chain);
}
