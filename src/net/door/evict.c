/* Choosing who loses his place.
 *
 * Each stage sorts who is left, the best to the end, and cuts off those it keeps. What each keeps is bounded by a share
 * of all places (EVICT_SHARE): of 125 inbound connections eight, five times; of the 85 that are left 42 are kept since
 * they are the elder ones, and somebody of the other 43 goes. So whoever holds fewer addresses than that has two
 * connections of one among them, and it is he who loses one, and not the honest node that has just come: its address is
 * there once.
 *
 * A stranger can be good at any one of these, and keeps that many places at most; to have all he has to be it all. */
#include "net/door/evict.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/siphash.h"

enum { EVICT_SHARE = 16, EVICT_NETWORK = 16 /* bytes of home */, EVICT_HOME = 32 };

static const int64_t evict_unranked = INT64_MIN;

/* --- Orders --- */

/* Who came later goes before who came earlier. */
static int evict_compare_age(const struct evict_candidate *left, const struct evict_candidate *right)
{
	if (left->started != right->started)
		return left->started > right->started ? -1 : 1;
	return left->id > right->id ? -1 : left->id < right->id;
}

static int evict_compare_ranks(const void *left_candidate, const void *right_candidate)
{
	const struct evict_candidate *left = left_candidate, *right = right_candidate;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return evict_compare_age(left, right);
}

static int evict_compare_homes(const void *left_candidate, const void *right_candidate)
{
	const struct evict_candidate *left = left_candidate, *right = right_candidate;
	int order = memcmp(left->home, right->home, EVICT_HOME);

	return order != 0 ? order : evict_compare_age(left, right);
}

/* Where those end who share so many bytes of their home with the one at `at`. */
static size_t evict_find_end(const struct evict_candidate *candidates, size_t count, size_t at, size_t bytes)
{
	size_t end = at + 1;

	while (end < count && memcmp(candidates[end].home, candidates[at].home, bytes) == 0)
		end++;
	return end;
}

/* --- Who is kept --- */

/* The best of those who have a rank. How many are left. */
static size_t evict_keep_best(struct evict_candidate *candidates, size_t count, size_t share)
{
	qsort(candidates, count, sizeof *candidates, evict_compare_ranks);
	while (share > 0 && count > 0 && candidates[count - 1].rank != evict_unranked) {
		share--;
		count--;
	}
	return count;
}

/* The eldest of each network, and of these those whose network's keyed hash is largest. */
static size_t evict_keep_spread(struct evict_candidate *candidates, size_t count, size_t share, const uint8_t key[16])
{
	qsort(candidates, count, sizeof *candidates, evict_compare_homes);
	for (size_t at = 0, end; at < count; at = end) {
		struct evict_candidate *eldest = &candidates[at];

		end = evict_find_end(candidates, count, at, EVICT_NETWORK);
		for (size_t i = at; i < end; i++) {
			candidates[i].rank = evict_unranked;
			if (evict_compare_age(&candidates[i], eldest) > 0)
				eldest = &candidates[i];
		}
		eldest->rank = (int64_t)(siphash(key, eldest->home, EVICT_NETWORK) >> 1);
	}
	return evict_keep_best(candidates, count, share);
}

static size_t evict_keep_near(struct evict_candidate *candidates, size_t count, size_t share)
{
	for (size_t i = 0; i < count; i++)
		candidates[i].rank = candidates[i].ping_ms < 0 ? evict_unranked : -candidates[i].ping_ms;
	return evict_keep_best(candidates, count, share);
}

static size_t evict_keep_useful(struct evict_candidate *candidates, size_t count, size_t share, enum evict_merit merit)
{
	for (size_t i = 0; i < count; i++)
		candidates[i].rank = candidates[i].brought[merit] == 0 ? evict_unranked : candidates[i].brought[merit];
	return evict_keep_best(candidates, count, share);
}

static size_t evict_keep_elder(struct evict_candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++)
		candidates[i].rank = 0; /* the order of age alone */
	return evict_keep_best(candidates, count, count / 2);
}

/* --- Who goes --- */

/* Sorted by home, and of one home the newest first. An address that is there twice loses before any that is
 * there once, whatever its network: many honest nodes may be with one provider. */
static const struct evict_candidate *evict_find_loser(const struct evict_candidate *candidates, size_t count)
{
	const struct evict_candidate *loser = NULL;
	size_t most = 0;

	for (size_t network = 0, network_end; network < count; network = network_end) {
		network_end = evict_find_end(candidates, count, network, EVICT_NETWORK);
		for (size_t group = network, group_end; group < network_end; group = group_end) {
			size_t weight;

			group_end = evict_find_end(candidates, count, group, EVICT_HOME);
			weight = (group_end - group) * (count + 1) + (network_end - network);
			if (loser != NULL &&
				(weight < most || (weight == most && evict_compare_age(loser, &candidates[group]) < 0)))
				continue;
			most = weight;
			loser = &candidates[group];
		}
	}
	return loser;
}

uint64_t evict_choose(struct evict_candidate *candidates, size_t count, const uint8_t key[16])
{
	const size_t share = (count + EVICT_SHARE - 1) / EVICT_SHARE;

	for (size_t i = 0; i < count; i++) {
		netaddr_network(&candidates[i].address, candidates[i].home);
		netaddr_group(&candidates[i].address, candidates[i].home + EVICT_NETWORK);
	}
	count = evict_keep_spread(candidates, count, share, key);
	count = evict_keep_near(candidates, count, share);
	for (enum evict_merit merit = 0; merit < EVICT_MERITS; merit++)
		count = evict_keep_useful(candidates, count, share, merit);
	count = evict_keep_elder(candidates, count);
	if (count == 0)
		return 0;
	qsort(candidates, count, sizeof *candidates, evict_compare_homes);
	return evict_find_loser(candidates, count)->id;
}
