/* Records of address groups, and which of them goes. */
#include "chain/mempool/round_groups.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { ROUND_GROUPS_WORST = 1 << 20 /* turns passed beyond which nobody is any worse */ };

static void round_groups_key(const uint8_t group[SOURCE_GROUP], uint8_t key[32])
{
	memset(key, 0, 32);
	memcpy(key, group, SOURCE_GROUP);
}

void round_groups_init(struct round_groups *groups)
{
	map_init(&groups->by_group);
	memset(groups->base_id, 0, sizeof groups->base_id);
}

void round_groups_clear(struct round_groups *groups)
{
	const uint8_t *key;
	void *group;

	for (size_t at = 0; map_next(&groups->by_group, &at, &key, &group);)
		free(group);
	map_clear(&groups->by_group);
}

/* What it would cost to forget it: a silence most of all. */
static uint64_t round_groups_weight(const struct round_group *group)
{
	return ((uint64_t)(group->is_silenced || group->silent_until > 0) << 63) + ((uint64_t)group->passed << 32) +
		group->faults + group->has_given;
}

/* Linear in all of them, and only where somebody comes with so many addresses. */
static void round_groups_drop_least(struct round_groups *groups)
{
	const struct round_group *least = NULL;
	const uint8_t *key;
	uint8_t least_key[32];
	void *found;

	for (size_t at = 0; map_next(&groups->by_group, &at, &key, &found);) {
		const struct round_group *group = found;

		if (group->uses > 0 || (least != NULL && round_groups_weight(group) >= round_groups_weight(least)))
			continue;
		least = group;
	}
	if (least == NULL)
		return;
	round_groups_key(least->group, least_key);
	free(map_remove(&groups->by_group, least_key));
}

/* Another round begins: whoever comes over from another branch is heard again, and one who was slow may be quick now.
 */
static void round_groups_renew(struct round_group *group, const uint8_t base_id[32])
{
	memcpy(group->base_id, base_id, 32);
	group->faults = 0;
	group->is_silenced = false;
	group->passed /= 2;
}

struct round_group *round_groups_get(struct round_groups *groups, const uint8_t group_id[SOURCE_GROUP])
{
	struct round_group *group;
	uint8_t key[32];

	round_groups_key(group_id, key);
	group = map_get(&groups->by_group, key);
	if (group == NULL) {
		if (groups->by_group.count >= ROUND_GROUPS_MAX)
			round_groups_drop_least(groups);
		group = mem_calloc(1, sizeof *group);
		memcpy(group->group, group_id, SOURCE_GROUP);
		memcpy(group->base_id, groups->base_id, 32);
		map_put(&groups->by_group, key, group);
	} else if (memcmp(group->base_id, groups->base_id, 32) != 0) {
		round_groups_renew(group, groups->base_id);
	}
	return group;
}

struct round_group *round_groups_find(const struct round_groups *groups, const uint8_t group_id[SOURCE_GROUP])
{
	uint8_t key[32];

	round_groups_key(group_id, key);
	return map_get(&groups->by_group, key);
}

void round_groups_silence(struct round_group *group, int64_t until)
{
	group->is_silenced = true;
	if (until > group->silent_until)
		group->silent_until = until;
}

void round_groups_note_fault(struct round_group *group, uint32_t allowed)
{
	if (++group->faults > allowed)
		group->is_silenced = true;
}

bool round_groups_is_silenced(const struct round_groups *groups, const uint8_t group_id[SOURCE_GROUP], int64_t now)
{
	const struct round_group *group = round_groups_find(groups, group_id);

	return group != NULL &&
		(now < group->silent_until || (group->is_silenced && memcmp(group->base_id, groups->base_id, 32) == 0));
}

void round_groups_passed(struct round_group *group)
{
	if (group->passed < ROUND_GROUPS_WORST)
		group->passed++;
	group->has_given = false;
}

void round_groups_gave(struct round_group *group)
{
	group->passed = 0;
	group->has_given = true;
}

uint32_t round_groups_rank(const struct round_group *group)
{
	return group->passed > 0 ? 1 + group->passed : !group->has_given;
}
