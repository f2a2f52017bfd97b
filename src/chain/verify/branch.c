/* Walking a registry from one block to another: back over undo records, forward over blocks. */
#include "chain/verify/branch.h"

#include <stdlib.h>

#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"

/* Takes the block of an active or once connected entry back from a registry. */
static bool undo_one(struct chain *chain, struct registry *registry, const struct full_entry *full, struct errmsg *err)
{
	struct registry_undo *undo;
	struct reader reader;
	struct buf record;
	bool fits;

	buf_init(&record);
	if (!record_file_read(chain->undos, RECORD_UNDO, &full->undo, &record, err)) {
		buf_clear(&record);
		halt_name_remedy(err);
		return false;
	}
	reader_init(&reader, record.data, record.size);
	reader_bytes(&reader, reader_compact_any(&reader));
	undo = registry_undo_read(&reader);
	buf_clear(&record);
	if (undo == NULL)
		return errmsg_set(err, "The undo data of block %u are damaged: start with -reindex",
			(unsigned)full->entry.height);
	fits = registry_undo(registry, undo);
	registry_undo_free(undo);
	return fits ||
		errmsg_set(err, "The undo data of block %u are another block's: start with -reindex",
			(unsigned)full->entry.height);
}

/* Forward it takes the block; its outcome is the parent's, as everywhere. */
static bool apply_one(struct chain *chain, struct registry *registry, const struct full_entry *full, struct errmsg *err)
{
	const struct block *block = kept_read(chain, full, err);
	const struct index_entry *parent = full->entry.parent;

	if (block == NULL) {
		halt_name_remedy(err);
		return false;
	}
	registry_undo_free(registry_apply(registry, block, parent->height > 0 ? &parent->outcome : NULL));
	block_unref(block);
	return true;
}

/* Whether the way to the entry from the side registry is shorter than that from the tip. Only forward: the side
 * registry's undo records were not kept. */
static bool side_is_nearer(const struct chain *chain, const struct full_entry *full, const struct index_entry *fork)
{
	const struct index_entry *side;
	uint32_t from_tip = chain_tip(chain)->height - fork->height + full->entry.height - fork->height;

	if (chain->side_entry == NULL)
		return false;
	side = &chain->side_entry->entry;
	return chain_ancestor(&full->entry, side->height) == side && full->entry.height - side->height <= from_tip;
}

/* Back to the fork, then forward. Blocks of one branch come one after the other, so the registry derived last is
 * nearly always the parent's: one block to apply. */
const struct registry *branch_registry(struct chain *chain, const struct full_entry *full, struct errmsg *err)
{
	const struct index_entry *tip = chain_tip(chain), *from = tip, *fork;
	struct registry *registry;
	bool ok = true;

	if (&full->entry == tip)
		return chain->registry;
	fork = index_fork(tip, &full->entry);
	if (side_is_nearer(chain, full, fork)) {
		registry = chain->side_registry;
		from = fork = &chain->side_entry->entry;
	} else {
		registry = registry_copy(chain->registry);
		registry_free(chain->side_registry);
	}
	chain->side_registry = NULL;
	chain->side_entry = NULL;
	for (; ok && from != fork; from = from->parent)
		ok = undo_one(chain, registry, entry_full(from), err);
	for (uint32_t height = fork->height + 1; ok && height <= full->entry.height; height++)
		ok = apply_one(chain, registry, entry_full(chain_ancestor(&full->entry, height)), err);
	if (!ok) {
		registry_free(registry);
		return NULL;
	}
	chain->side_registry = registry;
	chain->side_entry = full;
	return registry;
}
