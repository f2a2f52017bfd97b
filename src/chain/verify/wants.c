/* Which blobs are missing, and telling of them. */
#include "chain/verify/wants.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "consensus/payload/round_tx.h"
#include "util/mem.h"

bool wants_here(const struct blobs *blobs, const struct blob_want *want)
{
	return blobs_size(blobs, want->root) == want->size;
}

bool wants_judged(const struct chain *chain, const struct blob_want *want)
{
	return wants_here(chain->blobs, want) && judge_is_ready(chain->judge, want->root);
}

/* Bounded by what registers them: each is an output of it. */
static size_t wants_append(const struct tx *tx, struct blob_want **wants, size_t want_count)
{
	for (size_t i = 0; i < tx->output_count; i++) {
		struct contribution registered;

		if (!contribution_parse(&tx->outputs[i].script, &registered))
			continue;
		*wants = mem_realloc(*wants, (want_count + 1) * sizeof **wants);
		memcpy((*wants)[want_count].root, registered.root, 32);
		(*wants)[want_count++].size = registered.size;
	}
	return want_count;
}

size_t wants_of_tx(const struct tx *tx, struct blob_want **wants)
{
	*wants = NULL;
	return wants_append(tx, wants, 0);
}

size_t wants_of_block(const struct block *block, struct blob_want **wants)
{
	size_t want_count = 0;

	*wants = NULL;
	for (size_t i = 1; i < block->tx_count; i++)
		want_count = wants_append(block->txs[i], wants, want_count);
	return want_count;
}

/* What is beyond a block's most breaks a rule, which is found out later: no byte of it is fetched. */
size_t wants_of_round(const struct spec *spec, const struct block *block, struct blob_want **wants)
{
	size_t left[] = { [ROUND_COMMIT] = 0,
		[ROUND_DISCLOSURE] = round_disclosures_most(spec),
		[ROUND_CHALLENGE] = round_challenges_most(spec) };
	size_t want_count = 0;

	*wants = NULL;
	for (size_t i = 1; i < block->tx_count; i++) {
		struct round_tx round_tx;

		if (!round_tx_is_on(spec, block->txs[i]) || !round_tx_parse(block->txs[i], &round_tx) ||
			left[round_tx.kind] == 0)
			continue;
		left[round_tx.kind]--;
		*wants = mem_realloc(*wants, (want_count + 1) * sizeof **wants);
		memcpy((*wants)[want_count].root, round_tx.root, 32);
		(*wants)[want_count++].size = round_blob_size(spec, round_tx.kind, round_tx.length);
	}
	return want_count;
}

void wants_begin(const struct spec *spec, struct waiting_block *waiting, const struct block *block)
{
	struct blob_want *of_round;
	size_t of_round_count = wants_of_round(spec, block, &of_round);

	waiting->want_count = waiting->registered_count = wants_of_block(block, &waiting->wants);
	for (size_t i = 0; i < of_round_count; i++)
		wants_add(waiting, &of_round[i]);
	waiting->rest_count = waiting->want_count;
	free(of_round);
}

void wants_add(struct waiting_block *waiting, const struct blob_want *missing)
{
	waiting->wants = mem_realloc(waiting->wants, (waiting->want_count + 1) * sizeof *waiting->wants);
	waiting->wants[waiting->want_count++] = *missing;
}

/* The first of the blobs it needs for its next job. Blobs that the block registers or discloses are asked for only when
 * its own proof was executed: until then a stranger could have this node fetch anything. Those of datasets that its
 * step trains on stand behind them, and are needed first. */
static size_t wants_first(const struct waiting_block *waiting)
{
	return waiting->full->proven ? 0 : waiting->rest_count;
}

bool wants_met(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = wants_first(waiting); i < waiting->want_count; i++)
		if (i < waiting->registered_count ? !wants_judged(chain, &waiting->wants[i]) :
						    !wants_here(chain->blobs, &waiting->wants[i]))
			return false;
	return true;
}

/* Linear in blocks that wait, which are few: it is asked once for each blob that comes. */
bool wants_include(const struct chain *chain, const struct blob_want *want)
{
	for (size_t i = 0; i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];

		for (size_t j = wants_first(waiting); j < waiting->want_count; j++)
			if (memcmp(waiting->wants[j].root, want->root, 32) == 0 &&
				(want->size == 0 || waiting->wants[j].size == want->size))
				return true;
	}
	return false;
}

bool wants_register(const struct chain *chain, const uint8_t root[32])
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		for (size_t j = 0; j < chain->waiting[i].registered_count; j++)
			if (memcmp(chain->waiting[i].wants[j].root, root, 32) == 0)
				return true;
	return false;
}

/* The first that is not here of what its next job needs; NULL: all are. */
static const struct blob_want *wants_missing(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = wants_first(waiting); i < waiting->want_count; i++)
		if (!wants_here(chain->blobs, &waiting->wants[i]))
			return &waiting->wants[i];
	return NULL;
}

bool chain_block_awaits(const struct chain *chain, const struct index_entry *entry, uint8_t root[32])
{
	const struct blob_want *missing = NULL;

	for (size_t i = 0; i < chain->waiting_count && missing == NULL; i++)
		if (&chain->waiting[i].full->entry == entry)
			missing = wants_missing(chain, &chain->waiting[i]);
	if (missing != NULL)
		memcpy(root, missing->root, 32);
	return missing != NULL;
}

/* Of the lowest block that waits, of those that have more work than the tip. */
bool chain_awaited_blob(const struct chain *chain, uint8_t root[32], uint32_t *height)
{
	const struct index_entry *lowest = NULL;

	for (size_t i = 0; i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];
		const struct index_entry *entry = &waiting->full->entry;
		const struct blob_want *missing;

		if ((lowest != NULL && lowest->height <= entry->height) ||
			u256_compare(waiting->full->promised_work, chain_tip(chain)->chain_work) <= 0)
			continue;
		missing = wants_missing(chain, waiting);
		if (missing == NULL)
			continue;
		memcpy(root, missing->root, 32);
		lowest = entry;
	}
	if (lowest != NULL)
		*height = lowest->height;
	return lowest != NULL;
}

/* --- telling --- */

/* From a copy: whoever is told may bring a blob or a block at once, and the list changes. */
void wants_ask(struct chain *chain, const struct waiting_block *waiting)
{
	const size_t first_needed = wants_first(waiting), want_count = waiting->want_count - first_needed;
	const size_t registered_needed = first_needed == 0 ? waiting->registered_count : 0;
	const uint64_t wants_peer = waiting->full->source.peer;
	struct blob_want *asked_wants;

	if (want_count == 0)
		return;
	asked_wants = mem_dup(waiting->wants + first_needed, want_count * sizeof *asked_wants);
	for (size_t i = 0; i < want_count; i++)
		if (!wants_here(chain->blobs, &asked_wants[i]))
			NOTIFY(&chain->notices, blob_wanted, asked_wants[i].root, asked_wants[i].size, wants_peer);
		else if (i < registered_needed)
			judge_begin(chain->judge, chain->registry, asked_wants[i].root);
	free(asked_wants);
}

void wants_tell(const struct chain *chain, const struct chain_events *events)
{
	for (size_t i = 0; events->blob_wanted != NULL && i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];

		for (size_t j = wants_first(waiting); j < waiting->want_count; j++)
			if (!wants_here(chain->blobs, &waiting->wants[j]))
				events->blob_wanted(events->context, waiting->wants[j].root, waiting->wants[j].size,
					waiting->full->source.peer);
	}
}

void wants_ask_again(struct chain *chain)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		wants_ask(chain, &chain->waiting[i]);
}
