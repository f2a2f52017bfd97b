/* Choosing runs by a secret order, and halves of them by the drawn segment. */
#include "work/probe.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"

/* Own ones behind all others. */
static int probe_compare(const void *a, const void *b)
{
	const struct probe_seat *first_seat = a, *second_seat = b;

	if (first_seat->is_own != second_seat->is_own)
		return first_seat->is_own ? 1 : -1;
	return memcmp(first_seat->order, second_seat->order, 32);
}

void probe_choose(struct probe_seat *seats, uint32_t count, const uint8_t secret[32], uint32_t segments, int64_t share)
{
	/* Of at most 240 seats with 1024 segments each: no product is near 2^63. */
	int64_t probe_left = (int64_t)count * segments * share / PROBE_SHARE_MAX;
	uint8_t keyed[64];

	memcpy(keyed, secret, 32);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(keyed + 32, seats[i].id, 32);
		sha256(seats[i].order, keyed, sizeof keyed);
	}
	qsort(seats, count, sizeof *seats, probe_compare);
	for (uint32_t i = 0; i < count; i++) {
		seats[i].is_head_first = seats[i].order[31] % 2 == 1; /* which says nothing of its place */
		seats[i].most = seats[i].is_own ? 0 : probe_left < segments ? (uint32_t)probe_left : segments;
		probe_left -= seats[i].most;
	}
}

bool probe_next(const struct probe *probe, uint32_t drawn, uint32_t length, uint32_t *last)
{
	const uint32_t end = probe->most < length ? probe->most : length;
	const bool has_tail = end > drawn && !probe->is_tail_right,
		   has_head = end > 0 && drawn > 0 && !probe->is_head_right;

	*last = has_head && (probe->is_head_first || !has_tail) ? (end < drawn ? end : drawn) - 1 : end - 1;
	return has_tail || has_head;
}

void probe_pass(struct probe *probe, uint32_t drawn, uint32_t last)
{
	if (last >= drawn)
		probe->is_tail_right = true;
	else
		probe->is_head_right = true;
}
