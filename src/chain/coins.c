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

static void coin_copy(struct coin *to, const struct coin *from)
{
	*to = *from;
	to->output.script.data = mem_dup(from->output.script.data, from->output.script.size);
}

void coin_write(struct buf *out, const struct coin *coin)
{
	buf_put_le32(out, coin->height << 1 | coin->coinbase);
	buf_put_le64(out, (uint64_t)coin->output.amount);
	buf_put_compact(out, coin->output.script.size);
	buf_put(out, coin->output.script.data, coin->output.script.size);
}

bool coin_read(struct reader *reader, struct coin *coin)
{
	uint32_t code = reader_le32(reader);
	uint64_t amount = reader_le64(reader);
	size_t size = reader_compact(reader);
	const uint8_t *script = reader_bytes(reader, size);

	memset(coin, 0, sizeof *coin);
	if (script == NULL)
		return false;
	coin->height = code >> 1;
	coin->coinbase = code & 1;
	coin->output.amount = (int64_t)amount;
	coin->output.script.data = mem_dup(script, size);
	coin->output.script.size = size;
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
	enum db_result result;
	struct reader reader;
	struct buf value;

	coin_db_key(outpoint, key);
	buf_init(&value);
	result = db_get(db, key, sizeof key, &value, err);
	if (result == DB_FOUND) {
		reader_init(&reader, value.data, value.size);
		if (!coin_read(&reader, coin) || !reader_done(&reader)) {
			chain_coin_clear(coin);
			errmsg_set(err, "A coin in the database is damaged: start with -reindex");
			result = DB_FAILED;
		}
	}
	buf_clear(&value);
	return result;
}

/* --- the overlay --- */

struct view_coin {
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
	struct coin_view *view = mem_alloc(sizeof *view);

	view->db = db;
	map_init(&view->coins);
	return view;
}

void coin_view_free(struct coin_view *view)
{
	const uint8_t *key;
	size_t at = 0;
	void *value;

	if (view == NULL)
		return;
	while (map_next(&view->coins, &at, &key, &value)) {
		struct view_coin *held = value;

		chain_coin_clear(&held->coin);
		free(held);
	}
	map_clear(&view->coins);
	free(view);
}

/* At most one for each outpoint that the block touches. */
static struct view_coin *view_find(struct coin_view *view, const struct outpoint *outpoint)
{
	uint8_t key[32];

	coin_key(outpoint, key);
	return map_get(&view->coins, key);
}

static struct view_coin *view_put(struct coin_view *view, const struct outpoint *outpoint)
{
	struct view_coin *held = mem_calloc(1, sizeof *held);
	uint8_t key[32];

	held->outpoint = *outpoint;
	coin_key(outpoint, key);
	map_put(&view->coins, key, held);
	return held;
}

/* Each coin is read from the database once, however often it is asked for. One that is not there is not noted: it is
 * the end of its block. */
const struct coin *coin_view_get(struct coin_view *view, const struct outpoint *outpoint, bool *failed,
	struct errmsg *err)
{
	struct view_coin *held = view_find(view, outpoint);
	struct coin coin;

	if (held == NULL) {
		switch (coins_get(view->db, outpoint, &coin, err)) {
		case DB_FOUND:
			held = view_put(view, outpoint);
			held->coin = coin;
			held->in_db = held->unspent = true;
			break;
		case DB_MISSING:
			return NULL;
		case DB_FAILED:
			*failed = true;
			return NULL;
		}
	}
	return held->unspent ? &held->coin : NULL;
}

/* It stays in the view as spent: it must be deleted in the database, or, made by this same block, never be written. */
void coin_view_spend(struct coin_view *view, const struct outpoint *outpoint)
{
	view_find(view, outpoint)->unspent = false;
}

void coin_view_add(struct coin_view *view, const struct outpoint *outpoint, const struct coin *coin)
{
	struct view_coin *held = view_find(view, outpoint);

	if (held == NULL)
		held = view_put(view, outpoint);
	else
		chain_coin_clear(&held->coin);
	coin_copy(&held->coin, coin);
	held->unspent = true;
}

void coin_view_add_tx(struct coin_view *view, const struct tx *tx, uint32_t height)
{
	struct coin coin = { .height = height, .coinbase = tx_is_coinbase(tx) };
	struct outpoint outpoint;

	memcpy(outpoint.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!coin_is_output(&tx->outputs[i]))
			continue;
		outpoint.index = (uint32_t)i;
		coin.output = tx->outputs[i];
		coin_view_add(view, &outpoint, &coin);
	}
}

/* What a block made is unspent when it is undone, since blocks go from the tip down and transactions from the last one:
 * else this is not the chain that the coins are of. */
bool coin_view_remove_tx(struct coin_view *view, const struct tx *tx, struct errmsg *err)
{
	struct outpoint outpoint;
	bool failed = false;

	memcpy(outpoint.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!coin_is_output(&tx->outputs[i]))
			continue;
		outpoint.index = (uint32_t)i;
		if (coin_view_get(view, &outpoint, &failed, err) == NULL)
			return failed ? false : errmsg_set(err, "The coins do not fit the chain: start with -reindex");
		coin_view_spend(view, &outpoint);
	}
	return true;
}

/* What was made and spent within the view is never written; the sums count what is, so they cannot drift from the
 * coins. */
void coin_view_flush(const struct coin_view *view, struct db_batch *batch, struct coin_stats *stats)
{
	const uint8_t *map_key;
	size_t at = 0;
	void *value;

	while (map_next(&view->coins, &at, &map_key, &value)) {
		const struct view_coin *held = value;
		uint8_t key[COIN_KEY_SIZE];
		struct buf bytes;

		if (held->in_db == held->unspent)
			continue;
		coin_db_key(&held->outpoint, key);
		if (held->unspent) {
			buf_init(&bytes);
			coin_write(&bytes, &held->coin);
			db_batch_put(batch, key, sizeof key, bytes.data, bytes.size);
			buf_clear(&bytes);
			stats->coins++;
			stats->amount += held->coin.output.amount;
		} else {
			db_batch_delete(batch, key, sizeof key);
			stats->coins--;
			stats->amount -= held->coin.output.amount;
		}
	}
}
