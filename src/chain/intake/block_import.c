/* Blocks in and out as files of serialised blocks (-loadblock, exportblock). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"

enum { IMPORT_HEAD = 8, IMPORT_WAITING = 64, IMPORT_LOOK_MS = 200 };

bool chain_export_block(struct chain *chain, const struct index_entry *entry, struct buf *exported, struct errmsg *err)
{
	const struct block *block;
	size_t export_start = exported->size;

	if (entry->parent == NULL || !entry_verified(entry))
		return errmsg_set(err, "The block has not been verified");
	if (chain_is_pruned(chain, entry->height, err))
		return false;
	block = block_records_read(chain->blocks, chain->spec, entry_full(entry), true, err);
	if (block == NULL) {
		halt_name_remedy(err);
		return false;
	}
	buf_put(exported, chain->spec->magic, 4);
	buf_put_le32(exported, 0);
	block_write(exported, chain->spec, block, true);
	block_unref(block);
	if (exported->size - export_start - IMPORT_HEAD > UINT32_MAX) {
		exported->size = export_start;
		return errmsg_set(err, "The block is too large for a file of serialised blocks");
	}
	write_le32(exported->data + export_start + 4, (uint32_t)(exported->size - export_start - IMPORT_HEAD));
	return true;
}

/* --- import --- */

struct block_import {
	struct chain *chain;
	int fd;
	const char *path;
	uint64_t size, at;
	struct import_result *result;
	struct buf record;
};

/* A file may hold more than may wait: the reading keeps to the pace of the verification. */
static void import_catch_up(struct chain *chain)
{
	while (chain->waiting_count > IMPORT_WAITING && chain->job_count > 0 && !halt_asked(chain)) {
		queue_wait(chain->queue, IMPORT_LOOK_MS);
		queue_drain(chain->queue);
	}
}

/* The clock may be slow: what is refused for it comes into its own when the clock has caught up. */
static void import_note_too_new(struct block_import *import, const struct header *imported_header)
{
	const int64_t import_due = (int64_t)imported_header->time - spec_future_limit(import->chain->spec);

	if (import->result->due == 0)
		log_warn("[chain] %s: blocks are too new for this machine's clock: the file will be read again",
			import->path);
	if (import->result->due == 0 || import_due < import->result->due)
		import->result->due = import_due;
}

/* The record at the current place, if it is one. False only if the disk failed. */
static bool import_record(struct block_import *import, struct errmsg *err)
{
	const uint64_t record_at = import->at;
	struct reader import_reader;
	struct reject import_reject;
	uint8_t import_head[IMPORT_HEAD];
	struct header imported_header;
	const struct block *imported;
	uint32_t record_size;

	/* Behind this magic, unless it turns out to be a record: after damage the next one is found wherever it
	 * begins. */
	import->at += 4;
	if (!file_read_at(import->fd, record_at, import_head, sizeof import_head, import->path, err))
		return false;
	record_size = read_le32(import_head + 4);
	if (record_size < HEADER_SIZE || record_size > import->size - record_at - IMPORT_HEAD)
		return true;
	buf_reset(&import->record);
	buf_extend(&import->record, record_size);
	if (!file_read_at(import->fd, record_at + IMPORT_HEAD, import->record.data, record_size, import->path, err))
		return false;
	reader_init(&import_reader, import->record.data, record_size);
	imported = block_read(import->chain->spec, &import_reader, &import_reject);
	if (imported == NULL) {
		log_warn("[chain] %s: no block at offset %llu: %s, %s", import->path, (unsigned long long)record_at,
			import_reject.reason, import_reject.detail);
		return true;
	}
	import->at = record_at + IMPORT_HEAD + record_size;
	/* Copied, as the block is the chain's from the next call on. */
	imported_header = imported->header;
	switch (chain_add_block(import->chain, imported, NULL, &import_reject)) {
	case CHAIN_NEW:
		import->result->added++;
		import_catch_up(import->chain);
		return true;
	case CHAIN_KNOWN:
		return true;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		if (import_reject.why == REASON_TIME_TOO_NEW)
			import_note_too_new(import, &imported_header);
		log_warn("[chain] %s: the block at offset %llu is not taken: %s, %s", import->path,
			(unsigned long long)record_at, import_reject.reason, import_reject.detail);
		return true;
	case CHAIN_ERROR:
		return errmsg_set(err, "The disk failed: see the log");
	}
	return true;
}

bool chain_import(struct chain *chain, const char *path, struct import_result *result, struct errmsg *err)
{
	struct block_import import = { .chain = chain, .path = path, .result = result };
	bool import_ok;

	*result = (struct import_result){ 0 };
	if (!file_size(path, &import.size, err))
		return false;
	import.fd = file_open(path, err);
	if (import.fd < 0)
		return false;
	buf_init(&import.record);
	import_ok = true;
	while (import_ok && !halt_asked(chain) &&
		(import.at = record_file_find_magic(import.fd, chain->spec->magic, import.at, import.size, path)) +
				IMPORT_HEAD <=
			import.size)
		import_ok = import_record(&import, err);
	buf_clear(&import.record);
	close(import.fd);
	return import_ok;
}
