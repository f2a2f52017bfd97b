/* A short list without order: it is walked whole each time. */
#include "net/early_headers.h"

#include <string.h>

static bool early_headers_same(const struct header *header, const struct header *other)
{
	uint8_t header_bytes[HEADER_SIZE], other_bytes[HEADER_SIZE];

	header_write(header_bytes, header);
	header_write(other_bytes, other);
	return memcmp(header_bytes, other_bytes, HEADER_SIZE) == 0;
}

/* The last takes its place. */
static void early_headers_drop(struct early_headers *early, size_t at)
{
	early->kept[at] = early->kept[--early->count];
}

/* Whether there is room for one that is due then beside others of the group (NULL: all), of which so many are kept at
 * most: what is due later than it makes room. */
static bool early_headers_has_room(struct early_headers *early, const uint8_t *group, size_t most, int64_t due)
{
	size_t kept_count = 0, last_due = 0;

	for (size_t i = 0; i < early->count; i++) {
		if (group != NULL && memcmp(early->kept[i].source.group, group, SOURCE_GROUP) != 0)
			continue;
		if (kept_count == 0 || early->kept[i].due > early->kept[last_due].due)
			last_due = i;
		kept_count++;
	}
	if (kept_count < most)
		return true;
	if (early->kept[last_due].due <= due)
		return false;
	early_headers_drop(early, last_due);
	return true;
}

void early_headers_keep(struct early_headers *early, const struct early_header *header)
{
	for (size_t i = 0; i < early->count; i++)
		if (early_headers_same(&early->kept[i].header, &header->header))
			return;
	if (early_headers_has_room(early, header->source.group, EARLY_HEADERS_GROUP, header->due) &&
		early_headers_has_room(early, NULL, EARLY_HEADERS_MAX, header->due))
		early->kept[early->count++] = *header;
}

bool early_headers_take(struct early_headers *early, int64_t now, struct early_header *header)
{
	for (size_t i = 0; i < early->count; i++) {
		if (early->kept[i].due > now)
			continue;
		*header = early->kept[i];
		early_headers_drop(early, i);
		return true;
	}
	return false;
}
