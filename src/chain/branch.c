#include <stdlib.h>

#include "chain/internal.h"
#include "util/mem.h"

/* Takes the block of an active or once connected entry back from a registry. */
static bool undo_one(struct chain *chain, struct registry *registry, const struct node *node, struct errmsg *err)
{
	struct registry_undo *undo;
	struct reader reader;
	struct buf record;
	bool fits;

	buf_init(&record);
	if (!record_file_read(chain->undos, RECORD_UNDO, &node->undo, &record, err)) {
		buf_clear(&record);
		chain_name_remedy(err);
		return false;
	}
	reader_init(&reader, record.data, record.size);
	reader_bytes(&reader, reader_compact_any(&reader));
	undo = registry_undo_read(&reader);
	buf_clear(&record);
	if (undo == NULL)
		return errmsg_set(err, "The undo data of block %u are damaged: start with -reindex",
			(unsigned)node->entry.height);
	fits = registry_undo(registry, undo);
	registry_undo_free(undo);
	return fits ||
		errmsg_set(err, "The undo data of block %u are another block's: start with -reindex",
			(unsigned)node->entry.height);
}

static bool apply_one(struct chain *chain, struct registry *registry, const struct node *node, struct errmsg *err)
{
	struct block *block = block_records_read(chain->blocks, chain->spec, node, false, err);
	const struct index_entry *parent = node->entry.parent;

	if (block == NULL) {
		chain_name_remedy(err);
		return false;
	}
	registry_undo_free(registry_apply(registry, block, parent->height > 0 ? &parent->outcome : NULL));
	block_free(block);
	return true;
}

/* Whether the way to the node from the side registry is shorter than that from the tip. */
static bool side_is_nearer(const struct chain *chain, const struct node *node, const struct index_entry *fork)
{
	const struct index_entry *side;
	uint32_t from_tip = chain_tip(chain)->height - fork->height + node->entry.height - fork->height;

	if (chain->side_node == NULL)
		return false;
	side = &chain->side_node->entry;
	return entry_ancestor(&node->entry, side->height) == side && node->entry.height - side->height <= from_tip;
}

const struct registry *branch_registry(struct chain *chain, const struct node *node, struct errmsg *err)
{
	const struct index_entry *tip = chain_tip(chain), *from = tip, *fork;
	struct registry *registry;
	bool ok = true;

	if (&node->entry == tip)
		return chain->registry;
	fork = index_fork(tip, &node->entry);
	if (side_is_nearer(chain, node, fork)) {
		registry = chain->side_registry;
		from = fork = &chain->side_node->entry;
	} else {
		registry = registry_copy(chain->registry);
		registry_free(chain->side_registry);
	}
	chain->side_registry = NULL;
	chain->side_node = NULL;
	for (; ok && from != fork; from = from->parent)
		ok = undo_one(chain, registry, node_of(from), err);
	for (uint32_t height = fork->height + 1; ok && height <= node->entry.height; height++)
		ok = apply_one(chain, registry, node_of(entry_ancestor(&node->entry, height)), err);
	if (!ok) {
		registry_free(registry);
		return NULL;
	}
	chain->side_registry = registry;
	chain->side_node = node;
	return registry;
}
