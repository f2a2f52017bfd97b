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

static bool take_bodies(struct block *block, const struct spec *spec, const struct full_entry *full,
	const struct buf *record, struct errmsg *err)
{
	const size_t size = block_body_size(spec), count = 1 + block->loose_count;

	if (record->size != 32 + count * size || memcmp(record->data, full->entry.id, 32) != 0)
		return errmsg_set(err, "its bodies are not where the index says");
	block->bodies = mem_calloc(count, sizeof *block->bodies);
	for (size_t i = 0; i < count; i++) {
		const struct header *header = i == 0 ? &block->header : &block->loose[i - 1];
		const uint8_t *body = record->data + 32 + i * size;
		uint8_t digest[32];

		sha256(digest, body, size);
		if (memcmp(digest, header->digest, 32) != 0)
			return errmsg_set(err, "the body of proof %zu does not hash to its digest", i);
		block->bodies[i] = mem_dup(body, size);
	}
	return true;
}

static bool read_bodies(struct block *block, const struct record_file *blocks, const struct spec *spec,
	const struct full_entry *full, struct errmsg *err)
{
	struct buf record;
	bool ok;

	if (full->bodies.size == 0)
		return errmsg_set(err, "its bodies are not known yet");
	buf_init(&record);
	ok = record_file_read(blocks, RECORD_BODIES, &full->bodies, &record, err) &&
		take_bodies(block, spec, full, &record, err);
	buf_clear(&record);
	return ok;
}

struct block *block_records_read(const struct record_file *blocks, const struct spec *spec,
	const struct full_entry *full, bool with_bodies, struct errmsg *err)
{
	struct block *block = NULL;
	struct reject reject;
	struct reader reader;
	struct buf record;
	uint8_t id[32];

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
		header_id(&block->header, id);
		if (memcmp(id, full->entry.id, 32) == 0 &&
			(!with_bodies || read_bodies(block, blocks, spec, full, err)))
			return block;
		if (memcmp(id, full->entry.id, 32) != 0)
			errmsg_set(err, "another block is where the index says");
	}
	name_block(blocks, full, block != NULL && with_bodies ? &full->bodies : &full->block, err);
	block_free(block);
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
