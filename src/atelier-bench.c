/* atelier-bench: what a machine computes, and how fast.
 *
 *     atelier-bench digest    one step of each built-in chain, as "<chain> <digest>": the same on every machine
 *     atelier-bench start     what the measured steps start from, for other programs: sizes, theta, windows
 *     atelier-bench step      iterations, exact and with plain sgemm in turns, and where their time goes
 *     atelier-bench product   a model's matrix products, exact and with plain sgemm in turns
 *     atelier-bench encode    the delta code
 *     atelier-bench value     the benchmark gradient, which a block is valued by
 *     atelier-bench generate  text: bytes a second of texts side by side, exact and with plain sgemm in turns
 *     atelier-bench verify    a whole block: k + 1 steps, the benchmark, the update
 *     atelier-bench refuse    a false proof, in steps: what a node spends until it refuses one
 *     atelier-bench round     a run's segments, a round's audits and its merge; bytes disclosed and kept
 *     atelier-bench hostile   segments from hostile starts: all engines alike, the slowest in honest segments
 *     atelier-bench connect   200 blocks of 50 payments, proofs known: blocks connected a second
 *     atelier-bench train     a training run on a file, to judge numerics by (bench/train.h)
 *
 * Every time is the best and the median of `-rounds`; with -json each measurement is an object on a line of its own. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/train.h"
#include "ml/backend_cpu.h"
#include "ml/kernel/engine.h"
#include "ml/selftest.h"
#include "util/file.h"
#include "util/options.h"

static const struct option_spec bench_option_table[] = {
	{ "help", NULL, "Prints this and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "version", NULL, "Prints the version and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "spec", "<name>", "Chain: regtest, test or main; all of them if not given.", "Options", NULL, 0 },
	{ "chainspec", "<file>", "A chain of one's own instead: sizes and rates from its spec.", "Options", NULL, 0 },
	{ "engine", "<name>",
		"Who multiplies: openblas, onednn, reference, or auto, the fastest. "
		"train knows plain too: no rounding.",
		"Options", "openblas", 0 },
	{ "threads", "<n>", "Threads that share a step; its result is the same.", "Options", "1", 0 },
	{ "enginethreads", "<n>", "Threads of the engine's own within each; 0: as many as it likes.", "Options", "1",
		0 },
	{ "rounds", "<n>", "How often everything is measured.", "Options", "5", 0 },
	{ "starts", "<n>", "Hostile starts, number 0 first.", "Options", "100", 0 },
	{ "iterations", "<n>", "Iterations of a measured step, at most the chain's.", "Options", "1", 0 },
	{ "folder", "<folder>",
		"Where connect keeps its chains while it measures. Every block is synced to that disk several times: "
		"in /dev/shm nothing waits for a disk.",
		"Options", "/tmp", 0 },
	{ "json", NULL, "Print JSON.", "Options", NULL, 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const char *const bench_chains[] = { "regtest", "test", "main" };
enum { BENCH_CHAINS = sizeof bench_chains / sizeof bench_chains[0], BENCH_ROUNDS_MAX = 500 };

static int atelier_bench_error(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	return EXIT_FAILURE;
}

static const struct {
	const char *name;
	bool (*run)(struct bench *bench); /* NULL: train, which has options of its own */
	const char *help;
} bench_commands[] = {
	{ "digest", bench_digest, "one step, as its digest" },
	{ "start", bench_start, "what a step starts from, for other programs" },
	{ "step", bench_step, "iterations: of the engine, of OpenBLAS, with plain sgemm" },
	{ "product", bench_product, "the model's matrix products, exact and with plain sgemm" },
	{ "encode", bench_encode, "the code of what a step changed" },
	{ "value", bench_value, "the gradient by which a block is valued" },
	{ "generate", bench_generate, "text, of several requests at once" },
	{ "verify", bench_verify, "a whole block: k + 1 steps, the benchmark, the update" },
	{ "refuse", bench_refuse, "a false proof, until it is refused" },
	{ "round", bench_round, "runs, and what a round takes of a validator's machine" },
	{ "hostile", bench_hostile, "segments from starts that are made to be slow" },
	{ "connect", bench_connect, "blocks of payments, from bytes to tip" },
	{ "train", NULL, "trains on a file, alone or as a network does" },
};

static bool atelier_bench_run_chains(bool (*bench_command)(struct bench *bench), struct bench *bench,
	const char *bench_only, struct errmsg *err)
{
	bool bench_known = false;

	for (int i = 0; i < BENCH_CHAINS; i++) {
		bool ok;

		if (bench_only != NULL && strcmp(bench_only, bench_chains[i]) != 0)
			continue;
		bench_known = true;
		bench->chain = bench_chains[i];
		if (!spec_builtin(&bench->spec, bench_chains[i]))
			return errmsg_set(err, "The chain %s cannot be read.", bench_chains[i]);
		ok = bench_command(bench);

		spec_clear(&bench->spec);
		if (!ok)
			return errmsg_set(err, "There is no result for %s.", bench_chains[i]);
	}
	return bench_known || errmsg_set(err, "-spec is regtest, test or main.");
}

/* A chain of one's own, on its corpus. */
static bool atelier_bench_run_private(bool (*bench_command)(struct bench *bench), struct bench *bench, const char *path,
	struct errmsg *err)
{
	char *corpus_name = NULL, *corpus_path = NULL;
	struct buf spec_text, corpus;
	bool ok;

	buf_init(&spec_text);
	buf_init(&corpus);
	ok = file_read(path, SPEC_TEXT_MAX, &spec_text, err) &&
		spec_parse(&bench->spec, (const char *)spec_text.data, spec_text.size, &corpus_name, err);
	if (ok && corpus_name != NULL) {
		corpus_path = path_beside(path, corpus_name);
		ok = file_read(corpus_path, SPEC_CORPUS_MAX, &corpus, err);
		if (ok)
			spec_set_corpus(&bench->spec, corpus.data, corpus.size);
	}
	ok = ok && spec_finish(&bench->spec, err);
	bench->chain = bench->spec.name;
	ok = ok && (bench_command(bench) || errmsg_set(err, "There is no result for %s.", path));
	spec_clear(&bench->spec);
	free(corpus_name);
	free(corpus_path);
	buf_clear(&corpus);
	buf_clear(&spec_text);
	return ok;
}

static int atelier_bench_run_command(const struct options *bench_options, const char *bench_command)
{
	struct bench bench = { .line.json = options_bool(bench_options, "json") };
	bool (*bench_function)(struct bench * bench) = NULL;
	struct errmsg err;
	int64_t threads, bench_engine_threads, rounds, iterations, starts;
	bool bench_trains, bench_ran;

	for (size_t i = 0; i < sizeof bench_commands / sizeof bench_commands[0]; i++)
		if (strcmp(bench_command, bench_commands[i].name) == 0)
			bench_function = bench_commands[i].run;
	bench_trains = strcmp(bench_command, "train") == 0;

	if (bench_function == NULL && !bench_trains)
		return atelier_bench_error(
			"The command is digest, start, step, product, encode, value, generate, verify, refuse, round, "
			"hostile, connect or train; see -help.");
	if (!options_int(bench_options, "threads", 1, 1024, &threads, &err) ||
		!options_int(bench_options, "enginethreads", 0, 1024, &bench_engine_threads, &err) ||
		!options_int(bench_options, "rounds", 1, BENCH_ROUNDS_MAX, &rounds, &err) ||
		!options_int(bench_options, "starts", 1, 1 << 24, &starts, &err) ||
		!options_int(bench_options, "iterations", 1, BENCH_ROUNDS_MAX, &iterations, &err))
		return atelier_bench_error(err.text);
	bench.line.threads = bench.threads = (unsigned)threads;
	bench.rounds = (size_t)rounds;
	bench.starts = (uint32_t)starts;
	bench.iterations = (uint32_t)iterations;
	engine_init((int)bench_engine_threads);
	if (bench_trains && strcmp(options_string(bench_options, "engine"), backend_cpu(ENGINE_PLAIN)->name) == 0)
		bench.kind = backend_cpu(ENGINE_PLAIN);
	else if (!selftest_choose(options_string(bench_options, "engine"), &bench.kind, &err))
		return atelier_bench_error(err.text);
	backend_select(bench.kind);
	bench.folder = options_string(bench_options, "folder");
	if (bench_function == bench_connect && options_is_set(bench_options, "chainspec"))
		return atelier_bench_error("connect has a small chain of its own: -chainspec is for others.");
	if (bench_function == bench_connect)
		return bench_connect(&bench) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (bench_trains)
		return train_run(bench_options, bench.kind, bench.threads, &err) ? EXIT_SUCCESS :
										   atelier_bench_error(err.text);
	const char *spec_path = options_string(bench_options, "chainspec");

	bench_ran = spec_path != NULL ?
		atelier_bench_run_private(bench_function, &bench, spec_path, &err) :
		atelier_bench_run_chains(bench_function, &bench, options_string(bench_options, "spec"), &err);
	return bench_ran ? EXIT_SUCCESS : atelier_bench_error(err.text);
}

/* Options may stand before and after the command: what follows it is read as if it were a program of its own. */
static bool atelier_bench_read_arguments(struct options *bench_options, int argc, char **argv,
	const char **bench_command, struct errmsg *err)
{
	int bench_operand, bench_operands_left;

	*bench_command = NULL;
	if (!options_parse_args(bench_options, argc, argv, &bench_operand, err) || bench_operand == argc)
		return err->text[0] == 0;
	*bench_command = argv[bench_operand];
	if (!options_parse_args(bench_options, argc - bench_operand, argv + bench_operand, &bench_operands_left, err))
		return false;
	return bench_operand + bench_operands_left == argc ||
		errmsg_set(err, "Unexpected argument: %s", argv[bench_operand + bench_operands_left]);
}

int main(int argc, char **argv)
{
	struct options *bench_options = options_new(bench_option_table);
	struct errmsg bench_err = { "" };
	const char *bench_command;
	int bench_exit_code;

	/* Where that cannot be done it goes on, and is slow. */
	if (engine_name_processor())
		execv("/proc/self/exe", argv);
	options_add_table(bench_options, train_options);
	if (!atelier_bench_read_arguments(bench_options, argc, argv, &bench_command, &bench_err)) {
		bench_exit_code = atelier_bench_error(bench_err.text);
	} else if (options_bool(bench_options, "help") ||
		(!options_bool(bench_options, "version") && bench_command == NULL)) {
		char *bench_help = options_help(bench_options);

		printf("Usage: atelier-bench <command> [options]\n\n"
		       "Commands, most of which measure how long something takes:\n\n");
		for (size_t i = 0; i < sizeof bench_commands / sizeof bench_commands[0]; i++)
			printf("  %-8s %s\n", bench_commands[i].name, bench_commands[i].help);
		printf("\n%s", bench_help);
		free(bench_help);
		bench_exit_code = options_bool(bench_options, "help") ? EXIT_SUCCESS : EXIT_FAILURE;
	} else if (options_bool(bench_options, "version")) {
		printf("atelier-bench %s\n", PACKAGE_VERSION);
		bench_exit_code = EXIT_SUCCESS;
	} else {
		bench_exit_code = atelier_bench_run_command(bench_options, bench_command);
	}
	options_free(bench_options);
	return bench_exit_code;
}
