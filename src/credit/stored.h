/* The bytes of the credit's database: keys and values, read and written. Numbers in keys are big-endian, others
 * little-endian.
 *
 *   t                                            u8 version, id of the block that payments are known up to
 *   a <u32 number>                               account: u64 tokens, i64 charged, its name
 *   i <u32 number>                               invoice: u32 account, key, i64 amount, u64 time
 *   p <u32 invoice> <txid 32> <u32 output>       payment: i64 amount, u32 height
 *   s <u32 number>                               settlement: txid, u64 time, i64 paid, i64 shared, u8 size of the
 *                                                wallet's name, that, and for each due: key, i64 amount */
#ifndef ATELIER_CREDIT_STORED_H
#define ATELIER_CREDIT_STORED_H

#include "credit/credit.h"
#include "store/db.h"

enum stored_kind {
	STORED_TIP = 't',
	STORED_ACCOUNT = 'a',
	STORED_INVOICE = 'i',
	STORED_PAYMENT = 'p',
	STORED_SETTLEMENT = 's',
};

struct stored_payment {
	uint32_t invoice;
	struct outpoint output;
	int64_t amount;
	uint32_t height;
};

void stored_put_tip(struct db_batch *batch, const uint8_t block_id[32]);
void stored_put_account(struct db_batch *batch, const struct credit_account *account);
void stored_put_invoice(struct db_batch *batch, const struct credit_invoice *invoice);
void stored_put_payment(struct db_batch *batch, const struct stored_payment *payment);
void stored_delete_payment(struct db_batch *batch, const struct stored_payment *payment);
void stored_put_settlement(struct db_batch *batch, uint32_t number, const struct credit_settlement *settlement);

/* Of a record that has a number: whether its key has this one, as all numbers do, ascending and without a gap. */
bool stored_is_number(const uint8_t *key, size_t key_size, size_t number);
/* False, or for the tip DB_FAILED: it is damaged. */
enum db_result stored_get_tip(struct db *db, uint8_t block_id[32], struct errmsg *err);
bool stored_read_account(struct reader *value, struct credit_account *account);
bool stored_read_invoice(struct reader *value, uint32_t *account, struct credit_invoice *invoice);
bool stored_read_payment(const uint8_t *key, size_t key_size, struct reader *value, struct stored_payment *payment);
bool stored_read_settlement(struct reader *value, struct credit_settlement *settlement);

#endif
