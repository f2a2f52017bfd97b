/* A file of names, one a line, replaced as a whole. */
#include "wallet/startup.h"

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/file.h"
#include "util/mem.h"

enum { STARTUP_FILE_MAX = 1 << 17 };

static char *startup_path(const char *dir)
{
	return path_join(dir, ".startup");
}

static void startup_free_names(char **startup_names, size_t name_count)
{
	while (name_count > 0)
		free(startup_names[--name_count]);
	free(startup_names);
}

/* The lines that are not empty. */
static char **startup_split_lines(char *list_text, size_t *name_count)
{
	char **startup_names = mem_alloc(0), *list_rest = NULL;

	*name_count = 0;
	for (char *line = strtok_r(list_text, "\r\n", &list_rest); line != NULL;
		line = strtok_r(NULL, "\r\n", &list_rest)) {
		startup_names = mem_realloc(startup_names, (*name_count + 1) * sizeof *startup_names);
		startup_names[(*name_count)++] = mem_strdup(line);
	}
	return startup_names;
}

char **startup_read(const char *dir, size_t *name_count, struct errmsg *err)
{
	char *list_path = startup_path(dir), *list_text = NULL, **startup_names = NULL;
	struct buf list_data;

	buf_init(&list_data);
	*name_count = 0;
	/* No file is an empty list: a node that never was asked to load any has none. */
	if (!file_exists(list_path) || file_read(list_path, STARTUP_FILE_MAX, &list_data, err)) {
		list_text = buf_take_text(&list_data);
		startup_names = startup_split_lines(list_text, name_count);
	}
	if (startup_names != NULL && *name_count > STARTUP_MAX) {
		startup_free_names(startup_names, *name_count);
		startup_names = NULL;
		errmsg_set(err, "%s: has more than %d lines", list_path, STARTUP_MAX);
	}
	buf_clear(&list_data);
	free(list_text);
	free(list_path);
	return startup_names;
}

/* Whole or not at all: a node that is killed meanwhile loads the wallets of before or those of now. */
static bool startup_write_names(const char *dir, char **startup_names, size_t name_count, struct errmsg *err)
{
	char *list_path = startup_path(dir);
	struct buf list_text;
	bool is_written;

	buf_init(&list_text);
	for (size_t i = 0; i < name_count; i++) {
		buf_put_text(&list_text, startup_names[i]);
		buf_put_u8(&list_text, '\n');
	}
	is_written = file_write_atomic(list_path, list_text.data, list_text.size, 0600, err);
	buf_clear(&list_text);
	free(list_path);
	return is_written;
}

/* Nothing is written where nothing changes: to be asked twice is no error. */
bool startup_set(const char *dir, const char *name, bool wanted, struct errmsg *err)
{
	size_t name_count, name_at = 0;
	char **startup_names = startup_read(dir, &name_count, err);
	bool is_set = true;

	if (startup_names == NULL)
		return false;
	while (name_at < name_count && strcmp(startup_names[name_at], name) != 0)
		name_at++;
	if (wanted && name_at == name_count && name_count == STARTUP_MAX) {
		is_set = errmsg_set(err, "At most %d wallets are loaded at the start", STARTUP_MAX);
	} else if (wanted && name_at == name_count) {
		startup_names = mem_realloc(startup_names, (name_count + 1) * sizeof *startup_names);
		startup_names[name_count++] = mem_strdup(name);
		is_set = startup_write_names(dir, startup_names, name_count, err);
	} else if (!wanted && name_at < name_count) {
		free(startup_names[name_at]);
		memmove(&startup_names[name_at], &startup_names[name_at + 1],
			(--name_count - name_at) * sizeof *startup_names);
		is_set = startup_write_names(dir, startup_names, name_count, err);
	}
	startup_free_names(startup_names, name_count);
	return is_set;
}
