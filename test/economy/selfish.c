/* A selfish miner (Eyal and Sirer, 2014): he builds on his own block in secret and shows as much as makes the work of
 * the others worth nothing. What he found with a parent that nobody knows, he shows with the parent. */
#include "network.h"

static void show_proofs(struct network *n, uint32_t block)
{
	const struct world *w = &n->world;

	for (uint32_t i = w->blocks[block].proofs; i != NONE; i = w->proofs[i].next)
		if (w->proofs[i].miner == 0 && (w->proofs[i].block == NONE || w->blocks[w->proofs[i].block].published))
			network_announce(n, i);
}

static void show_branch(struct network *n, uint32_t block)
{
	const struct world *w = &n->world;

	if (w->blocks[block].published)
		return;
	show_branch(n, w->blocks[block].parent);
	network_publish(n, block, 0);
	show_proofs(n, block);
}

/* A block that came to nothing is a late proof still, where its parent is known. */
static void give_up(struct network *n, uint32_t block)
{
	const struct world *w = &n->world;

	for (; !w->blocks[block].published; block = w->blocks[block].parent)
		if (w->blocks[w->blocks[block].parent].published)
			network_announce(n, w->blocks[block].proof);
}

void selfish_found(struct network *n, uint32_t block)
{
	struct node *node = &n->nodes[0];

	n->world.blocks[block].connected |= 1;
	node->secret = block;
	if (node->races) {
		show_branch(n, block);
		node->public_tip = block;
		node->races = false;
	}
	mining_start(n, 0);
}

/* An honest block is out. */
void selfish_public(struct network *n, uint32_t block)
{
	struct node *node = &n->nodes[0];
	const struct world *w = &n->world;
	const struct block *b = &w->blocks[block], *secret = &w->blocks[node->secret];

	if (u256_compare(b->work, w->blocks[node->public_tip].work) <= 0)
		return;
	node->public_tip = block;
	if (u256_compare(b->work, secret->work) > 0) {
		give_up(n, node->secret);
		node->secret = block;
		node->races = false;
		mining_start(n, 0);
	} else if (secret->height <= b->height + 1) {
		node->races = secret->height <= b->height;
		show_branch(n, node->secret);
		if (!node->races)
			node->public_tip = node->secret;
	} else {
		show_branch(n, world_ancestor(w, node->secret, secret->height - b->height));
	}
}
