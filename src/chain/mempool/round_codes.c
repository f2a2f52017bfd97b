/* A ring of digests. */
#include "chain/mempool/round_codes.h"

#include <string.h>

const uint8_t *round_codes_find(const struct round_codes *codes, const uint8_t root[32])
{
	const size_t count = codes->noted < ROUND_CODES_MAX ? codes->noted : ROUND_CODES_MAX;

	for (size_t i = 0; i < count; i++)
		if (memcmp(codes->known[i].root, root, 32) == 0)
			return codes->known[i].digest;
	return NULL;
}

void round_codes_note(struct round_codes *codes, const uint8_t root[32], const uint8_t digest[32])
{
	const size_t at = codes->noted % ROUND_CODES_MAX;

	if (round_codes_find(codes, root) != NULL)
		return;
	memcpy(codes->known[at].root, root, 32);
	memcpy(codes->known[at].digest, digest, 32);
	codes->noted++;
}

const uint8_t *round_codes_first(const struct round_codes *codes)
{
	return codes->knows_first ? codes->first : NULL;
}

void round_codes_note_first(struct round_codes *codes, const uint8_t digest[32])
{
	memcpy(codes->first, digest, 32);
	codes->knows_first = true;
}
