/* atelier-bench: what a machine computes, and how fast.
 *
 *     atelier-bench digest   one step of each built-in chain, as "<chain> <digest>": the same on every machine
 *     atelier-bench step     the same steps, timed */
#include "config.h"

#include "consensus/spec.h"
#include "consensus/window.h"
#include "crypto/hash.h"
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
	{"engine", "<name>", "Who multiplies: openblas or reference.", "Options", "openblas", 0},
	{"threads", "<n>", "Threads within BLAS; 0: as many as it likes.", "Options", "1", 0},
	{NULL, NULL, NULL, NULL, NULL, 0},
};

static const char *const chains[] = {"regtest", "test", "main"};
enum { CHAINS = sizeof(chains) / sizeof(chains[0]) };

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

struct timing {
	double last, best, sum;
};

static void take_time(void *context, uint32_t done, float loss)
{
	struct timing *t = context;
	double now = seconds(), took = now - t->last;

	(void)loss;
	t->best = done == 1 || took < t->best ? took : t->best;
	t->sum += took;
	t->last = now;
}

/* One step of a chain from its initial state, trained on its corpus, with the seed H("atelier digest" | name). */
static enum step_result run_step(const struct spec *spec, enum engine engine, struct timing *timing, uint8_t digest[32])
{
	uint8_t seed[32], name[64];
	uint8_t *windows = mem_alloc(window_step_size(spec)), *delta = mem_alloc(step_delta_size(&spec->train));
	size_t size;
	const uint8_t *training = spec_training(spec, &size);

	sha256(seed, name, (size_t)snprintf((char *)name, sizeof(name), "atelier digest%s", spec->name));
	window_gather_step(spec, seed, training, size, windows);
	struct state *state = spec_initial_state(spec);
	struct step *step = step_new(&spec->train, engine);
	struct step_job job = {
		.state = state, .seed = seed, .windows = windows, .progress = take_time, .progress_context = timing,
	};

	timing->last = seconds();
	enum step_result result = step_execute(step, &job, delta);

	if (result == STEP_OK)
		sha256(digest, delta, step_delta_size(&spec->train));
	step_free(step);
	state_unref(state);
	free(windows);
	free(delta);
	return result;
}

static bool run_chain(const char *name, enum engine engine, bool timed)
{
	struct spec spec;
	struct timing timing = {0};
	uint8_t digest[32];
	char text[65];

	if (!spec_builtin(&spec, name))
		return false;
	bool ok = run_step(&spec, engine, &timing, digest) == STEP_OK;

	if (ok && timed) {
		printf("%-8s %zu parameters, batch %u: %.1f ms an iteration, %.1f at best; %.2f s a step\n", name,
		       model_count(&spec.train.model), spec.train.batch, timing.sum / spec.train.iterations * 1e3,
		       timing.best * 1e3, timing.sum);
	} else if (ok) {
		hex_encode(text, digest, sizeof(digest));
		printf("%s %s\n", name, text);
	}
	fflush(stdout);
	spec_clear(&spec);
	return ok;
}

static int run(const struct options *o, const char *command)
{
	const char *only = options_string(o, "spec"), *name = options_string(o, "engine");
	enum engine engine = strcmp(name, "reference") == 0 ? ENGINE_REFERENCE : ENGINE_OPENBLAS;
	bool timed = strcmp(command, "step") == 0, known = false;
	struct errmsg err;
	int64_t threads;

	if (!timed && strcmp(command, "digest") != 0)
		return complain("The command is digest or step; see -help.");
	if (strcmp(name, "reference") != 0 && strcmp(name, "openblas") != 0)
		return complain("-engine is openblas or reference.");
	if (!options_int(o, "threads", 0, 1024, &threads, &err))
		return complain(err.text);
	engine_init((int)threads);
	if (!selftest_run(engine, &err))
		return complain(err.text);
	for (int i = 0; i < CHAINS; i++) {
		if (only && strcmp(only, chains[i]) != 0)
			continue;
		known = true;
		if (!run_chain(chains[i], engine, timed))
			return complain("The step has no result.");
	}
	return known ? EXIT_SUCCESS : complain("-spec is regtest, test or main.");
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

		printf("Usage: atelier-bench digest|step [options]\n\n%s", help);
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
