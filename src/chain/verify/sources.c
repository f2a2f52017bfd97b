/* Records of address groups: turns, credit, and which make room. */
#include "chain/verify/sources.h"

#include <stdlib.h>
#include <string.h>

#include "util/map.h"
#include "util/mem.h"

enum { SOURCES_DAY = 86400, SOURCES_CREDIT_MAX = 1 << 20 };

struct sources {
	struct source_group own; /* this node's */
	struct map groups;       /* all others, by their padded keys */
	uint64_t turns;          /* workers given so far */
	size_t strangers;        /* turns for blocks that strangers have now */
};

static void source_pad_key(uint8_t padded_group[32], const uint8_t key[SOURCE_GROUP])
{
	memset(padded_group, 0, 32);
	memcpy(padded_group, key, SOURCE_GROUP);
}

struct sources *sources_new(void)
{
	struct sources *sources = mem_calloc(1, sizeof *sources);

	sources->own.own = true;
	map_init(&sources->groups);
	return sources;
}

void sources_free(struct sources *sources)
{
	const uint8_t *group_key;
	void *group;

	if (sources == NULL)
		return;
	for (size_t group_at = 0; map_next(&sources->groups, &group_at, &group_key, &group);)
		free(group);
	map_clear(&sources->groups);
	free(sources);
}

struct source_group *sources_find(const struct sources *sources, const uint8_t key[SOURCE_GROUP])
{
	uint8_t padded_group[32];

	source_pad_key(padded_group, key);
	return map_get(&sources->groups, padded_group);
}

/* Less to lose: less credit, then served longer ago. */
static bool source_matters_less(const struct source_group *group, const struct source_group *other)
{
	return group->credit != other->credit ? group->credit < other->credit : group->served < other->served;
}

/* Only records that nothing refers to: what is in work must find its group again. If all are in use there are more than
 * SOURCES_MAX for a while; what each may have here bounds that. Addresses are cheap, credit is not: a flood of new ones
 * pushes out others of no credit, and only in the end who has some. */
static void sources_make_room(struct sources *sources)
{
	struct source_group *least_group = NULL;
	const uint8_t *group_key;
	uint8_t padded_group[32];
	void *group_value;

	for (size_t group_at = 0; map_next(&sources->groups, &group_at, &group_key, &group_value);) {
		struct source_group *group = group_value;

		if (group->uses == 0 && (least_group == NULL || source_matters_less(group, least_group)))
			least_group = group;
	}
	if (least_group == NULL)
		return;
	source_pad_key(padded_group, least_group->key);
	map_remove(&sources->groups, padded_group);
	free(least_group);
}

static struct source_group *sources_add_group(struct sources *sources, const struct source *source)
{
	struct source_group *group = mem_calloc(1, sizeof *group);
	uint8_t padded_group[32];

	if (sources->groups.count >= SOURCES_MAX)
		sources_make_room(sources);
	memcpy(group->key, source->group, SOURCE_GROUP);
	group->chosen = source->chosen;
	source_pad_key(padded_group, group->key);
	map_put(&sources->groups, padded_group, group);
	return group;
}

struct source_group *sources_take(struct sources *sources, const struct source *source)
{
	struct source_group *group = &sources->own;

	if (source != NULL && source->peer != 0) {
		group = sources_find(sources, source->group);
		if (group == NULL)
			group = sources_add_group(sources, source);
	}
	group->uses++;
	return group;
}

void sources_release(struct source_group *group)
{
	group->uses--;
}

void sources_serve(struct sources *sources, struct source_group *group)
{
	group->served = ++sources->turns;
}

/* Its standing may change before the end: what was counted is what is taken back. */
void sources_turn_begin(struct source_turn *turn, struct sources *sources, struct source_group *group, int64_t now)
{
	*turn = (struct source_turn){ sources, group, sources_standing(group, now) };
	sources_serve(sources, group);
	group->uses++;
	group->blocks++;
	sources->strangers += turn->standing == STANDING_STRANGER;
}

void sources_turn_end(const struct source_turn *turn)
{
	turn->sources->strangers -= turn->standing == STANDING_STRANGER;
	turn->group->blocks--;
	sources_release(turn->group);
}

size_t sources_strangers(const struct sources *sources)
{
	return sources->strangers;
}

/* Half of it a day: standing is for who is useful now, and cannot be saved up for an attack. A shift by 32 or more is 0
 * by then, or would be undefined. */
static void sources_halve_credit(struct source_group *group, int64_t now)
{
	const int64_t credit_day = now / SOURCES_DAY, days_passed = credit_day - group->credit_day;

	if (days_passed > 0)
		group->credit = days_passed < 32 ? group->credit >> days_passed : 0;
	group->credit_day = credit_day;
}

/* One false proof and all credit is gone: to earn it back costs as many right ones. */
void sources_proved(struct source_group *group, bool right, int64_t now)
{
	sources_halve_credit(group, now);
	if (!right)
		group->credit = 0;
	else if (group->credit < SOURCES_CREDIT_MAX)
		group->credit++;
}

enum standing sources_standing(struct source_group *group, int64_t now)
{
	sources_halve_credit(group, now);
	if (group->own)
		return STANDING_OWN;
	return group->chosen || group->credit > 0 ? STANDING_TRUSTED : STANDING_STRANGER;
}
