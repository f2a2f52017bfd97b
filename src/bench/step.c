/* What measured steps start from, their digests, and iterations in turns on several engines. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/bench.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/files/tensorfile.h"
#include "util/bytes.h"
#include "util/mem.h"

/* === What steps start from === */

uint8_t *bench_windows(const struct spec *spec, const uint8_t seed[32])
{
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(spec)->train));
	size_t size;
	const uint8_t *training = course_training(spec_course(spec), &size);
	const struct course_data data = course_data_in_memory(training, size);

	course_gather_step(spec_course(spec), seed, seed, spec_slot(spec, seed), &data, windows);
	return windows;
}

void bench_seed(const struct spec *spec, uint8_t seed[32])
{
	char name[64];
	int length = snprintf(name, sizeof name, "atelier digest%s", spec->name);

	sha256(seed, (const uint8_t *)name, (size_t)length);
}

bool bench_digest(struct bench *bench)
{
	uint8_t seed[32], digest[32], *delta = mem_alloc(step_delta_size(&spec_course(&bench->spec)->train));
	char text[65];

	bench_seed(&bench->spec, seed);
	struct state *state = spec_initial_state(&bench->spec);
	struct backend *backend = backend_new(bench->kind, &spec_course(&bench->spec)->train, bench->threads);
	uint8_t *windows = bench_windows(&bench->spec, seed);
	struct step_job job = { .state = state, .seed = seed, .windows = windows };
	bool ok = backend_execute(backend, &job, delta) == STEP_OK;

	if (ok) {
		sha256(digest, delta, step_delta_size(&spec_course(&bench->spec)->train));
		hex_encode(text, digest, sizeof digest);
		printf("%s %s\n", bench->chain, text);
		fflush(stdout);
	}
	backend_free(backend);
	state_unref(state);
	free(windows);
	free(delta);
	return ok;
}

/* The JSON line that says what follows. */
static void step_print_sizes(const struct spec *spec, size_t count)
{
	const struct train_config *train = &spec_course(spec)->train;
	const struct model_config *model = &train->model;

	printf("{\"chain\": \"%s\", \"d\": %u, \"layers\": %u, \"heads\": %u, \"ff\": %u, \"ctx\": %u, \"batch\": %u, "
	       "\"iterations\": %u, \"lr_ppm\": %u, \"wd_ppm\": %u, \"vocabulary\": %d, \"skipped\": %d, "
	       "\"parameters\": %zu}\n",
		spec->name, model->d, model->layers, model->heads, model->ff, model->ctx, train->batch,
		train->iterations, train->lr_ppm, train->wd_ppm, MODEL_VOCABULARY, MODEL_SKIPPED, count);
}

bool bench_start(struct bench *bench)
{
	size_t count = model_count(&spec_course(&bench->spec)->train.model);
	uint8_t seed[32], *bytes = mem_alloc(count * sizeof(float));

	bench_seed(&bench->spec, seed);
	struct state *state = spec_initial_state(&bench->spec);
	uint8_t *windows = bench_windows(&bench->spec, seed);

	tensorfile_row_write(state_theta(state), count, bytes);
	step_print_sizes(&bench->spec, count);
	bool ok = fwrite(bytes, sizeof(float), count, stdout) == count &&
		fwrite(windows, step_windows_size(&spec_course(&bench->spec)->train), 1, stdout) == 1 &&
		fflush(stdout) == 0;

	state_unref(state);
	free(windows);
	free(bytes);
	return ok;
}

/* === Timing === */

/* One engine's turns. */
struct step_turns {
	const struct backend_kind *kind;
	struct backend *backend;
	struct timing timing;
	struct profile profile;
	uint8_t digest[32]; /* of the last */
	float loss;         /* of its last iteration */
};

/* Each iteration ends a measurement and begins the next. */
static void step_take_iteration(void *context, uint32_t done, float loss)
{
	struct step_turns *turns = context;

	(void)done;
	turns->loss = loss;
	timing_stop(&turns->timing);
	timing_start(&turns->timing);
}

static void step_print(const struct bench *bench, struct step_turns *turns)
{
	static const char *const kinds[] = { "quantise", "product", "attention", "elementwise", "optimizer" };
	const struct train_config *train = &spec_course(&bench->spec)->train;
	double sum = 0;
	char digest[65];

	line_begin(&bench->line, "step", bench->chain, turns->kind->name);
	line_add_times(&bench->line, &turns->timing);
	line_add(&bench->line, "tokens_per_s", train->batch * train->model.ctx / timing_median(&turns->timing));
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		sum += (double)turns->profile.nanoseconds[kind];
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		line_add(&bench->line, kinds[kind], (double)turns->profile.nanoseconds[kind] / sum);
	line_add(&bench->line, "memory_bytes", (double)backend_memory(turns->kind, train, bench->threads));
	line_add(&bench->line, "loss", turns->loss);
	hex_encode(digest, turns->digest, sizeof turns->digest);
	line_add_text(&bench->line, "digest", digest);
}

/* Resident memory of this process, now and at its peak. */
static size_t step_resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (statm == NULL)
		return 0;
	if (fscanf(statm, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(statm);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t step_resident_peak(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* The first turn of each finds cold memory and does not count. */
static bool step_take_turn(struct step_turns *turns, struct step_job *job, bool counts)
{
	size_t size = step_delta_size(&turns->backend->config);
	uint8_t *delta = mem_alloc(size);

	job->progress = step_take_iteration;
	job->progress_context = turns;
	model_set_profile(backend_cpu_model(turns->backend), counts ? &turns->profile : NULL);
	timing_start(&turns->timing);
	bool ok = backend_execute(turns->backend, job, delta) == STEP_OK;

	if (!counts)
		timing_reset(&turns->timing);
	if (ok)
		sha256(turns->digest, delta, size);
	free(delta);
	return ok;
}

/* The engines that take turns: the one that was asked for, OpenBLAS, plain sgemm. */
enum { STEP_TURNS_MAX = 3 };

static size_t step_turns_init(const struct bench *bench, struct step_turns turns[STEP_TURNS_MAX])
{
	size_t turn_count = 0;

	turns[turn_count++].kind = bench->kind;
	if (bench->kind != backend_cpu(ENGINE_OPENBLAS))
		turns[turn_count++].kind = backend_cpu(ENGINE_OPENBLAS);
	turns[turn_count++].kind = backend_cpu(ENGINE_PLAIN);
	return turn_count;
}

/* Each with its ratio to plain, the first also with its ratio to OpenBLAS. */
static void step_print_turns(const struct bench *bench, struct step_turns turns[STEP_TURNS_MAX], size_t turn_count,
	size_t peak)
{
	for (size_t i = 0; i < turn_count; i++) {
		step_print(bench, &turns[i]);
		if (i == 0)
			line_add(&bench->line, "peak_rss_bytes", (double)peak);
		if (i + 1 < turn_count)
			line_add_ratio(&bench->line, "ratio", &turns[i].timing, &turns[turn_count - 1].timing);
		if (i + 2 < turn_count)
			line_add_ratio(&bench->line, "openblas_ratio", &turns[i].timing, &turns[1].timing);
		line_end(&bench->line);
	}
}

bool bench_step(struct bench *bench)
{
	struct train_config config = spec_course(&bench->spec)->train;
	struct step_turns *turns = mem_calloc(STEP_TURNS_MAX, sizeof *turns);
	uint8_t seed[32];
	size_t turn_count = step_turns_init(bench, turns), peak = 0;
	bool ok = true;

	if (bench->iterations < config.iterations)
		config.iterations = bench->iterations;
	bench_seed(&bench->spec, seed);
	struct state *state = spec_initial_state(&bench->spec);
	uint8_t *windows = bench_windows(&bench->spec, seed);
	struct step_job job = { .state = state, .seed = seed, .windows = windows };

	/* What a whole step adds to the process, libraries and the delta with it, while no other step is there. */
	size_t before = step_resident_bytes();

	for (size_t i = 0; i < turn_count; i++) {
		turns[i].backend = backend_new(turns[i].kind, &config, bench->threads);
		ok = ok && step_take_turn(&turns[i], &job, false);
		if (i == 0)
			peak = step_resident_peak() - before;
	}
	for (size_t round = 0; round < bench->rounds; round++)
		for (size_t i = 0; i < turn_count; i++)
			ok = ok && step_take_turn(&turns[i], &job, true);
	if (ok)
		step_print_turns(bench, turns, turn_count, peak);
	for (size_t i = 0; i < turn_count; i++)
		backend_free(turns[i].backend);
	state_unref(state);
	free(windows);
	free(turns);
	return ok;
}
