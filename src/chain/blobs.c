/* Files of blobs, and which of them are pending. */
#include "chain/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consensus/payload/contribution.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { BLOBS_LARGEST = 1 << 24 };

struct blob {
	uint64_t size;
	int64_t written; /* when, Unix seconds */
	enum blobs_use use;
	bool checked;
};

struct blobs {
	char *folder;
	struct map by_root;
	uint64_t pending_bytes;
};

char *blobs_path(const struct blobs *blobs, const uint8_t root[32])
{
	char hex_root[65];

	hex_encode(hex_root, root, 32);
	return path_join(blobs->folder, hex_root);
}

static struct blob *blob_add(struct blobs *blobs, const uint8_t root[32], uint64_t size, int64_t written,
	enum blobs_use use)
{
	struct blob *blob = mem_calloc(1, sizeof *blob);

	blob->size = size;
	blob->written = written;
	blob->use = use;
	if (use == BLOBS_PENDING)
		blobs->pending_bytes += size;
	map_put(&blobs->by_root, root, blob);
	return blob;
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
			fstatat(dirfd(blobs_dir), blob_file->d_name, &blob_stat, 0) == 0 && blob_stat.st_size > 0 &&
			blob_stat.st_size <= BLOBS_LARGEST)
			blob_add(blobs, blob_root, (uint64_t)blob_stat.st_size, blob_stat.st_mtime, BLOBS_PENDING);
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

enum blobs_result blobs_put(struct blobs *blobs, const uint8_t root[32], const uint8_t *blob_bytes, size_t size,
	enum blobs_use use, struct errmsg *err)
{
	char *blob_file;
	bool stored;

	if (blobs_has(blobs, root)) {
		blobs_use_for(blobs, root, use);
		return BLOBS_STORED;
	}
	/* A contribution is cheap as long as no block holds it, so the disk that such ones take is bounded for all of
	 * them together. */
	if (use == BLOBS_PENDING && blobs->pending_bytes + size > BLOBS_PENDING_BUDGET)
		return BLOBS_FULL;
	blob_file = blobs_path(blobs, root);
	stored = file_write_atomic(blob_file, blob_bytes, size, 0600, err);
	free(blob_file);
	if (!stored)
		return BLOBS_FAILED;
	blob_add(blobs, root, size, clock_wall(), use)->checked = true;
	return BLOBS_STORED;
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

/* It may be over the budget then, and the next one that comes finds no room. */
void blobs_release(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob = map_get(&blobs->by_root, root);

	if (blob == NULL || blob->use != BLOBS_KEPT)
		return;
	blob->use = BLOBS_PENDING;
	blobs->pending_bytes += blob->size;
}

/* Settled first, for it to leave the budget of the pending ones. */
static void blob_remove(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob;
	char *blob_file;

	blobs_settle(blobs, root);
	blob_file = blobs_path(blobs, root);
	blob = map_remove(&blobs->by_root, root);
	free(blob);
	file_remove(blob_file, NULL);
	free(blob_file);
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

static bool blob_matches_root(const struct buf *blob_bytes, size_t blob_start, const uint8_t root[32])
{
	uint8_t computed_root[32];

	contribution_root(blob_bytes->data + blob_start, blob_bytes->size - blob_start, computed_root);
	return memcmp(computed_root, root, 32) == 0;
}

/* Of `blobs` it needs nothing that changes. */
bool blobs_read_file(const struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes, struct errmsg *err)
{
	size_t blob_start = blob_bytes->size;
	char *blob_file = blobs_path(blobs, root);
	bool blob_read = file_read(blob_file, BLOBS_LARGEST, blob_bytes, err);

	if (blob_read && !blob_matches_root(blob_bytes, blob_start, root))
		blob_read = errmsg_set(err, "%s does not match its root any more", blob_file);
	free(blob_file);
	if (!blob_read)
		blob_bytes->size = blob_start;
	return blob_read;
}

bool blobs_read(struct blobs *blobs, const uint8_t root[32], struct buf *blob_bytes, struct errmsg *err)
{
	struct blob *blob = map_get(&blobs->by_root, root);
	size_t blob_start = blob_bytes->size;
	bool blob_read, blob_sound;
	char *blob_file;

	if (blob == NULL)
		return errmsg_set(err, "The blob is not here");
	blob_file = blobs_path(blobs, root);
	blob_read = file_read(blob_file, BLOBS_LARGEST, blob_bytes, err);
	if (blob_read) {
		blob_read = blob_sound = blob_matches_root(blob_bytes, blob_start, root);
		if (!blob_sound)
			errmsg_set(err, "%s does not match its root any more", blob_file);
	} else {
		/* A file that is there and cannot be opened now (no descriptor is left) may be sound. */
		blob_sound = file_exists(blob_file);
	}
	if (blob_read)
		blob->checked = true;
	else
		blob_bytes->size = blob_start;
	if (!blob_sound) {
		log_error("[chain] removing a damaged blob: %s", blob_file);
		blob_remove(blobs, root);
	}
	free(blob_file);
	return blob_read;
}

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

bool blobs_gather(struct blobs *blobs, const uint8_t root[32], blobs_gatherer *gather, void *context,
	struct errmsg *err)
{
	const struct blob *blob = map_get(&blobs->by_root, root);
	struct blob_ranges blob_ranges = { .err = err };
	bool gathered, blob_gone;
	char *blob_file;

	/* Once in a run the whole is hashed, as ranges by themselves cannot be held against the root. */
	if (blob != NULL && !blob->checked) {
		struct buf whole_blob;

		buf_init(&whole_blob);
		gathered = blobs_read(blobs, root, &whole_blob, err);
		buf_clear(&whole_blob);
		if (!gathered)
			return false;
	}
	if (blob == NULL)
		return errmsg_set(err, "The blob of a dataset is not here");
	blob_file = blobs_path(blobs, root);
	blob_ranges.path = blob_file;
	blob_ranges.fd = open(blob_file, O_RDONLY | O_CLOEXEC);
	blob_gone = blob_ranges.fd < 0 && errno == ENOENT;
	if (blob_ranges.fd >= 0) {
		const struct course_data blob_data = {
			.size = blob->size,
			.read = blob_read_range,
			.context = &blob_ranges,
		};

		gathered = gather(context, &blob_data);
		close(blob_ranges.fd);
	} else {
		gathered = errmsg_set(err, "Cannot open %s: %s", blob_file, strerror(errno));
	}
	/* Somebody took it away or cut it short: it must be fetched again. */
	if (blob_gone || (blob_ranges.fd >= 0 && !gathered))
		blob_remove(blobs, root);
	free(blob_file);
	return gathered;
}
