/* Names of files out of paths, and files as answers. */
#include "web/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/file.h"
#include "util/mem.h"
#include "web/answer.h"

/* Paths of this build; configure does not know them all before make. */
static const char files_installed[] = WEB_INSTALLED_FOLDER, files_source[] = WEB_SOURCE_FOLDER,
		  files_build[] = WEB_BUILD_FOLDER "/", files_lib[] = "/lib/",
		  files_javascript[] = "/usr/share/javascript";

/* The libraries that a page may use, by their folders' names. */
static const char *const files_libraries[] = { "dygraphs/", "chart.js/" };

static bool files_runs_in_build(void)
{
	char program[4096];
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);

	if (size < 0)
		return false;
	program[size] = '\0';
	return strncmp(program, files_build, strlen(files_build)) == 0;
}

char *files_folder(const char *chosen)
{
	if (chosen != NULL && *chosen != '\0')
		return mem_strdup(chosen);
	return mem_strdup(files_runs_in_build() ? files_source : files_installed);
}

/* Pieces of letters, digits and a few signs, none of which begins with a dot: so no piece is "..", and no name is
 * hidden. What a browser encodes is in no name here. */
static bool files_is_name(const char *name)
{
	static const char files_signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	for (;;) {
		size_t piece_size = strspn(name, files_signs);

		if (piece_size == 0 || name[0] == '.')
			return false;
		name += piece_size;
		if (*name == '\0')
			return true;
		if (*name++ != '/')
			return false;
	}
}

char *files_path(const char *folder, const char *path)
{
	const char *name = strcmp(path, "/") == 0 ? "index.html" : path + 1;

	if (path[0] != '/' || !files_is_name(name))
		return NULL;
	if (strncmp(path, files_lib, strlen(files_lib)) != 0)
		return path_join(folder, name);
	name = path + strlen(files_lib);
	for (size_t i = 0; i < sizeof files_libraries / sizeof files_libraries[0]; i++)
		if (strncmp(name, files_libraries[i], strlen(files_libraries[i])) == 0)
			return path_join(files_javascript, name);
	return NULL;
}

bool files_has_path(const char *path)
{
	return strncmp(path, "/api/", 5) != 0 && strncmp(path, "/v1/", 4) != 0;
}

/* By the name's ending; what browsers would guess otherwise they are told not to (nosniff). */
static const char *files_type(const char *file)
{
	static const struct {
		const char *ending, *type;
	} files_types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".map", "application/json" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".ico", "image/x-icon" },
		{ ".woff2", "font/woff2" },
		{ ".txt", "text/plain; charset=utf-8" },
	};
	size_t file_size = strlen(file);

	for (size_t i = 0; i < sizeof files_types / sizeof files_types[0]; i++) {
		size_t ending_size = strlen(files_types[i].ending);

		if (file_size > ending_size && strcmp(file + file_size - ending_size, files_types[i].ending) == 0)
			return files_types[i].type;
	}
	return "application/octet-stream";
}

void files_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	char *file = files_path(context, request->path);
	struct buf contents;

	buf_init(&contents);
	/* Read on the loop's thread: they are small, and in the system's memory from the second time on. */
	if (file != NULL && file_read(file, FILES_MAX, &contents, NULL))
		answer_give(exchange, request->head->fields[HTTP_IF_NONE_MATCH], files_type(file), &contents);
	else
		answer_refuse(exchange, 404, "There is no such page");
	buf_clear(&contents);
	free(file);
}
