/* Reading and appending records, and naming what is damaged. */
#include "chain/block_records.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

_Static_assert((int)RECORD_BLOCK_HEADER == (int)HEADER_SIZE, "records name damaged blocks by their headers");

/* "block <id> (<file>)" before the reason. */
static void block_record_name(const struct record_file *blocks, const struct full_entry *full,
	const struct file_position *record_position, struct errmsg *err)
{
	char *record_path = record_file_path(blocks, record_position->file);
	char block_hex[65];

	hex_encode_reversed(block_hex, full->entry.id, 32);
	errmsg_wrap(err, "Block %s in %s", block_hex, record_path);
	free(record_path);
}

/* Whether the record holds a body for each proof of the block, the right one. Hashes alone: that they are delta codes
 * was found out before they were written, of these very bytes. */
static bool block_record_check_bodies(const struct block *block, const struct spec *spec, const struct full_entry *full,
	const struct buf *bodies_record, struct errmsg *err)
{
	const size_t body_size = block_body_size(spec), body_count = block_body_count(block);

	if (bodies_record->size != 32 + body_count * body_size || memcmp(bodies_record->data, full->entry.id, 32) != 0)
		return errmsg_set(err, "its bodies are not where the index says");
	for (size_t i = 0; i < body_count; i++) {
		uint8_t body_digest[32];

		sha256(body_digest, bodies_record->data + 32 + i * body_size, body_size);
		if (memcmp(body_digest, block_proof(block, i)->digest, 32) != 0)
			return errmsg_set(err, "the body of proof %zu does not hash to its digest", i);
	}
	return true;
}

/* The block with its bodies; NULL: they are not there, and the block stays the caller's. */
static const struct block *block_record_join_bodies(const struct block *block, const struct record_file *blocks,
	const struct spec *spec, const struct full_entry *full, struct errmsg *err)
{
	const size_t body_size = block_body_size(spec), body_count = block_body_count(block);
	uint8_t **bodies = NULL;
	struct buf bodies_record;

	if (full->bodies.size == 0) {
		errmsg_set(err, "its bodies are not known yet");
		return NULL;
	}
	buf_init(&bodies_record);
	if (record_file_read(blocks, RECORD_BODIES, &full->bodies, &bodies_record, err) &&
		block_record_check_bodies(block, spec, full, &bodies_record, err)) {
		bodies = mem_calloc(body_count, sizeof *bodies);
		for (size_t i = 0; i < body_count; i++)
			bodies[i] = mem_dup(bodies_record.data + 32 + i * body_size, body_size);
	}
	buf_clear(&bodies_record);
	return bodies != NULL ? block_join(block, bodies) : NULL;
}

const struct block *block_records_read(const struct record_file *blocks, const struct spec *spec,
	const struct full_entry *full, bool with_bodies, struct errmsg *err)
{
	const struct block *block = NULL;
	struct reject record_reject;
	struct reader record_reader;
	struct buf block_record;

	if (full->block.size == 0) {
		errmsg_set(err, "The block's bytes are not here");
		return NULL;
	}
	buf_init(&block_record);
	if (record_file_read(blocks, RECORD_BLOCK, &full->block, &block_record, err)) {
		reader_init(&record_reader, block_record.data, block_record.size);
		block = block_read(spec, &record_reader, &record_reject);
		if (block == NULL)
			errmsg_set(err, "%s: %s", record_reject.reason, record_reject.detail);
	}
	buf_clear(&block_record);
	if (block != NULL) {
		if (memcmp(block_id(block), full->entry.id, 32) != 0)
			errmsg_set(err, "another block is where the index says");
		else if (!with_bodies || block_record_join_bodies(block, blocks, spec, full, err) != NULL)
			return block;
	}
	block_record_name(blocks, full, block != NULL && with_bodies ? &full->bodies : &full->block, err);
	block_unref(block);
	return NULL;
}

bool block_records_append_block(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	const struct block *block, struct errmsg *err)
{
	struct file_part record_part;
	struct buf block_record;
	bool appended;

	buf_init(&block_record);
	block_write(&block_record, spec, block, false);
	record_part = (struct file_part){ block_record.data, block_record.size };
	appended = record_file_append(blocks, RECORD_BLOCK, &record_part, 1, &full->block, err);
	buf_clear(&block_record);
	return appended;
}

/* The id goes first: a body record that lies where the index says must be this block's. */
bool block_records_append_bodies(struct record_file *blocks, const struct spec *spec, struct full_entry *full,
	uint8_t *const bodies[], size_t body_count, struct errmsg *err)
{
	struct file_part *body_parts = mem_calloc(body_count + 1, sizeof *body_parts);
	bool appended;

	body_parts[0] = (struct file_part){ full->entry.id, 32 };
	for (size_t i = 0; i < body_count; i++)
		body_parts[i + 1] = (struct file_part){ bodies[i], block_body_size(spec) };
	appended = record_file_append(blocks, RECORD_BODIES, body_parts, body_count + 1, &full->bodies, err);
	free(body_parts);
	return appended;
}
