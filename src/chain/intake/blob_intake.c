/* Blobs that come in: bytes that a block or a transaction waits for, or that the operator keeps. */
#include "chain/intake/blob_intake.h"

#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/mempool/admit.h"
#include "chain/mempool/round_admit.h"
#include "chain/model/run_blobs.h"

bool chain_judge_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	struct reject *reject)
{
	struct errmsg err;

	switch (judge_bytes(chain->judge, chain->registry, root, data, size, reject, &err)) {
	case JUDGE_GOOD:
		return true;
	case JUDGE_BAD:
		return false;
	case JUDGE_FAILED:
		halt_explain(chain, halt_fail(chain, &err), reject);
		return false;
	}
	return false;
}

bool chain_judge_blob_soon(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	void (*told)(void *context), void *context)
{
	return !chain->failed && judge_bytes_soon(chain->judge, chain->registry, root, data, size, told, context);
}

void chain_judge_forget(struct chain *chain, const void *context)
{
	judge_forget(chain->judge, context);
}

/* A block that waits, or that is connected already and whose bytes were lost. */
static bool blob_intake_is_needed(const struct chain *chain, const uint8_t root[32], uint64_t size)
{
	struct blob_want blob_want = { .size = size };

	memcpy(blob_want.root, root, 32);
	return wants_include(chain, &blob_want) || registry_find(chain->registry, root, NULL) != NULL ||
		run_blobs_need(chain, root, size);
}

bool chain_wants_blob(const struct chain *chain, const uint8_t root[32], uint64_t size)
{
	return blob_intake_is_needed(chain, root, size) || mempool_wants(chain->mempool, root, size) ||
		round_pool_wants(&chain->mempool->rounds, root, size);
}

static bool blob_intake_wanted(const void *context, const uint8_t root[32], uint64_t size)
{
	return chain_wants_blob(context, root, size);
}

/* What earlier runs left, which no transaction asks for any more, takes nobody's room. What transactions ask for has
 * room: chain/mempool/pending.h counts it before it is fetched. */
static enum blobs_result blob_intake_put(struct chain *chain, const struct blob_bytes *bytes, enum blobs_use use,
	struct errmsg *err)
{
	for (bool is_again = false;; is_again = true) {
		const enum blobs_result stored = bytes->draft_path != NULL ?
			blobs_put_draft(chain->blobs, bytes->root, bytes->draft_path, bytes->size, use, err) :
			blobs_put(chain->blobs, bytes->root, bytes->data, bytes->size, use, err);

		if (stored != BLOBS_FULL || is_again)
			return stored;
		blobs_drop_unwanted(chain->blobs, blob_intake_wanted, chain);
	}
}

/* Bytes that nobody waits for are not stored: a stranger could fill the disk with them. Those that a block on disk
 * needs stay; those for the mempool alone count against the budget of pending ones (chain/blobs.h) until a block
 * registers them. */
enum chain_result blob_intake_take(struct chain *chain, const struct blob_bytes *bytes, bool keep,
	struct reject *reject)
{
	const uint8_t *root = bytes->root;
	const bool blob_needed = blob_intake_is_needed(chain, root, bytes->size);
	/* What rounds ask for is bounded by turns, and no contribution takes its room. */
	const bool for_round = !blob_needed && !keep && round_pool_wants(&chain->mempool->rounds, root, bytes->size);
	const enum blobs_use use = blob_needed ? BLOBS_SETTLED : keep || for_round ? BLOBS_KEPT : BLOBS_PENDING;
	struct errmsg err;

	if (!keep && !chain_wants_blob(chain, root, bytes->size)) {
		reject_set(reject, REASON_BLOB_NOT_WANTED, "nothing here waits for it");
		return CHAIN_ORPHAN;
	}
	/* Of another size it is damaged. */
	if (blobs_has(chain->blobs, root) && blobs_size(chain->blobs, root) == bytes->size) {
		blobs_use_for(chain->blobs, root, use);
		return CHAIN_KNOWN;
	}
	switch (blob_intake_put(chain, bytes, use, &err)) {
	case BLOBS_STORED:
		break;
	case BLOBS_FULL:
		reject_set(reject, REASON_BLOB_POOL_FULL, "too many unconfirmed blobs are held");
		return CHAIN_REJECTED;
	case BLOBS_FAILED:
		return halt_explain(chain, halt_fail(chain, &err), reject);
	}
	/* Not what rounds alone ask for: nobody registers it. */
	if ((keep || mempool_wants(chain->mempool, root, bytes->size) || wants_register(chain, root)) &&
		registry_find(chain->registry, root, NULL) == NULL)
		judge_begin(chain->judge, chain->registry, root);
	round_admit_blob(chain, root, for_round, bytes->source);
	admit_waiting(chain);
	choose_advance(chain);
	return CHAIN_NEW;
}

enum chain_result chain_add_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	bool keep, struct reject *reject)
{
	struct blob_bytes bytes = { .data = data, .size = size };
	uint8_t blob_root[32];

	if (chain->failed)
		return halt_explain(chain, CHAIN_ERROR, reject);
	if (size > BLOBS_LARGEST) {
		reject_set(reject, REASON_BAD_CONTRIB_SIZE, "%zu bytes, %d at most", size, BLOBS_LARGEST);
		return CHAIN_REJECTED;
	}
	contribution_root(data, size, blob_root);
	if (memcmp(blob_root, root, 32) != 0) {
		reject_set(reject, REASON_BAD_BLOB_ROOT, "the bytes do not match the root");
		return CHAIN_REJECTED;
	}
	memcpy(bytes.root, root, 32);
	return blob_intake_take(chain, &bytes, keep, reject);
}

void chain_blob_asked(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	round_admit_asked(chain, root, source);
}

void chain_blob_failed(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	if (!chain->failed)
		round_admit_failed(chain, root, source);
}

/* What a block needs may be right on its own branch. */
bool chain_blob_came(struct chain *chain, const uint8_t root[32], const struct source *source, size_t offset,
	const uint8_t *bytes, size_t count)
{
	return chain->failed || blob_intake_is_needed(chain, root, 0) ||
		round_admit_came(chain, root, source, offset, bytes, count);
}

void chain_peer_gone(struct chain *chain, uint64_t peer)
{
	if (!chain->failed)
		round_admit_peer_gone(chain, peer);
}

void chain_tick(struct chain *chain)
{
	if (chain->failed)
		return;
	round_admit_tick(chain);
	prune_work(chain);
}

void chain_release_blob(struct chain *chain, const uint8_t root[32])
{
	const uint64_t size = blobs_size(chain->blobs, root);

	blobs_release(chain->blobs, root);
	if (!chain_wants_blob(chain, root, size))
		blobs_drop(chain->blobs, root);
}
