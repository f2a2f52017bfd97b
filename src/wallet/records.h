/* Records of a wallet's database: their keys and their bytes (the list is in wallet/wallet.h). What they mean to a
 * wallet, and when they are written, is in wallet/wallet.c. */
#ifndef ATELIER_WALLET_RECORDS_H
#define ATELIER_WALLET_RECORDS_H

#include "store/db.h"
#include "wallet/wallet.h"

enum {
	RECORDS_ACCOUNT = 'a',
	RECORDS_CHAIN = 'g',
	RECORDS_NEXT = 'n',
	RECORDS_SYNCED = 's',
	RECORDS_TX = 't',
	RECORDS_LABEL = 'l',
	RECORDS_PLEDGE = 'c',
	RECORDS_BYTES = 'b',
	RECORDS_KEY_SIZE = 33, /* of those that have an id */
};

/* The key of a record with an id. */
void records_key(uint8_t record_key[RECORDS_KEY_SIZE], uint8_t record_kind, const uint8_t id[32]);
/* id NULL: there is one record of this kind. */
void records_put(struct db_batch *wallet_batch, uint8_t record_kind, const uint8_t *id,
	const struct buf *wallet_record);

/* Whether it is in the mempool is not written: that mempool is gone with the process. */
void records_put_tx(struct db_batch *wallet_batch, const struct ledger_tx *wallet_tx);
/* The transaction, which is the caller's, and in tx_head what else its record says. NULL: it is damaged. */
const struct tx *records_read_tx(const uint8_t *wallet_record, size_t size, struct ledger_tx *tx_head);

void records_put_pledge(struct db_batch *wallet_batch, const struct wallet_pledge *pledge);
/* False: it is damaged. `order` is not of the record. */
bool records_read_pledge(const uint8_t *key, size_t key_size, const uint8_t *wallet_record, size_t size,
	struct wallet_pledge *pledge);

void records_put_label(struct db_batch *wallet_batch, const uint8_t script_key[32], const char *label);

#endif
