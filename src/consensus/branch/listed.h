/* What the last blocks of a branch listed: so that no late proof is paid twice, and each is worth what its age says
 * (doc/protocol.md sections 8 and 13). */
#ifndef ATELIER_CONSENSUS_BRANCH_LISTED_H
#define ATELIER_CONSENSUS_BRANCH_LISTED_H

#include "consensus/branch/part.h"

/* The newest block, and those below it whose children can be late in its child. */
enum { LISTED_BLOCKS = 1 + BLOCK_LATE_BACK };

struct listed_block {
	uint8_t id[32];
	uint8_t (*seeds)[32]; /* of its proofs, in the order of block_proof; owned */
	uint32_t count;
};

struct listed {
	struct listed_block blocks[LISTED_BLOCKS]; /* oldest first */
	uint32_t recorded;                         /* 1 after genesis, whose own proof nobody made */
};

struct listed_undo {
	bool has_dropped; /* the oldest block was */
	struct listed_block dropped;
};

/* How many blocks the parent that a proof names lies below the newest one, 1 to BLOCK_LATE_BACK; 0: it is none whose
 * children can be late. */
uint32_t listed_back(const struct listed *listed, const struct header *header);
bool listed_has(const struct listed *listed, const uint8_t seed[32]);

/* The contract of consensus/branch/part.h. */
void listed_init(struct listed *listed, const struct spec *spec);
void listed_copy(struct listed *to, const struct listed *from);
void listed_clear(struct listed *listed);
void listed_apply(struct listed *listed, const struct branch_block *block, struct listed_undo *undo);
bool listed_undo_fits(const struct listed *listed, const struct listed_undo *undo);
void listed_undo(struct listed *listed, const struct listed_undo *undo);
void listed_undo_clear(struct listed_undo *undo);
void listed_write(struct buf *out, const struct listed *listed);
bool listed_read(struct listed *listed, struct reader *listed_reader);
void listed_undo_write(struct buf *out, const struct listed_undo *undo);
bool listed_undo_read(struct listed_undo *undo, struct reader *listed_reader);

#endif
