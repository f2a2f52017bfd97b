/* The one block that is kept until it is due. */
#include "work/found.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

bool found_is_early(const struct chain *chain, const struct header *header)
{
	return (int64_t)header->time > clock_wall() + spec_future_limit(chain_spec(chain));
}

void found_drop(struct found_block *found)
{
	block_unref(found->block);
	free(found->body);
	memset(found, 0, sizeof *found);
}

static bool found_is_lower(const uint8_t ticket[32], const uint8_t rival_ticket[32])
{
	return u256_compare(u256_from_bytes(ticket), u256_from_bytes(rival_ticket)) < 0;
}

struct found_block found_keep(struct found_block *found, struct block *block, uint8_t *body)
{
	const struct found_block older = *found;
	struct found_block newer = { .block = block, .body = body };

	header_ticket(&block->header, newer.ticket);
	if (older.block != NULL && memcmp(older.block->header.prev, block->header.prev, 32) == 0 &&
		!found_is_lower(newer.ticket, older.ticket))
		return newer;
	*found = newer;
	return older;
}

/* On the tip it can win; beside the tip too, where its ticket is the lower one: the tip was due at the same time. */
static bool found_may_win(const struct found_block *found, const struct index_entry *tip)
{
	const uint8_t *found_prev = found->block->header.prev;

	if (memcmp(found_prev, tip->id, 32) == 0)
		return true;
	return tip->parent != NULL && memcmp(found_prev, tip->parent->id, 32) == 0 &&
		found_is_lower(found->ticket, tip->ticket);
}

struct found_block found_let_go(struct found_block *found, const struct chain *chain)
{
	struct found_block lost = { .block = NULL };

	if (found->block != NULL && !found_may_win(found, chain_tip(chain))) {
		lost = *found;
		*found = (struct found_block){ .block = NULL };
	}
	return lost;
}

bool found_is_due(const struct found_block *found, const struct chain *chain)
{
	return found->block != NULL && !found_is_early(chain, &found->block->header);
}
