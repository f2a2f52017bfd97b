/* Options: the command line and the configuration file, in Bitcoin's form.
 *
 *     command line:  -name   -name=value   --name=value   -noname
 *     file:          name=value     # comment     [regtest]
 *
 * A table of `struct option_spec` says which options there are; an option that is not in it is an error that names it
 * and where it stood. `-name` alone means "1" where no value is required; `-noname` means "0" and, for an option that
 * takes several values, forgets those given before it, and all of the sources behind. The command line beats the file;
 * in the file the section that bears the network's name beats the lines before the first section. Of several values for
 * an option that takes one, the last on the command line counts, and the first in the file. On the command line the
 * first argument that is no option is the first operand, and ends the options. A comment in the file starts at the
 * beginning of a line or after a blank.
 *
 * Sections other than the chosen network's are checked for unknown options too, and otherwise ignored. */
#ifndef ATELIER_UTIL_OPTIONS_H
#define ATELIER_UTIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum option_flag {
	OPTION_MULTI = 1,        /* may be given several times, all values count */
	OPTION_COMMAND_LINE = 2, /* has no meaning in a file, and is refused there (-conf, -help, ...) */
	OPTION_HIDDEN = 4,       /* works, but -help does not show it */
	OPTION_PATH = 8,         /* a leading ~ stands for the home folder: no shell expands it behind a = */
};

struct option_spec {
	const char *name;     /* without the dash; NULL ends the table */
	const char *argument; /* "<port>": a value is required; "[=<name>]": it may be missing; NULL: a switch */
	const char *help;     /* one or more sentences; wrapped when printed */
	const char *group;    /* heading in the help; options of a group stand together in the table */
	const char *fallback; /* what the getters give where nothing was set; NULL: none */
	unsigned flags;       /* of enum option_flag */
};

struct options;

/* Tables are borrowed and must outlive the options. A second table can be added: the same name must not be in both. */
struct options *options_new(const struct option_spec *table);
void options_add_table(struct options *options, const struct option_spec *table);
void options_free(struct options *options);

/* Reads argv[1..argc). *operands is the index of the first operand, argc if there is none; with operands NULL an
 * operand is an error. */
bool options_parse_args(struct options *options, int argc, char *const argv[], int *operands, struct errmsg *err);

/* Reads a configuration file (at most 1 MiB) and keeps its lines for every section; options_set_section says
 * afterwards which section counts (before that: none). A missing file is an error: the caller
 * knows whether it may be missing. */
bool options_parse_file(struct options *options, const char *path, struct errmsg *err);
bool options_parse_text(struct options *options, const char *name, const char *text, size_t size, struct errmsg *err);

/* From now on files may have options that no table knows: for a program that shares the file with another. */
void options_skip_unknown(struct options *options);
void options_set_section(struct options *options, const char *section);

/* Getters. The name must be in a table. Strings are borrowed and live as long as the options. */
bool options_is_set(const struct options *options, const char *name); /* by command line or file */
const char *options_string(const struct options *options,
	const char *name);                                          /* the value, else the fallback, else NULL */
bool options_bool(const struct options *options, const char *name); /* "0" and nothing set are false, all else true */

/* Fails if the value is no decimal integer or not in min..max; *value is then left alone. An option with neither value
 * nor fallback gives *value = 0 and true, whatever min is: ask options_is_set. */
bool options_int(const struct options *options, const char *name, int64_t min, int64_t max, int64_t *value,
	struct errmsg *err);

/* All values of a multi option: the command line's, then the file's. index counts from 0; NULL behind the last. The
 * fallback is not among them. */
const char *options_value(const struct options *options, const char *name, size_t index);
size_t options_count(const struct options *options, const char *name);

/* Sets a value as the command line would, in front of it: for options that follow from others. */
void options_set(struct options *options, const char *name, const char *value);

/* The text that -help prints, made from the tables; the caller frees it. */
char *options_help(const struct options *options);

#endif
