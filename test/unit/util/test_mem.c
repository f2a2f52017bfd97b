/* Memory that runs out ends the process, with a line that says so: in a process of its own, whose line is read. */
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit.h"
#include "util/mem.h"

/* What a process that does this says before it is aborted; "" if it is not. */
static void last_words(void (*act)(void), char words[256])
{
	size_t size = 0;
	ssize_t more;
	int told[2], status;
	pid_t child;

	assert_int_equal(pipe(told), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(told[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	close(told[1]);
	while ((more = read(told[0], words + size, 255 - size)) > 0)
		size += (size_t)more;
	close(told[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	words[WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? size : 0] = 0;
}

/* The address sanitizer ends the process itself, with words of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_ALLOCATOR 0
#endif
#endif
#ifndef OWN_ALLOCATOR
#define OWN_ALLOCATOR 1
#endif

static void ask_for_too_much(void)
{
	free(mem_calloc(SIZE_MAX / 2, 4));
}

static void check_nothing(void)
{
	mem_check(NULL);
}

static void check_something(void)
{
	char something;

	mem_check(&something);
}

static void test_out_of_memory(void **state)
{
	char words[256];

	(void)state;
	if (OWN_ALLOCATOR) {
		last_words(ask_for_too_much, words);
		assert_memory_equal(words, "Out of memory: ", 15);
	}
	last_words(check_nothing, words);
	assert_string_equal(words, "Out of memory: a library could not make what was asked of it\n");
	last_words(check_something, words);
	assert_string_equal(words, "");
	assert_ptr_equal(mem_check(state), state);
}

/* The C library would keep the second array in the heap, since one as large was freed. */
static void test_arrays_return(void **state)
{
	const size_t array = 4 << 20;
	size_t before;
	void *data;

	(void)state;
	if (!OWN_ALLOCATOR)
		skip();
	mem_return_arrays();
	free(mem_alloc(4 * array));
	before = mallinfo2().hblkhd;
	data = mem_alloc(array);
	assert_true(mallinfo2().hblkhd >= before + array);
	free(data);
	assert_int_equal(mallinfo2().hblkhd, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_arrays_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
