/* Headers that come in: what can be told by them alone, and how many are held. */
#include <string.h>

#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "util/clock.h"
#include "util/log.h"

enum {
	HEADERS_AHEAD = 4032, /* headers above the tip: digests are free, so header work proves nothing */
	HEADERS_MAX = 200000, /* headers without block bytes held in memory */
};

static enum chain_result headers_known(const struct full_entry *full, struct reject *reject)
{
	if (full->entry.status != ENTRY_INVALID)
		return CHAIN_KNOWN;
	reject_again(reject, full->entry.invalid_reason, "the block was refused before");
	return CHAIN_REJECTED;
}

/* Header work proves nothing, so how many are held is bounded. Neither is the sender's fault: an honest one on a longer
 * branch meets the same bounds. */
static bool headers_check_room(const struct chain *chain, const struct full_entry *parent, struct reject *reject)
{
	if (parent->entry.height >= chain_tip(chain)->height + HEADERS_AHEAD)
		return reject_set(reject, REASON_TOO_FAR_AHEAD, "the header is more than %d blocks above the tip",
			(int)HEADERS_AHEAD);
	if (chain->index.header_only >= HEADERS_MAX)
		return reject_set(reject, REASON_TOO_MANY_HEADERS, "%d headers without blocks are held",
			(int)HEADERS_MAX);
	return true;
}

/* What is too new is held against the other rules too, as if it were due: whoever keeps it for later keeps nothing that
 * will be refused then. */
static bool headers_check(const struct chain *chain, const struct header *header, const struct parent_view *parent_view,
	struct reject *reject)
{
	struct reject other_reject;

	if (block_check_header(chain->spec, header, parent_view, (uint64_t)clock_wall(), reject))
		return true;
	if (reject->why == REASON_TIME_TOO_NEW &&
		!block_check_header(chain->spec, header, parent_view, header->time, &other_reject))
		*reject = other_reject;
	return false;
}

/* Nothing is written for a header: it is asked for again after a restart. Known ones come first, since peers send the
 * same header again and again; then what costs one look-up; the rules, whose price is a hash or two, last. */
enum chain_result chain_add_header(struct chain *chain, const struct header *header, const struct index_entry **entry,
	struct reject *reject)
{
	struct parent_view parent_view;
	struct full_entry *full, *parent;
	uint8_t incoming_id[32];

	if (entry != NULL)
		*entry = NULL;
	if (chain->failed)
		return halt_explain(chain, CHAIN_ERROR, reject);
	header_id(header, incoming_id);
	full = index_find(&chain->index, incoming_id);
	if (full != NULL) {
		if (entry != NULL)
			*entry = &full->entry;
		return headers_known(full, reject);
	}
	parent = index_find(&chain->index, header->prev);
	if (parent == NULL) {
		reject_set(reject, REASON_PREV_BLK_NOT_FOUND, "the parent is not known");
		return CHAIN_ORPHAN;
	}
	if (parent->entry.status == ENTRY_INVALID) {
		reject_set(reject, REASON_BAD_PREVBLK, "the parent was refused: %s", parent->entry.invalid_reason);
		return CHAIN_REJECTED;
	}
	index_parent_view(&parent->entry, &parent_view);
	if (!headers_check(chain, header, &parent_view, reject) || !headers_check_room(chain, parent, reject))
		return CHAIN_REJECTED;
	full = index_add(&chain->index, header, incoming_id);
	if (entry != NULL)
		*entry = &full->entry;
	return CHAIN_NEW;
}

/* Blocks that wait no more are dropped first, since they hold on to their headers. */
void chain_forget_headers(struct chain *chain)
{
	const size_t headers_before = chain->index.count;

	waiting_prune(chain);
	index_forget_headers(&chain->index);
	log_info("[chain] %zu headers without blocks are forgotten", headers_before - chain->index.count);
}
