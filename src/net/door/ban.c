/* The ban list: a plain array, looked through at each connection. What is over goes when somebody looks. */
#include "net/door/ban.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

void ban_init(struct ban_list *ban_list)
{
	*ban_list = (struct ban_list){ 0 };
}

void ban_clear(struct ban_list *ban_list)
{
	free(ban_list->bans);
	ban_init(ban_list);
}

static struct ban *ban_find_same(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix)
{
	for (size_t i = 0; i < ban_list->count; i++)
		if (ban_list->bans[i].prefix == prefix && memcmp(ban_list->bans[i].ip, ip, 16) == 0)
			return &ban_list->bans[i];
	return NULL;
}

/* Before each look, so that nobody needs a timer for it. */
static void ban_drop_expired(struct ban_list *ban_list, int64_t now)
{
	for (size_t i = 0; i < ban_list->count;)
		if (ban_list->bans[i].until <= now)
			ban_list->bans[i] = ban_list->bans[--ban_list->count];
		else
			i++;
}

/* A flood of liars' addresses costs at most BAN_MAX entries; the operator's own bans go like the others, those first
 * that end first. */
static struct ban *ban_make_room(struct ban_list *ban_list)
{
	struct ban *first_ban;

	if (ban_list->count < BAN_MAX) {
		if (ban_list->count == ban_list->cap) {
			ban_list->cap = ban_list->cap ? 2 * ban_list->cap : 16;
			ban_list->bans = mem_realloc(ban_list->bans, ban_list->cap * sizeof *ban_list->bans);
		}
		return &ban_list->bans[ban_list->count++];
	}
	first_ban = &ban_list->bans[0];
	for (size_t i = 1; i < ban_list->count; i++)
		if (ban_list->bans[i].until < first_ban->until)
			first_ban = &ban_list->bans[i];
	return first_ban;
}

void ban_add(struct ban_list *ban_list, const struct ban *ban)
{
	struct ban *ban_place = ban_find_same(ban_list, ban->ip, ban->prefix);

	if (ban_place == NULL)
		ban_place = ban_make_room(ban_list);
	*ban_place = *ban;
}

/* The last one takes its place: the list has no order. */
bool ban_remove(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix)
{
	struct ban *ban = ban_find_same(ban_list, ip, prefix);

	if (ban == NULL)
		return false;
	*ban = ban_list->bans[--ban_list->count];
	return true;
}

const struct ban *ban_find(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix, int64_t now)
{
	ban_drop_expired(ban_list, now);
	return ban_find_same(ban_list, ip, prefix);
}

/* What the node itself has discouraged does not count: the operator may still connect there, and ban it for longer. */
bool ban_given(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix, int64_t now)
{
	struct netaddr banned_address = { .port = 0 };

	memcpy(banned_address.ip, ip, 16);
	ban_drop_expired(ban_list, now);
	for (size_t i = 0; i < ban_list->count; i++) {
		const struct ban *ban = &ban_list->bans[i];
		bool same = ban->prefix == prefix && memcmp(ban->ip, ip, 16) == 0;

		if (!ban->discouraged &&
			(same || (prefix == 128 && netaddr_in_subnet(&banned_address, ban->ip, ban->prefix))))
			return true;
	}
	return false;
}

bool ban_covers(struct ban_list *ban_list, const struct netaddr *address, int64_t now)
{
	ban_drop_expired(ban_list, now);
	for (size_t i = 0; i < ban_list->count; i++)
		if (netaddr_in_subnet(address, ban_list->bans[i].ip, ban_list->bans[i].prefix))
			return true;
	return false;
}

/* The machine's own end: other loopback addresses have to be chosen on purpose. */
static bool ban_is_own(const uint8_t group[16])
{
	struct netaddr own_v4, own_v6;
	uint8_t own_v6_group[16];

	netaddr_parse(&own_v4, "127.0.0.1", 1);
	netaddr_parse(&own_v6, "::1", 1);
	netaddr_group(&own_v6, own_v6_group);
	return memcmp(group, own_v4.ip, 16) == 0 || memcmp(group, own_v6_group, 16) == 0;
}

bool ban_discourage(struct ban_list *ban_list, const uint8_t group[16], int64_t now)
{
	struct ban ban = {
		.prefix = netaddr_group_prefix(group),
		.created = now,
		.until = now + BAN_DEFAULT_SECONDS,
		.discouraged = true,
	};

	if (ban_is_own(group))
		return false;
	memcpy(ban.ip, group, 16);
	ban_add(ban_list, &ban);
	return true;
}
