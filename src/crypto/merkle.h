/* Merkle trees, as every root of the protocol uses them (doc/protocol.md).
 *
 * A leaf is SHA256(0x00 | x), a node SHA256(0x01 | left | right); the last node of an odd level goes up unchanged;
 * the root of nothing is 32 zero bytes. Leaves and nodes hash differently, so no node can pose as a leaf, and an odd
 * node is never paired with itself, so no two lists have one root. */
#ifndef ATELIER_CRYPTO_MERKLE_H
#define ATELIER_CRYPTO_MERKLE_H

#include <stddef.h>
#include <stdint.h>

/* Root over count items of 32 bytes, one after the other at items. */
void merkle_root(uint8_t root[32], const uint8_t *items, size_t count);

/* Root over data cut into pages of page_size bytes (not 0), the last one shorter if size is no multiple. */
void merkle_root_pages(uint8_t root[32], const void *data, size_t size, size_t page_size);

/* Leaf by leaf. Takes no memory: it holds one node for each complete subtree, at most one a level. Needs no clear. */
struct merkle {
	uint64_t count; /* leaves so far; bit i is set where nodes[i] holds a subtree of 2^i leaves */
	uint8_t nodes[64][32];
};

void merkle_init(struct merkle *merkle);
void merkle_add(struct merkle *merkle, const void *data, size_t size); /* a leaf's x */
void merkle_add_hash(struct merkle *merkle, const uint8_t leaf[32]);   /* a leaf, already hashed by merkle_leaf */
void merkle_final(const struct merkle *merkle, uint8_t root[32]);

void merkle_leaf(uint8_t leaf[32], const void *data, size_t size);

#endif
