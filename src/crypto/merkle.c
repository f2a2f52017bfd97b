/* Trees grown leaf by leaf: what is held is the complete subtrees, one of a size, as in a binary number. */
#include "crypto/merkle.h"

#include <string.h>

#include "crypto/hash.h"

/* The first byte tells a node (1) from a leaf (0), as in RFC 6962: else the two hashes below a node could be passed off
 * as a leaf's 64 bytes. An odd node is not paired with itself as in Bitcoin, whose lists with a doubled end have the
 * same root (CVE-2012-2459). */
static void merkle_hash_node(uint8_t node[32], const uint8_t left[32], const uint8_t right[32])
{
	uint8_t joined_nodes[65];

	joined_nodes[0] = 1;
	memcpy(joined_nodes + 1, left, 32);
	memcpy(joined_nodes + 33, right, 32);
	sha256(node, joined_nodes, sizeof joined_nodes);
}

void merkle_leaf(uint8_t leaf[32], const void *data, size_t size)
{
	uint8_t small_leaf[1 + 32];
	struct sha256 leaf_hash;

	if (size == 32) { /* ids, by far the most frequent: no context is taken for them */
		small_leaf[0] = 0;
		memcpy(small_leaf + 1, data, 32);
		sha256(leaf, small_leaf, sizeof small_leaf);
		return;
	}
	sha256_init(&leaf_hash);
	sha256_update(&leaf_hash, "", 1);
	sha256_update(&leaf_hash, data, size);
	sha256_final(&leaf_hash, leaf);
}

void merkle_init(struct merkle *merkle)
{
	merkle->count = 0;
}

/* Adding a leaf is adding one to the binary count: each carry joins two subtrees of one size. */
void merkle_add_hash(struct merkle *merkle, const uint8_t leaf[32])
{
	uint8_t subtree[32];
	int tree_level;

	memcpy(subtree, leaf, 32);
	for (tree_level = 0; merkle->count >> tree_level & 1; tree_level++)
		merkle_hash_node(subtree, merkle->nodes[tree_level], subtree);
	memcpy(merkle->nodes[tree_level], subtree, 32);
	merkle->count++;
}

void merkle_add(struct merkle *merkle, const void *data, size_t size)
{
	uint8_t leaf[32];

	merkle_leaf(leaf, data, size);
	merkle_add_hash(merkle, leaf);
}

/* The smaller subtrees lie to the right; an odd node that goes up unchanged meets the next larger one. */
void merkle_final(const struct merkle *merkle, uint8_t root[32])
{
	int tree_level;
	int has_subtree = 0;

	/* The root of nothing: no leaf has this hash. */
	memset(root, 0, 32);
	for (tree_level = 0; tree_level < 64; tree_level++) {
		if (!(merkle->count >> tree_level & 1))
			continue;
		if (has_subtree)
			merkle_hash_node(root, merkle->nodes[tree_level], root);
		else
			memcpy(root, merkle->nodes[tree_level], 32);
		has_subtree = 1;
	}
}

void merkle_root(uint8_t root[32], const uint8_t *items, size_t count)
{
	struct merkle merkle;
	size_t i;

	merkle_init(&merkle);
	for (i = 0; i < count; i++)
		merkle_add(&merkle, items + 32 * i, 32);
	merkle_final(&merkle, root);
}

void merkle_root_pages(uint8_t root[32], const void *data, size_t size, size_t page_size)
{
	const uint8_t *page_bytes = data;
	struct merkle merkle;
	size_t page_start;
	size_t bytes_left;

	merkle_init(&merkle);
	for (page_start = 0; page_start < size; page_start += page_size < bytes_left ? page_size : bytes_left) {
		bytes_left = size - page_start;
		merkle_add(&merkle, page_bytes + page_start, bytes_left < page_size ? bytes_left : page_size);
	}
	merkle_final(&merkle, root);
}
