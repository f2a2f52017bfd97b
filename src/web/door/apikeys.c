/* The list of keys, its file, and the calls that change it. */
#include "web/door/apikeys.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "crypto/hash.h"
#include "crypto/wipe.h"
#include "rpc/method.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

#define APIKEYS_PREFIX "atl-"
enum { APIKEYS_MINUTE_MS = 60000, APIKEYS_WRITE_S = 5, APIKEYS_RETRY_S = 60 };

struct apikeys_key {
	char name[65];
	uint8_t hash[32];      /* of the key's text */
	int64_t expires;       /* Unix seconds; 0: never */
	uint64_t budget, used; /* bytes; budget 0: no limit */
	uint64_t promised;     /* to requests under way */
	int64_t rate;          /* requests a minute; 0: no limit */
	int64_t due_ms;        /* when the last of those that were let in would have come at that pace; monotonic */
};

struct apikeys {
	char *path;
	struct apikeys_key *keys;
	size_t count;
	bool is_selling;     /* whoever is on this machine needs one, too */
	struct event *write; /* due once something was used */
};

/* ---- The file ---- */

static json_t *apikeys_show(const struct apikeys_key *key)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "name", json_string(key->name));
	json_object_set_new(shown, "expires", json_integer(key->expires));
	json_object_set_new(shown, "budget", json_integer((json_int_t)key->budget));
	json_object_set_new(shown, "used", json_integer((json_int_t)key->used));
	json_object_set_new(shown, "rate", json_integer(key->rate));
	return shown;
}

static bool apikeys_write(struct apikeys *apikeys, struct errmsg *err)
{
	json_t *list = json_array();
	struct buf text;
	bool is_written;

	for (size_t i = 0; i < apikeys->count; i++) {
		json_t *shown = apikeys_show(&apikeys->keys[i]);

		json_object_set_new(shown, "hash", json_hex(apikeys->keys[i].hash, 32));
		json_array_append_new(list, shown);
	}
	buf_init(&text);
	json_print(list, 2, &text);
	buf_put_u8(&text, '\n');
	is_written = file_write_atomic(apikeys->path, text.data, text.size, 0600, err);
	buf_clear(&text);
	json_decref(list);
	return is_written;
}

static void apikeys_write_in(struct apikeys *apikeys, long seconds)
{
	const struct timeval soon = { .tv_sec = seconds };

	if (!event_pending(apikeys->write, EV_TIMEOUT, NULL))
		event_add(apikeys->write, &soon);
}

static void apikeys_on_write(evutil_socket_t fd, short what, void *arg)
{
	struct errmsg err;

	(void)fd;
	(void)what;
	if (apikeys_write(arg, &err))
		return;
	log_warn("What API keys have used cannot be written: %s", err.text);
	apikeys_write_in(arg, APIKEYS_RETRY_S);
}

static bool apikeys_read_key(const json_t *shown, struct apikeys_key *key)
{
	const json_t *name = json_object_get(shown, "name");
	int64_t numbers[4];
	static const char *const names[] = { "expires", "budget", "used", "rate" };

	for (size_t i = 0; i < 4; i++)
		if (!convert_int(json_object_get(shown, names[i]), names[i], 0, INT64_MAX, &numbers[i], NULL))
			return false;
	*key = (struct apikeys_key){ .expires = numbers[0],
		.budget = (uint64_t)numbers[1],
		.used = (uint64_t)numbers[2],
		.rate = numbers[3] };
	if (!json_is_text(name) || json_string_length(name) >= sizeof key->name)
		return false;
	snprintf(key->name, sizeof key->name, "%s", json_string_value(name));
	return convert_key(json_object_get(shown, "hash"), "hash", key->hash, NULL);
}

static bool apikeys_read_list(struct apikeys *apikeys, const json_t *list)
{
	if (!json_is_array(list) || json_array_size(list) > APIKEYS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!apikeys_read_key(json_array_get(list, i), &apikeys->keys[apikeys->count++]))
			return false;
	return true;
}

static bool apikeys_read(struct apikeys *apikeys, struct errmsg *err)
{
	struct stat file_info;
	struct buf text;
	json_t *list = NULL;
	bool is_read;

	/* A link that leads nowhere, to a disk that is not there perhaps, is no list without keys: who has none would
	 * be let in. */
	if (lstat(apikeys->path, &file_info) != 0 && errno == ENOENT)
		return true;
	buf_init(&text);
	is_read = file_read(apikeys->path, 1 << 20, &text, err);
	if (is_read) {
		list = json_parse((const char *)text.data, text.size, NULL);
		is_read = apikeys_read_list(apikeys, list) ||
			errmsg_set(err, "%s is damaged: remove it, and make new keys", apikeys->path);
	}
	json_decref(list);
	buf_clear(&text);
	return is_read;
}

/* ---- Who may ---- */

static struct apikeys_key *apikeys_find(const struct apikeys *apikeys, const char *name)
{
	for (size_t i = 0; i < apikeys->count; i++)
		if (strcmp(apikeys->keys[i].name, name) == 0)
			return &apikeys->keys[i];
	return NULL;
}

bool apikeys_has(const struct apikeys *apikeys, const char *name)
{
	return apikeys_find(apikeys, name) != NULL;
}

/* A minute's requests may come at once, and then one by one at the key's pace. */
static bool apikeys_keep_pace(struct apikeys_key *key)
{
	int64_t now = clock_mono_ms(), step = key->rate > 0 ? APIKEYS_MINUTE_MS / key->rate : 0;

	if (key->due_ms < now)
		key->due_ms = now;
	if (key->due_ms - now > APIKEYS_MINUTE_MS - step)
		return false;
	key->due_ms += step;
	return true;
}

static enum apikeys_verdict apikeys_judge_key(struct apikeys_key *key, uint64_t bytes)
{
	uint64_t taken = key->used + key->promised;

	if (key->expires != 0 && key->expires <= clock_wall())
		return APIKEYS_WRONG;
	if (bytes == 0)
		return APIKEYS_OK;
	if (key->budget != 0 && (taken > key->budget || bytes > key->budget - taken))
		return APIKEYS_SPENT;
	return apikeys_keep_pace(key) ? APIKEYS_OK : APIKEYS_FAST;
}

enum apikeys_verdict apikeys_judge(struct apikeys *apikeys, const char *authorization, bool is_local, uint64_t bytes,
	char name[65])
{
	uint8_t hash[32];

	name[0] = '\0';
	if (apikeys->count == 0)
		return is_local && !apikeys->is_selling ? APIKEYS_OK : APIKEYS_WRONG;
	if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
		return APIKEYS_WRONG;
	/* What is compared are hashes: how long that takes tells nobody a key. */
	sha256(hash, authorization + 7, strlen(authorization + 7));
	for (size_t i = 0; i < apikeys->count; i++) {
		if (memcmp(apikeys->keys[i].hash, hash, 32) != 0)
			continue;
		snprintf(name, 65, "%s", apikeys->keys[i].name);
		return apikeys_judge_key(&apikeys->keys[i], bytes);
	}
	return APIKEYS_WRONG;
}

void apikeys_promise(struct apikeys *apikeys, const char *name, uint64_t bytes)
{
	struct apikeys_key *key = apikeys_find(apikeys, name);

	if (key != NULL)
		key->promised += bytes;
}

/* Another key may have the name by now, which was promised less. */
void apikeys_charge(struct apikeys *apikeys, const char *name, uint64_t promised, uint64_t used)
{
	struct apikeys_key *key = apikeys_find(apikeys, name);

	if (key == NULL)
		return;
	key->promised -= promised < key->promised ? promised : key->promised;
	key->used += used;
	apikeys_write_in(apikeys, APIKEYS_WRITE_S);
}

/* ---- Calls ---- */

static const struct rpc_arg createapikey_args[] = {
	{ .name = "name", .type = RPC_TEXT, .max = 64, .help = "Whose it is, for you; another than all there are." },
	{ .name = "budget",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = INT64_MAX,
		.help = "Bytes of prompts and texts that it is good for; 0: no limit." },
	{ .name = "days",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = 36500,
		.help = "How long it is good for; 0: until it is revoked." },
	{ .name = "rate",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = APIKEYS_MINUTE_MS,
		.help = "Requests a minute that it is good for; 0: no limit." },
	{ 0 },
};

static enum rpc_outcome call_createapikey(struct rpc_request *request, void *context)
{
	struct apikeys *apikeys = context;
	struct apikeys_key *key = &apikeys->keys[apikeys->count];
	const char *name = rpc_text(request, "name");
	char text[sizeof APIKEYS_PREFIX + 64] = APIKEYS_PREFIX;
	uint8_t secret[32];
	struct errmsg err;
	json_t *shown;

	if (apikeys->count == APIKEYS_MAX)
		return rpc_fail(request, RPC_MISC_ERROR, "There are %d keys already", APIKEYS_MAX);
	if (name[0] == '\0' || apikeys_find(apikeys, name) != NULL)
		return rpc_fail(request, RPC_INVALID_PARAMETER, "name is empty, or another key has it");
	*key = (struct apikeys_key){ .budget = (uint64_t)rpc_int(request, "budget") };
	snprintf(key->name, sizeof key->name, "%s", name);
	key->rate = rpc_int(request, "rate");
	key->expires = rpc_int(request, "days") > 0 ? clock_wall() + rpc_int(request, "days") * 86400 : 0;
	random_bytes(secret, sizeof secret);
	hex_encode(text + strlen(APIKEYS_PREFIX), secret, sizeof secret);
	sha256(key->hash, text, strlen(text));
	apikeys->count++;
	if (!apikeys_write(apikeys, &err)) {
		apikeys->count--;
		return rpc_fail(request, RPC_MISC_ERROR, "%s", err.text);
	}
	shown = apikeys_show(key);
	json_object_set_new(shown, "key", json_string(text));
	wipe(secret, sizeof secret);
	wipe(text, sizeof text);
	return rpc_reply(request, shown);
}

static enum rpc_outcome call_listapikeys(struct rpc_request *request, void *context)
{
	const struct apikeys *apikeys = context;
	json_t *list = json_array();

	for (size_t i = 0; i < apikeys->count; i++)
		json_array_append_new(list, apikeys_show(&apikeys->keys[i]));
	return rpc_reply(request, list);
}

static const struct rpc_arg revokeapikey_args[] = {
	{ .name = "name", .type = RPC_TEXT, .max = 64, .help = "As it was given to createapikey." },
	{ 0 },
};

static enum rpc_outcome call_revokeapikey(struct rpc_request *request, void *context)
{
	struct apikeys *apikeys = context;
	struct apikeys_key *key = apikeys_find(apikeys, rpc_text(request, "name"));
	struct errmsg err;

	if (key == NULL)
		return rpc_fail(request, RPC_INVALID_PARAMETER, "There is no key of this name");
	*key = apikeys->keys[--apikeys->count];
	if (!apikeys_write(apikeys, &err)) {
		apikeys_write_in(apikeys, APIKEYS_RETRY_S);
		return rpc_fail(request, RPC_MISC_ERROR,
			"The key is revoked, but is there again if this node ends before that can be written: %s",
			err.text);
	}
	return rpc_reply(request, NULL);
}

static const struct rpc_method apikeys_methods[] = {
	{ "createapikey", "Control", call_createapikey, createapikey_args,
		"Makes a key with which programs may have texts written at /v1/. The first one made shuts the door for "
		"those who have none. The key itself is told this once.",
		"{\"name\": \"text\", \"expires\": n, \"budget\": n, \"used\": n, \"rate\": n, \"key\": \"text\"}",
		"\"friend\" 1000000 30", RPC_EARLY },
	{ "listapikeys", "Control", call_listapikeys, NULL, "Lists the keys of the API, without the keys themselves.",
		"[{\"name\": \"text\", \"expires\": n, \"budget\": n, \"used\": n, \"rate\": n}, ...]", "", RPC_EARLY },
	{ "revokeapikey", "Control", call_revokeapikey, revokeapikey_args,
		"Makes a key worthless. When the last one is gone, programs on this machine need none again, unless "
		"texts are sold (-price).",
		NULL, "\"friend\"", RPC_EARLY },
};

struct apikeys *apikeys_new(struct event_base *base, struct rpc_table *table, const char *path, bool is_selling,
	struct errmsg *err)
{
	struct apikeys *apikeys = mem_calloc(1, sizeof *apikeys);

	apikeys->is_selling = is_selling;
	apikeys->path = mem_strdup(path);
	apikeys->keys = mem_calloc(APIKEYS_MAX, sizeof *apikeys->keys);
	apikeys->write = mem_check(evtimer_new(base, apikeys_on_write, apikeys));
	if (apikeys_read(apikeys, err)) {
		rpc_table_add(table, apikeys_methods, sizeof apikeys_methods / sizeof *apikeys_methods, apikeys);
		return apikeys;
	}
	apikeys->count = 0;
	apikeys_free(apikeys);
	return NULL;
}

void apikeys_free(struct apikeys *apikeys)
{
	if (apikeys == NULL)
		return;
	if (event_pending(apikeys->write, EV_TIMEOUT, NULL))
		apikeys_on_write(-1, 0, apikeys);
	event_free(apikeys->write);
	free(apikeys->path);
	free(apikeys->keys);
	free(apikeys);
}
