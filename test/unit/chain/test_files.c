/* What lies on disk: the database, the block files, and what a node makes of damage to them. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "chain/chain_helper.h"
#include "store/db.h"
#include "store/record_file.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/mem.h"

/* --- database --- */

static bool count_keys(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	size_t *count = context;

	(void)err;
	assert_int_equal(key[0], 'a');
	assert_int_equal(key_size, 2);
	assert_int_equal(value_size, 1);
	assert_int_equal(value[0], key[1]);
	++*count;
	return true;
}

static void test_database(void **unused)
{
	char *folder = scratch_new();
	struct db_batch *batch = db_batch_new();
	struct errmsg err = { "" };
	size_t count = 0;
	struct buf value;
	struct db *db;

	(void)unused;
	db = db_open(folder, &err);
	assert_non_null(db);
	db_batch_put(batch, "a1", 2, "1", 1);
	db_batch_put(batch, "a2", 2, "2", 1);
	db_batch_put(batch, "b1", 2, "1", 1);
	assert_true(db_write(db, batch, true, &err));
	db_batch_free(batch);
	/* A second process is refused with a reason. */
	assert_null(db_open(folder, &err));
	assert_non_null(strstr(err.text, folder));
	db_close(db);
	db = db_open(folder, &err);
	assert_non_null(db);
	assert_true(db_each(db, "a", 1, count_keys, &count, &err));
	assert_int_equal(count, 2);
	buf_init(&value);
	assert_int_equal(db_get(db, "b1", 2, &value, &err), DB_FOUND);
	assert_int_equal(db_get(db, "b2", 2, &value, &err), DB_MISSING);
	assert_int_equal(value.size, 1);
	batch = db_batch_new();
	db_batch_delete(batch, "b1", 2);
	assert_true(db_write(db, batch, false, &err));
	db_batch_free(batch);
	assert_int_equal(db_get(db, "b1", 2, &value, &err), DB_MISSING);
	buf_clear(&value);
	db_close(db);
	assert_true(db_destroy(folder, &err));
	free(folder);
}

/* --- block files --- */

static const uint8_t magic[4] = { 1, 2, 3, 4 };

static void append(struct record_file *files, enum record_kind kind, const char *text, struct file_position *position)
{
	/* In two parts. */
	const struct file_part parts[2] = { { text, 2 }, { text + 2, strlen(text) - 2 } };

	assert_true(record_file_append(files, kind, parts, 2, position, NULL));
	assert_int_equal(position->size, strlen(text));
}

static void expect_record(struct record_file *files, enum record_kind kind, const struct file_position *position,
	const char *text)
{
	struct errmsg err = { "" };
	struct buf out;

	buf_init(&out);
	buf_put_text(&out, "before");
	if (text != NULL) {
		assert_true(record_file_read(files, kind, position, &out, &err));
		assert_int_equal(out.size, 6 + strlen(text));
		assert_memory_equal(out.data + 6, text, strlen(text));
	} else {
		assert_false(record_file_read(files, kind, position, &out, &err));
		assert_int_equal(out.size, 6);
		assert_non_null(strstr(err.text, "blk00000.dat"));
	}
	buf_clear(&out);
}

static bool collect(void *context, enum record_kind kind, const struct file_position *position, const uint8_t *payload,
	uint64_t done, uint64_t total)
{
	struct buf *out = context;

	assert_true(done <= total);
	buf_put_u8(out, (uint8_t)('0' + kind));
	buf_put(out, payload, (size_t)position->size);
	return true;
}

static void expect_scan_after(struct record_file *files, const struct file_position *after, const char *text)
{
	struct buf out;
	char *found;

	buf_init(&out);
	assert_true(record_file_scan(files, after, collect, &out, NULL));
	found = buf_take_text(&out);
	assert_string_equal(found, text);
	free(found);
}

static void expect_scan(struct record_file *files, const char *text)
{
	const struct file_position before_all = { 0 };

	expect_scan_after(files, &before_all, text);
}

static void change_file(const char *folder, uint64_t offset, bool truncate_it)
{
	char *path = path_join(folder, "blk00000.dat");

	if (truncate_it) {
		assert_int_equal(truncate(path, (off_t)offset), 0);
	} else {
		FILE *file = fopen(path, "r+b");
		int byte;

		assert_non_null(file);
		fseek(file, (long)offset, SEEK_SET);
		byte = fgetc(file);
		fseek(file, (long)offset, SEEK_SET);
		fputc(byte ^ 0x10, file);
		assert_int_equal(fclose(file), 0);
	}
	free(path);
}

static void test_block_files(void **unused)
{
	char *folder = scratch_new();
	struct record_file *files = record_file_open(folder, "blk", magic);
	struct file_position first, second, third, fourth;

	(void)unused;
	append(files, RECORD_BLOCK, "one", &first);
	append(files, RECORD_BODIES, "twotwo", &second);
	append(files, RECORD_BLOCK, "three", &third);
	expect_record(files, RECORD_BLOCK, &first, "one");
	expect_record(files, RECORD_BODIES, &second, "twotwo");
	expect_record(files, RECORD_BLOCK, &second, NULL);
	expect_scan(files, "1one2twotwo1three");
	expect_scan_after(files, &first, "2twotwo1three");
	expect_scan_after(files, &third, "");
	/* Torn by a crash: the rest still reads, and what is appended later is found behind the torn end. */
	change_file(folder, third.offset + 2, true);
	record_file_close(files);
	files = record_file_open(folder, "blk", magic);
	assert_false(record_file_holds(files, &third));
	assert_true(record_file_holds(files, &second));
	expect_record(files, RECORD_BLOCK, &third, NULL);
	append(files, RECORD_BLOCK, "four", &fourth);
	expect_record(files, RECORD_BLOCK, &fourth, "four");
	expect_scan(files, "1one2twotwo1four");
	/* A flipped bit is found by the checksum; bodies leave that to whoever knows their digests. */
	change_file(folder, first.offset + 1, false);
	expect_record(files, RECORD_BLOCK, &first, NULL);
	change_file(folder, second.offset + 1, false);
	expect_record(files, RECORD_BODIES, &second, "tgotwo");
	expect_scan(files, "1four");
	/* A position from a damaged index takes no memory. */
	second.size = UINT64_C(1) << 60;
	expect_record(files, RECORD_BODIES, &second, NULL);
	record_file_close(files);
	scratch_remove(folder);
}

/* A file that got lost: what lies behind it is found, and not written over. */
static void test_block_file_lost(void **unused)
{
	char *folder = scratch_new(), *first = path_join(folder, "blk00000.dat");
	struct record_file *files = record_file_open(folder, "blk", magic);
	struct file_position one, two, three;

	(void)unused;
	assert_true(record_file_is_empty(files));
	append(files, RECORD_BLOCK, "one", &one);
	record_file_close(files);
	/* As large as a file becomes; most of it is a hole. */
	assert_int_equal(truncate(first, 128 << 20), 0);
	files = record_file_open(folder, "blk", magic);
	append(files, RECORD_BLOCK, "two", &two);
	assert_int_equal(two.file, 1);
	record_file_close(files);
	assert_int_equal(unlink(first), 0);
	files = record_file_open(folder, "blk", magic);
	assert_false(record_file_is_empty(files));
	assert_false(record_file_holds(files, &one));
	append(files, RECORD_BLOCK, "three", &three);
	assert_int_equal(three.file, 1);
	expect_record(files, RECORD_BLOCK, &two, "two");
	expect_scan(files, "1two1three");
	expect_scan_after(files, &one, "1two1three");
	expect_scan_after(files, &two, "1three");
	record_file_close(files);
	free(first);
	scratch_remove(folder);
}

/* What is erased takes no room and is found by nobody; all else stays where it is. */
static void test_block_file_erased(void **unused)
{
	enum { LARGE = 1 << 20 };
	char *folder = scratch_new(), *large = mem_calloc(1, LARGE + 1);
	struct record_file *files = record_file_open(folder, "blk", magic);
	struct file_position first, second, third;
	struct errmsg err;

	(void)unused;
	memset(large, 'x', LARGE);
	append(files, RECORD_BLOCK, "one", &first);
	append(files, RECORD_BODIES, large, &second);
	append(files, RECORD_BLOCK, "three", &third);
	assert_true(record_file_can_erase(files, &err));
	for (int twice = 0; twice < 2; twice++) {
		assert_true(record_file_erase(files, &second, &err));
		assert_true(record_file_disk_size(files) < LARGE / 2);
		expect_record(files, RECORD_BODIES, &second, NULL);
		expect_record(files, RECORD_BLOCK, &first, "one");
		expect_record(files, RECORD_BLOCK, &third, "three");
		expect_scan(files, "1one1three");
		assert_true(record_file_holds(files, &second));
		record_file_close(files);
		files = record_file_open(folder, "blk", magic);
		assert_true(record_file_disk_size(files) < LARGE / 2);
	}
	second.file = 7;
	assert_false(record_file_erase(files, &second, &err));
	assert_non_null(strstr(err.text, "blk00007.dat"));
	record_file_close(files);
	free(large);
	scratch_remove(folder);
}

/* --- a node on damaged files --- */

static bool opens_with(struct helper *h, struct chain_options options, struct errmsg *err)
{
	struct chain *chain;

	options.datadir = h->folder;
	options.spec = h->spec;
	options.queue = queue_new(1, NULL, NULL);
	chain = chain_open(&options, err);
	chain_close(chain);
	queue_free(options.queue);
	return chain != NULL;
}

static bool opens(struct helper *h, struct errmsg *err)
{
	return opens_with(h, (struct chain_options){ .reindex = false }, err);
}

static void test_damaged_body(void **unused)
{
	struct helper h;
	struct errmsg err;
	const struct block *block;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 3);
	helper_close(&h);
	/* The last record of the block file is the bodies of block 3. */
	helper_flip(&h, "blocks/blk*", -20);
	helper_open(&h);
	assert_int_equal(chain_tip(h.chain)->height, 3);
	block = chain_read_block(h.chain, chain_at(h.chain, 2), &err);
	assert_non_null(block);
	block_unref(block);
	assert_null(chain_read_block(h.chain, chain_tip(h.chain), &err));
	assert_non_null(strstr(err.text, "blk00000.dat"));
	assert_non_null(strstr(err.text, "body of proof 0"));
	helper_close(&h);
	/* Without its snapshot the model cannot be had any more: told, not guessed. */
	helper_remove(&h, "model/*");
	assert_false(opens(&h, &err));
	assert_non_null(strstr(err.text, "body of proof 0"));
	/* Reindexing executes the proofs again, and all is well. */
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 3);
	block = chain_read_block(h.chain, chain_tip(h.chain), &err);
	assert_non_null(block);
	block_unref(block);
	helper_stop(&h);
}

/* Built-in chains only state the root that they begin with: a machine that draws another state must not go on. */
static void test_another_initial_state(void **unused)
{
	struct spec *right_spec;
	struct spec other_spec;
	struct errmsg err;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_close(&h);
	assert_true(opens(&h, &err));
	right_spec = h.spec;
	other_spec = *right_spec;
	other_spec.genesis.model_root[0] ^= 1;
	h.spec = &other_spec;
	assert_false(opens(&h, &err));
	assert_non_null(strstr(err.text, "computes otherwise"));
	h.spec = right_spec;
	helper_open(&h);
	helper_stop(&h);
}

static void test_truncated_files(void **unused)
{
	struct errmsg err;
	struct helper h;
	struct stat stats;
	char path[600];
	uint8_t tip[32];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 4);
	memcpy(tip, chain_at(h.chain, 3)->id, 32);
	helper_close(&h);
	snprintf(path, sizeof path, "%s/blocks/blk00000.dat", h.folder);
	assert_int_equal(stat(path, &stats), 0);
	/* Cut into the bodies of block 4: the index names what is not there. */
	assert_int_equal(truncate(path, stats.st_size - 100), 0);
	assert_false(opens(&h, &err));
	assert_non_null(strstr(err.text, "-reindex"));
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 4);
	helper_close(&h);
	/* Without half of the file the chain is as long as what is left. */
	assert_int_equal(truncate(path, stats.st_size * 7 / 8 - 10000), 0);
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 3);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	helper_mine(&h, 2);
	helper_stop(&h);
}

static void test_reindex(void **unused)
{
	uint8_t tip[32], root[32];
	struct coin_stats before, after;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine_loose(&h);
	helper_mine(&h, 9);
	memcpy(tip, chain_tip(h.chain)->id, 32);
	memcpy(root, chain_tip(h.chain)->model_root_after, 32);
	chain_coin_stats(h.chain, &before);
	helper_close(&h);
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	assert_memory_equal(chain_tip(h.chain)->model_root_after, root, 32);
	chain_coin_stats(h.chain, &after);
	assert_int_equal(before.coins, after.coins);
	assert_int_equal(before.amount, after.amount);
	helper_mine(&h, 1);
	helper_stop(&h);
}

static void expect_refusal(struct helper *h)
{
	struct errmsg err = { "" };

	assert_false(opens(h, &err));
	if (strstr(err.text, "-reindex") == NULL)
		fail_msg("no remedy: %s", err.text);
}

static void expect_after_reindex(struct helper *h, uint32_t height)
{
	h->reindex = true;
	helper_open(h);
	helper_settle(h);
	assert_int_equal(chain_tip(h->chain)->height, height);
	helper_close(h);
}

/* Block files without their index, the index without block files: no new chain is begun beside what is there. */
static void test_lost_files(void **unused)
{
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 3);
	helper_close(&h);
	helper_remove(&h, "chainstate/*");
	expect_refusal(&h);
	expect_refusal(&h); /* nor does the refusal leave anything that the next start would take for an index */
	expect_after_reindex(&h, 3);
	helper_remove(&h, "chainstate/CURRENT");
	expect_refusal(&h);
	expect_after_reindex(&h, 3);
	helper_remove(&h, "chainstate/MANIFEST*");
	expect_refusal(&h);
	expect_after_reindex(&h, 3);
	helper_remove(&h, "blocks/rev*");
	expect_refusal(&h);
	expect_after_reindex(&h, 3);
	helper_remove(&h, "blocks/blk*");
	expect_refusal(&h);
	helper_remove(&h, "chainstate/CURRENT");
	expect_refusal(&h);
	helper_remove(&h, "chainstate/*");
	helper_open(&h);
	assert_int_equal(chain_tip(h.chain)->height, 0);
	helper_stop(&h);
}

/* Killed between the end of the old index and that of the new one: the next start takes up the reindex. */
static void test_reindex_interrupted(void **unused)
{
	struct helper h;
	char path[600];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 3);
	helper_close(&h);
	helper_remove(&h, "chainstate/*");
	snprintf(path, sizeof path, "%s/.reindex", h.folder);
	assert_true(file_write_atomic(path, "", 0, 0600, NULL));
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 3);
	assert_false(file_exists(path));
	helper_stop(&h);
}

/* Asked to stop, an opening gives up, and leaves everything to the next one. */
static void test_stopped(void **unused)
{
	atomic_bool stop = true;
	struct errmsg err;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 6);
	helper_close(&h);
	helper_remove(&h, "model/*");
	assert_false(opens_with(&h, (struct chain_options){ .stop = &stop }, &err));
	assert_int_equal(helper_files(&h, "model/*"), 0);
	assert_false(opens_with(&h, (struct chain_options){ .stop = &stop, .reindex = true }, &err));
	assert_non_null(strstr(err.text, "next start"));
	stop = false;
	assert_true(opens_with(&h, (struct chain_options){ .stop = &stop }, &err));
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 6);
	helper_stop(&h);
}

/* With a clock that goes slow every block of the files would be too new: that is no reason to lose them. */
static void test_reindex_slow_clock(void **unused)
{
	const int64_t now = clock_wall();
	struct helper h;
	uint8_t tip[32];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 9);
	memcpy(tip, chain_tip(h.chain)->id, 32);
	helper_close(&h);
	clock_set_mock((int64_t)h.spec->genesis_time - 100000);
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	helper_close(&h);
	helper_open(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	clock_set_mock(now);
	helper_mine(&h, 1);
	helper_stop(&h);
}

static void test_import(void **unused)
{
	struct helper a, b;
	struct buf file;
	struct errmsg err = { "" };
	struct import_result result;
	const int64_t now = clock_wall();
	char path[600];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 80);
	buf_init(&file);
	for (uint32_t height = 1; height <= 80; height++) {
		assert_true(chain_export_block(a.chain, chain_at(a.chain, height), &file, &err));
		buf_put_text(&file, "rubbish between");
	}
	snprintf(path, sizeof path, "%s/export.dat", b.folder);
	assert_true(file_write_atomic(path, file.data, file.size, 0600, &err));
	/* A clock that goes slow: the result tells when all of them may come. */
	clock_set_mock((int64_t)b.spec->genesis_time - 100000);
	assert_true(chain_import(b.chain, path, &result, &err));
	assert_int_equal(result.added, 0);
	assert_int_equal(result.due, (int64_t)chain_at(a.chain, 1)->header.time - spec_future_limit(b.spec));
	clock_set_mock(now);
	assert_true(chain_import(b.chain, path, &result, &err));
	assert_int_equal(result.added, 80);
	assert_int_equal(result.due, 0);
	/* Reading does not run away from verification. */
	assert_true(chain_tip(b.chain)->height >= 10);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_true(chain_import(b.chain, path, &result, &err));
	assert_int_equal(result.added, 0);
	assert_false(chain_import(b.chain, "/nonexistent/file", &result, &err));
	buf_clear(&file);
	helper_stop(&a);
	helper_stop(&b);
}

static void assert_disk_failed(struct reject *reject)
{
	assert_string_equal(reject->reason, "disk-failed");
	assert_non_null(strstr(reject->detail, "blk00000.dat"));
	memset(reject, 0, sizeof *reject);
}

/* Once the disk has failed every way in says so, and how it did. */
static void assert_refused_all(struct helper *h)
{
	const struct header header = chain_tip(h->chain)->header;
	const uint8_t root[32] = { 1 };
	struct reject reject = { .reason = "" };

	assert_int_equal(chain_add_block(h->chain, block_new(), NULL, &reject), CHAIN_ERROR);
	assert_disk_failed(&reject);
	assert_int_equal(chain_add_header(h->chain, &header, NULL, &reject), CHAIN_ERROR);
	assert_disk_failed(&reject);
	assert_int_equal(chain_add_loose(h->chain, &header, NULL, &reject), CHAIN_ERROR);
	assert_disk_failed(&reject);
	assert_int_equal(chain_add_tx(h->chain, tx_new(), NULL, &reject), CHAIN_ERROR);
	assert_disk_failed(&reject);
	assert_int_equal(chain_add_blob(h->chain, root, root, sizeof root, true, &reject), CHAIN_ERROR);
	assert_disk_failed(&reject);
}

/* A disk that is full: an error, a notice, nothing damaged. */
static void test_disk_full(void **unused)
{
	struct rlimit before, tight;
	struct helper h;
	struct reject reject;
	struct stat stats;
	struct block *block;
	uint8_t tip[32];
	char path[600];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 3);
	memcpy(tip, chain_tip(h.chain)->id, 32);
	block = chain_template(h.chain, h.key);
	free(helper_solve(&h, block, false));
	snprintf(path, sizeof path, "%s/blocks/blk00000.dat", h.folder);
	assert_int_equal(stat(path, &stats), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)stats.st_size + 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(chain_add_block(h.chain, block_seal(block), NULL, &reject), CHAIN_ERROR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(h.fatals, 1);
	assert_disk_failed(&reject);
	assert_refused_all(&h);
	assert_int_equal(h.fatals, 1);
	helper_close(&h);
	helper_open(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	helper_mine(&h, 1);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_database),
		cmocka_unit_test(test_block_files),
		cmocka_unit_test(test_block_file_lost),
		cmocka_unit_test(test_block_file_erased),
		cmocka_unit_test(test_damaged_body),
		cmocka_unit_test(test_another_initial_state),
		cmocka_unit_test(test_truncated_files),
		cmocka_unit_test(test_reindex),
		cmocka_unit_test(test_lost_files),
		cmocka_unit_test(test_reindex_interrupted),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_reindex_slow_clock),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
