/* A database on a disk that fails once: what was acknowledged before is there again when it is opened anew. */
#include <errno.h>

#include "faults.h"
#include "store/db.h"
#include "unit.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
