/* Walking a registry from one block to another: back over undo records, forward over blocks. */
#include "chain/verify/branch.h"

#include <stdlib.h>

#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"

/* Takes the block of an active or once connected entry back from a registry. */
static bool branch_undo_block(struct chain *chain, struct registry *side_registry, const struct full_entry *full,
	struct errmsg *err)
{
	struct registry_undo *registry_undone;
	struct reader undo_reader;
	struct buf undo_record;
	bool undo_fits;

	buf_init(&undo_record);
	if (!record_file_read(chain->undos, RECORD_UNDO, &full->undo, &undo_record, err)) {
		buf_clear(&undo_record);
		halt_name_remedy(err);
		return false;
	}
	reader_init(&undo_reader, undo_record.data, undo_record.size);
	reader_bytes(&undo_reader, reader_compact_any(&undo_reader));
	registry_undone = registry_undo_read(&undo_reader);
	buf_clear(&undo_record);
	if (registry_undone == NULL)
		return errmsg_set(err, "The undo data of block %u are damaged: start with -reindex",
			(unsigned)full->entry.height);
	undo_fits = registry_undo(side_registry, registry_undone);
	registry_undo_free(registry_undone);
	return undo_fits ||
		errmsg_set(err, "The undo data of block %u are another block's: start with -reindex",
			(unsigned)full->entry.height);
}

/* Forward it takes the block; its outcome is the parent's, as everywhere. */
static bool branch_apply_block(struct chain *chain, struct registry *side_registry, const struct full_entry *full,
	struct errmsg *err)
{
	const struct block *branch_block = kept_read(chain, full, err);
	const struct index_entry *parent = full->entry.parent;
	struct block_outcome parent_outcome;

	if (branch_block == NULL) {
		halt_name_remedy(err);
		return false;
	}
	registry_undo_free(registry_apply(side_registry, branch_block,
		parent->height > 0 ? chain_outcome(parent, &parent_outcome) : NULL));
	block_unref(branch_block);
	return true;
}

/* Whether the way to the entry from the side registry is shorter than that from the tip. Only forward: the side
 * registry's undo records were not kept. */
static bool branch_side_is_nearer(const struct chain *chain, const struct full_entry *full,
	const struct index_entry *fork)
{
	const struct index_entry *side;
	uint32_t steps_from_tip = chain_tip(chain)->height - fork->height + full->entry.height - fork->height;

	if (chain->side_entry == NULL)
		return false;
	side = &chain->side_entry->entry;
	return chain_ancestor(&full->entry, side->height) == side &&
		full->entry.height - side->height <= steps_from_tip;
}

/* Back to the fork, then forward. Blocks of one branch come one after the other, so the registry derived last is
 * nearly always the parent's: one block to apply. */
const struct registry *branch_registry(struct chain *chain, const struct full_entry *full, struct errmsg *err)
{
	const struct index_entry *tip = chain_tip(chain), *from = tip, *fork;
	struct registry *side_registry;
	bool ok = true;

	if (&full->entry == tip)
		return chain->registry;
	fork = index_fork(tip, &full->entry);
	if (branch_side_is_nearer(chain, full, fork)) {
		side_registry = chain->side_registry;
		from = fork = &chain->side_entry->entry;
	} else {
		side_registry = registry_copy(chain->registry);
		registry_free(chain->side_registry);
	}
	chain->side_registry = NULL;
	chain->side_entry = NULL;
	for (; ok && from != fork; from = from->parent)
		ok = branch_undo_block(chain, side_registry, entry_full(from), err);
	for (uint32_t height = fork->height + 1; ok && height <= full->entry.height; height++)
		ok = branch_apply_block(chain, side_registry, entry_full(chain_ancestor(&full->entry, height)), err);
	if (!ok) {
		registry_free(side_registry);
		return NULL;
	}
	chain->side_registry = side_registry;
	chain->side_entry = full;
	return side_registry;
}
