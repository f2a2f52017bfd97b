/* economy: what can be gained in a made-up network by doing otherwise than honest miners and owners of data do.
 *
 * What a node decides, its own code decides here: targets, work, rewards. A subcommand a field: see economy.h. The
 * figures hang on -seed alone. The status is 1 if a figure is not what the rules promise. */
#include "economy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec options_table[] = {
	{ "help", NULL, "Prints this and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "short", NULL, "A tenth of the blocks and fewer cases: some seconds.", "Options", NULL, 0 },
	{ "table", "<name>", "One table alone.", "Options", NULL, 0 },
	{ "seed", "<n>", "Another course of chance.", "Options", "1", 0 },
	{ "threads", "<n>", "Cases that are worked on at a time.", "Options", "1", 0 },
	{ "texts", "<folder>", "Files of honest texts: prose, code, markdown, python, tables.", "Data", NULL, 0 },
	{ "size", "<name>", "The model's: small (regtest's) or test.", "Data", "small", 0 },
	{ "seeds", "<n>", "Chains of each sort.", "Data", "3", 0 },
	{ "blocks", "<n>", "Of each chain.", "Data", "300", 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const struct {
	const char *name, *what;
	bool (*run)(const struct options *o, struct team *team);
} commands[] = {
	{ "time", "check, launch, burst, stale, selfish, omission, holding, rented, hopping, dating", economy_time },
	{ "data", "shared, pay, kinds, rates", economy_data },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(const struct options *o)
{
	char *help = options_help(o);

	printf("Usage: contrib/economy <command> [options]\n\nCommands, with their tables:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %s    %s\n", commands[i].name, commands[i].what);
	printf("\n%s", help);
	free(help);
}

static int run(const struct options *o, const char *command)
{
	struct errmsg err;
	int64_t threads;

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(command, commands[i].name) != 0)
			continue;
		if (!options_int(o, "threads", 1, 64, &threads, &err)) {
			fprintf(stderr, "error: %s\n", err.text);
			return EXIT_FAILURE;
		}
		struct team *team = team_new((unsigned)threads);
		bool ok = commands[i].run(o, team);

		team_free(team);
		return ok ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	fprintf(stderr, "error: there is no command %s; see --help\n", command);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options *o = options_new(options_table);
	bool has_command = argc > 1 && argv[1][0] != '-';
	struct errmsg err;
	int status = EXIT_FAILURE;

	/* The command comes first: what is behind it is parsed as a command line of its own. */
	if (!options_parse_args(o, has_command ? argc - 1 : argc, has_command ? argv + 1 : argv, NULL, &err)) {
		fprintf(stderr, "error: %s\n", err.text);
	} else if (options_bool(o, "help")) {
		print_help(o);
		status = EXIT_SUCCESS;
	} else if (!has_command) {
		fprintf(stderr, "error: which command? See --help\n");
	} else {
		status = run(o, argv[1]);
	}
	options_free(o);
	return status;
}
