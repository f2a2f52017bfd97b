/* What a step takes: all of its memory when it is made, as much as it says, and nothing while it runs.
 *
 * This program stands in front of the C library's allocator and of mmap, for itself and for every library it has
 * loaded, and counts calls by who makes them: this program's own code, which src/ml is part of, or a library. */
#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "ml/backend_cpu.h"
#include "ml/kernel/noise.h"
#include "ml/selftest.h"
#include "unit.h"
#include "util/mem.h"

/* Sanitizers stand there themselves. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
	__has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CAN_COUNT 0
#else
#define CAN_COUNT 1
#endif

/* === Counting === */

struct counts {
	size_t own, own_bytes, libraries;
};

static atomic_bool counting;
static atomic_size_t own, own_bytes, libraries;

static void begin_counting(void)
{
	own = own_bytes = libraries = 0;
	counting = true;
}

static void need_counting(void)
{
	if (!CAN_COUNT)
		skip();
}

static struct counts end_counting(void)
{
	counting = false;
	return (struct counts){ own, own_bytes, libraries };
}

#if CAN_COUNT
/* Where this program's code begins and ends, by the linker. */
extern char __executable_start, etext;

static void count(const void *caller, size_t size)
{
	if (!counting)
		return;
	if ((const char *)caller < &__executable_start || (const char *)caller >= &etext) {
		libraries++;
		return;
	}
	own++;
	own_bytes += size;
}

/* What glibc calls its own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((noinline)) void *malloc(size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_malloc(size);
}

__attribute__((noinline)) void *calloc(size_t number, size_t size)
{
	count(__builtin_return_address(0), number * size);
	return __libc_calloc(number, size);
}

__attribute__((noinline)) void *realloc(void *old, size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_realloc(old, size);
}

__attribute__((noinline)) void *memalign(size_t alignment, size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_memalign(alignment, size);
}

__attribute__((noinline)) void *aligned_alloc(size_t alignment, size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_memalign(alignment, size);
}

__attribute__((noinline)) int posix_memalign(void **out, size_t alignment, size_t size)
{
	count(__builtin_return_address(0), size);
	*out = __libc_memalign(alignment, size);
	return *out ? 0 : 12; /* ENOMEM */
}

__attribute__((noinline)) void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
	count(__builtin_return_address(0), size);
	return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}
#endif

/* Counting sees what it should: this program's calls through the project's helpers, and a library's. */
static void test_counting(void **state)
{
	void *memory[5], *mapped;
	struct counts counts;
	char *copy;

	(void)state;
	need_counting();
	begin_counting();
	memory[0] = mem_alloc(100);
	memory[1] = mem_calloc(10, 20);
	memory[2] = mem_align(64);
	memory[3] = mem_realloc(NULL, 36);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(posix_memalign(&memory[4], 64, 4), 0);
	counts = end_counting();
	assert_int_equal(counts.own, 6);
	assert_int_equal(counts.own_bytes, 100 + 200 + 64 + 36 + 4096 + 4);
	assert_int_equal(counts.libraries, 0);
	begin_counting();
	copy = strdup(getenv("PATH")); /* of the C library */
	counts = end_counting();
	assert_int_equal(counts.own, 0);
	assert_int_equal(counts.libraries, 1);
	for (int i = 0; i < 5; i++)
		free(memory[i]);
	munmap(mapped, 4096);
	free(copy);
}

/* === Steps === */

/* Two chunks of tokens in a minibatch, of which the second is not full; products longer than a chunk; more than one
 * layer. */
static const struct train_config config = {
	.model = { .d = 32, .layers = 2, .heads = 2, .ff = 1056, .ctx = 32 },
	.batch = 40,
	.iterations = 1,
	.lr_ppm = 500,
	.wd_ppm = 10000,
	.mu_ppm = 900000,
	.eta_ppm = 700000,
	.gate_ppm = 1050000,
	.bench_rows = 2,
};

static void run_counted(struct backend *backend, const struct step_job *job, uint8_t *delta, struct counts *counts)
{
	enum step_result result;

	begin_counting();
	result = backend_execute(backend, job, delta);
	*counts = end_counting();
	assert_int_equal(result, STEP_OK);
	assert_int_equal(counts->own, 0);
}

/* Libraries may take memory when they are called first. OpenBLAS keeps it for the calls to come; oneDNN has it anew
 * with each product, which is not ours to change. A member of a team may have its first product in any step. */
static void check_step(enum engine engine, unsigned threads)
{
	static const uint8_t seed[32] = { 1, 2, 3 };
	uint8_t text[3000], *windows = mem_alloc(step_windows_size(&config)),
			    *delta = mem_alloc(step_delta_size(&config));
	struct state *initial = state_new_initial(&config.model, seed);
	struct step_job job = { .state = initial, .seed = seed, .windows = windows };
	size_t stated = backend_memory(backend_cpu(engine), &config, threads);
	struct counts counts;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7 + i / 11 * 3);
	noise_gather(seed, NOISE_WINDOW, (size_t)config.iterations * config.batch, text, sizeof text, config.model.ctx,
		windows);
	begin_counting();
	struct backend *backend = backend_new(backend_cpu(engine), &config, threads);

	counts = end_counting();
	/* Beside it there are a few structs that point into it. */
	if (counts.own_bytes < stated || counts.own_bytes > stated + (1 << 14))
		fail_msg("%s takes %zu bytes and says %zu", backend_cpu(engine)->name, counts.own_bytes, stated);
	run_counted(backend, &job, delta, &counts);
	run_counted(backend, &job, delta, &counts);
	printf("# %s, %u threads: %zu allocations of libraries in a later step\n", backend_cpu(engine)->name, threads,
		counts.libraries);
	if (engine != ENGINE_ONEDNN && threads == 1)
		assert_int_equal(counts.libraries, 0);
	backend_free(backend);
	state_unref(initial);
	free(windows);
	free(delta);
}

static void test_openblas(void **state)
{
	(void)state;
	need_counting();
	check_step(ENGINE_OPENBLAS, 1);
	check_step(ENGINE_OPENBLAS, 3);
}

static void test_reference(void **state)
{
	(void)state;
	need_counting();
	check_step(ENGINE_REFERENCE, 1);
}

static void test_onednn(void **state)
{
	struct errmsg err;

	(void)state;
	need_counting();
	if (!engine_usable(ENGINE_ONEDNN, &err))
		skip();
	check_step(ENGINE_ONEDNN, 1);
	check_step(ENGINE_ONEDNN, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_openblas),
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_onednn),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/memory", tests, NULL, NULL);
}
