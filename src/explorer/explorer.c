/* The index on disk: opening, following, catching up, looking things up. */
#include "explorer/explorer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/db.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum explorer_prefix {
	EXPLORER_TIP = 't',
	EXPLORER_KEY = 'k',
	EXPLORER_TX = 'h',
	EXPLORER_RANK = 'e',
};

enum {
	EXPLORER_VERSION = 1, /* of the bytes; of another one it is made anew */
	EXPLORER_SLICE_MS = 50,
	EXPLORER_TIP_SIZE = 37,
	EXPLORER_KEY_SIZE = 33,
	EXPLORER_TX_KEY_SIZE = 41,
	EXPLORER_TX_SIZE = 41,
	EXPLORER_RANK_SIZE = 41,
	EXPLORER_TOLD = 1000 /* blocks behind: the log tells of that */
};

struct explorer {
	struct chain *chain;
	char *path;
	struct db *db; /* NULL: it is off */
	struct errmsg off;
	bool is_anew;                 /* it was made anew in this run: if that is damaged too, it is off */
	bool is_telling;              /* the log said that it catches up */
	const struct index_entry *at; /* connected once, so that the chain never forgets it */
	uint32_t ranked;
};

/* --- keys and values --- */

static void explorer_tx_key(uint8_t out[EXPLORER_TX_KEY_SIZE], const uint8_t key[32], uint32_t height, uint32_t place)
{
	out[0] = EXPLORER_TX;
	memcpy(out + 1, key, 32);
	write_be32(out + 33, ~height);
	write_be32(out + 37, ~place);
}

static void explorer_rank_key(uint8_t out[EXPLORER_RANK_SIZE], const uint8_t key[32], const struct book_sums *sums)
{
	const uint64_t inverted = ~(uint64_t)book_earned(sums);

	out[0] = EXPLORER_RANK;
	write_be32(out + 1, (uint32_t)(inverted >> 32));
	write_be32(out + 5, (uint32_t)inverted);
	memcpy(out + 9, key, 32);
}

static enum db_result explorer_get_sums(struct db *db, const uint8_t key[32], struct book_sums *sums,
	struct errmsg *err)
{
	uint8_t sums_key[EXPLORER_KEY_SIZE] = { EXPLORER_KEY };
	struct reader sums_reader;
	struct buf sums_bytes;
	enum db_result found;

	memset(sums, 0, sizeof *sums);
	memcpy(sums_key + 1, key, 32);
	buf_init(&sums_bytes);
	found = db_get(db, sums_key, sizeof sums_key, &sums_bytes, err);
	reader_init(&sums_reader, sums_bytes.data, sums_bytes.size);
	for (size_t column = 0; found == DB_FOUND && column < BOOK_COLUMNS; column++)
		sums->of[column] = (int64_t)reader_le64(&sums_reader);
	if (found == DB_FOUND && !reader_done(&sums_reader)) {
		errmsg_set(err, "a record has %zu bytes", sums_bytes.size);
		found = DB_FAILED;
	}
	buf_clear(&sums_bytes);
	return found;
}

static void explorer_put_sums(struct db_batch *batch, const uint8_t key[32], const struct book_sums *sums)
{
	static const struct book_sums nothing;
	uint8_t sums_key[EXPLORER_KEY_SIZE] = { EXPLORER_KEY };
	struct buf sums_bytes;

	memcpy(sums_key + 1, key, 32);
	if (memcmp(sums, &nothing, sizeof nothing) == 0) {
		db_batch_delete(batch, sums_key, sizeof sums_key);
		return;
	}
	buf_init(&sums_bytes);
	for (size_t column = 0; column < BOOK_COLUMNS; column++)
		buf_put_le64(&sums_bytes, (uint64_t)sums->of[column]);
	db_batch_put(batch, sums_key, sizeof sums_key, sums_bytes.data, sums_bytes.size);
	buf_clear(&sums_bytes);
}

static void explorer_put_tip(struct db_batch *batch, const struct index_entry *at, uint32_t ranked)
{
	const uint8_t tip_key = EXPLORER_TIP;
	uint8_t tip_bytes[EXPLORER_TIP_SIZE] = { EXPLORER_VERSION };

	memcpy(tip_bytes + 1, at->id, 32);
	write_le32(tip_bytes + 33, ranked);
	db_batch_put(batch, &tip_key, 1, tip_bytes, sizeof tip_bytes);
}

/* --- a block on, a block off --- */

/* A transaction of a key: in the balance, in what follows from that, and in its list. */
static void explorer_put_tx(struct db_batch *batch, struct book_sums *sums, const struct book_entry *entry,
	uint32_t height, int64_t sign)
{
	uint8_t tx_key[EXPLORER_TX_KEY_SIZE], tx_bytes[EXPLORER_TX_SIZE];

	sums->of[BOOK_BALANCE] += sign * entry->amount;
	if (!entry->is_struck) {
		sums->of[BOOK_TXS] += sign;
		sums->of[entry->amount < 0 ? BOOK_SENT : BOOK_RECEIVED] += sign *
			(entry->amount < 0 ? -entry->amount : entry->amount);
	}
	explorer_tx_key(tx_key, entry->key, height, entry->place);
	if (sign < 0) {
		db_batch_delete(batch, tx_key, sizeof tx_key);
		return;
	}
	write_le64(tx_bytes, (uint64_t)entry->amount);
	memcpy(tx_bytes + 8, entry->txid, 32);
	tx_bytes[40] = entry->is_struck;
	db_batch_put(batch, tx_key, sizeof tx_key, tx_bytes, sizeof tx_bytes);
}

/* What the block did to one key, from *i on; *i is the next key's first then. */
static bool explorer_put_key(struct explorer *explorer, struct db_batch *batch, const struct book *book, size_t *i,
	uint32_t height, int64_t sign, struct errmsg *err)
{
	const uint8_t *key = book->entries[*i].key;
	uint8_t rank_key[EXPLORER_RANK_SIZE];
	struct book_sums sums;

	if (explorer_get_sums(explorer->db, key, &sums, err) == DB_FAILED)
		return false;
	if (book_gave(&sums)) {
		explorer_rank_key(rank_key, key, &sums);
		db_batch_delete(batch, rank_key, sizeof rank_key);
		explorer->ranked--;
	}
	for (; *i < book->count && memcmp(book->entries[*i].key, key, 32) == 0; ++*i) {
		const struct book_entry *entry = &book->entries[*i];

		if (entry->column == BOOK_BALANCE)
			explorer_put_tx(batch, &sums, entry, height, sign);
		else
			sums.of[entry->column] += sign * entry->amount;
	}
	if (book_gave(&sums)) {
		explorer_rank_key(rank_key, key, &sums);
		db_batch_put(batch, rank_key, sizeof rank_key, "", 0);
		explorer->ranked++;
	}
	explorer_put_sums(batch, key, &sums);
	return true;
}

/* --- opening --- */

static void explorer_end(struct explorer *explorer, const struct errmsg *why)
{
	log_warn("The explorer's index is off until the next start: %s", why->text);
	explorer->off = *why;
	db_close(explorer->db);
	explorer->db = NULL;
}

static bool explorer_open_db(struct explorer *explorer, bool anew, struct errmsg *err)
{
	explorer->at = chain_genesis(explorer->chain);
	explorer->ranked = 0;
	if (anew && !db_destroy(explorer->path, err))
		return false;
	explorer->db = db_open(explorer->path, err);
	return explorer->db != NULL;
}

/* What is damaged is made anew, once in a run: what is damaged again then has a disk that nothing helps. A write that
 * failed is no damage, and would fail again. */
static void explorer_fail(struct explorer *explorer, const struct errmsg *why)
{
	const bool was_writable = explorer->db != NULL && db_is_sound(explorer->db);
	struct errmsg err = *why;

	db_close(explorer->db);
	explorer->db = NULL;
	if (explorer->is_anew || !was_writable) {
		explorer_end(explorer, &err);
		return;
	}
	log_warn("The explorer's index is made anew: %s", why->text);
	explorer->is_anew = true;
	if (!explorer_open_db(explorer, true, &err))
		explorer_end(explorer, &err);
}

/* Where it stands. False with the error set: that is nowhere on a chain that is here, or cannot be read. */
static bool explorer_read_tip(struct explorer *explorer, struct errmsg *err)
{
	const uint8_t tip_key = EXPLORER_TIP;
	const struct index_entry *at = NULL;
	struct buf tip_bytes;
	enum db_result found;

	buf_init(&tip_bytes);
	found = db_get(explorer->db, &tip_key, 1, &tip_bytes, err);
	if (found == DB_FOUND && tip_bytes.size == EXPLORER_TIP_SIZE && tip_bytes.data[0] == EXPLORER_VERSION)
		at = chain_find(explorer->chain, tip_bytes.data + 1);
	/* One that was refused since, while the index was off, can be taken back as well: it was connected once. */
	if (at != NULL && (at->parent == NULL || at->connect_order > 0)) {
		explorer->at = at;
		explorer->ranked = read_le32(tip_bytes.data + 33);
	} else if (found == DB_FOUND) {
		errmsg_set(err, "it is of another chain or version");
		found = DB_FAILED;
	}
	buf_clear(&tip_bytes);
	return found != DB_FAILED;
}

/* Adds the block to the index (sign 1), or takes it away again (-1), which leaves it at `at`. What cannot be read of
 * the chain is no fault of the index, which stays as it is. */
static void explorer_move(struct explorer *explorer, const struct index_entry *entry, const struct block *block,
	int64_t sign, const struct index_entry *at)
{
	struct db_batch *batch;
	struct errmsg err;
	struct book book;
	bool moved = true;

	if (!book_gather(&book, explorer->chain, entry, block, &err)) {
		explorer_end(explorer, &err);
		return;
	}
	batch = db_batch_new();
	for (size_t i = 0; moved && i < book.count;)
		moved = explorer_put_key(explorer, batch, &book, &i, entry->height, sign, &err);
	explorer_put_tip(batch, at, explorer->ranked);
	moved = moved && db_write(explorer->db, batch, false, &err);
	if (moved)
		explorer->at = at;
	else
		explorer_fail(explorer, &err);
	db_batch_free(batch);
	book_clear(&book);
}

static void explorer_on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct explorer *explorer = context;

	if (explorer->db != NULL && explorer->at == entry->parent)
		explorer_move(explorer, entry, block, 1, entry);
}

static void explorer_on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct explorer *explorer = context;

	if (explorer->db != NULL && explorer->at == entry)
		explorer_move(explorer, entry, block, -1, entry->parent);
}

struct explorer *explorer_open(struct chain *chain, const char *folder, bool anew)
{
	struct explorer *explorer = mem_calloc(1, sizeof *explorer);
	struct errmsg err;
	bool is_open;

	explorer->chain = chain;
	explorer->path = path_join(folder, "explorer");
	chain_subscribe(chain,
		&(struct chain_events){ .context = explorer,
			.connected = explorer_on_connected,
			.disconnected = explorer_on_disconnected });
	is_open = explorer_open_db(explorer, anew, &err);
	if (!is_open && db_is_damage(&err)) {
		log_warn("The explorer's index is made anew: %s", err.text);
		is_open = explorer_open_db(explorer, true, &err);
	}
	if (!is_open)
		explorer_end(explorer, &err);
	else if (!explorer_read_tip(explorer, &err))
		explorer_fail(explorer, &err);
	/* One that is a little behind answers its first question from the tip. */
	explorer_tick(explorer);
	return explorer;
}

void explorer_close(struct explorer *explorer)
{
	chain_unsubscribe(explorer->chain, explorer);
	db_close(explorer->db);
	free(explorer->path);
	free(explorer);
}

/* --- catching up --- */

/* One block towards the tip. */
static void explorer_step(struct explorer *explorer)
{
	const bool is_back = !chain_is_active(explorer->chain, explorer->at);
	const struct index_entry *entry = is_back ? explorer->at : chain_at(explorer->chain, explorer->at->height + 1);
	struct errmsg err;
	const struct block *block = chain_read_bare(explorer->chain, entry, &err);

	if (block == NULL) {
		explorer_end(explorer, &err);
		return;
	}
	explorer_move(explorer, entry, block, is_back ? -1 : 1, is_back ? entry->parent : entry);
	block_unref(block);
}

static void explorer_tell(struct explorer *explorer)
{
	const uint32_t tip_height = chain_tip(explorer->chain)->height;

	if (explorer->is_telling && explorer->at == chain_tip(explorer->chain)) {
		log_info("The explorer's index is level with block %" PRIu32, tip_height);
		explorer->is_telling = false;
	} else if (!explorer->is_telling && explorer->at->height + EXPLORER_TOLD < tip_height) {
		log_info("The explorer's index is at block %" PRIu32 " of %" PRIu32 ", and catches up",
			explorer->at->height, tip_height);
		explorer->is_telling = true;
	}
}

bool explorer_tick(struct explorer *explorer)
{
	const int64_t slice_end = clock_mono_ms() + EXPLORER_SLICE_MS;

	while (explorer->db != NULL && explorer->at != chain_tip(explorer->chain) && clock_mono_ms() < slice_end)
		explorer_step(explorer);
	if (explorer->db != NULL)
		explorer_tell(explorer);
	return explorer->db != NULL && explorer->at != chain_tip(explorer->chain);
}

/* --- looking things up --- */

const char *explorer_off(const struct explorer *explorer)
{
	return explorer->db == NULL ? explorer->off.text : NULL;
}

const struct index_entry *explorer_at(const struct explorer *explorer)
{
	return explorer->at;
}

uint32_t explorer_ranked(const struct explorer *explorer)
{
	return explorer->ranked;
}

bool explorer_look(struct explorer *explorer, const uint8_t key[32], struct book_sums *sums)
{
	struct errmsg err;

	if (explorer->db == NULL)
		return false;
	if (explorer_get_sums(explorer->db, key, sums, &err) != DB_FAILED)
		return true;
	explorer_fail(explorer, &err);
	return false;
}

/* A walk over what has a prefix: so many are passed by, so many visited. */
struct explorer_walk {
	struct explorer *explorer;
	size_t skip, count;
	explorer_visit_tx *visit_tx;
	explorer_visit_key *visit_key;
	void *context;
	bool has_failed;
};

/* A visit that ends the walk, as all that were asked for are there, looks to db_each like one that failed: the two are
 * told apart by what is left. */
static bool explorer_walk_passes(struct explorer_walk *walk)
{
	if (walk->skip == 0)
		return false;
	walk->skip--;
	return true;
}

static bool explorer_on_tx(void *visit_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct explorer_walk *walk = visit_context;
	struct explorer_tx tx;

	if (key_size != EXPLORER_TX_KEY_SIZE || value_size != EXPLORER_TX_SIZE) {
		walk->has_failed = true;
		return errmsg_set(err, "a transaction's record has %zu bytes", value_size);
	}
	if (explorer_walk_passes(walk))
		return true;
	tx.height = ~read_be32(key + 33);
	tx.amount = (int64_t)read_le64(value);
	memcpy(tx.txid, value + 8, 32);
	tx.is_struck = value[40] != 0;
	walk->visit_tx(walk->context, &tx);
	return --walk->count > 0;
}

static bool explorer_on_rank(void *visit_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct explorer_walk *walk = visit_context;
	struct book_sums sums;

	(void)value;
	if (key_size != EXPLORER_RANK_SIZE || value_size != 0) {
		walk->has_failed = true;
		return errmsg_set(err, "a rank's record has %zu bytes", value_size);
	}
	if (explorer_walk_passes(walk))
		return true;
	if (explorer_get_sums(walk->explorer->db, key + 9, &sums, err) != DB_FOUND) {
		walk->has_failed = true;
		return errmsg_wrap(err, "a key in rank has no record");
	}
	walk->visit_key(walk->context, key + 9, &sums);
	return --walk->count > 0;
}

static bool explorer_walk(struct explorer *explorer, const uint8_t *prefix, size_t prefix_size, db_visit *visit,
	struct explorer_walk *walk)
{
	struct errmsg err;

	if (explorer->db == NULL || walk->count == 0)
		return explorer->db != NULL;
	walk->explorer = explorer;
	if (!db_each(explorer->db, prefix, prefix_size, visit, walk, &err) && (walk->has_failed || walk->count > 0)) {
		explorer_fail(explorer, &err);
		return false;
	}
	return true;
}

bool explorer_each_tx(struct explorer *explorer, const uint8_t key[32], size_t skip, size_t count,
	explorer_visit_tx *visit, void *context)
{
	uint8_t prefix[EXPLORER_KEY_SIZE] = { EXPLORER_TX };

	memcpy(prefix + 1, key, 32);
	return explorer_walk(explorer, prefix, sizeof prefix, explorer_on_tx,
		&(struct explorer_walk){ .skip = skip, .count = count, .visit_tx = visit, .context = context });
}

bool explorer_each_key(struct explorer *explorer, size_t skip, size_t count, explorer_visit_key *visit, void *context)
{
	const uint8_t prefix = EXPLORER_RANK;

	return explorer_walk(explorer, &prefix, 1, explorer_on_rank,
		&(struct explorer_walk){ .skip = skip, .count = count, .visit_key = visit, .context = context });
}
