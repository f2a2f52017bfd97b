#include "chain/sources.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { DAY = 86400, CREDIT_MAX = 1 << 20 };

struct sources {
	struct group **groups;     /* the first is this node's own */
	size_t count, cap;
	uint64_t turns;            /* workers given so far */
};

static struct group *add(struct sources *sources, const struct source *source)
{
	struct group *group = mem_calloc(1, sizeof *group);

	memcpy(group->key, source->group, SOURCE_GROUP);
	group->chosen = source->chosen;
	if (sources->count == sources->cap) {
		sources->cap = sources->cap ? 2 * sources->cap : 16;
		sources->groups = mem_realloc(sources->groups, sources->cap * sizeof(struct group *));
	}
	sources->groups[sources->count++] = group;
	return group;
}

struct sources *sources_new(void)
{
	struct sources *sources = mem_calloc(1, sizeof *sources);

	add(sources, &(struct source){ 0 })->own = true;
	return sources;
}

void sources_free(struct sources *sources)
{
	if (sources == NULL)
		return;
	for (size_t i = 0; i < sources->count; i++)
		free(sources->groups[i]);
	free(sources->groups);
	free(sources);
}

struct group *sources_find(struct sources *sources, const uint8_t key[SOURCE_GROUP])
{
	for (size_t i = 1; i < sources->count; i++)
		if (memcmp(sources->groups[i]->key, key, SOURCE_GROUP) == 0)
			return sources->groups[i];
	return NULL;
}

/* Less to lose: less credit, then served longer ago. */
static bool matters_less(const struct group *a, const struct group *b)
{
	return a->credit != b->credit ? a->credit < b->credit : a->served < b->served;
}

static void make_room(struct sources *sources)
{
	size_t least = 0;

	for (size_t i = 1; i < sources->count; i++)
		if (sources->groups[i]->uses == 0 &&
			(least == 0 || matters_less(sources->groups[i], sources->groups[least])))
			least = i;
	if (least == 0)
		return;
	free(sources->groups[least]);
	sources->groups[least] = sources->groups[--sources->count];
}

struct group *sources_take(struct sources *sources, const struct source *source)
{
	struct group *group = sources->groups[0];

	if (source != NULL && source->peer != 0) {
		group = sources_find(sources, source->group);
		if (group == NULL && sources->count >= SOURCES_MAX)
			make_room(sources);
		if (group == NULL)
			group = add(sources, source);
	}
	group->uses++;
	return group;
}

void sources_release(struct group *group)
{
	group->uses--;
}

void sources_serve(struct sources *sources, struct group *group)
{
	group->served = ++sources->turns;
}

static void halve(struct group *group, int64_t now)
{
	const int64_t day = now / DAY, days = day - group->credit_day;

	if (days > 0)
		group->credit = days < 32 ? group->credit >> days : 0;
	group->credit_day = day;
}

void sources_proved(struct group *group, bool right, int64_t now)
{
	halve(group, now);
	if (!right)
		group->credit = 0;
	else if (group->credit < CREDIT_MAX)
		group->credit++;
}

enum standing sources_standing(struct group *group, int64_t now)
{
	halve(group, now);
	if (group->own)
		return STANDING_OWN;
	return group->chosen || group->credit > 0 ? STANDING_TRUSTED : STANDING_STRANGER;
}
