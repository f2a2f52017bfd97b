/* Policy that needs no pool. */
#include "chain/mempool/policy.h"

#include <inttypes.h>

#include "chain/coins.h"
#include "consensus/payload/payload.h"

enum { POLICY_VERSION_MAX = 2 };

/* Policy that needs the transaction alone. */
bool policy_check(const struct tx *tx, size_t virtual_size, struct reject *reject)
{
	if (tx->version < 1 || tx->version > POLICY_VERSION_MAX)
		return reject_set(reject, REASON_VERSION, "version %" PRIu32, tx->version);
	if (virtual_size > POLICY_TX_SIZE)
		return reject_set(reject, REASON_TX_SIZE, "%zu virtual bytes, %d at most", virtual_size,
			(int)POLICY_TX_SIZE);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (payload_kind(&tx->outputs[i].script) == PAYLOAD_RESERVED)
			return reject_set(reject, REASON_CONTRIB_RESERVED, "output %zu is of a reserved kind", i);
		if (coin_is_output(&tx->outputs[i]) && tx->outputs[i].amount < POLICY_DUST)
			return reject_set(reject, REASON_DUST, "output %zu is below %d", i, (int)POLICY_DUST);
	}
	return true;
}

int64_t policy_rate(int64_t fee, size_t virtual_size)
{
	/* Fees are below 2^51: no overflow. */
	return fee * 1000 / (int64_t)virtual_size;
}

bool policy_check_fee(int64_t fee, size_t virtual_size, int64_t floor_rate, struct reject *reject)
{
	/* Multiplied and not divided: a rate rounded up would let in what pays a little less. */
	if (fee * 1000 < POLICY_RATE_MIN * (int64_t)virtual_size)
		return reject_set(reject, REASON_MIN_RELAY_FEE_NOT_MET, "%" PRId64 " < %zu", fee, virtual_size);
	if (floor_rate > 0 && policy_rate(fee, virtual_size) <= floor_rate)
		return reject_set(reject, REASON_MEMPOOL_MIN_FEE_NOT_MET, "%" PRId64 " per 1000 bytes asked",
			floor_rate);
	return true;
}
