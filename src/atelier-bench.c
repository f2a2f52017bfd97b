/* atelier-bench: what a machine computes, and how fast.
 *
 *     atelier-bench digest    one step of each built-in chain, as "<chain> <digest>": the same on every machine
 *     atelier-bench start     what the measured steps start from, for other programs (bench/bench.h): sizes, theta,
 * windows atelier-bench step      iterations, exact and with plain sgemm in turns, and where their time goes
 *     atelier-bench product   a model's matrix products, exact and with plain sgemm in turns
 *     atelier-bench encode    the delta code
 *     atelier-bench value     the benchmark gradient, which a block is valued by
 *     atelier-bench verify    a whole block: k + 1 steps, the benchmark, the update
 *     atelier-bench refuse    a false proof, in steps: what a node spends until it refuses one
 *     atelier-bench connect   200 blocks of 50 payments, proofs known: blocks connected a second
 *     atelier-bench train     a training run on a file, to judge numerics by (bench/train.h)
 *
 * Every time is the best and the median of `-rounds`; with -json each measurement is an object on a line of its own. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/train.h"
#include "ml/backend_cpu.h"
#include "ml/selftest.h"
#include "util/options.h"

static const struct option_spec options_table[] = {
	{ "help", NULL, "Prints this and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "version", NULL, "Prints the version and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "spec", "<name>", "Chain: regtest, test or main; all of them if not given.", "Options", NULL, 0 },
	{ "engine", "<name>",
		"Who multiplies: openblas, onednn, reference, or auto, the fastest. "
		"train knows plain too: no rounding.",
		"Options", "openblas", 0 },
	{ "threads", "<n>", "Threads that share a step; its result is the same.", "Options", "1", 0 },
	{ "enginethreads", "<n>", "Threads of the engine's own within each; 0: as many as it likes.", "Options", "1",
		0 },
	{ "rounds", "<n>", "How often everything is measured.", "Options", "5", 0 },
	{ "iterations", "<n>", "Iterations of a measured step, at most the chain's.", "Options", "1", 0 },
	{ "folder", "<folder>",
		"Where connect keeps its chains while it measures. Every block is synced to that disk several times: "
		"in /dev/shm nothing waits for a disk.",
		"Options", "/tmp", 0 },
	{ "json", NULL, "Print JSON.", "Options", NULL, 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const char *const chains[] = { "regtest", "test", "main" };
enum { CHAINS = sizeof chains / sizeof chains[0], ROUNDS_MAX = 500 };

static int print_error(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	return EXIT_FAILURE;
}

static const struct {
	const char *name;
	bool (*run)(struct bench *b);
} commands[] = {
	{ "digest", bench_digest },
	{ "start", bench_start },
	{ "step", bench_step },
	{ "product", bench_product },
	{ "encode", bench_encode },
	{ "value", bench_value },
	{ "verify", bench_verify },
	{ "refuse", bench_refuse },
	{ "connect", bench_connect },
};

static bool run_chains(bool (*command)(struct bench *b), struct bench *b, const char *only, struct errmsg *err)
{
	bool known = false;

	for (int i = 0; i < CHAINS; i++) {
		bool ok;

		if (only != NULL && strcmp(only, chains[i]) != 0)
			continue;
		known = true;
		b->chain = chains[i];
		if (!spec_builtin(&b->spec, chains[i]))
			return errmsg_set(err, "The chain %s cannot be read.", chains[i]);
		ok = command(b);

		spec_clear(&b->spec);
		if (!ok)
			return errmsg_set(err, "There is no result for %s.", chains[i]);
	}
	return known || errmsg_set(err, "-spec is regtest, test or main.");
}

static int run_command(const struct options *o, const char *command)
{
	struct bench b = { .line.json = options_bool(o, "json") };
	bool (*function)(struct bench * b) = NULL;
	struct errmsg err;
	int64_t threads, within, rounds, iterations;
	bool trains;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(command, commands[i].name) == 0)
			function = commands[i].run;
	trains = strcmp(command, "train") == 0;

	if (function == NULL && !trains)
		return print_error(
			"The command is digest, start, step, product, encode, value, verify, refuse, connect or train; "
			"see -help.");
	if (!options_int(o, "threads", 1, 1024, &threads, &err) ||
		!options_int(o, "enginethreads", 0, 1024, &within, &err) ||
		!options_int(o, "rounds", 1, ROUNDS_MAX, &rounds, &err) ||
		!options_int(o, "iterations", 1, ROUNDS_MAX, &iterations, &err))
		return print_error(err.text);
	b.line.threads = b.threads = (unsigned)threads;
	b.rounds = (size_t)rounds;
	b.iterations = (uint32_t)iterations;
	engine_init((int)within);
	if (trains && strcmp(options_string(o, "engine"), backend_cpu(ENGINE_PLAIN)->name) == 0)
		b.kind = backend_cpu(ENGINE_PLAIN);
	else if (!selftest_choose(options_string(o, "engine"), &b.kind, &err))
		return print_error(err.text);
	backend_select(b.kind);
	b.folder = options_string(o, "folder");
	if (function == bench_connect)
		return bench_connect(&b) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (trains)
		return train_run(o, b.kind, b.threads, &err) ? EXIT_SUCCESS : print_error(err.text);
	return run_chains(function, &b, options_string(o, "spec"), &err) ? EXIT_SUCCESS : print_error(err.text);
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
	struct errmsg err = { "" };
	const char *command;
	int status;

	options_add_table(o, train_options);
	if (!read_arguments(o, argc, argv, &command, &err)) {
		status = print_error(err.text);
	} else if (options_bool(o, "help") || (!options_bool(o, "version") && command == NULL)) {
		char *help = options_help(o);

		printf("Usage: atelier-bench "
		       "digest|start|step|product|encode|value|verify|refuse|connect|train [options]\n\n%s",
			help);
		free(help);
		status = options_bool(o, "help") ? EXIT_SUCCESS : EXIT_FAILURE;
	} else if (options_bool(o, "version")) {
		printf("atelier-bench %s\n", PACKAGE_VERSION);
		status = EXIT_SUCCESS;
	} else {
		status = run_command(o, command);
	}
	options_free(o);
	return status;
}
