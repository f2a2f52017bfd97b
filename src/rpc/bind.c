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
static int64_t lowest_of(const struct rpc_arg *arg)
{
	return arg->min || arg->max ? arg->min : INT64_MIN;
}

static int64_t highest_of(const struct rpc_arg *arg)
{
	return arg->min || arg->max ? arg->max : INT64_MAX;
}

static json_t *bind_text(const struct rpc_arg *arg, json_t *value, struct rpc_error *error)
{
	json_t *bound = NULL;
	char *text;

	if (arg->type == RPC_BYTES && json_is_any_text(value)) {
		bound = json_incref(value);
	} else {
		text = convert_text(value, arg->name, error);
		/* A number or a boolean is taken by its own text, since atelier-cli cannot know which type a call wants
		 * and sends 1 where a wallet is named "1". Bitcoin Core's client has a table of arguments for that. */
		bound = text != NULL ? json_string(text) : NULL;
		free(text);
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
static json_t *bind_digits(const struct rpc_arg *arg, const json_t *value, struct rpc_error *error)
{
	uint8_t fixed[32];
	struct buf bytes;
	json_t *bound = NULL;
	char *text;
	bool ok;

	buf_init(&bytes);
	if (arg->type == RPC_HEX)
		ok = convert_hex(value, arg->name, arg->max ? (size_t)arg->max : SIZE_MAX, &bytes, error);
	else
		ok = convert_key(value, arg->name, fixed, error);
	buf_clear(&bytes);
	if (ok) {
		text = convert_text(value, arg->name, error);
		bound = json_string(text);
		free(text);
	}
	return bound;
}

static json_t *bind_number(const struct rpc_arg *arg, json_t *value, struct rpc_error *error)
{
	int64_t number;
	uint64_t whole;
	bool ok;

	/* What was a switch once and became a level: false is 0 and true is 1, as in Bitcoin Core. */
	if (arg->type == RPC_VERBOSITY && json_is_boolean(value))
		return json_integer(json_is_true(value));
	if (arg->type == RPC_AMOUNT)
		return convert_amount(value, arg->name, &number, error) ? json_integer(number) : NULL;
	if (arg->type == RPC_U64)
		return convert_u64(value, arg->name, &whole, error) ? json_incref(value) : NULL;
	if (arg->type != RPC_DECIMAL) {
		ok = convert_int(value, arg->name, lowest_of(arg), highest_of(arg), &number, error);
		return ok ? json_integer(number) : NULL;
	}
	if (!convert_decimal(value, arg->name, &number, error))
		return NULL;
	if (number < lowest_of(arg) || number > highest_of(arg)) {
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s is out of range", arg->name);
		return NULL;
	}
	return json_integer(number);
}

static json_t *expect_type(const struct rpc_arg *arg, json_t *value, const char *type, struct rpc_error *error)
{
	if (strcmp(json_type_name(value), type) == 0)
		return json_incref(value);
	rpc_error_set(error, RPC_TYPE_ERROR, "%s must be of type %s, not %s", arg->name, type, json_type_name(value));
	return NULL;
}

static json_t *bind_one(const struct rpc_arg *arg, json_t *value, struct rpc_error *error)
{
	switch (arg->type) {
	case RPC_TEXT:
	case RPC_BYTES:
		return bind_text(arg, value, error);
	case RPC_HEX:
	case RPC_HASH:
	case RPC_KEY:
		return bind_digits(arg, value, error);
	case RPC_AMOUNT:
	case RPC_DECIMAL:
	case RPC_INT:
	case RPC_U64:
	case RPC_VERBOSITY:
		return bind_number(arg, value, error);
	case RPC_BOOL:
		return expect_type(arg, value, "bool", error);
	case RPC_ARRAY:
		return expect_type(arg, value, "array", error);
	case RPC_OBJECT:
		return expect_type(arg, value, "object", error);
	case RPC_ANY:
		return json_incref(value);
	}
	return NULL;
}

static json_t *fallback_of(const struct rpc_arg *arg)
{
	json_t *value = json_parse(arg->fallback, strlen(arg->fallback), NULL);

	if (value == NULL) {
		/* A mistake in a method's table, which no client can bring about. */
		fprintf(stderr, "The fallback of the RPC argument %s is no JSON: %s\n", arg->name, arg->fallback);
		abort();
	}
	return value;
}

/* Puts given values (borrowed; NULL or null: left out) into their forms. */
static enum bind_result bind_all(struct bound *bound, const struct rpc_method *method, json_t *const *given,
	struct rpc_error *error)
{
	size_t count = bind_count(method);

	for (size_t i = 0; i < count; i++) {
		const struct rpc_arg *arg = &method->args[i];
		json_t *value = given[i] != NULL && !json_is_null(given[i]) ? json_incref(given[i]) : NULL;

		if (value == NULL && arg->fallback != NULL)
			value = fallback_of(arg);
		else if (value == NULL && arg->optional)
			continue;
		else if (value == NULL)
			return BIND_USAGE;
		bound->values[i] = bind_one(arg, value, error);
		json_decref(value);
		/* Those before it stay in `bound`: bind_clear is due whatever the result. */
		if (bound->values[i] == NULL)
			return BIND_WRONG;
	}
	return BIND_OK;
}

static bool place_list(json_t **given, size_t count, const json_t *list)
{
	/* More values than arguments is a mistake in the call, and answered with its usage; fewer may be right. */
	if (json_array_size(list) > count)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		given[i] = json_array_get(list, i);
	return true;
}

/* Named arguments; "args" may hold the first ones in order, unless the method has an argument of that name. */
static enum bind_result place_named(json_t **given, const struct rpc_method *method, json_t *named,
	struct rpc_error *error)
{
	size_t count = bind_count(method);
	const json_t *list = json_object_get(named, "args");
	const char *name;
	json_t *value;

	for (size_t i = 0; i < count; i++)
		if (strcmp(method->args[i].name, "args") == 0)
			list = NULL;
	if (json_is_array(list) && !place_list(given, count, list))
		return BIND_USAGE;
	json_object_foreach(named, name, value) {
		size_t i = 0;

		if (json_is_array(list) && strcmp(name, "args") == 0)
			continue;
		while (i < count && strcmp(method->args[i].name, name) != 0)
			i++;
		if (i == count) {
			rpc_error_set(error, RPC_INVALID_PARAMETER, "Unknown named parameter %.64s", name);
			return BIND_WRONG;
		}
		if (given[i] != NULL) {
			rpc_error_set(error, RPC_INVALID_PARAMETER,
				"Parameter %s specified twice both as positional and named argument", name);
			return BIND_WRONG;
		}
		given[i] = value;
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
		result = place_list(given, bind_count(method), params) ? BIND_OK : BIND_USAGE;
	else if (json_is_object(params))
		result = place_named(given, method, params, error);
	return result == BIND_OK ? bind_all(bound, method, given, error) : result;
}
