/* The page's server as the options want it: endpoints, the head of every answer, the port, the address with its key. */
#include "web/web.h"

#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/server.h"
#include "util/descriptors.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/warning.h"
#include "web/actions.h"
#include "web/answer.h"
#include "web/api.h"
#include "web/door/door.h"
#include "web/events.h"
#include "web/files.h"
#include "web/guard.h"
#include "web/key.h"

struct web {
	const struct settings *settings;
	struct guard guard;
	struct api *api;
	struct key key;
	struct actions *actions;
	struct events *events;
	struct apikeys *apikeys; /* NULL: there is no door either */
	struct door *door;
	char *folder;
	struct http_server *server; /* NULL: there is no page */
};

/* Nothing of another's is loaded, and nobody shows the page within his own. */
static const char web_fields[] =
	"Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
	"X-Content-Type-Options: nosniff\r\n"
	"Referrer-Policy: no-referrer\r\n"
	"Cross-Origin-Resource-Policy: same-origin\r\n";

static int web_admits(void *context, const struct http_request *request)
{
	const struct web *web = context;
	int refusal_status = guard_judge(&web->guard, request->head);

	if (refusal_status != 0 || strcmp(request->head->method, "POST") != 0)
		return refusal_status;
	refusal_status = actions_judge(web->actions, request);
	return refusal_status == 0 && door_has_path(request->path) ? door_judge(web->door, request) : refusal_status;
}

/* As JSON where all else is: at the door in OpenAI's form, for clients that look for nothing else. */
static const char *web_put_refusal(const char *target, int refusal_status, const char *words, struct buf *body)
{
	char line[128];

	if (target == NULL || !(api_has_path(target) || door_has_path(target))) {
		buf_put_text(body, words);
		return "text/plain";
	}
	snprintf(line, sizeof line, "%.*s", (int)strcspn(words, "\n"), words);
	if (refusal_status == 415)
		snprintf(line, sizeof line, "Content-Type must be " ANSWER_JSON);
	if (refusal_status == 401)
		snprintf(line, sizeof line, "The page's key is needed (X-Atelier-Key)");
	if (door_has_path(target))
		door_put_refusal(refusal_status, line, body);
	else
		answer_put_refusal(refusal_status, line, body);
	return ANSWER_JSON;
}

static void web_on_changed(void *context)
{
	api_forget(context);
}

static bool web_serve(struct web *web, struct event_base *base, struct errmsg *err)
{
	const struct http_endpoint endpoints[] = {
		{ "GET", events_has_path, 0, events_handle, web->events, false },
		{ "GET", api_has_path, 0, api_handle, web->api, false },
		{ "POST", actions_has_path, ACTIONS_BODY_MAX, actions_handle, web->actions, true },
		{ "POST", actions_has_key_path, ACTIONS_KEY_BODY_MAX, actions_handle, web->actions, false },
		{ "GET", door_has_path, 0, door_handle, web->door, false },
		{ "POST", door_has_path, DOOR_BODY_MAX, door_handle, web->door, true },
		{ "GET", files_has_path, 0, files_handle, web->folder, false },
	};
	const struct http_server_config config = {
		.name = "The page",
		.binds = web->settings->webbind.values,
		.bind_count = web->settings->webbind.count,
		.port = web->settings->web_port,
		.is_open = true,
		.connections = descriptors_for_web(descriptors_raise(0)),
		.timeout = web->settings->rpc_timeout,
		.fields = web_fields,
		.admits = web_admits,
		.admits_context = web,
		.endpoints = endpoints,
		.endpoint_count = sizeof endpoints / sizeof endpoints[0],
		.only = "Only GET, HEAD and POST are taken here, each at its own paths\n",
		.put_refusal = web_put_refusal,
	};

	web->server = http_server_new(base, &config, err);
	return web->server != NULL;
}

/* --- the address --- */

/* Of what the server is bound to first, as a browser on this machine reaches it. */
static void web_write_address(const struct web *web, char *address, size_t size)
{
	struct sockaddr_storage bound = { .ss_family = AF_INET };
	struct sockaddr_in *four = (struct sockaddr_in *)&bound;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&bound;
	int bound_size = sizeof bound;
	char host[64] = "127.0.0.1";
	unsigned port = 0;

	if (web->settings->webbind.count > 0 &&
		evutil_parse_sockaddr_port(web->settings->webbind.values[0], (struct sockaddr *)&bound, &bound_size) ==
			0) {
		port = ntohs(bound.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
		if (bound.ss_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
			evutil_inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
		else if (bound.ss_family == AF_INET && four->sin_addr.s_addr != htonl(INADDR_ANY))
			evutil_inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
	}
	snprintf(address, size, strchr(host, ':') != NULL ? "http://[%s]:%u/#key=%s" : "http://%s:%u/#key=%s", host,
		port != 0 ? port : web->settings->web_port, web->key.digits);
}

static enum rpc_outcome call_getpageaddress(struct rpc_request *page_request, void *context)
{
	const struct web *web = context;
	char address[256];

	if (web->server == NULL)
		return rpc_fail(page_request, RPC_MISC_ERROR, "This node serves no page (-web, -webport)");
	web_write_address(web, address, sizeof address);
	return rpc_reply(page_request, json_string(address));
}

static const struct rpc_method web_methods[] = {
	{ "getpageaddress", "Control", call_getpageaddress, NULL,
		"Gives the address of the page, for a browser on this machine. Behind #key= it has what lets the page "
		"touch wallets, until the node ends: show it to nobody.",
		"\"text\"", "", RPC_EARLY },
};

/* --- beginning and end --- */

/* What nobody asked for by name is no reason to end a node that does its work without. */
static bool web_is_asked(const struct settings *settings)
{
	return options_is_set(settings->options, "webport") || settings->webbind.count > 0;
}

static bool web_check_hosts(const struct settings *settings, struct errmsg *err)
{
	for (size_t i = 0; i < settings->webhost.count; i++)
		if (!guard_is_host(settings->webhost.values[i]))
			return errmsg_set(err, "-webhost=%.64s is neither a name nor an address",
				settings->webhost.values[i]);
	return true;
}

/* The key comes last, as the cookie does: that of a node which has the port stays as it is. */
static bool web_start(struct web *web, struct event_base *base, struct errmsg *err)
{
	char *key_path = path_join(web->settings->datadir.data, ".web_key"), address[256];
	bool ok = false;

	if (!web_check_hosts(web->settings, err)) {
		ok = false;
	} else if (web_serve(web, base, err)) {
		ok = key_init(&web->key, key_path, err);
	} else if (!web_is_asked(web->settings)) {
		warning_set(WARNING_PAGE, "There is no page in the browser: %s (-webport=<port> chooses another port)",
			err->text);
		ok = true;
	}
	free(key_path);
	if (ok && web->server != NULL) {
		web_write_address(web, address, sizeof address);
		*strchr(address, '#') = '\0';
		log_info("A browser on this machine shows what this node does: %s (getpageaddress: with the key to "
			 "its wallets)",
			address);
	}
	return ok;
}

static bool web_open_door(struct web *web, struct event_base *base, struct rpc_table *table, struct errmsg *err)
{
	char *keys_path = path_join(web->settings->datadir.data, ".api_keys");

	web->apikeys = apikeys_new(base, table, keys_path, web->settings->price > 0, err);
	web->door = door_new(base, table, web->apikeys);
	free(keys_path);
	return web->apikeys != NULL;
}

bool web_has_key(void *context, const char *name)
{
	const struct web *web = context;

	return web->apikeys == NULL || apikeys_has(web->apikeys, name);
}

struct web *web_open(struct event_base *base, const struct settings *settings, struct rpc_table *table,
	struct errmsg *err)
{
	struct web *web = mem_calloc(1, sizeof *web);

	web->settings = settings;
	web->guard = (struct guard){ settings->webbind.values, settings->webhost.values, settings->webbind.count,
		settings->webhost.count };
	web->api = api_new(table);
	web->actions = actions_new(table, &web->key, settings->price > 0);
	web->events = events_new(base, web_on_changed, web->api);
	web->folder = files_folder(options_string(settings->options, "webfolder"));
	rpc_table_add(table, web_methods, sizeof web_methods / sizeof web_methods[0], web);
	if (!settings->web || (web_open_door(web, base, table, err) && web_start(web, base, err)))
		return web;
	web_free(web);
	return NULL;
}

void web_begin(struct web *web, struct chain *chain, const struct runner *runner, struct writer *writer,
	struct credit *credit)
{
	const struct calls_parts door_parts = { .settings = web->settings,
		.chain = chain,
		.writer = writer,
		.credit = credit };

	if (web->door != NULL)
		door_begin(web->door, &door_parts);
	api_begin(web->api, chain);
	actions_begin(web->actions, chain);
	events_begin(web->events, chain, runner);
}

void web_close(struct web *web)
{
	if (web == NULL)
		return;
	actions_close(web->actions);
	if (web->server != NULL)
		http_server_close(web->server);
	if (web->door != NULL)
		door_close(web->door);
}

void web_free(struct web *web)
{
	if (web == NULL)
		return;
	http_server_free(web->server);
	actions_free(web->actions);
	api_free(web->api);
	events_free(web->events);
	door_free(web->door);
	apikeys_free(web->apikeys);
	key_clear(&web->key);
	free(web->folder);
	free(web);
}
