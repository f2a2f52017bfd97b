/* The hash table: open addressing with linear probing.
 *
 * What holds between any two calls: each key stands at its home or behind it with no free place between the two. So a
 * search may stop at the first free place, and a removal must not leave one inside a run. At least a third of the
 * places are free, so every search ends. */
#include "util/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"
#include "util/random.h"

#define MAP_CAP_MIN 16

struct map_entry {
	uint8_t key[32];
	void *value; /* NULL: the place is free */
};

/* Secret of this process: who grinds keys offline cannot make them meet here. Drawn before the first table is. */
static uint64_t map_salt[4];
static pthread_once_t map_salt_drawn = PTHREAD_ONCE_INIT;

static void map_draw_salt(void)
{
	random_bytes(map_salt, sizeof map_salt);
}

/* 64 x 64 bits to 128, the halves mixed: low bits alone would know nothing of the high ones. */
static uint64_t map_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 map_product = (unsigned __int128)a * b;

	return (uint64_t)map_product ^ (uint64_t)(map_product >> 64);
}

/* Where a key would stand in an empty table. The cap is a power of two. */
static size_t map_home(const struct map *map, const uint8_t key[32])
{
	uint64_t hash = map_fold(read_le64(key) ^ map_salt[0], read_le64(key + 8) ^ map_salt[1]);

	hash ^= map_fold(read_le64(key + 16) ^ map_salt[2], read_le64(key + 24) ^ map_salt[3]);
	return (size_t)hash & (map->cap - 1);
}

/* The key's entry, or the free one where it belongs. The table is never full. */
static struct map_entry *map_find(const struct map *map, const uint8_t key[32])
{
	size_t i = map_home(map, key);

	while (map->entries[i].value != NULL && memcmp(map->entries[i].key, key, 32) != 0)
		i = (i + 1) & (map->cap - 1);
	return &map->entries[i];
}

static void map_resize(struct map *map, size_t cap)
{
	struct map old_map = *map;

	/* The cap is part of the home, so all entries move; pointers to keys that map_next gave are void. */
	pthread_once(&map_salt_drawn, map_draw_salt);
	map->entries = mem_calloc(cap, sizeof *map->entries);
	map->cap = cap;
	for (size_t i = 0; i < old_map.cap; i++)
		if (old_map.entries[i].value != NULL)
			*map_find(map, old_map.entries[i].key) = old_map.entries[i];
	free(old_map.entries);
}

void map_init(struct map *map)
{
	*map = (struct map){ 0 };
}

void map_clear(struct map *map)
{
	free(map->entries);
	map_init(map);
}

void *map_get(const struct map *map, const uint8_t key[32])
{
	return map->count ? map_find(map, key)->value : NULL;
}

void *map_put(struct map *map, const uint8_t key[32], void *value)
{
	struct map_entry *map_entry;
	void *map_old_value;

	/* Grown before the key is looked for, at two thirds: it may turn out to be there already, and the table is then
	 * large one key early, which costs nothing but memory. */
	if ((map->count + 1) * 3 > map->cap * 2)
		map_resize(map, map->cap ? 2 * map->cap : MAP_CAP_MIN);
	map_entry = map_find(map, key);
	map_old_value = map_entry->value;
	if (map_old_value == NULL) {
		memcpy(map_entry->key, key, 32);
		map->count++;
	}
	map_entry->value = value;
	return map_old_value;
}

/* Moves later entries of the run back over the hole, as far as each one's home allows: an entry may move if its home is
 * not behind the hole, so if its way from home (i - home) is at least as long as that from the hole (i - hole), both
 * taken round the end of the table. The place it leaves is the next hole; the last one is freed. */
static void map_close_gap(struct map *map, size_t hole)
{
	size_t cap_mask = map->cap - 1;

	for (size_t i = (hole + 1) & cap_mask; map->entries[i].value; i = (i + 1) & cap_mask) {
		if (((i - map_home(map, map->entries[i].key)) & cap_mask) >= ((i - hole) & cap_mask)) {
			map->entries[hole] = map->entries[i];
			hole = i;
		}
	}
	map->entries[hole].value = NULL;
}

void *map_remove(struct map *map, const uint8_t key[32])
{
	struct map_entry *map_entry;
	void *map_old_value;

	if (map->count == 0)
		return NULL;
	map_entry = map_find(map, key);
	map_old_value = map_entry->value;
	if (map_old_value == NULL)
		return NULL;
	map_close_gap(map, (size_t)(map_entry - map->entries));
	map->count--;
	/* An eighth, although it grows at two thirds: keys that come and go at one bound do not resize it each time. */
	if (map->cap > MAP_CAP_MIN && map->count < map->cap / 8)
		map_resize(map, map->cap / 2);
	return map_old_value;
}

bool map_next(const struct map *map, size_t *at, const uint8_t **key, void **value)
{
	for (; *at < map->cap; ++*at) {
		if (map->entries[*at].value == NULL)
			continue;
		*key = map->entries[*at].key;
		*value = map->entries[*at].value;
		++*at;
		return true;
	}
	return false;
}
