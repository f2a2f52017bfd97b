/* A few entries, looked through one by one. */
#include "web/cache.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

struct cache_entry {
	char *name; /* NULL: free */
	uint64_t stamp, used;
	struct buf body;
};

struct cache {
	struct cache_entry entries[CACHE_ENTRIES];
	size_t bytes;   /* of all bodies */
	uint64_t turns; /* how often it was asked, by which `used` tells who was asked for last */
};

static void cache_drop(struct cache *cache, struct cache_entry *entry)
{
	cache->bytes -= entry->body.size;
	free(entry->name);
	buf_clear(&entry->body);
	*entry = (struct cache_entry){ .name = NULL };
}

static struct cache_entry *cache_find(struct cache *cache, const char *name)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		if (cache->entries[i].name != NULL && strcmp(cache->entries[i].name, name) == 0)
			return &cache->entries[i];
	return NULL;
}

static struct cache_entry *cache_find_oldest(struct cache *cache)
{
	struct cache_entry *oldest = NULL;

	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		if (cache->entries[i].name != NULL && (oldest == NULL || cache->entries[i].used < oldest->used))
			oldest = &cache->entries[i];
	return oldest;
}

static struct cache_entry *cache_find_free(struct cache *cache)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		if (cache->entries[i].name == NULL)
			return &cache->entries[i];
	return NULL;
}

void cache_put(struct cache *cache, const char *name, uint64_t stamp, const struct buf *body)
{
	struct cache_entry *entry = cache_find(cache, name);

	if (entry != NULL)
		cache_drop(cache, entry);
	if (body->size > CACHE_ENTRY_MAX)
		return;
	while (cache->bytes + body->size > CACHE_BYTES || (entry = cache_find_free(cache)) == NULL)
		cache_drop(cache, cache_find_oldest(cache));
	entry->name = mem_strdup(name);
	entry->stamp = stamp;
	entry->used = ++cache->turns;
	buf_put(&entry->body, body->data, body->size);
	cache->bytes += body->size;
}

bool cache_get(struct cache *cache, const char *name, uint64_t stamp, struct buf *body)
{
	struct cache_entry *entry = cache_find(cache, name);

	if (entry == NULL || entry->stamp != stamp)
		return false;
	entry->used = ++cache->turns;
	buf_put(body, entry->body.data, entry->body.size);
	return true;
}

struct cache *cache_new(void)
{
	return mem_calloc(1, sizeof(struct cache));
}

void cache_free(struct cache *cache)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		cache_drop(cache, &cache->entries[i]);
	free(cache);
}
