/* Wallets on a disk that fails, and in a process that is killed, at any call that changes a file. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "faults.h"
#include "unit.h"
#include "util/file.h"
#include "util/mem.h"
#include "wallet/folder.h"
#include "wallet/startup.h"
#include "wallet/wallet.h"

/* In place of crypto's: what it costs to guess is not what is tried here. */

static bool stir(uint8_t *out, size_t out_size, const char *passphrase, const uint8_t *salt, size_t salt_size)
{
	struct buf in;

	buf_init(&in);
	buf_put(&in, salt, salt_size);
	buf_put_text(&in, passphrase);
	for (size_t at = 0; at < out_size; at += 32) {
		buf_put_u8(&in, (uint8_t)at);
		sha256(out + at, in.data, in.size);
	}
	buf_clear(&in);
	return true;
}

bool kdf_scrypt(uint8_t *out, size_t out_size, const char *passphrase, const uint8_t *salt, size_t salt_size,
	uint64_t n, uint32_t r, uint32_t p)
{
	(void)n;
	(void)r;
	(void)p;
	return stir(out, out_size, passphrase, salt, salt_size);
}

bool kdf_pbkdf2_sha512(uint8_t *out, size_t out_size, const char *passphrase, const uint8_t *salt, size_t salt_size,
	uint32_t rounds)
{
	(void)rounds;
	return stir(out, out_size, passphrase, salt, salt_size);
}

static const char words[] = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
			    "about";
static const struct fault kinds[] = {
	{ .calls = FAULT_WRITE, .error = ENOSPC, .torn = true },
	{ .calls = FAULT_ALL, .error = EIO },
	{ .calls = FAULT_ALL, .error = FAULT_KILL },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct world {
	char *folder, *path;
	struct spec spec;
};

static int setup(void **state)
{
	struct world *world = mem_calloc(1, sizeof *world);

	world->folder = scratch_new();
	world->path = path_join(world->folder, "w");
	strcpy(world->spec.name, "regtest");
	world->spec.maturity = 10;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	scratch_remove(world->folder);
	free(world->path);
	free(world);
	return 0;
}

static struct wallet *make(struct world *world, const char *passphrase)
{
	struct wallet_place genesis = { .height = 0 };
	struct errmsg err = { "" };
	struct wallet *wallet = wallet_create(world->path, "w", &world->spec, passphrase, words, &genesis, &err);

	if (wallet == NULL && err.text[0] == 0)
		fail_msg("it failed without a reason");
	return wallet;
}

static struct wallet *open_it(struct world *world)
{
	struct errmsg err = { "" };
	struct wallet *wallet = wallet_open(world->path, "w", &world->spec, &err);

	if (wallet == NULL)
		fail_msg("%s", err.text);
	return wallet;
}

static bool create(struct world *world, const struct fault *fault)
{
	struct wallet *wallet;

	faults_set(fault);
	wallet = make(world, "sesame");
	if (wallet != NULL)
		wallet_close(wallet);
	return wallet != NULL;
}

static bool encrypt(struct world *world, const struct fault *fault)
{
	struct wallet *wallet = open_it(world);
	struct errmsg err = { "" };
	bool wrong, done;

	faults_set(fault);
	done = wallet_change_passphrase(wallet, "", "sesame", &wrong, &err);
	assert_true(done || (!wrong && err.text[0] != 0));
	/* What it says of itself is so. */
	assert_true(wallet_account(wallet)->has_passphrase == done);
	assert_true(wallet_is_unlocked(wallet) == !done);
	wallet_close(wallet);
	return done;
}

enum outcome { REFUSED, DONE, KILLED };

/* Does it in a process of its own, the n-th call failing. Returns whether there was an n-th. */
static bool attempt(struct world *world, bool (*act)(struct world *world, const struct fault *fault),
	struct fault fault, long n, enum outcome *outcome)
{
	int status, told[2];
	long met = 0;
	pid_t child;

	fault.skip = n;
	fault.times = 1;
	snprintf(fault.under, sizeof fault.under, "%s/", world->folder);
	assert_int_equal(pipe(told), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool done;

		done = act(world, &fault);
		met = faults_met();
		faults_set(NULL);
		_exit(write(told[1], &met, sizeof met) == sizeof met ? done : 2);
	}
	close(told[1]);
	if (read(told[0], &met, sizeof met) != sizeof met)
		met = n + 1;
	close(told[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		*outcome = KILLED;
	} else {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		*outcome = WEXITSTATUS(status) == 1 ? DONE : REFUSED;
	}
	return met > n;
}

/* What is left beside the wallet when the next process has begun. */
static void check_settled(struct world *world)
{
	struct dirent *found;
	DIR *dir;

	folder_settle_all(world->folder);
	dir = opendir(world->folder);
	while ((found = readdir(dir)) != NULL)
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0 &&
			strcmp(found->d_name, "w") != 0)
			fail_msg("%s is left", found->d_name);
	closedir(dir);
}

static void remove_wallet(struct world *world)
{
	char command[600];

	snprintf(command, sizeof command, "rm -rf '%s'/* '%s'/.w*", world->folder, world->folder);
	assert_int_equal(system(command), 0);
}

/* A wallet is made, or it is not and can be. */
static void test_creating(void **state)
{
	struct world *world = *state;
	size_t counts[3] = { 0 };

	for (int kind = 0; kind < KINDS; kind++) {
		enum outcome outcome;
		bool more = true;

		for (long n = 0; more; n++) {
			struct wallet *wallet;

			more = attempt(world, create, kinds[kind], n, &outcome);
			counts[outcome]++;
			check_settled(world);
			switch (folder_look(world->path, NULL)) {
			case FOLDER_FREE:
				assert_true(outcome != DONE);
				wallet = make(world, "sesame");
				assert_non_null(wallet);
				wallet_close(wallet);
				break;
			case FOLDER_WALLET:
				assert_true(outcome != REFUSED);
				break;
			case FOLDER_BROKEN:
				fail_msg("kind %d, call %ld: a part of a wallet is left", kind, n);
			}
			wallet = open_it(world);
			assert_true(wallet_unlock(wallet, "sesame", 60));
			wallet_close(wallet);
			remove_wallet(world);
		}
	}
	assert_true(counts[REFUSED] > 5 && counts[DONE] >= 2 && counts[KILLED] > 5);
}

/* The seed opens with one passphrase, the one that was acknowledged last, and all else is as it was. */
static void test_encrypting(void **state)
{
	struct world *world = *state;
	size_t counts[3] = { 0 };
	uint8_t key[32], next[32];

	for (int kind = 0; kind < KINDS; kind++) {
		enum outcome outcome;
		bool more = true, has;

		for (long n = 0; more; n++) {
			struct wallet *wallet = make(world, "");

			assert_non_null(wallet);
			assert_true(wallet_new_address(wallet, ACCOUNT_RECEIVE, "label", key, NULL));
			wallet_peek_address(wallet, ACCOUNT_RECEIVE, 0, next);
			wallet_close(wallet);
			more = attempt(world, encrypt, kinds[kind], n, &outcome);
			counts[outcome]++;
			check_settled(world);
			wallet = open_it(world);
			has = wallet_account(wallet)->has_passphrase;
			if (outcome != KILLED)
				assert_true(has == (outcome == DONE));
			assert_true(wallet_is_unlocked(wallet) == !has);
			assert_true(wallet_unlock(wallet, has ? "sesame" : "", 60));
			assert_string_equal(ledger_script(wallet_ledger(wallet), key)->label, "label");
			wallet_peek_address(wallet, ACCOUNT_RECEIVE, 0, key);
			assert_memory_equal(key, next, 32);
			wallet_close(wallet);
			remove_wallet(world);
		}
	}
	assert_true(counts[REFUSED] > 5 && counts[DONE] >= 2 && counts[KILLED] > 5);
}

/* A wallet that has lost its CURRENT is not taken for none. */
static void test_current_lost(void **state)
{
	struct world *world = *state;
	char *current = path_join(world->path, "CURRENT");
	struct wallet_place genesis = { .height = 0 };
	struct buf held;
	struct errmsg err = { "" };
	struct wallet *wallet = make(world, "");
	uint8_t key[32], again[32];

	assert_true(wallet_new_address(wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	wallet_close(wallet);
	buf_init(&held);
	assert_true(file_read(current, 100, &held, NULL));
	assert_true(file_remove(current, NULL));
	assert_null(wallet_open(world->path, "w", &world->spec, &err));
	assert_non_null(strstr(err.text, "CURRENT"));
	err.text[0] = 0;
	assert_null(wallet_create(world->path, "w", &world->spec, "", NULL, &genesis, &err));
	assert_non_null(strstr(err.text, "CURRENT"));
	assert_false(file_exists(current));
	/* The advice of the message is all it takes. */
	assert_true(file_write_atomic(current, held.data, held.size, 0600, NULL));
	buf_clear(&held);
	free(current);
	wallet = open_it(world);
	assert_true(wallet_new_address(wallet, ACCOUNT_RECEIVE, NULL, again, NULL));
	assert_memory_not_equal(key, again, 32);
	wallet_close(wallet);
}

static void remove_logs(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *found;

	assert_non_null(dir);
	while ((found = readdir(dir)) != NULL)
		if (strstr(found->d_name, ".log") != NULL)
			assert_int_equal(unlinkat(dirfd(dir), found->d_name, 0), 0);
	closedir(dir);
}

/* A wallet that has lost its log does not forget in silence what it gave out. */
static void test_log_lost(void **state)
{
	struct world *world = *state;
	char *empty = path_join(world->path, "999999.log");
	struct wallet_place genesis = { .height = 0 };
	struct errmsg err = { "" };
	uint8_t key[32];
	struct wallet *wallet = make(world, "");

	assert_true(wallet_new_address(wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	wallet_close(wallet);
	remove_logs(world->path);
	assert_null(wallet_open(world->path, "w", &world->spec, &err));
	assert_non_null(strstr(err.text, "999999.log"));
	assert_null(wallet_create(world->path, "w", &world->spec, "", NULL, &genesis, NULL));
	/* The advice of the message is all it takes. */
	assert_true(file_write_atomic(empty, "", 0, 0600, NULL));
	free(empty);
	wallet_close(open_it(world));
}

/* Whose process ended between the two names of an exchange. */
static void test_between_names(void **state)
{
	struct world *world = *state;
	char *old = path_join(world->folder, ".w.old");
	struct wallet *wallet = make(world, "sesame");

	wallet_close(wallet);
	assert_int_equal(rename(world->path, old), 0);
	assert_null(make(world, "other")); /* it is not lost behind a new one */
	wallet = open_it(world);
	assert_true(wallet_unlock(wallet, "sesame", 60));
	wallet_close(wallet);
	assert_false(file_exists(old));
	free(old);
}

static unsigned mode_of(const char *path)
{
	struct stat info;

	assert_int_equal(stat(path, &info), 0);
	return info.st_mode & 0777;
}

/* Wallets of a time when others could look into them are closed to them. */
static void test_modes(void **state)
{
	struct world *world = *state;
	char *file = path_join(world->path, "LOCK");

	wallet_close(make(world, ""));
	assert_int_equal(chmod(world->path, 0755), 0);
	assert_int_equal(chmod(file, 0644), 0);
	wallet_close(open_it(world));
	assert_int_equal(mode_of(world->path), 0700);
	assert_int_equal(mode_of(file), 0600);
	free(file);
}

static void expect_names(struct world *world, const char *expected)
{
	struct errmsg err = { "" };
	char text[200] = "", **names;
	size_t count;

	names = startup_read(world->folder, &count, &err);
	if (names == NULL)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < count; i++) {
		strcat(strcat(text, names[i]), " ");
		free(names[i]);
	}
	free(names);
	assert_string_equal(text, expected);
}

static void test_startup(void **state)
{
	struct world *world = *state;
	struct fault fault = { .calls = FAULT_ALL, .error = ENOSPC, .times = 1, .under = ".startup" };
	char *path = path_join(world->folder, ".startup");
	struct errmsg err = { "" };
	size_t count;

	expect_names(world, "");
	assert_true(startup_set(world->folder, "a", false, &err));
	assert_false(file_exists(path));
	assert_true(startup_set(world->folder, "a", true, &err));
	assert_true(startup_set(world->folder, "b", true, &err));
	assert_true(startup_set(world->folder, "a", true, &err));
	expect_names(world, "a b ");
	assert_int_equal(mode_of(path), 0600);
	/* Whole or not at all. */
	for (fault.skip = 1; fault.skip <= 4; fault.skip++) { /* open, write, sync, rename; the first is to clear up */
		faults_set(&fault);
		assert_false(startup_set(world->folder, "c", true, &err));
		faults_set(NULL);
		assert_non_null(strstr(err.text, strerror(ENOSPC)));
		expect_names(world, "a b ");
	}
	assert_true(startup_set(world->folder, "a", false, &err));
	expect_names(world, "b ");
	assert_true(file_write_atomic(path, "\n\r\nx y\r\n\nb", 10, 0600, NULL)); /* by hand */
	expect_names(world, "x y b ");
	/* Longer than any list. */
	assert_int_equal(truncate(path, (off_t)1 << 20), 0);
	assert_null(startup_read(world->folder, &count, &err));
	assert_false(startup_set(world->folder, "c", true, &err));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_creating, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_current_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_between_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_startup, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
