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

static json_t *cli_read_argument(const char *cli_text, size_t size)
{
	json_t *cli_argument = json_parse(cli_text, size, NULL);

	if (cli_argument != NULL && !json_is_any_text(cli_argument))
		return cli_argument;
	json_decref(cli_argument);
	return json_stringn(cli_text, size);
}

/* text ends with a byte 0, which is not counted in size; one of standard input may have others before. */
static bool cli_add_argument(json_t *cli_params, const char *cli_text, size_t size, struct errmsg *err)
{
	const char *cli_equals = strchr(cli_text, '=');
	size_t skip = json_is_object(cli_params) && cli_equals ? (size_t)(cli_equals + 1 - cli_text) : 0;
	json_t *cli_argument = cli_read_argument(cli_text + skip, size - skip);
	char *cli_argument_name;

	if (cli_argument == NULL)
		return errmsg_set(err, "The argument is not UTF-8: %.64s", cli_text);
	if (json_is_array(cli_params)) {
		json_array_append_new(cli_params, cli_argument);
		return true;
	}
	if (cli_equals == NULL) {
		json_decref(cli_argument);
		return errmsg_set(err, "With -named an argument must have the form name=value: %.64s", cli_text);
	}
	cli_argument_name = mem_strdup(cli_text);
	cli_argument_name[cli_equals - cli_text] = 0;
	if (json_object_set_new(cli_params, cli_argument_name, cli_argument) != 0)
		errmsg_set(err, "The name is not UTF-8: %.64s", cli_argument_name);
	free(cli_argument_name);
	return true;
}

/* Lines of standard input as arguments; the first is the method if the command line had none. */
static bool cli_add_lines(json_t *cli_params, char **cli_method, struct errmsg *err)
{
	struct buf stdin_text;
	char *stdin_line, *stdin_line_end;
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
		stdin_line = stdin_line_end + 1) {
		stdin_line_end = memchr(stdin_line, '\n', stdin_left);
		*stdin_line_end = 0;
		stdin_left -= (size_t)(stdin_line_end + 1 - stdin_line);
		if (*cli_method == NULL)
			*cli_method = mem_strdup(stdin_line);
		else
			ok = cli_add_argument(cli_params, stdin_line, (size_t)(stdin_line_end - stdin_line), err);
	}
	buf_clear(&stdin_text);
	return ok;
}

/* The request's text in out; false with the reason. */
static bool cli_make_request(const struct options *cli_options, int argc, char **argv, struct buf *cli_request_text,
	struct errmsg *err)
{
	json_t *cli_params = options_bool(cli_options, "named") ? json_object() : json_array(),
	       *cli_request = json_object();
	char *cli_method = argc ? mem_strdup(argv[0]) : NULL;
	bool ok = true;

	for (int i = 1; ok && i < argc; i++)
		ok = cli_add_argument(cli_params, argv[i], strlen(argv[i]), err);
	if (ok && options_bool(cli_options, "stdin"))
		ok = cli_add_lines(cli_params, &cli_method, err);
	if (ok && cli_method == NULL)
		ok = errmsg_set(err, "Too few arguments: which call? (atelier-cli help lists them)");
	if (ok) {
		json_object_set_new(cli_request, "method", json_text(cli_method, strlen(cli_method)));
		json_object_set(cli_request, "params", cli_params);
		json_object_set_new(cli_request, "id", json_integer(1));
		json_print(cli_request, 0, cli_request_text);
	}
	free(cli_method);
	json_decref(cli_params);
	json_decref(cli_request);
	return ok;
}

/* --- answers --- */

static void cli_print_value(const json_t *cli_answer, FILE *file)
{
	struct buf cli_answer_text;
	char *cli_printed;

	if (json_is_any_text(cli_answer)) {
		fwrite(json_string_value(cli_answer), 1, json_string_length(cli_answer), file);
		fputc('\n', file);
		return;
	}
	buf_init(&cli_answer_text);
	json_print(cli_answer, 2, &cli_answer_text);
	cli_printed = buf_take_text(&cli_answer_text);
	fprintf(file, "%s\n", cli_printed);
	free(cli_printed);
}

static int cli_print_error(const json_t *cli_error)
{
	const json_t *cli_error_code = json_object_get(cli_error, "code"),
		     *cli_error_message = json_object_get(cli_error, "message");

	if (!json_is_integer(cli_error_code) || !json_is_text(cli_error_message)) {
		fprintf(stderr, "error: ");
		cli_print_value(cli_error, stderr);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "error code: %d\nerror message:\n%s\n", (int)json_integer_value(cli_error_code),
		json_string_value(cli_error_message));
	if (json_integer_value(cli_error_code) == RPC_WALLET_NOT_SPECIFIED)
		fprintf(stderr, "Try adding \"-rpcwallet=<name>\" to the command line.\n");
	/* As bitcoin-cli ends: the shell sees the code without its sign, modulo 256. */
	return abs((int)json_integer_value(cli_error_code));
}

/* Prints an answer; returns the exit code. *retry is set if the node is still starting. */
static int cli_print_answer(const struct buf *cli_answer_body, int cli_http_status, bool *cli_retry)
{
	struct errmsg err;
	json_t *cli_answer = json_parse((const char *)cli_answer_body->data, cli_answer_body->size, &err);
	const json_t *cli_error = json_object_get(cli_answer, "error"),
		     *cli_result = json_object_get(cli_answer, "result");
	int cli_exit_code = EXIT_SUCCESS;

	if (!json_is_object(cli_answer)) {
		fprintf(stderr, "error: the server's answer is no JSON (HTTP status %d)\n", cli_http_status);
		cli_exit_code = EXIT_FAILURE;
	} else if (cli_error != NULL && !json_is_null(cli_error)) {
		if (*cli_retry && json_integer_value(json_object_get(cli_error, "code")) != RPC_IN_WARMUP)
			*cli_retry = false;
		if (!*cli_retry)
			cli_exit_code = cli_print_error(cli_error);
	} else {
		*cli_retry = false;
		if (cli_result != NULL && !json_is_null(cli_result))
			cli_print_value(cli_result, stdout);
	}
	json_decref(cli_answer);
	return cli_exit_code;
}

/* --- the call --- */

/* What opens the door: user and password, or the cookie. A new string, or NULL. */
static char *cli_find_credentials(const struct options *cli_options, const struct datadir *cli_datadir,
	struct errmsg *err)
{
	const char *user = options_string(cli_options, "rpcuser"),
		   *password = options_string(cli_options, "rpcpassword");
	struct buf cli_credentials;
	char *cli_cookie_path;

	buf_init(&cli_credentials);
	if (password != NULL && *password) {
		buf_put_text(&cli_credentials, user != NULL ? user : "");
		buf_put_u8(&cli_credentials, ':');
		buf_put_text(&cli_credentials, password);
		return buf_take_text(&cli_credentials);
	}
	cli_cookie_path = datadir_cookie(cli_datadir);
	if (!file_read(cli_cookie_path, CLI_COOKIE_MAX, &cli_credentials, NULL) || cli_credentials.size == 0) {
		errmsg_set(err,
			"The cookie %.120s cannot be read: is atelierd running on this chain and data directory? "
			"(or set -rpcpassword)",
			cli_cookie_path);
		buf_clear(&cli_credentials);
	}
	free(cli_cookie_path);
	return cli_credentials.size ? buf_take_text(&cli_credentials) : NULL;
}

/* Splits "host:port" and "[host]:port"; an IPv6 address alone has several colons and no port. */
static bool cli_split_host(const struct options *cli_options, const struct datadir *cli_datadir, char **cli_host,
	int64_t *cli_port, struct errmsg *err)
{
	const char *cli_connect = options_string(cli_options, "rpcconnect"), *cli_colon = strrchr(cli_connect, ':');
	char *cli_port_end = NULL;
	bool cli_bracket = *cli_connect == '[';

	*cli_port = cli_datadir->rpc_port;
	if (!options_int(cli_options, "rpcport", 1, 65535, cli_port, err))
		return false;
	if (*cli_port == 0)
		*cli_port = cli_datadir->rpc_port;
	*cli_host = mem_strdup(cli_connect);
	if (cli_colon != NULL &&
		((cli_bracket && cli_colon[-1] == ']') || (!cli_bracket && strchr(cli_connect, ':') == cli_colon))) {
		(*cli_host)[cli_colon - cli_connect] = 0;
		*cli_port = strtol(cli_colon + 1, &cli_port_end, 10);
		if (*cli_port_end || cli_port_end == cli_colon + 1 || *cli_port < 1 || *cli_port > 65535)
			return errmsg_set(err, "-rpcconnect has no good port: %.64s", cli_connect);
	}
	if (cli_bracket && (*cli_host)[strlen(*cli_host) - 1] == ']') {
		(*cli_host)[strlen(*cli_host) - 1] = 0;
		memmove(*cli_host, *cli_host + 1, strlen(*cli_host));
	}
	return true;
}

/* One attempt. Returns the exit code; *retry tells whether waiting may help, and stays false if it was not allowed. */
static int cli_call_once(const struct options *cli_options, const struct datadir *cli_datadir,
	struct client_target *cli_target, const struct buf *cli_request, bool *cli_retry)
{
	char *cli_credentials;
	struct buf cli_answer_body;
	struct errmsg err;
	int cli_http_status, cli_exit_code = EXIT_FAILURE;

	/* Anew for each attempt: a node that starts meanwhile writes another cookie. */
	cli_credentials = cli_find_credentials(cli_options, cli_datadir, &err);
	if (cli_credentials == NULL)
		return *cli_retry ? EXIT_FAILURE : cli_complain(err.text);
	buf_init(&cli_answer_body);
	cli_target->credentials = cli_credentials;
	switch (client_call(cli_target, cli_request->data, cli_request->size, &cli_http_status, &cli_answer_body,
		&err)) {
	case CLIENT_OK:
		cli_exit_code = cli_print_answer(&cli_answer_body, cli_http_status, cli_retry);
		break;
	case CLIENT_UNREACHABLE:
		if (!*cli_retry) {
			cli_complain(err.text);
			fprintf(stderr, "Is atelierd running, with the same chain and ports?\n");
		}
		break;
	case CLIENT_FAILED:
		/* An old cookie is refused until the starting node has written its own. */
		if (!*cli_retry || cli_http_status != 401) {
			*cli_retry = false;
			cli_complain(err.text);
		}
		break;
	}
	buf_clear(&cli_answer_body);
	free(cli_credentials);
	return cli_exit_code;
}

static int cli_call_node(const struct options *cli_options, const struct datadir *cli_datadir,
	struct client_target *cli_target, const struct buf *cli_request, int64_t cli_wait_limit)
{
	bool wait = options_bool(cli_options, "rpcwait");

	for (int64_t waited = 0;; waited += CLI_WAIT_SECONDS) {
		bool cli_retry = wait && (cli_wait_limit == 0 || waited < cli_wait_limit);
		int cli_exit_code = cli_call_once(cli_options, cli_datadir, cli_target, cli_request, &cli_retry);

		if (!cli_retry)
			return cli_exit_code;
		sleep(CLI_WAIT_SECONDS);
	}
}

static int cli_run(const struct options *cli_options, const struct datadir *cli_datadir, int argc, char **argv)
{
	char *cli_path = endpoint_path(options_string(cli_options, "rpcwallet"));
	struct client_target cli_target = { .path = cli_path, .type = RPC_CONTENT_TYPE };
	int64_t cli_port = 0, cli_timeout, cli_wait_limit;
	struct errmsg err;
	struct buf cli_request;
	char *cli_host = NULL;
	int cli_exit_code;

	buf_init(&cli_request);
	if (!options_int(cli_options, "rpcclienttimeout", 0, 1000000, &cli_timeout, &err) ||
		!options_int(cli_options, "rpcwaittimeout", 0, 1000000, &cli_wait_limit, &err) ||
		!cli_split_host(cli_options, cli_datadir, &cli_host, &cli_port, &err) ||
		!cli_make_request(cli_options, argc, argv, &cli_request, &err)) {
		cli_exit_code = cli_complain(err.text);
	} else {
		cli_target.host = cli_host;
		cli_target.port = (uint16_t)cli_port;
		cli_target.timeout = (unsigned)cli_timeout;
		cli_exit_code = cli_call_node(cli_options, cli_datadir, &cli_target, &cli_request, cli_wait_limit);
	}
	free(cli_host);
	free(cli_path);
	buf_clear(&cli_request);
	return cli_exit_code;
}

static void cli_print_usage(const struct options *cli_options)
{
	char *cli_usage = options_help(cli_options);

	printf("atelier-cli %s\n\nUsage: atelier-cli [options] <call> [arguments]\n"
	       "       atelier-cli [options] -named <call> [name=value ...]\n"
	       "       atelier-cli [options] help [call]\n\n%s",
		VERSION, cli_usage);
	free(cli_usage);
}

int main(int argc, char **argv)
{
	struct options *cli_options = options_new(cli_option_table);
	struct datadir cli_datadir = { 0 };
	struct errmsg err;
	int cli_operand, cli_exit_code = EXIT_SUCCESS;

	/* A server that hangs up is an error with a text, not the end without a word. */
	signal(SIGPIPE, SIG_IGN);
	options_add_table(cli_options, datadir_options);
	/* The configuration file is the daemon's too, whose options no table here knows. */
	options_skip_unknown(cli_options);
	if (!options_parse_args(cli_options, argc, argv, &cli_operand, &err))
		cli_exit_code = cli_complain(err.text);
	else if (options_bool(cli_options, "help"))
		cli_print_usage(cli_options);
	else if (options_bool(cli_options, "version"))
		printf("atelier-cli %s\n", VERSION);
	else if (!datadir_find(&cli_datadir, cli_options, &err))
		cli_exit_code = cli_complain(err.text);
	else
		cli_exit_code = cli_run(cli_options, &cli_datadir, argc - cli_operand, argv + cli_operand);
	datadir_clear(&cli_datadir);
	options_free(cli_options);
	return cli_exit_code;
}
