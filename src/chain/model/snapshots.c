/* The list of snapshots, and single files. */
#include "chain/model/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"

enum { SNAPSHOT_VERSION = 1, SNAPSHOT_HEAD = 80, SNAPSHOTS_NEWEST = 3 };

static const char snapshot_magic[9] = "ATLSTATE";

/* --- one file --- */

/* Whole or not at all: one that is cut short by a crash never gets its name. */
bool snapshots_write(const char *path, const uint8_t id[32], uint32_t height, const struct state *state,
	struct errmsg *err)
{
	struct buf file;
	bool ok;

	buf_init(&file);
	buf_put(&file, snapshot_magic, 8);
	buf_put_le32(&file, SNAPSHOT_VERSION);
	buf_put_le32(&file, height);
	buf_put(&file, id, 32);
	buf_put(&file, state_root(state), 32);
	state_serialise(state, buf_extend(&file, state_size(state_config(state))));
	ok = file_write_atomic(path, file.data, file.size, 0600, err);
	buf_clear(&file);
	return ok;
}

/* The root in the index decides, not the one in the file. */
struct state *snapshots_read(const char *path, const struct spec *spec, const struct index_entry *entry,
	struct errmsg *err)
{
	const size_t size = state_size(&spec_course(spec)->train.model);
	struct state *state = NULL;
	struct buf file;

	buf_init(&file);
	if (!file_read(path, SNAPSHOT_HEAD + size, &file, err)) {
		buf_clear(&file);
		return NULL;
	}
	if (file.size == SNAPSHOT_HEAD + size && memcmp(file.data, snapshot_magic, 8) == 0 &&
		read_le32(file.data + 8) == SNAPSHOT_VERSION && memcmp(file.data + 16, entry->id, 32) == 0)
		state = state_deserialise(&spec_course(spec)->train.model, file.data + SNAPSHOT_HEAD, size);
	buf_clear(&file);
	if (state != NULL && memcmp(state_root(state), entry->model_root_after, 32) == 0)
		return state;
	state_unref(state);
	errmsg_set(err, "The snapshot %s is not the state of its block", path);
	return NULL;
}

/* --- the list --- */

char *snapshots_path(const struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	char hex[65], name[96];

	hex_encode_reversed(hex, id, 32);
	snprintf(name, sizeof name, "%08" PRIu32 "-%s.state", height, hex);
	return path_join(snapshots->folder, name);
}

/* Highest first, as whoever looks for a base wants them. */
static void snapshot_insert(struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	size_t at = 0;

	snapshots->list = mem_realloc(snapshots->list, (snapshots->count + 1) * sizeof *snapshots->list);
	while (at < snapshots->count && snapshots->list[at].height > height)
		at++;
	memmove(&snapshots->list[at + 1], &snapshots->list[at], (snapshots->count - at) * sizeof *snapshots->list);
	snapshots->list[at].height = height;
	memcpy(snapshots->list[at].id, id, 32);
	snapshots->count++;
}

bool snapshots_known(const struct snapshots *snapshots, const uint8_t id[32])
{
	for (size_t i = 0; i < snapshots->count; i++)
		if (memcmp(snapshots->list[i].id, id, 32) == 0)
			return true;
	return false;
}

/* Which power of two of intervals a snapshot is old: one a bucket is kept. So their number grows with the logarithm of
 * the height. */
static unsigned age_bucket(const struct snapshots *snapshots, const struct snapshot *snapshot)
{
	uint32_t age = (snapshots->list[0].height - snapshot->height) / snapshots->interval;
	unsigned bucket = 0;

	while (age > 1) {
		age /= 2;
		bucket++;
	}
	return bucket;
}

static void snapshots_thin(struct snapshots *snapshots)
{
	size_t kept = 0;

	for (size_t i = 0; i < snapshots->count; i++) {
		const struct snapshot at = snapshots->list[i];
		/* The oldest of a bucket stays, so that some always grow old. */
		bool last = i + 1 == snapshots->count ||
			age_bucket(snapshots, &at) != age_bucket(snapshots, &snapshots->list[i + 1]);

		if (i < SNAPSHOTS_NEWEST || last) {
			snapshots->list[kept++] = at;
		} else {
			char *path = snapshots_path(snapshots, at.height, at.id);

			file_remove(path, NULL);
			free(path);
		}
	}
	snapshots->count = kept;
}

void snapshots_add(struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	snapshot_insert(snapshots, height, id);
	snapshots_thin(snapshots);
}

/* What is not named exactly so is not ours, and is left alone. 79 characters: 8 of the height, "-", 64 of the id,
 * ".state". */
static bool snapshot_name(const char *name, uint32_t *height, uint8_t id[32])
{
	char hex[65] = "", end[8] = "";

	return strlen(name) == 79 && sscanf(name, "%8" SCNu32 "-%64[0-9a-f]%7s", height, hex, end) == 3 &&
		strcmp(end, ".state") == 0 && hex_decode_reversed(id, 32, hex);
}

bool snapshots_init(struct snapshots *snapshots, const char *folder, uint32_t interval, struct errmsg *err)
{
	DIR *dir = opendir(folder);
	struct dirent *item;
	uint32_t height;
	uint8_t id[32];

	*snapshots = (struct snapshots){ .folder = mem_strdup(folder), .interval = interval };
	if (dir == NULL)
		return errmsg_set(err, "Cannot read the folder %s: %s", folder, strerror(errno));
	while ((item = readdir(dir)) != NULL)
		if (snapshot_name(item->d_name, &height, id))
			snapshot_insert(snapshots, height, id);
	closedir(dir);
	return true;
}

void snapshots_clear(struct snapshots *snapshots)
{
	free(snapshots->list);
	free(snapshots->folder);
}
