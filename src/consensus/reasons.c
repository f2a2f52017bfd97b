/* The table of reasons, made from the list in the header. */
#include "consensus/reasons.h"

#include <string.h>

static const struct reasons_row reasons_rows[REASON_COUNT] = { [REASON_NONE] = { "", REJECT_INVALID, BLAME_SENDER },
#define REASONS_ROW(name, text, code, blame) [REASON_##name] = { text, REJECT_##code, BLAME_##blame },
	REASONS(REASONS_ROW)
#undef REASONS_ROW
};

const struct reasons_row *reasons_row(enum reason reason)
{
	return &reasons_rows[reason];
}

enum reason reasons_find(const char *text)
{
	for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++)
		if (strcmp(reasons_rows[i].text, text) == 0)
			return i;
	return REASON_NONE;
}
