/* The page's server as the options want it: endpoints, the head of every answer, the port. */
#include "web/web.h"

#include <stdlib.h>

#include "http/server.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/warning.h"
#include "web/api.h"
#include "web/events.h"
#include "web/files.h"
#include "web/guard.h"

struct web {
	struct guard guard;
	struct api api;
	struct events *events;
	char *folder;
	struct http_server *server;
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

	return guard_judge(&web->guard, request->head);
}

static bool web_serve(struct web *web, struct event_base *base, const struct settings *settings, struct errmsg *err)
{
	const struct http_endpoint endpoints[] = {
		{ .method = "GET", .has_path = events_has_path, .handle = events_handle, .context = web->events },
		{ .method = "GET", .has_path = api_has_path, .handle = api_handle, .context = &web->api },
		{ .method = "GET", .has_path = files_has_path, .handle = files_handle, .context = web->folder },
	};
	const struct http_server_config config = {
		.name = "The page",
		.binds = settings->webbind.values,
		.bind_count = settings->webbind.count,
		.port = settings->web_port,
		.is_open = true,
		.timeout = settings->rpc_timeout,
		.fields = web_fields,
		.admits = web_admits,
		.admits_context = web,
		.endpoints = endpoints,
		.endpoint_count = sizeof endpoints / sizeof endpoints[0],
		.only = "Only GET and HEAD are taken here\n",
	};

	web->server = http_server_new(base, &config, err);
	return web->server != NULL;
}

/* What nobody asked for by name is no reason to end a node that does its work without. */
static bool web_is_asked(const struct settings *settings)
{
	return options_is_set(settings->options, "webport") || settings->webbind.count > 0;
}

bool web_open(struct web **opened, struct event_base *base, const struct settings *settings, struct rpc_table *table,
	struct errmsg *err)
{
	struct web *web;

	*opened = NULL;
	if (!settings->web)
		return true;
	for (size_t i = 0; i < settings->webhost.count; i++)
		if (!guard_is_host(settings->webhost.values[i]))
			return errmsg_set(err, "-webhost=%.64s is neither a name nor an address",
				settings->webhost.values[i]);
	web = mem_calloc(1, sizeof *web);
	web->guard = (struct guard){ settings->webbind.values, settings->webhost.values, settings->webbind.count,
		settings->webhost.count };
	web->api.table = table;
	web->events = events_new(base);
	web->folder = files_folder(options_string(settings->options, "webfolder"));
	if (web_serve(web, base, settings, err)) {
		*opened = web;
		return true;
	}
	web_free(web);
	if (web_is_asked(settings))
		return false;
	warning_set(WARNING_PAGE, "There is no page in the browser: %s (-webport=<port> chooses another port)",
		err->text);
	return true;
}

void web_begin(struct web *web, struct chain *chain, const struct runner *runner)
{
	if (web == NULL)
		return;
	web->api.chain = chain;
	events_begin(web->events, chain, runner);
}

void web_close(struct web *web)
{
	if (web != NULL)
		http_server_close(web->server);
}

void web_free(struct web *web)
{
	if (web == NULL)
		return;
	http_server_free(web->server);
	events_free(web->events);
	free(web->folder);
	free(web);
}
