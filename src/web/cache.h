/* Answers of the API, kept while they are true: many who look at one page cost little more than one.
 *
 * An answer's `stamp` is what it was true for (web/api.h): it is found under the same name and stamp only. At most
 * CACHE_ENTRIES are kept, of CACHE_BYTES together; who has not been asked for longest goes. */
#ifndef ATELIER_WEB_CACHE_H
#define ATELIER_WEB_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum { CACHE_ENTRIES = 64, CACHE_BYTES = 4 << 20, CACHE_ENTRY_MAX = CACHE_BYTES / 4 };

struct cache;

struct cache *cache_new(void);
void cache_free(struct cache *cache);

/* Keeps a copy in the place of another of this name; one that is larger than CACHE_ENTRY_MAX it does not keep. */
void cache_put(struct cache *cache, const char *name, uint64_t stamp, const struct buf *body);

/* Appends what is kept; false: nothing that is still true. */
bool cache_get(struct cache *cache, const char *name, uint64_t stamp, struct buf *body);

#endif
