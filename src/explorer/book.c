/* Gathering: one pass over outputs, coins, proofs, payments and seats, then sorted and added up. */
#include "explorer/book.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/coinbase.h"
#include "ml/merge.h"
#include "util/mem.h"

int64_t book_earned(const struct book_sums *sums)
{
	return sums->of[BOOK_PAID_PROOFS] + sums->of[BOOK_PAID_DATA] + sums->of[BOOK_PAID_RUNS];
}

bool book_gave(const struct book_sums *sums)
{
	for (int column = BOOK_BLOCKS; column < BOOK_COLUMNS; column++)
		if (sums->of[column] != 0)
			return true;
	return false;
}

static struct book_entry *book_add(struct book *book, const uint8_t key[32], enum book_column column, int64_t amount)
{
	struct book_entry *added;

	if (book->count == book->cap) {
		book->cap = book->cap > 0 ? book->cap * 2 : 64;
		book->entries = mem_realloc(book->entries, book->cap * sizeof *book->entries);
	}
	added = &book->entries[book->count++];
	*added = (struct book_entry){ .column = column, .amount = amount };
	memcpy(added->key, key, 32);
	return added;
}

static void book_add_coin(struct book *book, const struct tx_output *output, int64_t sign, uint32_t place,
	const uint8_t txid[32])
{
	const uint8_t *key = script_p2tr_key(&output->script);
	struct book_entry *added;

	if (key == NULL)
		return;
	added = book_add(book, key, BOOK_BALANCE, sign * output->amount);
	added->place = place;
	memcpy(added->txid, txid, 32);
}

/* --- what is gathered --- */

static void book_take_spent(void *context, size_t tx_index, const struct spent_coin *spent)
{
	struct book *book = context;
	const uint8_t *key = script_p2tr_key(&spent->coin.output.script);

	book_add_coin(book, &spent->coin.output, -1, (uint32_t)tx_index,
		spent->tx != NULL ? tx_txid(spent->tx) : spent->outpoint.txid);
	if (spent->tx == NULL && key != NULL) {
		book->entries[book->count - 1].is_struck = true;
		book_add(book, key, BOOK_LOST, spent->coin.output.amount);
	}
}

static void book_take_outputs(struct book *book, const struct block *block)
{
	for (size_t i = 0; i < block->tx_count; i++)
		for (size_t j = 0; j < block->txs[i]->output_count; j++)
			book_add_coin(book, &block->txs[i]->outputs[j], 1, (uint32_t)i, tx_txid(block->txs[i]));
}

static void book_take_payments(struct book *book, const struct spec *spec, uint32_t height, const struct block *block)
{
	static const enum book_column paid_columns[] = {
		[COINBASE_PROOF] = BOOK_PAID_PROOFS,
		[COINBASE_DATA] = BOOK_PAID_DATA,
		[COINBASE_RUN] = BOOK_PAID_RUNS,
	};
	struct coinbase_payment *payments = mem_alloc(block->txs[0]->output_count * sizeof *payments);
	const size_t payment_count = coinbase_payments(spec, block, height, payments);

	for (size_t i = 0; i < payment_count; i++) {
		const uint8_t *key = script_p2tr_key(&payments[i].output->script);

		if (key != NULL)
			book_add(book, key, paid_columns[payments[i].pays], payments[i].output->amount);
	}
	free(payments);
}

static void book_take_proofs(struct book *book, const struct block *block)
{
	book_add(book, block->header.miner, BOOK_BLOCKS, 1);
	for (size_t i = 0; i < block_proof_count(block); i++)
		book_add(book, block_proof(block, i)->miner, i < block_body_count(block) ? BOOK_PROOFS : BOOK_LATE, 1);
}

/* Of the round that the block merges; its seats are those of blocks below. */
static void book_take_seats(struct book *book, const struct spec *spec, const struct index_entry *entry)
{
	static const enum book_column verdict_columns[] = {
		[MERGE_EMPTY] = BOOK_EMPTY,
		[MERGE_MERGED] = BOOK_MERGED,
		[MERGE_LEFT_OUT] = BOOK_LEFT_OUT,
		[MERGE_STRUCK] = BOOK_STRUCK,
	};
	struct block_outcome outcome;

	chain_outcome(entry, &outcome);
	for (uint32_t seat = 0; seat < outcome.merge.seats; seat++)
		book_add(book, chain_ancestor(entry, spec_seat_height(spec, entry->height, seat))->header.miner,
			verdict_columns[outcome.merge.seat[seat]], 1);
}

/* --- in order --- */

static int book_compare(const void *left_entry, const void *right_entry)
{
	const struct book_entry *left = left_entry, *right = right_entry;
	const int keys = memcmp(left->key, right->key, 32);

	if (keys != 0)
		return keys;
	if (left->column != right->column)
		return left->column < right->column ? -1 : 1;
	return left->place == right->place ? 0 : left->place < right->place ? -1 : 1;
}

static void book_add_up(struct book *book)
{
	size_t kept = 0;

	if (book->count > 0)
		qsort(book->entries, book->count, sizeof *book->entries, book_compare);
	for (size_t i = 0; i < book->count; i++)
		if (kept > 0 && book_compare(&book->entries[kept - 1], &book->entries[i]) == 0)
			book->entries[kept - 1].amount += book->entries[i].amount;
		else
			book->entries[kept++] = book->entries[i];
	book->count = kept;
}

bool book_gather(struct book *book, struct chain *chain, const struct index_entry *entry, const struct block *block,
	struct errmsg *err)
{
	const struct spec *spec = chain_spec(chain);

	*book = (struct book){ .entries = NULL };
	if (!chain_read_spent(chain, entry, block, book_take_spent, book, err)) {
		book_clear(book);
		return false;
	}
	book_take_outputs(book, block);
	book_take_payments(book, spec, entry->height, block);
	book_take_proofs(book, block);
	book_take_seats(book, spec, entry);
	book_add_up(book);
	return true;
}

void book_clear(struct book *book)
{
	free(book->entries);
	*book = (struct book){ .entries = NULL };
}
