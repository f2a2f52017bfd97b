/* The table of paths, and pieces and queries as arguments. */
#include "web/routes.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

static const struct route routes_all[] = {
	{ "summary", "getsummary", NULL, NULL, 0 },
	{ "chain", "getblockchaininfo", NULL, NULL, 0 },
	{ "spec", "getchainspec", NULL, NULL, ROUTE_CHAIN },
	{ "curve", "getcurve", NULL, " points from to ", ROUTE_CHAIN },
	{ "blocks", "listblocks", NULL, " before count ", ROUTE_CHAIN },
	{ "search", "search", NULL, " text ", 0 },
	{ "contributors", "listcontributors", NULL, " count skip ", 0 },
	{ "address/:address", "getaddresshistory", NULL, " count skip ", 0 },
	{ "block/:blockhash", "getblock", "{\"verbosity\":2}", NULL, ROUTE_BLOCK | ROUTE_CHAIN },
	{ "header/:blockhash", "getblockheader", NULL, NULL, ROUTE_BLOCK | ROUTE_CHAIN },
	{ "tx/:txid", "getrawtransaction", "{\"verbosity\":2}", NULL, 0 },
	{ "proof/:id", "getproof", NULL, NULL, ROUTE_CHAIN },
	{ "rounds", "getrounds", NULL, " count ", 0 },
	{ "round", "getround", NULL, NULL, 0 },
	{ "round/:base", "getround", NULL, NULL, 0 },
	{ "runs", "getruns", NULL, NULL, 0 },
	{ "datasets", "listdatasets", "{\"count\":100}", " count skip points ", 0 },
	{ "dataset/:dataset", "getdataset", NULL, " points ", 0 },
	{ "model", "getmodelinfo", NULL, " count skip ", 0 },
	{ "training", "gettraininginfo", NULL, NULL, 0 },
	{ "mining", "getmininginfo", NULL, NULL, 0 },
	{ "mempool", "getmempoolinfo", NULL, NULL, 0 },
	{ "mempool/txs", "getrawmempool", "{\"verbose\":true}", NULL, 0 },
	{ "peers", "getpeerinfo", NULL, NULL, ROUTE_PEERS },
	{ "network", "getnetworkinfo", NULL, NULL, 0 },
	{ "door", "getdoorinfo", NULL, NULL, 0 },
	{ "datafee", "estimatedatafee", NULL, " size ", 0 },
	{ NULL, NULL, NULL, NULL, 0 },
};

/* A contribution's bytes come with it: which files this machine has is nothing to a page. A challenge spends nothing,
 * and yet binds the node to what it found: that is for JSON-RPC. A receipt that anybody may sign is told the next byte
 * that the model writes: where texts are sold that is one. */
static const struct route routes_actions[] = {
	{ "audit/proof", "auditproof", NULL, " id index ", 0 },
	{ "audit/block", "auditblock", NULL, " blockhash ", ROUTE_BLOCK },
	{ "audit/run", "auditrun", NULL, " height segment ", 0 },
	{ "generate", "generatetext", NULL, " prompt bytes temperature seed top_k top_p receipt ", ROUTE_SOLD },
	{ "verify", "verifycompletion", NULL, " receipt prompt output ", ROUTE_SOLD },
	{ "income", "getincome", NULL, NULL, ROUTE_KEY },
	{ "wallets", "listwallets", NULL, NULL, ROUTE_KEY },
	{ "contributions", "listcontributions", NULL, " wallet ", ROUTE_KEY },
	{ "contribute", "contributedata", "{\"file\":\"\"}",
		" wallet licence title owner hexdata leave_out_pages dry_run allow_unlisted ", ROUTE_KEY },
	{ NULL, NULL, NULL, NULL, 0 },
};

/* What reads as a number, true or false is sent as that, and all else as text, as atelier-cli does; calls take a
 * number's own text where they want text. NULL: it is no UTF-8. */
static json_t *routes_value(const char *text, size_t size)
{
	json_t *value = json_parse(text, size, NULL);

	if (json_is_any_number(value) || json_is_boolean(value))
		return value;
	json_decref(value);
	return json_stringn(text, size);
}

/* Decodes a piece of path or query, and sets the argument. */
static bool routes_set(json_t *params, const char *name, const char *encoded, bool is_query, struct errmsg *err)
{
	size_t size;
	char *text = evhttp_uridecode(encoded, is_query, &size);
	json_t *value = text != NULL && size > 0 ? routes_value(text, size) : NULL;

	free(text);
	if (value == NULL)
		return errmsg_set(err, "%.64s is empty, or no UTF-8", name);
	json_object_set_new(params, name, value);
	return true;
}

static json_t *routes_fixed(const struct route *route)
{
	return route->fixed != NULL ? json_parse(route->fixed, strlen(route->fixed), NULL) : json_object();
}

/* Whether a path is the route's; `piece` is then what stands in the place of its argument, or NULL. */
static bool routes_fits(const struct route *route, const char *path, const char **piece)
{
	const char *argument = strchr(route->path, ':');
	size_t before = argument != NULL ? (size_t)(argument - route->path) : strlen(route->path);

	*piece = NULL;
	if (argument == NULL)
		return strcmp(path, route->path) == 0;
	if (strncmp(path, route->path, before) != 0 || path[before] == '\0' || strchr(path + before, '/') != NULL)
		return false;
	*piece = path + before;
	return true;
}

static bool routes_takes(const struct route *route, const char *name)
{
	char spaced[34];

	if (route->query == NULL || name[0] == '\0' || strlen(name) > sizeof spaced - 3 || strchr(name, ' ') != NULL)
		return false;
	strcpy(spaced, " ");
	strcat(spaced, name);
	strcat(spaced, " ");
	return strstr(route->query, spaced) != NULL;
}

/* name=value&name=value; each name once. */
static bool routes_read_query(const struct route *route, char *query, json_t *params, struct errmsg *err)
{
	json_t *seen = json_object();
	char *rest = query, *name;
	bool ok = true;

	while (ok && (name = strsep(&rest, "&")) != NULL) {
		char *value = strchr(name, '=');

		if (value != NULL)
			*value++ = '\0';
		if (value == NULL || !routes_takes(route, name))
			ok = errmsg_set(err, "The query has %.32s, which this path does not take", name);
		else if (json_object_get(seen, name) != NULL)
			ok = errmsg_set(err, "The query has %.32s twice", name);
		else
			ok = json_object_set_new(seen, name, json_true()) == 0 &&
				routes_set(params, name, value, true, err);
	}
	json_decref(seen);
	return ok;
}

static bool routes_bind(const struct route *route, const char *piece, const char *query, json_t *params,
	struct errmsg *err)
{
	char *query_copy = mem_strdup(query);
	bool ok = (piece == NULL || routes_set(params, strchr(route->path, ':') + 1, piece, false, err)) &&
		(*query == '\0' || routes_read_query(route, query_copy, params, err));

	free(query_copy);
	return ok;
}

enum routes_result routes_read(const char *path, const char *query, const struct route **route, json_t **params,
	struct errmsg *err)
{
	for (size_t i = 0; routes_all[i].path != NULL; i++) {
		const char *piece;

		if (!routes_fits(&routes_all[i], path, &piece))
			continue;
		*route = &routes_all[i];
		*params = routes_fixed(*route);
		if (routes_bind(*route, piece, query, *params, err))
			return ROUTES_FOUND;
		json_decref(*params);
		return ROUTES_WRONG;
	}
	return ROUTES_NONE;
}

const struct route *routes_find_action(const char *path)
{
	for (size_t i = 0; routes_actions[i].path != NULL; i++)
		if (strcmp(routes_actions[i].path, path) == 0)
			return &routes_actions[i];
	return NULL;
}

json_t *routes_read_body(const struct route *action, const char *body, size_t size, struct errmsg *err)
{
	json_t *given = json_parse(body != NULL ? body : "", size, err), *params, *value;
	const char *name;

	if (given == NULL)
		return NULL;
	params = routes_fixed(action);
	json_object_foreach(given, name, value) {
		if (routes_takes(action, name)) {
			json_object_set(params, name, value);
			continue;
		}
		errmsg_set(err, "The body has %.32s, which this path does not take", name);
		json_decref(params);
		params = NULL;
		break;
	}
	if (params != NULL && !json_is_object(given)) {
		errmsg_set(err, "The body must be an object");
		json_decref(params);
		params = NULL;
	}
	json_decref(given);
	return params;
}

bool routes_height(const json_t *name, uint32_t *height)
{
	if (!json_is_integer(name) || json_integer_value(name) < 0 || json_integer_value(name) > UINT32_MAX)
		return false;
	*height = (uint32_t)json_integer_value(name);
	return true;
}
