/* Heads of requests: the request line, then the fields, each with its own strictness. */
#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/mem.h"

enum { HEAD_LENGTH_DIGITS = 18 }; /* fit whatever they are */

void http_head_init(struct http_head *head)
{
	*head = (struct http_head){ 0 };
}

void http_head_clear(struct http_head *head)
{
	free(head->method);
	free(head->target);
	for (size_t i = 0; i < HTTP_FIELDS; i++)
		free(head->fields[i]);
	http_head_init(head);
}

static int head_read_request_line(struct http_head *head, const char *request_line)
{
	const char *request_target = strchr(request_line, ' '),
		   *http_version = request_target != NULL ? strchr(request_target + 1, ' ') : NULL;

	if (http_version == NULL || http_version == request_target + 1 || strncmp(http_version, " HTTP/", 6) != 0)
		return 400;
	http_version += 6;
	if (strlen(http_version) != 3 || http_version[1] != '.' || http_version[2] < '0' || http_version[2] > '9')
		return 400;
	if (http_version[0] != '1')
		return 505;
	head->begun = true;
	head->method = mem_dup(request_line, (size_t)(request_target - request_line) + 1);
	head->method[request_target - request_line] = 0;
	head->keep_alive = head->has_chunks = http_version[2] != '0';
	head->target = mem_strdup(request_target + 1);
	*strchr(head->target, ' ') = 0;
	return HTTP_MORE;
}

/* Said twice it must be the same: who believes the other one takes a part of the body for a request. */
static int head_read_length(struct http_head *head, const char *field_value)
{
	size_t length_digits = strspn(field_value, "0123456789");
	uint64_t length;

	if (length_digits == 0 || field_value[length_digits] != 0)
		return 400;
	if (length_digits > HEAD_LENGTH_DIGITS)
		return 413;
	length = strtoull(field_value, NULL, 10);
	if (head->has_length && length != head->length)
		return 400;
	head->has_length = true;
	head->length = length;
	return HTTP_MORE;
}

/* Whether one of the words, which commas separate, is this one. */
static bool head_has_word(const char *field_value, const char *word)
{
	size_t word_size = strlen(word);

	for (const char *field_word = field_value; *field_word; field_word += strcspn(field_word, ",")) {
		field_word += strspn(field_word, ", \t");
		/* strchr finds the end as well. */
		if (strncasecmp(field_word, word, word_size) == 0 && strchr(", \t", field_word[word_size]) != NULL)
			return true;
	}
	return false;
}

static const char *const head_field_names[HTTP_FIELDS] = {
	[HTTP_AUTHORIZATION] = "Authorization",
	[HTTP_HOST] = "Host",
	[HTTP_ORIGIN] = "Origin",
	[HTTP_FETCH_SITE] = "Sec-Fetch-Site",
	[HTTP_FETCH_MODE] = "Sec-Fetch-Mode",
	[HTTP_CONTENT_TYPE] = "Content-Type",
	[HTTP_IF_NONE_MATCH] = "If-None-Match",
	[HTTP_KEY] = "X-Atelier-Key",
};

static int head_keep_field(struct http_head *head, const char *field_name, const char *field_value)
{
	for (size_t i = 0; i < HTTP_FIELDS; i++) {
		if (strcasecmp(field_name, head_field_names[i]) != 0)
			continue;
		if (head->fields[i] != NULL)
			return 400;
		head->fields[i] = mem_strdup(field_value);
	}
	return HTTP_MORE;
}

static int head_read_field(struct http_head *head, const char *field_name, const char *field_value)
{
	if (strcasecmp(field_name, "Content-Length") == 0)
		return head_read_length(head, field_value);
	if (strcasecmp(field_name, "Transfer-Encoding") == 0)
		head->encoded = true;
	if (strcasecmp(field_name, "Connection") == 0)
		head->keep_alive = !head_has_word(field_value, "close") &&
			(head->keep_alive || head_has_word(field_value, "keep-alive"));
	if (strcasecmp(field_name, "Expect") == 0) {
		head->expects = strcasecmp(field_value, "100-continue") == 0;
		return head->expects ? HTTP_MORE : 417;
	}
	return head_keep_field(head, field_name, field_value);
}

/* A blank before the colon, or at the line's beginning (a folded line), is where servers read one head differently: it
 * is refused, so that no proxy in between lets a second request through within a first. */
static int head_split_field(struct http_head *head, char *field_line)
{
	char *colon = strchr(field_line, ':'), *field_value, *field_end;

	if (colon == NULL || colon == field_line || strcspn(field_line, " \t") < (size_t)(colon - field_line))
		return 400;
	*colon = 0;
	field_value = colon + 1 + strspn(colon + 1, " \t");
	field_end = field_value + strlen(field_value);
	while (field_end > field_value && (field_end[-1] == ' ' || field_end[-1] == '\t'))
		*--field_end = 0;
	return head_read_field(head, field_line, field_value);
}

int http_head_line(struct http_head *head, const char *line, size_t line_size)
{
	char *field_line;
	int status;

	head->size += line_size + 2;
	if (head->size > HTTP_HEAD_MAX)
		return 431;
	/* A CR within is the end of a line to some proxies: what they let through as one field are two to the others.
	 */
	if (strlen(line) != line_size || strchr(line, '\r') != NULL)
		return 400;
	/* An empty line before the request is what some clients send after a body. */
	if (line_size == 0)
		return head->begun ? HTTP_WHOLE : HTTP_MORE;
	if (!head->begun)
		return head_read_request_line(head, line);
	field_line = mem_strdup(line);
	status = head_split_field(head, field_line);
	free(field_line);
	return status;
}

const char *http_head_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} head_reasons[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof head_reasons / sizeof head_reasons[0]; i++)
		if (head_reasons[i].status == status)
			return head_reasons[i].reason;
	return "Unknown";
}
