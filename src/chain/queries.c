/* What others ask of the chain: states, blocks, coins, transactions, how verification stands. */
#include <string.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/block_job.h"
#include "util/bytes.h"

const struct spec *chain_spec(const struct chain *chain)
{
	return chain->spec;
}

const struct registry *chain_registry(const struct chain *chain)
{
	return chain->registry;
}

struct state *chain_state(struct chain *chain)
{
	return states_get(chain->states, tip_full(chain));
}

/* `ready` is called later or never at once with a state: exactly one of the two ways answers. An entry that is not
 * verified has no state, and that is told through `ready`, so that a caller has one place for failure. */
struct state *chain_state_at(struct chain *chain, const struct index_entry *entry,
	void (*ready)(void *context, struct state *state), void *context)
{
	struct state *state_in_memory = entry_verified(entry) ? states_get(chain->states, entry_full(entry)) : NULL;

	if (state_in_memory != NULL)
		return state_in_memory;
	if (entry_verified(entry))
		states_request(chain->states, entry_full(entry), QUEUE_AUDIT, 0, ready, context);
	else
		ready(context, NULL);
	return NULL;
}

/* --- what is on disk --- */

/* Genesis is no block of the files: it is a header that the spec makes. */
static const struct block *query_block(struct chain *chain, const struct index_entry *entry, bool with_bodies,
	struct errmsg *err)
{
	const struct block *block;
	struct block *genesis_block;

	if (entry->parent == NULL) {
		genesis_block = block_new();
		genesis_block->header = entry->header;
		return block_seal(genesis_block);
	}
	if (with_bodies && chain_is_pruned(chain, entry->height, err))
		return NULL;
	block = block_records_read(chain->blocks, chain->spec, entry_full(entry), with_bodies, err);
	if (block == NULL && entry_full(entry)->block.size != 0)
		halt_name_remedy(err);
	return block;
}

const struct block *chain_read_block(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return query_block(chain, entry, entry_full(entry)->bodies.size != 0, err);
}

const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return query_block(chain, entry, false, err);
}

bool chain_resemblance(const struct chain *chain, uint32_t number, uint32_t *dataset, size_t *shared, size_t *samples,
	struct errmsg *err)
{
	struct judge_resemblance resemblance;

	if (!judge_resemblance(chain->judge, chain->registry, number, &resemblance, err))
		return false;
	*dataset = resemblance.dataset;
	*shared = resemblance.shared;
	*samples = resemblance.samples;
	return true;
}

bool chain_has_blob(const struct chain *chain, const uint8_t root[32])
{
	return blobs_has(chain->blobs, root);
}

bool chain_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *coin)
{
	struct errmsg err;

	switch (coins_get(chain->db, outpoint, coin, &err)) {
	case DB_FOUND:
		return true;
	case DB_MISSING:
		return false;
	case DB_FAILED:
		halt_fail(chain, &err);
		return false;
	}
	return false;
}

void chain_coin_stats(struct chain *chain, struct coin_stats *stats)
{
	*stats = chain->coin_stats;
}

/* The caller's own reference, as the block goes. */
static const struct tx *query_take_tx(const struct block *block, const uint8_t txid[32])
{
	for (size_t i = 0; i < block->tx_count; i++)
		if (memcmp(tx_txid(block->txs[i]), txid, 32) == 0)
			return tx_ref(block->txs[i]);
	return NULL;
}

/* The database names the block; which of its transactions it is, the block itself tells. */
const struct index_entry *chain_find_tx(struct chain *chain, const uint8_t txid[32], const struct tx **tx)
{
	const struct full_entry *tx_entry = NULL;
	uint8_t tx_key[33] = { DB_TX };
	const struct block *tx_block;
	struct errmsg err;
	struct buf tx_block_id;

	memcpy(tx_key + 1, txid, 32);
	buf_init(&tx_block_id);
	if (db_get(chain->db, tx_key, sizeof tx_key, &tx_block_id, &err) == DB_FOUND && tx_block_id.size == 32)
		tx_entry = index_find(&chain->index, tx_block_id.data);
	buf_clear(&tx_block_id);
	if (tx_entry == NULL)
		return NULL;
	if (tx == NULL)
		return &tx_entry->entry;
	tx_block = block_records_read(chain->blocks, chain->spec, tx_entry, false, &err);
	*tx = tx_block != NULL ? query_take_tx(tx_block, txid) : NULL;
	block_unref(tx_block);
	return *tx != NULL ? &tx_entry->entry : NULL;
}

const struct index_entry *chain_find_proof(struct chain *chain, const uint8_t id[32], size_t *index)
{
	const struct full_entry *proof_entry = NULL;
	uint8_t proof_key[33] = { DB_PROOF };
	struct buf proof_place;

	memcpy(proof_key + 1, id, 32);
	buf_init(&proof_place);
	if (db_get(chain->db, proof_key, sizeof proof_key, &proof_place, NULL) == DB_FOUND &&
		proof_place.size == PROOF_PLACE_SIZE) {
		proof_entry = index_find(&chain->index, proof_place.data);
		*index = read_le32(proof_place.data + 32);
	}
	buf_clear(&proof_place);
	return proof_entry != NULL ? &proof_entry->entry : NULL;
}

/* That of its slot: as its block's parent drew it, or (late) the parent of an earlier block. */
uint32_t chain_proof_dataset(const struct chain *chain, const struct index_entry *entry, const struct header *proof)
{
	const struct index_entry *late_child = index_late_child(entry->parent, proof);
	struct block_outcome outcome;
	uint8_t proof_seed[32];

	header_seed(proof, proof_seed);
	chain_outcome(late_child != NULL ? late_child : entry, &outcome);
	return outcome.dataset[spec_slot(chain->spec, proof_seed)];
}

/* --- how it goes --- */

/* Of the jobs the newest is told of: its steps are what an operator sees move. */
void chain_activity(const struct chain *chain, struct chain_activity *activity)
{
	memset(activity, 0, sizeof *activity);
	activity->blocks_waiting = chain->waiting_count - chain->job_count;
	activity->blocks_verifying = chain->job_count;
	activity->proofs_verifying = loose_pool_busy(chain->loose);
	activity->proofs_executed = chain->proofs_executed;
	activity->proofs_false = chain->proofs_false;
	activity->initial_download = chain->initial_download;
	if (chain->jobs != NULL) {
		activity->steps_done = atomic_load(&chain->jobs->verify.steps_done);
		activity->steps_total = (uint32_t)chain->jobs->verify.proof_count;
	}
}
