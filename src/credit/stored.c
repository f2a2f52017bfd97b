/* One pair of functions a kind of record. */
#include "credit/stored.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

enum {
	STORED_VERSION = 1,
	STORED_NUMBER_KEY = 5,
	STORED_PAYMENT_KEY = 41,
	STORED_DUE_SIZE = 40,
};

/* --- writing --- */

/* Releases the value. Big-endian numbers make LevelDB's order that of numbers, so that reading meets them as they were
 * made: accounts, which sort first, then invoices that name them, then payments that name those. */
static void stored_put_numbered(struct db_batch *batch, enum stored_kind kind, uint32_t number, struct buf *value)
{
	uint8_t number_key[STORED_NUMBER_KEY] = { (uint8_t)kind };

	write_be32(number_key + 1, number);
	db_batch_put(batch, number_key, sizeof number_key, value->data, value->size);
	buf_clear(value);
}

void stored_put_tip(struct db_batch *batch, const uint8_t block_id[32])
{
	const uint8_t tip_key = STORED_TIP;
	uint8_t tip_value[33] = { STORED_VERSION };

	memcpy(tip_value + 1, block_id, 32);
	db_batch_put(batch, &tip_key, 1, tip_value, sizeof tip_value);
}

void stored_put_account(struct db_batch *batch, const struct credit_account *account)
{
	struct buf value;

	buf_init(&value);
	buf_put_le64(&value, account->tokens);
	buf_put_le64(&value, (uint64_t)account->charged);
	buf_put_text(&value, account->name);
	stored_put_numbered(batch, STORED_ACCOUNT, account->number, &value);
}

void stored_put_invoice(struct db_batch *batch, const struct credit_invoice *invoice)
{
	struct buf value;

	buf_init(&value);
	buf_put_le32(&value, invoice->account->number);
	buf_put(&value, invoice->key, 32);
	buf_put_le64(&value, (uint64_t)invoice->amount);
	buf_put_le64(&value, invoice->time);
	stored_put_numbered(batch, STORED_INVOICE, invoice->number, &value);
}

static void stored_payment_key(uint8_t key_out[STORED_PAYMENT_KEY], const struct stored_payment *payment)
{
	key_out[0] = STORED_PAYMENT;
	write_be32(key_out + 1, payment->invoice);
	memcpy(key_out + 5, payment->output.txid, 32);
	write_be32(key_out + 37, payment->output.index);
}

void stored_put_payment(struct db_batch *batch, const struct stored_payment *payment)
{
	uint8_t payment_key[STORED_PAYMENT_KEY], payment_value[12];

	stored_payment_key(payment_key, payment);
	write_le64(payment_value, (uint64_t)payment->amount);
	write_le32(payment_value + 8, payment->height);
	db_batch_put(batch, payment_key, sizeof payment_key, payment_value, sizeof payment_value);
}

void stored_delete_payment(struct db_batch *batch, const struct stored_payment *payment)
{
	uint8_t payment_key[STORED_PAYMENT_KEY];

	stored_payment_key(payment_key, payment);
	db_batch_delete(batch, payment_key, sizeof payment_key);
}

void stored_put_settlement(struct db_batch *batch, uint32_t number, const struct credit_settlement *settlement)
{
	struct buf value;

	buf_init(&value);
	buf_put(&value, settlement->txid, 32);
	buf_put_le64(&value, settlement->time);
	buf_put_le64(&value, (uint64_t)settlement->paid);
	buf_put_le64(&value, (uint64_t)settlement->shared);
	buf_put_u8(&value, (uint8_t)strlen(settlement->wallet));
	buf_put_text(&value, settlement->wallet);
	for (size_t i = 0; i < settlement->due_count; i++) {
		buf_put(&value, settlement->dues[i].key, 32);
		buf_put_le64(&value, (uint64_t)settlement->dues[i].amount);
	}
	stored_put_numbered(batch, STORED_SETTLEMENT, number, &value);
}

/* --- reading --- */

bool stored_is_number(const uint8_t *key, size_t key_size, size_t number)
{
	return key_size == STORED_NUMBER_KEY && read_be32(key + 1) == number;
}

enum db_result stored_get_tip(struct db *db, uint8_t block_id[32], struct errmsg *err)
{
	const uint8_t tip_key = STORED_TIP;
	struct reader tip_reader;
	struct buf tip_value;
	enum db_result found;

	buf_init(&tip_value);
	found = db_get(db, &tip_key, 1, &tip_value, err);
	reader_init(&tip_reader, tip_value.data, tip_value.size);
	if (found == DB_FOUND && reader_u8(&tip_reader) != STORED_VERSION) {
		errmsg_set(err, "another version of this program has written it");
		found = DB_FAILED;
	} else if (found == DB_FOUND && (!reader_copy(&tip_reader, block_id, 32) || !reader_done(&tip_reader))) {
		errmsg_set(err, "Cannot read it: Corruption: a damaged record");
		found = DB_FAILED;
	}
	buf_clear(&tip_value);
	return found;
}

/* A name of 1 to CREDIT_NAME_MAX bytes into a text of one more. */
static void stored_read_name(struct reader *value, size_t size, char *name)
{
	if (size < 1 || size > CREDIT_NAME_MAX)
		reader_fail(value);
	else if (reader_copy(value, name, size))
		name[size] = '\0';
}

bool stored_read_account(struct reader *value, struct credit_account *account)
{
	account->tokens = reader_le64(value);
	account->charged = (int64_t)reader_le64(value);
	stored_read_name(value, reader_left(value), account->name);
	return reader_done(value) && account->charged >= 0;
}

bool stored_read_invoice(struct reader *value, uint32_t *account, struct credit_invoice *invoice)
{
	*account = reader_le32(value);
	reader_copy(value, invoice->key, 32);
	invoice->amount = (int64_t)reader_le64(value);
	invoice->time = reader_le64(value);
	return reader_done(value) && tx_amount_valid(invoice->amount);
}

bool stored_read_payment(const uint8_t *key, size_t key_size, struct reader *value, struct stored_payment *payment)
{
	if (key_size != STORED_PAYMENT_KEY)
		return false;
	payment->invoice = read_be32(key + 1);
	memcpy(payment->output.txid, key + 5, 32);
	payment->output.index = read_be32(key + 37);
	payment->amount = (int64_t)reader_le64(value);
	payment->height = reader_le32(value);
	return reader_done(value) && tx_amount_valid(payment->amount);
}

bool stored_read_settlement(struct reader *value, struct credit_settlement *settlement)
{
	reader_copy(value, settlement->txid, 32);
	settlement->time = reader_le64(value);
	settlement->paid = (int64_t)reader_le64(value);
	settlement->shared = (int64_t)reader_le64(value);
	stored_read_name(value, reader_u8(value), settlement->wallet);
	/* No more are allocated than there are bytes for; some left over are found by reader_done. */
	settlement->due_count = reader_left(value) / STORED_DUE_SIZE;
	settlement->dues = mem_calloc(settlement->due_count, sizeof *settlement->dues);
	for (size_t i = 0; i < settlement->due_count; i++) {
		reader_copy(value, settlement->dues[i].key, 32);
		settlement->dues[i].amount = (int64_t)reader_le64(value);
	}
	return reader_done(value);
}
