/* Transactions and who spends what, in three maps.
 *
 * Nothing is ever undone here. A block that goes takes the height from its transactions (wallet_rewind), and what was
 * spent by them is free or spent as the rest says. That is why no coin is marked spent: it is asked each time whether a
 * transaction that counts spends it. */
#include "wallet/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

/* The transactions that spend one outpoint: more than one if they conflict. Chained by outpoint, and never taken out: a
 * spender that is gone simply does not count. */
struct ledger_spend {
	struct ledger_tx *by;
	struct ledger_spend *next;
};

void ledger_init(struct ledger *ledger, uint32_t maturity)
{
	memset(ledger, 0, sizeof *ledger);
	map_init(&ledger->scripts);
	map_init(&ledger->txs);
	map_init(&ledger->spends);
	ledger->maturity = maturity;
}

void ledger_clear(struct ledger *ledger)
{
	struct ledger_script *own_script;
	struct ledger_tx *ledger_tx;
	struct ledger_spend *spending;
	struct ledger_spend *next_spend;
	const uint8_t *map_key;
	void *mapped;
	size_t map_at;

	for (map_at = 0; map_next(&ledger->scripts, &map_at, &map_key, &mapped);) {
		own_script = mapped;
		free(own_script->label);
		free(own_script);
	}
	for (map_at = 0; map_next(&ledger->txs, &map_at, &map_key, &mapped);) {
		ledger_tx = mapped;
		tx_unref(ledger_tx->tx);
		free(ledger_tx->mine);
		free(ledger_tx);
	}
	for (map_at = 0; map_next(&ledger->spends, &map_at, &map_key, &mapped);)
		for (spending = mapped; spending != NULL; spending = next_spend) {
			next_spend = spending->next;
			free(spending);
		}
	map_clear(&ledger->scripts);
	map_clear(&ledger->txs);
	map_clear(&ledger->spends);
}

struct ledger_script *ledger_add_script(struct ledger *ledger, const uint8_t key[32], enum account_branch branch,
	uint32_t index)
{
	struct ledger_script *own_script = map_get(&ledger->scripts, key);

	if (own_script != NULL)
		return own_script;
	own_script = mem_calloc(1, sizeof *own_script);
	memcpy(own_script->key, key, 32);
	own_script->branch = branch;
	own_script->index = index;
	map_put(&ledger->scripts, key, own_script);
	return own_script;
}

struct ledger_script *ledger_script(const struct ledger *ledger, const uint8_t key[32])
{
	return map_get(&ledger->scripts, key);
}

struct ledger_script *ledger_output_script(const struct ledger *ledger, const struct tx_output *output)
{
	const uint8_t *key = script_p2tr_key(&output->script);

	return key != NULL ? map_get(&ledger->scripts, key) : NULL;
}

/* Maps have keys of 32 bytes, an outpoint has 36. */
static void ledger_outpoint_key(uint8_t outpoint_hash[32], const struct outpoint *outpoint)
{
	uint8_t outpoint_bytes[36];

	memcpy(outpoint_bytes, outpoint->txid, 32);
	write_le32(outpoint_bytes + 32, outpoint->index);
	sha256(outpoint_hash, outpoint_bytes, sizeof outpoint_bytes);
}

static const struct ledger_spend *ledger_spends_of(const struct ledger *ledger, const struct outpoint *outpoint)
{
	uint8_t outpoint_hash[32];

	ledger_outpoint_key(outpoint_hash, outpoint);
	return map_get(&ledger->spends, outpoint_hash);
}

/* The wallet's transaction whose output, paying the wallet, this outpoint is; else NULL. The index comes from
 * somebody's input, and can be anything. */
static const struct ledger_tx *ledger_coin_of(const struct ledger *ledger, const struct outpoint *outpoint)
{
	const struct ledger_tx *ledger_tx = map_get(&ledger->txs, outpoint->txid);

	if (ledger_tx == NULL || outpoint->index >= ledger_tx->tx->output_count ||
		ledger_tx->mine[outpoint->index] == NULL)
		return NULL;
	return ledger_tx;
}

/* Asked of every transaction of every block, so a lookup an output and one an input, and nothing that grows with the
 * wallet. */
bool ledger_concerns(const struct ledger *ledger, const struct tx *tx)
{
	size_t i;

	for (i = 0; i < tx->output_count; i++)
		if (ledger_output_script(ledger, &tx->outputs[i]) != NULL)
			return true;
	for (i = 0; i < tx->input_count; i++)
		if (ledger_coin_of(ledger, &tx->inputs[i].prev) != NULL)
			return true;
	return false;
}

/* Conflicting spenders stand in one list, the one learnt last first; which of them counts is asked in ledger_spender. A
 * coinbase spends nothing. */
static void ledger_add_spends(struct ledger *ledger, struct ledger_tx *ledger_tx)
{
	struct ledger_spend *spending;
	uint8_t outpoint_hash[32];
	size_t i;

	for (i = 0; i < ledger_tx->tx->input_count && !ledger_tx->coinbase; i++) {
		ledger_outpoint_key(outpoint_hash, &ledger_tx->tx->inputs[i].prev);
		spending = mem_alloc(sizeof *spending);
		spending->by = ledger_tx;
		spending->next = map_get(&ledger->spends, outpoint_hash);
		map_put(&ledger->spends, outpoint_hash, spending);
	}
}

/* A second copy of a transaction adds nothing but scripts: the first one's bytes stay, whatever the witness. */
struct ledger_tx *ledger_add(struct ledger *ledger, const struct tx *tx, uint64_t time)
{
	struct ledger_script *own_script;
	struct ledger_tx *ledger_tx;
	size_t i;

	ledger_tx = map_get(&ledger->txs, tx_txid(tx));
	if (ledger_tx == NULL) {
		ledger_tx = mem_calloc(1, sizeof *ledger_tx);
		ledger_tx->tx = tx_ref(tx);
		memcpy(ledger_tx->txid, tx_txid(tx), 32);
		ledger_tx->time = time;
		ledger_tx->order = ++ledger->next_order;
		ledger_tx->coinbase = tx_is_coinbase(tx);
		ledger_tx->mine = mem_calloc(tx->output_count, sizeof *ledger_tx->mine);
		map_put(&ledger->txs, ledger_tx->txid, ledger_tx);
		ledger_add_spends(ledger, ledger_tx);
	}
	for (i = 0; i < tx->output_count; i++) {
		own_script = ledger_output_script(ledger, &tx->outputs[i]);
		if (own_script != NULL)
			own_script->used = true;
		ledger_tx->mine[i] = own_script;
	}
	return ledger_tx;
}

struct ledger_tx *ledger_find(const struct ledger *ledger, const uint8_t txid[32])
{
	return map_get(&ledger->txs, txid);
}

static int ledger_compare_order(const void *a, const void *b)
{
	const struct ledger_tx *earlier_tx = *(struct ledger_tx *const *)a;
	const struct ledger_tx *later_tx = *(struct ledger_tx *const *)b;

	return (earlier_tx->order > later_tx->order) - (earlier_tx->order < later_tx->order);
}

struct ledger_tx **ledger_list(const struct ledger *ledger, size_t *count)
{
	struct ledger_tx **ledger_txs = mem_calloc(ledger->txs.count, sizeof *ledger_txs);
	const uint8_t *map_key;
	void *mapped;
	size_t map_at = 0;

	for (*count = 0; map_next(&ledger->txs, &map_at, &map_key, &mapped);)
		ledger_txs[(*count)++] = mapped;
	qsort(ledger_txs, *count, sizeof *ledger_txs, ledger_compare_order);
	return ledger_txs;
}

/* A walk up the unconfirmed parents. Each is looked at once: who pays the wallet chooses how they hang together, and
 * the paths through them can be more than can be walked. */
struct ledger_walk {
	struct ledger_tx **met;
	size_t count;
	size_t room;
};

static void ledger_walk_meet(struct ledger_walk *walk, struct ledger_tx *ledger_tx)
{
	if (ledger_tx == NULL || ledger_tx->met || ledger_tx->height != 0 || ledger_tx->coinbase)
		return;
	if (walk->count == walk->room) {
		walk->room = walk->room ? 2 * walk->room : 16;
		walk->met = mem_realloc(walk->met, walk->room * sizeof *walk->met);
	}
	ledger_tx->met = true;
	walk->met[walk->count++] = ledger_tx;
}

/* The transaction of a block that spends what this one spends; its own parents join the walk. */
static const struct ledger_tx *ledger_walk_step(const struct ledger *ledger, struct ledger_walk *walk,
	const struct ledger_tx *ledger_tx)
{
	const struct ledger_spend *spending;
	size_t i;

	for (i = 0; i < ledger_tx->tx->input_count; i++) {
		for (spending = ledger_spends_of(ledger, &ledger_tx->tx->inputs[i].prev); spending != NULL;
			spending = spending->next)
			if (spending->by->height != 0)
				return spending->by;
		ledger_walk_meet(walk, map_get(&ledger->txs, ledger_tx->tx->inputs[i].prev.txid));
	}
	return NULL;
}

/* The transaction of a block that spends what the transaction, or one of its unconfirmed ancestors, spends. NULL: no
 * conflict. `met` is false everywhere before and after: one walk at a time. */
static const struct ledger_tx *ledger_conflict_of(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	const struct ledger_tx *conflict = NULL;
	struct ledger_walk walk = { 0 };
	size_t i;

	ledger_walk_meet(&walk, map_get(&ledger->txs, ledger_tx->txid));
	for (i = 0; i < walk.count && conflict == NULL; i++)
		conflict = ledger_walk_step(ledger, &walk, walk.met[i]);
	for (i = 0; i < walk.count; i++)
		walk.met[i]->met = false;
	free(walk.met);
	return conflict;
}

bool ledger_conflicted(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	return ledger_conflict_of(ledger, ledger_tx) != NULL;
}

/* As old as the block of the conflict, but below zero: so "six deep" means the same for both. */
int64_t ledger_depth(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	const struct ledger_tx *conflict;

	if (ledger_tx->height != 0)
		return (int64_t)ledger->tip_height - ledger_tx->height + 1;
	conflict = ledger_conflict_of(ledger, ledger_tx);
	return conflict == NULL ? 0 : -ledger_depth(ledger, conflict);
}

/* Consensus lets the next block, at tip + 1, spend it once that is maturity blocks above its own. The mempool takes a
 * spend for the next block, so this is what it would say. */
bool ledger_immature(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	return ledger_tx->coinbase && ledger_tx->height != 0 &&
		ledger->tip_height + 1 < ledger_tx->height + ledger->maturity;
}

/* Every input, not one: where somebody else has signed as well, he can spend his coin elsewhere and this one never
 * confirms. */
bool ledger_from_us(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	size_t i;

	for (i = 0; i < ledger_tx->tx->input_count; i++)
		if (ledger_coin_of(ledger, &ledger_tx->tx->inputs[i].prev) == NULL)
			return false;
	return true;
}

/* Coins are in range one by one and in sum (consensus), so neither this nor the credit overflows. */
int64_t ledger_debit(const struct ledger *ledger, const struct ledger_tx *ledger_tx)
{
	const struct ledger_tx *parent_tx;
	int64_t debit = 0;
	size_t i;

	for (i = 0; i < ledger_tx->tx->input_count; i++) {
		parent_tx = ledger_coin_of(ledger, &ledger_tx->tx->inputs[i].prev);
		if (parent_tx != NULL)
			debit += parent_tx->tx->outputs[ledger_tx->tx->inputs[i].prev.index].amount;
	}
	return debit;
}

int64_t ledger_credit(const struct ledger_tx *ledger_tx)
{
	int64_t credit = 0;
	size_t i;

	for (i = 0; i < ledger_tx->tx->output_count; i++)
		if (ledger_tx->mine[i] != NULL)
			credit += ledger_tx->tx->outputs[i].amount;
	return credit;
}

/* A spender counts if it is in a block or in the mempool; or if it is the wallet's own and may still get into one: else
 * what it spends could be spent twice by the wallet itself, once it is offered again. Others' that left the mempool are
 * as good as never seen. */
const struct ledger_tx *ledger_spender(const struct ledger *ledger, const struct outpoint *outpoint)
{
	const struct ledger_spend *spending;

	for (spending = ledger_spends_of(ledger, outpoint); spending != NULL; spending = spending->next) {
		const struct ledger_tx *spender = spending->by;

		if (spender->height != 0 || spender->in_mempool)
			return spender;
		if (!spender->abandoned && ledger_from_us(ledger, spender) && !ledger_conflicted(ledger, spender))
			return spender;
	}
	return NULL;
}

bool ledger_is_struck(const struct ledger_tx *ledger_tx, size_t output)
{
	return ledger_tx->struck_at != 0 && output == 0;
}

static bool ledger_is_coin(const struct ledger *ledger, const struct ledger_tx *ledger_tx, size_t index)
{
	struct outpoint outpoint;

	if (ledger_tx->mine[index] == NULL || ledger_is_struck(ledger_tx, index))
		return false;
	memcpy(outpoint.txid, ledger_tx->txid, 32);
	outpoint.index = (uint32_t)index;
	return ledger_spender(ledger, &outpoint) == NULL;
}

/* Of transactions that are in a block or in the mempool alone: change of a payment that waits outside is no coin,
 * though what the payment spends is none either. */
struct ledger_coin *ledger_coins(const struct ledger *ledger, size_t *count)
{
	struct ledger_coin *coins = NULL;
	const struct ledger_tx *ledger_tx;
	struct ledger_coin *own_coin;
	const uint8_t *map_key;
	size_t coin_room = 0;
	size_t map_at = 0;
	void *mapped;
	size_t i;

	*count = 0;
	while (map_next(&ledger->txs, &map_at, &map_key, &mapped)) {
		ledger_tx = mapped;
		if (ledger_tx->height == 0 && !ledger_tx->in_mempool)
			continue;
		for (i = 0; i < ledger_tx->tx->output_count; i++) {
			if (!ledger_is_coin(ledger, ledger_tx, i))
				continue;
			if (*count == coin_room) {
				coin_room = coin_room ? 2 * coin_room : 16;
				coins = mem_realloc(coins, coin_room * sizeof *coins);
			}
			own_coin = &coins[(*count)++];
			memcpy(own_coin->outpoint.txid, ledger_tx->txid, 32);
			own_coin->outpoint.index = (uint32_t)i;
			own_coin->amount = ledger_tx->tx->outputs[i].amount;
			own_coin->script = ledger_tx->mine[i];
			own_coin->entry = ledger_tx;
			own_coin->depth = ledger_depth(ledger, ledger_tx);
			own_coin->immature = ledger_immature(ledger, ledger_tx);
			/* From others it could be replaced by another spend of theirs before a block has it. */
			own_coin->trusted = ledger_tx->height != 0 || ledger_from_us(ledger, ledger_tx);
		}
	}
	return coins;
}

void ledger_balance(const struct ledger *ledger, struct ledger_balance *balance)
{
	struct ledger_coin *coins;
	size_t coin_count;
	size_t i;

	memset(balance, 0, sizeof *balance);
	coins = ledger_coins(ledger, &coin_count);
	for (i = 0; i < coin_count; i++) {
		if (coins[i].immature)
			balance->immature += coins[i].amount;
		else if (coins[i].trusted)
			balance->trusted += coins[i].amount;
		else
			balance->pending += coins[i].amount;
	}
	free(coins);
}
