/* Paths called, results as answers. */
#include "web/api.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"
#include "web/answer.h"
#include "web/routes.h"

static const char api_prefix[] = "/api/";

/* A request whose call has not answered yet. What it needs of the head is copied: that is gone by then. */
struct api_call {
	struct http_exchange *exchange;
	const struct route *route;
	bool is_local;
	char *known; /* If-None-Match, or NULL */
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

static void api_on_called(void *context, const json_t *result, const json_t *error)
{
	struct api_call *call = context;
	json_t *shown = result != NULL && call->route->flags & ROUTE_PEERS && !call->is_local ?
		api_without_addresses(result) :
		NULL;

	answer_result(call->exchange, call->known, shown != NULL ? shown : result, error);
	json_decref(shown);
	free(call->known);
	free(call);
}

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

void api_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	const struct api *api = context;
	const char *known = request->head->fields[HTTP_IF_NONE_MATCH];
	const struct route *route;
	struct api_call *call;
	struct errmsg err;
	json_t *params;

	switch (routes_read(api_name_of(request->path), request->query, &route, &params, &err)) {
	case ROUTES_NONE:
		answer_refuse(exchange, 404, "There is no such path");
		return;
	case ROUTES_WRONG:
		answer_refuse(exchange, 400, err.text);
		return;
	case ROUTES_FOUND:
		break;
	}
	if (route->flags & ROUTE_BLOCK && !api_resolve_block(api->chain, params)) {
		json_decref(params);
		answer_refuse(exchange, 404, "Block height out of range");
		return;
	}
	call = mem_calloc(1, sizeof *call);
	*call = (struct api_call){ .exchange = exchange, .route = route, .is_local = request->is_local };
	call->known = known != NULL ? mem_strdup(known) : NULL;
	rpc_table_call(api->table, route->method, params, NULL, api_on_called, call);
	json_decref(params);
}
