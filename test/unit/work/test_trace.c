/* Traces on disk: what is written comes back, what is damaged is as if it had not been written, a kill at any call
 * leaves a trace or none, and nothing is removed that is none. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "crypto/hash.h"
#include "faults.h"
#include "unit.h"
#include "util/file.h"
#include "work/trace.h"

enum { CODE = 130 };
static const struct trace_shape shape = { .segments = 3, .code_size = CODE };

static struct trace_run run_of(uint8_t seat)
{
	struct trace_run run = { .base_height = 8, .seat_height = seat };

	memset(run.base_id, 0xba, 32);
	memset(run.seat_id, seat, 32);
	memset(run.key, 0x11, 32);
	return run;
}

static void fill_code(uint8_t code[CODE], uint32_t number)
{
	memset(code, (int)number, CODE);
}

static bool append(struct trace *trace)
{
	uint8_t code[CODE], digest[32];

	fill_code(code, trace->done + 1);
	if (!trace_write(trace, trace->done + 1, code, digest, NULL))
		return false;
	trace_add(trace, digest);
	return true;
}

static struct trace *whole_trace(const char *runs)
{
	const struct trace_run run = run_of(5);
	struct trace *trace = trace_new(runs, &run, &shape);

	assert_true(trace_begin(trace, NULL));
	while (trace->done < shape.segments)
		assert_true(append(trace));
	return trace;
}

static struct trace *reload(struct trace *trace)
{
	char *folder = strdup(trace->folder);
	struct trace *again;

	trace_free(trace);
	again = trace_load(folder, &shape, NULL);
	free(folder);
	return again;
}

static void damage(const struct trace *trace, const char *name, long at)
{
	char *path = path_join(trace->folder, name);
	FILE *file = fopen(path, "r+b");
	int byte;

	assert_non_null(file);
	fseek(file, at, SEEK_SET);
	byte = fgetc(file);
	fseek(file, at, SEEK_SET);
	fputc(byte ^ 1, file);
	fclose(file);
	free(path);
}

static void what_is_written_comes_back(void **test_state)
{
	const struct trace_run run = run_of(5);
	char *runs = scratch_new();
	struct trace *trace = whole_trace(runs);
	uint8_t signature[64], root[32], root_again[32], code[CODE], expected[CODE];

	(void)test_state;
	memset(signature, 0x5a, sizeof signature);
	assert_int_equal(trace->signed_length, 0);
	assert_true(trace_sign(trace, 2, signature, NULL));
	trace_root(trace, 2, root);
	trace = reload(trace);
	assert_non_null(trace);
	assert_int_equal(trace->done, shape.segments);
	assert_int_equal(trace->signed_length, 2);
	assert_memory_equal(trace->signature, signature, 64);
	assert_int_equal(trace->run.base_height, run.base_height);
	assert_int_equal(trace->run.seat_height, run.seat_height);
	assert_memory_equal(trace->run.base_id, run.base_id, 32);
	assert_memory_equal(trace->run.seat_id, run.seat_id, 32);
	assert_memory_equal(trace->run.key, run.key, 32);
	trace_root(trace, 2, root_again);
	assert_memory_equal(root, root_again, 32);
	trace_root(trace, 3, root_again);
	assert_memory_not_equal(root, root_again, 32);
	for (uint32_t number = 1; number <= 3; number++) {
		fill_code(expected, number);
		assert_true(trace_read(trace, number, code, NULL));
		assert_memory_equal(code, expected, CODE);
	}
	trace_remove(trace);
	assert_int_equal(rmdir(runs), 0);
	free(runs);
}

/* The root is H(d_1 | d_2 | .. ), each d H of a code, up to the length that is committed to. */
static void the_root_is_that_of_the_protocol(void **test_state)
{
	char *runs = scratch_new();
	struct trace *trace = whole_trace(runs);
	uint8_t list[3][32], code[CODE], expected[32], root[32];

	(void)test_state;
	for (uint32_t number = 1; number <= 3; number++) {
		fill_code(code, number);
		sha256(list[number - 1], code, CODE);
	}
	for (uint32_t length = 1; length <= 3; length++) {
		sha256(expected, list, 32 * length);
		trace_root(trace, length, root);
		assert_memory_equal(root, expected, 32);
	}
	trace_free(trace);
	scratch_remove(runs);
}

static void check(struct trace *trace)
{
	while (trace_check_next(trace))
		;
}

static void damage_costs_one_segment(void **test_state)
{
	static const char *const names[] = { "1", "2", "3" };
	char *runs = scratch_new();

	(void)test_state;
	for (uint32_t i = 0; i < 3; i++) {
		/* In the code, and in its hash. */
		for (int in_hash = 0; in_hash < 2; in_hash++) {
			struct trace *trace = whole_trace(runs);
			uint8_t code[CODE], root[32], root_again[32];

			trace_root(trace, 3, root);
			damage(trace, names[i], in_hash ? CODE + 3 : 7);
			assert_false(trace_read(trace, i + 1, code, NULL));
			assert_int_equal(trace->done, i);
			trace = reload(trace);
			assert_non_null(trace);
			assert_int_equal(trace->done, 3);
			check(trace);
			assert_int_equal(trace->done, i);
			assert_true(append(trace));
			assert_int_equal(trace->done, i + 1);
			check(trace);
			assert_int_equal(trace->done, 3);
			trace_root(trace, 3, root_again);
			assert_memory_equal(root, root_again, 32);
			trace = reload(trace);
			check(trace);
			assert_int_equal(trace->done, 3);
			trace_remove(trace);
		}
	}
	assert_int_equal(rmdir(runs), 0);
	free(runs);
}

/* It is not taken for a trace at the start; who trains that run finds its codes and signature. */
static void codes_outlast_their_record(void **test_state)
{
	const struct trace_run run = run_of(5);

	(void)test_state;
	for (int is_lost = 0; is_lost < 2; is_lost++) {
		char *runs = scratch_new();
		struct trace *trace = whole_trace(runs), **all;
		uint8_t signature[64], root[32], root_again[32];
		size_t count;

		memset(signature, 0x5a, sizeof signature);
		assert_true(trace_sign(trace, 2, signature, NULL));
		trace_root(trace, 3, root);
		damage(trace, "run", 20);
		if (is_lost) {
			char *path = path_join(trace->folder, "run");

			assert_int_equal(unlink(path), 0);
			free(path);
		}
		trace_free(trace);
		free(trace_load_all(runs, &shape, &count));
		assert_int_equal(count, 0);
		trace = trace_new(runs, &run, &shape);
		check(trace);
		assert_int_equal(trace->done, 3);
		assert_int_equal(trace->signed_length, 2);
		trace_root(trace, 3, root_again);
		assert_memory_equal(root, root_again, 32);
		assert_true(trace_begin(trace, NULL));
		trace_free(trace);
		all = trace_load_all(runs, &shape, &count);
		assert_int_equal(count, 1);
		assert_int_equal(all[0]->done, 3);
		trace_remove(all[0]);
		free(all);
		assert_int_equal(rmdir(runs), 0);
		free(runs);
	}
}

/* Folders of other people's files, be it through a link. */
static void what_is_no_trace_stays(void **test_state)
{
	char *runs = scratch_new(), *others = scratch_new(), *other = path_join(others, "diary");
	char *within = path_join(runs, "within"), *kept = path_join(within, "1"), *link = path_join(runs, "link");
	size_t count;

	(void)test_state;
	assert_true(dir_make(within, NULL));
	assert_true(file_write_atomic(kept, "x", 1, 0600, NULL));
	assert_true(file_write_atomic(other, "x", 1, 0600, NULL));
	assert_int_equal(symlink(others, link), 0);
	free(trace_load_all(runs, &shape, &count));
	assert_int_equal(count, 0);
	assert_true(file_exists(kept));
	assert_true(file_exists(other));
	free(link);
	free(kept);
	free(within);
	free(other);
	scratch_remove(others);
	scratch_remove(runs);
}

/* An empty file, as a power failure leaves some, is told of too. */
static void what_is_empty_is_damaged(void **test_state)
{
	char *runs = scratch_new();
	struct trace *trace = whole_trace(runs);
	char *folder = strdup(trace->folder), *path = path_join(folder, "run");
	struct errmsg err = { "" };

	(void)test_state;
	trace_free(trace);
	assert_int_equal(truncate(path, 0), 0);
	assert_null(trace_load(folder, &shape, &err));
	assert_non_null(strstr(err.text, "run: is damaged"));
	free(path);
	free(folder);
	scratch_remove(runs);
}

/* A sound code of another number, as from a copy: its digest is not the one that was committed to. */
static void another_code_is_none(void **test_state)
{
	char *runs = scratch_new();
	struct trace *trace = whole_trace(runs);
	uint8_t code[CODE], digest[32];

	(void)test_state;
	fill_code(code, 9);
	assert_true(trace_write(trace, 2, code, digest, NULL));
	assert_false(trace_read(trace, 2, code, NULL));
	assert_int_equal(trace->done, 1);
	trace_free(trace);
	scratch_remove(runs);
}

static void a_folder_is_settled(void **test_state)
{
	char *runs = scratch_new(), *stray = path_join(runs, "9-empty"), *torn = path_join(stray, "run.new");
	const struct trace_shape other_shape = { .segments = 4, .code_size = CODE };
	struct trace *trace = whole_trace(runs), **all;
	size_t count;

	(void)test_state;
	trace_free(trace);
	assert_true(dir_make(stray, NULL));
	assert_true(file_write_atomic(torn, "x", 1, 0600, NULL));
	all = trace_load_all(runs, &shape, &count);
	assert_int_equal(count, 1);
	assert_int_equal(all[0]->done, shape.segments);
	assert_false(file_exists(stray));
	trace_free(all[0]);
	free(all);
	/* Of another shape: not taken, and left alone. */
	all = trace_load_all(runs, &other_shape, &count);
	assert_int_equal(count, 0);
	free(all);
	all = trace_load_all(runs, &shape, &count);
	assert_int_equal(count, 1);
	damage(all[0], "run", 20);
	trace_free(all[0]);
	free(all);
	all = trace_load_all(runs, &shape, &count);
	assert_int_equal(count, 0);
	free(all);
	free(torn);
	free(stray);
	scratch_remove(runs);
}

/* What the second process finds is what the first has acknowledged, or one segment more. */
static void a_kill_costs_one_segment(void **test_state)
{
	const struct fault kill_fault = { .calls = FAULT_ALL, .error = FAULT_KILL };
	const struct trace_run run = run_of(6);
	bool met_end = false;

	(void)test_state;
	for (long skip = 0; !met_end; skip++) {
		char *runs = scratch_new();
		int told[2], status;
		uint8_t acknowledged = 0;
		struct trace **all;
		size_t count;
		pid_t child;

		assert_int_equal(pipe(told), 0);
		child = fork();
		if (child == 0) {
			struct fault fault = kill_fault;
			struct trace *trace;

			fault.skip = skip;
			snprintf(fault.under, sizeof fault.under, "%s", runs);
			faults_set(&fault);
			trace = trace_new(runs, &run, &shape);
			if (!trace_begin(trace, NULL))
				_exit(3);
			while (trace->done < shape.segments) {
				append(trace);
				acknowledged = (uint8_t)trace->done;
				if (write(told[1], &acknowledged, 1) != 1)
					_exit(2);
			}
			_exit(0);
		}
		close(told[1]);
		while (read(told[0], &acknowledged, 1) == 1)
			;
		close(told[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		met_end = WIFEXITED(status);
		assert_true(met_end ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
		all = trace_load_all(runs, &shape, &count);
		assert_true(count == 1 || acknowledged == 0);
		if (count == 1) {
			check(all[0]);
			assert_in_range(all[0]->done, acknowledged, acknowledged + 1);
			trace_free(all[0]);
		}
		free(all);
		scratch_remove(runs);
	}
}

static void a_disk_that_is_full_says_so(void **test_state)
{
	char *runs = scratch_new();
	struct trace *trace = whole_trace(runs);
	struct fault fault = { .calls = FAULT_WRITE, .error = ENOSPC, .torn = true };
	uint8_t code[CODE], digest[32];
	struct errmsg err = { "" };

	(void)test_state;
	snprintf(fault.under, sizeof fault.under, "%s", runs);
	faults_set(&fault);
	fill_code(code, 2);
	assert_false(trace_write(trace, 2, code, digest, &err));
	assert_non_null(strstr(err.text, "cannot be written"));
	faults_set(NULL);
	assert_true(trace_read(trace, 2, code, NULL));
	trace_free(trace);
	scratch_remove(runs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_comes_back),
		cmocka_unit_test(the_root_is_that_of_the_protocol),
		cmocka_unit_test(damage_costs_one_segment),
		cmocka_unit_test(codes_outlast_their_record),
		cmocka_unit_test(what_is_no_trace_stays),
		cmocka_unit_test(what_is_empty_is_damaged),
		cmocka_unit_test(another_code_is_none),
		cmocka_unit_test(a_folder_is_settled),
		cmocka_unit_test(a_kill_costs_one_segment),
		cmocka_unit_test(a_disk_that_is_full_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
