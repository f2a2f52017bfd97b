/* Trees grown leaf by leaf: what is held is the complete subtrees, one of a size, as in a binary number. */
#include "crypto/merkle.h"

#include <string.h>

#include "crypto/hash.h"

/* The first byte tells a node (1) from a leaf (0), as in RFC 6962: else the two hashes below a node could be passed off
 * as a leaf's 64 bytes. An odd node is not paired with itself as in Bitcoin, whose lists with a doubled end have the
 * same root (CVE-2012-2459). */
static void hash_node(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
	uint8_t joined[65];

	joined[0] = 1;
	memcpy(joined + 1, left, 32);
	memcpy(joined + 33, right, 32);
	sha256(out, joined, sizeof joined);
}

void merkle_leaf(uint8_t leaf[32], const void *data, size_t size)
{
	uint8_t small[1 + 32];
	struct sha256 hash;

	if (size == 32) { /* ids, by far the most frequent: no context is taken for them */
		small[0] = 0;
		memcpy(small + 1, data, 32);
		sha256(leaf, small, sizeof small);
		return;
	}
	sha256_init(&hash);
	sha256_update(&hash, "", 1);
	sha256_update(&hash, data, size);
	sha256_final(&hash, leaf);
}

void merkle_init(struct merkle *tree)
{
	tree->count = 0;
}

/* Adding a leaf is adding one to the binary count: each carry joins two subtrees of one size. */
void merkle_add_hash(struct merkle *tree, const uint8_t leaf[32])
{
	uint8_t up[32];
	int level;

	memcpy(up, leaf, 32);
	for (level = 0; tree->count >> level & 1; level++)
		hash_node(up, tree->nodes[level], up);
	memcpy(tree->nodes[level], up, 32);
	tree->count++;
}

void merkle_add(struct merkle *tree, const void *data, size_t size)
{
	uint8_t leaf[32];

	merkle_leaf(leaf, data, size);
	merkle_add_hash(tree, leaf);
}

/* The smaller subtrees lie to the right; an odd node that goes up unchanged meets the next larger one. */
void merkle_final(const struct merkle *tree, uint8_t root[32])
{
	int level;
	int found = 0;

	/* The root of nothing: no leaf has this hash. */
	memset(root, 0, 32);
	for (level = 0; level < 64; level++) {
		if (!(tree->count >> level & 1))
			continue;
		if (found)
			hash_node(root, tree->nodes[level], root);
		else
			memcpy(root, tree->nodes[level], 32);
		found = 1;
	}
}

void merkle_root(uint8_t root[32], const uint8_t *items, size_t count)
{
	struct merkle tree;
	size_t i;

	merkle_init(&tree);
	for (i = 0; i < count; i++)
		merkle_add(&tree, items + 32 * i, 32);
	merkle_final(&tree, root);
}

void merkle_root_pages(uint8_t root[32], const void *data, size_t size, size_t page_size)
{
	const uint8_t *bytes = data;
	struct merkle tree;
	size_t at;
	size_t left;

	merkle_init(&tree);
	for (at = 0; at < size; at += page_size < left ? page_size : left) {
		left = size - at;
		merkle_add(&tree, bytes + at, left < page_size ? left : page_size);
	}
	merkle_final(&tree, root);
}
