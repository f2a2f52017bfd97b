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
#define TABLE_GROUPS_MAX 32

/* Methods that share a context. */
struct table_group {
	const struct rpc_method *methods;
	size_t count;
	void *context;
};

struct rpc_table {
	struct table_group groups[TABLE_GROUPS_MAX];
	size_t group_count;
	char *warmup;
	int64_t started; /* clock_mono_ms */
};

/* One text from a client: a call alone, or a batch. Lives until all its requests are answered. */
struct rpc_call {
	struct rpc_table *table;
	char *wallet;
	bool is_batch;
	int status;
	struct buf *answers; /* one a request; empty for a notification */
	size_t count, open;  /* open: requests not answered yet, plus one while they are being started */
	rpc_sent *sent;
	void *sent_context;
	rpc_answered *answered;
	rpc_called *called; /* not NULL: it came from within, and nothing is printed */
	void *context;
};

struct rpc_request {
	struct rpc_call *call;
	struct buf *answer;
	const struct rpc_method *method; /* NULL until it is found */
	struct bound bound;
	json_t *id; /* owned; NULL: none was given */
	bool is_v2;
};

/* --- the table --- */

static enum rpc_outcome table_help(struct rpc_request *request, void *context);
static enum rpc_outcome table_uptime(struct rpc_request *request, void *context);

static const struct rpc_arg table_help_args[] = {
	{ .name = "command", .type = RPC_TEXT, .optional = true, .help = "The call to explain." },
	{ 0 },
};

static const struct rpc_method table_methods[] = {
	{ "help", "Control", table_help, table_help_args, "Lists all calls, or explains one.",
		"\"text\"    (string) The help", "getblock", RPC_EARLY },
	{ "uptime", "Control", table_uptime, NULL, "Tells for how long the node has been running.",
		"n    (integer) Seconds since the start", "", RPC_EARLY },
};

struct rpc_table *rpc_table_new(void)
{
	struct rpc_table *table = mem_calloc(1, sizeof *table);

	table->started = clock_mono_ms();
	rpc_table_add(table, table_methods, sizeof table_methods / sizeof table_methods[0], table);
	return table;
}

void rpc_table_free(struct rpc_table *table)
{
	if (table == NULL)
		return;
	free(table->warmup);
	free(table);
}

void rpc_table_add(struct rpc_table *table, const struct rpc_method *methods, size_t count, void *group_context)
{
	if (table->group_count == TABLE_GROUPS_MAX) {
		fprintf(stderr, "More than %d groups of RPC methods\n", TABLE_GROUPS_MAX);
		abort();
	}
	for (size_t i = 0; i < count; i++) {
		if (bind_count(&methods[i]) > RPC_ARGS_MAX) {
			fprintf(stderr, "The RPC method %s has more than %d arguments\n", methods[i].name,
				RPC_ARGS_MAX);
			abort();
		}
	}
	table->groups[table->group_count++] = (struct table_group){ methods, count, group_context };
}

void rpc_table_set_warmup(struct rpc_table *table, const char *what)
{
	char *warmup = what != NULL ? mem_strdup(what) : NULL;

	free(table->warmup);
	table->warmup = warmup;
}

/* By walking: all names are compared sooner than the text that holds one is parsed. */
static const struct rpc_method *table_find_method(const struct rpc_table *table, const char *name, void **context)
{
	for (size_t group = 0; group < table->group_count; group++) {
		for (size_t i = 0; i < table->groups[group].count; i++) {
			if (strcmp(table->groups[group].methods[i].name, name) == 0) {
				*context = table->groups[group].context;
				return &table->groups[group].methods[i];
			}
		}
	}
	return NULL;
}

/* --- answering --- */

static void rpc_call_free(struct rpc_call *call)
{
	for (size_t i = 0; i < call->count; i++)
		buf_clear(&call->answers[i]);
	free(call->answers);
	free(call->wallet);
	free(call);
}

static void rpc_call_send(struct rpc_call *call)
{
	struct rpc_answer answer = { call->status, { 0 }, call->sent, call->sent_context };
	const char *separator = "";
	/* An empty batch is answered with an empty one, as by Bitcoin Core; a batch of notifications alone with
	 * nothing. */
	bool any = call->is_batch && call->count == 0;

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
}

/* One request less; the last one sends everything. */
static void rpc_call_close(struct rpc_call *call)
{
	if (--call->open)
		return;
	if (call->called == NULL)
		rpc_call_send(call);
	rpc_call_free(call);
}

static void table_print_member(const char *name, const json_t *value, struct buf *answer)
{
	buf_put_text(answer, name);
	if (value != NULL)
		json_print(value, 0, answer);
	else
		buf_put_text(answer, "null");
}

/* Bitcoin Core's legacy form: a client of JSON-RPC 1.0 learns from HTTP that its call failed. With 2.0 the call got
 * through to us, so it is 200 whatever came of it. */
static int table_status_of(const struct rpc_request *request, enum rpc_code code)
{
	if (request->is_v2)
		return 200;
	return code == RPC_INVALID_REQUEST ? 400 : code == RPC_METHOD_NOT_FOUND ? 404 : 500;
}

/* Writes the answer and ends the request. result and error are borrowed; one of them is NULL, or both. */
static enum rpc_outcome table_answer_request(struct rpc_request *request, const json_t *result, const json_t *error)
{
	struct rpc_call *call = request->call;

	/* Only 2.0 has notifications: there a request without an id gets no answer. Before it, the id is null and
	 * answered. */
	if (call->called != NULL) {
		call->called(call->context, result, error);
	} else if (request->id != NULL || !request->is_v2) {
		if (request->is_v2)
			table_print_member(error != NULL ? "{\"jsonrpc\":\"2.0\",\"error\":" :
							   "{\"jsonrpc\":\"2.0\",\"result\":",
				error != NULL ? error : result, request->answer);
		else
			table_print_member("{\"result\":", result, request->answer);
		if (!request->is_v2)
			table_print_member(",\"error\":", error, request->answer);
		table_print_member(",\"id\":", request->id, request->answer);
		buf_put_u8(request->answer, '}');
	}
	/* All that the handler borrowed goes here, and with the last answer of a batch the call itself. Who started
	 * this request holds one of `open`, and touches neither again. */
	bind_clear(&request->bound);
	json_decref(request->id);
	free(request);
	rpc_call_close(call);
	return RPC_DONE;
}

enum rpc_outcome rpc_reply(struct rpc_request *request, json_t *result)
{
	table_answer_request(request, result, NULL);
	json_decref(result);
	return RPC_DONE;
}

static enum rpc_outcome table_fail(struct rpc_request *request, enum rpc_code code, const char *text)
{
	json_t *error = json_object();

	json_object_set_new(error, "code", json_integer(code));
	json_object_set_new(error, "message", json_text(text, strlen(text)));
	/* What is no request is no notification either. */
	if (code == RPC_INVALID_REQUEST && request->id == NULL)
		request->id = json_null();
	/* In a batch some calls may do well and others not, so that no one's code can stand for all: 200. */
	if (!request->call->is_batch)
		request->call->status = table_status_of(request, code);
	table_answer_request(request, NULL, error);
	json_decref(error);
	return RPC_DONE;
}

enum rpc_outcome rpc_fail(struct rpc_request *request, enum rpc_code code, const char *format, ...)
{
	/* Cut if longer: reasons quote what strangers wrote. */
	char failure[1024];
	va_list failure_args;

	va_start(failure_args, format);
	vsnprintf(failure, sizeof failure, format, failure_args);
	va_end(failure_args);
	return table_fail(request, code, failure);
}

enum rpc_outcome rpc_fail_with(struct rpc_request *request, const struct rpc_error *error)
{
	return table_fail(request, error->code, error->message.text);
}

/* One for the whole call: in a batch the last one counts. */
void rpc_on_sent(struct rpc_request *request, rpc_sent *sent, void *context)
{
	request->call->sent = sent;
	request->call->sent_context = context;
}

const char *rpc_wallet(const struct rpc_request *request)
{
	return request->call->wallet;
}

/* --- calling --- */

static enum rpc_outcome table_run_request(struct rpc_request *request, const char *name, json_t *params)
{
	const struct rpc_table *table = request->call->table;
	struct rpc_error error;
	void *context = NULL;
	char *usage;

	/* While the node starts no name is known to be wrong: most calls are not in the table yet. */
	request->method = table_find_method(table, name, &context);
	if (table->warmup != NULL && !(request->method != NULL && request->method->flags & RPC_EARLY))
		return rpc_fail(request, RPC_IN_WARMUP, "%s", table->warmup);
	if (request->method == NULL)
		return rpc_fail(request, RPC_METHOD_NOT_FOUND, "Method not found");
	/* The name alone: parameters may hold passphrases, and logs are passed around. Not a name that is in no table
	 * either, which would let whoever has credentials write lines of his own. */
	log_debug(LOG_RPC, "method=%s", request->method->name);
	switch (bind_params(&request->bound, request->method, params, &error)) {
	case BIND_OK:
		break;
	case BIND_WRONG:
		return rpc_fail_with(request, &error);
	case BIND_USAGE:
		usage = help_method(request->method);
		table_fail(request, RPC_MISC_ERROR, usage);
		free(usage);
		return RPC_DONE;
	}
	return request->method->handler(request, context);
}

/* As by Bitcoin Core, no version and "1.0" mean the old form; here "1.1" does too. Of any other the rules for errors
 * and notifications are not known, and it is refused. */
static bool table_read_version(struct rpc_request *request, const json_t *request_json)
{
	const json_t *version = json_object_get(request_json, "jsonrpc");

	if (version == NULL)
		return true;
	if (!json_is_text(version))
		return false;
	request->is_v2 = strcmp(json_string_value(version), "2.0") == 0;
	return request->is_v2 || strcmp(json_string_value(version), "1.0") == 0 ||
		strcmp(json_string_value(version), "1.1") == 0;
}

/* Reads one request and runs it; whatever is wrong with it is its answer. */
static void table_start_request(struct rpc_call *call, size_t index, json_t *request_json)
{
	struct rpc_request *request = mem_calloc(1, sizeof *request);
	json_t *id = json_object_get(request_json, "id"), *params = json_object_get(request_json, "params");
	const json_t *method = json_object_get(request_json, "method");
	bool version_known;

	call->open++;
	request->call = call;
	request->answer = &call->answers[index];
	version_known = table_read_version(request, request_json);
	if (id == NULL || json_is_string(id) || json_is_any_number(id) || json_is_null(id))
		request->id = json_incref(id);
	if (!json_is_object(request_json))
		rpc_fail(request, RPC_INVALID_REQUEST, "Invalid Request object");
	else if (!version_known)
		rpc_fail(request, RPC_INVALID_REQUEST, "JSON-RPC version not supported");
	else if (id != NULL && request->id == NULL)
		rpc_fail(request, RPC_INVALID_REQUEST, "The id must be a string, a number or null");
	else if (method == NULL)
		rpc_fail(request, RPC_INVALID_REQUEST, "Missing method");
	else if (!json_is_text(method))
		rpc_fail(request, RPC_INVALID_REQUEST, "Method must be a string");
	else if (params != NULL && !json_is_array(params) && !json_is_object(params) && !json_is_null(params))
		rpc_fail(request, RPC_INVALID_REQUEST, "Params must be an array or object");
	else
		table_run_request(request, json_string_value(method), params);
}

/* What cannot even be told apart into requests is answered as one request without an id. */
static void table_refuse_call(struct rpc_call *call, enum rpc_code code, const char *what)
{
	struct rpc_request *request = mem_calloc(1, sizeof *request);

	call->is_batch = false;
	call->count = 1;
	call->answers = mem_calloc(1, sizeof *call->answers);
	call->open++;
	request->call = call;
	request->answer = &call->answers[0];
	rpc_fail(request, code, "%s", what);
}

static void table_start_all(struct rpc_call *call, json_t *call_json)
{
	size_t count = json_is_array(call_json) ? json_array_size(call_json) : 1;

	if (!json_is_array(call_json) && !json_is_object(call_json)) {
		table_refuse_call(call, RPC_PARSE_ERROR, "Top-level object parse error");
		return;
	}
	/* Each call of a batch has its own answer in memory until the last is there. */
	if (count > RPC_BATCH_MAX) {
		table_refuse_call(call, RPC_INVALID_REQUEST, "Too many calls in a batch");
		return;
	}
	call->is_batch = json_is_array(call_json);
	call->count = count;
	call->answers = mem_calloc(count, sizeof *call->answers);
	for (size_t i = 0; i < count; i++)
		table_start_request(call, i, call->is_batch ? json_array_get(call_json, i) : call_json);
}

void rpc_table_execute(struct rpc_table *table, const char *text, size_t size, const char *wallet,
	rpc_answered *answered, void *context)
{
	struct rpc_call *call = mem_calloc(1, sizeof *call);
	struct errmsg err;
	json_t *call_json = json_parse(text, size, &err);

	call->table = table;
	call->wallet = wallet != NULL ? mem_strdup(wallet) : NULL;
	call->status = 200;
	call->answered = answered;
	call->context = context;
	/* One more than there are requests, until all are started: those that are answered at once must not end it. */
	call->open = 1;
	if (call_json != NULL) {
		table_start_all(call, call_json);
		json_decref(call_json);
	} else {
		char parse_error[sizeof err.text + 16];

		snprintf(parse_error, sizeof parse_error, "Parse error: %s", err.text);
		table_refuse_call(call, RPC_PARSE_ERROR, parse_error);
	}
	rpc_call_close(call);
}

void rpc_table_call(struct rpc_table *table, const char *method, json_t *params, const char *wallet, rpc_called *called,
	void *context)
{
	struct rpc_call *call = mem_calloc(1, sizeof *call);
	struct rpc_request *request = mem_calloc(1, sizeof *request);

	*call = (struct rpc_call){ .table = table, .open = 1, .called = called, .context = context };
	call->wallet = wallet != NULL ? mem_strdup(wallet) : NULL;
	request->call = call;
	table_run_request(request, method, params);
}

/* --- arguments --- */

static json_t *table_value_of(const struct rpc_request *request, const char *name, const struct rpc_arg **arg)
{
	for (size_t arg_index = 0; request->method->args != NULL && request->method->args[arg_index].name != NULL;
		arg_index++) {
		if (strcmp(request->method->args[arg_index].name, name) == 0) {
			*arg = &request->method->args[arg_index];
			return request->bound.values[arg_index];
		}
	}
	/* A handler that asks for what its table does not have would fail in some call years later: it fails in the
	 * first. */
	fprintf(stderr, "The RPC method %s has no argument %s\n", request->method->name, name);
	abort();
}

/* The argument's value; it must have one of the types of the bits in `types`. */
static json_t *table_typed_value(const struct rpc_request *request, const char *name, unsigned types)
{
	const struct rpc_arg *arg;
	json_t *bound_value = table_value_of(request, name, &arg);

	if (!(types & 1u << arg->type)) {
		fprintf(stderr, "The argument %s of %s has another type\n", name, request->method->name);
		abort();
	}
	return bound_value;
}

bool rpc_has(const struct rpc_request *request, const char *name)
{
	const struct rpc_arg *arg;

	return table_value_of(request, name, &arg) != NULL;
}

const char *rpc_text(const struct rpc_request *request, const char *name)
{
	return json_string_value(table_typed_value(request, name, 1u << RPC_TEXT));
}

const char *rpc_bytes(const struct rpc_request *request, const char *name, size_t *size)
{
	const json_t *bound_value = table_typed_value(request, name, 1u << RPC_BYTES);

	*size = json_string_length(bound_value);
	return json_string_value(bound_value);
}

uint64_t rpc_u64(const struct rpc_request *request, const char *name)
{
	json_t *bound_value = table_typed_value(request, name, 1u << RPC_U64);
	uint64_t u64 = 0;

	if (bound_value != NULL)
		convert_u64(bound_value, name, &u64, NULL);
	return u64;
}

/* An argument that was left out reads as 0, in the other getters as NULL or false: rpc_has tells which. */
int64_t rpc_int(const struct rpc_request *request, const char *name)
{
	return json_integer_value(table_typed_value(request, name,
		1u << RPC_INT | 1u << RPC_VERBOSITY | 1u << RPC_AMOUNT | 1u << RPC_DECIMAL));
}

bool rpc_bool(const struct rpc_request *request, const char *name)
{
	return json_is_true(table_typed_value(request, name, 1u << RPC_BOOL));
}

void rpc_hash(const struct rpc_request *request, const char *name, uint8_t hash[32])
{
	json_t *bound_value = table_typed_value(request, name, 1u << RPC_HASH);

	memset(hash, 0, 32);
	if (bound_value != NULL)
		convert_hash(bound_value, name, hash, NULL);
}

void rpc_key(const struct rpc_request *request, const char *name, uint8_t key[32])
{
	json_t *bound_value = table_typed_value(request, name, 1u << RPC_KEY);

	memset(key, 0, 32);
	if (bound_value != NULL)
		convert_key(bound_value, name, key, NULL);
}

void rpc_hex(const struct rpc_request *request, const char *name, struct buf *out)
{
	json_t *bound_value = table_typed_value(request, name, 1u << RPC_HEX);

	if (bound_value != NULL)
		convert_hex(bound_value, name, SIZE_MAX, out, NULL);
}

json_t *rpc_json(const struct rpc_request *request, const char *name)
{
	return table_typed_value(request, name, 1u << RPC_ARRAY | 1u << RPC_OBJECT | 1u << RPC_ANY);
}

/* --- the methods of every table --- */

static void table_list_category(const struct rpc_table *table, const char *category, struct buf *listing)
{
	buf_put_text(listing, listing->size ? "\n== " : "== ");
	buf_put_text(listing, category);
	buf_put_text(listing, " ==\n");
	for (size_t group = 0; group < table->group_count; group++) {
		for (size_t i = 0; i < table->groups[group].count; i++) {
			const struct rpc_method *method = &table->groups[group].methods[i];

			if (method->flags & RPC_HIDDEN || strcmp(method->category, category) != 0)
				continue;
			help_line(method, listing);
			buf_put_u8(listing, '\n');
		}
	}
}

/* All calls, under their categories in the order in which these first came. */
static char *table_list_all(const struct rpc_table *table)
{
	/* Used as a set; its order is not: the tables' own order decides. */
	json_t *seen_categories = json_object();
	struct buf listing;

	buf_init(&listing);
	for (size_t group = 0; group < table->group_count; group++) {
		for (size_t i = 0; i < table->groups[group].count; i++) {
			const struct rpc_method *method = &table->groups[group].methods[i];

			if (method->flags & RPC_HIDDEN || json_object_get(seen_categories, method->category) != NULL)
				continue;
			json_object_set_new(seen_categories, method->category, json_true());
			table_list_category(table, method->category, &listing);
		}
	}
	json_decref(seen_categories);
	return buf_take_text(&listing);
}

static enum rpc_outcome table_help(struct rpc_request *request, void *context)
{
	const char *command = rpc_text(request, "command");
	const struct rpc_method *method;
	void *unused;
	char *help_text;
	json_t *result;

	if (command == NULL) {
		help_text = table_list_all(context);
	} else {
		method = table_find_method(context, command, &unused);
		if (method == NULL)
			return rpc_fail(request, RPC_METHOD_NOT_FOUND, "help: unknown command: %s", command);
		help_text = help_method(method);
	}
	result = json_text(help_text, strlen(help_text));
	free(help_text);
	return rpc_reply(request, result);
}

static enum rpc_outcome table_uptime(struct rpc_request *request, void *context)
{
	const struct rpc_table *table = context;

	return rpc_reply(request, json_integer((clock_mono_ms() - table->started) / 1000));
}
