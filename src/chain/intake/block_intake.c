/* Blocks that come in, what they were waiting for, and the operator's overrides. */
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/connect.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/dispatch.h"
#include "crypto/hash.h"

enum { INTAKE_OLD_FORK = 288 /* deeper forks are stored only if their headers have more work than the tip */ };

/* --- blocks --- */

static bool intake_check_bodies(const struct chain *chain, const struct block *block, struct reject *reject)
{
	for (size_t i = 0; block->bodies != NULL && i < block_body_count(block); i++) {
		const struct header *proof_header = block_proof(block, i);
		uint8_t body_digest[32];

		sha256(body_digest, block->bodies[i], block_body_size(chain->spec));
		if (memcmp(body_digest, proof_header->digest, 32) != 0)
			return reject_set(reject, REASON_BAD_PROOF_BODY,
				"the body of proof %zu does not hash to its digest", i);
	}
	return true;
}

/* Whether transactions, loose and late proofs are those that the header names. If not, the header is not to blame. It
 * names the coinbase by its txid, which no witness changes: whoever passes the block on could have added one. */
static bool intake_check_mutated(const struct block *block, struct reject *reject)
{
	uint8_t block_root[32];

	for (size_t i = 0; block->tx_count > 0 && i < block->txs[0]->input_count; i++)
		if (block->txs[0]->inputs[i].witness_count > 0)
			return reject_set(reject, REASON_BAD_CB_HEIGHT, "the coinbase has a witness");
	block_tx_root(block, block_root);
	if (memcmp(block_root, block->header.tx_root, 32) != 0)
		return reject_set(reject, REASON_BAD_TXNMRKLROOT, "the transactions are not the header's");
	block_proofs_root(block, block_root);
	if (memcmp(block_root, block->header.proofs_root, 32) != 0)
		return reject_set(reject, REASON_BAD_PROOFS_ROOT, "the loose and late proofs are not the header's");
	return true;
}

/* Old forks are cheap to make: they are stored only if their headers promise more work than the tip has. */
static bool intake_check_old_fork(const struct chain *chain, const struct full_entry *full, struct reject *reject)
{
	const struct index_entry *entry = &full->entry, *tip = chain_tip(chain);

	if (entry->height + INTAKE_OLD_FORK >= tip->height || u256_compare(full->promised_work, tip->chain_work) > 0)
		return true;
	return reject_set(reject, REASON_TOO_LITTLE_CHAINWORK, "an old fork with less work than the tip");
}

/* Rules of the block itself. One that breaks them is refused for good. */
static enum chain_result intake_check_rules(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject)
{
	const struct index_entry *parent = full->entry.parent;
	enum connect_result intake_rules = CONNECT_OK;
	struct parent_view parent_view;
	struct errmsg err;

	index_parent_view(parent, &parent_view);
	if (!block_check(chain->spec, block, &parent_view, reject))
		intake_rules = CONNECT_INVALID;
	else if (parent == chain_tip(chain))
		intake_rules = connect_check(chain, full, block, reject, &err);
	switch (intake_rules) {
	case CONNECT_OK:
		return CHAIN_NEW;
	case CONNECT_INVALID:
		connect_refuse(chain, full, reject->reason);
		return CHAIN_REJECTED;
	case CONNECT_FAILED:
		return halt_fail(chain, &err);
	}
	return CHAIN_ERROR;
}

/* What this node's operator brings goes to disk at once; a stranger's block when its own proof has been executed. */
static enum chain_result intake_keep_block(struct chain *chain, struct full_entry *full, const struct block *block,
	const struct source *source, struct reject *reject)
{
	struct errmsg err;

	full->entry.tx_count = (uint32_t)block->tx_count;
	full->entry.loose_count = (uint32_t)block->loose_count;
	full->entry.late_count = (uint32_t)block->late_count;
	if (source == NULL) {
		if (!waiting_store(chain, full, block, &err))
			return halt_fail(chain, &err);
		waiting_add(chain, full, block);
	} else if (!waiting_hold(chain, full, block, source)) {
		reject_set(reject, REASON_BLOCK_POOL_FULL, "blocks that wait take all the room there is");
		return CHAIN_REJECTED;
	}
	return CHAIN_NEW;
}

/* The operator brings what a stranger brought before: it is his then. */
static void intake_take_over(struct chain *chain, const struct full_entry *full)
{
	if (full->entry.held && !full->in_work)
		waiting_drop(chain, waiting_find(chain, full));
}

/* A block passes here once. Until the roots have been compared nothing is the header's fault: whoever passed the block
 * on could have changed what the header names. From then on a broken rule refuses the header for good, and nobody
 * needs to send it again. */
static enum chain_result intake_add_block(struct chain *chain, const struct block *block, const struct source *source,
	struct reject *reject)
{
	const struct index_entry *entry;
	enum chain_result intake_result;
	struct full_entry *full;

	/* Before the header is looked at: damage on the way must not be blamed on it. */
	if (!intake_check_mutated(block, reject) || !intake_check_bodies(chain, block, reject))
		return CHAIN_REJECTED;
	intake_result = chain_add_header(chain, &block->header, &entry, reject);
	if (intake_result != CHAIN_NEW && intake_result != CHAIN_KNOWN)
		return intake_result;
	full = entry_full(entry);
	if (source == NULL)
		intake_take_over(chain, full);
	if (entry->status != ENTRY_HEADER || entry->held)
		return CHAIN_KNOWN;
	if (!intake_check_old_fork(chain, full, reject))
		return CHAIN_REJECTED;
	intake_result = intake_check_rules(chain, full, block, reject);
	return intake_result == CHAIN_NEW ? intake_keep_block(chain, full, block, source, reject) : intake_result;
}

enum chain_result chain_add_block(struct chain *chain, const struct block *block, const struct source *source,
	struct reject *reject)
{
	enum chain_result intake_result = chain->failed ? CHAIN_ERROR : intake_add_block(chain, block, source, reject);

	block_unref(block);
	if (intake_result == CHAIN_NEW)
		choose_advance(chain);
	return halt_explain(chain, intake_result, reject);
}

/* Its places are free for others at once; of what is being executed for it only what is known to be worth nothing
 * ends. */
void chain_forget_source(struct chain *chain, const struct source *source, bool discouraged)
{
	const struct source_group *group = sources_find(chain->sources, source->group);

	if (group == NULL)
		return;
	waiting_forget(chain, group, discouraged);
	dispatch_cancel_dropped(chain);
	loose_pool_forget(chain, group, discouraged);
	choose_advance(chain);
}

/* --- the operator --- */

bool chain_invalidate(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	if (entry->parent == NULL)
		return errmsg_set(err, "The genesis block cannot be invalidated");
	if (chain->failed)
		return errmsg_set(err, "The disk failed: see the log");
	/* The chain may end with its parent then, whose state must be had. */
	if (chain_is_active(chain, entry) && chain_is_pruned(chain, entry->height, err))
		return errmsg_wrap(err, "The tip cannot be taken back so far");
	/* Branches that were too deep to switch to may be what the operator wants. */
	for (size_t i = 0; i < chain->index.count; i++)
		chain->index.entries[i]->refused_deep = false;
	connect_refuse(chain, entry_full(entry), reasons_row(REASON_INVALIDATED)->text);
	choose_advance(chain);
	return !chain->failed || errmsg_set(err, "The disk failed: see the log");
}

/* Blocks that were stored and not verified wait again. What is read here is read once: it stays at hand for its
 * verification. */
bool chain_reconsider(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	struct db_batch *reconsider_batch = db_batch_new();
	bool reconsidered;

	index_reconsider(&chain->index, entry_full(entry), reconsider_batch);
	reconsidered = !chain->failed && db_write(chain->db, reconsider_batch, true, err);
	db_batch_free(reconsider_batch);
	if (!reconsidered)
		return false;
	for (size_t i = 0; i < chain->index.count; i++) {
		struct full_entry *stored = chain->index.entries[i];
		const struct block *block;

		if (stored->entry.status != ENTRY_STORED || waiting_find(chain, stored) != NULL)
			continue;
		block = kept_read(chain, stored, err);
		if (block == NULL) {
			halt_name_remedy(err);
			return false;
		}
		waiting_add(chain, stored, block);
		block_unref(block);
	}
	choose_advance(chain);
	return true;
}
