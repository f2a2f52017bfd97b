/* Reading and appending records, and naming what is damaged. */
#include "chain/block_records.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

_Static_assert((int)RECORD_BLOCK_HEADER == (int)HEADER_SIZE, "records name damaged blocks by their headers");

/* "block <id> (<file>)" before the reason. */
static void name_block(const struct record_file *blocks, const struct full_entry *full,
	const struct file_position *position, struct errmsg *err)
{
	char *path = record_file_path(blocks, position->file);
	char id[65];

	hex_encode_reversed(id, full->entry.id, 32);
	errmsg_wrap(err, "Block %s in %s", id, path);
	free(path);
}

/* Whether the record holds a body for each proof of the block, the right one. Hashes alone: that they are delta codes
 * was found out before they were written, of these very bytes. */
static bool check_bodies(const struct block *block, const struct spec *spec, const struct full_entry *full,
	const struct buf *record, struct errmsg *err)
{
	const size_t size = block_body_size(spec), count = 1 + block->loose_count;

	if (record->size != 32 + count * size || memcmp(record->data, full->entry.id, 32) != 0)
		return errmsg_set(err, "its bodies are not where the index says");
	for (size_t i = 0; i < count; i++) {
		uint8_t digest[32];

		sha256(digest, record->data + 32 + i * size, size);
		if (memcmp(digest, block_proof(block, i)->digest, 32) != 0)
			return errmsg_set(err, "the body of proof %zu does not hash to its digest", i);
	}
	return true;
}

/* The block with its bodies; NULL: they are not there, and the block stays the caller's. */
static const struct block *join_bodies(const struct block *block, const struct record_file *blocks,
	const struct spec *spec, const struct full_entry *full, struct errmsg *err)
{
	const size_t size = block_body_size(spec), count = 1 + block->loose_count;
	uint8_t **bodies = NULL;
	struct buf record;

	if (full->bodies.size == 0) {
		errmsg_set(err, "its bodies are not known yet");
		return NULL;
	}
	buf_init(&record);
	if (record_file_read(blocks, RECORD_BODIES, &full->bodies, &record, err) &&
		check_bodies(block, spec, full, &record, err)) {
		bodies = mem_calloc(count, sizeof *bodies);
		for (size_t i = 0; i < count; i++)
			bodies[i] = mem_dup(record.data + 32 + i * size, size);
	}
	buf_clear(&record);
	return bodies != NULL ? block_join(block, bodies) : NULL;
}

const struct block *block_records_read(const struct record_file *blocks, const struct spec *spec,
	const struct full_entry *full, bool with_bodies, struct errmsg *err)
{
	const struct block *block = NULL;
	struct reject reject;
	struct reader reader;
	struct buf record;

	if (full->block.size == 0) {
		errmsg_set(err, "The block's bytes are not here");
		return NULL;
	}
	buf_init(&record);
	if (record_file_read(blocks, RECORD_BLOCK, &full->block, &record, err)) {
		reader_init(&reader, record.data, record.size);
		block = block_read(spec, &reader, &reject);
		if (block == NULL)
			errmsg_set(err, "%s: %s", reject.reason, reject.detail);
	}
	buf_clear(&record);
	if (block != NULL) {
		if (memcmp(block_id(block), full->entry.id, 32) != 0)
			errmsg_set(err, "another block is where the index says");
		else if (!with_bodies || join_bodies(block, blocks, spec, full, err) != NULL)
			return block;
	}
	name_block(blocks, full, block != NULL && with_bodies ? &full->bodies : &full->block, err);
	block_unref(block);
	return NULL;
}

bool block_records_append_block(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	const struct block *block, struct errmsg *err)
{
	struct file_part part;
	struct buf record;
	bool ok;

	buf_init(&record);
	block_write(&record, spec, block, false);
	part = (struct file_part){ record.data, record.size };
	ok = record_file_append(blocks, RECORD_BLOCK, &part, 1, &full->block, err);
	buf_clear(&record);
	return ok;
}

/* The id goes first: a body record that lies where the index says must be this block's. */
bool block_records_append_bodies(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	uint8_t *const bodies[], size_t count, struct errmsg *err)
{
	struct file_part *parts = mem_calloc(count + 1, sizeof *parts);
	bool ok;

	parts[0] = (struct file_part){ full->entry.id, 32 };
	for (size_t i = 0; i < count; i++)
		parts[i + 1] = (struct file_part){ bodies[i], block_body_size(spec) };
	ok = record_file_append(blocks, RECORD_BODIES, parts, count + 1, &full->bodies, err);
	free(parts);
	return ok;
}
