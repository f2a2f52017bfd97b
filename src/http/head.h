/* The head of an HTTP/1.x request (RFC 9112), read line by line: what the server needs of it, and no more.
 *
 * Pure: lines in, a verdict out. Memory is bounded by HTTP_HEAD_MAX. Lines may end with LF alone; folded lines, fields
 * that contradict each other and blanks before a colon are refused, so that nobody in between reads another request. */
#ifndef ATELIER_HTTP_HEAD_H
#define ATELIER_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 8192 }; /* bytes of all lines, with their ends */

/* Fields whose text is kept. Each may be there once: whose reader takes another one of two than we did is misled. */
enum http_field {
	HTTP_AUTHORIZATION,
	HTTP_HOST,
	HTTP_ORIGIN,
	HTTP_FETCH_SITE, /* Sec-Fetch-Site: how a browser says whose page asks */
	HTTP_FETCH_MODE, /* Sec-Fetch-Mode: and what for */
	HTTP_CONTENT_TYPE,
	HTTP_IF_NONE_MATCH,
	HTTP_KEY, /* X-Atelier-Key */
	HTTP_FIELDS,
};

struct http_head {
	size_t size;     /* of the lines so far */
	bool begun;      /* the request line was there */
	bool keep_alive; /* the client wants to use the connection again */
	bool encoded;    /* a Transfer-Encoding: the body's length is not known */
	bool expects;    /* the client waits for "100 Continue" before it sends the body */
	bool has_length;
	uint64_t length;           /* of the body; 0 where there is none */
	bool has_chunks;           /* the client is of HTTP/1.1, and reads answers in chunks */
	char *method;              /* owned: "POST" */
	char *target;              /* owned: what the request line names, "/" or an absolute address */
	char *fields[HTTP_FIELDS]; /* owned; NULL: no such field */
};

void http_head_init(struct http_head *head);
void http_head_clear(struct http_head *head); /* releases the memory; it is then as after http_head_init */

/* Takes the next line, without its end; zero-terminated, but a byte 0 may be in it. */
enum { HTTP_MORE = 0, HTTP_WHOLE = 1 };
int http_head_line(struct http_head *head, const char *line,
	size_t size); /* or the status to refuse it with, 400 or more */

/* What a status means, for the line that begins an answer. */
const char *http_head_reason(int status);

#endif
