/* Headers and compact targets: what is read is written back; checks give a verdict on any header. */
#include <string.h>

#include "consensus/block.h"
#include "consensus/target.h"
#include "fuzz.h"

static const struct spec spec = { .genesis_time = 1000000, .spacing = 60, .k = 4, .start_bits = 0x20400000 };

static void check_compact(uint32_t bits)
{
	struct u256 target, again;

	if (!target_from_compact(bits, &target))
		return;
	FUZZ_PROMISE(target_from_compact(target_to_compact(target), &again));
	FUZZ_PROMISE(u256_compare(target, again) == 0);
	FUZZ_PROMISE(u256_compare(target_share(target, spec.k), target) >= 0);
	FUZZ_PROMISE(u256_compare(target_work(target), (struct u256){ { 0 } }) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parent_view parent = { .height = 7, .has_model_root = true };
	struct header header;
	struct reject reject;
	uint8_t raw[HEADER_SIZE], id[32];
	uint32_t bits;

	if (size != HEADER_SIZE)
		return 0;
	header_read(&header, data);
	header_write(raw, &header);
	FUZZ_PROMISE(memcmp(raw, data, HEADER_SIZE) == 0);
	header_id(&header, id);
	check_compact(header.bits);
	/* The header as its own parent's: most rules then turn on its own fields. */
	memcpy(parent.id, header.prev, 32);
	memcpy(parent.model_root, header.model_root, 32);
	parent.time = header.time - 1;
	parent.median_time = header.time - 1;
	bits = target_next_bits(&spec, (uint32_t)header.nonce, header.time);
	FUZZ_PROMISE(target_from_compact(bits, &(struct u256){ { 0 } }));
	if (!block_check_header(&spec, &header, &parent, header.time, &reject))
		FUZZ_PROMISE(reject.reason != NULL && reject.code != REJECT_MALFORMED);
	if (!block_check_loose(&spec, &header, &parent, header.time, &reject))
		FUZZ_PROMISE(reject.reason != NULL && reject.code != REJECT_MALFORMED);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const uint32_t bits[] = { 0x20400000, 0x1d00ffff, 0x03000001, 0x2100ffff };
	struct header header = { .version = 1, .time = 1000500, .nonce = 17, .miner = { 1 } };

	if (index >= sizeof bits / sizeof *bits)
		return false;
	header.bits = bits[index];
	header_write(buf_extend(out, HEADER_SIZE), &header);
	return true;
}
