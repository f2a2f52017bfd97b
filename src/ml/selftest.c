/* The start-up check: everything that must be the same everywhere, in one digest; and the choice of who computes. */
#include "ml/selftest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/probe.h"
#include "ml/merge.h"
#include "ml/profile.h"
#include "ml/update.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/queue.h"

/* What an exact engine gives, found with the plain C one. */
static const char selftest_digest[] = "9e304850804c723ed65aa187fb9d4172e3b6a6b33c9ef19f4367e0b705d86706";

static const uint8_t selftest_key[32] = "atelier start-up check";

static const struct train_config selftest_config = {
	.model = { .d = 48, .layers = 1, .heads = 3, .ff = 80, .ctx = 48 },
	.batch = 3,
	.iterations = 2,
	.lr_ppm = 5000,
	.wd_ppm = 10000,
	.bench_rows = 2,
	.mu_ppm = 900000,
	.eta_ppm = 700000,
	.gate_ppm = 2000000,
};

static void selftest_gather(enum noise_domain domain, size_t count, uint8_t *windows)
{
	uint8_t dataset[256];

	for (size_t i = 0; i < sizeof dataset; i++)
		dataset[i] = (uint8_t)(i * i);
	noise_gather(selftest_key, domain, count, dataset, sizeof dataset, selftest_config.model.ctx, windows);
}

/* The state after a block of this one proof; takes the reference to its parent. All that nodes compare: effect, value,
 * losses, root. Windows of own pages are drawn as a slot's are, their entropy so that they are known. */
static struct state *selftest_block(struct backend *backend, struct state *parent, const uint8_t *delta,
	struct sha256 *hash)
{
	uint8_t *windows = mem_alloc((size_t)selftest_config.bench_rows * (selftest_config.model.ctx + 1)), values[16];
	struct course_own own = { mem_alloc(course_own_rows(&selftest_config) * (selftest_config.model.ctx + 1)),
		8.0f };
	struct update_proof proof = { .delta = delta };
	struct update_outcome outcome;

	selftest_gather(NOISE_BENCHMARK, selftest_config.bench_rows, windows);
	selftest_gather(NOISE_WINDOW, course_own_rows(&selftest_config), own.windows);
	struct benchmark *benchmark = benchmark_new(backend, parent, windows, selftest_key, NULL);
	struct update_job job = {
		.parent = parent,
		.benchmark = benchmark,
		.windows = windows,
		.own = &own,
		.proofs = &proof,
		.proof_count = 1,
		.slots = 1,
		.v_ref = INT64_MAX,
	};
	struct state *next = update_execute(backend, &job, &outcome);

	write_le64(values, (uint64_t)outcome.slots[0].effect);
	write_le64(values + 8, (uint64_t)outcome.slots[0].value);
	sha256_update(hash, values, sizeof values);
	probe_floats(&outcome.loss_before, 1, hash);
	probe_floats(&outcome.loss_after, 1, hash);
	sha256_update(hash, state_root(next), 32);
	benchmark_unref(benchmark);
	state_unref(parent);
	free(windows);
	free(own.windows);
	return next;
}

/* A segment that goes on from what the step changed, and the merge of both: what rounds compute. The windows of the
 * step are those of the segment, too. */
static void selftest_merge(struct backend *backend, const struct state *state, const uint8_t *windows,
	const uint8_t *delta, struct sha256 *hash)
{
	uint8_t *code = mem_alloc(step_delta_size(&selftest_config));
	struct step_job job = { .state = state,
		.start = delta,
		.iterations = 1,
		.seed = selftest_key,
		.windows = windows };
	const size_t rows = (size_t)COURSE_MERGE_ROWS * selftest_config.bench_rows;
	uint8_t *merge_windows = mem_alloc(rows * (selftest_config.model.ctx + 1));
	struct merge_run runs[] = { { .code = delta, .length = 1 }, { .code = code, .length = 2 } };
	struct merge_outcome outcome;

	selftest_gather(NOISE_BENCHMARK, rows, merge_windows);
	if (backend_execute(backend, &job, code) == STEP_OK) {
		struct state *merged = merge_execute(backend, state, merge_windows, runs, 2, NULL, &outcome);

		sha256_update(hash, code, step_delta_size(&selftest_config));
		probe_floats(&outcome.loss_before, 1, hash);
		probe_floats(&outcome.loss_after, 1, hash);
		sha256_update(hash, state_root(merged), 32);
		state_unref(merged);
	}
	free(merge_windows);
	free(code);
}

/* A step of a small model of odd shape, and two blocks of it: in the second there is momentum. A step that fails feeds
 * nothing, and the digest differs by that. */
static void selftest_step(const struct backend_kind *kind, struct sha256 *hash)
{
	struct state *state = state_new_initial(&selftest_config.model, selftest_key);
	struct backend *backend = backend_new(kind, &selftest_config, 1);
	uint8_t *windows = mem_alloc(step_windows_size(&selftest_config)),
		*delta = mem_alloc(step_delta_size(&selftest_config));
	struct step_job job = { .state = state, .seed = selftest_key, .windows = windows };

	selftest_gather(NOISE_WINDOW, (size_t)selftest_config.iterations * selftest_config.batch, windows);
	if (backend_execute(backend, &job, delta) == STEP_OK) {
		sha256_update(hash, delta, step_delta_size(&selftest_config));
		for (int block = 0; block < 2; block++)
			state = selftest_block(backend, state, delta, hash);
		selftest_merge(backend, state, windows, delta, hash);
	}
	state_unref(state);
	backend_free(backend);
	free(windows);
	free(delta);
}

bool selftest_run(const struct backend_kind *kind, struct errmsg *err)
{
	struct sha256 hash;
	uint8_t digest[32];
	char digest_text[65];

	if (!backend_usable(kind, err))
		return false;
	sha256_init(&hash);
	backend_probe(kind, &hash);
	selftest_step(kind, &hash);
	sha256_final(&hash, digest);
	hex_encode(digest_text, digest, sizeof digest);
	if (strcmp(digest_text, selftest_digest) != 0)
		return errmsg_set(err,
			"this build or machine computes other bits than it should: check digest %s, "
			"expected %s",
			digest_text, selftest_digest);
	return true;
}

/* A flood of false proofs asks for this as often as it likes: the check's tens of milliseconds are spent once in a
 * while, and all who ask in between wait for it or are told what it found. The lock is held meanwhile on purpose: two
 * threads in doubt need one answer. And so the check must not pause for a more urgent job, which may be in doubt too.
 */
bool selftest_again(const struct backend_kind *kind, struct errmsg *err)
{
	static pthread_mutex_t selftest_lock = PTHREAD_MUTEX_INITIALIZER;
	static int64_t selftest_next; /* both guarded by selftest_lock */
	static bool selftest_passed;
	bool result;

	queue_hold(true);
	pthread_mutex_lock(&selftest_lock);
	if (clock_mono_ms() >= selftest_next) {
		selftest_passed = selftest_run(kind, err);
		selftest_next = clock_mono_ms() + SELFTEST_PAUSE_MS;
	} else if (!selftest_passed) {
		errmsg_set(err, "it failed its check a moment ago");
	}
	result = selftest_passed;
	pthread_mutex_unlock(&selftest_lock);
	queue_hold(false);
	return result;
}

/* ---- The choice of a kind ---- */

/* Nanoseconds of a gradient of a small model, the better of two. In the first round a library still makes its threads
 * and buffers. */
static int64_t selftest_time(const struct backend_kind *kind)
{
	const struct train_config timed = {
		.model = { .d = 128, .layers = 1, .heads = 4, .ff = 256, .ctx = 128 },
		.batch = 4,
	};
	struct state *state = state_new_initial(&timed.model, selftest_key);
	struct backend *backend = backend_new(kind, &timed, 1);
	float *gradient = mem_align(model_count(&timed.model) * sizeof(float)), loss;
	uint8_t windows[4 * (128 + 1)] = { 0 };
	const struct backend_batch batch = { .state = state, .windows = windows, .rows = timed.batch };
	int64_t best_time = INT64_MAX;

	for (int round = 0; round < 2; round++) {
		struct profile profile = { 0 };

		profile_begin(&profile);
		backend_gradient(backend, &batch, (struct pass_dither){ selftest_key, 0 }, gradient, &loss);
		profile_count(&profile, PROFILE_PRODUCT);
		best_time = profile.nanoseconds[PROFILE_PRODUCT] < best_time ? profile.nanoseconds[PROFILE_PRODUCT] :
									       best_time;
	}
	free(gradient);
	backend_free(backend);
	state_unref(state);
	return best_time;
}

/* Only what passes the check is a candidate, so no speed buys a wrong bit. The reference is asked for by name alone: it
 * is slow enough to make a node useless for mining. */
static bool selftest_choose_fastest(const struct backend_kind **kind, struct errmsg *err)
{
	static const enum engine candidates[] = { ENGINE_OPENBLAS, ENGINE_ONEDNN };
	int64_t best_time = INT64_MAX;

	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		const struct backend_kind *candidate = backend_cpu(candidates[i]);
		int64_t time = selftest_run(candidate, err) ? selftest_time(candidate) : INT64_MAX;

		if (time < best_time) {
			best_time = time;
			*kind = candidate;
		}
	}
	return best_time < INT64_MAX;
}

bool selftest_choose(const char *name, const struct backend_kind **kind, struct errmsg *err)
{
	static const enum engine exact[] = { ENGINE_OPENBLAS, ENGINE_ONEDNN, ENGINE_REFERENCE };

	if (strcmp(name, "auto") == 0)
		return selftest_choose_fastest(kind, err);
	for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
		*kind = backend_cpu(exact[i]);
		if (strcmp(name, (*kind)->name) == 0)
			return selftest_run(*kind, err);
	}
	return errmsg_set(err, "the engine is openblas, onednn, reference or auto, not %.40s", name);
}
