/* What comes from outside: headers, blocks, own proofs, blobs, and the operator's overrides. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

/* --- headers --- */

static enum chain_result known_header(const struct node *node, struct reject *reject)
{
	if (node->entry.status != ENTRY_INVALID)
		return CHAIN_KNOWN;
	reject_set(reject, REJECT_INVALID, node->entry.invalid_reason, "the block was refused before");
	return CHAIN_REJECTED;
}

/* Header work proves nothing, so how many are held is bounded. */
static bool check_room(const struct chain *chain, const struct node *parent, struct reject *reject)
{
	if (parent->entry.height >= chain_tip(chain)->height + CHAIN_HEADERS_AHEAD)
		return reject_set(reject, REJECT_NOT_YET, "too-far-ahead",
			"the header is more than %d blocks above the tip", (int)CHAIN_HEADERS_AHEAD);
	if (chain->index.header_only >= CHAIN_HEADERS_MAX)
		return reject_set(reject, REJECT_NOT_YET, "too-many-headers", "%d headers without blocks are held",
			(int)CHAIN_HEADERS_MAX);
	return true;
}

enum chain_result chain_add_header(struct chain *chain, const struct header *header, const struct index_entry **entry,
	struct reject *reject)
{
	struct parent_view view;
	struct node *node, *parent;
	uint8_t id[32];

	if (entry != NULL)
		*entry = NULL;
	if (chain->failed)
		return CHAIN_ERROR;
	header_id(header, id);
	node = index_find(&chain->index, id);
	if (node != NULL) {
		if (entry != NULL)
			*entry = &node->entry;
		return known_header(node, reject);
	}
	parent = index_find(&chain->index, header->prev);
	if (parent == NULL) {
		reject_set(reject, REJECT_NOT_YET, "prev-blk-not-found", "the parent is not known");
		return CHAIN_ORPHAN;
	}
	if (parent->entry.status == ENTRY_INVALID) {
		reject_set(reject, REJECT_INVALID, "bad-prevblk", "the parent was refused: %s",
			parent->entry.invalid_reason);
		return CHAIN_REJECTED;
	}
	index_parent_view(&parent->entry, &view);
	if (!header_check(chain->spec, header, &view, (uint64_t)clock_wall(), reject) ||
		!check_room(chain, parent, reject))
		return CHAIN_REJECTED;
	node = index_add(&chain->index, header, id);
	if (entry != NULL)
		*entry = &node->entry;
	return CHAIN_NEW;
}

void chain_forget_headers(struct chain *chain)
{
	const size_t before = chain->index.count;

	waiting_prune(chain);
	index_forget_headers(&chain->index);
	log_info("[chain] %zu headers without blocks are forgotten", before - chain->index.count);
}

/* --- blocks --- */

static bool check_bodies(const struct chain *chain, const struct block *block, struct reject *reject)
{
	for (size_t i = 0; block->bodies != NULL && i <= block->loose_count; i++) {
		const struct header *header = i == 0 ? &block->header : &block->loose[i - 1];
		uint8_t digest[32];

		sha256(digest, block->bodies[i], block_body_size(chain->spec));
		if (memcmp(digest, header->digest, 32) != 0)
			return reject_set(reject, REJECT_INVALID, "bad-proof-body",
				"the body of proof %zu does not hash to its digest", i);
	}
	return true;
}

/* Whether transactions and loose proofs are those that the header names. If not, the header is not to blame. It names
 * the coinbase by its txid, which no witness changes: whoever passes the block on could have added one. */
static bool check_mutated(const struct block *block, struct reject *reject)
{
	uint8_t root[32];

	for (size_t i = 0; block->tx_count > 0 && i < block->txs[0]->input_count; i++)
		if (block->txs[0]->inputs[i].witness_count > 0)
			return reject_set(reject, REJECT_INVALID, "bad-cb-height", "the coinbase has a witness");
	block_tx_root(block, root);
	if (memcmp(root, block->header.tx_root, 32) != 0)
		return reject_set(reject, REJECT_INVALID, "bad-txnmrklroot", "the transactions are not the header's");
	block_proofs_root(block, root);
	if (memcmp(root, block->header.proofs_root, 32) != 0)
		return reject_set(reject, REJECT_INVALID, "bad-proofs-root", "the loose proofs are not the header's");
	return true;
}

/* Old forks are cheap to make: they are stored only if their headers promise more work than the tip has. */
static bool check_old(const struct chain *chain, const struct node *node, struct reject *reject)
{
	const struct index_entry *entry = &node->entry, *tip = chain_tip(chain);

	if (entry->height + CHAIN_OLD_FORK >= tip->height || u256_compare(node->promised_work, tip->chain_work) > 0)
		return true;
	return reject_set(reject, REJECT_NOT_YET, "too-little-chainwork", "an old fork with less work than the tip");
}

/* Rules of the block itself. One that breaks them is refused for good. */
static enum chain_result check_rules(struct chain *chain, struct node *node, const struct block *block,
	struct reject *reject)
{
	const struct index_entry *parent = node->entry.parent;
	enum connect_result result = CONNECT_OK;
	struct parent_view view;
	struct errmsg err;

	index_parent_view(parent, &view);
	if (!block_check(chain->spec, block, &view, reject))
		result = CONNECT_INVALID;
	else if (parent == chain_tip(chain))
		result = connect_check(chain, node, block, reject, &err);
	switch (result) {
	case CONNECT_OK:
		return CHAIN_NEW;
	case CONNECT_INVALID:
		connect_refuse(chain, node, reject->reason);
		return CHAIN_REJECTED;
	case CONNECT_FAILED:
		return chain_fail(chain, &err);
	}
	return CHAIN_ERROR;
}

/* What this node's operator brings goes to disk at once; a stranger's block when its own proof has been executed. */
static enum chain_result keep(struct chain *chain, struct node *node, const struct block *block,
	const struct source *source, struct reject *reject)
{
	struct errmsg err;

	node->entry.tx_count = (uint32_t)block->tx_count;
	node->entry.loose_count = (uint32_t)block->loose_count;
	if (source == NULL) {
		if (!waiting_store(chain, node, block, &err))
			return chain_fail(chain, &err);
		waiting_add(chain, node, block);
	} else if (!waiting_hold(chain, node, block, source)) {
		reject_set(reject, REJECT_NOT_YET, "block-pool-full", "blocks that wait take all the room there is");
		return CHAIN_REJECTED;
	}
	return CHAIN_NEW;
}

/* The operator brings what a stranger brought before: it is his then. */
static void take_over(struct chain *chain, const struct node *node)
{
	if (node->entry.held && !node->in_work)
		waiting_drop(chain, waiting_find(chain, node));
}

static enum chain_result add_block(struct chain *chain, const struct block *block, const struct source *source,
	struct reject *reject)
{
	const struct index_entry *entry;
	enum chain_result result;
	struct node *node;

	/* Before the header is looked at: damage on the way must not be blamed on it. */
	if (!check_mutated(block, reject) || !check_bodies(chain, block, reject))
		return CHAIN_REJECTED;
	result = chain_add_header(chain, &block->header, &entry, reject);
	if (result != CHAIN_NEW && result != CHAIN_KNOWN)
		return result;
	node = node_of(entry);
	if (source == NULL)
		take_over(chain, node);
	if (entry->status != ENTRY_HEADER || entry->held)
		return CHAIN_KNOWN;
	if (!check_old(chain, node, reject))
		return CHAIN_REJECTED;
	result = check_rules(chain, node, block, reject);
	return result == CHAIN_NEW ? keep(chain, node, block, source, reject) : result;
}

enum chain_result chain_add_block(struct chain *chain, struct block *block, const struct source *source,
	struct reject *reject)
{
	enum chain_result result = chain->failed ? CHAIN_ERROR : add_block(chain, block, source, reject);

	block_free(block);
	if (result == CHAIN_NEW)
		chain_advance(chain);
	return result;
}

void chain_forget_source(struct chain *chain, const struct source *source, bool discouraged)
{
	const struct group *group = sources_find(chain->sources, source->group);

	if (group == NULL)
		return;
	waiting_forget(chain, group, discouraged);
	jobs_cancel_dropped(chain);
	loose_pool_forget(chain, group, discouraged);
	chain_advance(chain);
}

/* --- own proofs --- */

static enum chain_result add_own_loose(struct chain *chain, const struct header *header, const uint8_t *body,
	struct reject *reject)
{
	struct parent_view view;

	if (memcmp(header->prev, chain_tip(chain)->id, 32) != 0) {
		reject_set(reject, REJECT_NOT_YET, "bad-proof-parent", "the tip has moved on");
		return CHAIN_ORPHAN;
	}
	index_parent_view(chain_tip(chain), &view);
	if (!loose_check(chain->spec, header, &view, (uint64_t)clock_wall() + spec_future_limit(chain->spec), reject))
		return CHAIN_REJECTED;
	proof_cache_put(chain->proofs, header, PROOF_RIGHT, body);
	if (!loose_pool_put(chain->loose, header)) {
		reject_set(reject, REJECT_POLICY, "loose-pool-full", "enough proofs wait for the next block");
		return CHAIN_REJECTED;
	}
	NOTIFY(chain, proof_verdict, header, &(const struct source){ 0 }, NULL);
	return CHAIN_NEW;
}

enum chain_result chain_add_own(struct chain *chain, struct block *block, uint8_t *body, struct reject *reject)
{
	const struct header header = block->header;
	enum chain_result result;
	uint8_t digest[32], ticket[32];
	struct u256 target;

	sha256(digest, body, block_body_size(chain->spec));
	header_ticket(&header, ticket);
	if (memcmp(digest, header.digest, 32) != 0 || !target_from_compact(header.bits, &target)) {
		reject_set(reject, REJECT_INVALID, "bad-proof-body", "the body does not hash to the digest");
		block_free(block);
		result = CHAIN_REJECTED;
	} else if (target_met(ticket, target)) {
		proof_cache_put(chain->proofs, &header, PROOF_RIGHT, body);
		result = chain_add_block(chain, block, NULL, reject);
	} else {
		block_free(block);
		result = chain->failed ? CHAIN_ERROR : add_own_loose(chain, &header, body, reject);
	}
	free(body);
	return result;
}

/* --- blobs --- */

enum chain_result chain_add_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	bool keep, struct reject *reject)
{
	struct blob_want want = { .size = size };
	struct errmsg err;
	uint8_t found[32];
	size_t number;
	bool needed;

	memcpy(want.root, root, 32);
	needed = waiting_wants(chain, &want) || registry_find(chain->registry, root, &number) != NULL;
	if (chain->failed)
		return CHAIN_ERROR;
	if (size > chain->spec->blob_max) {
		reject_set(reject, REJECT_INVALID, "bad-contrib-size", "%zu bytes, %" PRIu32 " at most", size,
			chain->spec->blob_max);
		return CHAIN_REJECTED;
	}
	blob_root(data, size, found);
	if (memcmp(found, root, 32) != 0) {
		reject_set(reject, REJECT_INVALID, "bad-blob-root", "the bytes do not match the root");
		return CHAIN_REJECTED;
	}
	if (!keep && !needed && !mempool_wants(chain->mempool, root, size)) {
		reject_set(reject, REJECT_NOT_YET, "blob-not-wanted", "nothing here waits for it");
		return CHAIN_ORPHAN;
	}
	if (blobs_has(chain->blobs, root)) {
		if (needed || keep)
			blobs_settle(chain->blobs, root);
		return CHAIN_KNOWN;
	}
	switch (blobs_put(chain->blobs, root, data, size, !keep && !needed, &err)) {
	case BLOBS_STORED:
		break;
	case BLOBS_FULL:
		reject_set(reject, REJECT_POLICY, "blob-pool-full", "too many unconfirmed blobs are held");
		return CHAIN_REJECTED;
	case BLOBS_FAILED:
		return chain_fail(chain, &err);
	}
	mempool_blob_arrived(chain);
	chain_advance(chain);
	return CHAIN_NEW;
}

/* --- the operator --- */

bool chain_invalidate(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	if (entry->parent == NULL)
		return errmsg_set(err, "The genesis block cannot be invalidated");
	if (chain->failed)
		return errmsg_set(err, "The disk failed: see the log");
	/* Branches that were too deep to switch to may be what the operator wants. */
	for (size_t i = 0; i < chain->index.count; i++)
		chain->index.nodes[i]->refused_deep = false;
	connect_refuse(chain, node_of(entry), "invalidated");
	chain_advance(chain);
	return !chain->failed || errmsg_set(err, "The disk failed: see the log");
}

bool chain_reconsider(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	bool ok;

	index_reconsider(&chain->index, node_of(entry), batch);
	ok = !chain->failed && db_write(chain->db, batch, true, err);
	db_batch_free(batch);
	if (!ok)
		return false;
	for (size_t i = 0; i < chain->index.count; i++) {
		struct node *node = chain->index.nodes[i];
		struct block *block;

		if (node->entry.status != ENTRY_STORED || waiting_find(chain, node) != NULL)
			continue;
		block = block_records_read(chain->blocks, chain->spec, node, false, err);
		if (block == NULL) {
			chain_name_remedy(err);
			return false;
		}
		waiting_add(chain, node, block);
		block_free(block);
	}
	chain_advance(chain);
	return true;
}
