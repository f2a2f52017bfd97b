/* Coins in the database, and the overlay through which blocks change them. */
#include "chain/coins.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

enum { COIN_KEY_SIZE = 37 };

void chain_coin_clear(struct coin *coin)
{
	free(coin->output.script.data);
	memset(coin, 0, sizeof *coin);
}

static void coin_copy(struct coin *coin_copied, const struct coin *coin_given)
{
	*coin_copied = *coin_given;
	coin_copied->output.script.data = mem_dup(coin_given->output.script.data, coin_given->output.script.size);
}

void coin_write(struct buf *coin_bytes, const struct coin *coin)
{
	buf_put_le32(coin_bytes, coin->height << 1 | coin->coinbase);
	buf_put_le64(coin_bytes, (uint64_t)coin->output.amount);
	buf_put_compact(coin_bytes, coin->output.script.size);
	buf_put(coin_bytes, coin->output.script.data, coin->output.script.size);
}

bool coin_read(struct reader *coin_reader, struct coin *coin)
{
	uint32_t height_code = reader_le32(coin_reader);
	uint64_t amount = reader_le64(coin_reader);
	size_t script_size = reader_compact(coin_reader);
	const uint8_t *coin_script = reader_bytes(coin_reader, script_size);

	memset(coin, 0, sizeof *coin);
	if (coin_script == NULL)
		return false;
	coin->height = height_code >> 1;
	coin->coinbase = height_code & 1;
	coin->output.amount = (int64_t)amount;
	coin->output.script.data = mem_dup(coin_script, script_size);
	coin->output.script.size = script_size;
	return true;
}

/* The index goes into the first four bytes, which are as random as the rest. Two outpoints of one key need txids that
 * agree in their other 28 bytes, which nobody can make. */
void coin_key(const struct outpoint *outpoint, uint8_t key[32])
{
	memcpy(key, outpoint->txid, 32);
	write_le32(key, read_le32(key) ^ outpoint->index);
}

/* An OP_RETURN is never a coin: nobody can spend it, so nothing keeps it. */
bool coin_is_output(const struct tx_output *output)
{
	return script_p2tr_key(&output->script) != NULL;
}

static void coin_db_key(const struct outpoint *outpoint, uint8_t key[COIN_KEY_SIZE])
{
	key[0] = DB_COIN;
	memcpy(key + 1, outpoint->txid, 32);
	write_le32(key + 33, outpoint->index);
}

/* Damage is told as a failure of the disk, never as a coin that is not there: that would refuse good blocks. */
enum db_result coins_get(struct db *db, const struct outpoint *outpoint, struct coin *coin, struct errmsg *err)
{
	uint8_t key[COIN_KEY_SIZE];
	enum db_result coin_result;
	struct reader coin_reader;
	struct buf coin_bytes;

	coin_db_key(outpoint, key);
	buf_init(&coin_bytes);
	coin_result = db_get(db, key, sizeof key, &coin_bytes, err);
	if (coin_result == DB_FOUND) {
		reader_init(&coin_reader, coin_bytes.data, coin_bytes.size);
		if (!coin_read(&coin_reader, coin) || !reader_done(&coin_reader)) {
			chain_coin_clear(coin);
			errmsg_set(err, "A coin in the database is damaged: start with -reindex");
			coin_result = DB_FAILED;
		}
	}
	buf_clear(&coin_bytes);
	return coin_result;
}

/* --- the overlay --- */

struct coin_view_place {
	struct outpoint outpoint;
	struct coin coin;
	bool in_db; /* the database has it: a spend must delete it there */
	bool unspent;
};

struct coin_view {
	struct db *db;
	struct map coins;
};

struct coin_view *coin_view_new(struct db *db)
{
	struct coin_view *coin_view = mem_alloc(sizeof *coin_view);

	coin_view->db = db;
	map_init(&coin_view->coins);
	return coin_view;
}

void coin_view_free(struct coin_view *coin_view)
{
	const uint8_t *coin_map_key;
	size_t coin_at = 0;
	void *coin_value;

	if (coin_view == NULL)
		return;
	while (map_next(&coin_view->coins, &coin_at, &coin_map_key, &coin_value)) {
		struct coin_view_place *view_coin = coin_value;

		chain_coin_clear(&view_coin->coin);
		free(view_coin);
	}
	map_clear(&coin_view->coins);
	free(coin_view);
}

/* At most one for each outpoint that the block touches. */
static struct coin_view_place *coin_view_find(struct coin_view *coin_view, const struct outpoint *outpoint)
{
	uint8_t coin_map_key[32];

	coin_key(outpoint, coin_map_key);
	return map_get(&coin_view->coins, coin_map_key);
}

static struct coin_view_place *coin_view_put(struct coin_view *coin_view, const struct outpoint *outpoint)
{
	struct coin_view_place *view_coin = mem_calloc(1, sizeof *view_coin);
	uint8_t coin_map_key[32];

	view_coin->outpoint = *outpoint;
	coin_key(outpoint, coin_map_key);
	map_put(&coin_view->coins, coin_map_key, view_coin);
	return view_coin;
}

/* Each coin is read from the database once, however often it is asked for. One that is not there is not noted: it is
 * the end of its block. */
const struct coin *coin_view_get(struct coin_view *coin_view, const struct outpoint *outpoint, bool *failed,
	struct errmsg *err)
{
	struct coin_view_place *view_coin = coin_view_find(coin_view, outpoint);
	struct coin coin;

	if (view_coin == NULL) {
		switch (coins_get(coin_view->db, outpoint, &coin, err)) {
		case DB_FOUND:
			view_coin = coin_view_put(coin_view, outpoint);
			view_coin->coin = coin;
			view_coin->in_db = view_coin->unspent = true;
			break;
		case DB_MISSING:
			return NULL;
		case DB_FAILED:
			*failed = true;
			return NULL;
		}
	}
	return view_coin->unspent ? &view_coin->coin : NULL;
}

/* It stays in the view as spent: it must be deleted in the database, or, made by this same block, never be written. */
void coin_view_spend(struct coin_view *coin_view, const struct outpoint *outpoint)
{
	coin_view_find(coin_view, outpoint)->unspent = false;
}

void coin_view_add(struct coin_view *coin_view, const struct outpoint *outpoint, const struct coin *coin)
{
	struct coin_view_place *view_coin = coin_view_find(coin_view, outpoint);

	if (view_coin == NULL)
		view_coin = coin_view_put(coin_view, outpoint);
	else
		chain_coin_clear(&view_coin->coin);
	coin_copy(&view_coin->coin, coin);
	view_coin->unspent = true;
}

void coin_view_add_tx(struct coin_view *coin_view, const struct tx *tx, uint32_t height)
{
	struct coin made_coin = { .height = height, .coinbase = tx_is_coinbase(tx) };
	struct outpoint coin_outpoint;

	memcpy(coin_outpoint.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!coin_is_output(&tx->outputs[i]))
			continue;
		coin_outpoint.index = (uint32_t)i;
		made_coin.output = tx->outputs[i];
		coin_view_add(coin_view, &coin_outpoint, &made_coin);
	}
}

/* What a block made is unspent when it is undone, since blocks go from the tip down and transactions from the last one:
 * else this is not the chain that the coins are of. */
bool coin_view_remove_tx(struct coin_view *coin_view, const struct tx *tx, struct errmsg *err)
{
	struct outpoint coin_outpoint;
	bool failed = false;

	memcpy(coin_outpoint.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!coin_is_output(&tx->outputs[i]))
			continue;
		coin_outpoint.index = (uint32_t)i;
		if (coin_view_get(coin_view, &coin_outpoint, &failed, err) == NULL)
			return failed ? false : errmsg_set(err, "The coins do not fit the chain: start with -reindex");
		coin_view_spend(coin_view, &coin_outpoint);
	}
	return true;
}

/* What was made and spent within the view is never written; the sums count what is, so they cannot drift from the
 * coins. */
void coin_view_flush(const struct coin_view *coin_view, struct db_batch *batch, struct coin_stats *coin_stats)
{
	const uint8_t *coin_map_key;
	size_t coin_at = 0;
	void *coin_value;

	while (map_next(&coin_view->coins, &coin_at, &coin_map_key, &coin_value)) {
		const struct coin_view_place *view_coin = coin_value;
		uint8_t coin_row_key[COIN_KEY_SIZE];
		struct buf coin_bytes;

		if (view_coin->in_db == view_coin->unspent)
			continue;
		coin_db_key(&view_coin->outpoint, coin_row_key);
		if (view_coin->unspent) {
			buf_init(&coin_bytes);
			coin_write(&coin_bytes, &view_coin->coin);
			db_batch_put(batch, coin_row_key, sizeof coin_row_key, coin_bytes.data, coin_bytes.size);
			buf_clear(&coin_bytes);
			coin_stats->coins++;
			coin_stats->amount += view_coin->coin.output.amount;
		} else {
			db_batch_delete(batch, coin_row_key, sizeof coin_row_key);
			coin_stats->coins--;
			coin_stats->amount -= view_coin->coin.output.amount;
		}
	}
}
