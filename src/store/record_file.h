/* Flat files of records: blocks/blk00000.dat, blk00001.dat, ... and rev00000.dat, ... beside them.
 * One that is missing leaves a gap: the others keep their numbers, and what is appended goes to the last.
 *
 * A record is  magic 4 | u8 kind | u64 payload size | first 8 bytes of H(kind | size | payload) | payload.
 * The magic is the chain's (spec.magic). A file that reaches 128 MiB is left alone and the next one begun. Records are
 * only ever appended. An append is safe from the end of this process, and from that of the machine after
 * record_file_sync: whoever names a record where it must be found again syncs first. What a crash leaves behind the
 * last whole record is skipped: appends go behind it, and a scan looks for the next magic.
 *
 * A block is stored when it arrives, without bodies (RECORD_BLOCK: doc/protocol.md section 8 with b = 0). Its bodies
 * become known when its proofs have been executed and make a record of their own (RECORD_BODIES: block id 32, then the
 * bodies). RECORD_UNDO, in the rev files: what disconnecting the block brings back (chain/connect.h).
 *
 * A record that is erased leaves a hole, which takes no room on the disk and reads as zeros: all others stay where they
 * are.
 *
 * Appends and scans belong to one thread; record_file_read may be called from any. */
#ifndef ATELIER_STORE_RECORD_FILE_H
#define ATELIER_STORE_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

enum record_kind { RECORD_BLOCK = 1, RECORD_BODIES = 2, RECORD_UNDO = 3 };

enum { RECORD_BLOCK_HEADER = 212 }; /* bytes that a block's payload begins with; their double hash is its id */

/* Where a record's payload lies. size 0: no record. */
struct file_position {
	uint32_t file;
	uint64_t offset, size;
};

struct record_file;

/* `name` is "blk" or "rev". The folder must exist. */
struct record_file *record_file_open(const char *folder, const char *name, const uint8_t magic[4]);
void record_file_close(struct record_file *record_files);
/* Whether there is no file. */
bool record_file_is_empty(const struct record_file *record_files);

/* Appends a payload given in `count` parts. After a failure (disk full) the file is as it was. */
struct file_part {
	const void *data;
	size_t size;
};
bool record_file_append(struct record_file *record_files, enum record_kind kind, const struct file_part *parts,
	size_t count, struct file_position *position, struct errmsg *err);

/* All that was appended, by this run or one before, is on the disk when this returns true. Any one thread, while no
 * other appends. */
bool record_file_sync(struct record_file *record_files, struct errmsg *err);

/* Appends the record to payload. False if the record is not there whole, is of another kind, or (unless it is
 * RECORD_BODIES, whose hashes the headers hold) its checksum differs; the message names file and offset. */
bool record_file_read(const struct record_file *record_files, enum record_kind kind,
	const struct file_position *position, struct buf *payload, struct errmsg *err);

/* Gives the record's room on the disk back; whoever erases it twice does no harm. False if the system or the file
 * system makes no holes, or fails. */
bool record_file_erase(struct record_file *record_files, const struct file_position *position, struct errmsg *err);
/* Whether this file system makes holes. */
bool record_file_can_erase(const struct record_file *record_files, struct errmsg *err);
/* Bytes that all files take on the disk, holes not counted; about, as the file system rounds. */
uint64_t record_file_disk_size(const struct record_file *record_files);

/* Whether the record ends within its file. */
bool record_file_holds(const struct record_file *record_files, const struct file_position *position);

/* Path of a file, the caller's. */
char *record_file_path(const struct record_file *record_files, uint32_t file);

/* Calls visit for every sound record in order that lies behind `after` (size 0: for all), until it returns false. done
 * and total (bytes) tell how far. */
typedef bool record_file_visit(void *visit_context, enum record_kind kind, const struct file_position *position,
	const uint8_t *payload, uint64_t done, uint64_t total);
bool record_file_scan(struct record_file *record_files, const struct file_position *after, record_file_visit *visit,
	void *visit_context, struct errmsg *err);

/* The next offset at or after `from` where the magic stands in an open file, or its size. */
uint64_t record_file_find_magic(int fd, const uint8_t magic[4], uint64_t scan_from, uint64_t size,
	const char *record_path);

#endif
