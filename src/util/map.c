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

#define CAP_MIN 16

struct map_entry {
	uint8_t key[32];
	void *value; /* NULL: the place is free */
};

/* Secret of this process: who grinds keys offline cannot make them meet here. Drawn before the first table is. */
static uint64_t salt[4];
static pthread_once_t salted = PTHREAD_ONCE_INIT;

static void draw_salt(void)
{
	random_bytes(salt, sizeof salt);
}

/* 64 x 64 bits to 128, the halves mixed: low bits alone would know nothing of the high ones. */
static uint64_t map_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Where a key would stand in an empty table. The cap is a power of two. */
static size_t map_home(const struct map *m, const uint8_t key[32])
{
	uint64_t h = map_fold(read_le64(key) ^ salt[0], read_le64(key + 8) ^ salt[1]);

	h ^= map_fold(read_le64(key + 16) ^ salt[2], read_le64(key + 24) ^ salt[3]);
	return (size_t)h & (m->cap - 1);
}

/* The key's entry, or the free one where it belongs. The table is never full. */
static struct map_entry *map_find(const struct map *m, const uint8_t key[32])
{
	size_t i = map_home(m, key);

	while (m->entries[i].value != NULL && memcmp(m->entries[i].key, key, 32) != 0)
		i = (i + 1) & (m->cap - 1);
	return &m->entries[i];
}

static void map_resize(struct map *m, size_t cap)
{
	struct map old = *m;

	/* The cap is part of the home, so all entries move; pointers to keys that map_next gave are void. */
	pthread_once(&salted, draw_salt);
	m->entries = mem_calloc(cap, sizeof *m->entries);
	m->cap = cap;
	for (size_t i = 0; i < old.cap; i++)
		if (old.entries[i].value != NULL)
			*map_find(m, old.entries[i].key) = old.entries[i];
	free(old.entries);
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_clear(struct map *m)
{
	free(m->entries);
	map_init(m);
}

void *map_get(const struct map *m, const uint8_t key[32])
{
	return m->count ? map_find(m, key)->value : NULL;
}

void *map_put(struct map *m, const uint8_t key[32], void *value)
{
	struct map_entry *entry;
	void *old;

	/* Grown before the key is looked for, at two thirds: it may turn out to be there already, and the table is then
	 * large one key early, which costs nothing but memory. */
	if ((m->count + 1) * 3 > m->cap * 2)
		map_resize(m, m->cap ? 2 * m->cap : CAP_MIN);
	entry = map_find(m, key);
	old = entry->value;
	if (old == NULL) {
		memcpy(entry->key, key, 32);
		m->count++;
	}
	entry->value = value;
	return old;
}

/* Moves later entries of the run back over the hole, as far as each one's home allows: an entry may move if its home is
 * not behind the hole, so if its way from home (i - home) is at least as long as that from the hole (i - hole), both
 * taken round the end of the table. The place it leaves is the next hole; the last one is freed. */
static void close_gap(struct map *m, size_t hole)
{
	size_t mask = m->cap - 1;

	for (size_t i = (hole + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
		if (((i - map_home(m, m->entries[i].key)) & mask) >= ((i - hole) & mask)) {
			m->entries[hole] = m->entries[i];
			hole = i;
		}
	}
	m->entries[hole].value = NULL;
}

void *map_remove(struct map *m, const uint8_t key[32])
{
	struct map_entry *entry;
	void *old;

	if (m->count == 0)
		return NULL;
	entry = map_find(m, key);
	old = entry->value;
	if (old == NULL)
		return NULL;
	close_gap(m, (size_t)(entry - m->entries));
	m->count--;
	/* An eighth, although it grows at two thirds: keys that come and go at one bound do not resize it each time. */
	if (m->cap > CAP_MIN && m->count < m->cap / 8)
		map_resize(m, m->cap / 2);
	return old;
}

bool map_next(const struct map *m, size_t *at, const uint8_t **key, void **value)
{
	for (; *at < m->cap; ++*at) {
		if (m->entries[*at].value == NULL)
			continue;
		*key = m->entries[*at].key;
		*value = m->entries[*at].value;
		++*at;
		return true;
	}
	return false;
}
