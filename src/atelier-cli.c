/* atelier-cli: one JSON-RPC call to a running atelierd. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/datadir.h"
#include "http/client.h"
#include "rpc/endpoint.h"
#include "rpc/error.h"
#include "rpc/json.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/options.h"

/* Bytes: about what the server takes as a request; a cookie's line, with room; seconds between attempts. */
#define STDIN_MAX (32u << 20)
#define COOKIE_MAX 1024
#define WAIT_SECONDS 1

static const struct option_spec options_table[] = {
	{ "help", NULL, "Prints this and ends.", "Client", NULL, OPTION_COMMAND_LINE },
	{ "version", NULL, "Prints the version and ends.", "Client", NULL, OPTION_COMMAND_LINE },
	{ "named", NULL, "Arguments are given as name=value.", "Client", NULL, 0 },
	{ "stdin", NULL,
		"Reads further arguments from standard input, one a line, until its end: for what other users of the "
		"machine must not see, for what is too long for a command line, and for texts with a byte 0.",
		"Client", NULL, OPTION_COMMAND_LINE },
	{ "rpcconnect", "<host>", "Where the node is, as <host> or <host>:<port>.", "Client", "127.0.0.1", 0 },
	{ "rpcwallet", "<name>", "The wallet that the call is for.", "Client", NULL, 0 },
	{ "rpcwait", NULL, "Waits until the node answers.", "Client", NULL, 0 },
	{ "rpcwaittimeout", "<seconds>", "How long -rpcwait waits; 0: for ever.", "Client", "0", 0 },
	{ "rpcclienttimeout", "<seconds>", "How long to wait for an answer; 0: for ever.", "Client", "900", 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static int complain_of(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	return EXIT_FAILURE;
}

/* Arguments. What reads as a number, true, false, null, an array or an object is sent as that; all else as text. The
 * server takes a number's own text where it wants text. */

static json_t *read_argument(const char *text, size_t size)
{
	json_t *value = json_parse(text, size, NULL);

	if (value != NULL && !json_is_any_text(value))
		return value;
	json_decref(value);
	return json_stringn(text, size);
}

/* text ends with a byte 0, which is not counted in size; one of standard input may have others before. */
static bool add_argument(json_t *params, const char *text, size_t size, struct errmsg *err)
{
	const char *equals = strchr(text, '=');
	size_t skip = json_is_object(params) && equals ? (size_t)(equals + 1 - text) : 0;
	json_t *value = read_argument(text + skip, size - skip);
	char *name;

	if (value == NULL)
		return errmsg_set(err, "The argument is not UTF-8: %.64s", text);
	if (json_is_array(params)) {
		json_array_append_new(params, value);
		return true;
	}
	if (equals == NULL) {
		json_decref(value);
		return errmsg_set(err, "With -named an argument must have the form name=value: %.64s", text);
	}
	name = mem_strdup(text);
	name[equals - text] = 0;
	if (json_object_set_new(params, name, value) != 0)
		errmsg_set(err, "The name is not UTF-8: %.64s", name);
	free(name);
	return true;
}

/* Lines of standard input as arguments; the first is the method if the command line had none. */
static bool add_lines(json_t *params, char **method, struct errmsg *err)
{
	struct buf input;
	char *line, *end;
	size_t left;
	bool ok = true;

	buf_init(&input);
	if (!file_read_rest(STDIN_FILENO, STDIN_MAX, &input, "Standard input", err)) {
		buf_clear(&input);
		return false;
	}
	/* Every line has an end now, and that becomes a byte 0. */
	if (input.size && input.data[input.size - 1] != '\n')
		buf_put_u8(&input, '\n');
	for (line = (char *)input.data, left = input.size; ok && left; line = end + 1) {
		end = memchr(line, '\n', left);
		*end = 0;
		left -= (size_t)(end + 1 - line);
		if (*method == NULL)
			*method = mem_strdup(line);
		else
			ok = add_argument(params, line, (size_t)(end - line), err);
	}
	buf_clear(&input);
	return ok;
}

/* The request's text in out; false with the reason. */
static bool make_request(const struct options *options, int argc, char **argv, struct buf *out, struct errmsg *err)
{
	json_t *params = options_bool(options, "named") ? json_object() : json_array(), *request = json_object();
	char *method = argc ? mem_strdup(argv[0]) : NULL;
	bool ok = true;

	for (int i = 1; ok && i < argc; i++)
		ok = add_argument(params, argv[i], strlen(argv[i]), err);
	if (ok && options_bool(options, "stdin"))
		ok = add_lines(params, &method, err);
	if (ok && method == NULL)
		ok = errmsg_set(err, "Too few arguments: which call? (atelier-cli help lists them)");
	if (ok) {
		json_object_set_new(request, "method", json_text(method, strlen(method)));
		json_object_set(request, "params", params);
		json_object_set_new(request, "id", json_integer(1));
		json_print(request, 0, out);
	}
	free(method);
	json_decref(params);
	json_decref(request);
	return ok;
}

/* --- answers --- */

static void print_value(const json_t *value, FILE *file)
{
	struct buf out;
	char *text;

	if (json_is_any_text(value)) {
		fwrite(json_string_value(value), 1, json_string_length(value), file);
		fputc('\n', file);
		return;
	}
	buf_init(&out);
	json_print(value, 2, &out);
	text = buf_take_text(&out);
	fprintf(file, "%s\n", text);
	free(text);
}

static int print_error(const json_t *error)
{
	const json_t *code = json_object_get(error, "code"), *message = json_object_get(error, "message");

	if (!json_is_integer(code) || !json_is_text(message)) {
		fprintf(stderr, "error: ");
		print_value(error, stderr);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "error code: %d\nerror message:\n%s\n", (int)json_integer_value(code),
		json_string_value(message));
	if (json_integer_value(code) == RPC_WALLET_NOT_SPECIFIED)
		fprintf(stderr, "Try adding \"-rpcwallet=<name>\" to the command line.\n");
	/* As bitcoin-cli ends: the shell sees the code without its sign, modulo 256. */
	return abs((int)json_integer_value(code));
}

/* Prints an answer; returns the exit code. *retry is set if the node is still starting. */
static int print_answer(const struct buf *body, int status, bool *retry)
{
	struct errmsg err;
	json_t *answer = json_parse((const char *)body->data, body->size, &err);
	const json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
	int code = EXIT_SUCCESS;

	if (!json_is_object(answer)) {
		fprintf(stderr, "error: the server's answer is no JSON (HTTP status %d)\n", status);
		code = EXIT_FAILURE;
	} else if (error != NULL && !json_is_null(error)) {
		if (*retry && json_integer_value(json_object_get(error, "code")) != RPC_IN_WARMUP)
			*retry = false;
		if (!*retry)
			code = print_error(error);
	} else {
		*retry = false;
		if (result != NULL && !json_is_null(result))
			print_value(result, stdout);
	}
	json_decref(answer);
	return code;
}

/* --- the call --- */

/* What opens the door: user and password, or the cookie. A new string, or NULL. */
static char *find_credentials(const struct options *options, const struct datadir *datadir, struct errmsg *err)
{
	const char *user = options_string(options, "rpcuser"), *password = options_string(options, "rpcpassword");
	struct buf text;
	char *cookie;

	buf_init(&text);
	if (password != NULL && *password) {
		buf_put_text(&text, user != NULL ? user : "");
		buf_put_u8(&text, ':');
		buf_put_text(&text, password);
		return buf_take_text(&text);
	}
	cookie = datadir_cookie(datadir);
	if (!file_read(cookie, COOKIE_MAX, &text, NULL) || text.size == 0) {
		errmsg_set(err,
			"The cookie %.120s cannot be read: is atelierd running on this chain and data directory? "
			"(or set -rpcpassword)",
			cookie);
		buf_clear(&text);
	}
	free(cookie);
	return text.size ? buf_take_text(&text) : NULL;
}

/* Splits "host:port" and "[host]:port"; an IPv6 address alone has several colons and no port. */
static bool split_host(const struct options *options, const struct datadir *datadir, char **host, int64_t *port,
	struct errmsg *err)
{
	const char *text = options_string(options, "rpcconnect"), *colon = strrchr(text, ':');
	char *end = NULL;
	bool bracket = *text == '[';

	*port = datadir->rpc_port;
	if (!options_int(options, "rpcport", 1, 65535, port, err))
		return false;
	if (*port == 0)
		*port = datadir->rpc_port;
	*host = mem_strdup(text);
	if (colon != NULL && ((bracket && colon[-1] == ']') || (!bracket && strchr(text, ':') == colon))) {
		(*host)[colon - text] = 0;
		*port = strtol(colon + 1, &end, 10);
		if (*end || end == colon + 1 || *port < 1 || *port > 65535)
			return errmsg_set(err, "-rpcconnect has no good port: %.64s", text);
	}
	if (bracket && (*host)[strlen(*host) - 1] == ']') {
		(*host)[strlen(*host) - 1] = 0;
		memmove(*host, *host + 1, strlen(*host));
	}
	return true;
}

/* One attempt. Returns the exit code; *retry tells whether waiting may help, and stays false if it was not allowed. */
static int call_once(const struct options *options, const struct datadir *datadir, struct client_target *target,
	const struct buf *request, bool *retry)
{
	char *secret;
	struct buf body;
	struct errmsg err;
	int status, code = EXIT_FAILURE;

	/* Anew for each attempt: a node that starts meanwhile writes another cookie. */
	secret = find_credentials(options, datadir, &err);
	if (secret == NULL)
		return *retry ? EXIT_FAILURE : complain_of(err.text);
	buf_init(&body);
	target->credentials = secret;
	switch (client_call(target, request->data, request->size, &status, &body, &err)) {
	case CLIENT_OK:
		code = print_answer(&body, status, retry);
		break;
	case CLIENT_UNREACHABLE:
		if (!*retry) {
			complain_of(err.text);
			fprintf(stderr, "Is atelierd running, with the same chain and ports?\n");
		}
		break;
	case CLIENT_FAILED:
		/* An old cookie is refused until the starting node has written its own. */
		if (!*retry || status != 401) {
			*retry = false;
			complain_of(err.text);
		}
		break;
	}
	buf_clear(&body);
	free(secret);
	return code;
}

static int call_node(const struct options *options, const struct datadir *datadir, struct client_target *target,
	const struct buf *request, int64_t wait_limit)
{
	bool wait = options_bool(options, "rpcwait");

	for (int64_t waited = 0;; waited += WAIT_SECONDS) {
		bool retry = wait && (wait_limit == 0 || waited < wait_limit);
		int code = call_once(options, datadir, target, request, &retry);

		if (!retry)
			return code;
		sleep(WAIT_SECONDS);
	}
}

static int run_client(const struct options *options, const struct datadir *datadir, int argc, char **argv)
{
	char *path = endpoint_path(options_string(options, "rpcwallet"));
	struct client_target target = { .path = path, .type = RPC_CONTENT_TYPE };
	int64_t port = 0, timeout, wait_limit;
	struct errmsg err;
	struct buf request;
	char *host = NULL;
	int code;

	buf_init(&request);
	if (!options_int(options, "rpcclienttimeout", 0, 1000000, &timeout, &err) ||
		!options_int(options, "rpcwaittimeout", 0, 1000000, &wait_limit, &err) ||
		!split_host(options, datadir, &host, &port, &err) ||
		!make_request(options, argc, argv, &request, &err)) {
		code = complain_of(err.text);
	} else {
		target.host = host;
		target.port = (uint16_t)port;
		target.timeout = (unsigned)timeout;
		code = call_node(options, datadir, &target, &request, wait_limit);
	}
	free(host);
	free(path);
	buf_clear(&request);
	return code;
}

static void print_usage(const struct options *options)
{
	char *text = options_help(options);

	printf("atelier-cli %s\n\nUsage: atelier-cli [options] <call> [arguments]\n"
	       "       atelier-cli [options] -named <call> [name=value ...]\n"
	       "       atelier-cli [options] help [call]\n\n%s",
		VERSION, text);
	free(text);
}

int main(int argc, char **argv)
{
	struct options *options = options_new(options_table);
	struct datadir datadir = { 0 };
	struct errmsg err;
	int first, code = EXIT_SUCCESS;

	/* A server that hangs up is an error with a text, not the end without a word. */
	signal(SIGPIPE, SIG_IGN);
	options_add_table(options, datadir_options);
	/* The configuration file is the daemon's too, whose options no table here knows. */
	options_skip_unknown(options);
	if (!options_parse_args(options, argc, argv, &first, &err))
		code = complain_of(err.text);
	else if (options_bool(options, "help"))
		print_usage(options);
	else if (options_bool(options, "version"))
		printf("atelier-cli %s\n", VERSION);
	else if (!datadir_find(&datadir, options, &err))
		code = complain_of(err.text);
	else
		code = run_client(options, &datadir, argc - first, argv + first);
	datadir_clear(&datadir);
	options_free(options);
	return code;
}
