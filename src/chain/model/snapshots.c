/* The list of snapshots, and single files. */
#include "chain/model/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"

enum { SNAPSHOT_VERSION = 1, SNAPSHOT_HEAD = 80, SNAPSHOT_NAME = 79, SNAPSHOTS_NEWEST = 3 };
/* Of what a pruned node keeps the part that it may keep too much for want of a snapshot. */
enum { SNAPSHOTS_STRIDES = 8 };

static const char snapshot_magic[9] = "ATLSTATE";

/* --- one file --- */

/* Whole or not at all: one that is cut short by a crash never gets its name. */
bool snapshots_write(const char *path, const uint8_t id[32], uint32_t height, const struct state *state,
	struct errmsg *err)
{
	struct buf snapshot_bytes;
	bool written;

	buf_init(&snapshot_bytes);
	buf_put(&snapshot_bytes, snapshot_magic, 8);
	buf_put_le32(&snapshot_bytes, SNAPSHOT_VERSION);
	buf_put_le32(&snapshot_bytes, height);
	buf_put(&snapshot_bytes, id, 32);
	buf_put(&snapshot_bytes, state_root(state), 32);
	state_serialise(state, buf_extend(&snapshot_bytes, state_size(state_config(state))));
	written = file_write_atomic(path, snapshot_bytes.data, snapshot_bytes.size, 0600, err);
	buf_clear(&snapshot_bytes);
	return written;
}

/* The root in the index decides, not the one in the file. */
struct state *snapshots_read(const char *path, const struct spec *spec, const struct index_entry *entry,
	struct errmsg *err)
{
	const size_t state_bytes = state_size(&spec_course(spec)->train.model);
	struct state *state = NULL;
	struct buf snapshot_bytes;

	buf_init(&snapshot_bytes);
	if (!file_read(path, SNAPSHOT_HEAD + state_bytes, &snapshot_bytes, err)) {
		buf_clear(&snapshot_bytes);
		return NULL;
	}
	if (snapshot_bytes.size == SNAPSHOT_HEAD + state_bytes && memcmp(snapshot_bytes.data, snapshot_magic, 8) == 0 &&
		read_le32(snapshot_bytes.data + 8) == SNAPSHOT_VERSION &&
		memcmp(snapshot_bytes.data + 16, entry->id, 32) == 0)
		state = state_deserialise(&spec_course(spec)->train.model, snapshot_bytes.data + SNAPSHOT_HEAD,
			state_bytes);
	buf_clear(&snapshot_bytes);
	if (state != NULL && memcmp(state_root(state), entry->model_root_after, 32) == 0)
		return state;
	state_unref(state);
	errmsg_set(err, "The snapshot %s is not the state of its block", path);
	return NULL;
}

/* --- the list --- */

char *snapshots_path(const struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	char id_hex[65], file_name[96];

	hex_encode_reversed(id_hex, id, 32);
	snprintf(file_name, sizeof file_name, "%08" PRIu32 "-%s.state", height, id_hex);
	return path_join(snapshots->folder, file_name);
}

/* Highest first, as whoever looks for a base wants them. */
static void snapshot_insert(struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	size_t insert_at = 0;

	snapshots->list = mem_realloc(snapshots->list, (snapshots->count + 1) * sizeof *snapshots->list);
	while (insert_at < snapshots->count && snapshots->list[insert_at].height > height)
		insert_at++;
	memmove(&snapshots->list[insert_at + 1], &snapshots->list[insert_at],
		(snapshots->count - insert_at) * sizeof *snapshots->list);
	snapshots->list[insert_at].height = height;
	memcpy(snapshots->list[insert_at].id, id, 32);
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
static unsigned snapshot_age_bucket(const struct snapshots *snapshots, const struct snapshot *snapshot)
{
	uint32_t age_intervals = (snapshots->list[0].height - snapshot->height) / snapshots->interval;
	unsigned bucket = 0;

	while (age_intervals > 1) {
		age_intervals /= 2;
		bucket++;
	}
	return bucket;
}

static void snapshot_remove_file(const struct snapshots *snapshots, const struct snapshot *snapshot)
{
	char *snapshot_path = snapshots_path(snapshots, snapshot->height, snapshot->id);

	file_remove(snapshot_path, NULL);
	free(snapshot_path);
}

static void snapshots_thin(struct snapshots *snapshots)
{
	size_t kept_count = 0;

	for (size_t i = 0; i < snapshots->count; i++) {
		const struct snapshot snapshot = snapshots->list[i];
		/* The oldest of a bucket stays, so that some always grow old. */
		bool at_stride = snapshots->stride > 0 && snapshot.height % snapshots->stride == 0;
		bool oldest_of_bucket = i + 1 == snapshots->count ||
			snapshot_age_bucket(snapshots, &snapshot) !=
				snapshot_age_bucket(snapshots, &snapshots->list[i + 1]);

		if (i < SNAPSHOTS_NEWEST || at_stride || oldest_of_bucket)
			snapshots->list[kept_count++] = snapshot;
		else
			snapshot_remove_file(snapshots, &snapshot);
	}
	snapshots->count = kept_count;
}

void snapshots_add(struct snapshots *snapshots, uint32_t height, const uint8_t id[32])
{
	snapshot_insert(snapshots, height, id);
	snapshots_thin(snapshots);
}

void snapshots_drop_below(struct snapshots *snapshots, uint32_t height)
{
	while (snapshots->count > 0 && snapshots->list[snapshots->count - 1].height < height)
		snapshot_remove_file(snapshots, &snapshots->list[--snapshots->count]);
}

/* What is not named exactly so is not ours, and is left alone: 8 characters of the height, "-", 64 of the id, ".state".
 */
static bool snapshot_parse_name(const char *file_name, uint32_t *height, uint8_t id[32])
{
	char id_hex[65] = "", suffix[8] = "";

	return strlen(file_name) == SNAPSHOT_NAME &&
		sscanf(file_name, "%8" SCNu32 "-%64[0-9a-f]%7s", height, id_hex, suffix) == 3 &&
		strcmp(suffix, ".state") == 0 && hex_decode_reversed(id, 32, id_hex);
}

/* What a kill has left of a snapshot: nobody would write that one again, and each is as large as a state. */
static void snapshot_remove_draft(DIR *snapshot_dir, const char *file_name)
{
	char snapshot_name[SNAPSHOT_NAME + 1] = "";
	uint32_t height;
	uint8_t id[32];

	if (strlen(file_name) != SNAPSHOT_NAME + strlen(FILE_DRAFT_ENDING) ||
		strcmp(file_name + SNAPSHOT_NAME, FILE_DRAFT_ENDING) != 0)
		return;
	memcpy(snapshot_name, file_name, SNAPSHOT_NAME);
	if (snapshot_parse_name(snapshot_name, &height, id))
		unlinkat(dirfd(snapshot_dir), file_name, 0);
}

bool snapshots_init(struct snapshots *snapshots, const char *folder, uint32_t interval, uint32_t kept,
	struct errmsg *err)
{
	const uint32_t intervals = kept / SNAPSHOTS_STRIDES / interval;
	DIR *snapshot_dir = opendir(folder);
	struct dirent *snapshot_file;
	uint32_t height;
	uint8_t id[32];

	*snapshots = (struct snapshots){ .folder = mem_strdup(folder), .interval = interval };
	if (kept > 0)
		snapshots->stride = intervals > 1 ? intervals * interval : interval;
	if (snapshot_dir == NULL)
		return errmsg_set(err, "Cannot read the folder %s: %s", folder, strerror(errno));
	while ((snapshot_file = readdir(snapshot_dir)) != NULL)
		if (snapshot_parse_name(snapshot_file->d_name, &height, id))
			snapshot_insert(snapshots, height, id);
		else
			snapshot_remove_draft(snapshot_dir, snapshot_file->d_name);
	closedir(snapshot_dir);
	return true;
}

void snapshots_clear(struct snapshots *snapshots)
{
	free(snapshots->list);
	free(snapshots->folder);
}
