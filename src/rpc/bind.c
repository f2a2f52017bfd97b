/* Parameters of a request, bound to a method's arguments: by place or name, types and ranges checked. */
#include "rpc/bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t bind_count(const struct rpc_method *method)
{
	size_t count = 0;

	while (method->args != NULL && method->args[count].name != NULL)
		count++;
	return count;
}

void bind_clear(struct bound *bound)
{
	for (size_t i = 0; i < RPC_ARGS_MAX; i++)
		json_decref(bound->values[i]);
	*bound = (struct bound){ 0 };
}

/* Both bounds 0 mean none: an argument that can only be 0 would be no argument. */
static int64_t bind_lowest(const struct rpc_arg *arg)
{
	return arg->min || arg->max ? arg->min : INT64_MIN;
}

static int64_t bind_highest(const struct rpc_arg *arg)
{
	return arg->min || arg->max ? arg->max : INT64_MAX;
}

static json_t *bind_text(const struct rpc_arg *arg, json_t *arg_value, struct rpc_error *error)
{
	json_t *bound = NULL;
	char *arg_text;

	if (arg->type == RPC_BYTES && json_is_any_text(arg_value)) {
		bound = json_incref(arg_value);
	} else {
		arg_text = convert_text(arg_value, arg->name, error);
		/* A number or a boolean is taken by its own text, since atelier-cli cannot know which type a call wants
		 * and sends 1 where a wallet is named "1". Bitcoin Core's client has a table of arguments for that. */
		bound = arg_text != NULL ? json_string(arg_text) : NULL;
		free(arg_text);
	}
	if (bound == NULL || arg->max == 0 || json_string_length(bound) <= (size_t)arg->max)
		return bound;
	rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must have at most %lld bytes, not %zu", arg->name,
		(long long)arg->max, json_string_length(bound));
	json_decref(bound);
	return NULL;
}

/* Digits: kept as text once they are known to be good. It is read again when a handler asks for it: binding keeps one
 * JSON value an argument, whatever its type. */
static json_t *bind_digits(const struct rpc_arg *arg, const json_t *arg_value, struct rpc_error *error)
{
	uint8_t key_bytes[32];
	struct buf hex_bytes;
	json_t *bound = NULL;
	char *arg_text;
	bool ok;

	buf_init(&hex_bytes);
	if (arg->type == RPC_HEX)
		ok = convert_hex(arg_value, arg->name, arg->max ? (size_t)arg->max : SIZE_MAX, &hex_bytes, error);
	else
		ok = convert_key(arg_value, arg->name, key_bytes, error);
	buf_clear(&hex_bytes);
	if (ok) {
		arg_text = convert_text(arg_value, arg->name, error);
		bound = json_string(arg_text);
		free(arg_text);
	}
	return bound;
}

static json_t *bind_number(const struct rpc_arg *arg, json_t *arg_value, struct rpc_error *error)
{
	int64_t bound_number;
	uint64_t whole_number;
	bool ok;

	/* What was a switch once and became a level: false is 0 and true is 1, as in Bitcoin Core. */
	if (arg->type == RPC_VERBOSITY && json_is_boolean(arg_value))
		return json_integer(json_is_true(arg_value));
	if (arg->type == RPC_AMOUNT)
		return convert_amount(arg_value, arg->name, &bound_number, error) ? json_integer(bound_number) : NULL;
	if (arg->type == RPC_U64)
		return convert_u64(arg_value, arg->name, &whole_number, error) ? json_incref(arg_value) : NULL;
	if (arg->type != RPC_DECIMAL) {
		ok = convert_int(arg_value, arg->name, bind_lowest(arg), bind_highest(arg), &bound_number, error);
		return ok ? json_integer(bound_number) : NULL;
	}
	if (!convert_decimal(arg_value, arg->name, &bound_number, error))
		return NULL;
	if (bound_number < bind_lowest(arg) || bound_number > bind_highest(arg)) {
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s is out of range", arg->name);
		return NULL;
	}
	return json_integer(bound_number);
}

static json_t *bind_expect_type(const struct rpc_arg *arg, json_t *arg_value, const char *type_name,
	struct rpc_error *error)
{
	if (strcmp(json_type_name(arg_value), type_name) == 0)
		return json_incref(arg_value);
	rpc_error_set(error, RPC_TYPE_ERROR, "%s must be of type %s, not %s", arg->name, type_name,
		json_type_name(arg_value));
	return NULL;
}

static json_t *bind_one(const struct rpc_arg *arg, json_t *arg_value, struct rpc_error *error)
{
	switch (arg->type) {
	case RPC_TEXT:
	case RPC_BYTES:
		return bind_text(arg, arg_value, error);
	case RPC_HEX:
	case RPC_HASH:
	case RPC_KEY:
		return bind_digits(arg, arg_value, error);
	case RPC_AMOUNT:
	case RPC_DECIMAL:
	case RPC_INT:
	case RPC_U64:
	case RPC_VERBOSITY:
		return bind_number(arg, arg_value, error);
	case RPC_BOOL:
		return bind_expect_type(arg, arg_value, "bool", error);
	case RPC_ARRAY:
		return bind_expect_type(arg, arg_value, "array", error);
	case RPC_OBJECT:
		return bind_expect_type(arg, arg_value, "object", error);
	case RPC_ANY:
		return json_incref(arg_value);
	}
	return NULL;
}

static json_t *bind_fallback(const struct rpc_arg *arg)
{
	json_t *arg_value = json_parse(arg->fallback, strlen(arg->fallback), NULL);

	if (arg_value == NULL) {
		/* A mistake in a method's table, which no client can bring about. */
		fprintf(stderr, "The fallback of the RPC argument %s is no JSON: %s\n", arg->name, arg->fallback);
		abort();
	}
	return arg_value;
}

/* Puts given values (borrowed; NULL or null: left out) into their forms. */
static enum bind_result bind_all(struct bound *bound, const struct rpc_method *method, json_t *const *given,
	struct rpc_error *error)
{
	size_t arg_count = bind_count(method);

	for (size_t i = 0; i < arg_count; i++) {
		const struct rpc_arg *arg = &method->args[i];
		json_t *arg_value = given[i] != NULL && !json_is_null(given[i]) ? json_incref(given[i]) : NULL;

		if (arg_value == NULL && arg->fallback != NULL)
			arg_value = bind_fallback(arg);
		else if (arg_value == NULL && arg->optional)
			continue;
		else if (arg_value == NULL)
			return BIND_USAGE;
		bound->values[i] = bind_one(arg, arg_value, error);
		json_decref(arg_value);
		/* Those before it stay in `bound`: bind_clear is due whatever the result. */
		if (bound->values[i] == NULL)
			return BIND_WRONG;
	}
	return BIND_OK;
}

static bool bind_place_list(json_t **given, size_t arg_count, const json_t *placed)
{
	/* More values than arguments is a mistake in the call, and answered with its usage; fewer may be right. */
	if (json_array_size(placed) > arg_count)
		return false;
	for (size_t i = 0; i < json_array_size(placed); i++)
		given[i] = json_array_get(placed, i);
	return true;
}

/* Named arguments; "args" may hold the first ones in order, unless the method has an argument of that name. */
static enum bind_result bind_place_named(json_t **given, const struct rpc_method *method, json_t *named,
	struct rpc_error *error)
{
	size_t arg_count = bind_count(method);
	const json_t *placed = json_object_get(named, "args");
	const char *arg_name;
	json_t *arg_value;

	for (size_t i = 0; i < arg_count; i++)
		if (strcmp(method->args[i].name, "args") == 0)
			placed = NULL;
	if (json_is_array(placed) && !bind_place_list(given, arg_count, placed))
		return BIND_USAGE;
	json_object_foreach(named, arg_name, arg_value) {
		size_t i = 0;

		if (json_is_array(placed) && strcmp(arg_name, "args") == 0)
			continue;
		while (i < arg_count && strcmp(method->args[i].name, arg_name) != 0)
			i++;
		if (i == arg_count) {
			rpc_error_set(error, RPC_INVALID_PARAMETER, "Unknown named parameter %.64s", arg_name);
			return BIND_WRONG;
		}
		if (given[i] != NULL) {
			rpc_error_set(error, RPC_INVALID_PARAMETER,
				"Parameter %s specified twice both as positional and named argument", arg_name);
			return BIND_WRONG;
		}
		given[i] = arg_value;
	}
	return BIND_OK;
}

enum bind_result bind_params(struct bound *bound, const struct rpc_method *method, json_t *params,
	struct rpc_error *error)
{
	/* Borrowed from `params`, which its owner keeps until the call is bound; rpc_table_add has seen to it that no
	 * method has more arguments. */
	json_t *given[RPC_ARGS_MAX] = { NULL };
	enum bind_result result = BIND_OK;

	*bound = (struct bound){ 0 };
	if (json_is_array(params))
		result = bind_place_list(given, bind_count(method), params) ? BIND_OK : BIND_USAGE;
	else if (json_is_object(params))
		result = bind_place_named(given, method, params, error);
	return result == BIND_OK ? bind_all(bound, method, given, error) : result;
}
