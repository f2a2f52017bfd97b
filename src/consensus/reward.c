/* What is paid: integer amounts that every node computes alike. */
#include "consensus/reward.h"

enum { BUCKET_BLOCKS = 16 }; /* the bucket holds the compute part of so many blocks */

static int64_t least_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Seven tenths, rounded down; the data part is what is left, so no unit of the subsidy gets lost between the two. */
int64_t reward_compute_part(const struct spec *spec, uint32_t height)
{
	return spec_subsidy(spec, height) * 7 / 10;
}

int64_t reward_data_part(const struct spec *spec, uint32_t height)
{
	return spec_subsidy(spec, height) - reward_compute_part(spec, height);
}

/* A block has k proofs on average, as the share target is k times the block's: so a k-th of the part for each pays it
 * out. Where fewer come, the rest stays in the bucket; where more come, they divide what it holds, and nobody mints by
 * sending many. Its bound keeps a long quiet time from being worth more than so many blocks. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, size_t loose, int64_t *bucket_after)
{
	int64_t part = reward_compute_part(spec, height), proofs = 1 + (int64_t)loose, worth;

	bucket = least_of(bucket + part, BUCKET_BLOCKS * part);
	worth = least_of(part / spec->k, bucket / proofs);
	*bucket_after = bucket - worth * proofs;
	return worth;
}

/* All of a slot's pay only for one that had its part of k proofs and was worth v_ref at least; v_ref is v_min or v_0, 1
 * at least, so nothing is divided by 0. */
int64_t reward_slot(const struct spec *spec, uint32_t height, uint32_t count, int64_t value, int64_t v_ref)
{
	uint64_t proofs = (uint64_t)spec->slots * count;
	__int128 pay = reward_data_part(spec, height) / spec->slots;

	if (value <= 0)
		return 0;
	/* Below 2^40 * 2^6 * 2^47. */
	pay *= proofs < spec->k ? (int64_t)proofs : (int64_t)spec->k;
	pay *= least_of(v_ref, value);
	return (int64_t)(pay / ((__int128)spec->k * v_ref));
}
