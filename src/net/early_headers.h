/* Headers that came before their time: right in all but that this machine's clock does not take them yet
 * (time-too-new). They are looked at again when they are due, since whoever sent one does not say it twice.
 *
 * A header costs its maker next to nothing, so few are kept: EARLY_HEADERS_MAX in all and EARLY_HEADERS_GROUP of one
 * address group. When there is no room what is due last goes; its block is heard of again with the next one. */
#ifndef ATELIER_NET_EARLY_HEADERS_H
#define ATELIER_NET_EARLY_HEADERS_H

#include "chain/chain.h"

enum { EARLY_HEADERS_MAX = 16, EARLY_HEADERS_GROUP = 2 };

struct early_header {
	struct header header;
	struct source source; /* who sent it */
	int64_t due;          /* Unix time */
};

struct early_headers {
	struct early_header kept[EARLY_HEADERS_MAX];
	size_t count;
};

/* One that is here already stays as it is. */
void early_headers_keep(struct early_headers *early, const struct early_header *header);
/* Takes one that is due by now; false: none is. */
bool early_headers_take(struct early_headers *early, int64_t now, struct early_header *header);

#endif
