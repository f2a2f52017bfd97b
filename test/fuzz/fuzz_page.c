/* What strangers say to the page's server: paths, queries, bodies, hosts and origins. Whatever they are, no file
 * outside of the folders is named, and what is taken for a call's arguments is an object. */
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "web/files.h"
#include "web/guard.h"
#include "web/routes.h"

static void check_file(const char *path)
{
	char *file = files_path("/folder", path);

	if (file == NULL)
		return;
	FUZZ_PROMISE(strncmp(file, "/folder/", 8) == 0 || strncmp(file, "/usr/share/javascript/", 22) == 0);
	FUZZ_PROMISE(strstr(file, "/.") == NULL && strstr(file, "//") == NULL && strchr(file, '%') == NULL);
	free(file);
}

static void check_calls(const char *path, const char *query)
{
	const struct route *route, *action = routes_find_action(path);
	struct errmsg err;
	json_t *params;

	if (routes_read(path, query, &route, &params, &err) == ROUTES_FOUND) {
		FUZZ_PROMISE(json_is_object(params) && route->method != NULL);
		json_decref(params);
	}
	if (action == NULL)
		action = routes_find_action("contribute");
	params = routes_read_body(action, query, strlen(query), &err);
	FUZZ_PROMISE(params == NULL || json_is_object(params));
	json_decref(params);
}

/* A head that is taken names this machine, and its origin, if any, is the same. */
static void check_guard(char *host, char *origin)
{
	static const struct guard guard = { NULL, NULL, 0, 0 };
	struct http_head head = { .method = (char *)"GET", .target = (char *)"/" };

	head.fields[HTTP_HOST] = host;
	head.fields[HTTP_ORIGIN] = origin[0] != '\0' ? origin : NULL;
	if (guard_judge(&guard, &head) != 0)
		return;
	FUZZ_PROMISE(strncasecmp(host, "localhost", 9) == 0 || strncmp(host, "127.0.0.1", 9) == 0 ||
		strncmp(host, "[::1]", 5) == 0 || strcmp(host, "::1") == 0);
	FUZZ_PROMISE(origin[0] == '\0' || strcasecmp(strstr(origin, "://") + 3, host) == 0);
}

/* Two lines: of each check both texts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *second;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	second = strchr(text, '\n');
	if (second != NULL)
		*second++ = '\0';
	else
		second = text + strlen(text);
	check_file(text);
	check_calls(text, second);
	check_guard(text, second);
	free(text);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"/views/../a.js\n",
		"/lib/dygraphs/dygraph.min.js\n",
		"block/%35\n",
		"datasets\ncount=5&skip=%31+",
		"contribute\n{\"title\":\"a\",\"hexdata\":\"00\",\"wallet\":null}",
		"localhost:80\nhttp://localhost:80",
		"[::1]:1\nhttps://[::1]:1",
	};

	if (index >= sizeof texts / sizeof *texts)
		return false;
	buf_put_text(out, texts[index]);
	return true;
}
