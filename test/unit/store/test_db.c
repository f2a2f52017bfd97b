/* A database on a disk that fails once: what was acknowledged before is there again when it is opened anew. And walks
 * over what was deleted. */
#include <dlfcn.h>
#include <errno.h>
#include <leveldb/c.h>
#include <sys/resource.h>

#include "faults.h"
#include "store/db.h"
#include "unit.h"
#include "util/file.h"
#include "util/mem.h"

enum { WRITES = 18, BIG = 3 << 20 };

/* Record i: every fifth is large, so that LevelDB begins new logs and tables in between. */
static bool put(struct db *db, uint32_t i, struct errmsg *err)
{
	size_t size = i % 5 == 4 ? BIG : 100 + 700 * i;
	struct db_batch *batch = db_batch_new();
	char *value = mem_alloc(size);
	bool ok;

	memset(value, (int)i, size);
	db_batch_put(batch, &i, sizeof i, value, size);
	ok = db_write(db, batch, i % 3 != 0, err);
	db_batch_free(batch);
	free(value);
	return ok;
}

static bool has(struct db *db, uint32_t i)
{
	struct errmsg err = { "" };
	struct buf value;
	bool found;

	buf_init(&value);
	found = db_get(db, &i, sizeof i, &value, &err) == DB_FOUND;
	for (size_t at = 0; at < value.size; at++)
		assert_int_equal(value.data[at], (uint8_t)i);
	buf_clear(&value);
	return found;
}

/* The n-th call of the kind fails, and never another. Returns whether there was an n-th. */
static bool fails_once(struct fault fault, long n)
{
	char *folder = scratch_new();
	struct errmsg err = { "" }, again = { "" };
	bool acknowledged[WRITES], failed = false;
	struct db *db = db_open(folder, &err);
	long seen;

	assert_non_null(db);
	fault.skip = n;
	fault.times = 1;
	snprintf(fault.under, sizeof fault.under, "%s", folder);
	faults_set(&fault);
	for (uint32_t i = 0; i < WRITES; i++) {
		acknowledged[i] = put(db, i, failed ? &again : &err);
		assert_false(failed && acknowledged[i]); /* after one that failed there is none */
		failed = failed || !acknowledged[i];
		assert_true(db_is_sound(db) == !failed);
	}
	if (failed) {
		assert_non_null(strstr(err.text, strerror(fault.error)));
		assert_true(*again.text == 0 || strstr(again.text, "opened again") != NULL);
		assert_true(*again.text == 0 || strstr(again.text, strerror(fault.error)) != NULL);
	}
	db_close(db);
	seen = faults_met();
	faults_set(NULL);
	db = db_open_existing(folder, &err);
	if (db == NULL)
		fail_msg("call %ld: %s", n, err.text);
	for (uint32_t i = 0; i < WRITES; i++)
		if (acknowledged[i] && !has(db, i))
			fail_msg("call %ld: record %u is lost", n, i);
	assert_true(put(db, 1, &err));
	db_close(db);
	assert_true(db_destroy(folder, &err));
	scratch_remove(folder);
	return seen > n;
}

/* Every step-th call in turn, as far as there are any: those up to `least` there always are. */
static void sweep(struct fault fault, long step, long least)
{
	long n = 0;

	while (fails_once(fault, n))
		n += step;
	assert_true(n > least);
}

static void test_full(void **unused)
{
	(void)unused;
	sweep((struct fault){ .calls = FAULT_WRITE, .error = ENOSPC, .torn = true }, 6, 6);
}

static void test_write(void **unused)
{
	(void)unused;
	sweep((struct fault){ .calls = FAULT_WRITE, .error = EIO }, 7, 7);
}

static void test_sync(void **unused)
{
	(void)unused;
	sweep((struct fault){ .calls = FAULT_SYNC, .error = EIO }, 4, 4);
}

/* New logs and tables cannot be made; a table that is made behind the writes may come too late to be met. */
static void test_open(void **unused)
{
	(void)unused;
	sweep((struct fault){ .calls = FAULT_OPEN | FAULT_RENAME, .error = EMFILE }, 1, 0);
}

static void test_missing(void **unused)
{
	char *folder = scratch_new();
	struct errmsg err = { "" };

	(void)unused;
	assert_null(db_open_existing(folder, &err));
	assert_non_null(strstr(err.text, folder));
	scratch_remove(folder);
}

/* --- walks --- */

enum { PREFIXES = 2000, KEPT_EACH = 16, PREFIX_SIZE = 5 };

static size_t seeks;

/* In place of the library's, and counted: each passes over all that was deleted from there to the next key. */
void leveldb_iter_seek(leveldb_iterator_t *iterator, const char *key, size_t key_size)
{
	void (*seek)(leveldb_iterator_t *, const char *, size_t);

	*(void **)&seek = dlsym(RTLD_NEXT, "leveldb_iter_seek");
	assert_non_null(seek);
	seeks++;
	seek(iterator, key, key_size);
}

static void walk_prefix(uint32_t number, uint8_t prefix[PREFIX_SIZE])
{
	prefix[0] = 's';
	for (int i = 0; i < 4; i++)
		prefix[1 + i] = (uint8_t)(number >> (24 - 8 * i));
}

/* Two keys of each prefix: all are put, then all are deleted but those of every 16th prefix. */
static void walk_fill(struct db *db)
{
	for (uint32_t i = 0; i < 2 * PREFIXES; i++) {
		const bool is_deleting = i >= PREFIXES;
		struct db_batch *batch = db_batch_new();
		uint8_t key[PREFIX_SIZE + 1];
		struct errmsg err;

		walk_prefix(i % PREFIXES, key);
		for (key[PREFIX_SIZE] = 0; key[PREFIX_SIZE] < 2; key[PREFIX_SIZE]++)
			if (!is_deleting)
				db_batch_put(batch, key, sizeof key, "", 0);
			else if (i % PREFIXES % KEPT_EACH != 0)
				db_batch_delete(batch, key, sizeof key);
		assert_true(db_write(db, batch, false, &err));
		db_batch_free(batch);
	}
}

struct walk {
	uint32_t step;           /* from one prefix that is asked for to the next */
	uint32_t asked, visited; /* prefixes; keys that were found */
};

static void walk_next(void *context, size_t at, uint8_t *prefix)
{
	struct walk *walk = context;

	assert_int_equal(at, walk->asked++);
	walk_prefix((uint32_t)at * walk->step, prefix);
}

static bool walk_visit(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	struct walk *walk = context;
	uint8_t prefix[PREFIX_SIZE];

	(void)value, (void)value_size, (void)err;
	walk_prefix((walk->asked - 1) * walk->step, prefix);
	assert_int_equal(key_size, sizeof prefix + 1);
	assert_memory_equal(key, prefix, sizeof prefix);
	assert_int_equal(key[PREFIX_SIZE], walk->visited++ % 2);
	return true;
}

static struct walk walk_each(struct db *db, uint32_t step)
{
	struct walk walk = { .step = step };
	struct errmsg err = { "" };

	seeks = 0;
	assert_true(db_each_of(db, PREFIX_SIZE, PREFIXES, walk_next, walk_visit, &walk, &err));
	return walk;
}

/* Of many prefixes most of whose keys were deleted, those that are left are found, each once. What was deleted is
 * passed over once, not once for each prefix; and behind the last key none is looked for. */
static void test_walk_over_deleted(void **unused)
{
	enum { LAST_KEPT = (PREFIXES - 1) / KEPT_EACH * KEPT_EACH };
	char *folder = scratch_new();
	struct errmsg err = { "" };
	struct db *db = db_open(folder, &err);
	struct walk walk;

	(void)unused;
	assert_non_null(db);
	walk_fill(db);
	walk = walk_each(db, 1);
	assert_int_equal(walk.visited, 2 * (LAST_KEPT / KEPT_EACH + 1));
	assert_int_equal(walk.asked, LAST_KEPT + 1);
	assert_int_equal(seeks, 1);
	/* Where keys lie between the prefixes, it seeks past them. */
	walk = walk_each(db, 3 * KEPT_EACH);
	assert_int_equal(walk.visited, 2 * (LAST_KEPT / (3 * KEPT_EACH) + 1));
	assert_int_equal(seeks, walk.visited / 2 + (LAST_KEPT % (3 * KEPT_EACH) != 0));
	db_close(db);
	assert_true(db_destroy(folder, &err));
	scratch_remove(folder);
}

/* A folder that cannot be looked into, here for want of descriptors, is not taken for a damaged one; a file is. */
static void test_no_look(void **unused)
{
	char *folder = scratch_new(), *path = path_join(folder, "db");
	struct rlimit before, none = { .rlim_cur = 0 };
	struct errmsg err;

	(void)unused;
	assert_true(dir_make(path, &err));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(db_open(path, &err));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(db_is_damage(&err));
	assert_int_equal(rmdir(path), 0);
	assert_true(file_write_atomic(path, "", 0, 0600, &err));
	assert_null(db_open(path, &err));
	assert_true(db_is_damage(&err));
	free(path);
	scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_walk_over_deleted),
		cmocka_unit_test(test_no_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
