/* Host, Origin and what browsers say of who asks. */
#include "web/guard.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* A host without port and brackets, as it stands in a longer text. */
struct guard_name {
	const char *text;
	size_t size;
};

/* A name or an IPv4 address ends at the colon of a port. An IPv6 address has several, and brackets wherever a port may
 * follow. */
static struct guard_name guard_name_of(const char *text)
{
	const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL, *colon = strchr(text, ':');

	if (bracket != NULL)
		return (struct guard_name){ text + 1, (size_t)(bracket - text - 1) };
	if (colon != NULL && strchr(colon + 1, ':') == NULL)
		return (struct guard_name){ text, (size_t)(colon - text) };
	return (struct guard_name){ text, strlen(text) };
}

static bool guard_same(struct guard_name name, const char *other)
{
	struct guard_name other_name = guard_name_of(other);

	return name.size == other_name.size && strncasecmp(name.text, other_name.text, name.size) == 0;
}

/* Of what stands behind the host nothing but a port is read as one: "localhost]:x" means no host at all. */
static bool guard_has_form(const char *text, struct guard_name name)
{
	const char *behind = name.text + name.size;

	behind += *behind == ']' && text[0] == '[';
	if (*behind == ':')
		behind += 1 + strspn(behind + 1, "0123456789");
	return name.size > 0 && *behind == '\0';
}

static bool guard_knows(const struct guard *guard, const char *host)
{
	static const char *const guard_loopback[] = { "localhost", "127.0.0.1", "[::1]" };
	struct guard_name name = guard_name_of(host);

	if (!guard_has_form(host, name))
		return false;
	for (size_t i = 0; i < sizeof guard_loopback / sizeof guard_loopback[0]; i++)
		if (guard_same(name, guard_loopback[i]))
			return true;
	for (size_t i = 0; i < guard->bind_count; i++)
		if (guard_same(name, guard->binds[i]))
			return true;
	for (size_t i = 0; i < guard->host_count; i++)
		if (guard_same(name, guard->hosts[i]))
			return true;
	return false;
}

/* A browser sends the origin of the page that asks. One of ours has been fetched under the name that it asks again. */
static bool guard_is_own_origin(const char *origin, const char *host)
{
	static const char *const guard_schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < sizeof guard_schemes / sizeof guard_schemes[0]; i++) {
		size_t scheme_size = strlen(guard_schemes[i]);

		if (strncasecmp(origin, guard_schemes[i], scheme_size) == 0)
			return strcasecmp(origin + scheme_size, host) == 0;
	}
	return false;
}

/* Who follows a link from another page sees this one, and that page does not. All else that it may embed or fetch from
 * here would cost the node work, and tell by its time or failure what it is not to know. */
static bool guard_is_own_fetch(const struct http_head *head)
{
	const char *site = head->fields[HTTP_FETCH_SITE], *mode = head->fields[HTTP_FETCH_MODE];

	if (site == NULL || strcasecmp(site, "same-origin") == 0 || strcasecmp(site, "none") == 0)
		return true;
	return mode != NULL && strcasecmp(mode, "navigate") == 0 && strcmp(head->method, "GET") == 0;
}

int guard_judge(const struct guard *guard, const struct http_head *head)
{
	const char *host = head->fields[HTTP_HOST], *origin = head->fields[HTTP_ORIGIN];

	/* A whole address in the request line would have a host of its own, which counts before the field. So has one
	 * that begins with two slashes, and a proxy that keeps some paths back would take it for a path. */
	if (head->target[0] != '/' || head->target[1] == '/' || host == NULL)
		return 400;
	if (!guard_knows(guard, host))
		return 421;
	if (origin != NULL && !guard_is_own_origin(origin, host))
		return 403;
	return guard_is_own_fetch(head) ? 0 : 403;
}

bool guard_is_host(const char *host)
{
	struct guard_name name = guard_name_of(host);
	const char *behind = name.text + name.size;

	for (size_t i = 0; i < name.size; i++)
		if (!isalnum((unsigned char)name.text[i]) && strchr("-._:", name.text[i]) == NULL)
			return false;
	return name.size > 0 && (*behind == '\0' || strcmp(behind, "]") == 0);
}
