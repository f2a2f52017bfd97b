#include "consensus/reject.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

bool reject_set(struct reject *reject, enum reject_code code, const char *reason, const char *format, ...)
{
	va_list args;

	if (reject == NULL)
		return false;
	reject->code = code;
	reject->reason = reason;
	reject->ban_score = code == REJECT_MALFORMED || code == REJECT_INVALID ? 100 : 0;
	va_start(args, format);
	vsnprintf(reject->detail, sizeof reject->detail, format, args);
	va_end(args);
	return false;
}
