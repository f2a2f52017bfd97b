/* Steps and updates: known answers that test/functional/consensus/tiny_step.py computes, and every way to fail. */
#include <fenv.h>
#include <math.h>

#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/course.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/selftest.h"
#include "ml/update.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

static const struct train_config tiny = {
	.model = { .d = 64, .layers = 1, .heads = 2, .ff = 48, .ctx = 32 },
	.batch = 2,
	.iterations = 2,
	.lr_ppm = 2000,
	.wd_ppm = 10000,
	.mu_ppm = 900000,
	.eta_ppm = 700000,
	.gate_ppm = 1050000,
	.bench_rows = 2,
};

enum { DATASET = 1000, TRAINING = 600, PROOFS = 2 };

/* What most tests start from: the state, and two executed proofs. */
struct fixture {
	struct backend *backend;
	struct state *initial;
	uint8_t dataset[DATASET];
	uint8_t seeds[PROOFS][32];
	uint8_t *windows[PROOFS], *deltas[PROOFS];
	uint8_t ticket[32], *benchmark_windows;
	struct benchmark *benchmark;
	struct update_proof proofs[PROOFS];
};

/* H(text | name | byte i), without the byte if i is negative. */
static void hash_name(uint8_t out[32], const char *text, int i)
{
	uint8_t bytes[64];
	size_t size = strlen(text);

	memcpy(bytes, text, size);
	if (i >= 0)
		bytes[size++] = (uint8_t)i;
	sha256(out, bytes, size);
}

static enum step_result execute(struct backend *s, const struct fixture *f, int proof, uint8_t *delta)
{
	struct step_job job = { .state = f->initial, .seed = f->seeds[proof], .windows = f->windows[proof] };

	return backend_execute(s, &job, delta);
}

static int set_up(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof *f);
	const struct course course = { .train = tiny };
	const struct course_data data = course_data_in_memory(f->dataset, TRAINING);
	uint8_t key[32];

	for (int i = 0; i < DATASET; i++)
		f->dataset[i] = (uint8_t)(i * 7 + i / 11 * 3);
	hash_name(key, "atelier initial statetiny", -1);
	f->initial = state_new_initial(&tiny.model, key);
	f->backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	hash_name(f->ticket, "tiny ticket", -1);
	for (int i = 0; i < PROOFS; i++) {
		hash_name(f->seeds[i], "atelier digesttiny", i);
		f->windows[i] = mem_alloc(step_windows_size(&tiny));
		f->deltas[i] = mem_alloc(step_delta_size(&tiny));
		assert_true(course_gather_step(&course, f->ticket, f->seeds[i], noise_slot(f->seeds[i], 2), &data,
			f->windows[i]));
		assert_int_equal(execute(f->backend, f, i, f->deltas[i]), STEP_OK);
		f->proofs[i] = (struct update_proof){ f->deltas[i], noise_slot(f->seeds[i], 2) };
	}
	f->benchmark_windows = mem_alloc(tiny.bench_rows * (tiny.model.ctx + 1));
	noise_gather(f->ticket, NOISE_BENCHMARK, tiny.bench_rows, f->dataset + TRAINING, DATASET - TRAINING,
		tiny.model.ctx, f->benchmark_windows);
	f->benchmark = benchmark_new(f->backend, f->initial, f->benchmark_windows, f->ticket, NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < PROOFS; i++) {
		free(f->windows[i]);
		free(f->deltas[i]);
	}
	free(f->benchmark_windows);
	benchmark_unref(f->benchmark);
	state_unref(f->initial);
	backend_free(f->backend);
	free(f);
	return 0;
}

static struct update_job update_job(const struct fixture *f)
{
	return (struct update_job){
		.parent = f->initial,
		.benchmark = f->benchmark,
		.windows = f->benchmark_windows,
		.proofs = f->proofs,
		.proof_count = PROOFS,
		.slots = 2,
		.v_ref = INT64_C(1) << 47,
	};
}

/* ---- Known answers ---- */

/* The answer to `name` in test/data/digests.txt. */
static void known_answer(const char *name, char answer[100])
{
	const char *folder = getenv("ATELIER_SRCDIR");
	char path[512], line[200], found[100];
	FILE *file;

	snprintf(path, sizeof path, "%s/test/data/digests.txt", folder != NULL ? folder : ".");
	file = fopen(path, "r");
	if (file == NULL)
		skip();
	answer[0] = 0;
	while (fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "%99s %99s", found, answer) == 2 && strcmp(found, name) == 0)
			break;
		else
			answer[0] = 0;
	fclose(file);
}

static void assert_answer(const char *name, const uint8_t digest[32])
{
	char found[65], known[100];

	hex_encode(found, digest, 32);
	known_answer(name, known);
	assert_string_equal(found, known);
}

static void assert_values(const char *name, const struct update_outcome *outcome)
{
	char found[100], known[100];

	snprintf(found, sizeof found, "%lld,%lld,%lld,%lld", (long long)outcome->slots[0].effect,
		(long long)outcome->slots[1].effect, (long long)outcome->slots[0].value,
		(long long)outcome->slots[1].value);
	known_answer(name, known);
	assert_string_equal(found, known);
}

/* The same change with every sign reversed. */
static uint8_t *turned_around(const uint8_t *delta)
{
	uint8_t *out = mem_dup(delta, step_delta_size(&tiny));

	for (size_t i = 0; i < step_delta_size(&tiny); i++)
		if (i % DELTA_BLOCK_SIZE != 0)
			out[i] = (uint8_t)-out[i];
	return out;
}

/* Digest of proof 0's step from a state whose gradient is too small to be clipped: gains of a quarter before
 * the head. */
static void quiet_step(const struct fixture *f, uint8_t digest[32])
{
	size_t n = model_count(&tiny.model), d = tiny.model.d;
	float *theta = mem_dup(state_theta(f->initial), n * sizeof(float));

	for (size_t i = 0; i < d; i++)
		theta[n - 257 * d + i] = 0.25f;
	struct state *quiet = state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));
	struct step_job job = { .state = quiet, .seed = f->seeds[0], .windows = f->windows[0] };
	uint8_t *delta = mem_alloc(step_delta_size(&tiny));

	assert_int_equal(backend_execute(f->backend, &job, delta), STEP_OK);
	sha256(digest, delta, step_delta_size(&tiny));
	state_unref(quiet);
	free(delta);
}

static void test_known_answers(void **state)
{
	struct fixture *f = *state;
	struct update_job job = update_job(f);
	struct update_outcome outcome;
	uint8_t digest[32];

	assert_answer("tiny-initial", state_root(f->initial));
	sha256(digest, f->deltas[0], step_delta_size(&tiny));
	assert_answer("tiny-step", digest);
	quiet_step(f, digest);
	assert_answer("tiny-quiet-step", digest);

	struct state *next = update_execute(f->backend, &job, &outcome);

	assert_false(outcome.is_void);
	assert_answer("tiny-update", state_root(next));
	assert_values("tiny-values", &outcome);
	assert_true(outcome.loss_after < outcome.loss_before);
	state_unref(next);
}

/* An update from a state with momentum, and with a slot of harmful work: both deltas turned around. */
struct harmful {
	struct state *parent;
	uint8_t *deltas[2];
	struct update_proof proofs[4];
	struct update_job job;
};

static void harmful_init(struct harmful *h, const struct fixture *f)
{
	struct update_outcome outcome;

	h->job = update_job(f);
	h->parent = update_execute(f->backend, &h->job, &outcome);
	for (int i = 0; i < 2; i++)
		h->deltas[i] = turned_around(f->deltas[i]);
	h->proofs[0] = (struct update_proof){ f->deltas[1], 0 };
	h->proofs[1] = (struct update_proof){ h->deltas[0], 1 };
	h->proofs[2] = (struct update_proof){ f->deltas[0], 0 };
	h->proofs[3] = (struct update_proof){ h->deltas[1], 1 };
	h->job.parent = h->parent;
	h->job.benchmark = benchmark_new(f->backend, h->parent, f->benchmark_windows, f->ticket, NULL);
	h->job.proofs = h->proofs;
	h->job.proof_count = 4;
	h->job.v_ref = 1;
}

static void harmful_clear(struct harmful *h)
{
	state_unref(h->parent);
	benchmark_unref(h->job.benchmark);
	for (int i = 0; i < 2; i++)
		free(h->deltas[i]);
}

/* Harmful work is left out, and a replay needs the outcome alone to come to the same. */
static void test_known_left_out(void **state)
{
	struct fixture *f = *state;
	struct update_outcome outcome;
	struct harmful h;

	harmful_init(&h, f);
	struct state *last = update_execute(f->backend, &h.job, &outcome);

	assert_false(outcome.is_void);
	assert_int_equal(outcome.slots[0].state, UPDATE_USED);
	assert_int_equal(outcome.slots[0].count, 2);
	assert_int_equal(outcome.slots[1].state, UPDATE_LEFT_OUT);
	assert_int_equal(outcome.slots[1].count, 2);
	assert_answer("tiny-left-out", state_root(last));
	assert_values("tiny-left-out-values", &outcome);

	struct state *replayed = update_replay(&tiny, &h.job, &outcome);

	assert_memory_equal(state_root(replayed), state_root(last), 32);
	state_unref(replayed);
	state_unref(last);
	harmful_clear(&h);
}

/* A state that knows which byte follows in data that count: it is paid for what it learns of their own page. */
static struct state *counting_state(void)
{
	size_t n = model_count(&tiny.model), d = tiny.model.d;
	float *theta = mem_calloc(n, sizeof(float));
	struct model_tensor tensor;

	for (size_t i = 0; i < model_tensors(&tiny.model); i++) {
		model_tensor(&tiny.model, i, &tensor);
		for (size_t j = 0; tensor.kind == MODEL_NORM && j < tensor.cols; j++)
			theta[tensor.offset + j] = 1;
	}
	for (size_t byte = 0; byte < 64; byte++) {
		theta[byte * d + byte] = 1;
		theta[n - 256 * d + byte * d + (byte + 63) % 64] = 0.5f;
	}
	return state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));
}

static void test_known_pages(void **state)
{
	enum { SIZE = COURSE_CHUNK + 500 };
	struct fixture *f = *state;
	const struct course course = { .train = tiny };
	uint8_t *counts = mem_alloc(SIZE), *deltas[PROOFS], *windows = mem_alloc(step_windows_size(&tiny)),
		*reserved = mem_alloc(tiny.bench_rows * (tiny.model.ctx + 1));
	const struct course_data data = course_data_in_memory(counts, SIZE);
	struct state *parent = counting_state(), *next;
	struct update_job job = update_job(f);
	struct update_proof proofs[PROOFS];
	struct course_own own[2] = { { NULL, 0 } };
	struct update_outcome outcome;

	for (size_t i = 0; i < SIZE; i++)
		counts[i] = i % 64;
	for (int i = 0; i < PROOFS; i++) {
		struct step_job step = { .state = parent, .seed = f->seeds[i], .windows = windows };

		deltas[i] = mem_alloc(step_delta_size(&tiny));
		assert_true(course_gather_step(&course, f->ticket, f->seeds[i], noise_slot(f->seeds[i], 2), &data,
			windows));
		assert_int_equal(backend_execute(f->backend, &step, deltas[i]), STEP_OK);
		proofs[i] = (struct update_proof){ deltas[i], f->proofs[i].slot };
		assert_true(course_gather_own(&course, f->ticket, (uint32_t)i, &data, &own[i]));
		assert_true(fabsf(own[i].entropy - logf(64)) < 1e-5f);
	}
	noise_gather(f->ticket, NOISE_BENCHMARK, tiny.bench_rows, counts, 400, tiny.model.ctx, reserved);
	job.parent = parent;
	job.benchmark = benchmark_new(f->backend, parent, reserved, f->ticket, NULL);
	job.windows = reserved;
	job.own = own;
	job.proofs = proofs;
	next = update_execute(f->backend, &job, &outcome);
	assert_false(outcome.is_void);
	for (int i = 0; i < 2; i++)
		assert_true(outcome.slots[i].known && outcome.slots[i].value > 0);
	assert_answer("tiny-known", state_root(next));
	assert_values("tiny-known-values", &outcome);
	for (int i = 0; i < PROOFS; i++) {
		free(deltas[i]);
		free(own[i].windows);
	}
	free(counts);
	free(windows);
	free(reserved);
	benchmark_unref(job.benchmark);
	state_unref(parent);
	state_unref(next);
}

/* A threshold that the effect does not fall below keeps the slot. */
static void test_harmful_kept(void **state)
{
	struct fixture *f = *state;
	struct update_outcome outcome;
	struct harmful h;
	struct state *last, *replayed;

	harmful_init(&h, f);
	h.job.v_ref = INT64_C(1) << 47;
	last = update_execute(f->backend, &h.job, &outcome);
	assert_int_equal(outcome.slots[1].state, UPDATE_USED);
	state_unref(last);
	h.job.v_ref = -outcome.slots[1].effect;
	last = update_execute(f->backend, &h.job, &outcome);
	assert_int_equal(outcome.slots[1].state, UPDATE_USED);
	replayed = update_replay(&tiny, &h.job, &outcome);
	assert_memory_equal(state_root(replayed), state_root(last), 32);
	state_unref(replayed);
	state_unref(last);
	harmful_clear(&h);
}

/* Whoever has most of a slot's proofs, or all of them, moves the model by no more than the slot's part, and is measured
 * by their mean: fifteen proofs do there what one does. */
static void test_majority_of_a_slot(void **state)
{
	enum { MANY = 15 };
	struct fixture *f = *state;
	struct update_proof proofs[1 + MANY] = { { f->deltas[1], 1 } };
	struct update_job job = update_job(f);
	struct update_outcome even, crowded;
	struct state *one, *many;

	for (int i = 1; i <= MANY; i++)
		proofs[i] = (struct update_proof){ f->deltas[0], 0 };
	job.proofs = proofs;
	job.proof_count = 2;
	one = update_execute(f->backend, &job, &even);
	job.proof_count = 1 + MANY;
	many = update_execute(f->backend, &job, &crowded);
	assert_false(even.is_void || crowded.is_void);
	assert_int_equal(crowded.slots[0].count, MANY);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(crowded.slots[i].state, UPDATE_USED);
		assert_true(crowded.slots[i].effect == even.slots[i].effect);
	}
	assert_memory_equal(state_root(many), state_root(one), 32);
	state_unref(one);
	state_unref(many);
}

static void test_engines_agree(void **state)
{
	struct fixture *f = *state;
	struct backend *plain = backend_new(backend_cpu(ENGINE_REFERENCE), &tiny, 1);
	uint8_t *delta = mem_alloc(step_delta_size(&tiny));

	assert_int_equal(execute(plain, f, 0, delta), STEP_OK);
	assert_memory_equal(delta, f->deltas[0], step_delta_size(&tiny));
	backend_free(plain);
	free(delta);
}

/* A model large enough that threads share its steps. */
static void test_shared_step(void **state)
{
	static const struct train_config large = {
		.model = { .d = 64, .layers = 2, .heads = 2, .ff = 96, .ctx = 256 },
		.batch = 5,
		.iterations = 2,
		.lr_ppm = 500,
		.wd_ppm = 10000,
		.bench_rows = 1,
	};
	static const uint8_t seed[32] = { 3 };
	size_t size = step_delta_size(&large);
	uint8_t *windows = mem_calloc(1, step_windows_size(&large)), *deltas[2] = { mem_alloc(size), mem_alloc(size) };
	struct state *initial = state_new_initial(&large.model, seed);
	struct step_job job = { .state = initial, .seed = seed, .windows = windows };

	(void)state;
	for (size_t i = 0; i < step_windows_size(&large); i++)
		windows[i] = (uint8_t)(i * i % 251);
	assert_true(backend_memory(backend_cpu(ENGINE_OPENBLAS), &large, 3) >
		backend_memory(backend_cpu(ENGINE_OPENBLAS), &large, 1));
	assert_int_equal(backend_memory(backend_cpu(ENGINE_OPENBLAS), &tiny, 3),
		backend_memory(backend_cpu(ENGINE_OPENBLAS), &tiny, 1));
	/* Who asks for a step's threads asks for no more than work on it. */
	assert_int_equal(backend_threads(backend_cpu(ENGINE_OPENBLAS), &large, 3), 3);
	assert_int_equal(backend_threads(backend_cpu(ENGINE_OPENBLAS), &tiny, 3), 1);
	for (unsigned i = 0; i < 2; i++) {
		struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &large, 1 + 2 * i);

		assert_int_equal(backend_execute(backend, &job, deltas[i]), STEP_OK);
		backend_free(backend);
	}
	assert_memory_equal(deltas[0], deltas[1], size);
	free(windows);
	free(deltas[0]);
	free(deltas[1]);
	state_unref(initial);
}

/* ---- How a step ends ---- */

static void count_progress(void *context, uint32_t done, float loss)
{
	*(uint32_t *)context += done;
	assert_true(loss > 1 && loss < 10);
}

static void test_step_reuse(void **state)
{
	struct fixture *f = *state;
	uint8_t *delta = mem_alloc(step_delta_size(&tiny));
	uint32_t told = 0;
	struct step_job job = {
		.state = f->initial,
		.seed = f->seeds[1],
		.windows = f->windows[1],
		.progress = count_progress,
		.progress_context = &told,
	};

	/* The workspace has run other steps: nothing of them may be left. The mode of the thread is put right. */
	fesetround(FE_UPWARD);
	assert_int_equal(backend_execute(f->backend, &job, delta), STEP_OK);
	assert_int_equal(fegetround(), FE_TONEAREST);
	assert_memory_equal(delta, f->deltas[1], step_delta_size(&tiny));
	assert_int_equal(told, 1 + 2);
	assert_true(delta_check(delta, step_delta_size(&tiny), model_count(&tiny.model)));
	free(delta);
}

/* The initial state with one parameter changed. */
static struct state *changed_state(const struct fixture *f, size_t index, float value)
{
	size_t n = model_count(&tiny.model);
	float *theta = mem_dup(state_theta(f->initial), n * sizeof(float));

	theta[index] = value;
	return state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));
}

static enum step_result execute_changed(struct fixture *f, const struct train_config *config, size_t index, float value)
{
	struct state *s = changed_state(f, index, value);
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), config, 1);
	uint8_t *delta = mem_alloc(step_delta_size(config));
	struct step_job job = { .state = s, .seed = f->seeds[0], .windows = f->windows[0] };
	enum step_result result = backend_execute(backend, &job, delta);

	backend_free(backend);
	state_unref(s);
	free(delta);
	return result;
}

/* A row of the embedding whose byte is in no window: only the last check, or the delta code, can see it. */
static size_t unused_row(const struct fixture *f)
{
	for (size_t byte = 0;; byte++) {
		bool used = false;

		for (size_t i = 0; i < step_windows_size(&tiny); i++)
			used |= f->windows[0][i] == byte;
		if (!used)
			return byte * tiny.model.d;
	}
}

static void test_step_failures(void **state)
{
	struct fixture *f = *state;
	struct train_config fast = tiny;
	size_t n = model_count(&tiny.model);

	assert_int_equal(execute_changed(f, &tiny, 0, state_theta(f->initial)[0]), STEP_OK);
	/* A quantiser refuses. */
	assert_int_equal(execute_changed(f, &tiny, n - 1, 0x1p60f), STEP_FAILED);
	/* A final weight that is not finite, out of sight of everything else. */
	assert_int_equal(execute_changed(f, &tiny, unused_row(f), INFINITY), STEP_FAILED);
	/* Every weight is finite, but a change does not fit the delta code: an iteration moves a weight by about lr. */
	fast.lr_ppm = (1 << 24) - 1;
	fast.iterations = 1;
	assert_int_equal(execute_changed(f, &fast, 0, 0), STEP_OK);
	fast.wd_ppm = (1 << 24) - 1;
	assert_int_equal(execute_changed(f, &fast, n - 1, 1.0f), STEP_FAILED);
}

static void test_step_cancel(void **state)
{
	struct fixture *f = *state;
	atomic_bool cancel = true;
	uint8_t *delta = mem_alloc(step_delta_size(&tiny));
	struct step_job job = { .state = f->initial, .seed = f->seeds[0], .windows = f->windows[0], .cancel = &cancel };
	struct update_job update = update_job(f);
	struct update_outcome outcome;

	assert_int_equal(backend_execute(f->backend, &job, delta), STEP_CANCELLED);
	assert_null(benchmark_new(f->backend, f->initial, f->benchmark_windows, f->ticket, &cancel));
	update.cancel = &cancel;
	assert_null(update_execute(f->backend, &update, &outcome));
	cancel = false;
	assert_int_equal(backend_execute(f->backend, &job, delta), STEP_OK);
	free(delta);
}

/* ---- How a block is void ---- */

static void assert_void(struct backend *backend, const struct update_job *job)
{
	size_t n = model_count(&tiny.model);
	struct update_outcome outcome;
	struct state *next = update_execute(backend, job, &outcome), *replayed;

	assert_true(outcome.is_void);
	assert_int_equal(outcome.slots[0].count + outcome.slots[1].count, job->proof_count);
	assert_memory_equal(state_theta(next), state_theta(job->parent), n * sizeof(float));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(float_bits(state_momentum(next)[i]),
			float_bits(0.9f * state_momentum(job->parent)[i]));
	replayed = update_replay(&tiny, job, &outcome);
	assert_memory_equal(state_root(replayed), state_root(next), 32);
	state_unref(replayed);
	state_unref(next);
}

static void test_void_by_gate(void **state)
{
	struct fixture *f = *state;
	struct train_config strict = tiny;
	struct update_job job = update_job(f);

	strict.gate_ppm = 1;
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &strict, 1);

	assert_void(backend, &job);
	backend_free(backend);
}

/* A momentum is slowed down, as if the block had been there without training anything. */
static void test_void_with_momentum(void **state)
{
	struct fixture *f = *state;
	struct train_config strict = tiny;
	struct harmful h;

	strict.gate_ppm = 1;
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &strict, 1);

	harmful_init(&h, f);
	assert_void(backend, &h.job);
	harmful_clear(&h);
	backend_free(backend);
}

/* In a chain with rounds momentum belongs to merges: a block leaves v as it is, be it void or not, and moves theta as
 * where mu is 0: by eta * U alone. */
static void test_rounds_have_the_momentum(void **state)
{
	struct fixture *f = *state;
	struct train_config rounds = tiny, still = tiny;
	size_t n = model_count(&tiny.model);
	struct update_outcome outcome;
	struct harmful h;

	harmful_init(&h, f);
	h.job.v_ref = INT64_C(1) << 47;
	h.job.proof_count = 1; /* all four cancel out */
	rounds.segments = rounds.segment = 2;
	still.mu_ppm = 0;
	for (int is_void = 0; is_void < 2; is_void++) {
		rounds.gate_ppm = is_void ? 1 : tiny.gate_ppm;
		struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &rounds, 1);
		struct state *next = update_execute(backend, &h.job, &outcome),
			     *replayed = update_replay(&rounds, &h.job, &outcome),
			     *moved = update_replay(&still, &h.job, &outcome);

		assert_int_equal(outcome.is_void, is_void);
		assert_memory_equal(state_momentum(next), state_momentum(h.parent), n * sizeof(float));
		assert_memory_equal(state_theta(next), state_theta(moved), n * sizeof(float));
		assert_int_equal(is_void, memcmp(state_theta(next), state_theta(h.parent), n * sizeof(float)) == 0);
		assert_memory_equal(state_root(replayed), state_root(next), 32);
		state_unref(next);
		state_unref(replayed);
		state_unref(moved);
		backend_free(backend);
	}
	harmful_clear(&h);
}

/* Where all slots are left out the update is +0: the momentum alone moves the model, and the block is not void. */
static void test_none_used(void **state)
{
	struct fixture *f = *state;
	size_t n = model_count(&tiny.model);
	struct update_outcome outcome;
	struct harmful h;

	harmful_init(&h, f);
	h.job.proofs = h.proofs + 1;
	h.job.proof_count = 1;
	struct state *next = update_execute(f->backend, &h.job, &outcome),
		     *replayed = update_replay(&tiny, &h.job, &outcome);

	assert_false(outcome.is_void);
	assert_int_equal(outcome.slots[1].state, UPDATE_LEFT_OUT);
	for (size_t i = 0; i < n; i++) {
		float v = 0.9f * state_momentum(h.parent)[i] + 0.0f;

		assert_true(state_momentum(next)[i] == v);
		assert_true(state_theta(next)[i] == state_theta(h.parent)[i] + 0.7f * (0.0f + 0.9f * v));
	}
	assert_memory_equal(state_root(replayed), state_root(next), 32);
	state_unref(replayed);
	state_unref(next);
	harmful_clear(&h);
}

/* A well-formed delta can hold changes that no model survives. */
static void test_void_by_overflow(void **state)
{
	struct fixture *f = *state;
	struct update_job job = update_job(f);
	struct state *broken = changed_state(f, model_count(&tiny.model) - 1, 0x1p60f);

	job.parent = broken;
	job.benchmark = benchmark_new(f->backend, broken, f->benchmark_windows, f->ticket, NULL);
	assert_void(f->backend, &job);
	/* Only the parent's benchmark fails. */
	job.parent = f->initial;
	assert_void(f->backend, &job);
	/* Only the proposal fails: the benchmark is that of a state that does not. */
	benchmark_unref(job.benchmark);
	job.parent = broken;
	job.benchmark = f->benchmark;
	assert_void(f->backend, &job);
	state_unref(broken);
	/* And only a value of the result that no window reads. */
	size_t row = 0;

	for (bool used = true; used; row += used) {
		used = false;
		for (size_t i = 0; i < tiny.bench_rows * (tiny.model.ctx + 1); i++)
			used |= f->benchmark_windows[i] == row;
	}
	broken = changed_state(f, row * tiny.model.d, NAN);
	job.parent = broken;
	struct update_outcome outcome;
	struct state *next = update_execute(f->backend, &job, &outcome);

	assert_true(outcome.is_void);
	state_unref(next);
	state_unref(broken);
}

/* ---- Limits, and the check at start ---- */

static void test_config_limits(void **state)
{
	struct train_config c = tiny;

	(void)state;
	assert_null(course_check(&c));
#define REJECT(field, value) (c.field = (value), assert_non_null(course_check(&c)), c.field = tiny.field)
	REJECT(batch, 0);
	REJECT(batch, 1025);
	REJECT(iterations, 0);
	REJECT(iterations, 1025);
	REJECT(bench_rows, 0);
	REJECT(bench_rows, 1025);
	REJECT(lr_ppm, 0);
	REJECT(lr_ppm, 1 << 24);
	REJECT(wd_ppm, 1 << 24);
	REJECT(mu_ppm, 1 << 24);
	REJECT(eta_ppm, 1 << 24);
	REJECT(gate_ppm, 1 << 24);
	REJECT(model.d, 33);
#undef REJECT
	assert_int_equal(step_windows_size(&tiny), 2 * 2 * 33);
	assert_int_equal(step_delta_size(&tiny), delta_size(model_count(&tiny.model)));
}

static void test_selftest(void **state)
{
	struct errmsg err;

	(void)state;
	assert_true(selftest_run(backend_cpu(ENGINE_OPENBLAS), &err));
	assert_true(selftest_run(backend_cpu(ENGINE_REFERENCE), &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_known_left_out),
		cmocka_unit_test(test_known_pages),
		cmocka_unit_test(test_harmful_kept),
		cmocka_unit_test(test_majority_of_a_slot),
		cmocka_unit_test(test_engines_agree),
		cmocka_unit_test(test_step_reuse),
		cmocka_unit_test(test_step_failures),
		cmocka_unit_test(test_step_cancel),
		cmocka_unit_test(test_void_by_gate),
		cmocka_unit_test(test_void_with_momentum),
		cmocka_unit_test(test_rounds_have_the_momentum),
		cmocka_unit_test(test_none_used),
		cmocka_unit_test(test_void_by_overflow),
		cmocka_unit_test(test_config_limits),
		cmocka_unit_test(test_selftest),
		cmocka_unit_test(test_shared_step),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/step", tests, set_up, tear_down);
}
