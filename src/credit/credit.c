/* Accounts and invoices in memory, as the database has them; following the chain; using credit. */
#include "credit/credit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "credit/stored.h"
#include "crypto/hash.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"
#include "util/warning.h"

enum { CREDIT_SLICE_MS = 50, CREDIT_ACCOUNTS_MAX = 100000, CREDIT_PARTS = 1000 /* of a base unit, in charges */ };

/* An invoice with its payments, each by a block of the branch that `at` is the end of. */
struct credit_held {
	struct credit_invoice invoice; /* first: a pointer to it is one to this */
	struct credit_account *account;
	struct stored_payment *payments;
	size_t count, cap;
};

struct credit {
	struct chain *chain;
	char *path;
	int64_t price;
	uint32_t confirmations;
	struct db *db; /* NULL: nothing has been written yet, or it is off */
	struct errmsg off;
	const struct index_entry *at; /* payments are known up to here; of use while there is a database */
	bool is_unsynced, is_stale;   /* writes wait for a sync; sums are those of another block */
	struct credit_account **accounts;
	struct map account_numbers; /* by hash of the name: to a pointer of `accounts` */
	size_t account_count;
	struct credit_held **invoices;
	struct map invoice_keys;
	size_t invoice_count;
	struct credit_settlement *settlements;
	size_t settlement_count;
};

bool credit_is_name(const char *name)
{
	const size_t size = strlen(name);

	return size >= 1 && size <= CREDIT_NAME_MAX;
}

/* --- what is in memory --- */

/* Coins come round: what an address was paid in all its time may be more than there are, and is no overflow. */
static int64_t credit_sum(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static struct credit_account *credit_get_account(const struct credit *credit, const char *name)
{
	uint8_t name_hash[32];

	sha256(name_hash, name, strlen(name));
	return map_get(&credit->account_numbers, name_hash);
}

/* Accounts are on the heap one by one: invoices and callers point to them while others are added. */
static struct credit_account *credit_hold_account(struct credit *credit, const struct credit_account *account)
{
	struct credit_account *held_account = mem_dup(account, sizeof *account);
	uint8_t name_hash[32];

	credit->accounts = mem_realloc(credit->accounts, (credit->account_count + 1) * sizeof *credit->accounts);
	credit->accounts[credit->account_count++] = held_account;
	sha256(name_hash, account->name, strlen(account->name));
	map_put(&credit->account_numbers, name_hash, held_account);
	return held_account;
}

static void credit_hold_invoice(struct credit *credit, const struct credit_invoice *invoice,
	struct credit_account *account)
{
	struct credit_held *held = mem_calloc(1, sizeof *held);

	held->invoice = *invoice;
	held->invoice.account = account;
	held->account = account;
	credit->invoices = mem_realloc(credit->invoices, (credit->invoice_count + 1) * sizeof *credit->invoices);
	credit->invoices[credit->invoice_count++] = held;
	map_put(&credit->invoice_keys, invoice->key, held);
}

static void credit_hold_payment(struct credit_held *held, const struct stored_payment *payment)
{
	if (held->count == held->cap) {
		held->cap = held->cap > 0 ? 2 * held->cap : 1;
		held->payments = mem_realloc(held->payments, held->cap * sizeof *held->payments);
	}
	held->payments[held->count++] = *payment;
}

/* The order of an invoice's payments means nothing, so the last fills the gap. What goes with its block came late:
 * looked for from the end. */
static void credit_drop_payment(struct credit_held *held, const struct stored_payment *payment)
{
	for (size_t i = held->count; i-- > 0;)
		if (held->payments[i].output.index == payment->output.index &&
			memcmp(held->payments[i].output.txid, payment->output.txid, 32) == 0) {
			held->payments[i] = held->payments[--held->count];
			return;
		}
}

static void credit_hold_settlement(struct credit *credit, const struct credit_settlement *settlement)
{
	credit->settlements = mem_realloc(credit->settlements,
		(credit->settlement_count + 1) * sizeof *credit->settlements);
	credit->settlements[credit->settlement_count++] = *settlement;
}

static void credit_forget(struct credit *credit)
{
	for (size_t i = 0; i < credit->account_count; i++)
		free(credit->accounts[i]);
	for (size_t i = 0; i < credit->invoice_count; i++) {
		free(credit->invoices[i]->payments);
		free(credit->invoices[i]);
	}
	for (size_t i = 0; i < credit->settlement_count; i++)
		free(credit->settlements[i].dues);
	free(credit->accounts);
	free(credit->invoices);
	free(credit->settlements);
	map_clear(&credit->account_numbers);
	map_clear(&credit->invoice_keys);
	credit->accounts = NULL;
	credit->invoices = NULL;
	credit->settlements = NULL;
	credit->account_count = credit->invoice_count = credit->settlement_count = 0;
}

/* --- the database --- */

static void credit_end(struct credit *credit, const struct errmsg *why)
{
	warning_set(WARNING_CREDIT, "Nothing is sold until the next start, credit/ is off: %s", why->text);
	credit->off = *why;
	db_close(credit->db);
	credit->db = NULL;
}

/* Writes and releases the batch. After a failure it is off: memory may be ahead of the disk. */
static bool credit_write(struct credit *credit, struct db_batch *batch, bool sync, struct errmsg *err)
{
	const bool written = db_write(credit->db, batch, sync, err);

	db_batch_free(batch);
	if (written)
		credit->is_unsynced = !sync;
	else
		credit_end(credit, err);
	return written;
}

static bool credit_is_on(const struct credit *credit, struct errmsg *err)
{
	return credit->off.text[0] == '\0' || errmsg_set(err, "%s", credit->off.text);
}

/* The database, made where there is none: payments are looked for from the tip on, as no invoice is older. */
static bool credit_need_db(struct credit *credit, struct errmsg *err)
{
	struct db_batch *batch;

	if (!credit_is_on(credit, err) || credit->db != NULL)
		return credit->db != NULL;
	credit->db = db_open(credit->path, err);
	if (credit->db == NULL) {
		credit_end(credit, err);
		return false;
	}
	credit->at = chain_tip(credit->chain);
	batch = db_batch_new();
	stored_put_tip(batch, credit->at->id);
	return credit_write(credit, batch, true, err);
}

/* --- reading it --- */

/* Records that have numbers come in their order, from 0, without a gap. */
static bool credit_read_record(struct credit *credit, const uint8_t *key, size_t key_size, struct reader *value)
{
	struct credit_account account = { .number = (uint32_t)credit->account_count };
	struct credit_settlement settlement = { .dues = NULL };
	struct credit_invoice invoice = { .number = (uint32_t)credit->invoice_count };
	struct stored_payment payment;
	uint32_t account_number;
	bool is_right = false;

	switch ((enum stored_kind)key[0]) {
	case STORED_TIP:
		is_right = true;
		break;
	case STORED_ACCOUNT:
		is_right = stored_is_number(key, key_size, credit->account_count) &&
			stored_read_account(value, &account) && credit_is_name(account.name) &&
			credit_get_account(credit, account.name) == NULL;
		if (is_right)
			credit_hold_account(credit, &account);
		break;
	case STORED_INVOICE:
		is_right = stored_is_number(key, key_size, credit->invoice_count) &&
			stored_read_invoice(value, &account_number, &invoice) && account_number < credit->account_count;
		if (is_right)
			credit_hold_invoice(credit, &invoice, credit->accounts[account_number]);
		break;
	case STORED_PAYMENT:
		is_right = stored_read_payment(key, key_size, value, &payment) &&
			payment.invoice < credit->invoice_count;
		if (is_right)
			credit_hold_payment(credit->invoices[payment.invoice], &payment);
		break;
	case STORED_SETTLEMENT:
		is_right = stored_is_number(key, key_size, credit->settlement_count) &&
			stored_read_settlement(value, &settlement);
		credit_hold_settlement(credit, &settlement);
		break;
	}
	return is_right;
}

static bool credit_on_record(void *visit_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct credit *credit = visit_context;
	struct reader value_reader;

	reader_init(&value_reader, value, value_size);
	return (key_size > 0 && credit_read_record(credit, key, key_size, &value_reader)) ||
		errmsg_set(err, "Cannot read the database %s: Corruption: a damaged record", credit->path);
}

/* Payments anew, from the beginning: where they stood is nowhere on a chain that is here. */
static bool credit_rescan(struct credit *credit, struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();

	log_warn("Payments of invoices are looked for from the first block on");
	for (size_t i = 0; i < credit->invoice_count; i++) {
		struct credit_held *held = credit->invoices[i];

		while (held->count > 0)
			stored_delete_payment(batch, &held->payments[--held->count]);
	}
	credit->at = chain_genesis(credit->chain);
	stored_put_tip(batch, credit->at->id);
	return credit_write(credit, batch, true, err);
}

static bool credit_read_all(struct credit *credit, struct errmsg *err)
{
	const struct index_entry *at;
	uint8_t block_id[32];
	enum db_result found;

	/* The version first: what another one has written may look damaged. */
	if ((credit->db = db_open_existing(credit->path, err)) == NULL ||
		(found = stored_get_tip(credit->db, block_id, err)) == DB_FAILED ||
		!db_each(credit->db, "", 0, credit_on_record, credit, err))
		return false;
	at = found == DB_FOUND ? chain_find(credit->chain, block_id) : NULL;
	/* One that was refused since can be taken back as well: it was connected once. */
	if (at == NULL || (at->parent != NULL && at->connect_order == 0))
		return credit_rescan(credit, err);
	credit->at = at;
	return true;
}

/* --- following the chain --- */

/* An output's payment, as the block brings it or takes it away. */
static void credit_move_output(struct credit *credit, struct db_batch *batch, const struct tx *tx, uint32_t index,
	uint32_t height, bool is_back)
{
	const uint8_t *key = script_p2tr_key(&tx->outputs[index].script);
	struct credit_held *held = key != NULL ? map_get(&credit->invoice_keys, key) : NULL;
	struct stored_payment payment = { .output.index = index, .height = height };

	if (held == NULL)
		return;
	payment.invoice = held->invoice.number;
	payment.amount = tx->outputs[index].amount;
	memcpy(payment.output.txid, tx_txid(tx), 32);
	if (is_back) {
		credit_drop_payment(held, &payment);
		stored_delete_payment(batch, &payment);
	} else {
		credit_hold_payment(held, &payment);
		stored_put_payment(batch, &payment);
	}
}

/* Coinbases are no payments: who mines would pay with what rounds may strike, and nobody would have sent it. */
static bool credit_move(struct credit *credit, const struct index_entry *entry, const struct block *block, bool is_back,
	struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();

	for (size_t place = 1; place < block->tx_count; place++)
		for (size_t i = 0; i < block->txs[place]->output_count; i++)
			credit_move_output(credit, batch, block->txs[place], (uint32_t)i, entry->height, is_back);
	credit->at = is_back ? entry->parent : entry;
	credit->is_stale = true;
	stored_put_tip(batch, credit->at->id);
	return credit_write(credit, batch, false, err);
}

/* One that is behind, or ahead of a chain that went back while this was off, is not told of blocks but walks, in the
 * tick. */
static void credit_on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct credit *credit = context;
	struct errmsg err;

	if (credit->db != NULL && credit->at == entry->parent)
		credit_move(credit, entry, block, false, &err);
}

static void credit_on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct credit *credit = context;
	struct errmsg err;

	if (credit->db != NULL && credit->at == entry)
		credit_move(credit, entry, block, true, &err);
}

/* One block towards the tip. */
static void credit_step(struct credit *credit)
{
	const bool is_back = !chain_is_active(credit->chain, credit->at);
	const struct index_entry *entry = is_back ? credit->at : chain_at(credit->chain, credit->at->height + 1);
	struct errmsg err;
	const struct block *block = chain_read_bare(credit->chain, entry, &err);

	if (block == NULL) {
		credit_end(credit, &err);
		return;
	}
	credit_move(credit, entry, block, is_back, &err);
	block_unref(block);
}

static bool credit_is_behind(const struct credit *credit)
{
	return credit->db != NULL && credit->at != chain_tip(credit->chain);
}

/* An empty batch: what it syncs are the writes before it. */
static void credit_sync(struct credit *credit)
{
	struct errmsg err;

	if (credit->db != NULL && credit->is_unsynced)
		credit_write(credit, db_batch_new(), true, &err);
}

bool credit_tick(struct credit *credit)
{
	const int64_t slice_end = clock_mono_ms() + CREDIT_SLICE_MS;

	while (credit_is_behind(credit) && clock_mono_ms() < slice_end)
		credit_step(credit);
	credit_sync(credit);
	return credit_is_behind(credit);
}

struct credit *credit_open(struct chain *chain, const char *folder, int64_t price, uint32_t confirmations)
{
	struct credit *credit = mem_calloc(1, sizeof *credit);
	struct errmsg err;

	credit->chain = chain;
	credit->path = path_join(folder, "credit");
	credit->price = price;
	credit->confirmations = confirmations;
	credit->is_stale = true;
	map_init(&credit->account_numbers);
	map_init(&credit->invoice_keys);
	chain_subscribe(chain,
		&(struct chain_events){ .context = credit,
			.connected = credit_on_connected,
			.disconnected = credit_on_disconnected });
	if (db_has_files(credit->path) && !credit_read_all(credit, &err) && credit->off.text[0] == '\0') {
		if (db_is_damage(&err))
			errmsg_wrap(&err, "Put a copy of it back, or move it away, and all credit is forgotten");
		credit_end(credit, &err);
	}
	credit_tick(credit);
	return credit;
}

void credit_close(struct credit *credit)
{
	if (credit == NULL)
		return;
	chain_unsubscribe(credit->chain, credit);
	credit_sync(credit);
	credit_forget(credit);
	db_close(credit->db);
	free(credit->path);
	free(credit);
}

const char *credit_off(const struct credit *credit)
{
	return credit->off.text[0] != '\0' ? credit->off.text : NULL;
}

const struct index_entry *credit_at(const struct credit *credit)
{
	return credit->db != NULL ? credit->at : chain_tip(credit->chain);
}

int64_t credit_price(const struct credit *credit)
{
	return credit->price;
}

uint32_t credit_confirmations(const struct credit *credit)
{
	return credit->confirmations;
}

/* --- sums --- */

/* What is credited follows from where the payments are and how high the chain is: summed up when it is asked for, once
 * a block. */
static void credit_refresh(struct credit *credit)
{
	if (!credit->is_stale)
		return;
	for (size_t i = 0; i < credit->account_count; i++)
		credit->accounts[i]->credited = credit->accounts[i]->pending = 0;
	for (size_t i = 0; i < credit->invoice_count; i++) {
		struct credit_held *held = credit->invoices[i];

		held->invoice.credited = held->invoice.pending = 0;
		for (size_t j = 0; j < held->count; j++) {
			const struct stored_payment *payment = &held->payments[j];
			const bool is_deep = credit->at->height - payment->height + 1 >= credit->confirmations;
			int64_t *sum = is_deep ? &held->invoice.credited : &held->invoice.pending;

			*sum = credit_sum(*sum, payment->amount);
		}
		held->account->credited = credit_sum(held->account->credited, held->invoice.credited);
		held->account->pending = credit_sum(held->account->pending, held->invoice.pending);
	}
	credit->is_stale = false;
}

/* The seller's favour is at most a base unit in all the account's life, as charges are not rounded one by one. */
int64_t credit_balance(const struct credit_account *account)
{
	return account->credited - account->charged / CREDIT_PARTS - (account->charged % CREDIT_PARTS > 0);
}

const struct credit_account *credit_find(struct credit *credit, const char *name)
{
	credit_refresh(credit);
	return credit_get_account(credit, name);
}

const struct credit_account *credit_account_at(struct credit *credit, size_t number)
{
	credit_refresh(credit);
	return number < credit->account_count ? credit->accounts[number] : NULL;
}

int64_t credit_income(struct credit *credit)
{
	int64_t income = 0;

	credit_refresh(credit);
	for (size_t i = 0; i < credit->account_count; i++) {
		const struct credit_account *account = credit->accounts[i];
		const int64_t charged = account->charged / CREDIT_PARTS;

		income = credit_sum(income, charged < account->credited ? charged : account->credited);
	}
	return income < MAX_MONEY ? income : MAX_MONEY;
}

/* --- using it --- */

/* What would be charged in all then; false: that is no number. */
static bool credit_charged_after(const struct credit *credit, const struct credit_account *account, uint32_t tokens,
	int64_t *charged)
{
	return !__builtin_add_overflow(account != NULL ? account->charged : 0, (int64_t)tokens * credit->price,
		charged);
}

/* Judged by what the account would be afterwards. Whoever is below zero already is not covered for 0 tokens either. */
static enum credit_result credit_judge(struct credit *credit, const struct credit_account *account, uint32_t tokens,
	struct errmsg *err)
{
	struct credit_account after = { .credited = account != NULL ? account->credited : 0 };

	if (!credit_is_on(credit, err))
		return CREDIT_FAILED;
	if (!credit_charged_after(credit, account, tokens, &after.charged))
		return CREDIT_SPENT;
	return credit->price == 0 || credit_balance(&after) >= 0 ? CREDIT_OK : CREDIT_SPENT;
}

enum credit_result credit_covers(struct credit *credit, const char *name, uint32_t tokens, struct errmsg *err)
{
	credit_refresh(credit);
	return credit_judge(credit, credit_get_account(credit, name), tokens, err);
}

/* The account of that name, which is begun if there is none; on failure NULL. */
static struct credit_account *credit_need_account(struct credit *credit, const char *name, struct errmsg *err)
{
	struct credit_account account = { .name = "" };
	struct credit_account *found = credit_get_account(credit, name);
	struct db_batch *batch;

	if (found != NULL || !credit_need_db(credit, err))
		return found;
	if (!credit_is_name(name) || credit->account_count == CREDIT_ACCOUNTS_MAX) {
		errmsg_set(err, "There are too many accounts, or this is no name of one");
		return NULL;
	}
	strcpy(account.name, name);
	account.number = (uint32_t)credit->account_count;
	batch = db_batch_new();
	stored_put_account(batch, &account);
	return credit_write(credit, batch, false, err) ? credit_hold_account(credit, &account) : NULL;
}

bool credit_use(struct credit *credit, const char *name, uint32_t tokens, struct errmsg *err)
{
	struct credit_account *account = credit_is_on(credit, err) ? credit_need_account(credit, name, err) : NULL;
	struct credit_account after;
	struct db_batch *batch;

	if (account == NULL)
		return false;
	/* First the disk, then memory: a use that could not be written is one that was not handed out. */
	after = *account;
	after.tokens += tokens;
	if (!credit_charged_after(credit, account, tokens, &after.charged))
		after.charged = INT64_MAX;
	batch = db_batch_new();
	stored_put_account(batch, &after);
	if (!credit_write(credit, batch, false, err))
		return false;
	*account = after;
	return true;
}

/* --- invoices and settlements --- */

bool credit_add_invoice(struct credit *credit, const char *name, const uint8_t key[32], int64_t amount, uint64_t time,
	struct errmsg *err)
{
	struct credit_invoice invoice = { .number = (uint32_t)credit->invoice_count, .amount = amount, .time = time };
	struct credit_account *account;
	struct db_batch *batch;

	if (credit->invoice_count == CREDIT_INVOICES_MAX)
		return errmsg_set(err, "There are %d invoices, and no room for more", CREDIT_INVOICES_MAX);
	account = credit_need_account(credit, name, err);
	if (account == NULL || !credit_is_on(credit, err))
		return false;
	invoice.account = account;
	memcpy(invoice.key, key, 32);
	batch = db_batch_new();
	stored_put_invoice(batch, &invoice);
	if (!credit_write(credit, batch, true, err))
		return false;
	credit_hold_invoice(credit, &invoice, account);
	return true;
}

bool credit_knows(const struct credit *credit, const uint8_t key[32])
{
	return map_get(&credit->invoice_keys, key) != NULL;
}

const struct credit_invoice *credit_invoice_at(struct credit *credit, size_t number)
{
	credit_refresh(credit);
	return number < credit->invoice_count ? &credit->invoices[number]->invoice : NULL;
}

bool credit_add_settlement(struct credit *credit, struct credit_settlement *settlement, struct errmsg *err)
{
	struct db_batch *batch;

	if (!credit_need_db(credit, err)) {
		free(settlement->dues);
		return false;
	}
	batch = db_batch_new();
	stored_put_settlement(batch, (uint32_t)credit->settlement_count, settlement);
	if (!credit_write(credit, batch, true, err)) {
		free(settlement->dues);
		return false;
	}
	credit_hold_settlement(credit, settlement);
	return true;
}

const struct credit_settlement *credit_settlement_at(const struct credit *credit, size_t number)
{
	return number < credit->settlement_count ? &credit->settlements[number] : NULL;
}
