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
struct spend {
	struct ledger_tx *by;
	struct spend *next;
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
	struct ledger_script *script;
	struct ledger_tx *entry;
	struct spend *spend;
	struct spend *next;
	const uint8_t *key;
	void *value;
	size_t at;

	for (at = 0; map_next(&ledger->scripts, &at, &key, &value);) {
		script = value;
		free(script->label);
		free(script);
	}
	for (at = 0; map_next(&ledger->txs, &at, &key, &value);) {
		entry = value;
		tx_unref(entry->tx);
		free(entry->mine);
		free(entry);
	}
	for (at = 0; map_next(&ledger->spends, &at, &key, &value);)
		for (spend = value; spend != NULL; spend = next) {
			next = spend->next;
			free(spend);
		}
	map_clear(&ledger->scripts);
	map_clear(&ledger->txs);
	map_clear(&ledger->spends);
}

struct ledger_script *ledger_add_script(struct ledger *ledger, const uint8_t key[32], enum account_branch branch,
	uint32_t index)
{
	struct ledger_script *script = map_get(&ledger->scripts, key);

	if (script != NULL)
		return script;
	script = mem_calloc(1, sizeof *script);
	memcpy(script->key, key, 32);
	script->branch = branch;
	script->index = index;
	map_put(&ledger->scripts, key, script);
	return script;
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
static void outpoint_key(uint8_t key[32], const struct outpoint *outpoint)
{
	uint8_t bytes[36];

	memcpy(bytes, outpoint->txid, 32);
	write_le32(bytes + 32, outpoint->index);
	sha256(key, bytes, sizeof bytes);
}

static const struct spend *spends_of(const struct ledger *ledger, const struct outpoint *outpoint)
{
	uint8_t key[32];

	outpoint_key(key, outpoint);
	return map_get(&ledger->spends, key);
}

/* The wallet's transaction whose output, paying the wallet, this outpoint is; else NULL. The index comes from
 * somebody's input, and can be anything. */
static const struct ledger_tx *coin_of(const struct ledger *ledger, const struct outpoint *outpoint)
{
	const struct ledger_tx *entry = map_get(&ledger->txs, outpoint->txid);

	if (entry == NULL || outpoint->index >= entry->tx->output_count || entry->mine[outpoint->index] == NULL)
		return NULL;
	return entry;
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
		if (coin_of(ledger, &tx->inputs[i].prev) != NULL)
			return true;
	return false;
}

/* Conflicting spenders stand in one list, the one learnt last first; which of them counts is asked in ledger_spender. A
 * coinbase spends nothing. */
static void add_spends(struct ledger *ledger, struct ledger_tx *entry)
{
	struct spend *spend;
	uint8_t key[32];
	size_t i;

	for (i = 0; i < entry->tx->input_count && !entry->coinbase; i++) {
		outpoint_key(key, &entry->tx->inputs[i].prev);
		spend = mem_alloc(sizeof *spend);
		spend->by = entry;
		spend->next = map_get(&ledger->spends, key);
		map_put(&ledger->spends, key, spend);
	}
}

/* A second copy of a transaction adds nothing but scripts: the first one's bytes stay, whatever the witness. */
struct ledger_tx *ledger_add(struct ledger *ledger, const struct tx *tx, uint64_t time)
{
	struct ledger_script *script;
	struct ledger_tx *entry;
	size_t i;

	entry = map_get(&ledger->txs, tx_txid(tx));
	if (entry == NULL) {
		entry = mem_calloc(1, sizeof *entry);
		entry->tx = tx_ref(tx);
		memcpy(entry->txid, tx_txid(tx), 32);
		entry->time = time;
		entry->order = ++ledger->next_order;
		entry->coinbase = tx_is_coinbase(tx);
		entry->mine = mem_calloc(tx->output_count, sizeof *entry->mine);
		map_put(&ledger->txs, entry->txid, entry);
		add_spends(ledger, entry);
	}
	for (i = 0; i < tx->output_count; i++) {
		script = ledger_output_script(ledger, &tx->outputs[i]);
		if (script != NULL)
			script->used = true;
		entry->mine[i] = script;
	}
	return entry;
}

struct ledger_tx *ledger_find(const struct ledger *ledger, const uint8_t txid[32])
{
	return map_get(&ledger->txs, txid);
}

static int compare_order(const void *a, const void *b)
{
	const struct ledger_tx *left = *(struct ledger_tx *const *)a;
	const struct ledger_tx *right = *(struct ledger_tx *const *)b;

	return (left->order > right->order) - (left->order < right->order);
}

struct ledger_tx **ledger_list(const struct ledger *ledger, size_t *count)
{
	struct ledger_tx **list = mem_calloc(ledger->txs.count, sizeof *list);
	const uint8_t *key;
	void *value;
	size_t at = 0;

	for (*count = 0; map_next(&ledger->txs, &at, &key, &value);)
		list[(*count)++] = value;
	qsort(list, *count, sizeof *list, compare_order);
	return list;
}

/* A walk up the unconfirmed parents. Each is looked at once: who pays the wallet chooses how they hang together, and
 * the paths through them can be more than can be walked. */
struct walk {
	struct ledger_tx **met;
	size_t count;
	size_t room;
};

static void walk_meet(struct walk *walk, struct ledger_tx *entry)
{
	if (entry == NULL || entry->met || entry->height != 0 || entry->coinbase)
		return;
	if (walk->count == walk->room) {
		walk->room = walk->room ? 2 * walk->room : 16;
		walk->met = mem_realloc(walk->met, walk->room * sizeof *walk->met);
	}
	entry->met = true;
	walk->met[walk->count++] = entry;
}

/* The transaction of a block that spends what this one spends; its own parents join the walk. */
static const struct ledger_tx *walk_step(const struct ledger *ledger, struct walk *walk, const struct ledger_tx *entry)
{
	const struct spend *spend;
	size_t i;

	for (i = 0; i < entry->tx->input_count; i++) {
		for (spend = spends_of(ledger, &entry->tx->inputs[i].prev); spend != NULL; spend = spend->next)
			if (spend->by->height != 0)
				return spend->by;
		walk_meet(walk, map_get(&ledger->txs, entry->tx->inputs[i].prev.txid));
	}
	return NULL;
}

/* The transaction of a block that spends what the transaction, or one of its unconfirmed ancestors, spends. NULL: no
 * conflict. `met` is false everywhere before and after: one walk at a time. */
static const struct ledger_tx *conflict_of(const struct ledger *ledger, const struct ledger_tx *entry)
{
	const struct ledger_tx *found = NULL;
	struct walk walk = { 0 };
	size_t i;

	walk_meet(&walk, map_get(&ledger->txs, entry->txid));
	for (i = 0; i < walk.count && found == NULL; i++)
		found = walk_step(ledger, &walk, walk.met[i]);
	for (i = 0; i < walk.count; i++)
		walk.met[i]->met = false;
	free(walk.met);
	return found;
}

bool ledger_conflicted(const struct ledger *ledger, const struct ledger_tx *entry)
{
	return conflict_of(ledger, entry) != NULL;
}

/* As old as the block of the conflict, but below zero: so "six deep" means the same for both. */
int64_t ledger_depth(const struct ledger *ledger, const struct ledger_tx *entry)
{
	const struct ledger_tx *conflict;

	if (entry->height != 0)
		return (int64_t)ledger->tip_height - entry->height + 1;
	conflict = conflict_of(ledger, entry);
	return conflict == NULL ? 0 : -ledger_depth(ledger, conflict);
}

/* Consensus lets the next block, at tip + 1, spend it once that is maturity blocks above its own. The mempool takes a
 * spend for the next block, so this is what it would say. */
bool ledger_immature(const struct ledger *ledger, const struct ledger_tx *entry)
{
	return entry->coinbase && entry->height != 0 && ledger->tip_height + 1 < entry->height + ledger->maturity;
}

/* Every input, not one: where somebody else has signed as well, he can spend his coin elsewhere and this one never
 * confirms. */
bool ledger_from_us(const struct ledger *ledger, const struct ledger_tx *entry)
{
	size_t i;

	for (i = 0; i < entry->tx->input_count; i++)
		if (coin_of(ledger, &entry->tx->inputs[i].prev) == NULL)
			return false;
	return true;
}

/* Coins are in range one by one and in sum (consensus), so neither this nor the credit overflows. */
int64_t ledger_debit(const struct ledger *ledger, const struct ledger_tx *entry)
{
	const struct ledger_tx *parent;
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < entry->tx->input_count; i++) {
		parent = coin_of(ledger, &entry->tx->inputs[i].prev);
		if (parent != NULL)
			sum += parent->tx->outputs[entry->tx->inputs[i].prev.index].amount;
	}
	return sum;
}

int64_t ledger_credit(const struct ledger_tx *entry)
{
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < entry->tx->output_count; i++)
		if (entry->mine[i] != NULL)
			sum += entry->tx->outputs[i].amount;
	return sum;
}

/* A spender counts if it is in a block or in the mempool; or if it is the wallet's own and may still get into one: else
 * what it spends could be spent twice by the wallet itself, once it is offered again. Others' that left the mempool are
 * as good as never seen. */
const struct ledger_tx *ledger_spender(const struct ledger *ledger, const struct outpoint *outpoint)
{
	const struct spend *spend;

	for (spend = spends_of(ledger, outpoint); spend != NULL; spend = spend->next) {
		const struct ledger_tx *by = spend->by;

		if (by->height != 0 || by->in_mempool)
			return by;
		if (!by->abandoned && ledger_from_us(ledger, by) && !ledger_conflicted(ledger, by))
			return by;
	}
	return NULL;
}

static bool is_coin(const struct ledger *ledger, const struct ledger_tx *entry, size_t index)
{
	struct outpoint outpoint;

	if (entry->mine[index] == NULL)
		return false;
	memcpy(outpoint.txid, entry->txid, 32);
	outpoint.index = (uint32_t)index;
	return ledger_spender(ledger, &outpoint) == NULL;
}

/* Of transactions that are in a block or in the mempool alone: change of a payment that waits outside is no coin,
 * though what the payment spends is none either. */
struct ledger_coin *ledger_coins(const struct ledger *ledger, size_t *count)
{
	struct ledger_coin *coins = NULL;
	const struct ledger_tx *entry;
	struct ledger_coin *coin;
	const uint8_t *key;
	size_t room = 0;
	size_t at = 0;
	void *value;
	size_t i;

	*count = 0;
	while (map_next(&ledger->txs, &at, &key, &value)) {
		entry = value;
		if (entry->height == 0 && !entry->in_mempool)
			continue;
		for (i = 0; i < entry->tx->output_count; i++) {
			if (!is_coin(ledger, entry, i))
				continue;
			if (*count == room) {
				room = room ? 2 * room : 16;
				coins = mem_realloc(coins, room * sizeof *coins);
			}
			coin = &coins[(*count)++];
			memcpy(coin->outpoint.txid, entry->txid, 32);
			coin->outpoint.index = (uint32_t)i;
			coin->amount = entry->tx->outputs[i].amount;
			coin->script = entry->mine[i];
			coin->entry = entry;
			coin->depth = ledger_depth(ledger, entry);
			coin->immature = ledger_immature(ledger, entry);
			/* From others it could be replaced by another spend of theirs before a block has it. */
			coin->trusted = entry->height != 0 || ledger_from_us(ledger, entry);
		}
	}
	return coins;
}

void ledger_balance(const struct ledger *ledger, struct ledger_balance *balance)
{
	struct ledger_coin *coins;
	size_t count;
	size_t i;

	memset(balance, 0, sizeof *balance);
	coins = ledger_coins(ledger, &count);
	for (i = 0; i < count; i++) {
		if (coins[i].immature)
			balance->immature += coins[i].amount;
		else if (coins[i].trusted)
			balance->trusted += coins[i].amount;
		else
			balance->pending += coins[i].amount;
	}
	free(coins);
}
