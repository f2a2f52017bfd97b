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
#define CLI_STDIN_MAX (32u << 20)
#define CLI_COOKIE_MAX 1024
#define CLI_WAIT_SECONDS 1

static const struct option_spec cli_option_table[] = {
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

static int cli_complain(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	return EXIT_FAILURE;
}

/* Arguments. What reads as a number, true, false, null, an array or an object is sent as that; all else as text. The
 * server takes a number's own text where it wants text. */

static json_t *cli_read_argument(const char *text, size_t size)
{
	json_t *argument = json_parse(text, size, NULL);

	if (argument != NULL && !json_is_any_text(argument))
		return argument;
	json_decref(argument);
	return json_stringn(text, size);
}

/* text ends with a byte 0, which is not counted in size; one of standard input may have others before. */
static bool cli_add_argument(json_t *call_params, const char *text, size_t size, struct errmsg *err)
{
	const char *equals = strchr(text, '=');
	size_t skip = json_is_object(call_params) && equals ? (size_t)(equals + 1 - text) : 0;
	json_t *argument = cli_read_argument(text + skip, size - skip);
	char *argument_name;

	if (argument == NULL)
		return errmsg_set(err, "The argument is not UTF-8: %.64s", text);
	if (json_is_array(call_params)) {
		json_array_append_new(call_params, argument);
		return true;
	}
	if (equals == NULL) {
		json_decref(argument);
		return errmsg_set(err, "With -named an argument must have the form name=value: %.64s", text);
	}
	argument_name = mem_strdup(text);
	argument_name[equals - text] = 0;
	if (json_object_set_new(call_params, argument_name, argument) != 0)
		errmsg_set(err, "The name is not UTF-8: %.64s", argument_name);
	free(argument_name);
	return true;
}

/* Lines of standard input as arguments; the first is the method if the command line had none. */
static bool cli_add_lines(json_t *call_params, char **method, struct errmsg *err)
{
	struct buf stdin_text;
	char *stdin_line, *line_end;
	size_t stdin_left;
	bool ok = true;

	buf_init(&stdin_text);
	if (!file_read_rest(STDIN_FILENO, CLI_STDIN_MAX, &stdin_text, "Standard input", err)) {
		buf_clear(&stdin_text);
		return false;
	}
	/* Every line has an end now, and that becomes a byte 0. */
	if (stdin_text.size && stdin_text.data[stdin_text.size - 1] != '\n')
		buf_put_u8(&stdin_text, '\n');
	for (stdin_line = (char *)stdin_text.data, stdin_left = stdin_text.size; ok && stdin_left;
		stdin_line = line_end + 1) {
		line_end = memchr(stdin_line, '\n', stdin_left);
		*line_end = 0;
		stdin_left -= (size_t)(line_end + 1 - stdin_line);
		if (*method == NULL)
			*method = mem_strdup(stdin_line);
		else
			ok = cli_add_argument(call_params, stdin_line, (size_t)(line_end - stdin_line), err);
	}
	buf_clear(&stdin_text);
	return ok;
}

/* The request's text in out; false with the reason. */
static bool cli_make_request(const struct options *cli_options, int argc, char **argv, struct buf *request_text,
	struct errmsg *err)
{
	json_t *call_params = options_bool(cli_options, "named") ? json_object() : json_array(),
	       *call_request = json_object();
	char *method = argc ? mem_strdup(argv[0]) : NULL;
	bool ok = true;

	for (int i = 1; ok && i < argc; i++)
		ok = cli_add_argument(call_params, argv[i], strlen(argv[i]), err);
	if (ok && options_bool(cli_options, "stdin"))
		ok = cli_add_lines(call_params, &method, err);
	if (ok && method == NULL)
		ok = errmsg_set(err, "Too few arguments: which call? (atelier-cli help lists them)");
	if (ok) {
		json_object_set_new(call_request, "method", json_text(method, strlen(method)));
		json_object_set(call_request, "params", call_params);
		json_object_set_new(call_request, "id", json_integer(1));
		json_print(call_request, 0, request_text);
	}
	free(method);
	json_decref(call_params);
	json_decref(call_request);
	return ok;
}

/* --- answers --- */

static void cli_print_value(const json_t *answer, FILE *file)
{
	struct buf answer_text;
	char *printed;

	if (json_is_any_text(answer)) {
		fwrite(json_string_value(answer), 1, json_string_length(answer), file);
		fputc('\n', file);
		return;
	}
	buf_init(&answer_text);
	json_print(answer, 2, &answer_text);
	printed = buf_take_text(&answer_text);
	fprintf(file, "%s\n", printed);
	free(printed);
}

static int cli_print_error(const json_t *rpc_error)
{
	const json_t *rpc_code = json_object_get(rpc_error, "code"),
		     *rpc_message = json_object_get(rpc_error, "message");

	if (!json_is_integer(rpc_code) || !json_is_text(rpc_message)) {
		fprintf(stderr, "error: ");
		cli_print_value(rpc_error, stderr);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "error code: %d\nerror message:\n%s\n", (int)json_integer_value(rpc_code),
		json_string_value(rpc_message));
	if (json_integer_value(rpc_code) == RPC_WALLET_NOT_SPECIFIED)
		fprintf(stderr, "Try adding \"-rpcwallet=<name>\" to the command line.\n");
	/* As bitcoin-cli ends: the shell sees the code without its sign, modulo 256. */
	return abs((int)json_integer_value(rpc_code));
}

/* Prints an answer; returns the exit code. *retry is set if the node is still starting. */
static int cli_print_answer(const struct buf *answer_body, int http_status, bool *may_retry)
{
	struct errmsg err;
	json_t *answer = json_parse((const char *)answer_body->data, answer_body->size, &err);
	const json_t *rpc_error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
	int exit_code = EXIT_SUCCESS;

	if (!json_is_object(answer)) {
		fprintf(stderr, "error: the server's answer is no JSON (HTTP status %d)\n", http_status);
		exit_code = EXIT_FAILURE;
	} else if (rpc_error != NULL && !json_is_null(rpc_error)) {
		if (*may_retry && json_integer_value(json_object_get(rpc_error, "code")) != RPC_IN_WARMUP)
			*may_retry = false;
		if (!*may_retry)
			exit_code = cli_print_error(rpc_error);
	} else {
		*may_retry = false;
		if (result != NULL && !json_is_null(result))
			cli_print_value(result, stdout);
	}
	json_decref(answer);
	return exit_code;
}

/* --- the call --- */

/* What opens the door: user and password, or the cookie. A new string, or NULL. */
static char *cli_find_credentials(const struct options *cli_options, const struct datadir *datadir, struct errmsg *err)
{
	const char *user = options_string(cli_options, "rpcuser"),
		   *password = options_string(cli_options, "rpcpassword");
	struct buf credentials;
	char *cookie_path;

	buf_init(&credentials);
	if (password != NULL && *password) {
		buf_put_text(&credentials, user != NULL ? user : "");
		buf_put_u8(&credentials, ':');
		buf_put_text(&credentials, password);
		return buf_take_text(&credentials);
	}
	cookie_path = datadir_cookie(datadir);
	if (!file_read(cookie_path, CLI_COOKIE_MAX, &credentials, NULL) || credentials.size == 0) {
		errmsg_set(err,
			"The cookie %.120s cannot be read: is atelierd running on this chain and data directory? "
			"(or set -rpcpassword)",
			cookie_path);
		buf_clear(&credentials);
	}
	free(cookie_path);
	return credentials.size ? buf_take_text(&credentials) : NULL;
}

/* Splits "host:port" and "[host]:port"; an IPv6 address alone has several colons and no port. */
static bool cli_split_host(const struct options *cli_options, const struct datadir *datadir, char **node_host,
	int64_t *node_port, struct errmsg *err)
{
	const char *connect_to = options_string(cli_options, "rpcconnect"), *colon = strrchr(connect_to, ':');
	char *port_end = NULL;
	bool bracket = *connect_to == '[';

	*node_port = datadir->rpc_port;
	if (!options_int(cli_options, "rpcport", 1, 65535, node_port, err))
		return false;
	if (*node_port == 0)
		*node_port = datadir->rpc_port;
	*node_host = mem_strdup(connect_to);
	if (colon != NULL && ((bracket && colon[-1] == ']') || (!bracket && strchr(connect_to, ':') == colon))) {
		(*node_host)[colon - connect_to] = 0;
		*node_port = strtol(colon + 1, &port_end, 10);
		if (*port_end || port_end == colon + 1 || *node_port < 1 || *node_port > 65535)
			return errmsg_set(err, "-rpcconnect has no good port: %.64s", connect_to);
	}
	if (bracket && (*node_host)[strlen(*node_host) - 1] == ']') {
		(*node_host)[strlen(*node_host) - 1] = 0;
		memmove(*node_host, *node_host + 1, strlen(*node_host));
	}
	return true;
}

/* One attempt. Returns the exit code; *retry tells whether waiting may help, and stays false if it was not allowed. */
static int cli_call_once(const struct options *cli_options, const struct datadir *datadir, struct client_target *target,
	const struct buf *call_request, bool *may_retry)
{
	char *cli_credentials;
	struct buf answer_body;
	struct errmsg err;
	int http_status, exit_code = EXIT_FAILURE;

	/* Anew for each attempt: a node that starts meanwhile writes another cookie. */
	cli_credentials = cli_find_credentials(cli_options, datadir, &err);
	if (cli_credentials == NULL)
		return *may_retry ? EXIT_FAILURE : cli_complain(err.text);
	buf_init(&answer_body);
	target->credentials = cli_credentials;
	switch (client_call(target, call_request->data, call_request->size, &http_status, &answer_body, &err)) {
	case CLIENT_OK:
		exit_code = cli_print_answer(&answer_body, http_status, may_retry);
		break;
	case CLIENT_UNREACHABLE:
		if (!*may_retry) {
			cli_complain(err.text);
			fprintf(stderr, "Is atelierd running, with the same chain and ports?\n");
		}
		break;
	case CLIENT_FAILED:
		/* An old cookie is refused until the starting node has written its own. */
		if (!*may_retry || http_status != 401) {
			*may_retry = false;
			cli_complain(err.text);
		}
		break;
	}
	buf_clear(&answer_body);
	free(cli_credentials);
	return exit_code;
}

static int cli_call_node(const struct options *cli_options, const struct datadir *datadir, struct client_target *target,
	const struct buf *call_request, int64_t wait_limit)
{
	bool wait = options_bool(cli_options, "rpcwait");

	for (int64_t waited = 0;; waited += CLI_WAIT_SECONDS) {
		bool may_retry = wait && (wait_limit == 0 || waited < wait_limit);
		int exit_code = cli_call_once(cli_options, datadir, target, call_request, &may_retry);

		if (!may_retry)
			return exit_code;
		sleep(CLI_WAIT_SECONDS);
	}
}

static int cli_run(const struct options *cli_options, const struct datadir *datadir, int argc, char **argv)
{
	char *rpc_path = endpoint_path(options_string(cli_options, "rpcwallet"));
	struct client_target target = { .path = rpc_path, .type = RPC_CONTENT_TYPE };
	int64_t node_port = 0, call_timeout, wait_limit;
	struct errmsg err;
	struct buf call_request;
	char *node_host = NULL;
	int exit_code;

	buf_init(&call_request);
	if (!options_int(cli_options, "rpcclienttimeout", 0, 1000000, &call_timeout, &err) ||
		!options_int(cli_options, "rpcwaittimeout", 0, 1000000, &wait_limit, &err) ||
		!cli_split_host(cli_options, datadir, &node_host, &node_port, &err) ||
		!cli_make_request(cli_options, argc, argv, &call_request, &err)) {
		exit_code = cli_complain(err.text);
	} else {
		target.host = node_host;
		target.port = (uint16_t)node_port;
		target.timeout = (unsigned)call_timeout;
		exit_code = cli_call_node(cli_options, datadir, &target, &call_request, wait_limit);
	}
	free(node_host);
	free(rpc_path);
	buf_clear(&call_request);
	return exit_code;
}

static void cli_print_usage(const struct options *cli_options)
{
	char *usage = options_help(cli_options);

	printf("atelier-cli %s\n\nUsage: atelier-cli [options] <call> [arguments]\n"
	       "       atelier-cli [options] -named <call> [name=value ...]\n"
	       "       atelier-cli [options] help [call]\n\n%s",
		VERSION, usage);
	free(usage);
}

int main(int argc, char **argv)
{
	struct options *cli_options = options_new(cli_option_table);
	struct datadir datadir = { 0 };
	struct errmsg err;
	int first_operand, exit_code = EXIT_SUCCESS;

	/* A server that hangs up is an error with a text, not the end without a word. */
	signal(SIGPIPE, SIG_IGN);
	options_add_table(cli_options, datadir_options);
	/* The configuration file is the daemon's too, whose options no table here knows. */
	options_skip_unknown(cli_options);
	if (!options_parse_args(cli_options, argc, argv, &first_operand, &err))
		exit_code = cli_complain(err.text);
	else if (options_bool(cli_options, "help"))
		cli_print_usage(cli_options);
	else if (options_bool(cli_options, "version"))
		printf("atelier-cli %s\n", VERSION);
	else if (!datadir_find(&datadir, cli_options, &err))
		exit_code = cli_complain(err.text);
	else
		exit_code = cli_run(cli_options, &datadir, argc - first_operand, argv + first_operand);
	datadir_clear(&datadir);
	options_free(cli_options);
	return exit_code;
}
