/* Who gave what and got what: keys in rank, and one key's transactions; from the explorer's index. */
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"

enum {
	PEOPLE_LIST_MAX = 1000,
	PEOPLE_SKIP_MAX = 100000, /* each is read */
	PEOPLE_DATASETS_MAX = 1000
};

static enum rpc_outcome people_refuse(struct rpc_request *people_request, const struct explorer *explorer)
{
	return rpc_fail(people_request, RPC_MISC_ERROR, "The explorer's index is off: %s",
		explorer == NULL ? "the node runs with -explorer=0" : explorer_off(explorer));
}

/* As it turned out now: unless it is off then, it is made anew. */
static enum rpc_outcome people_fail(struct rpc_request *people_request, const struct explorer *explorer)
{
	if (explorer_off(explorer) != NULL)
		return people_refuse(people_request, explorer);
	return rpc_fail(people_request, RPC_DATABASE_ERROR,
		"The explorer's index was damaged, and is made anew: ask again");
}

/* Of which block it is, and whether that is the tip. */
static void people_show_at(json_t *shown, const struct calls_parts *parts)
{
	const struct index_entry *at = explorer_at(parts->explorer);

	json_object_set_new(shown, "height", json_integer(at->height));
	json_object_set_new(shown, "complete", json_boolean(at == chain_tip(parts->chain)));
}

/* What a key gave, and what it got for that. */
static void people_show_given(json_t *shown, const struct calls_parts *parts, const uint8_t key[32],
	const struct book_sums *sums)
{
	json_object_set_new(shown, "own", json_boolean(runner_owns(parts->runner, key)));
	json_object_set_new(shown, "blocks", json_integer(sums->of[BOOK_BLOCKS]));
	json_object_set_new(shown, "proofs", json_integer(sums->of[BOOK_PROOFS]));
	json_object_set_new(shown, "late", json_integer(sums->of[BOOK_LATE]));
	json_object_set_new(shown, "runs",
		json_pack("{s:I,s:I,s:I,s:I}", "merged", (json_int_t)sums->of[BOOK_MERGED], "left out",
			(json_int_t)sums->of[BOOK_LEFT_OUT], "struck", (json_int_t)sums->of[BOOK_STRUCK], "empty",
			(json_int_t)sums->of[BOOK_EMPTY]));
	json_object_set_new(shown, "earned", json_amount(book_earned(sums)));
	json_object_set_new(shown, "paid_proofs", json_amount(sums->of[BOOK_PAID_PROOFS]));
	json_object_set_new(shown, "paid_data", json_amount(sums->of[BOOK_PAID_DATA]));
	json_object_set_new(shown, "paid_runs", json_amount(sums->of[BOOK_PAID_RUNS]));
	json_object_set_new(shown, "lost", json_amount(sums->of[BOOK_LOST]));
}

/* --- who gave something --- */

struct people_list {
	const struct calls_parts *parts;
	json_t *people;
};

static void people_on_key(void *context, const uint8_t key[32], const struct book_sums *sums)
{
	struct people_list *list = context;
	json_t *shown = json_object();

	json_object_set_new(shown, "address", show_address(chain_spec(list->parts->chain), key));
	people_show_given(shown, list->parts, key, sums);
	json_array_append_new(list->people, shown);
}

static const struct rpc_arg listcontributors_args[] = {
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "20",
		.min = 1,
		.max = PEOPLE_LIST_MAX,
		.help = "How many at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = PEOPLE_SKIP_MAX,
		.help = "How many of them to leave out before." },
	{ 0 },
};

static enum rpc_outcome call_listcontributors(struct rpc_request *people_request, void *context)
{
	struct calls_parts *parts = context;
	struct people_list list = { .parts = parts };
	json_t *shown;

	if (parts->explorer == NULL || explorer_off(parts->explorer) != NULL)
		return people_refuse(people_request, parts->explorer);
	list.people = json_array();
	if (!explorer_each_key(parts->explorer, (size_t)rpc_int(people_request, "skip"),
		    (size_t)rpc_int(people_request, "count"), people_on_key, &list)) {
		json_decref(list.people);
		return people_fail(people_request, parts->explorer);
	}
	shown = json_object();
	people_show_at(shown, parts);
	json_object_set_new(shown, "count", json_integer(explorer_ranked(parts->explorer)));
	json_object_set_new(shown, "contributors", list.people);
	return rpc_reply(people_request, shown);
}

/* --- one address --- */

static json_t *people_show_datasets(const struct registry *registry, const uint8_t key[32])
{
	json_t *numbers = json_array();

	for (size_t number = 1; number < registry_count(registry) && json_array_size(numbers) < PEOPLE_DATASETS_MAX;
		number++)
		if (memcmp(registry_get(registry, number)->owner, key, 32) == 0)
			json_array_append_new(numbers, json_integer((json_int_t)number));
	return numbers;
}

static void people_on_tx(void *context, const struct explorer_tx *tx)
{
	struct people_list *list = context;
	const struct index_entry *entry = chain_ancestor(explorer_at(list->parts->explorer), tx->height);
	json_t *shown = json_object();

	json_object_set_new(shown, "txid", json_hash(tx->txid));
	json_object_set_new(shown, "height", json_integer(tx->height));
	if (entry != NULL)
		json_object_set_new(shown, "time", json_integer(entry->header.time));
	json_object_set_new(shown, "amount", json_amount(tx->amount));
	if (tx->is_struck)
		json_object_set_new(shown, "lost", json_true());
	json_array_append_new(list->people, shown);
}

static const struct rpc_arg getaddresshistory_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 128, .help = "Any address of this chain." },
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "20",
		.min = 0,
		.max = PEOPLE_LIST_MAX,
		.help = "How many transactions to list at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = PEOPLE_SKIP_MAX,
		.help = "How many of them to leave out before." },
	{ 0 },
};

static enum rpc_outcome call_getaddresshistory(struct rpc_request *people_request, void *context)
{
	struct calls_parts *parts = context;
	struct people_list list = { .parts = parts };
	struct book_sums sums;
	struct rpc_error error;
	uint8_t key[32];
	json_t *shown;

	if (!argument_address(chain_spec(parts->chain), rpc_text(people_request, "address"), key, &error))
		return rpc_fail_with(people_request, &error);
	if (parts->explorer == NULL || explorer_off(parts->explorer) != NULL)
		return people_refuse(people_request, parts->explorer);
	list.people = json_array();
	if (!explorer_look(parts->explorer, key, &sums) ||
		!explorer_each_tx(parts->explorer, key, (size_t)rpc_int(people_request, "skip"),
			(size_t)rpc_int(people_request, "count"), people_on_tx, &list)) {
		json_decref(list.people);
		return people_fail(people_request, parts->explorer);
	}
	shown = json_object();
	json_object_set_new(shown, "address", show_address(chain_spec(parts->chain), key));
	people_show_at(shown, parts);
	json_object_set_new(shown, "balance", json_amount(sums.of[BOOK_BALANCE]));
	json_object_set_new(shown, "received", json_amount(sums.of[BOOK_RECEIVED]));
	json_object_set_new(shown, "sent", json_amount(sums.of[BOOK_SENT]));
	people_show_given(shown, parts, key, &sums);
	json_object_set_new(shown, "datasets", people_show_datasets(chain_registry(parts->chain), key));
	json_object_set_new(shown, "txs", json_integer(sums.of[BOOK_TXS]));
	json_object_set_new(shown, "transactions", list.people);
	return rpc_reply(people_request, shown);
}

#define PEOPLE_GIVEN                                                                                          \
	"  \"own\": bool,            the key is a loaded wallet's\n"                                          \
	"  \"blocks\": n, \"proofs\": n, \"late\": n,   mined; in time, those of its blocks too; late ones\n" \
	"  \"runs\": {\"merged\": n, \"left out\": n, \"struck\": n, \"empty\": n},   seats of old rounds\n"  \
	"  \"earned\": amount, \"paid_proofs\": amount, \"paid_data\": amount, \"paid_runs\": amount,\n"      \
	"  \"lost\": amount,         stakes of runs that were struck\n"

static const struct rpc_method people_methods[] = {
	{ "listcontributors", "Explorer", call_listcontributors, listcontributors_args,
		"Lists the keys that mined, gave proofs, trained runs, or were paid for data, who earned most first. "
		"It needs -explorer=1; where the index is behind, as after the first start with it, complete is "
		"false, and all is as of height.",
		"{\"height\": n, \"complete\": bool, \"count\": n,   of all such keys\n"
		" \"contributors\": [{\n"
		"  \"address\": \"address\",\n" PEOPLE_GIVEN "  }]}",
		"10", 0 },
	{ "getaddresshistory", "Explorer", call_getaddresshistory, getaddresshistory_args,
		"Tells of any address what it has, gave and earned, and its transactions, the newest first. What waits "
		"for a block is not among them. It needs -explorer=1, as listcontributors does.",
		"{\n"
		"  \"address\": \"address\", \"height\": n, \"complete\": bool,\n"
		"  \"balance\": amount,      rewards that are not mature too\n"
		"  \"received\": amount, \"sent\": amount,   by transactions that paid it more, or less, than they "
		"took\n" PEOPLE_GIVEN "  \"datasets\": [n],        numbers of those that it owns, 1000 at most\n"
		"  \"txs\": n,               how many touched it\n"
		"  \"transactions\": [{\"txid\": \"hex\", \"height\": n, \"time\": n,\n"
		"    \"amount\": amount,     what it changed\n"
		"    \"lost\": true}]        no transaction: a stake, output 0 of this coinbase, that was struck\n"
		"}",
		"\"address\"", 0 },
};

void calls_people_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, people_methods, sizeof people_methods / sizeof *people_methods, parts);
}
