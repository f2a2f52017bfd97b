/* Whole requests to the page of a running node: heads, bodies, several at once, in any pieces, from here and from far
 * away, half closed or hung up on. Whatever they are, what comes back is HTTP, with the page's fields, and no error of
 * ours.
 *
 * The node is the real one, with a tiny chain and a wallet. Two things are replaced: listeners.c, by one end of a pair
 * of sockets; and the loop, which stands still but for the turns that it is told to take.
 *
 * The first byte says who asks and how it ends (enum fuzz_way); then come the bytes that are sent. 0xff is not: there a
 * piece ends, and the loop turns. 64 letters K become the page's key. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/settings.h"
#include "fuzz.h"
#include "http/listeners.h"
#include "node/node.h"
#include "rpc/json.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/mem.h"

enum fuzz_way {
	FUZZ_FAR = 1,    /* asks from another machine */
	FUZZ_CLOSES = 2, /* closes for sending, and reads to the end; else he hangs up */
	FUZZ_WAITS = 4,  /* waits a moment for an answer before that */
};

enum {
	FUZZ_PIECE = 0xff,
	FUZZ_PATIENCE = 5 /* tenths of ms */,
	FUZZ_SETUP = 600000,
	FUZZ_END = 20000 /* ms */,
	FUZZ_KEY = 64
};

/* --- listeners.h, of which each server makes one: RPC's first, then the page's --- */

struct listeners {
	listeners_entered *entered;
	void *context;
};

enum { FUZZ_RPC, FUZZ_PAGE, FUZZ_DOORS };

static struct listeners fuzz_doors[FUZZ_DOORS];

struct listeners *listeners_new(struct event_base *base, const char *name, listeners_entered *entered, void *context)
{
	struct listeners *door = &fuzz_doors[strcmp(name, "RPC") == 0 ? FUZZ_RPC : FUZZ_PAGE];

	(void)base;
	*door = (struct listeners){ .entered = entered, .context = context };
	return door;
}

void listeners_free(struct listeners *door)
{
	(void)door;
}

bool listeners_bind(struct listeners *door, const char *host, uint16_t port, struct errmsg *err)
{
	(void)door;
	(void)host;
	(void)port;
	(void)err;
	return true;
}

/* One client at a time fills no server. */
void listeners_set_open(struct listeners *door, bool open)
{
	(void)door;
	FUZZ_PROMISE(open);
}

/* --- the loop --- */

static struct event_base *fuzz_base;
static sem_t fuzz_stands, fuzz_ends;

int __wrap_event_base_dispatch(struct event_base *base);

/* In the place of the loop of node_run, whose thread waits here while ours turns it. */
int __wrap_event_base_dispatch(struct event_base *base)
{
	fuzz_base = base;
	sem_post(&fuzz_stands);
	sem_wait(&fuzz_ends);
	return 0;
}

/* What was sent is read in the first, and what is answered at once is written in the second. */
static void fuzz_turn(void)
{
	event_base_loop(fuzz_base, EVLOOP_NONBLOCK);
	event_base_loop(fuzz_base, EVLOOP_NONBLOCK);
}

/* --- a client --- */

/* Takes what has come; false: the server has closed. */
static bool fuzz_read(int fd, struct buf *answer)
{
	char bytes[4096];
	ssize_t size;

	while ((size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		buf_put(answer, bytes, (size_t)size);
	return size < 0;
}

/* Sends a piece, which is read then; who answers before he has read all of it is listened to meanwhile. False: the
 * server has closed. */
static bool fuzz_send(int fd, const uint8_t *bytes, size_t size, struct buf *answer)
{
	do {
		ssize_t sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
		}
		fuzz_turn();
		if (!fuzz_read(fd, answer))
			return false;
	} while (size > 0);
	return true;
}

/* Who sends nothing more is not waited for: the end comes as soon as his last answer has left, and no work takes long.
 */
static void fuzz_hear_end(int fd, struct buf *answer)
{
	int64_t began = clock_mono_ms();

	while (fuzz_read(fd, answer)) {
		fuzz_turn();
		FUZZ_PROMISE(clock_mono_ms() < began + FUZZ_END);
	}
}

static void fuzz_talk(const struct listeners *door, unsigned way, const uint8_t *bytes, size_t size, int patience,
	struct buf *answer)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(way & FUZZ_FAR ? 0xcb007105 : INADDR_LOOPBACK) };
	const uint8_t *end = bytes + size;
	bool is_open = true;
	int ends[2];

	FUZZ_PROMISE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	evutil_make_socket_nonblocking(ends[1]);
	door->entered(door->context, ends[1], (struct sockaddr *)&from);
	while (bytes < end && is_open) {
		const uint8_t *piece = memchr(bytes, FUZZ_PIECE, (size_t)(end - bytes));

		piece = piece != NULL ? piece : end;
		is_open = fuzz_send(ends[0], bytes, (size_t)(piece - bytes), answer);
		bytes = piece + (piece < end);
	}
	for (; way & FUZZ_WAITS && is_open && answer->size == 0 && patience > 0; patience--) {
		usleep(100);
		fuzz_turn();
		is_open = fuzz_read(ends[0], answer);
	}
	if (way & FUZZ_CLOSES && shutdown(ends[0], SHUT_WR) == 0)
		fuzz_hear_end(ends[0], answer);
	fuzz_read(ends[0], answer);
	close(ends[0]);
	fuzz_turn();
}

/* --- the node --- */

static const char fuzz_spec[] =
	"{\"name\": \"tiny\", \"hrp\": \"tny\", \"spacing\": 0, \"k\": 2, \"d\": 16, \"layers\": 1, \"heads\": 1, "
	"\"ff\": 16, \"ctx\": 32, \"batch\": 1, \"iterations\": 1, \"slots\": 2, \"bench_rows\": 1, "
	"\"bench_bytes\": 512, \"maturity\": 3, \"data_delay\": 1, \"corpus\": \"corpus.txt\"}";

static char fuzz_folder[] = "/tmp/atelier-fuzz-XXXXXX", fuzz_key[FUZZ_KEY + 1];
static struct settings fuzz_settings;
static pthread_t fuzz_thread;

static void fuzz_write(const char *name, const void *data, size_t size)
{
	char *path = path_join(fuzz_folder, name);

	FUZZ_PROMISE(file_write_atomic(path, data, size, 0600, NULL));
	free(path);
}

static void *fuzz_run_node(void *arg)
{
	struct errmsg err = { "" };

	(void)arg;
	if (!node_run(&fuzz_settings, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return NULL;
}

/* A call's result, which is a text, in `result`; "" for any other. False: it failed. */
static bool fuzz_call(const char *method, const char *params, char *result, size_t result_size)
{
	char body[300], request[500];
	struct buf answer;
	const char *found;
	char *text;

	snprintf(body, sizeof body, "{\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
	snprintf(request, sizeof request,
		"POST / HTTP/1.1\r\nAuthorization: Basic YTpi\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	buf_init(&answer);
	fuzz_talk(&fuzz_doors[FUZZ_RPC], FUZZ_WAITS, (const uint8_t *)request, strlen(request), FUZZ_SETUP, &answer);
	text = buf_take_text(&answer);
	found = strstr(text, "{\"result\":\"");
	snprintf(result, result_size, "%.*s", found != NULL ? (int)strcspn(found + 11, "\"") : 0,
		found != NULL ? found + 11 : "");
	found = strstr(text, "\"error\":null");
	free(text);
	return found != NULL;
}

static void fuzz_stop(void)
{
	char command[100];

	sem_post(&fuzz_ends);
	pthread_join(fuzz_thread, NULL);
	settings_clear(&fuzz_settings);
	snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder);
	FUZZ_PROMISE(system(command) == 0);
}

/* Three blocks, and a wallet that was paid for them. */
static void fuzz_start(void)
{
	static char corpus[8192], datadir[100], spec[100], address[100], params[150];
	static char *argv[] = { (char *)"atelierd", datadir, spec, (char *)"-connect=0", (char *)"-listen=0",
		(char *)"-rpcuser=a", (char *)"-rpcpassword=b", (char *)"-printtoconsole=0", (char *)"-threads=1" };
	struct errmsg err = { "" };
	uint32_t number = 1;
	struct buf key;
	char *path;

	FUZZ_PROMISE(mkdtemp(fuzz_folder) != NULL);
	for (size_t i = 0; i < sizeof corpus; i++) {
		number = number * 1103515245 + 12345;
		corpus[i] = (char)('a' + (number >> 16) % 26);
	}
	fuzz_write("corpus.txt", corpus, sizeof corpus);
	fuzz_write("spec.json", fuzz_spec, sizeof fuzz_spec - 1);
	snprintf(datadir, sizeof datadir, "-datadir=%s", fuzz_folder);
	snprintf(spec, sizeof spec, "-chainspec=%s/spec.json", fuzz_folder);
	if (settings_read(&fuzz_settings, sizeof argv / sizeof argv[0], argv, &err) != SETTINGS_RUN) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	FUZZ_PROMISE(pthread_create(&fuzz_thread, NULL, fuzz_run_node, NULL) == 0);
	FUZZ_PROMISE(sem_wait(&fuzz_stands) == 0);
	FUZZ_PROMISE(fuzz_call("createwallet", "[\"w\"]", address, sizeof address));
	FUZZ_PROMISE(fuzz_call("getnewaddress", "[]", address, sizeof address));
	snprintf(params, sizeof params, "[3,\"%s\"]", address);
	FUZZ_PROMISE(fuzz_call("generatetoaddress", params, address, sizeof address));
	path = path_join(fuzz_settings.datadir.data, ".web_key");
	buf_init(&key);
	FUZZ_PROMISE(file_read(path, FUZZ_KEY, &key, &err) && key.size == FUZZ_KEY);
	memcpy(fuzz_key, key.data, FUZZ_KEY);
	buf_clear(&key);
	free(path);
	atexit(fuzz_stop);
}

/* --- answers --- */

/* The value of a field of the head, which ends at `end`; NULL: it has none. */
static const char *fuzz_field(const char *head, const char *end, const char *name)
{
	const char *found = strstr(head, name);

	return found != NULL && found < end ? found + strlen(name) : NULL;
}

/* JSON is JSON, and an error says what is wrong. */
static void fuzz_check_json(int status, const char *body, size_t size)
{
	json_t *shown = json_parse(body, size, NULL);

	FUZZ_PROMISE(shown != NULL);
	if (status >= 400)
		FUZZ_PROMISE(json_is_string(json_object_get(json_object_get(shown, "error"), "message")));
	json_decref(shown);
}

/* Where errors are JSON, whatever follows. */
static const char fuzz_door_line[] = "POST /v1/completions HTTP/1.1\r\n";

/* Of the first answer as much as is there; the request's method is known where a request begins with it. */
static void fuzz_check(const char *request, const char *answer, size_t size)
{
	static const char again[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *end, *type, *length;
	int status;

	if (strncmp(answer, again, sizeof again - 1) == 0) {
		answer += sizeof again - 1;
		size -= sizeof again - 1;
	}
	if (size == 0)
		return;
	FUZZ_PROMISE(strncmp(answer, "HTTP/1.1 ", 9) == 0);
	status = atoi(answer + 9);
	FUZZ_PROMISE(status >= 200 && status < 600 && status != 500 && strstr(answer, "Unknown\r\n") == NULL);
	end = strstr(answer, "\r\n\r\n");
	if (end == NULL)
		return;
	FUZZ_PROMISE(fuzz_field(answer, end, "\r\nContent-Security-Policy: ") != NULL);
	FUZZ_PROMISE(memchr(answer, '\0', (size_t)(end - answer)) == NULL);
	type = fuzz_field(answer, end, "\r\nContent-Type: ");
	length = fuzz_field(answer, end, "\r\nContent-Length: ");
	if (status >= 400 && strncmp(request, fuzz_door_line, sizeof fuzz_door_line - 1) == 0)
		FUZZ_PROMISE(type != NULL && strncmp(type, "application/json", 16) == 0);
	end += 4;
	if (type != NULL && length != NULL && strncmp(type, "application/json", 16) == 0 &&
		(strncmp(request, "GET ", 4) == 0 || strncmp(request, "POST ", 5) == 0) &&
		strtoul(length, NULL, 10) <= (size_t)(answer + size - end))
		fuzz_check_json(status, end, strtoul(length, NULL, 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK";
	struct buf request, answer;
	char *asked, *told, *key;
	size_t told_size;

	if (size == 0)
		return 0;
	if (fuzz_base == NULL)
		fuzz_start();
	buf_init(&request);
	buf_init(&answer);
	buf_put(&request, data + 1, size - 1);
	asked = buf_take_text(&request);
	key = strstr(asked, letters);
	if (key != NULL)
		memcpy(key, fuzz_key, FUZZ_KEY);
	fuzz_talk(&fuzz_doors[FUZZ_PAGE], data[0], (uint8_t *)asked, size - 1, FUZZ_PATIENCE, &answer);
	told_size = answer.size;
	told = buf_take_text(&answer);
	fuzz_check(asked, told, told_size);
	free(asked);
	free(told);
	return 0;
}

#define FUZZ_HOST "Host: localhost\r\n"
#define FUZZ_KEY_FIELD "X-Atelier-Key: KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK\r\n"

/* A body NULL: the first text is all of it. Else it is a path that is posted to. */
static const struct {
	unsigned way;
	const char *text, *fields, *body;
} fuzz_seeds[] = {
	{ FUZZ_CLOSES, "GET / HTTP/1.1\r\n" FUZZ_HOST "\r\n", NULL, NULL },
	{ FUZZ_CLOSES,
		"GET /app.js HTTP/1.1\r\nHost: 127.0.0.1:1\r\nIf-None-Match: \"0\"\r\n\r\n"
		"HEAD /style.css HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
		NULL, NULL },
	{ FUZZ_CLOSES, "GET /api/block/1 HTTP/1.1\r\n" FUZZ_HOST "\r\nGET /api/proof/00 HTTP/1.1\r\n" FUZZ_HOST "\r\n",
		NULL, NULL },
	{ FUZZ_CLOSES | FUZZ_FAR,
		"GET /api/peers HTTP/1.1\r\n" FUZZ_HOST "\r\nGET /api/summary HTTP/1.1\r\n" FUZZ_HOST "\r\n", NULL,
		NULL },
	{ FUZZ_CLOSES, "GET /api/search?text=a+%41 HTTP/1.1\r\n" FUZZ_HOST "Origin: http://localhost\r\n\r\n", NULL,
		NULL },
	{ FUZZ_CLOSES,
		"GET /api/curve?points=9&from=0&to=3 HTTP/1.1\r\n\xff" FUZZ_HOST "Sec-Fetch-Site: none\r\n\xff\r\n",
		NULL, NULL },
	{ 0, "GET /api/events HTTP/1.1\r\n" FUZZ_HOST "\r\n", NULL, NULL },
	{ FUZZ_CLOSES, "GET /v1/models HTTP/1.1\r\n" FUZZ_HOST "\r\nGET /v1/models/a HTTP/1.0\r\nHost: a\r\n\r\n", NULL,
		NULL },
	{ FUZZ_CLOSES,
		"POST /v1/completions HTTP/1.1\r\n" FUZZ_HOST "Content-Type: application/json\r\n"
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		NULL, NULL },
	{ 0,
		"POST /v1/completions HTTP/1.1\r\n" FUZZ_HOST "Content-Type: application/json\r\n"
		"Content-Length: 524288\r\n\r\n{\"prompt\":\"",
		NULL, NULL },
	{ FUZZ_CLOSES, "PUT / HTTP/1.1\r\n" FUZZ_HOST "\r\n", NULL, NULL },
	{ FUZZ_WAITS, "/api/audit/block", "", "{\"blockhash\":2}" },
	{ FUZZ_CLOSES, "/api/audit/proof", "", "{\"id\":1}" },
	{ FUZZ_CLOSES, "/api/audit/run", "", "{\"height\":1}" },
	{ FUZZ_WAITS, "/api/generate", "", "{\"prompt\":\"a\",\"bytes\":2,\"receipt\":true}" },
	{ FUZZ_CLOSES, "/api/verify", "", "{\"receipt\":{},\"prompt\":\"a\",\"output\":\"00\"}" },
	{ FUZZ_CLOSES, "/api/wallets", FUZZ_KEY_FIELD, "{}" },
	{ FUZZ_CLOSES, "/api/contribute", FUZZ_KEY_FIELD,
		"{\"wallet\":\"w\",\"licence\":\"CC0-1.0\",\"title\":\"t\",\"hexdata\":\"00\",\"dry_run\":true}" },
	{ FUZZ_WAITS, "/v1/completions", "", "{\"prompt\":\"The\",\"max_tokens\":3,\"logprobs\":1}" },
	{ FUZZ_WAITS, "/v1/completions", "Expect: 100-continue\r\n",
		"\xff{\"prompt\":[1,2],\xff\"max_tokens\":2,\"stream\":true}" },
	{ FUZZ_WAITS, "/v1/chat/completions", "Authorization: Bearer atl-0\r\n",
		"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_tokens\":2,\"n\":2}" },
	{ FUZZ_CLOSES | FUZZ_FAR, "/v1/completions", "", "{\"prompt\":\"The\",\"max_tokens\":3}" },
};

bool fuzz_seed(size_t index, struct buf *out)
{
	size_t size = 0;
	char head[400];

	if (index >= sizeof fuzz_seeds / sizeof fuzz_seeds[0])
		return false;
	buf_put_u8(out, (uint8_t)fuzz_seeds[index].way);
	if (fuzz_seeds[index].body == NULL) {
		buf_put_text(out, fuzz_seeds[index].text);
		return true;
	}
	for (const char *byte = fuzz_seeds[index].body; *byte != '\0'; byte++)
		size += (uint8_t)*byte != FUZZ_PIECE;
	snprintf(head, sizeof head,
		"POST %s HTTP/1.1\r\n" FUZZ_HOST "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
		fuzz_seeds[index].text, fuzz_seeds[index].fields, size);
	buf_put_text(out, head);
	buf_put_text(out, fuzz_seeds[index].body);
	return true;
}
