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
	struct state *state = entry_verified(entry) ? states_get(chain->states, entry_full(entry)) : NULL;

	if (state != NULL)
		return state;
	if (entry_verified(entry))
		states_request(chain->states, entry_full(entry), QUEUE_AUDIT, 0, ready, context);
	else
		ready(context, NULL);
	return NULL;
}

/* --- what is on disk --- */

/* Genesis is no block of the files: it is a header that the spec makes. */
static const struct block *read_block(struct chain *chain, const struct index_entry *entry, bool with_bodies,
	struct errmsg *err)
{
	const struct block *block;
	struct block *genesis;

	if (entry->parent == NULL) {
		genesis = block_new();
		genesis->header = entry->header;
		return block_seal(genesis);
	}
	block = block_records_read(chain->blocks, chain->spec, entry_full(entry), with_bodies, err);
	if (block == NULL && entry_full(entry)->block.size != 0)
		halt_name_remedy(err);
	return block;
}

const struct block *chain_read_block(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return read_block(chain, entry, entry_full(entry)->bodies.size != 0, err);
}

const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return read_block(chain, entry, false, err);
}

bool chain_has_blob(const struct chain *chain, const uint8_t root[32])
{
	return blobs_has(chain->blobs, root);
}

bool chain_read_blob(struct chain *chain, const uint8_t root[32], struct buf *out, struct errmsg *err)
{
	return blobs_read(chain->blobs, root, out, err);
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
static const struct tx *take_tx(const struct block *block, const uint8_t txid[32])
{
	for (size_t i = 0; i < block->tx_count; i++)
		if (memcmp(tx_txid(block->txs[i]), txid, 32) == 0)
			return tx_ref(block->txs[i]);
	return NULL;
}

/* The database names the block; which of its transactions it is, the block itself tells. */
const struct index_entry *chain_find_tx(struct chain *chain, const uint8_t txid[32], const struct tx **tx)
{
	const struct full_entry *full = NULL;
	uint8_t key[33] = { DB_TX };
	const struct block *block;
	struct errmsg err;
	struct buf value;

	memcpy(key + 1, txid, 32);
	buf_init(&value);
	if (db_get(chain->db, key, sizeof key, &value, &err) == DB_FOUND && value.size == 32)
		full = index_find(&chain->index, value.data);
	buf_clear(&value);
	if (full == NULL)
		return NULL;
	if (tx == NULL)
		return &full->entry;
	block = block_records_read(chain->blocks, chain->spec, full, false, &err);
	*tx = block != NULL ? take_tx(block, txid) : NULL;
	block_unref(block);
	return *tx != NULL ? &full->entry : NULL;
}

const struct index_entry *chain_find_proof(struct chain *chain, const uint8_t id[32], size_t *index)
{
	const struct full_entry *full = NULL;
	uint8_t key[33] = { DB_PROOF };
	struct buf value;

	memcpy(key + 1, id, 32);
	buf_init(&value);
	if (db_get(chain->db, key, sizeof key, &value, NULL) == DB_FOUND && value.size == PROOF_PLACE_SIZE) {
		full = index_find(&chain->index, value.data);
		*index = read_le32(value.data + 32);
	}
	buf_clear(&value);
	return full != NULL ? &full->entry : NULL;
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
