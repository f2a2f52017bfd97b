/* Actions, those that wait for their turns, and those at work. */
#include "web/actions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/mem.h"
#include "web/answer.h"
#include "web/api.h"
#include "web/routes.h"

/* One that was asked for and has no answer yet. */
struct action {
	struct actions *actions; /* NULL: it is at work still, and they are gone */
	struct http_exchange *exchange;
	const struct route *route;
	json_t *params;
	char *wallet;        /* or NULL */
	struct visitor from; /* whose turn it takes */
	bool is_running;
	struct action *next;
};

struct actions {
	struct rpc_table *table;
	const struct key *key;
	struct chain *chain;
	struct action *first; /* in the order in which they came */
	bool is_starting;     /* actions_start is at it already, and goes on by itself */
	bool is_closed;       /* the parts that do the work are being closed */
	bool is_selling;      /* texts cost: none is written here for who has no key */
};

/* --- one action --- */

static void action_free(struct action *action)
{
	json_decref(action->params);
	free(action->wallet);
	free(action);
}

static void actions_unlink(struct actions *actions, const struct action *action)
{
	struct action **link = &actions->first;

	while (*link != NULL && *link != action)
		link = &(*link)->next;
	if (*link != NULL)
		*link = action->next;
}

static void actions_start(struct actions *actions);

static void action_on_called(void *context, const json_t *result, const json_t *error)
{
	struct action *action = context;
	struct actions *actions = action->actions;
	struct buf body;

	buf_init(&body);
	if (error != NULL) {
		answer_error(action->exchange, error);
	} else {
		answer_print(result, &body);
		answer_give(action->exchange, NULL, ANSWER_JSON, &body);
	}
	if (actions != NULL)
		actions_unlink(actions, action);
	action_free(action);
	if (actions != NULL)
		actions_start(actions);
}

static void action_run(struct action *action)
{
	action->is_running = true;
	rpc_table_call(action->actions->table, action->route->method, action->params, action->wallet, action_on_called,
		action);
}

/* --- turns --- */

/* Takes a worker's time, and so a turn. */
static bool action_works(const struct action *action)
{
	return action->is_running && !(action->route->flags & ROUTE_KEY);
}

/* The first that waits and whose address has nothing at work; NULL: none, or all places are taken. */
static struct action *actions_next(const struct actions *actions)
{
	size_t running = 0;

	for (const struct action *action = actions->first; action != NULL; action = action->next)
		running += action_works(action);
	for (struct action *action = actions->first; action != NULL && running < ACTIONS_RUNNING;
		action = action->next) {
		const struct action *other = actions->first;

		while (other != NULL && !(action_works(other) && visitor_is_neighbour(&other->from, &action->from)))
			other = other->next;
		if (!action->is_running && other == NULL)
			return action;
	}
	return NULL;
}

/* Forgets those that wait and whose clients have gone. */
static void actions_sweep(struct actions *actions)
{
	struct action *action, *next;

	for (action = actions->first; action != NULL; action = next) {
		next = action->next;
		if (action->is_running || http_server_is_heard(action->exchange))
			continue;
		actions_unlink(actions, action);
		answer_refuse(action->exchange, 503, "Gone");
		action_free(action);
	}
}

/* A call may answer before action_run returns, and comes here again then: that is left to the one that is at it, so
 * that many who fail at once do not lie on the stack one above the other. */
static void actions_start(struct actions *actions)
{
	struct action *action;

	if (actions->is_starting || actions->is_closed)
		return;
	actions->is_starting = true;
	actions_sweep(actions);
	while ((action = actions_next(actions)) != NULL)
		action_run(action);
	actions->is_starting = false;
}

/* Whether one more of his may wait. */
static bool actions_has_room(struct actions *actions, const struct visitor *from)
{
	size_t waiting = 0, neighbours = 0;

	actions_sweep(actions);
	for (const struct action *action = actions->first; action != NULL; action = action->next) {
		waiting += !action->is_running;
		neighbours += !action->is_running && visitor_is_neighbour(&action->from, from);
	}
	return waiting < ACTIONS_WAITING && (from->is_local || neighbours < ACTIONS_PER_GROUP);
}

static void actions_put_last(struct actions *actions, struct action *action)
{
	struct action **link = &actions->first;

	while (*link != NULL)
		link = &(*link)->next;
	*link = action;
}

/* --- requests --- */

static const struct route *actions_find(const char *path)
{
	return api_has_path(path) ? routes_find_action(api_name_of(path)) : NULL;
}

bool actions_has_key_path(const char *path)
{
	const struct route *route = actions_find(path);

	return route != NULL && route->flags & ROUTE_KEY;
}

bool actions_has_path(const char *path)
{
	const struct route *route = actions_find(path);

	return route != NULL && !(route->flags & ROUTE_KEY);
}

/* Of all types a browser asks first before it sends this one to another site, which is refused then: no form of a page
 * elsewhere can make it. */
static bool actions_is_json(const char *type)
{
	size_t type_size = sizeof ANSWER_JSON - 1;

	return type != NULL && strncasecmp(type, ANSWER_JSON, type_size) == 0 &&
		(type[type_size] == '\0' || strchr("; \t", type[type_size]) != NULL);
}

int actions_judge(const struct actions *actions, const struct http_request *request)
{
	const struct route *route = actions_find(request->path);
	const unsigned for_key = ROUTE_KEY | (actions->is_selling ? ROUTE_SOLD : 0);

	if (!actions_is_json(request->head->fields[HTTP_CONTENT_TYPE]))
		return 415;
	if (route != NULL && route->flags & for_key && !key_match(actions->key, request->head->fields[HTTP_KEY]))
		return 401;
	return 0;
}

/* The wallet that is meant is a member of the body, beside the call's arguments. */
static char *actions_take_wallet(json_t *params)
{
	const json_t *named = json_object_get(params, "wallet");
	char *wallet = json_is_text(named) ? mem_strdup(json_string_value(named)) : NULL;

	json_object_del(params, "wallet");
	return wallet;
}

/* Long texts keep a worker from others. */
static bool actions_is_modest(const json_t *params)
{
	const json_t *bytes = json_object_get(params, "bytes");

	return bytes == NULL || (json_is_integer(bytes) && json_integer_value(bytes) <= ACTIONS_TEXT_MAX);
}

static void actions_take(struct actions *actions, const struct http_request *request, const struct route *route,
	json_t *params, struct http_exchange *exchange)
{
	struct action *action = mem_calloc(1, sizeof *action);

	*action = (struct action){ .actions = actions, .exchange = exchange, .route = route, .params = params };
	action->from = *request->from;
	actions_put_last(actions, action);
	if (route->flags & ROUTE_KEY) {
		action->wallet = actions_take_wallet(params);
		action_run(action);
	} else {
		actions_start(actions);
	}
}

void actions_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	struct actions *actions = context;
	const struct route *route = actions_find(request->path);
	struct errmsg err;
	json_t *params = routes_read_body(route, request->body, request->size, &err);
	const bool is_work = !(route->flags & ROUTE_KEY);

	if (params == NULL) {
		answer_refuse(exchange, 400, err.text);
	} else if (is_work && !actions_is_modest(params)) {
		answer_refuse(exchange, 400, "So long a text is for who asks JSON-RPC");
	} else if (is_work && !actions_has_room(actions, request->from)) {
		answer_refuse(exchange, 429, "Too many wait already");
	} else if (route->flags & ROUTE_BLOCK && !api_resolve_block(actions->chain, params)) {
		answer_refuse(exchange, 404, "Block height out of range");
	} else {
		actions_take(actions, request, route, params, exchange);
		return;
	}
	json_decref(params);
}

struct actions *actions_new(struct rpc_table *table, const struct key *key, bool is_selling)
{
	struct actions *actions = mem_calloc(1, sizeof *actions);

	actions->table = table;
	actions->key = key;
	actions->is_selling = is_selling;
	return actions;
}

void actions_begin(struct actions *actions, struct chain *chain)
{
	actions->chain = chain;
}

/* What is at work is answered by whom it was given to, and lets no other begin: there is nobody to do it any more. */
void actions_close(struct actions *actions)
{
	actions->is_closed = true;
}

/* An audit may be answered as late as when the chain has closed. */
void actions_free(struct actions *actions)
{
	while (actions->first != NULL) {
		struct action *action = actions->first;

		actions->first = action->next;
		action->actions = NULL;
		if (action->is_running)
			continue;
		answer_refuse(action->exchange, 503, "The node is shutting down");
		action_free(action);
	}
	free(actions);
}
