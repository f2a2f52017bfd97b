/* A window of a few blocks: each comes with its seeds and goes with them.
 *
 * A late proof's seed covers its parent, so that only blocks above that parent can have listed it: the window holds all
 * of those, and needs no older ones. */
#include "consensus/branch/listed.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "util/mem.h"

/* --- questions --- */

uint32_t listed_back(const struct listed *listed, const struct header *header)
{
	for (uint32_t back = 1; back < listed->recorded; back++)
		if (memcmp(header->prev, listed->blocks[listed->recorded - 1 - back].id, 32) == 0)
			return back;
	return 0;
}

bool listed_has(const struct listed *listed, const uint8_t seed[32])
{
	for (uint32_t i = 0; i < listed->recorded; i++)
		for (uint32_t j = 0; j < listed->blocks[i].count; j++)
			if (memcmp(listed->blocks[i].seeds[j], seed, 32) == 0)
				return true;
	return false;
}

/* --- blocks --- */

void listed_init(struct listed *listed, const struct spec *spec)
{
	memcpy(listed->blocks[0].id, spec->genesis_id, 32);
	listed->recorded = 1;
}

static struct listed_block listed_block_copy(const struct listed_block *listed_block)
{
	struct listed_block copy = *listed_block;

	copy.seeds = mem_dup(listed_block->seeds, listed_block->count * sizeof *listed_block->seeds);
	return copy;
}

void listed_copy(struct listed *to, const struct listed *from)
{
	*to = *from;
	for (uint32_t i = 0; i < from->recorded; i++)
		to->blocks[i] = listed_block_copy(&from->blocks[i]);
}

void listed_clear(struct listed *listed)
{
	for (uint32_t i = 0; i < listed->recorded; i++)
		free(listed->blocks[i].seeds);
}

void listed_apply(struct listed *listed, const struct branch_block *block, struct listed_undo *undo)
{
	struct listed_block *newest;

	undo->has_dropped = listed->recorded == LISTED_BLOCKS;
	if (undo->has_dropped) {
		undo->dropped = listed->blocks[0];
		memmove(listed->blocks, listed->blocks + 1, --listed->recorded * sizeof *listed->blocks);
	}
	newest = &listed->blocks[listed->recorded++];
	header_id(&block->block->header, newest->id);
	newest->count = (uint32_t)block_proof_count(block->block);
	newest->seeds = mem_alloc(newest->count * sizeof *newest->seeds);
	for (uint32_t i = 0; i < newest->count; i++)
		header_seed(block_proof(block->block, i), newest->seeds[i]);
}

/* Genesis never goes; and one was dropped where the window was full, and is full still. */
bool listed_undo_fits(const struct listed *listed, const struct listed_undo *undo)
{
	return undo->has_dropped ? listed->recorded == LISTED_BLOCKS : listed->recorded > 1;
}

void listed_undo(struct listed *listed, const struct listed_undo *undo)
{
	free(listed->blocks[--listed->recorded].seeds);
	if (!undo->has_dropped)
		return;
	memmove(listed->blocks + 1, listed->blocks, listed->recorded++ * sizeof *listed->blocks);
	listed->blocks[0] = listed_block_copy(&undo->dropped);
}

void listed_undo_clear(struct listed_undo *undo)
{
	free(undo->dropped.seeds);
}

/* --- bytes --- */

static void listed_put_block(struct buf *out, const struct listed_block *listed_block)
{
	buf_put(out, listed_block->id, 32);
	buf_put_le32(out, listed_block->count);
	for (uint32_t i = 0; i < listed_block->count; i++)
		buf_put(out, listed_block->seeds[i], 32);
}

static void listed_take_block(struct reader *listed_reader, struct listed_block *listed_block)
{
	reader_copy(listed_reader, listed_block->id, 32);
	listed_block->count = pieces_count(listed_reader, 1 + BLOCK_MAX_LOOSE);
	listed_block->seeds = mem_calloc(listed_block->count, sizeof *listed_block->seeds);
	for (uint32_t i = 0; i < listed_block->count; i++)
		reader_copy(listed_reader, listed_block->seeds[i], 32);
}

void listed_write(struct buf *out, const struct listed *listed)
{
	buf_put_le32(out, listed->recorded);
	for (uint32_t i = 0; i < listed->recorded; i++)
		listed_put_block(out, &listed->blocks[i]);
}

bool listed_read(struct listed *listed, struct reader *listed_reader)
{
	listed_clear(listed);
	listed->recorded = pieces_count(listed_reader, LISTED_BLOCKS);
	if (listed->recorded == 0)
		reader_fail(listed_reader);
	for (uint32_t i = 0; i < listed->recorded; i++)
		listed_take_block(listed_reader, &listed->blocks[i]);
	return listed_reader->ok;
}

void listed_undo_write(struct buf *out, const struct listed_undo *undo)
{
	buf_put_u8(out, undo->has_dropped);
	if (undo->has_dropped)
		listed_put_block(out, &undo->dropped);
}

bool listed_undo_read(struct listed_undo *undo, struct reader *listed_reader)
{
	undo->has_dropped = pieces_bool(listed_reader);
	if (undo->has_dropped)
		listed_take_block(listed_reader, &undo->dropped);
	return listed_reader->ok;
}
