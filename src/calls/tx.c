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
		.help = "0: hexadecimal text. 1: an object. 2: the same, with fee and what the inputs spend." },
	{ .name = "blockhash", .type = RPC_HASH, .optional = true, .help = "Look in this block alone." },
	{ 0 },
};

/* The transaction out of one block; NULL: not there, or the block's bytes are not. */
static const struct tx *tx_in_block(struct chain *chain, const struct index_entry *searched_entry,
	const uint8_t txid[32])
{
	const struct block *searched_block = searched_entry->height == 0 ? NULL :
									   chain_read_bare(chain, searched_entry, NULL);
	const struct tx *found_tx = NULL;

	for (size_t i = 0; searched_block != NULL && found_tx == NULL && i < searched_block->tx_count; i++)
		if (memcmp(tx_txid(searched_block->txs[i]), txid, 32) == 0)
			found_tx = tx_ref(searched_block->txs[i]);
	block_unref(searched_block);
	return found_tx;
}

/* --- what a transaction spends --- */

/* Filled input by input. */
struct tx_prevouts {
	const struct spec *spec;
	const struct tx *tx;
	json_t *inputs_shown;
	size_t count; /* of those that are known, from the first on */
	int64_t sum;
};

static void tx_show_prevout(struct tx_prevouts *prevouts, const struct coin *coin)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "generated", json_boolean(coin->coinbase));
	if (coin->height > 0)
		json_object_set_new(shown, "height", json_integer(coin->height));
	json_object_set_new(shown, "value", json_amount(coin->output.amount));
	json_object_set_new(shown, "scriptPubKey", show_script(prevouts->spec, &coin->output.script));
	json_object_set_new(json_array_get(prevouts->inputs_shown, prevouts->count++), "prevout", shown);
	prevouts->sum += coin->output.amount;
}

static void tx_on_spent(void *context, size_t tx_index, const struct spent_coin *spent)
{
	struct tx_prevouts *prevouts = context;

	(void)tx_index;
	if (spent->tx != NULL && memcmp(tx_txid(spent->tx), tx_txid(prevouts->tx), 32) == 0)
		tx_show_prevout(prevouts, &spent->coin);
}

/* Of one that waits: coins of the chain, and outputs of others that wait, which no block has given a height. */
static void tx_show_waiting_prevouts(struct tx_prevouts *prevouts, struct chain *chain)
{
	for (size_t i = 0; i < prevouts->tx->input_count && prevouts->count == i; i++) {
		const struct outpoint *outpoint = &prevouts->tx->inputs[i].prev;
		const struct mempool_entry *parent = chain_mempool_find(chain, outpoint->txid);
		struct coin coin;

		if (parent != NULL && outpoint->index < parent->tx->output_count) {
			tx_show_prevout(prevouts, &(struct coin){ .output = parent->tx->outputs[outpoint->index] });
		} else if (chain_coin(chain, outpoint, &coin)) {
			tx_show_prevout(prevouts, &coin);
			chain_coin_clear(&coin);
		}
	}
}

/* Nothing of coinbases and of transactions of rounds, which spend no coins, nor of a block that never was connected. */
static void tx_add_prevouts(json_t *tx_shown, struct chain *chain, const struct tx *tx, const struct index_entry *entry)
{
	struct tx_prevouts prevouts = { chain_spec(chain), tx, json_object_get(tx_shown, "vin"), 0, 0 };
	const struct block *block = entry != NULL && entry->connect_order > 0 ? chain_read_bare(chain, entry, NULL) :
										NULL;

	if (entry == NULL)
		tx_show_waiting_prevouts(&prevouts, chain);
	else if (block != NULL)
		chain_read_spent(chain, entry, block, tx_on_spent, &prevouts, NULL);
	block_unref(block);
	if (prevouts.count < tx->input_count)
		return;
	for (size_t i = 0; i < tx->output_count; i++)
		prevouts.sum -= tx->outputs[i].amount;
	json_object_set_new(tx_shown, "fee", json_amount(prevouts.sum));
}

/* --- getting one --- */

static enum rpc_outcome call_getrawtransaction(struct rpc_request *tx_request, void *context)
{
	struct chain *chain = context;
	const struct index_entry *tx_entry = NULL;
	const struct mempool_entry *waiting = NULL;
	const struct tx *tx = NULL;
	uint8_t txid[32];
	json_t *tx_hex;
	json_t *tx_shown;

	rpc_hash(tx_request, "txid", txid);
	if (rpc_has(tx_request, "blockhash")) {
		tx_entry = argument_entry(tx_request, chain, "blockhash");
		if (tx_entry == NULL)
			return RPC_DONE;
		tx = tx_in_block(chain, tx_entry, txid);
		if (tx == NULL)
			return rpc_fail(tx_request, RPC_INVALID_ADDRESS_OR_KEY,
				"No such transaction found in the provided block");
	} else if ((waiting = chain_mempool_find(chain, txid)) != NULL) {
		tx = tx_ref(waiting->tx);
	} else if ((tx_entry = chain_find_tx(chain, txid, &tx)) == NULL) {
		/* It is on no block of the active chain: all of those are found, as with Bitcoin Core's -txindex. */
		return rpc_fail(tx_request, RPC_INVALID_ADDRESS_OR_KEY, "No such mempool or blockchain transaction");
	}
	tx_hex = show_tx_hex(tx);
	if (rpc_int(tx_request, "verbosity") == 0) {
		tx_unref(tx);
		return rpc_reply(tx_request, tx_hex);
	}
	tx_shown = show_tx(chain_spec(chain), tx);
	if (rpc_int(tx_request, "verbosity") == 2)
		tx_add_prevouts(tx_shown, chain, tx, tx_entry);
	tx_unref(tx);
	json_object_set_new(tx_shown, "hex", tx_hex);
	if (tx_entry != NULL) {
		json_object_set_new(tx_shown, "in_active_chain", json_boolean(chain_is_active(chain, tx_entry)));
		json_object_set_new(tx_shown, "blockhash", json_hash(tx_entry->id));
		json_object_set_new(tx_shown, "confirmations", json_integer(show_confirmations(chain, tx_entry)));
		json_object_set_new(tx_shown, "time", json_integer(tx_entry->header.time));
		json_object_set_new(tx_shown, "blocktime", json_integer(tx_entry->header.time));
	}
	return rpc_reply(tx_request, tx_shown);
}

/* The transaction of the argument `hexstring`, or NULL. */
static const struct tx *tx_parse_argument(const struct rpc_request *tx_request)
{
	struct buf raw_tx;
	struct reader tx_reader;
	bool is_hex;
	const struct tx *tx;

	buf_init(&raw_tx);
	is_hex = argument_raw(tx_request, "hexstring", &raw_tx);
	reader_init(&tx_reader, raw_tx.data, raw_tx.size);
	tx = is_hex ? tx_read(&tx_reader) : NULL;
	/* With bytes left over it is no transaction: who sent them meant something else than what would be taken. */
	if (tx != NULL && !reader_done(&tx_reader)) {
		tx_unref(tx);
		tx = NULL;
	}
	buf_clear(&raw_tx);
	return tx;
}

static const struct rpc_arg decoderawtransaction_args[] = {
	{ .name = "hexstring",
		.type = RPC_TEXT,
		.max = TX_TEXT_MAX,
		.help = "The serialised transaction, hexadecimal." },
	{ 0 },
};

static enum rpc_outcome call_decoderawtransaction(struct rpc_request *tx_request, void *context)
{
	const struct tx *tx = tx_parse_argument(tx_request);
	json_t *tx_shown;

	if (tx == NULL)
		return rpc_fail(tx_request, RPC_DESERIALIZATION_ERROR, "TX decode failed");
	tx_shown = show_tx(chain_spec(context), tx);
	tx_unref(tx);
	return rpc_reply(tx_request, tx_shown);
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
static bool tx_input_sum(struct chain *chain, const struct tx *tx, int64_t *inputs_sum)
{
	*inputs_sum = 0;
	for (size_t i = 0; i < tx->input_count; i++) {
		const struct outpoint *prevout = &tx->inputs[i].prev;
		const struct mempool_entry *waiting_parent = chain_mempool_find(chain, prevout->txid);
		struct coin spent_coin;

		if (waiting_parent != NULL && prevout->index < waiting_parent->tx->output_count) {
			*inputs_sum += waiting_parent->tx->outputs[prevout->index].amount;
		} else if (chain_coin(chain, prevout, &spent_coin)) {
			*inputs_sum += spent_coin.output.amount;
			chain_coin_clear(&spent_coin);
		} else {
			return false;
		}
		/* After each addition, so that the sum never leaves the range of 64 bits however many inputs there
		 * are. */
		if (*inputs_sum > MAX_MONEY)
			return false;
	}
	return true;
}

static bool tx_fee_too_high(struct chain *chain, const struct tx *tx, int64_t max_rate)
{
	int64_t inputs_sum, outputs_sum = 0;
	int64_t tx_vsize;

	/* Inputs that are not known are for chain_add_tx to judge. */
	if (max_rate == 0 || !tx_input_sum(chain, tx, &inputs_sum))
		return false;
	/* Burning for a contribution is no fee: it is an output like any other. */
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!tx_amount_valid(tx->outputs[i].amount) || outputs_sum > MAX_MONEY)
			return false;
		outputs_sum += tx->outputs[i].amount;
	}
	tx_vsize = (int64_t)((tx_weight(tx) + 3) / 4);
	/* Multiplied out: a division would round, and let a fee pass that is above the rate. */
	return (__int128)(inputs_sum - outputs_sum) * 1000 > (__int128)max_rate * tx_vsize;
}

static enum rpc_outcome call_sendrawtransaction(struct rpc_request *tx_request, void *context)
{
	struct chain *chain = context;
	struct reject tx_reject = { 0 };
	uint8_t sent_txid[32];
	const struct tx *sent_tx = tx_parse_argument(tx_request), *confirmed = NULL;

	if (sent_tx == NULL)
		return rpc_fail(tx_request, RPC_DESERIALIZATION_ERROR,
			"TX decode failed. Make sure the tx has at least one input.");
	memcpy(sent_txid, tx_txid(sent_tx), 32);
	/* By the index of transactions, where Bitcoin Core looks for unspent outputs: one whose outputs are spent is
	 * found too. */
	if (chain_find_tx(chain, sent_txid, &confirmed) != NULL) {
		tx_unref(confirmed);
		tx_unref(sent_tx);
		return rpc_fail(tx_request, RPC_VERIFY_ALREADY_IN_CHAIN, "Transaction already in block chain");
	}
	if (tx_fee_too_high(chain, sent_tx, rpc_int(tx_request, "maxfeerate"))) {
		tx_unref(sent_tx);
		return rpc_fail(tx_request, RPC_VERIFY_ERROR, "Fee exceeds maximum configured by user (maxfeerate)");
	}
	/* The transaction is the chain's from here on, whatever it says. */
	switch (chain_add_tx(chain, sent_tx, NULL, &tx_reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		/* Known is no error, as in Bitcoin Core: a wallet that is not sure sends again. */
		return rpc_reply(tx_request, json_hash(sent_txid));
	case CHAIN_ORPHAN:
		return rpc_fail(tx_request, RPC_VERIFY_ERROR, "%s", tx_reject.reason);
	case CHAIN_REJECTED:
		return rpc_fail(tx_request, RPC_VERIFY_REJECTED, "%s, %s", tx_reject.reason, tx_reject.detail);
	case CHAIN_ERROR:
		break;
	}
	return rpc_fail(tx_request, RPC_DATABASE_ERROR, "The transaction could not be taken");
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

static json_t *tx_show_coin(struct chain *chain, const struct tx_output *output, int64_t confirmations, bool coinbase)
{
	json_t *coin_shown = json_object();

	json_object_set_new(coin_shown, "bestblock", json_hash(chain_tip(chain)->id));
	json_object_set_new(coin_shown, "confirmations", json_integer(confirmations));
	json_object_set_new(coin_shown, "value", json_amount(output->amount));
	json_object_set_new(coin_shown, "scriptPubKey", show_script(chain_spec(chain), &output->script));
	json_object_set_new(coin_shown, "coinbase", json_boolean(coinbase));
	return coin_shown;
}

static enum rpc_outcome call_gettxout(struct rpc_request *tx_request, void *context)
{
	struct chain *chain = context;
	struct outpoint outpoint;
	struct coin unspent_coin;
	json_t *coin_shown;

	rpc_hash(tx_request, "txid", outpoint.txid);
	outpoint.index = (uint32_t)rpc_int(tx_request, "n");
	if (rpc_bool(tx_request, "include_mempool")) {
		const struct mempool_entry *waiting_parent = chain_mempool_find(chain, outpoint.txid);

		/* Before the coin itself: one that a waiting transaction spends is still in the database. */
		if (chain_mempool_spender(chain, &outpoint) != NULL)
			return rpc_reply(tx_request, NULL);
		if (waiting_parent != NULL && outpoint.index < waiting_parent->tx->output_count)
			return rpc_reply(tx_request,
				tx_show_coin(chain, &waiting_parent->tx->outputs[outpoint.index], 0, false));
	}
	if (!chain_coin(chain, &outpoint, &unspent_coin))
		return rpc_reply(tx_request, NULL);
	coin_shown = tx_show_coin(chain, &unspent_coin.output,
		(int64_t)chain_tip(chain)->height - unspent_coin.height + 1, unspent_coin.coinbase);
	chain_coin_clear(&unspent_coin);
	return rpc_reply(tx_request, coin_shown);
}

static enum rpc_outcome call_gettxoutsetinfo(struct rpc_request *tx_request, void *context)
{
	struct coin_stats coin_totals;
	json_t *txoutset_info;

	/* Kept up to date block by block, where Bitcoin Core walks the whole set: this answers at once. */
	chain_coin_stats(context, &coin_totals);
	txoutset_info = json_object();
	json_object_set_new(txoutset_info, "height", json_integer(chain_tip(context)->height));
	json_object_set_new(txoutset_info, "bestblock", json_hash(chain_tip(context)->id));
	json_object_set_new(txoutset_info, "txouts", json_integer((json_int_t)coin_totals.coins));
	json_object_set_new(txoutset_info, "total_amount", json_amount(coin_totals.amount));
	return rpc_reply(tx_request, txoutset_info);
}

static void tx_add_fee(void *mempool_fees, const struct mempool_entry *waiting_tx)
{
	*(int64_t *)mempool_fees += waiting_tx->fee;
}

static enum rpc_outcome call_getmempoolinfo(struct rpc_request *tx_request, void *context)
{
	int64_t mempool_fees = 0;
	json_t *mempool_info;

	chain_mempool_each(context, tx_add_fee, &mempool_fees);
	mempool_info = json_object();
	json_object_set_new(mempool_info, "loaded", json_true());
	json_object_set_new(mempool_info, "size", json_integer((json_int_t)chain_mempool_count(context)));
	json_object_set_new(mempool_info, "bytes", json_integer((json_int_t)chain_mempool_bytes(context)));
	json_object_set_new(mempool_info, "total_fee", json_amount(mempool_fees));
	json_object_set_new(mempool_info, "loose_proofs", json_integer((json_int_t)chain_loose_count(context)));
	return rpc_reply(tx_request, mempool_info);
}

static json_t *tx_show_waiting(const struct chain *chain, const struct mempool_entry *waiting_tx)
{
	json_t *waiting_shown = json_object(), *fees_shown = json_object(), *depends = json_array(),
	       *spent_by = json_array();

	json_object_set_new(waiting_shown, "vsize", json_integer((json_int_t)((waiting_tx->weight + 3) / 4)));
	json_object_set_new(waiting_shown, "weight", json_integer((json_int_t)waiting_tx->weight));
	json_object_set_new(waiting_shown, "time", json_integer((json_int_t)waiting_tx->time));
	json_object_set_new(waiting_shown, "height", json_integer(waiting_tx->height));
	json_object_set_new(waiting_shown, "wtxid", json_hash(waiting_tx->wtxid));
	json_object_set_new(fees_shown, "base", json_amount(waiting_tx->fee));
	json_object_set_new(waiting_shown, "fees", fees_shown);
	for (size_t i = 0; i < waiting_tx->tx->input_count; i++) {
		const uint8_t *parent_txid = waiting_tx->tx->inputs[i].prev.txid;

		if (chain_mempool_find(chain, parent_txid) != NULL)
			json_array_append_new(depends, json_hash(parent_txid));
	}
	for (uint32_t i = 0; i < waiting_tx->tx->output_count; i++) {
		struct outpoint made_outpoint = { .index = i };
		const struct mempool_entry *spender;

		memcpy(made_outpoint.txid, waiting_tx->txid, 32);
		spender = chain_mempool_spender(chain, &made_outpoint);
		if (spender != NULL)
			json_array_append_new(spent_by, json_hash(spender->txid));
	}
	json_object_set_new(waiting_shown, "depends", depends);
	json_object_set_new(waiting_shown, "spentby", spent_by);
	return waiting_shown;
}

struct tx_listing {
	const struct chain *chain;
	json_t *ids, *entries; /* one of them */
};

static void tx_list_entry(void *context, const struct mempool_entry *waiting_tx)
{
	struct tx_listing *listing = context;
	char txid_hex[65];

	if (listing->ids != NULL) {
		json_array_append_new(listing->ids, json_hash(waiting_tx->txid));
		return;
	}
	hex_encode_reversed(txid_hex, waiting_tx->txid, 32);
	json_object_set_new(listing->entries, txid_hex, tx_show_waiting(listing->chain, waiting_tx));
}

static const struct rpc_arg getrawmempool_args[] = {
	{ .name = "verbose",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "An object by id instead of a list of ids." },
	{ 0 },
};

static enum rpc_outcome call_getrawmempool(struct rpc_request *tx_request, void *context)
{
	struct tx_listing listing = { .chain = context };

	if (rpc_bool(tx_request, "verbose"))
		listing.entries = json_object();
	else
		listing.ids = json_array();
	chain_mempool_each(context, tx_list_entry, &listing);
	return rpc_reply(tx_request, listing.ids != NULL ? listing.ids : listing.entries);
}

static const struct rpc_arg getmempoolentry_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of the transaction." },
	{ 0 },
};

static enum rpc_outcome call_getmempoolentry(struct rpc_request *tx_request, void *context)
{
	uint8_t txid[32];
	const struct mempool_entry *waiting_tx;

	rpc_hash(tx_request, "txid", txid);
	waiting_tx = chain_mempool_find(context, txid);
	if (waiting_tx == NULL)
		return rpc_fail(tx_request, RPC_INVALID_ADDRESS_OR_KEY, "Transaction not in mempool");
	return rpc_reply(tx_request, tx_show_waiting(context, waiting_tx));
}

static const char getmempoolentry_result[] =
	"{\"vsize\": n, \"weight\": n, \"time\": n, \"height\": n, \"wtxid\": \"hex\", \"fees\": {\"base\": amount},\n"
	" \"depends\": [ids], \"spentby\": [ids]}";

static const struct rpc_method tx_methods[] = {
	{ "getrawtransaction", "Rawtransactions", call_getrawtransaction, getrawtransaction_args,
		"Gives a transaction of the mempool or of the active chain.",
		"\"hex\" or {\"txid\", \"hash\", \"size\", ..., \"vin\", \"vout\", \"round\", \"hex\", "
		"\"blockhash\", \"confirmations\"}\n"
		"with verbosity 2 fee too, where coins are spent, and for each input\n"
		"  prevout: {\"generated\": bool, \"height\": n, \"value\": amount, \"scriptPubKey\"}\n"
		"  of one that waits itself without height",
		"\"txid\" 1", 0 },
	{ "decoderawtransaction", "Rawtransactions", call_decoderawtransaction, decoderawtransaction_args,
		"Shows what a serialised transaction says; one of rounds has round: whose seat, its kind and roots.",
		"{\"txid\", \"hash\", \"size\", ..., \"vin\", \"vout\", \"round\"}", "\"hex\"", 0 },
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
		"Gives a transaction's place in the mempool.", getmempoolentry_result, "\"txid\"", 0 },
};

void calls_tx_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, tx_methods, sizeof tx_methods / sizeof *tx_methods, chain);
}
