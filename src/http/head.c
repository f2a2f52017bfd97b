/* Heads of requests: the request line, then the fields, each with its own strictness. */
#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/mem.h"

enum { LENGTH_DIGITS_MAX = 18 }; /* fit whatever they are */

void http_head_init(struct http_head *head)
{
	*head = (struct http_head){ 0 };
}

void http_head_clear(struct http_head *head)
{
	free(head->method);
	free(head->target);
	free(head->authorization);
	http_head_init(head);
}

static int read_request_line(struct http_head *head, const char *line)
{
	const char *target = strchr(line, ' '), *version = target != NULL ? strchr(target + 1, ' ') : NULL;

	if (version == NULL || version == target + 1 || strncmp(version, " HTTP/", 6) != 0)
		return 400;
	version += 6;
	if (strlen(version) != 3 || version[1] != '.' || version[2] < '0' || version[2] > '9')
		return 400;
	if (version[0] != '1')
		return 505;
	head->begun = true;
	head->method = mem_dup(line, (size_t)(target - line) + 1);
	head->method[target - line] = 0;
	head->keep_alive = version[2] != '0';
	head->target = mem_strdup(target + 1);
	*strchr(head->target, ' ') = 0;
	return HTTP_MORE;
}

/* Said twice it must be the same: who believes the other one takes a part of the body for a request. */
static int read_length(struct http_head *head, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	uint64_t length;

	if (digits == 0 || value[digits] != 0)
		return 400;
	if (digits > LENGTH_DIGITS_MAX)
		return 413;
	length = strtoull(value, NULL, 10);
	if (head->has_length && length != head->length)
		return 400;
	head->has_length = true;
	head->length = length;
	return HTTP_MORE;
}

/* Whether one of the words, which commas separate, is this one. */
static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, ",")) {
		p += strspn(p, ", \t");
		/* strchr finds the end as well. */
		if (strncasecmp(p, word, size) == 0 && strchr(", \t", p[size]) != NULL)
			return true;
	}
	return false;
}

static int read_field(struct http_head *head, const char *name, const char *value)
{
	if (strcasecmp(name, "Content-Length") == 0)
		return read_length(head, value);
	if (strcasecmp(name, "Transfer-Encoding") == 0)
		head->encoded = true;
	if (strcasecmp(name, "Connection") == 0)
		head->keep_alive = !has_word(value, "close") && (head->keep_alive || has_word(value, "keep-alive"));
	if (strcasecmp(name, "Expect") == 0) {
		head->expects = strcasecmp(value, "100-continue") == 0;
		return head->expects ? HTTP_MORE : 417;
	}
	if (strcasecmp(name, "Authorization") == 0) {
		if (head->authorization != NULL)
			return 400;
		head->authorization = mem_strdup(value);
	}
	return HTTP_MORE;
}

/* A blank before the colon, or at the line's beginning (a folded line), is where servers read one head differently: it
 * is refused, so that no proxy in between lets a second request through within a first. */
static int split_field(struct http_head *head, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (colon == NULL || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
		return 400;
	*colon = 0;
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	return read_field(head, line, value);
}

int http_head_line(struct http_head *head, const char *line, size_t size)
{
	char *copy;
	int status;

	head->size += size + 2;
	if (head->size > HTTP_HEAD_MAX)
		return 431;
	if (strlen(line) != size)
		return 400;
	/* An empty line before the request is what some clients send after a body. */
	if (size == 0)
		return head->begun ? HTTP_WHOLE : HTTP_MORE;
	if (!head->begun)
		return read_request_line(head, line);
	copy = mem_strdup(line);
	status = split_field(head, copy);
	free(copy);
	return status;
}

const char *http_head_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}
