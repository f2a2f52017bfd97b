/* The files of a trace: each with its hash behind what it holds. */
#include "work/trace.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { TRACE_VERSION = 1, TRACE_NAME_TEXT = 64, TRACE_HASH = 32, TRACE_SIGNATURE = 4 + 64 };

/* --- files --- */

static char *trace_path(const char *trace_folder, uint32_t number)
{
	char trace_name[TRACE_NAME_TEXT];

	snprintf(trace_name, sizeof trace_name, "%u", (unsigned)number);
	return path_join(trace_folder, trace_name);
}

static bool trace_write_file(const char *trace_file_path, const uint8_t *bytes, size_t size, uint8_t trace_hash[32],
	struct errmsg *err)
{
	struct buf trace_bytes;
	bool ok;

	sha256(trace_hash, bytes, size);
	buf_init(&trace_bytes);
	buf_reserve(&trace_bytes, size + TRACE_HASH);
	buf_put(&trace_bytes, bytes, size);
	buf_put(&trace_bytes, trace_hash, TRACE_HASH);
	ok = file_write_atomic(trace_file_path, trace_bytes.data, trace_bytes.size, 0600, err);
	buf_clear(&trace_bytes);
	return ok;
}

/* False too if it has another size, or its hash is not that of its bytes. */
static bool trace_read_file(const char *trace_file_path, uint8_t *bytes, size_t size, uint8_t trace_hash[32],
	struct errmsg *err)
{
	struct buf trace_bytes;
	bool is_read, ok = false;

	buf_init(&trace_bytes);
	is_read = file_read(trace_file_path, size + TRACE_HASH, &trace_bytes, err);
	if (is_read && trace_bytes.size == size + TRACE_HASH) {
		memcpy(bytes, trace_bytes.data, size);
		sha256(trace_hash, bytes, size);
		ok = memcmp(trace_hash, trace_bytes.data + size, TRACE_HASH) == 0;
	}
	if (is_read && !ok)
		errmsg_set(err, "%s: is damaged", trace_file_path);
	buf_clear(&trace_bytes);
	return ok;
}

/* --- which run it is --- */

static void trace_put_run(struct buf *trace_record, const struct trace_run *run, const struct trace_shape *shape)
{
	buf_put_u8(trace_record, TRACE_VERSION);
	buf_put_le32(trace_record, shape->segments);
	buf_put_le64(trace_record, shape->code_size);
	buf_put_le32(trace_record, run->base_height);
	buf_put(trace_record, run->base_id, 32);
	buf_put_le32(trace_record, run->seat_height);
	buf_put(trace_record, run->seat_id, 32);
	buf_put(trace_record, run->key, 32);
}

enum { TRACE_RECORD = 1 + 4 + 8 + 4 + 32 + 4 + 32 + 32 };

static bool trace_parse_run(const uint8_t *trace_record, struct trace_run *run, const struct trace_shape *shape)
{
	struct reader trace_reader;
	bool ok;

	reader_init(&trace_reader, trace_record, TRACE_RECORD);
	ok = reader_u8(&trace_reader) == TRACE_VERSION;
	ok = reader_le32(&trace_reader) == shape->segments && ok;
	ok = reader_le64(&trace_reader) == shape->code_size && ok;
	run->base_height = reader_le32(&trace_reader);
	reader_copy(&trace_reader, run->base_id, 32);
	run->seat_height = reader_le32(&trace_reader);
	reader_copy(&trace_reader, run->seat_id, 32);
	reader_copy(&trace_reader, run->key, 32);
	return reader_done(&trace_reader) && ok;
}

/* The height is for people, the ends of the ids, read as numbers are shown, tell branches apart. */
static char *trace_folder_name(const char *runs, const struct trace_run *run)
{
	char trace_name[TRACE_NAME_TEXT], trace_base[17], trace_seat[17];

	hex_encode(trace_base, run->base_id, 8);
	hex_encode(trace_seat, run->seat_id, 8);
	snprintf(trace_name, sizeof trace_name, "%u-%s-%s", (unsigned)run->seat_height, trace_seat, trace_base);
	return path_join(runs, trace_name);
}

/* --- beginning and end --- */

static struct trace *trace_make(char *trace_folder, const struct trace_shape *shape)
{
	struct trace *trace = mem_calloc(1, sizeof *trace);

	trace->folder = trace_folder;
	trace->shape = *shape;
	trace->digests = mem_calloc(shape->segments, sizeof *trace->digests);
	return trace;
}

/* One that is damaged is made again. */
static void trace_load_signature(struct trace *trace)
{
	char *signature_path = path_join(trace->folder, "signature");
	uint8_t trace_signed[TRACE_SIGNATURE], trace_hash[32];

	if (trace_read_file(signature_path, trace_signed, sizeof trace_signed, trace_hash, NULL) &&
		read_le32(trace_signed) <= trace->shape.segments) {
		trace->signed_length = read_le32(trace_signed);
		memcpy(trace->signature, trace_signed + 4, sizeof trace->signature);
	}
	free(signature_path);
}

struct trace *trace_new(const char *runs, const struct trace_run *run, const struct trace_shape *shape)
{
	struct trace *trace = trace_make(trace_folder_name(runs, run), shape);

	trace->run = *run;
	trace_load_signature(trace);
	return trace;
}

bool trace_begin(struct trace *trace, struct errmsg *err)
{
	char *trace_record_path;
	struct buf trace_record;
	uint8_t trace_hash[32];

	if (trace->has_begun)
		return true;
	trace_record_path = path_join(trace->folder, "run");
	buf_init(&trace_record);
	trace_put_run(&trace_record, &trace->run, &trace->shape);
	trace->has_begun = dir_make(trace->folder, err) &&
		trace_write_file(trace_record_path, trace_record.data, trace_record.size, trace_hash, err);
	buf_clear(&trace_record);
	free(trace_record_path);
	return trace->has_begun;
}

/* The hash at the end of a code's file, which has the right size. */
static bool trace_read_digest(const char *trace_code_path, size_t code_size, uint8_t digest[32])
{
	const int fd = file_open(trace_code_path, NULL);
	uint64_t file_bytes;
	bool ok;

	if (fd < 0)
		return false;
	ok = file_size(trace_code_path, &file_bytes, NULL) && file_bytes == code_size + TRACE_HASH &&
		file_read_at(fd, code_size, digest, TRACE_HASH, trace_code_path, NULL);
	close(fd);
	return ok;
}

/* Up to the first that is missing: what lies behind it follows from what is made again. */
static void trace_find_codes(struct trace *trace)
{
	bool is_there = true;

	for (uint32_t number = 1; number <= trace->shape.segments && is_there; number++) {
		char *trace_code_path = trace_path(trace->folder, number);

		is_there = trace_read_digest(trace_code_path, trace->shape.code_size, trace->digests[number - 1]);
		if (is_there)
			trace->done = number;
		free(trace_code_path);
	}
}

struct trace *trace_load(const char *folder, const struct trace_shape *shape, struct errmsg *err)
{
	struct trace *trace = trace_make(mem_strdup(folder), shape);
	char *trace_record_path = path_join(folder, "run");
	uint8_t trace_record[TRACE_RECORD], trace_hash[32];
	bool ok = trace_read_file(trace_record_path, trace_record, sizeof trace_record, trace_hash, err);

	if (ok && !trace_parse_run(trace_record, &trace->run, shape))
		ok = errmsg_set(err, "%s: is of other runs than this chain's", folder);
	trace->has_begun = ok;
	if (ok) {
		trace_find_codes(trace);
		trace_load_signature(trace);
	}
	free(trace_record_path);
	if (ok)
		return trace;
	trace_free(trace);
	return NULL;
}

void trace_free(struct trace *trace)
{
	if (trace == NULL)
		return;
	free(trace->digests);
	free(trace->folder);
	free(trace);
}

/* All there is in it, as a write that was cut short has left a file of another name; and the record last, so that what
 * a kill leaves is still known for a trace, and removed in the end. */
void trace_remove(struct trace *trace)
{
	char *trace_record_path = path_join(trace->folder, "run");
	DIR *trace_dir = opendir(trace->folder);
	const struct dirent *trace_entry;

	while (trace_dir != NULL && (trace_entry = readdir(trace_dir)) != NULL) {
		char *trace_file_path = path_join(trace->folder, trace_entry->d_name);

		if (strcmp(trace_entry->d_name, "run") != 0)
			unlink(trace_file_path);
		free(trace_file_path);
	}
	if (trace_dir != NULL)
		closedir(trace_dir);
	unlink(trace_record_path);
	rmdir(trace->folder);
	free(trace_record_path);
	trace_free(trace);
}

/* A folder without a record, and at most with a draft of it, is what a kill has left of a run that was about to begin.
 * Whatever else is there is not ours to remove. */
static struct trace *trace_load_or_settle(const char *trace_folder, const struct trace_shape *shape)
{
	char *trace_record_path = path_join(trace_folder, "run");
	struct trace *trace = NULL;
	struct errmsg trace_err;

	if (!file_exists(trace_record_path)) {
		char *trace_draft_path = path_join(trace_folder, "run" FILE_DRAFT_ENDING);

		unlink(trace_draft_path);
		rmdir(trace_folder);
		free(trace_draft_path);
	} else if ((trace = trace_load(trace_folder, shape, &trace_err)) == NULL) {
		log_warn("A run's trace is left alone: %s", trace_err.text);
	}
	free(trace_record_path);
	return trace;
}

struct trace **trace_load_all(const char *runs, const struct trace_shape *shape, size_t *count)
{
	DIR *runs_dir = opendir(runs);
	struct trace **traces = mem_alloc(0);
	const struct dirent *trace_entry;

	*count = 0;
	while (runs_dir != NULL && (trace_entry = readdir(runs_dir)) != NULL) {
		char *trace_folder = path_join(runs, trace_entry->d_name);
		struct trace *trace = trace_entry->d_name[0] == '.' ? NULL : trace_load_or_settle(trace_folder, shape);

		if (trace != NULL) {
			traces = mem_realloc(traces, (*count + 1) * sizeof *traces);
			traces[(*count)++] = trace;
		}
		free(trace_folder);
	}
	if (runs_dir != NULL)
		closedir(runs_dir);
	return traces;
}

/* --- what it holds --- */

void trace_root(const struct trace *trace, uint32_t length, uint8_t root[32])
{
	sha256(root, trace->digests, length * sizeof *trace->digests);
}

bool trace_write(const struct trace *trace, uint32_t number, const uint8_t *code, uint8_t digest[32],
	struct errmsg *err)
{
	char *trace_code_path = trace_path(trace->folder, number);
	const bool ok = trace_write_file(trace_code_path, code, trace->shape.code_size, digest, err);

	free(trace_code_path);
	return ok;
}

void trace_add(struct trace *trace, const uint8_t digest[32])
{
	memcpy(trace->digests[trace->done++], digest, 32);
	trace->checked = trace->done;
}

bool trace_read(struct trace *trace, uint32_t number, uint8_t *code, struct errmsg *err)
{
	char *trace_code_path = trace_path(trace->folder, number);
	uint8_t digest[32];
	bool ok = trace_read_file(trace_code_path, code, trace->shape.code_size, digest, err);

	if (ok && memcmp(digest, trace->digests[number - 1], 32) != 0)
		ok = errmsg_set(err, "%s: is another code than was written", trace_code_path);
	free(trace_code_path);
	if (!ok && trace->done >= number)
		trace->done = number - 1;
	if (trace->checked > trace->done)
		trace->checked = trace->done;
	return ok;
}

bool trace_check_next(struct trace *trace)
{
	const uint32_t number = trace->checked + 1;
	uint8_t *code, digest[32];
	char *trace_code_path;
	struct errmsg err;
	bool ok;

	if (number > trace->shape.segments)
		return false;
	code = mem_alloc(trace->shape.code_size);
	if (number <= trace->done) {
		ok = trace_read(trace, number, code, &err);
		if (!ok)
			log_warn("A run's segment %u is trained again: %s", (unsigned)trace->done, err.text);
	} else {
		trace_code_path = trace_path(trace->folder, number);
		ok = trace_read_file(trace_code_path, code, trace->shape.code_size, digest, NULL);
		free(trace_code_path);
		if (ok)
			memcpy(trace->digests[trace->done++], digest, 32);
	}
	if (ok)
		trace->checked = number;
	free(code);
	return ok;
}

bool trace_sign(struct trace *trace, uint32_t length, const uint8_t signature[64], struct errmsg *err)
{
	char *signature_path = path_join(trace->folder, "signature");
	uint8_t trace_signed[TRACE_SIGNATURE], trace_hash[32];
	bool ok;

	write_le32(trace_signed, length);
	memcpy(trace_signed + 4, signature, sizeof trace->signature);
	ok = trace_write_file(signature_path, trace_signed, sizeof trace_signed, trace_hash, err);
	free(signature_path);
	if (!ok)
		return false;
	memcpy(trace->signature, signature, sizeof trace->signature);
	trace->signed_length = length;
	return true;
}
