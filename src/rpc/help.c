/* Help texts, laid out from the methods' tables. */
#include "rpc/help.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc/bind.h"
#include "util/text.h"

/* Columns for the names of arguments, in which nearly all of them fit; a longer one pushes its text along. */
#define NAME_WIDTH 16

static bool is_optional(const struct rpc_arg *arg)
{
	return arg->optional || arg->fallback != NULL;
}

static bool is_quoted(const struct rpc_arg *arg)
{
	return arg->type == RPC_TEXT || arg->type == RPC_BYTES || arg->type == RPC_HEX || arg->type == RPC_HASH ||
		arg->type == RPC_KEY;
}

static const char *type_name(const struct rpc_arg *arg)
{
	switch (arg->type) {
	case RPC_TEXT:
	case RPC_BYTES:
		return "string";
	case RPC_HEX:
		return "hex";
	case RPC_HASH:
	case RPC_KEY:
		return "hex, 64 digits";
	case RPC_AMOUNT:
		return "amount";
	case RPC_DECIMAL:
		return "number";
	case RPC_INT:
		return "integer";
	case RPC_U64:
		return "integer, or its digits as a string";
	case RPC_BOOL:
		return "boolean";
	case RPC_VERBOSITY:
		return "integer or boolean";
	case RPC_ARRAY:
		return "array";
	case RPC_OBJECT:
		return "object";
	case RPC_ANY:
		return "any";
	}
	return "";
}

void help_line(const struct rpc_method *method, struct buf *out)
{
	size_t count = bind_count(method);
	bool open = false;

	buf_put_text(out, method->name);
	for (size_t i = 0; i < count; i++) {
		const struct rpc_arg *arg = &method->args[i];
		const char *quote = is_quoted(arg) ? "\"" : "";

		if (is_optional(arg) && !open) {
			buf_put_text(out, " (");
			open = true;
		} else if (!is_optional(arg) && open) {
			buf_put_text(out, " )");
			open = false;
		}
		buf_put_u8(out, ' ');
		buf_put_text(out, quote);
		buf_put_text(out, arg->name);
		buf_put_text(out, quote);
	}
	/* Arguments that may be left out stand in one pair of parentheses for each run of them. */
	if (open)
		buf_put_text(out, " )");
}

static void put_argument(size_t number, const struct rpc_arg *arg, struct buf *out)
{
	char head[128], *text;
	struct buf what;
	int size = snprintf(head, sizeof head, "%zu. %-*s ", number, NAME_WIDTH, arg->name);

	buf_init(&what);
	buf_put_text(&what, "(");
	buf_put_text(&what, type_name(arg));
	if (arg->fallback != NULL) {
		buf_put_text(&what, ", optional, default=");
		buf_put_text(&what, arg->fallback);
	} else {
		buf_put_text(&what, arg->optional ? ", optional" : ", required");
	}
	buf_put_text(&what, ") ");
	buf_put_text(&what, arg->help);
	text = buf_take_text(&what);
	buf_put_text(out, head);
	text_wrap(out, text, NAME_WIDTH + 4, (unsigned)size);
	free(text);
}

static void put_example(const struct rpc_method *method, struct buf *out)
{
	buf_put_text(out, "\nExample:\n> atelier-cli ");
	buf_put_text(out, method->name);
	if (method->example[0])
		buf_put_u8(out, ' ');
	buf_put_text(out, method->example);
	buf_put_u8(out, '\n');
}

char *help_method(const struct rpc_method *method)
{
	size_t count = bind_count(method);
	struct buf out;

	buf_init(&out);
	help_line(method, &out);
	buf_put_text(&out, "\n\n");
	text_wrap(&out, method->help, 0, 0);
	for (size_t i = 0; i < count; i++) {
		if (i == 0)
			buf_put_text(&out, "\nArguments:\n");
		put_argument(i + 1, &method->args[i], &out);
	}
	buf_put_text(&out, "\nResult:\n");
	buf_put_text(&out, method->result != NULL ? method->result : "null");
	buf_put_u8(&out, '\n');
	if (method->example != NULL)
		put_example(method, &out);
	return buf_take_text(&out);
}
