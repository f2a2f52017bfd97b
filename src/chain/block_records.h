/* Blocks as they lie in the block files: the record of the block, joined with that of its bodies. */
#ifndef ATELIER_CHAIN_BLOCK_RECORDS_H
#define ATELIER_CHAIN_BLOCK_RECORDS_H

#include "chain/index.h"

/* Reads the block of an entry that is ENTRY_STORED at least; the caller's. With bodies: the entry must have been
 * verified, and every body is compared with its digest. NULL with an error that names block, proof and file. Any
 * thread. */
const struct block *block_records_read(const struct record_file *blocks, const struct spec *spec,
	const struct full_entry *full, bool with_bodies, struct errmsg *err);

/* Appends the record of a block, or that of its bodies, and notes the position in the entry. */
bool block_records_append_block(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	const struct block *block, struct errmsg *err);
bool block_records_append_bodies(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	uint8_t *const bodies[], size_t body_count, struct errmsg *err);

#endif
