/* Options: reading the command line and the file into lists, deciding between them, printing the help.
 *
 * Nothing is decided while they are read: each setting is kept with where it stood, since the section that counts is
 * known only once all sources are read. */
#include "util/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/text.h"

#define OPTIONS_FILE_MAX (1 << 20)
#define OPTIONS_TABLES_MAX 8
#define OPTIONS_HELP_INDENT 7

/* One setting as it was given. */
struct option_setting {
	const struct option_spec *option;
	char *value;
	char *section; /* of the file; NULL: before the first section, or the command line */
	bool negated;
};

struct option_list {
	struct option_setting *items;
	size_t count, cap;
};

struct options {
	const struct option_spec *tables[OPTIONS_TABLES_MAX];
	size_t table_count;
	struct option_list args, file;
	char *section; /* the network's; NULL: none chosen */
	bool skip_unknown;
};

static void option_list_add(struct option_list *option_list, struct option_setting setting)
{
	if (option_list->count == option_list->cap) {
		option_list->cap = option_list->cap ? 2 * option_list->cap : 16;
		option_list->items = mem_realloc(option_list->items, option_list->cap * sizeof *option_list->items);
	}
	option_list->items[option_list->count++] = setting;
}

static void option_list_clear(struct option_list *option_list)
{
	for (size_t i = 0; i < option_list->count; i++) {
		free(option_list->items[i].value);
		free(option_list->items[i].section);
	}
	free(option_list->items);
}

struct options *options_new(const struct option_spec *table)
{
	struct options *options = mem_calloc(1, sizeof *options);

	options_add_table(options, table);
	return options;
}

void options_add_table(struct options *options, const struct option_spec *table)
{
	if (options->table_count == OPTIONS_TABLES_MAX) {
		fprintf(stderr, "More than %d option tables\n", OPTIONS_TABLES_MAX);
		abort();
	}
	options->tables[options->table_count++] = table;
}

void options_free(struct options *options)
{
	if (options == NULL)
		return;
	option_list_clear(&options->args);
	option_list_clear(&options->file);
	free(options->section);
	free(options);
}

static const struct option_spec *option_find(const struct options *options, const char *name, size_t size)
{
	for (size_t i = 0; i < options->table_count; i++)
		for (const struct option_spec *option = options->tables[i]; option->name; option++)
			if (strlen(option->name) == size && memcmp(option->name, name, size) == 0)
				return option;
	return NULL;
}

/* For the getters: asking for an option that no table has is a mistake in the program. */
static const struct option_spec *option_known(const struct options *options, const char *name)
{
	const struct option_spec *option = option_find(options, name, strlen(name));

	if (option == NULL) {
		fprintf(stderr, "No option table has -%s\n", name);
		abort();
	}
	return option;
}

/* The option of a name as it was written; *negated if it was written as -noname. NULL: none. A name that is in a table
 * beats its reading as a negation: an option may begin with "no". */
static const struct option_spec *option_find_written(const struct options *options, const char *name, size_t size,
	bool *negated)
{
	const struct option_spec *option = option_find(options, name, size);

	*negated = option == NULL && size > 2 && memcmp(name, "no", 2) == 0;
	return *negated ? option_find(options, name + 2, size - 2) : option;
}

/* Makes a setting of a name and a value (NULL: none was written). `option_place` says where it stood, for errors. */
static bool option_make_setting(const struct options *options, const char *name, size_t size, const char *option_value,
	const char *option_place, struct option_setting *setting, struct errmsg *err)
{
	bool negated;

	setting->option = option_find_written(options, name, size, &negated);
	if (setting->option == NULL)
		return errmsg_set(err, "%s: there is no option %.*s (-help lists them)", option_place,
			(int)(size < 64 ? size : 64), name);
	if (!negated && option_value == NULL && setting->option->argument != NULL &&
		setting->option->argument[0] == '<')
		return errmsg_set(err, "%s: the option %s needs a value: -%s=%s", option_place, setting->option->name,
			setting->option->name, setting->option->argument);
	if (setting->option->argument == NULL && option_value != NULL && strcmp(option_value, "0") != 0 &&
		strcmp(option_value, "1") != 0)
		return errmsg_set(err, "%s: the option %s must be 0 or 1, not '%.64s'", option_place,
			setting->option->name, option_value);
	/* From here on option_value is what the getters give; only a multi option asks whether it was negated. */
	/* -noname=0 negates twice. */
	setting->negated = negated && (option_value == NULL || strcmp(option_value, "0") != 0);
	if (negated)
		option_value = setting->negated ? "0" : "1";
	option_value = option_value != NULL ? option_value : "1";
	setting->value = setting->option->flags & OPTION_PATH ? path_expand(option_value) : mem_strdup(option_value);
	setting->section = NULL;
	return true;
}

/* The first argument that does not begin with a dash ends the options; "-" alone is an operand, as programs have it
 * that read standard input. What was read before a mistake stays in the list: the program ends then. */
bool options_parse_args(struct options *options, int argc, char *const argv[], int *operands, struct errmsg *err)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != 0; i++) {
		const char *option_name = argv[i] + (argv[i][1] == '-' ? 2 : 1),
			   *option_equals = strchr(option_name, '=');
		size_t option_size = option_equals != NULL ? (size_t)(option_equals - option_name) :
							     strlen(option_name);
		char option_place[128];
		struct option_setting setting;

		snprintf(option_place, sizeof option_place, "Argument %.100s", argv[i]);
		if (!option_make_setting(options, option_name, option_size,
			    option_equals != NULL ? option_equals + 1 : NULL, option_place, &setting, err))
			return false;
		option_list_add(&options->args, setting);
	}
	if (operands != NULL)
		*operands = i;
	else if (i < argc)
		return errmsg_set(err, "Argument %.100s: is not an option", argv[i]);
	return true;
}

static bool conf_is_blank(char conf_letter)
{
	return conf_letter == ' ' || conf_letter == '\t' || conf_letter == '\r';
}

/* Cuts blanks off both ends of conf_text[*conf_start..*conf_end). */
static void conf_trim(const char *conf_text, size_t *conf_start, size_t *conf_end)
{
	while (*conf_start < *conf_end && conf_is_blank(conf_text[*conf_start]))
		++*conf_start;
	while (*conf_end > *conf_start && conf_is_blank(conf_text[*conf_end - 1]))
		--*conf_end;
}

/* A comment starts at the beginning of a line or after a blank, so a password may contain '#'. */
static size_t conf_without_comment(const char *conf_text, size_t conf_start, size_t conf_end)
{
	for (size_t i = conf_start; i < conf_end; i++)
		if (conf_text[i] == '#' && (i == conf_start || conf_is_blank(conf_text[i - 1])))
			return i;
	return conf_end;
}

static char *conf_slice_text(const char *conf_text, size_t conf_start, size_t conf_end)
{
	char *conf_slice = mem_alloc(conf_end - conf_start + 1);

	memcpy(conf_slice, conf_text + conf_start, conf_end - conf_start);
	conf_slice[conf_end - conf_start] = 0;
	return conf_slice;
}

static bool conf_parse_setting(struct options *options, const char *conf_text, size_t conf_start, size_t conf_end,
	const char *conf_section, const char *option_place, struct errmsg *err)
{
	const char *option_equals = memchr(conf_text + conf_start, '=', conf_end - conf_start);
	size_t conf_name_end, conf_value_start;
	char *option_value;
	struct option_setting setting;
	bool ok, negated;

	if (option_equals == NULL)
		return errmsg_set(err, "%s: a line must have the form name=value", option_place);
	conf_name_end = (size_t)(option_equals - conf_text);
	conf_value_start = conf_name_end + 1;
	conf_trim(conf_text, &conf_start, &conf_name_end);
	conf_trim(conf_text, &conf_value_start, &conf_end);
	if (options->skip_unknown &&
		option_find_written(options, conf_text + conf_start, conf_name_end - conf_start, &negated) == NULL)
		return true;
	option_value = conf_slice_text(conf_text, conf_value_start, conf_end);
	ok = option_make_setting(options, conf_text + conf_start, conf_name_end - conf_start, option_value,
		option_place, &setting, err);
	free(option_value);
	if (!ok)
		return false;
	setting.section = conf_section != NULL ? mem_strdup(conf_section) : NULL;
	/* Into the list even where it is refused: the list owns its texts, and frees them. */
	option_list_add(&options->file, setting);
	if (setting.option->flags & OPTION_COMMAND_LINE)
		return errmsg_set(err, "%s: the option %s is for the command line only", option_place,
			setting.option->name);
	return true;
}

/* One line without its line break: blanks off, the comment off, and the blanks before the comment off. *conf_section is
 * replaced by a section's head. */
static bool conf_parse_line(struct options *options, const char *conf_text, size_t conf_start, size_t conf_end,
	char **conf_section, const char *option_place, struct errmsg *err)
{
	conf_trim(conf_text, &conf_start, &conf_end);
	conf_end = conf_without_comment(conf_text, conf_start, conf_end);
	conf_trim(conf_text, &conf_start, &conf_end);
	if (conf_start == conf_end)
		return true;
	if (conf_text[conf_start] != '[')
		return conf_parse_setting(options, conf_text, conf_start, conf_end, *conf_section, option_place, err);
	if (conf_text[conf_end - 1] != ']' || conf_end - conf_start < 3)
		return errmsg_set(err, "%s: a section must have the form [name]", option_place);
	free(*conf_section);
	*conf_section = conf_slice_text(conf_text, conf_start + 1, conf_end - 1);
	return true;
}

bool options_parse_text(struct options *options, const char *name, const char *conf_text, size_t size,
	struct errmsg *err)
{
	char *conf_section = NULL, option_place[160];
	size_t conf_line = 1;
	bool ok = true;

	for (size_t conf_at = 0; ok && conf_at < size; conf_line++) {
		const char *newline = memchr(conf_text + conf_at, '\n', size - conf_at);
		size_t conf_end = newline != NULL ? (size_t)(newline - conf_text) : size;

		/* Each message has the place: a file may have hundreds of lines, and an option several names. */
		snprintf(option_place, sizeof option_place, "%.120s:%zu", name, conf_line);
		if (memchr(conf_text + conf_at, 0, conf_end - conf_at) != NULL)
			ok = errmsg_set(err, "%s: the line contains a zero byte", option_place);
		else
			ok = conf_parse_line(options, conf_text, conf_at, conf_end, &conf_section, option_place, err);
		conf_at = conf_end + 1;
	}
	free(conf_section);
	return ok;
}

bool options_parse_file(struct options *options, const char *path, struct errmsg *err)
{
	struct buf conf_text;
	bool ok;

	buf_init(&conf_text);
	ok = file_read(path, OPTIONS_FILE_MAX, &conf_text, err) &&
		options_parse_text(options, path, (const char *)conf_text.data, conf_text.size, err);
	buf_clear(&conf_text);
	return ok;
}

void options_skip_unknown(struct options *options)
{
	options->skip_unknown = true;
}

void options_set_section(struct options *options, const char *section)
{
	free(options->section);
	options->section = section != NULL ? mem_strdup(section) : NULL;
}

void options_set(struct options *options, const char *name, const char *value)
{
	option_list_add(&options->args,
		(struct option_setting){ option_known(options, name), mem_strdup(value), NULL, false });
}

/* Does the item count: right option, and in the file the right part of it? */
static bool option_setting_counts(const struct options *options, const struct option_setting *setting,
	const struct option_spec *option, bool conf_own_section)
{
	if (setting->option != option)
		return false;
	if (!conf_own_section)
		return setting->section == NULL;
	return setting->section != NULL && options->section != NULL && strcmp(setting->section, options->section) == 0;
}

/* The setting that decides for an option with one value: the last argument of the command line; else the file's first
 * line in the section that counts; else its first line before all sections. Last there and first here, as Bitcoin Core
 * has it: a later argument corrects an earlier one, while a file is read from above. */
static const struct option_setting *option_deciding(const struct options *options, const struct option_spec *option)
{
	for (size_t i = options->args.count; i > 0; i--)
		/* What options_set added stands behind all arguments, and so wins. */
		if (options->args.items[i - 1].option == option)
			return &options->args.items[i - 1];
	for (int conf_general = 0; conf_general < 2; conf_general++)
		for (size_t i = 0; i < options->file.count; i++)
			if (option_setting_counts(options, &options->file.items[i], option, !conf_general))
				return &options->file.items[i];
	return NULL;
}

bool options_is_set(const struct options *options, const char *name)
{
	return option_deciding(options, option_known(options, name)) != NULL;
}

const char *options_string(const struct options *options, const char *name)
{
	const struct option_spec *option = option_known(options, name);
	const struct option_setting *setting = option_deciding(options, option);

	return setting != NULL ? setting->value : option->fallback;
}

bool options_bool(const struct options *options, const char *name)
{
	const char *option_value = options_string(options, name);

	return option_value != NULL && strcmp(option_value, "0") != 0;
}

bool options_int(const struct options *options, const char *name, int64_t min, int64_t max, int64_t *value,
	struct errmsg *err)
{
	const char *option_text = options_string(options, name);
	char *option_end;
	long long option_number;

	if (option_text == NULL) {
		*value = 0;
		return true;
	}
	/* strtoll takes blanks and a plus in front: the first character is checked too. */
	errno = 0;
	option_number = strtoll(option_text, &option_end, 10);
	if (!((option_text[0] >= '0' && option_text[0] <= '9') || option_text[0] == '-') || option_end == option_text ||
		*option_end || errno)
		return errmsg_set(err, "The option %s must be a whole number, not '%.64s'", name, option_text);
	/* Out of range, of strtoll (errno above) or of the option: never cut to what would fit. */
	if (option_number < min || option_number > max)
		return errmsg_set(err, "The option %s must be between %lld and %lld, not %.32s", name, (long long)min,
			(long long)max, option_text);
	*value = option_number;
	return true;
}

/* Walks one source's values of a multi option, after its last negation. Counts *index down; returns the value where it
 * reaches zero. *negated is set if this source forgets those behind it. */
static const char *option_walk_values(const struct options *options, const struct option_list *option_list,
	const struct option_spec *option, bool conf_own_section, size_t *index, bool *negated)
{
	size_t option_first = 0;

	for (size_t i = 0; i < option_list->count; i++) {
		if (option_setting_counts(options, &option_list->items[i], option, conf_own_section) &&
			option_list->items[i].negated) {
			option_first = i + 1;
			*negated = true;
		}
	}
	/* *index counts down over all sources: what is left of it is the index within the next. */
	for (size_t i = option_first; i < option_list->count; i++)
		if (option_setting_counts(options, &option_list->items[i], option, conf_own_section) && (*index)-- == 0)
			return option_list->items[i].value;
	return NULL;
}

/* The values of all sources as one row: the command line's, the section's, those before the sections. A negation ends
 * the row behind its source and drops what its source had before it: -nox -x=1 leaves 1 alone, whatever the file says.
 */
const char *options_value(const struct options *options, const char *name, size_t index)
{
	const struct option_spec *option = option_known(options, name);
	bool negated = false;
	const char *option_value = option_walk_values(options, &options->args, option, false, &index, &negated);

	if (option_value == NULL && !negated)
		option_value = option_walk_values(options, &options->file, option, true, &index, &negated);
	if (option_value == NULL && !negated)
		option_value = option_walk_values(options, &options->file, option, false, &index, &negated);
	return option_value;
}

size_t options_count(const struct options *options, const char *name)
{
	size_t option_values = 0;

	while (options_value(options, name, option_values) != NULL)
		option_values++;
	return option_values;
}

static void option_help(struct buf *help_lines, const struct option_spec *option)
{
	struct buf help_text;
	char *help_joined;

	buf_put_text(help_lines, "  -");
	buf_put_text(help_lines, option->name);
	if (option->argument != NULL && option->argument[0] == '<')
		buf_put_u8(help_lines, '=');
	if (option->argument != NULL)
		buf_put_text(help_lines, option->argument);
	buf_put_u8(help_lines, '\n');
	buf_init(&help_text);
	buf_put_text(&help_text, option->help);
	if (option->fallback != NULL) {
		buf_put_text(&help_text, " (default: ");
		buf_put_text(&help_text, option->fallback);
		buf_put_text(&help_text, ")");
	}
	help_joined = buf_take_text(&help_text);
	text_wrap(help_lines, help_joined, OPTIONS_HELP_INDENT, 0);
	free(help_joined);
}

char *options_help(const struct options *options)
{
	struct buf help_lines;
	const char *help_group = "";

	buf_init(&help_lines);
	for (size_t i = 0; i < options->table_count; i++) {
		for (const struct option_spec *option = options->tables[i]; option->name; option++) {
			if (option->flags & OPTION_HIDDEN)
				continue;
			if (strcmp(help_group, option->group) != 0) {
				buf_put_text(&help_lines, help_lines.size ? "\n" : "");
				buf_put_text(&help_lines, option->group);
				buf_put_text(&help_lines, ":\n\n");
				help_group = option->group;
			}
			option_help(&help_lines, option);
		}
	}
	return buf_take_text(&help_lines);
}
