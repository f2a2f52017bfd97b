/* A text's way: calls and batches, methods, answers put together again. */
#include "rpc/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/bind.h"
#include "rpc/help.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

/* Each topic adds one when the node starts: there are not so many. */
#define GROUPS_MAX 32

/* Methods that share a context. */
struct method_group {
	const struct rpc_method *methods;
	size_t count;
	void *context;
};

struct rpc_table {
	struct method_group groups[GROUPS_MAX];
	size_t group_count;
	char *warmup;
	int64_t started; /* clock_mono_ms */
};

/* One text from a client: a call alone, or a batch. Lives until all its requests are answered. */
struct call {
	struct rpc_table *table;
	char *wallet;
	bool is_batch;
	int status;
	struct buf *answers; /* one a request; empty for a notification */
	size_t count, open;  /* open: requests not answered yet, plus one while they are being started */
	rpc_sent *sent;
	void *sent_context;
	rpc_answered *answered;
	void *context;
};

struct rpc_request {
	struct call *call;
	struct buf *answer;
	const struct rpc_method *method; /* NULL until it is found */
	struct bound bound;
	json_t *id; /* owned; NULL: none was given */
	bool is_v2;
};

/* --- the table --- */

static enum rpc_outcome call_help(struct rpc_request *r, void *context);
static enum rpc_outcome call_uptime(struct rpc_request *r, void *context);

static const struct rpc_arg help_args[] = {
	{ .name = "command", .type = RPC_TEXT, .optional = true, .help = "The call to explain." },
	{ 0 },
};

static const struct rpc_method own_methods[] = {
	{ "help", "Control", call_help, help_args, "Lists all calls, or explains one.", "\"text\"    (string) The help",
		"getblock", RPC_EARLY },
	{ "uptime", "Control", call_uptime, NULL, "Tells for how long the node has been running.",
		"n    (integer) Seconds since the start", "", RPC_EARLY },
};

struct rpc_table *rpc_table_new(void)
{
	struct rpc_table *table = mem_calloc(1, sizeof *table);

	table->started = clock_mono_ms();
	rpc_table_add(table, own_methods, sizeof own_methods / sizeof own_methods[0], table);
	return table;
}

void rpc_table_free(struct rpc_table *table)
{
	if (table == NULL)
		return;
	free(table->warmup);
	free(table);
}

void rpc_table_add(struct rpc_table *table, const struct rpc_method *methods, size_t count, void *context)
{
	if (table->group_count == GROUPS_MAX) {
		fprintf(stderr, "More than %d groups of RPC methods\n", GROUPS_MAX);
		abort();
	}
	for (size_t i = 0; i < count; i++) {
		if (bind_count(&methods[i]) > RPC_ARGS_MAX) {
			fprintf(stderr, "The RPC method %s has more than %d arguments\n", methods[i].name,
				RPC_ARGS_MAX);
			abort();
		}
	}
	table->groups[table->group_count++] = (struct method_group){ methods, count, context };
}

void rpc_table_set_warmup(struct rpc_table *table, const char *what)
{
	char *copy = what != NULL ? mem_strdup(what) : NULL;

	free(table->warmup);
	table->warmup = copy;
}

/* By walking: all names are compared sooner than the text that holds one is parsed. */
static const struct rpc_method *find_method(const struct rpc_table *table, const char *name, void **context)
{
	for (size_t g = 0; g < table->group_count; g++) {
		for (size_t i = 0; i < table->groups[g].count; i++) {
			if (strcmp(table->groups[g].methods[i].name, name) == 0) {
				*context = table->groups[g].context;
				return &table->groups[g].methods[i];
			}
		}
	}
	return NULL;
}

/* --- answering --- */

static void call_free(struct call *call)
{
	for (size_t i = 0; i < call->count; i++)
		buf_clear(&call->answers[i]);
	free(call->answers);
	free(call->wallet);
	free(call);
}

/* One request less; the last one sends everything. */
static void call_close(struct call *call)
{
	struct rpc_answer answer = { call->status, { 0 }, call->sent, call->sent_context };
	const char *separator = "";
	/* An empty batch is answered with an empty one, as by Bitcoin Core; a batch of notifications alone with
	 * nothing. */
	bool any = call->is_batch && call->count == 0;

	if (--call->open)
		return;
	for (size_t i = 0; i < call->count; i++)
		any = any || call->answers[i].size;
	/* In the order of the requests, whichever was answered first: each has a place of its own. */
	if (any && call->is_batch)
		buf_put_u8(&answer.body, '[');
	for (size_t i = 0; i < call->count; i++) {
		if (call->answers[i].size == 0)
			continue;
		buf_put_text(&answer.body, separator);
		buf_put(&answer.body, call->answers[i].data, call->answers[i].size);
		buf_clear(&call->answers[i]);
		separator = ",";
	}
	if (any)
		buf_put_text(&answer.body, call->is_batch ? "]\n" : "\n");
	else
		answer.status = 204;
	call->answered(call->context, &answer);
	call_free(call);
}

static void print_member(const char *name, const json_t *value, struct buf *out)
{
	buf_put_text(out, name);
	if (value != NULL)
		json_print(value, 0, out);
	else
		buf_put_text(out, "null");
}

/* Bitcoin Core's legacy form: a client of JSON-RPC 1.0 learns from HTTP that its call failed. With 2.0 the call got
 * through to us, so it is 200 whatever came of it. */
static int status_of(const struct rpc_request *r, enum rpc_code code)
{
	if (r->is_v2)
		return 200;
	return code == RPC_INVALID_REQUEST ? 400 : code == RPC_METHOD_NOT_FOUND ? 404 : 500;
}

/* Writes the answer and ends the request. result and error are borrowed; one of them is NULL, or both. */
static enum rpc_outcome answer_request(struct rpc_request *r, const json_t *result, const json_t *error)
{
	struct call *call = r->call;

	/* Only 2.0 has notifications: there a request without an id gets no answer. Before it, the id is null and
	 * answered. */
	if (r->id != NULL || !r->is_v2) {
		if (r->is_v2)
			print_member(error != NULL ? "{\"jsonrpc\":\"2.0\",\"error\":" :
						     "{\"jsonrpc\":\"2.0\",\"result\":",
				error != NULL ? error : result, r->answer);
		else
			print_member("{\"result\":", result, r->answer);
		if (!r->is_v2)
			print_member(",\"error\":", error, r->answer);
		print_member(",\"id\":", r->id, r->answer);
		buf_put_u8(r->answer, '}');
	}
	/* All that the handler borrowed goes here, and with the last answer of a batch the call itself. Who started
	 * this request holds one of `open`, and touches neither again. */
	bind_clear(&r->bound);
	json_decref(r->id);
	free(r);
	call_close(call);
	return RPC_DONE;
}

enum rpc_outcome rpc_reply(struct rpc_request *r, json_t *result)
{
	answer_request(r, result, NULL);
	json_decref(result);
	return RPC_DONE;
}

static enum rpc_outcome fail_text(struct rpc_request *r, enum rpc_code code, const char *text)
{
	json_t *error = json_object();

	json_object_set_new(error, "code", json_integer(code));
	json_object_set_new(error, "message", json_text(text, strlen(text)));
	/* What is no request is no notification either. */
	if (code == RPC_INVALID_REQUEST && r->id == NULL)
		r->id = json_null();
	/* In a batch some calls may do well and others not, so that no one's code can stand for all: 200. */
	if (!r->call->is_batch)
		r->call->status = status_of(r, code);
	answer_request(r, NULL, error);
	json_decref(error);
	return RPC_DONE;
}

enum rpc_outcome rpc_fail(struct rpc_request *r, enum rpc_code code, const char *format, ...)
{
	/* Cut if longer: reasons quote what strangers wrote. */
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return fail_text(r, code, text);
}

enum rpc_outcome rpc_fail_with(struct rpc_request *r, const struct rpc_error *error)
{
	return fail_text(r, error->code, error->message.text);
}

/* One for the whole call: in a batch the last one counts. */
void rpc_on_sent(struct rpc_request *r, rpc_sent *sent, void *context)
{
	r->call->sent = sent;
	r->call->sent_context = context;
}

const char *rpc_wallet(const struct rpc_request *r)
{
	return r->call->wallet;
}

/* --- calling --- */

static enum rpc_outcome run_request(struct rpc_request *r, const char *name, json_t *params)
{
	const struct rpc_table *table = r->call->table;
	struct rpc_error error;
	void *context = NULL;
	char *usage;

	/* While the node starts no name is known to be wrong: most calls are not in the table yet. */
	r->method = find_method(table, name, &context);
	if (table->warmup != NULL && !(r->method != NULL && r->method->flags & RPC_EARLY))
		return rpc_fail(r, RPC_IN_WARMUP, "%s", table->warmup);
	if (r->method == NULL)
		return rpc_fail(r, RPC_METHOD_NOT_FOUND, "Method not found");
	/* The name alone: parameters may hold passphrases, and logs are passed around. Not a name that is in no table
	 * either, which would let whoever has credentials write lines of his own. */
	log_debug(LOG_RPC, "method=%s", r->method->name);
	switch (bind_params(&r->bound, r->method, params, &error)) {
	case BIND_OK:
		break;
	case BIND_WRONG:
		return rpc_fail_with(r, &error);
	case BIND_USAGE:
		usage = help_method(r->method);
		fail_text(r, RPC_MISC_ERROR, usage);
		free(usage);
		return RPC_DONE;
	}
	return r->method->handler(r, context);
}

/* As by Bitcoin Core, no version and "1.0" mean the old form; here "1.1" does too. Of any other the rules for errors
 * and notifications are not known, and it is refused. */
static bool read_version(struct rpc_request *r, const json_t *request)
{
	const json_t *version = json_object_get(request, "jsonrpc");

	if (version == NULL)
		return true;
	if (!json_is_text(version))
		return false;
	r->is_v2 = strcmp(json_string_value(version), "2.0") == 0;
	return r->is_v2 || strcmp(json_string_value(version), "1.0") == 0 ||
		strcmp(json_string_value(version), "1.1") == 0;
}

/* Reads one request and runs it; whatever is wrong with it is its answer. */
static void start_request(struct call *call, size_t index, json_t *request)
{
	struct rpc_request *r = mem_calloc(1, sizeof *r);
	json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
	const json_t *method = json_object_get(request, "method");
	bool version_known;

	call->open++;
	r->call = call;
	r->answer = &call->answers[index];
	version_known = read_version(r, request);
	if (id == NULL || json_is_string(id) || json_is_any_number(id) || json_is_null(id))
		r->id = json_incref(id);
	if (!json_is_object(request))
		rpc_fail(r, RPC_INVALID_REQUEST, "Invalid Request object");
	else if (!version_known)
		rpc_fail(r, RPC_INVALID_REQUEST, "JSON-RPC version not supported");
	else if (id != NULL && r->id == NULL)
		rpc_fail(r, RPC_INVALID_REQUEST, "The id must be a string, a number or null");
	else if (method == NULL)
		rpc_fail(r, RPC_INVALID_REQUEST, "Missing method");
	else if (!json_is_text(method))
		rpc_fail(r, RPC_INVALID_REQUEST, "Method must be a string");
	else if (params != NULL && !json_is_array(params) && !json_is_object(params) && !json_is_null(params))
		rpc_fail(r, RPC_INVALID_REQUEST, "Params must be an array or object");
	else
		run_request(r, json_string_value(method), params);
}

/* What cannot even be told apart into requests is answered as one request without an id. */
static void refuse_call(struct call *call, enum rpc_code code, const char *what)
{
	struct rpc_request *r = mem_calloc(1, sizeof *r);

	call->is_batch = false;
	call->count = 1;
	call->answers = mem_calloc(1, sizeof *call->answers);
	call->open++;
	r->call = call;
	r->answer = &call->answers[0];
	rpc_fail(r, code, "%s", what);
}

static void start_all(struct call *call, json_t *json)
{
	size_t count = json_is_array(json) ? json_array_size(json) : 1;

	if (!json_is_array(json) && !json_is_object(json)) {
		refuse_call(call, RPC_PARSE_ERROR, "Top-level object parse error");
		return;
	}
	/* Each call of a batch has its own answer in memory until the last is there. */
	if (count > RPC_BATCH_MAX) {
		refuse_call(call, RPC_INVALID_REQUEST, "Too many calls in a batch");
		return;
	}
	call->is_batch = json_is_array(json);
	call->count = count;
	call->answers = mem_calloc(count, sizeof *call->answers);
	for (size_t i = 0; i < count; i++)
		start_request(call, i, call->is_batch ? json_array_get(json, i) : json);
}

void rpc_table_execute(struct rpc_table *table, const char *text, size_t size, const char *wallet,
	rpc_answered *answered, void *context)
{
	struct call *call = mem_calloc(1, sizeof *call);
	struct errmsg err;
	json_t *json = json_parse(text, size, &err);

	call->table = table;
	call->wallet = wallet != NULL ? mem_strdup(wallet) : NULL;
	call->status = 200;
	call->answered = answered;
	call->context = context;
	/* One more than there are requests, until all are started: those that are answered at once must not end it. */
	call->open = 1;
	if (json != NULL) {
		start_all(call, json);
		json_decref(json);
	} else {
		char what[sizeof err.text + 16];

		snprintf(what, sizeof what, "Parse error: %s", err.text);
		refuse_call(call, RPC_PARSE_ERROR, what);
	}
	call_close(call);
}

/* --- arguments --- */

static json_t *value_of(const struct rpc_request *r, const char *name, const struct rpc_arg **arg)
{
	for (size_t i = 0; r->method->args != NULL && r->method->args[i].name != NULL; i++) {
		if (strcmp(r->method->args[i].name, name) == 0) {
			*arg = &r->method->args[i];
			return r->bound.values[i];
		}
	}
	/* A handler that asks for what its table does not have would fail in some call years later: it fails in the
	 * first. */
	fprintf(stderr, "The RPC method %s has no argument %s\n", r->method->name, name);
	abort();
}

/* The argument's value; it must have one of the types of the bits in `types`. */
static json_t *typed_value(const struct rpc_request *r, const char *name, unsigned types)
{
	const struct rpc_arg *arg;
	json_t *value = value_of(r, name, &arg);

	if (!(types & 1u << arg->type)) {
		fprintf(stderr, "The argument %s of %s has another type\n", name, r->method->name);
		abort();
	}
	return value;
}

bool rpc_has(const struct rpc_request *r, const char *name)
{
	const struct rpc_arg *arg;

	return value_of(r, name, &arg) != NULL;
}

const char *rpc_text(const struct rpc_request *r, const char *name)
{
	return json_string_value(typed_value(r, name, 1u << RPC_TEXT));
}

const char *rpc_bytes(const struct rpc_request *r, const char *name, size_t *size)
{
	const json_t *value = typed_value(r, name, 1u << RPC_BYTES);

	*size = json_string_length(value);
	return json_string_value(value);
}

uint64_t rpc_u64(const struct rpc_request *r, const char *name)
{
	json_t *value = typed_value(r, name, 1u << RPC_U64);
	uint64_t number = 0;

	if (value != NULL)
		convert_u64(value, name, &number, NULL);
	return number;
}

/* An argument that was left out reads as 0, in the other getters as NULL or false: rpc_has tells which. */
int64_t rpc_int(const struct rpc_request *r, const char *name)
{
	return json_integer_value(
		typed_value(r, name, 1u << RPC_INT | 1u << RPC_VERBOSITY | 1u << RPC_AMOUNT | 1u << RPC_DECIMAL));
}

bool rpc_bool(const struct rpc_request *r, const char *name)
{
	return json_is_true(typed_value(r, name, 1u << RPC_BOOL));
}

void rpc_hash(const struct rpc_request *r, const char *name, uint8_t hash[32])
{
	json_t *value = typed_value(r, name, 1u << RPC_HASH);

	memset(hash, 0, 32);
	if (value != NULL)
		convert_hash(value, name, hash, NULL);
}

void rpc_key(const struct rpc_request *r, const char *name, uint8_t key[32])
{
	json_t *value = typed_value(r, name, 1u << RPC_KEY);

	memset(key, 0, 32);
	if (value != NULL)
		convert_key(value, name, key, NULL);
}

void rpc_hex(const struct rpc_request *r, const char *name, struct buf *out)
{
	json_t *value = typed_value(r, name, 1u << RPC_HEX);

	if (value != NULL)
		convert_hex(value, name, SIZE_MAX, out, NULL);
}

json_t *rpc_json(const struct rpc_request *r, const char *name)
{
	return typed_value(r, name, 1u << RPC_ARRAY | 1u << RPC_OBJECT | 1u << RPC_ANY);
}

/* --- the methods of every table --- */

static void list_category(const struct rpc_table *table, const char *category, struct buf *out)
{
	buf_put_text(out, out->size ? "\n== " : "== ");
	buf_put_text(out, category);
	buf_put_text(out, " ==\n");
	for (size_t g = 0; g < table->group_count; g++) {
		for (size_t i = 0; i < table->groups[g].count; i++) {
			const struct rpc_method *method = &table->groups[g].methods[i];

			if (method->flags & RPC_HIDDEN || strcmp(method->category, category) != 0)
				continue;
			help_line(method, out);
			buf_put_u8(out, '\n');
		}
	}
}

/* All calls, under their categories in the order in which these first came. */
static char *list_all(const struct rpc_table *table)
{
	/* Used as a set; its order is not: the tables' own order decides. */
	json_t *seen = json_object();
	struct buf out;

	buf_init(&out);
	for (size_t g = 0; g < table->group_count; g++) {
		for (size_t i = 0; i < table->groups[g].count; i++) {
			const struct rpc_method *method = &table->groups[g].methods[i];

			if (method->flags & RPC_HIDDEN || json_object_get(seen, method->category) != NULL)
				continue;
			json_object_set_new(seen, method->category, json_true());
			list_category(table, method->category, &out);
		}
	}
	json_decref(seen);
	return buf_take_text(&out);
}

static enum rpc_outcome call_help(struct rpc_request *r, void *context)
{
	const char *name = rpc_text(r, "command");
	const struct rpc_method *method;
	void *unused;
	char *text;
	json_t *result;

	if (name == NULL) {
		text = list_all(context);
	} else {
		method = find_method(context, name, &unused);
		if (method == NULL)
			return rpc_fail(r, RPC_METHOD_NOT_FOUND, "help: unknown command: %s", name);
		text = help_method(method);
	}
	result = json_text(text, strlen(text));
	free(text);
	return rpc_reply(r, result);
}

static enum rpc_outcome call_uptime(struct rpc_request *r, void *context)
{
	const struct rpc_table *table = context;

	return rpc_reply(r, json_integer((clock_mono_ms() - table->started) / 1000));
}
