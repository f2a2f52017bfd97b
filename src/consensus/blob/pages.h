/* The courtesy filter (doc/protocol.md section 12): pages that nobody means to contribute, zeros, padding, what is
 * there twice. It keeps mistakes out, not adversaries. */
#ifndef ATELIER_CONSENSUS_BLOB_PAGES_H
#define ATELIER_CONSENSUS_BLOB_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum { PAGES_SIZE = 4096, PAGES_STRING = 16 };

/* The filter's numbers, a spec's: of a page of 4096 bytes so many strings of 16 bytes must differ (0: there is no
 * filter), and a page of fewer bytes than `judged` is not judged. */
struct pages_rule {
	uint32_t distinct, judged;
};

enum pages_verdict {
	PAGES_GOOD,
	PAGES_POOR,     /* too few different strings */
	PAGES_REPEATED, /* equal to an earlier page */
};

size_t pages_count(size_t size); /* of a blob of so many bytes; the last one may be shorter */

/* Whether all pages are good; if not, `why` names the first that is not, and its offset. */
bool pages_check(const struct pages_rule *rule, const uint8_t *blob, size_t size, struct errmsg *why);
/* One verdict for each page. */
void pages_judge(const struct pages_rule *rule, const uint8_t *blob, size_t size, enum pages_verdict verdicts[]);

#endif
