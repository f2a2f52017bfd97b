/* Errors with their codes. */
#include "rpc/error.h"

#include <stdarg.h>
#include <stdio.h>

bool rpc_error_set(struct rpc_error *error, enum rpc_code code, const char *format, ...)
{
	char text[sizeof error->message.text];
	va_list args;

	if (error == NULL)
		return false;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	error->code = code;
	return errmsg_set(&error->message, "%s", text);
}
