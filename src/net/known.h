/* The newest ids that went by: a set of bounded size that forgets its oldest member to take a new one. For what a peer
 * is known to have, and for what was refused lately. */
#ifndef ATELIER_NET_KNOWN_H
#define ATELIER_NET_KNOWN_H

#include "util/map.h"

struct known {
	struct map places;   /* id -> its place in the ring */
	uint8_t (*ring)[32]; /* owned; NULL while empty */
	size_t cap, next;
};

void known_init(struct known *known, size_t cap);
void known_clear(struct known *known); /* empty again, and usable */
bool known_has(const struct known *known, const uint8_t id[32]);
bool known_add(struct known *known, const uint8_t id[32]); /* false: it was there already */

#endif
