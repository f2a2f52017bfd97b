/* What is paid: integer amounts that every node computes alike. */
#include "consensus/reward.h"

#include "consensus/block.h"

enum {
	REWARD_BUCKET_BLOCKS = 16, /* the bucket holds what proofs earn in so many blocks */
	REWARD_MILLION = 1000000,
};

static int64_t reward_least(int64_t reward, int64_t limit)
{
	return reward < limit ? reward : limit;
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

/* Below 2^60: a subsidy is 10^12 at most. Nobody else gets what a run does not earn: it is not minted. */
int64_t reward_run_part(const struct spec *spec, uint32_t height)
{
	return reward_compute_part(spec, height) * spec->run_ppm / REWARD_MILLION;
}

/* By its work. Less than a unit for each segment is nothing for all: so a coinbase shows by itself which of its outputs
 * pay runs, without the lengths of these. */
int64_t reward_run(const struct spec *spec, uint32_t height, uint32_t length)
{
	int64_t part = reward_run_part(spec, height);

	return part == 0 || part < spec->segments ? 0 : part * length / spec->segments;
}

/* A late proof trains nothing, so it is never worth as much as a loose one, even to who lists his own and gets the
 * sixteenth of the block's miner too: else to hold proofs back would cost nothing. With age it is worth less, so that
 * nobody lets proofs lie, and something as long as it can be listed. */
uint32_t reward_late_sixteenths(uint32_t back)
{
	static const uint32_t by_age[] = { 0, 15, 12, 8, 8, 8, 8 };

	return back < sizeof by_age / sizeof by_age[0] ? by_age[back] : 0;
}

static int64_t reward_sixteenths(int64_t worth, uint32_t sixteenths)
{
	return worth * sixteenths / REWARD_SIXTEENTHS;
}

int64_t reward_late(int64_t worth, uint32_t back)
{
	return reward_sixteenths(worth, reward_late_sixteenths(back));
}

/* A block has k proofs on average, as the share target is k times the block's: so a k-th of the part for each pays it
 * out. Where fewer come, the rest stays in the bucket; where more come, they divide what it holds, and nobody mints by
 * sending many. Its bound keeps a long quiet time from being worth more than so many blocks. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, const struct reward_proofs *proofs,
	int64_t *bucket_after)
{
	int64_t proofs_part = reward_compute_part(spec, height) - reward_run_part(spec, height);
	int64_t sixteenths = REWARD_SIXTEENTHS * (1 + (int64_t)proofs->loose), proof_worth;

	for (uint32_t i = 0; i <= REWARD_SIXTEENTHS; i++)
		sixteenths += i * (int64_t)proofs->late[i];
	bucket = reward_least(bucket + proofs_part, REWARD_BUCKET_BLOCKS * proofs_part);
	proof_worth = reward_least(proofs_part / spec->k, REWARD_SIXTEENTHS * bucket / sixteenths);
	bucket -= proof_worth * (1 + (int64_t)proofs->loose);
	for (uint32_t i = 0; i <= REWARD_SIXTEENTHS; i++)
		bucket -= (int64_t)proofs->late[i] * reward_sixteenths(proof_worth, i);
	*bucket_after = bucket;
	return proof_worth;
}

/* All of a slot's pay only for one that had its part of k proofs, was worth v_ref at least, and was drawn from enough
 * data: few bytes are learned soon, whoever owns them. v_ref is v_min or v_0, 1 at least, so nothing is divided by 0.
 */
int64_t reward_slot(const struct spec *spec, uint32_t height, const struct reward_slot *slot)
{
	uint64_t slot_proofs = (uint64_t)spec->slots * slot->proofs;
	__int128 slot_pay = reward_data_part(spec, height) / spec->slots;

	if (slot->value <= 0)
		return 0;
	/* Below 2^40 * 2^6 * 2^47 * 2^24. */
	slot_pay *= slot_proofs < spec->k ? (int64_t)slot_proofs : (int64_t)spec->k;
	slot_pay *= reward_least(slot->v_ref, slot->value);
	slot_pay *= slot->weight;
	return (int64_t)(slot_pay / ((__int128)spec->k * slot->v_ref * REWARD_FULL_WEIGHT));
}
