/* Help texts, laid out from the methods' tables. */
#include "rpc/help.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc/bind.h"
#include "util/text.h"

/* Columns for the names of arguments, in which nearly all of them fit; a longer one pushes its text along. */
#define HELP_NAME_WIDTH 16

static bool help_is_optional(const struct rpc_arg *argument)
{
	return argument->optional || argument->fallback != NULL;
}

static bool help_is_quoted(const struct rpc_arg *argument)
{
	return argument->type == RPC_TEXT || argument->type == RPC_BYTES || argument->type == RPC_HEX ||
		argument->type == RPC_HASH || argument->type == RPC_KEY;
}

static const char *help_type_name(const struct rpc_arg *argument)
{
	switch (argument->type) {
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

void help_line(const struct rpc_method *method, struct buf *help_text)
{
	size_t argument_count = bind_count(method);
	bool parenthesis = false;

	buf_put_text(help_text, method->name);
	for (size_t i = 0; i < argument_count; i++) {
		const struct rpc_arg *argument = &method->args[i];
		const char *quote = help_is_quoted(argument) ? "\"" : "";

		if (help_is_optional(argument) && !parenthesis) {
			buf_put_text(help_text, " (");
			parenthesis = true;
		} else if (!help_is_optional(argument) && parenthesis) {
			buf_put_text(help_text, " )");
			parenthesis = false;
		}
		buf_put_u8(help_text, ' ');
		buf_put_text(help_text, quote);
		buf_put_text(help_text, argument->name);
		buf_put_text(help_text, quote);
	}
	/* Arguments that may be left out stand in one pair of parentheses for each run of them. */
	if (parenthesis)
		buf_put_text(help_text, " )");
}

static void help_put_argument(size_t number, const struct rpc_arg *argument, struct buf *help_text)
{
	char argument_head[128], *argument_text;
	struct buf argument_help;
	int head_size = snprintf(argument_head, sizeof argument_head, "%zu. %-*s ", number, HELP_NAME_WIDTH,
		argument->name);

	buf_init(&argument_help);
	buf_put_text(&argument_help, "(");
	buf_put_text(&argument_help, help_type_name(argument));
	if (argument->fallback != NULL) {
		buf_put_text(&argument_help, ", optional, default=");
		buf_put_text(&argument_help, argument->fallback);
	} else {
		buf_put_text(&argument_help, argument->optional ? ", optional" : ", required");
	}
	buf_put_text(&argument_help, ") ");
	buf_put_text(&argument_help, argument->help);
	argument_text = buf_take_text(&argument_help);
	buf_put_text(help_text, argument_head);
	text_wrap(help_text, argument_text, HELP_NAME_WIDTH + 4, (unsigned)head_size);
	free(argument_text);
}

static void help_put_example(const struct rpc_method *method, struct buf *help_text)
{
	buf_put_text(help_text, "\nExample:\n> atelier-cli ");
	buf_put_text(help_text, method->name);
	if (method->example[0])
		buf_put_u8(help_text, ' ');
	buf_put_text(help_text, method->example);
	buf_put_u8(help_text, '\n');
}

char *help_method(const struct rpc_method *method)
{
	size_t argument_count = bind_count(method);
	struct buf help_text;

	buf_init(&help_text);
	help_line(method, &help_text);
	buf_put_text(&help_text, "\n\n");
	text_wrap(&help_text, method->help, 0, 0);
	for (size_t i = 0; i < argument_count; i++) {
		if (i == 0)
			buf_put_text(&help_text, "\nArguments:\n");
		help_put_argument(i + 1, &method->args[i], &help_text);
	}
	buf_put_text(&help_text, "\nResult:\n");
	buf_put_text(&help_text, method->result != NULL ? method->result : "null");
	buf_put_u8(&help_text, '\n');
	if (method->example != NULL)
		help_put_example(method, &help_text);
	return buf_take_text(&help_text);
}
