/* What the SPDX licence list says of an expression that is one by its form (consensus/payload/licence.h). The list is
 * no rule of the chain: here it keeps people from registering, or admitting, what they did not mean. */
#ifndef ATELIER_CONFIG_SPDX_H
#define ATELIER_CONFIG_SPDX_H

#include "consensus/payload/licence.h"
#include "util/error.h"

enum spdx_verdict {
	SPDX_LISTED,  /* every id is, or is one of somebody's own (LicenseRef-) */
	SPDX_UNKNOWN, /* one is not, nor like one that is */
	SPDX_MISTAKE, /* one is not, and looks like others that are */
};

/* Judges a licence expression. What is not listed is named in err, with what it may have meant. */
enum spdx_verdict spdx_review(const char *expression, struct errmsg *err);

#endif
