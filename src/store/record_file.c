/* Records: where the next one goes, appending, reading, scanning what a crash left. */
#define _GNU_SOURCE /* memmem */
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

enum { FRAME_SIZE = 21, FRAME_SUM = 8, SCAN_STEP = 1 << 16 };

struct record_file {
	char *folder, name[4];
	uint8_t magic[4];
	uint32_t last; /* the file that is appended to */
	uint64_t end;  /* its size */
	int fd;        /* of that file, while it has what this run has not synced; else -1 */
	bool is_new;   /* its name is not synced */
	bool is_left;  /* it is as another run left it, which may have been killed before it synced */
};

char *record_file_path(const struct record_file *files, uint32_t file)
{
	char name[32];

	snprintf(name, sizeof name, "%s%05u.dat", files->name, (unsigned)file);
	return path_join(files->folder, name);
}

static bool record_file_size(const struct record_file *files, uint32_t file, uint64_t *size)
{
	char *path = record_file_path(files, file);
	bool there = file_exists(path) && file_size(path, size, NULL);

	free(path);
	return there;
}

/* The number of a file of ours; false if the name is another's. */
static bool file_number(const struct record_file *files, const char *name, uint32_t *number)
{
	char end[8] = "", prefix[4] = "";

	return strlen(name) == 12 && sscanf(name, "%3[a-z]%5" SCNu32 "%7s", prefix, number, end) == 3 &&
		strcmp(prefix, files->name) == 0 && strcmp(end, ".dat") == 0;
}

/* The highest number counts, not the first gap: a file that got lost must not let those behind it be overwritten. */
static void find_last(struct record_file *files)
{
	DIR *folder = opendir(files->folder);
	struct dirent *item;
	uint32_t number;

	while (folder != NULL && (item = readdir(folder)) != NULL)
		if (file_number(files, item->d_name, &number) && number > files->last)
			files->last = number;
	if (folder != NULL)
		closedir(folder);
	record_file_size(files, files->last, &files->end);
}

struct record_file *record_file_open(const char *folder, const char *name, const uint8_t magic[4])
{
	struct record_file *files = mem_calloc(1, sizeof *files);

	files->folder = mem_strdup(folder);
	snprintf(files->name, sizeof files->name, "%s", name);
	memcpy(files->magic, magic, 4);
	files->fd = -1;
	find_last(files);
	files->is_left = files->is_new = !record_file_is_empty(files);
	return files;
}

bool record_file_is_empty(const struct record_file *files)
{
	return files->last == 0 && files->end == 0;
}

void record_file_close(struct record_file *files)
{
	struct errmsg err;

	if (files == NULL)
		return;
	if (!record_file_sync(files, &err))
		log_warn("[chain] %s", err.text);
	free(files->folder);
	free(files);
}

/* Over kind and size too: damage to either makes the record unsound, and a scan searches on instead of trusting a
 * length that is wrong. */
static void frame_sum(const uint8_t head[9], const struct file_part *parts, size_t count, uint8_t sum[FRAME_SUM])
{
	struct sha256 hash;
	uint8_t digest[32];

	sha256_init(&hash);
	sha256_update(&hash, head, 9);
	for (size_t i = 0; i < count; i++)
		sha256_update(&hash, parts[i].data, parts[i].size);
	sha256_final(&hash, digest);
	memcpy(sum, digest, FRAME_SUM);
}

static bool write_parts(int fd, uint64_t offset, const struct file_part *parts, size_t count, const char *path,
	struct errmsg *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!file_write_at(fd, offset, parts[i].data, parts[i].size, path, err))
			return false;
		offset += parts[i].size;
	}
	return true;
}

static bool open_last(struct record_file *files, const char *path, struct errmsg *err)
{
	if (files->fd >= 0)
		return true;
	/* O_APPEND would write behind a torn end that could not be cut off; offsets of our own go over it. */
	files->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	files->is_new = files->is_new || files->end == 0;
	return files->fd >= 0 || errmsg_set(err, "Cannot open %s: %s", path, strerror(errno));
}

/* The descriptor that writes is the one that syncs: an error that the system met meanwhile is told to it. It is given
 * up whatever comes of it, since a second try would find nothing left to write and say that all is well. If the file is
 * new, its folder must be synced too: else a crash could lose its name. */
bool record_file_sync(struct record_file *files, struct errmsg *err)
{
	char *path;
	bool ok;

	if (files->fd < 0 && !files->is_left)
		return true;
	path = record_file_path(files, files->last);
	ok = open_last(files, path, err) &&
		(fdatasync(files->fd) == 0 || errmsg_set(err, "Cannot sync %s: %s", path, strerror(errno)));
	ok = ok && (!files->is_new || file_sync_dir(files->folder, err));
	if (files->fd >= 0)
		close(files->fd);
	files->fd = -1;
	files->is_left = false;
	files->is_new = files->is_new && !ok;
	free(path);
	return ok;
}

/* The next file, if the last is full: what that one has is synced first. */
static bool turn_over(struct record_file *files, struct errmsg *err)
{
	/* Looked at before a record, not after: files grow beyond the mark by their last one, and no record is ever
	 * split. */
	if (files->end < RECORD_FILE_ROLL)
		return true;
	if (!record_file_sync(files, err))
		return false;
	files->last++;
	files->end = 0;
	return true;
}

/* Written behind the end, and only then part of the file as far as anybody else knows. */
bool record_file_append(struct record_file *files, enum record_kind kind, const struct file_part *parts, size_t count,
	struct file_position *position, struct errmsg *err)
{
	uint8_t frame[FRAME_SIZE];
	const struct file_part head = { frame, FRAME_SIZE };
	uint64_t size = 0;
	char *path;
	bool ok;

	for (size_t i = 0; i < count; i++)
		size += parts[i].size;
	if (!turn_over(files, err))
		return false;
	memcpy(frame, files->magic, 4);
	frame[4] = (uint8_t)kind;
	write_le64(frame + 5, size);
	frame_sum(frame + 4, parts, count, frame + 13);
	path = record_file_path(files, files->last);
	ok = open_last(files, path, err) && write_parts(files->fd, files->end, &head, 1, path, err) &&
		write_parts(files->fd, files->end + FRAME_SIZE, parts, count, path, err);
	if (ok) {
		*position = (struct file_position){ files->last, files->end + FRAME_SIZE, size };
		files->end += FRAME_SIZE + size;
	} else if (files->fd >= 0 && ftruncate(files->fd, (off_t)files->end) != 0) {
		log_warn("[chain] %s keeps the torn end of a failed write: %s", path, strerror(errno));
	}
	free(path);
	return ok;
}

bool record_file_holds(const struct record_file *files, const struct file_position *position)
{
	uint64_t size;

	return record_file_size(files, position->file, &size) && position->offset <= size &&
		position->size <= size - position->offset;
}

/* A frame at that offset of an open file of that size: kind and payload size if it is one. */
static bool frame_parse(const struct record_file *files, const uint8_t *frame, uint64_t room, enum record_kind *kind,
	uint64_t *size)
{
	if (memcmp(frame, files->magic, 4) != 0 || frame[4] < RECORD_BLOCK || frame[4] > RECORD_UNDO)
		return false;
	*kind = (enum record_kind)frame[4];
	*size = read_le64(frame + 5);
	return *size <= RECORD_FILE_LARGEST && *size <= room;
}

static bool read_record(const struct record_file *files, enum record_kind kind, const struct file_position *position,
	int fd, const char *path, struct buf *out, struct errmsg *err)
{
	uint8_t frame[FRAME_SIZE], sum[FRAME_SUM];
	size_t before = out->size;
	enum record_kind found;
	uint64_t size;
	struct file_part part;

	if (!file_read_at(fd, position->offset - FRAME_SIZE, frame, FRAME_SIZE, path, err))
		return false;
	if (!frame_parse(files, frame, position->size, &found, &size) || found != kind || size != position->size)
		return errmsg_set(err, "%s: no such record at offset %llu", path, (unsigned long long)position->offset);
	part = (struct file_part){ buf_extend(out, (size_t)size), (size_t)size };
	if (!file_read_at(fd, position->offset, out->data + before, part.size, path, err)) {
		out->size = before;
		return false;
	}
	/* Bodies are by far the most bytes, and the headers hold their hashes. */
	if (kind == RECORD_BODIES)
		return true;
	frame_sum(frame + 4, &part, 1, sum);
	if (memcmp(sum, frame + 13, FRAME_SUM) == 0)
		return true;
	out->size = before;
	return errmsg_set(err, "%s: the record at offset %llu is damaged (its checksum differs)", path,
		(unsigned long long)position->offset);
}

bool record_file_read(const struct record_file *files, enum record_kind kind, const struct file_position *position,
	struct buf *out, struct errmsg *err)
{
	char *path = record_file_path(files, position->file);
	bool ok;
	int fd;

	/* The index's word for a size is not taken before the file bears it out: it decides how much memory
	 * is taken. */
	if (position->offset < FRAME_SIZE || !record_file_holds(files, position)) {
		errmsg_set(err, "%s ends before the record at offset %llu does", path,
			(unsigned long long)position->offset);
		free(path);
		return false;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		errmsg_set(err, "Cannot open %s: %s", path, strerror(errno));
		free(path);
		return false;
	}
	ok = read_record(files, kind, position, fd, path, out, err);
	close(fd);
	free(path);
	return ok;
}

uint64_t record_file_find_magic(int fd, const uint8_t magic[4], uint64_t from, uint64_t size, const char *path)
{
	uint8_t *window = mem_alloc(SCAN_STEP);
	uint64_t found = size;

	while (found == size && from + 4 <= size) {
		size_t room = size - from < SCAN_STEP ? (size_t)(size - from) : SCAN_STEP;
		const uint8_t *hit;

		if (!file_read_at(fd, from, window, room, path, NULL))
			break;
		hit = memmem(window, room, magic, 4);
		if (hit != NULL)
			found = from + (uint64_t)(hit - window);
		/* The last three bytes are looked at again: a magic may lie across two windows. */
		from += room - 3;
	}
	free(window);
	return found;
}

struct scan {
	struct record_file *files;
	record_file_visit *fn;
	void *context;
	uint64_t done, total;
	struct buf payload;
};

/* Names the block too, as far as what is left of the record tells it. */
static void warn_damaged(const char *path, enum record_kind kind, const struct file_position *position,
	const uint8_t *payload)
{
	const char *what = "undo data";
	char hex[65] = "";
	uint8_t id[32];

	if (kind == RECORD_BLOCK && position->size >= RECORD_BLOCK_HEADER) {
		what = "block ";
		sha256d(id, payload, RECORD_BLOCK_HEADER);
		hex_encode_reversed(hex, id, 32);
	} else if (kind == RECORD_BODIES && position->size >= 32) {
		what = "bodies of block ";
		hex_encode_reversed(hex, payload, 32);
	}
	log_warn("[chain] %s: skipping a damaged record at offset %llu: %s%s", path,
		(unsigned long long)position->offset, what, hex);
}

/* One file, from an offset. Damage is stepped over: the scan goes on at the next magic that begins a sound record. */
static bool scan_file(struct scan *scan, uint32_t file, int fd, uint64_t at, uint64_t size, const char *path)
{
	/* A payload may hold the magic by chance, or a whole frame by a stranger's will. Within a sound record neither
	 * is looked for; what stands in a torn one may be visited, and is judged by the visitor like anything else. */
	while ((at = record_file_find_magic(fd, scan->files->magic, at, size, path)) + FRAME_SIZE <= size) {
		struct file_position position = { file, at + FRAME_SIZE, 0 };
		uint8_t frame[FRAME_SIZE], sum[FRAME_SUM];
		struct file_part part;
		enum record_kind kind;

		buf_reset(&scan->payload);
		if (!file_read_at(fd, at, frame, FRAME_SIZE, path, NULL))
			return true;
		at += 4;
		if (!frame_parse(scan->files, frame, size - position.offset, &kind, &position.size))
			continue;
		part = (struct file_part){ buf_extend(&scan->payload, (size_t)position.size), (size_t)position.size };
		if (!file_read_at(fd, position.offset, scan->payload.data, part.size, path, NULL))
			continue;
		frame_sum(frame + 4, &part, 1, sum);
		if (memcmp(sum, frame + 13, FRAME_SUM) != 0) {
			warn_damaged(path, kind, &position, part.data);
			continue;
		}
		at = position.offset + position.size;
		if (!scan->fn(scan->context, kind, &position, part.data, scan->done + at, scan->total))
			return false;
	}
	return true;
}

bool record_file_scan(struct record_file *files, const struct file_position *after, record_file_visit *fn,
	void *context, struct errmsg *err)
{
	struct scan scan = { .files = files, .fn = fn, .context = context };
	bool go_on = true;
	uint64_t size;

	for (uint32_t file = after->file; file <= files->last; file++)
		scan.total += record_file_size(files, file, &size) ? size : 0;
	buf_init(&scan.payload);
	for (uint32_t file = after->file; go_on && file <= files->last; file++) {
		char *path;
		int fd;

		if (!record_file_size(files, file, &size))
			continue;
		path = record_file_path(files, file);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			go_on = errmsg_set(err, "Cannot open %s: %s", path, strerror(errno));
			free(path);
			buf_clear(&scan.payload);
			return false;
		}
		go_on = scan_file(&scan, file, fd, file == after->file ? after->offset + after->size : 0, size, path);
		scan.done += size;
		close(fd);
		free(path);
	}
	buf_clear(&scan.payload);
	return true;
}
