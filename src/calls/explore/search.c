/* What a text may mean: a height, an id, a root, an address, words of a title. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "crypto/address.h"
#include "util/bytes.h"

enum {
	SEARCH_TEXT_MAX = 200,
	SEARCH_TITLES_MAX = 20, /* datasets that words find */
	SEARCH_DIGITS_MAX = 9,  /* of a number: no product overflows */
	SEARCH_BEGINNING = 4,   /* digits of an id that it takes to look for blocks whose ids begin so */
	SEARCH_BLOCKS_MAX = 20
};

static void search_found_block(json_t *found, const struct index_entry *entry)
{
	json_array_append_new(found,
		json_pack("{s:s,s:I,s:o}", "kind", "block", "height", (json_int_t)entry->height, "hash",
			json_hash(entry->id)));
}

/* In a block or, with NULL, on its way into one. */
static void search_found_id(json_t *found, const char *kind, const char *name, const uint8_t id[32],
	const struct index_entry *entry)
{
	json_t *shown = json_pack("{s:s,s:o}", "kind", kind, name, json_hash(id));

	if (entry != NULL) {
		json_object_set_new(shown, "height", json_integer(entry->height));
		json_object_set_new(shown, "blockhash", json_hash(entry->id));
	}
	json_array_append_new(found, shown);
}

static void search_found_dataset(json_t *found, const struct registry *registry, size_t number)
{
	const char *title = registry_get(registry, number)->title;

	json_array_append_new(found,
		json_pack("{s:s,s:I,s:o}", "kind", "dataset", "number", (json_int_t)number, "title",
			json_text(title, strlen(title))));
}

static void search_number(json_t *found, const struct chain *chain, const char *digits)
{
	const unsigned long number = strtoul(digits, NULL, 10);
	const struct index_entry *entry = chain_at(chain, (uint32_t)number);

	if (entry != NULL)
		search_found_block(found, entry);
	if (number < registry_count(chain_registry(chain)))
		search_found_dataset(found, chain_registry(chain), number);
}

/* Ids are shown reversed, and roots of data in order. */
static void search_hex(json_t *found, struct chain *chain, const char *digits)
{
	uint8_t id[32], root[32];
	const struct index_entry *entry;
	size_t place, number;

	if (!hex_decode_reversed(id, 32, digits) || !hex_decode(root, 32, digits))
		return;
	entry = chain_find(chain, id);
	if (entry != NULL)
		search_found_block(found, entry);
	entry = chain_find_tx(chain, id, NULL);
	if (entry != NULL || chain_mempool_find(chain, id) != NULL)
		search_found_id(found, "transaction", "txid", id, entry);
	entry = chain_find_proof(chain, id, &place);
	if (entry != NULL || chain_candidate(chain, id) != NULL)
		search_found_id(found, "proof", "id", id, entry);
	if (registry_find(chain_registry(chain), root, &number) != NULL)
		search_found_dataset(found, chain_registry(chain), number);
}

/* --- what takes a look at every block --- */

static bool search_begins_with(const uint8_t id[32], const char *digits, size_t count)
{
	char shown[65];

	hex_encode_reversed(shown, id, 32);
	return strncmp(shown, digits, count) == 0;
}

/* The beginning of a block's id, as pages and logs cut ids short; the newest first. */
static void search_beginning(json_t *found, const struct chain *chain, const char *digits)
{
	const size_t count = strlen(digits);

	if (count < SEARCH_BEGINNING || count > 63 || strspn(digits, "0123456789abcdef") != count)
		return;
	for (const struct index_entry *entry = chain_tip(chain);
		entry != NULL && json_array_size(found) < SEARCH_BLOCKS_MAX; entry = entry->parent)
		if (search_begins_with(entry->id, digits, count))
			search_found_block(found, entry);
}

/* The block that made this state of the model: void ones after it leave it as it is. */
static void search_model(json_t *found, const struct chain *chain, const char *digits)
{
	const struct index_entry *entry = chain_tip(chain);
	uint8_t root[32];

	if (!hex_decode_reversed(root, 32, digits))
		return;
	while (entry != NULL && memcmp(entry->model_root_after, root, 32) != 0)
		entry = entry->parent;
	while (entry != NULL && entry->parent != NULL && memcmp(entry->parent->model_root_after, root, 32) == 0)
		entry = entry->parent;
	if (entry != NULL)
		search_found_block(found, entry);
}

static void search_address(json_t *found, const struct spec *spec, const char *text)
{
	struct errmsg err;
	uint8_t key[32];

	if (address_to_key(key, spec->hrp, text, &err))
		json_array_append_new(found,
			json_pack("{s:s,s:o}", "kind", "address", "address", show_address(spec, key)));
}

/* --- titles --- */

/* Letters of ASCII alone have a lower case here: what is found depends on no locale. */
static char search_lower(char letter)
{
	return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool search_title_has(const char *title, const char *word, size_t length)
{
	for (; *title != '\0'; title++) {
		size_t same = 0;

		while (same < length && search_lower(title[same]) == search_lower(word[same]))
			same++;
		if (same == length)
			return true;
	}
	return false;
}

/* Every word of the text. */
static bool search_title_matches(const char *title, const char *text)
{
	for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
		const size_t length = strcspn(text, " ");

		if (!search_title_has(title, text, length))
			return false;
		text += length;
	}
	return true;
}

/* The newest first. */
static void search_titles(json_t *found, const struct registry *registry, const char *text)
{
	size_t left = SEARCH_TITLES_MAX;

	for (size_t number = registry_count(registry); number-- > 0 && left > 0;)
		if (search_title_matches(registry_get(registry, number)->title, text)) {
			search_found_dataset(found, registry, number);
			left--;
		}
}

/* --- the call --- */

static const struct rpc_arg search_args[] = {
	{ .name = "text", .type = RPC_TEXT, .max = SEARCH_TEXT_MAX, .help = "What to look for." },
	{ 0 },
};

static enum rpc_outcome call_search(struct rpc_request *search_request, void *context)
{
	struct chain *chain = context;
	const char *text = rpc_text(search_request, "text");
	const size_t length = strlen(text), blanks = strspn(text, " ");
	json_t *found = json_array();

	if (length == blanks)
		return rpc_reply(search_request, found);
	if (length <= SEARCH_DIGITS_MAX && strspn(text, "0123456789") == length)
		search_number(found, chain, text);
	search_hex(found, chain, text);
	search_address(found, chain_spec(chain), text);
	if (json_array_size(found) == 0)
		search_model(found, chain, text);
	if (json_array_size(found) == 0)
		search_beginning(found, chain, text);
	if (json_array_size(found) == 0)
		search_titles(found, chain_registry(chain), text);
	return rpc_reply(search_request, found);
}

static const struct rpc_method search_methods[] = {
	{ "search", "Explorer", call_search, search_args,
		"Tells what a text may mean: the height or id of a block, the id of a transaction or proof, in a block "
		"or waiting for one, the number or root of a dataset, an address, whether anybody was paid there or "
		"not; the root of a state of the model, which is that of the block that made it. A text that is none "
		"of these is taken for the beginning of ids of blocks (4 digits at least), and then for words of "
		"titles of datasets: the newest 20 of either are given.",
		"[{\"kind\": \"block\", \"height\": n, \"hash\": \"hex\"} or\n"
		" {\"kind\": \"transaction\", \"txid\": \"hex\", \"height\": n, \"blockhash\": \"hex\"} or   these two "
		"if a block has it\n"
		" {\"kind\": \"proof\", \"id\": \"hex\", \"height\": n, \"blockhash\": \"hex\"} or\n"
		" {\"kind\": \"dataset\", \"number\": n, \"title\": \"text\"} or\n"
		" {\"kind\": \"address\", \"address\": \"address\"}]",
		"\"discharge letters\"", 0 },
};

void calls_search_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, search_methods, sizeof search_methods / sizeof *search_methods, chain);
}
