/* Records: where the next one goes, appending, reading, scanning what a crash left. */
#define _GNU_SOURCE /* memmem, fallocate */
#include "store/record_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

/* Bytes after which the next file is begun (Bitcoin Core's size), and the most that a record's frame may claim. */
#define RECORD_FILE_ROLL (UINT64_C(128) << 20)
#define RECORD_FILE_LARGEST (UINT64_C(1) << 38)

enum { RECORD_FRAME_SIZE = 21, RECORD_FRAME_SUM = 8, RECORD_SCAN_STEP = 1 << 16, RECORD_STAT_BLOCK = 512 };

struct record_file {
	char *folder, name[4];
	uint8_t magic[4];
	uint32_t last;  /* the file that is appended to */
	uint64_t end;   /* its size */
	uint64_t taken; /* on the disk, by all files */
	int fd;         /* of that file, while it has what this run has not synced; else -1 */
	bool is_new;    /* its name is not synced */
	bool is_left;   /* it is as another run left it, which may have been killed before it synced */
};

char *record_file_path(const struct record_file *record_files, uint32_t file)
{
	char file_name[32];

	snprintf(file_name, sizeof file_name, "%s%05u.dat", record_files->name, (unsigned)file);
	return path_join(record_files->folder, file_name);
}

/* A folder of that name has a size, too, and no bytes. */
static bool record_file_size(const struct record_file *record_files, uint32_t file, uint64_t *size)
{
	char *record_path = record_file_path(record_files, file);
	struct stat found;
	bool there = stat(record_path, &found) == 0 && S_ISREG(found.st_mode);

	if (there)
		*size = (uint64_t)found.st_size;
	free(record_path);
	return there;
}

/* The number of a file of ours; false if the name is another's. */
static bool record_file_number(const struct record_file *record_files, const char *name, uint32_t *number)
{
	char file_suffix[8] = "", file_prefix[4] = "";

	return strlen(name) == 12 && sscanf(name, "%3[a-z]%5" SCNu32 "%7s", file_prefix, number, file_suffix) == 3 &&
		strcmp(file_prefix, record_files->name) == 0 && strcmp(file_suffix, ".dat") == 0;
}

/* The highest number counts, not the first gap: a file that got lost must not let those behind it be overwritten. */
static void record_file_find_last(struct record_file *record_files)
{
	DIR *folder = opendir(record_files->folder);
	struct dirent *folder_item;
	uint32_t file_number;

	while (folder != NULL && (folder_item = readdir(folder)) != NULL) {
		struct stat found;

		if (!record_file_number(record_files, folder_item->d_name, &file_number))
			continue;
		if (file_number > record_files->last)
			record_files->last = file_number;
		if (fstatat(dirfd(folder), folder_item->d_name, &found, 0) == 0)
			record_files->taken += (uint64_t)found.st_blocks * RECORD_STAT_BLOCK;
	}
	if (folder != NULL)
		closedir(folder);
	record_file_size(record_files, record_files->last, &record_files->end);
}

struct record_file *record_file_open(const char *folder, const char *name, const uint8_t magic[4])
{
	struct record_file *record_files = mem_calloc(1, sizeof *record_files);

	record_files->folder = mem_strdup(folder);
	snprintf(record_files->name, sizeof record_files->name, "%s", name);
	memcpy(record_files->magic, magic, 4);
	record_files->fd = -1;
	record_file_find_last(record_files);
	record_files->is_left = record_files->is_new = !record_file_is_empty(record_files);
	return record_files;
}

bool record_file_is_empty(const struct record_file *record_files)
{
	return record_files->last == 0 && record_files->end == 0;
}

void record_file_close(struct record_file *record_files)
{
	struct errmsg err;

	if (record_files == NULL)
		return;
	if (!record_file_sync(record_files, &err))
		log_warn("[chain] %s", err.text);
	free(record_files->folder);
	free(record_files);
}

/* Over kind and size too: damage to either makes the record unsound, and a scan searches on instead of trusting a
 * length that is wrong. */
static void record_frame_sum(const uint8_t kind_and_size[9], const struct file_part *parts, size_t count,
	uint8_t sum[RECORD_FRAME_SUM])
{
	struct sha256 frame_hash;
	uint8_t frame_digest[32];

	sha256_init(&frame_hash);
	sha256_update(&frame_hash, kind_and_size, 9);
	for (size_t i = 0; i < count; i++)
		sha256_update(&frame_hash, parts[i].data, parts[i].size);
	sha256_final(&frame_hash, frame_digest);
	memcpy(sum, frame_digest, RECORD_FRAME_SUM);
}

static bool record_file_write_parts(int fd, uint64_t offset, const struct file_part *parts, size_t count,
	const char *record_path, struct errmsg *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!file_write_at(fd, offset, parts[i].data, parts[i].size, record_path, err))
			return false;
		offset += parts[i].size;
	}
	return true;
}

static bool record_file_open_last(struct record_file *record_files, const char *record_path, struct errmsg *err)
{
	if (record_files->fd >= 0)
		return true;
	/* O_APPEND would write behind a torn end that could not be cut off; offsets of our own go over it. */
	record_files->fd = open(record_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	record_files->is_new = record_files->is_new || record_files->end == 0;
	return record_files->fd >= 0 || errmsg_set(err, "Cannot open %s: %s", record_path, strerror(errno));
}

/* The descriptor that writes is the one that syncs: an error that the system met meanwhile is told to it. It is given
 * up whatever comes of it, since a second try would find nothing left to write and say that all is well. If the file is
 * new, its folder must be synced too: else a crash could lose its name. */
bool record_file_sync(struct record_file *record_files, struct errmsg *err)
{
	char *record_path;
	bool synced;

	if (record_files->fd < 0 && !record_files->is_left)
		return true;
	record_path = record_file_path(record_files, record_files->last);
	synced = record_file_open_last(record_files, record_path, err) &&
		(fdatasync(record_files->fd) == 0 ||
			errmsg_set(err, "Cannot sync %s: %s", record_path, strerror(errno)));
	synced = synced && (!record_files->is_new || file_sync_dir(record_files->folder, err));
	if (record_files->fd >= 0)
		close(record_files->fd);
	record_files->fd = -1;
	record_files->is_left = false;
	record_files->is_new = record_files->is_new && !synced;
	free(record_path);
	return synced;
}

/* The next file, if the last is full: what that one has is synced first. */
static bool record_file_turn_over(struct record_file *record_files, struct errmsg *err)
{
	/* Looked at before a record, not after: files grow beyond the mark by their last one, and no record is ever
	 * split. */
	if (record_files->end < RECORD_FILE_ROLL)
		return true;
	if (!record_file_sync(record_files, err))
		return false;
	record_files->last++;
	record_files->end = 0;
	return true;
}

/* Written behind the end, and only then part of the file as far as anybody else knows. */
bool record_file_append(struct record_file *record_files, enum record_kind kind, const struct file_part *parts,
	size_t count, struct file_position *position, struct errmsg *err)
{
	uint8_t record_frame[RECORD_FRAME_SIZE];
	const struct file_part frame_part = { record_frame, RECORD_FRAME_SIZE };
	uint64_t payload_size = 0;
	char *record_path;
	bool appended;

	for (size_t i = 0; i < count; i++)
		payload_size += parts[i].size;
	if (!record_file_turn_over(record_files, err))
		return false;
	memcpy(record_frame, record_files->magic, 4);
	record_frame[4] = (uint8_t)kind;
	write_le64(record_frame + 5, payload_size);
	record_frame_sum(record_frame + 4, parts, count, record_frame + 13);
	record_path = record_file_path(record_files, record_files->last);
	appended = record_file_open_last(record_files, record_path, err) &&
		record_file_write_parts(record_files->fd, record_files->end, &frame_part, 1, record_path, err) &&
		record_file_write_parts(record_files->fd, record_files->end + RECORD_FRAME_SIZE, parts, count,
			record_path, err);
	if (appended) {
		*position = (struct file_position){ record_files->last, record_files->end + RECORD_FRAME_SIZE,
			payload_size };
		record_files->end += RECORD_FRAME_SIZE + payload_size;
		record_files->taken += RECORD_FRAME_SIZE + payload_size;
	} else if (record_files->fd >= 0 && ftruncate(record_files->fd, (off_t)record_files->end) != 0) {
		log_warn("[chain] %s keeps the torn end of a failed write: %s", record_path, strerror(errno));
	}
	free(record_path);
	return appended;
}

/* --- holes --- */

static bool record_file_punch(int fd, uint64_t offset, uint64_t size, const char *record_path, struct errmsg *err)
{
#ifdef FALLOC_FL_PUNCH_HOLE
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
		return true;
#else
	(void)fd, (void)offset, (void)size;
	errno = EOPNOTSUPP;
#endif
	return errmsg_set(err, "Cannot give the room of a part of %s back: %s", record_path, strerror(errno));
}

/* The frame goes too, so that a scan finds nothing there to call damaged. */
bool record_file_erase(struct record_file *record_files, const struct file_position *position, struct errmsg *err)
{
	const uint64_t record_size = RECORD_FRAME_SIZE + position->size;
	char *record_path = record_file_path(record_files, position->file);
	const int fd = open(record_path, O_WRONLY | O_CLOEXEC);
	struct stat before = { 0 }, after = { 0 };
	bool erased = (fd >= 0 && fstat(fd, &before) == 0) ||
		errmsg_set(err, "Cannot open %s: %s", record_path, strerror(errno));
	uint64_t given_back;

	erased = erased && record_file_punch(fd, position->offset - RECORD_FRAME_SIZE, record_size, record_path, err);
	/* Measured, as what was erased before gives nothing back. */
	if (erased && fstat(fd, &after) == 0 && after.st_blocks < before.st_blocks) {
		given_back = (uint64_t)(before.st_blocks - after.st_blocks) * RECORD_STAT_BLOCK;
		record_files->taken -= given_back < record_files->taken ? given_back : record_files->taken;
	}
	if (fd >= 0)
		close(fd);
	free(record_path);
	return erased;
}

/* Behind the end of a file there is nothing that could be lost. */
bool record_file_can_erase(const struct record_file *record_files, struct errmsg *err)
{
	char *probe_path = path_join(record_files->folder, "holes.tmp");
	const int fd = open(probe_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool can = fd >= 0 || errmsg_set(err, "Cannot open %s: %s", probe_path, strerror(errno));

	can = can && record_file_punch(fd, 0, RECORD_SCAN_STEP, probe_path, err);
	if (fd >= 0)
		close(fd);
	file_remove(probe_path, NULL);
	free(probe_path);
	return can;
}

uint64_t record_file_disk_size(const struct record_file *record_files)
{
	return record_files->taken;
}

bool record_file_holds(const struct record_file *record_files, const struct file_position *position)
{
	uint64_t file_size;

	return record_file_size(record_files, position->file, &file_size) && position->offset <= file_size &&
		position->size <= file_size - position->offset;
}

/* A frame at that offset of an open file of that size: kind and payload size if it is one. */
static bool record_frame_parse(const struct record_file *record_files, const uint8_t *record_frame,
	uint64_t payload_room, enum record_kind *kind, uint64_t *payload_size)
{
	if (memcmp(record_frame, record_files->magic, 4) != 0 || record_frame[4] < RECORD_BLOCK ||
		record_frame[4] > RECORD_UNDO)
		return false;
	*kind = (enum record_kind)record_frame[4];
	*payload_size = read_le64(record_frame + 5);
	return *payload_size <= RECORD_FILE_LARGEST && *payload_size <= payload_room;
}

static bool record_file_read_record(const struct record_file *record_files, enum record_kind kind,
	const struct file_position *position, int fd, const char *record_path, struct buf *payload, struct errmsg *err)
{
	uint8_t record_frame[RECORD_FRAME_SIZE], frame_sum[RECORD_FRAME_SUM];
	size_t size_before = payload->size;
	enum record_kind found_kind;
	uint64_t payload_size;
	struct file_part payload_part;

	if (!file_read_at(fd, position->offset - RECORD_FRAME_SIZE, record_frame, RECORD_FRAME_SIZE, record_path, err))
		return false;
	if (!record_frame_parse(record_files, record_frame, position->size, &found_kind, &payload_size) ||
		found_kind != kind || payload_size != position->size)
		return errmsg_set(err, "%s: no such record at offset %llu", record_path,
			(unsigned long long)position->offset);
	payload_part = (struct file_part){ buf_extend(payload, (size_t)payload_size), (size_t)payload_size };
	if (!file_read_at(fd, position->offset, payload->data + size_before, payload_part.size, record_path, err)) {
		payload->size = size_before;
		return false;
	}
	/* Bodies are by far the most bytes, and the headers hold their hashes. */
	if (kind == RECORD_BODIES)
		return true;
	record_frame_sum(record_frame + 4, &payload_part, 1, frame_sum);
	if (memcmp(frame_sum, record_frame + 13, RECORD_FRAME_SUM) == 0)
		return true;
	payload->size = size_before;
	return errmsg_set(err, "%s: the record at offset %llu is damaged (its checksum differs)", record_path,
		(unsigned long long)position->offset);
}

bool record_file_read(const struct record_file *record_files, enum record_kind kind,
	const struct file_position *position, struct buf *payload, struct errmsg *err)
{
	char *record_path = record_file_path(record_files, position->file);
	bool whole;
	int fd;

	/* The index's word for a size is not taken before the file bears it out: it decides how much memory
	 * is taken. */
	if (position->offset < RECORD_FRAME_SIZE || !record_file_holds(record_files, position)) {
		errmsg_set(err, "%s ends before the record at offset %llu does", record_path,
			(unsigned long long)position->offset);
		free(record_path);
		return false;
	}
	fd = open(record_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		errmsg_set(err, "Cannot open %s: %s", record_path, strerror(errno));
		free(record_path);
		return false;
	}
	whole = record_file_read_record(record_files, kind, position, fd, record_path, payload, err);
	close(fd);
	free(record_path);
	return whole;
}

uint64_t record_file_find_magic(int fd, const uint8_t magic[4], uint64_t scan_from, uint64_t size,
	const char *record_path)
{
	uint8_t *scan_window = mem_alloc(RECORD_SCAN_STEP);
	uint64_t found = size;

	while (found == size && scan_from + 4 <= size) {
		size_t window_size = size - scan_from < RECORD_SCAN_STEP ? (size_t)(size - scan_from) :
									   RECORD_SCAN_STEP;
		const uint8_t *magic_found;

		if (!file_read_at(fd, scan_from, scan_window, window_size, record_path, NULL))
			break;
		magic_found = memmem(scan_window, window_size, magic, 4);
		if (magic_found != NULL)
			found = scan_from + (uint64_t)(magic_found - scan_window);
		/* The last three bytes are looked at again: a magic may lie across two windows. */
		scan_from += window_size - 3;
	}
	free(scan_window);
	return found;
}

struct record_scan {
	struct record_file *files;
	record_file_visit *visit;
	void *visit_context;
	uint64_t done, total;
	struct buf payload;
};

/* Names the block too, as far as what is left of the record tells it. */
static void record_file_warn_damaged(const char *record_path, enum record_kind kind,
	const struct file_position *position, const uint8_t *payload)
{
	const char *damaged_what = "undo data";
	char damaged_hex[65] = "";
	uint8_t damaged_id[32];

	if (kind == RECORD_BLOCK && position->size >= RECORD_BLOCK_HEADER) {
		damaged_what = "block ";
		sha256d(damaged_id, payload, RECORD_BLOCK_HEADER);
		hex_encode_reversed(damaged_hex, damaged_id, 32);
	} else if (kind == RECORD_BODIES && position->size >= 32) {
		damaged_what = "bodies of block ";
		hex_encode_reversed(damaged_hex, payload, 32);
	}
	log_warn("[chain] %s: skipping a damaged record at offset %llu: %s%s", record_path,
		(unsigned long long)position->offset, damaged_what, damaged_hex);
}

/* One file, from an offset. Damage is stepped over: the scan goes on at the next magic that begins a sound record. */
static bool record_file_scan_one(struct record_scan *scan, uint32_t file, int fd, uint64_t scan_at, uint64_t end,
	const char *record_path)
{
	/* A payload may hold the magic by chance, or a whole frame by a stranger's will. Within a sound record neither
	 * is looked for; what stands in a torn one may be visited, and is judged by the visitor like anything else. */
	while ((scan_at = record_file_find_magic(fd, scan->files->magic, scan_at, end, record_path)) +
			RECORD_FRAME_SIZE <=
		end) {
		struct file_position position = { file, scan_at + RECORD_FRAME_SIZE, 0 };
		uint8_t record_frame[RECORD_FRAME_SIZE], frame_sum[RECORD_FRAME_SUM];
		struct file_part payload_part;
		enum record_kind kind;

		buf_reset(&scan->payload);
		if (!file_read_at(fd, scan_at, record_frame, RECORD_FRAME_SIZE, record_path, NULL))
			return true;
		scan_at += 4;
		if (!record_frame_parse(scan->files, record_frame, end - position.offset, &kind, &position.size))
			continue;
		payload_part = (struct file_part){ buf_extend(&scan->payload, (size_t)position.size),
			(size_t)position.size };
		if (!file_read_at(fd, position.offset, scan->payload.data, payload_part.size, record_path, NULL))
			continue;
		record_frame_sum(record_frame + 4, &payload_part, 1, frame_sum);
		if (memcmp(frame_sum, record_frame + 13, RECORD_FRAME_SUM) != 0) {
			record_file_warn_damaged(record_path, kind, &position, payload_part.data);
			continue;
		}
		scan_at = position.offset + position.size;
		if (!scan->visit(scan->visit_context, kind, &position, payload_part.data, scan->done + scan_at,
			    scan->total))
			return false;
	}
	return true;
}

bool record_file_scan(struct record_file *record_files, const struct file_position *after, record_file_visit *visit,
	void *visit_context, struct errmsg *err)
{
	struct record_scan scan = { .files = record_files, .visit = visit, .visit_context = visit_context };
	bool go_on = true;
	uint64_t size;

	for (uint32_t file = after->file; file <= record_files->last; file++)
		scan.total += record_file_size(record_files, file, &size) ? size : 0;
	buf_init(&scan.payload);
	for (uint32_t file = after->file; go_on && file <= record_files->last; file++) {
		char *record_path;
		int fd;

		if (!record_file_size(record_files, file, &size))
			continue;
		record_path = record_file_path(record_files, file);
		fd = open(record_path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			go_on = errmsg_set(err, "Cannot open %s: %s", record_path, strerror(errno));
			free(record_path);
			buf_clear(&scan.payload);
			return false;
		}
		go_on = record_file_scan_one(&scan, file, fd, file == after->file ? after->offset + after->size : 0,
			size, record_path);
		scan.done += size;
		close(fd);
		free(record_path);
	}
	buf_clear(&scan.payload);
	return true;
}
