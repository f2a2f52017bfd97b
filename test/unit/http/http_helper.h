/* A client of ours on a thread of its own while the test's thread runs the loop, and one that writes whatever bytes. */
#ifndef ATELIER_TEST_HTTP_HELPER_H
#define ATELIER_TEST_HTTP_HELPER_H

#include <event2/event.h>
#include <pthread.h>

#include "http/client.h"
#include "http/server.h"
#include "unit.h"

/* What every test stands on: a loop, and a server on a free port with a cookie. */
struct place {
	struct event_base *base;
	char *folder, *cookie; /* cookie: the path */
	uint16_t port;
	struct http_endpoint endpoint;
	const char *only;
	bool is_open; /* to whoever comes: nobody is asked for the cookie */
	struct http_server *server;
};

uint16_t helper_free_port(void);

/* base and endpoint are filled in, and what else is not usual. */
void place_open(struct place *place);
void place_close(struct place *place);

/* A server in the place of the one that is there; 0: what is usual. */
void place_restart(struct place *place, size_t connections, unsigned timeout);

/* The cookie's text, and the line of a head that holds it. */
char *place_cookie(const struct place *place);
void place_authorization(const struct place *place, char out[200]);

struct caller {
	struct client_target target;
	struct event_base *base;
	const char *body;
	pthread_t thread;
	enum client_result result;
	int status;
	struct buf out;
	struct errmsg err;
	int wake[2]; /* a byte is written when the call is over */
};

void caller_start(struct caller *caller, const struct place *place, const char *credentials, const char *path,
	const char *body);
/* Runs the loop until the caller has its answer; the answer as text, the test's. */
char *caller_finish(struct caller *caller);
/* The same without the loop, which must have done its part. */
char *caller_join(struct caller *caller);
/* Both; answer NULL: any. */
void caller_check(const struct place *place, const char *credentials, const char *path, const char *body, int status,
	const char *answer);

/* Raw HTTP: what no client of ours sends. */
int raw_connect(const struct place *place, const char *text);
void raw_send(int fd, const char *text);
/* Sends a text and looks at the status of what comes back. */
void raw_check(const struct place *place, const char *text, const char *status);
/* What comes back until a text is there, or (NULL) until the server closes; the loop runs meanwhile. */
void raw_expect(const struct place *place, int fd, const char *text);

#endif
