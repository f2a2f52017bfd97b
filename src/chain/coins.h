/* The coins: unspent outputs of the active chain.
 *
 * A coin is in the database under its outpoint: u32 height * 2 + coinbase | i64 amount | script, which is always P2TR
 * (OP_RETURN outputs are never coins; doc/protocol.md section 11). A block is checked and applied through a
 * `struct coin_view`, an overlay that is either flushed into one batch or dropped. */
#ifndef ATELIER_CHAIN_COINS_H
#define ATELIER_CHAIN_COINS_H

#include "chain/chain.h"
#include "store/db.h"
#include "util/map.h"

/* The coin of an outpoint in the database. FOUND fills coin, which the caller clears. */
enum db_result coins_get(struct db *db, const struct outpoint *outpoint, struct coin *coin, struct errmsg *err);

/* Every output of its own: a key for maps. Outpoints of different transactions collide only if their ids do but for
 * four bytes. */
void coin_key(const struct outpoint *outpoint, uint8_t key[32]);

/* True if an output becomes a coin when its block connects. */
bool coin_is_output(const struct tx_output *output);

struct coin_view;

struct coin_view *coin_view_new(struct db *db);
void coin_view_free(struct coin_view *coin_view);

/* The coin, borrowed until it is spent or the view freed; NULL: none, or, if *failed became true, a read failed. */
const struct coin *coin_view_get(struct coin_view *coin_view, const struct outpoint *outpoint, bool *failed,
	struct errmsg *err);
/* A coin that get found is one no more. */
void coin_view_spend(struct coin_view *coin_view, const struct outpoint *outpoint);
void coin_view_add(struct coin_view *coin_view, const struct outpoint *outpoint, const struct coin *coin); /* copies */
/* All outputs of a transaction. */
void coin_view_add_tx(struct coin_view *coin_view, const struct tx *tx, uint32_t height);
/* Takes them away again; they must be there. */
bool coin_view_remove_tx(struct coin_view *coin_view, const struct tx *tx, struct errmsg *err);
/* Puts every change into the batch and into the statistics. */
void coin_view_flush(const struct coin_view *coin_view, struct db_batch *batch, struct coin_stats *coin_stats);

/* Byte form, also of undo records: of the coins a block spent, in the order of its inputs, and struck. */
void coin_write(struct buf *out, const struct coin *coin);
bool coin_read(struct reader *coin_reader, struct coin *coin);

#endif
