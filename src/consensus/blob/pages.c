/* The courtesy filter: counting a page's different strings, and finding equal pages. */
#include "consensus/blob/pages.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/merkle.h"
#include "crypto/siphash.h"
#include "util/mem.h"
#include "util/size.h"

size_t pages_count(size_t size)
{
	return (size + PAGES_SIZE - 1) / PAGES_SIZE;
}

/* --- different strings --- */

/* Strings of a page that were seen, by their hashes. There are no more than are asked for, since counting ends there:
 * strings that were made to meet in the table cost a page at most (distinct)^2 / 2 looks, and as many for each look
 * that finds one again. */
struct pages_seen {
	uint64_t hash[PAGES_SIZE];
	uint16_t place[2 * PAGES_SIZE]; /* of a hash, from 1; 0: free */
	size_t count;
};

static void pages_see(struct pages_seen *seen, uint64_t string_hash)
{
	size_t slot = (size_t)(string_hash >> 32) & (2 * PAGES_SIZE - 1);

	for (; seen->place[slot] != 0; slot = (slot + 1) & (2 * PAGES_SIZE - 1))
		if (seen->hash[seen->place[slot] - 1] == string_hash)
			return;
	seen->hash[seen->count++] = string_hash;
	seen->place[slot] = (uint16_t)seen->count;
}

/* distinct / (strings of this page) >= rule / (strings of a whole one), in integers. */
static bool pages_is_poor(const struct pages_rule *rule, const uint8_t *page, size_t size, struct pages_seen *seen)
{
	const size_t strings = size - (PAGES_STRING - 1), whole_strings = PAGES_SIZE - (PAGES_STRING - 1);
	const size_t least = (rule->distinct * strings + whole_strings - 1) / whole_strings;

	memset(seen->place, 0, sizeof seen->place);
	seen->count = 0;
	for (size_t i = 0; i < strings && seen->count < least; i++)
		pages_see(seen, siphash_string(page + i));
	return seen->count < least;
}

/* --- equal pages --- */

struct pages_leaf {
	uint8_t hash[32];
	uint32_t page;
};

static int pages_compare_leaves(const void *leaf, const void *other_leaf)
{
	const struct pages_leaf *one = leaf, *other = other_leaf;
	int order = memcmp(one->hash, other->hash, 32);

	return order != 0 ? order : (one->page > other->page) - (one->page < other->page);
}

static void pages_find_repeated(const uint8_t *blob, size_t size, enum pages_verdict verdicts[])
{
	size_t page_count = pages_count(size);
	struct pages_leaf *leaves = mem_calloc(page_count, sizeof *leaves);

	for (size_t i = 0; i < page_count; i++) {
		leaves[i].page = (uint32_t)i;
		merkle_leaf(leaves[i].hash, blob + i * PAGES_SIZE, size_min(PAGES_SIZE, size - i * PAGES_SIZE));
	}
	qsort(leaves, page_count, sizeof *leaves, pages_compare_leaves);
	for (size_t i = 1; i < page_count; i++)
		if (memcmp(leaves[i - 1].hash, leaves[i].hash, 32) == 0)
			verdicts[leaves[i].page] = PAGES_REPEATED;
	free(leaves);
}

void pages_judge(const struct pages_rule *rule, const uint8_t *blob, size_t size, enum pages_verdict verdicts[])
{
	struct pages_seen *seen = mem_alloc(sizeof *seen);
	size_t page_count = pages_count(size);

	for (size_t i = 0; i < page_count; i++)
		verdicts[i] = PAGES_GOOD;
	if (rule->distinct > 0)
		pages_find_repeated(blob, size, verdicts);
	for (size_t i = 0; rule->distinct > 0 && i < page_count; i++) {
		size_t page_size = size_min(PAGES_SIZE, size - i * PAGES_SIZE);

		/* A page of fewer bytes than a string has none, whatever the rule says. */
		if (page_size >= PAGES_STRING && page_size >= rule->judged &&
			pages_is_poor(rule, blob + i * PAGES_SIZE, page_size, seen))
			verdicts[i] = PAGES_POOR;
	}
	free(seen);
}

bool pages_check(const struct pages_rule *rule, const uint8_t *blob, size_t size, struct errmsg *why)
{
	size_t page_count = pages_count(size), page = 0;
	enum pages_verdict *verdicts = mem_calloc(page_count, sizeof *verdicts), verdict;

	pages_judge(rule, blob, size, verdicts);
	while (page < page_count && verdicts[page] == PAGES_GOOD)
		page++;
	verdict = page < page_count ? verdicts[page] : PAGES_GOOD;
	free(verdicts);
	return verdict == PAGES_GOOD ||
		errmsg_set(why, "page %zu, at byte %zu, %s", page, page * PAGES_SIZE,
			verdict == PAGES_POOR ? "has too few different strings of 16 bytes" :
						"is equal to an earlier page");
}
