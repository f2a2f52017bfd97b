/* Counting bytes that wait for a block, by address group. */
#include "chain/mempool/pending.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/blobs.h"
#include "consensus/payload/contribution.h"
#include "util/mem.h"

enum { PENDING_GROUPS = 4 }; /* so many groups fill all the room */

void pending_init(struct pending *pending)
{
	map_init(&pending->groups);
	pending->bytes = 0;
	pending->most = BLOBS_PENDING_BUDGET;
}

void pending_clear(struct pending *pending)
{
	const uint8_t *pending_key;
	void *group_bytes;

	for (size_t pending_at = 0; map_next(&pending->groups, &pending_at, &pending_key, &group_bytes);)
		free(group_bytes);
	map_clear(&pending->groups);
}

struct pending_share pending_share_of(const struct tx *tx, const struct source *source)
{
	struct pending_share share = { .bytes = 0 };

	if (source != NULL && source->peer != 0) {
		memcpy(share.group, source->group, SOURCE_GROUP);
		share.bytes = contribution_bytes(tx);
	}
	return share;
}

static void pending_pad_key(uint8_t padded_group[32], const uint8_t group[SOURCE_GROUP])
{
	memset(padded_group, 0, 32);
	memcpy(padded_group, group, SOURCE_GROUP);
}

void pending_add(struct pending *pending, const struct pending_share *share)
{
	uint8_t padded_group[32];
	uint64_t *group_bytes;

	if (share->bytes == 0)
		return;
	pending_pad_key(padded_group, share->group);
	group_bytes = map_get(&pending->groups, padded_group);
	if (group_bytes == NULL) {
		group_bytes = mem_calloc(1, sizeof *group_bytes);
		map_put(&pending->groups, padded_group, group_bytes);
	}
	*group_bytes += share->bytes;
	pending->bytes += share->bytes;
}

/* Exactly what was added: so groups are as few as there are shares. */
void pending_remove(struct pending *pending, const struct pending_share *share)
{
	uint8_t padded_group[32];
	uint64_t *group_bytes;

	if (share->bytes == 0)
		return;
	pending_pad_key(padded_group, share->group);
	group_bytes = map_get(&pending->groups, padded_group);
	*group_bytes -= share->bytes;
	pending->bytes -= share->bytes;
	if (*group_bytes == 0)
		free(map_remove(&pending->groups, padded_group));
}

uint64_t pending_of(const struct pending *pending, const uint8_t group[SOURCE_GROUP])
{
	uint8_t padded_group[32];
	const uint64_t *group_bytes;

	pending_pad_key(padded_group, group);
	group_bytes = map_get(&pending->groups, padded_group);
	return group_bytes != NULL ? *group_bytes : 0;
}

bool pending_check(const struct pending *pending, const struct pending_share *share, struct reject *reject)
{
	const uint64_t group_most = pending->most / PENDING_GROUPS;

	if (share->bytes == 0 || pending_of(pending, share->group) + share->bytes <= group_most)
		return true;
	return reject_as(reject, REJECT_NOT_YET, REASON_BLOB_POOL_FULL,
		"contributions from there would register %" PRIu64 " bytes that no block has, %" PRIu64 " at most",
		pending_of(pending, share->group) + share->bytes, group_most);
}
