/* Filling in a reject, and whom it blames. */
#include "consensus/reject.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* What will never be valid may cost its sender the connection (reject_blames_block); what hangs on time, room or policy
 * costs him nothing, as two honest nodes can differ in it. */
static void reject_fill(struct reject *reject, enum reject_code code, enum reason why, const char *reason)
{
	reject->code = code;
	reject->why = why;
	reject->reason = reason;
	reject->ban_score = code == REJECT_MALFORMED || code == REJECT_INVALID ? 100 : 0;
}

bool reject_set(struct reject *reject, enum reason why, const char *format, ...)
{
	const struct reasons_row *reason_row = reasons_row(why);
	va_list reject_args;

	if (reject == NULL)
		return false;
	reject_fill(reject, reason_row->code, why, reason_row->text);
	va_start(reject_args, format);
	vsnprintf(reject->detail, sizeof reject->detail, format, reject_args);
	va_end(reject_args);
	return false;
}

bool reject_as(struct reject *reject, enum reject_code code, enum reason why, const char *format, ...)
{
	va_list reject_args;

	if (reject == NULL)
		return false;
	reject_fill(reject, code, why, reasons_row(why)->text);
	va_start(reject_args, format);
	vsnprintf(reject->detail, sizeof reject->detail, format, reject_args);
	va_end(reject_args);
	return false;
}

bool reject_again(struct reject *reject, const char *reason, const char *detail)
{
	if (reject == NULL)
		return false;
	reject_fill(reject, REJECT_INVALID, reasons_find(reason), reason);
	snprintf(reject->detail, sizeof reject->detail, "%s", detail);
	return false;
}

/* Who passes a block on has looked at all that follows from itself, and has executed its own proof. */
bool reject_blames_block(const struct reject *reject)
{
	return reject->ban_score >= 100 && reasons_row(reject->why)->blame == BLAME_SENDER;
}

/* Who passes a transaction on has its coins, and they are what its signatures are over. What else hangs on the tip
 * (spent coins, locks, fees) may look different from there. */
bool reject_blames_tx(const struct reject *reject)
{
	return reject->code == REJECT_INVALID && reasons_row(reject->why)->blame == BLAME_SIGNER;
}
