/* The facts of a branch lie in parts, each a plain value with one contract (here for a part `x`):
 *
 *   x_init(x, spec)              after genesis
 *   x_copy(to, from), x_clear    a value of its own; from stays as it is
 *   x_apply(x, block, undo)      the block's effect; undo tells what it changed
 *   x_undo_fits(x, undo)         whether undo can be what the last apply left: bytes on disk may be another block's
 *   x_undo(x, undo)              exactly what was before, if it fits
 *   x_write, x_read              byte form, for the database; read leaves a part to be cleared, also where it fails
 *   x_undo_write, x_undo_read    the same of an undo
 *   x_undo_clear                 where an undo owns memory
 *
 * and of a part that grows long, whose byte form is but what is short of it; the rest is in slices (slices.h):
 *
 *   x_changed(x, undo, changed)  adds the slices that the last apply changed; to be asked before it is undone
 *   x_write_slice(out, x, slice) false: there is no such slice, and if there was, it has gone
 *   x_read_slice(x, slice, ...)  in ascending order, after x_read
 *   x_whole                      whether all slices were read that belong to it
 *
 * Invariants, of any sequence of blocks: undo(apply(x)) = x and read(write(x)) = x, to the byte. Nothing but the
 * arguments goes in: no part knows another, and all of them see the same block, so their order does not matter. A new
 * kind of fact is a new part, and a line in registry.c for each line above. */
#ifndef ATELIER_CONSENSUS_BRANCH_PART_H
#define ATELIER_CONSENSUS_BRANCH_PART_H

#include "consensus/block.h"
#include "consensus/branch/block_outcome.h"

/* A block whose checks all held, on top of what the parts know. */
struct branch_block {
	const struct spec *spec;
	uint32_t height;
	const struct block *block;
	const struct block_outcome
		*parent;               /* of the block at height - 1, which this one's coinbase states; NULL: none */
	const uint32_t *committed;     /* of each of its registrations, in order, the height of its commitment */
	const uint32_t *late_backs;    /* of each of its late proofs, in order, its age (listed.h) */
	const uint32_t *seat_datasets; /* where it begins a round, of each seat (rounds.h) */
};

#endif
