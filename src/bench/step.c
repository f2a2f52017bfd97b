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

	course_gather_step(spec_course(spec), seed, training, size, windows);
	return windows;
}

void bench_seed(const struct spec *spec, uint8_t seed[32])
{
	char name[64];
	int length = snprintf(name, sizeof name, "atelier digest%s", spec->name);

	sha256(seed, (const uint8_t *)name, (size_t)length);
}

bool bench_digest(struct bench *b)
{
	uint8_t seed[32], digest[32], *delta = mem_alloc(step_delta_size(&spec_course(&b->spec)->train));
	char text[65];

	bench_seed(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	struct backend *backend = backend_new(b->kind, &spec_course(&b->spec)->train, b->threads);
	uint8_t *windows = bench_windows(&b->spec, seed);
	struct step_job job = { .state = state, .seed = seed, .windows = windows };
	bool ok = backend_execute(backend, &job, delta) == STEP_OK;

	if (ok) {
		sha256(digest, delta, step_delta_size(&spec_course(&b->spec)->train));
		hex_encode(text, digest, sizeof digest);
		printf("%s %s\n", b->chain, text);
		fflush(stdout);
	}
	backend_free(backend);
	state_unref(state);
	free(windows);
	free(delta);
	return ok;
}

/* The JSON line that says what follows. */
static void print_sizes(const struct spec *spec, size_t count)
{
	const struct train_config *t = &spec_course(spec)->train;
	const struct model_config *c = &t->model;

	printf("{\"chain\": \"%s\", \"d\": %u, \"layers\": %u, \"heads\": %u, \"ff\": %u, \"ctx\": %u, \"batch\": %u, "
	       "\"iterations\": %u, \"lr_ppm\": %u, \"wd_ppm\": %u, \"vocabulary\": %d, \"skipped\": %d, "
	       "\"parameters\": %zu}\n",
		spec->name, c->d, c->layers, c->heads, c->ff, c->ctx, t->batch, t->iterations, t->lr_ppm, t->wd_ppm,
		MODEL_VOCABULARY, MODEL_SKIPPED, count);
}

bool bench_start(struct bench *b)
{
	size_t count = model_count(&spec_course(&b->spec)->train.model);
	uint8_t seed[32], *bytes = mem_alloc(count * sizeof(float));

	bench_seed(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	uint8_t *windows = bench_windows(&b->spec, seed);

	tensorfile_row_write(state_theta(state), count, bytes);
	print_sizes(&b->spec, count);
	bool ok = fwrite(bytes, sizeof(float), count, stdout) == count &&
		fwrite(windows, step_windows_size(&spec_course(&b->spec)->train), 1, stdout) == 1 &&
		fflush(stdout) == 0;

	state_unref(state);
	free(windows);
	free(bytes);
	return ok;
}

/* === Timing === */

/* One engine's turns. */
struct turns {
	const struct backend_kind *kind;
	struct backend *backend;
	struct timing timing;
	struct profile profile;
	uint8_t digest[32]; /* of the last */
	float loss;         /* of its last iteration */
};

/* Each iteration ends a measurement and begins the next. */
static void take_iteration(void *context, uint32_t done, float loss)
{
	struct turns *turns = context;

	(void)done;
	turns->loss = loss;
	timing_stop(&turns->timing);
	timing_start(&turns->timing);
}

static void print_step(const struct bench *b, struct turns *turns)
{
	static const char *const kinds[] = { "quantise", "product", "attention", "elementwise", "optimizer" };
	const struct train_config *train = &spec_course(&b->spec)->train;
	double sum = 0;
	char digest[65];

	line_begin(&b->line, "step", b->chain, turns->kind->name);
	line_add_times(&b->line, &turns->timing);
	line_add(&b->line, "tokens_per_s", train->batch * train->model.ctx / timing_median(&turns->timing));
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		sum += (double)turns->profile.nanoseconds[kind];
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		line_add(&b->line, kinds[kind], (double)turns->profile.nanoseconds[kind] / sum);
	line_add(&b->line, "memory_bytes", (double)backend_memory(turns->kind, train, b->threads));
	line_add(&b->line, "loss", turns->loss);
	hex_encode(digest, turns->digest, sizeof turns->digest);
	line_add_text(&b->line, "digest", digest);
}

/* Resident memory of this process, now and at its peak. */
static size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t resident_peak_bytes(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* The first turn of each finds cold memory and does not count. */
static bool take_turn(struct turns *turns, struct step_job *job, bool counts)
{
	size_t size = step_delta_size(&turns->backend->config);
	uint8_t *delta = mem_alloc(size);

	job->progress = take_iteration;
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
enum { TURNS_MAX = 3 };

static size_t turns_init(const struct bench *b, struct turns turns[TURNS_MAX])
{
	size_t count = 0;

	turns[count++].kind = b->kind;
	if (b->kind != backend_cpu(ENGINE_OPENBLAS))
		turns[count++].kind = backend_cpu(ENGINE_OPENBLAS);
	turns[count++].kind = backend_cpu(ENGINE_PLAIN);
	return count;
}

/* Each with its ratio to plain, the first also with its ratio to OpenBLAS. */
static void print_turns(const struct bench *b, struct turns turns[TURNS_MAX], size_t count, size_t peak)
{
	for (size_t i = 0; i < count; i++) {
		print_step(b, &turns[i]);
		if (i == 0)
			line_add(&b->line, "peak_rss_bytes", (double)peak);
		if (i + 1 < count)
			line_add_ratio(&b->line, "ratio", &turns[i].timing, &turns[count - 1].timing);
		if (i + 2 < count)
			line_add_ratio(&b->line, "openblas_ratio", &turns[i].timing, &turns[1].timing);
		line_end(&b->line);
	}
}

bool bench_step(struct bench *b)
{
	struct train_config config = spec_course(&b->spec)->train;
	struct turns *turns = mem_calloc(TURNS_MAX, sizeof *turns);
	uint8_t seed[32];
	size_t count = turns_init(b, turns), peak = 0;
	bool ok = true;

	if (b->iterations < config.iterations)
		config.iterations = b->iterations;
	bench_seed(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	uint8_t *windows = bench_windows(&b->spec, seed);
	struct step_job job = { .state = state, .seed = seed, .windows = windows };

	/* What a whole step adds to the process, libraries and the delta with it, while no other step is there. */
	size_t before = resident_bytes();

	for (size_t i = 0; i < count; i++) {
		turns[i].backend = backend_new(turns[i].kind, &config, b->threads);
		ok = ok && take_turn(&turns[i], &job, false);
		if (i == 0)
			peak = resident_peak_bytes() - before;
	}
	for (size_t round = 0; round < b->rounds; round++)
		for (size_t i = 0; i < count; i++)
			ok = ok && take_turn(&turns[i], &job, true);
	if (ok)
		print_turns(b, turns, count, peak);
	for (size_t i = 0; i < count; i++)
		backend_free(turns[i].backend);
	state_unref(state);
	free(windows);
	free(turns);
	return ok;
}
