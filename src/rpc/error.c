/* Errors with their codes. */
#include "rpc/error.h"

#include <stdarg.h>
#include <stdio.h>

bool rpc_error_set(struct rpc_error *error, enum rpc_code code, const char *format, ...)
{
	char error_text[sizeof error->message.text];
	va_list error_args;

	if (error == NULL)
		return false;
	va_start(error_args, format);
	vsnprintf(error_text, sizeof error_text, format, error_args);
	va_end(error_args);
	error->code = code;
	return errmsg_set(&error->message, "%s", error_text);
}
