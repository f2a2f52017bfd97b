/* A block: a proof with its transactions and the loose and late proofs of others (doc/protocol.md section 8).
 *
 * Built, then sealed and counted, as a transaction is (consensus/tx.h): a `struct block *` has one owner, who may
 * change it; a `const struct block *` that was read or sealed knows the ids of its proofs, never changes, and any
 * thread may hold a reference to it. Its transactions are sealed before it is. */
#ifndef ATELIER_CONSENSUS_BLOCK_H
#define ATELIER_CONSENSUS_BLOCK_H

#include "consensus/header.h"
#include "consensus/spec.h"
#include "consensus/tx.h"

enum {
	BLOCK_MAX_LOOSE = 256, /* 4k at k = 64: loose and late ones together */
	BLOCK_LATE_BACK = 6,   /* a late proof's parent lies so many blocks below that of its block at most */
};

struct block {
	struct header header;
	const struct tx **txs; /* a reference to each */
	size_t tx_count;
	struct header *loose;
	size_t loose_count;
	struct header *late; /* ascending by height of their parents, then seed; they train nothing, and have no body */
	size_t late_count;
	/* Bodies (delta code) of the own proof and the loose proofs in order, or NULL: not here. */
	uint8_t **bodies;
	/* What sealing adds, for block_id, block_proof_id and the count of references. */
	struct {
		uint8_t (*ids)[32]; /* of all its proofs, in the order of block_proof; NULL: not sealed */
		atomic_size_t references;
	} seal;
};

struct block *block_new(void);
/* The builder's next to last step: the roots of transactions, all sealed, and of proofs go into the header. */
void block_set_roots(struct block *block);
const struct block *block_seal(struct block *block); /* the same, with the builder's reference */

/* Holding: block_ref returns its argument. block_unref takes one that is not sealed too, and NULL. */
const struct block *block_ref(const struct block *block);
void block_unref(const struct block *block);

/* Its proofs, 0 being its own, then the loose ones, then the late ones; and their ids, 32 bytes, of a sealed block
 * only. The first block_body_count of them have bodies, and are what the update is made of. */
size_t block_proof_count(const struct block *block);
size_t block_body_count(const struct block *block);
const struct header *block_proof(const struct block *block, size_t index);
const uint8_t *block_proof_id(const struct block *block, size_t index);
const uint8_t *block_id(const struct block *block);

/* Reads a serialised block (section 8) to the end of the reader, sealed; NULL with the reject filled if it is not one.
 * A body that is there is checked against its digest. */
const struct block *block_read(const struct spec *spec, struct reader *block_reader, struct reject *reject);
/* Gives a block that was read without bodies its bodies, one a proof, in order: for who keeps them apart. They, the
 * array and the caller's reference, which must be the only one, go into the block returned. Their digests are the
 * caller's to check. */
const struct block *block_join(const struct block *block, uint8_t **bodies);
void block_write(struct buf *out, const struct spec *spec, const struct block *block, bool with_bodies);
size_t block_body_size(const struct spec *spec);

void block_tx_root(const struct block *block, uint8_t root[32]);
void block_proofs_root(const struct block *block, uint8_t root[32]);

/* A block whose child a proof says it is. */
struct proof_place {
	uint8_t id[32], model_root[32]; /* of the block, and of the state after it; valid if has_model_root */
	bool has_model_root;
	uint32_t height, median_time;
	uint32_t bits, base_time; /* of its child */
};

/* What a header or block is judged against: facts about its parent. */
struct parent_view {
	uint8_t id[32], ticket[32];
	uint32_t height, time, median_time; /* median of the 11 up to and with the parent */
	uint32_t base_time;                 /* for the child's pace (consensus/pace.h) */
	uint8_t model_root[32];             /* root of the state after the parent; valid if has_model_root */
	bool has_model_root;
	/* Whose children can be late in the parent's child: 0 is the block one below the parent. */
	struct proof_place late[BLOCK_LATE_BACK];
	uint32_t late_count;
};

/* Header alone: version, bits, times, ticket under the block target, key; model_root if known. `parent` is the block
 * that header->prev names; `now` is Unix time. Only time-too-new is REJECT_NOT_YET. */
bool block_check_header(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t now, struct reject *reject);

/* A loose proof for the pool: as block_check_header, but ticket between block and share target, `time_limit` its latest
 * time (a later one is REJECT_NOT_YET), and the reasons of loose proofs. */
bool block_check_loose(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t time_limit, struct reject *reject);

/* A late proof, for a block on `parent`, but for whether the branch has paid it already (branch/registry.h). `back`
 * gets how many blocks its own parent lies below that one, 1 to BLOCK_LATE_BACK, which decides its worth (reward.h). */
bool block_check_late(const struct spec *spec, const struct header *header, const struct parent_view *parent,
	uint64_t time_limit, uint32_t *back, struct reject *reject);

/* All of section 8 that follows from the block, its spec and its parent, block_check_header apart but for model_root,
 * which may not have been known then: roots, loose and late proofs, weight, each tx_check and locktime, commitments'
 * burn and count, contribution sizes, burn and budget. Not: coins, relative locks, signatures, coinbase amounts,
 * registered roots, execution. */
bool block_check(const struct spec *spec, const struct block *block, const struct parent_view *parent,
	struct reject *reject);

#endif
