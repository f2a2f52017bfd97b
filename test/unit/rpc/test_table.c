/* The way of a JSON-RPC text through the table: versions, batches, arguments, errors, answers that come later. */
#include "rpc/table.h"
#include "unit.h"

static int64_t context_seen;
static struct rpc_request *waiting[4];
static size_t waiting_count;

static const struct rpc_arg show_args[] = {
	{ .name = "text", .type = RPC_TEXT, .max = 8, .help = "Any text." },
	{ .name = "count", .type = RPC_INT, .fallback = "7", .min = 1, .max = 9, .help = "A number." },
	{ .name = "amount", .type = RPC_AMOUNT, .optional = true, .help = "Coins." },
	{ .name = "flag", .type = RPC_BOOL, .fallback = "true", .help = "Yes or no." },
	{ .name = "id", .type = RPC_HASH, .optional = true, .help = "An id." },
	{ .name = "list", .type = RPC_ARRAY, .optional = true, .help = "A list." },
	{ .name = "verbosity", .type = RPC_VERBOSITY, .fallback = "false", .max = 2, .help = "How much." },
	{ .name = "scale", .type = RPC_DECIMAL, .fallback = "0.5", .min = 0, .max = 200000000, .help = "A factor." },
	{ .name = "hex", .type = RPC_HEX, .optional = true, .max = 2, .help = "Bytes." },
	{ .name = "key", .type = RPC_KEY, .optional = true, .help = "A key." },
	{ .name = "options", .type = RPC_OBJECT, .optional = true, .help = "More." },
	{ .name = "any", .type = RPC_ANY, .optional = true, .help = "Anything." },
	{ .name = "bytes", .type = RPC_BYTES, .fallback = "\"\"", .max = 4, .help = "Any text, bytes 0 too." },
	{ .name = "seed", .type = RPC_U64, .optional = true, .help = "A large number." },
	{ 0 },
};

/* Answers with what arrived. */
static enum rpc_outcome show(struct rpc_request *r, void *context)
{
	json_t *result = json_object();
	uint8_t hash[32];
	const char *bytes;
	struct buf hex;
	size_t size;

	context_seen = *(int64_t *)context;
	buf_init(&hex);
	rpc_hex(r, "hex", &hex);
	json_object_set_new(result, "text", json_string(rpc_text(r, "text")));
	json_object_set_new(result, "count", json_integer(rpc_int(r, "count")));
	json_object_set_new(result, "amount", rpc_has(r, "amount") ? json_amount(rpc_int(r, "amount")) : json_null());
	json_object_set_new(result, "flag", json_boolean(rpc_bool(r, "flag")));
	rpc_hash(r, "id", hash);
	json_object_set_new(result, "id", json_integer(hash[31]));
	json_object_set_new(result, "list", json_integer((json_int_t)json_array_size(rpc_json(r, "list"))));
	json_object_set_new(result, "verbosity", json_integer(rpc_int(r, "verbosity")));
	json_object_set_new(result, "scale", json_integer(rpc_int(r, "scale")));
	json_object_set_new(result, "hex", json_integer((json_int_t)hex.size));
	rpc_key(r, "key", hash);
	json_object_set_new(result, "key", json_integer(hash[0]));
	json_object_set_new(result, "options", json_integer((json_int_t)json_object_size(rpc_json(r, "options"))));
	json_object_set(result, "any", rpc_has(r, "any") ? rpc_json(r, "any") : json_null());
	bytes = rpc_bytes(r, "bytes", &size);
	json_object_set_new(result, "bytes", json_text(bytes, size));
	json_object_set_new(result, "seed", json_u64(rpc_u64(r, "seed")));
	json_object_set_new(result, "wallet", rpc_wallet(r) != NULL ? json_string(rpc_wallet(r)) : json_null());
	buf_clear(&hex);
	return rpc_reply(r, result);
}

static enum rpc_outcome later(struct rpc_request *r, void *context)
{
	(void)context;
	waiting[waiting_count++] = r;
	return RPC_PENDING;
}

static enum rpc_outcome wrong(struct rpc_request *r, void *context)
{
	(void)context;
	return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "No %s, with \"quotes\"", "such thing");
}

static enum rpc_outcome nothing(struct rpc_request *r, void *context)
{
	(void)context;
	return rpc_reply(r, NULL);
}

static const struct rpc_method methods[] = {
	{ "show", "Show", show, show_args, "Shows what arrived.", "{...}", "\"a\" 3", 0 },
	{ "later", "Wait", later, NULL, "Answers later.", "\"done\"", "", 0 },
	{ "wrong", "Show", wrong, NULL, "Fails.", NULL, NULL, RPC_EARLY },
	{ "nothing", "Show", nothing, NULL, "Does nothing.", NULL, NULL, RPC_HIDDEN },
};

static int64_t shared_context = 42;

struct answer {
	int status, count;
	char *body;
	rpc_sent *sent;
};

static void answered(void *context, struct rpc_answer *answer)
{
	struct answer *a = context;

	a->count++;
	a->status = answer->status;
	a->sent = answer->sent;
	assert_int_equal(answer->body.size == 0, answer->status == 204);
	a->body = buf_take_text(&answer->body);
}

static struct rpc_table *make(void)
{
	struct rpc_table *table = rpc_table_new();

	rpc_table_add(table, methods, sizeof methods / sizeof methods[0], &shared_context);
	waiting_count = 0;
	return table;
}

static void check(struct rpc_table *table, const char *request, int status, const char *body)
{
	struct answer a = { 0 };

	rpc_table_execute(table, request, strlen(request), NULL, answered, &a);
	assert_int_equal(a.count, 1);
	assert_string_equal(a.body, body);
	assert_int_equal(a.status, status);
	free(a.body);
}

/* Calls `show` with params, and looks for a part of the answer. */
static void check_show(struct rpc_table *table, const char *params, int status, const char *part)
{
	struct answer a = { 0 };
	char request[512];

	snprintf(request, sizeof request, "{\"method\":\"show\",\"params\":%s,\"id\":1}", params);
	rpc_table_execute(table, request, strlen(request), "w", answered, &a);
	assert_int_equal(a.count, 1);
	if (strstr(a.body, part) == NULL)
		fail_msg("%s has no %s", a.body, part);
	assert_int_equal(a.status, status);
	free(a.body);
}

static void test_versions(void **state)
{
	struct rpc_table *table = make();

	(void)state;
	check(table, "{\"method\":\"nothing\",\"id\":\"a\"}", 200, "{\"result\":null,\"error\":null,\"id\":\"a\"}\n");
	check(table, "{\"method\":\"nothing\",\"params\":null}", 200, "{\"result\":null,\"error\":null,\"id\":null}\n");
	check(table, "{\"jsonrpc\":\"1.0\",\"method\":\"nothing\",\"params\":[],\"id\":1.50}", 200,
		"{\"result\":null,\"error\":null,\"id\":1.50}\n");
	check(table, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":7}", 200,
		"{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":7}\n");
	check(table, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}", 204, "");
	check(table, "{\"jsonrpc\":\"2.0\",\"method\":\"wrong\"}", 204, "");
	check(table, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":null}", 200,
		"{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":null}\n");
	rpc_table_free(table);
}

static void test_errors(void **state)
{
	struct rpc_table *table = make();

	(void)state;
	check(table, "{\"method\":\"wrong\",\"id\":1}", 500,
		"{\"result\":null,\"error\":{\"code\":-5,\"message\":\"No such thing, "
		"with \\\"quotes\\\"\"},\"id\":1}\n");
	check(table, "{\"jsonrpc\":\"2.0\",\"method\":\"wrong\",\"id\":1}", 200,
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-5,\"message\":\"No such thing, with "
		"\\\"quotes\\\"\"},\"id\":1}\n");
	check(table, "{\"method\":\"unknown\",\"id\":1}", 404,
		"{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":1}\n");
	check(table, "{\"id\":1}", 400,
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Missing method\"},\"id\":1}\n");
	check(table, "{\"jsonrpc\":\"2.0\"}", 200,
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"Missing method\"},\"id\":null}\n");
	check(table, "{\"method\":1}", 400,
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Method must be a string\"},\"id\":null}\n");
	check(table, "{\"method\":\"nothing\",\"params\":1}", 400,
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Params must be an array or "
		"object\"},\"id\":null}\n");
	check(table, "{\"method\":\"nothing\",\"id\":[]}", 400,
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"The id must be a string, a number or "
		"null\"},\"id\":null}\n");
	check(table, "{\"jsonrpc\":\"3.0\",\"method\":\"nothing\"}", 400,
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"JSON-RPC version not "
		"supported\"},\"id\":null}\n");
	check(table, "1", 500,
		"{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Top-level object parse "
		"error\"},\"id\":null}\n");
	check(table, "{", 500,
		"{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error: Expected a name in quotes at "
		"byte 1\"},\"id\":null}\n");
	rpc_table_free(table);
}

static void test_batch(void **state)
{
	struct rpc_table *table = make();
	struct answer a = { 0 };
	char *many = malloc(40 * (RPC_BATCH_MAX + 2)), *p = many;

	(void)state;
	check(table, "[]", 200, "[]\n");
	check(table,
		"[{\"method\":\"nothing\",\"id\":1},{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"},5,{\"method\":\"x\","
		"\"id\":2}]",
		200,
		"[{\"result\":null,\"error\":null,\"id\":1},"
		"{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Invalid Request object\"},\"id\":null},"
		"{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":2}]\n");
	check(table, "[{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}]", 204, "");

	p += sprintf(p, "[1");
	for (int i = 0; i < RPC_BATCH_MAX; i++)
		p += sprintf(p, ",1");
	sprintf(p, "]");
	rpc_table_execute(table, many, strlen(many), NULL, answered, &a);
	assert_non_null(strstr(a.body, "Too many calls"));
	assert_int_equal(a.status, 400);
	free(a.body);
	free(many);
	rpc_table_free(table);
}

#define DIGITS "00000000000000000000000000000000000000000000000000000000000000"

static void test_arguments(void **state)
{
	struct rpc_table *table = make();

	(void)state;
	check_show(table, "[\"a\"]", 200,
		"{\"text\":\"a\",\"count\":7,\"amount\":null,\"flag\":true,\"id\":0,\"list\":0,\"verbosity\":0,"
		"\"scale\":50000000,\"hex\":0,\"key\":0,\"options\":0,\"any\":null,\"bytes\":\"\",\"seed\":\"0\","
		"\"wallet\":\"w\"}");
	assert_int_equal(context_seen, 42);
	check_show(table,
		"[5,9,\"0.29\",false,\"ab" DIGITS "\",[1,2],true,2,\"0102\",\"cd" DIGITS "\",{\"x\":1},[1.50],"
		"\"\\u0000a\",18446744073709551615]",
		200,
		"{\"text\":\"5\",\"count\":9,\"amount\":0.29000000,\"flag\":false,\"id\":171,\"list\":2,"
		"\"verbosity\":1,\"scale\":200000000,\"hex\":2,\"key\":205,\"options\":1,\"any\":[1.50],"
		"\"bytes\":\"\\u0000a\",\"seed\":\"18446744073709551615\",\"wallet\":\"w\"}");
	check_show(table, "{\"text\":\"a\",\"bytes\":12,\"seed\":\"9007199254740993\"}", 200,
		"\"bytes\":\"12\",\"seed\":\"9007199254740993\"");
	check_show(table, "[\"a\",null,null,null,null,null,2]", 200, "\"count\":7,\"amount\":null,\"flag\":true");
	/* Named ones, and both ways together. */
	check_show(table, "{\"flag\":false,\"text\":\"x\"}", 200,
		"\"text\":\"x\",\"count\":7,\"amount\":null,\"flag\":false");
	check_show(table, "{\"args\":[\"x\",3],\"flag\":false}", 200, "\"text\":\"x\",\"count\":3");
	rpc_table_free(table);
}

static void test_bad_arguments(void **state)
{
	static const struct {
		const char *params, *part;
	} cases[] = {
		/* How it is done. */
		{ "[]", "\"code\":-1,\"message\":\"show \\\"text\\\" ( count" },
		{ "null", "\"code\":-1,\"message\":\"show " },
		{ "[null]", "\"code\":-1,\"message\":\"show " },
		{ "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]", "\"code\":-1,\"message\":\"show " },
		{ "{\"args\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}", "\"code\":-1,\"message\":\"show " },
		{ "{\"flag\":true}", "\"code\":-1,\"message\":\"show " },
		/* Types. */
		{ "[[]]", "\"code\":-3,\"message\":\"text must be a string, not array\"" },
		{ "[\"a\",\"5\"]", "\"code\":-3,\"message\":\"count must be a number, not string\"" },
		{ "[\"a\",5,true]", "\"code\":-3,\"message\":\"amount must be a number or string, not bool\"" },
		{ "[\"a\",5,0.000000001]", "\"code\":-3,\"message\":\"Invalid amount" },
		{ "[\"a\",5,1,\"true\"]", "\"code\":-3,\"message\":\"flag must be of type bool, not string\"" },
		{ "[\"a\",5,1,1]", "\"code\":-3,\"message\":\"flag must be of type bool, not number\"" },
		{ "{\"text\":\"a\",\"list\":{}}",
			"\"code\":-3,\"message\":\"list must be of type array, not object\"" },
		{ "{\"text\":\"a\",\"options\":\"b\"}", "\"code\":-3,\"message\":\"options must be of type object" },
		{ "{\"text\":\"a\\u0000\"}",
			"\"code\":-3,\"message\":\"text must be a string, not string with a byte 0\"" },
		{ "{\"text\":\"a\",\"seed\":true}",
			"\"code\":-3,\"message\":\"seed must be a number or string, not bool\"" },
		/* Forms and ranges. */
		{ "{\"text\":\"a\",\"bytes\":\"ab\\u0000cd\"}",
			"\"code\":-8,\"message\":\"bytes must have at most 4 bytes, not 5" },
		{ "{\"text\":\"a\",\"seed\":18446744073709551616}",
			"\"code\":-8,\"message\":\"seed must be a whole number" },
		{ "{\"text\":\"a\",\"seed\":-1}", "\"code\":-8,\"message\":\"seed must be a whole number" },
		{ "{\"text\":\"a\",\"seed\":\"1.5\"}", "\"code\":-8,\"message\":\"seed must be a whole number" },
		{ "{\"text\":\"a\",\"seed\":\"\"}", "\"code\":-8,\"message\":\"seed must be a whole number" },
		{ "[\"123456789\"]", "\"code\":-8,\"message\":\"text must have at most 8 bytes" },
		{ "[\"a\",0]", "\"code\":-8,\"message\":\"count must be between 1 and 9, not 0\"" },
		{ "[\"a\",10]", "\"code\":-8" },
		{ "[\"a\",1.5]", "\"code\":-1,\"message\":\"count must be an integer" },
		{ "{\"text\":\"a\",\"id\":\"abc\"}", "\"code\":-8,\"message\":\"id must be of length 64 (not 3" },
		{ "{\"text\":\"a\",\"verbosity\":3}", "\"code\":-8,\"message\":\"verbosity must be between 0 and 2" },
		{ "{\"text\":\"a\",\"scale\":2.1}", "\"code\":-8,\"message\":\"scale is out of range" },
		{ "{\"text\":\"a\",\"hex\":\"010203\"}", "\"code\":-8,\"message\":\"hex must have at most 2 bytes" },
		/* Names. */
		{ "{\"text\":\"a\",\"nonsense\":1}", "\"code\":-8,\"message\":\"Unknown named parameter nonsense\"" },
		{ "{\"args\":[\"a\"],\"text\":\"b\"}", "\"code\":-8,\"message\":\"Parameter text specified twice" },
	};
	struct rpc_table *table = make();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		check_show(table, cases[i].params, 500, cases[i].part);
	rpc_table_free(table);
}

static void test_later(void **state)
{
	static const char one[] = "{\"method\":\"later\",\"id\":1}";
	static const char batch[] = "[{\"method\":\"later\",\"id\":1},{\"method\":\"nothing\",\"id\":2},"
				    "{\"method\":\"later\",\"id\":3}]";
	struct rpc_table *table = make();
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	rpc_table_execute(table, one, strlen(one), NULL, answered, &a);
	rpc_table_execute(table, batch, strlen(batch), NULL, answered, &b);
	assert_int_equal(waiting_count, 3);
	assert_int_equal(a.count, 0);
	rpc_reply(waiting[0], json_string("done"));
	assert_int_equal(a.count, 1);
	assert_string_equal(a.body, "{\"result\":\"done\",\"error\":null,\"id\":1}\n");
	rpc_fail(waiting[2], RPC_MISC_ERROR, "no");
	assert_int_equal(b.count, 0);
	rpc_reply(waiting[1], json_integer(5));
	assert_int_equal(b.count, 1);
	assert_int_equal(b.status, 200);
	/* In the order of the requests, whichever was done first. */
	assert_string_equal(b.body,
		"[{\"result\":5,\"error\":null,\"id\":1},{\"result\":null,\"error\":null,\"id\":2},"
		"{\"result\":null,\"error\":{\"code\":-1,\"message\":\"no\"},\"id\":3}]\n");
	free(a.body);
	free(b.body);
	rpc_table_free(table);
}

static void test_warmup(void **state)
{
	struct rpc_table *table = make();

	(void)state;
	rpc_table_set_warmup(table, "Loading");
	check(table, "{\"method\":\"nothing\",\"id\":1}", 500,
		"{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading\"},\"id\":1}\n");
	check(table, "{\"method\":\"unknown\",\"id\":1}", 500,
		"{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading\"},\"id\":1}\n");
	check(table, "{\"method\":\"uptime\",\"id\":1}", 200, "{\"result\":0,\"error\":null,\"id\":1}\n");
	rpc_table_set_warmup(table, NULL);
	check(table, "{\"method\":\"nothing\",\"id\":1}", 200, "{\"result\":null,\"error\":null,\"id\":1}\n");
	rpc_table_free(table);
}

/* The result of help with a param, unescaped. */
static char *help_of(struct rpc_table *table, const char *param)
{
	char request[100], *text;
	struct answer a = { 0 };
	json_t *answer;

	snprintf(request, sizeof request, "{\"method\":\"help\",\"params\":[%s]}", param);
	rpc_table_execute(table, request, strlen(request), NULL, answered, &a);
	answer = json_parse(a.body, strlen(a.body), NULL);
	text = strdup(json_string_value(json_object_get(answer, "result")));
	json_decref(answer);
	free(a.body);
	return text;
}

static void test_help(void **state)
{
	struct rpc_table *table = make();
	char *text = help_of(table, "");

	(void)state;
	assert_string_equal(text,
		"== Control ==\nhelp ( \"command\" )\nuptime\n\n== Show ==\n"
		"show \"text\" ( count amount flag \"id\" list verbosity scale \"hex\" "
		"\"key\" options any \"bytes\" seed )\n"
		"wrong\n\n== Wait ==\nlater\n");
	free(text);
	text = help_of(table, "\"show\"");
	assert_non_null(strstr(text,
		"\n\nShows what arrived.\n\nArguments:\n1. text             (string, required) Any text.\n"));
	assert_non_null(strstr(text, "2. count            (integer, optional, default=7) A number.\n"));
	assert_non_null(strstr(text, "\nResult:\n{...}\n\nExample:\n> atelier-cli show \"a\" 3\n"));
	free(text);
	check(table, "{\"method\":\"help\",\"params\":[\"x\"],\"id\":1}", 404,
		"{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"help: unknown command: x\"},\"id\":1}\n");
	rpc_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_warmup),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
