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

#define FILE_MAX (1 << 20)
#define TABLES_MAX 8
#define HELP_INDENT 7

/* One setting as it was given. */
struct setting {
	const struct option_spec *spec;
	char *value;
	char *section; /* of the file; NULL: before the first section, or the command line */
	bool negated;
};

struct list {
	struct setting *items;
	size_t count, cap;
};

struct options {
	const struct option_spec *tables[TABLES_MAX];
	size_t table_count;
	struct list args, file;
	char *section; /* the network's; NULL: none chosen */
	bool skip_unknown;
};

static void list_add(struct list *l, struct setting item)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->items = mem_realloc(l->items, l->cap * sizeof *l->items);
	}
	l->items[l->count++] = item;
}

static void list_clear(struct list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].value);
		free(l->items[i].section);
	}
	free(l->items);
}

struct options *options_new(const struct option_spec *table)
{
	struct options *o = mem_calloc(1, sizeof *o);

	options_add_table(o, table);
	return o;
}

void options_add_table(struct options *o, const struct option_spec *table)
{
	if (o->table_count == TABLES_MAX) {
		fprintf(stderr, "More than %d option tables\n", TABLES_MAX);
		abort();
	}
	o->tables[o->table_count++] = table;
}

void options_free(struct options *o)
{
	if (o == NULL)
		return;
	list_clear(&o->args);
	list_clear(&o->file);
	free(o->section);
	free(o);
}

static const struct option_spec *find_spec(const struct options *o, const char *name, size_t size)
{
	for (size_t t = 0; t < o->table_count; t++)
		for (const struct option_spec *s = o->tables[t]; s->name; s++)
			if (strlen(s->name) == size && memcmp(s->name, name, size) == 0)
				return s;
	return NULL;
}

/* For the getters: asking for an option that no table has is a mistake in the program. */
static const struct option_spec *known_spec(const struct options *o, const char *name)
{
	const struct option_spec *spec = find_spec(o, name, strlen(name));

	if (spec == NULL) {
		fprintf(stderr, "No option table has -%s\n", name);
		abort();
	}
	return spec;
}

/* The option of a name as it was written; *negated if it was written as -noname. NULL: none. A name that is in a table
 * beats its reading as a negation: an option may begin with "no". */
static const struct option_spec *find_written(const struct options *o, const char *name, size_t size, bool *negated)
{
	const struct option_spec *spec = find_spec(o, name, size);

	*negated = spec == NULL && size > 2 && memcmp(name, "no", 2) == 0;
	return *negated ? find_spec(o, name + 2, size - 2) : spec;
}

/* Makes a setting of a name and a value (NULL: none was written). `where` tells the place, for errors. */
static bool make_setting(const struct options *o, const char *name, size_t size, const char *value, const char *where,
	struct setting *out, struct errmsg *err)
{
	bool negated;

	out->spec = find_written(o, name, size, &negated);
	if (out->spec == NULL)
		return errmsg_set(err, "%s: there is no option %.*s", where, (int)(size < 64 ? size : 64), name);
	if (!negated && value == NULL && out->spec->argument != NULL && out->spec->argument[0] == '<')
		return errmsg_set(err, "%s: the option %s needs a value: -%s=%s", where, out->spec->name,
			out->spec->name, out->spec->argument);
	if (out->spec->argument == NULL && value != NULL && strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return errmsg_set(err, "%s: the option %s must be 0 or 1, not '%.64s'", where, out->spec->name, value);
	/* From here on value is what the getters give; only a multi option asks whether it was negated. */
	/* -noname=0 negates twice. */
	out->negated = negated && (value == NULL || strcmp(value, "0") != 0);
	if (negated)
		value = out->negated ? "0" : "1";
	value = value != NULL ? value : "1";
	out->value = out->spec->flags & OPTION_PATH ? path_expand(value) : mem_strdup(value);
	out->section = NULL;
	return true;
}

/* The first argument that does not begin with a dash ends the options; "-" alone is an operand, as programs have it
 * that read standard input. What was read before a mistake stays in the list: the program ends then. */
bool options_parse_args(struct options *o, int argc, char *const argv[], int *operands, struct errmsg *err)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != 0; i++) {
		const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1), *equals = strchr(name, '=');
		size_t size = equals != NULL ? (size_t)(equals - name) : strlen(name);
		char where[128];
		struct setting item;

		snprintf(where, sizeof where, "Argument %.100s", argv[i]);
		if (!make_setting(o, name, size, equals != NULL ? equals + 1 : NULL, where, &item, err))
			return false;
		list_add(&o->args, item);
	}
	if (operands != NULL)
		*operands = i;
	else if (i < argc)
		return errmsg_set(err, "Argument %.100s: is not an option", argv[i]);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks off both ends of text[*start..*end). */
static void trim_blanks(const char *text, size_t *start, size_t *end)
{
	while (*start < *end && is_blank(text[*start]))
		++*start;
	while (*end > *start && is_blank(text[*end - 1]))
		--*end;
}

/* A comment starts at the beginning of a line or after a blank, so a password may contain '#'. */
static size_t without_comment(const char *text, size_t start, size_t end)
{
	for (size_t i = start; i < end; i++)
		if (text[i] == '#' && (i == start || is_blank(text[i - 1])))
			return i;
	return end;
}

static char *slice_text(const char *text, size_t start, size_t end)
{
	char *copy = mem_alloc(end - start + 1);

	memcpy(copy, text + start, end - start);
	copy[end - start] = 0;
	return copy;
}

static bool parse_setting(struct options *o, const char *text, size_t start, size_t end, const char *section,
	const char *where, struct errmsg *err)
{
	const char *equals = memchr(text + start, '=', end - start);
	size_t name_end, value_start;
	char *value;
	struct setting item;
	bool ok, negated;

	if (equals == NULL)
		return errmsg_set(err, "%s: a line must have the form name=value", where);
	name_end = (size_t)(equals - text);
	value_start = name_end + 1;
	trim_blanks(text, &start, &name_end);
	trim_blanks(text, &value_start, &end);
	if (o->skip_unknown && find_written(o, text + start, name_end - start, &negated) == NULL)
		return true;
	value = slice_text(text, value_start, end);
	ok = make_setting(o, text + start, name_end - start, value, where, &item, err);
	free(value);
	if (!ok)
		return false;
	item.section = section != NULL ? mem_strdup(section) : NULL;
	/* Into the list even where it is refused: the list owns its texts, and frees them. */
	list_add(&o->file, item);
	if (item.spec->flags & OPTION_COMMAND_LINE)
		return errmsg_set(err, "%s: the option %s is for the command line only", where, item.spec->name);
	return true;
}

/* One line without its line break: blanks off, the comment off, and the blanks before the comment off. *section is
 * replaced by a section's head. */
static bool parse_line(struct options *o, const char *text, size_t start, size_t end, char **section, const char *where,
	struct errmsg *err)
{
	trim_blanks(text, &start, &end);
	end = without_comment(text, start, end);
	trim_blanks(text, &start, &end);
	if (start == end)
		return true;
	if (text[start] != '[')
		return parse_setting(o, text, start, end, *section, where, err);
	if (text[end - 1] != ']' || end - start < 3)
		return errmsg_set(err, "%s: a section must have the form [name]", where);
	free(*section);
	*section = slice_text(text, start + 1, end - 1);
	return true;
}

bool options_parse_text(struct options *o, const char *name, const char *text, size_t size, struct errmsg *err)
{
	char *section = NULL, where[160];
	size_t line = 1;
	bool ok = true;

	for (size_t at = 0; ok && at < size; line++) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t end = newline != NULL ? (size_t)(newline - text) : size;

		/* Each message has the place: a file may have hundreds of lines, and an option several names. */
		snprintf(where, sizeof where, "%.120s:%zu", name, line);
		if (memchr(text + at, 0, end - at) != NULL)
			ok = errmsg_set(err, "%s: the line contains a zero byte", where);
		else
			ok = parse_line(o, text, at, end, &section, where, err);
		at = end + 1;
	}
	free(section);
	return ok;
}

bool options_parse_file(struct options *o, const char *path, struct errmsg *err)
{
	struct buf b;
	bool ok;

	buf_init(&b);
	ok = file_read(path, FILE_MAX, &b, err) && options_parse_text(o, path, (const char *)b.data, b.size, err);
	buf_clear(&b);
	return ok;
}

void options_skip_unknown(struct options *o)
{
	o->skip_unknown = true;
}

void options_set_section(struct options *o, const char *section)
{
	free(o->section);
	o->section = section != NULL ? mem_strdup(section) : NULL;
}

void options_set(struct options *o, const char *name, const char *value)
{
	list_add(&o->args, (struct setting){ known_spec(o, name), mem_strdup(value), NULL, false });
}

/* Does the item count: right option, and in the file the right part of it? */
static bool setting_counts(const struct options *o, const struct setting *item, const struct option_spec *spec,
	bool own_section)
{
	if (item->spec != spec)
		return false;
	if (!own_section)
		return item->section == NULL;
	return item->section != NULL && o->section != NULL && strcmp(item->section, o->section) == 0;
}

/* The setting that decides for an option with one value: the last argument of the command line; else the file's first
 * line in the section that counts; else its first line before all sections. Last there and first here, as Bitcoin Core
 * has it: a later argument corrects an earlier one, while a file is read from above. */
static const struct setting *find_deciding(const struct options *o, const struct option_spec *spec)
{
	for (size_t i = o->args.count; i > 0; i--)
		/* What options_set added stands behind all arguments, and so wins. */
		if (o->args.items[i - 1].spec == spec)
			return &o->args.items[i - 1];
	for (int general = 0; general < 2; general++)
		for (size_t i = 0; i < o->file.count; i++)
			if (setting_counts(o, &o->file.items[i], spec, !general))
				return &o->file.items[i];
	return NULL;
}

bool options_is_set(const struct options *o, const char *name)
{
	return find_deciding(o, known_spec(o, name)) != NULL;
}

const char *options_string(const struct options *o, const char *name)
{
	const struct option_spec *spec = known_spec(o, name);
	const struct setting *item = find_deciding(o, spec);

	return item != NULL ? item->value : spec->fallback;
}

bool options_bool(const struct options *o, const char *name)
{
	const char *value = options_string(o, name);

	return value != NULL && strcmp(value, "0") != 0;
}

bool options_int(const struct options *o, const char *name, int64_t min, int64_t max, int64_t *value,
	struct errmsg *err)
{
	const char *text = options_string(o, name);
	char *end;
	long long number;

	if (text == NULL) {
		*value = 0;
		return true;
	}
	/* strtoll takes blanks and a plus in front: the first character is checked too. */
	errno = 0;
	number = strtoll(text, &end, 10);
	if (!((text[0] >= '0' && text[0] <= '9') || text[0] == '-') || end == text || *end || errno)
		return errmsg_set(err, "The option %s must be a whole number, not '%.64s'", name, text);
	/* Out of range, of strtoll (errno above) or of the option: never cut to what would fit. */
	if (number < min || number > max)
		return errmsg_set(err, "The option %s must be between %lld and %lld, not %.32s", name, (long long)min,
			(long long)max, text);
	*value = number;
	return true;
}

/* Walks one source's values of a multi option, after its last negation. Counts *index down; returns the value where it
 * reaches zero. *negated is set if this source forgets those behind it. */
static const char *walk_values(const struct options *o, const struct list *l, const struct option_spec *spec,
	bool own_section, size_t *index, bool *negated)
{
	size_t start = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (setting_counts(o, &l->items[i], spec, own_section) && l->items[i].negated) {
			start = i + 1;
			*negated = true;
		}
	}
	/* *index counts down over all sources: what is left of it is the index within the next. */
	for (size_t i = start; i < l->count; i++)
		if (setting_counts(o, &l->items[i], spec, own_section) && (*index)-- == 0)
			return l->items[i].value;
	return NULL;
}

/* The values of all sources as one row: the command line's, the section's, those before the sections. A negation ends
 * the row behind its source and drops what its source had before it: -nox -x=1 leaves 1 alone, whatever the file says.
 */
const char *options_value(const struct options *o, const char *name, size_t index)
{
	const struct option_spec *spec = known_spec(o, name);
	bool negated = false;
	const char *value = walk_values(o, &o->args, spec, false, &index, &negated);

	if (value == NULL && !negated)
		value = walk_values(o, &o->file, spec, true, &index, &negated);
	if (value == NULL && !negated)
		value = walk_values(o, &o->file, spec, false, &index, &negated);
	return value;
}

size_t options_count(const struct options *o, const char *name)
{
	size_t count = 0;

	while (options_value(o, name, count) != NULL)
		count++;
	return count;
}

static void help_one(struct buf *b, const struct option_spec *s)
{
	struct buf text;
	char *joined;

	buf_put_text(b, "  -");
	buf_put_text(b, s->name);
	if (s->argument != NULL && s->argument[0] == '<')
		buf_put_u8(b, '=');
	if (s->argument != NULL)
		buf_put_text(b, s->argument);
	buf_put_u8(b, '\n');
	buf_init(&text);
	buf_put_text(&text, s->help);
	if (s->fallback != NULL) {
		buf_put_text(&text, " (default: ");
		buf_put_text(&text, s->fallback);
		buf_put_text(&text, ")");
	}
	joined = buf_take_text(&text);
	text_wrap(b, joined, HELP_INDENT, 0);
	free(joined);
}

char *options_help(const struct options *o)
{
	struct buf b;
	const char *group = "";

	buf_init(&b);
	for (size_t t = 0; t < o->table_count; t++) {
		for (const struct option_spec *s = o->tables[t]; s->name; s++) {
			if (s->flags & OPTION_HIDDEN)
				continue;
			if (strcmp(group, s->group) != 0) {
				buf_put_text(&b, b.size ? "\n" : "");
				buf_put_text(&b, s->group);
				buf_put_text(&b, ":\n\n");
				group = s->group;
			}
			help_one(&b, s);
		}
	}
	return buf_take_text(&b);
}
