/* Blocks: building and sealing, bytes, roots, and the rules that need the parent at most. */
#include "consensus/block.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/pace.h"
#include "consensus/payload/commitment.h"
#include "consensus/payload/round_tx.h"
#include "consensus/target.h"
#include "crypto/hash.h"
#include "crypto/merkle.h"
#include "crypto/schnorr.h"
#include "ml/delta.h"
#include "util/mem.h"

enum { BLOCK_TX_MIN = 60 /* one input, one output, nothing in their scripts */ };

/* --- building, sealing, holding --- */

struct block *block_new(void)
{
	struct block *block = mem_calloc(1, sizeof *block);

	atomic_init(&block->seal.references, 1);
	return block;
}

const struct header *block_proof(const struct block *block, size_t index)
{
	if (index == 0)
		return &block->header;
	return index <= block->loose_count ? &block->loose[index - 1] : &block->late[index - 1 - block->loose_count];
}

size_t block_body_count(const struct block *block)
{
	return 1 + block->loose_count;
}

size_t block_proof_count(const struct block *block)
{
	return block_body_count(block) + block->late_count;
}

/* Ids are hashed here, once: relay, pools, caches and the roots all ask for them, from several threads. */
const struct block *block_seal(struct block *block)
{
	if (block->seal.ids != NULL)
		abort();
	block->seal.ids = mem_calloc(block_proof_count(block), sizeof *block->seal.ids);
	for (size_t i = 0; i < block_proof_count(block); i++)
		header_id(block_proof(block, i), block->seal.ids[i]);
	return block;
}

const uint8_t *block_proof_id(const struct block *block, size_t index)
{
	if (block->seal.ids == NULL)
		abort();
	return block->seal.ids[index];
}

const uint8_t *block_id(const struct block *block)
{
	return block_proof_id(block, 0);
}

/* The count is no part of what is const: it belongs to the holders together. */
static atomic_size_t *block_references(const struct block *block)
{
	return (atomic_size_t *)&block->seal.references;
}

const struct block *block_ref(const struct block *block)
{
	if (block->seal.ids == NULL)
		abort();
	atomic_fetch_add_explicit(block_references(block), 1, memory_order_relaxed);
	return block;
}

void block_unref(const struct block *block)
{
	if (block == NULL || atomic_fetch_sub_explicit(block_references(block), 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < block->tx_count; i++)
		tx_unref(block->txs[i]);
	for (size_t i = 0; block->bodies != NULL && i < block_body_count(block); i++)
		free(block->bodies[i]);
	free(block->bodies);
	free(block->txs);
	free(block->loose);
	free(block->late);
	free(block->seal.ids);
	free((struct block *)block);
}

/* Changing one that is const is right here alone: nobody else holds it, and neither its ids nor its roots cover the
 * bodies. */
const struct block *block_join(const struct block *block, uint8_t **bodies)
{
	struct block *joined = (struct block *)block;

	if (atomic_load(block_references(block)) != 1 || block->bodies != NULL)
		abort();
	joined->bodies = bodies;
	return joined;
}

/* --- bytes --- */

size_t block_body_size(const struct spec *spec)
{
	return step_delta_size(&spec_course(spec)->train);
}

static bool block_malformed(struct reject *reject, const char *what)
{
	return reject_set(reject, REASON_BAD_BLOCK_FORMAT, "%s", what);
}

/* Weight counts every byte at least once, so nothing behind block_weight bytes can be a transaction of a
 * valid block. */
static bool block_read_txs(const struct spec *spec, struct reader *block_reader, struct block *block,
	struct reject *reject)
{
	struct reader txs_reader = *block_reader;
	bool txs_cut = reader_left(block_reader) > spec->block_weight;
	size_t tx_count;

	if (txs_cut)
		txs_reader.end = txs_reader.p + spec->block_weight;
	tx_count = reader_compact(&txs_reader);
	if (!txs_reader.ok || tx_count > reader_left(&txs_reader) / BLOCK_TX_MIN)
		return block_malformed(reject, "the number of transactions");
	block->txs = mem_calloc(tx_count, sizeof *block->txs);
	while (block->tx_count < tx_count) {
		const struct tx *tx = tx_read(&txs_reader);

		/* It was cut where it is too heavy to be valid, so weight is the reason, on every node, and not the
		 * form. */
		if (tx == NULL && txs_cut)
			return reject_set(reject, REASON_BAD_BLK_WEIGHT, "transactions do not end within %u bytes",
				spec->block_weight);
		if (tx == NULL)
			return block_malformed(reject, "a transaction");
		block->txs[block->tx_count++] = tx;
	}
	block_reader->p = txs_reader.p;
	return true;
}

static size_t block_proofs_max(const struct spec *spec)
{
	return 4 * (size_t)spec->k;
}

/* A list of loose or late proofs. The count is bounded before memory is taken: by the rule, and by the bytes that are
 * there. */
static bool block_read_proofs(struct reader *block_reader, size_t most, struct header **list, size_t *list_count,
	struct reject *reject)
{
	size_t proof_count = reader_compact(block_reader);

	if (proof_count > most)
		return reject_set(reject, REASON_BAD_PROOF_COUNT, "%zu proofs where %zu are the most", proof_count,
			most);
	if (!block_reader->ok || proof_count > reader_left(block_reader) / HEADER_SIZE)
		return block_malformed(reject, "loose or late proofs");
	*list = mem_alloc(proof_count * sizeof **list);
	*list_count = proof_count;
	for (size_t i = 0; i < proof_count; i++)
		header_read(&(*list)[i], reader_bytes(block_reader, HEADER_SIZE));
	return true;
}

static bool block_read_lists(const struct spec *spec, struct reader *block_reader, struct block *block,
	struct reject *reject)
{
	const size_t most = block_proofs_max(spec);

	return block_read_proofs(block_reader, most, &block->loose, &block->loose_count, reject) &&
		block_read_proofs(block_reader, most - block->loose_count, &block->late, &block->late_count, reject);
}

/* The hash alone is not enough: a miner can commit to bytes that no step gives, and who decodes them relies on their
 * exponents and padding. */
static bool block_body_is_right(const struct spec *spec, const uint8_t *body, const struct header *header)
{
	uint8_t body_digest[32];

	sha256(body_digest, body, block_body_size(spec));
	return memcmp(body_digest, header->digest, 32) == 0 &&
		delta_check(body, block_body_size(spec), model_count(&spec_course(spec)->train.model));
}

static bool block_read_bodies(const struct spec *spec, struct reader *block_reader, struct block *block,
	struct reject *reject)
{
	size_t body_size = block_body_size(spec), body_count = block_body_count(block);
	uint8_t bodies_present = reader_u8(block_reader);

	if (!block_reader->ok || bodies_present > 1 ||
		reader_left(block_reader) != (bodies_present ? body_count * body_size : 0))
		return block_malformed(reject, "bodies, or bytes behind the end");
	if (!bodies_present)
		return true;
	block->bodies = mem_calloc(body_count, sizeof *block->bodies);
	for (size_t i = 0; i < body_count; i++) {
		const uint8_t *body = reader_bytes(block_reader, body_size);

		if (!block_body_is_right(spec, body, block_proof(block, i)))
			/* Malformed, not invalid: no id covers the bodies, so the same block with others may be
			 * valid. */
			return reject_as(reject, REJECT_MALFORMED, REASON_BAD_PROOF_BODY,
				"body %zu is not what its header commits to", i);
		block->bodies[i] = mem_dup(body, body_size);
	}
	return true;
}

const struct block *block_read(const struct spec *spec, struct reader *block_reader, struct reject *reject)
{
	struct block *block = block_new();
	uint8_t raw_header[HEADER_SIZE];
	bool ok = reader_copy(block_reader, raw_header, sizeof raw_header) || block_malformed(reject, "the header");

	header_read(&block->header, raw_header);
	if (ok && block_read_txs(spec, block_reader, block, reject) &&
		block_read_lists(spec, block_reader, block, reject) &&
		block_read_bodies(spec, block_reader, block, reject))
		return block_seal(block);
	reader_fail(block_reader);
	block_unref(block);
	return NULL;
}

static void block_put_header(struct buf *out, const struct header *header)
{
	header_write(buf_extend(out, HEADER_SIZE), header);
}

static void block_put_proofs(struct buf *out, const struct header *list, size_t count)
{
	buf_put_compact(out, count);
	for (size_t i = 0; i < count; i++)
		block_put_header(out, &list[i]);
}

void block_write(struct buf *out, const struct spec *spec, const struct block *block, bool with_bodies)
{
	block_put_header(out, &block->header);
	buf_put_compact(out, block->tx_count);
	for (size_t i = 0; i < block->tx_count; i++)
		tx_write(out, block->txs[i], true);
	block_put_proofs(out, block->loose, block->loose_count);
	block_put_proofs(out, block->late, block->late_count);
	with_bodies = with_bodies && block->bodies != NULL;
	buf_put_u8(out, with_bodies);
	for (size_t i = 0; with_bodies && i < block_body_count(block); i++)
		buf_put(out, block->bodies[i], block_body_size(spec));
}

/* --- roots --- */

/* Over wtxids: the header covers the witnesses, and the coinbase need not commit to them as BIP141's does. */
void block_tx_root(const struct block *block, uint8_t root[32])
{
	struct merkle tx_tree;

	merkle_init(&tx_tree);
	for (size_t i = 0; i < block->tx_count; i++) /* the coinbase's leaf covers no witness: it has none */
		merkle_add(&tx_tree, i == 0 ? tx_txid(block->txs[i]) : tx_wtxid(block->txs[i]), 32);
	merkle_final(&tx_tree, root);
}

void block_proofs_root(const struct block *block, uint8_t root[32])
{
	struct merkle proofs_tree;
	uint8_t proof_id[32];

	merkle_init(&proofs_tree);
	for (size_t i = 1; i < block_proof_count(block); i++) {
		if (block->seal.ids != NULL)
			memcpy(proof_id, block->seal.ids[i], 32);
		else /* its header is not complete before this root is in it */
			header_id(block_proof(block, i), proof_id);
		merkle_add(&proofs_tree, proof_id, 32);
	}
	merkle_final(&proofs_tree, root);
}

/* Before the work, as the seed covers both roots. */
void block_set_roots(struct block *block)
{
	block_tx_root(block, block->header.tx_root);
	block_proofs_root(block, block->header.proofs_root);
}

/* --- rules --- */

/* Known once the parent is verified, which may be after the header came and before its block does. */
static bool block_check_model(const struct header *header, const struct parent_view *parent, struct reject *reject)
{
	return !parent->has_model_root || memcmp(header->model_root, parent->model_root, 32) == 0 ||
		reject_set(reject, REASON_BAD_MODEL_ROOT, "model_root is not that of the state after the parent");
}

/* In the order of doc/protocol.md section 8, so that every node gives the same reason. A ticket that meets the target
 * is no proof of work yet: who states a digest that no step gave can draw another ticket for the price of two hashes,
 * until somebody executes. So a header alone buys little, and how many are held is bounded (chain/intake/headers.c). */
bool block_check_header(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t now, struct reject *reject)
{
	uint32_t block_bits = target_next_bits(spec, parent->height, parent->time);
	const uint64_t least_time = pace_least_time(spec, parent->height + 1, parent->base_time);
	uint64_t time_limit = now + spec_future_limit(spec);
	uint8_t ticket[32];
	struct u256 block_target;

	if (header->version != HEADER_VERSION)
		return reject_set(reject, REASON_BAD_VERSION, "version %u instead of %d", header->version,
			HEADER_VERSION);
	if (header->bits != block_bits || !target_from_compact(block_bits, &block_target))
		return reject_set(reject, REASON_BAD_DIFFBITS, "bits %08x instead of %08x", header->bits, block_bits);
	if (header->time <= parent->median_time)
		return reject_set(reject, REASON_TIME_TOO_OLD, "time %u is not after the median time %u", header->time,
			parent->median_time);
	if (header->time < least_time)
		return reject_set(reject, REASON_TIME_TOO_SOON,
			"time %u is before %llu, the least that the pace allows", header->time,
			(unsigned long long)least_time);
	if (header->time > time_limit)
		return reject_set(reject, REASON_TIME_TOO_NEW, "time %u is after %llu", header->time,
			(unsigned long long)time_limit);
	header_ticket(header, ticket);
	if (!target_met(ticket, block_target))
		return reject_set(reject, REASON_HIGH_HASH, "the ticket is above the block target");
	if (!block_check_model(header, parent, reject))
		return false;
	if (!schnorr_key_valid(header->miner))
		return reject_set(reject, REASON_BAD_PROOF_KEY, "the miner's key is not on the curve");
	return true;
}

/* Of a proof that is not a block's own, what tells that it is a child of that place, but for its digest. */
static bool block_check_place(const struct header *header, const struct proof_place *place, struct reject *reject)
{
	if (header->version == HEADER_VERSION && memcmp(header->prev, place->id, 32) == 0 &&
		header->bits == place->bits &&
		(!place->has_model_root || memcmp(header->model_root, place->model_root, 32) == 0))
		return true;
	return reject_set(reject, REASON_BAD_PROOF_PARENT,
		"version, prev, bits or model_root of a proof is not that of its place");
}

static bool block_check_times(const struct spec *spec, const struct header *header, const struct proof_place *place,
	uint64_t time_limit, struct reject *reject)
{
	if (header->time <= place->median_time)
		return reject_set(reject, REASON_BAD_PROOF_TIME, "time %u of a proof is not after the median time %u",
			header->time, place->median_time);
	if (header->time < pace_least_time(spec, place->height + 1, place->base_time))
		return reject_set(reject, REASON_BAD_PROOF_TIME, "time %u of a proof is earlier than the pace allows",
			header->time);
	if (header->time > time_limit)
		return reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_TIME, "time %u of a proof is after %llu",
			header->time, (unsigned long long)time_limit);
	return true;
}

/* A loose proof is between the targets: what meets the block target is no share but a block, and competes as one. A
 * late one has lost that race or was never in it. */
static bool block_check_share(const struct spec *spec, const struct header *header, bool may_be_block,
	struct reject *reject)
{
	struct u256 block_target;
	uint8_t ticket[32];

	header_ticket(header, ticket);
	if (!target_from_compact(header->bits, &block_target) || (!may_be_block && target_met(ticket, block_target)) ||
		!target_met(ticket, target_share(block_target, spec->k)))
		return reject_set(reject, REASON_BAD_PROOF_TICKET, "the ticket of a proof is not %s the share target",
			may_be_block ? "at or under" : "between the block target and");
	if (!schnorr_key_valid(header->miner))
		return reject_set(reject, REASON_BAD_PROOF_KEY, "the key of a proof's miner is not on the curve");
	return true;
}

bool block_check_loose(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t time_limit, struct reject *reject)
{
	struct proof_place loose_place = {
		.has_model_root = parent->has_model_root,
		.height = parent->height,
		.bits = target_next_bits(spec, parent->height, parent->time),
		.median_time = parent->median_time,
		.base_time = parent->base_time,
	};

	memcpy(loose_place.id, parent->id, 32);
	memcpy(loose_place.model_root, parent->model_root, 32);
	return block_check_place(header, &loose_place, reject) &&
		block_check_times(spec, header, &loose_place, time_limit, reject) &&
		block_check_share(spec, header, false, reject);
}

/* The place among those of the branch that a proof says it is at; NULL: at none whose children can be late now. */
static const struct proof_place *block_late_place(const struct header *header, const struct parent_view *parent)
{
	for (uint32_t i = 0; i < parent->late_count; i++)
		if (memcmp(header->prev, parent->late[i].id, 32) == 0)
			return &parent->late[i];
	return NULL;
}

static bool block_refuse_late(struct reject *reject)
{
	return reject_set(reject, REASON_BAD_PROOF_PARENT,
		"prev of a late proof is not a block of this branch %d to %d blocks back", 2, 1 + BLOCK_LATE_BACK);
}

bool block_check_late(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t time_limit, uint32_t *back, struct reject *reject)
{
	const struct proof_place *late_place = block_late_place(header, parent);

	if (late_place == NULL)
		return block_refuse_late(reject);
	*back = parent->height - late_place->height;
	return block_check_place(header, late_place, reject) &&
		block_check_times(spec, header, late_place, time_limit, reject) &&
		block_check_share(spec, header, true, reject);
}

/* What bounds the time is in the block: waiting does not make it right. */
static bool block_refuse_time(const char *kind, size_t i, struct reject *reject)
{
	if (reject != NULL && reject->code == REJECT_NOT_YET)
		reject_set(reject, REASON_BAD_PROOF_TIME, "%s proof %zu is too far after the block", kind, i);
	return false;
}

/* Strictly by seed, and not by id: one step has one seed, so no work is paid twice, be it under two digests or beside
 * the block's own. */
static bool block_check_all_loose(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	uint64_t time_limit, struct reject *reject)
{
	struct parent_view loose_parent = *parent;
	uint8_t own_seed[32], last_seed[32], seed[32];

	/* Loose proofs start from the state that the block starts from, whether this node knows its root by now
	 * or not. */
	memcpy(loose_parent.model_root, block->header.model_root, 32);
	loose_parent.has_model_root = true;
	header_seed(&block->header, own_seed);
	for (size_t i = 0; i < block->loose_count; i++) {
		header_seed(&block->loose[i], seed);
		if (memcmp(seed, own_seed, 32) == 0 || (i && memcmp(last_seed, seed, 32) >= 0))
			return reject_set(reject, REASON_BAD_PROOF_ORDER, "loose proof %zu does not ascend by seed", i);
		memcpy(last_seed, seed, 32);
		if (!block_check_loose(spec, &block->loose[i], &loose_parent, time_limit, reject))
			return block_refuse_time("loose", i, reject);
	}
	return true;
}

/* Strictly ascending here too, so one seed is listed once; that no earlier block of the branch has it is the registry's
 * to say. */
static bool block_check_all_late(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	uint64_t time_limit, struct reject *reject)
{
	uint32_t last_height = 0, back;
	uint8_t last_seed[32], seed[32];

	for (size_t i = 0; i < block->late_count; i++) {
		const struct proof_place *late_place = block_late_place(&block->late[i], parent);

		if (late_place == NULL)
			return block_refuse_late(reject);
		header_seed(&block->late[i], seed);
		if (i &&
			(late_place->height < last_height ||
				(late_place->height == last_height && memcmp(last_seed, seed, 32) >= 0)))
			return reject_set(reject, REASON_BAD_PROOF_ORDER,
				"late proof %zu does not ascend by its parent's height and seed", i);
		last_height = late_place->height;
		memcpy(last_seed, seed, 32);
		if (!block_check_late(spec, &block->late[i], parent, time_limit, &back, reject))
			return block_refuse_time("late", i, reject);
	}
	return true;
}

static bool block_check_proofs(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	struct reject *reject)
{
	const uint64_t time_limit = (uint64_t)block->header.time + spec_future_limit(spec);
	const size_t most = pace_most_proofs(spec, block->header.time, parent->base_time);

	if (block->loose_count + block->late_count > most)
		return reject_set(reject, REASON_BAD_PROOF_COUNT,
			"%zu loose and late proofs where %zu are the most at its time",
			block->loose_count + block->late_count, most);
	return block_check_all_loose(spec, block, parent, time_limit, reject) &&
		block_check_all_late(spec, block, parent, time_limit, reject);
}

static bool block_check_coinbases(const struct block *block, struct reject *reject)
{
	if (block->tx_count == 0 || !tx_is_coinbase(block->txs[0]))
		return reject_set(reject, REASON_BAD_CB_MISSING, "the first transaction is no coinbase");
	for (size_t i = 1; i < block->tx_count; i++)
		if (tx_is_coinbase(block->txs[i]))
			return reject_set(reject, REASON_BAD_CB_MULTIPLE, "transaction %zu is a second coinbase", i);
	return true;
}

static bool block_check_weight(const struct spec *spec, const struct block *block, struct reject *reject)
{
	size_t weight = 0;

	for (size_t i = 0; i < block->tx_count; i++)
		weight += tx_weight(block->txs[i]);
	return weight <= spec->block_weight ||
		reject_set(reject, REASON_BAD_BLK_WEIGHT, "weight %zu where %u is the most", weight,
			spec->block_weight);
}

/* registered_bytes cannot wrap: a contribution adds blob_max at most, and the weight bounds how many there are. */
static bool block_check_txs(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	struct reject *reject)
{
	uint64_t registered_bytes = 0;
	size_t committed = 0;

	for (size_t i = 0; i < block->tx_count; i++) {
		const struct tx *tx = block->txs[i];

		if (!round_tx_check(spec, tx, reject) || !tx_check(tx, reject))
			return false;
		if (!tx_is_final(tx, parent->height + 1, parent->median_time))
			return reject_set(reject, REASON_BAD_TXNS_NONFINAL, "transaction %zu is locked", i);
		if (!commitment_check(tx, &committed, reject) ||
			!contribution_check(spec, tx, &registered_bytes, reject))
			return false;
	}
	return registered_bytes <= spec->blob_budget ||
		reject_set(reject, REASON_BAD_CONTRIB_BUDGET, "%llu bytes of blobs where %u is the most",
			(unsigned long long)registered_bytes, spec->blob_budget);
}

/* Rules of section 8 in its order; what is cheap comes before the hash and the square root of every loose proof. */
bool block_check(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	struct reject *reject)
{
	uint8_t root[32];

	if (!block_check_model(&block->header, parent, reject) || !block_check_coinbases(block, reject) ||
		!block_check_weight(spec, block, reject))
		return false;
	block_tx_root(block, root);
	if (memcmp(root, block->header.tx_root, 32) != 0)
		return reject_set(reject, REASON_BAD_TXNMRKLROOT, "tx_root is not that of the transactions");
	if (!block_check_proofs(spec, block, parent, reject))
		return false;
	block_proofs_root(block, root);
	if (memcmp(root, block->header.proofs_root, 32) != 0)
		return reject_set(reject, REASON_BAD_PROOFS_ROOT,
			"proofs_root is not that of the loose and late proofs");
	return block_check_txs(spec, block, parent, reject);
}
