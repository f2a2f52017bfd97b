/* Paths called, results as answers. */
#include "web/api.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/mem.h"
#include "web/answer.h"
#include "web/budget.h"
#include "web/cache.h"
#include "web/routes.h"

static const char api_prefix[] = "/api/";

/* A request whose call has not answered yet. What it needs of the head is copied: that is gone by then. */
struct api_call {
	struct api *api; /* NULL: it is gone */
	struct http_exchange *exchange;
	const struct route *route;
	bool is_local;
	char *known; /* If-None-Match, or NULL */
	char *name;  /* under which the answer is kept */
	uint64_t stamp;
	struct api_call *next, **link;
};

struct api {
	struct rpc_table *table;
	struct chain *chain; /* NULL while it is being opened */
	struct cache *cache;
	struct budget far;               /* of those who are not on this machine */
	uint32_t changes, chain_changes; /* what the chain has told: at all, and of tip and verdicts */
	struct api_call *calls;
};

bool api_has_path(const char *path)
{
	return strncmp(path, api_prefix, sizeof api_prefix - 1) == 0;
}

const char *api_name_of(const char *path)
{
	return path + sizeof api_prefix - 1;
}

/* Whom this node talks to is nobody's business who only looks at the page. */
static json_t *api_without_addresses(const json_t *peers)
{
	static const char *const api_private[] = { "addr", "addrlocal", "name" };
	json_t *shown = json_array(), *peer;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)peers, index, peer) {
		json_t *peer_shown = json_copy(peer);

		for (size_t i = 0; i < sizeof api_private / sizeof api_private[0]; i++)
			json_object_del(peer_shown, api_private[i]);
		json_array_append_new(shown, peer_shown);
	}
	return shown;
}

static void api_call_free(struct api_call *call)
{
	if (call->api != NULL) {
		*call->link = call->next;
		if (call->next != NULL)
			call->next->link = call->link;
	}
	free(call->known);
	free(call->name);
	free(call);
}

static void api_answer_result(const struct api_call *call, const json_t *result)
{
	json_t *shown = result != NULL && call->route->flags & ROUTE_PEERS && !call->is_local ?
		api_without_addresses(result) :
		NULL;
	struct buf body;

	buf_init(&body);
	answer_print(shown != NULL ? shown : result, &body);
	json_decref(shown);
	if (call->api != NULL)
		cache_put(call->api->cache, call->name, call->stamp, &body);
	if (body.size > API_FAR_MAX && !call->is_local)
		answer_refuse(call->exchange, 403, "So long an answer is for this machine's own users");
	else
		answer_give(call->exchange, call->known, ANSWER_JSON, &body);
	buf_clear(&body);
}

static void api_on_called(void *context, const json_t *result, const json_t *error)
{
	struct api_call *call = context;

	if (error != NULL)
		answer_error(call->exchange, error);
	else
		api_answer_result(call, result);
	api_call_free(call);
}

/* --- what is kept --- */

static void api_on_tip(void *context, const struct index_entry *tip)
{
	struct api *api = context;

	(void)tip;
	api->changes++;
	api->chain_changes++;
}

static void api_on_block(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	(void)source;
	(void)reject;
	api_on_tip(context, entry);
}

static void api_on_proof(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct api *api = context;

	(void)header;
	(void)source;
	(void)reject;
	api->changes++;
}

static void api_on_tx_added(void *context, const struct tx *tx, uint64_t source)
{
	struct api *api = context;

	(void)tx;
	(void)source;
	api->changes++;
}

static void api_on_tx_removed(void *context, const struct tx *tx, const char *reason)
{
	(void)reason;
	api_on_tx_added(context, tx, 0);
}

/* Miner, peers, runs and files tell nobody what they do. */
static uint64_t api_stamp(const struct api *api, const struct route *route)
{
	return route->flags & ROUTE_CHAIN ? api->chain_changes :
					    (uint64_t)api->changes << 32 | (uint32_t)(clock_mono_ms() / 1000);
}

/* What is asked for, and of peers by whom. */
static char *api_cache_name(const struct http_request *request, const struct route *route)
{
	struct buf name;

	buf_init(&name);
	buf_put_text(&name, request->path);
	buf_put_text(&name, "?");
	buf_put_text(&name, request->query);
	if (route->flags & ROUTE_PEERS && request->from->is_local)
		buf_put_text(&name, " local");
	return buf_take_text(&name);
}

/* --- requests --- */

bool api_resolve_block(const struct chain *chain, json_t *params)
{
	const struct index_entry *entry;
	uint32_t height;

	if (chain == NULL || !routes_height(json_object_get(params, "blockhash"), &height))
		return true;
	entry = chain_at(chain, height);
	if (entry != NULL)
		json_object_set_new(params, "blockhash", json_hash(entry->id));
	return entry != NULL;
}

/* A call whose answer is not kept. Takes the name. */
static void api_call_begin(struct api *api, const struct http_request *request, const struct route *route,
	json_t *params, char *name, struct http_exchange *exchange)
{
	const char *known = request->head->fields[HTTP_IF_NONE_MATCH];
	struct api_call *call = mem_calloc(1, sizeof *call);

	*call = (struct api_call){
		.api = api,
		.exchange = exchange,
		.route = route,
		.is_local = request->from->is_local,
		.known = known != NULL ? mem_strdup(known) : NULL,
		.name = name,
		.stamp = api_stamp(api, route),
		.next = api->calls,
		.link = &api->calls,
	};
	if (call->next != NULL)
		call->next->link = &call->next;
	api->calls = call;
	rpc_table_call(api->table, route->method, params, NULL, api_on_called, call);
}

static void api_answer(struct api *api, const struct http_request *request, const struct route *route, json_t *params,
	struct http_exchange *exchange)
{
	const int64_t began = clock_mono_ms();
	char *name;
	struct buf body;

	if (route->flags & ROUTE_BLOCK && !api_resolve_block(api->chain, params)) {
		answer_refuse(exchange, 404, "Block height out of range");
		return;
	}
	buf_init(&body);
	name = api_cache_name(request, route);
	if (cache_get(api->cache, name, api_stamp(api, route), &body)) {
		answer_give(exchange, request->head->fields[HTTP_IF_NONE_MATCH], ANSWER_JSON, &body);
		free(name);
	} else if (!request->from->is_local && !budget_allows(&api->far, began)) {
		answer_refuse(exchange, 429, "Too much is asked for from far away");
		free(name);
	} else {
		api_call_begin(api, request, route, params, name, exchange);
	}
	if (!request->from->is_local)
		budget_spend(&api->far, began, clock_mono_ms());
}

void api_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	const struct route *route;
	struct errmsg err;
	json_t *params;

	switch (routes_read(api_name_of(request->path), request->query, &route, &params, &err)) {
	case ROUTES_NONE:
		if (routes_find_action(api_name_of(request->path)) != NULL)
			answer_refuse(exchange, 405, "This path is for POST");
		else
			answer_refuse(exchange, 404, "There is no such path");
		break;
	case ROUTES_WRONG:
		answer_refuse(exchange, 400, err.text);
		break;
	case ROUTES_FOUND:
		api_answer(context, request, route, params, exchange);
		json_decref(params);
		break;
	}
}

/* --- beginning and end --- */

struct api *api_new(struct rpc_table *table)
{
	struct api *api = mem_calloc(1, sizeof *api);

	api->table = table;
	api->cache = cache_new();
	return api;
}

void api_begin(struct api *api, struct chain *chain)
{
	api->chain = chain;
	api->changes++; /* what was kept was told while the chain was being opened */
	api->chain_changes++;
	chain_subscribe(chain,
		&(struct chain_events){
			.context = api,
			.tip = api_on_tip,
			.block_verdict = api_on_block,
			.proof_verdict = api_on_proof,
			.tx_added = api_on_tx_added,
			.tx_removed = api_on_tx_removed,
		});
}

void api_forget(struct api *api)
{
	api->changes++;
}

void api_free(struct api *api)
{
	if (api->chain != NULL)
		chain_unsubscribe(api->chain, api);
	for (struct api_call *call = api->calls; call != NULL; call = call->next)
		call->api = NULL;
	cache_free(api->cache);
	free(api);
}
