/* Who loses his place: each reason to keep somebody, how far it goes, and a flood over time. */
#include "net/door/evict.h"
#include "unit.h"

enum { PLACES = 125, PER_ADDRESS = 8, FLOOD_ADDRESSES = 16, HONEST = 12 };

static const uint8_t key[16] = { 7 };

/* One of 10.x.y.z, of its own address unless said otherwise, that came in the order of the numbers. */
static struct evict_candidate candidate(uint64_t number, unsigned network, unsigned host)
{
	struct evict_candidate made = {
		.id = number,
		.address.ip = { [10] = 0xff, [11] = 0xff, [12] = 10 },
		.started = (int64_t)number * 1000,
		.ping_ms = -1,
	};

	made.address.ip[13] = (uint8_t)network;
	made.address.ip[14] = (uint8_t)(host >> 8);
	made.address.ip[15] = (uint8_t)host;
	return made;
}

/* The list is another's afterwards. */
static uint64_t choose(const struct evict_candidate *list, size_t count, const uint8_t with_key[16])
{
	struct evict_candidate copy[PLACES], turned[PLACES];
	uint64_t loser;

	memcpy(copy, list, count * sizeof *list);
	for (size_t i = 0; i < count; i++)
		turned[count - 1 - i] = list[i];
	loser = evict_choose(copy, count, with_key);
	assert_int_equal(evict_choose(turned, count, with_key), loser);
	return loser;
}

/* All of one network, each of its own address: the newest goes, the last in the list. */
static void alike(struct evict_candidate *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i] = candidate(i + 1, 1, (unsigned)i);
}

static void test_few(void **state)
{
	struct evict_candidate list[2];

	(void)state;
	alike(list, 2);
	assert_int_equal(choose(list, 0, key), 0);
	assert_int_equal(choose(list, 1, key), 0);
	assert_int_equal(choose(list, 2, key), 2);
	list[1].ping_ms = 30;
	assert_int_equal(choose(list, 2, key), 0);
}

static void test_newest(void **state)
{
	struct evict_candidate list[32];

	(void)state;
	alike(list, 32);
	assert_int_equal(choose(list, 32, key), 32);
	for (size_t i = 0; i < 32; i++)
		list[i].started = 5; /* then the later number is the newer */
	assert_int_equal(choose(list, 32, key), 32);
	list[3].started = 6;
	assert_int_equal(choose(list, 32, key), 4);
}

/* Of 32 two are kept for each reason: with three that have it the one with least of it goes. */
static void test_pings(void **state)
{
	struct evict_candidate list[32];

	(void)state;
	alike(list, 32);
	list[31].ping_ms = 0;
	assert_int_equal(choose(list, 32, key), 31);
	list[30].ping_ms = 1;
	assert_int_equal(choose(list, 32, key), 30);
	list[29].ping_ms = 2;
	assert_int_equal(choose(list, 32, key), 30);
	list[29].ping_ms = 0;
	assert_int_equal(choose(list, 32, key), 31);
}

static void test_merits(void **state)
{
	struct evict_candidate list[32];

	(void)state;
	for (enum evict_merit merit = 0; merit < EVICT_MERITS; merit++) {
		alike(list, 32);
		list[31].brought[merit] = 50;
		assert_int_equal(choose(list, 32, key), 31);
		list[30].brought[merit] = 60;
		assert_int_equal(choose(list, 32, key), 30);
		list[29].brought[merit] = 40;
		assert_int_equal(choose(list, 32, key), 30);
		list[29].brought[merit] = 70;
		assert_int_equal(choose(list, 32, key), 32);
	}
	alike(list, 32);
	for (enum evict_merit merit = 0; merit < EVICT_MERITS; merit++)
		list[31 - merit].brought[merit] = 1;
	assert_int_equal(choose(list, 32, key), 32 - EVICT_MERITS);
}

/* The elder half is kept whatever its address: here it is the one with most connections. */
static void test_age(void **state)
{
	struct evict_candidate list[32];

	(void)state;
	alike(list, 32);
	for (size_t i = 0; i < 14; i++)
		list[i] = candidate(i + 1, 1, 200);
	assert_int_equal(choose(list, 32, key), 32);
}

/* The address that is there most often, of such one of the largest network, its newest connection. */
static void test_groups(void **state)
{
	struct evict_candidate list[64];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		list[i] = candidate(i + 1, (unsigned)i, 0);
	for (size_t i = 40; i < 43; i++)
		list[i] = candidate(i + 1, 200, (unsigned)i);
	assert_int_equal(choose(list, 64, key), 43);
	list[41] = candidate(42, 200, 40);
	assert_int_equal(choose(list, 64, key), 42);
	/* Another address as often, of a smaller network, then of one as large. */
	list[50] = candidate(51, 201, 50);
	list[51] = candidate(52, 201, 50);
	assert_int_equal(choose(list, 64, key), 42);
	list[52] = candidate(53, 201, 52);
	assert_int_equal(choose(list, 64, key), 52);
	/* Another four times. */
	for (size_t i = 44; i < 48; i++)
		list[i] = candidate(i + 1, 45, 0);
	assert_int_equal(choose(list, 64, key), 48);
}

/* A /64 is one address, a /32 one network. */
static void test_ipv6(void **state)
{
	struct evict_candidate list[64];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		list[i] = candidate(i + 1, 0, 0);
		memset(list[i].address.ip, 0, 16);
		list[i].address.ip[0] = 0x20;
		list[i].address.ip[3] = (uint8_t)i;
	}
	list[40].address.ip[3] = list[41].address.ip[3] = list[42].address.ip[3] = 40;
	list[40].address.ip[4] = list[42].address.ip[4] = 1;
	list[41].address.ip[15] = list[42].address.ip[15] = 7;
	assert_int_equal(choose(list, 64, key), 43);
	list[42].address.ip[4] = 2;
	list[41].address.ip[4] = 1;
	assert_int_equal(choose(list, 64, key), 42);
}

/* Two of 32 networks are kept, and which ones only the key says. */
static void test_spread(void **state)
{
	struct evict_candidate list[32];
	size_t kept = 0;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		list[i] = candidate(i + 1, (unsigned)i, 0);
	for (unsigned number = 0; number < 256; number++) {
		const uint8_t other_key[16] = { (uint8_t)number };
		uint64_t loser = choose(list, 32, other_key);

		assert_in_range(loser, 30, 32);
		kept += loser != 32;
	}
	assert_in_range(kept, 1, 64); /* 16 on average; always the same, as the keys are */
}

static size_t remove_loser(struct evict_candidate *list, size_t count)
{
	uint64_t loser = choose(list, count, key);

	assert_int_not_equal(loser, 0);
	for (size_t i = 0; i < count; i++)
		if (list[i].id == loser)
			list[i] = list[--count];
	return count;
}

static size_t count_network(const struct evict_candidate *list, size_t count, unsigned network)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += list[i].address.ip[13] == network;
	return found;
}

/* Sixteen addresses of one network, or of sixteen, hold all places first, and call again whenever they lose one. Honest
 * nodes come meanwhile, one from an address, and stay. */
static void test_flood(void **state)
{
	(void)state;
	for (unsigned networks = 1; networks <= FLOOD_ADDRESSES; networks += FLOOD_ADDRESSES - 1) {
		struct evict_candidate list[PLACES];
		uint64_t number = 0;
		size_t count = 0, honest = 0;

		while (count < PLACES) {
			number++;
			list[count] = candidate(number, (unsigned)(number % networks),
				(unsigned)(number % FLOOD_ADDRESSES));
			list[count++].ping_ms = 0;
		}
		for (unsigned turn = 0; turn < 1000; turn++) {
			const bool is_honest = turn % 50 == 0 && honest < HONEST;

			count = remove_loser(list, count);
			number++;
			list[count++] = is_honest ?
				candidate(number, 100, (unsigned)honest++) :
				candidate(number, (unsigned)(number % networks), (unsigned)(number % FLOOD_ADDRESSES));
			assert_int_equal(count_network(list, count, 100), honest);
		}
		assert_int_equal(honest, HONEST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_merits),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
