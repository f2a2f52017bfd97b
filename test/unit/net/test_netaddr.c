/* Addresses and their text, the ban list, the set that forgets. */
#include "net/door/ban.h"
#include "net/known.h"
#include "unit.h"

static void test_split(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{ "node.example", "node.example", 8444 },
		{ "node.example:1", "node.example", 1 },
		{ "1.2.3.4:65535", "1.2.3.4", 65535 },
		{ "[::1]:99", "::1", 99 },
		{ "[::1]", "::1", 8444 },
		{ "fe80::1", "fe80::1", 8444 },
	};
	static const char *const bad[] = { "", ":1", "[::1", "[::1]x", "[]:1", "a:", "a:0", "a:65536", "a:1x", "a:-1",
		"a:123456", "a:b:1", "[a]", "a b", "a/b" };
	char host[NETADDR_HOST], longest[NETADDR_HOST + 1];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(netaddr_split(good[i].text, 8444, host, &port));
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(netaddr_split(bad[i], 8444, host, &port));
	memset(longest, 'a', sizeof longest);
	longest[NETADDR_HOST] = 0;
	assert_false(netaddr_split(longest, 8444, host, &port));
	longest[NETADDR_HOST - 1] = 0;
	assert_true(netaddr_split(longest, 8444, host, &port));
}

static void test_text(void **state)
{
	static const char *const same[] = { "127.0.0.1:8444", "[::1]:8444", "[2001:db8::5]:1" };
	struct netaddr address;
	char text[NETADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		assert_true(netaddr_parse(&address, same[i], 0));
		netaddr_format(&address, text);
		assert_string_equal(text, same[i]);
	}
	assert_false(netaddr_parse(&address, "node.example:1", 0));
	assert_false(netaddr_parse(&address, "1.2.3:1", 0));
}

static void test_sockaddr(void **state)
{
	static const char *const texts[] = { "10.1.2.3:77", "[2001:db8::5]:1" };
	struct netaddr address, back;
	struct sockaddr_storage storage;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_true(netaddr_parse(&address, texts[i], 0));
		netaddr_to_sockaddr(&address, &storage);
		assert_true(netaddr_from_sockaddr(&back, (struct sockaddr *)&storage));
		assert_memory_equal(&back, &address, sizeof address);
	}
	storage.ss_family = AF_UNIX;
	assert_false(netaddr_from_sockaddr(&back, (struct sockaddr *)&storage));
}

static bool inside(const char *address_text, const char *subnet)
{
	struct netaddr address;
	uint8_t ip[16];
	unsigned prefix;

	assert_true(netaddr_parse(&address, address_text, 1));
	assert_true(netaddr_parse_subnet(ip, &prefix, subnet));
	return netaddr_in_subnet(&address, ip, prefix);
}

static void test_subnet(void **state)
{
	uint8_t ip[16];
	unsigned prefix;
	char text[NETADDR_TEXT];

	(void)state;
	assert_true(inside("10.1.2.3", "10.1.2.3"));
	assert_false(inside("10.1.2.4", "10.1.2.3"));
	assert_true(inside("10.1.2.255", "10.1.2.0/24"));
	assert_true(inside("10.1.2.127", "10.1.2.1/25"));
	assert_false(inside("10.1.2.128", "10.1.2.1/25"));
	assert_true(inside("10.1.2.3", "0.0.0.0/0"));
	assert_false(inside("[2001:db8::1]", "0.0.0.0/0"));
	assert_true(inside("[2001:db8::1]", "2001:db8::/32"));
	assert_false(inside("[2001:db9::1]", "2001:db8::/32"));
	assert_true(netaddr_parse_subnet(ip, &prefix, "10.1.2.3/24"));
	netaddr_format_subnet(ip, prefix, text);
	assert_string_equal(text, "10.1.2.0/24");
	assert_false(netaddr_parse_subnet(ip, &prefix, "10.1.2.3/33"));
	assert_false(netaddr_parse_subnet(ip, &prefix, "::1/129"));
	assert_false(netaddr_parse_subnet(ip, &prefix, "10.1.2.3/"));
	assert_false(netaddr_parse_subnet(ip, &prefix, "node/8"));
}

static bool same_group(const char *a, const char *b)
{
	struct netaddr first, second;

	assert_true(netaddr_parse(&first, a, 1));
	assert_true(netaddr_parse(&second, b, 2));
	assert_int_equal(netaddr_same_group(&second, &first), netaddr_same_group(&first, &second));
	return netaddr_same_group(&first, &second);
}

static void test_group(void **state)
{
	(void)state;
	assert_true(same_group("10.1.2.3", "10.1.2.3"));
	assert_false(same_group("10.1.2.3", "10.1.2.4"));
	assert_true(same_group("[2001:db8:0:1::1]", "[2001:db8:0:1:ffff::2]"));
	assert_false(same_group("[2001:db8:0:1::1]", "[2001:db8:0:2::1]"));
	assert_false(same_group("10.1.2.3", "[::1]"));
}

static struct netaddr parsed(const char *text)
{
	struct netaddr address;

	assert_true(netaddr_parse(&address, text, 1));
	return address;
}

static bool discourage(struct ban_list *list, const struct netaddr *address)
{
	uint8_t group[16];

	netaddr_group(address, group);
	return ban_discourage(list, group, 1000);
}

static void test_discourage(void **state)
{
	struct netaddr far = parsed("10.1.2.3"), own = parsed("127.0.0.1"), own6 = parsed("::1");
	struct netaddr first6 = parsed("2001:db8::1"), second6 = parsed("2001:db8::2:1"),
		       other6 = parsed("2001:db8:1::1");
	struct ban_list list;

	(void)state;
	ban_init(&list);
	assert_false(discourage(&list, &own));
	assert_false(discourage(&list, &own6));
	assert_int_equal(list.count, 0); /* honest programs live at the same address */
	assert_true(discourage(&list, &first6));
	assert_true(ban_covers(&list, &second6, 1000));
	assert_false(ban_covers(&list, &other6, 1000));
	assert_true(discourage(&list, &far));
	assert_true(ban_covers(&list, &far, 1000));
	far.port = 2;
	assert_true(ban_covers(&list, &far, 1000 + BAN_DEFAULT_SECONDS - 1));
	assert_false(ban_covers(&list, &far, 1000 + BAN_DEFAULT_SECONDS));
	assert_int_equal(list.count, 0);
	ban_clear(&list);
}

static void test_ban(void **state)
{
	struct ban ban = { .created = 1, .until = 100 };
	struct netaddr address = parsed("10.1.2.3");
	struct ban_list list;

	(void)state;
	ban_init(&list);
	assert_true(netaddr_parse_subnet(ban.ip, &ban.prefix, "10.0.0.0/8"));
	ban_add(&list, &ban);
	ban.until = 200;
	ban_add(&list, &ban);
	assert_int_equal(list.count, 1);
	assert_true(ban_covers(&list, &address, 150));
	assert_int_equal(ban_find(&list, ban.ip, ban.prefix, 150)->until, 200);
	assert_false(ban_remove(&list, ban.ip, ban.prefix + 1));
	assert_true(ban_remove(&list, ban.ip, ban.prefix));
	assert_false(ban_covers(&list, &address, 150));
	/* A full list drops what ends first. */
	for (unsigned i = 0; i <= BAN_MAX; i++) {
		ban.prefix = 128;
		ban.until = i == 7 ? 300 : 400;
		memcpy(ban.ip, &i, sizeof i);
		ban_add(&list, &ban);
	}
	assert_int_equal(list.count, BAN_MAX);
	memcpy(ban.ip, &(unsigned){ 7 }, sizeof(unsigned));
	assert_null(ban_find(&list, ban.ip, 128, 150));
	memcpy(ban.ip, &(unsigned){ BAN_MAX }, sizeof(unsigned));
	assert_non_null(ban_find(&list, ban.ip, 128, 150));
	ban_clear(&list);
}

static void test_known(void **state)
{
	struct known known;
	uint8_t id[32] = { 0 };

	(void)state;
	known_init(&known, 3);
	for (uint8_t i = 0; i < 3; i++) {
		id[0] = i;
		assert_false(known_has(&known, id));
		assert_true(known_add(&known, id));
		assert_false(known_add(&known, id));
	}
	id[0] = 3;
	assert_true(known_add(&known, id));
	for (uint8_t i = 0; i < 4; i++) {
		id[0] = i;
		assert_int_equal(known_has(&known, id), i > 0);
	}
	assert_int_equal(known.places.count, 3);
	known_clear(&known);
	assert_false(known_has(&known, id));
	assert_true(known_add(&known, id));
	known_clear(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_subnet),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_discourage),
		cmocka_unit_test(test_ban),
		cmocka_unit_test(test_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
