/* The limit on file descriptors goes up as far as it may, and never down; who gets how many. */
#include <sys/resource.h>

#include "unit.h"
#include "util/descriptors.h"

static void test_raise(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 64;
	limit.rlim_max = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(descriptors_raise(32), 64);
	assert_int_equal(descriptors_raise(70), 70);
	assert_int_equal(descriptors_raise(1000), 100);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 100);
	assert_int_equal(limit.rlim_max, 100);
}

static void test_shares(void **state)
{
	static const size_t limits[] = { 0, 1, 7, 8, 64, 200, 256, 1024, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		size_t rpc = descriptors_for_rpc(limits[i]), web = descriptors_for_web(limits[i]),
		       peers = descriptors_for_peers(limits[i]);

		assert_true(rpc >= 1 && rpc <= DESCRIPTORS_RPC);
		assert_true(web >= 1 && web <= DESCRIPTORS_WEB);
		assert_true(peers == 0 || peers + rpc + web + limits[i] / 2 <= limits[i] ||
			peers + rpc + web + DESCRIPTORS_NODE == limits[i]);
	}
	assert_int_equal(descriptors_for_peers(64), 64 - 32 - 16);
	assert_int_equal(descriptors_for_peers(1024), 1024 - DESCRIPTORS_NODE - DESCRIPTORS_RPC - 128);
	assert_int_equal(descriptors_for_peers(8192), 8192 - DESCRIPTORS_NODE - DESCRIPTORS_RPC - DESCRIPTORS_WEB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raise),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
