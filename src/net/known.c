/* A ring of ids, and a map that says which are in it. */
#include "net/known.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

void known_init(struct known *known, size_t cap)
{
	*known = (struct known){ .cap = cap };
	map_init(&known->places);
}

void known_clear(struct known *known)
{
	map_clear(&known->places);
	free(known->ring);
	known->ring = NULL;
	known->next = 0;
}

bool known_has(const struct known *known, const uint8_t id[32])
{
	return map_get(&known->places, id) != NULL;
}

/* The ring is taken with the first id: a peer that offers nothing costs none. The oldest id makes room: who remembers a
 * flood of new ones forgets, at worst, that he has told of something. */
bool known_add(struct known *known, const uint8_t id[32])
{
	uint8_t *ring_place;

	if (known_has(known, id))
		return false;
	if (known->ring == NULL)
		known->ring = mem_calloc(known->cap, sizeof *known->ring);
	ring_place = known->ring[known->next];
	/* A place never used holds zeros, which nothing maps from. */
	if (map_get(&known->places, ring_place) == ring_place)
		map_remove(&known->places, ring_place);
	memcpy(ring_place, id, 32);
	map_put(&known->places, ring_place, ring_place);
	known->next = (known->next + 1) % known->cap;
	return true;
}
