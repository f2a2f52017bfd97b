/* Blobs: the bytes of contributed datasets, one file each: blobs/<root in hex>.
 *
 * A blob is wanted by a block that registers it, or by a transaction that waits to enter the mempool. Those that no
 * block on disk needs are pending, unless this node keeps them for itself: together they stay under a budget. A file is
 * written whole or not at all (what comes in parts is a draft until it is whole), and is checked against its root once
 * a run before its bytes are used. */
#ifndef ATELIER_CHAIN_BLOBS_H
#define ATELIER_CHAIN_BLOBS_H

#include "consensus/spec.h"
#include "util/error.h"
#include "util/map.h"

enum {
	BLOBS_PENDING_BUDGET = 256 << 20,
	BLOBS_LARGEST = SPEC_DISCLOSURE_MAX, /* bytes */
};

struct blobs;

/* The folder is made if missing. */
struct blobs *blobs_open(const char *folder, struct errmsg *err);
void blobs_close(struct blobs *blobs);

bool blobs_has(const struct blobs *blobs, const uint8_t root[32]);
/* Size of a blob that is here, 0 if it is not. */
uint64_t blobs_size(const struct blobs *blobs, const uint8_t root[32]);

/* Whom a blob is here for; the later the stronger. */
enum blobs_use {
	BLOBS_PENDING, /* transactions that no block has */
	BLOBS_KEPT,    /* a wallet of this node */
	BLOBS_SETTLED, /* a block on disk */
};

/* Stores bytes whose root has been compared, for that use, if they are not here for another. A file of another size
 * makes room for them: it is damaged. FULL: they would be pending, and over the budget. */
enum blobs_result { BLOBS_STORED, BLOBS_FULL, BLOBS_FAILED };
enum blobs_result blobs_put(struct blobs *blobs, const uint8_t root[32], const uint8_t *blob_bytes, size_t size,
	enum blobs_use use, struct errmsg *err);
/* The same with the bytes of a draft, whose file becomes the blob's; it stays where it is unless they are STORED. */
enum blobs_result blobs_put_draft(struct blobs *blobs, const uint8_t root[32], const char *draft_path, size_t size,
	enum blobs_use use, struct errmsg *err);
/* A name for a new draft: a file of bytes that are to become a blob, the caller's. Those of an earlier run are removed
 * when the folder is opened. */
char *blobs_draft_path(struct blobs *blobs, const uint8_t root[32]);

/* One that is here, if it is, is used for that too from here on: blobs_settle, a block needs it. */
void blobs_use_for(struct blobs *blobs, const uint8_t root[32], enum blobs_use use);
void blobs_settle(struct blobs *blobs, const uint8_t root[32]);
/* The wallet does not keep it any more: it is pending, unless a block needs it. */
void blobs_release(struct blobs *blobs, const uint8_t root[32]);
/* Deletes a blob if it is still pending. */
void blobs_drop(struct blobs *blobs, const uint8_t root[32]);
/* Deletes one that no block needs any more (chain/model/prune.h). */
void blobs_prune(struct blobs *blobs, const uint8_t root[32]);
/* Bytes of all. */
uint64_t blobs_disk_size(const struct blobs *blobs);
/* Deletes what is still pending and was written more than so many seconds ago. For start-up, after settling. */
void blobs_drop_old(struct blobs *blobs, int64_t seconds);
/* Deletes what is pending and not wanted. */
typedef bool blobs_wanted(const void *context, const uint8_t root[32], uint64_t size);
void blobs_drop_unwanted(struct blobs *blobs, blobs_wanted *wanted, const void *context);

/* Where its file is or would be; the caller's. */
char *blobs_path(const struct blobs *blobs, const uint8_t root[32]);
bool blobs_read(struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes, struct errmsg *err);

/* What a look at the whole file showed. UNREADABLE: nothing, as it cannot be opened now; FAILING: it is open, and the
 * disk does not give it; DAMAGED: it is gone, or another's. */
enum blobs_found { BLOBS_UNREADABLE, BLOBS_SOUND, BLOBS_FAILING, BLOBS_DAMAGED };
/* As blobs_read, or without keeping the bytes, for any thread. Large ones take long: not for the loop. */
enum blobs_found blobs_read_file(const struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes,
	struct errmsg *err);
enum blobs_found blobs_check_file(const struct blobs *blobs, const uint8_t root[32], struct errmsg *err);
/* Some bytes of it, for any thread; that they are the right ones the caller knows, or finds out. */
bool blobs_read_part(const struct blobs *blobs, const uint8_t root[32], uint64_t offset, uint8_t *out, size_t count,
	struct errmsg *err);
/* What follows from it, on the loop: what is damaged is removed, as is what a block needs and the disk does not give;
 * what is sound need not be looked at again. */
void blobs_note(struct blobs *blobs, const uint8_t root[32], enum blobs_found found);

/* Whether its file has been held against its root in this run. */
bool blobs_is_checked(const struct blobs *blobs, const uint8_t root[32]);
/* If not, somebody may begin to, and notes what he finds. False: it is checked, is being checked, or is not here. */
bool blobs_begin_check(struct blobs *blobs, const uint8_t root[32]);
/* The root of the first `size` bytes of a file, by any thread. */
bool blobs_file_root(const char *path, uint64_t size, uint8_t root[32], struct errmsg *err);
/* Appends so many bytes of a blob that is here and has them; checks it first if nobody has. */
bool blobs_read_piece(struct blobs *blobs, const uint8_t root[32], uint64_t offset, size_t count,
	struct buf *blob_bytes, struct errmsg *err);

/* Has windows gathered from a blob (ml/course.h), which reads only the ranges drawn. A file that does not match its
 * root any more is removed: the blob is missing then. */
typedef bool blobs_gatherer(void *context, const struct course_data *data);
bool blobs_gather(struct blobs *blobs, const uint8_t root[32], blobs_gatherer *gather, void *context,
	struct errmsg *err);
/* The same for any thread, of one of that size that is known to match, or is looked at first; what follows from what is
 * found is for blobs_note. */
enum blobs_found blobs_gather_file(const struct blobs *blobs, const uint8_t root[32], uint64_t size, bool is_checked,
	blobs_gatherer *gather, void *context, struct errmsg *err);

#endif
