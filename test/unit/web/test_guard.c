/* Whose requests the page's server takes: hosts, origins, what browsers say of who asks. */
#include "unit.h"
#include "web/guard.h"

static const char *const binds[] = { "10.1.2.3:80", "[fd00::1]:80", "fd00::2" };
static const char *const hosts[] = { "node.example", "Other.Example" };
static const struct guard guard = { binds, hosts, 3, 2 };

/* A head of these fields; "" where there is none. */
static int judge(const char *target, const char *host, const char *origin, const char *site, const char *mode)
{
	struct http_head head = {
		.method = (char *)"GET",
		.target = (char *)(uintptr_t)target,
		.fields = {
			[HTTP_HOST] = (char *)(uintptr_t)host,
			[HTTP_ORIGIN] = (char *)(uintptr_t)origin,
			[HTTP_FETCH_SITE] = (char *)(uintptr_t)site,
			[HTTP_FETCH_MODE] = (char *)(uintptr_t)mode,
		},
	};

	return guard_judge(&guard, &head);
}

static void test_hosts(void **state)
{
	static const char *const own[] = { "localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]",
		"[::1]:8080", "10.1.2.3", "10.1.2.3:81", "[fd00::1]", "[FD00::1]:1", "[fd00::2]:1", "node.example",
		"other.example:443" };
	static const char *const others[] = { "", ":", ":80", "evil.example", "localhost.evil.example", "127.0.0.2",
		"127.0.0.1.evil.example", "localhost:80:evil", "localhost:x", "localhost]", "localhost]:80",
		"[localhost", "[::1].evil.example", "[::1]x:80", "[::1", "[]", "xlocalhost", "localhos",
		"evil@localhost", "localhost/", "localhost,evil.example", "10.1.2.4", "example" };

	(void)state;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		if (judge("/", own[i], NULL, NULL, NULL) != 0)
			fail_msg("%s is refused", own[i]);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (judge("/", others[i], NULL, NULL, NULL) != 421)
			fail_msg("%s is taken", others[i]);
	assert_int_equal(judge("/", NULL, NULL, NULL, NULL), 400);
	assert_int_equal(judge("http://localhost/", "localhost", NULL, NULL, NULL), 400);
	assert_int_equal(judge("*", "localhost", NULL, NULL, NULL), 400);
	assert_int_equal(judge("//localhost/api/chain", "localhost", NULL, NULL, NULL), 400);
}

static void test_origins(void **state)
{
	static const char *const others[] = { "null", "", "localhost:1", "http://localhost", "http://localhost:2",
		"http://localhost:1/", "ftp://localhost:1", "http://evil.example", "http://localhost:1.evil.example",
		"http://127.0.0.1:1" };

	(void)state;
	assert_int_equal(judge("/", "localhost:1", "http://localhost:1", NULL, NULL), 0);
	assert_int_equal(judge("/", "node.example", "https://node.example", NULL, NULL), 0);
	assert_int_equal(judge("/", "Node.Example", "HTTP://node.example", NULL, NULL), 0);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (judge("/", "localhost:1", others[i], NULL, NULL) != 403)
			fail_msg("%s is taken", others[i]);
	/* A page that was fetched under a foreign name has that name for its origin, and for its host. */
	assert_int_equal(judge("/", "evil.example", "http://evil.example", NULL, NULL), 421);
}

static void test_fetches(void **state)
{
	(void)state;
	assert_int_equal(judge("/", "localhost", NULL, "same-origin", "cors"), 0);
	assert_int_equal(judge("/", "localhost", NULL, "none", "navigate"), 0);
	assert_int_equal(judge("/", "localhost", NULL, "cross-site", "navigate"), 0);
	assert_int_equal(judge("/", "localhost", NULL, "cross-site", "no-cors"), 403);
	assert_int_equal(judge("/", "localhost", NULL, "same-site", "cors"), 403);
	assert_int_equal(judge("/", "localhost", NULL, "cross-site", NULL), 403);
	assert_int_equal(judge("/", "localhost", NULL, "whatever", NULL), 403);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "a-b.example", "10.0.0.1", "[::1]", "fd00::1" };
	static const char *const bad[] = { "", "a/b", "http://a", "a:80", "[::1]:80", "a b", "[", "[]", "*", "a@b" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!guard_is_host(good[i]))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (guard_is_host(bad[i]))
			fail_msg("%s is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
