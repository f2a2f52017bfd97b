/* Paths called, results as answers. */
#include "web/api.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/error.h"
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

/* HTTP's word for what kept a call from its answer. */
static int api_status_of(enum rpc_code code)
{
	switch (code) {
	case RPC_IN_WARMUP:
	case RPC_OUT_OF_MEMORY:
		return 503;
	case RPC_METHOD_NOT_FOUND:
	case RPC_INVALID_ADDRESS_OR_KEY:
		return 404;
	case RPC_INTERNAL_ERROR:
	case RPC_DATABASE_ERROR:
		return 500;
	default: /* the rest is the caller's: enum rpc_code has Bitcoin Core's numbers, more than are used here */
		return 400;
	}
}

static void api_answer_error(struct http_exchange *exchange, const json_t *error)
{
	enum rpc_code code = (enum rpc_code)json_integer_value(json_object_get(error, "code"));
	struct http_answer answer = {
		.status = api_status_of(code),
		.type = ANSWER_JSON,
		.fields = "Cache-Control: no-store\r\n",
	};

	buf_put_text(&answer.body, "{\"error\":");
	json_print(error, 0, &answer.body);
	buf_put_text(&answer.body, "}\n");
	http_server_answer(exchange, &answer);
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

static void api_answer_result(const struct api_call *call, const json_t *result)
{
	struct buf body;
	json_t *shown;

	buf_init(&body);
	if (result == NULL) {
		buf_put_text(&body, "null");
	} else if (call->route->flags & ROUTE_PEERS && !call->is_local) {
		shown = api_without_addresses(result);
		json_print(shown, 0, &body);
		json_decref(shown);
	} else {
		json_print(result, 0, &body);
	}
	buf_put_u8(&body, '\n');
	answer_give(call->exchange, call->known, ANSWER_JSON, &body);
}

static void api_on_called(void *context, const json_t *result, const json_t *error)
{
	struct api_call *call = context;

	if (error != NULL)
		api_answer_error(call->exchange, error);
	else
		api_answer_result(call, result);
	free(call->known);
	free(call);
}

/* A height in the place of a block's id. False: the active chain has none there. */
static bool api_resolve_block(const struct api *api, json_t *params)
{
	const struct index_entry *entry;
	uint32_t height;

	if (api->chain == NULL || !routes_height(json_object_get(params, "blockhash"), &height))
		return true;
	entry = chain_at(api->chain, height);
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

	switch (routes_read(request->path + sizeof api_prefix - 1, request->query, &route, &params, &err)) {
	case ROUTES_NONE:
		answer_refuse(exchange, 404, "There is no such path");
		return;
	case ROUTES_WRONG:
		answer_refuse(exchange, 400, err.text);
		return;
	case ROUTES_FOUND:
		break;
	}
	if (route->flags & ROUTE_BLOCK && !api_resolve_block(api, params)) {
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
