/* A file of names, one a line, replaced as a whole. */
#include "wallet/startup.h"

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/file.h"
#include "util/mem.h"

enum { FILE_MAX = 1 << 17 };

static char *path_of(const char *dir)
{
	return path_join(dir, ".startup");
}

static void free_names(char **names, size_t count)
{
	while (count > 0)
		free(names[--count]);
	free(names);
}

/* The lines that are not empty. */
static char **split_lines(char *text, size_t *count)
{
	char **names = mem_alloc(0), *rest = NULL;

	*count = 0;
	for (char *line = strtok_r(text, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
		names = mem_realloc(names, (*count + 1) * sizeof *names);
		names[(*count)++] = mem_strdup(line);
	}
	return names;
}

char **startup_read(const char *dir, size_t *count, struct errmsg *err)
{
	char *path = path_of(dir), *text = NULL, **names = NULL;
	struct buf data;

	buf_init(&data);
	*count = 0;
	/* No file is an empty list: a node that never was asked to load any has none. */
	if (!file_exists(path) || file_read(path, FILE_MAX, &data, err)) {
		text = buf_take_text(&data);
		names = split_lines(text, count);
	}
	if (names != NULL && *count > STARTUP_MAX) {
		free_names(names, *count);
		names = NULL;
		errmsg_set(err, "%s: has more than %d lines", path, STARTUP_MAX);
	}
	buf_clear(&data);
	free(text);
	free(path);
	return names;
}

/* Whole or not at all: a node that is killed meanwhile loads the wallets of before or those of now. */
static bool write_names(const char *dir, char **names, size_t count, struct errmsg *err)
{
	char *path = path_of(dir);
	struct buf text;
	bool ok;

	buf_init(&text);
	for (size_t i = 0; i < count; i++) {
		buf_put_text(&text, names[i]);
		buf_put_u8(&text, '\n');
	}
	ok = file_write_atomic(path, text.data, text.size, 0600, err);
	buf_clear(&text);
	free(path);
	return ok;
}

/* Nothing is written where nothing changes: to be asked twice is no error. */
bool startup_set(const char *dir, const char *name, bool wanted, struct errmsg *err)
{
	size_t count, at = 0;
	char **names = startup_read(dir, &count, err);
	bool ok = true;

	if (names == NULL)
		return false;
	while (at < count && strcmp(names[at], name) != 0)
		at++;
	if (wanted && at == count && count == STARTUP_MAX) {
		ok = errmsg_set(err, "At most %d wallets are loaded at the start", STARTUP_MAX);
	} else if (wanted && at == count) {
		names = mem_realloc(names, (count + 1) * sizeof *names);
		names[count++] = mem_strdup(name);
		ok = write_names(dir, names, count, err);
	} else if (!wanted && at < count) {
		free(names[at]);
		memmove(&names[at], &names[at + 1], (--count - at) * sizeof *names);
		ok = write_names(dir, names, count, err);
	}
	free_names(names, count);
	return ok;
}
