/* Heads of HTTP requests: what is read out of them, and what is refused with which status. */
#include "http/head.h"
#include "unit.h"

/* Feeds the lines of a text, each ended by a line feed; what the last one gave. */
static int feed(struct http_head *head, const char *text)
{
	int result = HTTP_MORE;

	http_head_init(head);
	for (const char *end; result == HTTP_MORE && *text; text = end + 1) {
		char line[HTTP_HEAD_MAX + 100];

		end = strchr(text, '\n');
		memcpy(line, text, (size_t)(end - text));
		line[end - text] = 0;
		result = http_head_line(head, line, (size_t)(end - text));
	}
	return result;
}

static void test_fields(void **state)
{
	struct http_head head;

	(void)state;
	assert_int_equal(feed(&head,
				 "POST /wallet/a HTTP/1.1\nHost: x\nauthorization:\t Basic eDp5 \nContent-Length: 17\n"
				 "Expect: 100-Continue\n\n"),
		HTTP_WHOLE);
	assert_string_equal(head.method, "POST");
	assert_true(head.keep_alive && head.expects && head.has_length && !head.encoded);
	assert_string_equal(head.target, "/wallet/a");
	assert_string_equal(head.fields[HTTP_AUTHORIZATION], "Basic eDp5");
	assert_string_equal(head.fields[HTTP_HOST], "x");
	assert_int_equal(head.length, 17);
	http_head_clear(&head);
	assert_null(head.target);

	assert_int_equal(feed(&head, "\n\nPOSTS http://h/ HTTP/1.0\nTransfer-Encoding: chunked\n\n"), HTTP_WHOLE);
	assert_string_equal(head.method, "POSTS");
	assert_true(!head.keep_alive && !head.expects && !head.has_length && head.encoded);
	assert_string_equal(head.target, "http://h/");
	assert_null(head.fields[HTTP_AUTHORIZATION]);
	assert_int_equal(head.length, 0);
	http_head_clear(&head);
}

static void test_connection(void **state)
{
	static const struct {
		const char *text;
		bool keep_alive;
	} cases[] = {
		{ "POST / HTTP/1.1\n\n", true },
		{ "POST / HTTP/1.1\nConnection: close\n\n", false },
		{ "POST / HTTP/1.1\nConnection: TE, Close\n\n", false },
		{ "POST / HTTP/1.1\nConnection: closet\n\n", true },
		{ "POST / HTTP/1.1\nConnection: close\nConnection: keep-alive\n\n", true },
		{ "POST / HTTP/1.0\n\n", false },
		{ "POST / HTTP/1.0\nConnection: upgrade,keep-alive\n\n", true },
		{ "POST / HTTP/1.1\nConnection:\n\n", true },
	};
	struct http_head head;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(feed(&head, cases[i].text), HTTP_WHOLE);
		assert_int_equal(head.keep_alive, cases[i].keep_alive);
		http_head_clear(&head);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "nonsense\n", 400 },
		{ "POST /\n", 400 },
		{ "POST  HTTP/1.1\n", 400 },
		{ "POST / HTTP/1.1 \n", 400 },
		{ "POST / HTTP/1\n", 400 },
		{ "POST / HTTP/1.x\n", 400 },
		{ "POST / / HTTP/1.1\n", 400 },
		{ "POST / HTTP/2.0\n", 505 },
		{ "POST / HTTP/0.9\n", 505 },
		{ "POST / HTTP/1.1\nno colon\n", 400 },
		{ "POST / HTTP/1.1\n: value\n", 400 },
		{ "POST / HTTP/1.1\nName : value\n", 400 },
		{ "POST / HTTP/1.1\nName: value\n folded\n", 400 },
		{ "POST / HTTP/1.1\nName: value\rContent-Length: 1\n", 400 },
		{ "POST / HTTP/1.1\r\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length:\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length: -1\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length: +1\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length: 1,1\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n", 400 },
		{ "POST / HTTP/1.1\nContent-Length: 99999999999999999999\n", 413 },
		{ "POST / HTTP/1.1\nExpect: miracles\n", 417 },
		{ "POST / HTTP/1.1\nAuthorization: a\nAuthorization: a\n", 400 },
		{ "GET / HTTP/1.1\nHost: a\nhost: a\n", 400 },
		{ "GET / HTTP/1.1\nOrigin: a\nORIGIN: b\n", 400 },
		{ "GET / HTTP/1.1\nX-Atelier-Key: a\nX-Atelier-Key: b\n", 400 },
	};
	struct http_head head;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(feed(&head, cases[i].text), cases[i].status);
		assert_string_not_equal(http_head_reason(cases[i].status), "Unknown");
		http_head_clear(&head);
	}
	http_head_init(&head);
	assert_int_equal(http_head_line(&head, "POST / HTTP/1.1\0", 16), 400);
	http_head_clear(&head);
}

static void test_bound(void **state)
{
	struct http_head head;
	size_t lines = 0;

	(void)state;
	assert_int_equal(feed(&head, "POST / HTTP/1.1\n"), HTTP_MORE);
	while (http_head_line(&head, "a: b", 4) == HTTP_MORE)
		lines++;
	assert_int_equal(lines, (HTTP_HEAD_MAX - 17) / 6);
	assert_int_equal(http_head_line(&head, "", 0), 431);
	http_head_clear(&head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
