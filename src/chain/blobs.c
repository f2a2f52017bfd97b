/* Files of blobs, and which of them are pending. */
#include "chain/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consensus/payload/contribution.h"
#include "crypto/merkle.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { BLOBS_PAGES_AT_ONCE = 64 << 10 /* bytes of a file that are hashed at a time: whole pages */ };

static const char blobs_draft_ending[] = ".part";

struct blob {
	uint64_t size;
	int64_t written; /* when, Unix seconds */
	enum blobs_use use;
	bool checked, in_check;
};

struct blobs {
	char *folder;
	struct map by_root;
	uint64_t bytes, pending_bytes; /* of all; of those */
	uint64_t draft_number;         /* of the last one */
};

char *blobs_path(const struct blobs *blobs, const uint8_t root[32])
{
	char hex_root[65];

	hex_encode(hex_root, root, 32);
	return path_join(blobs->folder, hex_root);
}

char *blobs_draft_path(struct blobs *blobs, const uint8_t root[32])
{
	char hex_root[65], draft_name[128];

	hex_encode(hex_root, root, 32);
	snprintf(draft_name, sizeof draft_name, "%s.%" PRIu64 "%s", hex_root, ++blobs->draft_number,
		blobs_draft_ending);
	return path_join(blobs->folder, draft_name);
}

static struct blob *blob_add(struct blobs *blobs, const uint8_t root[32], uint64_t size, int64_t written,
	enum blobs_use use)
{
	struct blob *blob = mem_calloc(1, sizeof *blob);

	blob->size = size;
	blob->written = written;
	blob->use = use;
	blobs->bytes += size;
	if (use == BLOBS_PENDING)
		blobs->pending_bytes += size;
	map_put(&blobs->by_root, root, blob);
	return blob;
}

static bool blobs_ends_with(const char *name, const char *ending)
{
	const size_t length = strlen(name), ending_length = strlen(ending);

	return length > ending_length && strcmp(name + length - ending_length, ending) == 0;
}

/* Half a blob is worth nothing: nobody could be blamed for bytes that came from somebody else. Nor is what a kill has
 * left of one that was being written (util/file.h). */
static void blobs_remove_draft(DIR *blobs_dir, const char *name)
{
	if (blobs_ends_with(name, blobs_draft_ending) || blobs_ends_with(name, FILE_DRAFT_ENDING))
		unlinkat(dirfd(blobs_dir), name, 0);
}

/* All count as pending until the chain settles those that it needs (chain/open.c); the bytes are hashed when one is
 * first used, not here. */
struct blobs *blobs_open(const char *folder, struct errmsg *err)
{
	struct blobs *blobs;
	struct dirent *blob_file;
	DIR *blobs_dir;

	if (!dir_make(folder, err))
		return NULL;
	blobs_dir = opendir(folder);
	if (blobs_dir == NULL) {
		errmsg_set(err, "Cannot read the folder %s: %s", folder, strerror(errno));
		return NULL;
	}
	blobs = mem_calloc(1, sizeof *blobs);
	blobs->folder = mem_strdup(folder);
	map_init(&blobs->by_root);
	while ((blob_file = readdir(blobs_dir)) != NULL) {
		struct stat blob_stat;
		uint8_t blob_root[32];

		if (hex_decode(blob_root, 32, blob_file->d_name) &&
			fstatat(dirfd(blobs_dir), blob_file->d_name, &blob_stat, 0) == 0 &&
			S_ISREG(blob_stat.st_mode) && blob_stat.st_size > 0 && blob_stat.st_size <= BLOBS_LARGEST)
			blob_add(blobs, blob_root, (uint64_t)blob_stat.st_size, blob_stat.st_mtime, BLOBS_PENDING);
		else
			blobs_remove_draft(blobs_dir, blob_file->d_name);
	}
	closedir(blobs_dir);
	return blobs;
}

void blobs_close(struct blobs *blobs)
{
	const uint8_t *blob_root;
	size_t blob_at = 0;
	void *blob_value;

	if (blobs == NULL)
		return;
	while (map_next(&blobs->by_root, &blob_at, &blob_root, &blob_value))
		free(blob_value);
	map_clear(&blobs->by_root);
	free(blobs->folder);
	free(blobs);
}

bool blobs_has(const struct blobs *blobs, const uint8_t root[32])
{
	return map_get(&blobs->by_root, root) != NULL;
}

uint64_t blobs_size(const struct blobs *blobs, const uint8_t root[32])
{
	const struct blob *blob = map_get(&blobs->by_root, root);

	return blob != NULL ? blob->size : 0;
}

void blobs_use_for(struct blobs *blobs, const uint8_t root[32], enum blobs_use use)
{
	struct blob *blob = map_get(&blobs->by_root, root);

	if (blob == NULL || use <= blob->use)
		return;
	if (blob->use == BLOBS_PENDING)
		blobs->pending_bytes -= blob->size;
	blob->use = use;
}

void blobs_settle(struct blobs *blobs, const uint8_t root[32])
{
	blobs_use_for(blobs, root, BLOBS_SETTLED);
}

/* Settled first, for it to leave the budget of the pending ones. */
static void blob_remove(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob;
	char *blob_file;

	blobs_settle(blobs, root);
	blob_file = blobs_path(blobs, root);
	blob = map_remove(&blobs->by_root, root);
	if (blob != NULL)
		blobs->bytes -= blob->size;
	free(blob);
	file_remove(blob_file, NULL);
	free(blob_file);
}

/* Whether there is anything to be written for that use; if not, `known` says how it ends. A root is that of bytes of
 * one size: a file of another was cut short, and what comes takes its place, for all that it was here for. */
static bool blobs_has_room(struct blobs *blobs, const uint8_t root[32], size_t size, enum blobs_use *use,
	enum blobs_result *known)
{
	const struct blob *blob = map_get(&blobs->by_root, root);

	*known = BLOBS_STORED;
	if (blob != NULL && blob->size == size) {
		blobs_use_for(blobs, root, *use);
		return false;
	}
	if (blob != NULL) {
		*use = blob->use > *use ? blob->use : *use;
		blob_remove(blobs, root);
	}
	/* A contribution is cheap as long as no block holds it, so the disk that such ones take is bounded for all of
	 * them together. */
	*known = BLOBS_FULL;
	return *use != BLOBS_PENDING || blobs->pending_bytes + size <= BLOBS_PENDING_BUDGET;
}

/* Bytes whose root has been compared lie in that file, or could not be put there. */
static enum blobs_result blobs_take_in(struct blobs *blobs, const uint8_t root[32], size_t size, enum blobs_use use,
	bool stored)
{
	if (!stored)
		return BLOBS_FAILED;
	blob_add(blobs, root, size, clock_wall(), use)->checked = true;
	return BLOBS_STORED;
}

enum blobs_result blobs_put(struct blobs *blobs, const uint8_t root[32], const uint8_t *blob_bytes, size_t size,
	enum blobs_use use, struct errmsg *err)
{
	enum blobs_result known;
	char *blob_file;
	bool stored;

	if (!blobs_has_room(blobs, root, size, &use, &known))
		return known;
	blob_file = blobs_path(blobs, root);
	stored = file_write_atomic(blob_file, blob_bytes, size, 0600, err);
	free(blob_file);
	return blobs_take_in(blobs, root, size, use, stored);
}

enum blobs_result blobs_put_draft(struct blobs *blobs, const uint8_t root[32], const char *draft_path, size_t size,
	enum blobs_use use, struct errmsg *err)
{
	enum blobs_result known;
	char *blob_file;
	bool stored;

	if (!blobs_has_room(blobs, root, size, &use, &known))
		return known;
	blob_file = blobs_path(blobs, root);
	stored = rename(draft_path, blob_file) == 0 ||
		errmsg_set(err, "%s cannot be renamed: %s", draft_path, strerror(errno));
	free(blob_file);
	return blobs_take_in(blobs, root, size, use, stored && file_sync_dir(blobs->folder, err));
}

/* It may be over the budget then, and the next one that comes finds no room. */
void blobs_release(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob = map_get(&blobs->by_root, root);

	if (blob == NULL || blob->use != BLOBS_KEPT)
		return;
	blob->use = BLOBS_PENDING;
	blobs->pending_bytes += blob->size;
}

void blobs_prune(struct blobs *blobs, const uint8_t root[32])
{
	blob_remove(blobs, root);
}

uint64_t blobs_disk_size(const struct blobs *blobs)
{
	return blobs->bytes;
}

void blobs_drop(struct blobs *blobs, const uint8_t root[32])
{
	const struct blob *blob = map_get(&blobs->by_root, root);

	if (blob != NULL && blob->use == BLOBS_PENDING)
		blob_remove(blobs, root);
}

/* Of those written before then, `before`; a NULL `wanted`: all of them. */
static void blobs_drop_those(struct blobs *blobs, int64_t before, blobs_wanted *wanted, const void *context)
{
	uint8_t(*dropped_roots)[32] = mem_calloc(blobs->by_root.count, 32);
	size_t dropped_count = 0, blob_at = 0;
	const uint8_t *root;
	void *blob_value;

	while (map_next(&blobs->by_root, &blob_at, &root, &blob_value)) {
		const struct blob *blob = blob_value;

		if (blob->use == BLOBS_PENDING && blob->written < before &&
			(wanted == NULL || !wanted(context, root, blob->size)))
			memcpy(dropped_roots[dropped_count++], root, 32);
	}
	for (size_t i = 0; i < dropped_count; i++)
		blob_remove(blobs, dropped_roots[i]);
	free(dropped_roots);
}

void blobs_drop_old(struct blobs *blobs, int64_t seconds)
{
	blobs_drop_those(blobs, clock_wall() - seconds, NULL, NULL);
}

void blobs_drop_unwanted(struct blobs *blobs, blobs_wanted *wanted, const void *context)
{
	blobs_drop_those(blobs, INT64_MAX, wanted, context);
}

/* A file that is there and cannot be opened now (no descriptor is left) may be sound. */
static enum blobs_found blob_found_closed(const char *blob_file)
{
	return file_exists(blob_file) ? BLOBS_UNREADABLE : BLOBS_DAMAGED;
}

static enum blobs_found blob_found_root(const char *blob_file, const uint8_t found_root[32], const uint8_t root[32],
	struct errmsg *err)
{
	if (memcmp(found_root, root, 32) == 0)
		return BLOBS_SOUND;
	errmsg_set(err, "%s does not match its root any more", blob_file);
	return BLOBS_DAMAGED;
}

/* Of `blobs` it needs nothing that changes. */
enum blobs_found blobs_read_file(const struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes,
	struct errmsg *err)
{
	size_t blob_start = blob_bytes->size;
	char *blob_file = blobs_path(blobs, root);
	const int fd = file_open(blob_file, err);
	enum blobs_found found = BLOBS_FAILING;
	uint8_t found_root[32];

	if (fd < 0) {
		found = blob_found_closed(blob_file);
	} else if (file_read_rest(fd, BLOBS_LARGEST, blob_bytes, blob_file, err)) {
		contribution_root(blob_bytes->data + blob_start, blob_bytes->size - blob_start, found_root);
		found = blob_found_root(blob_file, found_root, root, err);
	}
	if (fd >= 0)
		close(fd);
	free(blob_file);
	if (found != BLOBS_SOUND)
		blob_bytes->size = blob_start;
	return found;
}

static bool blob_hash_file(int fd, const char *path, uint64_t size, uint8_t root[32], struct errmsg *err)
{
	uint8_t *pages = mem_alloc(BLOBS_PAGES_AT_ONCE);
	struct merkle merkle;
	bool hashed = true;

	merkle_init(&merkle);
	for (uint64_t at = 0; hashed && at < size; at += BLOBS_PAGES_AT_ONCE) {
		const size_t count = size - at < BLOBS_PAGES_AT_ONCE ? (size_t)(size - at) : BLOBS_PAGES_AT_ONCE;

		hashed = file_read_at(fd, at, pages, count, path, err);
		for (size_t i = 0; hashed && i < count; i += CONTRIBUTION_PAGE)
			merkle_add(&merkle, pages + i, count - i < CONTRIBUTION_PAGE ? count - i : CONTRIBUTION_PAGE);
	}
	merkle_final(&merkle, root);
	free(pages);
	return hashed;
}

enum blobs_found blobs_check_file(const struct blobs *blobs, const uint8_t root[32], struct errmsg *err)
{
	char *blob_file = blobs_path(blobs, root);
	const int fd = file_open(blob_file, err);
	enum blobs_found found = BLOBS_FAILING;
	struct stat blob_stat;
	uint8_t found_root[32];

	if (fd < 0)
		found = blob_found_closed(blob_file);
	else if (fstat(fd, &blob_stat) == 0 &&
		blob_hash_file(fd, blob_file, (uint64_t)blob_stat.st_size, found_root, err))
		found = blob_found_root(blob_file, found_root, root, err);
	if (fd >= 0)
		close(fd);
	free(blob_file);
	return found;
}

bool blobs_read_part(const struct blobs *blobs, const uint8_t root[32], uint64_t offset, uint8_t *out, size_t count,
	struct errmsg *err)
{
	char *blob_file = blobs_path(blobs, root);
	const int fd = file_open(blob_file, err);
	const bool part_read = fd >= 0 && file_read_at(fd, offset, out, count, blob_file, err);

	if (fd >= 0)
		close(fd);
	free(blob_file);
	return part_read;
}

void blobs_note(struct blobs *blobs, const uint8_t root[32], enum blobs_found found)
{
	struct blob *blob = map_get(&blobs->by_root, root);
	char *blob_file;

	if (blob == NULL)
		return;
	blob->in_check = false;
	blob->checked = blob->checked || found == BLOBS_SOUND;
	/* On a bad place of the disk it may be read another time; but others have what a block needs. */
	if (found != BLOBS_DAMAGED && (found != BLOBS_FAILING || blob->use != BLOBS_SETTLED))
		return;
	blob_file = blobs_path(blobs, root);
	log_error("[chain] removing a damaged blob: %s", blob_file);
	free(blob_file);
	blob_remove(blobs, root);
}

bool blobs_read(struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes, struct errmsg *err)
{
	enum blobs_found found;

	if (!blobs_has(blobs, root))
		return errmsg_set(err, "The blob is not here");
	found = blobs_read_file(blobs, root, blob_bytes, err);
	blobs_note(blobs, root, found);
	return found == BLOBS_SOUND;
}

/* --- in pieces --- */

bool blobs_is_checked(const struct blobs *blobs, const uint8_t root[32])
{
	const struct blob *blob = map_get(&blobs->by_root, root);

	return blob != NULL && blob->checked;
}

bool blobs_file_root(const char *path, uint64_t size, uint8_t root[32], struct errmsg *err)
{
	const int fd = file_open(path, err);
	const bool hashed = fd >= 0 && blob_hash_file(fd, path, size, root, err);

	if (fd >= 0)
		close(fd);
	return hashed;
}

bool blobs_begin_check(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob = map_get(&blobs->by_root, root);

	if (blob == NULL || blob->checked || blob->in_check)
		return false;
	blob->in_check = true;
	return true;
}

/* Once in a run the whole is hashed, as pieces by themselves cannot be held against the root. */
static bool blobs_make_sure(struct blobs *blobs, const uint8_t root[32], struct errmsg *err)
{
	enum blobs_found found;

	if (!blobs_has(blobs, root))
		return errmsg_set(err, "The blob is not here");
	if (blobs_is_checked(blobs, root))
		return true;
	found = blobs_check_file(blobs, root, err);
	blobs_note(blobs, root, found);
	return found == BLOBS_SOUND;
}

bool blobs_read_piece(struct blobs *blobs, const uint8_t root[32], uint64_t offset, size_t count,
	struct buf *blob_bytes, struct errmsg *err)
{
	const size_t blob_start = blob_bytes->size;

	if (!blobs_make_sure(blobs, root, err))
		return false;
	if (blobs_read_part(blobs, root, offset, buf_extend(blob_bytes, count), count, err))
		return true;
	blob_bytes->size = blob_start;
	return false;
}

/* --- windows --- */

/* Of a blob under way: what reading it needs, and where it says what went wrong. */
struct blob_ranges {
	int fd;
	const char *path;
	struct errmsg *err;
};

static bool blob_read_range(const void *context, uint64_t offset, uint8_t *range_bytes, size_t count)
{
	const struct blob_ranges *blob_ranges = context;

	return file_read_at(blob_ranges->fd, offset, range_bytes, count, blob_ranges->path, blob_ranges->err);
}

/* One that can be opened, and not be read, was cut short: it must be fetched again. */
enum blobs_found blobs_gather_file(const struct blobs *blobs, const uint8_t root[32], uint64_t size, bool is_checked,
	blobs_gatherer *gather, void *context, struct errmsg *err)
{
	char *blob_file = blobs_path(blobs, root);
	enum blobs_found found = is_checked ? BLOBS_SOUND : blobs_check_file(blobs, root, err);
	struct blob_ranges blob_ranges = { .fd = -1, .path = blob_file, .err = err };
	const struct course_data blob_data = { .size = size, .read = blob_read_range, .context = &blob_ranges };

	if (found == BLOBS_SOUND) {
		blob_ranges.fd = file_open(blob_file, err);
		if (blob_ranges.fd < 0)
			found = blob_found_closed(blob_file);
		else if (!gather(context, &blob_data))
			found = BLOBS_DAMAGED;
	}
	if (blob_ranges.fd >= 0)
		close(blob_ranges.fd);
	free(blob_file);
	return found;
}

bool blobs_gather(struct blobs *blobs, const uint8_t root[32], blobs_gatherer *gather, void *context,
	struct errmsg *err)
{
	enum blobs_found found;

	if (!blobs_make_sure(blobs, root, err))
		return false;
	found = blobs_gather_file(blobs, root, blobs_size(blobs, root), true, gather, context, err);
	if (found == BLOBS_DAMAGED)
		blob_remove(blobs, root);
	return found == BLOBS_SOUND;
}
