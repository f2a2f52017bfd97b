/* The datasets of a chain and what the past says of them (doc/protocol.md section 14), commitments to more of them
 * (section 12), the reward bucket, the record of slot values (section 13), what the last blocks listed and what is
 * known of the open round (section 20): everything of a branch that is neither coins nor model, as the sum of parts
 * (consensus/branch/part.h). A plain value: the chain keeps one for its tip, and derives one for a side branch by
 * undoing and applying blocks on a copy. */
#ifndef ATELIER_CONSENSUS_BRANCH_REGISTRY_H
#define ATELIER_CONSENSUS_BRANCH_REGISTRY_H

#include "consensus/branch/datasets.h"
#include "consensus/branch/fees.h"
#include "consensus/branch/rounds.h"
#include "consensus/payload/contribution.h"

struct registry;      /* opaque: datasets, bucket, values, commitments of the last 2016 blocks, proofs of the last 7 */
struct registry_undo; /* opaque: what one applied block changed */

struct registry *registry_new(const struct spec *spec); /* after genesis: dataset 0 alone, bucket 0 */
struct registry *registry_copy(const struct registry *registry);
void registry_free(struct registry *registry);
uint32_t registry_height(const struct registry *registry);

/* Dataset 0 is included everywhere: it has the root and size of its bytes, no owner (zeros) and height 0. */
size_t registry_count(const struct registry *registry);
const struct dataset *registry_get(const struct registry *registry, size_t number); /* borrowed until the next change */
const struct dataset *registry_find(const struct registry *registry, const uint8_t root[32],
	size_t *number); /* NULL: none */

/* Whether the dataset can be drawn for the child of the registry's block: old enough and not in quarantine. And whether
 * it is proven for that one: dataset 0 is, and what can be drawn, was observed often enough and hardly harms. */
bool registry_can_draw(const struct registry *registry, size_t number);
bool registry_is_proven(const struct registry *registry, size_t number);

/* Datasets of the S slots for the child of the registry's block, whose ticket is given; the sum of the weights of all
 * that could be drawn. */
uint64_t registry_draw(const struct registry *registry, const uint8_t ticket[32], uint32_t slots, uint32_t dataset[]);

/* v_ref of the child of the registry's block (section 13). parent_outcome: outcome of the registry's block itself,
 * which no coinbase has stated yet and which counts (NULL at genesis). */
int64_t registry_v_ref(const struct registry *registry, const struct outcome *parent_outcome);

int64_t registry_bucket(const struct registry *registry);

/* The least of the newest `blocks` rates of the base fee of data (consensus/branch/fees.h): FEES_WINDOW of them for
 * what the next block asks for, 1 for the newest. */
uint64_t registry_data_rate(const struct registry *registry, uint32_t blocks);
uint64_t registry_data_offer(const struct registry *registry); /* what a wallet burns */

/* Applies a block (height = registry_height + 1) whose checks all held: registers its contributions, applies the
 * outcome of its parent (NULL for block 1) to statistics and values, updates the bucket. The undo is the caller's. */
struct registry_undo *registry_apply(struct registry *registry, const struct block *block,
	const struct block_outcome *parent_outcome);
/* Takes the registry's block back, exactly. False, and nothing changes, if this is not the undo of that block. */
bool registry_undo(struct registry *registry, const struct registry_undo *undo);
void registry_undo_free(struct registry_undo *undo);

/* Of a late proof in the child of the registry's block, how many blocks its parent lies below that one, and whether the
 * branch has a proof of that seed already (consensus/branch/listed.h). */
uint32_t registry_late_back(const struct registry *registry, const struct header *header);
bool registry_is_listed(const struct registry *registry, const uint8_t seed[32]);

/* Rounds (consensus/branch/rounds.h). The round that the child of the registry's block lies in, with the dataset of
 * each seat, be that child the first of it too; false: there is none yet, or never. And of a registry whose block
 * merged a round, that one, which the child pays for; false: it merged none. */
const struct rounds *registry_rounds(const struct registry *registry);
bool registry_round_view(const struct registry *registry, struct round_view *view);
bool registry_merged_round(const struct registry *registry, struct round_view *view);

/* Height of the block with the commitment that this registration, in the child of the registry's block, opens; 0: there
 * is none that is old enough. */
uint32_t registry_committed(const struct registry *registry, const struct contribution *contribution);

/* Whether the next block may have what the transaction registers: each with a commitment (else NOT_YET), no root that
 * is registered, but with an earlier commitment (else POLICY: another branch may differ), and none twice. */
bool registry_check_tx(const struct registry *registry, const struct tx *tx, struct reject *reject);
/* True if every contribution of the transaction burns what that rate asks for; else POLICY. */
bool registry_check_burn(const struct registry *registry, const struct tx *tx, uint32_t blocks, struct reject *reject);
/* Whether the next block may have the round transaction: NOT_YET where a later block may, else POLICY. The second
 * leaves a commitment's signature out, for who knows it to be right: it is, on every branch that has the round's base.
 */
bool registry_check_round_tx(const struct registry *registry, const struct round_tx *round_tx, struct reject *reject);
bool registry_check_round_place(const struct registry *registry, const struct round_tx *round_tx,
	struct reject *reject);
/* Of all round transactions of the next block, signatures too; INVALID. */
bool registry_check_rounds(const struct registry *registry, const struct block *block, struct reject *reject);
/* Burns and registrations of a whole block on top of the registry's, at the rate that it must pay; before these that it
 * lists no late proof for a second time, and its round transactions. All INVALID. */
bool registry_check_block(const struct registry *registry, const struct block *block, struct reject *reject);

/* Byte forms, for the database. A registry lies there in slices. Those that the newest block changed, to be asked while
 * it is applied: written after that, or after it is undone, with what is there already they are the whole registry. */
void registry_changed(const struct registry *registry, const struct registry_undo *undo, struct slices *changed);
/* Appends a slice; false: there is none, and one that was there is to be deleted. */
bool registry_write(struct buf *out, const struct registry *registry, const struct slice *slice);
/* One slice of a registry that was new, in ascending order; false on damaged bytes. When all are read, whether there
 * were as many as there must be. */
bool registry_read(struct registry *registry, const struct slice *slice, struct reader *registry_reader);
bool registry_is_whole(const struct registry *registry);
/* read returns NULL on damaged bytes. */
void registry_undo_write(struct buf *out, const struct registry_undo *undo);
struct registry_undo *registry_undo_read(struct reader *registry_reader);

#endif
