/* LevelDB behind it: opening, reading, batches, and what happens after a write that failed. */
#include "store/db.h"

#include <dirent.h>
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

/* Bytes; files held open, out of the process's descriptors, which connections need too; bits of filter a key, at which
 * one look-up in a hundred for a coin that does not exist reads a block in vain. */
enum { DB_CACHE_BYTES = 16 << 20, DB_WRITE_BUFFER = 8 << 20, DB_OPEN_FILES = 128, DB_BLOOM_BITS = 10 };

struct db {
	char *path;
	leveldb_t *handle;
	leveldb_options_t *options;
	leveldb_cache_t *cache;
	leveldb_filterpolicy_t *bloom;
	leveldb_readoptions_t *read;
	leveldb_writeoptions_t *write, *write_sync;
	char *failure; /* LevelDB's reason why a write failed; NULL while none has */
};

struct db_batch {
	leveldb_writebatch_t *handle;
};

/* Hands on LevelDB's reason, which is ours to release. */
static bool db_failed(struct errmsg *err, const char *path, const char *what, char *reason)
{
	errmsg_set(err, "Cannot %s the database %s: %s", what, path, reason);
	leveldb_free(reason);
	return false;
}

static struct db *open_at(const char *path, bool make, struct errmsg *err)
{
	struct db *db = mem_calloc(1, sizeof *db);
	char *reason = NULL;

	db->path = mem_strdup(path);
	db->cache = leveldb_cache_create_lru(DB_CACHE_BYTES);
	db->bloom = leveldb_filterpolicy_create_bloom(DB_BLOOM_BITS);
	db->options = leveldb_options_create();
	leveldb_options_set_create_if_missing(db->options, make);
	leveldb_options_set_paranoid_checks(db->options, 1);
	leveldb_options_set_cache(db->options, db->cache);
	leveldb_options_set_filter_policy(db->options, db->bloom);
	leveldb_options_set_write_buffer_size(db->options, DB_WRITE_BUFFER);
	leveldb_options_set_max_open_files(db->options, DB_OPEN_FILES);
	db->read = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(db->read, 1);
	db->write = leveldb_writeoptions_create();
	db->write_sync = leveldb_writeoptions_create();
	leveldb_writeoptions_set_sync(db->write_sync, 1);
	db->handle = leveldb_open(db->options, path, &reason);
	if (reason == NULL)
		return db;
	db_failed(err, path, "open", reason);
	db_close(db);
	return NULL;
}

struct db *db_open(const char *path, struct errmsg *err)
{
	return open_at(path, true, err);
}

struct db *db_open_existing(const char *path, struct errmsg *err)
{
	return open_at(path, false, err);
}

/* A first opening that is cut short leaves CURRENT or a manifest alone: nothing has been written to that database. */
bool db_has_files(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *item;
	bool found = false;

	while (folder != NULL && !found && (item = readdir(folder)) != NULL) {
		const char *end = strrchr(item->d_name, '.');

		found = end != NULL &&
			(strcmp(end, ".ldb") == 0 || strcmp(end, ".sst") == 0 || strcmp(end, ".log") == 0);
	}
	if (folder != NULL)
		closedir(folder);
	return found;
}

/* LevelDB's C interface gives text and no code. Its words for a damaged, a foreign and a lost file are told apart here
 * from a full disk or a lock held by another node, where removing the database would be the wrong cure. */
bool db_is_damage(const struct errmsg *err)
{
	static const char *const words[] = { ": Corruption: ", ": Invalid argument: ", ": No such file or directory" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strstr(err->text, words[i]) != NULL)
			return true;
	return false;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	/* The handle first: LevelDB uses cache, filter and options until it is closed. */
	if (db->handle != NULL)
		leveldb_close(db->handle);
	leveldb_writeoptions_destroy(db->write_sync);
	leveldb_writeoptions_destroy(db->write);
	leveldb_readoptions_destroy(db->read);
	leveldb_options_destroy(db->options);
	leveldb_filterpolicy_destroy(db->bloom);
	leveldb_cache_destroy(db->cache);
	free(db->failure);
	free(db->path);
	free(db);
}

bool db_destroy(const char *path, struct errmsg *err)
{
	leveldb_options_t *options = leveldb_options_create();
	char *reason = NULL;

	leveldb_destroy_db(options, path, &reason);
	leveldb_options_destroy(options);
	return reason == NULL || db_failed(err, path, "remove", reason);
}

/* Checksums are verified on each read: damage is found where it matters, and told as what it is. */
enum db_result db_get(struct db *db, const void *key, size_t key_size, struct buf *value, struct errmsg *err)
{
	char *reason = NULL;
	size_t size = 0;
	char *found = leveldb_get(db->handle, db->read, key, key_size, &size, &reason);

	if (reason != NULL) {
		db_failed(err, db->path, "read", reason);
		return DB_FAILED;
	}
	if (found == NULL)
		return DB_MISSING;
	buf_put(value, found, size);
	leveldb_free(found);
	return DB_FOUND;
}

bool db_each(struct db *db, const void *prefix, size_t prefix_size, db_visit *fn, void *context, struct errmsg *err)
{
	leveldb_iterator_t *at = leveldb_create_iterator(db->handle, db->read);
	char *reason = NULL;
	bool ok = true;

	for (leveldb_iter_seek(at, prefix, prefix_size); ok && leveldb_iter_valid(at); leveldb_iter_next(at)) {
		size_t key_size, value_size;
		const char *key = leveldb_iter_key(at, &key_size);
		const char *value = leveldb_iter_value(at, &value_size);

		if (key_size < prefix_size || memcmp(key, prefix, prefix_size) != 0)
			break;
		ok = fn(context, (const uint8_t *)key, key_size, (const uint8_t *)value, value_size, err);
	}
	/* An iterator that meets damage just ends: without this question the rest would seem not to be there. */
	leveldb_iter_get_error(at, &reason);
	leveldb_iter_destroy(at);
	if (reason != NULL)
		return db_failed(err, db->path, "read", reason);
	return ok;
}

struct db_batch *db_batch_new(void)
{
	struct db_batch *batch = mem_alloc(sizeof *batch);

	batch->handle = leveldb_writebatch_create();
	return batch;
}

void db_batch_free(struct db_batch *batch)
{
	if (batch == NULL)
		return;
	leveldb_writebatch_destroy(batch->handle);
	free(batch);
}

void db_batch_put(struct db_batch *batch, const void *key, size_t key_size, const void *value, size_t value_size)
{
	leveldb_writebatch_put(batch->handle, key, key_size, value, value_size);
}

void db_batch_delete(struct db_batch *batch, const void *key, size_t key_size)
{
	leveldb_writebatch_delete(batch->handle, key, key_size);
}

/* After a failure nothing more: store/db.h says why. */
bool db_write(struct db *db, const struct db_batch *batch, bool sync, struct errmsg *err)
{
	char *reason = NULL;

	if (db->failure != NULL)
		return errmsg_set(err, "The database takes no write until it is opened again, since one failed: %s",
			db->failure);
	leveldb_write(db->handle, sync ? db->write_sync : db->write, batch->handle, &reason);
	if (reason == NULL)
		return true;
	db->failure = mem_strdup(reason);
	return db_failed(err, db->path, "write", reason);
}

bool db_is_sound(const struct db *db)
{
	return db->failure == NULL;
}
