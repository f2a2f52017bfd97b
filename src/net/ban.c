/* The ban list: a plain array, looked through at each connection. What is over goes when somebody looks. */
#include "net/ban.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

void ban_init(struct ban_list *list)
{
	*list = (struct ban_list){ 0 };
}

void ban_clear(struct ban_list *list)
{
	free(list->bans);
	ban_init(list);
}

static struct ban *find_ban(struct ban_list *list, const uint8_t ip[16], unsigned prefix)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->bans[i].prefix == prefix && memcmp(list->bans[i].ip, ip, 16) == 0)
			return &list->bans[i];
	return NULL;
}

/* Before each look, so that nobody needs a timer for it. */
static void drop_expired(struct ban_list *list, int64_t now)
{
	for (size_t i = 0; i < list->count;)
		if (list->bans[i].until <= now)
			list->bans[i] = list->bans[--list->count];
		else
			i++;
}

/* A flood of liars' addresses costs at most BAN_MAX entries; the operator's own bans go like the others, those first
 * that end first. */
static struct ban *make_room(struct ban_list *list)
{
	struct ban *first;

	if (list->count < BAN_MAX) {
		if (list->count == list->cap) {
			list->cap = list->cap ? 2 * list->cap : 16;
			list->bans = mem_realloc(list->bans, list->cap * sizeof *list->bans);
		}
		return &list->bans[list->count++];
	}
	first = &list->bans[0];
	for (size_t i = 1; i < list->count; i++)
		if (list->bans[i].until < first->until)
			first = &list->bans[i];
	return first;
}

void ban_add(struct ban_list *list, const struct ban *ban)
{
	struct ban *place = find_ban(list, ban->ip, ban->prefix);

	if (place == NULL)
		place = make_room(list);
	*place = *ban;
}

/* The last one takes its place: the list has no order. */
bool ban_remove(struct ban_list *list, const uint8_t ip[16], unsigned prefix)
{
	struct ban *ban = find_ban(list, ip, prefix);

	if (ban == NULL)
		return false;
	*ban = list->bans[--list->count];
	return true;
}

const struct ban *ban_find(struct ban_list *list, const uint8_t ip[16], unsigned prefix, int64_t now)
{
	drop_expired(list, now);
	return find_ban(list, ip, prefix);
}

/* What the node itself has discouraged does not count: the operator may still connect there, and ban it for longer. */
bool ban_given(struct ban_list *list, const uint8_t ip[16], unsigned prefix, int64_t now)
{
	struct netaddr address = { .port = 0 };

	memcpy(address.ip, ip, 16);
	drop_expired(list, now);
	for (size_t i = 0; i < list->count; i++) {
		const struct ban *ban = &list->bans[i];
		bool same = ban->prefix == prefix && memcmp(ban->ip, ip, 16) == 0;

		if (!ban->discouraged && (same || (prefix == 128 && netaddr_in_subnet(&address, ban->ip, ban->prefix))))
			return true;
	}
	return false;
}

bool ban_covers(struct ban_list *list, const struct netaddr *address, int64_t now)
{
	drop_expired(list, now);
	for (size_t i = 0; i < list->count; i++)
		if (netaddr_in_subnet(address, list->bans[i].ip, list->bans[i].prefix))
			return true;
	return false;
}

/* The machine's own end: other loopback addresses have to be chosen on purpose. */
static bool is_own(const uint8_t group[16])
{
	struct netaddr v4, v6;
	uint8_t v6_group[16];

	netaddr_parse(&v4, "127.0.0.1", 1);
	netaddr_parse(&v6, "::1", 1);
	netaddr_group(&v6, v6_group);
	return memcmp(group, v4.ip, 16) == 0 || memcmp(group, v6_group, 16) == 0;
}

bool ban_discourage(struct ban_list *list, const uint8_t group[16], int64_t now)
{
	struct ban ban = {
		.prefix = netaddr_group_prefix(group),
		.created = now,
		.until = now + BAN_DEFAULT_SECONDS,
		.discouraged = true,
	};

	if (is_own(group))
		return false;
	memcpy(ban.ip, group, 16);
	ban_add(list, &ban);
	return true;
}
