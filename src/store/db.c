/* LevelDB behind it: opening, reading, batches, and what happens after a write that failed. */
#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>

#include "util/file.h"
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
static bool db_failed(struct errmsg *err, const char *path, const char *what, char *leveldb_reason)
{
	errmsg_set(err, "Cannot %s the database %s: %s", what, path, leveldb_reason);
	leveldb_free(leveldb_reason);
	return false;
}

/* LevelDB opens whatever has a name of its files, and waits for the other end of a pipe: that is damage, told in its
 * words, as what is no folder is. One that only cannot be looked into is not damaged, and one that is not there is for
 * LevelDB to make. */
static bool db_check_folder(const char *path, struct errmsg *err)
{
	DIR *db_folder = opendir(path);

	if (db_folder == NULL && errno == ENOENT)
		return true;
	if (db_folder == NULL && errno != ENOTDIR)
		return errmsg_set(err, "Cannot open the database %s: IO error: %s", path, strerror(errno));
	if (db_folder != NULL)
		closedir(db_folder);
	return dir_check_files(path, err) || errmsg_wrap(err, "Cannot open the database %s: Corruption", path);
}

static struct db *db_open_at(const char *path, bool make, struct errmsg *err)
{
	char *leveldb_reason = NULL;
	struct db *db;

	if (!db_check_folder(path, err))
		return NULL;
	db = mem_calloc(1, sizeof *db);
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
	db->handle = leveldb_open(db->options, path, &leveldb_reason);
	if (leveldb_reason == NULL)
		return db;
	db_failed(err, path, "open", leveldb_reason);
	db_close(db);
	return NULL;
}

struct db *db_open(const char *path, struct errmsg *err)
{
	return db_open_at(path, true, err);
}

struct db *db_open_existing(const char *path, struct errmsg *err)
{
	return db_open_at(path, false, err);
}

/* A first opening that is cut short leaves CURRENT or a manifest alone: nothing has been written to that database. */
bool db_has_files(const char *path)
{
	DIR *db_folder = opendir(path);
	struct dirent *db_item;
	bool found = db_folder == NULL && errno != ENOENT;

	while (db_folder != NULL && !found && (db_item = readdir(db_folder)) != NULL) {
		const char *extension = strrchr(db_item->d_name, '.');

		found = extension != NULL &&
			(strcmp(extension, ".ldb") == 0 || strcmp(extension, ".sst") == 0 ||
				strcmp(extension, ".log") == 0);
	}
	if (db_folder != NULL)
		closedir(db_folder);
	return found;
}

/* LevelDB's C interface gives text and no code. Its words for a damaged, a foreign and a lost file are told apart here
 * from a full disk or a lock held by another node, where removing the database would be the wrong cure. */
bool db_is_damage(const struct errmsg *err)
{
	static const char *const damage_words[] = { ": Corruption: ", ": Invalid argument: ",
		": No such file or directory" };

	for (size_t i = 0; i < sizeof damage_words / sizeof damage_words[0]; i++)
		if (strstr(err->text, damage_words[i]) != NULL)
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
	char *leveldb_reason = NULL;

	leveldb_destroy_db(options, path, &leveldb_reason);
	leveldb_options_destroy(options);
	return leveldb_reason == NULL || db_failed(err, path, "remove", leveldb_reason);
}

/* Checksums are verified on each read: damage is found where it matters, and told as what it is. */
enum db_result db_get(struct db *db, const void *key, size_t key_size, struct buf *value, struct errmsg *err)
{
	char *leveldb_reason = NULL;
	size_t value_size = 0;
	char *leveldb_value = leveldb_get(db->handle, db->read, key, key_size, &value_size, &leveldb_reason);

	if (leveldb_reason != NULL) {
		db_failed(err, db->path, "read", leveldb_reason);
		return DB_FAILED;
	}
	if (leveldb_value == NULL)
		return DB_MISSING;
	buf_put(value, leveldb_value, value_size);
	leveldb_free(leveldb_value);
	return DB_FOUND;
}

/* Visits what begins with the prefix, from where the iterator stands, which is at its first key if it has any; false:
 * the visit wants no more. */
static bool db_walk_prefix(leveldb_iterator_t *iterator, const void *prefix, size_t prefix_size, db_visit *visit,
	void *visit_context, struct errmsg *err)
{
	bool go_on = true;

	for (; go_on && leveldb_iter_valid(iterator); leveldb_iter_next(iterator)) {
		size_t key_size, value_size;
		const char *key = leveldb_iter_key(iterator, &key_size);
		const char *value = leveldb_iter_value(iterator, &value_size);

		if (key_size < prefix_size || memcmp(key, prefix, prefix_size) != 0)
			break;
		go_on = visit(visit_context, (const uint8_t *)key, key_size, (const uint8_t *)value, value_size, err);
	}
	return go_on;
}

/* Whether the iterator stands before all keys of the prefix. */
static bool db_is_before(const leveldb_iterator_t *iterator, const void *prefix, size_t prefix_size)
{
	size_t key_size;
	const char *key = leveldb_iter_key(iterator, &key_size);
	const int order = memcmp(key, prefix, key_size < prefix_size ? key_size : prefix_size);

	return order < 0 || (order == 0 && key_size < prefix_size);
}

/* An iterator that meets damage just ends: without this question the rest would seem not to be there. */
static bool db_end_walk(struct db *db, leveldb_iterator_t *iterator, bool go_on, struct errmsg *err)
{
	char *leveldb_reason = NULL;

	leveldb_iter_get_error(iterator, &leveldb_reason);
	leveldb_iter_destroy(iterator);
	return leveldb_reason == NULL ? go_on : db_failed(err, db->path, "read", leveldb_reason);
}

bool db_each(struct db *db, const void *key_prefix, size_t key_prefix_size, db_visit *visit, void *visit_context,
	struct errmsg *err)
{
	leveldb_iterator_t *iterator = leveldb_create_iterator(db->handle, db->read);
	bool go_on;

	leveldb_iter_seek(iterator, key_prefix, key_prefix_size);
	go_on = db_walk_prefix(iterator, key_prefix, key_prefix_size, visit, visit_context, err);
	return db_end_walk(db, iterator, go_on, err);
}

bool db_each_of(struct db *db, size_t prefix_size, size_t count, db_next_prefix *next, db_visit *visit,
	void *visit_context, struct errmsg *err)
{
	leveldb_iterator_t *iterator = leveldb_create_iterator(db->handle, db->read);
	uint8_t walk_prefix[DB_PREFIX_MAX];
	bool go_on = true;

	/* A seek passes over all that was deleted behind it, and may be one for each prefix: so it is made only where
	 * the iterator is not there already. Past the last key there is nothing for any of the rest. */
	for (size_t i = 0; go_on && i < count && (i == 0 || leveldb_iter_valid(iterator)); i++) {
		next(visit_context, i, walk_prefix);
		if (i == 0 || db_is_before(iterator, walk_prefix, prefix_size))
			leveldb_iter_seek(iterator, (const char *)walk_prefix, prefix_size);
		go_on = db_walk_prefix(iterator, walk_prefix, prefix_size, visit, visit_context, err);
	}
	return db_end_walk(db, iterator, go_on, err);
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
	char *leveldb_reason = NULL;

	if (db->failure != NULL)
		return errmsg_set(err, "The database takes no write until it is opened again, since one failed: %s",
			db->failure);
	leveldb_write(db->handle, sync ? db->write_sync : db->write, batch->handle, &leveldb_reason);
	if (leveldb_reason == NULL)
		return true;
	db->failure = mem_strdup(leveldb_reason);
	return db_failed(err, db->path, "write", leveldb_reason);
}

bool db_is_sound(const struct db *db)
{
	return db->failure == NULL;
}
