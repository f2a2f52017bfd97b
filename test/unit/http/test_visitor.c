/* Clients' addresses: their text, their groups, and who is on this machine. */
#include <event2/util.h>
#include <sys/socket.h>

#include "http/visitor.h"
#include "unit.h"

static struct visitor of(const char *address)
{
	struct sockaddr_storage parsed;
	int size = sizeof parsed;

	assert_int_equal(evutil_parse_sockaddr_port(address, (struct sockaddr *)&parsed, &size), 0);
	return visitor_of((struct sockaddr *)&parsed);
}

static void check(const char *address, const char *host, bool is_local)
{
	struct visitor visitor = of(address);

	assert_string_equal(visitor.host, host);
	assert_int_equal(visitor.is_local, is_local);
}

static bool neighbours(const char *address, const char *other)
{
	struct visitor first = of(address), second = of(other);

	return visitor_is_neighbour(&first, &second);
}

static void test_hosts(void **state)
{
	(void)state;
	check("127.0.0.1:5", "127.0.0.1", true);
	check("127.9.9.9", "127.9.9.9", true);
	check("128.0.0.1", "128.0.0.1", false);
	check("[::1]:5", "::1", true);
	check("::2", "::2", false);
	check("::ffff:127.0.0.1", "127.0.0.1", true);
	check("::ffff:10.0.0.1", "10.0.0.1", false);
	check("fd00::127:0:0:1", "fd00::127:0:0:1", false);
}

static void test_groups(void **state)
{
	(void)state;
	assert_true(neighbours("10.0.0.1:5", "10.0.0.1:6"));
	assert_true(neighbours("10.0.0.1", "::ffff:10.0.0.1"));
	assert_false(neighbours("10.0.0.1", "10.0.0.2"));
	assert_true(neighbours("fd00:1:2:3::1", "fd00:1:2:3:ffff::2"));
	assert_false(neighbours("fd00:1:2:3::1", "fd00:1:2:4::1"));
	assert_false(neighbours("0.0.0.0", "::"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
