/* Records: written and read field by field, integers little-endian. */
#include "wallet/records.h"

#include <string.h>

enum {
	RECORDS_TX_VERSION = 1,
	RECORDS_PLEDGE_VERSION = 1,
	/* Bits of a transaction's record. */
	RECORDS_ABANDONED = 1,
	RECORDS_STAKE = 2,
	RECORDS_STRUCK = 4,
};

void records_key(uint8_t record_key[RECORDS_KEY_SIZE], uint8_t record_kind, const uint8_t id[32])
{
	record_key[0] = record_kind;
	memcpy(record_key + 1, id, 32);
}

void records_put(struct db_batch *wallet_batch, uint8_t record_kind, const uint8_t *id, const struct buf *wallet_record)
{
	uint8_t record_key[RECORDS_KEY_SIZE] = { record_kind };

	if (id != NULL)
		records_key(record_key, record_kind, id);
	db_batch_put(wallet_batch, record_key, id != NULL ? sizeof record_key : 1, wallet_record->data,
		wallet_record->size);
}

void records_put_tx(struct db_batch *wallet_batch, const struct ledger_tx *wallet_tx)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	buf_put_u8(&wallet_record, RECORDS_TX_VERSION);
	buf_put_le32(&wallet_record, wallet_tx->height);
	buf_put(&wallet_record, wallet_tx->block, 32);
	buf_put_le64(&wallet_record, wallet_tx->time);
	buf_put_le64(&wallet_record, wallet_tx->order);
	buf_put_le32(&wallet_record, wallet_tx->first_data);
	buf_put_u8(&wallet_record,
		(wallet_tx->abandoned ? RECORDS_ABANDONED : 0) | (wallet_tx->is_stake ? RECORDS_STAKE : 0) |
			(wallet_tx->struck_at != 0 ? RECORDS_STRUCK : 0));
	if (wallet_tx->struck_at != 0)
		buf_put_le32(&wallet_record, wallet_tx->struck_at);
	tx_write(&wallet_record, wallet_tx->tx, true);
	records_put(wallet_batch, RECORDS_TX, wallet_tx->txid, &wallet_record);
	buf_clear(&wallet_record);
}

const struct tx *records_read_tx(const uint8_t *wallet_record, size_t size, struct ledger_tx *tx_head)
{
	struct reader tx_reader;
	uint8_t tx_bits;

	reader_init(&tx_reader, wallet_record, size);
	if (reader_u8(&tx_reader) != RECORDS_TX_VERSION)
		reader_fail(&tx_reader);
	tx_head->height = reader_le32(&tx_reader);
	reader_copy(&tx_reader, tx_head->block, 32);
	tx_head->time = reader_le64(&tx_reader);
	tx_head->order = reader_le64(&tx_reader);
	tx_head->first_data = reader_le32(&tx_reader);
	tx_bits = reader_u8(&tx_reader);
	tx_head->abandoned = (tx_bits & RECORDS_ABANDONED) != 0;
	tx_head->is_stake = (tx_bits & RECORDS_STAKE) != 0;
	tx_head->struck_at = tx_bits & RECORDS_STRUCK ? reader_le32(&tx_reader) : 0;
	return tx_read(&tx_reader);
}

void records_put_pledge(struct db_batch *wallet_batch, const struct wallet_pledge *pledge)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	buf_put_u8(&wallet_record, RECORDS_PLEDGE_VERSION);
	buf_put(&wallet_record, pledge->commitment, 32);
	buf_put_u8(&wallet_record, pledge->keeps_bytes);
	records_put(wallet_batch, RECORDS_PLEDGE, pledge->registration, &wallet_record);
	buf_clear(&wallet_record);
}

bool records_read_pledge(const uint8_t *key, size_t key_size, const uint8_t *wallet_record, size_t size,
	struct wallet_pledge *pledge)
{
	struct reader pledge_reader;
	bool is_pledge;

	reader_init(&pledge_reader, wallet_record, size);
	is_pledge = key_size == RECORDS_KEY_SIZE && reader_u8(&pledge_reader) == RECORDS_PLEDGE_VERSION;
	reader_copy(&pledge_reader, pledge->commitment, 32);
	pledge->keeps_bytes = reader_u8(&pledge_reader) != 0;
	if (!is_pledge || !reader_done(&pledge_reader))
		return false;
	memcpy(pledge->registration, key + 1, 32);
	return true;
}

void records_put_label(struct db_batch *wallet_batch, const uint8_t script_key[32], const char *label)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	buf_put_text(&wallet_record, label);
	records_put(wallet_batch, RECORDS_LABEL, script_key, &wallet_record);
	buf_clear(&wallet_record);
}
