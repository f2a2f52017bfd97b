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
#include "ml/kernel/noise.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { BLOB_LARGEST = 1 << 24 };

struct blob {
	uint64_t size;
	int64_t written; /* when, Unix seconds */
	bool pending, checked;
};

struct blobs {
	char *folder;
	struct map by_root;
	uint64_t pending_bytes;
};

static char *blob_path(const struct blobs *blobs, const uint8_t root[32])
{
	char name[65];

	hex_encode(name, root, 32);
	return path_join(blobs->folder, name);
}

static struct blob *blob_add(struct blobs *blobs, const uint8_t root[32], uint64_t size, int64_t written, bool pending)
{
	struct blob *blob = mem_calloc(1, sizeof *blob);

	blob->size = size;
	blob->written = written;
	blob->pending = pending;
	if (pending)
		blobs->pending_bytes += size;
	map_put(&blobs->by_root, root, blob);
	return blob;
}

/* All count as pending until the chain settles those that it needs (chain/open.c); the bytes are hashed when one is
 * first used, not here. */
struct blobs *blobs_open(const char *folder, struct errmsg *err)
{
	struct blobs *blobs;
	struct dirent *item;
	DIR *dir;

	if (!dir_make(folder, err))
		return NULL;
	dir = opendir(folder);
	if (dir == NULL) {
		errmsg_set(err, "Cannot read the folder %s: %s", folder, strerror(errno));
		return NULL;
	}
	blobs = mem_calloc(1, sizeof *blobs);
	blobs->folder = mem_strdup(folder);
	map_init(&blobs->by_root);
	while ((item = readdir(dir)) != NULL) {
		struct stat stat;
		uint8_t root[32];

		if (hex_decode(root, 32, item->d_name) && fstatat(dirfd(dir), item->d_name, &stat, 0) == 0 &&
			stat.st_size > 0 && stat.st_size <= BLOB_LARGEST)
			blob_add(blobs, root, (uint64_t)stat.st_size, stat.st_mtime, true);
	}
	closedir(dir);
	return blobs;
}

void blobs_close(struct blobs *blobs)
{
	const uint8_t *key;
	size_t at = 0;
	void *value;

	if (blobs == NULL)
		return;
	while (map_next(&blobs->by_root, &at, &key, &value))
		free(value);
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

enum blobs_result blobs_put(struct blobs *blobs, const uint8_t root[32], const uint8_t *data, size_t size, bool pending,
	struct errmsg *err)
{
	char *path;
	bool ok;

	if (blobs_has(blobs, root)) {
		if (!pending)
			blobs_settle(blobs, root);
		return BLOBS_STORED;
	}
	/* A contribution is cheap as long as no block holds it, so the disk that such ones take is bounded for all of
	 * them together. */
	if (pending && blobs->pending_bytes + size > BLOBS_PENDING_BUDGET)
		return BLOBS_FULL;
	path = blob_path(blobs, root);
	ok = file_write_atomic(path, data, size, 0600, err);
	free(path);
	if (!ok)
		return BLOBS_FAILED;
	blob_add(blobs, root, size, clock_wall(), pending)->checked = true;
	return BLOBS_STORED;
}

void blobs_settle(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob = map_get(&blobs->by_root, root);

	if (blob == NULL || !blob->pending)
		return;
	blob->pending = false;
	blobs->pending_bytes -= blob->size;
}

/* Settled first, for it to leave the budget of the pending ones. */
static void blob_remove(struct blobs *blobs, const uint8_t root[32])
{
	struct blob *blob;
	char *path;

	blobs_settle(blobs, root);
	path = blob_path(blobs, root);
	blob = map_remove(&blobs->by_root, root);
	free(blob);
	file_remove(path, NULL);
	free(path);
}

void blobs_drop(struct blobs *blobs, const uint8_t root[32])
{
	const struct blob *blob = map_get(&blobs->by_root, root);

	if (blob != NULL && blob->pending)
		blob_remove(blobs, root);
}

void blobs_drop_old(struct blobs *blobs, int64_t seconds)
{
	const int64_t now = clock_wall();
	uint8_t(*old)[32] = mem_calloc(blobs->by_root.count, 32);
	size_t count = 0, at = 0;
	const uint8_t *root;
	void *value;

	while (map_next(&blobs->by_root, &at, &root, &value)) {
		const struct blob *blob = value;

		if (blob->pending && blob->written + seconds < now)
			memcpy(old[count++], root, 32);
	}
	for (size_t i = 0; i < count; i++)
		blob_remove(blobs, old[i]);
	free(old);
}

static bool root_matches(const struct buf *out, size_t before, const uint8_t root[32])
{
	uint8_t found[32];

	contribution_root(out->data + before, out->size - before, found);
	return memcmp(found, root, 32) == 0;
}

bool blobs_read(struct blobs *blobs, const uint8_t root[32], struct buf *out, struct errmsg *err)
{
	struct blob *blob = map_get(&blobs->by_root, root);
	size_t before = out->size;
	bool ok, sound;
	char *path;

	if (blob == NULL)
		return errmsg_set(err, "The blob is not here");
	path = blob_path(blobs, root);
	ok = file_read(path, BLOB_LARGEST, out, err);
	if (ok) {
		ok = sound = root_matches(out, before, root);
		if (!sound)
			errmsg_set(err, "%s does not match its root any more", path);
	} else {
		/* A file that is there and cannot be opened now (no descriptor is left) may be sound. */
		sound = file_exists(path);
	}
	if (ok)
		blob->checked = true;
	else
		out->size = before;
	if (!sound) {
		log_error("[chain] removing a damaged blob: %s", path);
		blob_remove(blobs, root);
	}
	free(path);
	return ok;
}

static bool gather_ranges(int fd, const struct spec *spec, const uint8_t seed[32], uint64_t size, const char *path,
	uint8_t *out, struct errmsg *err)
{
	const uint32_t ctx = spec_course(spec)->train.model.ctx;
	const uint32_t count = spec_course(spec)->train.iterations * spec_course(spec)->train.batch;

	for (uint32_t i = 0; i < count; i++, out += ctx + 1) {
		struct noise_window window;

		noise_window(seed, NOISE_WINDOW, i, size, ctx, &window);
		memcpy(out, window.prefix, sizeof window.prefix);
		if (!file_read_at(fd, window.offset, out + sizeof window.prefix, ctx - 7, path, err))
			return false;
	}
	return true;
}

bool blobs_gather(struct blobs *blobs, const struct spec *spec, const uint8_t root[32], const uint8_t seed[32],
	uint8_t *out, struct errmsg *err)
{
	const struct blob *blob = map_get(&blobs->by_root, root);
	bool ok, gone;
	char *path;
	int fd;

	/* Once in a run the whole is hashed, as ranges by themselves cannot be held against the root. */
	if (blob != NULL && !blob->checked) {
		struct buf whole;

		buf_init(&whole);
		ok = blobs_read(blobs, root, &whole, err);
		buf_clear(&whole);
		if (!ok)
			return false;
	}
	if (blob == NULL || blob->size < spec_course(spec)->train.model.ctx)
		return errmsg_set(err, "The blob of a dataset is not here");
	path = blob_path(blobs, root);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	gone = fd < 0 && errno == ENOENT;
	ok = fd >= 0 ? gather_ranges(fd, spec, seed, blob->size, path, out, err) :
		       errmsg_set(err, "Cannot open %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	/* Somebody took it away or cut it short: it must be fetched again. */
	if (gone || (fd >= 0 && !ok))
		blob_remove(blobs, root);
	free(path);
	return ok;
}
