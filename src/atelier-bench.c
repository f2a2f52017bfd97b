/* atelier-bench: what a machine computes, and how fast.
 *
 *     atelier-bench digest    one step of each built-in chain, as "<chain> <digest>": the same on every machine
 *     atelier-bench step      iterations, exact and with plain sgemm in turns, and where their time goes
 *     atelier-bench product   a model's matrix products, exact and with plain sgemm in turns
 *     atelier-bench encode    the delta code
 *     atelier-bench value     the benchmark gradient, which a block is valued by
 *     atelier-bench verify    a whole block: k + 1 steps, the benchmark, the update
 *
 * Every time is the best and the median of `-rounds`; with -json each measurement is an object on a line of its own. */
#include "config.h"

#include "consensus/spec.h"
#include "consensus/verify.h"
#include "consensus/window.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/exact.h"
#include "ml/selftest.h"
#include "ml/step.h"
#include "util/bytes.h"
#include "util/mem.h"
#include "util/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct option_spec options_table[] = {
	{"help", NULL, "Prints this and ends.", "Options", NULL, OPTION_COMMAND_LINE},
	{"version", NULL, "Prints the version and ends.", "Options", NULL, OPTION_COMMAND_LINE},
	{"spec", "<name>", "Chain: regtest, test or main; all of them if not given.", "Options", NULL, 0},
	{"engine", "<name>", "Who multiplies: openblas, onednn, reference, or auto, the fastest.", "Options", "openblas", 0},
	{"threads", "<n>", "Threads within the engine; 0: as many as it likes.", "Options", "1", 0},
	{"rounds", "<n>", "How often everything is measured.", "Options", "5", 0},
	{"json", NULL, "Print JSON.", "Options", NULL, 0},
	{NULL, NULL, NULL, NULL, NULL, 0},
};

static const char *const chains[] = {"regtest", "test", "main"};
enum { CHAINS = sizeof(chains) / sizeof(chains[0]), ROUNDS_MAX = 1000 };

static int complain(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	return EXIT_FAILURE;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* === Measurements === */

struct timing {
	double took[ROUNDS_MAX];
	size_t count;
	double last;
};

static void timing_start(struct timing *t)
{
	t->last = seconds();
}

static void timing_stop(struct timing *t)
{
	if (t->count < ROUNDS_MAX)
		t->took[t->count++] = seconds() - t->last;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double best(struct timing *t)
{
	qsort(t->took, t->count, sizeof(t->took[0]), compare);
	return t->took[0];
}

static double median(struct timing *t)
{
	qsort(t->took, t->count, sizeof(t->took[0]), compare);
	return t->took[t->count / 2];
}

/* One line of results: named numbers in print order, as text or as JSON. */
struct line {
	bool json;
};

static void line_begin(const struct line *line, const char *command, const char *chain, const char *engine)
{
	printf(line->json ? "{\"measurement\": \"%s\", \"chain\": \"%s\", \"engine\": \"%s\"" : "%-8s %-8s %-9s", command, chain,
	       engine);
}

static void line_add(const struct line *line, const char *name, double value)
{
	if (line->json)
		printf(", \"%s\": %.6g", name, value);
	else
		printf("  %s %.4g", name, value);
}

static void line_end(const struct line *line)
{
	puts(line->json ? "}" : "");
	fflush(stdout);
}

static void line_add_times(const struct line *line, struct timing *t)
{
	line_add(line, "best_ms", best(t) * 1e3);
	line_add(line, "median_ms", median(t) * 1e3);
}

/* === What is measured === */

struct bench {
	struct line line;
	const char *chain;
	struct spec spec;
	enum engine engine;
	size_t rounds;
};

/* Windows of a step of this chain, trained on its corpus, with this seed; the caller frees them. */
static uint8_t *windows_of(const struct spec *spec, const uint8_t seed[32])
{
	uint8_t *windows = mem_alloc(window_step_size(spec));
	size_t size;
	const uint8_t *training = spec_training(spec, &size);

	window_gather_step(spec, seed, training, size, windows);
	return windows;
}

static void seed_of(const struct spec *spec, uint8_t seed[32])
{
	char name[64];
	int length = snprintf(name, sizeof(name), "atelier digest%s", spec->name);

	sha256(seed, (const uint8_t *)name, (size_t)length);
}

/* The seed is H("atelier digest" | name). */
static bool run_digest(struct bench *b)
{
	uint8_t seed[32], digest[32], *delta = mem_alloc(step_delta_size(&b->spec.train));
	char text[65];

	seed_of(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	struct step *step = step_new(&b->spec.train, b->engine);
	uint8_t *windows = windows_of(&b->spec, seed);
	struct step_job job = {.state = state, .seed = seed, .windows = windows};
	bool ok = step_execute(step, &job, delta) == STEP_OK;

	if (ok) {
		sha256(digest, delta, step_delta_size(&b->spec.train));
		hex_encode(text, digest, sizeof(digest));
		printf("%s %s\n", b->chain, text);
		fflush(stdout);
	}
	step_free(step);
	state_unref(state);
	free(windows);
	free(delta);
	return ok;
}

/* --- Steps --- */

/* Each iteration ends a measurement and begins the next. */
static void take_iteration(void *context, uint32_t done, float loss)
{
	struct timing *t = context;

	(void)done;
	(void)loss;
	timing_stop(t);
	timing_start(t);
}

static void print_step(const struct bench *b, enum engine engine, struct timing *t, const struct profile *profile)
{
	static const char *const kinds[] = {"quantise", "product", "attention", "elementwise", "optimizer"};
	const struct train_config *train = &b->spec.train;
	double sum = 0;

	line_begin(&b->line, "step", b->chain, engine_name(engine));
	line_add_times(&b->line, t);
	line_add(&b->line, "tokens_per_s", train->batch * train->model.ctx / median(t));
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		sum += (double)profile->nanoseconds[kind];
	for (int kind = 0; kind < PROFILE_KINDS; kind++)
		line_add(&b->line, kinds[kind], (double)profile->nanoseconds[kind] / sum);
	line_add(&b->line, "memory_mb",
		 (double)(model_memory(&train->model) + 4 * model_count(&train->model) * sizeof(float)) / 1e6);
}

/* Steps of one iteration, exact and plain in turns, so that what else the machine does disturbs both alike. */
static bool run_step(struct bench *b)
{
	const enum engine engines[2] = {b->engine, ENGINE_PLAIN};
	struct train_config config = b->spec.train;
	struct timing *times = mem_calloc(2, sizeof(*times));
	struct profile profiles[2] = {0};
	struct step *steps[2];
	uint8_t seed[32], *delta = mem_alloc(step_delta_size(&config));
	bool ok = true;

	config.iterations = 1;
	seed_of(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	uint8_t *windows = windows_of(&b->spec, seed);

	for (size_t i = 0; i < 2; i++)
		steps[i] = step_new(&config, engines[i]);
	for (size_t round = 0; ok && round < 2 * (b->rounds + 1); round++) {
		size_t i = round % 2;
		struct step_job job = {
			.state = state, .seed = seed, .windows = windows, .progress = take_iteration, .progress_context = &times[i],
		};

		/* The first of each finds cold memory. */
		model_set_profile(step_model(steps[i]), round < 2 ? NULL : &profiles[i]);
		if (round == 2)
			times[0].count = times[1].count = 0;
		timing_start(&times[i]);
		ok = step_execute(steps[i], &job, delta) == STEP_OK;
	}
	for (size_t i = 0; ok && i < 2; i++) {
		print_step(b, engines[i], &times[i], &profiles[i]);
		if (i == 0) {
			line_add(&b->line, "ratio_best", best(&times[0]) / best(&times[1]));
			line_add(&b->line, "ratio_median", median(&times[0]) / median(&times[1]));
		}
		line_end(&b->line);
	}
	for (size_t i = 0; i < 2; i++)
		step_free(steps[i]);
	state_unref(state);
	free(windows);
	free(delta);
	free(times);
	return ok;
}

/* --- Products --- */

/* y [m][n] = a [m][k] b [n][k]: rounding and product, as often as the model rounds. */
static bool time_product(struct bench *b, const char *name, size_t m, size_t n, size_t k)
{
	const enum engine engines[2] = {b->engine, ENGINE_PLAIN};
	struct timing *times = mem_calloc(2, sizeof(*times));
	float *x = mem_align(m * k * sizeof(float)), *w = mem_align(n * k * sizeof(float));
	float *y = mem_align(m * n * sizeof(float)), *scratch = mem_align(m * n * sizeof(float));
	float *rounded_x = mem_align(exact_operand_size(m, k) * sizeof(float));
	float *rounded_w = mem_align(exact_operand_size(n, k) * sizeof(float));
	bool ok = true;

	for (size_t i = 0; i < m * k; i++)
		x[i] = (float)(i % 1021) / 1021.0f - 0.5f;
	for (size_t i = 0; i < n * k; i++)
		w[i] = (float)(i % 509) / 509.0f - 0.5f;
	for (size_t round = 0; ok && round < 2 * (b->rounds + 1); round++) {
		enum engine engine = engines[round % 2];

		if (round == 2)
			times[0].count = times[1].count = 0;
		timing_start(&times[round % 2]);
		struct engine_product p = {
			.m = m, .n = n, .k = k, .lda = k, .ldb = k, .y = y, .ldy = n,
			.a = exact_operand_rows(engine, x, m, k, rounded_x), .b = exact_operand_rows(engine, w, n, k, rounded_w),
		};

		ok = p.a && p.b;
		if (ok)
			exact_multiply(engine, &p, false, scratch);
		timing_stop(&times[round % 2]);
	}
	line_begin(&b->line, name, b->chain, engine_name(b->engine));
	line_add(&b->line, "m", (double)m);
	line_add(&b->line, "n", (double)n);
	line_add(&b->line, "k", (double)k);
	line_add_times(&b->line, &times[0]);
	line_add(&b->line, "gflops", 2e-9 * (double)m * (double)n * (double)k / best(&times[0]));
	line_add(&b->line, "ratio_best", best(&times[0]) / best(&times[1]));
	line_end(&b->line);
	free(times);
	free(x);
	free(w);
	free(y);
	free(scratch);
	free(rounded_x);
	free(rounded_w);
	return ok;
}

static bool run_product(struct bench *b)
{
	const struct model_config *c = &b->spec.train.model;
	size_t rows = EXACT_CHUNK / c->ctx, tokens = (rows < b->spec.train.batch ? rows : b->spec.train.batch) * c->ctx;

	return time_product(b, "qkv", tokens, 3 * c->d, c->d) && time_product(b, "out", tokens, c->d, c->d) &&
	       time_product(b, "gate_up", tokens, 2 * c->ff, c->d) && time_product(b, "down", tokens, c->d, c->ff) &&
	       time_product(b, "head", tokens, MODEL_VOCABULARY, c->d);
}

/* --- Delta code --- */

static bool run_encode(struct bench *b)
{
	size_t count = model_count(&b->spec.train.model);
	struct timing *times = mem_calloc(2, sizeof(*times));
	uint8_t seed[32], *delta = mem_alloc(delta_size(count));
	float *x = mem_align(count * sizeof(float));
	bool ok = true;

	seed_of(&b->spec, seed);
	for (size_t i = 0; i < count; i++)
		x[i] = ((float)(i % 1021) / 1021.0f - 0.5f) * 0.01f;
	for (size_t round = 0; ok && round < b->rounds; round++) {
		timing_start(&times[0]);
		ok = delta_encode(x, count, seed, delta);
		timing_stop(&times[0]);
		timing_start(&times[1]);
		delta_decode(delta, 0, count, x);
		timing_stop(&times[1]);
	}
	for (size_t i = 0; ok && i < 2; i++) {
		line_begin(&b->line, i == 0 ? "encode" : "decode", b->chain, "none");
		line_add_times(&b->line, &times[i]);
		line_add(&b->line, "bytes", (double)delta_size(count));
		line_end(&b->line);
	}
	free(times);
	free(delta);
	free(x);
	return ok;
}

/* --- Value --- */

static bool run_value(struct bench *b)
{
	struct timing *times = mem_calloc(2, sizeof(*times));
	struct step *step = step_new(&b->spec.train, b->engine);
	uint8_t seed[32], *delta = mem_alloc(step_delta_size(&b->spec.train));
	uint8_t *benchmark = mem_alloc(window_benchmark_size(&b->spec));
	bool ok = true;

	seed_of(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	uint8_t *windows = windows_of(&b->spec, seed);

	window_gather_benchmark(&b->spec, seed, benchmark);
	for (size_t round = 0; ok && round < b->rounds; round++) {
		struct step_job job = {.state = state, .seed = seed, .windows = windows};

		timing_start(&times[0]);
		struct benchmark *at_state = benchmark_new(step, state, benchmark, NULL);

		timing_stop(&times[0]);
		ok = at_state != NULL;
		benchmark_unref(at_state);
		timing_start(&times[1]);
		ok = ok && step_execute(step, &job, delta) == STEP_OK;
		timing_stop(&times[1]);
	}
	line_begin(&b->line, "value", b->chain, engine_name(b->engine));
	line_add_times(&b->line, &times[0]);
	line_add(&b->line, "step_ms", best(&times[1]) * 1e3);
	line_add(&b->line, "part_of_step", best(&times[0]) / best(&times[1]));
	line_end(&b->line);
	state_unref(state);
	step_free(step);
	free(times);
	free(delta);
	free(benchmark);
	free(windows);
	return ok;
}

/* --- Verification --- */

/* A proof as a miner makes it: its header states the digest of its step. */
static bool make_proof(struct bench *b, struct step *step, const struct state *state, uint64_t number,
		       struct verify_proof *proof)
{
	uint8_t *delta = mem_alloc(step_delta_size(&b->spec.train));

	proof->header.nonce = number;
	header_seed(&proof->header, proof->seed);
	proof->slot = window_slot(&b->spec, proof->seed);
	proof->windows = windows_of(&b->spec, proof->seed);
	struct step_job job = {.state = state, .seed = proof->seed, .windows = proof->windows};
	bool ok = step_execute(step, &job, delta) == STEP_OK;

	sha256(proof->header.digest, delta, step_delta_size(&b->spec.train));
	header_id(&proof->header, proof->id);
	free(delta);
	return ok;
}

/* A block with the k loose proofs that are due, verified by somebody who knows none of them. */
static bool run_verify(struct bench *b)
{
	size_t proofs = b->spec.k + 1;
	struct timing *t = mem_calloc(1, sizeof(*t));
	struct step *step = step_new(&b->spec.train, b->engine);
	struct verify_job job = {
		.spec = &b->spec, .parent = spec_initial_state(&b->spec), .benchmark = mem_alloc(window_benchmark_size(&b->spec)),
		.v_ref = b->spec.v_0, .proofs = mem_calloc(proofs, sizeof(*job.proofs)), .proof_count = proofs,
	};
	bool ok = true;

	window_gather_benchmark(&b->spec, b->spec.genesis_ticket, job.benchmark);
	for (size_t i = 0; ok && i < proofs; i++)
		ok = make_proof(b, step, job.parent, i, &job.proofs[i]);
	step_free(step);
	for (size_t round = 0; ok && round < b->rounds; round++) {
		struct verdict verdict;

		for (size_t i = 0; i < proofs; i++) {
			free(job.proofs[i].delta);
			job.proofs[i].delta = NULL;
		}
		benchmark_unref(job.parent_benchmark);
		job.parent_benchmark = NULL;
		timing_start(t);
		verify_run(&job, &verdict);
		timing_stop(t);
		ok = verdict.valid;
		state_unref(verdict.state);
	}
	if (ok) {
		line_begin(&b->line, "verify", b->chain, engine_name(b->engine));
		line_add_times(&b->line, t);
		line_add(&b->line, "steps", (double)proofs);
		if (b->spec.spacing > 0)
			line_add(&b->line, "part_of_spacing", best(t) / b->spec.spacing);
		line_end(&b->line);
	}
	verify_job_clear(&job);
	free(t);
	return ok;
}

/* === Commands === */

static const struct {
	const char *name;
	bool (*run)(struct bench *b);
} commands[] = {
	{"digest", run_digest}, {"step", run_step},   {"product", run_product},
	{"encode", run_encode}, {"value", run_value}, {"verify", run_verify},
};

static bool run_chains(bool (*command)(struct bench *b), struct bench *b, const char *only, struct errmsg *err)
{
	bool known = false;

	for (int i = 0; i < CHAINS; i++) {
		if (only && strcmp(only, chains[i]) != 0)
			continue;
		known = true;
		b->chain = chains[i];
		if (!spec_builtin(&b->spec, chains[i]))
			return errmsg_set(err, "The chain %s cannot be read.", chains[i]);
		bool ok = command(b);

		spec_clear(&b->spec);
		if (!ok)
			return errmsg_set(err, "A step of %s has no result.", chains[i]);
	}
	return known || errmsg_set(err, "-spec is regtest, test or main.");
}

static int run(const struct options *o, const char *command)
{
	struct bench b = {.line.json = options_bool(o, "json")};
	bool (*function)(struct bench *b) = NULL;
	struct errmsg err;
	int64_t threads, rounds;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(command, commands[i].name) == 0)
			function = commands[i].run;
	if (!function)
		return complain("The command is digest, step, product, encode, value or verify; see -help.");
	if (!options_int(o, "threads", 0, 1024, &threads, &err) || !options_int(o, "rounds", 1, ROUNDS_MAX / 2, &rounds, &err))
		return complain(err.text);
	b.rounds = (size_t)rounds;
	engine_init((int)threads);
	if (!selftest_choose(options_string(o, "engine"), &b.engine, &err))
		return complain(err.text);
	engine_select(b.engine);
	return run_chains(function, &b, options_string(o, "spec"), &err) ? EXIT_SUCCESS : complain(err.text);
}

/* Options may stand before and after the command: what follows it is read as if it were a program of its own. */
static bool read_arguments(struct options *o, int argc, char **argv, const char **command, struct errmsg *err)
{
	int first, rest;

	*command = NULL;
	if (!options_parse_args(o, argc, argv, &first, err) || first == argc)
		return err->text[0] == 0;
	*command = argv[first];
	if (!options_parse_args(o, argc - first, argv + first, &rest, err))
		return false;
	return first + rest == argc || errmsg_set(err, "Unexpected argument: %s", argv[first + rest]);
}

int main(int argc, char **argv)
{
	struct options *o = options_new(options_table);
	struct errmsg err = {""};
	const char *command;
	int status;

	if (!read_arguments(o, argc, argv, &command, &err)) {
		status = complain(err.text);
	} else if (options_bool(o, "help") || (!options_bool(o, "version") && !command)) {
		char *help = options_help(o);

		printf("Usage: atelier-bench digest|step|product|encode|value|verify [options]\n\n%s", help);
		free(help);
		status = options_bool(o, "help") ? EXIT_SUCCESS : EXIT_FAILURE;
	} else if (options_bool(o, "version")) {
		printf("atelier-bench %s\n", PACKAGE_VERSION);
		status = EXIT_SUCCESS;
	} else {
		status = run(o, command);
	}
	options_free(o);
	return status;
}
