/* A hash table from 32-byte keys to pointers.
 *
 * Keys are hashes, but an attacker can grind them, so the place in the table depends on a random value of this process.
 * Values are the caller's; NULL is not a value. Open addressing with linear probing; removal moves entries back, so
 * there are no tombstones and a table that shrinks gives memory back. */
#ifndef ATELIER_UTIL_MAP_H
#define ATELIER_UTIL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry;

struct map {
	struct map_entry *entries; /* owned; NULL while the table is empty */
	size_t count, cap;
};

void map_init(struct map *map);
void map_clear(struct map *map); /* releases the table, not the values */

void *map_get(const struct map *map, const uint8_t key[32]);        /* NULL if it is not there */
void *map_put(struct map *map, const uint8_t key[32], void *value); /* returns the value replaced, or NULL */
void *map_remove(struct map *map, const uint8_t key[32]);           /* returns the value removed, or NULL */

/* Walks all entries in no order: start with *at = 0, until false. The map must not change meanwhile. */
bool map_next(const struct map *map, size_t *at, const uint8_t **key, void **value);

#endif
