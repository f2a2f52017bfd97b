/* Rounds (doc/protocol.md section 20): who has the seats of the open one, what round transactions said of their runs,
 * and the blocks that will be the seats of the next.
 *
 * A round begins with the block after its base, and lasts until the one after its merge begins the next: so the child
 * of a merge finds here whom it pays and strikes. Of a chain without rounds size is 0, and nothing is kept. */
#ifndef ATELIER_CONSENSUS_BRANCH_ROUNDS_H
#define ATELIER_CONSENSUS_BRANCH_ROUNDS_H

#include "consensus/branch/part.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/payload/round_tx.h"

/* A block, whose miner has a seat in the round after it. */
struct rounds_seat {
	uint32_t height;
	uint8_t id[32], ticket[32], key[32];
	uint8_t coinbase[32]; /* txid */
};

/* What is known of the run of a seat. A disclosure is only ever there with a commitment, a challenge with both. */
struct rounds_run {
	uint32_t dataset;
	bool committed, disclosed, challenged;
	uint32_t length;                  /* segments, as the commitment says; else 0 */
	uint8_t trace_root[32], blob[32]; /* what the commitment, what the disclosure says; else zeros */
};

struct rounds {
	uint32_t size;             /* P: of seats, and of blocks, of a round; 0: there are none */
	uint32_t base;             /* height of the open round's; 0: none is open yet */
	struct rounds_seat *seats; /* [size] of the open round; NULL: none */
	struct rounds_run *runs;   /* [size], likewise */
	struct rounds_seat *next;  /* [size], of which count are there: the blocks since the base, or since genesis */
	uint32_t count;
};

/* What a transaction of a block said. */
struct rounds_said {
	uint32_t seat;
	enum round_kind kind;
};

struct rounds_undo {
	uint32_t size;  /* 0: of a chain without rounds */
	bool has_begun; /* a round, with this block */
	uint32_t base;  /* of the round before, which is in seats and runs; 0: it was the first */
	struct rounds_seat *seats;
	struct rounds_run *runs;
	struct rounds_said *said;
	uint32_t said_count;
};

/* A round as somebody looks at it; borrowed until the branch changes, and not to be copied: it may point into itself.
 */
struct round_view {
	uint32_t base, seats; /* height of the base; how many seats there are */
	const struct rounds_seat *seat;
	const struct rounds_run *run;
	const uint8_t *id, *ticket; /* of the base */
	const uint8_t *beacon;      /* ticket of the block that draws what disclosures show; NULL: not there yet */
	struct rounds_run drawn[ROUND_SEATS_MAX]; /* of a round that the next block begins: nothing but datasets */
};

/* The round that the next block lies in; false: there is no base yet. Where that block begins it, run is NULL. */
bool rounds_look(const struct rounds *rounds, const struct spec *spec, struct round_view *view);
/* Where the newest block merged a round, that one, for its child; false: it merged none. */
bool rounds_look_merged(const struct rounds *rounds, const struct spec *spec, struct round_view *view);

/* Which segment the disclosure of a seat shows; the beacon and the seat's commitment must be there. */
uint32_t round_audited(const struct round_view *view, uint32_t seat);

/* Whether the next block may have it. NOT_YET where a later block may, else POLICY: another branch may differ. The
 * signature of a commitment is looked at if that is wanted: it holds for good on all branches that have the base. */
bool rounds_check_tx(const struct rounds *rounds, const struct spec *spec, const struct round_tx *round_tx,
	bool with_signature, struct reject *reject);
/* What the branch shows of all round transactions of the next block, which have their form; INVALID. */
bool rounds_check_block(const struct rounds *rounds, const struct spec *spec, const struct block *block,
	struct reject *reject);

/* Adds what a round transaction says, in the block at this height, to what those before it said of the runs of that
 * base: one for each seat, all zeros at the base. False if it says nothing there: its place is not this one, or it was
 * said before. Its signature is not looked at. */
bool rounds_hear(const struct spec *spec, uint32_t base, uint32_t height, const struct round_tx *round_tx,
	struct rounds_run *runs);

/* Whether what was read belongs to a branch of that height with so many datasets. */
bool rounds_whole(const struct rounds *rounds, uint32_t height, size_t datasets);

/* The contract of consensus/branch/part.h. Also of blocks that were not held to the rules above, as those of side
 * branches are not yet: what they forbid is left out. */
void rounds_init(struct rounds *rounds, const struct spec *spec);
void rounds_copy(struct rounds *to, const struct rounds *from);
void rounds_clear(struct rounds *rounds);
void rounds_apply(struct rounds *rounds, const struct branch_block *block, struct rounds_undo *undo);
bool rounds_undo_fits(const struct rounds *rounds, const struct rounds_undo *undo);
void rounds_undo(struct rounds *rounds, const struct rounds_undo *undo);
void rounds_undo_clear(struct rounds_undo *undo);
void rounds_write(struct buf *out, const struct rounds *rounds);
bool rounds_read(struct rounds *rounds, struct reader *rounds_reader);
void rounds_undo_write(struct buf *out, const struct rounds_undo *undo);
bool rounds_undo_read(struct rounds_undo *undo, struct reader *rounds_reader);

#endif
