/* Blobs that come in: bytes that a block or a transaction waits for, or that the operator keeps. */
#include <inttypes.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/mempool/admit.h"

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

/* Bytes that nobody waits for are not stored: a stranger could fill the disk with them. Those that a block on disk
 * needs stay; those for the mempool alone count against the budget of pending ones (chain/blobs.h) until a block
 * registers them. */
enum chain_result chain_add_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	bool keep, struct reject *reject)
{
	struct blob_want blob_want = { .size = size };
	struct errmsg err;
	uint8_t blob_root[32];
	size_t dataset_number;
	bool blob_needed;

	memcpy(blob_want.root, root, 32);
	blob_needed = wants_include(chain, &blob_want) || registry_find(chain->registry, root, &dataset_number) != NULL;
	if (chain->failed)
		return halt_explain(chain, CHAIN_ERROR, reject);
	if (size > chain->spec->blob_max) {
		reject_set(reject, REASON_BAD_CONTRIB_SIZE, "%zu bytes, %" PRIu32 " at most", size,
			chain->spec->blob_max);
		return CHAIN_REJECTED;
	}
	contribution_root(data, size, blob_root);
	if (memcmp(blob_root, root, 32) != 0) {
		reject_set(reject, REASON_BAD_BLOB_ROOT, "the bytes do not match the root");
		return CHAIN_REJECTED;
	}
	if (!keep && !blob_needed && !mempool_wants(chain->mempool, root, size)) {
		reject_set(reject, REASON_BLOB_NOT_WANTED, "nothing here waits for it");
		return CHAIN_ORPHAN;
	}
	if (blobs_has(chain->blobs, root)) {
		if (blob_needed || keep)
			blobs_settle(chain->blobs, root);
		return CHAIN_KNOWN;
	}
	switch (blobs_put(chain->blobs, root, data, size, !keep && !blob_needed, &err)) {
	case BLOBS_STORED:
		break;
	case BLOBS_FULL:
		reject_set(reject, REASON_BLOB_POOL_FULL, "too many unconfirmed blobs are held");
		return CHAIN_REJECTED;
	case BLOBS_FAILED:
		return halt_explain(chain, halt_fail(chain, &err), reject);
	}
	if (registry_find(chain->registry, root, &dataset_number) == NULL)
		judge_begin(chain->judge, chain->registry, root);
	admit_waiting(chain);
	choose_advance(chain);
	return CHAIN_NEW;
}
